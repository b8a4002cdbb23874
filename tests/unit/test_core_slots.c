/* The slot table against a list of reservations that is simply walked through. */
#include <check.h>
#include <stdlib.h>

#include "seed.h"
#include "slots.h"
#include "suite.h"

#define ROWS 60
#define ROWS_TOGETHER 4 /* the first of them */
#define SPAN 200

struct row {
	bool used;
	wall_us start, end;
	struct capacity use;
};

static struct row rows[ROWS];
static struct slots *slots;

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

static bool same(struct capacity a, struct capacity b)
{
	return capacity_fits(a, b) && capacity_fits(b, a);
}

static struct capacity random_use(int64_t most)
{
	struct capacity use;

	for (int r = 0; r < RES_COUNT; r++) {
		use.amount[r] = pick(most);
	}
	return use;
}

/* Rows one after another come, or go, in one change. */
static void change_some(void)
{
	struct slots_step step[SLOTS_STEPS];
	bool in = !rows[0].used;
	wall_us at = pick(SPAN);
	unsigned n = 0;

	for (int i = 0; i < ROWS_TOGETHER; i++) {
		struct row *row = &rows[i];
		if (in) {
			*row = (struct row){.start = at, .end = at + 1 + pick(SPAN / 8), .use = random_use(3)};
			at = row->end + (pick(2) ? pick(20) : 0);
		}
		row->used = in;
		n -= n && step[n - 1].at_us == row->start;
		step[n++] = (struct slots_step){row->start, row->use};
		step[n++] = (struct slots_step){.at_us = row->end};
	}
	(in ? slots_add : slots_remove)(slots, step, n);
}

static void change_one(void)
{
	struct row *row = &rows[ROWS_TOGETHER + pick(ROWS - ROWS_TOGETHER)];

	if (pick(10) == 0) {
		change_some();
		return;
	}

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
	for (span_us span = 1; span < 200; span += span) {
		ck_assert_int_eq(slots_within(slots, limit, from, from + span),
				 naive_until(limit, from) >= from + span);
	}
	wall_us fit = naive_fit(limit, from, length);
	ck_assert_int_eq(slots_fit(slots, limit, from, length), fit);
	/* A few points at a time it comes to the same. */
	wall_us near = from, before;
	do {
		before = near;
		near = slots_fit_near(slots, limit, before, length, 1 + (size_t)pick(5));
		ck_assert_int_le(near, fit);
	} while (near > before && near < fit);
	ck_assert_int_eq(near, fit);
	ck_assert_int_eq(slots_next(slots, from), naive_next(from));
}

/* Many questions of one limit between two changes: what the table remembers of one must be true of the others. */
static void compare_more(void)
{
	struct capacity limit = random_use(pick(2) ? 60 : 10);

	limit.amount[pick(RES_COUNT)] -= pick(20) == 0 ? 5 : 0;
	struct capacity idle = limit;
	idle.amount[RES_CPU] = INT64_MAX / 4;
	for (int i = 0; i < 20; i++) {
		struct capacity other = limit;
		limit = idle;
		idle = other;
		wall_us from = pick(SPAN), to = from + 1 + pick(SPAN / 4), until = naive_until(limit, from);
		if (pick(4) == 0) {
			ck_assert(same(slots_peak(slots, from, from + 1), naive_use(from)));
			ck_assert(same(*slots_use(slots, to), naive_use(to)));
		} else if (pick(4)) {
			ck_assert_int_eq(slots_within(slots, limit, from, to), until >= to);
		} else {
			ck_assert_int_eq(slots_until(slots, limit, from), until);
		}
	}
}

static void compare_over(void)
{
	struct capacity limit = random_use(30);
	wall_us from = pick(SPAN), over = slots_over(slots, limit, from);

	ck_assert_int_eq(over > from, naive_until(limit, from) == from);
	for (wall_us at = from; at < over && at < 2 * SPAN; at++) {
		ck_assert_int_eq(naive_until(limit, at), at);
	}
}

/* A copy is alike until something from then on is changed, and again when that is undone. */
static void compare_copy(void)
{
	struct capacity use = random_use(3);
	wall_us from = pick(SPAN), start = pick(SPAN), end = start + 1 + pick(20), differs = from;

	use.amount[RES_CPU]++;
	slots_reserve(slots, 0, 1, (struct capacity){{1, 1, 1, 1, 1}}); /* it knows of all resources */
	struct slots *copy = slots_copy(slots), *changed;
	slots_reserve(slots, start, end, use);
	changed = slots_copy(slots);
	while (copy && differs < 2 * SPAN &&
	       same(slots_peak(copy, differs, differs + 1), slots_peak(slots, differs, differs + 1))) {
		differs++;
	}
	ck_assert(!copy || differs == 2 * SPAN || !slots_alike(copy, slots, from));
	slots_release(slots, start, end, use);
	ck_assert(!copy || !changed || slots_alike(copy, slots, from));
	slots_release(slots, 0, 1, (struct capacity){{1, 1, 1, 1, 1}});
	slots_free(copy);
	slots_free(changed);
}

START_TEST(against_naive)
{
	take_seed();
	slots = slots_new();
	for (int i = 0; i < 4000; i++) {
		change_one();
		compare_more();
		compare();
		compare_over();
		compare_copy();
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

/*
 * Tables of several levels against a sorted array of points, of which every operation looks at all.
 */
#define MANY 2000        /* reservations at a time */
#define LONG_SPAN 100000 /* so that many, not all, change points are shared */
#define LONG_STEPS 100000

static struct point {
	wall_us at;
	struct capacity use; /* from there on */
} points[2 * MANY + 2];
static int point_count;

static struct capacity flat_use(wall_us at)
{
	struct capacity use = {{0}};

	for (int i = 0; i < point_count && points[i].at <= at; i++) {
		use = points[i].use;
	}
	return use;
}

static void flat_put(wall_us at)
{
	struct capacity use = flat_use(at);
	int i = point_count;

	for (int j = 0; j < point_count; j++) {
		if (points[j].at == at) {
			return;
		}
	}
	for (; i > 0 && points[i - 1].at > at; i--) {
		points[i] = points[i - 1];
	}
	points[i] = (struct point){at, use};
	point_count++;
}

static void flat_add(wall_us start, wall_us end, struct capacity use)
{
	struct capacity before = {{0}};
	int kept = 0;

	flat_put(start);
	flat_put(end);
	for (int i = 0; i < point_count; i++) {
		struct point point = points[i];
		if (point.at >= start && point.at < end) {
			point.use = capacity_add(point.use, use);
		}
		if (!same(point.use, before)) {
			points[kept++] = point;
		}
		before = point.use;
	}
	point_count = kept;
}

static struct capacity flat_peak(wall_us start, wall_us end)
{
	struct capacity peak = flat_use(start);

	for (int i = 0; i < point_count; i++) {
		if (points[i].at > start && points[i].at < end) {
			peak = capacity_max(peak, points[i].use);
		}
	}
	return peak;
}

static wall_us flat_until(struct capacity limit, wall_us from)
{
	if (!capacity_fits(flat_use(from), limit)) {
		return from;
	}
	for (int i = 0; i < point_count; i++) {
		if (points[i].at > from && !capacity_fits(points[i].use, limit)) {
			return points[i].at;
		}
	}
	return WALL_NEVER;
}

static wall_us flat_fit(struct capacity limit, wall_us from, span_us length)
{
	bool open = capacity_fits(flat_use(from), limit);

	for (int i = 0; i < point_count && points[i].at < WALL_NEVER; i++) {
		if (points[i].at <= from) {
			continue;
		}
		if (open && points[i].at - from >= length) {
			return from;
		}
		bool fits = capacity_fits(points[i].use, limit);
		from = fits && !open ? points[i].at : from;
		open = fits;
	}
	return open ? from : WALL_NEVER;
}

static wall_us flat_next(wall_us after)
{
	for (int i = 0; i < point_count; i++) {
		if (points[i].at > after) {
			return points[i].at;
		}
	}
	return WALL_NEVER;
}

static struct row many[MANY];

/* The later resources come into use only after a while; a few reservations are negative, or have no end. */
static struct row random_row(int step)
{
	int known = 2 + step * 4 / LONG_STEPS;
	struct row row = {.used = true, .start = pick(LONG_SPAN)};

	row.end = row.start + 1 + pick(pick(10) ? 300 : LONG_SPAN / 2);
	if (pick(50) == 0) {
		row.end = WALL_NEVER;
	}
	for (int r = 0; r < RES_COUNT; r++) {
		row.use.amount[r] = r < known ? pick(20) - (pick(50) == 0 ? 20 : 0) : 0;
	}
	return row;
}

/* Fills and empties the table in turn. */
static void change_many(int step)
{
	bool filling = step / (LONG_STEPS / 10) % 2 == 0;
	struct row *row = &many[pick(MANY)];

	if (!row->used && (filling || pick(8) == 0)) {
		*row = random_row(step);
		slots_reserve(slots, row->start, row->end, row->use);
		flat_add(row->start, row->end, row->use);
	} else if (row->used && (!filling || pick(8) == 0)) {
		row->used = false;
		slots_release(slots, row->start, row->end, row->use);
		flat_add(row->start, row->end, capacity_sub((struct capacity){{0}}, row->use));
	}
}

static void compare_many(void)
{
	wall_us from = pick(LONG_SPAN) - 10, to = from + 1 + pick(pick(2) ? 500 : LONG_SPAN);
	struct capacity limit = flat_peak(from, to), peak;

	to = pick(20) ? to : WALL_NEVER;
	peak = slots_peak(slots, from, to);
	ck_assert(same(peak, flat_peak(from, to)));
	/* Near the peak, so that neither everything nor nothing is within. */
	limit.amount[pick(RES_COUNT)] -= pick(20) ? pick(40) : 100000;
	ck_assert_int_eq(slots_until(slots, limit, from), flat_until(limit, from));
	span_us length = 1 + pick(pick(2) ? 200 : 20000);
	ck_assert_int_eq(slots_fit(slots, limit, from, length), flat_fit(limit, from, length));
	ck_assert_int_eq(slots_next(slots, from), flat_next(from));
}

START_TEST(large_against_flat)
{
	take_seed();
	slots = slots_new();
	for (int i = 0; i < LONG_STEPS; i++) {
		change_many(i);
		if (i % 4 == 0) {
			compare_many();
		}
	}
	for (int i = 0; i < MANY; i++) {
		if (many[i].used) {
			slots_release(slots, many[i].start, many[i].end, many[i].use);
		}
	}
	ck_assert_int_eq(slots_next(slots, -1), WALL_NEVER);
	slots_free(slots);
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
	ck_assert_int_eq(slots_peak(slots, WALL_NEVER, WALL_NEVER + 1).amount[RES_DISK], 0);
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
	tcase_add_test(all, large_against_flat);
	tcase_add_test(all, for_ever);
	tcase_add_test(all, uses);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
