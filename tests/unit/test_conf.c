/* Settings files: what is read, and what is refused with file, line and a hint. */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "conf.h"
#include "suite.h"
#include "usec.h"
#include "util.h"

struct values {
	char *name;
	char *folder;
	bool suspend;
	int64_t connections;
	int64_t rate;
	span_us lead;
	int64_t cpu;
	char *operators;
};

static int check_word(const char *text, struct err *err_out)
{
	return strstr(text, "nobody") ? err_set(err_out, ERR_PARAMS, "there is nobody") : 0;
}

#define ROW_CHECKED(section, name, type, value, min, max, reloadable, check)                                      \
	{                                                                                                         \
		section, #name, type, offsetof(struct values, name), value, min, max, reloadable, "about " #name, \
			check                                                                                     \
	}
#define ROW(section, name, type, value, min, max, reloadable) \
	ROW_CHECKED(section, name, type, value, min, max, reloadable, NULL)

static const struct setting table[] = {
	ROW("head", name, SETTING_STRING, "alpha", 1, 20, true),
	ROW("head", folder, SETTING_PATH, "/var/lib/x", 0, 0, false),
	ROW("head", suspend, SETTING_BOOL, "yes", 0, 0, true),
	ROW("head", connections, SETTING_INT, "1024", 1, 65536, true),
	ROW_CHECKED("head", operators, SETTING_LIST, "", 0, 4096, true, check_word),
	ROW("plan", rate, SETTING_SIZE, "100M", 1, INT64_C(1) << 50, false),
	ROW("plan", lead, SETTING_SPAN, "1s", 0, USEC_PER_HOUR, false),
	ROW("plan", cpu, SETTING_CPU, "0.5", 0, 0, true),
};
#define ROWS ARRAY_SIZE(table)

static char path[64];
static struct values values;
static struct err err;

static void setup(void)
{
	int fd;

	strcpy(path, "/tmp/tenure-test-conf-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	/* Loading must not free what it finds. */
	memset(&values, 0xa5, sizeof(values));
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	conf_free(table, ROWS, &values);
	unlink(path);
}

static void write_bytes(const char *data, size_t len)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

static int load(const char *text)
{
	write_bytes(text, strlen(text));
	return conf_load(table, ROWS, path, &values, &err);
}

static void accepted(const char *text)
{
	int result = load(text);

	ck_assert_msg(result == 0, "%s", err.text);
}

/* err must be "PATH:LINE: ..." with hint somewhere in it. */
static void expect_error(int line, const char *hint)
{
	_cleanup_free_ char *start = xasprintf("%s:%d: ", path, line);

	ck_assert_msg(strncmp(err.text, start, strlen(start)) == 0, "not in line %d: %s", line, err.text);
	ck_assert_msg(strstr(err.text, hint), "no \"%s\" in: %s", hint, err.text);
	ck_assert_int_ne(err.code, ERR_NONE);
	ck_assert_ptr_null(values.name);
	ck_assert_ptr_null(values.operators);
}

static void refused(const char *text, int line, const char *hint)
{
	ck_assert_msg(load(text) < 0, "accepted: %s", text);
	expect_error(line, hint);
}

START_TEST(defaults)
{
	ck_assert_int_eq(conf_load(table, ROWS, NULL, &values, &err), 0);
	ck_assert_str_eq(values.name, "alpha");
	ck_assert_str_eq(values.folder, "/var/lib/x");
	ck_assert(values.suspend);
	ck_assert_int_eq(values.connections, 1024);
	ck_assert_int_eq(values.rate, INT64_C(100) << 20);
	ck_assert_int_eq(values.lead, USEC_PER_SEC);
	ck_assert_int_eq(values.cpu, 500);
	ck_assert_str_eq(values.operators, "");
}
END_TEST

START_TEST(whole_file)
{
	accepted("# a comment\n"
		 "[head]\n"
		 "name = beta gamma\n"
		 "folder=/srv/x   \n"
		 "  ; another\n"
		 "suspend = Off ; an inline comment\n"
		 "connections = 7\n"
		 "\n"
		 "[plan]\n"
		 "rate = 1.5G\n"
		 "lead = 0\n"
		 "cpu = 250m");
	ck_assert_str_eq(values.name, "beta gamma");
	ck_assert_str_eq(values.folder, "/srv/x");
	ck_assert(!values.suspend);
	ck_assert_int_eq(values.connections, 7);
	ck_assert_int_eq(values.rate, INT64_C(3) << 29);
	ck_assert_int_eq(values.lead, 0);
	ck_assert_int_eq(values.cpu, 250);
}
END_TEST

START_TEST(lines_of_dos_and_byte_order_mark)
{
	accepted("\xef\xbb\xbf[head]\r\nname = beta\r\n\r\n[plan]\r\nlead = 2s\r\n");
	ck_assert_str_eq(values.name, "beta");
	ck_assert_int_eq(values.lead, 2 * USEC_PER_SEC);
	conf_free(table, ROWS, &values);
	refused("[head]\r\nname = beta\r\nnmae = x\r\n", 3, "did you mean name?");
}
END_TEST

START_TEST(section_twice)
{
	accepted("[head]\nname = a\n[plan]\nlead = 2s\n[head]\nconnections = 2\n");
	ck_assert_int_eq(values.connections, 2);
}
END_TEST

START_TEST(empty_file)
{
	accepted("");
	ck_assert_str_eq(values.name, "alpha");
}
END_TEST

START_TEST(long_lists)
{
	accepted("[head]\noperators = anna bert\n\t@wheel\n   carl dora\nname = x\n");
	ck_assert_str_eq(values.operators, "anna bert @wheel carl dora");
	conf_free(table, ROWS, &values);
	accepted("[head]\noperators =\n\tanna\n");
	ck_assert_str_eq(values.operators, "anna");
}
END_TEST

START_TEST(unknown)
{
	refused("[head]\nname = x\nconections = 3\n", 3, "did you mean connections?");
	refused("[head]\nzzzzzzzz = 3\n", 2, "--print-config");
	refused("[head]\nlead = 3s\n", 2, "belongs in section [plan]");
	refused("\n\n[haed]\n\nname = x\n", 3, "did you mean [head]?");
	refused("[storage]\nname = x\n", 1, "unknown section [storage]");
	refused("name = x\n", 1, "belongs in section [head]");
	refused("whatever = x\n[head]\n", 1, "before any [section]");
	refused("[head]\nName = x\n", 2, "did you mean name?");
}
END_TEST

START_TEST(bad_values)
{
	refused("[head]\nsuspend = maybe\n", 2, "neither yes nor no");
	refused("[head]\nsuspend =\n", 2, "neither yes nor no");
	refused("[head]\nconnections = many\n", 2, "not a whole number");
	refused("[head]\nconnections =\n", 2, "not a whole number");
	refused("[head]\nconnections = 1.0\n", 2, "not a whole number");
	refused("[head]\nconnections = 10 # ten\n", 2, "not a whole number");
	refused("[head]\nfolder = var/lib\n", 2, "begin it with /");
	refused("[head]\nname = x\noperators = nobody\n", 3, "operators: there is nobody");
	refused("[head]\noperators = anna\n\tnobody\n", 3, "operators: there is nobody");
	refused("[head]\nfolder = \"/var/lib\"\n", 2, "without quotes");
	refused("[head]\nfolder = /var/lib # the folder\n", 2, "line of its own");
	refused("[head]\nname = a\x01z\n", 2, "control character");
	refused("[head]\nname =\n", 2, "a value is needed");
	refused("[plan]\nlead = 30\n", 2, "1h30m");
	refused("[plan]\nlead = nan\n", 2, "lead: ");
	refused("[plan]\nrate = 30\n", 2, "512M");
	refused("[plan]\ncpu = -1\n", 2, "250m");
}
END_TEST

START_TEST(out_of_range)
{
	refused("[head]\nconnections = 0\n", 2, "from 1 to 65536");
	refused("[head]\nconnections = 65537\n", 2, "from 1 to 65536");
	refused("[head]\nconnections = 99999999999999999999\n", 2, "connections: ");
	refused("[head]\nname = 123456789012345678901\n", 2, "at most 20");
	refused("[plan]\nlead = 2h\n", 2, "from 0s to 1h");
	refused("[plan]\nrate = 0\n", 2, "from 1B to 1P");
	refused("[plan]\nrate = 2P\n", 2, "from 1B to 1P");
}
END_TEST

START_TEST(bad_lines)
{
	refused("[head]\nname\n", 2, "key = value");
	refused("[head\nname = x\n", 1, "key = value");
	refused("[head]\nname x\nnmae = y\n", 2, "key = value");
	refused("[head]\nnmae = y\nname x\n", 2, "did you mean name?");
	refused("[head]\nname = a\nconnections = 2\nname = b\n", 4, "already, in line 2");
	refused("[head]\nname = a\n  connections = 2\n", 3, "remove the spaces");
	refused("[head]\noperators = a\n  name = b\n", 3, "remove the spaces");
	refused("[head]\noperators = a\n  [plan]\n", 3, "remove the spaces");
	refused("[head]\noperators = a\n  b ; and no other\n", 3, "line of its own");
}
END_TEST

START_TEST(binary)
{
	static const char nul[] = "[head]\nname = a\0b\nconnections = 2\n";
	static const char escape[] = "[head]\n# \033[2J\n";

	write_bytes(nul, sizeof(nul) - 1);
	ck_assert_int_eq(conf_load(table, ROWS, path, &values, &err), -1);
	expect_error(2, "0x00: this is not");
	write_bytes(escape, sizeof(escape) - 1);
	ck_assert_int_eq(conf_load(table, ROWS, path, &values, &err), -1);
	expect_error(2, "0x1b: this is not");
	refused("\xef\xbb\xbf[storage]\r\nname = x\n", 1, "unknown section [storage]");
}
END_TEST

/* "operators = aaaa...", len bytes without the newline. */
static char *long_line(const char *start, int len)
{
	_cleanup_free_ char *fill = xcalloc(1, (size_t)len + 1);

	memset(fill, 'a', (size_t)len - strlen(start));
	return xasprintf("[head]\n%s%s\nname = beta\n", start, fill);
}

START_TEST(longest_line)
{
	_cleanup_free_ char *text = long_line("operators = ", 199);
	_cleanup_free_ char *comment = long_line("  # ", 1000);
	_cleanup_free_ char *too_long = long_line("operators = ", 200);
	_cleanup_free_ char *spaces = xasprintf("[head]\n%300sname = x\n", "");

	accepted(text);
	ck_assert_uint_eq(strlen(values.operators), 199 - strlen("operators = "));
	ck_assert_str_eq(values.name, "beta");
	conf_free(table, ROWS, &values);
	accepted(comment);
	ck_assert_str_eq(values.name, "beta");
	conf_free(table, ROWS, &values);
	refused(too_long, 2, "longer than 199 bytes");
	refused(spaces, 2, "longer than 199 bytes");
}
END_TEST

START_TEST(no_file)
{
	ck_assert_int_eq(conf_load(table, ROWS, "/nonexistent/x.conf", &values, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/x.conf: No such file"));
	ck_assert_ptr_nonnull(strstr(err.text, "--print-config"));
	ck_assert_ptr_null(values.name);
	ck_assert_int_eq(conf_load(table, ROWS, "/tmp", &values, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "/tmp: Is a directory"));
	ck_assert_int_eq(conf_load(table, ROWS, "/nonexistent/x.conf", &values, NULL), -1);
}
END_TEST

/* One with a name may never have a writer; what a shell makes can be read, once. */
START_TEST(pipes)
{
	char folder[] = "/tmp/conf-XXXXXX", pipe_path[64];
	int ends[2];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(pipe_path, sizeof(pipe_path), "%s/fifo", folder);
	ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
	ck_assert_int_eq(conf_load(table, ROWS, pipe_path, &values, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "/fifo: it is a named pipe"));
	remove(pipe_path);
	remove(folder);
	ck_assert_int_eq(pipe(ends), 0);
	snprintf(pipe_path, sizeof(pipe_path), "/dev/fd/%d", ends[0]);
	ck_assert_int_gt(dprintf(ends[1], "[head]\nname = beta\n"), 0);
	close(ends[1]);
	ck_assert_msg(conf_load(table, ROWS, pipe_path, &values, &err) == 0, "%s", err.text);
	ck_assert_str_eq(values.name, "beta");
	conf_free(table, ROWS, &values);
	ck_assert_int_eq(conf_load(table, ROWS, pipe_path, &values, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "it is read once only"));
	close(ends[0]);
}
END_TEST

START_TEST(bad_default)
{
	static const struct setting bad[] = {ROW("head", name, SETTING_STRING, "x", 0, 0, true),
					     ROW("head", lead, SETTING_SPAN, "30", 0, 0, true)};

	ck_assert_int_eq(conf_load(bad, ARRAY_SIZE(bad), NULL, &values, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "default: lead"));
	ck_assert_ptr_null(values.name);
	/* For teardown, which goes by the other table. */
	memset(&values, 0, sizeof(values));
}
END_TEST

static void print_to_path(const struct values *v)
{
	FILE *file = fopen(path, "w");

	conf_print(table, ROWS, v, file);
	ck_assert_int_eq(fclose(file), 0);
}

START_TEST(printed_file_is_read_back)
{
	struct values back;
	const struct setting *which;
	_cleanup_free_ char *operators = xasprintf("%0150d %0100d b c %050d", 1, 2, 3);

	accepted("[head]\nsuspend = no\n[plan]\nrate = 1000001B\nlead = 1.5s\ncpu = 2.5\n");
	free(values.operators);
	values.operators = xstrdup(operators);
	print_to_path(&values);
	ck_assert_msg(conf_load(table, ROWS, path, &back, &err) == 0, "%s", err.text);
	ck_assert_str_eq(back.operators, operators);
	ck_assert(!back.suspend);
	ck_assert_int_eq(back.rate, 1000001);
	ck_assert_int_eq(back.cpu, 2500);
	ck_assert(!conf_needs_restart(table, ROWS, &values, &back, &which));
	conf_free(table, ROWS, &back);
}
END_TEST

START_TEST(printed_text)
{
	_cleanup_free_ char *text = NULL;

	accepted("");
	print_to_path(&values);
	text = file_read(path, 10000, &err);
	ck_assert_str_eq(text, "[head]\n# about name\nname = alpha\n# about folder\nfolder = /var/lib/x\n"
			       "# about suspend\nsuspend = yes\n# about connections\nconnections = 1024\n"
			       "# about operators\noperators =\n\n"
			       "[plan]\n# about rate\nrate = 100M\n# about lead\nlead = 1s\n# about cpu\ncpu = 500m\n");
}
END_TEST

START_TEST(restart)
{
	const struct setting *which = NULL;
	struct values other;

	accepted("[head]\nname = other\nsuspend = no\nconnections = 2\noperators = a\n");
	ck_assert_int_eq(conf_load(table, ROWS, NULL, &other, &err), 0);
	ck_assert(!conf_needs_restart(table, ROWS, &values, &other, &which));
	other.lead++;
	ck_assert(conf_needs_restart(table, ROWS, &values, &other, &which));
	ck_assert_str_eq(which->key, "lead");
	free(other.folder);
	other.folder = xstrdup("/elsewhere");
	ck_assert(conf_needs_restart(table, ROWS, &values, &other, &which));
	ck_assert_str_eq(which->key, "folder");
	conf_free(table, ROWS, &other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf");
	TCase *tcase = tcase_create("conf");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, whole_file);
	tcase_add_test(tcase, lines_of_dos_and_byte_order_mark);
	tcase_add_test(tcase, section_twice);
	tcase_add_test(tcase, empty_file);
	tcase_add_test(tcase, long_lists);
	tcase_add_test(tcase, unknown);
	tcase_add_test(tcase, bad_values);
	tcase_add_test(tcase, out_of_range);
	tcase_add_test(tcase, bad_lines);
	tcase_add_test(tcase, binary);
	tcase_add_test(tcase, longest_line);
	tcase_add_test(tcase, no_file);
	tcase_add_test(tcase, pipes);
	tcase_add_test(tcase, bad_default);
	tcase_add_test(tcase, printed_file_is_read_back);
	tcase_add_test(tcase, printed_text);
	tcase_add_test(tcase, restart);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
