/*
 * Addresses as people write them, networks, and the rule that plain text stays on loopback or in networks the operator
 * named. Opens no socket and asks no name server.
 */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "util.h"

#define FORMS "give unix:/path, HOST:PORT or [IPv6]:PORT, with HOST a numeric address or localhost"

/* An IP address as 16 bytes, IPv4 mapped into IPv6, so that one comparison serves both. */
struct ip {
	unsigned char byte[16];
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void ip_from_v4(const void *v4, struct ip *ip)
{
	memcpy(ip->byte, mapped_prefix, sizeof(mapped_prefix));
	memcpy(ip->byte + sizeof(mapped_prefix), v4, 4);
}

static bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
	if (sa->sa_family == AF_INET) {
		ip_from_v4(&((const struct sockaddr_in *)sa)->sin_addr, ip);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(ip->byte, &((const struct sockaddr_in6 *)sa)->sin6_addr, sizeof(ip->byte));
		return true;
	}
	return false;
}

static bool ip_in(const struct ip *ip, const struct ip *net, unsigned bits)
{
	unsigned whole = bits / 8;
	unsigned rest = bits % 8;
	unsigned mask = (0xff00u >> rest) & 0xffu;

	return memcmp(ip->byte, net->byte, whole) == 0 &&
	       (rest == 0 || (ip->byte[whole] & mask) == (net->byte[whole] & mask));
}

/* "10.0.0.0/8"; bits counts in the 16 bytes. */
static int network_parse(const char *word, size_t len, struct ip *net, unsigned *bits)
{
	char text[INET6_ADDRSTRLEN + 5];
	struct in_addr v4;
	int64_t n;
	char *slash;

	if (len >= sizeof(text)) {
		return -1;
	}
	memcpy(text, word, len);
	text[len] = '\0';
	slash = strchr(text, '/');
	if (!slash) {
		return -1;
	}
	*slash = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		ip_from_v4(&v4, net);
		if (parse_i64(slash + 1, 0, 32, &n)) {
			return -1;
		}
		n += 96;
	} else if (inet_pton(AF_INET6, text, net->byte) != 1 || parse_i64(slash + 1, 0, 128, &n)) {
		return -1;
	}
	*bits = (unsigned)n;
	return 0;
}

/* The next word of a list, or NULL; *len is its length. */
static const char *next_word(const char *list, size_t *len)
{
	list += strspn(list, " \t");
	*len = strcspn(list, " \t");
	return *len ? list : NULL;
}

int address_networks_check(const char *networks, struct err *err)
{
	struct ip net;
	unsigned bits;
	size_t len;

	for (const char *word = next_word(networks, &len); word; word = next_word(word + len, &len)) {
		if (network_parse(word, len, &net, &bits)) {
			return err_set(err, ERR_PARAMS, "\"%.*s\" is not a network, give for instance 10.0.0.0/8",
				       len > 64 ? 64 : (int)len, word);
		}
	}
	return 0;
}

bool address_plaintext_ok(const struct sockaddr *sa, const char *networks)
{
	static const struct ip v6_loopback = {.byte = {[15] = 1}};
	static const struct ip v4_loopback = {.byte = {[10] = 0xff, [11] = 0xff, [12] = 127}};
	struct ip ip, net;
	unsigned bits;
	size_t len;

	if (!ip_from_sockaddr(sa, &ip)) {
		return sa->sa_family == AF_UNIX;
	}
	if (ip_in(&ip, &v6_loopback, 128) || ip_in(&ip, &v4_loopback, 104)) {
		return true;
	}
	for (const char *word = next_word(networks, &len); word; word = next_word(word + len, &len)) {
		if (network_parse(word, len, &net, &bits) == 0 && ip_in(&ip, &net, bits)) {
			return true;
		}
	}
	return false;
}

int address_plaintext_check(const struct address *address, const char *networks, struct err *err)
{
	char text[ADDRESS_TEXT];

	if (address_networks_check(networks, err)) {
		return -1;
	}
	if (address_plaintext_ok((const struct sockaddr *)&address->sa, networks)) {
		return 0;
	}
	address_text((const struct sockaddr *)&address->sa, text);
	return err_set(err, ERR_DENIED,
		       "%s is not on loopback and there is no TLS yet; if nobody else can listen there, "
		       "name its network in the setting plaintext",
		       text);
}

static int parse_unix(const char *path, struct address *out, struct err *err)
{
	struct address a = {.len = sizeof(struct sockaddr_un)};
	struct sockaddr_un *un = (struct sockaddr_un *)&a.sa;

	if (path[0] != '/' || strlen(path) >= sizeof(un->sun_path)) {
		return err_set(err, ERR_PARAMS, "unix socket \"%.128s\": the path must be absolute and below %zu bytes",
			       path, sizeof(un->sun_path));
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
	*out = a;
	return 0;
}

/* host is a copy that may be changed. */
static int parse_host(char *host, in_port_t port, struct address *out)
{
	struct address a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;
	size_t n = strlen(host);

	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		a.len = sizeof(*v6);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1) {
			return -1;
		}
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		a.len = sizeof(*v4);
		if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) != 1) {
			return -1;
		}
	}
	*out = a;
	return 0;
}

int address_parse(const char *text, struct address *out, struct err *err)
{
	_cleanup_free_ char *host = NULL;
	char *colon;
	int64_t port;

	if (strncmp(text, "unix:", 5) == 0) {
		return parse_unix(text + 5, out, err);
	}
	host = xstrdup(text);
	colon = strrchr(host, ':');
	if (!colon || colon == host) {
		return err_set(err, ERR_PARAMS, "address \"%.128s\": " FORMS, text);
	}
	*colon = '\0';
	if (parse_i64(colon + 1, 0, 65535, &port) || parse_host(host, (in_port_t)port, out)) {
		return err_set(err, ERR_PARAMS, "address \"%.128s\": " FORMS, text);
	}
	return 0;
}

int address_cannot_listen(const char *text, int why, struct err *err)
{
	switch (why) {
	case EADDRINUSE:
		return err_set(err, ERR_CONFLICT,
			       "cannot listen on %s: another program does; end that one, or set another address", text);
	case EADDRNOTAVAIL:
		return err_set(err, ERR_PARAMS, "cannot listen on %s: no interface of this machine has that address",
			       text);
	default:
		return err_set(err, ERR_INTERNAL, "cannot listen on %s: %s", text, strerror(why));
	}
}

void address_text(const struct sockaddr *sa, char out[ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "";

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;

		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		snprintf(out, ADDRESS_TEXT, "%s:%u", ip, ntohs(v4->sin_port));
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

		inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		snprintf(out, ADDRESS_TEXT, "[%s]:%u", ip, ntohs(v6->sin6_port));
	} else {
		snprintf(out, ADDRESS_TEXT, "unix:%.50s", ((const struct sockaddr_un *)sa)->sun_path);
	}
}
