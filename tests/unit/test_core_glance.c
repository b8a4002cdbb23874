/* What is seen at a glance against the slot tables of the same nodes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "glance.h"
#include "seed.h"
#include "slots.h"
#include "suite.h"

#define NODES 150 /* more than two blocks of columns */
#define ROWS 600
#define MIB (INT64_C(1) << 20)
#define HOUR USEC_PER_HOUR

static const struct capacity has = {.amount = {8000, 16 * 1024 * MIB, INT64_C(1) << 40}};

struct row {
	uint32_t node;
	wall_us start, end;
	struct capacity use;
};

static struct row rows[ROWS];
static size_t row_count;
static struct slots *slots[NODES];
static struct glance *glance;
static wall_us now;

static void setup(void)
{
	take_seed();
	glance = glance_new();
	for (uint32_t i = 0; i < NODES; i++) {
		slots[i] = slots_new();
		glance_node(glance, i, has);
	}
	row_count = 0;
	now = 1000 * HOUR;
	glance_pass(glance, now);
}

static void teardown(void)
{
	for (uint32_t i = 0; i < NODES; i++) {
		slots_free(slots[i]);
	}
	glance_free(glance);
}

static struct capacity random_use(int64_t cores)
{
	/* Often not whole units of what is counted. */
	return (struct capacity){.amount = {cores * 1000, cores * 1024 * MIB + pick(3), pick(2) * MIB}};
}

static void come(uint32_t node, wall_us start, wall_us end, struct capacity use)
{
	rows[row_count++] = (struct row){node, start, end, use};
	slots_reserve(slots[node], start, end, use);
	glance_add(glance, node, start, end, use);
}

static void go(size_t i)
{
	struct row *row = &rows[i];

	slots_release(slots[row->node], row->start, row->end, row->use);
	glance_remove(glance, row->node, row->start, row->end, row->use);
	*row = rows[--row_count];
}

/* From seconds to years, some of it past. */
static wall_us random_length(void)
{
	static const wall_us most[] = {5 * USEC_PER_SEC, HOUR, 10 * HOUR, 1000 * HOUR, 50000 * HOUR};

	return 1 + pick(most[pick(5)]);
}

static void change_one(void)
{
	if (row_count == ROWS || (row_count > 0 && pick(3) == 0)) {
		go((size_t)pick((int64_t)row_count));
		return;
	}
	wall_us start = now - HOUR + pick(20 * HOUR);
	come((uint32_t)pick(NODES), start, start + random_length(), random_use(1 + pick(3)));
}

/* At one instant it counts what is in the table, but for what is less than a unit of memory. */
static void compare_use(void)
{
	uint32_t node = (uint32_t)pick(NODES);
	wall_us at = (now / GLANCE_STEP_US + 1 + pick(200)) * GLANCE_STEP_US;
	struct capacity use = glance_use(glance, node, at), want = slots_peak(slots[node], at, at + 1);

	ck_assert_int_eq(use.amount[RES_CPU], want.amount[RES_CPU]);
	ck_assert_int_le(use.amount[RES_MEMORY], want.amount[RES_MEMORY]);
	ck_assert_int_ge(use.amount[RES_MEMORY], want.amount[RES_MEMORY] - ROWS);
}

static bool fits(uint32_t node, struct capacity use, wall_us start, wall_us end)
{
	struct capacity free = capacity_sub(has, slots_peak(slots[node], start, end));

	return capacity_times(use, free, 1) > 0;
}

/* True if the node is full at one of the instants in that time. */
static bool shows(uint32_t node, struct capacity use, wall_us start, wall_us end)
{
	for (wall_us at = (start / GLANCE_STEP_US + 1) * GLANCE_STEP_US; at < end; at += GLANCE_STEP_US) {
		if (!fits(node, use, at, at + 1)) {
			return true;
		}
	}
	return false;
}

START_TEST(counts_what_the_table_has)
{
	for (int i = 0; i < 20000; i++) {
		change_one();
		compare_use();
		if (pick(10) == 0) {
			now += pick(HOUR / 2);
			glance_pass(glance, now);
		}
	}
}
END_TEST

START_TEST(full_is_what_has_no_room)
{
	int full = 0, shown = 0;

	for (int i = 0; i < 3000; i++) {
		change_one();
		wall_us start = now + pick(20 * HOUR), end = start + 1 + pick(9 * HOUR);
		struct capacity use = random_use(1 + pick(8));
		glance_look(glance, use, start, end);
		for (uint32_t node = 0; node < NODES; node++) {
			if (glance_full(glance, node)) {
				ck_assert(!fits(node, use, start, end));
				full++;
			}
			/* But for the edge, where less than a unit of memory may be what is short. */
			use.amount[RES_MEMORY] -= MIB;
			shown += shows(node, use, start, end);
			use.amount[RES_MEMORY] += MIB;
		}
	}
	ck_assert_int_gt(shown, 1000);
	ck_assert_int_ge(full, shown);
}
END_TEST

START_TEST(nothing_is_left_of_what_went)
{
	struct capacity all = has;

	for (int i = 0; i < 5000; i++) {
		change_one();
	}
	while (row_count) {
		go(row_count - 1);
	}
	glance_look(glance, all, now, now + 40000 * HOUR);
	for (uint32_t node = 0; node < NODES; node++) {
		ck_assert(!glance_full(glance, node));
	}
}
END_TEST

START_TEST(long_times_are_looked_at_in_part)
{
	come(70, now + HOUR, now + 5000 * HOUR, has);
	glance_look(glance, random_use(1), now, now + 50000 * HOUR);
	ck_assert(glance_full(glance, 70));
	ck_assert(!glance_full(glance, 71));
	ck_assert(!glance_full(glance, 149));
}
END_TEST

START_TEST(sums_too_large_to_be_told_are_not_full)
{
	struct capacity vast = {.amount = {INT64_MAX / 8, INT64_MAX / 8}};

	glance_node(glance, 3, vast);
	come(3, now, now + HOUR, (struct capacity){.amount = {UINT32_MAX - 5, 1024 * MIB}});
	glance_look(glance, random_use(8), now, now + HOUR);
	ck_assert(!glance_full(glance, 3));
	/* More than a node has is full, whatever is there. */
	glance_look(glance, random_use(9), now, now + HOUR);
	ck_assert(!glance_full(glance, 3));
	ck_assert(glance_full(glance, 4));
}
END_TEST

START_TEST(asks_anew_after_a_change)
{
	struct capacity use = random_use(1);

	glance_look(glance, use, now, now + HOUR);
	ck_assert(!glance_full(glance, 5));
	come(5, now, now + HOUR, has);
	glance_look(glance, use, now, now + HOUR);
	ck_assert(glance_full(glance, 5));
	glance_node(glance, 5, capacity_scale(has, 2));
	glance_look(glance, use, now, now + HOUR);
	ck_assert(!glance_full(glance, 5));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_glance");
	TCase *tcase = tcase_create("glance");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, counts_what_the_table_has);
	tcase_add_test(tcase, full_is_what_has_no_room);
	tcase_add_test(tcase, nothing_is_left_of_what_went);
	tcase_add_test(tcase, long_times_are_looked_at_in_part);
	tcase_add_test(tcase, sums_too_large_to_be_told_are_not_full);
	tcase_add_test(tcase, asks_anew_after_a_change);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
