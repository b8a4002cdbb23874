/* What becomes of transfers: images that nodes say they have, or have no more, and transfers that begin or are late. */
#ifndef TENURE_ARRIVAL_H
#define TENURE_ARRIVAL_H

#include "plan_state.h"

/* The node says that the image is there, that it is not, or that it cannot be brought. */
void arrival_seen(struct plan *plan, struct node *node, uint64_t image);
void arrival_vanished(struct plan *plan, struct node *node, uint64_t image);
/* For good. What needs it there is the caller's. */
void arrival_failed(struct plan *plan, struct node *node, uint64_t image);
/* Shows transfers that began, and puts off those that are late. */
void arrival_tick(struct plan *plan);
/* When arrival_tick() has something to do; WALL_NEVER = nothing. */
wall_us arrival_next(const struct plan *plan);

#endif
