/* How an experiment's simulations are done: kept as they come, with a word on how long it will take. */
#include <glob.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "experiment.h"
#include "util.h"
#include "when.h"

/* Work under way. */
struct under_way {
	const struct experiment_run *run;
	const struct parallel *of;
	const char *what;
	double (*cost_s)(const void *arg, size_t item);
	size_t over, kept;
	double done_s, left_s; /* by their costs: since it began, and still to do */
	mono_us begin_us;
};

static double cost_of(const struct under_way *way, size_t item)
{
	return way->cost_s ? way->cost_s(way->of->arg, item) : 1;
}

static void begin(void *arg)
{
	const struct under_way *way = arg;
	double wall_s = way->left_s / (double)way->of->processes;
	char text[WHEN_TEXT];

	if (way->run->quiet) {
		return;
	}
	if (way->kept) {
		fprintf(stderr, "%s: %s: %zu of %zu simulations were done before it was interrupted\n", way->run->name,
			way->what, way->kept, way->of->items);
	}
	if (way->cost_s && wall_s > 60) {
		when_span((span_us)(wall_s / 60 + 0.5) * USEC_PER_MINUTE, text);
		fprintf(stderr, "%s: %s: %zu simulations, %" PRId64 " at a time: some %s on processors of 2020\n",
			way->run->name, way->what, way->of->items - way->kept, way->of->processes, text);
	}
}

static void tell_progress(const struct under_way *way)
{
	double spent_s = (double)(clock_mono() - way->begin_us) / USEC_PER_SEC;
	char left[WHEN_TEXT];

	if (way->run->quiet || !isatty(STDERR_FILENO)) {
		return;
	}
	if (way->over == way->of->items) {
		fputs("\r\033[K", stderr);
		return;
	}
	when_span((span_us)(spent_s * way->left_s / way->done_s + 1) * USEC_PER_SEC, left);
	fprintf(stderr, "\r%s: %s: %zu of %zu simulations, %s left \033[K", way->run->name, way->what, way->over,
		way->of->items, left);
}

static int work(void *arg, size_t item, void *result, struct err *err)
{
	struct under_way *way = arg;

	return way->of->work(way->of->arg, item, result, err);
}

static void done(void *arg, size_t item, bool kept)
{
	struct under_way *way = arg;

	way->over++;
	way->left_s -= cost_of(way, item);
	if (kept) {
		way->kept++;
	} else {
		way->done_s += cost_of(way, item);
		tell_progress(way);
	}
}

int experiment_work(const struct experiment_run *run, const struct parallel *of, const char *what,
		    double (*cost_s)(const void *arg, size_t item), void *results, struct parallel_used *used,
		    struct err *err)
{
	struct under_way way = {.run = run, .of = of, .what = what, .cost_s = cost_s, .begin_us = clock_mono()};
	struct parallel parallel = *of;

	for (size_t item = 0; item < of->items; item++) {
		way.left_s += cost_of(&way, item);
	}
	parallel.kept = run->kept;
	parallel.arg = &way;
	parallel.work = work;
	parallel.begin = begin;
	parallel.done = done;
	return parallel_run(&parallel, results, used, err);
}

/* ---- what goes in ---------------------------------------------------------------------------------------------- */

/* Logs by name, size and when they were written. */
static void add_logs(const struct experiment_run *run, FILE *out)
{
	_cleanup_free_ char *pattern = xasprintf("%s/*.{swf,txt}", run->traces ? run->traces : ".");
	glob_t found = {0};
	struct stat st;

	if (!run->traces || glob(pattern, GLOB_BRACE, NULL, &found) != 0) {
		found.gl_pathc = 0;
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (stat(found.gl_pathv[i], &st) == 0) {
			fprintf(out, "%s %jd %jd.%09ld\n", strrchr(found.gl_pathv[i], '/'), (intmax_t)st.st_size,
				(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		}
	}
	globfree(&found);
}

int experiment_keep(struct experiment_run *run, struct err *err)
{
	char *text = NULL;
	size_t size = 0;
	FILE *inputs = open_memstream(&text, &size);

	if (!inputs) {
		return err_set(err, ERR_LIMIT, "no memory");
	}
	fprintf(inputs, "%s seeds=%" PRId64 " brief=%d\n", run->name, run->seeds, run->brief);
	add_logs(run, inputs);
	fclose(inputs);
	int bad = kept_open(&run->kept, run->out, text, err);
	free(text);
	return bad;
}
