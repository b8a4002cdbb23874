/*
 * What agents last said of slices and periods: beside a lease's VMs, guest by guest, and of tenure-edf's tasks, whose
 * changes are passed on to them. Decides nothing.
 */
#include <string.h>

#include "api.h"
#include "jsonx.h"
#include "query.h"
#include "util.h"

static void add_edf(struct json_object *row, const struct report_edf *edf)
{
	jsonx_add_string(row, "backend", edf->backend);
	jsonx_add_string(row, "cpus", edf->cpus);
	jsonx_add_int(row, "slice_us", edf->slice_us);
	jsonx_add_int(row, "period_us", edf->period_us);
	jsonx_add_int(row, "change_us", edf->change_us);
	jsonx_add_int(row, "used_ppm", edf->used_ppm);
	jsonx_add_int(row, "periods", edf->periods);
	jsonx_add_int(row, "misses", edf->misses);
	jsonx_add_int(row, "late_us", edf->late_us);
	jsonx_add_string(row, "text", edf->text);
}

static bool is_said(const struct report_edf *edf)
{
	return *edf->backend || *edf->text;
}

/* ---- beside a lease ---- */

/* In force is what the agent's backend enforces now, not what it was asked to. */
static void add_applied(struct json_object *row, struct json_object *lease, const struct report_edf *edf)
{
	int64_t slice = json_object_get_int64(json_object_object_get(lease, "slice_us"));
	int64_t period = json_object_get_int64(json_object_object_get(lease, "period_us"));
	bool same = *edf->backend && edf->slice_us == slice && edf->period_us == period;

	json_object_object_add(row, "applied", json_object_new_boolean(same));
	add_edf(row, edf);
}

int api_add_applied(struct head *head, uint64_t id, struct json_object *lease, struct err *err)
{
	struct json_object *vms = json_object_object_get(lease, "vm");
	_cleanup_free_ uint32_t *nodes = NULL;
	size_t n;

	if (json_object_get_int64(json_object_object_get(lease, "period_us")) == 0) {
		return 0;
	}
	if (query_lease_nodes(head->store, id, &nodes, &n, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const struct report *report = manager_last_report(head->manager, nodes[i]);

		for (size_t k = 0; report && k < report->vm_count; k++) {
			const struct report_vm *vm = &report->vms[k];

			if (vm->lease == id && vm->vm < json_object_array_length(vms) && is_said(&vm->edf)) {
				add_applied(json_object_array_get_idx(vms, vm->vm), lease, &vm->edf);
			}
		}
	}
	return 0;
}

/* ---- node.edf ---- */

struct table {
	struct head *head;
	const char *only; /* NULL = all nodes */
	struct json_object *guests, *tasks;
	bool found;
};

static void add_tasks(struct json_object *tasks, const char *node, const struct report *report)
{
	for (size_t i = 0; report && i < report->task_count; i++) {
		const struct report_task *task = &report->tasks[i];
		struct json_object *row = json_object_new_object();

		jsonx_add_string(row, "node", node);
		jsonx_add_int(row, "task", (int64_t)task->id);
		jsonx_add_string(row, "name", task->name);
		jsonx_add_int(row, "pid", task->pid);
		jsonx_add_int(row, "uid", task->uid);
		add_edf(row, &task->edf);
		json_object_array_add(tasks, row);
	}
}

static void add_guests(uint32_t id, const char *name, void *arg)
{
	struct table *table = arg;
	const struct report *report = manager_last_report(table->head->manager, id);

	if (table->only && strcmp(table->only, name) != 0) {
		return;
	}
	table->found = true;
	add_tasks(table->tasks, name, report);
	for (size_t i = 0; report && i < report->vm_count; i++) {
		const struct report_vm *vm = &report->vms[i];
		struct json_object *row;

		if (!is_said(&vm->edf)) {
			continue;
		}
		row = json_object_new_object();
		jsonx_add_string(row, "node", name);
		jsonx_add_int(row, "lease", (int64_t)vm->lease);
		jsonx_add_int(row, "vm", vm->vm);
		add_edf(row, &vm->edf);
		json_object_array_add(table->guests, row);
	}
}

void api_node_edf(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct table table = {.head = session->head, .only = api_string(params, "name")};
	struct json_object *result = NULL;
	struct err err = {0};

	table.guests = json_object_new_array();
	table.tasks = json_object_new_array();
	manager_each_node(session->head->manager, add_guests, &table);
	if (table.only && !table.found) {
		err_set(&err, ERR_NOT_FOUND, "there is no node \"%s\"; node.list shows those there are", table.only);
		json_object_put(table.guests);
		json_object_put(table.tasks);
	} else {
		result = json_object_new_object();
		json_object_object_add(result, "guests", table.guests);
		json_object_object_add(result, "tasks", table.tasks);
	}
	api_answer(request, result, &err);
}

/* ---- node.tune ---- */

struct wanted {
	const char *name;
	uint32_t id; /* 0 = not found */
};

static void find_node(uint32_t id, const char *name, void *arg)
{
	struct wanted *wanted = arg;

	if (strcmp(name, wanted->name) == 0) {
		wanted->id = id;
	}
}

void api_node_tune(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct wanted node = {.name = api_string(params, "name")};
	span_us slice = api_int(params, "slice_us", 0), period = api_int(params, "period_us", 0);
	struct err err = {0};

	manager_each_node(session->head->manager, find_node, &node);
	if (!node.id) {
		err_set(&err, ERR_NOT_FOUND, "there is no node \"%s\"; node.list shows those there are", node.name);
	}
	if (err.code || api_check_constraint(slice, period, &err) < 0) {
		rpc_reply_error(request, &err, NULL);
		return;
	}
	nodes_task(session->head->nodes, node.id, request, api_int(params, "task", 0), slice, period);
}
