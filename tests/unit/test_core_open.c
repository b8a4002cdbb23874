/* Open leases: kept ready in a window, used by others meanwhile, and run when they are called. */
#include "core_fixture.h"

#define RESPONSE (30 * SEC)

static struct lease_spec open_of(uint32_t vms, wall_us from, wall_us latest, span_us duration)
{
	struct lease_spec spec = spec_of(LEASE_OPEN, vms, duration);

	spec.start_us = from;
	spec.latest_us = latest;
	spec.response_us = RESPONSE;
	return spec;
}

static void call(uint64_t id)
{
	tell(&(struct event){.kind = EVENT_LEASE_CALLED, .called = id});
}

static void resize(uint64_t id, span_us duration)
{
	struct event event = {.kind = EVENT_LEASE_RESIZED};

	event.resized.id = id;
	event.resized.duration_us = duration;
	tell(&event);
}

static const struct reason *refusal(void)
{
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_REFUSED) {
			return &actions.item[i].refused.reason;
		}
	}
	return NULL;
}

static span_us least(void)
{
	return settings.lead_us + settings.stop_us + settings.prepare_us;
}

static wall_us earliest(void)
{
	return now + settings.lead_us + settings.prepare_us;
}

/* The window begins; its slot says so all the time. */
START_TEST(stands_by)
{
	wall_us from = now + 60 * SEC, latest = now + 160 * SEC;
	const struct lease *lease = request(open_of(3, from, latest, 40 * SEC));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(count_actions(ACTION_SLOT), 3);
	for (size_t i = 0; i < actions.count; i++) {
		const struct slot *slot = &actions.item[i].slot;
		if (actions.item[i].kind == ACTION_SLOT) {
			ck_assert_int_eq(slot->kind, SLOT_STANDBY);
			ck_assert_int_eq(slot->start_us, from);
			ck_assert_int_eq(slot->end_us, latest + RESPONSE + 40 * SEC + settings.stop_us);
		}
	}
	ck_assert(!lease->vms[0].planned);
	tick_at(from);
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	ck_assert_uint_eq(count_actions(ACTION_SLOT), 0);
}
END_TEST

START_TEST(called)
{
	const struct lease *lease = request(open_of(4, now + 60 * SEC, now + 160 * SEC, 40 * SEC));

	tick_at(now + 100 * SEC);
	call(1);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->spec.start_us, earliest());
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert(lease->vms[i].planned);
		ck_assert_int_eq(lease->vms[i].run.start_us, earliest());
		ck_assert_int_eq(lease->vms[i].run.end_us, earliest() + 40 * SEC);
		ck_assert_uint_eq(lease->vms[i].generation, 1);
	}
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 2);
	ck_assert_ptr_null(refusal());
	/* Nobody hears it twice. */
	call(1);
	ck_assert_uint_eq(count_actions(ACTION_LEASE), 1);
	ck_assert_uint_eq(count_actions(ACTION_VM), 0);
	ck_assert_ptr_null(refusal());
	run_all(lease);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	tick_at(lease->vms[0].run.end_us);
	for (uint32_t i = 0; i < 4; i++) {
		see(lease, i, SEEN_ENDED, now);
	}
	ck_assert_int_eq(lease->state, LEASE_DONE);
	ck_assert_int_eq(lease->reason.code, REASON_TIME_UP);
	ck_assert_int_eq(request(ar_of(4, now + 20 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(not_called)
{
	wall_us latest = now + 160 * SEC;
	const struct lease *lease = request(open_of(4, now + 60 * SEC, latest, 40 * SEC));

	tick_at(now + 60 * SEC);
	ck_assert_int_eq(actions.item[actions.count - 1].wake_us, latest);
	tick_at(latest - 1);
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	tick_at(latest);
	ck_assert_int_eq(lease->state, LEASE_DONE);
	ck_assert_int_eq(lease->reason.code, REASON_NOT_CALLED);
	ck_assert_uint_eq(count_actions(ACTION_SLOT), 4); /* until now */
	ck_assert_int_eq(request(ar_of(4, earliest(), 30 * SEC))->state, LEASE_SCHEDULED);
	call(1);
	ck_assert_uint_eq(count_actions(ACTION_VM), 0);
}
END_TEST

/* Too soon, too late, and what cannot be called at all. */
START_TEST(call_refused)
{
	wall_us from = now + 60 * SEC, latest = now + 160 * SEC;
	const struct lease *lease = request(open_of(1, from, latest, 40 * SEC));

	request(spec_of(LEASE_BEST_EFFORT, 1, 30 * SEC));
	call(1);
	ck_assert_int_eq(refusal()->code, REASON_NOT_YET);
	ck_assert_int_eq(refusal()->arg0, from);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	call(2);
	ck_assert_int_eq(refusal()->code, REASON_KIND);
	call(77);
	ck_assert_ptr_null(refusal());
	now = latest;
	call(1);
	ck_assert_int_eq(refusal()->code, REASON_NOT_CALLED);
	ck_assert_int_eq(lease->state, LEASE_DONE);
}
END_TEST

START_TEST(cancelled)
{
	const struct lease *lease = request(open_of(4, now + 60 * SEC, now + 160 * SEC, 40 * SEC));

	cancel(1);
	ck_assert_int_eq(lease->state, LEASE_CANCELLED);
	ck_assert_uint_eq(count_actions(ACTION_SLOT_DROP), 4);
	lease = request(open_of(4, now, now + 160 * SEC, 40 * SEC));
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	now += 5 * SEC;
	cancel(2);
	ck_assert_int_eq(lease->state, LEASE_CANCELLED);
	/* Its nodes hold nothing of it, so there is nothing to wait for. */
	ck_assert_int_eq(request(ar_of(4, earliest(), 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

/* Other promises keep away from it, and it from them. */
START_TEST(promises_apart)
{
	wall_us from = now + 60 * SEC, latest = now + 160 * SEC;
	wall_us until = latest + RESPONSE + 40 * SEC + settings.stop_us;
	struct lease_spec spec;

	request(open_of(3, from, latest, 40 * SEC));
	const struct lease *ar = request(ar_of(2, from + 30 * SEC, 10 * SEC));
	ck_assert_int_eq(ar->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(ar->reason.arg0, 1);
	ck_assert_uint_eq(ar->reason.lease, 1);
	/* Before it is nearer than after it. */
	ck_assert_int_eq(plan_offer(plan).start_us, from - settings.stop_us - 10 * SEC);
	ck_assert_int_eq(request(ar_of(1, from + 30 * SEC, 10 * SEC))->state, LEASE_SCHEDULED);
	/* Before the window, and after it. */
	ck_assert_int_eq(request(ar_of(4, from - 30 * SEC, 30 * SEC - settings.stop_us))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(ar_of(4, until + settings.prepare_us, 10 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(open_of(1, from, latest, 40 * SEC))->reason.code, REASON_NO_ROOM);
	cancel(4);
	tick_at(from);
	spec = spec_of(LEASE_IMMEDIATE, 2, 10 * SEC);
	ck_assert_int_eq(request(spec)->state, LEASE_REJECTED);
	spec.vms = 1;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
	/* A deadline lease waits until the one on standby is over. */
	spec = spec_of(LEASE_DEADLINE, 4, 10 * SEC);
	spec.deadline_us = until + 100 * SEC;
	const struct lease *deadline = request(spec);
	ck_assert_int_ge(deadline->vms[0].run.prepare_us, until);
	call(1);
	ck_assert_int_eq(plan_lease(plan, 1)->vms[0].run.start_us, earliest());
}
END_TEST

START_TEST(room_refused)
{
	wall_us from = now + 60 * SEC;

	request(ar_of(3, from + 200 * SEC, 10 * SEC));
	const struct lease *lease = request(open_of(2, from, from + 100 * SEC, 100 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(lease->reason.arg0, 1);
	ck_assert_uint_eq(lease->reason.lease, 1);
	ck_assert(plan_offer(plan).valid);
	ck_assert_uint_eq(plan_offer(plan).vms, 1);
	lease = request(open_of(9, from, from + 100 * SEC, 10 * SEC));
	ck_assert_int_eq(lease->reason.code, REASON_NEVER_FITS);
	ck_assert_uint_eq(plan_offer(plan).vms, 4);
	/* A window that is over, or empty. */
	lease = request(open_of(1, now - 20 * SEC, now, 10 * SEC));
	ck_assert_int_eq(lease->reason.code, REASON_START_PAST);
}
END_TEST

START_TEST(response_refused)
{
	struct lease_spec spec = open_of(1, now + 60 * SEC, now + 160 * SEC, 40 * SEC);

	spec.response_us = least() - 1;
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_RESPONSE);
	ck_assert_int_eq(lease->reason.arg0, least());
	ck_assert(plan_offer(plan).valid);
	ck_assert_int_eq(plan_offer(plan).response_us, least());
	ck_assert_int_eq(lease->spec.response_us, least() - 1);
	spec.response_us = least();
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
}
END_TEST

/* Best-effort leases run on what is kept, as if it were free, and are saved when the call comes. */
START_TEST(filler_suspended)
{
	const struct lease *lease = request(open_of(4, now, now + 500 * SEC, 40 * SEC));
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 4, 300 * SEC));

	ck_assert_int_eq(best->vms[0].run.start_us, earliest());
	ck_assert_int_eq(best->vms[0].run.then, RUN_STOP);
	run_all(best);
	now += 20 * SEC;
	wall_us at = now;
	call(1);
	ck_assert_int_eq(best->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_le(best->vms[0].run.release_us, lease->vms[0].run.prepare_us);
	ck_assert_int_le(lease->vms[0].run.start_us, at + RESPONSE);
	/* Two of 1 GiB on each node at 100 MiB/s, one after the other. */
	ck_assert_int_eq(lease->vms[0].run.start_us, earliest() + 2 * (settings.suspend_us + 1024 * SEC / 100));
	ck_assert_int_eq(best->state, LEASE_ACTIVE);
	tick_at(best->vms[0].run.end_us);
	ck_assert_int_eq(best->reason.code, REASON_PREEMPTED);
	ck_assert_uint_eq(best->reason.lease, 1);
}
END_TEST

/* Where that takes too long they are stopped and start anew. */
START_TEST(filler_stopped)
{
	struct lease_spec spec = open_of(4, now, now + 500 * SEC, 40 * SEC);

	spec.response_us = 20 * SEC;
	const struct lease *lease = request(spec);
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 4, 300 * SEC));
	run_all(best);
	now += 20 * SEC;
	call(1);
	ck_assert_int_eq(best->state, LEASE_SCHEDULED); /* later */
	ck_assert_uint_eq(best->vms[0].generation, 2);
	ck_assert_int_ge(best->vms[0].run.prepare_us, lease->vms[0].run.release_us);
	ck_assert_int_eq(lease->vms[0].run.start_us, now + least());
}
END_TEST

/* Only as many as are in the way. */
START_TEST(filler_spared)
{
	request(open_of(1, now, now + 500 * SEC, 40 * SEC));
	const struct lease *one = request(spec_of(LEASE_BEST_EFFORT, 1, 300 * SEC));
	const struct lease *two = request(spec_of(LEASE_BEST_EFFORT, 1, 300 * SEC));
	const struct lease *three = request(spec_of(LEASE_BEST_EFFORT, 2, 300 * SEC));

	run_all(one);
	run_all(two);
	run_all(three);
	now += 20 * SEC;
	call(1);
	int cut = 0;
	cut += one->vms[0].run.then == RUN_SUSPEND;
	cut += two->vms[0].run.then == RUN_SUSPEND;
	cut += three->vms[0].run.then == RUN_SUSPEND;
	ck_assert_int_eq(cut, 1);
	ck_assert_int_le(plan_lease(plan, 1)->vms[0].run.start_us, now + RESPONSE);
}
END_TEST

/* One that is being saved for longer than there is time, and one that lies saved where disk is short. */
START_TEST(filler_saved_too_slowly)
{
	struct lease_spec spec = spec_of(LEASE_OPEN, 2, 40 * SEC);
	struct lease_spec fill = spec_of(LEASE_BEST_EFFORT, 1, 300 * SEC);

	fill.per_vm.amount[RES_MEMORY] = 2 * GIB;
	fill.vms = 2;
	const struct lease *best = request(fill);
	run_all(best);
	now += 20 * SEC;
	/* A reservation has them saved. */
	const struct lease *ar = request(ar_of(4, now + 40 * SEC, 30 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	tick_at(best->vms[0].run.end_us);
	see(best, 0, SEEN_SUSPENDING, now);
	see(best, 1, SEEN_SUSPENDING, now);
	cancel(ar->id);
	spec.start_us = now;
	spec.latest_us = now + 100 * SEC;
	spec.response_us = least();
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	ck_assert_int_gt(best->vms[0].run.release_us, now + 15 * SEC);
	call(lease->id);
	ck_assert_int_eq(lease->vms[0].run.start_us, now + least());
	ck_assert_int_eq(best->vms[0].served_us, 0);
}
END_TEST

/* The image is there when the window begins, and is kept there. */
START_TEST(image_kept)
{
	wall_us from = now + 200 * SEC;
	const struct lease *lease = request(open_of(3, from, from + 100 * SEC, 40 * SEC));
	struct transfer transfer = {0};
	size_t transfers = 0;

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_TRANSFER) {
			transfers++;
			transfer = actions.item[i].transfer;
			ck_assert_int_eq(transfer.deadline_us, from);
			ck_assert_int_le(transfer.end_us, from);
		}
	}
	ck_assert_uint_eq(transfers, 2);
	tick_at(transfer.start_us);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	tick_at(from);
	/* It vanishes, and is brought again. */
	image_there(1, 1, EVENT_IMAGE_ABSENT);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER), 1);
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	call(1);
	ck_assert_int_eq(lease->vms[0].run.start_us, earliest());
}
END_TEST

START_TEST(image_late)
{
	const struct lease *lease = request(open_of(3, now + 5 * SEC, now + 100 * SEC, 40 * SEC));

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_IMAGE_LATE);
	ck_assert_int_eq(lease->reason.arg0, now + settings.lead_us + 20 * SEC);
	ck_assert(plan_offer(plan).valid);
	ck_assert_int_eq(plan_offer(plan).start_us, lease->reason.arg0);
	tell(&(struct event){.kind = EVENT_TICK});
	lease = request(open_of(3, plan_offer(plan).start_us, now + 100 * SEC, 40 * SEC));
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	/* Without its image the promise is broken. */
	image_there(1, 1, EVENT_TRANSFER_FAILED);
	ck_assert_int_eq(lease->state, LEASE_FAILED);
	ck_assert_uint_eq(count_actions(ACTION_PROMISE_BROKEN), 1);
}
END_TEST

START_TEST(resized)
{
	wall_us from = now + 60 * SEC, latest = now + 160 * SEC;
	const struct lease *lease = request(open_of(3, from, latest, 40 * SEC));

	request(ar_of(4, latest + RESPONSE + 100 * SEC, 10 * SEC));
	resize(1, 50 * SEC);
	ck_assert_ptr_null(refusal());
	ck_assert_int_eq(lease->spec.duration_us, 50 * SEC);
	ck_assert_int_eq(lease->vms[0].run.release_us, latest + RESPONSE + 50 * SEC + settings.stop_us);
	resize(1, 100 * SEC);
	ck_assert_int_eq(refusal()->code, REASON_NO_ROOM);
	ck_assert_uint_eq(refusal()->lease, 2);
	ck_assert_int_eq(lease->spec.duration_us, 50 * SEC);
	resize(1, 10 * SEC);
	tick_at(from);
	call(1);
	ck_assert_int_eq(lease->vms[0].run.end_us, earliest() + 10 * SEC);
	resize(1, 20 * SEC);
	ck_assert_int_eq(lease->vms[0].run.end_us, earliest() + 20 * SEC);
}
END_TEST

/* One of its nodes is silent when the call comes: its VMs go elsewhere, if they can. */
START_TEST(node_silent)
{
	const struct lease *lease = request(open_of(2, now, now + 160 * SEC, 40 * SEC));
	uint32_t node = lease->vms[0].node;

	ck_assert_uint_eq(lease->vms[1].node, node);
	set_node(node, NODE_SILENT);
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	call(1);
	ck_assert_uint_ne(lease->vms[0].node, node);
	ck_assert_int_eq(lease->vms[0].run.start_us, earliest());
	/* No other node has room: it is told to the one that is silent, and may be in time. */
	lease = request(open_of(2, now, now + 160 * SEC, 40 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	set_node(node, NODE_UP);
	lease = request(open_of(2, now, now + 160 * SEC, 40 * SEC));
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	set_node(node, NODE_SILENT);
	call(lease->id);
	ck_assert_uint_eq(lease->vms[0].node, node);
	ck_assert_int_eq(lease->vms[0].run.start_us, earliest());
}
END_TEST

/* Its node has become too small: the promise is broken, and can be kept later. */
START_TEST(node_shrunk)
{
	struct event event = {.kind = EVENT_NODE};
	const struct lease *lease = request(open_of(4, now, now + 160 * SEC, 40 * SEC));

	event.node = node_info(1);
	event.node.capacity.amount[RES_CPU] = 1000;
	tell(&event);
	call(1);
	ck_assert_ptr_nonnull(refusal());
	ck_assert_uint_eq(count_actions(ACTION_PROMISE_BROKEN), 1);
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	set_node(1, NODE_UP);
	call(1);
	ck_assert_ptr_null(refusal());
	ck_assert_int_eq(lease->vms[0].run.start_us, earliest());
}
END_TEST

START_TEST(asked)
{
	struct lease_spec spec = open_of(2, now + 60 * SEC, now + 160 * SEC, 40 * SEC);
	struct plan_answer answer;

	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted);
	ck_assert_int_eq(answer.start_us, now + 60 * SEC);
	ck_assert_uint_eq(answer.nodes, 1);
	spec.response_us = 1;
	plan_ask(plan, &spec, now, &answer);
	ck_assert(!answer.accepted);
	ck_assert_int_eq(answer.reason.code, REASON_RESPONSE);
	ck_assert_int_eq(request(ar_of(4, now + 60 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

/* Where nothing costs anything, it runs when it is called. */
START_TEST(free_of_cost)
{
	settings.lead_us = 0;
	settings.prepare_us = 0;
	settings.stop_us = 0;
	settings.suspend_us = 0;
	settings.resume_us = 0;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	struct lease_spec spec = open_of(4, now, now + 160 * SEC, 40 * SEC);
	spec.response_us = 0;
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_STANDBY);
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 4, 300 * SEC));
	run_all(best);
	now += 20 * SEC;
	call(1);
	ck_assert_int_eq(lease->vms[0].run.start_us, now);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_ge(best->vms[0].run.start_us, now + 40 * SEC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_open");
	TCase *staged = tcase_create("staged"), *bare = tcase_create("bare");

	tcase_add_checked_fixture(staged, staged_setup, plan_teardown);
	tcase_add_test(staged, stands_by);
	tcase_add_test(staged, called);
	tcase_add_test(staged, not_called);
	tcase_add_test(staged, call_refused);
	tcase_add_test(staged, cancelled);
	tcase_add_test(staged, promises_apart);
	tcase_add_test(staged, room_refused);
	tcase_add_test(staged, response_refused);
	tcase_add_test(staged, filler_suspended);
	tcase_add_test(staged, filler_stopped);
	tcase_add_test(staged, filler_spared);
	tcase_add_test(staged, filler_saved_too_slowly);
	tcase_add_test(staged, resized);
	tcase_add_test(staged, node_silent);
	tcase_add_test(staged, node_shrunk);
	tcase_add_test(staged, asked);
	tcase_add_test(staged, free_of_cost);
	tcase_add_checked_fixture(bare, plan_setup, plan_teardown);
	tcase_add_test(bare, image_kept);
	tcase_add_test(bare, image_late);
	suite_add_tcase(suite, staged);
	suite_add_tcase(suite, bare);
	return run_suite(suite);
}
