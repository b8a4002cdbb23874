/*
 * Constraints in the plan: whether a node can give all guests with slice and period that run there at one time what
 * they were promised. Who is packed onto which CPU is the node's affair; that it is possible, edf_pack() tells both.
 */
#ifndef TENURE_RATE_H
#define TENURE_RATE_H

#include "plan_state.h"

/*
 * Makes of the cpu asked for what the constraint takes of a node, which is what the slot table counts; without a
 * constraint nothing. The core's cost is in it as it is on the cheapest node: that of each node counts when VMs are put
 * there.
 */
void rate_spec(const struct plan *plan, struct lease_spec *spec);
/* True if slice and period are both 0, or make sense together. */
bool rate_sane(const struct lease_spec *spec);

/* How many VMs of that lease, which has a constraint, the node could keep if it were empty; 0..limit. */
uint32_t rate_most(const struct node *node, const struct lease_spec *spec, uint32_t limit);
/*
 * The same beside those booked there in [from_us, to_us). firm: beside promises and what is on standby; else beside
 * promises and best-effort guests.
 */
uint32_t rate_count(const struct node *node, const struct lease_spec *spec, wall_us from_us, wall_us to_us, bool firm,
		    uint32_t limit);
/* The first time at or after from_us when n VMs could not be kept beside the others, or WALL_NEVER. */
wall_us rate_until(const struct node *node, const struct lease_spec *spec, uint32_t n, wall_us from_us, bool firm);
/* When first, after from_us, one of those is gone who are there in [from_us, to_us), or WALL_NEVER. */
wall_us rate_next(const struct node *node, wall_us from_us, wall_us to_us);
/* True if all that are booked there in [from_us, to_us) can be kept. */
bool rate_holds(const struct node *node, wall_us from_us, wall_us to_us, bool firm);
/* The same from now on, and both ways. */
bool rate_keeps(const struct plan *plan, const struct node *node);

/* True if an empty node, at least one, could keep one VM; else why none could. */
bool rate_possible(const struct plan *plan, const struct lease_spec *spec, struct reason *reason);
/* The same of one node. */
bool rate_possible_on(const struct node *node, const struct lease_spec *spec, struct reason *reason);

#endif
