/*
 * The event an open lease waited for has come: what best-effort leases have on its nodes makes way, and it is booked to
 * run. From then on it is a promise like any other.
 */
#include <stdlib.h>
#include <utlist.h>

#include "attempt.h"
#include "estimate.h"
#include "open.h"
#include "prep.h"
#include "queue.h"

/* A way to begin: when, and what best-effort leases have to bear for it. */
struct call_way {
	wall_us start_us;
	bool stop; /* lose what they have done, if they cannot be suspended by then */
};

static struct run run_at(const struct plan *plan, const struct unit *unit, wall_us start_us)
{
	return (struct run){
		.from = RUN_BOOT,
		.then = RUN_STOP,
		.prepare_us = start_us - plan->settings.prepare_us,
		.start_us = start_us,
		.end_us = start_us + unit->spec->duration_us,
		.release_us = start_us + unit->spec->duration_us + plan->settings.stop_us,
	};
}

/* Once what is on the nodes was told to stop, and did. */
static wall_us stopped_start(const struct plan *plan)
{
	return attempt_earliest(plan) + plan->settings.stop_us;
}

/* When all on the lifted unit's nodes could be saved, did the nodes nothing else. */
static wall_us saved_start(const struct plan *plan, const struct unit *unit)
{
	span_us longest_us = 0, all_us = 0;
	const struct guest *guest;

	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node->save_us = 0;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		if (node->save_us) {
			continue; /* looked at, for all its seats */
		}
		DL_FOREACH (node->best_effort, guest) {
			int64_t memory = guest->contract->lease.spec.per_vm.amount[RES_MEMORY];
			node->save_us += estimate_suspend(plan, node, memory);
		}
		all_us += node->save_us;
		longest_us = node->save_us > longest_us ? node->save_us : longest_us;
	}
	return attempt_earliest(plan) + (plan->lane ? all_us : longest_us);
}

/* Books the lifted unit on its own nodes to start then. False if that cannot be; then all is as before. */
static bool book(struct plan *plan, struct unit *unit, wall_us start_us)
{
	struct run run = run_at(plan, unit, start_us);

	return place_book(plan, unit, &run);
}

/* The same with others made to leave. */
static bool book_preempting(struct plan *plan, struct unit *unit, const struct call_way *way)
{
	struct run run = run_at(plan, unit, way->start_us);
	struct preempt_want want = {.unit = unit, .run = &run, .seated = true, .stop = way->stop};
	struct victims victims;

	if (!preempt_for(plan, &want, &victims)) {
		return false;
	}
	/* If all are stopped rather than saved, there is no need to wait. */
	if ((stopped_start(plan) < way->start_us && book(plan, unit, stopped_start(plan))) ||
	    book(plan, unit, way->start_us)) {
		preempt_keep(plan, &victims, unit->seat[0].guest->vm->lease);
		return true;
	}
	preempt_undo(plan, &victims);
	return false;
}

/* An overdue guest on the node that is given more time, or NULL. */
static struct guest *overdue(const struct plan *plan, const struct node *node)
{
	for (struct guest *guest = guest_first(node); guest; guest = guest_next(guest)) {
		if (guest->vm->planned && guest->tail_us > plan->now_us) {
			return guest;
		}
	}
	return NULL;
}

/* The lists are in no order: after a restart it must be the same one. */
static struct guest *younger(struct guest *a, struct guest *b)
{
	if (!a || a->vm->lease != b->vm->lease) {
		return !a || b->vm->lease > a->vm->lease ? b : a;
	}
	return b->vm->index > a->vm->index ? b : a;
}

/*
 * The youngest best-effort guest on the node that takes something of it during the run, or NULL; those that stop are
 * soon gone.
 */
static struct guest *in_the_way(const struct node *node, const struct run *run)
{
	struct guest *guest, *found = NULL;

	DL_FOREACH (node->best_effort, guest) {
		const struct vm *vm = guest->vm;
		bool stays = vm->run.then == RUN_STOP && guest_tail(guest) <= run->prepare_us;
		if (!stays && vm->run.prepare_us < run->release_us) {
			found = younger(found, guest);
		}
	}
	DL_FOREACH (node->lying, guest) {
		found = younger(found, guest);
	}
	if (!found) {
		/* Their memory lies here until they go on elsewhere. */
		DL_FOREACH2(node->leaving, guest, old_next)
		{
			found = younger(found, guest);
		}
	}
	return found;
}

/* Makes best-effort guests leave the node, whatever they are about, until it has room for the unit's VMs there. */
static void clear(struct plan *plan, const struct unit *unit, struct node *node, const struct run *run)
{
	uint32_t seats = 0;
	struct guest *guest;

	for (uint32_t i = 0; i < unit->n; i++) {
		seats += unit->seat[i].node == node;
	}
	while ((guest = overdue(plan, node))) {
		guest_unbook(plan, guest);
		guest->tail_us = plan->now_us;
		guest_book(plan, guest);
	}
	while (place_count(node, unit->spec, run, seats) < seats && (guest = in_the_way(node, run))) {
		contract_touch(plan, guest->contract);
		guest->contract->why =
			(struct reason){.code = REASON_PREEMPTED, .lease = unit->seat[0].guest->vm->lease};
		contract_requeue(plan, guest);
	}
}

/* On the nodes that were kept for it: the way that costs others least. */
static bool begin_here(struct plan *plan, struct unit *unit, wall_us by_us)
{
	const struct call_way way[] = {
		{stopped_start(plan), false}, {saved_start(plan, unit), false}, {by_us, false}, {by_us, true}};
	struct run run = run_at(plan, unit, stopped_start(plan));

	if (book(plan, unit, attempt_earliest(plan))) {
		return true;
	}
	for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		if (way[i].start_us <= by_us &&
		    (book(plan, unit, way[i].start_us) || book_preempting(plan, unit, &way[i]))) {
			return true;
		}
	}
	if (run.start_us > by_us) {
		return false;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		clear(plan, unit, unit->seat[i].node, &run);
	}
	return book(plan, unit, run.start_us);
}

/* On any nodes, as a promise made only now. */
static bool begin_elsewhere(struct plan *plan, struct attempt *at, wall_us by_us)
{
	struct attempt_span span = {.from_us = attempt_earliest(plan),
				    .latest_us = by_us,
				    .nodes = SIZE_MAX,
				    .looks = SIZE_MAX,
				    .points = SIZE_MAX};

	at->reason = (struct reason){.code = REASON_RESPONSE, .arg0 = attempt_earliest(plan) - plan->now_us};
	if (span.from_us > by_us || !attempt_within(plan, at, &span, at->unit.spec->duration_us)) {
		return false;
	}
	attempt_book(plan, at);
	attempt_keep(plan, at);
	return true;
}

/* True if all of the nodes that were kept for it listen. */
static bool listens(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		if (unit->seat[i].node->info.state == NODE_SILENT) {
			return false;
		}
	}
	return true;
}

/* Back to standby, with the images it had asked for. */
static void put_back(struct plan *plan, struct unit *unit)
{
	struct node **nodes = calloc(unit->n, sizeof(struct node *));
	const struct run *run = &unit->seat[0].was.run;

	place_put_back(plan, unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		nodes[i] = unit->seat[i].guest->node;
	}
	if (!prep_promise(plan, unit->spec->image, nodes, unit->n, run)) {
		prep_append(plan, unit->spec->image, nodes, unit->n, run, 0);
	}
	free(nodes);
}

/* Books the lease that stands by to run in time. False with the reason: it stands by as before. */
static bool begin(struct plan *plan, struct contract *contract, struct reason *reason)
{
	wall_us by_us = plan->now_us + contract->lease.spec.response_us;
	struct attempt at;

	attempt_init(&at, contract);
	bool here = listens(&at.unit);
	queue_drop(plan);
	plan->queue_due = true;
	place_lift(plan, &at.unit);
	bool done = (here && begin_here(plan, &at.unit, by_us)) || begin_elsewhere(plan, &at, by_us) ||
		    (!here && begin_here(plan, &at.unit, by_us));
	if (done) {
		contract->lease.spec.start_us = at.unit.seat[0].guest->vm->run.start_us;
	} else {
		*reason = at.reason;
		put_back(plan, &at.unit);
	}
	attempt_fini(&at);
	return done;
}

/* Answers the call of an open lease. */
static bool answer(struct plan *plan, struct contract *contract, struct reason *reason)
{
	const struct guest *first = &contract->guest[0];

	if (lease_state_final(first->vm->state)) {
		*reason = contract->why; /* it ended in this very step */
		return false;
	}
	if (!guest_stands_by(first)) {
		return true; /* it was called before */
	}
	if (plan->now_us < contract->lease.spec.start_us) {
		*reason = (struct reason){.code = REASON_NOT_YET, .arg0 = contract->lease.spec.start_us};
		return false;
	}
	if (!begin(plan, contract, reason)) {
		contract->broken = true;
		contract->why = *reason;
		return false;
	}
	return true;
}

void plan_call(struct plan *plan, uint64_t id)
{
	struct contract *contract = plan_find_contract(plan, id);
	struct reason reason = {.code = REASON_KIND};

	if (!contract) {
		return;
	}
	contract_touch(plan, contract);
	if (contract->lease.spec.kind == LEASE_OPEN && answer(plan, contract, &reason)) {
		contract->answered = true;
	} else {
		plan_refuse(plan, id, &reason);
	}
}
