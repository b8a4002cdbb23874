/*
 * Connections on libevent: listening and connecting over unix sockets and TCP, lines in and out, limits. The program
 * must ignore SIGPIPE. A line of more than WIRE_LINE_MAX bytes ends the connection.
 */
#ifndef TENURE_CONN_H
#define TENURE_CONN_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "usec.h"

#define CONN_OUT_MAX (16u << 20)          /* unsent bytes; a peer that reads no more than this is closed */
#define CONN_STALL_US (30 * USEC_PER_SEC) /* a peer that takes nothing of what waits for it for so long is closed */
/*
 * How long a peer that has ended its sending side may wait for answers. One that died behind TCP looks the same, and
 * holds a connection so long.
 */
#define CONN_LINGER_US (3600 * USEC_PER_SEC)

struct conn;
struct listener;

struct conn_peer {
	bool local; /* unix socket: uid, gid, pid are the kernel's word (SO_PEERCRED) */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char address[64]; /* TCP: numeric "ip:port"; unix: "unix:PID" */
};

struct conn_ops {
	/* One line without its newline, NUL-terminated, valid during the call only. */
	void (*line)(struct conn *conn, const char *line, size_t len, void *arg);
	/*
	 * The connection is gone (why: one line); conn is freed after this returns. Not called after conn_close().
	 * A peer that only ends its sending side is given all its lines first, and what is queued for it, and the time
	 * of conn_hold(). A last line without a newline is dropped.
	 */
	void (*closed)(struct conn *conn, const char *why, void *arg);
	/* conn_open() succeeded. May be NULL. */
	void (*opened)(struct conn *conn, void *arg);
};

/*
 * An address: "unix:/path", "HOST:PORT", "[IPv6]:PORT". TCP carries no TLS yet, so an address outside loopback is
 * refused unless it lies in one of the networks of plaintext ("10.0.0.0/8 192.168.7.0/24", "" = none), by which an
 * operator says that nobody else can listen there. Accepting applies the same rule to the peer.
 * To listen on every interface, name the wildcard too: "0.0.0.0/32 10.0.0.0/8".
 * HOST is numeric or "localhost", see address.h. Above max_conns a connection is closed as soon as it is accepted.
 * A unix socket is open to those whom mode lets write to it (TCP has none); one left behind by a dead process is
 * replaced.
 */
struct listener *listener_new(struct event_base *base, const char *address, const char *plaintext, mode_t mode,
			      unsigned max_conns, void (*accepted)(struct conn *conn, void *arg), void *arg,
			      struct err *err);
/* Its connections stay. Removes its unix socket. NULL is allowed. */
void listener_free(struct listener *listener);
/* The TCP port, chosen by the kernel if the address said 0; 0 for a unix socket. */
unsigned listener_port(const struct listener *listener);

/* Inside accepted(), or after conn_open(): who gets the lines. */
void conn_set_ops(struct conn *conn, const struct conn_ops *ops, void *arg);
/* Starts connecting; ops->opened or ops->closed follows. NULL only if the address is wrong. */
struct conn *conn_open(struct event_base *base, const char *address, const char *plaintext, const struct conn_ops *ops,
		       void *arg, struct err *err);
/* Queues bytes, also before opened(); never fails: a connection that is broken or too slow ends in closed(). */
void conn_send(struct conn *conn, const char *data, size_t len);
/* Closes after what is queued has been sent, at the latest after 5 s. ops are not called again. */
void conn_close(struct conn *conn);
/* Closes with closed(why) if no whole line arrives for this long; 0 = never. */
void conn_set_idle(struct conn *conn, span_us idle);
/* While held, the peer waits for us: its idle time does not run, and it may end its sending side. */
void conn_hold(struct conn *conn, bool hold);
/* Instead of CONN_STALL_US; > 0. */
void conn_set_stall(struct conn *conn, span_us stall);
/* Instead of CONN_LINGER_US; > 0. */
void conn_set_linger(struct conn *conn, span_us linger);
/* While paused, no line is delivered and nothing is read: the kernel's buffers fill up and slow the peer down. */
void conn_pause(struct conn *conn, bool pause);
/* Before opened() only address says something. Valid as long as conn. */
const struct conn_peer *conn_peer(const struct conn *conn);

#endif
