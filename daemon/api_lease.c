/* Methods about leases and the slot table: reads come from the database, decisions from the manager. */
#include <inttypes.h>
#include <string.h>

#include "api.h"
#include "clock.h"
#include "jsonx.h"
#include "query.h"
#include "util.h"

/* Sums over all VMs of a lease stay below this, so that the planner's sums of sums cannot overflow. */
#define TOTAL_MAX (INT64_C(1) << 60)

#define LIST_LIMIT 1000

/* Which of the times belong to which kind. */
static int check_times(const struct lease_spec *spec, struct err *err)
{
	bool ar = spec->kind == LEASE_AR, deadline = spec->kind == LEASE_DEADLINE, open = spec->kind == LEASE_OPEN;

	if (ar && !spec->start_us) {
		return err_set(err, ERR_PARAMS, "start_us: an advance reservation needs it");
	}
	if (spec->start_us && !ar && !deadline && !open) {
		return err_set(err, ERR_PARAMS, "start_us: only an advance reservation has an agreed start");
	}
	if (spec->latest_us && ((!ar && !open) || spec->latest_us < spec->start_us + open)) {
		return err_set(err, ERR_PARAMS, "latest_us: %s",
			       ar     ? "is before start_us"
			       : open ? "is not after start_us"
				      : "only an advance reservation has a latest start");
	}
	if (open && !spec->latest_us) {
		return err_set(err, ERR_PARAMS, "latest_us: an open lease needs it: until when it can be called");
	}
	if (open != (spec->response_us > 0)) {
		return err_set(err, ERR_PARAMS, "response_us: %s",
			       open ? "an open lease needs it" : "only an open lease has one");
	}
	if (deadline != (spec->deadline_us > 0)) {
		return err_set(err, ERR_PARAMS, "deadline_us: %s",
			       deadline ? "a deadline lease needs it" : "only a deadline lease has one");
	}
	wall_us last = WALL_NEVER / 2;
	const char *far = spec->start_us > last      ? "start_us"
			  : spec->latest_us > last   ? "latest_us"
			  : spec->deadline_us > last ? "deadline_us"
						     : NULL;
	return far ? err_set(err, ERR_PARAMS, "%s: too far in the future; it counts microseconds since 1970", far) : 0;
}

int api_check_constraint(span_us slice_us, span_us period_us, struct err *err)
{
	if (slice_us && !period_us) {
		return err_set(err, ERR_PARAMS, "period_us: a slice needs it: in every how many microseconds");
	}
	if (period_us && !slice_us) {
		return err_set(err, ERR_PARAMS, "slice_us: a period needs it: how much CPU time in each");
	}
	if (slice_us > period_us) {
		return err_set(err, ERR_PARAMS,
			       "slice_us: one CPU cannot give %" PRId64 " us of its time in %" PRId64
			       " us; a slice is shorter than its period",
			       slice_us, period_us);
	}
	return 0;
}

/* What the rows of method.tbl cannot say: which parameters belong to which kind, and sums. */
static int check_spec(const struct lease_spec *spec, struct err *err)
{
	if (check_times(spec, err) < 0 || api_check_constraint(spec->slice_us, spec->period_us, err) < 0) {
		return -1;
	}
	if (spec->serial && spec->kind != LEASE_BEST_EFFORT) {
		return err_set(err, ERR_PARAMS, "serial: only best-effort leases can be placed VM by VM");
	}
	for (enum resource res = RES_CPU; res < RES_COUNT; res++) {
		if (spec->per_vm.amount[res] > TOTAL_MAX / spec->vms) {
			return err_set(err, ERR_PARAMS, "%s: that many for each of %u VMs is more than can be counted",
				       resource_name(res), spec->vms);
		}
	}
	return 0;
}

static int read_spec(struct json_object *params, struct lease_spec *spec, struct err *err)
{
	const char *kind = api_string(params, "kind");

	*spec = (struct lease_spec){
		.serial = api_bool(params, "serial"),
		.vms = (uint32_t)api_int(params, "vms", 0),
		.start_us = api_int(params, "start_us", 0),
		.latest_us = api_int(params, "latest_us", 0),
		.deadline_us = api_int(params, "deadline_us", 0),
		.response_us = api_int(params, "response_us", 0),
		.duration_us = api_int(params, "duration_us", 0),
		.price_max = api_int(params, "price_max", 0),
		.slice_us = api_int(params, "slice_us", 0),
		.period_us = api_int(params, "period_us", 0),
	};
	if (lease_kind_parse(kind, &spec->kind) < 0) {
		return err_set(err, ERR_PARAMS, "kind: \"%s\" is none of ar, best-effort, immediate, deadline, open",
			       kind);
	}
	spec->per_vm.amount[RES_CPU] = api_int(params, "cpu", 0);
	spec->per_vm.amount[RES_MEMORY] = api_int(params, "memory", 0);
	spec->per_vm.amount[RES_DISK] = api_int(params, "disk", COMMAND_DISK_OF_IMAGE);
	return check_spec(spec, err);
}

void api_lease_request(struct session *session, struct rpc_request *request, struct json_object *params)
{
	const char *name = api_string(params, "name");
	struct command command = {
		.kind = COMMAND_LEASE_REQUEST,
		.name = name ? name : "",
		.image = api_string(params, "image"),
	};
	struct err err = {0};

	if (read_spec(params, &command.spec, &err) < 0) {
		rpc_reply_error(request, &err, NULL);
	} else if (api_bool(params, "dry_run")) {
		api_answer(request,
			   manager_ask(session->head->manager, session->who.name, command.image, &command.spec, &err),
			   &err);
	} else {
		api_submit(session, request, METHOD_LEASE_REQUEST, params, &command);
	}
}

void api_lease_cancel(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct command command = {
		.kind = COMMAND_LEASE_CANCEL,
		.name = "",
		.lease = (uint64_t)api_int(params, "id", 0),
	};

	/* Whether it is the caller's lease is looked at by the manager, in the transaction that ends it. */
	api_submit(session, request, METHOD_LEASE_CANCEL, params, &command);
}

void api_lease_extend(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct command command = {
		.kind = COMMAND_LEASE_EXTEND,
		.name = "",
		.lease = (uint64_t)api_int(params, "id", 0),
		.add_us = api_int(params, "add_us", 0),
		.duration_us = api_int(params, "duration_us", 0),
	};
	struct err err;

	if ((command.add_us != 0) == (command.duration_us != 0)) {
		err_set(&err, ERR_PARAMS, "either add_us, not 0, or duration_us must be given");
		rpc_reply_error(request, &err, NULL);
		return;
	}
	api_submit(session, request, METHOD_LEASE_EXTEND, params, &command);
}

void api_lease_call(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct command command = {
		.kind = COMMAND_LEASE_CALL,
		.name = "",
		.lease = (uint64_t)api_int(params, "id", 0),
	};

	api_submit(session, request, METHOD_LEASE_CALL, params, &command);
}

void api_lease_tune(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct command command = {
		.kind = COMMAND_LEASE_TUNE,
		.name = "",
		.lease = (uint64_t)api_int(params, "id", 0),
		.spec = {.slice_us = api_int(params, "slice_us", 0), .period_us = api_int(params, "period_us", 0)},
	};
	struct err err;

	if (api_check_constraint(command.spec.slice_us, command.spec.period_us, &err) < 0) {
		rpc_reply_error(request, &err, NULL);
		return;
	}
	api_submit(session, request, METHOD_LEASE_TUNE, params, &command);
}

void api_lease_list(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct query_filter filter = {
		.state = api_string(params, "state"),
		.owner = api_string(params, "owner"),
		.before_id = api_int(params, "before_id", INT64_MAX),
		.limit = api_int(params, "limit", LIST_LIMIT),
	};
	enum lease_state state;
	struct err err = {0};

	if (filter.state && strcmp(filter.state, "open") != 0 && lease_state_parse(filter.state, &state) < 0) {
		err_set(&err, ERR_PARAMS, "state: there is no state \"%s\"", filter.state);
		rpc_reply_error(request, &err, NULL);
		return;
	}
	api_answer(request, query_leases(session->head->store, &filter, &err), &err);
}

/* True if every node that the lease concerns has acknowledged its newest part of the plan. */
static int add_delivered(struct head *head, uint64_t id, struct json_object *lease, struct err *err)
{
	_cleanup_free_ uint32_t *nodes = NULL;
	bool delivered = true;
	size_t n;

	if (query_lease_nodes(head->store, id, &nodes, &n, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		delivered = delivered && nodes_delivered(head->nodes, nodes[i]);
	}
	json_object_object_add(lease, "delivered", json_object_new_boolean(delivered));
	return 0;
}

void api_lease_show(struct session *session, struct rpc_request *request, struct json_object *params)
{
	uint64_t id = (uint64_t)api_int(params, "id", 0);
	struct err err = {0};
	struct json_object *lease = query_lease(session->head->store, id, &err);

	if (lease && (add_delivered(session->head, id, lease, &err) < 0 ||
		      api_add_applied(session->head, id, lease, &err) < 0)) {
		json_object_put(lease);
		lease = NULL;
	}
	api_answer(request, lease, &err);
}

void api_lease_explain(struct session *session, struct rpc_request *request, struct json_object *params)
{
	uint64_t id = (uint64_t)api_int(params, "id", 0);
	struct err err = {0};
	struct json_object *result = query_explain(session->head->store, id, &err);

	if (result && add_delivered(session->head, id, json_object_object_get(result, "lease"), &err) < 0) {
		json_object_put(result);
		result = NULL;
	}
	api_answer(request, result, &err);
}

void api_slot_list(struct session *session, struct rpc_request *request, struct json_object *params)
{
	wall_us now = clock_wall();
	wall_us from = api_int(params, "from_us", now - USEC_PER_HOUR);
	wall_us to = api_int(params, "to_us", now + USEC_PER_DAY);
	struct json_object *result = NULL;
	struct err err = {0};

	if (from >= to) {
		err_set(&err, ERR_PARAMS, "to_us: must be later than from_us");
	} else {
		result = query_slots(session->head->store, from, to, api_string(params, "node"), &err);
	}
	if (result) {
		jsonx_add_time(result, "now", now);
		jsonx_add_time(result, "from", from);
		jsonx_add_time(result, "to", to);
	}
	api_answer(request, result, &err);
}
