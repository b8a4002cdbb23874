/*
 * Typed reading of JSON objects that came from outside, with errors that say where: "vms[3].lease must be an integer
 * from 1 to 4096". All errors are ERR_PARAMS; outputs are untouched on failure.
 */
#ifndef TENURE_JSONX_H
#define TENURE_JSONX_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "usec.h"

#define JSONX_PATH 96

/* An object being read and where it is in the message: "" or "vms[3]". A plain value; object is borrowed. */
struct jsonx {
	struct json_object *object;
	char path[JSONX_PATH];
};

/* path names the object in errors, "" for the message itself. */
int jsonx_root(struct json_object *value, const char *path, struct jsonx *out, struct err *err);

/* Each reads the member key, which must be there. */
int jsonx_i64(const struct jsonx *at, const char *key, int64_t min, int64_t max, int64_t *out, struct err *err);
int jsonx_u64(const struct jsonx *at, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *err);
int jsonx_u32(const struct jsonx *at, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct err *err);
int jsonx_bool(const struct jsonx *at, const char *key, bool *out, struct err *err);
/* A string of min to max bytes without NUL; borrowed from the object. */
int jsonx_string(const struct jsonx *at, const char *key, size_t min, size_t max, const char **out, struct err *err);
/* The same, copied into out of size bytes; may be empty. */
int jsonx_text(const struct jsonx *at, const char *key, char *out, size_t size, struct err *err);
int jsonx_object(const struct jsonx *at, const char *key, struct jsonx *out, struct err *err);
/* An array of at most max elements. */
int jsonx_array(const struct jsonx *at, const char *key, size_t max, struct json_object **out, struct err *err);
/* Element i of the array key, which must be an object. */
int jsonx_item(const struct jsonx *at, const char *key, size_t i, struct jsonx *out, struct err *err);

/* "PATH.key " and what is wrong with it. Returns -1. */
int jsonx_refuse(const struct jsonx *at, const char *key, struct err *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Writing: adds a member. */
void jsonx_add_int(struct json_object *object, const char *key, int64_t value);
void jsonx_add_bool(struct json_object *object, const char *key, bool value);
void jsonx_add_string(struct json_object *object, const char *key, const char *value);
/* A time as the API writes it: NAME_us, microseconds, and beside it NAME, ISO 8601. name: at most 60 bytes. */
void jsonx_add_time(struct json_object *object, const char *name, wall_us t);

/* For _cleanup_(jsonx_cleanup). */
static inline void jsonx_cleanup(struct json_object **value)
{
	json_object_put(*value);
}

#endif
