/*
 * The agent's book: its part of the plan, and how far each guest has come. On disk, replaced whole; what an agent does
 * after a restart it does from this file and from what libvirt shows.
 */
#ifndef TENURE_BOOK_H
#define TENURE_BOOK_H

#include <stdbool.h>
#include <uthash.h>

#include "err.h"
#include "part.h"
#include "work_next.h"

/* How far one guest has come. Kept from the moment the part names it until its files are removed. */
struct book_guest {
	struct book_key {
		uint64_t lease;
		uint32_t vm;
		uint32_t generation;
	} key;
	enum work_stage stage;
	wall_us at_us;            /* when it came there; BOOTED, RESUMED: when it was seen running, 0 = not yet */
	char text[PART_TEXT_MAX]; /* why, of ENDED and FAILED */
	bool fresh;               /* book.c's: added by a part that is being written */
	UT_hash_handle hh;
};

struct book;

/*
 * Reads the book at path; no file there is a book without a part. A file that is damaged is renamed to
 * PATH.damaged-TIME and the book has no part until the head sends it: nothing is started or removed meanwhile. Fails
 * (NULL) where going on would lose something: the file cannot be read or set aside, or a newer version wrote it.
 * The caller frees with book_free().
 */
struct book *book_open(const char *path, wall_us now_us, struct err *err);
void book_free(struct book *book);

/* NULL = none known. The book's, until the next book_accept(). */
const struct part *book_part(const struct book *book);

/*
 * Takes a part over from the head: first to disk, then in memory. Refuses one older than the book's (ERR_STALE), and
 * one it cannot write (ERR_STORE); then nothing has changed and part is still the caller's.
 * Where no part was known, a guest whose start has passed counts as told to run: it may have run and ended, and the
 * book that knew is lost.
 */
int book_accept(struct book *book, struct part *part, wall_us now_us, struct err *err);

/* NULL if the book has nothing of it. */
struct book_guest *book_find(const struct book *book, uint64_t lease, uint32_t vm, uint32_t generation);
/* Finds it, or adds it as WORK_NEW. */
struct book_guest *book_add(struct book *book, uint64_t lease, uint32_t vm, uint32_t generation);
void book_forget(struct book *book, struct book_guest *guest);
/* Head of the hash, to walk with HASH_ITER(hh, ...); NULL if empty. */
struct book_guest *book_guests(const struct book *book);

/* Says that a guest was changed in memory. */
void book_changed(struct book *book);
/* Writes what changed, if anything did. On failure it stays to be written by the next call. */
int book_save(struct book *book, struct err *err);

#endif
