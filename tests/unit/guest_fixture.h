/*
 * For tests of guests: a boot sector that counts on the serial port, an event loop with the guest layer on it, and what
 * the guest wrote. Header only, as one program per module links it.
 */
#ifndef TENURE_GUEST_FIXTURE_H
#define TENURE_GUEST_FIXTURE_H

#include <check.h>
#include <event2/event.h>
#include <inttypes.h>
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "folder.h"
#include "guest.h"
#include "guestxml.h"
#include "util.h"

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
static inline const char *make_image(unsigned limit)
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

static inline void on_changed(const struct guest *guest, const char *text, void *arg)
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

static inline void on_connected(bool ok, const char *why, void *arg)
{
	struct world *w = arg;

	w->told++;
	w->up = ok;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static const struct guests_ops guests_ops = {.changed = on_changed, .connected = on_connected};

static inline void on_done(const struct err *err, wall_us at_us, void *arg)
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

static inline void on_listed(const struct guest *guest, size_t n, const struct err *err, void *arg)
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

static inline void on_alarm(evutil_socket_t fd, short what, void *arg)
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

static inline void world_patience(struct world *w, span_us span)
{
	w->late = false;
	event_add(w->alarm, &(struct timeval){.tv_sec = span / USEC_PER_SEC, .tv_usec = span % USEC_PER_SEC});
}

static inline void world_loop(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	w->alarm = evtimer_new(w->base, on_alarm, w);
}

static inline void world_guests(struct world *w, const char *uri, span_us deadline)
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

static inline void world_init(struct world *w, const char *uri, span_us deadline)
{
	world_loop(w);
	world_guests(w, uri, deadline);
}

static inline void world_fini(struct world *w)
{
	guests_free(w->guests);
	event_free(w->alarm);
	event_base_loop(w->base, EVLOOP_NONBLOCK); /* libevent frees a proxy's ends from the loop */
	event_base_free(w->base);
}

/* Waits for the answer to what was just asked; fails if it is an error. */
static inline void answered(struct world *w, unsigned done)
{
	unsigned failed = w->failed;

	AWAIT(w, w->done == done);
	ck_assert_msg(w->failed == failed, "%s", w->err.text);
}

static inline enum err_code refused(struct world *w, unsigned done)
{
	unsigned failed = w->failed;

	AWAIT(w, w->done == done);
	ck_assert_uint_eq(w->failed, failed + 1);
	return w->err.code;
}

static inline struct part_vm vm_of(unsigned i)
{
	return (struct part_vm){.lease = first_lease + i,
				.vm = 0,
				.generation = 1,
				.name = (char *)"t<&\"']]>",
				.image = 1,
				.use = {.amount = {[RES_CPU] = 500, [RES_MEMORY] = 8 << 20, [RES_DISK] = 1 << 20}},
				.planned = true};
}

static inline struct part_image image_of(const char *digest)
{
	struct part_image image = {
		.id = 1, .name = (char *)"ticker", .format = IMAGE_RAW, .cmdline = (char *)"", .files = 1};

	image.file[0].role = (char *)"disk";
	image.file[0].size = 512;
	memcpy(image.file[0].digest, digest, 65);
	return image;
}

static inline void prepare(struct world *w, const struct part_vm *vm, const char *digest)
{
	struct part_image image = image_of(digest);

	guest_prepare(w->guests, vm, &image, on_done, w);
	answered(w, w->done + 1);
}

static inline void ask_restore(struct world *w, const struct part_vm *vm)
{
	struct part_image image = image_of("0000000000000000000000000000000000000000000000000000000000000000");

	guest_restore(w->guests, vm, &image, on_done, w);
}

static inline void restore(struct world *w, const struct part_vm *vm)
{
	ask_restore(w, vm);
	answered(w, w->done + 1);
}

static inline void ask_run(struct world *w, const struct part_vm *vm, wall_us at_us)
{
	guest_run(w->guests, vm->lease, vm->vm, vm->generation, at_us, on_done, w);
}

typedef void simple_op(struct guests *, uint64_t, uint32_t, uint32_t, guest_done *, void *);

static inline void ask(struct world *w, simple_op *op, const struct part_vm *vm)
{
	op(w->guests, vm->lease, vm->vm, vm->generation, on_done, w);
}

static inline void carry_out(struct world *w, simple_op *op, const struct part_vm *vm)
{
	ask(w, op, vm);
	answered(w, w->done + 1);
}

static inline void list(struct world *w)
{
	guests_list(w->guests, on_listed, w);
	answered(w, w->done + 1);
}

/* ---- what the guest wrote ---- */

static inline unsigned number(const char *line)
{
	unsigned n = 0;

	for (int i = 0; i < 4; i++) {
		n = n << 4 | (unsigned)(line[i] - 'a');
	}
	return n;
}

/* Checks that the console counts 0, 1, 2, ... without gap or repetition; returns how many whole lines. */
static inline unsigned console_lines(const struct part_vm *vm)
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

static inline void on_nap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* The guest's output is a file that another process writes: looked at every 20 ms. */
static inline void await_lines(struct world *w, const struct part_vm *vm, unsigned lines)
{
	struct event *nap = event_new(w->base, -1, EV_PERSIST, on_nap, NULL);

	event_add(nap, &(struct timeval){.tv_usec = 20000});
	AWAIT(w, console_lines(vm) >= lines);
	event_free(nap);
}

static inline bool folder_there(const struct part_vm *vm, const char *file)
{
	_cleanup_free_ char *path =
		xasprintf("%s/guests/%" PRIu64 "-%u-%u%s", root, vm->lease, vm->vm, vm->generation, file);

	return access(path, F_OK) == 0;
}

static inline void connect_world(struct world *w)
{
	world_init(w, "qemu:///system", 60 * USEC_PER_SEC);
	AWAIT(w, w->up);
}

/* ---- the test program ---- */

/* Guests of tests that failed midway. */
static inline void destroy_leftovers(virConnectPtr conn)
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

/*
 * Runs the tests without libvirt (or NULL), and those with it where there is a qemu:///system; else a line that begins
 * with "skip" says so. Returns the program's exit status.
 */
static inline int guest_suite(const char *name, TCase *without, TCase *with)
{
	virConnectPtr conn = geteuid() == 0 ? virConnectOpen("qemu:///system") : NULL;
	bool there = conn != NULL;
	Suite *suite = suite_create(name), *guests = suite_create(name);
	SRunner *runner = srunner_create(suite), *unused = there ? NULL : srunner_create(guests);
	int failed;

	suite_add_tcase(guests, with);
	first_lease = 900000000 + (uint64_t)getpid() * 100;
	snprintf(root, sizeof(root), "/tmp/tenure-test-guest-XXXXXX");
	if (!mkdtemp(root)) {
		perror(root);
		return EXIT_FAILURE;
	}
	if (without) {
		tcase_set_timeout(without, 60);
		suite_add_tcase(suite, without);
	}
	if (there) {
		virConnectClose(conn);
		tcase_set_timeout(with, 300);
		srunner_add_suite(runner, guests);
	}
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (unused) {
		srunner_free(unused);
	}
	conn = there ? virConnectOpen("qemu:///system") : NULL;
	if (conn) {
		destroy_leftovers(conn);
		virConnectClose(conn);
	}
	if (!there) {
		printf("skip  %s: no qemu:///system for root here\n", name);
	}
	folder_remove(root);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
