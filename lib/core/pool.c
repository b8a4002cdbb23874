/*
 * Keeps, per node that may be short of it, a table of the bytes of needed images over time. Plans no transfers and
 * evicts nothing.
 */
#include "pool.h"

#include "estimate.h"
#include "policy.h"
#include "prep.h"

static struct capacity bytes(int64_t n)
{
	return (struct capacity){.amount = {[RES_DISK] = n}};
}

static wall_us later(wall_us a, wall_us b)
{
	return a > b ? a : b;
}

bool pool_wanted(const struct plan *plan, const struct run *run)
{
	return plan->settings.disks == DISKS_OVERLAY || run->from == RUN_BOOT;
}

bool pool_guest_wants(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	bool boots = vm->planned && vm->run.from == RUN_BOOT && !vm->started_us;

	return plan->settings.disks == DISKS_OVERLAY || boots || guest_stands_by(guest);
}

wall_us pool_rest_until(const struct plan *plan)
{
	return plan->settings.queue->restages || plan->settings.disks == DISKS_WHOLE ? 0 : WALL_NEVER;
}

wall_us pool_run_until(const struct plan *plan, const struct run *run)
{
	return run->then == RUN_SUSPEND ? later(run->release_us, pool_rest_until(plan)) : run->release_us;
}

wall_us pool_guest_until(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	return vm->planned || guest_stands_by(guest) ? later(pool_run_until(plan, &vm->run), guest->tail_us)
						     : pool_rest_until(plan);
}

/*
 * What the stage takes the pool for; nothing if from == until. An image on its way takes its room until it has come,
 * though all who need it may be over by then; but not one that was only asked for to learn when it could come.
 */
static void wanted_span(const struct stage *stage, wall_us *from_us, wall_us *until_us)
{
	const struct flight *flight = stage->flight;
	bool kept = flight && flight->kept;

	*from_us = flight ? flight->start_us : 0;
	*until_us = *from_us;
	if ((stage->users || stage->meant_us || kept) && (stage->present || flight) && *from_us < WALL_NEVER) {
		*until_us = later(*from_us, later(stage->until_us, stage->meant_us));
		if (kept || (flight && !stage->meant_us)) {
			*until_us = later(*until_us, later(flight->end_us, *from_us + 1));
		}
	}
}

/* What each stage of the node holds: made when somebody asks, as most pools are so large that nobody need. */
static struct slots *table(const struct node *node)
{
	struct node *owner = (struct node *)node; /* it is none the different for it */

	if (!owner->pool) {
		owner->pool = slots_new();
		for (size_t i = 0; i < node->stage_count; i++) {
			const struct stage *stage = node->stages[i].stage;
			if (stage->held_from_us < stage->held_until_us) {
				slots_reserve(owner->pool, stage->held_from_us, stage->held_until_us,
					      bytes(stage->size));
			}
		}
	}
	return owner->pool;
}

/* While all of it would fit at once nobody asks. */
static void forget_table(struct node *node)
{
	if (node->pool && node->pool_booked <= node->info.pool_bytes / 2) {
		slots_free(node->pool);
		node->pool = NULL;
	}
}

void pool_hold(struct stage *stage)
{
	struct node *node = stage->node;
	wall_us from_us, until_us;

	wanted_span(stage, &from_us, &until_us);
	if (from_us == stage->held_from_us && until_us == stage->held_until_us) {
		return;
	}
	if (stage->held_from_us < stage->held_until_us) {
		if (node->pool) {
			slots_release(node->pool, stage->held_from_us, stage->held_until_us, bytes(stage->size));
		}
		node->pool_booked -= stage->size;
	}
	if (from_us < until_us) {
		if (node->pool) {
			slots_reserve(node->pool, from_us, until_us, bytes(stage->size));
		}
		node->pool_booked += stage->size;
	}
	stage->held_from_us = from_us;
	stage->held_until_us = until_us;
	forget_table(node);
}

int64_t pool_peak(const struct node *node, wall_us from_us, wall_us to_us)
{
	return slots_peak(table(node), from_us, to_us).amount[RES_DISK];
}

bool pool_conflicts(const struct stage *stage)
{
	bool held = stage->held_from_us < stage->held_until_us;
	wall_us from_us = stage->flight->start_us;
	wall_us until_us = later(stage->flight->end_us, later(stage->until_us, stage->meant_us));

	return from_us < until_us && stage->node->pool_booked + (held ? 0 : stage->size) > stage->node->pool_owed &&
	       pool_peak(stage->node, from_us, until_us) + (held ? 0 : stage->size) > stage->node->pool_owed;
}

/*
 * The first time from from_us on from which there is room for size more until until_us, and for length_us at least;
 * WALL_NEVER if there is none before until_us, unless that is over.
 */
static wall_us room_from(const struct node *node, int64_t size, wall_us from_us, wall_us until_us, span_us length_us)
{
	struct capacity limit = bytes(node->info.pool_bytes - size);
	wall_us last_us = from_us < until_us ? until_us : WALL_NEVER;

	if (node->pool_booked <= limit.amount[RES_DISK]) {
		return from_us;
	}
	while (from_us < last_us) {
		wall_us full_us = slots_until(table(node), limit, from_us);
		if (full_us >= later(until_us, from_us + length_us)) {
			return from_us;
		}
		from_us = slots_fit(table(node), limit, full_us, 1);
	}
	return WALL_NEVER;
}

wall_us pool_free_from(const struct stage *stage, wall_us from_us, span_us length_us)
{
	wall_us until_us = later(stage->until_us, stage->meant_us);
	wall_us held_from_us = stage->held_from_us, held_until_us = stage->held_until_us;

	if (held_from_us >= held_until_us) {
		return room_from(stage->node, stage->size, from_us, until_us, length_us);
	}
	if (from_us < held_from_us) {
		wall_us free_us = room_from(stage->node, stage->size, from_us, held_from_us, 0);
		return free_us < held_from_us ? free_us : held_from_us;
	}
	/* It has its room already from then on, until all are over. */
	wall_us more_us = later(from_us, held_until_us), end_us = from_us + length_us;
	wall_us free_us =
		more_us < end_us ? room_from(stage->node, stage->size, more_us, 0, end_us - more_us) : more_us;
	return free_us == more_us ? from_us : free_us;
}

static bool room_in(const struct node *node, int64_t size, wall_us from_us, wall_us until_us)
{
	return from_us >= until_us || pool_peak(node, from_us, until_us) + size <= node->info.pool_bytes;
}

static span_us transfer_span(const struct plan *plan, const struct image_info *info)
{
	return estimate_bytes(info->size, plan->settings.repository_rate);
}

bool pool_fits(const struct plan *plan, const struct node *node, uint64_t image, const struct run *run)
{
	const struct image_info *info = plan_find_image(plan, image);

	if (!pool_wanted(plan, run)) {
		return true;
	}
	if (!info || info->size > node->info.pool_bytes) {
		return false;
	}
	if (node->pool_booked <= node->info.pool_bytes - info->size) {
		return true;
	}
	const struct stage *stage = prep_find(node, image);
	wall_us from_us = plan->now_us, until_us = pool_run_until(plan, run);
	if (!stage || (!stage->present && !prep_begun(stage))) {
		from_us = later(from_us, run->prepare_us - transfer_span(plan, info));
	}
	if (!stage || stage->held_from_us >= stage->held_until_us) {
		return room_in(node, info->size, from_us, until_us);
	}
	/* It is not taken away and brought again: what is between its users now and this one counts too. */
	return room_in(node, info->size, from_us, stage->held_from_us) &&
	       room_in(node, info->size, later(plan->now_us, stage->held_until_us), until_us);
}

wall_us pool_next(const struct plan *plan, const struct node *node, uint64_t image, const struct run *run)
{
	span_us length_us = transfer_span(plan, plan_find_image(plan, image));
	wall_us next_us = slots_next(table(node), run->prepare_us - length_us);

	return next_us < WALL_NEVER ? next_us + length_us : WALL_NEVER;
}

bool pool_within(const struct plan *plan, const struct node *node)
{
	return node->pool_booked <= node->pool_owed || pool_peak(node, plan->now_us, WALL_NEVER) <= node->pool_owed;
}

void pool_owe(struct plan *plan, struct node *node)
{
	int64_t peak = node->pool_booked;

	if (peak > node->info.pool_bytes) {
		peak = pool_peak(node, plan->now_us, WALL_NEVER);
	}
	node->pool_owed = peak > node->info.pool_bytes ? peak : node->info.pool_bytes;
	plan->owing = plan->owing || peak > node->info.pool_bytes;
}
