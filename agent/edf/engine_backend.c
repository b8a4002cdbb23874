/*
 * Backends of the engine: what this machine permits, calibration, dispatchers, and what is done instead of what is not
 * permitted. Tasks are engine_task.c's.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine_state.h"
#include "util.h"

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

void engine_note(struct engine *engine, const char *format, ...)
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
		engine_note(engine, "memory locked");
	} else if (mlock(engine->table, sizeof(*engine->table)) == 0) {
		engine_note(engine, "only the table is locked in memory (RLIMIT_MEMLOCK)");
	} else {
		engine_note(engine, "memory is not locked (RLIMIT_MEMLOCK): wake-ups are late when the machine swaps");
	}
}

/* Without any of it a real-time thread is taken, and on many kernels never runs. */
static int kernel_gives_time(struct err *err)
{
	if (calibrate_limit_ppm(0) > 0) {
		return 0;
	}
	return err_set(
		err, ERR_DENIED,
		"the kernel leaves no time to real-time threads (kernel.sched_rt_runtime_us); its default is set "
		"by: sysctl kernel.sched_rt_runtime_us=950000");
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
			 ? "the cgroup of this process has no real-time runtime; write to cpu.rt_runtime_us of each "
			   "group on the way to it, from the root down"
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
			engine_note(engine, "RT_GROUP_SCHED: dispatchers moved to the root cgroup");
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

	if (calibrate_load(engine->run_dir, &engine->calibration, NULL) == 0) {
		bool changed;

		if (calibrate_check(cpu, &engine->calibration, &changed, err) < 0) {
			return -1;
		}
		engine_note(engine,
			    changed ? "calibrated anew on CPU %d, for the calibration read was made at a bad moment"
				    : "calibration read, no worse than what CPU %d takes now",
			    cpu);
		if (!changed) {
			return 0;
		}
	} else if (calibrate_measure(cpu, &engine->calibration, err) < 0) {
		return -1;
	} else {
		engine_note(engine, "calibrated on CPU %d", cpu);
	}
	return calibrate_save(engine->run_dir, &engine->calibration, err);
}

static void set_node(struct engine *engine)
{
	bool real_time = engine->backend == ENGINE_EDF || engine->backend == ENGINE_DEADLINE;
	int64_t wish_ppm = engine->settings.limit_ppm ? engine->settings.limit_ppm : CALIBRATE_LIMIT_PPM;

	engine->node = (struct edf_node){
		.cpus = engine->table->cpu_count,
		.limit_ppm = real_time ? calibrate_limit_ppm(wish_ppm) : (uint32_t)wish_ppm,
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

void backend_stop(struct engine *engine)
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
			backend_stop(engine);
			return -1;
		}
	}
	return 0;
}

static int start_edf(struct engine *engine, struct err *err)
{
	char home[CGROUP_PATH];
	int rc = -1;

	if (kernel_gives_time(err) < 0) {
		return -1;
	}
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
		} else if (kernel_gives_time(&why) < 0) {
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
		engine_note(
			engine, "cgroup version %d%s", cgroup->version,
			cgroup->rt_group
				? ", RT_GROUP_SCHED (tasks of groups without real-time runtime go to the root group)"
				: "");
	} else {
		engine_note(engine, "no CPU cgroup");
	}
	if (engine->backend == ENGINE_EDF && !cgroup->strict) {
		engine_note(engine, "strict is not possible, tasks are work-conserving: %s", cgroup->why_not);
	}
}

void backend_start(struct engine *engine)
{
	lock_memory(engine);
	start_backend(engine);
	set_node(engine);
	note_cgroup(engine);
}
