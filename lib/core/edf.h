/*
 * Earliest deadline first on one CPU: tasks that are each promised `slice` of CPU time in every `period`. Tells who may
 * run now, in which order, and when to look again; whoever asks gives the first the highest real-time priority, the
 * second the next one, and parks all others. So when the first blocks, the kernel itself runs the second, and the first
 * takes over again when it wakes: nobody has to notice.
 *
 * Times are nanoseconds here, not microseconds as elsewhere: charges come from CPU clocks thousands of times a second,
 * and what rounding takes off each would add up to a wrong rate. Any clock serves that never goes back. Nothing is
 * allocated.
 */
#ifndef TENURE_EDF_H
#define TENURE_EDF_H

#include <stdbool.h>
#include <stdint.h>

#define EDF_TASKS 64 /* of one CPU; more would need slices shorter than the costs of switching */
#define EDF_LADDER 8 /* that hold a real-time priority at once */
#define EDF_NEVER INT64_MAX

/* 0 < slice_ns <= period_ns. A strict one gets nothing beyond its slice; that is the caller's to do when it parks it.
 */
struct edf_constraint {
	int64_t slice_ns, period_ns;
	bool strict;
};

/* What the machine can do: measured, see edf_floor_default(). */
struct edf_floor {
	int64_t wake_ns;    /* of CPU time the caller takes for one look, with the switch to it and back */
	int64_t spent_ns;   /* a budget with less left than this counts as used up; the rest is added to the next */
	int64_t look_ns;    /* the next look is not sooner than this for the end of the budget of one that blocks */
	int64_t poll_ns;    /* nor sooner than this, for the end of one that is not first */
	uint32_t limit_ppm; /* of the CPU that may be promised, as for admission */
};

/* Since the task was set; in periods of its present constraint that were whole. */
struct edf_stat {
	uint64_t periods;
	uint64_t misses;      /* more was left at the deadline than max(10 us, 1 %), though it was never seen idle */
	uint64_t idle;        /* periods in which it was seen idle: it did not want all of its slice */
	int64_t short_max_ns; /* the most that was left at a missed deadline */
	int64_t over_max_ns;  /* the most it got beyond its budget before it was stopped */
	int64_t used_ns;      /* of its budgets */
	int64_t slack_ns;     /* got beside them, while parked */
	int64_t owed_ns;      /* got beyond its budgets and not yet paid back; negative: it has that much to come */
};

/* All fields are private. */
struct edf_task {
	struct edf_constraint constraint;
	int64_t release_ns, deadline_ns; /* of the present budget */
	int64_t left_ns;                 /* of it, and what came too late of the one before */
	int64_t back_ns;                 /* the latter: due since the release */
	int64_t charged_ns;              /* since the last look */
	int64_t idle_ns;                 /* it could run and did not, in this period */
	int64_t drained_ns;              /* taken off this budget for that */
	int64_t aim_ns;                  /* when its budget is expected to end, if it runs till then; EDF_NEVER */
	int64_t lag_ns;   /* how much too late its budget ends if nothing is done about it; or negative */
	uint8_t tries;    /* looks since it last made progress, a few */
	uint8_t rank;     /* on the ladder since the last look, from 1; 0 = parked */
	bool taken;       /* a task is in this slot */
	bool awake;       /* it was ready to run all the time since the last look */
	int64_t still_ns; /* it could run and did not, since it did last */
	bool idle;        /* that is long enough to say that it sleeps */
	bool early;       /* the end of the budget was looked for too soon, and learned from */
	bool partial;     /* the present budget is not a whole slice */
	struct edf_stat stat;
};

struct edf {
	struct edf_task task[EDF_TASKS];
	struct edf_floor floor;
	uint32_t tasks;
	double rate;       /* promised to all, as part of the CPU */
	double overhead;   /* what looks take of it, by the tasks' periods */
	int64_t guard_ns;  /* nobody misses a deadline if each task gets that much too much now and then */
	int64_t looked_ns; /* the last look */
	bool waiting;      /* someone with budget was kept off the ladder by the last look */
	uint8_t ladder;
	uint8_t order[EDF_LADDER]; /* as the last look answered */
};

/* A floor that suits machines of about 2020; calibrated ones are better. */
struct edf_floor edf_floor_default(void);
/* No task. now_ns is the clock's reading, as everywhere below. */
void edf_init(struct edf *edf, const struct edf_floor *floor, int64_t now_ns);
/*
 * Puts a task into the slot (< EDF_TASKS), or gives the one there another constraint: from now on it has that, with a
 * full budget if no other's promise suffers, else with as much as there is room for this time. That the sum of all
 * rates is possible is the caller's to see to (edf_admit.h). Releases come at first_release_ns + k * period for every
 * whole k; until the next of them the task has as much of its slice as there is of a period. Charge all before, as for
 * a look.
 */
void edf_set(struct edf *edf, unsigned slot, const struct edf_constraint *constraint, int64_t first_release_ns,
	     int64_t now_ns);
/* The slot is free. Charge all before, as for a look. */
void edf_clear(struct edf *edf, unsigned slot, int64_t now_ns);
/* The task received that much CPU time since it was charged last, by its CPU clock. */
void edf_charge(struct edf *edf, unsigned slot, int64_t used_ns);
/*
 * The task was ready to run all the time since the last look: what it did not receive of it is not sleep, whoever had
 * it. Without this, time that none on the ladder received counts as slept by the first.
 */
void edf_awake(struct edf *edf, unsigned slot);
/*
 * Renews the budgets whose deadline came and says who may run, first comes first: `order` gets slots, the result is how
 * many. Look again at *again_ns at the latest, and after each edf_set() or edf_clear(); EDF_NEVER = there is no task.
 */
unsigned edf_look(struct edf *edf, int64_t now_ns, unsigned order[EDF_LADDER], int64_t *again_ns);
/* NULL if the slot is free. */
const struct edf_stat *edf_stat(const struct edf *edf, unsigned slot);
/* When the present budget of the slot's task began and ends, and what is left of it; false if the slot is free. */
bool edf_now(const struct edf *edf, unsigned slot, int64_t *release_ns, int64_t *deadline_ns, int64_t *left_ns);

#endif
