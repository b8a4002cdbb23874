/* The commands about nodes. */
#include <string.h>

#include "clock.h"
#include "command.h"
#include "util.h"
#include "when.h"

#define WATCH_EVERY (2 * USEC_PER_SEC)

static const struct show_column list_columns[] = {
	SHOW_COLUMN("name", "NAME", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),
	SHOW_COLUMN("connected", "CONNECTED", SHOW_BOOL),
	SHOW_COLUMN("drain", "DRAIN", SHOW_BOOL),
	SHOW_COLUMN("degraded", "DEGRADED", SHOW_BOOL, .csv_only = true),
	SHOW_COLUMN("vms", "VMS", SHOW_INT),
	SHOW_COLUMN("cpu", "CPU", SHOW_CPU),
	SHOW_COLUMN("memory", "MEMORY", SHOW_SIZE),
	SHOW_COLUMN("disk", "DISK", SHOW_SIZE),
	SHOW_COLUMN("pool", "POOL", SHOW_SIZE),
	SHOW_COLUMN("hypervisor", "HYPERVISOR", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("version", "VERSION", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("seen", "SEEN", SHOW_TIME),
	SHOW_COLUMN("text", "TEXT", SHOW_TEXT, .csv_only = true),
};

static const struct show_column show_columns[] = {
	SHOW_COLUMN("name", "", SHOW_TEXT),         SHOW_COLUMN("state", "", SHOW_TEXT),
	SHOW_COLUMN("connected", "", SHOW_BOOL),    SHOW_COLUMN("delivered", "", SHOW_BOOL),
	SHOW_COLUMN("drain", "", SHOW_BOOL),        SHOW_COLUMN("degraded", "", SHOW_BOOL),
	SHOW_COLUMN("text", "", SHOW_TEXT),         SHOW_COLUMN("vms", "", SHOW_INT),
	SHOW_COLUMN("cpu", "", SHOW_CPU),           SHOW_COLUMN("memory", "", SHOW_SIZE),
	SHOW_COLUMN("disk", "", SHOW_SIZE),         SHOW_COLUMN("pool", "", SHOW_SIZE),
	SHOW_COLUMN("net_in", "", SHOW_SIZE),       SHOW_COLUMN("net_out", "", SHOW_SIZE),
	SHOW_COLUMN("suspend_rate", "", SHOW_SIZE), SHOW_COLUMN("resume_rate", "", SHOW_SIZE),
	SHOW_COLUMN("images", "", SHOW_LIST),       SHOW_COLUMN("hypervisor", "", SHOW_TEXT),
	SHOW_COLUMN("version", "", SHOW_TEXT),      SHOW_COLUMN("seen", "", SHOW_TIME),
	SHOW_COLUMN("edf_backend", "", SHOW_TEXT),  SHOW_COLUMN("edf_cpus", "", SHOW_INT),
	SHOW_COLUMN("edf_limit_ppm", "", SHOW_PPM), SHOW_COLUMN("edf_period", "", SHOW_SPAN),
	SHOW_COLUMN("edf_slice", "", SHOW_SPAN),    SHOW_COLUMN("edf_wake_ns", "", SHOW_INT),
	SHOW_COLUMN("edf_text", "", SHOW_TEXT),
};

static const struct show_column vm_columns[] = {
	SHOW_COLUMN("lease", "LEASE", SHOW_INT),      SHOW_COLUMN("vm", "VM", SHOW_INT),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),     SHOW_COLUMN("seen", "SEEN", SHOW_TEXT),
	SHOW_COLUMN("generation", "BOOTS", SHOW_INT), SHOW_COLUMN("prepare", "PREPARE", SHOW_TIME),
	SHOW_COLUMN("start", "START", SHOW_TIME),     SHOW_COLUMN("end", "END", SHOW_TIME),
};

static const struct show_column estimate_columns[] = {
	SHOW_COLUMN("what", "MEASURED", SHOW_TEXT),    SHOW_COLUMN("memory", "UP TO", SHOW_SIZE),
	SHOW_COLUMN("count", "TIMES", SHOW_INT),       SHOW_COLUMN("mean", "MEAN", SHOW_SPAN),
	SHOW_COLUMN("estimate", "PLANNED", SHOW_SPAN), SHOW_COLUMN("last", "LAST", SHOW_TIME),
};

int node_list(struct client *client, struct err *err)
{
	struct json_object *result;

	if (client_call(client, "node.list", NULL, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	int failed = show_list(&client->show, result, "nodes", list_columns, ARRAY_SIZE(list_columns), err);

	json_object_put(result);
	return failed;
}

int node_show(struct client *client, struct err *err)
{
	struct json_object *node;

	if (client_call_name(client, "node.show", 0, &node, err) < 0) {
		return -1;
	}
	show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), node);
	show_part(&client->show, vm_columns, ARRAY_SIZE(vm_columns), node, "vm");
	show_part(&client->show, estimate_columns, ARRAY_SIZE(estimate_columns), node, "estimates");
	json_object_put(node);
	return STATUS_OK;
}

static const struct show_column edf_columns[] = {
	SHOW_COLUMN("node", "NODE", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("lease", "LEASE", SHOW_INT),
	SHOW_COLUMN("vm", "VM", SHOW_INT),
	SHOW_COLUMN("backend", "BY", SHOW_TEXT),
	SHOW_COLUMN("cpus", "CPUS", SHOW_TEXT),
	SHOW_COLUMN("slice", "SLICE", SHOW_SPAN),
	SHOW_COLUMN("period", "PERIOD", SHOW_SPAN),
	SHOW_COLUMN("used_ppm", "USED", SHOW_PPM),
	SHOW_COLUMN("periods", "PERIODS", SHOW_INT, .csv_only = true),
	SHOW_COLUMN("misses", "MISSES", SHOW_INT),
	SHOW_COLUMN("late", "WORST", SHOW_SPAN),
	SHOW_COLUMN("change", "CHANGE", SHOW_SPAN, .csv_only = true),
	SHOW_COLUMN("text", "TEXT", SHOW_TEXT, .cut = true),
};

/* In a table after the guests, if there are any. */
static const struct show_column task_columns[] = {
	SHOW_COLUMN("node", "NODE", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("task", "TASK", SHOW_INT),
	SHOW_COLUMN("name", "NAME", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("pid", "PID", SHOW_INT),
	SHOW_COLUMN("uid", "UID", SHOW_INT),
	SHOW_COLUMN("backend", "BY", SHOW_TEXT),
	SHOW_COLUMN("cpus", "CPUS", SHOW_TEXT),
	SHOW_COLUMN("slice", "SLICE", SHOW_SPAN),
	SHOW_COLUMN("period", "PERIOD", SHOW_SPAN),
	SHOW_COLUMN("used_ppm", "USED", SHOW_PPM),
	SHOW_COLUMN("misses", "MISSES", SHOW_INT),
	SHOW_COLUMN("late", "WORST", SHOW_SPAN),
};

static int get_edf(struct client *client, struct json_object **result, struct err *err)
{
	struct json_object *params = json_object_new_object();

	if (client->arg_count && client_add_name(client, 0, params, err) < 0) {
		json_object_put(params);
		return -1;
	}
	return client_call(client, "node.edf", params, CALL_TIMEOUT, result, err);
}

static int show_edf(const struct client *client, struct json_object *result, struct err *err)
{
	if (show_list(&client->show, result, "guests", edf_columns, ARRAY_SIZE(edf_columns), err) < 0) {
		return -1;
	}
	show_part(&client->show, task_columns, ARRAY_SIZE(task_columns), result, "tasks");
	return 0;
}

/* A terminal is written over; elsewhere it is one block after the other, or with --output json a line each time. */
static int show_edf_again(struct client *client, struct json_object *result, span_us every, unsigned times,
			  struct err *err)
{
	struct show *show = &client->show;
	char at[WHEN_TEXT], rest[WHEN_TEXT];

	show->now = clock_wall();
	if (show->form == SHOW_JSON) {
		show_json(show->out, result, JSON_C_TO_STRING_PLAIN);
		return 0;
	}
	if (show->form == SHOW_TABLE) {
		when_local(show->now, show->now, at);
		when_span(every, rest);
		fprintf(show->out, "%s%s, every %s%s\n",
			show->width ? "\033[H\033[J"
			: times     ? "\n"
				    : "",
			at, rest, show->width ? "; ^C ends" : "");
	}
	return show_edf(client, result, err);
}

static int watch_edf(struct client *client, struct err *err)
{
	span_us every = option_number(&client->options, OPT(EVERY), WATCH_EVERY);
	span_us patience = option_number(&client->options, OPT(TIMEOUT), WALL_NEVER);
	mono_us end = clock_mono() + patience;
	struct json_object *result;
	bool lost = false;

	for (unsigned times = 0; clock_mono() < end; call_sleep(client->call, every)) {
		if (get_edf(client, &result, err) == 0) {
			int failed = show_edf_again(client, result, every, times++, err);

			json_object_put(result);
			/* Nobody reads any more, as after "| head". */
			if (failed || fflush(client->show.out) != 0) {
				return failed ? -1 : err_set(err, ERR_INTERNAL, "the output cannot be written");
			}
			lost = false;
		} else if (!times || (err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT)) {
			return -1;
		} else if (!lost) {
			fprintf(client->show.err, "tenure: connection lost; trying again\n");
			lost = true;
		}
	}
	return err_set(err, ERR_TIMEOUT, "the time given with --timeout is over");
}

int node_edf(struct client *client, struct err *err)
{
	struct json_object *result;

	if (client->options.value[OPT(WATCH)].given) {
		return watch_edf(client, err);
	}
	if (get_edf(client, &result, err) < 0) {
		return -1;
	}
	int failed = show_edf(client, result, err);

	json_object_put(result);
	return failed;
}

int node_tune(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result;
	int64_t task;

	if (client_add_name(client, 0, params, err) < 0 || client_add_constraint(client, params, err) < 0) {
		json_object_put(params);
		return -1;
	}
	if (parse_i64(client->args[1], 1, INT64_MAX, &task) < 0) {
		json_object_put(params);
		return err_set(err, ERR_PARAMS, "'%s' is not a task; \"tenure node edf\" shows them", client->args[1]);
	}
	json_object_object_add(params, "task", json_object_new_int64(task));
	if (client_call(client, "node.tune", params, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	json_object_put(result);
	return STATUS_OK;
}

static int change(struct client *client, const char *method, const char *done, struct err *err)
{
	struct json_object *result;

	if (client_call_name(client, method, 0, &result, err) < 0) {
		return -1;
	}
	if (client->show.form == SHOW_TABLE) {
		fprintf(client->show.out, "node %s: %s\n", client->args[0], done);
	} else {
		show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), result);
	}
	json_object_put(result);
	return STATUS_OK;
}

int node_drain(struct client *client, struct err *err)
{
	return change(client, "node.drain", "draining: it keeps what it has and gets nothing new", err);
}

int node_resume(struct client *client, struct err *err)
{
	return change(client, "node.resume", "takes leases again", err);
}
