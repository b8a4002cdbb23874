/* Subscribers of the event log: each gets every committed event once, in order of rev. */
#ifndef TENURE_EVENTS_H
#define TENURE_EVENTS_H

#include "rpc.h"
#include "store.h"

struct events;

/* The store, which must outlive it, is only read. */
struct events *events_new(struct store *store);
void events_free(struct events *events);
/* Sends what is later than after_rev, then goes on. Where that is too much, {"lagged": rev} takes the place of all to
 * rev. */
void events_subscribe(struct events *events, struct rpc *rpc, int64_t after_rev);
void events_closed(struct events *events, struct rpc *rpc);
/* Called after each commit; last_rev: the newest rev there is. */
void events_committed(struct events *events, int64_t last_rev);
/* Calls back once after each commit that touched the lease, until cancelled; for lease.wait. */
struct events_watch;
struct events_watch *events_watch(struct events *events, uint64_t lease, void (*fn)(void *arg), void *arg);
void events_unwatch(struct events_watch *watch);

#endif
