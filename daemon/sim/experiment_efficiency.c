/*
 * Image reuse under a load of short virtual machines (master's paper of 2007, section 8.2): how much is deployed over
 * time, and how long deployment takes, with pools of three images and without.
 */
#include <math.h>

#include "experiment.h"
#include "published.h"
#include "util.h"
#include "world.h"

#define MB 1e6
#define LEAD_AT_S 3550 /* where the paper reads the curves */
#define STEP_S 10      /* of the curves */
#define NO_REUSE "predeployed=no overhead=none pool=1PiB reuse=no"
#define REUSE "predeployed=no overhead=none pool=1800MB reuse=yes"

static const struct {
	const char *name, *file;
	const char *made; /* in its place, for --short */
	const char *lead, *deployment;
} cases[] = {
	{"III", "msc-iii-uniform.txt", "images=6", "lead_uniform_gb", "deployment_uniform_s"},
	{"IV", "msc-iv-skewed.txt", "images=2", "lead_skewed_gb", "deployment_skewed_s"},
};

/* When each virtual machine was deployed, and how long its user waited for that. */
struct deployment {
	wall_us *at_us;
	double *bytes;
	size_t n;
	struct sample wait_s;
};

static void deployment_fini(struct deployment *deployment)
{
	free(deployment->at_us);
	free(deployment->bytes);
}

static void look(void *arg, const struct world *world, const struct summary *summary)
{
	struct deployment *to = arg;
	size_t n;
	const struct job *jobs = world_jobs(world, &n);

	(void)summary;
	to->at_us = xcalloc(n, sizeof(*to->at_us));
	to->bytes = xcalloc(n, sizeof(*to->bytes));
	for (size_t i = 0; i < n; i++) {
		if (!jobs[i].start_us) {
			continue;
		}
		to->at_us[to->n] = jobs[i].start_us - ORIGIN_US;
		to->bytes[to->n++] = (double)jobs[i].request->image_bytes;
		sample_add(&to->wait_s, summary_wait(&jobs[i]));
	}
}

static double deployed_mb(const struct deployment *deployment, int64_t until_s)
{
	double bytes = 0;

	for (size_t i = 0; i < deployment->n; i++) {
		bytes += deployment->at_us[i] <= until_s * USEC_PER_SEC ? deployment->bytes[i] : 0;
	}
	return bytes / MB;
}

static int64_t last_s(const struct deployment *deployment)
{
	wall_us last_us = 0;

	for (size_t i = 0; i < deployment->n; i++) {
		last_us = deployment->at_us[i] > last_us ? deployment->at_us[i] : last_us;
	}
	return last_us / USEC_PER_SEC;
}

/* Virtual machines are deployed one by one: each is a request of its own. */
static void single(const struct trace *from, struct trace *to)
{
	for (size_t i = 0; i < from->count; i++) {
		struct trace_request one = from->item[i];

		one.vms = 1;
		for (uint32_t n = 0; n < from->item[i].vms; n++) {
			trace_add(to, &one);
		}
	}
	trace_sort(to);
}

static int simulate(const char *words, const struct trace *trace, struct deployment *to, struct err *err)
{
	struct sim_config config;

	if (experiment_config("msc", words, &config, err) < 0) {
		return -1;
	}
	int bad = experiment_simulate(&config, trace, look, to, err);
	config_free(&config);
	return bad;
}

static int write_curves(const struct experiment_run *run, const char *name, const struct deployment *plain,
			const struct deployment *reused, struct err *err)
{
	_cleanup_free_ char *file = xasprintf("deployed-%s.csv", name);
	_cleanup_free_ char *figure = xasprintf("deployed-%s", name);
	_cleanup_free_ char *script =
		xasprintf("set title 'Trace %s: images deployed' font ',18'\n"
			  "set xlabel 'time from the beginning (s)'\nset ylabel 'deployed until then (GB)'\n"
			  "set key outside top center horizontal\n"
			  "plot '%s' using (column('time_s')):(column('reuse_mb') / 1000) with steps lw 2 "
			  "lc rgb '#2f6db5' title 'pool of 3 images', \\\n"
			  "     '' using (column('time_s')):(column('no_reuse_mb') / 1000) with steps lw 2 "
			  "lc rgb '#b5452f' title 'no reuse'\n",
			  name, file);
	int64_t end_s = last_s(plain) > last_s(reused) ? last_s(plain) : last_s(reused);
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("time_s,no_reuse_mb,reuse_mb\n", sheet.out);
	for (int64_t at_s = 0; at_s < end_s + STEP_S; at_s += STEP_S) {
		fprintf(sheet.out, "%jd,%.0f,%.0f\n", (intmax_t)at_s, deployed_mb(plain, at_s),
			deployed_mb(reused, at_s));
	}
	return sheet_write(&sheet, run->out, file, err) < 0 ? -1 : experiment_figure(run, figure, script, err);
}

static void add_row(struct experiment_run *run, const char *name, const char *configuration, const char *metric,
		    const char *what, double measured)
{
	bool same = !run->brief; /* as was published; made-up workloads are others */
	double value = same && what ? published_value("msc-figures", &what, 1, "value") : NAN;

	results_add_one(&run->table, (const char *[]){name, configuration}, metric, value, measured);
}

static int compare(struct experiment_run *run, size_t which, const struct trace *trace, struct err *err)
{
	_cleanup_(deployment_fini) struct deployment plain = {0};
	_cleanup_(deployment_fini) struct deployment reused = {0};
	const char *name = cases[which].name;

	if (simulate(NO_REUSE, trace, &plain, err) < 0 || simulate(REUSE, trace, &reused, err) < 0) {
		return -1;
	}
	add_row(run, name, "no_reuse", "deployment_s", "deployment_no_reuse_s", plain.wait_s.mean);
	add_row(run, name, "reuse", "deployment_s", cases[which].deployment, reused.wait_s.mean);
	add_row(run, name, "no_reuse", "deployed_gb", NULL, deployed_mb(&plain, LEAD_AT_S) / 1000);
	add_row(run, name, "reuse", "deployed_gb", NULL, deployed_mb(&reused, LEAD_AT_S) / 1000);
	add_row(run, name, "reuse", "lead_gb", cases[which].lead,
		(deployed_mb(&reused, LEAD_AT_S) - deployed_mb(&plain, LEAD_AT_S)) / 1000);
	return write_curves(run, name, &plain, &reused, err);
}

/* 1 if there is one. */
static int get_trace(const struct experiment_run *run, size_t which, struct trace *trace, struct err *err)
{
	_cleanup_(trace_fini) struct trace gangs = {0};
	int got = 1;

	if (run->brief) {
		_cleanup_free_ char *words =
			xasprintf("length=80m load=10 ar-share=0 duration=1m %s", cases[which].made);
		got = experiment_generate("mixed", words, 1, &gangs, err) < 0 ? -1 : 1;
	} else {
		got = experiment_trace(run, cases[which].file, &gangs, err);
	}
	if (got > 0) {
		single(&gangs, trace);
	}
	return got;
}

static int run_efficiency(struct experiment_run *run, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(trace_fini) struct trace trace = {0};
		int got = get_trace(run, i, &trace, err);

		if (got < 0 || (got > 0 && compare(run, i, &trace, err) < 0)) {
			return -1;
		}
	}
	return 0;
}

const struct experiment experiment_efficiency = {
	.name = "efficiency",
	.help = "image reuse: what is deployed over time, and how fast",
	.seeds = 1,
	.brief_seeds = 1,
	.keys = {"trace", "configuration", NULL},
	.run = run_efficiency,
};
