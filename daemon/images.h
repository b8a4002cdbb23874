/* The image repository: a folder of files named by their digest, filled from paths on the head. */
#ifndef TENURE_IMAGES_H
#define TENURE_IMAGES_H

#include <event2/event.h>

#include "part.h"

/* A catalogue entry. Plain value; strings are the holder's. */
struct image {
	uint64_t id;
	char *name;
	enum image_format format;
	char *cmdline;
	struct part_file file[PART_FILES_MAX]; /* url "" = in the repository folder under its digest */
	size_t files;
	int64_t size; /* of all files */
	int64_t disk; /* bytes of the disk inside; 0 = none, or not known (qcow2 at an URL) */
};

void image_fini(struct image *image);

struct images;

/* dir is made if missing; what an earlier run left half-copied is removed. */
struct images *images_new(struct event_base *base, const char *dir, struct err *err);
void images_free(struct images *images);

/*
 * Copies a file into the repository in a worker thread, hashing it on the way, checking its format (a raw, qcow2 or
 * kernel header; qcow2 with a backing file, data file or unknown features is refused); done is called from the loop
 * with the file's digest and size; disk: bytes of the disk inside, 0 = none. want_digest NULL = whatever it is.
 */
typedef void images_imported(const struct part_file *file, int64_t disk, const struct err *err, void *arg);
void images_import(struct images *images, const char *path, const char *role, enum image_format format,
		   const char *want_digest, images_imported *done, void *arg);
/* An open file descriptor of the repository's file, its size through *size; -1 if there is none. */
int images_open(struct images *images, const char *digest, int64_t *size);
/* Deletes the repository's files that are not among keep (digests). */
void images_sweep(struct images *images, const char *const *keep, size_t n);

#endif
