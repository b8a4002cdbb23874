/*
 * One stay of a unit of the queue on nodes that have its image, or will have it in time: where it can stay longest, and
 * cut short where it cannot stay to its end. For the queue policy "trial"; whose turn it is, and when, is the
 * caller's.
 */
#ifndef TENURE_STAY_H
#define TENURE_STAY_H

#include "start.h"

struct stay {
	wall_us from_us;  /* its nodes are busy with it from then on */
	span_us least_us; /* it must be able to run that long, or for all it has left */
	wall_us image_us; /* from when an image not yet under way may be there; WALL_NEVER = none is to be asked for */
	bool own;         /* suspended: only where it lies */
	bool now;  /* at the pass's earliest start, nobody made to leave: only nodes with room then need a look */
	bool soon; /* out, on failure: only the image is late, from_us is when it is there */
};

/* How long before it can go on the unit's nodes are busy with it. */
span_us stay_lead(const struct plan *plan, const struct unit *unit, bool own);
/* The run that begins so; for looking at nodes. */
struct run stay_run(const struct plan *plan, const struct unit *unit, const struct stay *stay);
/* Books the unit, whose guests are all queued or all suspended. On failure it is as before, but for soft transfers. */
bool stay_book(struct pass *pass, struct unit *unit, struct stay *stay);

#endif
