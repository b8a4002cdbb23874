/*
 * What the planner knows, shared by the files of lib/core that together are the planner. Not for callers of plan.h.
 *
 * Within one step anything may be changed back and forth; every guest, lease and transfer is remembered as it was at
 * its first change (touch), and plan_emit() writes down only what is different in the end.
 */
#ifndef TENURE_PLAN_STATE_H
#define TENURE_PLAN_STATE_H

#include <bsd/sys/tree.h>

#include "glance.h"
#include "lane.h"
#include "plan.h"
#include "timers.h"

#define GUEST_SLOTS 6 /* HOLD before, HOLD while fetched, PREPARE or RESUME, RUN, STOP or SUSPEND, HOLD after */

/* A VM with what belongs to it: its place in the slot table and on its node. */
struct guest {
	struct contract *contract;
	struct vm *vm;                 /* contract->lease.vms + index */
	struct node *node;             /* where it is booked, NULL = nowhere */
	uint32_t memory;               /* 1 + its index in plan->memories, 0 = untouched in this step */
	uint32_t timer : 29;           /* 1 + its index in plan->timers, 0 = it has none */
	uint32_t fresh : 1;            /* never told of yet: its row is new */
	uint32_t held : 1;             /* the first of a unit whose reservation the pass left to it */
	uint32_t unseen : 1;           /* for a look its slots are out of the tables: its slice does not count */
	wall_us leave_us;              /* it left in this step: when what was begun of its slots ends */
	wall_us hold_us;               /* suspended: since when; start of its HOLD slot */
	wall_us tail_us;               /* overdue: the end of its last slot, when later than run.release_us */
	uint64_t slot_id[GUEST_SLOTS]; /* by enum guest_slot; 0 = none */
	union {                        /* on its node: */
		struct {
			RB_ENTRY(guest) promise;
			wall_us latest_us; /* promised: when the last of its subtree is gone */
		};
		struct {
			struct guest *prev, *next; /* best-effort, planned or lying, or standing by */
		};
	};
	struct stage *stage;                   /* its image there */
	struct node *old_node;                 /* it is to go on elsewhere: where its memory is; else NULL */
	struct guest *old_prev, *old_next;     /* those whose memory is there */
	struct stage *old_stage;               /* its image there */
	struct guest *stage_prev, *stage_next; /* those that need it there */
};

enum guest_slot { SLOT_AT_HOLD, SLOT_AT_COPY, SLOT_AT_LEAD, SLOT_AT_RUN, SLOT_AT_TAIL, SLOT_AT_REST };

/* A lease that is not final. */
struct contract {
	struct lease lease;
	struct vm *vms;  /* the lease's, also when it is rejected and shows none */
	uint32_t booked; /* guests that are on a node */
	bool touched;
	bool begun;        /* some guest was booked once: its VMs may be in different states */
	struct reason why; /* of the state it moves to in this step */
	bool broken;       /* in this step: an agreement was not kept, why says how */
	bool answered;     /* in this step it was resized, called or tuned: its row is told anew */
	bool tuned;        /* in this step its constraint was changed: its slots and nodes are told anew */
	RB_ENTRY(contract) by_id;
	RB_ENTRY(contract) by_turn; /* best-effort: by submission, which is by id; deadline: by slack */
	enum { LISTED_NO, LISTED_WAITING, LISTED_OTHER, LISTED_ENDED } listed; /* in plan->backlog */
	int64_t listed_key;
	uint32_t hemmed; /* the guest on whose node queue_refit() last found others in the way, to look there first */
	struct contract *next; /* of those that ended in this step */
	struct guest guest[];  /* lease.spec.vms of them; behind them the vms */
};

/* An image on a node: needed, on its way, or there. */
struct stage {
	struct node *node;
	uint64_t image;
	int64_t size;
	struct guest *guests; /* those booked on the node that need it */
	uint32_t users;       /* how many they are */
	uint32_t riders;      /* of them, planned best-effort ones */
	uint32_t leaving;     /* of the users those, not among the guests, that are to go on elsewhere */
	bool present;         /* in the pool, by the agent's word */
	bool touched;
	bool loose;                /* in plan->loose */
	wall_us came_us;           /* when it last came at no cost of time; 0 = it did not */
	wall_us until_us;          /* the last of its users needs it until then */
	wall_us meant_us;          /* while nodes are chosen: the guests it is for will need it until then */
	wall_us held_from_us;      /* what it takes of the pool: room in [held_from_us, held_until_us) */
	wall_us held_until_us;     /* the same as held_from_us: none */
	struct flight *flight;     /* that brings it; NULL = none */
	struct stage *prev, *next; /* in that flight */
	struct transfer transfer;  /* id 0 = there was none */
	struct transfer old;       /* as first touched in this step; id 0 = there was none */
};

/* Sorted by image, to be searched without looking at the stages themselves. */
struct stage_at {
	uint64_t image;
	struct stage *stage;
};

/* One transfer over a link: to one node or, with multicast, to any number of them at once. */
struct flight {
	struct link *link;
	struct stage *stages; /* their transfers have the flight's times */
	uint64_t image;
	uint32_t node; /* the lowest id among its nodes */
	span_us length_us;
	wall_us start_us; /* WALL_NEVER = it has no place yet */
	wall_us end_us;
	wall_us deadline_us; /* the earliest of its stages' */
	bool begun;          /* too far on to be moved */
	bool kept;           /* it arrives, even if nobody it was for is left */
	bool shown;          /* the guests that wait for it are shown as preparing */
	bool late;           /* counted in link->late */
	uint64_t hastened;   /* the step in which, last, a queued guest wanted it as soon as possible */
	wall_us aim_us;      /* scratch of link_layout(): where it would best start */
	wall_us was_us;      /* and where it did before */
};

struct link {
	struct flight **item; /* by start; those that have begun are the first */
	size_t count, room;
	struct flight **scratch;
	size_t scratch_room;
	int64_t rate;
	bool blind;   /* promised flights go without regard to others, and so promise nothing */
	size_t late;  /* flights that end after their deadline */
	bool stale;   /* something is gone or hurried: to be laid out anew */
	bool changed; /* in this step gaps may have appeared */
	bool laid;    /* in this step promised flights were put where they have to be, best-effort ones before them */
};

/* A flight's times before they were changed, for link_undo(). */
struct flight_was {
	struct flight *flight;
	wall_us start_us, end_us;
};

#define LINKS 2 /* the promises', and the best-effort flights' if they have one of their own */

/* What was measured on a node; estimate.c's. */
struct lesson {
	struct estimate row;
	span_us span_us; /* what that makes one to come; 0 = too few to tell */
	bool changed;    /* in this step */
};

struct learnt {
	struct lesson *item; /* by what and memory */
	size_t count, room;
	bool changed;    /* one of them */
	wall_us last_us; /* when the last measurement ended */
};

RB_HEAD(promises, guest);

struct node {
	struct node_info info;
	uint32_t column;     /* in plan->glance */
	struct slots *slots; /* what is used when */
	struct slots *firm;  /* of it what promises use, and beside it what is on standby; NULL = nothing ever was */
	struct promises promised;  /* guests that are not best-effort, by when they are prepared: may be thousands */
	struct guest *best_effort; /* planned ones, in no order: about as many as run at a time */
	struct guest *lying;       /* suspended ones without a plan, in no order: may be many */
	struct guest *standby;     /* of open leases that were not called, in no order */
	struct guest *leaving;     /* suspended ones that are booked to go on elsewhere */
	struct lane *lane;         /* their saving and restoring; plan->lane if that is one at a time everywhere */
	struct stage_at *stages;   /* by image */
	size_t stage_count, stage_room;
	struct slots *pool;  /* bytes of needed images over time, as RES_DISK; NULL = nobody asked yet */
	int64_t pool_booked; /* bytes of all images that are needed at any time */
	int64_t pool_owed;   /* the pool's size, or what is needed beyond that by no plan of ours */
	struct learnt learnt;
	struct capacity owed;      /* its capacity, or what is booked beyond it, since it was lowered; for check.c */
	struct capacity owed_firm; /* the same of what is firm */
	bool loose;   /* what it can keep of slices and periods was lowered below what was booked; for check.c */
	bool listed;  /* in plan->changed */
	bool changed; /* its part of the plan, in this step */
	/* Scratch of one search. */
	uint32_t count;
	span_us save_us, restore_us, copy_us;
	wall_us limit_us;
	struct view *views; /* see view.h; NULL = no search came by */
	/* Scratch of room.c, for one queue pass. */
	struct capacity free; /* at the earliest start */
};

/* What remains booked of a guest that left: it takes the node a moment to hear of it and to clear up. */
struct orphans {
	struct slot *item;
	size_t count, room;
	size_t told; /* so many, the first, were there before this step, and have their rows */
};

/* A guest as it was before this step. */
struct memory {
	struct guest *guest;
	struct vm vm;
	struct node *node;
	wall_us hold_us, tail_us;
	uint64_t slot_id[GUEST_SLOTS];
};

/* A lease as it was before this step. */
struct touched {
	struct contract *contract;
	struct lease old;
};

#define SHARE_STEPS 64 /* eight half-lives of eight steps each */

/* What a user used; see share.h. */
struct share {
	uint32_t user;
	int64_t last;                /* the newest step of which there is anything */
	int64_t amount[SHARE_STEPS]; /* millicores x seconds, by step modulo SHARE_STEPS */
};

/* What a search for room (room.c) knows of a node. */
struct sight {
	wall_us next_us;     /* when fits may be different */
	wall_us lie_us;      /* from when on there is room for ever for who lies there suspended */
	struct view *view;   /* what is remembered of it; NULL = nothing */
	uint32_t most, fits; /* VMs it could hold if it were empty, and at the time looked at */
	uint32_t whole;      /* and then for all their time */
};

/* So many more VMs a node may have room for, from then on. */
struct gain {
	wall_us at_us;
	uint32_t vms;
};

/* A lease of the queue with its key by the policy. The rest backlog.c knows of those that wait. */
struct turn {
	int64_t key;
	struct contract *contract;
	wall_us had_us; /* when it would have been submitted if it had not waited since */
	__int128 work;  /* microseconds of a thousandth of a CPU it has left */
	uint32_t vms;   /* that must find room together */
	uint32_t size;  /* of them, in backlog->size */
};

#define BACKLOG_SIZES 32 /* told apart; as many as a pass remembers anything of */

/* See backlog.h. */
struct backlog {
	struct turn *item; /* who waits, by key and id */
	size_t count, room;
	__int128 work;           /* theirs */
	struct contract **other; /* by id */
	size_t other_count, other_room;
	struct capacity size[BACKLOG_SIZES];
	uint32_t sizes;
};

/* What was asked of a lease in this step, and could not be. */
struct refusal {
	uint64_t lease;
	struct reason reason;
};

RB_HEAD(contracts, contract);
RB_HEAD(turns, contract);
RB_HEAD(deadlines, contract);

struct plan {
	struct plan_settings settings;
	wall_us now_us;
	struct node **nodes; /* by id */
	uint32_t *columns;   /* theirs, in the same order */
	struct glance *glance;
	size_t node_count;
	struct lane *lane; /* EXCLUSION_GLOBAL: of all nodes; else NULL */
	wall_us moved_us;  /* when the last measurement on any node ended */
	struct {
		int64_t memory, rate;
		span_us span_us;
	} plain[ESTIMATE_COUNT]; /* estimate.c's last answers that follow from a rate alone: most nodes have the same */
	struct image_info *images; /* by id */
	uint32_t *copies;          /* the same order: on how many nodes each is */
	size_t image_count;
	struct contracts contracts;
	struct turns turns;
	struct deadlines deadlines;
	struct timers timers;
	struct orphans orphans;
	bool firm; /* nodes have tables of what is firm */
	struct link link[LINKS];
	uint64_t last_slot, last_transfer;
	struct offer offer;
	uint64_t step; /* counts those that ended, plan_ask() among them; only ever compared with flight->hastened */
	struct share *shares; /* by user */
	size_t share_count, share_room;
	struct sight *sights; /* of the search under way, by node */
	size_t sight_room;
	struct gain *gains; /* scratch of it */
	size_t gain_room;
	struct room_stock *stocks; /* room_staged()'s; NULL = nobody asked yet */
	uint64_t stock_age;        /* counts how often what they say has become doubtful */
	struct backlog backlog;    /* of turns */
	struct turn *order;        /* scratch of one queue pass */
	size_t order_room;
	/* Of this step. */
	struct memory *memories;
	size_t memory_count, memory_room;
	struct touched *touched;
	size_t touched_count, touched_room;
	struct node **picked; /* scratch of place_nodes() */
	size_t picked_room;
	struct node **changed; /* nodes of which there is something to tell */
	size_t changed_count, changed_room;
	struct stage **staged; /* stages touched */
	size_t staged_count, staged_room;
	bool outdated;        /* the images of some of them were removed */
	struct stage **loose; /* stages prep_trim() is to look at */
	size_t loose_count, loose_room;
	struct flight_was *undo;
	size_t undo_count, undo_room;
	bool marked;
	struct {
		bool stale, changed;
	} mark[LINKS]; /* as link_mark() found them */
	struct refusal *refusals;
	size_t refusal_count, refusal_room;
	struct contract *ended;    /* final since this step; freed at the next */
	struct contract **arrived; /* new in the queue */
	size_t arrived_count, arrived_room;
	struct guest **late; /* that plan_overdue() is to look at */
	size_t late_count, late_room;
	bool tails_dropped; /* the queue was dropped for overdue guests, of whom there may be more */
	bool queue_due;     /* something changed that may let the queue move */
	bool queue_look; /* what was foreseen has come, so that who waits may start, but nobody sooner than foreseen */
	/* Least id of the leases of which a VM ended in this step; 0 = a promise's did, or a node changed; UINT64_MAX =
	 * none. */
	uint64_t freed_by;
	bool owing;    /* some node owes more than it has */
	bool restored; /* no step was taken since it was rebuilt */
	/* While rebuilding. */
	bool restoring;
	struct slot *rows;
	size_t row_count, row_room;
};

RB_PROTOTYPE(promises, guest, promise, promise_compare)
RB_PROTOTYPE(contracts, contract, by_id, contract_compare)
RB_PROTOTYPE(turns, contract, by_turn, contract_compare)
RB_PROTOTYPE(deadlines, contract, by_turn, deadline_compare)

/* Grows an array of count items so that one more fits. */
void *plan_grow(void *items, size_t count, size_t *room, size_t size);

/* guest.c: a guest's bookings. */

/* The slots that follow from the guest's vm, hold_us and tail_us. */
struct guest_slots {
	bool there[GUEST_SLOTS];
	struct slot at[GUEST_SLOTS];
};
void guest_slots(const struct guest *guest, struct guest_slots *out);
/* For a look takes such slots of the guest, which is on a node, out of the tables, and puts them back. */
void guest_look_without(struct plan *plan, struct guest *guest, enum guest_slot first, enum guest_slot last,
			bool without);
/* Remembers the guest (and its contract) as it is now; to be called before any change. */
void guest_touch(struct plan *plan, struct guest *guest);
void contract_touch(struct plan *plan, struct contract *contract);
/* The spans of the node's lane that are the guest's: restoring and saving it; of no length if there is no such thing.
 */
struct guest_moves {
	wall_us restore_us, restored_us, save_us, saved_us;
};
struct guest_moves guest_moves(const struct guest *guest);
/* True if it goes on elsewhere than where its memory is, and has not been seen there. */
bool guest_moving(const struct guest *guest);
/* The id of the node its memory is on, if it is suspended. */
uint32_t guest_home(const struct guest *guest);
/* Takes its slots out of the table and it off its node. A guest that is nowhere stays so. */
void guest_unbook(struct plan *plan, struct guest *guest);
/* Puts it on the node vm->node with the slots that follow from its state. */
void guest_book(struct plan *plan, struct guest *guest);
/* Books the guest for a run on a node: SCHEDULED if it boots. Chooses its generation. */
void guest_plan(struct plan *plan, struct guest *guest, struct node *node, const struct run *run);
/* The promised guest on the node that is prepared first, not before at_us; NULL = there is none. */
const struct guest *guest_promised_after(const struct node *node, wall_us at_us);
/* When the last of those guests is gone that are being destroyed on the node in [from_us, to_us); 0 = none is. */
wall_us guest_stops_until(const struct node *node, wall_us from_us, wall_us to_us);
/* The end of its last slot, overdue or not. */
wall_us guest_tail(const struct guest *guest);
/* True if it is of an open lease that was not called yet: a node is kept for it, but it has no run. */
bool guest_stands_by(const struct guest *guest);
/* Gives every node a table of what is firm, now that there is to be something on standby. */
void plan_keep_firm(struct plan *plan);
/* All guests of a node one after another, promised ones first; NULL at the end. */
struct guest *guest_first(const struct node *node);
struct guest *guest_next(const struct guest *guest);
/* What it was when this step began, if it was planned then; else NULL. */
const struct vm *guest_before(const struct plan *plan, const struct guest *guest);
/* Back to the queue: without a run if it is suspended, else as if never booted. */
void guest_unplan(struct plan *plan, struct guest *guest);
/* Moves its state; the move must be allowed. */
void guest_move(struct plan *plan, struct guest *guest, enum lease_state to);
/* Off its node for good; what was begun of its slots stays booked until leave_us (0 = nothing does). */
void guest_leave(struct plan *plan, struct guest *guest, wall_us leave_us);
/* Leaves and becomes final. */
void guest_finish(struct plan *plan, struct guest *guest, enum lease_state to, wall_us leave_us);
/* What is left of its duration, >= 1. */
span_us guest_left(const struct guest *guest);
/* True while its run is not begun and no promise: the queue may choose again. */
bool guest_soft(const struct plan *plan, const struct guest *guest);
/* The same of all open guests of a gang: one that has begun in part is begun. */
bool gang_soft(const struct plan *plan, const struct contract *contract);
/* True if the node may be told of something new. */
static inline bool node_takes_new(const struct node *node)
{
	return node->info.state == NODE_UP;
}
void orphans_add(struct plan *plan, const struct slot *slot);
/* Releases those that are over; true if that may let the queue move. */
bool orphans_sweep(struct plan *plan);

/* There is something to tell of the node at the end of the step. */
void node_list(struct plan *plan, struct node *node);

struct node *plan_find_node(const struct plan *plan, uint32_t id);
const struct image_info *plan_find_image(const struct plan *plan, uint64_t id);
struct contract *plan_find_contract(const struct plan *plan, uint64_t id);

/* plan_lease.c */
struct contract *contract_new(struct plan *plan, uint64_t id, const struct lease_spec *spec);
void contract_free(struct contract *contract);
/* Puts it among the leases of its kind that are looked at in turn, or takes it out. */
void contract_enlist(struct plan *plan, struct contract *contract);
void contract_delist(struct plan *plan, struct contract *contract);
void plan_request(struct plan *plan, uint64_t id, const struct lease_spec *spec);
void plan_cancel(struct plan *plan, uint64_t id);
/* What was asked of a lease that goes on is not done. */
void plan_refuse(struct plan *plan, uint64_t id, const struct reason *reason);
/* Ends every guest of it that is open, except keep (may be NULL). */
void contract_end(struct plan *plan, struct contract *contract, enum lease_state to, const struct guest *keep);
/* Gives up a best-effort guest's progress, or its whole gang's: it starts anew from the queue. */
void contract_requeue(struct plan *plan, struct guest *guest);

/* plan_resize.c */
void plan_resize(struct plan *plan, uint64_t id, span_us duration_us);

/* plan_tune.c */
void plan_tune(struct plan *plan, uint64_t id, span_us slice_us, span_us period_us);

/* call.c */
void plan_call(struct plan *plan, uint64_t id);

/* plan_vm.c */
void plan_vm_seen(struct plan *plan, const struct event *event);
/* What time alone changes: prepare begins, an end is reached. */
void plan_timers(struct plan *plan);
/* What that nobody confirmed changes, once all that this step tells of guests has been taken. */
void plan_overdue(struct plan *plan);
/* Ends the guest's unit if all that is left of it is suspended and has had all its time. */
void guest_finish_spent(struct plan *plan, struct guest *guest);
/* Puts the guest's timer where its state wants it. */
void guest_set_timer(struct plan *plan, struct guest *guest);

/* plan_node.c */
void plan_node_event(struct plan *plan, const struct node_info *info);
void plan_image_event(struct plan *plan, const struct image_info *info);
void plan_image_removed(struct plan *plan, uint64_t image);
struct node *node_add(struct plan *plan, const struct node_info *info);
/* What is booked beyond what it has is owed, as long as it is booked. */
void node_owe(struct plan *plan, struct node *node);
/* What is owed no longer is not. At a step's begin, so that it does not matter since when a planner remembers. */
void plan_owe_less(struct plan *plan);
/* The node's agent has given the image up: what waits for it there fails. */
void plan_transfer_failed(struct plan *plan, struct node *node, uint64_t image);

/* plan_emit.c */
void plan_emit(struct plan *plan, struct actions *out);
/* Undoes everything since the step began, when there were that many orphans. */
void plan_rollback(struct plan *plan, size_t orphans);
/* Takes what is as what was told; for rebuilding. */
void plan_settle(struct plan *plan);
/* Frees what ended in the step before. */
void plan_forget(struct plan *plan);

#endif
