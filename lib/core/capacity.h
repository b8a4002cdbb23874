/* Resource vectors: what a node has, what a guest takes. Plain values. */
#ifndef TENURE_CAPACITY_H
#define TENURE_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

enum resource {
	RES_CPU,     /* millicores */
	RES_MEMORY,  /* bytes */
	RES_DISK,    /* bytes of working space: overlays and saved memory */
	RES_NET_IN,  /* bytes per second */
	RES_NET_OUT, /* bytes per second */
	RES_COUNT
};

struct capacity {
	int64_t amount[RES_COUNT]; /* each >= 0 in a request or a node; differences may be negative */
};

/* The name used in settings, JSON and messages: "cpu", "memory", "disk", "net_in", "net_out". */
const char *resource_name(enum resource res);

/* In the header because the slot table does little else. */
static inline struct capacity capacity_add(struct capacity a, struct capacity b)
{
	for (int r = 0; r < RES_COUNT; r++) {
		a.amount[r] += b.amount[r];
	}
	return a;
}

static inline struct capacity capacity_sub(struct capacity a, struct capacity b)
{
	for (int r = 0; r < RES_COUNT; r++) {
		a.amount[r] -= b.amount[r];
	}
	return a;
}

/* Elementwise. */
static inline struct capacity capacity_max(struct capacity a, struct capacity b)
{
	for (int r = 0; r < RES_COUNT; r++) {
		a.amount[r] = a.amount[r] > b.amount[r] ? a.amount[r] : b.amount[r];
	}
	return a;
}

static inline bool capacity_same(const struct capacity *a, const struct capacity *b)
{
	int64_t differ = 0;

	for (int r = 0; r < RES_COUNT; r++) {
		differ |= a->amount[r] ^ b->amount[r];
	}
	return differ == 0;
}

/* Every element times n, n >= 0; the caller has checked that it does not overflow. */
struct capacity capacity_scale(struct capacity a, int64_t n);

/* True if no element of need exceeds that of have. */
static inline bool capacity_fits(struct capacity need, struct capacity have)
{
	for (int r = 0; r < RES_COUNT; r++) {
		if (need.amount[r] > have.amount[r]) {
			return false;
		}
	}
	return true;
}

/* How many times need fits into have: 0..limit. A need of all zeros fits limit times. */
static inline uint32_t capacity_times(struct capacity need, struct capacity have, uint32_t limit)
{
	for (int r = 0; r < RES_COUNT && limit; r++) {
		if (need.amount[r] <= 0) {
			/* Needs nothing of it, so that even a shortage made by others is not in its way. */
			continue;
		}
		if (have.amount[r] < need.amount[r]) {
			return 0;
		}
		/* Mostly there is room for one, and a division takes as long as all the rest. */
		int64_t times = have.amount[r] - need.amount[r] < need.amount[r] ? 1 : have.amount[r] / need.amount[r];
		if (times < limit) {
			limit = (uint32_t)times;
		}
	}
	return limit;
}

/* The resource of which there is least for the need. */
enum resource capacity_scarcest(struct capacity need, struct capacity have);

#endif
