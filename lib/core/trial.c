/* In which order the queue is looked at by policy "trial", who of it starts, and who may be made to stop. */
#include "trial.h"

#include <stdlib.h>

#include "backlog.h"
#include "estimate.h"
#include "fill.h"
#include "pool.h"
#include "preempt.h"
#include "prep.h"
#include "queue.h"
#include "stay.h"

/* Found by simulation of a month of SDSC Blue Horizon with reservations: others near them differ as seeds do. */
#define FIRST_RUN (3 * USEC_PER_HOUR)    /* what every lease gets before others go on */
#define PATIENCE (4 * USEC_PER_HOUR)     /* a lease that waits longer for its first run may suspend others */
#define LEAST_STAY (4 * USEC_PER_HOUR)   /* who has run for less since it was last resumed is not suspended for it */
#define LONG 2                           /* seconds of a new lease's time that count as much as one waited */
#define LONGEST 20                       /* seconds waited that count as much as one left to run */
#define MAX_LOST (100000 * USEC_PER_SEC) /* lost time from which the eldest lease comes first, beside the queue's */

#define POINTS 16 /* changes on a node looked at */

/* Keys of those who come before all others; those of others are well between. */
#define KEY_STEP (INT64_C(1) << 60)
#define KEY_HOLDER (-4 * KEY_STEP)
#define KEY_ELDEST (-3 * KEY_STEP)
#define KEY_NEW (-2 * KEY_STEP)
#define LEFT_MAX (KEY_STEP / LONGEST / 2)

/* ---- what is known of a lease ---- */

/* A VM that tells of all: of a gang they have run alike. */
static const struct guest *speaker(const struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (!lease_state_final(contract->guest[i].vm->state)) {
			return &contract->guest[i];
		}
	}
	return &contract->guest[0];
}

static span_us served(const struct plan *plan, const struct contract *contract)
{
	const struct vm *vm = speaker(contract)->vm;
	bool runs = vm->started_us > 0 && vm->started_us < plan->now_us;

	return vm->served_us + (runs ? plan->now_us - vm->started_us : 0);
}

/* Its units have not yet had their first run. */
static bool is_new(const struct plan *plan, const struct contract *contract)
{
	return served(plan, contract) < FIRST_RUN;
}

/* Since when it waits. */
static wall_us waits_since(const struct contract *contract)
{
	const struct guest *guest = speaker(contract);

	return guest->vm->state == LEASE_SUSPENDED ? guest->hold_us : contract->lease.submitted_us;
}

/* ---- order ---- */

static int64_t square_root(int64_t n)
{
	int64_t root = 0;

	while ((root + 1) * (root + 1) <= n) {
		root++;
	}
	return root;
}

/* Of one that is neither the holder nor the eldest, and has run for so long. */
static int64_t key_of(const struct contract *contract, span_us served_us)
{
	wall_us submitted_us = contract->lease.submitted_us;
	span_us left_us, spec_us = contract->lease.spec.duration_us;

	if (contract->booked == 0 || served_us < FIRST_RUN) {
		return KEY_NEW + submitted_us - spec_us / LONG;
	}
	left_us = guest_left(speaker(contract));
	/* Who is wide finds room seldom, and what is narrow fits beside it. */
	int64_t wide = square_root(contract->lease.spec.vms);
	return submitted_us - LONGEST * (left_us < LEFT_MAX / wide ? left_us * wide : LEFT_MAX);
}

int64_t trial_rest_key(const struct contract *contract)
{
	return key_of(contract, speaker(contract)->vm->served_us);
}

static int64_t key(const struct trial *trial, const struct contract *contract)
{
	if (contract == trial->holder) {
		return KEY_HOLDER;
	}
	if (contract == trial->eldest) {
		return KEY_ELDEST;
	}
	return key_of(contract, served(trial->pass.plan, contract));
}

bool trial_yields(const struct trial *trial, const struct contract *victim, const struct contract *other)
{
	const struct plan *plan = trial->pass.plan;
	const struct vm *vm = speaker(victim)->vm;

	if (!place_may_cut(plan, &victim->lease.spec)) {
		return false;
	}
	if (vm->planned && vm->run.lodger) {
		return true; /* also before it runs, or the reservation would move away from it, and it stay */
	}
	if (vm->state != LEASE_ACTIVE || !vm->started_us || plan->now_us - vm->started_us < LEAST_STAY ||
	    victim == trial->eldest) {
		return false;
	}
	if (other == trial->eldest || is_new(plan, victim)) {
		return other == trial->eldest;
	}
	return is_new(plan, other) ? plan->now_us - waits_since(other) >= PATIENCE
				   : key(trial, victim) > key(trial, other);
}

static int by_key(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->key != y->key) {
		return x->key < y->key ? -1 : 1;
	}
	return x->contract->lease.id < y->contract->lease.id ? -1 : 1;
}

/* True if the image of its soft plan is being brought. */
static bool is_holder(const struct plan *plan, const struct contract *contract)
{
	if (!prep_brings(plan, contract->lease.spec.image)) {
		return false;
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct guest *guest = &contract->guest[i];
		const struct vm *vm = guest->memory ? &plan->memories[guest->memory - 1].vm : guest->vm;
		if (!vm->planned) {
			return false;
		}
		const struct stage *stage = prep_find(plan_find_node(plan, vm->node), contract->lease.spec.image);
		if (stage && prep_begun(stage)) {
			return true;
		}
	}
	return false;
}

/*
 * Gives who is under way, guest NULL all of a gang, the time it is owed. Who gets more by it was cut for a reservation
 * of the queue: as long as it runs it yields, or it would stay as soon as that reservation is elsewhere for a moment.
 */
static void refit_unit(struct plan *plan, struct contract *contract, struct guest *guest)
{
	const struct vm *vm = guest ? guest->vm : speaker(contract)->vm;
	bool cut = vm->planned && vm->run.then == RUN_SUSPEND;
	wall_us end_us = vm->run.end_us;

	queue_refit(plan, contract, guest);
	for (uint32_t i = 0; i < contract->lease.spec.vms && cut && vm->run.end_us > end_us; i++) {
		struct guest *each = &contract->guest[i];
		if ((!guest || each == guest) && each->vm->planned) {
			each->vm->run.lodger = true;
		}
	}
}

static void refit(struct plan *plan, struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms && contract->lease.spec.serial; i++) {
		if (!lease_state_final(contract->guest[i].vm->state) && contract->guest[i].vm->planned) {
			refit_unit(plan, contract, &contract->guest[i]);
		}
	}
	if (!contract->lease.spec.serial) {
		refit_unit(plan, contract, NULL);
	}
}

/* True if the lease is not under way: it may have a plan, but a soft one. */
static bool waits(const struct plan *plan, const struct contract *contract)
{
	const struct guest *guest = speaker(contract);
	const struct vm *vm = guest->vm;

	if (contract->booked == 0 || (vm->state == LEASE_SUSPENDED && !vm->planned) || vm->state == LEASE_QUEUED) {
		return true;
	}
	return contract->lease.spec.serial ? guest_soft(plan, guest) : gang_soft(plan, contract);
}

static void find_holder(struct trial *trial, const struct contract *contract)
{
	if ((!trial->holder || contract->lease.id < trial->holder->lease.id) && is_holder(trial->pass.plan, contract)) {
		trial->holder = contract;
	}
}

/* Of those that lost as much the first. */
static bool lost_more(const struct turn *a, const struct turn *b)
{
	return a->had_us != b->had_us ? a->had_us < b->had_us
				      : b->contract && a->contract->lease.id < b->contract->lease.id;
}

/* Adds one that is not among those who wait with nothing planned to those who wait, or run. */
static void survey_other(struct trial *trial, struct contract *contract, struct turn *eldest)
{
	struct plan *plan = trial->pass.plan;
	bool waiting = waits(plan, contract);
	const struct turn turn = {
		.had_us = contract->lease.submitted_us + served(plan, contract),
		.contract = contract,
	};

	find_holder(trial, contract);
	if (waiting) {
		trial->front = plan_grow(trial->front, trial->front_count, &trial->front_room, sizeof(struct turn));
		trial->front[trial->front_count++] = backlog_look(contract);
	}
	if (!waiting || contract->lease.spec.serial) {
		trial->running = plan_grow(trial->running, trial->running_count, &trial->running_room,
					   sizeof(struct contract *));
		trial->running[trial->running_count++] = contract;
	}
	if (lost_more(&turn, eldest)) {
		*eldest = turn;
	}
}

/* Tells those who wait from those who run, and finds the holder and the eldest. */
static void survey(struct trial *trial)
{
	struct plan *plan = trial->pass.plan;
	const struct backlog *backlog = &plan->backlog;
	struct turn eldest = {.had_us = plan->now_us};
	__int128 queued = backlog->work;
	int64_t cpu = 0;

	trial->front_count = 0;
	trial->running_count = 0;
	for (size_t i = 0; i < plan->node_count; i++) {
		cpu += plan->nodes[i]->info.capacity.amount[RES_CPU];
	}
	for (size_t i = 0; i < backlog->other_count; i++) {
		survey_other(trial, backlog->other[i], &eldest);
	}
	for (size_t i = 0; i < trial->front_count; i++) {
		queued += trial->front[i].work;
	}
	for (size_t i = 0; i < backlog->count; i++) {
		if (lost_more(&backlog->item[i], &eldest)) {
			eldest = backlog->item[i];
		}
	}
	for (size_t i = 0; i < plan->touched_count; i++) {
		if (plan->touched[i].contract->listed == LISTED_WAITING) {
			find_holder(trial, plan->touched[i].contract); /* its plan was dropped in this step */
		}
	}
	trial->excess_us = plan->now_us - eldest.had_us - MAX_LOST - (cpu ? (span_us)(queued / cpu) : 0);
	trial->eldest = cpu && trial->excess_us > 0 ? eldest.contract : NULL;
}

/* Puts the lease among those at the front, if it waits with nothing planned but not where its key says. */
static void to_front(struct trial *trial, const struct contract *contract)
{
	if (contract && contract->listed == LISTED_WAITING) {
		trial->front = plan_grow(trial->front, trial->front_count, &trial->front_room, sizeof(struct turn));
		trial->front[trial->front_count++] = backlog_look((struct contract *)contract);
	}
}

static void add_waiting(struct trial *trial, const struct turn *turn)
{
	struct plan *plan = trial->pass.plan;

	plan->order = plan_grow(plan->order, trial->count, &plan->order_room, sizeof(*plan->order));
	plan->order[trial->count++] = *turn;
}

/* All who wait, in order, in plan->order. */
static void sort(struct trial *trial)
{
	const struct plan *plan = trial->pass.plan;
	size_t f = 0;

	to_front(trial, trial->holder);
	to_front(trial, trial->eldest == trial->holder ? NULL : trial->eldest);
	for (size_t i = 0; i < trial->front_count; i++) {
		trial->front[i].key = key(trial, trial->front[i].contract);
	}
	if (trial->front_count) {
		qsort(trial->front, trial->front_count, sizeof(*trial->front), by_key);
	}
	trial->count = 0;
	for (size_t i = 0; i < plan->backlog.count; i++) {
		const struct turn *turn = &plan->backlog.item[i];
		while (f < trial->front_count && by_key(&trial->front[f], turn) < 0) {
			add_waiting(trial, &trial->front[f++]);
		}
		if (turn->contract != trial->holder && turn->contract != trial->eldest) {
			add_waiting(trial, turn);
		}
	}
	while (f < trial->front_count) {
		add_waiting(trial, &trial->front[f++]);
	}
	trial->waiting = plan->order;
}

/* ---- starting ---- */

/* How long the suspended unit would have to wait for the nodes it lies on, at least. */
static span_us own_wait(const struct trial *trial, const struct unit *unit, span_us least_us)
{
	const struct plan *plan = trial->pass.plan;
	wall_us soon_us = plan->now_us + plan->settings.lead_us, at_us = soon_us;
	struct capacity use = unit->spec->per_vm;

	use.amount[RES_DISK] = 0;
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		wall_us fit_us = WALL_NEVER;
		bool staged = plan->settings.disks == DISKS_WHOLE || prep_present(node, unit->spec->image);
		if (node_takes_new(node) && staged) {
			fit_us = place_fit(node, unit->spec, use, soon_us, least_us, POINTS);
		}
		at_us = fit_us > at_us ? fit_us : at_us;
	}
	return at_us - soon_us;
}

/* True if the nodes the unit lies on could take all of it, were there nobody else. */
static bool own_nodes_do(const struct plan *plan, const struct unit *unit)
{
	start_count(unit);
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].node;
		if (!node_takes_new(node) || place_most(plan, node, unit->spec, node->count) < node->count) {
			return false;
		}
	}
	return true;
}

bool trial_moves(const struct plan *plan, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		if (unit->seat[i].node->info.state == NODE_SILENT) {
			return false;
		}
	}
	return plan->settings.migration != MIGRATION_NO && (unit->left_us >= TRIAL_LITTLE || !own_nodes_do(plan, unit));
}

/*
 * False if too few nodes with the unit's image surely have room for it. Much cheaper than to lift it and look, as most
 * of those that lie behind a deep queue would be in vain; of disks, of which it has some itself, it says nothing.
 */
static bool could_start(struct trial *trial, const struct unit *unit, const struct stay *stay)
{
	struct room *room = &trial->pass.room;
	const struct plan *plan = trial->pass.plan;
	const struct run run = stay_run(plan, unit, stay);
	span_us length_us = run.end_us - run.start_us;
	bool anywhere = !pool_wanted(plan, &run);
	struct capacity use = unit->spec->per_vm;
	uint64_t vms = 0, unstaged = 0;

	use.amount[RES_DISK] = 0;
	if (room_lacks(room, 0, run.start_us, use, unit->n, length_us)) {
		return false; /* as one before it found out */
	}
	for (size_t i = 0; i < plan->node_count && vms < unit->n; i++) {
		const struct node *node = plan->nodes[i];
		if (node_takes_new(node) && place_room(node, use, run.start_us, run.end_us)) {
			bool staged = anywhere || prep_ready(node, unit->spec->image) <= run.prepare_us;
			*(staged ? &vms : &unstaged) += capacity_times(use, node->info.capacity, unit->n);
		}
	}
	if (vms + unstaged < unit->n) {
		room_learn_lack(room, 0, run.start_us, use, (uint32_t)(vms + unstaged) + 1, length_us);
	}
	return vms >= unit->n;
}

static bool start_now(struct trial *trial, struct unit *unit)
{
	struct pass *pass = &trial->pass;
	struct plan *plan = pass->plan;
	struct stay stay = {
		.from_us = plan->now_us + plan->settings.lead_us,
		.least_us = room_need(&pass->room, unit->spec, unit->left_us),
		.image_us = WALL_NEVER,
		.now = true,
	};

	if (unit->seat[0].was.state == LEASE_SUSPENDED) {
		span_us wait_us = own_wait(trial, unit, stay.least_us < unit->left_us ? stay.least_us : unit->left_us);
		stay.own = !trial_moves(plan, unit) ||
			   wait_us <= stay_lead(plan, unit, false) - stay_lead(plan, unit, true);
		if ((stay.own && wait_us > 0) || !could_start(trial, unit, &stay)) {
			return false;
		}
	}
	if (!stay_book(pass, unit, &stay)) {
		room_restaged(&pass->room);
		return false;
	}
	if (unit->seat[0].was.state == LEASE_SUSPENDED) {
		room_forget(&pass->room);
	} else {
		room_taken(&pass->room, unit);
	}
	return true;
}

bool trial_patient(const struct trial *trial, const struct contract *contract)
{
	const struct plan *plan = trial->pass.plan;

	return contract != trial->eldest && is_new(plan, contract) && plan->now_us - waits_since(contract) >= PATIENCE;
}

/* True if the lease may have the reservation. */
static bool entitled(const struct trial *trial, const struct contract *contract, bool first)
{
	const struct plan *plan = trial->pass.plan;

	return first || contract == trial->eldest ||
	       (is_new(plan, contract) && plan->now_us - contract->lease.submitted_us >= PATIENCE);
}

/* True if nothing of the lease can start now for want of room, or of its image where there is. */
static bool hopeless(struct trial *trial, const struct contract *contract)
{
	struct room *room = &trial->pass.room;
	const struct plan *plan = trial->pass.plan;
	const struct lease_spec *spec = &contract->lease.spec;
	uint32_t n = spec->serial ? 1 : spec->vms;
	struct capacity per_vm = spec->per_vm;

	if (contract->booked) {
		per_vm.amount[RES_DISK] = 0; /* who lies suspended has it */
	}
	if (room_bound(room, per_vm, n, room_need(room, spec, spec->duration_us)) > room->start_us) {
		return true;
	}
	if (contract->booked && plan->settings.disks == DISKS_WHOLE) {
		return false;
	}
	/* Who goes on is restored first: then there may be room where there is none yet. */
	return !room_staged(room, spec, n, contract->booked > 0);
}

/* Whether all of the unit's guests wait alike. */
static bool alike(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = unit->seat[i].guest->vm;
		if (vm->planned || vm->state != unit->seat[0].guest->vm->state ||
		    (vm->state != LEASE_QUEUED && vm->state != LEASE_SUSPENDED)) {
			return false;
		}
	}
	return unit->n > 0;
}

static void turn(struct trial *trial, struct contract *contract, struct guest *guest, bool *first)
{
	struct pass *pass = &trial->pass;
	bool full = hopeless(trial, contract), may = pass->reservations > 0 && entitled(trial, contract, *first);
	struct unit unit;

	if (full && !may) {
		*first = false;
		return;
	}
	place_unit(contract, guest, &unit);
	if (alike(&unit) && (full || !start_now(trial, &unit))) {
		*first = false;
		if (may && reserve_unit(trial, contract, &unit)) {
			bool soft = guest_soft(pass->plan, unit.seat[0].guest);
			pass->reservations -= soft;
			*first = !soft;
		}
		if (may) {
			room_restaged(&pass->room);
		}
	}
	free(unit.seat);
}

static bool any_soft(const struct plan *plan, const struct contract *contract)
{
	for (uint32_t v = 0; v < contract->lease.spec.vms && contract->booked; v++) {
		if (!lease_state_final(contract->guest[v].vm->state) && guest_soft(plan, &contract->guest[v])) {
			return true;
		}
	}
	return false;
}

/* The gang that has the one soft plan of the queue; else NULL. */
static struct contract *reserved(const struct trial *trial)
{
	const struct plan *plan = trial->pass.plan;
	struct contract *holder = NULL;

	for (size_t i = 0; i < trial->front_count; i++) {
		struct contract *contract = trial->front[i].contract;
		if (!any_soft(plan, contract)) {
			continue;
		}
		if (holder || contract->lease.spec.serial || !gang_soft(plan, contract)) {
			return NULL;
		}
		holder = contract;
	}
	for (size_t i = 0; i < trial->running_count; i++) {
		if (trial->running[i]->lease.spec.serial && any_soft(plan, trial->running[i])) {
			return NULL;
		}
	}
	return holder;
}

/* True if in the last tick the time has come to more than limit_us, and of late. */
static bool crossed(span_us time_us, span_us limit_us)
{
	return time_us >= limit_us && time_us - limit_us < TRIAL_TICK;
}

/* True if somebody who has not long been may be made to stop for the lease. */
static bool rules_change(const struct trial *trial, const struct contract *first)
{
	const struct plan *plan = trial->pass.plan;

	if (first != trial->eldest && is_new(plan, first) && plan->now_us - waits_since(first) < PATIENCE) {
		return false;
	}
	bool change = crossed(plan->now_us - waits_since(first), PATIENCE) || crossed(trial->excess_us, 0);
	for (size_t i = 0; i < trial->running_count && !change; i++) {
		const struct contract *victim = trial->running[i];
		change = trial_yields(trial, victim, first) &&
			 (crossed(plan->now_us - speaker(victim)->vm->started_us, LEAST_STAY) ||
			  crossed(served(plan, victim), FIRST_RUN));
	}
	return change;
}

/* True if the image of the gang, which has a plan, is not late. */
static bool staged_in_time(const struct contract *contract)
{
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct guest *guest = &contract->guest[i];
		if (!lease_state_final(guest->vm->state) && guest->stage &&
		    stage_ready(guest->stage) > guest->vm->run.prepare_us) {
			return false;
		}
	}
	return true;
}

/*
 * True if the reservation there is stays as it is: as long as nothing comes free, those before it in the queue, who
 * found none when it was made, would find none.
 */
static bool keep(struct trial *trial)
{
	struct plan *plan = trial->pass.plan;
	struct contract *holder = reserved(trial);
	struct unit unit;

	if (!holder) {
		return false;
	}
	const struct contract *first = trial->waiting[0].contract;
	prep_layout(plan); /* what came late may have moved its image */
	bool quiet =
		!plan->queue_due && !rules_change(trial, first) && (holder == first || !rules_change(trial, holder));
	if (!quiet && holder != first) {
		return false;
	}
	if (quiet || !staged_in_time(holder)) {
		return staged_in_time(holder);
	}
	place_unit(holder, NULL, &unit);
	bool stands = reserve_stands(trial, holder, &unit);
	free(unit.seat);
	return stands;
}

static void turns_of(struct trial *trial, struct contract *contract, bool *first)
{
	if (!contract->lease.spec.serial) {
		turn(trial, contract, NULL, first);
		return;
	}
	for (uint32_t v = 0; v < contract->lease.spec.vms; v++) {
		if (!lease_state_final(contract->guest[v].vm->state)) {
			turn(trial, contract, &contract->guest[v], first);
		}
	}
}

/* In a deep queue most are hopeless: they are not looked at. */
static void turns(struct trial *trial, bool first)
{
	const struct pass *pass = &trial->pass;

	for (size_t i = 0; i < trial->count; i++) {
		const struct turn *each = &trial->waiting[i];
		if (pass->reservations > 0 || !backlog_short(pass->plan, each, &pass->room)) {
			turns_of(trial, each->contract, &first);
		}
	}
}

void trial_pass(struct plan *plan)
{
	struct trial trial = {.pass = {.plan = plan, .reservations = 1}};

	room_init(&trial.pass.room, plan);
	backlog_sync(plan);
	survey(&trial);
	sort(&trial);
	if (keep(&trial)) {
		trial.pass.reservations = 0;
	} else {
		queue_drop(plan);
		backlog_sync(plan);
		survey(&trial);
		sort(&trial);
	}
	for (size_t i = 0; i < trial.running_count; i++) {
		refit(plan, trial.running[i]);
	}
	turns(&trial, trial.pass.reservations > 0);
	prep_trim(plan);
	fill_link(&trial);
	room_fini(&trial.pass.room);
	free(trial.pass.choices.item);
	free(trial.running);
	free(trial.front);
}
