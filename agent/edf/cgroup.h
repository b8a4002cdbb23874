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
/* Removes the engine's groups that are empty. */
void cgroup_close(const struct cgroup *cgroup);

/*
 * The file that a thread's id is written to in order to bring it back where it is now; ERR_NOT_FOUND, ERR_LIMIT if the
 * path does not fit into size.
 */
int cgroup_home(const struct cgroup *cgroup, pid_t pid, pid_t tid, char *out, size_t size, struct err *err);
/* Whether the thread's group refuses real-time priorities: version 1, RT_GROUP_SCHED, runtime 0. */
bool cgroup_refuses_fifo(const struct cgroup *cgroup, pid_t pid, pid_t tid);
/* Into the root group, where real-time priorities are allowed. */
int cgroup_move_root(const struct cgroup *cgroup, pid_t tid, struct err *err);
int cgroup_move_strict(const struct cgroup *cgroup, pid_t tid, struct err *err);
/* Into a group of its own with the constraint as CFS bandwidth; the group is named by task and index. Repeatable. */
int cgroup_move_quota(const struct cgroup *cgroup, pid_t tid, uint64_t task, unsigned index,
		      const struct edf_constraint *constraint, struct err *err);
void cgroup_remove_quota(const struct cgroup *cgroup, uint64_t task, unsigned index);
/* What CFS bandwidth takes: periods from 1 ms to 1 s, quotas from 1 ms, at the same rate. ERR_PARAMS: not possible. */
int cgroup_quota_of(const struct edf_constraint *constraint, int64_t *quota_us, int64_t *period_us, struct err *err);

#endif
