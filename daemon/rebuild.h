/* A plan made anew from the rows of the store. */
#ifndef TENURE_REBUILD_H
#define TENURE_REBUILD_H

#include "plan.h"
#include "store.h"

/* What rebuild_plan() goes by beside the rows. */
struct rebuild {
	const struct plan_settings *settings; /* those of the plan */
	wall_us now;
	uint64_t last_slot, last_transfer; /* the highest ids ever tried */
};

/*
 * Fills the new plan with what the rows say. -1 if the rows cannot be read or contradict each other; the plan is then
 * only good for plan_free().
 */
int rebuild_plan(struct store *store, const struct rebuild *rebuild, struct plan *plan, struct err *err);
/* From when on the plan looks at what was used, for fair share; now if it does not look back. */
wall_us rebuild_use_from(const struct plan_settings *settings, wall_us now);

#endif
