/*
 * What the searches for room found out of a node, remembered from one to the next: most tables are the same for hours,
 * and each search would ask them the same again. Nothing else depends on it: a view is as good as new.
 */
#ifndef TENURE_VIEW_H
#define TENURE_VIEW_H

#include "plan_state.h"

/* For all starts in [from_us, to_us], also the last. */
struct view_part {
	wall_us from_us, to_us;
	wall_us next_us; /* when that may be different */
	bool fits;       /* a run that begins then has room */
};

struct view;

/*
 * The node's view for runs of such VMs that take as long as this one, which boots and is the first to be asked for. It
 * is empty unless since it was learnt from the node has what it had, and its table says from the run's preparation on
 * what it said; NULL if the table is too large to tell. The node's, until the next call.
 */
struct view *view_of(struct node *node, struct capacity per_vm, const struct run *run);
/* What is known of that start; NULL = nothing. */
const struct view_part *view_recall(const struct view *view, wall_us start_us);
void view_learn(struct view *view, struct view_part part);
/* All of a node's; NULL is allowed. */
void view_free(struct view *views);

#endif
