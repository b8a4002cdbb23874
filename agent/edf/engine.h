/*
 * The EDF engine of one node: gives threads of any process `slice` of CPU time in every `period`, by real-time
 * priorities that one dispatcher thread per managed CPU hands out (or, where that is not permitted, by what the kernel
 * has). Used by the agent for its guests and by tenure-edf for any process. One engine per run_dir.
 *
 * All functions are for one thread, the owner's event loop; each takes some microseconds per thread concerned, but
 * engine_new() up to a second or two. Whatever happens to the owner (end, kill -9, SIGSTOP), a watchdog process gives
 * every managed thread its old policy, affinity and cgroup back within a second.
 */
#ifndef TENURE_ENGINE_H
#define TENURE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "edf.h"
#include "edf_admit.h"
#include "err.h"

#define ENGINE_DIR "/run/tenure-edf" /* of root; others have $XDG_RUNTIME_DIR/tenure-edf */
#define ENGINE_REASON 256
#define ENGINE_NAME 64 /* of a task, with its NUL */

struct engine;

enum engine_backend {
	ENGINE_EDF,      /* dispatchers at SCHED_FIFO */
	ENGINE_DEADLINE, /* SCHED_DEADLINE; the kernel enforces at its tick unless it has HRTICK */
	ENGINE_QUOTA,    /* CFS bandwidth of a cgroup */
	ENGINE_NONE,     /* constraints are noted, nothing is enforced */
};

struct engine_settings {
	const char *cpus; /* to manage, "0-3,5"; NULL or "": all this process may use but those of housekeeping */
	const char *housekeeping; /* CPUs for QEMU's other threads, "0"; NULL or "": those not in cpus; no such:
				     untouched */
	const char *run_dir;      /* table, calibration and socket; NULL: ENGINE_DIR */
	const char *cgroup_root;  /* NULL: /sys/fs/cgroup */
	enum engine_backend backend;
	int64_t limit_ppm; /* share of a CPU that may be promised; 0: 900000. Never above what the kernel leaves */
	int64_t miss_ppm;  /* an event when a task's share of missed periods since its last event is above; 0: 10000 */
};

enum engine_kind {
	ENGINE_PROCESS, /* all threads of the process, each with the constraint, each on a CPU of its own */
	ENGINE_THREAD,  /* the one thread tid */
	ENGINE_QEMU,    /* its vCPU threads; all others go to the housekeeping CPUs */
};

struct engine_task {
	uint64_t id; /* the number it is to have, above those given so far; 0: the next */
	enum engine_kind kind;
	pid_t pid;
	pid_t tid;              /* of ENGINE_THREAD, else 0 */
	uint64_t start_time;    /* as proc_start_time(); 0: not known. Another one: ERR_NOT_FOUND (the pid was used
				   again) */
	char name[ENGINE_NAME]; /* for people; "": the process' own */
	struct edf_constraint constraint;
	bool aligned;      /* releases at multiples of the period on CLOCK_REALTIME: a gang's, on all its nodes */
	int64_t owner_uid; /* processes of others are refused (ERR_DENIED); 0 or -1: any process */
};

/* One thread of a task, as now. */
struct engine_row {
	uint64_t id;    /* of the task */
	unsigned index; /* of the thread in the task: the vCPU's number for guests */
	unsigned count; /* threads in the task */
	pid_t pid, tid;
	int cpu;                     /* -1: not bound (backends deadline, quota and none) */
	enum engine_backend backend; /* maybe not the engine's, then the reason says why and what to do */
	char reason[ENGINE_REASON];
	bool strict; /* as done, not as asked */
	int64_t owner_uid;
	char name[ENGINE_NAME];
	struct edf_constraint constraint;
	int64_t used_ns;     /* CPU time received under the constraint since it was attached */
	int64_t attached_ns; /* CLOCK_MONOTONIC when it was */
	int64_t release_ns;  /* of an aligned one: a time of that clock at which one of its periods begins; else 0 */
	uint64_t periods, misses;
	int64_t late_max_ns;   /* greatest part of a slice not received by its deadline */
	int64_t over_max_ns;   /* greatest time received beyond a slice */
	int64_t change_ns;     /* from the last engine_set() (or attach) until the dispatcher had applied it */
	int64_t change_max_ns; /* the greatest of these */
};

enum engine_event_kind {
	ENGINE_MISSES,  /* more than miss_ppm of its periods since the last event; told once a second at most */
	ENGINE_GONE,    /* the process or thread has ended and was forgotten */
	ENGINE_NO_ROOM, /* a new vCPU or thread could not be taken on: it runs without a constraint */
	ENGINE_STALLED, /* the watchdog had taken the threads back (id 0): they are managed again now */
};

struct engine_event {
	enum engine_event_kind kind;
	uint64_t id;
	char name[ENGINE_NAME];
	uint64_t periods, misses; /* ENGINE_MISSES: since the last such event */
	int64_t late_max_ns;      /* in the same time */
	char text[256];           /* one line for a log */
};

struct engine_node {
	enum engine_backend backend; /* in force, maybe another than asked: then reason says why */
	struct edf_node node;        /* for admission, here and on the head */
	unsigned cpu_count;          /* managed: cpu[0..cpu_count) */
	int cpu[64];
	int64_t late_ns;         /* calibrated: 99 of 100 wake-ups are late by less than this */
	unsigned tasks, threads; /* attached now */
	int64_t promised_ppm;    /* of all managed CPUs together, with the core's cost */
	bool strict_possible;
	char reason[ENGINE_REASON]; /* "" or why the backend asked for is not in force */
	char done[512];             /* what was detected and done: cgroup version, RT_GROUP_SCHED, locked memory */
};

/*
 * Detects what the kernel permits, locks memory, calibrates (or reads what was), starts dispatchers and watchdog. Call
 * early: the watchdog is a fork of the caller. Threads that an engine before it in run_dir left behind are given back
 * first. What is not permitted is no failure: the backend falls back (edf, deadline -> quota -> none) and
 * engine_node() says why. ERR_CONFLICT: another engine works in run_dir. ERR_PARAMS: CPUs that do not exist, limits.
 */
int engine_new(struct engine **engine, const struct engine_settings *settings, struct err *err);
/* Gives all threads back first. NULL is allowed. */
void engine_free(struct engine *engine);

/* Readable when engine_poll() has something to do. */
int engine_fd(const struct engine *engine);
void engine_poll(struct engine *engine, void (*event)(const struct engine_event *event, void *arg), void *arg);

/*
 * Takes a task on; all its threads or none. ERR_PARAMS: a constraint that no CPU could keep; ERR_REJECTED: no room now,
 * the text says what would fit; ERR_NOT_FOUND: no such process or thread, ended, or the pid was used again; ERR_DENIED:
 * not the owner's, a kernel thread, or the kernel refused (with the way out; a guest it refuses real-time priorities
 * alone gets backend quota or none, and its rows say why); ERR_CONFLICT: a thread of it is managed
 * already; ERR_LIMIT: more threads than the engine has room for. On failure its threads are as they were before.
 */
int engine_attach(struct engine *engine, const struct engine_task *task, uint64_t *id, struct err *err);
/* Another constraint from now on; unchanged on failure. ERR_NOT_FOUND: no such id; else as engine_attach(). */
int engine_set(struct engine *engine, uint64_t id, const struct edf_constraint *constraint, struct err *err);
/* Its threads get their old policy, affinity and cgroup back. ERR_NOT_FOUND: no such id. */
int engine_detach(struct engine *engine, uint64_t id, struct err *err);

/* Every task as it was attached, with its constraint of now and its id, in the order of ids. */
void engine_tasks(const struct engine *engine, void (*fn)(const struct engine_task *task, void *arg), void *arg);
/* Every thread of every task, by id and index; id not 0: of this task only. How many rows there were. */
unsigned engine_list(struct engine *engine, uint64_t id, void (*row)(const struct engine_row *row, void *arg),
		     void *arg);
void engine_node(const struct engine *engine, struct engine_node *out);

const char *engine_backend_name(enum engine_backend backend);
/* "edf", "deadline", "quota", "none"; -1 if unknown. */
int engine_backend_parse(const char *name, enum engine_backend *backend);

/*
 * Gives back what a dead or stalled engine in run_dir left behind. How many threads; 0 if there is nothing; -1 and
 * ERR_CONFLICT if an engine is alive there, unless force.
 */
int engine_release(const char *run_dir, bool force, struct err *err);

#endif
