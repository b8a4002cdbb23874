/* Agents' connections: who is connected as which node, heartbeats, delivery of each node's part of the plan. */
#ifndef TENURE_NODES_H
#define TENURE_NODES_H

#include <event2/event.h>

#include "manager.h"
#include "rpc.h"

struct nodes;

/* All three must outlive it. */
struct nodes *nodes_new(struct event_base *base, struct manager *manager, const struct head_settings *settings);
void nodes_free(struct nodes *nodes);

/* Handlers of node.hello and node.report; params passed method_check(). They answer the request, now or later. */
void nodes_hello(struct nodes *nodes, struct rpc *rpc, struct rpc_request *request, struct json_object *params);
void nodes_report(struct nodes *nodes, struct rpc *rpc, struct rpc_request *request, struct json_object *params);
/* The connection is gone; the node becomes silent when its heartbeat is overdue, not before. */
void nodes_closed(struct nodes *nodes, struct rpc *rpc);

/*
 * Asks the node's agent to give a task of tenure-edf another slice and period, both 0: none; answers the request with
 * what it says.
 */
void nodes_task(struct nodes *nodes, uint32_t node, struct rpc_request *request, int64_t task, span_us slice_us,
		span_us period_us);

/* Where the node's agent offers suspended guests, "HOST:PORT", as it last said; NULL = nowhere. The nodes', until then.
 */
const char *nodes_guests(const struct nodes *nodes, uint32_t node);

/* Called by the manager after a commit that changed the node's part: sends it if the node is connected. */
void nodes_deliver(struct nodes *nodes, uint32_t node);
/* True if the node's agent has acknowledged the newest part. */
bool nodes_delivered(const struct nodes *nodes, uint32_t node);
/* How long ago the node's agent was heard; -1 if it has no connection. */
span_us nodes_heard_ago(const struct nodes *nodes, uint32_t node);

#endif
