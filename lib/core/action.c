/* The list of actions, and the names of transfer states and of what is estimated. */
#include "action.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const transfer_names[TRANSFER_STATE_COUNT] = {
	[TRANSFER_PLANNED] = "planned",
	[TRANSFER_DONE] = "done",
	[TRANSFER_FAILED] = "failed",
};

static const char *const estimate_names[ESTIMATE_COUNT] = {
	[ESTIMATE_SUSPEND] = "suspend",
	[ESTIMATE_RESUME] = "resume",
};

const char *transfer_state_name(enum transfer_state state)
{
	assert(state < TRANSFER_STATE_COUNT);
	return transfer_names[state];
}

int transfer_state_parse(const char *name, enum transfer_state *state)
{
	for (int i = 0; i < TRANSFER_STATE_COUNT; i++) {
		if (strcmp(name, transfer_names[i]) == 0) {
			*state = (enum transfer_state)i;
			return 0;
		}
	}
	return -1;
}

const char *estimate_what_name(enum estimate_what what)
{
	assert(what < ESTIMATE_COUNT);
	return estimate_names[what];
}

int estimate_what_parse(const char *name, enum estimate_what *what)
{
	for (int i = 0; i < ESTIMATE_COUNT; i++) {
		if (strcmp(name, estimate_names[i]) == 0) {
			*what = (enum estimate_what)i;
			return 0;
		}
	}
	return -1;
}

void actions_fini(struct actions *actions)
{
	free(actions->item);
	memset(actions, 0, sizeof(*actions));
}
