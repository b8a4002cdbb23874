/* Starts that are known to be in vain: those at once, and those at which an image would be there. */
#include "start.h"

#include <stdlib.h>

#include "core_fixture.h"
#include "prep.h"
#include "slots.h"

#define RUN (100 * SEC)

static struct pass pass;

static void pass_begin(void)
{
	pass = (struct pass){.plan = plan};
	room_init(&pass.room, plan);
}

static void pass_end(void)
{
	room_fini(&pass.room);
	free(pass.choices.item);
	free(pass.whole.item);
}

/* Without suspension, so that who starts needs room for all of its run. */
static void setup(void)
{
	plan_setup();
	settings.suspension = SUSPENSION_NONE;
	plan_begin();
	pass_begin();
}

static void teardown(void)
{
	pass_end();
	plan_teardown();
}

static void set_present(uint32_t node, uint64_t image)
{
	prep_set_present(plan, prep_stage(plan, plan_find_node(plan, node), image), true);
}

/* All of the node is taken, or given back; nobody is told. */
static void block(uint32_t node, wall_us from_us)
{
	slots_reserve(plan_find_node(plan, node)->slots, from_us, from_us + 1000 * SEC, node_info(node).capacity);
}

static void unblock(uint32_t node, wall_us from_us)
{
	slots_release(plan_find_node(plan, node)->slots, from_us, from_us + 1000 * SEC, node_info(node).capacity);
}

static bool vain(uint32_t vms, span_us duration)
{
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, vms, duration);

	return start_vain(&pass, &spec, vms, duration);
}

/* ---- at once ---- */

START_TEST(vain_without_room)
{
	ck_assert(!vain(4, RUN));
	ck_assert(vain(5, RUN));
	pass_end();
	block(1, now);
	pass_begin();
	ck_assert(!vain(2, RUN));
	ck_assert(vain(3, RUN));
}
END_TEST

/* What was tried in this pass and found too little is so for whoever wants as much. */
START_TEST(vain_as_was_found)
{
	room_learn(&pass.room, spec_of(LEASE_BEST_EFFORT, 1, RUN).per_vm, 2, RUN, pass.room.start_us + 1);
	ck_assert(!vain(1, RUN));
	ck_assert(!vain(2, RUN - 1));
	ck_assert(vain(2, RUN));
	ck_assert(vain(3, RUN + 1));
}
END_TEST

/* While images may be brought it makes no difference where they are. */
START_TEST(vain_without_image)
{
	ck_assert(!vain(1, RUN));
	pass.staged = PICK_STAGED_MAX - 1;
	ck_assert(!vain(1, RUN));
	pass.staged = PICK_STAGED_MAX;
	ck_assert(vain(1, RUN));
	set_present(2, 1);
	ck_assert(!vain(2, RUN));
	ck_assert(vain(3, RUN));
	pass.staged = 0;
	ck_assert(!vain(3, RUN));
}
END_TEST

/* The node that has it is free now, but not for so long. */
START_TEST(vain_where_the_image_is)
{
	set_present(2, 1);
	block(2, pass.room.start_us + RUN);
	ck_assert(!vain(2, RUN));
	ck_assert(!vain(2, RUN + 1));
	pass.staged = PICK_STAGED_MAX;
	ck_assert(!vain(2, RUN));
	ck_assert(vain(2, RUN + 1));
	ck_assert(vain(1, RUN + 1)); /* as it had to hold for one */
	ck_assert(!vain(1, RUN));
}
END_TEST

/* Looked for once in a pass, unless something is given back: for whoever wants as many or more, of that image. */
START_TEST(vain_is_remembered)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {2, IMAGE_SIZE}};

	tell(&image);
	pass.staged = PICK_STAGED_MAX;
	set_present(1, 1);
	ck_assert(vain(4, RUN));
	set_present(2, 1);
	ck_assert(vain(3, RUN)); /* there had been room for two */
	ck_assert(vain(4, RUN + 1));
	ck_assert(!vain(2, RUN));
	ck_assert(!vain(3, RUN - 1));
	struct lease_spec other = spec_of(LEASE_BEST_EFFORT, 3, RUN);
	other.image = 2;
	set_present(1, 2);
	set_present(2, 2);
	ck_assert(!start_vain(&pass, &other, 3, RUN));
	other.image = 1;
	other.per_vm.amount[RES_MEMORY] /= 2;
	ck_assert(!start_vain(&pass, &other, 3, RUN));
	room_forget(&pass.room);
	ck_assert(!vain(3, RUN));
}
END_TEST

/* ---- when the image is there ---- */

static struct lease_spec gang(uint32_t vms, span_us duration)
{
	return spec_of(LEASE_BEST_EFFORT, vms, duration);
}

/* Such a lease is in the queue; what the pass knew is forgotten. Its id. */
static uint64_t waits(struct lease_spec spec)
{
	for (uint32_t id = 1; id <= 2; id++) {
		plan_find_node(plan, id)->info.state = NODE_DRAINING; /* or it would start at once */
	}
	ck_assert_int_eq(request(spec)->state, LEASE_QUEUED);
	for (uint32_t id = 1; id <= 2; id++) {
		plan_find_node(plan, id)->info.state = NODE_UP;
	}
	pass_end();
	pass_begin();
	return last_lease;
}

/* Whether it can be started as soon as its image is there. */
static bool starts(uint64_t id)
{
	struct unit unit;

	place_unit(plan_find_contract(plan, id), NULL, &unit);
	bool done = start_boot_now(&pass, &unit);
	free(unit.seat);
	return done;
}

/* Room at once and for long enough, but not any more by the time an image would be there. */
static wall_us too_late(void)
{
	return pass.room.start_us + RUN + settings.stop_us + 9 * SEC;
}

START_TEST(starts_with_its_image)
{
	uint64_t id = waits(gang(2, RUN));

	ck_assert(starts(id));
	const struct vm *vm = &plan_lease(plan, id)->vms[0];
	ck_assert_int_eq(vm->run.start_us, now + settings.lead_us + 10 * SEC + settings.prepare_us);
	ck_assert_uint_eq(pass.staged, 1);
	ck_assert_uint_eq(pass.vain, 0);
}
END_TEST

/* Who would come too late says nothing of who has his image, or needs it for less. */
START_TEST(too_late_is_not_never)
{
	uint64_t first = waits(gang(2, RUN)), shorter = waits(gang(2, RUN - 2 * SEC)), second = waits(gang(2, RUN));

	block(1, too_late());
	block(2, too_late());
	ck_assert(!starts(first));
	ck_assert_uint_eq(pass.vain, 1);
	ck_assert(!pass.missed);
	ck_assert_int_eq(room_bound(&pass.room, gang(2, RUN).per_vm, 2, RUN), pass.room.start_us);
	ck_assert(starts(shorter));
	set_present(1, 1);
	set_present(2, 1);
	ck_assert(starts(second));
}
END_TEST

/* For that time it is not looked for again in a pass, unless something is given back. */
START_TEST(too_late_is_remembered)
{
	wall_us from_us = too_late();
	struct lease_spec spec = gang(1, RUN);
	uint64_t first = waits(spec), again = waits(spec), more = waits(gang(2, RUN)),
		 longer = waits(gang(1, RUN + SEC));

	spec.per_vm.amount[RES_MEMORY] /= 2;
	uint64_t smaller = waits(spec);
	block(1, from_us);
	block(2, from_us);
	ck_assert(!starts(first));
	unblock(1, from_us);
	unblock(2, from_us);
	ck_assert(!starts(again));
	ck_assert(!starts(more));
	ck_assert(!starts(longer));
	ck_assert(starts(smaller));
	room_forget(&pass.room);
	ck_assert(starts(again));
}
END_TEST

/* Of an image that is there at another time it says nothing. */
START_TEST(another_image_at_another_time)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {2, IMAGE_SIZE / 2}};
	struct lease_spec other = gang(1, RUN);
	wall_us from_us = too_late();

	tell(&image);
	other.image = 2;
	uint64_t first = waits(gang(1, RUN)), second = waits(other);
	block(1, from_us);
	block(2, from_us);
	ck_assert(!starts(first));
	unblock(1, from_us);
	unblock(2, from_us);
	ck_assert(starts(second));
}
END_TEST

/* That there was no room for three, when each image is there as soon as all, says nothing of two. */
START_TEST(fewer_may_find_room)
{
	pass_end();
	settings.multicast = true;
	plan_begin();
	pass_begin();
	uint64_t four = waits(gang(4, RUN)), three = waits(gang(3, RUN)), two = waits(gang(2, RUN));
	wall_us from_us = too_late();
	block(1, from_us);
	ck_assert(!starts(four));
	unblock(1, from_us);
	ck_assert(!starts(three));
	ck_assert(starts(two));
}
END_TEST

/* No room at once, for that long, is another thing: it is so wherever the image is. */
START_TEST(no_room_at_once)
{
	uint64_t id = waits(gang(2, RUN));
	const struct capacity per_vm = gang(2, RUN).per_vm;

	block(1, pass.room.start_us + RUN - SEC);
	block(2, pass.room.start_us + RUN - SEC);
	ck_assert(!starts(id));
	ck_assert_uint_eq(pass.vain, 0);
	ck_assert_int_gt(room_bound(&pass.room, per_vm, 2, RUN), pass.room.start_us);
	ck_assert_int_eq(room_bound(&pass.room, per_vm, 2, RUN - SEC), pass.room.start_us);
}
END_TEST

/* Nodes that cannot keep a constraint may have room for whoever has none. */
START_TEST(constraints_are_ones_own)
{
	struct lease_spec spec = gang(1, RUN);
	wall_us from_us = too_late();

	for (uint32_t id = 1; id <= 2; id++) {
		plan_find_node(plan, id)->info.edf =
			(struct edf_node){.cpus = 2, .limit_ppm = 900000, .wake_ns = 0, .period_min_us = USEC_PER_MSEC};
	}
	spec.slice_us = 50 * USEC_PER_MSEC;
	spec.period_us = 100 * USEC_PER_MSEC;
	uint64_t rated = waits(spec);
	spec = plan_lease(plan, rated)->spec;
	spec.slice_us = 0;
	spec.period_us = 0;
	uint64_t plain = waits(spec);
	block(1, from_us);
	block(2, from_us);
	ck_assert(!starts(rated));
	unblock(1, from_us);
	unblock(2, from_us);
	ck_assert(starts(plain));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_start");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, vain_without_room);
	tcase_add_test(all, vain_as_was_found);
	tcase_add_test(all, vain_without_image);
	tcase_add_test(all, vain_where_the_image_is);
	tcase_add_test(all, vain_is_remembered);
	tcase_add_test(all, starts_with_its_image);
	tcase_add_test(all, too_late_is_not_never);
	tcase_add_test(all, too_late_is_remembered);
	tcase_add_test(all, another_image_at_another_time);
	tcase_add_test(all, fewer_may_find_room);
	tcase_add_test(all, no_room_at_once);
	tcase_add_test(all, constraints_are_ones_own);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
