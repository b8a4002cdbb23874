/*
 * What may be asked for, by whom, and the files' digests, which are made in a thread when a file is first asked for.
 * HTTP is lib/http.c's.
 */
#include "offers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>

#include "guest_op.h"
#include "http.h"
#include "log.h"
#include "mail.h"
#include "sha256.h"
#include "text.h"
#include "thread.h"
#include "token.h"
#include "util.h"

#define CHUNK (1u << 20)

/* The digest of one file, as long as that is the same file. */
struct digest {
	char *path;
	struct stat st;
	bool known; /* else it is being made */
	char hex[SHA256_HEX];
	UT_hash_handle hh;
};

struct offers {
	struct offers_settings settings; /* strings are ours */
	const struct book *book;
	offers_still *still;
	void *arg;
	struct http *http;
	struct mail *mail;
	struct digest *digests;
};

/* One file to be read through by a thread. */
struct reading {
	struct mail *mail;
	char *path;
	int fd;
	bool failed;
	char hex[SHA256_HEX];
};

/* ---- digests ---- */

static void drop_reading(void *item)
{
	struct reading *reading = item;

	cleanup_close(&reading->fd);
	free(reading->path);
	free(reading);
}

static void digest_free(struct offers *offers, struct digest *digest)
{
	HASH_DEL(offers->digests, digest);
	free(digest->path);
	free(digest);
}

static void got_reading(void *item, void *arg)
{
	struct offers *offers = arg;
	struct reading *reading = item;
	struct digest *digest;

	HASH_FIND_STR(offers->digests, reading->path, digest);
	if (digest && reading->failed) {
		digest_free(offers, digest); /* asked for again it is tried again */
	} else if (digest) {
		digest->known = true;
		memcpy(digest->hex, reading->hex, sizeof(digest->hex));
	}
	drop_reading(reading);
}

static const struct mail_ops mail_ops = {.got = got_reading, .drop = drop_reading};

static void *read_through(void *arg)
{
	struct reading *reading = arg;
	struct mail *mail = reading->mail;
	struct sha256 *hash = sha256_new();
	char *chunk = xcalloc(1, CHUNK);
	ssize_t n;

	while ((n = fd_read(reading->fd, chunk, CHUNK)) > 0) {
		sha256_update(hash, chunk, (size_t)n);
	}
	reading->failed = n < 0;
	sha256_final(hash, reading->hex);
	sha256_free(hash);
	free(chunk);
	mail_post(mail, reading);
	mail_unref(mail);
	return NULL;
}

static void begin_reading(struct offers *offers, const char *path, int fd)
{
	struct reading *reading = xcalloc(1, sizeof(*reading));
	struct err err;

	*reading = (struct reading){.mail = mail_ref(offers->mail), .path = xstrdup(path), .fd = dup(fd)};
	if (reading->fd < 0 || thread_start(read_through, reading, &err) < 0) {
		reading->failed = true;
		mail_post(reading->mail, reading);
		mail_unref(offers->mail);
	}
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Of the open file; NULL = not known yet. Borrowed. */
static const char *digest_of(struct offers *offers, const char *path, int fd, const struct stat *st)
{
	struct digest *digest;

	HASH_FIND_STR(offers->digests, path, digest);
	if (digest && same_file(&digest->st, st)) {
		return digest->known ? digest->hex : NULL;
	}
	if (digest && !digest->known) {
		return NULL; /* of the file before it: its answer must not be taken for this one's */
	}
	if (digest) {
		digest_free(offers, digest);
	}
	digest = xcalloc(1, sizeof(*digest));
	digest->path = xstrdup(path);
	digest->st = *st;
	HASH_ADD_KEYPTR(hh, offers->digests, digest->path, strlen(digest->path), digest);
	begin_reading(offers, path, fd);
	return NULL;
}

/* Of guests that have gone. */
static void forget_gone(struct offers *offers)
{
	struct digest *digest, *next;

	HASH_ITER (hh, offers->digests, digest, next) {
		if (digest->known && access(digest->path, F_OK) < 0) {
			digest_free(offers, digest);
		}
	}
}

/* ---- who may have what ---- */

static bool knows_secret(const struct offers *offers, const char *authorization)
{
	_cleanup_token_ char *token = token_read(offers->settings.token_file, "token_file", NULL);
	char shown[SHA256_HEX], known[SHA256_HEX];

	if (!token || !authorization || strncmp(authorization, "Bearer ", 7) != 0) {
		return false;
	}
	/* Digests, so that comparing takes the same time whatever is shown. */
	sha256_hex(token, strlen(token), known);
	sha256_hex(authorization + 7, strlen(authorization + 7), shown);
	return CRYPTO_memcmp(known, shown, sizeof(known)) == 0;
}

/* "NODE/LEASE-VM-GENERATION/FILE", exactly as it is written. */
static bool parse_name(const char *name, char node[64], struct book_key *key, const char **file)
{
	static const char *const files[][2] = {{"disk", GUEST_DISK}, {"memory", GUEST_SAVE}};
	char word[16], again[160];

	memset(key, 0, sizeof(*key));
	if (sscanf(name, "%63[^/]/%20" SCNu64 "-%10" SCNu32 "-%10" SCNu32 "/%15[a-z]", node, &key->lease, &key->vm,
		   &key->generation, word) != 5) {
		return false;
	}
	snprintf(again, sizeof(again), "%s/%" PRIu64 "-%" PRIu32 "-%" PRIu32 "/%s", node, key->lease, key->vm,
		 key->generation, word);
	for (size_t i = 0; i < ARRAY_SIZE(files) && strcmp(name, again) == 0; i++) {
		if (strcmp(word, files[i][0]) == 0) {
			*file = files[i][1];
			return true;
		}
	}
	return false;
}

/* The book is the fence: a node that works from an older plan than ours is not in it any more. */
static bool is_offered(const struct offers *offers, const struct book_key *key, const char *node)
{
	const struct part *part = book_part(offers->book);

	for (size_t i = 0; part && i < part->vm_count; i++) {
		const struct part_vm *vm = &part->vms[i];

		if (vm->lease == key->lease && vm->vm == key->vm && vm->generation == key->generation) {
			return vm->to && strcmp(vm->to, node) == 0;
		}
	}
	return false;
}

static enum http_verdict open_file(const char *name, const char *authorization, struct http_file *file, void *arg)
{
	struct offers *offers = arg;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	const char *base, *digest;
	struct book_key key;
	struct stat st;
	char node[64];

	if (!knows_secret(offers, authorization)) {
		return HTTP_FORBIDDEN;
	}
	if (!parse_name(name, node, &key, &base) || !is_offered(offers, &key, node)) {
		return HTTP_MISSING;
	}
	if (!offers->still(&key, offers->arg)) {
		return HTTP_LATER;
	}
	path = xasprintf("%s/%" PRIu64 "-%" PRIu32 "-%" PRIu32 "/%s", offers->settings.guests_dir, key.lease, key.vm,
			 key.generation, base);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		return HTTP_MISSING;
	}
	forget_gone(offers);
	digest = digest_of(offers, path, fd, &st);
	if (!digest) {
		return HTTP_LATER;
	}
	*file = (struct http_file){.fd = fd, .size = st.st_size};
	memcpy(file->digest, digest, sizeof(file->digest));
	fd = -1;
	return HTTP_OPENED;
}

/* ---- life ---- */

struct offers *offers_new(struct event_base *base, const struct offers_settings *settings, const struct book *book,
			  offers_still *still, void *arg, struct err *err)
{
	struct offers *offers = xcalloc(1, sizeof(*offers));
	struct http_settings http = {
		.address = settings->address,
		.plaintext = settings->plaintext,
		.prefix = OFFERS_PREFIX,
		.deadline_us = HTTP_REQUEST_DEADLINE,
	};

	offers->settings.token_file = xstrdup(settings->token_file);
	offers->settings.guests_dir = xstrdup(settings->guests_dir);
	offers->book = book;
	offers->still = still;
	offers->arg = arg;
	offers->mail = mail_new(base, &mail_ops, offers, err);
	offers->http = offers->mail ? http_new(base, &http, open_file, offers, err) : NULL;
	if (!offers->http) {
		offers_free(offers);
		return NULL;
	}
	return offers;
}

void offers_free(struct offers *offers)
{
	struct digest *digest, *next;

	if (!offers) {
		return;
	}
	http_free(offers->http);
	if (offers->mail) {
		mail_close(offers->mail);
		mail_unref(offers->mail);
	}
	HASH_ITER (hh, offers->digests, digest, next) {
		digest_free(offers, digest);
	}
	free((char *)offers->settings.token_file);
	free((char *)offers->settings.guests_dir);
	free(offers);
}

uint16_t offers_port(const struct offers *offers)
{
	return http_port(offers->http);
}
