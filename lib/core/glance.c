/*
 * Counts what is promised at fixed instants, in arrays over the nodes. Instants are the leaves of a tree of spans, each
 * of 16 below it; a slot is counted in the largest spans that it covers whole, so that long ones cost little, and the
 * use at an instant is the sum over the spans it is in. Decides nothing, and knows no slot table.
 */
#include "glance.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BITS 4    /* of an instant's number, for each height of the tree */
#define HEIGHTS 6 /* of the root, which is the time from 0 on for 300 years */
#define PARTS (1 << BITS)
#define BLOCK 64 /* columns; promises gather on few nodes, and those of other blocks take no memory */
#define LOOKS 64 /* instants looked at in one run: in longer ones not all */
#define MEMORY_UNIT (INT64_C(1) << 20)

/* Sums are modulo 2^32: where a node has more than that, they may be too low, never too high. */
struct block {
	uint32_t cpu[BLOCK], memory[BLOCK];
};

struct span {
	struct block **block; /* of columns from BLOCK times its index on; NULL as those beyond count: nothing there */
	uint32_t count;
	uint32_t used;       /* blocks and parts that are there */
	struct span *part[]; /* PARTS of them, but none at height 0 */
};

/* Of one node. */
struct amount {
	uint32_t column, cpu, memory;
};

struct glance {
	struct span *root;
	uint64_t first; /* instant that is not over */
	struct amount *has;
	uint32_t columns;
	/* What was asked about, and what was found out of it. */
	struct capacity use;
	wall_us start_us, end_us; /* the same = nothing */
	struct {
		const struct span *span[HEIGHTS + 1];
		int n;
	} look[LOOKS];
	int looks;
	bool *known;    /* by block */
	uint64_t *full; /* by block: one bit per column */
};

static uint64_t width_of(unsigned height)
{
	return UINT64_C(1) << (BITS * height);
}

static struct span *span_new(unsigned height)
{
	struct span *span = calloc(1, sizeof(*span) + (height ? PARTS : 0) * sizeof(span->part[0]));

	assert(span);
	return span;
}

static void span_free(struct span *span, unsigned height)
{
	if (!span) {
		return;
	}
	for (int i = 0; height && i < PARTS; i++) {
		span_free(span->part[i], height - 1);
	}
	for (uint32_t i = 0; i < span->count; i++) {
		free(span->block[i]);
	}
	free(span->block);
	free(span);
}

struct glance *glance_new(void)
{
	struct glance *glance = calloc(1, sizeof(*glance));

	assert(glance);
	return glance;
}

void glance_free(struct glance *glance)
{
	if (glance) {
		span_free(glance->root, HEIGHTS);
		free(glance->has);
		free(glance->known);
		free(glance->full);
		free(glance);
	}
}

/* What is known is no longer so. */
static void unknow(struct glance *glance)
{
	glance->start_us = glance->end_us = 0;
}

static uint32_t at_most(int64_t amount)
{
	return amount < UINT32_MAX ? (uint32_t)amount : UINT32_MAX;
}

void glance_node(struct glance *glance, uint32_t column, struct capacity capacity)
{
	assert(column <= glance->columns);
	if (column == glance->columns) {
		uint32_t blocks = glance->columns++ / BLOCK + 1;
		glance->has = realloc(glance->has, blocks * BLOCK * sizeof(*glance->has));
		glance->known = realloc(glance->known, blocks * sizeof(*glance->known));
		glance->full = realloc(glance->full, blocks * sizeof(*glance->full));
		assert(glance->has && glance->known && glance->full);
	}
	glance->has[column] = (struct amount){
		.column = column,
		.cpu = at_most(capacity.amount[RES_CPU]),
		.memory = at_most((capacity.amount[RES_MEMORY] + MEMORY_UNIT - 1) / MEMORY_UNIT),
	};
	unknow(glance);
}

/* ---- counting ---- */

static struct block *block_of(struct span *span, uint32_t i)
{
	if (i >= span->count) {
		span->block = realloc(span->block, (i + 1) * sizeof(struct block *));
		assert(span->block);
		memset(&span->block[span->count], 0, (i + 1 - span->count) * sizeof(struct block *));
		span->count = i + 1;
	}
	if (!span->block[i]) {
		span->block[i] = calloc(1, sizeof(struct block));
		assert(span->block[i]);
		span->used++;
	}
	return span->block[i];
}

static void count_here(struct span *span, const struct amount *amount)
{
	static const struct block nothing;
	uint32_t i = amount->column / BLOCK, j = amount->column % BLOCK;
	struct block *block = block_of(span, i);

	block->cpu[j] += amount->cpu;
	block->memory[j] += amount->memory;
	if (block->cpu[j] == 0 && block->memory[j] == 0 && memcmp(block, &nothing, sizeof(nothing)) == 0) {
		free(block);
		span->block[i] = NULL;
		span->used--;
	}
}

/* Counts it in the instants from .. to - 1 of the span, which goes if nothing is left of it. */
static void count(struct span **at, unsigned height, uint64_t from, uint64_t to, const struct amount *amount)
{
	struct span *span = *at = *at ? *at : span_new(height);

	if (to - from == width_of(height)) {
		count_here(span, amount);
	} else {
		uint64_t width = width_of(height - 1);
		for (uint64_t i = from / width; i * width < to; i++) {
			uint64_t low = from > i * width ? from - i * width : 0;
			uint64_t high = to - i * width < width ? to - i * width : width;
			span->used -= span->part[i] != NULL;
			count(&span->part[i], height - 1, low, high, amount);
			span->used += span->part[i] != NULL;
		}
	}
	if (span->used == 0) {
		span_free(span, height);
		*at = NULL;
	}
}

/* The first instant not before that time, if it is one to come. */
static uint64_t instant(const struct glance *glance, wall_us at_us)
{
	uint64_t last = width_of(HEIGHTS), i = 0;

	if (at_us > 0) {
		i = (uint64_t)(at_us / GLANCE_STEP_US) + (at_us % GLANCE_STEP_US > 0);
	}
	i = i > glance->first ? i : glance->first;
	return i < last ? i : last;
}

static void change(struct glance *glance, wall_us start_us, wall_us end_us, const struct amount *amount)
{
	uint64_t from = instant(glance, start_us), to = instant(glance, end_us);

	assert(amount->column < glance->columns);
	if (from < to && (amount->cpu || amount->memory)) {
		count(&glance->root, HEIGHTS, from, to, amount);
		unknow(glance);
	}
}

void glance_add(struct glance *glance, uint32_t column, wall_us start_us, wall_us end_us, struct capacity use)
{
	struct amount amount = {column, (uint32_t)use.amount[RES_CPU],
				(uint32_t)(use.amount[RES_MEMORY] / MEMORY_UNIT)};

	change(glance, start_us, end_us, &amount);
}

void glance_remove(struct glance *glance, uint32_t column, wall_us start_us, wall_us end_us, struct capacity use)
{
	struct amount amount = {column, -(uint32_t)use.amount[RES_CPU],
				-(uint32_t)(use.amount[RES_MEMORY] / MEMORY_UNIT)};

	change(glance, start_us, end_us, &amount);
}

/* Frees the first so many instants of the span. */
static void forget(struct span **at, unsigned height, uint64_t instants)
{
	struct span *span = *at;

	if (!span) {
		return;
	}
	if (instants < width_of(height)) {
		uint64_t width = width_of(height - 1);
		for (uint64_t i = 0; i * width < instants; i++) {
			uint64_t rest = instants - i * width;
			span->used -= span->part[i] != NULL;
			forget(&span->part[i], height - 1, rest < width ? rest : width);
			span->used += span->part[i] != NULL;
		}
	}
	if (instants == width_of(height) || span->used == 0) {
		span_free(span, height);
		*at = NULL;
	}
}

void glance_pass(struct glance *glance, wall_us now_us)
{
	uint64_t first = instant(glance, now_us);

	if (first > glance->first) {
		glance->first = first;
		forget(&glance->root, HEIGHTS, first);
		unknow(glance);
	}
}

/* ---- looking ---- */

/* The spans above the instant, and itself, that have something; their number. */
static int spans_at(const struct glance *glance, uint64_t instant, const struct span **out)
{
	const struct span *span = instant < width_of(HEIGHTS) ? glance->root : NULL;
	int n = 0;

	for (unsigned height = HEIGHTS; span; height--) {
		if (span->count) {
			out[n++] = span;
		}
		span = height ? span->part[instant >> (BITS * (height - 1)) & (PARTS - 1)] : NULL;
	}
	return n;
}

void glance_look(struct glance *glance, struct capacity use, wall_us start_us, wall_us end_us)
{
	uint64_t from = instant(glance, start_us), to = instant(glance, end_us);

	if (glance->start_us == start_us && glance->end_us == end_us && memcmp(&glance->use, &use, sizeof(use)) == 0) {
		return;
	}
	glance->use = use;
	glance->start_us = start_us;
	glance->end_us = end_us;
	glance->looks = 0;
	for (uint64_t step = (to - from) / LOOKS + 1; from < to; from += step) {
		const struct span **span = glance->look[glance->looks].span;
		int n = spans_at(glance, from, span), last = glance->looks - 1;
		bool same = last >= 0 && glance->look[last].n == n && glance->look[last].span[n - 1] == span[n - 1];
		if (n && !same) {
			glance->look[glance->looks++].n = n;
		}
	}
	if (glance->columns) {
		memset(glance->known, 0, ((glance->columns - 1) / BLOCK + 1) * sizeof(*glance->known));
	}
}

/* Adds up the i-th block of some spans. */
static const struct block *sum(const struct span *const *span, int n, uint32_t i, struct block *room)
{
	const struct block *only = NULL;

	for (int s = 0; s < n; s++) {
		const struct block *block = i < span[s]->count ? span[s]->block[i] : NULL;
		if (!block || !only) {
			only = block ? block : only;
			continue;
		}
		for (int j = 0; j < BLOCK; j++) {
			room->cpu[j] = only->cpu[j] + block->cpu[j];
			room->memory[j] = only->memory[j] + block->memory[j];
		}
		only = room;
	}
	return only;
}

/* The most that may be in use for the wanted use to fit; false if it never does. */
static bool limit(const struct glance *glance, uint32_t column, uint32_t *cpu, uint32_t *memory)
{
	int64_t wants_cpu = glance->use.amount[RES_CPU], wants_memory = glance->use.amount[RES_MEMORY] / MEMORY_UNIT;

	*cpu = *memory = UINT32_MAX; /* of what is so large no sum can be trusted */
	if (column >= glance->columns) {
		return false;
	}
	const struct amount *has = &glance->has[column];
	if (has->cpu < UINT32_MAX) {
		*cpu = wants_cpu <= has->cpu ? has->cpu - (uint32_t)wants_cpu : 0;
	}
	if (has->memory < UINT32_MAX) {
		*memory = wants_memory <= has->memory ? has->memory - (uint32_t)wants_memory : 0;
	}
	return (has->cpu == UINT32_MAX || wants_cpu <= has->cpu) &&
	       (has->memory == UINT32_MAX || wants_memory <= has->memory);
}

/* Marks with 1 the columns that are over their limit in that look; true if now all are marked. */
static bool find_over(const struct glance *glance, int look, uint32_t i, const struct block *most, uint32_t *over)
{
	struct block room;
	const struct block *use = sum(glance->look[look].span, glance->look[look].n, i, &room);
	uint32_t all = 1;

	for (int j = 0; use && j < BLOCK; j++) {
		over[j] |= (use->cpu[j] > most->cpu[j]) | (use->memory[j] > most->memory[j]);
	}
	for (int j = 0; j < BLOCK; j++) {
		all &= over[j];
	}
	return all;
}

static void find_out(struct glance *glance, uint32_t i)
{
	struct block most;
	uint32_t over[BLOCK];
	bool all = false;

	for (uint32_t j = 0; j < BLOCK; j++) {
		over[j] = !limit(glance, i * BLOCK + j, &most.cpu[j], &most.memory[j]);
	}
	/* Times far apart first: most blocks prove to be full early, or are free throughout. */
	for (int step = LOOKS; step > 0 && !all; step /= 2) {
		for (int l = step - 1; l < glance->looks && !all; l += 2 * step) {
			all = find_over(glance, l, i, &most, over);
		}
	}
	glance->known[i] = true;
	glance->full[i] = 0;
	for (int j = 0; j < BLOCK; j++) {
		glance->full[i] |= (uint64_t)over[j] << j;
	}
}

bool glance_full(struct glance *glance, uint32_t column)
{
	uint32_t i = column / BLOCK;

	if (!glance->known[i]) {
		find_out(glance, i);
	}
	return glance->full[i] >> (column % BLOCK) & 1;
}

struct capacity glance_use(const struct glance *glance, uint32_t column, wall_us at_us)
{
	const struct span *span[HEIGHTS + 1];
	struct capacity use = {{0}};
	struct block room;

	assert(at_us % GLANCE_STEP_US == 0);
	const struct block *block =
		sum(span, spans_at(glance, (uint64_t)(at_us / GLANCE_STEP_US), span), column / BLOCK, &room);
	if (block) {
		use.amount[RES_CPU] = block->cpu[column % BLOCK];
		use.amount[RES_MEMORY] = block->memory[column % BLOCK] * MEMORY_UNIT;
	}
	return use;
}
