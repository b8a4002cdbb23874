/*
 * Who a peer is and what it may do.
 *
 * Unix socket: uid 0 and the daemon's own uid are admins; users and groups in the setting "operators" are operators;
 * everybody else is a user, named by the password database. TCP (loopback or a network of "plaintext" only, as there is
 * no TLS yet): user "tcp". A peer becomes an agent by node.hello with the agent token, or without it on the unix socket
 * if it is an admin; from then on it may call the agents' methods only.
 */
#ifndef TENURE_AUTH_H
#define TENURE_AUTH_H

#include <stdbool.h>

#include "conn.h"
#include "method.h"
#include "settings.h"

struct auth;

struct identity {
	enum role role;
	bool local;    /* the kernel's word, not the peer's */
	char name[65]; /* owner of its leases: user name, "uid:N" if it has none, or "tcp" */
};

/* Reads the token file; fails if it cannot be read, is short, or can be read by everybody. */
struct auth *auth_new(const struct head_settings *settings, struct err *err);
void auth_free(struct auth *auth); /* NULL is allowed */
/* On failure the old operators and token stay. Counts for connections made from then on. */
int auth_reload(struct auth *auth, const struct head_settings *settings, struct err *err);

/* Looks the user up, so call it once per connection. */
void auth_identify(const struct auth *auth, const struct conn_peer *peer, struct identity *who);
/* May this peer, showing this token (NULL = none), act as an agent? err says what is missing. */
int auth_agent(const struct auth *auth, const struct identity *who, const char *token, struct err *err);

#endif
