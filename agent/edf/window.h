/* What a log says about a promise: window by window, whether the slice was received, how late, and how much too much.
 */
#ifndef TENURE_WINDOW_H
#define TENURE_WINDOW_H

#include "probe.h"

/* Periods begin at origin_ns + k * period_ns. */
struct window_grid {
	int64_t origin_ns, slice_ns, period_ns;
};

struct window_figures {
	uint64_t windows, misses;
	uint64_t stolen;                  /* misses in which the CPU was not there for what is missing, or longer */
	int64_t late_sum_ns, late_max_ns; /* how long after a missed window's end the rest of its slice had come */
	int64_t late_own_max_ns;          /* the same of misses that are not stolen */
	int64_t over_sum_ns;              /* received beyond the slices */
	int64_t received_ns, length_ns;   /* of all windows */
};

/* Adds all of them to the first. */
void window_add(struct window_figures *figures, const struct window_figures *more);
/* Adds what the windows that lie wholly within [from_ns, to_ns) show. A miss: less than slice - max(10 us, 1 %). */
void window_judge(const struct probe_log *log, const struct window_grid *grid, int64_t from_ns, int64_t to_ns,
		  struct window_figures *figures);
/*
 * The same for a mechanism that does not tell when its periods begin: with the one of `tries` origins, evenly spread
 * over a period, that makes it look best.
 */
void window_judge_best(const struct probe_log *log, const struct window_grid *grid, int tries, int64_t from_ns,
		       int64_t to_ns, struct window_figures *figures);

#endif
