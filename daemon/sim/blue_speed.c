/* How long the planner takes for the month, and for ten of them: each simulation is a process of its own. */
#include <math.h>
#include <stdlib.h>

#include "blue.h"
#include "util.h"

#define RUNS 3 /* of which the median counts */
#define MONTH_US (30 * USEC_PER_DAY)
#define TEN 10
#define TEN_COST 30
#define RESERVATIONS_30 BLUE_RESERVATIONS "30-3h-medium.txt"

/* haizea_s: CPU seconds of Haizea 1.0 on the same machine, with the reservations those of a copy made faster. */
static const struct speed_case {
	const char *load;
	bool reservations;
	size_t months;
	enum blue_policy policy;
	double target_s, target_mb, target_ratio, haizea_s;
} cases[] = {
	{"30", true, 1, BLUE_VM_REUSE_SKEWED, 2, 50, NAN, 790},     {"30", true, 1, BLUE_DEFAULT, 2, 50, NAN, 790},
	{"none", false, 1, BLUE_VM_REUSE_SKEWED, 2, 50, NAN, 349},  {"none", false, 1, BLUE_DEFAULT, 2, 50, NAN, 349},
	{"30", true, TEN, BLUE_VM_REUSE_SKEWED, NAN, NAN, 15, NAN}, {"30", true, TEN, BLUE_DEFAULT, NAN, NAN, 15, NAN},
};

void blue_repeat(const struct trace *trace, size_t times, span_us period_us, struct trace *to)
{
	for (size_t i = 0; i < times * trace->count; i++) {
		struct trace_request request = trace->item[i % trace->count];
		span_us later_us = (span_us)(i / trace->count) * period_us;

		request.submit_us += later_us;
		request.start_us += request.start_us < 0 ? 0 : later_us;
		request.latest_us += request.latest_us < 0 ? 0 : later_us;
		request.deadline_us += request.deadline_us < 0 ? 0 : later_us;
		request.call_us += request.call_us < 0 ? 0 : later_us;
		trace_add(to, &request);
	}
	trace_sort(to);
}

static int read_file(const struct experiment_run *run, const char *name, struct trace *trace, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", run->traces, name);

	return trace_read(path, trace, NULL, err);
}

static int read_months(const struct experiment_run *run, const struct speed_case *of, struct trace *to, struct err *err)
{
	_cleanup_(trace_fini) struct trace month = {0};

	if (read_file(run, BLUE_LOG, &month, err) < 0 ||
	    (of->reservations && read_file(run, RESERVATIONS_30, &month, err) < 0)) {
		return -1;
	}
	blue_repeat(&month, of->months, MONTH_US, to);
	return 0;
}

static void keep_summary(void *arg, const struct world *world, const struct summary *summary)
{
	(void)world;
	*(struct summary *)arg = *summary;
}

/* Reading the log is part of it. */
static int simulate(void *arg, size_t item, void *result, struct err *err)
{
	const struct speed_case *of = &cases[item / RUNS];
	_cleanup_(trace_fini) struct trace trace = {0};
	struct sim_config config;

	if (read_months(arg, of, &trace, err) < 0 || blue_config(of->policy, 1, &config, err) < 0) {
		return -1;
	}
	int bad = experiment_simulate(&config, &trace, keep_summary, result, err);
	config_free(&config);
	return bad;
}

/* Ten months are far from ten times the month: their queue is longer. */
static double cost_s(const void *arg, size_t item)
{
	const struct speed_case *of = &cases[item / RUNS];

	(void)arg;
	return blue_cost_s(of->policy) * (of->months > 1 ? TEN_COST : 1);
}

static int by_time(const void *a, const void *b)
{
	const struct parallel_used *x = a, *y = b;

	return x->user_s < y->user_s ? -1 : x->user_s > y->user_s;
}

static void put(FILE *out, double value, int digits)
{
	fputc(',', out);
	if (isfinite(value)) {
		fprintf(out, "%.*f", digits, value);
	}
}

/* used: of each case the runs by time. */
static void put_case(FILE *out, size_t i, const struct summary *summary, const struct parallel_used *used)
{
	const struct speed_case *of = &cases[i];
	const struct parallel_used *median = &used[i * RUNS + RUNS / 2];
	double mb = (double)median->peak_rss_kb * 1024 / 1e6, ratio = NAN;

	for (size_t k = 0; k < ARRAY_SIZE(cases) && of->months > 1; k++) {
		if (cases[k].months == 1 && cases[k].reservations && cases[k].policy == of->policy) {
			ratio = median->user_s / used[k * RUNS + RUNS / 2].user_s;
		}
	}
	bool met = !(median->user_s > of->target_s) && !(mb > of->target_mb) && !(ratio > of->target_ratio);
	fprintf(out, "%s,%s,%zu,%ju,%ju", of->load, blue_policy_name(of->policy), of->months,
		(uintmax_t)summary->leases, (uintmax_t)summary->ars);
	put(out, median->user_s, 2);
	put(out, of->target_s, 0);
	put(out, mb, 1);
	put(out, of->target_mb, 0);
	put(out, ratio, 1);
	put(out, of->target_ratio, 0);
	put(out, of->haizea_s, 0);
	put(out, of->haizea_s / median->user_s, 0);
	fprintf(out, ",%s\n", met ? "yes" : "no");
}

static int write_speed(const struct experiment_run *run, const struct summary *summary, struct parallel_used *used,
		       struct err *err)
{
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("rho,configuration,months,leases,ars,cpu_s,target_cpu_s,peak_rss_mb,target_rss_mb,ratio_to_month,"
	      "target_ratio,haizea_cpu_s,times_as_fast,met\n",
	      sheet.out);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		qsort(&used[i * RUNS], RUNS, sizeof(*used), by_time);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_case(sheet.out, i, &summary[i * RUNS], used);
	}
	return sheet_write(&sheet, run->out, "speed.csv", err);
}

static bool there(const struct experiment_run *run, const char *name)
{
	_cleanup_free_ char *path = run->traces ? xasprintf("%s/%s", run->traces, name) : NULL;

	return path && access(path, F_OK) == 0;
}

int blue_speed(const struct experiment_run *run, struct err *err)
{
	struct summary summary[ARRAY_SIZE(cases) * RUNS];
	struct parallel_used used[ARRAY_SIZE(cases) * RUNS];
	/* One at a time: another one would be in its way. */
	struct parallel parallel = {.items = ARRAY_SIZE(summary),
				    .processes = 1,
				    .work = simulate,
				    .arg = (void *)run,
				    .result_size = sizeof(summary[0])};

	if (!there(run, BLUE_LOG) || !there(run, RESERVATIONS_30)) {
		return 0;
	}
	return experiment_work(run, &parallel, "speed.csv", cost_s, summary, used, err) < 0
		       ? -1
		       : write_speed(run, summary, used, err);
}
