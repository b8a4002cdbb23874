/*
 * Tenure's own traces: one JSON object a line, with the names, units and meanings of the API's lease.request; times
 * count from the trace's origin. Beside those: submit_us, real_us, call_us, user, image_bytes, net_in and net_out.
 * Strict: an unknown, doubled or misplaced field makes the line wrong.
 */
#include <inttypes.h>
#include <string.h>

#include "jsonscan.h"
#include "jsonx.h"
#include "trace_format.h"
#include "util.h"

#define DEPTH 2 /* a flat object; one more, so that a nested value is called what it is */

enum field_type { FIELD_TIME, FIELD_SPAN, FIELD_AMOUNT, FIELD_U32 };

/* Every field that holds an integer. required: must be there; what else a kind needs is trace_check()'s. */
static const struct {
	const char *key;
	enum field_type type;
	size_t offset;
	bool required;
} fields[] = {
	{"submit_us", FIELD_TIME, offsetof(struct trace_request, submit_us), true},
	{"vms", FIELD_U32, offsetof(struct trace_request, vms), true},
	{"cpu", FIELD_AMOUNT, offsetof(struct trace_request, per_vm.amount[RES_CPU]), false},
	{"memory", FIELD_AMOUNT, offsetof(struct trace_request, per_vm.amount[RES_MEMORY]), false},
	{"disk", FIELD_AMOUNT, offsetof(struct trace_request, per_vm.amount[RES_DISK]), false},
	{"net_in", FIELD_AMOUNT, offsetof(struct trace_request, per_vm.amount[RES_NET_IN]), false},
	{"net_out", FIELD_AMOUNT, offsetof(struct trace_request, per_vm.amount[RES_NET_OUT]), false},
	{"start_us", FIELD_TIME, offsetof(struct trace_request, start_us), false},
	{"latest_us", FIELD_TIME, offsetof(struct trace_request, latest_us), false},
	{"deadline_us", FIELD_TIME, offsetof(struct trace_request, deadline_us), false},
	{"response_us", FIELD_SPAN, offsetof(struct trace_request, response_us), false},
	{"call_us", FIELD_TIME, offsetof(struct trace_request, call_us), false},
	{"duration_us", FIELD_SPAN, offsetof(struct trace_request, duration_us), true},
	{"real_us", FIELD_SPAN, offsetof(struct trace_request, real_us), false},
	{"user", FIELD_U32, offsetof(struct trace_request, user), false},
	{"image_bytes", FIELD_AMOUNT, offsetof(struct trace_request, image_bytes), false},
};

static bool known(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strcmp(key, fields[i].key) == 0) {
			return true;
		}
	}
	return strcmp(key, "kind") == 0 || strcmp(key, "serial") == 0 || strcmp(key, "image") == 0;
}

static int check_members(const struct jsonx *at, size_t members, struct err *err)
{
	size_t n = 0;

	json_object_object_foreach (at->object, key, value) {
		(void)value;
		if (!known(key)) {
			return err_set(err, ERR_PARAMS, "the field \"%.40s\" is not known", key);
		}
		n++;
	}
	return n == members ? 0 : err_set(err, ERR_PARAMS, "a field is there twice, or one holds an object");
}

static bool has(const struct jsonx *at, const char *key)
{
	return json_object_object_get_ex(at->object, key, NULL);
}

static int read_integers(const struct jsonx *at, struct trace_request *out, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		char *member = (char *)out + fields[i].offset;
		int bad = 0;

		if (!fields[i].required && !has(at, fields[i].key)) {
			continue;
		}
		switch (fields[i].type) {
		case FIELD_TIME:
			bad = jsonx_i64(at, fields[i].key, 0, TRACE_TIME_MAX, (int64_t *)member, err);
			break;
		case FIELD_SPAN:
			bad = jsonx_i64(at, fields[i].key, 1, TRACE_TIME_MAX, (int64_t *)member, err);
			break;
		case FIELD_AMOUNT:
			bad = jsonx_i64(at, fields[i].key, 0, INT64_C(1) << 50, (int64_t *)member, err);
			break;
		case FIELD_U32:
			bad = jsonx_u32(at, fields[i].key, 0, UINT32_MAX, (uint32_t *)member, err);
			break;
		}
		if (bad) {
			return -1;
		}
	}
	return 0;
}

static int read_object(struct json_object *object, size_t members, struct trace_request *out, struct err *err)
{
	struct jsonx at;
	const char *kind, *image = "";

	if (jsonx_root(object, "", &at, err) || check_members(&at, members, err) ||
	    jsonx_string(&at, "kind", 1, 16, &kind, err)) {
		return -1;
	}
	if (lease_kind_parse(kind, &out->kind)) {
		return jsonx_refuse(&at, "kind", err, "\"%s\" is not known", kind);
	}
	if (read_integers(&at, out, err) || (has(&at, "serial") && jsonx_bool(&at, "serial", &out->serial, err)) ||
	    (has(&at, "image") && jsonx_string(&at, "image", 0, TRACE_NAME - 1, &image, err))) {
		return -1;
	}
	if (!has(&at, "real_us")) {
		out->real_us = out->duration_us;
	}
	return trace_image(image, strlen(image), out->image, err);
}

enum trace_verdict trace_json_line(char *text, struct trace_request *out, struct err *err)
{
	_cleanup_(jsonx_cleanup) struct json_object *object = NULL;
	size_t members;

	if (jsonscan_check(text, strlen(text), DEPTH, &members, err)) {
		return TRACE_WRONG;
	}
	object = json_tokener_parse(text);
	return read_object(object, members, out, err) ? TRACE_WRONG : TRACE_REQUEST;
}

/* Times are written unless unknown, the others unless 0: what is left out is read as that. */
static void write_integers(const struct trace_request *request, FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *member = (const char *)request + fields[i].offset;
		int64_t value = fields[i].type == FIELD_U32 ? *(const uint32_t *)member : *(const int64_t *)member;
		int64_t absent = fields[i].type == FIELD_TIME ? -1 : 0;

		if (value != absent) {
			fprintf(out, ",\"%s\":%" PRId64, fields[i].key, value);
		}
	}
}

void trace_write(const struct trace *trace, FILE *out)
{
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_request *request = &trace->item[i];

		fprintf(out, "{\"kind\":\"%s\"", lease_kind_name(request->kind));
		write_integers(request, out);
		if (request->serial) {
			fputs(",\"serial\":true", out);
		}
		if (request->image[0]) {
			/* trace_image() let nothing in that would have to be escaped, but for this one. */
			fputs(",\"image\":\"", out);
			for (const char *c = request->image; *c; c++) {
				fprintf(out, *c == '\\' ? "\\%c" : "%c", *c);
			}
			fputc('"', out);
		}
		fputs("}\n", out);
	}
}
