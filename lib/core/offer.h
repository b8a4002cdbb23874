/* What could be had instead of what was refused. */
#ifndef TENURE_OFFER_H
#define TENURE_OFFER_H

#include "plan_state.h"

/*
 * The nearest feasible alternative to a request that was refused for this reason: another start, of a
 * reservation the nearest one, earlier or later; else fewer VMs, else a shorter time. Whatever is offered can be had;
 * that it takes no longer, only some of the nodes and a number of starts are looked at, and nothing is offered if they
 * hold nothing.
 */
struct offer offer_find(struct plan *plan, struct contract *contract, const struct reason *reason);

#endif
