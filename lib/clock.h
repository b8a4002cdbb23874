/* The only file that reads a clock. A loop reads it once per pass. */
#ifndef TENURE_CLOCK_H
#define TENURE_CLOCK_H

#include "usec.h"

wall_us clock_wall(void); /* CLOCK_REALTIME */
mono_us clock_mono(void); /* CLOCK_MONOTONIC */

/* In nanoseconds, for the EDF engine: its budgets are parts of milliseconds. */
int64_t clock_mono_ns(void);
int64_t clock_wall_ns(void);
int64_t clock_thread_ns(void); /* CPU time of the calling thread */
/* The wall clock less CLOCK_MONOTONIC, to about a microsecond: both as if read at the same instant. */
int64_t clock_wall_offset_ns(void);

#endif
