/* The one reservation of a pass of policy "trial": the earliest time at which the unit can have room made for it. */
#include <stdlib.h>
#include <utlist.h>

#include "estimate.h"
#include "link.h"
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
	struct guest **yielding; /* who would make room */
	size_t count, room;
};

static bool may(const void *arg, const struct contract *victim)
{
	const struct reserve *reserve = arg;

	return trial_yields(reserve->trial, victim, reserve->contract);
}

static void find_yielding(struct reserve *reserve)
{
	struct trial *trial = reserve->trial;

	for (size_t i = 0; i < trial->running_count; i++) {
		const struct contract *contract = trial->running[i];
		for (uint32_t v = 0; may(reserve, contract) && v < contract->lease.spec.vms; v++) {
			struct guest *guest = (struct guest *)&contract->guest[v];
			if (guest->vm->planned) {
				reserve->yielding = plan_grow(reserve->yielding, reserve->count, &reserve->room,
							      sizeof(struct guest *));
				reserve->yielding[reserve->count++] = guest;
			}
		}
	}
}

/* Takes such slots of the guest from first to last out of the tables, and puts them back. */
static void take_out(const struct guest *guest, int first, int last, bool out)
{
	struct guest_slots slots;

	guest_slots(guest, &slots);
	for (int s = first; s <= last; s++) {
		const struct slot *slot = &slots.at[s];
		if (slots.there[s]) {
			(out ? slots_release : slots_reserve)(guest->node->slots, slot->start_us, slot->end_us,
							      slot->use);
		}
	}
}

/* The disk a suspended unit lies on is not taken from it when it goes on there. */
static void look_without_own(struct reserve *reserve, bool without)
{
	for (uint32_t i = 0; i < reserve->unit->n; i++) {
		const struct guest *guest = reserve->unit->seat[i].guest;
		if (guest->vm->state == LEASE_SUSPENDED && reserve->unit->spec->per_vm.amount[RES_DISK]) {
			take_out(guest, 0, GUEST_SLOTS - 1, without);
		}
	}
}

static void look_without(struct reserve *reserve, bool without)
{
	for (size_t i = 0; i < reserve->count; i++) {
		take_out(reserve->yielding[i], SLOT_AT_LEAD, SLOT_AT_TAIL, without);
	}
	look_without_own(reserve, without);
}

/* How many of the unit's VMs have room at the run's time, image and all. */
static uint32_t fits(struct reserve *reserve, const struct run *run)
{
	struct choices *choices = &reserve->trial->pass.choices;
	uint32_t vms = 0;

	place_list(reserve->trial->pass.plan, reserve->unit, run, choices);
	for (size_t i = 0; i < choices->count; i++) {
		wall_us ready_us = choices->item[i].ready_us;
		ready_us = ready_us == WALL_NEVER ? reserve->stay.image_us : ready_us;
		vms += ready_us <= run->prepare_us ? choices->item[i].count : 0;
	}
	return vms;
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
	return done;
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
		if (stay_book(pass, reserve->unit, &stay)) {
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

/* True if the nodes the unit lies on may have room for it then, if it is to go on nowhere else. */
static bool may_lie(const struct reserve *reserve, wall_us start_us)
{
	const struct unit *unit = reserve->unit;
	struct capacity use = unit->spec->per_vm;
	span_us least_us = reserve->stay.least_us < unit->left_us ? reserve->stay.least_us : unit->left_us;

	use.amount[RES_DISK] = 0; /* in part it has that already */
	for (uint32_t i = 0; i < unit->n && reserve->stay.own; i++) {
		const struct node *node = unit->seat[i].node;
		if (!node_takes_new(node) || !place_room(node, use, start_us, start_us + least_us)) {
			return false;
		}
	}
	return true;
}

/* The next time with room enough, as if who yields were gone; *worth: a try. */
static bool next_time(struct reserve *reserve, struct seek *seek, wall_us first_us, bool *worth)
{
	look_without(reserve, true);
	bool found = first_us ? seek_first(seek, first_us) : seek_next(seek);
	*worth = found && may_lie(reserve, seek->at_us);
	look_without(reserve, false);
	return found;
}

static bool search(struct reserve *reserve, wall_us from_us)
{
	struct plan *plan = reserve->trial->pass.plan;
	span_us lead_us = stay_lead(plan, reserve->unit, reserve->stay.own);
	struct seek seek = {
		.plan = plan,
		.spec = reserve->unit->spec,
		.n = reserve->unit->n,
		.need_us = reserve->stay.least_us < reserve->unit->left_us ? reserve->stay.least_us
									   : reserve->unit->left_us,
		.lead_us = lead_us,
	};
	bool eldest = reserve->contract == reserve->trial->eldest;
	wall_us times[2], until_us = eldest ? WALL_NEVER : plan->now_us + HORIZON;
	int t = 0;

	image_times(reserve, times);
	bool worth, found = next_time(reserve, &seek, from_us + lead_us, &worth);
	for (int i = 0; found && i < TRIES && seek.at_us < until_us; i++) {
		wall_us at_us = seek.at_us - lead_us;
		for (; t < 2 && times[t] <= at_us; t++) {
			if (times[t] > from_us && i > 0 && try_at(reserve, times[t])) {
				return true;
			}
		}
		if (worth && try_at(reserve, at_us)) {
			return true;
		}
		found = next_time(reserve, &seek, 0, &worth);
	}
	for (; t < 2; t++) {
		if (!found && times[t] < WALL_NEVER && try_at(reserve, times[t])) {
			return true;
		}
	}
	return false;
}

bool reserve_unit(struct trial *trial, struct contract *contract, struct unit *unit)
{
	struct plan *plan = trial->pass.plan;
	struct reserve reserve = {.trial = trial, .contract = contract, .unit = unit};
	wall_us from_us = plan->now_us + plan->settings.lead_us;

	reserve.stay.least_us = room_need(&trial->pass.room, unit->spec, unit->left_us);
	if (reserve.stay.least_us < unit->left_us && reserve.stay.least_us < LEAST_STAY) {
		reserve.stay.least_us = LEAST_STAY; /* others are suspended for it */
	}
	reserve.stay.image_us = prep_earliest(plan, unit->spec, unit->n);
	reserve.stay.own = unit->seat[0].was.state == LEASE_SUSPENDED && !trial_moves(plan, unit);
	find_yielding(&reserve);
	if (reserve.count) {
		from_us += estimate_suspend(plan, reserve.yielding[0]->node,
					    reserve.yielding[0]->contract->lease.spec.per_vm.amount[RES_MEMORY]);
	}
	bool done = search(&reserve, from_us);
	if (done) {
		room_forget(&trial->pass.room);
	}
	free(reserve.yielding);
	return done;
}
