/*
 * Taking single threads, by each backend, and giving them back. What a thread was is in the shared table before
 * anything about it is changed.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "engine_state.h"
#include "util.h"

void control_begin(const struct engine *engine, struct control *control)
{
	struct sched_param high = {.sched_priority = DISPATCH_CONTROL};

	control->raised = false;
	if (engine->backend == ENGINE_EDF) {
		control->policy = sched_getscheduler(0);
		sched_getparam(0, &control->param);
		/* Not with SCHED_RESET_ON_FORK: without CAP_SYS_NICE there would be no way back. */
		control->raised = sched_setscheduler(0, SCHED_FIFO, &high) == 0;
	}
}

void control_end(const struct control *control)
{
	if (control->raised) {
		sched_setscheduler(0, control->policy, &control->param);
	}
}

/* ---- the slot ---- */

/* A dispatcher that did not answer when the slot was freed has it still: it would take another thread for that one. */
static bool is_bound(const struct engine *engine, unsigned slot)
{
	for (unsigned i = 0; i < engine->table->cpu_count; i++) {
		const struct table_cpu *cpu = &engine->table->cpu[i];

		for (unsigned k = 0; k < EDF_TASKS; k++) {
			if (atomic_load(&cpu->bound[k]) == slot + 1) {
				return true;
			}
		}
	}
	return false;
}

static int find_slot(const struct engine *engine, unsigned *slot, struct err *err)
{
	for (unsigned i = 0; i < TABLE_SLOTS; i++) {
		if (atomic_load(&engine->table->slot[i].state) == TABLE_FREE && !is_bound(engine, i)) {
			*slot = i;
			return 0;
		}
	}
	return err_set(err, ERR_LIMIT, "%d threads are managed, the most there can be", TABLE_SLOTS);
}

/* Born of a thread that is held already, it has that one's CPUs. */
static bool inherited(const struct engine *engine, const struct task *task, const cpu_set_t *affinity)
{
	cpu_set_t in;

	if (!task->home_known || CPU_EQUAL(affinity, &engine->housekeeping)) {
		return task->home_known;
	}
	CPU_AND(&in, affinity, &engine->managed);
	return CPU_COUNT(affinity) == 1 && CPU_EQUAL(&in, affinity);
}

static int open_slot(struct engine *engine, const struct task *task, pid_t tid, unsigned *out, struct err *err)
{
	struct proc_policy before;
	struct table_slot *slot;
	uint64_t start = proc_start_time(tid);

	if (!start) {
		return err_set(err, ERR_NOT_FOUND, "thread %d has ended", (int)tid);
	}
	if (proc_policy_read(tid, &before, err) < 0 || find_slot(engine, out, err) < 0) {
		return -1;
	}
	if (inherited(engine, task, &before.affinity)) {
		before.affinity = task->home;
	}
	slot = &engine->table->slot[*out];
	slot->task = task->id;
	slot->pid = task->spec.pid;
	slot->tid = tid;
	slot->start_time = start;
	slot->before = before;
	atomic_store(&slot->away, false);
	table_stat_write(slot, &(struct table_stat){0});
	atomic_store(&slot->gone, false);
	atomic_store(&slot->state, TABLE_HELD);
	if (atomic_fetch_add(&engine->table->held, 1) == 0) {
		watchdog_wake(&engine->watchdog);
	}
	return 0;
}

static void close_slot(struct engine *engine, unsigned index)
{
	struct table_slot *slot = &engine->table->slot[index];

	table_restore(slot);
	atomic_store(&slot->state, TABLE_FREE);
	atomic_fetch_sub(&engine->table->held, 1);
}

/* Notes where it comes from, once: the way back must be known before it goes. */
static int note_home(const struct engine *engine, struct table_slot *slot, struct err *err)
{
	char home[TABLE_CGROUP];

	if (atomic_load(&slot->away)) {
		return 0;
	}
	if (cgroup_home(&engine->cgroup, slot->pid, slot->tid, home, sizeof(home), err) < 0) {
		return -1;
	}
	table_way_write(slot, home, "");
	return 0;
}

/* ---- backend edf ---- */

static int fifo_refused(pid_t tid, int why, struct err *err)
{
	return why == ESRCH ? err_set(err, ERR_NOT_FOUND, "thread %d has ended", (int)tid)
			    : err_set(err, ERR_UNAVAILABLE,
				      "the kernel refuses SCHED_FIFO at priority %d for thread %d: %s; run as root or "
				      "with CAP_SYS_NICE, or give the process RLIMIT_RTPRIO 99 (prlimit --rtprio=99)",
				      DISPATCH_TOP, (int)tid, strerror(why));
}

/*
 * Whether the thread may have the priorities where it is; if its cgroup has none to give, it is moved. ERR_UNAVAILABLE:
 * it may not, while others may.
 */
static int permit_fifo(const struct engine *engine, struct table_slot *slot, struct err *err)
{
	struct err why;

	if (cgroup_refuses_fifo(&engine->cgroup, slot->pid, slot->tid) &&
	    (note_home(engine, slot, &why) < 0 || cgroup_move_root(&engine->cgroup, slot->tid, &why) < 0)) {
		return why.code == ERR_NOT_FOUND
			       ? err_set(err, why.code, "%s", why.text)
			       : err_set(err, ERR_UNAVAILABLE,
					 "its cgroup has no real-time runtime (RT_GROUP_SCHED), and %s; write to "
					 "cpu.rt_runtime_us of each group on the way to it, from the root down",
					 why.text);
	}
	/* The highest: a limit below it would leave the thread parked for ever, each time it is first. */
	if (proc_fifo(slot->tid, DISPATCH_TOP) < 0) {
		return fifo_refused(slot->tid, errno, err);
	}
	proc_park(slot->tid);
	return 0;
}

/* One that is real-time for so long without blocking gets a signal, by which most programs die. */
static int check_rttime(pid_t tid, struct err *err)
{
	struct rlimit limit;

	if (prlimit(tid, RLIMIT_RTTIME, NULL, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
		return err_set(err, ERR_DENIED,
			       "process %d has RLIMIT_RTTIME, by which the kernel would kill it; lift that first "
			       "(prlimit --rttime=unlimited --pid %d)",
			       (int)tid, (int)tid);
	}
	return 0;
}

static int bind(const struct engine *engine, const struct table_slot *slot, int cpu, struct err *err)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)engine->table->cpu[cpu].cpu, &set);
	if (sched_setaffinity(slot->tid, sizeof(set), &set) < 0) {
		return err_set(err, errno == ESRCH ? ERR_NOT_FOUND : ERR_DENIED,
			       "thread %d cannot be bound to CPU %d: %s%s", (int)slot->tid, engine->table->cpu[cpu].cpu,
			       strerror(errno), errno == EINVAL ? "; its cpuset has not that CPU" : "");
	}
	return 0;
}

/* Version 2. The threads of a process that is moved as a whole share what they may have then. */
static int limit_group(const struct engine *engine, const struct task *task, struct table_slot *slot, int64_t quota_us,
		       int64_t period_us, struct err *err)
{
	bool whole = task->spec.kind == ENGINE_PROCESS;
	struct cgroup_way way;

	if (cgroup_find_way(&engine->cgroup, slot->pid, slot->tid, whole, &way, err) < 0) {
		return -1;
	}
	/* It is there already, for another thread of it. */
	if (!*way.back && !atomic_load(&slot->away) && task->backend == ENGINE_QUOTA) {
		return err_set(
			err, ERR_DENIED,
			"backend quota with cgroup version 2 takes processes of one thread, and guests of libvirt");
	}
	if (*way.back && !atomic_load(&slot->away)) {
		table_way_write(slot, way.back, way.text);
	}
	return cgroup_go(&engine->cgroup, &way, slot->tid, quota_us, period_us, err);
}

/* False: it stays work-conserving. */
static bool make_strict(struct engine *engine, const struct task *task, struct table_slot *slot)
{
	struct err err;

	/* What was in the way may be gone by now. */
	if (!engine->cgroup.strict) {
		cgroup_open_strict(&engine->cgroup, engine->node.limit_ppm);
	}
	if (!engine->cgroup.strict) {
		return false;
	}
	if (engine->cgroup.version == 2) {
		return limit_group(engine, task, slot, CGROUP_PARKED_US, CGROUP_PARKED_PERIOD_US, &err) == 0;
	}
	if (note_home(engine, slot, &err) < 0) {
		return false;
	}
	if (cgroup_move_strict(&engine->cgroup, slot->tid, &err) < 0) {
		/* Somebody has removed the group while it was empty. */
		engine->cgroup.strict = false;
		cgroup_open_strict(&engine->cgroup, engine->node.limit_ppm);
		if (!engine->cgroup.strict || cgroup_move_strict(&engine->cgroup, slot->tid, &err) < 0) {
			return false;
		}
	}
	/* In a group without real-time runtime it would stand still for ever. */
	if (proc_fifo(slot->tid, 1) < 0) {
		cgroup_move_root(&engine->cgroup, slot->tid, &err);
		return false;
	}
	proc_park(slot->tid);
	return true;
}

static void write_constraint(const struct task *task, struct table_slot *slot)
{
	int64_t now = clock_mono_ns();
	struct table_wish wish = {.constraint = task->spec.constraint, .changed_ns = now};

	if (task->spec.aligned) {
		int64_t period = task->spec.constraint.period_ns;

		wish.first_release_ns = now + period - (now + task->clock_offset_ns) % period;
	}
	table_wish_write(slot, &wish);
}

static int find_k(const struct engine *engine, int cpu, unsigned *k, struct err *err)
{
	const struct table_cpu *at = &engine->table->cpu[cpu];

	for (*k = 0; *k < EDF_TASKS; (*k)++) {
		if (!atomic_load(&at->map[*k]) && !atomic_load(&at->bound[*k])) {
			return 0;
		}
	}
	return err_set(err, ERR_LIMIT, "CPU %d has %d threads, the most there can be", at->cpu, EDF_TASKS);
}

static int take_edf(struct engine *engine, const struct task *task, struct held *held, struct err *err)
{
	struct table_slot *slot = &engine->table->slot[held->slot];

	if (check_rttime(held->tid, err) < 0 || permit_fifo(engine, slot, err) < 0 ||
	    bind(engine, slot, held->cpu, err) < 0 || find_k(engine, held->cpu, &held->k, err) < 0) {
		return -1;
	}
	held->strict = task->spec.constraint.strict && make_strict(engine, task, slot);
	dispatch_prepare(engine->dispatcher[held->cpu], held->k, held->cpu_fd, held->state_fd);
	write_constraint(task, slot);
	atomic_store(&engine->table->cpu[held->cpu].map[held->k], (uint16_t)(held->slot + 1));
	table_wake(&engine->table->cpu[held->cpu]);
	return 0;
}

/* ---- backends deadline and quota ---- */

static int set_deadline(pid_t tid, const struct edf_constraint *constraint, struct err *err)
{
	if (proc_deadline(tid, constraint->slice_ns, constraint->period_ns, !constraint->strict) == 0) {
		return 0;
	}
	switch (errno) {
	case ESRCH:
		return err_set(err, ERR_NOT_FOUND, "thread %d has ended", (int)tid);
	case EBUSY:
		return err_set(err, ERR_REJECTED, "the kernel has no room for it under SCHED_DEADLINE");
	case EINVAL:
		return err_set(err, ERR_PARAMS,
			       "SCHED_DEADLINE refuses this slice or period; it takes periods from 0.1 ms to 4 s "
			       "unless kernel.sched_deadline_period_max_us is raised");
	default:
		return err_set(
			err, ERR_DENIED,
			"SCHED_DEADLINE for thread %d: %s; it needs CAP_SYS_NICE, and a thread that may run on all "
			"CPUs of its cpuset",
			(int)tid, strerror(errno));
	}
}

static int set_quota(const struct engine *engine, const struct task *task, const struct held *held, struct err *err)
{
	struct table_slot *slot = &engine->table->slot[held->slot];
	int64_t quota, period;

	if (cgroup_quota_of(&task->spec.constraint, &quota, &period, err) < 0) {
		return -1;
	}
	if (engine->cgroup.version == 2) {
		return limit_group(engine, task, slot, quota, period, err);
	}
	return note_home(engine, slot, err) < 0
		       ? -1
		       : cgroup_move_quota(&engine->cgroup, held->tid, task->id, held->slot, quota, period, err);
}

static int take_other(struct engine *engine, const struct task *task, struct held *held, struct err *err)
{
	switch (task->backend) {
	case ENGINE_EDF:
		return take_edf(engine, task, held, err);
	case ENGINE_DEADLINE:
		held->strict = task->spec.constraint.strict;
		return set_deadline(held->tid, &task->spec.constraint, err);
	case ENGINE_QUOTA:
		held->strict = true;
		return set_quota(engine, task, held, err);
	case ENGINE_NONE:
		break;
	}
	return 0;
}

/* ---- taking and giving back ---- */

static int open_clocks(struct held *held, pid_t pid)
{
	held->cpu_fd = proc_cpu_open(pid, held->tid);
	held->state_fd = proc_state_open(pid, held->tid);
	held->base_ns = held->cpu_fd < 0 ? -1 : proc_cpu_ns(held->cpu_fd);
	return held->base_ns < 0 || held->state_fd < 0 ? -1 : 0;
}

static void close_clocks(struct held *held)
{
	cleanup_close(&held->cpu_fd);
	cleanup_close(&held->state_fd);
}

int hold_take(struct engine *engine, const struct task *task, pid_t tid, int cpu, struct held *held, struct err *err)
{
	struct held out = {.tid = tid, .vcpu = held->vcpu, .cpu = task->backend == ENGINE_EDF ? cpu : -1};

	if (open_clocks(&out, task->spec.pid) < 0) {
		close_clocks(&out);
		return err_set(err, ERR_NOT_FOUND, "thread %d has ended", (int)tid);
	}
	if (open_slot(engine, task, tid, &out.slot, err) < 0) {
		close_clocks(&out);
		return -1;
	}
	if (take_other(engine, task, &out, err) < 0) {
		close_slot(engine, out.slot);
		close_clocks(&out);
		return -1;
	}
	*held = out;
	return 0;
}

int hold_keep(struct engine *engine, const struct task *task, pid_t tid, struct held *held, struct err *err)
{
	struct held out = {.tid = tid, .vcpu = -1, .cpu = -1, .cpu_fd = -1, .state_fd = -1};

	if (open_slot(engine, task, tid, &out.slot, err) < 0) {
		return -1;
	}
	if (sched_setaffinity(tid, sizeof(engine->housekeeping), &engine->housekeeping) < 0) {
		err_set(err, ERR_DENIED, "thread %d cannot be bound to the housekeeping CPUs: %s", (int)tid,
			strerror(errno));
		close_slot(engine, out.slot);
		return -1;
	}
	*held = out;
	return 0;
}

void hold_release(struct engine *engine, const struct task *task, struct held *held)
{
	if (held->cpu >= 0) {
		struct table_cpu *cpu = &engine->table->cpu[held->cpu];

		atomic_store(&cpu->map[held->k], 0);
		table_wake(cpu);
		/* One that does not answer is stopped as we would be, or starved: the thread is given back anyway. */
		dispatch_released(engine->dispatcher[held->cpu], held->k);
	}
	close_slot(engine, held->slot);
	if (task->backend == ENGINE_QUOTA) {
		cgroup_remove_quota(&engine->cgroup, task->id, held->slot);
	}
	cgroup_remove_own(&engine->cgroup, task->spec.pid);
	close_clocks(held);
}

int hold_change(struct engine *engine, const struct task *task, const struct held *held, struct err *err)
{
	switch (task->backend) {
	case ENGINE_EDF:
		write_constraint(task, &engine->table->slot[held->slot]);
		table_wake(&engine->table->cpu[held->cpu]);
		return 0;
	case ENGINE_DEADLINE:
		return set_deadline(held->tid, &task->spec.constraint, err);
	case ENGINE_QUOTA:
		return set_quota(engine, task, held, err);
	case ENGINE_NONE:
		break;
	}
	return 0;
}

int hold_again(struct engine *engine, const struct task *task, const struct held *held, struct err *err)
{
	struct table_slot *slot = &engine->table->slot[held->slot];

	if (task->backend != ENGINE_EDF) {
		return hold_change(engine, task, held, err);
	}
	if (held->strict && !make_strict(engine, task, slot)) {
		return -1;
	}
	if (!held->strict && atomic_load(&slot->away) && cgroup_move_root(&engine->cgroup, held->tid, err) < 0) {
		return -1;
	}
	return bind(engine, slot, held->cpu, err);
}

void hold_stat(const struct engine *engine, const struct held *held, struct table_stat *out)
{
	table_stat_read(&engine->table->slot[held->slot], out);
	if (held->cpu < 0) {
		int64_t ns = proc_cpu_ns(held->cpu_fd);

		out->edf.used_ns = ns < 0 ? 0 : ns - held->base_ns;
	} else {
		out->edf.used_ns += out->slack_ns;
	}
}

bool hold_gone(const struct engine *engine, const struct held *held)
{
	const struct table_slot *slot = &engine->table->slot[held->slot];

	return atomic_load(&slot->gone) || proc_start_time(slot->tid) != slot->start_time;
}
