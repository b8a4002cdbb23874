/* Windows of a log against a promise: see window.h. */
#include "window.h"

#include <stddef.h>

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void window_add(struct window_figures *figures, const struct window_figures *more)
{
	figures->windows += more->windows;
	figures->misses += more->misses;
	figures->stolen += more->stolen;
	figures->late_sum_ns += more->late_sum_ns;
	figures->late_max_ns = most(figures->late_max_ns, more->late_max_ns);
	figures->late_own_max_ns = most(figures->late_own_max_ns, more->late_own_max_ns);
	figures->over_sum_ns += more->over_sum_ns;
	figures->received_ns += more->received_ns;
	figures->length_ns += more->length_ns;
}

static void judge_one(const struct probe_log *log, const struct window_grid *grid, int64_t from_ns,
		      struct window_figures *figures)
{
	int64_t end = from_ns + grid->period_ns;
	int64_t before = probe_received(log, from_ns);
	int64_t got = probe_received(log, end) - before;
	int64_t allowed = most(10000, grid->slice_ns / 100);
	struct window_figures one = {.windows = 1, .received_ns = got, .length_ns = grid->period_ns};

	one.over_sum_ns = most(0, got - grid->slice_ns);
	if (got < grid->slice_ns - allowed) {
		int64_t late = probe_when(log, before + grid->slice_ns);

		/* The log ends before the rest came: it is as late as the log shows. */
		late = (late < log->end_ns ? late : log->end_ns) - end;
		one.misses = 1;
		one.late_sum_ns = one.late_max_ns = late;
		one.stolen = hole_within(&log->holes, from_ns, end) >= grid->slice_ns - got;
		one.late_own_max_ns = one.stolen ? 0 : late;
	}
	window_add(figures, &one);
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
	window_add(figures, &best);
}
