/* Suspended leases that go on elsewhere: when, on which nodes, what that books, and what goes wrong. */
#include "core_fixture.h"

#include "check.h"

#define COPY_US (2 * GIB * SEC / 100000000 + 1) /* memory and disk at the repository's rate */
#define RESTORE_US (settings.resume_us + 10 * SEC + 240 * USEC_PER_MSEC)

static void whole(void)
{
	struct check_fault fault;

	ck_assert_int_eq(check_plan(plan, &fault), CHECK_OK);
}

static void migrate_begin(enum migration migration)
{
	settings.migration = migration;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
}

/* True if the last step had the node told of its part. */
static bool told(uint32_t node)
{
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_NODE_PLAN && actions.item[i].node == node) {
			return true;
		}
	}
	return false;
}

/* A guest lies suspended on node 1, which a reservation has for itself for an hour; node 2 is free from now on. */
static const struct lease *stranded(void)
{
	const struct lease *other = request(spec_of(LEASE_BEST_EFFORT, 2, 90 * SEC));
	run_all(other);
	uint32_t taken = other->vms[0].node;
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 2, 600 * SEC));
	ck_assert_uint_ne(lease->vms[0].node, taken);
	run_all(lease);
	const struct lease *ar = request(ar_of(2, now + 60 * SEC, 3600 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(ar->vms[0].node, lease->vms[0].node);
	tick_at(lease->vms[0].run.release_us);
	see(lease, 0, SEEN_SUSPENDED, now);
	see(lease, 1, SEEN_SUSPENDED, now);
	ck_assert_int_eq(lease->vms[0].served_us, lease->vms[1].served_us);
	whole();
	return lease;
}

START_TEST(goes_elsewhere)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = 3 - lease->vms[0].node;
	const struct run *run = &lease->vms[1].run;

	/* It waits for the other node, not for its own; both guests are copied, then both restored. */
	ck_assert(lease->vms[0].planned && lease->vms[1].planned);
	ck_assert_uint_eq(run->from_node, own);
	ck_assert_int_eq(run->start_us - run->prepare_us, 2 * COPY_US + 2 * RESTORE_US);
	ck_assert_int_eq(run->end_us - run->start_us, 600 * SEC - lease->vms[1].served_us);
	tick_at(run->prepare_us);
	ck_assert_int_eq(lease->state, LEASE_MIGRATING);
	whole();
	/* What its old node says again, and that the new one has it not yet, changes nothing. */
	struct event event = {.kind = EVENT_VM_SEEN,
			      .vm = {lease->id, 1, lease->vms[1].generation, own, SEEN_SUSPENDED, now}};
	tell(&event);
	see(lease, 1, SEEN_ABSENT, now);
	ck_assert_int_eq(lease->vms[1].state, LEASE_MIGRATING);
	now = run->start_us;
	see(lease, 0, SEEN_PREPARED, now);
	ck_assert_int_eq(lease->vms[0].state, LEASE_RESUMING);
	ck_assert(!told(own));
	/* Each that runs is one its old node is to clear up. */
	see(lease, 0, SEEN_RUNNING, now);
	ck_assert(told(own));
	see(lease, 1, SEEN_RUNNING, now);
	ck_assert(told(own));
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	whole();
	tick_at(now + settings.lead_us + settings.stop_us);
	whole();
}
END_TEST

START_TEST(fetched_aside)
{
	migrate_begin(MIGRATION_ASIDE);
	const struct lease *lease = stranded(), *other = plan_lease(plan, 1);
	const struct run run = lease->vms[1].run;
	wall_us gone_us = other->vms[0].run.release_us;

	/* It is fetched while its new node's memory is still another's, and restored when that one is gone. */
	ck_assert_uint_eq(other->vms[0].node, lease->vms[1].node);
	ck_assert_int_lt(run.copy_us, gone_us);
	ck_assert_int_ge(run.prepare_us, gone_us);
	ck_assert_int_eq(run.prepare_us - run.copy_us, 2 * COPY_US);
	ck_assert_int_eq(run.start_us - run.prepare_us, 2 * RESTORE_US);
	tick_at(run.copy_us);
	ck_assert_int_eq(lease->state, LEASE_MIGRATING);
	ck_assert_int_eq(lease->vms[1].run.start_us, run.start_us);
	/* Others still fit in before it is restored, if they leave it the disk it is copied to. */
	struct lease_spec wide = spec_of(LEASE_BEST_EFFORT, 1, SEC);
	wide.per_vm.amount[RES_DISK] = 97 * GIB;
	ck_assert_int_gt(request(wide)->vms[0].run.start_us, run.start_us);
	wide.per_vm.amount[RES_DISK] = 96 * GIB;
	ck_assert_int_lt(request(wide)->vms[0].run.release_us, run.prepare_us);
}
END_TEST

START_TEST(goes_at_once)
{
	migrate_begin(MIGRATION_FREE);
	const struct lease *lease = stranded();

	ck_assert_uint_eq(lease->vms[0].run.from_node, 3 - lease->vms[0].node);
	ck_assert_int_eq(lease->vms[0].run.start_us - lease->vms[1].run.prepare_us, 2 * RESTORE_US);
}
END_TEST

/* A lease of VMs that take a node each. */
static const struct lease *request_large(struct lease_spec spec)
{
	spec.per_vm.amount[RES_MEMORY] = 2 * GIB;
	return request(spec);
}

/* That there are too few nodes for a gang says nothing against one that is smaller by as much as is missing. */
START_TEST(smaller_goes)
{
	settings.backfill = BACKFILL_FIRST_FIT;
	migrate_begin(MIGRATION_FREE);
	set_node(3, NODE_UP);
	image_there(3, 1, EVENT_IMAGE_PRESENT);
	const struct lease *pair = request_large(spec_of(LEASE_BEST_EFFORT, 2, 600 * SEC));
	const struct lease *single = request_large(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC));
	run_all(pair);
	see(single, 0, SEEN_RUNNING, now);
	ck_assert_int_eq(request_large(ar_of(3, now + 60 * SEC, 3600 * SEC))->state, LEASE_SCHEDULED);
	/* Two more nodes are free in five minutes, one of them only for a moment. */
	for (uint32_t node = 4; node <= 5; node++) {
		set_node(node, NODE_UP);
		image_there(node, 1, EVENT_IMAGE_PRESENT);
	}
	const struct lease *gone = request_large(ar_of(2, now + 20 * SEC, 300 * SEC));
	wall_us free_us = gone->vms[0].run.release_us;
	const struct lease *next = request_large(ar_of(1, free_us + 20 * SEC, 3600 * SEC));
	run_all(gone);
	tick_at(now + 60 * SEC);
	see(pair, 0, SEEN_SUSPENDED, now);
	see(pair, 1, SEEN_SUSPENDED, now);
	see(single, 0, SEEN_SUSPENDED, now);
	now = free_us;
	struct event ends[2];
	for (uint32_t vm = 0; vm < 2; vm++) {
		ends[vm] = (struct event){.kind = EVENT_VM_SEEN,
					  .vm = {gone->id, vm, 1, gone->vms[vm].node, SEEN_ABSENT, now}};
	}
	plan_step(plan, ends, 2, now, &actions);
	ck_assert_uint_eq(single->vms[0].node, 9 - next->vms[0].node);
	ck_assert_int_lt(single->vms[0].run.start_us, now + 60 * SEC);
	ck_assert(!pair->vms[0].planned);
}
END_TEST

START_TEST(stays)
{
	migrate_begin(MIGRATION_NO);
	const struct lease *lease = stranded();

	ck_assert_uint_eq(lease->vms[0].run.from_node, 0);
	ck_assert_int_gt(lease->vms[0].run.start_us, now + 3000 * SEC);
}
END_TEST

/* True if the last step planned a transfer. */
static bool fetches(void)
{
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_TRANSFER) {
			return true;
		}
	}
	return false;
}

/* A reservation before whose start another image is to have come; pools hold ten. */
static const struct lease *reserve_with_image(int64_t size)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {2, size}};
	struct lease_spec spec = ar_of(1, now + 7200 * SEC, 60 * SEC);

	tell(&image);
	spec.image = 2;
	return request(spec);
}

static bool note_end(const struct transfer *transfer, void *arg)
{
	*(wall_us *)arg = transfer->state == TRANSFER_PLANNED ? transfer->end_us : 0;
	return true;
}

/* Where a guest lies its image was evicted: it is brought again before the guest goes on. */
START_TEST(brought_again)
{
	migrate_begin(MIGRATION_NO);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].node;
	wall_us end = 0;

	image_there(own, 1, EVENT_IMAGE_ABSENT);
	cancel(3);
	tick_at(now + settings.lead_us + settings.stop_us);
	ck_assert_uint_eq(lease->vms[0].node, own);
	plan_each_transfer(plan, own, note_end, &end);
	ck_assert_int_gt(end, now);
	ck_assert(lease->vms[0].planned);
	ck_assert_int_ge(lease->vms[1].run.prepare_us, end);
	ck_assert_int_lt(lease->vms[1].run.prepare_us, end + 2 * RESTORE_US);
	/* Nobody waits for it any more. */
	cancel(lease->id);
	end = 0;
	plan_each_transfer(plan, own, note_end, &end);
	ck_assert_int_eq(end, 0);
}
END_TEST

START_TEST(brings_its_disk)
{
	settings.disks = DISKS_WHOLE;
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = 3 - lease->vms[0].node;

	ck_assert_uint_eq(lease->vms[0].run.from_node, own);
	/* Nobody needs the image any more where it lies, nor where it goes. */
	image_there(3 - own, 1, EVENT_IMAGE_ABSENT);
	ck_assert(!fetches());
	ck_assert_uint_eq(lease->vms[0].run.from_node, own);
	ck_assert_uint_eq(lease->vms[0].node, 3 - own);
	ck_assert_int_eq(lease->vms[1].run.start_us - lease->vms[1].run.prepare_us, 2 * COPY_US + 2 * RESTORE_US);
	tick_at(lease->vms[1].run.start_us);
	see(lease, 0, SEEN_RUNNING, now);
	see(lease, 1, SEEN_RUNNING, now);
	ck_assert(!fetches());
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	ck_assert_int_eq(reserve_with_image(10 * GIB)->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(stands_on_the_image)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();

	/* Where it goes it needs the image again. */
	image_there(lease->vms[0].node, 1, EVENT_IMAGE_ABSENT);
	ck_assert(fetches() || lease->vms[0].run.from_node == 0);
}
END_TEST

/* What runs from a disk of its own leaves the pool to others; until then it needs its image. */
START_TEST(copied_at_boot)
{
	settings.disks = DISKS_WHOLE;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 36000 * SEC));
	ck_assert_uint_eq(lease->vms[0].node, 1);
	set_node(2, NODE_DRAINING);
	ck_assert_int_eq(reserve_with_image(10 * GIB)->state, LEASE_REJECTED);
	run_all(lease);
	struct lease_spec spec = ar_of(1, now + 7200 * SEC, 60 * SEC);
	spec.image = 2;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(own_nodes_first)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node;

	ck_assert_uint_ne(own, 0);
	/* The reservation is given back before anything was copied. */
	cancel(3);
	ck_assert_uint_eq(lease->vms[0].node, own);
	ck_assert_uint_eq(lease->vms[0].run.from_node, 0);
	tick_at(now + settings.lead_us + settings.stop_us);
	whole();
}
END_TEST

START_TEST(leaves_a_draining_node)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node;

	set_node(own, NODE_DRAINING);
	cancel(3);
	ck_assert_uint_eq(lease->vms[0].node, 3 - own);
	ck_assert_uint_eq(lease->vms[0].run.from_node, own);
}
END_TEST

START_TEST(silent_before)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node;

	set_node(own, NODE_SILENT);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDED);
	ck_assert_uint_eq(lease->vms[0].node, own);
	ck_assert(!lease->vms[0].planned);
	ck_assert_int_gt(lease->vms[0].served_us, 0);
	whole();
}
END_TEST

/* True if the guest lies where it lay before, with all it has been served, and has no other plan than to go on. */
static void lies_at(const struct lease *lease, uint32_t vm, uint32_t own, uint32_t generation)
{
	const struct vm *it = &lease->vms[vm];

	ck_assert_int_eq(it->state, LEASE_SUSPENDED);
	ck_assert_uint_eq(it->generation, generation);
	ck_assert_int_gt(it->served_us, 0);
	ck_assert_uint_eq(it->planned ? it->run.from_node : it->node, own);
	whole();
}

START_TEST(silent_meanwhile)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node, generation = lease->vms[0].generation;

	/* Its new node may have got all of it, or not: that is for the new node to say. */
	tick_at(lease->vms[1].run.prepare_us);
	set_node(own, NODE_SILENT);
	ck_assert_int_eq(lease->state, LEASE_MIGRATING);
	ck_assert_uint_eq(lease->vms[0].node, 3 - own);
	whole();
	tick_at(lease->vms[0].run.start_us + 30 * SEC);
	see(lease, 0, SEEN_FAILED, now);
	lies_at(lease, 0, own, generation);
	ck_assert(!lease->vms[0].planned);
	see(lease, 1, SEEN_RUNNING, now);
	ck_assert_int_eq(lease->vms[1].state, LEASE_ACTIVE);
	whole();
}
END_TEST

START_TEST(not_to_be_had)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node, generation = lease->vms[0].generation;

	tick_at(lease->vms[1].run.prepare_us);
	/* What was said of an earlier attempt counts no more. */
	see(lease, 1, SEEN_FAILED, lease->vms[1].run.prepare_us - 1);
	ck_assert_int_eq(lease->vms[1].state, LEASE_MIGRATING);
	tick_at(lease->vms[0].run.start_us + 30 * SEC);
	see(lease, 0, SEEN_FAILED, now);
	see(lease, 1, SEEN_FAILED, now);
	lies_at(lease, 0, own, generation);
	lies_at(lease, 1, own, generation);
	/* It is tried anew. */
	ck_assert(lease->vms[0].planned && lease->vms[1].planned);
	ck_assert_int_gt(lease->vms[1].run.prepare_us, now);
}
END_TEST

/* Its new node has restored it, and says that it is not there: it may be restored once more, or given up. */
START_TEST(absent_again)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node, generation = lease->vms[0].generation;

	tick_at(lease->vms[1].run.prepare_us);
	see(lease, 1, SEEN_PREPARED, now);
	see(lease, 1, SEEN_ABSENT, now);
	ck_assert_int_eq(lease->vms[1].state, LEASE_RESUMING);
	ck_assert_uint_eq(lease->vms[1].generation, generation);
	whole();
	see(lease, 1, SEEN_FAILED, now);
	lies_at(lease, 1, own, generation);
}
END_TEST

START_TEST(never_came)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node, generation = lease->vms[0].generation;
	wall_us end_us = lease->vms[0].run.release_us + settings.grace_us;

	/* Its new node is silent: it may run there, and then has ended there. */
	tick_at(lease->vms[1].run.prepare_us);
	set_node(3 - own, NODE_SILENT);
	tick_at(end_us);
	ck_assert_int_eq(lease->state, LEASE_MIGRATING);
	ck_assert_uint_eq(lease->vms[0].run.from_node, own);
	whole();
	/* It answers, and has not begun by its end: it will not any more. */
	set_node(3 - own, NODE_UP);
	tick_at(now + settings.grace_us);
	lies_at(lease, 0, own, generation);
	lies_at(lease, 1, own, generation);
}
END_TEST

START_TEST(lost_meanwhile)
{
	migrate_begin(MIGRATION_YES);
	const struct lease *lease = stranded();
	uint32_t own = lease->vms[0].run.from_node;

	tick_at(lease->vms[1].run.prepare_us);
	struct event event = {.kind = EVENT_VM_SEEN,
			      .vm = {lease->id, 0, lease->vms[0].generation, own, SEEN_ABSENT, now}};
	tell(&event);
	ck_assert_int_eq(lease->vms[0].served_us, 0);
	ck_assert_int_eq(lease->vms[0].run.from, RUN_BOOT);
	whole();
}
END_TEST

/* The row of what it leaves to be cleared up says so, though it lost the plan that would have ended it sooner. */
START_TEST(left_as_told)
{
	migrate_begin(MIGRATION_NO);
	const struct lease *lease = stranded();
	int rows = 0;

	ck_assert_uint_eq(lease->vms[0].run.from_node, 0);
	tick_at(lease->vms[1].run.prepare_us - settings.lead_us - SEC);
	struct event events[2] = {{.kind = EVENT_NODE, .node = node_info(3)},
				  {.kind = EVENT_LEASE_CANCELLED, .cancelled = lease->id}};
	events[0].node.state = NODE_DRAINING;
	plan_step(plan, events, 1, now, &actions);
	events[0].node.pool_bytes -= MIB; /* what is no promise makes way while it changes */
	plan_step(plan, events, 2, now, &actions);
	for (size_t i = 0; i < actions.count; i++) {
		const struct slot *slot = &actions.item[i].slot;
		if (actions.item[i].kind == ACTION_SLOT && slot->lease == lease->id && slot->kind == SLOT_HOLD) {
			ck_assert_int_eq(slot->end_us, now + settings.lead_us + settings.stop_us);
			rows++;
		}
	}
	ck_assert_int_eq(rows, 2);
}
END_TEST

/* Until the node has cleared up what was saved sooner than foreseen, that has a row: a restart must not forget it. */
START_TEST(what_is_left_has_a_row)
{
	migrate_begin(MIGRATION_NO);
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 60 * SEC));
	run_all(lease);
	wall_us end = lease->vms[0].run.end_us;
	bool row = false;

	tick_at(end);
	see(lease, 0, SEEN_SUSPENDING, end);
	now = end + SEC;
	see(lease, 0, SEEN_SUSPENDED, now);
	ck_assert_int_eq(lease->state, LEASE_DONE);
	for (size_t i = 0; i < actions.count; i++) {
		const struct slot *slot = &actions.item[i].slot;
		row = row || (actions.item[i].kind == ACTION_SLOT && slot->kind == SLOT_HOLD && slot->start_us == now &&
			      slot->end_us == now + settings.lead_us + settings.stop_us);
	}
	ck_assert(row);
}
END_TEST

static void add_image(uint64_t id, int64_t size)
{
	tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {id, size}});
}

static struct lease_spec with_image(struct lease_spec spec, uint64_t image)
{
	spec.image = image;
	return spec;
}

/* While it is looked for another time nothing is laid out anew that would take the room of its image. */
START_TEST(keeps_its_room)
{
	settings.backfill = BACKFILL_CONSERVATIVE;
	settings.staging = STAGING_EDF;
	migrate_begin(MIGRATION_FREE);
	const struct lease *lease = stranded();
	const struct run run = lease->vms[0].run;
	uint32_t to = lease->vms[0].node;

	set_node(3 - to, NODE_DRAINING);
	add_image(2, 10 * GIB - IMAGE_SIZE / 2 - MIB); /* there is room for it beside 3, but not beside 1 */
	add_image(3, IMAGE_SIZE / 2);
	request(with_image(ar_of(2, run.release_us + 200 * SEC, 60 * SEC), 3));
	for (int i = 0; i < 8; i++) {
		request(with_image(spec_of(LEASE_BEST_EFFORT, 2, SEC), 3)); /* as many as each pass plans anew */
	}
	const struct lease *later = request(with_image(spec_of(LEASE_BEST_EFFORT, 2, 36000 * SEC), 2));
	ck_assert_int_gt(later->vms[0].run.prepare_us, run.release_us);
	tick_at(now + settings.lead_us + SEC);
	image_there(to, 3, EVENT_IMAGE_PRESENT); /* sooner than foreseen: the link has time for the other */
	ck_assert_int_eq(lease->vms[0].run.start_us, run.start_us);
	ck_assert_uint_eq(lease->vms[0].node, to);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_migrate");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, plan_setup, plan_teardown);
	tcase_add_test(all, goes_elsewhere);
	tcase_add_test(all, fetched_aside);
	tcase_add_test(all, goes_at_once);
	tcase_add_test(all, smaller_goes);
	tcase_add_test(all, stays);
	tcase_add_test(all, brought_again);
	tcase_add_test(all, brings_its_disk);
	tcase_add_test(all, stands_on_the_image);
	tcase_add_test(all, copied_at_boot);
	tcase_add_test(all, own_nodes_first);
	tcase_add_test(all, leaves_a_draining_node);
	tcase_add_test(all, silent_before);
	tcase_add_test(all, silent_meanwhile);
	tcase_add_test(all, not_to_be_had);
	tcase_add_test(all, absent_again);
	tcase_add_test(all, never_came);
	tcase_add_test(all, lost_meanwhile);
	tcase_add_test(all, left_as_told);
	tcase_add_test(all, what_is_left_has_a_row);
	tcase_add_test(all, keeps_its_room);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
