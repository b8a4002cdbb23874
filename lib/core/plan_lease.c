/* Requests and cancellations: leases come, and go before their time. */
#include <assert.h>
#include <stdlib.h>

#include "admit.h"
#include "backlog.h"
#include "offer.h"
#include "open.h"
#include "plan_state.h"
#include "prep.h"
#include "queue.h"
#include "rate.h"

struct contract *contract_new(struct plan *plan, uint64_t id, const struct lease_spec *spec)
{
	/* A refused spec may have any number of VMs, none included; it gets no more than one. */
	uint32_t n = spec->vms >= 1 && spec->vms <= LEASE_VMS_MAX ? spec->vms : 1;
	struct contract *contract = calloc(1, sizeof(*contract) + n * (sizeof(struct guest) + sizeof(struct vm)));

	assert(contract);
	contract->lease = (struct lease){.id = id, .spec = *spec, .state = LEASE_NEW, .submitted_us = plan->now_us};
	contract->vms = (struct vm *)&contract->guest[n];
	contract->lease.vms = contract->vms;
	for (uint32_t i = 0; i < n; i++) {
		contract->lease.vms[i] = (struct vm){.lease = id, .index = i, .state = LEASE_NEW};
		contract->guest[i] = (struct guest){
			.contract = contract,
			.vm = &contract->lease.vms[i],
			.fresh = true,
		};
	}
	RB_INSERT(contracts, &plan->contracts, contract);
	return contract;
}

void contract_enlist(struct plan *plan, struct contract *contract)
{
	if (contract->lease.spec.kind == LEASE_BEST_EFFORT) {
		RB_INSERT(turns, &plan->turns, contract);
		backlog_add(plan, contract);
	} else if (contract->lease.spec.kind == LEASE_DEADLINE) {
		RB_INSERT(deadlines, &plan->deadlines, contract);
	}
}

void contract_delist(struct plan *plan, struct contract *contract)
{
	if (contract->lease.spec.kind == LEASE_BEST_EFFORT) {
		RB_REMOVE(turns, &plan->turns, contract);
		backlog_remove(plan, contract);
	} else if (contract->lease.spec.kind == LEASE_DEADLINE) {
		RB_REMOVE(deadlines, &plan->deadlines, contract);
	}
}

void contract_free(struct contract *contract)
{
	free(contract);
}

static void reject(struct plan *plan, struct contract *contract, const struct reason *reason)
{
	/* No rows for the VMs of a lease that never was; plan_emit() frees them. */
	contract_touch(plan, contract);
	contract->lease.state = LEASE_REJECTED;
	contract->lease.price = 0;
	contract->why = *reason;
}

/* A best-effort lease that is possible at all is taken. */
static void enqueue(struct plan *plan, struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		guest_move(plan, &contract->guest[i], LEASE_QUEUED);
	}
	contract_enlist(plan, contract);
	plan->arrived = plan_grow(plan->arrived, plan->arrived_count, &plan->arrived_room, sizeof(*plan->arrived));
	plan->arrived[plan->arrived_count++] = contract;
}

/* What a promise that cannot be had may be instead; the reason becomes exact by it. */
static void look_for_offer(struct plan *plan, struct contract *contract, struct reason *reason)
{
	const struct lease_spec *spec = &contract->lease.spec;

	if (spec->kind == LEASE_BEST_EFFORT) {
		plan->offer =
			(struct offer){.valid = true, .vms = (uint32_t)reason->arg0, .duration_us = spec->duration_us};
		return;
	}
	if (spec->kind == LEASE_OPEN) {
		open_offer(plan, contract, reason);
		return;
	}
	plan->offer = offer_find(plan, contract, reason);
	if ((reason->code == REASON_IMAGE_LATE || reason->code == REASON_SUSPEND_LATE) && plan->offer.valid &&
	    plan->offer.vms == spec->vms && plan->offer.duration_us == spec->duration_us &&
	    plan->offer.start_us > spec->start_us) {
		reason->arg0 = plan->offer.start_us;
	}
}

void plan_request(struct plan *plan, uint64_t id, const struct lease_spec *spec)
{
	struct reason reason;
	struct contract *contract = contract_new(plan, id, spec);

	spec = &contract->lease.spec;
	rate_spec(plan, &contract->lease.spec);
	plan->offer = (struct offer){0};
	contract_touch(plan, contract);
	bool possible = admit_possible(plan, spec, &reason);
	bool smaller = !possible && reason.code == REASON_NEVER_FITS && reason.arg0 > 0;
	if (possible &&
	    (!admit_allowed(plan, spec, &reason) || !admit_price(plan, spec, &contract->lease.price, &reason))) {
		reject(plan, contract, &reason);
		return;
	}
	if (possible && spec->kind == LEASE_BEST_EFFORT) {
		enqueue(plan, contract);
		return;
	}
	if (spec->kind != LEASE_BEST_EFFORT && (possible || smaller)) {
		queue_drop(plan);
		plan->queue_due = true;
		if (possible && admit(plan, contract, &reason)) {
			contract_enlist(plan, contract);
			return;
		}
	}
	if (possible || smaller) {
		look_for_offer(plan, contract, &reason);
	}
	reject(plan, contract, &reason);
}

/* When the node has heard of it and cleared up. */
static wall_us gone_by(const struct plan *plan)
{
	return plan->now_us + plan->settings.lead_us + plan->settings.stop_us;
}

void contract_end(struct plan *plan, struct contract *contract, enum lease_state to, const struct guest *keep)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		struct guest *guest = &contract->guest[i];
		if (guest != keep && !lease_state_final(guest->vm->state)) {
			guest_finish(plan, guest, to, gone_by(plan));
		}
	}
}

void plan_cancel(struct plan *plan, uint64_t id)
{
	struct contract *contract = plan_find_contract(plan, id);

	if (contract) {
		contract_touch(plan, contract);
		contract->why = (struct reason){.code = REASON_BY_USER};
		contract_end(plan, contract, LEASE_CANCELLED, NULL);
	}
}

void plan_refuse(struct plan *plan, uint64_t id, const struct reason *reason)
{
	plan->refusals = plan_grow(plan->refusals, plan->refusal_count, &plan->refusal_room, sizeof(*plan->refusals));
	plan->refusals[plan->refusal_count++] = (struct refusal){id, *reason};
}

static void requeue(struct plan *plan, struct guest *guest)
{
	struct vm *vm = guest->vm;

	if (lease_state_final(vm->state) || vm->state == LEASE_QUEUED) {
		return;
	}
	prep_keep_going(plan, guest->stage);
	guest_leave(plan, guest, gone_by(plan));
	guest_move(plan, guest, LEASE_QUEUED);
	vm->node = 0;
	vm->run = (struct run){0};
	vm->served_us = 0;
	vm->started_us = 0;
	guest->hold_us = 0;
	guest->tail_us = 0;
}

void contract_requeue(struct plan *plan, struct guest *guest)
{
	struct contract *contract = guest->contract;

	assert(contract->lease.spec.kind == LEASE_BEST_EFFORT);
	if (contract->lease.spec.serial) {
		requeue(plan, guest);
		return;
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		requeue(plan, &contract->guest[i]);
	}
}
