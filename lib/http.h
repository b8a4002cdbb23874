/* A small read-only file server: GET and HEAD of PREFIX/NAME, ranges, ETag. What it serves is checked by its digest. */
#ifndef TENURE_HTTP_H
#define TENURE_HTTP_H

#include <event2/event.h>
#include <stdint.h>

#include "err.h"
#include "usec.h"

#define HTTP_CONNECTIONS_MAX 512 /* two for each of 256 nodes; others wait in the kernel's queue */
#define HTTP_HEADERS_MAX 8192    /* bytes of request line and headers */
/* For a whole request, and for the next one on the same connection. */
#define HTTP_REQUEST_DEADLINE (20 * USEC_PER_SEC)
#define HTTP_RATE_MIN 65536 /* bytes per second: a slower reader is cut off, and resumes by Range */

struct http;

struct http_settings {
	const char *address;   /* "HOST:PORT", numeric */
	const char *plaintext; /* networks of peers that may ask, by the rule about plaintext; loopback always may */
	const char *prefix;    /* of all paths, with its slashes; static */
	span_us deadline_us;   /* HTTP_REQUEST_DEADLINE, or less in tests */
};

/* An open file. */
struct http_file {
	int fd;          /* the server's from then on */
	int64_t size;    /* > 0 */
	char digest[65]; /* sha256, its ETag */
};

enum http_verdict {
	HTTP_OPENED,
	HTTP_MISSING,   /* 404 */
	HTTP_FORBIDDEN, /* 403 */
	HTTP_LATER      /* 503: it will be there, or may be */
};
/* name: the path after the prefix, whatever it holds. authorization: that header's value, or NULL. From the loop. */
typedef enum http_verdict http_open(const char *name, const char *authorization, struct http_file *file, void *arg);

/*
 * Listens on the address, by the same rule about plaintext networks as the API, for peers too. Strings are copied, but
 * for the prefix. NULL and err if the address is wrong, not allowed or taken.
 */
struct http *http_new(struct event_base *base, const struct http_settings *settings, http_open *open, void *arg,
		      struct err *err);
void http_free(struct http *http); /* NULL is allowed */
/* The port it listens on, for an address whose port is 0. */
uint16_t http_port(const struct http *http);

#endif
