/* The best-effort queue. Promises (advance reservations, what has begun) are booked already: it plans around them. */
#include "queue.h"

#include <assert.h>
#include <stdlib.h>

#include "estimate.h"
#include "policy.h"
#include "preempt.h"
#include "prep.h"

#define MEMO_MAX 8        /* shapes that found no room in this pass */
#define RESERVE_TRIES 512 /* start times tried for the one reservation: a table fuller than that is left for later */
#define STAGE_TRIES 4     /* each try waits for the images of the nodes the one before chose */

/* A unit that found no room at once: nor will one that wants no less. */
struct memo {
	struct capacity per_vm;
	uint32_t n;
	span_us span_us;
};

struct pass {
	struct plan *plan;
	struct memo memo[MEMO_MAX];
	size_t memo_count;
	uint32_t reservations; /* how many more may be given */
	bool closed;           /* nobody starts any more: one who waits may not be overtaken */
	bool no_room;          /* boot_at() failed for want of room at the time asked for, whatever the image */
	struct choices choices;
};

void queue_drop(struct plan *plan)
{
	struct contract *contract;

	RB_FOREACH (contract, turns, &plan->turns) {
		if (contract->booked == 0) {
			continue;
		}
		bool serial = contract->lease.spec.serial;
		if (!serial && !gang_soft(plan, contract)) {
			continue;
		}
		for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
			struct guest *guest = &contract->guest[i];
			if (!lease_state_final(guest->vm->state) && (!serial || guest_soft(plan, guest))) {
				guest_unplan(plan, guest);
			}
		}
	}
	prep_trim(plan);
}

/* The least a unit must be able to run to be started at all. */
static span_us least(const struct plan *plan, const struct unit *unit)
{
	span_us min_us = plan->settings.min_run_us;

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
		choice->count = place_count(choice->node, unit->spec->per_vm, &until, unit->n);
		total += choice->count;
	}
	return total;
}

/*
 * Nodes for a run that something cuts short: those on which the unit can stay longest. Each limit_us is set to when the
 * node must be clear. False if there are not enough.
 */
static bool pick_cut(struct pass *pass, struct unit *unit, const struct run *run)
{
	struct choices *out = &pass->choices;
	struct run least_run = *run;
	size_t low = 0, high, n = 0;

	least_run.end_us = run->start_us + least(pass->plan, unit);
	least_run.release_us = least_run.end_us;
	place_list(pass->plan, unit, &least_run, out);
	for (size_t i = 0; i < out->count; i++) {
		struct choice choice = out->item[i];
		struct capacity limit = place_limit(choice.node, unit->spec->per_vm);
		choice.until_us = slots_until(choice.node->slots, limit, run->start_us);
		out->item[n++] = choice;
	}
	out->count = n;
	if (n == 0 || out->vms < unit->n) {
		return false;
	}
	qsort(out->item, n, sizeof(*out->item), latest_first);
	/* The fewer of the long-free nodes, the later the end: find the fewest that hold the unit. */
	for (high = n; low + 1 < high;) {
		size_t middle = (low + high) / 2;
		if (room_until(unit, out, middle, run, out->item[middle - 1].until_us) >= unit->n) {
			high = middle;
		} else {
			low = middle;
		}
	}
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
static bool book_cut(struct plan *plan, struct unit *unit, struct run run)
{
	wall_us from_us = run.start_us > plan->now_us ? run.start_us : plan->now_us + plan->settings.lead_us;

	run.then = RUN_SUSPEND;
	run.end_us = preempt_end(plan, unit);
	if (run.end_us - from_us < least(plan, unit) || run.end_us >= run.start_us + unit->left_us) {
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

/* Books a queued unit to boot and start at start_us, or as soon after it as its image allows. */
static bool boot_at(struct pass *pass, struct unit *unit, wall_us start_us)
{
	struct plan *plan = pass->plan;
	struct choices *choices = &pass->choices;

	pass->no_room = false;
	for (int i = 0; i < STAGE_TRIES; i++) {
		struct run run = boot_run(plan, unit, start_us);
		place_list(plan, unit, &run, choices);
		bool whole = place_pick(plan, choices, unit->n);
		if (!whole && (!place_may_cut(plan, unit->spec) || !pick_cut(pass, unit, &run))) {
			pass->no_room = i == 0;
			break;
		}
		wall_us ready_us = prep_append(plan, unit->spec->image, place_nodes(plan, choices), choices->count);
		if (ready_us > run.prepare_us) {
			start_us = ready_us + plan->settings.prepare_us;
			continue;
		}
		place_seat(plan, unit, choices);
		if (whole ? place_book(plan, unit, &run) : book_cut(plan, unit, run)) {
			prep_trim(plan);
			return true;
		}
		break;
	}
	prep_trim(plan);
	return false;
}

/*
 * Sets restore_us on each seat's node to how long restoring takes there; the longest. The seats' nodes are their
 * guests' own.
 */
static span_us restore_span(const struct plan *plan, const struct unit *unit)
{
	span_us longest_us = 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->restore_us = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		node->restore_us +=
			estimate_resume(&plan->settings, &node->info, unit->spec->per_vm.amount[RES_MEMORY]);
		longest_us = node->restore_us > longest_us ? node->restore_us : longest_us;
	}
	return longest_us;
}

/* Sets count on each seat's node to how many of the unit's guests are there. */
static void count_seats(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->count = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->count++;
	}
}

/* Sets limit_us on each seat's node to when, from from_us on, something is in the way of the unit's guests there. */
static void limit_seats(const struct unit *unit, wall_us from_us)
{
	count_seats(unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		struct capacity use = capacity_scale(unit->spec->per_vm, node->count);
		node->limit_us = slots_until(node->slots, place_limit(node, use), from_us);
	}
}

/* Books a suspended unit to go on at start_us on its own nodes, or as soon after it as they can restore it. */
static bool resume_at(struct plan *plan, struct unit *unit, wall_us start_us)
{
	place_lift(plan, unit);
	start_us = preempt_restored(unit, start_us);
	struct run run = boot_run(plan, unit, start_us);
	run.from = RUN_RESUME;
	if (place_book(plan, unit, &run)) {
		return true;
	}
	if (place_may_cut(plan, unit->spec)) {
		limit_seats(unit, start_us);
		if (book_cut(plan, unit, run)) {
			return true;
		}
	}
	place_put_back(plan, unit);
	return false;
}

static int soonest_first(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	return x->until_us < y->until_us ? -1 : x->until_us > y->until_us;
}

/*
 * No start of the unit before this can succeed: each node's first time with room for one VM, taken in order until the
 * nodes, were they empty, would hold it.
 */
static wall_us boot_bound(struct pass *pass, const struct unit *unit, wall_us from_us)
{
	struct plan *plan = pass->plan;
	struct choices *list = &pass->choices;
	uint64_t most = 0;

	list->count = 0;
	for (size_t i = 0; i < plan->node_count; i++) {
		struct node *node = plan->nodes[i];
		uint32_t count = node_takes_new(node) ? place_most(plan, node, unit->spec, unit->n) : 0;
		if (count == 0) {
			continue;
		}
		list->item = plan_grow(list->item, list->count, &list->room, sizeof(*list->item));
		list->item[list->count++] = (struct choice){
			.node = node,
			.count = count,
			.until_us = slots_fit(node->slots, place_limit(node, unit->spec->per_vm), from_us,
					      least(plan, unit)),
		};
	}
	if (list->count) {
		qsort(list->item, list->count, sizeof(*list->item), soonest_first);
	}
	for (size_t i = 0; i < list->count; i++) {
		most += list->item[i].count;
		if (most >= unit->n) {
			return list->item[i].until_us;
		}
	}
	return WALL_NEVER;
}

/* The unit's earliest start, wherever that is; false if there is none. */
static bool reserve_boot(struct pass *pass, struct unit *unit)
{
	struct plan *plan = pass->plan;
	wall_us start_us = plan->now_us + plan->settings.lead_us + plan->settings.prepare_us;

	for (int i = 0; i < RESERVE_TRIES; i++) {
		start_us = boot_bound(pass, unit, start_us);
		if (start_us >= WALL_NEVER) {
			return false;
		}
		if (boot_at(pass, unit, start_us)) {
			return true;
		}
		/* Memory may be what is short, and is needed from the preparation on. */
		start_us = place_next(plan, start_us - plan->settings.prepare_us) + plan->settings.prepare_us;
	}
	return false;
}

static bool reserve_resume(struct plan *plan, struct unit *unit, span_us restore_us)
{
	wall_us start_us = plan->now_us + plan->settings.lead_us + restore_us;

	for (int i = 0; i < RESERVE_TRIES && start_us < WALL_NEVER; i++) {
		wall_us from_us = start_us;
		count_seats(unit);
		for (uint32_t s = 0; s < unit->n; s++) {
			struct node *node = unit->seat[s].node;
			struct capacity use = capacity_scale(unit->spec->per_vm, node->count);
			use.amount[RES_DISK] = 0; /* its HOLD has it already */
			start_us = slots_fit(node->slots, place_limit(node, use), start_us, least(plan, unit));
			if (start_us >= WALL_NEVER) {
				return false;
			}
		}
		if (start_us == from_us) {
			if (resume_at(plan, unit, start_us)) {
				return true;
			}
			start_us = place_next(plan, start_us - restore_us) + restore_us;
		}
	}
	return false;
}

static bool hopeless(const struct pass *pass, const struct unit *unit)
{
	for (size_t i = 0; i < pass->memo_count; i++) {
		const struct memo *memo = &pass->memo[i];
		if (memo->n <= unit->n && memo->span_us <= least(pass->plan, unit) &&
		    capacity_fits(memo->per_vm, unit->spec->per_vm)) {
			return true;
		}
	}
	return false;
}

/* Whether all of the unit's guests are in this state, planned or not. */
static bool all_in(const struct unit *unit, enum lease_state state, bool planned)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = unit->seat[i].guest->vm;
		if (vm->state != state || vm->planned != planned) {
			return false;
		}
	}
	return unit->n > 0;
}

/* How many that have to wait are promised not to be delayed by those after them. */
static uint32_t reservations(const struct plan_settings *settings)
{
	switch (settings->backfill) {
	case BACKFILL_NONE:
	case BACKFILL_AGGRESSIVE:
		return 1;
	case BACKFILL_FIRST_FIT:
		return 0;
	case BACKFILL_INTERMEDIATE:
		return settings->backfill_depth;
	case BACKFILL_CONSERVATIVE:
		break;
	}
	return UINT32_MAX;
}

/* One has to wait, and knows until when. Who fits nowhere at any time holds up nobody. */
static void reserved(struct pass *pass)
{
	pass->reservations--;
	pass->closed = pass->plan->settings.backfill == BACKFILL_NONE;
}

static void turn_boot(struct pass *pass, struct unit *unit)
{
	struct plan *plan = pass->plan;

	if (!hopeless(pass, unit)) {
		if (boot_at(pass, unit, plan->now_us + plan->settings.lead_us + plan->settings.prepare_us)) {
			return;
		}
		if (pass->no_room && pass->memo_count < MEMO_MAX) {
			pass->memo[pass->memo_count++] = (struct memo){unit->spec->per_vm, unit->n, least(plan, unit)};
		}
	}
	if (pass->reservations > 0 && reserve_boot(pass, unit)) {
		reserved(pass);
	}
}

static void turn_resume(struct pass *pass, struct unit *unit)
{
	struct plan *plan = pass->plan;

	for (uint32_t i = 0; i < unit->n; i++) {
		if (!node_takes_new(unit->seat[i].node)) {
			return;
		}
	}
	span_us restore_us = restore_span(plan, unit);
	if (resume_at(plan, unit, plan->now_us + plan->settings.lead_us + restore_us)) {
		return;
	}
	if (pass->reservations > 0 && reserve_resume(plan, unit, restore_us)) {
		reserved(pass);
	}
}

static void turn(struct pass *pass, struct contract *contract, struct guest *guest)
{
	struct unit unit;

	place_unit(contract, guest, &unit);
	if (all_in(&unit, LEASE_QUEUED, false)) {
		if (!pass->closed) {
			turn_boot(pass, &unit);
		}
	} else if (all_in(&unit, LEASE_SUSPENDED, false)) {
		if (!pass->closed) {
			turn_resume(pass, &unit);
		}
	} else {
		queue_refit(pass->plan, &unit);
	}
	free(unit.seat);
}

static void turn_of_all(struct pass *pass, struct contract *contract)
{
	if (!contract->lease.spec.serial) {
		turn(pass, contract, NULL);
		return;
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (!lease_state_final(contract->guest[i].vm->state)) {
			turn(pass, contract, &contract->guest[i]);
		}
	}
}

static int by_key(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->key != y->key) {
		return x->key < y->key ? -1 : 1;
	}
	return x->contract->lease.id < y->contract->lease.id ? -1 : 1;
}

/* The queue as the policy has it, in plan->order. */
static size_t sort_turns(struct plan *plan)
{
	struct contract *contract;
	size_t n = 0;

	RB_FOREACH (contract, turns, &plan->turns) {
		plan->order = plan_grow(plan->order, n, &plan->order_room, sizeof(*plan->order));
		plan->order[n++] = (struct turn){plan->settings.queue->key(plan, contract), contract};
	}
	if (n) {
		qsort(plan->order, n, sizeof(*plan->order), by_key);
	}
	return n;
}

void queue_pass(struct plan *plan)
{
	struct pass pass = {.plan = plan, .reservations = reservations(&plan->settings)};
	struct contract *contract;

	queue_drop(plan);
	if (plan->settings.queue->key) {
		size_t n = sort_turns(plan);
		for (size_t i = 0; i < n; i++) {
			turn_of_all(&pass, plan->order[i].contract);
		}
	} else {
		RB_FOREACH (contract, turns, &plan->turns) {
			turn_of_all(&pass, contract);
		}
	}
	free(pass.choices.item);
}

void queue_reserve(struct plan *plan, struct contract *contract)
{
	struct pass pass = {.plan = plan};
	struct unit unit;

	place_unit(contract, contract->lease.spec.serial ? &contract->guest[0] : NULL, &unit);
	if (all_in(&unit, LEASE_QUEUED, false)) {
		reserve_boot(&pass, &unit);
	}
	free(unit.seat);
	free(pass.choices.item);
}

bool queue_boot_now(struct plan *plan, struct unit *unit)
{
	struct pass pass = {.plan = plan};
	bool done = boot_at(&pass, unit, plan->now_us + plan->settings.lead_us + plan->settings.prepare_us);

	free(pass.choices.item);
	return done;
}

/* When the unit will have had all it is owed, if nothing cuts it; 0 if it cannot be changed now. */
static wall_us owed_until(const struct plan *plan, const struct unit *unit, bool *short_run)
{
	wall_us until_us = 0;

	*short_run = false;
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = unit->seat[i].guest->vm;
		const struct node *node = unit->seat[i].node;
		if (!vm->planned || node->info.state == NODE_SILENT || vm->state == LEASE_SUSPENDING ||
		    vm->state == LEASE_STOPPING || vm->run.end_us <= plan->now_us + plan->settings.lead_us) {
			return 0;
		}
		wall_us began_us = vm->started_us ? vm->started_us : vm->run.start_us;
		until_us = began_us + unit->left_us > until_us ? began_us + unit->left_us : until_us;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct run *run = &unit->seat[i].guest->vm->run;
		/* A start some milliseconds late is not worth telling every node anew. */
		*short_run = *short_run || run->then == RUN_SUSPEND || run->end_us + plan->settings.late_us < until_us;
	}
	return until_us;
}

void queue_refit(struct plan *plan, struct unit *unit)
{
	bool short_run;
	wall_us until_us = owed_until(plan, unit, &short_run);

	if (until_us == 0 || !short_run) {
		return;
	}
	struct run run = unit->seat[0].guest->vm->run;
	wall_us end_us = run.end_us;
	place_lift(plan, unit);
	run.then = RUN_STOP;
	run.end_us = until_us;
	run.release_us = until_us + plan->settings.stop_us;
	if (place_book(plan, unit, &run)) {
		return;
	}
	if (place_may_cut(plan, unit->spec)) {
		limit_seats(unit, run.start_us > plan->now_us ? run.start_us : plan->now_us);
		run.then = RUN_SUSPEND;
		run.end_us = preempt_end(plan, unit);
		if (run.end_us > end_us && run.end_us < until_us && place_book(plan, unit, &run)) {
			return;
		}
	}
	place_put_back(plan, unit);
}
