/*
 * One CPU in virtual time for the tests of lib/core/edf: tasks that run, block and wake at random, and a kernel that
 * gives the CPU to the first on the ladder that is ready. What the tasks are owed is worked out here without the core.
 */
#ifndef TENURE_EDF_WORLD_H
#define TENURE_EDF_WORLD_H

#include "edf.h"

struct edf_world_task {
	bool there, ready, spinner; /* a spinner never blocks */
	bool slept;                 /* was not ready some time since the last look */
	struct edf_constraint constraint;
	int64_t burst_ns;                 /* what it runs before it blocks */
	int64_t wakes_ns;                 /* if it is blocked */
	int64_t got_ns, blocked_ns;       /* since the window began */
	int64_t uncharged_ns;             /* not told to the core yet */
	int64_t budget_ns;                /* got on the ladder in whole windows and the present one */
	int64_t budget_then_ns;           /* in the whole windows that are over */
	int64_t window_ns, window_end_ns; /* the present period */
	int64_t windows;                  /* whole ones that are over */
	bool whole;                       /* the present one */
};

struct edf_world {
	struct edf edf;
	uint64_t random;
	int64_t now_ns, again_ns;
	int64_t cost_ns;   /* of a look: nobody runs meanwhile */
	int64_t jitter_ns; /* at most, by which a look is late */
	int64_t steal_ns;  /* at most, in which nobody runs, between a look and the next: once in 50 times */
	unsigned order_n, order[EDF_LADDER];
	struct edf_world_task task[EDF_TASKS];
	uint64_t looks, windows, misses;
	int64_t worst_ns; /* the most that was missing from a slice, beside the time the task was blocked */
};

uint64_t edf_world_random(struct edf_world *world, uint64_t below);
/* Between low and high, each order of magnitude as likely. */
int64_t edf_world_spread(struct edf_world *world, int64_t low, int64_t high);
void edf_world_init(struct edf_world *world, const struct edf_floor *floor, uint64_t seed);
void edf_world_set(struct edf_world *world, unsigned slot, const struct edf_constraint *constraint, bool spinner);
void edf_world_clear(struct edf_world *world, unsigned slot);
/* Until then, with looks whenever the core asks for them. */
void edf_world_run(struct edf_world *world, int64_t until_ns);

#endif
