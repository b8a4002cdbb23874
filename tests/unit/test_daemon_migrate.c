/* The schema's steps: fresh, newer, foreign, damaged, read-only, full, failing and killed at every write. */
#include "daemon_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "log.h"
#include "migrate.h"
#include "store.h"

static char *dir;

static void setup(void)
{
	fault_install();
	fault_clear();
	dir = make_dir();
}

static void teardown(void)
{
	fault_clear();
	drop_dir(dir);
}

/* Opening fails, and says this. */
static void refused(const char *text)
{
	struct err err = {0};

	ck_assert_ptr_null(store_open(dir, &err));
	ck_assert_int_eq(err.code, ERR_STORE);
	ck_assert_msg(strstr(err.text, text) != NULL, "\"%s\" does not say \"%s\"", err.text, text);
	ck_assert_msg(strstr(err.text, dir) != NULL, "\"%s\" does not name the file", err.text);
}

static void accepted(void)
{
	struct err err = {0};
	struct store *store = store_open(dir, &err);

	ck_assert_msg(store != NULL, "%s", err.text);
	store_close(store);
}

static void write_file(const char *name, const void *data, size_t len, long at)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	FILE *file = fopen(path, at < 0 ? "w" : "r+");

	ck_assert_ptr_nonnull(file);
	if (at > 0) {
		ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
	}
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	fclose(file);
}

START_TEST(fresh_database)
{
	struct stat st;
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, STORE_FILE);

	accepted();
	accepted(); /* and again, with nothing to do */
	ck_assert_int_eq(raw_number(dir, "PRAGMA user_version"), migrations[migration_count - 1].version);
	ck_assert_int_eq(raw_number(dir, "PRAGMA application_id"), MIGRATE_APPLICATION_ID);
	ck_assert_int_eq(violations(dir), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07, 0);
}
END_TEST

START_TEST(migrations_are_numbered)
{
	for (size_t i = 0; i < migration_count; i++) {
		ck_assert_int_eq(migrations[i].version, (int)i + 1);
		ck_assert_int_eq(atoi(migrations[i].name), (int)i + 1);
	}
}
END_TEST

START_TEST(newer_is_refused)
{
	accepted();
	raw_exec(dir, "PRAGMA user_version = 999");
	refused("newer");
	ck_assert_int_eq(raw_number(dir, "PRAGMA user_version"), 999);
}
END_TEST

START_TEST(foreign_is_refused)
{
	raw_exec(dir, "CREATE TABLE t (x)");
	refused("another program");
	raw_exec(dir, "DROP TABLE t; PRAGMA application_id = 7");
	refused("another program");
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM sqlite_schema"), 0);
}
END_TEST

START_TEST(text_is_refused)
{
	char text[8192];

	memset(text, 'x', sizeof(text));
	write_file(STORE_FILE, text, sizeof(text), -1);
	refused("not a database");
}
END_TEST

START_TEST(damaged_is_refused)
{
	char junk[2000];

	memset(junk, 0xa5, sizeof(junk));
	accepted();
	raw_exec(dir, "PRAGMA wal_checkpoint(TRUNCATE)");
	write_file(STORE_FILE, junk, sizeof(junk), 3 * 4096);
	refused("damaged");
}
END_TEST

START_TEST(read_only_is_refused)
{
	accepted();
	fault.read_only = true;
	refused("read-only");
}
END_TEST

START_TEST(two_heads_are_refused)
{
	struct err err = {0};
	struct store *store = store_open(dir, &err);

	ck_assert_ptr_nonnull(store);
	refused("another tenured");
	store_close(store);
	accepted();
}
END_TEST

/* ---- two steps, interrupted everywhere
 * --------------------------------------------------------------------------------- */

static const struct migration two[] = {
	{1, "001-a", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1), (2), (3);"},
	{2, "002-b",
	 "CREATE TABLE b (x INTEGER NOT NULL, y TEXT NOT NULL) STRICT; INSERT INTO b SELECT x, 'of ' || x FROM a;"
	 "DROP TABLE a; CREATE INDEX b_y ON b (y);"},
};

static int migrate_here(const struct migration *list, size_t n, int max_pages, struct err *err)
{
	sqlite3 *db = open_raw(dir);
	int rc;

	sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL);
	if (max_pages) {
		char pragma[64];

		snprintf(pragma, sizeof(pragma), "PRAGMA max_page_count = %d", max_pages);
		sqlite3_exec(db, pragma, NULL, NULL, NULL);
	}
	rc = migrate(db, "test.db", list, n, err);
	sqlite3_close(db);
	return rc;
}

/* At one version or the other, with the rows that belong to it. Returns the version. */
static int64_t check_whole(void)
{
	int64_t version = raw_number(dir, "PRAGMA user_version");

	ck_assert_int_ge(version, 0);
	ck_assert_int_le(version, 2);
	if (version == 1) {
		ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM a"), 3);
	} else if (version == 2) {
		ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM b WHERE y = 'of ' || x"), 3);
	}
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM pragma_quick_check WHERE quick_check = 'ok'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"), version > 0);
	return version;
}

START_TEST(killed_at_every_write)
{
	long n = 0;
	int status = 1;

	while (status != 0) {
		pid_t pid;

		empty_dir(dir);
		ck_assert_int_eq(migrate_here(two, 1, 0, NULL), 0);
		n++;
		pid = fork();
		if (pid == 0) {
			fault_clear();
			fault.at = n;
			fault.mode = FAULT_EXIT;
			_exit(migrate_here(two, 2, 0, NULL) == 0 ? 0 : 1);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status));
		ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
		ck_assert_int_ge(check_whole(), 1);
		ck_assert_int_eq(migrate_here(two, 2, 0, NULL), 0);
		ck_assert_int_eq(check_whole(), 2);
	}
	ck_assert_int_gt(n, 3);
	printf("migrate: killed at %ld points, 0 rows lost\n", n - 1);
}
END_TEST

START_TEST(io_error_at_every_write)
{
	static const int codes[] = {SQLITE_IOERR_WRITE, SQLITE_FULL};
	struct err err = {0};
	long n = 0;

	do {
		fault_clear();
		empty_dir(dir);
		n++;
		fault.at = n;
		fault.mode = FAULT_FOR_GOOD;
		fault.code = codes[_i];
		if (migrate_here(two, 2, 0, &err) < 0) {
			ck_assert_int_eq(err.code, ERR_STORE);
			ck_assert_msg(strstr(err.text, "disk") != NULL, "%s", err.text);
		}
		fault.at = 0;
		check_whole();
		ck_assert_int_eq(migrate_here(two, 2, 0, NULL), 0);
		ck_assert_int_eq(check_whole(), 2);
	} while (fault.tripped);
	ck_assert_int_gt(n, 5);
}
END_TEST

START_TEST(full_disk)
{
	struct err err = {0};

	ck_assert_int_eq(migrate_here(two, 1, 0, NULL), 0);
	ck_assert_int_lt(migrate_here(two, 2, 2, &err), 0);
	ck_assert_msg(strstr(err.text, "full") != NULL, "%s", err.text);
	ck_assert_msg(strstr(err.text, "002-b") != NULL, "%s", err.text);
	ck_assert_int_eq(check_whole(), 1);
	ck_assert_int_eq(migrate_here(two, 2, 0, NULL), 0);
	ck_assert_int_eq(check_whole(), 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_migrate");
	TCase *cases = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	log_init(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, fresh_database);
	tcase_add_test(cases, migrations_are_numbered);
	tcase_add_test(cases, newer_is_refused);
	tcase_add_test(cases, foreign_is_refused);
	tcase_add_test(cases, text_is_refused);
	tcase_add_test(cases, damaged_is_refused);
	tcase_add_test(cases, read_only_is_refused);
	tcase_add_test(cases, two_heads_are_refused);
	tcase_add_test(cases, killed_at_every_write);
	tcase_add_loop_test(cases, io_error_at_every_write, 0, 2);
	tcase_add_test(cases, full_disk);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
