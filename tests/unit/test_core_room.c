/* What a search for room skips, against a look at every start. */
#include "core_fixture.h"
#include "place.h"
#include "slots.h"

#define SPAN 120
#define FAR 400 /* nothing is booked from there on */

/* xorshift64*, Vigna 2016 */
static uint64_t random_below(uint64_t *state, uint64_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(2685821657736338717) >> 11) % below;
}

static struct run run_from(wall_us start_us, span_us lead_us, span_us need_us, span_us stop_us)
{
	return (struct run){
		.prepare_us = start_us - lead_us,
		.start_us = start_us,
		.end_us = start_us + need_us,
		.release_us = start_us + need_us + stop_us,
	};
}

static void book_some(const struct node *node, uint64_t *state)
{
	for (uint64_t n = random_below(state, 12); n > 0; n--) {
		struct capacity use = {{0}};
		wall_us from = 20 + (wall_us)random_below(state, SPAN);
		use.amount[random_below(state, 2) ? RES_CPU : RES_MEMORY] = 1 + (int64_t)random_below(state, 6);
		slots_reserve(node->slots, from, from + 1 + (wall_us)random_below(state, 40), use);
	}
}

START_TEST(skips_what_makes_no_difference)
{
	uint64_t state = 1 + (uint64_t)_i;
	struct node node = {.info.capacity = {{10, 10, 10, 0, 0}}};
	struct lease_spec spec = {.kind = LEASE_BEST_EFFORT, .per_vm = {{6, 6, 1, 0, 0}}};
	span_us lead = (span_us)random_below(&state, 8), stop = (span_us)random_below(&state, 5);
	span_us need = 1 + (span_us)random_below(&state, 20);
	bool there[FAR + 1];

	node.slots = slots_new();
	book_some(&node, &state);
	for (wall_us at = 0; at <= FAR; at++) {
		struct run run = run_from(20 + at, lead, need, stop);
		there[at] = place_count(&node, &spec, &run, 1);
	}
	for (wall_us at = 0; at < SPAN; at++) {
		struct run run = run_from(20 + at, lead, need, stop);
		span_us slack = place_slack(&node, &spec, &run);
		ck_assert_int_eq(slack >= 0, there[at]);
		if (there[at]) {
			for (wall_us i = at; i <= FAR && i <= at + slack; i++) {
				ck_assert(there[i]);
			}
			ck_assert(slack > FAR || !there[at + slack + 1]);
			continue;
		}
		wall_us next = place_start(&node, &spec, &run) - 20;
		ck_assert_int_gt(next, at);
		for (wall_us i = at; i < next; i++) {
			ck_assert(!there[i]);
		}
	}
	slots_free(node.slots);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_room");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, skips_what_makes_no_difference, 0, 300);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
