/* A slot: so much of a node, from then to then, for that. */
#ifndef TENURE_SLOT_H
#define TENURE_SLOT_H

#include <assert.h>
#include <stdint.h>

#include "capacity.h"
#include "usec.h"

/* What a slot is for. The agreed time is RUN; everything else is overhead, booked beside it. */
enum slot_kind {
	SLOT_PREPARE, /* guest created paused: memory, disk */
	SLOT_RUN,     /* cpu, memory, disk */
	SLOT_STOP,    /* guest being destroyed: memory, disk */
	SLOT_SUSPEND, /* memory being saved: memory, disk for overlay and image of memory */
	SLOT_HOLD,    /* suspended: disk for overlay and image of memory */
	SLOT_RESUME,  /* memory being restored: memory, disk */
	SLOT_STANDBY, /* kept for an open lease until it is called: cpu, memory, disk */
	SLOT_KIND_COUNT
};

struct slot {
	uint64_t id; /* > 0, never used twice */
	enum slot_kind kind;
	uint32_t node;
	uint64_t lease;
	uint32_t vm;
	wall_us start_us; /* half-open: [start_us, end_us) */
	wall_us end_us;   /* WALL_NEVER = until further notice */
	struct capacity use;
};

const char *slot_kind_name(enum slot_kind kind);
int slot_kind_parse(const char *name, enum slot_kind *kind);

/* What a slot of this kind takes of a node for a VM of this size. */
static inline struct capacity slot_use(enum slot_kind kind, struct capacity vm)
{
	struct capacity use = {.amount = {[RES_MEMORY] = vm.amount[RES_MEMORY], [RES_DISK] = vm.amount[RES_DISK]}};

	switch (kind) {
	case SLOT_RUN:
	case SLOT_STANDBY:
		return vm;
	case SLOT_PREPARE:
	case SLOT_STOP:
		return use;
	case SLOT_SUSPEND:
	case SLOT_RESUME:
		use.amount[RES_DISK] += vm.amount[RES_MEMORY];
		return use;
	case SLOT_HOLD:
		use.amount[RES_DISK] += vm.amount[RES_MEMORY];
		use.amount[RES_MEMORY] = 0;
		return use;
	case SLOT_KIND_COUNT:
		break;
	}
	assert(!"a slot kind");
	return use;
}

#endif
