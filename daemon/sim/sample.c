/* Mean and confidence of repeated measurements. */
#include "sample.h"

#include <math.h>

#include "util.h"

void sample_add(struct sample *sample, double value)
{
	double distance = value - sample->mean;

	sample->n++;
	sample->mean += distance / (double)sample->n;
	sample->squares += distance * (value - sample->mean);
	sample->least = sample->n == 1 || value < sample->least ? value : sample->least;
	sample->most = sample->n == 1 || value > sample->most ? value : sample->most;
}

double sample_deviation(const struct sample *sample)
{
	return sample->n < 2 ? NAN : sqrt(sample->squares / (double)(sample->n - 1));
}

/* The 97.5 % point of Student's t: a table, and for many degrees of freedom its expansion around the normal one. */
static double student(size_t freedom)
{
	static const double points[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
					2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
	const double z = 1.959964;
	double v = (double)freedom;

	if (freedom <= ARRAY_SIZE(points)) {
		return points[freedom - 1];
	}
	return z + (pow(z, 3) + z) / (4 * v) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * v * v) +
	       (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / (384 * v * v * v);
}

double sample_half_width(const struct sample *sample)
{
	return sample->n < 2 ? NAN : student(sample->n - 1) * sample_deviation(sample) / sqrt((double)sample->n);
}
