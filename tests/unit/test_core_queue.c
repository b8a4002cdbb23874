/* Best-effort leases: order, backfilling, suspension around reservations, resuming, failures, nodes that come and go.
 */
#include "core_fixture.h"

static const struct lease *lease_of(uint64_t id)
{
	return plan_lease(plan, id);
}

static span_us save_of(uint32_t guests)
{
	/* 1 GiB at 100 MiB/s, and the fixed part, one guest after another. */
	return (span_us)guests * (settings.suspend_us + 10240 * USEC_PER_MSEC);
}

/* A running gang of four that fills both nodes, then a reservation of n VMs in 300 s. */
static const struct lease *running_gang(span_us duration)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 4, duration));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	run_all(lease);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	return lease;
}

START_TEST(starts_at_once)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 4, 60 * SEC));

	ck_assert_int_eq(lease->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
	ck_assert_int_eq(lease->vms[0].run.end_us, lease->vms[0].run.start_us + 60 * SEC);
	/* The next waits for it, in a plan that is no promise. */
	const struct lease *next = request(spec_of(LEASE_BEST_EFFORT, 4, 60 * SEC));
	ck_assert_int_eq(next->state, LEASE_SCHEDULED);
	ck_assert_int_eq(next->vms[0].run.prepare_us, lease->vms[0].run.release_us);
}
END_TEST

START_TEST(stable)
{
	request(spec_of(LEASE_BEST_EFFORT, 4, 60 * SEC));
	request(spec_of(LEASE_BEST_EFFORT, 3, 60 * SEC));
	request(spec_of(LEASE_BEST_EFFORT, 4, 60 * SEC));
	/* A pass in which nothing is different writes nothing. */
	now += 100 * USEC_PER_MSEC;
	set_node(2, NODE_UP);
	ck_assert_uint_eq(actions.count, count_actions(ACTION_WAKE));
}
END_TEST

START_TEST(one_reservation)
{
	/* One node busy for 100 s; the head wants all four; only what delays it not may pass. */
	const struct lease *first = request(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC));
	run_all(first);
	const struct lease *head = request(spec_of(LEASE_BEST_EFFORT, 4, 100 * SEC));
	wall_us head_start = head->vms[0].run.start_us;
	ck_assert_int_eq(head->vms[0].run.prepare_us, first->vms[0].run.release_us);
	const struct lease *second = request(spec_of(LEASE_BEST_EFFORT, 3, 50 * SEC));
	ck_assert_int_eq(second->state, LEASE_QUEUED);
	const struct lease *filler = request(spec_of(LEASE_BEST_EFFORT, 1, 50 * SEC));
	ck_assert_int_eq(filler->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
	ck_assert_int_eq(filler->vms[0].run.then, RUN_STOP);
	ck_assert_int_eq(lease_of(2)->vms[0].run.start_us, head_start);
}
END_TEST

START_TEST(no_delay_without_suspension)
{
	settings.suspension = SUSPENSION_NONE;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	request(ar_of(4, now + 60 * SEC, 30 * SEC));
	/* Too long to end before the reservation: after it. Short enough: before. */
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 100 * SEC));
	ck_assert_int_ge(lease->vms[0].run.prepare_us, now + 90 * SEC);
	lease = request(spec_of(LEASE_BEST_EFFORT, 1, 40 * SEC));
	ck_assert_int_lt(lease->vms[0].run.end_us, now + 60 * SEC);
}
END_TEST

START_TEST(early_end_moves_up)
{
	const struct lease *first = running_gang(600 * SEC);
	const struct lease *next = request(spec_of(LEASE_BEST_EFFORT, 2, 60 * SEC));

	ck_assert_int_gt(next->vms[0].run.start_us, now + 500 * SEC);
	now += 10 * SEC;
	see(first, 0, SEEN_ENDED, now);
	see(first, 1, SEEN_ENDED, now);
	ck_assert_int_eq(first->state, LEASE_ACTIVE);
	ck_assert_int_eq(next->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
	see(first, 2, SEEN_ENDED, now);
	see(first, 3, SEEN_ENDED, now);
	ck_assert_int_eq(first->state, LEASE_DONE);
	ck_assert_int_eq(first->reason.code, REASON_GUEST_ENDED);
}
END_TEST

/* Two leases of two VMs that fill the nodes until 300 and 600 s, and one behind them that wants all. */
static const struct lease *waiting_for_all(const struct lease *running[2])
{
	running[0] = request(spec_of(LEASE_BEST_EFFORT, 2, 300 * SEC));
	run_all(running[0]);
	running[1] = request(spec_of(LEASE_BEST_EFFORT, 2, 600 * SEC));
	run_all(running[1]);
	const struct lease *head = request(spec_of(LEASE_BEST_EFFORT, 4, 60 * SEC));
	ck_assert_int_ge(head->vms[0].run.prepare_us, running[1]->vms[0].run.release_us);
	return head;
}

static void end_early(const struct lease *lease)
{
	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		see(lease, i, SEEN_ENDED, now);
	}
	ck_assert_int_eq(lease->state, LEASE_DONE);
}

START_TEST(reservation_moves_up)
{
	const struct lease *running[2], *head = waiting_for_all(running);
	wall_us start_us = head->vms[0].run.start_us;

	/* When one before it ends early, but not when one does that came later: of that it loses nothing. */
	end_early(running[1]);
	ck_assert_int_lt(head->vms[0].run.start_us, start_us);
	ck_assert_int_ge(head->vms[0].run.prepare_us, running[0]->vms[0].run.release_us);
	start_us = head->vms[0].run.start_us;
	const struct lease *filler = request(spec_of(LEASE_BEST_EFFORT, 2, 200 * SEC));
	ck_assert_int_eq(filler->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
	run_all(filler);
	end_early(filler);
	ck_assert_int_eq(head->vms[0].run.start_us, start_us);
	end_early(running[0]);
	ck_assert_int_eq(head->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
}
END_TEST

START_TEST(reservation_moves_up_when_a_promise_ends)
{
	const struct lease *ar = request(ar_of(4, now + 60 * SEC, 600 * SEC));
	const struct lease *head = request(spec_of(LEASE_BEST_EFFORT, 4, 100 * SEC));

	ck_assert_int_ge(head->vms[0].run.prepare_us, ar->vms[0].run.release_us);
	cancel(ar->id);
	ck_assert_int_eq(head->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
}
END_TEST

START_TEST(reservation_on_a_lost_node)
{
	const struct lease *running[2], *head = waiting_for_all(running);

	set_node(2, NODE_DRAINING);
	ck_assert_int_eq(head->state, LEASE_QUEUED);
	set_node(2, NODE_UP);
	ck_assert_int_eq(head->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(reservation_given_to_one_before)
{
	const struct lease *running[2], *head = waiting_for_all(running);
	const struct lease *ar = request(ar_of(2, now + 100 * SEC, 1000 * SEC));
	const struct lease *victim = running[running[1]->vms[0].run.then == RUN_SUSPEND];

	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert(head->vms[0].planned);
	tick_at(victim->vms[0].run.end_us);
	for (uint32_t i = 0; i < 2; i++) {
		see(victim, i, SEEN_SUSPENDING, now);
	}
	for (uint32_t i = 0; i < 2; i++) {
		see(victim, i, SEEN_SUSPENDED, now);
	}
	/* It was there before the head, and now waits too. */
	ck_assert_int_eq(victim->state, LEASE_SUSPENDED);
	ck_assert(victim->vms[0].planned);
	ck_assert(!head->vms[0].planned);
}
END_TEST

START_TEST(suspended_in_time)
{
	const struct lease *gang = running_gang(600 * SEC);
	wall_us start = now + 300 * SEC, clear = start - settings.prepare_us;
	const struct lease *ar = request(ar_of(2, start, 60 * SEC));

	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->state, LEASE_ACTIVE);
	/* All stop at one instant; on each node two are saved one after another, in whatever order, just in time. */
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(gang->vms[i].run.then, RUN_SUSPEND);
		ck_assert_int_eq(gang->vms[i].run.end_us, clear - save_of(2));
	}
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(gang->vms[i].run.release_us, clear);
	}
	tick_at(clear - save_of(2));
	ck_assert_int_eq(gang->state, LEASE_SUSPENDING);
	ck_assert_int_eq(gang->reason.code, REASON_PREEMPTED);
	ck_assert_uint_eq(gang->reason.lease, ar->id);
	for (uint32_t i = 0; i < 4; i++) {
		see(gang, i, SEEN_SUSPENDING, now);
	}
	now = clear - SEC;
	for (uint32_t i = 0; i < 4; i++) {
		see(gang, i, SEEN_SUSPENDED, now);
	}
	/* The remainder goes on, on the same nodes, after the reservation. */
	ck_assert_int_eq(gang->state, LEASE_SUSPENDED);
	ck_assert_int_eq(gang->vms[0].served_us, 300 * SEC - settings.prepare_us - save_of(2));
	for (uint32_t i = 0; i < 4; i++) {
		const struct run *run = &gang->vms[i].run;
		ck_assert(gang->vms[i].planned);
		ck_assert_int_eq(run->from, RUN_RESUME);
		ck_assert_int_ge(run->prepare_us, ar->vms[0].run.release_us);
		ck_assert_int_eq(run->start_us, gang->vms[0].run.start_us);
		ck_assert_int_eq(run->end_us - run->start_us, 600 * SEC - gang->vms[0].served_us);
		ck_assert_uint_eq(gang->vms[i].generation, 1);
	}
	/* What is said again changes nothing; the same of an earlier run neither. */
	see(gang, 0, SEEN_SUSPENDED, now);
	ck_assert_uint_eq(actions.count, count_actions(ACTION_WAKE));
	see(gang, 0, SEEN_RUNNING, now - 200 * SEC);
	ck_assert_uint_eq(actions.count, count_actions(ACTION_WAKE));
	/* The reservation is cancelled: back at once. */
	cancel(ar->id);
	tick_at(gang->vms[1].run.prepare_us);
	ck_assert_int_eq(gang->state, LEASE_RESUMING);
	run_all(gang);
	ck_assert_int_eq(gang->state, LEASE_ACTIVE);
}
END_TEST

/* A node saves and restores one guest at a time, whosesoever: so it is planned. */
START_TEST(restored_one_after_another)
{
	const struct lease *one = request(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC));
	const struct lease *two = request(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC));
	run_all(one);
	run_all(two);
	ck_assert_uint_eq(one->vms[0].node, two->vms[0].node);
	const struct lease *ar = request(ar_of(4, now + 300 * SEC, 60 * SEC));
	const struct run *first = &one->vms[0].run, *second = &two->vms[0].run;
	ck_assert(first->release_us <= second->end_us || second->release_us <= first->end_us);
	now = ar->vms[0].run.prepare_us;
	see(one, 0, SEEN_SUSPENDED, now);
	see(two, 0, SEEN_SUSPENDED, now);
	cancel(ar->id);
	ck_assert_int_eq(first->from, RUN_RESUME);
	ck_assert_int_eq(first->prepare_us, now + settings.lead_us + settings.stop_us);
	ck_assert_int_eq(second->from, RUN_RESUME);
	ck_assert_int_eq(second->prepare_us, first->start_us);
}
END_TEST

START_TEST(cut_is_withdrawn)
{
	const struct lease *gang = running_gang(600 * SEC);
	wall_us end = gang->vms[0].run.end_us;
	const struct lease *ar = request(ar_of(2, now + 300 * SEC, 60 * SEC));

	ck_assert_int_eq(gang->vms[0].run.then, RUN_SUSPEND);
	cancel(ar->id);
	ck_assert_int_eq(gang->vms[0].run.then, RUN_STOP);
	ck_assert_int_eq(gang->vms[0].run.end_us, end);
}
END_TEST

/* The node heard of it too late, and what it said then was late too. */
START_TEST(cut_is_withdrawn_too_late)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC));
	run_all(lease);
	wall_us start = now;
	const struct lease *ar = request(ar_of(4, now + 300 * SEC, 60 * SEC));
	now = lease->vms[0].run.end_us - 2 * settings.lead_us;
	cancel(ar->id);
	tick_at(lease->vms[0].run.end_us);
	ck_assert_int_eq(lease->state, LEASE_STOPPING);
	see(lease, 0, SEEN_SUSPENDED, start + 300 * SEC);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDED);
	ck_assert_int_eq(lease->vms[0].run.from, RUN_RESUME);
	/* Nobody said when it stopped running. */
	ck_assert_int_eq(lease->vms[0].served_us, 300 * SEC - save_of(1));
}
END_TEST

/* As before, but its node said when it stopped: to then it was served, however long it is saved. */
START_TEST(served_until_it_stopped)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC));
	run_all(lease);
	wall_us start = now;
	const struct lease *ar = request(ar_of(4, now + 300 * SEC, 60 * SEC));
	wall_us cut = lease->vms[0].run.end_us;
	now = cut - 2 * settings.lead_us;
	cancel(ar->id);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_STOP);
	now = cut + SEC;
	see(lease, 0, SEEN_SUSPENDING, cut);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDING);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(lease->vms[0].run.end_us, cut);
	see(lease, 0, SEEN_SUSPENDING, cut);
	ck_assert_uint_eq(count_actions(ACTION_VM), 0);
	now = cut + 50 * SEC;
	see(lease, 0, SEEN_SUSPENDED, now);
	ck_assert_int_eq(lease->vms[0].served_us, cut - start);
	ck_assert_int_eq(lease->vms[0].run.from, RUN_RESUME);
	ck_assert_int_eq(lease->vms[0].run.end_us - lease->vms[0].run.start_us, 600 * SEC - (cut - start));
}
END_TEST

/* Its node was slow to stop it, and saved it instead: there is nothing to resume it for. */
START_TEST(saved_with_nothing_left)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 60 * SEC));
	run_all(lease);
	wall_us end = lease->vms[0].run.end_us;
	tick_at(end);
	ck_assert_int_eq(lease->state, LEASE_STOPPING);
	see(lease, 0, SEEN_SUSPENDING, end);
	now = end + 20 * SEC;
	see(lease, 0, SEEN_SUSPENDED, now);
	ck_assert_int_eq(lease->state, LEASE_DONE);
	ck_assert_int_eq(lease->reason.code, REASON_TIME_UP);
	ck_assert_int_eq(lease->vms[0].served_us, 60 * SEC);
	/* Its node is told, so that it removes the files. */
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 1);
}
END_TEST

START_TEST(gang_with_nothing_left)
{
	const struct lease *gang = running_gang(60 * SEC);
	wall_us end = gang->vms[0].run.end_us;

	tick_at(end);
	for (uint32_t i = 0; i < 3; i++) {
		see(gang, i, SEEN_SUSPENDING, end);
		see(gang, i, SEEN_SUSPENDED, end);
		ck_assert_int_eq(gang->vms[i].state, LEASE_SUSPENDED);
		ck_assert(!gang->vms[i].planned);
	}
	/* The last one heard in time, and stopped. */
	see(gang, 3, SEEN_ENDED, end);
	ck_assert_int_eq(gang->state, LEASE_DONE);
	ck_assert_int_eq(gang->reason.code, REASON_TIME_UP);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(gang->vms[i].state, LEASE_DONE);
	}
}
END_TEST

/* One was cut off before its end: the gang goes on together for the time that one is owed. */
START_TEST(gang_with_something_left)
{
	const struct lease *gang = running_gang(60 * SEC);
	wall_us end = gang->vms[0].run.end_us;

	tick_at(end);
	for (uint32_t i = 0; i < 4; i++) {
		see(gang, i, SEEN_SUSPENDING, i == 2 ? end - 10 * SEC : end);
		see(gang, i, SEEN_SUSPENDED, end);
	}
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(gang->vms[i].run.from, RUN_RESUME);
		ck_assert_int_eq(gang->vms[i].run.end_us - gang->vms[i].run.start_us, 10 * SEC);
	}
}
END_TEST

START_TEST(starts_before_a_reservation)
{
	request(ar_of(4, now + 200 * SEC, 60 * SEC));
	/* It does not end before, but runs long enough to be worth it. */
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 2, 600 * SEC));
	ck_assert_int_eq(lease->vms[0].run.start_us, now + settings.lead_us + settings.prepare_us);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_le(lease->vms[1].run.release_us, now + 200 * SEC - settings.prepare_us);
	ck_assert_int_ge(lease->vms[0].run.end_us - lease->vms[0].run.start_us, settings.min_run_us);
}
END_TEST

/* One VM for five minutes, everything reserved in two: what is answered, and what is done, is a start before that. */
static void starts_and_is_cut(wall_us image_us)
{
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 1, 300 * SEC);
	wall_us start = image_us + settings.prepare_us, clear = now + 120 * SEC - settings.prepare_us;
	struct plan_answer answer;

	ck_assert_int_eq(request(ar_of(4, now + 120 * SEC, 600 * SEC))->state, LEASE_SCHEDULED);
	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted);
	ck_assert_int_eq(answer.start_us, start);
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->vms[0].run.start_us, start);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(lease->vms[0].run.end_us, clear - save_of(1));
}

START_TEST(starts_and_is_cut_staged)
{
	settings.min_run_us = 60 * SEC;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	starts_and_is_cut(now + settings.lead_us);
}
END_TEST

START_TEST(starts_and_is_cut_unstaged)
{
	settings.min_run_us = 60 * SEC;
	plan_begin();
	starts_and_is_cut(now + settings.lead_us + 10 * SEC);
}
END_TEST

START_TEST(not_worth_starting)
{
	request(ar_of(4, now + 40 * SEC, 60 * SEC));
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 2, 600 * SEC));

	ck_assert_int_gt(lease->vms[0].run.prepare_us, now + 100 * SEC);
}
END_TEST

/* A VM that is to be there for that many times what fetching its image and saving it take. */
START_TEST(worth_starting)
{
	span_us fetch_us = IMAGE_SIZE * SEC / settings.repository_rate;

	for (uint32_t worth = 1; worth <= 20; worth += 19) {
		settings.min_run_us = 1;
		settings.worth = worth;
		plan_begin();
		wall_us clear = now + 240 * SEC;
		request(ar_of(4, clear + settings.prepare_us, 60 * SEC));
		const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC));
		const struct run *run = &lease->vms[0].run;
		ck_assert((run->start_us < clear) == (worth == 1));
		ck_assert(worth > 1 || run->release_us - run->start_us >= fetch_us + save_of(1));
	}
}
END_TEST

START_TEST(late_start_extends)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 60 * SEC));
	wall_us start = lease->vms[0].run.start_us;

	now = start + 20 * SEC;
	see(lease, 0, SEEN_RUNNING, now);
	ck_assert_int_eq(lease->vms[0].run.start_us, start);
	ck_assert_int_eq(lease->vms[0].run.end_us, now + 60 * SEC);
	/* Milliseconds are not worth a word. */
	const struct lease *other = request(spec_of(LEASE_BEST_EFFORT, 1, 60 * SEC));
	start = other->vms[0].run.start_us;
	now = start + 5 * USEC_PER_MSEC;
	see(other, 0, SEEN_RUNNING, now);
	ck_assert_int_eq(other->vms[0].run.end_us, start + 60 * SEC);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 0);
}
END_TEST

START_TEST(serial)
{
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 6, 60 * SEC);

	spec.serial = true;
	const struct lease *lease = request(spec);
	/* Four at once, one with the reservation, one without. */
	ck_assert(lease->vms[3].planned);
	ck_assert_int_eq(lease->vms[3].run.start_us, lease->vms[0].run.start_us);
	ck_assert(lease->vms[4].planned);
	ck_assert_int_gt(lease->vms[4].run.start_us, lease->vms[0].run.end_us);
	ck_assert_int_eq(lease->vms[5].state, LEASE_QUEUED);
	now = lease->vms[0].run.start_us;
	for (uint32_t i = 0; i < 4; i++) {
		see(lease, i, SEEN_RUNNING, now);
	}
	/* One fails by itself; the others do not care. */
	see(lease, 0, SEEN_FAILED, now);
	ck_assert_int_eq(lease->vms[0].state, LEASE_FAILED);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	ck_assert_int_eq(lease->vms[1].state, LEASE_ACTIVE);
	ck_assert_int_lt(lease->vms[4].run.start_us, now + 20 * SEC);
	for (uint32_t i = 1; i < 4; i++) {
		see(lease, i, SEEN_ENDED, now);
	}
	run_all(lease);
	see(lease, 4, SEEN_ENDED, now);
	see(lease, 5, SEEN_ENDED, now);
	ck_assert_int_eq(lease->state, LEASE_FAILED);
}
END_TEST

START_TEST(gang_fails_together)
{
	const struct lease *gang = running_gang(600 * SEC);

	now += SEC;
	see(gang, 2, SEEN_FAILED, now);
	ck_assert_int_eq(gang->state, LEASE_FAILED);
	ck_assert_int_eq(gang->reason.code, REASON_GUEST_FAILED);
	ck_assert_int_eq(gang->vms[2].state, LEASE_FAILED);
	ck_assert_int_eq(gang->vms[0].state, LEASE_CANCELLED);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 2);
	/* Its room is free when the nodes have heard of it and cleared up. */
	const struct lease *next = request(spec_of(LEASE_BEST_EFFORT, 4, 60 * SEC));
	ck_assert_int_ge(next->vms[0].run.prepare_us, now + settings.lead_us + settings.stop_us);
	ck_assert_int_lt(next->vms[0].run.prepare_us, now + 10 * SEC);
}
END_TEST

START_TEST(gone_guest_begins_anew)
{
	const struct lease *gang = running_gang(600 * SEC);

	now += 100 * SEC;
	see(gang, 1, SEEN_ABSENT, now - 200 * SEC); /* of before it ran */
	ck_assert_int_eq(gang->state, LEASE_ACTIVE);
	see(gang, 1, SEEN_ABSENT, now);
	ck_assert_int_eq(gang->state, LEASE_SCHEDULED);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(gang->vms[i].generation, 2);
		ck_assert_int_eq(gang->vms[i].served_us, 0);
		ck_assert_int_eq(gang->vms[i].run.end_us - gang->vms[i].run.start_us, 600 * SEC);
	}
	/* What is said of the old boot is nothing to the new one. */
	struct event old = {.kind = EVENT_VM_SEEN, .vm = {gang->id, 0, 1, gang->vms[0].node, SEEN_FAILED, now}};
	tell(&old);
	ck_assert_int_eq(gang->state, LEASE_SCHEDULED);
}
END_TEST

/* Its image came too late for its run: it gets another. What was promised is broken. */
START_TEST(image_later_than_its_end)
{
	plan_begin();
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 5 * SEC));
	const struct lease *ar = request(ar_of(1, now + 600 * SEC, 5 * SEC));
	tick_at(lease->vms[0].run.end_us - SEC);
	image_there(lease->vms[0].node, 1, EVENT_IMAGE_PRESENT);
	wall_us end = lease->vms[0].run.end_us;
	tick_at(end);
	ck_assert_int_eq(lease->state, LEASE_PREPARING);
	see(lease, 0, SEEN_FAILED, end);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_gt(lease->vms[0].run.start_us, end);
	/* What fails before that has nothing to do with images. */
	see(lease, 0, SEEN_FAILED, end);
	ck_assert_int_eq(lease->reason.code, REASON_GUEST_FAILED);
	ck_assert_int_eq(lease->state, LEASE_FAILED);
	tick_at(ar->vms[0].run.end_us);
	see(ar, 0, SEEN_FAILED, now);
	ck_assert_int_eq(ar->state, LEASE_FAILED);
	ck_assert_int_eq(ar->reason.code, REASON_LATE);
}
END_TEST

START_TEST(cancelled_in_every_state)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 4, 600 * SEC));
	const struct lease *queued = request(spec_of(LEASE_BEST_EFFORT, 4, 600 * SEC));
	const struct lease *last = request(spec_of(LEASE_BEST_EFFORT, 4, 600 * SEC));

	ck_assert_int_eq(last->state, LEASE_QUEUED);
	cancel(last->id);
	ck_assert_int_eq(last->state, LEASE_CANCELLED);
	cancel(queued->id);
	ck_assert_int_eq(queued->state, LEASE_CANCELLED);
	ck_assert_uint_eq(count_actions(ACTION_SLOT_DROP), 12);
	run_all(lease);
	request(ar_of(4, now + 300 * SEC, 60 * SEC));
	now = lease->vms[0].run.end_us + SEC;
	see(lease, 0, SEEN_SUSPENDED, now);
	see(lease, 1, SEEN_SUSPENDING, now);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDING);
	cancel(lease->id);
	ck_assert_int_eq(lease->state, LEASE_CANCELLED);
	ck_assert_int_eq(lease->reason.code, REASON_BY_USER);
	/* Late words of it change nothing. */
	tick_at(now + SEC);
	ck_assert_ptr_null(plan_lease(plan, 1));
}
END_TEST

START_TEST(silent_node)
{
	const struct lease *gang = running_gang(600 * SEC);
	wall_us release = gang->vms[0].run.release_us;

	set_node(1, NODE_SILENT);
	ck_assert_int_eq(gang->state, LEASE_ACTIVE);
	/* Nothing new there, and nothing of what is there is touched. */
	ck_assert_int_eq(request(ar_of(1, now + 100 * SEC, 10 * SEC))->state, LEASE_REJECTED);
	tick_at(release);
	for (uint32_t i = 0; i < 4; i++) {
		if (gang->vms[i].node == 2) {
			see(gang, i, SEEN_ENDED, now);
		}
	}
	ck_assert_int_eq(gang->state, LEASE_STOPPING);
	tick_at(release + settings.grace_us - 1);
	ck_assert_int_eq(gang->state, LEASE_STOPPING);
	tick_at(release + settings.grace_us);
	ck_assert_int_eq(gang->state, LEASE_DONE);
	ck_assert_int_eq(gang->reason.code, REASON_UNCONFIRMED);
	/* It returns and is used again. */
	set_node(1, NODE_UP);
	ck_assert_int_eq(request(spec_of(LEASE_IMMEDIATE, 4, 10 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(drained_node)
{
	const struct lease *gang = running_gang(600 * SEC);
	const struct lease *next = request(spec_of(LEASE_BEST_EFFORT, 2, 60 * SEC));

	set_node(1, NODE_DRAINING);
	ck_assert_int_eq(gang->state, LEASE_ACTIVE);
	ck_assert_uint_eq(next->vms[0].node, 2);
	ck_assert_uint_eq(next->vms[1].node, 2);
	/* A reservation it has stays there. */
	set_node(1, NODE_UP);
	const struct lease *ar = request(ar_of(4, now + 700 * SEC, 10 * SEC));
	set_node(1, NODE_DRAINING);
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert(ar->vms[0].node == 1 || ar->vms[3].node == 1);
}
END_TEST

START_TEST(node_shrinks)
{
	const struct lease *gang = running_gang(600 * SEC);
	struct event event = {.kind = EVENT_NODE, .node = node_info(1)};

	event.node.capacity.amount[RES_CPU] = 1000;
	tell(&event);
	ck_assert_int_eq(gang->state, LEASE_ACTIVE);
	/* What is there stays; afterwards there is room for three. */
	const struct lease *lease = request(ar_of(4, now + 700 * SEC, 10 * SEC));
	ck_assert_int_eq(lease->reason.code, REASON_NEVER_FITS);
	ck_assert_int_eq(lease->reason.arg0, 3);
	ck_assert_int_eq(request(ar_of(3, now + 700 * SEC, 10 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(too_big)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 5, 60 * SEC));

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NEVER_FITS);
	ck_assert_uint_eq(plan_offer(plan).vms, 4);
}
END_TEST

/* Who is overdue keeps his place a while, and who was to have it soon waits for that: as often as it happens. */
START_TEST(overdue_stay)
{
	for (int i = 0; i < 2; i++) {
		const struct lease *late = request(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC));
		const struct lease *longer = request(spec_of(LEASE_BEST_EFFORT, 2, 110 * SEC));
		run_all(late);
		see(longer, 0, SEEN_RUNNING, now);
		see(longer, 1, SEEN_RUNNING, now);
		const struct lease *next = request(spec_of(LEASE_BEST_EFFORT, 4, 100 * SEC));
		wall_us before_us = next->vms[0].run.prepare_us;
		ck_assert_int_ge(before_us, longer->vms[0].run.release_us);
		tick_at(late->vms[0].run.release_us);
		ck_assert_int_gt(next->vms[0].run.prepare_us, before_us);
		cancel(next->id);
		for (uint32_t vm = 0; vm < 2; vm++) {
			see(late, vm, SEEN_ABSENT, now);
		}
		cancel(longer->id);
		tick_at(now + 60 * SEC);
	}
}
END_TEST

/* The lease's VMs say so, all at the same time. */
static void see_all(const struct lease *lease, enum vm_seen seen)
{
	struct event events[4];

	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		events[i] = (struct event){.kind = EVENT_VM_SEEN};
		events[i].vm.lease = lease->id;
		events[i].vm.vm = i;
		events[i].vm.generation = lease->vms[i].generation;
		events[i].vm.node = lease->vms[i].node;
		events[i].vm.seen = seen;
		events[i].vm.at_us = now;
	}
	plan_step(plan, events, lease->spec.vms, now, &actions);
	ck_assert_int_eq(check_plan(plan, &(struct check_fault){0}), CHECK_OK);
}

/*
 * Who ends at the very end of his time is not overdue: one who waits for his image is not planned anew for that, behind
 * one who had no reservation so far.
 */
START_TEST(ends_in_time)
{
	struct lease_spec other_image = spec_of(LEASE_BEST_EFFORT, 1, 2000 * SEC);
	const struct lease *first = request(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC));
	const struct lease *beside = request(spec_of(LEASE_BEST_EFFORT, 1, 1500 * SEC));

	run_all(first);
	run_all(beside);
	const struct lease *next = request(spec_of(LEASE_BEST_EFFORT, 2, 1000 * SEC));
	ck_assert_int_ge(next->vms[0].run.prepare_us, first->vms[0].run.release_us);
	const struct lease *all = request(spec_of(LEASE_BEST_EFFORT, 4, 100 * SEC));
	ck_assert_int_eq(all->state, LEASE_QUEUED);
	tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {2, IMAGE_SIZE}});
	now = first->vms[0].run.release_us - 2 * SEC;
	other_image.image = 2;
	const struct lease *waits = request(other_image);
	ck_assert_int_eq(waits->state, LEASE_SCHEDULED);
	wall_us end_us = waits->vms[0].run.end_us;
	now = first->vms[0].run.release_us;
	see_all(first, SEEN_ENDED);
	ck_assert_int_eq(first->state, LEASE_DONE);
	ck_assert_int_eq(waits->vms[0].run.end_us, end_us);
}
END_TEST

/* But he who is keeps his place before somebody who asks for it at that time. */
START_TEST(overdue_before_a_request)
{
	const struct lease *late = request(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC));

	run_all(late);
	now = late->vms[0].run.release_us;
	const struct lease *ar = request(ar_of(4, now + settings.lead_us + settings.prepare_us, 10 * SEC));
	ck_assert_int_eq(ar->state, LEASE_REJECTED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_queue");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, staged_setup, plan_teardown);
	tcase_add_test(all, starts_at_once);
	tcase_add_test(all, stable);
	tcase_add_test(all, one_reservation);
	tcase_add_test(all, no_delay_without_suspension);
	tcase_add_test(all, early_end_moves_up);
	tcase_add_test(all, reservation_moves_up);
	tcase_add_test(all, reservation_moves_up_when_a_promise_ends);
	tcase_add_test(all, reservation_on_a_lost_node);
	tcase_add_test(all, reservation_given_to_one_before);
	tcase_add_test(all, suspended_in_time);
	tcase_add_test(all, restored_one_after_another);
	tcase_add_test(all, cut_is_withdrawn);
	tcase_add_test(all, cut_is_withdrawn_too_late);
	tcase_add_test(all, served_until_it_stopped);
	tcase_add_test(all, saved_with_nothing_left);
	tcase_add_test(all, gang_with_nothing_left);
	tcase_add_test(all, gang_with_something_left);
	tcase_add_test(all, starts_before_a_reservation);
	tcase_add_test(all, starts_and_is_cut_staged);
	tcase_add_test(all, starts_and_is_cut_unstaged);
	tcase_add_test(all, not_worth_starting);
	tcase_add_test(all, worth_starting);
	tcase_add_test(all, late_start_extends);
	tcase_add_test(all, serial);
	tcase_add_test(all, gang_fails_together);
	tcase_add_test(all, gone_guest_begins_anew);
	tcase_add_test(all, image_later_than_its_end);
	tcase_add_test(all, cancelled_in_every_state);
	tcase_add_test(all, silent_node);
	tcase_add_test(all, drained_node);
	tcase_add_test(all, node_shrinks);
	tcase_add_test(all, too_big);
	tcase_add_test(all, overdue_stay);
	tcase_add_test(all, ends_in_time);
	tcase_add_test(all, overdue_before_a_request);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
