/* What the files of "tenure-sim experiment blue" share: its loads, its policies, and what was measured of each pair. */
#ifndef TENURE_SIM_BLUE_H
#define TENURE_SIM_BLUE_H

#include "experiment.h"

#define BLUE_LOG "blue-30days.swf"
#define BLUE_RESERVATIONS "blue-30days-ar-rho" /* and "RR-3h-medium.txt" */
#define BLUE_PUBLISHED 3                       /* loads of the paper's table */
#define BLUE_LOADS_MAX 64                      /* files of reservations somebody may have collected, and some */

/* The configurations of the paper, then Tenure's own. */
enum blue_policy {
	BLUE_NOVM_NOSR,
	BLUE_NOVM_SR,
	BLUE_VM_PREDEPLOY,
	BLUE_VM_MULT,
	BLUE_VM_REUSE_UNIFORM,
	BLUE_VM_REUSE_SKEWED,
	BLUE_DEFAULT,
	BLUE_FCFS,
	BLUE_POLICIES
};

enum blue_metric {
	BLUE_COMPLETION,
	BLUE_WAIT,
	BLUE_SLOWDOWN,
	BLUE_METRICS_PUBLISHED,
	BLUE_P99_WAIT = BLUE_METRICS_PUBLISHED,
	BLUE_MAX_WAIT,
	BLUE_UTILIZATION,
	BLUE_ARS_REJECTED,
	BLUE_PROMISES_BROKEN,
	BLUE_UNFINISHED,
	BLUE_WAIT_ALL, /* as Haizea's figures are: the first 5 % counted too */
	BLUE_SLOWDOWN_ALL,
	BLUE_METRICS
};

/* The month, with some reservations or none. */
struct blue_load {
	char *name;         /* as in the table's column rho */
	const char *column; /* of the published table; NULL = was not published */
	struct trace trace;
};

struct blue {
	struct experiment_run *run;
	struct blue_load load[BLUE_LOADS_MAX];
	size_t loads;
	double dedicated_s; /* completion counts from this */
	struct sample measured[BLUE_LOADS_MAX][BLUE_POLICIES][BLUE_METRICS];
};

const char *blue_policy_name(enum blue_policy policy);
/* The policy's settings, over those of its profile; the caller frees them with config_free(). */
int blue_config(enum blue_policy policy, int64_t seed, struct sim_config *config, struct err *err);
/* The paper's figure; NAN if there is none. For Tenure's own: the best of all configurations with virtual machines. */
double blue_published(const struct blue *blue, size_t load, enum blue_policy policy, enum blue_metric metric);
/* Haizea's, NAN if it was not measured. */
double blue_haizea(const struct blue *blue, size_t load, enum blue_policy policy, enum blue_metric metric);
/* The file, in the folder of results, of a policy's use and queue over time with rho 30; the caller frees it. */
char *blue_intervals_name(enum blue_policy policy);
/* Draws everything. */
int blue_figures(const struct blue *blue, struct err *err);

/* About how many seconds of a processor the month takes, with most reservations. */
double blue_cost_s(enum blue_policy policy);

/* Adds the trace to *to as often as that, each time later by the period. */
void blue_repeat(const struct trace *trace, size_t times, span_us period_us, struct trace *to);
/* Measures and writes speed.csv; nothing without the log and the reservations of rho 30. */
int blue_speed(const struct experiment_run *run, struct err *err);

#endif
