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

/* policy.h: named tables of functions for what is a matter of taste. */
struct queue_policy;
struct host_policy;
struct victim_policy;
struct admission_policy;
struct price_policy;

/* How many leases of the queue may hold a reservation while others overtake them. */
enum backfill {
	BACKFILL_NONE,         /* nobody overtakes */
	BACKFILL_FIRST_FIT,    /* no reservations: whoever fits starts */
	BACKFILL_AGGRESSIVE,   /* the first one (EASY; Lifka 1995) */
	BACKFILL_INTERMEDIATE, /* the first backfill_depth */
	BACKFILL_CONSERVATIVE, /* all (Mu'alem and Feitelson 2001) */
};

enum suspension {
	SUSPENSION_NONE,
	SUSPENSION_SERIAL, /* only units of one VM */
	SUSPENSION_ALL,
};

/* What may not happen at the same time when several guests are suspended or resumed. */
enum exclusion {
	EXCLUSION_LOCAL,  /* one at a time on each node (local storage) */
	EXCLUSION_GLOBAL, /* one at a time in the whole cluster (shared storage) */
};

enum migration {
	MIGRATION_NO,
	MIGRATION_YES,   /* a suspended guest's memory and disk go over the link to its new node */
	MIGRATION_FREE,  /* it is there at once; for comparison */
	MIGRATION_ASIDE, /* as YES, but until all of it is there the new node's memory and CPU are others' */
};

/* What a guest's disk is, and so what a suspended one needs where it goes on. */
enum disks {
	DISKS_OVERLAY, /* a layer over the image in its node's pool, which must be there as long as the guest is */
	DISKS_WHOLE,   /* a copy of the image, made when it boots, which goes along when it moves: the VM's RES_DISK is
			* to hold it
			*/
};

/* When a promised image goes over the link; all but the first two are kept for comparison and promise nothing. */
enum staging {
	STAGING_EDF_JIT,    /* by deadline, each as late as is safe; ahead of time while the link is idle */
	STAGING_EDF,        /* by deadline, back to back from now */
	STAGING_JIT,        /* each at its deadline less its length, blind to the others */
	STAGING_AGGRESSIVE, /* each at once */
	STAGING_JOB,        /* each at its lease's start, of which it steals */
};

struct plan_settings {
	span_us lead_us;    /* time a plan needs to reach a node; nothing is planned to begin before now + lead_us */
	span_us prepare_us; /* creating a guest paused */
	span_us stop_us;    /* destroying a guest */
	span_us suspend_us; /* fixed part of one suspend; the rest is memory / suspend_rate of the node */
	span_us resume_us;  /* fixed part of one resume */
	span_us min_run_us; /* a best-effort lease is not started or resumed for less than this before a suspension */
	/*
	 * Nor for so short that it is there, restoring and saving included, for less than so many times what bringing
	 * its image and saving it take, or bringing and restoring its copy and saving it; as the fastest node does it,
	 * or its own.
	 */
	uint32_t worth;
	span_us grace_us;       /* a VM on a silent node counts as ended this long after its run's release_us */
	span_us late_us;        /* an AR's VM that starts later than agreed by more than this breaks the promise */
	span_us stage_ahead_us; /* a reservation's image is brought, while the link is idle, from that long ahead of its
				   need */
	int64_t repository_rate;  /* bytes per second out of the image repository, > 0 */
	int64_t best_effort_rate; /* bytes per second of a link of their own for best-effort transfers; 0 = one link */
	bool multicast;           /* one transfer reaches any number of nodes */
	enum staging staging;
	enum suspension suspension;
	enum exclusion exclusion;
	bool learn; /* what suspending and resuming take is learnt from what they took */
	enum migration migration;
	enum disks disks;
	enum backfill backfill;
	uint32_t backfill_depth;          /* BACKFILL_INTERMEDIATE only */
	const struct queue_policy *queue; /* never NULL, as all below */
	const struct host_policy *host;
	const struct victim_policy *victim;
	const struct admission_policy *admission;
	const struct price_policy *price;
	span_us share_half_us; /* queue policy "fair": what was used that long ago counts half */
	int64_t price_rate;    /* of the price policy: credits for an hour of 1000 millicores */
};

/* NULL settings mean the defaults of plan_defaults(). The caller frees with plan_free(). */
struct plan *plan_new(const struct plan_settings *settings);
void plan_free(struct plan *plan);
struct plan_settings plan_defaults(void);

/*
 * Takes what happened at time now (never before that of the call before), count >= 0 events in the given order, and
 * puts into out what is to be done about it. The queue is looked at once, after all of them. Every event is answered;
 * one that names an unknown lease, VM, node or image, or an old generation, changes nothing. EVENT_LEASE_REQUESTED
 * always yields ACTION_LEASE: state rejected (with reason; plan_offer() has the offer for the last one), scheduled or
 * queued. EVENT_LEASE_RESIZED, EVENT_LEASE_CALLED and EVENT_LEASE_TUNED of a lease that is not over yield ACTION_LEASE,
 * or ACTION_REFUSED; the first and the last also an offer. A second call changes nothing.
 */
void plan_step(struct plan *plan, const struct event *events, size_t count, wall_us now, struct actions *out);

/* The alternative found for the last request that was refused in plan_step or plan_ask. */
struct offer plan_offer(const struct plan *plan);

/* What a request would get, without changing anything. start_us: when it would start, if accepted is true. */
struct plan_answer {
	bool accepted;
	wall_us start_us;     /* best-effort: the earliest start as things stand; no promise */
	int64_t price;        /* when accepted: credits */
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
/*
 * For the queue policy "fair": a slot of kind RUN that began, of a lease that is final, and whose it was. Those of the
 * last eight share_half_us count; in any order.
 */
void plan_restore_use(struct plan *plan, uint32_t user, const struct slot *slot);
void plan_restore_estimate(struct plan *plan, const struct estimate *estimate);
void plan_restore_ids(struct plan *plan, uint64_t last_slot, uint64_t last_transfer);
int plan_restored(struct plan *plan);

#endif
