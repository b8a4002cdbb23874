/* A plan made anew from the rows of the store. */
#ifndef TENURE_REBUILD_H
#define TENURE_REBUILD_H

#include "plan.h"
#include "store.h"

/*
 * Fills the new plan with what the rows say at time now; the ids are the highest ever tried. -1 if the rows cannot be
 * read or contradict each other; the plan is then only good for plan_free().
 */
int rebuild_plan(struct store *store, wall_us now, uint64_t last_slot, uint64_t last_transfer, struct plan *plan,
		 struct err *err);

#endif
