/* Agreement of measured and published effects. */
#include "agreement.h"

#include <math.h>

#include "util.h"

void agreement_add(struct agreement *agreement, double published, double measured)
{
	if (agreement->n == agreement->room) {
		agreement->room = agreement->room ? 2 * agreement->room : 64;
		agreement->published = xrealloc(agreement->published, agreement->room, sizeof(double));
		agreement->measured = xrealloc(agreement->measured, agreement->room, sizeof(double));
	}
	agreement->published[agreement->n] = published;
	agreement->measured[agreement->n++] = measured;
}

void agreement_fini(struct agreement *agreement)
{
	free(agreement->published);
	free(agreement->measured);
	*agreement = (struct agreement){0};
}

size_t agreement_signs(const struct agreement *agreement)
{
	size_t agree = 0;

	for (size_t i = 0; i < agreement->n; i++) {
		agree += agreement->published[i] * agreement->measured[i] > 0;
	}
	return agree;
}

/* How many are below it, and half of its equals. */
static double rank(const double *value, size_t n, size_t which)
{
	double below = 0;

	for (size_t i = 0; i < n; i++) {
		below += value[i] < value[which] ? 1 : value[i] > value[which] ? 0 : 0.5;
	}
	return below;
}

double agreement_order(const struct agreement *agreement)
{
	double middle = (double)agreement->n / 2, xy = 0, xx = 0, yy = 0;

	for (size_t i = 0; i < agreement->n; i++) {
		double x = rank(agreement->published, agreement->n, i) - middle;
		double y = rank(agreement->measured, agreement->n, i) - middle;
		xy += x * y;
		xx += x * x;
		yy += y * y;
	}
	return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}
