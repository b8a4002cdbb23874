/* The manual page of tenure-sim has what the tables of commands and options have, and nothing else. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sim_command.h"
#include "suite.h"
#include "util.h"

static const struct sim_command *const commands[] = {
	&command_run, &command_compare, &command_figures, &command_generate, &command_experiment, &command_replay,
};
static char *page;

static void read_page(void)
{
	page = file_read("man/tenure-sim.1", 1 << 20, NULL);
	ck_assert_ptr_nonnull(page);
}

static void free_page(void)
{
	free(page);
}

static bool is_option(const char *name, size_t len)
{
	static const char *const everywhere[] = {"help", "version"};

	for (size_t i = 0; i < ARRAY_SIZE(everywhere); i++) {
		if (strlen(everywhere[i]) == len && memcmp(everywhere[i], name, len) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		for (size_t j = 0; j < commands[i]->option_count; j++) {
			const char *option = commands[i]->options[j].name;

			if (strlen(option) == len && memcmp(option, name, len) == 0) {
				return true;
			}
		}
	}
	return false;
}

START_TEST(every_command)
{
	const struct sim_command *command = commands[_i];
	_cleanup_free_ char *synopsis = xasprintf("\n.Nm\n.Cm %s", command->name);
	_cleanup_free_ char *item = xasprintf("\n.It Cm %s\n", command->name);

	ck_assert_msg(strstr(page, synopsis) != NULL, "man/tenure-sim.1: the synopsis lacks %s", command->name);
	ck_assert_msg(strstr(page, item) != NULL, "man/tenure-sim.1 lacks %s", command->name);
	for (size_t i = 0; i < command->option_count; i++) {
		const struct sim_option *option = &command->options[i];
		_cleanup_free_ char *text = xasprintf("Fl -%s%s", option->name, option->arg ? " Ar " : "\n");

		ck_assert_msg(strstr(page, text) != NULL, "man/tenure-sim.1 lacks %s --%s", command->name,
			      option->name);
	}
}
END_TEST

START_TEST(nothing_else)
{
	size_t n = 0;

	for (const char *p = page; (p = strstr(p, "Fl -")); n++) {
		size_t len = strcspn(p += strlen("Fl -"), " \n");

		ck_assert_msg(is_option(p, len), "man/tenure-sim.1: there is no --%.*s", (int)len, p);
	}
	ck_assert_uint_gt(n, 40);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_man");
	TCase *tests = tcase_create("page");

	tcase_add_checked_fixture(tests, read_page, free_page);
	tcase_add_loop_test(tests, every_command, 0, ARRAY_SIZE(commands));
	tcase_add_test(tests, nothing_else);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
