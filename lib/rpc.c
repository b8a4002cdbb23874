/*
 * JSON-RPC 2.0 over one connection: matches answers with calls, hands requests to the owner, and keeps both sides from
 * drowning the other. Knows no method.
 *
 * Calls and requests outlive nothing by surprise: when the connection ends, calls are answered with ERR_UNAVAILABLE,
 * and requests not yet answered are cut loose (request->rpc NULL) so that a late answer goes nowhere.
 */
#include "rpc.h"

#include <assert.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "util.h"
#include "wire.h"

struct call {
	struct rpc *rpc;
	int64_t id;
	rpc_done *done;
	void *arg;
	struct event *timer;
	bool too_long; /* never sent: fails at once, but from the loop */
	UT_hash_handle hh;
};

struct rpc_request {
	struct rpc *rpc;             /* NULL: the peer has gone */
	struct json_object *message; /* owns id and params */
	struct json_object *id;      /* NULL: a notification */
	size_t bytes;
	struct rpc_request *prev, *next;
};

struct rpc {
	struct event_base *base;
	struct conn *conn; /* NULL once dead */
	const struct rpc_ops *ops;
	void *arg;
	struct call *calls;
	int64_t last_id;
	struct rpc_request *requests;
	unsigned pending;
	size_t pending_bytes;
	unsigned busy; /* callbacks we are in; the outermost one frees */
};

static void enter(struct rpc *rpc)
{
	rpc->busy++;
}

static void leave(struct rpc *rpc)
{
	rpc->busy--;
	if (!rpc->busy && !rpc->conn) {
		free(rpc);
	}
}

/* Consumes the message. Returns -1, with nothing sent, if the peer would refuse it for its length. */
static int send_message(struct rpc *rpc, struct json_object *message)
{
	_cleanup_free_ char *line = NULL;
	size_t len;

	line = wire_format(message, &len);
	json_object_put(message);
	if (len - 1 > WIRE_LINE_MAX) {
		return -1;
	}
	conn_send(rpc->conn, line, len);
	return 0;
}

/* ---- calls out ---- */

static void call_end(struct call *call, struct json_object *result, const struct err *err, struct json_object *data)
{
	HASH_DEL(call->rpc->calls, call);
	event_free(call->timer);
	call->done(result, err, data, call->arg);
	free(call);
}

static void on_call_timer(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;
	struct rpc *rpc = call->rpc;
	struct err err;

	(void)fd;
	(void)what;
	if (call->too_long) {
		err_set(&err, ERR_LIMIT, "the call is longer than %u bytes", WIRE_LINE_MAX);
	} else {
		err_set(&err, ERR_TIMEOUT, "%s did not answer in time", conn_peer(rpc->conn)->address);
	}
	enter(rpc);
	call_end(call, NULL, &err, NULL);
	leave(rpc);
}

void rpc_call(struct rpc *rpc, const char *method, struct json_object *params, span_us timeout, rpc_done *done,
	      void *arg)
{
	struct timeval tv = {.tv_sec = timeout / USEC_PER_SEC, .tv_usec = timeout % USEC_PER_SEC};
	struct timeval at_once = {0};
	struct call *call;
	struct err err;

	assert(timeout > 0);
	if (!rpc->conn) {
		json_object_put(params);
		err_set(&err, ERR_UNAVAILABLE, "the connection is closed");
		done(NULL, &err, NULL, arg);
		return;
	}
	call = xcalloc(1, sizeof(*call));
	call->rpc = rpc;
	call->id = ++rpc->last_id;
	call->done = done;
	call->arg = arg;
	call->timer = evtimer_new(rpc->base, on_call_timer, call);
	HASH_ADD(hh, rpc->calls, id, sizeof(call->id), call);
	call->too_long = send_message(rpc, wire_request(call->id, method, params)) != 0;
	evtimer_add(call->timer, call->too_long ? &at_once : &tv);
}

void rpc_notify(struct rpc *rpc, const char *method, struct json_object *params)
{
	struct json_object *message = wire_notification(method, params);

	if (rpc->conn) {
		(void)send_message(rpc, message);
	} else {
		json_object_put(message);
	}
}

/* Answers to calls that have timed out are dropped, like answers to nothing. */
static void take_answer(struct rpc *rpc, const struct wire_message *message)
{
	struct call *call = NULL;
	struct err err;
	int64_t id;

	if (!json_object_is_type(message->id, json_type_int)) {
		return;
	}
	id = json_object_get_int64(message->id);
	HASH_FIND(hh, rpc->calls, &id, sizeof(id), call);
	if (!call) {
		return;
	}
	if (message->kind == WIRE_RESULT) {
		call_end(call, message->result, NULL, NULL);
	} else {
		/* A code of 0 would read as success further up. */
		err_set(&err, message->error_code ? (enum err_code)message->error_code : ERR_INTERNAL, "%s",
			message->error_text);
		call_end(call, NULL, &err, message->error_data);
	}
}

/* ---- requests in ---- */

/* Stops reading while the peer has as much unanswered as it may, and keeps the connection while it waits for us. */
static void throttle(struct rpc *rpc)
{
	conn_pause(rpc->conn, rpc->pending >= RPC_PENDING_MAX || rpc->pending_bytes >= RPC_PENDING_BYTES);
	conn_hold(rpc->conn, rpc->pending > 0);
}

static void request_free(struct rpc_request *request)
{
	struct rpc *rpc = request->rpc;

	if (rpc) {
		DL_DELETE(rpc->requests, request);
		rpc->pending--;
		rpc->pending_bytes -= request->bytes;
		throttle(rpc);
	}
	json_object_put(request->message);
	free(request);
}

void rpc_reply(struct rpc_request *request, struct json_object *result)
{
	struct err err;

	if (!request->rpc || !request->id) {
		json_object_put(result);
	} else if (send_message(request->rpc, wire_result(request->id, result))) {
		err_set(&err, ERR_LIMIT, "the answer is longer than %u bytes, ask for less", WIRE_LINE_MAX);
		rpc_reply_error(request, &err, NULL);
		return;
	}
	request_free(request);
}

/* data, or an object in its place, with the code's name for scripts. */
static struct json_object *named(struct json_object *data, enum err_code code)
{
	if (!data) {
		data = json_object_new_object();
	}
	if (json_object_is_type(data, json_type_object) && !json_object_object_get_ex(data, "name", NULL)) {
		json_object_object_add(data, "name", json_object_new_string(err_name(code)));
	}
	return data;
}

static void send_error(struct rpc *rpc, struct json_object *id, const struct err *err, struct json_object *data)
{
	if (send_message(rpc, wire_error(id, err->code, err->text, named(data, err->code)))) {
		(void)send_message(rpc, wire_error(id, err->code, err->text, named(NULL, err->code)));
	}
}

void rpc_reply_error(struct rpc_request *request, const struct err *err, struct json_object *data)
{
	if (request->rpc && request->id) {
		send_error(request->rpc, request->id, err, data);
	} else {
		json_object_put(data);
	}
	request_free(request);
}

/* Takes over a reference to value. */
static void take_request(struct rpc *rpc, struct json_object *value, const struct wire_message *message, size_t bytes)
{
	struct rpc_request *request = xcalloc(1, sizeof(*request));
	struct json_object *params = message->params;

	if (!params) {
		params = json_object_new_object();
		json_object_object_add(value, "params", params);
	}
	request->rpc = rpc;
	request->message = value;
	request->id = message->id;
	request->bytes = bytes;
	DL_APPEND(rpc->requests, request);
	rpc->pending++;
	rpc->pending_bytes += bytes;
	throttle(rpc);
	rpc->ops->request(rpc, request, message->method, params, rpc->arg);
}

static void take_message(struct rpc *rpc, struct json_object *value, size_t bytes)
{
	struct wire_message message;
	struct err err;

	if (wire_open(value, &message, &err)) {
		send_error(rpc, message.id, &err, NULL);
		json_object_put(value);
		return;
	}
	switch (message.kind) {
	case WIRE_REQUEST:
	case WIRE_NOTIFICATION:
		take_request(rpc, value, &message, bytes);
		break;
	case WIRE_RESULT:
	case WIRE_ERROR:
		take_answer(rpc, &message);
		json_object_put(value);
		break;
	}
}

static void on_line(struct conn *conn, const char *line, size_t len, void *arg)
{
	struct rpc *rpc = arg;
	struct json_object *value;
	struct err err;

	(void)conn;
	enter(rpc);
	value = wire_parse(line, len, &err);
	if (value) {
		take_message(rpc, value, len);
	} else {
		send_error(rpc, NULL, &err, NULL);
	}
	leave(rpc);
}

/* ---- beginning and end ---- */

static void on_opened(struct conn *conn, void *arg)
{
	struct rpc *rpc = arg;

	(void)conn;
	enter(rpc);
	if (rpc->ops->opened) {
		rpc->ops->opened(rpc, rpc->arg);
	}
	leave(rpc);
}

/* The connection is no longer ours: requests are cut loose, calls answered. The caller is inside enter()/leave(). */
static void let_go(struct rpc *rpc, const char *why)
{
	struct rpc_request *request, *next;
	struct err err;

	err_set(&err, ERR_UNAVAILABLE, "connection to %s: %s", conn_peer(rpc->conn)->address, why);
	rpc->conn = NULL;
	DL_FOREACH_SAFE (rpc->requests, request, next) {
		request->rpc = NULL;
	}
	rpc->requests = NULL;
	while (rpc->calls) {
		call_end(rpc->calls, NULL, &err, NULL);
	}
}

static void on_closed(struct conn *conn, const char *why, void *arg)
{
	struct rpc *rpc = arg;

	(void)conn;
	enter(rpc);
	let_go(rpc, why);
	rpc->ops->closed(rpc, why, rpc->arg);
	leave(rpc);
}

static const struct conn_ops conn_ops = {.line = on_line, .closed = on_closed, .opened = on_opened};

static struct rpc *rpc_new(struct event_base *base, const struct rpc_ops *ops, void *arg)
{
	struct rpc *rpc = xcalloc(1, sizeof(*rpc));

	rpc->base = base;
	rpc->ops = ops;
	rpc->arg = arg;
	return rpc;
}

struct rpc *rpc_accept(struct event_base *base, struct conn *conn, const struct rpc_ops *ops, void *arg)
{
	struct rpc *rpc = rpc_new(base, ops, arg);

	rpc->conn = conn;
	conn_set_ops(conn, &conn_ops, rpc);
	return rpc;
}

struct rpc *rpc_connect(struct event_base *base, const char *address, const char *plaintext, const struct rpc_ops *ops,
			void *arg, struct err *err)
{
	struct rpc *rpc = rpc_new(base, ops, arg);

	rpc->conn = conn_open(base, address, plaintext, &conn_ops, rpc, err);
	if (!rpc->conn) {
		free(rpc);
		return NULL;
	}
	return rpc;
}

void rpc_close(struct rpc *rpc)
{
	struct conn *conn;

	if (!rpc || !rpc->conn) {
		return;
	}
	conn = rpc->conn;
	enter(rpc);
	let_go(rpc, "closed");
	leave(rpc);
	conn_close(conn);
}

struct conn *rpc_conn(struct rpc *rpc)
{
	return rpc->conn;
}
