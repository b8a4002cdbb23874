/*
 * The slot table: a treap of change points per node. Each point holds how much use changes there, and its subtree the
 * sum of those changes and the highest and lowest prefix sum. Decides nothing and knows no leases.
 */
#include "slots.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct point {
	wall_us at_us;
	uint32_t rank; /* heap order of the treap */
	struct point *left, *right;
	struct capacity step; /* change of use here; never all zero */
	struct capacity sum;  /* of the subtree's steps */
	struct capacity high; /* highest sum of the subtree's first k steps, k >= 1 */
	struct capacity low;  /* lowest one */
};

struct slots {
	struct point *root;
	uint32_t seed; /* ranks only shape the tree; answers do not depend on them */
};

static const char *const kind_names[SLOT_KIND_COUNT] = {
	[SLOT_PREPARE] = "prepare", [SLOT_RUN] = "run",   [SLOT_STOP] = "stop",
	[SLOT_SUSPEND] = "suspend", [SLOT_HOLD] = "hold", [SLOT_RESUME] = "resume",
};

const char *slot_kind_name(enum slot_kind kind)
{
	assert(kind < SLOT_KIND_COUNT);
	return kind_names[kind];
}

int slot_kind_parse(const char *name, enum slot_kind *kind)
{
	for (int i = 0; i < SLOT_KIND_COUNT; i++) {
		if (strcmp(name, kind_names[i]) == 0) {
			*kind = (enum slot_kind)i;
			return 0;
		}
	}
	return -1;
}

struct capacity slot_use(enum slot_kind kind, struct capacity vm)
{
	struct capacity use = {.amount = {[RES_MEMORY] = vm.amount[RES_MEMORY], [RES_DISK] = vm.amount[RES_DISK]}};

	switch (kind) {
	case SLOT_RUN:
		return vm;
	case SLOT_PREPARE:
	case SLOT_STOP:
		return use;
	case SLOT_SUSPEND:
	case SLOT_RESUME:
		use.amount[RES_DISK] += vm.amount[RES_MEMORY];
		return use;
	case SLOT_HOLD:
		use.amount[RES_DISK] += vm.amount[RES_MEMORY];
		use.amount[RES_MEMORY] = 0;
		return use;
	case SLOT_KIND_COUNT:
		break;
	}
	assert(!"a slot kind");
	return use;
}

struct slots *slots_new(void)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	assert(slots);
	slots->seed = 2463534242U;
	return slots;
}

static void point_free(struct point *p)
{
	if (p) {
		point_free(p->left);
		point_free(p->right);
		free(p);
	}
}

void slots_free(struct slots *slots)
{
	if (slots) {
		point_free(slots->root);
		free(slots);
	}
}

static int64_t higher(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t lower(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Recomputes what p's subtree sums up to, from its children. */
static void point_sum_up(struct point *p)
{
	for (int r = 0; r < RES_COUNT; r++) {
		int64_t here = p->step.amount[r] + (p->left ? p->left->sum.amount[r] : 0);
		int64_t high = here, low = here, sum = here;
		if (p->left) {
			high = higher(high, p->left->high.amount[r]);
			low = lower(low, p->left->low.amount[r]);
		}
		if (p->right) {
			high = higher(high, here + p->right->high.amount[r]);
			low = lower(low, here + p->right->low.amount[r]);
			sum += p->right->sum.amount[r];
		}
		p->sum.amount[r] = sum;
		p->high.amount[r] = high;
		p->low.amount[r] = low;
	}
}

static struct point *rotate_right(struct point *p)
{
	struct point *top = p->left;

	p->left = top->right;
	top->right = p;
	point_sum_up(p);
	return top;
}

static struct point *rotate_left(struct point *p)
{
	struct point *top = p->right;

	p->right = top->left;
	top->left = p;
	point_sum_up(p);
	return top;
}

/* Joins two subtrees, all of a before all of b. */
static struct point *join(struct point *a, struct point *b)
{
	if (!a || !b) {
		return a ? a : b;
	}
	if (a->rank > b->rank) {
		a->right = join(a->right, b);
		point_sum_up(a);
		return a;
	}
	b->left = join(a, b->left);
	point_sum_up(b);
	return b;
}

static struct point *point_new(struct slots *slots, wall_us at_us, const struct capacity *step)
{
	struct point *p = calloc(1, sizeof(*p));

	assert(p);
	slots->seed ^= slots->seed << 13; /* xorshift32, Marsaglia 2003 */
	slots->seed ^= slots->seed >> 17;
	slots->seed ^= slots->seed << 5;
	p->at_us = at_us;
	p->rank = slots->seed;
	p->step = *step;
	point_sum_up(p);
	return p;
}

/* Adds step to the point at at_us, making it if there is none and removing it if nothing is left of it. */
static struct point *add_step(struct slots *slots, struct point *p, wall_us at_us, const struct capacity *step)
{
	static const struct capacity nothing;

	if (!p) {
		return point_new(slots, at_us, step);
	}
	if (at_us == p->at_us) {
		p->step = capacity_add(p->step, *step);
		if (memcmp(&p->step, &nothing, sizeof(nothing)) == 0) {
			struct point *rest = join(p->left, p->right);
			free(p);
			return rest;
		}
	} else if (at_us < p->at_us) {
		p->left = add_step(slots, p->left, at_us, step);
		if (p->left && p->left->rank > p->rank) {
			p = rotate_right(p);
		}
	} else {
		p->right = add_step(slots, p->right, at_us, step);
		if (p->right && p->right->rank > p->rank) {
			p = rotate_left(p);
		}
	}
	point_sum_up(p);
	return p;
}

void slots_reserve(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use)
{
	static const struct capacity nothing;
	struct capacity back = capacity_sub(nothing, use);

	assert(start_us < end_us);
	if (memcmp(&use, &nothing, sizeof(nothing)) == 0) {
		return;
	}
	slots->root = add_step(slots, slots->root, start_us, &use);
	slots->root = add_step(slots, slots->root, end_us, &back);
}

void slots_release(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use)
{
	static const struct capacity nothing;

	slots_reserve(slots, start_us, end_us, capacity_sub(nothing, use));
}

/* Use at the instant at_us: the sum of all steps up to and including it. */
static struct capacity use_at(const struct point *p, wall_us at_us)
{
	struct capacity use = {{0}};

	while (p) {
		if (p->at_us > at_us) {
			p = p->left;
			continue;
		}
		if (p->left) {
			use = capacity_add(use, p->left->sum);
		}
		use = capacity_add(use, p->step);
		p = p->right;
	}
	return use;
}

/*
 * Walks the points in (start, end) in order, adding their steps to use and raising peak. after and before say that the
 * whole subtree is known to be later than start and earlier than end: then its summary does.
 */
static void scan_peak(const struct point *p, wall_us start_us, wall_us end_us, bool after, bool before,
		      struct capacity *use, struct capacity *peak)
{
	if (!p) {
		return;
	}
	if (after && before) {
		*peak = capacity_max(*peak, capacity_add(*use, p->high));
		*use = capacity_add(*use, p->sum);
	} else if (!after && p->at_us <= start_us) {
		scan_peak(p->right, start_us, end_us, after, before, use, peak);
	} else if (!before && p->at_us >= end_us) {
		scan_peak(p->left, start_us, end_us, after, before, use, peak);
	} else {
		scan_peak(p->left, start_us, end_us, after, true, use, peak);
		*use = capacity_add(*use, p->step);
		*peak = capacity_max(*peak, *use);
		scan_peak(p->right, start_us, end_us, true, before, use, peak);
	}
}

struct capacity slots_peak(const struct slots *slots, wall_us start_us, wall_us end_us)
{
	struct capacity use = use_at(slots->root, start_us);
	struct capacity peak = use;

	assert(start_us < end_us);
	scan_peak(slots->root, start_us, end_us, false, false, &use, &peak);
	return peak;
}

/* The first point later than from_us where use exceeds limit; use comes in as it is at from_us. */
static const struct point *first_over(const struct point *p, wall_us from_us, bool after, struct capacity *use,
				      const struct capacity *limit)
{
	if (!p) {
		return NULL;
	}
	if (after && capacity_fits(capacity_add(*use, p->high), *limit)) {
		*use = capacity_add(*use, p->sum);
		return NULL;
	}
	if (!after && p->at_us <= from_us) {
		return first_over(p->right, from_us, after, use, limit);
	}
	const struct point *found = first_over(p->left, from_us, after, use, limit);
	if (found) {
		return found;
	}
	*use = capacity_add(*use, p->step);
	if (!capacity_fits(*use, *limit)) {
		return p;
	}
	return first_over(p->right, from_us, true, use, limit);
}

/* The first point later than from_us where use is within limit. */
static const struct point *first_within(const struct point *p, wall_us from_us, bool after, struct capacity *use,
					const struct capacity *limit)
{
	if (!p) {
		return NULL;
	}
	if (after && !capacity_fits(capacity_add(*use, p->low), *limit)) {
		*use = capacity_add(*use, p->sum);
		return NULL;
	}
	if (!after && p->at_us <= from_us) {
		return first_within(p->right, from_us, after, use, limit);
	}
	const struct point *found = first_within(p->left, from_us, after, use, limit);
	if (found) {
		return found;
	}
	*use = capacity_add(*use, p->step);
	if (capacity_fits(*use, *limit)) {
		return p;
	}
	return first_within(p->right, from_us, true, use, limit);
}

wall_us slots_until(const struct slots *slots, struct capacity limit, wall_us from_us)
{
	struct capacity use = use_at(slots->root, from_us);

	if (!capacity_fits(use, limit)) {
		return from_us;
	}
	const struct point *p = first_over(slots->root, from_us, false, &use, &limit);
	return p ? p->at_us : WALL_NEVER;
}

wall_us slots_fit(const struct slots *slots, struct capacity limit, wall_us from_us, span_us length_us)
{
	for (;;) {
		wall_us over_us = slots_until(slots, limit, from_us);
		if (over_us == WALL_NEVER || over_us - from_us >= length_us) {
			return from_us;
		}
		struct capacity use = use_at(slots->root, over_us);
		const struct point *p = first_within(slots->root, over_us, false, &use, &limit);
		if (!p || p->at_us >= WALL_NEVER) {
			return WALL_NEVER;
		}
		from_us = p->at_us;
	}
}

wall_us slots_next(const struct slots *slots, wall_us after_us)
{
	wall_us next_us = WALL_NEVER;

	for (const struct point *p = slots->root; p;) {
		if (p->at_us > after_us) {
			next_us = p->at_us;
			p = p->left;
		} else {
			p = p->right;
		}
	}
	return next_us;
}
