/* The benchmark's cluster and its made-up requests. Everything follows from the seed. */
#ifndef TENURE_BENCH_LOAD_H
#define TENURE_BENCH_LOAD_H

#include "plan.h"

#define LOAD_ORIGIN_US (1000 * USEC_PER_SEC) /* when a benchmark begins */
#define LOAD_CORES 16                        /* of each node; 64 GiB and 1 TiB beside */

/* Uniform in 0 .. below - 1, below > 0. */
uint64_t load_pick(uint64_t *seed, uint64_t below);

/* The two events by which a node appears, with the one image (id 1) in its pool. */
void load_node(uint32_t id, struct event events[2]);
/* Adds the image and nodes 1 .. count to an empty plan. */
void load_nodes(struct plan *plan, uint32_t count, struct actions *out);

/*
 * A request of 1, 2 or 4 cores a VM, 2 to 4 GiB a core, for 10 minutes to 8 hours (logarithm uniform). A reservation
 * has one VM, one in ten 2 to 4, a best-effort lease 1 to 8; the caller sets start_us.
 */
struct lease_spec load_lease(uint64_t *seed, enum lease_kind kind);

/*
 * Like load_lease() for half of the probes; of the rest half want one whole node, half an eighth of the nodes (at most
 * 1250) whole.
 */
struct lease_spec load_probe(uint64_t *seed, uint32_t nodes);

/* How long a span that many reservations fill to nine tenths of the cores; 12 hours at least. */
span_us load_span(uint32_t nodes, uint64_t reservations);

#endif
