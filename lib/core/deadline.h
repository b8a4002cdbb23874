/* Deadline leases that wait may be moved within their time, so that others fit in. */
#ifndef TENURE_DEADLINE_H
#define TENURE_DEADLINE_H

#include "place.h"
#include "stash.h"

/* Leases taken out of the slot table, least slack first. */
struct moves {
	struct move *item;
	size_t count, room;
	struct stash stash; /* the links before */
};

/* By slack: the latest start that will do, then by id. */
int deadline_compare(const struct contract *a, const struct contract *b);
/*
 * Takes out those that are booked at some time in [from_us, to_us) and not begun. False if there are none; else the
 * caller ends with deadline_settle() and deadline_fini(), or with deadline_return() and deadline_fini().
 */
bool deadline_lift(struct plan *plan, struct moves *moves, wall_us from_us, wall_us to_us);
/* Books them all anew, where they were if that can still be, else as early as they can. False: none is. */
bool deadline_settle(struct plan *plan, struct moves *moves);
/* Books them all as they were, with nothing else changed since deadline_lift(). */
void deadline_return(struct plan *plan, struct moves *moves);
void deadline_fini(struct moves *moves);

#endif
