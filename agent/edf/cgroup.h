/*
 * CPU cgroups, version 1 or 2, as far as the engine needs them: where real-time priorities are refused by a group
 * (RT_GROUP_SCHED), where parked threads may have next to nothing (strict), and CFS bandwidth for backend quota.
 */
#ifndef TENURE_CGROUP_H
#define TENURE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "edf.h"
#include "err.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_PATH 256
#define CGROUP_TEXT 48 /* of a cpu.max */
/* What a parked strict thread has: the least the kernel takes, so that what it holds a lock for still gets on. */
#define CGROUP_PARKED_US 1000
#define CGROUP_PARKED_PERIOD_US 1000000

/* What is here. A plain value. */
struct cgroup {
	int version;           /* 1, 2, or 0: no CPU controller to be found */
	bool rt_group;         /* version 1: groups have a real-time runtime of their own, 0 unless somebody set it */
	bool strict;           /* cgroup_open_strict() worked */
	char cpu[CGROUP_PATH]; /* folder of the root group of the CPU controller */
	char why_not[192];     /* of strict */
};

/* root: normally CGROUP_ROOT. Changes nothing. */
void cgroup_detect(struct cgroup *cgroup, const char *root);
/*
 * Makes the group where strict tasks live: next to nothing as SCHED_OTHER, and up to limit_ppm of each CPU in real
 * time. On failure cgroup->why_not says why.
 */
void cgroup_open_strict(struct cgroup *cgroup, uint32_t limit_ppm);
/* Removes the engine's groups that are empty, but the strict one. */
void cgroup_close(const struct cgroup *cgroup);

/*
 * The file that a thread's id is written to in order to bring it back where it is now; ERR_NOT_FOUND, ERR_LIMIT if the
 * path does not fit into size.
 */
int cgroup_home(const struct cgroup *cgroup, pid_t pid, pid_t tid, char *out, size_t size, struct err *err);
/*
 * Version 2, where threads do not leave their process: how the thread can be given less CPU, and the way back. Its own
 * group if it is alone in there (as libvirt's virtual CPUs are), or, for a process that is managed as a whole, a new
 * one.
 */
struct cgroup_way {
	char group[CGROUP_PATH]; /* whose cpu.max is written */
	char back[CGROUP_PATH];  /* file to write for the way back ... */
	char text[CGROUP_TEXT];  /* ... this to; "": the thread's id */
	bool move;               /* the process goes into the group first */
};
/* ERR_DENIED with the reason if there is none; nothing is changed. For a process that went already, `back` is "". */
int cgroup_find_way(const struct cgroup *cgroup, pid_t pid, pid_t tid, bool whole, struct cgroup_way *way,
		    struct err *err);
int cgroup_go(const struct cgroup *cgroup, const struct cgroup_way *way, pid_t tid, int64_t quota_us, int64_t period_us,
	      struct err *err);
/* After the way back: the group that was made for the process, if there was one. */
void cgroup_remove_own(const struct cgroup *cgroup, pid_t pid);

/* Whether the thread's group refuses real-time priorities: version 1, RT_GROUP_SCHED, runtime 0. */
bool cgroup_refuses_fifo(const struct cgroup *cgroup, pid_t pid, pid_t tid);
/* Into the root group, where real-time priorities are allowed. */
int cgroup_move_root(const struct cgroup *cgroup, pid_t tid, struct err *err);
int cgroup_move_strict(const struct cgroup *cgroup, pid_t tid, struct err *err);
/* Version 1: into a group of its own with that CFS bandwidth; the group is named by task and index. Repeatable. */
int cgroup_move_quota(const struct cgroup *cgroup, pid_t tid, uint64_t task, unsigned index, int64_t quota_us,
		      int64_t period_us, struct err *err);
void cgroup_remove_quota(const struct cgroup *cgroup, uint64_t task, unsigned index);
/* What CFS bandwidth takes: periods from 1 ms to 1 s, quotas from 1 ms, at the same rate. ERR_PARAMS: not possible. */
int cgroup_quota_of(const struct edf_constraint *constraint, int64_t *quota_us, int64_t *period_us, struct err *err);

#endif
