/* Rebuilding the planner from the rows written for earlier actions. Decides nothing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backlog.h"
#include "link.h"
#include "plan_state.h"
#include "pool.h"
#include "prep.h"
#include "rate.h"
#include "share.h"

void plan_restore_node(struct plan *plan, const struct node_info *node)
{
	if (!plan_find_node(plan, node->id)) {
		node_add(plan, node);
	}
}

void plan_restore_image(struct plan *plan, const struct image_info *image)
{
	plan_image_event(plan, image);
}

void plan_restore_lease(struct plan *plan, const struct lease *lease)
{
	if (lease_state_final(lease->state) || !lease->vms || plan_find_contract(plan, lease->id)) {
		return;
	}
	struct contract *contract = contract_new(plan, lease->id, &lease->spec);
	memcpy(contract->vms, lease->vms, lease->spec.vms * sizeof(struct vm));
	contract->lease = *lease;
	contract->lease.vms = contract->vms;
	contract_enlist(plan, contract);
	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		contract->guest[i].fresh = false;
		contract->begun = contract->begun || lease->vms[i].state != LEASE_QUEUED;
	}
}

void plan_restore_slot(struct plan *plan, const struct slot *slot)
{
	plan->rows = plan_grow(plan->rows, plan->row_count, &plan->row_room, sizeof(*plan->rows));
	plan->rows[plan->row_count++] = *slot;
}

void plan_restore_transfer(struct plan *plan, const struct transfer *transfer)
{
	struct node *node = plan_find_node(plan, transfer->node);

	if (node && transfer->state == TRANSFER_PLANNED) {
		struct stage *stage = prep_stage(plan, node, transfer->image);
		if (!stage->flight) {
			link_restore(plan, stage, transfer);
		}
	}
}

void plan_restore_pool(struct plan *plan, uint32_t id, uint64_t image)
{
	struct node *node = plan_find_node(plan, id);

	if (node && plan_find_image(plan, image)) {
		prep_set_present(plan, prep_stage(plan, node, image), true);
	}
}

void plan_restore_use(struct plan *plan, uint32_t user, const struct slot *slot)
{
	if (slot->kind == SLOT_RUN) {
		share_charge(plan, user, slot->use.amount[RES_CPU], slot->start_us, slot->end_us);
	}
}

void plan_restore_ids(struct plan *plan, uint64_t last_slot, uint64_t last_transfer)
{
	plan->last_slot = last_slot;
	plan->last_transfer = last_transfer;
}

static int by_owner(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (x->lease != y->lease) {
		return x->lease < y->lease ? -1 : 1;
	}
	if (x->vm != y->vm) {
		return x->vm < y->vm ? -1 : 1;
	}
	return x->id < y->id ? -1 : x->id > y->id;
}

/* The rows of one VM, among those sorted by owner. */
static struct slot *rows_of(struct plan *plan, const struct vm *vm, size_t *count)
{
	struct slot key = {.lease = vm->lease, .vm = vm->index};
	size_t low = 0, high = plan->row_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (by_owner(&plan->rows[middle], &key) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	*count = 0;
	while (low + *count < plan->row_count && plan->rows[low + *count].lease == vm->lease &&
	       plan->rows[low + *count].vm == vm->index) {
		(*count)++;
	}
	return plan->rows + low;
}

/*
 * What of a guest's state only its slots tell: since when it is suspended, when it begins to be fetched, how long it is
 * overdue.
 */
static void read_spans(struct guest *guest, const struct slot *rows, size_t count)
{
	const struct vm *vm = guest->vm;
	struct run *run = &guest->vm->run;
	bool held = !vm->planned || guest_moving(guest) || (run->from == RUN_RESUME && !run->from_node);
	wall_us hold_end_us = run->from_node ? run->end_us : run->prepare_us;

	hold_end_us = vm->planned ? hold_end_us : WALL_NEVER;
	guest->hold_us = held && vm->planned ? hold_end_us : 0; /* no HOLD row if there was no time for it */
	for (size_t i = 0; i < count; i++) {
		const struct slot *row = &rows[i];
		if (held && row->kind == SLOT_HOLD && row->end_us == hold_end_us && row->node == guest_home(guest)) {
			guest->hold_us = row->start_us;
		}
		if (vm->planned && run->from_node && row->kind == SLOT_HOLD && row->node == vm->node &&
		    row->end_us == run->prepare_us) {
			run->copy_us = row->start_us;
		}
		if (vm->planned && (row->kind == SLOT_STOP || row->kind == SLOT_SUSPEND) &&
		    row->start_us == vm->run.end_us && row->end_us > vm->run.release_us) {
			guest->tail_us = row->end_us;
		}
	}
}

/* Gives each slot that follows from the guest's state its row's id. -1 if one has no row. */
static int match_rows(struct guest *guest, struct slot *rows, size_t count)
{
	struct guest_slots slots;

	guest_slots(guest, &slots);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		const struct slot *slot = &slots.at[i];
		for (size_t r = 0; r < count && slots.there[i] && !guest->slot_id[i]; r++) {
			if (rows[r].id && rows[r].kind == slot->kind && rows[r].node == slot->node &&
			    rows[r].start_us == slot->start_us && rows[r].end_us == slot->end_us) {
				guest->slot_id[i] = rows[r].id;
				rows[r].id = 0; /* taken */
			}
		}
		if (slots.there[i] && !guest->slot_id[i]) {
			return -1;
		}
	}
	return 0;
}

static bool guest_sane(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	const struct run *run = &vm->run;
	bool waits = guest_stands_by(guest);

	if ((vm->planned || waits) && (run_begin(run) > run->prepare_us || run->prepare_us > run->start_us ||
				       run->start_us >= run->end_us || run->end_us > run->release_us)) {
		return false;
	}
	if (vm->planned && run->from_node && (run->from != RUN_RESUME || !plan_find_node(plan, run->from_node))) {
		return false;
	}
	if (vm->planned || waits || vm->state == LEASE_SUSPENDED) {
		return plan_find_node(plan, vm->node) != NULL;
	}
	return lease_state_final(vm->state) || vm->state == LEASE_QUEUED;
}

static int restore_guest(struct plan *plan, struct guest *guest)
{
	const struct vm *vm = guest->vm;
	size_t count;

	if (!guest_sane(plan, guest)) {
		return -1;
	}
	if (lease_state_final(vm->state) || vm->state == LEASE_QUEUED) {
		return 0;
	}
	struct slot *rows = rows_of(plan, vm, &count);
	read_spans(guest, rows, count);
	if (match_rows(guest, rows, count)) {
		return -1;
	}
	guest_book(plan, guest);
	guest_set_timer(plan, guest);
	return 0;
}

/* Rows that belong to no open guest: of leases that ended, or of earlier runs. Those of the past are swept soon. */
static int restore_orphans(struct plan *plan)
{
	for (size_t i = 0; i < plan->row_count; i++) {
		const struct slot *row = &plan->rows[i];
		if (row->id == 0) {
			continue;
		}
		if (!plan_find_node(plan, row->node) || row->start_us >= row->end_us || row->end_us >= WALL_NEVER) {
			return -1;
		}
		if (row->kind == SLOT_STANDBY) {
			continue; /* until the call; it was free for others all the time */
		}
		orphans_add(plan, row);
		const struct contract *contract = plan_find_contract(plan, row->lease);
		if (contract) {
			plan_restore_use(plan, contract->lease.spec.user, row);
		}
	}
	return 0;
}

int plan_restored(struct plan *plan)
{
	struct contract *contract;
	int result = 0;

	plan->restoring = true;
	if (plan->row_count) {
		qsort(plan->rows, plan->row_count, sizeof(*plan->rows), by_owner);
	}
	RB_FOREACH (contract, contracts, &plan->contracts) {
		for (uint32_t i = 0; i < contract->lease.spec.vms && result == 0; i++) {
			result = restore_guest(plan, &contract->guest[i]);
		}
	}
	if (result == 0) {
		result = restore_orphans(plan);
	}
	for (size_t i = 0; i < plan->node_count; i++) {
		struct node *node = plan->nodes[i];
		node_owe(plan, node);
		node->loose = !rate_keeps(plan, node);
	}
	free(plan->rows);
	plan->rows = NULL;
	plan->row_count = 0;
	plan->row_room = 0;
	plan_settle(plan);
	backlog_rebuild(plan);
	plan->restoring = false;
	plan->restored = true;
	return result;
}
