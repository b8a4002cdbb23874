/* One kernel thread as /proc and the scheduler show it: whose it is, how it is scheduled, and putting that back. */
#ifndef TENURE_PROC_H
#define TENURE_PROC_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

#define PROC_NAME 17      /* a thread's name, with its NUL */
#define PROC_THREADS 1024 /* of one process; more cannot be managed anyway */

/* How a thread was scheduled before it was managed. */
struct proc_policy {
	int policy; /* SCHED_OTHER, SCHED_FIFO, ...; never SCHED_DEADLINE */
	int priority;
	bool reset_on_fork;
	cpu_set_t affinity;
};

struct proc_thread {
	pid_t tid;
	int vcpu; /* of a QEMU thread that runs a guest's CPU: its number; else -1 */
	char name[PROC_NAME];
};

/* Start time of a thread or process in clock ticks since boot, which tells a pid that was used again; 0 if it is gone.
 */
uint64_t proc_start_time(pid_t tid);
/*
 * Whether a real user's process is there to be managed: ERR_NOT_FOUND if it has ended or start_time (if not 0) is
 * another's, ERR_DENIED for a kernel thread or, if uid > 0, a process that belongs to somebody else. *started is its
 * start time.
 */
int proc_check(pid_t pid, uint64_t start_time, int64_t uid, uint64_t *started, struct err *err);
/* The process that thread tid belongs to; ERR_NOT_FOUND. */
int proc_of_thread(pid_t tid, pid_t *pid, struct err *err);
/* The process' name, cut to fit. */
void proc_name(pid_t pid, char *out, size_t size);
/* Its threads, at most max, in ascending order of tid: how many there are; 0 if it is gone. */
unsigned proc_threads(pid_t pid, struct proc_thread *out, unsigned max);
/* "CPU 3/KVM" or "CPU 3/TCG": 3; any other name: -1. */
int proc_vcpu(const char *name);

/* ERR_DENIED, ERR_NOT_FOUND; ERR_CONFLICT for SCHED_DEADLINE, which cannot be bound to a CPU. */
int proc_policy_read(pid_t tid, struct proc_policy *out, struct err *err);
/* SCHED_FIFO at the priority; what the thread forks is not. -1 with errno. May be called by a real-time thread. */
int proc_fifo(pid_t tid, int priority);
/* SCHED_OTHER, its nice value as it was. -1 with errno. May be called by a real-time thread. */
int proc_park(pid_t tid);
/* SCHED_DEADLINE, on all CPUs there are; what the thread forks is not. reclaim: may use more. -1 with errno. */
int proc_deadline(pid_t tid, int64_t slice_ns, int64_t period_ns, bool reclaim);
/* Policy and affinity as they were. Calls nothing that takes a lock: the watchdog is a fork. -1 with errno. */
int proc_policy_restore(pid_t tid, const struct proc_policy *policy);

/* What the kernel counts of a thread since its start. */
struct proc_time {
	int64_t run_ns;  /* its CPU time */
	int64_t wait_ns; /* ready, but not running; counted when that ends */
	uint64_t turns;  /* how often it was given a CPU */
};

/* A descriptor by which proc_time() reads the thread's time; -1 with errno. The caller closes it. */
int proc_cpu_open(pid_t pid, pid_t tid);
/*
 * Exact if the thread is not running, which is so for one bound to the caller's CPU. -1: it has ended. May be called by
 * a real-time thread: half a microsecond.
 */
int proc_time(int fd, struct proc_time *out);
/* Its CPU time alone; -1: it has ended. */
int64_t proc_cpu_ns(int fd);
/* A descriptor for proc_ready(); -1 with errno. The caller closes it. */
int proc_state_open(pid_t pid, pid_t tid);
/* Whether the thread runs or wants to. May be called by a real-time thread: a few microseconds. */
bool proc_ready(int fd);

/* "0-3,5" into a set; ERR_PARAMS. CPUs that do not exist are refused. */
int proc_cpus_parse(const char *text, cpu_set_t *out, struct err *err);
/* The other way, cut to fit. */
void proc_cpus_text(const cpu_set_t *set, char *out, size_t size);

#endif
