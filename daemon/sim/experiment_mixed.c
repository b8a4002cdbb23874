/*
 * Batch work beside reservations (master's paper of 2007, section 8.3, and the slides of its defence): what virtual
 * machines that can be suspended gain, and what bringing their images costs, over 36 kinds of workload.
 *
 * The authors' traces are lost. What is made up in their place asks for as much as theirs did; reservations that the
 * prototype refused are refused here too. Of the slides less is known: how long reservations last and whether anything
 * may overtake was chosen by the utilization they show of one trace.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "agreement.h"
#include "experiment.h"
#include "mixed_figures.h"
#include "published.h"
#include "util.h"

#define EFFECT_PCT 3 /* smaller published effects say nothing */

/* ---- workloads ------------------------------------------------------------------------------------------------- */

struct choice {
	const char *name, *words;
};

static const struct choice durations[] = {
	{"long", "duration=15m"}, {"medium", "duration=10m"}, {"short", "duration=5m"}};
static const struct choice sizes[] = {{"000-025", "ar-vms-min=1 ar-vms-max=4"},
				      {"025-050", "ar-vms-min=5 ar-vms-max=8"},
				      {"050-075", "ar-vms-min=9 ar-vms-max=12"},
				      {"075-100", "ar-vms-min=13 ar-vms-max=16"}};
static const struct {
	const char *name;
	int reserved; /* percent of the load */
} mixes[] = {{"25-75", 75}, {"50-50", 50}, {"75-25", 25}};

#define CELLS (ARRAY_SIZE(durations) * ARRAY_SIZE(sizes) * ARRAY_SIZE(mixes))
#define CELL_KEYS 3

/* The words of a cell, as the published tables have them. */
static void cell_key(size_t cell, const char *key[CELL_KEYS])
{
	key[0] = durations[cell / (ARRAY_SIZE(sizes) * ARRAY_SIZE(mixes))].name;
	key[1] = sizes[cell / ARRAY_SIZE(mixes) % ARRAY_SIZE(sizes)].name;
	key[2] = mixes[cell % ARRAY_SIZE(mixes)].name;
}

static char *cell_words(size_t cell, const char *more)
{
	return xasprintf("%s %s %s ar-share=%d", more, durations[cell / (ARRAY_SIZE(sizes) * ARRAY_SIZE(mixes))].words,
			 sizes[cell / ARRAY_SIZE(mixes) % ARRAY_SIZE(sizes)].words,
			 mixes[cell % ARRAY_SIZE(mixes)].reserved);
}

/* ---- configurations and figures -------------------------------------------------------------------------------- */

/* The cluster of the paper, for profiles made for others. */
#define CLUSTER                                                                                                      \
	"nodes=8 cpu=2 memory=1GiB repository_rate=12500kB vm_cpu=1 vm_memory=512MiB image_size=600MB images=trace " \
	"runtime_overhead=10% boot=0s overhead=best-effort serial=yes "
#define UNLIMITED "pool=1PiB "
/* The prototype could leave out transfers that were planned already: the slides' effects are as if it had. */
#define SHARED "share_serial=yes " UNLIMITED
/* The prototype lengthened reservations as well, gave images of best-effort work a link of their own, and rounded. */
#define PROTOTYPE "overhead=all repository_rate=12MB best_effort_rate=12MB "
/* A node kept an image as long as somebody there needed it. Where more stay, reuse costs next to nothing. */
#define IN_USE "reuse=transfers " UNLIMITED
/* What they show is used without suspension is what is left if nothing may overtake; the tables are not like that. */
#define IN_ORDER "backfill=none "

struct configuration {
	const char *name, *profile, *words;
};

enum thesis { NO_VM, PREDEPLOYED, PREDEPLOYED_PLAIN, NO_REUSE, REUSE, OWN, THESIS };
static const struct configuration thesis[] = {
	[NO_VM] = {"no_vm", "msc", "configuration=noVM_nosuspend"},
	[PREDEPLOYED] = {"vm_predeployed", "msc", "configuration=VM_suspend_ov10 predeployed=yes " PROTOTYPE},
	[PREDEPLOYED_PLAIN] = {"vm_predeployed_plain", "msc",
			       "configuration=VM_suspend_ov10 predeployed=yes overhead=none"},
	[NO_REUSE] = {"vm_no_reuse", "msc", "configuration=VM_suspend_ov10 " PROTOTYPE UNLIMITED},
	[REUSE] = {"vm_reuse", "msc", "configuration=VM_suspend_cache_ov10 " PROTOTYPE IN_USE},
	[OWN] = {"own", "default", CLUSTER "reuse=yes " UNLIMITED},
};

enum slides { S_NO_VM, S_NO_SUSPEND, S_NO_SUSPEND_OV10, S_SUSPEND_OV10, S_CACHE_OV10, S_OWN, SLIDES };
static const struct configuration slides[] = {
	[S_NO_VM] = {"noVM_nosuspend", "msc", "configuration=noVM_nosuspend " IN_ORDER},
	[S_NO_SUSPEND] = {"VM_nosuspend", "msc", "configuration=VM_nosuspend " IN_ORDER SHARED},
	[S_NO_SUSPEND_OV10] = {"VM_nosuspend_ov10", "msc", "configuration=VM_nosuspend_ov10 " IN_ORDER SHARED},
	[S_SUSPEND_OV10] = {"VM_suspend_ov10", "msc", "configuration=VM_suspend_ov10 " SHARED},
	[S_CACHE_OV10] = {"VM_suspend_cache_ov10", "msc", "configuration=VM_suspend_cache_ov10"},
	[S_OWN] = {"own", "default", CLUSTER "reuse=yes pool=1800MB"},
};

#define CONFIGURATIONS_MAX 6

/* What is made of the simulations of one workload. */
enum measure {
	TIME,        /* to finish all best-effort work, seconds */
	TIME_EFFECT, /* of a against b, percent: above 0 is slower */
	USE,         /* of the cluster until then */
	USE_EFFECT,  /* as the paper counts it: 1 - b / a, percent */
	USE_PCT,
	SLOWDOWN, /* as the slides count it: 1 - time of a / time of b, percent */
};

struct figure {
	const char *table, *column; /* published there; NULL = nowhere */
	const char *metric;         /* if not the column's name */
	enum measure measure;
	int a, b;
};

#define T3 "msc-table-8.3"
#define T4 "msc-table-8.4"
#define T5 "msc-table-8.5"
#define T6 "msc-table-8.6"
#define T7 "msc-table-8.7"
static const struct figure thesis_figures[] = {
	{T3, "no_vm_s", NULL, TIME, NO_VM, 0},
	{T3, "vm_predeployed_s", NULL, TIME, PREDEPLOYED, 0},
	{T3, "rel_pct", NULL, TIME_EFFECT, PREDEPLOYED, NO_VM},
	{T4, "no_vm", NULL, USE, NO_VM, 0},
	{T4, "vm_predeployed", NULL, USE, PREDEPLOYED_PLAIN, 0},
	{T4, "rel_pct", NULL, USE_EFFECT, PREDEPLOYED_PLAIN, NO_VM},
	{T5, "vm_no_reuse_s", NULL, TIME, NO_REUSE, 0},
	{T5, "vm_reuse_s", NULL, TIME, REUSE, 0},
	{T5, "rel2_pct", NULL, TIME_EFFECT, NO_REUSE, PREDEPLOYED},
	{T5, "rel3_pct", NULL, TIME_EFFECT, REUSE, PREDEPLOYED},
	{T6, "vm_predeployed", NULL, USE, PREDEPLOYED, 0},
	{T6, "vm_no_reuse", NULL, USE, NO_REUSE, 0},
	{T6, "vm_reuse", NULL, USE, REUSE, 0},
	{T6, "rel2_pct", NULL, USE_EFFECT, NO_REUSE, PREDEPLOYED},
	{T6, "rel3_pct", NULL, USE_EFFECT, REUSE, PREDEPLOYED},
	{T7, "rel2_pct", NULL, TIME_EFFECT, NO_REUSE, NO_VM},
	{T7, "rel3_pct", NULL, TIME_EFFECT, REUSE, NO_VM},
	{T7, "vm_reuse_s", "own_costs_s", TIME, OWN, 0},
	{T7, "rel3_pct", "own_costs_rel_pct", TIME_EFFECT, OWN, NO_VM},
};

/*
 * The slides do not name the configuration of their 36 effects. Of the four that could be meant the one without
 * suspension follows them best (correlation 0.8; with suspension and reuse 0.2).
 */
#define S36 "msc-slides-36"
static const struct figure slides_figures[] = {
	{S36, "effect_on_performance_pct", NULL, SLOWDOWN, S_NO_SUSPEND_OV10, S_NO_VM},
	{S36, NULL, "VM_suspend_cache_ov10_effect_pct", SLOWDOWN, S_CACHE_OV10, S_NO_VM},
	{S36, NULL, "VM_nosuspend_effect_pct", SLOWDOWN, S_NO_SUSPEND, S_NO_VM},
	{S36, NULL, "VM_suspend_ov10_effect_pct", SLOWDOWN, S_SUSPEND_OV10, S_NO_VM},
	{S36, NULL, "own_costs_effect_pct", SLOWDOWN, S_OWN, S_NO_VM},
	{S36, NULL, "utilization_noVM_nosuspend_pct", USE_PCT, S_NO_VM, 0},
	{S36, NULL, "utilization_VM_nosuspend_pct", USE_PCT, S_NO_SUSPEND, 0},
	{S36, NULL, "utilization_VM_nosuspend_ov10_pct", USE_PCT, S_NO_SUSPEND_OV10, 0},
	{S36, NULL, "utilization_VM_suspend_ov10_pct", USE_PCT, S_SUSPEND_OV10, 0},
	{S36, NULL, "utilization_VM_suspend_cache_ov10_pct", USE_PCT, S_CACHE_OV10, 0},
};
#define FIGURES_MAX ARRAY_SIZE(thesis_figures)

/* The one trace whose utilization the slides show. */
static const char *const shown[CELL_KEYS] = {"long", "075-100", "75-25"};

struct set {
	const char *name, *words;
	const struct configuration *configuration;
	size_t configurations;
	const struct figure *figure;
	size_t figures;
};

static const struct set sets[] = {
	/* Work of 10 to 10.5 hours; the prototype drew how long after one request the next comes. */
	{"thesis", "length=10h load=102 spaced=yes images=37 popular=7", thesis, THESIS, thesis_figures,
	 ARRAY_SIZE(thesis_figures)},
	{"slides", "length=4h load=100 images=6 ar-duration=7m", slides, SLIDES, slides_figures,
	 ARRAY_SIZE(slides_figures)},
};

/* ---- measuring ------------------------------------------------------------------------------------------------- */

static double effect(double a, double b)
{
	return b > 0 ? 100 * (a - b) / b : NAN;
}

static double measured(const struct figure *figure, const struct summary *of)
{
	const struct summary *a = &of[figure->a], *b = &of[figure->b];

	switch (figure->measure) {
	case TIME:
		return a->all_best_effort_s;
	case TIME_EFFECT:
		return effect(a->all_best_effort_s, b->all_best_effort_s);
	case USE:
		return a->utilization;
	case USE_EFFECT:
		return -effect(b->utilization, a->utilization);
	case USE_PCT:
		return 100 * a->utilization;
	case SLOWDOWN:
		return -effect(a->all_best_effort_s, b->all_best_effort_s);
	}
	return NAN;
}

/* What one workload comes to, by figure. */
struct outcome {
	double value[FIGURES_MAX];
};

struct plan_of_work {
	const struct experiment_run *run;
	const struct set *set;
	size_t cells;
};

/* One workload in every configuration. */
static int measure(void *arg, size_t item, void *result, struct err *err)
{
	const struct plan_of_work *plan = arg;
	const struct set *set = plan->set;
	size_t cell = item / (size_t)plan->run->seeds;
	int64_t seed = 1 + (int64_t)(item % (size_t)plan->run->seeds);
	_cleanup_(trace_fini) struct trace trace = {0};
	_cleanup_free_ char *words = cell_words(cell, set->words);
	struct summary summary[CONFIGURATIONS_MAX];
	struct outcome *outcome = result;

	if (experiment_generate("mixed", words, seed, &trace, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < set->configurations; i++) {
		const struct configuration *how = &set->configuration[i];
		if (experiment_summary(how->profile, how->words, &trace, &summary[i], err) < 0) {
			return err_prefix(err, "%s, %s, seed %" PRId64 ", %s", set->name, words, seed, how->name);
		}
	}
	for (size_t i = 0; i < set->figures; i++) {
		outcome->value[i] = measured(&set->figure[i], summary);
	}
	return 0;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static double published_figure(const struct figure *figure, const char *const *key)
{
	if (figure->column) {
		return published_value(figure->table, key, CELL_KEYS, figure->column);
	}
	for (size_t i = 0; i < CELL_KEYS; i++) {
		if (strcmp(key[i], shown[i]) != 0) {
			return NAN;
		}
	}
	return published_value("msc-figures", &figure->metric, 1, "value");
}

static bool is_effect(const struct figure *figure)
{
	return figure->measure == TIME_EFFECT || figure->measure == USE_EFFECT || figure->measure == SLOWDOWN;
}

static void put_cell(struct experiment_run *run, const struct set *set, size_t cell, const struct outcome *outcomes,
		     struct agreement *agreements)
{
	const char *key[1 + CELL_KEYS];

	cell_key(cell, key + 1);
	for (size_t i = 0; i < set->figures; i++) {
		const struct figure *figure = &set->figure[i];
		double value = published_figure(figure, key + 1);
		struct sample sample = {0};
		for (int64_t seed = 0; seed < run->seeds; seed++) {
			sample_add(&sample, outcomes[seed].value[i]);
		}
		key[0] = figure->table;
		results_add(&run->table, key, figure->metric ? figure->metric : figure->column, value, &sample);
		if (is_effect(figure) && fabs(value) > EFFECT_PCT) {
			agreement_add(&agreements[i], value, sample.mean);
		}
	}
}

/* "" for a single cell, which has no order. */
static void order_text(const struct agreement *agreement, char out[16])
{
	double order = agreement_order(agreement);

	snprintf(out, 16, isnan(order) ? "" : "%.2f", order);
}

static void tell(const struct experiment_run *run, const struct set *set, struct agreement *agreements, FILE *out)
{
	for (size_t i = 0; i < set->figures; i++) {
		const struct figure *figure = &set->figure[i];
		struct agreement *of = &agreements[i];
		const char *metric = figure->metric ? figure->metric : figure->column;
		char order[16];

		order_text(of, order);
		if (of->n) {
			fprintf(out, "%s,%s,%zu,%zu,%s\n", figure->table, metric, of->n, agreement_signs(of), order);
		}
		if (of->n && !run->quiet) {
			printf("%-14s %-26s sign agrees in %2zu of %2zu cells over %d %%%s%s\n", figure->table, metric,
			       agreement_signs(of), of->n, EFFECT_PCT, *order ? ", rank correlation " : "", order);
		}
		agreement_fini(of);
	}
}

static int run_set(struct experiment_run *run, const struct set *set, size_t cells, FILE *out, struct err *err)
{
	struct agreement agreements[FIGURES_MAX] = {0};
	struct plan_of_work plan = {run, set, cells};
	struct parallel parallel = {.items = cells * (size_t)run->seeds,
				    .processes = run->jobs,
				    .work = measure,
				    .arg = &plan,
				    .result_size = sizeof(struct outcome)};
	_cleanup_free_ struct outcome *outcomes = xcalloc(parallel.items, sizeof(*outcomes));

	if (experiment_work(run, &parallel, set->name, NULL, outcomes, NULL, err) < 0) {
		return -1;
	}
	for (size_t cell = 0; cell < cells; cell++) {
		put_cell(run, set, cell, &outcomes[cell * (size_t)run->seeds], agreements);
	}
	tell(run, set, agreements, out);
	return 0;
}

static int run_mixed(struct experiment_run *run, struct err *err)
{
	struct sheet sheet;
	int bad = 0;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("table,metric,cells,sign_agrees,rank_correlation\n", sheet.out);
	for (size_t i = 0; i < ARRAY_SIZE(sets) && !bad; i++) {
		bad = run_set(run, &sets[i], run->brief ? 3 : CELLS, sheet.out, err);
	}
	if (bad) {
		sheet_drop(&sheet);
		return -1;
	}
	return sheet_write(&sheet, run->out, "agreement.csv", err);
}

const struct experiment experiment_mixed = {
	.name = "mixed",
	.help = "batch work beside reservations: 36 kinds of workload, with virtual machines and without",
	.seeds = 10,
	.brief_seeds = 2,
	.keys = {"table", "duration", "ar_resources_pct", "batch_ar", NULL},
	.run = run_mixed,
	.draw = mixed_figures,
};
