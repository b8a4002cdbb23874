/* timerfd on CLOCK_REALTIME with TFD_TIMER_CANCEL_ON_SET: a jump of the clock must be noticed at once. */
#include "alarm.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#include "util.h"

/* Linux notices a set clock only while the timer is armed: 2^31 s is "never" and within every time_t. */
#define FAR_US (INT64_C(2147483648) * USEC_PER_SEC)

struct alarm {
	int fd;
	struct event *event;
	void (*fired)(void *arg);
	void *arg;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct alarm *alarm = arg;
	uint64_t times;

	(void)what;
	/* ECANCELED: the clock was set. EAGAIN: it was set again while we looked. All mean: look at the clock. */
	if (read(fd, &times, sizeof(times)) < 0 && errno == EAGAIN) {
		return;
	}
	alarm->fired(alarm->arg);
}

struct alarm *alarm_new(struct event_base *base, void (*fired)(void *arg), void *arg, struct err *err)
{
	struct alarm *alarm = xcalloc(1, sizeof(*alarm));

	alarm->fired = fired;
	alarm->arg = arg;
	alarm->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (alarm->fd < 0) {
		err_set(err, ERR_INTERNAL, "cannot make a timer: %s", strerror(errno));
		free(alarm);
		return NULL;
	}
	alarm->event = event_new(base, alarm->fd, EV_READ | EV_PERSIST, on_timer, alarm);
	event_add(alarm->event, NULL);
	alarm_set(alarm, WALL_NEVER);
	return alarm;
}

void alarm_free(struct alarm *alarm)
{
	if (!alarm) {
		return;
	}
	event_free(alarm->event);
	close(alarm->fd);
	free(alarm);
}

void alarm_set(struct alarm *alarm, wall_us at_us)
{
	struct itimerspec when = {0};

	/* 0 would disarm it. */
	at_us = at_us < 1 ? 1 : at_us > FAR_US ? FAR_US : at_us;
	when.it_value.tv_sec = at_us / USEC_PER_SEC;
	when.it_value.tv_nsec = at_us % USEC_PER_SEC * 1000;
	timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
}
