/* The best-effort queue. Promises (advance reservations, what has begun) are booked already: it plans around them. */
#include "queue.h"

#include <stdlib.h>

#include "backlog.h"
#include "policy.h"
#include "pool.h"
#include "preempt.h"
#include "prep.h"
#include "start.h"

/*
 * With conservative backfilling so many of the first in the queue are planned anew in each pass. The others keep the
 * place they were promised until they can start at once: all of them would find a better one after every early end,
 * and none of it would come true.
 */
#define MOVES 8
#define OUTRANKED_TRIES 64 /* of so many before a new lease one will be waiting, if any are */

/* True if the guest starts when its image has come to its node, or would but for others of its gang. */
static bool waits_for_image(const struct plan *plan, const struct guest *guest, wall_us *ready_us)
{
	const struct vm *vm = guest->vm;
	wall_us each_us = vm->planned ? prep_ready(guest->node, guest->contract->lease.spec.image) : WALL_NEVER;

	*ready_us = each_us > *ready_us ? each_us : *ready_us;
	return vm->planned && vm->run.from == RUN_BOOT && !vm->started_us && node_takes_new(guest->node) &&
	       each_us <= vm->run.prepare_us && guest_soft(plan, guest);
}

/* The same of a unit, guest NULL: of all of a gang. No room that comes free lets it start earlier. */
static bool only_image(const struct plan *plan, const struct contract *contract, const struct guest *guest)
{
	wall_us ready_us = 0, prepare_us = 0;

	if (contract->booked == 0) {
		return false;
	}
	for (uint32_t i = 0; i < (guest ? 1 : contract->lease.spec.vms); i++) {
		const struct guest *each = guest ? guest : &contract->guest[i];
		if (lease_state_final(each->vm->state)) {
			continue;
		}
		if (!waits_for_image(plan, each, &ready_us)) {
			return false;
		}
		prepare_us = each->vm->run.prepare_us;
	}
	return ready_us == prepare_us;
}

/* A unit's guests one after another, without making it: guest NULL is a gang's. */
static struct guest *next_open(struct contract *contract, struct guest *guest, uint32_t *i)
{
	uint32_t n = guest ? 1 : contract->lease.spec.vms;

	while (*i < n) {
		struct guest *each = guest ? guest : &contract->guest[*i];
		(*i)++;
		if (!lease_state_final(each->vm->state)) {
			return each;
		}
	}
	return NULL;
}

static struct guest *first_open(struct contract *contract, struct guest *guest)
{
	uint32_t i = 0;

	return next_open(contract, guest, &i);
}

static bool soft(const struct plan *plan, const struct contract *contract, const struct guest *guest)
{
	return guest ? guest_soft(plan, guest) : gang_soft(plan, contract);
}

/* Suspended units whose going on was dropped, as they were. */
struct dropped {
	struct unit *item;
	size_t count, room;
};

/* True if the node has more on it, of what lies there with who is suspended, than it holds. */
static bool overfull(const struct plan *plan, const struct node *node, const struct lease_spec *spec)
{
	static const struct capacity disk = {.amount = {[RES_DISK] = 1}};

	return !place_within(node, spec, disk, plan->now_us, WALL_NEVER) || !pool_within(plan, node);
}

static bool lies_overfull(const struct plan *plan, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct node *node = unit->seat[i].guest->node;
		if (node && overfull(plan, node, unit->spec)) {
			return true;
		}
	}
	return false;
}

/*
 * Who is under way may have been planned for when a suspended unit will be gone from its node. So it goes on as it was
 * to, if all else cannot be had with it lying there; which may bring it where another, that was to be gone, lies.
 */
static void restore_dropped(struct plan *plan, struct dropped *dropped)
{
	bool again = dropped->count > 0;

	while (again) {
		again = false;
		for (size_t i = 0; i < dropped->count; i++) {
			struct unit *unit = &dropped->item[i];
			if (unit->n == 0 || !lies_overfull(plan, unit)) {
				continue;
			}
			for (uint32_t g = 0; g < unit->n; g++) {
				guest_unbook(plan, unit->seat[g].guest);
			}
			place_put_back(plan, unit);
			unit->n = 0;
			again = true;
		}
	}
	for (size_t i = 0; i < dropped->count; i++) {
		free(dropped->item[i].seat);
	}
	free(dropped->item);
}

/* A unit that is no promise yet loses its plan. */
static void drop_unit(struct plan *plan, struct contract *contract, struct guest *guest, struct dropped *dropped)
{
	struct guest *each;
	bool resumes = false;

	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		resumes = resumes || each->vm->run.from == RUN_RESUME;
	}
	if (resumes) {
		dropped->item = plan_grow(dropped->item, dropped->count, &dropped->room, sizeof(*dropped->item));
		place_unit(contract, guest, &dropped->item[dropped->count++]);
	}
	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		guest_unplan(plan, each);
	}
}

/* True if the unit waits, from the beginning or suspended, and nothing of it is planned. */
static bool unplanned(struct contract *contract, struct guest *guest)
{
	const struct guest *first = first_open(contract, guest);

	return first && !first->vm->planned &&
	       (first->vm->state == LEASE_QUEUED || first->vm->state == LEASE_SUSPENDED);
}

/* The same of one that did not in the last pass, or not all of it. */
static bool waits_anew(struct contract *contract, struct guest *guest)
{
	const struct guest *each;
	bool anew = false;

	if (!unplanned(contract, guest)) {
		return false;
	}
	for (uint32_t i = 0; !anew && (each = next_open(contract, guest, &i));) {
		anew = each->memory > 0;
	}
	return anew;
}

/* True if the planned unit can start when it is to: its nodes are there, and its image is not late. */
static bool stands(struct contract *contract, struct guest *guest)
{
	struct guest *each;

	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		if (!each->vm->planned || !node_takes_new(each->node) ||
		    (each->stage && prep_ready(each->node, contract->lease.spec.image) > each->vm->run.prepare_us)) {
			return false;
		}
	}
	return true;
}

/* Reservations of those before that lease are not to be had sooner: nobody before them has ended, or waits anew. */
static uint64_t held_until(const struct plan *plan)
{
	uint64_t until = plan->freed_by;

	for (size_t i = 0; i < plan->touched_count; i++) {
		struct contract *contract = plan->touched[i].contract;
		if (contract->listed == LISTED_WAITING && contract->lease.id < until && waits_anew(contract, NULL)) {
			until = contract->lease.id;
		}
	}
	return until;
}

/*
 * Drops what is no promise. With staged, not NULL, it leaves what waits for nothing but its image, and counts it there;
 * with hold the reservations of those who cannot start sooner than foreseen: nobody before them in the queue has ended,
 * and who overtook them took nothing of what they wait for. But one before them that waits may take one over.
 */
static void drop(struct plan *plan, uint32_t *staged, bool hold)
{
	struct dropped dropped = {0};

	prep_layout(plan); /* what is late tells who does not just wait for his image */
	backlog_sync(plan);
	uint64_t until = hold ? held_until(plan) : 0;
	for (size_t o = 0; o < plan->backlog.other_count; o++) {
		struct contract *contract = plan->backlog.other[o];
		hold = hold && contract->lease.id < until;
		bool serial = contract->lease.spec.serial;
		for (uint32_t i = 0; i < (serial ? contract->lease.spec.vms : 1); i++) {
			struct guest *guest = serial ? &contract->guest[i] : NULL;
			if (guest && lease_state_final(guest->vm->state)) {
				continue;
			}
			hold = hold && !waits_anew(contract, guest);
			if (!soft(plan, contract, guest)) {
				continue;
			}
			struct guest *first = first_open(contract, guest);
			first->held = false;
			if (staged && only_image(plan, contract, guest)) {
				(*staged)++;
			} else if (hold && stands(contract, guest)) {
				first->held = true;
			} else {
				drop_unit(plan, contract, guest, &dropped);
				hold = false;
			}
		}
	}
	restore_dropped(plan, &dropped);
	prep_trim(plan);
}

void queue_drop(struct plan *plan)
{
	drop(plan, NULL, false);
}

/* Whether all of the unit's guests are in this state, planned or not. */
static bool all_in(const struct unit *unit, enum lease_state state, bool planned)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct vm *vm = unit->seat[i].guest->vm;
		if (vm->state != state || vm->planned != planned) {
			return false;
		}
	}
	return unit->n > 0;
}

/* When the unit will have had all it is owed, if nothing cuts it; 0 if it cannot be changed now, or is to have it. */
static wall_us owed_until(const struct plan *plan, struct contract *contract, struct guest *guest)
{
	wall_us began_us = 0, until_us;
	bool short_run = false;
	span_us left_us = 1;

	for (uint32_t i = 0;;) {
		const struct guest *each = next_open(contract, guest, &i);
		if (!each) {
			break;
		}
		const struct vm *vm = each->vm;
		if (!vm->planned || each->node->info.state == NODE_SILENT || vm->state == LEASE_SUSPENDING ||
		    vm->state == LEASE_STOPPING || vm->run.end_us <= plan->now_us + plan->settings.lead_us) {
			return 0;
		}
		wall_us each_us = vm->started_us ? vm->started_us : vm->run.start_us;
		began_us = each_us > began_us ? each_us : began_us;
		left_us = guest_left(each) > left_us ? guest_left(each) : left_us;
	}
	until_us = began_us + left_us;
	for (uint32_t i = 0; !short_run;) {
		const struct guest *each = next_open(contract, guest, &i);
		if (!each) {
			break;
		}
		/* A start some milliseconds late is not worth telling every node anew. */
		const struct run *run = &each->vm->run;
		short_run = run->then == RUN_SUSPEND || run->end_us + plan->settings.late_us < until_us;
	}
	return short_run ? until_us : 0;
}

/* True if the guest was cut short of that. */
static bool was_cut(const struct plan *plan, const struct guest *guest, wall_us until_us)
{
	const struct run *run = &guest->vm->run;

	return run->then == RUN_SUSPEND && until_us + plan->settings.stop_us > run->release_us;
}

/* True if what that was for is still in the way of so many of the contract's guests, of which this is one. */
static bool hemmed_there(const struct guest *guest, uint32_t count)
{
	struct capacity use = capacity_scale(guest->contract->lease.spec.per_vm, count);
	wall_us release_us = guest->vm->run.release_us;

	use.amount[RES_DISK] = 0; /* of that it holds enough */
	return slots_until(guest->node->slots, place_limit(guest->node, use), release_us) <= release_us;
}

/* The same on the node where it was found to be so the last time: mostly it still is. */
static bool still_hemmed(const struct plan *plan, struct contract *contract, wall_us until_us)
{
	const struct guest *each, *last = &contract->guest[contract->hemmed];
	uint32_t count = 0;

	if (lease_state_final(last->vm->state) || !was_cut(plan, last, until_us)) {
		return false;
	}
	for (uint32_t i = 0; (each = next_open(contract, NULL, &i));) {
		count += each->node == last->node;
	}
	return hemmed_there(last, count);
}

/* True if on some node that what the unit's guests were cut for is still in their way. */
static bool hemmed_in(const struct plan *plan, struct contract *contract, struct guest *guest, wall_us until_us)
{
	const struct guest *each;

	if (!guest && still_hemmed(plan, contract, until_us)) {
		return true;
	}
	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		each->node->count = 0;
	}
	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		each->node->count++;
	}
	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		struct node *node = each->node;
		if (node->count == 0 || !was_cut(plan, each, until_us)) {
			continue;
		}
		if (hemmed_there(each, node->count)) {
			contract->hemmed = each->vm->index;
			return true;
		}
		node->count = 0; /* looked at, for all its guests */
	}
	return false;
}

/* The unit's guests are under way, and run until until_us if there is room, or as long as there is. */
static void refit(struct plan *plan, struct unit *unit, wall_us until_us)
{
	struct run run = unit->seat[0].guest->vm->run;
	wall_us end_us = run.end_us;

	place_lift(plan, unit);
	run.then = RUN_STOP;
	run.end_us = until_us;
	run.release_us = until_us + plan->settings.stop_us;
	if (place_book(plan, unit, &run)) {
		return;
	}
	if (place_may_cut(plan, unit->spec)) {
		start_limit(unit, run.start_us > plan->now_us ? run.start_us : plan->now_us);
		run.then = RUN_SUSPEND;
		run.end_us = preempt_end(plan, unit);
		if (run.end_us > end_us && run.end_us < until_us && place_book(plan, unit, &run)) {
			return;
		}
	}
	place_put_back(plan, unit);
}

void queue_refit(struct plan *plan, struct contract *contract, struct guest *guest)
{
	wall_us until_us = owed_until(plan, contract, guest);
	struct unit unit;

	if (until_us && !hemmed_in(plan, contract, guest, until_us)) {
		place_unit(contract, guest, &unit);
		refit(plan, &unit, until_us);
		free(unit.seat);
	}
}

/* How many that have to wait are promised not to be delayed by those after them. */
static uint32_t reservations(const struct plan_settings *settings)
{
	switch (settings->backfill) {
	case BACKFILL_NONE:
	case BACKFILL_AGGRESSIVE:
		return 1;
	case BACKFILL_FIRST_FIT:
		return 0;
	case BACKFILL_INTERMEDIATE:
		return settings->backfill_depth;
	case BACKFILL_CONSERVATIVE:
		break;
	}
	return UINT32_MAX;
}

/* One has to wait, and knows until when. Who fits nowhere at any time holds up nobody. */
static void reserved(struct pass *pass)
{
	pass->reservations--;
	pass->closed = pass->plan->settings.backfill == BACKFILL_NONE;
}

static void turn_boot(struct pass *pass, struct unit *unit)
{
	if (!start_boot_now(pass, unit) && pass->reservations > 0 && start_boot_later(pass, unit)) {
		reserved(pass);
	}
}

static void turn_resume(struct pass *pass, struct unit *unit)
{
	if (!start_resume_now(pass, unit) && pass->reservations > 0 && start_resume_later(pass, unit)) {
		reserved(pass);
	}
}

/* True if neither can anything of the contract's unit start at once, nor may it have a reservation. */
static bool hopeless(struct pass *pass, const struct contract *contract)
{
	const struct lease_spec *spec = &contract->lease.spec;

	return pass->closed ||
	       (pass->reservations == 0 && start_vain(pass, spec, spec->serial ? 1 : spec->vms, spec->duration_us));
}

/* True if the unit, not begun, is left where it is planned, as nothing better is to be had at once. */
static bool stays(struct pass *pass, struct contract *contract, struct guest *guest)
{
	struct unit unit;
	bool may_move = false, must_move = false;

	place_unit(contract, guest, &unit);
	for (uint32_t i = 0; i < unit.n; i++) {
		const struct node *node = unit.seat[i].node;
		const struct run *run = &unit.seat[i].guest->vm->run;
		must_move = must_move || !node_takes_new(node) || run->from == RUN_RESUME ||
			    prep_ready(node, unit.spec->image) > run->prepare_us;
	}
	if (!must_move && pass->moves > 0) {
		pass->moves--;
		must_move = true;
	}
	may_move = must_move || start_possible_now(pass, &unit);
	free(unit.seat);
	return !may_move;
}

static void unplan(struct plan *plan, struct contract *contract, struct guest *guest)
{
	struct guest *each;

	/* While it holds its images: it may be put back, and what is laid out now must leave it room. */
	prep_trim(plan);
	for (uint32_t i = 0; (each = next_open(contract, guest, &i));) {
		guest_unplan(plan, each);
	}
}

/*
 * A suspended unit that found no other time goes on when it was to go on before: others were planned for when it will
 * be gone from its node, and who is not to go on stays there for ever.
 */
static void keep_resume(struct pass *pass, const struct unit *unit)
{
	if (unit->seat[0].was.run.from != RUN_RESUME || unit->seat[0].guest->vm->planned) {
		return;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		guest_unbook(pass->plan, unit->seat[i].guest);
	}
	place_put_back(pass->plan, unit);
	room_forget(&pass->room);
}

/* True if an image is brought for the unit: without its plan nobody would want that. */
static bool fetches(const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		const struct stage *stage = unit->seat[i].guest->stage;
		if (stage && !stage->present) {
			return true;
		}
	}
	return false;
}

/* Starts a unit that has a reservation at once, if that is possible; if not it is as before. */
static bool start_sooner(struct pass *pass, struct contract *contract, struct guest *guest, const struct unit *before)
{
	struct unit unit;

	unplan(pass->plan, contract, guest);
	place_unit(contract, guest, &unit);
	bool resumes = all_in(&unit, LEASE_SUSPENDED, false);
	bool done = resumes ? start_resume_now(pass, &unit) : start_boot_now(pass, &unit);
	free(unit.seat);
	if (done) {
		room_forget(&pass->room);
		return true;
	}
	for (uint32_t i = 0; i < before->n && resumes; i++) {
		guest_unbook(pass->plan, before->seat[i].guest);
	}
	place_put_back(pass->plan, before);
	return false;
}

/* A unit whose reservation was held has it until it can start at once; false if one before it has one in its place. */
static bool keeps_reservation(struct pass *pass, struct contract *contract, struct guest *guest)
{
	struct unit unit;

	if (pass->reservations == 0) {
		return false;
	}
	place_unit(contract, guest, &unit);
	if (fetches(&unit) || !start_possible_now(pass, &unit) || !start_sooner(pass, contract, guest, &unit)) {
		reserved(pass);
	}
	free(unit.seat);
	return true;
}

/* True if the unit, not begun, has a plan that was left to it, and it stays so. */
static bool keeps_plan(struct pass *pass, struct contract *contract, struct guest *guest, bool *planned)
{
	bool conservative = pass->plan->settings.backfill == BACKFILL_CONSERVATIVE;
	const struct guest *first = first_open(contract, guest);

	*planned = first && first->vm->planned && (conservative || first->held) && soft(pass->plan, contract, guest);
	return *planned && (conservative ? stays(pass, contract, guest) : keeps_reservation(pass, contract, guest));
}

static void turn(struct pass *pass, struct contract *contract, struct guest *guest)
{
	const struct guest *first = first_open(contract, guest);
	struct unit unit, before = {0};
	bool planned;

	if (keeps_plan(pass, contract, guest, &planned)) {
		return;
	}
	if (planned) {
		place_unit(contract, guest, &before);
		unplan(pass->plan, contract, guest);
		room_forget(&pass->room);
	}
	if (!first || (first->vm->state != LEASE_QUEUED && first->vm->planned)) {
		queue_refit(pass->plan, contract, guest);
		return;
	}
	place_unit(contract, guest, &unit);
	if (!pass->closed && all_in(&unit, LEASE_QUEUED, false)) {
		turn_boot(pass, &unit);
	} else if (!pass->closed && all_in(&unit, LEASE_SUSPENDED, false)) {
		turn_resume(pass, &unit);
	}
	if (before.n) {
		keep_resume(pass, &before);
	}
	free(before.seat);
	free(unit.seat);
}

static void turn_of_all(struct pass *pass, struct contract *contract)
{
	if (contract->booked == 0 && hopeless(pass, contract)) {
		return;
	}
	if (!contract->lease.spec.serial) {
		turn(pass, contract, NULL);
		return;
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (!lease_state_final(contract->guest[i].vm->state)) {
			turn(pass, contract, &contract->guest[i]);
		}
	}
}

static int by_key(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->key != y->key) {
		return x->key < y->key ? -1 : 1;
	}
	return x->contract->lease.id < y->contract->lease.id ? -1 : 1;
}

/* The queue as the policy has it, in plan->order. */
static size_t sort_turns(struct plan *plan)
{
	struct contract *contract;
	size_t n = 0;

	RB_FOREACH (contract, turns, &plan->turns) {
		plan->order = plan_grow(plan->order, n, &plan->order_room, sizeof(*plan->order));
		plan->order[n++] =
			(struct turn){.key = plan->settings.queue->key(plan, contract), .contract = contract};
	}
	if (n) {
		qsort(plan->order, n, sizeof(*plan->order), by_key);
	}
	return n;
}

static void pass_init(struct pass *pass, struct plan *plan)
{
	*pass = (struct pass){.plan = plan, .reservations = reservations(&plan->settings)};
	room_init(&pass->room, plan);
}

/* A pass for all: what is no promise is planned anew. */
static void pass_begin(struct pass *pass, struct plan *plan)
{
	const struct plan_settings *settings = &plan->settings;
	uint32_t staged = 0;

	if (settings->backfill != BACKFILL_CONSERVATIVE) {
		/* By a key who comes later may be before him who waits first. */
		drop(plan, &staged, !settings->queue->key);
	}
	backlog_sync(plan);
	pass_init(pass, plan);
	pass->moves = MOVES;
	pass->staged = staged;
}

static void pass_fini(struct pass *pass)
{
	room_fini(&pass->room);
	free(pass->choices.item);
	free(pass->whole.item);
}

/* Of those that wait most are hopeless, in a deep queue: they are not looked at. */
static void turns_by_id(struct pass *pass)
{
	const struct plan *plan = pass->plan;
	const struct backlog *backlog = &plan->backlog;
	size_t o = 0;

	for (size_t w = 0; w < backlog->count; w++) {
		const struct turn *turn = &backlog->item[w];
		while (o < backlog->other_count && backlog_turn(backlog->other[o]) < turn->key) {
			turn_of_all(pass, backlog->other[o++]);
		}
		if (pass->reservations > 0 || !backlog_short(plan, turn, &pass->room)) {
			turn_of_all(pass, turn->contract);
		}
	}
	while (o < backlog->other_count) {
		turn_of_all(pass, backlog->other[o++]);
	}
}

void queue_pass(struct plan *plan)
{
	struct pass pass;

	if (plan->settings.queue->pass) {
		plan->settings.queue->pass(plan);
		return;
	}
	pass_begin(&pass, plan);
	if (plan->settings.queue->key) {
		size_t n = sort_turns(plan);
		for (size_t i = 0; i < n; i++) {
			turn_of_all(&pass, plan->order[i].contract);
		}
	} else {
		turns_by_id(&pass);
	}
	pass_fini(&pass);
}

/* True if before it in the queue somebody waits without a plan: then it gets no reservation either. */
static bool outranked(const struct plan *plan, struct contract *contract)
{
	int64_t (*key)(const struct plan *, const struct contract *) = plan->settings.queue->key;
	struct contract *other = RB_PREV(turns, &plan->turns, contract);

	for (int i = 0; other && i < OUTRANKED_TRIES; i++) {
		if (unplanned(other, NULL) && (!key || key(plan, other) <= key(plan, contract))) {
			return true;
		}
		other = RB_PREV(turns, &plan->turns, other);
	}
	return false;
}

/* True if the new lease can be left waiting without a look at the others. */
static bool just_waits(struct pass *pass, struct contract *contract)
{
	const struct plan *plan = pass->plan;

	switch (plan->settings.backfill) {
	case BACKFILL_NONE:
		return outranked(plan, contract);
	case BACKFILL_FIRST_FIT:
		return hopeless(pass, contract);
	case BACKFILL_AGGRESSIVE:
	case BACKFILL_INTERMEDIATE:
		pass->reservations = 0;
		return outranked(plan, contract) && hopeless(pass, contract);
	case BACKFILL_CONSERVATIVE:
		break;
	}
	return false;
}

/*
 * True if somebody who is there now is gone by the earliest start: what could not start at the last pass for his sake
 * perhaps can now.
 */
static bool room_opens(const struct plan *plan)
{
	wall_us now_us = plan->now_us, start_us = now_us + plan->settings.lead_us + plan->settings.prepare_us;

	for (size_t i = 0; i < plan->node_count && start_us > now_us; i++) {
		const struct node *node = plan->nodes[i];
		if (!node_takes_new(node) || slots_next(node->slots, now_us) > start_us) {
			continue;
		}
		if (!capacity_fits(slots_peak(node->slots, now_us, now_us + 1),
				   slots_peak(node->slots, start_us, start_us + 1))) {
			return true;
		}
	}
	return false;
}

void queue_arrivals(struct plan *plan)
{
	struct pass pass;
	size_t i = 0;

	if (plan->settings.queue->pass || plan->settings.queue->drifts || room_opens(plan)) {
		queue_pass(plan);
		return;
	}
	pass_init(&pass, plan);
	if (plan->settings.backfill == BACKFILL_CONSERVATIVE && !plan->settings.queue->key) {
		/* All others have their places, and are before them. */
		for (; i < plan->arrived_count; i++) {
			turn_of_all(&pass, plan->arrived[i]);
		}
	}
	while (i < plan->arrived_count && just_waits(&pass, plan->arrived[i])) {
		i++;
	}
	pass_fini(&pass);
	if (i < plan->arrived_count) {
		queue_pass(plan);
	}
}

void queue_reserve(struct plan *plan, struct contract *contract)
{
	struct pass pass;
	struct unit unit;

	pass_init(&pass, plan);
	place_unit(contract, contract->lease.spec.serial ? &contract->guest[0] : NULL, &unit);
	if (all_in(&unit, LEASE_QUEUED, false)) {
		start_boot_later(&pass, &unit);
	}
	free(unit.seat);
	pass_fini(&pass);
}

bool queue_boot_now(struct plan *plan, struct unit *unit)
{
	struct pass pass;

	pass_init(&pass, plan);
	bool done = start_boot_now(&pass, unit);
	pass_fini(&pass);
	return done;
}
