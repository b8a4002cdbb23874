/* Images on their way and in the nodes' pools. When each is sent is the planner's decision. */
#include <string.h>
#include <utlist.h>

#include "estimate.h"
#include "util.h"
#include "world_state.h"

static int64_t bytes_of(struct world *world, uint64_t image)
{
	struct world_image *known;

	HASH_FIND(hh, world->images, &image, sizeof(image), known);
	return known ? known->bytes : 0;
}

void staging_know(struct world *world, uint64_t image, int64_t bytes)
{
	struct world_image *known = xcalloc(1, sizeof(*known));

	known->id = image;
	known->bytes = bytes;
	HASH_ADD(hh, world->images, id, sizeof(known->id), known);
	world_event(world, EVENT_IMAGE_ADDED)->image = (struct image_info){image, bytes};
}

static void told_pool(struct world *world, enum event_kind kind, const struct world_node *node, uint64_t image)
{
	struct event *event = world_event(world, kind);

	event->pool.node = node->info.id;
	event->pool.image = image;
	metrics_pool(&world->metrics, node->info.id - 1, node->pool.bytes);
}

static void remove_from(struct world *world, struct world_node *node, uint64_t image)
{
	if (sim_pool_remove(&node->pool, image)) {
		told_pool(world, EVENT_IMAGE_ABSENT, node, image);
	}
}

void staging_forget(struct world *world, uint64_t image)
{
	struct world_image *known;

	HASH_FIND(hh, world->images, &image, sizeof(image), known);
	if (!known) {
		return;
	}
	for (uint32_t i = 0; i < world->nodes; i++) {
		remove_from(world, &world->node[i], image);
	}
	HASH_DEL(world->images, known);
	free(known);
	world_event(world, EVENT_IMAGE_REMOVED)->image_removed = image;
}

/* The images the planner still counts on at a node; they do not change before its next step. */
struct needed {
	uint64_t *image;
	size_t count, room;
};

static bool note(const struct transfer *transfer, void *arg)
{
	struct needed *needed = arg;

	if (needed->count == needed->room) {
		needed->room = needed->room ? 2 * needed->room : 16;
		needed->image = xrealloc(needed->image, needed->room, sizeof(*needed->image));
	}
	needed->image[needed->count++] = transfer->image;
	return true;
}

static bool kept(uint64_t image, void *arg)
{
	const struct needed *needed = arg;

	for (size_t i = 0; i < needed->count; i++) {
		if (needed->image[i] == image) {
			return true;
		}
	}
	return false;
}

/* Evicts the images used longest ago and not needed until there is room for so much more. False if too few are. */
static bool evict(struct world *world, struct world_node *node, int64_t bytes)
{
	const struct pool_entry *oldest = NULL;
	struct needed needed = {0};

	if (node->pool.bytes + bytes <= node->info.pool_bytes) {
		return true;
	}
	plan_each_transfer(world->plan, node->info.id, note, &needed);
	while (node->pool.bytes + bytes > node->info.pool_bytes &&
	       (oldest = sim_pool_oldest(&node->pool, kept, &needed))) {
		remove_from(world, node, oldest->image);
	}
	free(needed.image);
	return node->pool.bytes + bytes <= node->info.pool_bytes;
}

static void make_room(struct world *world, struct world_node *node, int64_t bytes)
{
	if (!evict(world, node, bytes)) {
		world_wrong(world, "an image for which the pool has no room", 0, 0, node->info.id);
	}
}

void staging_tidy(struct world *world)
{
	for (uint32_t i = 0; i < world->nodes && world->tidy; i++) {
		struct world_node *node = &world->node[i];
		if (node->untidy) {
			evict(world, node, node->info.pool_bytes + 1); /* of all that is there */
		}
		node->untidy = false;
	}
}

void staging_put(struct world *world, struct world_node *node, uint64_t image, int64_t bytes)
{
	node->untidy = true;
	if (!sim_pool_find(&node->pool, image)) {
		make_room(world, node, bytes);
		sim_pool_add(&node->pool, image, bytes, world->now_us);
	}
	told_pool(world, EVENT_IMAGE_PRESENT, node, image);
	bodies_image(world, node, image);
}

bool staging_use(struct world *world, struct world_node *node, uint64_t image)
{
	struct pool_entry *entry = sim_pool_find(&node->pool, image);

	node->untidy = true;
	if (entry) {
		entry->used_us = world->now_us;
	}
	return entry != NULL;
}

static struct sim_link *link_of(struct world *world, const struct haul *haul)
{
	return &world->link[haul->best_effort && world->settings.best_effort_rate > 0];
}

static void set_link_gauge(struct world *world)
{
	world->metrics.now.link_busy = world->link[0].count || world->link[1].count;
}

/* Takes a haul out of its flow; the flow goes with its last one. */
static void leave_flow(struct world *world, struct haul *haul)
{
	struct flow *flow = haul->flow;
	struct haul **at = (struct haul **)&flow->cargo;

	while (*at != haul) {
		at = &(*at)->next;
	}
	*at = haul->next;
	haul->flow = NULL;
	if (!flow->cargo) {
		sim_link_drop(link_of(world, haul), &world->agenda, world->now_us, flow);
		set_link_gauge(world);
	}
}

static void free_haul(struct world *world, struct haul *haul)
{
	agenda_set(&world->agenda, &haul->due, WALL_NEVER);
	HASH_DEL(world->hauls, haul);
	free(haul);
}

void staging_told(struct world *world, const struct transfer *transfer, bool drop)
{
	struct haul *haul;

	HASH_FIND(hh, world->hauls, &transfer->id, sizeof(transfer->id), haul);
	if (drop || transfer->state != TRANSFER_PLANNED) {
		if (haul && haul->flow) {
			leave_flow(world, haul);
		}
		if (haul) {
			free_haul(world, haul);
		}
		return;
	}
	if (!haul) {
		haul = xcalloc(1, sizeof(*haul));
		haul->id = transfer->id;
		haul->image = transfer->image;
		haul->node = transfer->node;
		haul->due.rank = RANK_BEGIN;
		haul->due.key = transfer->id;
		HASH_ADD(hh, world->hauls, id, sizeof(haul->id), haul);
	}
	if (!haul->flow) {
		wall_us start_us = transfer->start_us;
		haul->best_effort = transfer->deadline_us >= WALL_NEVER;
		agenda_set(&world->agenda, &haul->due, start_us > world->now_us ? start_us : world->now_us);
	}
}

void staging_begin(struct world *world, struct haul *haul)
{
	struct sim_link *link = link_of(world, haul);
	int64_t bytes = bytes_of(world, haul->image);
	int64_t rate = link == &world->link[1] ? world->settings.best_effort_rate : world->settings.repository_rate;

	agenda_set(&world->agenda, &haul->due, WALL_NEVER);
	haul->flow = world->settings.multicast ? sim_link_twin(link, world->now_us, haul->image) : NULL;
	if (!haul->flow) {
		haul->flow = sim_link_begin(link, &world->agenda, world->now_us, haul->image, bytes,
					    rate == INT64_MAX ? 0 : estimate_bytes(bytes, rate));
	}
	haul->next = haul->flow->cargo;
	haul->flow->cargo = haul;
	set_link_gauge(world);
}

bool staging_full(const struct world *world, const struct sim_link *link)
{
	const struct flow *flow;

	DL_FOREACH (link->flows, flow) {
		for (const struct haul *haul = flow->cargo; haul; haul = haul->next) {
			const struct world_node *node = &world->node[haul->node - 1];
			if (node->pool.bytes + flow->bytes > node->info.pool_bytes) {
				return true;
			}
		}
	}
	return false;
}

void staging_arrive(struct world *world, struct sim_link *link)
{
	struct flow *flow;

	while ((flow = sim_link_take(link, &world->agenda, world->now_us))) {
		struct haul *haul = flow->cargo, *next;
		world->totals.transfers++;
		world->totals.bytes += flow->bytes;
		metrics_moved(&world->metrics, flow->bytes);
		for (; haul; haul = next) {
			next = haul->next;
			staging_put(world, &world->node[haul->node - 1], haul->image, flow->bytes);
			free_haul(world, haul);
		}
		free(flow);
	}
	set_link_gauge(world);
}

void staging_fini(struct world *world)
{
	struct haul *haul, *next_haul;
	struct world_image *image, *next_image;

	HASH_ITER (hh, world->hauls, haul, next_haul) {
		HASH_DEL(world->hauls, haul);
		free(haul);
	}
	HASH_ITER (hh, world->images, image, next_image) {
		HASH_DEL(world->images, image);
		free(image);
	}
	sim_link_fini(&world->link[0]);
	sim_link_fini(&world->link[1]);
}
