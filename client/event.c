/* The event log: a list, or followed as it grows, across restarts of the head. */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "command.h"
#include "util.h"

#define RETRY USEC_PER_SEC

static const struct show_column columns[] = {
	SHOW_COLUMN("rev", "REV", SHOW_INT),    SHOW_COLUMN("at", "AT", SHOW_TIME),
	SHOW_COLUMN("kind", "KIND", SHOW_TEXT), SHOW_COLUMN("lease", "LEASE", SHOW_INT),
	SHOW_COLUMN("node", "NODE", SHOW_TEXT), SHOW_COLUMN("data", "DATA", SHOW_JSON_VALUE, .cut = true),
};

int event_list(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result;

	client_add_number(client, OPT(AFTER), params, "after_rev");
	client_add_number(client, OPT(LEASE), params, "lease");
	client_add_number(client, OPT(LIMIT), params, "limit");
	if (client_call(client, "event.list", params, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	int failed = show_list(&client->show, result, "events", columns, ARRAY_SIZE(columns), err);

	json_object_put(result);
	return failed;
}

struct follow {
	struct client *client;
	int64_t rev; /* seen up to here; -1 = nothing yet, and --after was not given */
	bool lagged;
	bool paging; /* what is notified meanwhile is on the pages too */
};

static void show_event(const struct show *show, struct json_object *event)
{
	if (show->form == SHOW_JSON) {
		show_json(show->out, event, JSON_C_TO_STRING_PLAIN);
	} else if (show->form == SHOW_CSV) {
		show_csv_row(show, columns, ARRAY_SIZE(columns), event);
	} else {
		_cleanup_free_ char *at = show_cell(show, &columns[1], event);
		_cleanup_free_ char *kind = show_cell(show, &columns[2], event);
		_cleanup_free_ char *node = show_cell(show, &columns[4], event);
		_cleanup_free_ char *data = show_cell(show, &columns[5], event);

		fprintf(show->out, "%6" PRId64 "  %-12s  %-20s", show_number(event, "rev"), at, kind);
		if (show_number(event, "lease") > 0) {
			fprintf(show->out, " lease %" PRId64, show_number(event, "lease"));
		}
		fprintf(show->out, "%s%s %s\n", strcmp(node, "-") == 0 ? "" : " ", strcmp(node, "-") == 0 ? "" : node,
			data);
	}
	fflush(show->out);
}

static void on_event(const char *method, struct json_object *event, void *arg)
{
	struct follow *follow = arg;
	struct client *client = follow->client;
	int64_t rev = show_number(event, "rev"), lease = option_number(&client->options, OPT(LEASE), 0);

	if (strcmp(method, "event") != 0 || follow->paging) {
		return;
	}
	if (json_object_object_get_ex(event, "lagged", NULL)) {
		follow->lagged = true;
		return;
	}
	/* After a reconnect the head may repeat what it had sent. */
	if (rev <= follow->rev) {
		return;
	}
	follow->rev = rev;
	if (lease == 0 || lease == show_number(event, "lease")) {
		client->show.now = clock_wall();
		show_event(&client->show, event);
	}
}

static int subscribe(struct follow *follow, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result;

	if (follow->rev >= 0) {
		json_object_object_add(params, "after_rev", json_object_new_int64(follow->rev));
	}
	follow->lagged = false;
	if (call_make(follow->client->call, "event.subscribe", params, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	/* Without --after: so that a connection that breaks before the first event loses none. */
	if (follow->rev < 0 && json_object_object_get_ex(result, "after_rev", NULL)) {
		follow->rev = show_number(result, "after_rev");
	}
	json_object_put(result);
	return 0;
}

/* The head sends only so many old events by itself; the rest is on the pages of its list. */
static int catch_up(struct follow *follow, struct err *err)
{
	struct json_object *result, *list;
	size_t n;

	do {
		struct json_object *params = json_object_new_object();

		json_object_object_add(params, "after_rev", json_object_new_int64(follow->rev));
		follow->paging = true;
		int failed = call_make(follow->client->call, "event.list", params, CALL_TIMEOUT, &result, err);

		follow->paging = false;
		if (failed) {
			return -1;
		}
		list = json_object_object_get(result, "events");
		n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
		for (size_t i = 0; i < n; i++) {
			on_event("event", json_object_array_get_idx(list, i), follow);
		}
		json_object_put(result);
	} while (n > 0);
	return 0;
}

/* After a lag or a lost connection: from where it stopped. */
static int resume(struct follow *follow, struct err *err)
{
	if (follow->lagged && catch_up(follow, err) < 0) {
		return -1;
	}
	return subscribe(follow, err);
}

int event_follow(struct client *client, struct err *err)
{
	struct follow follow = {.client = client, .rev = option_number(&client->options, OPT(AFTER), -1)};
	span_us patience = option_number(&client->options, OPT(TIMEOUT), WALL_NEVER);
	mono_us end = clock_mono() + patience;

	call_on_notification(client->call, on_event, &follow);
	if (client->show.form == SHOW_CSV) {
		show_rows(&client->show, columns, ARRAY_SIZE(columns), NULL);
	}
	if (subscribe(&follow, err) < 0) {
		return -1;
	}
	for (span_us left = patience; left > 0; left = end - clock_mono()) {
		/* Nobody reads any more, as after "| head": SIGPIPE is off for the sake of the connection. */
		if (ferror(client->show.out)) {
			return err_set(err, ERR_INTERNAL, "the output cannot be written");
		}
		if (!follow.lagged && call_pass(client->call, left < RETRY ? left : RETRY)) {
			continue;
		}
		if (!follow.lagged) {
			fprintf(client->show.err, "tenure: connection lost; going on after revision %" PRId64 "\n",
				follow.rev);
		}
		while (resume(&follow, err) < 0) {
			if (err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT) {
				return -1;
			}
			call_sleep(client->call, RETRY);
			if (clock_mono() >= end) {
				break;
			}
		}
	}
	return err_set(err, ERR_TIMEOUT, "the time given with --timeout is over");
}
