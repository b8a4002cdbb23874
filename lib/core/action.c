/* The list of actions and the names of transfer states. */
#include "action.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const transfer_names[TRANSFER_STATE_COUNT] = {
	[TRANSFER_PLANNED] = "planned",
	[TRANSFER_DONE] = "done",
	[TRANSFER_FAILED] = "failed",
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

void actions_fini(struct actions *actions)
{
	free(actions->item);
	memset(actions, 0, sizeof(*actions));
}
