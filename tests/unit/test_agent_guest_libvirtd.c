/* A libvirtd that is absent, silent, or falls silent: by a proxy before the real one. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "guest_fixture.h"

#define LIBVIRT_SOCKET "/run/libvirt/libvirt-sock"

/* ---- a proxy ---- */

/* Passes a connection on, until frozen: then it is as if libvirtd had been stopped. */
struct proxy {
	struct evconnlistener *listener;
	struct event_base *base;
	struct bufferevent *ends[64];
	size_t count;
	bool frozen;
};

static void proxy_pass(struct bufferevent *from, void *arg)
{
	bufferevent_write_buffer(arg, bufferevent_get_input(from));
}

static void proxy_gone(struct bufferevent *from, short what, void *arg)
{
	(void)from;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		bufferevent_disable(arg, EV_READ);
		shutdown(bufferevent_getfd(arg), SHUT_RDWR);
	}
}

static void proxy_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = LIBVIRT_SOCKET};
	struct proxy *proxy = arg;
	struct bufferevent *a, *b;

	(void)listener;
	(void)addr;
	(void)len;
	ck_assert_uint_lt(proxy->count + 1, ARRAY_SIZE(proxy->ends));
	a = bufferevent_socket_new(proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
	b = bufferevent_socket_new(proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
	ck_assert_int_eq(bufferevent_socket_connect(b, (struct sockaddr *)&to, sizeof(to)), 0);
	bufferevent_setcb(a, proxy_pass, NULL, proxy_gone, b);
	bufferevent_setcb(b, proxy_pass, NULL, proxy_gone, a);
	proxy->ends[proxy->count++] = a;
	proxy->ends[proxy->count++] = b;
	if (!proxy->frozen) {
		bufferevent_enable(a, EV_READ | EV_WRITE);
		bufferevent_enable(b, EV_READ | EV_WRITE);
	}
}

static void proxy_freeze(struct proxy *proxy, bool frozen)
{
	proxy->frozen = frozen;
	for (size_t i = 0; i < proxy->count; i++) {
		(frozen ? bufferevent_disable : bufferevent_enable)(proxy->ends[i], EV_READ | EV_WRITE);
	}
}

static void proxy_fini(struct proxy *proxy)
{
	for (size_t i = 0; i < proxy->count; i++) {
		bufferevent_free(proxy->ends[i]);
	}
	evconnlistener_free(proxy->listener);
}

/* On the same loop as the guests: it could not pass a byte on if a call of libvirt blocked that. */
static void proxy_init(struct proxy *proxy, struct event_base *base, char *uri, size_t size)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/proxy", root);
	unlink(at.sun_path);
	*proxy = (struct proxy){.base = base};
	proxy->listener = evconnlistener_new_bind(base, proxy_accept, proxy, LEV_OPT_CLOSE_ON_FREE, 8,
						  (struct sockaddr *)&at, sizeof(at));
	ck_assert(proxy->listener != NULL);
	snprintf(uri, size, "qemu:///system?socket=%s", at.sun_path);
}

/* ---- tests ---- */

START_TEST(absent)
{
	struct part_vm vm = vm_of(4);
	struct part_image image = image_of(make_image(0xffff));
	_cleanup_free_ char *uri = xasprintf("qemu:///system?socket=%s/none", root);
	struct world w;

	world_init(&w, uri, 30 * USEC_PER_SEC);
	AWAIT(&w, w.told > 0);
	ck_assert(!w.up && !guests_connected(w.guests));
	ck_assert_msg(strstr(w.why, "none") && strstr(w.why, "No such file"), "%s", w.why);
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 1), ERR_UNAVAILABLE);
	ck_assert_msg(strstr(w.err.text, "No such file"), "%s", w.err.text);
	guests_list(w.guests, on_listed, &w);
	ck_assert_int_eq(refused(&w, 2), ERR_UNAVAILABLE);
	ck_assert_str_eq(guests_hypervisor(w.guests), "");
	world_fini(&w);
}
END_TEST

/* It takes connections and says nothing. */
START_TEST(silent)
{
	struct proxy proxy;
	struct world w;
	char uri[256];
	struct event_base *base = event_base_new();

	proxy_init(&proxy, base, uri, sizeof(uri)); /* that loop never runs */
	world_init(&w, uri, 300 * USEC_PER_MSEC);
	AWAIT(&w, w.told > 0);
	ck_assert(!w.up);
	ck_assert_str_eq(w.why, "libvirt does not answer");
	guests_list(w.guests, on_listed, &w);
	ck_assert_int_eq(refused(&w, 1), ERR_UNAVAILABLE);
	world_fini(&w);
	proxy_fini(&proxy);
	event_base_free(base);
}
END_TEST

START_TEST(falls_silent)
{
	struct proxy proxy;
	struct world w;
	char uri[256];
	mono_us begin_us;

	world_loop(&w);
	proxy_init(&proxy, w.base, uri, sizeof(uri));
	world_guests(&w, uri, USEC_PER_SEC);
	AWAIT(&w, w.up);
	list(&w);
	proxy_freeze(&proxy, true);
	begin_us = clock_mono();
	guests_list(w.guests, on_listed, &w);
	ck_assert_int_eq(refused(&w, 2), ERR_TIMEOUT);
	ck_assert_int_lt(clock_mono() - begin_us, 4 * USEC_PER_SEC);
	AWAIT(&w, !w.up);
	ck_assert(!guests_connected(w.guests));
	guests_list(w.guests, on_listed, &w);
	ck_assert_int_eq(refused(&w, 3), ERR_UNAVAILABLE);
	proxy_freeze(&proxy, false);
	AWAIT(&w, w.up);
	list(&w);

	/* With nothing asked, the keepalive notices within five seconds. */
	proxy_freeze(&proxy, true);
	begin_us = clock_mono();
	AWAIT(&w, !w.up);
	printf("silence noticed after %" PRId64 " ms\n", (clock_mono() - begin_us) / USEC_PER_MSEC);
	ck_assert_int_lt(clock_mono() - begin_us, 6 * USEC_PER_SEC);
	proxy_freeze(&proxy, false);
	AWAIT(&w, w.up);

	/* Killed while it is asked. */
	proxy_freeze(&proxy, true);
	guests_list(w.guests, on_listed, &w);
	event_base_loop(w.base, EVLOOP_ONCE);
	for (size_t i = 0; i < proxy.count; i++) {
		shutdown(bufferevent_getfd(proxy.ends[i]), SHUT_RDWR);
	}
	ck_assert_int_eq(refused(&w, w.done + 1), ERR_UNAVAILABLE);
	proxy_fini(&proxy);
	world_fini(&w);
}
END_TEST

/* The connection is lost in the middle of a suspend: the guest is suspended all the same, and goes on later. */
START_TEST(silent_while_saving)
{
	struct part_vm vm = vm_of(8);
	struct proxy proxy;
	struct world w;
	char uri[256];
	unsigned lines;

	world_loop(&w);
	proxy_init(&proxy, w.base, uri, sizeof(uri));
	world_guests(&w, uri, 10 * USEC_PER_SEC);
	AWAIT(&w, w.up);
	prepare(&w, &vm, make_image(0xffff));
	ask_run(&w, &vm, clock_wall());
	answered(&w, 2);
	await_lines(&w, &vm, 5);
	ask(&w, guest_suspend, &vm);
	AWAIT(&w, w.seen.seen == SEEN_SUSPENDING);
	proxy_freeze(&proxy, true);
	AWAIT(&w, !w.up);
	AWAIT(&w, w.done == 3);
	ck_assert_uint_eq(w.failed, 1);
	proxy_freeze(&proxy, false);
	AWAIT(&w, w.up);
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert(w.list[0].seen == SEEN_SUSPENDING || w.list[0].seen == SEEN_SUSPENDED);
	carry_out(&w, guest_suspend, &vm);
	ck_assert(folder_there(&vm, "/memory.save"));
	lines = console_lines(&vm);
	restore(&w, &vm);
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	await_lines(&w, &vm, lines + 5);
	carry_out(&w, guest_remove, &vm);
	proxy_fini(&proxy);
	world_fini(&w);
}
END_TEST

int main(void)
{
	TCase *without = tcase_create("without libvirt"), *with = tcase_create("with libvirt");

	signal(SIGPIPE, SIG_IGN); /* the proxy's */
	tcase_add_test(without, absent);
	tcase_add_test(without, silent);
	tcase_add_test(with, falls_silent);
	tcase_add_test(with, silent_while_saving);
	return guest_suite("agent_guest_libvirtd", without, with);
}
