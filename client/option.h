/* Command-line options as a table: option.tbl drives parsing, checks, help and completion. */
#ifndef TENURE_OPTION_H
#define TENURE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "usec.h"

enum option_type {
	OPTION_FLAG,
	OPTION_MAYBE,  /* argument only as --name=ARGUMENT */
	OPTION_TEXT,   /* [min, max] bytes, no control characters */
	OPTION_NAME,   /* name_valid() */
	OPTION_DIGEST, /* digest_valid() */
	OPTION_CHOICE, /* one of the words of the argument column; the number is its index */
	OPTION_INT,    /* [min, max], as are the numbers below */
	OPTION_SIZE,   /* bytes */
	OPTION_CPU,    /* millicores */
	OPTION_SPAN,   /* microseconds */
	OPTION_CHANGE, /* microseconds, with or without a sign before them */
	OPTION_TIME,   /* microseconds since the epoch; when_parse(), and "-10m" = so long ago */
};

enum option_id {
#define OPTION(id, name, letter, type, arg, min, max, help) OPTION_##id##_ID,
#include "option.tbl"
#undef OPTION
	OPTION_COUNT
};
/* OPT(VMS) is the id of row VMS, BIT(VMS) its bit in a set of options. */
#define OPT(id) OPTION_##id##_ID
#define BIT(id) (UINT64_C(1) << OPT(id))
#define OPTION_GLOBAL (BIT(HELP) | (BIT(HELP) - 1))

struct option_row {
	const char *name;
	char letter; /* 0 = none */
	enum option_type type;
	const char *arg; /* NULL for flags */
	int64_t min, max;
	const char *help;
};
extern const struct option_row option_rows[OPTION_COUNT];

struct option_value {
	bool given;
	const char *text; /* as written; NULL for flags and an OPTION_MAYBE without argument */
	int64_t number;   /* of the types that have one */
};

/* The values by id and the words that are no options, pointing into argv. */
struct options {
	struct option_value value[OPTION_COUNT];
	wall_us now;
	const char *const *argv; /* what is still to be read */
	size_t argc;
	bool only_words; /* "--" was read */
};

/*
 * Reads options of the set (bits by id) until a word that is no option, which is returned; NULL at the end with err's
 * code ERR_NONE, or on failure with err filled (ERR_PARAMS).
 */
const char *option_next_word(struct options *options, uint64_t set, struct err *err);
int64_t option_number(const struct options *options, enum option_id id, int64_t otherwise);

#endif
