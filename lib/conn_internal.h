/* What listener.c needs of conn.c; nobody else includes this. */
#ifndef TENURE_CONN_INTERNAL_H
#define TENURE_CONN_INTERNAL_H

#include <sys/socket.h>

#include "conn.h"

/*
 * Makes a connection of an accepted, non-blocking socket, which it owns from now on. gone is called once, when the
 * connection is freed. Nothing is read before accepted() has returned; if it has set no ops, the connection is closed.
 */
void conn_adopt(struct event_base *base, int fd, const struct sockaddr *sa, void (*gone)(void *arg), void *gone_arg,
		void (*accepted)(struct conn *conn, void *arg), void *arg);

#endif
