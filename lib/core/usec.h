/* Time in Tenure: microseconds in 64 bits, one name for each meaning. Reads no clock. */
#ifndef TENURE_USEC_H
#define TENURE_USEC_H

#include <stdint.h>

typedef int64_t wall_us; /* microseconds since the Unix epoch, UTC */
typedef int64_t mono_us; /* microseconds of CLOCK_MONOTONIC; meaningless to other machines */
typedef int64_t span_us; /* a length of time in microseconds */

#define USEC_PER_MSEC INT64_C(1000)
#define USEC_PER_SEC INT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)

/* Later than every time a lease may name, early enough that sums of a few such values do not overflow. */
#define WALL_NEVER (INT64_MAX / 4)

#endif
