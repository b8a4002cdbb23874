/* What the readers of single lines share. Only trace*.c include this. */
#ifndef TENURE_SIM_TRACE_FORMAT_H
#define TENURE_SIM_TRACE_FORMAT_H

#include "trace.h"

#define TRACE_SECONDS_MAX (TRACE_TIME_MAX / USEC_PER_SEC)

enum trace_verdict {
	TRACE_WRONG = -1, /* err says why */
	TRACE_REQUEST = 0,
	TRACE_LEFT_OUT, /* right, but no request */
};

/*
 * Each reads one line, which holds no NUL and no line's end; the text is changed. *out is zeroed before, with the times
 * that may be unknown at -1, and complete only after TRACE_REQUEST; line is the caller's.
 */
enum trace_verdict trace_swf_line(char *text, struct trace_request *out, struct err *err);
enum trace_verdict trace_columns_line(char *text, struct trace_request *out, struct err *err);
enum trace_verdict trace_msc_line(char *text, struct trace_request *out, struct err *err);
enum trace_verdict trace_json_line(char *text, struct trace_request *out, struct err *err);
/* True if a line has the outer shape of the format: how many fields, between what. */
bool trace_swf_shape(const char *text);
bool trace_columns_shape(const char *text);
bool trace_msc_shape(const char *text);

/* A field that holds a number: what it is called and what it may be, in the file's own unit. */
struct trace_field {
	const char *name;
	int64_t scale;    /* one unit of the file in units of ours; times 1 s = 1000000 */
	int64_t min, max; /* min -1: -1 stands for "not known" and is read as -1, unscaled */
};

/*
 * Splits text in place at white space (separator 0), or at each separator, whose fields are trimmed. Returns how many
 * fields there are, which may be more than the max that were stored.
 */
size_t trace_split(char *text, char separator, char **field, size_t max);
/*
 * Decimal, with a fraction only if the scale can hold it exactly: "1.5" at 1000 is 1500. Nothing is rounded. -1 with
 * "field 4 (run time) is ..." in err.
 */
int trace_number(const char *text, size_t position, const struct trace_field *field, int64_t *out, struct err *err);
/* Copies an image's name: printable ASCII without white space and quotes, shorter than TRACE_NAME. */
int trace_image(const char *text, size_t length, char out[TRACE_NAME], struct err *err);

#endif
