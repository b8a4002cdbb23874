/* EDF on one CPU: budgets and order step by step, then random tasks in virtual time that must never miss a deadline. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edf_world.h"

#define MS INT64_C(1000000)
#define US INT64_C(1000)
#define LIMIT 0.9

static struct edf edf;
static unsigned order[EDF_LADDER];
static int64_t again;

/* Nothing costs anything, so that the numbers below are round. */
static void setup(void)
{
	struct edf_floor floor = edf_floor_default();

	floor.wake_ns = 0;
	edf_init(&edf, &floor, 0);
}

static void set(unsigned slot, int64_t slice_ns, int64_t period_ns, int64_t now)
{
	edf_set(&edf, slot, &(struct edf_constraint){slice_ns, period_ns, false}, now, now);
}

static unsigned look(int64_t now)
{
	return edf_look(&edf, now, order, &again);
}

static int64_t left_of(unsigned slot)
{
	int64_t release, deadline, left;

	ck_assert(edf_now(&edf, slot, &release, &deadline, &left));
	return left;
}

START_TEST(nobody)
{
	ck_assert_uint_eq(look(5 * MS), 0);
	ck_assert_int_eq(again, EDF_NEVER);
	set(3, 2 * MS, 10 * MS, 5 * MS);
	ck_assert_uint_eq(look(5 * MS), 1);
	edf_clear(&edf, 3, 6 * MS);
	ck_assert_uint_eq(look(6 * MS), 0);
	ck_assert_int_eq(again, EDF_NEVER);
	ck_assert_ptr_null(edf_stat(&edf, 3));
}
END_TEST

START_TEST(one_period_after_another)
{
	set(7, 3 * MS, 10 * MS, 0);
	for (int64_t t = 0; t < 100 * MS; t += 10 * MS) {
		ck_assert_uint_eq(look(t), 1);
		ck_assert_uint_eq(order[0], 7);
		ck_assert_int_eq(again, t + 3 * MS);
		edf_charge(&edf, 7, 3 * MS);
		ck_assert_uint_eq(look(t + 3 * MS), 0);
		ck_assert_int_eq(again, t + 10 * MS);
	}
	look(100 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 7)->periods, 10);
	ck_assert_uint_eq(edf_stat(&edf, 7)->misses, 0);
	ck_assert_int_eq(edf_stat(&edf, 7)->used_ns, 30 * MS);
}
END_TEST

START_TEST(overrun_is_owed)
{
	int64_t got = 0;

	set(0, 3 * MS, 10 * MS, 0);
	look(0);
	edf_charge(&edf, 0, 4 * MS);
	ck_assert_uint_eq(look(4 * MS), 0);
	/* Paid back in parts, none of which would make a miss. */
	for (int64_t t = 10 * MS; t < 1000 * MS; t += 10 * MS) {
		look(t);
		int64_t left = left_of(0);
		ck_assert_int_ge(left, 3 * MS - 30 * US);
		ck_assert_int_le(left, 3 * MS);
		got += left;
		edf_charge(&edf, 0, left);
		look(t + left);
	}
	ck_assert_int_eq(got, 99 * 3 * MS - 1 * MS);
	ck_assert_int_eq(edf_stat(&edf, 0)->over_max_ns, 1 * MS);
	/* What it gets while parked is nobody's loss. */
	edf_charge(&edf, 0, 2 * MS);
	look(1000 * MS);
	ck_assert_int_eq(edf_stat(&edf, 0)->slack_ns, 2 * MS);
	ck_assert_int_eq(edf_stat(&edf, 0)->owed_ns, 0);
	ck_assert_int_eq(left_of(0), 3 * MS);
}
END_TEST

START_TEST(a_miss_is_told)
{
	set(0, 3 * MS, 10 * MS, 0);
	set(1, 3 * MS, 20 * MS, 0);
	look(0);
	edf_charge(&edf, 0, 1 * MS);
	edf_charge(&edf, 1, 0);
	look(1 * MS);
	/* Nobody looked at all: three periods, for which it got what belongs to one. */
	edf_charge(&edf, 0, 39 * MS);
	look(40 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 0);
	ck_assert_int_gt(edf_stat(&edf, 0)->owed_ns, 20 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 1)->misses, 2);
	ck_assert_int_eq(edf_stat(&edf, 1)->short_max_ns, 6 * MS);
}
END_TEST

START_TEST(earliest_deadline_first)
{
	set(0, 20 * MS, 100 * MS, 0);
	set(1, 5 * MS, 20 * MS, 0);
	set(2, 8 * MS, 50 * MS, 0);
	ck_assert_uint_eq(look(0), 3);
	ck_assert_uint_eq(order[0], 1);
	ck_assert_uint_eq(order[1], 2);
	ck_assert_uint_eq(order[2], 0);
	edf_charge(&edf, 1, 5 * MS);
	ck_assert_uint_eq(look(5 * MS), 2);
	ck_assert_uint_eq(order[0], 2);
	/* From 80 ms on, a deadline at 100 ms that both have: the slot decides. */
	set(0, 20 * MS, 100 * MS, 0);
	edf_charge(&edf, 2, 8 * MS);
	look(13 * MS);
	edf_charge(&edf, 0, 7 * MS);
	look(20 * MS);
	ck_assert_uint_eq(order[0], 1);
}
END_TEST

START_TEST(small_rest_waits_behind_one_that_runs)
{
	set(0, 10 * MS, 20 * MS, 0);
	set(1, 200 * US, 40 * MS, 0);
	ck_assert_uint_eq(look(0), 1);
	ck_assert_uint_eq(order[0], 0);
	/* The first sleeps: now it may. */
	look(again);
	ck_assert_uint_eq(edf.ladder, 2);
	ck_assert_uint_eq(order[1], 1);
}
END_TEST

START_TEST(sleeper_keeps_what_its_rate_allows)
{
	set(0, 10 * MS, 100 * MS, 0);
	look(0);
	/* It has the CPU for itself, so it may keep nine times its rate: all of its slice for long. */
	look(50 * MS);
	ck_assert_int_eq(left_of(0), 10 * MS);
	look(95 * MS);
	ck_assert_int_eq(left_of(0) / US, 4500);
	ck_assert_uint_eq(order[0], 0);
	/* Beside another it may keep its own rate only; and as little as it slept is taken off. */
	setup();
	set(0, 10 * MS, 100 * MS, 0);
	set(1, 80 * MS, 100 * MS, 0);
	look(0);
	edf_charge(&edf, 1, 50 * MS);
	look(50 * MS);
	ck_assert_int_eq(left_of(0) / MS, 5);
	look(100 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 0);
	ck_assert_uint_eq(edf_stat(&edf, 0)->idle, 1);
	ck_assert_int_eq(left_of(0), 10 * MS);
}
END_TEST

START_TEST(what_nobody_had_is_not_sleep)
{
	set(0, 10 * MS, 100 * MS, 0);
	set(1, 80 * MS, 100 * MS, 0);
	look(0);
	edf_charge(&edf, 0, 4 * MS);
	edf_awake(&edf, 0);
	look(10 * MS);
	ck_assert_int_eq(left_of(0), 6 * MS);
	ck_assert_int_eq(left_of(1), 80 * MS);
	/* The second cannot be said to sleep behind a first that is ready, either. */
	edf_charge(&edf, 0, 6 * MS);
	edf_awake(&edf, 0);
	look(16 * MS);
	edf_awake(&edf, 1);
	look(100 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 0);
	ck_assert_uint_eq(edf_stat(&edf, 1)->misses, 1);
	ck_assert_uint_eq(edf_stat(&edf, 1)->idle, 0);
}
END_TEST

/* A second look at the same instant: what was true until then is not said of what comes after it. */
START_TEST(awake_is_of_the_past_only)
{
	set(0, 90 * MS, 100 * MS, 0);
	edf_awake(&edf, 0);
	look(0);
	edf_charge(&edf, 0, 10 * MS);
	look(50 * MS);
	edf_charge(&edf, 0, 50 * MS);
	edf_awake(&edf, 0);
	look(100 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 0);
	ck_assert_uint_eq(edf_stat(&edf, 0)->idle, 1);
}
END_TEST

START_TEST(what_is_late_comes_first)
{
	set(0, 10 * MS, 100 * MS, 0);
	set(1, 20 * MS, 50 * MS, 0);
	look(0);
	edf_charge(&edf, 1, 20 * MS);
	look(20 * MS);
	edf_charge(&edf, 0, 7 * MS);
	edf_awake(&edf, 0);
	look(100 * MS);
	/* Both have a new period, the other's ends first; but of this one 3 ms are due since now. */
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 1);
	ck_assert_int_eq(edf_stat(&edf, 0)->short_max_ns, 3 * MS);
	ck_assert_int_eq(left_of(0), 13 * MS);
	ck_assert_uint_eq(order[0], 0);
	ck_assert_int_le(again, 103 * MS);
	edf_charge(&edf, 0, 3 * MS);
	edf_awake(&edf, 0);
	look(103 * MS);
	ck_assert_uint_eq(order[0], 1);
	edf_charge(&edf, 1, 20 * MS);
	look(123 * MS);
	edf_charge(&edf, 0, 10 * MS);
	look(133 * MS);
	/* It was told once, and of what nobody got for long one slice is made good. */
	look(200 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 1);
	ck_assert_int_eq(left_of(0), 10 * MS);
	edf_awake(&edf, 0);
	look(1000 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->misses, 9);
	ck_assert_int_eq(left_of(0), 20 * MS);
}
END_TEST

START_TEST(change_is_at_once)
{
	int64_t release, deadline, left;

	set(0, 10 * MS, 100 * MS, 0);
	look(0);
	edf_charge(&edf, 0, 10 * MS);
	ck_assert_uint_eq(look(10 * MS), 0);
	set(0, 25 * MS, 50 * MS, 12 * MS);
	ck_assert_uint_eq(look(12 * MS), 1);
	edf_now(&edf, 0, &release, &deadline, &left);
	ck_assert_int_eq(deadline, 62 * MS);
	ck_assert_int_eq(left, 25 * MS);
	/* Aligned releases: a part of the slice until the next of them. */
	edf_set(&edf, 0, &(struct edf_constraint){20 * MS, 80 * MS, true}, 0, 20 * MS);
	edf_now(&edf, 0, &release, &deadline, &left);
	ck_assert_int_eq(deadline, 80 * MS);
	ck_assert_int_eq(left, 15 * MS);
	edf_set(&edf, 0, &(struct edf_constraint){20 * MS, 80 * MS, true}, 1640 * MS, 20 * MS);
	edf_now(&edf, 0, &release, &deadline, &left);
	ck_assert_int_eq(deadline, 40 * MS);
	look(40 * MS);
	edf_now(&edf, 0, &release, &deadline, &left);
	ck_assert_int_eq(deadline, 120 * MS);
	ck_assert_uint_eq(edf_stat(&edf, 0)->periods, 0);
}
END_TEST

START_TEST(newcomer_takes_from_nobody)
{
	/* The first had its whole slice already and leaves; the second still needs 40 of the next 50. */
	set(0, 50 * MS, 100 * MS, 0);
	set(1, 40 * MS, 101 * MS, 0);
	look(0);
	edf_charge(&edf, 0, 50 * MS);
	look(50 * MS);
	edf_clear(&edf, 0, 50 * MS);
	set(0, 25 * MS, 50 * MS, 50 * MS);
	ck_assert_int_lt(left_of(0), 12 * MS);
	ck_assert_int_gt(left_of(0), 10 * MS);
}
END_TEST

/* ---- random ---- */

static uint64_t seed;

static void take_seed(void)
{
	const char *text = getenv("TENURE_SEED");

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	printf("edf: seed %" PRIu64 "\n", seed);
	fflush(stdout);
}

static double density(const struct edf_constraint *c, int64_t wake_ns)
{
	return (double)(c->slice_ns + 2 * wake_ns) / (double)c->period_ns;
}

static double load(const struct edf_world *world)
{
	double sum = 0;

	for (unsigned i = 0; i < EDF_TASKS; i++) {
		if (world->task[i].there) {
			sum += density(&world->task[i].constraint, world->edf.floor.wake_ns);
		}
	}
	return sum;
}

struct mix {
	int64_t low_ns;    /* shortest period */
	unsigned spinners; /* of 100 tasks */
	double limit;
};

/* A task that fits into the slot and has at most that part of the room, if its slice is not absurdly small. */
static void set_random(struct edf_world *world, const struct mix *mix, unsigned slot, double share)
{
	struct edf_world_task *task = &world->task[slot];
	double room = mix->limit - load(world);
	struct edf_constraint c = {0};

	if (task->there) {
		room += density(&task->constraint, world->edf.floor.wake_ns);
	}
	c.period_ns = edf_world_spread(world, mix->low_ns, 10000 * MS);
	c.slice_ns = (int64_t)(room * share * (double)c.period_ns) - 2 * world->edf.floor.wake_ns - 1;
	c.strict = edf_world_random(world, 2);
	if (c.slice_ns >= 50 * US) {
		edf_world_set(world, slot, &c, edf_world_random(world, 100) < mix->spinners);
	}
}

static void begin(struct edf_world *world, const struct mix *mix)
{
	unsigned n = 2 + (unsigned)edf_world_random(world, 15);

	for (unsigned i = 0; i < n; i++) {
		double share = 2 * (double)edf_world_random(world, 1000) / 1000 / (n - i);

		set_random(world, mix, i, i + 1 == n || share > 1 ? 1 : share);
	}
}

static void change(struct edf_world *world, const struct mix *mix)
{
	unsigned slot = (unsigned)edf_world_random(world, 20);

	if (world->task[slot].there && edf_world_random(world, 2)) {
		edf_world_clear(world, slot);
	} else {
		set_random(world, mix, slot, (double)(1 + edf_world_random(world, 1000)) / 1000);
	}
}

/*
 * What a task that always runs got by its budgets, in all whole periods, is what it was promised; the core knows how
 * far from it, and that does not grow with time: it is less than a few late looks make.
 */
static void rates_hold(const struct edf_world *world, uint64_t which)
{
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		const struct edf_world_task *task = &world->task[i];
		int64_t off = task->budget_then_ns - task->windows * task->constraint.slice_ns;

		if (task->there && task->spinner && task->windows > 0) {
			int64_t owed = edf_stat(&world->edf, i)->owed_ns;

			int64_t allowed = 60 * US + 12 * (world->jitter_ns + world->cost_ns);

			if (world->cost_ns > 0) {
				allowed += task->windows * task->constraint.period_ns / 500;
			}
			ck_assert_msg(llabs(off) <= allowed && llabs(off - owed) <= 100 * US,
				      "set %" PRIu64 " task %u: %" PRId64 " us off after %" PRId64
				      " periods, owes %" PRId64 " us",
				      which, i, off / US, task->windows, owed / US);
		}
	}
}

/* Whatever the core says of it: by the world's own count nobody misses, whatever the others do. */
static void run_set(uint64_t which, int64_t cost_ns, int64_t jitter_ns, bool changes)
{
	static struct edf_world world;
	struct edf_floor floor = edf_floor_default();
	uint64_t misses = 0;

	floor.wake_ns = cost_ns;
	edf_world_init(&world, &floor, which);
	world.cost_ns = cost_ns;
	world.jitter_ns = jitter_ns;
	struct mix mix = {.low_ns = edf_world_spread(&world, MS, 1000 * MS),
			  .spinners = (unsigned)edf_world_random(&world, 101),
			  .limit = LIMIT * (0.4 + 0.6 * (double)edf_world_random(&world, 1000) / 999)};
	int64_t length = mix.low_ns * 2500 < 40000 * MS ? mix.low_ns * 2500 : 40000 * MS;
	int64_t end = world.now_ns + length;

	begin(&world, &mix);
	while (world.now_ns < end) {
		edf_world_run(&world, changes ? world.now_ns + edf_world_spread(&world, 100 * US, length / 10) : end);
		if (changes) {
			change(&world, &mix);
		}
	}
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		misses += world.task[i].there ? edf_stat(&world.edf, i)->misses : 0;
	}
	ck_assert_msg(world.misses == 0 && misses == 0,
		      "set %" PRIu64 ": %" PRIu64 " of %" PRIu64 " missed, by the core %" PRIu64 ", worst %" PRId64
		      " us",
		      which, world.misses, world.windows, misses, world.worst_ns / US);
	rates_hold(&world, which);
}

static void run_sets(int64_t cost_ns, int64_t jitter_ns, bool changes)
{
	take_seed();
	for (uint64_t i = 0; i < 60; i++) {
		run_set(seed + i, cost_ns, jitter_ns, changes);
	}
}

START_TEST(random_sets)
{
	run_sets(0, 0, false);
}
END_TEST

/* The first task blocks for long right after a look at the instant it came. */
START_TEST(set_that_once_missed)
{
	run_set(UINT64_C(1795352991), 0, 0, false);
}
END_TEST

START_TEST(random_sets_on_a_real_machine)
{
	run_sets(15 * US, 20 * US, false);
}
END_TEST

/* What a hypervisor takes makes misses, but nobody loses it: all rates hold, and nobody waits for it long. */
START_TEST(random_sets_on_a_shared_machine)
{
	static struct edf_world world;
	struct edf_floor floor = edf_floor_default();

	take_seed();
	for (uint64_t i = 0; i < 40; i++) {
		struct mix mix = {.low_ns = 2 * MS, .spinners = 100, .limit = 0.8};

		edf_world_init(&world, &floor, seed + i);
		world.cost_ns = world.jitter_ns = 15 * US;
		begin(&world, &mix);
		edf_world_run(&world, world.now_ns + 2000 * MS);
		world.steal_ns = MS;
		edf_world_run(&world, world.now_ns + 4000 * MS);
		world.steal_ns = 0;
		edf_world_run(&world, world.now_ns + 2000 * MS);
		rates_hold(&world, seed + i);
	}
}
END_TEST

START_TEST(random_changes)
{
	run_sets(0, 0, true);
}
END_TEST

START_TEST(random_changes_on_a_real_machine)
{
	run_sets(15 * US, 20 * US, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_edf");
	TCase *steps = tcase_create("steps");
	TCase *random = tcase_create("random");

	tcase_add_checked_fixture(steps, setup, NULL);
	tcase_add_test(steps, nobody);
	tcase_add_test(steps, one_period_after_another);
	tcase_add_test(steps, overrun_is_owed);
	tcase_add_test(steps, a_miss_is_told);
	tcase_add_test(steps, earliest_deadline_first);
	tcase_add_test(steps, small_rest_waits_behind_one_that_runs);
	tcase_add_test(steps, sleeper_keeps_what_its_rate_allows);
	tcase_add_test(steps, what_nobody_had_is_not_sleep);
	tcase_add_test(steps, awake_is_of_the_past_only);
	tcase_add_test(steps, what_is_late_comes_first);
	tcase_add_test(steps, change_is_at_once);
	tcase_add_test(steps, newcomer_takes_from_nobody);
	tcase_set_timeout(random, 60);
	tcase_add_test(random, random_sets);
	tcase_add_test(random, set_that_once_missed);
	tcase_add_test(random, random_sets_on_a_real_machine);
	tcase_add_test(random, random_sets_on_a_shared_machine);
	tcase_add_test(random, random_changes);
	tcase_add_test(random, random_changes_on_a_real_machine);
	suite_add_tcase(suite, steps);
	suite_add_tcase(suite, random);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
