/*
 * The slot table: per node, what is used when. Each node keeps its change points in a balanced tree augmented with sums
 * and maxima of prefix sums, so that reserving, releasing and asking for the peak use of an interval are O(log n) in
 * the node's change points.
 */
#ifndef TENURE_SLOTS_H
#define TENURE_SLOTS_H

#include <stdbool.h>
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

#endif
