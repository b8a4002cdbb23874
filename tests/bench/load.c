/* Makes clusters and requests for the benchmark. Measures nothing. */
#include "load.h"

#include <math.h>

#define GIB (INT64_C(1) << 30)
#define SHORTEST_S 600.0
#define LONGEST_S 28800.0
#define MEAN_S ((LONGEST_S - SHORTEST_S) / log(LONGEST_S / SHORTEST_S))
#define MEAN_VMS 1.2
#define MEAN_CORES (7 / 3.0)
#define LOAD 0.9
#define WIDE_MAX 1250

uint64_t load_pick(uint64_t *seed, uint64_t below)
{
	/* splitmix64, Steele, Lea and Flood 2014 */
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

void load_node(uint32_t id, struct event events[2])
{
	events[0] = (struct event){
		.kind = EVENT_NODE,
		.node = {.id = id,
			 .capacity = {{LOAD_CORES * 1000, 4 * LOAD_CORES * GIB, 1024 * GIB}},
			 .pool_bytes = 100 * GIB,
			 .suspend_rate = GIB,
			 .resume_rate = GIB},
	};
	events[1] = (struct event){.kind = EVENT_IMAGE_PRESENT, .pool = {.node = id, .image = 1}};
}

void load_nodes(struct plan *plan, uint32_t count, struct actions *out)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {.id = 1, .size = GIB}};

	plan_step(plan, &image, 1, LOAD_ORIGIN_US, out);
	for (uint32_t id = 1; id <= count; id++) {
		struct event events[2];
		load_node(id, events);
		plan_step(plan, events, 2, LOAD_ORIGIN_US, out);
	}
}

static struct capacity vm_size(uint64_t *seed, int64_t cores)
{
	int64_t memory = cores * (2 * GIB + (int64_t)load_pick(seed, 9) * GIB / 4);

	return (struct capacity){{cores * 1000, memory, 10 * GIB}};
}

struct lease_spec load_lease(uint64_t *seed, enum lease_kind kind)
{
	double part = (double)load_pick(seed, 1000000) / 1e6;
	struct lease_spec spec = {.kind = kind, .vms = 1, .image = 1};

	spec.duration_us = (span_us)(SHORTEST_S * pow(LONGEST_S / SHORTEST_S, part)) * USEC_PER_SEC;
	spec.per_vm = vm_size(seed, INT64_C(1) << load_pick(seed, 3));
	if (kind == LEASE_BEST_EFFORT) {
		spec.vms = 1 + (uint32_t)load_pick(seed, 8);
	} else if (load_pick(seed, 10) == 0) {
		spec.vms = 2 + (uint32_t)load_pick(seed, 3);
	}
	return spec;
}

struct lease_spec load_probe(uint64_t *seed, uint32_t nodes)
{
	struct lease_spec spec = load_lease(seed, LEASE_AR);
	uint64_t kind = load_pick(seed, 4);

	if (kind >= 2) {
		spec.per_vm = vm_size(seed, LOAD_CORES);
		spec.vms = 1;
	}
	if (kind == 3) {
		spec.vms = nodes / 8 < WIDE_MAX ? (nodes + 7) / 8 : WIDE_MAX;
	}
	return spec;
}

span_us load_span(uint32_t nodes, uint64_t reservations)
{
	double seconds = (double)reservations * MEAN_VMS * MEAN_CORES * MEAN_S / (nodes * LOAD_CORES * LOAD);

	return (span_us)(seconds > 12 * 3600 ? seconds : 12 * 3600) * USEC_PER_SEC;
}
