/* The table an experiment ends in: what was published beside what was measured. */
#ifndef TENURE_SIM_RESULTS_H
#define TENURE_SIM_RESULTS_H

#include "sample.h"
#include "sheet.h"

#define RESULTS_KEYS_MAX 6 /* columns that say what a row is about, beside the metric */

#define RESULTS_EXTRAS_MAX 4 /* columns after the others */

struct results {
	struct sheet sheet;
	size_t keys, extras, rows;
};

/* Columns: keys, metric, published, measured, low95, high95, difference, extras; both lists end with NULL. */
int results_open(struct results *results, const char *const *keys, const char *const *extras, struct err *err);
/*
 * One row, with as many words as there are keys. What is not known stays empty: published NAN, an interval of fewer
 * than two measurements. difference = measured - published.
 */
void results_add(struct results *results, const char *const *key, const char *metric, double published,
		 const struct sample *measured);
/* The same with words for the extras, as many as there are; elsewhere they stay empty. */
void results_add_more(struct results *results, const char *const *key, const char *metric, double published,
		      const struct sample *measured, const char *const *extra);

#endif
