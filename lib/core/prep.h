/*
 * Images on their way: transfers share the repository's link one after another. Those that advance reservations wait
 * for go by earliest deadline, each as late as is safe (EDF/JIT); best-effort ones first come, first served in the
 * slack; what is idle after that brings the former ahead of time, so that a repository that goes down later harms none.
 */
#ifndef TENURE_PREP_H
#define TENURE_PREP_H

#include "plan_state.h"

/* The image on the node, NULL if nothing is known of it there. */
struct stage *prep_find(const struct node *node, uint64_t image);
bool prep_present(const struct node *node, uint64_t image);
/* From when on the image is there: 0 if it is, the planned end of its transfer, WALL_NEVER if there is none. */
wall_us prep_ready(const struct node *node, uint64_t image);
/* True if the pool has room for it until the end of the run, beside the images others need then. */
bool prep_pool_fits(const struct plan *plan, const struct node *node, uint64_t image, const struct run *run);
/* True if its transfer is on the link and too far on to be moved. */
bool prep_begun(const struct plan *plan, const struct stage *stage);

/* A guest was booked on the node, or taken off it. */
void prep_use(struct plan *plan, struct node *node, const struct guest *guest);
void prep_leave(struct plan *plan, struct node *node, const struct guest *guest);

/*
 * Plans (or shares) transfers so that the image is on these nodes by deadline_us. False if some transfer, these or one
 * promised before, would be late: then nothing is changed.
 */
bool prep_promise(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, wall_us deadline_us);
/* Takes back what prep_promise() did for guests that were then not booked. */
void prep_withdraw(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n);
/*
 * Plans (or shares) transfers in the slack, after all best-effort ones before them; when the image is on all of these
 * nodes.
 */
wall_us prep_append(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n);
/* When the image could be on that many more nodes, did only what is under way come before. */
wall_us prep_earliest(const struct plan *plan, uint64_t image, uint32_t nodes);
/* Takes off the link what nobody needs and has not begun. */
void prep_trim(struct plan *plan);
/* Lays out the link anew, after something left it or time passed. */
void prep_layout(struct plan *plan);
/* Moves promised transfers into gaps before their places, at most stage_ahead_us before their deadlines. At a step's
 * end. */
void prep_ahead(struct plan *plan);

void prep_seen_present(struct plan *plan, struct node *node, uint64_t image);
void prep_seen_absent(struct plan *plan, struct node *node, uint64_t image);
/* For good. What needs it there is the caller's. */
void prep_seen_failed(struct plan *plan, struct node *node, uint64_t image);
/* Transfers that began, and those that are late. */
void prep_tick(struct plan *plan);
/* When prep_tick() has something to do; WALL_NEVER = nothing. */
wall_us prep_next(const struct plan *plan);

void stage_touch(struct plan *plan, struct stage *stage);
/* Finds or makes it. */
struct stage *prep_stage(struct plan *plan, struct node *node, uint64_t image);
/* For rebuilding: the transfer is on the link as the row says. */
void prep_restore(struct plan *plan, struct stage *stage, const struct transfer *transfer);

#endif
