/* Telling systemd how we are, through sd_notify(3). What it answers is no concern of ours: without it we go on. */
#include "notify.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "clock.h"

/* Fields are separated by newlines, so only the first line of a status is sent. */
static int first_line(const char *status)
{
	return (int)strcspn(status, "\n");
}

void notify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%.*s", first_line(status), status);
}

void notify_status(const char *status)
{
	sd_notifyf(0, "STATUS=%.*s", first_line(status), status);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_reloading(void)
{
	/* Type=notify-reload wants to know that this is about the reload it has just asked for. */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono());
}

static void ping(evutil_socket_t fd, short what, void *arg)
{
	struct event_base *base = arg;
	uint64_t limit_us;
	struct timeval half;

	(void)fd;
	(void)what;
	if (sd_watchdog_enabled(0, &limit_us) <= 0) {
		return;
	}
	sd_notify(0, "WATCHDOG=1");
	half.tv_sec = (time_t)(limit_us / 2 / 1000000);
	half.tv_usec = (suseconds_t)(limit_us / 2 % 1000000);
	/* Once and again, not EV_PERSIST: events made this way are freed with the base. */
	event_base_once(base, -1, EV_TIMEOUT, ping, base, &half);
}

void notify_watchdog(struct event_base *base)
{
	ping(-1, 0, base);
}
