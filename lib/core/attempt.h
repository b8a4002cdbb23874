/*
 * One attempt to promise VMs a time: nodes with room, their images in time, best-effort guests suspended where that
 * helps. What was found is booked by attempt_book() or taken back by attempt_undo().
 */
#ifndef TENURE_ATTEMPT_H
#define TENURE_ATTEMPT_H

#include "place.h"
#include "preempt.h"

/* What best-effort leases in the way may be made to bear. */
enum attempt_cost {
	COST_NOBODY, /* nothing */
	COST_SUSPEND,
	COST_STOP, /* the loss of what they have done, if suspending them is not enough */
};

struct attempt {
	struct unit unit; /* its n may be lowered for an offer */
	struct run run;
	enum attempt_cost cost; /* at most; COST_STOP at first */
	bool stoppable;         /* COST_SUSPEND failed where COST_STOP may not */
	bool all;               /* all nodes are looked at, however many have room */
	struct choices choices;
	struct victims victims;
	struct reason reason; /* why it failed */
};

/* A start that would do. */
struct attempt_span {
	wall_us from_us, latest_us;  /* from_us not before attempt_earliest() */
	bool tried;                  /* from_us was, in vain: why is in at->reason */
	size_t nodes, looks, points; /* bounds of the search, as in search.h */
};

/* The earliest start that can be had now. */
wall_us attempt_earliest(const struct plan *plan);
/* For all open guests of the contract. The caller ends with attempt_fini(). */
void attempt_init(struct attempt *at, struct contract *contract);
void attempt_fini(struct attempt *at);
/*
 * True if it can be had at that time: then nodes are chosen, transfers promised and victims cut, to be booked or undone
 * by the caller. Else why it cannot is in at->reason, and nothing is changed.
 */
bool attempt_at(struct plan *plan, struct attempt *at, wall_us start_us, span_us duration_us);
/* The same at the earliest start in the span; reason and run are those of from_us if there is none. */
bool attempt_within(struct plan *plan, struct attempt *at, const struct attempt_span *span, span_us duration_us);
void attempt_undo(struct plan *plan, struct attempt *at);
/* Books what was found; then attempt_keep() makes it final, or attempt_unbook() takes all back. */
void attempt_book(struct plan *plan, struct attempt *at);
void attempt_keep(struct plan *plan, struct attempt *at);
void attempt_unbook(struct plan *plan, struct attempt *at);
/* Tries nothing: puts what is in the way at that time into at->reason, images aside. */
void attempt_blame(struct plan *plan, struct attempt *at, wall_us start_us, span_us duration_us);

/* The oldest lease, among some, that holds room on the node during the run; 0 = none found. */
uint64_t attempt_in_the_way(const struct node *node, const struct run *run);

#endif
