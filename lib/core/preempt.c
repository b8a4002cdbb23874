/* Chooses whom to suspend for an advance reservation, and when. The reservation itself is admit.c's. */
#include "preempt.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "estimate.h"
#include "prep.h"

/* Half-open. */
struct span_at {
	wall_us from_us, to_us;
};

static wall_us last_us(const struct guest *guest)
{
	wall_us release_us = guest->vm->run.release_us;

	return guest->tail_us > release_us ? guest->tail_us : release_us;
}

/* True if the guest is to be saved or restored at some time in [from_us, to_us); then all of that time is in out. */
static bool meets(const struct guest *guest, wall_us from_us, wall_us to_us, struct span_at *out)
{
	const struct run *run = &guest->vm->run;
	struct span_at restore = {run->prepare_us, run->start_us}, save = {run->end_us, last_us(guest)};

	if (!guest->vm->planned) {
		return false;
	}
	if (run->from == RUN_RESUME && restore.from_us < to_us && restore.to_us > from_us) {
		*out = restore;
		return true;
	}
	*out = save;
	return run->then == RUN_SUSPEND && save.from_us < to_us && save.to_us > from_us;
}

/* Moves end_us earlier until saving on this node, which takes node->save_us, meets nothing of the kind there. */
static wall_us clear_before(const struct node *node, wall_us end_us)
{
	const struct guest *guest;
	struct span_at other;
	bool moved;

	do {
		moved = false;
		DL_FOREACH (node->best_effort, guest) {
			if (meets(guest, end_us, end_us + node->save_us, &other)) {
				end_us = other.from_us - node->save_us;
				moved = true;
			}
		}
	} while (moved);
	return end_us;
}

/* Moves start_us later until restoring on this node, which takes node->restore_us, meets nothing of the kind there. */
static wall_us clear_after(const struct node *node, wall_us start_us)
{
	const struct guest *guest;
	struct span_at other;
	bool moved;

	do {
		moved = false;
		DL_FOREACH (node->best_effort, guest) {
			if (meets(guest, start_us - node->restore_us, start_us, &other)) {
				start_us = other.to_us + node->restore_us;
				moved = true;
			}
		}
	} while (moved);
	return start_us;
}

wall_us preempt_end(struct plan *plan, const struct unit *unit)
{
	wall_us end_us = WALL_NEVER, before_us;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->save_us = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		node->save_us += estimate_suspend(&plan->settings, &node->info, unit->spec->per_vm.amount[RES_MEMORY]);
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		end_us = node->limit_us - node->save_us < end_us ? node->limit_us - node->save_us : end_us;
	}
	/* All stop at one instant, so that a move for one node may bring the saving on another into the way. */
	do {
		before_us = end_us;
		for (uint32_t i = 0; i < unit->n; i++) {
			end_us = clear_before(unit->seat[i].node, end_us);
		}
	} while (end_us < before_us);
	return end_us;
}

wall_us preempt_restored(const struct unit *unit, wall_us start_us)
{
	wall_us before_us;

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
	case LEASE_RESUMING:
	case LEASE_SUSPENDED:
		return guest->vm->planned && guest->node->info.state != NODE_SILENT;
	case LEASE_NEW:
	case LEASE_REJECTED:
	case LEASE_QUEUED:
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

static int youngest_first(const void *a, const void *b)
{
	const struct vm *x = (*(struct guest *const *)a)->vm, *y = (*(struct guest *const *)b)->vm;

	if (x->lease != y->lease) {
		return x->lease > y->lease ? -1 : 1;
	}
	return x->index < y->index ? -1 : x->index > y->index;
}

/* One guest of each unit that is in the way of the run on some node, youngest lease first. */
static struct guest **in_the_way(const struct plan *plan, const struct run *run, size_t *count)
{
	struct guest **found = NULL;
	size_t n = 0, room = 0, kept = 0;

	for (size_t i = 0; i < plan->node_count; i++) {
		struct guest *guest;
		if (!node_takes_new(plan->nodes[i])) {
			continue;
		}
		DL_FOREACH (plan->nodes[i]->best_effort, guest) {
			if (may_cut(guest) && last_us(guest) > run->prepare_us &&
			    guest->vm->run.prepare_us < run->release_us) {
				found = plan_grow(found, n, &room, sizeof(struct guest *));
				found[n++] = guest;
			}
		}
	}
	if (n) {
		qsort(found, n, sizeof(struct guest *), youngest_first);
	}
	for (size_t i = 0; i < n; i++) {
		const struct contract *contract = found[i]->contract;
		if (kept == 0 || contract->lease.spec.serial || found[kept - 1]->contract != contract) {
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

	if (!node_takes_new(node) || !prep_pool_fits(plan, node, image, want->run) ||
	    (want->staged_only && prep_ready(node, image) > want->run->prepare_us)) {
		return 0;
	}
	return place_count(node, want->unit->spec->per_vm, want->run, want->unit->n);
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

/* Cuts the lifted victim's run so that it is out of the way. On failure the unit stays lifted. */
static bool cut(struct plan *plan, struct preempt_want *want, struct victim *victim)
{
	struct unit *unit = &victim->unit;
	wall_us told_us = plan->now_us + plan->settings.lead_us;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->limit_us = want->run->prepare_us;
	}
	wall_us end_us = preempt_end(plan, unit);
	victim->cut = unit->seat[0].was.run;
	if (end_us >= told_us && end_us > victim->cut.start_us) {
		victim->cut.then = RUN_SUSPEND;
		victim->cut.end_us = end_us;
		return place_book(plan, unit, &victim->cut);
	}
	if (hardly_begun(unit) && told_us + plan->settings.stop_us <= want->run->prepare_us) {
		victim->requeue = true;
		return true;
	}
	wall_us first_us = told_us > victim->cut.start_us + 1 ? told_us : victim->cut.start_us + 1;
	wall_us earliest_us = want->run->start_us + (first_us - end_us);
	if (want->earliest_us == 0 || earliest_us < want->earliest_us) {
		want->earliest_us = earliest_us;
	}
	return false;
}

static void drop_bookings(struct plan *plan, struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		guest_unbook(plan, unit->seat[i].guest);
	}
}

/* Cuts one unit if that makes room; adds how much to *total. */
static void try_victim(struct plan *plan, struct preempt_want *want, struct guest *guest, uint64_t *total,
		       struct victims *out)
{
	struct contract *contract = guest->contract;
	struct victim victim = {0};
	bool may = true;

	place_unit(contract, contract->lease.spec.serial ? guest : NULL, &victim.unit);
	for (uint32_t i = 0; i < victim.unit.n; i++) {
		may = may && place_may_cut(plan, victim.unit.spec) && may_cut(victim.unit.seat[i].guest);
	}
	if (!may) {
		free(victim.unit.seat);
		return;
	}
	uint64_t before = useful_at(plan, want, &victim.unit);
	place_lift(plan, &victim.unit);
	bool done = cut(plan, want, &victim);
	uint64_t after = done ? useful_at(plan, want, &victim.unit) : before;
	if (after <= before) {
		if (done) {
			drop_bookings(plan, &victim.unit);
		}
		place_put_back(plan, &victim.unit);
		free(victim.unit.seat);
		return;
	}
	*total += after - before;
	out->item = plan_grow(out->item, out->count, &out->room, sizeof(*out->item));
	out->item[out->count++] = victim;
}

/* Spares those whose cut proved needless once others were cut too. */
static void spare(struct plan *plan, const struct preempt_want *want, uint64_t total, struct victims *victims)
{
	size_t kept = 0;

	for (size_t i = 0; i < victims->count; i++) {
		struct victim *victim = &victims->item[i];
		uint64_t with = useful_at(plan, want, &victim->unit);
		drop_bookings(plan, &victim->unit);
		place_put_back(plan, &victim->unit);
		uint64_t without = useful_at(plan, want, &victim->unit);
		if (total - (with - without) >= want->unit->n) {
			total -= with - without;
			free(victim->unit.seat);
			continue;
		}
		place_lift(plan, &victim->unit);
		if (!victim->requeue) {
			bool fits = place_book(plan, &victim->unit, &victim->cut);
			assert(fits);
			(void)fits;
		}
		victims->item[kept++] = *victim;
	}
	victims->count = kept;
}

bool preempt_for(struct plan *plan, struct preempt_want *want, struct victims *out)
{
	uint64_t total = 0;
	size_t count;

	*out = (struct victims){0};
	if (plan->settings.suspension == SUSPENSION_NONE) {
		return false;
	}
	struct guest **guests = in_the_way(plan, want->run, &count);
	if (count == 0) {
		return false;
	}
	for (size_t i = 0; i < plan->node_count; i++) {
		total += useful(plan, want, plan->nodes[i]);
	}
	for (size_t i = 0; i < count && total < want->unit->n; i++) {
		try_victim(plan, want, guests[i], &total, out);
	}
	free(guests);
	if (total < want->unit->n) {
		preempt_undo(plan, out);
		return false;
	}
	spare(plan, want, total, out);
	return true;
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
		if (victim->requeue) {
			struct guest *guest = victim->unit.seat[0].guest;
			place_put_back(plan, &victim->unit);
			guest->contract->why = (struct reason){.code = REASON_PREEMPTED, .lease = lease};
			contract_requeue(plan, guest);
		}
	}
	victims_fini(victims);
}

void preempt_undo(struct plan *plan, struct victims *victims)
{
	/* In reverse, so that each is put back into what it was taken from. */
	for (size_t i = victims->count; i-- > 0;) {
		drop_bookings(plan, &victims->item[i].unit);
		place_put_back(plan, &victims->item[i].unit);
	}
	victims_fini(victims);
}
