/* Settings files: a table of rows drives reading, checking, --check, --print-config, reloading and the manual. */
#ifndef TENURE_CONF_H
#define TENURE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

enum setting_type {
	SETTING_STRING, /* char * */
	SETTING_PATH,   /* char *, absolute */
	SETTING_BOOL,   /* bool: yes/no, true/false, on/off */
	SETTING_INT,    /* int64_t */
	SETTING_SIZE,   /* int64_t bytes, as when_parse_size() */
	SETTING_SPAN,   /* span_us, as when_parse_span() */
	SETTING_CPU,    /* int64_t millicores, as when_parse_cpu() */
	SETTING_LIST,   /* char *: words separated by spaces, as written */
};

struct setting {
	const char *section;
	const char *key;
	enum setting_type type;
	size_t offset;     /* of the member in the settings struct */
	const char *value; /* default, as it would be written; "" = empty string or 0 */
	int64_t min, max;  /* of numbers, max 0 = none; of strings: bounds of the length, max 0 = 4096 */
	bool reloadable;
	const char *help; /* one line; etc/ and the manual page say the same */
	/* Of strings, beyond type and length: -1 with what is wrong in err. NULL = nothing more is asked. */
	int (*check)(const char *value, struct err *err);
};

/*
 * Fills the struct at values with defaults, then with what the file says. path NULL = defaults only. On failure values
 * holds nothing that needs freeing and err says "FILE:LINE: ..." with what to do; all strings are the struct's and are
 * freed by conf_free().
 *
 * The file may be a pipe without a name, as a shell's; one with a name is refused, as opening it may wait for ever.
 * What was read from a pipe cannot be read again: it is refused too when nothing comes.
 *
 * A line holds at most 199 bytes (the packaged inih reads no more); longer ones are refused, except comments. A
 * SETTING_LIST may go on in indented lines. Comments begin with # or ; on a line of their own.
 */
int conf_load(const struct setting *table, size_t n, const char *path, void *values, struct err *err);
void conf_free(const struct setting *table, size_t n, void *values);
/* As a settings file, with each row's help as a comment. */
void conf_print(const struct setting *table, size_t n, const void *values, FILE *out);
/* True if the two differ in a row that is not reloadable; *which is that row. */
bool conf_needs_restart(const struct setting *table, size_t n, const void *a, const void *b,
			const struct setting **which);

#endif
