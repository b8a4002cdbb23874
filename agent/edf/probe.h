/*
 * Measuring tasks of the studies, each a process of its own: one that spins and writes down when it did not get the
 * CPU, one that only spins, and one that answers. What the first writes down tells the CPU time it had received at any
 * instant, by its own CPU clock.
 */
#ifndef TENURE_PROBE_H
#define TENURE_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "hole.h"
#include "reading.h"

#define PROBE_GAP_NS 3000                   /* a time in which it did not run, if it is that long */
#define PROBE_GAPS (1 << 20)                /* that it can write down; more are not missed but end the log */
#define PROBE_ANYWHERE (-1)                 /* on no CPU in particular */
#define PROBE_LIMIT_NS INT64_C(90000000000) /* whatever goes wrong, none spins longer */

enum probe_kind {
	PROBE_LOG,  /* spins and writes down */
	PROBE_LOAD, /* spins */
	PROBE_ECHO, /* sleeps until asked, works for work_ns of CPU time, answers, sleeps */
};

/* It did not run in [from_ns, to_ns) of CLOCK_MONOTONIC, and had received cpu_ns when that was over. */
struct probe_gap {
	int64_t from_ns, to_ns, cpu_ns;
	bool away;       /* the kernel says so: it was not merely interrupted */
	bool read;       /* from outside, see probe_correct(); then */
	int64_t left_ns; /* is what it had received when it was sent away */
};

struct probe_log {
	_Atomic bool stop;
	_Atomic int64_t end_ns; /* it has stopped then; 0 = not yet */
	_Atomic uint32_t count; /* gaps; the first begins and ends when the log does */
	struct probe_gap gap[PROBE_GAPS];
	struct hole_log holes; /* none if the kernel does not tell of switches */
};

struct probe {
	enum probe_kind kind;
	pid_t pid;             /* 0 = none */
	int ask;               /* of PROBE_ECHO */
	struct probe_log *log; /* of PROBE_LOG */
};

/* Starts it as SCHED_OTHER on that CPU. work_ns is PROBE_ECHO's. ERR_INTERNAL. */
int probe_start(struct probe *probe, enum probe_kind kind, int cpu, int64_t work_ns, struct err *err);
/* It stops spinning; its log can be read from now on. */
void probe_stop(struct probe *probe);
/* Ends it and frees its log. One that was never started, all zeros, is allowed. */
void probe_end(struct probe *probe);
/* Time from asking until the work was done; -1 if the answer took longer than limit_ns. */
int64_t probe_ask(struct probe *probe, int64_t limit_ns);

/* Takes up what was read of its CPU clock from outside; after probe_stop(). */
void probe_correct(struct probe_log *log, const struct readings *readings);

/* CPU time received from the log's begin until at_ns, which is between its begin and its end. */
int64_t probe_received(const struct probe_log *log, int64_t at_ns);
/* When it had received that much; INT64_MAX: not in the log. */
int64_t probe_when(const struct probe_log *log, int64_t received_ns);
int64_t probe_begin_ns(const struct probe_log *log);
/*
 * Time within [from_ns, to_ns) in which the task ran by its CPU clock and yet did not get to look at any clock, in
 * pieces of at least 1 ms: somebody else had the machine.
 */
int64_t probe_stalled(const struct probe_log *log, int64_t from_ns, int64_t to_ns);
/* Time within [from_ns, to_ns) in which both ran. */
int64_t probe_together(const struct probe_log *a, const struct probe_log *b, int64_t from_ns, int64_t to_ns);

#endif
