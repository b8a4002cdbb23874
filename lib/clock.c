/* The only file that reads a clock. Sets no timer and waits for nothing. */
#include "clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
	struct timespec t;

	/* Cannot fail: these clocks exist on every Linux. */
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

wall_us clock_wall(void)
{
	return read_ns(CLOCK_REALTIME) / 1000;
}

mono_us clock_mono(void)
{
	return read_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

int64_t clock_thread_ns(void)
{
	return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_wall_offset_ns(void)
{
	int64_t shortest = INT64_MAX, offset = 0;

	/* Whoever is kept from the CPU between two readings finds the clocks far apart; the next try is better. */
	for (int tries = 0; tries < 10 && shortest > 1000; tries++) {
		int64_t before = clock_mono_ns(), wall = clock_wall_ns(), took = clock_mono_ns() - before;

		if (took < shortest) {
			shortest = took;
			offset = wall - before - took / 2;
		}
	}
	return offset;
}
