/* One connection to the API: who it is, and dispatch of what it asks by method.tbl. */
#ifndef TENURE_SESSION_H
#define TENURE_SESSION_H

#include "auth.h"
#include "head.h"
#include "rpc.h"

struct wait;

struct session {
	struct head *head;
	struct rpc *rpc;
	struct identity who;
	struct wait *waits; /* lease.wait under way, api_wait.c's */
	struct session *prev, *next;
};

/* A listener's accepted(); arg is the head. */
void session_accept(struct conn *conn, void *arg);
/* Closes all of the head's. */
void session_close_all(struct head *head);

#endif
