/* A JSON-RPC 2.0 peer over a connection: requests in, replies out, calls out with deadlines. Both sides may call. */
#ifndef TENURE_RPC_H
#define TENURE_RPC_H

#include <json-c/json.h>

#include "conn.h"

/*
 * Unanswered requests a peer may have, and their bytes. With more it is not read from until some are answered, which
 * holds up its answers to our calls too: a peer that calls and is called must not pipeline that far.
 */
#define RPC_PENDING_MAX 1024
#define RPC_PENDING_BYTES (4u << 20)

struct rpc;
struct rpc_request; /* one request that must be answered exactly once, now or later, also after its peer has gone */

struct rpc_ops {
	/* A request or notification; params is an object (empty if absent), the request's. */
	void (*request)(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
			void *arg);
	void (*opened)(struct rpc *rpc, void *arg); /* after rpc_connect(); may be NULL */
	/* Calls under way have been answered with ERR_UNAVAILABLE; rpc is freed after this returns. */
	void (*closed)(struct rpc *rpc, const char *why, void *arg);
};

/* Called exactly once. err is NULL on success; error_data may be NULL. Borrowed. */
typedef void rpc_done(struct json_object *result, const struct err *err, struct json_object *error_data, void *arg);

/*
 * Malformed messages are answered here. Errors sent carry data.name, the code's name, unless data has a name already.
 * While requests are unanswered, the connection's idle time does not run, and a peer that has ended its sending side
 * (half-close) waits for the answers: closed() comes after the last.
 */

/* Takes over a connection from accepted(). */
struct rpc *rpc_accept(struct event_base *base, struct conn *conn, const struct rpc_ops *ops, void *arg);
struct rpc *rpc_connect(struct event_base *base, const char *address, const char *plaintext, const struct rpc_ops *ops,
			void *arg, struct err *err);
/*
 * Calls under way are answered with ERR_UNAVAILABLE, before this returns; closed() is not called. May be called inside
 * any callback. NULL is allowed.
 */
void rpc_close(struct rpc *rpc);

/* Consumes params (may be NULL). timeout > 0. done is called from the loop; at once if the connection is gone. */
void rpc_call(struct rpc *rpc, const char *method, struct json_object *params, span_us timeout, rpc_done *done,
	      void *arg);
void rpc_notify(struct rpc *rpc, const char *method, struct json_object *params);

/* Each ends the request. Consumes result, data (may be NULL). Answers to notifications are dropped. */
void rpc_reply(struct rpc_request *request, struct json_object *result);
void rpc_reply_error(struct rpc_request *request, const struct err *err, struct json_object *data);

/* NULL inside closed(). */
struct conn *rpc_conn(struct rpc *rpc);

#endif
