/* Framing and parsing of the API: one JSON-RPC 2.0 object per line. No sockets. */
#ifndef TENURE_WIRE_H
#define TENURE_WIRE_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define WIRE_LINE_MAX (4u << 20) /* a node's part of the plan: 4096 runs of about 1 kB */
#define WIRE_DEPTH_MAX 16        /* the deepest message of ours is 7 */

/*
 * One line (without its newline) into a JSON value owned by the caller. Stricter than json-c 0.16: refuses duplicate
 * keys, single quotes, NaN and Infinity, numbers outside int64 or double, embedded NUL, invalid UTF-8, trailing text,
 * and a bare null. ERR_PARSE, or ERR_LIMIT for length and depth. NULL on failure.
 */
struct json_object *wire_parse(const char *line, size_t len, struct err *err);
/* One line with its newline, caller frees; the value is not consumed. Bytes that are not UTF-8 become '?'. */
char *wire_format(struct json_object *value, size_t *len);

enum wire_kind { WIRE_REQUEST, WIRE_NOTIFICATION, WIRE_RESULT, WIRE_ERROR };

/* A message taken apart; the pointers are the message's. */
struct wire_message {
	enum wire_kind kind;
	struct json_object *id; /* string or integer; NULL in a notification, and in an error that answers nothing */
	const char *method;
	struct json_object *params; /* an object, or NULL */
	struct json_object *result;
	int error_code;
	const char *error_text;
	struct json_object *error_data;
};
/* On failure only message->id is set, if there is a usable one: the refusal is addressed to it. */
int wire_open(struct json_object *value, struct wire_message *message, struct err *err);

/* Builders; each consumes params, result, data; id is borrowed. The caller owns what is returned. */
struct json_object *wire_request(int64_t id, const char *method, struct json_object *params);
struct json_object *wire_notification(const char *method, struct json_object *params);
/* id NULL: null, for a request whose id could not be read. */
struct json_object *wire_result(struct json_object *id, struct json_object *result);
struct json_object *wire_error(struct json_object *id, int code, const char *text, struct json_object *data);

#endif
