/*
 * The links out of the image repository: what goes over them when. Flights share a link one after another. Promised
 * ones go by earliest deadline, each as late as is safe (EDF/JIT) or as early as possible (EDF); best-effort ones in
 * the slack, where nobody who asked before is delayed by them; what is idle after that brings promised ones ahead of
 * time, so that a repository that goes down later harms none. Under the other strategies a promised flight goes at a
 * time of its own, whatever else does.
 */
#ifndef TENURE_LINK_H
#define TENURE_LINK_H

#include "plan_state.h"

void link_init(struct plan *plan);
void link_fini(struct plan *plan);

/* The link for promised flights, or for best-effort ones: one and the same unless settings part them. */
struct link *link_of(struct plan *plan, bool best_effort);
/*
 * How long the stage's image surely takes its room while this flight brings it: 0 if who it is meant for is tried anew
 * should it come too late.
 */
span_us flight_holds(const struct flight *flight, const struct stage *stage);

/* A flight with nobody aboard, without a place (start WALL_NEVER). It is freed when the last stage leaves it. */
struct flight *flight_new(struct link *link, uint64_t image, int64_t size);
/* The stage's image comes by this flight. Taken off and put back in one step its transfer stays the same one. */
void flight_board(struct plan *plan, struct flight *flight, struct stage *stage, wall_us deadline_us);
void flight_leave(struct plan *plan, struct stage *stage);
/* Such a one as that was, where it was, with nobody aboard; and a stage that was aboard, with its transfer as it was.
 */
struct flight *flight_again(struct plan *plan, const struct flight *was);
void flight_reboard(struct flight *flight, struct stage *stage, const struct transfer *transfer);
/* Changes by when the stage needs it. Moves nothing. */
void flight_need(struct plan *plan, struct stage *stage, wall_us deadline_us);
/* It arrives later than planned, where it is. */
void flight_delay(struct plan *plan, struct flight *flight, wall_us end_us);
/* It has to begin anew: off its place. */
void flight_restart(struct plan *plan, struct flight *flight);
/* A flight of the image that has not begun and ends by end_us, the last such one; else the first one; NULL = none. */
struct flight *link_share(const struct link *link, uint64_t image, wall_us end_us);

/* Puts it where it is in time without moving others, if there is such a place; else nothing is changed. */
bool link_place(struct plan *plan, struct flight *flight);
/* Puts it at this time or soon after, beside whatever else goes then. */
void link_place_blind(struct plan *plan, struct flight *flight, wall_us start_us);
/* True if a flight of that length could begin at once. */
bool link_idle(const struct plan *plan, const struct link *link, span_us length_us);
/* Begins it at once; the link must be idle for so long. */
void link_send(struct plan *plan, struct flight *flight);
/* Puts it into the first gap from from_us on that it fits in; it stays without a place if no pool ever has room. */
void link_append(struct plan *plan, struct flight *flight, wall_us from_us);
/* Moves it into the first gap, if that is before its place. */
void link_hasten(struct plan *plan, struct flight *flight);

/* Lays out anew all that has not begun; nothing that was in time becomes late by it, unless a new one cannot wait. */
void link_layout(struct plan *plan, struct link *link);
/* Gives those a place that had none, as no pool had room for them, if there is one now. */
void link_place_rest(struct plan *plan, struct link *link);
/* Moves promised flights into gaps before their places, at most stage_ahead_us before their deadlines. */
void link_ahead(struct plan *plan, struct link *link);
/* From here on places are remembered, until link_mark_end(); link_undo() then puts all back as it was. */
void link_mark(struct plan *plan);
void link_mark_end(struct plan *plan);
void link_undo(struct plan *plan);

/* Those whose start, as their nodes were told, is too near to be changed begin. At a step's begin. */
void link_begin(struct plan *plan);
/*
 * True if it is brought to its end once it has begun: with a policy that brings images for nobody in particular; but
 * not if it goes blindly, and may come when its room is others'.
 */
bool link_lasting(const struct plan *plan, const struct flight *flight);
/* From when on something new can go: after all that has begun. */
wall_us link_free_us(const struct plan *plan, const struct link *link);
/* For rebuilding: the stage's transfer is as its row says; rows of one image and time are one flight. */
void link_restore(struct plan *plan, struct stage *stage, const struct transfer *transfer);

#endif
