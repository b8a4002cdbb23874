/*
 * "tenure-sim experiment NAME": published experiments, run again. Each is a file experiment_NAME.c with one struct
 * experiment; experiment.c has the command and what they share.
 */
#ifndef TENURE_SIM_EXPERIMENT_H
#define TENURE_SIM_EXPERIMENT_H

#include "config.h"
#include "parallel.h"
#include "results.h"
#include "summary.h"
#include "trace.h"

/* What an experiment is run with. The command makes the folder, opens the table and writes it as OUT/table.csv. */
struct experiment_run {
	const char *name;   /* of the experiment */
	const char *traces; /* folder of logs; NULL = none was given */
	const char *out;    /* folder of results, there already */
	int64_t seeds;      /* how often what is made up is made up: with seeds 1 .. seeds */
	int64_t jobs;       /* simulations at a time, for parallel.h */
	bool brief;         /* --short: seconds, on made-up workloads only */
	bool quiet;         /* nothing on stdout */
	struct results table;
	struct kept *kept; /* what was done by a run before this one, which was interrupted */
};

struct experiment {
	const char *name, *help;
	int64_t seeds, brief_seeds;             /* unless --seeds says so */
	const char *keys[RESULTS_KEYS_MAX + 1]; /* of the table; ends with NULL */
	const char *extras[RESULTS_EXTRAS_MAX + 1];
	/* 0, or -1 if something failed; a log that is not there is no failure, as long as something was measured. */
	int (*run)(struct experiment_run *run, struct err *err);
	/* Figures of what table.csv has by then; NULL = none. */
	int (*draw)(const struct experiment_run *run, struct err *err);
};

extern const struct experiment experiment_accuracy;
extern const struct experiment experiment_blue;
extern const struct experiment experiment_efficiency;
extern const struct experiment experiment_mixed;

/*
 * Adds a log of the folder of traces to *trace, sorted. 1 if it was there, 0 if it was not (stderr is told which, and
 * from where it comes), -1 if it is wrong.
 */
int experiment_trace(const struct experiment_run *run, const char *name, struct trace *trace, struct err *err);
/* Adds a made-up workload: generate.h's kind and "KEY=VALUE" words, separated by spaces. */
int experiment_generate(const char *kind, const char *words, int64_t seed, struct trace *trace, struct err *err);
/* A profile's settings with "KEY=VALUE" words, separated by spaces, over them. */
int experiment_config(const char *profile, const char *words, struct sim_config *config, struct err *err);

/* Sees a world that has run, and its figures. */
typedef void experiment_look(void *arg, const struct world *world, const struct summary *summary);
/* Runs one world in memory. The trace must be sorted. */
int experiment_simulate(const struct sim_config *config, const struct trace *trace, experiment_look *look, void *arg,
			struct err *err);
/* experiment_config() and experiment_simulate() in one, for the figures only. */
int experiment_summary(const char *profile, const char *words, const struct trace *trace, struct summary *summary,
		       struct err *err);

/*
 * parallel_run() of a part of the experiment, with what is kept of it, and on standard error how long it will take.
 * what: the part, by the file it goes into. cost_s: about how many seconds of a processor an item of of->arg takes;
 * NULL = not known, all as long as each other.
 */
int experiment_work(const struct experiment_run *run, const struct parallel *of, const char *what,
		    double (*cost_s)(const void *arg, size_t item), void *results, struct parallel_used *used,
		    struct err *err);
/* Opens run->kept by all that goes into the results; of->processes and quiet do not. */
int experiment_keep(struct experiment_run *run, struct err *err);
/*
 * Draws a figure with gnuplot: NAME.gp is written, with what all figures have in common before text, and run in the
 * folder of results. text sets output, and plots from files written there before.
 */
int experiment_figure(const struct experiment_run *run, const char *name, const char *text, struct err *err);

#endif
