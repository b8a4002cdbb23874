/* Choosing nodes for VMs that start together, and booking them there. */
#ifndef TENURE_PLACE_H
#define TENURE_PLACE_H

#include "plan_state.h"

/* A guest and the node meant for it. */
struct seat {
	struct guest *guest;
	struct node *node;
	struct vm was; /* when it was lifted */
	wall_us was_tail_us;
};

/* Guests of one lease that start and stop together: a gang, or one VM of a serial lease. */
struct unit {
	const struct lease_spec *spec;
	struct seat *seat; /* in order of vm index */
	uint32_t n;
	span_us left_us; /* the longest of what its guests still have to run */
};

/* A node that could take some of the VMs. */
struct choice {
	struct node *node;
	uint32_t count;   /* VMs it could take, later: takes */
	wall_us ready_us; /* from when the image is there; 0 = it is, WALL_NEVER = needs a transfer */
	bool before;      /* the unit was planned there */
	wall_us until_us; /* cut runs, and policies that want it: when something there is in the way */
	uint32_t used;    /* policies that want it: thousandths in use at the start, of the resource most used */
	uint32_t ahead;   /* the same: thousandths of the run until until_us, 1000 = all of it */
};

struct choices {
	struct choice *item;
	size_t count, room;
	uint32_t vms;    /* sum of counts */
	bool pool_short; /* some node was left out only as its pool has no room for the image */
};

/* True if units of such a lease may be suspended, so that a run of them may be cut short. */
bool place_may_cut(const struct plan *plan, const struct lease_spec *spec);
/* What a node has beyond use, as a limit for slots_until() and slots_fit(): resources of which use is 0 do not count.
 */
static inline struct capacity place_limit(const struct node *node, struct capacity use)
{
	for (int r = 0; r < RES_COUNT; r++) {
		use.amount[r] = use.amount[r] ? node->info.capacity.amount[r] - use.amount[r] : INT64_MAX / 4;
	}
	return use;
}
/* True if the node has room for that use in all of [start_us, end_us), promises on standby not counted. */
static inline bool place_room(const struct node *node, struct capacity use, wall_us start_us, wall_us end_us)
{
	return start_us >= end_us || slots_within(node->slots, place_limit(node, use), start_us, end_us);
}
/*
 * How many VMs of that lease the node has room for during a run that boots and stops; 0..limit. O(log n).
 * Here and below promises need room beside what is used and also beside what is firm, which has in it what is on
 * standby; best-effort leases may use that while it is not called.
 */
uint32_t place_count(const struct node *node, const struct lease_spec *spec, const struct run *run, uint32_t limit);
/*
 * How much later the run of one VM could be at most and all runs up to then have room; below 0 if this one has none.
 * For best-effort leases without a period.
 */
span_us place_slack(const struct node *node, const struct lease_spec *spec, const struct run *run);
/*
 * Under the same conditions: no start between the run's, which has no room, and the one returned is possible. Asked for
 * any start up to *last_us, none of which has room, it is the same one.
 */
wall_us place_start(const struct node *node, const struct lease_spec *spec, const struct run *run, wall_us *last_us);
/* The most that is taken in [from_us, to_us), for a lease of that kind. */
struct capacity place_peak(const struct node *node, const struct lease_spec *spec, wall_us from_us, wall_us to_us);
/* The first time at or after from_us when there is no room for that use, or WALL_NEVER. */
wall_us place_until(const struct node *node, const struct lease_spec *spec, struct capacity use, wall_us from_us);
/*
 * The first from which there may be for length_us (> 0): seldom one at which there is not, more often if points, as in
 * slots_fit_near(), are few; or WALL_NEVER.
 */
wall_us place_fit(const struct node *node, const struct lease_spec *spec, struct capacity use, wall_us from_us,
		  span_us length_us, size_t points);
/* True if in [from_us, to_us) the node has no more booked than it has, of the resources of which use is not 0. */
bool place_within(const struct node *node, const struct lease_spec *spec, struct capacity use, wall_us from_us,
		  wall_us to_us);
/* The first change point later than after_us on any node that takes new guests, or WALL_NEVER. */
wall_us place_next(const struct plan *plan, wall_us after_us);
/* How many the node could hold if it were empty; 0..limit. */
uint32_t place_most(const struct plan *plan, const struct node *node, const struct lease_spec *spec, uint32_t limit);

struct nodes {
	struct node *const *item; /* the planner's, or who made it says whose */
	size_t count;
};
static inline struct nodes place_all(const struct plan *plan)
{
	return (struct nodes){plan->nodes, plan->node_count};
}
/*
 * Those of the nodes that take new guests, have room in the pool, and could take VMs of the unit for this run, in no
 * order.
 */
void place_list(struct plan *plan, const struct unit *unit, const struct run *run, struct nodes among,
		struct choices *out);
/*
 * Orders (image there first, then where it was before, then most VMs) and cuts to n VMs. False if there are not that
 * many; then the order is made, nothing cut.
 */
bool place_pick(const struct plan *plan, struct choices *choices, uint32_t n);
/* The nodes of the choices. The planner's, until the next call. */
struct node *const *place_nodes(struct plan *plan, const struct choices *choices);
/* Gives every seat of the unit a node, each guest the one it was planned on before if that is among them. */
void place_seat(const struct plan *plan, struct unit *unit, const struct choices *choices);
/* True if the seat is a suspended guest's whose memory is on another node. */
static inline bool place_moved(const struct seat *seat)
{
	return seat->was.state == LEASE_SUSPENDED && !seat->was.planned && seat->was.node != seat->node->info.id;
}
/* Takes the unit's guests out of the table, and puts them back as they were. */
void place_lift(struct plan *plan, struct unit *unit);
void place_put_back(struct plan *plan, const struct unit *unit);
/* True if all that is booked of the unit's guests is there to be had. */
bool place_holds(const struct plan *plan, const struct unit *unit);
/*
 * Books the lifted unit for this run on the nodes of its seats: saving and restoring of several guests on one node are
 * laid one after another, so that of prepare_us (when resuming) and release_us only one guest's is as run says. False
 * if some node has no room after all; then the unit is lifted as before.
 */
bool place_book(struct plan *plan, struct unit *unit, const struct run *run);

/* The unit's guests, nodes as they are; guest NULL = all that are open. The caller frees seat. */
void place_unit(struct contract *contract, struct guest *guest, struct unit *out);

#endif
