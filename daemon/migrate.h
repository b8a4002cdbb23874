/* The database's schema as numbered steps, and bringing a database to the newest one. */
#ifndef TENURE_MIGRATE_H
#define TENURE_MIGRATE_H

#include <sqlite3.h>
#include <stddef.h>

#include "err.h"

#define MIGRATE_APPLICATION_ID 0x54454e52 /* "TENR": file(1) and we tell our databases from others' by it */

struct migration {
	int version;      /* 1, 2, ...: PRAGMA user_version after it */
	const char *name; /* of its file under schema/, without ".sql" */
	const char *sql;
};

/* Made by the Makefile from schema/NNN-NAME.sql, in order of version. */
extern const struct migration migrations[];
extern const size_t migration_count;

/*
 * Brings db from whatever version it has (0 = empty) to that of the last of list. Each step is a transaction of its
 * own, so that a kill leaves the database at one version or the next. Refuses a database of a newer version or of
 * another program. path is for messages. On failure the database is at the version of the last step that succeeded.
 */
int migrate(sqlite3 *db, const char *path, const struct migration *list, size_t n, struct err *err);
/* What migrate() refuses, without writing anything. */
int migrate_check(sqlite3 *db, const char *path, const struct migration *list, size_t n, struct err *err);

#endif
