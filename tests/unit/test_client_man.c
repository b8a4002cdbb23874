/* The manual page and the shell completion say what the tables of commands and options say, no more and no less. */
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "suite.h"
#include "util.h"

static char *page;

static void read_page(void)
{
	struct err err;

	page = file_read("man/tenure.1", 1 << 20, &err);
	ck_assert_msg(page != NULL, "%s", err.text);
}

static void free_page(void)
{
	free(page);
}

static void check_has(const char *text)
{
	ck_assert_msg(strstr(page, text) != NULL, "man/tenure.1 lacks \"%s\"", text);
}

START_TEST(every_command)
{
	for (size_t i = 0; i < command_count; i++) {
		char name[COMMAND_NAME];
		_cleanup_free_ char *item =
			xasprintf("\n.It Ic %s%s", command_name(&commands[i], name), *commands[i].args ? " Ar " : "");

		check_has(item);
	}
}
END_TEST

START_TEST(every_option)
{
	for (size_t id = 0; id < OPTION_COUNT; id++) {
		_cleanup_free_ char *name =
			xasprintf("Fl Fl %s%s", option_rows[id].name, option_rows[id].arg ? " " : "");
		_cleanup_free_ char *letter = xasprintf("Fl %c , %s", option_rows[id].letter, name);

		check_has(option_rows[id].letter ? letter : name);
	}
}
END_TEST

static bool is_option(const char *name, size_t len)
{
	for (size_t id = 0; id < OPTION_COUNT; id++) {
		if (strlen(option_rows[id].name) == len && memcmp(option_rows[id].name, name, len) == 0) {
			return true;
		}
	}
	return false;
}

START_TEST(nothing_else)
{
	for (const char *p = page; (p = strstr(p, "Fl Fl "));) {
		size_t len;

		p += strlen("Fl Fl ");
		len = strcspn(p, " \n");
		ck_assert_msg(is_option(p, len), "man/tenure.1: there is no --%.*s", (int)len, p);
	}
	for (const char *p = page; (p = strstr(p, "--"));) {
		size_t len;

		p += strlen("--");
		len = strcspn(p, " =\n\"");
		ck_assert_msg(is_option(p, len), "man/tenure.1: there is no --%.*s", (int)len, p);
	}
	for (const char *p = page; (p = strstr(p, "\n.It Ic "));) {
		char noun[32] = "", verb[32] = "";

		p += strlen("\n.It Ic ");
		sscanf(p, "%31[a-z] %31[a-z]", noun, verb);
		ck_assert_msg(command_find(noun, NULL) || command_find(noun, verb),
			      "man/tenure.1: there is no command %s %s", noun, verb);
	}
}
END_TEST

START_TEST(every_status)
{
	char item[32];

	for (int status = STATUS_OK; status <= STATUS_CONFLICT; status++) {
		snprintf(item, sizeof(item), "\n.It %d\n", status);
		check_has(item);
	}
}
END_TEST

/* What a function of the completion prints, as " word word ". */
static char *completion(const char *function, const char *argument)
{
	_cleanup_free_ char *command =
		xasprintf("bash -c '. etc/tenure.bash-completion; %s \"%s\"'", function, argument);
	static char text[4096];
	FILE *in = popen(command, "r");
	size_t len;

	text[0] = ' ';
	ck_assert_ptr_nonnull(in);
	len = fread(text + 1, 1, sizeof(text) - 3, in);
	ck_assert_int_eq(pclose(in), 0);
	text[len + 1] = ' ';
	text[len + 2] = '\0';
	for (char *p = text; *p; p++) {
		*p = isspace((unsigned char)*p) ? ' ' : *p;
	}
	return text;
}

static bool has_word(const char *words, const char *prefix, const char *word)
{
	_cleanup_free_ char *spaced = xasprintf(" %s%s ", prefix, word);

	return strstr(words, spaced) != NULL;
}

START_TEST(completion_of_options)
{
	for (size_t i = 0; i < command_count; i++) {
		char name[COMMAND_NAME];
		const char *words = completion("_tenure_options", command_name(&commands[i], name));
		uint64_t set = commands[i].options | OPTION_GLOBAL;

		for (size_t id = 0; id < OPTION_COUNT; id++) {
			bool takes = false;

			for (size_t same = 0; same < OPTION_COUNT; same++) {
				takes |= (set >> same & 1) && strcmp(option_rows[same].name, option_rows[id].name) == 0;
			}
			ck_assert_msg(has_word(words, "--", option_rows[id].name) == takes, "%s --%s", name,
				      option_rows[id].name);
		}
	}
}
END_TEST

START_TEST(completion_of_commands)
{
	for (size_t i = 0; i < command_count; i++) {
		const char *noun = commands[i].noun, *verb = commands[i].verb;

		ck_assert_msg(has_word(completion("_tenure_words", ""), "", noun), "%s", noun);
		ck_assert_msg(!verb || has_word(completion("_tenure_words", noun), "", verb), "%s %s", noun, verb);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_man");
	TCase *tc = tcase_create("man");

	tcase_add_checked_fixture(tc, read_page, free_page);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, every_command);
	tcase_add_test(tc, every_option);
	tcase_add_test(tc, nothing_else);
	tcase_add_test(tc, every_status);
	tcase_add_test(tc, completion_of_options);
	tcase_add_test(tc, completion_of_commands);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
