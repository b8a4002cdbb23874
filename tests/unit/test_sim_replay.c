/* What a head records is replayed to the same rows; a recording that was tampered with is not. */
#include "manager_fixture.h"

#include "replay.h"

static uint32_t one, two;
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13; /* xorshift64, Marsaglia 2003 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void set_up(void)
{
	setup();
	one = hello("n1");
	accepted(request(LEASE_BEST_EFFORT, 2, 0, 200 * SECOND));
	live(one, 20 * SECOND);
	/* From here on it is recorded, with a guest running. */
	stop();
	settings.record = true;
	start();
	two = hello("n2");
	report(one);
}

/* A disk that fails once: the pass is lost and the plan is made anew from the rows. */
static void fail_once(void)
{
	struct reply reply = {0};

	fault_clear();
	fault.at = 1;
	fault.code = SQLITE_IOERR;
	ask(ar(1, 300 * SECOND), &reply);
	wait_for(&reply);
	ck_assert_int_eq(reply.err.code, ERR_STORE);
	clear(&reply);
	fault_clear();
	now_us += 2 * SECOND;
	pass();
	report(one);
	report(two);
}

static void act(void)
{
	struct reply reply = {0};

	switch (draw(4)) {
	case 0:
		reply = answer(ar(1 + (uint32_t)draw(5), (span_us)(30 + draw(300)) * SECOND));
		break;
	case 1:
		reply = answer(
			request(LEASE_BEST_EFFORT, 1 + (uint32_t)draw(6), 0, (span_us)(20 + draw(200)) * SECOND));
		break;
	case 2:
		reply = answer(request(LEASE_IMMEDIATE, 1 + (uint32_t)draw(2), 0, (span_us)(20 + draw(50)) * SECOND));
		break;
	case 3:
		reply = answer(cancel(1 + draw(20), "ann", true));
		break;
	}
	clear(&reply);
}

static void busy_hour(void)
{
	seed = 20261122;
	for (int i = 0; i < 60; i++) {
		act();
		if (i == 30) {
			fail_once();
		}
		live(draw(2) ? one : two, (span_us)draw(20) * SECOND);
		report(one);
		report(two);
	}
}

static struct replay_figures replayed(void)
{
	_cleanup_free_ char *path = xasprintf("%s/tenure.db", dir);
	struct replay_figures figures;

	ck_assert_msg(replay(path, &figures, stderr, &bad) == 0, "%s", bad.text);
	return figures;
}

START_TEST(same_rows)
{
	busy_hour();
	ck_assert_int_gt(raw_number(dir, "SELECT count(*) FROM inputs WHERE data LIKE '%rebuilt%'"), 1);
	struct replay_figures figures = replayed();
	ck_assert_uint_eq(figures.differences, 0);
	ck_assert_uint_gt(figures.steps, 200);
	ck_assert_uint_gt(figures.rows, 200);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE kind = 'ar' AND state = 'done'") > 0, 1);
}
END_TEST

START_TEST(other_rows_are_found)
{
	busy_hour();
	raw_exec(dir, "UPDATE slots SET end_us = end_us + 1 WHERE id = (SELECT max(id) FROM slots)");
	ck_assert_uint_eq(replayed().differences, 2); /* the row as recorded, and as replayed */
	raw_exec(dir, "DELETE FROM vms WHERE lease = (SELECT max(lease) FROM vms)");
	ck_assert_uint_gt(replayed().differences, 2);
}
END_TEST

START_TEST(nothing_recorded)
{
	_cleanup_free_ char *path = xasprintf("%s/tenure.db", dir);
	struct replay_figures figures;

	stop();
	raw_exec(dir, "DELETE FROM inputs");
	settings.record = false;
	start();
	ck_assert_int_eq(replay(path, &figures, stderr, &bad), -1);
	ck_assert_msg(strstr(bad.text, "record = yes") != NULL, "%s", bad.text);
	ck_assert_int_eq(replay("/nonexistent.db", &figures, stderr, &bad), -1);
	ck_assert_msg(strstr(bad.text, "/nonexistent.db") != NULL, "%s", bad.text);
}
END_TEST

START_TEST(a_recording_begins_anew_with_the_head)
{
	busy_hour();
	uint64_t before = replayed().steps;
	stop();
	start();
	live(one, 30 * SECOND);
	struct replay_figures figures = replayed();
	ck_assert_uint_eq(figures.differences, 0);
	ck_assert_uint_lt(figures.steps, before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_replay");
	TCase *tcase = tcase_create("replay");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, teardown);
	tcase_add_test(tcase, same_rows);
	tcase_add_test(tcase, other_rows_are_found);
	tcase_add_test(tcase, nothing_recorded);
	tcase_add_test(tcase, a_recording_begins_anew_with_the_head);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
