/* The API's methods as a table: method.tbl drives dispatch, parameter checks, rights, help and OpenRPC. */
#ifndef TENURE_METHOD_H
#define TENURE_METHOD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define METHOD_API_VERSION 1 /* see the history in method.tbl */
#define METHOD_REQUEST_ID_MAX 64

enum role { ROLE_NONE, ROLE_USER, ROLE_OPERATOR, ROLE_ADMIN, ROLE_AGENT };

enum param_type {
	PARAM_STRING, /* max = greatest length in bytes; no control characters */
	PARAM_NAME,   /* name_valid() */
	PARAM_INT,    /* integer in [min, max]; 1.0 and "1" are refused */
	PARAM_BOOL,
	PARAM_TIME,   /* integer microseconds since the epoch, > 0 and below WALL_NEVER */
	PARAM_OBJECT, /* checked by the handler */
	PARAM_ARRAY,  /* checked by the handler; max = greatest length */
};

struct method_param {
	const char *name;
	enum param_type type;
	bool required;
	int64_t min, max;
	const char *help;
};

/* Enumerated from method.tbl: METHOD_LEASE_REQUEST and so on. */
enum method_id {
#define METHOD(id, name, role, mutating, help) METHOD_##id,
#define PARAM(name, type, required, min, max, help)
#include "method.tbl"
#undef METHOD
#undef PARAM
	METHOD_COUNT
};

struct method {
	enum method_id id;
	const char *name;
	enum role role; /* the least that may call it: USER < OPERATOR < ADMIN; AGENT: agents only */
	bool mutating;  /* takes request_id and is idempotent by it */
	const char *help;
	const struct method_param *params;
	size_t param_count;
};

const struct method *method_find(const char *name); /* NULL if there is none */
const struct method *method_at(enum method_id id);
/*
 * Checks params against the method's rows: unknown, missing, wrong type, out of range. err names the parameter and the
 * range. Every mutating method also takes "request_id": a string of 1 to 64 printable characters.
 */
int method_check(const struct method *method, struct json_object *params, struct err *err);
bool method_allowed(const struct method *method, enum role role);
const char *role_name(enum role role); /* "none" "user" "operator" "admin" "agent" */
/* The OpenRPC document of the whole table; the caller owns it. */
struct json_object *method_openrpc(void);

#endif
