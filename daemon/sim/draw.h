/* Random numbers that are the same everywhere for the same seed. */
#ifndef TENURE_SIM_DRAW_H
#define TENURE_SIM_DRAW_H

#include <stdint.h>

/* A stream of numbers; any state is a good beginning. */
struct draw {
	uint64_t state;
};

/* 64 evenly distributed bits. */
uint64_t draw_bits(struct draw *draw);
/* An integer from min to max, both included; min <= max. */
int64_t draw_between(struct draw *draw, int64_t min, int64_t max);
/* A number in [0, 1). */
double draw_unit(struct draw *draw);
/* Normally distributed, mean 0 and deviation 1. */
double draw_normal(struct draw *draw);

#endif
