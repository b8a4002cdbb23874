/* Another duration for a lease that is not over: what is booked is lengthened or shortened where it is. */
#include <assert.h>
#include <stdlib.h>

#include "admit.h"
#include "attempt.h"
#include "open.h"
#include "plan_state.h"
#include "pool.h"
#include "queue.h"

/* The earliest end that a node can still be told of. */
static wall_us soonest_end(const struct plan *plan, const struct run *run)
{
	wall_us told_us = plan->now_us + plan->settings.lead_us;

	return told_us > run->start_us ? told_us : run->start_us + 1;
}

/* True if the node of the guest would hear of another end in time. */
static bool may_change(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	return vm->planned && guest->node->info.state != NODE_SILENT && vm->state != LEASE_STOPPING &&
	       vm->state != LEASE_SUSPENDING && vm->run.end_us > plan->now_us + plan->settings.lead_us;
}

static bool unit_may_change(const struct plan *plan, const struct unit *unit)
{
	bool may = unit->n > 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		may = may && may_change(plan, unit->seat[i].guest);
	}
	return may;
}

/* Ends the unit's runs, which stop, at end_us, before their time: of what is booked only less is booked. */
static void cut(struct plan *plan, struct unit *unit, wall_us end_us)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		struct guest *guest = unit->seat[i].guest;
		guest_unbook(plan, guest);
		guest->vm->run.end_us = end_us;
		guest->vm->run.release_us = end_us + plan->settings.stop_us;
		guest_book(plan, guest);
	}
}

/* Books the unit where it is, but until end_us. False if there is no room for that; then nothing is changed. */
static bool lift_and_book(struct plan *plan, struct unit *unit, wall_us end_us)
{
	struct run run = unit->seat[0].guest->vm->run;
	bool fits = true;

	run.then = RUN_STOP;
	run.end_us = end_us;
	run.release_us = end_us + plan->settings.stop_us;
	place_lift(plan, unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		fits = fits && pool_fits(plan, unit->seat[i].node, unit->spec->image, &run);
	}
	if (!fits || !place_book(plan, unit, &run)) {
		place_put_back(plan, unit);
		return false;
	}
	return true;
}

static bool book_until(struct plan *plan, struct unit *unit, wall_us end_us)
{
	const struct run *run = &unit->seat[0].guest->vm->run;

	if (run->then == RUN_STOP && end_us < run->end_us) {
		cut(plan, unit, end_us);
	} else if (!lift_and_book(plan, unit, end_us)) {
		return false;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct guest *guest = unit->seat[i].guest;
		if (guest->vm->state == LEASE_ACTIVE && end_us <= plan->now_us) {
			guest_move(plan, guest, LEASE_STOPPING);
		}
	}
	return true;
}

/* Until when after from_us, their present end, a node has room for the unit's guests there, which are lifted. */
static wall_us room_until(const struct plan *plan, const struct unit *unit, wall_us from_us, const struct node *node)
{
	uint32_t guests = node->count;
	struct capacity use = capacity_scale(unit->spec->per_vm, guests);
	wall_us run_us = place_until(node, unit->spec, use, from_us);
	wall_us lean_us = place_until(node, unit->spec, slot_use(SLOT_STOP, use), from_us);

	lean_us = lean_us < WALL_NEVER ? lean_us - plan->settings.stop_us : lean_us;
	return run_us < lean_us ? run_us : lean_us;
}

/* Why it cannot be lengthened until end_us, and how long it could be. */
static void explain(struct plan *plan, struct unit *unit, wall_us end_us, struct reason *reason)
{
	struct run run = unit->seat[0].guest->vm->run;
	wall_us until_us = WALL_NEVER;

	*reason = (struct reason){.code = REASON_NO_ROOM};
	run.prepare_us = run.end_us;
	run.release_us = end_us + plan->settings.stop_us;
	place_lift(plan, unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->count = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->count++;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		wall_us here_us = room_until(plan, unit, run.end_us, node);
		reason->arg0 += here_us >= end_us;
		if (here_us < until_us) {
			struct capacity peak = place_peak(node, unit->spec, run.prepare_us, run.release_us);
			until_us = here_us;
			reason->res = capacity_scarcest(unit->spec->per_vm, capacity_sub(node->info.capacity, peak));
			reason->lease = attempt_in_the_way(node, &run);
		}
	}
	place_put_back(plan, unit);
	if (unit->spec->deadline_us > 0 && until_us > unit->spec->deadline_us) {
		until_us = unit->spec->deadline_us;
	}
	if (until_us > run.end_us && until_us < end_us) {
		plan->offer = (struct offer){
			.valid = true,
			.start_us = run.start_us,
			.vms = unit->spec->vms,
			.duration_us = until_us - run.start_us,
		};
	}
}

/* A promise: from its start on. */
static bool resize_promise(struct plan *plan, struct contract *contract, span_us duration_us, struct reason *reason)
{
	struct lease_spec *spec = &contract->lease.spec;
	struct unit unit;
	bool done = false;

	place_unit(contract, NULL, &unit);
	*reason = (struct reason){.code = REASON_TIME_UP};
	if (unit.n > 0 && guest_stands_by(unit.seat[0].guest)) {
		done = open_resize(plan, &unit, duration_us, reason);
		spec->duration_us = done ? duration_us : spec->duration_us;
	} else if (unit_may_change(plan, &unit)) {
		const struct run *run = &unit.seat[0].guest->vm->run;
		wall_us start_us = run->start_us, end_us = start_us + duration_us;
		end_us = end_us > soonest_end(plan, run) ? end_us : soonest_end(plan, run);
		bool late = spec->kind == LEASE_DEADLINE && end_us > spec->deadline_us;
		done = !late && book_until(plan, &unit, end_us);
		if (done) {
			contract_delist(plan, contract);
			spec->duration_us = end_us - start_us;
			contract_enlist(plan, contract);
		} else {
			explain(plan, &unit, end_us, reason);
		}
		if (late) {
			*reason = (struct reason){.code = REASON_DEADLINE, .arg0 = end_us};
		}
	}
	free(unit.seat);
	return done;
}

/* When the unit will have had all that it is owed. */
static wall_us owed_until(const struct unit *unit)
{
	wall_us until_us = 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = unit->seat[i].guest->vm;
		wall_us began_us = vm->started_us ? vm->started_us : vm->run.start_us;
		until_us = began_us + unit->left_us > until_us ? began_us + unit->left_us : until_us;
	}
	return until_us;
}

/* Makes what is booked of one unit what it is owed. False if it would end before that. */
static bool refit(struct plan *plan, struct contract *contract, struct guest *guest)
{
	struct unit unit;
	bool done = true;

	place_unit(contract, guest, &unit);
	if (unit_may_change(plan, &unit)) {
		const struct run *run = &unit.seat[0].guest->vm->run;
		wall_us owed_us = owed_until(&unit), end_us = owed_us;
		end_us = end_us > soonest_end(plan, run) ? end_us : soonest_end(plan, run);
		if (end_us < run->end_us) {
			book_until(plan, &unit, end_us);
		} else {
			queue_refit(plan, contract, guest);
		}
		done = run->then == RUN_SUSPEND || run->end_us + plan->settings.late_us >= owed_us;
	}
	if (unit.n) {
		guest_finish_spent(plan, unit.seat[0].guest);
	}
	free(unit.seat);
	return done;
}

/* All units of a best-effort lease. */
static bool refit_all(struct plan *plan, struct contract *contract)
{
	bool done = true;

	if (!contract->lease.spec.serial) {
		return refit(plan, contract, NULL);
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (!lease_state_final(contract->guest[i].vm->state)) {
			done = refit(plan, contract, &contract->guest[i]) && done;
		}
	}
	return done;
}

/* True if something of the lease is still to come. */
static bool lasts(const struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		enum lease_state state = contract->guest[i].vm->state;
		if (!lease_state_final(state) && state != LEASE_STOPPING) {
			return true;
		}
	}
	return false;
}

/* A best-effort lease: what is left of it. What is not begun is the queue's to plan anew. */
static bool resize_best_effort(struct plan *plan, struct contract *contract, span_us duration_us, struct reason *reason)
{
	struct lease_spec *spec = &contract->lease.spec;
	span_us was_us = spec->duration_us;

	*reason = (struct reason){.code = REASON_TIME_UP};
	if (!lasts(contract)) {
		return false;
	}
	spec->duration_us = duration_us;
	if (refit_all(plan, contract) || duration_us <= was_us) {
		return true;
	}
	*reason = (struct reason){.code = REASON_NO_ROOM};
	spec->duration_us = was_us;
	refit_all(plan, contract);
	return false;
}

static bool resize(struct plan *plan, struct contract *contract, span_us duration_us, struct reason *reason)
{
	struct lease_spec wanted = contract->lease.spec;
	int64_t price;

	*reason = (struct reason){.code = REASON_NEVER_FITS, .arg0 = wanted.vms};
	if (duration_us <= 0 || duration_us > ADMIT_LONGEST_US) {
		return false;
	}
	wanted.duration_us = duration_us;
	bool longer = duration_us > contract->lease.spec.duration_us;
	if (!admit_price(plan, &wanted, &price, reason) && longer) {
		return false;
	}
	queue_drop(plan);
	plan->queue_due = true;
	bool done = wanted.kind == LEASE_BEST_EFFORT ? resize_best_effort(plan, contract, duration_us, reason)
						     : resize_promise(plan, contract, duration_us, reason);
	if (done && (longer || price < contract->lease.price)) {
		contract->lease.price = price; /* less time never costs more, however full the cluster is by now */
	}
	return done;
}

void plan_resize(struct plan *plan, uint64_t id, span_us duration_us)
{
	struct contract *contract = plan_find_contract(plan, id);
	struct reason reason;

	if (!contract) {
		return;
	}
	plan->offer = (struct offer){0};
	contract_touch(plan, contract);
	if (resize(plan, contract, duration_us, &reason)) {
		contract->answered = true;
		return;
	}
	plan_refuse(plan, id, &reason);
}
