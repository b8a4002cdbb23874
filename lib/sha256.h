/* SHA-256 as lower-case hex, which is how images are named. */
#ifndef TENURE_SHA256_H
#define TENURE_SHA256_H

#include <stddef.h>

#define SHA256_HEX 65 /* 64 digits and the NUL */

/* A hash under way. None of these can fail; without memory the program stops. */
struct sha256;

struct sha256 *sha256_new(void);       /* the caller frees with sha256_free() */
void sha256_free(struct sha256 *hash); /* NULL is allowed */
void sha256_update(struct sha256 *hash, const void *data, size_t len);
/* Of all that was given to sha256_update(); afterwards the hash is as new. */
void sha256_final(struct sha256 *hash, char out[SHA256_HEX]);

/* In one call. */
void sha256_hex(const void *data, size_t len, char out[SHA256_HEX]);

#endif
