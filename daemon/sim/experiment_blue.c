/*
 * A month of SDSC Blue Horizon with reservations injected (HPDC 2008, table 1): the paper's six configurations beside
 * its figures, and Tenure's own policy beside the best of them. Figures are blue_figures.c's, speed is blue_speed.c's.
 */
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "blue.h"
#include "published.h"
#include "util.h"
#include "world.h"

#define DEDICATED_S 2674265 /* best-effort leases alone, as the paper has it */
#define INTERVAL "interval=6h"

/* What the paper's cluster can and the default profile's does not ask for. */
#define PAPER_LINK "multicast=yes"

/* What is made up in place of the logs: half a day that is as crowded as the month. */
#define BRIEF_BATCH "length=12h load=60"
#define BRIEF_INJECTED "length=12h load=30 ahead=6h"

static const struct {
	const char *name, *profile, *words;
	bool drawn;  /* differs by seed */
	bool others; /* is measured under loads without published figures too */
	bool brief;
	double cost_s; /* of a processor, with reservations of 30 % */
} policies[] = {
	[BLUE_NOVM_NOSR] = {"NOVM-NOSR", "hpdc08", "configuration=NOVM-NOSR", false, true, true, 2},
	[BLUE_NOVM_SR] = {"NOVM-SR", "hpdc08", "configuration=NOVM-SR", false, true, true, 7},
	[BLUE_VM_PREDEPLOY] = {"VM-PREDEPLOY", "hpdc08", "configuration=VM-PREDEPLOY", false, false, false, 7},
	[BLUE_VM_MULT] = {"VM-MULT", "hpdc08", "configuration=VM-MULT", false, false, false, 9},
	[BLUE_VM_REUSE_UNIFORM] = {"VM-REUSE-UNIFORM", "hpdc08", "configuration=VM-REUSE-UNIFORM", true, false, false,
				   8},
	[BLUE_VM_REUSE_SKEWED] = {"VM-REUSE-SKEWED", "hpdc08", "configuration=VM-REUSE-SKEWED", true, false, true, 8},
	[BLUE_DEFAULT] = {"default", "default", PAPER_LINK, true, true, true, 8},
	[BLUE_FCFS] = {"default-fcfs", "default", PAPER_LINK " queue=fcfs", true, false, false, 8},
};

static const struct {
	const char *name;
	double tolerance, relative; /* of a figure that counts as the published one */
} metrics[] = {
	[BLUE_COMPLETION] = {"all_best_effort_rel_pct", 1, 0},
	[BLUE_WAIT] = {"avg_wait_ks", 0, 0.2},
	[BLUE_SLOWDOWN] = {"avg_bounded_slowdown", 0, 0.2},
	[BLUE_P99_WAIT] = {"p99_wait_ks", 0, 0},
	[BLUE_MAX_WAIT] = {"max_wait_ks", 0, 0},
	[BLUE_UTILIZATION] = {"utilization_pct", 0, 0},
	[BLUE_ARS_REJECTED] = {"ars_rejected", 0, 0},
	[BLUE_PROMISES_BROKEN] = {"promises_broken", 0, 0},
	[BLUE_UNFINISHED] = {"unfinished", 0, 0},
	[BLUE_WAIT_ALL] = {"avg_wait_all_ks", 0, 0},
	[BLUE_SLOWDOWN_ALL] = {"avg_bounded_slowdown_all", 0, 0},
};

static const struct {
	const char *name, *column;
} paper_loads[BLUE_PUBLISHED] = {
	{"10", "rho10_3H_medium"},
	{"20", "rho20_3H_medium"},
	{"30", "rho30_3H_medium"},
};

const char *blue_policy_name(enum blue_policy policy)
{
	return policies[policy].name;
}

double blue_cost_s(enum blue_policy policy)
{
	return policies[policy].cost_s;
}

int blue_config(enum blue_policy policy, int64_t seed, struct sim_config *config, struct err *err)
{
	_cleanup_free_ char *words = xasprintf("%s " INTERVAL " seed=%" PRId64, policies[policy].words, seed);

	return experiment_config(policies[policy].profile, words, config, err);
}

char *blue_intervals_name(enum blue_policy policy)
{
	return xasprintf("over-time-%s.csv", policies[policy].name);
}

/* ---- what others measured -------------------------------------------------------------------------------------- */

static double paper(const struct blue *blue, size_t load, enum blue_policy policy, enum blue_metric metric)
{
	const char *key[] = {metrics[metric].name, policies[policy].name};

	return published_value("hpdc08-table1", key, ARRAY_SIZE(key), blue->load[load].column);
}

double blue_published(const struct blue *blue, size_t load, enum blue_policy policy, enum blue_metric metric)
{
	double best = NAN;

	if (metric >= BLUE_METRICS_PUBLISHED || !blue->load[load].column) {
		return NAN;
	}
	if (policy < BLUE_DEFAULT) {
		return paper(blue, load, policy, metric);
	}
	for (enum blue_policy vm = BLUE_VM_PREDEPLOY; vm <= BLUE_VM_REUSE_SKEWED; vm++) {
		best = fmin(best, paper(blue, load, vm, metric));
	}
	return best;
}

double blue_haizea(const struct blue *blue, size_t load, enum blue_policy policy, enum blue_metric metric)
{
	static const char *const columns[BLUE_METRICS] = {
		[BLUE_COMPLETION] = "all_best_effort_rel_pct",
		[BLUE_WAIT] = "mean_wait_ks",
		[BLUE_WAIT_ALL] = "mean_wait_ks",
		[BLUE_SLOWDOWN] = "mean_bounded_slowdown",
		[BLUE_SLOWDOWN_ALL] = "mean_bounded_slowdown",
	};
	const char *key = blue->load[load].name;
	bool there = policy == BLUE_NOVM_NOSR && columns[metric] && !blue->run->brief;

	return there ? published_value("hpdc08-haizea10", &key, 1, columns[metric]) : NAN;
}

/* ---- loads ----------------------------------------------------------------------------------------------------- */

static struct blue_load *add_load(struct blue *blue, char *name, const char *column)
{
	struct blue_load *load = &blue->load[blue->loads++];

	*load = (struct blue_load){.name = name, .column = column};
	return load;
}

/* The log with one file of reservations; without them if it is not there. */
static int read_load(struct blue *blue, struct blue_load *load, const char *reservations, struct err *err)
{
	int got = experiment_trace(blue->run, reservations, &load->trace, err);

	if (got <= 0) {
		return got;
	}
	return experiment_trace(blue->run, BLUE_LOG, &load->trace, err);
}

static int read_paper_loads(struct blue *blue, struct err *err)
{
	for (size_t i = 0; i < BLUE_PUBLISHED; i++) {
		_cleanup_free_ char *file = xasprintf(BLUE_RESERVATIONS "%s-3h-medium.txt", paper_loads[i].name);
		struct blue_load *load = add_load(blue, xstrdup(paper_loads[i].name), paper_loads[i].column);
		if (read_load(blue, load, file, err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* "rho05-1h-small" becomes "05-1h-small", as the paper's are called "10"; NULL for those. */
static char *other_name(const char *file)
{
	const char *rho = file + strlen(BLUE_RESERVATIONS);

	for (size_t i = 0; i < BLUE_PUBLISHED; i++) {
		size_t len = strlen(paper_loads[i].name);
		if (strncmp(rho, paper_loads[i].name, len) == 0 && strcmp(rho + len, "-3h-medium.txt") == 0) {
			return NULL;
		}
	}
	return xasprintf("%.*s", (int)(strlen(rho) - strlen(".txt")), rho);
}

static int read_other_loads(struct blue *blue, struct err *err)
{
	_cleanup_free_ char *pattern = xasprintf("%s/" BLUE_RESERVATIONS "*.txt", blue->run->traces);
	glob_t found = {0};
	int bad = 0;

	if (glob(pattern, 0, NULL, &found) != 0) {
		found.gl_pathc = 0;
	}
	for (size_t i = 0; i < found.gl_pathc && !bad && blue->loads < BLUE_LOADS_MAX; i++) {
		const char *file = strrchr(found.gl_pathv[i], '/') + 1;
		char *name = other_name(file);
		if (name) {
			bad = read_load(blue, add_load(blue, name, NULL), file, err) < 0;
		}
	}
	globfree(&found);
	return bad ? -1 : 0;
}

static void tell_source(void)
{
	fputs("tenure-sim: blue: " BLUE_LOG
	      " is the first 30 days of SDSC Blue Horizon, its processors (field 8) divided "
	      "by 8:\n"
	      "  https://www.cs.huji.ac.il/labs/parallel/workload/l_sdsc_blue/\n"
	      "  zcat SDSC-BLUE-2000-*.swf.gz | awk '!/^;/ && $2 < 2592000 { $8 /= 8; print }' > " BLUE_LOG "\n"
	      "The paper's reservations (" BLUE_RESERVATIONS "RR-3h-medium.txt, RR: 10, 20, 30) were injected by its "
	      "authors; \"tenure-sim generate injected --load RR\" makes up others like them.\n",
	      stderr);
}

/* Without reservations, with the paper's, with others there may be. What is not there has an empty trace. */
static int read_loads(struct blue *blue, struct err *err)
{
	struct blue_load *none = add_load(blue, xstrdup("none"), NULL);
	int got = experiment_trace(blue->run, BLUE_LOG, &none->trace, err);

	if (got == 0) {
		tell_source();
	}
	if (got <= 0) {
		return got;
	}
	return read_paper_loads(blue, err) < 0 || read_other_loads(blue, err) < 0 ? -1 : 0;
}

static int make_loads(struct blue *blue, struct err *err)
{
	struct blue_load *none = add_load(blue, xstrdup("none"), NULL), *some = add_load(blue, xstrdup("30"), NULL);

	return experiment_generate("injected", BRIEF_INJECTED, 1, &some->trace, err) < 0 ||
			       experiment_generate("batch", BRIEF_BATCH, 1, &some->trace, err) < 0 ||
			       experiment_generate("batch", BRIEF_BATCH, 1, &none->trace, err) < 0
		       ? -1
		       : 0;
}

/* ---- simulations ----------------------------------------------------------------------------------------------- */

struct piece {
	size_t load;
	enum blue_policy policy;
	int64_t seed;
	bool intervals; /* are kept, for the figures */
};

struct pieces {
	const struct blue *blue;
	struct piece *piece;
	size_t n;
};

/* What is done with a world that has run. */
struct seen {
	const struct experiment_run *run;
	const struct piece *piece;
	struct summary *summary;
	struct err *err;
	int bad;
};

static void look(void *arg, const struct world *world, const struct summary *summary)
{
	struct seen *seen = arg;
	struct sheet sheet;

	*seen->summary = *summary;
	if (!seen->piece->intervals) {
		return;
	}
	_cleanup_free_ char *name = blue_intervals_name(seen->piece->policy);
	seen->bad = sheet_open(&sheet, seen->err);
	if (!seen->bad) {
		metrics_write(world_metrics(world), ORIGIN_US, world_cpu(world), sheet.out);
		seen->bad = sheet_write(&sheet, seen->run->out, name, seen->err);
	}
}

static int simulate(void *arg, size_t item, void *result, struct err *err)
{
	const struct pieces *pieces = arg;
	const struct piece *piece = &pieces->piece[item];
	struct seen seen = {.run = pieces->blue->run, .piece = piece, .summary = result, .err = err};
	struct sim_config config;

	if (blue_config(piece->policy, piece->seed, &config, err) < 0) {
		return -1;
	}
	int bad = experiment_simulate(&config, &pieces->blue->load[piece->load].trace, look, &seen, err);
	config_free(&config);
	return bad ? bad : seen.bad;
}

static double cost_s(const void *arg, size_t item)
{
	const struct pieces *pieces = arg;

	return pieces->blue->run->brief ? 0.2 : blue_cost_s(pieces->piece[item].policy);
}

static bool wanted(const struct blue *blue, size_t load, enum blue_policy policy)
{
	bool none = strcmp(blue->load[load].name, "none") == 0;

	if (blue->load[load].trace.count == 0) {
		return false;
	}
	if (none) {
		return policy == BLUE_NOVM_NOSR || policy == BLUE_DEFAULT;
	}
	return blue->run->brief ? policies[policy].brief : blue->load[load].column || policies[policy].others;
}

static void add_pieces(struct pieces *pieces, size_t load, enum blue_policy policy)
{
	const struct blue_load *of = &pieces->blue->load[load];
	bool shown = strcmp(of->name, "30") == 0 && (policy == BLUE_VM_REUSE_SKEWED || policy == BLUE_DEFAULT);
	int64_t seeds = policies[policy].drawn ? pieces->blue->run->seeds : 1;

	for (int64_t seed = 1; seed <= seeds; seed++) {
		pieces->piece[pieces->n++] = (struct piece){load, policy, seed, shown && seed == 1};
	}
}

static void plan_pieces(struct pieces *pieces)
{
	const struct blue *blue = pieces->blue;

	pieces->piece = xcalloc(blue->loads * BLUE_POLICIES * (size_t)blue->run->seeds, sizeof(*pieces->piece));
	for (size_t load = 0; load < blue->loads; load++) {
		for (enum blue_policy policy = 0; policy < BLUE_POLICIES; policy++) {
			if (wanted(blue, load, policy)) {
				add_pieces(pieces, load, policy);
			}
		}
	}
}

static double value_of(const struct blue *blue, const struct summary *summary, enum blue_metric metric)
{
	switch (metric) {
	case BLUE_COMPLETION:
		return (summary->all_best_effort_s / blue->dedicated_s - 1) * 100;
	case BLUE_WAIT:
		return summary->mean_wait_s / 1000;
	case BLUE_SLOWDOWN:
		return summary->mean_bounded_slowdown;
	case BLUE_P99_WAIT:
		return summary->p99_wait_s / 1000;
	case BLUE_MAX_WAIT:
		return summary->max_wait_s / 1000;
	case BLUE_UTILIZATION:
		return summary->utilization * 100;
	case BLUE_ARS_REJECTED:
		return (double)summary->ars_rejected;
	case BLUE_PROMISES_BROKEN:
		return (double)summary->promises_broken;
	case BLUE_UNFINISHED:
		return (double)summary->unfinished;
	case BLUE_WAIT_ALL:
		return summary->mean_wait_all_s / 1000;
	case BLUE_SLOWDOWN_ALL:
		return summary->mean_bounded_slowdown_all;
	case BLUE_METRICS:
		break;
	}
	return NAN;
}

/* A month that is made up counts from its own time without reservations. */
static void take_dedicated(struct blue *blue, const struct pieces *pieces, const struct summary *summary)
{
	blue->dedicated_s = DEDICATED_S;
	for (size_t i = 0; blue->run->brief && i < pieces->n; i++) {
		const struct piece *piece = &pieces->piece[i];
		if (piece->policy == BLUE_NOVM_NOSR && strcmp(blue->load[piece->load].name, "none") == 0) {
			blue->dedicated_s = summary[i].all_best_effort_s;
		}
	}
}

static int measure(struct blue *blue, struct err *err)
{
	struct pieces pieces = {.blue = blue};

	plan_pieces(&pieces);
	_cleanup_free_ struct piece *piece = pieces.piece;
	_cleanup_free_ struct summary *summary = xcalloc(pieces.n + 1, sizeof(*summary));
	struct parallel parallel = {.items = pieces.n,
				    .processes = blue->run->jobs,
				    .work = simulate,
				    .arg = &pieces,
				    .result_size = sizeof(*summary)};
	if (experiment_work(blue->run, &parallel, "table.csv", cost_s, summary, NULL, err) < 0) {
		return -1;
	}
	take_dedicated(blue, &pieces, summary);
	for (size_t i = 0; i < pieces.n; i++) {
		for (enum blue_metric metric = 0; metric < BLUE_METRICS; metric++) {
			sample_add(&blue->measured[piece[i].load][piece[i].policy][metric],
				   value_of(blue, &summary[i], metric));
		}
	}
	return 0;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* By the tolerance, or at least no further off than Haizea's own code is. */
static const char *within(enum blue_metric metric, double paper_value, double haizea, double measured)
{
	double off = fabs(measured - paper_value);
	double tolerance = metrics[metric].tolerance + metrics[metric].relative * fabs(paper_value);

	if (!isfinite(paper_value)) {
		return "";
	}
	return off <= tolerance ? "yes" : isfinite(haizea) && off <= fabs(haizea - paper_value) ? "as-haizea" : "no";
}

static void add_row(struct blue *blue, size_t load, enum blue_policy policy, enum blue_metric metric)
{
	const struct sample *measured = &blue->measured[load][policy][metric];
	double paper_value = blue_published(blue, load, policy, metric);
	double haizea = blue_haizea(blue, load, policy, metric);
	bool own = policy >= BLUE_DEFAULT;
	_cleanup_free_ char *haizea_text = isfinite(haizea) ? xasprintf("%.2f", haizea) : xstrdup("");
	const char *better = !own || !isfinite(paper_value) ? "" : measured->mean < paper_value ? "yes" : "no";
	const char *key[] = {blue->load[load].name, policies[policy].name};
	const char *extra[] = {haizea_text, own ? "" : within(metric, paper_value, haizea, measured->mean), better};

	results_add_more(&blue->run->table, key, metrics[metric].name, paper_value, measured, extra);
}

static void write_table(struct blue *blue)
{
	for (size_t load = 0; load < blue->loads; load++) {
		for (enum blue_policy policy = 0; policy < BLUE_POLICIES; policy++) {
			enum blue_metric end = policy == BLUE_NOVM_NOSR ? BLUE_METRICS : BLUE_WAIT_ALL;
			for (enum blue_metric metric = 0; metric < end && wanted(blue, load, policy); metric++) {
				add_row(blue, load, policy, metric);
			}
		}
	}
}

static void blue_free(struct blue *blue)
{
	for (size_t i = 0; i < blue->loads; i++) {
		trace_fini(&blue->load[i].trace);
		free(blue->load[i].name);
	}
	free(blue);
}

static int run_blue(struct experiment_run *run, struct err *err)
{
	/* Speed first: a child has what its parent has in memory. */
	if (!run->brief && blue_speed(run, err) < 0) {
		return -1;
	}
	struct blue *blue = xcalloc(1, sizeof(*blue));
	blue->run = run;
	int bad = (run->brief ? make_loads(blue, err) : read_loads(blue, err)) < 0 || measure(blue, err) < 0;
	if (!bad) {
		write_table(blue);
		bad = blue_figures(blue, err) < 0;
	}
	blue_free(blue);
	return bad ? -1 : 0;
}

const struct experiment experiment_blue = {
	.name = "blue",
	.help = "a month of a batch system with reservations, and Tenure's own policy",
	.seeds = 10,
	.brief_seeds = 2,
	.keys = {"rho", "configuration", NULL},
	.extras = {"haizea", "within", "better", NULL},
	.run = run_blue,
};
