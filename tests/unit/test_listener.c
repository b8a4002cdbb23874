/* Listening: sockets in use, left behind or in the way, and peers that may not send plain text. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "address.h"
#include "conn.h"
#include "suite.h"
#include "util.h"

static struct event_base *base;
static struct listener *listener;
static char dir[] = "/tmp/tenure-listener-XXXXXX";
static char address[64];
static unsigned accepts;

/* Sets no ops, so that the connection is closed again. */
static void accepted(struct conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	accepts++;
}

static void no_line(struct conn *conn, const char *line, size_t len, void *arg)
{
	(void)conn;
	(void)line;
	(void)len;
	(void)arg;
}

static void no_end(struct conn *conn, const char *why, void *arg)
{
	(void)conn;
	(void)why;
	(void)arg;
}

static const struct conn_ops ops = {.line = no_line, .closed = no_end};

static void setup(void)
{
	struct err err;

	base = event_base_new();
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(address, sizeof(address), "unix:%s/s", dir);
	listener = listener_new(base, address, "", 0640, 3, accepted, NULL, &err);
	ck_assert_msg(listener != NULL, "%s", err.text);
}

static void teardown(void)
{
	listener_free(listener);
	event_base_free(base);
	ck_assert_int_eq(rmdir(dir), 0); /* the socket is gone */
}

/* Connects; once this returns 0 the listener has taken the connection and closed it. */
static ssize_t knock(const char *to)
{
	struct address at;
	ssize_t n;
	char byte;
	int fd;

	ck_assert_int_eq(address_parse(to, &at, NULL), 0);
	fd = socket(at.sa.ss_family, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&at.sa, at.len), 0);
	event_base_loop(base, EVLOOP_ONCE);
	n = recv(fd, &byte, 1, 0);
	close(fd);
	return n;
}

START_TEST(nobody_cares)
{
	ck_assert_int_eq(knock(address), 0);
	ck_assert_int_eq(knock(address), 0);
	ck_assert_uint_eq(accepts, 2);
}
END_TEST

START_TEST(port_taken)
{
	struct listener *tcp = listener_new(base, "127.0.0.1:0", "", 0666, 3, accepted, NULL, NULL);
	struct err err;
	char to[64];

	snprintf(to, sizeof(to), "127.0.0.1:%u", listener_port(tcp));
	ck_assert_ptr_null(listener_new(base, to, "", 0666, 3, accepted, NULL, &err));
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	listener_free(tcp);
}
END_TEST

START_TEST(socket_taken)
{
	_cleanup_free_ char *path = xasprintf("%s/s", dir);
	struct address to;
	struct stat st;
	struct err err;
	int fd;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	/* A living one is left alone. */
	ck_assert_ptr_null(listener_new(base, address, "", 0666, 3, accepted, NULL, &err));
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	ck_assert_int_eq(stat(path, &st), 0);
	listener_free(listener);
	/* A dead one is replaced. */
	ck_assert_int_eq(address_parse(address, &to, NULL), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&to.sa, to.len), 0);
	close(fd);
	listener = listener_new(base, address, "", 0666, 3, accepted, NULL, &err);
	ck_assert_msg(listener != NULL, "%s", err.text);
	ck_assert_int_eq(knock(address), 0);
	ck_assert_uint_eq(accepts, 1);
}
END_TEST

/* A server too busy to take another connection is alive, too. */
START_TEST(socket_of_a_busy_server)
{
	_cleanup_free_ char *path = xasprintf("%s/busy", dir);
	_cleanup_free_ char *to = xasprintf("unix:%s", path);
	int busy = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd[2];
	struct address at;
	struct err err;

	ck_assert_int_eq(address_parse(to, &at, NULL), 0);
	ck_assert_int_eq(bind(busy, (struct sockaddr *)&at.sa, at.len), 0);
	ck_assert_int_eq(listen(busy, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fd[i], (struct sockaddr *)&at.sa, at.len);
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_ptr_null(listener_new(base, to, "", 0666, 3, accepted, NULL, &err));
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	close(fd[0]);
	close(fd[1]);
	close(busy);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(file_in_the_way)
{
	_cleanup_free_ char *path = xasprintf("%s/file", dir);
	_cleanup_free_ char *to = xasprintf("unix:%s", path);
	struct err err;

	close(open(path, O_CREAT | O_WRONLY, 0600));
	ck_assert_ptr_null(listener_new(base, to, "", 0666, 3, accepted, NULL, &err));
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(plaintext_stays_home)
{
	static const char *const out[] = {"192.0.2.1:7440", "0.0.0.0:7440", "[2001:db8::1]:7440", "[::]:7440",
					  "[::ffff:192.0.2.1]:7440"};
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(out); i++) {
		ck_assert_ptr_null(conn_open(base, out[i], "10.0.0.0/8", &ops, NULL, &err));
		ck_assert_int_eq(err.code, ERR_DENIED);
		ck_assert_ptr_null(listener_new(base, out[i], "10.0.0.0/8", 0666, 1, accepted, NULL, &err));
		ck_assert_int_eq(err.code, ERR_DENIED);
	}
	ck_assert_ptr_null(conn_open(base, "127.0.0.1:1", "10.0.0.0", &ops, NULL, &err));
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

/* An address of this machine outside loopback; false if it has none. */
static bool own_address(char out[INET_ADDRSTRLEN])
{
	struct ifaddrs *list = NULL;
	bool found = false;

	ck_assert_int_eq(getifaddrs(&list), 0);
	for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !address_plaintext_ok(i->ifa_addr, "")) {
			inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, out, INET_ADDRSTRLEN);
			found = true;
		}
	}
	freeifaddrs(list);
	return found;
}

/* Who listens everywhere still takes only peers from the networks named. */
START_TEST(plaintext_peers)
{
	char own[INET_ADDRSTRLEN];
	struct listener *tcp;
	char to[64];

	if (!own_address(own)) {
		return;
	}
	tcp = listener_new(base, "0.0.0.0:0", "0.0.0.0/32", 0666, 3, accepted, NULL, NULL);
	ck_assert_ptr_nonnull(tcp);
	snprintf(to, sizeof(to), "%s:%u", own, listener_port(tcp));
	ck_assert_int_eq(knock(to), 0);
	ck_assert_uint_eq(accepts, 0);
	snprintf(to, sizeof(to), "127.0.0.1:%u", listener_port(tcp));
	ck_assert_int_eq(knock(to), 0);
	ck_assert_uint_eq(accepts, 1);
	listener_free(tcp);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listener");
	TCase *tcase = tcase_create("listener");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, nobody_cares);
	tcase_add_test(tcase, port_taken);
	tcase_add_test(tcase, socket_taken);
	tcase_add_test(tcase, socket_of_a_busy_server);
	tcase_add_test(tcase, file_in_the_way);
	tcase_add_test(tcase, plaintext_stays_home);
	tcase_add_test(tcase, plaintext_peers);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
