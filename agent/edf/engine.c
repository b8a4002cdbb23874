/*
 * The engine's life: what this machine permits, starting dispatchers and watchdog, what happened since the owner last
 * asked, and answers. Tasks are engine_task.c's.
 */
#include "engine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "engine_state.h"
#include "util.h"

#define SCAN_SECONDS 1
#define MISS_PPM 10000
/* epoll's data of what is not a task's end; ids count up from 1. */
#define ON_EVENT 0
#define ON_TIMER UINT64_MAX
#define ON_WATCHDOG (UINT64_MAX - 1)

static const char *const backend_names[] = {"edf", "deadline", "quota", "none"};

const char *engine_backend_name(enum engine_backend backend)
{
	return backend_names[backend];
}

int engine_backend_parse(const char *name, enum engine_backend *backend)
{
	for (size_t i = 0; i < ARRAY_SIZE(backend_names); i++) {
		if (strcmp(name, backend_names[i]) == 0) {
			*backend = (enum engine_backend)i;
			return 0;
		}
	}
	return -1;
}

/* ---- what the machine permits ---- */

static void __attribute__((format(printf, 2, 3))) note(struct engine *engine, const char *format, ...)
{
	size_t at = strlen(engine->done);
	va_list args;

	at += (size_t)snprintf(engine->done + at, sizeof(engine->done) - at, "%s", at ? "; " : "");
	if (at < sizeof(engine->done)) {
		va_start(args, format);
		vsnprintf(engine->done + at, sizeof(engine->done) - at, format, args);
		va_end(args);
	}
}

static bool has_capability(unsigned which)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	return syscall(SYS_capget, &head, data) == 0 && (data[which / 32].effective >> which % 32) & 1;
}

/*
 * All of it where there is no limit. Otherwise only what the dispatchers read: with a limit, memory allocated later
 * would fail for the whole program.
 */
static void lock_memory(struct engine *engine)
{
	struct rlimit limit;
	bool unlimited = has_capability(CAP_IPC_LOCK) ||
			 (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);

	if (unlimited && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		note(engine, "memory locked");
	} else if (mlock(engine->table, sizeof(*engine->table)) == 0) {
		note(engine, "only the table is locked in memory (RLIMIT_MEMLOCK)");
	} else {
		note(engine, "memory is not locked (RLIMIT_MEMLOCK): wake-ups are late when the machine swaps");
	}
}

static int parse_cpus(struct engine *engine, const struct engine_settings *settings, struct err *err)
{
	bool named = settings->cpus && *settings->cpus;
	bool house = settings->housekeeping && *settings->housekeeping;
	cpu_set_t may;

	CPU_ZERO(&may);
	sched_getaffinity(0, sizeof(may), &may);
	engine->managed = may;
	engine->housekeeping = may;
	if ((named && proc_cpus_parse(settings->cpus, &engine->managed, err) < 0) ||
	    (house && proc_cpus_parse(settings->housekeeping, &engine->housekeeping, err) < 0)) {
		return -1;
	}
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (house && !named && CPU_ISSET(cpu, &engine->housekeeping)) {
			CPU_CLR(cpu, &engine->managed);
		} else if (named && !house && CPU_ISSET(cpu, &engine->managed)) {
			CPU_CLR(cpu, &engine->housekeeping);
		}
		if (named && CPU_ISSET(cpu, &engine->managed) && !CPU_ISSET(cpu, &may)) {
			return err_set(err, ERR_PARAMS, "CPU %zu is not among those this process may use", cpu);
		}
	}
	engine->keep_house = (house || named) && CPU_COUNT(&engine->housekeeping) > 0;
	if (CPU_COUNT(&engine->managed) == 0) {
		return err_set(err, ERR_PARAMS, "no CPU is left to manage beside the housekeeping CPUs");
	}
	return 0;
}

/* The first TABLE_CPUS of them. */
static void set_cpus(struct engine *engine)
{
	for (int cpu = 0; cpu < CPU_SETSIZE && engine->table->cpu_count < TABLE_CPUS; cpu++) {
		if (CPU_ISSET((size_t)cpu, &engine->managed)) {
			engine->table->cpu[engine->table->cpu_count++].cpu = cpu;
		}
	}
}

/* Whether this process may have real-time threads; the reason in words if not. */
static bool may_fifo(struct engine *engine)
{
	struct sched_param high = {.sched_priority = DISPATCH_PRIORITY}, before;
	int policy = sched_getscheduler(0);

	sched_getparam(0, &before);
	/* Not with SCHED_RESET_ON_FORK: without CAP_SYS_NICE there would be no way back. */
	if (sched_setscheduler(0, SCHED_FIFO, &high) == 0) {
		sched_setscheduler(0, policy, &before);
		return true;
	}
	snprintf(engine->reason, sizeof(engine->reason), "SCHED_FIFO at priority %d is refused: %s; %s",
		 DISPATCH_PRIORITY, strerror(errno),
		 has_capability(CAP_SYS_NICE)
			 ? "the cgroup of this process has no real-time runtime (cpu.rt_runtime_us)"
			 : "run as root or with CAP_SYS_NICE, or raise RLIMIT_RTPRIO to 99 (LimitRTPRIO=99)");
	return false;
}

/*
 * With RT_GROUP_SCHED threads are born into their maker's cgroup, which may have no real-time runtime: ours are born in
 * the root group, their maker goes back. home: where to, "" = it did not move.
 */
static void enter_root(struct engine *engine, char *home, size_t size)
{
	*home = '\0';
	if (cgroup_refuses_fifo(&engine->cgroup, getpid(), gettid()) &&
	    cgroup_home(&engine->cgroup, getpid(), gettid(), home, size, NULL) == 0) {
		if (cgroup_move_root(&engine->cgroup, gettid(), NULL) == 0) {
			note(engine, "RT_GROUP_SCHED: dispatchers moved to the root cgroup");
		} else {
			*home = '\0';
		}
	}
}

static void leave_root(const char *home)
{
	char text[16];
	FILE *file = *home ? fopen(home, "we") : NULL;

	if (file) {
		snprintf(text, sizeof(text), "%d", (int)gettid());
		fputs(text, file);
		fclose(file);
	}
}

static int calibrate(struct engine *engine, struct err *err)
{
	int cpu = engine->table->cpu[engine->table->cpu_count - 1].cpu;

	if (!engine->settings.recalibrate && calibrate_load(engine->run_dir, &engine->calibration, NULL) == 0) {
		note(engine, "calibration read");
		return 0;
	}
	if (calibrate_measure(cpu, &engine->calibration, err) < 0) {
		return -1;
	}
	note(engine, "calibrated on CPU %d", cpu);
	return calibrate_save(engine->run_dir, &engine->calibration, err);
}

static void set_node(struct engine *engine)
{
	engine->node = (struct edf_node){
		.cpus = engine->table->cpu_count,
		.limit_ppm = calibrate_limit_ppm(engine->settings.limit_ppm),
		.period_min_us = 1000,
	};
	if (engine->backend == ENGINE_EDF) {
		engine->node.wake_ns = engine->calibration.wake_ns;
		engine->node.period_min_us = calibrate_period_min_us(&engine->calibration);
	}
}

/* ---- dispatchers ---- */

static struct edf_floor floor_of(const struct engine *engine)
{
	struct edf_floor floor = edf_floor_default();

	floor.wake_ns = engine->calibration.wake_ns;
	floor.limit_ppm = engine->node.limit_ppm;
	return floor;
}

static void stop_dispatchers(struct engine *engine)
{
	for (unsigned i = 0; i < TABLE_CPUS; i++) {
		dispatch_free(engine->dispatcher[i]);
		engine->dispatcher[i] = NULL;
	}
}

static int start_dispatchers(struct engine *engine, struct err *err)
{
	struct edf_floor floor = floor_of(engine);

	for (unsigned i = 0; i < engine->table->cpu_count; i++) {
		if (dispatch_new(&engine->dispatcher[i], engine->table, i, &floor, engine->event_fd, err) < 0) {
			stop_dispatchers(engine);
			return -1;
		}
	}
	return 0;
}

static int start_edf(struct engine *engine, struct err *err)
{
	char home[CGROUP_PATH];
	int rc = -1;

	enter_root(engine, home, sizeof(home));
	if (!may_fifo(engine)) {
		err_set(err, ERR_DENIED, "%s", engine->reason);
	} else if (calibrate(engine, err) == 0) {
		set_node(engine);
		cgroup_open_strict(&engine->cgroup, engine->node.limit_ppm);
		rc = start_dispatchers(engine, err);
	}
	leave_root(home);
	return rc;
}

/* Whether backend quota could work: a try with a group of its own would do no more. */
static bool may_quota(const struct engine *engine)
{
	return engine->cgroup.version && access(engine->cgroup.cpu, W_OK) == 0;
}

static void fall_back(struct engine *engine, const struct err *why)
{
	snprintf(engine->reason, sizeof(engine->reason), "%.250s", why->text);
	engine->backend = may_quota(engine) ? ENGINE_QUOTA : ENGINE_NONE;
}

static void start_backend(struct engine *engine)
{
	struct err why = {0};

	switch (engine->settings.backend) {
	case ENGINE_EDF:
		if (start_edf(engine, &why) < 0) {
			fall_back(engine, &why);
		}
		break;
	case ENGINE_DEADLINE:
		if (!has_capability(CAP_SYS_NICE)) {
			err_set(&why, ERR_DENIED, "SCHED_DEADLINE needs CAP_SYS_NICE");
			fall_back(engine, &why);
		}
		break;
	case ENGINE_QUOTA:
		if (!may_quota(engine)) {
			err_set(&why, ERR_DENIED,
				"CFS bandwidth needs the CPU controller of cgroup version 1, and the right to make "
				"groups");
			fall_back(engine, &why);
		}
		break;
	case ENGINE_NONE:
		break;
	}
}

static void note_cgroup(struct engine *engine)
{
	const struct cgroup *cgroup = &engine->cgroup;

	if (cgroup->version) {
		note(engine, "cgroup version %d%s", cgroup->version,
		     cgroup->rt_group
			     ? ", RT_GROUP_SCHED (tasks of groups without real-time runtime go to the root group)"
			     : "");
	} else {
		note(engine, "no CPU cgroup");
	}
	if (engine->backend == ENGINE_EDF && !cgroup->strict) {
		note(engine, "strict is not possible, tasks are work-conserving: %s", cgroup->why_not);
	}
}

/* ---- starting and ending ---- */

static int watch_fd(const struct engine *engine, int fd, uint64_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

	return epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_fds(struct engine *engine, struct err *err)
{
	engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (engine->epoll_fd < 0 || engine->event_fd < 0 || engine->timer_fd < 0 ||
	    watch_fd(engine, engine->event_fd, ON_EVENT) < 0 || watch_fd(engine, engine->timer_fd, ON_TIMER) < 0) {
		return err_set(err, ERR_LIMIT, "cannot start the engine: %s", strerror(errno));
	}
	return 0;
}

static int start_watchdog(struct engine *engine, struct err *err)
{
	if (watchdog_start(&engine->watchdog, engine->table, err) < 0) {
		return -1;
	}
	watch_fd(engine, engine->watchdog.pid_fd, ON_WATCHDOG);
	return 0;
}

static int start(struct engine *engine, const struct engine_settings *settings, struct err *err)
{
	unsigned released = 0;

	if (settings->limit_ppm < 0 || settings->limit_ppm > 1000000 || settings->miss_ppm < 0) {
		return err_set(err, ERR_PARAMS, "a share is from 0 to 1000000 millionths");
	}
	if (parse_cpus(engine, settings, err) < 0 || open_fds(engine, err) < 0 ||
	    table_create(engine->run_dir, &engine->table, &engine->lock_fd, &released, err) < 0 ||
	    start_watchdog(engine, err) < 0) {
		return -1;
	}
	if (released) {
		note(engine, "%u threads of an engine before were given back", released);
	}
	set_cpus(engine);
	cgroup_detect(&engine->cgroup, settings->cgroup_root ? settings->cgroup_root : CGROUP_ROOT);
	lock_memory(engine);
	start_backend(engine);
	set_node(engine);
	note_cgroup(engine);
	return 0;
}

int engine_new(struct engine **out, const struct engine_settings *settings, struct err *err)
{
	struct engine *engine = xcalloc(1, sizeof(*engine));

	engine->settings = *settings;
	engine->run_dir = xstrdup(settings->run_dir && *settings->run_dir ? settings->run_dir : ENGINE_DIR);
	engine->backend = settings->backend;
	engine->settings.miss_ppm = settings->miss_ppm ? settings->miss_ppm : MISS_PPM;
	engine->lock_fd = engine->epoll_fd = engine->event_fd = engine->timer_fd = -1;
	engine->watchdog = (struct watchdog){.pid = -1, .pid_fd = -1, .wake_fd = -1};
	if (start(engine, settings, err) < 0) {
		engine_free(engine);
		return -1;
	}
	*out = engine;
	return 0;
}

void engine_free(struct engine *engine)
{
	if (!engine) {
		return;
	}
	while (engine->task_count) {
		task_remove(engine, engine->tasks[engine->task_count - 1]);
	}
	stop_dispatchers(engine);
	watchdog_stop(&engine->watchdog);
	if (engine->table) {
		cgroup_close(&engine->cgroup);
	}
	table_unmap(engine->table);
	cleanup_close(&engine->lock_fd);
	cleanup_close(&engine->event_fd);
	cleanup_close(&engine->timer_fd);
	cleanup_close(&engine->epoll_fd);
	free(engine->tasks);
	free(engine->run_dir);
	free(engine);
}

/* ---- what happens meanwhile ---- */

int engine_fd(const struct engine *engine)
{
	return engine->epoll_fd;
}

void engine_tasks_changed(struct engine *engine)
{
	struct itimerspec every = {{.tv_sec = SCAN_SECONDS}, {.tv_sec = SCAN_SECONDS}};
	struct itimerspec never = {0}, now;

	timerfd_gettime(engine->timer_fd, &now);
	if (!engine->task_count || !now.it_interval.tv_sec) {
		timerfd_settime(engine->timer_fd, 0, engine->task_count ? &every : &never, NULL);
	}
}

typedef void engine_told(const struct engine_event *event, void *arg);

/* A poll under way. */
struct poll {
	struct engine *engine;
	engine_told *event;
	void *arg;
};

static struct engine_event event_of(enum engine_event_kind kind, const struct task *task)
{
	struct engine_event event = {.kind = kind, .id = task ? task->id : 0};

	if (task) {
		memcpy(event.name, task->spec.name, sizeof(event.name));
	}
	return event;
}

static void tell(const struct poll *poll, const struct engine_event *event)
{
	if (poll->event) {
		poll->event(event, poll->arg);
	}
}

static void take_misses(const struct poll *poll)
{
	struct engine *engine = poll->engine;
	struct ring_item item;

	for (unsigned i = 0; i < engine->table->cpu_count && engine->dispatcher[i]; i++) {
		while (ring_get(dispatch_ring(engine->dispatcher[i]), &item)) {
			struct task *task = task_find(engine, item.task);

			if (task && item.late_max_ns > task->late_max_ns) {
				task->late_max_ns = item.late_max_ns;
			}
		}
	}
}

static void sum_periods(const struct engine *engine, const struct task *task, uint64_t *periods, uint64_t *misses)
{
	*periods = *misses = 0;
	for (unsigned i = 0; i < task->count; i++) {
		struct table_stat stat;

		hold_stat(engine, &task->thread[i], &stat);
		*periods += stat.edf.periods + task->thread[i].periods;
		*misses += stat.edf.misses + task->thread[i].misses;
	}
}

static void check_misses(const struct poll *poll, struct task *task)
{
	struct engine_event event = event_of(ENGINE_MISSES, task);
	uint64_t periods, misses;

	sum_periods(poll->engine, task, &periods, &misses);
	/* A thread that ended took its figures along. */
	event.periods = periods > task->told_periods ? periods - task->told_periods : 0;
	event.misses = misses > task->told_misses ? misses - task->told_misses : 0;
	event.late_max_ns = task->late_max_ns;
	if (event.misses * 1000000 > (uint64_t)poll->engine->settings.miss_ppm * event.periods) {
		snprintf(event.text, sizeof(event.text), "%llu of %llu periods missed, %lld us short at most",
			 (unsigned long long)event.misses, (unsigned long long)event.periods,
			 (long long)event.late_max_ns / 1000);
		tell(poll, &event);
	} else if (event.misses) {
		return;
	}
	task->told_periods = periods;
	task->told_misses = misses;
	task->late_max_ns = 0;
}

static void remove_gone(const struct poll *poll, struct task *task)
{
	struct engine_event event = event_of(ENGINE_GONE, task);

	snprintf(event.text, sizeof(event.text), "process %d has ended", (int)task->spec.pid);
	task_remove(poll->engine, task);
	tell(poll, &event);
}

static void scan(const struct poll *poll, struct task *task)
{
	unsigned refused;

	if (!task_scan(poll->engine, task, &refused)) {
		remove_gone(poll, task);
		return;
	}
	task_realign(poll->engine, task);
	if (refused) {
		struct engine_event event = event_of(ENGINE_NO_ROOM, task);

		snprintf(event.text, sizeof(event.text), "%u new threads have no room and run without a constraint",
			 refused);
		tell(poll, &event);
	}
}

static void scan_all(const struct poll *poll)
{
	/* From the end: those that have ended are taken out. */
	for (unsigned i = poll->engine->task_count; i-- > 0;) {
		scan(poll, poll->engine->tasks[i]);
	}
	for (unsigned i = 0; i < poll->engine->task_count; i++) {
		check_misses(poll, poll->engine->tasks[i]);
	}
}

/* A thread may have ended though its process goes on. */
static void scan_gone(const struct poll *poll)
{
	for (unsigned i = poll->engine->task_count; i-- > 0;) {
		struct task *task = poll->engine->tasks[i];
		bool gone = false;

		for (unsigned t = 0; t < task->count; t++) {
			gone = gone || atomic_load(&poll->engine->table->slot[task->thread[t].slot].gone);
		}
		if (gone) {
			scan(poll, task);
		}
	}
}

/* We stood still and the watchdog gave the threads back: bound again first, then the dispatchers may go on. */
static void take_back(const struct poll *poll)
{
	struct engine *engine = poll->engine;
	struct engine_event event = event_of(ENGINE_STALLED, NULL);

	if (!atomic_load(&engine->table->released)) {
		return;
	}
	for (unsigned i = 0; i < engine->task_count; i++) {
		task_again(engine, engine->tasks[i]);
	}
	atomic_store(&engine->table->released, 0);
	for (unsigned i = 0; i < engine->table->cpu_count; i++) {
		table_wake(&engine->table->cpu[i]);
	}
	watchdog_wake(&engine->watchdog);
	snprintf(event.text, sizeof(event.text),
		 "the scheduler stood still and its threads were given back; it manages them again");
	tell(poll, &event);
}

static void replace_watchdog(const struct poll *poll)
{
	struct engine *engine = poll->engine;
	struct err err;

	epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, engine->watchdog.pid_fd, NULL);
	watchdog_stop(&engine->watchdog);
	if (start_watchdog(engine, &err) == 0) {
		watchdog_wake(&engine->watchdog);
	}
}

static void handle(const struct poll *poll, uint64_t what)
{
	struct engine *engine = poll->engine;
	struct task *task;
	uint64_t count;

	switch (what) {
	case ON_EVENT:
		if (read(engine->event_fd, &count, sizeof(count)) > 0) {
			take_back(poll);
			take_misses(poll);
			scan_gone(poll);
		}
		break;
	case ON_TIMER:
		if (read(engine->timer_fd, &count, sizeof(count)) > 0) {
			take_misses(poll);
			scan_all(poll);
		}
		break;
	case ON_WATCHDOG:
		replace_watchdog(poll);
		break;
	default:
		task = task_find(engine, what);
		if (task) {
			remove_gone(poll, task);
		}
	}
}

void engine_poll(struct engine *engine, engine_told *event, void *arg)
{
	struct poll poll = {engine, event, arg};
	struct epoll_event ready[16];
	int n = epoll_wait(engine->epoll_fd, ready, (int)ARRAY_SIZE(ready), 0);

	for (int i = 0; i < n; i++) {
		handle(&poll, ready[i].data.u64);
	}
}

/* ---- answers ---- */

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void fill_row(const struct engine *engine, const struct task *task, unsigned i, struct engine_row *row)
{
	const struct held *held = &task->thread[i];
	struct table_stat stat;

	hold_stat(engine, held, &stat);
	*row = (struct engine_row){
		.id = task->id,
		.index = held->vcpu >= 0 ? (unsigned)held->vcpu : i,
		.count = task->count,
		.pid = task->spec.pid,
		.tid = held->tid,
		.cpu = held->cpu >= 0 ? engine->table->cpu[held->cpu].cpu : -1,
		.backend = engine->backend,
		.strict = held->strict,
		.owner_uid = task->spec.owner_uid,
		.constraint = task->spec.constraint,
		.used_ns = held->used_ns + stat.edf.used_ns,
		.attached_ns = task->attached_ns,
		.release_ns = engine->table->slot[held->slot].first_release_ns,
		.periods = held->periods + stat.edf.periods,
		.misses = held->misses + stat.edf.misses,
		.late_max_ns = greater(held->late_max_ns, stat.edf.short_max_ns),
		.over_max_ns = greater(held->over_max_ns, stat.edf.over_max_ns),
		.change_ns = stat.change_ns,
		.change_max_ns = greater(held->change_max_ns, stat.change_max_ns),
	};
	memcpy(row->name, task->spec.name, sizeof(row->name));
}

unsigned engine_list(struct engine *engine, uint64_t id, void (*row)(const struct engine_row *row, void *arg),
		     void *arg)
{
	unsigned n = 0;

	for (unsigned t = 0; t < engine->task_count; t++) {
		const struct task *task = engine->tasks[t];

		for (unsigned i = 0; i < task->count && (!id || task->id == id); i++) {
			struct engine_row out;

			fill_row(engine, task, i, &out);
			row(&out, arg);
			n++;
		}
	}
	return n;
}

void engine_node(const struct engine *engine, struct engine_node *out)
{
	*out = (struct engine_node){
		.backend = engine->backend,
		.node = engine->node,
		.cpu_count = engine->table->cpu_count,
		.late_ns = engine->calibration.late_ns,
		.tasks = engine->task_count,
		.strict_possible =
			engine->backend == ENGINE_EDF ? engine->cgroup.strict : engine->backend != ENGINE_NONE,
	};
	for (unsigned i = 0; i < out->cpu_count; i++) {
		out->cpu[i] = engine->table->cpu[i].cpu;
	}
	for (unsigned i = 0; i < engine->task_count; i++) {
		const struct task *task = engine->tasks[i];

		out->threads += task->count;
		out->promised_ppm += (int64_t)task->count *
				     edf_density_ppm(&engine->node, (task->spec.constraint.slice_ns + 999) / 1000,
						     task->spec.constraint.period_ns / 1000);
	}
	memcpy(out->reason, engine->reason, sizeof(out->reason));
	memcpy(out->done, engine->done, sizeof(out->done));
}

int engine_release(const char *run_dir, bool force, struct err *err)
{
	const char *dir = run_dir && *run_dir ? run_dir : ENGINE_DIR;
	bool alive = false;
	struct err why;
	struct table *table = table_open(dir, &alive, &why);
	unsigned n;

	if (!table) {
		if (why.code == ERR_NOT_FOUND) {
			return 0;
		}
		return err_set(err, why.code, "%s", why.text);
	}
	if (alive && !force) {
		table_unmap(table);
		return err_set(err, ERR_CONFLICT, "an engine works in %s; stop it, or force this if it stands still",
			       dir);
	}
	if (alive) {
		atomic_store(&table->released, 1);
	}
	n = table_restore_all(table, !alive);
	table_unmap(table);
	return (int)n;
}
