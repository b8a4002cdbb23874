/*
 * Staging from a server that does as it is told: every way in which a transfer can go wrong, and what then is and is
 * not in the pool.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "sha256.h"
#include "stage.h"
#include "suite.h"
#include "util.h"

#define SIZE 300000

enum behaviour {
	GOOD,
	FLIPPED, /* one bit is wrong */
	LONGER,  /* than stated, with an honest length */
	ENDLESS, /* chunked, never ends */
	SHORTER,
	MISSING, /* 404 */
	ERROR_ONCE,
	CUT_ONCE, /* resets in the middle, then serves ranges */
	CUT_ONCE_NO_RANGES,
	CUT_ONCE_CHANGED, /* ... and serves something else afterwards, once */
	STALL_ONCE,
	TO_FILE, /* redirects to file:// */
	TO_SELF, /* redirects for ever */
	TO_GOOD,
	TO_LINK_LOCAL,
};

static char folder[64];
static char pool_dir[100];
static unsigned char content[SIZE];
static char digest[SHA256_HEX];
static struct event_base *base;
static struct evhttp *server;
static unsigned port;
static enum behaviour behaviour;
static unsigned requests;
static char last_range[64];
static struct pool *pool;
static struct stage *stage;
static struct part *part;

/* ---- the server ---- */

static void add_content(struct evbuffer *out, size_t from, size_t to, bool flip)
{
	evbuffer_add(out, content + from, to - from);
	if (flip) {
		unsigned char *byte = evbuffer_pullup(out, -1);

		byte[0] ^= 1;
	}
}

/* Promises everything, sends a part, and then cuts the connection or falls silent. */
static void send_half(struct evhttp_request *request, bool cut)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	int fd = (int)bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
	struct evbuffer *out = evbuffer_new();

	evbuffer_add_printf(out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
	add_content(out, 0, SIZE / 2, false);
	/* All at once and past libevent: the socket takes this much. */
	while (evbuffer_get_length(out) > 0) {
		ck_assert_int_gt(evbuffer_write(out, fd), 0);
	}
	if (cut) {
		shutdown(fd, SHUT_RDWR);
	}
	evbuffer_free(out);
}

static void send_good(struct evhttp_request *request, bool ranges, bool flip)
{
	const char *range = evhttp_find_header(evhttp_request_get_input_headers(request), "Range");
	struct evbuffer *out = evbuffer_new();
	unsigned from = 0;
	char text[64];

	if (ranges && range && sscanf(range, "bytes=%u-", &from) == 1) {
		snprintf(text, sizeof(text), "bytes %u-%u/%u", from, SIZE - 1, SIZE);
		evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Range", text);
	}
	add_content(out, from, SIZE, flip);
	evhttp_send_reply(request, from ? 206 : 200, "OK", out);
	evbuffer_free(out);
}

static void redirect(struct evhttp_request *request, const char *format)
{
	char url[100];

	snprintf(url, sizeof(url), format, port);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Location", url);
	evhttp_send_reply(request, 302, "Found", NULL);
}

static void send_of_length(struct evhttp_request *request, size_t len)
{
	struct evbuffer *out = evbuffer_new();

	add_content(out, 0, len < SIZE ? len : SIZE, false);
	while (evbuffer_get_length(out) < len) {
		evbuffer_add(out, "x", 1);
	}
	evhttp_send_reply(request, 200, "OK", out);
	evbuffer_free(out);
}

static void send_endless(struct evhttp_connection *connection, void *arg)
{
	struct evbuffer *out = evbuffer_new();

	(void)connection;
	evbuffer_add(out, content, 50000);
	evhttp_send_reply_chunk_with_cb(arg, out, send_endless, arg);
	evbuffer_free(out);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	const char *range = evhttp_find_header(evhttp_request_get_input_headers(request), "Range");
	bool first = requests++ == 0;

	(void)arg;
	snprintf(last_range, sizeof(last_range), "%s", range ? range : "");
	switch (behaviour) {
	case GOOD:
		send_good(request, true, false);
		break;
	case FLIPPED:
		send_good(request, true, true);
		break;
	case LONGER:
		send_of_length(request, SIZE + 1);
		break;
	case ENDLESS:
		evhttp_send_reply_start(request, 200, "OK");
		send_endless(NULL, request);
		break;
	case SHORTER:
		send_of_length(request, SIZE - 1);
		break;
	case MISSING:
		evhttp_send_error(request, 404, NULL);
		break;
	case ERROR_ONCE:
		if (first) {
			evhttp_send_error(request, 500, NULL);
		} else {
			send_good(request, true, false);
		}
		break;
	case CUT_ONCE:
	case CUT_ONCE_NO_RANGES:
	case CUT_ONCE_CHANGED:
		if (first) {
			send_half(request, true);
		} else {
			send_good(request, behaviour != CUT_ONCE_NO_RANGES,
				  behaviour == CUT_ONCE_CHANGED && requests == 2);
		}
		break;
	case STALL_ONCE:
		if (first) {
			send_half(request, false);
		} else {
			send_good(request, true, false);
		}
		break;
	case TO_FILE:
		redirect(request, "file:///etc/hostname");
		break;
	case TO_SELF:
		redirect(request, "http://127.0.0.1:%u/again");
		break;
	case TO_GOOD:
		if (first) {
			redirect(request, "http://127.0.0.1:%u/image");
		} else {
			send_good(request, true, false);
		}
		break;
	case TO_LINK_LOCAL:
		redirect(request, "http://169.254.169.254/image");
		break;
	}
}

/* ---- the stage ---- */

static void on_changed(bool finished, void *arg)
{
	(void)arg;
	if (finished) {
		event_base_loopbreak(base);
	}
}

static const struct stage_ops ops = {.changed = on_changed};

static struct part_image image_of(uint64_t id, const char *path)
{
	struct part_image image = {.id = id, .name = xstrdup("i"), .cmdline = xstrdup(""), .files = 1};

	image.file[0].role = xstrdup("disk");
	image.file[0].url = xasprintf("http://127.0.0.1:%u%s", port, path);
	image.file[0].size = SIZE;
	memcpy(image.file[0].digest, digest, sizeof(digest));
	image.deadline_us = WALL_NEVER;
	return image;
}

static void setup(void)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	evthread_use_pthreads();
	strcpy(folder, "/tmp/tenure-test-stage-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(pool_dir, sizeof(pool_dir), "%s/pool", folder);
	for (size_t i = 0; i < SIZE; i++) {
		content[i] = (unsigned char)(i * 7 + i / 251);
	}
	sha256_hex(content, SIZE, digest);
	base = event_base_new();
	server = evhttp_new(base);
	bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
	ck_assert_ptr_nonnull(bound);
	getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
	port = ntohs(address.sin_port);
	evhttp_set_gencb(server, on_request, NULL);
	requests = 0;
	part = xcalloc(1, sizeof(*part));
	part->images = xcalloc(2, sizeof(*part->images));
	part->image_count = 1;
	part->images[0] = image_of(1, "/image");
}

static void start(int64_t limit)
{
	struct stage_settings settings = {
		.max_size = 2 * SIZE,
		.parallel = 2,
		.connect_timeout_us = 5 * USEC_PER_SEC,
		.stall_timeout_us = USEC_PER_SEC,
		.stall_rate = 1000,
		.retry_us = 20 * USEC_PER_MSEC,
	};
	struct err err;

	pool = pool_open(pool_dir, limit, &err);
	ck_assert_msg(pool, "%s", err.text);
	stage = stage_new(base, pool, "", &settings, &ops, NULL, &err);
	ck_assert_msg(stage, "%s", err.text);
}

static void stop(void)
{
	stage_free(steal(&stage));
	pool_free(steal(&pool));
}

static void teardown(void)
{
	_cleanup_free_ char *file = xasprintf("%s/%s", pool_dir, digest);
	_cleanup_free_ char *unfinished = xasprintf("%s.part", file);

	stop();
	part_free(part);
	evhttp_free(server);
	event_base_free(base);
	unlink(file);
	unlink(unfinished);
	rmdir(pool_dir);
	rmdir(folder);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	event_base_loopbreak(base);
}

static void run_for(span_us span)
{
	struct timeval timeout = {.tv_sec = span / USEC_PER_SEC, .tv_usec = span % USEC_PER_SEC};
	struct event *timer = evtimer_new(base, on_timeout, NULL);

	event_add(timer, &timeout);
	event_base_dispatch(base);
	event_free(timer);
}

static struct report_image fetch(enum behaviour how, span_us limit)
{
	struct report_image state;

	behaviour = how;
	start(10 * SIZE);
	stage_want(stage, part);
	run_for(limit);
	stage_image(stage, &part->images[0], &state);
	return state;
}

static bool exists(const char *suffix)
{
	_cleanup_free_ char *path = xasprintf("%s/%s%s", pool_dir, digest, suffix);

	return access(path, F_OK) == 0;
}

static void check_present(const struct report_image *state)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", pool_dir, digest);
	_cleanup_free_ char *data = file_read(path, SIZE + 1, NULL);

	ck_assert_msg(state->state == POOL_PRESENT, "%s: %s", pool_state_name(state->state), state->text);
	ck_assert_int_eq(state->bytes, SIZE);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(memcmp(data, content, SIZE), 0);
	ck_assert(!exists(".part"));
	ck_assert(pool_has(pool, digest, SIZE));
}

static void check_bad(const struct report_image *state, const char *text)
{
	ck_assert_int_eq(state->state, POOL_BAD);
	ck_assert_msg(strstr(state->text, text), "%s", state->text);
	ck_assert(!exists("") && !exists(".part"));
	ck_assert_int_eq(pool_used(pool), 0);
}

/* ---- tests ---- */

#define LIMIT (10 * USEC_PER_SEC)

START_TEST(good)
{
	struct report_image state = fetch(GOOD, LIMIT);

	check_present(&state);
	ck_assert_uint_eq(requests, 1);
	stop();
	/* It is there after a restart, and not fetched again. */
	fetch(GOOD, 50 * USEC_PER_MSEC);
	stage_image(stage, &part->images[0], &state);
	check_present(&state);
	ck_assert_uint_eq(requests, 1);
}
END_TEST

START_TEST(bad)
{
	static const struct {
		enum behaviour behaviour;
		unsigned requests;
		const char *text;
	} bads[] = {
		{FLIPPED, 1, "its sha256 is"},
		{LONGER, 1, "the server has 300001 bytes, stated are 300000"},
		{ENDLESS, 1, "more than the stated 300000"},
		{SHORTER, 1, "the server has 299999 bytes"},
		{MISSING, 3, "status 404"},
		{TO_FILE, 3, "file"},
		{TO_SELF, 12, "redirects"},
		{TO_LINK_LOCAL, 3, "not fetched from"},
	};
	struct report_image state = fetch(bads[_i].behaviour, LIMIT);

	check_bad(&state, bads[_i].text);
	ck_assert_uint_eq(requests, bads[_i].requests);
}
END_TEST

START_TEST(passing_trouble)
{
	static const enum behaviour troubles[] = {ERROR_ONCE,       CUT_ONCE,   CUT_ONCE_NO_RANGES,
						  CUT_ONCE_CHANGED, STALL_ONCE, TO_GOOD};
	struct report_image state = fetch(troubles[_i], LIMIT);

	check_present(&state);
	ck_assert_uint_eq(requests, troubles[_i] == CUT_ONCE_CHANGED ? 3 : 2);
	if (troubles[_i] == CUT_ONCE || troubles[_i] == STALL_ONCE) {
		ck_assert_str_eq(last_range, "bytes=150000-");
	}
}
END_TEST

START_TEST(resumed_after_restart)
{
	_cleanup_free_ char *path = xasprintf("%s/%s.part", pool_dir, digest);
	struct report_image state;
	struct err err;

	ck_assert_int_eq(dir_make(pool_dir, 0755, &err), 0);
	ck_assert_int_eq(file_replace(path, content, 200000, 0644, &err), 0);
	state = fetch(GOOD, LIMIT);
	check_present(&state);
	ck_assert_str_eq(last_range, "bytes=200000-");
}
END_TEST

START_TEST(damaged_left_over)
{
	_cleanup_free_ char *path = xasprintf("%s/%s.part", pool_dir, digest);
	struct report_image state;
	struct err err;

	ck_assert_int_eq(dir_make(pool_dir, 0755, &err), 0);
	ck_assert_int_eq(file_replace(path, content + 1, 1000 + (size_t)_i * (SIZE - 1001), 0644, &err), 0);
	state = fetch(GOOD, LIMIT);
	check_present(&state);
	ck_assert_str_eq(last_range, "");
}
END_TEST

START_TEST(no_server)
{
	struct report_image state;

	evhttp_free(server);
	server = NULL;
	state = fetch(GOOD, 300 * USEC_PER_MSEC);
	ck_assert_int_eq(state.state, POOL_STAGING);
	ck_assert_int_ne(state.text[0], '\0');
	server = evhttp_new(base);
	ck_assert_int_eq(evhttp_bind_socket(server, "127.0.0.1", (unsigned short)port), 0);
	evhttp_set_gencb(server, on_request, NULL);
	run_for(LIMIT);
	stage_image(stage, &part->images[0], &state);
	check_present(&state);
}
END_TEST

START_TEST(waits_for_its_time)
{
	struct report_image state;

	part->images[0].begin_us = clock_wall() + 300 * USEC_PER_MSEC;
	state = fetch(GOOD, 150 * USEC_PER_MSEC);
	ck_assert_int_eq(state.state, POOL_STAGING);
	ck_assert_uint_eq(requests, 0);
	run_for(LIMIT);
	ck_assert_int_ge(clock_wall(), part->images[0].begin_us);
	stage_image(stage, &part->images[0], &state);
	check_present(&state);
}
END_TEST

START_TEST(shared_digest)
{
	struct report_image state;

	part->images[1] = image_of(2, "/other");
	part->image_count = 2;
	fetch(GOOD, LIMIT);
	for (size_t i = 0; i < 2; i++) {
		stage_image(stage, &part->images[i], &state);
		ck_assert_int_eq(state.state, POOL_PRESENT);
		ck_assert_uint_eq(state.id, i + 1);
	}
	ck_assert_uint_eq(requests, 1);
}
END_TEST

START_TEST(no_room)
{
	struct report_image state;

	behaviour = GOOD;
	start(SIZE - 1);
	stage_want(stage, part);
	run_for(LIMIT);
	stage_image(stage, &part->images[0], &state);
	check_bad(&state, "larger than the image pool");
	ck_assert_uint_eq(requests, 0);
}
END_TEST

START_TEST(no_longer_wanted)
{
	struct part none = {0};
	struct report_image state = fetch(STALL_ONCE, 300 * USEC_PER_MSEC);

	ck_assert_int_eq(state.state, POOL_STAGING);
	ck_assert_int_eq(state.bytes, SIZE / 2);
	stage_want(stage, &none);
	ck_assert(!exists(".part"));
	ck_assert_int_eq(pool_used(pool), 0);
	stage_want(stage, part);
	run_for(LIMIT);
	stage_image(stage, &part->images[0], &state);
	check_present(&state);
}
END_TEST

/* A new URL for a file that was given up is a new chance. */
START_TEST(given_up_then_mended)
{
	struct report_image state = fetch(MISSING, LIMIT);

	check_bad(&state, "404");
	behaviour = GOOD;
	stage_want(stage, part);
	run_for(100 * USEC_PER_MSEC);
	stage_image(stage, &part->images[0], &state);
	ck_assert_int_eq(state.state, POOL_BAD);
	free(part->images[0].file[0].url);
	part->images[0].file[0].url = xasprintf("http://127.0.0.1:%u/mended", port);
	stage_want(stage, part);
	run_for(LIMIT);
	stage_image(stage, &part->images[0], &state);
	check_present(&state);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_stage");
	TCase *tcase = tcase_create("stage");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, good);
	tcase_add_loop_test(tcase, bad, 0, 8);
	tcase_add_loop_test(tcase, passing_trouble, 0, 6);
	tcase_add_test(tcase, resumed_after_restart);
	tcase_add_loop_test(tcase, damaged_left_over, 0, 2);
	tcase_add_test(tcase, no_server);
	tcase_add_test(tcase, waits_for_its_time);
	tcase_add_test(tcase, shared_digest);
	tcase_add_test(tcase, no_room);
	tcase_add_test(tcase, no_longer_wanted);
	tcase_add_test(tcase, given_up_then_mended);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
