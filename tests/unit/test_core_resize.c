/* Leases that are made longer or shorter. */
#include "core_fixture.h"

#include "policy.h"

static void resize(uint64_t id, span_us duration)
{
	struct event event = {.kind = EVENT_LEASE_RESIZED};

	event.resized.id = id;
	event.resized.duration_us = duration;
	tell(&event);
}

/* The reason of the only refusal. */
static struct reason refusal(void)
{
	struct reason reason = {0};

	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 1);
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_REFUSED) {
			reason = actions.item[i].refused.reason;
		}
	}
	return reason;
}

START_TEST(longer)
{
	wall_us start = now + 60 * SEC;
	const struct lease *lease = request(ar_of(4, start, 30 * SEC));

	resize(1, 50 * SEC);
	ck_assert_uint_eq(count_actions(ACTION_LEASE), 1);
	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 0);
	ck_assert_int_eq(lease->spec.duration_us, 50 * SEC);
	ck_assert_int_eq(lease->vms[3].run.end_us, start + 50 * SEC);
	run_all(lease);
	now += 20 * SEC;
	resize(1, 100 * SEC);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	ck_assert_int_eq(lease->vms[0].run.start_us, start);
	ck_assert_int_eq(lease->vms[0].run.end_us, start + 100 * SEC);
	ck_assert_uint_eq(lease->vms[0].generation, 1);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 2);
}
END_TEST

START_TEST(longer_is_refused)
{
	wall_us start = now + 60 * SEC;
	const struct lease *lease = request(ar_of(3, start, 30 * SEC));

	request(ar_of(2, start + 100 * SEC, 30 * SEC));
	resize(1, 200 * SEC);
	struct reason reason = refusal();
	ck_assert_int_eq(reason.code, REASON_NO_ROOM);
	ck_assert_uint_eq(reason.lease, 2);
	ck_assert_int_eq(lease->spec.duration_us, 30 * SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, start + 30 * SEC);
	ck_assert_uint_eq(count_actions(ACTION_LEASE), 0);
	/* What is offered can be had, and no more. */
	span_us longest = plan_offer(plan).duration_us;
	ck_assert(plan_offer(plan).valid);
	ck_assert_int_eq(longest, 100 * SEC - settings.prepare_us - settings.stop_us);
	resize(1, longest + 1);
	refusal();
	resize(1, longest);
	ck_assert_int_eq(lease->spec.duration_us, longest);
}
END_TEST

START_TEST(shorter)
{
	wall_us start = now + 60 * SEC;
	const struct lease *lease = request(ar_of(4, start, 300 * SEC));

	resize(1, 30 * SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, start + 30 * SEC);
	/* The room is free at once. */
	ck_assert_int_eq(request(ar_of(4, start + 100 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
	run_all(lease);
	now += 10 * SEC;
	/* What it has had it keeps: it ends as soon as its nodes know. */
	resize(1, SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, now + settings.lead_us);
	ck_assert_int_eq(lease->spec.duration_us, 10 * SEC + settings.lead_us);
	tick_at(now + settings.lead_us);
	ck_assert_int_eq(lease->state, LEASE_STOPPING);
	resize(1, 100 * SEC);
	ck_assert_int_eq(refusal().code, REASON_TIME_UP);
}
END_TEST

START_TEST(bad_lengths)
{
	const struct lease *lease = request(ar_of(1, now + 60 * SEC, 30 * SEC));
	span_us bad[] = {0, -1, INT64_MIN, INT64_MAX};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		resize(1, bad[i]);
		ck_assert_int_eq(refusal().code, REASON_NEVER_FITS);
	}
	ck_assert_int_eq(lease->spec.duration_us, 30 * SEC);
	resize(9, 30 * SEC);
	ck_assert_uint_eq(actions.count, count_actions(ACTION_WAKE));
}
END_TEST

START_TEST(deadline)
{
	struct lease_spec spec = spec_of(LEASE_DEADLINE, 1, 30 * SEC);

	spec.deadline_us = now + 100 * SEC;
	const struct lease *lease = request(spec);
	wall_us start = lease->vms[0].run.start_us;
	resize(1, 100 * SEC);
	ck_assert_int_eq(refusal().code, REASON_DEADLINE);
	ck_assert_int_eq(plan_offer(plan).duration_us, spec.deadline_us - start);
	resize(1, spec.deadline_us - start);
	ck_assert_int_eq(lease->vms[0].run.end_us, spec.deadline_us);
}
END_TEST

/* Best-effort leases that have not begun make way. */
START_TEST(before_the_queue)
{
	wall_us start = now + 60 * SEC;

	request(ar_of(4, start, 30 * SEC));
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 4, 100 * SEC));
	ck_assert_int_eq(best->vms[0].run.start_us, start + 30 * SEC + settings.stop_us + settings.prepare_us);
	resize(1, 90 * SEC);
	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 0);
	ck_assert_int_eq(best->vms[0].run.start_us, start + 90 * SEC + settings.stop_us + settings.prepare_us);
}
END_TEST

START_TEST(best_effort)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 4, 100 * SEC));
	wall_us start = lease->vms[0].run.start_us;

	run_all(lease);
	resize(1, 200 * SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, start + 200 * SEC);
	now += 20 * SEC;
	resize(1, 30 * SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, start + 30 * SEC);
	/* No room to go on without a pause: then there is one. */
	request(ar_of(4, start + 100 * SEC, 30 * SEC));
	resize(1, 300 * SEC);
	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 0);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_gt(lease->vms[0].run.end_us, start + 30 * SEC);
	/* Less than it has had: it ends. */
	resize(1, SEC);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_STOP);
	ck_assert_int_eq(lease->vms[0].run.end_us, now + settings.lead_us);
}
END_TEST

START_TEST(best_effort_refused)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 4, 50 * SEC));

	settings.suspension = SUSPENSION_NONE;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	lease = request(spec_of(LEASE_BEST_EFFORT, 4, 50 * SEC));
	run_all(lease);
	wall_us end = lease->vms[0].run.end_us;
	request(ar_of(1, end + 10 * SEC, 30 * SEC));
	resize(1, 100 * SEC);
	ck_assert_int_eq(refusal().code, REASON_NO_ROOM);
	ck_assert_int_eq(lease->spec.duration_us, 50 * SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, end);
}
END_TEST

/* Suspended, it is done when it has had all it asks for now. */
START_TEST(best_effort_suspended)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 300 * SEC));

	run_all(lease);
	request(ar_of(4, now + 100 * SEC, 100 * SEC));
	now = lease->vms[0].run.end_us;
	see(lease, 0, SEEN_SUSPENDING, now);
	now += 5 * SEC;
	see(lease, 0, SEEN_SUSPENDED, now);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDED);
	resize(1, 200 * SEC);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDED);
	ck_assert_int_eq(lease->spec.duration_us, 200 * SEC);
	resize(1, 10 * SEC);
	ck_assert_int_eq(lease->state, LEASE_DONE);
	ck_assert_int_eq(lease->reason.code, REASON_TIME_UP);
}
END_TEST

/* What is busy before it says nothing of how long it could be. */
START_TEST(offer_of_one_to_come)
{
	wall_us start = now + 200 * SEC;

	request(ar_of(4, start, 30 * SEC));
	request(ar_of(4, now + 60 * SEC, 30 * SEC));
	request(ar_of(4, start + 100 * SEC, 30 * SEC));
	resize(1, 300 * SEC);
	ck_assert_uint_eq(refusal().lease, 3);
	struct offer offer = plan_offer(plan);
	ck_assert(offer.valid);
	ck_assert_int_gt(offer.duration_us, 30 * SEC);
	resize(1, offer.duration_us + 1);
	ck_assert_int_eq(refusal().code, REASON_NO_ROOM);
	resize(1, offer.duration_us);
	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 0);
}
END_TEST

/* What is longer costs what it is asked for now, what is shorter never more than before. */
START_TEST(price)
{
	settings.price = policy_price("load");
	settings.price_rate = 3600;
	plan_begin();
	struct lease_spec spec = ar_of(1, now + 60 * SEC, 100 * SEC);
	spec.price_max = 500;
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->price, 100);
	request(ar_of(3, now + 60 * SEC, 400 * SEC));
	resize(1, 400 * SEC); /* 400 s, four times as dear by now */
	ck_assert_int_eq(refusal().code, REASON_PRICE);
	ck_assert_int_eq(refusal().arg0, 1600);
	ck_assert_int_eq(lease->price, 100);
	resize(1, 110 * SEC);
	ck_assert_int_eq(lease->price, 440);
	resize(1, 109 * SEC);
	ck_assert_int_eq(lease->price, 436);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_resize");
	TCase *staged = tcase_create("staged");

	tcase_add_checked_fixture(staged, staged_setup, plan_teardown);
	tcase_add_test(staged, longer);
	tcase_add_test(staged, longer_is_refused);
	tcase_add_test(staged, shorter);
	tcase_add_test(staged, bad_lengths);
	tcase_add_test(staged, deadline);
	tcase_add_test(staged, before_the_queue);
	tcase_add_test(staged, best_effort);
	tcase_add_test(staged, best_effort_refused);
	tcase_add_test(staged, best_effort_suspended);
	tcase_add_test(staged, offer_of_one_to_come);
	tcase_add_test(staged, price);
	suite_add_tcase(suite, staged);
	return run_suite(suite);
}
