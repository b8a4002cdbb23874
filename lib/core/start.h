/* Starting the units of the queue: at once, or at the earliest time there is; and resuming them. */
#ifndef TENURE_START_H
#define TENURE_START_H

#include "room.h"

/* One pass over the queue. */
struct pass {
	struct plan *plan;
	struct room room;
	struct choices choices;
	uint32_t reservations; /* how many more may be given */
	bool closed;           /* nobody starts any more: one who waits may not be overtaken */
	uint32_t moves;        /* of those that have their places already, so many more are given better ones */
	uint32_t staged;       /* leases that wait for nothing but their image */
	uint32_t vain;         /* how many found room, but not for when their image would be there */
	wall_us tried_us;      /* the start the last attempt tried last */
	bool missed;           /* the last attempt failed as there was no room, whatever the image */
};

/* False if units of that lease may start only where their image is already, and it is nowhere. */
bool start_staged(const struct pass *pass, const struct lease_spec *spec);
/* The unit's guests are queued. It is booked to boot as soon as its image allows; false if there is no room then. */
bool start_boot_now(struct pass *pass, struct unit *unit);
/* The same at the earliest time with room for it, wherever that is; false if there is none. */
bool start_boot_later(struct pass *pass, struct unit *unit);
/* True if the unit, planned for later, could start at once beside its own plan. */
bool start_possible_now(struct pass *pass, struct unit *unit);
/*
 * The unit's guests are suspended and go on: on their own nodes as soon as these can restore them or, if settings let
 * them, on others; or later.
 */
bool start_resume_now(struct pass *pass, struct unit *unit);
bool start_resume_later(struct pass *pass, struct unit *unit);
/* Sets count on each seat's node to how many of the unit's guests are there. */
void start_count(const struct unit *unit);
/* Sets limit_us on each seat's node to when, from from_us on, something is in the way of the unit's guests there. */
void start_limit(const struct unit *unit, wall_us from_us);

#endif
