/*
 * Holes: times in which a CPU was not there at all, though somebody had it as far as its kernel knows. A hypervisor
 * makes them. A thread that spins finds those of its own time: between two looks at a clock the kernel recorded no
 * switch to anybody else, and yet the thread's CPU clock, from which the kernel takes what the hypervisor admits to
 * have stolen, stood still. Interrupts are none: that clock goes on in them. While others have the CPU, what all of
 * them received together is less than the time that passed, for a CPU on which somebody always wants to run.
 */
#ifndef TENURE_HOLE_H
#define TENURE_HOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "turns.h"

#define HOLE_NS 3000    /* less is what reading clocks makes, or a switch, of which no clock knows when exactly */
#define HOLES (1 << 18) /* that can be written down: 3000 a second for as long as a probe spins */

/* For gone_ns of [from_ns, to_ns), of CLOCK_MONOTONIC. */
struct hole {
	int64_t from_ns, to_ns, gone_ns;
	bool others; /* had the CPU at that time */
};

/* In the order of time; none overlaps another. Written by one thread, read by any. */
struct hole_log {
	_Atomic uint32_t count;
	struct hole hole[HOLES];
};

/* What the clocks say at one instant: the thread's, and that of all who ran on its CPU; the latter -1 if unknown. */
struct hole_mark {
	int64_t mono_ns, cpu_ns, busy_ns;
};

/* For hole_busy_ns(), of the CPU the thread is bound to; -1: the kernel does not tell. */
int hole_open_busy(void);
/* CPU time that all who ran on the CPU received since the machine was started; -1: unknown. */
int64_t hole_busy_ns(int fd, int cpu);

/* What a thread that spins did between two marks: it looked at the clock until from_ns, and then not before to_ns. */
struct hole_blind {
	struct hole_mark since, now;
	int64_t from_ns, to_ns;
	const struct turn *turn; /* it was sent away n times in between, and since then not */
	unsigned n;
};

/*
 * Writes down what is missing, and tells the CPU time received in each of the n + 1 runs between the turns, from
 * from_ns to the mark: as much of each is missing as it is long, for one that nothing is missing of is short.
 */
void hole_note(struct hole_log *log, const struct hole_blind *blind, int64_t ran_ns[]);
/*
 * For how long the CPU was not there within [from_ns, to_ns), as far as that kept from it somebody who was to have it
 * all the time: what was gone while others had the CPU counts if the thread was away already at from_ns, as one that
 * waits for its turn is, or came back before to_ns; in one that was sent away for good it is nobody's loss.
 */
int64_t hole_within(const struct hole_log *log, int64_t from_ns, int64_t to_ns);

#endif
