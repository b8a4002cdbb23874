/* Fields and numbers of text traces, strictly read. Knows no format. */
#include "trace_format.h"

#include <ctype.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static char *trim(char *text)
{
	char *end;

	while (is_blank(*text)) {
		text++;
	}
	end = text + strlen(text);
	while (end > text && is_blank(end[-1])) {
		*--end = '\0';
	}
	return text;
}

static size_t split_blank(char *text, char **field, size_t max)
{
	size_t n = 0;

	for (;;) {
		while (is_blank(*text)) {
			*text++ = '\0';
		}
		if (!*text) {
			return n;
		}
		if (n < max) {
			field[n] = text;
		}
		n++;
		while (*text && !is_blank(*text)) {
			text++;
		}
	}
}

size_t trace_split(char *text, char separator, char **field, size_t max)
{
	size_t n = 0;

	if (!separator) {
		return split_blank(text, field, max);
	}
	while (text) {
		char *end = strchr(text, separator);

		if (end) {
			*end++ = '\0';
		}
		if (n < max) {
			field[n] = trim(text);
		}
		n++;
		text = end;
	}
	return n;
}

/* The digits of text as a number of 1/scale. False if it is no number, does not fit or would have to be rounded. */
static bool scaled(const char *text, int64_t scale, int64_t *out)
{
	bool digits = false;
	int64_t value = 0;

	for (; isdigit((unsigned char)*text); text++, digits = true) {
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value)) {
			return false;
		}
	}
	if (!digits || __builtin_mul_overflow(value, scale, &value)) {
		return false;
	}
	if (*text == '.') {
		if (!isdigit((unsigned char)*++text)) {
			return false;
		}
		for (; isdigit((unsigned char)*text); text++) {
			int64_t part = *text - '0';

			if (part && scale % 10) {
				return false;
			}
			scale = scale % 10 ? scale : scale / 10;
			if (__builtin_add_overflow(value, part * scale, &value)) {
				return false;
			}
		}
	}
	*out = value;
	return !*text;
}

int trace_number(const char *text, size_t position, const struct trace_field *field, int64_t *out, struct err *err)
{
	int64_t value;

	if (field->min == -1 && strcmp(text, "-1") == 0) {
		*out = -1;
		return 0;
	}
	/* max times scale fits: the tables are ours. */
	if (!scaled(text, field->scale, &value) || value < field->min * field->scale ||
	    value > field->max * field->scale) {
		return err_set(err, ERR_PARAMS, "field %zu (%s) is \"%.40s\", not a number from %jd to %jd", position,
			       field->name, text, (intmax_t)(field->min < 0 ? 0 : field->min), (intmax_t)field->max);
	}
	*out = value;
	return 0;
}

int trace_image(const char *text, size_t length, char out[TRACE_NAME], struct err *err)
{
	for (size_t i = 0; i < length; i++) {
		if (!isgraph((unsigned char)text[i]) || text[i] == '\'' || text[i] == '"') {
			return err_set(err, ERR_PARAMS, "the image's name holds a character that is not allowed");
		}
	}
	if (length >= TRACE_NAME) {
		return err_set(err, ERR_LIMIT, "the image's name is longer than %d bytes", TRACE_NAME - 1);
	}
	memcpy(out, text, length);
	out[length] = '\0';
	return 0;
}
