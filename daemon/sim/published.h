/* Figures printed in papers, for comparison: the tables of daemon/sim/published, which name their sources. */
#ifndef TENURE_SIM_PUBLISHED_H
#define TENURE_SIM_PUBLISHED_H

#include <stddef.h>

struct published {
	const char *name; /* of the file, without ".csv" */
	const char *text; /* comments with #, a header, rows */
};

/* Made by the Makefile from daemon/sim/published/NAME.csv. */
extern const struct published published[];
extern const size_t published_count;

/*
 * The figure in a column of the row whose first columns are the given words. NAN if the row is not there or has no
 * number there; there must be such a table and such a column.
 */
double published_value(const char *table, const char *const *key, size_t keys, const char *column);

#endif
