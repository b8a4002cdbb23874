/* What the benchmark measures: single steps of the planner. Prints nothing. */
#include "cell.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "offer.h"
#include "policy.h"

#define LEAD_IN_US USEC_PER_HOUR /* reservations start after all of them have been asked for */

struct bench {
	struct plan *plan;
	struct actions out;
	wall_us now_us;
	uint64_t last_lease;
	uint64_t seed;
};

/* The processor's time: the planner waits for nothing, and what else the machine does is not its doing. */
static double clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_bytes(void)
{
	long all = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%ld %ld", &all, &resident) != 2) {
			resident = 0;
		}
		fclose(file);
	}
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void bench_init(struct bench *bench, const struct cell *cell)
{
	struct plan_settings settings = plan_defaults();

	if (cell->mode) {
		settings.backfill = cell->mode->backfill;
		settings.suspension = cell->mode->suspension;
		settings.queue = policy_queue(cell->mode->queue);
	}
	*bench = (struct bench){.plan = plan_new(&settings), .now_us = LOAD_ORIGIN_US, .seed = cell->seed};
	load_nodes(bench->plan, cell->nodes, &bench->out);
}

static void bench_fini(struct bench *bench)
{
	plan_free(bench->plan);
	actions_fini(&bench->out);
}

/* One step, a millisecond after the last; returns the time it took. */
static double step(struct bench *bench, const struct event *events, size_t count)
{
	bench->now_us += USEC_PER_MSEC;
	double begin = clock_s();
	plan_step(bench->plan, events, count, bench->now_us, &bench->out);
	return (clock_s() - begin) * 1e6;
}

static double request(struct bench *bench, const struct lease_spec *spec, bool *accepted)
{
	struct event event = {.kind = EVENT_LEASE_REQUESTED, .requested = {++bench->last_lease, *spec}};
	double took_us = step(bench, &event, 1);

	*accepted = plan_lease(bench->plan, bench->last_lease)->state != LEASE_REJECTED;
	return took_us;
}

static double cancel(struct bench *bench, uint64_t lease)
{
	struct event event = {.kind = EVENT_LEASE_CANCELLED, .cancelled = lease};

	return step(bench, &event, 1);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct quantiles quantiles(double *value, uint32_t n)
{
	if (n == 0) {
		return (struct quantiles){0};
	}
	qsort(value, n, sizeof(*value), by_value);
	return (struct quantiles){n, value[(n - 1) / 2], value[(uint64_t)(n - 1) * 99 / 100], value[n - 1]};
}

static void fill(struct bench *bench, const struct cell *cell, span_us span, struct admission_result *result)
{
	double before = resident_bytes(), begin = clock_s();
	bool accepted;

	while (result->booked < cell->count && clock_s() - begin < cell->limit_s * 0.7) {
		struct lease_spec spec = load_lease(&bench->seed, LEASE_AR);
		spec.start_us = LOAD_ORIGIN_US + LEAD_IN_US + (wall_us)load_pick(&bench->seed, (uint64_t)span);
		request(bench, &spec, &accepted);
		result->booked += accepted;
	}
	result->fill_s = clock_s() - begin;
	result->bytes_each = (resident_bytes() - before) / (double)(result->booked ? result->booked : 1);
}

/* Looks for what the lease just rejected could have instead, as that step did, and nothing else. */
static double offer(struct bench *bench, const struct lease_spec *spec)
{
	const struct reason reason = plan_lease(bench->plan, bench->last_lease)->reason;
	struct contract *contract = contract_new(bench->plan, ++bench->last_lease, spec);
	double begin = clock_s();

	offer_find(bench->plan, contract, &reason);
	double took_us = (clock_s() - begin) * 1e6;
	RB_REMOVE(contracts, &bench->plan->contracts, contract);
	contract_free(contract);
	return took_us;
}

struct admission_result cell_admission(const struct cell *cell)
{
	struct admission_result result = {0};
	span_us span = load_span(cell->nodes, cell->count);
	double *took = calloc(4 * cell->probes, sizeof(double));
	double *yes = took + cell->probes, *no = yes + cell->probes, *offers = no + cell->probes;
	uint32_t n = 0, accepted = 0, rejected = 0;
	struct bench bench;

	assert(took);
	bench_init(&bench, cell);
	fill(&bench, cell, span, &result);
	for (double begin = clock_s(); n < cell->probes && clock_s() - begin < cell->limit_s * 0.3; n++) {
		struct lease_spec spec = load_probe(&bench.seed, cell->nodes);
		bool ok;
		spec.start_us = LOAD_ORIGIN_US + LEAD_IN_US + (wall_us)load_pick(&bench.seed, (uint64_t)span);
		took[n] = request(&bench, &spec, &ok);
		if (ok) {
			yes[accepted++] = took[n];
			cancel(&bench, bench.last_lease);
		} else {
			no[rejected] = took[n];
			offers[rejected++] = offer(&bench, &spec);
		}
	}
	result.all = quantiles(took, n);
	result.accepted = quantiles(yes, accepted);
	result.rejected = quantiles(no, rejected);
	result.offers = quantiles(offers, rejected);
	free(took);
	bench_fini(&bench);
	return result;
}

/* Reserves all cores of every node from now on, each node a quarter at a time, all for different lengths. */
static void occupy(struct bench *bench, uint32_t nodes)
{
	wall_us start_us = bench->now_us + 10 * USEC_PER_MINUTE;

	for (uint32_t i = 0; i < 4 * nodes; i++) {
		struct lease_spec spec = load_lease(&bench->seed, LEASE_AR);
		bool accepted;
		spec.vms = 1;
		spec.per_vm.amount[RES_CPU] = LOAD_CORES * 1000 / 4;
		spec.start_us = start_us;
		spec.duration_us += USEC_PER_HOUR;
		request(bench, &spec, &accepted);
		assert(accepted);
	}
	bench->now_us = start_us;
	step(bench, NULL, 0);
}

static double submit(struct bench *bench, uint64_t count)
{
	struct event *events = calloc(count, sizeof(*events));

	assert(events);
	for (uint64_t i = 0; i < count; i++) {
		events[i].kind = EVENT_LEASE_REQUESTED;
		events[i].requested.id = ++bench->last_lease;
		events[i].requested.spec = load_lease(&bench->seed, LEASE_BEST_EFFORT);
	}
	double took_us = step(bench, events, count);
	free(events);
	return took_us / 1e6;
}

struct queue_result cell_queue(const struct cell *cell)
{
	struct queue_result result = {0};
	double *took = calloc(cell->probes, sizeof(double));
	struct bench bench;

	assert(took);
	bench_init(&bench, cell);
	occupy(&bench, cell->nodes);
	result.submit_s = submit(&bench, cell->count);
	for (uint32_t i = 0; i < cell->probes; i++) {
		took[i] = cancel(&bench, i + 1);
	}
	result.ended = quantiles(took, cell->probes);
	for (uint32_t i = 0; i < cell->probes; i++) {
		struct event events[2];
		load_node(cell->nodes + 1 + i, events);
		took[i] = step(&bench, events, 2);
	}
	result.node = quantiles(took, cell->probes);
	free(took);
	bench_fini(&bench);
	return result;
}
