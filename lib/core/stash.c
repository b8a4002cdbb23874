/* Remembers the links, and puts them back flight by flight. Plans nothing. */
#include "stash.h"

#include <stdlib.h>
#include <utlist.h>

#include "link.h"

struct stash_seat {
	size_t flight;
	struct stage *stage;
	struct transfer transfer;
};

static void remember(struct stash *stash, const struct flight *flight)
{
	struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		stash->seat = plan_grow(stash->seat, stash->seats, &stash->seat_room, sizeof(*stash->seat));
		stash->seat[stash->seats++] = (struct stash_seat){stash->count, stage, stage->transfer};
	}
	stash->flight = plan_grow(stash->flight, stash->count, &stash->room, sizeof(*stash->flight));
	stash->flight[stash->count++] = *flight;
}

void stash_links(const struct plan *plan, struct stash *out)
{
	*out = (struct stash){0};
	for (int l = 0; l < LINKS; l++) {
		const struct link *link = &plan->link[l];
		for (size_t i = 0; i < link->count; i++) {
			remember(out, link->item[i]);
		}
		out->stale[l] = link->stale;
		out->changed[l] = link->changed;
		out->laid[l] = link->laid;
	}
}

void stash_return(struct plan *plan, const struct stash *stash)
{
	struct flight *flight = NULL;

	for (int l = 0; l < LINKS; l++) {
		while (plan->link[l].count > 0) {
			flight_leave(plan, plan->link[l].item[plan->link[l].count - 1]->stages);
		}
	}
	for (size_t i = 0; i < stash->seats; i++) {
		const struct stash_seat *seat = &stash->seat[i];
		if (i == 0 || seat->flight != stash->seat[i - 1].flight) {
			flight = flight_again(plan, &stash->flight[seat->flight]);
		}
		flight_reboard(flight, seat->stage, &seat->transfer);
	}
	for (int l = 0; l < LINKS; l++) {
		plan->link[l].stale = stash->stale[l];
		plan->link[l].changed = stash->changed[l];
		plan->link[l].laid = stash->laid[l];
	}
}

void stash_fini(struct stash *stash)
{
	free(stash->flight);
	free(stash->seat);
}
