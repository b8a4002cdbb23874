/* Suspending best-effort guests: when, as a node saves and restores one guest at a time, and whom. */
#ifndef TENURE_PREEMPT_H
#define TENURE_PREEMPT_H

#include "place.h"

/*
 * Sets node->save_us (restore_us) on each seat's node to how long saving (restoring) the unit's guests takes there: one
 * after another on each node, or everywhere, as exclusion says. Where one is to be copied first, that is part of it.
 */
void preempt_save_spans(const struct plan *plan, const struct unit *unit);
/* Returns the longest. */
span_us preempt_restore_spans(const struct plan *plan, const struct unit *unit);
/*
 * How long copying the memory of those takes that are to go on elsewhere: all at once, but those that come from, or go
 * to, one node one after another. 0 if there are none.
 */
span_us preempt_copy_span(const struct plan *plan, const struct unit *unit);
/*
 * The latest instant at which all guests of the unit can stop, so that on each of their nodes all are saved, and not
 * while others are saved or restored there, by node->limit_us (set by the caller on every seat's node).
 * The unit must be lifted. May be in the past.
 */
wall_us preempt_end(struct plan *plan, const struct unit *unit);
/*
 * The earliest instant at which all guests of the unit can go on, restored from from_us on, so that on each of their
 * nodes restoring takes the node->restore_us before it and nobody else is saved, restored or destroyed then. *lead_us
 * is what preempt_restore_spans() returns. The unit must be lifted.
 */
wall_us preempt_restored(const struct plan *plan, const struct unit *unit, wall_us from_us, span_us *lead_us);

/* Room an advance reservation wants made. */
struct preempt_want {
	const struct unit *unit;
	const struct run *run;
	uint32_t fits; /* VMs for which there is room as it is, < unit->n */
	bool stop;     /* victims may lose what they have done */
	bool (*may)(const void *arg, const struct contract *victim); /* NULL = anybody may be cut; else of those who
									may the smallest first */
	const void *arg;
	bool staged_only;    /* only nodes that have the image in time are of use */
	bool seated;         /* only the nodes of the unit's seats are, each for as many; fits is found out */
	wall_us earliest_us; /* out: the start by which those too late to make way could have done so; 0 = there are
				none */
	bool stoppable;      /* out: some were only to be suspended, in time or not */
};

/* How a victim gets out of the way. */
enum way {
	WAY_SUSPEND,
	WAY_LIE,     /* it is suspended, and stays so */
	WAY_REQUEUE, /* it is stopped and goes back to the queue whole: what it has done is lost; until it is kept it is
			nowhere, but what it takes till it is gone stays in the tables */
};

/* Whose runs were cut, and how to put them back. */
struct victim {
	struct unit unit;
	struct run cut; /* WAY_SUSPEND */
	enum way way;
};
struct victims {
	struct victim *item;
	size_t count, room;
};

/*
 * Cuts the runs of best-effort leases (by the victim policy, and none more than needed) until the unit fits. Those that
 * cannot be suspended in time are stopped only if nothing else helps. False if that is not enough; then all is as
 * before. On success the caller ends with preempt_keep() or preempt_undo().
 */
bool preempt_for(struct plan *plan, struct preempt_want *want, struct victims *out);
void preempt_keep(struct plan *plan, struct victims *victims, uint64_t lease);
void preempt_undo(struct plan *plan, struct victims *victims);

#endif
