/* Arithmetic on resource vectors. Knows nothing of nodes or times. */
#include "capacity.h"

#include <assert.h>

const char *resource_name(enum resource res)
{
	static const char *const names[RES_COUNT] = {"cpu", "memory", "disk", "net_in", "net_out"};

	assert(res < RES_COUNT);
	return names[res];
}

struct capacity capacity_scale(struct capacity a, int64_t n)
{
	for (int r = 0; r < RES_COUNT; r++) {
		a.amount[r] *= n;
	}
	return a;
}

enum resource capacity_scarcest(struct capacity need, struct capacity have)
{
	enum resource worst = RES_CPU;
	double least = 1e300;

	for (int r = 0; r < RES_COUNT; r++) {
		double part = need.amount[r] > 0 ? (double)have.amount[r] / (double)need.amount[r] : 1e300;
		if (part < least) {
			least = part;
			worst = (enum resource)r;
		}
	}
	return worst;
}
