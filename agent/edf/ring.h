/*
 * Misses on their way from a dispatcher to the owner: a ring of fixed size for one writer and one reader, without a
 * lock. What does not fit is counted, not waited for.
 */
#ifndef TENURE_RING_H
#define TENURE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RING_SIZE                                                                                          \
	256 /* more than a CPU's tasks can miss between two readings once a second, but at periods of 1 ms \
	     */

struct ring_item {
	uint64_t task; /* the slot's, as it was then */
	uint32_t slot;
	uint32_t misses; /* since its item before */
	int64_t late_max_ns;
};

struct ring {
	_Atomic uint32_t head; /* the writer's */
	_Atomic uint32_t tail; /* the reader's */
	_Atomic uint32_t lost;
	struct ring_item item[RING_SIZE];
};

/* The writer's. False: full, and counted as lost. */
bool ring_put(struct ring *ring, const struct ring_item *item);
/* The reader's. False: empty. */
bool ring_get(struct ring *ring, struct ring_item *out);

#endif
