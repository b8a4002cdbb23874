/* What the head makes of slices and periods: requests, tuning, what nodes say of them. */
#include "manager_fixture.h"

#include "query.h"

#define MS INT64_C(1000)

static struct command rated(uint32_t vms, span_us slice, span_us period)
{
	struct command command = ar(vms, 30 * SECOND);

	command.spec.slice_us = slice;
	command.spec.period_us = period;
	return command;
}

static struct command tune(uint64_t id, span_us slice, span_us period)
{
	return (struct command){
		.kind = COMMAND_LEASE_TUNE,
		.owner = "ann",
		.method = "lease.tune",
		.name = "",
		.lease = id,
		.spec = {.slice_us = slice, .period_us = period},
	};
}

START_TEST(asked_stored_and_told)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(rated(2, 20 * MS, 50 * MS));
	struct part *part;

	ck_assert_int_eq(row(id, "slice_us"), 20 * MS);
	ck_assert_int_eq(row(id, "period_us"), 50 * MS);
	ck_assert_int_eq(row(id, "cpu"), 1000);
	ck_assert_int_eq(row(id, "cpu_booked"), 400);
	ck_assert_int_eq(raw_number(dir, "SELECT sum(cpu) FROM slots WHERE kind = 'run'"), 800);
	ck_assert_int_eq(raw_number(dir, "SELECT edf_cpus = 2 AND edf_limit_ppm = 900000 AND edf_period_us = 1000 AND"
					 " edf_backend = 'edf' FROM nodes"),
			 1);
	/* The guest has as many vCPUs as were asked for, whatever is booked. */
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 2);
	ck_assert_int_eq(part->vms[0].use.amount[RES_CPU], 1000);
	ck_assert_int_eq(part->vms[0].slice_us, 20 * MS);
	ck_assert_int_eq(part->vms[0].period_us, 50 * MS);
	ck_assert(part->vms[0].aligned);
	part_free(part);
	restart();
	live(node, 100 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(refused_with_reason)
{
	struct reply reply;

	hello("n1");
	reply = answer(rated(1, 46 * MS, 50 * MS));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "slice");
	ck_assert_ptr_nonnull(strstr(reply.err.text, "45ms"));
	clear(&reply);
	reply = answer(rated(1, 500, 900));
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "period");
	clear(&reply);
	struct command command = rated(1, 20 * MS, 50 * MS);
	command.spec.per_vm.amount[RES_CPU] = 2001;
	reply = answer(command);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "vcpus");
	clear(&reply);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(tuned)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(rated(2, 20 * MS, 50 * MS)), version;
	struct command command;
	struct reply reply;
	struct part *part;

	live(node, 40 * SECOND);
	version = manager_version(manager, node);
	reply = answer(tune(id, 30 * MS, 50 * MS));
	ck_assert_msg(reply.result != NULL, "%s", reply.err.text);
	ck_assert_int_eq(number(reply.result, "slice_us"), 30 * MS);
	clear(&reply);
	ck_assert_uint_gt(manager_version(manager, node), version);
	part = manager_part(manager, node);
	ck_assert_int_eq(part->vms[1].slice_us, 30 * MS);
	part_free(part);
	ck_assert_int_eq(raw_number(dir, "SELECT sum(cpu) FROM slots WHERE kind = 'run'"), 1200);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.tuned' AND"
					 " json_extract(data, '$.was_slice_us') = 20000 AND"
					 " json_extract(data, '$.slice_us') = 30000"),
			 1);
	restart();
	report(node);
	ck_assert_int_eq(row(id, "slice_us"), 30 * MS);
	/* Beside another there is less: what there is, is offered, the same each time. */
	accepted(rated(1, 15 * MS, 50 * MS));
	accepted(rated(1, 15 * MS, 50 * MS));
	command = named(tune(id, 40 * MS, 50 * MS), "r", "d");
	for (int i = 0; i < 2; i++) {
		reply = answer(command);
		ck_assert_int_eq(reply.err.code, ERR_REJECTED);
		ck_assert_str_eq(text_in(reply.data, "reason_code"), "tune");
		ck_assert_int_ge(number(json_object_object_get(reply.data, "offer"), "slice_us"), 29 * MS);
		ck_assert_ptr_nonnull(strstr(reply.err.text, " in every 50ms would"));
		clear(&reply);
	}
	ck_assert_int_eq(row(id, "slice_us"), 30 * MS);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.tuned'"), 1);
	command = tune(id, 10 * MS, 50 * MS);
	command.owner = "bob";
	refused(command, ERR_DENIED);
	command.is_operator = true;
	accepted(command);
	refused(tune(99, 10 * MS, 50 * MS), ERR_NOT_FOUND);
	live(node, 100 * SECOND);
	refused(tune(id, 10 * MS, 50 * MS), ERR_CONFLICT);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(tuned_away)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(rated(2, 20 * MS, 50 * MS));
	struct part *part;

	live(node, 40 * SECOND);
	accepted(tune(id, 0, 0));
	part = manager_part(manager, node);
	ck_assert_int_eq(part->vms[0].period_us, 0);
	ck_assert_int_eq(part->vms[0].use.amount[RES_CPU], 1000);
	part_free(part);
	ck_assert_int_eq(raw_number(dir, "SELECT sum(cpu) FROM slots WHERE kind = 'run'"), 2000);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.tuned' AND"
					 " json_extract(data, '$.text') = '20ms in every 50ms -> by shares'"),
			 1);
	restart();
	report(node);
	ck_assert_int_eq(row(id, "cpu"), 1000);
	ck_assert_int_eq(row(id, "period_us"), 0);
	accepted(tune(id, 10 * MS, 50 * MS));
	ck_assert_int_eq(row(id, "cpu_booked"), 200);
	live(node, 100 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

/* A report in which the only VM has missed so many periods, so often more than its node allows. */
static void say(uint32_t node, int64_t alarms, int64_t misses)
{
	struct part *part = manager_part(manager, node);
	struct report_vm vm = {
		.lease = part->vms[0].lease,
		.vm = part->vms[0].vm,
		.generation = part->vms[0].generation,
		.seen = SEEN_RUNNING,
		.at_us = part->vms[0].run.start_us,
		.edf = {.backend = "edf",
			.cpus = "1",
			.slice_us = 20 * MS,
			.period_us = 50 * MS,
			.used_ppm = 400000,
			.periods = 1000,
			.misses = misses,
			.late_us = 3 * MS,
			.alarms = alarms},
	};
	struct report_image image = {
		.id = part->images[0].id, .state = POOL_PRESENT, .bytes = part->images[0].file[0].size};
	struct report report = {.epoch = part->epoch,
				.version = part->version,
				.vms = &vm,
				.vm_count = 1,
				.images = &image,
				.image_count = 1};

	manager_node_report(manager, node, &report);
	pass();
	part_free(part);
}

START_TEST(misses_are_events)
{
	uint32_t node = hello("n1");
	static const char *const count = "SELECT count(*) FROM events WHERE kind = 'vm.misses'";

	accepted(rated(1, 20 * MS, 50 * MS));
	live(node, 40 * SECOND);
	say(node, 0, 3);
	ck_assert_int_eq(raw_number(dir, count), 0);
	say(node, 1, 30);
	ck_assert_int_eq(raw_number(dir, count), 1);
	say(node, 1, 35);
	ck_assert_int_eq(raw_number(dir, count), 1);
	say(node, 3, 60);
	ck_assert_int_eq(raw_number(dir, count), 2);
	ck_assert_int_eq(
		raw_number(dir, "SELECT max(json_extract(data, '$.misses')) FROM events WHERE kind = 'vm.misses'"), 60);
	ck_assert_str_eq(manager_last_report(manager, node)->vms[0].edf.backend, "edf");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_manager_edf");
	TCase *cases = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	log_init(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, asked_stored_and_told);
	tcase_add_test(cases, refused_with_reason);
	tcase_add_test(cases, tuned);
	tcase_add_test(cases, tuned_away);
	tcase_add_test(cases, misses_are_events);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
