/* What the head makes of windows, deadlines, calls, other durations, prices and owners: answers, rows and events. */
#include "manager_fixture.h"

#include "query.h"
#include "suite.h"

static struct command extend(uint64_t id, span_us add, span_us duration)
{
	return (struct command){
		.kind = COMMAND_LEASE_EXTEND,
		.owner = "ann",
		.method = "lease.extend",
		.name = "",
		.lease = id,
		.add_us = add,
		.duration_us = duration,
	};
}

START_TEST(a_window)
{
	struct command command = ar(4, 120 * SECOND);
	wall_us start = command.spec.start_us;
	struct reply reply;

	hello("n1");
	accepted(command);
	/* Taken at first: it starts when the other has gone. */
	command.spec.latest_us = start + 100 * SECOND;
	reply = answer(command);
	ck_assert_int_eq(reply.err.code, 0);
	ck_assert_int_eq(number(reply.result, "start_us"), start + 60 * SECOND);
	ck_assert_int_eq(number(reply.result, "latest_us"), start + 100 * SECOND);
	ck_assert_int_eq(number(reply.result, "end_us"), number(reply.result, "start_us") + 60 * SECOND);
	ck_assert_int_eq(row(id_of(&reply), "start_us"), number(reply.result, "start_us"));
	clear(&reply);
	refused(command, ERR_REJECTED);
	restart();
}
END_TEST

START_TEST(a_deadline)
{
	struct command command = request(LEASE_DEADLINE, 2, 0, 60 * SECOND);
	uint32_t node = hello("n1");
	struct reply reply;
	uint64_t id;

	command.spec.deadline_us = now_us + 300 * SECOND;
	command.spec.start_us = now_us + 30 * SECOND;
	reply = answer(command);
	id = id_of(&reply);
	ck_assert_int_eq(reply.err.code, 0);
	ck_assert_str_eq(text_in(reply.result, "kind"), "deadline");
	ck_assert_int_eq(number(reply.result, "deadline_us"), command.spec.deadline_us);
	ck_assert_int_eq(number(reply.result, "not_before_us"), command.spec.start_us);
	ck_assert_int_ge(number(reply.result, "start_us"), command.spec.start_us);
	ck_assert_int_le(number(reply.result, "end_us"), command.spec.deadline_us);
	clear(&reply);
	/* Once its image is there it makes way for a reservation, and is still done in time. */
	live(node, 5 * SECOND);
	accepted(ar(4, 40 * SECOND));
	restart();
	live(node, 270 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(row(id, "ended_us <= deadline_us AND first_start_us >= start_us + 60000000"), 1);
	/* Too late for that. */
	command.spec.deadline_us = now_us + 60 * SECOND;
	command.spec.start_us = 0;
	reply = answer(command);
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "deadline");
	clear(&reply);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(longer_and_shorter)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(2, 30 * SECOND));
	struct reply reply;

	live(node, 40 * SECOND);
	reply = answer(extend(id, 30 * SECOND, 0));
	ck_assert_int_eq(number(reply.result, "duration_us"), 90 * SECOND);
	ck_assert_int_eq(number(reply.result, "end_us"), number(reply.result, "start_us") + 90 * SECOND);
	clear(&reply);
	ck_assert_int_eq(row(id, "duration_us"), 90 * SECOND);
	ck_assert_int_eq(
		raw_number(dir, "SELECT json_extract(data, '$.was_us') FROM events WHERE kind = 'lease.resized'"),
		60 * SECOND);
	ck_assert_int_eq(
		raw_number(dir, "SELECT json_extract(data, '$.duration_us') FROM events WHERE kind = 'lease.resized'"),
		90 * SECOND);
	restart();
	report(node);
	reply = answer(extend(id, 0, 45 * SECOND));
	ck_assert_int_eq(number(reply.result, "duration_us"), 45 * SECOND);
	clear(&reply);
	live(node, 60 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(row(id, "ended_us - start_us < 60000000"), 1);
	refused(extend(id, 30 * SECOND, 0), ERR_CONFLICT);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(longer_is_refused_with_an_offer)
{
	uint64_t id;
	struct command command;
	struct reply reply;
	struct json_object *offer;

	hello("n1");
	id = accepted(ar(2, 30 * SECOND));
	accepted(ar(4, 150 * SECOND));
	command = named(extend(id, 100 * SECOND, 0), "r", "d");
	for (int i = 0; i < 2; i++) {
		reply = answer(command);
		ck_assert_int_eq(reply.err.code, ERR_REJECTED);
		ck_assert_uint_eq(id_of(&reply), id);
		ck_assert_str_eq(text_in(reply.data, "reason_code"), "no_room");
		offer = json_object_object_get(reply.data, "offer");
		ck_assert_int_eq(number(offer, "duration_us"), 120 * SECOND); /* until the next one begins */
		clear(&reply);
	}
	ck_assert_int_eq(row(id, "duration_us"), 60 * SECOND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.resized'"), 0);
	accepted(extend(id, 0, 120 * SECOND));
	restart();
}
END_TEST

START_TEST(who_may_extend)
{
	struct command command;
	uint64_t id;

	hello("n1");
	id = accepted(ar(1, 30 * SECOND));
	command = extend(id, 30 * SECOND, 0);
	command.owner = "bob";
	refused(command, ERR_DENIED);
	command.is_operator = true;
	accepted(command);
	refused(extend(id + 1, SECOND, 0), ERR_NOT_FOUND);
	refused(extend(id, -90 * SECOND, 0), ERR_PARAMS);
	refused(extend(id, INT64_C(3153600000000000), 0), ERR_PARAMS);
	ck_assert_int_eq(row(id, "duration_us"), 90 * SECOND);
	/* The same request once more does not make it longer still. */
	accepted(named(extend(id, 10 * SECOND, 0), "r", "d"));
	accepted(named(extend(id, 10 * SECOND, 0), "r", "d"));
	ck_assert_int_eq(row(id, "duration_us"), 100 * SECOND);
	refused(named(extend(id, 20 * SECOND, 0), "r", "other"), ERR_CONFLICT);
}
END_TEST

static struct command open_lease(uint32_t vms, span_us ahead, span_us window, span_us response)
{
	struct command command = request(LEASE_OPEN, vms, ahead ? now_us + ahead : 0, 60 * SECOND);

	command.spec.latest_us = now_us + ahead + window;
	command.spec.response_us = response;
	return command;
}

static struct command call(uint64_t id)
{
	return (struct command){
		.kind = COMMAND_LEASE_CALL, .owner = "ann", .method = "lease.call", .name = "", .lease = id};
}

static int64_t events_of(uint64_t id, const char *kind)
{
	_cleanup_free_ char *sql =
		xasprintf("SELECT count(*) FROM events WHERE lease = %d AND kind = '%s'", (int)id, kind);

	return raw_number(dir, sql);
}

/* How many VMs the node's part has; *images of it. */
static size_t in_part(uint32_t node, size_t *images)
{
	struct part *part = manager_part(manager, node);
	size_t vms = part->vm_count;

	*images = part->image_count;
	part_free(part);
	return vms;
}

static void explained(uint64_t id, const char *waits_for, wall_us until)
{
	struct json_object *shown = query_explain(store, id, &bad);

	ck_assert_str_eq(text_in(shown, "waits_for"), waits_for);
	ck_assert_int_eq(number(shown, "waits_until_us"), until);
	json_object_put(shown);
}

START_TEST(open_and_called)
{
	uint32_t node = hello("n1");
	wall_us from = now_us + 60 * SECOND, until = from + 300 * SECOND, called;
	struct reply reply = answer(open_lease(4, 60 * SECOND, 300 * SECOND, 30 * SECOND));
	uint64_t id = id_of(&reply), guest;
	struct json_object *shown;
	size_t images;

	ck_assert_int_eq(reply.err.code, 0);
	ck_assert_str_eq(text_in(reply.result, "kind"), "open");
	ck_assert_str_eq(text_in(reply.result, "state"), "scheduled");
	ck_assert_int_eq(number(reply.result, "start_us"), 0);
	ck_assert_int_eq(number(reply.result, "end_us"), 0);
	ck_assert_int_eq(number(reply.result, "not_before_us"), from);
	ck_assert_int_eq(number(reply.result, "latest_us"), until);
	ck_assert_int_eq(number(reply.result, "response_us"), 30 * SECOND);
	clear(&reply);
	explained(id, "the window in which it can be called", from);
	reply = answer(call(id));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "not_yet");
	clear(&reply);
	/* On standby it is in no part, but its image is; best-effort leases use its room meanwhile. */
	live(node, 65 * SECOND);
	ck_assert_int_eq(state_is(id, "standby"), 1);
	ck_assert_uint_eq(in_part(node, &images), 0);
	ck_assert_uint_eq(images, 1);
	explained(id, "its call", until);
	guest = accepted(request(LEASE_BEST_EFFORT, 4, 0, 600 * SECOND));
	live(node, 30 * SECOND);
	ck_assert_int_eq(state_is(guest, "active"), 1);
	restart();
	report(node);
	called = now_us;
	reply = answer(call(id));
	ck_assert_int_eq(reply.err.code, 0);
	ck_assert_int_gt(number(reply.result, "start_us"), called);
	ck_assert_int_le(number(reply.result, "start_us"), called + 30 * SECOND);
	ck_assert_int_eq(number(reply.result, "end_us"), number(reply.result, "start_us") + 60 * SECOND);
	ck_assert_int_eq(number(reply.result, "not_before_us"), 0);
	ck_assert_int_eq(number(reply.result, "latest_us"), until);
	ck_assert_int_eq(row(id, "start_us"), number(reply.result, "start_us"));
	clear(&reply);
	ck_assert_int_eq(events_of(id, "lease.called"), 1);
	accepted(call(id)); /* once more: it is only shown */
	ck_assert_int_eq(events_of(id, "lease.called"), 1);
	restart();
	report(node);
	live(node, 40 * SECOND);
	ck_assert_int_eq(state_is(id, "active"), 1);
	ck_assert_int_eq(row(id, "first_start_us = start_us"), 1);
	live(node, 60 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	refused(call(id), ERR_CONFLICT);
	shown = query_lease(store, id, &bad);
	ck_assert_int_eq(number(shown, "start_us"), row(id, "start_us"));
	json_object_put(shown);
	ck_assert_int_eq(events_of(id, "lease.promise_broken"), 0);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(open_and_never_called)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(open_lease(2, 10 * SECOND, 30 * SECOND, 30 * SECOND));
	struct json_object *shown;

	live(node, 45 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	shown = query_lease(store, id, &bad);
	ck_assert_str_eq(text_in(shown, "reason_code"), "not_called");
	ck_assert_int_eq(number(shown, "start_us"), 0);
	json_object_put(shown);
	refused(call(id), ERR_CONFLICT);
	ck_assert_int_eq(events_of(id, "lease.called"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM slots s JOIN leases l ON l.id = s.lease WHERE "
					 "s.kind <> 'standby' OR s.end_us > l.ended_us"),
			 0);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(open_is_refused_with_an_offer)
{
	struct command command = open_lease(2, 30 * SECOND, 60 * SECOND, USEC_PER_MSEC);
	struct json_object *offer, *asked;
	struct reply reply;

	hello("n1");
	reply = answer(command);
	offer = json_object_object_get(reply.data, "offer");
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "response");
	ck_assert_int_eq(number(offer, "start_us"), command.spec.start_us);
	ck_assert_int_eq(number(offer, "vms"), 2);
	command.spec.response_us = number(offer, "response_us");
	ck_assert_int_gt(command.spec.response_us, USEC_PER_MSEC);
	clear(&reply);
	asked = manager_ask(manager, "ann", "ticker", &command.spec, &bad);
	ck_assert_int_eq(number(asked, "start_us"), command.spec.start_us);
	json_object_put(asked);
	accepted(command);
	reply = answer(open_lease(3, 30 * SECOND, 60 * SECOND, 30 * SECOND)); /* two of four CPUs are kept */
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "no_room");
	ck_assert_int_eq(number(json_object_object_get(reply.data, "offer"), "vms"), 2);
	clear(&reply);
}
END_TEST

START_TEST(who_may_call)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(open_lease(1, 10 * SECOND, 300 * SECOND, 30 * SECOND)), other;
	struct command command = call(id);
	struct reply reply;
	wall_us start;

	live(node, 15 * SECOND);
	command.owner = "bob";
	refused(command, ERR_DENIED);
	refused(call(id + 1), ERR_NOT_FOUND);
	command.is_operator = true;
	reply = answer(named(command, "r", "d"));
	start = number(reply.result, "start_us");
	ck_assert_int_gt(start, now_us);
	clear(&reply);
	live(node, 5 * SECOND);
	reply = answer(named(command, "r", "d"));
	ck_assert_int_eq(number(reply.result, "start_us"), start);
	clear(&reply);
	refused(named(command, "r", "other"), ERR_CONFLICT);
	other = accepted(ar(1, 30 * SECOND));
	reply = answer(call(other));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "kind");
	ck_assert_ptr_null(json_object_object_get(reply.data, "offer"));
	clear(&reply);
}
END_TEST

static void choose(char **setting, const char *name)
{
	free(*setting);
	*setting = xstrdup(name);
}

START_TEST(prices)
{
	struct command command;
	struct json_object *asked;
	struct reply reply;
	uint64_t id;

	stop();
	choose(&settings.price, "constant");
	settings.price_rate = 60;
	start();
	hello("n1");
	command = ar(2, 120 * SECOND); /* two CPUs for a minute */
	asked = manager_ask(manager, "ann", "ticker", &command.spec, &bad);
	ck_assert_int_eq(number(asked, "price"), 2);
	json_object_put(asked);
	command.spec.price_max = 1;
	reply = answer(command);
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "price");
	ck_assert_int_eq(row(id_of(&reply), "price"), 0);
	clear(&reply);
	command.spec.price_max = 3;
	reply = answer(command);
	id = id_of(&reply);
	ck_assert_int_eq(number(reply.result, "price"), 2);
	ck_assert_int_eq(number(reply.result, "price_max"), 3);
	clear(&reply);
	restart();
	accepted(extend(id, 30 * SECOND, 0));
	ck_assert_int_eq(row(id, "price"), 3);
	reply = answer(extend(id, 60 * SECOND, 0));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "price");
	clear(&reply);
}
END_TEST

START_TEST(policies_refuse)
{
	struct reply reply;

	stop();
	choose(&settings.admission, "no-ar");
	start();
	hello("n1");
	reply = answer(ar(1, 120 * SECOND));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "policy");
	ck_assert_ptr_null(json_object_object_get(reply.data, "offer"));
	clear(&reply);
	accepted(request(LEASE_BEST_EFFORT, 1, 0, 60 * SECOND));
}
END_TEST

/* Who had least of late goes first, also after a restart. */
START_TEST(fair_shares)
{
	uint32_t node;
	uint64_t first, anns, bobs;
	struct command command;

	stop();
	choose(&settings.queue, "fair");
	start();
	node = hello("n1");
	first = accepted(request(LEASE_BEST_EFFORT, 4, 0, 60 * SECOND));
	live(node, 90 * SECOND);
	ck_assert_int_eq(state_is(first, "done"), 1);
	accepted(ar(4, 30 * SECOND));
	live(node, 35 * SECOND);
	anns = accepted(request(LEASE_BEST_EFFORT, 4, 0, 60 * SECOND));
	command = request(LEASE_BEST_EFFORT, 4, 0, 60 * SECOND);
	command.owner = "bob";
	bobs = accepted(command);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM users"), 2);
	ck_assert_int_eq(row(first, "user"), row(anns, "user"));
	ck_assert_int_ne(row(bobs, "user"), row(anns, "user"));
	restart();
	report(node);
	live(node, 100 * SECOND);
	ck_assert_int_eq(state_is(bobs, "active"), 1);
	ck_assert_int_eq(state_is(anns, "active"), 0);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(measured_times_are_shown)
{
	uint32_t node = hello("n1");
	struct json_object *shown, *list, *first;

	accepted(request(LEASE_BEST_EFFORT, 4, 0, 600 * SECOND));
	live(node, 30 * SECOND);
	for (int i = 0; i < 3; i++) {
		accepted(ar(4, 60 * SECOND));
		live(node, 180 * SECOND);
	}
	shown = query_node(store, "n1", &bad);
	list = json_object_object_get(shown, "estimates");
	ck_assert_uint_eq(json_object_array_length(list), 2);
	first = json_object_array_get_idx(list, 0);
	ck_assert_str_eq(text_in(first, "what"), "resume");
	ck_assert_int_eq(number(first, "memory"), GIB);
	ck_assert_int_ge(number(first, "count"), 5);
	ck_assert_int_ge(number(first, "estimate_us"), number(first, "mean_us"));
	json_object_put(shown);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_manager_lease");
	TCase *cases = tcase_create("all");

	log_init(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, a_window);
	tcase_add_test(cases, a_deadline);
	tcase_add_test(cases, longer_and_shorter);
	tcase_add_test(cases, longer_is_refused_with_an_offer);
	tcase_add_test(cases, who_may_extend);
	tcase_add_test(cases, open_and_called);
	tcase_add_test(cases, open_and_never_called);
	tcase_add_test(cases, open_is_refused_with_an_offer);
	tcase_add_test(cases, who_may_call);
	tcase_add_test(cases, prices);
	tcase_add_test(cases, policies_refuse);
	tcase_add_test(cases, fair_shares);
	tcase_add_test(cases, measured_times_are_shown);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
