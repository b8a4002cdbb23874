/* Rows of SQL as JSON objects, for query*.c: the columns' names and types are a table beside the SELECT. */
#ifndef TENURE_QUERY_ROW_H
#define TENURE_QUERY_ROW_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "store_sql.h"

enum query_type {
	COLUMN_INT,
	COLUMN_BOOL,
	COLUMN_TEXT,
	COLUMN_TIME, /* NAME_us and NAME */
	COLUMN_LIST, /* text with commas: an array of strings, sorted as it comes */
	COLUMN_JSON, /* text that is JSON */
};

struct query_column {
	const char *name;
	enum query_type type;
};

/* The present row; columns stand in the order of the SELECT. */
struct json_object *query_row(sqlite3_stmt *stmt, const struct query_column *columns, size_t n);
/* All rows (stmt NULL: err is set already) up to max, into object under key; *more if there were others. -1 on failure.
 */
int query_add_rows(struct store *store, struct json_object *object, const char *key, sqlite3_stmt *stmt,
		   const struct query_column *columns, size_t n, int64_t max, bool *more, struct err *err);

#endif
