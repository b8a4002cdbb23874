/* What agents say of VMs, and what time alone does to them. */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "estimate.h"
#include "open.h"
#include "place.h"
#include "plan_state.h"
#include "pool.h"
#include "prep.h"
#include "queue.h"

static bool is_best_effort(const struct guest *guest)
{
	return guest->contract->lease.spec.kind == LEASE_BEST_EFFORT;
}

static void say_why(struct plan *plan, struct guest *guest, enum reason_code code)
{
	contract_touch(plan, guest->contract);
	guest->contract->why = (struct reason){.code = code};
}

/* The guest failed. So does its lease, unless its VMs have nothing to do with each other. */
static void fail(struct plan *plan, struct guest *guest, enum reason_code code)
{
	struct contract *contract = guest->contract;

	say_why(plan, guest, code);
	contract->broken = !is_best_effort(guest);
	guest_finish(plan, guest, LEASE_FAILED, plan->now_us + plan->settings.lead_us + plan->settings.stop_us);
	if (!contract->lease.spec.serial) {
		contract_end(plan, contract, LEASE_CANCELLED, guest);
	}
}

/* It ran, or was saved, and is gone: best-effort leases start anew, promises are broken. */
static void lost(struct plan *plan, struct guest *guest)
{
	if (is_best_effort(guest)) {
		say_why(plan, guest, REASON_GUEST_FAILED);
		contract_requeue(plan, guest);
	} else {
		fail(plan, guest, REASON_GUEST_FAILED);
	}
}

/* It did not come over, or could not be restored there: it lies where it lay. */
static void stay_home(struct plan *plan, struct guest *guest)
{
	guest_unplan(plan, guest);
	pool_owe(plan, guest->node);
	plan->queue_due = true;
}

/* Its run is over, and its node, which answers, never began it. */
static void never_ran(struct plan *plan, struct guest *guest)
{
	if (guest_moving(guest)) {
		stay_home(plan, guest);
	} else if (is_best_effort(guest)) {
		say_why(plan, guest, REASON_UNCONFIRMED);
		contract_requeue(plan, guest);
	} else {
		fail(plan, guest, REASON_LATE);
	}
}

/* True if it lies suspended and has had all its time. */
static bool spent(const struct guest *guest)
{
	return guest->vm->state == LEASE_SUSPENDED && guest->vm->served_us >= guest->contract->lease.spec.duration_us;
}

/*
 * A cut that was withdrawn too late may leave a guest saved that has had all its time: its unit is done when that is
 * true of all that is left of it. The node has yet to hear of it and to clear up.
 */
void guest_finish_spent(struct plan *plan, struct guest *guest)
{
	struct contract *contract = guest->contract;
	const struct lease_spec *spec = &contract->lease.spec;
	struct guest *first = spec->serial ? guest : contract->guest,
		     *end = spec->serial ? guest + 1 : first + spec->vms;

	for (struct guest *each = first; each < end; each++) {
		if (!lease_state_final(each->vm->state) && !spent(each)) {
			return;
		}
	}
	for (struct guest *each = first; each < end; each++) {
		if (!lease_state_final(each->vm->state)) {
			say_why(plan, each, REASON_TIME_UP);
			guest_finish(plan, each, LEASE_DONE,
				     plan->now_us + plan->settings.lead_us + plan->settings.stop_us);
		}
	}
}

static void ended(struct plan *plan, struct guest *guest, wall_us at_us)
{
	const struct vm *vm = guest->vm;
	bool by_itself = !vm->planned || vm->run.then == RUN_SUSPEND || at_us < vm->run.end_us;

	say_why(plan, guest, by_itself ? REASON_GUEST_ENDED : REASON_TIME_UP);
	guest_finish(plan, guest, LEASE_DONE, 0);
	guest_finish_spent(plan, guest);
}

/* For whom a guest is suspended: the promise on its node that begins first after it. */
static uint64_t makes_room_for(const struct guest *guest)
{
	const struct guest *first = guest_promised_after(guest->node, guest->vm->run.end_us);

	return first ? first->vm->lease : 0;
}

static void reach_end(struct plan *plan, struct guest *guest)
{
	if (guest->vm->run.then == RUN_STOP) {
		guest_move(plan, guest, LEASE_STOPPING);
		return;
	}
	/* The rest of a gang stops too, on nodes that nobody wants. */
	uint64_t lease = makes_room_for(guest);
	if (lease || guest->contract->why.code != REASON_PREEMPTED) {
		say_why(plan, guest, REASON_PREEMPTED);
		guest->contract->why.lease = lease;
	}
	guest_move(plan, guest, LEASE_SUSPENDING);
}

static void started_late(struct plan *plan, struct guest *guest, span_us late_us)
{
	struct contract *contract = guest->contract;

	if (is_best_effort(guest)) {
		queue_refit(plan, contract, contract->lease.spec.serial ? guest : NULL);
		plan->queue_due = true;
	} else if (contract->lease.reason.code != REASON_LATE && contract->why.code != REASON_LATE) {
		/* Once for a lease, however many of its VMs are late. */
		contract->why = (struct reason){.code = REASON_LATE, .arg0 = late_us};
		contract->broken = true;
	}
}

/* It runs elsewhere than it lay: what it left there is to be cleared up. */
static void arrived(struct plan *plan, struct guest *guest)
{
	wall_us gone_us = plan->now_us + plan->settings.lead_us + plan->settings.stop_us;
	struct guest_slots slots;
	struct slot *hold = &slots.at[SLOT_AT_HOLD];

	guest_slots(guest, &slots);
	guest_unbook(plan, guest);
	guest->vm->started_us = plan->now_us;
	guest_book(plan, guest);
	guest->leave_us = gone_us;
	hold->end_us = hold->end_us < gone_us ? hold->end_us : gone_us;
	if (slots.there[SLOT_AT_HOLD] && hold->end_us > plan->now_us) {
		orphans_add(plan, hold);
	}
}

static void started(struct plan *plan, struct guest *guest, wall_us at_us)
{
	struct contract *contract = guest->contract;
	struct vm *vm = guest->vm;
	span_us late_us = at_us - vm->run.start_us;

	guest_touch(plan, guest);
	if (guest_moving(guest)) {
		arrived(plan, guest);
	}
	vm->started_us = at_us;
	if (guest->stage && !pool_guest_wants(plan, guest)) {
		prep_leave(plan, guest);
	}
	if (!contract->lease.first_start_us || at_us < contract->lease.first_start_us) {
		contract->lease.first_start_us = at_us;
	}
	guest_move(plan, guest, LEASE_ACTIVE);
	if (late_us > plan->settings.late_us) {
		started_late(plan, guest, late_us);
	}
	if (plan->now_us >= vm->run.end_us) {
		reach_end(plan, guest);
	}
}

static void suspended(struct plan *plan, struct guest *guest, wall_us at_us)
{
	struct vm *vm = guest->vm;
	wall_us from_us = vm->started_us ? vm->started_us : vm->run.start_us;
	wall_us to_us = at_us < vm->run.end_us ? at_us : vm->run.end_us;
	wall_us tail_us = guest_tail(guest);

	guest_unbook(plan, guest);
	vm->served_us += to_us > from_us ? to_us - from_us : 0;
	vm->planned = false;
	vm->run = (struct run){0};
	vm->started_us = 0;
	guest->hold_us = plan->now_us < tail_us ? plan->now_us : tail_us;
	guest->tail_us = 0;
	guest_move(plan, guest, LEASE_SUSPENDED);
	guest_book(plan, guest);
	pool_owe(plan, guest->node);
	plan->queue_due = true;
	guest_finish_spent(plan, guest);
}

static void seen_absent(struct plan *plan, struct guest *guest, wall_us at_us)
{
	switch (guest->vm->state) {
	case LEASE_STOPPING:
		ended(plan, guest, at_us);
		break;
	case LEASE_ACTIVE:
	case LEASE_SUSPENDING:
		if (at_us >= guest->vm->started_us) {
			lost(plan, guest);
		}
		break;
	case LEASE_SUSPENDED:
	case LEASE_MIGRATING:
	case LEASE_RESUMING:
		if (at_us >= guest->hold_us) {
			lost(plan, guest);
		}
		break;
	case LEASE_NEW: /* the others are not there yet, or any more */
	case LEASE_STANDBY:
	case LEASE_REJECTED:
	case LEASE_QUEUED:
	case LEASE_SCHEDULED:
	case LEASE_PREPARING:
	case LEASE_READY:
	case LEASE_DONE:
	case LEASE_CANCELLED:
	case LEASE_FAILED:
	case LEASE_STATE_COUNT:
		break;
	}
}

/* True if what was seen is of the run that is planned or under way, not of one before it. */
static bool of_this_run(const struct guest *guest, wall_us at_us)
{
	const struct vm *vm = guest->vm;

	return vm->planned && (vm->run.from == RUN_BOOT || at_us >= run_begin(&vm->run));
}

/*
 * It stopped before its end, as its node heard too late that it might go on. The run is made to say so, and with it
 * the rows: what it was served must not grow while it is saved, nor be forgotten by a restart.
 */
static void stopped_early(struct plan *plan, struct guest *guest, wall_us stop_us)
{
	struct run *run = &guest->vm->run;

	stop_us = stop_us > run->start_us ? stop_us : run->start_us + 1;
	if (stop_us >= run->end_us) {
		return;
	}
	guest_unbook(plan, guest);
	run->then = RUN_SUSPEND;
	run->end_us = stop_us;
	guest_book(plan, guest);
	pool_owe(plan, guest->node);
	plan->queue_due = true;
}

static void seen_suspending(struct plan *plan, struct guest *guest, wall_us at_us)
{
	if (!is_best_effort(guest) || !of_this_run(guest, at_us)) {
		return;
	}
	if (!guest->vm->started_us) {
		started(plan, guest, guest->vm->run.start_us);
	}
	guest_move(plan, guest, LEASE_SUSPENDING);
	stopped_early(plan, guest, at_us);
}

/* When a guest stopped of which nothing was heard until it was saved, by how long saving takes. */
static wall_us stopped_at(const struct plan *plan, const struct guest *guest, wall_us saved_us)
{
	int64_t memory = guest->contract->lease.spec.per_vm.amount[RES_MEMORY];

	return guest->vm->state == LEASE_SUSPENDING ? saved_us : saved_us - estimate_suspend(plan, guest->node, memory);
}

static void learn(struct plan *plan, struct guest *guest, enum estimate_what what, wall_us from_us, wall_us done_us)
{
	estimate_learn(plan, guest->node, what, guest->contract->lease.spec.per_vm.amount[RES_MEMORY], from_us,
		       done_us);
}

static void seen_prepared(struct plan *plan, struct guest *guest, wall_us at_us)
{
	const struct vm *vm = guest->vm;

	if (vm->state == LEASE_SCHEDULED || vm->state == LEASE_PREPARING) {
		guest_move(plan, guest, LEASE_READY);
	} else if (vm->state == LEASE_MIGRATING) {
		guest_move(plan, guest, LEASE_RESUMING);
	} else if (vm->state == LEASE_RESUMING && of_this_run(guest, at_us)) {
		learn(plan, guest, ESTIMATE_RESUME, vm->run.prepare_us, at_us);
	}
}

static void seen_suspended(struct plan *plan, struct guest *guest, wall_us at_us)
{
	const struct run *run = &guest->vm->run;

	if (!is_best_effort(guest) || !of_this_run(guest, at_us)) {
		return;
	}
	if (run->then == RUN_SUSPEND && at_us >= run->end_us) {
		learn(plan, guest, ESTIMATE_SUSPEND, run->end_us, at_us);
	}
	seen_suspending(plan, guest, stopped_at(plan, guest, at_us));
	suspended(plan, guest, at_us);
}

/* That its end passed before it could be begun, as of one whose image came late, says nothing against the guest. */
static void seen_failed(struct plan *plan, struct guest *guest, wall_us at_us)
{
	const struct vm *vm = guest->vm;
	bool waited = vm->state == LEASE_SCHEDULED || vm->state == LEASE_PREPARING;

	if (guest_moving(guest)) {
		/* Said of the run that is planned, it is final: that node will not run it any more. */
		if (of_this_run(guest, at_us)) {
			stay_home(plan, guest);
		}
	} else if (waited && at_us >= vm->run.end_us) {
		never_ran(plan, guest);
	} else {
		fail(plan, guest, REASON_GUEST_FAILED);
	}
}

static void act_on(struct plan *plan, struct guest *guest, enum vm_seen seen, wall_us at_us)
{
	struct vm *vm = guest->vm;

	switch (seen) {
	case SEEN_ABSENT:
		seen_absent(plan, guest, at_us);
		break;
	case SEEN_PREPARED:
		seen_prepared(plan, guest, at_us);
		break;
	case SEEN_RUNNING:
		if (of_this_run(guest, at_us) && !vm->started_us) {
			started(plan, guest, at_us);
		}
		break;
	case SEEN_SUSPENDING:
		seen_suspending(plan, guest, at_us);
		break;
	case SEEN_SUSPENDED:
		seen_suspended(plan, guest, at_us);
		break;
	case SEEN_ENDED:
		ended(plan, guest, at_us);
		break;
	case SEEN_FAILED:
		seen_failed(plan, guest, at_us);
		break;
	case SEEN_COUNT:
		break;
	}
}

/*
 * True if the node it is seen by, or missed by, is the one that should know. Of one that goes on elsewhere the node it
 * leaves can only say that its memory is gone, and the other nothing of what is not there yet.
 */
static bool speaks_of(const struct guest *guest, const struct event *event)
{
	const struct vm *vm = guest->vm;
	bool absent = event->vm.seen == SEEN_ABSENT;

	if (guest_moving(guest)) {
		return event->vm.node == (absent ? vm->run.from_node : vm->node);
	}
	return event->vm.node == vm->node;
}

void plan_vm_seen(struct plan *plan, const struct event *event)
{
	struct contract *contract = plan_find_contract(plan, event->vm.lease);

	if (!contract || event->vm.vm >= contract->lease.spec.vms) {
		return;
	}
	struct guest *guest = &contract->guest[event->vm.vm];
	if (!guest->node || guest_stands_by(guest) || guest->vm->generation != event->vm.generation ||
	    !speaks_of(guest, event)) {
		return;
	}
	/* A node's clock may be ahead by a little; nothing it tells of has happened later than now. */
	act_on(plan, guest, event->vm.seen, event->vm.at_us < plan->now_us ? event->vm.at_us : plan->now_us);
}

/* Nobody said how it ended. */
static void unconfirmed(struct plan *plan, struct guest *guest)
{
	const struct vm *vm = guest->vm;
	bool silent = guest->node->info.state == NODE_SILENT;

	if (!vm->started_us && !silent) {
		never_ran(plan, guest);
	} else if (vm->run.then == RUN_STOP && !guest_moving(guest)) {
		say_why(plan, guest, REASON_UNCONFIRMED);
		guest_finish(plan, guest, LEASE_DONE, 0);
		guest_finish_spent(plan, guest);
	}
	/* Else it may lie suspended there, or never have come over: its node will say. */
}

static span_us overdue_step(const struct plan *plan)
{
	span_us step_us = plan->settings.grace_us / 4;

	return step_us > USEC_PER_SEC ? step_us : USEC_PER_SEC;
}

/* Books the tail of an overdue guest until then; false, and nothing changed, if there is no room for that. */
static bool book_tail(struct plan *plan, struct guest *guest, wall_us tail_us)
{
	const struct capacity *per_vm = &guest->contract->lease.spec.per_vm;
	struct capacity memory = {.amount = {[RES_MEMORY] = per_vm->amount[RES_MEMORY]}};
	wall_us was_us = guest->tail_us;

	/* That it has not had so far, and without it there is no need to try. */
	if (!place_room(guest->node, memory, plan->now_us, tail_us)) {
		return false;
	}
	guest_unbook(plan, guest);
	guest->tail_us = tail_us;
	guest_book(plan, guest);
	if (pool_within(plan, guest->node) &&
	    place_within(guest->node, &guest->contract->lease.spec,
			 slot_use(SLOT_STOP, guest->contract->lease.spec.per_vm), plan->now_us, tail_us)) {
		return true;
	}
	guest_unbook(plan, guest);
	guest->tail_us = was_us;
	guest_book(plan, guest);
	return false;
}

/* Keeps its memory booked a while longer, if that takes nothing from a promise. */
static void extend_tail(struct plan *plan, struct guest *guest)
{
	wall_us tail_us = plan->now_us + overdue_step(plan);

	if (!book_tail(plan, guest, tail_us) && !plan->tails_dropped) {
		queue_drop(plan);
		plan->queue_due = true;
		plan->tails_dropped = true;
		book_tail(plan, guest, tail_us);
	}
}

/* True if its image comes after its end, if at all: then its node, which answers, will never begin with it. */
static bool comes_too_late(const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	bool waits = vm->state == LEASE_SCHEDULED || vm->state == LEASE_PREPARING || vm->state == LEASE_MIGRATING;

	return waits && !vm->started_us && guest->node->info.state != NODE_SILENT &&
	       prep_ready(guest->node, guest->contract->lease.spec.image) >= vm->run.end_us;
}

/* What never began is given up at its end: room in the pool was promised to others from then on. */
static wall_us given_up_at(const struct plan *plan, const struct guest *guest)
{
	return comes_too_late(guest) ? guest->vm->run.end_us : guest->vm->run.release_us + plan->settings.grace_us;
}

/* How long until an overdue guest is looked at again: at times that do not depend on when it was last done. */
static span_us overdue_rest(const struct plan *plan, const struct guest *guest)
{
	return overdue_step(plan) - (plan->now_us - guest_tail(guest)) % overdue_step(plan);
}

/* Right after a restart the timer is only a guess: true if a planner that went on would look after the guest now. */
static bool has_turn(const struct plan *plan, const struct guest *guest)
{
	wall_us now_us = plan->now_us, given_up_us = given_up_at(plan, guest);

	return !plan->restored || now_us == guest_tail(guest) || now_us == given_up_us ||
	       (now_us > guest_tail(guest) && now_us > given_up_us && overdue_rest(plan, guest) == overdue_step(plan));
}

/* What its run comes to at this time, without a word from its node. */
static void due(struct plan *plan, struct guest *guest)
{
	const struct vm *vm = guest->vm;
	wall_us now_us = plan->now_us;

	if (now_us >= vm->run.prepare_us && vm->state == LEASE_SCHEDULED) {
		guest_move(plan, guest, LEASE_PREPARING);
	} else if (now_us >= run_begin(&vm->run) && vm->state == LEASE_SUSPENDED) {
		guest_move(plan, guest, vm->run.from_node ? LEASE_MIGRATING : LEASE_RESUMING);
	}
	if (now_us >= vm->run.end_us && vm->state == LEASE_ACTIVE) {
		reach_end(plan, guest);
	}
}

/* What follows from that nothing was heard of it, not in this step either. */
static void overdue(struct plan *plan, struct guest *guest)
{
	wall_us now_us = plan->now_us;

	if (!guest->vm->planned || !has_turn(plan, guest)) {
		return;
	}
	if (now_us >= given_up_at(plan, guest)) {
		unconfirmed(plan, guest);
	}
	if (guest->vm->planned && now_us >= guest_tail(guest) && guest->node->info.state != NODE_SILENT) {
		extend_tail(plan, guest);
	}
}

/* The earliest time later than now when due() or overdue() has something to do. */
static wall_us next_due(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	/* Whether its image comes too late may change: once its end has passed, that is no reason to look sooner. */
	wall_us wish[] = {TIMER_NONE, TIMER_NONE, guest_tail(guest), given_up_at(plan, guest),
			  vm->run.release_us + plan->settings.grace_us};
	wall_us next_us = TIMER_NONE;

	if (guest_stands_by(guest)) {
		return open_next(guest);
	}
	if (lease_state_final(vm->state) || !vm->planned) {
		return TIMER_NONE;
	}
	if (vm->state == LEASE_SCHEDULED || vm->state == LEASE_SUSPENDED) {
		wish[0] = run_begin(&vm->run);
	}
	if (vm->state == LEASE_ACTIVE || !vm->started_us) {
		wish[1] = vm->run.end_us;
	}
	for (size_t i = 0; i < sizeof(wish) / sizeof(wish[0]); i++) {
		if (wish[i] > plan->now_us && wish[i] < next_us) {
			next_us = wish[i];
		}
	}
	if (next_us == TIMER_NONE && guest->node->info.state != NODE_SILENT) {
		/* Overdue without room to say so. */
		next_us = plan->now_us + overdue_rest(plan, guest);
	}
	return next_us;
}

void guest_set_timer(struct plan *plan, struct guest *guest)
{
	wall_us next_us = next_due(plan, guest);

	if (next_us != timers_at(&plan->timers, guest)) {
		timers_set(&plan->timers, guest, next_us);
	}
}

/* True if plan_overdue() is to look at the guest, whose timer has gone off. */
static bool may_be_overdue(const struct plan *plan, const struct guest *guest)
{
	return plan->now_us >= guest_tail(guest) || plan->now_us >= given_up_at(plan, guest);
}

void plan_timers(struct plan *plan)
{
	struct guest *guest;

	while ((guest = timers_first(&plan->timers)) && timers_at(&plan->timers, guest) <= plan->now_us) {
		if (guest->vm->planned) {
			due(plan, guest);
			if (may_be_overdue(plan, guest)) {
				plan->late =
					plan_grow(plan->late, plan->late_count, &plan->late_room, sizeof(*plan->late));
				plan->late[plan->late_count++] = guest;
			}
		} else if (guest_stands_by(guest)) {
			open_due(plan, guest);
		}
		guest_set_timer(plan, guest);
	}
}

void plan_overdue(struct plan *plan)
{
	plan->tails_dropped = false;
	for (size_t i = 0; i < plan->late_count; i++) {
		overdue(plan, plan->late[i]);
		guest_set_timer(plan, plan->late[i]);
	}
	plan->late_count = 0;
}
