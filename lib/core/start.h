/* Starting the units of the queue: at once, or at the earliest time there is; and resuming them. */
#ifndef TENURE_START_H
#define TENURE_START_H

#include "pick.h"

/*
 * True if n VMs of that lease surely cannot boot at once, for want of nodes with room or, if no more may wait for their
 * images, with room and their image.
 */
bool start_vain(struct pass *pass, const struct lease_spec *spec, uint32_t n, span_us left_us);
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
