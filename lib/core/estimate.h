/* How long overhead takes: the one place where rates become spans. */
#ifndef TENURE_ESTIMATE_H
#define TENURE_ESTIMATE_H

#include "plan.h"

/*
 * bytes at rate bytes per second, rounded up; bytes >= 0, rate > 0. Capped far below WALL_NEVER. At
 * least 1, except that a rate of INT64_MAX costs nothing.
 */
span_us estimate_bytes(int64_t bytes, int64_t rate);
/* Saving one guest's memory on this node. Several on one node save one after another: their spans add up. */
span_us estimate_suspend(const struct plan_settings *settings, const struct node_info *node, int64_t memory);
span_us estimate_resume(const struct plan_settings *settings, const struct node_info *node, int64_t memory);

#endif
