/* Turns rows into JSON by a table of columns. Knows no table of the database. */
#include "query_row.h"

#include <string.h>

#include "jsonx.h"

static struct json_object *split(const char *text)
{
	struct json_object *list = json_object_new_array();

	while (*text) {
		size_t len = strcspn(text, ",");

		json_object_array_add(list, json_object_new_string_len(text, (int)len));
		text += len + (text[len] == ',');
	}
	return list;
}

static struct json_object *column_value(sqlite3_stmt *stmt, int i, enum query_type type)
{
	switch (type) {
	case COLUMN_INT:
	case COLUMN_TIME:
		return json_object_new_int64(sqlite3_column_int64(stmt, i));
	case COLUMN_BOOL:
		return json_object_new_boolean(sqlite3_column_int64(stmt, i) != 0);
	case COLUMN_TEXT:
		break;
	case COLUMN_LIST:
		return split(store_text(stmt, i));
	case COLUMN_JSON:
		return json_tokener_parse(store_text(stmt, i));
	}
	return json_object_new_string(store_text(stmt, i));
}

struct json_object *query_row(sqlite3_stmt *stmt, const struct query_column *columns, size_t n)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < n; i++) {
		if (columns[i].type == COLUMN_TIME) {
			jsonx_add_time(object, columns[i].name, sqlite3_column_int64(stmt, (int)i));
		} else {
			json_object_object_add(object, columns[i].name, column_value(stmt, (int)i, columns[i].type));
		}
	}
	return object;
}

static struct json_object *all_rows(struct store *store, sqlite3_stmt *stmt, const struct query_column *columns,
				    size_t n, int64_t max, bool *more, struct err *err)
{
	struct json_object *rows;
	int step = -1;

	if (!stmt) {
		return NULL;
	}
	rows = json_object_new_array();
	*more = false;
	while ((step = store_step(store, stmt, err)) == 1) {
		if ((int64_t)json_object_array_length(rows) == max) {
			*more = true;
			sqlite3_reset(stmt);
			return rows;
		}
		json_object_array_add(rows, query_row(stmt, columns, n));
	}
	if (step < 0) {
		json_object_put(rows);
		return NULL;
	}
	return rows;
}

int query_add_rows(struct store *store, struct json_object *object, const char *key, sqlite3_stmt *stmt,
		   const struct query_column *columns, size_t n, int64_t max, bool *more, struct err *err)
{
	struct json_object *rows = all_rows(store, stmt, columns, n, max, more, err);

	if (!rows) {
		return -1;
	}
	json_object_object_add(object, key, rows);
	return 0;
}
