/* The links as they were, for when what was tried may have moved, dropped or added any of what is on them. */
#ifndef TENURE_STASH_H
#define TENURE_STASH_H

#include "plan_state.h"

struct stash {
	struct flight *flight; /* copies, in the order of their links */
	size_t count, room;
	struct stash_seat *seat; /* who is aboard, flight after flight */
	size_t seats, seat_room;
	bool stale[LINKS], changed[LINKS], laid[LINKS];
};

/* Remembers all that is on the links. The caller ends with stash_fini(). */
void stash_links(const struct plan *plan, struct stash *out);
/*
 * Puts all of it back, times and ids, and takes off what came since. Of images that have come or failed meanwhile it
 * knows nothing: to be called in the same step, when the guests are booked as they were.
 */
void stash_return(struct plan *plan, const struct stash *stash);
void stash_fini(struct stash *stash);

#endif
