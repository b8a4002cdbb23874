/* The schema's steps: fresh, newer, foreign, damaged, read-only, full, failing and killed at every write. */
#include "daemon_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "log.h"
#include "migrate.h"
#include "store.h"
#include "suite.h"

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

/* ---- databases of versions before this one ----------------------------------------------------------------------- */

/* A node, two leases of two owners with their VMs and slots, a transfer, events, an answer; of version 2 an input. */
static void fill(int version)
{
	raw_exec(dir,
		 "INSERT INTO nodes (id, name, state, cpu, memory, disk, net_in, net_out, pool, suspend_rate,"
		 " resume_rate) VALUES (1, 'n1', 'up', 4000, 4000, 4000, 9, 9, 9000, 7, 7);"
		 "INSERT INTO images VALUES (1, 'i', 'raw', '', 10, 10, 'bob', 5);"
		 "INSERT INTO leases (id, name, owner, kind, state, serial, vms, cpu, memory, disk, image, image_name,"
		 " start_us, duration_us, submitted_us, first_start_us, ended_us, reason, detail) VALUES"
		 " (1, 'old', 'bob', 'best-effort', 'done', 1, 1, 1, 2, 3, 1, 'i', 0, 60, 7, 100, 160, 'time_up', 'd'),"
		 " (2, '', 'ann', 'ar', 'scheduled', 0, 1, 1, 2, 3, 1, 'i', 300, 60, 8, 0, 0, 'none', '');"
		 "INSERT INTO vms VALUES (1, 0, 'done', 1, 1, 0, 'boot', 'stop', 90, 100, 160, 165, 60, 0),"
		 " (2, 0, 'scheduled', 1, 1, 1, 'boot', 'stop', 290, 300, 360, 365, 0, 0);"
		 "INSERT INTO slots VALUES (1, 'run', 1, 1, 0, 100, 160, 1, 2, 3, 0, 0),"
		 " (2, 'run', 1, 2, 0, 300, 360, 1, 2, 3, 0, 0);"
		 "INSERT INTO transfers VALUES (1, 1, 'i', 1, 'planned', 250, 260, 290, 0);"
		 "INSERT INTO events (at_us, kind, lease, data) VALUES (170, 'lease.moved', 1, '{\"to\":\"done\"}');"
		 "INSERT INTO requests VALUES ('ann', 'r', 'lease.request', 'd', 8, '{\"result\":{\"id\":2}}');"
		 "UPDATE meta SET value = 2 WHERE key IN ('last_lease', 'last_slot');"
		 "UPDATE meta SET value = 1 WHERE key IN ('last_node', 'last_image', 'last_transfer')");
	if (version > 1) {
		raw_exec(dir,
			 "INSERT INTO inputs VALUES (0, 5, '{}'); CREATE TABLE base_leases AS SELECT * FROM leases");
	}
}

static int loaded;

static void check_loaded(const struct lease *lease, void *arg)
{
	(void)arg;
	loaded++;
	ck_assert_uint_eq(lease->id, 2);
	ck_assert_int_eq(lease->spec.kind, LEASE_AR);
	ck_assert_int_eq(lease->spec.start_us, 300);
	ck_assert_int_eq(lease->spec.latest_us, 0);
	ck_assert_int_eq(lease->spec.deadline_us, 0);
	ck_assert_int_eq(lease->price, 0);
	ck_assert_int_eq(lease->spec.slice_us, 0);
	ck_assert_int_eq(lease->spec.period_us, 0);
	ck_assert_int_eq(lease->spec.per_vm.amount[RES_CPU], 1);
	ck_assert_uint_eq(lease->spec.user, 1);
	ck_assert_int_eq(lease->vms[0].run.release_us, 365);
}

START_TEST(older_with_rows)
{
	struct err err = {0};
	struct store *store;
	uint32_t user;
	sqlite3 *db = open_raw(dir);
	int filled = _i < 4 ? _i : 3; /* from then on a lease has more columns */

	ck_assert_int_eq(migrate(db, "test.db", migrations, (size_t)filled, &err), 0);
	sqlite3_close(db);
	fill(filled);
	db = open_raw(dir);
	ck_assert_int_eq(migrate(db, "test.db", migrations, (size_t)_i, &err), 0);
	sqlite3_close(db);
	store = store_open(dir, &err);
	ck_assert_msg(store != NULL, "%s", err.text);
	loaded = 0;
	ck_assert_msg(store_load_leases(store, check_loaded, NULL, &err) == 0, "%s", err.text);
	ck_assert_int_eq(loaded, 1);
	ck_assert_int_eq(store_user(store, "bob", &user, &err), 0);
	ck_assert_uint_eq(user, 2);
	store_close(store);
	ck_assert_int_eq(raw_number(dir, "PRAGMA user_version"), migrations[migration_count - 1].version);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE name = 'old' AND owner = 'bob' AND user = 2"
					 " AND kind = 'best-effort' AND state = 'done' AND serial AND cpu = 1 AND"
					 " memory = 2 AND disk = 3 AND image_name = 'i' AND duration_us = 60 AND"
					 " submitted_us = 7 AND first_start_us = 100 AND ended_us = 160 AND"
					 " reason = 'time_up' AND detail = 'd'"),
			 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM vms"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM slots"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM requests"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM inputs"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'leases_%'"), 3);
	ck_assert_int_eq(violations(dir), 0);
	/* What belongs to a lease still goes with it. */
	raw_exec(dir, "PRAGMA foreign_keys = ON; DELETE FROM leases WHERE id = 1");
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM slots WHERE lease = 1"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM vms WHERE lease = 1"), 0);
}
END_TEST

/* ---- two steps, interrupted everywhere ---- */

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
	tcase_add_loop_test(cases, older_with_rows, 1, (int)migration_count);
	tcase_add_test(cases, killed_at_every_write);
	tcase_add_loop_test(cases, io_error_at_every_write, 0, 2);
	tcase_add_test(cases, full_disk);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
