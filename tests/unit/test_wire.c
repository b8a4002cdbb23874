/* Parsing of hostile text, messages taken apart and put together. */
#include <check.h>
#include <string.h>

#include "jsonscan.h"
#include "suite.h"
#include "util.h"
#include "wire.h"

#define TEXT(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

struct text {
	const char *text;
	size_t len;
};

static const struct text good[] = {
	TEXT("{}"),
	TEXT(" \t{ \"a\" : [ 1 , -0 , 0.5e-3 , true , false , null , \"\" ] } \r"),
	TEXT("[]"),
	TEXT("1"),
	TEXT("\"x\""),
	TEXT("true"),
	TEXT("{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":1e308}"),
	TEXT("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}"),
	TEXT("[\"\\ud83d\\ude00 \\u00e9 \xc3\xa9 \xf0\x9f\x98\x80 \\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
	TEXT("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"),
	TEXT("{\"a\":[[[[[[[[[[[[[[[\"deep\"]]]]]]]]]]]]]]]}"),
};

static const struct text bad[] = {
	TEXT(""),
	TEXT(" "),
	TEXT("{"),
	TEXT("}"),
	TEXT("{\"a\":1"),
	TEXT("{\"a\":1,}"),
	TEXT("{,}"),
	TEXT("{\"a\"}"),
	TEXT("{\"a\":}"),
	TEXT("{a:1}"),
	TEXT("{1:1}"),
	TEXT("{'a':1}"),
	TEXT("{\"a\":'b'}"),
	TEXT("[1,]"),
	TEXT("[1 2]"),
	TEXT("[1}"),
	TEXT("{\"a\":1,\"a\":2}"),
	TEXT("{\"a\":1,\"b\":2,\"\\u0061\":1}"),
	TEXT("{\"x\":[{\"a\":{},\"a\":{}}]}"),
	TEXT("{\"a\":{\"b\":1,\"c\":2},\"a\":1}"),
	TEXT("{\"a\":NaN}"),
	TEXT("{\"a\":nan}"),
	TEXT("{\"a\":Infinity}"),
	TEXT("{\"a\":-Infinity}"),
	TEXT("{\"a\":1e400}"),
	TEXT("{\"a\":[-1e400]}"),
	TEXT("{\"a\":9223372036854775808}"),
	TEXT("{\"a\":-9223372036854775809}"),
	TEXT("{\"a\":18446744073709551616}"),
	TEXT("{\"a\":99999999999999999999999999999999999999999999999999999999999999999999999999999}"),
	TEXT("{\"a\":0.00000000000000000000000000000000000000000000000000000000000000000000000000001}"),
	TEXT("{\"a\":01}"),
	TEXT("{\"a\":+1}"),
	TEXT("{\"a\":-}"),
	TEXT("{\"a\":1.}"),
	TEXT("{\"a\":.5}"),
	TEXT("{\"a\":1e}"),
	TEXT("{\"a\":1e+}"),
	TEXT("{\"a\":0x10}"),
	TEXT("{\"a\":True}"),
	TEXT("{\"a\":tru}"),
	TEXT("{\"a\":nul"),
	TEXT("null"),
	TEXT("{}{}"),
	TEXT("{} x"),
	TEXT("1 1"),
	TEXT("{}\0"),
	TEXT("{\"a\0b\":1}"),
	TEXT("{\"a\\u0000b\":1}"),
	TEXT("{\"a\":\"x\\u0000\"}"),
	TEXT("{\"a\":\"x\0\"}"),
	TEXT("{\"a\":\"tab\t\"}"),
	TEXT("{\"a\":\"line\n\"}"),
	TEXT("{\"a\":\"\\x41\"}"),
	TEXT("{\"a\":\"\\u12g4\"}"),
	TEXT("{\"a\":\"\\ud800\"}"),
	TEXT("{\"a\":\"\\udc00\"}"),
	TEXT("{\"a\":\"\\ud800\\u0041\"}"),
	TEXT("{\"a\":\"\\ud800x\"}"),
	TEXT("{\"a\":\"\\"),
	TEXT("{\"a\":\"\\u00"),
	TEXT("{\"a\":\"\xff\"}"),
	TEXT("{\"a\":\"\x80\"}"),
	TEXT("{\"a\":\"\xc3\"}"),
	TEXT("{\"a\":\"\xc0\xaf\"}"),
	TEXT("{\"a\":\"\xe0\x80\xaf\"}"),
	TEXT("{\"a\":\"\xed\xa0\x80\"}"),
	TEXT("{\"a\":\"\xf0\x80\x80\xaf\"}"),
	TEXT("{\"a\":\"\xf4\x90\x80\x80\"}"),
	TEXT("{\"a\":\"\xf0\x9f\x98"),
	TEXT("{\"\xff\":1}"),
	TEXT("/* comment */ {}"),
	TEXT("{} // comment"),
	TEXT("\xef\xbb\xbf{}"),
};

/* The text at the end of its own allocation, so that a read past it is seen. */
static struct json_object *parse(const char *text, size_t len, struct err *err)
{
	_cleanup_free_ char *copy = xcalloc(len + 1, 1);

	memcpy(copy + 1, text, len);
	return wire_parse(copy + 1, len, err);
}

START_TEST(taken)
{
	struct err err = {0};
	struct json_object *value = parse(good[_i].text, good[_i].len, &err);

	ck_assert_msg(value != NULL, "%s: %s", good[_i].text, err.text);
	json_object_put(value);
}
END_TEST

START_TEST(refused)
{
	struct err err = {0};
	struct json_object *value = parse(bad[_i].text, bad[_i].len, &err);

	ck_assert_msg(value == NULL, "taken: %s", bad[_i].text);
	ck_assert_msg(err.code == ERR_PARSE || err.code == ERR_REQUEST, "%s: %d %s", bad[_i].text, err.code, err.text);
}
END_TEST

/* Every beginning of a message is refused, and none is read past its end. */
START_TEST(cut_short)
{
	static const char text[] = "{\"a\":[1.5e+3,-2,\"\\ud83d\\ude00\xc3\xa9\"],\"b\":{\"c\":true,\"d\":null}}";

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		struct err err = {0};

		ck_assert_ptr_null(parse(text, n, &err));
		ck_assert_int_eq(err.code, ERR_PARSE);
	}
}
END_TEST

START_TEST(too_deep)
{
	static const char *const texts[] = {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
					    "[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]"};
	size_t n = 1 << 20;
	_cleanup_free_ char *endless = xcalloc(n, 1);
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		ck_assert_ptr_null(parse(texts[i], strlen(texts[i]), &err));
		ck_assert_int_eq(err.code, ERR_LIMIT);
	}
	memset(endless, '[', n);
	ck_assert_ptr_null(parse(endless, n, &err));
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(too_long)
{
	_cleanup_free_ char *text = xcalloc(WIRE_LINE_MAX + 1, 1);
	struct err err = {0};
	struct json_object *value;

	memset(text, ' ', WIRE_LINE_MAX + 1);
	text[0] = '[';
	text[1] = ']';
	value = wire_parse(text, WIRE_LINE_MAX, &err);
	ck_assert_ptr_nonnull(value);
	json_object_put(value);
	ck_assert_ptr_null(wire_parse(text, WIRE_LINE_MAX + 1, &err));
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(formatting)
{
	struct json_object *value = json_object_new_object();
	_cleanup_free_ char *line = NULL;
	size_t len;

	json_object_object_add(value, "url", json_object_new_string("http://x/\n\x7f"));
	json_object_object_add(value, "cut", json_object_new_string("caf\xc3"));
	line = wire_format(value, &len);
	ck_assert_str_eq(line, "{\"url\":\"http://x/\\n\x7f\",\"cut\":\"caf?\"}\n");
	ck_assert_uint_eq(len, strlen(line));
	json_object_put(value);
	value = wire_parse(line, len - 1, NULL);
	ck_assert_ptr_nonnull(value);
	json_object_put(value);
}
END_TEST

struct envelope {
	const char *text;
	int code; /* 0: taken */
	enum wire_kind kind;
	bool id; /* a usable id is found */
};

static const struct envelope envelopes[] = {
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{}}", 0, WIRE_REQUEST, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"m\"}", 0, WIRE_REQUEST, true},
	{"{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", 0, WIRE_NOTIFICATION, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}", 0, WIRE_RESULT, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"extra\":1}", 0, WIRE_RESULT, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-1,\"message\":\"m\",\"data\":[]}}", 0, WIRE_ERROR, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,\"message\":\"m\"}}", 0, WIRE_ERROR, false},
	{"[]", ERR_REQUEST, 0, false},
	{"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}]", ERR_REQUEST, 0, false},
	{"1", ERR_REQUEST, 0, false},
	{"{}", ERR_REQUEST, 0, false},
	{"{\"id\":1,\"method\":\"m\"}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":null}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", ERR_REQUEST, 0, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"m\"}", ERR_REQUEST, 0, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"m\"}", ERR_REQUEST, 0, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":\"12345678901234567890123456789012345678901234567890123456789012345\",\"method\":"
	 "\"m\"}",
	 ERR_REQUEST, 0, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"parms\":{}}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}", ERR_PARAMS, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}", ERR_PARAMS, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"result\":1}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"code\":1,\"message\":\"m\"}}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"result\":1}", ERR_REQUEST, 0, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}", ERR_REQUEST, 0, false},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":null}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"1\",\"message\":\"m\"}}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}", ERR_REQUEST, 0, true},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":4294967296,\"message\":\"m\"}}", ERR_REQUEST, 0, true},
};

START_TEST(envelope)
{
	const struct envelope *e = &envelopes[_i];
	struct err err = {0};
	struct json_object *value = wire_parse(e->text, strlen(e->text), &err);
	struct wire_message message;
	int rc;

	ck_assert_msg(value != NULL, "%s: %s", e->text, err.text);
	rc = wire_open(value, &message, &err);
	ck_assert_msg((rc == 0) == (e->code == 0), "%s: %s", e->text, err.text);
	ck_assert_msg((message.id != NULL) == e->id, "%s: id", e->text);
	if (rc == 0) {
		ck_assert_int_eq(message.kind, e->kind);
	} else {
		ck_assert_msg(err.code == (enum err_code)e->code, "%s: %d %s", e->text, err.code, err.text);
	}
	json_object_put(value);
}
END_TEST

static void reopen(struct json_object *value, const char *text)
{
	_cleanup_free_ char *line = NULL;
	struct wire_message message;
	size_t len;

	line = wire_format(value, &len);
	ck_assert_str_eq(line, text);
	ck_assert_int_eq(wire_open(value, &message, NULL), 0);
	json_object_put(value);
}

START_TEST(built)
{
	struct json_object *id = json_object_new_string("a");

	reopen(wire_request(7, "m", json_object_new_object()),
	       "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{},\"id\":7}\n");
	reopen(wire_request(7, "m", NULL), "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":7}\n");
	reopen(wire_notification("m", NULL), "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n");
	reopen(wire_result(id, NULL), "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":null}\n");
	reopen(wire_error(id, -3, "t", NULL),
	       "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-3,\"message\":\"t\"}}\n");
	reopen(wire_error(NULL, -3, "t", json_object_new_int(1)),
	       "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-3,\"message\":\"t\",\"data\":1}}\n");
	json_object_put(id);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tcase = tcase_create("wire");

	tcase_add_loop_test(tcase, taken, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tcase, refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(tcase, cut_short);
	tcase_add_test(tcase, too_deep);
	tcase_add_test(tcase, too_long);
	tcase_add_test(tcase, formatting);
	tcase_add_loop_test(tcase, envelope, 0, ARRAY_SIZE(envelopes));
	tcase_add_test(tcase, built);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
