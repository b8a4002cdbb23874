/* Waits by lease.wait in rounds, so that each call is short; draws staging progress from slot.list between them. */
#include "wait.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "lease.h"
#include "safe.h"
#include "util.h"
#include "when.h"

#define ROUND (50 * USEC_PER_SEC)
#define ROUND_DRAWN USEC_PER_SEC
#define RETRY USEC_PER_SEC
#define BAR_WIDTH 30

char *wait_bar(int64_t done, int64_t total, unsigned width, bool utf8)
{
	double part = total > 0 ? (double)done / (double)total : 0;
	_cleanup_free_ char *cells = xcalloc(width + 1, 3);

	part = part < 0 ? 0 : part > 1 ? 1 : part;
	for (unsigned i = 0; i < width; i++) {
		bool full = i < (unsigned)(part * width);

		strcat(cells, full ? (utf8 ? "█" : "#") : (utf8 ? "░" : " "));
	}
	return xasprintf("[%s] %3d%%", cells, (int)(part * 100));
}

static bool has_word(struct json_object *array, const char *word)
{
	for (size_t i = 0; json_object_is_type(array, json_type_array) && i < json_object_array_length(array); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(array, i));

		if (text && strcmp(text, word) == 0) {
			return true;
		}
	}
	return false;
}

/* Bytes of the transfers under way that bring the lease's image to its nodes. */
static void sum_transfers(struct json_object *slots, struct json_object *lease, int64_t *done, int64_t *total)
{
	struct json_object *transfers = json_object_object_get(slots, "transfers");
	struct json_object *nodes = json_object_object_get(lease, "nodes");

	*done = *total = 0;
	for (size_t i = 0; json_object_is_type(transfers, json_type_array) && i < json_object_array_length(transfers);
	     i++) {
		struct json_object *transfer = json_object_array_get_idx(transfers, i);

		if (strcmp(show_string(transfer, "state"), "planned") == 0 &&
		    strcmp(show_string(transfer, "image"), show_string(lease, "image")) == 0 &&
		    has_word(nodes, show_string(transfer, "node"))) {
			*done += show_number(transfer, "bytes");
			*total += show_number(transfer, "size");
		}
	}
}

static char *progress_text(struct client *client, struct json_object *lease, struct json_object *slots)
{
	_cleanup_free_ char *state = safe_text(show_string(lease, "state"));
	span_us until = show_number(lease, "start_us") - clock_wall();
	int64_t id = show_number(lease, "id"), done, total;
	char a[WHEN_TEXT], b[WHEN_TEXT];

	sum_transfers(slots, lease, &done, &total);
	if (total > 0) {
		_cleanup_free_ char *bar = wait_bar(done, total, BAR_WIDTH, client->show.utf8);

		when_size(done, a);
		when_size(total, b);
		return xasprintf("lease %" PRId64 ": %s, staging %s %s of %s", id, state, bar, a, b);
	}
	if (until > USEC_PER_SEC && show_number(lease, "start_us") < WALL_NEVER) {
		when_span(until / USEC_PER_SEC * USEC_PER_SEC, a);
		return xasprintf("lease %" PRId64 ": %s, starts in %s", id, state, a);
	}
	return xasprintf("lease %" PRId64 ": %s", id, state);
}

static bool draws(const struct client *client)
{
	return client->show.err_tty && client->show.form == SHOW_TABLE;
}

static void clear_line(struct client *client)
{
	if (draws(client)) {
		fprintf(client->show.err, "\r\033[K");
		fflush(client->show.err);
	}
}

static void draw_progress(struct client *client, int64_t id)
{
	struct json_object *lease = NULL, *slots = NULL, *params = json_object_new_object();
	struct err err;

	json_object_object_add(params, "id", json_object_new_int64(id));
	if (call_make(client->call, "lease.show", params, CALL_TIMEOUT, &lease, &err) == 0 &&
	    call_make(client->call, "slot.list", NULL, CALL_TIMEOUT, &slots, &err) == 0) {
		_cleanup_free_ char *text = progress_text(client, lease, slots);

		fprintf(client->show.err, "\r\033[K%s", text);
		fflush(client->show.err);
	}
	json_object_put(slots);
	json_object_put(lease);
}

/* True if the wait is over. A lease that is done has been through the states on the straight way there. */
static bool is_over(const char *now, const char *awaited, int *status)
{
	enum lease_state state, goal = LEASE_DONE;

	if (lease_state_parse(now, &state) < 0 || (awaited && lease_state_parse(awaited, &goal) < 0)) {
		*status = STATUS_LEASE_FAILED;
		return true;
	}
	if (!lease_state_final(state) && !(awaited && state == goal)) {
		return false;
	}
	bool passed = state == LEASE_DONE && goal != LEASE_SUSPENDING && goal != LEASE_SUSPENDED &&
		      goal != LEASE_MIGRATING && goal != LEASE_RESUMING &&
		      !(lease_state_final(goal) && goal != LEASE_DONE);

	*status = (awaited && state == goal) || passed ? STATUS_OK : STATUS_LEASE_FAILED;
	return true;
}

static int one_round(struct client *client, int64_t id, const char *state, span_us round, struct json_object **lease,
		     struct err *err)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "id", json_object_new_int64(id));
	if (state) {
		json_object_object_add(params, "state", json_object_new_string(state));
	}
	json_object_object_add(params, "timeout_us", json_object_new_int64(round));
	return call_make(client->call, "lease.wait", params, round + CALL_TIMEOUT, lease, err);
}

int wait_lease(struct client *client, int64_t id, const char *state, bool reached, struct json_object **lease,
	       struct err *err)
{
	span_us patience = option_number(&client->options, OPT(TIMEOUT), WALL_NEVER);
	mono_us end = clock_mono() + patience;
	struct json_object *seen = NULL;
	int status;

	for (span_us left = patience; left > 0; left = end - clock_mono()) {
		span_us round = draws(client) ? ROUND_DRAWN : ROUND;

		if (one_round(client, id, state, left < round ? left : round, &seen, err) == 0) {
			clear_line(client);
			if (is_over(show_string(seen, "state"), state, &status)) {
				*lease = seen;
				return status;
			}
			json_object_put(steal(&seen));
			return err_set(err, ERR_INTERNAL,
				       "the head's answer to lease.wait is not a lease that has arrived");
		}
		if (err->code == ERR_TIMEOUT) {
			reached = true;
			if (draws(client)) {
				draw_progress(client, id);
			}
		} else if (err->code == ERR_UNAVAILABLE && reached) {
			call_sleep(client->call, left < RETRY ? left : RETRY);
		} else {
			clear_line(client);
			return -1;
		}
	}
	clear_line(client);
	return err_set(err, ERR_TIMEOUT,
		       "lease %" PRId64 " is not there yet; \"tenure lease explain %" PRId64 "\" says why", id, id);
}
