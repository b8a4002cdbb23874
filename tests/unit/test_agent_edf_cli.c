/* tenure-edf's options: what is read, what is refused, and that the manual page and the completion know them all. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli_option.h"
#include "suite.h"
#include "util.h"

static struct cli_options options;
static struct err err;

/* Words by spaces; they live as long as the test. */
static int read_line(const char *line)
{
	static char text[512], *argv[32];
	int argc = 0;

	snprintf(text, sizeof(text), "%s", line);
	for (char *rest = text, *word; (word = strsep(&rest, " "));) {
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	err = (struct err){0};
	return cli_option_read(&options, argc, argv, &err);
}

START_TEST(run_command)
{
	ck_assert_int_eq(read_line("run --dir /tmp/x --slice 20ms --period 0.05s --strict ls --slice -l"), 0);
	ck_assert_int_eq(options.slice, 20000);
	ck_assert_int_eq(options.period, 50000);
	ck_assert(options.strict && !options.aligned);
	ck_assert_int_eq(options.count, 3);
	ck_assert_str_eq(options.words[0], "ls");
	ck_assert_str_eq(options.words[1], "--slice");
	ck_assert_str_eq(options.dir, "/tmp/x");
	cli_option_fini(&options);
	ck_assert_int_eq(read_line("run --dir /tmp/x --slice 1ms --period 5ms -- --odd"), 0);
	ck_assert_str_eq(options.words[0], "--odd");
	cli_option_fini(&options);
}
END_TEST

START_TEST(words_between)
{
	ck_assert_int_eq(read_line("attach 12 --slice 1h --period 2d 13 --thread --dir /tmp/x"), 0);
	ck_assert_int_eq(options.slice, USEC_PER_HOUR);
	ck_assert_int_eq(options.period, 2 * USEC_PER_DAY);
	ck_assert_int_eq(options.count, 2);
	ck_assert_str_eq(options.words[1], "13");
	ck_assert(options.thread);
	cli_option_fini(&options);
}
END_TEST

START_TEST(refused)
{
	static const char *const bad[] = {
		"list --nonsense",
		"list -x",
		"run --slice",
		"run --slice 20",
		"run --slice 0ms",
		"run --slice -5ms",
		"list --dir x",
		"list --output xml",
		"serve --limit 0",
		"serve --limit 101",
		"serve --limit 9.5",
		"run --period 1x",
		"stat --interval 0",
		"list --dir=",
		"run --period -1s",
		"run --slice 5ms ls",
		"attach --period 5ms 1",
		"set 1",
		"list --slice 5ms",
		"run --slice 1ms --period 5ms --qemu ls",
		"set --slice 1ms --period 5ms --aligned 1",
		"node --once",
		"serve --force",
		"detach --output csv 1",
	};

	ck_assert_int_eq(read_line(bad[_i]), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_str_ne(err.text, "");
}
END_TEST

START_TEST(settings)
{
	struct engine_settings out;

	ck_assert_int_eq(read_line("serve --dir /tmp/x --backend quota --limit 80 --cpus 1 --housekeeping 0"), 0);
	ck_assert_int_eq(cli_option_settings(&options, &out, &err), 0);
	ck_assert(out.backend == ENGINE_QUOTA);
	ck_assert_int_eq(out.limit_ppm, 800000);
	ck_assert_str_eq(out.cpus, "1");
	ck_assert_str_eq(out.housekeeping, "0");
	cli_option_fini(&options);
	ck_assert_int_eq(read_line("serve --dir /tmp/x --backend best"), 0);
	ck_assert_int_eq(cli_option_settings(&options, &out, &err), -1);
	cli_option_fini(&options);
}
END_TEST

/* What the completion offers for the command, " --a --b ". */
static void completed(const char *command, char *out, size_t size)
{
	_cleanup_free_ char *line = xasprintf("bash -c '. etc/tenure-edf.bash-completion 2> /dev/null; echo \" "
					      "$(_tenure_edf_options %s) \"'",
					      command);
	FILE *bash = popen(line, "r");

	ck_assert_ptr_nonnull(bash);
	ck_assert_ptr_nonnull(fgets(out, (int)size, bash));
	ck_assert_int_eq(pclose(bash), 0);
}

/* Every option that a command's help shows, and no other, is offered, and on the page. */
START_TEST(documented)
{
	static const char *const names[] = {"run",  "attach", "set",   "detach",  "list",
					    "stat", "node",   "serve", "release", "calibrate"};
	_cleanup_free_ char *page = file_read("man/tenure-edf.1", 1 << 20, NULL);
	char *help = NULL, offered[512];
	size_t size, n = 0, offers = 0;
	FILE *out = open_memstream(&help, &size);

	completed(names[_i], offered, sizeof(offered));
	fputc('\n', out);
	cli_option_help(names[_i], out);
	fclose(out);
	ck_assert_ptr_nonnull(page);
	for (char *at = help; (at = strstr(at, "\n  --")); n++) {
		_cleanup_free_ char *name = strndup(at + 5, strcspn(at + 5, " "));
		_cleanup_free_ char *item = xasprintf("Fl -%s", name);
		_cleanup_free_ char *word = xasprintf(" --%s ", name);

		at += 5;
		ck_assert_msg(strstr(page, item) != NULL, "man/tenure-edf.1 lacks --%s", name);
		ck_assert_msg(strstr(offered, word) != NULL, "no completion of %s --%s", names[_i], name);
	}
	for (char *at = offered; (at = strstr(at, " --")); at += 3) {
		offers++;
	}
	ck_assert_uint_eq(n, offers);
	free(help);
}
END_TEST

/* Every command that the completion offers is one, and has its part of the page. */
START_TEST(commands)
{
	_cleanup_free_ char *page = file_read("man/tenure-edf.1", 1 << 20, NULL);
	_cleanup_free_ char *words = file_read("etc/tenure-edf.bash-completion", 1 << 16, NULL);
	_cleanup_free_ char *source = file_read("agent/edf/main.c", 1 << 16, NULL);
	char *list = words ? strstr(words, "compgen -W \"run ") : NULL;
	size_t n = 0;

	ck_assert_ptr_nonnull(page);
	ck_assert_ptr_nonnull(source);
	ck_assert_ptr_nonnull(list);
	list += strlen("compgen -W \"");
	list[strcspn(list, "\"")] = '\0';
	for (char *word; (word = strsep(&list, " "));) {
		_cleanup_free_ char *item = xasprintf("Cm %s", word);
		_cleanup_free_ char *quoted = xasprintf("\"%s\"", word);

		ck_assert_msg(*word == '-' || strstr(page, item) != NULL, "man/tenure-edf.1 lacks %s", word);
		ck_assert_msg(strstr(source, quoted) != NULL, "main.c lacks %s", word);
		n++;
	}
	ck_assert_uint_gt(n, 10);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_edf_cli");
	TCase *tests = tcase_create("options");

	tcase_add_test(tests, run_command);
	tcase_add_test(tests, words_between);
	tcase_add_loop_test(tests, refused, 0, 24);
	tcase_add_test(tests, settings);
	tcase_add_loop_test(tests, documented, 0, 10);
	tcase_add_test(tests, commands);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
