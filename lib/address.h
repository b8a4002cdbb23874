/* Addresses of the API as people write them, and the rule about where TCP without TLS may go. */
#ifndef TENURE_ADDRESS_H
#define TENURE_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "err.h"

#define ADDRESS_TEXT 64 /* room for "[IPv6]:port" with its NUL */

struct address {
	struct sockaddr_storage sa; /* AF_UNIX, AF_INET or AF_INET6 */
	socklen_t len;
};

/*
 * "unix:/path", "HOST:PORT", "[IPv6]:PORT". HOST is numeric or "localhost" (127.0.0.1): looking a name up would block,
 * and whether an address may carry plain text must not depend on what a name server says. Port 0-65535.
 */
int address_parse(const char *text, struct address *out, struct err *err);
/* Checks a list of networks: "10.0.0.0/8 fd00::/8", "" = none. */
int address_networks_check(const char *networks, struct err *err);
/* True for unix sockets, loopback, and addresses in one of the networks (a list that passed the check). */
bool address_plaintext_ok(const struct sockaddr *sa, const char *networks);
/* As above for an address to listen on or connect to, checking the list too; the error says what to do. */
int address_plaintext_check(const struct address *address, const char *networks, struct err *err);
/* The error of bind() or listen() on it, with what to do. Returns -1. */
int address_cannot_listen(const char *text, int why, struct err *err);
/* Numeric "ip:port", "[ip]:port", "unix:/path" (cut to fit); "unix:" for a socket without a name. */
void address_text(const struct sockaddr *sa, char out[ADDRESS_TEXT]);

#endif
