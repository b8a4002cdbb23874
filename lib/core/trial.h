/*
 * The queue policy "trial": every lease gets a first run of some hours soon, whatever its size; after that the ones
 * with most left to run come first, as who ends last should not begin last; and nobody loses time without bound.
 */
#ifndef TENURE_TRIAL_H
#define TENURE_TRIAL_H

#include "start.h"

#define TRIAL_TICK (10 * USEC_PER_MINUTE) /* that finely its rules of hours are told */
#define TRIAL_LITTLE (60 * USEC_PER_SEC)  /* who has less left to run goes on where it lies, if it can */

/* A pass over the queue. */
struct trial {
	struct pass pass;
	struct turn *waiting; /* in order: plan->order */
	size_t count;
	struct turn *front; /* of them those that are not in the backlog's order */
	size_t front_count, front_room;
	struct contract **running;
	size_t running_count, running_room;
	const struct contract *eldest; /* whose lost time is too much; NULL = nobody's */
	span_us excess_us;             /* by how much the most that anybody lost is too much; below 0: it is not */
	const struct contract *holder; /* of the reservation; NULL = nobody */
	wall_us far_us;                /* what the pass remembers of who can have none holds from then on */
};

void trial_pass(struct plan *plan);
int64_t trial_rest_key(const struct contract *contract);

/* Whether the suspended unit may go on elsewhere than it lies. */
bool trial_moves(const struct plan *plan, const struct unit *unit);
/* Whether the lease, running, may be suspended for another's reservation. */
bool trial_yields(const struct trial *trial, const struct contract *victim, const struct contract *other);

/* True if the lease waits for its first run and has for long, but is not the eldest: to all such the same ones yield.
 */
bool trial_patient(const struct trial *trial, const struct contract *contract);

/* The unit, to which no node can be given at once, gets the reservation; false if it cannot be had at any time. */
bool reserve_unit(struct trial *trial, struct contract *contract, struct unit *unit);
/* True if there is no room for the unit, which has the reservation, at once; or none that is of use. */
bool reserve_stands(struct trial *trial, struct contract *contract, struct unit *unit);

#endif
