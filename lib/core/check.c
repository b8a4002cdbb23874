/* Invariants over a whole plan, worked out anew from the leases and without the help of what they check. */
#include "check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "backlog.h"
#include "estimate.h"
#include "link.h"
#include "plan_state.h"
#include "policy.h"
#include "pool.h"
#include "prep.h"
#include "rate.h"

const char *check_rule_name(enum check_rule rule)
{
	static const char *const names[CHECK_RULE_COUNT] = {
		[CHECK_OK] = "ok",           [CHECK_CAPACITY] = "capacity", [CHECK_TABLE] = "table",
		[CHECK_RUN] = "run",         [CHECK_PROMISE] = "promise",   [CHECK_GANG] = "gang",
		[CHECK_IMAGE] = "image",     [CHECK_LINK] = "link",         [CHECK_POOL] = "pool",
		[CHECK_SAVE] = "save",       [CHECK_STATE] = "state",       [CHECK_RATE] = "rate",
		[CHECK_BACKLOG] = "backlog",
	};

	assert(rule < CHECK_RULE_COUNT);
	return names[rule];
}

static enum check_rule broken(struct check_fault *fault, enum check_rule rule, const struct guest *guest)
{
	*fault = (struct check_fault){.rule = rule};
	if (guest) {
		fault->lease = guest->vm->lease;
		fault->vm = guest->vm->index;
		fault->node = guest->vm->node;
		fault->at_us = guest->vm->run.start_us;
	}
	return rule;
}

/* A change of use at an instant. */
struct change {
	wall_us at_us;
	struct capacity step;
};

struct changes {
	struct change *item;
	size_t count, room;
};

static void add_slot(struct changes *changes, const struct slot *slot)
{
	struct capacity nothing = {{0}};

	for (int i = 0; i < 2; i++) {
		changes->item = plan_grow(changes->item, changes->count, &changes->room, sizeof(*changes->item));
		changes->item[changes->count++] = (struct change){
			.at_us = i ? slot->end_us : slot->start_us,
			.step = i ? capacity_sub(nothing, slot->use) : slot->use,
		};
	}
}

static int by_time(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

static void gather_guest(const struct guest *guest, const struct node *node, bool firm, struct changes *changes)
{
	bool promised = guest->contract->lease.spec.kind != LEASE_BEST_EFFORT;
	struct guest_slots slots;

	guest_slots(guest, &slots);
	for (int i = 0; i < GUEST_SLOTS; i++) {
		/* Of one that is to go on elsewhere what it lies on is on another node than the rest. */
		bool lies = guest->old_node && i == SLOT_AT_HOLD;
		bool counts = firm ? promised : slots.at[i].kind != SLOT_STANDBY;
		if (slots.there[i] && counts && (lies ? guest->old_node : guest->node) == node) {
			add_slot(changes, &slots.at[i]);
		}
	}
}

/* What is in the node's table; or, of that and of what is on standby, what is firm. */
static void gather(const struct plan *plan, const struct node *node, bool firm, struct changes *changes)
{
	const struct guest *guest;

	for (guest = guest_first(node); guest; guest = guest_next(guest)) {
		gather_guest(guest, node, firm, changes);
	}
	DL_FOREACH2(node->leaving, guest, old_next)
	{
		gather_guest(guest, node, firm, changes);
	}
	for (size_t i = 0; i < plan->orphans.count && !firm; i++) {
		if (plan->orphans.item[i].node == node->info.id) {
			add_slot(changes, &plan->orphans.item[i]);
		}
	}
	if (changes->count) {
		qsort(changes->item, changes->count, sizeof(*changes->item), by_time);
	}
}

/* True if no more is seen at a glance than the use there is in [from_us, until_us). */
static bool glance_true(const struct plan *plan, const struct node *node, wall_us from_us, wall_us until_us,
			const struct capacity *use)
{
	from_us = from_us > plan->now_us ? from_us : plan->now_us;
	wall_us at_us = (from_us + GLANCE_STEP_US - 1) / GLANCE_STEP_US * GLANCE_STEP_US;

	return at_us >= until_us || capacity_fits(glance_use(plan->glance, node->column, at_us), *use);
}

/*
 * Sums the slots up in order of time: never beyond what the node has, and always what the slot table says, but of the
 * past, in which what lies suspended lay always.
 */
static enum check_rule check_table(const struct plan *plan, const struct node *node, bool firm, struct changes *changes,
				   struct check_fault *fault)
{
	const struct slots *slots = firm ? node->firm : node->slots;
	struct capacity use = {{0}}, owed = firm ? node->owed_firm : node->owed;

	changes->count = 0;
	gather(plan, node, firm, changes);
	for (size_t i = 0; i < changes->count; i++) {
		wall_us at_us = changes->item[i].at_us;
		use = capacity_add(use, changes->item[i].step);
		if (i + 1 < changes->count && changes->item[i + 1].at_us == at_us) {
			continue;
		}
		wall_us until_us = i + 1 < changes->count ? changes->item[i + 1].at_us : at_us + 1;
		if (until_us <= plan->now_us) {
			continue;
		}
		struct capacity table = slots_peak(slots, at_us, until_us);
		*fault = (struct check_fault){.node = node->info.id, .at_us = at_us};
		bool glance = firm != (node->firm != NULL) || glance_true(plan, node, at_us, until_us, &use);
		if (memcmp(&table, &use, sizeof(use)) != 0 || !glance) {
			return fault->rule = CHECK_TABLE;
		}
		if (!capacity_fits(use, owed)) {
			return fault->rule = CHECK_CAPACITY;
		}
	}
	return CHECK_OK;
}

static enum check_rule check_node(const struct plan *plan, const struct node *node, struct changes *changes,
				  struct check_fault *fault)
{
	enum check_rule rule = check_table(plan, node, false, changes, fault);

	if (!rule && !node->loose && !rate_keeps(plan, node)) {
		*fault = (struct check_fault){.rule = CHECK_RATE, .node = node->info.id, .at_us = plan->now_us};
		return CHECK_RATE;
	}
	if (!node->firm && node->standby) {
		return broken(fault, CHECK_TABLE, node->standby);
	}
	return rule || !node->firm ? rule : check_table(plan, node, true, changes, fault);
}

static bool run_in_order(const struct run *run)
{
	return run_begin(run) <= run->prepare_us && run->prepare_us <= run->start_us && run->start_us < run->end_us &&
	       run->end_us <= run->release_us;
}

/* One that goes on elsewhere is suspended on another node, and is kept there until it runs. */
static bool move_whole(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	const struct node *from = plan_find_node(plan, vm->run.from_node);

	if (!vm->planned || !vm->run.from_node) {
		return !guest->old_node && vm->state != LEASE_MIGRATING;
	}
	return vm->run.from == RUN_RESUME && from && from != guest->node &&
	       guest->old_node == (vm->started_us ? NULL : from);
}

static bool wants_run(enum lease_state state)
{
	return !lease_state_final(state) && state != LEASE_NEW && state != LEASE_QUEUED && state != LEASE_SUSPENDED;
}

/* Its node is kept for it as long as it may need it, and its image is there or will be. */
static enum check_rule check_standby(const struct plan *plan, const struct guest *guest, struct check_fault *fault)
{
	const struct lease_spec *spec = &guest->contract->lease.spec;
	const struct run *run = &guest->vm->run;

	if (run->start_us != spec->start_us || spec->latest_us <= plan->now_us ||
	    run->release_us < spec->latest_us + spec->response_us + spec->duration_us ||
	    (guest->vm->state == LEASE_STANDBY) != (spec->start_us <= plan->now_us)) {
		return broken(fault, CHECK_PROMISE, guest);
	}
	if (guest->node->info.state != NODE_SILENT && prep_ready(guest->node, spec->image) == WALL_NEVER) {
		return broken(fault, CHECK_IMAGE, guest);
	}
	return CHECK_OK;
}

static enum check_rule check_guest(const struct plan *plan, const struct guest *guest, struct check_fault *fault)
{
	const struct vm *vm = guest->vm;
	const struct lease_spec *spec = &guest->contract->lease.spec;
	bool waits = vm->planned && (vm->state == LEASE_SCHEDULED || vm->state == LEASE_PREPARING);
	bool stands_by = guest_stands_by(guest);
	bool on_node = vm->planned || vm->state == LEASE_SUSPENDED || stands_by;

	if ((wants_run(vm->state) && !vm->planned && !stands_by) || (lease_state_final(vm->state) && vm->planned) ||
	    (vm->planned && !run_in_order(&vm->run)) || on_node != (guest->node != NULL) ||
	    (on_node && guest->node->info.id != vm->node) || !move_whole(plan, guest)) {
		return broken(fault, CHECK_RUN, guest);
	}
	if (spec->kind == LEASE_AR && vm->planned &&
	    (vm->run.start_us != spec->start_us || vm->run.end_us != spec->start_us + spec->duration_us)) {
		return broken(fault, CHECK_PROMISE, guest);
	}
	if (spec->kind == LEASE_OPEN && vm->planned &&
	    (vm->run.start_us != spec->start_us || vm->run.end_us != spec->start_us + spec->duration_us ||
	     vm->run.start_us >= spec->latest_us + spec->response_us)) {
		return broken(fault, CHECK_PROMISE, guest);
	}
	if (stands_by) {
		return check_standby(plan, guest, fault);
	}
	if (spec->kind == LEASE_DEADLINE && vm->planned &&
	    (vm->run.start_us < spec->start_us || vm->run.end_us > spec->deadline_us ||
	     vm->run.end_us - vm->run.start_us != spec->duration_us)) {
		return broken(fault, CHECK_PROMISE, guest);
	}
	/*
	 * A transfer that proved late makes its guest late, and so may a promise made after a gang has begun in part;
	 * nothing is planned so, except by strategies that promise nothing: by those a transfer may even have no place.
	 */
	if (waits && vm->run.from == RUN_BOOT && vm->run.prepare_us > plan->now_us + plan->settings.lead_us &&
	    plan->settings.staging <= STAGING_EDF) {
		const struct stage *stage = prep_find(guest->node, spec->image);
		bool late = stage && stage->flight && stage->flight->late;
		bool soft = spec->serial ? guest_soft(plan, guest) : gang_soft(plan, guest->contract);
		if (soft && prep_ready(guest->node, spec->image) > vm->run.prepare_us && !late) {
			return broken(fault, CHECK_IMAGE, guest);
		}
		/* One that vanished waits until those who lie there suspended leave room for it. */
		const struct node *node = guest->node;
		bool room = !stage || pool_peak(node, plan->now_us, WALL_NEVER) <= node->info.pool_bytes - stage->size;
		if (node->info.state != NODE_SILENT && room && prep_ready(node, spec->image) == WALL_NEVER) {
			return broken(fault, CHECK_IMAGE, guest);
		}
	}
	if (vm->planned && vm->run.then == RUN_SUSPEND && guest->node->learnt.count == 0 &&
	    vm->run.release_us - vm->run.end_us <
		    estimate_bytes(spec->per_vm.amount[RES_MEMORY], guest->node->info.suspend_rate) &&
	    vm->run.end_us > plan->now_us) {
		return broken(fault, CHECK_SAVE, guest);
	}
	return CHECK_OK;
}

static enum check_rule check_contract(const struct plan *plan, const struct contract *contract,
				      struct check_fault *fault)
{
	const struct lease *lease = &contract->lease;
	const struct guest *first = NULL;
	enum check_rule rule;

	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		const struct guest *guest = &contract->guest[i];
		if ((rule = check_guest(plan, guest, fault))) {
			return rule;
		}
		if (lease->spec.serial || lease_state_final(guest->vm->state) || guest->vm->started_us) {
			continue;
		}
		/* Its VMs may be planned only all or none, for one start and one end. */
		if (first &&
		    (first->vm->planned != guest->vm->planned || first->vm->run.start_us != guest->vm->run.start_us ||
		     first->vm->run.end_us != guest->vm->run.end_us) &&
		    (first->vm->state == LEASE_SCHEDULED || first->vm->state == LEASE_QUEUED)) {
			return broken(fault, CHECK_GANG, guest);
		}
		first = guest;
	}
	if (lease->state != lease_state_of(lease->vms, lease->spec.vms)) {
		*fault = (struct check_fault){.rule = CHECK_STATE, .lease = lease->id};
		return CHECK_STATE;
	}
	return CHECK_OK;
}

/* All aboard a flight have its times, and it the earliest of their deadlines. */
static bool flight_whole(const struct flight *flight)
{
	const struct stage *stage;
	wall_us deadline_us = WALL_NEVER;

	DL_FOREACH (flight->stages, stage) {
		const struct transfer *t = &stage->transfer;
		deadline_us = t->deadline_us < deadline_us ? t->deadline_us : deadline_us;
		if (stage->flight != flight || stage->image != flight->image || stage->present ||
		    t->start_us != flight->start_us || t->end_us != flight->end_us) {
			return false;
		}
	}
	return flight->stages && deadline_us == flight->deadline_us;
}

static enum check_rule check_link(const struct plan *plan, const struct link *link, struct check_fault *fault)
{
	wall_us free_us = 0;
	size_t late = 0;

	for (size_t i = 0; i < link->count; i++) {
		const struct flight *flight = link->item[i];
		/* Two that are both under way may meet when the first proves late; nothing is planned so. */
		bool meets = flight->start_us < free_us && !flight->begun && !link->blind;
		bool alone = plan->settings.multicast || !flight->stages || !flight->stages->next;
		if (meets || !alone || !flight_whole(flight) || flight->link != link) {
			*fault = (struct check_fault){
				.rule = CHECK_LINK, .node = flight->node, .at_us = flight->start_us};
			return CHECK_LINK;
		}
		free_us = flight->end_us > free_us ? flight->end_us : free_us;
		late += flight->end_us > flight->deadline_us;
	}
	if (late != link->late) {
		*fault = (struct check_fault){.rule = CHECK_LINK};
		return CHECK_LINK;
	}
	return CHECK_OK;
}

/* Who needs the image on its node, by the guests themselves; false if the stage says otherwise. */
static bool stage_whole(const struct plan *plan, const struct stage *stage, wall_us *until_us)
{
	uint32_t users = 0, riders = 0;
	const struct guest *guest;

	*until_us = 0;
	DL_FOREACH2(stage->node->leaving, guest, old_next)
	{
		if (guest->contract->lease.spec.image == stage->image && plan->settings.disks == DISKS_OVERLAY) {
			*until_us = pool_rest_until(plan);
			users++;
		}
	}
	for (guest = guest_first(stage->node); guest; guest = guest_next(guest)) {
		if (guest->contract->lease.spec.image == stage->image && pool_guest_wants(plan, guest)) {
			wall_us each_us = pool_guest_until(plan, guest);
			*until_us = each_us > *until_us ? each_us : *until_us;
			users++;
			riders += guest->contract->lease.spec.kind == LEASE_BEST_EFFORT && guest->vm->planned;
		}
	}
	return users == stage->users && riders == stage->riders;
}

/* True unless the image was removed and still counts for something: whoever needs it keeps it from being removed. */
static bool stage_known(const struct plan *plan, const struct stage *stage)
{
	bool counts = stage->users || stage->flight || stage->present || stage->held_from_us < stage->held_until_us;

	return !counts || plan_find_image(plan, stage->image);
}

/* Sums up what is needed in the pool in order of time: never more than it holds, and always what its table says. */
static enum check_rule check_pool(const struct plan *plan, const struct node *node, struct changes *changes,
				  struct check_fault *fault)
{
	int64_t bytes = 0;

	*fault = (struct check_fault){.rule = CHECK_POOL, .node = node->info.id};
	changes->count = 0;
	for (size_t i = 0; i < node->stage_count; i++) {
		const struct stage *stage = node->stages[i].stage;
		struct slot slot = {.use = {.amount = {[RES_DISK] = stage->size}}};
		if (!stage_known(plan, stage) || !stage_whole(plan, stage, &slot.end_us)) {
			return CHECK_POOL;
		}
		bool kept = stage->flight && stage->flight->kept;
		if (stage->flight) {
			/* It takes its room until it has come; one that costs no time does for an instant. */
			wall_us least_us = stage->flight->start_us + 1;
			slot.end_us = stage->flight->end_us > slot.end_us ? stage->flight->end_us : slot.end_us;
			slot.end_us = least_us > slot.end_us ? least_us : slot.end_us;
		}
		if ((stage->users || kept) && (stage->flight ? stage->flight->start_us < WALL_NEVER : stage->present)) {
			slot.start_us = stage->flight ? stage->flight->start_us : 0;
			slot.end_us = slot.end_us > slot.start_us ? slot.end_us : slot.start_us;
			add_slot(changes, &slot);
		}
	}
	if (changes->count) {
		qsort(changes->item, changes->count, sizeof(*changes->item), by_time);
	}
	for (size_t i = 0; i < changes->count; i++) {
		wall_us at_us = changes->item[i].at_us;
		bytes += changes->item[i].step.amount[RES_DISK];
		if (i + 1 < changes->count && changes->item[i + 1].at_us == at_us) {
			continue;
		}
		wall_us until_us = i + 1 < changes->count ? changes->item[i + 1].at_us : at_us + 1;
		fault->at_us = at_us;
		if (bytes != pool_peak(node, at_us, until_us) || (until_us > plan->now_us && bytes > node->pool_owed)) {
			return CHECK_POOL;
		}
	}
	*fault = (struct check_fault){0};
	return CHECK_OK;
}

static size_t seen_in(const struct lane *lane, wall_us from_us, wall_us to_us, bool *there)
{
	*there = *there && (from_us >= to_us || lane_has(lane, from_us, to_us) > 0);
	return from_us < to_us;
}

/* Every saving and restoring of a guest is on its node's lane, and nothing else. */
static enum check_rule check_lanes(const struct plan *plan, struct check_fault *fault)
{
	size_t want = 0, have = plan->lane ? lane_count(plan->lane) : 0;
	bool there = true;

	for (size_t i = 0; i < plan->node_count; i++) {
		const struct node *node = plan->nodes[i];
		const struct guest *guest;
		have += plan->lane ? 0 : lane_count(node->lane);
		DL_FOREACH (node->best_effort, guest) {
			struct guest_moves moves = guest_moves(guest);
			want += seen_in(node->lane, moves.restore_us, moves.restored_us, &there);
			want += seen_in(node->lane, moves.save_us, moves.saved_us, &there);
		}
	}
	*fault = (struct check_fault){.rule = there && want == have ? CHECK_OK : CHECK_TABLE};
	return fault->rule;
}

/* True if the item says what a new one would, and nothing of the lease is planned. */
static bool turn_true(const struct plan *plan, const struct turn *turn)
{
	int64_t (*rest_key)(const struct contract *) = plan->settings.queue->rest_key;
	struct contract *contract = turn->contract;
	struct turn now = backlog_look(contract);

	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (contract->guest[i].vm->planned) {
			return false;
		}
	}
	return contract->listed == LISTED_WAITING && turn->work == now.work && turn->had_us == now.had_us &&
	       turn->vms == now.vms && turn->key == (rest_key ? rest_key(contract) : backlog_turn(contract));
}

static enum check_rule check_backlog(const struct plan *plan, struct check_fault *fault)
{
	const struct backlog *backlog = &plan->backlog;
	struct contract *contract;
	size_t leases = 0;
	bool whole = true;

	RB_FOREACH (contract, turns, (struct turns *)&plan->turns) {
		leases++;
	}
	for (size_t i = 0; i < backlog->count && whole; i++) {
		const struct turn *turn = &backlog->item[i];
		whole = turn_true(plan, turn) && (i == 0 || turn[-1].key <= turn->key);
	}
	for (size_t i = 0; i < backlog->other_count && whole; i++) {
		whole = backlog->other[i]->listed == LISTED_OTHER && backlog->other[i]->booked > 0;
	}
	whole = whole && leases == backlog->count + backlog->other_count;
	*fault = (struct check_fault){.rule = whole ? CHECK_OK : CHECK_BACKLOG};
	return fault->rule;
}

enum check_rule check_plan(const struct plan *plan, struct check_fault *fault)
{
	struct changes changes = {0};
	struct contract *contract;
	enum check_rule rule = CHECK_OK;

	for (size_t i = 0; i < plan->node_count && !rule; i++) {
		rule = check_node(plan, plan->nodes[i], &changes, fault);
		if (!rule) {
			rule = check_pool(plan, plan->nodes[i], &changes, fault);
		}
	}
	free(changes.item);
	RB_FOREACH (contract, contracts, (struct contracts *)&plan->contracts) {
		if (!rule) {
			rule = check_contract(plan, contract, fault);
		}
	}
	rule = rule ? rule : check_backlog(plan, fault);
	rule = rule ? rule : check_lanes(plan, fault);
	for (int l = 0; l < LINKS && !rule; l++) {
		rule = check_link(plan, &plan->link[l], fault);
	}
	return rule;
}
