/* What happens to the simulated cluster from outside: requests, changes of mind, and trouble with nodes. */
#include <string.h>

#include "world_state.h"

static enum lease_kind any_kind(struct world *world)
{
	static const enum lease_kind kinds[] = {
		LEASE_AR,          LEASE_AR,          LEASE_AR,          LEASE_AR,
		LEASE_BEST_EFFORT, LEASE_BEST_EFFORT, LEASE_BEST_EFFORT, LEASE_BEST_EFFORT,
		LEASE_IMMEDIATE,   LEASE_DEADLINE,    LEASE_OPEN,
	};

	return kinds[world_random(world, sizeof(kinds) / sizeof(kinds[0]))];
}

/* When it may start, and must end. */
static void draw_times(struct world *world, struct lease_spec *spec)
{
	if (spec->kind == LEASE_AR || (spec->kind == LEASE_DEADLINE && world_chance(world, 600))) {
		spec->start_us = world->now_us + (wall_us)(5 + world_random(world, 300)) * USEC_PER_SEC;
	}
	if (spec->kind == LEASE_AR && world_chance(world, 300)) {
		spec->latest_us = spec->start_us + (wall_us)world_random(world, 300) * USEC_PER_SEC;
	}
	if (spec->kind == LEASE_OPEN) {
		spec->start_us = world->now_us + (wall_us)world_random(world, 100) * USEC_PER_SEC;
		spec->latest_us = spec->start_us + (wall_us)(1 + world_random(world, 300)) * USEC_PER_SEC;
		spec->response_us =
			(span_us)(6 + world_random(world, world_chance(world, 500) ? 10 : 60)) * USEC_PER_SEC;
	}
	if (spec->kind == LEASE_DEADLINE) {
		wall_us from_us = spec->start_us > world->now_us ? spec->start_us : world->now_us;
		span_us slack_us = (span_us)(5 + world_random(world, 600)) * USEC_PER_SEC;
		spec->deadline_us = from_us + spec->duration_us + slack_us;
	}
}

/* Some want their slices. */
static void draw_constraint(struct world *world, struct lease_spec *spec)
{
	if (world_chance(world, 250)) {
		spec->period_us = (span_us)(1 + world_random(world, 100)) * USEC_PER_MSEC;
		spec->slice_us = spec->period_us / 20 * (span_us)(1 + world_random(world, 18));
	}
}

static bool in_catalogue(const struct world *world, uint64_t image)
{
	for (size_t i = 0; i < WORLD_IMAGES; i++) {
		if (world->image[i].id == image) {
			return world->image[i].there;
		}
	}
	return false;
}

/* Where some are removed the last ones are wanted seldom. */
static struct world_image *any_image(struct world *world)
{
	return &world->image[world_random(world, world->settings.removals ? 1 + world_random(world, WORLD_IMAGES)
									  : WORLD_IMAGES)];
}

void visitors_arrive(struct world *world)
{
	struct event event = {.kind = EVENT_LEASE_REQUESTED};
	struct lease_spec *spec = &event.requested.spec;
	struct plan_answer answer;

	*spec = (struct lease_spec){
		.kind = any_kind(world),
		.vms = 1 + (uint32_t)world_random(world, world_chance(world, 200) ? 3 * world->settings.nodes : 4),
		.image = any_image(world)->id,
		.duration_us = (span_us)(5 + world_random(world, world_chance(world, 300) ? 600 : 120)) * USEC_PER_SEC,
	};
	spec->user = (uint32_t)world_random(world, 4);
	spec->serial = spec->kind == LEASE_BEST_EFFORT && world_chance(world, 300);
	spec->per_vm.amount[RES_CPU] = 250 * (int64_t)(1 + world_random(world, 6));
	spec->per_vm.amount[RES_MEMORY] = (INT64_C(128) << 20) * (int64_t)(1 + world_random(world, 10));
	spec->per_vm.amount[RES_DISK] = (INT64_C(1) << 30) * (int64_t)world_random(world, 4);
	draw_times(world, spec);
	draw_constraint(world, spec);
	event.requested.id = ++world->last_lease;
	if (world_chance(world, 300)) {
		plan_ask(world->plan, spec, world->now_us, &answer);
		world_step(world, &event);
		const struct lease *lease = plan_lease(world->plan, event.requested.id);
		if (answer.accepted != (lease->state != LEASE_REJECTED)) {
			world_wrong(world, "the answer to a question was not what happened", event.requested.id, 0);
		}
	} else {
		world_step(world, &event);
	}
	const struct lease *lease = plan_lease(world->plan, event.requested.id);
	if (!lease || lease->state == LEASE_NEW) {
		world_wrong(world, "a request without an answer", event.requested.id, 0);
	} else if (lease->state != LEASE_REJECTED && !in_catalogue(world, lease->spec.image)) {
		world_wrong(world, "a lease of an image that was removed", event.requested.id, 0);
	}
}

static void cancel_one(struct world *world)
{
	struct world_lease *row = world_lease_row(world, 1 + world_random(world, world->last_lease + 1));
	struct event event = {.kind = EVENT_LEASE_CANCELLED};

	if (row) {
		row->by_user = row->by_user || !lease_state_final(row->lease.state);
		event.cancelled = row->id;
		world_step(world, &event);
	}
}

/* Somebody wants his lease longer or shorter, and gets an answer. */
static void stretch_one(struct world *world)
{
	struct world_lease *row = world_lease_row(world, 1 + world_random(world, world->last_lease + 1));
	struct event event = {.kind = EVENT_LEASE_RESIZED};

	if (!row || lease_state_final(row->lease.state)) {
		return;
	}
	event.resized.id = row->id;
	event.resized.duration_us =
		row->lease.spec.duration_us / 2 + (span_us)world_random(world, (uint64_t)row->lease.spec.duration_us);
	world->answers = 0;
	world_step(world, &event);
	if (world->answers == 0) {
		world_wrong(world, "a wish without an answer", event.resized.id, 0);
	}
}

/* Somebody wants another slice or period, or any at all, or none, and gets an answer. */
static void tune_one(struct world *world)
{
	struct world_lease *row = world_lease_row(world, 1 + world_random(world, world->last_lease + 1));
	struct event event = {.kind = EVENT_LEASE_TUNED};
	struct lease_spec spec = {.slice_us = 0};

	if (!row || lease_state_final(row->lease.state)) {
		return;
	}
	while (!spec.period_us && !world_chance(world, 100)) {
		draw_constraint(world, &spec);
	}
	event.tuned.id = row->id;
	event.tuned.slice_us = spec.slice_us;
	event.tuned.period_us = spec.period_us;
	world->answers = 0;
	world_step(world, &event);
	if (world->answers == 0) {
		world_wrong(world, "a tuning without an answer", event.tuned.id, 0);
	}
}

/* The event somebody waited for has come; or he only thinks so. */
static void call_one(struct world *world)
{
	struct event event = {.kind = EVENT_LEASE_CALLED};
	struct world_lease *row = world->leases;
	bool any = world_chance(world, 100);

	/* One of the first that stand by. */
	while (row &&
	       !(any ? world_chance(world, 100) : row->lease.state == LEASE_STANDBY && world_chance(world, 500))) {
		row = row->hh.next;
	}
	if (!row || lease_state_final(row->lease.state)) {
		return;
	}
	event.called = row->id;
	row->called_us = row->lease.state == LEASE_STANDBY ? world->now_us : row->called_us;
	world->answers = 0;
	world_step(world, &event);
	if (world->answers == 0) {
		world_wrong(world, "a call without an answer", event.called, 0);
	}
}

static void silence(struct world *world, uint32_t id)
{
	struct world_node *node = &world->node[id];

	if (!node->silent_us) {
		node->silent_us = world->now_us + (wall_us)(1 + world_random(world, 400)) * USEC_PER_SEC;
		world_step_node(world, id, NODE_SILENT);
	}
}

static void vanish(struct world *world, uint32_t id)
{
	uint64_t image = any_image(world)->id;

	if (world->node[id].pool[image] && !world->node[id].silent_us) {
		world_step_pool(world, EVENT_IMAGE_ABSENT, id, image);
	}
}

static bool same_image(const struct transfer *transfer, void *arg)
{
	uint64_t *image = arg;

	*image = transfer->image == *image ? 0 : *image;
	return *image != 0;
}

/* The node makes room: what its part does not name goes. */
static void evict(struct world *world, uint32_t id)
{
	uint64_t image = any_image(world)->id, unneeded = image;

	plan_each_transfer(world->plan, id, same_image, &unneeded);
	if (world->node[id].pool[image] && unneeded && !world->node[id].silent_us) {
		world_step_pool(world, EVENT_IMAGE_ABSENT, id, image);
	}
}

static void resize(struct world *world, uint32_t id)
{
	struct world_node *node = &world->node[id];

	if (!node->silent_us) {
		node->info.capacity.amount[RES_CPU] = 1000 * (int64_t)(1 + world_random(world, 4));
		world_step_node(world, id, node->info.state);
	}
}

/* The node clears its pool of what is in no catalogue any more. */
static void clear_pool(struct world *world, uint32_t id)
{
	for (uint64_t image = 1; image <= world->last_image && !world->node[id].silent_us; image++) {
		if (world->node[id].pool[image] && !in_catalogue(world, image)) {
			world_step_pool(world, EVENT_IMAGE_ABSENT, id, image);
		}
	}
}

void visitors_catalogue(struct world *world)
{
	struct world_image *image = any_image(world);

	if (world_chance(world, 20)) {
		clear_pool(world, 1 + (uint32_t)world_random(world, world->settings.nodes));
	}
	if (!world_chance(world, 50) || world->last_image == WORLD_IMAGE_IDS) {
		return;
	}
	if (!image->there) {
		world_add_image(world, image);
	} else if (!plan_image_needed(world->plan, image->id)) {
		world_remove_image(world, image);
	}
}

void visitors_mischief(struct world *world)
{
	uint32_t id = 1 + (uint32_t)world_random(world, world->settings.nodes);

	if (world_chance(world, 300)) {
		cancel_one(world);
	}
	if (world_chance(world, 200)) {
		stretch_one(world);
	}
	if (world_chance(world, 200)) {
		call_one(world);
	}
	if (world_chance(world, 200)) {
		tune_one(world);
	}
	if (world_chance(world, 300)) {
		agents_repeat(world, id);
	}
	if (world_chance(world, 500)) {
		evict(world, id);
	}
	if (world_chance(world, 10)) {
		world_switch(world);
	}
	if (!world->settings.faults) {
		return;
	}
	switch (world_random(world, 8)) {
	case 0:
		silence(world, id);
		break;
	case 1:
		if (!world->node[id].silent_us) {
			world_step_node(world, id, world_chance(world, 300) ? NODE_DRAINING : NODE_UP);
		}
		break;
	case 2:
		vanish(world, id);
		break;
	case 3:
		resize(world, id);
		break;
	default:
		break;
	}
}
