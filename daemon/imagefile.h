/* Whether an image file is what it is said to be, from its first bytes. Opens nothing. */
#ifndef TENURE_IMAGEFILE_H
#define TENURE_IMAGEFILE_H

#include <stddef.h>
#include <stdint.h>

#include "part.h"

/*
 * head: the first len bytes, QCOW2_HEAD or more unless the file is shorter; size: of the whole file. Refuses
 * (ERR_IMAGE) a role that the format does not have, a raw disk that is another format in disguise or no whole number of
 * sectors, a qcow2 image that qcow2_check() refuses or that is cut off, and a kernel or initrd that is none.
 * *disk: bytes of the disk inside, 0 for a kernel or initrd.
 */
int imagefile_check(const void *head, size_t len, int64_t size, const char *role, enum image_format format,
		    int64_t *disk, struct err *err);

#endif
