/* Advance reservations and immediate leases: accepted, refused with reason and offer, kept; images in time. */
#include "core_fixture.h"
#include "policy.h"

START_TEST(accepted)
{
	const struct lease *lease = request(ar_of(4, now + 60 * SEC, 30 * SEC));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	for (uint32_t i = 0; i < 4; i++) {
		const struct run *run = &lease->vms[i].run;
		ck_assert_int_eq(run->prepare_us, now + 60 * SEC - settings.prepare_us);
		ck_assert_int_eq(run->start_us, now + 60 * SEC);
		ck_assert_int_eq(run->end_us, now + 90 * SEC);
		ck_assert_int_eq(run->release_us, now + 90 * SEC + settings.stop_us);
		ck_assert_int_eq(run->from, RUN_BOOT);
		ck_assert_int_eq(run->then, RUN_STOP);
		ck_assert_uint_eq(lease->vms[i].generation, 1);
	}
	ck_assert_uint_eq(count_actions(ACTION_VM), 4);
	ck_assert_uint_eq(count_actions(ACTION_SLOT), 12);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 2);
}
END_TEST

START_TEST(goes_its_way)
{
	const struct lease *lease = request(ar_of(2, now + 20 * SEC, 30 * SEC));
	wall_us start = lease->spec.start_us;

	tick_at(start - settings.prepare_us);
	ck_assert_int_eq(lease->state, LEASE_PREPARING);
	now += SEC;
	see(lease, 0, SEEN_PREPARED, now);
	see(lease, 1, SEEN_PREPARED, now);
	ck_assert_int_eq(lease->state, LEASE_READY);
	run_all(lease);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	ck_assert_int_eq(lease->first_start_us, start);
	tick_at(start + 30 * SEC);
	ck_assert_int_eq(lease->state, LEASE_STOPPING);
	now += SEC;
	see(lease, 0, SEEN_ENDED, now);
	ck_assert_int_eq(lease->state, LEASE_STOPPING);
	see(lease, 1, SEEN_ENDED, now);
	ck_assert_int_eq(lease->state, LEASE_DONE);
	ck_assert_int_eq(lease->reason.code, REASON_TIME_UP);
	ck_assert_int_eq(lease->ended_us, now);
	tell(&(struct event){.kind = EVENT_TICK});
	ck_assert_ptr_null(plan_lease(plan, 1));
}
END_TEST

START_TEST(start_past)
{
	wall_us earliest = now + settings.lead_us + settings.prepare_us;
	const struct lease *lease = request(ar_of(1, earliest - 1, 10 * SEC));

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_ptr_null(lease->vms);
	ck_assert_int_eq(lease->reason.code, REASON_START_PAST);
	ck_assert_int_eq(lease->reason.arg0, earliest);
	ck_assert(plan_offer(plan).valid);
	ck_assert_int_eq(plan_offer(plan).start_us, earliest);
	ck_assert_int_eq(request(ar_of(1, earliest, 10 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(ar_of(1, INT64_MIN, 10 * SEC))->reason.code, REASON_START_PAST);
	ck_assert_int_eq(request(ar_of(1, 0, 10 * SEC))->reason.code, REASON_START_PAST);
}
END_TEST

START_TEST(no_room_then_later)
{
	wall_us start = now + 60 * SEC;

	request(ar_of(3, start, 30 * SEC));
	const struct lease *lease = request(ar_of(2, start + 10 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(lease->reason.arg0, 1);
	ck_assert_uint_eq(lease->reason.lease, 1);
	/* From when the first is gone, and its guests need preparing. */
	struct offer offer = plan_offer(plan);
	ck_assert(offer.valid);
	ck_assert_int_eq(offer.start_us, start + 30 * SEC + settings.stop_us + settings.prepare_us);
	ck_assert_uint_eq(offer.vms, 2);
	/* The offer can be had; a moment earlier it cannot. */
	struct plan_answer answer;
	struct lease_spec spec = ar_of(2, offer.start_us - 1, 30 * SEC);
	plan_ask(plan, &spec, now, &answer);
	ck_assert(!answer.accepted);
	ck_assert_int_eq(request(ar_of(2, offer.start_us, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

static bool can_be_had(struct lease_spec spec)
{
	struct plan_answer answer;

	plan_ask(plan, &spec, now, &answer);
	return answer.accepted;
}

/* The nearest start is the one offered, the same way off an earlier one would not be. */
START_TEST(earlier_is_nearer)
{
	wall_us start = now + 600 * SEC, free_us = start - settings.prepare_us;

	request(ar_of(3, start, 300 * SEC));
	ck_assert_int_eq(request(ar_of(2, start + 10 * SEC, 60 * SEC))->state, LEASE_REJECTED);
	struct offer offer = plan_offer(plan);
	ck_assert(offer.valid);
	ck_assert_int_eq(offer.start_us, free_us - settings.stop_us - 60 * SEC);
	ck_assert_uint_eq(offer.vms, 2);
	ck_assert_int_eq(offer.duration_us, 60 * SEC);
	ck_assert(!can_be_had(ar_of(2, offer.start_us + 1, 60 * SEC)));
	ck_assert_int_eq(request(ar_of(2, offer.start_us, 60 * SEC))->state, LEASE_SCHEDULED);
	/* Another one before that, and in a window before it. */
	ck_assert_int_eq(request(ar_of(3, start + 10 * SEC, 60 * SEC))->state, LEASE_REJECTED);
	wall_us before_us = offer.start_us - settings.prepare_us - settings.stop_us - 60 * SEC;
	ck_assert_int_eq(plan_offer(plan).start_us, before_us);
	struct lease_spec spec = ar_of(3, start - 20 * SEC, 60 * SEC);
	spec.latest_us = start + 200 * SEC;
	ck_assert_int_eq(request(spec)->state, LEASE_REJECTED);
	wall_us after_us = start + 300 * SEC + settings.stop_us + settings.prepare_us;
	ck_assert_int_eq(plan_offer(plan).start_us, after_us);
	spec.latest_us = start;
	ck_assert_int_eq(request(spec)->state, LEASE_REJECTED);
	ck_assert_int_eq(plan_offer(plan).start_us, before_us);
}
END_TEST

/* Nodes that are free at times of their own: the last time when there are enough of them. */
START_TEST(earlier_on_several_nodes)
{
	wall_us start = now + 1000 * SEC;
	span_us apart_us = settings.prepare_us + settings.stop_us;

	request(ar_of(2, start, 900 * SEC));
	request(ar_of(1, start - 200 * SEC, 1100 * SEC));
	request(ar_of(1, start - 400 * SEC, 100 * SEC));
	ck_assert_int_eq(request(ar_of(3, start, 50 * SEC))->state, LEASE_REJECTED);
	/* Between the second and the third, after the first: one of four is taken. */
	ck_assert_int_eq(plan_offer(plan).start_us, start - apart_us - 50 * SEC);
	ck_assert_int_eq(request(ar_of(4, start, 50 * SEC))->state, LEASE_REJECTED);
	ck_assert_int_eq(plan_offer(plan).start_us, start - 200 * SEC - apart_us - 50 * SEC);
	/* There it does not fit in between. */
	ck_assert_int_eq(request(ar_of(4, start, 100 * SEC))->state, LEASE_REJECTED);
	ck_assert_int_eq(plan_offer(plan).start_us, start - 400 * SEC - apart_us - 100 * SEC);
}
END_TEST

START_TEST(not_before_now)
{
	wall_us earliest = now + settings.lead_us + settings.prepare_us;
	wall_us start = earliest + settings.prepare_us + settings.stop_us + 60 * SEC;

	request(ar_of(3, start, 300 * SEC));
	ck_assert_int_eq(request(ar_of(2, start, 60 * SEC))->state, LEASE_REJECTED);
	ck_assert_int_eq(plan_offer(plan).start_us, earliest);
	ck_assert_int_eq(request(ar_of(2, start, 60 * SEC + 1))->state, LEASE_REJECTED);
	ck_assert_int_gt(plan_offer(plan).start_us, start);
}
END_TEST

START_TEST(never_fits)
{
	const struct lease *lease = request(ar_of(5, now + 60 * SEC, 30 * SEC));

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NEVER_FITS);
	ck_assert_int_eq(lease->reason.arg0, 4);
	ck_assert_uint_eq(plan_offer(plan).vms, 4);
	ck_assert_int_eq(plan_offer(plan).start_us, now + 60 * SEC);
	struct lease_spec big = ar_of(1, now + 60 * SEC, SEC);
	big.per_vm.amount[RES_MEMORY] = 3 * GIB;
	lease = request(big);
	ck_assert_int_eq(lease->reason.code, REASON_NEVER_FITS);
	ck_assert_int_eq(lease->reason.res, RES_MEMORY);
	ck_assert(!plan_offer(plan).valid);
}
END_TEST

START_TEST(image_late)
{
	/* One transfer of 10 s each, two nodes: 10 s of transfer, lead, preparation. */
	wall_us one = now + settings.lead_us + 10 * SEC + settings.prepare_us;
	const struct lease *lease = request(ar_of(2, one - 1, 30 * SEC));

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_IMAGE_LATE);
	ck_assert_int_eq(lease->reason.arg0, one);
	ck_assert_int_eq(plan_offer(plan).start_us, one);
	ck_assert_int_eq(request(ar_of(2, one, 30 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER), 1);
	/* The link is taken until then; the other node's image must wait for it. */
	lease = request(ar_of(2, one + 10 * SEC - 1, 30 * SEC));
	ck_assert_int_eq(lease->reason.code, REASON_IMAGE_LATE);
	ck_assert_int_eq(request(ar_of(2, one + 10 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

struct found {
	size_t n;
	struct transfer transfer[8];
};

static bool collect(const struct transfer *transfer, void *arg)
{
	struct found *found = arg;

	found->transfer[found->n++] = *transfer;
	return true;
}

START_TEST(just_in_time)
{
	struct found one = {0}, two = {0};

	settings.stage_ahead_us = 0;
	plan_begin();
	request(ar_of(4, now + 600 * SEC, 30 * SEC));
	plan_each_transfer(plan, 1, collect, &one);
	plan_each_transfer(plan, 2, collect, &two);
	ck_assert_uint_eq(one.n, 1);
	ck_assert_uint_eq(two.n, 1);
	/* Late, in time, and one after another. */
	wall_us deadline = now + 600 * SEC - settings.prepare_us;
	ck_assert_int_eq(one.transfer[0].deadline_us, deadline);
	ck_assert_int_gt(one.transfer[0].start_us, now + 500 * SEC);
	ck_assert_int_le(one.transfer[0].end_us, deadline);
	ck_assert_int_le(two.transfer[0].end_us, deadline);
	ck_assert(one.transfer[0].end_us <= two.transfer[0].start_us ||
		  two.transfer[0].end_us <= one.transfer[0].start_us);
}
END_TEST

/* While the link is idle images come early, but a best-effort lease does not wait for one that has time. */
START_TEST(ahead_of_time)
{
	struct found one = {0}, two = {0}, late = {0};
	wall_us soon = now + settings.lead_us;

	settings.stage_ahead_us = 700 * SEC;
	plan_begin();
	request(ar_of(2, now + 2000 * SEC, 30 * SEC));
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_int_eq(one.transfer[0].start_us, now + 1300 * SEC - settings.prepare_us);
	const struct lease *second = request(ar_of(2, now + 600 * SEC, 30 * SEC));
	plan_each_transfer(plan, second->vms[0].node, collect, &two);
	ck_assert_int_eq(two.transfer[0].start_us, soon);
	/* Not begun yet, it makes room. */
	plan_begin();
	request(ar_of(4, now + 2000 * SEC, 30 * SEC));
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 1, 30 * SEC));
	plan_each_transfer(plan, best->vms[0].node, collect, &late);
	ck_assert_int_eq(late.transfer[0].start_us, soon);
}
END_TEST

START_TEST(transfers_shared)
{
	struct found one = {0};

	/* Both on one node, needing one transfer; the second, earlier one hastens it. */
	request(ar_of(1, now + 600 * SEC, 30 * SEC));
	request(ar_of(1, now + 300 * SEC, 30 * SEC));
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_uint_eq(one.n, 1);
	ck_assert_int_eq(one.transfer[0].deadline_us, now + 300 * SEC - settings.prepare_us);
	/* Cancelled, the other's deadline counts again. */
	cancel(2);
	one.n = 0;
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_int_eq(one.transfer[0].deadline_us, now + 600 * SEC - settings.prepare_us);
	cancel(1);
	one.n = 0;
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_uint_eq(one.n, 0);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER_DROP), 1);
}
END_TEST

START_TEST(promise_before_best_effort)
{
	struct found one = {0};

	/* The best-effort transfers wait on the link when a reservation needs it first. */
	request(spec_of(LEASE_BEST_EFFORT, 4, 300 * SEC));
	const struct lease *lease = request(ar_of(2, now + 400 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	plan_each_transfer(plan, lease->vms[0].node, collect, &one);
	ck_assert_uint_eq(one.n, 1);
	ck_assert_int_le(one.transfer[0].end_us, lease->vms[0].run.prepare_us);
}
END_TEST

START_TEST(transfer_late)
{
	struct found one = {0};
	const struct lease *lease = request(ar_of(1, now + 600 * SEC, 30 * SEC));

	plan_each_transfer(plan, 1, collect, &one);
	tick_at(one.transfer[0].start_us);
	ck_assert_int_eq(lease->state, LEASE_PREPARING);
	tick_at(one.transfer[0].end_us);
	one.n = 0;
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_int_gt(one.transfer[0].end_us, now);
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	one.n = 0;
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_uint_eq(one.n, 1);
	ck_assert_int_eq(one.transfer[0].state, TRANSFER_DONE);
	/* Vanished again, it is fetched again. */
	image_there(1, 1, EVENT_IMAGE_ABSENT);
	one.n = 0;
	plan_each_transfer(plan, 1, collect, &one);
	ck_assert_uint_eq(one.n, 1);
	ck_assert_int_eq(one.transfer[0].state, TRANSFER_PLANNED);
}
END_TEST

START_TEST(transfer_failed)
{
	const struct lease *lease = request(ar_of(4, now + 600 * SEC, 30 * SEC));

	image_there(1, 1, EVENT_TRANSFER_FAILED);
	ck_assert_int_eq(lease->state, LEASE_FAILED);
	ck_assert_int_eq(lease->reason.code, REASON_IMAGE_BAD);
	ck_assert_uint_eq(count_actions(ACTION_PROMISE_BROKEN), 1);
	ck_assert_uint_eq(count_actions(ACTION_SLOT_DROP), 12);
}
END_TEST

START_TEST(late_start)
{
	const struct lease *lease = request(ar_of(2, now + 20 * SEC, 30 * SEC));

	now = lease->spec.start_us + settings.late_us + 1;
	see(lease, 0, SEEN_RUNNING, now);
	ck_assert_uint_eq(count_actions(ACTION_PROMISE_BROKEN), 1);
	ck_assert_int_eq(lease->reason.code, REASON_LATE);
	/* Once for the lease; and its end does not move. */
	see(lease, 1, SEEN_RUNNING, now);
	ck_assert_uint_eq(count_actions(ACTION_PROMISE_BROKEN), 0);
	ck_assert_int_eq(lease->vms[0].run.end_us, lease->spec.start_us + 30 * SEC);
}
END_TEST

START_TEST(immediate)
{
	const struct lease *lease = request(spec_of(LEASE_IMMEDIATE, 3, 60 * SEC));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
	lease = request(spec_of(LEASE_IMMEDIATE, 2, 60 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_ROOM);
	ck_assert(plan_offer(plan).valid);
	ck_assert_int_gt(plan_offer(plan).start_us, now + 60 * SEC);
	ck_assert_int_eq(request(spec_of(LEASE_IMMEDIATE, 1, 60 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(immediate_staging)
{
	const struct lease *lease = request(spec_of(LEASE_IMMEDIATE, 3, 60 * SEC));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->vms[0].run.start_us, now + settings.lead_us + 20 * SEC + settings.prepare_us);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER), 2);
}
END_TEST

START_TEST(asking_changes_nothing)
{
	struct plan_answer answer;
	struct lease_spec spec = ar_of(4, now + 60 * SEC, 30 * SEC);

	request(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC));
	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted);
	ck_assert_int_eq(answer.start_us, spec.start_us);
	ck_assert_uint_eq(answer.nodes, 2);
	tick_at(now);
	/* Nothing but the wish to be woken. */
	ck_assert_uint_eq(actions.count, count_actions(ACTION_WAKE));
	spec = spec_of(LEASE_BEST_EFFORT, 4, 30 * SEC);
	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted);
	ck_assert_int_gt(answer.start_us, now + 100 * SEC);
}
END_TEST

static void refused(struct lease_spec spec, enum reason_code code)
{
	const struct lease *lease = request(spec);

	ck_assert_ptr_nonnull(lease);
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, code);
	ck_assert_uint_ge(count_actions(ACTION_LEASE), 1);
}

START_TEST(bad_specs)
{
	for (int k = 0; k < LEASE_KIND_COUNT; k++) {
		struct lease_spec good = spec_of((enum lease_kind)k, 1, 10 * SEC), bad;
		good.start_us = k == LEASE_AR ? now + 60 * SEC : 0;
		bad = good, bad.vms = 0, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.vms = LEASE_VMS_MAX + 1, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.vms = UINT32_MAX, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.duration_us = 0, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.duration_us = -1, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.duration_us = INT64_MAX, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.per_vm.amount[RES_CPU] = 0, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.per_vm.amount[RES_MEMORY] = -1, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.per_vm.amount[RES_DISK] = INT64_MAX, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.per_vm.amount[RES_NET_IN] = 1, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.start_us = INT64_MAX, refused(bad, REASON_NEVER_FITS);
		bad = good, bad.image = 99, refused(bad, REASON_IMAGE_BAD);
		bad = good, bad.image = 0, refused(bad, REASON_IMAGE_BAD);
	}
	struct lease_spec odd = spec_of((enum lease_kind)17, 1, SEC);
	refused(odd, REASON_NEVER_FITS);
}
END_TEST

START_TEST(unknown_things)
{
	struct event event = {.kind = EVENT_VM_SEEN};

	request(ar_of(1, now + 60 * SEC, 30 * SEC));
	event.vm.lease = 99;
	tell(&event);
	ck_assert_uint_eq(actions.count, count_actions(ACTION_WAKE));
	event.vm.lease = 1;
	event.vm.vm = 1;
	event.vm.node = 1;
	event.vm.generation = 1;
	event.vm.seen = SEEN_FAILED;
	tell(&event);
	event.vm.vm = 0;
	event.vm.generation = 0;
	tell(&event);
	event.vm.generation = 1;
	event.vm.node = 2;
	tell(&event);
	ck_assert_int_eq(plan_lease(plan, 1)->state, LEASE_SCHEDULED);
	image_there(9, 1, EVENT_IMAGE_PRESENT);
	image_there(1, 9, EVENT_TRANSFER_FAILED);
	cancel(9);
	/* An id a second time. */
	last_lease = 0;
	ck_assert_int_eq(request(ar_of(4, now + 60 * SEC, SEC))->spec.vms, 1);
	/* An image that is needed stays; a node without a rate is none. */
	tell(&(struct event){.kind = EVENT_IMAGE_REMOVED, .image_removed = 1});
	ck_assert(plan_image_needed(plan, 1));
	struct event node = {.kind = EVENT_NODE, .node = node_info(3)};
	node.node.suspend_rate = 0;
	tell(&node);
	ck_assert_ptr_null(plan_node(plan, 3));
}
END_TEST

START_TEST(no_nodes_no_pool)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {2, 11 * GIB}};

	tell(&image);
	struct lease_spec spec = ar_of(1, now + 60 * SEC, SEC);
	spec.image = 2;
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->reason.code, REASON_POOL_FULL);
	ck_assert_int_eq(lease->reason.arg0, 11 * GIB);
	set_node(1, NODE_SILENT);
	set_node(2, NODE_DRAINING);
	lease = request(ar_of(1, now + 60 * SEC, SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_NODES);
	/* Best-effort leases may wait for them. */
	ck_assert_int_eq(request(spec_of(LEASE_BEST_EFFORT, 1, SEC))->state, LEASE_QUEUED);
	set_node(2, NODE_UP);
	ck_assert_int_eq(plan_lease(plan, last_lease)->state, LEASE_SCHEDULED);
}
END_TEST

/* Before any node is known only who can wait is taken; a best-effort lease of any size, as nobody knows better. */
START_TEST(before_the_first_node)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {1, IMAGE_SIZE}};
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 4, 30 * SEC);
	struct plan_answer answer;

	plan_free(plan);
	plan = plan_new(&settings);
	tell(&image);
	refused(ar_of(1, now + 60 * SEC, SEC), REASON_NO_NODES);
	ck_assert(!plan_offer(plan).valid);
	refused(spec_of(LEASE_IMMEDIATE, 1, SEC), REASON_NO_NODES);
	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted);
	ck_assert_int_eq(answer.start_us, 0);
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_QUEUED);
	set_node(1, NODE_UP);
	ck_assert_int_eq(lease->state, LEASE_QUEUED);
	refused(spec_of(LEASE_BEST_EFFORT, 4, SEC), REASON_NEVER_FITS);
	set_node(2, NODE_UP);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
}
END_TEST

/* Nodes that take nothing now count for what may wait. */
START_TEST(no_node_listens)
{
	set_node(1, NODE_SILENT);
	set_node(2, NODE_DRAINING);
	refused(ar_of(1, now + 60 * SEC, SEC), REASON_NO_NODES);
	refused(spec_of(LEASE_IMMEDIATE, 1, SEC), REASON_NO_NODES);
	refused(spec_of(LEASE_BEST_EFFORT, 5, SEC), REASON_NEVER_FITS);
	ck_assert_int_eq(request(spec_of(LEASE_BEST_EFFORT, 4, SEC))->state, LEASE_QUEUED);
}
END_TEST

/* That a guest is not there yet says nothing: a reservation is preparing from its image's transfer on. */
START_TEST(absent_long_before)
{
	struct found found = {0};

	settings.stage_ahead_us = 0;
	plan_begin();
	const struct lease *lease = request(ar_of(2, now + 600 * SEC, 30 * SEC));
	plan_each_transfer(plan, lease->vms[0].node, collect, &found);
	ck_assert_uint_eq(found.n, 1);
	wall_us transfer = found.transfer[0].start_us;
	for (now += SEC; now < transfer; now += 50 * SEC) {
		see(lease, 0, SEEN_ABSENT, now);
		see(lease, 1, SEEN_ABSENT, now);
		ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	}
	tick_at(transfer - 1);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	tick_at(transfer);
	ck_assert_int_eq(lease->state, LEASE_PREPARING);
}
END_TEST

/* The same when the image is there: from the preparation on. */
START_TEST(absent_before_prepare)
{
	const struct lease *lease = request(ar_of(1, now + 600 * SEC, 30 * SEC));
	wall_us prepare = lease->vms[0].run.prepare_us;

	for (now += SEC; now < prepare; now += 50 * SEC) {
		see(lease, 0, SEEN_ABSENT, now);
		ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	}
	now = prepare - 1;
	see(lease, 0, SEEN_ABSENT, now);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	tick_at(prepare);
	ck_assert_int_eq(lease->state, LEASE_PREPARING);
}
END_TEST

START_TEST(policy_no_ar)
{
	settings.admission = policy_admission("no-ar");
	plan_begin();
	refused(ar_of(1, now + 600 * SEC, 30 * SEC), REASON_POLICY);
	ck_assert(!plan_offer(plan).valid);
	ck_assert_int_eq(request(spec_of(LEASE_IMMEDIATE, 1, 30 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(spec_of(LEASE_BEST_EFFORT, 1, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(policy_half)
{
	settings.admission = policy_admission("half");
	plan_begin();
	refused(ar_of(3, now + 600 * SEC, 30 * SEC), REASON_POLICY);
	ck_assert_int_eq(request(ar_of(2, now + 600 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(spec_of(LEASE_BEST_EFFORT, 4, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(price_by_rate)
{
	struct lease_spec spec = ar_of(2, now + 600 * SEC, 1800 * SEC);

	settings.price = policy_price("constant");
	settings.price_rate = 60;
	plan_begin();
	/* 2 cores for half an hour. */
	spec.price_max = 59;
	refused(spec, REASON_PRICE);
	ck_assert_int_eq(plan_lease(plan, last_lease)->reason.arg0, 60);
	ck_assert_int_eq(plan_lease(plan, last_lease)->price, 0);
	spec.price_max = 60;
	struct plan_answer answer;
	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted && answer.price == 60);
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->price, 60);
	/* A little more costs another credit; whoever names no price pays any. */
	spec.duration_us++;
	spec.start_us += 3000 * SEC;
	refused(spec, REASON_PRICE);
	ck_assert_int_eq(plan_lease(plan, last_lease)->reason.arg0, 61);
	spec.price_max = 0;
	lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->price, 61);
}
END_TEST

START_TEST(price_by_load)
{
	struct lease_spec spec = ar_of(2, now + 600 * SEC, 1800 * SEC);

	settings.price = policy_price("load");
	settings.price_rate = 60;
	plan_begin();
	spec.price_max = 60;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
	/* Half of the cluster is taken now. */
	refused(spec, REASON_PRICE);
	ck_assert_int_eq(plan_lease(plan, last_lease)->reason.arg0, 150);
	spec.price_max = 150;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
}
END_TEST

/* With nothing to wait for it starts in the very step. */
START_TEST(immediate_now)
{
	settings.lead_us = 0;
	settings.prepare_us = 0;
	settings.stop_us = 0;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	const struct lease *lease = request(spec_of(LEASE_IMMEDIATE, 4, 60 * SEC));
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->vms[3].run.start_us, now);
	ck_assert_int_eq(lease->vms[3].run.release_us, now + 60 * SEC);
	run_all(lease);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	/* And another at the instant it ends. */
	ck_assert_int_eq(request(ar_of(4, now + 60 * SEC, SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(ar_of(1, now + 60 * SEC - 1, SEC))->state, LEASE_REJECTED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_admit");
	TCase *staged = tcase_create("staged"), *bare = tcase_create("bare");

	tcase_add_checked_fixture(staged, staged_setup, plan_teardown);
	tcase_add_test(staged, accepted);
	tcase_add_test(staged, goes_its_way);
	tcase_add_test(staged, start_past);
	tcase_add_test(staged, no_room_then_later);
	tcase_add_test(staged, earlier_is_nearer);
	tcase_add_test(staged, earlier_on_several_nodes);
	tcase_add_test(staged, not_before_now);
	tcase_add_test(staged, never_fits);
	tcase_add_test(staged, late_start);
	tcase_add_test(staged, immediate);
	tcase_add_test(staged, asking_changes_nothing);
	tcase_add_test(staged, bad_specs);
	tcase_add_test(staged, unknown_things);
	tcase_add_test(staged, no_nodes_no_pool);
	tcase_add_test(staged, before_the_first_node);
	tcase_add_test(staged, no_node_listens);
	tcase_add_test(staged, absent_before_prepare);
	tcase_add_test(staged, policy_no_ar);
	tcase_add_test(staged, policy_half);
	tcase_add_test(staged, price_by_rate);
	tcase_add_test(staged, price_by_load);
	tcase_add_test(staged, immediate_now);
	tcase_add_checked_fixture(bare, plan_setup, plan_teardown);
	tcase_add_test(bare, image_late);
	tcase_add_test(bare, just_in_time);
	tcase_add_test(bare, ahead_of_time);
	tcase_add_test(bare, absent_long_before);
	tcase_add_test(bare, transfers_shared);
	tcase_add_test(bare, promise_before_best_effort);
	tcase_add_test(bare, transfer_late);
	tcase_add_test(bare, transfer_failed);
	tcase_add_test(bare, immediate_staging);
	suite_add_tcase(suite, staged);
	suite_add_tcase(suite, bare);
	return run_suite(suite);
}
