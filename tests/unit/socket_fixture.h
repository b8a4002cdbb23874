/* A loop with a time limit and a listener on a unix socket in a folder of its own, for tests over real sockets. */
#ifndef TENURE_SOCKET_FIXTURE_H
#define TENURE_SOCKET_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
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

/* A bare, non-blocking socket connected to the listener, and the listener has counted it. */
static inline int bare_socket(const unsigned *accepted)
{
	unsigned before = *accepted;
	struct address to;

	ck_assert_int_eq(address_parse(address, &to, NULL), 0);
	int fd = socket(to.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert(connect(fd, (struct sockaddr *)&to.sa, to.len) == 0 || errno == EINPROGRESS);
	until(*accepted > before);
	return fd;
}

/* Reads until the other end closes, letting the loop run; at most size - 1 bytes are kept. How many came. */
static inline size_t pull(int fd, char *out, size_t size)
{
	static char buf[65536];
	size_t total = 0, kept = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) != 0) {
		if (n < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
			continue;
		}
		size_t take = (size_t)n < size - 1 - kept ? (size_t)n : size - 1 - kept;
		memcpy(out + kept, buf, take);
		kept += take;
		total += (size_t)n;
	}
	out[kept] = '\0';
	return total;
}

#endif
