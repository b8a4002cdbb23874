/*
 * How long overhead takes, from settings and rates, and from what was measured (mean and deviation by Welford, 1962, in
 * integers, so that every machine finds the same).
 */
#include "estimate.h"

#include <assert.h>
#include <string.h>

/* So long that it never fits; yet as many as a lease has VMs, one after another, end before WALL_NEVER. */
#define LONGEST_US (WALL_NEVER / (2 * LEASE_VMS_MAX))
#define ENOUGH 5                             /* measurements before they count */
#define FADING 64                            /* so many, and the old ones begin to count less */
#define FLOOR_US (10 * USEC_PER_MSEC)        /* nodes' clocks agree to about that */
#define BELIEVED_TIMES 20                    /* longer than so many times what rates say ... */
#define BELIEVED_MORE_US (10 * USEC_PER_SEC) /* ... and that more is no measurement */
#define BELIEVED_US USEC_PER_DAY             /* keeps the squares within 64 bits */

span_us estimate_bytes(int64_t bytes, int64_t rate)
{
	assert(bytes >= 0 && rate > 0);
	if (rate == INT64_MAX) {
		return 0;
	}
	int64_t seconds = bytes / rate;
	if (seconds >= LONGEST_US / USEC_PER_SEC) {
		return LONGEST_US;
	}
	/* In 128 bits: the remainder can be as large as a rate of many GB/s, times a million. */
	__int128 rest = (__int128)(bytes % rate) * USEC_PER_SEC + rate - 1;
	int64_t part = rest <= INT64_MAX ? (int64_t)rest / rate : (int64_t)(rest / rate);
	span_us span = seconds * USEC_PER_SEC + part;
	return span > 0 ? span : 1;
}

span_us estimate_plain(const struct plan_settings *settings, const struct node_info *node, enum estimate_what what,
		       int64_t memory)
{
	if (what == ESTIMATE_SUSPEND) {
		return settings->suspend_us + estimate_bytes(memory, node->suspend_rate);
	}
	return settings->resume_us + estimate_bytes(memory, node->resume_rate);
}

span_us estimate_copy(const struct plan *plan, const struct node *from, const struct node *to,
		      const struct lease_spec *spec)
{
	int64_t out = from->info.capacity.amount[RES_NET_OUT], in = to->info.capacity.amount[RES_NET_IN];
	int64_t rate = out > 0 && (in == 0 || out < in) ? out : in;

	if (plan->settings.migration == MIGRATION_FREE) {
		return 0;
	}
	return estimate_bytes(spec->per_vm.amount[RES_MEMORY] + spec->per_vm.amount[RES_DISK],
			      rate > 0 ? rate : plan->settings.repository_rate);
}

/* Four classes from each power of two to the next: the upper end of the one the size is in. */
static int64_t class_of(int64_t memory)
{
	int64_t power = 1;

	while (power <= memory / 2) {
		power *= 2;
	}
	int64_t step = power >= 4 ? power / 4 : 1;
	return (memory + step - 1) / step * step;
}

/* The span, as much longer as that of plain to_us is than that of plain from_us. */
static span_us in_proportion(span_us span, span_us from_us, span_us to_us)
{
	return from_us > 0 ? (span_us)(((__int128)span * to_us + from_us - 1) / from_us) : span;
}

/* Where it is, or would have to be, among those of the node. */
static size_t lesson_at(const struct learnt *learnt, enum estimate_what what, int64_t memory)
{
	size_t low = 0, high = learnt->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct estimate *row = &learnt->item[middle].row;
		if (row->what < what || (row->what == what && row->memory < memory)) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* What is to be gone by for guests of that size; NULL = nothing yet. */
static const struct lesson *lesson_for(const struct learnt *learnt, enum estimate_what what, int64_t memory)
{
	size_t at = lesson_at(learnt, what, memory);

	for (size_t i = at; i < learnt->count && learnt->item[i].row.what == what; i++) {
		if (learnt->item[i].span_us > 0) {
			return &learnt->item[i];
		}
	}
	for (size_t i = at; i-- > 0 && learnt->item[i].row.what == what;) {
		if (learnt->item[i].span_us > 0) {
			return &learnt->item[i];
		}
	}
	return NULL;
}

/* estimate_plain(), remembered. */
static span_us plain(const struct plan *plan, const struct node *node, enum estimate_what what, int64_t memory)
{
	struct plan *memo = (struct plan *)plan; /* it is none the different for it */
	int64_t rate = what == ESTIMATE_SUSPEND ? node->info.suspend_rate : node->info.resume_rate;

	if (plan->plain[what].memory != memory || plan->plain[what].rate != rate) {
		memo->plain[what].memory = memory;
		memo->plain[what].rate = rate;
		memo->plain[what].span_us = estimate_plain(&plan->settings, &node->info, what, memory);
	}
	return plan->plain[what].span_us;
}

static span_us estimate(const struct plan *plan, const struct node *node, enum estimate_what what, int64_t memory)
{
	const struct plan_settings *settings = &plan->settings;
	span_us plain_us = plain(plan, node, what, memory);
	const struct lesson *lesson = settings->learn ? lesson_for(&node->learnt, what, memory) : NULL;

	if (!lesson) {
		return plain_us;
	}
	span_us size_us = estimate_plain(settings, &node->info, what, lesson->row.memory);
	span_us span = in_proportion(lesson->span_us, size_us, plain_us);
	span_us floor_us = plain_us < FLOOR_US ? plain_us : FLOOR_US;
	return span < floor_us ? floor_us : span > LONGEST_US ? LONGEST_US : span;
}

span_us estimate_suspend(const struct plan *plan, const struct node *node, int64_t memory)
{
	return estimate(plan, node, ESTIMATE_SUSPEND, memory);
}

span_us estimate_resume(const struct plan *plan, const struct node *node, int64_t memory)
{
	return estimate(plan, node, ESTIMATE_RESUME, memory);
}

/* The whole part of the square root. */
static int64_t root(int64_t square)
{
	int64_t low = 0, high = INT64_C(3037000499);

	while (low < high) {
		int64_t middle = (low + high + 1) / 2;
		if (middle * middle <= square) {
			low = middle;
		} else {
			high = middle - 1;
		}
	}
	return low;
}

span_us estimate_span(const struct estimate *row)
{
	if (row->count < ENOUGH) {
		return 0;
	}
	span_us sigma_us = root(row->squares_ms2 / (row->count - 1)) * USEC_PER_MSEC;
	return row->mean_us + 2 * sigma_us > 0 ? row->mean_us + 2 * sigma_us : 1;
}

/* The node's lesson of that class; makes it if there is none. */
static struct lesson *lesson_make(struct node *node, enum estimate_what what, int64_t memory)
{
	struct learnt *learnt = &node->learnt;
	size_t at = lesson_at(learnt, what, memory);

	if (at == learnt->count || learnt->item[at].row.what != what || learnt->item[at].row.memory != memory) {
		learnt->item = plan_grow(learnt->item, learnt->count, &learnt->room, sizeof(*learnt->item));
		memmove(&learnt->item[at + 1], &learnt->item[at], (learnt->count - at) * sizeof(*learnt->item));
		learnt->item[at] = (struct lesson){
			.row = {.node = node->info.id, .what = what, .memory = memory},
		};
		learnt->count++;
	}
	return &learnt->item[at];
}

static void add(struct estimate *row, span_us took_us)
{
	if (row->count == FADING) {
		/* Half of what is known makes room for what may have changed since. */
		row->count /= 2;
		row->squares_ms2 /= 2;
	}
	span_us before_us = took_us - row->mean_us;
	row->mean_us += before_us / ++row->count;
	span_us after_us = took_us - row->mean_us;
	row->squares_ms2 += (int64_t)((__int128)before_us * after_us / (USEC_PER_MSEC * USEC_PER_MSEC));
}

static void seen_done(struct plan *plan, struct node *node, wall_us done_us)
{
	node->learnt.last_us = done_us > node->learnt.last_us ? done_us : node->learnt.last_us;
	plan->moved_us = done_us > plan->moved_us ? done_us : plan->moved_us;
}

void estimate_learn(struct plan *plan, struct node *node, enum estimate_what what, int64_t memory, wall_us from_us,
		    wall_us done_us)
{
	wall_us last_us = plan->lane ? plan->moved_us : node->learnt.last_us;
	span_us plain_us = estimate_plain(&plan->settings, &node->info, what, memory);
	span_us took_us = done_us - (last_us > from_us ? last_us : from_us);

	/* What is told again is not measured again; and a node that did not hear in time is not slow. */
	if (!plan->settings.learn || done_us <= last_us || took_us < 0 || plain_us >= BELIEVED_US ||
	    took_us > BELIEVED_TIMES * plain_us + BELIEVED_MORE_US) {
		return;
	}
	struct lesson *lesson = lesson_make(node, what, class_of(memory));
	span_us size_us = estimate_plain(&plan->settings, &node->info, what, lesson->row.memory);
	add(&lesson->row, in_proportion(took_us, plain_us, size_us));
	lesson->row.last_us = done_us;
	lesson->changed = true;
	node->learnt.changed = true;
	node_list(plan, node);
	lesson->span_us = estimate_span(&lesson->row);
	seen_done(plan, node, done_us);
}

void plan_restore_estimate(struct plan *plan, const struct estimate *row)
{
	struct node *node = plan_find_node(plan, row->node);

	if (node && row->what < ESTIMATE_COUNT && row->memory > 0 && row->count > 0) {
		struct lesson *lesson = lesson_make(node, row->what, row->memory);
		lesson->row = *row;
		lesson->span_us = estimate_span(&lesson->row);
		seen_done(plan, node, row->last_us);
	}
}
