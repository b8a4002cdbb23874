/*
 * Nodes for a unit of the queue at a given time: for all of its run or, where units may be suspended, for one that is
 * cut short.
 */
#ifndef TENURE_PICK_H
#define TENURE_PICK_H

#include "room.h"

/*
 * So many leases may wait for their images, however many more there is room for: the link brings one after another, and
 * until theirs has come they keep nodes and pools from those behind them whose images are there.
 */
#define PICK_STAGED_MAX 8

/* One pass over the queue. */
struct pass {
	struct plan *plan;
	struct room room;
	struct choices choices, whole; /* scratch */
	uint32_t reservations;         /* how many more may be given */
	bool closed;                   /* nobody starts any more: one who waits may not be overtaken */
	uint32_t moves;                /* of those that have their places already, so many more are given better ones */
	uint32_t staged;               /* leases that wait for nothing but their image */
	uint32_t vain;                 /* how many found room, but not for when their image would be there */
	wall_us tried_us;              /* the start the last attempt tried last */
	bool missed;                   /* the last attempt failed as there was no room, whatever the image */
};

/* False if units of that lease may start only where their image is already, and it is nowhere. */
bool pick_staged(const struct pass *pass, const struct lease_spec *spec);
/* False once enough others wait for images: then only nodes will do that have the unit's. */
bool pick_may_fetch(const struct pass *pass, enum run_from from);
/* True if it makes no difference to the run which nodes have the image. */
bool pick_anywhere(const struct pass *pass, uint64_t image, const struct run *run);
/* What a suspended unit must be able to run at least before it is suspended again. */
span_us pick_resume_least(const struct plan *plan, const struct unit *unit);
/* How long the unit must have room at least: for all it has left, or for as much as is worth it and being saved. */
span_us pick_need(struct pass *pass, const struct unit *unit, enum run_from from);
/*
 * For how many of the unit's VMs, counted no further than to all, pick_nodes() would find nodes at most, for as much of
 * that run as it takes to be worth it. Much cheaper, as it says nothing of pools and disks; that makes it true of a
 * unit that is not lifted too.
 */
uint32_t pick_listable(struct pass *pass, const struct unit *unit, const struct run *run);
/*
 * Puts nodes for the run into pass->choices: *whole if enough can have the unit for all of it, else those on which it
 * can stay longest, limit_us of each set to when it must be clear. False if that is not possible; pass->missed if that
 * is for want of room, and then choices.vms is for how many there is.
 */
bool pick_nodes(struct pass *pass, struct unit *unit, const struct run *run, bool *whole);
/* Books a unit whose seats are chosen until it must be saved by its nodes' limit_us. */
bool pick_book_cut(struct pass *pass, struct unit *unit, struct run run);

#endif
