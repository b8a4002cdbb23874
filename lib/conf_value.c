/* One value of a settings table: read, written, compared. Knows the types of rows, but no files. */
#include "conf_value.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "util.h"
#include "when.h"

static void *member(const struct setting *row, void *values)
{
	return (char *)values + row->offset;
}

static const void *const_member(const struct setting *row, const void *values)
{
	return (const char *)values + row->offset;
}

static bool is_string(const struct setting *row)
{
	return row->type == SETTING_STRING || row->type == SETTING_PATH || row->type == SETTING_LIST;
}

char **conf_value_string(const struct setting *row, void *values)
{
	return is_string(row) ? member(row, values) : NULL;
}

static const char *string_of(const struct setting *row, const void *values)
{
	const char *s = *(char *const *)const_member(row, values);

	return s ? s : "";
}

/* ---- writing ---- */

/* In the greatest unit that leaves nothing over: unlike when_size(), this is read back as it was. */
static char *format_size(int64_t size)
{
	static const char units[] = {'P', 'T', 'G', 'M', 'K'};

	for (size_t i = 0; i < sizeof(units); i++) {
		int64_t unit = INT64_C(1) << (10 * (sizeof(units) - i));

		if (size != 0 && size % unit == 0) {
			return xasprintf("%" PRId64 "%c", size / unit, units[i]);
		}
	}
	return xasprintf("%" PRId64 "B", size);
}

static char *format_number(enum setting_type type, int64_t number)
{
	char text[WHEN_TEXT];

	switch (type) {
	case SETTING_SIZE:
		return format_size(number);
	case SETTING_SPAN:
		when_span(number, text);
		return xstrdup(text);
	case SETTING_CPU:
		return number % 1000 == 0 ? xasprintf("%" PRId64, number / 1000) : xasprintf("%" PRId64 "m", number);
	case SETTING_INT:
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_BOOL:
	case SETTING_LIST:
		break;
	}
	return xasprintf("%" PRId64, number);
}

char *conf_value_format(const struct setting *row, const void *values)
{
	if (is_string(row)) {
		return xstrdup(string_of(row, values));
	}
	if (row->type == SETTING_BOOL) {
		return xstrdup(*(const bool *)const_member(row, values) ? "yes" : "no");
	}
	return format_number(row->type, *(const int64_t *)const_member(row, values));
}

bool conf_value_equal(const struct setting *row, const void *a, const void *b)
{
	if (is_string(row)) {
		return strcmp(string_of(row, a), string_of(row, b)) == 0;
	}
	if (row->type == SETTING_BOOL) {
		return *(const bool *)const_member(row, a) == *(const bool *)const_member(row, b);
	}
	return *(const int64_t *)const_member(row, a) == *(const int64_t *)const_member(row, b);
}

/* ---- reading ---- */

static bool has_control(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		if (*s < 0x20 || *s == 0x7f) {
			return true;
		}
	}
	return false;
}

static int check_string(const struct setting *row, const char *text, struct err *err)
{
	int64_t max = row->max ? row->max : CONF_STRING_MAX;
	size_t len = strlen(text);

	if (len > 1 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0]) {
		return err_set(err, ERR_PARAMS, "%s: write the value without quotes", row->key);
	}
	if (has_control(text)) {
		return err_set(err, ERR_PARAMS, "%s: there is a control character in the value", row->key);
	}
	/* inih takes neither away: # only at the start of a line, ; not in the lines by which a list goes on. */
	if (strstr(text, " #") || strstr(text, " ;")) {
		return err_set(err, ERR_PARAMS, "%s: put the comment on a line of its own", row->key);
	}
	if ((int64_t)len > max) {
		return err_set(err, ERR_PARAMS, "%s: %zu bytes are too long, at most %" PRId64 " are allowed", row->key,
			       len, max);
	}
	if ((int64_t)len < row->min) {
		return row->min == 1 ? err_set(err, ERR_PARAMS, "%s: a value is needed", row->key)
				     : err_set(err, ERR_PARAMS, "%s: at least %" PRId64 " bytes are needed", row->key,
					       row->min);
	}
	if (row->type == SETTING_PATH && len > 0 && text[0] != '/') {
		return err_set(err, ERR_PARAMS, "%s: \"%.100s\" is not an absolute path: begin it with /", row->key,
			       text);
	}
	return row->check && row->check(text, err) < 0 ? err_prefix(err, "%s", row->key) : 0;
}

static int parse_bool(const char *text, bool *out)
{
	static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (int value = 0; value < 2; value++) {
			if (strcasecmp(text, words[i][value]) == 0) {
				*out = value;
				return 0;
			}
		}
	}
	return -1;
}

static int parse_unit(enum setting_type type, const char *text, int64_t *out, struct err *err)
{
	/* The parsers refuse nothing-at-all where a lease needs something; a setting's row says whether it may be 0. */
	if (strcmp(text, "0") == 0 || strcmp(text, type == SETTING_CPU ? "0m" : "0s") == 0) {
		*out = 0;
		return 0;
	}
	switch (type) {
	case SETTING_SIZE:
		return when_parse_size(text, out, err);
	case SETTING_SPAN:
		return when_parse_span(text, out, err);
	case SETTING_CPU:
		return when_parse_cpu(text, out, err);
	case SETTING_INT:
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_BOOL:
	case SETTING_LIST:
		break;
	}
	if (parse_i64(text, INT64_MIN, INT64_MAX, out) < 0) {
		return err_set(err, ERR_PARAMS, "\"%.100s\" is not a whole number", text);
	}
	return 0;
}

static int parse_number(const struct setting *row, const char *text, int64_t *out, struct err *err)
{
	int64_t max = row->max ? row->max : INT64_MAX;
	int64_t value;

	if (parse_unit(row->type, text, &value, err) < 0) {
		return err_prefix(err, "%s", row->key);
	}
	if (value < row->min || value > max) {
		_cleanup_free_ char *low = format_number(row->type, row->min);
		_cleanup_free_ char *high = format_number(row->type, max);

		if (row->max == 0) {
			return err_set(err, ERR_PARAMS, "%s: %.100s is out of range, at least %s is needed", row->key,
				       text, low);
		}
		return err_set(err, ERR_PARAMS, "%s: %.100s is out of range, from %s to %s is allowed", row->key, text,
			       low, high);
	}
	*out = value;
	return 0;
}

int conf_value_parse(const struct setting *row, const char *text, void *values, struct err *err)
{
	char **string = conf_value_string(row, values);

	if (string) {
		if (check_string(row, text, err) < 0) {
			return -1;
		}
		free(*string);
		*string = xstrdup(text);
		return 0;
	}
	if (row->type == SETTING_BOOL) {
		if (parse_bool(text, member(row, values)) < 0) {
			return err_set(err, ERR_PARAMS, "%s: \"%.100s\" is neither yes nor no", row->key, text);
		}
		return 0;
	}
	return parse_number(row, text, member(row, values), err);
}
