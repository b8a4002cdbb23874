/* What a search for room skips, against a look at every start. */
#include "estimate.h"
#include "lane.h"
#include "place.h"
#include "plan_state.h"
#include "prep.h"
#include "room.h"
#include "slots.h"
#include "view.h"

#include "core_fixture.h"

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
		wall_us last, next = place_start(&node, &spec, &run, &last) - 20;
		ck_assert_int_gt(next, at);
		ck_assert(last >= run.start_us && last - 20 < next);
		for (wall_us i = at; i < next; i++) {
			struct run later = run_from(20 + i, lead, need, stop);
			ck_assert(!there[i]);
			ck_assert(20 + i > last || place_start(&node, &spec, &later, &(wall_us){0}) - 20 == next);
		}
	}
	slots_free(node.slots);
}
END_TEST

/* One node, on which who is cut short, after MIN_RUN or more, is saved in SAVE. */
#define MIN_RUN 5
#define SAVE 3
static struct image_info image = {.id = 1, .size = 1};
static const struct lease_spec cut_spec = {
	.kind = LEASE_BEST_EFFORT, .vms = 1, .per_vm = {{6, 3, 2, 0, 0}}, .image = 1};

static void one_node(struct plan *small, struct node *node, struct node **nodes)
{
	*node = (struct node){
		.info = {.id = 1,
			 .capacity = {{10, 10, 10}},
			 .state = NODE_UP,
			 .pool_bytes = 1,
			 .suspend_rate = INT64_MAX},
		.slots = slots_new(),
		.lane = lane_new(),
	};
	*nodes = node;
	*small = (struct plan){
		.settings = {.min_run_us = MIN_RUN, .suspend_us = SAVE},
		.nodes = nodes,
		.node_count = 1,
		.images = &image,
		.image_count = 1,
	};
}

static void one_node_fini(struct plan *small, struct node *node)
{
	slots_free(node->slots);
	view_free(node->views);
	lane_free(node->lane);
	free(small->sights);
	free(small->gains);
}

/* True if a VM could run from at until end and, cut then, be saved before others need its room, and lie there. */
static bool could_cut(const struct node *node, wall_us at, wall_us end)
{
	return place_room(node, cut_spec.per_vm, at, end + SAVE) &&
	       place_room(node, slot_use(SLOT_HOLD, cut_spec.per_vm), end + SAVE, WALL_NEVER) &&
	       lane_before(node->lane, end, SAVE) == end;
}

static bool could_start(const struct node *node, wall_us at, span_us whole)
{
	bool can = place_room(node, cut_spec.per_vm, at, at + whole);

	for (wall_us end = at + (MIN_RUN < whole ? MIN_RUN : whole); end < at + whole && !can; end++) {
		can = could_cut(node, at, end);
	}
	return can;
}

/* No start at which a VM could be cut short, or need not be, is left out. */
START_TEST(finds_who_may_be_cut)
{
	uint64_t state = 1 + (uint64_t)_i;
	struct node node, *nodes;
	struct plan small;

	one_node(&small, &node, &nodes);
	book_some(&node, &state);
	for (int i = 0; i < 3; i++) {
		wall_us from = 20 + (wall_us)random_below(&state, SPAN);
		lane_add(node.lane, from, from + SAVE);
		slots_reserve(node.slots, from, random_below(&state, 3) ? from + 60 : WALL_NEVER,
			      (struct capacity){.amount = {[RES_DISK] = 1 + (int64_t)random_below(&state, 3)}});
	}
	for (wall_us from = 1; from < SPAN; from += 7) {
		struct seek seek = {
			.plan = &small, .spec = &cut_spec, .n = 1, .whole_us = 4 + (span_us)random_below(&state, 40)};
		seek.need_us = seek.whole_us < MIN_RUN + SAVE ? seek.whole_us : MIN_RUN + SAVE;
		wall_us first = from;
		while (first < FAR && !could_start(&node, first, seek.whole_us)) {
			first++;
		}
		bool found = seek_first(&seek, from);
		ck_assert(first == FAR || (found && seek.at_us <= first));
	}
	one_node_fini(&small, &node);
}
END_TEST

/* Where it could not lie a gap is passed by, and one in which it could not be saved in time. */
START_TEST(passes_gaps_by)
{
	struct capacity cores = {.amount = {[RES_CPU] = 10}}, disk = {.amount = {[RES_DISK] = 6}};
	struct node node, *nodes;
	struct plan small;

	one_node(&small, &node, &nodes);
	slots_reserve(node.slots, 0, 100, cores);
	slots_reserve(node.slots, 110, 200, cores);
	for (int i = 0; i < 3; i++) {
		struct seek seek = {
			.plan = &small, .spec = &cut_spec, .n = 1, .need_us = MIN_RUN + SAVE, .whole_us = 40};
		ck_assert(seek_first(&seek, 50));
		ck_assert_int_eq(seek.at_us, i == 0 ? 100 : 200);
		if (i == 0) {
			lane_add(node.lane, 106, 109); /* of the ten there are, others are saved in the last */
		} else if (i == 1) {
			lane_remove(node.lane, 106, 109);
			slots_reserve(node.slots, 90, WALL_NEVER, disk);
		}
	}
	one_node_fini(&small, &node);
}
END_TEST

/* What a search remembers of those before it makes no difference, whatever was booked or shrunk meanwhile. */
START_TEST(remembers_what_is_still_so)
{
	uint64_t state = 1 + (uint64_t)_i;
	struct node node, *nodes;
	struct plan small;

	one_node(&small, &node, &nodes);
	small.settings.stop_us = (span_us)random_below(&state, 3);
	for (int i = 0; i < 40; i++) {
		struct seek seek = {.plan = &small, .spec = &cut_spec, .n = 1};
		wall_us from = 20 + (wall_us)random_below(&state, SPAN);
		if (random_below(&state, 3) == 0) {
			book_some(&node, &state);
		}
		if (random_below(&state, 8) == 0) {
			node.info.capacity.amount[RES_CPU] = 8 + (int64_t)random_below(&state, 4);
		}
		seek.need_us = 10 + 10 * (span_us)random_below(&state, 2);
		seek.lead_us = (span_us)random_below(&state, 3);
		seek.until_us = from + 50;
		struct seek anew = seek;
		bool found = seek_first(&seek, from);
		struct view *kept = node.views;
		node.views = NULL;
		ck_assert_int_eq(seek_first(&anew, from), found);
		ck_assert_int_eq(anew.at_us, seek.at_us);
		ck_assert_int_eq(anew.late, seek.late);
		view_free(node.views);
		node.views = kept;
	}
	one_node_fini(&small, &node);
}
END_TEST

static bool staged(struct room *room, uint64_t image_id, int64_t cores, uint32_t n)
{
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, n, SEC);

	spec.image = image_id;
	spec.per_vm.amount[RES_CPU] = cores * 1000;
	room_bound(room, spec.per_vm, n, SEC);
	return room_staged(room, &spec, n, false);
}

/* Two VMs fit on each of two nodes. What was counted for few says nothing of more, nor of other images and sizes. */
START_TEST(counts_images_once)
{
	struct room room;

	plan_setup();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	room_init(&room, plan);
	ck_assert(staged(&room, 1, 1, 1));
	ck_assert(staged(&room, 1, 1, 2));
	ck_assert(!staged(&room, 1, 1, 3));
	ck_assert(staged(&room, 1, 1, 2));
	ck_assert(staged(&room, 1, 2, 1));
	ck_assert(!staged(&room, 1, 2, 2));
	ck_assert(!staged(&room, 1 + ROOM_STOCKS, 1, 1));
	ck_assert(!staged(&room, 1, 1, 3));
	prep_set_present(plan, prep_stage(plan, plan_find_node(plan, 2), 1), true);
	ck_assert(!staged(&room, 1, 1, 3));
	room_restaged(&room);
	ck_assert(staged(&room, 1, 1, 4));
	slots_reserve(plan_find_node(plan, 1)->slots, room.start_us, room.start_us + 1, node_info(1).capacity);
	room_forget(&room);
	ck_assert(!staged(&room, 1, 1, 3));
	room_fini(&room);
	slots_release(plan_find_node(plan, 1)->slots, room.start_us, room.start_us + 1, node_info(1).capacity);
	plan_teardown();
}
END_TEST

/* Choosing nodes for a whole run among those for the least of it rests on that. */
START_TEST(room_for_all_is_room_for_the_least)
{
	uint64_t state = 1 + (uint64_t)_i;
	struct node node = {.info.capacity = {{10, 10, 10, 0, 0}}};
	struct lease_spec spec = {.kind = LEASE_BEST_EFFORT, .per_vm = {{3, 3, 1, 0, 0}}};
	span_us lead = (span_us)random_below(&state, 8), stop = (span_us)random_below(&state, 5);

	node.slots = slots_new();
	book_some(&node, &state);
	for (wall_us at = 20; at <= FAR; at++) {
		span_us least = 1 + (span_us)random_below(&state, 20), all = least + (span_us)random_below(&state, 20);
		struct run whole_run = run_from(at, lead, all, stop), least_run = run_from(at, lead, least, 0);
		ck_assert_uint_le(place_count(&node, &spec, &whole_run, 3), place_count(&node, &spec, &least_run, 3));
	}
	slots_free(node.slots);
}
END_TEST

/* What is kept of the last size asked about is not taken for another's. */
START_TEST(needs_time_by_size)
{
	struct lease_spec small = spec_of(LEASE_BEST_EFFORT, 1, 100 * USEC_PER_HOUR), large = small;
	struct room room;

	plan_setup();
	settings.worth = 2;
	settings.learn = false;
	plan_begin();
	large.per_vm.amount[RES_MEMORY] *= 2;
	room_init(&room, plan);
	span_us save_us = estimate_bytes(GIB, node_info(1).suspend_rate);
	span_us small_us = room_need(&room, &small, small.duration_us);
	ck_assert_int_eq(room_need(&room, &large, large.duration_us) - small_us, save_us * (span_us)settings.worth);
	ck_assert_int_eq(room_need(&room, &small, small.duration_us), small_us);
	room_fini(&room);
	plan_teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_room");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, skips_what_makes_no_difference, 0, 300);
	tcase_add_loop_test(all, finds_who_may_be_cut, 0, 300);
	tcase_add_test(all, passes_gaps_by);
	tcase_add_loop_test(all, remembers_what_is_still_so, 0, 300);
	tcase_add_test(all, counts_images_once);
	tcase_add_loop_test(all, room_for_all_is_room_for_the_least, 0, 100);
	tcase_add_test(all, needs_time_by_size);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
