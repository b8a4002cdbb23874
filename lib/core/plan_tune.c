/* Another slice and period, or none, for a lease that is not over: on all its nodes at once, or on none. */
#include <stdlib.h>

#include "admit.h"
#include "place.h"
#include "plan_state.h"
#include "queue.h"
#include "rate.h"

#define FINE 1000 /* offers are found to a thousandth */

/* The spec with another constraint, as if the lease were asked for anew. */
static struct lease_spec tuned_spec(const struct plan *plan, const struct lease_spec *spec, span_us slice_us,
				    span_us period_us)
{
	struct lease_spec tuned = *spec;

	tuned.per_vm.amount[RES_CPU] = lease_cpu(spec);
	tuned.cpu = 0;
	tuned.slice_us = slice_us;
	tuned.period_us = period_us;
	rate_spec(plan, &tuned);
	return tuned;
}

/* Books all of it where it is, but as that spec has it. */
static void rebook(struct plan *plan, struct contract *contract, struct unit *unit, const struct lease_spec *spec)
{
	place_lift(plan, unit);
	contract->lease.spec = *spec;
	place_put_back(plan, unit);
}

/*
 * True if what lies suspended, or will, could go on as it is now, were there nobody else: with what must go on
 * together, and on its own nodes if it may not leave them.
 */
static bool can_go_on(const struct plan *plan, const struct unit *unit)
{
	const struct lease_spec *spec = unit->spec;
	uint64_t anywhere = 0;

	if (spec->kind != LEASE_BEST_EFFORT) {
		return true;
	}
	for (size_t i = 0; i < plan->node_count; i++) {
		plan->nodes[i]->count = 0;
		anywhere += place_most(plan, plan->nodes[i], spec, unit->n);
	}
	for (uint32_t i = 0; i < unit->n && plan->settings.migration == MIGRATION_NO; i++) {
		struct node *node = unit->seat[i].node;
		if (node && place_most(plan, node, spec, unit->n) < (spec->serial ? 1 : ++node->count)) {
			return false;
		}
	}
	return anywhere >= (spec->serial ? 1 : unit->n);
}

static bool holds(const struct plan *plan, const struct unit *unit)
{
	return place_holds(plan, unit) && can_go_on(plan, unit);
}

/* True if it could be so; changes nothing. */
static bool could_be(struct plan *plan, struct contract *contract, struct unit *unit, span_us slice_us,
		     span_us period_us)
{
	const struct lease_spec was = contract->lease.spec;
	struct lease_spec tuned = tuned_spec(plan, &was, slice_us, period_us);

	rebook(plan, contract, unit, &tuned);
	bool fits = holds(plan, unit);
	rebook(plan, contract, unit, &was);
	return fits;
}

/* What all of its nodes can keep. */
static span_us least_slice(const struct unit *unit)
{
	span_us least = 1;

	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		span_us here = node ? edf_slice_min_us(&node->info.edf) : 0;

		least = here > least ? here : least;
	}
	return least;
}

/* The greatest below slice_us that could be had, or 0. */
static span_us longest_slice(struct plan *plan, struct contract *contract, struct unit *unit, span_us slice_us,
			     span_us period_us)
{
	span_us least = least_slice(unit), low = least - 1, high = slice_us;

	while (high - low > 1 + high / FINE) {
		span_us middle = low + (high - low) / 2;
		if (could_be(plan, contract, unit, middle, period_us)) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low < least ? 0 : low;
}

/* The longer a period, the less the core's cost: the shortest of the same rate, or 0. */
static span_us shortest_period(struct plan *plan, struct contract *contract, struct unit *unit, span_us slice_us,
			       span_us period_us, span_us *offered_us)
{
	span_us low = period_us, high = EDF_PERIOD_MAX_US;

	*offered_us = (span_us)((__int128)slice_us * high / period_us);
	if (!could_be(plan, contract, unit, *offered_us, high)) {
		*offered_us = 0;
		return 0;
	}
	while (high - low > 1 + low / FINE) {
		span_us middle = low + (high - low) / 2, slice = (span_us)((__int128)slice_us * middle / period_us);
		if (could_be(plan, contract, unit, slice, middle)) {
			high = middle;
			*offered_us = slice;
		} else {
			low = middle;
		}
	}
	return high;
}

static void offer(struct plan *plan, struct contract *contract, struct unit *unit, span_us slice_us, span_us period_us)
{
	const struct lease_spec *spec = &contract->lease.spec;
	struct offer *offer = &plan->offer;

	*offer = (struct offer){.vms = spec->vms, .duration_us = spec->duration_us};
	offer->slice_us = longest_slice(plan, contract, unit, slice_us, period_us);
	offer->period_us = shortest_period(plan, contract, unit, slice_us, period_us, &offer->period_slice_us);
	offer->valid = offer->slice_us > 0 || offer->period_us > 0;
}

/* False with the reason if a node of it cannot be told, or could not keep that for anybody. Shares any node gives. */
static bool nodes_take(const struct unit *unit, const struct lease_spec *tuned, struct reason *reason)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		if (node && node->info.state == NODE_SILENT) {
			*reason = (struct reason){.code = REASON_NODE_SILENT};
			return false;
		}
		if (node && tuned->period_us && !rate_possible_on(node, tuned, reason)) {
			return false;
		}
	}
	return true;
}

/* Less CPU never costs more, however full the cluster is by now. */
static bool price_right(const struct plan *plan, const struct contract *contract, const struct lease_spec *tuned,
			int64_t *price, struct reason *reason)
{
	bool less = tuned->per_vm.amount[RES_CPU] <= contract->lease.spec.per_vm.amount[RES_CPU];
	bool right = admit_price(plan, tuned, price, reason) || less;

	*price = less && *price > contract->lease.price ? contract->lease.price : *price;
	return right;
}

static bool tune(struct plan *plan, struct contract *contract, span_us slice_us, span_us period_us,
		 struct reason *reason)
{
	struct lease_spec was = contract->lease.spec, tuned = tuned_spec(plan, &was, slice_us, period_us);
	struct unit unit;
	int64_t price;

	*reason = (struct reason){.code = REASON_TUNE};
	if (!rate_sane(&tuned)) {
		return false;
	}
	queue_drop(plan);
	plan->queue_due = true;
	place_unit(contract, NULL, &unit);
	bool booked = contract->booked > 0;
	bool done = nodes_take(&unit, &tuned, reason) && (booked || admit_possible(plan, &tuned, reason)) &&
		    price_right(plan, contract, &tuned, &price, reason);
	if (done) {
		rebook(plan, contract, &unit, &tuned);
		done = holds(plan, &unit);
		if (!done) {
			rebook(plan, contract, &unit, &was);
			if (period_us) {
				offer(plan, contract, &unit, slice_us, period_us);
			}
			*reason = (struct reason){.code = REASON_TUNE};
		}
	}
	if (done) {
		contract->lease.price = price;
	}
	free(unit.seat);
	return done;
}

void plan_tune(struct plan *plan, uint64_t id, span_us slice_us, span_us period_us)
{
	struct contract *contract = plan_find_contract(plan, id);
	struct reason reason;

	if (!contract) {
		return;
	}
	plan->offer = (struct offer){0};
	contract_touch(plan, contract);
	if (!tune(plan, contract, slice_us, period_us, &reason)) {
		plan_refuse(plan, id, &reason);
		return;
	}
	contract->answered = true;
	contract->tuned = true;
}
