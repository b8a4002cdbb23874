/* A line on the terminal that says how far a long run is. */
#ifndef TENURE_SIM_PROGRESS_H
#define TENURE_SIM_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "usec.h"

struct progress {
	bool on;
	mono_us begin_us, told_us;
	bool shown;
};

/* Off when quiet or when stderr is no terminal. */
void progress_init(struct progress *progress, bool quiet);
/* As world_options wants it; arg is the struct progress. Shows nothing of runs shorter than a second. */
void progress_tell(void *arg, wall_us now, size_t final, size_t jobs);
/* Wipes the line. */
void progress_end(struct progress *progress);

#endif
