/* The tables of policies, and the names of the planner's other choices. Decides nothing that is not asked of it. */
#include "policy.h"

#include <string.h>

#include "place.h"
#include "share.h"
#include "trial.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- queue ---------------------------------------------------------------------------------------------------------
 */

/* What the lease still has to run; a gang as long as the one of its VMs that has most left. */
static span_us left_of(const struct contract *contract)
{
	span_us left_us = 1;

	if (contract->booked == 0) {
		return contract->lease.spec.duration_us; /* nothing of it ever ran, or what did is over */
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct guest *guest = &contract->guest[i];
		if (!lease_state_final(guest->vm->state) && guest_left(guest) > left_us) {
			left_us = guest_left(guest);
		}
	}
	return left_us;
}

static int64_t shortest(const struct plan *plan, const struct contract *contract)
{
	(void)plan;
	return left_of(contract);
}

static int64_t fair(const struct plan *plan, const struct contract *contract)
{
	return share_of(plan, contract->lease.spec.user);
}

/* By how much its time from submission to end is longer than it would have been alone, in thousandths. */
static int64_t expansion(const struct plan *plan, const struct contract *contract)
{
	span_us left_us = left_of(contract);
	span_us had_us = contract->lease.spec.duration_us - left_us;
	span_us wait_us = plan->now_us - contract->lease.submitted_us - (had_us > 0 ? had_us : 0);
	__int128 factor = (__int128)(wait_us > 0 ? wait_us : 0) * 1000 / left_us;

	return factor < INT64_MAX ? -(int64_t)factor : -INT64_MAX;
}

static const struct queue_policy queue_table[] = {
	{"fcfs", "first come, first served", NULL, NULL, NULL, false, false, 0},
	{"shortest", "the lease with the least left to run", shortest, NULL, NULL, false, false, 0},
	{"fair", "the user who used least of late", fair, NULL, NULL, true, false, 0},
	{"expansion", "the longest wait for what is left to run", expansion, NULL, NULL, true, false, 0},
	{"trial", "a first run of some hours for everybody, then those with most left", NULL, trial_pass,
	 trial_rest_key, true, true, TRIAL_TICK},
};

/* ---- hosts ---------------------------------------------------------------------------------------------------------
 */

/* The image there first, then where it was planned before, then the most VMs. */
static int by_image(const struct choice *a, const struct choice *b)
{
	if (a->ready_us != b->ready_us) {
		return a->ready_us < b->ready_us ? -1 : 1;
	}
	if (a->before != b->before) {
		return a->before ? -1 : 1;
	}
	return a->count > b->count ? -1 : a->count < b->count;
}

/* Haizea's: few leases weigh twice as much as a long time until the next one. */
static int greedy(const struct choice *a, const struct choice *b)
{
	uint32_t x = 2 * a->used + 1000 - a->ahead, y = 2 * b->used + 1000 - b->ahead;

	return x != y ? (x < y ? -1 : 1) : by_image(a, b);
}

static int packing(const struct choice *a, const struct choice *b)
{
	return a->used != b->used ? (a->used > b->used ? -1 : 1) : by_image(a, b);
}

static int spreading(const struct choice *a, const struct choice *b)
{
	return a->used != b->used ? (a->used < b->used ? -1 : 1) : by_image(a, b);
}

/* Long gaps are kept for those who need them. */
static int fitting(const struct choice *a, const struct choice *b)
{
	return a->until_us != b->until_us ? (a->until_us < b->until_us ? -1 : 1) : by_image(a, b);
}

static const struct host_policy host_table[] = {
	{"image", "nodes that have the image, then those that take most VMs", by_image, false},
	{"greedy", "nodes little used and long free", greedy, true},
	{"packing", "the nodes most used that have room", packing, true},
	{"spreading", "the nodes least used", spreading, true},
	{"fitting", "nodes whose next booking comes soonest after the end", fitting, true},
};

/* ---- victims -------------------------------------------------------------------------------------------------------
 */

static int64_t youngest(const struct plan *plan, const struct contract *contract)
{
	(void)plan;
	return -(int64_t)contract->lease.id;
}

static int64_t oldest(const struct plan *plan, const struct contract *contract)
{
	return -youngest(plan, contract);
}

/* The run time its VM that got most has had, in this run and those before. */
static int64_t least_served(const struct plan *plan, const struct contract *contract)
{
	span_us most_us = 0;

	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct vm *vm = contract->guest[i].vm;
		bool runs = vm->started_us > 0 && vm->started_us < plan->now_us;
		span_us had_us = vm->served_us + (runs ? plan->now_us - vm->started_us : 0);
		most_us = had_us > most_us ? had_us : most_us;
	}
	return most_us;
}

/* By CPU of what would stop with one of its VMs. */
static int64_t smallest(const struct plan *plan, const struct contract *contract)
{
	const struct lease_spec *spec = &contract->lease.spec;

	(void)plan;
	return spec->per_vm.amount[RES_CPU] * (spec->serial ? 1 : spec->vms);
}

static int64_t largest(const struct plan *plan, const struct contract *contract)
{
	return -smallest(plan, contract);
}

static int64_t shortest_left(const struct plan *plan, const struct contract *contract)
{
	return contract->lease.spec.duration_us - least_served(plan, contract);
}

static int64_t longest_left(const struct plan *plan, const struct contract *contract)
{
	return -shortest_left(plan, contract);
}

static const struct victim_policy victim_table[] = {
	{"youngest", "the lease submitted last", youngest},
	{"oldest", "the lease submitted first", oldest},
	{"least-served", "the lease that has run least", least_served},
	{"largest", "the lease with most CPUs: fewest are disturbed", largest},
	{"smallest", "the lease with fewest CPUs", smallest},
	{"shortest-left", "the lease that has least left to run", shortest_left},
	{"longest-left", "the lease that has most left to run", longest_left},
};

/* ---- admission -----------------------------------------------------------------------------------------------------
 */

static bool allow_all(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	(void)plan;
	(void)spec;
	(void)reason;
	return true;
}

static bool allow_no_ar(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	(void)plan;
	(void)reason;
	return spec->kind != LEASE_AR && spec->kind != LEASE_OPEN;
}

/* Of the cluster's CPU, which is what there is too little of first. */
static bool allow_half(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	int64_t cpu = 0;

	(void)reason;
	for (size_t i = 0; i < plan->node_count; i++) {
		cpu += plan->nodes[i]->info.capacity.amount[RES_CPU];
	}
	return spec->kind == LEASE_BEST_EFFORT || spec->per_vm.amount[RES_CPU] * spec->vms <= cpu / 2;
}

static const struct admission_policy admission_table[] = {
	{"all", "every request is considered", allow_all},
	{"no-ar", "no reservations, only leases that wait or start at once", allow_no_ar},
	{"half", "no promise of more than half of the cluster's CPU to one lease", allow_half},
};

/* ---- price ---------------------------------------------------------------------------------------------------------
 */

static int64_t price_free(const struct plan *plan, const struct lease_spec *spec)
{
	(void)plan;
	(void)spec;
	return 0;
}

/* Rounded up; the most there is if it does not fit. */
static int64_t scaled(int64_t amount, unsigned __int128 times, unsigned __int128 by)
{
	unsigned __int128 product = (unsigned __int128)(amount > 0 ? amount : 0) * times;
	unsigned __int128 result = product / by;

	result += result * by < product;
	return result > INT64_MAX ? INT64_MAX : (int64_t)result;
}

static int64_t price_constant(const struct plan *plan, const struct lease_spec *spec)
{
	/* 2^12 VMs of less than 2^48 millicores for less than 2^61 microseconds. */
	unsigned __int128 use = (unsigned __int128)spec->vms * (uint64_t)spec->per_vm.amount[RES_CPU];
	const unsigned __int128 hour = (unsigned __int128)1000 * (uint64_t)(3600 * USEC_PER_SEC);
	int64_t hours = scaled(spec->duration_us, use, 1);

	return scaled(plan->settings.price_rate, (unsigned __int128)hours, hour);
}

/* The highest use on each node, summed up, counts as taken. */
static int64_t price_load(const struct plan *plan, const struct lease_spec *spec)
{
	uint64_t taken = 0, cpu = 0;

	for (size_t i = 0; i < plan->node_count; i++) {
		const struct node *node = plan->nodes[i];
		struct capacity peak = slots_peak(node->slots, spec->start_us, spec->start_us + spec->duration_us);
		taken += (uint64_t)peak.amount[RES_CPU];
		cpu += (uint64_t)node->info.capacity.amount[RES_CPU];
	}
	return cpu == 0 ? 0 : scaled(price_constant(plan, spec), (unsigned __int128)cpu + 3 * taken, cpu);
}

static const struct price_policy price_table[] = {
	{"free", "nothing costs anything", price_free},
	{"constant", "price_rate for an hour of 1000 millicores", price_constant},
	{"load", "the same, times 1 + 3 x the share of the cluster's CPU that is taken in that time", price_load},
};

/* ---- by name -------------------------------------------------------------------------------------------------------
 */

/* The enums of plan.h, in their order. */
static const char *const backfill_names[] = {"none", "first-fit", "aggressive", "intermediate", "conservative"};
static const char *const suspension_names[] = {"none", "serial", "all"};
static const char *const exclusion_names[] = {"local", "global"};
static const char *const migration_names[] = {"no", "yes", "free", "aside"};
static const char *const disks_names[] = {"overlay", "whole"};
static const char *const staging_names[] = {"edf-jit", "edf", "jit", "aggressive", "job"};

#define NAME(table) return i < COUNT(table) ? (table)[i].name : NULL
#define WORD(names) return i < COUNT(names) ? (names)[i] : NULL

const char *policy_name(enum policy_set set, size_t i)
{
	switch (set) {
	case POLICY_QUEUE:
		NAME(queue_table);
	case POLICY_HOST:
		NAME(host_table);
	case POLICY_VICTIM:
		NAME(victim_table);
	case POLICY_ADMISSION:
		NAME(admission_table);
	case POLICY_PRICE:
		NAME(price_table);
	case POLICY_BACKFILL:
		WORD(backfill_names);
	case POLICY_SUSPENSION:
		WORD(suspension_names);
	case POLICY_EXCLUSION:
		WORD(exclusion_names);
	case POLICY_MIGRATION:
		WORD(migration_names);
	case POLICY_DISKS:
		WORD(disks_names);
	case POLICY_STAGING:
		WORD(staging_names);
	case POLICY_SET_COUNT:
		break;
	}
	return NULL;
}

int policy_find(enum policy_set set, const char *name)
{
	const char *each;

	for (size_t i = 0; (each = policy_name(set, i)); i++) {
		if (strcmp(each, name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

const struct queue_policy *policy_queue(const char *name)
{
	int i = policy_find(POLICY_QUEUE, name);

	return i < 0 ? NULL : &queue_table[i];
}

const struct host_policy *policy_host(const char *name)
{
	int i = policy_find(POLICY_HOST, name);

	return i < 0 ? NULL : &host_table[i];
}

const struct victim_policy *policy_victim(const char *name)
{
	int i = policy_find(POLICY_VICTIM, name);

	return i < 0 ? NULL : &victim_table[i];
}

const struct admission_policy *policy_admission(const char *name)
{
	int i = policy_find(POLICY_ADMISSION, name);

	return i < 0 ? NULL : &admission_table[i];
}

const struct price_policy *policy_price(const char *name)
{
	int i = policy_find(POLICY_PRICE, name);

	return i < 0 ? NULL : &price_table[i];
}
