/* Chooses nodes for VMs that start together. Neither preempts nor waits: the time is given. */
#include "place.h"

#include <assert.h>
#include <stdlib.h>

#include "estimate.h"
#include "policy.h"
#include "pool.h"
#include "preempt.h"
#include "prep.h"
#include "rate.h"

#define FIT_TRIES 4 /* a time that suits one table, then the other, then the first again: seldom more than two */

bool place_may_cut(const struct plan *plan, const struct lease_spec *spec)
{
	switch (plan->settings.suspension) {
	case SUSPENSION_NONE:
		break;
	case SUSPENSION_SERIAL:
		return spec->kind == LEASE_BEST_EFFORT && (spec->serial || spec->vms == 1);
	case SUSPENSION_ALL:
		return spec->kind == LEASE_BEST_EFFORT;
	}
	return false;
}

/* What is firm, if it is in the way of such a lease. */
static const struct slots *firm_for(const struct node *node, const struct lease_spec *spec)
{
	return spec->kind == LEASE_BEST_EFFORT ? NULL : node->firm;
}

struct capacity place_peak(const struct node *node, const struct lease_spec *spec, wall_us from_us, wall_us to_us)
{
	const struct slots *firm = firm_for(node, spec);
	struct capacity peak = slots_peak(node->slots, from_us, to_us);

	return firm ? capacity_max(peak, slots_peak(firm, from_us, to_us)) : peak;
}

wall_us place_until(const struct node *node, const struct lease_spec *spec, struct capacity use, wall_us from_us)
{
	const struct slots *firm = firm_for(node, spec);
	struct capacity limit = place_limit(node, use);
	wall_us until_us = slots_until(node->slots, limit, from_us);
	wall_us firm_us = firm ? slots_until(firm, limit, from_us) : WALL_NEVER;

	until_us = firm_us < until_us ? firm_us : until_us;
	if (spec->period_us && use.amount[RES_CPU] > 0) {
		uint32_t n = (uint32_t)(use.amount[RES_CPU] / spec->per_vm.amount[RES_CPU]);
		wall_us rate_us = rate_until(node, spec, n, from_us, false);
		firm_us = firm ? rate_until(node, spec, n, from_us, true) : WALL_NEVER;
		rate_us = rate_us < firm_us ? rate_us : firm_us;
		until_us = rate_us < until_us ? rate_us : until_us;
	}
	return until_us;
}

wall_us place_fit(const struct node *node, const struct lease_spec *spec, struct capacity use, wall_us from_us,
		  span_us length_us, size_t points)
{
	const struct slots *firm = firm_for(node, spec);
	struct capacity limit = place_limit(node, use);

	from_us = slots_fit_near(node->slots, limit, from_us, length_us, points);
	for (int i = 0; i < FIT_TRIES && firm && from_us < WALL_NEVER; i++) {
		wall_us firm_us = slots_fit_near(firm, limit, from_us, length_us, points);
		if (firm_us == from_us) {
			break;
		}
		from_us =
			firm_us < WALL_NEVER ? slots_fit_near(node->slots, limit, firm_us, length_us, points) : firm_us;
	}
	return from_us;
}

/* There is room for one, and most VMs are alone: then that says it all. */
static uint32_t count_more(const struct node *node, const struct slots *slots, struct capacity use, wall_us start_us,
			   wall_us end_us, uint32_t limit)
{
	if (start_us >= end_us || limit <= 1) {
		return limit;
	}
	return capacity_times(use, capacity_sub(node->info.capacity, slots_peak(slots, start_us, end_us)), limit);
}

static uint32_t count_in(const struct node *node, const struct slots *slots, struct capacity use, wall_us start_us,
			 wall_us end_us, uint32_t limit)
{
	if (start_us < end_us && limit > 0 && !slots_within(slots, place_limit(node, use), start_us, end_us)) {
		return 0;
	}
	return count_more(node, slots, use, start_us, end_us, limit);
}

static uint32_t count_beside(const struct node *node, const struct slots *slots, struct capacity use,
			     const struct run *run, uint32_t limit)
{
	if (run->prepare_us == run->start_us && run->end_us == run->release_us) {
		return limit;
	}
	/* Before and after, a guest takes what it also takes in between: one question answers for both. */
	enum slot_kind lead = run->from == RUN_RESUME ? SLOT_RESUME : SLOT_PREPARE;
	return count_in(node, slots, slot_use(lead, use), run->prepare_us, run->release_us, limit);
}

uint32_t place_count(const struct node *node, const struct lease_spec *spec, const struct run *run, uint32_t limit)
{
	const struct slots *firm = firm_for(node, spec);

	if (!place_room(node, spec->per_vm, run->start_us, run->end_us)) {
		return 0;
	}
	limit = capacity_times(spec->per_vm, node->info.capacity, limit);
	limit = count_more(node, node->slots, spec->per_vm, run->start_us, run->end_us, limit);
	limit = count_beside(node, node->slots, spec->per_vm, run, limit);
	if (firm) {
		limit = count_in(node, firm, spec->per_vm, run->start_us, run->end_us, limit);
		limit = count_beside(node, firm, spec->per_vm, run, limit);
	}
	if (run->copy_us) {
		struct capacity kept = slot_use(SLOT_HOLD, spec->per_vm);
		limit = count_in(node, node->slots, kept, run->copy_us, run->prepare_us, limit);
	}
	if (spec->period_us && limit) {
		limit = rate_count(node, spec, run->start_us, run->end_us, false, limit);
		limit = firm ? rate_count(node, spec, run->start_us, run->end_us, true, limit) : limit;
	}
	return limit;
}

/* What a guest takes before and after it runs, of which it also takes as much in between; none if it is no longer then.
 */
static bool beside(const struct lease_spec *spec, const struct run *run, struct capacity *use)
{
	*use = slot_use(run->from == RUN_RESUME ? SLOT_RESUME : SLOT_PREPARE, spec->per_vm);
	return run->prepare_us < run->start_us || run->end_us < run->release_us;
}

span_us place_slack(const struct node *node, const struct lease_spec *spec, const struct run *run)
{
	struct capacity use;
	span_us slack_us = slots_until(node->slots, place_limit(node, spec->per_vm), run->start_us) - run->end_us;

	if (slack_us >= 0 && beside(spec, run, &use)) {
		wall_us until_us = slots_until(node->slots, place_limit(node, use), run->prepare_us);
		slack_us = until_us - run->release_us < slack_us ? until_us - run->release_us : slack_us;
	}
	return slack_us;
}

wall_us place_start(const struct node *node, const struct lease_spec *spec, const struct run *run, wall_us *last_us)
{
	struct capacity use;
	wall_us start_us =
		slots_fit(node->slots, place_limit(node, spec->per_vm), run->start_us, run->end_us - run->start_us);

	*last_us = start_us - 1;
	if (start_us < WALL_NEVER && beside(spec, run, &use)) {
		wall_us from_us = slots_fit(node->slots, place_limit(node, use), run->prepare_us,
					    run->release_us - run->prepare_us);
		from_us = from_us < WALL_NEVER ? from_us + (run->start_us - run->prepare_us) : from_us;
		*last_us = from_us > start_us ? start_us : from_us < start_us ? from_us : *last_us;
		start_us = from_us > start_us ? from_us : start_us;
	}
	return start_us;
}

uint32_t place_most(const struct plan *plan, const struct node *node, const struct lease_spec *spec, uint32_t limit)
{
	const struct image_info *image = plan_find_image(plan, spec->image);

	if (!image || image->size > node->info.pool_bytes) {
		return 0;
	}
	limit = capacity_times(spec->per_vm, node->info.capacity, limit);
	return spec->period_us && limit ? rate_most(node, spec, limit) : limit;
}

/* Thousandths of a whole that a part is; 1000 if that is nothing. */
static uint32_t share(int64_t part, int64_t whole)
{
	if (part >= whole) {
		return 1000;
	}
	return part > 0 ? (uint32_t)((__int128)part * 1000 / whole) : 0;
}

/* What policies compare beside images and room. */
static void describe(const struct node *node, struct capacity use, const struct run *run, struct choice *out)
{
	struct capacity booked = slots_peak(node->slots, run->start_us, run->start_us + 1);

	out->until_us = slots_until(node->slots, place_limit(node, use), run->start_us);
	out->ahead = share(out->until_us - run->start_us, run->end_us - run->start_us);
	for (int r = 0; r < RES_COUNT; r++) {
		uint32_t used = use.amount[r] ? share(booked.amount[r], node->info.capacity.amount[r]) : 0;
		out->used = used > out->used ? used : out->used;
	}
}

/* The node where the guest lies suspended, or was to run when this step began; NULL = there is none. */
static struct node *node_before(const struct plan *plan, const struct seat *seat)
{
	const struct vm *before =
		seat->was.state == LEASE_SUSPENDED && !seat->was.planned ? &seat->was : guest_before(plan, seat->guest);

	return before ? plan_find_node(plan, before->node) : NULL;
}

void place_list(struct plan *plan, const struct unit *unit, const struct run *run, struct nodes among,
		struct choices *out)
{
	const struct lease_spec *spec = unit->spec;

	out->count = 0;
	out->vms = 0;
	out->pool_short = false;
	for (size_t i = 0; i < among.count; i++) {
		among.item[i]->count = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *before = node_before(plan, &unit->seat[i]);
		if (before) {
			before->count = 1;
		}
	}
	for (size_t i = 0; i < among.count; i++) {
		struct node *node = among.item[i];
		uint32_t count = node_takes_new(node) ? place_count(node, spec, run, unit->n) : 0;
		if (count == 0) {
			continue;
		}
		if (!pool_fits(plan, node, spec->image, run)) {
			out->pool_short = true;
			continue;
		}
		out->item = plan_grow(out->item, out->count, &out->room, sizeof(*out->item));
		out->item[out->count++] = (struct choice){
			.node = node,
			.count = count,
			.ready_us = pool_wanted(plan, run) ? prep_ready(node, spec->image) : 0,
			.before = node->count > 0,
		};
		if (plan->settings.host->wants_use) {
			describe(node, spec->per_vm, run, &out->item[out->count - 1]);
		}
		out->vms += count;
	}
}

static int by_merit(const void *a, const void *b, void *host)
{
	const struct choice *x = a, *y = b;
	int order = ((const struct host_policy *)host)->compare(x, y);

	if (order != 0) {
		return order;
	}
	return x->node->info.id < y->node->info.id ? -1 : 1;
}

bool place_pick(const struct plan *plan, struct choices *choices, uint32_t n)
{
	if (choices->vms < n) {
		return false;
	}
	qsort_r(choices->item, choices->count, sizeof(*choices->item), by_merit, (void *)plan->settings.host);
	uint32_t taken = 0;
	for (size_t i = 0; i < choices->count; i++) {
		struct choice *choice = &choices->item[i];
		if (choice->count >= n - taken) {
			choice->count = n - taken;
			choices->count = i + 1;
			break;
		}
		taken += choice->count;
	}
	choices->vms = n;
	return true;
}

struct node *const *place_nodes(struct plan *plan, const struct choices *choices)
{
	for (size_t i = 0; i < choices->count; i++) {
		plan->picked = plan_grow(plan->picked, i, &plan->picked_room, sizeof(struct node *));
		plan->picked[i] = choices->item[i].node;
	}
	return plan->picked;
}

void place_seat(const struct plan *plan, struct unit *unit, const struct choices *choices)
{
	size_t c = 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *before = node_before(plan, &unit->seat[i]);
		if (before) {
			before->count = 0;
		}
	}
	for (size_t i = 0; i < choices->count; i++) {
		choices->item[i].node->count = choices->item[i].count;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = node_before(plan, &unit->seat[i]);
		unit->seat[i].node = node && node->count ? node : NULL;
		if (unit->seat[i].node) {
			node->count--;
		}
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		if (unit->seat[i].node) {
			continue;
		}
		while (choices->item[c].node->count == 0) {
			c++;
		}
		unit->seat[i].node = choices->item[c].node;
		unit->seat[i].node->count--;
	}
}

bool place_within(const struct node *node, const struct lease_spec *spec, struct capacity use, wall_us from_us,
		  wall_us to_us)
{
	const struct slots *firm = firm_for(node, spec);

	for (int r = 0; r < RES_COUNT; r++) {
		use.amount[r] = use.amount[r] > 0 ? node->info.capacity.amount[r] : INT64_MAX / 4;
	}
	return slots_within(node->slots, use, from_us, to_us) && (!firm || slots_within(firm, use, from_us, to_us));
}

wall_us place_next(const struct plan *plan, wall_us after_us)
{
	wall_us next_us = WALL_NEVER;

	for (size_t i = 0; i < plan->node_count; i++) {
		if (node_takes_new(plan->nodes[i])) {
			const struct slots *firm = plan->nodes[i]->firm;
			wall_us at_us = slots_next(plan->nodes[i]->slots, after_us);
			wall_us firm_us = firm ? slots_next(firm, after_us) : WALL_NEVER;
			next_us = at_us < next_us ? at_us : next_us;
			next_us = firm_us < next_us ? firm_us : next_us;
		}
	}
	return next_us;
}

void place_lift(struct plan *plan, struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		struct seat *seat = &unit->seat[i];
		seat->was = *seat->guest->vm;
		seat->was_tail_us = seat->guest->tail_us;
		guest_unbook(plan, seat->guest);
	}
}

void place_put_back(struct plan *plan, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct seat *seat = &unit->seat[i];
		*seat->guest->vm = seat->was;
		seat->guest->tail_us = seat->was_tail_us;
		if (seat->was.node) {
			guest_book(plan, seat->guest);
		}
	}
}

/* True if what the guest has booked was there to be had, slot by slot. */
static bool booked_within(const struct plan *plan, const struct guest *guest)
{
	const struct node *node = guest->node;
	struct guest_slots slots;

	/* Mostly nothing at all is short there, from now on. */
	if (!guest->old_node && !firm_for(node, &guest->contract->lease.spec) &&
	    slots_within(node->slots, node->info.capacity, plan->now_us, WALL_NEVER)) {
		return true;
	}
	guest_slots(guest, &slots);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		const struct slot *slot = &slots.at[i];
		if (slots.there[i] && slot->end_us > plan->now_us &&
		    !place_within(plan_find_node(plan, slot->node), &guest->contract->lease.spec, slot->use,
				  slot->start_us > plan->now_us ? slot->start_us : plan->now_us, slot->end_us)) {
			return false;
		}
	}
	return true;
}

/* True if its constraint, if it has one, can be kept while it is there. */
static bool rate_within(const struct plan *plan, const struct guest *guest)
{
	const struct lease_spec *spec = &guest->contract->lease.spec;
	const struct run *run = &guest->vm->run;
	bool waits = guest_stands_by(guest);
	wall_us from_us = run->start_us > plan->now_us ? run->start_us : plan->now_us;
	wall_us to_us = waits ? run->release_us : run->end_us;

	if (!spec->period_us || from_us >= to_us) {
		return true;
	}
	return (waits || rate_holds(guest->node, from_us, to_us, false)) &&
	       (!firm_for(guest->node, spec) || rate_holds(guest->node, from_us, to_us, true));
}

bool place_holds(const struct plan *plan, const struct unit *unit)
{
	bool fits = true;

	for (uint32_t i = 0; i < unit->n && fits; i++) {
		const struct guest *guest = unit->seat[i].guest;
		fits = !guest->node ||
		       (booked_within(plan, guest) && pool_within(plan, guest->node) && rate_within(plan, guest));
	}
	return fits;
}

bool place_book(struct plan *plan, struct unit *unit, const struct run *run)
{
	int64_t memory = unit->spec->per_vm.amount[RES_MEMORY];
	span_us all_us = 0; /* of restoring, if that is one at a time on all nodes together */
	span_us copy_us = run->from == RUN_RESUME ? preempt_copy_span(plan, unit) : 0;
	bool aside = plan->settings.migration == MIGRATION_ASIDE, fits;

	preempt_save_spans(plan, unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->restore_us = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct seat *seat = &unit->seat[i];
		struct node *node = seat->node;
		struct run mine = *run;
		if (seat->was.planned) {
			mine.from = seat->was.run.from;
			mine.from_node = seat->was.run.from_node;
			mine.copy_us = seat->was.run.copy_us;
			mine.prepare_us = seat->was.run.prepare_us;
			mine.start_us = seat->was.run.start_us;
		} else if (run->from == RUN_RESUME) {
			/* Restoring ends at the start; who restores before others begins that much earlier. */
			span_us *sum_us = plan->lane ? &all_us : &node->restore_us;
			*sum_us += estimate_resume(plan, node, memory);
			mine.from_node = place_moved(seat) ? seat->was.node : 0;
			mine.prepare_us = run->start_us - *sum_us - (mine.from_node && !aside ? copy_us : 0);
			mine.copy_us = mine.from_node && aside ? mine.prepare_us - copy_us : 0;
		}
		if (run->then == RUN_SUSPEND) {
			/* In what order a node saves them is its own affair: none counts as saved before all are. */
			mine.release_us = run->end_us + node->save_us;
		}
		guest_plan(plan, seat->guest, node, &mine);
	}
	fits = place_holds(plan, unit);
	if (!fits) {
		for (uint32_t i = 0; i < unit->n; i++) {
			guest_unbook(plan, unit->seat[i].guest);
			*unit->seat[i].guest->vm = unit->seat[i].was;
		}
	}
	return fits;
}

void place_unit(struct contract *contract, struct guest *guest, struct unit *out)
{
	uint32_t n = contract->lease.spec.vms;

	*out = (struct unit){.spec = &contract->lease.spec};
	out->seat = malloc((guest ? 1 : n) * sizeof(*out->seat));
	assert(out->seat);
	for (uint32_t i = 0; i < n; i++) {
		struct guest *each = guest ? guest : &contract->guest[i];
		if (lease_state_final(each->vm->state)) {
			continue;
		}
		out->seat[out->n++] = (struct seat){.guest = each, .node = each->node, .was = *each->vm};
		span_us left_us = guest_left(each);
		out->left_us = left_us > out->left_us ? left_us : out->left_us;
		if (guest) {
			break;
		}
	}
}
