/* Images on nodes: where they are, who needs them there, and by which transfer they come. Times are link.c's. */
#ifndef TENURE_PREP_H
#define TENURE_PREP_H

#include "plan_state.h"

/* The image on the node, NULL if nothing is known of it there. */
struct stage *prep_find(const struct node *node, uint64_t image);
/* Finds or makes it. */
struct stage *prep_stage(struct plan *plan, struct node *node, uint64_t image);
/* Frees it: nobody has a use for it, and it is on no link. */
void prep_forget(struct stage *stage);
/* On how many nodes the image is. */
uint32_t prep_copies(const struct plan *plan, uint64_t image);
/* It is there, or is not; nothing follows from it here. */
void prep_set_present(struct plan *plan, struct stage *stage, bool present);
bool prep_present(const struct node *node, uint64_t image);
/* True if the image may not be evicted there. */
bool prep_needed(const struct plan *plan, const struct stage *stage);
/* From when on its image is there: 0 if it is, the planned end of its transfer, WALL_NEVER if there is none. */
static inline wall_us stage_ready(const struct stage *stage)
{
	return stage->present ? 0 : stage->flight ? stage->flight->end_us : WALL_NEVER;
}
/* The same of an image on a node, WALL_NEVER also if it is not known there. */
wall_us prep_ready(const struct node *node, uint64_t image);
/* True if the image is on its way to some node. */
bool prep_brings(const struct plan *plan, uint64_t image);
/* True if its transfer is too far on to be moved. */
bool prep_begun(const struct stage *stage);
/* The same, and it ends after by_us; never under strategies that promise nothing. */
bool prep_too_late(const struct node *node, uint64_t image, wall_us by_us);
/* When its image could be on that many more nodes, did only what is under way on such a lease's link come before. */
wall_us prep_earliest(struct plan *plan, const struct lease_spec *spec, uint32_t nodes);
/* How many transfers it takes to bring an image to that many nodes. */
uint32_t prep_flights(const struct plan *plan, uint32_t nodes);

/* A guest was booked on the node, or taken off it. */
void prep_use(struct plan *plan, struct node *node, struct guest *guest);
void prep_leave(struct plan *plan, struct guest *guest);
/* Its memory stays on a node it is to leave, and with it what it needs of its image there; and not any more. */
void prep_keep(struct plan *plan, struct node *node, struct guest *guest);
void prep_let_go(struct plan *plan, struct guest *guest);

/*
 * Its transfer, if it is under way, is for a guest that goes back to the queue: it goes on while there is room for it,
 * so that those who begin anew do not do so for ever. The stage may be NULL.
 */
void prep_keep_going(struct plan *plan, struct stage *stage);
/* A guest it was for has no use for it any more, as its image was there once; the stage has a transfer. */
void prep_moved_on(struct plan *plan, struct stage *stage);
/* prep_keep_going() for all transfers under way that nobody planned waits for; once guests were put back, or rebuilt.
 */
void prep_still_going(struct plan *plan);

/*
 * Plans (or shares) transfers so that the image is on these nodes when the run wants to prepare. False if some
 * transfer, these or one promised before, would be late: then nothing is changed. A strategy that promises nothing
 * always says true.
 */
bool prep_promise(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, const struct run *run);
/* Takes back what the last prep_promise() did, before anything else was promised or appended. */
void prep_withdraw(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n);
/*
 * Plans (or shares) transfers in the slack, where they delay no other: leases that wait have their images brought in
 * the order in which the queue asks; not before from_us. When the image is on all of these nodes; WALL_NEVER if some
 * pool will have no room. To be followed by prep_trim().
 */
wall_us prep_append(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, const struct run *run,
		    wall_us from_us);
/* Takes off the links what was asked for or needed before, is needed by nobody now, and has not begun. */
void prep_trim(struct plan *plan);
/* Lays out the links anew where something left or time passed. */
void prep_layout(struct plan *plan);
/*
 * At a step's end: takes off what nobody needs, even if it has begun, and brings promised images ahead of time while
 * the link is idle.
 */
void prep_ahead(struct plan *plan);
/* The step is over. */
void prep_settle(struct plan *plan);
/* All stages and links as they were before the step. Guests were put back already. */
void prep_rollback(struct plan *plan);

/* Whoever is there already, or lies suspended there, asks for no transfer. */
bool prep_awaited(const struct stage *stage);
/* The earliest time a promised guest wants to begin with the image; WALL_NEVER if only best-effort ones wait for it. */
wall_us prep_deadline(const struct stage *stage);
/* To be looked at by prep_trim(). */
void prep_loosen(struct plan *plan, struct stage *stage);
/* The flight is kept no longer when all it is for are planned again, or when there is no room for it. */
void prep_review(struct plan *plan, struct flight *flight);
void stage_touch(struct plan *plan, struct stage *stage);

#endif
