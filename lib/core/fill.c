/* Chooses the best-effort transfer that goes next. */
#include "fill.h"

#include <stdlib.h>

#include "estimate.h"
#include "link.h"
#include "pool.h"
#include "prep.h"
#include "slots.h"

#define POINTS 16
#define LOOK 5 /* transfers: nodes that will be free within that long count */

/* An image that is wanted. */
struct wish {
	uint64_t image;
	uint64_t places; /* VMs the nodes in view could take if it were there */
	uint64_t staged; /* those of them where it is */
	uint64_t starts; /* VMs of the queue that could start */
	const struct contract *first;
};

struct fill {
	struct trial *trial;
	struct plan *plan;
	struct wish *wish; /* by index of plan->images */
	struct link *link;
};

static size_t index_of(const struct plan *plan, uint64_t image)
{
	return (size_t)(plan_find_image(plan, image) - plan->images);
}

/* VMs of the lease the node could take for least_us within LOOK transfers, not before one is through. */
static uint32_t places(const struct fill *fill, const struct node *node, const struct lease_spec *spec,
		       span_us length_us, span_us least_us)
{
	const struct plan *plan = fill->plan;
	wall_us from_us = plan->now_us + plan->settings.lead_us + length_us, by_us = plan->now_us + LOOK * length_us;

	/* Mostly somebody is there for longer: that is told at once. */
	if (!node_takes_new(node) || slots_over(node->slots, place_limit(node, spec->per_vm), from_us) > by_us) {
		return 0;
	}
	wall_us at_us = place_fit(node, spec, spec->per_vm, from_us, least_us, POINTS);
	if (at_us > by_us) {
		return 0;
	}
	struct run run = {
		.prepare_us = at_us, .start_us = at_us, .end_us = at_us + least_us, .release_us = at_us + least_us};
	return place_count(node, spec, &run, LEASE_VMS_MAX);
}

/* What costs no time takes its room when it arrives. */
static span_us held(span_us length_us)
{
	return length_us > 0 ? length_us : 1;
}

/* Sets count on every node to the VMs it could take, like those of that lease; count_room tells if an image fits. */
static bool has_place(const struct fill *fill, const struct node *node, int64_t size, span_us length_us)
{
	wall_us soon_us = fill->plan->now_us + fill->plan->settings.lead_us;

	return node->pool_booked + size <= node->info.pool_bytes ||
	       pool_peak(node, soon_us, soon_us + length_us) + size <= node->info.pool_bytes;
}

/* What each image could be brought to, for leases like the first in the queue. False if none could anywhere. */
static bool count_places(struct fill *fill, const struct lease_spec *spec, int64_t size, span_us length_us)
{
	struct plan *plan = fill->plan;
	span_us least_us = room_need(&fill->trial->pass.room, spec, spec->duration_us);
	uint64_t anywhere = 0;
	bool some = false;

	for (size_t i = 0; i < plan->node_count; i++) {
		struct node *node = plan->nodes[i];
		node->count = places(fill, node, spec, length_us, least_us);
		if (node->count == 0) {
			continue;
		}
		some = true;
		bool free = has_place(fill, node, size, held(length_us));
		anywhere += free ? node->count : 0;
		for (size_t s = 0; s < node->stage_count; s++) {
			const struct stage *stage = node->stages[s].stage;
			if (stage->present) {
				struct wish *wish = &fill->wish[index_of(plan, stage->image)];
				wish->staged += node->count;
				wish->places += free ? 0 : node->count;
			}
		}
	}
	for (size_t i = 0; i < plan->image_count; i++) {
		fill->wish[i].places += anywhere;
	}
	return some;
}

static void count_starts(struct fill *fill)
{
	const struct trial *trial = fill->trial;

	for (size_t i = 0; i < trial->count; i++) {
		const struct contract *contract = trial->waiting[i].contract;
		const struct lease_spec *spec = &contract->lease.spec;
		if (contract->booked && (contract->guest[0].vm->planned || fill->plan->settings.disks == DISKS_WHOLE)) {
			continue; /* it has its place, or lies suspended with a disk of its own */
		}
		struct wish *wish = &fill->wish[index_of(fill->plan, spec->image)];
		if (wish->starts + spec->vms <= wish->places) {
			wish->starts += spec->vms;
			wish->first = wish->first ? wish->first : contract;
		}
	}
}

static const struct wish *best(const struct fill *fill)
{
	const struct wish *best = NULL;

	for (size_t i = 0; i < fill->plan->image_count; i++) {
		const struct wish *wish = &fill->wish[i];
		if (wish->first && wish->starts > wish->staged &&
		    (!best || wish->starts - wish->staged > best->starts - best->staged)) {
			best = wish;
		}
	}
	return best;
}

/*
 * True if the image has come to the node at this very instant, and made way for another already: what costs no time
 * could take turns for ever.
 */
static bool came_and_went(const struct plan *plan, const struct stage *stage)
{
	return !stage->present && stage->came_us == plan->now_us;
}

/* To all nodes in view at once or, where each is a transfer of its own, to one. */
static void send(struct fill *fill, uint64_t image, int64_t size, span_us length_us)
{
	struct plan *plan = fill->plan;
	wall_us soon_us = plan->now_us + plan->settings.lead_us;
	struct flight *flight = NULL;

	for (size_t i = plan->node_count; i-- > 0 && (plan->settings.multicast || !flight);) {
		struct node *node = plan->nodes[i];
		struct stage *stage = node->count ? prep_stage(plan, node, image) : NULL;
		/* Who runs there though it vanished will need it, once it is on its way, as long as he runs. */
		if (!stage || stage->present || stage->flight || came_and_went(plan, stage) ||
		    pool_free_from(stage, soon_us, held(length_us)) > soon_us) {
			continue;
		}
		if (!flight) {
			flight = flight_new(fill->link, image, size);
			flight->begun = true;
			flight->kept = true;
		}
		flight_board(plan, flight, stage, WALL_NEVER);
	}
	if (flight) {
		link_send(plan, flight);
	}
}

void fill_link(struct trial *trial)
{
	struct plan *plan = trial->pass.plan;
	struct fill fill = {.trial = trial, .plan = plan, .link = link_of(plan, true)};

	if (trial->count == 0 || plan->image_count == 0) {
		return;
	}
	const struct lease_spec *spec = &trial->waiting[0].contract->lease.spec;
	const struct image_info *image = plan_find_image(plan, spec->image);
	span_us length_us = estimate_bytes(image->size, fill.link->rate);
	if (fill.link->blind || !link_idle(plan, fill.link, length_us)) {
		return;
	}
	fill.wish = calloc(plan->image_count, sizeof(*fill.wish));
	const struct wish *wish = NULL;
	if (count_places(&fill, spec, image->size, length_us)) {
		count_starts(&fill);
		wish = best(&fill);
	}
	if (wish) {
		image = plan_find_image(plan, wish->first->lease.spec.image);
		length_us = estimate_bytes(image->size, fill.link->rate);
		if (link_idle(plan, fill.link, length_us)) {
			send(&fill, image->id, image->size, length_us);
		}
	}
	free(fill.wish);
}
