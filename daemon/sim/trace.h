/*
 * Workloads: what a simulated cluster's users ask for, and when. Times count from the trace's origin. A trace is read
 * whole, checked line by line; a line that makes no sense is skipped, counted and told of, never guessed at.
 */
#ifndef TENURE_SIM_TRACE_H
#define TENURE_SIM_TRACE_H

#include <stddef.h>
#include <stdio.h>

#include "err.h"
#include "lease.h"

#define TRACE_NAME 64 /* bytes of an image's name with its end; longer ones are refused */

/* What a file may hold. The largest log of the archive has 5.7 million jobs; a gigabyte of text is ten times that. */
#define TRACE_LINES_MAX 10000000
#define TRACE_BYTES_MAX (INT64_C(1) << 30) /* unpacked */
#define TRACE_LINE_MAX 4095                /* bytes of one line; a JSON line with every field has some 600 */
#define TRACE_TIME_MAX (100 * 365 * USEC_PER_DAY)

/* Traces count in MB. Of memory and disk they are powers of two, of images (whose transfers they time) of ten. */
#define TRACE_MEMORY_MB (INT64_C(1) << 20)
#define TRACE_IMAGE_MB INT64_C(1000000)

/* One request as its user made it, and how long it would really run. */
struct trace_request {
	wall_us submit_us; /* >= 0 */
	enum lease_kind kind;
	bool serial;            /* each VM by itself */
	uint32_t vms;           /* > 0 */
	struct capacity per_vm; /* 0 where the trace does not say */
	wall_us start_us;       /* as in struct lease_spec, but from the origin; -1 where that has 0 */
	wall_us latest_us;
	wall_us deadline_us;
	span_us response_us;
	wall_us call_us;        /* open reservations: when the event comes; -1 = never */
	span_us duration_us;    /* asked for, > 0 */
	span_us real_us;        /* it ends by itself after that long, > 0; >= duration_us if it does not */
	uint32_t user;          /* 0 = unknown */
	char image[TRACE_NAME]; /* "" = the trace names none */
	int64_t image_bytes;    /* 0 = unknown */
	uint64_t line;          /* of the file, from 1; 0 = generated */
};

/*
 * Empty lines and those that begin with ; or # are passed over in every format; lines may end in CRLF. tenure-trace(5)
 * describes them for users.
 */
enum trace_format {
	TRACE_SWF,     /* Standard Workload Format (Feitelson): best-effort gangs */
	TRACE_COLUMNS, /* submit start duration real vms cpu memory disk 'image' size: start -1 = best-effort, else a
			  reservation */
	TRACE_MSC,     /* submit;image;MB;vms;memory;cpu;access;deadline;duration;AR|BATCH: serial best-effort */
	TRACE_JSON,    /* one JSON object per line, fields as in lease.request */
	TRACE_FORMAT_COUNT
};

struct trace {
	struct trace_request *item; /* by submit_us, equal ones in order of the file */
	size_t count, room;
	uint64_t lines;    /* read, without comments and empty ones */
	uint64_t skipped;  /* lines told of as wrong */
	uint64_t left_out; /* lines that are right but are no requests (cancelled before they ran) */
	bool unsorted;     /* the file was not in order of submission; item is */
};

/*
 * Reads path (plain or gzip; the format is known by its content) and adds to *trace, which the caller has zeroed or
 * filled before; all of it is sorted again. What is wrong goes to complain as lines "PATH:LINE: what is wrong; what was
 * done" (at most 20, then how many more; NULL = nowhere). -1 if the file cannot be read, is cut off in the middle, is
 * too large, or holds no request at all; then *trace is as before.
 */
int trace_read(const char *path, struct trace *trace, FILE *complain, struct err *err);
/* The same from memory (not packed), for tests and fuzzing; name stands for the path. */
int trace_parse(const char *name, const char *text, size_t length, struct trace *trace, FILE *complain,
		struct err *err);
/* Adds one request; sorting is trace_sort()'s. */
void trace_add(struct trace *trace, const struct trace_request *request);
/* By submit_us; equal ones stay in order. */
void trace_sort(struct trace *trace);
/* As TRACE_JSON, one line each; reading that gives the same requests, but for their line. */
void trace_write(const struct trace *trace, FILE *out);
/* 0 if the request makes sense by itself; else -1 and why. Every reader's requests pass. */
int trace_check(const struct trace_request *request, struct err *err);
void trace_fini(struct trace *trace);

#endif
