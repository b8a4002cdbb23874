/* The commands about leases there are. Asking for one is request.c's. */
#include "lease.h"

#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "safe.h"
#include "util.h"
#include "wait.h"
#include "when.h"

static const struct show_column list_columns[] = {
	SHOW_COLUMN("id", "ID", SHOW_INT),
	SHOW_COLUMN("name", "NAME", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("owner", "OWNER", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("kind", "KIND", SHOW_TEXT),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),
	SHOW_COLUMN("vms", "VMS", SHOW_INT),
	SHOW_COLUMN("cpu", "CPU", SHOW_CPU, .csv_only = true),
	SHOW_COLUMN("memory", "MEMORY", SHOW_SIZE, .csv_only = true),
	SHOW_COLUMN("disk", "DISK", SHOW_SIZE, .csv_only = true),
	SHOW_COLUMN("image", "IMAGE", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("serial", "SERIAL", SHOW_BOOL, .csv_only = true),
	SHOW_COLUMN("submitted", "SUBMITTED", SHOW_TIME, .csv_only = true),
	SHOW_COLUMN("start", "START", SHOW_TIME),
	SHOW_COLUMN("end", "END", SHOW_TIME, .csv_only = true),
	SHOW_COLUMN("latest", "LATEST", SHOW_TIME, .csv_only = true),
	SHOW_COLUMN("deadline", "DEADLINE", SHOW_TIME, .csv_only = true),
	SHOW_COLUMN("response", "RESPONSE", SHOW_SPAN, .csv_only = true),
	SHOW_COLUMN("not_before", "NOT BEFORE", SHOW_TIME, .csv_only = true),
	SHOW_COLUMN("price", "PRICE", SHOW_INT, .csv_only = true),
	SHOW_COLUMN("slice", "SLICE", SHOW_SPAN, .csv_only = true),
	SHOW_COLUMN("period", "PERIOD", SHOW_SPAN, .csv_only = true),
	SHOW_COLUMN("duration", "FOR", SHOW_SPAN),
	SHOW_COLUMN("nodes", "NODES", SHOW_LIST, .cut = true),
	SHOW_COLUMN("reason_code", "WHY", SHOW_TEXT, .csv_only = true),
	SHOW_COLUMN("reason", "REASON", SHOW_TEXT, .csv_only = true),
};

static const struct show_column show_columns[] = {
	SHOW_COLUMN("id", "ID", SHOW_INT),
	SHOW_COLUMN("name", "NAME", SHOW_TEXT),
	SHOW_COLUMN("owner", "OWNER", SHOW_TEXT),
	SHOW_COLUMN("kind", "KIND", SHOW_TEXT),
	SHOW_COLUMN("serial", "SERIAL", SHOW_BOOL),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),
	SHOW_COLUMN("reason", "REASON", SHOW_TEXT),
	SHOW_COLUMN("detail", "DETAIL", SHOW_TEXT),
	SHOW_COLUMN("vms", "VMS", SHOW_INT),
	SHOW_COLUMN("cpu", "CPU", SHOW_CPU),
	SHOW_COLUMN("slice", "SLICE", SHOW_SPAN),
	SHOW_COLUMN("period", "PERIOD", SHOW_SPAN),
	SHOW_COLUMN("memory", "MEMORY", SHOW_SIZE),
	SHOW_COLUMN("disk", "DISK", SHOW_SIZE),
	SHOW_COLUMN("image", "IMAGE", SHOW_TEXT),
	SHOW_COLUMN("submitted", "SUBMITTED", SHOW_TIME),
	SHOW_COLUMN("start", "START", SHOW_TIME),
	SHOW_COLUMN("end", "END", SHOW_TIME),
	SHOW_COLUMN("latest", "LATEST", SHOW_TIME),
	SHOW_COLUMN("deadline", "DEADLINE", SHOW_TIME),
	SHOW_COLUMN("response", "RESPONSE", SHOW_SPAN),
	SHOW_COLUMN("not_before", "NOT BEFORE", SHOW_TIME),
	SHOW_COLUMN("duration", "FOR", SHOW_SPAN),
	SHOW_COLUMN("price", "PRICE", SHOW_INT),
	SHOW_COLUMN("first_start", "FIRST START", SHOW_TIME),
	SHOW_COLUMN("ended", "ENDED", SHOW_TIME),
	SHOW_COLUMN("nodes", "NODES", SHOW_LIST),
	SHOW_COLUMN("delivered", "DELIVERED", SHOW_BOOL),
};

static const struct show_column vm_columns[] = {
	SHOW_COLUMN("vm", "VM", SHOW_INT),
	SHOW_COLUMN("node", "NODE", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("from_node", "FROM", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),
	SHOW_COLUMN("generation", "BOOTS", SHOW_INT),
	SHOW_COLUMN("prepare", "PREPARE", SHOW_TIME),
	SHOW_COLUMN("start", "START", SHOW_TIME),
	SHOW_COLUMN("end", "END", SHOW_TIME),
	SHOW_COLUMN("release", "RELEASE", SHOW_TIME),
	SHOW_COLUMN("served", "SERVED", SHOW_SPAN),
};

/* Of a lease with a constraint. */
static const struct show_column edf_columns[] = {
	SHOW_COLUMN("vm", "VM", SHOW_INT),
	SHOW_COLUMN("applied", "APPLIED", SHOW_BOOL),
	SHOW_COLUMN("backend", "BY", SHOW_TEXT),
	SHOW_COLUMN("cpus", "CPUS", SHOW_TEXT),
	SHOW_COLUMN("slice", "SLICE", SHOW_SPAN),
	SHOW_COLUMN("period", "PERIOD", SHOW_SPAN),
	SHOW_COLUMN("used_ppm", "USED", SHOW_PPM),
	SHOW_COLUMN("misses", "MISSES", SHOW_INT),
	SHOW_COLUMN("text", "TEXT", SHOW_TEXT, .cut = true),
};

static const struct show_column history_columns[] = {
	SHOW_COLUMN("at", "AT", SHOW_TIME),
	SHOW_COLUMN("text", "WHAT HAPPENED", SHOW_TEXT, .cut = true),
};

/* ", can be called 14:00:00 to 18:00:00" of an open lease that was not, and still can be. */
static void show_window(const struct show *show, struct json_object *lease)
{
	_cleanup_free_ char *begin =
		show_cell(show, &(struct show_column)SHOW_COLUMN("not_before", "", SHOW_TIME), lease);
	_cleanup_free_ char *end = show_cell(show, &(struct show_column)SHOW_COLUMN("latest", "", SHOW_TIME), lease);

	if (strcmp(show_string(lease, "kind"), "open") == 0 && strcmp(begin, "-") != 0 &&
	    show_number(lease, "ended_us") <= 0) {
		fprintf(show->out, ", can be called %s to %s", begin, end);
	}
}

/* "lease 7: scheduled on n1,n2, 14:00:05 to 14:10:05: reason" */
static void show_line(const struct client *client, struct json_object *lease)
{
	const struct show *show = &client->show;
	_cleanup_free_ char *state = safe_text(show_string(lease, "state"));
	_cleanup_free_ char *reason = safe_text(show_string(lease, "reason"));
	_cleanup_free_ char *nodes = show_cell(show, &(struct show_column)SHOW_COLUMN("nodes", "", SHOW_LIST), lease);
	_cleanup_free_ char *start = show_cell(show, &(struct show_column)SHOW_COLUMN("start", "", SHOW_TIME), lease);
	_cleanup_free_ char *end = show_cell(show, &(struct show_column)SHOW_COLUMN("end", "", SHOW_TIME), lease);

	fprintf(show->out, "lease %" PRId64 ": %s", show_number(lease, "id"), state);
	if (strcmp(nodes, "-") != 0) {
		fprintf(show->out, " on %s", nodes);
	}
	/* One that ended before its start never ran. */
	if (strcmp(start, "-") != 0 && show_number(lease, "end_us") > show_number(lease, "start_us")) {
		fprintf(show->out, ", %s to %s", start, end);
	}
	show_window(show, lease);
	fprintf(show->out, "%s%s\n", *reason ? ": " : "", reason);
	fflush(show->out);
}

void lease_print(const struct client *client, struct json_object *lease)
{
	if (client->show.form == SHOW_TABLE) {
		show_line(client, lease);
	} else {
		show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), lease);
	}
}

int lease_wait_and_print(struct client *client, int64_t id, const char *state, bool reached, struct err *err)
{
	struct json_object *lease;
	int status = wait_lease(client, id, state, reached, &lease, err);

	if (status >= 0) {
		lease_print(client, lease);
		json_object_put(lease);
	}
	return status;
}

int lease_list(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result;

	client_add_text(client, OPT(ONLY_STATE), params, "state");
	client_add_text(client, OPT(OWNER), params, "owner");
	client_add_number(client, OPT(LIMIT), params, "limit");
	if (client_call(client, "lease.list", params, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	int failed = show_list(&client->show, result, "leases", list_columns, ARRAY_SIZE(list_columns), err);

	json_object_put(result);
	return failed;
}

int lease_show(struct client *client, struct err *err)
{
	struct json_object *lease;

	if (client_call_id(client, "lease.show", 0, &lease, err) < 0) {
		return -1;
	}
	show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), lease);
	show_part(&client->show, vm_columns, ARRAY_SIZE(vm_columns), lease, "vm");
	if (show_number(lease, "period_us") > 0) {
		show_part(&client->show, edf_columns, ARRAY_SIZE(edf_columns), lease, "vm");
	}
	json_object_put(lease);
	return STATUS_OK;
}

int lease_cancel(struct client *client, struct err *err)
{
	if (client->arg_count > 1 && client->options.value[OPT(REQUEST_ID)].given) {
		return err_set(err, ERR_PARAMS, "--request-id goes with one lease");
	}
	for (size_t i = 0; i < client->arg_count; i++) {
		struct json_object *lease;

		if (client_call_id(client, "lease.cancel", i, &lease, err) < 0) {
			return client->arg_count > 1 ? err_prefix(err, "lease %s", client->args[i]) : -1;
		}
		lease_print(client, lease);
		json_object_put(lease);
	}
	return STATUS_OK;
}

/* What --to means: another end is as much another duration. */
static int duration_to_end(struct client *client, struct json_object *params, wall_us end, struct err *err)
{
	struct json_object *lease;
	int64_t id = show_number(params, "id");
	struct json_object *which = json_object_new_object();

	json_object_object_add(which, "id", json_object_new_int64(id));
	if (client_call(client, "lease.show", which, CALL_TIMEOUT, &lease, err) < 0) {
		return -1;
	}
	wall_us was = show_number(lease, "end_us");
	span_us duration = show_number(lease, "duration_us") + end - was;

	json_object_put(lease);
	if (was <= 0) {
		return err_set(err, ERR_PARAMS,
			       "--to: when lease %" PRId64 " ends is not known yet; use --by or --duration", id);
	}
	if (duration < USEC_PER_SEC) {
		return err_set(err, ERR_PARAMS,
			       "--to: lease %" PRId64 " would run for less than 1 s; \"tenure cancel %" PRId64
			       "\" ends it",
			       id, id);
	}
	json_object_object_add(params, "duration_us", json_object_new_int64(duration));
	return 0;
}

static int extend_params(struct client *client, struct json_object *params, struct err *err)
{
	const struct option_value *value = client->options.value;

	if (value[OPT(BY)].given + value[OPT(END)].given + value[OPT(DURATION)].given != 1) {
		return err_set(err, ERR_PARAMS, "one of --by, --to and --duration must be given");
	}
	if (client_add_id(client, 0, params, err) < 0) {
		return -1;
	}
	client_add_number(client, OPT(BY), params, "add_us");
	client_add_number(client, OPT(DURATION), params, "duration_us");
	client_add_text(client, OPT(REQUEST_ID), params, "request_id");
	return value[OPT(END)].given ? duration_to_end(client, params, value[OPT(END)].number, err) : 0;
}

/* The longest that could be had, as a command to paste. */
static int not_extended(const struct client *client, const struct err *err)
{
	struct json_object *data = call_data(client->call);
	span_us duration = show_number(json_object_object_get(data, "offer"), "duration_us");
	const struct option_value *server = &client->options.value[OPT(SERVER)];

	show_error(&client->show, err, data);
	if (client->show.form != SHOW_JSON && duration >= USEC_PER_SEC) {
		fprintf(client->show.err, "This could be kept:\n  tenure lease extend");
		if (server->given) {
			fputs(" --server ", client->show.err);
			show_quoted(client->show.err, server->text);
		}
		fprintf(client->show.err, " %s --duration %" PRId64 "s\n", client->args[0], duration / USEC_PER_SEC);
	}
	return STATUS_REJECTED;
}

int lease_extend(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object(), *lease;

	if (extend_params(client, params, err) < 0) {
		json_object_put(params);
		return -1;
	}
	if (client_call(client, "lease.extend", params, CALL_TIMEOUT, &lease, err) < 0) {
		return err->code == ERR_REJECTED ? not_extended(client, err) : -1;
	}
	lease_print(client, lease);
	json_object_put(lease);
	return STATUS_OK;
}

int lease_call(struct client *client, struct err *err)
{
	struct json_object *lease;

	if (client_call_id(client, "lease.call", 0, &lease, err) < 0) {
		return -1;
	}
	lease_print(client, lease);
	json_object_put(lease);
	return STATUS_OK;
}

/* What would fit instead, as commands to paste. */
static int not_tuned(const struct client *client, const struct err *err)
{
	struct json_object *data = call_data(client->call), *offer = json_object_object_get(data, "offer");
	const span_us ways[][2] = {
		{show_number(offer, "slice_us"), client->options.value[OPT(PERIOD)].number},
		{show_number(offer, "period_slice_us"), show_number(offer, "period_us")},
	};
	const struct option_value *server = &client->options.value[OPT(SERVER)];

	show_error(&client->show, err, data);
	for (size_t i = 0; i < ARRAY_SIZE(ways) && client->show.form != SHOW_JSON; i++) {
		char slice[WHEN_TEXT], period[WHEN_TEXT];

		if (ways[i][0] <= 0 || ways[i][1] <= 0) {
			continue;
		}
		when_span(ways[i][0], slice);
		when_span(ways[i][1], period);
		fprintf(client->show.err, "This could be kept:\n  tenure lease tune");
		if (server->given) {
			fputs(" --server ", client->show.err);
			show_quoted(client->show.err, server->text);
		}
		fprintf(client->show.err, " %s --slice %s --period %s\n", client->args[0], slice, period);
	}
	return STATUS_REJECTED;
}

int lease_tune(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object(), *lease;

	if (client_add_constraint(client, params, err) < 0 || client_add_id(client, 0, params, err) < 0) {
		json_object_put(params);
		return -1;
	}
	client_add_text(client, OPT(REQUEST_ID), params, "request_id");
	if (client_call(client, "lease.tune", params, CALL_TIMEOUT, &lease, err) < 0) {
		return err->code == ERR_REJECTED ? not_tuned(client, err) : -1;
	}
	lease_print(client, lease);
	json_object_put(lease);
	return STATUS_OK;
}

int lease_wait(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object();
	const char *state = client->options.value[OPT(STATE)].text;
	int failed = client_add_id(client, 0, params, err);
	int64_t id = show_number(params, "id");
	enum lease_state parsed;

	json_object_put(params);
	if (failed) {
		return -1;
	}
	if (state && lease_state_parse(state, &parsed) < 0) {
		return err_set(err, ERR_PARAMS, "--state %s: there is no such state; try active or done", state);
	}
	return lease_wait_and_print(client, id, state, false, err);
}

static void show_explanation(const struct client *client, struct json_object *answer)
{
	struct json_object *lease = json_object_object_get(answer, "lease");
	_cleanup_free_ char *waits_for = safe_text(show_string(answer, "waits_for"));
	_cleanup_free_ char *until =
		show_cell(&client->show, &(struct show_column)SHOW_COLUMN("waits_until", "", SHOW_TIME), answer);

	show_line(client, lease ? lease : answer);
	if (*waits_for) {
		fprintf(client->show.out, "waits for %s%s%s\n", waits_for, strcmp(until, "-") == 0 ? "" : ", ",
			strcmp(until, "-") == 0 ? "" : until);
	}
	show_part(&client->show, history_columns, ARRAY_SIZE(history_columns), answer, "history");
}

int lease_explain(struct client *client, struct err *err)
{
	struct json_object *answer;
	int failed = STATUS_OK;

	if (client_call_id(client, "lease.explain", 0, &answer, err) < 0) {
		return -1;
	}
	if (client->show.form == SHOW_TABLE) {
		show_explanation(client, answer);
	} else {
		failed = show_list(&client->show, answer, "history", history_columns, ARRAY_SIZE(history_columns), err);
	}
	json_object_put(answer);
	return failed;
}
