/* Offers: alternatives that were tried and taken back. Changes nothing in the end. */
#include "offer.h"

#include "admit.h"
#include "attempt.h"

#define OFFER_NODES 128  /* looked at for a later start: the first of so many to be free is seldom much later */
#define OFFER_LOOKS 384  /* at nodes, for one such search */
#define OFFER_POINTS 128 /* in each of them */

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
	if (reason->code == REASON_NEVER_FITS || !feasible(&making, later, spec->vms, spec->duration_us)) {
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
