/* The commands about leases. What a refused request could have had instead is shown as a command to paste. */
#include "lease.h"

#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "safe.h"
#include "util.h"
#include "wait.h"
#include "when.h"

#define DEFAULT_MEMORY (INT64_C(512) << 20)

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
	SHOW_COLUMN("memory", "MEMORY", SHOW_SIZE),
	SHOW_COLUMN("disk", "DISK", SHOW_SIZE),
	SHOW_COLUMN("image", "IMAGE", SHOW_TEXT),
	SHOW_COLUMN("submitted", "SUBMITTED", SHOW_TIME),
	SHOW_COLUMN("start", "START", SHOW_TIME),
	SHOW_COLUMN("end", "END", SHOW_TIME),
	SHOW_COLUMN("duration", "FOR", SHOW_SPAN),
	SHOW_COLUMN("first_start", "FIRST START", SHOW_TIME),
	SHOW_COLUMN("ended", "ENDED", SHOW_TIME),
	SHOW_COLUMN("nodes", "NODES", SHOW_LIST),
	SHOW_COLUMN("delivered", "DELIVERED", SHOW_BOOL),
};

static const struct show_column vm_columns[] = {
	SHOW_COLUMN("vm", "VM", SHOW_INT),
	SHOW_COLUMN("node", "NODE", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),
	SHOW_COLUMN("generation", "BOOTS", SHOW_INT),
	SHOW_COLUMN("prepare", "PREPARE", SHOW_TIME),
	SHOW_COLUMN("start", "START", SHOW_TIME),
	SHOW_COLUMN("end", "END", SHOW_TIME),
	SHOW_COLUMN("release", "RELEASE", SHOW_TIME),
	SHOW_COLUMN("served", "SERVED", SHOW_SPAN),
};

static const struct show_column history_columns[] = {
	SHOW_COLUMN("at", "AT", SHOW_TIME),
	SHOW_COLUMN("text", "WHAT HAPPENED", SHOW_TEXT, .cut = true),
};

static bool given(const struct client *client, enum option_id id)
{
	return client->options.value[id].given;
}

static int check_request(const struct client *client, struct err *err)
{
	const char *state = client->options.value[OPT(WAIT)].text;
	enum lease_state parsed;

	if (!given(client, OPT(IMAGE))) {
		return err_set(err, ERR_PARAMS, "--image NAME is missing; \"tenure image list\" shows what there is");
	}
	if (!given(client, OPT(FOR))) {
		return err_set(err, ERR_PARAMS, "--for DURATION is missing: how long the VMs are to run, such as 2h");
	}
	if (given(client, OPT(AT)) && given(client, OPT(NOW))) {
		return err_set(err, ERR_PARAMS, "--at and --now exclude each other");
	}
	if (given(client, OPT(SERIAL)) && (given(client, OPT(AT)) || given(client, OPT(NOW)))) {
		return err_set(err, ERR_PARAMS, "--serial is for best-effort leases: without --at and --now");
	}
	if (given(client, OPT(WAIT)) && given(client, OPT(DRY_RUN))) {
		return err_set(err, ERR_PARAMS, "--wait and --dry-run exclude each other");
	}
	if (state && lease_state_parse(state, &parsed) < 0) {
		return err_set(err, ERR_PARAMS, "--wait=%s: there is no such state; try active or done", state);
	}
	return 0;
}

static void add_with_default(struct client *client, enum option_id id, struct json_object *params, const char *key,
			     int64_t otherwise)
{
	json_object_object_add(params, key, json_object_new_int64(option_number(&client->options, id, otherwise)));
}

static struct json_object *request_params(struct client *client)
{
	struct json_object *params = json_object_new_object();
	enum lease_kind kind = given(client, OPT(AT))    ? LEASE_AR
			       : given(client, OPT(NOW)) ? LEASE_IMMEDIATE
							 : LEASE_BEST_EFFORT;

	json_object_object_add(params, "kind", json_object_new_string(lease_kind_name(kind)));
	add_with_default(client, OPT(VMS), params, "vms", 1);
	add_with_default(client, OPT(CPU), params, "cpu", 1000);
	add_with_default(client, OPT(MEMORY), params, "memory", DEFAULT_MEMORY);
	client_add_number(client, OPT(DISK), params, "disk");
	client_add_text(client, OPT(IMAGE), params, "image");
	client_add_number(client, OPT(AT), params, "start_us");
	client_add_number(client, OPT(FOR), params, "duration_us");
	client_add_text(client, OPT(NAME), params, "name");
	client_add_text(client, OPT(REQUEST_ID), params, "request_id");
	if (given(client, OPT(SERIAL))) {
		json_object_object_add(params, "serial", json_object_new_boolean(true));
	}
	if (given(client, OPT(DRY_RUN))) {
		json_object_object_add(params, "dry_run", json_object_new_boolean(true));
	}
	return params;
}

/* In single quotes where a shell would see more than a word. */
static void put_quoted(FILE *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";

	if (*text && text[strspn(text, plain)] == '\0') {
		fputs(text, out);
		return;
	}
	putc('\'', out);
	for (; *text; text++) {
		fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, out);
	}
	putc('\'', out);
}

/* With microseconds: an offer may begin exactly where another lease ends. */
static void put_exact_time(FILE *out, wall_us t)
{
	char iso[WHEN_TEXT];

	when_iso(t, iso);
	if (t % USEC_PER_MSEC) {
		fprintf(out, "%.*s%03dZ", (int)strcspn(iso, "Z"), iso, (int)(t % USEC_PER_MSEC));
	} else {
		fputs(iso, out);
	}
}

/* The request as it was given, with what the offer changes. */
static void show_offer(const struct client *client, struct json_object *offer)
{
	FILE *out = client->show.err;
	wall_us start = show_number(offer, "start_us");
	span_us duration = show_number(offer, "duration_us");
	static const enum option_id same[] = {OPT(SERVER), OPT(CPU),    OPT(MEMORY), OPT(DISK),
					      OPT(IMAGE),  OPT(SERIAL), OPT(NAME)};

	fprintf(out, "This could be kept:\n  tenure submit");
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		const struct option_value *value = &client->options.value[same[i]];

		if (value->given) {
			fprintf(out, " --%s%s", option_rows[same[i]].name, value->text ? " " : "");
			put_quoted(out, value->text ? value->text : "");
		}
	}
	fprintf(out, " --vms %" PRId64, show_number(offer, "vms"));
	if (duration == client->options.value[OPT(FOR)].number || duration < USEC_PER_SEC) {
		fprintf(out, " --for %s", client->options.value[OPT(FOR)].text);
	} else {
		fprintf(out, " --for %" PRId64 "s", duration / USEC_PER_SEC);
	}
	fputs(" --at ", out);
	put_exact_time(out, start);
	putc('\n', out);
}

static int refused(const struct client *client, const struct err *err, struct json_object *data)
{
	struct json_object *offer = json_object_object_get(data, "offer");

	show_error(&client->show, err, data);
	if (client->show.form != SHOW_JSON && show_number(offer, "start_us") > 0 && show_number(offer, "vms") > 0) {
		show_offer(client, offer);
	}
	return STATUS_REJECTED;
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
	if (strcmp(start, "-") != 0 && strcmp(end, "-") != 0) {
		fprintf(show->out, ", %s to %s", start, end);
	}
	fprintf(show->out, "%s%s\n", *reason ? ": " : "", reason);
	fflush(show->out);
}

static void show_lease(const struct client *client, struct json_object *lease)
{
	if (client->show.form == SHOW_TABLE) {
		show_line(client, lease);
	} else {
		show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), lease);
	}
}

static int show_dry_run(const struct client *client, struct json_object *answer)
{
	bool accepted = json_object_get_boolean(json_object_object_get(answer, "accepted"));
	_cleanup_free_ char *nodes =
		show_cell(&client->show, &(struct show_column)SHOW_COLUMN("nodes", "", SHOW_LIST), answer);
	_cleanup_free_ char *start =
		show_cell(&client->show, &(struct show_column)SHOW_COLUMN("start", "", SHOW_TIME), answer);
	bool promise = given(client, OPT(AT)) || given(client, OPT(NOW));
	struct err err;

	if (client->show.form != SHOW_TABLE) {
		static const struct show_column columns[] = {
			SHOW_COLUMN("accepted", "", SHOW_BOOL),
			SHOW_COLUMN("start", "", SHOW_TIME),
			SHOW_COLUMN("nodes", "", SHOW_LIST),
			SHOW_COLUMN("reason", "", SHOW_TEXT),
		};

		show_object(&client->show, columns, ARRAY_SIZE(columns), answer);
		return accepted ? STATUS_OK : STATUS_REJECTED;
	}
	if (!accepted) {
		err_set(&err, ERR_REJECTED, "would be rejected: %s", show_string(answer, "reason"));
		return refused(client, &err, answer);
	}
	fprintf(client->show.out, "would be accepted: start %s on %s%s\n", start, nodes,
		promise ? "" : " as things stand, without promise");
	return STATUS_OK;
}

static int wait_and_show(struct client *client, int64_t id, const char *state, bool reached, struct err *err)
{
	struct json_object *lease;
	int status = wait_lease(client, id, state, reached, &lease, err);

	if (status >= 0) {
		show_lease(client, lease);
		json_object_put(lease);
	}
	return status;
}

int lease_request(struct client *client, struct err *err)
{
	struct json_object *lease = NULL;
	int status = STATUS_OK;

	if (check_request(client, err) < 0) {
		return -1;
	}
	if (client_call(client, "lease.request", request_params(client), CALL_TIMEOUT, &lease, err) < 0) {
		if (err->code != ERR_REJECTED) {
			return -1;
		}
		err_prefix(err, "rejected");
		return refused(client, err, call_data(client->call));
	}
	if (given(client, OPT(DRY_RUN))) {
		status = show_dry_run(client, lease);
	} else if (!given(client, OPT(WAIT)) || client->show.form == SHOW_TABLE) {
		show_lease(client, lease);
	}
	if (given(client, OPT(WAIT))) {
		status = wait_and_show(client, show_number(lease, "id"), client->options.value[OPT(WAIT)].text, true,
				       err);
	}
	json_object_put(lease);
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
	json_object_put(lease);
	return STATUS_OK;
}

int lease_cancel(struct client *client, struct err *err)
{
	if (client->arg_count > 1 && given(client, OPT(REQUEST_ID))) {
		return err_set(err, ERR_PARAMS, "--request-id goes with one lease");
	}
	for (size_t i = 0; i < client->arg_count; i++) {
		struct json_object *lease;

		if (client_call_id(client, "lease.cancel", i, &lease, err) < 0) {
			return client->arg_count > 1 ? err_prefix(err, "lease %s", client->args[i]) : -1;
		}
		show_lease(client, lease);
		json_object_put(lease);
	}
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
	return wait_and_show(client, id, state, false, err);
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
