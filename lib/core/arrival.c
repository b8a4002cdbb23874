/* Follows transfers to their end: images that came, vanished or failed, and those that are late. Plans none. */
#include "arrival.h"

#include <utlist.h>

#include "link.h"
#include "pool.h"
#include "prep.h"

#define LATE_TRIES 4 /* a transfer that takes this many times its estimate is begun anew */

/* The stage's transfer is over, one way or the other. */
static void arrive(struct plan *plan, struct stage *stage, enum transfer_state state)
{
	stage_touch(plan, stage);
	stage->transfer.state = state;
	stage->transfer.end_us = plan->now_us;
	if (stage->transfer.start_us > plan->now_us) {
		stage->transfer.start_us = plan->now_us;
	}
	flight_leave(plan, stage);
}

/*
 * True of what costs no time to bring if it has come at this very instant already. That it comes, or goes, again is no
 * news, or passes that each place the queue another way would follow one another for ever.
 */
static bool turns_up(const struct plan *plan, const struct stage *stage)
{
	return stage->came_us == plan->now_us;
}

void arrival_seen(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_stage(plan, node, image);
	bool foreseen = stage->flight && stage->flight->begun;

	if (stage->present) {
		return;
	}
	prep_set_present(plan, stage, true);
	plan->queue_look = plan->queue_look || !turns_up(plan, stage);
	if (stage->flight) {
		stage->came_us = stage->flight->length_us == 0 ? plan->now_us : 0;
		arrive(plan, stage, TRANSFER_DONE);
	}
	pool_hold(stage);
	if (!foreseen) {
		pool_owe(plan, node);
	}
}

void arrival_vanished(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_find(node, image);

	if (!stage || !stage->present) {
		return;
	}
	prep_set_present(plan, stage, false);
	pool_hold(stage);
	plan->queue_look = plan->queue_look || stage->users > 0 || !turns_up(plan, stage);
	wall_us deadline_us = prep_deadline(stage);
	if (deadline_us < WALL_NEVER) {
		struct link *link = link_of(plan, false);
		struct flight *flight = flight_new(link, image, stage->size);
		flight_board(plan, flight, stage, deadline_us);
		link->stale = true;
		if (link->blind) {
			link_place_blind(plan, flight, plan->now_us);
		}
	}
}

void arrival_failed(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_find(node, image);

	if (stage && stage->flight) {
		arrive(plan, stage, TRANSFER_FAILED);
		plan->queue_due = true;
	}
}

/* Guests that wait for a transfer under way are being prepared. */
static void show_preparing(struct plan *plan, struct flight *flight)
{
	struct stage *stage;
	struct guest *guest;

	flight->shown = true;
	DL_FOREACH (flight->stages, stage) {
		DL_FOREACH2(stage->guests, guest, stage_next)
		{
			if (guest->vm->state == LEASE_SCHEDULED && guest->vm->planned) {
				guest_move(plan, guest, LEASE_PREPARING);
			}
		}
	}
}

/* True if somebody could have said that the image is there. */
static bool heard_of(const struct flight *flight)
{
	const struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		if (stage->node->info.state != NODE_SILENT) {
			return true;
		}
	}
	return false;
}

/* A transfer that is late goes on; one that is hopelessly late is planned anew, behind what cannot wait. */
static void put_off(struct plan *plan, struct flight *flight)
{
	span_us length_us = flight->length_us;
	span_us more_us = length_us / 4 > USEC_PER_SEC ? length_us / 4 : USEC_PER_SEC;
	struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		plan->queue_look = plan->queue_look || !turns_up(plan, stage);
	}
	if (plan->now_us - flight->start_us < LATE_TRIES * (length_us + USEC_PER_SEC) || flight->link->blind) {
		flight_delay(plan, flight, plan->now_us + more_us);
		DL_FOREACH (flight->stages, stage) {
			if (prep_awaited(stage) || link_lasting(plan, flight)) {
				pool_owe(plan, stage->node); /* it was to be in use there already, or given up */
			}
		}
		if (flight->kept && !link_lasting(plan, flight)) {
			prep_review(plan, flight);
		}
		return;
	}
	flight_restart(plan, flight);
	DL_FOREACH (flight->stages, stage) {
		stage->transfer.id = 0; /* the old row is closed as failed */
		prep_loosen(plan, stage);
	}
}

void arrival_tick(struct plan *plan)
{
	for (int l = 0; l < LINKS; l++) {
		struct link *link = &plan->link[l];
		for (size_t i = 0; i < link->count && link->item[i]->start_us <= plan->now_us;) {
			struct flight *flight = link->item[i];
			if (!flight->shown) {
				show_preparing(plan, flight);
			}
			if (flight->end_us <= plan->now_us && heard_of(flight)) {
				put_off(plan, flight);
			}
			i += link->item[i] == flight;
		}
	}
}

static wall_us next_of(const struct plan *plan, const struct link *link)
{
	wall_us next_us = WALL_NEVER;

	for (size_t i = 0; i < link->count; i++) {
		const struct flight *flight = link->item[i];
		if (flight->start_us > plan->now_us) {
			return flight->start_us < next_us ? flight->start_us : next_us;
		}
		if (flight->end_us < next_us && (flight->end_us > plan->now_us || heard_of(flight))) {
			next_us = flight->end_us;
		}
	}
	return next_us;
}

wall_us arrival_next(const struct plan *plan)
{
	wall_us next_us = next_of(plan, &plan->link[0]), other_us = next_of(plan, &plan->link[1]);

	return other_us < next_us ? other_us : next_us;
}
