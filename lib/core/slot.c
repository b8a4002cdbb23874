/* What slots are for, and what they take. Tables of them are slots.c's. */
#include "slot.h"

#include <assert.h>
#include <string.h>

static const char *const kind_names[SLOT_KIND_COUNT] = {
	[SLOT_PREPARE] = "prepare", [SLOT_RUN] = "run",       [SLOT_STOP] = "stop",       [SLOT_SUSPEND] = "suspend",
	[SLOT_HOLD] = "hold",       [SLOT_RESUME] = "resume", [SLOT_STANDBY] = "standby",
};

const char *slot_kind_name(enum slot_kind kind)
{
	assert(kind < SLOT_KIND_COUNT);
	return kind_names[kind];
}

int slot_kind_parse(const char *name, enum slot_kind *kind)
{
	for (int i = 0; i < SLOT_KIND_COUNT; i++) {
		if (strcmp(name, kind_names[i]) == 0) {
			*kind = (enum slot_kind)i;
			return 0;
		}
	}
	return -1;
}

struct capacity slot_use(enum slot_kind kind, struct capacity vm)
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
