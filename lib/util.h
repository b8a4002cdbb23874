/* Small helpers without a better home: cleanup macros, allocation that stops the program, strict parsing, files. */
#ifndef TENURE_UTIL_H
#define TENURE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "err.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Declares a clean-up attribute; steal() hands a pointer to a new owner (not a descriptor: 0 is one). */
#define _cleanup_(fn) __attribute__((cleanup(fn)))
static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}
static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
}
static inline void cleanup_fclose(FILE **f)
{
	if (*f) {
		fclose(*f);
	}
}
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define steal(p)                                     \
	({                                           \
		__typeof__(*(p)) steal_value = *(p); \
		*(p) = 0;                            \
		steal_value;                         \
	})

/* Allocation for programs: on failure one log line, then abort(). xcalloc() zeroes. The caller frees with free(). */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Decimal, nothing before or after; -1 and *out untouched if not a number or outside [min, max]. */
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out);

/* Names of nodes, images and leases: 1-63 of [A-Za-z0-9._-], beginning with a letter or digit. */
bool name_valid(const char *name);
/* 64 lower-case hex digits. */
bool digest_valid(const char *digest);

/* Lower-case hex of n bytes into out, which holds 2 * n + 1. */
void hex_encode(const void *data, size_t n, char *out);

/* Reads until size bytes are there or the file ends: how many, or -1 with errno set. */
ssize_t fd_read(int fd, void *data, size_t size);
/* Writes all of it. 0, or -1 with errno set. */
int fd_write(int fd, const void *data, size_t len);
/* The whole file as a NUL-terminated string (caller frees). NULL: ERR_NOT_FOUND, ERR_LIMIT if over max bytes, others.
 */
char *file_read(const char *path, size_t max, struct err *err);
/*
 * Replaces path whole or not at all: writes path.tmp with the given mode, fsyncs it, renames, fsyncs the folder.
 * On failure the old file is unchanged.
 */
int file_replace(const char *path, const void *data, size_t len, unsigned mode, struct err *err);
/* Makes the folder and its parents; 0 if it is there already. */
int dir_make(const char *path, unsigned mode, struct err *err);

/*
 * The first of a program: standard input, output and error that were closed are /dev/null, which can be neither read
 * nor written, so that no file or pipe opened later gets their numbers, and lines of the log.
 */
void program_begin(void);
/* SIG_BLOCK: it waits until SIG_UNBLOCK, when there is who can answer it. For the first thread, before there are
 * others. */
void signal_hold(int number, int how);
/*
 * The last of a program's exit: its status, but 1 instead of 0 where something printed was lost, which is said on
 * standard error unless its reader has gone.
 */
int output_end(const char *program, int status);

#endif
