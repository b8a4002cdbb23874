/* The ring of misses. Head and tail count on for ever; their difference is what is in it. */
#include "ring.h"

bool ring_put(struct ring *ring, const struct ring_item *item)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == RING_SIZE) {
		atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
		return false;
	}
	ring->item[head % RING_SIZE] = *item;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	return true;
}

bool ring_get(struct ring *ring, struct ring_item *out)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&ring->head, memory_order_acquire)) {
		return false;
	}
	*out = ring->item[tail % RING_SIZE];
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return true;
}
