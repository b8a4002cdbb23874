/*
 * The engine's local door: JSON-RPC over a unix socket, for tenure-edf. The kernel says who asks (SO_PEERCRED): root
 * may manage any process, others their own; what the caller itself has given the engine (owner -1) nobody. The caller
 * drives the loop and polls the engine.
 */
#ifndef TENURE_SERVER_H
#define TENURE_SERVER_H

#include <event2/event.h>

#include "engine.h"

#define SERVER_SOCKET "edf.sock" /* in the engine's run_dir */
#define SERVER_CLIENTS 256       /* at once; each costs a descriptor and some kilobytes */

struct server;

/*
 * Listens on run_dir/edf.sock: for the owner, or, if group is not NULL, for that group too (ERR_PARAMS: no such group).
 * ERR_CONFLICT: somebody listens there. The engine must outlive the server.
 */
int server_new(struct server **server, struct event_base *base, struct engine *engine, const char *run_dir,
	       const char *group, struct err *err);
/*
 * From now on the tasks are in run_dir/tasks, too; those that are in it already, since an engine before this one, are
 * attached, each with its number, if its process is still the same. The log says which.
 */
void server_keep(struct server *server, const char *run_dir);
/* Tasks may have so much of each CPU in all; until then, as much as the engine has. */
void server_limit(struct server *server, uint32_t limit_ppm);
/*
 * Gives a task that somebody attached through the server another slice and period, or, both 0, lets it go; strict it
 * stays as it was. Unchanged on failure: ERR_NOT_FOUND, ERR_DENIED: the caller's own; ERR_REJECTED: beyond the limit;
 * else as engine_set().
 */
int server_tune(struct server *server, uint64_t id, int64_t slice_us, int64_t period_us, struct err *err);
/* NULL is allowed. */
void server_free(struct server *server);
/* Connections that are open. */
unsigned server_clients(const struct server *server);

#endif
