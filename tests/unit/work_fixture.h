/* A run of a guest, with its times, for tests of what an agent does about it. */
#ifndef TENURE_WORK_FIXTURE_H
#define TENURE_WORK_FIXTURE_H

#include "part.h"

#define SEC USEC_PER_SEC
#define T0 (INT64_C(1000000) * SEC)
#define PREPARE (T0 + 100 * SEC)
#define START (T0 + 110 * SEC)
#define END (T0 + 200 * SEC)
#define RELEASE (T0 + 210 * SEC)

static inline struct part_vm vm_of(enum run_from from, enum run_then then, bool planned)
{
	return (struct part_vm){
		.lease = 7,
		.vm = 1,
		.generation = 1,
		.name = "",
		.image = 3,
		.kind = LEASE_BEST_EFFORT,
		.use.amount = {1000, 64 << 20, 1 << 20, 0, 0},
		.planned = planned,
		.run = {from, then, PREPARE, START, END, RELEASE},
	};
}

/* A run that goes on after that which ended at END. */
static inline struct run resumed(void)
{
	return (struct run){
		.from = RUN_RESUME,
		.then = RUN_STOP,
		.prepare_us = END + 60 * SEC,
		.start_us = END + 70 * SEC,
		.end_us = END + 80 * SEC,
		.release_us = END + 90 * SEC,
	};
}

#endif
