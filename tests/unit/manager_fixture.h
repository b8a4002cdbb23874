/*
 * For tests of the manager with the real planner and a real database, in virtual time: asking it, nodes that do as they
 * are told, and a head that can be stopped and started. Header only, as daemon_fixture.h.
 */
#ifndef TENURE_MANAGER_FIXTURE_H
#define TENURE_MANAGER_FIXTURE_H

#include "daemon_fixture.h"

#include <event2/event.h>

#include "clock.h"
#include "log.h"
#include "manager.h"
#include "part.h"

#define SECOND USEC_PER_SEC
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Takes the place of lib/clock.c in this program. */
static wall_us now_us;

wall_us clock_wall(void)
{
	return now_us;
}

mono_us clock_mono(void)
{
	return now_us;
}

static char *dir;
static struct event_base *base;
static struct store *store;
static struct manager *manager;
static struct head_settings settings;
static struct err bad; /* of OK() */

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, bad.text)

/* ---- asking ---- */

struct reply {
	int count;
	struct json_object *result, *data;
	struct err err;
};

static inline void on_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct reply *reply = arg;

	ck_assert((result == NULL) != (err == NULL));
	reply->count++;
	reply->result = json_object_get(result);
	reply->data = json_object_get(data);
	if (err) {
		reply->err = *err;
	}
}

static inline void clear(struct reply *reply)
{
	json_object_put(reply->result);
	json_object_put(reply->data);
	memset(reply, 0, sizeof(*reply));
}

static inline void pass(void)
{
	event_base_loop(base, EVLOOP_ONCE);
}

static inline void wait_for(const struct reply *reply)
{
	for (int i = 0; i < 10 && !reply->count; i++) {
		pass();
	}
	ck_assert_int_eq(reply->count, 1);
}

static inline struct command request(enum lease_kind kind, uint32_t vms, wall_us start, span_us duration)
{
	return (struct command){
		.kind = COMMAND_LEASE_REQUEST,
		.owner = "ann",
		.method = "lease.request",
		.name = "",
		.image = "ticker",
		.spec = {.kind = kind,
			 .vms = vms,
			 .per_vm = {.amount = {[RES_CPU] = 1000, [RES_MEMORY] = GIB, [RES_DISK] = GIB}},
			 .start_us = start,
			 .duration_us = duration},
	};
}

static inline struct command ar(uint32_t vms, span_us ahead)
{
	return request(LEASE_AR, vms, now_us + ahead, 60 * SECOND);
}

static inline struct command named(struct command command, const char *request_id, const char *digest)
{
	command.request_id = request_id;
	command.params_digest = digest;
	return command;
}

static inline void ask(struct command command, struct reply *reply)
{
	manager_submit(manager, &command, on_done, reply);
}

static inline struct reply answer(struct command command)
{
	struct reply reply = {0};

	ask(command, &reply);
	wait_for(&reply);
	return reply;
}

static inline uint64_t id_of(const struct reply *reply)
{
	struct json_object *from = reply->result ? reply->result : reply->data;

	return json_object_get_uint64(json_object_object_get(from, "id"));
}

static inline const char *text_in(struct json_object *object, const char *key)
{
	const char *value = json_object_get_string(json_object_object_get(object, key));

	return value ? value : "";
}

/* Asks, and expects to be accepted. Returns the id. */
static inline uint64_t accepted(struct command command)
{
	struct reply reply = answer(command);
	uint64_t id = id_of(&reply);

	ck_assert_msg(reply.err.code == 0, "%s", reply.err.text);
	ck_assert_uint_gt(id, 0);
	clear(&reply);
	return id;
}

static inline void refused(struct command command, enum err_code code)
{
	struct reply reply = answer(command);

	ck_assert_msg(reply.err.code == code, "%d: %s", reply.err.code, reply.err.text);
	clear(&reply);
}

static inline struct command cancel(uint64_t id, const char *owner, bool is_operator)
{
	return (struct command){
		.kind = COMMAND_LEASE_CANCEL,
		.owner = owner,
		.is_operator = is_operator,
		.method = "lease.cancel",
		.lease = id,
	};
}

static inline struct command on_name(enum command_kind kind, const char *name)
{
	return (struct command){.kind = kind, .owner = "ann", .method = "test", .name = name};
}

/* ---- nodes ---- */

static inline uint32_t hello(const char *name)
{
	struct node_hello said = {
		.name = name,
		.version = "0.1.0",
		.hypervisor = "qemu",
		.capacity = {.amount = {4000, 8 * GIB, 100 * GIB, GIB, GIB}},
		.pool_bytes = 20 * GIB,
		.suspend_rate = GIB,
		.resume_rate = GIB,
		.edf = {.backend = "edf", .can = {.cpus = 2, .limit_ppm = 900000, .wake_ns = 0, .period_min_us = 1000}},
	};
	struct reply reply = {0};
	uint32_t id;

	manager_node_hello(manager, &said, on_done, &reply);
	wait_for(&reply);
	ck_assert_msg(reply.result != NULL, "%s", reply.err.text);
	id = (uint32_t)json_object_get_int64(json_object_object_get(reply.result, "node"));
	clear(&reply);
	return id;
}

/* What a faultless agent would report of this VM at this time. */
static inline enum vm_seen expected(const struct part_vm *vm)
{
	if (!vm->planned) {
		return SEEN_SUSPENDED;
	}
	if (now_us >= vm->run.end_us) {
		return vm->run.then == RUN_SUSPEND ? SEEN_SUSPENDED : SEEN_ENDED;
	}
	if (now_us >= vm->run.start_us) {
		return SEEN_RUNNING;
	}
	if (now_us >= vm->run.prepare_us) {
		return SEEN_PREPARED;
	}
	return vm->run.from == RUN_RESUME && !vm->from ? SEEN_SUSPENDED : SEEN_ABSENT;
}

static inline wall_us since(const struct part_vm *vm, enum vm_seen seen)
{
	return seen == SEEN_RUNNING ? vm->run.start_us : seen == SEEN_PREPARED ? vm->run.prepare_us : now_us;
}

/* Reports as that agent would; says of one lease's VMs what say tells, with text. say SEEN_COUNT = nothing special. */
static inline void report_with(uint32_t node, uint64_t lease, enum vm_seen say, enum pool_state pool, const char *text)
{
	struct part *part = manager_part(manager, node);
	struct report_vm *vms = xcalloc(part->vm_count + 1, sizeof(*vms));
	struct report_image *images = xcalloc(part->image_count + 1, sizeof(*images));
	struct report report = {
		.epoch = part->epoch,
		.version = part->version,
		.vms = vms,
		.vm_count = part->vm_count,
		.images = images,
		.image_count = part->image_count,
	};

	for (size_t i = 0; i < part->image_count; i++) {
		images[i] = (struct report_image){.id = part->images[i].id, .state = pool};
		images[i].bytes =
			pool == POOL_STAGING ? part->images[i].file[0].size / 2 : part->images[i].file[0].size;
		snprintf(images[i].text, sizeof(images[i].text), "%s", pool == POOL_BAD ? text : "");
	}
	for (size_t i = 0; i < part->vm_count; i++) {
		const struct part_vm *vm = &part->vms[i];
		bool special = vm->lease == lease && say != SEEN_COUNT;
		enum vm_seen seen = special ? say : expected(vm);

		vms[i] = (struct report_vm){.lease = vm->lease,
					    .vm = vm->vm,
					    .generation = vm->generation,
					    .seen = seen,
					    .at_us = since(vm, seen)};
		snprintf(vms[i].text, sizeof(vms[i].text), "%s", special ? text : "");
	}
	manager_node_report(manager, node, &report);
	pass();
	free(vms);
	free(images);
	part_free(part);
}

static inline void report(uint32_t node)
{
	report_with(node, 0, SEEN_COUNT, POOL_PRESENT, "");
}

/* Lets time pass in steps in which the nodes carry out their parts. */
static inline void live(uint32_t node, span_us span)
{
	for (wall_us end = now_us + span; now_us < end;) {
		now_us += SECOND / 2;
		report(node);
	}
}

static inline int64_t state_is(uint64_t lease, const char *state)
{
	_cleanup_free_ char *sql =
		xasprintf("SELECT count(*) FROM leases WHERE id = %d AND state = '%s'", (int)lease, state);

	return raw_number(dir, sql);
}

/* ---- the head ---- */

static inline void start(void)
{
	store = store_open(dir, &bad);
	ck_assert_msg(store != NULL, "%s", bad.text);
	manager = manager_new(base, store, &settings, &bad);
	ck_assert_msg(manager != NULL, "%s", bad.text);
	pass();
}

static inline void stop(void)
{
	manager_free(manager);
	store_close(store);
}

static inline void setup(void)
{
	struct image image = {.name = "ticker", .format = IMAGE_RAW, .cmdline = "", .files = 1, .size = 10 * MIB};
	struct command add = on_name(COMMAND_IMAGE_ADD, "ticker");

	fault_install();
	fault_clear();
	now_us = INT64_C(1800000000) * SECOND;
	dir = make_dir();
	base = event_base_new();
	OK(settings_load(NULL, &settings, &bad));
	settings.min_run = SECOND;
	start();
	image.file[0] = (struct part_file){.role = "disk", .url = "", .digest = DIGEST, .size = 10 * MIB};
	add.add = &image;
	accepted(add);
}

static inline void teardown(void)
{
	fault_clear();
	stop();
	event_base_free(base);
	settings_free(&settings);
	drop_dir(dir);
}

/* Every node's part as text, without epoch and version: what the plan comes to. */
static inline char *picture(void)
{
	char *all = xstrdup("");

	for (uint32_t node = 1; node <= 3; node++) {
		struct part *part = manager_part(manager, node);
		struct json_object *json;
		char *longer;

		if (!part) {
			continue;
		}
		part->epoch = part->version = 1;
		json = part_to_json(part);
		longer = xasprintf("%s\n%s", all, json_object_to_json_string(json));
		free(all);
		all = longer;
		json_object_put(json);
		part_free(part);
	}
	return all;
}

/* A number in an answer. */
static inline int64_t number(struct json_object *object, const char *key)
{
	return json_object_get_int64(json_object_object_get(object, key));
}

/* A column of the lease's row. */
static inline int64_t row(uint64_t lease, const char *column)
{
	_cleanup_free_ char *sql = xasprintf("SELECT %s FROM leases WHERE id = %d", column, (int)lease);

	return raw_number(dir, sql);
}

/* The head is stopped and started, with nothing changed by that. */
static inline void restart(void)
{
	char *before = picture(), *after;

	stop();
	start();
	after = picture();
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	ck_assert_int_eq(violations(dir), 0);
}

#endif
