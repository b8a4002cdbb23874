/*
 * Who used how much of late, for fair share: per user the processor time of runs that ended, by when they ended. What
 * ended long ago counts less, by half every plan_settings.share_half_us, and after eight times that not at all.
 */
#ifndef TENURE_SHARE_H
#define TENURE_SHARE_H

#include "plan.h"

/* A run of the user's that used cpu millicores in [start_us, end_us). In whatever order, the sums are the same. */
void share_charge(struct plan *plan, uint32_t user, int64_t cpu, wall_us start_us, wall_us end_us);
/* What the user used, decayed to now; only ever compared with that of others. */
int64_t share_of(const struct plan *plan, uint32_t user);

#endif
