/* Log lines as they reach stderr: levels, prefixes, and that names from outside cannot forge one. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "suite.h"
#include "util.h"

static FILE *captured;
static int real_stderr;

static void setup(void)
{
	unsetenv("JOURNAL_STREAM");
	captured = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
	log_init(LOG_LEVEL_INFO);
}

static void teardown(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(captured);
}

/* Everything logged so far. */
static const char *logged(void)
{
	static char text[20000];
	ssize_t n = pread(fileno(captured), text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

/* As if systemd's journal read our stderr; other makes it somebody else's. */
static void under_journal(unsigned other)
{
	struct stat st;
	char stream[64];

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + other);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_LEVEL_DEBUG);
}

START_TEST(plain_line)
{
	const char *line;

	log_info("lease %d: %s", 42, "active -> done");
	line = logged();
	/* "2026-11-21T14:00:00.000Z " */
	ck_assert_uint_gt(strlen(line), 25);
	ck_assert_int_eq(line[10], 'T');
	ck_assert_int_eq(line[23], 'Z');
	ck_assert_str_eq(line + 25, "info: lease 42: active -> done\n");
}
END_TEST

START_TEST(levels)
{
	log_init(LOG_LEVEL_WARNING);
	log_info("no");
	log_debug("no");
	ck_assert_str_eq(logged(), "");
	log_warning("yes");
	log_error("yes");
	ck_assert_ptr_nonnull(strstr(logged(), " warning: yes\n"));
	ck_assert_ptr_nonnull(strstr(logged(), " error: yes\n"));
}
END_TEST

START_TEST(journal)
{
	under_journal(0);
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	ck_assert_str_eq(logged(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}
END_TEST

START_TEST(journal_of_another_stream)
{
	under_journal(1);
	log_error("a");
	ck_assert_int_ne(logged()[0], '<');
}
END_TEST

START_TEST(controls)
{
	under_journal(0);
	log_info("%s", "a\nb\r\x1b[31m\x7f\tc \xc3\xa4 \xc2\x9b");
	ck_assert_str_eq(logged(), "<6>a\\x0ab\\x0d\\x1b[31m\\x7f\\x09c \xc3\xa4 \\xc2\x9b\n");
}
END_TEST

START_TEST(long_lines)
{
	_cleanup_free_ char *text = xcalloc(1, 10001);
	const char *line;

	under_journal(0);
	memset(text, '\n', 10000);
	/* Escapes end at every distance from the limit. */
	for (int i = 0; i < 4; i++) {
		log_info("%.*s%s", i, "xxx", text);
	}
	log_info("next");
	line = logged();
	for (int i = 0; i < 4; i++) {
		size_t len = strcspn(line, "\n");

		ck_assert_uint_le(len, 4095);
		ck_assert_uint_gt(len, 4080);
		line += len + 1;
	}
	ck_assert_str_eq(line, "<6>next\n");
}
END_TEST

START_TEST(errno_is_kept)
{
	errno = EPIPE;
	log_info("x");
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(level_names)
{
	enum log_level level = LOG_LEVEL_INFO;

	ck_assert_int_eq(log_level_parse("debug", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(log_level_parse("error", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_ERROR);
	ck_assert_int_eq(log_level_parse("Error", &level), -1);
	ck_assert_int_eq(log_level_parse("", &level), -1);
	ck_assert_int_eq(level, LOG_LEVEL_ERROR);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, plain_line);
	tcase_add_test(tcase, levels);
	tcase_add_test(tcase, journal);
	tcase_add_test(tcase, journal_of_another_stream);
	tcase_add_test(tcase, controls);
	tcase_add_test(tcase, long_lines);
	tcase_add_test(tcase, errno_is_kept);
	tcase_add_test(tcase, level_names);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
