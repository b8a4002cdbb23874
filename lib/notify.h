/* Telling systemd how we are (sd_notify); does nothing when systemd does not listen. */
#ifndef TENURE_NOTIFY_H
#define TENURE_NOTIFY_H

#include <event2/event.h>

/* Of a status the first line is sent. */
void notify_ready(const char *status);
void notify_status(const char *status);
void notify_stopping(void);
void notify_reloading(void);
/* If the unit has WatchdogSec=, pings twice in it from the loop, so that a hung loop is noticed. Freed with the base.
 */
void notify_watchdog(struct event_base *base);

#endif
