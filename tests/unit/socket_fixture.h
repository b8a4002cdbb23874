/* A loop with a time limit and a listener on a unix socket in a folder of its own, for tests over real sockets. */
#ifndef TENURE_SOCKET_FIXTURE_H
#define TENURE_SOCKET_FIXTURE_H

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn.h"

static struct event_base *base;
static struct listener *listener;
static char dir[] = "/tmp/tenure-socket-XXXXXX";
static char address[64];
static struct event *guard;

static inline void too_slow(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ck_abort_msg("nothing came of it in 20 s");
}

#define until(condition)                                    \
	do {                                                \
		while (!(condition)) {                      \
			event_base_loop(base, EVLOOP_ONCE); \
		}                                           \
	} while (0)

static inline void set_flag(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Runs the loop for that long, at most a second. */
static inline void let_pass(span_us span)
{
	struct timeval tv = {.tv_usec = span};
	bool over = false;

	event_base_once(base, -1, EV_TIMEOUT, set_flag, &over, &tv);
	until(over);
}

static inline void listen_begin(unsigned max_conns, void (*accepted)(struct conn *conn, void *arg))
{
	struct timeval limit = {.tv_sec = 20};
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	guard = evtimer_new(base, too_slow, NULL);
	evtimer_add(guard, &limit);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(address, sizeof(address), "unix:%s/s", dir);
	listener = listener_new(base, address, "", 0666, max_conns, accepted, NULL, &err);
	ck_assert_msg(listener != NULL, "%s", err.text);
}

static inline void listen_end(void)
{
	listener_free(listener);
	event_free(guard);
	event_base_free(base);
	ck_assert_int_eq(rmdir(dir), 0); /* the socket is gone */
}

#endif
