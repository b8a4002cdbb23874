/* Errors: filled once, where the cause is known, and handed up. */
#ifndef TENURE_ERR_H
#define TENURE_ERR_H

#include <stddef.h>

/* The numbers are those of the API's JSON-RPC errors; the client's exit statuses are derived from them. */
enum err_code {
	ERR_NONE = 0,
	ERR_PARSE = -32700,   /* not JSON */
	ERR_REQUEST = -32600, /* JSON, but not a request */
	ERR_METHOD = -32601,  /* no such method */
	ERR_PARAMS = -32602,  /* a parameter is missing, unknown, of the wrong type or out of range */
	ERR_INTERNAL = -32603,
	ERR_DENIED = -32001, /* the peer may not do this */
	ERR_NOT_FOUND = -32002,
	ERR_REJECTED = -32003,    /* the planner cannot keep this promise; data holds the reason and the offer */
	ERR_CONFLICT = -32004,    /* exists already, in use, or in a state that does not allow it */
	ERR_STORE = -32005,       /* the database could not be written; nothing was changed */
	ERR_UNAVAILABLE = -32006, /* a peer, node or server does not answer */
	ERR_LIMIT = -32007,       /* a limit on size, number or time was reached */
	ERR_TIMEOUT = -32008,
	ERR_IMAGE = -32009, /* an image's digest, size or format is not what was stated */
	ERR_STALE = -32010, /* a plan or hello from an older epoch */
};

struct err {
	enum err_code code;
	char text[512]; /* one line, no full stop; says what to do next where the user can do something */
};

/* Fills err (if not NULL) and returns -1, so that a function can `return err_set(...)`. Text is cut to fit. */
int err_set(struct err *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the text err holds. Returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short lower-case name as in the API's error data: "not_found". */
const char *err_name(enum err_code code);

#endif
