/* Spans in a balanced tree by their begin, each with the latest end in its subtree. Knows no guests and no nodes. */
#include "lane.h"

#include <assert.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>

struct span {
	wall_us from_us, to_us;
	wall_us latest_us; /* the latest to_us of its subtree */
	size_t times;      /* how often it was added */
	RB_ENTRY(span) by_from;
};

RB_HEAD(spans, span);

struct lane {
	struct spans spans;
	size_t count;
};

static int span_compare(const struct span *a, const struct span *b)
{
	if (a->from_us != b->from_us) {
		return a->from_us < b->from_us ? -1 : 1;
	}
	return a->to_us < b->to_us ? -1 : a->to_us > b->to_us;
}

static void see_latest(struct span *span)
{
	const struct span *child[] = {RB_LEFT(span, by_from), RB_RIGHT(span, by_from)};

	span->latest_us = span->to_us;
	for (int i = 0; i < 2; i++) {
		if (child[i] && child[i]->latest_us > span->latest_us) {
			span->latest_us = child[i]->latest_us;
		}
	}
}

#undef RB_AUGMENT
#define RB_AUGMENT(changed) see_latest(changed)
RB_PROTOTYPE(spans, span, by_from, span_compare)
RB_GENERATE(spans, span, by_from, span_compare)

/* The tree's own macros do so only where they turn it round. */
static void see_latest_upwards(struct span *span)
{
	for (; span; span = RB_PARENT(span, by_from)) {
		see_latest(span);
	}
}

struct lane *lane_new(void)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	assert(lane);
	RB_INIT(&lane->spans);
	return lane;
}

void lane_free(struct lane *lane)
{
	struct span *span;

	while (lane && (span = RB_ROOT(&lane->spans))) {
		RB_REMOVE(spans, &lane->spans, span);
		free(span);
	}
	free(lane);
}

static struct span *find(const struct lane *lane, wall_us from_us, wall_us to_us)
{
	struct span key = {.from_us = from_us, .to_us = to_us};

	return RB_FIND(spans, (struct spans *)&lane->spans, &key);
}

void lane_add(struct lane *lane, wall_us from_us, wall_us to_us)
{
	if (from_us >= to_us) {
		return;
	}
	struct span *span = find(lane, from_us, to_us);
	if (!span) {
		span = calloc(1, sizeof(*span));
		assert(span);
		*span = (struct span){.from_us = from_us, .to_us = to_us, .latest_us = to_us};
		RB_INSERT(spans, &lane->spans, span);
		see_latest_upwards(span);
	}
	span->times++;
	lane->count++;
}

void lane_remove(struct lane *lane, wall_us from_us, wall_us to_us)
{
	if (from_us >= to_us) {
		return;
	}
	struct span *span = find(lane, from_us, to_us);
	assert(span);
	lane->count--;
	if (--span->times == 0) {
		struct span *above = RB_PARENT(span, by_from);
		RB_REMOVE(spans, &lane->spans, span);
		see_latest_upwards(above);
		free(span);
	}
}

/* Some span that shares time with [from_us, to_us), or NULL. */
static const struct span *met(const struct lane *lane, wall_us from_us, wall_us to_us)
{
	const struct span *span = RB_ROOT(&lane->spans);

	while (span && (span->from_us >= to_us || span->to_us <= from_us)) {
		const struct span *left = RB_LEFT(span, by_from);
		/* If one on the left ends late enough and yet begins too late, so do all on the right. */
		span = left && left->latest_us > from_us ? left : RB_RIGHT(span, by_from);
	}
	return span;
}

wall_us lane_before(const struct lane *lane, wall_us from_us, span_us length_us)
{
	const struct span *span;

	while (length_us > 0 && (span = met(lane, from_us, from_us + length_us))) {
		from_us = span->from_us - length_us;
	}
	return from_us;
}

wall_us lane_after(const struct lane *lane, wall_us from_us, span_us length_us)
{
	const struct span *span;

	while (length_us > 0 && (span = met(lane, from_us, from_us + length_us))) {
		from_us = span->to_us;
	}
	return from_us;
}

size_t lane_count(const struct lane *lane)
{
	return lane->count;
}

size_t lane_has(const struct lane *lane, wall_us from_us, wall_us to_us)
{
	const struct span *span = find(lane, from_us, to_us);

	return span ? span->times : 0;
}
