/* A binary heap of guests, each of which knows its place in it. Knows nothing of what is due. */
#include "timers.h"

#include <stdlib.h>

#include "plan_state.h"

static bool before(const struct timer *a, const struct timer *b)
{
	if (a->at_us != b->at_us) {
		return a->at_us < b->at_us;
	}
	const struct vm *x = a->guest->vm, *y = b->guest->vm;
	return x->lease != y->lease ? x->lease < y->lease : x->index < y->index;
}

static void put(struct timers *timers, size_t i, struct timer timer)
{
	timers->item[i] = timer;
	timer.guest->timer = (uint32_t)i + 1;
}

static void sift_up(struct timers *timers, size_t i, struct timer timer)
{
	for (; i > 0 && before(&timer, &timers->item[(i - 1) / 2]); i = (i - 1) / 2) {
		put(timers, i, timers->item[(i - 1) / 2]);
	}
	put(timers, i, timer);
}

static void sift_down(struct timers *timers, size_t i, struct timer timer)
{
	for (size_t child = 2 * i + 1; child < timers->count; child = 2 * i + 1) {
		child += child + 1 < timers->count && before(&timers->item[child + 1], &timers->item[child]);
		if (!before(&timers->item[child], &timer)) {
			break;
		}
		put(timers, i, timers->item[child]);
		i = child;
	}
	put(timers, i, timer);
}

/* Into place i, which is free, or to where it belongs from there. */
static void settle(struct timers *timers, size_t i, struct timer timer)
{
	if (i > 0 && before(&timer, &timers->item[(i - 1) / 2])) {
		sift_up(timers, i, timer);
	} else {
		sift_down(timers, i, timer);
	}
}

void timers_set(struct timers *timers, struct guest *guest, wall_us at_us)
{
	size_t i = guest->timer ? (size_t)guest->timer - 1 : timers->count;

	if (at_us != TIMER_NONE) {
		if (!guest->timer) {
			timers->item = plan_grow(timers->item, timers->count++, &timers->room, sizeof(*timers->item));
		}
		settle(timers, i, (struct timer){at_us, guest});
	} else if (guest->timer) {
		guest->timer = 0;
		if (i < --timers->count) {
			settle(timers, i, timers->item[timers->count]);
		}
	}
}

wall_us timers_at(const struct timers *timers, const struct guest *guest)
{
	return guest->timer ? timers->item[guest->timer - 1].at_us : TIMER_NONE;
}

struct guest *timers_first(const struct timers *timers)
{
	return timers->count ? timers->item[0].guest : NULL;
}

void timers_fini(struct timers *timers)
{
	free(timers->item);
	*timers = (struct timers){0};
}
