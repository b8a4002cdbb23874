/* A head's recorded decisions, made again by the same planner from the same inputs. */
#ifndef TENURE_SIM_REPLAY_H
#define TENURE_SIM_REPLAY_H

#include <stdint.h>
#include <stdio.h>

#include "err.h"

struct replay_figures {
	uint64_t steps;       /* of the planner */
	uint64_t rows;        /* that the replay wrote or took over */
	uint64_t differences; /* rows that only one of the two has */
	int64_t from_us, to_us;
};

/*
 * Replays the recording in the database at path, which is only read, and tells each row that came out differently (at
 * most 20) to complain. -1 if it cannot be replayed; differences are no failure.
 */
int replay(const char *path, struct replay_figures *figures, FILE *complain, struct err *err);

#endif
