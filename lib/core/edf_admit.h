/*
 * Which (slice, period) demands a node can promise at once, and on which of its CPUs: by density, the threads of one
 * guest on different CPUs. Head and agent ask the same function with the same numbers, so they agree: what fits the
 * head accepts however the node came to hold it, and so it does every part of that. What the scheduler itself costs is
 * part of each demand: two wake-ups in every period.
 */
#ifndef TENURE_EDF_ADMIT_H
#define TENURE_EDF_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDF_CPUS 1024                                 /* of one node; as many as the kernel's cpu_set_t has */
#define EDF_PERIOD_MAX_US (30 * INT64_C(86400000000)) /* longer ones promise nothing that anybody would notice */

/* What a node has for promises: its managed CPUs, by calibration. The agent tells it, the head believes it. */
struct edf_node {
	uint32_t cpus;         /* 0 = promises nothing; at most EDF_CPUS */
	uint32_t limit_ppm;    /* of each CPU, in millionths */
	int64_t wake_ns;       /* of CPU time, per wake-up of the scheduler */
	int64_t period_min_us; /* shorter ones are refused */
};

/* One guest. Its threads (vCPUs) have the same slice and period each. */
struct edf_demand {
	uint64_t id; /* lease */
	uint32_t vm; /* of the lease; (id, vm) occurs once */
	uint32_t threads;
	int64_t slice_us, period_us;
	int32_t *cpu; /* the caller's, of `threads`: each one's CPU from 0, or -1; NULL if nobody asks where */
};

enum edf_verdict {
	EDF_FITS,
	EDF_ZERO,         /* slice or period is not positive, or there is no thread */
	EDF_SLICE_LONG,   /* slice > period */
	EDF_PERIOD_SHORT, /* below period_min_us */
	EDF_PERIOD_LONG,  /* beyond EDF_PERIOD_MAX_US */
	EDF_SLICE_SHORT,  /* below edf_slice_min_us() */
	EDF_BEYOND_CPU,   /* one thread alone needs more than limit_ppm of a CPU, the scheduler's cost counted */
	EDF_MORE_THREADS, /* than the node has CPUs */
	EDF_NO_ROOM,      /* beside the others */
	EDF_VERDICT_COUNT
};

/* What would fit instead, beside the others; zeros = nothing of that kind does. */
struct edf_offer {
	int64_t slice_us;        /* the longest slice at the period asked for */
	int64_t period_us;       /* the shortest period at which the rate asked for fits ... */
	int64_t period_slice_us; /* ... and the slice then */
};

/* Part of a CPU that one thread needs, the scheduler's cost counted, in millionths, rounded up. slice <= period, > 0.
 */
uint32_t edf_density_ppm(const struct edf_node *node, int64_t slice_us, int64_t period_us);
/*
 * The least slice that can be kept: in a shorter one the scheduler, with two wake-ups, would take more of the CPU than
 * the task, and what a wake-up is late by would be more than the slice.
 */
int64_t edf_slice_min_us(const struct edf_node *node);
/* Whether the node could promise it if there were nobody else. */
enum edf_verdict edf_check(const struct edf_node *node, const struct edf_demand *demand);
/*
 * Whether the node can promise all of them. Threads that have a CPU stay there if all fit that way; else all are placed
 * anew. On EDF_FITS every `cpu` is filled; otherwise nothing is changed, and *culprit (if not NULL) is the index of the
 * demand that did not fit. The answer depends on the demands alone, not on their sequence.
 */
enum edf_verdict edf_pack(const struct edf_node *node, struct edf_demand *demands, size_t n, size_t *culprit);
/*
 * What could be promised instead of `wanted`, which is refused beside the n others (wanted is not among them; nothing
 * of theirs is changed).
 */
struct edf_offer edf_offer(const struct edf_node *node, const struct edf_demand *others, size_t n,
			   const struct edf_demand *wanted);

#endif
