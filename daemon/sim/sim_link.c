/* Processor sharing in integers: each flow ends when the link has done a certain work for each of those on it. */
#include "sim_link.h"

#include <utlist.h>

#include "util.h"

#define FINE 16 /* bits of work below a microsecond: what rounding loses when shared, in a year of sharing, is ms */

static void advance(struct sim_link *link, wall_us now)
{
	if (link->count) {
		link->work += ((uint64_t)(now - link->clock_us) << FINE) / link->count;
		link->busy_us += now - link->clock_us;
	}
	link->clock_us = now;
}

static void set_due(struct sim_link *link, struct agenda *agenda)
{
	const struct flow *flow, *first = link->flows;
	wall_us at_us = WALL_NEVER;

	DL_FOREACH (link->flows, flow) {
		first = flow->done_at < first->done_at ? flow : first;
	}
	if (first) {
		uint64_t left = first->done_at > link->work ? (first->done_at - link->work) * link->count : 0;
		at_us = link->clock_us + (wall_us)((left + (1U << FINE) - 1) >> FINE);
	}
	agenda_set(agenda, &link->due, at_us);
}

struct flow *sim_link_begin(struct sim_link *link, struct agenda *agenda, wall_us now, uint64_t image, int64_t bytes,
			    span_us alone_us)
{
	struct flow *flow = xcalloc(1, sizeof(*flow));

	advance(link, now);
	flow->image = image;
	flow->bytes = bytes;
	flow->since_us = now;
	flow->done_at = link->work + ((uint64_t)alone_us << FINE);
	DL_APPEND(link->flows, flow);
	link->count++;
	set_due(link, agenda);
	return flow;
}

struct flow *sim_link_twin(const struct sim_link *link, wall_us now, uint64_t image)
{
	struct flow *flow;

	DL_FOREACH (link->flows, flow) {
		if (flow->image == image && flow->since_us == now) {
			return flow;
		}
	}
	return NULL;
}

static void take_off(struct sim_link *link, struct agenda *agenda, struct flow *flow)
{
	DL_DELETE(link->flows, flow);
	link->count--;
	set_due(link, agenda);
}

struct flow *sim_link_take(struct sim_link *link, struct agenda *agenda, wall_us now)
{
	struct flow *flow;

	advance(link, now);
	DL_FOREACH (link->flows, flow) {
		if (flow->done_at <= link->work) {
			link->bytes += flow->bytes;
			take_off(link, agenda, flow);
			return flow;
		}
	}
	return NULL;
}

void sim_link_drop(struct sim_link *link, struct agenda *agenda, wall_us now, struct flow *flow)
{
	advance(link, now);
	take_off(link, agenda, flow);
	free(flow);
}

void sim_link_fini(struct sim_link *link)
{
	struct flow *flow, *next;

	DL_FOREACH_SAFE (link->flows, flow, next) {
		DL_DELETE(link->flows, flow);
		free(flow);
	}
}
