/*
 * Leases, their guests, and the states both go through. Plain values and the table of allowed moves; deciding when
 * to move is plan.c's.
 */
#ifndef TENURE_LEASE_H
#define TENURE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "capacity.h"
#include "usec.h"

#define LEASE_VMS_MAX 4096 /* VMs in one lease: a gang is placed in one step and its rows go in one transaction */

enum lease_kind {
	LEASE_AR,          /* advance reservation: exact start, all VMs at once, never preempted */
	LEASE_BEST_EFFORT, /* queued, preemptible */
	LEASE_IMMEDIATE,   /* now or not at all; not preempted */
	LEASE_DEADLINE,    /* any start, done in time */
	LEASE_OPEN,        /* open advance reservation: kept ready in a window, runs when it is called */
	LEASE_KIND_COUNT
};

/*
 * States of a VM and of a lease. Each VM moves by itself through lease_move_allowed(); a lease's state is derived from
 * its VMs' by lease_state_of(), so that a serial lease, whose VMs run at different times, needs no rules of its own.
 */
enum lease_state {
	LEASE_NEW,
	LEASE_REJECTED,
	LEASE_QUEUED,    /* best-effort, no time chosen yet */
	LEASE_SCHEDULED, /* has node and times */
	LEASE_STANDBY,   /* open: its window has begun, and it waits to be called */
	LEASE_PREPARING, /* image on its way, or guest being created */
	LEASE_READY,     /* guest created and paused, waiting for its start */
	LEASE_ACTIVE,    /* guest running */
	LEASE_SUSPENDING,
	LEASE_SUSPENDED, /* memory on disk; may have a planned resume */
	LEASE_MIGRATING, /* its memory goes to the node it will be restored on */
	LEASE_RESUMING,
	LEASE_STOPPING,
	LEASE_DONE,
	LEASE_CANCELLED,
	LEASE_FAILED,
	LEASE_STATE_COUNT
};

/* How a VM's stay on a node begins and ends. */
enum run_from { RUN_BOOT, RUN_RESUME };
enum run_then { RUN_STOP, RUN_SUSPEND };

/*
 * One stay of a VM on a node, which the agent carries out by its clock:
 * copy_us <= prepare_us <= start_us < end_us <= release_us.
 * From prepare_us the guest is created (or fetched from another node, and restored) paused; it runs in [start_us,
 * end_us); by release_us its memory is free again (destroyed, or saved to disk). What is fetched from copy_us on takes
 * nothing but disk before it is restored.
 * Of a VM of an open lease that was not called (planned is false) it says for how long its node is kept for it: from
 * prepare_us = start_us, the begin of the window, to end_us = release_us.
 */
struct run {
	enum run_from from;
	enum run_then then;
	wall_us prepare_us;
	wall_us start_us;
	wall_us end_us;
	wall_us release_us;
	uint32_t from_node; /* RUN_RESUME: the node its memory comes from, 0 = it is there already */
	wall_us copy_us;    /* from_node: it is fetched from then on, or, 0, from prepare_us on */
	bool lodger;        /* policy "trial": it began where somebody had a reservation, and yields until it is over */
};

/* When the node begins with the run. */
static inline wall_us run_begin(const struct run *run)
{
	return run->copy_us ? run->copy_us : run->prepare_us;
}

struct vm {
	uint64_t lease;
	uint32_t index; /* 0 .. vms-1 */
	enum lease_state state;
	uint32_t node;       /* node id, 0 = none */
	uint32_t generation; /* boots so far, counting a planned one; part of the guest's UUID */
	bool planned;        /* run holds a run that is planned or under way */
	struct run run;
	span_us served_us;  /* run time received in earlier runs that were suspended */
	wall_us started_us; /* when the present run was seen running, 0 = not yet */
};

struct lease_spec {
	enum lease_kind kind;
	bool serial;            /* best-effort only: each VM is placed by itself */
	uint32_t vms;           /* 1 .. LEASE_VMS_MAX */
	struct capacity per_vm; /* cpu and memory > 0; disk >= 0; with a constraint cpu is what that takes */
	int64_t cpu;            /* with a constraint: millicores asked for, a vCPU for each begun 1000; else 0 */
	span_us slice_us;       /* constraint: each vCPU gets slice_us of CPU time in every period_us; both 0 = none */
	span_us period_us;
	uint64_t image;    /* image id */
	wall_us start_us;  /* AR: agreed start; deadline: not before, 0 = any; open: begin of the window, once called
			    * its start; else 0 */
	wall_us latest_us; /* AR: latest start that will do, 0 = start_us only; open: end of the window, no call counts
			    * from then on; else 0
			    */
	wall_us deadline_us; /* deadline: every VM has run by then; else 0 */
	span_us response_us; /* open: runs within this of the call; else 0 */
	span_us duration_us; /* > 0; run time of each VM */
	uint32_t user;       /* whose, for fair share; 0 = nobody's */
	int64_t price_max;   /* credits; 0 = any price */
};

/* Why the planner said no, or why a lease moved; args by code. Text is made outside the core (lib/reason.h). */
enum reason_code {
	REASON_NONE,
	REASON_START_PAST, /* the start is before the earliest possible: arg0 = earliest wall_us */
	REASON_NEVER_FITS, /* more than the cluster has: arg0 = VMs that would fit on empty nodes; res = what is short
			    */
	REASON_NO_ROOM, /* taken in that time: arg0 = VMs that would fit; res = what is short; lease = one in the way */
	REASON_IMAGE_LATE,   /* image cannot be on the nodes in time: arg0 = earliest wall_us */
	REASON_SUSPEND_LATE, /* best-effort guests cannot be suspended in time: arg0 = earliest wall_us */
	REASON_POOL_FULL,    /* image does not fit in any node's pool: arg0 = image bytes */
	REASON_NO_NODES,     /* no node is up */
	REASON_PREEMPTED,    /* lease = the lease it made room for */
	REASON_BY_USER,      /* cancelled on request */
	REASON_IMAGE_BAD,    /* digest, size or source wrong: the agent's text says which */
	REASON_GUEST_FAILED, /* the guest could not be started or died: the agent's text says how */
	REASON_GUEST_ENDED,  /* the guest shut itself down */
	REASON_UNCONFIRMED,  /* the node was silent past end and grace */
	REASON_TIME_UP,      /* reached its end */
	REASON_LATE,         /* started arg0 microseconds after the agreed time */
	REASON_DEADLINE,     /* cannot be done by the deadline: arg0 = earliest possible end */
	REASON_POLICY,       /* the admission policy takes no such lease */
	REASON_PRICE,        /* costs more than was offered: arg0 = the price */
	REASON_KIND,         /* only open leases can be called */
	REASON_RESPONSE,     /* it cannot run that soon after a call: arg0 = the least response_us */
	REASON_NOT_YET,      /* called before its window: arg0 = when that begins */
	REASON_NOT_CALLED,   /* its window ended without a call */
	REASON_UNENFORCED,   /* no node, or not its node, enforces slices and periods */
	REASON_PERIOD,       /* shorter than any node, or its node, can enforce: arg0 = the least, us */
	REASON_SLICE,        /* longer than one CPU can give in that period: arg0 = the most, us */
	REASON_SLICE_SHORT,  /* shorter than any node, or its node, can keep: arg0 = the least, us */
	REASON_VCPUS,        /* more vCPUs than any node, or its node, manages CPUs: arg0 = that many */
	REASON_TUNE,         /* it does not fit beside the others: the offer has what would */
	REASON_NODE_SILENT,  /* a node of it could not be told */
	REASON_CODE_COUNT
};

struct reason {
	enum reason_code code;
	enum resource res;
	uint64_t lease;
	int64_t arg0;
};

/* The nearest feasible alternative to a refused request. */
struct offer {
	bool valid;
	wall_us start_us;
	uint32_t vms;
	span_us duration_us;
	span_us response_us; /* open: as asked, or what would do instead; else 0 */
	/* Of a lease that could not be tuned, if not 0: */
	span_us slice_us;        /* the longest slice at the period asked for */
	span_us period_us;       /* the shortest period at which the rate asked for fits, */
	span_us period_slice_us; /* and the slice then */
};

struct lease {
	uint64_t id; /* > 0, never used twice */
	struct lease_spec spec;
	enum lease_state state;
	wall_us submitted_us;
	wall_us first_start_us; /* first VM seen running, 0 = never */
	wall_us ended_us;       /* when it reached a final state, 0 = not yet */
	struct reason reason;   /* of the present state */
	int64_t price;          /* credits, by the price policy when it was taken, or resized */
	struct vm *vms;         /* spec.vms of them, owned by the lease; NULL when rejected */
};

/* Millicores asked for of each VM, and how many vCPUs that makes. */
int64_t lease_cpu(const struct lease_spec *spec);
uint32_t lease_vcpus(const struct lease_spec *spec);

/* Names as in the API: "ar", "best-effort", "immediate"; "queued", ... . -1 if the name is unknown. */
const char *lease_kind_name(enum lease_kind kind);
int lease_kind_parse(const char *name, enum lease_kind *kind);
const char *lease_state_name(enum lease_state state);
int lease_state_parse(const char *name, enum lease_state *state);

/* The table of allowed moves of a VM. */
bool lease_move_allowed(enum lease_state from, enum lease_state to);
/* True for rejected, done, cancelled, failed. */
static inline bool lease_state_final(enum lease_state state)
{
	return state == LEASE_REJECTED || state == LEASE_DONE || state == LEASE_CANCELLED || state == LEASE_FAILED;
}
/* The state of a lease seen as a whole, from its VMs (n >= 1). */
enum lease_state lease_state_of(const struct vm *vms, uint32_t n);

#endif
