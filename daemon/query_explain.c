/* Says in words how a lease came to be where it is, and what it waits for. Decides nothing: it reads what was decided.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "jsonx.h"
#include "query.h"
#include "query_row.h"
#include "reason.h"
#include "util.h"

#define HISTORY_MAX 1000 /* events of one lease: a gang suspended a hundred times over has a few hundred */

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* "queued -> scheduled (made room for lease 57)" from an event's data. */
static char *event_sentence(struct json_object *event)
{
	struct json_object *data = json_object_object_get(event, "data");
	const char *why = *text_of(data, "text") ? text_of(data, "text") : text_of(data, "reason");
	const char *from = text_of(data, "from"), *to = text_of(data, "to");

	if (*from && *to) {
		return *why ? xasprintf("%s -> %s (%s)", from, to, why) : xasprintf("%s -> %s", from, to);
	}
	return *why ? xasprintf("%s: %s", text_of(event, "kind"), why) : xstrdup(text_of(event, "kind"));
}

static int add_history(struct store *store, struct json_object *result, uint64_t id, struct err *err)
{
	struct json_object *events = query_events(store, 0, id, HISTORY_MAX, err);
	struct json_object *list;

	if (!events) {
		return -1;
	}
	list = json_object_get(json_object_object_get(events, "events"));
	json_object_put(events);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *event = json_object_array_get_idx(list, i);
		_cleanup_free_ char *sentence = event_sentence(event);

		json_object_object_add(event, "text", json_object_new_string(sentence));
	}
	json_object_object_add(result, "history", list);
	return 0;
}

/* One number, one time and one name, from the first row of a statement; 1 if there is one. */
struct found {
	int64_t number;
	wall_us at;
	char name[128];
};

static int find(struct store *store, sqlite3_stmt *stmt, struct found *found, struct err *err)
{
	int step = stmt ? store_step(store, stmt, err) : -1;

	if (step == 1) {
		found->number = sqlite3_column_int64(stmt, 0);
		found->at = sqlite3_column_int64(stmt, 1);
		snprintf(found->name, sizeof(found->name), "%s", store_text(stmt, 2));
		sqlite3_reset(stmt);
	}
	return step;
}

/* The transfer that a lease's nodes wait for longest, if any. */
static int find_transfer(struct store *store, uint64_t id, struct found *found, struct err *err)
{
	return find(store,
		    store_query(store, err,
				"SELECT t.bytes, t.end_us, t.image_name || ' to ' || n.name FROM transfers t "
				"JOIN nodes n ON n.id = t.node JOIN leases l ON l.image = t.image WHERE l.id = ?1 "
				"AND t.state = 'planned' AND t.node IN (SELECT node FROM vms WHERE lease = ?1) "
				"ORDER BY t.end_us DESC LIMIT 1",
				"I", id),
		    found, err);
}

static int find_ahead(struct store *store, uint64_t id, struct found *found, struct err *err)
{
	return find(store,
		    store_query(store, err,
				"SELECT count(*), 0, '' FROM leases WHERE state IN ('queued', 'suspended') "
				"AND kind = 'best-effort' AND id < ?",
				"I", id),
		    found, err);
}

/* Times of the VMs' runs that are planned or under way; number counts them. */
static int find_run(struct store *store, uint64_t id, bool end, struct found *found, struct err *err)
{
	sqlite3_stmt *stmt = end ? store_query(store, err,
					       "SELECT count(*), coalesce(max(end_us), 0), coalesce(max(run_then), '') "
					       "FROM vms WHERE lease = ? AND planned",
					       "I", id)
				 : store_query(store, err,
					       "SELECT count(*), coalesce(min(start_us), 0), '' FROM vms "
					       "WHERE lease = ? AND planned AND started_us = 0",
					       "I", id);

	return find(store, stmt, found, err);
}

/* An open lease that was not called has no run; its window is the rest of what it waits for. */
static bool uncalled(struct json_object *lease)
{
	return strcmp(text_of(lease, "kind"), "open") == 0 &&
	       json_object_get_int64(json_object_object_get(lease, "start_us")) == 0;
}

struct wait {
	char *text;
	wall_us until;
};

static int wait_in_queue(struct store *store, uint64_t id, struct wait *wait, struct err *err)
{
	struct found ahead = {0};

	if (find_ahead(store, id, &ahead, err) < 0) {
		return -1;
	}
	wait->text = ahead.number ? xasprintf("room on the nodes; %" PRId64 " lease%s before it in the queue",
					      ahead.number, ahead.number == 1 ? "" : "s")
				  : xstrdup("room on the nodes; it is first in the queue");
	return 0;
}

static int wait_for_start(struct store *store, uint64_t id, struct wait *wait, struct err *err)
{
	struct found transfer = {0}, run = {0};
	int on_its_way = find_transfer(store, id, &transfer, err);

	if (on_its_way < 0 || find_run(store, id, false, &run, err) < 0) {
		return -1;
	}
	wait->until = run.at;
	wait->text = on_its_way ? xasprintf("image %s, then its start", transfer.name) : xstrdup("its start");
	return 0;
}

static int wait_for_end(struct store *store, uint64_t id, struct wait *wait, struct err *err)
{
	struct found run = {0};

	if (find_run(store, id, true, &run, err) < 0) {
		return -1;
	}
	wait->until = run.at;
	wait->text = xstrdup(strcmp(run.name, "suspend") == 0 ? "its suspension, to make room" : "its end");
	return 0;
}

static int wait_for_resume(struct store *store, uint64_t id, struct wait *wait, struct err *err)
{
	struct found run = {0};

	if (find_run(store, id, false, &run, err) < 0) {
		return -1;
	}
	if (run.number == 0) {
		return wait_in_queue(store, id, wait, err);
	}
	wait->until = run.at;
	wait->text = xstrdup("its planned resume");
	return 0;
}

static int wait_for_call(struct json_object *lease, bool may_be, struct wait *wait)
{
	const char *until = may_be ? "latest_us" : "not_before_us";

	wait->text = xstrdup(may_be ? "its call" : "the window in which it can be called");
	wait->until = json_object_get_int64(json_object_object_get(lease, until));
	return 0;
}

static int find_wait(struct store *store, struct json_object *lease, struct wait *wait, struct err *err)
{
	uint64_t id = json_object_get_uint64(json_object_object_get(lease, "id"));
	enum lease_state state = LEASE_STATE_COUNT;

	lease_state_parse(text_of(lease, "state"), &state);
	switch (state) {
	case LEASE_NEW:
	case LEASE_QUEUED:
		return wait_in_queue(store, id, wait, err);
	case LEASE_SCHEDULED:
		if (uncalled(lease)) {
			return wait_for_call(lease, false, wait);
		}
		return wait_for_start(store, id, wait, err);
	case LEASE_PREPARING:
	case LEASE_READY:
	case LEASE_MIGRATING:
	case LEASE_RESUMING:
		return wait_for_start(store, id, wait, err);
	case LEASE_ACTIVE:
		return wait_for_end(store, id, wait, err);
	case LEASE_SUSPENDING:
		wait->text = xstrdup("its memory to be saved");
		return 0;
	case LEASE_STANDBY:
		return wait_for_call(lease, true, wait);
	case LEASE_SUSPENDED:
		return wait_for_resume(store, id, wait, err);
	case LEASE_STOPPING:
		wait->text = xstrdup("its guests to be stopped");
		return 0;
	case LEASE_REJECTED:
	case LEASE_DONE:
	case LEASE_CANCELLED:
	case LEASE_FAILED:
	case LEASE_STATE_COUNT:
		break;
	}
	wait->text = xstrdup("");
	return 0;
}

struct json_object *query_explain(struct store *store, uint64_t id, struct err *err)
{
	struct json_object *lease = query_lease(store, id, err);
	struct json_object *result;
	struct wait wait = {0};

	if (!lease) {
		return NULL;
	}
	result = json_object_new_object();
	json_object_object_add(result, "lease", lease);
	if (add_history(store, result, id, err) < 0 || find_wait(store, lease, &wait, err) < 0) {
		json_object_put(result);
		return NULL;
	}
	json_object_object_add(result, "waits_for", json_object_new_string(wait.text));
	jsonx_add_time(result, "waits_until", wait.until);
	free(wait.text);
	return result;
}
