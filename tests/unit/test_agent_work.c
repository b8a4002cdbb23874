/*
 * Carrying out the book: the driver over a made-up libvirt in virtual time, with failures and restarts. The decision
 * itself is tested in test_agent_work_next.c.
 */
#include <check.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"
#include "work.h"
#include "work_fixture.h"

/* ---- a made-up libvirt ---- */

#define GUESTS_MAX 8

struct fake_guest {
	bool used;
	struct book_key key;
	bool domain;
	bool running;
	bool saved;
	unsigned boots; /* times it was set running after a fresh preparation */
	bool fresh;
	wall_us ran_us; /* last time it was set running */
	wall_us stopped_us;
};

struct fake_op {
	bool used;
	enum work_op op;
	struct fake_guest *guest;
	wall_us due_us;
	guest_done *done;
	void *arg;
};

struct guests {
	struct fake_guest guest[GUESTS_MAX];
	struct fake_op op[32];
	wall_us now_us;
	bool down;     /* everything fails */
	unsigned fail; /* the next so many operations fail */
	unsigned lists;
	guests_listed *listed;
	void *listed_arg;
};

static struct guests fake;
static char folder[64];
static char book_path[100];
static struct book *book;
static struct work *work;
static bool woken;
static bool image_here;

static struct fake_guest *fake_guest(uint64_t lease, uint32_t vm, uint32_t generation)
{
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct fake_guest *g = &fake.guest[i];

		if (g->used && g->key.lease == lease && g->key.vm == vm && g->key.generation == generation) {
			return g;
		}
	}
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		if (!fake.guest[i].used) {
			fake.guest[i] = (struct fake_guest){.used = true, .key = {lease, vm, generation}};
			return &fake.guest[i];
		}
	}
	ck_abort_msg("too many guests");
	return NULL;
}

static void queue(enum work_op op, uint64_t lease, uint32_t vm, uint32_t generation, wall_us due_us, guest_done *done,
		  void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.op); i++) {
		if (!fake.op[i].used) {
			fake.op[i] = (struct fake_op){true, op, fake_guest(lease, vm, generation), due_us, done, arg};
			return;
		}
	}
	ck_abort_msg("too many operations");
}

static void fake_prepare(struct guests *g, const struct part_vm *vm, const struct part_image *image, guest_done *done,
			 void *arg)
{
	ck_assert_ptr_nonnull(image);
	queue(WORK_PREPARE, vm->lease, vm->vm, vm->generation, g->now_us + SEC, done, arg);
}

static void fake_restore(struct guests *g, const struct part_vm *vm, guest_done *done, void *arg)
{
	queue(WORK_RESTORE, vm->lease, vm->vm, vm->generation, g->now_us + 2 * SEC, done, arg);
}

static void fake_run(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, wall_us at_us,
		     guest_done *done, void *arg)
{
	queue(WORK_RUN, lease, vm, generation, at_us > g->now_us ? at_us : g->now_us, done, arg);
}

static void fake_suspend(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
			 void *arg)
{
	struct fake_guest *guest = fake_guest(lease, vm, generation);

	if (guest->running) {
		guest->running = false;
		guest->stopped_us = g->now_us;
	}
	queue(WORK_SUSPEND, lease, vm, generation, g->now_us + 3 * SEC, done, arg);
}

static void fake_stop(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg)
{
	queue(WORK_STOP, lease, vm, generation, g->now_us, done, arg);
}

static void fake_remove(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg)
{
	queue(WORK_REMOVE, lease, vm, generation, g->now_us, done, arg);
}

static void fake_list(struct guests *g, guests_listed *done, void *arg)
{
	g->lists++;
	g->listed = done;
	g->listed_arg = arg;
}

static const struct work_calls fake_calls = {
	.prepare = fake_prepare,
	.restore = fake_restore,
	.run = fake_run,
	.suspend = fake_suspend,
	.stop = fake_stop,
	.remove = fake_remove,
	.list = fake_list,
};

static void stop_domain(struct fake_guest *g)
{
	if (g->running) {
		g->stopped_us = fake.now_us;
	}
	g->domain = g->running = false;
}

/* Carries the operation out in the made-up world; false: it cannot. */
static bool carry_out(struct fake_op *op)
{
	struct fake_guest *g = op->guest;

	switch (op->op) {
	case WORK_PREPARE:
		g->fresh = !g->domain;
		g->domain = true;
		return true;
	case WORK_RESTORE:
		if (!g->saved) {
			return false;
		}
		g->domain = true;
		return true;
	case WORK_RUN:
		if (!g->domain) {
			return false;
		}
		g->boots += g->fresh;
		g->fresh = g->saved = false;
		g->running = true;
		g->ran_us = fake.now_us;
		return true;
	case WORK_SUSPEND:
		if (!g->domain) {
			return false;
		}
		g->domain = false;
		g->saved = true;
		return true;
	case WORK_STOP:
		stop_domain(g);
		return true;
	case WORK_REMOVE:
		stop_domain(g);
		g->saved = false;
		return true;
	default:
		return false;
	}
}

static void finish_op(struct fake_op *op)
{
	struct err err = {.code = ERR_INTERNAL, .text = "made-up failure"};
	struct fake_op copy = *op;
	bool ok;

	op->used = false;
	if (fake.down) {
		err.code = ERR_UNAVAILABLE;
	}
	ok = !fake.down && !fake.fail && carry_out(&copy);
	fake.fail -= fake.fail > 0;
	copy.done(ok ? NULL : &err, fake.now_us, copy.arg);
}

static void finish_list(void)
{
	struct guest list[GUESTS_MAX];
	struct err err = {.code = ERR_UNAVAILABLE, .text = "made-up failure"};
	guests_listed *listed = steal(&fake.listed);
	size_t n = 0;

	if (fake.down) {
		listed(NULL, 0, &err, fake.listed_arg);
		return;
	}
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct fake_guest *g = &fake.guest[i];

		if (g->used && (g->domain || g->saved)) {
			list[n++] = (struct guest){g->key.lease, g->key.vm, g->key.generation,
						   g->running  ? SEEN_RUNNING
						   : g->domain ? SEEN_PREPARED
							       : SEEN_SUSPENDED,
						   0};
		}
	}
	listed(list, n, NULL, fake.listed_arg);
}

/* ---- running the driver ---- */

static void on_wake(void *arg)
{
	(void)arg;
	woken = true;
}

static void on_changed(void *arg)
{
	(void)arg;
}

static bool has_image(const struct part_image *image, void *arg)
{
	(void)image;
	(void)arg;
	return image_here;
}

/* The last word on the guest's slice; 0 = none. */
static span_us paced;

static void on_pace(const struct book_key *key, const struct part_vm *vm, void *arg)
{
	(void)key;
	(void)arg;
	paced = vm ? vm->slice_us : 0;
}

static const struct work_ops ops = {
	.wake = on_wake, .changed = on_changed, .image_present = has_image, .pace = on_pace};

static wall_us run_due(wall_us next_us, bool *any)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.op); i++) {
		if (fake.op[i].used && fake.op[i].due_us <= fake.now_us) {
			finish_op(&fake.op[i]);
			*any = true;
		} else if (fake.op[i].used && fake.op[i].due_us < next_us) {
			next_us = fake.op[i].due_us;
		}
	}
	if (fake.listed) {
		finish_list();
		*any = true;
	}
	return next_us;
}

/* Lets virtual time pass, from one due moment to the next. */
static void run_until(wall_us until_us)
{
	unsigned steps = 0;

	for (;;) {
		wall_us next_us = work_pass(work, fake.now_us);
		bool any = false;

		ck_assert_msg(++steps < 2000, "it spins");
		woken = false;
		next_us = run_due(next_us, &any);
		if (any || woken) {
			continue;
		}
		ck_assert_int_gt(next_us, fake.now_us);
		if (next_us > until_us) {
			fake.now_us = until_us;
			return;
		}
		fake.now_us = next_us;
	}
}

static void start_agent(void)
{
	struct err err;

	book = book_open(book_path, fake.now_us, &err);
	ck_assert_msg(book, "%s", err.text);
	work = work_new(book, &fake_calls, &ops, NULL);
	work_set_guests(work, &fake);
	work_guests_ops.connected(true, "", work);
}

/* As kill -9: operations under way are forgotten, or carried out without anybody hearing of it. */
static void kill_agent(bool carried_out)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.op); i++) {
		if (fake.op[i].used && carried_out) {
			fake.now_us = fake.op[i].due_us > fake.now_us ? fake.op[i].due_us : fake.now_us;
			carry_out(&fake.op[i]);
		}
		fake.op[i].used = false;
	}
	fake.listed = NULL;
	work_free(work);
	book_free(book);
}

static uint64_t version;

static struct part *new_part(const struct part_vm *vms, size_t n)
{
	struct part *part = xcalloc(1, sizeof(*part));

	part->epoch = 1;
	part->version = ++version;
	part->images = xcalloc(1, sizeof(*part->images));
	part->image_count = 1;
	part->images[0] = (struct part_image){
		.id = 3, .name = xstrdup("i"), .cmdline = xstrdup(""), .files = 1, .deadline_us = WALL_NEVER};
	part->images[0].file[0] =
		(struct part_file){.role = xstrdup("disk"), .url = xstrdup("http://127.0.0.1/x"), .size = 1};
	memset(part->images[0].file[0].digest, 'a', 64);
	part->vms = xcalloc(n ? n : 1, sizeof(*part->vms));
	part->vm_count = n;
	for (size_t i = 0; i < n; i++) {
		part->vms[i] = vms[i];
		part->vms[i].name = xstrdup("");
	}
	return part;
}

static void set_part(const struct part_vm *vms, size_t n)
{
	struct err err;

	ck_assert_msg(book_accept(book, new_part(vms, n), fake.now_us, &err) == 0, "%s", err.text);
	work_part_changed(work);
}

static enum vm_seen reported(uint64_t lease, uint32_t vm, char text[PART_TEXT_MAX], wall_us *at_us)
{
	struct report *report = xcalloc(1, sizeof(*report));
	enum vm_seen seen = SEEN_COUNT;

	work_report(work, report);
	for (size_t i = 0; i < report->vm_count; i++) {
		if (report->vms[i].lease == lease && report->vms[i].vm == vm) {
			seen = report->vms[i].seen;
			if (text) {
				strcpy(text, report->vms[i].text);
			}
			if (at_us) {
				*at_us = report->vms[i].at_us;
			}
		}
	}
	report_free(report);
	return seen;
}

static void setup(void)
{
	strcpy(folder, "/tmp/tenure-test-work-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(book_path, sizeof(book_path), "%s/book.json", folder);
	memset(&fake, 0, sizeof(fake));
	fake.now_us = T0;
	image_here = true;
	paced = 0;
	version = 0;
	start_agent();
}

static void teardown(void)
{
	kill_agent(false);
	unlink(book_path);
	rmdir(folder);
}

START_TEST(runs_on_time)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	wall_us at_us;

	set_part(&vm, 1);
	run_until(PREPARE - 1);
	ck_assert(!g->domain);
	run_until(START - 1);
	ck_assert(g->domain && !g->running);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_PREPARED);
	run_until(START);
	ck_assert(g->running);
	ck_assert_int_eq(reported(7, 1, NULL, &at_us), SEEN_RUNNING);
	ck_assert_int_eq(at_us, START);
	run_until(END - 1);
	ck_assert(g->running);
	run_until(END);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, &at_us), SEEN_ENDED);
	ck_assert_int_eq(at_us, END);
	set_part(NULL, 0);
	run_until(END + SEC);
	ck_assert_ptr_null(book_guests(book));
}
END_TEST

START_TEST(suspends_and_resumes)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_SUSPEND, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(END);
	ck_assert(!g->running);
	ck_assert_int_eq(g->stopped_us, END);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_SUSPENDING);
	run_until(END + 5 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_SUSPENDED);
	vm.planned = false;
	set_part(&vm, 1);
	run_until(END + 50 * SEC);
	ck_assert(g->saved && !g->domain);
	vm = vm_of(RUN_RESUME, RUN_STOP, true);
	vm.run = resumed();
	set_part(&vm, 1);
	run_until(END + 70 * SEC);
	ck_assert(g->running);
	ck_assert_int_eq(g->ran_us, END + 70 * SEC);
	run_until(END + 80 * SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ENDED);
	ck_assert_uint_eq(g->boots, 1);
}
END_TEST

/* A guest has its slice while it runs, and is let go before it is saved or stopped. */
START_TEST(slices)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_SUSPEND, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	vm.slice_us = 2000;
	vm.period_us = 5000;
	set_part(&vm, 1);
	run_until(START - 1);
	ck_assert_int_eq(paced, 0);
	run_until(START);
	ck_assert(g->running);
	ck_assert_int_eq(paced, 2000);
	vm.slice_us = 3000;
	set_part(&vm, 1);
	run_until(START + SEC);
	ck_assert_int_eq(paced, 3000);
	/* An agent that comes back takes it up again. */
	kill_agent(false);
	paced = 0;
	start_agent();
	run_until(START + 2 * SEC);
	ck_assert_int_eq(paced, 3000);
	run_until(END);
	ck_assert_int_eq(paced, 0);
	vm.run = resumed();
	run_until(END + 30 * SEC);
	set_part(&vm, 1);
	run_until(END + 70 * SEC - 1);
	ck_assert_int_eq(paced, 0);
	run_until(END + 71 * SEC);
	ck_assert_int_eq(paced, 3000);
	set_part(NULL, 0); /* cancelled */
	run_until(END + 72 * SEC);
	ck_assert_int_eq(paced, 0);
}
END_TEST

START_TEST(end_moves)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(START + SEC);
	vm.run.end_us = END + 100 * SEC;
	set_part(&vm, 1);
	run_until(END + SEC);
	ck_assert(g->running);
	vm.run.end_us = END + 10 * SEC;
	vm.run.then = RUN_SUSPEND;
	set_part(&vm, 1);
	run_until(END + 20 * SEC);
	ck_assert_int_eq(g->stopped_us, END + 10 * SEC);
	ck_assert(g->saved);
}
END_TEST

START_TEST(plan_moves_before_the_start)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);

	set_part(&vm, 1);
	run_until(PREPARE + 5 * SEC);
	ck_assert(g->domain);
	vm.run.prepare_us += 50 * SEC;
	vm.run.start_us += 50 * SEC;
	set_part(&vm, 1);
	run_until(PREPARE + 10 * SEC);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ABSENT);
	run_until(START + 60 * SEC);
	ck_assert(g->running);
	ck_assert_int_eq(g->ran_us, START + 50 * SEC);
	ck_assert_uint_eq(g->boots, 1);
}
END_TEST

START_TEST(late_image)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	char text[PART_TEXT_MAX];

	image_here = false;
	set_part(&vm, 1);
	run_until(START + 20 * SEC);
	ck_assert(!g->domain);
	image_here = true;
	run_until(START + 25 * SEC);
	ck_assert(g->running);
	vm.vm = 2;
	image_here = false;
	set_part(&vm, 1);
	run_until(END + SEC);
	ck_assert_int_eq(reported(7, 2, text, NULL), SEEN_FAILED);
	ck_assert_str_eq(text, "its image did not arrive before its end");
}
END_TEST

START_TEST(gone_is_not_booted_again)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	struct guest seen = {7, 1, 1, SEEN_ENDED, START + 3 * SEC};

	set_part(&vm, 1);
	run_until(START + 3 * SEC);
	stop_domain(g);
	if (_i == 0) {
		work_guests_ops.changed(&seen, "shut down", work);
	} else {
		kill_agent(false);
		start_agent();
		work_part_changed(work);
	}
	run_until(END + SEC);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ENDED);
	ck_assert_uint_eq(g->boots, 1);
	ck_assert(!g->domain);
}
END_TEST

START_TEST(killed_around_the_start)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	char text[PART_TEXT_MAX];

	set_part(&vm, 1);
	run_until(START - SEC / 2);
	kill_agent(true);
	ck_assert(g->running);
	if (_i == 0) {
		stop_domain(g); /* and by itself ended again before anybody looked */
	}
	start_agent();
	run_until(START + 20 * SEC);
	ck_assert_uint_eq(g->boots, 1);
	ck_assert_int_eq(reported(7, 1, text, NULL), _i == 0 ? SEEN_FAILED : SEEN_RUNNING);
	ck_assert_str_eq(text, _i == 0 ? "it was lost before it was seen running" : "");
}
END_TEST

START_TEST(failures_are_retried_then_given_up)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	char text[PART_TEXT_MAX];

	set_part(&vm, 1);
	fake.fail = 2;
	run_until(START + SEC);
	ck_assert_int_eq(reported(7, 1, text, NULL), SEEN_RUNNING);
	vm.vm = 2;
	fake.fail = 1000;
	set_part(&vm, 1);
	run_until(START + WORK_GIVE_UP_US - SEC);
	ck_assert_int_ne(reported(7, 2, NULL, NULL), SEEN_FAILED);
	run_until(END - SEC);
	ck_assert_int_eq(reported(7, 2, text, NULL), SEEN_FAILED);
	ck_assert_ptr_nonnull(strstr(text, "made-up failure"));
}
END_TEST

START_TEST(libvirt_away)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	struct report *report = xcalloc(1, sizeof(*report));

	set_part(&vm, 1);
	run_until(START + SEC);
	fake.down = true;
	work_guests_ops.connected(false, "not answering", work);
	run_until(END + 5 * SEC);
	/* Not known is not absent. */
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_RUNNING);
	work_report(work, report);
	ck_assert(report->degraded);
	ck_assert_str_eq(report->text, "not answering");
	report_free(report);
	fake.down = false;
	work_guests_ops.connected(true, "", work);
	run_until(END + 6 * SEC);
	ck_assert(!g->domain);
	ck_assert_int_eq(reported(7, 1, NULL, NULL), SEEN_ENDED);
	ck_assert_uint_eq(g->boots, 1);
}
END_TEST

START_TEST(unknown_guests)
{
	struct fake_guest *g = fake_guest(99, 0, 1);

	/* Without a part nobody knows whether it is wanted. */
	g->domain = g->running = true;
	run_until(T0 + 60 * SEC);
	ck_assert(g->domain);
	set_part(NULL, 0);
	run_until(T0 + 61 * SEC);
	ck_assert(!g->domain);
}
END_TEST

START_TEST(unwritable_book)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct fake_guest *g = fake_guest(7, 1, 1);
	struct report *report = xcalloc(1, sizeof(*report));
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", book_path);

	set_part(&vm, 1);
	run_until(START - 2 * SEC);
	ck_assert_int_eq(mkdir(tmp, 0700), 0);
	run_until(START + SEC);
	ck_assert_int_eq(g->ran_us, START);
	work_report(work, report);
	ck_assert(report->degraded);
	report_free(report);
	ck_assert_int_eq(rmdir(tmp), 0);
	run_until(START + 3 * SEC);
	report = xcalloc(1, sizeof(*report));
	work_report(work, report);
	ck_assert(!report->degraded);
	report_free(report);
}
END_TEST

static unsigned booted, saved;

/* Random plans, failures, hangs of libvirt and kills of the agent: whatever happens, no guest boots twice. */
static void random_round(unsigned *seed)
{
	struct part_vm vms[3];

	setup();
	for (uint32_t i = 0; i < 3; i++) {
		vms[i] = vm_of(RUN_BOOT, rand_r(seed) % 2 ? RUN_STOP : RUN_SUSPEND, true);
		vms[i].vm = i;
	}
	set_part(vms, 3);
	for (int step = 0; step < 40 && fake.now_us < END + 100 * SEC; step++) {
		switch (rand_r(seed) % 8) {
		case 0:
			kill_agent(rand_r(seed) % 2);
			if (rand_r(seed) % 4 == 0) {
				stop_domain(fake_guest(7, (uint32_t)rand_r(seed) % 3, 1));
			}
			start_agent();
			work_part_changed(work);
			break;
		case 1:
			fake.fail = (unsigned)rand_r(seed) % 3;
			break;
		case 2:
			fake.down = !fake.down;
			work_guests_ops.connected(!fake.down, "down", work);
			break;
		case 3:
			vms[rand_r(seed) % 3].run.end_us += (rand_r(seed) % 7 - 3) * SEC;
			set_part(vms, 3);
			break;
		default:
			run_until(fake.now_us + rand_r(seed) % 12 * SEC + rand_r(seed) % 1000000);
		}
	}
	fake.fail = 0;
	fake.down = false;
	work_guests_ops.connected(true, "", work);
	run_until(END + 400 * SEC);
	for (uint32_t i = 0; i < 3; i++) {
		struct fake_guest *g = fake_guest(7, i, 1);

		ck_assert_uint_le(g->boots, 1);
		ck_assert(!g->domain && !g->running);
		ck_assert(g->boots == 0 || g->ran_us >= START);
		booted += g->boots;
		saved += g->saved;
		ck_assert_int_ne(reported(7, i, NULL, NULL), SEEN_RUNNING);
		ck_assert(g->saved == (reported(7, i, NULL, NULL) == SEEN_SUSPENDED));
	}
	teardown();
}

START_TEST(random_faults)
{
	unsigned seed = (unsigned)time(NULL), first = seed;

	printf("random_faults: seed %u\n", first);
	for (int round = 0; round < 200; round++) {
		random_round(&seed);
	}
	printf("random_faults: of 600 guests %u ran, %u are suspended\n", booted, saved);
	ck_assert_uint_gt(booted, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_work");
	TCase *driver = tcase_create("driver"), *random = tcase_create("random");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(driver, setup, teardown);
	tcase_add_test(driver, runs_on_time);
	tcase_add_test(driver, suspends_and_resumes);
	tcase_add_test(driver, slices);
	tcase_add_test(driver, end_moves);
	tcase_add_test(driver, plan_moves_before_the_start);
	tcase_add_test(driver, late_image);
	tcase_add_loop_test(driver, gone_is_not_booted_again, 0, 2);
	tcase_add_loop_test(driver, killed_around_the_start, 0, 2);
	tcase_add_test(driver, failures_are_retried_then_given_up);
	tcase_add_test(driver, libvirt_away);
	tcase_add_test(driver, unknown_guests);
	tcase_add_test(driver, unwritable_book);
	suite_add_tcase(suite, driver);
	tcase_set_timeout(random, 60);
	tcase_add_test(random, random_faults);
	suite_add_tcase(suite, random);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
