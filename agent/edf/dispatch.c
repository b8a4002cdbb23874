/*
 * The real-time thread. All of its memory is there before it starts. Each pass: take up what changed in the table,
 * charge those that could run, look, set priorities, tell, and sleep on the table's futex until the next look is due.
 */
#include "dispatch.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "awake.h"
#include "clock.h"
#include "util.h"

#define STACK_SIZE (256 * 1024)
#define STACK_TOUCHED (24 * 1024) /* more than a pass uses, system calls are on the kernel's stack */
#define RELEASE_WAIT_US 1000
#define RELEASE_TRIES 200

/* What the dispatcher knows of one task of its core. */
struct entry {
	struct table_slot *slot; /* NULL = none */
	int cpu_fd, state_fd;    /* of its CPU time; of whether it is ready */
	uint32_t seq;            /* of the constraint taken up */
	int priority;            /* given; 0 = parked */
	struct proc_time seen;   /* up to which it was charged */
	bool asleep;             /* awake_since()'s */
	int64_t slack_ns, change_ns, change_max_ns;
	uint64_t misses; /* told to the ring */
};

struct dispatcher {
	struct table *table;
	struct table_cpu *cpu;
	struct edf edf;
	struct entry entry[EDF_TASKS];
	struct ring ring;
	int event_fd;
	unsigned order[EDF_LADDER];
	unsigned ladder;
	int64_t looked_ns;
	uint32_t change; /* up to which changes were taken up */
	bool held_back;  /* the watchdog has given the threads back */
	_Atomic bool stop;
	pthread_t thread;
	struct edf_floor floor;
};

/* ---- one task ---- */

static void tell(const struct dispatcher *d)
{
	static const uint64_t one = 1;

	/* Full means that the owner has not read for long: it will find everything. */
	if (write(d->event_fd, &one, sizeof(one)) < 0) {
		return;
	}
}

static void mark_gone(struct dispatcher *d, struct entry *entry)
{
	if (!atomic_exchange(&entry->slot->gone, true)) {
		tell(d);
	}
}

/* What it had since it was last asked for. */
static struct proc_time received(struct dispatcher *d, struct entry *entry)
{
	struct proc_time now, since;

	if (proc_time(entry->cpu_fd, &now) < 0) {
		mark_gone(d, entry);
		return (struct proc_time){0};
	}
	since = (struct proc_time){now.run_ns - entry->seen.run_ns, now.wait_ns - entry->seen.wait_ns,
				   now.turns - entry->seen.turns};
	entry->seen = now;
	return since;
}

static void set_priority(struct dispatcher *d, struct entry *entry, int priority)
{
	int rc;

	if (entry->priority == priority) {
		return;
	}
	rc = priority ? proc_fifo(entry->slot->tid, priority) : proc_park(entry->slot->tid);
	if (rc < 0 && errno == ESRCH) {
		mark_gone(d, entry);
	}
	entry->priority = rc == 0 ? priority : 0;
}

static void charge_all(struct dispatcher *d, int64_t now)
{
	int64_t elapsed = now - d->looked_ns;
	bool behind = false; /* one that is ready: it could not run */

	for (unsigned i = 0; i < d->ladder; i++) {
		struct entry *entry = &d->entry[d->order[i]];
		struct proc_time since;

		if (!entry->slot) {
			continue;
		}
		since = received(d, entry);
		edf_charge(&d->edf, d->order[i], since.run_ns);
		if (!behind && awake_since(&entry->asleep, &since, elapsed, entry->state_fd)) {
			edf_awake(&d->edf, d->order[i]);
			behind = true;
		}
	}
	d->looked_ns = now;
}

static void publish(const struct dispatcher *d, unsigned k)
{
	const struct entry *entry = &d->entry[k];
	const struct edf_stat *stat = edf_stat(&d->edf, k);
	struct table_stat out = {
		.slack_ns = entry->slack_ns, .change_ns = entry->change_ns, .change_max_ns = entry->change_max_ns};

	if (stat) {
		out.edf = *stat;
		table_stat_write(entry->slot, &out);
	}
}

/* ---- changes of the table ---- */

static void let_go(struct dispatcher *d, unsigned k, int64_t now)
{
	struct entry *entry = &d->entry[k];

	publish(d, k);
	set_priority(d, entry, 0);
	edf_clear(&d->edf, k, now);
	entry->slot = NULL;
	atomic_store(&d->cpu->bound[k], 0);
	atomic_fetch_sub(&d->cpu->bound_count, 1);
}

static void take_constraint(struct dispatcher *d, unsigned k, int64_t now)
{
	struct entry *entry = &d->entry[k];
	struct table_wish wish;
	uint32_t seq;

	if (!table_wish_read(entry->slot, &wish, &seq) || seq == entry->seq) {
		return;
	}
	edf_set(&d->edf, k, &wish.constraint, wish.first_release_ns ? wish.first_release_ns : now, now);
	entry->seq = seq;
	entry->change_ns = clock_mono_ns() - wish.changed_ns;
	if (entry->change_ns > entry->change_max_ns) {
		entry->change_max_ns = entry->change_ns;
	}
}

static void take_up(struct dispatcher *d, unsigned k, unsigned wish, int64_t now)
{
	struct entry *entry = &d->entry[k];

	*entry = (struct entry){.slot = &d->table->slot[wish - 1],
				.cpu_fd = entry->cpu_fd,
				.state_fd = entry->state_fd,
				.seq = UINT32_MAX};
	received(d, entry);
	take_constraint(d, k, now);
	atomic_fetch_add(&d->cpu->bound_count, 1);
	atomic_store(&d->cpu->bound[k], (uint16_t)wish);
}

static void take_changes(struct dispatcher *d, int64_t now)
{
	for (unsigned k = 0; k < EDF_TASKS; k++) {
		unsigned wish = atomic_load(&d->cpu->map[k]);
		unsigned bound = atomic_load(&d->cpu->bound[k]);

		if (bound && bound != wish) {
			let_go(d, k, now);
		}
		if (wish && bound != wish) {
			take_up(d, k, wish, now);
		} else if (wish) {
			take_constraint(d, k, now);
		}
	}
}

/* ---- the watchdog's doing ---- */

/* Nobody of ours may keep a priority; the owner binds them again and then says so by `released` = 0. */
static void hold_back(struct dispatcher *d)
{
	for (unsigned k = 0; k < EDF_TASKS; k++) {
		if (d->entry[k].slot) {
			d->entry[k].priority = -1;
			set_priority(d, &d->entry[k], 0);
		}
	}
	d->ladder = 0;
	if (!d->held_back) {
		d->held_back = true;
		tell(d);
	}
}

/* Time stood still for the tasks: their periods begin anew. */
static void go_on(struct dispatcher *d, int64_t now)
{
	d->held_back = false;
	edf_init(&d->edf, &d->floor, now);
	for (unsigned k = 0; k < EDF_TASKS; k++) {
		if (d->entry[k].slot) {
			d->entry[k].seq = UINT32_MAX;
			received(d, &d->entry[k]);
			take_constraint(d, k, now);
		}
	}
}

/* ---- a pass ---- */

static void set_ladder(struct dispatcher *d, const unsigned *order, unsigned n)
{
	bool stays[EDF_TASKS] = {false};

	for (unsigned i = 0; i < n; i++) {
		stays[order[i]] = true;
	}
	for (unsigned i = 0; i < d->ladder; i++) {
		struct entry *entry = &d->entry[d->order[i]];

		if (entry->slot && !stays[d->order[i]]) {
			set_priority(d, entry, 0);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		struct entry *entry = &d->entry[order[i]];

		/* What it got while parked is a gift. */
		if (entry->priority == 0) {
			int64_t slack = received(d, entry).run_ns;

			entry->slack_ns += slack;
			entry->asleep = slack == 0;
		}
		set_priority(d, entry, DISPATCH_TOP - (int)i);
		d->order[i] = order[i];
	}
	d->ladder = n;
}

static void tell_misses(struct dispatcher *d, unsigned k)
{
	struct entry *entry = &d->entry[k];
	const struct edf_stat *stat = edf_stat(&d->edf, k);
	struct ring_item item;

	if (!stat || stat->misses == entry->misses) {
		return;
	}
	item = (struct ring_item){.task = entry->slot->task,
				  .slot = (uint32_t)(entry->slot - d->table->slot),
				  .misses = (uint32_t)(stat->misses - entry->misses),
				  .late_max_ns = stat->short_max_ns};
	entry->misses = stat->misses;
	ring_put(&d->ring, &item);
	tell(d);
}

static void tell_all(struct dispatcher *d, unsigned n_before, const unsigned *before, int64_t now)
{
	for (unsigned i = 0; i < n_before; i++) {
		if (d->entry[before[i]].slot) {
			publish(d, before[i]);
			tell_misses(d, before[i]);
		}
	}
	atomic_store_explicit(&d->cpu->beat_ns, now, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->cpu->wakes, 1, memory_order_relaxed);
}

/* When to look again. */
static int64_t pass(struct dispatcher *d, uint32_t change, int64_t now)
{
	unsigned order[EDF_LADDER], before[EDF_LADDER], n_before = d->ladder, n;
	int64_t again;

	if (atomic_load(&d->table->released)) {
		hold_back(d);
		atomic_store_explicit(&d->cpu->beat_ns, now, memory_order_relaxed);
		return now + DISPATCH_BEAT_NS;
	}
	if (d->held_back) {
		go_on(d, now);
	}
	charge_all(d, now);
	if (change != d->change) {
		take_changes(d, now);
		d->change = change;
		atomic_store(&d->cpu->taken, change);
	}
	memcpy(before, d->order, sizeof(before));
	n = edf_look(&d->edf, now, order, &again);
	set_ladder(d, order, n);
	tell_all(d, n_before, before, now);
	if (!atomic_load_explicit(&d->cpu->bound_count, memory_order_relaxed)) {
		return EDF_NEVER;
	}
	return again < now + DISPATCH_BEAT_NS ? again : now + DISPATCH_BEAT_NS;
}

static void sleep_until(struct dispatcher *d, uint32_t change, int64_t until)
{
	struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};

	syscall(SYS_futex, &d->cpu->change, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, change,
		until == EDF_NEVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void park_all(struct dispatcher *d)
{
	int64_t now = clock_mono_ns();

	for (unsigned k = 0; k < EDF_TASKS; k++) {
		if (d->entry[k].slot) {
			let_go(d, k, now);
		}
	}
}

static void touch_stack(void)
{
	volatile char page[STACK_TOUCHED];

	for (size_t i = 0; i < sizeof(page); i += 1024) {
		page[i] = 0;
	}
}

static void *run(void *arg)
{
	struct dispatcher *d = arg;

	touch_stack();
	edf_init(&d->edf, &d->floor, clock_mono_ns());
	while (!atomic_load(&d->stop)) {
		/* Read before the table is: a change in between wakes us at once. */
		uint32_t change = atomic_load(&d->cpu->change);

		sleep_until(d, change, pass(d, change, clock_mono_ns()));
	}
	park_all(d);
	return NULL;
}

/* ---- the owner's side ---- */

/* Policy and CPU come with the thread's birth: it never runs elsewhere. */
static int start_thread(struct dispatcher *d, struct err *err)
{
	struct sched_param param = {.sched_priority = DISPATCH_PRIORITY};
	sigset_t all, old;
	pthread_attr_t attr;
	cpu_set_t set;
	char name[16];
	int rc;

	CPU_ZERO(&set);
	CPU_SET((size_t)d->cpu->cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&d->thread, &attr, run, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc != 0) {
		return err_set(err, ERR_DENIED, "cannot start a SCHED_FIFO thread on CPU %d: %s", d->cpu->cpu,
			       strerror(rc));
	}
	snprintf(name, sizeof(name), "edf/%d", d->cpu->cpu);
	pthread_setname_np(d->thread, name);
	return 0;
}

int dispatch_new(struct dispatcher **dispatcher, struct table *table, unsigned index, const struct edf_floor *floor,
		 int event_fd, struct err *err)
{
	struct dispatcher *d = xcalloc(1, sizeof(*d));

	d->table = table;
	d->cpu = &table->cpu[index];
	d->floor = *floor;
	d->event_fd = event_fd;
	if (start_thread(d, err) < 0) {
		free(d);
		return -1;
	}
	*dispatcher = d;
	return 0;
}

void dispatch_free(struct dispatcher *d)
{
	if (!d) {
		return;
	}
	atomic_store(&d->stop, true);
	table_wake(d->cpu);
	pthread_join(d->thread, NULL);
	free(d);
}

void dispatch_prepare(struct dispatcher *d, unsigned k, int cpu_fd, int state_fd)
{
	d->entry[k].cpu_fd = cpu_fd;
	d->entry[k].state_fd = state_fd;
}

bool dispatch_released(struct dispatcher *d, unsigned k)
{
	uint32_t change = atomic_load(&d->cpu->change);

	/* Not bound is not enough: it may be about to take up what was mapped before. */
	for (int tries = 0; atomic_load(&d->cpu->taken) != change || atomic_load(&d->cpu->bound[k]); tries++) {
		if (tries == RELEASE_TRIES) {
			return false;
		}
		usleep(RELEASE_WAIT_US);
	}
	return true;
}

struct ring *dispatch_ring(struct dispatcher *d)
{
	return &d->ring;
}
