/*
 * Peers that end their sending side and wait, as scripts do, and peers that are gone altogether: first connections,
 * then requests on them. The far end is a bare socket.
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

#define LONG_US (20 * USEC_PER_SEC)

enum act { ACT_NONE, ACT_ECHO, ACT_PAUSE };

/* The accepting side: a connection, or with rpcs set an RPC peer. */
static struct {
	bool rpcs;
	unsigned accepted;
	struct conn *conn;
	unsigned lines;
	enum act act; /* on each line */
	struct rpc *rpc;
	unsigned requests;
	bool keep; /* requests, instead of answering them */
	struct rpc_request *kept[4096];
	unsigned closed;
	char why[128];
} server;

static void on_line(struct conn *conn, const char *line, size_t len, void *arg)
{
	(void)arg;
	server.lines++;
	switch (server.act) {
	case ACT_NONE:
		break;
	case ACT_ECHO:
		conn_send(conn, line, len);
		conn_send(conn, "\n", 1);
		break;
	case ACT_PAUSE:
		conn_pause(conn, true);
		break;
	}
}

static void on_conn_closed(struct conn *conn, const char *why, void *arg)
{
	(void)conn;
	(void)arg;
	server.closed++;
	server.conn = NULL;
	snprintf(server.why, sizeof(server.why), "%s", why);
}

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	(void)rpc;
	(void)method;
	(void)params;
	(void)arg;
	if (server.keep) {
		server.kept[server.requests] = request;
	} else {
		rpc_reply(request, NULL);
	}
	server.requests++;
}

static void on_rpc_closed(struct rpc *rpc, const char *why, void *arg)
{
	(void)rpc;
	(void)arg;
	server.closed++;
	server.rpc = NULL;
	snprintf(server.why, sizeof(server.why), "%s", why);
}

static void accepted(struct conn *conn, void *arg)
{
	static const struct conn_ops conn_ops = {.line = on_line, .closed = on_conn_closed};
	static const struct rpc_ops rpc_ops = {.request = on_request, .closed = on_rpc_closed};

	(void)arg;
	server.accepted++;
	if (server.rpcs) {
		server.rpc = rpc_accept(base, conn, &rpc_ops, NULL);
	} else {
		server.conn = conn;
		conn_set_ops(conn, &conn_ops, NULL);
	}
}

static void setup(void)
{
	listen_begin(3, accepted);
}

static void setup_rpc(void)
{
	setup();
	server.rpcs = true;
}

static void teardown(void)
{
	if (server.conn) {
		conn_close(server.conn);
	}
	rpc_close(server.rpc);
	listen_end();
}

static int bare(void)
{
	return bare_socket(&server.accepted);
}

static void put(int fd, const char *data, size_t len)
{
	ck_assert_int_eq(send(fd, data, len, 0), (int)len);
}

static void half_close(int fd)
{
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
}

/* ---- connections ---- */

START_TEST(idle)
{
	int fd = bare();

	half_close(fd);
	until(server.closed == 1);
	ck_assert_str_eq(server.why, "closed by the peer");
	close(fd);
}
END_TEST

/* More lines than one pass delivers, and the end right behind them: none is lost but the one that is not whole. */
START_TEST(delivers)
{
	static char block[2000], text[sizeof(block) + 1];
	int fd = bare();

	for (size_t i = 0; i < sizeof(block); i += 2) {
		block[i] = 'x';
		block[i + 1] = '\n';
	}
	server.act = ACT_ECHO;
	put(fd, block, sizeof(block));
	put(fd, "part", 4);
	half_close(fd);
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), sizeof(block));
	ck_assert_mem_eq(text, block, sizeof(block));
	ck_assert_uint_eq(server.lines, sizeof(block) / 2);
	until(server.closed == 1);
	ck_assert_str_eq(server.why, "closed by the peer");
	close(fd);
}
END_TEST

START_TEST(paused)
{
	int fd = bare();

	server.act = ACT_PAUSE;
	put(fd, "a\nb\nc\n", 6);
	half_close(fd);
	for (unsigned i = 1; i <= 3; i++) {
		until(server.lines == i);
		let_pass(20 * USEC_PER_MSEC);
		ck_assert_uint_eq(server.lines, i);
		ck_assert_uint_eq(server.closed, 0);
		conn_pause(server.conn, false);
	}
	until(server.closed == 1);
	close(fd);
}
END_TEST

/* Paused only after the end was seen. */
START_TEST(paused_later)
{
	int fd = bare();

	conn_hold(server.conn, true);
	half_close(fd);
	let_pass(20 * USEC_PER_MSEC);
	conn_pause(server.conn, true);
	conn_pause(server.conn, false);
	let_pass(20 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.closed, 0);
	conn_hold(server.conn, false);
	until(server.closed == 1);
	close(fd);
}
END_TEST

START_TEST(held)
{
	char text[16];
	int fd = bare();

	conn_set_idle(server.conn, 10 * USEC_PER_MSEC);
	conn_hold(server.conn, true);
	half_close(fd);
	let_pass(50 * USEC_PER_MSEC);
	conn_send(server.conn, "one\n", 4);
	let_pass(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.closed, 0);
	conn_send(server.conn, "two\n", 4);
	conn_hold(server.conn, false);
	ck_assert_uint_eq(server.closed, 0); /* never from inside conn_hold() */
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), 8);
	ck_assert_str_eq(text, "one\ntwo\n");
	ck_assert_uint_eq(server.closed, 1);
	ck_assert_str_eq(server.why, "closed by the peer");
	close(fd);
}
END_TEST

START_TEST(unsent)
{
	static char block[8 << 20];
	char text[4];
	int fd = bare();

	conn_send(server.conn, block, sizeof(block));
	half_close(fd);
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), sizeof(block));
	ck_assert_uint_eq(server.closed, 1);
	close(fd);
}
END_TEST

START_TEST(bounded)
{
	int fd = bare();

	conn_set_linger(server.conn, 50 * USEC_PER_MSEC);
	conn_hold(server.conn, true);
	half_close(fd);
	until(server.closed == 1);
	ck_assert_ptr_nonnull(strstr(server.why, "long before"));
	close(fd);
}
END_TEST

START_TEST(stalled)
{
	static char block[4 << 20];
	int fd = bare();

	conn_set_stall(server.conn, 20 * USEC_PER_MSEC);
	conn_send(server.conn, block, sizeof(block));
	half_close(fd);
	until(server.closed == 1);
	ck_assert_str_eq(server.why, "the peer does not read");
	close(fd);
}
END_TEST

/* A peer that is gone waits for nothing: that is seen at once, or within a second if it had ended its side before. */
START_TEST(full_close_held)
{
	int fd = bare();

	conn_hold(server.conn, true);
	put(fd, "a\n", 2);
	close(fd);
	let_pass(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.lines, 1);
	ck_assert_uint_eq(server.closed, 1);
	ck_assert_str_eq(server.why, "closed by the peer");
	fd = bare();
	conn_hold(server.conn, true);
	half_close(fd);
	let_pass(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.closed, 1);
	conn_hold(server.conn, true); /* as for another request: we go on looking */
	close(fd);
	until(server.closed == 2);
	ck_assert_str_eq(server.why, "closed by the peer");
}
END_TEST

START_TEST(close_after_half_close)
{
	char text[16];
	int fd = bare();

	conn_hold(server.conn, true);
	half_close(fd);
	let_pass(20 * USEC_PER_MSEC);
	conn_send(server.conn, "bye\n", 4);
	conn_close(steal(&server.conn));
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), 4);
	ck_assert_uint_eq(server.closed, 0);
	close(fd);
}
END_TEST

/* Over TCP a half-close and a peer's death look the same until something is sent. */
START_TEST(over_tcp)
{
	struct listener *tcp = listener_new(base, "127.0.0.1:0", "", 0666, 3, accepted, NULL, NULL);
	struct linger reset = {.l_onoff = 1};
	char text[16];
	int fd;

	snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(tcp));
	fd = bare();
	conn_hold(server.conn, true);
	half_close(fd);
	let_pass(50 * USEC_PER_MSEC);
	conn_send(server.conn, "late\n", 5);
	conn_hold(server.conn, false);
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), 5);
	ck_assert_uint_eq(server.closed, 1);
	close(fd);
	fd = bare();
	conn_hold(server.conn, true);
	close(fd);
	let_pass(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.closed, 1);
	conn_send(server.conn, "late\n", 5); /* answered by a reset */
	until(server.closed == 2);
	fd = bare();
	conn_hold(server.conn, true);
	half_close(fd);
	let_pass(50 * USEC_PER_MSEC);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	until(server.closed == 3);
	listener_free(tcp);
}
END_TEST

/* ---- requests ---- */

/* n requests, and the end. */
static void ask_and_end(int fd, int n)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}\n";
	_cleanup_free_ char *text = xcalloc((size_t)n, sizeof(line));
	size_t len = 0;

	for (int i = 0; i < n; i++, len += sizeof(line) - 1) {
		memcpy(text + len, line, sizeof(line) - 1);
	}
	put(fd, text, len);
	half_close(fd);
}

/* How many lines come until the head closes. */
static unsigned answers(int fd)
{
	static char text[1 << 20];
	size_t len = pull(fd, text, sizeof(text));
	unsigned lines = 0;

	for (size_t i = 0; i < len; i++) {
		lines += text[i] == '\n';
	}
	ck_assert_uint_eq(server.closed, 1);
	ck_assert_str_eq(server.why, "closed by the peer");
	return lines;
}

/* What came of a call. */
struct outcome {
	unsigned done;
	enum err_code code;
};

static void on_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct outcome *outcome = arg;

	(void)result;
	(void)data;
	outcome->done++;
	outcome->code = err ? err->code : ERR_NONE;
}

START_TEST(answered_at_once)
{
	int fd = bare();

	ask_and_end(fd, 600);
	ck_assert_uint_eq(answers(fd), 600);
	close(fd);
}
END_TEST

START_TEST(one)
{
	int fd = bare();

	server.keep = true;
	ask_and_end(fd, 1);
	until(server.requests == 1);
	let_pass(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.closed, 0);
	rpc_reply(steal(&server.kept[0]), NULL);
	ck_assert_uint_eq(server.closed, 0); /* never from inside rpc_reply() */
	ck_assert_uint_eq(answers(fd), 1);
	close(fd);
}
END_TEST

/* More than may be pending: the rest waits in the buffers, and the end behind it. */
START_TEST(many)
{
	enum { N = RPC_PENDING_MAX + 500 };
	int fd = bare();
	struct err err;

	server.keep = true;
	ask_and_end(fd, N);
	until(server.requests == RPC_PENDING_MAX);
	err_set(&err, ERR_NOT_FOUND, "no such thing");
	for (int i = 0; i < N; i++) {
		ck_assert_uint_eq(server.closed, 0);
		until(server.kept[i]);
		if (i % 2) {
			rpc_reply(steal(&server.kept[i]), NULL);
		} else {
			rpc_reply_error(steal(&server.kept[i]), &err, NULL);
		}
	}
	ck_assert_uint_eq(answers(fd), N);
	close(fd);
}
END_TEST

/* Calls to a peer that sends no more end with the connection, not before its requests are answered. */
START_TEST(with_calls)
{
	struct outcome a = {0}, b = {0};
	int fd = bare();

	server.keep = true;
	ask_and_end(fd, 1);
	rpc_call(server.rpc, "m", NULL, LONG_US, on_done, &a);
	until(server.requests == 1);
	rpc_call(server.rpc, "m", NULL, LONG_US, on_done, &b);
	rpc_reply(steal(&server.kept[0]), NULL);
	ck_assert_uint_eq(answers(fd), 3);
	ck_assert_int_eq(a.code, ERR_UNAVAILABLE);
	ck_assert_int_eq(b.code, ERR_UNAVAILABLE);
	close(fd);
}
END_TEST

/* A subscriber has its answer, and what it waits for are no answers. */
START_TEST(subscriber)
{
	int fd = bare();

	ask_and_end(fd, 1);
	until(server.requests == 1);
	rpc_notify(server.rpc, "event", NULL);
	ck_assert_uint_eq(answers(fd), 2);
	close(fd);
}
END_TEST

START_TEST(full_close_while_pending)
{
	int fd = bare();

	server.keep = true;
	ask_and_end(fd, 2);
	until(server.requests == 2);
	close(fd);
	until(server.closed == 1);
	ck_assert_str_eq(server.why, "closed by the peer");
	rpc_reply(steal(&server.kept[0]), NULL);
	rpc_reply(steal(&server.kept[1]), NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("half_close");
	TCase *conns = tcase_create("conn");
	TCase *rpcs = tcase_create("rpc");

	tcase_add_checked_fixture(conns, setup, teardown);
	tcase_add_test(conns, idle);
	tcase_add_test(conns, delivers);
	tcase_add_test(conns, paused);
	tcase_add_test(conns, paused_later);
	tcase_add_test(conns, held);
	tcase_add_test(conns, unsent);
	tcase_add_test(conns, bounded);
	tcase_add_test(conns, stalled);
	tcase_add_test(conns, full_close_held);
	tcase_add_test(conns, close_after_half_close);
	tcase_add_test(conns, over_tcp);
	suite_add_tcase(suite, conns);
	tcase_add_checked_fixture(rpcs, setup_rpc, teardown);
	tcase_add_test(rpcs, answered_at_once);
	tcase_add_test(rpcs, one);
	tcase_add_test(rpcs, many);
	tcase_add_test(rpcs, with_calls);
	tcase_add_test(rpcs, subscriber);
	tcase_add_test(rpcs, full_close_while_pending);
	suite_add_tcase(suite, rpcs);
	return run_suite(suite);
}
