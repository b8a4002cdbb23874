/* Makes a trial that breaks a rule small. */
#ifndef TENURE_SHRINK_H
#define TENURE_SHRINK_H

#include "trial.h"

/* Takes away requests and settings, and makes values simpler, as long as the same rule is broken; gives up after tries.
 * How many it made. */
unsigned int shrink(struct trial *trial, trial_rule *extra, const char *rule, unsigned int tries);

#endif
