/* Looks figures up in the published tables, which are a few dozen rows each. */
#include "published.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *table_text(const char *name)
{
	for (size_t i = 0; i < published_count; i++) {
		if (strcmp(published[i].name, name) == 0) {
			return published[i].text;
		}
	}
	return NULL;
}

static const char *next_line(const char *line)
{
	return line + strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n');
}

/* The field after this one; NULL at the end of the line. */
static const char *next_field(const char *field)
{
	const char *end = field + strcspn(field, ",\n");

	return *end == ',' ? end + 1 : NULL;
}

static bool field_is(const char *field, const char *word)
{
	return strcspn(field, ",\n") == strlen(word) && strncmp(field, word, strlen(word)) == 0;
}

/* How many fields are before the one with that name. */
static size_t column_of(const char *header, const char *name)
{
	size_t column = 0;

	for (const char *field = header; field && !field_is(field, name); field = next_field(field)) {
		column++;
	}
	return column;
}

static bool row_is(const char *row, const char *const *key, size_t keys)
{
	for (size_t i = 0; i < keys; i++, row = next_field(row)) {
		if (!row || !field_is(row, key[i])) {
			return false;
		}
	}
	return true;
}

static double number(const char *row, size_t column)
{
	const char *field = row;
	char *end;

	while (field && column-- > 0) {
		field = next_field(field);
	}
	double value = field ? strtod(field, &end) : NAN;
	return field && end != field ? value : NAN;
}

double published_value(const char *table, const char *const *key, size_t keys, const char *column)
{
	const char *line = table_text(table);

	assert(line);
	while (*line == '#') {
		line = next_line(line);
	}
	size_t at = column_of(line, column);
	for (line = next_line(line); *line; line = next_line(line)) {
		if (row_is(line, key, keys)) {
			return number(line, at);
		}
	}
	return NAN;
}
