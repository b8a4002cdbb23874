/* A guest's bookings: the slots that follow from its state, in the table and on its node. Chooses no node and no time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plan_state.h"
#include "pool.h"
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

static void see_latest(struct guest *guest)
{
	const struct guest *child[] = {RB_LEFT(guest, promise), RB_RIGHT(guest, promise)};

	guest->latest_us = guest_tail(guest);
	for (int i = 0; i < 2; i++) {
		if (child[i] && child[i]->latest_us > guest->latest_us) {
			guest->latest_us = child[i]->latest_us;
		}
	}
}

#undef RB_AUGMENT
#define RB_AUGMENT(changed) see_latest(changed)
RB_GENERATE(promises, guest, promise, promise_compare)

/* The tree's own macros do so only where they turn it round. */
static void see_latest_upwards(struct guest *guest)
{
	for (; guest; guest = RB_PARENT(guest, promise)) {
		see_latest(guest);
	}
}

wall_us guest_tail(const struct guest *guest)
{
	wall_us release_us = guest->vm->run.release_us;

	return guest->tail_us > release_us ? guest->tail_us : release_us;
}

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

bool guest_moving(const struct guest *guest)
{
	return guest->vm->planned && guest->vm->run.from_node && !guest->vm->started_us;
}

bool guest_stands_by(const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	return guest->contract->lease.spec.kind == LEASE_OPEN && !vm->planned &&
	       (vm->state == LEASE_SCHEDULED || vm->state == LEASE_STANDBY);
}

/* When what the guest takes begins and ends, by enum guest_slot; kind of each that is there. */
struct spans {
	bool there[GUEST_SLOTS];
	enum slot_kind kind[GUEST_SLOTS];
	wall_us start_us[GUEST_SLOTS], end_us[GUEST_SLOTS];
};

static void put(struct spans *out, enum guest_slot at, enum slot_kind kind, wall_us start_us, wall_us end_us)
{
	out->there[at] = start_us < end_us;
	out->kind[at] = kind;
	out->start_us[at] = start_us;
	out->end_us[at] = end_us;
}

static void find_spans(const struct guest *guest, struct spans *out)
{
	const struct vm *vm = guest->vm;
	const struct run *run = &vm->run;

	memset(out->there, 0, sizeof(out->there));
	if (lease_state_final(vm->state) || !vm->node) {
		return;
	}
	if (guest_stands_by(guest)) {
		put(out, SLOT_AT_HOLD, SLOT_STANDBY, run->start_us, run->release_us);
		return;
	}
	if (!vm->planned) {
		put(out, SLOT_AT_HOLD, SLOT_HOLD, guest->hold_us, WALL_NEVER);
		return;
	}
	if (run->from == RUN_RESUME && !run->from_node) {
		put(out, SLOT_AT_HOLD, SLOT_HOLD, guest->hold_us, run->prepare_us);
	} else if (guest_moving(guest)) {
		/* What is copied is given up when the guest is seen to run, however late that is. */
		put(out, SLOT_AT_HOLD, SLOT_HOLD, guest->hold_us, run->end_us);
	}
	if (run->copy_us) {
		put(out, SLOT_AT_COPY, SLOT_HOLD, run->copy_us, run->prepare_us);
	}
	put(out, SLOT_AT_LEAD, run->from == RUN_RESUME ? SLOT_RESUME : SLOT_PREPARE, run->prepare_us, run->start_us);
	put(out, SLOT_AT_RUN, SLOT_RUN, run->start_us, run->end_us);
	wall_us tail_us = guest_tail(guest);
	if (run->then == RUN_STOP) {
		put(out, SLOT_AT_TAIL, SLOT_STOP, run->end_us, tail_us);
	} else {
		put(out, SLOT_AT_TAIL, SLOT_SUSPEND, run->end_us, tail_us);
		put(out, SLOT_AT_REST, SLOT_HOLD, tail_us, WALL_NEVER);
	}
}

/* True if that slot of the guest is on the node its memory is on, which is not its own. */
static bool elsewhere(const struct guest *guest, enum guest_slot at)
{
	return at == SLOT_AT_HOLD && guest->vm->planned && guest->vm->run.from_node;
}

void guest_slots(const struct guest *guest, struct guest_slots *out)
{
	const struct vm *vm = guest->vm;
	struct spans spans;

	find_spans(guest, &spans);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		out->there[i] = spans.there[i];
		if (!spans.there[i]) {
			continue;
		}
		out->at[i] = (struct slot){
			.id = guest->slot_id[i],
			.kind = spans.kind[i],
			.node = elsewhere(guest, (enum guest_slot)i) ? vm->run.from_node : vm->node,
			.lease = vm->lease,
			.vm = vm->index,
			.start_us = spans.start_us[i],
			.end_us = spans.end_us[i],
			.use = slot_use(spans.kind[i], guest->contract->lease.spec.per_vm),
		};
	}
}

void contract_touch(struct plan *plan, struct contract *contract)
{
	if (contract->touched) {
		return;
	}
	contract->touched = true;
	plan->touched = plan_grow(plan->touched, plan->touched_count, &plan->touched_room, sizeof(*plan->touched));
	plan->touched[plan->touched_count++] = (struct touched){contract, contract->lease};
}

void guest_touch(struct plan *plan, struct guest *guest)
{
	contract_touch(plan, guest->contract);
	if (guest->memory) {
		return;
	}
	plan->memories = plan_grow(plan->memories, plan->memory_count, &plan->memory_room, sizeof(*plan->memories));
	struct memory *memory = &plan->memories[plan->memory_count++];
	guest->memory = (uint32_t)plan->memory_count;
	*memory = (struct memory){
		.guest = guest,
		.vm = *guest->vm,
		.node = guest->node,
		.hold_us = guest->hold_us,
		.tail_us = guest->tail_us,
	};
	memcpy(memory->slot_id, guest->slot_id, sizeof(memory->slot_id));
}

struct guest_moves guest_moves(const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	struct guest_moves moves = {0};

	if (vm->planned && vm->run.from == RUN_RESUME) {
		moves.restore_us = vm->run.prepare_us;
		moves.restored_us = vm->run.start_us;
	}
	if (vm->planned && vm->run.then == RUN_SUSPEND) {
		moves.save_us = vm->run.end_us;
		moves.saved_us = guest_tail(guest);
	}
	return moves;
}

/* Slots of one guest on one node, as steps. */
struct steps {
	struct slots_step item[SLOTS_STEPS];
	unsigned count;
};

static void steps_done(struct steps *steps, struct slots *slots, bool in)
{
	if (steps->count) {
		(in ? slots_add : slots_remove)(slots, steps->item, steps->count);
	}
	steps->count = 0;
}

/* Puts one more slot into the table, or takes it out: at once with those before it, if it comes after them. */
static void steps_more(struct steps *steps, struct slots *slots, bool in, wall_us start_us, wall_us end_us,
		       struct capacity use)
{
	if (steps->count && start_us < steps->item[steps->count - 1].at_us) {
		steps_done(steps, slots, in);
	}
	steps->count -= steps->count && start_us == steps->item[steps->count - 1].at_us;
	steps->item[steps->count++] = (struct slots_step){start_us, use};
	steps->item[steps->count++] = (struct slots_step){.at_us = end_us};
}

/* Puts what these of the guest's slots, from first to last, take into the tables of its nodes, or takes it out again.
 */
static void put_slots(struct plan *plan, const struct guest *guest, const struct spans *spans, int first, int last,
		      bool in)
{
	struct node *node = guest->node;
	struct steps steps;

	steps.count = 0;
	for (int i = first; i <= last; i++) {
		if (!spans->there[i] || spans->kind[i] == SLOT_STANDBY) {
			continue;
		}
		/* Nobody asks what was: else each of many that lie there would have a point of its own in the table. */
		steps_more(&steps, node->slots, in, i == SLOT_AT_HOLD ? 0 : spans->start_us[i], spans->end_us[i],
			   slot_use(spans->kind[i], guest->contract->lease.spec.per_vm));
		if (elsewhere(guest, (enum guest_slot)i)) {
			steps_done(&steps, plan_find_node(plan, guest->vm->run.from_node)->slots, in);
		}
	}
	steps_done(&steps, node->slots, in);
}

void guest_look_without(struct plan *plan, struct guest *guest, enum guest_slot first, enum guest_slot last,
			bool without)
{
	struct spans spans;

	find_spans(guest, &spans);
	put_slots(plan, guest, &spans, first, last, !without);
}

/* Puts what the guest's slots take into the tables, or takes it out again. */
static void count_slots(struct plan *plan, const struct guest *guest, bool in)
{
	void (*glance)(struct glance *, uint32_t, wall_us, wall_us, struct capacity) = in ? glance_add : glance_remove;
	struct node *node = guest->node;
	struct spans spans;

	find_spans(guest, &spans);
	put_slots(plan, guest, &spans, 0, GUEST_SLOTS - 1, in);
	if (is_best_effort(guest)) {
		return;
	}
	for (int i = 0; i < GUEST_SLOTS; i++) {
		if (spans.there[i]) {
			struct capacity use = slot_use(spans.kind[i], guest->contract->lease.spec.per_vm);
			glance(plan->glance, node->column, spans.start_us[i], spans.end_us[i], use);
			if (node->firm) {
				(in ? slots_reserve : slots_release)(node->firm, spans.start_us[i], spans.end_us[i],
								     use);
			}
		}
	}
}

/* What promises have booked on the node so far. */
static struct slots *firm_of(const struct node *node)
{
	struct slots *firm = slots_new();
	struct guest *guest;
	struct guest_slots slots;

	RB_FOREACH (guest, promises, (struct promises *)&node->promised) {
		guest_slots(guest, &slots);
		for (int i = 0; i < GUEST_SLOTS; i++) {
			if (slots.there[i]) {
				slots_reserve(firm, slots.at[i].start_us, slots.at[i].end_us, slots.at[i].use);
			}
		}
	}
	return firm;
}

void plan_keep_firm(struct plan *plan)
{
	for (size_t i = 0; i < plan->node_count && !plan->firm; i++) {
		struct node *node = plan->nodes[i];
		node->firm = firm_of(node);
		/* It may have shrunk before. */
		node->owed_firm = capacity_max(node->info.capacity, slots_peak(node->firm, plan->now_us, WALL_NEVER));
		plan->owing = true;
	}
	plan->firm = true;
}

/* A node's lists of guests that are no promises. */
enum list { LIST_BEST_EFFORT, LIST_LYING, LIST_STANDBY, LIST_COUNT };

static enum list list_of(const struct guest *guest)
{
	if (guest_stands_by(guest)) {
		return LIST_STANDBY;
	}
	return guest->vm->planned ? LIST_BEST_EFFORT : LIST_LYING;
}

static struct guest **head_of(struct node *node, enum list list)
{
	struct guest **const heads[LIST_COUNT] = {&node->best_effort, &node->lying, &node->standby};

	return heads[list];
}

/* On its node, as what it is there. */
static void arrive(struct node *node, struct guest *guest)
{
	if (!is_best_effort(guest) && !guest_stands_by(guest)) {
		guest->latest_us = 0;
		RB_INSERT(promises, &node->promised, guest);
		see_latest_upwards(guest);
		return;
	}
	struct guest_moves moves = guest_moves(guest);
	lane_add(node->lane, moves.restore_us, moves.restored_us);
	lane_add(node->lane, moves.save_us, moves.saved_us);
	DL_APPEND(*head_of(node, list_of(guest)), guest);
}

static void depart(struct node *node, struct guest *guest)
{
	if (!is_best_effort(guest) && !guest_stands_by(guest)) {
		struct guest *above = RB_PARENT(guest, promise);
		RB_REMOVE(promises, &node->promised, guest);
		see_latest_upwards(above);
		return;
	}
	struct guest_moves moves = guest_moves(guest);
	lane_remove(node->lane, moves.restore_us, moves.restored_us);
	lane_remove(node->lane, moves.save_us, moves.saved_us);
	DL_DELETE(*head_of(node, list_of(guest)), guest);
}

uint32_t guest_home(const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	return vm->planned && vm->run.from_node ? vm->run.from_node : vm->node;
}

/* Its memory, and the image below it, stay on the node it is to leave. */
static void linger(struct plan *plan, struct guest *guest)
{
	if (guest_moving(guest)) {
		guest->old_node = plan_find_node(plan, guest->vm->run.from_node);
		DL_APPEND2(guest->old_node->leaving, guest, old_prev, old_next);
		if (plan->settings.disks == DISKS_OVERLAY) {
			prep_keep(plan, guest->old_node, guest);
		}
	}
}

static void linger_no_more(struct plan *plan, struct guest *guest)
{
	if (guest->old_stage) {
		prep_let_go(plan, guest);
	}
	if (guest->old_node) {
		DL_DELETE2(guest->old_node->leaving, guest, old_prev, old_next);
		guest->old_node = NULL;
	}
}

void guest_unbook(struct plan *plan, struct guest *guest)
{
	struct node *node = guest->node;

	guest_touch(plan, guest);
	if (!node) {
		return;
	}
	count_slots(plan, guest, false);
	linger_no_more(plan, guest);
	depart(node, guest);
	guest->node = NULL;
	guest->contract->booked--;
	if (guest->stage) {
		prep_leave(plan, guest);
	}
}

void guest_book(struct plan *plan, struct guest *guest)
{
	struct node *node = plan_find_node(plan, guest->vm->node);

	assert(node && !guest->node);
	if (guest_stands_by(guest) && !plan->firm) {
		plan_keep_firm(plan);
	}
	guest_touch(plan, guest);
	guest->node = node;
	guest->contract->booked++;
	guest->contract->begun = true;
	arrive(node, guest);
	count_slots(plan, guest, true);
	linger(plan, guest);
	if (pool_guest_wants(plan, guest)) {
		prep_use(plan, node, guest);
	}
}

static wall_us later(wall_us a, wall_us b)
{
	return a > b ? a : b;
}

/* When the guest is gone, if it is being destroyed in that time; else 0. */
static wall_us stops_until(const struct guest *guest, wall_us from_us, wall_us to_us)
{
	const struct vm *vm = guest->vm;
	wall_us gone_us = guest_tail(guest);

	bool stops = vm->planned && vm->run.then == RUN_STOP && gone_us > vm->run.end_us;
	return stops && vm->run.end_us < to_us && gone_us > from_us ? gone_us : 0;
}

static wall_us promised_stop_until(const struct guest *root, wall_us from_us, wall_us to_us)
{
	if (!root || root->latest_us <= from_us) {
		return 0;
	}
	wall_us gone_us = promised_stop_until(RB_LEFT(root, promise), from_us, to_us);
	if (root->vm->run.prepare_us >= to_us) {
		return gone_us;
	}
	gone_us = later(gone_us, stops_until(root, from_us, to_us));
	return later(gone_us, promised_stop_until(RB_RIGHT(root, promise), from_us, to_us));
}

wall_us guest_stops_until(const struct node *node, wall_us from_us, wall_us to_us)
{
	wall_us gone_us = promised_stop_until(RB_ROOT(&node->promised), from_us, to_us);
	const struct guest *guest;

	DL_FOREACH (node->best_effort, guest) {
		gone_us = later(gone_us, stops_until(guest, from_us, to_us));
	}
	return gone_us;
}

const struct guest *guest_promised_after(const struct node *node, wall_us at_us)
{
	struct vm vm = {.run = {.prepare_us = at_us}};
	struct guest key = {.vm = &vm};

	return RB_NFIND(promises, (struct promises *)&node->promised, &key);
}

/* The first in that list of the node's, or in the next that is not empty. */
static struct guest *first_from(const struct node *node, unsigned list)
{
	while (list < LIST_COUNT && !*head_of((struct node *)node, list)) {
		list++;
	}
	return list < LIST_COUNT ? *head_of((struct node *)node, list) : NULL;
}

struct guest *guest_first(const struct node *node)
{
	struct guest *first = RB_MIN(promises, (struct promises *)&node->promised);

	return first ? first : first_from(node, 0);
}

struct guest *guest_next(const struct guest *guest)
{
	if (is_best_effort(guest) || guest_stands_by(guest)) {
		return guest->next ? guest->next : first_from(guest->node, list_of(guest) + 1);
	}
	struct guest *next = RB_NEXT(promises, &guest->node->promised, (struct guest *)guest);
	return next ? next : first_from(guest->node, 0);
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
		if (vm->state == LEASE_QUEUED || vm->state == LEASE_NEW || vm->state == LEASE_STANDBY) {
			vm->state = same ? before->state : LEASE_SCHEDULED;
		}
	}
	vm->node = node->info.id;
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
	vm->node = suspended ? guest_home(guest) : vm->node;
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
		if (guest->stage && guest->stage->flight) {
			prep_moved_on(plan, guest->stage);
		}
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
	orphans->count = orphans->told = kept;
	return news;
}

void guest_leave(struct plan *plan, struct guest *guest, wall_us leave_us)
{
	struct node *node = guest->node;
	struct guest_slots slots;

	uint64_t turn = is_best_effort(guest) ? guest->contract->lease.id : 0;

	plan->freed_by = turn < plan->freed_by ? turn : plan->freed_by;
	guest_slots(guest, &slots);
	/* Of what only stood by nothing is on its node. */
	leave_us = guest_stands_by(guest) ? 0 : leave_us;
	guest_unbook(plan, guest);
	guest->leave_us = leave_us;
	for (int i = 0; i < GUEST_SLOTS && node; i++) {
		struct slot *slot = &slots.at[i];
		if (!slots.there[i] || slot->start_us > plan->now_us || slot->kind == SLOT_STANDBY) {
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

bool guest_soft(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	if (!is_best_effort(guest) || !vm->planned || vm->started_us || guest->node->info.state == NODE_SILENT) {
		return false;
	}
	if (vm->run.from == RUN_RESUME) {
		return vm->state == LEASE_SUSPENDED && run_begin(&vm->run) > plan->now_us + plan->settings.lead_us;
	}
	if (vm->state != LEASE_SCHEDULED && vm->state != LEASE_PREPARING) {
		return false;
	}
	/* Until the image is there the node can begin nothing; if it is to come now that may not have been told yet. */
	return vm->run.prepare_us > plan->now_us + plan->settings.lead_us ||
	       prep_ready(guest->node, guest->contract->lease.spec.image) > plan->now_us;
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
