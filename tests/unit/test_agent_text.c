/* Texts for reports: what fits is left alone, what does not keeps both its ends, and all of it can be printed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "text.h"

START_TEST(fits)
{
	char out[PART_TEXT_MAX], full[PART_TEXT_MAX];

	text_put(out, "%s: %d", "disk", 7);
	ck_assert_str_eq(out, "disk: 7");
	memset(full, 'x', sizeof(full) - 1);
	full[sizeof(full) - 1] = '\0';
	text_put(out, "%s", full);
	ck_assert_str_eq(out, full);
}
END_TEST

START_TEST(loses_its_middle)
{
	char out[PART_TEXT_MAX], path[2 * PART_TEXT_MAX];

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	text_put(out, "saving it: %s: No space left on device", path);
	ck_assert_uint_eq(strlen(out), PART_TEXT_MAX - 1);
	ck_assert_int_eq(strncmp(out, "saving it: ppp", 14), 0);
	ck_assert_ptr_nonnull(strstr(out, "ppp ... ppp"));
	ck_assert_ptr_nonnull(strstr(out, "ppp: No space left on device"));
	/* also from itself */
	text_put(out, "given up: %s", out);
	ck_assert_int_eq(strncmp(out, "given up: saving it: ", 21), 0);
	ck_assert_ptr_nonnull(strstr(out, "ppp: No space left on device"));
}
END_TEST

START_TEST(is_plain)
{
	char out[PART_TEXT_MAX];

	text_put(out, "a\n\x1b[2Jb\xc3\xa9");
	ck_assert_str_eq(out, "a??[2Jb??");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_text");
	TCase *texts = tcase_create("texts");

	tcase_add_test(texts, fits);
	tcase_add_test(texts, loses_its_middle);
	tcase_add_test(texts, is_plain);
	suite_add_tcase(suite, texts);
	return run_suite(suite);
}
