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
