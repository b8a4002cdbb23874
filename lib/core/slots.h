/*
 * The slot table: per node, what is used when. Each node keeps its change points in a tree of pages that know the
 * highest and lowest use below them, so that reserving, releasing and asking for the peak use of an interval are O(log
 * n) in the node's change points and touch few cache lines. About 40 bytes per change point.
 */
#ifndef TENURE_SLOTS_H
#define TENURE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slot.h"

/* One node's use over time. It knows no limit: whoever reserves has asked slots_peak() first. */
struct slots;

struct slots *slots_new(void);
void slots_free(struct slots *slots); /* NULL is allowed */

/* Adds use over [start_us, end_us), start_us < end_us. */
void slots_reserve(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use);
/* Takes back what was reserved with the same arguments. */
void slots_release(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use);

#define SLOTS_STEPS 16 /* at most, in one change */

/* So much from then on, up to the next step. */
struct slots_step {
	wall_us at_us;
	struct capacity use;
};
/* The same of use that changes: 2..SLOTS_STEPS steps in order of time, no two at once, the last of which is of none. */
void slots_add(struct slots *slots, const struct slots_step *steps, unsigned n);
void slots_remove(struct slots *slots, const struct slots_step *steps, unsigned n);

/* The highest use of each resource in [start_us, end_us), start_us < end_us; the maxima need not be at one instant. */
struct capacity slots_peak(const struct slots *slots, wall_us start_us, wall_us end_us);
/* What is used at that instant. The table's, until it is changed or asked again. */
const struct capacity *slots_use(const struct slots *slots, wall_us at_us);
/* The first time at or after from_us when use exceeds limit in some resource, or WALL_NEVER. */
wall_us slots_until(const struct slots *slots, struct capacity limit, wall_us from_us);
/* Until when, from from_us on, use surely exceeds limit; from_us if it does not. */
wall_us slots_over(const struct slots *slots, struct capacity limit, wall_us from_us);
/* True if use stays within limit in [start_us, end_us), start_us < end_us. */
bool slots_within(const struct slots *slots, struct capacity limit, wall_us start_us, wall_us end_us);
/* The first time at or after from_us from which use stays within limit for length_us (> 0), or WALL_NEVER. */
wall_us slots_fit(const struct slots *slots, struct capacity limit, wall_us from_us, span_us length_us);
/* The same; or, if that is more than so many change points on, a time later than from_us and not after it. */
wall_us slots_fit_near(const struct slots *slots, struct capacity limit, wall_us from_us, span_us length_us,
		       size_t points);
/* The first change point later than after_us, or WALL_NEVER. */
wall_us slots_next(const struct slots *slots, wall_us after_us);

/* A copy to compare with later; NULL of a table with more change points than are worth it. */
struct slots *slots_copy(const struct slots *slots);
/* True if the table surely says the same as the copy made of it, of all times from from_us on. */
bool slots_alike(const struct slots *copy, const struct slots *slots, wall_us from_us);

#endif
