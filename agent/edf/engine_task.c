/*
 * The engine's tasks: which threads they have, whether there is room, on which CPU each thread goes, and moving them
 * when that changes. Single threads are hold.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "engine_state.h"
#include "util.h"
#include "when.h"

#define REALIGN_NS 100000 /* the wall clock is set by less than this all the time; a gang does not notice */

struct task *task_find(const struct engine *engine, uint64_t id)
{
	for (unsigned i = 0; i < engine->task_count; i++) {
		if (engine->tasks[i]->id == id) {
			return engine->tasks[i];
		}
	}
	return NULL;
}

/* ---- threads of a process ---- */

static bool wanted(const struct task *task, const struct proc_thread *thread)
{
	switch (task->spec.kind) {
	case ENGINE_PROCESS:
		return true;
	case ENGINE_THREAD:
		return thread->tid == task->spec.tid;
	case ENGINE_QEMU:
		return thread->vcpu >= 0;
	}
	return false;
}

/* Those to be managed; `all` has room for PROC_THREADS. How many, which may be more than TABLE_CPUS. */
static unsigned find_threads(const struct task *task, struct proc_thread *all, struct proc_thread *out)
{
	unsigned count = proc_threads(task->spec.pid, all, PROC_THREADS);
	unsigned n = 0;

	for (unsigned i = 0; i < count && i < PROC_THREADS; i++) {
		if (wanted(task, &all[i])) {
			if (n < TABLE_CPUS) {
				out[n] = all[i];
			}
			n++;
		}
	}
	return n;
}

static bool has_thread(const struct held *held, unsigned n, pid_t tid)
{
	for (unsigned i = 0; i < n; i++) {
		if (held[i].tid == tid) {
			return true;
		}
	}
	return false;
}

static bool is_managed(const struct engine *engine, pid_t tid)
{
	for (unsigned i = 0; i < engine->task_count; i++) {
		const struct task *task = engine->tasks[i];

		if (has_thread(task->thread, task->count, tid) || has_thread(task->kept, task->kept_count, tid)) {
			return true;
		}
	}
	return false;
}

/* ---- room ---- */

static struct edf_demand demand_of(struct task *task, unsigned threads, const struct edf_constraint *constraint,
				   int32_t *cpu)
{
	return (struct edf_demand){
		.id = task->id,
		.threads = threads,
		/* Rounded so that no more is promised than there is. */
		.slice_us = (constraint->slice_ns + 999) / 1000,
		.period_us = constraint->period_ns / 1000,
		.cpu = cpu,
	};
}

static void offer_text(const struct edf_offer *offer, int64_t period_us, char *out, size_t size)
{
	char slice[WHEN_TEXT], period[WHEN_TEXT], other[WHEN_TEXT];

	when_span(offer->slice_us, slice);
	when_span(period_us, period);
	if (offer->slice_us > 0) {
		snprintf(out, size, "; a slice of up to %s in %s would fit", slice, period);
	} else {
		snprintf(out, size, "; nothing would fit at this period");
	}
	if (offer->period_us > 0 && offer->period_us != period_us) {
		size_t at = strlen(out);

		when_span(offer->period_us, period);
		when_span(offer->period_slice_us, other);
		snprintf(out + at, size - at, ", or %s in %s", other, period);
	}
}

static int refuse(const struct engine *engine, enum edf_verdict verdict, const struct edf_demand *demand,
		  const struct edf_offer *offer, struct err *err)
{
	char slice[WHEN_TEXT], period[WHEN_TEXT], least[WHEN_TEXT], fits[160];

	when_span(demand->slice_us, slice);
	when_span(demand->period_us, period);
	when_span(engine->node.period_min_us, least);
	offer_text(offer, demand->period_us, fits, sizeof(fits));
	switch (verdict) {
	case EDF_ZERO:
		return err_set(err, ERR_PARAMS, "slice and period must both be above zero");
	case EDF_SLICE_LONG:
		return err_set(err, ERR_PARAMS, "the slice (%s) is longer than the period (%s)", slice, period);
	case EDF_PERIOD_SHORT:
		return err_set(err, ERR_PARAMS, "the period (%s) is below the shortest calibrated here, %s", period,
			       least);
	case EDF_PERIOD_LONG:
		return err_set(err, ERR_PARAMS, "the period (%s) is above the longest, %lld days", period,
			       (long long)(EDF_PERIOD_MAX_US / USEC_PER_DAY));
	case EDF_SLICE_SHORT:
		when_span(edf_slice_min_us(&engine->node), least);
		return err_set(err, ERR_PARAMS, "the slice (%s) is below the least calibrated here, %s%s", slice, least,
			       fits);
	case EDF_BEYOND_CPU:
		return err_set(
			err, ERR_PARAMS,
			"%s in %s is more than may be promised of a CPU here, %.1f %% with the scheduler's cost%s",
			slice, period, engine->node.limit_ppm / 1e4, fits);
	case EDF_MORE_THREADS:
		return err_set(err, ERR_LIMIT,
			       "it has %u threads, each of which needs a CPU of its own; %u CPUs are managed%s",
			       demand->threads, engine->node.cpus,
			       engine->node.cpus ? "; name one thread instead, or manage more CPUs" : "");
	case EDF_NO_ROOM:
		return err_set(err, ERR_REJECTED, "no room for %s in %s beside the others%s", slice, period, fits);
	case EDF_FITS:
	case EDF_VERDICT_COUNT:
		break;
	}
	return 0;
}

/*
 * Places all tasks, `changed` with so many threads under that constraint. On success every task->cpu is filled (those
 * of a task with fewer threads than before too); on failure nothing is changed.
 */
static int place(struct engine *engine, struct task *changed, unsigned threads, const struct edf_constraint *constraint,
		 struct err *err)
{
	_cleanup_free_ struct edf_demand *demands = xcalloc(engine->task_count + 1, sizeof(*demands));
	struct edf_demand wanted_one = demand_of(changed, threads, constraint, changed->cpu);
	enum edf_verdict verdict = threads > TABLE_CPUS ? EDF_MORE_THREADS : edf_check(&engine->node, &wanted_one);
	unsigned n = 0;

	for (unsigned i = 0; i < engine->task_count; i++) {
		struct task *task = engine->tasks[i];

		if (task != changed && task->count) {
			demands[n++] = demand_of(task, task->count, &task->spec.constraint, task->cpu);
		}
	}
	demands[n] = wanted_one;
	if (verdict == EDF_FITS) {
		verdict = edf_pack(&engine->node, demands, n + 1, NULL);
	}
	if (verdict != EDF_FITS) {
		struct edf_offer offer = {0};

		if (verdict == EDF_NO_ROOM || verdict == EDF_BEYOND_CPU || verdict == EDF_SLICE_SHORT) {
			offer = edf_offer(&engine->node, demands, n, &wanted_one);
		}
		return refuse(engine, verdict, &wanted_one, &offer, err);
	}
	return 0;
}

/* ---- moving ---- */

/* What it had counts on. */
static void keep_figures(const struct engine *engine, struct held *held)
{
	struct table_stat stat;

	hold_stat(engine, held, &stat);
	held->used_ns += stat.edf.used_ns;
	held->periods += stat.edf.periods;
	held->misses += stat.edf.misses;
	held->late_max_ns = stat.edf.short_max_ns > held->late_max_ns ? stat.edf.short_max_ns : held->late_max_ns;
	held->over_max_ns = stat.edf.over_max_ns > held->over_max_ns ? stat.edf.over_max_ns : held->over_max_ns;
	held->change_max_ns = stat.change_max_ns > held->change_max_ns ? stat.change_max_ns : held->change_max_ns;
}

static bool must_move(const struct task *task, unsigned i)
{
	return task->thread[i].cpu >= 0 && task->thread[i].cpu != task->cpu[i];
}

/* Takes the thread anew, where it is placed now. */
static int retake(struct engine *engine, struct task *task, unsigned i, struct err *err)
{
	struct held *held = &task->thread[i], fresh = {.vcpu = held->vcpu};

	if (hold_take(engine, task, held->tid, task->cpu[i], &fresh, err) < 0) {
		return -1;
	}
	fresh.used_ns = held->used_ns;
	fresh.periods = held->periods;
	fresh.misses = held->misses;
	fresh.late_max_ns = held->late_max_ns;
	fresh.over_max_ns = held->over_max_ns;
	fresh.change_max_ns = held->change_max_ns;
	*held = fresh;
	return 0;
}

static void drop_thread(struct task *task, unsigned i)
{
	task->count--;
	memmove(&task->thread[i], &task->thread[i + 1], (task->count - i) * sizeof(task->thread[0]));
	memmove(&task->cpu[i], &task->cpu[i + 1], (task->count - i) * sizeof(task->cpu[0]));
}

/*
 * Brings every thread to the CPU it is placed on. All leave before any arrives: on no CPU is more promised than it has.
 * One that cannot be taken again has ended, as a rule; the next scan sees to it.
 */
static void move_all(struct engine *engine)
{
	for (unsigned t = 0; t < engine->task_count; t++) {
		struct task *task = engine->tasks[t];

		for (unsigned i = 0; i < task->count; i++) {
			if (must_move(task, i)) {
				struct held *held = &task->thread[i];

				keep_figures(engine, held);
				hold_release(engine, task, held);
				held->cpu = -2;
			}
		}
	}
	for (unsigned t = 0; t < engine->task_count; t++) {
		struct task *task = engine->tasks[t];

		for (unsigned i = task->count; i-- > 0;) {
			if (task->thread[i].cpu == -2 && retake(engine, task, i, NULL) < 0) {
				drop_thread(task, i);
			}
		}
	}
}

/* ---- attaching ---- */

static int check_self(const struct engine *engine, const struct engine_task *spec, struct err *err)
{
	if (spec->pid == getpid() || spec->pid == engine->watchdog.pid) {
		return err_set(err, ERR_DENIED, "process %d is the scheduler itself", (int)spec->pid);
	}
	return 0;
}

static int check_free(const struct engine *engine, const struct proc_thread *threads, unsigned n, struct err *err)
{
	for (unsigned i = 0; i < n && i < TABLE_CPUS; i++) {
		if (is_managed(engine, threads[i].tid)) {
			return err_set(err, ERR_CONFLICT, "thread %d is managed already; set its constraint instead",
				       (int)threads[i].tid);
		}
	}
	return 0;
}

static int check_found(const struct task *task, unsigned n, struct err *err)
{
	if (n > 0) {
		return 0;
	}
	switch (task->spec.kind) {
	case ENGINE_QEMU:
		return err_set(err, ERR_NOT_FOUND,
			       "process %d has no threads named \"CPU n/KVM\" or \"CPU n/TCG\": is it QEMU, with "
			       "-name debug-threads=on?",
			       (int)task->spec.pid);
	case ENGINE_THREAD:
		return err_set(err, ERR_NOT_FOUND, "process %d has no thread %d", (int)task->spec.pid,
			       (int)task->spec.tid);
	case ENGINE_PROCESS:
		break;
	}
	return err_set(err, ERR_NOT_FOUND, "process %d has ended", (int)task->spec.pid);
}

static void release_threads(struct engine *engine, struct task *task)
{
	while (task->count > 0) {
		task->count--;
		hold_release(engine, task, &task->thread[task->count]);
	}
	while (task->kept_count > 0) {
		task->kept_count--;
		hold_release(engine, task, &task->kept[task->kept_count]);
	}
}

static int take_threads(struct engine *engine, struct task *task, const struct proc_thread *threads, unsigned n,
			struct err *err)
{
	for (unsigned i = 0; i < n; i++) {
		task->thread[i].vcpu = threads[i].vcpu;
		if (hold_take(engine, task, threads[i].tid, task->cpu[i], &task->thread[i], err) < 0) {
			release_threads(engine, task);
			return -1;
		}
		task->count++;
	}
	return 0;
}

/*
 * A guest that the kernel refuses real-time priorities gets what else there is, alone, and its rows say why; whoever
 * else asked for a process is told, and may mend it.
 */
static int take_guest(struct engine *engine, struct task *task, const struct proc_thread *threads, unsigned n,
		      struct err *err)
{
	struct err why = {0};

	if (take_threads(engine, task, threads, n, &why) == 0) {
		return 0;
	}
	for (task->backend = ENGINE_QUOTA;
	     why.code == ERR_UNAVAILABLE && task->spec.kind == ENGINE_QEMU && task->backend <= ENGINE_NONE;
	     task->backend++) {
		if (take_threads(engine, task, threads, n, NULL) == 0) {
			snprintf(task->reason, sizeof(task->reason), "%.255s", why.text);
			return 0;
		}
	}
	return err_set(err, why.code == ERR_UNAVAILABLE ? ERR_DENIED : why.code, "%s", why.text);
}

/* Not to be had is not worth an error: the guest only answers its host later. */
static void keep_house(struct engine *engine, struct task *task, const struct proc_thread *all, unsigned n)
{
	if (task->spec.kind != ENGINE_QEMU || !engine->keep_house || task->backend != ENGINE_EDF) {
		return;
	}
	for (unsigned i = 0; i < n && i < PROC_THREADS; i++) {
		struct held held;

		if (all[i].vcpu >= 0 || has_thread(task->kept, task->kept_count, all[i].tid) ||
		    hold_keep(engine, task, all[i].tid, &held, NULL) < 0) {
			continue;
		}
		task->kept = xrealloc(task->kept, task->kept_count + 1, sizeof(*task->kept));
		task->kept[task->kept_count++] = held;
	}
}

static int watch_end(struct engine *engine, struct task *task, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = task->id};

	task->pid_fd = (int)syscall(SYS_pidfd_open, task->spec.pid, 0);
	if (task->pid_fd < 0) {
		return errno == ESRCH || errno == EINVAL
			       ? err_set(err, ERR_NOT_FOUND, "there is no process %d", (int)task->spec.pid)
			       : err_set(err, ERR_LIMIT, "process %d: %s", (int)task->spec.pid, strerror(errno));
	}
	epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, task->pid_fd, &event);
	return 0;
}

static void task_free(struct task *task)
{
	cleanup_close(&task->pid_fd);
	free(task->kept);
	free(task);
}

/* The end is watched before the start time is compared: from then on the number cannot become another's unseen. */
static int open_task(struct engine *engine, struct task *task, struct err *err)
{
	struct engine_task *spec = &task->spec;

	if (check_self(engine, spec, err) < 0 || watch_end(engine, task, err) < 0 ||
	    proc_check(spec->pid, spec->start_time, spec->owner_uid, &spec->start_time, err) < 0) {
		return -1;
	}
	if (!*spec->name) {
		proc_name(spec->pid, spec->name, sizeof(spec->name));
	}
	return 0;
}

static int start_task(struct engine *engine, struct task *task, struct err *err)
{
	_cleanup_free_ struct proc_thread *all = xcalloc(PROC_THREADS, sizeof(*all));
	struct proc_thread threads[TABLE_CPUS];
	unsigned n = find_threads(task, all, threads);
	struct control control;
	int rc;

	for (unsigned i = 0; i < TABLE_CPUS; i++) {
		task->cpu[i] = -1;
	}
	if (check_found(task, n, err) < 0 || check_free(engine, threads, n, err) < 0 ||
	    place(engine, task, n, &task->spec.constraint, err) < 0) {
		return -1;
	}
	control_begin(engine, &control);
	move_all(engine);
	rc = take_guest(engine, task, threads, n, err);
	if (rc == 0) {
		keep_house(engine, task, all, proc_threads(task->spec.pid, all, PROC_THREADS));
	}
	control_end(&control);
	return rc;
}

int engine_attach(struct engine *engine, const struct engine_task *spec, uint64_t *id, struct err *err)
{
	struct task *task = xcalloc(1, sizeof(*task));

	task->id = spec->id > engine->last_id ? spec->id : engine->last_id + 1;
	task->spec = *spec;
	task->backend = engine->backend;
	task->attached_ns = clock_mono_ns();
	task->clock_offset_ns = clock_wall_offset_ns();
	if (open_task(engine, task, err) < 0 || start_task(engine, task, err) < 0) {
		task_free(task);
		return -1;
	}
	engine->tasks = xrealloc(engine->tasks, engine->task_count + 1, sizeof(struct task *));
	engine->tasks[engine->task_count++] = task;
	engine->last_id = task->id;
	task->home = engine->table->slot[task->thread[0].slot].before.affinity;
	task->home_known = true;
	task->spec.id = *id = task->id;
	engine_tasks_changed(engine);
	return 0;
}

/* ---- changing ---- */

static int change_threads(struct engine *engine, struct task *task, bool anew, struct err *err)
{
	int rc = 0;

	for (unsigned i = task->count; i-- > 0 && rc == 0;) {
		if (anew) {
			keep_figures(engine, &task->thread[i]);
			hold_release(engine, task, &task->thread[i]);
			rc = retake(engine, task, i, err);
			if (rc < 0) {
				drop_thread(task, i);
			}
		} else {
			rc = hold_change(engine, task, &task->thread[i], err);
		}
	}
	return rc;
}

int engine_set(struct engine *engine, uint64_t id, const struct edf_constraint *constraint, struct err *err)
{
	struct task *task = task_find(engine, id);
	struct edf_constraint before;
	struct control control;
	bool anew;
	int rc;

	if (!task) {
		return err_set(err, ERR_NOT_FOUND, "there is no task %llu", (unsigned long long)id);
	}
	if (place(engine, task, task->count, constraint, err) < 0) {
		return -1;
	}
	before = task->spec.constraint;
	anew = task->backend == ENGINE_EDF && before.strict != constraint->strict;
	control_begin(engine, &control);
	task->spec.constraint = *constraint;
	rc = change_threads(engine, task, anew, err);
	if (rc < 0) {
		task->spec.constraint = before;
		change_threads(engine, task, anew, NULL);
	}
	move_all(engine);
	control_end(&control);
	return rc;
}

void task_remove(struct engine *engine, struct task *task)
{
	struct control control;
	unsigned i = 0;

	control_begin(engine, &control);
	release_threads(engine, task);
	control_end(&control);
	while (engine->tasks[i] != task) {
		i++;
	}
	engine->task_count--;
	memmove(&engine->tasks[i], &engine->tasks[i + 1], (engine->task_count - i) * sizeof(struct task *));
	task_free(task);
	engine_tasks_changed(engine);
}

int engine_detach(struct engine *engine, uint64_t id, struct err *err)
{
	struct task *task = task_find(engine, id);

	if (!task) {
		return err_set(err, ERR_NOT_FOUND, "there is no task %llu", (unsigned long long)id);
	}
	task_remove(engine, task);
	return 0;
}

/* ---- what happens meanwhile ---- */

static void drop_ended(struct engine *engine, struct task *task)
{
	for (unsigned i = task->count; i-- > 0;) {
		if (hold_gone(engine, &task->thread[i])) {
			hold_release(engine, task, &task->thread[i]);
			drop_thread(task, i);
		}
	}
	for (unsigned i = task->kept_count; i-- > 0;) {
		if (hold_gone(engine, &task->kept[i])) {
			hold_release(engine, task, &task->kept[i]);
			task->kept[i] = task->kept[--task->kept_count];
		}
	}
}

/* One more thread, if there is room. */
static int add_thread(struct engine *engine, struct task *task, const struct proc_thread *thread)
{
	unsigned i = task->count;
	struct control control;
	int rc;

	if (i == TABLE_CPUS) {
		return -1;
	}
	task->cpu[i] = -1;
	if (is_managed(engine, thread->tid) || place(engine, task, i + 1, &task->spec.constraint, NULL) < 0) {
		return -1;
	}
	task->thread[i].vcpu = thread->vcpu;
	control_begin(engine, &control);
	move_all(engine);
	rc = hold_take(engine, task, thread->tid, task->cpu[i], &task->thread[i], NULL);
	control_end(&control);
	if (rc == 0) {
		task->count++;
	}
	return rc;
}

bool task_scan(struct engine *engine, struct task *task, unsigned *refused)
{
	_cleanup_free_ struct proc_thread *all = xcalloc(PROC_THREADS, sizeof(*all));
	struct proc_thread threads[TABLE_CPUS];
	unsigned without = 0, n;

	drop_ended(engine, task);
	n = find_threads(task, all, threads);
	for (unsigned i = 0; i < n; i++) {
		/* Beyond TABLE_CPUS their names were not kept: there is no room for them in any case. */
		if (i >= TABLE_CPUS) {
			without++;
		} else if (!has_thread(task->thread, task->count, threads[i].tid) &&
			   add_thread(engine, task, &threads[i]) < 0) {
			/* Not to be kept on the CPU of the thread that made it. */
			sched_setaffinity(threads[i].tid, sizeof(task->home), &task->home);
			without++;
		}
	}
	keep_house(engine, task, all, proc_threads(task->spec.pid, all, PROC_THREADS));
	*refused = without > task->refused ? without - task->refused : 0;
	task->refused = without;
	return task->count > 0 || n > 0;
}

void task_realign(struct engine *engine, struct task *task)
{
	int64_t offset = clock_wall_offset_ns();
	int64_t moved = offset - task->clock_offset_ns;

	if (task->spec.aligned && (moved > REALIGN_NS || moved < -REALIGN_NS)) {
		task->clock_offset_ns = offset;
		change_threads(engine, task, false, NULL);
	}
}

void task_again(struct engine *engine, struct task *task)
{
	for (unsigned i = 0; i < task->count; i++) {
		hold_again(engine, task, &task->thread[i], NULL);
	}
	for (unsigned i = 0; i < task->kept_count; i++) {
		sched_setaffinity(task->kept[i].tid, sizeof(engine->housekeeping), &engine->housekeeping);
	}
}
