/* Waiting for a lease, with a line of progress on a terminal. */
#ifndef TENURE_WAIT_H
#define TENURE_WAIT_H

#include "client.h"

/*
 * Waits until the lease is in the state (NULL: in any final state) and gives the lease as it then is, the caller's.
 * STATUS_OK; STATUS_LEASE_FAILED if it ended otherwise; -1 on failure (ERR_TIMEOUT after --timeout, default never). A
 * head that goes away after it has answered once is waited for too: reached says that it has answered before.
 */
int wait_lease(struct client *client, int64_t id, const char *state, bool reached, struct json_object **lease,
	       struct err *err);

/* A bar of width cells for done of total, such as "[####    ]  50%"; the caller frees. */
char *wait_bar(int64_t done, int64_t total, unsigned width, bool utf8);

#endif
