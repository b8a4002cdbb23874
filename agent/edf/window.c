/* Windows of a log against a promise: see window.h. */
#include "window.h"

#include <stddef.h>

static void judge_one(const struct probe_log *log, const struct window_grid *grid, int64_t from_ns,
		      struct window_figures *figures)
{
	int64_t end = from_ns + grid->period_ns;
	int64_t before = probe_received(log, from_ns);
	int64_t got = probe_received(log, end) - before;
	int64_t allowed = grid->slice_ns / 100 > 10000 ? grid->slice_ns / 100 : 10000;

	figures->windows++;
	figures->received_ns += got;
	figures->length_ns += grid->period_ns;
	if (got > grid->slice_ns) {
		figures->over_sum_ns += got - grid->slice_ns;
	}
	if (got < grid->slice_ns - allowed) {
		int64_t late = probe_when(log, before + grid->slice_ns);

		/* The log ends before the rest came: it is as late as the log shows. */
		late = (late < log->end_ns ? late : log->end_ns) - end;
		figures->misses++;
		figures->late_sum_ns += late;
		figures->late_max_ns = late > figures->late_max_ns ? late : figures->late_max_ns;
	}
}

void window_judge(const struct probe_log *log, const struct window_grid *grid, int64_t from_ns, int64_t to_ns,
		  struct window_figures *figures)
{
	int64_t skip = (from_ns - grid->origin_ns) % grid->period_ns;
	int64_t at = from_ns - skip + (skip > 0 ? grid->period_ns : 0);

	for (; at + grid->period_ns <= to_ns; at += grid->period_ns) {
		judge_one(log, grid, at, figures);
	}
}

void window_judge_best(const struct probe_log *log, const struct window_grid *grid, int tries, int64_t from_ns,
		       int64_t to_ns, struct window_figures *figures)
{
	struct window_figures best = {0};

	for (int i = 0; i < tries; i++) {
		struct window_grid shifted = *grid;
		struct window_figures now = {0};

		shifted.origin_ns += i * grid->period_ns / tries;
		window_judge(log, &shifted, from_ns, to_ns, &now);
		/* As part of the windows, of which another origin may have one more or less. */
		if (i == 0 || now.misses * best.windows < best.misses * now.windows ||
		    (now.misses * best.windows == best.misses * now.windows && now.late_sum_ns < best.late_sum_ns)) {
			best = now;
		}
	}
	figures->windows += best.windows;
	figures->misses += best.misses;
	figures->late_sum_ns += best.late_sum_ns;
	figures->late_max_ns = best.late_max_ns > figures->late_max_ns ? best.late_max_ns : figures->late_max_ns;
	figures->over_sum_ns += best.over_sum_ns;
	figures->received_ns += best.received_ns;
	figures->length_ns += best.length_ns;
}
