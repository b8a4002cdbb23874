/* tenure-sim experiment: the command, and what experiments share. What each does is experiment_*.c's. */
#include "experiment.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "figure.h"
#include "generate.h"
#include "gnuplot.h"
#include "sim_command.h"
#include "util.h"
#include "world.h"

#define WORDS_MAX 64 /* settings by words of one simulation */
#define SEEDS_MAX 1000

static const struct experiment *const experiments[] = {
	&experiment_accuracy,
	&experiment_blue,
	&experiment_efficiency,
	&experiment_mixed,
};

/* ---- what goes in ---------------------------------------------------------------------------------------------- */

int experiment_trace(const struct experiment_run *run, const char *name, struct trace *trace, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", run->traces ? run->traces : ".", name);

	if (!run->traces || access(path, F_OK) != 0) {
		fprintf(stderr,
			"tenure-sim: %s: %s is not in %s, and is left out; the logs are, or are cut from, those of the "
			"Parallel Workloads Archive: https://www.cs.huji.ac.il/labs/parallel/workload/\n",
			run->name, name, run->traces ? run->traces : "a folder given by --traces");
		return 0;
	}
	if (trace_read(path, trace, stderr, err) < 0) {
		return -1;
	}
	trace_sort(trace);
	return 1;
}

/* The words of a copy, which is theirs. */
static size_t split(char *words, const char **word)
{
	size_t n = 0;
	char *rest = NULL;

	for (char *next = strtok_r(words, " ", &rest); next && n < WORDS_MAX; next = strtok_r(NULL, " ", &rest)) {
		word[n++] = next;
	}
	return n;
}

int experiment_generate(const char *kind, const char *words, int64_t seed, struct trace *trace, struct err *err)
{
	_cleanup_free_ char *copy = xasprintf("%s seed=%" PRId64, words, seed);
	const char *word[WORDS_MAX];
	size_t n = split(copy, word);
	const struct generate_kind *found = generate_find(kind);
	struct generate how;

	return generate_settings(found, word, n, &how, err) || generate_make(found, &how, trace, err) ? -1 : 0;
}

int experiment_config(const char *profile, const char *words, struct sim_config *config, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(words);
	const char *word[WORDS_MAX];
	size_t n = split(copy, word);

	return config_load(profile, NULL, word, n, config, err);
}

/* ---- simulations ----------------------------------------------------------------------------------------------- */

int experiment_simulate(const struct sim_config *config, const struct trace *trace, experiment_look *look, void *arg,
			struct err *err)
{
	struct workload workload;
	struct summary summary;

	workload_make(config, trace, &workload);
	struct world *world = world_new(config, &workload, &(struct world_options){0});
	int bad = world_run(world, err);
	if (!bad) {
		summary_make(world, &summary);
		look(arg, world, &summary);
	}
	world_free(world);
	workload_fini(&workload);
	return bad;
}

static void keep_summary(void *arg, const struct world *world, const struct summary *summary)
{
	(void)world;
	*(struct summary *)arg = *summary;
}

int experiment_summary(const char *profile, const char *words, const struct trace *trace, struct summary *summary,
		       struct err *err)
{
	struct sim_config config;

	if (experiment_config(profile, words, &config, err) < 0) {
		return -1;
	}
	int bad = experiment_simulate(&config, trace, keep_summary, summary, err);
	config_free(&config);
	return bad;
}

/* ---- what comes out -------------------------------------------------------------------------------------------- */

static const char figure_head[] = "set datafile separator ','\n"
				  "set datafile columnheaders\n"
				  "set terminal svg size 1200,560 noenhanced font 'sans-serif,15' background 'white'\n"
				  "set border 3 lc rgb '#444444'\n"
				  "set tics nomirror textcolor rgb '#222222'\n"
				  "set grid y lc rgb '#dddddd'\n"
				  "set key outside top center horizontal samplen 2 width 2\n";

int experiment_figure(const struct experiment_run *run, const char *name, const char *text, struct err *err)
{
	_cleanup_free_ char *script = xasprintf("%s.gp", name);
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fprintf(sheet.out,
		"# Made by tenure-sim; \"gnuplot %s\" in this folder draws the figure again.\n%sset output "
		"'%s.svg'\n%s",
		script, figure_head, name, text);
	if (sheet_write(&sheet, run->out, script, err) < 0) {
		return -1;
	}
	int got = gnuplot_run(run->out, script, err);
	if (got > 0) {
		fprintf(stderr, "no figure %s.svg: gnuplot is not installed (Debian's package gnuplot-nox)\n", name);
	}
	return got < 0 ? -1 : 0;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

enum option { TRACES, OUT, SEEDS, JOBS, SHORT, QUIET };

static const struct sim_option options[] = {
	[TRACES] = {"traces", "DIR", "folder of the published logs; what is not there is left out", false},
	[OUT] = {"out", "DIR", "folder for table.csv and the figures", true},
	[SEEDS] = {"seeds", "N", "how many workloads of each kind are made up", false},
	[JOBS] = {"jobs", "N", "simulations at a time; as many as there are processors unless given", false},
	[SHORT] = {"short", NULL, "seconds instead of minutes: few seeds, made-up workloads only", false},
	[QUIET] = {"quiet", NULL, "nothing on the terminal but what is missing", false},
};

static int take(void *arg, size_t option, const char *text, struct err *err)
{
	struct experiment_run *to = arg;

	switch ((enum option)option) {
	case TRACES:
		to->traces = text;
		break;
	case OUT:
		to->out = text;
		break;
	case SEEDS:
		if (parse_i64(text, 1, SEEDS_MAX, &to->seeds) < 0) {
			return err_set(err, ERR_PARAMS, "--seeds %s is not a number from 1 to %d", text, SEEDS_MAX);
		}
		break;
	case JOBS:
		if (parse_i64(text, 1, PARALLEL_MAX, &to->jobs) < 0) {
			return err_set(err, ERR_PARAMS, "--jobs %s is not a number from 1 to %d", text, PARALLEL_MAX);
		}
		break;
	case SHORT:
		to->brief = true;
		break;
	case QUIET:
		to->quiet = true;
		break;
	}
	return 0;
}

static const struct experiment *experiment_of(int words, char **argv, struct err *err)
{
	for (size_t i = 0; words > 0 && i < ARRAY_SIZE(experiments); i++) {
		if (strcmp(argv[0], experiments[i]->name) == 0) {
			return experiments[i];
		}
	}
	char names[256] = "";
	for (size_t i = 0; i < ARRAY_SIZE(experiments); i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", experiments[i]->name);
	}
	err_set(err, ERR_PARAMS, "which experiment? There are %s", names);
	return NULL;
}

static int measure(const struct experiment *experiment, struct experiment_run *run, struct err *err)
{
	if (dir_make(run->out, 0755, err) < 0 || experiment_keep(run, err) < 0 ||
	    results_open(&run->table, experiment->keys, experiment->extras, err) < 0) {
		return -1;
	}
	if (experiment->run(run, err) < 0) {
		sheet_drop(&run->table.sheet);
		return -1;
	}
	if (run->table.rows == 0) {
		sheet_drop(&run->table.sheet);
		return err_set(err, ERR_NOT_FOUND, "%s: nothing could be measured without the logs", run->name);
	}
	if (sheet_write(&run->table.sheet, run->out, "table.csv", err) < 0) {
		return -1;
	}
	return experiment->draw ? experiment->draw(run, err) : 0;
}

/* Ends by the signal, so that whatever called us ends too. */
static void tell_interrupted(const struct experiment_run *run)
{
	int number = parallel_interrupted();

	if (number) {
		fprintf(stderr,
			"tenure-sim: %s: interrupted; what was done is kept in %s/" KEPT_FILE
			", and the same command goes on from there\n",
			run->name, run->out);
		signal(number, SIG_DFL);
		raise(number);
	}
}

static int experiment(int argc, char **argv, struct err *err)
{
	struct experiment_run run = {.jobs = parallel_processors()};
	int words = options_read(options, ARRAY_SIZE(options), argc, argv, 1, take, &run, err);
	const struct experiment *found = words < 0 ? NULL : experiment_of(words, argv, err);

	if (!found) {
		return SIM_USAGE;
	}
	run.name = found->name;
	if (!run.seeds) {
		run.seeds = run.brief ? found->brief_seeds : found->seeds;
	}
	int bad = measure(found, &run, err);
	kept_close(run.kept, !bad);
	if (bad) {
		tell_interrupted(&run);
		return SIM_FAILED;
	}
	if (!run.quiet) {
		printf("%zu figures beside the published ones: %s/table.csv\n", run.table.rows, run.out);
	}
	return SIM_OK;
}

const struct sim_command command_experiment = {
	.name = "experiment",
	.words = "NAME",
	.help = "runs a published experiment again, and writes its figures beside the published ones",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.run = experiment,
};
