/* Remembers answers of slot tables as long as these say the same. Asks them nothing itself. */
#include "view.h"

#include <assert.h>
#include <stdlib.h>

#define VIEWS 4 /* of a node: what boots and what goes on, as long as it likes or for the least */
#define PARTS 8 /* of a view: about as many changes as there are until a search ends */

struct view {
	struct capacity per_vm, has;
	span_us lead_us, run_us, tail_us;
	struct slots *table; /* as it was; NULL = the view is not used */
	struct view_part part[PARTS];
	uint32_t parts; /* ever learnt: the newest are there */
	uint32_t turn;  /* of the first view: which one is to be forgotten next */
};

/* True if the view is for such runs. */
static bool is_for(const struct view *view, const struct capacity *per_vm, const struct run *run)
{
	return view->table && view->run_us == run->end_us - run->start_us &&
	       view->lead_us == run->start_us - run->prepare_us && view->tail_us == run->release_us - run->end_us &&
	       capacity_same(&view->per_vm, per_vm);
}

struct view *view_of(struct node *node, struct capacity per_vm, const struct run *run)
{
	struct view *view = NULL;

	if (!node->views) {
		node->views = calloc(VIEWS, sizeof(*node->views));
		assert(node->views);
	}
	for (int i = 0; i < VIEWS && !view; i++) {
		view = is_for(&node->views[i], &per_vm, run) ? &node->views[i] : NULL;
	}
	if (view && capacity_same(&view->has, &node->info.capacity) &&
	    slots_alike(view->table, node->slots, run->prepare_us)) {
		return view;
	}
	view = view ? view : &node->views[node->views->turn++ % VIEWS];
	slots_free(view->table);
	view->table = slots_copy(node->slots);
	view->per_vm = per_vm;
	view->has = node->info.capacity;
	view->lead_us = run->start_us - run->prepare_us;
	view->run_us = run->end_us - run->start_us;
	view->tail_us = run->release_us - run->end_us;
	view->parts = 0;
	return view->table ? view : NULL;
}

const struct view_part *view_recall(const struct view *view, wall_us start_us)
{
	uint32_t n = view->parts < PARTS ? view->parts : PARTS;

	for (uint32_t i = 0; i < n; i++) {
		if (start_us >= view->part[i].from_us && start_us <= view->part[i].to_us) {
			return &view->part[i];
		}
	}
	return NULL;
}

void view_learn(struct view *view, struct view_part part)
{
	view->part[view->parts++ % PARTS] = part;
}

void view_free(struct view *views)
{
	for (int i = 0; views && i < VIEWS; i++) {
		slots_free(views[i].table);
	}
	free(views);
}
