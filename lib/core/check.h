/* What must be true of a whole plan after every step. Slow; for tests and simulation. */
#ifndef TENURE_CHECK_H
#define TENURE_CHECK_H

#include "plan.h"

enum check_rule {
	CHECK_OK,
	CHECK_CAPACITY, /* a node has more booked than it has, in some resource at some instant from now on */
	CHECK_RATE,     /* a node has more slices and periods booked than it can keep */
	CHECK_TABLE,    /* the slot table, or a glance, says otherwise than the slots of the guests booked there */
	CHECK_RUN, /* a VM's run is out of order, or it has none where its state wants one, or it is on no known node */
	CHECK_PROMISE, /* an advance reservation was moved from the agreed interval, or a deadline lease ends too late
			*/
	CHECK_GANG,    /* VMs of a gang that wait to start would not start together */
	CHECK_IMAGE,   /* a VM would begin before its image is there */
	CHECK_LINK,    /* the repository's link is booked twice */
	CHECK_POOL,    /* a pool holds more than fits, or its users are miscounted */
	CHECK_SAVE,    /* a saving is planned for less time than it takes */
	CHECK_STATE,   /* a lease's state is not that of its VMs */
	CHECK_BACKLOG, /* who waits is not where the queue looks for him */
	CHECK_RULE_COUNT
};

/* The first rule broken, and where. */
struct check_fault {
	enum check_rule rule;
	uint64_t lease; /* 0 = not of one lease */
	uint32_t vm;
	uint32_t node; /* 0 = not of one node */
	wall_us at_us;
};

/* A short name for messages: "capacity". */
const char *check_rule_name(enum check_rule rule);
/* CHECK_OK, or the rule broken, then *fault is filled. Changes nothing. */
enum check_rule check_plan(const struct plan *plan, struct check_fault *fault);

#endif
