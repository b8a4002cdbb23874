/*
 * The best-effort leases in two parts: those that wait with nothing planned, of which there may be thousands, in the
 * order of the queue; and all others. A pass goes through the first without a look at the leases themselves.
 */
#ifndef TENURE_BACKLOG_H
#define TENURE_BACKLOG_H

#include "plan_state.h"
#include "room.h"

/* The key of equal ones, who come by submission. */
static inline int64_t backlog_turn(const struct contract *contract)
{
	return (int64_t)(contract->lease.id & INT64_MAX); /* the greatest is that of a question */
}
/* A best-effort lease comes, as one of the others, or goes. */
void backlog_add(struct plan *plan, struct contract *contract);
void backlog_remove(struct plan *plan, struct contract *contract);
/* Puts every lease touched in this step where it belongs; to be called before those are forgotten, or for a pass. */
void backlog_sync(struct plan *plan);
/* The same of all, for a planner that was rebuilt. */
void backlog_rebuild(struct plan *plan);
/* What is known of the lease whatever its place in the queue, key apart. */
struct turn backlog_look(struct contract *contract);
/*
 * True if the waiting lease finds too few places for its VMs at the pass's earliest start, for all the pass knows so
 * far; false too of those of which the backlog does not know that they need places.
 */
bool backlog_short(const struct plan *plan, const struct turn *turn, const struct room *room);

#endif
