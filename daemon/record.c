/* Inputs of the planner as JSON. Tables and SQL are store_record.c's. */
#include "record.h"

#include <string.h>

#include "jsonx.h"
#include "store_record.h"
#include "util.h"
#include "wire.h"

enum field_type { FIELD_I64, FIELD_U32, FIELD_BOOL };

struct field {
	const char *name;
	enum field_type type;
	size_t offset; /* in struct event */
};

#define I64(name, member)                                       \
	{                                                       \
		name, FIELD_I64, offsetof(struct event, member) \
	}
#define U32(name, member)                                       \
	{                                                       \
		name, FIELD_U32, offsetof(struct event, member) \
	}
#define BOOL(name, member)                                       \
	{                                                        \
		name, FIELD_BOOL, offsetof(struct event, member) \
	}
#define CAPACITY(member)                                                                        \
	I64("cpu", member.amount[RES_CPU]), I64("memory", member.amount[RES_MEMORY]),           \
		I64("disk", member.amount[RES_DISK]), I64("net_in", member.amount[RES_NET_IN]), \
		I64("net_out", member.amount[RES_NET_OUT])

static const struct field requested_fields[] = {
	I64("id", requested.id),
	U32("kind", requested.spec.kind),
	BOOL("serial", requested.spec.serial),
	U32("vms", requested.spec.vms),
	CAPACITY(requested.spec.per_vm),
	I64("image", requested.spec.image),
	I64("start_us", requested.spec.start_us),
	I64("latest_us", requested.spec.latest_us),
	I64("deadline_us", requested.spec.deadline_us),
	I64("response_us", requested.spec.response_us),
	I64("duration_us", requested.spec.duration_us),
	U32("user", requested.spec.user),
	I64("price_max", requested.spec.price_max),
	I64("slice_us", requested.spec.slice_us),
	I64("period_us", requested.spec.period_us),
};
static const struct field cancelled_fields[] = {I64("id", cancelled)};
static const struct field resized_fields[] = {I64("id", resized.id), I64("duration_us", resized.duration_us)};
static const struct field called_fields[] = {I64("id", called)};
static const struct field tuned_fields[] = {
	I64("id", tuned.id),
	I64("slice_us", tuned.slice_us),
	I64("period_us", tuned.period_us),
};
static const struct field node_fields[] = {
	U32("id", node.id),
	U32("state", node.state),
	CAPACITY(node.capacity),
	I64("pool", node.pool_bytes),
	I64("suspend_rate", node.suspend_rate),
	I64("resume_rate", node.resume_rate),
	U32("edf_cpus", node.edf.cpus),
	U32("edf_limit_ppm", node.edf.limit_ppm),
	I64("edf_wake_ns", node.edf.wake_ns),
	I64("edf_period_us", node.edf.period_min_us),
};
static const struct field image_fields[] = {I64("id", image.id), I64("size", image.size)};
static const struct field removed_fields[] = {I64("id", image_removed)};
static const struct field pool_fields[] = {U32("node", pool.node), I64("image", pool.image)};
static const struct field vm_fields[] = {
	I64("lease", vm.lease), U32("vm", vm.vm),     U32("generation", vm.generation),
	U32("node", vm.node),   U32("seen", vm.seen), I64("at_us", vm.at_us),
};

#define FIELDS(fields) fields, ARRAY_SIZE(fields)
static const struct {
	const char *name;
	const struct field *fields;
	size_t count;
} kinds[EVENT_KIND_COUNT] = {
	[EVENT_TICK] = {"tick", NULL, 0},
	[EVENT_LEASE_REQUESTED] = {"requested", FIELDS(requested_fields)},
	[EVENT_LEASE_CANCELLED] = {"cancelled", FIELDS(cancelled_fields)},
	[EVENT_LEASE_RESIZED] = {"resized", FIELDS(resized_fields)},
	[EVENT_LEASE_CALLED] = {"called", FIELDS(called_fields)},
	[EVENT_LEASE_TUNED] = {"tuned", FIELDS(tuned_fields)},
	[EVENT_NODE] = {"node", FIELDS(node_fields)},
	[EVENT_IMAGE_ADDED] = {"image_added", FIELDS(image_fields)},
	[EVENT_IMAGE_REMOVED] = {"image_removed", FIELDS(removed_fields)},
	[EVENT_IMAGE_PRESENT] = {"image_present", FIELDS(pool_fields)},
	[EVENT_IMAGE_ABSENT] = {"image_absent", FIELDS(pool_fields)},
	[EVENT_TRANSFER_FAILED] = {"transfer_failed", FIELDS(pool_fields)},
	[EVENT_VM_SEEN] = {"vm", FIELDS(vm_fields)},
};

#define REBUILT "rebuilt"

int record_add(struct store *store, const struct record_input *input, struct err *err)
{
	_cleanup_(jsonx_cleanup) struct json_object *data = json_object_new_object();
	const struct event *event = &input->event;

	jsonx_add_string(data, "event", input->rebuilt ? REBUILT : kinds[event->kind].name);
	if (input->rebuilt) {
		jsonx_add_int(data, "last_slot", (int64_t)input->last_slot);
		jsonx_add_int(data, "last_transfer", (int64_t)input->last_transfer);
	}
	for (size_t i = 0; !input->rebuilt && i < kinds[event->kind].count; i++) {
		const struct field *field = &kinds[event->kind].fields[i];
		const void *at = (const char *)event + field->offset;

		switch (field->type) {
		case FIELD_I64:
			jsonx_add_int(data, field->name, *(const int64_t *)at);
			break;
		case FIELD_U32:
			jsonx_add_int(data, field->name, *(const uint32_t *)at);
			break;
		case FIELD_BOOL:
			jsonx_add_bool(data, field->name, *(const bool *)at);
			break;
		}
	}
	return store_record_add(store, input->at_us, json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN), err);
}

static int read_field(const struct jsonx *at, const struct field *field, struct event *event, struct err *err)
{
	void *to = (char *)event + field->offset;

	switch (field->type) {
	case FIELD_I64:
		/* The planner adds up a few of them. */
		return jsonx_i64(at, field->name, -WALL_NEVER, WALL_NEVER, to, err);
	case FIELD_U32:
		return jsonx_u32(at, field->name, 0, UINT32_MAX, to, err);
	case FIELD_BOOL:
		return jsonx_bool(at, field->name, to, err);
	}
	return -1;
}

static int read_event(const struct jsonx *at, const char *name, struct event *event, struct err *err)
{
	size_t kind = 0;

	while (kind < EVENT_KIND_COUNT && strcmp(kinds[kind].name, name) != 0) {
		kind++;
	}
	if (kind == EVENT_KIND_COUNT) {
		return err_set(err, ERR_STORE, "no event is called \"%s\"", name);
	}
	event->kind = (enum event_kind)kind;
	for (size_t i = 0; i < kinds[kind].count; i++) {
		if (read_field(at, &kinds[kind].fields[i], event, err) < 0) {
			return -1;
		}
	}
	/* The planner takes these for granted. */
	if ((event->kind == EVENT_NODE && event->node.state >= NODE_STATE_COUNT) ||
	    (event->kind == EVENT_VM_SEEN && event->vm.seen >= SEEN_COUNT)) {
		return err_set(err, ERR_STORE, "a state out of range");
	}
	return 0;
}

struct each {
	int (*fn)(const struct record_input *input, void *arg, struct err *err);
	void *arg;
};

static int each_row(wall_us at_us, const char *data, void *arg, struct err *err)
{
	const struct each *each = arg;
	struct record_input input = {.at_us = at_us};
	struct jsonx at;
	const char *name;
	_cleanup_(jsonx_cleanup) struct json_object *value = wire_parse(data, strlen(data), err);

	if (at_us < 0 || at_us > WALL_NEVER) {
		return err_set(err, ERR_STORE, "a time out of range");
	}
	if (!value || jsonx_root(value, "", &at, err) < 0 || jsonx_string(&at, "event", 1, 32, &name, err) < 0) {
		return -1;
	}
	input.rebuilt = strcmp(name, REBUILT) == 0;
	if (input.rebuilt ? jsonx_u64(&at, "last_slot", 0, INT64_MAX, &input.last_slot, err) < 0 ||
				    jsonx_u64(&at, "last_transfer", 0, INT64_MAX, &input.last_transfer, err) < 0
			  : read_event(&at, name, &input.event, err) < 0) {
		return -1;
	}
	return each->fn(&input, each->arg, err);
}

int record_each(struct store *store, int (*fn)(const struct record_input *input, void *arg, struct err *err), void *arg,
		struct err *err)
{
	struct each each = {fn, arg};

	return store_record_each(store, each_row, &each, err);
}
