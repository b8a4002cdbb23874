/*
 * The API's table made usable: look up a method, check a request's parameters against its rows, describe the whole as
 * OpenRPC. Calls no handler.
 */
#include "method.h"

#include <stdio.h>
#include <string.h>

#include "usec.h"
#include "util.h"

/* clang-format off */
/*
 * Each METHOD row ends the array of the method before it and begins its own, so that the PARAM rows that follow belong
 * to it: params_HELLO[], params_RPC_DISCOVER[], ...
 */
#define METHOD(id, name, role, mutating, help) }; static const struct method_param params_##id[] = {
#define PARAM(name, type, required, min, max, help) {name, type, required, min, max, help},
static const struct method_param params_none[] __attribute__((unused)) = {
#include "method.tbl"
};
#undef METHOD
#undef PARAM

#define METHOD(id, name, role, mutating, help) \
	{METHOD_##id, name, role, mutating, help, params_##id, ARRAY_SIZE(params_##id)},
#define PARAM(name, type, required, min, max, help)
static const struct method methods[METHOD_COUNT] = {
#include "method.tbl"
};
#undef METHOD
#undef PARAM
/* clang-format on */

static const struct method_param request_id = {
	"request_id",
	PARAM_STRING,
	false,
	1,
	METHOD_REQUEST_ID_MAX,
	"chosen by the caller: the same request sent twice with it is carried out once",
};

const struct method *method_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, name) == 0) {
			return &methods[i];
		}
	}
	return NULL;
}

const struct method *method_at(enum method_id id)
{
	return &methods[id];
}

/* The method's parameters by number, request_id last; NULL after the last. */
static const struct method_param *param_at(const struct method *method, size_t i)
{
	if (i < method->param_count) {
		return &method->params[i];
	}
	return i == method->param_count && method->mutating ? &request_id : NULL;
}

static const struct method_param *param_find(const struct method *method, const char *name)
{
	const struct method_param *param;

	for (size_t i = 0; (param = param_at(method, i)); i++) {
		if (strcmp(param->name, name) == 0) {
			return param;
		}
	}
	return NULL;
}

/* No control characters, neither ASCII's nor the C1 set (U+0080-U+009F), which terminals obey too. */
static bool printable(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		unsigned char next = i + 1 < n ? (unsigned char)s[i + 1] : 0;

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next <= 0x9f)) {
			return false;
		}
	}
	return true;
}

static int check_string(const struct method_param *param, struct json_object *value, struct err *err)
{
	const char *text = json_object_get_string(value);
	size_t n = (size_t)json_object_get_string_len(value);

	if (!json_object_is_type(value, json_type_string)) {
		return err_set(err, ERR_PARAMS, "%s must be a string", param->name);
	}
	if (param->type == PARAM_NAME) {
		return strlen(text) == n && name_valid(text)
			       ? 0
			       : err_set(err, ERR_PARAMS,
					 "%s must be 1 to 63 letters, digits, '.', '_' or '-', "
					 "beginning with a letter or digit",
					 param->name);
	}
	if ((int64_t)n < param->min || (int64_t)n > param->max) {
		return err_set(err, ERR_PARAMS, "%s must have %jd to %jd bytes", param->name, (intmax_t)param->min,
			       (intmax_t)param->max);
	}
	return printable(text, n) ? 0 : err_set(err, ERR_PARAMS, "%s must not hold control characters", param->name);
}

static int check_int(const struct method_param *param, struct json_object *value, struct err *err)
{
	bool time = param->type == PARAM_TIME;
	int64_t min = time ? 1 : param->min;
	int64_t max = time ? WALL_NEVER - 1 : param->max;

	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < min ||
	    json_object_get_int64(value) > max) {
		return err_set(err, ERR_PARAMS, "%s must be an integer from %jd to %jd%s", param->name, (intmax_t)min,
			       (intmax_t)max, time ? ", microseconds since 1970" : "");
	}
	return 0;
}

static int check_param(const struct method_param *param, struct json_object *value, struct err *err)
{
	switch (param->type) {
	case PARAM_STRING:
	case PARAM_NAME:
		return check_string(param, value, err);
	case PARAM_INT:
	case PARAM_TIME:
		return check_int(param, value, err);
	case PARAM_BOOL:
		return json_object_is_type(value, json_type_boolean)
			       ? 0
			       : err_set(err, ERR_PARAMS, "%s must be true or false", param->name);
	case PARAM_OBJECT:
		return json_object_is_type(value, json_type_object)
			       ? 0
			       : err_set(err, ERR_PARAMS, "%s must be an object", param->name);
	case PARAM_ARRAY:
		if (!json_object_is_type(value, json_type_array) ||
		    (int64_t)json_object_array_length(value) < param->min ||
		    (int64_t)json_object_array_length(value) > param->max) {
			return err_set(err, ERR_PARAMS, "%s must be an array of %jd to %jd elements", param->name,
				       (intmax_t)param->min, (intmax_t)param->max);
		}
		return 0;
	}
	return err_set(err, ERR_INTERNAL, "%s has no type", param->name);
}

int method_check(const struct method *method, struct json_object *params, struct err *err)
{
	const struct method_param *param;

	json_object_object_foreach (params, key, value) {
		param = param_find(method, key);
		if (!param) {
			return err_set(err, ERR_PARAMS, "%s has no parameter \"%.64s\"", method->name, key);
		}
		if (check_param(param, value, err)) {
			return -1;
		}
	}
	for (size_t i = 0; (param = param_at(method, i)); i++) {
		if (param->required && !json_object_object_get_ex(params, param->name, NULL)) {
			return err_set(err, ERR_PARAMS, "%s is missing: %s", param->name, param->help);
		}
	}
	return 0;
}

bool method_allowed(const struct method *method, enum role role)
{
	switch (method->role) {
	case ROLE_NONE:
		return true;
	case ROLE_AGENT:
		return role == ROLE_AGENT;
	case ROLE_USER:
	case ROLE_OPERATOR:
	case ROLE_ADMIN:
		break;
	}
	return role != ROLE_AGENT && role >= method->role;
}

const char *role_name(enum role role)
{
	static const char *const names[] = {
		[ROLE_NONE] = "none",   [ROLE_USER] = "user",   [ROLE_OPERATOR] = "operator",
		[ROLE_ADMIN] = "admin", [ROLE_AGENT] = "agent",
	};

	return names[role];
}

/* ---- OpenRPC ---- */

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_range(struct json_object *schema, const char *min_key, int64_t min, const char *max_key, int64_t max)
{
	json_object_object_add(schema, min_key, json_object_new_int64(min));
	json_object_object_add(schema, max_key, json_object_new_int64(max));
}

static struct json_object *schema_of(const struct method_param *param)
{
	struct json_object *schema = json_object_new_object();

	switch (param->type) {
	case PARAM_STRING:
		add_text(schema, "type", "string");
		add_range(schema, "minLength", param->min, "maxLength", param->max);
		break;
	case PARAM_NAME:
		add_text(schema, "type", "string");
		add_text(schema, "pattern", "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
		break;
	case PARAM_INT:
		add_text(schema, "type", "integer");
		add_range(schema, "minimum", param->min, "maximum", param->max);
		break;
	case PARAM_TIME:
		add_text(schema, "type", "integer");
		add_range(schema, "minimum", 1, "maximum", WALL_NEVER - 1);
		break;
	case PARAM_BOOL:
		add_text(schema, "type", "boolean");
		break;
	case PARAM_OBJECT:
		add_text(schema, "type", "object");
		break;
	case PARAM_ARRAY:
		add_text(schema, "type", "array");
		add_range(schema, "minItems", param->min, "maxItems", param->max);
		break;
	}
	return schema;
}

static struct json_object *describe_param(const struct method_param *param)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "name", param->name);
	add_text(object, "description", param->help);
	json_object_object_add(object, "required", json_object_new_boolean(param->required));
	json_object_object_add(object, "schema", schema_of(param));
	return object;
}

static struct json_object *describe_method(const struct method *method)
{
	struct json_object *object = json_object_new_object();
	struct json_object *params = json_object_new_array();
	struct json_object *result = json_object_new_object();
	struct json_object *schema = json_object_new_object();
	const struct method_param *param;

	for (size_t i = 0; (param = param_at(method, i)); i++) {
		json_object_array_add(params, describe_param(param));
	}
	add_text(schema, "type", "object");
	add_text(result, "name", "result");
	json_object_object_add(result, "schema", schema);
	add_text(object, "name", method->name);
	add_text(object, "summary", method->help);
	add_text(object, "paramStructure", "by-name");
	json_object_object_add(object, "params", params);
	json_object_object_add(object, "result", result);
	add_text(object, "x-role", role_name(method->role));
	json_object_object_add(object, "x-mutating", json_object_new_boolean(method->mutating));
	return object;
}

struct json_object *method_openrpc(void)
{
	struct json_object *document = json_object_new_object();
	struct json_object *info = json_object_new_object();
	struct json_object *list = json_object_new_array();
	char version[16];

	snprintf(version, sizeof(version), "%d", METHOD_API_VERSION);
	add_text(info, "title", "Tenure");
	add_text(info, "version", version);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		json_object_array_add(list, describe_method(&methods[i]));
	}
	add_text(document, "openrpc", "1.2.6");
	json_object_object_add(document, "info", info);
	json_object_object_add(document, "methods", list);
	return document;
}
