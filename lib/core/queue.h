/* The best-effort queue: first come, first served, with EASY backfilling and suspension around reservations. */
#ifndef TENURE_QUEUE_H
#define TENURE_QUEUE_H

#include "place.h"

/* Drops every best-effort plan that is no promise yet. */
void queue_drop(struct plan *plan);
/* Plans anew who runs where and when, from now on. Calls queue_drop() itself. */
void queue_pass(struct plan *plan);
/* Plans the lease as if it had the one reservation; for plan_ask(). */
void queue_reserve(struct plan *plan, struct contract *contract);
/* Books a queued unit at the earliest time its image allows, waiting for nobody; for immediate leases. */
bool queue_boot_now(struct plan *plan, struct unit *unit);
/*
 * The same when nothing is new but leases, plan->arrived: whoever of them cannot start now waits, as it would after a
 * pass over the whole queue.
 */
void queue_arrivals(struct plan *plan);
/* Gives a unit under way (guest NULL: the gang) all the time it is owed, or as much as there is room for; never less
 * than it has. */
void queue_refit(struct plan *plan, struct contract *contract, struct guest *guest);

#endif
