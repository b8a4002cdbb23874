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

enum trace_format {
	TRACE_SWF,     /* Standard Workload Format (Feitelson): best-effort gangs */
	TRACE_COLUMNS, /* submit start duration real vms cpu memory disk image size: start -1 = best-effort, else a
			  reservation */
	TRACE_MSC,     /* submit;image;MB;vms;memory;cpu;access;deadline;duration;AR|BATCH: serial best-effort */
	TRACE_JSON,    /* one JSON object per line, fields as in lease.request: tenure-sim(1) */
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
 * Reads path (plain or gzip; the format is known by its content) and appends to *trace, which the caller has zeroed or
 * filled before. What is wrong goes to complain as lines "PATH:LINE: what" (at most 20, then how many more; NULL =
 * nowhere). -1 if the file cannot be read, is cut off in the middle, or holds no request at all; then *trace is as
 * before.
 */
int trace_read(const char *path, struct trace *trace, FILE *complain, struct err *err);
/* The same from memory, for tests and fuzzing; name stands for the path. */
int trace_parse(const char *name, const char *text, size_t length, struct trace *trace, FILE *complain,
		struct err *err);
/* Appends one request; sorting is trace_sort()'s. */
void trace_add(struct trace *trace, const struct trace_request *request);
/* By submit_us; equal ones stay in order. */
void trace_sort(struct trace *trace);
/* As TRACE_JSON, one line each. */
void trace_write(const struct trace *trace, FILE *out);
void trace_fini(struct trace *trace);

#endif
