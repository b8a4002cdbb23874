/* When and where a unit starts or goes on, given what is booked. Whose turn it is is the queue's. */
#include "start.h"

#include <assert.h>
#include <stdlib.h>

#include "estimate.h"
#include "pool.h"
#include "preempt.h"
#include "prep.h"

#define RESERVE_TRIES 512 /* start times tried for a reservation: a table fuller than that is left for later */
#define STAGE_TRIES 4     /* each try waits for the images of the nodes the one before chose */

/* Beside or instead of an image's id, for room_lacks(). */
#define MOVE (UINT64_C(1) << 63)  /* not of boots */
#define LATER (UINT64_C(1) << 62) /* of boots when their image is there */

static struct run boot_run(const struct plan *plan, const struct unit *unit, wall_us start_us)
{
	return (struct run){
		.from = RUN_BOOT,
		.then = RUN_STOP,
		.prepare_us = start_us - plan->settings.prepare_us,
		.start_us = start_us,
		.end_us = start_us + unit->left_us,
		.release_us = start_us + unit->left_us + plan->settings.stop_us,
	};
}

/* True if it is known that there is no room for the unit by the time its image is there. */
static bool vain_later(const struct pass *pass, const struct unit *unit, wall_us start_us, span_us need_us)
{
	return room_lacks(&pass->room, LATER, start_us, unit->spec->per_vm, unit->n, need_us);
}

/* The same was found out. All whose images are not under way yet would have them by then. */
static void learn_vain(struct pass *pass, const struct unit *unit, wall_us start_us, span_us need_us)
{
	if (pass->missed && pick_may_fetch(pass, RUN_BOOT) && !unit->spec->period_us) {
		room_learn_lack(&pass->room, LATER, start_us, unit->spec->per_vm, pass->choices.vms + 1, need_us);
	}
}

/*
 * Books a queued unit to boot and start at start_us, or as soon after it as its image allows. If it returns false and
 * pass->missed, room_need() of room is not there at start_us.
 */
static bool boot_at(struct pass *pass, struct unit *unit, wall_us start_us)
{
	struct plan *plan = pass->plan;
	struct choices *choices = &pass->choices;
	span_us need_us = pick_need(pass, unit, RUN_BOOT);

	pass->missed = false;
	for (int i = 0; i < STAGE_TRIES; i++) {
		struct run run = boot_run(plan, unit, start_us);
		pass->tried_us = start_us;
		prep_trim(plan); /* what the try before asked for */
		if ((!pick_may_fetch(pass, RUN_BOOT) && pick_listable(pass, unit, &run) < unit->n) ||
		    (i > 0 && vain_later(pass, unit, start_us, need_us))) {
			break;
		}
		bool whole;
		if (!pick_nodes(pass, unit, &run, &whole)) {
			if (i > 0) {
				learn_vain(pass, unit, start_us, need_us);
				pass->missed = false;
			}
			break;
		}
		wall_us ready_us =
			prep_append(plan, unit->spec->image, place_nodes(plan, choices), choices->count, &run, 0);
		if (ready_us == WALL_NEVER) {
			break;
		}
		if (ready_us > run.prepare_us) {
			start_us = ready_us + plan->settings.prepare_us;
			continue;
		}
		place_seat(plan, unit, choices);
		if (whole ? place_book(plan, unit, &run) : pick_book_cut(pass, unit, run)) {
			prep_trim(plan);
			return true;
		}
		break;
	}
	prep_trim(plan);
	return false;
}

void start_count(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->count = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->count++;
	}
}

void start_limit(const struct unit *unit, wall_us from_us)
{
	start_count(unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		struct capacity use = capacity_scale(unit->spec->per_vm, node->count);
		node->limit_us = place_until(node, unit->spec, use, from_us);
	}
}

/* What the count guests of a suspended unit on this node need there to go on; of disk its HOLD has it already. */
static struct capacity resume_use(const struct unit *unit, const struct node *node)
{
	struct capacity use = capacity_scale(unit->spec->per_vm, node->count);

	use.amount[RES_DISK] = 0;
	return use;
}

/* For how long they need it at least: for all that is left, or for the least run and being saved. */
static span_us resume_need(const struct plan *plan, const struct unit *unit, const struct node *node)
{
	int64_t memory = unit->spec->per_vm.amount[RES_MEMORY];

	if (!place_may_cut(plan, unit->spec)) {
		return unit->left_us;
	}
	span_us cut_us = pick_resume_least(plan, unit) + (span_us)node->count * estimate_suspend(plan, node, memory);
	return cut_us < unit->left_us ? cut_us : unit->left_us;
}

/*
 * Until when the unit's nodes have room for it from start_us on; 0 if that is too short on one of them for it to be
 * worth resuming.
 */
static wall_us resume_until(const struct plan *plan, const struct unit *unit, wall_us start_us)
{
	wall_us until_us = WALL_NEVER;

	start_count(unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		if (node->count == 0) {
			continue;
		}
		wall_us at_us = place_until(node, unit->spec, resume_use(unit, node), start_us);
		if (at_us < start_us + resume_need(plan, unit, node)) {
			return 0;
		}
		until_us = at_us < until_us ? at_us : until_us;
		node->count = 0; /* looked at, for all its seats */
	}
	return until_us;
}

/*
 * When the unit's image is on all the nodes it lies on, once it is brought where it was evicted: 0 = it is there,
 * WALL_NEVER = some pool has no room for it. If that is not 0, to be followed by prep_trim().
 */
static wall_us fetch_again(struct plan *plan, const struct unit *unit, const struct run *run)
{
	wall_us ready_us = 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		const struct stage *stage = unit->seat[i].guest->stage;
		if (stage && !stage->present) {
			wall_us at_us = prep_append(plan, stage->image, &node, 1, run, 0);
			ready_us = at_us > ready_us ? at_us : ready_us;
		}
	}
	return ready_us;
}

/* Books a lifted unit for the run, or for as much of it as there is room for. */
static bool book_resume(struct pass *pass, struct unit *unit, const struct run *run, wall_us until_us)
{
	struct plan *plan = pass->plan;

	if (until_us >= run->end_us && place_book(plan, unit, run)) {
		return true;
	}
	if (!place_may_cut(plan, unit->spec)) {
		return false;
	}
	start_limit(unit, run->start_us);
	return pick_book_cut(pass, unit, *run);
}

/* Books a suspended unit to go on on its own nodes, as soon as they can restore it from from_us on. */
static bool resume_from(struct pass *pass, struct unit *unit, wall_us from_us)
{
	struct plan *plan = pass->plan;
	wall_us until_us = 0, ready_us = 0;
	span_us lead_us;
	bool ready = false, fetched = false, done = false;
	struct run run;

	for (int i = 0; i < 2 && !ready && ready_us < WALL_NEVER; i++) {
		wall_us start_us = preempt_restored(plan, unit, ready_us > 0 ? ready_us : from_us, &lead_us);
		until_us = resume_until(plan, unit, start_us);
		if (until_us == 0) {
			break;
		}
		run = boot_run(plan, unit, start_us);
		run.from = RUN_RESUME;
		ready_us = fetch_again(plan, unit, &run);
		fetched = fetched || ready_us > 0;
		ready = ready_us == 0 || ready_us <= start_us - lead_us;
	}
	if (ready) {
		place_lift(plan, unit);
		done = book_resume(pass, unit, &run, until_us);
	}
	if (ready && !done) {
		place_put_back(plan, unit);
	}
	if (fetched) {
		prep_trim(plan);
	}
	return done;
}

/* How long a unit that goes on elsewhere has nothing of its new nodes yet but their disks. */
static span_us copied_aside(const struct plan *plan, const struct unit *unit)
{
	const struct node *home = plan_find_node(plan, unit->seat[0].was.node);

	return plan->settings.migration == MIGRATION_ASIDE ? estimate_copy(plan, home, home, unit->spec) : 0;
}

/*
 * Chooses nodes for the lifted unit to go on at start_us or soon after, its own among them as far as they can be had,
 * and books it. False if that is not possible; then it is lifted as before.
 */
static bool place_elsewhere(struct pass *pass, struct unit *unit, wall_us start_us, span_us lead_us)
{
	struct plan *plan = pass->plan;
	struct choices *choices = &pass->choices;
	span_us aside_us = copied_aside(plan, unit);

	for (int i = 0; i < STAGE_TRIES; i++) {
		struct run run = boot_run(plan, unit, start_us);
		run.from = RUN_RESUME;
		run.copy_us = aside_us ? start_us - lead_us : 0;
		run.prepare_us = start_us - lead_us + aside_us;
		prep_trim(plan); /* what the try before asked for */
		bool whole;
		if (!pick_nodes(pass, unit, &run, &whole)) {
			return false;
		}
		wall_us ready_us = 0;
		if (pool_wanted(plan, &run)) {
			ready_us = prep_append(plan, unit->spec->image, place_nodes(plan, choices), choices->count,
					       &run, 0);
		}
		if (ready_us == WALL_NEVER) {
			return false;
		}
		place_seat(plan, unit, choices);
		wall_us from_us = ready_us > start_us - lead_us ? ready_us : start_us - lead_us;
		span_us need_us;
		wall_us clear_us = preempt_restored(plan, unit, from_us, &need_us);
		if (clear_us == start_us && need_us <= lead_us) {
			return whole ? place_book(plan, unit, &run) : pick_book_cut(pass, unit, run);
		}
		start_us = clear_us;
		lead_us = need_us;
		aside_us = aside_us ? preempt_copy_span(plan, unit) : 0;
	}
	return false;
}

/* How long before it can go on elsewhere the unit's nodes are busy with it, if each takes one of its guests. */
static span_us move_lead(const struct plan *plan, const struct unit *unit)
{
	const struct node *node = unit->seat[0].node;

	return estimate_copy(plan, node, node, unit->spec) +
	       estimate_resume(plan, node, unit->spec->per_vm.amount[RES_MEMORY]);
}

/* True if the unit's guests may go on on other nodes than their own. */
static bool may_move(const struct plan *plan, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		if (unit->seat[i].node->info.state == NODE_SILENT) {
			return false;
		}
	}
	return plan->settings.migration != MIGRATION_NO;
}

/* True if all of its own nodes take it. */
static bool may_stay(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		if (!node_takes_new(unit->seat[i].node)) {
			return false;
		}
	}
	return true;
}

/* While its memory is still to leave a node, its image is needed there: false if others were promised that room. */
static bool pools_allow(struct plan *plan, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		if (!pool_within(plan, plan_find_node(plan, unit->seat[i].was.node))) {
			return false;
		}
	}
	return true;
}

/* False if there are surely too few nodes for the suspended unit to go on anywhere at start_us. */
static bool movable(struct pass *pass, const struct unit *unit, wall_us start_us)
{
	const struct run run = {.from = RUN_RESUME, .start_us = start_us};
	const struct lease_spec *spec = unit->spec;
	uint64_t what = pick_anywhere(pass, spec->image, &run) ? MOVE : MOVE | spec->image;
	span_us need_us = pick_need(pass, unit, RUN_RESUME);

	if (room_lacks(&pass->room, what, start_us, spec->per_vm, unit->n, need_us)) {
		return false;
	}
	uint32_t vms = pick_listable(pass, unit, &run);
	if (vms < unit->n) {
		room_learn_lack(&pass->room, what, start_us, spec->per_vm, vms + 1, need_us);
	}
	return vms == unit->n;
}

/* Books a suspended unit to go on at start_us, or as soon after as its nodes can restore it, wherever there is room. */
static bool move_at(struct pass *pass, struct unit *unit, wall_us start_us, span_us lead_us)
{
	prep_trim(pass->plan); /* while it holds its images: what is laid out now must not take their room */
	if (!movable(pass, unit, start_us)) {
		return false;
	}
	place_lift(pass->plan, unit);
	bool done = place_elsewhere(pass, unit, start_us, lead_us);
	if (done && !pools_allow(pass->plan, unit)) {
		for (uint32_t i = 0; i < unit->n; i++) {
			guest_unbook(pass->plan, unit->seat[i].guest);
		}
		done = false;
	}
	prep_trim(pass->plan);
	if (!done) {
		for (uint32_t i = 0; i < unit->n; i++) {
			unit->seat[i].node = plan_find_node(pass->plan, unit->seat[i].was.node);
		}
		place_put_back(pass->plan, unit);
	}
	return done;
}

bool start_vain(struct pass *pass, const struct lease_spec *spec, uint32_t n, span_us left_us)
{
	struct room *room = &pass->room;
	span_us need_us = room_need(room, spec, left_us);

	if (!pick_staged(pass, spec) || room_bound(room, spec->per_vm, n, need_us) > room->start_us) {
		return true;
	}
	if (pick_may_fetch(pass, RUN_BOOT)) {
		return false;
	}
	if (room_lacks(room, spec->image, 0, spec->per_vm, n, need_us)) {
		return true;
	}
	prep_trim(pass->plan);
	struct unit unit = {.spec = spec, .n = n, .left_us = left_us};
	struct run run = boot_run(pass->plan, &unit, room->start_us);
	uint32_t vms = pick_listable(pass, &unit, &run);
	if (vms < n) {
		room_learn_lack(room, spec->image, 0, spec->per_vm, vms + 1, need_us);
	}
	return vms < n;
}

bool start_boot_now(struct pass *pass, struct unit *unit)
{
	struct room *room = &pass->room;
	struct capacity per_vm = unit->spec->per_vm;
	uint64_t image = pick_may_fetch(pass, RUN_BOOT) ? 0 : unit->spec->image;
	span_us need_us = room_need(room, unit->spec, unit->left_us);

	if (start_vain(pass, unit->spec, unit->n, unit->left_us)) {
		return false;
	}
	if (boot_at(pass, unit, room->start_us)) {
		pass->staged += unit->seat[0].guest->vm->run.start_us > room->start_us;
		room_taken(room, unit);
		return true;
	}
	if (unit->spec->period_us) {
		return false; /* that there is none for a constraint says nothing of others of that size */
	}
	if (image) {
		room_learn_lack(room, image, 0, per_vm, unit->n, need_us);
	} else if (pass->missed) {
		room_learn(room, per_vm, unit->n, need_us, room->start_us + 1);
	} else if (++pass->vain == PICK_STAGED_MAX) {
		pass->staged = PICK_STAGED_MAX; /* by the time more images are there the nodes will be others' */
	}
	return false;
}

bool start_possible_now(struct pass *pass, struct unit *unit)
{
	struct room *room = &pass->room;
	span_us need_us = room_need(room, unit->spec, unit->left_us);
	struct run run = boot_run(pass->plan, unit, room->start_us);

	if (room_bound(room, unit->spec->per_vm, unit->n, need_us) > room->start_us) {
		return false;
	}
	run.end_us = run.start_us + need_us;
	run.release_us = run.end_us + pass->plan->settings.stop_us;
	place_list(pass->plan, unit, &run, place_all(pass->plan), &pass->choices);
	if (pass->choices.vms >= unit->n) {
		return true;
	}
	/* Its own plan may have been what was in the way. */
	if (!pass->choices.pool_short && !unit->spec->period_us &&
	    unit->seat[0].guest->vm->run.prepare_us >= run.release_us) {
		room_learn(room, unit->spec->per_vm, unit->n, need_us, room->start_us + 1);
	}
	return false;
}

bool start_boot_later(struct pass *pass, struct unit *unit)
{
	struct room *room = &pass->room;
	struct seek seek = {
		.plan = pass->plan,
		.spec = unit->spec,
		.n = unit->n,
		.need_us = room_need(room, unit->spec, unit->left_us),
		.lead_us = pass->plan->settings.prepare_us,
	};
	wall_us from_us = room_bound(room, unit->spec->per_vm, unit->n, seek.need_us);
	if (pass->plan->settings.backfill == BACKFILL_CONSERVATIVE && place_may_cut(pass->plan, unit->spec)) {
		/* Behind all others a lease would try hundreds of gaps in which it could not be saved. */
		seek.whole_us = unit->left_us;
		wall_us bound_us = room_bound(room, unit->spec->per_vm, unit->n, seek.whole_us);
		from_us = bound_us > from_us ? bound_us : from_us;
	}
	bool found = pick_staged(pass, unit->spec) && seek_first(&seek, from_us);

	if (found && seek.at_us > from_us && !unit->spec->period_us) {
		room_learn(room, unit->spec->per_vm, unit->n, seek.cuts ? seek.whole_us : seek.need_us, seek.at_us);
	}
	for (int i = 0; found; i++) {
		if (boot_at(pass, unit, seek.at_us)) {
			room_taken(room, unit);
			break;
		}
		/* Between that time and the one tried last its image would not be there either. */
		do {
			found = i + 1 < RESERVE_TRIES && seek_next(&seek);
		} while (found && seek.at_us <= pass->tried_us);
	}
	return found;
}

/* The first time from from_us on at which each of the unit's nodes has room for it, though not all at once. */
static wall_us resume_bound(const struct plan *plan, const struct unit *unit, wall_us from_us)
{
	start_count(unit);
	for (uint32_t i = 0; i < unit->n && from_us < WALL_NEVER; i++) {
		struct node *node = unit->seat[i].node;
		if (node->count) {
			from_us = slots_fit(node->slots, place_limit(node, resume_use(unit, node)), from_us,
					    resume_need(plan, unit, node));
			node->count = 0;
		}
	}
	return from_us;
}

/* The first change on the unit's nodes after that time. */
static wall_us resume_next(const struct unit *unit, wall_us after_us)
{
	wall_us next_us = WALL_NEVER;

	for (uint32_t i = 0; i < unit->n; i++) {
		wall_us at_us = slots_next(unit->seat[i].node->slots, after_us);
		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

static bool reserve_resume(struct pass *pass, struct unit *unit, span_us restore_us)
{
	struct plan *plan = pass->plan;
	wall_us start_us = plan->now_us + plan->settings.lead_us + restore_us;

	for (int i = 0; i < RESERVE_TRIES; i++) {
		wall_us bound_us = resume_bound(plan, unit, start_us);
		if (bound_us >= WALL_NEVER) {
			return false;
		}
		if (bound_us == start_us) {
			if (resume_from(pass, unit, start_us - restore_us)) {
				return true;
			}
			/* Memory may be what is short, and is needed from the restoring on. */
			bound_us = resume_next(unit, start_us - restore_us) + restore_us;
		}
		start_us = bound_us;
	}
	return false;
}

bool start_resume_now(struct pass *pass, struct unit *unit)
{
	struct plan *plan = pass->plan;
	struct room *room = &pass->room;
	wall_us told_us = plan->now_us + plan->settings.lead_us;

	if (may_stay(unit) && resume_from(pass, unit, told_us)) {
		room_forget(room);
		return true;
	}
	if (!may_move(plan, unit) ||
	    room_bound(room, unit->spec->per_vm, unit->n, pick_need(pass, unit, RUN_RESUME)) > room->start_us) {
		return false;
	}
	span_us lead_us = move_lead(plan, unit);
	if (move_at(pass, unit, told_us + lead_us, lead_us)) {
		room_forget(room);
		return true;
	}
	return false;
}

/* The earliest time at which its own nodes have room for it or, a little later, any. */
static bool reserve_anywhere(struct pass *pass, struct unit *unit)
{
	struct plan *plan = pass->plan;
	struct seek seek = {
		.plan = plan,
		.spec = unit->spec,
		.n = unit->n,
		.need_us = pick_need(pass, unit, RUN_RESUME),
		.lead_us = move_lead(plan, unit) - copied_aside(plan, unit),
	};
	span_us lead_us = seek.lead_us + copied_aside(plan, unit);
	bool found = seek_first(&seek, plan->now_us + plan->settings.lead_us + lead_us);

	for (int i = 0; found && i < RESERVE_TRIES; i++) {
		if ((may_stay(unit) && resume_from(pass, unit, seek.at_us - lead_us)) ||
		    move_at(pass, unit, seek.at_us, lead_us)) {
			return true;
		}
		found = seek_next(&seek);
	}
	return false;
}

bool start_resume_later(struct pass *pass, struct unit *unit)
{
	struct plan *plan = pass->plan;

	if ((may_move(plan, unit) && reserve_anywhere(pass, unit)) ||
	    (may_stay(unit) && reserve_resume(pass, unit, preempt_restore_spans(plan, unit)))) {
		room_forget(&pass->room);
		return true;
	}
	return false;
}
