/*
 * What is a matter of taste: who goes first, where, at whose cost, and who may ask at all. Each kind of policy is a
 * table of named functions; a plan's settings point into the tables.
 */
#ifndef TENURE_POLICY_H
#define TENURE_POLICY_H

#include "plan.h"

struct choice;
struct contract;
struct unit;

/* The order in which best-effort leases are looked at. Equal keys: by submission. */
struct queue_policy {
	const char *name, *help;
	/* The lower the earlier; of one pass, so that it may depend on the time. NULL = all are equal. */
	int64_t (*key)(const struct plan *plan, const struct contract *contract);
	/* A pass of its own, without regard to settings.backfill. NULL = the usual one. */
	void (*pass)(struct plan *plan);
	/* With pass: the key of one that waits with nothing planned, which stays the same as long as it does. */
	int64_t (*rest_key)(const struct contract *contract);
	bool drifts;   /* keys change as time passes: the order has to be made anew for every new lease */
	bool restages; /* what is suspended does not keep its image: it is brought again when its turn comes */
	/* It has rules of time alone: while somebody waits, a pass at each multiple of this; 0 = none. */
	span_us tick_us;
};

/* Which of the nodes with room a unit takes. Equal ones: by node id. */
struct host_policy {
	const char *name, *help;
	/* < 0 if a is the better choice for the unit. */
	int (*compare)(const struct choice *a, const struct choice *b);
	bool wants_use; /* it looks at choice->used and choice->until_us */
};

/* Which best-effort lease in the way of a reservation is suspended first. Equal keys: the youngest. */
struct victim_policy {
	const char *name, *help;
	int64_t (*key)(const struct plan *plan, const struct contract *contract); /* the lower the earlier */
};

/* Whether a request is considered at all. */
struct admission_policy {
	const char *name, *help;
	bool (*allow)(const struct plan *plan, const struct lease_spec *spec, struct reason *reason);
};

/* What a lease costs. */
struct price_policy {
	const char *name, *help;
	/* In credits, >= 0; settings.price_rate is for an hour of 1000 millicores. */
	int64_t (*price)(const struct plan *plan, const struct lease_spec *spec);
};

/* Every choice that has a name in settings. */
enum policy_set {
	POLICY_QUEUE,
	POLICY_HOST,
	POLICY_VICTIM,
	POLICY_ADMISSION,
	POLICY_PRICE,
	POLICY_BACKFILL,
	POLICY_SUSPENSION,
	POLICY_EXCLUSION,
	POLICY_MIGRATION,
	POLICY_DISKS,
	POLICY_STAGING,
	POLICY_SET_COUNT
};
/* The i-th name of a set, from 0; NULL after the last. */
const char *policy_name(enum policy_set set, size_t i);
/* Where the name stands in its set, -1 if it does not: for the enums of plan.h their value. */
int policy_find(enum policy_set set, const char *name);

/* By name; NULL if there is none of that name. */
const struct queue_policy *policy_queue(const char *name);
const struct host_policy *policy_host(const char *name);
const struct victim_policy *policy_victim(const char *name);
const struct admission_policy *policy_admission(const char *name);
const struct price_policy *policy_price(const char *name);

#endif
