/* Typed reading of JSON objects with errors that name the place, and short ways to write them. Knows no message. */
#include "jsonx.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "when.h"

int jsonx_refuse(const struct jsonx *at, const char *key, struct err *err, const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	return err_set(err, ERR_PARAMS, "%s%s%s %s", at->path, at->path[0] && key[0] ? "." : "", key, what);
}

int jsonx_root(struct json_object *value, const char *path, struct jsonx *out, struct err *err)
{
	struct jsonx inner = {0};

	if (!json_object_is_type(value, json_type_object)) {
		return err_set(err, ERR_PARAMS, "%s must be an object", path[0] ? path : "the message");
	}
	inner.object = value;
	snprintf(inner.path, sizeof(inner.path), "%s", path);
	*out = inner;
	return 0;
}

/* The place of what is called name inside at. Only our own words make up a path, so it cannot grow too long. */
static void descend(const struct jsonx *at, const char *name, struct json_object *value, struct jsonx *out)
{
	struct jsonx inner = {.object = value};
	int n = snprintf(inner.path, sizeof(inner.path), "%s%s%s", at->path, at->path[0] ? "." : "", name);

	assert((size_t)n < sizeof(inner.path));
	*out = inner;
}

static int member(const struct jsonx *at, const char *key, struct json_object **out, struct err *err)
{
	return json_object_object_get_ex(at->object, key, out) ? 0 : jsonx_refuse(at, key, err, "is missing");
}

int jsonx_i64(const struct jsonx *at, const char *key, int64_t min, int64_t max, int64_t *out, struct err *err)
{
	struct json_object *value;

	if (member(at, key, &value, err)) {
		return -1;
	}
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < min ||
	    json_object_get_int64(value) > max) {
		return jsonx_refuse(at, key, err, "must be an integer from %jd to %jd", (intmax_t)min, (intmax_t)max);
	}
	*out = json_object_get_int64(value);
	return 0;
}

int jsonx_u64(const struct jsonx *at, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *err)
{
	/* Integers on the wire are signed: half the range is enough for every counter of ours. */
	int64_t top = max > INT64_MAX ? INT64_MAX : (int64_t)max;
	int64_t value;

	if (jsonx_i64(at, key, (int64_t)min, top, &value, err)) {
		return -1;
	}
	*out = (uint64_t)value;
	return 0;
}

int jsonx_u32(const struct jsonx *at, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct err *err)
{
	int64_t value;

	if (jsonx_i64(at, key, min, max, &value, err)) {
		return -1;
	}
	*out = (uint32_t)value;
	return 0;
}

int jsonx_bool(const struct jsonx *at, const char *key, bool *out, struct err *err)
{
	struct json_object *value;

	if (member(at, key, &value, err)) {
		return -1;
	}
	if (!json_object_is_type(value, json_type_boolean)) {
		return jsonx_refuse(at, key, err, "must be true or false");
	}
	*out = json_object_get_boolean(value);
	return 0;
}

int jsonx_string(const struct jsonx *at, const char *key, size_t min, size_t max, const char **out, struct err *err)
{
	struct json_object *value;
	size_t n;

	if (member(at, key, &value, err)) {
		return -1;
	}
	n = (size_t)json_object_get_string_len(value);
	if (!json_object_is_type(value, json_type_string) || n < min || n > max ||
	    strlen(json_object_get_string(value)) != n) {
		return jsonx_refuse(at, key, err, "must be a string of %zu to %zu bytes", min, max);
	}
	*out = json_object_get_string(value);
	return 0;
}

int jsonx_text(const struct jsonx *at, const char *key, char *out, size_t size, struct err *err)
{
	const char *text;

	if (jsonx_string(at, key, 0, size - 1, &text, err)) {
		return -1;
	}
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

int jsonx_object(const struct jsonx *at, const char *key, struct jsonx *out, struct err *err)
{
	struct json_object *value;

	if (member(at, key, &value, err)) {
		return -1;
	}
	if (!json_object_is_type(value, json_type_object)) {
		return jsonx_refuse(at, key, err, "must be an object");
	}
	descend(at, key, value, out);
	return 0;
}

int jsonx_array(const struct jsonx *at, const char *key, size_t max, struct json_object **out, struct err *err)
{
	struct json_object *value;

	if (member(at, key, &value, err)) {
		return -1;
	}
	if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) > max) {
		return jsonx_refuse(at, key, err, "must be an array of at most %zu elements", max);
	}
	*out = value;
	return 0;
}

int jsonx_item(const struct jsonx *at, const char *key, size_t i, struct jsonx *out, struct err *err)
{
	struct json_object *value = json_object_array_get_idx(json_object_object_get(at->object, key), i);
	char name[JSONX_PATH];

	snprintf(name, sizeof(name), "%s[%zu]", key, i);
	if (!json_object_is_type(value, json_type_object)) {
		return jsonx_refuse(at, name, err, "must be an object");
	}
	descend(at, name, value, out);
	return 0;
}

void jsonx_add_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

void jsonx_add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

void jsonx_add_string(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

void jsonx_add_time(struct json_object *object, const char *name, wall_us t)
{
	char key[64], text[WHEN_TEXT];

	snprintf(key, sizeof(key), "%s_us", name);
	when_iso(t, text);
	jsonx_add_int(object, key, t);
	jsonx_add_string(object, name, text);
}
