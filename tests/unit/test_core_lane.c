/* The lane against a list of the same spans, and at its edges. */
#include "core_fixture.h"
#include "lane.h"

#define SPANS 60

struct span_row {
	wall_us from, to;
};

static bool meets_any(const struct span_row *row, size_t count, wall_us from, wall_us to)
{
	for (size_t i = 0; i < count; i++) {
		if (row[i].from < row[i].to && row[i].from < to && row[i].to > from) {
			return true;
		}
	}
	return false;
}

START_TEST(edges)
{
	struct lane *lane = lane_new();

	ck_assert_int_eq(lane_before(lane, 100, 10), 100);
	lane_add(lane, 100, 120);
	/* Half-open: right before and right after is free. */
	ck_assert_int_eq(lane_before(lane, 120, 5), 120);
	ck_assert_int_eq(lane_before(lane, 119, 5), 95);
	ck_assert_int_eq(lane_before(lane, 95, 5), 95);
	ck_assert_int_eq(lane_after(lane, 95, 5), 95);
	ck_assert_int_eq(lane_after(lane, 96, 5), 120);
	/* What takes no time is in nobody's way. */
	ck_assert_int_eq(lane_after(lane, 110, 0), 110);
	lane_add(lane, 130, 130);
	ck_assert_uint_eq(lane_count(lane), 1);
	ck_assert_int_eq(lane_before(lane, 125, 10), 125);
	/* Added twice it is there until it was taken back twice. */
	lane_add(lane, 100, 120);
	lane_remove(lane, 100, 120);
	ck_assert_int_eq(lane_after(lane, 110, 5), 120);
	lane_remove(lane, 100, 120);
	ck_assert_int_eq(lane_after(lane, 110, 5), 110);
	lane_free(lane);
	lane_free(NULL);
}
END_TEST

/* xorshift64*, Vigna 2016 */
static uint64_t random_below(uint64_t *state, uint64_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(2685821657736338717) >> 11) % below;
}

static void compare(const struct lane *lane, const struct span_row *row, size_t count, wall_us at, span_us length)
{
	wall_us before = at, after = at;

	while (length && meets_any(row, count, before, before + length)) {
		before--;
	}
	while (length && meets_any(row, count, after, after + length)) {
		after++;
	}
	ck_assert_int_eq(lane_before(lane, at, length), before);
	ck_assert_int_eq(lane_after(lane, at, length), after);
}

START_TEST(as_a_list)
{
	struct lane *lane = lane_new();
	struct span_row row[SPANS];
	size_t count = 0;
	uint64_t state = (uint64_t)_i * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (int i = 0; i < 2000; i++) {
		if (count < SPANS && random_below(&state, 100) < 55) {
			wall_us from = (wall_us)random_below(&state, 1500);
			/* Some long ones hide the ends of others. */
			span_us length = (span_us)random_below(&state, random_below(&state, 10) ? 12 : 300);
			row[count++] = (struct span_row){from, from + length};
			lane_add(lane, from, from + length);
		} else if (count) {
			size_t gone = random_below(&state, count);
			lane_remove(lane, row[gone].from, row[gone].to);
			row[gone] = row[--count];
		}
		compare(lane, row, count, (wall_us)random_below(&state, 1600), (span_us)random_below(&state, 40));
	}
	lane_free(lane);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_lane");
	TCase *all = tcase_create("lane");

	tcase_add_test(all, edges);
	tcase_add_loop_test(all, as_a_list, 0, 8);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
