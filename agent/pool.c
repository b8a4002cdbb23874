/*
 * The image pool's accounting and eviction. Every digest known is an entry: present, or reserved for a transfer. Reads
 * no image: a name in this folder was given only after the digest had been checked.
 */
#include "pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#include "log.h"
#include "util.h"

#define PART_SUFFIX ".part"

struct entry {
	char digest[65];
	int64_t size;
	bool present; /* else reserved, or a left-over unfinished file */
	bool pinned;
	uint64_t used; /* order of last use: greater is later */
	UT_hash_handle hh;
};

struct pool {
	char *dir;
	int64_t limit;
	int64_t bytes;
	uint64_t tick;
	struct entry *entries; /* in order of last use when opened, by adding afterwards */
};

static struct entry *find(const struct pool *pool, const char *digest)
{
	struct entry *entry;

	HASH_FIND_STR(pool->entries, digest, entry);
	return entry;
}

static struct entry *add(struct pool *pool, const char *digest, int64_t size, bool present)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));

	memcpy(entry->digest, digest, sizeof(entry->digest));
	entry->size = size;
	entry->present = present;
	entry->used = ++pool->tick;
	pool->bytes += size;
	HASH_ADD_STR(pool->entries, digest, entry);
	return entry;
}

static void drop(struct pool *pool, struct entry *entry)
{
	pool->bytes -= entry->size;
	HASH_DEL(pool->entries, entry);
	free(entry);
}

char *pool_path(const struct pool *pool, const char *digest)
{
	return xasprintf("%s/%s", pool->dir, digest);
}

char *pool_part_path(const struct pool *pool, const char *digest)
{
	return xasprintf("%s/%s" PART_SUFFIX, pool->dir, digest);
}

static void delete_file(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT) {
		log_warning("pool: cannot delete %s: %s", path, strerror(errno));
	}
}

static void evict(struct pool *pool, struct entry *entry)
{
	_cleanup_free_ char *path =
		entry->present ? pool_path(pool, entry->digest) : pool_part_path(pool, entry->digest);

	delete_file(path);
	drop(pool, entry);
}

/* ---- opening ---- */

struct found {
	char digest[65];
	bool part;
	int64_t size;
	int64_t used_s;
};

static int by_use(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->used_s != y->used_s) {
		return x->used_s < y->used_s ? -1 : 1;
	}
	return strcmp(x->digest, y->digest);
}

/* False: not one of ours. */
static bool look_at(const char *dir, const char *name, struct found *out)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	size_t len = strlen(name);
	struct stat st;

	out->part = len == 64 + strlen(PART_SUFFIX) && strcmp(name + 64, PART_SUFFIX) == 0;
	if ((len != 64 && !out->part) || lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
		return false;
	}
	memcpy(out->digest, name, 64);
	out->digest[64] = '\0';
	out->size = st.st_size;
	out->used_s = st.st_mtime;
	return digest_valid(out->digest);
}

static int take_stock(struct pool *pool, struct err *err)
{
	_cleanup_free_ struct found *list = NULL;
	size_t n = 0;
	DIR *dir = opendir(pool->dir);

	if (!dir) {
		return err_set(err, ERR_INTERNAL, "cannot read %s: %s", pool->dir, strerror(errno));
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		list = xrealloc(list, n + 1, sizeof(*list));
		if (look_at(pool->dir, entry->d_name, &list[n])) {
			n++;
		}
	}
	closedir(dir);
	if (n) {
		qsort(list, n, sizeof(*list), by_use);
	}
	for (size_t i = 0; i < n; i++) {
		if (!find(pool, list[i].digest)) {
			add(pool, list[i].digest, list[i].size, !list[i].part);
		}
	}
	return 0;
}

struct pool *pool_open(const char *dir, int64_t limit, struct err *err)
{
	struct pool *pool = xcalloc(1, sizeof(*pool));

	pool->dir = xstrdup(dir);
	pool->limit = limit;
	if (dir_make(dir, 0755, err) < 0 || take_stock(pool, err) < 0) {
		pool_free(pool);
		return NULL;
	}
	return pool;
}

void pool_free(struct pool *pool)
{
	struct entry *entry, *next;

	if (!pool) {
		return;
	}
	HASH_ITER (hh, pool->entries, entry, next) {
		drop(pool, entry);
	}
	free(pool->dir);
	free(pool);
}

/* ---- use ---- */

bool pool_has(struct pool *pool, const char *digest, int64_t size)
{
	struct entry *entry = find(pool, digest);
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (!entry || !entry->present) {
		return false;
	}
	path = pool_path(pool, digest);
	if (stat(path, &st) == 0 && st.st_size == size) {
		return true;
	}
	log_warning("pool: %s is damaged or gone; it will be fetched again", path);
	evict(pool, entry);
	return false;
}

/* The time of last use outlives a restart as the file's. */
static void touch(const struct pool *pool, struct entry *entry)
{
	_cleanup_free_ char *path = pool_path(pool, entry->digest);

	utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

void pool_pin(struct pool *pool, const char *const *digests, size_t n)
{
	uint64_t before = pool->tick;
	struct entry *entry, *next;

	pool->tick++;
	for (size_t i = 0; i < n; i++) {
		entry = find(pool, digests[i]);
		if (entry) {
			entry->used = pool->tick;
		}
	}
	HASH_ITER (hh, pool->entries, entry, next) {
		bool pin = entry->used > before;

		if (entry->present && entry->pinned != pin) {
			entry->used = ++pool->tick;
			touch(pool, entry);
		}
		entry->pinned = pin;
		if (!entry->present && !pin) {
			evict(pool, entry);
		}
	}
}

static struct entry *oldest(const struct pool *pool, const struct entry *but)
{
	struct entry *best = NULL;

	for (struct entry *entry = pool->entries; entry; entry = entry->hh.next) {
		if (entry != but && entry->present && !entry->pinned && (!best || entry->used < best->used)) {
			best = entry;
		}
	}
	return best;
}

static int64_t evictable(const struct pool *pool)
{
	int64_t bytes = 0;

	for (struct entry *entry = pool->entries; entry; entry = entry->hh.next) {
		bytes += entry->present && !entry->pinned ? entry->size : 0;
	}
	return bytes;
}

int pool_reserve(struct pool *pool, const char *digest, int64_t size, struct err *err)
{
	struct entry *entry = find(pool, digest);
	int64_t more = size - (entry ? entry->size : 0);

	if (pool->bytes - evictable(pool) + more > pool->limit) {
		return err_set(err, ERR_LIMIT,
			       "the image pool is full: %" PRId64 " of %" PRId64 " bytes are in use, %" PRId64
			       " more are needed; raise [capacity] pool",
			       pool->bytes - evictable(pool), pool->limit, more);
	}
	while (pool->bytes + more > pool->limit) {
		struct entry *victim = oldest(pool, entry);

		log_info("pool: evicting %s (%" PRId64 " bytes)", victim->digest, victim->size);
		evict(pool, victim);
	}
	if (entry) {
		pool->bytes += more;
		entry->size = size;
	} else {
		entry = add(pool, digest, size, false);
	}
	entry->pinned = true;
	return 0;
}

void pool_commit(struct pool *pool, const char *digest)
{
	struct entry *entry = find(pool, digest);

	if (entry) {
		entry->present = true;
		entry->used = ++pool->tick;
	}
}

void pool_cancel(struct pool *pool, const char *digest)
{
	struct entry *entry = find(pool, digest);

	if (entry && !entry->present) {
		evict(pool, entry);
	}
}

int64_t pool_used(const struct pool *pool)
{
	return pool->bytes;
}

int64_t pool_limit(const struct pool *pool)
{
	return pool->limit;
}
