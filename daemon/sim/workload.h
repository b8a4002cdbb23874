/* From a trace to requests the planner understands: overhead, sizes and images are settled here, before time begins. */
#ifndef TENURE_SIM_WORKLOAD_H
#define TENURE_SIM_WORKLOAD_H

#include "config.h"
#include "trace.h"

/* The planner's times begin here, as 0 means "not yet" to it; what is written counts from 0 again. */
#define ORIGIN_US USEC_PER_DAY

/* One lease to be asked for. Times are the planner's. */
struct request {
	struct lease_spec spec;
	wall_us submit_us;
	span_us real_us;      /* it runs that long, if it may */
	span_us dedicated_us; /* what it would run on machines of its own: without overhead */
	wall_us call_us;      /* open reservations; WALL_NEVER = never */
	uint64_t line;        /* of its trace */
	bool own_image;       /* nobody else's: known from its request to its end */
	int64_t image_bytes;
};

struct workload {
	struct request *request; /* by submit_us */
	size_t count, room;
	struct image_info *image; /* those that are shared, ids from 1 */
	size_t image_count, image_room;
	struct workload_name *names;
};

/* Fills *workload, which workload_fini() frees. */
void workload_make(const struct sim_config *config, const struct trace *trace, struct workload *workload);
void workload_fini(struct workload *workload);

#endif
