/*
 * A task's CPU clock, read from outside again and again. While the task is without a CPU its clock stands still, and
 * what is read is what it had received when it was sent away, to the nanosecond. The task itself cannot know that: of
 * what its clock counted until it looked again, some microseconds are the way out and some the way back, and which is
 * which decides to which of two windows they belong.
 */
#ifndef TENURE_READING_H
#define TENURE_READING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The clock stood at cpu_ns all the time in [from_ns, to_ns] of CLOCK_MONOTONIC, or the kernel had not counted on yet.
 */
struct reading {
	int64_t from_ns, to_ns, cpu_ns;
};

struct readings {
	int fd;
	size_t count, size;
	struct reading *reading; /* in the order of time */
};

/* Of the process's first thread. If the kernel does not tell, nothing is ever read. */
void readings_open(struct readings *readings, pid_t pid);
void readings_take(struct readings *readings);
/* Frees; one of zeros with an fd of -1 is allowed. */
void readings_close(struct readings *readings);

#endif
