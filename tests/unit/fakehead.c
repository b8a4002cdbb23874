/* A listener whose answers come from a test's handler. Checks nothing itself. */
#include "fakehead.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "rpc.h"
#include "util.h"

struct fakehead {
	struct event_base *base;
	fakehead_handler *handler;
	char folder[32];
	char *address;
	struct listener *listener;
	struct rpc *rpc;                /* the newest, NULL = none */
	struct rpc_request *unanswered; /* the one request that got silence; answered, to nobody, at the end */
	struct json_object *requests;
};

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	struct fakehead *head = arg;
	struct json_object *record = json_object_new_object(), *result = NULL, *data = NULL;
	struct err err = {.code = ERR_NONE};
	size_t n = json_object_array_length(head->requests);

	json_object_object_add(record, "method", json_object_new_string(method));
	json_object_object_add(record, "params", json_object_get(params));
	json_object_array_add(head->requests, record);
	switch (head->handler(head, n, method, params, &result, &err, &data)) {
	case FAKE_RESULT:
		rpc_reply(request, result);
		return;
	case FAKE_ERROR:
		rpc_reply_error(request, &err, data);
		return;
	case FAKE_BREAK:
		head->rpc = NULL;
		rpc_close(rpc);
		rpc_reply(request, NULL);
		return;
	case FAKE_SILENCE:
		head->unanswered = request;
		return;
	}
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	struct fakehead *head = arg;

	(void)why;
	if (head->rpc == rpc) {
		head->rpc = NULL;
	}
}

static const struct rpc_ops ops = {.request = on_request, .closed = on_closed};

static void on_accepted(struct conn *conn, void *arg)
{
	struct fakehead *head = arg;

	head->rpc = rpc_accept(head->base, conn, &ops, head);
}

void fakehead_start(struct fakehead *head)
{
	struct err err;

	head->listener = listener_new(head->base, head->address, "", 0666, 16, on_accepted, head, &err);
	if (!head->listener) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

void fakehead_stop(struct fakehead *head)
{
	listener_free(steal(&head->listener));
}

struct fakehead *fakehead_new(struct event_base *base, fakehead_handler *handler)
{
	struct fakehead *head = xcalloc(1, sizeof(*head));

	*head = (struct fakehead){.base = base, .handler = handler, .folder = "/tmp/fakehead-XXXXXX"};
	if (!mkdtemp(head->folder)) {
		abort();
	}
	head->address = xasprintf("unix:%s/socket", head->folder);
	head->requests = json_object_new_array();
	fakehead_start(head);
	return head;
}

void fakehead_free(struct fakehead *head)
{
	fakehead_break(head);
	if (head->unanswered) {
		rpc_reply(head->unanswered, NULL);
	}
	if (head->listener) {
		fakehead_stop(head);
	}
	unlink(head->address + strlen("unix:"));
	rmdir(head->folder);
	json_object_put(head->requests);
	free(head->address);
	free(head);
}

const char *fakehead_address(const struct fakehead *head)
{
	return head->address;
}

struct json_object *fakehead_requests(const struct fakehead *head)
{
	return head->requests;
}

void fakehead_notify(struct fakehead *head, const char *method, struct json_object *params)
{
	rpc_notify(head->rpc, method, params);
}

void fakehead_break(struct fakehead *head)
{
	if (head->rpc) {
		rpc_close(steal(&head->rpc));
	}
}
