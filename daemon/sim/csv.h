/* Reading the CSV files a run has written: plain numbers and words, no quoting. */
#ifndef TENURE_SIM_CSV_H
#define TENURE_SIM_CSV_H

#include <stdint.h>
#include <stdio.h>

#include "err.h"

#define CSV_LINE_MAX 1024  /* bytes; the widest row of ours has some 300 */
#define CSV_COLUMNS_MAX 32 /* in a file */

struct csv {
	FILE *file;
	const char *path; /* the caller's */
	uint64_t number;  /* of the line read last */
	char line[CSV_LINE_MAX];
	size_t columns;
	size_t at[CSV_COLUMNS_MAX]; /* where in a row each column that was asked for is */
	size_t wanted;
};

/* Opens a file whose header names all of the wanted columns. path stays the caller's. */
int csv_open(struct csv *csv, const char *path, const char *const *wanted, size_t n, struct err *err);
/* One row: field[i] is the i-th wanted column, valid until the next call. 1, 0 at the end, -1 if the row is wrong. */
int csv_row(struct csv *csv, char **field, struct err *err);
/* A number of a row just read. */
int csv_number(const struct csv *csv, const char *text, double *out, struct err *err);
void csv_close(struct csv *csv);

#endif
