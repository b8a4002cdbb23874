/* Admission of promises: all or nothing, with a reason if nothing. The alternative to a refusal is offer.h's. */
#ifndef TENURE_ADMIT_H
#define TENURE_ADMIT_H

#include "place.h"

#define ADMIT_LONGEST_US (WALL_NEVER / 4) /* sums of a start, a duration and overheads stay below WALL_NEVER */

/*
 * Books the whole lease as its spec asks; the start chosen in a reservation's window becomes its spec's. False with
 * the reason, nothing booked. Best-effort plans were dropped before.
 */
bool admit(struct plan *plan, struct contract *contract, struct reason *reason);
/* Between which starts it must be; false with the reason if there is no time in between. */
bool admit_span(const struct plan *plan, const struct lease_spec *spec, wall_us *from_us, wall_us *latest_us,
		struct reason *reason);
/*
 * False with the reason if the spec makes no sense, or all nodes known, silent and draining ones too, could not hold
 * the lease if they were empty. While no node is known only best-effort leases are possible.
 */
bool admit_possible(const struct plan *plan, const struct lease_spec *spec, struct reason *reason);
/* False with the reason if the admission policy refuses it. */
bool admit_allowed(const struct plan *plan, const struct lease_spec *spec, struct reason *reason);
/* What it costs, by its start or the earliest possible one; false with the reason if that is more than it may. */
bool admit_price(const struct plan *plan, const struct lease_spec *spec, int64_t *price, struct reason *reason);

#endif
