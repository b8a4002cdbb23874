/*
 * What is done one after another: the spans in which guests are saved and restored on a node, or in the whole cluster.
 * Spans are half-open, may meet (what runs late is not moved), and those of no length do not count.
 */
#ifndef TENURE_LANE_H
#define TENURE_LANE_H

#include <stdbool.h>
#include <stddef.h>

#include "usec.h"

struct lane;

struct lane *lane_new(void);
void lane_free(struct lane *lane); /* NULL is allowed */

/* Adds a span; the same one may be added several times. O(log n), as all here, in the number of different spans. */
void lane_add(struct lane *lane, wall_us from_us, wall_us to_us);
/* Takes back what was added with the same arguments. */
void lane_remove(struct lane *lane, wall_us from_us, wall_us to_us);

/* The latest time, at most from_us, at which length_us can begin without meeting any span. O(log n) for each met. */
wall_us lane_before(const struct lane *lane, wall_us from_us, span_us length_us);
/* The earliest such time, at least from_us. */
wall_us lane_after(const struct lane *lane, wall_us from_us, span_us length_us);

/* How many spans there are, each counted as often as it was added. */
size_t lane_count(const struct lane *lane);
/* How often this one is there. */
size_t lane_has(const struct lane *lane, wall_us from_us, wall_us to_us);

#endif
