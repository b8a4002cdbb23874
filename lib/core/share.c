/* Keeps the sums of fair share. Decides nothing. */
#include "share.h"

#include <string.h>

#include "plan_state.h"

#define PER_HALF 8                                        /* steps in which use decays, in a half-life */
#define AMOUNT_MAX (INT64_MAX / 4 / (SHARE_STEPS * 1024)) /* so that no sum of them overflows */

/* Eighths of a half-life as counted from the beginning of time: sums by them do not depend on when they are made. */
static int64_t step_of(const struct plan *plan, wall_us at_us)
{
	span_us step_us = plan->settings.share_half_us / PER_HALF;

	return at_us / (step_us > 0 ? step_us : 1);
}

/* The first whose user is not lower. */
static size_t find(const struct plan *plan, uint32_t user)
{
	size_t low = 0, high = plan->share_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (plan->shares[middle].user < user) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static struct share *find_or_make(struct plan *plan, uint32_t user)
{
	size_t i = find(plan, user);

	if (i == plan->share_count || plan->shares[i].user != user) {
		plan->shares = plan_grow(plan->shares, plan->share_count, &plan->share_room, sizeof(*plan->shares));
		memmove(&plan->shares[i + 1], &plan->shares[i], (plan->share_count - i) * sizeof(*plan->shares));
		plan->shares[i] = (struct share){.user = user};
		plan->share_count++;
	}
	return &plan->shares[i];
}

void share_charge(struct plan *plan, uint32_t user, int64_t cpu, wall_us start_us, wall_us end_us)
{
	struct share *share = find_or_make(plan, user);
	int64_t step = step_of(plan, end_us);
	__int128 amount = (__int128)cpu * (end_us - start_us) / USEC_PER_SEC;

	if (step > share->last) {
		for (int64_t s = share->last + 1; s <= step && s <= share->last + SHARE_STEPS; s++) {
			share->amount[s % SHARE_STEPS] = 0;
		}
		share->last = step;
	} else if (step <= share->last - SHARE_STEPS) {
		return;
	}
	amount += share->amount[step % SHARE_STEPS];
	share->amount[step % SHARE_STEPS] = amount < AMOUNT_MAX ? (int64_t)amount : AMOUNT_MAX;
}

int64_t share_of(const struct plan *plan, uint32_t user)
{
	static const int64_t weight[PER_HALF] = {1024, 939, 861, 790, 724, 664, 609, 558}; /* 1024 / 2^(i/8) */
	size_t i = find(plan, user);
	int64_t sum = 0;

	if (i == plan->share_count || plan->shares[i].user != user) {
		return 0;
	}
	const struct share *share = &plan->shares[i];
	int64_t now = step_of(plan, plan->now_us);
	for (int64_t s = share->last; s > share->last - SHARE_STEPS && s >= 0; s--) {
		int64_t age = now > s ? now - s : 0;
		if (age < SHARE_STEPS) {
			sum += share->amount[s % SHARE_STEPS] * (weight[age % PER_HALF] >> (age / PER_HALF));
		}
	}
	return sum;
}
