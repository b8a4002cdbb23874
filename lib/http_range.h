/* What a request for one file asks for: conditions and a range of bytes, by RFC 9110. No sockets. */
#ifndef TENURE_HTTP_RANGE_H
#define TENURE_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum range_kind {
	RANGE_ALL,  /* none asked for, or one that the RFC lets us ignore: several, another unit, malformed */
	RANGE_PART, /* answer 206 with [first, last] */
	RANGE_NONE, /* nothing of it exists: answer 416 */
};

/* header: value of Range, or NULL. size > 0. first and last are set for RANGE_PART. */
enum range_kind http_range(const char *header, int64_t size, int64_t *first, int64_t *last);
/* True if header (value of If-None-Match, or NULL) holds etag (with its quotes) or is "*". */
bool http_etag_matches(const char *header, const char *etag);

#endif
