/* What a head records is replayed to the same rows; a recording that was tampered with is not. */
#include "manager_fixture.h"

#include "replay.h"
#include "suite.h"

static uint32_t one, two;
static uint64_t seed;
static uint64_t manager_last; /* lease */
static int resized, refusals, called;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13; /* xorshift64, Marsaglia 2003 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void choose(char **setting, const char *name)
{
	free(*setting);
	*setting = xstrdup(name);
}

static void set_up(void)
{
	manager_last = 1;
	resized = 0;
	called = 0;
	refusals = 0;
	setup();
	one = hello("n1");
	accepted(request(LEASE_BEST_EFFORT, 2, 0, 200 * SECOND));
	live(one, 20 * SECOND);
	/* From here on it is recorded, with a guest running. */
	stop();
	settings.record = true;
	choose(&settings.queue, "fair");
	choose(&settings.price, "load");
	settings.price_rate = 1000;
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

static const char *const owners[] = {"ann", "bob", "eve"};

static struct command some_resize(void)
{
	return (struct command){
		.kind = COMMAND_LEASE_EXTEND,
		.owner = "ann",
		.is_operator = true,
		.method = "lease.extend",
		.name = "",
		.lease = manager_last + 1 -
			 draw(manager_last < 12 ? manager_last : 12), /* some are over, or not there */
		.duration_us = (span_us)(1 + draw(600)) * SECOND,
	};
}

static struct command some_window(void)
{
	struct command command = ar(1 + (uint32_t)draw(5), (span_us)(30 + draw(200)) * SECOND);

	command.spec.latest_us = command.spec.start_us + (span_us)draw(300) * SECOND;
	return command;
}

static struct command some_deadline(void)
{
	struct command command = request(LEASE_DEADLINE, 1 + (uint32_t)draw(4), 0, (span_us)(20 + draw(100)) * SECOND);

	command.spec.start_us = draw(2) ? now_us + (span_us)draw(60) * SECOND : 0;
	command.spec.deadline_us = now_us + (span_us)(60 + draw(600)) * SECOND;
	return command;
}

static struct command some_open(void)
{
	struct command command = request(LEASE_OPEN, 1 + (uint32_t)draw(2), 0, (span_us)(20 + draw(60)) * SECOND);

	command.spec.start_us = draw(2) ? now_us + (span_us)draw(60) * SECOND : 0;
	command.spec.latest_us = now_us + (span_us)(120 + draw(300)) * SECOND;
	command.spec.response_us = (span_us)(5 + draw(60)) * SECOND;
	return command;
}

/* Of those that could be called the one that came last. */
static struct command some_call(void)
{
	return (struct command){
		.kind = COMMAND_LEASE_CALL,
		.owner = "ann",
		.is_operator = true,
		.method = "lease.call",
		.name = "",
		.lease = (uint64_t)raw_number(dir, "SELECT coalesce(max(id), 1) FROM leases WHERE state = 'standby'"),
	};
}

static struct reply asked(struct command command)
{
	struct reply reply;

	command.owner = owners[draw(ARRAY_SIZE(owners))];
	reply = answer(command);
	manager_last = id_of(&reply) > manager_last ? id_of(&reply) : manager_last;
	return reply;
}

static void act(void)
{
	struct reply reply = {0};

	switch (draw(11)) {
	case 0:
		reply = asked(ar(1 + (uint32_t)draw(5), (span_us)(30 + draw(300)) * SECOND));
		break;
	case 1:
	case 2:
		reply = asked(request(LEASE_BEST_EFFORT, 1 + (uint32_t)draw(6), 0, (span_us)(20 + draw(200)) * SECOND));
		break;
	case 3:
		reply = asked(request(LEASE_IMMEDIATE, 1 + (uint32_t)draw(2), 0, (span_us)(20 + draw(50)) * SECOND));
		break;
	case 4:
		reply = answer(cancel(1 + draw(manager_last + 1), "ann", true));
		break;
	case 5:
		reply = asked(some_window());
		break;
	case 6:
		reply = asked(some_deadline());
		break;
	case 7:
	case 8:
		reply = answer(some_resize());
		resized += reply.result != NULL;
		refusals += reply.data != NULL;
		break;
	case 9:
		reply = asked(some_open());
		break;
	case 10:
		reply = answer(some_call());
		called += reply.result != NULL;
		break;
	}
	clear(&reply);
}

static void busy(int acts)
{
	for (int i = 0; i < acts; i++) {
		act();
		if (i % 60 == 30) {
			fail_once();
		}
		live(draw(2) ? one : two, (span_us)draw(20) * SECOND);
		report(one);
		report(two);
	}
}

static void busy_hour(void)
{
	seed = 20261122;
	busy(200);
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
	ck_assert_int_eq(raw_number(dir, "SELECT count(DISTINCT kind) FROM leases WHERE state = 'done'"), 5);
	ck_assert_int_gt(raw_number(dir, "SELECT count(*) FROM leases WHERE state = 'done' AND latest_us > start_us"),
			 0);
	ck_assert_int_gt(raw_number(dir, "SELECT count(DISTINCT price) FROM leases"), 10);
	ck_assert_int_eq(raw_number(dir, "SELECT count(DISTINCT user) FROM leases"), 3);
	ck_assert_int_gt(raw_number(dir, "SELECT count(*) FROM estimates"), 0);
	ck_assert_int_gt(resized, 5);
	ck_assert_int_gt(refusals, 1);
	ck_assert_int_gt(called, 1);
}
END_TEST

START_TEST(other_rows_are_found)
{
	busy_hour();
	raw_exec(dir, "UPDATE slots SET end_us = end_us + 1 WHERE id = (SELECT max(id) FROM slots)");
	ck_assert_uint_eq(replayed().differences, 2); /* the row as recorded, and as replayed */
	raw_exec(dir, "UPDATE estimates SET count = count + 1 WHERE memory = (SELECT min(memory) FROM estimates) AND "
		      "what = 'resume'"
		      " AND node = 1");
	ck_assert_uint_eq(replayed().differences, 4);
	raw_exec(dir, "DELETE FROM vms WHERE lease = (SELECT max(lease) FROM vms)");
	ck_assert_uint_gt(replayed().differences, 4);
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

/* The database is changed; that it is refused in these words, and named, not what it is replayed in. */
static void spoiled(const char *sql, const char *words)
{
	_cleanup_free_ char *path = xasprintf("%s/tenure.db", dir);
	struct replay_figures figures;

	raw_exec(dir, sql);
	ck_assert_int_eq(replay(path, &figures, stderr, &bad), -1);
	ck_assert_msg(strncmp(bad.text, path, strlen(path)) == 0, "%s", bad.text);
	ck_assert_msg(strstr(bad.text, words) != NULL, "%s", bad.text);
	ck_assert_msg(strstr(bad.text, "tenure-replay") == NULL, "%s", bad.text);
}

#define AT(n) " WHERE step = (SELECT max(step) FROM inputs) - " #n

/* Each before the one above it. */
START_TEST(damaged)
{
	busy(10);
	stop();
	spoiled("UPDATE inputs SET data = '{}'" AT(0), "event is missing");
	spoiled("UPDATE inputs SET at_us = 9223372036854775807" AT(1), "a time out of range");
	spoiled("UPDATE inputs SET at_us = -1" AT(2), "a time out of range");
	spoiled("UPDATE inputs SET data = '{\"event\":\"image_added\",\"id\":99,\"size\":9223372036854775807}'" AT(3),
		"size must be an integer");
	spoiled("UPDATE inputs SET data = '{\"event\":\"image_added\",\"id\":1,\"size\":1}'" AT(4),
		"UNIQUE constraint");
	spoiled("DROP TABLE base_slots", "no such table");
	start();
}
END_TEST

START_TEST(a_recording_begins_anew_with_the_head)
{
	busy_hour();
	uint64_t before = replayed().steps;
	stop();
	start();
	report(one);
	report(two);
	busy(40); /* what was used before counts */
	struct replay_figures figures = replayed();
	ck_assert_uint_eq(figures.differences, 0);
	ck_assert_uint_lt(figures.steps, before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_replay");
	TCase *tcase = tcase_create("replay");

	tcase_add_checked_fixture(tcase, set_up, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, same_rows);
	tcase_add_test(tcase, other_rows_are_found);
	tcase_add_test(tcase, nothing_recorded);
	tcase_add_test(tcase, damaged);
	tcase_add_test(tcase, a_recording_begins_anew_with_the_head);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
