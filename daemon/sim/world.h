/*
 * A cluster under virtual time: the planner decides, and perfect agents do to the microsecond what it wants. Time
 * jumps from one thing that happens to the next; all that happens at one instant goes to the planner in one step,
 * ends before starts, requests after them.
 */
#ifndef TENURE_SIM_WORLD_H
#define TENURE_SIM_WORLD_H

#include "metrics.h"
#include "plan.h"
#include "workload.h"

struct body;

/* What became of a request. Its lease's id is its place in the workload + 1. */
struct job {
	const struct request *request;
	enum lease_state state; /* LEASE_NEW: time ended before it was asked for */
	struct reason reason;
	wall_us start_us, end_us;           /* first running, final; 0 = never */
	wall_us joined_us;                  /* when one of its VMs last began to run */
	uint32_t suspensions, restarts;     /* of the lease, for a gang once whatever its size */
	wall_us suspended_us, restarted_us; /* the last time */
	bool broken;
	struct body *body; /* one per VM while it is neither final nor unknown */
};

struct world_totals {
	uint64_t steps, suspensions, migrations, transfers, broken;
	int64_t bytes;        /* that came over links */
	int64_t peak_pool;    /* bytes, of one node */
	wall_us last_done_us; /* when the last best-effort lease was done; 0 = none */
	double cpu_used;      /* millicores times microseconds until then */
};

struct world;

struct world_options {
	bool check; /* look at everything after every step: slow */
	bool slots; /* keep the slots for world_slots() */
	/* Called now and then; the time is from the origin. NULL = not. */
	void (*progress)(void *arg, wall_us now, size_t final, size_t jobs);
	void *arg;
};

/* The workload and the config stay the caller's, and must outlive the world. */
struct world *world_new(const struct sim_config *config, const struct workload *workload,
			const struct world_options *options);
void world_free(struct world *world);
/* Until nothing more happens. -1 with the step and the rule if something is not as it must be. */
int world_run(struct world *world, struct err *err);

/* The rule that was broken, without where and when: static text; NULL = none, or nothing was checked. */
const char *world_rule(const struct world *world);
const struct job *world_jobs(const struct world *world, size_t *count);
const struct world_totals *world_totals(const struct world *world);
const struct metrics *world_metrics(const struct world *world);
double world_cpu(const struct world *world); /* millicores of all nodes */
/* The slots as they were used, as CSV. */
void world_slots(struct world *world, FILE *out);

#endif
