/* One task over periods and slices, and sets of tasks: what is promised against what is received. */
#include <string.h>

#include "study.h"
#include "util.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define LONGEST (18 * SECOND) /* of one measurement: nobody else uses that CPU meanwhile */

static int64_t between(int64_t low, int64_t value, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

int64_t study_length(const struct study *study, int64_t period_ns)
{
	return study->brief ? between(1200 * MS, 4 * period_ns, 6 * SECOND)
			    : between(4 * SECOND, 10 * period_ns, LONGEST);
}

/* A row: mechanism, period_us, slice_us and the tail; what is refused has no figures. */
static int measure_one(struct study *study, enum engine_backend mechanism, int64_t period_ns, int64_t slice_ns,
		       struct err *err)
{
	struct study_point point = {.mechanism = mechanism,
				    .n = 1,
				    .constraint = {{slice_ns, period_ns, true}},
				    .length_ns = study_length(study, period_ns)};
	struct study_result result;
	char tail[128], stolen[64];

	if (study_measure(study, &point, &result, err) < 0) {
		return -1;
	}
	if (result.refused) {
		study_row(study, "%s,%lld,%lld,0,,,,,,,,", engine_backend_name(mechanism), (long long)(period_ns / US),
			  (long long)(slice_ns / US));
		printf("    (refused: %s)\n", result.why);
		return 0;
	}
	study->seen[mechanism] = true;
	study_tail(&result, tail, sizeof(tail));
	study_stolen(&result, stolen, sizeof(stolen));
	study_row(study, "%s,%lld,%lld,%s,%s", engine_backend_name(mechanism), (long long)(period_ns / US),
		  (long long)(slice_ns / US), tail, stolen);
	if (result.stalled_ns > 0) {
		printf("    (the machine stood still for %.1f ms of that)\n", (double)result.stalled_ns / 1e6);
	}
	return 0;
}

static int over(struct study *study, const int64_t *periods, size_t n, const int *percents, size_t m, struct err *err)
{
	for (int mechanism = 0; mechanism < STUDY_MECHANISMS; mechanism++) {
		for (size_t i = 0; study->mechanism[mechanism] && i < n; i++) {
			for (size_t j = 0; j < m; j++) {
				if (measure_one(study, (enum engine_backend)mechanism, periods[i],
						periods[i] / 100 * percents[j], err) < 0) {
					return -1;
				}
			}
		}
	}
	return 0;
}

static const char header[] = "mechanism,period_us,slice_us,windows,miss_pct,late_mean_us,late_max_us,over_mean_us,core_"
			     "cpu_pct," STUDY_STOLEN;

/* Boxes of the miss rate, one picture for each mechanism, with lines of equal rate where there are enough points. */
static const char contour[] =
	"set multiplot layout 1,3\n"
	"set palette defined (0 '#2c7a4b', 1 '#d9e021', 10 '#f28e2b', 100 '#a01c1c')\n"
	"set cbrange [0:100]\n"
	"set cblabel 'missed (%)'\n"
	"set logscale x\n"
	"set xrange [0.6:1600]\n"
	"set xlabel 'period (ms)'\n"
	"set ylabel 'slice (% of the period)'\n"
	"set yrange [0:100]\n"
	"set style fill solid 1.0 noborder\n"
	"do for [name in names] {\n"
	"	set title name\n"
	"	x(c) = strcol('mechanism') eq name ? column('period_us') / 1000 : NaN\n"
	"	set table $lines\n"
	"	set contour base\n"
	"	set cntrparam levels discrete 0.2, 1, 10, 50\n"
	"	set dgrid3d 24,24,4\n"
	"	unset surface\n"
	"	splot data using (x(0)):(100 * column('slice_us') / column('period_us')):(column('miss_pct'))\n"
	"	unset table\n"
	"	unset dgrid3d\n"
	"	unset contour\n"
	"	set surface\n"
	"	plot data using (x(0)):(100 * column('slice_us') / column('period_us')):(x(0) / 1.35):(x(0) * 1.35):"
	"(100 * column('slice_us') / column('period_us') - 4):(100 * column('slice_us') / column('period_us') + 4):"
	"(column('miss_pct')) with boxxyerror lc palette notitle, \\\n"
	"	     $lines using 1:2 with lines lc rgb '#222222' notitle\n"
	"}\n"
	"unset multiplot\n";

int study_sweep(struct study *study, struct err *err)
{
	static const int64_t periods[] = {1 * MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS, 50 * MS, 100 * MS, 1 * SECOND};
	static const int percents[] = {10, 20, 30, 40, 50, 60, 70, 80, 90};
	static const int64_t few_periods[] = {1 * MS, 2 * MS, 5 * MS, 10 * MS, 100 * MS};
	static const int few_percents[] = {10, 50, 90};
	static const int64_t second[] = {1 * SECOND};
	static const int half[] = {50};
	int rc;

	if (study_open(study, "sweep", header, err) < 0) {
		return -1;
	}
	if (study->brief) {
		rc = over(study, few_periods, ARRAY_SIZE(few_periods), few_percents, ARRAY_SIZE(few_percents), err) <
			     0 ||
		     over(study, second, 1, half, 1, err) < 0;
	} else {
		rc = over(study, periods, ARRAY_SIZE(periods), percents, ARRAY_SIZE(percents), err) < 0;
	}
	study_explain();
	return rc ? -1 : study_close(study, "sweep", contour, err);
}

/* ---- sets ---- */

/* Shares of the load that are spread as all shares of that sum are (UUniFast, Bini and Buttazzo 2005). */
static void random_set(struct study *study, double load, struct study_point *point)
{
	double rest = load;

	for (unsigned i = 0; i < point->n; i++) {
		double part = (double)(1 + study_random(study, 1000000)) / 1000001;
		double keep = i + 1 == point->n ? 0 : __builtin_pow(part, 1.0 / (point->n - i - 1)) * rest;
		double decade = (double)study_random(study, 1000) / 1000;
		int64_t period = (int64_t)(5e6 * __builtin_pow(40, decade)); /* 5 to 200 ms */
		double share = rest - keep;

		rest = keep;
		point->constraint[i] = (struct edf_constraint){
			between(100 * US, (int64_t)(share * (double)period), period), period / US * US, true};
	}
}

static int measure_set(struct study *study, enum engine_backend mechanism, int percent, unsigned which,
		       struct study_point *point, struct err *err)
{
	struct study_result result;
	char tail[128], stolen[64];

	point->mechanism = mechanism;
	if (study_measure(study, point, &result, err) < 0) {
		return -1;
	}
	if (result.refused) {
		study_row(study, "%s,%d,%u,%u,0,,,,,,,,,,", engine_backend_name(mechanism), percent, which, point->n);
		printf("    (refused: %s)\n", result.why);
		return 0;
	}
	study_tail(&result, tail, sizeof(tail));
	study_stolen(&result, stolen, sizeof(stolen));
	study_row(study, "%s,%d,%u,%u,%s,%.2f,%.1f,%s", engine_backend_name(mechanism), percent, which, point->n, tail,
		  result.late_slice_pct_max, (double)result.stalled_ns / 1e6, stolen);
	return 0;
}

int study_random_sets(struct study *study, struct err *err)
{
	static const int loads[] = {50, 70, 90};
	static const char script[] =
		"set xlabel 'tasks'\n"
		"set ylabel 'missed (%)'\n"
		"set xrange [1.5:8.5]\n"
		"y(name) = strcol('mechanism') eq name ? column('miss_pct') : NaN\n"
		"plot for [name in 'edf deadline quota'] data using 'tasks':(y(name)) with points pt 7 title name\n";
	unsigned sets = study->brief ? 2 : 7;

	if (study_open(
		    study, "random",
		    "mechanism,load_pct,set,tasks,windows,miss_pct,late_mean_us,late_max_us,over_mean_us,core_cpu_pct,"
		    "late_max_slice_pct,stalled_ms," STUDY_STOLEN,
		    err) < 0) {
		return -1;
	}
	for (size_t l = 0; l < ARRAY_SIZE(loads); l++) {
		uint64_t seed = study->random;

		/* One mechanism after another, each with the same sets: starting an engine takes a second. */
		for (int m = 0; m < STUDY_MECHANISMS; m++) {
			study->random = seed;
			for (unsigned set = 0; study->mechanism[m] && set < sets; set++) {
				struct study_point point = {.n = study->brief ? 3 + 3 * set : 2 + set,
							    .length_ns = (study->brief ? 3 : 10) * SECOND};

				random_set(study, loads[l] / 100.0, &point);
				if (measure_set(study, (enum engine_backend)m, loads[l], set + 1, &point, err) < 0) {
					return -1;
				}
			}
		}
		study_random(study, 2);
	}
	study_explain();
	return study_close(study, "random", script, err);
}
