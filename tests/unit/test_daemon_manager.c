/*
 * The manager with the real planner and a real database, in virtual time: one transaction per pass, answers after it,
 * idempotency, and nothing half done when the disk fails.
 */
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

/* ---- asking
 * ---------------------------------------------------------------------------------------------------------- */

struct reply {
	int count;
	struct json_object *result, *data;
	struct err err;
};

static void on_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
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

static void clear(struct reply *reply)
{
	json_object_put(reply->result);
	json_object_put(reply->data);
	memset(reply, 0, sizeof(*reply));
}

static void pass(void)
{
	event_base_loop(base, EVLOOP_ONCE);
}

static void wait_for(const struct reply *reply)
{
	for (int i = 0; i < 10 && !reply->count; i++) {
		pass();
	}
	ck_assert_int_eq(reply->count, 1);
}

static struct command request(enum lease_kind kind, uint32_t vms, wall_us start, span_us duration)
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

static struct command ar(uint32_t vms, span_us ahead)
{
	return request(LEASE_AR, vms, now_us + ahead, 60 * SECOND);
}

static struct command named(struct command command, const char *request_id, const char *digest)
{
	command.request_id = request_id;
	command.params_digest = digest;
	return command;
}

static void ask(struct command command, struct reply *reply)
{
	manager_submit(manager, &command, on_done, reply);
}

static struct reply answer(struct command command)
{
	struct reply reply = {0};

	ask(command, &reply);
	wait_for(&reply);
	return reply;
}

static uint64_t id_of(const struct reply *reply)
{
	struct json_object *from = reply->result ? reply->result : reply->data;

	return json_object_get_uint64(json_object_object_get(from, "id"));
}

static const char *text_in(struct json_object *object, const char *key)
{
	const char *value = json_object_get_string(json_object_object_get(object, key));

	return value ? value : "";
}

/* Asks, and expects to be accepted. Returns the id. */
static uint64_t accepted(struct command command)
{
	struct reply reply = answer(command);
	uint64_t id = id_of(&reply);

	ck_assert_msg(reply.err.code == 0, "%s", reply.err.text);
	ck_assert_uint_gt(id, 0);
	clear(&reply);
	return id;
}

static void refused(struct command command, enum err_code code)
{
	struct reply reply = answer(command);

	ck_assert_msg(reply.err.code == code, "%d: %s", reply.err.code, reply.err.text);
	clear(&reply);
}

static struct command cancel(uint64_t id, const char *owner, bool is_operator)
{
	return (struct command){
		.kind = COMMAND_LEASE_CANCEL,
		.owner = owner,
		.is_operator = is_operator,
		.method = "lease.cancel",
		.lease = id,
	};
}

static struct command on_name(enum command_kind kind, const char *name)
{
	return (struct command){.kind = kind, .owner = "ann", .method = "test", .name = name};
}

/* ---- nodes
 * ------------------------------------------------------------------------------------------------------------ */

static uint32_t hello(const char *name)
{
	struct node_hello said = {
		.name = name,
		.version = "0.1.0",
		.hypervisor = "qemu",
		.capacity = {.amount = {4000, 8 * GIB, 100 * GIB, GIB, GIB}},
		.pool_bytes = 20 * GIB,
		.suspend_rate = GIB,
		.resume_rate = GIB,
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
static enum vm_seen expected(const struct part_vm *vm)
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
	return vm->run.from == RUN_RESUME ? SEEN_SUSPENDED : SEEN_ABSENT;
}

static wall_us since(const struct part_vm *vm, enum vm_seen seen)
{
	return seen == SEEN_RUNNING ? vm->run.start_us : seen == SEEN_PREPARED ? vm->run.prepare_us : now_us;
}

/* Reports as that agent would; says of one lease's VMs what say tells, with text. say SEEN_COUNT = nothing special. */
static void report_with(uint32_t node, uint64_t lease, enum vm_seen say, enum pool_state pool, const char *text)
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

static void report(uint32_t node)
{
	report_with(node, 0, SEEN_COUNT, POOL_PRESENT, "");
}

/* Lets time pass in steps in which the nodes carry out their parts. */
static void live(uint32_t node, span_us span)
{
	for (wall_us end = now_us + span; now_us < end;) {
		now_us += SECOND / 2;
		report(node);
	}
}

static int64_t state_is(uint64_t lease, const char *state)
{
	_cleanup_free_ char *sql =
		xasprintf("SELECT count(*) FROM leases WHERE id = %d AND state = '%s'", (int)lease, state);

	return raw_number(dir, sql);
}

/* ---- the head
 * --------------------------------------------------------------------------------------------------------- */

static void start(void)
{
	store = store_open(dir, &bad);
	ck_assert_msg(store != NULL, "%s", bad.text);
	manager = manager_new(base, store, &settings, &bad);
	ck_assert_msg(manager != NULL, "%s", bad.text);
	pass();
}

static void stop(void)
{
	manager_free(manager);
	store_close(store);
}

static void setup(void)
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

static void teardown(void)
{
	fault_clear();
	stop();
	event_base_free(base);
	settings_free(&settings);
	drop_dir(dir);
}

/* Every node's part as text, without epoch and version: what the plan comes to. */
static char *picture(void)
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

/* ---- requests
 * ---------------------------------------------------------------------------------------------------------- */

START_TEST(request_is_written_and_answered)
{
	uint32_t node = hello("n1");
	uint64_t version = manager_version(manager, node);
	struct command command = ar(2, 120 * SECOND);
	struct reply reply;
	struct part *part;

	command.name = "mine";
	reply = answer(command);
	ck_assert_msg(reply.result != NULL, "%s", reply.err.text);
	ck_assert_uint_eq(id_of(&reply), 1);
	ck_assert_str_eq(text_in(reply.result, "state"), "scheduled");
	ck_assert_str_eq(text_in(reply.result, "owner"), "ann");
	ck_assert_str_eq(text_in(reply.result, "name"), "mine");
	ck_assert_uint_eq(json_object_array_length(json_object_object_get(reply.result, "vm")), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE state = 'scheduled'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM vms WHERE planned"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM slots WHERE kind = 'run'"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.moved' AND lease = 1"), 1);
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 2);
	ck_assert_str_eq(part->vms[0].name, "mine");
	ck_assert_int_eq(part->vms[0].run.start_us, command.spec.start_us);
	ck_assert_uint_eq(part->image_count, 1);
	ck_assert_str_eq(part->images[0].file[0].url, "http://127.0.0.1:7441/images/" DIGEST);
	ck_assert_int_gt(part->images[0].begin_us, 0);
	ck_assert_uint_eq(part->version, manager_version(manager, node));
	ck_assert_uint_gt(part->version, version);
	version = part->version;
	ck_assert_uint_eq(part->epoch, manager_epoch(manager));
	part_free(part);
	clear(&reply);
	accepted(ar(1, 300 * SECOND));
	ck_assert_uint_gt(manager_version(manager, node), version);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(rejected_says_why_and_offers)
{
	struct reply reply;
	struct json_object *offer;
	uint64_t id;

	hello("n1");
	accepted(ar(4, 120 * SECOND));
	reply = answer(named(ar(4, 120 * SECOND), "again", "d1"));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "no_room");
	ck_assert_str_eq(text_in(reply.data, "reason"), reply.err.text);
	offer = json_object_object_get(reply.data, "offer");
	ck_assert_ptr_nonnull(offer);
	ck_assert_int_gt(json_object_get_int64(json_object_object_get(offer, "start_us")), now_us + 120 * SECOND);
	ck_assert_int_eq(json_object_get_int64(json_object_object_get(offer, "vms")), 4);
	ck_assert_int_eq(json_object_get_int64(json_object_object_get(offer, "duration_us")), 60 * SECOND);
	ck_assert_str_ne(text_in(offer, "start"), "");
	id = id_of(&reply);
	ck_assert_int_eq(state_is(id, "rejected"), 1);
	clear(&reply);
	/* The same answer for the same request, though it would be another one now. */
	accepted(ar(1, 900 * SECOND));
	reply = answer(named(ar(4, 120 * SECOND), "again", "d1"));
	ck_assert_int_eq(reply.err.code, ERR_REJECTED);
	ck_assert_uint_eq(id_of(&reply), id);
	ck_assert_str_eq(text_in(reply.data, "reason_code"), "no_room");
	clear(&reply);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(refused_without_effect)
{
	struct command command = named(ar(1, 120 * SECOND), "r", "d");

	hello("n1");
	command.image = "nothing";
	refused(command, ERR_NOT_FOUND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM requests"), 0);
	/* Not remembered: once there is such an image it works. */
	command.image = "ticker";
	accepted(command);
}
END_TEST

START_TEST(same_request_same_lease)
{
	struct reply replies[3] = {{0}};
	struct command first = named(ar(1, 120 * SECOND), "r1", "d1"), other = named(ar(2, 120 * SECOND), "r1", "d2");
	struct command theirs = first;
	uint64_t id;

	hello("n1");
	/* Twice and a contradiction in one pass. */
	ask(first, &replies[0]);
	ask(first, &replies[1]);
	ask(other, &replies[2]);
	for (int i = 0; i < 3; i++) {
		wait_for(&replies[i]);
	}
	id = id_of(&replies[0]);
	ck_assert_uint_gt(id, 0);
	ck_assert_uint_eq(id_of(&replies[1]), id);
	ck_assert_int_eq(replies[2].err.code, ERR_CONFLICT);
	for (int i = 0; i < 3; i++) {
		clear(&replies[i]);
	}
	/* In later passes, and after a restart. */
	ck_assert_uint_eq(accepted(first), id);
	refused(other, ERR_CONFLICT);
	stop();
	start();
	ck_assert_uint_eq(accepted(first), id);
	refused(other, ERR_CONFLICT);
	/* Another's request_id is another request. */
	theirs.owner = "bob";
	ck_assert_uint_ne(accepted(theirs), id);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 2);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(cancelling)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 120 * SECOND)), second = accepted(ar(1, 120 * SECOND));
	struct reply reply;
	struct part *part;

	refused(cancel(99, "ann", false), ERR_NOT_FOUND);
	refused(cancel(id, "bob", false), ERR_DENIED);
	reply = answer(named(cancel(id, "ann", false), "c1", "d"));
	ck_assert_str_eq(text_in(reply.result, "state"), "cancelled");
	clear(&reply);
	refused(cancel(id, "ann", false), ERR_CONFLICT);
	reply = answer(named(cancel(id, "ann", false), "c1", "d")); /* the same request again is no conflict */
	ck_assert_str_eq(text_in(reply.result, "state"), "cancelled");
	clear(&reply);
	accepted(cancel(second, "bob", true));
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 0);
	part_free(part);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(one_pass_one_commit)
{
	struct reply replies[100] = {{0}};
	long before;

	hello("n1");
	before = fault.syncs;
	for (int i = 0; i < 100; i++) {
		ask(request(LEASE_BEST_EFFORT, 1, 0, 60 * SECOND), &replies[i]);
	}
	pass();
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(replies[i].count, 1);
		ck_assert_uint_eq(id_of(&replies[i]), (uint64_t)i + 1);
		clear(&replies[i]);
	}
	ck_assert_int_le(fault.syncs - before, 2); /* the log's header may be one of them */
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 100);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(asking_changes_nothing)
{
	struct command command = ar(2, 120 * SECOND);
	struct json_object *answered;

	hello("n1");
	answered = manager_ask(manager, "ticker", &command.spec, &bad);
	ck_assert(json_object_get_boolean(json_object_object_get(answered, "accepted")));
	ck_assert_int_eq(json_object_get_int64(json_object_object_get(answered, "start_us")), command.spec.start_us);
	json_object_put(answered);
	command.spec.vms = 40;
	answered = manager_ask(manager, "ticker", &command.spec, &bad);
	ck_assert(!json_object_get_boolean(json_object_object_get(answered, "accepted")));
	ck_assert_str_eq(text_in(answered, "reason_code"), "never_fits");
	json_object_put(answered);
	ck_assert_ptr_null(manager_ask(manager, "nothing", &command.spec, &bad));
	ck_assert_int_eq(bad.code, ERR_NOT_FOUND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
}
END_TEST

/* ---- nodes and images
 * ---------------------------------------------------------------------------------------------------- */

START_TEST(a_life)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(2, 60 * SECOND));
	struct part *part;

	live(node, 61 * SECOND);
	ck_assert_int_eq(state_is(id, "active"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM pool"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM transfers WHERE state = 'done'"), 1);
	ck_assert_int_eq(violations(dir), 0);
	live(node, 62 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT first_start_us - start_us FROM leases"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.promise_broken'"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'vm.seen' AND data LIKE '%ended%'"),
			 2);
	part = manager_part(manager, node);
	ck_assert_uint_eq(part->vm_count, 0);
	part_free(part);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(suspended_and_resumed)
{
	uint32_t node = hello("n1");
	uint64_t best = accepted(request(LEASE_BEST_EFFORT, 4, 0, 120 * SECOND)), id;

	live(node, 40 * SECOND);
	ck_assert_int_eq(state_is(best, "active"), 1);
	id = accepted(ar(4, 60 * SECOND));
	live(node, 61 * SECOND);
	ck_assert_int_eq(state_is(id, "active"), 1);
	ck_assert_int_eq(state_is(best, "suspended"), 1);
	ck_assert_int_eq(violations(dir), 0);
	live(node, 85 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(state_is(best, "active"), 1);
	ck_assert_int_eq(violations(dir), 0);
	live(node, 60 * SECOND);
	ck_assert_int_eq(state_is(best, "done"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'lease.promise_broken'"), 0);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(an_agents_words_are_kept)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 60 * SECOND));
	_cleanup_free_ char *sql = xasprintf(
		"SELECT count(*) FROM leases WHERE id = %d AND detail = 'qemu said no' AND state = 'failed'", (int)id);

	live(node, 30 * SECOND);
	report_with(node, id, SEEN_FAILED, POOL_PRESENT, "qemu said no");
	ck_assert_int_eq(raw_number(dir, sql), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(a_bad_image)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 60 * SECOND));

	report_with(node, 0, SEEN_COUNT, POOL_STAGING, "");
	ck_assert_int_eq(raw_number(dir, "SELECT bytes FROM transfers"), 5 * MIB);
	report_with(node, 0, SEEN_COUNT, POOL_BAD, "digest is wrong");
	ck_assert_int_eq(state_is(id, "failed"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE detail = 'digest is wrong'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM transfers WHERE state = 'failed'"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'transfer.failed'"), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(silence_and_drain)
{
	uint32_t node = hello("n1");

	manager_node_silent(manager, node);
	pass();
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'silent'"), 1);
	refused(ar(1, 60 * SECOND), ERR_REJECTED);
	accepted(on_name(COMMAND_NODE_DRAIN, "n1"));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'silent' AND drain"), 1);
	report(node); /* heard again; the wish has outlived the silence */
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'draining' AND drain"), 1);
	refused(ar(1, 60 * SECOND), ERR_REJECTED);
	accepted(on_name(COMMAND_NODE_RESUME, "n1"));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM nodes WHERE state = 'up' AND NOT drain"), 1);
	accepted(ar(1, 60 * SECOND));
	refused(on_name(COMMAND_NODE_DRAIN, "n9"), ERR_NOT_FOUND);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM events WHERE kind = 'node.state'"), 3);
	ck_assert_uint_eq(hello("n1"), node);
}
END_TEST

START_TEST(images)
{
	struct image image = {.name = "ticker", .format = IMAGE_RAW, .cmdline = "", .files = 1, .size = 1};
	struct command add = on_name(COMMAND_IMAGE_ADD, "ticker");
	uint64_t id;

	hello("n1");
	image.file[0] = (struct part_file){.role = "disk", .url = "", .digest = DIGEST, .size = 1};
	add.add = &image;
	refused(add, ERR_CONFLICT);
	refused(on_name(COMMAND_IMAGE_REMOVE, "nothing"), ERR_NOT_FOUND);
	id = accepted(ar(1, 60 * SECOND));
	refused(on_name(COMMAND_IMAGE_REMOVE, "ticker"), ERR_CONFLICT);
	accepted(cancel(id, "ann", false));
	accepted(on_name(COMMAND_IMAGE_REMOVE, "ticker"));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM images"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM image_files"), 0);
	refused(ar(1, 60 * SECOND), ERR_NOT_FOUND);
	ck_assert_uint_gt(accepted(add), 1); /* a new id, also for an old name */
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

/* ---- restart, failure
 * --------------------------------------------------------------------------------------------------- */

/* Each node is told of its own VMs and no others. */
static void check_part(uint32_t node)
{
	_cleanup_free_ char *sql = xasprintf("SELECT count(*) FROM vms WHERE node = %d AND state NOT IN"
					     " ('done', 'cancelled', 'failed')",
					     (int)node);
	struct part *part = manager_part(manager, node);

	ck_assert_int_eq((int64_t)part->vm_count, raw_number(dir, sql));
	part_free(part);
}

START_TEST(restart_gives_the_same_plan)
{
	uint32_t one = hello("n1"), two = hello("n2");
	uint64_t epoch = manager_epoch(manager);
	char *before, *after;

	accepted(request(LEASE_BEST_EFFORT, 4, 0, 200 * SECOND));
	live(one, 30 * SECOND);
	report(two);
	accepted(ar(3, 60 * SECOND));
	accepted(request(LEASE_BEST_EFFORT, 6, 0, 200 * SECOND));
	accepted(ar(5, 400 * SECOND));
	for (int i = 0; i < 20; i++) {
		before = picture();
		stop();
		start();
		after = picture();
		ck_assert_str_eq(before, after);
		ck_assert_uint_eq(manager_epoch(manager), ++epoch);
		check_part(one);
		check_part(two);
		ck_assert_int_eq(violations(dir), 0);
		free(before);
		free(after);
		live(one, 15 * SECOND);
		report(two);
	}
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE state = 'failed'"), 0);
}
END_TEST

START_TEST(failed_commit_leaves_nothing)
{
	struct reply replies[3] = {{0}};
	uint64_t first, id;
	char *before, *after;

	hello("n1");
	first = accepted(ar(1, 60 * SECOND));
	before = picture();
	fault_clear();
	fault.at = 1;
	fault.code = SQLITE_IOERR_WRITE;
	for (int i = 0; i < 3; i++) {
		ask(named(ar(1, 60 * SECOND), "abc" + i, "d"), &replies[i]);
	}
	pass();
	ck_assert(fault.tripped);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(replies[i].count, 1);
		ck_assert_int_eq(replies[i].err.code, ERR_STORE);
		ck_assert_ptr_nonnull(strstr(replies[i].err.text, "nothing was changed"));
		ck_assert_ptr_null(replies[i].data);
	}
	after = picture();
	ck_assert_str_eq(before, after);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM requests"), 0);
	/* It goes on, and an id that was tried is not used again. */
	id = accepted(named(ar(1, 60 * SECOND), "abc", "d"));
	ck_assert_uint_gt(id, first + 3);
	ck_assert_int_eq(raw_number(dir, "SELECT value FROM meta WHERE key = 'failures'"), 1);
	ck_assert_int_eq(violations(dir), 0);
	free(before);
	free(after);
}
END_TEST

/* A statement that fails in the middle, when rows of the pass have been written already. */
START_TEST(failed_statement_leaves_nothing)
{
	struct reply replies[2] = {{0}};

	hello("n1");
	raw_exec(dir, "CREATE TRIGGER t BEFORE INSERT ON requests BEGIN SELECT raise(ABORT, 'not now'); END");
	ask(ar(1, 60 * SECOND), &replies[0]);
	ask(named(ar(1, 60 * SECOND), "r", "d"), &replies[1]);
	pass();
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(replies[i].err.code, ERR_STORE);
		ck_assert_ptr_nonnull(strstr(replies[i].err.text, "not now"));
	}
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
	raw_exec(dir, "DROP TRIGGER t");
	accepted(named(ar(1, 60 * SECOND), "r", "d"));
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

START_TEST(failing_for_good_and_mended)
{
	uint32_t node = hello("n1");
	uint64_t id = accepted(ar(1, 20 * SECOND));

	live(node, 5 * SECOND);
	fault_clear();
	fault.at = 1;
	fault.mode = FAULT_FOR_GOOD;
	fault.code = SQLITE_FULL;
	for (int i = 0; i < 40; i++) {
		live(node, SECOND);
		refused(ar(1, 60 * SECOND), ERR_STORE);
	}
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 1);
	fault_clear();
	/* What the node said meanwhile was not lost: its last report is read again. */
	accepted(ar(1, 600 * SECOND));
	ck_assert_int_eq(state_is(id, "active"), 1);
	live(node, 60 * SECOND);
	ck_assert_int_eq(state_is(id, "done"), 1);
	ck_assert_int_eq(violations(dir), 0);
}
END_TEST

/* The n-th change to a file fails in the middle of a busy life. */
static bool busy_with_fault(long n, int code)
{
	bool acknowledged[64] = {false};
	bool tripped;
	uint32_t node = hello("n1");

	fault_clear();
	fault.at = n;
	fault.code = code;
	for (int i = 0; i < 4; i++) {
		struct reply replies[2] = {{0}};

		ask(request(LEASE_BEST_EFFORT, 2, 0, 60 * SECOND), &replies[0]);
		ask(ar(2, 90 * SECOND), &replies[1]);
		live(node, 10 * SECOND);
		for (int k = 0; k < 2; k++) {
			wait_for(&replies[k]);
			if (replies[k].err.code == 0 || replies[k].err.code == ERR_REJECTED) {
				acknowledged[id_of(&replies[k])] = true;
			} else {
				ck_assert_int_eq(replies[k].err.code, ERR_STORE);
			}
			clear(&replies[k]);
		}
	}
	tripped = fault.tripped;
	ck_assert_int_eq(violations(dir), 0);
	stop();
	fault_clear();
	start();
	ck_assert_int_eq(violations(dir), 0);
	for (uint64_t id = 1; id < ARRAY_SIZE(acknowledged); id++) {
		_cleanup_free_ char *sql = xasprintf("SELECT count(*) FROM leases WHERE id = %d", (int)id);

		ck_assert_int_eq(raw_number(dir, sql), acknowledged[id]);
	}
	return tripped;
}

START_TEST(failing_anywhere)
{
	static const int codes[] = {SQLITE_IOERR_WRITE, SQLITE_FULL};
	long n = 1;

	while (busy_with_fault(n, codes[_i])) {
		teardown();
		setup();
		n += 3;
	}
	ck_assert_int_gt(n, 50);
	printf("manager: a failing call at %ld places: 0 acknowledged lost, 0 half done\n", n / 3);
}
END_TEST

START_TEST(clock_set_back)
{
	uint32_t node = hello("n1");
	uint64_t id;

	live(node, SECOND);
	now_us -= 600 * SECOND;
	report(node);
	id = accepted(ar(1, 60 * SECOND));
	live(node, 61 * SECOND);
	ck_assert_int_eq(state_is(id, "active"), 1);
}
END_TEST

START_TEST(stopping_answers)
{
	struct reply reply = {0};

	ask(ar(1, 60 * SECOND), &reply);
	stop();
	ck_assert_int_eq(reply.count, 1);
	ck_assert_int_eq(reply.err.code, ERR_UNAVAILABLE);
	start();
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_manager");
	TCase *cases = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	log_init(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, request_is_written_and_answered);
	tcase_add_test(cases, rejected_says_why_and_offers);
	tcase_add_test(cases, refused_without_effect);
	tcase_add_test(cases, same_request_same_lease);
	tcase_add_test(cases, cancelling);
	tcase_add_test(cases, one_pass_one_commit);
	tcase_add_test(cases, asking_changes_nothing);
	tcase_add_test(cases, a_life);
	tcase_add_test(cases, suspended_and_resumed);
	tcase_add_test(cases, an_agents_words_are_kept);
	tcase_add_test(cases, a_bad_image);
	tcase_add_test(cases, silence_and_drain);
	tcase_add_test(cases, images);
	tcase_add_test(cases, restart_gives_the_same_plan);
	tcase_add_test(cases, failed_commit_leaves_nothing);
	tcase_add_test(cases, failed_statement_leaves_nothing);
	tcase_add_test(cases, failing_for_good_and_mended);
	tcase_add_loop_test(cases, failing_anywhere, 0, 2);
	tcase_add_test(cases, clock_set_back);
	tcase_add_test(cases, stopping_answers);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
