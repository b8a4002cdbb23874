/* A guest's bookings: the slots that follow from its state, in the table and on its node. Chooses no node and no time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plan_state.h"
#include "prep.h"

static int promise_compare(const struct guest *a, const struct guest *b)
{
	const struct vm *x = a->vm, *y = b->vm;

	if (x->run.prepare_us != y->run.prepare_us) {
		return x->run.prepare_us < y->run.prepare_us ? -1 : 1;
	}
	if (x->lease != y->lease) {
		return x->lease < y->lease ? -1 : 1;
	}
	return x->index < y->index ? -1 : x->index > y->index;
}

RB_GENERATE(promises, guest, promise, promise_compare)

void *plan_grow(void *items, size_t count, size_t *room, size_t size)
{
	if (count < *room) {
		return items;
	}
	*room = *room ? 2 * *room : 16;
	items = realloc(items, *room * size);
	assert(items);
	return items;
}

static bool is_best_effort(const struct guest *guest)
{
	return guest->contract->lease.spec.kind == LEASE_BEST_EFFORT;
}

static void put(const struct guest *guest, struct guest_slots *out, enum guest_slot at, enum slot_kind kind,
		wall_us start_us, wall_us end_us)
{
	const struct vm *vm = guest->vm;

	if (start_us >= end_us) {
		return;
	}
	out->there[at] = true;
	out->at[at] = (struct slot){
		.id = guest->slot_id[at],
		.kind = kind,
		.node = vm->node,
		.lease = vm->lease,
		.vm = vm->index,
		.start_us = start_us,
		.end_us = end_us,
		.use = slot_use(kind, guest->contract->lease.spec.per_vm),
	};
}

void guest_slots(const struct guest *guest, struct guest_slots *out)
{
	const struct vm *vm = guest->vm;
	const struct run *run = &vm->run;

	memset(out->there, 0, sizeof(out->there));
	if (lease_state_final(vm->state) || !vm->node) {
		return;
	}
	if (!vm->planned) {
		put(guest, out, SLOT_AT_HOLD, SLOT_HOLD, guest->hold_us, WALL_NEVER);
		return;
	}
	if (run->from == RUN_RESUME) {
		put(guest, out, SLOT_AT_HOLD, SLOT_HOLD, guest->hold_us, run->prepare_us);
	}
	put(guest, out, SLOT_AT_LEAD, run->from == RUN_RESUME ? SLOT_RESUME : SLOT_PREPARE, run->prepare_us,
	    run->start_us);
	put(guest, out, SLOT_AT_RUN, SLOT_RUN, run->start_us, run->end_us);
	wall_us tail_us = guest->tail_us > run->release_us ? guest->tail_us : run->release_us;
	if (run->then == RUN_STOP) {
		put(guest, out, SLOT_AT_TAIL, SLOT_STOP, run->end_us, tail_us);
	} else {
		put(guest, out, SLOT_AT_TAIL, SLOT_SUSPEND, run->end_us, tail_us);
		put(guest, out, SLOT_AT_REST, SLOT_HOLD, tail_us, WALL_NEVER);
	}
}

void contract_touch(struct plan *plan, struct contract *contract)
{
	if (contract->touched) {
		return;
	}
	contract->touched = true;
	contract->old = contract->lease;
	plan->touched = plan_grow(plan->touched, plan->touched_count, &plan->touched_room, sizeof(*plan->touched));
	plan->touched[plan->touched_count++] = contract;
}

void guest_touch(struct plan *plan, struct guest *guest)
{
	contract_touch(plan, guest->contract);
	if (guest->memory) {
		return;
	}
	plan->memories = plan_grow(plan->memories, plan->memory_count, &plan->memory_room, sizeof(*plan->memories));
	struct memory *memory = &plan->memories[plan->memory_count++];
	guest->memory = plan->memory_count;
	*memory = (struct memory){
		.guest = guest,
		.vm = *guest->vm,
		.node = guest->node,
		.hold_us = guest->hold_us,
		.tail_us = guest->tail_us,
	};
	memcpy(memory->slot_id, guest->slot_id, sizeof(memory->slot_id));
}

void guest_unbook(struct plan *plan, struct guest *guest)
{
	struct node *node = guest->node;
	struct guest_slots slots;

	guest_touch(plan, guest);
	if (!node) {
		return;
	}
	guest_slots(guest, &slots);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		if (slots.there[i]) {
			slots_release(node->slots, slots.at[i].start_us, slots.at[i].end_us, slots.at[i].use);
		}
	}
	if (is_best_effort(guest)) {
		DL_DELETE(node->best_effort, guest);
	} else {
		RB_REMOVE(promises, &node->promised, guest);
	}
	guest->node = NULL;
	guest->contract->booked--;
	prep_leave(plan, node, guest);
}

void guest_book(struct plan *plan, struct guest *guest)
{
	struct node *node = plan_find_node(plan, guest->vm->node);
	struct guest_slots slots;

	assert(node && !guest->node);
	guest_touch(plan, guest);
	guest->node = node;
	guest->contract->booked++;
	guest->contract->begun = true;
	if (is_best_effort(guest)) {
		DL_APPEND(node->best_effort, guest);
	} else {
		RB_INSERT(promises, &node->promised, guest);
	}
	guest_slots(guest, &slots);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		if (slots.there[i]) {
			slots_reserve(node->slots, slots.at[i].start_us, slots.at[i].end_us, slots.at[i].use);
		}
	}
	prep_use(plan, node, guest);
}

const struct guest *guest_promised_after(const struct node *node, wall_us at_us)
{
	struct vm vm = {.run = {.prepare_us = at_us}};
	struct guest key = {.vm = &vm};

	return RB_NFIND(promises, (struct promises *)&node->promised, &key);
}

struct guest *guest_first(const struct node *node)
{
	struct guest *first = RB_MIN(promises, (struct promises *)&node->promised);

	return first ? first : node->best_effort;
}

struct guest *guest_next(const struct guest *guest)
{
	if (is_best_effort(guest)) {
		return guest->next;
	}
	struct guest *next = RB_NEXT(promises, &guest->node->promised, (struct guest *)guest);
	return next ? next : guest->node->best_effort;
}

const struct vm *guest_before(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->memory ? &plan->memories[guest->memory - 1].vm : NULL;

	return vm && vm->planned ? vm : NULL;
}

void guest_plan(struct plan *plan, struct guest *guest, struct node *node, const struct run *run)
{
	struct vm *vm = guest->vm;

	guest_unbook(plan, guest);
	if (run->from == RUN_BOOT) {
		const struct vm *before = guest_before(plan, guest);
		/* The same boot, only moved, keeps its generation; another one must not be taken for it. */
		bool same = before && !guest->leave_us && before->node == node->info.id &&
			    before->generation == vm->generation;
		if (!same) {
			vm->generation++;
		}
		vm->node = node->info.id;
		if (vm->state == LEASE_QUEUED || vm->state == LEASE_NEW) {
			vm->state = same ? before->state : LEASE_SCHEDULED;
		}
	}
	vm->planned = true;
	vm->run = *run;
	guest->tail_us = 0;
	guest_book(plan, guest);
}

void guest_unplan(struct plan *plan, struct guest *guest)
{
	struct vm *vm = guest->vm;
	bool suspended = vm->planned && vm->run.from == RUN_RESUME;

	guest_unbook(plan, guest);
	vm->planned = false;
	vm->run = (struct run){0};
	vm->started_us = 0;
	guest->tail_us = 0;
	if (suspended) {
		vm->state = LEASE_SUSPENDED;
		guest_book(plan, guest);
	} else {
		guest_move(plan, guest, LEASE_QUEUED);
		vm->node = 0;
	}
}

void guest_move(struct plan *plan, struct guest *guest, enum lease_state to)
{
	guest_touch(plan, guest);
	if (guest->vm->state != to) {
		assert(lease_move_allowed(guest->vm->state, to));
		guest->vm->state = to;
	}
}

void orphans_add(struct plan *plan, const struct slot *slot)
{
	struct orphans *orphans = &plan->orphans;
	struct node *node = plan_find_node(plan, slot->node);

	assert(node);
	orphans->item = plan_grow(orphans->item, orphans->count, &orphans->room, sizeof(*orphans->item));
	orphans->item[orphans->count++] = *slot;
	slots_reserve(node->slots, slot->start_us, slot->end_us, slot->use);
}

bool orphans_sweep(struct plan *plan)
{
	struct orphans *orphans = &plan->orphans;
	bool news = false;
	size_t kept = 0;

	for (size_t i = 0; i < orphans->count; i++) {
		const struct slot *slot = &orphans->item[i];
		if (slot->end_us > plan->now_us) {
			orphans->item[kept++] = *slot;
			continue;
		}
		/* Among restored rows are those of earlier runs, long over: they free nothing now. */
		news = news || !plan->restored || slot->end_us == plan->now_us;
		slots_release(plan_find_node(plan, slot->node)->slots, slot->start_us, slot->end_us, slot->use);
	}
	orphans->count = kept;
	return news;
}

void guest_leave(struct plan *plan, struct guest *guest, wall_us leave_us)
{
	struct node *node = guest->node;
	struct guest_slots slots;

	guest_slots(guest, &slots);
	guest_unbook(plan, guest);
	guest->leave_us = leave_us;
	for (int i = 0; i < GUEST_SLOTS && node; i++) {
		struct slot *slot = &slots.at[i];
		if (!slots.there[i] || slot->start_us > plan->now_us) {
			continue;
		}
		/* Within what was booked, so that nothing planned after it is in the way. */
		slot->end_us = slot->end_us < leave_us ? slot->end_us : leave_us;
		if (slot->end_us > plan->now_us) {
			orphans_add(plan, slot);
		}
	}
	guest->vm->planned = false;
	plan->queue_due = true;
}

void guest_finish(struct plan *plan, struct guest *guest, enum lease_state to, wall_us leave_us)
{
	guest_leave(plan, guest, leave_us);
	guest_move(plan, guest, to);
}

span_us guest_left(const struct guest *guest)
{
	span_us left = guest->contract->lease.spec.duration_us - guest->vm->served_us;

	return left > 0 ? left : 1;
}

bool node_takes_new(const struct node *node)
{
	return node->info.state == NODE_UP;
}

bool guest_soft(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	if (!is_best_effort(guest) || !vm->planned || vm->started_us || guest->node->info.state == NODE_SILENT) {
		return false;
	}
	if (vm->run.from == RUN_RESUME) {
		return vm->state == LEASE_SUSPENDED && vm->run.prepare_us > plan->now_us + plan->settings.lead_us;
	}
	if (vm->state != LEASE_SCHEDULED && vm->state != LEASE_PREPARING) {
		return false;
	}
	/* Until the image is there the node can begin nothing, whatever the time. */
	return vm->run.prepare_us > plan->now_us + plan->settings.lead_us ||
	       !prep_present(guest->node, guest->contract->lease.spec.image);
}

bool gang_soft(const struct plan *plan, const struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct guest *guest = &contract->guest[i];
		if (!lease_state_final(guest->vm->state) && !guest_soft(plan, guest)) {
			return false;
		}
	}
	return true;
}
