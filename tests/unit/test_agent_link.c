/* The agent's connection to the head, against a head made up here: hello, reports, parts, refusals, coming back. */
#include <check.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "link.h"
#include "rpc.h"
#include "suite.h"
#include "util.h"

#define SEC USEC_PER_SEC

static char folder[64];
static char address[128];
static char token_path[128];
static struct event_base *base;
static struct listener *listener;
static struct rpc *head; /* the head's side of the newest connection */
static struct link *link_under_test;
static struct err err;

/* What the made-up head saw, and how it answers. */
static unsigned connections, hellos, reports;
static struct json_object *last_hello;
static enum err_code refuse_hello;
static bool mute; /* reports are not answered, but kept here */
static struct rpc_request *unanswered[8];
static size_t unanswered_count;
static span_us heartbeat_us;
static unsigned wanted_reports;

/* What the agent's side was told. */
static bool connected;
static enum err_code refuse_part;
static uint64_t part_version;

static void stop_when(bool reached)
{
	if (reached) {
		event_base_loopbreak(base);
	}
}

static void head_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
			 void *arg)
{
	struct json_object *result = json_object_new_object();
	struct err refusal = {.code = refuse_hello, .text = "refused here"};

	(void)rpc;
	(void)arg;
	if (strcmp(method, "node.hello") == 0) {
		hellos++;
		json_object_put(last_hello);
		last_hello = json_object_get(params);
		json_object_object_add(result, "epoch", json_object_new_int64(1));
		json_object_object_add(result, "version", json_object_new_int64(1));
		json_object_object_add(result, "heartbeat_us", json_object_new_int64(heartbeat_us));
		json_object_object_add(result, "now_us", json_object_new_int64(0));
		if (refuse_hello) {
			json_object_put(result);
			rpc_reply_error(request, &refusal, NULL);
		} else {
			rpc_reply(request, result);
		}
		return;
	}
	ck_assert_str_eq(method, "node.report");
	reports++;
	if (mute) {
		json_object_put(result);
		ck_assert_uint_lt(unanswered_count, ARRAY_SIZE(unanswered));
		unanswered[unanswered_count++] = request;
	} else {
		rpc_reply(request, result);
	}
	stop_when(wanted_reports && reports >= wanted_reports);
}

static void head_closed(struct rpc *rpc, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	if (head == rpc) {
		head = NULL;
	}
}

static void on_accepted(struct conn *conn, void *arg)
{
	static const struct rpc_ops ops = {.request = head_request, .closed = head_closed};

	(void)arg;
	connections++;
	head = rpc_accept(base, conn, &ops, NULL);
}

static void make_report(struct report *report, void *arg)
{
	(void)arg;
	report->epoch = 4;
	report->version = 9;
	report->degraded = true;
	strcpy(report->text, "libvirt does not answer");
}

static int on_part(struct part *part, struct err *refusal, void *arg)
{
	(void)arg;
	if (refuse_part) {
		return err_set(refusal, refuse_part, "an older part");
	}
	part_version = part->version;
	part_free(part);
	return 0;
}

static int on_task(uint64_t id, span_us slice_us, span_us period_us, struct err *refusal, void *arg)
{
	(void)arg;
	ck_assert_uint_eq(id, 3);
	ck_assert_int_eq(slice_us, 1000);
	ck_assert_int_eq(period_us, 2000);
	return err_set(refusal, ERR_NOT_FOUND, "there is no task 3");
}

static const char *hypervisor(void *arg)
{
	(void)arg;
	return "qemu, libvirt 9.0.0";
}

static void on_connected(bool ok, void *arg)
{
	(void)arg;
	connected = ok;
	stop_when(ok && !wanted_reports);
}

static const struct link_ops ops = {
	.report = make_report, .part = on_part, .task = on_task, .hypervisor = hypervisor, .connected = on_connected};

static void listen_again(void)
{
	listener = listener_new(base, address, "", 0666, 16, on_accepted, NULL, &err);
	ck_assert_msg(listener, "%s", err.text);
}

static void setup(void)
{
	strcpy(folder, "/tmp/tenure-test-link-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(address, sizeof(address), "unix:%s/head", folder);
	snprintf(token_path, sizeof(token_path), "%s/token", folder);
	ck_assert_int_eq(file_replace(token_path, "the secret of all\nrest\n", 23, 0600, &err), 0);
	base = event_base_new();
	heartbeat_us = 100 * USEC_PER_MSEC;
	listen_again();
}

static void start(void)
{
	struct link_settings settings = {
		.head = address,
		.plaintext = "",
		.token_file = token_path,
		.node = "n1",
		.capacity.amount = {2000, 1 << 30, 1 << 30, 5, 6},
		.pool = 7,
		.suspend_rate = 8,
		.resume_rate = 9,
	};

	link_under_test = link_new(base, &settings, &ops, NULL, &err);
	ck_assert_msg(link_under_test, "%s", err.text);
}

static void teardown(void)
{
	link_free(link_under_test);
	rpc_close(head);
	while (unanswered_count > 0) {
		rpc_reply(unanswered[--unanswered_count], NULL);
	}
	listener_free(listener);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	json_object_put(last_hello);
	unlink(token_path);
	unlink(address + strlen("unix:"));
	rmdir(folder);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	event_base_loopbreak(base);
}

/* Until stop_when(), or so long. */
static void run_for(span_us span)
{
	struct timeval timeout = {.tv_sec = span / SEC, .tv_usec = span % SEC};
	struct event *timer = evtimer_new(base, on_timeout, NULL);

	event_add(timer, &timeout);
	event_base_dispatch(base);
	event_free(timer);
}

static const char *hello_string(const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(last_hello, key, &value);
	return value ? json_object_get_string(value) : "missing";
}

START_TEST(hello)
{
	struct json_object *member;
	struct report *report;

	start();
	run_for(5 * SEC);
	ck_assert(connected);
	ck_assert_str_eq(hello_string("node"), "n1");
	ck_assert_str_eq(hello_string("token"), "the secret of all");
	ck_assert_str_eq(hello_string("hypervisor"), "qemu, libvirt 9.0.0");
	ck_assert_str_eq(hello_string("pool"), "7");
	ck_assert(json_object_object_get_ex(last_hello, "capacity", &member));
	ck_assert(json_object_object_get_ex(member, "memory", &member));
	ck_assert_int_eq(json_object_get_int64(member), 1 << 30);
	ck_assert(json_object_object_get_ex(last_hello, "report", &member));
	report = report_from_json(member, &err);
	ck_assert_msg(report, "%s", err.text);
	ck_assert(report->epoch == 4 && report->version == 9 && report->degraded);
	report_free(report);
}
END_TEST

START_TEST(heartbeat_and_coalescing)
{
	start();
	run_for(5 * SEC);
	reports = 0;
	wanted_reports = 1000;
	for (int i = 0; i < 1000; i++) {
		link_changed(link_under_test);
	}
	run_for(90 * USEC_PER_MSEC);
	ck_assert_uint_ge(reports, 1);
	ck_assert_uint_le(reports, 2);
	/* Nothing changes: heartbeats only. */
	reports = 0;
	run_for(SEC);
	ck_assert_uint_ge(reports, 3);
	ck_assert_uint_le(reports, 11);
}
END_TEST

static void change_often(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	link_changed(link_under_test);
}

START_TEST(at_most_twenty_a_second)
{
	static const struct timeval often = {.tv_usec = 1000};
	struct event *timer = event_new(base, -1, EV_PERSIST, change_often, NULL);

	start();
	run_for(5 * SEC);
	event_add(timer, &often);
	reports = 0;
	wanted_reports = 1000;
	run_for(SEC);
	event_free(timer);
	ck_assert_uint_ge(reports, 5);
	ck_assert_uint_le(reports, 21);
}
END_TEST

START_TEST(comes_back)
{
	start();
	run_for(5 * SEC);
	for (unsigned round = 2; round <= 4; round++) {
		rpc_close(steal(&head));
		connected = false;
		run_for(10 * SEC);
		ck_assert(connected);
		ck_assert_uint_eq(connections, round);
	}
}
END_TEST

START_TEST(head_not_there_yet)
{
	listener_free(listener);
	unlink(address + strlen("unix:"));
	start();
	run_for(300 * USEC_PER_MSEC);
	ck_assert(!connected);
	listen_again();
	run_for(10 * SEC);
	ck_assert(connected);
}
END_TEST

START_TEST(hello_refused)
{
	refuse_hello = _i ? ERR_STALE : ERR_DENIED;
	start();
	run_for(SEC);
	ck_assert(!connected);
	/* A stale head is asked again slowly; one that says no otherwise, with growing pauses. */
	ck_assert_uint_ge(hellos, 1);
	ck_assert_uint_le(hellos, _i ? 1 : 6);
	if (_i == 0) {
		refuse_hello = ERR_NONE;
		run_for(10 * SEC);
		ck_assert(connected);
	}
}
END_TEST

struct answer {
	enum err_code code;
	uint64_t version;
};

static void on_answer(struct json_object *result, const struct err *refusal, struct json_object *data, void *arg)
{
	struct answer *answer = arg;
	struct json_object *member;

	(void)data;
	answer->code = refusal ? refusal->code : ERR_NONE;
	if (result && json_object_object_get_ex(result, "version", &member)) {
		answer->version = json_object_get_uint64(member);
	}
	event_base_loopbreak(base);
}

static struct answer send_part(const char *method, struct json_object *params)
{
	struct answer answer = {.code = ERR_TIMEOUT};

	/* Reports end no run here. */
	wanted_reports = 1000000;
	rpc_call(head, method, params, 5 * SEC, on_answer, &answer);
	run_for(6 * SEC);
	return answer;
}

START_TEST(parts)
{
	struct part part = {.epoch = 4, .version = 11};
	struct answer answer;

	start();
	run_for(5 * SEC);
	answer = send_part("part.set", part_to_json(&part));
	ck_assert_int_eq(answer.code, ERR_NONE);
	ck_assert_uint_eq(answer.version, 11);
	ck_assert_uint_eq(part_version, 11);
	refuse_part = ERR_STALE;
	ck_assert_int_eq(send_part("part.set", part_to_json(&part)).code, ERR_STALE);
	ck_assert_int_eq(send_part("part.set", json_object_new_object()).code, ERR_PARAMS);
	ck_assert_int_eq(send_part("part.get", NULL).code, ERR_METHOD);
	struct json_object *task = json_object_new_object();
	json_object_object_add(task, "id", json_object_new_int(3));
	json_object_object_add(task, "slice_us", json_object_new_int(1000));
	ck_assert_int_eq(send_part("task.set", json_object_get(task)).code, ERR_PARAMS);
	json_object_object_add(task, "period_us", json_object_new_int(2000));
	ck_assert_int_eq(send_part("task.set", task).code, ERR_NOT_FOUND);
	ck_assert(connected);
}
END_TEST

START_TEST(no_token)
{
	unlink(token_path);
	start();
	run_for(300 * USEC_PER_MSEC);
	ck_assert_uint_eq(hellos, 0);
	ck_assert_int_eq(file_replace(token_path, "late, but long enough", 21, 0600, &err), 0);
	run_for(10 * SEC);
	ck_assert_str_eq(hello_string("token"), "late, but long enough");
}
END_TEST

/* One report is under way at a time: a head that does not answer is not flooded, and is given up in the end. */
START_TEST(mute_head)
{
	start();
	run_for(5 * SEC);
	mute = true;
	reports = 0;
	wanted_reports = 1000000;
	run_for(500 * USEC_PER_MSEC);
	ck_assert_uint_le(reports, 1);
}
END_TEST

START_TEST(bad_address)
{
	snprintf(address, sizeof(address), "nowhere");
	link_under_test = link_new(base, &(struct link_settings){.head = address, .plaintext = ""}, &ops, NULL, &err);
	ck_assert_ptr_null(link_under_test);
	snprintf(address, sizeof(address), "unix:%s/head", folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_link");
	TCase *tcase = tcase_create("link");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, hello);
	tcase_add_test(tcase, heartbeat_and_coalescing);
	tcase_add_test(tcase, at_most_twenty_a_second);
	tcase_add_test(tcase, comes_back);
	tcase_add_test(tcase, head_not_there_yet);
	tcase_add_loop_test(tcase, hello_refused, 0, 2);
	tcase_add_test(tcase, parts);
	tcase_add_test(tcase, no_token);
	tcase_add_test(tcase, mute_head);
	tcase_add_test(tcase, bad_address);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
