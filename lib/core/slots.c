/*
 * The slot table: a B+ tree of change points per node. A leaf holds, point by point, the use from there on; a page
 * above holds for each page below the highest and lowest use in it, and what is to be added to all of it. Decides
 * nothing and knows no leases.
 */
#include "slots_page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct slots *slots_new(void)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	assert(slots);
	for (unsigned r = 0; r < RES_COUNT; r++) {
		slots->column[r] = (uint8_t)r;
	}
	return slots;
}

/* ---- pages ---- */

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

struct slots *slots_copy(const struct slots *slots)
{
	if (slots->height > 0) {
		return NULL;
	}
	struct slots *copy = malloc(sizeof(*copy));
	assert(copy);
	*copy = *slots;
	if (slots->root) {
		copy->root = page_new(slots, 0, slots->root->count);
		rows_move(slots, 0, copy->root, 0, slots->root, 0, slots->root->count);
	}
	return copy;
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

/* ---- levels ---- */

static void raise(const struct slots *slots, int64_t *level, const int64_t *by)
{
	for (unsigned c = 0; c < slots->width; c++) {
		level[c] += by[c];
	}
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
static void take_columns(struct slots *slots, const struct slots_step *steps, unsigned n)
{
	struct capacity any = {{0}};

	for (unsigned s = 0; s < n; s++) {
		for (int r = 0; r < RES_COUNT; r++) {
			any.amount[r] |= steps[s].use.amount[r];
		}
	}
	for (unsigned c = slots->width; c < RES_COUNT; c++) {
		uint8_t r = slots->column[c];
		if (any.amount[r]) {
			struct slots old = *slots;
			slots->column[c] = slots->column[slots->width];
			slots->column[slots->width++] = r;
			slots->root = slots->root ? widen(&old, slots, slots->root, slots->height) : NULL;
		}
	}
}

/* Rows that come in place of some of a leaf. */
struct merge {
	uint32_t count;
	wall_us at_us[PAGE_FULL];
	int64_t level[PAGE_FULL * RES_COUNT];
};

/* Puts the new rows in the place of those from from to to - 1. */
static void merge_in(struct slots *slots, const struct merge *merge, uint32_t from, uint32_t to)
{
	uint32_t count = slots->root->count, left = count - (to - from) + merge->count;

	if (left > slots->root->room) {
		page_resize(slots, &slots->root, 0, left);
	}
	if (to < count && left != count) {
		rows_move(slots, 0, slots->root, from + merge->count, slots->root, to, count - to);
	}
	memcpy(&slots->root->cell[from], merge->at_us, merge->count * sizeof(int64_t));
	memcpy(row_at(slots, slots->root, 0, from), merge->level, merge->count * slots->width * sizeof(int64_t));
	slots->root->count = left;
	page_resize(slots, &slots->root, 0, left);
	clear_if_empty(slots);
}

/* Adds a row, the sum of two levels; true if it is not like before. */
INLINE bool merge_row(unsigned width, struct merge *merge, wall_us at_us, const int64_t *here, const int64_t *more,
		      const int64_t *before)
{
	int64_t *level = &merge->level[(size_t)merge->count * width], differ = 0;

	merge->at_us[merge->count] = at_us;
	for (unsigned c = 0; c < width; c++) {
		level[c] = here[c] + more[c];
		differ |= level[c] ^ before[c];
	}
	return differ != 0;
}

/* Fills merge with what a leaf becomes from row from on; returns the first row that stays as it is. */
INLINE uint32_t merge_leaf(unsigned width, const struct slots *slots, const struct slots_step *steps, unsigned n,
			   int64_t sign, uint32_t from, struct merge *merge)
{
	const struct page *leaf = slots->root;
	const int64_t *here = from ? leaf_level(width, leaf, from - 1) : none.n, *before = here;
	struct level more = none;
	uint32_t i = from;

	merge->count = 0;
	for (unsigned s = 0; s < n; s++) {
		for (; i < leaf->count && leaf->cell[i] < steps[s].at_us; i++) {
			here = leaf_level(width, leaf, i);
			merge_row(width, merge, leaf->cell[i], here, more.n, before);
			before = &merge->level[(size_t)merge->count++ * width];
		}
		if (i < leaf->count && leaf->cell[i] == steps[s].at_us) {
			here = leaf_level(width, leaf, i++);
		}
		for (unsigned c = 0; c < width; c++) {
			more.n[c] = sign * steps[s].use.amount[slots->column[c]];
		}
		if (merge_row(width, merge, steps[s].at_us, here, more.n, before)) {
			before = &merge->level[(size_t)merge->count++ * width];
		}
	}
	return i;
}

/* What change() does, if the root is a leaf and stays one: most tables are that small. */
static void leaf_change(struct slots *slots, const struct slots_step *steps, unsigned n, int64_t sign)
{
	uint32_t from = rows_upto(slots->root, steps[0].at_us - 1);
	struct merge merge;
	uint32_t to = BY_WIDTH(slots, merge_leaf, slots, steps, n, sign, from, &merge);

	merge_in(slots, &merge, from, to);
}

/* The same of a larger table, for use that does not change. */
static void tree_change(struct slots *slots, wall_us start_us, wall_us end_us, const struct level *use)
{
	bool new_start = put_at(slots, start_us);
	bool new_end = put_at(slots, end_us);

	add(slots, slots->root, slots->height, start_us, end_us, use);
	/* At a new point use does change. */
	if (!new_start) {
		tidy(slots, start_us);
	}
	if (!new_end) {
		tidy(slots, end_us);
	}
}

static void change(struct slots *slots, const struct slots_step *steps, unsigned n, int64_t sign)
{
	slots->changes++;
	slots->seen[0].to_us = slots->seen[0].from_us;
	slots->seen[1].to_us = slots->seen[1].from_us;
	slots->flat.to_us = slots->flat.from_us;
	take_columns(slots, steps, n);
	if (!slots->root) {
		slots->root = page_new(slots, 0, 0);
	}
	if (slots->height == 0 && slots->root->count + n < PAGE_FULL) {
		leaf_change(slots, steps, n, sign);
		return;
	}
	for (unsigned s = 0; s + 1 < n; s++) {
		struct level use = pack(slots, &steps[s].use);
		for (unsigned c = 0; c < slots->width; c++) {
			use.n[c] *= sign;
		}
		if (memcmp(use.n, none.n, sizeof(use.n)) != 0) {
			tree_change(slots, steps[s].at_us, steps[s + 1].at_us, &use);
		}
	}
}

void slots_add(struct slots *slots, const struct slots_step *steps, unsigned n)
{
	change(slots, steps, n, 1);
}

void slots_remove(struct slots *slots, const struct slots_step *steps, unsigned n)
{
	change(slots, steps, n, -1);
}

void slots_reserve(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use)
{
	assert(start_us < end_us);
	slots_add(slots, (struct slots_step[]){{start_us, use}, {.at_us = end_us}}, 2);
}

void slots_release(struct slots *slots, wall_us start_us, wall_us end_us, struct capacity use)
{
	assert(start_us < end_us);
	slots_remove(slots, (struct slots_step[]){{start_us, use}, {.at_us = end_us}}, 2);
}
