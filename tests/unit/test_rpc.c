/*
 * JSON-RPC between two real peers over a unix socket, both calling: answers, deadlines, pipelining, answering after the
 * end, closing from inside every callback. A bare socket plays the peer that sends rubbish.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "rpc.h"
#include "socket_fixture.h"
#include "suite.h"
#include "util.h"
#include "wire.h"

#define LONG_US (20 * USEC_PER_SEC)

enum act { ACT_REPLY, ACT_KEEP, ACT_FAIL, ACT_CLOSE, ACT_CLOSE_THEN_REPLY, ACT_HUGE, ACT_CALL_BACK };

struct peer {
	struct rpc *rpc;
	enum act act; /* on each request */
	struct rpc_request *kept[4096];
	unsigned requests;
	unsigned opened;
	unsigned closed;
	char method[64];
	char why[128];
};

static struct peer head;  /* accepts */
static struct peer agent; /* connects */

/* What came of a call. */
struct outcome {
	unsigned done;
	enum err_code code;
	char text[256]; /* result as JSON, or the error's text */
	char data[128];
	struct rpc *close; /* close this one when done */
};

static void on_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct outcome *outcome = arg;

	outcome->done++;
	outcome->code = err ? err->code : ERR_NONE;
	snprintf(outcome->text, sizeof(outcome->text), "%.200s",
		 err ? err->text : json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN));
	snprintf(outcome->data, sizeof(outcome->data), "%.100s",
		 json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN));
	if (outcome->close) {
		rpc_close(outcome->close);
	}
}

static struct json_object *huge(void)
{
	_cleanup_free_ char *text = xcalloc(WIRE_LINE_MAX + 1, 1);

	memset(text, 'x', WIRE_LINE_MAX);
	return json_object_new_string(text);
}

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	static struct outcome ignored;
	struct peer *peer = arg;
	struct err err;

	ck_assert_ptr_eq(rpc, peer->rpc);
	ck_assert(json_object_is_type(params, json_type_object));
	snprintf(peer->method, sizeof(peer->method), "%s", method);
	peer->requests++;
	switch (peer->act) {
	case ACT_REPLY:
		rpc_reply(request, json_object_get(params));
		break;
	case ACT_KEEP:
		peer->kept[peer->requests - 1] = request;
		break;
	case ACT_FAIL:
		err_set(&err, ERR_NOT_FOUND, "no such thing");
		rpc_reply_error(request, &err, NULL);
		break;
	case ACT_CLOSE:
		peer->kept[peer->requests - 1] = request;
		rpc_close(rpc);
		peer->rpc = NULL;
		break;
	case ACT_CLOSE_THEN_REPLY:
		rpc_close(rpc);
		peer->rpc = NULL;
		rpc_reply(request, json_object_new_int(1));
		break;
	case ACT_HUGE:
		rpc_reply(request, huge());
		break;
	case ACT_CALL_BACK:
		rpc_call(rpc, "back", NULL, LONG_US, on_done, &ignored);
		rpc_reply(request, NULL);
		break;
	}
}

static void on_opened(struct rpc *rpc, void *arg)
{
	struct peer *peer = arg;

	ck_assert_ptr_eq(rpc, peer->rpc);
	peer->opened++;
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	struct peer *peer = arg;
	struct outcome late = {0};

	peer->closed++;
	peer->rpc = NULL;
	snprintf(peer->why, sizeof(peer->why), "%s", why);
	/* All of this is harmless by now. */
	ck_assert_ptr_null(rpc_conn(rpc));
	rpc_notify(rpc, "late", json_object_new_object());
	rpc_call(rpc, "late", json_object_new_object(), 1, on_done, &late);
	ck_assert_uint_eq(late.done, 1);
	ck_assert_int_eq(late.code, ERR_UNAVAILABLE);
	rpc_close(rpc);
}

static const struct rpc_ops ops = {.request = on_request, .opened = on_opened, .closed = on_closed};

static void accepted(struct conn *conn, void *arg)
{
	(void)arg;
	head.rpc = rpc_accept(base, conn, &ops, &head);
}

static void setup(void)
{
	listen_begin(8, accepted);
}

static void teardown(void)
{
	rpc_close(head.rpc);
	rpc_close(agent.rpc);
	/* Requests kept over the end are still to be answered. */
	for (size_t i = 0; i < ARRAY_SIZE(head.kept); i++) {
		if (head.kept[i]) {
			rpc_reply(head.kept[i], json_object_new_object());
		}
	}
	for (int i = 0; i < 4; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	listen_end();
}

static void joined(void)
{
	agent.rpc = rpc_connect(base, address, "", &ops, &agent, NULL);
	ck_assert_ptr_nonnull(agent.rpc);
	until(agent.opened && head.rpc);
	ck_assert_uint_eq(head.opened, 0);
}

static struct json_object *number(int n)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "n", json_object_new_int(n));
	return params;
}

START_TEST(both_ways)
{
	struct outcome a = {0}, b = {0}, c = {0};

	joined();
	rpc_call(agent.rpc, "to.head", number(1), LONG_US, on_done, &a);
	rpc_call(head.rpc, "to.agent", number(2), LONG_US, on_done, &b);
	rpc_call(agent.rpc, "bare", NULL, LONG_US, on_done, &c);
	ck_assert_uint_eq(a.done + b.done + c.done, 0);
	until(a.done && b.done && c.done);
	ck_assert_int_eq(a.code, ERR_NONE);
	ck_assert_str_eq(a.text, "{\"n\":1}");
	ck_assert_str_eq(b.text, "{\"n\":2}");
	ck_assert_str_eq(c.text, "{}");
	ck_assert_str_eq(head.method, "bare");
	ck_assert_str_eq(agent.method, "to.agent");
}
END_TEST

/* Calls made before the connection stands are sent when it does. */
START_TEST(early)
{
	struct outcome a = {0};

	agent.rpc = rpc_connect(base, address, "", &ops, &agent, NULL);
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	until(a.done);
	ck_assert_int_eq(a.code, ERR_NONE);
}
END_TEST

START_TEST(notification)
{
	joined();
	rpc_notify(agent.rpc, "event", number(1));
	rpc_notify(agent.rpc, "event", NULL);
	until(head.requests == 2);
	head.act = ACT_FAIL;
	rpc_notify(agent.rpc, "event", NULL);
	until(head.requests == 3);
	ck_assert_uint_eq(agent.requests, 0);
}
END_TEST

START_TEST(error_with_name)
{
	struct outcome a = {0};

	joined();
	head.act = ACT_FAIL;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	until(a.done);
	ck_assert_int_eq(a.code, ERR_NOT_FOUND);
	ck_assert_str_eq(a.text, "no such thing");
	ck_assert_str_eq(a.data, "{\"name\":\"not_found\"}");
}
END_TEST

START_TEST(error_with_data)
{
	struct outcome a = {0};
	struct err err;

	joined();
	head.act = ACT_KEEP;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	until(head.requests == 1);
	err_set(&err, ERR_REJECTED, "cut in the middle: \xc3");
	rpc_reply_error(steal(&head.kept[0]), &err, number(7));
	until(a.done);
	ck_assert_int_eq(a.code, ERR_REJECTED);
	ck_assert_str_eq(a.text, "cut in the middle: ?");
	ck_assert_str_eq(a.data, "{\"n\":7,\"name\":\"rejected\"}");
}
END_TEST

START_TEST(no_answer_in_time)
{
	struct outcome a = {0}, b = {0};

	joined();
	head.act = ACT_KEEP;
	rpc_call(agent.rpc, "m", NULL, 10 * USEC_PER_MSEC, on_done, &a);
	until(a.done);
	ck_assert_int_eq(a.code, ERR_TIMEOUT);
	/* The late answer goes nowhere, and the connection lives on. */
	until(head.requests == 1);
	rpc_reply(steal(&head.kept[0]), NULL);
	head.act = ACT_REPLY;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &b);
	until(b.done);
	ck_assert_int_eq(b.code, ERR_NONE);
	ck_assert_uint_eq(a.done, 1);
}
END_TEST

START_TEST(out_of_order)
{
	struct outcome a = {0}, b = {0};

	joined();
	head.act = ACT_KEEP;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &b);
	until(head.requests == 2);
	rpc_reply(steal(&head.kept[1]), json_object_new_int(2));
	until(b.done);
	ck_assert_uint_eq(a.done, 0);
	rpc_reply(steal(&head.kept[0]), json_object_new_int(1));
	until(a.done);
	ck_assert_str_eq(a.text, "1");
	ck_assert_str_eq(b.text, "2");
}
END_TEST

START_TEST(answered_after_the_end)
{
	struct outcome a = {0}, b = {0};
	struct err err;

	joined();
	head.act = ACT_KEEP;
	rpc_call(agent.rpc, "m", number(1), LONG_US, on_done, &a);
	rpc_call(agent.rpc, "m", number(2), LONG_US, on_done, &b);
	until(head.requests == 2);
	rpc_close(agent.rpc);
	agent.rpc = NULL;
	ck_assert_int_eq(a.code, ERR_UNAVAILABLE);
	ck_assert_int_eq(b.code, ERR_UNAVAILABLE);
	ck_assert_uint_eq(agent.closed, 0);
	until(head.closed == 1);
	ck_assert_str_eq(head.why, "closed by the peer");
	rpc_reply(steal(&head.kept[0]), json_object_new_object());
	err_set(&err, ERR_INTERNAL, "x");
	rpc_reply_error(steal(&head.kept[1]), &err, json_object_new_object());
}
END_TEST

START_TEST(peer_dies_during_calls)
{
	struct outcome a = {0}, b = {0};

	joined();
	head.act = ACT_CLOSE;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &b);
	until(agent.closed == 1);
	ck_assert_uint_eq(a.done + b.done, 2);
	ck_assert_int_eq(a.code, ERR_UNAVAILABLE);
	ck_assert_int_eq(b.code, ERR_UNAVAILABLE);
	ck_assert_uint_eq(head.requests, 1);
	ck_assert_uint_eq(head.closed, 0);
}
END_TEST

START_TEST(close_then_reply)
{
	struct outcome a = {0};

	joined();
	head.act = ACT_CLOSE_THEN_REPLY;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	until(agent.closed == 1);
	ck_assert_int_eq(a.code, ERR_UNAVAILABLE);
}
END_TEST

START_TEST(close_inside_done)
{
	struct outcome a = {0}, b = {0}, c = {0};

	joined();
	a.close = agent.rpc;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &b);
	c.close = agent.rpc;
	rpc_call(agent.rpc, "m", NULL, 1, on_done, &c);
	until(a.done && b.done && c.done);
	agent.rpc = NULL;
	until(head.closed == 1);
	ck_assert_uint_eq(a.done + b.done + c.done, 3);
	ck_assert_uint_eq(agent.closed, 0);
}
END_TEST

START_TEST(nobody_there)
{
	struct outcome a = {0};
	_cleanup_free_ char *to = xasprintf("unix:%s/none", dir);
	struct err err;

	agent.rpc = rpc_connect(base, to, "", &ops, &agent, NULL);
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	until(agent.closed == 1);
	ck_assert_uint_eq(agent.opened, 0);
	ck_assert_int_eq(a.code, ERR_UNAVAILABLE);
	ck_assert_ptr_null(rpc_connect(base, "nonsense", "", &ops, &agent, &err));
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

START_TEST(too_long)
{
	struct outcome a = {0}, b = {0}, c = {0};
	struct json_object *params = json_object_new_object();

	joined();
	json_object_object_add(params, "x", huge());
	rpc_call(agent.rpc, "m", params, LONG_US, on_done, &a);
	ck_assert_uint_eq(a.done, 0);
	until(a.done);
	ck_assert_int_eq(a.code, ERR_LIMIT);
	head.act = ACT_HUGE;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &b);
	until(b.done);
	ck_assert_int_eq(b.code, ERR_LIMIT);
	head.act = ACT_REPLY;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &c);
	until(c.done);
	ck_assert_int_eq(c.code, ERR_NONE);
}
END_TEST

START_TEST(call_inside_request)
{
	struct outcome a = {0};

	joined();
	head.act = ACT_CALL_BACK;
	rpc_call(agent.rpc, "m", NULL, LONG_US, on_done, &a);
	until(a.done && agent.requests == 1);
	ck_assert_str_eq(agent.method, "back");
}
END_TEST

/* A peer that sends more than may be pending is no longer read from, and loses nothing. */
START_TEST(pipelining)
{
	enum { CALLS = RPC_PENDING_MAX + 500 };
	static struct outcome a[CALLS];
	unsigned done = 0;

	joined();
	conn_set_idle(rpc_conn(head.rpc), 50 * USEC_PER_MSEC); /* must not run while we owe answers */
	head.act = ACT_KEEP;
	for (int i = 0; i < CALLS; i++) {
		rpc_call(agent.rpc, "m", number(i), LONG_US, on_done, &a[i]);
	}
	until(head.requests == RPC_PENDING_MAX);
	let_pass(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(head.closed, 0);
	ck_assert_uint_eq(head.requests, RPC_PENDING_MAX);
	for (unsigned i = 0; i < CALLS; i++) {
		until(head.kept[i]);
		rpc_reply(steal(&head.kept[i]), json_object_new_int((int)i));
	}
	until(a[CALLS - 1].done);
	for (int i = 0; i < CALLS; i++) {
		done += a[i].done && a[i].code == ERR_NONE && atoi(a[i].text) == i;
	}
	ck_assert_uint_eq(done, CALLS);
	/* Now the idle time runs. */
	until(head.closed == 1);
	ck_assert_ptr_nonnull(strstr(head.why, "idle"));
}
END_TEST

START_TEST(pipelined_bytes)
{
	static struct outcome a[6]; /* answered in teardown() */
	_cleanup_free_ char *text = xcalloc(RPC_PENDING_BYTES / 4 + 1, 1);

	joined();
	head.act = ACT_KEEP;
	memset(text, 'x', RPC_PENDING_BYTES / 4);
	for (int i = 0; i < 6; i++) {
		struct json_object *params = json_object_new_object();

		json_object_object_add(params, "x", json_object_new_string(text));
		rpc_call(agent.rpc, "m", params, LONG_US, on_done, &a[i]);
	}
	until(head.requests == 4);
	for (int i = 0; i < 100; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	ck_assert_uint_eq(head.requests, 4);
	rpc_reply(steal(&head.kept[0]), NULL);
	until(head.requests == 5);
}
END_TEST

/* ---- a peer that sends rubbish ---- */

static int bare(void)
{
	struct address to;
	int fd;

	ck_assert_int_eq(address_parse(address, &to, NULL), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to.sa, to.len), 0);
	until(head.rpc);
	return fd;
}

/* One line, from the peer to the head and back. */
static struct json_object *exchange(int fd, const char *line, size_t len)
{
	char buf[4096];
	size_t n = 0;

	ck_assert_int_eq(send(fd, line, len, 0), (int)len);
	ck_assert_int_eq(send(fd, "\n", 1, 0), 1);
	while (n == 0 || buf[n - 1] != '\n') {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - n, 0);

		ck_assert(got > 0 || (got < 0 && errno == EAGAIN));
		if (got > 0) {
			n += (size_t)got;
		} else {
			event_base_loop(base, EVLOOP_ONCE);
		}
	}
	return wire_parse(buf, n - 1, NULL);
}

#define LINE(s) s, sizeof(s) - 1

static const struct {
	const char *text;
	size_t len;
	int code;
	const char *id;
} rubbish[] = {
	{LINE("rubbish"), ERR_PARSE, "null"},
	{LINE(""), ERR_PARSE, "null"},
	{LINE("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"m\"}"), ERR_PARSE, "null"},
	{LINE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"a\":NaN}}"), ERR_PARSE, "null"},
	{LINE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\0\"}"), ERR_PARSE, "null"},
	{LINE("[[[[[[[[[[[[[[[[[[[[[[[["), ERR_LIMIT, "null"},
	{LINE("null"), ERR_REQUEST, "null"},
	{LINE("[]"), ERR_REQUEST, "null"},
	{LINE("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}"), ERR_REQUEST, "null"},
	{LINE("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":5}"), ERR_REQUEST, "5"},
	{LINE("{\"id\":\"x\",\"method\":\"m\"}"), ERR_REQUEST, "\"x\""},
	{LINE("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"m\",\"params\":[1]}"), ERR_PARAMS, "5"},
};

START_TEST(malformed)
{
	int fd = bare();
	struct json_object *answer = exchange(fd, rubbish[_i].text, rubbish[_i].len);
	struct wire_message message;

	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(wire_open(answer, &message, NULL), 0);
	ck_assert_int_eq(message.kind, WIRE_ERROR);
	ck_assert_msg(message.error_code == rubbish[_i].code, "%s: %d", rubbish[_i].text, message.error_code);
	ck_assert_str_eq(json_object_to_json_string(message.id), rubbish[_i].id);
	json_object_put(answer);
	/* The connection goes on. */
	answer = exchange(fd, LINE("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"m\"}"));
	ck_assert_int_eq(wire_open(answer, &message, NULL), 0);
	ck_assert_int_eq(message.kind, WIRE_RESULT);
	json_object_put(answer);
	ck_assert_uint_eq(head.requests, 1);
	close(fd);
	until(head.closed == 1);
}
END_TEST

/* Answers to calls nobody made, and errors of every shape, are dropped; a call's error code 0 is no success. */
START_TEST(strange_answers)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}\n"
				   "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}\n"
				   "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,\"message\":\"m\"}}\n"
				   "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":0,\"message\":\"zero\"}}\n"
				   "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";
	struct outcome a = {0};
	int fd = bare();

	rpc_call(head.rpc, "m", NULL, LONG_US, on_done, &a);
	ck_assert_int_eq(send(fd, text, sizeof(text) - 1, 0), (int)sizeof(text) - 1);
	until(a.done);
	ck_assert_int_eq(a.code, ERR_INTERNAL);
	ck_assert_str_eq(a.text, "zero");
	close(fd);
	until(head.closed == 1);
	ck_assert_uint_eq(a.done, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc");
	TCase *tcase = tcase_create("rpc");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, both_ways);
	tcase_add_test(tcase, early);
	tcase_add_test(tcase, notification);
	tcase_add_test(tcase, error_with_name);
	tcase_add_test(tcase, error_with_data);
	tcase_add_test(tcase, no_answer_in_time);
	tcase_add_test(tcase, out_of_order);
	tcase_add_test(tcase, answered_after_the_end);
	tcase_add_test(tcase, peer_dies_during_calls);
	tcase_add_test(tcase, close_then_reply);
	tcase_add_test(tcase, close_inside_done);
	tcase_add_test(tcase, nobody_there);
	tcase_add_test(tcase, too_long);
	tcase_add_test(tcase, call_inside_request);
	tcase_add_test(tcase, pipelining);
	tcase_add_test(tcase, pipelined_bytes);
	tcase_add_loop_test(tcase, malformed, 0, ARRAY_SIZE(rubbish));
	tcase_add_test(tcase, strange_answers);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
