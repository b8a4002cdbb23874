/* Tables, JSON, CSV and filters, also of strings that mean harm. */
#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter.h"
#include "safe.h"
#include "show.h"
#include "suite.h"
#include "util.h"

#define TODAY INT64_C(1795269600000000) /* 2026-11-21 14:00:00 UTC */

static const struct show_column columns[] = {
	SHOW_COLUMN("id", "ID", SHOW_INT),          SHOW_COLUMN("name", "NAME", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("state", "STATE", SHOW_TEXT),   SHOW_COLUMN("cpu", "CPU", SHOW_CPU),
	SHOW_COLUMN("memory", "MEMORY", SHOW_SIZE), SHOW_COLUMN("start", "START", SHOW_TIME),
	SHOW_COLUMN("duration", "FOR", SHOW_SPAN),  SHOW_COLUMN("nodes", "NODES", SHOW_LIST),
	SHOW_COLUMN("serial", "SERIAL", SHOW_BOOL), SHOW_COLUMN("reason", "REASON", SHOW_TEXT, .csv_only = true),
};

static const char rows_text[] =
	"{\"leases\":["
	"{\"id\":12,\"name\":\"web\",\"state\":\"active\",\"cpu\":1500,\"memory\":536870912,"
	"\"start_us\":1795269605000000,\"start\":\"x\",\"duration_us\":5400000000,\"nodes\":[\"n1\",\"n2\"],"
	"\"serial\":false,\"reason\":\"he said \\\"no, thanks\\\"\"},"
	"{\"id\":3,\"name\":\"\",\"state\":\"queued\",\"cpu\":2000,\"memory\":1,\"start_us\":0,\"duration_us\":1000000,"
	"\"nodes\":[],\"serial\":true},"
	"{}]}";

static char *text;
static size_t len;

static struct show begin(enum show_form form)
{
	FILE *out = open_memstream(&text, &len);

	return (struct show){.form = form, .now = TODAY, .out = out, .err = out};
}

/* Shows the rows; the output is in text. Returns what show_list() returned. */
static int list(const struct show *show, const char *json, struct err *err)
{
	struct json_object *result = json_tokener_parse(json);
	int failed;

	ck_assert_ptr_nonnull(result);
	failed = show_list(show, result, "leases", columns, ARRAY_SIZE(columns), err);
	json_object_put(result);
	fclose(show->out);
	return failed;
}

START_TEST(table)
{
	struct show show = begin(SHOW_TABLE);
	struct err err;

	ck_assert_int_eq(list(&show, rows_text, &err), 0);
	ck_assert_str_eq(text, "ID NAME STATE  CPU  MEMORY START      FOR NODES SERIAL\n"
			       "12 web  active 1.5 512 MiB 14:00:05 1h30m n1,n2 no\n"
			       " 3 -    queued   2     1 B -           1s -     yes\n"
			       " - -    -        -       - -            - -     -\n");
	free(text);
}
END_TEST

START_TEST(table_is_cut_to_the_terminal)
{
	struct show show = begin(SHOW_TABLE);
	char *rest, *line;
	struct err err;

	show.width = 60;
	ck_assert_int_eq(
		list(&show,
		     "{\"leases\":[{\"id\":1,\"name\":\"a-name-that-is-so-long-that-it-does-not-fit-in-any-line\","
		     "\"state\":\"active\",\"nodes\":[\"n1\"]}]}",
		     &err),
		0);
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		ck_assert_uint_le(strlen(line), 60);
	}
	free(text);
}
END_TEST

START_TEST(long_lists_are_cut)
{
	struct show show = begin(SHOW_TABLE);
	struct json_object *row = json_tokener_parse("{\"nodes\":[\"n1\",\"n2\",\"n3\",\"n4\"]}");
	char *whole = show_cell(&show, &(struct show_column)SHOW_COLUMN("nodes", "", SHOW_LIST), row);
	char *cut = show_cell(&show, &(struct show_column)SHOW_COLUMN("nodes", "", SHOW_LIST, .cut = true), row);

	ck_assert_str_eq(whole, "n1,n2,n3,n4");
	ck_assert_str_eq(cut, "n1,n2,+2");
	free(whole);
	free(cut);
	json_object_put(row);
	fclose(show.out);
	free(text);
}
END_TEST

START_TEST(table_in_colour)
{
	struct show show = begin(SHOW_TABLE);
	struct err err;

	show.colour = true;
	show.width = 100;
	ck_assert_int_eq(list(&show, rows_text, &err), 0);
	ck_assert_ptr_nonnull(strstr(text, "\033[32mactive"));
	free(text);
}
END_TEST

START_TEST(csv)
{
	struct show show = begin(SHOW_CSV);
	struct err err;

	ck_assert_int_eq(list(&show, rows_text, &err), 0);
	ck_assert_str_eq(text, "id,name,state,cpu,memory,start,duration_us,nodes,serial,reason\n"
			       "12,web,active,1500,536870912,2026-11-21T14:00:05.000Z,5400000000,\"n1,n2\",false,"
			       "\"he said \"\"no, thanks\"\"\"\n"
			       "3,,queued,2000,1,,1000000,,true,\n"
			       ",,,,,,,,,\n");
	free(text);
}
END_TEST

START_TEST(json)
{
	struct show show = begin(SHOW_JSON);
	struct json_object *sent = json_tokener_parse(rows_text), *shown;
	struct err err;

	ck_assert_int_eq(list(&show, rows_text, &err), 0);
	shown = json_tokener_parse(text);
	ck_assert(json_object_equal(sent, shown));
	json_object_put(sent);
	json_object_put(shown);
	free(text);
}
END_TEST

START_TEST(empty_lists)
{
	struct show show = begin(SHOW_TABLE);
	struct err err;

	ck_assert_int_eq(list(&show, "{\"leases\":[]}", &err), 0);
	ck_assert_str_eq(text, "no leases\n");
	free(text);
	show = begin(SHOW_CSV);
	ck_assert_int_eq(list(&show, "{\"leases\":[]}", &err), 0);
	ck_assert_str_eq(text, "id,name,state,cpu,memory,start,duration_us,nodes,serial,reason\n");
	free(text);
	show = begin(SHOW_TABLE);
	ck_assert_int_eq(list(&show, "{\"leases\":[],\"more\":true}", &err), 0);
	ck_assert_ptr_nonnull(strstr(text, "there are more leases"));
	free(text);
}
END_TEST

START_TEST(answers_of_the_wrong_shape)
{
	static const char *const answers[] = {"{}", "{\"leases\":5}", "[]", "\"leases\"", "{\"leases\":{}}"};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct show show = begin(SHOW_TABLE);
		struct err err;

		ck_assert_int_eq(list(&show, answers[i], &err), -1);
		ck_assert_int_eq(err.code, ERR_INTERNAL);
		free(text);
	}
	for (enum show_form form = SHOW_TABLE; form <= SHOW_CSV; form++) {
		struct show show = begin(form);
		struct err err;

		ck_assert_int_eq(
			list(&show,
			     "{\"leases\":[null,5,\"x\",[],{\"id\":\"x\",\"name\":7,\"cpu\":[null],\"memory\":{},"
			     "\"start_us\":\"now\",\"duration_us\":-1,\"nodes\":[null,{}],\"serial\":null},"
			     "{\"start_us\":9223372036854775807,\"duration_us\":9223372036854775807,"
			     "\"memory\":-9223372036854775808,\"cpu\":-5}]}",
			     &err),
			0);
		free(text);
	}
}
END_TEST

START_TEST(object)
{
	struct show show = begin(SHOW_TABLE);
	struct json_object *row = json_tokener_parse("{\"id\":7,\"name\":\"\",\"cpu\":250,\"start_us\":0}");

	show_object(&show, columns, ARRAY_SIZE(columns), row);
	fclose(show.out);
	ck_assert_str_eq(text, "id        7\ncpu       0.25\n");
	free(text);
	show = begin(SHOW_CSV);
	show_object(&show, columns, 2, row);
	fclose(show.out);
	ck_assert_str_eq(text, "id,name\n7,\n");
	free(text);
	json_object_put(row);
}
END_TEST

START_TEST(errors)
{
	struct show show = begin(SHOW_TABLE);
	struct json_object *data = json_tokener_parse("{\"id\":7}");
	struct err err;

	err_set(&err, ERR_REJECTED, "no \033[31mroom");
	show_error(&show, &err, data);
	fclose(show.out);
	ck_assert_str_eq(text, "tenure: no \\u001b[31mroom\n");
	free(text);
	show = begin(SHOW_JSON);
	show_error(&show, &err, data);
	fclose(show.out);
	ck_assert_str_eq(text,
			 "{ \"error\": \"rejected\", \"text\": \"no \\u001b[31mroom\", \"data\": { \"id\": 7 } }\n");
	free(text);
	json_object_put(data);
}
END_TEST

static const struct {
	const char *in, *out;
} strings[] = {
	{"plain", "plain"},
	{"größe ✓ 😀", "größe ✓ 😀"},
	{"\033[2J\033]0;title\007", "\\u001b[2J\\u001b]0;title\\u0007"},
	{"a\nb\tc\rd", "a\\u000ab\\u0009c\\u000dd"},
	{"\x7f", "\\u007f"},
	{"\xc2\x9b"
	 "31m",
	 "\\u009b31m"},                                       /* CSI as one C1 character */
	{"\x9b", "\\u009b"},                                  /* and as a stray byte */
	{"\xe2\x80\xaegnp.exe", "\\u202egnp.exe"},            /* right-to-left override */
	{"\xe2\x81\xa6x", "\\u2066x"},                        /* isolate */
	{"a\xe2\x80\x8b", "a\\u200b"},                        /* zero width */
	{"\xc0\x9b", "\\u00c0\\u009b"},                       /* overlong */
	{"\xe2\x80", "\\u00e2\\u0080"},                       /* cut */
	{"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080"},            /* surrogate */
	{"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080"}, /* beyond Unicode */
	{"\xff\xfe", "\\u00ff\\u00fe"},
	{"", ""},
};

START_TEST(harmless)
{
	_cleanup_free_ char *shown = safe_text(strings[_i].in);

	ck_assert_str_eq(shown, strings[_i].out);
}
END_TEST

START_TEST(hostile_fields)
{
	static const char rows[] = "{\"leases\":[{\"id\":1,\"name\":\"\\u001b[2J\\u009b31m\\u202e\\u007f\\n9,evil\","
				   "\"state\":\"\\u001bc\",\"nodes\":[\"\\u001b]52;c;eA==\\u0007\"],"
				   "\"\\u001b[key\":\"\\u001b[value\\u009b\"}]}";
	struct err err;

	for (enum show_form form = SHOW_TABLE; form <= SHOW_CSV; form++) {
		struct show show = begin(form);
		int lines = 0;

		ck_assert_int_eq(list(&show, rows, &err), 0);
		for (const char *p = text; *p; p++) {
			ck_assert_msg(*p == '\n' || (*p >= ' ' && *p <= '~'), "form %d: byte %02x", form,
				      (unsigned char)*p);
			lines += *p == '\n';
		}
		ck_assert(form == SHOW_JSON || lines == 2);
		free(text);
	}
}
END_TEST

START_TEST(json_keeps_its_value)
{
	static const char rows[] = "{\"leases\":[{\"name\":\"\\u001b\\u009b\\u202e\\u007f\\ufeff\\\\u001b\"}]}";
	struct json_object *sent = json_tokener_parse(rows), *shown;
	struct show show = begin(SHOW_JSON);
	struct err err;

	ck_assert_int_eq(list(&show, rows, &err), 0);
	shown = json_tokener_parse(text);
	ck_assert(json_object_equal(sent, shown));
	json_object_put(sent);
	json_object_put(shown);
	free(text);
}
END_TEST

static const struct {
	const char *filter;
	int rows; /* -1: refused */
} filters[] = {
	{"state=active", 1},      {"state=active,id=12", 1},
	{"state=active,id=3", 0}, {"state=active,state=queued", 2},
	{"nodes=n2", 1},          {"nodes=n3", 0},
	{"serial=true", 1},       {"name=", 1},
	{"cpu=1500", 1},          {"state=act", 0},
	{"stat=active", -1},      {"state", -1},
	{"=active", -1},          {"", -1},
	{"state=active,", -1},    {",", -1},
};

START_TEST(filtering)
{
	struct json_object *result = json_tokener_parse(rows_text);
	struct err err = {.code = ERR_NONE};
	struct json_object *rows = filter_rows(filters[_i].filter, json_object_object_get(result, "leases"), &err);

	ck_assert_int_eq(rows ? (int)json_object_array_length(rows) : -1, filters[_i].rows);
	ck_assert(rows || err.code == ERR_PARAMS);
	json_object_put(rows);
	json_object_put(result);
}
END_TEST

START_TEST(filter_in_lists)
{
	struct show show = begin(SHOW_CSV);
	struct err err;

	show.filter = "state=queued";
	ck_assert_int_eq(list(&show, rows_text, &err), 0);
	ck_assert_ptr_nonnull(strstr(text, "\n3,,queued"));
	ck_assert_ptr_null(strstr(text, "active"));
	free(text);
	show = begin(SHOW_TABLE);
	show.filter = "state=done";
	ck_assert_int_eq(list(&show, rows_text, &err), 0);
	ck_assert_str_eq(text, "no leases match\n");
	free(text);
	show = begin(SHOW_TABLE);
	show.filter = "anything=goes";
	ck_assert_int_eq(list(&show, "{\"leases\":[]}", &err), 0);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_show");
	TCase *tc = tcase_create("show");

	setenv("TZ", "UTC", 1);
	tzset();
	setlocale(LC_ALL, "C.UTF-8");
	tcase_add_test(tc, table);
	tcase_add_test(tc, table_is_cut_to_the_terminal);
	tcase_add_test(tc, long_lists_are_cut);
	tcase_add_test(tc, table_in_colour);
	tcase_add_test(tc, csv);
	tcase_add_test(tc, json);
	tcase_add_test(tc, empty_lists);
	tcase_add_test(tc, answers_of_the_wrong_shape);
	tcase_add_test(tc, object);
	tcase_add_test(tc, errors);
	tcase_add_loop_test(tc, harmless, 0, ARRAY_SIZE(strings));
	tcase_add_test(tc, hostile_fields);
	tcase_add_test(tc, json_keeps_its_value);
	tcase_add_loop_test(tc, filtering, 0, ARRAY_SIZE(filters));
	tcase_add_test(tc, filter_in_lists);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
