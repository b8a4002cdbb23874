/* The studies' common part: options, the engine, the table and its files. What is measured is study_*.c's. */
#include "study.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "gnuplot.h"
#include "proc.h"
#include "util.h"

#define LIMIT_PPM 940000 /* more than is promised otherwise: the studies are to show what happens at the edge */
#define ROW 512
#define POLL_NS 50000000 /* the engine is asked so often what happened */
#define READ_NS 100000   /* and CPU clocks are read so often: twice in most of the times a task is away */

static const struct {
	const char *name, *help;
	int (*run)(struct study *study, struct err *err);
} studies[] = {
	{"sweep", "miss rate over period and slice: one task, one competitor", study_sweep},
	{"misstime", "how late what is missed comes, as part of the slice", study_misstime},
	{"random", "sets of 2 to 8 tasks of random periods, at 50, 70 and 90 % of a CPU", study_random_sets},
	{"limit", "the greatest share of a CPU at each period of which nothing is missed", study_limit},
	{"interactive", "how soon an idle task answers beside one that computes", study_interactive},
	{"gang", "part of the time in which two tasks on two CPUs run together", study_gang},
	{"latency", "how long a change of a constraint takes", study_latency},
};

/* ---- the engine ---- */

static void close_engine(struct study *study)
{
	engine_free(study->engine);
	study->engine = NULL;
}

int study_engine(struct study *study, enum engine_backend mechanism, bool gang, struct err *err)
{
	_cleanup_free_ char *cpus = xasprintf(gang ? "%d,%d" : "%d", study->cpu, study->other);
	_cleanup_free_ char *dir = xasprintf("%s/engine", study->out);
	struct engine_settings settings = {
		.cpus = cpus, .run_dir = dir, .backend = mechanism, .limit_ppm = LIMIT_PPM, .miss_ppm = 1000000};
	struct engine_node node;

	if (study->engine && study->backend == mechanism && study->gang == gang) {
		return 0;
	}
	close_engine(study);
	if (engine_new(&study->engine, &settings, err) < 0) {
		study->engine = NULL;
		return -1;
	}
	engine_node(study->engine, &node);
	if (node.backend != mechanism) {
		close_engine(study);
		return err_set(err, ERR_UNAVAILABLE, "%s is not possible here: %s", engine_backend_name(mechanism),
			       node.reason);
	}
	study->backend = mechanism;
	study->gang = gang;
	return 0;
}

static void ignore_event(const struct engine_event *event, void *arg)
{
	(void)event;
	(void)arg;
}

void study_watch(struct study *study, int64_t ns, struct readings readings[], unsigned n)
{
	int64_t now = clock_mono_ns(), end = now + ns, poll = now;
	int64_t step = n > 0 ? READ_NS : POLL_NS;

	/* Late readings miss the short times in which a task is away; where this is not permitted some do. */
	if (n > 0) {
		proc_fifo(gettid(), 1);
	}
	for (; now < end; now = clock_mono_ns()) {
		struct timespec some = {.tv_nsec = end - now < step ? end - now : step};

		nanosleep(&some, NULL);
		for (unsigned i = 0; i < n; i++) {
			readings_take(&readings[i]);
		}
		if (study->engine && now >= poll) {
			engine_poll(study->engine, ignore_event, NULL);
			poll = now + POLL_NS;
		}
	}
	if (n > 0) {
		proc_park(gettid());
	}
}

void study_sleep(struct study *study, int64_t ns)
{
	study_watch(study, ns, NULL, 0);
}

int study_attach(struct study *study, const struct probe *probe, const struct edf_constraint *constraint, bool aligned,
		 uint64_t *id, struct err *err)
{
	struct engine_task task = {
		.kind = ENGINE_PROCESS, .pid = probe->pid, .constraint = *constraint, .aligned = aligned};

	int rc = engine_attach(study->engine, &task, id, err);

	/* The kernel takes some time to forget the share of a SCHED_DEADLINE task that has ended. */
	for (int tries = 0; rc < 0 && err->code == ERR_REJECTED && study->backend == ENGINE_DEADLINE && tries < 20;
	     tries++) {
		*err = (struct err){0};
		study_sleep(study, 500000000);
		rc = engine_attach(study->engine, &task, id, err);
	}
	return rc;
}

int study_home(enum engine_backend mechanism, int cpu)
{
	/* SCHED_DEADLINE refuses a task that is bound to a CPU. */
	return mechanism == ENGINE_DEADLINE ? PROBE_ANYWHERE : cpu;
}

int study_compete(const struct study *study, enum engine_backend mechanism, bool gang, struct probe load[],
		  struct err *err)
{
	unsigned n = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (mechanism == ENGINE_DEADLINE) {
		sched_getaffinity(0, sizeof(set), &set);
	}
	CPU_SET((size_t)study->cpu, &set);
	if (gang) {
		CPU_SET((size_t)study->other, &set);
	}
	memset(load, 0, STUDY_LOADS * sizeof(*load));
	for (int cpu = 0; cpu < CPU_SETSIZE && n < STUDY_LOADS; cpu++) {
		if (CPU_ISSET((size_t)cpu, &set) && probe_start(&load[n++], PROBE_LOAD, cpu, 0, err) < 0) {
			return -1;
		}
	}
	return 0;
}

uint64_t study_random(struct study *study, uint64_t below)
{
	study->random ^= study->random << 13;
	study->random ^= study->random >> 7;
	study->random ^= study->random << 17;
	return (study->random >> 11) % below;
}

/* ---- table and files ---- */

/* The same row for people: in columns as wide as the header's words, which are longer than most figures. */
static void print_row(const char *row)
{
	const char *end;

	for (; (end = strchr(row, ',')); row = end + 1) {
		printf("%-13.*s ", (int)(end - row), row);
	}
	printf("%s\n", row);
	fflush(stdout);
}

void study_row(struct study *study, const char *format, ...)
{
	char row[ROW];
	va_list args;

	va_start(args, format);
	vsnprintf(row, sizeof(row), format, args);
	va_end(args);
	fprintf(study->csv, "%s\n", row);
	print_row(row);
}

int study_open(struct study *study, const char *name, const char *header, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s.csv", study->out, name);

	study->csv = fopen(path, "we");
	if (!study->csv) {
		return err_set(err, ERR_INTERNAL, "cannot write %s: %s", path, strerror(errno));
	}
	study_row(study, "%s", header);
	return 0;
}

void study_tail(const struct study_result *result, char *out, size_t size)
{
	const struct window_figures *f = &result->figures;
	double windows = f->windows ? (double)f->windows : 1, misses = f->misses ? (double)f->misses : 1;

	snprintf(out, size, "%llu,%.3f,%.1f,%.1f,%.1f,%.2f", (unsigned long long)f->windows,
		 100 * (double)f->misses / windows, (double)f->late_sum_ns / 1000 / misses,
		 (double)f->late_max_ns / 1000, (double)f->over_sum_ns / 1000 / windows, result->core_pct);
}

void study_stolen(const struct study_result *result, char *out, size_t size)
{
	const struct window_figures *f = &result->figures;
	double windows = f->windows > f->stolen ? (double)(f->windows - f->stolen) : 1;

	snprintf(out, size, "%llu,%.3f,%.2f", (unsigned long long)f->stolen,
		 100 * (double)(f->misses - f->stolen) / windows, result->late_own_pct_max);
}

void study_explain(void)
{
	printf("stolen_windows are missed ones in which the CPU was not there, taken by a hypervisor, for at least as "
	       "long as\nwhat is missing; the columns behind it are of all others\n");
}

int study_close(struct study *study, const char *name, const char *script, struct err *err)
{
	static const char head[] = "set datafile separator ','\n"
				   "set datafile columnheaders\n"
				   "set terminal svg size 1200,440 noenhanced font 'sans-serif,14' background 'white'\n"
				   "set border 3 lc rgb '#444444'\n"
				   "set tics nomirror\n"
				   "set key outside top center horizontal\n";
	_cleanup_free_ char *file = xasprintf("%s.gp", name);
	_cleanup_free_ char *path = xasprintf("%s/%s", study->out, file);
	_cleanup_free_ char *text =
		xasprintf("%sset output '%s.svg'\ndata = '%s.csv'\nnames = '%s %s %s'\n%s", head, name, name,
			  study->seen[ENGINE_EDF] ? "edf" : "", study->seen[ENGINE_DEADLINE] ? "deadline" : "",
			  study->seen[ENGINE_QUOTA] ? "quota" : "", script);
	int bad = fclose(study->csv);
	int rc;

	study->csv = NULL;
	if (bad) {
		return err_set(err, ERR_INTERNAL, "cannot write %s/%s.csv: %s", study->out, name, strerror(errno));
	}
	if (file_replace(path, text, strlen(text), 0644, err) < 0) {
		return -1;
	}
	rc = gnuplot_run(study->out, file, err);
	if (rc > 0) {
		printf("no figure: gnuplot is not installed (Debian's package gnuplot-nox)\n");
	}
	return rc < 0 ? -1 : 0;
}

/* ---- the command ---- */

static void usage(FILE *out)
{
	fputs("usage: tenure-edf study NAME [OPTION...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(studies); i++) {
		fprintf(out, "  %-12s %s\n", studies[i].name, studies[i].help);
	}
	fputs("\nOptions:\n"
	      "  --out DIR         folder for NAME.csv and NAME.svg (default edf-study)\n"
	      "  --cpu N           where to measure (default: the last CPU this process may use)\n"
	      "  --mechanism LIST  of edf, deadline and quota (default: all three)\n"
	      "  --short           fewer and shorter measurements\n"
	      "  --seed N          of whatever is random (default 1)\n",
	      out);
}

static int read_mechanisms(struct study *study, const char *text, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *rest = copy, *word;

	memset(study->mechanism, 0, sizeof(study->mechanism));
	while ((word = strsep(&rest, ","))) {
		enum engine_backend backend;

		if (engine_backend_parse(word, &backend) < 0 || backend >= STUDY_MECHANISMS) {
			return err_set(err, ERR_PARAMS, "--mechanism %s: must be edf, deadline or quota", word);
		}
		study->mechanism[backend] = true;
	}
	return 0;
}

static int read_options(struct study *study, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{"out", required_argument, NULL, 'o'},       {"cpu", required_argument, NULL, 'c'},
		{"mechanism", required_argument, NULL, 'm'}, {"short", no_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'r'},      {0}};
	int64_t number;
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) >= 0) {
		switch (c) {
		case 'o':
			study->out = optarg;
			break;
		case 'c':
			if (parse_i64(optarg, 0, CPU_SETSIZE - 1, &number) < 0) {
				return err_set(err, ERR_PARAMS, "--cpu %s: must be the number of a CPU", optarg);
			}
			study->cpu = (int)number;
			break;
		case 'm':
			if (read_mechanisms(study, optarg, err) < 0) {
				return -1;
			}
			break;
		case 's':
			study->brief = true;
			break;
		case 'r':
			if (parse_i64(optarg, 1, INT64_MAX, &number) < 0) {
				return err_set(err, ERR_PARAMS, "--seed %s: must be a number from 1", optarg);
			}
			study->random = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
			break;
		case ':':
			return err_set(err, ERR_PARAMS, "%s needs a value", argv[optind - 1]);
		default:
			return err_set(err, ERR_PARAMS, "study has no option %s; tenure-edf study --help names them",
				       argv[optind - 1]);
		}
	}
	return optind == argc ? 0 : err_set(err, ERR_PARAMS, "%s: one study at a time", argv[optind]);
}

/* The last CPU to measure on, the first one beside it. */
static void choose_cpus(struct study *study)
{
	cpu_set_t may;

	study->cpu = study->cpu < 0 ? 0 : study->cpu;
	study->other = -1;
	CPU_ZERO(&may);
	sched_getaffinity(0, sizeof(may), &may);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t)cpu, &may)) {
			study->cpu = cpu;
		}
	}
}

static int choose_other(struct study *study, struct err *err)
{
	cpu_set_t may;

	CPU_ZERO(&may);
	sched_getaffinity(0, sizeof(may), &may);
	for (int cpu = 0; cpu < CPU_SETSIZE && study->other < 0; cpu++) {
		if (CPU_ISSET((size_t)cpu, &may) && cpu != study->cpu) {
			study->other = cpu;
		}
	}
	return CPU_ISSET((size_t)study->cpu, &may)
		       ? 0
		       : err_set(err, ERR_PARAMS, "--cpu %d: this process may use no such CPU", study->cpu);
}

static int run(int (*what)(struct study *, struct err *), int argc, char **argv, struct err *err)
{
	struct study study = {
		.out = "edf-study", .other = -1, .mechanism = {true, true, true}, .random = 0x9e3779b97f4a7c15};
	int rc;

	choose_cpus(&study);
	if (read_options(&study, argc, argv, err) < 0) {
		return 2;
	}
	if (choose_other(&study, err) < 0) {
		return 2;
	}
	if (mkdir(study.out, 0755) < 0 && errno != EEXIST) {
		err_set(err, ERR_PARAMS, "cannot make the folder %s: %s", study.out, strerror(errno));
		return 1;
	}
	rc = what(&study, err);
	close_engine(&study);
	if (study.csv) {
		fclose(study.csv);
	}
	return rc < 0 ? 1 : 0;
}

int study_main(int argc, char **argv)
{
	struct err err = {0};
	int status = 2;

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(studies); i++) {
		if (strcmp(argv[1], studies[i].name) == 0) {
			status = run(studies[i].run, argc - 1, argv + 1, &err);
			if (status != 0) {
				fprintf(stderr, "tenure-edf: %s\n", err.text);
			}
			return status;
		}
	}
	if (argc > 1 && strcmp(argv[1], "--help") != 0) {
		fprintf(stderr, "tenure-edf: there is no study \"%s\"; tenure-edf study --help names them\n", argv[1]);
		return 2;
	}
	usage(argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
	return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
