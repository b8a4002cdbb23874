/* Chooses whom to suspend for an advance reservation, and when. The reservation itself is admit.c's. */
#include "preempt.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "estimate.h"
#include "policy.h"
#include "pool.h"
#include "prep.h"

void preempt_save_spans(const struct plan *plan, const struct unit *unit)
{
	int64_t memory = unit->spec->per_vm.amount[RES_MEMORY];
	span_us all_us = 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->save_us = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		span_us mine_us = estimate_suspend(plan, node, memory);
		node->save_us += mine_us;
		all_us += mine_us;
	}
	for (uint32_t i = 0; i < unit->n && plan->lane; i++) {
		unit->seat[i].node->save_us = all_us;
	}
}

span_us preempt_copy_span(const struct plan *plan, const struct unit *unit)
{
	span_us longest_us = 0;
	bool moved = false;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->copy_us = 0;
		if (place_moved(&unit->seat[i])) {
			plan_find_node(plan, unit->seat[i].was.node)->copy_us = 0;
			moved = true;
		}
	}
	for (uint32_t i = 0; i < unit->n && moved; i++) {
		struct node *to = unit->seat[i].node;
		if (!place_moved(&unit->seat[i])) {
			continue;
		}
		struct node *from = plan_find_node(plan, unit->seat[i].was.node);
		span_us mine_us = estimate_copy(plan, from, to, unit->spec);
		from->copy_us += mine_us;
		to->copy_us += mine_us;
		longest_us = from->copy_us > longest_us ? from->copy_us : longest_us;
		longest_us = to->copy_us > longest_us ? to->copy_us : longest_us;
	}
	return longest_us;
}

span_us preempt_restore_spans(const struct plan *plan, const struct unit *unit)
{
	int64_t memory = unit->spec->per_vm.amount[RES_MEMORY];
	bool aside = plan->settings.migration == MIGRATION_ASIDE;
	span_us copy_us = preempt_copy_span(plan, unit), all_us = 0, longest_us = 0;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->restore_us = 0;
		unit->seat[i].node->copy_us = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		span_us mine_us = estimate_resume(plan, node, memory);
		node->restore_us += mine_us;
		all_us += mine_us;
		node->copy_us = copy_us && !aside && place_moved(&unit->seat[i]) ? copy_us : node->copy_us;
		longest_us =
			node->restore_us + node->copy_us > longest_us ? node->restore_us + node->copy_us : longest_us;
	}
	for (uint32_t i = 0; i < unit->n && plan->lane; i++) {
		struct node *node = unit->seat[i].node;
		node->restore_us = all_us;
		longest_us = all_us + node->copy_us > longest_us ? all_us + node->copy_us : longest_us;
	}
	return aside ? copy_us + longest_us : longest_us;
}

wall_us preempt_end(struct plan *plan, const struct unit *unit)
{
	wall_us end_us = WALL_NEVER, before_us;

	preempt_save_spans(plan, unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		end_us = node->limit_us - node->save_us < end_us ? node->limit_us - node->save_us : end_us;
	}
	/* All stop at one instant, so that a move for one node may bring the saving on another into the way. */
	do {
		before_us = end_us;
		for (uint32_t i = 0; i < unit->n; i++) {
			const struct node *node = unit->seat[i].node;
			end_us = lane_before(node->lane, end_us, node->save_us);
		}
	} while (end_us < before_us);
	return end_us;
}

/* The earliest end, not before start_us, of restoring on this node while nobody is saved, restored or destroyed there.
 */
static wall_us clear_after(const struct node *node, wall_us start_us)
{
	span_us lead_us = node->restore_us + node->copy_us;
	wall_us from_us = start_us - lead_us, gone_us;

	while (lead_us > 0) {
		from_us = lane_after(node->lane, from_us, lead_us);
		gone_us = guest_stops_until(node, from_us, from_us + lead_us);
		if (gone_us == 0) {
			break;
		}
		from_us = gone_us;
	}
	return from_us + lead_us;
}

wall_us preempt_restored(const struct plan *plan, const struct unit *unit, wall_us from_us, span_us *lead_us)
{
	wall_us start_us, before_us;

	*lead_us = preempt_restore_spans(plan, unit);
	start_us = from_us + *lead_us;
	do {
		before_us = start_us;
		for (uint32_t i = 0; i < unit->n; i++) {
			start_us = clear_after(unit->seat[i].node, start_us);
		}
	} while (start_us > before_us);
	return start_us;
}

/* True if a guest may be made to stop: running or about to, on a node that listens. */
static bool may_cut(const struct guest *guest)
{
	switch (guest->vm->state) {
	case LEASE_SCHEDULED:
	case LEASE_PREPARING:
	case LEASE_READY:
	case LEASE_ACTIVE:
	case LEASE_MIGRATING:
	case LEASE_RESUMING:
	case LEASE_SUSPENDED:
		return guest->vm->planned && guest->node->info.state != NODE_SILENT;
	case LEASE_NEW:
	case LEASE_REJECTED:
	case LEASE_QUEUED:
	case LEASE_STANDBY:
	case LEASE_SUSPENDING:
	case LEASE_STOPPING:
	case LEASE_DONE:
	case LEASE_CANCELLED:
	case LEASE_FAILED:
	case LEASE_STATE_COUNT:
		break;
	}
	return false;
}

/* A guest in the way, and what its lease counts by the victim policy. */
struct candidate {
	struct guest *guest;
	int64_t key;
};

static int by_policy(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	const struct vm *p = x->guest->vm, *q = y->guest->vm;

	if (x->key != y->key) {
		return x->key < y->key ? -1 : 1;
	}
	if (p->lease != q->lease) {
		return p->lease > q->lease ? -1 : 1;
	}
	return p->index < q->index ? -1 : p->index > q->index;
}

/* How many of the unit's VMs may be put on the node at most. */
static uint32_t wanted_there(const struct preempt_want *want, const struct node *node)
{
	uint32_t seats = 0;

	if (!want->seated) {
		return node_takes_new(node) ? want->unit->n : 0;
	}
	for (uint32_t i = 0; i < want->unit->n; i++) {
		seats += want->unit->seat[i].node == node;
	}
	return seats;
}

/* The lower the earlier. */
static int64_t key_of(const struct plan *plan, const struct preempt_want *want, const struct contract *victim)
{
	return want->may ? victim->lease.spec.vms : plan->settings.victim->key(plan, victim);
}

/* One guest of each unit that is in the way of the run on some node, in the order of the victim policy. */
static struct candidate *in_the_way(const struct plan *plan, const struct preempt_want *want, size_t *count)
{
	const struct run *run = want->run;
	struct candidate *found = NULL;
	size_t n = 0, room = 0, kept = 0;

	for (size_t i = 0; i < plan->node_count; i++) {
		struct guest *guest;
		if (!wanted_there(want, plan->nodes[i])) {
			continue;
		}
		DL_FOREACH (plan->nodes[i]->best_effort, guest) {
			if (may_cut(guest) && guest_tail(guest) > run->prepare_us &&
			    guest->vm->run.prepare_us < run->release_us &&
			    (!want->may || want->may(want->arg, guest->contract))) {
				int64_t key = key_of(plan, want, guest->contract);
				found = plan_grow(found, n, &room, sizeof(*found));
				found[n++] = (struct candidate){guest, key};
			}
		}
	}
	if (n) {
		qsort(found, n, sizeof(*found), by_policy);
	}
	for (size_t i = 0; i < n; i++) {
		const struct contract *contract = found[i].guest->contract;
		if (kept == 0 || contract->lease.spec.serial || found[kept - 1].guest->contract != contract) {
			found[kept++] = found[i];
		}
	}
	*count = kept;
	return found;
}

/* How many of the wanted VMs the node could take as things are. */
static uint32_t useful(const struct plan *plan, const struct preempt_want *want, const struct node *node)
{
	uint64_t image = want->unit->spec->image;
	uint32_t most = wanted_there(want, node);

	if (most == 0 || !pool_fits(plan, node, image, want->run) ||
	    (want->staged_only && prep_ready(node, image) > want->run->prepare_us)) {
		return 0;
	}
	return place_count(node, want->unit->spec, want->run, most);
}

static uint64_t useful_at(const struct plan *plan, const struct preempt_want *want, const struct unit *victim)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < victim->n; i++) {
		victim->seat[i].node->count = 0;
	}
	for (uint32_t i = 0; i < victim->n; i++) {
		struct node *node = victim->seat[i].node;
		if (node->count == 0) {
			node->count = 1;
			total += useful(plan, want, node);
		}
	}
	return total;
}

/* True if the unit has not come so far that going back to the queue would lose anything. */
static bool hardly_begun(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = &unit->seat[i].was;
		if (vm->started_us || vm->run.from == RUN_RESUME) {
			return false;
		}
	}
	return true;
}

/* True if the unit lies suspended and nothing was done yet to restore it: it can go on lying there. */
static bool lies_still(const struct unit *unit, wall_us told_us)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = &unit->seat[i].was;
		if (vm->started_us || vm->run.from != RUN_RESUME || vm->run.prepare_us < told_us) {
			return false;
		}
	}
	return true;
}

/* When a node told now has stopped a guest. */
static wall_us stopped_by(const struct plan *plan)
{
	return plan->now_us + plan->settings.lead_us + plan->settings.stop_us;
}

static void unbook(struct plan *plan, struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		guest_unbook(plan, unit->seat[i].guest);
	}
}

/* Books the lifted unit without a run. */
static void let_lie(struct plan *plan, struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		struct guest *guest = unit->seat[i].guest;
		guest->vm->node = guest_home(guest);
		guest->vm->planned = false;
		guest->vm->run = (struct run){0};
		guest->vm->state = LEASE_SUSPENDED;
		guest->tail_us = 0;
		guest_book(plan, guest);
	}
}

/* What the lifted unit takes until its nodes have stopped it comes into their tables, or goes out again. */
static void remains(struct plan *plan, const struct unit *unit, bool in)
{
	wall_us gone_us = stopped_by(plan);
	struct guest_slots slots;

	for (uint32_t i = 0; i < unit->n; i++) {
		guest_slots(unit->seat[i].guest, &slots);
		for (int s = 0; s < GUEST_SLOTS; s++) {
			const struct slot *slot = &slots.at[s];
			wall_us end_us = slot->end_us < gone_us ? slot->end_us : gone_us;
			if (slots.there[s] && slot->start_us <= plan->now_us && end_us > plan->now_us) {
				struct node *node = plan_find_node(plan, slot->node);
				(in ? slots_reserve : slots_release)(node->slots, slot->start_us, end_us, slot->use);
			}
		}
	}
}

/* Does to the lifted unit what was chosen. False if there is no room for that; then it stays lifted. */
static bool make_way(struct plan *plan, struct victim *victim)
{
	switch (victim->way) {
	case WAY_SUSPEND:
		return place_book(plan, &victim->unit, &victim->cut);
	case WAY_LIE:
		let_lie(plan, &victim->unit);
		if (!place_holds(plan, &victim->unit)) {
			unbook(plan, &victim->unit); /* others were planned for when it will be gone */
			return false;
		}
		break;
	case WAY_REQUEUE: /* only preempt_keep() does so */
		remains(plan, &victim->unit, true);
		break;
	}
	return true;
}

/* Notes when the reservation could start if this victim, told now, were so much too late. */
static void too_late(struct preempt_want *want, span_us late_us)
{
	wall_us earliest_us = want->run->start_us + late_us;

	if (want->earliest_us == 0 || earliest_us < want->earliest_us) {
		want->earliest_us = earliest_us;
	}
}

/* Suspends the lifted victim in time for the reservation. On failure the unit stays lifted. */
static bool suspend(struct plan *plan, struct preempt_want *want, struct victim *victim)
{
	struct unit *unit = &victim->unit;
	wall_us start_us = victim->cut.start_us, first_us = plan->now_us + plan->settings.lead_us;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->limit_us = want->run->prepare_us;
	}
	first_us = first_us > start_us ? first_us : start_us + 1;
	victim->way = WAY_SUSPEND;
	victim->cut.then = RUN_SUSPEND;
	victim->cut.end_us = preempt_end(plan, unit);
	if (victim->cut.end_us < first_us && !want->stop) {
		too_late(want, first_us - victim->cut.end_us);
	}
	return victim->cut.end_us >= first_us && make_way(plan, victim);
}

/* Stops the lifted victim, for which it has nothing to lose or must. On failure the unit stays lifted. */
static bool stop(struct plan *plan, struct preempt_want *want, struct victim *victim, bool must)
{
	wall_us gone_us = stopped_by(plan);

	victim->way = WAY_REQUEUE;
	want->stoppable = want->stoppable || (!must && !hardly_begun(&victim->unit));
	if (gone_us > want->run->prepare_us) {
		if (want->stop) {
			too_late(want, gone_us - want->run->prepare_us);
		}
		return false;
	}
	return (must || hardly_begun(&victim->unit)) && make_way(plan, victim);
}

/* Gets the lifted victim out of the way of the reservation. On failure the unit stays lifted. */
static bool cut(struct plan *plan, struct preempt_want *want, struct victim *victim, bool must)
{
	struct unit *unit = &victim->unit;

	victim->cut = unit->seat[0].was.run;
	if (place_may_cut(plan, unit->spec) && suspend(plan, want, victim)) {
		return true;
	}
	if (lies_still(unit, plan->now_us + plan->settings.lead_us)) {
		victim->way = WAY_LIE;
		return make_way(plan, victim);
	}
	return stop(plan, want, victim, must);
}

/* The victim is lifted again. */
static void drop_bookings(struct plan *plan, struct victim *victim)
{
	if (victim->way == WAY_REQUEUE) {
		remains(plan, &victim->unit, false);
		return;
	}
	unbook(plan, &victim->unit);
}

/* Cuts one unit if that makes room; adds how much to *total. */
static void try_victim(struct plan *plan, struct preempt_want *want, struct guest *guest, bool must, uint64_t *total,
		       struct victims *out)
{
	struct contract *contract = guest->contract;
	struct victim victim = {0};
	bool may = true;

	place_unit(contract, contract->lease.spec.serial ? guest : NULL, &victim.unit);
	for (uint32_t i = 0; i < victim.unit.n; i++) {
		may = may && may_cut(victim.unit.seat[i].guest);
	}
	if (!may) {
		free(victim.unit.seat);
		return;
	}
	uint64_t before = useful_at(plan, want, &victim.unit);
	place_lift(plan, &victim.unit);
	bool done = cut(plan, want, &victim, must);
	uint64_t after = done ? useful_at(plan, want, &victim.unit) : before;
	if (after <= before) {
		if (done) {
			drop_bookings(plan, &victim);
		}
		place_put_back(plan, &victim.unit);
		free(victim.unit.seat);
		return;
	}
	*total += after - before;
	out->item = plan_grow(out->item, out->count, &out->room, sizeof(*out->item));
	out->item[out->count++] = victim;
}

/* True if nobody is saved or restored while the lifted unit's guests would be as they were. */
static bool lanes_clear(const struct plan *plan, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct seat *seat = &unit->seat[i];
		const struct lane *lane = plan_find_node(plan, seat->was.node)->lane;
		struct vm vm = seat->was;
		struct guest_moves moves = guest_moves(&(struct guest){.vm = &vm, .tail_us = seat->was_tail_us});
		if (lane_after(lane, moves.restore_us, moves.restored_us - moves.restore_us) > moves.restore_us ||
		    lane_after(lane, moves.save_us, moves.saved_us - moves.save_us) > moves.save_us) {
			return false;
		}
	}
	return true;
}

/* The most useful_at() would say if the victim were as it was: much cheaper than to put it back and look. */
static uint64_t useful_beside(const struct preempt_want *want, const struct unit *victim)
{
	const struct run *run = want->run;
	uint64_t total = 0;

	for (uint32_t i = 0; i < victim->n; i++) {
		victim->seat[i].node->count = 0;
	}
	for (uint32_t i = 0; i < victim->n; i++) {
		const struct run *was = &victim->seat[i].was.run;
		victim->seat[i].node->count += was->start_us < run->end_us && was->end_us > run->start_us;
	}
	for (uint32_t i = 0; i < victim->n; i++) {
		struct node *node = victim->seat[i].node;
		struct capacity taken = capacity_scale(victim->spec->per_vm, node->count);
		total += capacity_times(want->unit->spec->per_vm, capacity_sub(node->info.capacity, taken),
					want->unit->n);
	}
	return total;
}

/* Spares those whose cut proved needless once others were cut too. */
static void spare(struct plan *plan, const struct preempt_want *want, uint64_t total, struct victims *victims)
{
	size_t kept = 0;

	for (size_t i = 0; i < victims->count; i++) {
		struct victim *victim = &victims->item[i];
		uint64_t with = useful_at(plan, want, &victim->unit), most = useful_beside(want, &victim->unit);
		if (most < with && total - (with - most) < want->unit->n) {
			victims->item[kept++] = *victim;
			continue;
		}
		drop_bookings(plan, victim);
		bool clear = lanes_clear(plan, &victim->unit);
		place_put_back(plan, &victim->unit);
		uint64_t without = useful_at(plan, want, &victim->unit);
		/* Others that lie suspended now may have taken what it had, or are saved when it would be. */
		if (clear && total - (with - without) >= want->unit->n && place_holds(plan, &victim->unit)) {
			total -= with - without;
			free(victim->unit.seat);
			continue;
		}
		place_lift(plan, &victim->unit);
		bool fits = make_way(plan, victim);
		assert(fits);
		(void)fits;
		victims->item[kept++] = *victim;
	}
	victims->count = kept;
}

/* Cuts candidates in turn until the unit fits. False if it never does; then all is as before. */
static bool cut_enough(struct plan *plan, struct preempt_want *want, const struct candidate *candidates, size_t count,
		       bool must, struct victims *out)
{
	uint64_t total = want->fits;

	for (size_t i = 0; i < count && total < want->unit->n; i++) {
		try_victim(plan, want, candidates[i].guest, must, &total, out);
	}
	if (total < want->unit->n) {
		preempt_undo(plan, out);
		return false;
	}
	spare(plan, want, total, out);
	return true;
}

bool preempt_for(struct plan *plan, struct preempt_want *want, struct victims *out)
{
	size_t count;

	*out = (struct victims){0};
	struct candidate *candidates = in_the_way(plan, want, &count);
	if (want->seated) {
		want->fits = (uint32_t)useful_at(plan, want, want->unit);
	}
	/* First without loss; but a promise is worth more than what a best-effort lease has done so far. */
	bool done =
		count > 0 && (cut_enough(plan, want, candidates, count, false, out) ||
			      (want->stop && want->stoppable && cut_enough(plan, want, candidates, count, true, out)));
	free(candidates);
	return done;
}

static void victims_fini(struct victims *victims)
{
	for (size_t i = 0; i < victims->count; i++) {
		free(victims->item[i].unit.seat);
	}
	free(victims->item);
	*victims = (struct victims){0};
}

void preempt_keep(struct plan *plan, struct victims *victims, uint64_t lease)
{
	for (size_t i = 0; i < victims->count; i++) {
		struct victim *victim = &victims->item[i];
		struct guest *guest = victim->unit.seat[0].guest;
		if (victim->way == WAY_SUSPEND) {
			continue; /* why is said when it comes to that */
		}
		guest->contract->why = (struct reason){.code = REASON_PREEMPTED, .lease = lease};
		if (victim->way == WAY_REQUEUE) {
			drop_bookings(plan, victim);
			place_put_back(plan, &victim->unit);
			contract_requeue(plan, guest);
		}
	}
	victims_fini(victims);
}

void preempt_undo(struct plan *plan, struct victims *victims)
{
	/* In reverse, so that each is put back into what it was taken from. */
	for (size_t i = victims->count; i-- > 0;) {
		drop_bookings(plan, &victims->item[i]);
		place_put_back(plan, &victims->item[i].unit);
	}
	victims_fini(victims);
}
