/* Admission of promises: advance reservations, immediate and deadline leases. Best-effort leases are the queue's. */
#include "admit.h"

#include <assert.h>
#include <stdlib.h>

#include "attempt.h"
#include "deadline.h"
#include "open.h"
#include "policy.h"
#include "prep.h"
#include "queue.h"
#include "rate.h"

#define LOOKS_A_NODE 4 /* in a search for the earliest start */
#define LOOKS_MORE 4096

static bool spec_sane(const struct lease_spec *spec)
{
	if (spec->kind >= LEASE_KIND_COUNT || spec->vms == 0 || spec->vms > LEASE_VMS_MAX || spec->duration_us <= 0 ||
	    spec->duration_us > ADMIT_LONGEST_US || spec->start_us > ADMIT_LONGEST_US ||
	    spec->latest_us > ADMIT_LONGEST_US || spec->deadline_us < 0 || spec->deadline_us > ADMIT_LONGEST_US ||
	    spec->response_us < 0 || spec->response_us > ADMIT_LONGEST_US) {
		return false;
	}
	for (int r = 0; r < RES_COUNT; r++) {
		/* Scaled by the number of VMs and with memory added to disk it must not overflow. */
		if (spec->per_vm.amount[r] < 0 || spec->per_vm.amount[r] > INT64_MAX / 8 / LEASE_VMS_MAX) {
			return false;
		}
	}
	return spec->per_vm.amount[RES_CPU] > 0 && spec->per_vm.amount[RES_MEMORY] > 0 && rate_sane(spec);
}

bool admit_possible(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	const struct image_info *image = plan_find_image(plan, spec->image);
	struct capacity best = {{0}};
	uint64_t most = 0;
	bool pool = false;

	*reason = (struct reason){.code = REASON_NEVER_FITS};
	if (!spec_sane(spec)) {
		return false;
	}
	if (!image) {
		reason->code = REASON_IMAGE_BAD;
		return false;
	}
	if (plan->node_count == 0) {
		/* Whoever can wait waits for the first nodes to say what they have. */
		reason->code = REASON_NO_NODES;
		return spec->kind == LEASE_BEST_EFFORT;
	}
	if (spec->period_us && !rate_possible(plan, spec, reason)) {
		return false;
	}
	*reason = (struct reason){.code = REASON_NEVER_FITS};
	uint64_t least = spec->serial && spec->kind == LEASE_BEST_EFFORT ? 1 : spec->vms;
	for (size_t i = 0; i < plan->node_count && most < least; i++) {
		const struct node *node = plan->nodes[i];
		pool = pool || image->size <= node->info.pool_bytes;
		most += place_most(plan, node, spec, spec->vms);
		best = capacity_max(best, node->info.capacity);
	}
	if (!pool) {
		*reason = (struct reason){.code = REASON_POOL_FULL, .arg0 = image->size};
		return false;
	}
	reason->arg0 = (int64_t)most;
	reason->res = capacity_scarcest(spec->per_vm, best);
	return most >= least;
}

bool admit_allowed(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	*reason = (struct reason){.code = REASON_POLICY};
	return plan->settings.admission->allow(plan, spec, reason);
}

bool admit_price(const struct plan *plan, const struct lease_spec *spec, int64_t *price, struct reason *reason)
{
	struct lease_spec dated = *spec;
	wall_us earliest_us = attempt_earliest(plan);

	dated.start_us = spec->start_us > earliest_us ? spec->start_us : earliest_us;
	*price = plan->settings.price->price(plan, &dated);
	*reason = (struct reason){.code = REASON_PRICE, .arg0 = *price};
	return spec->price_max <= 0 || *price <= spec->price_max;
}

bool admit_span(const struct plan *plan, const struct lease_spec *spec, wall_us *from_us, wall_us *latest_us,
		struct reason *reason)
{
	wall_us earliest_us = attempt_earliest(plan);

	*from_us = spec->kind != LEASE_IMMEDIATE && spec->start_us > earliest_us ? spec->start_us : earliest_us;
	switch (spec->kind) {
	case LEASE_AR:
		*latest_us = spec->latest_us > spec->start_us ? spec->latest_us : spec->start_us;
		*reason = (struct reason){.code = REASON_START_PAST, .arg0 = earliest_us};
		break;
	case LEASE_DEADLINE:
		*latest_us = spec->deadline_us - spec->duration_us;
		*reason = (struct reason){.code = REASON_DEADLINE, .arg0 = *from_us + spec->duration_us};
		break;
	case LEASE_IMMEDIATE:
	case LEASE_BEST_EFFORT:
	case LEASE_OPEN:
	case LEASE_KIND_COUNT:
		*latest_us = *from_us;
		break;
	}
	return *latest_us >= *from_us;
}

static bool admit_immediate(struct plan *plan, struct attempt *at, struct reason *reason)
{
	if (queue_boot_now(plan, &at->unit)) {
		prep_layout(plan);
		return true;
	}
	attempt_blame(plan, at, attempt_earliest(plan), at->unit.spec->duration_us);
	*reason = at->reason;
	return false;
}

/*
 * Looks for the earliest start that will do. A deadline lease would rather wait than have others suspended, and any
 * lease rather than have others lose what they have done.
 */
static bool find(struct plan *plan, struct attempt *at, const struct attempt_span *span)
{
	span_us duration_us = at->unit.spec->duration_us;
	bool done = false;

	at->stoppable = false;
	if (at->unit.spec->kind == LEASE_DEADLINE) {
		at->cost = COST_NOBODY;
		done = attempt_within(plan, at, span, duration_us);
	}
	at->cost = COST_SUSPEND;
	done = done || attempt_within(plan, at, span, duration_us);
	at->cost = COST_STOP;
	return done || (at->stoppable && attempt_within(plan, at, span, duration_us));
}

/* Has it at the cost of deadline leases that can wait longer. */
static bool find_moving(struct plan *plan, struct attempt *at, const struct attempt_span *span)
{
	span_us length_us = at->unit.spec->duration_us + plan->settings.stop_us;
	struct moves moves;
	bool done = false;

	if (!deadline_lift(plan, &moves, span->from_us - plan->settings.prepare_us, span->latest_us + length_us)) {
		return false;
	}
	if (find(plan, at, span)) {
		attempt_book(plan, at);
		done = deadline_settle(plan, &moves);
		if (!done) {
			attempt_unbook(plan, at);
		}
	}
	if (!done) {
		deadline_return(plan, &moves);
	}
	deadline_fini(&moves);
	return done;
}

bool admit(struct plan *plan, struct contract *contract, struct reason *reason)
{
	struct lease_spec *spec = &contract->lease.spec;
	struct attempt_span span = {
		.nodes = SIZE_MAX, .points = SIZE_MAX, .looks = LOOKS_A_NODE * plan->node_count + LOOKS_MORE};
	struct attempt at;
	bool ok;

	if (spec->kind == LEASE_OPEN) {
		return open_admit(plan, contract, reason);
	}
	if (!admit_span(plan, spec, &span.from_us, &span.latest_us, reason)) {
		return false;
	}
	attempt_init(&at, contract);
	if (spec->kind == LEASE_IMMEDIATE) {
		ok = admit_immediate(plan, &at, reason);
		attempt_fini(&at);
		return ok;
	}
	if ((ok = find(plan, &at, &span))) {
		attempt_book(plan, &at);
	} else {
		*reason = at.reason;
		ok = find_moving(plan, &at, &span);
	}
	if (ok) {
		attempt_keep(plan, &at);
	}
	if (ok && spec->kind == LEASE_AR) {
		spec->start_us = at.run.start_us;
	}
	attempt_fini(&at);
	return ok;
}
