/*
 * Room in the nodes' image pools over time. An image that guests booked on a node need takes room there from its
 * planned arrival (from now on if it is there) until the last of them is done with it; one that nobody needs may be
 * evicted at any time and takes none.
 */
#ifndef TENURE_POOL_H
#define TENURE_POOL_H

#include "plan_state.h"

/* False if the run's guest needs no image on its node: it brings its disk along. */
bool pool_wanted(const struct plan *plan, const struct run *run);
/* The same of a guest that is booked there; once it runs from a disk of its own it does no more. */
bool pool_guest_wants(const struct plan *plan, const struct guest *guest);
/*
 * How long the run's guest needs its image on its node: for good once it is suspended, unless the queue policy has it
 * brought anew.
 */
wall_us pool_run_until(const struct plan *plan, const struct run *run);
wall_us pool_guest_until(const struct plan *plan, const struct guest *guest);
/* The same of one that is suspended and has no plan: WALL_NEVER or 0. */
wall_us pool_rest_until(const struct plan *plan);

/* Brings the pool's table in line with the stage; to be called after anything about it changed. */
void pool_hold(struct stage *stage);
/*
 * The first time, not before from_us, from which there is room for the image as long as it is needed, and while it is
 * on its way, which takes length_us (0: it may be late); or WALL_NEVER.
 */
wall_us pool_free_from(const struct stage *stage, wall_us from_us, span_us length_us);
/* True if the stage's flight comes while the pool has no room for the image. */
bool pool_conflicts(const struct stage *stage);
/* True if the image could be there for the run: if it comes at the last moment or, if it is there now, stays. */
bool pool_fits(const struct plan *plan, const struct node *node, uint64_t image, const struct run *run);
/* When a run might want to prepare instead for that to be true, later than run->prepare_us; or WALL_NEVER. */
wall_us pool_next(const struct plan *plan, const struct node *node, uint64_t image, const struct run *run);
/* True if, from now on, the pool never holds more than it can of what is needed. */
bool pool_within(const struct plan *plan, const struct node *node);
/* What is needed was made to exceed the pool, by no plan of ours: that much is owed. */
void pool_owe(struct plan *plan, struct node *node);
/* The most bytes needed at one time in [from_us, to_us), from_us < to_us. */
int64_t pool_peak(const struct node *node, wall_us from_us, wall_us to_us);

#endif
