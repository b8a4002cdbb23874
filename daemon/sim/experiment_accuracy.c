/*
 * Reservations whose images must be there in time (master's paper of 2007, section 8.1): how much of the time asked for
 * users get, by the strategy their images are brought with; and the disk that bringing them early takes.
 *
 * Nodes have room for six virtual machines: the published numbers of requests do not fit on two.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "experiment.h"
#include "published.h"
#include "util.h"
#include "world.h"

/* Images are not reused and nothing costs time but their transfer. */
#define COMMON "configuration=VM_nosuspend pool=1PiB interval=5m "
#define REQUESTS_MAX 128
#define INTERVALS_MAX 256 /* 20 hours */

static const char *const strategies[] = {"edf", "edf-jit", "jit", "aggressive", "job"};
#define STRATEGIES ARRAY_SIZE(strategies)
#define PROMISING 2 /* the first ones keep what they promise */

/*
 * How long before its start a request comes is not published: half an hour, with which "aggressive" gets on Trace I
 * what is (most requests over 96 %).
 */
static const struct {
	const char *name, *kind, *words, *config;
	bool disk;
} cases[] = {
	{"I", "accuracy", "ahead=30m", COMMON "cpu=6 memory=3GiB", false},
	{"II", "accuracy-windows", "ahead=30m", COMMON "cpu=6 memory=3GiB", false},
	{"disk", "disk", "", COMMON, true},
};

/* What became of one workload under one strategy. */
struct outcome {
	size_t asked, admitted;
	struct {
		double start_s, pct;
	} request[REQUESTS_MAX];
	double mean_pct, worst_pct;
	double peak_gb;
	size_t intervals;
	double disk_gb[INTERVALS_MAX]; /* most on one node, by interval */
};

struct run_case {
	const struct experiment_run *run;
	size_t which;
};

/* Ends do not move: who begins late gets less. A cluster begins when the last of its machines does. */
static double satisfaction_pct(const struct job *job)
{
	wall_us end_us = job->request->spec.start_us + job->request->spec.duration_us;
	double got_us = job->joined_us && job->joined_us < end_us ? (double)(end_us - job->joined_us) : 0;

	return 100 * got_us / (double)job->request->spec.duration_us;
}

static void look(void *arg, const struct world *world, const struct summary *summary)
{
	struct outcome *to = arg;
	const struct metrics *metrics = world_metrics(world);
	size_t n;
	const struct job *jobs = world_jobs(world, &n);
	struct sample sample = {0};

	to->asked = n;
	for (size_t i = 0; i < n && to->admitted < REQUESTS_MAX; i++) {
		if (jobs[i].state == LEASE_REJECTED) {
			continue;
		}
		double pct = satisfaction_pct(&jobs[i]);
		sample_add(&sample, pct);
		to->request[to->admitted].start_s = (double)(jobs[i].request->spec.start_us - ORIGIN_US) / 1e6;
		to->request[to->admitted++].pct = pct;
	}
	to->mean_pct = sample.mean;
	to->worst_pct = sample.least;
	to->peak_gb = summary->peak_pool_mb / 1000;
	for (; to->intervals < metrics->count && to->intervals < INTERVALS_MAX; to->intervals++) {
		to->disk_gb[to->intervals] = (double)metrics->done[to->intervals].pool_max / 1e9;
	}
}

/* Items: a seed's strategies, then the next seed's. */
static int measure(void *arg, size_t item, void *result, struct err *err)
{
	const struct run_case *what = arg;
	_cleanup_(trace_fini) struct trace trace = {0};
	_cleanup_free_ char *words =
		xasprintf("%s staging=%s", cases[what->which].config, strategies[item % STRATEGIES]);
	struct sim_config config;

	if (experiment_generate(cases[what->which].kind, cases[what->which].words, 1 + (int64_t)(item / STRATEGIES),
				&trace, err) < 0 ||
	    experiment_config("msc", words, &config, err) < 0) {
		return -1;
	}
	int bad = experiment_simulate(&config, &trace, look, result, err);
	config_free(&config);
	return bad;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static double published_figure(const char *what)
{
	return published_value("msc-figures", &what, 1, "value");
}

static void put_strategy(struct experiment_run *run, size_t which, size_t strategy, const struct outcome *outcomes)
{
	const char *const key[] = {cases[which].name, strategies[strategy]};
	struct sample mean = {0}, worst = {0}, admitted = {0}, peak = {0};

	for (int64_t seed = 0; seed < run->seeds; seed++) {
		const struct outcome *of = &outcomes[(size_t)seed * STRATEGIES + strategy];
		sample_add(&mean, of->mean_pct);
		sample_add(&worst, of->worst_pct);
		sample_add(&admitted, 100 * (double)of->admitted / (double)of->asked);
		sample_add(&peak, of->peak_gb);
	}
	if (cases[which].disk) {
		double value = strategy >= PROMISING
				       ? NAN
				       : published_figure(strategy == 0 ? "disk_peak_edf_gb" : "disk_peak_edf_jit_gb");
		results_add(&run->table, key, "disk_peak_gb", value, &peak);
	} else {
		bool poor = which == 1 && (strcmp(key[1], "jit") == 0 || strcmp(key[1], "job") == 0);
		results_add(&run->table, key, "satisfaction_mean_pct", NAN, &mean);
		results_add(&run->table, key, "satisfaction_worst_pct",
			    poor ? published_figure("satisfaction_worst_pct") : NAN, &worst);
	}
	results_add(&run->table, key, "admitted_pct", NAN, &admitted);
}

static int draw_satisfaction(const struct experiment_run *run, const char *name, const struct outcome *first,
			     struct err *err)
{
	_cleanup_free_ char *file = xasprintf("satisfaction-%s.csv", name);
	_cleanup_free_ char *figure = xasprintf("satisfaction-%s", name);
	_cleanup_free_ char *script = xasprintf(
		"set multiplot layout 1, 5 title 'Trace %s: what each reservation got of the time it asked for, by how "
		"images are brought' font ',18' margins 0.075, 0.985, 0.14, 0.84 spacing 0.02\n"
		"unset key\n"
		"set yrange [50:102]\n"
		"set xrange [0:2.05]\n"
		"set xtics 1\n"
		"set format x '%%g'\n"
		"set xlabel 'start (h)'\n"
		"set ylabel 'client satisfaction (%%)'\n"
		"do for [s in 'edf edf-jit aggressive jit job'] {\n"
		"set title s offset 0, -0.6\n"
		"plot '%s' using (strcol('strategy') eq s ? column('start_s') / 3600 : "
		"NaN):(column('satisfaction_pct')) "
		"with points pt 7 ps 0.6 lc rgb '#2f6db5'\n"
		"unset ylabel\n"
		"set format y ''\n"
		"}\n"
		"unset multiplot\n",
		name, file);
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("strategy,start_s,satisfaction_pct\n", sheet.out);
	for (size_t s = 0; s < STRATEGIES; s++) {
		for (size_t i = 0; i < first[s].admitted; i++) {
			fprintf(sheet.out, "%s,%.0f,%.3f\n", strategies[s], first[s].request[i].start_s,
				first[s].request[i].pct);
		}
	}
	return sheet_write(&sheet, run->out, file, err) < 0 ? -1 : experiment_figure(run, figure, script, err);
}

static int draw_disk(const struct experiment_run *run, const struct outcome *first, struct err *err)
{
	static const char script[] =
		"set title 'Images on the fullest node' font ',18'\n"
		"set xlabel 'time from the beginning (h)'\nset ylabel 'GB'\n"
		"plot 'disk.csv' using (column('from_s') / 3600):(column('edf_gb')) with steps lw 2 lc rgb '#b5452f' "
		"title 'EDF', \\\n"
		"     '' using (column('from_s') / 3600):(column('edf_jit_gb')) with steps lw 2 lc rgb '#2f6db5' "
		"title 'EDF/JIT'\n";
	size_t n = first[0].intervals > first[1].intervals ? first[0].intervals : first[1].intervals;
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("from_s,edf_gb,edf_jit_gb\n", sheet.out);
	for (size_t i = 0; i < n; i++) {
		fprintf(sheet.out, "%zu,%.3f,%.3f\n", i * 300, first[0].disk_gb[i], first[1].disk_gb[i]);
	}
	return sheet_write(&sheet, run->out, "disk.csv", err) < 0 ? -1 : experiment_figure(run, "disk", script, err);
}

static int run_case(struct experiment_run *run, size_t which, struct err *err)
{
	struct run_case what = {run, which};
	struct parallel parallel = {.items = STRATEGIES * (size_t)run->seeds,
				    .processes = run->jobs,
				    .work = measure,
				    .arg = &what,
				    .result_size = sizeof(struct outcome)};
	_cleanup_free_ struct outcome *outcomes = xcalloc(parallel.items, sizeof(*outcomes));

	if (experiment_work(run, &parallel, cases[which].name, NULL, outcomes, NULL, err) < 0) {
		return -1;
	}
	for (size_t s = 0; s < STRATEGIES; s++) {
		put_strategy(run, which, s, outcomes);
	}
	return cases[which].disk ? draw_disk(run, outcomes, err)
				 : draw_satisfaction(run, cases[which].name, outcomes, err);
}

static int run_accuracy(struct experiment_run *run, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (run_case(run, i, err) < 0) {
			return -1;
		}
	}
	return 0;
}

const struct experiment experiment_accuracy = {
	.name = "accuracy",
	.help = "reservations: time got of time asked for, by how their images are brought; and the disk that takes",
	.seeds = 10,
	.brief_seeds = 2,
	.keys = {"trace", "strategy", NULL},
	.run = run_accuracy,
};
