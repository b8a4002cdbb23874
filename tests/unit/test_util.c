/* Errors, strict parsing of small values, files that are replaced whole or not at all. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "suite.h"
#include "util.h"

static char folder[64];
static char path[100];
static struct err err;

static void setup(void)
{
	strcpy(folder, "/tmp/tenure-test-util-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", path);

	unlink(tmp);
	rmdir(tmp);
	unlink(path);
	rmdir(path);
	rmdir(folder);
}

START_TEST(errors)
{
	ck_assert_int_eq(err_set(&err, ERR_NOT_FOUND, "lease %d", 42), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_eq(err_prefix(&err, "node %s", "n1"), -1);
	ck_assert_str_eq(err.text, "node n1: lease 42");
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	/* An error may be made of itself. */
	err_set(&err, ERR_CONFLICT, "again: %s", err.text);
	ck_assert_str_eq(err.text, "again: node n1: lease 42");
	ck_assert_int_eq(err_set(NULL, ERR_INTERNAL, "x"), -1);
	ck_assert_int_eq(err_prefix(NULL, "x"), -1);
	ck_assert_str_eq(err_name(ERR_NOT_FOUND), "not_found");
	ck_assert_str_eq(err_name((enum err_code)7), "unknown");
}
END_TEST

START_TEST(long_errors)
{
	_cleanup_free_ char *text = xcalloc(1, 2001);

	memset(text, 'x', 2000);
	err_set(&err, ERR_INTERNAL, "%s", text);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, "a");
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	ck_assert_int_eq(strncmp(err.text, "a: xxx", 6), 0);
	err_prefix(&err, "%s", text);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
}
END_TEST

START_TEST(clocks)
{
	mono_us before = clock_mono();

	/* After the day this was written; else the unit is wrong. */
	ck_assert_int_gt(clock_wall(), INT64_C(1700000000000000));
	ck_assert_int_lt(clock_wall(), INT64_C(1700000000000000) * 10);
	ck_assert_int_ge(clock_mono(), before);
}
END_TEST

START_TEST(numbers)
{
	static const char *const bad[] = {"",
					  "-",
					  "+1",
					  " 1",
					  "1 ",
					  "1.0",
					  "0x1",
					  "1e3",
					  "nan",
					  "--1",
					  "9223372036854775808",
					  "-9223372036854775809",
					  "99999999999999999999999"};
	int64_t out = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(parse_i64(bad[i], INT64_MIN, INT64_MAX, &out) < 0, "%s", bad[i]);
	}
	ck_assert_int_eq(parse_i64("11", 0, 10, &out), -1);
	ck_assert_int_eq(parse_i64("-1", 0, 10, &out), -1);
	ck_assert_int_eq(out, 7);
	ck_assert_int_eq(parse_i64("10", 0, 10, &out), 0);
	ck_assert_int_eq(out, 10);
	ck_assert_int_eq(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &out), 0);
	ck_assert(out == INT64_MIN);
}
END_TEST

START_TEST(valid_names)
{
	char name[66] = {0};

	ck_assert(name_valid("n1.rack-2_B"));
	ck_assert(name_valid("0"));
	ck_assert(!name_valid(""));
	ck_assert(!name_valid("."));
	ck_assert(!name_valid(".."));
	ck_assert(!name_valid("-x"));
	ck_assert(!name_valid("_x"));
	ck_assert(!name_valid("a/b"));
	ck_assert(!name_valid("a b"));
	ck_assert(!name_valid("a\n"));
	ck_assert(!name_valid("\xc3\xa4"));
	memset(name, 'a', 63);
	ck_assert(name_valid(name));
	name[63] = 'a';
	ck_assert(!name_valid(name));
}
END_TEST

START_TEST(digests)
{
	char digest[66] = {0};
	const unsigned char bytes[] = {0x00, 0x7f, 0xff, 0xa5};
	char hex[9];

	memset(digest, '0', 63);
	ck_assert(!digest_valid(digest));
	digest[63] = 'f';
	ck_assert(digest_valid(digest));
	digest[5] = 'F';
	ck_assert(!digest_valid(digest));
	digest[5] = 'g';
	ck_assert(!digest_valid(digest));
	digest[5] = '0';
	digest[64] = '0';
	ck_assert(!digest_valid(digest));
	ck_assert(!digest_valid(""));
	hex_encode(bytes, sizeof(bytes), hex);
	ck_assert_str_eq(hex, "007fffa5");
	hex_encode(bytes, 0, hex);
	ck_assert_str_eq(hex, "");
}
END_TEST

START_TEST(memory)
{
	_cleanup_free_ char *a = xstrdup("a");
	char *b = steal(&a);

	ck_assert_ptr_null(a);
	a = xasprintf("%s%d", b, 5);
	ck_assert_str_eq(a, "a5");
	b = xrealloc(b, 0, 8);
	ck_assert_ptr_nonnull(b);
	free(b);
	b = xcalloc(0, 0);
	ck_assert_ptr_nonnull(b);
	free(b);
}
END_TEST

/* The address sanitizer reports this itself. */
#ifndef __SANITIZE_ADDRESS__
START_TEST(no_memory)
{
	/* Aborts, and does not go on with a product that has wrapped around. */
	xrealloc(NULL, SIZE_MAX / 2, 4);
}
END_TEST
#endif

START_TEST(reading)
{
	_cleanup_free_ char *text = NULL;

	ck_assert_ptr_null(file_read(path, 100, &err));
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(file_replace(path, "0123456789", 10, 0600, &err), 0);
	ck_assert_ptr_null(file_read(path, 9, &err));
	ck_assert_int_eq(err.code, ERR_LIMIT);
	text = file_read(path, 10, &err);
	ck_assert_str_eq(text, "0123456789");
	ck_assert_ptr_null(file_read(folder, 100, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "Is a directory"));
	/* Endless, and no regular file. */
	ck_assert_ptr_null(file_read("/dev/zero", 100, &err));
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(replacing)
{
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", path);
	_cleanup_free_ char *text = NULL;
	struct stat st;

	/* What a crash has left behind is in nobody's way. */
	ck_assert_int_eq(symlink("/nonexistent/x", tmp), 0);
	ck_assert_int_eq(file_replace(path, "old and long", 12, 0600, &err), 0);
	ck_assert_int_eq(file_replace(path, "new", 3, 0640, &err), 0);
	text = file_read(path, 100, &err);
	ck_assert_str_eq(text, "new");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_ne(access(tmp, F_OK), 0);
}
END_TEST

START_TEST(failed_replacing)
{
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", path);
	_cleanup_free_ char *text = NULL;

	ck_assert_int_eq(file_replace("/nonexistent/folder/file", "x", 1, 0600, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_eq(file_replace("/dev/full/x", "x", 1, 0600, &err), -1);
	ck_assert_int_eq(file_replace(path, "old", 3, 0600, &err), 0);
	/* A folder in the place of the temporary file. */
	ck_assert_int_eq(mkdir(tmp, 0700), 0);
	ck_assert_int_eq(file_replace(path, "new", 3, 0600, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	text = file_read(path, 100, &err);
	ck_assert_str_eq(text, "old");
}
END_TEST

START_TEST(replacing_beside_us)
{
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(file_replace("file", "x", 1, 0600, &err), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(folders)
{
	_cleanup_free_ char *deep = xasprintf("%s/a//b/c", folder);
	_cleanup_free_ char *below = xasprintf("%s/x", path);
	struct stat st;

	ck_assert_int_eq(dir_make(deep, 0700, &err), 0);
	ck_assert_int_eq(dir_make(deep, 0700, &err), 0);
	ck_assert_int_eq(stat(deep, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_int_eq(dir_make("/", 0700, &err), 0);
	ck_assert_int_eq(dir_make("", 0700, &err), -1);
	ck_assert_int_eq(file_replace(path, "x", 1, 0600, &err), 0);
	ck_assert_int_eq(dir_make(path, 0700, &err), -1);
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	ck_assert_int_eq(dir_make(below, 0700, &err), -1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rmdir(deep), 0);
		*strrchr(deep, '/') = '\0';
		deep[strlen(deep) - (deep[strlen(deep) - 1] == '/')] = '\0';
	}
}
END_TEST

/* What is opened afterwards has none of their numbers, and what is said to them is lost, not written elsewhere. */
START_TEST(closed_output)
{
	int fd;

	for (fd = 0; fd < 3; fd++) {
		close(fd);
	}
	program_begin();
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_gt(fd, STDERR_FILENO);
	ck_assert_int_lt(write(STDERR_FILENO, "x", 1), 0);
	ck_assert_int_lt(write(STDOUT_FILENO, "x", 1), 0);
	ck_assert_int_lt(read(STDIN_FILENO, folder, 1), 0);
}
END_TEST

START_TEST(held_signal)
{
	signal_hold(SIGHUP, SIG_BLOCK);
	raise(SIGHUP);
	signal(SIGHUP, SIG_IGN);
	signal_hold(SIGHUP, SIG_UNBLOCK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util");
	TCase *tcase = tcase_create("util");
	TCase *plain = tcase_create("without a folder"); /* its test does not come back to remove one */

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, errors);
	tcase_add_test(tcase, long_errors);
	tcase_add_test(tcase, clocks);
	tcase_add_test(tcase, numbers);
	tcase_add_test(tcase, valid_names);
	tcase_add_test(tcase, digests);
	tcase_add_test(tcase, memory);
#ifndef __SANITIZE_ADDRESS__
	tcase_add_test_raise_signal(plain, no_memory, SIGABRT);
#endif
	tcase_add_test(tcase, reading);
	tcase_add_test(tcase, replacing);
	tcase_add_test(tcase, failed_replacing);
	tcase_add_test(tcase, replacing_beside_us);
	tcase_add_test(tcase, folders);
	tcase_add_test(tcase, closed_output);
	tcase_add_test(tcase, held_signal);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, plain);
	return run_suite(suite);
}
