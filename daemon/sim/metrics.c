/* Integrates the gauges. What they count is world.c's. */
#include "metrics.h"

#include "util.h"

#define MB 1e6

static void begin_interval(struct metrics *metrics, wall_us from_us)
{
	metrics->current = (struct interval){.from_us = from_us, .to_us = from_us + metrics->interval_us};
	for (uint32_t i = 0; i < metrics->nodes; i++) {
		int64_t bytes = metrics->pool[i];
		metrics->current.pool_max = bytes > metrics->current.pool_max ? bytes : metrics->current.pool_max;
	}
}

void metrics_init(struct metrics *metrics, uint32_t nodes, wall_us origin_us, span_us interval_us)
{
	*metrics = (struct metrics){.clock_us = origin_us, .interval_us = interval_us, .nodes = nodes};
	metrics->pool = xcalloc(nodes, sizeof(*metrics->pool));
	begin_interval(metrics, origin_us);
}

void metrics_fini(struct metrics *metrics)
{
	free(metrics->pool);
	free(metrics->done);
	*metrics = (struct metrics){0};
}

static void sum(struct gauges *to, const struct gauges *from, double weight)
{
	double *a = (double *)to;
	const double *b = (const double *)from;

	for (size_t i = 0; i < GAUGE_COUNT; i++) {
		a[i] += b[i] * weight;
	}
}

static void pass(struct metrics *metrics, wall_us to_us)
{
	sum(&metrics->current.sum, &metrics->now, (double)(to_us - metrics->clock_us));
	sum(&metrics->total, &metrics->now, (double)(to_us - metrics->clock_us));
	metrics->clock_us = to_us;
}

static void end_interval(struct metrics *metrics)
{
	if (metrics->count == metrics->room) {
		metrics->room = metrics->room ? 2 * metrics->room : 256;
		metrics->done = xrealloc(metrics->done, metrics->room, sizeof(*metrics->done));
	}
	metrics->done[metrics->count++] = metrics->current;
}

void metrics_advance(struct metrics *metrics, wall_us now)
{
	if (now <= metrics->clock_us) {
		return;
	}
	while (now >= metrics->current.to_us) {
		pass(metrics, metrics->current.to_us);
		end_interval(metrics);
		begin_interval(metrics, metrics->current.to_us);
	}
	pass(metrics, now);
}

void metrics_pool(struct metrics *metrics, uint32_t node, int64_t bytes)
{
	metrics->now.pool += (double)(bytes - metrics->pool[node]);
	metrics->pool[node] = bytes;
	metrics->current.pool_max = bytes > metrics->current.pool_max ? bytes : metrics->current.pool_max;
}

void metrics_moved(struct metrics *metrics, int64_t bytes)
{
	metrics->current.moved += bytes;
}

void metrics_close(struct metrics *metrics)
{
	metrics->current.to_us = metrics->clock_us;
	if (metrics->current.to_us > metrics->current.from_us || metrics->current.moved) {
		end_interval(metrics);
	}
}

void metrics_write(const struct metrics *metrics, wall_us origin_us, double cpu, FILE *out)
{
	fputs("from_s,to_s,utilization_promised,utilization_best_effort,waiting_leases,waiting_vms,nodes_busy,"
	      "link_busy,mb_transferred,pool_max_mb,pool_mean_mb,disk_mb\n",
	      out);
	for (size_t i = 0; i < metrics->count; i++) {
		const struct interval *row = &metrics->done[i];
		const struct gauges *g = &row->sum;
		double span = row->to_us > row->from_us ? (double)(row->to_us - row->from_us) : 1;
		fprintf(out, "%.6f,%.6f,%.6f,%.6f,%.3f,%.3f,%.3f,%.6f,%.3f,%.3f,%.3f,%.3f\n",
			(double)(row->from_us - origin_us) / 1e6, (double)(row->to_us - origin_us) / 1e6,
			g->cpu_promised / span / cpu, g->cpu_best_effort / span / cpu, g->waiting / span,
			g->waiting_vms / span, g->nodes_busy / span, g->link_busy / span, (double)row->moved / MB,
			(double)row->pool_max / MB, g->pool / span / MB / metrics->nodes, g->disk / span / MB);
	}
}
