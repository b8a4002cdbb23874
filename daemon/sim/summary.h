/* What a run comes to: the figures papers print, and the tables behind them. */
#ifndef TENURE_SIM_SUMMARY_H
#define TENURE_SIM_SUMMARY_H

#include <json-c/json.h>

#include "world.h"

/* Seconds from the trace's origin, megabytes of 10^6 bytes. Waits and slowdowns are those of best-effort leases. */
struct summary {
	uint64_t leases, ars, ars_accepted, ars_rejected;
	uint64_t best_effort, best_effort_done, best_effort_rejected;
	uint64_t asked[LEASE_KIND_COUNT], rejected[LEASE_KIND_COUNT]; /* of every kind */
	uint64_t open_called;                                         /* open leases that ran */
	double open_response_max_s;                                   /* the longest from a call to its start */
	uint64_t unfinished;                                          /* not final when nothing happened any more */
	double all_best_effort_s;
	/* Without the first 5 % by submission, while the cluster fills; then of all. */
	double mean_wait_s, mean_bounded_slowdown;
	double mean_wait_all_s, mean_bounded_slowdown_all;
	double max_wait_s, p99_wait_s;
	double utilization; /* until all best-effort leases are done; without any, until the end */
	uint64_t suspensions, restarts, migrations, transfers;
	double mb_transferred, peak_pool_mb;
	uint64_t promises_broken;
	uint64_t steps;
};

/* Of a world that has run. */
void summary_make(const struct world *world, struct summary *summary);
/* As members of an object. */
void summary_add(const struct summary *summary, struct json_object *object);
/* Of a job that is done: response time over the run time on a dedicated machine (at least 10 s). */
double summary_slowdown(const struct job *job);
/* Leases as CSV. */
void summary_leases(const struct world *world, FILE *out);

#endif
