/*
 * A link as it is, not as it is planned: whatever is on its way shares the bandwidth equally. One at a time takes
 * exactly as long as planned.
 */
#ifndef TENURE_SIM_SIM_LINK_H
#define TENURE_SIM_SIM_LINK_H

#include <stdbool.h>

#include "agenda.h"

/* Something on its way; the same image begun at the same instant to several nodes is one flow. */
struct flow {
	uint64_t image;
	int64_t bytes;
	wall_us since_us;
	uint64_t done_at; /* of the link's work */
	struct flow *prev, *next;
	void *cargo; /* the owner's: who waits for it */
};

struct sim_link {
	struct due due; /* when the next flow is through */
	wall_us clock_us;
	uint64_t work; /* what each flow has had since the beginning, in 1/65536 us of the whole link */
	struct flow *flows;
	uint32_t count;
	span_us busy_us;
	int64_t bytes; /* of flows that are through */
};

/* Begins a flow that takes alone_us (>= 0) when alone. The link's until sim_link_take() or sim_link_drop(). */
struct flow *sim_link_begin(struct sim_link *link, struct agenda *agenda, wall_us now, uint64_t image, int64_t bytes,
			    span_us alone_us);
/* The flow of that image begun at this very instant; NULL if there is none. */
struct flow *sim_link_twin(const struct sim_link *link, wall_us now, uint64_t image);
/* A flow that is through by now, off the link, the caller's to free; NULL if there is none (more). */
struct flow *sim_link_take(struct sim_link *link, struct agenda *agenda, wall_us now);
/* Gives a flow up and frees it. */
void sim_link_drop(struct sim_link *link, struct agenda *agenda, wall_us now, struct flow *flow);
void sim_link_fini(struct sim_link *link);

#endif
