/* Every row of the API's table: each parameter right, missing, of each wrong type, out of range, and unknown ones. */
#include <check.h>
#include <string.h>

#include "method.h"
#include "suite.h"
#include "usec.h"
#include "util.h"
#include "wire.h"

static struct json_object *text_of(size_t n)
{
	_cleanup_free_ char *text = xcalloc(n + 1, 1);

	memset(text, 'x', n);
	return json_object_new_string(text);
}

static struct json_object *array_of(int64_t n)
{
	struct json_object *array = json_object_new_array();

	for (int64_t i = 0; i < n; i++) {
		json_object_array_add(array, json_object_new_object());
	}
	return array;
}

/* The smallest (or greatest) value the row allows. */
static struct json_object *value_for(const struct method_param *param, bool greatest)
{
	int64_t size = greatest ? param->max : param->min;

	switch (param->type) {
	case PARAM_STRING:
		return text_of((size_t)size);
	case PARAM_NAME:
		return text_of(greatest ? 63 : 1);
	case PARAM_INT:
		return json_object_new_int64(size);
	case PARAM_BOOL:
		return json_object_new_boolean(greatest);
	case PARAM_TIME:
		return json_object_new_int64(greatest ? WALL_NEVER - 1 : 1);
	case PARAM_OBJECT:
		return json_object_new_object();
	case PARAM_ARRAY:
		return array_of(size);
	}
	return NULL;
}

static struct json_object *params_for(const struct method *method, bool greatest)
{
	struct json_object *params = json_object_new_object();

	for (size_t i = 0; i < method->param_count; i++) {
		json_object_object_add(params, method->params[i].name, value_for(&method->params[i], greatest));
	}
	return params;
}

/* The method's right parameters, with one replaced by value (consumed), must be refused, naming it. */
static void refused(const struct method *method, const char *name, struct json_object *value, const char *what)
{
	struct json_object *params = params_for(method, false);
	struct err err = {0};

	json_object_object_add(params, name, value);
	ck_assert_msg(method_check(method, params, &err) == -1, "%s: %s %s", method->name, name, what);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_msg(strstr(err.text, name) != NULL, "%s: %s %s: %s", method->name, name, what, err.text);
	json_object_put(params);
}

static void taken(const struct method *method, struct json_object *params)
{
	struct err err = {0};

	ck_assert_msg(method_check(method, params, &err) == 0, "%s: %s", method->name, err.text);
	json_object_put(params);
}

START_TEST(right)
{
	const struct method *method = method_at((enum method_id)_i);

	ck_assert_int_eq(method->id, _i);
	ck_assert_ptr_eq(method_find(method->name), method);
	taken(method, params_for(method, false));
	taken(method, params_for(method, true));
}
END_TEST

START_TEST(missing)
{
	const struct method *method = method_at((enum method_id)_i);

	for (size_t i = 0; i < method->param_count; i++) {
		struct json_object *params = params_for(method, false);
		struct err err = {0};
		int rc;

		json_object_object_del(params, method->params[i].name);
		rc = method_check(method, params, &err);
		ck_assert_int_eq(rc, method->params[i].required ? -1 : 0);
		if (rc) {
			ck_assert_int_eq(err.code, ERR_PARAMS);
			ck_assert_ptr_nonnull(strstr(err.text, method->params[i].name));
		}
		json_object_put(params);
	}
}
END_TEST

START_TEST(wrong_type)
{
	const struct method *method = method_at((enum method_id)_i);

	for (size_t i = 0; i < method->param_count; i++) {
		const char *name = method->params[i].name;
		enum param_type type = method->params[i].type;

		refused(method, name, NULL, "null");
		refused(method, name, json_object_new_double(1.0), "1.0");
		if (type != PARAM_BOOL) {
			refused(method, name, json_object_new_boolean(true), "true");
		}
		if (type != PARAM_INT && type != PARAM_TIME) {
			refused(method, name, json_object_new_int(1), "1");
		}
		if (type != PARAM_STRING && type != PARAM_NAME) {
			refused(method, name, json_object_new_string("1"), "\"1\"");
		}
		if (type != PARAM_OBJECT) {
			refused(method, name, json_object_new_object(), "{}");
		}
		if (type != PARAM_ARRAY) {
			refused(method, name, array_of(1), "[{}]");
		}
	}
}
END_TEST

static void out_of_range(const struct method *method, const struct method_param *param)
{
	const char *name = param->name;

	switch (param->type) {
	case PARAM_STRING:
		if (param->min > 0) {
			refused(method, name, text_of((size_t)param->min - 1), "too short");
		}
		refused(method, name, text_of((size_t)param->max + 1), "too long");
		refused(method, name, json_object_new_string("a\nb"), "newline");
		refused(method, name, json_object_new_string("a\033[2J"), "terminal escape");
		refused(method, name, json_object_new_string("a\xc2\x9b"), "C1 control character");
		refused(method, name, json_object_new_string_len("a\0b", 3), "NUL");
		break;
	case PARAM_NAME:
		refused(method, name, text_of(0), "empty");
		refused(method, name, text_of(64), "too long");
		refused(method, name, json_object_new_string("../x"), "path");
		refused(method, name, json_object_new_string("a b"), "space");
		refused(method, name, json_object_new_string_len("a\0b", 3), "NUL");
		break;
	case PARAM_INT:
		refused(method, name, json_object_new_int64(param->min - 1), "too small");
		refused(method, name, json_object_new_int64(INT64_MIN), "negative");
		if (param->max < INT64_MAX) {
			refused(method, name, json_object_new_int64(param->max + 1), "too great");
			refused(method, name, json_object_new_int64(INT64_MAX), "huge");
		}
		break;
	case PARAM_TIME:
		refused(method, name, json_object_new_int64(0), "zero");
		refused(method, name, json_object_new_int64(-1), "negative");
		refused(method, name, json_object_new_int64(WALL_NEVER), "never");
		break;
	case PARAM_ARRAY:
		refused(method, name, array_of(param->max + 1), "too long");
		refused(method, name, array_of(param->min - 1), "too short");
		break;
	case PARAM_BOOL:
	case PARAM_OBJECT:
		break;
	}
}

START_TEST(range)
{
	const struct method *method = method_at((enum method_id)_i);

	for (size_t i = 0; i < method->param_count; i++) {
		out_of_range(method, &method->params[i]);
	}
}
END_TEST

START_TEST(unknown)
{
	const struct method *method = method_at((enum method_id)_i);

	refused(method, "nonsense", json_object_new_int(1), "unknown");
	refused(method, "", json_object_new_int(1), "unknown");
	for (size_t i = 0; i < method->param_count; i++) {
		_cleanup_free_ char *upper = xasprintf("%sX", method->params[i].name);

		refused(method, upper, json_object_new_int(1), "misspelt");
	}
}
END_TEST

START_TEST(request_id)
{
	const struct method *method = method_at((enum method_id)_i);
	struct json_object *params = params_for(method, false);

	if (!method->mutating) {
		refused(method, "request_id", json_object_new_string("r"), "not mutating");
		json_object_put(params);
		return;
	}
	json_object_object_add(params, "request_id", text_of(METHOD_REQUEST_ID_MAX));
	taken(method, params);
	refused(method, "request_id", text_of(METHOD_REQUEST_ID_MAX + 1), "too long");
	refused(method, "request_id", text_of(0), "empty");
	refused(method, "request_id", json_object_new_int(1), "integer");
	refused(method, "request_id", json_object_new_string("a\tb"), "control character");
}
END_TEST

START_TEST(rights)
{
	const struct method *method = method_at((enum method_id)_i);

	for (int role = ROLE_NONE; role <= ROLE_AGENT; role++) {
		bool expected = method->role == ROLE_NONE ||
				(method->role == ROLE_AGENT ? role == ROLE_AGENT
							    : role != ROLE_AGENT && role >= (int)method->role);

		ck_assert_int_eq(method_allowed(method, (enum role)role), expected);
	}
}
END_TEST

/* The rows by hand, once, so that the table's macros cannot be wrong in the same way as this test. */
START_TEST(by_hand)
{
	const struct method *show = method_find("lease.show");
	const struct method *hello = method_find("hello");
	const struct method *node = method_find("node.hello");

	ck_assert_ptr_eq(show, method_at(METHOD_LEASE_SHOW));
	ck_assert_uint_eq(show->param_count, 1);
	ck_assert_str_eq(show->params[0].name, "id");
	ck_assert(show->params[0].required && show->params[0].type == PARAM_INT);
	ck_assert_uint_eq(hello->param_count, 0);
	ck_assert(method_allowed(hello, ROLE_NONE));
	ck_assert(!method_allowed(show, ROLE_NONE) && method_allowed(show, ROLE_ADMIN));
	ck_assert(!method_allowed(show, ROLE_AGENT));
	ck_assert(!method_allowed(node, ROLE_ADMIN) && method_allowed(node, ROLE_AGENT));
	ck_assert_str_eq(node->params[node->param_count - 1].name, "token");
	ck_assert_ptr_null(method_find("lease.sho"));
	ck_assert_ptr_null(method_find(""));
	ck_assert_str_eq(role_name(ROLE_OPERATOR), "operator");
}
END_TEST

START_TEST(openrpc)
{
	struct json_object *document = method_openrpc();
	struct json_object *list = json_object_object_get(document, "methods");
	_cleanup_free_ char *line = NULL;
	struct json_object *copy;
	size_t len;

	ck_assert_uint_eq(json_object_array_length(list), METHOD_COUNT);
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method *method = method_at((enum method_id)i);
		struct json_object *row = json_object_array_get_idx(list, i);

		ck_assert_str_eq(json_object_get_string(json_object_object_get(row, "name")), method->name);
		ck_assert_uint_eq(json_object_array_length(json_object_object_get(row, "params")),
				  method->param_count + (method->mutating ? 1 : 0));
	}
	line = wire_format(document, &len);
	copy = wire_parse(line, len - 1, NULL);
	ck_assert_ptr_nonnull(copy);
	json_object_put(copy);
	json_object_put(document);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("method");
	TCase *tcase = tcase_create("method");

	tcase_add_loop_test(tcase, right, 0, METHOD_COUNT);
	tcase_add_loop_test(tcase, missing, 0, METHOD_COUNT);
	tcase_add_loop_test(tcase, wrong_type, 0, METHOD_COUNT);
	tcase_add_loop_test(tcase, range, 0, METHOD_COUNT);
	tcase_add_loop_test(tcase, unknown, 0, METHOD_COUNT);
	tcase_add_loop_test(tcase, request_id, 0, METHOD_COUNT);
	tcase_add_loop_test(tcase, rights, 0, METHOD_COUNT);
	tcase_add_test(tcase, by_hand);
	tcase_add_test(tcase, openrpc);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
