/* Follows images on nodes, and asks the links for those that are needed. Moves no lease. */
#include "prep.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "estimate.h"
#include "link.h"
#include "pool.h"

/* The first of the node's stages that is not before the image. */
static size_t place_of(const struct node *node, uint64_t image)
{
	size_t low = 0, high = node->stage_count;
	size_t near = high ? image - node->stages[0].image : 0;

	/* Mostly there are no gaps. */
	if (near < high && node->stages[near].image == image) {
		return near;
	}
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (node->stages[middle].image < image) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct stage *prep_find(const struct node *node, uint64_t image)
{
	size_t i = place_of(node, image);

	return i < node->stage_count && node->stages[i].image == image ? node->stages[i].stage : NULL;
}

struct stage *prep_stage(struct plan *plan, struct node *node, uint64_t image)
{
	size_t i = place_of(node, image);

	if (i < node->stage_count && node->stages[i].image == image) {
		return node->stages[i].stage;
	}
	const struct image_info *info = plan_find_image(plan, image);
	struct stage *stage = calloc(1, sizeof(*stage));
	assert(stage);
	stage->node = node;
	stage->image = image;
	stage->size = info ? info->size : 0;
	node->stages = plan_grow(node->stages, node->stage_count, &node->stage_room, sizeof(*node->stages));
	memmove(&node->stages[i + 1], &node->stages[i], (node->stage_count - i) * sizeof(*node->stages));
	node->stages[i] = (struct stage_at){image, stage};
	node->stage_count++;
	return stage;
}

void prep_forget(struct stage *stage)
{
	struct node *node = stage->node;
	size_t i = place_of(node, stage->image);

	assert(!stage->users && !stage->flight && !stage->loose && stage->held_from_us == stage->held_until_us);
	node->stage_count--;
	memmove(&node->stages[i], &node->stages[i + 1], (node->stage_count - i) * sizeof(*node->stages));
	free(stage);
}

/* Where it is counted; NULL if it was removed. */
static uint32_t *copies_of(const struct plan *plan, uint64_t image)
{
	const struct image_info *info = plan_find_image(plan, image);

	return info ? &plan->copies[info - plan->images] : NULL;
}

uint32_t prep_copies(const struct plan *plan, uint64_t image)
{
	const uint32_t *copies = copies_of(plan, image);

	return copies ? *copies : 0;
}

void prep_set_present(struct plan *plan, struct stage *stage, bool present)
{
	uint32_t *copies = copies_of(plan, stage->image);

	if (stage->present != present && copies) {
		*copies = present ? *copies + 1 : *copies - 1;
	}
	stage->present = present;
}

bool prep_present(const struct node *node, uint64_t image)
{
	const struct stage *stage = prep_find(node, image);

	return stage && stage->present;
}

bool prep_needed(const struct plan *plan, const struct stage *stage)
{
	const struct guest *guest;

	if (stage->users == 0 || pool_rest_until(plan) > 0) {
		return stage->users > 0;
	}
	DL_FOREACH2(stage->guests, guest, stage_next)
	{
		if (guest->vm->planned || guest_stands_by(guest)) {
			return true;
		}
	}
	return false;
}

wall_us prep_ready(const struct node *node, uint64_t image)
{
	const struct stage *stage = prep_find(node, image);

	return stage ? stage_ready(stage) : WALL_NEVER;
}

bool prep_brings(const struct plan *plan, uint64_t image)
{
	for (int l = 0; l < LINKS; l++) {
		const struct link *link = &plan->link[l];
		for (size_t i = 0; i < link->count && link->item[i]->begun; i++) {
			if (link->item[i]->image == image) {
				return true;
			}
		}
	}
	return false;
}

bool prep_begun(const struct stage *stage)
{
	return stage->flight && stage->flight->begun;
}

bool prep_too_late(const struct node *node, uint64_t image, wall_us by_us)
{
	const struct stage *stage = prep_find(node, image);
	const struct flight *flight = stage ? stage->flight : NULL;

	return flight && flight->begun && flight->end_us > by_us && !flight->link->blind;
}

uint32_t prep_flights(const struct plan *plan, uint32_t nodes)
{
	return plan->settings.multicast && nodes > 1 ? 1 : nodes;
}

wall_us prep_earliest(struct plan *plan, const struct lease_spec *spec, uint32_t nodes)
{
	const struct image_info *info = plan_find_image(plan, spec->image);
	const struct link *link = link_of(plan, spec->kind == LEASE_BEST_EFFORT);

	return link_free_us(plan, link) + prep_flights(plan, nodes) * estimate_bytes(info->size, link->rate);
}

void stage_touch(struct plan *plan, struct stage *stage)
{
	if (stage->touched) {
		return;
	}
	stage->touched = true;
	stage->old = stage->transfer;
	plan->staged = plan_grow(plan->staged, plan->staged_count, &plan->staged_room, sizeof(*plan->staged));
	plan->staged[plan->staged_count++] = stage;
}

void prep_loosen(struct plan *plan, struct stage *stage)
{
	if (!stage->loose) {
		stage->loose = true;
		plan->loose = plan_grow(plan->loose, plan->loose_count, &plan->loose_room, sizeof(*plan->loose));
		plan->loose[plan->loose_count++] = stage;
	}
}

static bool best_effort(const struct guest *guest)
{
	return guest->contract->lease.spec.kind == LEASE_BEST_EFFORT;
}

/* True if the guest is to boot: if its image is not there, it waits for it. */
static bool waits(const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	if (guest_stands_by(guest)) {
		return true;
	}
	switch (vm->state) {
	case LEASE_SCHEDULED:
	case LEASE_PREPARING:
		return vm->planned;
	case LEASE_SUSPENDED:
	case LEASE_MIGRATING:
	case LEASE_RESUMING:
		return vm->planned && !vm->started_us; /* elsewhere, or where it was evicted */
	case LEASE_NEW:
	case LEASE_REJECTED:
	case LEASE_QUEUED:
	case LEASE_READY:
	case LEASE_STANDBY:
	case LEASE_ACTIVE:
	case LEASE_SUSPENDING:
	case LEASE_STOPPING:
	case LEASE_DONE:
	case LEASE_CANCELLED:
	case LEASE_FAILED:
	case LEASE_STATE_COUNT:
		break;
	}
	return false;
}

static bool promised(const struct guest *guest)
{
	return !best_effort(guest) && waits(guest);
}

bool prep_awaited(const struct stage *stage)
{
	const struct guest *guest;

	DL_FOREACH2(stage->guests, guest, stage_next)
	{
		const struct vm *vm = guest->vm;
		if (waits(guest) || (vm->planned && vm->run.from_node && !vm->started_us)) {
			return true;
		}
	}
	return false;
}

wall_us prep_deadline(const struct stage *stage)
{
	wall_us deadline_us = WALL_NEVER;
	const struct guest *guest;

	DL_FOREACH2(stage->guests, guest, stage_next)
	{
		if (promised(guest) && guest->vm->run.prepare_us < deadline_us) {
			deadline_us = guest->vm->run.prepare_us;
		}
	}
	return deadline_us;
}

static wall_us until_of(const struct plan *plan, const struct stage *stage)
{
	wall_us until_us = stage->leaving ? pool_rest_until(plan) : 0; /* they may have to come back */
	const struct guest *guest;

	DL_FOREACH2(stage->guests, guest, stage_next)
	{
		wall_us each_us = pool_guest_until(plan, guest);
		until_us = each_us > until_us ? each_us : until_us;
	}
	return until_us;
}

void prep_use(struct plan *plan, struct node *node, struct guest *guest)
{
	struct stage *stage = prep_stage(plan, node, guest->contract->lease.spec.image);
	wall_us until_us = pool_guest_until(plan, guest);

	guest->stage = stage;
	DL_APPEND2(stage->guests, guest, stage_prev, stage_next);
	stage->users++;
	stage->riders += best_effort(guest) && guest->vm->planned;
	stage->until_us = until_us > stage->until_us ? until_us : stage->until_us;
	pool_hold(stage);
	if (!stage->flight || plan->restoring) {
		return;
	}
	stage->flight->shown = false;
	if (promised(guest) && guest->vm->run.prepare_us < stage->transfer.deadline_us) {
		flight_need(plan, stage, guest->vm->run.prepare_us);
	}
}

void prep_leave(struct plan *plan, struct guest *guest)
{
	struct stage *stage = guest->stage;
	struct flight *flight = stage->flight;

	assert(stage->users > 0);
	DL_DELETE2(stage->guests, guest, stage_prev, stage_next);
	guest->stage = NULL;
	stage->users--;
	stage->riders -= best_effort(guest) && guest->vm->planned;
	if (pool_guest_until(plan, guest) >= stage->until_us) {
		stage->until_us = until_of(plan, stage);
	}
	pool_hold(stage);
	if (!flight) {
		return;
	}
	prep_loosen(plan, stage);
	if (promised(guest) && guest->vm->run.prepare_us <= stage->transfer.deadline_us) {
		wall_us was_us = flight->deadline_us;
		flight_need(plan, stage, prep_deadline(stage));
		flight->link->stale = flight->link->stale || (flight->deadline_us > was_us && !flight->begun);
	}
}

void prep_keep(struct plan *plan, struct node *node, struct guest *guest)
{
	struct stage *stage = prep_stage(plan, node, guest->contract->lease.spec.image);

	guest->old_stage = stage;
	stage->users++;
	stage->leaving++;
	stage->until_us = until_of(plan, stage);
	pool_hold(stage);
}

void prep_let_go(struct plan *plan, struct guest *guest)
{
	struct stage *stage = guest->old_stage;

	guest->old_stage = NULL;
	stage->users--;
	stage->leaving--;
	stage->until_us = until_of(plan, stage);
	pool_hold(stage);
	if (stage->flight) {
		prep_loosen(plan, stage);
	}
}

/* True if there is no room for the image from where its flight is until the last has done with it. */
static bool misplaced(const struct stage *stage)
{
	return stage->flight && !stage->flight->begun && pool_conflicts(stage);
}

/* The stage is looked at for a run that may come to be. */
static void mean(struct plan *plan, struct stage *stage, const struct run *run)
{
	wall_us until_us = pool_run_until(plan, run);

	stage->meant_us = until_us > stage->meant_us ? until_us : stage->meant_us;
	prep_loosen(plan, stage);
	if (misplaced(stage)) {
		/* Those it was for had left, and it went where it is for nobody's sake. */
		flight_leave(plan, stage);
	}
	pool_hold(stage);
}

/*
 * A flight for a stage that has none: with multicast the one others were just given, or one that may be joined, if the
 * node has room from then on; else a new one.
 */
static void find_flight(struct plan *plan, struct stage *stage, struct link *link, wall_us by_us, struct flight **fresh)
{
	struct flight *flight = NULL;

	if (plan->settings.multicast) {
		struct flight *other = *fresh ? *fresh : link_share(link, stage->image, by_us);
		bool placed = other && other->start_us < WALL_NEVER;
		wall_us at_us = other ? other->start_us : 0;
		bool full = placed && pool_free_from(stage, at_us, flight_holds(other, stage)) > at_us;
		flight = full ? NULL : other;
	}
	if (!flight) {
		flight = flight_new(link, stage->image, stage->size);
		*fresh = flight;
	}
	flight_board(plan, flight, stage, WALL_NEVER);
}

/* When a flight goes that has no regard for others. */
static wall_us blind_start(const struct plan *plan, const struct flight *flight, const struct run *run)
{
	switch (plan->settings.staging) {
	case STAGING_JIT:
		return run->prepare_us - flight->length_us;
	case STAGING_JOB:
		return run->start_us;
	case STAGING_EDF_JIT:
	case STAGING_EDF:
	case STAGING_AGGRESSIVE:
		break;
	}
	return plan->now_us;
}

/* Puts the flights of these nodes where they are in time; false if one has begun and is not. */
static bool place_all(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, const struct run *run)
{
	for (size_t i = 0; i < n; i++) {
		struct flight *flight = prep_find(nodes[i], image)->flight;
		if (!flight) {
			continue;
		}
		if (flight->link->blind) {
			if (!flight->begun) {
				link_place_blind(plan, flight, blind_start(plan, flight, run));
			}
		} else if (flight->end_us > run->prepare_us) {
			if (flight->begun || flight->link != &plan->link[0]) {
				return false;
			}
			flight->link->stale = flight->link->stale || !link_place(plan, flight);
		}
	}
	prep_layout(plan);
	return true;
}

bool prep_promise(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, const struct run *run)
{
	struct link *link = &plan->link[0];
	struct flight *fresh = NULL;

	prep_layout(plan);
	size_t late = link->late;
	link_mark(plan);
	for (size_t i = 0; i < n; i++) {
		struct stage *stage = prep_stage(plan, nodes[i], image);
		mean(plan, stage, run);
		if (stage->present) {
			continue;
		}
		if (!stage->flight) {
			find_flight(plan, stage, link, run->prepare_us, &fresh);
		}
		if (run->prepare_us < stage->transfer.deadline_us) {
			flight_need(plan, stage, run->prepare_us);
		}
	}
	bool ok = place_all(plan, image, nodes, n, run);
	link_mark_end(plan);
	if (ok && (link->late <= late || link->blind)) {
		return true;
	}
	prep_withdraw(plan, image, nodes, n);
	return false;
}

void prep_withdraw(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n)
{
	link_undo(plan);
	for (size_t i = 0; i < n; i++) {
		struct stage *stage = prep_find(nodes[i], image);
		if (stage && stage->flight) {
			flight_need(plan, stage, prep_deadline(stage));
		}
	}
	prep_trim(plan);
}

/* What was brought ahead of time makes way for those who wait. */
static void make_way(struct plan *plan, struct link *link)
{
	if (!link->laid && plan->settings.staging == STAGING_EDF_JIT && plan->settings.stage_ahead_us > 0) {
		link_layout(plan, link);
	}
}

wall_us prep_append(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, const struct run *run,
		    wall_us from_us)
{
	struct link *link = link_of(plan, true);
	struct flight *fresh = NULL;
	wall_us ready_us = 0;

	for (size_t i = 0; i < n; i++) {
		struct stage *stage = prep_stage(plan, nodes[i], image);
		if (misplaced(stage) && prep_awaited(stage)) {
			return WALL_NEVER; /* who lies there needs it for longer than others left room for */
		}
		mean(plan, stage, run);
		if (!stage->present && !stage->flight) {
			make_way(plan, link);
			find_flight(plan, stage, link, WALL_NEVER, &fresh);
		}
	}
	for (size_t i = 0; i < n; i++) {
		struct flight *flight = prep_find(nodes[i], image)->flight;
		if (!flight) {
			continue;
		}
		if (flight->start_us == WALL_NEVER) {
			link_append(plan, flight, from_us);
		} else {
			link_hasten(plan, flight);
		}
		ready_us = flight->end_us > ready_us ? flight->end_us : ready_us;
	}
	return ready_us;
}

static void keep(struct plan *plan, struct flight *flight, bool kept)
{
	struct stage *stage;

	flight->kept = kept;
	DL_FOREACH (flight->stages, stage) {
		stage_touch(plan, stage);
		prep_loosen(plan, stage);
		pool_hold(stage);
	}
}

static bool all_awaited(const struct flight *flight)
{
	const struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		if (!prep_awaited(stage)) {
			return false;
		}
	}
	return true;
}

void prep_review(struct plan *plan, struct flight *flight)
{
	bool wanted = !all_awaited(flight);
	const struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		wanted = wanted && (prep_awaited(stage) || pool_within(plan, stage->node));
	}
	if (!wanted) {
		keep(plan, flight, false);
	}
}

void prep_keep_going(struct plan *plan, struct stage *stage)
{
	if (stage && stage->flight && stage->flight->begun && !stage->flight->kept && node_takes_new(stage->node)) {
		keep(plan, stage->flight, true);
		if (!pool_within(plan, stage->node)) {
			keep(plan, stage->flight, false);
		}
	}
}

void prep_moved_on(struct plan *plan, struct stage *stage)
{
	if (!prep_awaited(stage)) {
		prep_loosen(plan, stage);
		prep_keep_going(plan, stage);
	}
}

void prep_still_going(struct plan *plan)
{
	for (int l = 0; l < LINKS; l++) {
		struct link *link = &plan->link[l];
		for (size_t i = 0; i < link->count && link->item[i]->begun; i++) {
			struct flight *flight = link->item[i];
			const struct stage *stage;
			if (flight->kept || all_awaited(flight)) {
				continue;
			}
			keep(plan, flight, true);
			DL_FOREACH (flight->stages, stage) {
				pool_owe(plan, stage->node);
			}
		}
	}
}

/* What has begun is looked at when the step ends: until then somebody else may come to want it. */
static void trim(struct plan *plan, bool ends)
{
	size_t left = 0;

	for (size_t i = 0; i < plan->loose_count; i++) {
		struct stage *stage = plan->loose[i];
		struct flight *flight = stage->flight;
		bool stays = !flight || (flight->kept && link_lasting(plan, flight));
		stage->meant_us = 0;
		stage->loose = !stays && flight->begun && !ends;
		if (stage->loose) {
			plan->loose[left++] = stage;
		} else if (!stays && flight->kept) {
			prep_review(plan, flight);
		}
		if (!stays && !stage->loose && !flight->kept && !prep_awaited(stage)) {
			flight_leave(plan, stage);
		}
		pool_hold(stage);
	}
	plan->loose_count = left;
}

void prep_trim(struct plan *plan)
{
	trim(plan, false);
	prep_layout(plan);
}

void prep_layout(struct plan *plan)
{
	for (int l = 0; l < LINKS; l++) {
		if (plan->link[l].stale) {
			link_layout(plan, &plan->link[l]);
		}
	}
}

void prep_ahead(struct plan *plan)
{
	trim(plan, true);
	prep_layout(plan);
	link_place_rest(plan, &plan->link[0]);
	link_place_rest(plan, &plan->link[1]);
	if (plan->link[0].changed) {
		link_ahead(plan, &plan->link[0]);
	}
}

void prep_settle(struct plan *plan)
{
	for (int l = 0; l < LINKS; l++) {
		plan->link[l].changed = false;
		plan->link[l].laid = false;
	}
}

void prep_rollback(struct plan *plan)
{
	for (size_t i = 0; i < plan->staged_count; i++) {
		if (plan->staged[i]->flight) {
			flight_leave(plan, plan->staged[i]);
		}
	}
	for (size_t i = 0; i < plan->staged_count; i++) {
		struct stage *stage = plan->staged[i];
		stage->transfer = stage->old;
		if (stage->old.id && stage->old.state == TRANSFER_PLANNED) {
			link_restore(plan, stage, &stage->old);
		}
	}
	prep_still_going(plan);
	for (size_t i = 0; i < plan->loose_count; i++) {
		struct stage *stage = plan->loose[i];
		stage->meant_us = 0;
		stage->loose = false;
		pool_hold(stage);
	}
	plan->loose_count = 0;
	for (int l = 0; l < LINKS; l++) {
		plan->link[l].stale = false;
	}
}
