/* Figures of "experiment mixed": effects and utilization, published and measured. */
#ifndef TENURE_SIM_MIXED_FIGURES_H
#define TENURE_SIM_MIXED_FIGURES_H

#include "experiment.h"

/* Draws them from table.csv, which is written already. */
int mixed_figures(const struct experiment_run *run, struct err *err);

#endif
