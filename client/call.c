/* The client's side of the connection: connect, ask, wait, ask again if the connection broke. Shows nothing. */
#include "call.h"

#include <string.h>
#include <uuid/uuid.h>

#include "clock.h"
#include "method.h"
#include "rpc.h"
#include "util.h"

#define RECONNECT_FOR (5 * USEC_PER_SEC) /* a head that is restarted by its supervisor is back by then */
#define RECONNECT_EVERY (200 * USEC_PER_MSEC)

struct call {
	struct event_base *base;
	char *address;
	struct rpc *rpc;
	bool opened;
	char why[256]; /* why the connection was closed */
	call_notified *notified;
	void *notified_arg;
	bool done;
	struct json_object *result, *data;
	struct err err;
};

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	struct call *call = arg;
	struct err err;

	(void)rpc;
	if (call->notified) {
		call->notified(method, params, call->notified_arg);
	}
	err_set(&err, ERR_METHOD, "a client answers no calls");
	rpc_reply_error(request, &err, NULL);
}

static void on_opened(struct rpc *rpc, void *arg)
{
	struct call *call = arg;

	(void)rpc;
	call->opened = true;
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	struct call *call = arg;

	(void)rpc;
	call->rpc = NULL;
	snprintf(call->why, sizeof(call->why), "%s", why);
}

static const struct rpc_ops ops = {.request = on_request, .opened = on_opened, .closed = on_closed};

static void on_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct call *call = arg;

	call->done = true;
	call->result = json_object_get(result);
	call->data = json_object_get(data);
	call->err = err ? *err : (struct err){.code = ERR_NONE};
}

struct call *call_new(struct event_base *base, const char *address)
{
	struct call *call = xcalloc(1, sizeof(*call));

	call->base = base;
	call->address = xstrdup(address);
	return call;
}

static void forget_answer(struct call *call)
{
	json_object_put(steal(&call->result));
	json_object_put(steal(&call->data));
	call->done = false;
}

void call_free(struct call *call)
{
	if (!call) {
		return;
	}
	if (call->rpc) {
		rpc_close(call->rpc);
	}
	forget_answer(call);
	free(call->address);
	free(call);
}

struct json_object *call_data(const struct call *call)
{
	return call->data;
}

void call_on_notification(struct call *call, call_notified *fn, void *arg)
{
	call->notified = fn;
	call->notified_arg = arg;
}

/* Nothing to do: its firing ends the pass of the loop. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void pass(struct call *call, span_us span)
{
	struct timeval tv = {span / USEC_PER_SEC, span % USEC_PER_SEC};
	struct event *timer = evtimer_new(call->base, on_timer, NULL);

	if (!timer || evtimer_add(timer, &tv) < 0) {
		abort();
	}
	event_base_loop(call->base, EVLOOP_ONCE);
	event_free(timer);
}

bool call_pass(struct call *call, span_us span)
{
	if (call->rpc && span > 0) {
		pass(call, span);
	}
	return call->rpc != NULL;
}

void call_sleep(struct call *call, span_us span)
{
	mono_us end = clock_mono() + span;

	for (span_us left = span; left > 0; left = end - clock_mono()) {
		pass(call, left);
	}
}

static int unreachable(struct call *call, struct err *err)
{
	return err_set(
		err, ERR_UNAVAILABLE,
		"cannot reach the head at %s: %s; is tenured running? Set --server or TENURE_SERVER if it is elsewhere",
		call->address, call->why);
}

/* Opens the connection if there is none. */
static int connect_by(struct call *call, mono_us deadline, struct err *err)
{
	if (!call->rpc) {
		call->opened = false;
		call->rpc = rpc_connect(call->base, call->address, "", &ops, call, err);
		if (!call->rpc) {
			return err_prefix(err, "--server %s", call->address);
		}
	}
	while (call->rpc && !call->opened) {
		span_us left = deadline - clock_mono();

		if (left <= 0) {
			rpc_close(steal(&call->rpc));
			snprintf(call->why, sizeof(call->why), "no answer");
			break;
		}
		pass(call, left);
	}
	return call->rpc ? 0 : unreachable(call, err);
}

static int reconnect_by(struct call *call, mono_us deadline, struct err *err)
{
	mono_us end = clock_mono() + RECONNECT_FOR;

	end = end < deadline ? end : deadline;
	while (connect_by(call, end, err) < 0) {
		if (clock_mono() + RECONNECT_EVERY >= end) {
			return -1;
		}
		call_sleep(call, RECONNECT_EVERY);
	}
	return 0;
}

/* One attempt on an open connection: false if it broke before the answer. */
static bool attempt(struct call *call, const char *method, struct json_object *params, mono_us deadline)
{
	span_us left = deadline - clock_mono();

	forget_answer(call);
	rpc_call(call->rpc, method, json_object_get(params), left > 0 ? left : 1, on_done, call);
	while (!call->done) {
		pass(call, USEC_PER_SEC);
	}
	return call->rpc || call->err.code != ERR_UNAVAILABLE;
}

static void add_request_id(const char *method, struct json_object *params)
{
	const struct method *row = method_find(method);
	uuid_t id;
	char text[37];

	if (!row || !row->mutating || json_object_object_get_ex(params, "request_id", NULL)) {
		return;
	}
	uuid_generate_random(id);
	uuid_unparse_lower(id, text);
	json_object_object_add(params, "request_id", json_object_new_string(text));
}

/* No answer to a call that changes something: the user must be able to find out what became of it. */
static int unknown_outcome(struct json_object *params, struct err *err)
{
	struct json_object *id = json_object_object_get(params, "request_id");
	struct err cause = *err;

	if (!id) {
		return -1;
	}
	return err_set(err, cause.code, "%s; whether it was done is not known: repeat the command with --request-id %s",
		       cause.text, json_object_get_string(id));
}

static int make(struct call *call, const char *method, struct json_object *params, span_us timeout, struct err *err)
{
	mono_us deadline = clock_mono() + timeout;

	if (connect_by(call, deadline, err) < 0) {
		return -1;
	}
	if (!attempt(call, method, params, deadline) &&
	    (reconnect_by(call, deadline, err) < 0 || !attempt(call, method, params, deadline))) {
		err_set(err, ERR_UNAVAILABLE, "the connection to %s broke before the answer came (%s)", call->address,
			call->why);
		return unknown_outcome(params, err);
	}
	if (call->err.code == ERR_NONE) {
		return 0;
	}
	*err = call->err;
	if (err->code != ERR_TIMEOUT) {
		return -1;
	}
	if (clock_mono() >= deadline) {
		/* By the name it was given, not by its process. */
		err_set(err, ERR_TIMEOUT, "%s did not answer in time", call->address);
	}
	return unknown_outcome(params, err);
}

int call_make(struct call *call, const char *method, struct json_object *params, span_us timeout,
	      struct json_object **result, struct err *err)
{
	params = params ? params : json_object_new_object();
	add_request_id(method, params);
	forget_answer(call);
	int failed = make(call, method, params, timeout, err);

	json_object_put(params);
	if (failed) {
		return -1;
	}
	*result = steal(&call->result);
	return 0;
}
