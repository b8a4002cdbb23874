/* How long overhead takes: the one place where rates, and what was measured, become spans. */
#ifndef TENURE_ESTIMATE_H
#define TENURE_ESTIMATE_H

#include "plan_state.h"

/*
 * bytes at rate bytes per second, rounded up; bytes >= 0, rate > 0. Capped far below WALL_NEVER. At least 1, except
 * that a rate of INT64_MAX costs nothing.
 */
span_us estimate_bytes(int64_t bytes, int64_t rate);
/* Saving or restoring one guest, by settings and rates alone. */
span_us estimate_plain(const struct plan_settings *settings, const struct node_info *node, enum estimate_what what,
		       int64_t memory);
/*
 * Saving (restoring) one guest's memory on this node. Several at once go one after another: their spans add up. Once
 * enough was measured it is mean + 2 sigma of that: of guests of that size; else of the nearest larger size, else of
 * the nearest smaller one, in proportion to what rates and settings say of the two.
 */
span_us estimate_suspend(const struct plan *plan, const struct node *node, int64_t memory);
span_us estimate_resume(const struct plan *plan, const struct node *node, int64_t memory);
/*
 * Copying a suspended guest of the lease, its memory and its disk, from node to node: at the slower of what the one
 * sends and the other takes, as far as they have such a thing, else at the repository's rate.
 */
span_us estimate_copy(const struct plan *plan, const struct node *from, const struct node *to,
		      const struct lease_spec *spec);
/*
 * Learns from a guest that was to be saved (restored) from from_us on and was so at done_us. Of several at once each
 * counts from when the one before it was done, so that together they make the whole span.
 */
void estimate_learn(struct plan *plan, struct node *node, enum estimate_what what, int64_t memory, wall_us from_us,
		    wall_us done_us);

#endif
