/* Questions to the slot table. They change nothing of it but what it remembers of the last answer. */
#include "slots_page.h"

#include <assert.h>
#include <string.h>

/* Raises peak to the use in [start_us, end_us) by these rows. */
INLINE void leaf_peak(unsigned width, const struct page *leaf, wall_us start_us, wall_us end_us, int64_t *peak)
{
	for (uint32_t i = row_of(leaf, start_us); i < leaf->count && leaf->cell[i] < end_us; i++) {
		const int64_t *level = leaf_level(width, leaf, i);
		for (unsigned c = 0; c < width; c++) {
			peak[c] = level[c] > peak[c] ? level[c] : peak[c];
		}
	}
}

static struct level minus(const struct slots *slots, const struct level *a, const struct level *b)
{
	struct level rest = none;

	for (unsigned c = 0; c < slots->width; c++) {
		rest.n[c] = a->n[c] - b->n[c];
	}
	return rest;
}

/* Raises peak to the use in [start_us, end_us) as far as this page knows it. */
static void find_peak(const struct slots *slots, const struct page *page, unsigned height, wall_us start_us,
		      wall_us end_us, const struct level *offset, struct level *peak)
{
	struct level here = *offset;
	uint32_t i = row_of(page, start_us);

	for (; height > 0 && (i + 1 == page->count || page->cell[i + 1] >= end_us); height--) {
		here = plus(slots, &here, part_at(slots, page, height, i, ROW_OFFSET));
		page = page_below(slots, page, height, i);
		i = row_of(page, start_us);
	}
	if (height == 0) {
		*peak = minus(slots, peak, &here);
		BY_WIDTH(slots, leaf_peak, page, start_us, end_us, peak->n);
		*peak = plus(slots, peak, here.n);
		return;
	}
	for (; i < page->count && page->cell[i] < end_us; i++) {
		const int64_t *high = high_at(slots, page, height, i);
		if (within(slots, high, &here, peak)) {
			continue;
		}
		bool whole = page->cell[i] >= start_us && i + 1 < page->count && page->cell[i + 1] <= end_us;
		if (whole) {
			for (unsigned c = 0; c < slots->width; c++) {
				int64_t use = high[c] + here.n[c];
				peak->n[c] = use > peak->n[c] ? use : peak->n[c];
			}
		} else {
			struct level below = plus(slots, &here, part_at(slots, page, height, i, ROW_OFFSET));
			find_peak(slots, page_below(slots, page, height, i), height - 1, start_us, end_us, &below,
				  peak);
		}
	}
}

static struct capacity unpack(const struct slots *slots, const int64_t *level)
{
	struct capacity use = {{0}};

	for (unsigned c = 0; c < slots->width; c++) {
		use.amount[slots->column[c]] = level[c];
	}
	return use;
}

/* True if the table is small and use is the same in all of [start_us, end_us); then flat says so. */
static bool find_flat(const struct slots *slots, wall_us start_us, wall_us end_us)
{
	struct slots *memo = (struct slots *)slots; /* a table is none the different for it */
	const struct page *leaf = slots->root;
	uint32_t n = leaf ? rows_upto(leaf, start_us) : 0;
	wall_us to_us = leaf && n < leaf->count ? leaf->cell[n] : INT64_MAX;

	if (slots->height > 0 || end_us > to_us) {
		return false;
	}
	memo->flat.from_us = n ? leaf->cell[n - 1] : INT64_MIN;
	memo->flat.to_us = to_us;
	memo->flat.use = unpack(slots, n ? row_at(slots, leaf, 0, n - 1) : none.n);
	return true;
}

struct capacity slots_peak(const struct slots *slots, wall_us start_us, wall_us end_us)
{
	struct level offset = {{0}}, peak;

	assert(start_us < end_us);
	if ((start_us >= slots->flat.from_us && end_us <= slots->flat.to_us) || find_flat(slots, start_us, end_us)) {
		return slots->flat.use;
	}
	for (unsigned c = 0; c < slots->width; c++) {
		peak.n[c] = slots->root->cell[0] > start_us ? 0 : INT64_MIN / 4;
	}
	find_peak(slots, slots->root, slots->height, start_us, end_us, &offset, &peak);
	return unpack(slots, peak.n);
}

const struct capacity *slots_use(const struct slots *slots, wall_us at_us)
{
	struct slots *memo = (struct slots *)slots; /* a table is none the different for it */

	if (at_us < slots->flat.from_us || at_us >= slots->flat.to_us) {
		memo->flat.use = slots_peak(slots, at_us, at_us + 1);
		if (slots->height > 0) {
			memo->flat.from_us = at_us;
			memo->flat.to_us = at_us + 1;
		}
	}
	return &slots->flat.use;
}

/* False if limit is below zero in a resource of which, at from_us or, unseen by the rows, for ever, nothing is used. */
static bool zero_fits(const struct slots *slots, const struct capacity *limit, wall_us from_us)
{
	int64_t all = 0, unseen = 0;

	/* Below zero if one of them is. */
	for (unsigned r = 0; r < RES_COUNT; r++) {
		all |= limit->amount[r];
	}
	for (unsigned c = slots->width; all < 0 && c < RES_COUNT; c++) {
		unseen |= limit->amount[slots->column[c]];
	}
	return all >= 0 || (unseen >= 0 && slots->root && slots->root->cell[0] <= from_us);
}

/*
 * The first point before end_us, from that in force at from_us on, where use exceeds limit, or WALL_NEVER. If that is
 * in force then, *to_us is when it no longer does, as far as the leaf knows.
 */
INLINE wall_us leaf_over(unsigned width, const struct page *leaf, wall_us from_us, wall_us end_us, const int64_t *limit,
			 wall_us *to_us)
{
	uint32_t i = row_of(leaf, from_us);

	while (i < leaf->count && leaf->cell[i] < end_us && !level_over(width, leaf_level(width, leaf, i), limit)) {
		i++;
	}
	if (i == leaf->count || leaf->cell[i] >= end_us) {
		return WALL_NEVER;
	}
	wall_us at_us = leaf->cell[i];
	if (at_us <= from_us) {
		do {
			i++;
		} while (i < leaf->count && level_over(width, leaf_level(width, leaf, i), limit));
		*to_us = i < leaf->count ? leaf->cell[i] : WALL_NEVER;
	}
	return at_us;
}

/* The same of any page, without *to_us. */
static wall_us first_over(const struct slots *slots, const struct page *page, unsigned height, wall_us from_us,
			  wall_us end_us, const struct level *offset, const struct level *limit)
{
	if (height == 0) {
		struct level rest = minus(slots, limit, offset);
		wall_us to_us;
		return BY_WIDTH(slots, leaf_over, page, from_us, end_us, rest.n, &to_us);
	}
	for (uint32_t i = row_of(page, from_us); i < page->count && page->cell[i] < end_us; i++) {
		if (within(slots, high_at(slots, page, height, i), offset, limit)) {
			continue;
		}
		struct level below = plus(slots, offset, part_at(slots, page, height, i, ROW_OFFSET));
		wall_us at_us = first_over(slots, page_below(slots, page, height, i), height - 1, from_us, end_us,
					   &below, limit);
		if (at_us < WALL_NEVER) {
			return at_us;
		}
	}
	return WALL_NEVER;
}

wall_us slots_next(const struct slots *slots, wall_us after_us)
{
	const struct page *page = slots->root;
	wall_us next_us = WALL_NEVER;

	for (unsigned height = slots->height; page; height--) {
		uint32_t n = rows_upto(page, after_us);
		next_us = n < page->count ? page->cell[n] : next_us;
		page = height && n ? page_below(slots, page, height, n - 1) : NULL;
	}
	return next_us;
}

/* What until() does when it must look. *over_us is when that ends if use is over at once. */
static wall_us find_until(const struct slots *slots, const struct capacity *limit, wall_us from_us, wall_us end_us,
			  wall_us *over_us)
{
	wall_us at_us;

	*over_us = 0;
	if (!zero_fits(slots, limit, from_us)) {
		at_us = from_us;
	} else if (!slots->root) {
		return WALL_NEVER;
	} else {
		struct level most = pack(slots, limit);
		at_us = slots->height ? first_over(slots, slots->root, slots->height, from_us, end_us, &none, &most)
				      : BY_WIDTH(slots, leaf_over, slots->root, from_us, end_us, most.n, over_us);
	}
	if (at_us > from_us) {
		return at_us;
	}
	*over_us = *over_us ? *over_us : slots_next(slots, from_us);
	return from_us;
}

/* Where the answer for such a limit is kept: a table is none the different for it. */
static struct slots_seen *seen_of(const struct slots *slots, const struct capacity *limit)
{
	bool idle = limit->amount[RES_CPU] >= INT64_MAX / 4;

	return (struct slots_seen *)&slots->seen[idle];
}

/* The same before end_us only; not before from_us. What was found is kept for the next question. */
static wall_us until(const struct slots *slots, const struct capacity *limit, wall_us from_us, wall_us end_us)
{
	struct slots_seen *seen = seen_of(slots, limit);

	if (from_us >= seen->from_us && from_us < seen->to_us && capacity_same(limit, &seen->limit)) {
		if (seen->over) {
			return from_us;
		}
		if (seen->ends || end_us <= seen->to_us) {
			return seen->to_us;
		}
	}
	wall_us over_us, at_us = find_until(slots, limit, from_us, end_us, &over_us);
	seen->limit = *limit;
	seen->from_us = from_us;
	seen->over = at_us == from_us;
	seen->to_us = seen->over ? over_us : at_us < end_us ? at_us : end_us;
	seen->ends = at_us < end_us || end_us == WALL_NEVER;
	return at_us;
}

wall_us slots_until(const struct slots *slots, struct capacity limit, wall_us from_us)
{
	return until(slots, &limit, from_us, WALL_NEVER);
}

wall_us slots_over(const struct slots *slots, struct capacity limit, wall_us from_us)
{
	const struct slots_seen *seen = seen_of(slots, &limit);

	until(slots, &limit, from_us, WALL_NEVER);
	return seen->over ? seen->to_us : from_us;
}

bool slots_within(const struct slots *slots, struct capacity limit, wall_us start_us, wall_us end_us)
{
	assert(start_us < end_us);
	return until(slots, &limit, start_us, end_us) >= end_us;
}

/* A walk through the points in order, for slots_fit(). */
struct fit {
	struct level limit;
	wall_us from_us;
	span_us length_us;
	bool open; /* use has been within limit since since_us */
	wall_us since_us;
	size_t points; /* still to be looked at */
};

/* True if no more need be looked at. */
INLINE bool leaf_fit(unsigned width, const struct page *leaf, const int64_t *limit, struct fit *fit)
{
	for (uint32_t i = row_of(leaf, fit->from_us); i < leaf->count; i++) {
		wall_us at_us = leaf->cell[i] > fit->from_us ? leaf->cell[i] : fit->from_us;
		if (fit->open && at_us - fit->since_us >= fit->length_us) {
			return true;
		}
		bool over = level_over(width, leaf_level(width, leaf, i), limit);
		fit->since_us = !over && !fit->open ? at_us : fit->since_us;
		fit->open = !over;
		fit->points -= fit->points > 0;
		if (fit->points == 0 && over && at_us > fit->from_us) {
			fit->since_us = at_us;
			fit->open = true; /* for all that is known */
			return true;
		}
	}
	return false;
}

static bool find_fit(const struct slots *slots, const struct page *page, unsigned height, const struct level *offset,
		     struct fit *fit)
{
	if (height == 0) {
		struct level rest = minus(slots, &fit->limit, offset);
		return BY_WIDTH(slots, leaf_fit, page, rest.n, fit);
	}
	for (uint32_t i = row_of(page, fit->from_us); i < page->count; i++) {
		const int64_t *high = high_at(slots, page, height, i), *low = high + slots->width;
		wall_us at_us = page->cell[i] > fit->from_us ? page->cell[i] : fit->from_us;
		if (fit->open && at_us - fit->since_us >= fit->length_us) {
			return true;
		}
		bool all = within(slots, high, offset, &fit->limit);
		if (fit->open ? !all : within(slots, low, offset, &fit->limit)) {
			struct level below = plus(slots, offset, part_at(slots, page, height, i, ROW_OFFSET));
			if (find_fit(slots, page_below(slots, page, height, i), height - 1, &below, fit)) {
				return true;
			}
		}
	}
	return false;
}

wall_us slots_fit_near(const struct slots *slots, struct capacity limit, wall_us from_us, span_us length_us,
		       size_t points)
{
	struct level offset = {{0}};
	struct fit fit = {
		.limit = pack(slots, &limit),
		.from_us = from_us,
		.length_us = length_us,
		.open = zero_fits(slots, &limit, from_us),
		.since_us = from_us,
		.points = points,
	};

	if (!zero_fits(slots, &limit, WALL_NEVER)) {
		return WALL_NEVER; /* short for ever of what the rows do not show */
	}
	if (slots->root) {
		find_fit(slots, slots->root, slots->height, &offset, &fit);
	}
	return fit.open ? fit.since_us : WALL_NEVER;
}

wall_us slots_fit(const struct slots *slots, struct capacity limit, wall_us from_us, span_us length_us)
{
	return slots_fit_near(slots, limit, from_us, length_us, SIZE_MAX);
}

/* The use before that row of a leaf, which may be the first, or of no table at all. */
static const int64_t *level_by(const struct slots *slots, uint32_t row)
{
	return row ? row_at(slots, slots->root, 0, row - 1) : none.n;
}

/* The same rows from from_us on, and the same in force then. */
static bool same_rows(const struct slots *a, const struct slots *b, wall_us from_us)
{
	uint32_t i = a->root ? rows_upto(a->root, from_us) : 0, j = b->root ? rows_upto(b->root, from_us) : 0;
	uint32_t n = a->root ? a->root->count - i : 0;
	size_t level_size = a->width * sizeof(int64_t);

	if ((b->root ? b->root->count - j : 0) != n || memcmp(level_by(a, i), level_by(b, j), level_size) != 0) {
		return false;
	}
	return n == 0 || (memcmp(&a->root->cell[i], &b->root->cell[j], n * sizeof(int64_t)) == 0 &&
			  memcmp(row_at(a, a->root, 0, i), row_at(b, b->root, 0, j), n * level_size) == 0);
}

bool slots_alike(const struct slots *copy, const struct slots *slots, wall_us from_us)
{
	return copy->changes == slots->changes ||
	       (slots->height == 0 && copy->width == slots->width &&
		memcmp(copy->column, slots->column, sizeof(copy->column)) == 0 && same_rows(copy, slots, from_us));
}
