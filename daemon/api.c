/* The table of handlers, what they share, and the methods that belong to no noun. */
#include "api.h"

#include <string.h>

#include "clock.h"
#include "jsonx.h"
#include "query.h"
#include "sha256.h"
#include "util.h"

#define PROTOCOL 1 /* grows when a method changes shape; method.tbl has the history */

/* ---- the table ---- */

#define HANDLERS(ROW)                             \
	ROW(HELLO, api_hello)                     \
	ROW(RPC_DISCOVER, api_discover)           \
	ROW(LEASE_REQUEST, api_lease_request)     \
	ROW(LEASE_LIST, api_lease_list)           \
	ROW(LEASE_SHOW, api_lease_show)           \
	ROW(LEASE_CANCEL, api_lease_cancel)       \
	ROW(LEASE_EXTEND, api_lease_extend)       \
	ROW(LEASE_CALL, api_lease_call)           \
	ROW(LEASE_TUNE, api_lease_tune)           \
	ROW(LEASE_WAIT, api_lease_wait)           \
	ROW(LEASE_EXPLAIN, api_lease_explain)     \
	ROW(SLOT_LIST, api_slot_list)             \
	ROW(NODE_LIST, api_node_list)             \
	ROW(NODE_SHOW, api_node_show)             \
	ROW(NODE_EDF, api_node_edf)               \
	ROW(NODE_TUNE, api_node_tune)             \
	ROW(NODE_DRAIN, api_node_drain)           \
	ROW(NODE_RESUME, api_node_resume)         \
	ROW(NODE_HELLO, api_node_hello)           \
	ROW(NODE_REPORT, api_node_report)         \
	ROW(IMAGE_ADD, api_image_add)             \
	ROW(IMAGE_LIST, api_image_list)           \
	ROW(IMAGE_SHOW, api_image_show)           \
	ROW(IMAGE_REMOVE, api_image_remove)       \
	ROW(EVENT_LIST, api_event_list)           \
	ROW(EVENT_SUBSCRIBE, api_event_subscribe) \
	ROW(ADMIN_STATUS, api_status)

/* A method without a handler, or with two, does not compile. */
#define ROW(id, handler) HANDLER_OF_##id,
enum { HANDLERS(ROW) };
#undef ROW
#define METHOD(id, name, role, mutating, help) HANDLED_##id = HANDLER_OF_##id,
#define PARAM(name, type, required, min, max, help)
enum {
#include "method.tbl"
};
#undef METHOD
#undef PARAM

api_handler *api_handler_of(enum method_id id)
{
#define ROW(id, handler) [METHOD_##id] = handler,
	static api_handler *const handlers[METHOD_COUNT] = {HANDLERS(ROW)};
#undef ROW

	return handlers[id];
}

/* ---- what handlers share ---- */

const char *api_string(struct json_object *params, const char *name)
{
	return json_object_get_string(json_object_object_get(params, name));
}

int64_t api_int(struct json_object *params, const char *name, int64_t fallback)
{
	struct json_object *value;

	return json_object_object_get_ex(params, name, &value) ? json_object_get_int64(value) : fallback;
}

bool api_bool(struct json_object *params, const char *name)
{
	return json_object_get_boolean(json_object_object_get(params, name));
}

void api_answer(struct rpc_request *request, struct json_object *result, const struct err *err)
{
	if (result) {
		rpc_reply(request, result);
	} else {
		rpc_reply_error(request, err, NULL);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of the parameters without request_id, in order of name: the order in which a client writes them says nothing. */
static void params_digest(struct json_object *params, char out[SHA256_HEX])
{
	size_t n = 0;
	_cleanup_free_ const char **names = xcalloc((size_t)json_object_object_length(params) + 1, sizeof(*names));
	struct json_object *sorted = json_object_new_object();
	const char *text;

	json_object_object_foreach (params, name, value) {
		(void)value;
		if (strcmp(name, "request_id") != 0) {
			names[n++] = name;
		}
	}
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		json_object_object_add(sorted, names[i], json_object_get(json_object_object_get(params, names[i])));
	}
	text = json_object_to_json_string_ext(sorted, JSON_C_TO_STRING_PLAIN);
	sha256_hex(text, strlen(text), out);
	json_object_put(sorted);
}

void api_command(struct session *session, const struct method *method, struct json_object *params, char *digest,
		 struct command *command)
{
	command->owner = session->who.name;
	command->is_operator = session->who.role == ROLE_OPERATOR || session->who.role == ROLE_ADMIN;
	command->method = method->name;
	command->request_id = api_string(params, "request_id");
	if (command->request_id) {
		params_digest(params, digest);
		command->params_digest = digest;
	}
}

static void on_decided(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct rpc_request *request = arg;

	if (err) {
		rpc_reply_error(request, err, json_object_get(data));
	} else {
		rpc_reply(request, json_object_get(result));
	}
}

void api_submit(struct session *session, struct rpc_request *request, enum method_id method, struct json_object *params,
		struct command *command)
{
	char digest[SHA256_HEX];

	api_command(session, method_at(method), params, digest, command);
	manager_submit(session->head->manager, command, on_decided, request);
}

/* ---- methods ---- */

void api_hello(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct json_object *result = json_object_new_object();

	(void)params;
	json_object_object_add(result, "server", json_object_new_string("tenured"));
	json_object_object_add(result, "version", json_object_new_string(TENURE_VERSION));
	json_object_object_add(result, "protocol", json_object_new_int(PROTOCOL));
	json_object_object_add(result, "epoch", json_object_new_int64((int64_t)manager_epoch(session->head->manager)));
	json_object_object_add(result, "user", json_object_new_string(session->who.name));
	json_object_object_add(result, "role", json_object_new_string(role_name(session->who.role)));
	jsonx_add_time(result, "now", clock_wall());
	rpc_reply(request, result);
}

void api_discover(struct session *session, struct rpc_request *request, struct json_object *params)
{
	(void)session;
	(void)params;
	rpc_reply(request, method_openrpc());
}

void api_event_list(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct err err = {0};

	api_answer(request,
		   query_events(session->head->store, api_int(params, "after_rev", 0),
				(uint64_t)api_int(params, "lease", 0), api_int(params, "limit", 1000), &err),
		   &err);
}

void api_event_subscribe(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct json_object *result;
	struct err err = {0};
	int64_t rev;

	if (store_last_rev(session->head->store, &rev, &err) < 0) {
		rpc_reply_error(request, &err, NULL);
		return;
	}
	rev = api_int(params, "after_rev", rev);
	result = json_object_new_object();
	json_object_object_add(result, "after_rev", json_object_new_int64(rev));
	/* The answer first, so that no event comes before it. */
	rpc_reply(request, result);
	events_subscribe(session->head->events, session->rpc, rev);
}

void api_status(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct head *head = session->head;
	struct json_object *result;
	struct session *other;
	struct err err = {0};
	int64_t sessions = 0;

	(void)params;
	result = query_status(head->store, &err);
	if (result) {
		for (other = head->sessions; other; other = other->next) {
			sessions++;
		}
		json_object_object_add(result, "sessions", json_object_new_int64(sessions));
		json_object_object_add(result, "epoch", json_object_new_int64((int64_t)manager_epoch(head->manager)));
		json_object_object_add(result, "version", json_object_new_string(TENURE_VERSION));
		json_object_object_add(result, "database", json_object_new_string(store_path(head->store)));
		jsonx_add_time(result, "started", head->started_us);
		jsonx_add_time(result, "now", clock_wall());
	}
	api_answer(request, result, &err);
}
