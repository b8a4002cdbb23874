/* One random simulation: settings and requests, and whether a rule is broken when it is run. */
#ifndef TENURE_TRIAL_H
#define TENURE_TRIAL_H

#include "err.h"
#include "trace.h"

#define TRIAL_RULE 128

struct trial {
	char **set; /* KEY=VALUE, over the default profile; owned */
	size_t sets;
	struct trace trace;
};

struct trial_result {
	char rule[TRIAL_RULE]; /* what was broken; "" = nothing */
	uint64_t steps;
};

/* One more rule: NULL, or what is wrong with the requests; for testing the tests. */
typedef const char *trial_rule(const struct trial *trial);

void trial_draw(struct trial *trial, uint64_t seed);
void trial_copy(struct trial *to, const struct trial *from);
void trial_fini(struct trial *trial);
/*
 * Runs it in a process of its own, twice: both must come to the same. A process that is killed, or that takes for ever,
 * breaks a rule too. extra may be NULL.
 */
void trial_run(const struct trial *trial, trial_rule *extra, struct trial_result *result);
/* Writes PATH.json and PATH.conf, as tenure-sim takes them; and reads what was written. -1 if that fails. */
void trial_write(const struct trial *trial, const char *path);
int trial_read(struct trial *trial, const char *path, struct err *err);

#endif
