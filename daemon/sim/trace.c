/*
 * Workload files: opening and unpacking, lines, the format they are in, and what is said of those that are wrong.
 * What a line means is the formats' own.
 */
#include "trace.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "trace_format.h"
#include "util.h"

#define TOLD_MAX 20     /* complaints in full; nobody reads more */
#define STRANGE_MAX 100 /* lines in no known format before the first that is in one */
#define CHUNK (64 * 1024)

/* A file being read. Text comes in pieces of any size. */
struct reader {
	const char *name;
	struct trace *trace;
	struct trace before; /* as it was handed over, for the counts */
	FILE *complain;
	enum trace_format format; /* TRACE_FORMAT_COUNT until a line has shown it */
	uint64_t number;          /* of the line being read */
	uint64_t strange, told, untold;
	int64_t bytes;
	char line[TRACE_LINE_MAX + 1];
	size_t length;
	bool overlong, has_nul;
};

static const struct {
	bool (*shape)(const char *text);
	enum trace_verdict (*line)(char *text, struct trace_request *out, struct err *err);
} formats[TRACE_FORMAT_COUNT] = {
	[TRACE_SWF] = {trace_swf_shape, trace_swf_line},
	[TRACE_COLUMNS] = {trace_columns_shape, trace_columns_line},
	[TRACE_MSC] = {trace_msc_shape, trace_msc_line},
	[TRACE_JSON] = {NULL, trace_json_line},
};

static void complain(struct reader *reader, const char *what, const char *done)
{
	if (!reader->complain) {
		return;
	}
	if (reader->told == TOLD_MAX) {
		reader->untold++;
		return;
	}
	reader->told++;
	fprintf(reader->complain, "%s:%ju: ", reader->name, (uintmax_t)reader->number);
	/* What is quoted came from the file, and this goes to a terminal. */
	for (const char *c = what; *c; c++) {
		fputc(isprint((unsigned char)*c) ? *c : '?', reader->complain);
	}
	fprintf(reader->complain, "; %s\n", done);
}

/* ---- the list ------------------------------------------------------------------------------------------------- */

void trace_add(struct trace *trace, const struct trace_request *request)
{
	if (trace->count == trace->room) {
		trace->room = trace->room ? 2 * trace->room : 64;
		trace->item = xrealloc(trace->item, trace->room, sizeof(*trace->item));
	}
	trace->item[trace->count++] = *request;
}

/* Of two places in one array, so that equal ones keep their order whatever qsort() does. */
static int by_submit(const void *a, const void *b)
{
	const struct trace_request *const *pa = a, *const *pb = b;
	const struct trace_request *x = *pa, *y = *pb;

	if (x->submit_us != y->submit_us) {
		return x->submit_us < y->submit_us ? -1 : 1;
	}
	return x < y ? -1 : x > y;
}

void trace_sort(struct trace *trace)
{
	_cleanup_free_ const struct trace_request **order = xcalloc(trace->count + 1, sizeof(*order));
	struct trace_request *sorted = xcalloc(trace->count + 1, sizeof(*sorted));

	for (size_t i = 0; i < trace->count; i++) {
		order[i] = &trace->item[i];
	}
	qsort(order, trace->count, sizeof(*order), by_submit);
	for (size_t i = 0; i < trace->count; i++) {
		sorted[i] = *order[i];
	}
	free(trace->item);
	trace->item = sorted;
	trace->room = trace->count + 1;
}

void trace_fini(struct trace *trace)
{
	free(trace->item);
	*trace = (struct trace){0};
}

/* ---- what makes sense ------------------------------------------------------------------------------------------ */

static int check_times(const struct trace_request *r, struct err *err)
{
	bool window = r->kind == LEASE_AR || r->kind == LEASE_OPEN;

	if ((r->start_us >= 0) != window && r->kind != LEASE_DEADLINE) {
		return err_set(err, ERR_PARAMS, window ? "has no start" : "has a start, which its kind has not");
	}
	if (r->latest_us >= 0 && (!window || r->latest_us < r->start_us)) {
		return err_set(err, ERR_PARAMS, "has a latest start that %s",
			       window ? "is before its start" : "its kind has not");
	}
	if ((r->deadline_us >= 0) != (r->kind == LEASE_DEADLINE)) {
		return err_set(err, ERR_PARAMS,
			       r->deadline_us < 0 ? "has no deadline" : "has a deadline and another kind");
	}
	if (r->kind == LEASE_OPEN && (r->latest_us < 0 || r->response_us == 0)) {
		return err_set(err, ERR_PARAMS, "has no %s", r->latest_us < 0 ? "end of its window" : "response time");
	}
	if (r->kind != LEASE_OPEN && (r->response_us || r->call_us >= 0)) {
		return err_set(err, ERR_PARAMS, "is no open reservation, but has a call or a response time");
	}
	if (r->call_us >= 0 && (r->call_us < r->start_us || r->call_us >= r->latest_us)) {
		return err_set(err, ERR_PARAMS, "is called outside its window");
	}
	return 0;
}

int trace_check(const struct trace_request *r, struct err *err)
{
	if (r->vms < 1 || r->vms > LEASE_VMS_MAX) {
		return err_set(err, ERR_PARAMS, "asks for %u VMs, not 1 to %d", r->vms, LEASE_VMS_MAX);
	}
	if (r->duration_us < 1 || r->real_us < 1) {
		return err_set(err, ERR_PARAMS, "asks for no time at all");
	}
	if (r->serial && r->kind != LEASE_BEST_EFFORT) {
		return err_set(err, ERR_PARAMS, "is serial, but not best-effort");
	}
	return check_times(r, err);
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

/* The format that lines like this one are in; TRACE_FORMAT_COUNT if none. */
static enum trace_format format_of(const char *text)
{
	if (text[strspn(text, " \t")] == '{') {
		return TRACE_JSON;
	}
	for (int i = 0; i < TRACE_FORMAT_COUNT; i++) {
		if (formats[i].shape && formats[i].shape(text)) {
			return (enum trace_format)i;
		}
	}
	return TRACE_FORMAT_COUNT;
}

static void skip(struct reader *reader, const char *what)
{
	reader->trace->skipped++;
	complain(reader, what, "the line was skipped");
}

static void take_request(struct reader *reader, struct trace_request *request)
{
	struct trace *trace = reader->trace;
	size_t first = reader->before.count;

	request->line = reader->number;
	if (!trace->unsorted && trace->count > first && request->submit_us < trace->item[trace->count - 1].submit_us) {
		trace->unsorted = true;
		complain(reader, "submitted before the request above it", "all were sorted by time of submission");
	}
	trace_add(trace, request);
}

static void read_line(struct reader *reader)
{
	struct trace_request request = {.start_us = -1, .latest_us = -1, .deadline_us = -1, .call_us = -1};
	struct err err = {0};

	switch (formats[reader->format].line(reader->line, &request, &err)) {
	case TRACE_REQUEST:
		if (trace_check(&request, &err) == 0) {
			take_request(reader, &request);
			return;
		}
		break;
	case TRACE_LEFT_OUT:
		reader->trace->left_out++;
		return;
	case TRACE_WRONG:
		break;
	}
	skip(reader, err.text);
}

/* -1 if this cannot be a trace. */
static int whole_line(struct reader *reader, struct err *err)
{
	const char *text = reader->line + strspn(reader->line, " \t");

	if (!reader->overlong && !reader->has_nul && (!*text || *text == ';' || *text == '#')) {
		return 0;
	}
	reader->trace->lines++;
	if (reader->overlong || reader->has_nul) {
		skip(reader, reader->has_nul ? "holds a NUL byte" : "is longer than 4095 bytes");
	} else {
		if (reader->format == TRACE_FORMAT_COUNT) {
			reader->format = format_of(reader->line);
		}
		if (reader->format != TRACE_FORMAT_COUNT) {
			read_line(reader);
			return 0;
		}
		skip(reader, "is in no format known: not SWF (18 numbers), not columns (10, the ninth an 'image'), "
			     "not ten fields between semicolons, not JSON");
	}
	if (reader->format == TRACE_FORMAT_COUNT && ++reader->strange == STRANGE_MAX) {
		return err_set(err, ERR_PARAMS, "%s is no trace: none of its first %d lines is in a format known",
			       reader->name, STRANGE_MAX);
	}
	return 0;
}

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

static int end_line(struct reader *reader, struct err *err)
{
	int bad;

	reader->number++;
	if (reader->number > TRACE_LINES_MAX) {
		return err_set(err, ERR_LIMIT, "%s has more than %d lines; nothing of it was read", reader->name,
			       TRACE_LINES_MAX);
	}
	if (reader->length && reader->line[reader->length - 1] == '\r') {
		reader->length--;
	}
	reader->line[reader->length] = '\0';
	bad = whole_line(reader, err);
	reader->length = 0;
	reader->overlong = reader->has_nul = false;
	return bad;
}

static void add_piece(struct reader *reader, const char *text, size_t length)
{
	if (memchr(text, '\0', length)) {
		reader->has_nul = true;
	}
	if (length > TRACE_LINE_MAX - reader->length) {
		reader->overlong = true;
		return;
	}
	memcpy(reader->line + reader->length, text, length);
	reader->length += length;
}

static int feed(struct reader *reader, const char *text, size_t length, struct err *err)
{
	reader->bytes += (int64_t)length;
	if (reader->bytes > TRACE_BYTES_MAX) {
		return err_set(err, ERR_LIMIT, "%s holds more than %jd MiB; nothing of it was read", reader->name,
			       (intmax_t)(TRACE_BYTES_MAX >> 20));
	}
	while (length) {
		const char *end = memchr(text, '\n', length);
		size_t n = end ? (size_t)(end - text) : length;

		add_piece(reader, text, n);
		if (!end) {
			return 0;
		}
		if (end_line(reader, err)) {
			return -1;
		}
		text += n + 1;
		length -= n + 1;
	}
	return 0;
}

static int feed_end(struct reader *reader, struct err *err)
{
	const struct trace *trace = reader->trace;

	if (reader->length || reader->overlong || reader->has_nul) {
		if (end_line(reader, err)) {
			return -1;
		}
		complain(reader, "the last line does not end in a newline, so the file may be cut off",
			 "it was read as it stands");
	}
	if (trace->count == reader->before.count) {
		return err_set(err, ERR_PARAMS, "%s holds no request: %ju lines, %ju of them wrong, %ju left out",
			       reader->name, (uintmax_t)(trace->lines - reader->before.lines),
			       (uintmax_t)(trace->skipped - reader->before.skipped),
			       (uintmax_t)(trace->left_out - reader->before.left_out));
	}
	return 0;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void begin(struct reader *reader, const char *name, struct trace *trace, FILE *complain_to)
{
	*reader = (struct reader){
		.name = name, .trace = trace, .before = *trace, .complain = complain_to, .format = TRACE_FORMAT_COUNT};
	trace->unsorted = false;
}

/* bad: reading failed, err says how. */
static int finish(struct reader *reader, int bad, struct err *err)
{
	struct trace *trace = reader->trace;
	bool unsorted = trace->unsorted || reader->before.unsorted;

	bad = bad || feed_end(reader, err);
	if (reader->untold) {
		fprintf(reader->complain, "%s: %ju more complaints\n", reader->name, (uintmax_t)reader->untold);
	}
	if (bad) {
		/* What was added stays in the room behind the end. */
		struct trace_request *item = trace->item;
		size_t room = trace->room;

		*trace = reader->before;
		trace->item = item;
		trace->room = room;
		return -1;
	}
	trace->unsorted = unsorted;
	trace_sort(trace);
	return 0;
}

int trace_parse(const char *name, const char *text, size_t length, struct trace *trace, FILE *complain_to,
		struct err *err)
{
	struct reader reader;

	begin(&reader, name, trace, complain_to);
	return finish(&reader, feed(&reader, text, length, err), err);
}

static int read_all(struct reader *reader, gzFile file, struct err *err)
{
	_cleanup_free_ char *chunk = xcalloc(1, CHUNK);
	size_t name = strlen(reader->name);
	const char *why;
	int n, code;

	while ((n = gzread(file, chunk, CHUNK)) > 0) {
		if (feed(reader, chunk, (size_t)n, err)) {
			return -1;
		}
	}
	/* It begins with the path. */
	why = gzerror(file, &code);
	why += strncmp(why, reader->name, name) == 0 && strncmp(why + name, ": ", 2) == 0 ? name + 2 : 0;
	/* At a file that ends inside a packed stream gzread() says the end is reached, and only this tells. */
	if (n < 0 || code == Z_BUF_ERROR) {
		return err_set(err, ERR_PARAMS, "%s:%ju: %s; nothing of it was read", reader->name,
			       (uintmax_t)reader->number + 1,
			       code == Z_BUF_ERROR ? "the packed file is cut off"
			       : code == Z_ERRNO   ? strerror(errno)
						   : why);
	}
	return 0;
}

int trace_read(const char *path, struct trace *trace, FILE *complain_to, struct err *err)
{
	struct reader reader;
	gzFile file = gzopen(path, "rbe");
	int bad;

	if (!file) {
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INTERNAL, "%s: %s", path, strerror(errno));
	}
	begin(&reader, path, trace, complain_to);
	bad = read_all(&reader, file, err);
	gzclose(file);
	return finish(&reader, bad, err);
}
