/*
 * `tenure-edf study NAME`: measures what each mechanism makes of its promises, on this machine, all in one run. Each
 * study writes NAME.csv and, with gnuplot, NAME.svg into a folder, and prints its table.
 */
#ifndef TENURE_STUDY_H
#define TENURE_STUDY_H

#include <stdio.h>

#include "engine.h"
#include "probe.h"
#include "window.h"

#define STUDY_TASKS 16
#define STUDY_MECHANISMS 3

struct study {
	const char *out; /* folder */
	int cpu;         /* where it measures */
	int other;       /* another one, for gangs; -1: there is none */
	bool brief;
	bool mechanism[STUDY_MECHANISMS]; /* by enum engine_backend: edf, deadline, quota */
	bool seen[STUDY_MECHANISMS];      /* has figures in the present table */
	uint64_t random;
	/* One engine at a time. */
	struct engine *engine;
	enum engine_backend backend;
	bool gang; /* it manages both CPUs */
	FILE *csv;
};

/* Tasks that always want to run, beside a competitor without a promise, for some time. */
struct study_point {
	enum engine_backend mechanism;
	unsigned n;
	struct edf_constraint constraint[STUDY_TASKS];
	int64_t length_ns;
};

struct study_result {
	bool refused; /* by the mechanism: why says it, nothing else is known */
	char why[512];
	struct window_figures figures;
	double core_pct;           /* of a CPU, taken by the dispatcher */
	double late_slice_pct_max; /* the latest miss, as part of the task's slice */
	double late_own_pct_max;   /* of those in which the CPU was there */
	int64_t stalled_ns;        /* somebody else had the machine; misses of that time are not the mechanism's */
};

/* argv[0] is "study". Returns the exit status. */
int study_main(int argc, char **argv);

/* ---- for the studies ---- */

/* The engine with this mechanism, started if need be; on the gang's CPUs if asked. ERR_UNAVAILABLE: not here. */
int study_engine(struct study *study, enum engine_backend mechanism, bool gang, struct err *err);
/* Measures it. A refusal is a result, not an error. */
int study_measure(struct study *study, const struct study_point *point, struct study_result *result, struct err *err);
/* Long enough for some hundred periods if they are short, and for a few if they are long. */
int64_t study_length(const struct study *study, int64_t period_ns);
/* Prints a row of the table and writes it to the CSV file: text as printf() makes it, columns separated by commas. */
void study_row(struct study *study, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Opens OUT/NAME.csv with the header, which study_row() prints too. */
int study_open(struct study *study, const char *name, const char *header, struct err *err);
/* Closes it, writes OUT/NAME.gp and has gnuplot draw OUT/NAME.svg; the script finds those seen in `names`. */
int study_close(struct study *study, const char *name, const char *script, struct err *err);
/* What rows of most studies end with: windows, miss_pct, late_mean_us, late_max_us, over_mean_us, core_cpu_pct. */
void study_tail(const struct study_result *result, char *out, size_t size);
/* What they end with behind all else, columns STUDY_STOLEN: which misses are the hypervisor's, and the others' share.
 */
void study_stolen(const struct study_result *result, char *out, size_t size);
/* Says so below the table. */
void study_explain(void);
#define STUDY_STOLEN "stolen_windows,miss_pct_not_stolen,late_pct_not_stolen"
uint64_t study_random(struct study *study, uint64_t below);
void study_sleep(struct study *study, int64_t ns);
/* As study_sleep(); reads n CPU clocks all the while. */
void study_watch(struct study *study, int64_t ns, struct readings readings[], unsigned n);
/* Attaches the probe; ERR_* as engine_attach(). */
int study_attach(struct study *study, const struct probe *probe, const struct edf_constraint *constraint, bool aligned,
		 uint64_t *id, struct err *err);
/* Where a probe has to be born for the mechanism, if it is to be on this CPU. */
int study_home(enum engine_backend mechanism, int cpu);
/* Competitors, where the tasks of this mechanism may run: at most one per CPU. Zeroed ones beyond the last. */
int study_compete(const struct study *study, enum engine_backend mechanism, bool gang, struct probe load[],
		  struct err *err);

#define STUDY_LOADS 64

/* ---- the studies; each 0 or -1 with err ---- */

int study_sweep(struct study *study, struct err *err);
int study_misstime(struct study *study, struct err *err);
int study_random_sets(struct study *study, struct err *err);
int study_limit(struct study *study, struct err *err);
int study_interactive(struct study *study, struct err *err);
int study_gang(struct study *study, struct err *err);
int study_latency(struct study *study, struct err *err);

#endif
