/* Two runs side by side. */
#ifndef TENURE_SIM_COMPARE_H
#define TENURE_SIM_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#include "err.h"

/*
 * Writes what the summary.json of the folders a and b hold: each value of a, then what only b has; of numbers also
 * b - a and b / a. As a table for people, or as CSV. -1 if a summary is missing or is none.
 */
int compare_runs(const char *a, const char *b, bool csv, FILE *out, struct err *err);

#endif
