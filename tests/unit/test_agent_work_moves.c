/* Guests that come from other nodes, or go to them, by the driver of the book: when they are restored, and given up. */
#include "suite.h"
#include "work_world.h"

static struct part_vm coming(void)
{
	struct part_vm vm = vm_of(RUN_RESUME, RUN_SUSPEND, true);

	vm.from = "http://127.0.0.1/guests/n/7-1-1";
	return vm;
}

START_TEST(comes_from_elsewhere)
{
	struct part_vm vm = coming();
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(START + 10 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ABSENT);
	/* Its copy takes long, but it comes. */
	run_until(START + 60 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ABSENT);
	copy_here = COPY_HERE;
	run_until(START + 65 * SEC);
	ck_assert(g->running);
	ck_assert_uint_eq(g->boots, 0);
	/* The agent is killed: it is not fetched once more. */
	copy_here = COPY_COMING;
	kill_agent(false);
	start_agent();
	run_until(START + 70 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_RUNNING);
	run_until(END + 5 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_SUSPENDED);
	ck_assert(g->saved);
}
END_TEST

START_TEST(does_not_come)
{
	struct part_vm vm = coming();
	struct fake_guest *g = fake_guest(7, 1, 1);
	char text[PART_TEXT_MAX];
	wall_us at_us;

	copy_here = COPY_STUCK;
	set_part(&vm, 1);
	run_until(START + WORK_GIVE_UP_US - 1);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ABSENT);
	run_until(START + WORK_GIVE_UP_US);
	ck_assert_int_eq(reported(7, 1, text, &at_us), SEEN_FAILED);
	ck_assert_str_eq(text, "it could not be fetched from its other node: made-up cut");
	ck_assert_int_eq(at_us, START + WORK_GIVE_UP_US);
	/* That is final for this plan, come what may. */
	copy_here = COPY_HERE;
	run_until(START + 50 * SEC);
	set_part(&vm, 1);
	run_until(START + 51 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_FAILED);
	kill_agent(false);
	start_agent();
	run_until(START + 52 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_FAILED);
	/* By another it comes anew, when nothing is left of the first attempt. */
	vm.run.start_us = START + 60 * SEC;
	set_part(&vm, 1);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_COUNT);
	run_until(START + 60 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_RUNNING);
	ck_assert(g->running);
}
END_TEST

/* It goes on where it came from when it has failed here: that is not said while its domain is still there. */
START_TEST(fails_here_only_when_gone)
{
	struct part_vm vm = coming();
	struct fake_guest *g = fake_guest(7, 1, 1);

	copy_here = COPY_HERE;
	set_part(&vm, 1);
	run_until(START - 2 * SEC);
	ck_assert(g->domain && !g->running);
	fake.fail = 1000;
	run_until(START + 80 * SEC);
	ck_assert(g->domain);
	ck_assert_int_eq(book_find(book, 7, 1, 1)->stage, WORK_FAILED);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_PREPARED);
	work_guests_ops.connected(false, "gone", work);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ABSENT);
	work_guests_ops.connected(true, "", work);
	fake.fail = 0;
	run_until(START + 200 * SEC);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_FAILED);
}
END_TEST

START_TEST(lies_still)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_SUSPEND, true);
	struct book_key key = {7, 1, 1};

	set_part(&vm, 1);
	ck_assert(!work_lies_still(work, &key));
	run_until(END + SEC);
	ck_assert(!work_lies_still(work, &key));
	run_until(END + 5 * SEC);
	ck_assert(work_lies_still(work, &key));
	vm.planned = false;
	vm.to = "n2";
	set_part(&vm, 1);
	run_until(END + 50 * SEC);
	ck_assert(work_lies_still(work, &key));
	work_guests_ops.connected(false, "gone", work);
	ck_assert(!work_lies_still(work, &key));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_work_moves");
	TCase *tcase = tcase_create("moves");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, comes_from_elsewhere);
	tcase_add_test(tcase, does_not_come);
	tcase_add_test(tcase, fails_here_only_when_gone);
	tcase_add_test(tcase, lies_still);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
