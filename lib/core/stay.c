/* Chooses nodes for one stay and books it. Nobody is made to leave. */
#include "stay.h"

#include <stdlib.h>

#include "estimate.h"
#include "link.h"
#include "preempt.h"
#include "prep.h"

#define TRIES 4 /* each makes room for the restoring and saving that the one before met */
#define AHEAD 3 /* transfers: a unit's image is not brought longer than that, or than they take, before its start */

static bool suspended(const struct unit *unit)
{
	return unit->seat[0].was.state == LEASE_SUSPENDED;
}

span_us stay_lead(const struct plan *plan, const struct unit *unit, bool own)
{
	if (!suspended(unit)) {
		return plan->settings.prepare_us;
	}
	if (own) {
		return preempt_restore_spans(plan, unit);
	}
	const struct node *node = plan_find_node(plan, unit->seat[0].was.node);
	return estimate_copy(plan, node, node, unit->spec) +
	       estimate_resume(plan, node, unit->spec->per_vm.amount[RES_MEMORY]);
}

static struct run run_of(const struct plan *plan, const struct unit *unit, wall_us from_us, span_us lead_us)
{
	return (struct run){
		.from = suspended(unit) ? RUN_RESUME : RUN_BOOT,
		.then = RUN_STOP,
		.prepare_us = from_us,
		.start_us = from_us + lead_us,
		.end_us = from_us + lead_us + unit->left_us,
		.release_us = from_us + lead_us + unit->left_us + plan->settings.stop_us,
	};
}

static span_us least_of(const struct unit *unit, const struct stay *stay)
{
	return stay->least_us < unit->left_us ? stay->least_us : unit->left_us;
}

struct run stay_run(const struct plan *plan, const struct unit *unit, const struct stay *stay)
{
	struct run run = run_of(plan, unit, stay->from_us, stay_lead(plan, unit, stay->own));

	run.end_us = run.start_us + least_of(unit, stay);
	run.release_us = run.end_us;
	return run;
}

/* Its own nodes, then where it can stay longest, then with the image; promises gather on the first nodes. */
static int by_stay(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (x->before != y->before) {
		return x->before ? -1 : 1;
	}
	if (x->until_us != y->until_us) {
		return x->until_us > y->until_us ? -1 : 1;
	}
	if (x->ready_us != y->ready_us) {
		return x->ready_us < y->ready_us ? -1 : 1;
	}
	return x->node->info.id > y->node->info.id ? -1 : 1;
}

static wall_us until(const struct unit *unit, const struct choice *choice, const struct run *run)
{
	struct capacity use = capacity_scale(unit->spec->per_vm, choice->count);
	wall_us until_us = place_until(choice->node, unit->spec, use, run->start_us);

	return until_us < run->release_us ? until_us : run->release_us;
}

/* Cuts the choices to what the unit takes. Sets limit_us of their nodes to when the first of them must be clear. */
static void cut_to(const struct unit *unit, struct choices *choices, const struct run *run)
{
	wall_us limit_us = run->release_us;
	uint32_t taken = 0;

	for (size_t i = 0; i < choices->count; i++) {
		struct choice *choice = &choices->item[i];
		choice->count = choice->count < unit->n - taken ? choice->count : unit->n - taken;
		taken += choice->count;
		choice->until_us = until(unit, choice, run);
		limit_us = choice->until_us < limit_us ? choice->until_us : limit_us;
		if (taken == unit->n) {
			choices->count = i + 1;
		}
	}
	choices->vms = unit->n;
	for (size_t i = 0; i < choices->count; i++) {
		choices->item[i].node->limit_us = limit_us;
	}
}

/* How many of the unit's guests lie on the node; 0..most. */
static uint32_t lying_on(const struct unit *unit, const struct node *node, uint32_t most)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < unit->n && n < most; i++) {
		n += unit->seat[i].was.node == node->info.id;
	}
	return n;
}

/* Chooses among the nodes on which the least is possible; false if they are too few. */
static bool pick(struct pass *pass, struct unit *unit, const struct run *run, const struct stay *stay)
{
	struct choices *choices = &pass->choices;
	struct run least_run = *run;
	size_t kept = 0;

	least_run.end_us = run->start_us + least_of(unit, stay);
	least_run.release_us = least_run.end_us;
	struct nodes nodes = stay->now ? room_nodes(&pass->room, unit->spec, &least_run) : place_all(pass->plan);
	place_list(pass->plan, unit, &least_run, nodes, choices);
	choices->vms = 0;
	for (size_t i = 0; i < choices->count; i++) {
		struct choice choice = choices->item[i];
		wall_us ready_us = choice.ready_us == WALL_NEVER ? stay->image_us : choice.ready_us;
		choice.before = choice.before && suspended(unit);
		if (ready_us > run->prepare_us || (stay->own && !choice.before)) {
			continue;
		}
		uint32_t count = stay->own ? lying_on(unit, choice.node, choice.count) : choice.count;
		choice.count = 1;
		choice.until_us = until(unit, &choice, run);
		choice.count = count;
		choices->item[kept++] = choice;
		choices->vms += count;
	}
	choices->count = kept;
	if (choices->vms < unit->n) {
		return false;
	}
	qsort(choices->item, kept, sizeof(*choices->item), by_stay);
	cut_to(unit, choices, run);
	return true;
}

/* Asks for what is missing of the image; true if it is there in time. */
static bool staged(struct pass *pass, const struct unit *unit, const struct run *run, struct stay *stay)
{
	struct plan *plan = pass->plan;
	struct choices *choices = &pass->choices;
	bool missing = false;

	for (size_t i = 0; i < choices->count; i++) {
		missing = missing || choices->item[i].ready_us > 0;
	}
	if (!missing) {
		return true;
	}
	const struct image_info *image = plan_find_image(plan, unit->spec->image);
	uint32_t flights = prep_flights(plan, unit->n);
	/* As many as prep_earliest() counts: a reservation for when they are through begins with the first of them. */
	int64_t ahead = flights > AHEAD ? flights : AHEAD;
	wall_us early_us = run->prepare_us - ahead * estimate_bytes(image->size, link_of(plan, true)->rate);
	wall_us ready_us = prep_append(plan, unit->spec->image, place_nodes(plan, choices), choices->count, run,
				       early_us > plan->now_us ? early_us : plan->now_us);
	stay->soon = ready_us > run->prepare_us && ready_us < WALL_NEVER;
	stay->from_us = stay->soon ? ready_us : stay->from_us;
	return ready_us <= run->prepare_us;
}

/* Books the lifted unit on its seats for as long as it can stay. */
static bool book(struct plan *plan, struct unit *unit, struct run run)
{
	if (unit->seat[0].node->limit_us >= run.release_us) {
		return place_book(plan, unit, &run);
	}
	if (!place_may_cut(plan, unit->spec)) {
		return false;
	}
	run.then = RUN_SUSPEND;
	run.end_us = preempt_end(plan, unit);
	span_us least_us = plan->settings.min_run_us < unit->left_us ? plan->settings.min_run_us : unit->left_us;
	if (run.end_us - run.start_us < least_us || run.end_us >= run.start_us + unit->left_us) {
		return false;
	}
	return place_book(plan, unit, &run);
}

static bool book_lifted(struct pass *pass, struct unit *unit, struct stay *stay)
{
	struct plan *plan = pass->plan;
	wall_us from_us = stay->from_us;
	span_us lead_us = stay_lead(plan, unit, stay->own);

	for (int i = 0; i < TRIES; i++) {
		struct run run = run_of(plan, unit, from_us, lead_us);
		if (!pick(pass, unit, &run, stay)) {
			return false;
		}
		place_seat(plan, unit, &pass->choices);
		if (suspended(unit)) {
			span_us need_us;
			wall_us clear_us = preempt_restored(plan, unit, from_us, &need_us);
			if (clear_us != run.start_us || need_us > lead_us) {
				from_us = clear_us - need_us;
				lead_us = need_us;
				continue;
			}
		}
		return staged(pass, unit, &run, stay) && book(plan, unit, run);
	}
	return false;
}

bool stay_book(struct pass *pass, struct unit *unit, struct stay *stay)
{
	struct plan *plan = pass->plan;

	stay->soon = false;
	if (!suspended(unit)) {
		return book_lifted(pass, unit, stay);
	}
	place_lift(plan, unit);
	if (book_lifted(pass, unit, stay)) {
		return true;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		unit->seat[i].node = plan_find_node(plan, unit->seat[i].was.node);
	}
	place_put_back(plan, unit);
	return false;
}
