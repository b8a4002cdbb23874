/* Room in a node's pool over time. */
#include "../../lib/core/pool.h" /* the agent has one too */
#include "core_fixture.h"
#include "plan_state.h"
#include "prep.h"

/* Node 1 alone, with a pool for two images; images 1 to 3 of one size. */
static void small_pool(void)
{
	struct event event = {.kind = EVENT_NODE, .node = node_info(1)};

	plan_setup();
	settings.stage_ahead_us = 0;
	plan_begin();
	event.node.pool_bytes = 2 * IMAGE_SIZE;
	tell(&event);
	set_node(2, NODE_DRAINING);
	for (uint64_t i = 2; i <= 3; i++) {
		tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {i, IMAGE_SIZE}});
	}
}

static const struct lease *ask(uint64_t image, wall_us start, span_us duration)
{
	struct lease_spec spec = ar_of(1, start, duration);

	spec.image = image;
	spec.per_vm.amount[RES_CPU] = 100;
	spec.per_vm.amount[RES_MEMORY] = MIB;
	return request(spec);
}

START_TEST(one_after_another)
{
	/* Two at a time fill it; what comes when they are done does not need room now. */
	ck_assert_int_eq(ask(1, now + 300 * SEC, 100 * SEC)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(2, now + 300 * SEC, 100 * SEC)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(3, now + 320 * SEC, 10 * SEC)->state, LEASE_REJECTED);
	ck_assert_int_eq(ask(3, now + 500 * SEC, 100 * SEC)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(1, now + 550 * SEC, 10 * SEC)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(2, now + 550 * SEC, 10 * SEC)->state, LEASE_REJECTED);
}
END_TEST

START_TEST(ends_free_it)
{
	ask(1, now + 300 * SEC, 100 * SEC);
	const struct lease *second = ask(2, now + 300 * SEC, 100 * SEC);
	ck_assert_int_eq(ask(3, now + 320 * SEC, 10 * SEC)->state, LEASE_REJECTED);
	cancel(second->id);
	ck_assert_int_eq(ask(3, now + 320 * SEC, 10 * SEC)->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(unneeded_makes_way)
{
	for (uint64_t i = 1; i <= 2; i++) {
		image_there(1, i, EVENT_IMAGE_PRESENT);
	}
	ck_assert_int_eq(ask(3, now + 300 * SEC, 100 * SEC)->state, LEASE_SCHEDULED);
	/* What is there stays for whoever is booked on it, from now on. */
	ck_assert_int_eq(ask(1, now + 900 * SEC, 100 * SEC)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(2, now + 300 * SEC, 100 * SEC)->state, LEASE_REJECTED);
}
END_TEST

START_TEST(ahead_only_into_room)
{
	settings.stage_ahead_us = USEC_PER_DAY;
	plan->settings.stage_ahead_us = USEC_PER_DAY;
	ask(1, now + 300 * SEC, 100 * SEC);
	ask(2, now + 300 * SEC, 100 * SEC);
	const struct lease *third = ask(3, now + 900 * SEC, 100 * SEC);
	ck_assert_int_eq(third->state, LEASE_SCHEDULED); /* the invariant says that it comes when there is room */
	tick_at(now + SEC);
}
END_TEST

/* A planner rebuilt from what is now: node 1 with all images, and leases of one VM. */
static struct plan *rebuilt(const struct lease *const *leases, size_t count)
{
	struct plan *again = plan_new(&settings);
	struct guest_slots slots;

	plan_restore_node(again, plan_node(plan, 1));
	for (uint64_t i = 1; i <= 3; i++) {
		plan_restore_image(again, &(struct image_info){i, IMAGE_SIZE});
		plan_restore_pool(again, 1, i);
	}
	for (size_t i = 0; i < count; i++) {
		plan_restore_lease(again, leases[i]);
		guest_slots(&plan_find_contract(plan, leases[i]->id)->guest[0], &slots);
		for (int s = 0; s < GUEST_SLOTS; s++) {
			if (slots.there[s]) {
				plan_restore_slot(again, &slots.at[s]);
			}
		}
	}
	plan_restore_ids(again, 100, 100);
	ck_assert_int_eq(plan_restored(again), 0);
	return again;
}

/* What an image nobody expected takes of others is owed as long as that is so: to a rebuilt planner as to one that went
 * on. */
START_TEST(owed_while_needed)
{
	struct actions ignored = {0};
	const int64_t size = 2 * IMAGE_SIZE;
	const struct lease *lease[3];

	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(1, 2, EVENT_IMAGE_PRESENT);
	for (uint64_t i = 0; i < 3; i++) {
		lease[i] = ask(i + 1, now + (i < 2 ? 300 : 500) * SEC, 100 * SEC);
		ck_assert_int_eq(lease[i]->state, LEASE_SCHEDULED);
	}
	image_there(1, 3, EVENT_IMAGE_PRESENT);
	ck_assert_int_eq(plan->nodes[0]->pool_owed, size + IMAGE_SIZE);
	struct plan *again = rebuilt(lease, 3);
	ck_assert_int_eq(again->nodes[0]->pool_owed, size + IMAGE_SIZE);
	cancel(2);
	plan_step(again, &(struct event){.kind = EVENT_LEASE_CANCELLED, .cancelled = 2}, 1, now, &ignored);
	now += SEC;
	tick_at(now);
	ck_assert_int_eq(plan->nodes[0]->pool_owed, size);
	plan_step(again, &(struct event){.kind = EVENT_TICK}, 1, now, &ignored);
	ck_assert_int_eq(again->nodes[0]->pool_owed, size);
	actions_fini(&ignored);
	plan_free(again);
}
END_TEST

static bool first_start(const struct transfer *transfer, void *arg)
{
	if (transfer->state == TRANSFER_PLANNED) {
		*(wall_us *)arg = transfer->start_us;
	}
	return true;
}

/* An image that vanished from a pool that is over-full comes again as soon as there is room for it. */
START_TEST(comes_when_there_is_room)
{
	wall_us start = 0;

	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(ask(i, now + (i < 3 ? 300 : 500) * SEC, 100 * SEC)->state, LEASE_SCHEDULED);
	}
	for (uint64_t i = 1; i <= 3; i++) {
		image_there(1, i, EVENT_IMAGE_PRESENT);
	}
	image_there(1, 1, EVENT_IMAGE_ABSENT);
	plan_each_transfer(plan, 1, first_start, &start);
	ck_assert_int_eq(start, WALL_NEVER);
	cancel(3);
	plan_each_transfer(plan, 1, first_start, &start);
	ck_assert_int_le(start, now + 300 * SEC);
}
END_TEST

/* The same though nobody will need it by then: on its way it takes room all the same. */
START_TEST(room_on_its_way)
{
	wall_us begin = now + 300 * SEC, end = begin + 100 * SEC + settings.stop_us;

	for (uint64_t i = 1; i <= 2; i++) {
		ck_assert_int_eq(ask(i, begin, 100 * SEC)->state, LEASE_SCHEDULED);
	}
	const struct stage *stage = prep_stage(plan, plan->nodes[0], 3);
	ck_assert_int_eq(pool_free_from(stage, now, 10 * SEC), now);
	ck_assert_int_eq(pool_free_from(stage, begin, 10 * SEC), end);
	/* It does not fit in before the others come either, if it takes longer. */
	ck_assert_int_eq(pool_free_from(stage, now, 350 * SEC), end);
}
END_TEST

/* Who needs an image for longer than others left room for does not take it from those it comes for before them. */
START_TEST(stays_for_those_who_wait)
{
	wall_us begin = now + 300 * SEC;

	for (uint64_t i = 1; i <= 2; i++) {
		ck_assert_int_eq(ask(i, begin, 100 * SEC)->state, LEASE_SCHEDULED);
	}
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 1, 50 * SEC);
	spec.image = 3;
	const struct lease *lease = request(spec);
	struct stage *stage = prep_stage(plan, plan->nodes[0], 3);
	ck_assert_ptr_nonnull(stage->flight);
	ck_assert_int_le(stage->flight->end_us, lease->vms[0].run.prepare_us);
	/* As if another lay there suspended, without a plan. */
	stage->until_us = WALL_NEVER;
	pool_hold(stage);
	ck_assert_int_eq(prep_append(plan, 3, &plan->nodes[0], 1, &lease->vms[0].run, 0), WALL_NEVER);
	ck_assert_ptr_nonnull(stage->flight);
	ck_assert_int_le(stage->flight->end_us, lease->vms[0].run.prepare_us);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_pool");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, small_pool, plan_teardown);
	tcase_add_test(all, one_after_another);
	tcase_add_test(all, ends_free_it);
	tcase_add_test(all, unneeded_makes_way);
	tcase_add_test(all, ahead_only_into_room);
	tcase_add_test(all, owed_while_needed);
	tcase_add_test(all, comes_when_there_is_room);
	tcase_add_test(all, room_on_its_way);
	tcase_add_test(all, stays_for_those_who_wait);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
