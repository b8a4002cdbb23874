/* Slices and periods on a node over time. Books nothing, and knows nothing of what else a node has. */
#include "rate.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

/* A guest with a constraint, and when it is to have it. */
struct rated {
	wall_us start_us, end_us;
	struct edf_demand demand;
};

struct rates {
	struct rated *item;
	size_t count, room;
	struct edf_demand *demand; /* scratch */
};

static struct edf_demand demand_of(const struct lease_spec *spec, uint64_t lease, uint32_t vm)
{
	return (struct edf_demand){
		.id = lease,
		.vm = vm,
		.threads = lease_vcpus(spec),
		.slice_us = spec->slice_us,
		.period_us = spec->period_us,
	};
}

bool rate_sane(const struct lease_spec *spec)
{
	if (spec->slice_us == 0 && spec->period_us == 0) {
		return true;
	}
	return spec->slice_us > 0 && spec->slice_us <= spec->period_us && spec->period_us <= EDF_PERIOD_MAX_US;
}

void rate_spec(const struct plan *plan, struct lease_spec *spec)
{
	struct edf_node cheapest = {.wake_ns = INT64_MAX};
	int64_t *cpu = &spec->per_vm.amount[RES_CPU];

	if (!spec->period_us) {
		return;
	}
	spec->cpu = *cpu;
	if (!rate_sane(spec)) {
		return; /* it is refused for that */
	}
	for (size_t i = 0; i < plan->node_count; i++) {
		const struct edf_node *edf = &plan->nodes[i]->info.edf;
		if (edf->cpus > 0 && edf->wake_ns < cheapest.wake_ns) {
			cheapest = *edf;
		}
	}
	cheapest.wake_ns = cheapest.wake_ns < INT64_MAX ? cheapest.wake_ns : 0;
	*cpu = ((int64_t)edf_density_ppm(&cheapest, spec->slice_us, spec->period_us) * lease_vcpus(spec) + 999) / 1000;
}

/* ---- who is there ---- */

static void add(struct rates *rates, const struct rated *rated)
{
	rates->item = plan_grow(rates->item, rates->count, &rates->room, sizeof(*rates->item));
	rates->item[rates->count++] = *rated;
}

static void add_guest(struct rates *rates, const struct guest *guest, wall_us from_us, wall_us to_us)
{
	const struct lease_spec *spec = &guest->contract->lease.spec;
	const struct vm *vm = guest->vm;
	wall_us end_us = guest_stands_by(guest) ? vm->run.release_us : vm->run.end_us;

	if (spec->period_us && !guest->unseen && vm->run.start_us < to_us && end_us > from_us) {
		add(rates, &(struct rated){vm->run.start_us, end_us, demand_of(spec, vm->lease, vm->index)});
	}
}

/* Of a tree that may be thousands only those that are there in that time. */
static void add_promised(struct rates *rates, const struct guest *root, wall_us from_us, wall_us to_us)
{
	if (!root || root->latest_us <= from_us) {
		return;
	}
	add_promised(rates, RB_LEFT(root, promise), from_us, to_us);
	if (root->vm->run.prepare_us < to_us) {
		add_guest(rates, root, from_us, to_us);
		add_promised(rates, RB_RIGHT(root, promise), from_us, to_us);
	}
}

static struct rates gather(const struct node *node, wall_us from_us, wall_us to_us, bool firm)
{
	struct rates rates = {0};
	const struct guest *guest;

	add_promised(&rates, RB_ROOT(&node->promised), from_us, to_us);
	DL_FOREACH (firm ? node->standby : node->best_effort, guest) {
		add_guest(&rates, guest, from_us, to_us);
	}
	return rates;
}

static void rates_fini(struct rates *rates)
{
	free(rates->item);
	free(rates->demand);
}

/* ---- whether they can all be kept ---- */

/* True if those who are there at that time can be kept, with n VMs like that beside them. */
static bool kept_at(struct rates *rates, const struct node *node, const struct lease_spec *spec, uint32_t n,
		    wall_us at_us)
{
	size_t count = 0;

	rates->demand = realloc(rates->demand, (rates->count + n + 1) * sizeof(*rates->demand));
	assert(rates->demand);
	for (size_t i = 0; i < rates->count; i++) {
		if (rates->item[i].start_us <= at_us && at_us < rates->item[i].end_us) {
			rates->demand[count++] = rates->item[i].demand;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		rates->demand[count++] = demand_of(spec, UINT64_MAX, i);
	}
	return count == 0 || edf_pack(&node->info.edf, rates->demand, count, NULL) == EDF_FITS;
}

/* The first time in [from_us, to_us) at which they cannot, or WALL_NEVER. More are there only when someone begins. */
static wall_us lost_at(struct rates *rates, const struct node *node, const struct lease_spec *spec, uint32_t n,
		       wall_us from_us, wall_us to_us)
{
	wall_us lost_us = kept_at(rates, node, spec, n, from_us) ? WALL_NEVER : from_us;

	for (size_t i = 0; i < rates->count; i++) {
		wall_us at_us = rates->item[i].start_us;
		if (at_us > from_us && at_us < to_us && at_us < lost_us && !kept_at(rates, node, spec, n, at_us)) {
			lost_us = at_us;
		}
	}
	return lost_us;
}

/* The most VMs, up to limit, that are kept all the time. */
static uint32_t most(struct rates *rates, const struct node *node, const struct lease_spec *spec, wall_us from_us,
		     wall_us to_us, uint32_t limit)
{
	uint32_t low = 0, high = limit + 1;

	for (uint32_t middle = limit; low + 1 < high; middle = low + (high - low) / 2) {
		if (lost_at(rates, node, spec, middle, from_us, to_us) >= WALL_NEVER) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

uint32_t rate_most(const struct node *node, const struct lease_spec *spec, uint32_t limit)
{
	struct rates nobody = {0};
	uint32_t n = most(&nobody, node, spec, 0, 1, limit);

	rates_fini(&nobody);
	return n;
}

uint32_t rate_count(const struct node *node, const struct lease_spec *spec, wall_us from_us, wall_us to_us, bool firm,
		    uint32_t limit)
{
	struct rates rates = gather(node, from_us, to_us, firm);
	uint32_t n = most(&rates, node, spec, from_us, to_us, limit);

	rates_fini(&rates);
	return n;
}

wall_us rate_until(const struct node *node, const struct lease_spec *spec, uint32_t n, wall_us from_us, bool firm)
{
	struct rates rates = gather(node, from_us, WALL_NEVER, firm);
	wall_us until_us = lost_at(&rates, node, spec, n, from_us, WALL_NEVER);

	rates_fini(&rates);
	return until_us;
}

wall_us rate_next(const struct node *node, wall_us from_us, wall_us to_us)
{
	wall_us next_us = WALL_NEVER;

	for (int firm = 0; firm <= 1; firm++) {
		struct rates rates = gather(node, from_us, to_us, firm);
		for (size_t i = 0; i < rates.count; i++) {
			next_us = rates.item[i].end_us < next_us ? rates.item[i].end_us : next_us;
		}
		rates_fini(&rates);
	}
	return next_us;
}

bool rate_holds(const struct node *node, wall_us from_us, wall_us to_us, bool firm)
{
	struct rates rates = gather(node, from_us, to_us, firm);
	bool holds = rates.count == 0 || lost_at(&rates, node, NULL, 0, from_us, to_us) >= WALL_NEVER;

	rates_fini(&rates);
	return holds;
}

bool rate_keeps(const struct plan *plan, const struct node *node)
{
	return rate_holds(node, plan->now_us, WALL_NEVER, false) &&
	       (!node->firm || rate_holds(node, plan->now_us, WALL_NEVER, true));
}

/* ---- why not ---- */

bool rate_possible_on(const struct node *node, const struct lease_spec *spec, struct reason *reason)
{
	const struct edf_node *edf = &node->info.edf;
	struct edf_demand demand = demand_of(spec, 0, 0);

	*reason = (struct reason){.code = REASON_UNENFORCED};
	if (edf->cpus == 0) {
		return false;
	}
	switch (edf_check(edf, &demand)) {
	case EDF_FITS:
		return true;
	case EDF_ZERO:
	case EDF_SLICE_LONG:
	case EDF_PERIOD_LONG:
	case EDF_NO_ROOM:
	case EDF_VERDICT_COUNT:
		*reason = (struct reason){.code = REASON_NEVER_FITS, .res = RES_CPU};
		break;
	case EDF_PERIOD_SHORT:
		*reason = (struct reason){.code = REASON_PERIOD, .arg0 = edf->period_min_us};
		break;
	case EDF_SLICE_SHORT:
		*reason = (struct reason){.code = REASON_SLICE_SHORT, .arg0 = edf_slice_min_us(edf)};
		break;
	case EDF_BEYOND_CPU:
		*reason = (struct reason){.code = REASON_SLICE, .arg0 = edf_offer(edf, NULL, 0, &demand).slice_us};
		break;
	case EDF_MORE_THREADS:
		*reason = (struct reason){.code = REASON_VCPUS, .arg0 = edf->cpus};
		break;
	}
	return false;
}

bool rate_possible(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	struct reason why;

	*reason = (struct reason){.code = REASON_UNENFORCED};
	for (size_t i = 0; i < plan->node_count; i++) {
		if (rate_possible_on(plan->nodes[i], spec, &why)) {
			return true;
		}
		bool least = why.code == REASON_PERIOD || why.code == REASON_SLICE_SHORT;
		bool better = least ? why.arg0 < reason->arg0 : why.arg0 > reason->arg0;
		if (reason->code == REASON_UNENFORCED || (why.code == reason->code && better)) {
			*reason = why;
		}
	}
	return false;
}
