/*
 * Requests about tasks from local programs: reading them, who may ask what, and answers. What is to be done is the
 * engine's. Methods: attach, set, detach, list, node.
 */
#include "server.h"

#include <grp.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "conn.h"
#include "jsonx.h"
#include "log.h"
#include "proc.h"
#include "rpc.h"
#include "task_json.h"
#include "util.h"

#define KEPT_MAX (1024 * 1024) /* bytes: as many tasks as there can be threads */

struct server {
	struct event_base *base;
	struct engine *engine;
	struct listener *listener;
	struct client *clients;
	unsigned client_count;
	uint32_t limit_ppm; /* of each CPU for tasks; 0 = what the engine has */
	char *kept;         /* the file of tasks to take up again; NULL = none */
};

struct client {
	struct server *server;
	struct rpc *rpc;
	uid_t uid;
	struct client *prev, *next;
};

struct request {
	struct client *client;
	struct jsonx params;
	struct json_object *result;
};

static bool given(const struct request *request, const char *key)
{
	return json_object_object_get_ex(request->params.object, key, NULL);
}

/* ---- how much tasks may have ---- */

struct demands {
	struct edf_demand *item;
	size_t count;
};

static void count_rows(const struct engine_row *row, void *arg)
{
	size_t *count = arg;

	*count += row->owner_uid >= 0;
}

/* Rows of a task follow each other. */
static void add_demand(const struct engine_row *row, void *arg)
{
	struct demands *demands = arg;

	if (row->owner_uid < 0 || (demands->count && demands->item[demands->count - 1].id == row->id)) {
		return;
	}
	demands->item[demands->count++] = (struct edf_demand){
		.id = row->id,
		.threads = row->count,
		.slice_us = row->constraint.slice_ns / 1000,
		.period_us = row->constraint.period_ns / 1000,
	};
}

/* Whether tasks keep to their part of the CPUs, as they are now. */
static int check_limit(const struct server *server, struct err *err)
{
	struct demands demands = {0};
	struct engine_node node;
	size_t rows = 0;

	if (!server->limit_ppm) {
		return 0;
	}
	engine_list(server->engine, 0, count_rows, &rows);
	demands.item = xcalloc(rows + 1, sizeof(*demands.item));
	engine_list(server->engine, 0, add_demand, &demands);
	engine_node(server->engine, &node);
	node.node.limit_ppm = server->limit_ppm;
	bool fits = !demands.count || edf_pack(&node.node, demands.item, demands.count, NULL) == EDF_FITS;
	free(demands.item);
	return fits ? 0
		    : err_set(err, ERR_REJECTED,
			      "no room: tasks may have %.1f %% of each CPU in all here, the rest is for guests of "
			      "leases",
			      (double)server->limit_ppm / 1e4);
}

/* ---- what outlives the engine ---- */

static void keep_task(const struct engine_task *task, void *arg)
{
	if (task->owner_uid >= 0) {
		json_object_array_add(arg, task_json(task));
	}
}

/* After each change. */
static void keep(const struct server *server)
{
	struct json_object *list;
	const char *text;
	struct err err;

	if (!server->kept) {
		return;
	}
	list = json_object_new_array();
	engine_tasks(server->engine, keep_task, list);
	text = json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN);
	if (file_replace(server->kept, text, strlen(text), 0600, &err) < 0) {
		log_warning("edf: tasks would not be taken up again: %s", err.text);
	}
	json_object_put(list);
}

/* ---- attach, set, detach ---- */

static int attach_within(const struct server *server, const struct engine_task *task, uint64_t *id, struct err *err)
{
	if (engine_attach(server->engine, task, id, err) < 0) {
		return -1;
	}
	if (check_limit(server, err) < 0) {
		engine_detach(server->engine, *id, NULL);
		return -1;
	}
	return 0;
}

static int do_attach(struct request *request, struct err *err)
{
	const struct server *server = request->client->server;
	struct engine_task task;
	uint64_t id;

	if (task_json_read(&request->params, &task, err) < 0) {
		return -1;
	}
	task.owner_uid = request->client->uid;
	if (attach_within(server, &task, &id, err) < 0) {
		return -1;
	}
	keep(server);
	jsonx_add_int(request->result, "id", (int64_t)id);
	return 0;
}

struct found {
	int64_t uid;
	bool any;
	struct edf_constraint constraint;
};

static void find(const struct engine_row *row, void *arg)
{
	struct found *found = arg;

	*found = (struct found){row->owner_uid, true, row->constraint};
}

/* Of those that came through the server. */
static int find_task(const struct server *server, uint64_t id, struct found *found, struct err *err)
{
	*found = (struct found){0};
	engine_list(server->engine, id, find, found);
	if (!found->any) {
		return err_set(err, ERR_NOT_FOUND, "there is no task %llu", (unsigned long long)id);
	}
	if (found->uid < 0) {
		return err_set(err, ERR_DENIED, "task %llu is the guest of a lease: tenure lease tune changes it",
			       (unsigned long long)id);
	}
	return 0;
}

static int read_own_task(const struct request *request, uint64_t *id, struct found *found, struct err *err)
{
	if (jsonx_u64(&request->params, "id", 1, INT64_MAX, id, err) < 0 ||
	    find_task(request->client->server, *id, found, err) < 0) {
		return -1;
	}
	if (request->client->uid != 0 && found->uid != request->client->uid) {
		return err_set(err, ERR_DENIED, "task %llu is another user's", (unsigned long long)*id);
	}
	return 0;
}

/* Unchanged on failure. */
static int set_within(const struct server *server, uint64_t id, const struct edf_constraint *constraint,
		      const struct edf_constraint *was, struct err *err)
{
	if (engine_set(server->engine, id, constraint, err) < 0) {
		return -1;
	}
	if (check_limit(server, err) < 0) {
		engine_set(server->engine, id, was, NULL);
		return -1;
	}
	keep(server);
	return 0;
}

static int detach(const struct server *server, uint64_t id, struct err *err)
{
	int rc = engine_detach(server->engine, id, err);

	keep(server);
	return rc;
}

int server_tune(struct server *server, uint64_t id, int64_t slice_us, int64_t period_us, struct err *err)
{
	struct found found;

	if (find_task(server, id, &found, err) < 0) {
		return -1;
	}
	struct edf_constraint constraint = {
		.slice_ns = slice_us * 1000,
		.period_ns = period_us * 1000,
		.strict = found.constraint.strict,
	};
	return period_us ? set_within(server, id, &constraint, &found.constraint, err) : detach(server, id, err);
}

static int do_set(struct request *request, struct err *err)
{
	struct edf_constraint constraint = {0};
	struct found found;
	uint64_t id;

	if (read_own_task(request, &id, &found, err) < 0) {
		return -1;
	}
	constraint.strict = found.constraint.strict;
	if (task_json_constraint(&request->params, &constraint, err) < 0) {
		return -1;
	}
	return set_within(request->client->server, id, &constraint, &found.constraint, err);
}

static int do_detach(struct request *request, struct err *err)
{
	struct found found;
	uint64_t id;

	if (read_own_task(request, &id, &found, err) < 0) {
		return -1;
	}
	return detach(request->client->server, id, err);
}

/* ---- list, node ---- */

static void add_row(const struct engine_row *row, void *arg)
{
	struct json_object *out = json_object_new_object();

	jsonx_add_int(out, "id", (int64_t)row->id);
	jsonx_add_string(out, "name", row->name);
	jsonx_add_int(out, "index", row->index);
	jsonx_add_int(out, "pid", row->pid);
	jsonx_add_int(out, "tid", row->tid);
	jsonx_add_int(out, "cpu", row->cpu);
	jsonx_add_string(out, "backend", engine_backend_name(row->backend));
	if (*row->reason) {
		jsonx_add_string(out, "reason", row->reason);
	}
	jsonx_add_bool(out, "strict", row->strict);
	jsonx_add_int(out, "uid", row->owner_uid);
	jsonx_add_int(out, "slice_us", row->constraint.slice_ns / 1000);
	jsonx_add_int(out, "period_us", row->constraint.period_ns / 1000);
	jsonx_add_int(out, "used_ns", row->used_ns);
	jsonx_add_int(out, "attached_ns", row->attached_ns);
	jsonx_add_int(out, "periods", (int64_t)row->periods);
	jsonx_add_int(out, "misses", (int64_t)row->misses);
	jsonx_add_int(out, "late_max_ns", row->late_max_ns);
	jsonx_add_int(out, "over_max_ns", row->over_max_ns);
	jsonx_add_int(out, "change_ns", row->change_ns);
	jsonx_add_int(out, "change_max_ns", row->change_max_ns);
	json_object_array_add(arg, out);
}

static int do_list(struct request *request, struct err *err)
{
	struct json_object *rows;
	uint64_t id = 0;

	if (given(request, "id") && jsonx_u64(&request->params, "id", 1, INT64_MAX, &id, err) < 0) {
		return -1;
	}
	rows = json_object_new_array();
	json_object_object_add(request->result, "threads", rows);
	if (engine_list(request->client->server->engine, id, add_row, rows) == 0 && id) {
		return err_set(err, ERR_NOT_FOUND, "there is no task %llu", (unsigned long long)id);
	}
	return 0;
}

static int do_node(struct request *request, struct err *err)
{
	struct json_object *out = request->result, *cpus = json_object_new_array();
	struct engine_node node;

	(void)err;
	engine_node(request->client->server->engine, &node);
	jsonx_add_string(out, "backend", engine_backend_name(node.backend));
	for (unsigned i = 0; i < node.cpu_count; i++) {
		json_object_array_add(cpus, json_object_new_int(node.cpu[i]));
	}
	json_object_object_add(out, "cpus", cpus);
	jsonx_add_int(out, "limit_ppm", node.node.limit_ppm);
	jsonx_add_int(out, "wake_ns", node.node.wake_ns);
	jsonx_add_int(out, "late_ns", node.late_ns);
	jsonx_add_int(out, "period_min_us", node.node.period_min_us);
	jsonx_add_int(out, "slice_min_us", edf_slice_min_us(&node.node));
	jsonx_add_int(out, "tasks", node.tasks);
	jsonx_add_int(out, "threads", node.threads);
	jsonx_add_int(out, "promised_ppm", node.promised_ppm);
	jsonx_add_bool(out, "strict_possible", node.strict_possible);
	jsonx_add_string(out, "reason", node.reason);
	jsonx_add_string(out, "done", node.done);
	return 0;
}

/* ---- connections ---- */

static void on_request(struct rpc *rpc, struct rpc_request *rpc_request, const char *method, struct json_object *params,
		       void *arg)
{
	static const struct {
		const char *name;
		int (*run)(struct request *request, struct err *err);
	} methods[] = {
		{"attach", do_attach}, {"set", do_set}, {"detach", do_detach}, {"list", do_list}, {"node", do_node},
	};
	struct request request = {.client = arg, .result = json_object_new_object()};
	struct err err;
	int rc = -1;

	(void)rpc;
	err_set(&err, ERR_METHOD, "there is no method %.40s", method);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(method, methods[i].name) == 0) {
			rc = jsonx_root(params, "", &request.params, &err) < 0 ? -1 : methods[i].run(&request, &err);
		}
	}
	if (rc < 0) {
		json_object_put(request.result);
		rpc_reply_error(rpc_request, &err, NULL);
	} else {
		rpc_reply(rpc_request, request.result);
	}
}

static void forget(struct client *client)
{
	DL_DELETE(client->server->clients, client);
	client->server->client_count--;
	free(client);
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	(void)rpc;
	(void)why;
	forget(arg);
}

static void on_accepted(struct conn *conn, void *arg)
{
	static const struct rpc_ops ops = {.request = on_request, .closed = on_closed};
	struct server *server = arg;
	struct client *client = xcalloc(1, sizeof(*client));

	client->server = server;
	client->uid = conn_peer(conn)->uid;
	DL_APPEND(server->clients, client);
	server->client_count++;
	client->rpc = rpc_accept(server->base, conn, &ops, client);
}

static int find_group(const char *name, gid_t *gid, struct err *err)
{
	const struct group *group = getgrnam(name);

	if (!group) {
		return err_set(err, ERR_PARAMS, "there is no group \"%s\"", name);
	}
	*gid = group->gr_gid;
	return 0;
}

int server_new(struct server **out, struct event_base *base, struct engine *engine, const char *run_dir,
	       const char *group, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/" SERVER_SOCKET, run_dir && *run_dir ? run_dir : ENGINE_DIR);
	_cleanup_free_ char *address = xasprintf("unix:%s", path);
	struct server *server;
	gid_t gid = 0;

	if (group && find_group(group, &gid, err) < 0) {
		return -1;
	}
	server = xcalloc(1, sizeof(*server));
	server->base = base;
	server->engine = engine;
	server->listener = listener_new(base, address, "", 0600, SERVER_CLIENTS, on_accepted, server, err);
	if (!server->listener) {
		free(server);
		return -1;
	}
	if (group && (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0660) < 0)) {
		err_set(err, ERR_DENIED, "cannot give %s to group %s", path, group);
		server_free(server);
		return -1;
	}
	*out = server;
	return 0;
}

void server_free(struct server *server)
{
	if (server) {
		while (server->clients) {
			struct client *client = server->clients;

			rpc_close(client->rpc);
			forget(client);
		}
		listener_free(server->listener);
		free(server->kept);
		free(server);
	}
}

/* One entry of the file: its number stays, and the process must be the one it was. */
static int take_up(const struct server *server, struct json_object *entry, struct err *err)
{
	struct engine_task task;
	struct jsonx at;
	uint64_t start, id;

	if (jsonx_root(entry, "", &at, err) < 0 || task_json_read(&at, &task, err) < 0 ||
	    jsonx_u64(&at, "id", 1, INT64_MAX, &task.id, err) < 0 ||
	    jsonx_i64(&at, "uid", 0, UINT32_MAX, &task.owner_uid, err) < 0 ||
	    jsonx_u64(&at, "start_time", 1, INT64_MAX, &start, err) < 0) {
		return -1;
	}
	if (proc_start_time(task.tid ? task.tid : task.pid) != start) {
		return err_set(err, ERR_NOT_FOUND, "it has ended");
	}
	return attach_within(server, &task, &id, err);
}

void server_keep(struct server *server, const char *run_dir)
{
	_cleanup_free_ char *path = xasprintf("%s/tasks", run_dir && *run_dir ? run_dir : ENGINE_DIR);
	_cleanup_free_ char *text = file_read(path, KEPT_MAX, NULL);
	_cleanup_(jsonx_cleanup) struct json_object *list = text ? json_tokener_parse(text) : NULL;
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	struct err err;

	for (size_t i = 0; i < n; i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);

		if (take_up(server, entry, &err) < 0) {
			log_info("edf: not taken up again: %s: %s", json_object_to_json_string(entry), err.text);
		} else {
			log_info("edf: taken up again: %s", json_object_to_json_string(entry));
		}
	}
	server->kept = steal(&path);
	keep(server);
}

void server_limit(struct server *server, uint32_t limit_ppm)
{
	server->limit_ppm = limit_ppm;
}

unsigned server_clients(const struct server *server)
{
	return server->client_count;
}
