/* Figures of a run, from the CSV files in its folder. */
#ifndef TENURE_SIM_FIGURE_H
#define TENURE_SIM_FIGURE_H

#include <stdio.h>

#include "err.h"

/* What is shown of the run by who was where when, in seconds from its beginning. to_s 0 = as much as can be read. */
struct figure_window {
	double from_s, to_s;
};

/*
 * Writes utilization.svg, queue.svg, staging.svg and disk.svg from intervals.csv, by gnuplot, and gantt.svg from
 * slots.csv and leases.csv. What cannot be drawn for want of gnuplot or slots.csv is left out, which tell says in a
 * line. -1 if a file is wrong or cannot be written.
 */
int figure_make(const char *folder, const struct figure_window *window, FILE *tell, struct err *err);

/* gantt.svg alone. */
int figure_gantt(const char *folder, const struct figure_window *window, FILE *tell, struct err *err);

#endif
