/* The built-in image repository: GET and HEAD of /images/DIGEST. Read-only; what it serves is checked by its digest. */
#ifndef TENURE_HTTP_H
#define TENURE_HTTP_H

#include <event2/event.h>
#include <stdint.h>

#include "images.h"
#include "usec.h"

#define HTTP_CONNECTIONS_MAX 512 /* two for each of 256 nodes; others wait in the kernel's queue */
#define HTTP_HEADERS_MAX 8192    /* bytes of request line and headers */
#define HTTP_REQUEST_DEADLINE                                                                   \
	(20 * USEC_PER_SEC) /* for a whole request, and for the next one on the same connection \
			     */
#define HTTP_RATE_MIN 65536 /* bytes per second: a slower reader is cut off, and resumes by Range */

struct http;

/*
 * Listens on address ("HOST:PORT", numeric), by the same rule about plaintext networks as the API, for peers too.
 * deadline: HTTP_REQUEST_DEADLINE, or less in tests. images must outlive it.
 */
struct http *http_new(struct event_base *base, struct images *images, const char *address, const char *plaintext,
		      span_us deadline, struct err *err);
void http_free(struct http *http); /* NULL is allowed */
/* The port it listens on, for an address whose port is 0. */
uint16_t http_port(const struct http *http);

#endif
