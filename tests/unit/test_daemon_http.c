/* The image repository over HTTP, on loopback: ranges, conditions, and requests that mean harm. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "clock.h"
#include "folder.h"
#include "http.h"
#include "http_range.h"
#include "images.h"
#include "sha256.h"
#include "suite.h"
#include "util.h"

#define SIZE (300 * 1024)
#define DEADLINE (400 * USEC_PER_MSEC)

static char dir[64];
static char data[SIZE];
static char digest[SHA256_HEX];
static struct event_base *base;
static struct images *images;
static struct http *http;

/* As the head does, and two names of which it depends on who asks and when. */
static enum http_verdict open_file(const char *name, const char *authorization, struct http_file *file, void *arg)
{
	ck_assert_ptr_eq(arg, &base);
	if (strcmp(name, "secret") == 0 && (!authorization || strcmp(authorization, "Bearer word") != 0)) {
		return HTTP_FORBIDDEN;
	}
	if (strcmp(name, "soon") == 0) {
		return HTTP_LATER;
	}
	file->fd = images_open(images, strcmp(name, "secret") == 0 ? digest : name, &file->size);
	snprintf(file->digest, sizeof(file->digest), "%s", digest);
	return file->fd < 0 ? HTTP_MISSING : HTTP_OPENED;
}

static struct http *serve(const char *address, struct err *err)
{
	struct http_settings settings = {
		.address = address, .plaintext = "", .prefix = "/images/", .deadline_us = DEADLINE};

	return http_new(base, &settings, open_file, &base, err);
}

static void setup(void)
{
	_cleanup_free_ char *path = NULL;
	struct err err = {0};
	FILE *out;

	strcpy(dir, "/tmp/tenure-test-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	base = event_base_new();
	images = images_new(base, dir, &err);
	ck_assert_msg(images != NULL, "%s", err.text);
	http = serve("127.0.0.1:0", &err);
	ck_assert_msg(http != NULL, "%s", err.text);
	for (size_t i = 0; i < SIZE; i++) {
		data[i] = (char)(i * 7 + i / 251);
	}
	sha256_hex(data, SIZE, digest);
	path = xasprintf("%s/%s", dir, digest);
	out = fopen(path, "we");
	fwrite(data, 1, SIZE, out);
	fclose(out);
}

static void teardown(void)
{
	http_free(http);
	images_free(images);
	event_base_free(base);
	folder_remove(dir);
}

/* ---- a client that sends bytes as they are, and gathers what comes until the server closes -------------------------
 */

struct client {
	int fd;
	struct event *readable;
	struct evbuffer *in;
	bool closed;
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	char chunk[16384];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	(void)what;
	if (n > 0) {
		evbuffer_add(client->in, chunk, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		client->closed = true;
		event_del(client->readable);
	}
}

/* The kernel completes the connection without the server's help, so this does not wait for it. */
static void client_open(struct client *client)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(http_port(http))};

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->closed = false;
	client->in = evbuffer_new();
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	evutil_make_socket_nonblocking(client->fd);
	client->readable = event_new(base, client->fd, EV_READ | EV_PERSIST, on_readable, client);
	event_add(client->readable, NULL);
}

/* A peer that has gone is no failure of the test: the answer says what became of it. */
static void client_send(struct client *client, const char *data_out, size_t len)
{
	ck_assert_int_ne(send(client->fd, data_out, len, MSG_NOSIGNAL), 0);
}

/* What came until the server closed the connection; the caller frees. */
static char *client_read_all(struct client *client, size_t *len)
{
	char *text;

	while (!client->closed) {
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	}
	*len = evbuffer_get_length(client->in);
	text = xcalloc(1, *len + 1);
	evbuffer_remove(client->in, text, *len);
	evbuffer_free(client->in);
	event_free(client->readable);
	close(client->fd);
	return text;
}

static char *exchange(const char *request, size_t *len)
{
	struct client client;

	client_open(&client);
	client_send(&client, request, strlen(request));
	return client_read_all(&client, len);
}

/* Method, path (%s = digest), headers; checks the status, gives the answer, and its body's place in it. */
static char *ask(const char *method, const char *path, const char *headers, int status, const char **body, size_t *len)
{
	_cleanup_free_ char *target = xasprintf(path, digest);
	_cleanup_free_ char *request =
		xasprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target, headers);
	char *answer = exchange(request, len);
	char start[32];
	char *end;

	snprintf(start, sizeof(start), "HTTP/1.1 %d ", status);
	ck_assert_msg(strncmp(answer, start, strlen(start)) == 0, "%s%s-> %.60s", request, headers, answer);
	end = strstr(answer, "\r\n\r\n");
	ck_assert_ptr_nonnull(end);
	*body = end + 4;
	*len -= (size_t)(end + 4 - answer);
	end[2] = '\0';
	return answer;
}

static void status_is(const char *method, const char *path, const char *headers, int status)
{
	const char *body;
	size_t len;

	free(ask(method, path, headers, status, &body, &len));
}

/* ---- what it is for -------------------------------------------------------------------------------------------------
 */

START_TEST(gets_a_whole_file)
{
	_cleanup_free_ char *etag = xasprintf("ETag: \"%s\"\r\n", digest);
	const char *body;
	size_t len;
	_cleanup_free_ char *answer = ask("GET", "/images/%s", "", 200, &body, &len);

	ck_assert_uint_eq(len, SIZE);
	ck_assert_int_eq(memcmp(body, data, SIZE), 0);
	ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 307200\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "Accept-Ranges: bytes\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, etag));
}
END_TEST

START_TEST(asks_who_and_when)
{
	status_is("GET", "/images/secret", "Authorization: Bearer word\r\n", 200);
	status_is("GET", "/images/secret", "Authorization: Bearer other\r\n", 403);
	status_is("GET", "/images/secret", "", 403);
	status_is("GET", "/images/soon", "", 503);
	status_is("GET", "/images/", "", 404);
}
END_TEST

START_TEST(head_has_no_body)
{
	const char *body;
	size_t len;
	_cleanup_free_ char *answer = ask("HEAD", "/images/%s", "", 200, &body, &len);

	ck_assert_uint_eq(len, 0);
	ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 307200\r\n"));
	status_is("HEAD", "/images/none", "", 404);
}
END_TEST

START_TEST(gets_parts)
{
	static const struct {
		const char *range;
		size_t first, len;
		const char *content_range;
	} rows[] = {
		{"bytes=0-0", 0, 1, "bytes 0-0/307200"},
		{"bytes=100-199", 100, 100, "bytes 100-199/307200"},
		{"bytes=307199-", 307199, 1, "bytes 307199-307199/307200"},
		{"bytes=5000-", 5000, SIZE - 5000, "bytes 5000-307199/307200"},
		{"bytes=-10", SIZE - 10, 10, "bytes 307190-307199/307200"},
		{"bytes=-999999999", 0, SIZE, "bytes 0-307199/307200"},
		{"bytes=100000-99999999999999999999999", 100000, SIZE - 100000, "bytes 100000-307199/307200"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *header = xasprintf("Range: %s\r\n", rows[i].range);
		_cleanup_free_ char *expect = xasprintf("Content-Range: %s\r\n", rows[i].content_range);
		const char *body;
		size_t len;
		_cleanup_free_ char *answer = ask("GET", "/images/%s", header, 206, &body, &len);

		ck_assert_uint_eq(len, rows[i].len);
		ck_assert_int_eq(memcmp(body, data + rows[i].first, len), 0);
		ck_assert_msg(strstr(answer, expect) != NULL, "%s", answer);
	}
}
END_TEST

START_TEST(parts_that_do_not_exist)
{
	static const char *const ranges[] = {"bytes=307200-", "bytes=99999999999999999999-", "bytes=-0"};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		_cleanup_free_ char *header = xasprintf("Range: %s\r\n", ranges[i]);
		const char *body;
		size_t len;
		_cleanup_free_ char *answer = ask("GET", "/images/%s", header, 416, &body, &len);

		ck_assert_uint_eq(len, 0);
		ck_assert_ptr_nonnull(strstr(answer, "Content-Range: bytes */307200\r\n"));
	}
}
END_TEST

START_TEST(ranges_that_are_ignored)
{
	static const char *const ranges[] = {"bytes=0-1,5-6", "lines=1-2", "bytes=5-1",  "bytes=x-",
					     "bytes=",        "bytes=-",   "bytes=1-2x", "bytes=--5"};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		_cleanup_free_ char *header = xasprintf("Range: %s\r\n", ranges[i]);

		status_is("GET", "/images/%s", header, 200);
	}
}
END_TEST

START_TEST(conditions)
{
	_cleanup_free_ char *same = xasprintf("If-None-Match: \"%s\"\r\n", digest);
	_cleanup_free_ char *among = xasprintf("If-None-Match: \"other\", W/\"%s\"\r\n", digest);
	_cleanup_free_ char *resume = xasprintf("If-Range: \"%s\"\r\nRange: bytes=9-\r\n", digest);
	const char *body;
	size_t len;
	_cleanup_free_ char *answer = ask("GET", "/images/%s", same, 304, &body, &len);

	ck_assert_uint_eq(len, 0);
	status_is("GET", "/images/%s", among, 304);
	status_is("GET", "/images/%s", "If-None-Match: *\r\n", 304);
	status_is("GET", "/images/%s", "If-None-Match: \"other\"\r\n", 200);
	status_is("GET", "/images/%s", resume, 206);
	status_is("GET", "/images/%s", "If-Range: \"other\"\r\nRange: bytes=9-\r\n", 200);
}
END_TEST

START_TEST(keeps_a_connection)
{
	_cleanup_free_ char *request = xasprintf("GET /images/%s HTTP/1.1\r\nHost: x\r\nRange: bytes=0-4\r\n\r\n"
						 "GET /images/%s HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n"
						 "Connection: close\r\n\r\n",
						 digest, digest);
	size_t len;
	_cleanup_free_ char *answer = exchange(request, &len);
	const char *second = memmem(answer + 1, len - 1, "HTTP/1.1 206 ", 13);

	ck_assert_ptr_nonnull(second);
	ck_assert_int_eq(memcmp(answer + len - 5, data + 5, 5), 0);
	ck_assert_int_eq(memcmp(second - 5, data, 5), 0);
}
END_TEST

/* ---- what it refuses ---- */

START_TEST(refuses_other_paths)
{
	static const char *const paths[] = {
		"/",
		"/images",
		"/images/",
		"/images/..",
		"/images/../tenure.db",
		"/images/%%2e%%2e/tenure.db",
		"/images/%s/",
		"/images/%.63s",
		"/images/0%s",
		"//images/%s",
		"/rpc",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		status_is("GET", paths[i], "", 404);
	}
	status_is("GET", "/images/%s%%00", "", 400);
	status_is("GET", "/images/%%00%s", "", 400);
}
END_TEST

START_TEST(refuses_other_methods)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		const char *body;
		size_t len;
		_cleanup_free_ char *answer = ask(methods[i], "/images/%s", "Content-Length: 0\r\n", 405, &body, &len);

		ck_assert_ptr_nonnull(strstr(answer, "Allow: GET, HEAD\r\n"));
	}
	status_is("POST", "/rpc", "Content-Length: 0\r\n", 404);
}
END_TEST

START_TEST(refuses_unclear_framing)
{
	status_is("POST", "/images/%s", "Content-Length: 0\r\nContent-Length: 5\r\n", 400);
	status_is("GET", "/images/%s", "Content-Length: 0\r\nContent-Length: 5\r\n", 400);
	status_is("GET", "/images/%s", "Content-Length: 5\r\n\r\nhello", 400);
	status_is("GET", "/images/%s", "Content-Length: -1\r\n", 400);
	status_is("GET", "/images/%s", "Transfer-Encoding: chunked\r\n\r\n0\r\n", 400);
	status_is("GET", "/images/%s", "Content-Length: 0\r\nContent-Length: 0\r\n", 200);
}
END_TEST

/* What follows an unclear request is not taken for another one. */
START_TEST(does_not_read_on_after_a_refusal)
{
	_cleanup_free_ char *request =
		xasprintf("GET /images/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n"
			  "GET /images/%s HTTP/1.1\r\nHost: x\r\n\r\n",
			  digest, digest);
	size_t len;
	_cleanup_free_ char *answer = exchange(request, &len);

	ck_assert_int_eq(strncmp(answer, "HTTP/1.1 400 ", 13), 0);
	ck_assert_ptr_null(memmem(answer, len, "HTTP/1.1 200 ", 13));
}
END_TEST

START_TEST(limits_headers_and_bodies)
{
	_cleanup_free_ char *filler = xcalloc(1, 20001);
	_cleanup_free_ char *header = NULL;
	_cleanup_free_ char *request = NULL;
	_cleanup_free_ char *post = NULL;
	_cleanup_free_ char *answer = NULL;
	size_t len;

	memset(filler, 'a', 20000);
	request = xasprintf("GET /images/%s HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", digest, filler);
	header = exchange(request, &len);
	ck_assert_ptr_null(strstr(header, " 200 "));
	post = xasprintf("POST /images/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n%s", digest, filler);
	answer = exchange(post, &len);
	ck_assert_msg(strncmp(answer, "HTTP/1.1 413 ", 13) == 0, "%.60s", answer);
}
END_TEST

START_TEST(refuses_noise)
{
	size_t len;
	_cleanup_free_ char *answer = exchange("\x16\x03\x01\x02 hello\r\n\r\n", &len);

	ck_assert_ptr_null(strstr(answer, " 200 "));
}
END_TEST

/* A byte now and then keeps an idle time-out away, but not the deadline of the whole request. */
struct drip {
	struct client client;
	struct event *timer;
	size_t sent;
};

static void on_drip(evutil_socket_t fd, short what, void *arg)
{
	static const char request[] = "GET /images/0 HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	struct drip *drip = arg;

	(void)fd;
	(void)what;
	if (!drip->client.closed && drip->sent < sizeof(request) - 1) {
		client_send(&drip->client, request + drip->sent++, 1);
	}
}

START_TEST(cuts_off_a_slow_request)
{
	struct timeval tv = {.tv_usec = 20000};
	struct drip drip = {0};
	mono_us began = clock_mono();
	size_t len;

	client_open(&drip.client);
	drip.timer = event_new(base, -1, EV_PERSIST, on_drip, &drip);
	event_add(drip.timer, &tv);
	free(client_read_all(&drip.client, &len));
	event_free(drip.timer);
	ck_assert_int_ge(clock_mono() - began, DEADLINE);
	ck_assert_int_lt(clock_mono() - began, 10 * DEADLINE);
	ck_assert_uint_gt(drip.sent, 3);
}
END_TEST

START_TEST(cuts_off_silent_and_idle_ones)
{
	struct client silent, idle;
	_cleanup_free_ char *request = xasprintf("HEAD /images/%s HTTP/1.1\r\nHost: x\r\n\r\n", digest);
	size_t len;

	client_open(&silent);
	client_open(&idle);
	client_send(&idle, request, strlen(request));
	free(client_read_all(&silent, &len));
	free(client_read_all(&idle, &len));
	ck_assert_uint_gt(len, 0);
	/* And the server goes on. */
	status_is("GET", "/images/%s", "", 200);
}
END_TEST

/* More than the limit at once: the rest waits in the kernel, and all are served as others go. */
START_TEST(survives_many_connections)
{
	enum { MANY = HTTP_CONNECTIONS_MAX + 40 };
	struct client *clients = xcalloc(MANY, sizeof(*clients));
	_cleanup_free_ char *request =
		xasprintf("HEAD /images/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", digest);
	struct rlimit files;
	size_t len;

	/* Both ends of each connection are ours. */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (int i = 0; i < MANY; i++) {
		client_open(&clients[i]);
		if (i >= HTTP_CONNECTIONS_MAX) {
			client_send(&clients[i], request, strlen(request));
		}
		/* The server accepts as we go, or the kernel's queue of 128 would hold us up. */
		ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	}
	for (int i = 0; i < MANY; i++) {
		_cleanup_free_ char *answer = client_read_all(&clients[i], &len);

		ck_assert(i < HTTP_CONNECTIONS_MAX || strncmp(answer, "HTTP/1.1 200 ", 13) == 0);
	}
	free(clients);
}
END_TEST

START_TEST(listens_where_it_may)
{
	struct err err = {0};

	ck_assert_ptr_null(serve("0.0.0.0:0", &err));
	ck_assert_int_eq(err.code, ERR_DENIED);
	ck_assert_ptr_null(serve("nonsense", &err));
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

START_TEST(etags)
{
	ck_assert(http_etag_matches("\"a\"", "\"a\""));
	ck_assert(http_etag_matches(" \"b\" , \"a\"", "\"a\""));
	ck_assert(!http_etag_matches("\"ab\"", "\"a\""));
	ck_assert(!http_etag_matches("\"a\"b", "\"a\""));
	ck_assert(!http_etag_matches("", "\"a\""));
	ck_assert(!http_etag_matches(NULL, "\"a\""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_http");
	TCase *tcase = tcase_create("http");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 15);
	tcase_add_test(tcase, gets_a_whole_file);
	tcase_add_test(tcase, asks_who_and_when);
	tcase_add_test(tcase, head_has_no_body);
	tcase_add_test(tcase, gets_parts);
	tcase_add_test(tcase, parts_that_do_not_exist);
	tcase_add_test(tcase, ranges_that_are_ignored);
	tcase_add_test(tcase, conditions);
	tcase_add_test(tcase, keeps_a_connection);
	tcase_add_test(tcase, refuses_other_paths);
	tcase_add_test(tcase, refuses_other_methods);
	tcase_add_test(tcase, refuses_unclear_framing);
	tcase_add_test(tcase, does_not_read_on_after_a_refusal);
	tcase_add_test(tcase, limits_headers_and_bodies);
	tcase_add_test(tcase, refuses_noise);
	tcase_add_test(tcase, cuts_off_a_slow_request);
	tcase_add_test(tcase, cuts_off_silent_and_idle_ones);
	tcase_add_test(tcase, survives_many_connections);
	tcase_add_test(tcase, listens_where_it_may);
	tcase_add_test(tcase, etags);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
