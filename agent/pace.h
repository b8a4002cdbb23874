/*
 * The guests' slices and periods: which guest is to have which, and the EDF engine that gives it to them. Knows
 * processes; knows nothing of libvirt and plans.
 */
#ifndef TENURE_PACE_H
#define TENURE_PACE_H

#include <event2/event.h>

#include "book.h"
#include "engine.h"
#include "part.h"

struct pace;

struct pace_settings {
	struct engine_settings engine;
	bool strict;        /* guests get nothing beyond their slices */
	uint32_t tasks_ppm; /* of each CPU for tenure-edf's tasks; 0 = none */
};

struct pace_ops {
	/* The report would look different. */
	void (*changed)(void *arg);
};

/*
 * Starts the engine; to be called before there are threads, since it forks a watchdog. An engine that cannot be had is
 * no failure: then nothing is enforced, and pace_hello() says why. Strings in settings must outlive it.
 */
struct pace *pace_new(struct event_base *base, const struct pace_settings *settings, const struct pace_ops *ops,
		      void *arg);
/* Its guests run on without constraint. NULL is allowed. */
void pace_free(struct pace *pace);

/*
 * The guest runs, and is to have what vm says from now on; vm NULL or without a constraint: it is let go. What cannot
 * be done at once is tried again each second, and told in the report.
 */
void pace_set(struct pace *pace, const struct book_key *key, const struct part_vm *vm);
/* What is done about the guest's constraint; out is all zeros. */
void pace_report(struct pace *pace, const struct book_key *key, struct report_edf *out);
/* tenure-edf's tasks into a report that has none yet. */
void pace_tasks(const struct pace *pace, struct report *report);
/* Another constraint for one of them; slice and period both 0: it is let go. As server_tune(). */
int pace_tune(struct pace *pace, uint64_t task, span_us slice_us, span_us period_us, struct err *err);
/* What this node can do about guests' constraints. */
void pace_hello(const struct pace *pace, struct hello_edf *out);
/* Millicores that may be promised to guests by slices; 0 = the engine does not say. */
int64_t pace_capacity(const struct pace *pace);

#endif
