/*
 * Where in time there is room for so many VMs at once, over many nodes. Each node is looked at again only when what it
 * can take may have changed, so that the work grows with what happens on the nodes, not with the times tried.
 */
#ifndef TENURE_SEARCH_H
#define TENURE_SEARCH_H

#include "place.h"

/* A node, with how many VMs it can take at most until it is looked at again. */
struct search_node {
	struct node *node;
	wall_us seen_us; /* when it was looked at for */
	wall_us next_us; /* by then it may take more */
	uint32_t count;
};

struct search_want {
	const struct lease_spec *spec; /* size and image of a VM */
	uint32_t vms;
	span_us duration_us;
	wall_us from_us;
	size_t nodes;  /* consider so many, the last first (promises gather on the first), or as many more as hold the
			  VMs twice over; SIZE_MAX = all */
	size_t looks;  /* how often nodes may be looked at in all: 2 to 6 questions to the slot table each */
	size_t points; /* change points of a node gone through in one look, or as many more as need be */
};

struct search {
	struct plan *plan;
	struct search_want want;
	struct search_node *heap; /* by next_us */
	size_t count;
	uint64_t total; /* sum of counts */
};

/* The caller ends with search_fini(). */
void search_init(struct search *search, struct plan *plan, const struct search_want *want);
void search_fini(struct search *search);
/*
 * The earliest start, not before at_us (which must not go back), for which the nodes have room, images arriving as fast
 * as they can if each were alone. WALL_NEVER: there is none, or none was found in the looks allowed.
 */
wall_us search_next(struct search *search, wall_us at_us);
/* After search_next() has found a time: the next one when some node may take more than then; WALL_NEVER = never. */
wall_us search_change(const struct search *search);

#endif
