/*
 * Agents' connections and the event log's subscribers, over a real socket in one loop: hello, delivery until it is
 * acknowledged, silence, a second agent of one name, an agent from the future.
 */
#include "daemon_fixture.h"

#include <event2/event.h>
#include <signal.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "manager.h"
#include "nodes.h"
#include "suite.h"

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *dir;
static struct event_base *base;
static struct store *store;
static struct manager *manager;
static struct nodes *nodes;
static struct events *events;
static struct listener *listener;
static struct head_settings settings;
static int peers; /* connections the head has */

/* One end that speaks as an agent. */
struct agent {
	struct rpc *rpc;
	int parts;                /* part.set calls it got */
	int refusals;             /* how many of the next it refuses */
	bool hold;                /* does not answer the next ... */
	struct rpc_request *held; /* ... until it is asked to */
	uint64_t epoch, version;  /* of the last it took */
	size_t vms;               /* in it */
	int heard;                /* events it was notified of */
	int64_t rev, lagged;
};

struct reply {
	int count;
	struct json_object *result;
	struct err err;
};

/* ---- the head's end ---- */

static void head_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
			 void *arg)
{
	(void)arg;
	if (strcmp(method, "node.hello") == 0) {
		nodes_hello(nodes, rpc, request, params);
	} else if (strcmp(method, "node.report") == 0) {
		nodes_report(nodes, rpc, request, params);
	} else {
		int64_t after = json_object_get_int64(json_object_object_get(params, "after_rev"));

		rpc_reply(request, json_object_new_object()); /* and with it params */
		events_subscribe(events, rpc, after);
	}
}

static void head_closed(struct rpc *rpc, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	nodes_closed(nodes, rpc);
	events_closed(events, rpc);
	peers--;
}

static void accepted(struct conn *conn, void *arg)
{
	static const struct rpc_ops ops = {.request = head_request, .closed = head_closed};

	(void)arg;
	rpc_accept(base, conn, &ops, NULL);
	peers++;
}

/* ---- the agent's end ---- */

static void agent_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
			  void *arg)
{
	struct agent *agent = arg;
	struct err err = {0};
	struct part *part;

	(void)rpc;
	if (strcmp(method, "event") == 0) {
		struct json_object *lagged;

		if (json_object_object_get_ex(params, "lagged", &lagged)) {
			agent->lagged = json_object_get_int64(lagged);
		} else {
			agent->heard++;
			agent->rev = json_object_get_int64(json_object_object_get(params, "rev"));
		}
		rpc_reply(request, NULL);
		return;
	}
	ck_assert_str_eq(method, "part.set");
	part = part_from_json(params, &err);
	ck_assert_msg(part != NULL, "%s", err.text);
	agent->parts++;
	if (agent->refusals) {
		agent->refusals--;
		err_set(&err, ERR_STORE, "no room for the book");
		rpc_reply_error(request, &err, NULL);
	} else {
		agent->epoch = part->epoch;
		agent->version = part->version;
		agent->vms = part->vm_count;
		if (agent->hold) {
			agent->hold = false;
			agent->held = request;
		} else {
			rpc_reply(request, json_object_new_object());
		}
	}
	part_free(part);
}

static void agent_closed(struct rpc *rpc, const char *why, void *arg)
{
	(void)rpc;
	(void)why;
	((struct agent *)arg)->rpc = NULL;
}

static void agent_connect(struct agent *agent)
{
	static const struct rpc_ops ops = {.request = agent_request, .closed = agent_closed};
	_cleanup_free_ char *address = xasprintf("unix:%s/sock", dir);
	struct err err = {0};

	memset(agent, 0, sizeof(*agent));
	agent->rpc = rpc_connect(base, address, "", &ops, agent, &err);
	ck_assert_msg(agent->rpc != NULL, "%s", err.text);
}

static void on_reply(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct reply *reply = arg;

	(void)data;
	reply->count++;
	reply->result = json_object_get(result);
	if (err) {
		reply->err = *err;
	}
}

static void give_up(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ck_abort_msg("still waiting for %s", (const char *)arg);
}

/* Runs the loop until it is so. */
#define AWAIT(condition)                                                              \
	do {                                                                          \
		struct event *limit = evtimer_new(base, give_up, (void *)#condition); \
		struct timeval tv = {10, 0};                                          \
		evtimer_add(limit, &tv);                                              \
		while (!(condition)) {                                                \
			event_base_loop(base, EVLOOP_ONCE);                           \
		}                                                                     \
		event_free(limit);                                                    \
	} while (0)

static struct json_object *empty_report(uint64_t epoch)
{
	struct report report = {.epoch = epoch, .version = epoch};

	return report_to_json(&report);
}

static struct reply call(struct agent *agent, const char *method, struct json_object *params)
{
	struct reply reply = {0};

	rpc_call(agent->rpc, method, params, 10 * USEC_PER_SEC, on_reply, &reply);
	AWAIT(reply.count);
	return reply;
}

/* guests: where suspended guests are to be fetched; NULL = it does not say. */
static struct reply hello_with(struct agent *agent, const char *name, uint64_t epoch, const char *guests)
{
	struct json_object *params = json_object_new_object(), *capacity = json_object_new_object();

	json_object_object_add(capacity, "cpu", json_object_new_int64(4000));
	json_object_object_add(capacity, "memory", json_object_new_int64(8 * GIB));
	json_object_object_add(capacity, "disk", json_object_new_int64(100 * GIB));
	json_object_object_add(capacity, "net_in", json_object_new_int64(GIB));
	json_object_object_add(capacity, "net_out", json_object_new_int64(GIB));
	json_object_object_add(params, "node", json_object_new_string(name));
	json_object_object_add(params, "version", json_object_new_string("0.1.0"));
	json_object_object_add(params, "hypervisor", json_object_new_string("qemu"));
	json_object_object_add(params, "capacity", capacity);
	json_object_object_add(params, "pool", json_object_new_int64(20 * GIB));
	json_object_object_add(params, "suspend_rate", json_object_new_int64(GIB));
	json_object_object_add(params, "resume_rate", json_object_new_int64(GIB));
	json_object_object_add(params, "report", empty_report(epoch));
	if (guests) {
		json_object_object_add(params, "guests", json_object_new_string(guests));
	}
	return call(agent, "node.hello", params);
}

static struct reply hello(struct agent *agent, const char *name, uint64_t epoch)
{
	return hello_with(agent, name, epoch, NULL);
}

static struct reply send_report(struct agent *agent, uint64_t epoch)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "report", empty_report(epoch));
	return call(agent, "node.report", params);
}

static int64_t number_in(const struct reply *reply, const char *key)
{
	return json_object_get_int64(json_object_object_get(reply->result, key));
}

static void end(struct reply *reply)
{
	json_object_put(reply->result);
	memset(reply, 0, sizeof(*reply));
}

static void good(struct reply reply)
{
	ck_assert_msg(reply.err.code == 0, "%s", reply.err.text);
	end(&reply);
}

static void on_submitted(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	(void)result;
	(void)data;
	ck_assert_msg(err == NULL, "%s", err ? err->text : "");
	++*(int *)arg;
}

static void submit(const struct command *command)
{
	int count = 0;

	manager_submit(manager, command, on_submitted, &count);
	AWAIT(count);
}

/* A reservation in an hour: once it is planned, nothing changes for a while. */
static void request_lease(void)
{
	struct command command = {
		.kind = COMMAND_LEASE_REQUEST,
		.owner = "ann",
		.method = "lease.request",
		.name = "",
		.image = "ticker",
		.spec = {.kind = LEASE_AR,
			 .vms = 1,
			 .per_vm = {.amount = {100, MIB, MIB}},
			 .start_us = clock_wall() + USEC_PER_HOUR,
			 .duration_us = 600 * USEC_PER_SEC},
	};

	submit(&command);
}

static bool node_is(const char *state)
{
	_cleanup_free_ char *sql = xasprintf("SELECT count(*) FROM nodes WHERE state = '%s'", state);

	return raw_number(dir, sql) == 1;
}

static void setup(void)
{
	struct image image = {.name = "ticker", .format = IMAGE_RAW, .cmdline = "", .files = 1, .size = 10 * MIB};
	struct command add = {.kind = COMMAND_IMAGE_ADD, .owner = "ann", .method = "image.add", .name = "ticker"};
	struct err err = {0};
	_cleanup_free_ char *address = NULL;

	fault_install();
	fault_clear();
	dir = make_dir();
	address = xasprintf("unix:%s/sock", dir);
	base = event_base_new();
	ck_assert_int_eq(settings_load(NULL, &settings, &err), 0);
	settings.heartbeat = 50 * USEC_PER_MSEC;
	store = store_open(dir, &err);
	manager = manager_new(base, store, &settings, &err);
	ck_assert_msg(manager != NULL, "%s", err.text);
	nodes = nodes_new(base, manager, &settings);
	events = events_new(store);
	manager_attach(manager, nodes, events);
	listener = listener_new(base, address, "", 0666, 16, accepted, NULL, &err);
	ck_assert_msg(listener != NULL, "%s", err.text);
	image.file[0] = (struct part_file){.role = "disk", .url = "", .digest = DIGEST, .size = 10 * MIB};
	add.add = &image;
	submit(&add);
}

static void teardown(void)
{
	listener_free(listener);
	manager_attach(manager, NULL, NULL);
	manager_free(manager);
	nodes_free(nodes);
	events_free(events);
	store_close(store);
	settings_free(&settings);
	event_base_free(base);
	drop_dir(dir);
}

/* Closes, and waits until the head has noticed. */
static void hang_up(struct agent *agent)
{
	int before = peers;

	rpc_close(agent->rpc);
	AWAIT(peers == before - 1);
}

/* ---- tests ---- */

START_TEST(hello_and_delivery)
{
	struct agent agent;
	struct reply reply;

	agent_connect(&agent);
	reply = hello(&agent, "n1", 0);
	ck_assert_msg(reply.result != NULL, "%s", reply.err.text);
	ck_assert_int_eq(number_in(&reply, "epoch"), (int64_t)manager_epoch(manager));
	ck_assert_int_eq(number_in(&reply, "heartbeat_us"), settings.heartbeat);
	ck_assert_int_gt(number_in(&reply, "now_us"), 0);
	end(&reply);
	AWAIT(nodes_delivered(nodes, 1));
	ck_assert_uint_eq(agent.epoch, manager_epoch(manager));
	ck_assert_uint_eq(agent.version, manager_version(manager, 1));
	request_lease();
	AWAIT(agent.vms == 1);
	AWAIT(nodes_delivered(nodes, 1));
	ck_assert_uint_eq(agent.version, manager_version(manager, 1));
	hang_up(&agent);
}
END_TEST

START_TEST(refused_and_sent_again)
{
	struct agent agent;

	agent_connect(&agent);
	agent.refusals = 2;
	good(hello(&agent, "n1", 0));
	AWAIT(nodes_delivered(nodes, 1));
	ck_assert_int_eq(agent.parts, 3);
	hang_up(&agent);
}
END_TEST

/* A change while a part is under way is sent as soon as that one is answered, not with some later heartbeat. */
START_TEST(changed_while_under_way)
{
	struct agent agent;

	manager_attach(manager, NULL, events);
	nodes_free(nodes);
	settings.heartbeat = USEC_PER_MINUTE;
	nodes = nodes_new(base, manager, &settings);
	manager_attach(manager, nodes, events);
	agent_connect(&agent);
	good(hello(&agent, "n1", 0));
	AWAIT(nodes_delivered(nodes, 1));
	agent.hold = true;
	request_lease();
	AWAIT(agent.held);
	request_lease();
	ck_assert_uint_eq(agent.vms, 1);
	ck_assert(!nodes_delivered(nodes, 1));
	rpc_reply(agent.held, json_object_new_object());
	AWAIT(nodes_delivered(nodes, 1));
	ck_assert_uint_eq(agent.vms, 2);
	hang_up(&agent);
}
END_TEST

START_TEST(silent_and_back)
{
	struct agent agent;

	agent_connect(&agent);
	good(hello(&agent, "n1", 0));
	for (int i = 0; i < 20; i++) {
		good(send_report(&agent, 1));
	}
	hang_up(&agent);
	ck_assert(node_is("up")); /* a lost connection is not yet silence */
	AWAIT(node_is("silent"));
	agent_connect(&agent);
	good(hello(&agent, "n1", 0));
	ck_assert(node_is("up"));
	AWAIT(nodes_delivered(nodes, 1));
	AWAIT(node_is("silent")); /* connected, but it reports nothing */
	good(send_report(&agent, 1));
	AWAIT(node_is("up"));
	hang_up(&agent);
}
END_TEST

START_TEST(the_newer_connection_counts)
{
	struct agent old, young;
	struct reply reply;

	agent_connect(&old);
	good(hello(&old, "n1", 0));
	AWAIT(nodes_delivered(nodes, 1));
	agent_connect(&young);
	good(hello(&young, "n1", 0));
	AWAIT(nodes_delivered(nodes, 1));
	ck_assert_int_ge(young.parts, 1);
	reply = send_report(&old, 1);
	ck_assert_int_eq(reply.err.code, ERR_DENIED);
	end(&reply);
	good(send_report(&young, 1));
	hang_up(&old);
	request_lease();
	AWAIT(young.vms == 1);
	ck_assert_uint_eq(old.vms, 0);
	hang_up(&young);
}
END_TEST

START_TEST(an_agent_from_the_future)
{
	struct agent agent;
	struct reply reply;

	agent_connect(&agent);
	reply = hello(&agent, "n1", manager_epoch(manager) + 1);
	ck_assert_int_eq(reply.err.code, ERR_STALE);
	end(&reply);
	ck_assert_int_eq(agent.parts, 0); /* nothing it holds is touched */
	reply = send_report(&agent, 1);
	ck_assert_int_eq(reply.err.code, ERR_DENIED);
	end(&reply);
	hang_up(&agent);
}
END_TEST

START_TEST(malformed)
{
	struct agent agent;
	struct reply reply;
	struct json_object *params = json_object_new_object();

	agent_connect(&agent);
	good(hello(&agent, "n1", 0));
	json_object_object_add(params, "report", json_object_new_object());
	reply = call(&agent, "node.report", params);
	ck_assert_int_eq(reply.err.code, ERR_PARAMS);
	end(&reply);
	hang_up(&agent);
}
END_TEST

START_TEST(where_guests_are)
{
	static const char *const wrong[] = {"unix:/run/x", "10.0.0.1", "10.0.0.1:1/../..", "a b:1"};
	struct agent agent, other;
	struct reply reply;
	uint64_t version;

	agent_connect(&agent);
	agent_connect(&other);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		reply = hello_with(&agent, "n1", 0, wrong[i]);
		ck_assert_int_eq(reply.err.code, ERR_PARAMS);
		end(&reply);
	}
	good(hello(&agent, "n1", 0));
	ck_assert_ptr_null(nodes_guests(nodes, 1));
	good(hello(&other, "n2", 0));
	AWAIT(nodes_delivered(nodes, 2));
	/* Who waits for a guest of it is told at once. */
	version = other.version;
	other.version = 0;
	good(hello_with(&agent, "n1", 0, "10.0.0.1:7442"));
	ck_assert_str_eq(nodes_guests(nodes, 1), "10.0.0.1:7442");
	AWAIT(other.version == version);
	hang_up(&agent);
	ck_assert_str_eq(nodes_guests(nodes, 1), "10.0.0.1:7442");
	hang_up(&other);
}
END_TEST

/* A node that stays up without a word, so that nothing but requests makes events. */
static void quiet_node(struct agent *agent)
{
	settings.heartbeat = USEC_PER_MINUTE;
	agent_connect(agent);
	good(hello(agent, "n1", 0));
	AWAIT(nodes_delivered(nodes, 1));
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

START_TEST(subscribers_and_watches)
{
	struct agent agent;
	struct events_watch *watch, *other;
	struct err err = {0};
	int calls = 0, others = 0;
	int64_t rev = 0;

	quiet_node(&agent);
	watch = events_watch(events, 1, count_call, &calls);
	other = events_watch(events, 2, count_call, &others);
	good(call(&agent, "event.subscribe", json_object_new_object()));
	request_lease();
	ck_assert_int_ge(calls, 1);
	ck_assert_int_eq(others, 0);
	ck_assert_int_eq(store_last_rev(store, &rev, &err), 0);
	AWAIT(agent.rev == rev);
	ck_assert_int_eq(agent.heard, rev); /* also those before it came: after_rev was 0 */
	events_unwatch(watch);
	events_unwatch(other);
	request_lease();
	ck_assert_int_eq(store_last_rev(store, &rev, &err), 0);
	AWAIT(agent.rev == rev);
	ck_assert_int_eq(agent.heard, rev);
	hang_up(&agent);
}
END_TEST

START_TEST(a_subscriber_of_what_is_to_come)
{
	struct agent agent;
	struct json_object *params = json_object_new_object();
	struct err err = {0};
	int64_t rev, after;

	quiet_node(&agent);
	ck_assert_int_eq(store_last_rev(store, &rev, &err), 0);
	after = rev + 1;
	json_object_object_add(params, "after_rev", json_object_new_int64(after));
	good(call(&agent, "event.subscribe", params));
	while (rev < 20) {
		request_lease();
		ck_assert_int_eq(store_last_rev(store, &rev, &err), 0);
	}
	AWAIT(agent.rev == rev);
	ck_assert_int_eq(agent.heard, rev - after);
	hang_up(&agent);
}
END_TEST

START_TEST(a_subscriber_too_far_behind)
{
	struct agent agent;
	struct store_event event = {.kind = "test", .data = "{}"};
	struct err err = {0};
	int64_t rev;

	quiet_node(&agent);
	ck_assert_int_eq(store_begin(store, &err), 0);
	for (int i = 0; i < 10050; i++) {
		ck_assert_int_eq(store_add_event(store, &event, &err), 0);
	}
	ck_assert_int_eq(store_commit(store, &err), 0);
	request_lease();
	ck_assert_int_eq(store_last_rev(store, &rev, &err), 0);
	good(call(&agent, "event.subscribe", json_object_new_object()));
	AWAIT(agent.lagged);
	ck_assert_int_eq(agent.lagged, rev);
	ck_assert_int_eq(agent.heard, 0);
	request_lease();
	ck_assert_int_eq(store_last_rev(store, &rev, &err), 0);
	AWAIT(agent.rev == rev);
	hang_up(&agent);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_nodes");
	TCase *cases = tcase_create("all");

	log_init(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN); /* as tenured does */
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 30);
	tcase_add_test(cases, hello_and_delivery);
	tcase_add_test(cases, refused_and_sent_again);
	tcase_add_test(cases, changed_while_under_way);
	tcase_add_test(cases, silent_and_back);
	tcase_add_test(cases, the_newer_connection_counts);
	tcase_add_test(cases, an_agent_from_the_future);
	tcase_add_test(cases, malformed);
	tcase_add_test(cases, where_guests_are);
	tcase_add_test(cases, subscribers_and_watches);
	tcase_add_test(cases, a_subscriber_of_what_is_to_come);
	tcase_add_test(cases, a_subscriber_too_far_behind);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
