/* The slot table against a list of reservations that is simply walked through. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "slots.h"

#define ROWS 60
#define SPAN 200

struct row {
	bool used;
	wall_us start, end;
	struct capacity use;
};

static struct row rows[ROWS];
static struct slots *slots;
static uint64_t seed;

static int64_t pick(int64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int64_t)(seed >> 1) % below;
}

static struct capacity naive_use(wall_us at)
{
	struct capacity use = {{0}};

	for (int i = 0; i < ROWS; i++) {
		if (rows[i].used && rows[i].start <= at && at < rows[i].end) {
			use = capacity_add(use, rows[i].use);
		}
	}
	return use;
}

static struct capacity naive_peak(wall_us start, wall_us end)
{
	struct capacity peak = naive_use(start);

	for (wall_us at = start; at < end; at++) {
		peak = capacity_max(peak, naive_use(at));
	}
	return peak;
}

static wall_us naive_until(struct capacity limit, wall_us from)
{
	for (wall_us at = from; at <= 2 * SPAN; at++) {
		if (!capacity_fits(naive_use(at), limit)) {
			return at;
		}
	}
	return WALL_NEVER;
}

static wall_us naive_fit(struct capacity limit, wall_us from, span_us length)
{
	for (wall_us at = from; at <= 2 * SPAN; at++) {
		wall_us over = naive_until(limit, at);
		if (over == WALL_NEVER || over - at >= length) {
			return at;
		}
	}
	return WALL_NEVER;
}

static wall_us naive_next(wall_us after)
{
	wall_us next = WALL_NEVER;

	for (wall_us at = after + 1; at <= 2 * SPAN && next == WALL_NEVER; at++) {
		struct capacity before = naive_use(at - 1), here = naive_use(at);
		if (!capacity_fits(before, here) || !capacity_fits(here, before)) {
			next = at;
		}
	}
	return next;
}

static struct capacity random_use(int64_t most)
{
	struct capacity use;

	for (int r = 0; r < RES_COUNT; r++) {
		use.amount[r] = pick(most);
	}
	return use;
}

static void change_one(void)
{
	struct row *row = &rows[pick(ROWS)];

	if (row->used) {
		slots_release(slots, row->start, row->end, row->use);
		row->used = false;
		return;
	}
	row->used = true;
	row->start = pick(SPAN);
	row->end = row->start + 1 + pick(SPAN / 4);
	row->use = random_use(3); /* often zero in some or all resources */
	slots_reserve(slots, row->start, row->end, row->use);
}

static void compare(void)
{
	wall_us from = pick(SPAN), to = from + 1 + pick(SPAN / 2);
	struct capacity limit = random_use(60), want = naive_peak(from, to), peak = slots_peak(slots, from, to);
	span_us length = 1 + pick(40);

	for (int r = 0; r < RES_COUNT; r++) {
		ck_assert_int_eq(peak.amount[r], want.amount[r]);
	}
	ck_assert_int_eq(slots_until(slots, limit, from), naive_until(limit, from));
	ck_assert_int_eq(slots_fit(slots, limit, from, length), naive_fit(limit, from, length));
	ck_assert_int_eq(slots_next(slots, from), naive_next(from));
}

START_TEST(against_naive)
{
	const char *text = getenv("TENURE_SEED");

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	printf("slots: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	seed = seed * 2 + 1;
	slots = slots_new();
	for (int i = 0; i < 4000; i++) {
		change_one();
		compare();
	}
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].used) {
			slots_release(slots, rows[i].start, rows[i].end, rows[i].use);
			rows[i].used = false;
		}
	}
	/* Nothing is left when all is taken back. */
	ck_assert_int_eq(slots_next(slots, -1), WALL_NEVER);
	slots_free(slots);
	slots_free(NULL);
}
END_TEST

START_TEST(for_ever)
{
	struct capacity one = {{1, 1, 1, 1, 1}}, none = {{0}};

	slots = slots_new();
	slots_reserve(slots, 10, WALL_NEVER, one);
	ck_assert_int_eq(slots_peak(slots, 0, 10).amount[RES_CPU], 0);
	ck_assert_int_eq(slots_peak(slots, 0, 11).amount[RES_CPU], 1);
	ck_assert_int_eq(slots_peak(slots, INT64_C(1) << 55, WALL_NEVER).amount[RES_DISK], 1);
	ck_assert_int_eq(slots_fit(slots, none, 5, 5), 5);
	ck_assert_int_eq(slots_fit(slots, none, 6, 5), WALL_NEVER);
	slots_free(slots);
}
END_TEST

START_TEST(uses)
{
	struct capacity vm = {{1000, 200, 30, 4, 5}};

	ck_assert_int_eq(slot_use(SLOT_RUN, vm).amount[RES_CPU], 1000);
	ck_assert_int_eq(slot_use(SLOT_PREPARE, vm).amount[RES_CPU], 0);
	ck_assert_int_eq(slot_use(SLOT_PREPARE, vm).amount[RES_MEMORY], 200);
	ck_assert_int_eq(slot_use(SLOT_STOP, vm).amount[RES_DISK], 30);
	ck_assert_int_eq(slot_use(SLOT_SUSPEND, vm).amount[RES_DISK], 230);
	ck_assert_int_eq(slot_use(SLOT_RESUME, vm).amount[RES_MEMORY], 200);
	ck_assert_int_eq(slot_use(SLOT_HOLD, vm).amount[RES_MEMORY], 0);
	ck_assert_int_eq(slot_use(SLOT_HOLD, vm).amount[RES_DISK], 230);
	for (int i = 0; i < SLOT_KIND_COUNT; i++) {
		enum slot_kind kind;
		ck_assert_int_eq(slot_kind_parse(slot_kind_name((enum slot_kind)i), &kind), 0);
		ck_assert_int_eq(kind, i);
	}
	enum slot_kind kind = SLOT_RUN;
	ck_assert_int_eq(slot_kind_parse("", &kind), -1);
	ck_assert_int_eq(kind, SLOT_RUN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_slots");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 30);
	tcase_add_test(all, against_naive);
	tcase_add_test(all, for_ever);
	tcase_add_test(all, uses);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
