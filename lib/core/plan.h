/*
 * The planner: every decision Tenure makes, as a pure function of what it was told. No clock, no I/O, no text.
 *
 * Model: Sotomayor, "A Resource Management Model for VM-based Virtual Workspaces" (2007): overhead (staging, preparing,
 * suspending, resuming, stopping) is booked beside the lease. Backfilling: EASY (Lifka 1995).
 */
#ifndef TENURE_PLAN_H
#define TENURE_PLAN_H

#include <stddef.h>

#include "action.h"
#include "event.h"

struct plan;

struct plan_settings {
	span_us lead_us;    /* time a plan needs to reach a node; nothing is planned to begin before now + lead_us */
	span_us prepare_us; /* creating a guest paused */
	span_us stop_us;    /* destroying a guest */
	span_us suspend_us; /* fixed part of one suspend; the rest is memory / suspend_rate of the node */
	span_us resume_us;  /* fixed part of one resume */
	span_us min_run_us; /* a best-effort lease is not started or resumed for less than this before a suspension */
	span_us grace_us;   /* a VM on a silent node counts as ended this long after its run's release_us */
	span_us late_us;    /* an AR's VM that starts later than agreed by more than this breaks the promise */
	span_us stage_ahead_us; /* a reservation's image is brought, while the link is idle, from that long ahead of its
				   need */
	int64_t repository_rate; /* bytes per second out of the image repository, > 0 */
	bool suspend;            /* best-effort leases may be suspended; without it they are only backfilled */
};

/* NULL settings mean the defaults of plan_defaults(). The caller frees with plan_free(). */
struct plan *plan_new(const struct plan_settings *settings);
void plan_free(struct plan *plan);
struct plan_settings plan_defaults(void);

/*
 * Takes one event at time now (never before that of the call before) and appends to out what is to be done about it.
 * out is cleared first. Every event is answered; one that names an unknown lease, VM, node or image, or an old
 * generation, changes nothing. EVENT_LEASE_REQUESTED always yields ACTION_LEASE: state rejected (with reason, and the
 * offer from plan_offer()), scheduled or queued.
 */
void plan_step(struct plan *plan, const struct event *event, wall_us now, struct actions *out);

/* The alternative found for the last request that was rejected in plan_step or plan_ask. */
struct offer plan_offer(const struct plan *plan);

/* What a request would get, without changing anything. start_us: when it would start, if accepted is true. */
struct plan_answer {
	bool accepted;
	wall_us start_us;     /* best-effort: the earliest start as things stand; no promise */
	struct reason reason; /* when not accepted */
	struct offer offer;   /* when not accepted */
	uint32_t nodes;       /* how many of node[] are filled */
	uint32_t node[16];    /* nodes it would use, the first 16 */
};
void plan_ask(struct plan *plan, const struct lease_spec *spec, wall_us now, struct plan_answer *answer);

/* Look-ups; NULL when there is no such thing. The planner's, valid until the next plan_step. */
const struct lease *plan_lease(const struct plan *plan, uint64_t id);
const struct node_info *plan_node(const struct plan *plan, uint32_t id);
/* True while a lease that is not final needs the image. */
bool plan_image_needed(const struct plan *plan, uint64_t image);
/* Walks all leases that are not final, in order of id; stops when fn returns false. */
void plan_each_lease(const struct plan *plan, bool (*fn)(const struct lease *lease, void *arg), void *arg);
/*
 * The transfers a node still has before it, and, as transfers without id in state DONE, the images in its pool that a
 * VM booked there needs. What is not among them may be evicted.
 */
void plan_each_transfer(const struct plan *plan, uint32_t node, bool (*fn)(const struct transfer *transfer, void *arg),
			void *arg);

/*
 * Rebuilding after a restart, from the rows written for earlier actions: nodes and images first, then leases (each
 * with its VMs; copied), slots, transfers, then plan_restored(), which returns 0, or -1 if the rows contradict each
 * other (the database was changed by hand). Final leases need not be restored, but next ids must be higher than every
 * id ever used: give the highest seen to plan_restore_ids().
 */
void plan_restore_node(struct plan *plan, const struct node_info *node);
void plan_restore_image(struct plan *plan, const struct image_info *image);
void plan_restore_lease(struct plan *plan, const struct lease *lease);
void plan_restore_slot(struct plan *plan, const struct slot *slot);
void plan_restore_transfer(struct plan *plan, const struct transfer *transfer);
void plan_restore_pool(struct plan *plan, uint32_t node, uint64_t image);
void plan_restore_ids(struct plan *plan, uint64_t last_slot, uint64_t last_transfer);
int plan_restored(struct plan *plan);

#endif
