/* Admission of advance reservations and immediate leases: all or nothing, with a reason and an offer if nothing. */
#ifndef TENURE_ADMIT_H
#define TENURE_ADMIT_H

#include "place.h"

/* Books the whole unit as its spec asks. False with the reason, nothing booked. Best-effort plans were dropped before.
 */
bool admit(struct plan *plan, struct contract *contract, struct reason *reason);
/* The nearest feasible alternative to what admit() refused: later, else fewer VMs, else shorter. */
struct offer admit_offer(struct plan *plan, struct contract *contract, const struct reason *reason);
/* The earliest start a reservation can ask for now. */
wall_us admit_earliest(const struct plan *plan);
/*
 * False with the reason if the spec makes no sense, or all nodes known, silent and draining ones too, could not hold
 * the lease if they were empty. While no node is known only best-effort leases are possible.
 */
bool admit_possible(const struct plan *plan, const struct lease_spec *spec, struct reason *reason);

#endif
