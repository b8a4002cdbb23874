/*
 * The image pool: one file per digest in a folder with a limit. Files in use are pinned; the others are kept for the
 * next lease and evicted, the one not needed for longest first, when room is needed. Fetching is stage.c's.
 */
#ifndef TENURE_POOL_H
#define TENURE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct pool;

/* Takes stock of the folder (made if missing): images by their names, unfinished transfers "DIGEST.part". */
struct pool *pool_open(const char *dir, int64_t limit, struct err *err);
void pool_free(struct pool *pool);

/* True if the whole file of that digest is there with that size; one of another size is deleted: it is damaged. */
bool pool_has(struct pool *pool, const char *digest, int64_t size);
/* Where the file is or would be, and its unfinished form. The caller frees. */
char *pool_path(const struct pool *pool, const char *digest);
char *pool_part_path(const struct pool *pool, const char *digest);

/*
 * Pins these digests and no others. A file that is no longer pinned counts as used just now. Unfinished transfers of
 * other digests are deleted.
 */
void pool_pin(struct pool *pool, const char *const *digests, size_t n);

/*
 * Makes room for size bytes under that digest, evicting what is not pinned, and keeps it reserved until
 * pool_commit() or pool_cancel(). Harmless when repeated. ERR_LIMIT if pinned files leave too little room.
 */
int pool_reserve(struct pool *pool, const char *digest, int64_t size, struct err *err);
/* The unfinished file is whole and on disk (renamed by the caller): it is in the pool now. */
void pool_commit(struct pool *pool, const char *digest);
/* Gives the reservation back and deletes the unfinished file. Harmless without one. */
void pool_cancel(struct pool *pool, const char *digest);

/* Bytes of files and reservations; never above the limit, unless the folder held more when it was opened. */
int64_t pool_used(const struct pool *pool);
int64_t pool_limit(const struct pool *pool);

#endif
