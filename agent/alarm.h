/* A timer on the wall clock that also fires when somebody sets that clock. */
#ifndef TENURE_ALARM_H
#define TENURE_ALARM_H

#include <event2/event.h>

#include "err.h"
#include "usec.h"

struct alarm;

/* fired() is called from the loop when the time has come, and when the clock was set: look at the clock again. */
struct alarm *alarm_new(struct event_base *base, void (*fired)(void *arg), void *arg, struct err *err);
void alarm_free(struct alarm *alarm);
/* Replaces what was set before. WALL_NEVER: only when the clock is set. A time that has passed fires at once. */
void alarm_set(struct alarm *alarm, wall_us at_us);

#endif
