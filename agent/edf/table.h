/*
 * The table an engine's owner, its dispatchers, its watchdog and `tenure-edf release` share: a file in run_dir, mapped.
 * It says of each managed thread what it has and how it was before, so that anybody can put that back. The owner alone
 * writes slots; a dispatcher writes only what is marked as its own.
 */
#ifndef TENURE_TABLE_H
#define TENURE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "edf.h"
#include "err.h"
#include "proc.h"

#define TABLE_CPUS 64    /* managed by one engine */
#define TABLE_SLOTS 1024 /* threads, of which EDF_TASKS on one CPU */
#define TABLE_TEXT 48
#define TABLE_CGROUP 256 /* a path; longer ones are not moved */

enum table_state {
	TABLE_FREE,
	TABLE_HELD, /* a thread whose policy, affinity or cgroup may be other than it was */
};

/* What a thread is to have. */
struct table_wish {
	struct edf_constraint constraint;
	int64_t first_release_ns; /* 0: now */
	int64_t changed_ns;
};

/* What it had. */
struct table_stat {
	struct edf_stat edf;
	int64_t slack_ns, change_ns, change_max_ns;
};

#define TABLE_WORDS(type) (sizeof(type) / sizeof(uint64_t))

struct table_slot {
	_Atomic uint32_t state;
	uint64_t task;
	pid_t pid, tid;
	uint64_t start_time;
	struct proc_policy before;
	_Atomic bool away;            /* its cgroup is not as it was, and the way back is all there: */
	char cgroup[TABLE_CGROUP];    /* the file to write */
	char cgroup_text[TABLE_TEXT]; /* what to write: a cpu.max; "": its id, `cgroup` is a `tasks` or `cgroup.procs`
				       */

	/* A struct table_wish, behind a sequence: odd while it is written. */
	_Atomic uint32_t seq;
	_Atomic uint64_t wish[TABLE_WORDS(struct table_wish)];

	/* The dispatcher's struct table_stat, behind a sequence of its own. */
	_Atomic uint32_t stat_seq;
	_Atomic uint64_t stat[TABLE_WORDS(struct table_stat)];
	_Atomic bool gone; /* the thread has ended */
};

struct table_cpu {
	_Atomic uint32_t change; /* the futex the dispatcher sleeps on: counts up when map or a constraint changed */
	_Atomic uint32_t taken;  /* of `change`, up to which the dispatcher has taken up what there is */
	_Atomic int64_t beat_ns; /* the dispatcher's last look */
	_Atomic uint32_t bound_count;
	_Atomic uint64_t wakes; /* of the dispatcher */
	int cpu;
	_Atomic uint16_t map[EDF_TASKS];   /* the owner's wish: slot + 1, 0 = none */
	_Atomic uint16_t bound[EDF_TASKS]; /* what the dispatcher has taken up of it */
};

struct table_head {
	uint32_t magic, size;
	pid_t owner;
	uint64_t owner_start;
};

struct table {
	struct table_head head;
	uint32_t cpu_count;
	_Atomic uint32_t
		released;      /* the watchdog gave the threads back: dispatchers keep their hands off until it is 0 */
	_Atomic uint32_t held; /* slots that are TABLE_HELD */
	struct table_cpu cpu[TABLE_CPUS];
	struct table_slot slot[TABLE_SLOTS];
};

/*
 * The file run_dir/table, made anew (the folder too) and locked as long as *lock_fd is open or the table mapped, by a
 * watchdog too: until that has given back what a dead owner left, this waits. ERR_CONFLICT if somebody else has the
 * lock. What a dead owner left in it is released first; *released says of how many threads.
 */
int table_create(const char *run_dir, struct table **table, int *lock_fd, unsigned *released, struct err *err);
/* An existing one, whoever has it; NULL and ERR_NOT_FOUND. *alive: an owner has the lock. */
struct table *table_open(const char *run_dir, bool *alive, struct err *err);
void table_unmap(struct table *table);

/*
 * Notes the way back, before the thread goes: whoever dies in between leaves none. Both texts with their NUL fit, as
 * cgroup.h makes them.
 */
void table_way_write(struct table_slot *slot, const char *cgroup, const char *text);
void table_wish_write(struct table_slot *slot, const struct table_wish *wish);
/* False: it is being written, its writer wakes the dispatcher afterwards. *seq is what was read. */
bool table_wish_read(const struct table_slot *slot, struct table_wish *out, uint32_t *seq);

/* The dispatcher's part, the same way round. */
void table_stat_write(struct table_slot *slot, const struct table_stat *stat);
void table_stat_read(const struct table_slot *slot, struct table_stat *out);

/* Wakes the CPU's dispatcher after a change. Only within the owner's process, which alone counts `change` up. */
void table_wake(struct table_cpu *cpu);

/*
 * Puts the thread back as it was, if it is still that thread. Takes no lock and allocates nothing. The slot stays
 * TABLE_HELD. False: some of it did not work.
 */
bool table_restore(const struct table_slot *slot);
/* All that are held: how many. forget: for good, the slots are free then. */
unsigned table_restore_all(struct table *table, bool forget);

#endif
