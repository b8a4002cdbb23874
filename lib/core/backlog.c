/* Keeps apart who waits and who has a plan, as leases change. Decides nothing. */
#include "backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define ANY_SIZE UINT32_MAX /* nothing is known of what it needs */

static bool waits_alike(const struct contract *contract)
{
	if (contract->lease.spec.serial) {
		return false;
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct vm *vm = contract->guest[i].vm;
		if (!lease_state_final(vm->state) && (vm->state != LEASE_SUSPENDED || vm->planned)) {
			return false;
		}
	}
	return true;
}

/* Where such VMs are among the sizes. */
static uint32_t size_of(struct backlog *backlog, struct capacity per_vm)
{
	uint32_t i = 0;

	backlog->sizes = backlog->count ? backlog->sizes : 0;
	while (i < backlog->sizes && !capacity_same(&backlog->size[i], &per_vm)) {
		i++;
	}
	if (i == BACKLOG_SIZES) {
		return ANY_SIZE;
	}
	backlog->size[i] = per_vm;
	backlog->sizes = i < backlog->sizes ? backlog->sizes : i + 1;
	return i;
}

struct turn backlog_look(struct contract *contract)
{
	const struct lease_spec *spec = &contract->lease.spec;
	span_us left_us = spec->duration_us, served_us = 0;

	for (uint32_t i = 0; contract->booked && i < spec->vms; i++) {
		if (!lease_state_final(contract->guest[i].vm->state)) {
			left_us = guest_left(&contract->guest[i]); /* of a gang all have run alike */
			served_us = contract->guest[i].vm->served_us;
			break;
		}
	}
	return (struct turn){
		.contract = contract,
		.had_us = contract->lease.submitted_us + served_us,
		.work = (__int128)left_us * spec->per_vm.amount[RES_CPU] * spec->vms,
		.vms = spec->serial ? 1 : spec->vms,
		.size = ANY_SIZE,
	};
}

/* The same of one that waits with nothing planned. */
static struct turn turn_of(struct plan *plan, struct contract *contract)
{
	const struct queue_policy *policy = plan->settings.queue;
	struct turn turn = backlog_look(contract);
	struct capacity per_vm = contract->lease.spec.per_vm;

	if (contract->booked) {
		per_vm.amount[RES_DISK] = 0; /* who lies suspended has it */
	}
	if (contract->booked == 0 || policy->rest_key) {
		turn.size = size_of(&plan->backlog, per_vm);
	}
	turn.key = policy->rest_key ? policy->rest_key(contract) : backlog_turn(contract);
	return turn;
}

/* The place of such an item, or where it belongs. */
static size_t find_waiting(const struct backlog *backlog, int64_t key, uint64_t id)
{
	size_t low = 0, high = backlog->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct turn *turn = &backlog->item[middle];
		if (turn->key < key || (turn->key == key && turn->contract->lease.id < id)) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static size_t find_other(const struct backlog *backlog, uint64_t id)
{
	size_t low = 0, high = backlog->other_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (backlog->other[middle]->lease.id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static void add_waiting(struct plan *plan, struct contract *contract)
{
	struct backlog *backlog = &plan->backlog;
	struct turn turn = turn_of(plan, contract);
	size_t at = find_waiting(backlog, turn.key, contract->lease.id);

	backlog->item = plan_grow(backlog->item, backlog->count, &backlog->room, sizeof(turn));
	memmove(&backlog->item[at + 1], &backlog->item[at], (backlog->count - at) * sizeof(turn));
	backlog->item[at] = turn;
	backlog->count++;
	backlog->work += turn.work;
	contract->listed = LISTED_WAITING;
	contract->listed_key = turn.key;
}

static void add_other(struct backlog *backlog, struct contract *contract)
{
	size_t at = find_other(backlog, contract->lease.id);

	backlog->other =
		plan_grow(backlog->other, backlog->other_count, &backlog->other_room, sizeof(struct contract *));
	memmove(&backlog->other[at + 1], &backlog->other[at], (backlog->other_count - at) * sizeof(struct contract *));
	backlog->other[at] = contract;
	backlog->other_count++;
	contract->listed = LISTED_OTHER;
}

void backlog_add(struct plan *plan, struct contract *contract)
{
	add_other(&plan->backlog, contract);
}

void backlog_remove(struct plan *plan, struct contract *contract)
{
	struct backlog *backlog = &plan->backlog;
	size_t at;

	switch (contract->listed) {
	case LISTED_NO:
	case LISTED_ENDED:
		break;
	case LISTED_WAITING:
		at = find_waiting(backlog, contract->listed_key, contract->lease.id);
		assert(at < backlog->count && backlog->item[at].contract == contract);
		backlog->work -= backlog->item[at].work;
		backlog->count--;
		memmove(&backlog->item[at], &backlog->item[at + 1], (backlog->count - at) * sizeof(struct turn));
		break;
	case LISTED_OTHER:
		at = find_other(backlog, contract->lease.id);
		assert(at < backlog->other_count && backlog->other[at] == contract);
		backlog->other_count--;
		memmove(&backlog->other[at], &backlog->other[at + 1],
			(backlog->other_count - at) * sizeof(struct contract *));
		break;
	}
	contract->listed = LISTED_NO;
}

static bool ended(const struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (!lease_state_final(contract->guest[i].vm->state)) {
			return false;
		}
	}
	return true;
}

static void sync(struct plan *plan, struct contract *contract)
{
	bool waits = contract->booked == 0 || waits_alike(contract), ends = contract->booked == 0 && ended(contract);

	if (contract->listed == LISTED_NO || (contract->listed == LISTED_OTHER && !waits)) {
		return;
	}
	/* Of who waits all may be different: for how long, say. */
	backlog_remove(plan, contract);
	if (ends) {
		contract->listed = LISTED_ENDED; /* with the step, if that is not undone */
	} else if (waits) {
		add_waiting(plan, contract);
	} else {
		add_other(&plan->backlog, contract);
	}
}

void backlog_sync(struct plan *plan)
{
	for (size_t i = 0; i < plan->touched_count; i++) {
		sync(plan, plan->touched[i].contract);
	}
}

void backlog_rebuild(struct plan *plan)
{
	struct contract *contract;

	RB_FOREACH (contract, turns, &plan->turns) {
		sync(plan, contract);
	}
}

bool backlog_short(const struct plan *plan, const struct turn *turn, const struct room *room)
{
	return turn->size != ANY_SIZE && room_short(room, &plan->backlog.size[turn->size], turn->vms);
}
