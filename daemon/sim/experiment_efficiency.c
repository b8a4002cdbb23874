/*
 * Image reuse under a load of short virtual machines (master's paper of 2007, section 8.2): how much is deployed over
 * time, and how long deployment takes, with pools of three images and without.
 *
 * The paper measured a batch system; testbed.c is what is known of it. Beside it is what the planner makes of the same
 * requests.
 */
#include <math.h>

#include "experiment.h"
#include "published.h"
#include "testbed.h"
#include "util.h"
#include "world.h"

#define LEAD_AT_S 3550 /* where the paper reads the curves */
#define STEP_S 10      /* of the curves */
#define NO_REUSE "predeployed=no overhead=none quantum=0s pool=1PiB reuse=no"
#define REUSE "predeployed=no overhead=none quantum=0s pool=1800MB reuse=yes"

/*
 * 100 Mb/s and a cache of 1800 MB. That a cached image is copied before a VM uses it is published, how fast is not:
 * 4 MB/s, by the deployment times with a cache. Everything else follows.
 */
static const struct testbed testbed = {.nodes = 8, .slots = 2, .link_rate = 12500000, .copy_rate = 4000000};
#define CACHE 3

enum way { TESTBED, TESTBED_CACHE, OWN, OWN_REUSE, WAYS };

static const struct {
	const char *name;
	const char *took; /* the metric: the clocks begin elsewhere */
	const char *words;
} ways[] = {
	[TESTBED] = {"testbed_no_reuse", "deployment_s", NULL},
	[TESTBED_CACHE] = {"testbed_reuse", "deployment_s", NULL},
	[OWN] = {"no_reuse", "wait_s", NO_REUSE},
	[OWN_REUSE] = {"reuse", "wait_s", REUSE},
};

static const struct {
	const char *name, *file;
	const char *made; /* in its place, for --short */
	const char *lead, *deployment[WAYS];
} cases[] = {
	{"III",
	 "msc-iii-uniform.txt",
	 "images=6",
	 "lead_uniform_gb",
	 {"deployment_no_reuse_s", "deployment_uniform_s", NULL, NULL}},
	{"IV",
	 "msc-iv-skewed.txt",
	 "images=2",
	 "lead_skewed_gb",
	 {"deployment_no_reuse_s", "deployment_skewed_s", NULL, NULL}},
};

/* What was deployed, and how long each took. */
struct deployment {
	struct deployed *item;
	size_t n;
};

static void deployments_fini(struct deployment (*deployments)[WAYS])
{
	for (size_t i = 0; i < WAYS; i++) {
		free((*deployments)[i].item);
	}
}

static void look(void *arg, const struct world *world, const struct summary *summary)
{
	struct deployment *to = arg;
	size_t n;
	const struct job *jobs = world_jobs(world, &n);

	(void)summary;
	to->item = xcalloc(n, sizeof(*to->item));
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].start_us) {
			to->item[to->n++] = (struct deployed){jobs[i].start_us - ORIGIN_US,
							      jobs[i].start_us - jobs[i].request->submit_us,
							      jobs[i].request->image_bytes};
		}
	}
}

static double deployed_gb(const struct deployment *deployment, int64_t until_s)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < deployment->n; i++) {
		bytes += deployment->item[i].at_us <= until_s * USEC_PER_SEC ? deployment->item[i].bytes : 0;
	}
	return (double)bytes / 1e9;
}

static double mean_s(const struct deployment *deployment)
{
	struct sample took_s = {0};

	for (size_t i = 0; i < deployment->n; i++) {
		sample_add(&took_s, (double)deployment->item[i].took_us / (double)USEC_PER_SEC);
	}
	return took_s.mean;
}

/* For the planner each virtual machine is a request of its own. */
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

static size_t vms_of(const struct trace *trace)
{
	size_t vms = 0;

	for (size_t i = 0; i < trace->count; i++) {
		vms += trace->item[i].vms;
	}
	return vms;
}

/* As the testbed's clusters, or VM by VM by the planner. */
static int measure(enum way way, const struct trace *trace, int64_t seed, struct deployment *to, struct err *err)
{
	struct sim_config config;
	int bad = 0;

	if (ways[way].words) {
		_cleanup_(trace_fini) struct trace singles = {0};

		single(trace, &singles);
		if (experiment_config("msc", ways[way].words, &config, err) < 0) {
			return -1;
		}
		bad = experiment_simulate(&config, &singles, look, to, err);
		config_free(&config);
	} else {
		struct testbed how = testbed;

		how.cache = way == TESTBED_CACHE ? CACHE : 0;
		to->item = xcalloc(vms_of(trace), sizeof(*to->item));
		to->n = testbed_run(&how, trace, seed, to->item);
	}
	return bad;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static const char curve_script[] =
	"set title 'Trace %s: images deployed, with pools of three images (thick) and without (thin)' font ',18'\n"
	"set xlabel 'time from the beginning (s)'\nset ylabel 'deployed until then (GB)'\n"
	"set key outside top center horizontal\n"
	"set arrow from 3550, graph 0 to 3550, graph 1 nohead lc rgb '#888888' dt 2\n"
	"set label 'where the paper reads its lead, %.1f GB' at 3550, graph 0.04 offset 0.7,0 textcolor rgb '#444444'\n"
	"plot '%s' using (column('time_s')):(column('testbed_reuse_gb')) with steps lw 3 lc rgb '#b5452f' "
	"title 'testbed, reuse', \\\n"
	"     '' using (column('time_s')):(column('testbed_no_reuse_gb')) with steps lw 1.3 lc rgb '#b5452f' "
	"title 'testbed, no reuse', \\\n"
	"     '' using (column('time_s')):(column('reuse_gb')) with steps lw 3 lc rgb '#2f6db5' "
	"title 'planner, reuse', \\\n"
	"     '' using (column('time_s')):(column('no_reuse_gb')) with steps lw 1.3 lc rgb '#2f6db5' "
	"title 'planner, no reuse'\n";

static int64_t last_s(const struct deployment *deployments)
{
	wall_us last_us = 0;

	for (size_t way = 0; way < WAYS; way++) {
		for (size_t i = 0; i < deployments[way].n; i++) {
			wall_us at_us = deployments[way].item[i].at_us;
			last_us = at_us > last_us ? at_us : last_us;
		}
	}
	return last_us / USEC_PER_SEC;
}

static double published_figure(const struct experiment_run *run, const char *what)
{
	/* Made-up workloads are others than were published. */
	return what && !run->brief ? published_value("msc-figures", &what, 1, "value") : NAN;
}

static int write_curves(const struct experiment_run *run, size_t which, const struct deployment *deployments,
			struct err *err)
{
	const char *name = cases[which].name;
	_cleanup_free_ char *file = xasprintf("deployed-%s.csv", name);
	_cleanup_free_ char *figure = xasprintf("deployed-%s", name);
	_cleanup_free_ char *script =
		xasprintf(curve_script, name, published_value("msc-figures", &cases[which].lead, 1, "value"), file);
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("time_s", sheet.out);
	for (size_t way = 0; way < WAYS; way++) {
		fprintf(sheet.out, ",%s_gb", ways[way].name);
	}
	for (int64_t at_s = 0; at_s < last_s(deployments) + STEP_S; at_s += STEP_S) {
		fprintf(sheet.out, "\n%jd", (intmax_t)at_s);
		for (size_t way = 0; way < WAYS; way++) {
			fprintf(sheet.out, ",%.1f", deployed_gb(&deployments[way], at_s));
		}
	}
	fputc('\n', sheet.out);
	return sheet_write(&sheet, run->out, file, err) < 0 ? -1 : experiment_figure(run, figure, script, err);
}

/* Of one trace, over the seeds; only the testbed has any use for them. */
struct figures {
	struct sample took_s[WAYS], deployed_gb[WAYS], testbed_lead_gb, own_lead_gb;
};

static void add_rows(struct experiment_run *run, size_t which, const struct figures *of)
{
	const char *name = cases[which].name;
	const char *testbed_key[] = {name, ways[TESTBED_CACHE].name}, *own_key[] = {name, ways[OWN_REUSE].name};
	double lead = published_figure(run, cases[which].lead);

	for (size_t way = 0; way < WAYS; way++) {
		const char *key[] = {name, ways[way].name};

		results_add(&run->table, key, ways[way].took, published_figure(run, cases[which].deployment[way]),
			    &of->took_s[way]);
		results_add(&run->table, key, "deployed_gb", NAN, &of->deployed_gb[way]);
	}
	results_add(&run->table, testbed_key, "lead_gb", lead, &of->testbed_lead_gb);
	results_add(&run->table, own_key, "lead_gb", lead, &of->own_lead_gb);
}

static int measure_seed(const struct experiment_run *run, size_t which, const struct trace *trace, int64_t seed,
			struct figures *to, struct err *err)
{
	_cleanup_(deployments_fini) struct deployment deployments[WAYS] = {0};
	double gb[WAYS];

	for (size_t way = 0; way < WAYS; way++) {
		if (ways[way].words && seed > 1) {
			continue;
		}
		if (measure((enum way)way, trace, seed, &deployments[way], err) < 0) {
			return -1;
		}
		gb[way] = deployed_gb(&deployments[way], LEAD_AT_S);
		sample_add(&to->took_s[way], mean_s(&deployments[way]));
		sample_add(&to->deployed_gb[way], gb[way]);
	}
	sample_add(&to->testbed_lead_gb, gb[TESTBED_CACHE] - gb[TESTBED]);
	if (seed > 1) {
		return 0;
	}
	sample_add(&to->own_lead_gb, gb[OWN_REUSE] - gb[OWN]);
	return write_curves(run, which, deployments, err);
}

/* 1 if there is one. */
static int get_trace(const struct experiment_run *run, size_t which, struct trace *trace, struct err *err)
{
	if (run->brief) {
		_cleanup_free_ char *words =
			xasprintf("length=80m load=10 ar-share=0 duration=1m %s", cases[which].made);
		return experiment_generate("mixed", words, 1, trace, err) < 0 ? -1 : 1;
	}
	return experiment_trace(run, cases[which].file, trace, err);
}

static int run_efficiency(struct experiment_run *run, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(trace_fini) struct trace trace = {0};
		struct figures figures = {0};
		int got = get_trace(run, i, &trace, err);

		for (int64_t seed = 1; got > 0 && seed <= run->seeds; seed++) {
			got = measure_seed(run, i, &trace, seed, &figures, err) < 0 ? -1 : got;
		}
		if (got < 0) {
			return -1;
		}
		if (got > 0) {
			add_rows(run, i, &figures);
		}
	}
	return 0;
}

const struct experiment experiment_efficiency = {
	.name = "efficiency",
	.help = "image reuse: what is deployed over time, and how fast",
	.seeds = 10,
	.brief_seeds = 2,
	.keys = {"trace", "configuration", NULL},
	.run = run_efficiency,
};
