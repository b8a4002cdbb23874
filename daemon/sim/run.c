/* tenure-sim run: one simulation, and its results in a folder. */
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <utlist.h>

#include "config.h"
#include "figure.h"
#include "progress.h"
#include "sheet.h"
#include "sim_command.h"
#include "summary.h"
#include "trace.h"
#include "util.h"
#include "world.h"

#define WORDS_MAX 256 /* traces, and settings by --set, of one run */

struct run_options {
	const char *profile; /* for the summary only */
	const char *out;     /* folder, made if it is not there */
	bool check, slots, quiet;
};

/* ---- results ---- */

static void used(struct json_object *object)
{
	struct rusage usage;
	char text[32];

	getrusage(RUSAGE_SELF, &usage);
	double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	snprintf(text, sizeof(text), "%.3f", cpu_s);
	json_object_object_add(object, "cpu_s", json_object_new_double_s(cpu_s, text));
	json_object_object_add(object, "peak_rss_kb", json_object_new_int64(usage.ru_maxrss));
}

static void put_summary(FILE *out, const struct sim_config *config, const struct trace *trace,
			const struct run_options *options, const struct summary *summary)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "profile", json_object_new_string(options->profile));
	json_object_object_add(object, "seed", json_object_new_int64(config->seed));
	json_object_object_add(object, "trace_lines", json_object_new_uint64(trace->lines));
	json_object_object_add(object, "trace_skipped", json_object_new_uint64(trace->skipped));
	json_object_object_add(object, "trace_left_out", json_object_new_uint64(trace->left_out));
	summary_add(summary, object);
	used(object);
	fprintf(out, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
	json_object_put(object);
}

static int write_tables(struct world *world, const struct run_options *options, struct err *err)
{
	struct sheet leases, intervals, slots;

	if (sheet_open(&leases, err) < 0) {
		return -1;
	}
	summary_leases(world, leases.out);
	if (sheet_write(&leases, options->out, "leases.csv", err) < 0 || sheet_open(&intervals, err) < 0) {
		return -1;
	}
	metrics_write(world_metrics(world), ORIGIN_US, world_cpu(world), intervals.out);
	if (sheet_write(&intervals, options->out, "intervals.csv", err) < 0) {
		return -1;
	}
	if (!options->slots) {
		return 0;
	}
	if (sheet_open(&slots, err) < 0) {
		return -1;
	}
	world_slots(world, slots.out);
	return sheet_write(&slots, options->out, "slots.csv", err);
}

static int write_settings(const struct sim_config *config, const char *folder, struct err *err)
{
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	conf_print(config_table, config_count, config, sheet.out);
	return sheet_write(&sheet, folder, "settings.conf", err);
}

/* Before the simulation, which may take long: whether the folder will do. No summary of another run may stay in it. */
static int begin_results(const struct sim_config *config, const char *folder, struct err *err)
{
	_cleanup_free_ char *summary = xasprintf("%s/summary.json", folder);

	if (dir_make(folder, 0755, err) < 0 || write_settings(config, folder, err) < 0) {
		return -1;
	}
	unlink(summary);
	return 0;
}

/* The summary comes last: where it is, all is. */
static int write_results(struct world *world, const struct sim_config *config, const struct trace *trace,
			 const struct run_options *options, const struct summary *summary, struct err *err)
{
	struct sheet sheet;

	if (write_tables(world, options, err) < 0 || sheet_open(&sheet, err) < 0) {
		return -1;
	}
	put_summary(sheet.out, config, trace, options, summary);
	return sheet_write(&sheet, options->out, "summary.json", err);
}

static int simulate(struct world *world, struct progress *progress, struct err *err)
{
	int bad = world_run(world, err);

	progress_end(progress);
	return bad;
}

static int run_simulation(const struct sim_config *config, const struct trace *trace, const struct run_options *options,
			  struct summary *summary, struct err *err)
{
	struct workload workload;
	struct progress progress;
	struct world_options how = {
		.check = options->check, .slots = options->slots, .progress = progress_tell, .arg = &progress};

	if (begin_results(config, options->out, err) < 0) {
		return -1;
	}
	workload_make(config, trace, &workload);
	progress_init(&progress, options->quiet);
	struct world *world = world_new(config, &workload, &how);
	int bad = simulate(world, &progress, err);
	if (!bad) {
		summary_make(world, summary);
		bad = write_results(world, config, trace, options, summary, err);
	}
	world_free(world);
	workload_fini(&workload);
	return bad;
}

/* ---- the command ---- */

enum option { CLUSTER, TRACE, PROFILE, IMAGES, SET, OUT, SEED, CHECK, SLOTS, FIGURES, PRINT_CONFIG, QUIET };

static const struct sim_option options[] = {
	[CLUSTER] = {"cluster", "FILE", "settings of the cluster and the planner", false},
	[TRACE] = {"trace", "FILE", "a workload; may be given again: they are merged", false},
	[PROFILE] = {"profile", "NAME", "values to begin with: default, hpdc08, msc", false},
	[IMAGES] = {"images", "HOW", "as --set images=HOW: trace, uniform, skewed, single", false},
	[SET] = {"set", "KEY=VALUE", "a setting, over profile and file; configuration=NAME: as the profile's paper",
		 false},
	[OUT] = {"out", "DIR", "folder for the results", false},
	[SEED] = {"seed", "N", "as --set seed=N", false},
	[CHECK] = {"check", NULL, "check all invariants after every step: slow", false},
	[SLOTS] = {"slots", NULL, "write slots.csv too: who was where when", false},
	[FIGURES] = {"figures", NULL, "draw figures too, as \"tenure-sim figures\" does; implies --slots", false},
	[PRINT_CONFIG] = {"print-config", NULL, "print the settings as they would be, and end", false},
	[QUIET] = {"quiet", NULL, "no progress, no summary on the terminal", false},
};

struct arguments {
	struct run_options run;
	const char *cluster;
	const char *trace[WORDS_MAX];
	size_t traces;
	const char *set[WORDS_MAX];
	char *made[2]; /* sets made of other options */
	size_t sets;
	bool print_config, figures;
};

static int add_word(const char **words, size_t *n, const char *word, struct err *err)
{
	if (*n == WORDS_MAX) {
		return err_set(err, ERR_LIMIT, "more than %d of one option", WORDS_MAX);
	}
	words[(*n)++] = word;
	return 0;
}

/* An option that is short for a setting; the last one counts. */
static int add_set(struct arguments *to, size_t which, const char *key, const char *text, struct err *err)
{
	if (to->made[which]) {
		return err_set(err, ERR_PARAMS, "--%s is given twice", key);
	}
	to->made[which] = xasprintf("%s=%s", key, text);
	return add_word(to->set, &to->sets, to->made[which], err);
}

static int take(void *arg, size_t option, const char *text, struct err *err)
{
	struct arguments *to = arg;

	switch ((enum option)option) {
	case CLUSTER:
		to->cluster = text;
		break;
	case TRACE:
		return add_word(to->trace, &to->traces, text, err);
	case PROFILE:
		to->run.profile = text;
		break;
	case IMAGES:
		return add_set(to, 0, "images", text, err);
	case SET:
		return add_word(to->set, &to->sets, text, err);
	case OUT:
		to->run.out = text;
		break;
	case SEED:
		return add_set(to, 1, "seed", text, err);
	case CHECK:
		to->run.check = true;
		break;
	case SLOTS:
		to->run.slots = true;
		break;
	case FIGURES:
		to->run.slots = to->figures = true;
		break;
	case PRINT_CONFIG:
		to->print_config = true;
		break;
	case QUIET:
		to->run.quiet = true;
		break;
	}
	return 0;
}

static int check_arguments(const struct arguments *arguments, struct err *err)
{
	if (arguments->print_config) {
		return 0;
	}
	if (arguments->traces == 0) {
		return err_set(err, ERR_PARAMS, "--trace FILE is needed: what is to be run");
	}
	return arguments->run.out ? 0 : err_set(err, ERR_PARAMS, "--out DIR is needed: where the results go");
}

static int read_traces(const struct arguments *arguments, struct trace *trace, struct err *err)
{
	for (size_t i = 0; i < arguments->traces; i++) {
		if (trace_read(arguments->trace[i], trace, stderr, err) < 0) {
			return -1;
		}
	}
	trace_sort(trace);
	return 0;
}

static void tell(const struct summary *summary, const struct trace *trace, const char *folder)
{
	printf("%" PRIu64 " leases: %" PRIu64 " of %" PRIu64 " best-effort done in %.0f s, %" PRIu64 " of %" PRIu64
	       " reservations accepted\n"
	       "mean wait %.0f s, mean bounded slowdown %.2f, utilization %.1f %%; %s/summary.json has more\n",
	       summary->leases, summary->best_effort_done, summary->best_effort, summary->all_best_effort_s,
	       summary->ars_accepted, summary->ars, summary->mean_wait_s, summary->mean_bounded_slowdown,
	       summary->utilization * 100, folder);
	if (trace->skipped || trace->left_out) {
		printf("%" PRIu64 " of %" PRIu64 " lines were skipped as wrong, %" PRIu64 " left out by their status\n",
		       trace->skipped, trace->lines, trace->left_out);
	}
	for (int kind = LEASE_BEST_EFFORT; kind < LEASE_KIND_COUNT; kind++) {
		if (summary->rejected[kind]) {
			printf("%" PRIu64 " %s leases were rejected; %s/leases.csv says why\n", summary->rejected[kind],
			       lease_kind_name((enum lease_kind)kind), folder);
		}
	}
	if (summary->unfinished) {
		fprintf(stderr, "tenure-sim: %" PRIu64 " leases never came to an end\n", summary->unfinished);
	}
}

static int run_traces(const struct arguments *arguments, const struct sim_config *config, struct err *err)
{
	struct trace trace = {0};
	struct summary summary;
	int bad = read_traces(arguments, &trace, err);

	if (!bad) {
		bad = run_simulation(config, &trace, &arguments->run, &summary, err);
	}
	if (!bad && !arguments->run.quiet) {
		tell(&summary, &trace, arguments->run.out);
	}
	trace_fini(&trace);
	if (!bad && arguments->figures) {
		bad = figure_make(arguments->run.out, &(struct figure_window){0}, stderr, err);
	}
	return bad ? SIM_FAILED : SIM_OK;
}

static int run_with(const struct arguments *arguments, struct err *err)
{
	struct sim_config config;
	int status = SIM_OK;

	if (config_load(arguments->run.profile, arguments->cluster, arguments->set, arguments->sets, &config, err) <
	    0) {
		return SIM_FAILED;
	}
	if (arguments->print_config) {
		conf_print(config_table, config_count, &config, stdout);
	} else {
		status = run_traces(arguments, &config, err);
	}
	config_free(&config);
	return status;
}

static int run(int argc, char **argv, struct err *err)
{
	struct arguments arguments = {.run.profile = "default"};
	bool good = options_read(options, ARRAY_SIZE(options), argc, argv, 0, take, &arguments, err) >= 0 &&
		    check_arguments(&arguments, err) == 0;
	int status = good ? run_with(&arguments, err) : SIM_USAGE;

	free(arguments.made[0]);
	free(arguments.made[1]);
	return status;
}

const struct sim_command command_run = {
	.name = "run",
	.words = "",
	.help = "runs workloads on a simulated cluster and writes what became of them",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.run = run,
};
