/* Suspending best-effort guests: when, as a node saves and restores one guest at a time, and whom. */
#ifndef TENURE_PREEMPT_H
#define TENURE_PREEMPT_H

#include "place.h"

/*
 * The latest instant at which all guests of the unit can stop, so that on each of their nodes all are saved, one after
 * another and not while others are saved or restored there, by node->limit_us (set by the caller on every seat's node).
 * The unit must be lifted. May be in the past.
 */
wall_us preempt_end(struct plan *plan, const struct unit *unit);
/*
 * The earliest instant, not before start_us, at which all guests of the unit can go on, so that on each of their nodes
 * restoring takes the node->restore_us before it (set by the caller) and nobody else is saved or restored then. The
 * unit must be lifted.
 */
wall_us preempt_restored(const struct unit *unit, wall_us start_us);

/* Room an advance reservation wants made. */
struct preempt_want {
	const struct unit *unit;
	const struct run *run;
	bool staged_only;    /* only nodes that have the image in time are of use */
	wall_us earliest_us; /* out: the start by which too late victims could be saved; 0 = there are none */
};

/* Whose runs were cut, and how to put them back. */
struct victim {
	struct unit unit;
	struct run cut;
	bool requeue; /* it has hardly begun: it goes back to the queue whole */
};
struct victims {
	struct victim *item;
	size_t count, room;
};

/*
 * Cuts the runs of best-effort leases (youngest first, and none more than needed) until the unit fits. False if that is
 * not enough; then all is as before. On success the caller ends with preempt_keep() or preempt_undo().
 */
bool preempt_for(struct plan *plan, struct preempt_want *want, struct victims *out);
void preempt_keep(struct plan *plan, struct victims *victims, uint64_t lease);
void preempt_undo(struct plan *plan, struct victims *victims);

#endif
