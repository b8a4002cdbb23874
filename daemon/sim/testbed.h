/*
 * The cluster on which image reuse was measured (master's paper of 2007, section 8.2), as its text and its scripts
 * describe it: not the planner, but a batch system that starts whatever fits and lets the copies run. What came of it
 * was published, so this shows whether it is understood.
 */
#ifndef TENURE_SIM_TESTBED_H
#define TENURE_SIM_TESTBED_H

#include "trace.h"

struct testbed {
	uint32_t nodes, slots; /* VMs of a node */
	int64_t link_rate;     /* bytes a second, out of the repository */
	int64_t copy_rate;     /* bytes a second, from a node's cache to where a VM uses it; 0: takes no time */
	uint32_t cache;        /* images a node keeps, the least often used going first; 0: none, and no copy either */
};

/* One image that was deployed. */
struct deployed {
	wall_us at_us;   /* ready to use; from the trace's origin */
	span_us took_us; /* from the beginning of its transfer, or copy, until its cluster can begin */
	int64_t bytes;
};

/*
 * Runs the requests as clusters whose VMs all begin together, in order of submission. Writes what was deployed, in
 * order, to the array, which has room for the VMs of all requests; returns how many. Those wider than the testbed are
 * left out. The seed decides among nodes that are as good as each other.
 */
size_t testbed_run(const struct testbed *testbed, const struct trace *trace, int64_t seed, struct deployed *deployed);

#endif
