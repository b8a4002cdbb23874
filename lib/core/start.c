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

/*
 * So many leases may wait for their images, however many more there is room for: the link brings one after another, and
 * until theirs has come they keep nodes and pools from those behind them whose images are there.
 */
#define STAGED_MAX 8

#define MOVE (UINT64_C(1) << 63) /* beside an image's id, for room_lacks(): not of boots */

/* False once enough others wait for images: then only nodes will do that have the unit's. */
static bool may_fetch(const struct pass *pass, enum run_from from)
{
	/* A move is not worth a transfer that others wait for. */
	return pass->staged < STAGED_MAX && from == RUN_BOOT;
}

/* What a suspended unit must be able to run at least before it is suspended again. */
static span_us resume_least(const struct plan *plan, const struct unit *unit)
{
	const struct node *home = plan_find_node(plan, unit->seat[0].was.node);
	int64_t memory = unit->spec->per_vm.amount[RES_MEMORY], worth = plan->settings.worth;
	span_us moves_us = estimate_suspend(plan, home, memory) + estimate_resume(plan, home, memory);
	bool copied = plan->settings.migration != MIGRATION_NO; /* if not now, then perhaps the next time */

	if (worth == 0) {
		return plan->settings.min_run_us;
	}
	span_us copy_us = copied ? estimate_copy(plan, home, home, unit->spec) : 0;
	return plan->settings.min_run_us + worth * (copy_us + moves_us) - moves_us;
}

/* room_need() for such a run. */
static span_us need_of(struct pass *pass, const struct unit *unit, enum run_from from)
{
	const struct plan *plan = pass->plan;

	if (from == RUN_BOOT || plan->settings.worth == 0 || !place_may_cut(plan, unit->spec)) {
		return room_need(&pass->room, unit->spec, unit->left_us);
	}
	span_us need_us = resume_least(plan, unit);
	return need_us < unit->left_us ? need_us : unit->left_us;
}

/* True if it makes no difference to the run which nodes have the image. */
static bool goes_anywhere(const struct pass *pass, uint64_t image, const struct run *run)
{
	const struct plan *plan = pass->plan;

	return may_fetch(pass, run->from) || !pool_wanted(plan, run) || prep_copies(plan, image) == plan->node_count;
}

/*
 * For how many of the unit's VMs, counted no further than to all, list_nodes() would find nodes at most, for as much of
 * that run as it takes to be worth it. Much cheaper, as it says nothing of pools and disks; that makes it true of a
 * unit that is not lifted too.
 */
static uint32_t listable(struct pass *pass, const struct unit *unit, const struct run *run)
{
	const struct plan *plan = pass->plan;
	bool anywhere = goes_anywhere(pass, unit->spec->image, run);
	wall_us end_us = run->start_us + need_of(pass, unit, run->from);
	struct capacity use = unit->spec->per_vm;
	uint64_t most = unit->n, vms = 0;

	if (!anywhere) {
		most = (uint64_t)prep_copies(plan, unit->spec->image) * room_most(&pass->room, unit->spec->per_vm);
	}
	if (most < unit->n) {
		return (uint32_t)most;
	}
	use.amount[RES_DISK] = 0;
	const struct nodes nodes = room_nodes(&pass->room, unit->spec, run);
	for (size_t i = 0; i < nodes.count && vms < unit->n; i++) {
		const struct node *node = nodes.item[i];
		if (node_takes_new(node) && place_room(node, use, run->start_us, end_us) &&
		    (anywhere || prep_present(node, unit->spec->image))) {
			vms += capacity_times(use, node->info.capacity, unit->n);
		}
	}
	return vms < unit->n ? (uint32_t)vms : unit->n;
}

/* Nodes for the unit, those that may be taken. */
static void list_nodes(struct pass *pass, const struct unit *unit, const struct run *run)
{
	struct choices *out = &pass->choices;
	size_t kept = 0;

	place_list(pass->plan, unit, run, room_nodes(&pass->room, unit->spec, run), out);
	if (may_fetch(pass, run->from)) {
		return;
	}
	out->vms = 0;
	for (size_t i = 0; i < out->count; i++) {
		if (out->item[i].ready_us == 0) {
			out->vms += out->item[i].count;
			out->item[kept++] = out->item[i];
		}
	}
	out->count = kept;
}

bool start_staged(const struct pass *pass, const struct lease_spec *spec)
{
	return pass->staged < STAGED_MAX || prep_copies(pass->plan, spec->image) > 0;
}

/* The least a unit must be able to run to be started at all. */
static span_us least(const struct pass *pass, const struct unit *unit, enum run_from from)
{
	const struct plan *plan = pass->plan;
	span_us min_us = from == RUN_BOOT ? room_least(&pass->room, unit->spec) : resume_least(plan, unit);

	return place_may_cut(plan, unit->spec) && min_us < unit->left_us ? min_us : unit->left_us;
}

static int latest_first(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (x->until_us != y->until_us) {
		return x->until_us > y->until_us ? -1 : 1;
	}
	return x->node->info.id < y->node->info.id ? -1 : 1;
}

/* How many VMs the first count nodes could take from run->start_us until end_us. */
static uint64_t room_until(const struct unit *unit, struct choices *choices, size_t count, const struct run *run,
			   wall_us end_us)
{
	struct run until = *run;
	uint64_t total = 0;

	until.end_us = end_us;
	until.release_us = end_us;
	for (size_t i = 0; i < count; i++) {
		struct choice *choice = &choices->item[i];
		choice->count = place_count(choice->node, unit->spec, &until, unit->n);
		total += choice->count;
	}
	return total;
}

/*
 * The fewest of the nodes, latest first, that hold the unit until the last of them must be clear; all together hold it
 * for a shorter run.
 */
static size_t fewest(const struct unit *unit, struct choices *choices, const struct run *run)
{
	size_t low = 0, high = choices->count;

	if (choices->vms == choices->count && !unit->spec->period_us) {
		return unit->n; /* one on each, and each until it must be clear */
	}
	while (low + 1 < high) {
		size_t middle = (low + high) / 2;
		if (room_until(unit, choices, middle, run, choices->item[middle - 1].until_us) >= unit->n) {
			high = middle;
		} else {
			low = middle;
		}
	}
	return high;
}

/*
 * Nodes for a run that something cuts short: those on which the unit can stay longest. Each limit_us is set to when the
 * node must be clear. False if there are not enough.
 */
static bool pick_cut(struct pass *pass, struct unit *unit, const struct run *run)
{
	struct choices *out = &pass->choices;
	struct run least_run = *run;
	size_t n = 0;

	least_run.end_us = run->start_us + need_of(pass, unit, run->from);
	least_run.release_us = least_run.end_us;
	list_nodes(pass, unit, &least_run);
	for (size_t i = 0; i < out->count; i++) {
		struct choice choice = out->item[i];
		choice.until_us = place_until(choice.node, unit->spec, unit->spec->per_vm, run->start_us);
		out->item[n++] = choice;
	}
	out->count = n;
	pass->missed = out->vms < unit->n && !out->pool_short;
	if (n == 0 || out->vms < unit->n) {
		return false;
	}
	qsort(out->item, n, sizeof(*out->item), latest_first);
	/* The fewer of the long-free nodes, the later the end. */
	size_t high = fewest(unit, out, run);
	wall_us until_us = out->item[high - 1].until_us;
	uint64_t total = room_until(unit, out, high, run, until_us);
	out->count = high;
	out->vms = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
	for (size_t i = 0; i < high; i++) {
		out->item[i].node->limit_us = until_us;
	}
	return place_pick(pass->plan, out, unit->n);
}

/* Books a unit whose seats are chosen until it must be saved by its nodes' limit_us. */
static bool book_cut(struct pass *pass, struct unit *unit, struct run run)
{
	struct plan *plan = pass->plan;
	wall_us from_us = run.start_us > plan->now_us ? run.start_us : plan->now_us + plan->settings.lead_us;

	run.then = RUN_SUSPEND;
	run.end_us = preempt_end(plan, unit);
	if (run.end_us - from_us < least(pass, unit, run.from) || run.end_us >= run.start_us + unit->left_us) {
		return false;
	}
	return place_book(plan, unit, &run);
}

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

/*
 * Books a queued unit to boot and start at start_us, or as soon after it as its image allows. If it returns false and
 * pass->missed, room_need() of room is not there at start_us.
 */
static bool boot_at(struct pass *pass, struct unit *unit, wall_us start_us)
{
	struct plan *plan = pass->plan;
	struct choices *choices = &pass->choices;

	pass->missed = false;
	for (int i = 0; i < STAGE_TRIES; i++) {
		struct run run = boot_run(plan, unit, start_us);
		pass->tried_us = start_us;
		prep_trim(plan); /* what the try before asked for */
		if (!may_fetch(pass, RUN_BOOT) && listable(pass, unit, &run) < unit->n) {
			break;
		}
		list_nodes(pass, unit, &run);
		bool whole = place_pick(plan, choices, unit->n);
		pass->missed = !whole && !choices->pool_short;
		if (!whole && (!place_may_cut(plan, unit->spec) || !pick_cut(pass, unit, &run))) {
			pass->missed = pass->missed && i == 0;
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
		if (whole ? place_book(plan, unit, &run) : book_cut(pass, unit, run)) {
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
	span_us cut_us = resume_least(plan, unit) + (span_us)node->count * estimate_suspend(plan, node, memory);
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
	return book_cut(pass, unit, *run);
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
		list_nodes(pass, unit, &run);
		bool whole = place_pick(plan, choices, unit->n);
		if (!whole && (!place_may_cut(plan, unit->spec) || !pick_cut(pass, unit, &run))) {
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
			return whole ? place_book(plan, unit, &run) : book_cut(pass, unit, run);
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
	uint64_t what = goes_anywhere(pass, spec->image, &run) ? MOVE : MOVE | spec->image;
	span_us need_us = need_of(pass, unit, RUN_RESUME);

	if (room_lacks(&pass->room, what, start_us, spec->per_vm, unit->n, need_us)) {
		return false;
	}
	uint32_t vms = listable(pass, unit, &run);
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

bool start_boot_now(struct pass *pass, struct unit *unit)
{
	struct room *room = &pass->room;
	struct capacity per_vm = unit->spec->per_vm;
	uint64_t image = pass->staged < STAGED_MAX ? 0 : unit->spec->image;
	span_us need_us = room_need(room, unit->spec, unit->left_us);

	if (!start_staged(pass, unit->spec) || room_bound(room, per_vm, unit->n, need_us) > room->start_us ||
	    (image && room_lacks(room, image, 0, per_vm, unit->n, need_us))) {
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
	} else if (++pass->vain == STAGED_MAX) {
		pass->staged = STAGED_MAX; /* by the time more images are there the nodes will be others' */
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
	bool found = start_staged(pass, unit->spec) && seek_first(&seek, from_us);

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
	    room_bound(room, unit->spec->per_vm, unit->n, need_of(pass, unit, RUN_RESUME)) > room->start_us) {
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
		.need_us = need_of(pass, unit, RUN_RESUME),
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
