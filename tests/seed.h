/* Random numbers that can be had again: TENURE_SEED, else the clock, which is printed. */
#ifndef TENURE_SEED_H
#define TENURE_SEED_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seed;

/* At the beginning of each test that draws. */
static inline void take_seed(void)
{
	const char *text = getenv("TENURE_SEED");

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout); /* what comes may be an abort */
	seed = seed * 2 + 1;
}

/* From 0 to below - 1, by xorshift64 (Marsaglia 2003). */
static inline int64_t pick(int64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int64_t)(seed >> 11) % below;
}

#endif
