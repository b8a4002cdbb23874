/*
 * The slot table: a B+ tree of change points per node. A leaf holds, point by point, the use from there on; a page
 * above holds for each page below the highest and lowest use in it, and what is to be added to all of it. Decides
 * nothing and knows no leases.
 */
#include "slots.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_FULL 64 /* rows at which a page is split */
#define PAGE_STEP 8  /* a page has room for a multiple of so many: little is wasted, small tables are small */

#define LINE 8 /* numbers in a line of the processor's cache */

/* The times of its rows lie together, as that is what is searched. */
struct page {
	uint32_t count, room;
	int64_t cell[]; /* room times, then room rows */
};

/*
 * A resource no slot of the table ever used takes no place in it: levels have only width numbers. A leaf's row is a
 * level. The row of a page above, whose time is the first one below it: the page, and three levels.
 */
struct slots {
	struct page *root; /* NULL = nothing is used */
	unsigned height;   /* of the root; leaves have 0 */
	unsigned width;
	uint8_t column[RES_COUNT]; /* which resources the width numbers are of */
	struct {
		struct capacity limit;
		wall_us from_us,
			to_us; /* use is within limit, or over it, in all of this time; empty = nothing known */
		bool over;
		bool ends; /* at to_us that is different */
	} seen;            /* until()'s last answer: searches ask the same of the same tables over and over */
};

/* Of the page below; the last two have the first in them. */
enum row_part { ROW_OFFSET, ROW_HIGH, ROW_LOW, ROW_PARTS };

/* Use by column, as in the rows. */
struct level {
	int64_t n[RES_COUNT];
};
static const struct level none;

struct slots *slots_new(void)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	assert(slots);
	return slots;
}

/* ---- pages ---- */

/* Numbers in a row. */
static size_t row_size(const struct slots *slots, unsigned height)
{
	return height ? 1 + ROW_PARTS * slots->width : slots->width;
}

static int64_t *row_at(const struct slots *slots, const struct page *page, unsigned height, uint32_t i)
{
	return (int64_t *)page->cell + page->room + i * row_size(slots, height);
}

/* One of the levels in a row of a page that is not a leaf. */
static int64_t *part_at(const struct slots *slots, const struct page *page, unsigned height, uint32_t i,
			enum row_part part)
{
	return row_at(slots, page, height, i) + 1 + part * slots->width;
}

/* The highest use there is from row i to the next. */
static const int64_t *high_at(const struct slots *slots, const struct page *page, unsigned height, uint32_t i)
{
	return height ? part_at(slots, page, height, i, ROW_HIGH) : row_at(slots, page, 0, i);
}

static struct page *page_below(const struct slots *slots, const struct page *page, unsigned height, uint32_t i)
{
	return (struct page *)(intptr_t)*row_at(slots, page, height, i);
}

static void set_below(const struct slots *slots, struct page *page, unsigned height, uint32_t i, struct page *below)
{
	*row_at(slots, page, height, i) = (intptr_t)below;
}

static struct page *page_new(const struct slots *slots, unsigned height, uint32_t count)
{
	uint32_t room = (count + PAGE_STEP - 1) / PAGE_STEP * PAGE_STEP;
	struct page *page = malloc(sizeof(*page) + room * (1 + row_size(slots, height)) * sizeof(int64_t));

	assert(page);
	page->count = count;
	page->room = room;
	return page;
}

static void page_free(const struct slots *slots, struct page *page, unsigned height)
{
	for (uint32_t i = 0; height && i < page->count; i++) {
		page_free(slots, page_below(slots, page, height, i), height - 1);
	}
	free(page);
}

void slots_free(struct slots *slots)
{
	if (slots && slots->root) {
		page_free(slots, slots->root, slots->height);
	}
	free(slots);
}

/* Copies n rows with their times from row j of one page to row i of another or the same. */
static void rows_move(const struct slots *slots, unsigned height, struct page *to, uint32_t i, const struct page *from,
		      uint32_t j, uint32_t n)
{
	memmove(&to->cell[i], &from->cell[j], n * sizeof(int64_t));
	memmove(row_at(slots, to, height, i), row_at(slots, from, height, j),
		n * row_size(slots, height) * sizeof(int64_t));
}

/* Gives the page room for count rows, if it has less or far more; its own count stays. */
static void page_resize(const struct slots *slots, struct page **page, unsigned height, uint32_t count)
{
	struct page *old = *page;

	if (count > old->room || count + 2 * PAGE_STEP <= old->room) {
		*page = page_new(slots, height, count);
		(*page)->count = old->count;
		rows_move(slots, height, *page, 0, old, 0, old->count);
		free(old);
	}
}

/* Opens a gap for row i, with that time. */
static void row_insert(const struct slots *slots, struct page **page, unsigned height, uint32_t i, wall_us at_us)
{
	page_resize(slots, page, height, (*page)->count + 1);
	rows_move(slots, height, *page, i + 1, *page, i, (*page)->count - i);
	(*page)->count++;
	(*page)->cell[i] = at_us;
}

static void row_erase(const struct slots *slots, struct page **page, unsigned height, uint32_t i)
{
	(*page)->count--;
	rows_move(slots, height, *page, i, *page, i + 1, (*page)->count - i);
	page_resize(slots, page, height, (*page)->count);
}

/* How many rows begin at or before at_us: first over the cache lines of times, then within one. */
static uint32_t rows_upto(const struct page *page, wall_us at_us)
{
	uint32_t n = 0;

	while (n + LINE < page->count && page->cell[n + LINE] <= at_us) {
		n += LINE;
	}
	const uint32_t end = n + LINE < page->count ? n + LINE : page->count;
	for (uint32_t i = n; i < end; i++) {
		n += page->cell[i] <= at_us;
	}
	return n;
}

/* The row in which at_us is, or the first one. */
static uint32_t row_of(const struct page *page, wall_us at_us)
{
	uint32_t n = rows_upto(page, at_us);

	return n ? n - 1 : 0;
}

/* ---- levels ---- */

static struct level pack(const struct slots *slots, const struct capacity *use)
{
	struct level level = {{0}};

	for (unsigned c = 0; c < slots->width; c++) {
		level.n[c] = use->amount[slots->column[c]];
	}
	return level;
}

static struct level plus(const struct slots *slots, const struct level *a, const int64_t *b)
{
	struct level sum;

	for (unsigned c = 0; c < slots->width; c++) {
		sum.n[c] = a->n[c] + b[c];
	}
	return sum;
}

static void raise(const struct slots *slots, int64_t *level, const int64_t *by)
{
	for (unsigned c = 0; c < slots->width; c++) {
		level[c] += by[c];
	}
}

/* True if level + offset is within limit. */
static bool within(const struct slots *slots, const int64_t *level, const struct level *offset,
		   const struct level *limit)
{
	bool over = false;

	for (unsigned c = 0; c < slots->width; c++) {
		over |= level[c] + offset->n[c] > limit->n[c];
	}
	return !over;
}

/* Adds to all levels of a row, and so to everything below it. */
static void row_raise(const struct slots *slots, struct page *page, unsigned height, uint32_t i, const int64_t *by)
{
	int64_t *level = row_at(slots, page, height, i) + (height > 0);

	for (unsigned part = 0; part < (height ? ROW_PARTS : 1); part++) {
		raise(slots, level + part * slots->width, by);
	}
}

/* Adds to everything in the page. */
static void page_raise(const struct slots *slots, struct page *page, unsigned height, const int64_t *by)
{
	for (uint32_t i = 0; i < page->count; i++) {
		row_raise(slots, page, height, i, by);
	}
}

/* Brings row i up to date with the page below it. */
static void sum_up(const struct slots *slots, struct page *page, unsigned height, uint32_t i)
{
	const struct page *below = page_below(slots, page, height, i);
	const size_t stride = row_size(slots, height - 1), w = slots->width;
	const int64_t *highs = high_at(slots, below, height - 1, 0), *lows = height > 1 ? highs + w : highs;
	int64_t *offset = part_at(slots, page, height, i, ROW_OFFSET);

	page->cell[i] = below->cell[0];
	for (unsigned c = 0; c < w; c++) {
		int64_t high = highs[c], low = lows[c];
		for (uint32_t j = 1; j < below->count; j++) {
			high = highs[j * stride + c] > high ? highs[j * stride + c] : high;
			low = lows[j * stride + c] < low ? lows[j * stride + c] : low;
		}
		offset[ROW_HIGH * w + c] = high + offset[c];
		offset[ROW_LOW * w + c] = low + offset[c];
	}
}

/* ---- changing ---- */

/* Gives half of the page below row i to a new one beside it. */
static void split(const struct slots *slots, struct page **page, unsigned height, uint32_t i)
{
	struct page *left = page_below(slots, *page, height, i);
	uint32_t half = left->count / 2;
	struct page *right = page_new(slots, height - 1, left->count - half);

	rows_move(slots, height - 1, right, 0, left, half, left->count - half);
	left->count = half;
	page_resize(slots, &left, height - 1, half);
	row_insert(slots, page, height, i + 1, right->cell[0]);
	memcpy(row_at(slots, *page, height, i + 1), row_at(slots, *page, height, i),
	       row_size(slots, height) * sizeof(int64_t));
	set_below(slots, *page, height, i, left);
	set_below(slots, *page, height, i + 1, right);
	sum_up(slots, *page, height, i);
	sum_up(slots, *page, height, i + 1);
}

/* Makes the pages below rows i and i + 1 one. */
static void merge(const struct slots *slots, struct page **page, unsigned height, uint32_t i)
{
	struct page *left = page_below(slots, *page, height, i), *right = page_below(slots, *page, height, i + 1);
	const int64_t *offset = part_at(slots, *page, height, i, ROW_OFFSET);
	struct level by = {{0}};

	for (unsigned c = 0; c < slots->width; c++) {
		by.n[c] = part_at(slots, *page, height, i + 1, ROW_OFFSET)[c] - offset[c];
	}
	page_raise(slots, right, height - 1, by.n);
	page_resize(slots, &left, height - 1, left->count + right->count);
	rows_move(slots, height - 1, left, left->count, right, 0, right->count);
	left->count += right->count;
	free(right);
	row_erase(slots, page, height, i + 1);
	set_below(slots, *page, height, i, left);
	sum_up(slots, *page, height, i);
}

/*
 * Puts a point at at_us that changes nothing yet, unless there is one. zero is what no use at all is in the terms of
 * this page. True if there is a new one.
 */
static bool put(const struct slots *slots, struct page **page, unsigned height, wall_us at_us, const struct level *zero)
{
	uint32_t n = rows_upto(*page, at_us), i = n ? n - 1 : 0;

	if (n && (*page)->cell[i] == at_us) {
		return false;
	}
	if (height == 0) {
		struct level level = *zero;
		if (n) {
			memcpy(level.n, row_at(slots, *page, 0, i), slots->width * sizeof(int64_t));
		}
		row_insert(slots, page, 0, n, at_us);
		memcpy(row_at(slots, *page, 0, n), level.n, slots->width * sizeof(int64_t));
		return true;
	}
	struct page *below = page_below(slots, *page, height, i);
	struct level zero_below;
	for (unsigned c = 0; c < slots->width; c++) {
		zero_below.n[c] = zero->n[c] - part_at(slots, *page, height, i, ROW_OFFSET)[c];
	}
	if (!put(slots, &below, height - 1, at_us, &zero_below)) {
		return false;
	}
	set_below(slots, *page, height, i, below);
	if (n == 0) {
		sum_up(slots, *page, height, i);
	}
	if (below->count >= PAGE_FULL) {
		split(slots, page, height, i);
	}
	return true;
}

/* Takes the point at at_us, which is there, away. */
static void erase(const struct slots *slots, struct page **page, unsigned height, wall_us at_us)
{
	uint32_t i = row_of(*page, at_us);

	if (height == 0) {
		row_erase(slots, page, 0, i);
		return;
	}
	struct page *below = page_below(slots, *page, height, i);
	erase(slots, &below, height - 1, at_us);
	if (below->count == 0) {
		free(below);
		row_erase(slots, page, height, i);
		return;
	}
	set_below(slots, *page, height, i, below);
	sum_up(slots, *page, height, i);
	if (below->count > PAGE_FULL / 4) {
		return;
	}
	/* Not so full that a few more points would split it again. */
	const uint32_t most = PAGE_FULL * 3 / 4 - below->count;
	if (i + 1 < (*page)->count && page_below(slots, *page, height, i + 1)->count <= most) {
		merge(slots, page, height, i);
	} else if (i > 0 && page_below(slots, *page, height, i - 1)->count <= most) {
		merge(slots, page, height, i - 1);
	}
}

/* Adds to all points in [start_us, end_us). */
static void add(const struct slots *slots, struct page *page, unsigned height, wall_us start_us, wall_us end_us,
		const struct level *use)
{
	uint32_t i = row_of(page, start_us);

	if (height == 0) {
		for (i += page->cell[i] < start_us; i < page->count && page->cell[i] < end_us; i++) {
			row_raise(slots, page, 0, i, use->n);
		}
		return;
	}
	for (; i < page->count && page->cell[i] < end_us; i++) {
		bool whole = page->cell[i] >= start_us && i + 1 < page->count && page->cell[i + 1] <= end_us;
		if (whole) {
			row_raise(slots, page, height, i, use->n);
		} else {
			add(slots, page_below(slots, page, height, i), height - 1, start_us, end_us, use);
			sum_up(slots, page, height, i);
		}
	}
}

/* put() for the whole table. */
static bool put_at(struct slots *slots, wall_us at_us)
{
	if (!slots->root) {
		slots->root = page_new(slots, 0, 0);
	}
	bool new = put(slots, &slots->root, slots->height, at_us, &none);
	if (slots->root->count >= PAGE_FULL) {
		struct page *top = page_new(slots, slots->height + 1, 1);
		memset(row_at(slots, top, slots->height + 1, 0), 0,
		       row_size(slots, slots->height + 1) * sizeof(int64_t));
		set_below(slots, top, ++slots->height, 0, slots->root);
		slots->root = top;
		split(slots, &slots->root, slots->height, 0);
	}
	return new;
}

static void clear_if_empty(struct slots *slots)
{
	if (slots->root->count == 0) {
		free(slots->root);
		slots->root = NULL;
		slots->height = 0;
		slots->width = 0;
	}
}

static void erase_at(struct slots *slots, wall_us at_us)
{
	erase(slots, &slots->root, slots->height, at_us);
	while (slots->height > 0 && slots->root->count == 1) {
		struct page *old = slots->root, *below = page_below(slots, old, slots->height, 0);
		page_raise(slots, below, slots->height - 1, part_at(slots, old, slots->height, 0, ROW_OFFSET));
		slots->height--;
		slots->root = below;
		free(old);
	}
	clear_if_empty(slots);
}

/* The use from the last point at or before at_us on, and the time of that point; false if there is none. */
static bool level_at(const struct slots *slots, wall_us at_us, struct level *level, wall_us *point_us)
{
	const struct page *page = slots->root;

	*level = (struct level){{0}};
	if (!page || page->cell[0] > at_us) {
		return false;
	}
	for (unsigned height = slots->height; height > 0; height--) {
		uint32_t i = row_of(page, at_us);
		*level = plus(slots, level, part_at(slots, page, height, i, ROW_OFFSET));
		page = page_below(slots, page, height, i);
	}
	uint32_t i = row_of(page, at_us);
	*level = plus(slots, level, row_at(slots, page, 0, i));
	*point_us = page->cell[i];
	return true;
}

/* Takes a point away that changes nothing (any more). */
static void tidy(struct slots *slots, wall_us at_us)
{
	struct level before, here;
	wall_us point_us = WALL_NEVER;

	if (level_at(slots, at_us, &here, &point_us) && point_us == at_us) {
		level_at(slots, at_us - 1, &before, &point_us);
		if (memcmp(here.n, before.n, slots->width * sizeof(int64_t)) == 0) {
			erase_at(slots, at_us);
		}
	}
}

/* The page, and all below it, with place for one more column. */
static struct page *widen(const struct slots *old, const struct slots *wide, struct page *page, unsigned height)
{
	struct page *copy = page_new(wide, height, page->count);

	memcpy(copy->cell, page->cell, page->count * sizeof(int64_t));
	for (uint32_t i = 0; i < page->count; i++) {
		const int64_t *from = row_at(old, page, height, i) + (height > 0);
		int64_t *to = row_at(wide, copy, height, i) + (height > 0);
		for (unsigned part = 0; part < (height ? ROW_PARTS : 1); part++) {
			memcpy(to + part * wide->width, from + part * old->width, old->width * sizeof(int64_t));
			to[part * wide->width + old->width] = 0;
		}
		if (height) {
			set_below(wide, copy, height, i,
				  widen(old, wide, page_below(old, page, height, i), height - 1));
		}
	}
	free(page);
	return copy;
}

/* Makes place for the resources of which there is use. */
static void take_columns(struct slots *slots, const struct capacity *use)
{
	for (unsigned r = 0; r < RES_COUNT; r++) {
		bool there = use->amount[r] == 0;
		for (unsigned c = 0; c < slots->width && !there; c++) {
			there = slots->column[c] == r;
		}
		if (!there) {
			struct slots old = *slots;
			slots->column[slots->width++] = (uint8_t)r;
			slots->root = slots->root ? widen(&old, slots, slots->root, slots->height) : NULL;
		}
	}
}

/* The row of a point at at_us in a leaf that is the root; *new = it was put there just now and changes nothing yet. */
static uint32_t leaf_point(struct slots *slots, wall_us at_us, bool *new)
{
	uint32_t i = rows_upto(slots->root, at_us);

	*new = i == 0 || slots->root->cell[i - 1] != at_us;
	if (!*new) {
		return i - 1;
	}
	row_insert(slots, &slots->root, 0, i, at_us);
	int64_t *row = row_at(slots, slots->root, 0, i);
	for (unsigned c = 0; c < slots->width; c++) {
		row[c] = i ? row[(int)c - (int)slots->width] : 0;
	}
	return i;
}

static void leaf_tidy(struct slots *slots, uint32_t i)
{
	const int64_t *before = i ? row_at(slots, slots->root, 0, i - 1) : none.n;

	if (memcmp(row_at(slots, slots->root, 0, i), before, slots->width * sizeof(int64_t)) == 0) {
		row_erase(slots, &slots->root, 0, i);
	}
}

/* What slots_reserve() does, if the root is a leaf and stays one: most tables are that small. */
static void leaf_reserve(struct slots *slots, wall_us start_us, wall_us end_us, const struct level *use)
{
	bool new_start, new_end;
	uint32_t start = leaf_point(slots, start_us, &new_start), end = leaf_point(slots, end_us, &new_end);

	for (uint32_t i = start; i < end; i++) {
		raise(slots, row_at(slots, slots->root, 0, i), use->n);
	}
	if (!new_end) {
		leaf_tidy(slots, end);
	}
	if (!new_start) {
		leaf_tidy(slots, start);
	}
	clear_if_empty(slots);
}

void slots_reserve(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use)
{
	static const struct capacity nothing;

	assert(start_us < end_us);
	if (memcmp(&use, &nothing, sizeof(nothing)) == 0) {
		return;
	}
	slots->seen.to_us = slots->seen.from_us;
	take_columns(slots, &use);
	struct level level = pack(slots, &use);
	if (slots->root && slots->height == 0 && slots->root->count + 2 < PAGE_FULL) {
		leaf_reserve(slots, start_us, end_us, &level);
		return;
	}
	bool new_start = put_at(slots, start_us);
	bool new_end = put_at(slots, end_us);
	add(slots, slots->root, slots->height, start_us, end_us, &level);
	/* At a new point use does change. */
	if (!new_start) {
		tidy(slots, start_us);
	}
	if (!new_end) {
		tidy(slots, end_us);
	}
}

void slots_release(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use)
{
	slots_reserve(slots, start_us, end_us, capacity_sub((struct capacity){{0}}, use));
}

/* ---- asking ---- */

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
	for (; i < page->count && page->cell[i] < end_us; i++) {
		const int64_t *high = high_at(slots, page, height, i);
		if (within(slots, high, &here, peak)) {
			continue;
		}
		bool whole = page->cell[i] >= start_us && i + 1 < page->count && page->cell[i + 1] <= end_us;
		if (height == 0 || whole) {
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

struct capacity slots_peak(const struct slots *slots, wall_us start_us, wall_us end_us)
{
	struct level offset = {{0}}, peak;
	struct capacity use = {{0}};

	assert(start_us < end_us);
	if (!slots->root) {
		return use;
	}
	for (unsigned c = 0; c < slots->width; c++) {
		peak.n[c] = slots->root->cell[0] > start_us ? 0 : INT64_MIN;
	}
	find_peak(slots, slots->root, slots->height, start_us, end_us, &offset, &peak);
	for (unsigned c = 0; c < slots->width; c++) {
		use.amount[slots->column[c]] = peak.n[c];
	}
	return use;
}

/* False if limit is below zero in a resource of which, at from_us or, unseen by the rows, for ever, nothing is used. */
static bool zero_fits(const struct slots *slots, const struct capacity *limit, wall_us from_us)
{
	unsigned below = 0;

	for (unsigned r = 0; r < RES_COUNT; r++) {
		below |= (unsigned)(limit->amount[r] < 0) << r;
	}
	for (unsigned c = 0; below && c < slots->width && slots->root->cell[0] <= from_us; c++) {
		below &= ~(1U << slots->column[c]);
	}
	return below == 0;
}

/* The first point before end_us, from that in force at from_us on, where use exceeds limit, or WALL_NEVER. */
static wall_us first_over(const struct slots *slots, const struct page *page, unsigned height, wall_us from_us,
			  wall_us end_us, const struct level *offset, const struct level *limit)
{
	for (uint32_t i = row_of(page, from_us); i < page->count && page->cell[i] < end_us; i++) {
		if (within(slots, high_at(slots, page, height, i), offset, limit)) {
			continue;
		}
		if (height == 0) {
			return page->cell[i];
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

/* What until() found is kept for the next question: it is true for all of [from_us, to_us). */
static void see(const struct slots *slots, const struct capacity *limit, wall_us from_us, wall_us at_us, wall_us end_us)
{
	struct slots *memo = (struct slots *)slots; /* a table is none the different for it */
	bool over = at_us == from_us;
	wall_us to_us = over ? slots_next(slots, from_us) : at_us < end_us ? at_us : end_us;

	memo->seen.limit = *limit;
	memo->seen.from_us = from_us;
	memo->seen.to_us = to_us;
	memo->seen.over = over;
	memo->seen.ends = at_us < end_us || end_us == WALL_NEVER;
}

/* The same before end_us only; not before from_us. */
static wall_us until(const struct slots *slots, const struct capacity *limit, wall_us from_us, wall_us end_us)
{
	struct level offset = {{0}}, most;
	wall_us at_us = WALL_NEVER;

	if (from_us >= slots->seen.from_us && from_us < slots->seen.to_us && capacity_same(limit, &slots->seen.limit)) {
		if (slots->seen.over) {
			return from_us;
		}
		if (slots->seen.ends || end_us <= slots->seen.to_us) {
			return slots->seen.to_us;
		}
	}
	if (!zero_fits(slots, limit, from_us)) {
		at_us = from_us;
	} else if (slots->root) {
		most = pack(slots, limit);
		at_us = first_over(slots, slots->root, slots->height, from_us, end_us, &offset, &most);
		at_us = at_us > from_us ? at_us : from_us;
	}
	see(slots, limit, from_us, at_us, end_us);
	return at_us;
}

wall_us slots_until(const struct slots *slots, struct capacity limit, wall_us from_us)
{
	return until(slots, &limit, from_us, WALL_NEVER);
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
static bool find_fit(const struct slots *slots, const struct page *page, unsigned height, const struct level *offset,
		     struct fit *fit)
{
	for (uint32_t i = row_of(page, fit->from_us); i < page->count; i++) {
		const int64_t *high = high_at(slots, page, height, i), *low = high + slots->width;
		wall_us at_us = page->cell[i] > fit->from_us ? page->cell[i] : fit->from_us;
		if (fit->open && at_us - fit->since_us >= fit->length_us) {
			return true;
		}
		bool all = within(slots, high, offset, &fit->limit);
		if (height == 0) {
			fit->since_us = all && !fit->open ? at_us : fit->since_us;
			fit->open = all;
			fit->points -= fit->points > 0;
			if (fit->points == 0 && !all && at_us > fit->from_us) {
				fit->since_us = at_us;
				fit->open = true; /* for all that is known */
				return true;
			}
		} else if (fit->open ? !all : within(slots, low, offset, &fit->limit)) {
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
