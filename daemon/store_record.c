/*
 * Recordings in the database: the base (copies of rows as they were at the beginning), the inputs since then, and a
 * comparison of what came of them. What an input means is record.c's.
 */
#include "store_record.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store_sql.h"
#include "util.h"

#define OPEN "state NOT IN ('rejected', 'done', 'cancelled', 'failed')"
#define BASE_SLOT "end_us > ?1 OR (kind = 'run' AND end_us > ?2)"

/* In an order that foreign keys allow. */
static const struct {
	const char *name;
	const char *base;    /* which rows are of the base; ?1 = now, ?2 = from when on use counts */
	const char *compare; /* columns to be compared; NULL = not compared */
	const char *key;     /* the column by which rows of the base are known; NULL = all of them are in it */
} tables[] = {
	{"meta", "true", NULL, NULL},
	{"nodes", "true", NULL, NULL},
	{"images", "true", NULL, NULL},
	{"image_files", "true", NULL, NULL},
	{"pool", "true", NULL, NULL},
	{"estimates", "true", "*", NULL},
	{"leases", OPEN " OR id IN (SELECT lease FROM slots WHERE " BASE_SLOT ")",
	 "id, user, kind, state, serial, vms, cpu, memory, disk, image, start_us, latest_us, deadline_us, response_us,"
	 " duration_us, price_max, price, slice_us, period_us, cpu_booked, submitted_us, first_start_us, ended_us, "
	 "reason, reason_res, reason_lease,"
	 " reason_arg",
	 "id"},
	{"vms", "lease IN (SELECT id FROM leases WHERE " OPEN ")", "*", "lease"},
	{"slots", BASE_SLOT " OR lease IN (SELECT id FROM leases WHERE " OPEN ")", "*", "id"},
	{"transfers", "state = 'planned'", "id, image, node, state, start_us, end_us, deadline_us", "id"},
};

/* Table names cannot be bound. All that goes in comes from the table above. values: of ?1, ?2, as far as they occur. */
static int run_text(struct store *store, struct err *err, const int64_t *values, char *text)
{
	sqlite3 *db = store_db(store);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, text, -1, &stmt, NULL);

	for (int i = 0; values && rc == SQLITE_OK && i < sqlite3_bind_parameter_count(stmt); i++) {
		rc = sqlite3_bind_int64(stmt, i + 1, values[i]);
	}
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
	}
	if (rc != SQLITE_DONE) {
		store_fail(db, store_path(store), err);
	}
	sqlite3_finalize(stmt);
	free(text);
	return rc == SQLITE_DONE ? 0 : -1;
}

int store_record_begin(struct store *store, wall_us now, wall_us use_from, const char *settings, struct err *err)
{
	const int64_t times[] = {now, use_from};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const char *name = tables[i].name;

		if (run_text(store, err, NULL, xasprintf("DROP TABLE IF EXISTS base_%s", name)) < 0 ||
		    run_text(store, err, NULL,
			     xasprintf("CREATE TABLE base_%s AS SELECT * FROM %s LIMIT 0", name, name)) < 0 ||
		    run_text(store, err, times,
			     xasprintf("INSERT INTO base_%s SELECT * FROM %s WHERE %s", name, name, tables[i].base)) <
			    0) {
			return -1;
		}
	}
	if (store_run(store, err, "DELETE FROM inputs", "") < 0) {
		return -1;
	}
	return store_run(store, err, "INSERT INTO inputs VALUES (0, ?1, json_object('settings', ?2))", "is", now,
			 settings);
}

int store_record_add(struct store *store, wall_us at_us, const char *data, struct err *err)
{
	return store_run(store, err, "INSERT INTO inputs (at_us, data) VALUES (?1, ?2)", "is", at_us, data);
}

/* The recorded settings; -1 if there is no recording. */
static int read_settings(struct store *store, const char *path, char **settings, struct err *err)
{
	sqlite3_stmt *stmt = store_query(
		store, err, "SELECT json_extract(data, '$.settings') FROM recorded.inputs WHERE step = 0", "");
	int rc = stmt ? store_step(store, stmt, err) : -1;

	if (rc > 0) {
		*settings = xstrdup(store_text(stmt, 0));
		sqlite3_reset(stmt);
		return 0;
	}
	return rc < 0 ? -1
		      : err_set(err, ERR_STORE, "%s holds no recording: set \"record = yes\" in [history] of its head",
				path);
}

/* -1 if it cannot be read. */
static int64_t read_version(struct store *store, const char *pragma, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, pragma, "");
	int64_t version = -1;

	if (stmt && store_step(store, stmt, err) > 0) {
		version = sqlite3_column_int64(stmt, 0);
		sqlite3_reset(stmt);
	}
	return version;
}

static int check_version(struct store *store, const char *path, struct err *err)
{
	int64_t ours = read_version(store, "PRAGMA main.user_version", err);
	int64_t theirs = ours < 0 ? -1 : read_version(store, "PRAGMA recorded.user_version", err);

	if (theirs <= 0) {
		return theirs < 0 ? -1 : err_set(err, ERR_STORE, "%s is no database of a head", path);
	}
	return ours == theirs ? 0
			      : err_set(err, ERR_STORE,
					"%s has schema version %lld, this program %lld: replay it with the version "
					"that made it",
					path, (long long)theirs, (long long)ours);
}

static int copy_base(struct store *store, struct err *err)
{
	if (store_begin(store, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (run_text(store, err, NULL,
			     xasprintf("INSERT OR REPLACE INTO main.%s SELECT * FROM recorded.base_%s", tables[i].name,
				       tables[i].name)) < 0) {
			store_rollback(store);
			return -1;
		}
	}
	return store_commit(store, err);
}

int store_record_open(struct store *store, const char *path, char **settings, struct err *err)
{
	if (access(path, R_OK) < 0) {
		return err_set(err, ERR_STORE, "cannot read %s: %m", path);
	}
	if (store_run(store, err, "ATTACH ?1 AS recorded", "s", path) < 0) {
		/* What the store said names its own file. */
		return err_set(err, ERR_STORE, "cannot read %s: %s", path, sqlite3_errmsg(store_db(store)));
	}
	if (check_version(store, path, err) < 0 || read_settings(store, path, settings, err) < 0) {
		return -1;
	}
	if (copy_base(store, err) < 0) {
		free(steal(settings));
		return -1;
	}
	return 0;
}

int store_record_each(struct store *store, int (*fn)(wall_us at_us, const char *data, void *arg, struct err *err),
		      void *arg, struct err *err)
{
	sqlite3_stmt *stmt = store_query(
		store, err, "SELECT step, at_us, data FROM recorded.inputs WHERE step > 0 ORDER BY step", "");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		long long step = sqlite3_column_int64(stmt, 0);

		if (fn(sqlite3_column_int64(stmt, 1), store_text(stmt, 2), arg, err) < 0) {
			sqlite3_reset(stmt);
			return err_prefix(err, "input %lld", step);
		}
	}
	return rc;
}

/* A row's columns with bars between them. */
static char *row_text(sqlite3_stmt *stmt)
{
	char *text = xstrdup("");

	for (int i = 0; i < sqlite3_column_count(stmt); i++) {
		char *longer = xasprintf("%s%s%s", text, i ? "|" : "", store_text(stmt, i));

		free(text);
		text = longer;
	}
	return text;
}

/* Which recorded rows count: not those before the base. The caller frees. */
static char *counting(size_t table)
{
	const char *name = tables[table].name, *key = tables[table].key;
	const char *last = strcmp(name, "slots") == 0       ? "last_slot"
			   : strcmp(name, "transfers") == 0 ? "last_transfer"
							    : "last_lease";

	return key ? xasprintf("%s IN (SELECT %s FROM recorded.base_%s) OR %s > (SELECT coalesce(max(value), 0) FROM"
			       " recorded.base_meta WHERE key = '%s')",
			       key, key, name, key, last)
		   : xstrdup("true");
}

/* Rows that one side has and the other has not. */
static int compare_side(struct store *store, size_t table, bool recorded,
			void (*fn)(const char *table, bool recorded, const char *row, void *arg), void *arg,
			struct err *err)
{
	const char *name = tables[table].name, *columns = tables[table].compare;
	_cleanup_free_ char *which = counting(table);
	_cleanup_free_ char *text =
		recorded ? xasprintf("SELECT %s FROM recorded.%s WHERE %s EXCEPT SELECT %s FROM main.%s", columns, name,
				     which, columns, name)
			 : xasprintf("SELECT %s FROM main.%s EXCEPT SELECT %s FROM recorded.%s", columns, name, columns,
				     name);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(store_db(store), text, -1, &stmt, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW) {
			_cleanup_free_ char *row = row_text(stmt);

			fn(name, recorded, row, arg);
		}
	}
	if (rc != SQLITE_DONE) {
		store_fail(store_db(store), store_path(store), err);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

int store_record_compare(struct store *store, void (*fn)(const char *table, bool recorded, const char *row, void *arg),
			 void *arg, uint64_t *rows, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT (SELECT count(*) FROM main.leases) + (SELECT count(*) FROM main.vms) +"
					 " (SELECT count(*) FROM main.slots) + (SELECT count(*) FROM main.transfers) +"
					 " (SELECT count(*) FROM main.estimates)",
					 "");

	if (!stmt || store_step(store, stmt, err) < 0) {
		return -1;
	}
	*rows = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (tables[i].compare && (compare_side(store, i, true, fn, arg, err) < 0 ||
					  compare_side(store, i, false, fn, arg, err) < 0)) {
			return -1;
		}
	}
	return 0;
}
