/*
 * How slots.c and slots_ask.c keep a table: a B+ tree of change points per node. A leaf holds, point by point, the use
 * from there on; a page above holds for each page below the highest and lowest use in it, and what is to be added to
 * all of it. For nobody else.
 */
#ifndef TENURE_SLOTS_PAGE_H
#define TENURE_SLOTS_PAGE_H

#include "slots.h"

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
	uint8_t column[RES_COUNT]; /* which resources the width numbers are of; then the others */
	uint64_t changes;          /* there were so far */
	struct slots_seen {
		struct capacity limit;
		wall_us from_us,
			to_us; /* use is within limit, or over it, in all of this time; empty = nothing known */
		bool over;
		bool ends; /* at to_us that is different */
	} seen[2];         /* until()'s last answers: searches ask the same of the same tables over and over, in
			      turn for who runs and, without limit of CPU, for who is prepared */
	struct {
		wall_us from_us, to_us; /* use does not change in all of this time; empty = nothing known */
		struct capacity use;
	} flat; /* slots_peak()'s last answer for a time without a change: each pass asks what is used right now */
};

/* Of the page below; the last two have the first in them. */
enum row_part { ROW_OFFSET, ROW_HIGH, ROW_LOW, ROW_PARTS };

/* Use by column, as in the rows. */
struct level {
	int64_t n[RES_COUNT];
};
static const struct level none;

/* Numbers in a row. */
static inline size_t row_size(const struct slots *slots, unsigned height)
{
	return height ? 1 + ROW_PARTS * slots->width : slots->width;
}

static inline int64_t *row_at(const struct slots *slots, const struct page *page, unsigned height, uint32_t i)
{
	return (int64_t *)page->cell + page->room + i * row_size(slots, height);
}

/* One of the levels in a row of a page that is not a leaf. */
static inline int64_t *part_at(const struct slots *slots, const struct page *page, unsigned height, uint32_t i,
			       enum row_part part)
{
	return row_at(slots, page, height, i) + 1 + part * slots->width;
}

/* The highest use there is from row i to the next. */
static inline const int64_t *high_at(const struct slots *slots, const struct page *page, unsigned height, uint32_t i)
{
	return height ? part_at(slots, page, height, i, ROW_HIGH) : row_at(slots, page, 0, i);
}

static inline struct page *page_below(const struct slots *slots, const struct page *page, unsigned height, uint32_t i)
{
	return (struct page *)(intptr_t)*row_at(slots, page, height, i);
}

/* How many rows begin at or before at_us: first over the cache lines of times, then within one. */
static inline uint32_t rows_upto(const struct page *page, wall_us at_us)
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
static inline uint32_t row_of(const struct page *page, wall_us at_us)
{
	uint32_t n = rows_upto(page, at_us);

	return n ? n - 1 : 0;
}

static inline struct level pack(const struct slots *slots, const struct capacity *use)
{
	struct level level = {{0}};

	for (unsigned c = 0; c < slots->width; c++) {
		level.n[c] = use->amount[slots->column[c]];
	}
	return level;
}

static inline struct level plus(const struct slots *slots, const struct level *a, const int64_t *b)
{
	struct level sum;

	for (unsigned c = 0; c < slots->width; c++) {
		sum.n[c] = a->n[c] + b[c];
	}
	return sum;
}

/* True if level + offset is within limit. */
static inline bool within(const struct slots *slots, const int64_t *level, const struct level *offset,
			  const struct level *limit)
{
	bool over = false;

	for (unsigned c = 0; c < slots->width; c++) {
		over |= level[c] + offset->n[c] > limit->n[c];
	}
	return !over;
}

/*
 * Calls a function, inlined, whose first argument is the width: as a constant where it is a usual one, so that the
 * loops over columns are no loops.
 */
#define BY_WIDTH(slots, fn, ...)                    \
	((slots)->width == 3   ? fn(3, __VA_ARGS__) \
	 : (slots)->width == 2 ? fn(2, __VA_ARGS__) \
	 : (slots)->width == 1 ? fn(1, __VA_ARGS__) \
			       : fn((slots)->width, __VA_ARGS__))
#define INLINE static inline __attribute__((always_inline))

/* The i-th level of a leaf. */
INLINE int64_t *leaf_level(unsigned width, const struct page *leaf, uint32_t i)
{
	return (int64_t *)leaf->cell + leaf->room + (size_t)i * width;
}

INLINE bool level_over(unsigned width, const int64_t *level, const int64_t *limit)
{
	bool over = false;

	for (unsigned c = 0; c < width; c++) {
		over |= level[c] > limit[c];
	}
	return over;
}

#endif
