/*
 * One measurement of the benchmark each: a cluster of one size with so much booked or queued. Both fill their result
 * and never take more of the processor's time than the limit by much, but for a single step of the planner that does.
 */
#ifndef TENURE_BENCH_CELL_H
#define TENURE_BENCH_CELL_H

#include "plan.h"

struct quantiles {
	uint32_t n;
	double p50_us, p99_us, max_us;
};

/* What the queue's cells differ in. */
struct mode {
	const char *name;
	enum backfill backfill;
	enum suspension suspension;
	const char *queue; /* policy */
};

struct cell {
	uint64_t seed;
	uint32_t nodes;
	uint64_t count;          /* reservations to book, or leases to queue */
	const struct mode *mode; /* NULL = the planner's defaults */
	uint32_t probes;         /* or repetitions */
	double limit_s;          /* of processor time, as all times here */
};

struct admission_result {
	uint64_t booked; /* fewer than wanted when the limit was reached */
	double fill_s;
	double bytes_each; /* growth of the resident set by what was booked */
	struct quantiles accepted, rejected, all;
	struct quantiles offers; /* for each rejected one once more what could be had instead, without the rest */
};

/* Books reservations one by one, then asks for probes; those that are accepted are cancelled at once, untimed. */
struct admission_result cell_admission(const struct cell *cell);

struct queue_result {
	double submit_s;        /* the step in which all leases arrive at once */
	struct quantiles node;  /* a step in which a further node appears */
	struct quantiles ended; /* a step in which a reservation is cancelled, which frees a part of a node */
};

/* Reserves every core of the cluster for a while, then queues best-effort leases and makes the queue look at them. */
struct queue_result cell_queue(const struct cell *cell);

#endif
