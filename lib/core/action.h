/*
 * The closed set of what the planner can want done. The caller writes every row of one step in one transaction, and
 * acts (delivers plans, answers, sets its timer) only after the commit.
 */
#ifndef TENURE_ACTION_H
#define TENURE_ACTION_H

#include <stddef.h>

#include "lease.h"
#include "slots.h"

enum transfer_state { TRANSFER_PLANNED, TRANSFER_DONE, TRANSFER_FAILED, TRANSFER_STATE_COUNT };

/* An image on its way from the repository to a node's pool; transfers share the repository's link one after another. */
struct transfer {
	uint64_t id; /* > 0, never used twice */
	uint64_t image;
	uint32_t node;
	enum transfer_state state;
	wall_us start_us;    /* planned */
	wall_us end_us;      /* planned, or when it was done */
	wall_us deadline_us; /* the earliest prepare_us that needs it; WALL_NEVER when only best-effort VMs ride on it
			      */
};

/* -1, and nothing changed, if the name is none of them; so is that of estimate_what_parse(). */
const char *transfer_state_name(enum transfer_state state);
int transfer_state_parse(const char *name, enum transfer_state *state);

enum estimate_what { ESTIMATE_SUSPEND, ESTIMATE_RESUME, ESTIMATE_COUNT };

/* How long it took, so far, to save (restore) a guest of about this size on a node. */
struct estimate {
	uint32_t node;
	enum estimate_what what;
	int64_t memory;      /* bytes; the upper end of the class of sizes that count as one */
	uint32_t count;      /* measurements, old ones faded; > 0 */
	span_us mean_us;     /* as if all had been of that size */
	int64_t squares_ms2; /* sum of squared differences from the mean, milliseconds squared */
	wall_us last_us;     /* when the last of them ended */
};

const char *estimate_what_name(enum estimate_what what);
int estimate_what_parse(const char *name, enum estimate_what *what);
/* Mean + 2 sigma, which the planner goes by if it learns; 0 while too few were measured for that. */
span_us estimate_span(const struct estimate *estimate);

enum action_kind {
	ACTION_LEASE,     /* lease row is new or changed (without its VMs) */
	ACTION_VM,        /* VM row is new or changed */
	ACTION_SLOT,      /* slot row is new or changed */
	ACTION_SLOT_DROP, /* slot will not be used after all: delete its row (used slots stay, for the Gantt) */
	ACTION_TRANSFER,  /* transfer row is new or changed */
	ACTION_TRANSFER_DROP,
	ACTION_ESTIMATE,       /* row of (node, what, memory) is new or changed */
	ACTION_MOVED,          /* a lease's state changed: one log line, one row in events */
	ACTION_PROMISE_BROKEN, /* an AR did not get what was agreed: one log line, one row in events */
	ACTION_REFUSED,        /* a lease that goes on could not be changed as asked: the answer to who asked */
	ACTION_NODE_PLAN,      /* the node's part of the plan changed: deliver it */
	ACTION_WAKE,           /* call again with EVENT_TICK at this time; replaces any earlier wish */
	ACTION_KIND_COUNT
};

struct action {
	enum action_kind kind;
	union {
		const struct lease *lease; /* LEASE, PROMISE_BROKEN (its reason says why); the planner's */
		const struct vm *vm;       /* the planner's */
		struct slot slot;          /* SLOT, SLOT_DROP */
		struct transfer transfer;  /* TRANSFER, TRANSFER_DROP */
		struct estimate estimate;
		struct {
			uint64_t lease;
			enum lease_state from, to;
			struct reason reason;
		} moved;
		struct {
			uint64_t lease;
			struct reason reason;
		} refused;
		uint32_t node;
		wall_us wake_us;
	};
};

/* Grows as needed; zero-initialise, reuse between steps, free with actions_fini(). */
struct actions {
	struct action *item; /* pointers inside stay valid until the next plan_step */
	size_t count, room;
};

void actions_fini(struct actions *actions);

#endif
