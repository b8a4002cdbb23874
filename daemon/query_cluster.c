/* Nodes, images, slots, transfers, events and counters as the API shows them. Leases are query.c's. */
#include "query.h"

#include <string.h>

#include "query_row.h"
#include "util.h"

#define NODE_SELECT                                                                                     \
	"SELECT n.id, n.name, n.state, n.drain, n.cpu, n.memory, n.disk, n.net_in, n.net_out, n.pool, " \
	"n.suspend_rate, n.resume_rate, n.hypervisor, n.version, n.seen_us, n.edf_backend, "            \
	"n.edf_cpus, n.edf_limit_ppm, n.edf_wake_ns, n.edf_period_us, n.edf_text, "                     \
	"(SELECT count(*) FROM vms v JOIN leases l ON l.id = v.lease WHERE v.node = n.id "              \
	"AND l.state NOT IN ('rejected', 'done', 'cancelled', 'failed') "                               \
	"AND v.state NOT IN ('rejected', 'done', 'cancelled', 'failed')), "                             \
	"(SELECT group_concat(name) FROM (SELECT i.name FROM pool p JOIN images i ON i.id = p.image "   \
	"WHERE p.node = n.id ORDER BY i.name)) FROM nodes n "

static const struct query_column node_columns[] = {
	{"id", COLUMN_INT},           {"name", COLUMN_TEXT},         {"state", COLUMN_TEXT},
	{"drain", COLUMN_BOOL},       {"cpu", COLUMN_INT},           {"memory", COLUMN_INT},
	{"disk", COLUMN_INT},         {"net_in", COLUMN_INT},        {"net_out", COLUMN_INT},
	{"pool", COLUMN_INT},         {"suspend_rate", COLUMN_INT},  {"resume_rate", COLUMN_INT},
	{"hypervisor", COLUMN_TEXT},  {"version", COLUMN_TEXT},      {"seen", COLUMN_TIME},
	{"edf_backend", COLUMN_TEXT}, {"edf_cpus", COLUMN_INT},      {"edf_limit_ppm", COLUMN_INT},
	{"edf_wake_ns", COLUMN_INT},  {"edf_period_us", COLUMN_INT}, {"edf_text", COLUMN_TEXT},
	{"vms", COLUMN_INT},          {"images", COLUMN_LIST},
};

#define TRANSFER_SELECT                                                                              \
	"SELECT t.id, t.image_name, n.name, t.state, t.start_us, t.end_us, t.deadline_us, t.bytes, " \
	"coalesce((SELECT i.size FROM images i WHERE i.id = t.image), 0) "                           \
	"FROM transfers t JOIN nodes n ON n.id = t.node "

static const struct query_column transfer_columns[] = {
	{"id", COLUMN_INT},        {"image", COLUMN_TEXT}, {"node", COLUMN_TEXT},
	{"state", COLUMN_TEXT},    {"start", COLUMN_TIME}, {"end", COLUMN_TIME},
	{"deadline", COLUMN_TIME}, {"bytes", COLUMN_INT},  {"size", COLUMN_INT},
};

static const struct query_column slot_columns[] = {
	{"id", COLUMN_INT},          {"kind", COLUMN_TEXT},  {"node", COLUMN_TEXT},  {"lease", COLUMN_INT},
	{"lease_kind", COLUMN_TEXT}, {"vm", COLUMN_INT},     {"start", COLUMN_TIME}, {"end", COLUMN_TIME},
	{"cpu", COLUMN_INT},         {"memory", COLUMN_INT}, {"disk", COLUMN_INT},   {"net_in", COLUMN_INT},
	{"net_out", COLUMN_INT},
};

static const struct query_column node_vm_columns[] = {
	{"lease", COLUMN_INT},    {"vm", COLUMN_INT},    {"state", COLUMN_TEXT},   {"generation", COLUMN_INT},
	{"planned", COLUMN_BOOL}, {"from", COLUMN_TEXT}, {"then", COLUMN_TEXT},    {"prepare", COLUMN_TIME},
	{"start", COLUMN_TIME},   {"end", COLUMN_TIME},  {"release", COLUMN_TIME}, {"served_us", COLUMN_INT},
	{"started", COLUMN_TIME},
};

static const struct query_column image_columns[] = {
	{"id", COLUMN_INT},     {"name", COLUMN_TEXT},  {"format", COLUMN_TEXT}, {"cmdline", COLUMN_TEXT},
	{"size", COLUMN_INT},   {"disk", COLUMN_INT},   {"owner", COLUMN_TEXT},  {"added", COLUMN_TIME},
	{"nodes", COLUMN_LIST}, {"files", COLUMN_JSON},
};

static const struct query_column event_columns[] = {
	{"rev", COLUMN_INT},   {"at", COLUMN_TIME},   {"kind", COLUMN_TEXT},
	{"lease", COLUMN_INT}, {"node", COLUMN_TEXT}, {"data", COLUMN_JSON},
};

#define ADD_ROWS(store, object, key, stmt, columns, max, more, err) \
	query_add_rows(store, object, key, stmt, columns, ARRAY_SIZE(columns), max, more, err)

/* The object if ret is 0; freed and NULL otherwise. */
static struct json_object *finish(struct json_object *object, int ret)
{
	if (ret == 0) {
		return object;
	}
	json_object_put(object);
	return NULL;
}

/* The one row of stmt, NULL with ERR_NOT_FOUND if there is none. */
static struct json_object *one_row(struct store *store, sqlite3_stmt *stmt, const struct query_column *columns,
				   size_t n, const char *what, const char *name, struct err *err)
{
	struct json_object *row;
	int step = stmt ? store_step(store, stmt, err) : -1;

	if (step <= 0) {
		if (step == 0) {
			err_set(err, ERR_NOT_FOUND, "there is no %s \"%s\"; %s.list shows those there are", what, name,
				what);
		}
		return NULL;
	}
	row = query_row(stmt, columns, n);
	sqlite3_reset(stmt);
	return row;
}

struct json_object *query_nodes(struct store *store, struct err *err)
{
	struct json_object *result = json_object_new_object();
	sqlite3_stmt *stmt = store_query(store, err, NODE_SELECT "ORDER BY n.name", "");
	bool more;

	return finish(result, ADD_ROWS(store, result, "nodes", stmt, node_columns, QUERY_ROWS_MAX, &more, err));
}

static int add_node_vms(struct store *store, struct json_object *node, const char *name, struct err *err)
{
	bool more;
	sqlite3_stmt *stmt = store_query(
		store, err,
		"SELECT v.lease, v.vm, v.state, v.generation, v.planned, v.run_from, v.run_then, v.prepare_us, "
		"v.start_us, v.end_us, v.release_us, v.served_us, v.started_us "
		"FROM vms v JOIN leases l ON l.id = v.lease JOIN nodes n ON n.id = v.node WHERE n.name = ? "
		"AND l.state NOT IN ('rejected', 'done', 'cancelled', 'failed') "
		"AND v.state NOT IN ('rejected', 'done', 'cancelled', 'failed') ORDER BY v.lease, v.vm",
		"s", name);

	return ADD_ROWS(store, node, "vm", stmt, node_vm_columns, PART_RUNS_MAX, &more, err);
}

static int add_estimates(struct store *store, struct json_object *node, const char *name, struct err *err)
{
	static const struct query_column columns[] = {
		{"what", COLUMN_TEXT},   {"memory", COLUMN_INT}, {"count", COLUMN_INT},
		{"mean_us", COLUMN_INT}, {"last", COLUMN_TIME},
	};
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT e.what, e.memory, e.count, e.mean_us, e.last_us, e.squares_ms2 "
					 "FROM estimates e JOIN nodes n ON n.id = e.node WHERE n.name = ? "
					 "ORDER BY e.what, e.memory",
					 "s", name);
	struct json_object *rows = json_object_new_array();
	int rc = -1;

	json_object_object_add(node, "estimates", rows);
	while (stmt && (rc = store_step(store, stmt, err)) == 1) {
		struct json_object *row = query_row(stmt, columns, ARRAY_SIZE(columns));
		struct estimate estimate = {
			.count = (uint32_t)sqlite3_column_int64(stmt, 2),
			.mean_us = sqlite3_column_int64(stmt, 3),
			.squares_ms2 = sqlite3_column_int64(stmt, 5),
		};

		if (estimate_span(&estimate) > 0) {
			json_object_object_add(row, "estimate_us", json_object_new_int64(estimate_span(&estimate)));
		}
		json_object_array_add(rows, row);
	}
	return rc;
}

struct json_object *query_node(struct store *store, const char *name, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, NODE_SELECT "WHERE n.name = ?", "s", name);
	struct json_object *node = one_row(store, stmt, node_columns, ARRAY_SIZE(node_columns), "node", name, err);
	bool more;

	if (!node) {
		return NULL;
	}
	if (add_node_vms(store, node, name, err) < 0 || add_estimates(store, node, name, err) < 0) {
		return finish(node, -1);
	}
	stmt = store_query(store, err,
			   TRANSFER_SELECT "WHERE n.name = ? AND t.state = 'planned' ORDER BY t.start_us, t.id", "s",
			   name);
	return finish(node, ADD_ROWS(store, node, "transfers", stmt, transfer_columns, QUERY_ROWS_MAX, &more, err));
}

static int add_slots(struct store *store, struct json_object *result, wall_us from, wall_us to, const char *node,
		     bool *more, struct err *err)
{
	sqlite3_stmt *stmt = store_query(
		store, err,
		"SELECT s.id, s.kind, n.name, s.lease, l.kind, s.vm, s.start_us, s.end_us, s.cpu, s.memory, s.disk, "
		"s.net_in, s.net_out FROM slots s JOIN nodes n ON n.id = s.node JOIN leases l ON l.id = s.lease "
		"WHERE s.end_us > ?1 AND s.start_us < ?2 AND (?3 IS NULL OR n.name = ?3) "
		"ORDER BY n.name, s.start_us, s.id",
		"iis", from, to, node);

	return ADD_ROWS(store, result, "slots", stmt, slot_columns, QUERY_SLOTS_MAX, more, err);
}

static int add_transfers(struct store *store, struct json_object *result, wall_us from, wall_us to, const char *node,
			 bool *more, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 TRANSFER_SELECT "WHERE t.end_us > ?1 AND t.start_us < ?2 "
							 "AND (?3 IS NULL OR n.name = ?3) ORDER BY t.start_us, t.id",
					 "iis", from, to, node);

	return ADD_ROWS(store, result, "transfers", stmt, transfer_columns, QUERY_ROWS_MAX, more, err);
}

struct json_object *query_slots(struct store *store, wall_us from, wall_us to, const char *node, struct err *err)
{
	struct json_object *result = json_object_new_object();
	bool more_slots, more_transfers, more;
	sqlite3_stmt *stmt =
		store_query(store, err, NODE_SELECT "WHERE (?1 IS NULL OR n.name = ?1) ORDER BY n.name", "s", node);

	if (ADD_ROWS(store, result, "nodes", stmt, node_columns, QUERY_ROWS_MAX, &more, err) < 0) {
		return finish(result, -1);
	}
	if (node && json_object_array_length(json_object_object_get(result, "nodes")) == 0) {
		err_set(err, ERR_NOT_FOUND, "there is no node \"%s\"; node.list shows those there are", node);
		return finish(result, -1);
	}
	if (add_slots(store, result, from, to, node, &more_slots, err) < 0 ||
	    add_transfers(store, result, from, to, node, &more_transfers, err) < 0) {
		return finish(result, -1);
	}
	json_object_object_add(result, "more", json_object_new_boolean(more_slots || more_transfers));
	return result;
}

#define IMAGE_SELECT                                                                                               \
	"SELECT i.id, i.name, i.format, i.cmdline, i.size, i.disk, i.owner, i.added_us, "                          \
	"(SELECT group_concat(name) FROM (SELECT n.name FROM pool p JOIN nodes n ON n.id = p.node "                \
	"WHERE p.image = i.id ORDER BY n.name)), "                                                                 \
	"(SELECT json_group_array(json_object('role', f.role, 'digest', f.digest, 'size', f.size, 'url', f.url)) " \
	"FROM image_files f WHERE f.image = i.id) FROM images i "

struct json_object *query_images(struct store *store, struct err *err)
{
	struct json_object *result = json_object_new_object();
	sqlite3_stmt *stmt = store_query(store, err, IMAGE_SELECT "ORDER BY i.name", "");
	bool more;

	return finish(result, ADD_ROWS(store, result, "images", stmt, image_columns, QUERY_ROWS_MAX, &more, err));
}

struct json_object *query_image(struct store *store, const char *name, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, IMAGE_SELECT "WHERE i.name = ?", "s", name);

	return one_row(store, stmt, image_columns, ARRAY_SIZE(image_columns), "image", name, err);
}

struct json_object *query_events(struct store *store, int64_t after_rev, uint64_t lease, int64_t limit, struct err *err)
{
	struct json_object *result = json_object_new_object();
	bool more = false;
	sqlite3_stmt *stmt = lease ? store_query(store, err,
						 "SELECT e.rev, e.at_us, e.kind, e.lease, n.name, e.data FROM events e "
						 "LEFT JOIN nodes n ON n.id = e.node "
						 "WHERE e.lease = ?1 AND e.lease <> 0 AND e.rev > ?2 ORDER BY e.rev",
						 "Ii", lease, after_rev)
				   : store_query(store, err,
						 "SELECT e.rev, e.at_us, e.kind, e.lease, n.name, e.data FROM events e "
						 "LEFT JOIN nodes n ON n.id = e.node WHERE e.rev > ? ORDER BY e.rev",
						 "i", after_rev);
	int ret = ADD_ROWS(store, result, "events", stmt, event_columns,
			   limit < QUERY_ROWS_MAX ? limit : QUERY_ROWS_MAX, &more, err);

	json_object_object_add(result, "more", json_object_new_boolean(more));
	return finish(result, ret);
}

/* {first column: second column} of every row; a statement with one column gives that number. */
static int add_counts(struct store *store, struct json_object *result, const char *key, sqlite3_stmt *stmt,
		      struct err *err)
{
	struct json_object *counts;
	int step;

	if (!stmt) {
		return -1;
	}
	counts = json_object_new_object();
	while ((step = store_step(store, stmt, err)) == 1) {
		if (sqlite3_column_count(stmt) == 1) {
			json_object_put(counts);
			counts = json_object_new_int64(sqlite3_column_int64(stmt, 0));
		} else {
			json_object_object_add(counts, store_text(stmt, 0),
					       json_object_new_int64(sqlite3_column_int64(stmt, 1)));
		}
	}
	json_object_object_add(result, key, counts);
	return step;
}

struct json_object *query_status(struct store *store, struct err *err)
{
	static const struct {
		const char *key, *sql;
	} counts[] = {
		{"leases", "SELECT state, count(*) FROM leases GROUP BY state"},
		{"nodes", "SELECT state, count(*) FROM nodes GROUP BY state"},
		{"slots", "SELECT count(*) FROM slots"},
		{"transfers", "SELECT count(*) FROM transfers"},
		{"images", "SELECT count(*) FROM images"},
		{"events", "SELECT count(*) FROM events"},
		{"requests", "SELECT count(*) FROM requests"},
		{"promises_broken", "SELECT count(*) FROM events WHERE kind = 'lease.promise_broken'"},
		{"rev", "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"},
	};
	struct json_object *result = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		if (add_counts(store, result, counts[i].key, store_query(store, err, counts[i].sql, ""), err) < 0) {
			return finish(result, -1);
		}
	}
	return result;
}

int query_digests(struct store *store, char ***digests, size_t *n, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT DISTINCT digest FROM image_files WHERE url = ''", "");
	char **list = NULL;
	size_t count = 0;
	int step;

	if (!stmt) {
		return -1;
	}
	while ((step = store_step(store, stmt, err)) == 1) {
		list = xrealloc(list, count + 1, sizeof(*list));
		list[count++] = xstrdup(store_text(stmt, 0));
	}
	if (step < 0) {
		while (count > 0) {
			free(list[--count]);
		}
		free(list);
		return -1;
	}
	*digests = list;
	*n = count;
	return 0;
}
