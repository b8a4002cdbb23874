/* The one reservation of a pass of policy "trial": the earliest time at which the unit can have room made for it. */
#include <stdlib.h>
#include <utlist.h>

#include "estimate.h"
#include "link.h"
#include "pool.h"
#include "preempt.h"
#include "prep.h"
#include "stay.h"
#include "trial.h"

#define LEAST_STAY (10 * USEC_PER_MINUTE) /* for less others are not kept away, nor suspended */
#define TRIES 64                          /* times looked at */
#define HORIZON (12 * USEC_PER_HOUR)      /* a reservation further away would keep others from one that helps */

struct reserve {
	struct trial *trial;
	const struct contract *contract;
	struct unit *unit;
	struct stay stay;        /* as it is tried at each time */
	span_us late_us;         /* so much later somebody could have been suspended in time; 0 = nobody */
	struct guest **yielding; /* who would make room */
	size_t count, room;
	bool far; /* beyond the horizon is the first time with room enough, as if they were gone */
};

static bool may(const void *arg, const struct contract *victim)
{
	const struct reserve *reserve = arg;

	return trial_yields(reserve->trial, victim, reserve->contract);
}

/* True if the lease is suspended early for what is planned, later, on nodes whose count is set. */
static bool cut_there(const struct contract *contract)
{
	for (uint32_t v = 0; v < contract->lease.spec.vms; v++) {
		const struct guest *guest = &contract->guest[v];
		if (guest->vm->planned && guest->vm->run.then == RUN_SUSPEND && guest->node->count) {
			return true;
		}
	}
	return false;
}

/* Sets count on every node to how many of the unit's guests are there. */
static void count_everywhere(const struct reserve *reserve)
{
	const struct plan *plan = reserve->trial->pass.plan;

	for (size_t i = 0; i < plan->node_count; i++) {
		plan->nodes[i]->count = 0;
	}
	start_count(reserve->unit);
}

/* With booked, the unit has its reservation, and those are found too who may have been cut for that. */
static void find_yielding(struct reserve *reserve, bool booked)
{
	struct trial *trial = reserve->trial;

	if (booked) {
		count_everywhere(reserve);
	}
	for (size_t i = 0; i < trial->running_count; i++) {
		const struct contract *contract = trial->running[i];
		bool yields = may(reserve, contract) || (booked && cut_there(contract));
		for (uint32_t v = 0; yields && v < contract->lease.spec.vms; v++) {
			struct guest *guest = (struct guest *)&contract->guest[v];
			if (guest->vm->planned) {
				reserve->yielding = plan_grow(reserve->yielding, reserve->count, &reserve->room,
							      sizeof(struct guest *));
				reserve->yielding[reserve->count++] = guest;
			}
		}
	}
}

/* The disk a suspended unit lies on is not taken from it when it goes on there. */
static void look_without_own(struct reserve *reserve, bool without)
{
	struct plan *plan = reserve->trial->pass.plan;

	for (uint32_t i = 0; i < reserve->unit->n; i++) {
		struct guest *guest = reserve->unit->seat[i].guest;
		if (guest->vm->state == LEASE_SUSPENDED && reserve->unit->spec->per_vm.amount[RES_DISK]) {
			guest_look_without(plan, guest, SLOT_AT_HOLD, SLOT_AT_REST, without);
		}
	}
}

/* Only those beside the unit, on nodes whose count is set, if no others matter. */
static void take_out_all(const struct reserve *reserve, bool out)
{
	for (size_t i = 0; i < reserve->count; i++) {
		struct guest *guest = reserve->yielding[i];
		if (!reserve->stay.own || guest->node->count) {
			guest_look_without(reserve->trial->pass.plan, guest, SLOT_AT_LEAD, SLOT_AT_TAIL, out);
			guest->unseen = out;
		}
	}
}

static void look_without(struct reserve *reserve, bool without)
{
	if (without && reserve->stay.own) {
		count_everywhere(reserve);
	}
	take_out_all(reserve, without);
	look_without_own(reserve, without);
}

/* How many of the unit's VMs have room at the run's time, image and all; counted no further than to all. */
static uint32_t fits(const struct reserve *reserve, const struct run *run)
{
	const struct plan *plan = reserve->trial->pass.plan;
	const struct unit *unit = reserve->unit;
	uint64_t image = unit->spec->image, vms = 0;
	bool anywhere = !pool_wanted(plan, run);

	for (size_t i = 0; i < plan->node_count && vms < unit->n; i++) {
		const struct node *node = plan->nodes[i];
		uint32_t count = node_takes_new(node) ? place_count(node, unit->spec, run, unit->n) : 0;
		if (count && pool_fits(plan, node, image, run)) {
			wall_us ready_us = anywhere ? 0 : prep_ready(node, image);
			ready_us = ready_us == WALL_NEVER ? reserve->stay.image_us : ready_us;
			vms += ready_us <= run->prepare_us ? count : 0;
		}
	}
	return vms < unit->n ? (uint32_t)vms : unit->n;
}

/* True if there is room for the run, or others can be made to leave it. */
static bool make_room(struct reserve *reserve, const struct run *run, struct victims *victims)
{
	look_without_own(reserve, true);
	struct preempt_want want = {
		.unit = reserve->unit,
		.run = run,
		.fits = fits(reserve, run),
		.staged_only = run->prepare_us < reserve->stay.image_us,
		.may = may,
		.arg = reserve,
	};
	bool done = want.fits >= reserve->unit->n ||
		    (reserve->count > 0 && preempt_for(reserve->trial->pass.plan, &want, victims));
	look_without_own(reserve, false);
	reserve->late_us = want.earliest_us > run->start_us ? want.earliest_us - run->start_us : 0;
	return done;
}

/*
 * False if the unit, which may go on only where it lies, surely has no room there: others may have been made to leave
 * elsewhere. Much cheaper than to lift it and look; of disks, of which it has some itself, it says nothing.
 */
static bool own_room(const struct unit *unit, const struct run *run)
{
	struct capacity use = unit->spec->per_vm;

	use.amount[RES_DISK] = 0;
	for (uint32_t i = 0; i < unit->n; i++) {
		if (!place_room(unit->seat[i].node, use, run->start_us, run->end_us)) {
			return false;
		}
	}
	return true;
}

/* At that time, others suspended if need be. On failure all is as before. */
static bool try_at(struct reserve *reserve, wall_us from_us)
{
	struct pass *pass = &reserve->trial->pass;
	struct plan *plan = pass->plan;
	struct victims victims = {0};

	for (int i = 0; i < 3; i++) {
		struct stay stay = reserve->stay;
		stay.from_us = from_us;
		struct run run = stay_run(plan, reserve->unit, &stay);
		if (!make_room(reserve, &run, &victims)) {
			return false;
		}
		if ((!stay.own || own_room(reserve->unit, &run)) && stay_book(pass, reserve->unit, &stay)) {
			preempt_keep(plan, &victims, reserve->contract->lease.id);
			return true;
		}
		preempt_undo(plan, &victims);
		prep_trim(plan);
		if (!stay.soon) {
			return false;
		}
		from_us = stay.from_us;
	}
	return false;
}

/* The times at which images may matter, in order. */
static void image_times(const struct reserve *reserve, wall_us times[2])
{
	const struct plan *plan = reserve->trial->pass.plan;
	uint64_t image = reserve->unit->spec->image;
	wall_us coming_us = WALL_NEVER;

	for (size_t i = 0; i < plan->node_count; i++) {
		wall_us ready_us = prep_ready(plan->nodes[i], image);
		coming_us = ready_us > 0 && ready_us < coming_us ? ready_us : coming_us;
	}
	times[0] = coming_us < reserve->stay.image_us ? coming_us : reserve->stay.image_us;
	times[1] = reserve->stay.image_us;
}

/* The next time with room enough, as if who yields were gone. */
static bool next_time(struct reserve *reserve, struct seek *seek, wall_us first_us)
{
	look_without(reserve, true);
	bool found = first_us ? seek_first(seek, first_us) : seek_next(seek);
	look_without(reserve, false);
	return found;
}

/* To that start; WALL_NEVER for all of it if that is never. */
static void move_run(struct run *run, wall_us start_us)
{
	span_us later_us = start_us - run->start_us;

	run->prepare_us = start_us < WALL_NEVER ? run->prepare_us + later_us : WALL_NEVER;
	run->start_us = start_us;
	run->end_us += later_us;
	run->release_us += later_us;
}

/*
 * The first time from from_us on, before until_us, with room on each of the nodes the unit lies on, as if who yields
 * were gone; until_us or later if there is none.
 */
static wall_us own_time(struct reserve *reserve, wall_us from_us, wall_us until_us)
{
	const struct unit *unit = reserve->unit;
	struct stay stay = reserve->stay;
	wall_us last_us;

	stay.from_us = from_us;
	struct run run = stay_run(reserve->trial->pass.plan, unit, &stay);
	look_without(reserve, true);
	/* Round and round, until all in turn have room at the same time. */
	for (uint32_t i = 0, agree = 0; agree < unit->n && run.prepare_us < until_us; i = (i + 1) % unit->n) {
		const struct node *node = unit->seat[i].node;
		wall_us at_us = node_takes_new(node) ? place_start(node, unit->spec, &run, &last_us) : WALL_NEVER;
		agree = at_us == run.start_us ? agree + 1 : 0;
		move_run(&run, at_us);
	}
	look_without(reserve, false);
	return run.prepare_us;
}

/* The first change on the unit's nodes after that time. */
static wall_us own_change(const struct reserve *reserve, wall_us after_us)
{
	wall_us next_us = WALL_NEVER;

	for (uint32_t i = 0; i < reserve->unit->n; i++) {
		wall_us at_us = slots_next(reserve->unit->seat[i].node->slots, after_us);
		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

/* From when all of the nodes the unit lies on can have its image, if it needs that. */
static wall_us own_staged(const struct reserve *reserve)
{
	const struct unit *unit = reserve->unit;
	wall_us from_us = 0;

	for (uint32_t i = 0; i < unit->n && reserve->trial->pass.plan->settings.disks == DISKS_OVERLAY; i++) {
		wall_us ready_us = prep_ready(unit->seat[i].node, unit->spec->image);
		ready_us = ready_us == WALL_NEVER ? reserve->stay.image_us : ready_us;
		from_us = ready_us > from_us ? ready_us : from_us;
	}
	return from_us;
}

/* search() for who is to go on only where it lies. */
static bool search_own(struct reserve *reserve, wall_us from_us, wall_us until_us)
{
	wall_us staged_us = own_staged(reserve), at_us = from_us > staged_us ? from_us : staged_us;

	for (int i = 0; i < TRIES && at_us < until_us; i++) {
		at_us = own_time(reserve, at_us, until_us);
		if (at_us < until_us && try_at(reserve, at_us)) {
			return true;
		}
		at_us = reserve->late_us && at_us < until_us ? at_us + reserve->late_us : own_change(reserve, at_us);
	}
	return false;
}

static bool search(struct reserve *reserve, wall_us from_us)
{
	struct plan *plan = reserve->trial->pass.plan;
	span_us lead_us = stay_lead(plan, reserve->unit, reserve->stay.own);
	struct seek seek = {
		.plan = plan,
		.spec = reserve->unit->spec,
		.n = reserve->unit->n,
		.need_us = reserve->stay.least_us,
		.lead_us = lead_us,
	};
	/* The eldest has it however far away that is, but not for so little that it has to wait for its own nodes. */
	bool ever = reserve->contract == reserve->trial->eldest && reserve->unit->left_us >= TRIAL_LITTLE;
	wall_us times[2], until_us = ever ? WALL_NEVER : plan->now_us + HORIZON;
	int t = 0;

	if (reserve->stay.own) {
		return search_own(reserve, from_us, until_us);
	}
	image_times(reserve, times);
	seek.until_us = until_us - 1;
	bool found = next_time(reserve, &seek, from_us + lead_us);
	reserve->far = seek.late;
	for (int i = 0; found && i < TRIES && seek.at_us < until_us; i++) {
		wall_us at_us = seek.at_us - lead_us;
		for (; t < 2 && times[t] <= at_us; t++) {
			if (times[t] > from_us && i > 0 && try_at(reserve, times[t])) {
				return true;
			}
		}
		if (try_at(reserve, at_us)) {
			return true;
		}
		found = next_time(reserve, &seek, 0);
	}
	for (; t < 2; t++) {
		if (!found && !seek.late && times[t] < WALL_NEVER && try_at(reserve, times[t])) {
			return true;
		}
	}
	return false;
}

/* The least it must be able to run. */
static span_us stay_of(struct trial *trial, const struct unit *unit)
{
	span_us least_us = room_need(&trial->pass.room, unit->spec, unit->left_us);

	/* Others are suspended for it. */
	least_us = least_us < unit->left_us && least_us < LEAST_STAY ? LEAST_STAY : least_us;
	return least_us < unit->left_us ? least_us : unit->left_us;
}

/* The nodes on which an image has no room at all are no use to who needs it. */
static uint64_t image_size(const struct reserve *reserve)
{
	return (uint64_t)plan_find_image(reserve->trial->pass.plan, reserve->unit->spec->image)->size;
}

/*
 * What one found out serves all behind it in a deep queue: that there is no room for it up to the horizon even if who
 * yields to the patient were gone, to whom most do.
 */
static bool known_far(const struct reserve *reserve, wall_us from_us)
{
	const struct trial *trial = reserve->trial;
	const struct unit *unit = reserve->unit;
	bool lies = unit->seat[0].was.state == LEASE_SUSPENDED;

	/* Room for a longer preparation, or restoring, would be room for a shorter one too. */
	return reserve->contract != trial->eldest && from_us >= trial->far_us && !unit->spec->period_us &&
	       (!lies || (!reserve->stay.own && unit->spec->per_vm.amount[RES_DISK] == 0 &&
			  stay_lead(trial->pass.plan, unit, false) >= trial->pass.plan->settings.prepare_us)) &&
	       room_lacks(&trial->pass.room, image_size(reserve), 0, unit->spec->per_vm, unit->n,
			  reserve->stay.least_us);
}

static void learn_far(struct reserve *reserve, wall_us from_us)
{
	struct trial *trial = reserve->trial;
	const struct unit *unit = reserve->unit;

	if (reserve->far && unit->seat[0].was.state == LEASE_QUEUED && !unit->spec->period_us &&
	    trial_patient(trial, reserve->contract)) {
		trial->far_us = from_us; /* the same for all the patient */
		room_learn_lack(&trial->pass.room, image_size(reserve), 0, unit->spec->per_vm, unit->n,
				reserve->stay.least_us);
	}
}

bool reserve_unit(struct trial *trial, struct contract *contract, struct unit *unit)
{
	struct plan *plan = trial->pass.plan;
	struct reserve reserve = {.trial = trial, .contract = contract, .unit = unit};
	wall_us from_us = plan->now_us + plan->settings.lead_us;
	bool done = false;

	reserve.stay.least_us = stay_of(trial, unit);
	reserve.stay.image_us = prep_earliest(plan, unit->spec, unit->n);
	reserve.stay.own = unit->seat[0].was.state == LEASE_SUSPENDED && !trial_moves(plan, unit);
	find_yielding(&reserve, false);
	if (reserve.count) {
		from_us += estimate_suspend(plan, reserve.yielding[0]->node,
					    reserve.yielding[0]->contract->lease.spec.per_vm.amount[RES_MEMORY]);
	}
	if (!known_far(&reserve, from_us)) {
		done = search(&reserve, from_us);
		learn_far(&reserve, from_us);
	}
	if (done) {
		room_forget(&trial->pass.room);
	}
	free(reserve.yielding);
	return done;
}

/*
 * True if there are surely too few places for the unit even if who yields were gone. Much cheaper than to take them out
 * of the tables and look; of disks, of which the unit may have some itself, it says nothing.
 */
static bool too_few(const struct reserve *reserve)
{
	struct room *room = &reserve->trial->pass.room;
	struct capacity per_vm = reserve->unit->spec->per_vm;
	uint64_t more = 0;

	per_vm.amount[RES_DISK] = 0;
	for (size_t i = 0; i < reserve->count && more < reserve->unit->n; i++) {
		struct capacity left = reserve->yielding[i]->contract->lease.spec.per_vm;
		left.amount[RES_DISK] = 0;
		/* With what was left over beside it there may be room for one more. */
		more += capacity_same(&left, &per_vm) ? 1 : 1 + capacity_times(per_vm, left, LEASE_VMS_MAX);
	}
	uint32_t need = more < reserve->unit->n ? reserve->unit->n - (uint32_t)more : 0;
	return need > 0 && room_bound(room, per_vm, need, 0) > room->start_us;
}

bool reserve_stands(struct trial *trial, struct contract *contract, struct unit *unit)
{
	struct plan *plan = trial->pass.plan;
	const struct run *run = &unit->seat[0].guest->vm->run;
	struct reserve reserve = {.trial = trial, .contract = contract, .unit = unit};
	span_us least_us = stay_of(trial, unit), lead_us = run->start_us - run->prepare_us;
	wall_us from_us = plan->now_us + plan->settings.lead_us;
	struct seek seek = {
		.plan = plan,
		.spec = unit->spec,
		.n = unit->n,
		.need_us = least_us,
		.lead_us = lead_us,
		.until_us = from_us + lead_us,
	};

	if (seek.until_us + least_us + plan->settings.stop_us > run->prepare_us) {
		return true; /* or its own plan is in the way */
	}
	reserve.stay.least_us = least_us;
	find_yielding(&reserve, true);
	bool sooner = !too_few(&reserve);
	reserve.stay.own = run->from == RUN_RESUME && !trial_moves(plan, unit);
	if (sooner && reserve.stay.own) {
		sooner = own_time(&reserve, from_us, from_us + 1) <= from_us;
	} else if (sooner) {
		look_without(&reserve, true);
		sooner = seek_first(&seek, from_us + lead_us);
		look_without(&reserve, false);
	}
	free(reserve.yielding);
	return !sooner;
}
