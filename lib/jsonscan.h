/* A strict look at JSON text before json-c sees it: RFC 8259 and nothing else, UTF-8, depth, integers in 64 bits. */
#ifndef TENURE_JSONSCAN_H
#define TENURE_JSONSCAN_H

#include <stddef.h>

#include "err.h"

/*
 * Checks that text is exactly one JSON value, nested at most depth_max deep, with every integer in int64, no NUL (also
 * not as \u0000) and no half of a surrogate pair. *members becomes the number of "key": value pairs written anywhere in
 * it, by which the caller can tell afterwards whether a parser dropped a duplicate. ERR_PARSE, or ERR_LIMIT for depth.
 */
int jsonscan_check(const char *text, size_t len, unsigned depth_max, size_t *members, struct err *err);

/* Bytes (1-4) of the UTF-8 character at s, of which n >= 1 bytes may be read; 0 if it is not valid UTF-8. */
size_t jsonscan_utf8(const char *s, size_t n);

#endif
