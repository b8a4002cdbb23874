/* Random numbers by splitmix64 (Steele, Lea and Flood 2014): one word of state, no bad seeds. Not for secrets. */
#include "draw.h"

#include <math.h>

uint64_t draw_bits(struct draw *draw)
{
	uint64_t x = draw->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

int64_t draw_between(struct draw *draw, int64_t min, int64_t max)
{
	uint64_t n = (uint64_t)max - (uint64_t)min + 1;
	uint64_t x = draw_bits(draw), rest;

	if (n == 0) {
		return (int64_t)x; /* every number there is */
	}
	/* What is left over at the top would make the lowest numbers likelier. */
	rest = -n % n;
	while (x < rest) {
		x = draw_bits(draw);
	}
	return (int64_t)((uint64_t)min + x % n);
}

double draw_unit(struct draw *draw)
{
	return (double)(draw_bits(draw) >> 11) * 0x1p-53;
}

double draw_normal(struct draw *draw)
{
	/* Box and Muller, 1958; the second number of each pair is not kept, so that there is no hidden state. */
	double r = sqrt(-2 * log(1 - draw_unit(draw)));

	return r * cos(2 * M_PI * draw_unit(draw));
}
