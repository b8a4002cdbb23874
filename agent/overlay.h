/* The guest's own disk: a qcow2 overlay on a pooled image, which stays as it is. Runs qemu-img; blocks. */
#ifndef TENURE_OVERLAY_H
#define TENURE_OVERLAY_H

#include <stdbool.h>

#include "err.h"
#include "part.h"
#include "usec.h"

/*
 * Makes path, an overlay on base (absolute path, IMAGE_RAW or IMAGE_QCOW2), whole or not at all; harmless if path is
 * there. The disk inside has size bytes; ERR_IMAGE if the image's has more, as its guest may write all of it. A qcow2
 * base is checked before qemu-img opens it (ERR_IMAGE). qemu-img is killed after the deadline (ERR_TIMEOUT). For worker
 * threads.
 */
int overlay_make(const char *path, const char *base, enum image_format format, int64_t size, span_us deadline,
		 struct err *err);

/* Puts the overlay at path, made elsewhere, onto the same image here; its content is not looked at. As overlay_make().
 */
int overlay_rebase(const char *path, const char *base, enum image_format format, span_us deadline, struct err *err);

/*
 * Runs argv[0] (found by PATH) with these arguments, an empty environment but for PATH, and nothing on its input; what
 * it writes to standard error ends up in err. Killed after the deadline.
 */
int overlay_run(char *const argv[], span_us deadline, struct err *err);

#endif
