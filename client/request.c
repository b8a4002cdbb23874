/* Asking for a lease. What a refused request could have had instead is shown as a command to paste. */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "lease.h"
#include "util.h"
#include "when.h"

#define DEFAULT_MEMORY (INT64_C(512) << 20)

static bool given(const struct client *client, enum option_id id)
{
	return client->options.value[id].given;
}

static enum lease_kind kind_of(const struct client *client)
{
	return given(client, OPT(AT))         ? LEASE_AR
	       : given(client, OPT(NOW))      ? LEASE_IMMEDIATE
	       : given(client, OPT(DEADLINE)) ? LEASE_DEADLINE
	       : given(client, OPT(OPEN))     ? LEASE_OPEN
					      : LEASE_BEST_EFFORT;
}

/* Which of the times go together. */
static int check_times(const struct client *client, struct err *err)
{
	bool open = given(client, OPT(OPEN));

	if (given(client, OPT(AT)) + given(client, OPT(NOW)) + given(client, OPT(DEADLINE)) + open > 1) {
		return err_set(err, ERR_PARAMS, "--at, --now, --deadline and --open exclude each other");
	}
	if (given(client, OPT(LATEST)) && !given(client, OPT(AT))) {
		return err_set(err, ERR_PARAMS, "--latest goes with --at");
	}
	if (given(client, OPT(NOT_BEFORE)) && !given(client, OPT(DEADLINE))) {
		return err_set(err, ERR_PARAMS, "--not-before goes with --deadline");
	}
	if (!open && (given(client, OPT(UNTIL)) || given(client, OPT(RESPONSE)))) {
		return err_set(err, ERR_PARAMS, "--until and --response go with --open");
	}
	if (open && !(given(client, OPT(UNTIL)) && given(client, OPT(RESPONSE)))) {
		return err_set(err, ERR_PARAMS,
			       "--open needs --until TIME, when it can no longer be called, and "
			       "--response DURATION, how soon after a call it must run");
	}
	return 0;
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
	if (check_times(client, err) < 0) {
		return -1;
	}
	if (given(client, OPT(SERIAL)) && kind_of(client) != LEASE_BEST_EFFORT) {
		return err_set(err, ERR_PARAMS,
			       "--serial is for best-effort leases: without --at, --now, --deadline and --open");
	}
	if (given(client, OPT(SLICE)) != given(client, OPT(PERIOD))) {
		return err_set(err, ERR_PARAMS, "--slice and --period go together: so much CPU time in each period");
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

	json_object_object_add(params, "kind", json_object_new_string(lease_kind_name(kind_of(client))));
	add_with_default(client, OPT(VMS), params, "vms", 1);
	add_with_default(client, OPT(CPU), params, "cpu", 1000);
	add_with_default(client, OPT(MEMORY), params, "memory", DEFAULT_MEMORY);
	client_add_number(client, OPT(DISK), params, "disk");
	client_add_text(client, OPT(IMAGE), params, "image");
	client_add_number(client, OPT(AT), params, "start_us");
	client_add_number(client, OPT(LATEST), params, "latest_us");
	client_add_number(client, OPT(NOT_BEFORE), params, "start_us");
	client_add_number(client, OPT(DEADLINE), params, "deadline_us");
	client_add_number(client, OPT(OPEN), params, "start_us");
	client_add_number(client, OPT(UNTIL), params, "latest_us");
	client_add_number(client, OPT(RESPONSE), params, "response_us");
	client_add_number(client, OPT(PRICE_MAX), params, "price_max");
	client_add_number(client, OPT(SLICE), params, "slice_us");
	client_add_number(client, OPT(PERIOD), params, "period_us");
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

static void put_time_option(FILE *out, const char *name, wall_us t)
{
	fprintf(out, " --%s ", name);
	put_exact_time(out, t);
}

static void put_open(const struct client *client, FILE *out, wall_us start, span_us response)
{
	const struct option_value *value = client->options.value;

	put_time_option(out, "open", start);
	put_time_option(out, "until", value[OPT(UNTIL)].number);
	if (response == value[OPT(RESPONSE)].number || response <= 0) {
		fprintf(out, " --response %s", value[OPT(RESPONSE)].text);
	} else {
		fprintf(out, " --response %" PRId64 "ms", (response + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
	}
}

/* When it would run. What the request said of that is written anew: meanwhile "+2h" is another time. */
static void put_times(const struct client *client, FILE *out, struct json_object *offer)
{
	wall_us start = show_number(offer, "start_us");
	span_us duration = show_number(offer, "duration_us");
	const struct option_value *value = client->options.value;
	/* To the minute, and one for pasting. */
	wall_us end = start + duration + 2 * USEC_PER_MINUTE - (start + duration) % USEC_PER_MINUTE;

	switch (kind_of(client)) {
	case LEASE_BEST_EFFORT:
		if (start == 0) {
			return;
		}
		break;
	case LEASE_DEADLINE:
		if (given(client, OPT(NOT_BEFORE))) {
			put_time_option(out, "not-before", value[OPT(NOT_BEFORE)].number);
		}
		put_time_option(out, "deadline", end > value[OPT(DEADLINE)].number ? end : value[OPT(DEADLINE)].number);
		return;
	case LEASE_OPEN:
		put_open(client, out, start, show_number(offer, "response_us"));
		return;
	case LEASE_AR:
	case LEASE_IMMEDIATE:
	case LEASE_KIND_COUNT:
		break;
	}
	put_time_option(out, "at", start);
}

/* The request as it was given, with what the offer changes. */
static void show_offer(const struct client *client, struct json_object *offer)
{
	FILE *out = client->show.err;
	span_us duration = show_number(offer, "duration_us");
	static const enum option_id same[] = {OPT(SERVER), OPT(CPU),   OPT(MEMORY), OPT(DISK),      OPT(IMAGE),
					      OPT(SERIAL), OPT(SLICE), OPT(PERIOD), OPT(PRICE_MAX), OPT(NAME)};

	fprintf(out, "This could be kept:\n  tenure submit");
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		const struct option_value *value = &client->options.value[same[i]];

		if (value->given) {
			fprintf(out, " --%s%s", option_rows[same[i]].name, value->text ? " " : "");
			show_quoted(out, value->text ? value->text : "");
		}
	}
	fprintf(out, " --vms %" PRId64, show_number(offer, "vms"));
	if (duration == client->options.value[OPT(FOR)].number || duration < USEC_PER_SEC) {
		fprintf(out, " --for %s", client->options.value[OPT(FOR)].text);
	} else {
		fprintf(out, " --for %" PRId64 "s", duration / USEC_PER_SEC);
	}
	put_times(client, out, offer);
	putc('\n', out);
}

static int refused(const struct client *client, const struct err *err, struct json_object *data)
{
	struct json_object *offer = json_object_object_get(data, "offer");
	bool timed = show_number(offer, "start_us") > 0 || kind_of(client) == LEASE_BEST_EFFORT;

	show_error(&client->show, err, data);
	if (client->show.form != SHOW_JSON && timed && show_number(offer, "vms") > 0) {
		show_offer(client, offer);
	}
	return STATUS_REJECTED;
}

static int show_dry_run(const struct client *client, struct json_object *answer)
{
	bool accepted = json_object_get_boolean(json_object_object_get(answer, "accepted"));
	_cleanup_free_ char *nodes =
		show_cell(&client->show, &(struct show_column)SHOW_COLUMN("nodes", "", SHOW_LIST), answer);
	_cleanup_free_ char *start =
		show_cell(&client->show, &(struct show_column)SHOW_COLUMN("start", "", SHOW_TIME), answer);
	bool promise = kind_of(client) != LEASE_BEST_EFFORT, open = kind_of(client) == LEASE_OPEN;
	int64_t price = show_number(answer, "price");
	struct err err;

	if (client->show.form != SHOW_TABLE) {
		static const struct show_column columns[] = {
			SHOW_COLUMN("accepted", "", SHOW_BOOL), SHOW_COLUMN("start", "", SHOW_TIME),
			SHOW_COLUMN("nodes", "", SHOW_LIST),    SHOW_COLUMN("price", "", SHOW_INT),
			SHOW_COLUMN("reason", "", SHOW_TEXT),
		};

		show_object(&client->show, columns, ARRAY_SIZE(columns), answer);
		return accepted ? STATUS_OK : STATUS_REJECTED;
	}
	if (!accepted) {
		err_set(&err, ERR_REJECTED, "would be rejected: %s", show_string(answer, "reason"));
		return refused(client, &err, answer);
	}
	fprintf(client->show.out, "would be accepted: %s %s on %s%s", open ? "on standby from" : "start", start, nodes,
		promise ? "" : " as things stand, without promise");
	if (price > 0) {
		fprintf(client->show.out, ", for %" PRId64 " credits", price);
	}
	putc('\n', client->show.out);
	return STATUS_OK;
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
		lease_print(client, lease);
	}
	if (given(client, OPT(WAIT))) {
		status = lease_wait_and_print(client, show_number(lease, "id"), client->options.value[OPT(WAIT)].text,
					      true, err);
	}
	json_object_put(lease);
	return status;
}
