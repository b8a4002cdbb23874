/* Open leases come on standby, and go if nobody calls them. What happens when somebody does is call.c's. */
#include "open.h"

#include <assert.h>
#include <stdlib.h>

#include "admit.h"
#include "attempt.h"
#include "pool.h"
#include "prep.h"
#include "rate.h"

#define OFFER_TRIES 3 /* what is short in turn: time to respond, the image, room */

/* What is on the nodes is told to stop, does so, and the VMs are prepared. */
static span_us least_response(const struct plan *plan)
{
	return plan->settings.lead_us + plan->settings.stop_us + plan->settings.prepare_us;
}

/* A window that is open begins now. */
static wall_us begin_of(const struct plan *plan, const struct lease_spec *spec)
{
	return spec->start_us > plan->now_us ? spec->start_us : plan->now_us;
}

/* For how long a node is kept: if it is called at the last moment and starts as late as it may. */
static struct run span_of(const struct plan *plan, const struct lease_spec *spec, wall_us from_us)
{
	wall_us until_us = spec->latest_us + spec->response_us + spec->duration_us + plan->settings.stop_us;

	return (struct run){.prepare_us = from_us, .start_us = from_us, .end_us = until_us, .release_us = until_us};
}

/* How many VMs could stand by on the node; who could be there meanwhile does not matter. */
static uint32_t count(const struct node *node, const struct lease_spec *spec, const struct run *run, uint32_t limit)
{
	struct capacity peak = slots_peak(node->firm, run->start_us, run->release_us);

	limit = capacity_times(spec->per_vm, capacity_sub(node->info.capacity, peak), limit);
	return spec->period_us && limit ? rate_count(node, spec, run->start_us, run->release_us, true, limit) : limit;
}

/* Nodes with room for some of them, where the image is or may be in time. */
static void list(const struct plan *plan, struct attempt *at, bool staged_only)
{
	const struct lease_spec *spec = at->unit.spec;
	struct choices *choices = &at->choices;

	choices->count = 0;
	choices->vms = 0;
	for (size_t i = 0; i < plan->node_count; i++) {
		struct node *node = plan->nodes[i];
		wall_us ready_us = prep_ready(node, spec->image);
		bool in_time = ready_us <= at->run.prepare_us;
		bool may_come = in_time || (!staged_only && !prep_too_late(node, spec->image, at->run.prepare_us));
		if (!node_takes_new(node) || !may_come || !pool_fits(plan, node, spec->image, &at->run)) {
			continue;
		}
		struct choice choice = {.node = node, .ready_us = in_time ? 0 : WALL_NEVER};
		choice.count = count(node, spec, &at->run, at->unit.n);
		if (choice.count > 0) {
			choices->item =
				plan_grow(choices->item, choices->count, &choices->room, sizeof(*choices->item));
			choices->item[choices->count++] = choice;
			choices->vms += choice.count;
		}
	}
}

/* Why there are not enough nodes. */
static void blame(const struct plan *plan, const struct attempt *at, struct reason *reason)
{
	struct capacity use = at->unit.spec->per_vm;

	*reason = (struct reason){.code = REASON_NO_NODES, .arg0 = at->choices.vms};
	for (size_t i = 0; i < plan->node_count && !reason->lease; i++) {
		const struct node *node = plan->nodes[i];
		if (!node_takes_new(node)) {
			continue;
		}
		struct capacity peak = slots_peak(node->firm, at->run.start_us, at->run.release_us);
		reason->code = REASON_NO_ROOM;
		if (count(node, at->unit.spec, &at->run, at->unit.n) <
		    place_most(plan, node, at->unit.spec, at->unit.n)) {
			reason->res = capacity_scarcest(use, capacity_sub(node->info.capacity, peak));
			reason->lease = attempt_in_the_way(node, &at->run);
		}
	}
}

/* Chooses nodes for the unit from from_us on, and promises their images. False with the reason, nothing changed. */
static bool find(struct plan *plan, struct attempt *at, wall_us from_us, struct reason *reason)
{
	at->run = span_of(plan, at->unit.spec, from_us);
	*reason = (struct reason){.code = REASON_NONE};
	for (int staged_only = 0; staged_only <= 1; staged_only++) {
		list(plan, at, staged_only);
		if (!place_pick(plan, &at->choices, at->unit.n)) {
			break;
		}
		if (prep_promise(plan, at->unit.spec->image, place_nodes(plan, &at->choices), at->choices.count,
				 &at->run)) {
			return true;
		}
		uint32_t missing = 0;
		for (size_t i = 0; i < at->choices.count; i++) {
			missing += at->choices.item[i].ready_us > 0;
		}
		*reason =
			(struct reason){.code = REASON_IMAGE_LATE, .arg0 = prep_earliest(plan, at->unit.spec, missing)};
	}
	if (reason->code != REASON_IMAGE_LATE) {
		blame(plan, at, reason);
	}
	return false;
}

static void book(struct plan *plan, struct attempt *at)
{
	enum lease_state state = at->run.start_us <= plan->now_us ? LEASE_STANDBY : LEASE_SCHEDULED;

	place_seat(plan, &at->unit, &at->choices);
	for (uint32_t i = 0; i < at->unit.n; i++) {
		struct guest *guest = at->unit.seat[i].guest;
		guest_move(plan, guest, state);
		guest->vm->node = at->unit.seat[i].node->info.id;
		guest->vm->run = at->run;
		guest_book(plan, guest);
	}
}

bool open_admit(struct plan *plan, struct contract *contract, struct reason *reason)
{
	struct lease_spec *spec = &contract->lease.spec;
	wall_us from_us = begin_of(plan, spec);
	struct attempt at;

	*reason = (struct reason){.code = REASON_START_PAST, .arg0 = from_us};
	if (spec->latest_us <= from_us) {
		return false;
	}
	*reason = (struct reason){.code = REASON_RESPONSE, .arg0 = least_response(plan)};
	if (spec->response_us < reason->arg0) {
		return false;
	}
	plan_keep_firm(plan);
	attempt_init(&at, contract);
	bool done = find(plan, &at, from_us, reason);
	if (done) {
		book(plan, &at);
		spec->start_us = from_us;
	}
	attempt_fini(&at);
	return done;
}

void open_offer(struct plan *plan, struct contract *contract, const struct reason *reason)
{
	struct lease_spec *spec = &contract->lease.spec;
	span_us response_us = spec->response_us;
	struct reason why = *reason;
	struct attempt at;

	plan_keep_firm(plan);
	attempt_init(&at, contract);
	wall_us start_us = begin_of(plan, spec);
	for (int i = 0; i < OFFER_TRIES && !plan->offer.valid; i++) {
		if (why.code == REASON_RESPONSE) {
			spec->response_us = why.arg0;
		} else if (why.code == REASON_IMAGE_LATE && why.arg0 > start_us) {
			start_us = why.arg0;
		} else if ((why.code == REASON_NO_ROOM || why.code == REASON_NEVER_FITS) && why.arg0 > 0) {
			at.unit.n = (uint32_t)why.arg0 < at.unit.n ? (uint32_t)why.arg0 : at.unit.n;
		} else {
			break;
		}
		if (start_us < spec->latest_us && find(plan, &at, start_us, &why)) {
			attempt_undo(plan, &at);
			plan->offer = (struct offer){
				.valid = true,
				.start_us = start_us,
				.vms = at.unit.n,
				.duration_us = spec->duration_us,
				.response_us = spec->response_us,
			};
		}
	}
	spec->response_us = response_us;
	attempt_fini(&at);
}

bool open_resize(struct plan *plan, struct unit *unit, span_us duration_us, struct reason *reason)
{
	struct lease_spec wanted = *unit->spec;
	bool fits = true;

	wanted.duration_us = duration_us;
	struct run run = span_of(plan, &wanted, unit->spec->start_us);
	*reason = (struct reason){.code = REASON_NO_ROOM};
	place_lift(plan, unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		struct guest *guest = unit->seat[i].guest;
		guest->vm->run = run;
		guest_book(plan, guest);
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct guest *guest = unit->seat[i].guest;
		struct capacity peak = slots_peak(guest->node->firm, plan->now_us, WALL_NEVER);
		bool here = pool_within(plan, guest->node) && capacity_fits(peak, guest->node->owed_firm);
		reason->arg0 += here;
		fits = fits && here;
	}
	if (fits) {
		return true;
	}
	run.prepare_us = unit->seat[0].was.run.release_us;
	for (uint32_t i = 0; i < unit->n; i++) {
		guest_unbook(plan, unit->seat[i].guest);
	}
	for (uint32_t i = 0; i < unit->n && !reason->lease; i++) {
		reason->lease = attempt_in_the_way(unit->seat[i].node, &run);
	}
	place_put_back(plan, unit);
	return false;
}

static void not_called(struct plan *plan, struct guest *guest)
{
	contract_touch(plan, guest->contract);
	guest->contract->why = (struct reason){.code = REASON_NOT_CALLED};
	guest_finish(plan, guest, LEASE_DONE, 0);
}

void open_due(struct plan *plan, struct guest *guest)
{
	if (guest->contract->lease.spec.latest_us <= plan->now_us) {
		not_called(plan, guest);
	} else if (guest->vm->run.start_us <= plan->now_us && guest->vm->state == LEASE_SCHEDULED) {
		guest_move(plan, guest, LEASE_STANDBY);
	}
}

wall_us open_next(const struct guest *guest)
{
	return guest->vm->state == LEASE_SCHEDULED ? guest->vm->run.start_us : guest->contract->lease.spec.latest_us;
}
