/* The end of a step: what is different from its beginning becomes actions. Also the way back, for plan_ask(). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "arrival.h"
#include "backlog.h"
#include "plan_state.h"
#include "policy.h"
#include "prep.h"
#include "share.h"

static struct action *add(struct actions *out, enum action_kind kind)
{
	out->item = plan_grow(out->item, out->count, &out->room, sizeof(*out->item));
	struct action *action = &out->item[out->count++];
	memset(action, 0, sizeof(*action));
	action->kind = kind;
	return action;
}

static int by_lease(const void *a, const void *b)
{
	const struct touched *x = a, *y = b;

	return x->old.id < y->old.id ? -1 : x->old.id > y->old.id;
}

static int by_vm(const void *a, const void *b)
{
	const struct vm *x = ((const struct memory *)a)->guest->vm, *y = ((const struct memory *)b)->guest->vm;

	if (x->lease != y->lease) {
		return x->lease < y->lease ? -1 : 1;
	}
	return x->index < y->index ? -1 : x->index > y->index;
}

static int by_stage(const void *a, const void *b)
{
	const struct stage *x = *(struct stage *const *)a, *y = *(struct stage *const *)b;

	if (x->node->info.id != y->node->info.id) {
		return x->node->info.id < y->node->info.id ? -1 : 1;
	}
	return x->image < y->image ? -1 : x->image > y->image;
}

static int by_node(const void *a, const void *b)
{
	uint32_t x = (*(struct node *const *)a)->info.id, y = (*(struct node *const *)b)->info.id;

	return x < y ? -1 : x > y;
}

/* Most is in order already. */
static void sort(void *items, size_t count, size_t size, int (*order)(const void *, const void *))
{
	const char *item = items;
	size_t i = 1;

	while (i < count && order(item + (i - 1) * size, item + i * size) <= 0) {
		i++;
	}
	if (i < count) {
		qsort(items, count, size, order);
	}
}

static bool run_equal(const struct run *a, const struct run *b)
{
	return a->from == b->from && a->then == b->then && a->from_node == b->from_node && a->copy_us == b->copy_us &&
	       a->prepare_us == b->prepare_us && a->start_us == b->start_us && a->end_us == b->end_us &&
	       a->release_us == b->release_us;
}

/* What its nodes are told of the VM. Once it runs, the node it was fetched from is to clear up. */
static bool part_equal(const struct vm *a, const struct vm *b)
{
	return a->node == b->node && a->generation == b->generation && a->planned == b->planned &&
	       run_equal(&a->run, &b->run) && lease_state_final(a->state) == lease_state_final(b->state) &&
	       (!a->run.from_node || !a->started_us == !b->started_us);
}

static bool vm_equal(const struct vm *a, const struct vm *b)
{
	return part_equal(a, b) && a->state == b->state && a->served_us == b->served_us &&
	       a->started_us == b->started_us && a->run.lodger == b->run.lodger;
}

void node_list(struct plan *plan, struct node *node)
{
	if (node->listed) {
		return;
	}
	node->listed = true;
	plan->changed = plan_grow(plan->changed, plan->changed_count, &plan->changed_room, sizeof(*plan->changed));
	plan->changed[plan->changed_count++] = node;
}

static void mark_node(struct plan *plan, struct node *node)
{
	if (node) {
		node->changed = true;
		node_list(plan, node);
	}
}

static void emit_lease(struct plan *plan, const struct touched *touched, struct actions *out)
{
	struct contract *contract = touched->contract;
	struct lease *lease = &contract->lease;
	const struct lease *old = &touched->old;

	if (lease->state != LEASE_REJECTED) {
		lease->state = lease_state_of(lease->vms, lease->spec.vms);
	}
	bool moved = lease->state != old->state;
	if (moved || contract->broken) {
		lease->reason = contract->why;
	}
	if (moved && lease_state_final(lease->state)) {
		lease->ended_us = plan->now_us;
		RB_REMOVE(contracts, &plan->contracts, contract);
		if (lease->state != LEASE_REJECTED) {
			contract_delist(plan, contract);
		}
		contract->next = plan->ended;
		plan->ended = contract;
	}
	if (lease->state == LEASE_REJECTED) {
		lease->vms = NULL;
	}
	if (moved || contract->broken || contract->answered || lease->first_start_us != old->first_start_us) {
		add(out, ACTION_LEASE)->lease = lease;
	}
	if (moved) {
		struct action *action = add(out, ACTION_MOVED);
		action->moved.lease = lease->id;
		action->moved.from = old->state;
		action->moved.to = lease->state;
		action->moved.reason = lease->reason;
	}
	if (contract->broken) {
		add(out, ACTION_PROMISE_BROKEN)->lease = lease;
	}
}

/* True if the row of the old slot goes on as that of the new one. */
static bool same_slot(const struct plan *plan, const struct slot *old, const struct slot *slot)
{
	return old->kind == slot->kind && old->node == slot->node &&
	       (old->start_us == slot->start_us || old->start_us > plan->now_us);
}

static void charge(struct plan *plan, const struct guest *guest, const struct slot *slot)
{
	if (slot->kind == SLOT_RUN) {
		share_charge(plan, guest->contract->lease.spec.user, slot->use.amount[RES_CPU], slot->start_us,
			     slot->end_us);
	}
}

/* A slot of which nothing is booked any more: gone if not begun, else kept for history as far as it was used. */
static void emit_over(struct plan *plan, const struct guest *guest, struct slot *old, struct actions *out)
{
	if (old->start_us >= plan->now_us) {
		add(out, ACTION_SLOT_DROP)->slot = *old;
		return;
	}
	if (old->end_us > plan->now_us) {
		old->end_us = plan->now_us;
		add(out, ACTION_SLOT)->slot = *old;
	}
	charge(plan, guest, old);
}

/* The slot gets the row of one of the old that is not kept yet, or a new one. */
static void emit_slot(struct plan *plan, const struct guest_slots *old, bool *kept, struct slot *slot, bool anew,
		      struct actions *out)
{
	bool changed = true;

	slot->id = 0;
	for (int j = 0; j < GUEST_SLOTS && !slot->id; j++) {
		if (old->there[j] && !kept[j] && same_slot(plan, &old->at[j], slot)) {
			kept[j] = true;
			slot->id = old->at[j].id;
			changed = old->at[j].start_us != slot->start_us || old->at[j].end_us != slot->end_us || anew;
		}
	}
	if (!slot->id) {
		slot->id = ++plan->last_slot;
	}
	if (changed) {
		add(out, ACTION_SLOT)->slot = *slot;
	}
}

static void emit_slots(struct plan *plan, const struct memory *memory, struct actions *out)
{
	struct guest *guest = memory->guest, before = *guest;
	struct vm vm = memory->vm;
	struct guest_slots old, new;
	bool kept[GUEST_SLOTS] = {false};

	guest_slots(guest, &new);
	before.vm = &vm;
	before.hold_us = memory->hold_us;
	before.tail_us = memory->tail_us;
	memcpy(before.slot_id, memory->slot_id, sizeof(before.slot_id));
	guest_slots(&before, &old);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		guest->slot_id[i] = 0;
		if (new.there[i]) {
			emit_slot(plan, &old, kept, &new.at[i], guest->contract->tuned, out);
			guest->slot_id[i] = new.at[i].id;
		}
	}
	/* What it left may be other than what was to be: before, in this step, it may have lost the plan of it. */
	for (size_t i = plan->orphans.told; i < plan->orphans.count; i++) {
		struct slot *slot = &plan->orphans.item[i];
		if (slot->lease == vm.lease && slot->vm == vm.index) {
			emit_slot(plan, &old, kept, slot, false, out);
			charge(plan, guest, slot);
		}
	}
	for (int j = 0; j < GUEST_SLOTS; j++) {
		if (old.there[j] && !kept[j]) {
			emit_over(plan, guest, &old.at[j], out);
		}
	}
}

/* True if the guest's slots are those of before, and so their rows: mostly it only went on with its run. */
static bool same_slots(const struct plan *plan, const struct memory *memory)
{
	const struct guest *guest = memory->guest;

	return !guest->fresh && !guest->contract->tuned && guest->contract->lease.spec.kind != LEASE_OPEN &&
	       memory->hold_us == guest->hold_us && memory->tail_us == guest->tail_us &&
	       plan->orphans.told == plan->orphans.count && part_equal(&memory->vm, guest->vm);
}

static void emit_guest(struct plan *plan, struct memory *memory, struct actions *out)
{
	struct guest *guest = memory->guest;

	if (guest->contract->lease.state == LEASE_REJECTED) {
		return; /* only tried; it has no rows */
	}
	if (!part_equal(&memory->vm, guest->vm) || guest->contract->tuned) {
		mark_node(plan, plan_find_node(plan, memory->vm.node));
		mark_node(plan, plan_find_node(plan, memory->vm.run.from_node));
		mark_node(plan, plan_find_node(plan, guest->vm->node));
		mark_node(plan, plan_find_node(plan, guest->vm->run.from_node));
	}
	if (guest->fresh || !vm_equal(&memory->vm, guest->vm)) {
		add(out, ACTION_VM)->vm = guest->vm;
	}
	if (!same_slots(plan, memory)) {
		emit_slots(plan, memory, out);
	}
	guest->fresh = false;
	guest_set_timer(plan, guest);
}

/* True if there is nothing to tell of the guest. */
static bool unchanged(const struct memory *memory)
{
	const struct guest *guest = memory->guest;

	return !guest->fresh && !guest->leave_us && !guest->contract->tuned && memory->hold_us == guest->hold_us &&
	       memory->tail_us == guest->tail_us && vm_equal(&memory->vm, guest->vm);
}

static void emit_guests(struct plan *plan, struct actions *out)
{
	size_t changed = 0;

	/* Most were only tried elsewhere, and put back. */
	for (size_t i = 0; i < plan->memory_count; i++) {
		struct guest *guest = plan->memories[i].guest;
		if (!unchanged(&plan->memories[i])) {
			plan->memories[changed++] = plan->memories[i];
			continue;
		}
		guest->memory = 0;
		if (guest->contract->lease.state != LEASE_REJECTED) {
			guest_set_timer(plan, guest);
		}
	}
	plan->memory_count = changed;
	sort(plan->memories, changed, sizeof(*plan->memories), by_vm);
	for (size_t i = 0; i < changed; i++) {
		emit_guest(plan, &plan->memories[i], out);
	}
}

static bool transfer_equal(const struct transfer *a, const struct transfer *b)
{
	return a->id == b->id && a->state == b->state && a->start_us == b->start_us && a->end_us == b->end_us &&
	       a->deadline_us == b->deadline_us;
}

/* A transfer that is on the link no more, or was begun anew. */
static void emit_old_transfer(const struct plan *plan, struct transfer *old, bool gave_up, struct actions *out)
{
	if (gave_up) {
		old->state = TRANSFER_FAILED;
		old->end_us = plan->now_us;
		add(out, ACTION_TRANSFER)->transfer = *old;
	} else {
		add(out, ACTION_TRANSFER_DROP)->transfer = *old;
	}
}

static void emit_stage(struct plan *plan, struct stage *stage, struct actions *out)
{
	struct transfer *now = &stage->transfer;
	bool told = stage->old.id != 0;
	bool shown = stage->flight || now->state != TRANSFER_PLANNED; /* done and failed ones stay, for history */

	if (told && (!shown || now->id != stage->old.id)) {
		emit_old_transfer(plan, &stage->old, shown, out);
		mark_node(plan, stage->node);
	}
	if (shown && !now->id && stage->flight) {
		now->id = ++plan->last_transfer;
	}
	if (shown && now->id && !transfer_equal(now, &stage->old)) {
		add(out, ACTION_TRANSFER)->transfer = *now;
		mark_node(plan, stage->node);
	}
	if (!stage->flight) {
		*now = (struct transfer){0};
	}
}

static void emit_learnt(struct learnt *learnt, struct actions *out)
{
	for (size_t i = 0; i < learnt->count; i++) {
		if (learnt->item[i].changed) {
			learnt->item[i].changed = false;
			add(out, ACTION_ESTIMATE)->estimate = learnt->item[i].row;
		}
	}
	learnt->changed = false;
}

static void emit_nodes(struct plan *plan, struct actions *out)
{
	sort(plan->changed, plan->changed_count, sizeof(struct node *), by_node);
	for (size_t i = 0; i < plan->changed_count; i++) {
		struct node *node = plan->changed[i];
		if (node->learnt.changed) {
			emit_learnt(&node->learnt, out);
		}
		if (node->changed) {
			add(out, ACTION_NODE_PLAN)->node = node->info.id;
		}
		node->changed = false;
		node->listed = false;
	}
	plan->changed_count = 0;
}

/* True if some lease of the queue has not begun, or is suspended. */
static bool somebody_waits(struct plan *plan)
{
	struct contract *contract;

	RB_FOREACH (contract, turns, &plan->turns) {
		for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
			enum lease_state state = contract->guest[i].vm->state;
			if (state == LEASE_QUEUED || state == LEASE_SCHEDULED || state == LEASE_SUSPENDED) {
				return true;
			}
			if (!lease_state_final(state) && !contract->lease.spec.serial) {
				break; /* a gang's wait alike */
			}
		}
	}
	return false;
}

static void emit_wake(struct plan *plan, struct actions *out)
{
	const struct guest *guest = timers_first(&plan->timers);
	wall_us wake_us = arrival_next(plan), first_us = guest ? timers_at(&plan->timers, guest) : TIMER_NONE;

	wake_us = first_us < wake_us ? first_us : wake_us;
	for (size_t i = 0; i < plan->orphans.count; i++) {
		wall_us end_us = plan->orphans.item[i].end_us;
		wake_us = end_us < wake_us ? end_us : wake_us;
	}
	if (plan->settings.queue->tick_us && somebody_waits(plan)) {
		span_us tick_us = plan->settings.queue->tick_us;
		wall_us next_us = (plan->now_us / tick_us + 1) * tick_us;
		wake_us = next_us < wake_us ? next_us : wake_us;
	}
	if (wake_us < WALL_NEVER) {
		add(out, ACTION_WAKE)->wake_us = wake_us;
	}
}

void plan_settle(struct plan *plan)
{
	backlog_sync(plan);
	for (size_t i = 0; i < plan->touched_count; i++) {
		struct contract *contract = plan->touched[i].contract;
		contract->touched = false;
		contract->broken = false;
		contract->answered = false;
		contract->tuned = false;
		contract->why = (struct reason){0};
	}
	for (size_t i = 0; i < plan->memory_count; i++) {
		plan->memories[i].guest->memory = 0;
		plan->memories[i].guest->leave_us = 0;
	}
	for (size_t i = 0; i < plan->staged_count; i++) {
		struct stage *stage = plan->staged[i];
		stage->touched = false;
		if (plan->outdated && !plan_find_image(plan, stage->image)) {
			prep_forget(stage);
		}
	}
	plan->outdated = false;
	plan->touched_count = 0;
	plan->memory_count = 0;
	plan->staged_count = 0;
	plan->queue_due = false;
	plan->freed_by = UINT64_MAX;
	plan->arrived_count = 0;
	plan->orphans.told = plan->orphans.count;
	prep_settle(plan);
	plan->step++;
}

void plan_emit(struct plan *plan, struct actions *out)
{
	sort(plan->touched, plan->touched_count, sizeof(*plan->touched), by_lease);
	for (size_t i = 0; i < plan->touched_count; i++) {
		emit_lease(plan, &plan->touched[i], out);
	}
	emit_guests(plan, out);
	sort(plan->staged, plan->staged_count, sizeof(struct stage *), by_stage);
	for (size_t i = 0; i < plan->staged_count; i++) {
		emit_stage(plan, plan->staged[i], out);
	}
	for (size_t i = 0; i < plan->refusal_count; i++) {
		struct action *action = add(out, ACTION_REFUSED);
		action->refused.lease = plan->refusals[i].lease;
		action->refused.reason = plan->refusals[i].reason;
	}
	plan->refusal_count = 0;
	plan_settle(plan);
	emit_nodes(plan, out);
	emit_wake(plan, out);
}

void plan_rollback(struct plan *plan, size_t orphans)
{
	while (plan->orphans.count > orphans) {
		const struct slot *slot = &plan->orphans.item[--plan->orphans.count];
		slots_release(plan_find_node(plan, slot->node)->slots, slot->start_us, slot->end_us, slot->use);
	}
	for (size_t i = 0; i < plan->memory_count; i++) {
		guest_unbook(plan, plan->memories[i].guest);
	}
	for (size_t i = 0; i < plan->memory_count; i++) {
		const struct memory *memory = &plan->memories[i];
		struct guest *guest = memory->guest;
		*guest->vm = memory->vm;
		guest->hold_us = memory->hold_us;
		guest->tail_us = memory->tail_us;
		if (memory->node) {
			guest_book(plan, guest);
		}
	}
	for (size_t i = 0; i < plan->touched_count; i++) {
		plan->touched[i].contract->lease = plan->touched[i].old;
	}
	prep_rollback(plan);
	plan_settle(plan);
}

void plan_forget(struct plan *plan)
{
	while (plan->ended) {
		struct contract *contract = plan->ended;
		plan->ended = contract->next;
		contract_free(contract);
	}
}
