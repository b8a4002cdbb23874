/* The manager's decisions: one transaction per pass, answers after it, idempotency, and what nodes say. */
#include "manager_fixture.h"
#include "manager_state.h"
#include "suite.h"

/* ---- requests ---- */

START_TEST(request_is_written_and_answered)
{
	uint32_t node = hello("n1");
	uint64_t version = manager_version(manager, node);
	struct command command = ar(2, 120 * SECOND);
	struct reply reply;
	struct part *part;

	command.name = "mine";
	reply = answer(command);
	ck_assert_msg(reply.result != NULL, "%s", reply.err.text);
	ck_assert_uint_eq(id_of(&reply), 1);
	ck_assert_str_eq(text_in(reply.result, "state"), "scheduled");
	ck_assert_str_eq(text_in(reply.result, "owner"), "ann");
	ck_assert_str_eq(text_in(reply.result, "name"), "mine");
	ck_assert_uint_eq(json_object_array_length(json_object_object_get(reply.result, "vm")), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE state = 'scheduled'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM vms WHERE planned"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM slots WHERE kind = 'run'"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.moved' AND lease = 1"), 1);
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 2);
	ck_assert_str_eq(part->vms[0].name, "mine");
	ck_assert_int_eq(part->vms[0].run.start_us, command.spec.start_us);
	ck_assert_uint_eq(part->image_count, 1);
	ck_assert_str_eq(part->images[0].file[0].url, "http://127.0.0.1:7441/images/" DIGEST);
	ck_assert_int_gt(part->images[0].begin_us, 0);
	ck_assert_uint_eq(part->version, manager_version(manager, node));
	ck_assert_uint_gt(part->version, version);
	version = part->version;
	ck_assert_uint_eq(part->epoch, manager_epoch(manager));
	part_free(part);
	clear(&reply);
	accepted(ar(1, 300 * SECOND));
	ck_assert_uint_gt(manager_version(manager, node), version);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(rejected_says_why_and_offers)
{
	struct reply reply;
	struct json_object *offer;
	uint64_t id;

	hello("n1");
	accepted(ar(4, 120 * SECOND));
	reply = answer(named(ar(4, 120 * SECOND), "again", "d1"));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "no_room");
	ck_assert_str_eq(text_in(reply.data, "reason"), reply.err.text);
	offer = json_object_object_get(reply.data, "offer");
	ck_assert_ptr_nonnull(offer);
	ck_assert_int_gt(json_object_get_int64(json_object_object_get(offer, "start_us")), now_us + 120 * SECOND);
	ck_assert_int_eq(json_object_get_int64(json_object_object_get(offer, "vms")), 4);
	ck_assert_int_eq(json_object_get_int64(json_object_object_get(offer, "duration_us")), 60 * SECOND);
	ck_assert_str_ne(text_in(offer, "start"), "");
	id = id_of(&reply);
	ck_assert_int_eq(state_is(id, "rejected"), 1);
	clear(&reply);
	/* The same answer for the same request, though it would be another one now. */
	accepted(ar(1, 900 * SECOND));
	reply = answer(named(ar(4, 120 * SECOND), "again", "d1"));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_uint_eq(id_of(&reply), id);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "no_room");
	clear(&reply);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(refused_without_effect)
{
	struct command command = named(ar(1, 120 * SECOND), "r", "d");

	hello("n1");
	command.image = "nothing";
	refused(command, ERR_NOT_FOUND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM requests"), 0);
	/* Not remembered: once there is such an image it works. */
	command.image = "ticker";
	accepted(command);
}
END_TEST

/* A guest may write all of its disk: less is refused, and the default is what the image holds. */
START_TEST(disk_is_that_of_the_image)
{
	struct image image = {
		.name = "grown", .format = IMAGE_QCOW2, .cmdline = "", .files = 1, .size = MIB, .disk = GIB};
	struct command add = on_name(COMMAND_IMAGE_ADD, "grown");
	struct command command = ar(1, 120 * SECOND);

	image.file[0] = (struct part_file){.role = "disk", .url = "", .digest = DIGEST, .size = MIB};
	add.add = &image;
	hello("n1");
	accepted(add);
	image.name = "far";
	image.disk = 0;
	image.file[0].url = "http://127.0.0.1/far.qcow2";
	add.name = "far";
	accepted(add);

	command.image = "grown";
	command.spec.per_vm.amount[RES_DISK] = GIB - 1;
	refused(command, ERR_PARAMS);
	command.spec.per_vm.amount[RES_DISK] = COMMAND_DISK_OF_IMAGE;
	accepted(command);
	ck_assert_int_eq(raw_number(dir, "SELECT disk FROM leases"), GIB);
	command.image = "far";
	refused(command, ERR_PARAMS);
	command.spec.per_vm.amount[RES_DISK] = GIB;
	accepted(command);
}
END_TEST

START_TEST(same_request_same_lease)
{
	struct reply replies[3] = {{0}};
	struct command first = named(ar(1, 120 * SECOND), "r1", "d1"), other = named(ar(2, 120 * SECOND), "r1", "d2");
	struct command theirs = first;
	uint64_t id;

	hello("n1");
	/* Twice and a contradiction in one pass. */
	ask(first, &replies[0]);
	ask(first, &replies[1]);
	ask(other, &replies[2]);
	for (int i = 0; i < 3; i++) {
		wait_for(&replies[i]);
	}
	id = id_of(&replies[0]);
	ck_assert_uint_gt(id, 0);
	ck_assert_uint_eq(id_of(&replies[1]), id);
	ck_assert_int_eq(replies[2].err.code, ERR_CONFLICT);
	for (int i = 0; i < 3; i++) {
		clear(&replies[i]);
	}
	/* In later passes, and after a restart. */
	ck_assert_uint_eq(accepted(first), id);
	refused(other, ERR_CONFLICT);
	stop();
	start();
	ck_assert_uint_eq(accepted(first), id);
	refused(other, ERR_CONFLICT);
	/* Another's request_id is another request. */
	theirs.owner = "bob";
	ck_assert_uint_ne(accepted(theirs), id);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 2);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(cancelling)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 120 * SECOND)), second = accepted(ar(1, 120 * SECOND));
	struct reply reply;
	struct part *part;

	refused(cancel(99, "ann", false), ERR_NOT_FOUND);
	refused(cancel(id, "bob", false), ERR_DENIED);
	reply = answer(named(cancel(id, "ann", false), "c1", "d"));
	ck_assert_str_eq(text_in(reply.result, "state"), "cancelled");
	clear(&reply);
	refused(cancel(id, "ann", false), ERR_CONFLICT);
	reply = answer(named(cancel(id, "ann", false), "c1", "d")); /* the same request again is no conflict */
	ck_assert_str_eq(text_in(reply.result, "state"), "cancelled");
	clear(&reply);
	accepted(cancel(second, "bob", true));
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 0);
	part_free(part);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(one_pass_one_commit)
{
	struct reply replies[100] = {{0}};
	long before;

	hello("n1");
	before = fault.syncs;
	for (int i = 0; i < 100; i++) {
		ask(request(LEASE_BEST_EFFORT, 1, 0, 60 * SECOND), &replies[i]);
	}
	pass();
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(replies[i].count, 1);
		ck_assert_uint_eq(id_of(&replies[i]), (uint64_t)i + 1);
		clear(&replies[i]);
	}
	ck_assert_int_le(fault.syncs - before, 2); /* the log's header may be one of them */
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 100);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(asking_changes_nothing)
{
	struct command command = ar(2, 120 * SECOND);
	struct json_object *answered;

	hello("n1");
	answered = manager_ask(manager, "ann", "ticker", &command.spec, &bad);
	ck_assert(json_object_get_boolean(json_object_object_get(answered, "accepted")));
	ck_assert_int_eq(json_object_get_int64(json_object_object_get(answered, "start_us")), command.spec.start_us);
	json_object_put(answered);
	command.spec.vms = 40;
	answered = manager_ask(manager, "ann", "ticker", &command.spec, &bad);
	ck_assert(!json_object_get_boolean(json_object_object_get(answered, "accepted")));
	ck_assert_str_eq(text_in(answered, "reason_code"), "never_fits");
	json_object_put(answered);
	ck_assert_ptr_null(manager_ask(manager, "ann", "nothing", &command.spec, &bad));
	ck_assert_int_eq(bad.code, ERR_NOT_FOUND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
}
END_TEST

/* ---- nodes and images ---- */

START_TEST(a_life)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(2, 60 * SECOND));
	struct part *part;

	live(node, 61 * SECOND);
	ck_assert_int_eq(state_is(id, "active"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM pool"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM transfers WHERE state = 'done'"), 1);
	ck_assert_int_eq(violations(dir), 0);
	live(node, 62 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT first_start_us - start_us FROM leases"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.promise_broken'"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'vm.seen' AND data LIKE '%ended%'"),
			 2);
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 0);
	part_free(part);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(suspended_and_resumed)
{
	uint32_t node = hello("n1");
	uint64_t best = accepted(request(LEASE_BEST_EFFORT, 4, 0, 120 * SECOND)), id;

	live(node, 40 * SECOND);
	ck_assert_int_eq(state_is(best, "active"), 1);
	id = accepted(ar(4, 60 * SECOND));
	live(node, 61 * SECOND);
	ck_assert_int_eq(state_is(id, "active"), 1);
	ck_assert_int_eq(state_is(best, "suspended"), 1);
	ck_assert_int_eq(violations(dir), 0);
	live(node, 85 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(state_is(best, "active"), 1);
	ck_assert_int_eq(violations(dir), 0);
	live(node, 60 * SECOND);
	ck_assert_int_eq(state_is(best, "done"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.promise_broken'"), 0);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

/* The VM of that lease in the node's part, which the caller frees; NULL if it is not there. */
static const struct part_vm *vm_in(struct part *part, uint64_t lease)
{
	for (size_t i = 0; i < part->vm_count; i++) {
		if (part->vms[i].lease == lease) {
			return &part->vms[i];
		}
	}
	return NULL;
}

static struct command whole_node(enum lease_kind kind, wall_us start, span_us duration)
{
	struct command command = request(kind, 1, start, duration);

	command.spec.per_vm.amount[RES_CPU] = 4000;
	return command;
}

/* A guest lies suspended on its node, own, for a long reservation; the other node is free again. */
static uint64_t strand(uint32_t *own, uint32_t *other)
{
	uint32_t node[] = {hello("n1"), hello("n2")};
	uint64_t best = accepted(whole_node(LEASE_BEST_EFFORT, 0, 300 * SECOND));
	_cleanup_free_ char *sql = xasprintf("SELECT node FROM vms WHERE lease = %d AND vm = 0", (int)best);

	for (int i = 0; i < 100 && !state_is(best, "active"); i++) {
		live(node[0], SECOND / 2);
		report(node[1]);
	}
	ck_assert_int_eq(state_is(best, "active"), 1);
	*own = (uint32_t)raw_number(dir, sql);
	*other = node[*own == node[0]];
	accepted(whole_node(LEASE_AR, now_us + 60 * SECOND, 10 * SECOND));
	accepted(whole_node(LEASE_AR, now_us + 60 * SECOND, 600 * SECOND));
	for (int i = 0; i < 200 && !state_is(best, "migrating"); i++) {
		report(*other);
		live(*own, SECOND / 2);
	}
	ck_assert_int_eq(state_is(best, "migrating"), 1);
	return best;
}

START_TEST(goes_on_elsewhere)
{
	uint32_t own, other;
	struct part *left, *right;
	uint64_t best;

	free(settings.migration);
	settings.migration = xstrdup("yes");
	restart();
	best = strand(&own, &other);
	left = manager_part(manager, own);
	right = manager_part(manager, other);
	ck_assert_str_eq(vm_in(left, best)->to, other == 1 ? "n1" : "n2");
	ck_assert(!vm_in(left, best)->planned && !vm_in(left, best)->from);
	ck_assert_str_eq(vm_in(right, best)->from, ""); /* its agent has not said where */
	ck_assert_int_eq(vm_in(right, best)->fetch_us, vm_in(right, best)->run.prepare_us);
	ck_assert(vm_in(right, best)->planned && !vm_in(right, best)->to);
	part_free(left);
	part_free(right);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'vm.moving'"), 1);
	ck_assert_int_eq(violations(dir), 0);
	/* It does not come over: it lies where it lay. */
	now_us += 60 * SECOND;
	report_with(other, best, SEEN_FAILED, POOL_PRESENT, "it could not be fetched");
	ck_assert_int_eq(state_is(best, "suspended"), 1);
	ck_assert_int_eq(violations(dir), 0);
	for (int i = 0; i < 100 && !state_is(best, "active"); i++) {
		live(other, SECOND / 2);
		report(own);
	}
	ck_assert_int_eq(state_is(best, "active"), 1);
	left = manager_part(manager, own);
	right = manager_part(manager, other);
	ck_assert_ptr_null(vm_in(left, best));
	ck_assert_ptr_null(vm_in(right, best)->from);
	part_free(left);
	part_free(right);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(an_agents_words_are_kept)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 60 * SECOND));
	_cleanup_free_ char *sql = xasprintf(
		"SELECT count(*) FROM leases WHERE id = %d AND detail = 'qemu said no' AND state = 'failed'", (int)id);

	live(node, 30 * SECOND);
	report_with(node, id, SEEN_FAILED, POOL_PRESENT, "qemu said no");
	ck_assert_int_eq(raw_number(dir, sql), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(a_bad_image)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 60 * SECOND));

	report_with(node, 0, SEEN_COUNT, POOL_STAGING, "");
	ck_assert_int_eq(raw_number(dir, "SELECT bytes FROM transfers"), 5 * MIB);
	report_with(node, 0, SEEN_COUNT, POOL_BAD, "digest is wrong");
	ck_assert_int_eq(state_is(id, "failed"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE detail = 'digest is wrong'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM transfers WHERE state = 'failed'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'transfer.failed'"), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(silence_and_drain)
{
	uint32_t node = hello("n1");

	manager_node_silent(manager, node);
	pass();
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'silent'"), 1);
	refused(ar(1, 60 * SECOND), ERR_REJECTED);
	accepted(on_name(COMMAND_NODE_DRAIN, "n1"));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'silent' AND drain"), 1);
	report(node); /* heard again; the wish has outlived the silence */
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'draining' AND drain"), 1);
	refused(ar(1, 60 * SECOND), ERR_REJECTED);
	accepted(on_name(COMMAND_NODE_RESUME, "n1"));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'up' AND NOT drain"), 1);
	accepted(ar(1, 60 * SECOND));
	refused(on_name(COMMAND_NODE_DRAIN, "n9"), ERR_NOT_FOUND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'node.state'"), 3);
	ck_assert_uint_eq(hello("n1"), node);
}
END_TEST

START_TEST(images)
{
	struct image image = {.name = "ticker", .format = IMAGE_RAW, .cmdline = "", .files = 1, .size = 1};
	struct command add = on_name(COMMAND_IMAGE_ADD, "ticker");
	uint64_t id;

	hello("n1");
	image.file[0] = (struct part_file){.role = "disk", .url = "", .digest = DIGEST, .size = 1};
	add.add = &image;
	refused(add, ERR_CONFLICT);
	refused(on_name(COMMAND_IMAGE_REMOVE, "nothing"), ERR_NOT_FOUND);
	id = accepted(ar(1, 60 * SECOND));
	refused(on_name(COMMAND_IMAGE_REMOVE, "ticker"), ERR_CONFLICT);
	accepted(cancel(id, "ann", false));
	accepted(on_name(COMMAND_IMAGE_REMOVE, "ticker"));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM images"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM image_files"), 0);
	refused(ar(1, 60 * SECOND), ERR_NOT_FOUND);
	ck_assert_uint_gt(accepted(add), 1); /* a new id, also for an old name */
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

/* For years images come and go: of one that is gone nothing is kept, neither as row nor of what nodes said. */
START_TEST(removed_image_is_forgotten)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(2, 60 * SECOND));

	live(node, 61 * SECOND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM pool"), 1);
	ck_assert_ptr_nonnull(manager_node(manager, node)->images);
	accepted(cancel(id, "ann", false));
	accepted(on_name(COMMAND_IMAGE_REMOVE, "ticker"));
	report(node);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM pool"), 0);
	ck_assert_ptr_null(manager_node(manager, node)->images);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_manager");
	TCase *cases = tcase_create("all");

	log_init(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, request_is_written_and_answered);
	tcase_add_test(cases, rejected_says_why_and_offers);
	tcase_add_test(cases, refused_without_effect);
	tcase_add_test(cases, disk_is_that_of_the_image);
	tcase_add_test(cases, same_request_same_lease);
	tcase_add_test(cases, cancelling);
	tcase_add_test(cases, one_pass_one_commit);
	tcase_add_test(cases, asking_changes_nothing);
	tcase_add_test(cases, a_life);
	tcase_add_test(cases, suspended_and_resumed);
	tcase_add_test(cases, goes_on_elsewhere);
	tcase_add_test(cases, an_agents_words_are_kept);
	tcase_add_test(cases, a_bad_image);
	tcase_add_test(cases, silence_and_drain);
	tcase_add_test(cases, images);
	tcase_add_test(cases, removed_image_is_forgotten);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
