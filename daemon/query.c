/*
 * Leases and their VMs as the API shows them. Nodes, images, slots and events are query_cluster.c's; explaining is
 * query_explain.c's.
 */
#include "query.h"

#include <string.h>

#include "query_row.h"
#include "reason.h"
#include "util.h"

/*
 * What was agreed counts, then what was seen, then what is planned. A deadline lease's start is only its earliest, and
 * so is that of an open one until it is called: only then its VMs are to boot.
 */
#define AGREED_US                                                                          \
	"iif(l.kind = 'deadline' OR (l.kind = 'open' AND NOT EXISTS (SELECT 1 FROM vms v " \
	"WHERE v.lease = l.id AND v.generation > 0)), 0, l.start_us)"
#define LEASE_SELECT                                                                                                   \
	"SELECT l.id, l.name, l.owner, l.kind, l.state, l.serial, l.vms, l.cpu, l.memory, l.disk, l.image_name, "      \
	"CASE WHEN " AGREED_US " > 0 THEN l.start_us WHEN l.first_start_us > 0 THEN l.first_start_us "                 \
	"ELSE coalesce((SELECT min(v.start_us) FROM vms v WHERE v.lease = l.id AND v.planned), 0) END, "               \
	"CASE WHEN l.ended_us > 0 AND l.state <> 'rejected' THEN l.ended_us "                                          \
	"WHEN " AGREED_US " > 0 THEN l.start_us + l.duration_us "                                                      \
	"ELSE coalesce((SELECT max(v.end_us) FROM vms v WHERE v.lease = l.id AND v.planned AND v.run_then = 'stop'), " \
	"0) END, "                                                                                                     \
	"l.latest_us, l.deadline_us, l.response_us, l.start_us - " AGREED_US ", "                                      \
	"l.slice_us, l.period_us, l.cpu_booked, l.duration_us, l.price, l.price_max, l.submitted_us, "                 \
	"l.first_start_us, l.ended_us, "                                                                               \
	"(SELECT group_concat(name) FROM (SELECT DISTINCT n.name FROM vms v JOIN nodes n ON n.id = v.node "            \
	"WHERE v.lease = l.id ORDER BY n.name)), l.detail, l.reason, l.reason_res, l.reason_lease, l.reason_arg "      \
	"FROM leases l "

static const struct query_column lease_columns[] = {
	{"id", COLUMN_INT},           {"name", COLUMN_TEXT},    {"owner", COLUMN_TEXT},    {"kind", COLUMN_TEXT},
	{"state", COLUMN_TEXT},       {"serial", COLUMN_BOOL},  {"vms", COLUMN_INT},       {"cpu", COLUMN_INT},
	{"memory", COLUMN_INT},       {"disk", COLUMN_INT},     {"image", COLUMN_TEXT},    {"start", COLUMN_TIME},
	{"end", COLUMN_TIME},         {"latest", COLUMN_TIME},  {"deadline", COLUMN_TIME}, {"response_us", COLUMN_INT},
	{"not_before", COLUMN_TIME},  {"slice_us", COLUMN_INT}, {"period_us", COLUMN_INT}, {"cpu_booked", COLUMN_INT},
	{"duration_us", COLUMN_INT},  {"price", COLUMN_INT},    {"price_max", COLUMN_INT}, {"submitted", COLUMN_TIME},
	{"first_start", COLUMN_TIME}, {"ended", COLUMN_TIME},   {"nodes", COLUMN_LIST},    {"detail", COLUMN_TEXT},
};
enum { COLUMN_REASON = ARRAY_SIZE(lease_columns) }; /* and its three arguments */

static const struct query_column vm_columns[] = {
	{"vm", COLUMN_INT},       {"state", COLUMN_TEXT},     {"node", COLUMN_TEXT},    {"generation", COLUMN_INT},
	{"planned", COLUMN_BOOL}, {"from", COLUMN_TEXT},      {"then", COLUMN_TEXT},    {"prepare", COLUMN_TIME},
	{"start", COLUMN_TIME},   {"end", COLUMN_TIME},       {"release", COLUMN_TIME}, {"served_us", COLUMN_INT},
	{"started", COLUMN_TIME}, {"from_node", COLUMN_TEXT},
};

static struct json_object *lease_row(sqlite3_stmt *stmt)
{
	struct json_object *lease = query_row(stmt, lease_columns, ARRAY_SIZE(lease_columns));
	struct reason reason = {0};

	if (reason_parse(store_text(stmt, COLUMN_REASON), &reason.code) == 0) {
		int64_t res = sqlite3_column_int64(stmt, COLUMN_REASON + 1);

		/* The database may have been edited by hand: the number indexes a table of names. */
		reason.res = res >= 0 && res < RES_COUNT ? (enum resource)res : RES_CPU;
		reason.lease = (uint64_t)sqlite3_column_int64(stmt, COLUMN_REASON + 2);
		reason.arg0 = sqlite3_column_int64(stmt, COLUMN_REASON + 3);
	}
	reason_add_json(lease, &reason);
	return lease;
}

static int add_vms(struct store *store, struct json_object *lease, uint64_t id, struct err *err)
{
	bool more;
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT v.vm, v.state, n.name, v.generation, v.planned, v.run_from, "
					 "v.run_then, v.prepare_us, v.start_us, v.end_us, v.release_us, v.served_us, "
					 "v.started_us, m.name FROM vms v LEFT JOIN nodes n ON n.id = v.node "
					 "LEFT JOIN nodes m ON m.id = v.from_node AND v.planned AND v.started_us = 0 "
					 "WHERE v.lease = ? ORDER BY v.vm",
					 "I", id);

	return query_add_rows(store, lease, "vm", stmt, vm_columns, ARRAY_SIZE(vm_columns), LEASE_VMS_MAX, &more, err);
}

struct json_object *query_lease(struct store *store, uint64_t id, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, LEASE_SELECT "WHERE l.id = ?", "I", id);
	struct json_object *lease;
	int step = stmt ? store_step(store, stmt, err) : -1;

	if (step <= 0) {
		if (step == 0) {
			err_set(err, ERR_NOT_FOUND, "there is no lease %llu", (unsigned long long)id);
		}
		return NULL;
	}
	lease = lease_row(stmt);
	sqlite3_reset(stmt);
	if (add_vms(store, lease, id, err) < 0) {
		json_object_put(lease);
		return NULL;
	}
	return lease;
}

static sqlite3_stmt *leases_statement(struct store *store, const struct query_filter *filter, struct err *err)
{
	if (filter->state && strcmp(filter->state, "open") == 0) {
		return store_query(store, err,
				   LEASE_SELECT "WHERE l.state NOT IN ('rejected', 'done', 'cancelled', 'failed') "
						"AND l.id < ?1 AND (?2 IS NULL OR l.owner = ?2) ORDER BY l.id DESC",
				   "is", filter->before_id, filter->owner);
	}
	return store_query(store, err,
			   LEASE_SELECT "WHERE l.id < ?1 AND (?2 IS NULL OR l.owner = ?2) "
					"AND (?3 IS NULL OR l.state = ?3) ORDER BY l.id DESC",
			   "iss", filter->before_id, filter->owner, filter->state);
}

struct json_object *query_leases(struct store *store, const struct query_filter *filter, struct err *err)
{
	int64_t limit = filter->limit < QUERY_ROWS_MAX ? filter->limit : QUERY_ROWS_MAX;
	sqlite3_stmt *stmt = leases_statement(store, filter, err);
	struct json_object *result, *rows;
	bool more = false;
	int step = -1;

	if (!stmt) {
		return NULL;
	}
	rows = json_object_new_array();
	while ((step = store_step(store, stmt, err)) == 1) {
		more = (int64_t)json_object_array_length(rows) == limit;
		if (more) {
			sqlite3_reset(stmt);
			break;
		}
		json_object_array_add(rows, lease_row(stmt));
	}
	if (step < 0) {
		json_object_put(rows);
		return NULL;
	}
	result = json_object_new_object();
	json_object_object_add(result, "leases", rows);
	json_object_object_add(result, "more", json_object_new_boolean(more));
	return result;
}

int query_lease_nodes(struct store *store, uint64_t lease, uint32_t **nodes, size_t *n, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT DISTINCT node FROM vms WHERE lease = ? AND node > 0 "
					 "AND state NOT IN ('rejected', 'done', 'cancelled', 'failed')",
					 "I", lease);
	uint32_t *list = NULL;
	size_t count = 0;
	int step;

	if (!stmt) {
		return -1;
	}
	while ((step = store_step(store, stmt, err)) == 1) {
		list = xrealloc(list, count + 1, sizeof(*list));
		list[count++] = (uint32_t)sqlite3_column_int64(stmt, 0);
	}
	if (step < 0) {
		free(list);
		return -1;
	}
	*nodes = list;
	*n = count;
	return 0;
}
