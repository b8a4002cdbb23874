/* Results as tables, JSON or CSV. */
#ifndef TENURE_SHOW_H
#define TENURE_SHOW_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "err.h"
#include "usec.h"

enum show_form { SHOW_TABLE, SHOW_JSON, SHOW_CSV }; /* in the order of --output's words */

struct show {
	enum show_form form;
	bool colour; /* out is a terminal that takes colours */
	bool utf8;
	size_t width; /* of the terminal in columns; 0 = no terminal, do not cut */
	wall_us now;
	const char *filter; /* NULL = none */
	FILE *out;
	FILE *err; /* messages and progress */
	bool err_tty;
};

enum show_type {
	SHOW_TEXT,
	SHOW_INT,
	SHOW_BOOL,
	SHOW_LIST, /* array of strings */
	SHOW_TIME, /* integer microseconds under "KEY_us" */
	SHOW_SPAN, /* integer microseconds under "KEY_us" */
	SHOW_SIZE, /* bytes */
	SHOW_CPU,  /* millicores */
	SHOW_PPM,  /* millionths, as per cent */
	SHOW_JSON_VALUE,
};

struct show_column {
	const char *key; /* of the result's field, without _us; CSV's heading */
	const char *heading;
	enum show_type type;
	bool cut;      /* may be cut to fit the terminal */
	bool csv_only; /* too much for a table */
};

/* For tables of columns; after the type .cut and .csv_only may follow. */
#define SHOW_COLUMN(k, h, t, ...)                                \
	{                                                        \
		.key = k, .heading = h, .type = t, ##__VA_ARGS__ \
	}

/* One cell for people, made harmless; "-" if the field is missing. The caller frees. */
char *show_cell(const struct show *show, const struct show_column *column, struct json_object *row);
/*
 * The array under key of result, filtered, in the form asked for: JSON is the whole result. A filter by a field that no
 * row has is an error (ERR_PARAMS).
 */
int show_list(const struct show *show, struct json_object *result, const char *key, const struct show_column *columns,
	      size_t n, struct err *err);
/* Only the rows (NULL: none): a table with headings, or CSV. */
void show_rows(const struct show *show, const struct show_column *columns, size_t n, struct json_object *rows);
/* One line of CSV. */
void show_csv_row(const struct show *show, const struct show_column *columns, size_t n, struct json_object *row);
/* One object: a line per column that it has; or CSV of one row; or JSON. */
void show_object(const struct show *show, const struct show_column *columns, size_t n, struct json_object *object);
/* In a table only: an empty line and the rows under key of the object, if there are any. */
void show_part(const struct show *show, const struct show_column *columns, size_t n, struct json_object *object,
	       const char *key);
/* flags as json_object_to_json_string_ext(); with a newline. */
void show_json(FILE *out, struct json_object *value, int flags);
/* For a command to paste: in single quotes where a shell would see more than a word. */
void show_quoted(FILE *out, const char *text);
/* "error: TEXT" on show->err; with -o json an object with code, text and data. */
void show_error(const struct show *show, const struct err *err, struct json_object *data);

/* Fields of a result; "" and 0 if it is missing or something else. */
const char *show_string(struct json_object *object, const char *key);
int64_t show_number(struct json_object *object, const char *key);

#endif
