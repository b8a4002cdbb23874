/* Admission of advance reservations and immediate leases. Best-effort leases are the queue's. */
#include "admit.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "preempt.h"
#include "prep.h"
#include "queue.h"

#define OFFER_STARTS 128 /* later starts tried for an offer: beyond that the answer takes longer than it is worth */
#define LONGEST_US (WALL_NEVER / 4) /* sums of a start, a duration and overheads stay below WALL_NEVER */

/* One attempt at an advance reservation. */
struct attempt {
	struct unit unit;
	struct run run;
	struct choices choices;
	struct victims victims;
	struct reason reason; /* why it failed */
};

wall_us admit_earliest(const struct plan *plan)
{
	return plan->now_us + plan->settings.lead_us + plan->settings.prepare_us;
}

static struct run run_of(const struct plan *plan, const struct lease_spec *spec)
{
	return (struct run){
		.from = RUN_BOOT,
		.then = RUN_STOP,
		.prepare_us = spec->start_us - plan->settings.prepare_us,
		.start_us = spec->start_us,
		.end_us = spec->start_us + spec->duration_us,
		.release_us = spec->start_us + spec->duration_us + plan->settings.stop_us,
	};
}

static bool spec_sane(const struct lease_spec *spec)
{
	if (spec->kind >= LEASE_KIND_COUNT || spec->vms == 0 || spec->vms > LEASE_VMS_MAX || spec->duration_us <= 0 ||
	    spec->duration_us > LONGEST_US || spec->start_us > LONGEST_US) {
		return false;
	}
	for (int r = 0; r < RES_COUNT; r++) {
		/* Scaled by the number of VMs and with memory added to disk it must not overflow. */
		if (spec->per_vm.amount[r] < 0 || spec->per_vm.amount[r] > INT64_MAX / 8 / LEASE_VMS_MAX) {
			return false;
		}
	}
	return spec->per_vm.amount[RES_CPU] > 0 && spec->per_vm.amount[RES_MEMORY] > 0;
}

/* The resource of which a node with these amounts has least for the need. */
static enum resource scarcest(struct capacity need, struct capacity have)
{
	enum resource worst = RES_CPU;
	double least = 1e300;

	for (int r = 0; r < RES_COUNT; r++) {
		double part = need.amount[r] > 0 ? (double)have.amount[r] / (double)need.amount[r] : 1e300;
		if (part < least) {
			least = part;
			worst = (enum resource)r;
		}
	}
	return worst;
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
	for (size_t i = 0; i < plan->node_count; i++) {
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
	reason->res = scarcest(spec->per_vm, best);
	return most >= (spec->serial && spec->kind == LEASE_BEST_EFFORT ? 1 : spec->vms);
}

/* Nodes for the run; those whose image would come too late are left out, those that need a transfer marked NEVER. */
static void list(struct plan *plan, struct attempt *at, bool staged_only)
{
	struct choices *choices = &at->choices;
	size_t kept = 0;
	uint32_t vms = 0;

	place_list(plan, &at->unit, &at->run, choices);
	for (size_t i = 0; i < choices->count; i++) {
		struct choice choice = choices->item[i];
		const struct stage *stage = prep_find(choice.node, at->unit.spec->image);
		bool in_time = choice.ready_us <= at->run.prepare_us;
		if (!in_time && (staged_only || (stage && prep_begun(plan, stage)))) {
			continue;
		}
		choice.ready_us = in_time ? 0 : WALL_NEVER;
		vms += choice.count;
		choices->item[kept++] = choice;
	}
	choices->count = kept;
	choices->vms = vms;
}

/* The oldest lease that holds room on a node that lacks it during the run, and of what it lacks most. */
static void blame(const struct plan *plan, struct attempt *at, uint32_t would_fit)
{
	struct capacity use = at->unit.spec->per_vm;

	at->reason = (struct reason){.code = REASON_NO_NODES, .arg0 = would_fit};
	for (size_t i = 0; i < plan->node_count; i++) {
		const struct node *node = plan->nodes[i];
		const struct guest *guest;
		if (!node_takes_new(node)) {
			continue;
		}
		struct capacity peak = slots_peak(node->slots, at->run.prepare_us, at->run.release_us);
		struct capacity free = capacity_sub(node->info.capacity, peak);
		at->reason.code = REASON_NO_ROOM;
		if (capacity_times(use, free, at->unit.n) >= place_most(plan, node, at->unit.spec, at->unit.n)) {
			continue;
		}
		at->reason.res = scarcest(use, free);
		for (guest = guest_first(node); guest; guest = guest_next(guest)) {
			const struct run *run = &guest->vm->run;
			if (guest->vm->planned && run->prepare_us < at->run.release_us &&
			    run->release_us > at->run.prepare_us &&
			    (!at->reason.lease || guest->vm->lease < at->reason.lease)) {
				at->reason.lease = guest->vm->lease;
			}
		}
		if (at->reason.lease) {
			return;
		}
	}
}

/* The start that would be feasible if the image were the only matter. */
static wall_us image_earliest(const struct plan *plan, const struct attempt *at)
{
	uint32_t missing = 0;

	for (size_t i = 0; i < at->choices.count; i++) {
		missing += at->choices.item[i].ready_us > 0;
	}
	return prep_earliest(plan, at->unit.spec->image, missing) + plan->settings.prepare_us;
}

/*
 * One try. On success nodes are chosen, transfers promised and victims cut, all to be booked or undone by the caller.
 */
static bool attempt(struct plan *plan, struct attempt *at, bool preempt, bool staged_only)
{
	at->victims = (struct victims){0};
	list(plan, at, staged_only);
	if (at->choices.vms < at->unit.n) {
		struct preempt_want want = {.unit = &at->unit, .run = &at->run, .staged_only = staged_only};
		uint32_t would_fit = at->choices.vms;
		if (!preempt || !preempt_for(plan, &want, &at->victims)) {
			blame(plan, at, would_fit);
			if (want.earliest_us) {
				at->reason.code = REASON_SUSPEND_LATE;
				at->reason.arg0 = want.earliest_us;
			}
			return false;
		}
		list(plan, at, staged_only);
	}
	if (place_pick(plan, &at->choices, at->unit.n) &&
	    prep_promise(plan, at->unit.spec->image, place_nodes(plan, &at->choices), at->choices.count,
			 at->run.prepare_us)) {
		return true;
	}
	at->reason = (struct reason){.code = REASON_IMAGE_LATE, .arg0 = image_earliest(plan, at)};
	preempt_undo(plan, &at->victims);
	return false;
}

/* All ways to have it at that time, the gentlest first. */
static bool attempt_all(struct plan *plan, struct attempt *at)
{
	for (int preempt = 0; preempt < 2; preempt++) {
		if (attempt(plan, at, preempt, false)) {
			return true;
		}
		/* Nodes that have the image may do what the emptier ones cannot in time. */
		if (at->reason.code == REASON_IMAGE_LATE) {
			struct reason why = at->reason;
			if (attempt(plan, at, preempt, true)) {
				return true;
			}
			at->reason = why;
		}
		if (plan->settings.suspension == SUSPENSION_NONE) {
			break;
		}
	}
	return false;
}

static void undo(struct plan *plan, struct attempt *at)
{
	preempt_undo(plan, &at->victims);
	prep_withdraw(plan, at->unit.spec->image, place_nodes(plan, &at->choices), at->choices.count);
}

static void attempt_fini(struct attempt *at)
{
	free(at->choices.item);
	free(at->unit.seat);
}

static bool admit_immediate(struct plan *plan, struct attempt *at, struct reason *reason)
{
	if (queue_boot_now(plan, &at->unit)) {
		prep_layout(plan);
		return true;
	}
	at->run = run_of(plan, &(struct lease_spec){.start_us = admit_earliest(plan),
						    .duration_us = at->unit.spec->duration_us});
	list(plan, at, false);
	blame(plan, at, at->choices.vms);
	*reason = at->reason;
	return false;
}

bool admit(struct plan *plan, struct contract *contract, struct reason *reason)
{
	const struct lease_spec *spec = &contract->lease.spec;
	struct attempt at = {0};
	bool ok;

	if (spec->kind == LEASE_AR && spec->start_us < admit_earliest(plan)) {
		*reason = (struct reason){.code = REASON_START_PAST, .arg0 = admit_earliest(plan)};
		return false;
	}
	place_unit(contract, NULL, &at.unit);
	at.run = run_of(plan, spec);
	if (spec->kind == LEASE_IMMEDIATE) {
		ok = admit_immediate(plan, &at, reason);
	} else if (attempt_all(plan, &at)) {
		place_seat(plan, &at.unit, &at.choices);
		preempt_keep(plan, &at.victims, contract->lease.id);
		ok = place_book(plan, &at.unit, &at.run);
		assert(ok);
	} else {
		*reason = at.reason;
		ok = false;
	}
	attempt_fini(&at);
	return ok;
}

/* Whether it could be had with these figures; nothing is changed. */
static bool feasible(struct plan *plan, struct attempt *at, wall_us start_us, uint32_t vms, span_us duration_us)
{
	at->run = run_of(plan, &(struct lease_spec){.start_us = start_us, .duration_us = duration_us});
	at->unit.n = vms;
	if (!attempt_all(plan, at)) {
		return false;
	}
	undo(plan, at);
	return true;
}

static wall_us later_start(struct plan *plan, struct attempt *at, wall_us from_us, uint32_t vms, span_us duration_us)
{
	wall_us start_us = from_us > admit_earliest(plan) ? from_us : admit_earliest(plan);

	for (int i = 0; i < OFFER_STARTS && start_us < LONGEST_US; i++) {
		if (feasible(plan, at, start_us, vms, duration_us)) {
			return start_us;
		}
		/* Room appears at a change point; an image or a victim's memory when the refusal says. */
		wall_us next_us = place_next(plan, start_us - plan->settings.prepare_us) + plan->settings.prepare_us;
		bool hint = at->reason.code == REASON_IMAGE_LATE || at->reason.code == REASON_SUSPEND_LATE;
		if (hint && at->reason.arg0 > start_us && at->reason.arg0 < next_us) {
			next_us = at->reason.arg0;
		}
		start_us = next_us;
	}
	return 0;
}

static uint32_t fewer_vms(struct plan *plan, struct attempt *at, wall_us start_us, uint32_t vms, span_us duration_us)
{
	uint32_t low = 0, high = vms;

	while (low + 1 < high) {
		uint32_t middle = low + (high - low) / 2;
		if (feasible(plan, at, start_us, middle, duration_us)) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

static span_us shorter(struct plan *plan, struct attempt *at, wall_us start_us, uint32_t vms, span_us duration_us)
{
	span_us low = 0, high = duration_us;

	/* To the second, and not shorter than what a best-effort lease would be started for. */
	while (high - low > USEC_PER_SEC) {
		span_us middle = low + (high - low) / 2;
		if (feasible(plan, at, start_us, vms, middle)) {
			low = middle;
		} else {
			high = middle;
		}
	}
	low -= low % USEC_PER_SEC;
	return low >= plan->settings.min_run_us ? low : 0;
}

struct offer admit_offer(struct plan *plan, struct contract *contract, const struct reason *reason)
{
	const struct lease_spec *spec = &contract->lease.spec;
	struct attempt at = {0};
	struct offer offer = {.vms = spec->vms, .duration_us = spec->duration_us};
	wall_us start_us = spec->kind == LEASE_AR ? spec->start_us : admit_earliest(plan);

	place_unit(contract, NULL, &at.unit);
	if (reason->code != REASON_NEVER_FITS) {
		offer.start_us = later_start(plan, &at, start_us, spec->vms, spec->duration_us);
	}
	if (offer.start_us == 0) {
		offer.start_us = start_us > admit_earliest(plan) ? start_us : admit_earliest(plan);
		offer.vms = fewer_vms(plan, &at, offer.start_us, spec->vms, spec->duration_us);
	}
	if (offer.vms == 0) {
		offer.vms = spec->vms;
		offer.duration_us = shorter(plan, &at, offer.start_us, spec->vms, spec->duration_us);
	}
	offer.valid = offer.vms > 0 && offer.duration_us > 0;
	attempt_fini(&at);
	return offer.valid ? offer : (struct offer){0};
}
