/*
 * One file from a URL to a place on disk, by libcurl on the event loop: bounded, hashed while it comes, resumed from
 * what an earlier attempt left, checked before it gets its name. When to try again is stage.c's.
 */
#ifndef TENURE_FETCH_H
#define TENURE_FETCH_H

#include <event2/event.h>
#include <stdbool.h>

#include "err.h"
#include "usec.h"

struct fetcher; /* libcurl's multi handle on a loop */
struct fetch;   /* one transfer */

enum fetch_verdict {
	FETCH_DONE,    /* checked, on disk, renamed */
	FETCH_RETRY,   /* network, server or disk trouble that may pass; what came is kept */
	FETCH_REFUSED, /* the server says no (4xx), is not whom it should be, redirects to where we do not go, ... */
	FETCH_AGAIN,   /* what an earlier attempt left was no good and is deleted: start from nothing */
	FETCH_WRONG,   /* digest or size is not what was stated; deleted */
};

struct fetch_order {
	const char *url;
	const char *digest;    /* sha256; NULL = what the server's ETag says it is */
	int64_t size;          /* bytes; without digest the most there may be */
	const char *bearer;    /* secret shown to the server, which then may not redirect; NULL = none */
	const char *part_path; /* unfinished */
	const char *path;      /* finished, same folder */
	span_us connect_timeout_us;
	span_us stall_timeout_us;
	int64_t stall_rate; /* bytes per second */
};

struct fetch_ops {
	void (*moved)(struct fetch *fetch, void *arg);
	/* The fetch is freed after this returns. text: one line, "" if done. */
	void (*ended)(struct fetch *fetch, enum fetch_verdict verdict, const char *text, void *arg);
};

/* ca_file: the certificates that image servers are trusted by, copied; "" = the system's. */
struct fetcher *fetcher_new(struct event_base *base, const char *ca_file, struct err *err);
/* Breaks off what is under way; ended() is not called. */
void fetcher_free(struct fetcher *fetcher);

/* Copies the order. ended() comes later, from the loop. */
struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_order *order, const struct fetch_ops *ops,
			  void *arg);
/* Breaks it off and frees it; what came is kept. ended() is not called. Not while fetch_finishing(). */
void fetch_abort(struct fetch *fetch);
/* It has all its bytes and is being written out: it will end by itself soon. */
bool fetch_finishing(const struct fetch *fetch);
int64_t fetch_bytes(const struct fetch *fetch);

#endif
