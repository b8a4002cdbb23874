/* Chooses rows of a JSON array by their fields. Everything happens here, after the answer; the head is not asked. */
#include "filter.h"

#include <stdbool.h>
#include <string.h>

#include "util.h"

#define FILTER_TERMS_MAX 64 /* more than a lease has fields */

struct term {
	const char *key, *value; /* inside the filter's text */
};

struct filter {
	struct term term[FILTER_TERMS_MAX];
	size_t count;
	char *text;
};

static int parse(struct filter *filter, const char *text, struct err *err)
{
	char *rest = filter->text = xstrdup(text);
	char *word;

	while ((word = strsep(&rest, ","))) {
		char *equals = strchr(word, '=');

		if (!equals || equals == word) {
			return err_set(err, ERR_PARAMS, "--filter: '%s' is not KEY=VALUE", word);
		}
		if (filter->count == FILTER_TERMS_MAX) {
			return err_set(err, ERR_PARAMS, "--filter: more than %d conditions", FILTER_TERMS_MAX);
		}
		*equals = '\0';
		filter->term[filter->count++] = (struct term){word, equals + 1};
	}
	return 0;
}

static bool value_is(struct json_object *field, const char *value)
{
	if (json_object_is_type(field, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(field); i++) {
			if (value_is(json_object_array_get_idx(field, i), value)) {
				return true;
			}
		}
		return false;
	}
	return field && strcmp(json_object_get_string(field), value) == 0;
}

/* True if some term with this key holds. */
static bool key_holds(const struct filter *filter, const char *key, struct json_object *row)
{
	for (size_t i = 0; i < filter->count; i++) {
		if (strcmp(filter->term[i].key, key) == 0 &&
		    value_is(json_object_object_get(row, key), filter->term[i].value)) {
			return true;
		}
	}
	return false;
}

static bool row_matches(const struct filter *filter, struct json_object *row)
{
	for (size_t i = 0; i < filter->count; i++) {
		if (!key_holds(filter, filter->term[i].key, row)) {
			return false;
		}
	}
	return true;
}

/* A misspelt key would otherwise show an empty list, which looks like an answer. */
static int check_keys(const struct filter *filter, struct json_object *rows, struct err *err)
{
	size_t n = json_object_array_length(rows);

	for (size_t i = 0; i < filter->count && n > 0; i++) {
		bool found = false;

		for (size_t r = 0; r < n && !found; r++) {
			found = json_object_object_get_ex(json_object_array_get_idx(rows, r), filter->term[i].key,
							  NULL);
		}
		if (!found) {
			return err_set(err, ERR_PARAMS, "--filter: there is no field '%s'; -o json shows them all",
				       filter->term[i].key);
		}
	}
	return 0;
}

struct json_object *filter_rows(const char *text, struct json_object *rows, struct err *err)
{
	struct filter filter = {.count = 0};
	struct json_object *matching = NULL;

	if (parse(&filter, text, err) == 0 && check_keys(&filter, rows, err) == 0) {
		matching = json_object_new_array();
		for (size_t r = 0; r < json_object_array_length(rows); r++) {
			struct json_object *row = json_object_array_get_idx(rows, r);

			if (row_matches(&filter, row)) {
				json_object_array_add(matching, json_object_get(row));
			}
		}
	}
	free(filter.text);
	return matching;
}
