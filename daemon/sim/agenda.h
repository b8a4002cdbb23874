/* What is due when: a binary heap of things that know their place in it, so that any of them can be moved. */
#ifndef TENURE_SIM_AGENDA_H
#define TENURE_SIM_AGENDA_H

#include <stddef.h>

#include "usec.h"

/* Embedded in what is due. Of one instant the lowest rank comes first, then the lowest key: no two may be equal. */
struct due {
	wall_us at_us;
	uint32_t rank;
	uint64_t key;
	size_t place; /* the agenda's: 1 + its index in the heap, 0 = not in it */
};

/* Zero-initialise; free with agenda_fini(). Holds pointers, which must stay valid while they are in it. */
struct agenda {
	struct due **item;
	size_t count, room;
};

/* Puts it in, or moves it; WALL_NEVER or later takes it out. */
void agenda_set(struct agenda *agenda, struct due *due, wall_us at_us);
/* The first that is due, still in the agenda; NULL if there is none. */
struct due *agenda_first(const struct agenda *agenda);
void agenda_fini(struct agenda *agenda);

#endif
