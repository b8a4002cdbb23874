/*
 * One connection: lines in, bytes out, limits on both, and an orderly end. What the lines mean is the owner's (rpc.c);
 * listening is listener.c's.
 *
 * The owner may close a connection from inside any of its callbacks: busy counts the callbacks we are in, and the
 * outermost one frees. A failure found in the middle of the owner's call is told from the event loop, never from there.
 *
 * The end of the input (half-close) is no failure yet: scripts send their lines, shut down their side and wait for the
 * answers. The connection ends when nothing is left to be answered or sent, or when the peer is found to be gone.
 */
#include "conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "conn_internal.h"
#include "util.h"
#include "wire.h"

#define CONNECT_US (10 * USEC_PER_SEC) /* a node in the same cluster answers in milliseconds */
#define DRAIN_US (5 * USEC_PER_SEC)
#define LOOK_US USEC_PER_SEC /* between looks whether a peer that has ended its side is there: no event tells */
#define LINES_PER_PASS 256   /* then others have their turn: about 5 ms of small requests */

enum conn_state {
	CONN_CONNECTING,
	CONN_OPEN,
	CONN_CLOSING, /* the owner has let go, the rest is being sent */
	CONN_DEAD     /* to be freed as soon as no callback is under way */
};

struct conn {
	enum conn_state state;
	struct bufferevent *bev;
	struct event *connecting; /* NULL once open */
	struct event *later;      /* at once, but from the loop: tells a failure, or goes on reading */
	struct event *timer;      /* open: idle time, if over the next look; closing: the time for the rest */
	const struct conn_ops *ops;
	void *arg;
	struct conn_peer peer;
	span_us idle;
	span_us linger; /* if over, what is left of it */
	bool over;      /* the peer has ended its sending side */
	bool held;
	bool paused;
	unsigned busy;
	size_t scanned; /* bytes of the input known to hold no newline */
	char why[160];  /* set: this connection has failed and its owner will be told */
	void (*gone)(void *arg);
	void *gone_arg;
};

static struct timeval to_timeval(span_us span)
{
	struct timeval tv = {.tv_sec = span / USEC_PER_SEC, .tv_usec = span % USEC_PER_SEC};

	return tv;
}

static void timer_start(struct event *ev, span_us span)
{
	struct timeval tv = to_timeval(span);

	evtimer_add(ev, &tv);
}

static struct evbuffer *output(const struct conn *conn)
{
	return bufferevent_get_output(conn->bev);
}

static void conn_free(struct conn *conn)
{
	if (conn->connecting) {
		event_free(conn->connecting);
	}
	event_free(conn->later);
	event_free(conn->timer);
	bufferevent_free(conn->bev);
	if (conn->gone) {
		conn->gone(conn->gone_arg);
	}
	free(conn);
}

static void enter(struct conn *conn)
{
	conn->busy++;
}

/* False if the connection has been freed. */
static bool leave(struct conn *conn)
{
	conn->busy--;
	if (conn->state == CONN_DEAD && !conn->busy) {
		conn_free(conn);
		return false;
	}
	return true;
}

static void dispose(struct conn *conn)
{
	conn->state = CONN_DEAD;
	if (!conn->busy) {
		conn_free(conn);
	}
}

/* Ends the connection and tells its owner, if it still has one. From the loop only. */
static void fail(struct conn *conn, const char *why)
{
	bool owned = conn->state != CONN_CLOSING && conn->ops;

	assert(!conn->busy);
	enter(conn);
	conn->state = CONN_DEAD;
	if (owned) {
		conn->ops->closed(conn, why, conn->arg);
	}
	leave(conn);
}

static void __attribute__((format(printf, 2, 3))) fail_later(struct conn *conn, const char *format, ...)
{
	va_list ap;

	if (conn->why[0]) {
		return;
	}
	va_start(ap, format);
	vsnprintf(conn->why, sizeof(conn->why), format, ap);
	va_end(ap);
	timer_start(conn->later, 0);
}

static void idle_restart(struct conn *conn)
{
	if (conn->state != CONN_OPEN || conn->over) {
		return;
	}
	if (conn->idle > 0 && !conn->held) {
		timer_start(conn->timer, conn->idle);
	} else {
		evtimer_del(conn->timer);
	}
}

/* Hands the owner the next whole line; false if there is none. */
static bool read_line(struct conn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->bev);
	size_t have = evbuffer_get_length(in);
	struct evbuffer_ptr at;
	char *line;

	if (have == conn->scanned) {
		return false;
	}
	evbuffer_ptr_set(in, &at, conn->scanned, EVBUFFER_PTR_SET);
	at = evbuffer_search(in, "\n", 1, &at);
	if (at.pos < 0 ? have > WIRE_LINE_MAX : at.pos > (ssize_t)WIRE_LINE_MAX) {
		fail_later(conn, "line of more than %u bytes", WIRE_LINE_MAX);
		return false;
	}
	if (at.pos < 0) {
		conn->scanned = have;
		return false;
	}
	conn->scanned = 0;
	line = (char *)evbuffer_pullup(in, at.pos + 1);
	line[at.pos] = '\0';
	idle_restart(conn);
	conn->ops->line(conn, line, (size_t)at.pos, conn->arg);
	evbuffer_drain(in, (size_t)at.pos + 1);
	return true;
}

static bool readable(const struct conn *conn)
{
	return conn->state == CONN_OPEN && !conn->paused && !conn->why[0];
}

/* Both directions are shut, or the socket has failed. Over TCP a peer that is gone shows only after we have sent. */
static bool hung_up(const struct conn *conn)
{
	struct pollfd fd = {.fd = bufferevent_getfd(conn->bev)};

	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR));
}

/* Ends a connection whose peer sends no more, if nothing is left to do for it. */
static void end_if_over(struct conn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->bev);

	if (conn->state != CONN_OPEN || !conn->over || evbuffer_get_length(in) > conn->scanned) {
		return;
	}
	if ((!conn->held && evbuffer_get_length(output(conn)) == 0) || hung_up(conn)) {
		fail_later(conn, "closed by the peer");
	}
}

static void read_lines(struct conn *conn)
{
	unsigned n = 0;

	enter(conn);
	while (n < LINES_PER_PASS && readable(conn) && read_line(conn)) {
		n++;
	}
	if (!leave(conn) || !readable(conn)) {
		return;
	}
	if (n == LINES_PER_PASS) {
		timer_start(conn->later, 0);
	} else {
		end_if_over(conn);
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	read_lines(arg);
}

/* All is sent. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct conn *conn = arg;

	(void)bev;
	if (conn->state == CONN_CLOSING) {
		dispose(conn);
	} else {
		end_if_over(conn);
	}
}

static void look_later(struct conn *conn)
{
	span_us span = conn->linger < LOOK_US ? conn->linger : LOOK_US;

	conn->linger -= span;
	timer_start(conn->timer, span);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *conn = arg;

	(void)bev;
	if ((what & BEV_EVENT_EOF) && conn->state == CONN_OPEN) {
		conn->over = true;
		look_later(conn);
		read_lines(conn);
	} else if (what & BEV_EVENT_TIMEOUT) {
		fail(conn, "the peer does not read");
	} else {
		fail(conn, strerror(EVUTIL_SOCKET_ERROR()));
	}
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->why[0]) {
		fail(conn, conn->why);
	} else {
		read_lines(conn);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->state == CONN_CLOSING) {
		dispose(conn);
	} else if (!conn->over) {
		fail(conn, "idle: no whole line came in time");
	} else if (hung_up(conn)) {
		fail(conn, "closed by the peer");
	} else if (conn->linger == 0) {
		fail(conn, "closed by the peer, long before it could be answered");
	} else {
		look_later(conn);
	}
}

static struct conn *conn_new(struct event_base *base, int fd, enum conn_state state)
{
	struct conn *conn = xcalloc(1, sizeof(*conn));

	conn->state = state;
	conn->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	conn->later = evtimer_new(base, on_later, conn);
	conn->timer = evtimer_new(base, on_timer, conn);
	/* One byte more than a line and its newline need: enough to see that a line is too long. */
	bufferevent_setwatermark(conn->bev, EV_READ, 0, WIRE_LINE_MAX + 2);
	bufferevent_setcb(conn->bev, on_read, on_written, on_event, conn);
	bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
	conn_set_stall(conn, CONN_STALL_US);
	conn_set_linger(conn, CONN_LINGER_US);
	return conn;
}

/* fd is connected: who is at the other end, and no waiting for full packets. */
static void set_peer(struct conn *conn, int fd, const struct sockaddr *sa)
{
	struct conn_peer *peer = &conn->peer;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int on = 1;

	if (sa->sa_family != AF_UNIX) {
		address_text(sa, peer->address);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	} else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
		peer->local = true;
		peer->uid = cred.uid;
		peer->gid = cred.gid;
		peer->pid = cred.pid;
		snprintf(peer->address, sizeof(peer->address), "unix:%d", (int)cred.pid);
	}
}

void conn_adopt(struct event_base *base, int fd, const struct sockaddr *sa, void (*gone)(void *arg), void *gone_arg,
		void (*accepted)(struct conn *conn, void *arg), void *arg)
{
	struct conn *conn = conn_new(base, fd, CONN_OPEN);

	conn->gone = gone;
	conn->gone_arg = gone_arg;
	set_peer(conn, fd, sa);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
	enter(conn);
	accepted(conn, arg);
	if (!conn->ops) {
		conn_close(conn);
	}
	leave(conn);
}

static void on_connecting(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof(sa);
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT) {
		error = ETIMEDOUT;
	} else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) ||
		   (!error && getpeername(fd, (struct sockaddr *)&sa, &sa_len))) {
		error = errno;
	}
	if (error) {
		fail(conn, strerror(error));
		return;
	}
	event_free(steal(&conn->connecting));
	conn->state = CONN_OPEN;
	set_peer(conn, fd, (struct sockaddr *)&sa);
	bufferevent_enable(conn->bev, conn->paused ? EV_WRITE : EV_READ | EV_WRITE);
	idle_restart(conn);
	enter(conn);
	if (conn->ops->opened) {
		conn->ops->opened(conn, conn->arg);
	}
	leave(conn);
}

struct conn *conn_open(struct event_base *base, const char *address, const char *plaintext, const struct conn_ops *ops,
		       void *arg, struct err *err)
{
	struct timeval limit = to_timeval(CONNECT_US);
	struct address to;
	struct conn *conn;
	int fd;

	if (address_parse(address, &to, err) || address_plaintext_check(&to, plaintext, err)) {
		return NULL;
	}
	fd = socket(to.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	conn = conn_new(base, fd, CONN_CONNECTING);
	conn_set_ops(conn, ops, arg);
	address_text((struct sockaddr *)&to.sa, conn->peer.address);
	if (fd < 0 || (connect(fd, (struct sockaddr *)&to.sa, to.len) && errno != EINPROGRESS)) {
		fail_later(conn, "%s", strerror(errno));
	} else {
		conn->connecting = event_new(base, fd, EV_WRITE, on_connecting, conn);
		event_add(conn->connecting, &limit);
	}
	return conn;
}

void conn_set_ops(struct conn *conn, const struct conn_ops *ops, void *arg)
{
	conn->ops = ops;
	conn->arg = arg;
}

void conn_send(struct conn *conn, const char *data, size_t len)
{
	if ((conn->state != CONN_OPEN && conn->state != CONN_CONNECTING) || conn->why[0]) {
		return;
	}
	if (evbuffer_get_length(output(conn)) + len > CONN_OUT_MAX) {
		fail_later(conn, "the peer reads too slowly: more than %u bytes are waiting for it", CONN_OUT_MAX);
	} else if (bufferevent_write(conn->bev, data, len)) {
		fail_later(conn, "out of memory");
	}
}

/* Writes what the socket takes right now, so that a program that stops its loop after closing loses nothing. */
static void flush(struct conn *conn)
{
	evbuffer_unfreeze(output(conn), 1);
	(void)evbuffer_write(output(conn), bufferevent_getfd(conn->bev));
	evbuffer_freeze(output(conn), 1);
}

void conn_close(struct conn *conn)
{
	if (conn->state == CONN_CLOSING || conn->state == CONN_DEAD) {
		return;
	}
	if (conn->state == CONN_CONNECTING || conn->why[0]) {
		dispose(conn);
		return;
	}
	conn->state = CONN_CLOSING;
	bufferevent_disable(conn->bev, EV_READ);
	evtimer_del(conn->later);
	flush(conn);
	if (evbuffer_get_length(output(conn)) == 0) {
		dispose(conn);
	} else {
		timer_start(conn->timer, DRAIN_US);
	}
}

void conn_set_idle(struct conn *conn, span_us idle)
{
	conn->idle = idle;
	idle_restart(conn);
}

void conn_hold(struct conn *conn, bool hold)
{
	conn->held = hold;
	idle_restart(conn);
	end_if_over(conn);
}

void conn_set_stall(struct conn *conn, span_us stall)
{
	struct timeval tv = to_timeval(stall);

	bufferevent_set_timeouts(conn->bev, NULL, &tv);
}

void conn_set_linger(struct conn *conn, span_us linger)
{
	conn->linger = linger;
}

void conn_pause(struct conn *conn, bool pause)
{
	if (conn->paused == pause) {
		return;
	}
	conn->paused = pause;
	if (conn->state != CONN_OPEN) {
		return;
	}
	if (pause) {
		bufferevent_disable(conn->bev, EV_READ);
	} else {
		if (!conn->over) {
			bufferevent_enable(conn->bev, EV_READ);
		}
		/* Lines that are here already announce themselves no more. */
		timer_start(conn->later, 0);
	}
}

const struct conn_peer *conn_peer(const struct conn *conn)
{
	return &conn->peer;
}
