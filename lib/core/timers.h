/*
 * When time alone changes something: a heap of guests by that time. Most have theirs far in the future, and stay near
 * the leaves: setting and taking away touch few of the others.
 */
#ifndef TENURE_TIMERS_H
#define TENURE_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "usec.h"

struct guest;

struct timers {
	struct timer {
		wall_us at_us;
		struct guest *guest;
	} * item; /* none is before the one at (index - 1) / 2 */
	size_t count, room;
};

#define TIMER_NONE WALL_NEVER

/* Sets the guest's timer, or moves it; TIMER_NONE takes it away. */
void timers_set(struct timers *timers, struct guest *guest, wall_us at_us);
/* When it is due, or TIMER_NONE. */
wall_us timers_at(const struct timers *timers, const struct guest *guest);
/* The guest whose timer is due first, of several the one of the lowest lease, then index; NULL = none is set. */
struct guest *timers_first(const struct timers *timers);
void timers_fini(struct timers *timers);

#endif
