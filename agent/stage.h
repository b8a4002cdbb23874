/*
 * Staging: fetches image files into the pool with libcurl on the event loop, checks them while they come, resumes what
 * was cut. http and https only. Which files are wanted, and when, is the book's.
 */
#ifndef TENURE_STAGE_H
#define TENURE_STAGE_H

#include <event2/event.h>

#include "part.h"
#include "pool.h"

struct stage;

struct stage_settings {
	int64_t max_size;
	unsigned parallel;
	span_us connect_timeout_us;
	span_us stall_timeout_us;
	int64_t stall_rate; /* bytes per second */
	span_us retry_us;   /* first pause before a retry; doubles up to 64 times that */
};

struct stage_ops {
	/* A file is in the pool, was given up, or has moved on: look at stage_image() again. */
	void (*changed)(bool finished, void *arg);
};

/*
 * pool must outlive it. ca_file: as for fetcher_new(). The caller frees with stage_free(); what is unfinished is
 * resumed by the next stage.
 */
struct stage *stage_new(struct event_base *base, struct pool *pool, const char *ca_file,
			const struct stage_settings *settings, const struct stage_ops *ops, void *arg, struct err *err);
void stage_free(struct stage *stage);
/* Transfers begun from now on follow these. */
void stage_set(struct stage *stage, const struct stage_settings *settings);

/*
 * The files that are wanted from now on: of every image of the part. Pins them in the pool, begins what is due, breaks
 * off what is no longer wanted. Files with one digest are fetched once. part is not kept; NULL = nothing is known,
 * nothing changes.
 */
void stage_want(struct stage *stage, const struct part *part);

/* Where an image stands: PRESENT when every file of it is in the pool. */
void stage_image(struct stage *stage, const struct part_image *image, struct report_image *out);

#endif
