/*
 * When the kernel took the CPU from the calling thread and gave it back, to the nanosecond. A thread sees by itself
 * only that it did not run for a while; its CPU clock goes on for some microseconds of that, before or after.
 */
#ifndef TENURE_TURNS_H
#define TENURE_TURNS_H

#include <stdbool.h>
#include <stdint.h>

/* It was without a CPU in [out_ns, in_ns) of CLOCK_MONOTONIC. */
struct turn {
	int64_t out_ns, in_ns;
};

struct turns;

/* Of the calling thread, until it ends. NULL: the kernel does not tell. */
struct turns *turns_open(void);
/* The next one that was not taken yet; false: there is none. Not more than 2000 may gather. NULL is allowed. */
bool turns_take(struct turns *turns, struct turn *out);

#endif
