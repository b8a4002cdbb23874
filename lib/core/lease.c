/* Names of lease kinds and states, and the table of moves. Holds no leases: see plan_state.h. */
#include "lease.h"

#include <assert.h>
#include <string.h>

static const char *const kind_names[LEASE_KIND_COUNT] = {
	[LEASE_AR] = "ar",
	[LEASE_BEST_EFFORT] = "best-effort",
	[LEASE_IMMEDIATE] = "immediate",
	[LEASE_DEADLINE] = "deadline",
	[LEASE_OPEN] = "open",
};

static const char *const state_names[LEASE_STATE_COUNT] = {
	[LEASE_NEW] = "new",
	[LEASE_REJECTED] = "rejected",
	[LEASE_QUEUED] = "queued",
	[LEASE_SCHEDULED] = "scheduled",
	[LEASE_STANDBY] = "standby",
	[LEASE_PREPARING] = "preparing",
	[LEASE_READY] = "ready",
	[LEASE_ACTIVE] = "active",
	[LEASE_SUSPENDING] = "suspending",
	[LEASE_SUSPENDED] = "suspended",
	[LEASE_MIGRATING] = "migrating",
	[LEASE_RESUMING] = "resuming",
	[LEASE_STOPPING] = "stopping",
	[LEASE_DONE] = "done",
	[LEASE_CANCELLED] = "cancelled",
	[LEASE_FAILED] = "failed",
};

int64_t lease_cpu(const struct lease_spec *spec)
{
	return spec->period_us ? spec->cpu : spec->per_vm.amount[RES_CPU];
}

uint32_t lease_vcpus(const struct lease_spec *spec)
{
	int64_t cpu = lease_cpu(spec);

	return (uint32_t)(cpu / 1000 + (cpu % 1000 != 0));
}

const char *lease_kind_name(enum lease_kind kind)
{
	assert(kind < LEASE_KIND_COUNT);
	return kind_names[kind];
}

int lease_kind_parse(const char *name, enum lease_kind *kind)
{
	for (int i = 0; i < LEASE_KIND_COUNT; i++) {
		if (strcmp(name, kind_names[i]) == 0) {
			*kind = (enum lease_kind)i;
			return 0;
		}
	}
	return -1;
}

const char *lease_state_name(enum lease_state state)
{
	assert(state < LEASE_STATE_COUNT);
	return state_names[state];
}

int lease_state_parse(const char *name, enum lease_state *state)
{
	for (int i = 0; i < LEASE_STATE_COUNT; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			*state = (enum lease_state)i;
			return 0;
		}
	}
	return -1;
}

#define TO(state) (1U << LEASE_##state)
#define TO_END (TO(DONE) | TO(CANCELLED) | TO(FAILED))

/*
 * Agents report what they see when they can, so a VM may be seen two states further on than it was last (a report
 * was merged with the next): such jumps are allowed, going back is not, except to the queue and from a moved plan.
 */
static const unsigned moves[LEASE_STATE_COUNT] = {
	[LEASE_NEW] = TO(REJECTED) | TO(QUEUED) | TO(SCHEDULED) | TO(STANDBY),
	[LEASE_QUEUED] = TO(SCHEDULED) | TO(PREPARING) | TO_END,
	[LEASE_SCHEDULED] = TO(QUEUED) | TO(STANDBY) | TO(PREPARING) | TO(READY) | TO(ACTIVE) | TO(SUSPENDING) |
			    TO(SUSPENDED) | TO(STOPPING) | TO_END,
	[LEASE_STANDBY] = TO(SCHEDULED) | TO_END,
	[LEASE_PREPARING] = TO(QUEUED) | TO(SCHEDULED) | TO(READY) | TO(ACTIVE) | TO(SUSPENDING) | TO(SUSPENDED) |
			    TO(STOPPING) | TO_END,
	[LEASE_READY] =
		TO(QUEUED) | TO(SCHEDULED) | TO(ACTIVE) | TO(SUSPENDING) | TO(SUSPENDED) | TO(STOPPING) | TO_END,
	[LEASE_ACTIVE] = TO(QUEUED) | TO(SUSPENDING) | TO(SUSPENDED) | TO(STOPPING) | TO_END,
	[LEASE_SUSPENDING] = TO(QUEUED) | TO(ACTIVE) | TO(SUSPENDED) | TO_END,
	[LEASE_SUSPENDED] = TO(QUEUED) | TO(MIGRATING) | TO(RESUMING) | TO(ACTIVE) | TO_END,
	[LEASE_MIGRATING] =
		TO(QUEUED) | TO(SUSPENDED) | TO(RESUMING) | TO(ACTIVE) | TO(SUSPENDING) | TO(STOPPING) | TO_END,
	[LEASE_RESUMING] = TO(QUEUED) | TO(SUSPENDED) | TO(ACTIVE) | TO(SUSPENDING) | TO(STOPPING) | TO_END,
	/* One that heard too late that it need not make room is saved where it should have stopped. */
	[LEASE_STOPPING] = TO(QUEUED) | TO(ACTIVE) | TO(SUSPENDING) | TO(SUSPENDED) | TO_END,
};

bool lease_move_allowed(enum lease_state from, enum lease_state to)
{
	assert(from < LEASE_STATE_COUNT && to < LEASE_STATE_COUNT);
	return (moves[from] & (1U << to)) != 0;
}

enum lease_state lease_state_of(const struct vm *vms, uint32_t n)
{
	/* The first of these that any VM is in. While one is open the lease is; a failure outweighs the rest. */
	static const enum lease_state telling[] = {
		LEASE_ACTIVE, LEASE_SUSPENDING, LEASE_RESUMING, LEASE_MIGRATING, LEASE_STOPPING, LEASE_PREPARING,
		LEASE_READY,  LEASE_SUSPENDED,  LEASE_STANDBY,  LEASE_SCHEDULED, LEASE_QUEUED,   LEASE_NEW,
		LEASE_FAILED, LEASE_CANCELLED,  LEASE_REJECTED, LEASE_DONE,
	};
	unsigned seen = 0;

	assert(n > 0);
	for (uint32_t i = 0; i < n; i++) {
		seen |= 1U << vms[i].state;
	}
	for (size_t i = 0;; i++) {
		if (seen & (1U << telling[i])) {
			return telling[i];
		}
	}
}
