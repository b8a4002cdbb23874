/* Writes the tables of experiments. */
#include "results.h"

#include <math.h>

int results_open(struct results *results, const char *const *keys, const char *const *extras, struct err *err)
{
	*results = (struct results){0};
	if (sheet_open(&results->sheet, err) < 0) {
		return -1;
	}
	for (; keys[results->keys]; results->keys++) {
		fprintf(results->sheet.out, "%s,", keys[results->keys]);
	}
	fputs("metric,published,measured,low95,high95,difference", results->sheet.out);
	for (; extras[results->extras]; results->extras++) {
		fprintf(results->sheet.out, ",%s", extras[results->extras]);
	}
	fputc('\n', results->sheet.out);
	return 0;
}

static void put(FILE *out, double value)
{
	fputc(',', out);
	if (isfinite(value)) {
		/* No "-0.000": a table is compared with others by its bytes. */
		fprintf(out, "%.3f", fabs(value) < 0.0005 ? 0 : value);
	}
}

void results_add_more(struct results *results, const char *const *key, const char *metric, double published,
		      const struct sample *measured, const char *const *extra)
{
	FILE *out = results->sheet.out;
	double mean = measured->n ? measured->mean : NAN, half = sample_half_width(measured);

	for (size_t i = 0; i < results->keys; i++) {
		fprintf(out, "%s,", key[i]);
	}
	fputs(metric, out);
	put(out, published);
	put(out, mean);
	put(out, mean - half);
	put(out, mean + half);
	put(out, mean - published);
	for (size_t i = 0; i < results->extras; i++) {
		fprintf(out, ",%s", extra[i]);
	}
	fputc('\n', out);
	results->rows++;
}

void results_add(struct results *results, const char *const *key, const char *metric, double published,
		 const struct sample *measured)
{
	static const char *const none[RESULTS_EXTRAS_MAX] = {"", "", "", ""};

	results_add_more(results, key, metric, published, measured, none);
}
