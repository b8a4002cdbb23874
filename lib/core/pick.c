/* Chooses nodes for a unit of the queue at a given time, for all of its run or for one that is cut short. */
#include "pick.h"

#include <stdlib.h>

#include "estimate.h"
#include "pool.h"
#include "preempt.h"
#include "prep.h"

bool pick_may_fetch(const struct pass *pass, enum run_from from)
{
	/* A move is not worth a transfer that others wait for. */
	return pass->staged < PICK_STAGED_MAX && from == RUN_BOOT;
}

span_us pick_resume_least(const struct plan *plan, const struct unit *unit)
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

span_us pick_need(struct pass *pass, const struct unit *unit, enum run_from from)
{
	const struct plan *plan = pass->plan;

	if (from == RUN_BOOT || plan->settings.worth == 0 || !place_may_cut(plan, unit->spec)) {
		return room_need(&pass->room, unit->spec, unit->left_us);
	}
	span_us need_us = pick_resume_least(plan, unit);
	return need_us < unit->left_us ? need_us : unit->left_us;
}

bool pick_anywhere(const struct pass *pass, uint64_t image, const struct run *run)
{
	const struct plan *plan = pass->plan;

	return pick_may_fetch(pass, run->from) || !pool_wanted(plan, run) ||
	       prep_copies(plan, image) == plan->node_count;
}

uint32_t pick_listable(struct pass *pass, const struct unit *unit, const struct run *run)
{
	const struct plan *plan = pass->plan;
	bool anywhere = pick_anywhere(pass, unit->spec->image, run);
	wall_us end_us = run->start_us + pick_need(pass, unit, run->from);
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

/* Nodes for the unit, those of them that may be taken. */
static void list_nodes(struct pass *pass, const struct unit *unit, const struct run *run, struct nodes among,
		       struct choices *out)
{
	size_t kept = 0;

	place_list(pass->plan, unit, run, among, out);
	if (pick_may_fetch(pass, run->from)) {
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

bool pick_staged(const struct pass *pass, const struct lease_spec *spec)
{
	return pass->staged < PICK_STAGED_MAX || prep_copies(pass->plan, spec->image) > 0;
}

/* The least a unit must be able to run to be started at all. */
static span_us least(struct pass *pass, const struct unit *unit, enum run_from from)
{
	const struct plan *plan = pass->plan;
	span_us min_us = from == RUN_BOOT ? room_least(&pass->room, unit->spec) : pick_resume_least(plan, unit);

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
 * Of nodes that can have the unit for the least run those for a run that something cuts short: on which it can stay
 * longest. Each limit_us is set to when the node must be clear.
 */
static bool pick_cut(struct pass *pass, struct unit *unit, const struct run *run)
{
	struct choices *out = &pass->choices;

	for (size_t i = 0; i < out->count; i++) {
		struct choice *choice = &out->item[i];
		choice->until_us = place_until(choice->node, unit->spec, unit->spec->per_vm, run->start_us);
	}
	qsort(out->item, out->count, sizeof(*out->item), latest_first);
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

bool pick_nodes(struct pass *pass, struct unit *unit, const struct run *run, bool *whole)
{
	struct plan *plan = pass->plan;
	bool cuts = place_may_cut(plan, unit->spec);
	struct run least_run = *run;
	struct choices *choices = &pass->choices, least;

	if (cuts) {
		least_run.end_us = run->start_us + pick_need(pass, unit, run->from);
		least_run.release_us = least_run.end_us;
	}
	list_nodes(pass, unit, &least_run, room_nodes(&pass->room, unit->spec, run), choices);
	pass->missed = choices->vms < unit->n && !choices->pool_short;
	if (!cuts || choices->vms < unit->n) {
		*whole = place_pick(plan, choices, unit->n);
		return *whole;
	}
	/* Who has room for all of it has it for the least. */
	list_nodes(pass, unit, run, (struct nodes){place_nodes(plan, choices), choices->count}, &pass->whole);
	*whole = place_pick(plan, &pass->whole, unit->n);
	if (!*whole) {
		return pick_cut(pass, unit, run);
	}
	least = *choices;
	*choices = pass->whole;
	pass->whole = least;
	return true;
}

bool pick_book_cut(struct pass *pass, struct unit *unit, struct run run)
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
