/* Image pools. They hold few images: lists that are looked through. */
#include "sim_pool.h"

#include "util.h"

void sim_pool_add(struct sim_pool *pool, uint64_t image, int64_t bytes, wall_us now)
{
	if (pool->count == pool->room) {
		pool->room = pool->room ? 2 * pool->room : 4;
		pool->item = xrealloc(pool->item, pool->room, sizeof(*pool->item));
	}
	pool->item[pool->count++] = (struct pool_entry){image, bytes, now};
	pool->bytes += bytes;
	pool->peak = pool->bytes > pool->peak ? pool->bytes : pool->peak;
}

struct pool_entry *sim_pool_find(const struct sim_pool *pool, uint64_t image)
{
	for (size_t i = 0; i < pool->count; i++) {
		if (pool->item[i].image == image) {
			return &pool->item[i];
		}
	}
	return NULL;
}

bool sim_pool_remove(struct sim_pool *pool, uint64_t image)
{
	struct pool_entry *entry = sim_pool_find(pool, image);

	if (!entry) {
		return false;
	}
	pool->bytes -= entry->bytes;
	*entry = pool->item[--pool->count];
	return true;
}

const struct pool_entry *sim_pool_oldest(const struct sim_pool *pool, bool (*kept)(uint64_t image, void *arg),
					 void *arg)
{
	const struct pool_entry *oldest = NULL;

	for (size_t i = 0; i < pool->count; i++) {
		const struct pool_entry *entry = &pool->item[i];
		bool older = !oldest || entry->used_us < oldest->used_us ||
			     (entry->used_us == oldest->used_us && entry->image < oldest->image);
		if (older && !kept(entry->image, arg)) {
			oldest = entry;
		}
	}
	return oldest;
}

void sim_pool_fini(struct sim_pool *pool)
{
	free(pool->item);
	*pool = (struct sim_pool){0};
}
