/*
 * Open leases until they are called: nodes are kept for them from the begin of their window on, which best-effort
 * leases may use meanwhile, as they can be stopped in time. The call itself is call.c's.
 */
#ifndef TENURE_OPEN_H
#define TENURE_OPEN_H

#include "place.h"

/*
 * Puts the whole lease on standby; a window that has begun begins now. False with the reason; then nothing is changed.
 */
bool open_admit(struct plan *plan, struct contract *contract, struct reason *reason);
/* Puts into plan->offer what could be had instead of a lease that was refused for that reason, if anything. */
void open_offer(struct plan *plan, struct contract *contract, const struct reason *reason);
/* Keeps its nodes for another duration, or says why not; the unit is all of the lease. */
bool open_resize(struct plan *plan, struct unit *unit, span_us duration_us, struct reason *reason);
/* Its window began, or ended without a call; and when that is. */
void open_due(struct plan *plan, struct guest *guest);
wall_us open_next(const struct guest *guest);

#endif
