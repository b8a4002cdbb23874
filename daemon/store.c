/*
 * Opening, locking, checking and closing the database; statements, transactions and errors. What rows hold is
 * store_write.c's and store_load.c's.
 */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <uthash.h>

#include "migrate.h"
#include "store_sql.h"
#include "util.h"

/* Another program may look at the database (sqlite3, a backup); the loop waits for it no longer than this. */
#define BUSY_MS 1000

struct statement {
	const char *text; /* its address is the key */
	sqlite3_stmt *stmt;
	UT_hash_handle hh;
};

struct store {
	char *path;
	int lock;
	sqlite3 *db;
	struct statement *statements;
};

int store_fail(sqlite3 *db, const char *path, struct err *err)
{
	const char *message = sqlite3_errmsg(db);

	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_READONLY:
		return err_set(err, ERR_STORE, "%s is read-only: check its permissions and how its disk is mounted",
			       path);
	case SQLITE_FULL:
		return err_set(err, ERR_STORE, "%s cannot grow, its disk is full: free some space", path);
	case SQLITE_IOERR:
		return err_set(err, ERR_STORE, "%s: %s: check its disk", path, message);
	case SQLITE_CORRUPT:
		return err_set(err, ERR_STORE, "%s is damaged (%s): restore it from a backup", path, message);
	case SQLITE_NOTADB:
		return err_set(err, ERR_STORE, "%s is not a database: move it away or restore it from a backup", path);
	case SQLITE_CANTOPEN:
		return err_set(err, ERR_STORE, "cannot open %s: %s", path, strerror(sqlite3_system_errno(db)));
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, ERR_STORE, "%s is locked by another program", path);
	}
	return err_set(err, ERR_STORE, "%s: %s", path, message);
}

/* Two heads on one database would book everything twice. The lock goes with the process, however it ends. */
static int take_lock(const char *dir, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, STORE_LOCK);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	if (fd < 0 && errno == EROFS) {
		return err_set(err, ERR_STORE, "%s is read-only: check how its disk is mounted", dir);
	}
	if (fd < 0) {
		return err_set(err, ERR_STORE, "cannot open %s: %s", path, strerror(errno));
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK
			       ? err_set(err, ERR_STORE, "%s is in use by another tenured: stop that one first", dir)
			       : err_set(err, ERR_STORE, "cannot lock %s: %s", path, strerror(errno));
	}
	int locked = fd;

	fd = -1;
	return locked;
}

static int answer_ok(void *ok, int columns, char **values, char **names)
{
	(void)names;
	*(bool *)ok = columns == 1 && values[0] && strcmp(values[0], "ok") == 0;
	return 0;
}

static int answer_wal(void *ok, int columns, char **values, char **names)
{
	(void)names;
	*(bool *)ok = columns == 1 && values[0] && strcmp(values[0], "wal") == 0;
	return 0;
}

/* Settings of the connection, and what may be wrong with the file. */
static int set_up(struct store *store, struct err *err)
{
	bool wal = false, sound = false;

	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_MS);
	if (sqlite3_exec(store->db, "PRAGMA cell_size_check = ON", NULL, NULL, NULL) ||
	    sqlite3_exec(store->db, "PRAGMA quick_check(1)", answer_ok, &sound, NULL)) {
		return store_fail(store->db, store->path, err);
	}
	if (!sound) {
		return err_set(err, ERR_STORE, "%s is damaged: restore it from a backup", store->path);
	}
	if (sqlite3_db_readonly(store->db, "main") == 1) {
		return err_set(err, ERR_STORE, "%s is read-only: check its permissions and how its disk is mounted",
			       store->path);
	}
	/* journal_mode is the first to write: not into what is not ours. */
	if (migrate_check(store->db, store->path, migrations, migration_count, err) < 0) {
		return -1;
	}
	if (sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", answer_wal, &wal, NULL) ||
	    sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL)) {
		return store_fail(store->db, store->path, err);
	}
	if (!wal) {
		return err_set(err, ERR_STORE, "%s cannot have a write-ahead log: its file system lacks shared memory",
			       store->path);
	}
	if (migrate(store->db, store->path, migrations, migration_count, err) < 0) {
		return -1;
	}
	/* Not before: a step that rebuilds a table must be able to drop it while others refer to it. */
	if (sqlite3_exec(store->db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL)) {
		return store_fail(store->db, store->path, err);
	}
	return 0;
}

/* SQLite gives the log and its index the mode of the file: only the head and its group may read who asked for what. */
static int make_file(const char *path, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0640);

	return fd < 0 ? err_set(err, ERR_STORE, "cannot open %s: %s", path, strerror(errno)) : 0;
}

struct store *store_open(const char *dir, struct err *err)
{
	struct store *store;
	int lock;

	if (dir_make(dir, 0750, err) < 0 || (lock = take_lock(dir, err)) < 0) {
		return NULL;
	}
	store = xcalloc(1, sizeof(*store));
	store->lock = lock;
	store->path = xasprintf("%s/%s", dir, STORE_FILE);
	if (make_file(store->path, err) < 0) {
		store_close(store);
		return NULL;
	}
	if (sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		store_fail(store->db, store->path, err);
		store_close(store);
		return NULL;
	}
	if (set_up(store, err) < 0) {
		store_close(store);
		return NULL;
	}
	return store;
}

void store_close(struct store *store)
{
	struct statement *statement, *next;

	if (!store) {
		return;
	}
	HASH_ITER (hh, store->statements, statement, next) {
		HASH_DEL(store->statements, statement);
		sqlite3_finalize(statement->stmt);
		free(statement);
	}
	sqlite3_close(store->db);
	close(store->lock); /* last: the file is ours until SQLite has let go of it */
	free(store->path);
	free(store);
}

const char *store_path(const struct store *store)
{
	return store->path;
}

sqlite3 *store_db(struct store *store)
{
	return store->db;
}

static sqlite3_stmt *find_statement(struct store *store, const char *text)
{
	struct statement *statement;

	HASH_FIND_PTR(store->statements, &text, statement);
	if (statement) {
		sqlite3_reset(statement->stmt);
		return statement->stmt;
	}
	statement = xcalloc(1, sizeof(*statement));
	statement->text = text;
	if (sqlite3_prepare_v3(store->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt, NULL) != SQLITE_OK) {
		free(statement);
		return NULL;
	}
	HASH_ADD_PTR(store->statements, text, statement);
	return statement->stmt;
}

static int bind_all(sqlite3_stmt *stmt, const char *types, va_list args)
{
	for (int i = 1; *types; types++, i++) {
		int rc = SQLITE_MISUSE;

		switch (*types) {
		case 'i':
			rc = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
			break;
		case 'I':
			rc = sqlite3_bind_int64(stmt, i, (int64_t)va_arg(args, uint64_t));
			break;
		case 's':
			rc = sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_STATIC);
			break;
		}
		if (rc != SQLITE_OK) {
			return -1;
		}
	}
	return 0;
}

static sqlite3_stmt *vquery(struct store *store, struct err *err, const char *text, const char *types, va_list args)
{
	sqlite3_stmt *stmt = find_statement(store, text);

	if (!stmt || bind_all(stmt, types, args) < 0) {
		store_fail(store->db, store->path, err);
		return NULL;
	}
	return stmt;
}

sqlite3_stmt *store_query(struct store *store, struct err *err, const char *text, const char *types, ...)
{
	va_list args;
	sqlite3_stmt *stmt;

	va_start(args, types);
	stmt = vquery(store, err, text, types, args);
	va_end(args);
	return stmt;
}

int store_step(struct store *store, sqlite3_stmt *stmt, struct err *err)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW) {
		return 1;
	}
	if (rc != SQLITE_DONE) {
		store_fail(store->db, store->path, err);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

int store_run(struct store *store, struct err *err, const char *text, const char *types, ...)
{
	va_list args;
	sqlite3_stmt *stmt;
	int rc;

	va_start(args, types);
	stmt = vquery(store, err, text, types, args);
	va_end(args);
	if (!stmt) {
		return -1;
	}
	while ((rc = store_step(store, stmt, err)) > 0) {
	}
	return rc;
}

const char *store_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return text ? (const char *)text : "";
}

int store_begin(struct store *store, struct err *err)
{
	assert(sqlite3_get_autocommit(store->db));
	if (store_run(store, err, "BEGIN IMMEDIATE", "") < 0) {
		return -1;
	}
	/* Rows come in the order the planner thought of them: a slot may be written before its lease. */
	if (store_run(store, err, "PRAGMA defer_foreign_keys = ON", "") < 0) {
		store_rollback(store);
		return -1;
	}
	return 0;
}

int store_commit(struct store *store, struct err *err)
{
	if (store_run(store, err, "COMMIT", "") < 0) {
		store_rollback(store);
		return -1;
	}
	return 0;
}

void store_rollback(struct store *store)
{
	/* After some failures SQLite has rolled back by itself. One that fails leaves nothing in the log that counts.
	 */
	if (!sqlite3_get_autocommit(store->db)) {
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	}
}
