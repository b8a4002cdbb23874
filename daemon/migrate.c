/*
 * Applies the schema's steps in order. Knows nothing of what the tables mean; never goes back: a database of a newer
 * version is refused, because an older head would not keep what it does not know of.
 */
#include "migrate.h"

#include <inttypes.h>

#include "log.h"
#include "store_sql.h"
#include "util.h"

/* The one number a pragma or count answers with. */
static int number(sqlite3 *db, const char *path, const char *sql, int64_t *value, struct err *err)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW) {
		store_fail(db, path, err);
		sqlite3_finalize(stmt);
		return -1;
	}
	*value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return 0;
}

static int check_owner(sqlite3 *db, const char *path, int64_t version, struct err *err)
{
	int64_t application, objects;

	if (number(db, path, "PRAGMA application_id", &application, err) < 0 ||
	    number(db, path, "SELECT count(*) FROM sqlite_schema", &objects, err) < 0) {
		return -1;
	}
	if (application == MIGRATE_APPLICATION_ID || (application == 0 && objects == 0 && version == 0)) {
		return 0;
	}
	return err_set(err, ERR_STORE, "%s is a database of another program: move it away", path);
}

static int step(sqlite3 *db, const char *path, const struct migration *migration, struct err *err)
{
	_cleanup_free_ char *pragmas = xasprintf("PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
						 migration->version, MIGRATE_APPLICATION_ID);

	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, migration->sql, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, pragmas, NULL, NULL, NULL) == SQLITE_OK) {
		return 0;
	}
	store_fail(db, path, err);
	if (!sqlite3_get_autocommit(db)) {
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	}
	return err_prefix(err, "schema step %s", migration->name);
}

int migrate_check(sqlite3 *db, const char *path, const struct migration *list, size_t n, struct err *err)
{
	int64_t version;

	if (number(db, path, "PRAGMA user_version", &version, err) < 0 || check_owner(db, path, version, err) < 0) {
		return -1;
	}
	if (version > list[n - 1].version) {
		return err_set(err, ERR_STORE,
			       "%s is of version %" PRId64 ", newer than this program's %d: use the newer tenured",
			       path, version, list[n - 1].version);
	}
	return 0;
}

int migrate(sqlite3 *db, const char *path, const struct migration *list, size_t n, struct err *err)
{
	int64_t version;

	if (migrate_check(db, path, list, n, err) < 0 || number(db, path, "PRAGMA user_version", &version, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (list[i].version <= version) {
			continue;
		}
		if (step(db, path, &list[i], err) < 0) {
			return -1;
		}
		log_info("store: schema %" PRId64 " -> %d (%s)", version, list[i].version, list[i].name);
		version = list[i].version;
	}
	return 0;
}
