/* Studies of what a promise is for: answers beside a batch task, gangs that run together, and quick changes. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "study.h"
#include "util.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define SAMPLES 2000

struct sample {
	int64_t value[SAMPLES];
	int n;
};

static int ascending(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void add(struct sample *sample, int64_t value)
{
	if (sample->n < SAMPLES) {
		sample->value[sample->n++] = value;
	}
}

/* "n,p50,p99,max" in microseconds */
static void sample_text(struct sample *sample, char *out, size_t size)
{
	int n = sample->n;

	if (n == 0) {
		snprintf(out, size, "0,,,");
		return;
	}
	qsort(sample->value, (size_t)n, sizeof(int64_t), ascending);
	snprintf(out, size, "%d,%.1f,%.1f,%.1f", n, (double)sample->value[n / 2] / 1000,
		 (double)sample->value[(n * 99 + 99) / 100 - 1] / 1000, (double)sample->value[n - 1] / 1000);
}

static void end_all(struct probe *probes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		probe_end(&probes[i]);
	}
}

static void detach_all(struct study *study, uint64_t *ids, size_t n)
{
	struct err ignored = {0};

	for (size_t i = 0; i < n; i++) {
		if (ids[i]) {
			engine_detach(study->engine, ids[i], &ignored);
		}
	}
}

/* A mechanism that is not possible here, or refuses: said, and no failure. */
static int refused(const char *name, struct err *err)
{
	if (err->code != ERR_UNAVAILABLE && err->code != ERR_REJECTED && err->code != ERR_PARAMS &&
	    err->code != ERR_DENIED) {
		return -1;
	}
	printf("    (%s: %s)\n", name, err->text);
	*err = (struct err){0};
	return 0;
}

/* ---- answers ---- */

/* Answers take 0.5 ms of CPU time, and are asked for at random, 50 times a second. */
static void ask_often(struct study *study, struct probe *echo, int times, struct sample *sample)
{
	for (int i = 0; i < times; i++) {
		int64_t took;

		study_sleep(study, 10 * MS + (int64_t)study_random(study, 20) * MS);
		took = probe_ask(echo, 2 * SECOND);
		if (took >= 0) {
			add(sample, took);
		}
	}
}

static int answers(struct study *study, const char *name, enum engine_backend mechanism, bool constrained,
		   struct err *err)
{
	static const struct edf_constraint quick = {2 * MS, 10 * MS, true}, batch = {70 * MS, 100 * MS, true};
	struct probe load[STUDY_LOADS] = {{0}}, task[2] = {{0}};
	struct sample sample = {.n = 0};
	int home = study_home(mechanism, study->cpu);
	uint64_t id[2] = {0};
	char text[96];
	int64_t from;
	int rc = -1;

	if ((constrained && study_engine(study, mechanism, false, err) < 0) ||
	    study_compete(study, mechanism, false, load, err) < 0 ||
	    probe_start(&task[0], PROBE_ECHO, home, 500 * US, err) < 0 ||
	    probe_start(&task[1], PROBE_LOG, home, 0, err) < 0 ||
	    (constrained && (study_attach(study, &task[0], &quick, false, &id[0], err) < 0 ||
			     study_attach(study, &task[1], &batch, false, &id[1], err) < 0))) {
		goto out;
	}
	from = clock_mono_ns();
	ask_often(study, &task[0], study->brief ? 100 : 500, &sample);
	int64_t length = clock_mono_ns() - from;
	probe_stop(&task[1]);
	sample_text(&sample, text, sizeof(text));
	study_row(study, "%s,%s,%.2f", name, text,
		  100 * (double)(probe_received(task[1].log, from + length) - probe_received(task[1].log, from)) /
			  (double)length);
	rc = 0;
out:
	if (constrained && study->engine) {
		detach_all(study, id, 2);
	}
	end_all(task, 2);
	end_all(load, STUDY_LOADS);
	return rc < 0 ? refused(name, err) : 0;
}

int study_interactive(struct study *study, struct err *err)
{
	static const char script[] = "set style data histograms\n"
				     "set style fill solid 1.0\n"
				     "set logscale y\n"
				     "set ylabel 'until the answer (us)'\n"
				     "plot data using 'p50_us':xtic(1) title 'median', '' using 'p99_us' title '99 %', "
				     "'' using 'max_us' title 'latest'\n";

	if (study_open(study, "interactive", "mechanism,answers,p50_us,p99_us,max_us,batch_cpu_pct", err) < 0 ||
	    answers(study, "none", ENGINE_QUOTA, false, err) < 0) {
		return -1;
	}
	for (int m = 0; m < STUDY_MECHANISMS; m++) {
		enum engine_backend mechanism = (enum engine_backend)m;

		if (study->mechanism[m] && answers(study, engine_backend_name(mechanism), mechanism, true, err) < 0) {
			return -1;
		}
	}
	return study_close(study, "interactive", script, err);
}

/* ---- gangs ---- */

/* Each takes more than half of what may be promised, so that no CPU has room for both. */
static int together(struct study *study, enum engine_backend mechanism, bool aligned, int64_t period_ns, int percent,
		    struct err *err)
{
	const struct edf_constraint c = {period_ns / 100 * percent, period_ns, true};
	struct probe load[STUDY_LOADS] = {{0}}, task[2] = {{0}};
	uint64_t id[2] = {0};
	int rc = -1;

	if (study_engine(study, mechanism, true, err) < 0 || study_compete(study, mechanism, true, load, err) < 0) {
		goto out;
	}
	for (int i = 0; i < 2; i++) {
		if (probe_start(&task[i], PROBE_LOG, study_home(mechanism, i ? study->other : study->cpu), 0, err) <
			    0 ||
		    study_attach(study, &task[i], &c, aligned, &id[i], err) < 0) {
			goto out;
		}
		/* Those of an unaligned gang come as machines do: at any time. */
		study_sleep(study, (int64_t)study_random(study, (uint64_t)period_ns));
	}
	study_sleep(study, period_ns);
	int64_t from = clock_mono_ns();
	study_sleep(study, (study->brief ? 2 : 8) * SECOND);
	int64_t to = clock_mono_ns();
	probe_stop(&task[0]);
	probe_stop(&task[1]);
	int64_t a = probe_received(task[0].log, to) - probe_received(task[0].log, from);
	int64_t b = probe_received(task[1].log, to) - probe_received(task[1].log, from);
	study_row(study, "%s,%s,%lld,%lld,%.2f", engine_backend_name(mechanism), aligned ? "yes" : "no",
		  (long long)(period_ns / US), (long long)(c.slice_ns / US),
		  100 * (double)probe_together(task[0].log, task[1].log, from, to) / (double)(a < b ? a : b));
	rc = 0;
out:
	if (study->engine) {
		detach_all(study, id, 2);
	}
	end_all(task, 2);
	end_all(load, STUDY_LOADS);
	return rc < 0 ? refused(engine_backend_name(mechanism), err) : 0;
}

int study_gang(struct study *study, struct err *err)
{
	static const int64_t periods[] = {10 * MS, 50 * MS, 200 * MS};
	static const char script[] =
		"set xlabel 'period (ms)'\n"
		"set ylabel 'of the slices, both at once (%)'\n"
		"set logscale x\n"
		"set yrange [0:100]\n"
		"y(name, yes) = strcol('mechanism') eq name && strcol('aligned') eq yes ? column('overlap_pct') : NaN\n"
		"plot data using (column('period_us') / 1000):(y('edf', 'yes')) pt 7 title 'edf, aligned', \\\n"
		"     for [name in 'edf deadline quota'] '' using (column('period_us') / 1000):(y(name, 'no')) pt 7 "
		"title name\n";
	size_t n = study->brief ? 2 : ARRAY_SIZE(periods);

	if (study->other < 0) {
		return err_set(err, ERR_UNAVAILABLE, "a gang needs two CPUs, and this process may use one only");
	}
	if (study_open(study, "gang", "mechanism,aligned,period_us,slice_us,overlap_pct", err) < 0) {
		return -1;
	}
	for (int m = 0; m < STUDY_MECHANISMS; m++) {
		for (size_t i = 0; study->mechanism[m] && i < n; i++) {
			enum engine_backend mechanism = (enum engine_backend)m;

			if ((mechanism == ENGINE_EDF && together(study, mechanism, true, periods[i], 50, err) < 0) ||
			    together(study, mechanism, false, periods[i], 50, err) < 0) {
				return -1;
			}
		}
	}
	return study_close(study, "gang", script, err);
}

/* ---- changes ---- */

static void take_change(const struct engine_row *row, void *arg)
{
	*(int64_t *)arg = row->change_ns;
}

static int change_often(struct study *study, enum engine_backend mechanism, struct err *err)
{
	static const struct edf_constraint constraints[] = {{2 * MS, 10 * MS, true}, {40 * MS, 100 * MS, true}};
	struct probe load[STUDY_LOADS] = {{0}}, task = {0};
	struct sample calls = {.n = 0}, applied = {.n = 0};
	const char *name = engine_backend_name(mechanism);
	int times = study->brief ? 300 : 2000;
	uint64_t id = 0;
	int rc = -1;

	if (study_engine(study, mechanism, false, err) < 0 || study_compete(study, mechanism, false, load, err) < 0 ||
	    probe_start(&task, PROBE_LOAD, study_home(mechanism, study->cpu), 0, err) < 0 ||
	    study_attach(study, &task, &constraints[0], false, &id, err) < 0) {
		goto out;
	}
	for (int i = 1; i <= times; i++) {
		int64_t start, took = 0;

		study_sleep(study, MS + (int64_t)study_random(study, 5 * (uint64_t)MS));
		start = clock_mono_ns();
		if (engine_set(study->engine, id, &constraints[i % 2], err) < 0) {
			goto out;
		}
		add(&calls, clock_mono_ns() - start);
		study_sleep(study, 2 * MS);
		engine_list(study->engine, id, take_change, &took);
		add(&applied, took);
	}
	char call[96], apply[96];

	sample_text(&calls, call, sizeof(call));
	sample_text(&applied, apply, sizeof(apply));
	/* Only edf has somebody who could tell when it took a change up; the kernel has when the call returns. */
	study_row(study, "%s,%s,%s", name, call,
		  mechanism == ENGINE_EDF ? strchr(apply, ',') + 1 : strchr(call, ',') + 1);
	rc = 0;
out:
	if (study->engine) {
		detach_all(study, &id, 1);
	}
	probe_end(&task);
	end_all(load, STUDY_LOADS);
	return rc < 0 ? refused(name, err) : 0;
}

int study_latency(struct study *study, struct err *err)
{
	static const char script[] =
		"set style data histograms\n"
		"set style fill solid 1.0\n"
		"set ylabel 'until a change is in force (us)'\n"
		"plot data using 'applied_p50_us':xtic(1) title 'median', '' using 'applied_p99_us' title '99 %'\n";

	if (study_open(study, "latency",
		       "mechanism,changes,call_p50_us,call_p99_us,call_max_us,applied_p50_us,applied_p99_us,applied_"
		       "max_us",
		       err) < 0) {
		return -1;
	}
	for (int m = 0; m < STUDY_MECHANISMS; m++) {
		if (study->mechanism[m] && change_often(study, (enum engine_backend)m, err) < 0) {
			return -1;
		}
	}
	return study_close(study, "latency", script, err);
}
