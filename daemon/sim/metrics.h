/* What a simulated cluster does over time: gauges, integrated as time goes by, whole and by interval. */
#ifndef TENURE_SIM_METRICS_H
#define TENURE_SIM_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "usec.h"

/* As things stand. */
struct gauges {
	double cpu_promised, cpu_best_effort; /* millicores of guests that run */
	double waiting, waiting_vms;          /* best-effort leases that do not run, and their VMs */
	double nodes_busy;                    /* with a guest that runs */
	double link_busy;                     /* 0 or 1 */
	double pool;                          /* bytes in all pools */
	double disk;                          /* bytes of guests' working space, saved memory included */
};
#define GAUGE_COUNT (sizeof(struct gauges) / sizeof(double))

/* A piece of time: the gauges times microseconds. */
struct interval {
	wall_us from_us, to_us;
	struct gauges sum;
	int64_t moved;    /* bytes that came over the link */
	int64_t pool_max; /* bytes, of the fullest node */
};

struct metrics {
	struct gauges now;
	wall_us clock_us;
	span_us interval_us;
	struct interval current;
	struct interval *done;
	size_t count, room;
	struct gauges total;
	int64_t *pool; /* bytes, by node */
	uint32_t nodes;
};

void metrics_init(struct metrics *metrics, uint32_t nodes, wall_us origin_us, span_us interval_us);
void metrics_fini(struct metrics *metrics);
/* The gauges were as they are until now. */
void metrics_advance(struct metrics *metrics, wall_us now);
/* The pool of a node (0 ..) holds that much. */
void metrics_pool(struct metrics *metrics, uint32_t node, int64_t bytes);
/* That much has come over the link. */
void metrics_moved(struct metrics *metrics, int64_t bytes);
/* Ends the last interval. Nothing may follow. */
void metrics_close(struct metrics *metrics);
/* As CSV, times from the origin; cpu: millicores of the whole cluster. */
void metrics_write(const struct metrics *metrics, wall_us origin_us, double cpu, FILE *out);

#endif
