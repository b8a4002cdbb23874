/* What happens at the edge of what can be kept: how late what is missed comes, and from which share on something is. */
#include "study.h"
#include "util.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define TRIES 3 /* of a share of which little is missed: that may be the machine's doing */
#define LITTLE_PCT 5
#define MOST 94 /* per cent, of which the scheduler's own cost is a part: see LIMIT_PPM */

/* One task of that share beside a competitor. */
static int measure(struct study *study, enum engine_backend mechanism, int64_t period_ns, int percent,
		   struct study_result *result, struct err *err)
{
	struct study_point point = {.mechanism = mechanism,
				    .n = 1,
				    .constraint = {{period_ns / 100 * percent, period_ns, true}},
				    .length_ns = study_length(study, period_ns)};

	if (study_measure(study, &point, result, err) < 0) {
		return -1;
	}
	study->seen[mechanism] |= !result->refused;
	return 0;
}

/* ---- how late ---- */

static int measure_lateness(struct study *study, enum engine_backend mechanism, int64_t period_ns, int percent,
			    struct err *err)
{
	const char *name = engine_backend_name(mechanism);
	int64_t slice_ns = period_ns / 100 * percent;
	struct study_result result;
	char tail[128], stolen[64];

	if (measure(study, mechanism, period_ns, percent, &result, err) < 0) {
		return -1;
	}
	if (result.refused) {
		study_row(study, "%s,%lld,%lld,0,,,,,,,,,,,", name, (long long)(period_ns / US),
			  (long long)(slice_ns / US));
		printf("    (refused: %s)\n", result.why);
		return 0;
	}
	const struct window_figures *f = &result.figures;
	double mean_ns = f->misses ? (double)f->late_sum_ns / (double)f->misses : 0;

	study_tail(&result, tail, sizeof(tail));
	study_stolen(&result, stolen, sizeof(stolen));
	study_row(study, "%s,%lld,%lld,%s,%.2f,%.2f,%.1f,%s", name, (long long)(period_ns / US),
		  (long long)(slice_ns / US), tail, 100 * mean_ns / (double)slice_ns, result.late_slice_pct_max,
		  (double)result.stalled_ns / 1e6, stolen);
	return 0;
}

int study_misstime(struct study *study, struct err *err)
{
	static const int64_t periods[] = {1 * MS, 5 * MS, 20 * MS, 100 * MS};
	static const int percents[] = {10, 30, 50, 70, 80, 90, 92};
	static const int few[] = {50, 90};
	static const char script[] =
		"set logscale xy\n"
		"set xlabel 'slice (ms)'\n"
		"set ylabel 'what is missed comes late by (% of the slice)'\n"
		"y(name, c) = strcol('mechanism') eq name && column(c) > 0 ? column(c) : NaN\n"
		"plot for [name in names] data using (column('slice_us') / 1000):(y(name, 'late_mean_slice_pct')) "
		"with points pt 7 title name.', mean', \\\n"
		"     for [name in names] '' using (column('slice_us') / 1000):(y(name, 'late_max_slice_pct')) "
		"with points pt 6 title name.', latest', \\\n"
		"     2.5 with lines lc rgb '#888888' dt 2 title '2.5 %'\n";
	const int *percent = study->brief ? few : percents;
	size_t n = study->brief ? 2 : ARRAY_SIZE(periods), m = study->brief ? ARRAY_SIZE(few) : ARRAY_SIZE(percents);

	if (study_open(study, "misstime",
		       "mechanism,period_us,slice_us,windows,miss_pct,late_mean_us,late_max_us,over_mean_us,"
		       "core_cpu_pct,late_mean_slice_pct,late_max_slice_pct,stalled_ms," STUDY_STOLEN,
		       err) < 0) {
		return -1;
	}
	for (int mechanism = 0; mechanism < STUDY_MECHANISMS; mechanism++) {
		for (size_t i = 0; study->mechanism[mechanism] && i < n * m; i++) {
			if (measure_lateness(study, (enum engine_backend)mechanism, periods[i / m], percent[i % m],
					     err) < 0) {
				return -1;
			}
		}
	}
	study_explain();
	return study_close(study, "misstime", script, err);
}

/* ---- from which share on ---- */

static double miss_pct(const struct study_result *result)
{
	return result->refused ? 100 : 100 * (double)result->figures.misses / (double)result->figures.windows;
}

/* Until nothing is missed, a few times; the latest result. */
static int measure_again(struct study *study, enum engine_backend mechanism, int64_t period_ns, int percent,
			 struct study_result *result, struct err *err)
{
	for (int tries = 0; tries < TRIES; tries++) {
		if (measure(study, mechanism, period_ns, percent, result, err) < 0) {
			return -1;
		}
		if (!result->figures.misses || miss_pct(result) > LITTLE_PCT) {
			break;
		}
	}
	return 0;
}

/* The greatest share, in steps, of which nothing is missed, by halving what is left; what is refused counts as missed.
 */
static int find_limit(struct study *study, enum engine_backend mechanism, int64_t period_ns, struct err *err)
{
	const char *name = engine_backend_name(mechanism);
	int step = study->brief ? 5 : 1, good = 0, bad = (MOST + step - 1) / step;
	struct study_result result, failed = {.refused = true};
	uint64_t windows = 0;

	while (bad - good > 1) {
		int middle = good + (bad - good) / 2;

		if (measure_again(study, mechanism, period_ns, middle * step, &result, err) < 0) {
			return -1;
		}
		if (!result.refused && result.figures.misses == 0) {
			good = middle;
			windows = result.figures.windows;
		} else {
			bad = middle;
			failed = result;
		}
	}
	study_row(study, "%s,%lld,%d,%llu,%d,%.3f", name, (long long)(period_ns / US), good * step,
		  (unsigned long long)windows, bad * step, miss_pct(&failed));
	if (failed.refused && *failed.why) {
		printf("    (refused: %s)\n", failed.why);
	}
	return 0;
}

int study_limit(struct study *study, struct err *err)
{
	static const int64_t periods[] = {1 * MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS, 50 * MS, 100 * MS};
	static const int64_t few[] = {1 * MS, 10 * MS, 100 * MS};
	static const char script[] = "set logscale x\n"
				     "set xlabel 'period (ms)'\n"
				     "set ylabel 'most of a CPU without a miss (%)'\n"
				     "set yrange [0:100]\n"
				     "y(name) = strcol('mechanism') eq name ? column('limit_pct') : NaN\n"
				     "plot for [name in names] data using (column('period_us') / 1000):(y(name)) "
				     "with points pt 7 title name\n";
	const int64_t *period = study->brief ? few : periods;
	size_t n = study->brief ? ARRAY_SIZE(few) : ARRAY_SIZE(periods);

	if (study_open(study, "limit", "mechanism,period_us,limit_pct,windows,next_pct,next_miss_pct", err) < 0) {
		return -1;
	}
	for (int mechanism = 0; mechanism < STUDY_MECHANISMS; mechanism++) {
		for (size_t i = 0; study->mechanism[mechanism] && i < n; i++) {
			if (find_limit(study, (enum engine_backend)mechanism, period[i], err) < 0) {
				return -1;
			}
		}
	}
	return study_close(study, "limit", script, err);
}
