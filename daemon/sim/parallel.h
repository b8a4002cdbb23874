/*
 * Pieces of work in processes of their own, several at a time. Results do not depend on how many: each piece has its
 * place, and nothing of one is seen by another.
 */
#ifndef TENURE_SIM_PARALLEL_H
#define TENURE_SIM_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "kept.h"

#define PARALLEL_MAX 256 /* processes at a time */

/* What a process needed by itself. */
struct parallel_used {
	double user_s; /* of a CPU */
	int64_t peak_rss_kb;
};

struct parallel {
	size_t items;
	int64_t processes; /* at a time, 1 .. PARALLEL_MAX */
	/*
	 * Does one piece, in a child. *result is zeroed and holds result_size bytes without pointers, as they are
	 * copied to the parent; everything else the child writes to memory is lost. 0, or -1 with err.
	 */
	int (*work)(void *arg, size_t item, void *result, struct err *err);
	void (*begin)(
		void *arg); /* in the parent, after what was kept is told and before anything is begun; NULL = not */
	/* In the parent, of each in turn as it is over, and of what was kept first; NULL = not. */
	void (*done)(void *arg, size_t item, bool kept);
	void *arg;
	size_t result_size;
	struct kept *kept; /* results that were are taken from here, and new ones added; NULL = not */
};

/*
 * results: items x result_size bytes; used: items of them, or NULL. -1 with the first failed item's error, after all
 * processes have ended; no new one is begun after a failure. SIGINT, SIGTERM and SIGHUP end it in the same way. There
 * must be no other children.
 */
int parallel_run(const struct parallel *parallel, void *results, struct parallel_used *used, struct err *err);
/* The signal that ended a parallel_run(), 0 = none. */
int parallel_interrupted(void);
/* As many as there are processors. */
int64_t parallel_processors(void);

#endif
