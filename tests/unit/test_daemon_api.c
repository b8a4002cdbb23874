/* A whole head in this process, driven through its unix socket: parameters, rights, and leases from request to end. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "clock.h"
#include "folder.h"
#include "head.h"
#include "log.h"
#include "method.h"
#include "part.h"
#include "session.h"
#include "suite.h"
#include "util.h"

static char dir[64];
static struct event_base *base;
static struct head_settings settings;
static struct head *head;
static struct rpc *client;
static unsigned events_seen;

/* ---- a client ---- */

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	(void)rpc;
	(void)params;
	(void)arg;
	events_seen += strcmp(method, "event") == 0;
	rpc_reply(request, json_object_new_object());
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	(void)rpc;
	(void)arg;
	ck_abort_msg("closed: %s", why);
}

static const struct rpc_ops ops = {.request = on_request, .closed = on_closed};

struct answer {
	bool done;
	struct json_object *result;
	struct err err; /* code 0 = none */
};

static void on_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct answer *answer = arg;

	(void)data;
	answer->done = true;
	answer->result = json_object_get(result);
	answer->err = err ? *err : (struct err){0};
}

static void await(struct answer *answer)
{
	while (!answer->done) {
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	}
}

/* Consumes params. */
static struct answer call_with(struct rpc *rpc, const char *method, struct json_object *params)
{
	struct answer answer = {0};

	rpc_call(rpc, method, params, 20 * USEC_PER_SEC, on_done, &answer);
	await(&answer);
	return answer;
}

static struct answer call(const char *method, const char *params)
{
	return call_with(client, method, json_tokener_parse(params));
}

static void refused(const char *method, const char *params, enum err_code code)
{
	struct answer answer = call(method, params);

	ck_assert_msg(answer.err.code == code, "%s %s: %d %s", method, params, answer.err.code, answer.err.text);
}

/* The result, which the caller puts. */
static struct json_object *granted(const char *method, const char *params)
{
	struct answer answer = call(method, params);

	ck_assert_msg(answer.result != NULL, "%s %s: %s", method, params, answer.err.text);
	return answer.result;
}

static int64_t number(struct json_object *object, const char *key)
{
	struct json_object *value;

	ck_assert_msg(json_object_object_get_ex(object, key, &value), "no %s in %s", key,
		      json_object_to_json_string(object));
	return json_object_get_int64(value);
}

static const char *text(struct json_object *object, const char *key)
{
	struct json_object *value;

	ck_assert_msg(json_object_object_get_ex(object, key, &value), "no %s in %s", key,
		      json_object_to_json_string(object));
	return json_object_get_string(value);
}

/* The head's side of the client's connection; the first call makes sure that it exists. */
static struct session *session(void)
{
	if (!head->sessions) {
		json_object_put(granted("hello", "{}"));
	}
	return head->sessions;
}

static void become(enum role role, const char *name)
{
	struct session *own = session();

	own->who.role = role;
	own->who.local = role == ROLE_ADMIN || role == ROLE_OPERATOR;
	snprintf(own->who.name, sizeof(own->who.name), "%s", name);
}

static void setup(void)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *address = NULL;
	struct err err = {0};
	FILE *out;

	log_init(LOG_LEVEL_ERROR);
	strcpy(dir, "/tmp/tenure-test-api-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	path = xasprintf("%s/conf", dir);
	out = fopen(path, "we");
	fprintf(out,
		"[head]\nstate_dir = %s/state\nsocket = %s/sock\nlisten =\nhttp_listen = 127.0.0.1:0\n"
		"[plan]\nprepare = 100ms\nlead = 100ms\n",
		dir, dir);
	fclose(out);
	ck_assert_msg(settings_load(path, &settings, &err) == 0, "%s", err.text);
	base = event_base_new();
	head = head_new(base, &settings, &err);
	ck_assert_msg(head != NULL, "%s", err.text);
	address = xasprintf("unix:%s/sock", dir);
	client = rpc_connect(base, address, "", &ops, NULL, &err);
	ck_assert_msg(client != NULL, "%s", err.text);
}

static void teardown(void)
{
	rpc_close(client);
	head_free(head);
	settings_free(&settings);
	event_base_free(base);
	folder_remove(dir);
}

/* ---- parameters, by the table ---- */

static struct json_object *good_value(const struct method_param *param)
{
	switch (param->type) {
	case PARAM_STRING:
	case PARAM_NAME:
		return json_object_new_string("abc");
	case PARAM_INT:
		return json_object_new_int64(param->min);
	case PARAM_BOOL:
		return json_object_new_boolean(true);
	case PARAM_TIME:
		return json_object_new_int64(1);
	case PARAM_OBJECT:
		return json_object_new_object();
	case PARAM_ARRAY: {
		struct json_object *array = json_object_new_array();

		json_object_array_add(array, json_object_new_object());
		return array;
	}
	}
	return NULL;
}

/* The n-th value that a parameter must not have; NULL after the last. */
static struct json_object *bad_value(const struct method_param *param, int n)
{
	bool is_number = param->type == PARAM_INT || param->type == PARAM_TIME;
	bool is_text = param->type == PARAM_STRING || param->type == PARAM_NAME;
	char *longest;
	struct json_object *value;

	switch (n) {
	case 0:
		return json_object_new_double(1.5);
	case 1:
		return is_number ? json_object_new_string("1") : json_object_new_int64(-1);
	case 2:
		return json_tokener_parse(param->type == PARAM_ARRAY ? "{\"a\":1}" : "[1,2,3]");
	case 3:
		return param->type == PARAM_BOOL ? json_object_new_string("true") : json_object_new_boolean(true);
	case 4:
		return is_number ? json_object_new_int64(param->type == PARAM_TIME ? 0 : param->min - 1)
				 : json_object_new_double(1e300);
	case 5:
		if (is_number && param->type == PARAM_INT && param->max < INT64_MAX) {
			return json_object_new_int64(param->max + 1);
		}
		return json_object_new_double(-0.5);
	case 6:
		if (!is_text) {
			return json_object_new_double(2.5);
		}
		longest = xcalloc(1, (size_t)param->max + 2);
		memset(longest, 'a', (size_t)param->max + 1);
		value = json_object_new_string(longest);
		free(longest);
		return value;
	case 7:
		return is_text ? json_object_new_string("a\nb") : json_object_new_string("");
	}
	return NULL;
}

static struct json_object *good_params(const struct method *method)
{
	struct json_object *params = json_object_new_object();

	for (size_t i = 0; i < method->param_count; i++) {
		if (method->params[i].required) {
			json_object_object_add(params, method->params[i].name, good_value(&method->params[i]));
		}
	}
	return params;
}

static void must_refuse(const struct method *method, struct json_object *params)
{
	_cleanup_free_ char *shown = xstrdup(json_object_to_json_string(params));
	struct answer answer;

	become(method->role == ROLE_AGENT ? ROLE_AGENT : ROLE_ADMIN, "root");
	answer = call_with(client, method->name, params);
	ck_assert_msg(answer.err.code == ERR_PARAMS, "%s %.200s: %d %s", method->name, shown, answer.err.code,
		      answer.err.text);
}

START_TEST(bad_parameters)
{
	for (enum method_id id = 0; id < METHOD_COUNT; id++) {
		const struct method *method = method_at(id);
		struct json_object *params = good_params(method);

		json_object_object_add(params, "nonsense", json_object_new_int(1));
		must_refuse(method, params);
		for (size_t i = 0; i < method->param_count; i++) {
			const struct method_param *param = &method->params[i];
			struct json_object *bad;

			if (param->required) {
				params = good_params(method);
				json_object_object_del(params, param->name);
				must_refuse(method, params);
			}
			for (int n = 0; (bad = bad_value(param, n)) != NULL; n++) {
				params = good_params(method);
				json_object_object_add(params, param->name, bad);
				must_refuse(method, params);
			}
		}
	}
}
END_TEST

START_TEST(bad_requests_beyond_the_table)
{
#define LEASE "\"vms\":1,\"cpu\":1000,\"memory\":1048576,\"disk\":0,\"image\":\"x\",\"duration_us\":1000000"
	refused("lease.request", "{\"kind\":\"ar\"," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"best-effort\",\"start_us\":5," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"immediate\",\"serial\":true," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"eternal\"," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"best-effort\"," LEASE "}", ERR_NOT_FOUND);
	refused("lease.request", "{\"kind\":\"best-effort\",\"dry_run\":true," LEASE "}", ERR_NOT_FOUND);
#define OPEN(times) "{\"kind\":\"open\"," times LEASE "}"
	refused("lease.request", OPEN("\"start_us\":5,\"response_us\":1000,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"latest_us\":9,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"start_us\":9,\"latest_us\":9,\"response_us\":1000,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"latest_us\":9,\"response_us\":999,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"latest_us\":9,\"response_us\":1000,\"deadline_us\":9,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"latest_us\":9,\"response_us\":1000,\"serial\":true,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"latest_us\":9223372036854775807,\"response_us\":1000,"), ERR_PARAMS);
	refused("lease.request", OPEN("\"latest_us\":9,\"response_us\":1000,"), ERR_NOT_FOUND);
	refused("lease.request", OPEN("\"start_us\":8,\"latest_us\":9,\"response_us\":1000,"), ERR_NOT_FOUND);
	refused("lease.request", "{\"kind\":\"ar\",\"start_us\":5,\"response_us\":1000," LEASE "}", ERR_PARAMS);
	refused("lease.call", "{\"id\":99}", ERR_NOT_FOUND);
	refused("lease.request", "{\"kind\":\"best-effort\",\"latest_us\":5," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"ar\",\"start_us\":5,\"latest_us\":4," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"ar\",\"start_us\":5,\"deadline_us\":9," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"deadline\"," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"deadline\",\"deadline_us\":9,\"latest_us\":9," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"deadline\",\"deadline_us\":9,\"serial\":true," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"deadline\",\"deadline_us\":9223372036854775807," LEASE "}", ERR_PARAMS);
	refused("lease.request", "{\"kind\":\"deadline\",\"deadline_us\":9," LEASE "}", ERR_NOT_FOUND);
	refused("lease.request", "{\"kind\":\"best-effort\",\"price_max\":0," LEASE "}", ERR_PARAMS);
	refused("lease.extend", "{\"id\":99}", ERR_PARAMS);
	refused("lease.extend", "{\"id\":99,\"add_us\":0}", ERR_PARAMS);
	refused("lease.extend", "{\"id\":99,\"add_us\":1,\"duration_us\":1000000}", ERR_PARAMS);
	refused("lease.extend", "{\"id\":99,\"duration_us\":1}", ERR_PARAMS);
	refused("lease.extend", "{\"id\":99,\"add_us\":-1000000}", ERR_NOT_FOUND);
	refused("lease.list", "{\"state\":\"elsewhere\"}", ERR_PARAMS);
	refused("lease.wait", "{\"id\":1,\"state\":\"elsewhere\"}", ERR_PARAMS);
	refused("lease.wait", "{\"id\":1}", ERR_NOT_FOUND);
	refused("lease.show", "{\"id\":99}", ERR_NOT_FOUND);
	refused("lease.explain", "{\"id\":99}", ERR_NOT_FOUND);
	refused("lease.cancel", "{\"id\":99}", ERR_NOT_FOUND);
	refused("slot.list", "{\"from_us\":5,\"to_us\":5}", ERR_PARAMS);
	refused("slot.list", "{\"node\":\"nowhere\"}", ERR_NOT_FOUND);
	refused("node.show", "{\"name\":\"nowhere\"}", ERR_NOT_FOUND);
	refused("node.drain", "{\"name\":\"nowhere\"}", ERR_NOT_FOUND);
	refused("node.tune", "{\"name\":\"nowhere\",\"task\":1,\"slice_us\":1,\"period_us\":2}", ERR_NOT_FOUND);
	refused("image.show", "{\"name\":\"nothing\"}", ERR_NOT_FOUND);
	refused("image.remove", "{\"name\":\"nothing\"}", ERR_NOT_FOUND);
	refused("no.such.method", "{}", ERR_METHOD);
}
END_TEST

START_TEST(bad_images)
{
#define IMAGE "{\"name\":\"i\",\"format\":"
#define DIGEST "\"0000000000000000000000000000000000000000000000000000000000000000\""
	static const struct {
		const char *params;
		enum err_code code;
	} rows[] = {
		{IMAGE "\"vmdk\",\"files\":[{\"role\":\"disk\",\"path\":\"/x\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[1]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"path\":\"/x\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"x\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"/x\",\"size\":1}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"/x\",\"mode\":1}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"/x\",\"digest\":\"ab\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"kernel\",\"path\":\"/x\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"cmdline\":\"a\",\"files\":[{\"role\":\"disk\",\"path\":\"/x\"}]}", ERR_PARAMS},
		{IMAGE "\"kernel\",\"files\":[{\"role\":\"initrd\",\"path\":\"/x\"}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"url\":\"file:///x\",\"size\":1,\"digest\":" DIGEST
		       "}]}",
		 ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"url\":\"http://x/\",\"size\":1}]}", ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"url\":\"http://x/\",\"digest\":" DIGEST "}]}",
		 ERR_PARAMS},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"/nowhere/x\"}]}", ERR_NOT_FOUND},
		{IMAGE "\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"/dev/zero\"}]}", ERR_IMAGE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		refused("image.add", rows[i].params, rows[i].code);
	}
}
END_TEST

/* ---- rights ---- */

/* Who may call what, stated apart from method.tbl: n(one) u(ser) o(perator) a(dmin) A(gent). */
static const char *const rights[METHOD_COUNT] = {
	[METHOD_HELLO] = "nuoaA",     [METHOD_RPC_DISCOVER] = "nuoaA", [METHOD_LEASE_REQUEST] = "uoa",
	[METHOD_LEASE_LIST] = "uoa",  [METHOD_LEASE_SHOW] = "uoa",     [METHOD_LEASE_CANCEL] = "uoa",
	[METHOD_LEASE_WAIT] = "uoa",  [METHOD_LEASE_EXPLAIN] = "uoa",  [METHOD_SLOT_LIST] = "uoa",
	[METHOD_NODE_LIST] = "uoa",   [METHOD_NODE_SHOW] = "uoa",      [METHOD_NODE_DRAIN] = "oa",
	[METHOD_NODE_RESUME] = "oa",  [METHOD_NODE_HELLO] = "aA",      [METHOD_NODE_REPORT] = "A",
	[METHOD_IMAGE_ADD] = "oa",    [METHOD_IMAGE_LIST] = "uoa",     [METHOD_IMAGE_SHOW] = "uoa",
	[METHOD_IMAGE_REMOVE] = "oa", [METHOD_EVENT_LIST] = "uoa",     [METHOD_EVENT_SUBSCRIBE] = "uoa",
	[METHOD_ADMIN_STATUS] = "oa", [METHOD_LEASE_EXTEND] = "uoa",   [METHOD_LEASE_CALL] = "uoa",
	[METHOD_LEASE_TUNE] = "uoa",  [METHOD_NODE_EDF] = "uoa",       [METHOD_NODE_TUNE] = "oa",
};

START_TEST(rights_matrix)
{
	static const char letters[] = {
		[ROLE_NONE] = 'n', [ROLE_USER] = 'u', [ROLE_OPERATOR] = 'o', [ROLE_ADMIN] = 'a', [ROLE_AGENT] = 'A'};

	for (enum method_id id = 0; id < METHOD_COUNT; id++) {
		ck_assert_ptr_nonnull(rights[id]);
		for (enum role role = ROLE_NONE; role <= ROLE_AGENT; role++) {
			bool may = strchr(rights[id], letters[role]) != NULL;
			struct answer answer;

			become(role, "someone");
			answer = call(method_at(id)->name, "{}");
			ck_assert_msg((answer.err.code != ERR_DENIED) == may, "%s as %s: %d %s", method_at(id)->name,
				      role_name(role), answer.err.code, answer.err.text);
			json_object_put(answer.result);
		}
	}
}
END_TEST

/* ---- leases ---- */

static struct rpc *agent;

static void add_node(void)
{
	_cleanup_free_ char *address = xasprintf("unix:%s/sock", dir);
	struct report report = {0};
	struct json_object *hello = json_tokener_parse(
		"{\"node\":\"n1\",\"version\":\"1\",\"pool\":1073741824,\"suspend_rate\":100000000,"
		"\"resume_rate\":100000000,\"hypervisor\":\"qemu\",\"capacity\":{\"cpu\":4000,\"memory\":4294967296,"
		"\"disk\":10737418240,\"net_in\":100000000,\"net_out\":100000000}}");
	struct err err = {0};
	struct answer answer;

	agent = rpc_connect(base, address, "", &ops, NULL, &err);
	ck_assert_ptr_nonnull(agent);
	json_object_object_add(hello, "report", report_to_json(&report));
	answer = call_with(agent, "node.hello", hello);
	ck_assert_msg(answer.result != NULL, "%s", answer.err.text);
	ck_assert_int_gt(number(answer.result, "epoch"), 0);
	json_object_put(answer.result);
}

static void add_image(void)
{
	_cleanup_free_ char *path = xasprintf("%s/disk", dir);
	_cleanup_free_ char *params = xasprintf(
		"{\"name\":\"disk\",\"format\":\"raw\",\"files\":[{\"role\":\"disk\",\"path\":\"%s\"}]}", path);
	FILE *out = fopen(path, "we");
	char sector[512] = "a disk";

	fwrite(sector, 1, sizeof(sector), out);
	fclose(out);
	json_object_put(granted("image.add", params));
}

static void cluster(void)
{
	setup();
	session();
	add_node();
	add_image();
}

static void cluster_end(void)
{
	rpc_close(agent);
	teardown();
}

#define REQUEST(more)                                                                             \
	"{\"kind\":\"best-effort\",\"vms\":1,\"cpu\":1000,\"memory\":1048576,\"image\":\"disk\"," \
	"\"duration_us\":600000000" more "}"

static int64_t leases(void)
{
	struct json_object *list = granted("lease.list", "{}");
	int64_t n = (int64_t)json_object_array_length(json_object_object_get(list, "leases"));

	json_object_put(list);
	return n;
}

START_TEST(a_request_is_one_lease)
{
	struct json_object *first = granted("lease.request", REQUEST(",\"request_id\":\"r1\""));
	struct json_object *again =
		granted("lease.request", "{\"request_id\":\"r1\",\"duration_us\":600000000,\"image\":\"disk\","
					 "\"memory\":1048576,\"cpu\":1000,\"vms\":1,\"kind\":\"best-effort\"}");

	ck_assert_int_eq(number(first, "id"), number(again, "id"));
	ck_assert_int_eq(leases(), 1);
	refused("lease.request", REQUEST(",\"request_id\":\"r1\",\"name\":\"other\""), ERR_CONFLICT);
	ck_assert_int_eq(leases(), 1);
	/* Another user's r1 is another request. */
	become(ROLE_USER, "ada");
	json_object_put(again);
	again = granted("lease.request", REQUEST(",\"request_id\":\"r1\""));
	ck_assert_int_ne(number(first, "id"), number(again, "id"));
	json_object_put(first);
	json_object_put(again);
}
END_TEST

START_TEST(dry_run_changes_nothing)
{
	struct json_object *answer = granted("lease.request", REQUEST(",\"dry_run\":true"));

	ck_assert_int_eq(number(answer, "accepted"), 1);
	json_object_put(answer);
	ck_assert_int_eq(leases(), 0);
}
END_TEST

START_TEST(shows_what_was_asked_for)
{
	struct json_object *lease = granted("lease.request", REQUEST(",\"name\":\"mine\""));
	_cleanup_free_ char *by_id = xasprintf("{\"id\":%lld}", (long long)number(lease, "id"));
	struct json_object *shown = granted("lease.show", by_id);
	struct json_object *explained = granted("lease.explain", by_id);
	struct json_object *slots = granted("slot.list", "{}");
	struct json_object *nodes = granted("node.show", "{\"name\":\"n1\"}");
	struct json_object *image = granted("image.show", "{\"name\":\"disk\"}");
	struct json_object *events = granted("event.list", "{}");

	ck_assert_str_eq(text(shown, "name"), "mine");
	ck_assert_str_eq(text(shown, "owner"), session()->who.name);
	ck_assert_int_eq(number(shown, "disk"), 512);
	ck_assert_uint_eq(json_object_array_length(json_object_object_get(shown, "vm")), 1);
	ck_assert_str_ne(text(shown, "submitted"), "-");
	ck_assert(json_object_object_get_ex(shown, "delivered", NULL));
	ck_assert_uint_gt(json_object_array_length(json_object_object_get(explained, "history")), 0);
	ck_assert_str_ne(text(explained, "waits_for"), "");
	ck_assert_uint_gt(json_object_array_length(json_object_object_get(slots, "slots")), 0);
	ck_assert_uint_eq(json_object_array_length(json_object_object_get(nodes, "vm")), 1);
	ck_assert_int_eq(number(image, "size"), 512);
	ck_assert_uint_gt(json_object_array_length(json_object_object_get(events, "events")), 0);
	refused("image.remove", "{\"name\":\"disk\"}", ERR_CONFLICT);
	json_object_put(lease);
	json_object_put(shown);
	json_object_put(explained);
	json_object_put(slots);
	json_object_put(nodes);
	json_object_put(image);
	json_object_put(events);
}
END_TEST

START_TEST(only_owner_and_operator_cancel)
{
	struct json_object *lease;
	_cleanup_free_ char *by_id = NULL;

	become(ROLE_USER, "ada");
	lease = granted("lease.request", REQUEST(""));
	by_id = xasprintf("{\"id\":%lld}", (long long)number(lease, "id"));
	become(ROLE_USER, "bob");
	refused("lease.cancel", by_id, ERR_DENIED);
	become(ROLE_OPERATOR, "bob");
	json_object_put(granted("lease.cancel", by_id));
	json_object_put(lease);
	become(ROLE_USER, "ada");
	lease = granted("lease.request", REQUEST(""));
	free(by_id);
	by_id = xasprintf("{\"id\":%lld}", (long long)number(lease, "id"));
	json_object_put(granted("lease.cancel", by_id));
	json_object_put(lease);
}
END_TEST

START_TEST(waits_for_a_state)
{
	struct json_object *lease = granted("lease.request", REQUEST(""));
	long long id = number(lease, "id");
	_cleanup_free_ char *now = xasprintf("{\"id\":%lld,\"timeout_us\":0}", id);
	_cleanup_free_ char *soon = xasprintf("{\"id\":%lld,\"timeout_us\":50000}", id);
	_cleanup_free_ char *by_id = xasprintf("{\"id\":%lld}", id);
	struct answer waiting = {0};

	refused("lease.wait", now, ERR_TIMEOUT);
	refused("lease.wait", soon, ERR_TIMEOUT);
	rpc_call(client, "lease.wait", json_tokener_parse(by_id), 20 * USEC_PER_SEC, on_done, &waiting);
	json_object_put(granted("lease.cancel", by_id));
	await(&waiting);
	ck_assert_msg(waiting.result != NULL, "%s", waiting.err.text);
	ck_assert_str_eq(text(waiting.result, "state"), "cancelled");
	json_object_put(waiting.result);
	json_object_put(lease);
}
END_TEST

/* A wait whose peer goes away, and one that is there when the head stops, are no trouble. */
START_TEST(waits_end_with_the_connection)
{
	struct json_object *lease = granted("lease.request", REQUEST(""));
	_cleanup_free_ char *by_id = xasprintf("{\"id\":%lld}", (long long)number(lease, "id"));
	static struct answer first, second; /* answered in teardown */
	_cleanup_free_ char *address = xasprintf("unix:%s/sock", dir);
	struct err err = {0};
	struct rpc *other = rpc_connect(base, address, "", &ops, NULL, &err);

	json_object_put(call_with(other, "hello", NULL).result);
	rpc_call(other, "lease.wait", json_tokener_parse(by_id), 20 * USEC_PER_SEC, on_done, &first);
	rpc_call(client, "lease.wait", json_tokener_parse(by_id), 20 * USEC_PER_SEC, on_done, &second);
	json_object_put(granted("hello", "{}"));
	rpc_close(other);
	ck_assert_int_eq(first.err.code, ERR_UNAVAILABLE);
	json_object_put(granted("hello", "{}"));
	json_object_put(lease);
}
END_TEST

START_TEST(subscribers_hear)
{
	json_object_put(granted("event.subscribe", "{}"));
	json_object_put(granted("lease.request", REQUEST("")));
	while (events_seen == 0) {
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	}
}
END_TEST

START_TEST(drains_and_resumes)
{
	struct json_object *node;

	json_object_put(granted("node.drain", "{\"name\":\"n1\"}"));
	node = granted("node.show", "{\"name\":\"n1\"}");
	ck_assert_int_eq(number(node, "drain"), 1);
	json_object_put(node);
	json_object_put(granted("node.resume", "{\"name\":\"n1\"}"));
	node = granted("node.show", "{\"name\":\"n1\"}");
	ck_assert_int_eq(number(node, "drain"), 0);
	json_object_put(node);
}
END_TEST

START_TEST(removes_an_image_with_its_file)
{
	struct json_object *image = granted("image.show", "{\"name\":\"disk\"}");
	struct json_object *file = json_object_array_get_idx(json_object_object_get(image, "files"), 0);
	int64_t size;
	int fd = images_open(head->images, text(file, "digest"), &size);

	ck_assert_int_ge(fd, 0);
	close(fd);
	json_object_put(granted("image.remove", "{\"name\":\"disk\"}"));
	ck_assert_int_eq(images_open(head->images, text(file, "digest"), &size), -1);
	json_object_put(image);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_api");
	TCase *bare = tcase_create("bare");
	TCase *full = tcase_create("cluster");

	tcase_add_checked_fixture(bare, setup, teardown);
	tcase_set_timeout(bare, 30);
	tcase_add_test(bare, bad_parameters);
	tcase_add_test(bare, bad_requests_beyond_the_table);
	tcase_add_test(bare, bad_images);
	tcase_add_test(bare, rights_matrix);
	suite_add_tcase(suite, bare);
	tcase_add_checked_fixture(full, cluster, cluster_end);
	tcase_set_timeout(full, 20);
	tcase_add_test(full, a_request_is_one_lease);
	tcase_add_test(full, dry_run_changes_nothing);
	tcase_add_test(full, shows_what_was_asked_for);
	tcase_add_test(full, only_owner_and_operator_cancel);
	tcase_add_test(full, waits_for_a_state);
	tcase_add_test(full, waits_end_with_the_connection);
	tcase_add_test(full, subscribers_hear);
	tcase_add_test(full, drains_and_resumes);
	tcase_add_test(full, removes_an_image_with_its_file);
	suite_add_tcase(suite, full);
	return run_suite(suite);
}
