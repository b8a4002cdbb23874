/*
 * Connections over real unix sockets and loopback TCP: lines, limits, deadlines, who is calling, and closing from
 * inside every callback. The far end is mostly a bare socket, so that it can misbehave.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "conn.h"
#include "socket_fixture.h"
#include "suite.h"
#include "util.h"
#include "wire.h"

enum act { ACT_NONE, ACT_CLOSE, ACT_ECHO, ACT_PAUSE };

/* What the accepting side has seen. */
static struct {
	struct conn *conn;
	unsigned accepted;
	unsigned lines;
	size_t last_len;
	char first[64]; /* of the last line */
	unsigned closed;
	char why[128];
	enum act act; /* on each line */
} server;

/* What the connecting side has seen, when it is a struct conn. */
static struct {
	struct conn *conn;
	unsigned opened;
	unsigned lines;
	unsigned closed;
	char why[128];
	bool close_on_open;
} client;

static void server_line(struct conn *conn, const char *line, size_t len, void *arg)
{
	ck_assert_ptr_eq(arg, &server);
	ck_assert_uint_eq(strlen(line), len);
	server.lines++;
	server.last_len = len;
	snprintf(server.first, sizeof(server.first), "%.60s", line);
	switch (server.act) {
	case ACT_NONE:
		break;
	case ACT_CLOSE:
		conn_send(conn, "bye\n", 4);
		conn_close(conn);
		server.conn = NULL;
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

static void server_closed(struct conn *conn, const char *why, void *arg)
{
	ck_assert_ptr_eq(arg, &server);
	server.closed++;
	snprintf(server.why, sizeof(server.why), "%s", why);
	conn_close(conn); /* harmless */
	server.conn = NULL;
}

static const struct conn_ops server_ops = {.line = server_line, .closed = server_closed};

static void accepted(struct conn *conn, void *arg)
{
	(void)arg;
	server.accepted++;
	server.conn = conn;
	conn_set_ops(conn, &server_ops, &server);
}

static void client_line(struct conn *conn, const char *line, size_t len, void *arg)
{
	(void)conn;
	(void)line;
	(void)len;
	(void)arg;
	client.lines++;
}

static void client_closed(struct conn *conn, const char *why, void *arg)
{
	(void)conn;
	(void)arg;
	client.closed++;
	client.conn = NULL;
	snprintf(client.why, sizeof(client.why), "%s", why);
}

static void client_opened(struct conn *conn, void *arg)
{
	(void)arg;
	client.opened++;
	if (client.close_on_open) {
		conn_close(conn);
		client.conn = NULL;
	}
}

static const struct conn_ops client_ops = {.line = client_line, .closed = client_closed, .opened = client_opened};

static void pass(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void setup(void)
{
	listen_begin(3, accepted);
}

static void teardown(void)
{
	if (server.conn) {
		conn_close(server.conn);
	}
	if (client.conn) {
		conn_close(client.conn);
	}
	listen_end();
}

static int bare(void)
{
	return bare_socket(&server.accepted);
}

/* Writes all, letting the loop run when the socket is full; false if the other end has closed. */
static bool push(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN) {
			return false;
		}
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		pass();
	}
	return true;
}

START_TEST(lines)
{
	int fd = bare();

	push(fd, "one\ntwo\n\nfo", 11);
	until(server.lines == 3);
	ck_assert_uint_eq(server.last_len, 0);
	push(fd, "ur\n", 3);
	until(server.lines == 4);
	ck_assert_str_eq(server.first, "four");
	close(fd);
	until(server.closed == 1);
	ck_assert_str_eq(server.why, "closed by the peer");
}
END_TEST

START_TEST(byte_by_byte)
{
	static const char text[] = "{\"a\":1}\n{\"b\":2}\n";
	int fd = bare();

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		push(fd, text + i, 1);
		ck_assert_uint_eq(server.lines, i >= 15 ? 2 : i >= 7 ? 1 : 0);
	}
	ck_assert_str_eq(server.first, "{\"b\":2}");
	close(fd);
	until(server.closed == 1);
}
END_TEST

START_TEST(who_is_calling)
{
	const struct conn_peer *peer;
	char expected[32];
	int fd = bare();

	snprintf(expected, sizeof(expected), "unix:%d", getpid());
	peer = conn_peer(server.conn);
	ck_assert(peer->local);
	ck_assert_uint_eq(peer->uid, getuid());
	ck_assert_uint_eq(peer->gid, getgid());
	ck_assert_int_eq(peer->pid, getpid());
	ck_assert_str_eq(peer->address, expected);
	close(fd);
	until(server.closed == 1);
}
END_TEST

START_TEST(longest_line)
{
	_cleanup_free_ char *line = xcalloc(WIRE_LINE_MAX + 1, 1);
	int fd = bare();

	memset(line, 'x', WIRE_LINE_MAX);
	line[WIRE_LINE_MAX] = '\n';
	ck_assert(push(fd, line, WIRE_LINE_MAX + 1));
	until(server.lines == 1);
	ck_assert_uint_eq(server.last_len, WIRE_LINE_MAX);
	ck_assert(push(fd, "x\n", 2));
	until(server.lines == 2);
	ck_assert_uint_eq(server.last_len, 1);
	close(fd);
	until(server.closed == 1);
}
END_TEST

START_TEST(line_too_long)
{
	_cleanup_free_ char *line = xcalloc(WIRE_LINE_MAX + 2, 1);
	int fd = bare();

	memset(line, 'x', WIRE_LINE_MAX + 1);
	line[WIRE_LINE_MAX + 1] = '\n';
	push(fd, line, WIRE_LINE_MAX + 2);
	until(server.closed == 1);
	ck_assert_uint_eq(server.lines, 0);
	ck_assert_ptr_nonnull(strstr(server.why, "line of more than"));
	close(fd);
}
END_TEST

START_TEST(endless_line)
{
	static char block[1 << 16];
	size_t sent = 0;
	int fd = bare();

	memset(block, 'x', sizeof(block));
	while (push(fd, block, sizeof(block))) {
		sent += sizeof(block);
		ck_assert_uint_lt(sent, 2 * WIRE_LINE_MAX);
	}
	until(server.closed == 1);
	ck_assert_uint_eq(server.lines, 0);
	close(fd);
}
END_TEST

/* Many lines in one go do not keep others waiting: each pass delivers a bounded number. */
START_TEST(flood)
{
	static char block[8192];
	int fd;

	fd = bare();
	memset(block, '\n', sizeof(block));
	ck_assert_int_eq(send(fd, block, sizeof(block), 0), (int)sizeof(block));
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_gt(server.lines, 0);
	ck_assert_uint_lt(server.lines, 1000);
	until(server.lines == sizeof(block));
	close(fd);
	until(server.closed == 1);
}
END_TEST

START_TEST(pausing)
{
	int fd = bare();

	server.act = ACT_PAUSE;
	push(fd, "a\nb\nc\n", 6);
	until(server.lines == 1);
	for (int i = 0; i < 10; i++) {
		pass();
	}
	ck_assert_uint_eq(server.lines, 1);
	server.act = ACT_NONE;
	conn_pause(server.conn, false);
	until(server.lines == 3);
	push(fd, "d\n", 2);
	until(server.lines == 4);
	close(fd);
	until(server.closed == 1);
}
END_TEST

/* A paused connection takes no more than its buffer from a peer that goes on writing. */
START_TEST(paused_is_bounded)
{
	static char block[1 << 16];
	size_t sent = 0;
	int stuck = 0;
	int fd = bare();

	memset(block, '\n', sizeof(block));
	server.act = ACT_PAUSE;
	while (stuck < 100) {
		ssize_t n = send(fd, block, sizeof(block), 0);

		sent += n > 0 ? (size_t)n : 0;
		stuck = n > 0 ? 0 : stuck + 1;
		pass();
		ck_assert_uint_lt(sent, 3 * WIRE_LINE_MAX);
	}
	ck_assert_uint_eq(server.lines, 1);
	close(fd);
}
END_TEST

START_TEST(slow_reader)
{
	static char block[1 << 20];
	int fd = bare();

	for (int i = 0; i < 100 && !server.closed; i++) {
		conn_send(server.conn, block, sizeof(block));
		ck_assert_uint_eq(server.closed, (unsigned)0); /* never from inside conn_send() */
		pass();
	}
	ck_assert_uint_eq(server.closed, 1);
	ck_assert_ptr_nonnull(strstr(server.why, "too slowly"));
	close(fd);
}
END_TEST

START_TEST(stalled_reader)
{
	static char block[4 << 20];
	int fd = bare();

	conn_set_stall(server.conn, 20 * USEC_PER_MSEC);
	conn_send(server.conn, block, sizeof(block));
	until(server.closed == 1);
	ck_assert_str_eq(server.why, "the peer does not read");
	close(fd);
}
END_TEST

START_TEST(idle)
{
	int fd = bare();

	conn_set_idle(server.conn, 20 * USEC_PER_MSEC);
	until(server.closed == 1);
	ck_assert_ptr_nonnull(strstr(server.why, "idle"));
	close(fd);
}
END_TEST

/* A byte now and then is not a line. */
START_TEST(dribble)
{
	int fd = bare();

	conn_set_idle(server.conn, 50 * USEC_PER_MSEC);
	while (!server.closed) {
		send(fd, "x", 1, MSG_NOSIGNAL);
		event_base_loop(base, EVLOOP_ONCE);
	}
	ck_assert_ptr_nonnull(strstr(server.why, "idle"));
	ck_assert_uint_eq(server.lines, 0);
	close(fd);
}
END_TEST

START_TEST(lines_keep_it_alive)
{
	int fd = bare();

	conn_set_idle(server.conn, 200 * USEC_PER_MSEC);
	for (int i = 0; i < 8; i++) {
		let_pass(50 * USEC_PER_MSEC);
		push(fd, "\n", 1);
	}
	ck_assert_uint_eq(server.closed, 0);
	ck_assert_uint_eq(server.lines, 8);
	close(fd);
	until(server.closed == 1);
}
END_TEST

START_TEST(held_is_not_idle)
{
	int fd = bare();

	conn_set_idle(server.conn, 10 * USEC_PER_MSEC);
	conn_hold(server.conn, true);
	let_pass(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(server.closed, 0);
	conn_hold(server.conn, false);
	until(server.closed == 1);
	close(fd);
}
END_TEST

START_TEST(close_inside_line)
{
	char text[16];
	int fd = bare();

	server.act = ACT_CLOSE;
	push(fd, "a\nb\nc\n", 6);
	until(server.lines == 1);
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), 4);
	ck_assert_str_eq(text, "bye\n");
	ck_assert_uint_eq(server.lines, 1);
	ck_assert_uint_eq(server.closed, 0);
	close(fd);
}
END_TEST

/* What was queued arrives, although more than the kernel's buffers hold was left when conn_close() was called. */
START_TEST(close_sends_the_rest)
{
	static char block[8 << 20];
	char text[16];
	int fd = bare();

	memset(block, 'x', sizeof(block));
	conn_send(server.conn, block, sizeof(block));
	conn_close(server.conn);
	server.conn = NULL;
	ck_assert_uint_eq(pull(fd, text, sizeof(text)), sizeof(block));
	ck_assert_uint_eq(server.closed, 0);
	close(fd);
}
END_TEST

START_TEST(too_many)
{
	int fd[4];
	char text[4];

	for (int i = 0; i < 3; i++) {
		fd[i] = bare();
	}
	fd[3] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	{
		struct address to;

		ck_assert_int_eq(address_parse(address, &to, NULL), 0);
		ck_assert_int_eq(connect(fd[3], (struct sockaddr *)&to.sa, to.len), 0);
	}
	ck_assert_uint_eq(pull(fd[3], text, sizeof(text)), 0);
	ck_assert_uint_eq(server.accepted, 3);
	close(fd[3]);
	/* One leaves, another may come. */
	close(fd[0]);
	until(server.closed == 1);
	fd[0] = bare();
	ck_assert_uint_eq(server.accepted, 4);
	for (int i = 0; i < 3; i++) {
		close(fd[i]);
	}
	until(server.closed == 4);
}
END_TEST

static void open_client(const char *to)
{
	struct err err;

	client.conn = conn_open(base, to, "", &client_ops, &client, &err);
	ck_assert_msg(client.conn != NULL, "%s", err.text);
}

START_TEST(connecting)
{
	open_client(address);
	conn_send(client.conn, "early\n", 6);
	ck_assert_uint_eq(client.opened, 0);
	server.act = ACT_ECHO;
	until(client.lines == 1);
	ck_assert_uint_eq(client.opened, 1);
	ck_assert(conn_peer(client.conn)->local);
	ck_assert_int_eq(conn_peer(client.conn)->pid, getpid());
	conn_close(server.conn);
	server.conn = NULL;
	until(client.closed == 1);
	ck_assert_str_eq(client.why, "closed by the peer");
}
END_TEST

START_TEST(close_inside_opened)
{
	client.close_on_open = true;
	open_client(address);
	until(client.opened == 1 && server.closed == 1);
	ck_assert_uint_eq(client.closed, 0);
}
END_TEST

START_TEST(close_before_opened)
{
	open_client(address);
	conn_close(client.conn);
	client.conn = NULL;
	pass();
	pass();
	ck_assert_uint_eq(client.opened + client.closed, 0);
}
END_TEST

START_TEST(nobody_listens)
{
	_cleanup_free_ char *to = xasprintf("unix:%s/none", dir);

	open_client(to);
	ck_assert_uint_eq(client.closed, 0);
	until(client.closed == 1);
	ck_assert_str_eq(client.why, strerror(ENOENT));
	open_client("127.0.0.1:1");
	until(client.closed == 2);
	ck_assert_str_eq(client.why, strerror(ECONNREFUSED));
}
END_TEST

static void over_tcp(const char *listen_on, const char *host)
{
	struct listener *tcp;
	struct err err;
	char to[64];

	tcp = listener_new(base, listen_on, "", 0666, 3, accepted, NULL, &err);
	ck_assert_msg(tcp != NULL, "%s", err.text);
	ck_assert_uint_gt(listener_port(tcp), 0);
	snprintf(to, sizeof(to), "%s:%u", host, listener_port(tcp));
	open_client(to);
	conn_send(client.conn, "hello\n", 6);
	until(server.lines == 1);
	ck_assert(!conn_peer(server.conn)->local);
	ck_assert_int_eq(strncmp(conn_peer(server.conn)->address, host, strlen(host)), 0);
	ck_assert_str_eq(conn_peer(client.conn)->address, to);
	/* The listener may go first. */
	listener_free(tcp);
	conn_close(client.conn);
	client.conn = NULL;
	until(server.closed == 1);
}

START_TEST(tcp4)
{
	over_tcp("127.0.0.1:0", "127.0.0.1");
}
END_TEST

START_TEST(tcp6)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct address at;

	ck_assert_int_eq(address_parse("[::1]:0", &at, NULL), 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&at.sa, at.len) == 0) {
		over_tcp("[::1]:0", "[::1]");
	}
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn");
	TCase *tcase = tcase_create("conn");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, lines);
	tcase_add_test(tcase, byte_by_byte);
	tcase_add_test(tcase, who_is_calling);
	tcase_add_test(tcase, longest_line);
	tcase_add_test(tcase, line_too_long);
	tcase_add_test(tcase, endless_line);
	tcase_add_test(tcase, flood);
	tcase_add_test(tcase, pausing);
	tcase_add_test(tcase, paused_is_bounded);
	tcase_add_test(tcase, slow_reader);
	tcase_add_test(tcase, stalled_reader);
	tcase_add_test(tcase, idle);
	tcase_add_test(tcase, dribble);
	tcase_add_test(tcase, lines_keep_it_alive);
	tcase_add_test(tcase, held_is_not_idle);
	tcase_add_test(tcase, close_inside_line);
	tcase_add_test(tcase, close_sends_the_rest);
	tcase_add_test(tcase, too_many);
	tcase_add_test(tcase, connecting);
	tcase_add_test(tcase, close_inside_opened);
	tcase_add_test(tcase, close_before_opened);
	tcase_add_test(tcase, nobody_listens);
	tcase_add_test(tcase, tcp4);
	tcase_add_test(tcase, tcp6);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
