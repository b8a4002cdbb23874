/* Figures from what became of each lease. */
#include "summary.h"

#include <inttypes.h>
#include <string.h>

#include "reason.h"
#include "util.h"

#define MB 1e6
#define WARM_UP 20 /* one of so many leases, from the first on, are left out of means */
#define BOUND_US (10 * USEC_PER_SEC)

/* Seconds; of a job that is done. */
static double wait_s(const struct job *job)
{
	return (double)(job->start_us - job->request->submit_us) / 1e6;
}

double summary_slowdown(const struct job *job)
{
	span_us dedicated_us = job->request->dedicated_us > BOUND_US ? job->request->dedicated_us : BOUND_US;
	double slowdown = (double)(job->end_us - job->request->submit_us) / (double)dedicated_us;

	return slowdown > 1 ? slowdown : 1;
}

static bool is_best_effort(const struct job *job)
{
	return job->request->spec.kind == LEASE_BEST_EFFORT;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void count(const struct job *job, struct summary *summary)
{
	bool rejected = job->state == LEASE_REJECTED;

	summary->leases++;
	summary->asked[job->request->spec.kind]++;
	summary->rejected[job->request->spec.kind] += rejected;
	summary->restarts += job->restarts;
	summary->unfinished += !lease_state_final(job->state);
	if (is_best_effort(job)) {
		summary->best_effort++;
		summary->best_effort_done += job->state == LEASE_DONE;
		summary->best_effort_rejected += rejected;
	} else if (job->request->spec.kind == LEASE_AR) {
		summary->ars++;
		summary->ars_rejected += rejected;
		summary->ars_accepted += !rejected && job->state != LEASE_NEW;
	} else if (job->request->spec.kind == LEASE_OPEN) {
		double response_s = (double)(job->start_us - job->request->call_us) / 1e6;
		bool ran = job->start_us != 0;
		summary->open_called += ran;
		if (ran && response_s > summary->open_response_max_s) {
			summary->open_response_max_s = response_s;
		}
	}
}

static void count_waits(const struct job *jobs, size_t n, struct summary *summary)
{
	_cleanup_free_ double *waits = xcalloc(n ? n : 1, sizeof(*waits));
	uint64_t first = summary->best_effort / WARM_UP, seen = 0, all = 0, warm = 0;

	for (size_t i = 0; i < n; i++) {
		const struct job *job = &jobs[i];
		if (!is_best_effort(job)) {
			continue;
		}
		bool counts = seen++ >= first;
		if (job->state != LEASE_DONE || !job->start_us) {
			continue;
		}
		waits[all++] = wait_s(job);
		summary->mean_wait_all_s += wait_s(job);
		summary->mean_bounded_slowdown_all += summary_slowdown(job);
		if (counts) {
			warm++;
			summary->mean_wait_s += wait_s(job);
			summary->mean_bounded_slowdown += summary_slowdown(job);
		}
	}
	if (all) {
		qsort(waits, all, sizeof(*waits), by_size);
		summary->max_wait_s = waits[all - 1];
		summary->p99_wait_s = waits[(all * 99 + 99) / 100 - 1];
		summary->mean_wait_all_s /= (double)all;
		summary->mean_bounded_slowdown_all /= (double)all;
	}
	if (warm) {
		summary->mean_wait_s /= (double)warm;
		summary->mean_bounded_slowdown /= (double)warm;
	}
}

static double utilization(const struct world *world)
{
	const struct world_totals *totals = world_totals(world);
	const struct metrics *metrics = world_metrics(world);
	bool any = totals->last_done_us > 0;
	double used = any ? totals->cpu_used : metrics->total.cpu_best_effort + metrics->total.cpu_promised;
	wall_us until_us = any ? totals->last_done_us : metrics->clock_us;

	return until_us > ORIGIN_US ? used / ((double)(until_us - ORIGIN_US) * world_cpu(world)) : 0;
}

void summary_make(const struct world *world, struct summary *summary)
{
	const struct world_totals *totals = world_totals(world);
	size_t n;
	const struct job *jobs = world_jobs(world, &n);

	*summary = (struct summary){
		.all_best_effort_s = totals->last_done_us ? (double)(totals->last_done_us - ORIGIN_US) / 1e6 : 0,
		.utilization = utilization(world),
		.suspensions = totals->suspensions,
		.migrations = totals->migrations,
		.transfers = totals->transfers,
		.mb_transferred = (double)totals->bytes / MB,
		.peak_pool_mb = (double)totals->peak_pool / MB,
		.promises_broken = totals->broken,
		.steps = totals->steps,
	};
	for (size_t i = 0; i < n; i++) {
		count(&jobs[i], summary);
	}
	count_waits(jobs, n, summary);
}

static void add_count(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

/* With as many digits for every value: a file is compared with others by its bytes. */
static void add_real(struct json_object *object, const char *key, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.6f", value);
	json_object_object_add(object, key, json_object_new_double_s(value, text));
}

/* Of the kinds that few traces have. */
static void add_others(const struct summary *summary, struct json_object *object)
{
	static const enum lease_kind kinds[] = {LEASE_IMMEDIATE, LEASE_DEADLINE, LEASE_OPEN};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *name = lease_kind_name(kinds[i]);
		_cleanup_free_ char *rejected = xasprintf("%s_rejected", name);

		if (summary->asked[kinds[i]]) {
			add_count(object, name, summary->asked[kinds[i]]);
			add_count(object, rejected, summary->rejected[kinds[i]]);
		}
	}
}

void summary_add(const struct summary *summary, struct json_object *object)
{
	add_count(object, "leases", summary->leases);
	add_count(object, "ars", summary->ars);
	add_count(object, "ars_accepted", summary->ars_accepted);
	add_count(object, "ars_rejected", summary->ars_rejected);
	add_count(object, "best_effort", summary->best_effort);
	add_count(object, "best_effort_done", summary->best_effort_done);
	add_count(object, "best_effort_rejected", summary->best_effort_rejected);
	add_others(summary, object);
	if (summary->asked[LEASE_OPEN]) {
		add_count(object, "open_called", summary->open_called);
		add_real(object, "open_response_max_s", summary->open_response_max_s);
	}
	add_count(object, "unfinished", summary->unfinished);
	add_real(object, "all_best_effort_s", summary->all_best_effort_s);
	add_real(object, "mean_wait_s", summary->mean_wait_s);
	add_real(object, "mean_bounded_slowdown", summary->mean_bounded_slowdown);
	add_real(object, "mean_wait_all_s", summary->mean_wait_all_s);
	add_real(object, "mean_bounded_slowdown_all", summary->mean_bounded_slowdown_all);
	add_real(object, "max_wait_s", summary->max_wait_s);
	add_real(object, "p99_wait_s", summary->p99_wait_s);
	add_real(object, "utilization", summary->utilization);
	add_count(object, "suspensions", summary->suspensions);
	add_count(object, "restarts", summary->restarts);
	add_count(object, "migrations", summary->migrations);
	add_count(object, "transfers", summary->transfers);
	add_real(object, "mb_transferred", summary->mb_transferred);
	add_real(object, "peak_pool_mb", summary->peak_pool_mb);
	add_count(object, "promises_broken", summary->promises_broken);
	add_count(object, "steps", summary->steps);
}

/* A time from the origin; nothing if there is none. */
static void put_time(FILE *out, wall_us t)
{
	if (t) {
		fprintf(out, "%.6f", (double)(t - ORIGIN_US) / 1e6);
	}
	fputc(',', out);
}

static void put_job(FILE *out, uint64_t id, const struct job *job)
{
	const struct request *request = job->request;
	const struct lease_spec *spec = &request->spec;
	bool ran = job->start_us != 0;
	bool done = ran && job->state == LEASE_DONE;

	fprintf(out, "%" PRIu64 ",%s,%s,%u,%" PRIu64 ",", id, lease_kind_name(spec->kind), spec->serial ? "yes" : "no",
		spec->vms, spec->image);
	put_time(out, request->submit_us);
	put_time(out, spec->start_us);
	put_time(out, job->start_us);
	put_time(out, job->end_us);
	fprintf(out, "%.6f,%.6f,", (double)spec->duration_us / 1e6, (double)request->real_us / 1e6);
	if (ran) {
		fprintf(out, "%.6f", wait_s(job));
	}
	fputc(',', out);
	if (done) {
		fprintf(out, "%.6f", summary_slowdown(job));
	}
	fprintf(out, ",%u,%u,%s,%s,%s\n", job->suspensions, job->restarts, lease_state_name(job->state),
		job->reason.code ? reason_name(job->reason.code) : "", job->broken ? "yes" : "no");
}

void summary_leases(const struct world *world, FILE *out)
{
	size_t n;
	const struct job *jobs = world_jobs(world, &n);

	fputs("id,kind,serial,vms,image,submit_s,asked_start_s,start_s,end_s,requested_s,real_s,wait_s,slowdown,"
	      "suspensions,"
	      "restarts,state,reason,broken\n",
	      out);
	for (size_t i = 0; i < n; i++) {
		put_job(out, i + 1, &jobs[i]);
	}
}
