/* Repeated measurements of one figure, as over several seeds: their mean and how well it is known. */
#ifndef TENURE_SIM_SAMPLE_H
#define TENURE_SIM_SAMPLE_H

#include <stddef.h>

/* Begins zeroed. */
struct sample {
	size_t n;
	double mean;
	double squares; /* of the distances from the mean, summed up (Welford 1962) */
	double least, most;
};

void sample_add(struct sample *sample, double value);
/* Of the measurements, with n - 1; NAN if there are fewer than two. */
double sample_deviation(const struct sample *sample);
/* Half the width of the 95 % confidence interval of the mean (Student's t); NAN if there are fewer than two. */
double sample_half_width(const struct sample *sample);

#endif
