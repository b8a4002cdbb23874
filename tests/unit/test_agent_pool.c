/* The image pool: random sequences against a model, taking stock of a folder, and what damage does. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pool.h"
#include "suite.h"
#include "util.h"

#define FILES 12
#define LIMIT 1000

static char folder[64];
static struct pool *pool;
static struct err err;
static char digests[FILES][65];
static const int64_t sizes[FILES] = {10, 100, 400, 250, 333, 999, 1, 500, 77, 120, 640, 90};

static char *path_of(unsigned i, const char *suffix)
{
	return xasprintf("%s/%s%s", folder, digests[i], suffix);
}

static bool exists(unsigned i, const char *suffix)
{
	_cleanup_free_ char *path = path_of(i, suffix);

	return access(path, F_OK) == 0;
}

static void write_file(const char *path, int64_t size)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
}

static void make_file(unsigned i, const char *suffix)
{
	_cleanup_free_ char *path = path_of(i, suffix);

	write_file(path, sizes[i]);
}

static void setup(void)
{
	strcpy(folder, "/tmp/tenure-test-pool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (unsigned i = 0; i < FILES; i++) {
		memset(digests[i], "0123456789abcdef"[i], 64);
	}
	pool = pool_open(folder, LIMIT, &err);
	ck_assert_msg(pool, "%s", err.text);
}

static void teardown(void)
{
	DIR *dir = opendir(folder);

	pool_free(pool);
	for (struct dirent *entry; (entry = readdir(dir));) {
		_cleanup_free_ char *path = xasprintf("%s/%s", folder, entry->d_name);

		unlink(path);
	}
	closedir(dir);
	rmdir(folder);
}

static void pin(unsigned set)
{
	const char *list[FILES];
	size_t n = 0;

	for (unsigned i = 0; i < FILES; i++) {
		if (set & 1u << i) {
			list[n++] = digests[i];
		}
	}
	pool_pin(pool, list, n);
}

/* As stage.c: reserve, fetch, rename, commit. */
static int fetch(unsigned i)
{
	_cleanup_free_ char *part = path_of(i, ".part");
	_cleanup_free_ char *path = path_of(i, "");

	if (pool_reserve(pool, digests[i], sizes[i], &err) < 0) {
		return -1;
	}
	write_file(part, sizes[i]);
	ck_assert_int_eq(rename(part, path), 0);
	pool_commit(pool, digests[i]);
	return 0;
}

static int64_t on_disk(void)
{
	int64_t bytes = 0;

	for (unsigned i = 0; i < FILES; i++) {
		bytes += (exists(i, "") || exists(i, ".part")) ? sizes[i] : 0;
	}
	return bytes;
}

static void reopen(void)
{
	pool_free(pool);
	pool = pool_open(folder, LIMIT, &err);
	ck_assert_msg(pool, "%s", err.text);
}

struct model {
	unsigned present, pinned, reserved;
};

static int64_t sum(unsigned set)
{
	int64_t bytes = 0;

	for (unsigned i = 0; i < FILES; i++) {
		bytes += set & 1u << i ? sizes[i] : 0;
	}
	return bytes;
}

/* What must hold after every step. */
static void check_model(const struct model *m)
{
	ck_assert_int_le(pool_used(pool), LIMIT);
	ck_assert_int_le(on_disk(), pool_used(pool));
	for (unsigned i = 0; i < FILES; i++) {
		bool has = pool_has(pool, digests[i], sizes[i]);

		ck_assert_int_eq(has, exists(i, ""));
		/* In use and there before: still there. */
		ck_assert(has || !(m->present & m->pinned & 1u << i));
	}
}

static void look(struct model *m)
{
	m->present = 0;
	for (unsigned i = 0; i < FILES; i++) {
		m->present |= exists(i, "") ? 1u << i : 0;
	}
	m->reserved &= ~m->present;
}

static void want(struct model *m, unsigned i, bool finish)
{
	bool fits = sum((m->present & m->pinned) | m->reserved | 1u << i) <= LIMIT;
	unsigned before = m->present & m->pinned;

	m->pinned |= 1u << i;
	pin(m->pinned);
	if (m->present & 1u << i) {
		return;
	}
	if (finish) {
		ck_assert_int_eq(fetch(i) == 0, fits);
	} else {
		ck_assert_int_eq(pool_reserve(pool, digests[i], sizes[i], &err) == 0, fits);
		m->reserved |= fits ? 1u << i : 0;
	}
	if (!fits) {
		ck_assert_int_eq(err.code, ERR_LIMIT);
		m->pinned &= ~(1u << i);
		pin(m->pinned);
	}
	look(m);
	ck_assert_uint_eq(m->present & before, before);
}

START_TEST(random_sequences)
{
	unsigned seed = (unsigned)time(NULL), reached = 0;

	printf("random_sequences: seed %u\n", seed);
	for (int round = 0; round < 20; round++) {
		struct model m = {0};

		for (int step = 0; step < 100; step++) {
			unsigned i = (unsigned)rand_r(&seed) % FILES;

			switch (rand_r(&seed) % 6) {
			case 0:
			case 1:
				want(&m, i, true);
				break;
			case 2:
				want(&m, i, false);
				break;
			case 3:
				m.pinned &= ~(1u << i);
				m.reserved &= m.pinned;
				pin(m.pinned);
				break;
			case 4:
				pool_cancel(pool, digests[i]);
				m.reserved &= ~(1u << i);
				break;
			case 5:
				/* A restart forgets reservations that have no file yet. */
				reopen();
				m.reserved = 0;
				pin(m.pinned);
				break;
			}
			look(&m);
			check_model(&m);
			reached += sum(m.present) > LIMIT * 8 / 10;
		}
		teardown();
		setup();
	}
	printf("random_sequences: nearly full after %u of 2000 steps\n", reached);
	ck_assert_uint_gt(reached, 100);
}
END_TEST

START_TEST(oldest_goes_first)
{
	ck_assert_int_eq(fetch(2), 0);
	ck_assert_int_eq(fetch(3), 0);
	ck_assert_int_eq(fetch(8), 0);
	pin(0);
	/* 2 was fetched first, but is used once more. */
	pin(1u << 2);
	pin(0);
	ck_assert_int_eq(fetch(7), 0);
	ck_assert(exists(2, "") && !exists(3, "") && exists(8, "") && exists(7, ""));
}
END_TEST

START_TEST(left_overs)
{
	_cleanup_free_ char *other = xasprintf("%s/README", folder);

	make_file(1, "");
	make_file(4, ".part");
	make_file(8, ".part");
	write_file(other, 5);
	reopen();
	ck_assert(pool_has(pool, digests[1], sizes[1]));
	ck_assert(!pool_has(pool, digests[4], sizes[4]));
	pin(1u << 4);
	ck_assert(exists(4, ".part") && !exists(8, ".part"));
	ck_assert_int_eq(pool_used(pool), sizes[1] + sizes[4]);
	/* Resumed: what is there counts once. */
	ck_assert_int_eq(pool_reserve(pool, digests[4], sizes[4], &err), 0);
	ck_assert_int_eq(pool_used(pool), sizes[1] + sizes[4]);
	ck_assert_int_eq(access(other, F_OK), 0);
}
END_TEST

START_TEST(damaged)
{
	_cleanup_free_ char *gone = path_of(2, "");

	make_file(1, "");
	make_file(2, "");
	reopen();
	ck_assert(!pool_has(pool, digests[1], sizes[1] + 1));
	ck_assert(!exists(1, ""));
	ck_assert_int_eq(unlink(gone), 0);
	ck_assert(!pool_has(pool, digests[2], sizes[2]));
	ck_assert_int_eq(pool_used(pool), 0);
}
END_TEST

START_TEST(unreadable_folder)
{
	_cleanup_free_ char *file = xasprintf("%s/file", folder);

	write_file(file, 1);
	ck_assert_ptr_null(pool_open(file, LIMIT, &err));
	ck_assert_ptr_nonnull(strstr(err.text, file));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_pool");
	TCase *tcase = tcase_create("pool");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, random_sequences);
	tcase_add_test(tcase, oldest_goes_first);
	tcase_add_test(tcase, left_overs);
	tcase_add_test(tcase, damaged);
	tcase_add_test(tcase, unreadable_folder);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
