/* The simulated cluster's clock, its rows, and the mischief that happens to it. Guests are agents.c's. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "world_state.h"

#define HORIZON_US (60 * USEC_PER_DAY) /* whatever is not over by then never will be */
#define TWIN_STEPS 40

uint64_t world_random(struct world *world, uint64_t below)
{
	world->random ^= world->random >> 12; /* xorshift64*, Vigna 2016 */
	world->random ^= world->random << 25;
	world->random ^= world->random >> 27;
	return (world->random * UINT64_C(2685821657736338717) >> 11) % below;
}

bool world_chance(struct world *world, uint32_t per_mille)
{
	return world_random(world, 1000) < per_mille;
}

void *world_grow(void *items, size_t count, size_t *room, size_t size)
{
	if (count < *room) {
		return items;
	}
	*room = *room ? 2 * *room : 64;
	items = realloc(items, *room * size);
	if (!items) {
		abort();
	}
	return items;
}

void world_send(struct world *world, uint32_t id, const struct event *event)
{
	wall_us at_us = world->now_us + (wall_us)world_random(world, WORLD_DELAY_US);
	const struct world_node *node = &world->node[id];

	if (node->silent_us) {
		return; /* lost; all is said again when the node is back */
	}
	world->report = world_grow(world->report, world->report_count, &world->report_room, sizeof(*world->report));
	world->report[world->report_count++] = (struct world_report){at_us, ++world->last_report, *event};
}

void world_wrong(struct world *world, const char *what, uint64_t lease, uint32_t node)
{
	if (!world->wrong) {
		snprintf(world->text, sizeof(world->text), "%s (seed %llu, step %llu, at %.6f s, lease %llu, node %u)",
			 what, (unsigned long long)world->settings.seed, (unsigned long long)world->figures.steps,
			 (double)world->now_us / 1e6, (unsigned long long)lease, node);
		world->wrong = world->text;
	}
}

/* Rows, as the store would keep them. */

struct world_lease *world_lease_row(struct world *world, uint64_t id)
{
	struct world_lease *row;

	HASH_FIND(hh, world->leases, &id, sizeof(id), row);
	return row;
}

static void count_end(struct world *world, const struct world_lease *row)
{
	const struct lease *lease = &row->lease;

	world->figures.done += lease->state == LEASE_DONE;
	world->figures.failed += lease->state == LEASE_FAILED;
	world->figures.cancelled += lease->state == LEASE_CANCELLED;
	world->figures.rejected += lease->state == LEASE_REJECTED;
	bool called = lease->spec.kind == LEASE_OPEN && lease->reason.code != REASON_NOT_CALLED;
	bool promised = lease->spec.kind == LEASE_AR || lease->spec.kind == LEASE_DEADLINE || called;
	world->figures.calls += called && lease->first_start_us > 0;
	if (promised && lease->state != LEASE_REJECTED && !row->by_user) {
		world->figures.ars++;
		world->figures.ars_kept += row->vms_ran == lease->spec.vms;
	}
}

static void write_lease(struct world *world, const struct lease *lease)
{
	struct world_lease *row = world_lease_row(world, lease->id);

	if (!row) {
		row = calloc(1, sizeof(*row));
		row->id = lease->id;
		HASH_ADD(hh, world->leases, id, sizeof(row->id), row);
		row->lease.vms = calloc(lease->spec.vms ? lease->spec.vms : 1, sizeof(struct vm));
		world->figures.leases++;
		world->figures.accepted += lease->state != LEASE_REJECTED;
	} else if (lease_state_final(row->lease.state)) {
		world_wrong(world, "a final lease changed", lease->id, 0);
	}
	struct vm *vms = row->lease.vms;
	row->lease = *lease;
	row->lease.vms = vms;
	if (lease_state_final(lease->state)) {
		count_end(world, row);
	}
}

/* By what is in them: memory between that is anything. */
static bool same_run(const struct run *a, const struct run *b)
{
	return a->from == b->from && a->then == b->then && a->prepare_us == b->prepare_us &&
	       a->start_us == b->start_us && a->end_us == b->end_us && a->release_us == b->release_us &&
	       a->from_node == b->from_node && a->lodger == b->lodger;
}

/* True if a reservation's run stays as it was, unless its user wants another duration. */
static bool same_agreement(const struct world_lease *row, const struct run *old, const struct run *run)
{
	return old->from == run->from && old->then == run->then && old->prepare_us == run->prepare_us &&
	       old->start_us == run->start_us && run->end_us == run->start_us + row->lease.spec.duration_us &&
	       run->release_us - run->end_us == old->release_us - old->end_us;
}

static void write_vm(struct world *world, const struct vm *vm)
{
	struct world_lease *row = world_lease_row(world, vm->lease);

	if (!row || vm->index >= row->lease.spec.vms) {
		world_wrong(world, "a VM without a lease", vm->lease, vm->node);
		return;
	}
	struct vm *old = &row->lease.vms[vm->index];
	/* In one step a VM may go back to the queue and be planned anew. */
	if (old->state != vm->state && !lease_move_allowed(old->state, vm->state) &&
	    !(lease_move_allowed(old->state, LEASE_QUEUED) && lease_move_allowed(LEASE_QUEUED, vm->state))) {
		world_wrong(world, "a move that is not allowed", vm->lease, vm->node);
	}
	if (vm->planned && (!old->planned || !same_run(&old->run, &vm->run)) &&
	    vm->run.prepare_us < world->now_us + world->plan_settings.lead_us && !old->planned) {
		world_wrong(world, "a plan that begins too soon", vm->lease, vm->node);
	}
	if (row->lease.spec.kind == LEASE_AR && old->planned && vm->planned &&
	    (vm->node != old->node || vm->generation != old->generation || !same_agreement(row, &old->run, &vm->run))) {
		world_wrong(world, "an advance reservation moved", vm->lease, vm->node);
	}
	if (row->lease.spec.kind == LEASE_OPEN && vm->planned && !old->planned &&
	    vm->run.start_us > row->called_us + row->lease.spec.response_us) {
		world_wrong(world, "an open lease that would start too late", vm->lease, vm->node);
	}
	if (vm->generation < old->generation) {
		world_wrong(world, "a generation that went back", vm->lease, vm->node);
	}
	*old = *vm;
}

static void write_slot(struct world *world, const struct slot *slot, bool drop)
{
	struct world_slot *row;

	HASH_FIND(hh, world->slots, &slot->id, sizeof(slot->id), row);
	if (drop) {
		if (!row) {
			world_wrong(world, "a slot dropped that was not there", slot->lease, slot->node);
			return;
		}
		HASH_DEL(world->slots, row);
		free(row);
		return;
	}
	if (!row) {
		row = calloc(1, sizeof(*row));
		row->id = slot->id;
		HASH_ADD(hh, world->slots, id, sizeof(row->id), row);
		world->last_slot = slot->id > world->last_slot ? slot->id : world->last_slot;
	}
	if (row->slot.id && row->slot.start_us < world->now_us && row->slot.start_us != slot->start_us) {
		world_wrong(world, "a slot of the past rewritten", slot->lease, slot->node);
	}
	row->slot = *slot;
	if (slot->start_us >= slot->end_us) {
		world_wrong(world, "a slot of no length", slot->lease, slot->node);
	}
}

static void write_transfer(struct world *world, const struct transfer *transfer, bool drop)
{
	struct world_transfer *row;

	HASH_FIND(hh, world->transfers, &transfer->id, sizeof(transfer->id), row);
	if (drop) {
		if (!row) {
			world_wrong(world, "a transfer dropped that was not there", 0, transfer->node);
			return;
		}
		HASH_DEL(world->transfers, row);
		free(row);
		return;
	}
	if (!row) {
		row = calloc(1, sizeof(*row));
		row->id = transfer->id;
		HASH_ADD(hh, world->transfers, id, sizeof(row->id), row);
		world->last_transfer = transfer->id > world->last_transfer ? transfer->id : world->last_transfer;
	}
	row->transfer = *transfer;
}

static void write_estimate(struct world *world, const struct estimate *estimate)
{
	struct world_estimate *row;
	uint64_t key =
		((uint64_t)estimate->memory * ESTIMATE_COUNT + estimate->what) * (WORLD_NODES_MAX + 1) + estimate->node;

	HASH_FIND(hh, world->estimates, &key, sizeof(key), row);
	if (!row) {
		row = calloc(1, sizeof(*row));
		row->key = key;
		HASH_ADD(hh, world->estimates, key, sizeof(row->key), row);
	}
	row->row = *estimate;
}

static void deliver_soon(struct world *world, uint32_t id)
{
	struct world_node *node = &world->node[id];
	wall_us at_us = world->now_us + (wall_us)world_random(world, WORLD_DELAY_US);

	if (at_us < node->deliver_us) {
		node->deliver_us = at_us;
	}
}

/* True where nothing goes wrong, and by a strategy of staging that promises images in time. */
static bool promises_hold(const struct world *world)
{
	return !world->settings.faults && world->plan_settings.staging <= STAGING_EDF;
}

static void apply(struct world *world)
{
	world->wake_us = WALL_NEVER;
	for (size_t i = 0; i < world->actions.count; i++) {
		const struct action *action = &world->actions.item[i];
		switch (action->kind) {
		case ACTION_LEASE:
			write_lease(world, action->lease);
			world->answers++;
			break;
		case ACTION_VM:
			write_vm(world, action->vm);
			break;
		case ACTION_SLOT:
		case ACTION_SLOT_DROP:
			write_slot(world, &action->slot, action->kind == ACTION_SLOT_DROP);
			break;
		case ACTION_TRANSFER:
		case ACTION_TRANSFER_DROP:
			write_transfer(world, &action->transfer, action->kind == ACTION_TRANSFER_DROP);
			break;
		case ACTION_ESTIMATE:
			write_estimate(world, &action->estimate);
			break;
		case ACTION_PROMISE_BROKEN:
			world->figures.broken++;
			if (promises_hold(world)) {
				world_wrong(world, "a promise broken without a fault", action->lease->id, 0);
			}
			break;
		case ACTION_NODE_PLAN:
			deliver_soon(world, action->node);
			break;
		case ACTION_WAKE:
			world->wake_us = action->wake_us;
			break;
		case ACTION_REFUSED:
			world->answers++;
			break;
		case ACTION_MOVED:
		case ACTION_KIND_COUNT:
			break;
		}
	}
}

/* A planner rebuilt from the rows. */
static struct plan *rebuild(struct world *world)
{
	struct plan *plan = plan_new(&world->plan_settings);
	struct world_lease *lease, *next_lease;
	struct world_slot *slot, *next_slot;
	struct world_estimate *estimate, *next_estimate;
	struct world_transfer *transfer, *next_transfer;

	for (size_t i = 0; i < WORLD_IMAGES; i++) {
		if (world->image[i].there) {
			uint64_t id = world->image[i].id;
			plan_restore_image(plan, &(struct image_info){id, world->image_size[id]});
		}
	}
	for (uint32_t n = 1; n <= world->settings.nodes; n++) {
		plan_restore_node(plan, &world->node[n].info);
		for (uint64_t i = 1; i <= world->last_image; i++) {
			if (world->node[n].pool[i]) {
				plan_restore_pool(plan, n, i);
			}
		}
	}
	HASH_ITER (hh, world->leases, lease, next_lease) {
		if (!lease_state_final(lease->lease.state)) {
			plan_restore_lease(plan, &lease->lease);
		}
	}
	HASH_ITER (hh, world->slots, slot, next_slot) {
		if (slot->slot.end_us > world->now_us ||
		    !lease_state_final(world_lease_row(world, slot->slot.lease)->lease.state)) {
			plan_restore_slot(plan, &slot->slot);
		}
		const struct lease *owner = &world_lease_row(world, slot->slot.lease)->lease;
		if (lease_state_final(owner->state)) {
			plan_restore_use(plan, owner->spec.user, &slot->slot);
		}
	}
	HASH_ITER (hh, world->transfers, transfer, next_transfer) {
		plan_restore_transfer(plan, &transfer->transfer);
	}
	HASH_ITER (hh, world->estimates, estimate, next_estimate) {
		plan_restore_estimate(plan, &estimate->row);
	}
	plan_restore_ids(plan, world->last_slot, world->last_transfer);
	if (plan_restored(plan)) {
		world_wrong(world, "rows that contradict each other", 0, 0);
	}
	return plan;
}

static bool same_vm(const struct vm *a, const struct vm *b)
{
	return a->lease == b->lease && a->index == b->index && a->state == b->state && a->node == b->node &&
	       a->generation == b->generation && a->planned == b->planned && a->served_us == b->served_us &&
	       a->started_us == b->started_us && same_run(&a->run, &b->run);
}

static bool same_action(const struct action *a, const struct action *b)
{
	if (a->kind != b->kind) {
		return false;
	}
	switch (a->kind) {
	case ACTION_LEASE:
	case ACTION_PROMISE_BROKEN:
		return a->lease->id == b->lease->id && a->lease->state == b->lease->state &&
		       a->lease->first_start_us == b->lease->first_start_us &&
		       a->lease->spec.start_us == b->lease->spec.start_us &&
		       a->lease->spec.duration_us == b->lease->spec.duration_us &&
		       memcmp(&a->lease->reason, &b->lease->reason, sizeof(a->lease->reason)) == 0;
	case ACTION_VM:
		return same_vm(a->vm, b->vm);
	case ACTION_SLOT:
	case ACTION_SLOT_DROP:
		return a->slot.id == b->slot.id && a->slot.kind == b->slot.kind &&
		       a->slot.start_us == b->slot.start_us && a->slot.end_us == b->slot.end_us &&
		       a->slot.node == b->slot.node;
	case ACTION_TRANSFER:
	case ACTION_TRANSFER_DROP:
		return memcmp(&a->transfer, &b->transfer, sizeof(a->transfer)) == 0;
	case ACTION_ESTIMATE:
		return memcmp(&a->estimate, &b->estimate, sizeof(a->estimate)) == 0;
	case ACTION_MOVED:
		return a->moved.lease == b->moved.lease && a->moved.from == b->moved.from && a->moved.to == b->moved.to;
	case ACTION_REFUSED:
		return a->refused.lease == b->refused.lease &&
		       memcmp(&a->refused.reason, &b->refused.reason, sizeof(a->refused.reason)) == 0;
	case ACTION_NODE_PLAN:
		return a->node == b->node;
	case ACTION_WAKE:
		return a->wake_us == b->wake_us;
	case ACTION_KIND_COUNT:
		break;
	}
	return false;
}

static void compare(struct world *world)
{
	bool same = world->actions.count == world->twin_actions.count;

	for (size_t i = 0; i < world->actions.count && same; i++) {
		same = same_action(&world->actions.item[i], &world->twin_actions.item[i]);
	}
	if (!same) {
		world_wrong(world, "after a restart it decides otherwise", 0, 0);
	}
}

void world_step(struct world *world, const struct event *event)
{
	struct check_fault fault = {0};

	world->figures.steps++;
	plan_step(world->plan, event, 1, world->now_us, &world->actions);
	if (world->twin) {
		plan_step(world->twin, event, 1, world->now_us, &world->twin_actions);
		compare(world);
	}
	apply(world);
	if (check_plan(world->plan, &fault)) {
		char what[64];
		snprintf(what, sizeof(what), "invariant %s", check_rule_name(fault.rule));
		world_wrong(world, what, fault.lease, fault.node);
	}
	if (world->twin && --world->twin_steps == 0) {
		/* From here on the restarted one goes on alone. */
		plan_free(world->plan);
		world->plan = world->twin;
		world->twin = NULL;
	}
	bool built = world->figures.steps > WORLD_IMAGES + world->settings.nodes;
	if (built && !world->twin && world_chance(world, 5)) {
		world->twin = rebuild(world);
		world->twin_steps = TWIN_STEPS;
		world->figures.restarts++;
	}
}

/* One of the policies of that kind, the default one as often as all others together. */
static const char *choose(struct world *world, enum policy_set set)
{
	size_t n = 0;

	while (policy_name(set, n)) {
		n++;
	}
	return policy_name(set, world_chance(world, 500) ? 0 : world_random(world, n));
}

void world_switch(struct world *world)
{
	plan_free(world->twin);
	world->twin = NULL;
	bool trial = world->plan_settings.queue->restages;
	world->plan_settings.queue = policy_queue(trial ? choose(world, POLICY_QUEUE) : "trial");
	struct plan *plan = rebuild(world);
	plan_free(world->plan);
	world->plan = plan;
}

void world_step_node(struct world *world, uint32_t id, enum node_state state)
{
	struct event event = {.kind = EVENT_NODE};

	world->node[id].info.state = state;
	event.node = world->node[id].info;
	world_step(world, &event);
}

void world_add_image(struct world *world, struct world_image *image)
{
	struct event event = {.kind = EVENT_IMAGE_ADDED};

	image->id = ++world->last_image;
	image->there = true;
	world->image_size[image->id] = (int64_t)(1 + world_random(world, 20)) * INT64_C(100000000);
	event.image = (struct image_info){image->id, world->image_size[image->id]};
	world_step(world, &event);
}

void world_remove_image(struct world *world, struct world_image *image)
{
	image->there = false;
	world->figures.removals++;
	world_step(world, &(struct event){.kind = EVENT_IMAGE_REMOVED, .image_removed = image->id});
}

void world_step_pool(struct world *world, enum event_kind kind, uint32_t node, uint64_t image)
{
	struct event event = {.kind = kind};

	world->node[node].pool[image] = kind == EVENT_IMAGE_PRESENT;
	event.pool.node = node;
	event.pool.image = image;
	world_step(world, &event);
}

static wall_us earlier(wall_us a, wall_us b)
{
	return a < b ? a : b;
}

/* Nodes that are back, parts that arrive. */
static void nodes_act(struct world *world)
{
	for (uint32_t n = 1; n <= world->settings.nodes; n++) {
		struct world_node *node = &world->node[n];
		if (node->silent_us && node->silent_us <= world->now_us) {
			node->silent_us = 0;
			world_step_node(world, n, NODE_UP);
			agents_repeat(world, n);
			deliver_soon(world, n);
		}
		if (node->deliver_us <= world->now_us && !node->silent_us) {
			node->deliver_us = WALL_NEVER;
			agents_deliver(world, n);
		}
	}
}

static struct world_fetch *find_fetch(const struct world *world, const struct transfer *transfer)
{
	for (size_t i = 0; i < world->fetch_count; i++) {
		if (world->fetch[i].node == transfer->node && world->fetch[i].image == transfer->image) {
			return &world->fetch[i];
		}
	}
	return NULL;
}

/* Begins transfers whose time has come, and ends those that are through. */
static void fetches_act(struct world *world)
{
	struct world_transfer *row, *next;

	HASH_ITER (hh, world->transfers, row, next) {
		const struct transfer *t = &row->transfer;
		if (t->state != TRANSFER_PLANNED) {
			/* History is not looked at again here. */
			HASH_DEL(world->transfers, row);
			free(row);
			continue;
		}
		struct world_fetch *fetch = find_fetch(world, t);
		if (t->start_us <= world->now_us && fetch && fetch->transfer != t->id) {
			/* What was begun over a slower link, and given up meanwhile, comes as the new one would. */
			fetch->transfer = t->id;
			fetch->at_us = earlier(fetch->at_us, t->end_us);
		}
		if (t->start_us > world->now_us || fetch || world->node[t->node].silent_us) {
			continue;
		}
		span_us span = t->end_us - t->start_us;
		span = span / 2 + (span_us)world_random(world, (uint64_t)span / 2 + 1);
		if (world->settings.faults && world_chance(world, 100)) {
			span = (span + USEC_PER_SEC) * (span_us)(1 + world_random(world, 8));
		}
		world->fetch = world_grow(world->fetch, world->fetch_count, &world->fetch_room, sizeof(*world->fetch));
		world->fetch[world->fetch_count++] = (struct world_fetch){
			.transfer = t->id,
			.node = t->node,
			.image = t->image,
			.at_us = world->now_us + span,
			.fails = world->settings.faults && world_chance(world, 10),
		};
	}
	for (size_t i = 0; i < world->fetch_count;) {
		struct world_fetch fetch = world->fetch[i];
		if (fetch.at_us > world->now_us || world->node[fetch.node].silent_us) {
			i++;
			continue;
		}
		world->fetch[i] = world->fetch[--world->fetch_count];
		world_step_pool(world, fetch.fails ? EVENT_TRANSFER_FAILED : EVENT_IMAGE_PRESENT, fetch.node,
				fetch.image);
	}
}

static void reports_act(struct world *world)
{
	for (;;) {
		struct world_report *first = NULL;
		for (size_t i = 0; i < world->report_count; i++) {
			struct world_report *report = &world->report[i];
			if (report->at_us <= world->now_us &&
			    (!first || report->at_us < first->at_us ||
			     (report->at_us == first->at_us && report->order < first->order))) {
				first = report;
			}
		}
		if (!first) {
			return;
		}
		struct event event = first->event;
		*first = world->report[--world->report_count];
		world_step(world, &event);
	}
}

static wall_us next_time(const struct world *world, bool arrivals)
{
	wall_us next_us = earlier(world->wake_us, agents_next(world));
	const struct world_transfer *row;

	if (arrivals) {
		next_us = earlier(next_us, earlier(world->arrival_us, world->mischief_us));
	}
	for (uint32_t n = 1; n <= world->settings.nodes; n++) {
		const struct world_node *node = &world->node[n];
		next_us = earlier(next_us, node->silent_us ? node->silent_us : node->deliver_us);
	}
	for (size_t i = 0; i < world->report_count; i++) {
		next_us = earlier(next_us, world->report[i].at_us);
	}
	for (size_t i = 0; i < world->fetch_count; i++) {
		if (!world->node[world->fetch[i].node].silent_us) {
			next_us = earlier(next_us, world->fetch[i].at_us);
		}
	}
	for (row = world->transfers; row; row = row->hh.next) {
		const struct transfer *t = &row->transfer;
		if (t->state == TRANSFER_PLANNED && !world->node[t->node].silent_us && !find_fetch(world, t)) {
			next_us = earlier(next_us, t->start_us);
		}
	}
	return next_us;
}

static void arrivals_act(struct world *world)
{
	if (world->arrival_us <= world->now_us) {
		visitors_arrive(world);
		world->arrival_us =
			world->now_us + (wall_us)world_random(world, (uint64_t)(120e6 / world->settings.load));
	}
	if (world->mischief_us <= world->now_us) {
		visitors_mischief(world);
		world->mischief_us = world->now_us + (wall_us)world_random(world, 20 * USEC_PER_SEC);
	}
}

static void turn(struct world *world, bool arrivals)
{
	wall_us next_us = next_time(world, arrivals);

	if (next_us >= WALL_NEVER) {
		world_wrong(world, "nothing will ever happen again", 0, 0);
		return;
	}
	world->now_us = next_us > world->now_us ? next_us : world->now_us;
	/* Ends before starts, and the nodes do not wait for the planner. */
	agents_act(world);
	nodes_act(world);
	agents_act(world);
	if (!world->settings.faults && !world->wrong && agents_check(world)) {
		world_wrong(world, agents_check(world), 0, 0);
	}
	fetches_act(world);
	reports_act(world);
	if (arrivals) {
		arrivals_act(world);
	}
	if (world->settings.removals) {
		visitors_catalogue(world);
	}
	if (world->wake_us <= world->now_us) {
		world_step(world, &(struct event){.kind = EVENT_TICK});
	}
}

static bool all_final(const struct world *world)
{
	for (const struct world_lease *row = world->leases; row; row = row->hh.next) {
		if (!lease_state_final(row->lease.state)) {
			return false;
		}
	}
	return true;
}

const char *world_run(struct world *world, uint64_t steps)
{
	while (!world->wrong && world->figures.steps < steps) {
		turn(world, true);
	}
	for (uint32_t n = 1; n <= world->settings.nodes && !world->wrong; n++) {
		/* Whole again, so that whatever waits can be done. */
		world->node[n].info.capacity.amount[RES_CPU] = 4000;
		if (!world->node[n].silent_us) {
			world_step_node(world, n, NODE_UP);
			agents_repeat(world, n);
		}
	}
	wall_us horizon_us = world->now_us + HORIZON_US;
	while (!world->wrong && !all_final(world)) {
		turn(world, false);
		if (world->now_us > horizon_us) {
			world_wrong(world, "a lease that never ends", 0, 0);
		}
	}
	if (!world->wrong && promises_hold(world) && world->figures.ars_kept != world->figures.ars) {
		world_wrong(world, "an advance reservation did not run as agreed", 0, 0);
	}
	return world->wrong;
}

const struct world_figures *world_figures(const struct world *world)
{
	return &world->figures;
}

struct world *world_new(const struct world_settings *settings)
{
	struct world *world = calloc(1, sizeof(*world));

	world->settings = *settings;
	world->random = settings->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	world->plan_settings = plan_defaults();
	world->plan_settings.suspension = settings->suspend ? SUSPENSION_ALL : SUSPENSION_NONE;
	if (settings->suspend && world_chance(world, 300)) {
		world->plan_settings.suspension = SUSPENSION_SERIAL;
	}
	world->plan_settings.backfill = (enum backfill)world_random(world, BACKFILL_CONSERVATIVE + 1);
	world->plan_settings.backfill_depth = 1 + (uint32_t)world_random(world, 3);
	world->plan_settings.queue = policy_queue(choose(world, POLICY_QUEUE));
	world->plan_settings.host = policy_host(choose(world, POLICY_HOST));
	world->plan_settings.victim = policy_victim(choose(world, POLICY_VICTIM));
	/* What a calm world is promised is exact; what was learnt is only likely. */
	world->plan_settings.migration = (enum migration)world_random(world, MIGRATION_FREE + 1);
	world->plan_settings.disks = (enum disks)(settings->seed % (DISKS_WHOLE + 1));
	if (world->plan_settings.migration == MIGRATION_YES && settings->seed / 2 % 2) {
		world->plan_settings.migration = MIGRATION_ASIDE;
	}
	world->plan_settings.learn = settings->faults && world_chance(world, 500);
	world->plan_settings.worth = world_chance(world, 400) ? 1 + (uint32_t)world_random(world, 3) : 0;
	world->plan_settings.exclusion = (enum exclusion)world_random(world, EXCLUSION_GLOBAL + 1);
	world->plan_settings.multicast = world_chance(world, 500);
	world->plan_settings.best_effort_rate = world_chance(world, 300) ? INT64_C(50000000) : 0;
	world->plan_settings.staging = (enum staging)world_random(world, STAGING_JOB + 1);
	world->plan_settings.stage_ahead_us = world_chance(world, 300) ? 0 : world->plan_settings.stage_ahead_us;
	world->plan_settings.share_half_us = 10 * 60 * USEC_PER_SEC;
	world->plan_settings.grace_us = 20 * USEC_PER_SEC;
	world->plan = plan_new(&world->plan_settings);
	world->now_us = 1000 * USEC_PER_SEC;
	world->arrival_us = world->now_us;
	world->mischief_us = world->now_us;
	world->wake_us = WALL_NEVER;
	for (size_t i = 0; i < WORLD_IMAGES; i++) {
		world_add_image(world, &world->image[i]);
	}
	for (uint32_t n = 1; n <= settings->nodes; n++) {
		world->node[n] = (struct world_node){.deliver_us = WALL_NEVER};
		world->node[n].info = (struct node_info){
			.id = n,
			.capacity = {.amount = {4000, (INT64_C(1) << 30) * (int64_t)(2 + world_random(world, 4)),
						INT64_C(100) << 30, 0, 0}},
			.pool_bytes = INT64_C(4000000000),
			.suspend_rate = 100000000,
			.resume_rate = 200000000,
			/* One in three enforces nothing. */
			.edf = {n % 3 ? 1 + n % 2 : 0, 900000, 5000 * n, 1000},
		};
		world_step_node(world, n, NODE_UP);
	}
	return world;
}

void world_free(struct world *world)
{
	struct world_lease *lease, *next_lease;
	struct world_slot *slot, *next_slot;
	struct world_estimate *estimate, *next_estimate;
	struct world_transfer *transfer, *next_transfer;

	HASH_ITER (hh, world->leases, lease, next_lease) {
		HASH_DEL(world->leases, lease);
		free(lease->lease.vms);
		free(lease);
	}
	HASH_ITER (hh, world->slots, slot, next_slot) {
		HASH_DEL(world->slots, slot);
		free(slot);
	}
	HASH_ITER (hh, world->transfers, transfer, next_transfer) {
		HASH_DEL(world->transfers, transfer);
		free(transfer);
	}
	HASH_ITER (hh, world->estimates, estimate, next_estimate) {
		HASH_DEL(world->estimates, estimate);
		free(estimate);
	}
	plan_free(world->plan);
	plan_free(world->twin);
	actions_fini(&world->actions);
	actions_fini(&world->twin_actions);
	free(world->body);
	free(world->fetch);
	free(world->report);
	free(world);
}
