/*
 * What a queue pass knows of free room, so that who cannot start is refused without a look at the nodes. Within a pass
 * bookings are only added, so that what was found too little once stays so; room_forget() is for the exceptions.
 */
#ifndef TENURE_ROOM_H
#define TENURE_ROOM_H

#include "place.h"

#define ROOM_SHAPES 32  /* sizes of VM told apart in a pass; of more nothing is remembered */
#define ROOM_FRONT 64   /* failures remembered for each */
#define ROOM_STOCKS 256 /* images remembered, a power of two: of more some are counted again and again */

/* So many VMs find no room for that long before from_us. */
struct room_miss {
	uint32_t n;
	span_us need_us;
	wall_us from_us;
};

struct room_shape {
	struct capacity per_vm;
	uint64_t now;       /* VMs that could begin at once, if only for an instant */
	uint32_t most;      /* VMs on one node, if it were empty */
	struct node **open; /* the nodes where one could begin at once, and some that since were taken */
	size_t open_count;
	struct room_miss miss[ROOM_FRONT];
	uint32_t misses;
};

/* So many VMs find no room for that long in a way the caller knows; what is all else that makes a difference to it. */
struct room_lack {
	uint64_t what;
	wall_us start_us; /* 0 = at once */
	struct capacity per_vm;
	uint32_t n;
	span_us need_us;
};

/* room_staged() of a lease, counted no further than to limit. */
struct room_stock {
	uint64_t age; /* the plan's stock_age when it was counted; 0 = it never was */
	uint64_t image;
	struct capacity per_vm;
	bool empty;
	uint32_t vms, limit;
};

/* How long so many bytes take at a rate that stays as it is: a deep queue asks about the same sizes over and over. */
struct room_span {
	int64_t bytes; /* -1 = nothing was asked */
	span_us span_us;
};

struct room {
	struct plan *plan;
	wall_us start_us;     /* the earliest start */
	int64_t suspend_rate; /* of the fastest node; 0 = nothing is suspended */
	struct room_span save, fetch;
	bool known; /* node->free of every node is */
	struct room_shape *shape;
	size_t shapes;
	struct room_lack lack[ROOM_FRONT];
	uint32_t lacks;
};

/* For a pass that begins now; the caller ends with room_fini(). */
void room_init(struct room *room, struct plan *plan);
void room_fini(struct room *room);
/* What a unit of the lease that boots must be able to run at least before it is suspended. */
span_us room_least(struct room *room, const struct lease_spec *spec);
/* How long it must have room at least: for all it has left, or for that and being saved. */
span_us room_need(struct room *room, const struct lease_spec *spec, span_us left_us);
/*
 * A start of n VMs that stay at least need_us is not possible before the time returned, which is start_us if nothing is
 * known against it.
 */
wall_us room_bound(struct room *room, struct capacity per_vm, uint32_t n, span_us need_us);
/* True if it is known that not so many could begin at once, not even for an instant. Never learns anything. */
bool room_short(const struct room *room, const struct capacity *per_vm, uint32_t n);
/*
 * True if nodes that have the lease's image as soon as they can be told to begin could take so many of its VMs: as they
 * are at start_us, or if they were empty. After room_bound().
 */
bool room_staged(struct room *room, const struct lease_spec *spec, uint32_t n, bool empty);
/* Images may come at other times than before. */
void room_restaged(struct room *room);
/* The nodes that may have room for such VMs at the run's start. The room's, until room_forget(). */
struct nodes room_nodes(struct room *room, const struct lease_spec *spec, const struct run *run);
/* The most VMs of that size that any node could hold. */
uint32_t room_most(struct room *room, struct capacity per_vm);
/* That many find no room for that long before from_us. */
void room_learn(struct room *room, struct capacity per_vm, uint32_t n, span_us need_us, wall_us from_us);
/* The same of what the caller tries; none of those of a pass may be mistaken for another's. */
bool room_lacks(const struct room *room, uint64_t what, wall_us start_us, struct capacity per_vm, uint32_t n,
		span_us need_us);
void room_learn_lack(struct room *room, uint64_t what, wall_us start_us, struct capacity per_vm, uint32_t n,
		     span_us need_us);
/* The nodes of the unit's seats have more booked than before. */
void room_taken(struct room *room, const struct unit *unit);
/* Something has less booked than before. */
void room_forget(struct room *room);

/* A search for the earliest time at which the nodes together have room for n VMs for need_us, and for stopping them. */
struct seek {
	struct plan *plan;
	const struct lease_spec *spec;
	uint32_t n;
	span_us need_us;
	span_us lead_us;  /* before the start, for preparing */
	wall_us until_us; /* no later start is looked for; 0 = any will do */
	/*
	 * More than 0: who has room for need_us but not for so long must be saved in time and lie there suspended. That
	 * takes longer to find, but is seldom no use.
	 */
	span_us whole_us;
	wall_us at_us;
	uint64_t total;
	uint64_t whole; /* the same of those that have room for whole_us */
	bool cuts;      /* the two differ */
	bool late;      /* none was found, but there are changes after until_us */
	bool skips;     /* changes that make no difference to the count: there was no room so far */
};
/*
 * False if there is no such time, from from_us on; else it is seek->at_us. Where too few could lie need_us becomes
 * whole_us.
 */
bool seek_first(struct seek *seek, wall_us from_us);
/* The same from after seek->at_us on. */
bool seek_next(struct seek *seek);

#endif
