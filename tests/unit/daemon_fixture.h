/*
 * For tests of the head's store: a folder of their own, a file system that fails on demand under SQLite, and the
 * invariants. Header only, as one program per module links it.
 */
#ifndef TENURE_DAEMON_FIXTURE_H
#define TENURE_DAEMON_FIXTURE_H

#include <check.h>
#include <dirent.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* ---- a file system that fails ------------------------------------------------------------------------------------ */

enum fault_mode {
	FAULT_ONCE,
	FAULT_FOR_GOOD,
	FAULT_EXIT, /* the process ends at that call, as if killed */
};

/* What the next calls that change files do; counts writes, truncations and flushes. */
static struct {
	long at; /* fails at this call; 0 = never */
	enum fault_mode mode;
	int code;
	bool read_only; /* files cannot be opened for writing */
	long calls;
	long syncs;
	bool tripped;
} fault;

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static inline sqlite3_vfs *fault_real(void)
{
	return sqlite3_vfs_find("unix");
}

static inline sqlite3_file *real_file(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

static inline int fault_check(void)
{
	fault.calls++;
	if (!fault.at || (fault.calls != fault.at && !(fault.mode == FAULT_FOR_GOOD && fault.calls > fault.at))) {
		return SQLITE_OK;
	}
	if (fault.mode == FAULT_EXIT) {
		_exit(9);
	}
	fault.tripped = true;
	return fault.code;
}

static inline void fault_clear(void)
{
	memset(&fault, 0, sizeof(fault));
}

static int fault_close(sqlite3_file *file)
{
	sqlite3_file *real = real_file(file);
	int rc = real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;

	sqlite3_free(real);
	return rc;
}

static int fault_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	return real_file(file)->pMethods->xRead(real_file(file), to, n, at);
}

static int fault_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	int rc = fault_check();

	/* A write that fails may have been carried out in part. */
	if (rc != SQLITE_OK) {
		real_file(file)->pMethods->xWrite(real_file(file), from, n / 2, at);
		return rc;
	}
	return real_file(file)->pMethods->xWrite(real_file(file), from, n, at);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int rc = fault_check();

	return rc != SQLITE_OK ? rc : real_file(file)->pMethods->xTruncate(real_file(file), size);
}

/* Nothing is flushed: processes are killed here, not machines. */
static int fault_sync(sqlite3_file *file, int flags)
{
	int rc = fault_check();

	(void)file;
	(void)flags;
	fault.syncs++;
	return rc == SQLITE_OK ? rc : rc == SQLITE_IOERR_WRITE ? SQLITE_IOERR_FSYNC : rc;
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_file(file)->pMethods->xFileSize(real_file(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
	return real_file(file)->pMethods->xLock(real_file(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
	return real_file(file)->pMethods->xUnlock(real_file(file), level);
}

static int fault_reserved(sqlite3_file *file, int *out)
{
	return real_file(file)->pMethods->xCheckReservedLock(real_file(file), out);
}

static int fault_control(sqlite3_file *file, int op, void *arg)
{
	return real_file(file)->pMethods->xFileControl(real_file(file), op, arg);
}

static int fault_sector(sqlite3_file *file)
{
	return real_file(file)->pMethods->xSectorSize(real_file(file));
}

static int fault_device(sqlite3_file *file)
{
	return real_file(file)->pMethods->xDeviceCharacteristics(real_file(file));
}

static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	return real_file(file)->pMethods->xShmMap(real_file(file), page, size, extend, out);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	return real_file(file)->pMethods->xShmLock(real_file(file), offset, n, flags);
}

static void fault_shm_barrier(sqlite3_file *file)
{
	real_file(file)->pMethods->xShmBarrier(real_file(file));
}

static int fault_shm_unmap(sqlite3_file *file, int remove)
{
	return real_file(file)->pMethods->xShmUnmap(real_file(file), remove);
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	static const sqlite3_io_methods methods = {
		2,
		fault_close,
		fault_read,
		fault_write,
		fault_truncate,
		fault_sync,
		fault_size,
		fault_lock,
		fault_unlock,
		fault_reserved,
		fault_control,
		fault_sector,
		fault_device,
		fault_shm_map,
		fault_shm_lock,
		fault_shm_barrier,
		fault_shm_unmap,
		NULL,
		NULL,
	};
	sqlite3_file *real = sqlite3_malloc(fault_real()->szOsFile);
	int rc;

	(void)vfs;
	memset(real, 0, fault_real()->szOsFile);
	if (fault.read_only && (flags & SQLITE_OPEN_MAIN_DB)) {
		flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
	}
	rc = fault_real()->xOpen(fault_real(), name, real, flags, out_flags);
	((struct fault_file *)file)->real = real;
	file->pMethods = &methods;
	if (rc != SQLITE_OK) {
		fault_close(file);
		file->pMethods = NULL;
	}
	return rc;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	return fault_real()->xDelete(fault_real(), name, sync);
}

/* From here on SQLite works on it in this process. */
static inline void fault_install(void)
{
	static sqlite3_vfs vfs;

	if (vfs.zName) {
		return;
	}
	vfs = *fault_real();
	vfs.zName = "fault";
	vfs.szOsFile = sizeof(struct fault_file);
	vfs.xOpen = fault_open;
	vfs.xDelete = fault_delete;
	vfs.pNext = NULL;
	ck_assert_int_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* ---- a folder ------------------------------------------------------------------------------------------------------
 */

/* A new folder; the caller frees the name with drop_dir(). */
static inline char *make_dir(void)
{
	char *dir = xstrdup("/tmp/tenure-test-XXXXXX");

	ck_assert_ptr_nonnull(mkdtemp(dir));
	return dir;
}

static inline void empty_dir(const char *dir)
{
	DIR *open_dir = opendir(dir);
	struct dirent *entry;

	while (open_dir && (entry = readdir(open_dir))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, entry->d_name);

		unlink(path);
	}
	closedir(open_dir);
}

static inline void drop_dir(char *dir)
{
	empty_dir(dir);
	rmdir(dir);
	free(dir);
}

/* ---- looking at the database from outside ---- */

static inline sqlite3 *open_raw(const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/tenure.db", dir);
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 1000);
	return db;
}

static inline void raw_exec(const char *dir, const char *sql)
{
	sqlite3 *db = open_raw(dir);
	char *message = NULL;

	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
	sqlite3_close(db);
}

static inline int raw_number_of(void *out, int n, char **values, char **names)
{
	(void)n;
	(void)names;
	*(int64_t *)out = values[0] ? atoll(values[0]) : 0;
	return 0;
}

static inline int64_t raw_number(const char *dir, const char *sql)
{
	sqlite3 *db = open_raw(dir);
	int64_t value = -1;
	char *message = NULL;

	ck_assert_msg(sqlite3_exec(db, sql, raw_number_of, &value, &message) == SQLITE_OK, "%s: %s", sql, message);
	sqlite3_close(db);
	return value;
}

static inline int count_violation(void *out, int n, char **values, char **names)
{
	(void)names;
	fprintf(stderr, "violation: %s: %s\n", values[0], n > 1 ? values[1] : "");
	++*(int *)out;
	return 0;
}

/* The number of violated invariants; each is printed. */
static inline int violations(const char *dir)
{
	_cleanup_free_ char *sql = file_read("schema/invariants.sql", 1 << 20, NULL);
	sqlite3 *db = open_raw(dir);
	char *message = NULL;
	int n = 0;

	ck_assert_ptr_nonnull(sql);
	ck_assert_msg(sqlite3_exec(db, sql, count_violation, &n, &message) == SQLITE_OK, "%s", message);
	sqlite3_close(db);
	return n;
}

#endif
