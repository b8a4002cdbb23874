/*
 * Guests on the real qemu:///system, where there is one (else these tests say that they were skipped), with a boot
 * sector that counts on the serial port; and a libvirtd that is absent, silent, or falls silent, by a proxy before it.
 */
#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <ftw.h>
#include <inttypes.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "clock.h"
#include "guest.h"
#include "guestxml.h"
#include "util.h"
#include "uuid5.h"

#define LIBVIRT_SOCKET "/run/libvirt/libvirt-sock"
#define PATIENCE_US (90 * USEC_PER_SEC) /* for anything that is to happen; emulation on a busy machine is slow */

/* ---- a guest of 512 bytes ---- */

/*
 * Counts from 0 and writes each number in hexadecimal and a newline to the first serial port, for ever; with
 * POWER_OFF_AT it writes that many and then powers off by ACPI (port 0x604: where SeaBIOS puts QEMU's power
 * management).
 */
static const unsigned char ticker[] = {
	0x31, 0xf6,             /*  0: xor si, si */
	0xba, 0xf8, 0x03,       /*  2: mov dx, 0x3f8 */
	0x89, 0xf3,             /*  5: next: mov bx, si */
	0xb9, 0x04, 0x00,       /*  7: mov cx, 4 */
	0xc1, 0xc3, 0x04,       /* 10: digit: rol bx, 4 */
	0x88, 0xd8,             /* 13: mov al, bl */
	0x24, 0x0f,             /* 15: and al, 15 */
	0x04, 0x61,             /* 17: add al, 'a' */
	0xee,                   /* 19: out dx, al */
	0xe2, 0xf4,             /* 20: loop digit (10) */
	0xb0, 0x0a,             /* 22: mov al, '\n' */
	0xee,                   /* 24: out dx, al */
	0x46,                   /* 25: inc si */
	0x81, 0xfe, 0xff, 0xff, /* 26: cmp si, LIMIT (bytes 28, 29) */
	0x74, 0x0a,             /* 30: je off (42) */
	0xbf, 0x40, 0x00,       /* 32: mov di, 64 */
	0xe2, 0xfe,             /* 35: wait: loop wait (cx = 0: 65536 times) */
	0x4f,                   /* 37: dec di */
	0x75, 0xfb,             /* 38: jnz wait (35) */
	0xeb, 0xdb,             /* 40: jmp next (5) */
	0xba, 0x04, 0x06,       /* 42: off: mov dx, 0x604 */
	0xb8, 0x00, 0x20,       /* 45: mov ax, 0x2000 */
	0xef,                   /* 48: out dx, ax */
	0xeb, 0xfe,             /* 49: jmp $ */
};

static char root[128]; /* of this program's files */
static uint64_t first_lease;

/* The digest is only a name here: the pool checks it, not the guest layer. */
static const char *make_image(unsigned limit)
{
	static char digest[65];
	unsigned char sector[512] = {0};
	struct err err;
	char *path;

	memcpy(sector, ticker, sizeof(ticker));
	sector[28] = limit & 0xff;
	sector[29] = limit >> 8;
	sector[510] = 0x55;
	sector[511] = 0xaa;
	snprintf(digest, sizeof(digest), "%064x", limit);
	path = xasprintf("%s/pool", root);
	ck_assert_int_eq(dir_make(path, 0755, &err), 0);
	free(path);
	path = xasprintf("%s/pool/%s", root, digest);
	ck_assert_int_eq(file_replace(path, sector, sizeof(sector), 0644, &err), 0);
	free(path);
	return digest;
}

/* ---- a loop with guests on it ---- */

struct world {
	struct event_base *base;
	struct guests *guests;
	struct event *alarm;
	bool late;
	unsigned done, failed; /* answers */
	struct err err;        /* of the last that failed */
	wall_us at_us;         /* of the last that did not */
	struct guest seen;     /* the last change */
	wall_us last_pause_us, first_save_us;
	char text[256];
	unsigned told; /* connected() */
	bool up;
	char why[256];
	struct guest list[16];
	size_t listed;
};

static void on_changed(const struct guest *guest, const char *text, void *arg)
{
	struct world *w = arg;

	w->seen = *guest;
	if (guest->seen == SEEN_SUSPENDING) {
		w->last_pause_us = guest->at_us;
	} else if (guest->seen == SEEN_SUSPENDED && !w->first_save_us) {
		w->first_save_us = guest->at_us;
	}
	snprintf(w->text, sizeof(w->text), "%s", text);
}

static void on_connected(bool ok, const char *why, void *arg)
{
	struct world *w = arg;

	w->told++;
	w->up = ok;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static const struct guests_ops guests_ops = {.changed = on_changed, .connected = on_connected};

static void on_done(const struct err *err, wall_us at_us, void *arg)
{
	struct world *w = arg;

	w->done++;
	if (err) {
		w->failed++;
		w->err = *err;
	} else {
		w->at_us = at_us;
	}
}

static void on_listed(const struct guest *guest, size_t n, const struct err *err, void *arg)
{
	struct world *w = arg;

	w->listed = 0;
	for (size_t i = 0; i < n && w->listed < ARRAY_SIZE(w->list); i++) {
		if (guest[i].lease >= first_lease && guest[i].lease < first_lease + 100) {
			w->list[w->listed++] = guest[i];
		}
	}
	on_done(err, 0, w);
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;

	(void)fd;
	(void)what;
	w->late = true;
}

/* Runs the loop until the expression is true. */
#define AWAIT(w, expression)                                                                            \
	do {                                                                                            \
		world_patience(w, PATIENCE_US);                                                         \
		while (!(expression)) {                                                                 \
			event_base_loop((w)->base, EVLOOP_ONCE);                                        \
			ck_assert_msg(!(w)->late, "waited in vain for %s; last error: %s", #expression, \
				      (w)->err.text);                                                   \
		}                                                                                       \
	} while (0)

static void world_patience(struct world *w, span_us span)
{
	w->late = false;
	event_add(w->alarm, &(struct timeval){.tv_sec = span / USEC_PER_SEC, .tv_usec = span % USEC_PER_SEC});
}

static void world_loop(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	w->alarm = evtimer_new(w->base, on_alarm, w);
}

static void world_guests(struct world *w, const char *uri, span_us deadline)
{
	_cleanup_free_ char *pool = xasprintf("%s/pool", root);
	_cleanup_free_ char *console = xasprintf("%s/console", root);
	struct guest_settings settings = {.uri = uri,
					  .domain_type = "qemu",
					  .state_dir = root,
					  .pool_dir = pool,
					  .console_dir = console,
					  .call_deadline_us = deadline};
	struct err err = {0};

	w->guests = guests_new(w->base, &settings, &guests_ops, w, &err);
	ck_assert_msg(w->guests != NULL, "%s", err.text);
}

static void world_init(struct world *w, const char *uri, span_us deadline)
{
	world_loop(w);
	world_guests(w, uri, deadline);
}

static void world_fini(struct world *w)
{
	guests_free(w->guests);
	event_free(w->alarm);
	event_base_loop(w->base, EVLOOP_NONBLOCK); /* libevent frees a proxy's ends from the loop */
	event_base_free(w->base);
}

/* Waits for the answer to what was just asked; fails if it is an error. */
static void answered(struct world *w, unsigned done)
{
	unsigned failed = w->failed;

	AWAIT(w, w->done == done);
	ck_assert_msg(w->failed == failed, "%s", w->err.text);
}

static enum err_code refused(struct world *w, unsigned done)
{
	unsigned failed = w->failed;

	AWAIT(w, w->done == done);
	ck_assert_uint_eq(w->failed, failed + 1);
	return w->err.code;
}

static struct part_vm vm_of(unsigned i)
{
	return (struct part_vm){.lease = first_lease + i,
				.vm = 0,
				.generation = 1,
				.name = (char *)"t<&\"']]>",
				.image = 1,
				.use = {.amount = {[RES_CPU] = 500, [RES_MEMORY] = 8 << 20, [RES_DISK] = 1 << 20}},
				.planned = true};
}

static struct part_image image_of(const char *digest)
{
	struct part_image image = {
		.id = 1, .name = (char *)"ticker", .format = IMAGE_RAW, .cmdline = (char *)"", .files = 1};

	image.file[0].role = (char *)"disk";
	image.file[0].size = 512;
	memcpy(image.file[0].digest, digest, 65);
	return image;
}

static void prepare(struct world *w, const struct part_vm *vm, const char *digest)
{
	struct part_image image = image_of(digest);

	guest_prepare(w->guests, vm, &image, on_done, w);
	answered(w, w->done + 1);
}

static void restore(struct world *w, const struct part_vm *vm)
{
	guest_restore(w->guests, vm, on_done, w);
	answered(w, w->done + 1);
}

static void ask_run(struct world *w, const struct part_vm *vm, wall_us at_us)
{
	guest_run(w->guests, vm->lease, vm->vm, vm->generation, at_us, on_done, w);
}

typedef void simple_op(struct guests *, uint64_t, uint32_t, uint32_t, guest_done *, void *);

static void ask(struct world *w, simple_op *op, const struct part_vm *vm)
{
	op(w->guests, vm->lease, vm->vm, vm->generation, on_done, w);
}

static void carry_out(struct world *w, simple_op *op, const struct part_vm *vm)
{
	ask(w, op, vm);
	answered(w, w->done + 1);
}

static void list(struct world *w)
{
	guests_list(w->guests, on_listed, w);
	answered(w, w->done + 1);
}

/* ---- what the guest wrote ---- */

static unsigned number(const char *line)
{
	unsigned n = 0;

	for (int i = 0; i < 4; i++) {
		n = n << 4 | (unsigned)(line[i] - 'a');
	}
	return n;
}

/* Checks that the console counts 0, 1, 2, ... without gap or repetition; returns how many whole lines. */
static unsigned console_lines(const struct part_vm *vm)
{
	_cleanup_free_ char *path = xasprintf("%s/console/%" PRIu64 "-%u.log", root, vm->lease, vm->vm);
	struct err err;
	_cleanup_free_ char *text = file_read(path, 1 << 22, &err);
	unsigned lines = 0;

	for (const char *line = text; line && strlen(line) >= 5; line += 5) {
		ck_assert_msg(line[4] == '\n' && number(line) == lines, "line %u: %.20s", lines, line);
		lines++;
	}
	return lines;
}

static void on_nap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* The guest's output is a file that another process writes: looked at every 20 ms. */
static void await_lines(struct world *w, const struct part_vm *vm, unsigned lines)
{
	struct event *nap = event_new(w->base, -1, EV_PERSIST, on_nap, NULL);

	event_add(nap, &(struct timeval){.tv_usec = 20000});
	AWAIT(w, console_lines(vm) >= lines);
	event_free(nap);
}

static bool folder_there(const struct part_vm *vm, const char *file)
{
	_cleanup_free_ char *path =
		xasprintf("%s/guests/%" PRIu64 "-%u-%u%s", root, vm->lease, vm->vm, vm->generation, file);

	return access(path, F_OK) == 0;
}

static void connect_world(struct world *w)
{
	world_init(w, "qemu:///system", 60 * USEC_PER_SEC);
	AWAIT(w, w->up);
}

/* ---- tests with libvirt ---- */

START_TEST(whole_life)
{
	struct part_vm vm = vm_of(0);
	struct world w;
	unsigned lines;
	wall_us at_us;

	connect_world(&w);
	ck_assert(guests_connected(w.guests));
	ck_assert(strstr(guests_hypervisor(w.guests), "libvirt") != NULL);
	prepare(&w, &vm, make_image(0xffff));
	ck_assert_int_eq(w.seen.seen, SEEN_PREPARED);
	prepare(&w, &vm, make_image(0xffff)); /* harmless */
	ck_assert_uint_eq(console_lines(&vm), 0);
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_PREPARED);

	at_us = clock_wall() + 500 * USEC_PER_MSEC;
	ask_run(&w, &vm, at_us);
	answered(&w, w.done + 1);
	printf("started %" PRId64 " us after the instant\n", w.at_us - at_us);
	ck_assert_int_ge(w.at_us, at_us);
	ck_assert_int_lt(w.at_us, at_us + USEC_PER_SEC);
	ck_assert_int_eq(w.seen.seen, SEEN_RUNNING);
	ck_assert_int_eq(w.seen.at_us, w.at_us);
	ask_run(&w, &vm, at_us); /* harmless */
	answered(&w, w.done + 1);
	await_lines(&w, &vm, 20);

	carry_out(&w, guest_suspend, &vm);
	ck_assert_int_eq(w.seen.seen, SEEN_SUSPENDED);
	ck_assert(folder_there(&vm, "/memory.save") && !folder_there(&vm, "/memory.save.part"));
	lines = console_lines(&vm);
	carry_out(&w, guest_suspend, &vm); /* harmless */
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_SUSPENDED);

	restore(&w, &vm);
	ck_assert_int_eq(w.seen.seen, SEEN_PREPARED);
	ck_assert(folder_there(&vm, "/memory.save"));
	ck_assert_uint_le(console_lines(&vm), lines + 1);
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	ck_assert(!folder_there(&vm, "/memory.save") && !folder_there(&vm, "/memory.resumed"));
	await_lines(&w, &vm, lines + 20);

	carry_out(&w, guest_stop, &vm);
	ck_assert_int_eq(w.seen.seen, SEEN_ENDED);
	carry_out(&w, guest_stop, &vm); /* harmless */
	ck_assert(folder_there(&vm, "/disk.qcow2"));
	carry_out(&w, guest_remove, &vm);
	carry_out(&w, guest_remove, &vm); /* harmless */
	ck_assert(!folder_there(&vm, ""));
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	world_fini(&w);
}
END_TEST

START_TEST(powers_itself_off)
{
	struct part_vm vm = vm_of(1);
	struct world w;

	connect_world(&w);
	prepare(&w, &vm, make_image(10));
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	AWAIT(&w, w.seen.seen == SEEN_ENDED);
	ck_assert_str_eq(w.text, "the guest shut itself down");
	ck_assert_uint_eq(console_lines(&vm), 10);
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	carry_out(&w, guest_remove, &vm);
	world_fini(&w);
}
END_TEST

/* libvirt itself refuses a second domain of the same UUID, whoever asks and under whatever name. */
static void refuses_second(const struct part_vm *vm)
{
	virConnectPtr conn = virConnectOpen("qemu:///system");
	char uuid[UUID5_TEXT];
	char *xml;

	uuid5_guest(vm->lease, vm->vm, vm->generation, uuid);
	xml = xasprintf(
		"<domain type='qemu'><name>tenure-test-double</name><uuid>%s</uuid><memory unit='MiB'>8</memory>"
		"<os><type>hvm</type></os></domain>",
		uuid);
	ck_assert(conn != NULL);
	ck_assert(virDomainCreateXML(conn, xml, VIR_DOMAIN_START_PAUSED) == NULL);
	free(xml);
	virConnectClose(conn);
}

/* A start that waits is called off by a stop; a guest outlives whoever started it and is found again. */
START_TEST(called_off_and_adopted)
{
	struct part_vm vm = vm_of(2);
	struct world w;

	connect_world(&w);
	prepare(&w, &vm, make_image(0xffff));
	refuses_second(&vm);
	ask_run(&w, &vm, clock_wall() + USEC_PER_HOUR);
	ask(&w, guest_stop, &vm);
	AWAIT(&w, w.done == 3);
	ck_assert_uint_eq(w.failed, 1);
	ck_assert_int_eq(w.err.code, ERR_CONFLICT);
	ck_assert_uint_eq(console_lines(&vm), 0);
	prepare(&w, &vm, make_image(0xffff));
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	await_lines(&w, &vm, 5);
	world_fini(&w);

	connect_world(&w);
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_RUNNING);
	ck_assert_uint_eq(w.list[0].lease, vm.lease);
	await_lines(&w, &vm, console_lines(&vm) + 5);
	carry_out(&w, guest_remove, &vm);
	ck_assert(!folder_there(&vm, ""));
	world_fini(&w);
}
END_TEST

/* All begin at one instant; all are paused before the first is saved; both go on where they were. */
START_TEST(gang)
{
	struct part_vm vm[2] = {vm_of(5), vm_of(6)};
	struct world w;
	wall_us at_us;
	unsigned lines[2];

	connect_world(&w);
	prepare(&w, &vm[0], make_image(0xffff));
	prepare(&w, &vm[1], make_image(0xffff));
	at_us = clock_wall() + 300 * USEC_PER_MSEC;
	ask_run(&w, &vm[0], at_us);
	ask_run(&w, &vm[1], at_us);
	answered(&w, 4);
	ck_assert_int_ge(w.at_us, at_us);
	await_lines(&w, &vm[0], 5);
	await_lines(&w, &vm[1], 5);
	ask(&w, guest_suspend, &vm[0]);
	ask(&w, guest_suspend, &vm[1]);
	answered(&w, 6);
	ck_assert_int_gt(w.last_pause_us, 0);
	ck_assert_int_lt(w.last_pause_us, w.first_save_us);
	for (int i = 0; i < 2; i++) {
		lines[i] = console_lines(&vm[i]);
		guest_restore(w.guests, &vm[i], on_done, &w);
		ask_run(&w, &vm[i], clock_wall());
	}
	answered(&w, 10);
	for (int i = 0; i < 2; i++) {
		await_lines(&w, &vm[i], lines[i] + 5);
		ask(&w, guest_remove, &vm[i]);
	}
	answered(&w, 12);
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	world_fini(&w);
}
END_TEST

static void put_file(const struct part_vm *vm, const char *name, const char *text)
{
	_cleanup_free_ char *dir = xasprintf("%s/guests/%" PRIu64 "-%u-%u", root, vm->lease, vm->vm, vm->generation);
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	struct err err;

	ck_assert_int_eq(dir_make(dir, 0711, &err), 0);
	ck_assert_int_eq(file_replace(path, text, strlen(text), 0600, &err), 0);
}

/* A save that was cut is never taken for a whole one, nor is a guest with saved memory ever booted. */
START_TEST(cut_save)
{
	struct part_vm vm = vm_of(7);
	struct part_image image = image_of(make_image(0xffff));
	struct world w;

	connect_world(&w);
	put_file(&vm, "memory.save.part", "LibvirtQemudPart and then nothing");
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	guest_restore(w.guests, &vm, on_done, &w);
	ck_assert_int_eq(refused(&w, 2), ERR_NOT_FOUND);
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 3), ERR_CONFLICT);

	/* Whole, but the agent was killed before it could give it its name. */
	put_file(&vm, "memory.save.part", "LibvirtQemudSave and more");
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_SUSPENDED);
	carry_out(&w, guest_suspend, &vm);
	ck_assert(folder_there(&vm, "/memory.save") && !folder_there(&vm, "/memory.save.part"));

	/* Set running once: not again from the same memory. */
	carry_out(&w, guest_remove, &vm);
	put_file(&vm, "memory.resumed", "LibvirtQemudSave and more");
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	guest_restore(w.guests, &vm, on_done, &w);
	ck_assert_int_eq(refused(&w, w.done + 1), ERR_NOT_FOUND);
	carry_out(&w, guest_remove, &vm);
	ck_assert(!folder_there(&vm, ""));
	world_fini(&w);
}
END_TEST

START_TEST(nothing_to_work_on)
{
	struct part_vm vm = vm_of(3);
	struct part_image image = image_of(make_image(0xffff));
	struct world w;

	connect_world(&w);
	ask_run(&w, &vm, clock_wall());
	ck_assert_int_eq(refused(&w, 1), ERR_NOT_FOUND);
	ask(&w, guest_suspend, &vm);
	ck_assert_int_eq(refused(&w, 2), ERR_NOT_FOUND);
	guest_restore(w.guests, &vm, on_done, &w);
	ck_assert_int_eq(refused(&w, 3), ERR_NOT_FOUND);
	memset(image.file[0].digest, 'f', 64);
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 4), ERR_NOT_FOUND);
	ck_assert(strstr(w.err.text, "pool") != NULL);
	/* Says raw, is not qcow2: qemu-img is not even asked. */
	image = image_of(make_image(0xffff));
	image.format = IMAGE_QCOW2;
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 5), ERR_IMAGE);
	image.format = IMAGE_KERNEL;
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 6), ERR_IMAGE);
	carry_out(&w, guest_remove, &vm);
	ck_assert(!folder_there(&vm, ""));
	world_fini(&w);
}
END_TEST

/* ---- a libvirtd that is not there, or does not answer ---- */

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

/* ---- */

/* Guests of tests that failed midway. */
static void destroy_leftovers(virConnectPtr conn)
{
	virDomainPtr *doms = NULL;
	int n = virConnectListAllDomains(conn, &doms, 0);
	uint64_t lease;
	uint32_t vm, generation;

	for (int i = 0; i < n; i++) {
		if (guestxml_parse_name(virDomainGetName(doms[i]), &lease, &vm, &generation) == 0 &&
		    lease >= first_lease && lease < first_lease + 100) {
			virDomainDestroy(doms[i]);
		}
		virDomainFree(doms[i]);
	}
	free(doms);
}

static int delete_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static bool libvirt_there(void)
{
	virConnectPtr conn = geteuid() == 0 ? virConnectOpen("qemu:///system") : NULL;

	if (conn) {
		virConnectClose(conn);
	}
	return conn != NULL;
}

int main(void)
{
	Suite *suite = suite_create("agent_guest");
	TCase *without = tcase_create("without libvirt"), *with = tcase_create("with libvirt");
	SRunner *runner;
	virConnectPtr conn;
	bool there = libvirt_there();
	int failed;

	signal(SIGPIPE, SIG_IGN); /* the proxy's */
	first_lease = 900000000 + (uint64_t)getpid() * 100;
	snprintf(root, sizeof(root), "/tmp/tenure-test-guest-XXXXXX");
	if (!mkdtemp(root)) {
		perror(root);
		return EXIT_FAILURE;
	}
	tcase_set_timeout(without, 60);
	tcase_add_test(without, absent);
	tcase_add_test(without, silent);
	suite_add_tcase(suite, without);
	if (there) {
		tcase_set_timeout(with, 300);
		tcase_add_test(with, whole_life);
		tcase_add_test(with, powers_itself_off);
		tcase_add_test(with, called_off_and_adopted);
		tcase_add_test(with, nothing_to_work_on);
		tcase_add_test(with, falls_silent);
		tcase_add_test(with, gang);
		tcase_add_test(with, cut_save);
		tcase_add_test(with, silent_while_saving);
		suite_add_tcase(suite, with);
	} else {
		printf("agent_guest: SKIPPED: guests on libvirt: no qemu:///system for root here\n");
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	conn = there ? virConnectOpen("qemu:///system") : NULL;
	if (conn) {
		destroy_leftovers(conn);
		virConnectClose(conn);
	}
	nftw(root, delete_one, 8, FTW_DEPTH | FTW_PHYS);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
