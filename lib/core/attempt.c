/* Attempts to have VMs at a time, the gentlest way first. What kind of lease wants it is admit.c's. */
#include "attempt.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "policy.h"
#include "pool.h"
#include "prep.h"
#include "search.h"

#define SMALL 64       /* clusters up to so many nodes are looked at whole */
#define SAMPLE 16      /* nodes with room among which to choose in larger ones, or what 2 * SMALL nodes have */
#define BLAME_STEPS 64 /* guests of a node looked at for the one in the way */
#define TRIES 32       /* starts tried in one span, each on the nodes that matter then */

wall_us attempt_earliest(const struct plan *plan)
{
	return plan->now_us + plan->settings.lead_us + plan->settings.prepare_us;
}

void attempt_init(struct attempt *at, struct contract *contract)
{
	*at = (struct attempt){.cost = COST_STOP};
	place_unit(contract, NULL, &at->unit);
}

void attempt_fini(struct attempt *at)
{
	free(at->choices.item);
	free(at->unit.seat);
}

static struct run run_at(const struct plan *plan, wall_us start_us, span_us duration_us)
{
	return (struct run){
		.from = RUN_BOOT,
		.then = RUN_STOP,
		.prepare_us = start_us - plan->settings.prepare_us,
		.start_us = start_us,
		.end_us = start_us + duration_us,
		.release_us = start_us + duration_us + plan->settings.stop_us,
	};
}

/* True if the image is there in time, or its transfer can still be planned for it. */
static bool image_may_come(const struct attempt *at, struct choice *choice)
{
	wall_us ready_us = prep_ready(choice->node, at->unit.spec->image);
	bool in_time = ready_us <= at->run.prepare_us;

	choice->ready_us = in_time ? 0 : WALL_NEVER;
	if (in_time || ready_us == WALL_NEVER) {
		return true;
	}
	return !prep_too_late(choice->node, at->unit.spec->image, at->run.prepare_us);
}

static void list_all(struct plan *plan, struct attempt *at, bool staged_only)
{
	struct choices *choices = &at->choices;
	size_t kept = 0;
	uint32_t vms = 0;

	place_list(plan, &at->unit, &at->run, place_all(plan), choices);
	for (size_t i = 0; i < choices->count; i++) {
		struct choice choice = choices->item[i];
		if (image_may_come(at, &choice) && (choice.ready_us == 0 || !staged_only)) {
			vms += choice.count;
			choices->item[kept++] = choice;
		}
	}
	choices->count = kept;
	choices->vms = vms;
}

/*
 * Those that have the image in time, or those that do not, until there are enough to choose from. Always from the first
 * node on: promises gather there, and guests on the other nodes are left in peace.
 */
static void list_some(struct plan *plan, struct attempt *at, bool staged)
{
	struct choices *choices = &at->choices;

	glance_look(plan->glance, at->unit.spec->per_vm, at->run.start_us, at->run.end_us);
	for (size_t i = 0; i < plan->node_count; i++) {
		if (choices->vms >= at->unit.n && (choices->count >= SAMPLE || i >= 2 * SMALL)) {
			break;
		}
		if (glance_full(plan->glance, plan->columns[i])) {
			continue;
		}
		struct choice choice = {.node = plan->nodes[i]};
		if (!node_takes_new(choice.node) || !image_may_come(at, &choice) || (choice.ready_us == 0) != staged ||
		    !pool_fits(plan, choice.node, at->unit.spec->image, &at->run)) {
			continue;
		}
		choice.count = place_count(choice.node, at->unit.spec, &at->run, at->unit.n);
		if (choice.count > 0) {
			choices->item =
				plan_grow(choices->item, choices->count, &choices->room, sizeof(*choices->item));
			choices->item[choices->count++] = choice;
			choices->vms += choice.count;
		}
	}
}

/*
 * Nodes for the run; those whose image would come too late are left out, those that need a transfer marked NEVER.
 * Unless all are wanted, or those with room do not suffice, these are some of many.
 */
static void list(struct plan *plan, struct attempt *at, bool staged_only)
{
	if (at->all || plan->node_count <= SMALL) {
		list_all(plan, at, staged_only);
		return;
	}
	at->choices.count = 0;
	at->choices.vms = 0;
	list_some(plan, at, true);
	if (!staged_only && (at->choices.vms < at->unit.n || at->choices.count < SAMPLE)) {
		list_some(plan, at, false);
	}
}

uint64_t attempt_in_the_way(const struct node *node, const struct run *run)
{
	struct promises *promised = (struct promises *)&node->promised;
	struct guest *guest = (struct guest *)guest_promised_after(node, run->release_us);
	uint64_t lease = 0;

	guest = guest ? RB_PREV(promises, promised, guest) : RB_MAX(promises, promised);
	for (int i = 0; i < BLAME_STEPS && guest; i++, guest = RB_PREV(promises, promised, guest)) {
		if (guest->vm->run.release_us > run->prepare_us && (!lease || guest->vm->lease < lease)) {
			lease = guest->vm->lease;
		}
	}
	DL_FOREACH (node->standby, guest) {
		if (guest->vm->run.prepare_us < run->release_us && guest->vm->run.release_us > run->prepare_us &&
		    (!lease || guest->vm->lease < lease)) {
			lease = guest->vm->lease;
		}
	}
	DL_FOREACH (node->best_effort, guest) {
		if (guest->vm->run.prepare_us < run->release_us && guest->vm->run.release_us > run->prepare_us &&
		    (!lease || guest->vm->lease < lease)) {
			lease = guest->vm->lease;
		}
	}
	return lease;
}

static void blame(const struct plan *plan, struct attempt *at, uint32_t would_fit)
{
	struct capacity use = at->unit.spec->per_vm;

	at->reason = (struct reason){.code = REASON_NO_NODES, .arg0 = would_fit};
	for (size_t i = 0; i < plan->node_count && !at->reason.lease; i++) {
		const struct node *node = plan->nodes[i];
		if (!node_takes_new(node)) {
			continue;
		}
		struct capacity peak = place_peak(node, at->unit.spec, at->run.prepare_us, at->run.release_us);
		struct capacity free = capacity_sub(node->info.capacity, peak);
		at->reason.code = REASON_NO_ROOM;
		if (capacity_times(use, free, at->unit.n) < place_most(plan, node, at->unit.spec, at->unit.n)) {
			at->reason.res = capacity_scarcest(use, free);
			at->reason.lease = attempt_in_the_way(node, &at->run);
		}
	}
}

void attempt_blame(struct plan *plan, struct attempt *at, wall_us start_us, span_us duration_us)
{
	at->run = run_at(plan, start_us, duration_us);
	list(plan, at, false);
	blame(plan, at, at->choices.vms);
}

/* The start that would be feasible if the image were the only matter. */
static wall_us image_earliest(struct plan *plan, const struct attempt *at)
{
	uint32_t missing = 0;

	for (size_t i = 0; i < at->choices.count; i++) {
		missing += at->choices.item[i].ready_us > 0;
	}
	return prep_earliest(plan, at->unit.spec, missing) + plan->settings.prepare_us;
}

/*
 * Plans the transfers. A layout that hurries one for another's sake may want the pool for longer than the choice of
 * nodes knew: then there is no room after all.
 */
static bool promise_images(struct plan *plan, struct attempt *at)
{
	uint64_t image = at->unit.spec->image;
	struct choices *choices = &at->choices;

	if (!prep_promise(plan, image, place_nodes(plan, choices), choices->count, &at->run)) {
		return false;
	}
	for (size_t i = 0; i < choices->count; i++) {
		if (!pool_within(plan, choices->item[i].node)) {
			prep_withdraw(plan, image, place_nodes(plan, choices), choices->count);
			return false;
		}
	}
	return true;
}

/* One way. */
static bool try_way(struct plan *plan, struct attempt *at, bool preempt, bool staged_only)
{
	at->victims = (struct victims){0};
	list(plan, at, staged_only);
	if (at->choices.vms < at->unit.n) {
		struct preempt_want want = {
			.unit = &at->unit,
			.run = &at->run,
			.fits = at->choices.vms,
			.staged_only = staged_only,
			.stop = at->cost == COST_STOP,
		};
		uint32_t would_fit = at->choices.vms;
		if (!preempt || !preempt_for(plan, &want, &at->victims)) {
			blame(plan, at, would_fit);
			if (want.earliest_us) {
				at->reason.code = REASON_SUSPEND_LATE;
				at->reason.arg0 = want.earliest_us;
			}
			at->stoppable = at->stoppable || want.stoppable;
			return false;
		}
		list_all(plan, at, staged_only);
	}
	if (place_pick(plan, &at->choices, at->unit.n) && promise_images(plan, at)) {
		return true;
	}
	at->reason = (struct reason){.code = REASON_IMAGE_LATE, .arg0 = image_earliest(plan, at)};
	preempt_undo(plan, &at->victims);
	return false;
}

/* Without others suspended, or with. */
static bool try_ways(struct plan *plan, struct attempt *at, bool preempt)
{
	bool all = at->all;

	if (try_way(plan, at, preempt, false)) {
		return true;
	}
	struct reason why = at->reason;
	if (why.code != REASON_IMAGE_LATE) {
		return false;
	}
	/* Nodes that have the image may do what the emptier ones cannot in time. */
	at->all = true;
	bool done = (!all && plan->node_count > SMALL && try_way(plan, at, preempt, false)) ||
		    try_way(plan, at, preempt, true);
	at->all = all;
	at->reason = why;
	return done;
}

/* True if there may be somebody to suspend or stop. */
static bool may_preempt(const struct plan *plan, const struct attempt *at)
{
	return at->cost != COST_NOBODY && !RB_EMPTY(&plan->turns);
}

bool attempt_at(struct plan *plan, struct attempt *at, wall_us start_us, span_us duration_us)
{
	at->run = run_at(plan, start_us, duration_us);
	return try_ways(plan, at, false) || (may_preempt(plan, at) && try_ways(plan, at, true));
}

/*
 * The next start worth a try after start_us failed for at->reason; from room_us on, not before start_us, there is room
 * with nobody suspended.
 */
static wall_us next_try(const struct plan *plan, const struct attempt *at, wall_us start_us, wall_us room_us,
			const struct search *search)
{
	wall_us next_us = start_us < room_us ? room_us : search_change(search), point_us = WALL_NEVER;
	bool late = at->reason.code == REASON_IMAGE_LATE && at->reason.arg0 > start_us;

	if (start_us == room_us && late) {
		return at->reason.arg0;
	}
	if (start_us == room_us || may_preempt(plan, at)) {
		/* The link is free, or others could be made to leave, when something changes on some node. */
		point_us = place_next(plan, start_us - plan->settings.prepare_us) + plan->settings.prepare_us;
	}
	if (at->reason.code == REASON_SUSPEND_LATE && at->reason.arg0 > start_us && at->reason.arg0 < point_us) {
		point_us = at->reason.arg0;
	}
	return point_us < next_us ? point_us : next_us;
}

bool attempt_within(struct plan *plan, struct attempt *at, const struct attempt_span *span, span_us duration_us)
{
	wall_us start_us = span->from_us, room_us = start_us;
	struct search search;
	bool done = !span->tried && attempt_at(plan, at, start_us, duration_us);

	if (done || start_us >= span->latest_us) {
		return done;
	}
	const struct reason why = at->reason;
	search_init(&search, plan,
		    &(struct search_want){
			    .spec = at->unit.spec,
			    .vms = at->unit.n,
			    .duration_us = duration_us,
			    .from_us = start_us,
			    .nodes = span->nodes,
			    .looks = span->looks,
			    .points = span->points,
		    });
	for (int i = 0; i < TRIES && !done; i++) {
		room_us = start_us < room_us ? room_us : search_next(&search, start_us);
		start_us = next_try(plan, at, start_us, room_us, &search);
		room_us = start_us < room_us ? room_us : search_next(&search, start_us);
		if (!may_preempt(plan, at) || i + 1 == TRIES) {
			start_us = room_us;
		}
		if (start_us > span->latest_us) {
			break;
		}
		done = attempt_at(plan, at, start_us, duration_us);
	}
	search_fini(&search);
	if (!done) {
		at->reason = why;
		at->run = run_at(plan, span->from_us, duration_us);
	}
	return done;
}

void attempt_undo(struct plan *plan, struct attempt *at)
{
	preempt_undo(plan, &at->victims);
	prep_withdraw(plan, at->unit.spec->image, place_nodes(plan, &at->choices), at->choices.count);
}

void attempt_book(struct plan *plan, struct attempt *at)
{
	place_seat(plan, &at->unit, &at->choices);
	bool fits = place_book(plan, &at->unit, &at->run);
	assert(fits);
	(void)fits;
}

void attempt_keep(struct plan *plan, struct attempt *at)
{
	preempt_keep(plan, &at->victims, at->unit.seat[0].guest->vm->lease);
}

void attempt_unbook(struct plan *plan, struct attempt *at)
{
	for (uint32_t i = 0; i < at->unit.n; i++) {
		guest_unbook(plan, at->unit.seat[i].guest);
		*at->unit.seat[i].guest->vm = at->unit.seat[i].was;
	}
	attempt_undo(plan, at);
}
