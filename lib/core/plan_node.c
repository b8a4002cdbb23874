/* Nodes and images: what is known of them, and what their coming and going does to leases. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "arrival.h"
#include "link.h"
#include "place.h"
#include "plan_state.h"
#include "pool.h"
#include "prep.h"
#include "queue.h"
#include "rate.h"

struct node *node_add(struct plan *plan, const struct node_info *info)
{
	struct node *node = calloc(1, sizeof(*node));
	size_t i = plan->node_count;

	assert(node && info->id > 0);
	node->info = *info;
	node->owed = info->capacity;
	node->owed_firm = info->capacity;
	node->slots = slots_new();
	node->firm = plan->firm ? slots_new() : NULL;
	node->lane = plan->lane ? plan->lane : lane_new();
	node->pool_owed = info->pool_bytes;
	node->column = (uint32_t)plan->node_count;
	glance_node(plan->glance, node->column, info->capacity);
	plan->nodes = realloc(plan->nodes, (plan->node_count + 1) * sizeof(struct node *));
	plan->columns = realloc(plan->columns, (plan->node_count + 1) * sizeof(*plan->columns));
	assert(plan->nodes && plan->columns);
	for (; i > 0 && plan->nodes[i - 1]->info.id > info->id; i--) {
		plan->nodes[i] = plan->nodes[i - 1];
		plan->columns[i] = plan->columns[i - 1];
	}
	plan->nodes[i] = node;
	plan->columns[i] = node->column;
	plan->node_count++;
	return node;
}

void node_owe(struct plan *plan, struct node *node)
{
	const struct capacity has = node->info.capacity;

	node->owed = capacity_max(has, slots_peak(node->slots, plan->now_us, WALL_NEVER));
	node->owed_firm = has;
	if (node->firm) {
		node->owed_firm = capacity_max(has, slots_peak(node->firm, plan->now_us, WALL_NEVER));
	}
	plan->owing = plan->owing || !capacity_fits(node->owed, has) || !capacity_fits(node->owed_firm, has);
	pool_owe(plan, node);
}

void plan_owe_less(struct plan *plan)
{
	if (!plan->owing) {
		return;
	}
	plan->owing = false;
	for (size_t i = 0; i < plan->node_count; i++) {
		struct node *node = plan->nodes[i];
		if (!capacity_fits(node->owed, node->info.capacity) ||
		    !capacity_fits(node->owed_firm, node->info.capacity) || node->pool_owed > node->info.pool_bytes) {
			node_owe(plan, node);
		}
	}
}

void plan_node_event(struct plan *plan, const struct node_info *info)
{
	struct node *node = plan_find_node(plan, info->id);
	struct guest *guest;

	if (info->id == 0 || info->state >= NODE_STATE_COUNT || info->suspend_rate <= 0 || info->resume_rate <= 0) {
		return;
	}
	plan->queue_due = true;
	if (node && memcmp(&node->info, info, sizeof(*info)) == 0) {
		return;
	}
	plan->freed_by = 0;
	if (!node) {
		node_add(plan, info);
		return;
	}
	/* What is no promise yet makes way before the node is changed under it. */
	queue_drop(plan);
	node->info = *info;
	glance_node(plan->glance, node->column, info->capacity);
	/* A node that shrinks keeps what it has; nothing new goes there until there is room again. */
	node_owe(plan, node);
	node->loose = !rate_keeps(plan, node);
	for (guest = guest_first(node); guest; guest = guest_next(guest)) {
		guest_touch(plan, guest); /* its timer depends on whether the node answers */
	}
}

void plan_image_event(struct plan *plan, const struct image_info *info)
{
	size_t i = plan->image_count;

	if (info->id == 0 || info->size < 0 || plan_find_image(plan, info->id)) {
		return;
	}
	plan->images = realloc(plan->images, (plan->image_count + 1) * sizeof(*plan->images));
	plan->copies = realloc(plan->copies, (plan->image_count + 1) * sizeof(*plan->copies));
	assert(plan->images && plan->copies);
	for (; i > 0 && plan->images[i - 1].id > info->id; i--) {
		plan->images[i] = plan->images[i - 1];
		plan->copies[i] = plan->copies[i - 1];
	}
	plan->images[i] = *info;
	plan->copies[i] = 0;
	plan->image_count++;
}

void plan_image_removed(struct plan *plan, uint64_t image)
{
	const struct image_info *info = plan_find_image(plan, image);

	if (!info || plan_image_needed(plan, image)) {
		return;
	}
	for (size_t n = 0; n < plan->node_count; n++) {
		struct stage *stage = prep_find(plan->nodes[n], image);
		if (!stage) {
			continue;
		}
		if (stage->flight) {
			flight_leave(plan, stage); /* it was to be brought for whoever may come */
		}
		prep_set_present(plan, stage, false); /* of what is still there nobody tells any more */
		stage_touch(plan, stage);
		plan->outdated = true;
	}
	size_t i = (size_t)(info - plan->images);
	memmove(&plan->images[i], &plan->images[i + 1], (plan->image_count - i - 1) * sizeof(*plan->images));
	memmove(&plan->copies[i], &plan->copies[i + 1], (plan->image_count - i - 1) * sizeof(*plan->copies));
	plan->image_count--;
}

/* Of the lease, one guest that waits for the image on the node; NULL if none does. */
static struct guest *waiting_there(struct contract *contract, const struct node *node)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		struct guest *guest = &contract->guest[i];
		if (guest->node == node && !guest->vm->started_us &&
		    (guest->vm->state == LEASE_SCHEDULED || guest->vm->state == LEASE_STANDBY ||
		     guest->vm->state == LEASE_PREPARING || guest_moving(guest))) {
			return guest;
		}
	}
	return NULL;
}

static void fail_waiting(struct plan *plan, struct contract *contract, struct node *node)
{
	struct guest *guest;

	contract_touch(plan, contract);
	contract->why = (struct reason){.code = REASON_IMAGE_BAD};
	contract->broken = contract->lease.spec.kind != LEASE_BEST_EFFORT;
	while ((guest = waiting_there(contract, node))) {
		guest_finish(plan, guest, LEASE_FAILED, 0);
		if (!contract->lease.spec.serial) {
			contract_end(plan, contract, LEASE_CANCELLED, NULL);
		}
	}
}

void plan_transfer_failed(struct plan *plan, struct node *node, uint64_t image)
{
	struct contract *contract;

	arrival_failed(plan, node, image);
	RB_FOREACH (contract, contracts, &plan->contracts) {
		if (contract->lease.spec.image == image && waiting_there(contract, node)) {
			fail_waiting(plan, contract, node);
		}
	}
}
