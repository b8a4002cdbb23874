/*
 * Carrying out the book: the driver over a made-up libvirt in virtual time, with failures and restarts. The decision
 * itself is tested in test_agent_work_next.c.
 */
#include <sys/stat.h>
#include <time.h>

#include "util.h"
#include "work_world.h"

START_TEST(runs_on_time)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	wall_us at_us;

	set_part(&vm, 1);
	run_until(PREPARE - 1);
	ck_assert(!g->domain);
	run_until(START - 1);
	ck_assert(g->domain && !g->running);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_PREPARED);
	run_until(START);
	ck_assert(g->running);
	ck_assert_int_eq(reported(7, 1, NULL, &at_us), SEEN_RUNNING);
	ck_assert_int_eq(at_us, START);
	run_until(END - 1);
	ck_assert(g->running);
	run_until(END);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, &at_us), SEEN_ENDED);
	ck_assert_int_eq(at_us, END);
	set_part(NULL, 0);
	run_until(END + SEC);
	ck_assert_ptr_null(book_guests(book));
}
END_TEST

START_TEST(suspends_and_resumes)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_SUSPEND, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(END);
	ck_assert(!g->running);
	ck_assert_int_eq(g->stopped_us, END);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_SUSPENDING);
	run_until(END + 5 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_SUSPENDED);
	vm.planned = false;
	set_part(&vm, 1);
	run_until(END + 50 * SEC);
	ck_assert(g->saved && !g->domain);
	vm = vm_of(RUN_RESUME, RUN_STOP, true);
	vm.run = resumed();
	set_part(&vm, 1);
	run_until(END + 70 * SEC);
	ck_assert(g->running);
	ck_assert_int_eq(g->ran_us, END + 70 * SEC);
	run_until(END + 80 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ENDED);
	ck_assert_uint_eq(g->boots, 1);
}
END_TEST

/* A guest has its slice while it runs, and is let go before it is saved or stopped. */
START_TEST(slices)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_SUSPEND, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	vm.slice_us = 2000;
	vm.period_us = 5000;
	set_part(&vm, 1);
	run_until(START - 1);
	ck_assert_int_eq(paced, 0);
	run_until(START);
	ck_assert(g->running);
	ck_assert_int_eq(paced, 2000);
	vm.slice_us = 3000;
	set_part(&vm, 1);
	run_until(START + SEC);
	ck_assert_int_eq(paced, 3000);
	/* An agent that comes back takes it up again. */
	kill_agent(false);
	paced = 0;
	start_agent();
	run_until(START + 2 * SEC);
	ck_assert_int_eq(paced, 3000);
	run_until(END);
	ck_assert_int_eq(paced, 0);
	vm.run = resumed();
	run_until(END + 30 * SEC);
	set_part(&vm, 1);
	run_until(END + 70 * SEC - 1);
	ck_assert_int_eq(paced, 0);
	run_until(END + 71 * SEC);
	ck_assert_int_eq(paced, 3000);
	set_part(NULL, 0); /* cancelled */
	run_until(END + 72 * SEC);
	ck_assert_int_eq(paced, 0);
}
END_TEST

START_TEST(end_moves)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(START + SEC);
	vm.run.end_us = END + 100 * SEC;
	set_part(&vm, 1);
	run_until(END + SEC);
	ck_assert(g->running);
	vm.run.end_us = END + 10 * SEC;
	vm.run.then = RUN_SUSPEND;
	set_part(&vm, 1);
	run_until(END + 20 * SEC);
	ck_assert_int_eq(g->stopped_us, END + 10 * SEC);
	ck_assert(g->saved);
}
END_TEST

START_TEST(plan_moves_before_the_start)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(PREPARE + 5 * SEC);
	ck_assert(g->domain);
	vm.run.prepare_us += 50 * SEC;
	vm.run.start_us += 50 * SEC;
	set_part(&vm, 1);
	run_until(PREPARE + 10 * SEC);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ABSENT);
	run_until(START + 60 * SEC);
	ck_assert(g->running);
	ck_assert_int_eq(g->ran_us, START + 50 * SEC);
	ck_assert_uint_eq(g->boots, 1);
}
END_TEST

START_TEST(late_image)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	char text[PART_TEXT_MAX];

	image_here = false;
	set_part(&vm, 1);
	run_until(START + 20 * SEC);
	ck_assert(!g->domain);
	image_here = true;
	run_until(START + 25 * SEC);
	ck_assert(g->running);
	vm.vm = 2;
	image_here = false;
	set_part(&vm, 1);
	run_until(END + SEC);
	ck_assert_int_eq(reported(7, 2, text, NULL), SEEN_FAILED);
	ck_assert_str_eq(text, "its image did not arrive before its end");
}
END_TEST

START_TEST(gone_is_not_booted_again)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	struct guest seen = {7, 1, 1, SEEN_ENDED, START + 3 * SEC};

	set_part(&vm, 1);
	run_until(START + 3 * SEC);
	stop_domain(g);
	if (_i == 0) {
		work_guests_ops.changed(&seen, "shut down", work);
	} else {
		kill_agent(false);
		start_agent();
		work_part_changed(work);
	}
	run_until(END + SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ENDED);
	ck_assert_uint_eq(g->boots, 1);
	ck_assert(!g->domain);
}
END_TEST

START_TEST(killed_around_the_start)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	char text[PART_TEXT_MAX];

	set_part(&vm, 1);
	run_until(START - SEC / 2);
	kill_agent(true);
	ck_assert(g->running);
	if (_i == 0) {
		stop_domain(g); /* and by itself ended again before anybody looked */
	}
	start_agent();
	run_until(START + 20 * SEC);
	ck_assert_uint_eq(g->boots, 1);
	ck_assert_int_eq(reported(7, 1, text, NULL), _i == 0 ? SEEN_FAILED : SEEN_RUNNING);
	ck_assert_str_eq(text, _i == 0 ? "it was lost before it was seen running" : "");
}
END_TEST

START_TEST(failures_are_retried_then_given_up)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	char text[PART_TEXT_MAX];

	set_part(&vm, 1);
	fake.fail = 2;
	run_until(START + SEC);
	ck_assert_int_eq(reported(7, 1, text, NULL), SEEN_RUNNING);
	vm.vm = 2;
	fake.fail = 1000;
	set_part(&vm, 1);
	run_until(START + WORK_GIVE_UP_US - SEC);
	ck_assert_int_ne(reported(7, 2, NULL, NULL), SEEN_FAILED);
	run_until(END - SEC);
	ck_assert_int_eq(reported(7, 2, text, NULL), SEEN_FAILED);
	ck_assert_ptr_nonnull(strstr(text, "made-up failure"));
}
END_TEST

START_TEST(libvirt_away)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	struct report *report = xcalloc(1, sizeof(*report));

	set_part(&vm, 1);
	run_until(START + SEC);
	fake.down = true;
	work_guests_ops.connected(false, "not answering", work);
	run_until(END + 5 * SEC);
	/* Not known is not absent. */
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_RUNNING);
	work_report(work, report);
	ck_assert(report->degraded);
	ck_assert_str_eq(report->text, "not answering");
	report_free(report);
	fake.down = false;
	work_guests_ops.connected(true, "", work);
	run_until(END + 6 * SEC);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ENDED);
	ck_assert_uint_eq(g->boots, 1);
}
END_TEST

START_TEST(unknown_guests)
{
	struct fake_guest *g = fake_guest(99, 0, 1);

	/* Without a part nobody knows whether it is wanted. */
	g->domain = g->running = true;
	run_until(T0 + 60 * SEC);
	ck_assert(g->domain);
	set_part(NULL, 0);
	run_until(T0 + 61 * SEC);
	ck_assert(!g->domain);
}
END_TEST

START_TEST(unwritable_book)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	struct report *report = xcalloc(1, sizeof(*report));
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", book_path);

	set_part(&vm, 1);
	run_until(START - 2 * SEC);
	ck_assert_int_eq(mkdir(tmp, 0700), 0);
	run_until(START + SEC);
	ck_assert_int_eq(g->ran_us, START);
	work_report(work, report);
	ck_assert(report->degraded);
	report_free(report);
	ck_assert_int_eq(rmdir(tmp), 0);
	run_until(START + 3 * SEC);
	report = xcalloc(1, sizeof(*report));
	work_report(work, report);
	ck_assert(!report->degraded);
	report_free(report);
}
END_TEST

static unsigned booted, saved;

/* Random plans, failures, hangs of libvirt and kills of the agent: whatever happens, no guest boots twice. */
static void random_round(unsigned *seed)
{
	struct part_vm vms[3];

	setup();
	for (uint32_t i = 0; i < 3; i++) {
		vms[i] = vm_of(RUN_BOOT, rand_r(seed) % 2 ? RUN_STOP : RUN_SUSPEND, true);
		vms[i].vm = i;
	}
	set_part(vms, 3);
	for (int step = 0; step < 40 && fake.now_us < END + 100 * SEC; step++) {
		switch (rand_r(seed) % 8) {
		case 0:
			kill_agent(rand_r(seed) % 2);
			if (rand_r(seed) % 4 == 0) {
				stop_domain(fake_guest(7, (uint32_t)rand_r(seed) % 3, 1));
			}
			start_agent();
			work_part_changed(work);
			break;
		case 1:
			fake.fail = (unsigned)rand_r(seed) % 3;
			break;
		case 2:
			fake.down = !fake.down;
			work_guests_ops.connected(!fake.down, "down", work);
			break;
		case 3:
			vms[rand_r(seed) % 3].run.end_us += (rand_r(seed) % 7 - 3) * SEC;
			set_part(vms, 3);
			break;
		default:
			run_until(fake.now_us + rand_r(seed) % 12 * SEC + rand_r(seed) % 1000000);
		}
	}
	fake.fail = 0;
	fake.down = false;
	work_guests_ops.connected(true, "", work);
	run_until(END + 400 * SEC);
	for (uint32_t i = 0; i < 3; i++) {
		struct fake_guest *g = fake_guest(7, i, 1);

		ck_assert_uint_le(g->boots, 1);
		ck_assert(!g->domain && !g->running);
		ck_assert(g->boots == 0 || g->ran_us >= START);
		booted += g->boots;
		saved += g->saved;
		ck_assert_int_ne(reported(7, i, NULL, NULL), SEEN_RUNNING);
		ck_assert(g->saved == (reported(7, i, NULL, NULL) == SEEN_SUSPENDED));
	}
	teardown();
}

START_TEST(random_faults)
{
	unsigned seed = (unsigned)time(NULL), first = seed;

	printf("random_faults: seed %u\n", first);
	for (int round = 0; round < 200; round++) {
		random_round(&seed);
	}
	printf("random_faults: of 600 guests %u ran, %u are suspended\n", booted, saved);
	ck_assert_uint_gt(booted, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_work");
	TCase *driver = tcase_create("driver"), *random = tcase_create("random");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(driver, setup, teardown);
	tcase_add_test(driver, runs_on_time);
	tcase_add_test(driver, suspends_and_resumes);
	tcase_add_test(driver, slices);
	tcase_add_test(driver, end_moves);
	tcase_add_test(driver, plan_moves_before_the_start);
	tcase_add_test(driver, late_image);
	tcase_add_loop_test(driver, gone_is_not_booted_again, 0, 2);
	tcase_add_loop_test(driver, killed_around_the_start, 0, 2);
	tcase_add_test(driver, failures_are_retried_then_given_up);
	tcase_add_test(driver, libvirt_away);
	tcase_add_test(driver, unknown_guests);
	tcase_add_test(driver, unwritable_book);
	suite_add_tcase(suite, driver);
	tcase_set_timeout(random, 60);
	tcase_add_test(random, random_faults);
	suite_add_tcase(suite, random);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
