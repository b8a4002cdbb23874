/* Named sets of values: the set-ups of published experiments. */
#ifndef TENURE_SIM_PROFILE_H
#define TENURE_SIM_PROFILE_H

#include <stddef.h>

/* A configuration of an experiment, as papers call it: "KEY=VALUE" words, separated by spaces. */
struct profile_choice {
	const char *name, *sets;
};

struct profile {
	const char *name, *help;
	const char *sets; /* what differs from the settings' own defaults */
	const struct profile_choice *choice;
	size_t choices;
};

extern const struct profile profiles[];
extern const size_t profile_count;

/* NULL if there is none. */
const struct profile *profile_find(const char *name);

#endif
