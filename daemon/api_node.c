/* Methods about nodes. What agents say goes to nodes.c as it is. */
#include "api.h"
#include "clock.h"
#include "edf_admit.h"
#include "jsonx.h"
#include "query.h"
#include "util.h"

/* The least slice, as leases are refused by it; 0 where a slice costs nothing. */
static int64_t slice_min(struct json_object *node)
{
	struct edf_node edf = {.wake_ns = json_object_get_int64(json_object_object_get(node, "edf_wake_ns"))};

	return edf_slice_min_us(&edf);
}

/* What the daemon knows of a node beyond the database. */
static void add_live(struct head *head, struct json_object *node)
{
	uint32_t id = (uint32_t)json_object_get_int64(json_object_object_get(node, "id"));
	const struct report *report = manager_last_report(head->manager, id);
	span_us ago = nodes_heard_ago(head->nodes, id);

	jsonx_add_int(node, "edf_slice_us", slice_min(node));
	json_object_object_add(node, "connected", json_object_new_boolean(ago >= 0));
	if (ago >= 0) {
		jsonx_add_time(node, "seen", clock_wall() - ago);
	}
	json_object_object_add(node, "delivered", json_object_new_boolean(nodes_delivered(head->nodes, id)));
	json_object_object_add(node, "degraded", json_object_new_boolean(report && report->degraded));
	json_object_object_add(node, "text", json_object_new_string(report ? report->text : ""));
}

void api_node_list(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct err err = {0};
	struct json_object *result = query_nodes(session->head->store, &err);
	struct json_object *list = json_object_object_get(result, "nodes");

	(void)params;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		add_live(session->head, json_object_array_get_idx(list, i));
	}
	api_answer(request, result, &err);
}

/* What is being staged there now, by the agent's last word. */
static struct json_object *staging(const struct report *report)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; report && i < report->image_count; i++) {
		const struct report_image *image = &report->images[i];
		struct json_object *row = json_object_new_object();

		json_object_object_add(row, "image_id", json_object_new_int64((int64_t)image->id));
		json_object_object_add(row, "state", json_object_new_string(pool_state_name(image->state)));
		json_object_object_add(row, "bytes", json_object_new_int64(image->bytes));
		json_object_object_add(row, "text", json_object_new_string(image->text));
		json_object_array_add(list, row);
	}
	return list;
}

/* How each VM is, by the agent's last word. */
static void add_seen(struct json_object *vms, const struct report *report)
{
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *row = json_object_array_get_idx(vms, i);
		uint64_t lease = json_object_get_uint64(json_object_object_get(row, "lease"));
		int64_t vm = json_object_get_int64(json_object_object_get(row, "vm"));

		for (size_t k = 0; report && k < report->vm_count; k++) {
			if (report->vms[k].lease == lease && report->vms[k].vm == vm) {
				const char *seen = vm_seen_name(report->vms[k].seen);

				json_object_object_add(row, "seen", json_object_new_string(seen));
			}
		}
	}
}

void api_node_show(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct head *head = session->head;
	struct err err = {0};
	struct json_object *node = query_node(head->store, api_string(params, "name"), &err);

	if (node) {
		uint32_t id = (uint32_t)json_object_get_int64(json_object_object_get(node, "id"));
		const struct report *report = manager_last_report(head->manager, id);

		add_live(head, node);
		add_seen(json_object_object_get(node, "vm"), report);
		json_object_object_add(node, "staging", staging(report));
	}
	api_answer(request, node, &err);
}

static void submit_drain(struct session *session, struct rpc_request *request, struct json_object *params,
			 enum method_id method, enum command_kind kind)
{
	struct command command = {.kind = kind, .name = api_string(params, "name")};

	api_submit(session, request, method, params, &command);
}

void api_node_drain(struct session *session, struct rpc_request *request, struct json_object *params)
{
	submit_drain(session, request, params, METHOD_NODE_DRAIN, COMMAND_NODE_DRAIN);
}

void api_node_resume(struct session *session, struct rpc_request *request, struct json_object *params)
{
	submit_drain(session, request, params, METHOD_NODE_RESUME, COMMAND_NODE_RESUME);
}

void api_node_hello(struct session *session, struct rpc_request *request, struct json_object *params)
{
	nodes_hello(session->head->nodes, session->rpc, request, params);
}

void api_node_report(struct session *session, struct rpc_request *request, struct json_object *params)
{
	nodes_report(session->head->nodes, session->rpc, request, params);
}
