/*
 * Whether a thread wanted the CPU all the time between two looks at it. What it did not get though it did is the
 * machine's doing (a hypervisor's, an interrupt's), and must not be taken for its sleep.
 */
#ifndef TENURE_AWAKE_H
#define TENURE_AWAKE_H

#include "proc.h"

/*
 * since: what it had in `elapsed_ns`. *asleep, kept for the next time: it may have slept at the last look; state_fd is
 * proc_state_open()'s, read only when the numbers do not tell. Allocates nothing.
 */
bool awake_since(bool *asleep, const struct proc_time *since, int64_t elapsed_ns, int state_fd);

#endif
