/*
 * What the parts of the engine share: engine.c (life, answers), engine_backend.c (what the machine permits),
 * engine_event.c (what happens meanwhile), engine_task.c (tasks), hold.c (single threads).
 */
#ifndef TENURE_ENGINE_STATE_H
#define TENURE_ENGINE_STATE_H

#include "calibrate.h"
#include "cgroup.h"
#include "dispatch.h"
#include "engine.h"
#include "watchdog.h"

/* A thread in our hands. */
struct held {
	pid_t tid;
	int vcpu;
	unsigned slot;
	int cpu;         /* index of the managed CPU, -1 = not bound */
	unsigned k;      /* there */
	int cpu_fd;      /* of its CPU time */
	int state_fd;    /* of whether it is ready */
	bool strict;     /* as done */
	int64_t base_ns; /* CPU time when it was taken */
	/* From before it was moved to this CPU. */
	int64_t used_ns, late_max_ns, over_max_ns, change_max_ns;
	uint64_t periods, misses;
};

struct task {
	uint64_t id;
	struct engine_task spec;
	enum engine_backend backend; /* the engine's, unless the kernel refuses it to this task: */
	char reason[ENGINE_REASON];  /* why */
	int pid_fd;
	unsigned count;
	struct held thread[TABLE_CPUS];
	int32_t cpu[TABLE_CPUS]; /* each thread's, as packed */
	/* QEMU's other threads, which only have other CPUs. */
	unsigned kept_count;
	struct held *kept;
	int64_t attached_ns;
	cpu_set_t home; /* CPUs of its first thread before it was taken: threads born later inherit what we set */
	bool home_known;
	int64_t clock_offset_ns; /* of an aligned one: wall clock less monotonic, as its releases were set */
	/* Since the last event. */
	uint64_t told_periods, told_misses;
	int64_t late_max_ns;
	unsigned refused; /* threads that had no room, as told */
};

struct engine {
	struct engine_settings settings; /* without the strings */
	char *run_dir;
	int lock_fd;
	struct table *table;
	struct cgroup cgroup;
	struct watchdog watchdog;
	enum engine_backend backend;
	struct calibration calibration;
	struct edf_node node;
	cpu_set_t managed, housekeeping;
	bool keep_house; /* there are CPUs for QEMU's other threads */
	struct dispatcher *dispatcher[TABLE_CPUS];
	int epoll_fd, event_fd, timer_fd;
	struct task **tasks;
	unsigned task_count;
	uint64_t last_id;
	char reason[ENGINE_REASON], done[512];
};

/* ---- hold.c ---- */

/*
 * Takes the thread: notes how it was, and gives it the task's constraint by its backend, on the managed CPU of
 * index `cpu`. On failure it is as it was. held->vcpu is left as it is. ERR_UNAVAILABLE: the kernel refuses this thread
 * real-time priorities.
 */
int hold_take(struct engine *engine, const struct task *task, pid_t tid, int cpu, struct held *held, struct err *err);
/* Another CPU set only, of QEMU's other threads. */
int hold_keep(struct engine *engine, const struct task *task, pid_t tid, struct held *held, struct err *err);
/* Gives it back as it was. */
void hold_release(struct engine *engine, const struct task *task, struct held *held);
/* The task's constraint has changed. */
int hold_change(struct engine *engine, const struct task *task, const struct held *held, struct err *err);
/* After the watchdog gave it back: as it was taken. */
int hold_again(struct engine *engine, const struct task *task, const struct held *held, struct err *err);
void hold_stat(const struct engine *engine, const struct held *held, struct table_stat *out);
bool hold_gone(const struct engine *engine, const struct held *held);

/* The owner at DISPATCH_CONTROL while it changes something, so that no task can keep it off the CPU in between. */
struct control {
	int policy;
	struct sched_param param;
	bool raised;
};
void control_begin(const struct engine *engine, struct control *control);
void control_end(const struct control *control);

/* ---- engine_backend.c ---- */

/* Adds to what engine_node() says was done. */
void engine_note(struct engine *engine, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The backend asked for, or the next that is permitted: which, and why, is noted in the engine. */
void backend_start(struct engine *engine);
/* Ends its dispatchers, if it has any. */
void backend_stop(struct engine *engine);

/* ---- engine_event.c ---- */

/* What engine_fd() waits for. ERR_LIMIT; what was opened is in the engine. */
int event_open(struct engine *engine, struct err *err);
int event_watchdog(struct engine *engine, struct err *err);
/* After a task came or went: without any, nothing is looked at once a second. */
void engine_tasks_changed(struct engine *engine);

/* ---- engine_task.c ---- */

struct task *task_find(const struct engine *engine, uint64_t id);
/* Gives its threads back and forgets it. */
void task_remove(struct engine *engine, struct task *task);
/* New and ended threads. False: all have ended. *refused: threads without room, more than were known. */
bool task_scan(struct engine *engine, struct task *task, unsigned *refused);
/* Sets the releases of an aligned task anew if the wall clock has been set. */
void task_realign(struct engine *engine, struct task *task);
void task_again(struct engine *engine, struct task *task);

#endif
