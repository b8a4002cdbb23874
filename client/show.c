/* Results for people (tables by libsmartcols) and for programs (JSON, CSV). Fetches nothing. */
#include "show.h"

#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <string.h>

#include "filter.h"
#include "safe.h"
#include "util.h"
#include "when.h"

#define CUT_WORDS 2 /* of a list in a table; show commands have all of them */

const char *show_string(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t show_number(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

static struct json_object *field(const struct show_column *column, struct json_object *row)
{
	char key[64];

	if (column->type != SHOW_TIME && column->type != SHOW_SPAN) {
		return json_object_object_get(row, column->key);
	}
	snprintf(key, sizeof(key), "%s_us", column->key);
	return json_object_object_get(row, key);
}

/* The words with commas; only the first few, and how many more, if there are more than max. */
static char *join(struct json_object *array, size_t max)
{
	size_t n = json_object_array_length(array);
	char *text = xstrdup("");

	for (size_t i = 0; i < n && i < max; i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(array, i));
		char *longer = xasprintf("%s%s%s", text, i ? "," : "", word ? word : "");

		free(text);
		text = longer;
	}
	if (n > max) {
		char *longer = xasprintf("%s,+%zu", text, n - max);

		free(text);
		text = longer;
	}
	return text;
}

/* A string as it is, anything else as JSON. The value's. */
static const char *plain_text(struct json_object *value)
{
	return json_object_is_type(value, json_type_string)
		       ? json_object_get_string(value)
		       : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static char *cpu_text(int64_t millicores)
{
	if (millicores % 1000 == 0) {
		return xasprintf("%" PRId64, millicores / 1000);
	}
	return xasprintf("%.3g", (double)millicores / 1000);
}

static char *number_text(const struct show *show, enum show_type type, int64_t number)
{
	char text[WHEN_TEXT];

	if (type == SHOW_CPU) {
		return cpu_text(number);
	}
	if (type == SHOW_PPM) {
		return xasprintf("%.1f%%", (double)number / 10000);
	}
	if (number <= 0 && (type == SHOW_TIME || type == SHOW_SPAN)) {
		return xstrdup(type == SHOW_SPAN && number == 0 ? "0s" : "-");
	}
	if (type == SHOW_TIME && number >= WALL_NEVER) {
		return xstrdup("never");
	}
	if (type == SHOW_TIME) {
		when_local(number, show->now, text);
	} else if (type == SHOW_SPAN) {
		when_span(number, text);
	} else if (type == SHOW_SIZE) {
		when_size(number, text);
	} else {
		snprintf(text, sizeof(text), "%" PRId64, number);
	}
	return xstrdup(text);
}

char *show_cell(const struct show *show, const struct show_column *column, struct json_object *row)
{
	struct json_object *value = field(column, row);
	_cleanup_free_ char *text = NULL;

	if (!value) {
		return xstrdup("-");
	}
	if (json_object_is_type(value, json_type_array) && column->type == SHOW_LIST) {
		text = join(value, column->cut ? CUT_WORDS : SIZE_MAX);
	} else if (json_object_is_type(value, json_type_boolean)) {
		text = xstrdup(json_object_get_boolean(value) ? "yes" : "no");
	} else if (json_object_is_type(value, json_type_int) && column->type != SHOW_TEXT) {
		text = number_text(show, column->type, json_object_get_int64(value));
	} else {
		text = xstrdup(plain_text(value));
	}
	return *text ? safe_text(text) : xstrdup("-");
}

/* For programs: numbers as they are, times in ISO 8601, nothing for what is missing. */
static char *csv_value(const struct show_column *column, struct json_object *row)
{
	struct json_object *value = field(column, row);
	_cleanup_free_ char *text = NULL;

	if (!value) {
		return xstrdup("");
	}
	if (column->type == SHOW_TIME && json_object_is_type(value, json_type_int)) {
		char iso[WHEN_TEXT];

		when_iso(json_object_get_int64(value), iso);
		return xstrdup(json_object_get_int64(value) > 0 ? iso : "");
	}
	text = column->type == SHOW_LIST && json_object_is_type(value, json_type_array) ? join(value, SIZE_MAX)
											: xstrdup(plain_text(value));
	return safe_text(text);
}

/* RFC 4180, without newlines inside fields: safe_text() has escaped them. */
static void csv_put(FILE *out, const char *text)
{
	if (!strpbrk(text, "\",")) {
		fputs(text, out);
		return;
	}
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"') {
			putc('"', out);
		}
		putc(*text, out);
	}
	putc('"', out);
}

void show_csv_row(const struct show *show, const struct show_column *columns, size_t n, struct json_object *row)
{
	for (size_t c = 0; c < n; c++) {
		_cleanup_free_ char *text = csv_value(&columns[c], row);

		if (c) {
			putc(',', show->out);
		}
		csv_put(show->out, text);
	}
	putc('\n', show->out);
}

static void csv_headings(const struct show *show, const struct show_column *columns, size_t n)
{
	for (size_t c = 0; c < n; c++) {
		fprintf(show->out, "%s%s%s", c ? "," : "", columns[c].key, columns[c].type == SHOW_SPAN ? "_us" : "");
	}
	putc('\n', show->out);
}

/* A colour by what a state means to its reader; NULL = none. */
static const char *state_colour(const char *state)
{
	static const struct {
		const char *state, *colour;
	} rows[] = {
		{"active", "green"},     {"up", "green"},         {"failed", "red"},      {"rejected", "red"},
		{"silent", "red"},       {"suspended", "yellow"}, {"draining", "yellow"}, {"suspending", "yellow"},
		{"migrating", "yellow"}, {"resuming", "yellow"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].state, state) == 0) {
			return rows[i].colour;
		}
	}
	return NULL;
}

static void fill_line(const struct show *show, struct libscols_line *line, const struct show_column *columns, size_t n,
		      struct json_object *row)
{
	size_t at = 0;

	for (size_t c = 0; c < n; c++) {
		if (columns[c].csv_only) {
			continue;
		}
		char *text = show_cell(show, &columns[c], row);

		if (show->colour && strcmp(columns[c].key, "state") == 0) {
			scols_cell_set_color(scols_line_get_cell(line, at), state_colour(text));
		}
		scols_line_refer_data(line, at++, text);
	}
}

static bool is_right(enum show_type type)
{
	return type == SHOW_INT || type == SHOW_SIZE || type == SHOW_CPU || type == SHOW_PPM || type == SHOW_SPAN;
}

void show_rows(const struct show *show, const struct show_column *columns, size_t n, struct json_object *rows)
{
	size_t count = rows ? json_object_array_length(rows) : 0;

	if (show->form == SHOW_CSV) {
		csv_headings(show, columns, n);
		for (size_t r = 0; r < count; r++) {
			show_csv_row(show, columns, n, json_object_array_get_idx(rows, r));
		}
		return;
	}
	struct libscols_table *table = scols_new_table();

	if (!table) {
		abort();
	}
	scols_table_set_stream(table, show->out);
	scols_table_enable_colors(table, show->colour);
	scols_table_set_termforce(table, show->width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	scols_table_set_termwidth(table, show->width);
	for (size_t c = 0; c < n; c++) {
		if (!columns[c].csv_only) {
			scols_table_new_column(table, columns[c].heading, 0.0,
					       (columns[c].cut ? SCOLS_FL_TRUNC : 0) |
						       (is_right(columns[c].type) ? SCOLS_FL_RIGHT : 0));
		}
	}
	for (size_t r = 0; r < count; r++) {
		fill_line(show, scols_table_new_line(table, NULL), columns, n, json_object_array_get_idx(rows, r));
	}
	scols_print_table(table);
	scols_unref_table(table);
}

int show_list(const struct show *show, struct json_object *result, const char *key, const struct show_column *columns,
	      size_t n, struct err *err)
{
	struct json_object *rows = json_object_object_get(result, key);

	if (!json_object_is_type(rows, json_type_array)) {
		return err_set(err, ERR_INTERNAL, "the head's answer has no list '%s'", key);
	}
	if (show->filter) {
		rows = filter_rows(show->filter, rows, err);
		if (!rows) {
			return -1;
		}
		json_object_object_add(result, key, rows);
	}
	if (show->form == SHOW_JSON) {
		show_json(show->out, result, JSON_C_TO_STRING_PRETTY);
	} else if (show->form == SHOW_TABLE && json_object_array_length(rows) == 0) {
		fprintf(show->out, "no %s%s\n", key, show->filter ? " match" : "");
	} else {
		show_rows(show, columns, n, rows);
	}
	if (show->form != SHOW_JSON && json_object_get_boolean(json_object_object_get(result, "more"))) {
		fprintf(show->err, "tenure: there are more %s than these; see --help for how to narrow the list\n",
			key);
	}
	return 0;
}

void show_object(const struct show *show, const struct show_column *columns, size_t n, struct json_object *object)
{
	size_t widest = 0;

	if (show->form == SHOW_JSON) {
		show_json(show->out, object, JSON_C_TO_STRING_PRETTY);
		return;
	}
	if (show->form == SHOW_CSV) {
		csv_headings(show, columns, n);
		show_csv_row(show, columns, n, object);
		return;
	}
	for (size_t c = 0; c < n; c++) {
		widest = strlen(columns[c].key) > widest ? strlen(columns[c].key) : widest;
	}
	for (size_t c = 0; c < n; c++) {
		_cleanup_free_ char *text = show_cell(show, &columns[c], object);

		if (strcmp(text, "-") != 0) {
			fprintf(show->out, "%-*s  %s\n", (int)widest, columns[c].key, text);
		}
	}
}

void show_part(const struct show *show, const struct show_column *columns, size_t n, struct json_object *object,
	       const char *key)
{
	struct json_object *rows = json_object_object_get(object, key);

	if (show->form == SHOW_TABLE && json_object_is_type(rows, json_type_array) &&
	    json_object_array_length(rows) > 0) {
		putc('\n', show->out);
		show_rows(show, columns, n, rows);
	}
}

void show_quoted(FILE *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";

	if (*text && text[strspn(text, plain)] == '\0') {
		fputs(text, out);
		return;
	}
	putc('\'', out);
	for (; *text; text++) {
		fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, out);
	}
	putc('\'', out);
}

void show_json(FILE *out, struct json_object *value, int flags)
{
	_cleanup_free_ char *text =
		safe_json(json_object_to_json_string_ext(value, flags | JSON_C_TO_STRING_NOSLASHESCAPE));

	fprintf(out, "%s\n", text);
}

void show_error(const struct show *show, const struct err *err, struct json_object *data)
{
	if (show->form == SHOW_JSON) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "error", json_object_new_string(err_name(err->code)));
		json_object_object_add(object, "text", json_object_new_string(err->text));
		json_object_object_add(object, "data", json_object_get(data));
		show_json(show->err, object, JSON_C_TO_STRING_SPACED);
		json_object_put(object);
		return;
	}
	_cleanup_free_ char *text = safe_text(err->text);

	fprintf(show->err, "tenure: %s\n", text);
}
