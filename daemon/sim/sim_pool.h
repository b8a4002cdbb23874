/* A node's image pool: what is there, how long ago it was used, and which goes first. */
#ifndef TENURE_SIM_SIM_POOL_H
#define TENURE_SIM_SIM_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "usec.h"

struct pool_entry {
	uint64_t image;
	int64_t bytes;
	wall_us used_us;
};

struct sim_pool {
	struct pool_entry *item;
	size_t count, room;
	int64_t bytes, limit, peak;
};

/* Adds an image that is not there; whoever wants to keep the limit has made room before. */
void sim_pool_add(struct sim_pool *pool, uint64_t image, int64_t bytes, wall_us now);
/* False if it was not there. */
bool sim_pool_remove(struct sim_pool *pool, uint64_t image);
/* Its entry, valid until the next change; NULL if it is not there. */
struct pool_entry *sim_pool_find(const struct sim_pool *pool, uint64_t image);
/* The least recently used of those for which kept() is false; NULL if there is none. */
const struct pool_entry *sim_pool_oldest(const struct sim_pool *pool, bool (*kept)(uint64_t image, void *arg),
					 void *arg);
void sim_pool_fini(struct sim_pool *pool);

#endif
