/* Offers: alternatives that were tried and taken back. Changes nothing in the end. */
#include "offer.h"

#include <stdlib.h>

#include "admit.h"
#include "attempt.h"

#define OFFER_NODES 128  /* looked at for a later start: the first of so many to be free is seldom much later */
#define OFFER_LOOKS 384  /* at nodes, for one such search */
#define OFFER_POINTS 128 /* in each of them */

/* Of an earlier start. */
#define EARLIER_LOOKS 256 /* at nodes */
#define EARLIER_HOPS 4    /* in one stretch of time on a node */
#define EARLIER_TRIES 8   /* starts tried */

/* An offer that is being made. */
struct making {
	struct plan *plan;
	const struct lease_spec *spec;
	struct attempt at;
	wall_us start_us; /* of the last that was feasible */
};

/* Whether it could be had with these figures, and from when on. Nothing is changed. */
static bool feasible(struct making *making, struct attempt_span span, uint32_t vms, span_us duration_us)
{
	span.nodes = OFFER_NODES;
	span.looks = OFFER_LOOKS;
	span.points = OFFER_POINTS;
	making->at.unit.n = vms;
	if (!attempt_within(making->plan, &making->at, &span, duration_us)) {
		return false;
	}
	making->start_us = making->at.run.start_us;
	attempt_undo(making->plan, &making->at);
	return true;
}

/* ---- an earlier start ------------------------------------------------------------------------------------------- */

/* Where to look for the last time before some other at which nodes are free for all of a run. */
struct earlier {
	wall_us from_us, to_us; /* when preparation may begin; to_us is too late */
	span_us whole_us;       /* a run from preparation to release */
	const struct lease_spec *spec;
	size_t looks; /* still allowed */
};

/* A node that could take so many VMs more, if their preparation began by then. */
struct chance {
	wall_us prepare_us;
	uint32_t count;
};

/* The last in [from_us, to_us), by the first few times from from_us on at which there is room; -1 if there is none. */
static wall_us last_between(struct earlier *earlier, const struct node *node, struct capacity use, wall_us from_us,
			    wall_us to_us)
{
	wall_us last_us = -1;

	for (int i = 0; i < EARLIER_HOPS && earlier->looks > 0; i++) {
		earlier->looks--;
		wall_us at_us = place_fit(node, earlier->spec, use, from_us, earlier->whole_us, OFFER_POINTS);
		if (at_us >= to_us) {
			break;
		}
		wall_us until_us = place_until(node, earlier->spec, use, at_us);
		if (until_us - earlier->whole_us >= to_us) {
			return to_us - 1;
		}
		last_us = until_us - at_us >= earlier->whole_us ? until_us - earlier->whole_us : last_us;
		from_us = until_us > at_us ? until_us : at_us + 1;
	}
	return last_us;
}

/* The last before to_us, in stretches that grow on the way back. */
static wall_us last_before(struct earlier *earlier, const struct node *node, struct capacity use, wall_us to_us)
{
	wall_us last_us = -1, end_us = to_us;

	for (span_us back_us = earlier->whole_us; last_us < 0 && end_us > earlier->from_us && earlier->looks > 0;
	     back_us *= 4) {
		wall_us from_us = to_us - earlier->from_us > back_us ? to_us - back_us : earlier->from_us;
		last_us = last_between(earlier, node, use, from_us, end_us);
		end_us = from_us;
	}
	return last_us;
}

static uint32_t count_at(const struct plan *plan, const struct earlier *earlier, const struct node *node,
			 wall_us prepare_us)
{
	wall_us start_us = prepare_us + plan->settings.prepare_us;
	struct run run = {
		.prepare_us = prepare_us,
		.start_us = start_us,
		.end_us = start_us + earlier->spec->duration_us,
		.release_us = prepare_us + earlier->whole_us,
	};

	return place_count(node, earlier->spec, &run, earlier->spec->vms);
}

/* How many VMs come to have room on a node, and when, going back. Returns how many of chance[] it took. */
static size_t list_node(const struct plan *plan, struct earlier *earlier, const struct node *node,
			struct chance *chance)
{
	uint32_t most = node_takes_new(node) ? place_most(plan, node, earlier->spec, earlier->spec->vms) : 0;
	wall_us prepare_us = earlier->to_us;
	uint32_t count = 0;
	size_t n = 0;

	while (count < most && earlier->looks > 0) {
		struct capacity use = capacity_scale(earlier->spec->per_vm, count + 1);
		prepare_us = last_before(earlier, node, use, prepare_us);
		uint32_t more = prepare_us < 0 ? 0 : count_at(plan, earlier, node, prepare_us);
		if (more <= count) {
			break;
		}
		chance[n++] = (struct chance){prepare_us, more - count};
		count = more;
	}
	return n;
}

static int latest_first(const void *a, const void *b)
{
	const struct chance *one = a, *other = b;

	return (one->prepare_us < other->prepare_us) - (one->prepare_us > other->prepare_us);
}

/* The last time before earlier->to_us from which on, going back, some nodes may have room for all VMs; or -1. */
static wall_us enough_before(const struct plan *plan, struct earlier *earlier)
{
	struct chance chance[EARLIER_LOOKS]; /* each is looked for */
	uint64_t vms = 0;
	size_t n = 0;

	for (size_t i = 0; i < plan->node_count && i < OFFER_NODES; i++) {
		n += list_node(plan, earlier, plan->nodes[plan->node_count - 1 - i], chance + n);
	}
	qsort(chance, n, sizeof(*chance), latest_first);
	for (size_t i = 0; i < n; i++) {
		vms += chance[i].count;
		if (vms >= earlier->spec->vms) {
			return chance[i].prepare_us;
		}
	}
	return -1;
}

/*
 * The nearest start before the one asked for, not before from_us; or 0. Going back in time more becomes possible only
 * where a node comes to have room: such times are tried. By then others may have room no more, so what fails is begun
 * anew from there.
 */
static wall_us earlier_start(struct making *making, wall_us from_us)
{
	const struct lease_spec *spec = making->spec;
	span_us prepare_us = making->plan->settings.prepare_us;
	struct earlier earlier = {
		.from_us = from_us - prepare_us,
		.to_us = spec->start_us - prepare_us,
		.whole_us = prepare_us + spec->duration_us + making->plan->settings.stop_us,
		.spec = spec,
		.looks = EARLIER_LOOKS,
	};

	making->at.unit.n = spec->vms;
	for (int i = 0; i < EARLIER_TRIES && earlier.to_us > earlier.from_us; i++) {
		earlier.to_us = enough_before(making->plan, &earlier);
		wall_us start_us = earlier.to_us + prepare_us;
		if (earlier.to_us >= 0 && attempt_at(making->plan, &making->at, start_us, spec->duration_us)) {
			attempt_undo(making->plan, &making->at);
			return start_us;
		}
	}
	return 0;
}

/* The nearest other start, the earlier one if it is nearer than the later; 0 if none was found. */
static wall_us other_start(struct making *making, const struct attempt_span *later)
{
	const struct lease_spec *spec = making->spec;
	wall_us start_us = 0, from_us = attempt_earliest(making->plan);

	if (feasible(making, *later, spec->vms, spec->duration_us)) {
		start_us = making->start_us;
	}
	if (spec->kind != LEASE_AR || start_us == later->from_us) {
		return start_us;
	}
	if (start_us > 0 && spec->start_us - from_us >= start_us - later->from_us) {
		from_us = spec->start_us - (start_us - later->from_us) + 1;
	}
	wall_us before_us = earlier_start(making, from_us);
	return before_us > 0 ? before_us : start_us;
}

/* ---- less ------------------------------------------------------------------------------------------------------- */

/* The most VMs, fewer than asked for, and not more than may fit by what is known. */
static uint32_t fewer_vms(struct making *making, struct attempt_span span, int64_t most)
{
	uint32_t low = 0, high = making->spec->vms;

	if (most < high) {
		high = most > 0 ? (uint32_t)most + 1 : 1;
	}
	for (uint32_t middle = high - 1; low + 1 < high; middle = low + (high - low) / 2) {
		if (feasible(making, span, middle, making->spec->duration_us)) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

/* The longest time, to the second, and not shorter than what a best-effort lease would be started for. */
static span_us shorter(struct making *making, struct attempt_span span)
{
	span_us high = making->spec->duration_us, low = making->plan->settings.min_run_us;

	low = low > USEC_PER_SEC ? low - low % USEC_PER_SEC : USEC_PER_SEC;
	if (low >= high || !feasible(making, span, making->spec->vms, low)) {
		return 0;
	}
	while (high - low > USEC_PER_SEC) {
		span_us middle = low + (high - low) / 2;
		if (feasible(making, span, making->spec->vms, middle)) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low - low % USEC_PER_SEC;
}

/* How many VMs the reason says would fit at the start asked for. */
static int64_t may_fit(const struct lease_spec *spec, const struct reason *reason, const struct attempt_span *span)
{
	bool exact = span->latest_us <= span->from_us;
	bool said = reason->code == REASON_NEVER_FITS || (reason->code == REASON_NO_ROOM && exact);

	return said ? reason->arg0 : spec->vms;
}

struct offer offer_find(struct plan *plan, struct contract *contract, const struct reason *reason)
{
	const struct lease_spec *spec = &contract->lease.spec;
	struct offer offer = {.vms = spec->vms, .duration_us = spec->duration_us};
	struct making making = {.plan = plan, .spec = spec};
	struct attempt_span span = {0}, later;
	struct reason past;

	attempt_init(&making.at, contract);
	making.at.reason = *reason;
	bool in_time = admit_span(plan, spec, &span.from_us, &span.latest_us, &past);
	span.latest_us = in_time ? span.latest_us : span.from_us;
	later = (struct attempt_span){
		.from_us = span.latest_us,
		.latest_us = ADMIT_LONGEST_US,
		.tried = in_time && spec->kind != LEASE_IMMEDIATE,
	};
	if (reason->code != REASON_NEVER_FITS) {
		making.start_us = other_start(&making, &later);
	}
	if (making.start_us == 0) {
		offer.vms = fewer_vms(&making, span, may_fit(spec, reason, &span));
	}
	if (offer.vms == 0) {
		offer.vms = spec->vms;
		offer.duration_us = shorter(&making, span);
	}
	offer.start_us = making.start_us;
	offer.valid = offer.vms > 0 && offer.duration_us > 0;
	attempt_fini(&making.at);
	return offer.valid ? offer : (struct offer){0};
}
