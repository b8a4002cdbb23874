/* How well measured effects agree with published ones over many cells of a table: in sign, and in order of size. */
#ifndef TENURE_SIM_AGREEMENT_H
#define TENURE_SIM_AGREEMENT_H

#include <stddef.h>

/* Begins zeroed; agreement_fini() frees. */
struct agreement {
	double *published, *measured;
	size_t n, room;
};

void agreement_add(struct agreement *agreement, double published, double measured);
void agreement_fini(struct agreement *agreement);
/* Cells in which both are above 0 or both below. */
size_t agreement_signs(const struct agreement *agreement);
/* Spearman's rank correlation, equal values sharing their rank; NAN if all of one side are equal. */
double agreement_order(const struct agreement *agreement);

#endif
