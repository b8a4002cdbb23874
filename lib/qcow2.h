/*
 * The header of a qcow2 image from outside, checked before any tool opens the file: a hostile header can name other
 * files of the host, or sizes that no disk holds. Reads bytes, opens nothing.
 */
#ifndef TENURE_QCOW2_H
#define TENURE_QCOW2_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define QCOW2_HEAD 65536                   /* bytes of a file's begin to give to qcow2_check() */
#define QCOW2_SIZE_MAX (INT64_C(64) << 40) /* of the disk inside: more is a mistake or an attack */

/*
 * head holds the first len bytes of the file: QCOW2_HEAD of them, or all if it is shorter. Refuses (ERR_IMAGE) what is
 * not qcow2 version 2 or 3, a backing file, an external data file, encryption, an image marked dirty or corrupt,
 * unknown incompatible features, and sizes that are absurd or contradict each other. *virtual_size: bytes of the disk
 * inside.
 */
int qcow2_check(const void *head, size_t len, int64_t *virtual_size, struct err *err);

/* The least bytes a file with this header, which passed qcow2_check(), must have: fewer mean that it was cut off. */
int64_t qcow2_least(const void *head);

#endif
