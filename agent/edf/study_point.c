/* One measurement: tasks that spin, each with a promise, and a competitor without one. */
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "proc.h"
#include "study.h"
#include "util.h"

#define ORIGINS 20 /* tried for mechanisms that do not tell when their periods begin */

struct measure {
	struct probe load[STUDY_LOADS];
	struct probe task[STUDY_TASKS];
	struct readings readings[STUDY_TASKS];
	uint64_t id[STUDY_TASKS];
	int core_fd; /* CPU time of the dispatcher */
};

/* The dispatcher of the CPU measured on is a thread of ours. */
static int open_core(const struct study *study)
{
	_cleanup_free_ struct proc_thread *thread = xcalloc(PROC_THREADS, sizeof(*thread));
	unsigned n = proc_threads(getpid(), thread, PROC_THREADS);
	char name[16];

	snprintf(name, sizeof(name), "edf/%d", study->cpu);
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(thread[i].name, name) == 0) {
			return proc_cpu_open(getpid(), thread[i].tid);
		}
	}
	return -1;
}

static int64_t core_ns(const struct measure *m)
{
	return m->core_fd < 0 ? 0 : proc_cpu_ns(m->core_fd);
}

/* 1: refused. */
static int begin(struct study *study, const struct study_point *point, struct measure *m, struct err *err)
{
	if (study_compete(study, point->mechanism, false, m->load, err) < 0) {
		return -1;
	}
	for (unsigned i = 0; i < point->n; i++) {
		if (probe_start(&m->task[i], PROBE_LOG, study_home(point->mechanism, study->cpu), 0, err) < 0) {
			return -1;
		}
		if (study_attach(study, &m->task[i], &point->constraint[i], point->mechanism == ENGINE_EDF, &m->id[i],
				 err) < 0) {
			return 1;
		}
		readings_open(&m->readings[i], m->task[i].pid);
	}
	return 0;
}

/* Of the CPU measured on, by a hypervisor that tells: since the start, in the kernel's steps of 10 ms. */
static int64_t stolen_ns(const struct study *study)
{
	_cleanup_free_ char *text = file_read("/proc/stat", 1 << 20, NULL);
	_cleanup_free_ char *line = xasprintf("\ncpu%d ", study->cpu);
	const char *found = text ? strstr(text, line) : NULL;
	long long ticks = 0;

	if (found) {
		sscanf(found + strlen(line), "%*s %*s %*s %*s %*s %*s %*s %lld", &ticks);
	}
	return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

static int64_t longest_period(const struct study_point *point)
{
	int64_t longest = 0;

	for (unsigned i = 0; i < point->n; i++) {
		longest = point->constraint[i].period_ns > longest ? point->constraint[i].period_ns : longest;
	}
	return longest;
}

static void take_release(const struct engine_row *row, void *arg)
{
	*(int64_t *)arg = row->release_ns;
}

/* Of what was and the new one, as part of the slice. */
static double greater(double was_pct, int64_t late_ns, int64_t slice_ns)
{
	double pct = 100 * (double)late_ns / (double)slice_ns;

	return pct > was_pct ? pct : was_pct;
}

static void judge(const struct study *study, const struct study_point *point, const struct measure *m, int64_t from,
		  int64_t to, struct study_result *result)
{
	for (unsigned i = 0; i < point->n; i++) {
		const struct edf_constraint *c = &point->constraint[i];
		struct window_figures figures = {0};
		struct window_grid grid = {0, c->slice_ns, c->period_ns};

		/* The very periods it was promised. */
		engine_list(study->engine, m->id[i], take_release, &grid.origin_ns);
		if (point->mechanism == ENGINE_EDF) {
			window_judge(m->task[i].log, &grid, from, to, &figures);
		} else {
			window_judge_best(m->task[i].log, &grid, ORIGINS, from, to, &figures);
		}
		result->late_slice_pct_max = greater(result->late_slice_pct_max, figures.late_max_ns, c->slice_ns);
		result->late_own_pct_max = greater(result->late_own_pct_max, figures.late_own_max_ns, c->slice_ns);
		window_add(&result->figures, &figures);
		result->stalled_ns += probe_stalled(m->task[i].log, from, to);
	}
}

static void observe(struct study *study, const struct study_point *point, struct measure *m,
		    struct study_result *result)
{
	int64_t from, to, core, stolen;

	m->core_fd = open_core(study);
	study_sleep(study, longest_period(point) + 20000000); /* the first period is not a whole one */
	from = clock_mono_ns();
	core = core_ns(m);
	stolen = stolen_ns(study);
	study_watch(study, point->length_ns, m->readings, point->n);
	core = core_ns(m) - core;
	to = clock_mono_ns();
	result->stalled_ns = stolen_ns(study) - stolen;
	result->core_pct = 100 * (double)core / (double)(to - from);
	for (unsigned i = 0; i < point->n; i++) {
		probe_stop(&m->task[i]);
		probe_correct(m->task[i].log, &m->readings[i]);
	}
	judge(study, point, m, from, to, result);
}

static void end(struct study *study, struct measure *m)
{
	struct err ignored = {0};

	for (unsigned i = 0; i < STUDY_TASKS; i++) {
		if (m->id[i]) {
			engine_detach(study->engine, m->id[i], &ignored);
		}
		probe_end(&m->task[i]);
		readings_close(&m->readings[i]);
	}
	for (unsigned i = 0; i < STUDY_LOADS; i++) {
		probe_end(&m->load[i]);
	}
	cleanup_close(&m->core_fd);
}

int study_measure(struct study *study, const struct study_point *point, struct study_result *result, struct err *err)
{
	struct measure m = {.core_fd = -1};
	int rc;

	memset(result, 0, sizeof(*result));
	for (unsigned i = 0; i < STUDY_TASKS; i++) {
		m.readings[i].fd = -1;
	}
	rc = study_engine(study, point->mechanism, false, err);
	if (rc < 0 && err->code == ERR_UNAVAILABLE) {
		rc = 1;
	} else if (rc == 0) {
		rc = begin(study, point, &m, err);
	}
	if (rc == 0) {
		observe(study, point, &m, result);
	} else if (rc > 0) {
		result->refused = true;
		snprintf(result->why, sizeof(result->why), "%s", err->text);
		*err = (struct err){0};
	}
	end(study, &m);
	return rc < 0 ? -1 : 0;
}
