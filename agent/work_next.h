/*
 * What is to be done next about one guest: a pure function of what the book holds, what was observed, and the time.
 * No clock, no I/O, no memory of its own; the driver is work.c.
 */
#ifndef TENURE_WORK_NEXT_H
#define TENURE_WORK_NEXT_H

#include <stdbool.h>

#include "event.h"
#include "part.h"

/*
 * How far a (lease, vm, generation) has come, as the agent keeps it on disk. A launch is written down before it is
 * carried out, so that no crash can lead to a second boot.
 */
enum work_stage {
	WORK_NEW,     /* never told to run */
	WORK_BOOTED,  /* told to run after a boot */
	WORK_SAVED,   /* suspended: memory saved */
	WORK_RESUMED, /* told to run after a restore */
	WORK_ENDED,   /* final */
	WORK_FAILED,  /* final */
	WORK_STAGE_COUNT
};
const char *work_stage_name(enum work_stage stage); /* "new" "booted" "saved" "resumed" "ended" "failed" */
int work_stage_parse(const char *name, enum work_stage *stage);

enum work_op {
	WORK_NONE,      /* nothing until when_us */
	WORK_PREPARE,   /* create it, paused */
	WORK_RESTORE,   /* restore its saved memory, paused */
	WORK_RUN,       /* let it run at run.start_us; issued WORK_RUN_AHEAD_US before */
	WORK_UNPREPARE, /* it is paused and shall not run now: destroy it; it is as if it had not been prepared */
	WORK_SUSPEND,
	WORK_STOP,   /* its time is over, or its state is final */
	WORK_REMOVE, /* the book does not hold it: destroy it and delete its files */
	WORK_END,    /* write down that it has ended */
	WORK_FAIL,   /* write down that it has failed, and why */
	WORK_OP_COUNT
};
const char *work_op_name(enum work_op op);

#define WORK_RUN_AHEAD_US USEC_PER_SEC      /* the worker waits; long enough for a busy machine */
#define WORK_TRIES 3                        /* an operation may fail this often ... */
#define WORK_GIVE_UP_US (30 * USEC_PER_SEC) /* ... and is tried until so long after its time */

struct work_view {
	const struct part_vm *vm; /* as the book holds it; NULL = the book does not */
	enum work_stage stage;
	bool ran;          /* seen running since it was last told to; only with BOOTED and RESUMED */
	enum vm_seen seen; /* as libvirt shows it, after work_settle() */
	bool image;        /* all files of its image are in the pool */
	bool here;         /* it comes from another node: its copy is whole */
	bool stuck;        /* or the last attempt to fetch it failed */
	bool hopeless;     /* it failed by what is in the image or the book: no retry mends that */
	unsigned tries;    /* how often the operation has failed */
	wall_us retry_us;  /* not again before */
	wall_us now_us;
};

struct work_step {
	enum work_op op;
	wall_us when_us; /* > now: look again then, nothing is to be done before; WALL_NEVER = until something changes
			  */
	const char *why; /* of FAIL and END; static */
};

struct work_step work_next(const struct work_view *view);

/*
 * What an observation means for how far a guest has come. ran: it has been seen running since it was last told to.
 * *seen is put right where a destroyed domain leaves nothing lost (paused, never run: absent; restored: suspended).
 */
enum work_stage work_settle(enum work_stage stage, bool ran, enum vm_seen *seen);

#endif
