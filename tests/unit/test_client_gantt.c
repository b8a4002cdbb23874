/* The Gantt chart compared with pictures in tests/unit/data. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gantt.h"
#include "suite.h"
#include "util.h"

#define DATA "tests/unit/data/"

static struct json_object *read_slots(const char *name)
{
	_cleanup_free_ char *path = xasprintf(DATA "%s.json", name);
	struct json_object *slots = json_object_from_file(path);

	ck_assert_msg(slots != NULL, "%s", path);
	return slots;
}

static char *draw(const struct gantt *like, struct json_object *slots)
{
	struct gantt gantt = *like;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	gantt.now = gantt.now ? gantt.now : json_object_get_int64(json_object_object_get(slots, "now_us"));
	gantt_fit(&gantt, slots);
	gantt_draw(&gantt, slots, out);
	fclose(out);
	return text;
}

static void check_picture(const char *data, const char *picture, const struct gantt *gantt)
{
	_cleanup_free_ char *path = xasprintf(DATA "%s.txt", picture);
	struct json_object *slots = read_slots(data);
	_cleanup_free_ char *text = draw(gantt, slots);
	struct err err = {.code = ERR_NONE};
	_cleanup_free_ char *expected = file_read(path, 1 << 20, &err);

	if (!expected || strcmp(expected, text) != 0) {
		fprintf(stderr, "%s should be, if this is right:\n%s", path, text);
	}
	json_object_put(slots);
	ck_assert_msg(expected != NULL, "%s", err.text);
	ck_assert_str_eq(text, expected);
}

START_TEST(demo_utf8)
{
	check_picture("gantt-demo", "gantt-demo", &(struct gantt){.width = 100, .utf8 = true});
}
END_TEST

START_TEST(demo_ascii)
{
	check_picture("gantt-demo", "gantt-demo-ascii", &(struct gantt){.width = 100});
}
END_TEST

START_TEST(demo_narrow)
{
	check_picture("gantt-demo", "gantt-demo-narrow", &(struct gantt){.width = 40, .utf8 = true});
}
END_TEST

START_TEST(demo_colour)
{
	check_picture("gantt-demo", "gantt-demo-colour", &(struct gantt){.width = 60, .utf8 = true, .colour = true});
}
END_TEST

START_TEST(busy)
{
	check_picture("gantt-busy", "gantt-busy", &(struct gantt){.width = 100, .utf8 = true});
}
END_TEST

START_TEST(busy_window)
{
	struct gantt gantt = {.width = 100, .utf8 = true, .from = INT64_C(1795269600000000)};

	gantt.to = gantt.from + 24 * USEC_PER_HOUR;
	check_picture("gantt-busy", "gantt-busy-window", &gantt);
}
END_TEST

/* Every cell of every line must be one column wide, whatever the names. */
START_TEST(lines_have_the_width)
{
	struct json_object *slots = read_slots("gantt-busy");
	_cleanup_free_ char *text = draw(&(struct gantt){.width = 80}, slots);
	char *rest = text, *line;
	int lines = 0;

	json_object_put(slots);
	ck_assert_ptr_null(strchr(text, '\033'));
	strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n")) && *line) {
		ck_assert_uint_eq(strlen(line), 80);
		lines++;
	}
	ck_assert_int_ge(lines, 7);
}
END_TEST

START_TEST(nothing)
{
	struct json_object *slots = json_object_new_object();
	_cleanup_free_ char *text = draw(&(struct gantt){.width = 60, .now = INT64_C(1795269600000000)}, slots);

	json_object_put(slots);
	ck_assert_ptr_nonnull(strstr(text, "no nodes\n"));
}
END_TEST

/* What is kept ready has a sign of its own, and no run covers it. */
START_TEST(kept_ready)
{
	struct json_object *slots = json_tokener_parse(
		"{\"nodes\":[{\"name\":\"n1\",\"state\":\"up\"}],\"slots\":[{\"id\":1,\"kind\":\"standby\","
		"\"node\":\"n1\",\"lease\":7,\"vm\":0,\"start_us\":1795269600000000,"
		"\"end_us\":1795273200000000}]}");
	struct gantt gantt = {.width = 60, .now = INT64_C(1795269600000000)};
	_cleanup_free_ char *ascii = draw(&gantt, slots);

	gantt.utf8 = true;
	_cleanup_free_ char *utf8 = draw(&gantt, slots);

	json_object_put(slots);
	ck_assert_ptr_nonnull(strstr(ascii, "ooooo"));
	ck_assert_ptr_nonnull(strstr(ascii, "o kept ready"));
	ck_assert_ptr_nonnull(strstr(ascii, "lease 7: 1 VM on 1 node\n"));
	ck_assert_ptr_nonnull(strstr(utf8, "○○○○○"));
}
END_TEST

/* A window of centuries must not overflow. */
START_TEST(wide_window)
{
	struct json_object *slots = read_slots("gantt-demo");
	struct gantt gantt = {.width = 1000, .from = 1, .to = WALL_NEVER};
	_cleanup_free_ char *text = draw(&gantt, slots);

	json_object_put(slots);
	ck_assert_ptr_nonnull(strstr(text, "n1"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_gantt");
	TCase *tc = tcase_create("pictures");

	setenv("TZ", "UTC", 1);
	tzset();
	tcase_add_test(tc, demo_utf8);
	tcase_add_test(tc, demo_ascii);
	tcase_add_test(tc, demo_narrow);
	tcase_add_test(tc, demo_colour);
	tcase_add_test(tc, busy);
	tcase_add_test(tc, busy_window);
	tcase_add_test(tc, lines_have_the_width);
	tcase_add_test(tc, nothing);
	tcase_add_test(tc, kept_ready);
	tcase_add_test(tc, wide_window);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
