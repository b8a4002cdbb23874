/*
 * Recording what the planner is told, and reading it back: with the rows as they were at the beginning
 * (store_record.h), the inputs give the same decisions again.
 */
#ifndef TENURE_RECORD_H
#define TENURE_RECORD_H

#include "event.h"
#include "store.h"

/* One step of the planner. */
struct record_input {
	wall_us at_us;
	bool rebuilt;                      /* no event: the plan was made anew from the rows as they stood then */
	uint64_t last_slot, last_transfer; /* if rebuilt: the highest ids ever tried */
	struct event event;                /* if not */
};

/* In the open transaction: it is kept or lost with the rows that came of it. -1: it is not written. */
int record_add(struct store *store, const struct record_input *input, struct err *err);
/* One call per input of the recording attached by store_record_open(), in order; ends with -1 as soon as fn does. */
int record_each(struct store *store, int (*fn)(const struct record_input *input, void *arg, struct err *err), void *arg,
		struct err *err);

#endif
