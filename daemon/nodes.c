/*
 * Agents' connections: which connection speaks for which node, when a node was heard last, and bringing each node its
 * part of the plan until it has acknowledged the newest. Who may be an agent is auth.c's; what a report means is the
 * manager's.
 */
#include "nodes.h"

#include <inttypes.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "address.h"
#include "clock.h"
#include "jsonx.h"
#include "log.h"
#include "util.h"

#define HEARTBEATS_MISSED 3
#define TASK_TIMEOUT_US (10 * USEC_PER_SEC)
#define DELIVER_TIMEOUT_US (10 * USEC_PER_SEC) /* the agent writes its book to disk before it answers */

struct agent {
	struct nodes *nodes;
	uint32_t id;
	char *name;
	char *guests;    /* where it offers suspended guests; NULL = nowhere */
	struct rpc *rpc; /* NULL = not connected */
	mono_us heard_us;
	bool silent;           /* told to the manager */
	bool sending;          /* a part is under way on rpc */
	bool again;            /* another is wanted after it */
	uint64_t acknowledged; /* version, on this connection; 0 = none */
	UT_hash_handle hh;
};

/* A hello between its arrival and the commit that knows its node. */
struct hello {
	struct nodes *nodes; /* NULL = nodes.c is gone */
	struct rpc *rpc;     /* NULL = the peer has gone meanwhile */
	struct rpc_request *request;
	char *name, *guests;
	struct report *report;
	struct hello *prev, *next;
};

/* One part.set; the connection it was sent on may have been replaced when it is answered. */
struct delivery {
	struct nodes *nodes;
	struct rpc *rpc;
	uint32_t node;
	uint64_t version;
	struct delivery *prev, *next;
};

struct nodes {
	struct manager *manager;
	const struct head_settings *settings;
	struct agent *agents; /* by id */
	struct hello *hellos;
	struct delivery *deliveries;
	struct event *heartbeat;
};

static void deliver(struct agent *agent);

static struct agent *find(const struct nodes *nodes, uint32_t id)
{
	struct agent *agent;

	HASH_FIND(hh, nodes->agents, &id, sizeof(id), agent);
	return agent;
}

static struct agent *find_by_rpc(const struct nodes *nodes, const struct rpc *rpc)
{
	struct agent *agent, *next;

	HASH_ITER (hh, nodes->agents, agent, next) {
		if (agent->rpc == rpc) {
			return agent;
		}
	}
	return NULL;
}

static struct agent *add(struct nodes *nodes, uint32_t id, const char *name)
{
	struct agent *agent = xcalloc(1, sizeof(*agent));

	agent->nodes = nodes;
	agent->id = id;
	agent->name = xstrdup(name);
	agent->heard_us = clock_mono();
	HASH_ADD(hh, nodes->agents, id, sizeof(agent->id), agent);
	return agent;
}

/* ---- delivery ------------------------------------------------------------------------------------------------------
 */

static void on_delivered(struct json_object *result, const struct err *err, struct json_object *error_data, void *arg)
{
	struct delivery *delivery = arg;
	struct nodes *nodes = delivery->nodes;
	struct agent *agent = nodes ? find(nodes, delivery->node) : NULL;
	bool present = agent && agent->rpc == delivery->rpc;
	uint64_t version = delivery->version;

	(void)result;
	(void)error_data;
	if (nodes) {
		DL_DELETE(nodes->deliveries, delivery);
	}
	free(delivery);
	if (!present) {
		return;
	}
	agent->sending = false;
	if (!err) {
		agent->acknowledged = version;
		if (agent->again) {
			deliver(agent);
		}
		return;
	}
	/* Sent again with the next heartbeat; a lost connection begins anew with a hello. */
	if (err->code == ERR_STALE) {
		log_error("node %s: refuses its part of the plan: %s; was this database restored from an older backup?",
			  agent->name, err->text);
	} else if (err->code != ERR_UNAVAILABLE) {
		log_warning("node %s: did not take its part of the plan: %s; sending it again", agent->name, err->text);
	}
}

static void deliver(struct agent *agent)
{
	struct delivery *delivery;
	struct part *part;

	agent->again = agent->sending;
	if (!agent->rpc || agent->sending || !(part = manager_part(agent->nodes->manager, agent->id))) {
		return;
	}
	delivery = xcalloc(1, sizeof(*delivery));
	*delivery = (struct delivery){
		.nodes = agent->nodes,
		.rpc = agent->rpc,
		.node = agent->id,
		.version = part->version,
	};
	DL_APPEND(agent->nodes->deliveries, delivery);
	agent->sending = true;
	rpc_call(agent->rpc, "part.set", part_to_json(part), DELIVER_TIMEOUT_US, on_delivered, delivery);
	part_free(part);
}

void nodes_deliver(struct nodes *nodes, uint32_t node)
{
	struct agent *agent = find(nodes, node);

	if (agent) {
		deliver(agent);
	}
}

bool nodes_delivered(const struct nodes *nodes, uint32_t node)
{
	struct agent *agent = find(nodes, node);

	return agent && agent->rpc && agent->acknowledged == manager_version(nodes->manager, node);
}

span_us nodes_heard_ago(const struct nodes *nodes, uint32_t node)
{
	const struct agent *agent = find(nodes, node);

	return agent && agent->rpc ? clock_mono() - agent->heard_us : -1;
}

/* ---- heartbeat -----------------------------------------------------------------------------------------------------
 */

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
	struct nodes *nodes = arg;
	span_us limit = HEARTBEATS_MISSED * nodes->settings->heartbeat;
	mono_us now = clock_mono();
	struct agent *agent, *next;

	(void)fd;
	(void)what;
	HASH_ITER (hh, nodes->agents, agent, next) {
		if (!agent->silent && now - agent->heard_us > limit) {
			agent->silent = true;
			manager_node_silent(nodes->manager, agent->id);
		}
		if (agent->rpc && !agent->sending &&
		    agent->acknowledged != manager_version(nodes->manager, agent->id)) {
			deliver(agent);
		}
	}
}

static void heard(struct agent *agent)
{
	agent->heard_us = clock_mono();
	agent->silent = false;
}

/* ---- hello and report ----------------------------------------------------------------------------------------------
 */

static void free_hello(struct hello *hello)
{
	free(hello->name);
	free(hello->guests);
	report_free(hello->report);
	free(hello);
}

const char *nodes_guests(const struct nodes *nodes, uint32_t node)
{
	const struct agent *agent = find(nodes, node);

	return agent ? agent->guests : NULL;
}

/* Others may be waiting to hear where to fetch guests from there. */
static void set_guests(struct agent *agent, const char *guests)
{
	struct agent *other, *next;

	if (guests ? agent->guests && strcmp(guests, agent->guests) == 0 : !agent->guests) {
		return;
	}
	free(agent->guests);
	agent->guests = guests ? xstrdup(guests) : NULL;
	HASH_ITER (hh, agent->nodes->agents, other, next) {
		if (other != agent) {
			deliver(other);
		}
	}
}

static void attach(struct agent *agent, struct rpc *rpc)
{
	struct agent *other = find_by_rpc(agent->nodes, rpc);

	if (other) {
		other->rpc = NULL;
	}
	if (agent->rpc && agent->rpc != rpc) {
		log_warning("node %s: a second agent said hello from %s: it counts from now on", agent->name,
			    conn_peer(rpc_conn(rpc))->address);
	}
	agent->rpc = rpc;
	agent->sending = agent->again = false;
	agent->acknowledged = 0;
	heard(agent);
}

static void reply_hello(struct hello *hello, uint32_t id)
{
	struct json_object *result = json_object_new_object();
	struct nodes *nodes = hello->nodes;

	jsonx_add_int(result, "epoch", (int64_t)manager_epoch(nodes->manager));
	jsonx_add_int(result, "version", (int64_t)manager_version(nodes->manager, id));
	jsonx_add_int(result, "heartbeat_us", nodes->settings->heartbeat);
	jsonx_add_int(result, "now_us", clock_wall());
	rpc_reply(hello->request, result);
}

static void on_known(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct hello *hello = arg;
	struct nodes *nodes = hello->nodes;
	struct agent *agent;
	uint32_t id;

	(void)data;
	if (nodes) {
		DL_DELETE(nodes->hellos, hello);
	}
	if (err || !nodes) {
		struct err gone = {.code = ERR_UNAVAILABLE, .text = "the server is shutting down"};

		rpc_reply_error(hello->request, err ? err : &gone, NULL);
		free_hello(hello);
		return;
	}
	id = (uint32_t)json_object_get_int64(json_object_object_get(result, "node"));
	agent = find(nodes, id);
	if (!agent) {
		agent = add(nodes, id, hello->name);
	}
	reply_hello(hello, id);
	if (hello->rpc) {
		set_guests(agent, hello->guests);
		attach(agent, hello->rpc);
		manager_node_report(nodes->manager, id, hello->report);
		deliver(agent);
	}
	free_hello(hello);
}

static int read_capacity(struct json_object *params, struct capacity *capacity, struct err *err)
{
	struct jsonx root, at;

	if (jsonx_root(params, "", &root, err) < 0 || jsonx_object(&root, "capacity", &at, err) < 0) {
		return -1;
	}
	for (enum resource res = 0; res < RES_COUNT; res++) {
		if (jsonx_i64(&at, resource_name(res), 0, WALL_NEVER, &capacity->amount[res], err) < 0) {
			return -1;
		}
	}
	return 0;
}

static struct report *read_report(struct json_object *params, struct err *err)
{
	struct json_object *value;

	/* There by method_check(), which the row of the table demands. */
	json_object_object_get_ex(params, "report", &value);
	return report_from_json(value, err);
}

static const char *text_of(struct json_object *params, const char *key)
{
	return json_object_get_string(json_object_object_get(params, key));
}

static int64_t number_of(struct json_object *params, const char *key)
{
	return json_object_get_int64(json_object_object_get(params, key));
}

/* The agent has worked for a later head than this one: what this one knows is old, and must not undo what that one did.
 */
static int check_epoch(const struct nodes *nodes, const char *name, const struct report *report, struct err *err)
{
	uint64_t epoch = manager_epoch(nodes->manager);

	if (report->epoch <= epoch) {
		return 0;
	}
	log_error("node %s: works from epoch %" PRIu64 ", this head is at %" PRIu64
		  ": was its database restored from an older backup?",
		  name, report->epoch, epoch);
	return err_set(err, ERR_STALE, "this head is at epoch %" PRIu64 ", the node's plan is of epoch %" PRIu64, epoch,
		       report->epoch);
}

/* It becomes part of an URL that other agents are given. */
static int check_guests(const char *guests, struct err *err)
{
	struct address address;

	if (!guests) {
		return 0;
	}
	if (address_parse(guests, &address, err) < 0 || address.sa.ss_family == AF_UNIX) {
		return err_set(err, ERR_PARAMS, "guests: \"%s\" is not HOST:PORT", guests);
	}
	return 0;
}

void nodes_hello(struct nodes *nodes, struct rpc *rpc, struct rpc_request *request, struct json_object *params)
{
	struct node_hello said = {
		.name = text_of(params, "node"),
		.version = text_of(params, "version"),
		.hypervisor = text_of(params, "hypervisor"),
		.pool_bytes = number_of(params, "pool"),
		.suspend_rate = number_of(params, "suspend_rate"),
		.resume_rate = number_of(params, "resume_rate"),
	};
	const char *guests = text_of(params, "guests");
	struct err err = {0};
	struct report *report = read_report(params, &err);
	struct hello *hello;

	if (!report || read_capacity(params, &said.capacity, &err) < 0 || check_guests(guests, &err) < 0 ||
	    hello_edf_from_json(params, &said.edf, &err) < 0 || check_epoch(nodes, said.name, report, &err) < 0) {
		report_free(report);
		rpc_reply_error(request, &err, NULL);
		return;
	}
	hello = xcalloc(1, sizeof(*hello));
	hello->nodes = nodes;
	hello->rpc = rpc;
	hello->request = request;
	hello->name = xstrdup(said.name);
	hello->guests = guests ? xstrdup(guests) : NULL;
	hello->report = report;
	DL_APPEND(nodes->hellos, hello);
	manager_node_hello(nodes->manager, &said, on_known, hello);
}

void nodes_report(struct nodes *nodes, struct rpc *rpc, struct rpc_request *request, struct json_object *params)
{
	struct agent *agent = find_by_rpc(nodes, rpc);
	struct err err = {0};
	struct report *report;

	if (!agent) {
		/* It has not said hello, or a newer connection speaks for its node. */
		err_set(&err, ERR_DENIED, "say node.hello first");
		rpc_reply_error(request, &err, NULL);
		return;
	}
	report = read_report(params, &err);
	if (!report || check_epoch(nodes, agent->name, report, &err) < 0) {
		report_free(report);
		rpc_reply_error(request, &err, NULL);
		return;
	}
	heard(agent);
	manager_node_report(nodes->manager, agent->id, report);
	report_free(report);
	rpc_reply(request, json_object_new_object());
}

/* ---- tenure-edf's tasks --------------------------------------------------------------------------------------------
 */

static void on_task(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	if (err) {
		rpc_reply_error(arg, err, json_object_get(data));
	} else {
		rpc_reply(arg, json_object_get(result));
	}
}

void nodes_task(struct nodes *nodes, uint32_t node, struct rpc_request *request, int64_t task, span_us slice_us,
		span_us period_us)
{
	const struct agent *agent = find(nodes, node);
	struct json_object *params;

	if (!agent || !agent->rpc) {
		struct err err;

		err_set(&err, ERR_UNAVAILABLE, "the node's agent is not connected");
		rpc_reply_error(request, &err, NULL);
		return;
	}
	params = json_object_new_object();
	jsonx_add_int(params, "id", task);
	jsonx_add_int(params, "slice_us", slice_us);
	jsonx_add_int(params, "period_us", period_us);
	rpc_call(agent->rpc, "task.set", params, TASK_TIMEOUT_US, on_task, request);
}

void nodes_closed(struct nodes *nodes, struct rpc *rpc)
{
	struct agent *agent = find_by_rpc(nodes, rpc);
	struct hello *hello;

	if (agent) {
		agent->rpc = NULL;
		agent->sending = agent->again = false;
		agent->acknowledged = 0;
	}
	DL_FOREACH (nodes->hellos, hello) {
		if (hello->rpc == rpc) {
			hello->rpc = NULL;
		}
	}
}

/* ---- start and end -------------------------------------------------------------------------------------------------
 */

static void add_known(uint32_t id, const char *name, void *arg)
{
	add(arg, id, name);
}

struct nodes *nodes_new(struct event_base *base, struct manager *manager, const struct head_settings *settings)
{
	struct nodes *nodes = xcalloc(1, sizeof(*nodes));
	struct timeval every = {
		.tv_sec = settings->heartbeat / USEC_PER_SEC,
		.tv_usec = settings->heartbeat % USEC_PER_SEC,
	};

	nodes->manager = manager;
	nodes->settings = settings;
	nodes->heartbeat = event_new(base, -1, EV_PERSIST, on_heartbeat, nodes);
	event_add(nodes->heartbeat, &every);
	/* Nodes known from before are given the same time to be heard of as those that were connected. */
	manager_each_node(manager, add_known, nodes);
	return nodes;
}

void nodes_free(struct nodes *nodes)
{
	struct agent *agent, *next;
	struct hello *hello;
	struct delivery *delivery;

	if (!nodes) {
		return;
	}
	/* Their callbacks are still to come, and free them. */
	DL_FOREACH (nodes->hellos, hello) {
		hello->nodes = NULL;
	}
	DL_FOREACH (nodes->deliveries, delivery) {
		delivery->nodes = NULL;
	}
	HASH_ITER (hh, nodes->agents, agent, next) {
		HASH_DEL(nodes->agents, agent);
		free(agent->name);
		free(agent->guests);
		free(agent);
	}
	event_free(nodes->heartbeat);
	free(nodes);
}
