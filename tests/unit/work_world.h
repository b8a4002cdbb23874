/*
 * The driver of the book over a made-up libvirt in virtual time, with failures and restarts, for tests of how an agent
 * carries its book out.
 */
#ifndef TENURE_WORK_WORLD_H
#define TENURE_WORK_WORLD_H

#include <check.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "work.h"
#include "work_fixture.h"

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
static enum copy_state copy_here; /* of every guest that comes from another node */

static inline struct fake_guest *fake_guest(uint64_t lease, uint32_t vm, uint32_t generation)
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

static inline void queue(enum work_op op, uint64_t lease, uint32_t vm, uint32_t generation, wall_us due_us,
			 guest_done *done, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.op); i++) {
		if (!fake.op[i].used) {
			fake.op[i] = (struct fake_op){true, op, fake_guest(lease, vm, generation), due_us, done, arg};
			return;
		}
	}
	ck_abort_msg("too many operations");
}

static inline void fake_prepare(struct guests *g, const struct part_vm *vm, const struct part_image *image,
				guest_done *done, void *arg)
{
	ck_assert_ptr_nonnull(image);
	queue(WORK_PREPARE, vm->lease, vm->vm, vm->generation, g->now_us + SEC, done, arg);
}

static inline void fake_restore(struct guests *g, const struct part_vm *vm, const struct part_image *image,
				guest_done *done, void *arg)
{
	ck_assert_ptr_nonnull(image);
	queue(WORK_RESTORE, vm->lease, vm->vm, vm->generation, g->now_us + 2 * SEC, done, arg);
}

static inline void fake_run(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, wall_us at_us,
			    guest_done *done, void *arg)
{
	queue(WORK_RUN, lease, vm, generation, at_us > g->now_us ? at_us : g->now_us, done, arg);
}

static inline void fake_suspend(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
				void *arg)
{
	struct fake_guest *guest = fake_guest(lease, vm, generation);

	if (guest->running) {
		guest->running = false;
		guest->stopped_us = g->now_us;
	}
	queue(WORK_SUSPEND, lease, vm, generation, g->now_us + 3 * SEC, done, arg);
}

static inline void fake_stop(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
			     void *arg)
{
	queue(WORK_STOP, lease, vm, generation, g->now_us, done, arg);
}

static inline void fake_remove(struct guests *g, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
			       void *arg)
{
	queue(WORK_REMOVE, lease, vm, generation, g->now_us, done, arg);
}

static inline void fake_list(struct guests *g, guests_listed *done, void *arg)
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

static inline void stop_domain(struct fake_guest *g)
{
	if (g->running) {
		g->stopped_us = fake.now_us;
	}
	g->domain = g->running = false;
}

/* Carries the operation out in the made-up world; false: it cannot. */
static inline bool carry_out(struct fake_op *op)
{
	struct fake_guest *g = op->guest;

	switch (op->op) {
	case WORK_PREPARE:
		g->fresh = !g->domain;
		g->domain = true;
		return true;
	case WORK_RESTORE:
		if (!g->saved && copy_here != COPY_HERE) {
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

static inline void finish_op(struct fake_op *op)
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

static inline void finish_list(void)
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

static inline void on_wake(void *arg)
{
	(void)arg;
	woken = true;
}

static inline void on_changed(void *arg)
{
	(void)arg;
}

static inline bool has_image(const struct part_image *image, void *arg)
{
	(void)image;
	(void)arg;
	return image_here;
}

static inline enum copy_state get_copy(const struct book_key *key, const char **text, void *arg)
{
	(void)key;
	(void)arg;
	*text = copy_here == COPY_STUCK ? "made-up cut" : "";
	return copy_here;
}

/* The last word on the guest's slice; 0 = none. */
static span_us paced;

static inline void on_pace(const struct book_key *key, const struct part_vm *vm, void *arg)
{
	(void)key;
	(void)arg;
	paced = vm ? vm->slice_us : 0;
}

static const struct work_ops ops = {
	.wake = on_wake, .changed = on_changed, .image_present = has_image, .copy = get_copy, .pace = on_pace};

static inline wall_us run_due(wall_us next_us, bool *any)
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
static inline void run_until(wall_us until_us)
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

static inline void start_agent(void)
{
	struct err err;

	book = book_open(book_path, fake.now_us, &err);
	ck_assert_msg(book, "%s", err.text);
	work = work_new(book, &fake_calls, &ops, NULL);
	work_set_guests(work, &fake);
	work_guests_ops.connected(true, "", work);
}

/* As kill -9: operations under way are forgotten, or carried out without anybody hearing of it. */
static inline void kill_agent(bool carried_out)
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

static inline void set_part(const struct part_vm *vms, size_t n)
{
	struct err err;

	ck_assert_msg(book_accept(book, part_of(vms, n, ++version), fake.now_us, &err) == 0, "%s", err.text);
	work_part_changed(work);
}

static inline enum vm_seen reported(uint64_t lease, uint32_t vm, char text[PART_TEXT_MAX], wall_us *at_us)
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

static inline void setup(void)
{
	strcpy(folder, "/tmp/tenure-test-work-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(book_path, sizeof(book_path), "%s/book.json", folder);
	memset(&fake, 0, sizeof(fake));
	fake.now_us = T0;
	image_here = true;
	copy_here = COPY_COMING;
	paced = 0;
	version = 0;
	start_agent();
}

static inline void teardown(void)
{
	kill_agent(false);
	unlink(book_path);
	rmdir(folder);
}

#endif
