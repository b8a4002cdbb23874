/*
 * Messages of the API: text to JSON and back, and JSON-RPC 2.0's envelope taken apart and put together. Knows no
 * method and no socket.
 */
#include "wire.h"

#include <math.h>
#include <string.h>

#include "jsonscan.h"
#include "util.h"

#define ID_MAX 64 /* bytes of a string id; it is kept and echoed */

static void cleanup_tokener(struct json_tokener **tokener)
{
	if (*tokener) {
		json_tokener_free(*tokener);
	}
}

static void cleanup_json(struct json_object **value)
{
	json_object_put(*value);
}

/* Counts the members of all objects in the value; false if a number is not finite. */
static bool count_members(struct json_object *value, size_t *members)
{
	switch (json_object_get_type(value)) {
	case json_type_double:
		return isfinite(json_object_get_double(value));
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			if (!count_members(json_object_array_get_idx(value, i), members)) {
				return false;
			}
		}
		return true;
	case json_type_object: {
		struct lh_entry *entry;

		lh_foreach(json_object_get_object(value), entry)
		{
			*members += 1;
			if (!count_members((struct json_object *)lh_entry_v(entry), members)) {
				return false;
			}
		}
		return true;
	}
	case json_type_null:
	case json_type_boolean:
	case json_type_int:
	case json_type_string:
		break;
	}
	return true;
}

struct json_object *wire_parse(const char *line, size_t len, struct err *err)
{
	_cleanup_(cleanup_tokener) struct json_tokener *tokener = NULL;
	_cleanup_(cleanup_json) struct json_object *value = NULL;
	size_t written = 0;
	size_t kept = 0;

	if (len > WIRE_LINE_MAX) {
		err_set(err, ERR_LIMIT, "message of %zu bytes, at most %u are taken", len, WIRE_LINE_MAX);
		return NULL;
	}
	if (jsonscan_check(line, len, WIRE_DEPTH_MAX, &written, err)) {
		return NULL;
	}
	/* json-c counts the scalars inside the deepest array as a level too. */
	tokener = json_tokener_new_ex(WIRE_DEPTH_MAX + 2);
	if (!tokener) {
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	value = json_tokener_parse_ex(tokener, line, (int)len);
	/* A lone number could go on: json-c waits for what follows until it is given a NUL. */
	if (json_tokener_get_error(tokener) == json_tokener_continue) {
		value = json_tokener_parse_ex(tokener, "", 1);
	}
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		err_set(err, ERR_PARSE, "not JSON: %s", json_tokener_error_desc(json_tokener_get_error(tokener)));
		return NULL;
	}
	if (!count_members(value, &kept)) {
		err_set(err, ERR_PARSE, "not JSON: number out of range");
		return NULL;
	}
	/* json-c keeps the last of several equal keys, so that fewer are kept than were written. */
	if (kept != written) {
		err_set(err, ERR_PARSE, "a key occurs twice in one object");
		return NULL;
	}
	if (!value) {
		err_set(err, ERR_REQUEST, "null is not a message");
		return NULL;
	}
	return steal(&value);
}

char *wire_format(struct json_object *value, size_t *len)
{
	size_t n;
	const char *text =
		json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	char *line = xcalloc(n + 2, 1);
	size_t step;

	/* Texts of ours are cut at a byte, and file names need not be UTF-8: the peer would refuse the whole line. */
	for (size_t i = 0; i < n; i += step) {
		step = jsonscan_utf8(text + i, n - i);
		if (step) {
			memcpy(line + i, text + i, step);
		} else {
			line[i] = '?';
			step = 1;
		}
	}
	line[n] = '\n';
	*len = n + 1;
	return line;
}

static bool id_valid(struct json_object *id)
{
	return json_object_is_type(id, json_type_int) ||
	       (json_object_is_type(id, json_type_string) && json_object_get_string_len(id) <= ID_MAX);
}

/* Only these members: a misspelt "params" must not pass as a request without parameters. */
static int only_members(struct json_object *value, const char *const *allowed, struct err *err)
{
	json_object_object_foreach (value, key, member) {
		const char *const *name = allowed;

		(void)member;
		while (*name && strcmp(*name, key) != 0) {
			name++;
		}
		if (!*name) {
			return err_set(err, ERR_REQUEST, "unknown member \"%.64s\" in the message", key);
		}
	}
	return 0;
}

static int open_request(struct json_object *value, struct wire_message *message, struct err *err)
{
	static const char *const allowed[] = {"jsonrpc", "method", "params", "id", NULL};
	struct json_object *method = json_object_object_get(value, "method");
	struct json_object *params = NULL;

	if (only_members(value, allowed, err)) {
		return -1;
	}
	if (!json_object_is_type(method, json_type_string) || json_object_get_string_len(method) == 0) {
		return err_set(err, ERR_REQUEST, "method must be a string");
	}
	if (json_object_object_get_ex(value, "params", &params) && !json_object_is_type(params, json_type_object)) {
		return err_set(err, ERR_PARAMS, "params must be an object, parameters go by name");
	}
	message->kind = message->id ? WIRE_REQUEST : WIRE_NOTIFICATION;
	message->method = json_object_get_string(method);
	message->params = params;
	return 0;
}

static int open_error(struct json_object *error, struct wire_message *message, struct err *err)
{
	struct json_object *code = json_object_object_get(error, "code");
	struct json_object *text = json_object_object_get(error, "message");

	if (!json_object_is_type(error, json_type_object) || !json_object_is_type(code, json_type_int) ||
	    !json_object_is_type(text, json_type_string)) {
		return err_set(err, ERR_REQUEST, "error must be an object with an integer code and a string message");
	}
	if (json_object_get_int64(code) < INT32_MIN || json_object_get_int64(code) > INT32_MAX) {
		return err_set(err, ERR_REQUEST, "error.code is out of range");
	}
	message->kind = WIRE_ERROR;
	message->error_code = json_object_get_int(code);
	message->error_text = json_object_get_string(text);
	message->error_data = json_object_object_get(error, "data");
	return 0;
}

int wire_open(struct json_object *value, struct wire_message *message, struct err *err)
{
	struct wire_message m = {0};
	struct json_object *version;
	struct json_object *result = NULL;
	struct json_object *error = NULL;
	struct json_object *id = NULL;
	bool has_id, has_result, has_error;
	int rc;

	*message = m;
	if (!json_object_is_type(value, json_type_object)) {
		return err_set(err, ERR_REQUEST, "a message must be one JSON object, batches are not taken");
	}
	has_id = json_object_object_get_ex(value, "id", &id);
	m.id = id_valid(id) ? id : NULL;
	message->id = m.id;
	version = json_object_object_get(value, "jsonrpc");
	if (!json_object_is_type(version, json_type_string) || strcmp(json_object_get_string(version), "2.0") != 0) {
		return err_set(err, ERR_REQUEST, "jsonrpc must be \"2.0\"");
	}
	has_result = json_object_object_get_ex(value, "result", &result);
	has_error = json_object_object_get_ex(value, "error", &error);
	/* An error may have the id null: its sender could not read the request's. */
	if (has_id && !m.id && !(has_error && !id)) {
		return err_set(err, ERR_REQUEST, "id must be an integer or a string of at most %d bytes", ID_MAX);
	}
	if (!has_result && !has_error) {
		rc = open_request(value, &m, err);
	} else if (json_object_object_get_ex(value, "method", NULL) || has_result == has_error || !has_id) {
		return err_set(err, ERR_REQUEST, "an answer has an id and either result or error");
	} else if (has_error) {
		rc = open_error(error, &m, err);
	} else {
		m.kind = WIRE_RESULT;
		m.result = result;
		rc = 0;
	}
	if (rc == 0) {
		*message = m;
	}
	return rc;
}

static struct json_object *envelope(void)
{
	struct json_object *value = json_object_new_object();

	json_object_object_add(value, "jsonrpc", json_object_new_string("2.0"));
	return value;
}

struct json_object *wire_request(int64_t id, const char *method, struct json_object *params)
{
	struct json_object *value = wire_notification(method, params);

	json_object_object_add(value, "id", json_object_new_int64(id));
	return value;
}

struct json_object *wire_notification(const char *method, struct json_object *params)
{
	struct json_object *value = envelope();

	json_object_object_add(value, "method", json_object_new_string(method));
	if (params) {
		json_object_object_add(value, "params", params);
	}
	return value;
}

struct json_object *wire_result(struct json_object *id, struct json_object *result)
{
	struct json_object *value = envelope();

	json_object_object_add(value, "id", json_object_get(id));
	json_object_object_add(value, "result", result);
	return value;
}

struct json_object *wire_error(struct json_object *id, int code, const char *text, struct json_object *data)
{
	struct json_object *value = envelope();
	struct json_object *error = json_object_new_object();

	json_object_object_add(error, "code", json_object_new_int(code));
	json_object_object_add(error, "message", json_object_new_string(text));
	if (data) {
		json_object_object_add(error, "data", data);
	}
	json_object_object_add(value, "id", json_object_get(id));
	json_object_object_add(value, "error", error);
	return value;
}
