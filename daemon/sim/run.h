/* A whole simulation, from settings and traces to a folder of results; also for commands that make many. */
#ifndef TENURE_SIM_RUN_H
#define TENURE_SIM_RUN_H

#include "config.h"
#include "summary.h"
#include "trace.h"

struct run_options {
	const char *profile; /* for the summary only */
	const char *out;     /* folder, made if it is not there; NULL: write nothing */
	bool check, slots, quiet;
};

/* Simulates, fills *summary and writes the results. The trace is sorted. */
int run_simulation(const struct sim_config *config, const struct trace *trace, const struct run_options *options,
		   struct summary *summary, struct err *err);

#endif
