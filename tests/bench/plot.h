/* The benchmark's figure: gnuplot reads the two tables in a folder and writes an SVG beside them. */
#ifndef TENURE_BENCH_PLOT_H
#define TENURE_BENCH_PLOT_H

/* Plots FOLDER/admission.csv and FOLDER/queue.csv into FOLDER/plan.svg. -1 if there is no gnuplot or it failed. */
int plot(const char *folder);

#endif
