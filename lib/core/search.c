/* Finds the earliest time with room on the nodes. Books nothing, and promises nothing of images and of victims. */
#include "search.h"

#include <assert.h>
#include <stdlib.h>

#include "pool.h"
#include "prep.h"
#include "rate.h"

#define FIT_TRIES 4 /* a start that fits the run, then the preparation, then the run again: seldom more than two */

/* The heap over next_us: moves item i towards the root, or away from it. */
static void sift_up(struct search_node *heap, size_t i)
{
	struct search_node item = heap[i];

	for (; i > 0 && heap[(i - 1) / 2].next_us > item.next_us; i = (i - 1) / 2) {
		heap[i] = heap[(i - 1) / 2];
	}
	heap[i] = item;
}

static void sift_down(struct search_node *heap, size_t count)
{
	struct search_node item = heap[0];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= count) {
			break;
		}
		child += child + 1 < count && heap[child + 1].next_us < heap[child].next_us;
		if (heap[child].next_us >= item.next_us) {
			break;
		}
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = item;
}

/* The first start for that many VMs on the node at or after from_us; or, seldom, a time that is surely not after it. */
static wall_us fit(const struct search *search, const struct node *node, uint32_t vms, wall_us from_us)
{
	const struct plan_settings *settings = &search->plan->settings;
	const struct lease_spec *spec = search->want.spec;
	struct capacity use = capacity_scale(spec->per_vm, vms);
	struct capacity lean = slot_use(SLOT_PREPARE, use);
	span_us whole_us = settings->prepare_us + search->want.duration_us + settings->stop_us;

	for (int i = 0; i < FIT_TRIES; i++) {
		wall_us start_us = place_fit(node, spec, use, from_us, search->want.duration_us, search->want.points);
		if (start_us >= WALL_NEVER || whole_us == search->want.duration_us) {
			return start_us;
		}
		wall_us begin_us = start_us - settings->prepare_us;
		from_us = place_fit(node, spec, lean, begin_us, whole_us, search->want.points);
		if (from_us == begin_us || from_us >= WALL_NEVER) {
			return from_us == begin_us ? start_us : WALL_NEVER;
		}
		from_us += settings->prepare_us;
	}
	return from_us;
}

static struct run run_at(const struct search *search, wall_us start_us)
{
	return (struct run){
		.prepare_us = start_us - search->plan->settings.prepare_us,
		.start_us = start_us,
		.end_us = start_us + search->want.duration_us,
		.release_us = start_us + search->want.duration_us + search->plan->settings.stop_us,
	};
}

/* How many VMs the node can take at that time, and when it may be more. */
static void look(struct search *search, struct search_node *item, wall_us at_us)
{
	struct run run = run_at(search, at_us);
	bool pool = pool_fits(search->plan, item->node, search->want.spec->image, &run);
	uint32_t count = pool ? place_count(item->node, search->want.spec, &run, search->want.vms) : 0;
	wall_us next_us = item->next_us > at_us ? item->next_us : WALL_NEVER;

	search->want.looks--;
	if (!pool) {
		/* Pools empty when guests leave. */
		next_us = pool_next(search->plan, item->node, search->want.spec->image, &run) +
			  search->plan->settings.prepare_us;
	} else if (count < search->want.vms && (next_us == WALL_NEVER || count < item->count)) {
		next_us = fit(search, item->node, count + 1, at_us);
		if (search->want.spec->period_us && next_us <= at_us) {
			next_us = rate_next(item->node, run.start_us, run.end_us);
		}
	}
	next_us = next_us > at_us ? next_us : at_us + 1;
	/* One that was not due may only become due earlier: its place in the heap is kept by that. */
	if (item->next_us <= at_us || next_us < item->next_us) {
		item->next_us = next_us;
	}
	search->total += count;
	search->total -= item->count;
	item->count = count;
	item->seen_us = at_us;
}

void search_init(struct search *search, struct plan *plan, const struct search_want *want)
{
	const struct plan_settings *settings = &plan->settings;
	wall_us fetched_us = prep_earliest(plan, want->spec, 1);
	size_t n = plan->node_count;
	uint64_t most = 0;

	*search = (struct search){.plan = plan, .want = *want};
	search->heap = calloc(n ? n : 1, sizeof(*search->heap));
	assert(search->heap);
	for (size_t i = 0; i < n && (i < want->nodes || most < 2 * (uint64_t)want->vms); i++) {
		struct node *node = plan->nodes[n - 1 - i];
		uint32_t count = node_takes_new(node) ? place_most(plan, node, want->spec, want->vms) : 0;
		if (count == 0) {
			continue;
		}
		wall_us ready_us = prep_ready(node, want->spec->image);
		ready_us = (ready_us < WALL_NEVER ? ready_us : fetched_us) + settings->prepare_us;
		most += count;
		search->heap[search->count] = (struct search_node){
			.node = node,
			.next_us = ready_us > want->from_us ? ready_us : want->from_us,
		};
		sift_up(search->heap, search->count++);
	}
	if (search->count > want->looks / 2) {
		search->count = 0; /* looking at each of them once or twice seldom finds anything */
	}
}

void search_fini(struct search *search)
{
	free(search->heap);
	search->heap = NULL;
}

/* Looks again at those that could take some when they were looked at last, until it is clear that it is too few. */
static void look_again(struct search *search, wall_us at_us)
{
	/* Whatever moves towards the root changes places with what was visited already. */
	for (size_t i = 0; i < search->count && search->total >= search->want.vms && search->want.looks; i++) {
		if (search->heap[i].count > 0 && search->heap[i].seen_us < at_us) {
			look(search, &search->heap[i], at_us);
			sift_up(search->heap, i);
		}
	}
}

wall_us search_next(struct search *search, wall_us at_us)
{
	while (search->count && search->want.looks) {
		if (search->heap[0].next_us <= at_us) {
			look(search, &search->heap[0], at_us);
			sift_down(search->heap, search->count);
			continue;
		}
		if (search->total >= search->want.vms) {
			look_again(search, at_us);
			if (!search->want.looks) {
				break;
			}
		}
		if (search->total >= search->want.vms) {
			return at_us;
		}
		at_us = search->heap[0].next_us;
		if (at_us >= WALL_NEVER / 4) {
			break;
		}
	}
	return WALL_NEVER;
}

wall_us search_change(const struct search *search)
{
	return search->count ? search->heap[0].next_us : WALL_NEVER;
}
