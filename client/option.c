/* Reads the command line against option.tbl. Knows nothing of commands and of what the options do. */
#include "option.h"

#include <ctype.h>
#include <string.h>

#include "util.h"
#include "when.h"

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(id, name, letter, type, arg, min, max, help) {name, letter, type, arg, min, max, help},
#include "option.tbl"
#undef OPTION
};

int64_t option_number(const struct options *options, enum option_id id, int64_t otherwise)
{
	return options->value[id].given ? options->value[id].number : otherwise;
}

static int parse_choice(const char *words, const char *text, int64_t *number, struct err *err)
{
	int64_t i = 0;

	for (const char *word = words; word; i++) {
		size_t len = strcspn(word, "|");

		if (strlen(text) == len && memcmp(word, text, len) == 0) {
			*number = i;
			return 0;
		}
		word = word[len] == '|' ? word + len + 1 : NULL;
	}
	return err_set(err, ERR_PARAMS, "'%s' is not one of %s", text, words);
}

static int parse_time(const char *text, wall_us now, int64_t *number, struct err *err)
{
	span_us ago;

	if (text[0] != '-') {
		return when_parse(text, now, number, err);
	}
	if (when_parse_span(text + 1, &ago, err) < 0) {
		return -1;
	}
	*number = now - ago;
	return 0;
}

static int parse_change(const char *text, int64_t *number, struct err *err)
{
	bool less = text[0] == '-';

	if (when_parse_span(text + (less || text[0] == '+'), number, err) < 0) {
		return -1;
	}
	*number = less ? -*number : *number;
	return 0;
}

static int check_text(const struct option_row *row, const char *text, struct err *err)
{
	size_t len = strlen(text);

	if ((int64_t)len < row->min || (int64_t)len > row->max) {
		return err_set(err, ERR_PARAMS, "must have %d to %d bytes", (int)row->min, (int)row->max);
	}
	for (const char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p)) {
			return err_set(err, ERR_PARAMS, "contains a control character");
		}
	}
	return 0;
}

static int parse_value(const struct option_row *row, const char *text, wall_us now, int64_t *number, struct err *err)
{
	switch (row->type) {
	case OPTION_FLAG:
	case OPTION_MAYBE:
		return 0;
	case OPTION_TEXT:
		return check_text(row, text, err);
	case OPTION_NAME:
		return name_valid(text) ? 0
					: err_set(err, ERR_PARAMS,
						  "a name has 1 to 63 of A-Z a-z 0-9 . _ - and begins with a letter or "
						  "digit");
	case OPTION_DIGEST:
		return digest_valid(text) ? 0 : err_set(err, ERR_PARAMS, "a digest has 64 lower-case hex digits");
	case OPTION_CHOICE:
		return parse_choice(row->arg, text, number, err);
	case OPTION_INT:
		return parse_i64(text, INT64_MIN, INT64_MAX, number) == 0
			       ? 0
			       : err_set(err, ERR_PARAMS, "'%s' is not a whole number", text);
	case OPTION_SIZE:
		return when_parse_size(text, number, err);
	case OPTION_CPU:
		return when_parse_cpu(text, number, err);
	case OPTION_SPAN:
		return when_parse_span(text, number, err);
	case OPTION_CHANGE:
		return parse_change(text, number, err);
	case OPTION_TIME:
		return parse_time(text, now, number, err);
	}
	return -1;
}

/* A bound in the unit in which people write it. */
static const char *bound_text(enum option_type type, int64_t bound, char out[WHEN_TEXT])
{
	if (type == OPTION_SIZE) {
		when_size(bound, out);
	} else if (type == OPTION_SPAN || type == OPTION_CHANGE) {
		when_span(bound, out);
	} else {
		snprintf(out, WHEN_TEXT, "%lld%s", (long long)bound, type == OPTION_CPU ? "m" : "");
	}
	return out;
}

static int check_range(const struct option_row *row, int64_t number, struct err *err)
{
	char min[WHEN_TEXT], max[WHEN_TEXT];

	switch (row->type) {
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_CPU:
	case OPTION_SPAN:
	case OPTION_CHANGE:
		if (number < row->min || number > row->max) {
			return err_set(err, ERR_PARAMS, "must be from %s to %s", bound_text(row->type, row->min, min),
				       bound_text(row->type, row->max, max));
		}
		return 0;
	case OPTION_TIME:
		return number >= row->min ? 0 : err_set(err, ERR_PARAMS, "is before 1970");
	case OPTION_FLAG:
	case OPTION_MAYBE:
	case OPTION_TEXT:
	case OPTION_NAME:
	case OPTION_DIGEST:
	case OPTION_CHOICE:
		break;
	}
	return 0;
}

static int set_value(struct options *options, size_t id, const char *text, struct err *err)
{
	const struct option_row *row = &option_rows[id];
	struct option_value value = {.given = true, .text = text};

	if (options->value[id].given) {
		return err_set(err, ERR_PARAMS, "--%s is given twice", row->name);
	}
	if (parse_value(row, text, options->now, &value.number, err) < 0 || check_range(row, value.number, err) < 0) {
		if (err) {
			err->code = ERR_PARAMS;
		}
		return err_prefix(err, "--%s", row->name);
	}
	options->value[id] = value;
	return 0;
}

/* The row of the set with this name (len bytes) or letter; OPTION_COUNT if there is none. */
static size_t find_row(uint64_t set, const char *name, size_t len, char letter)
{
	for (size_t id = 0; id < OPTION_COUNT; id++) {
		const struct option_row *row = &option_rows[id];
		bool same = name ? strlen(row->name) == len && memcmp(row->name, name, len) == 0
				 : row->letter && row->letter == letter;

		if (same && (set & (UINT64_C(1) << id))) {
			return id;
		}
	}
	return OPTION_COUNT;
}

/* One argument beginning with '-', and the next one where it is this option's value. */
static int read_option(struct options *options, uint64_t set, struct err *err)
{
	const char *arg = *options->argv;
	bool is_long = arg[1] == '-';
	const char *name = arg + (is_long ? 2 : 1);
	size_t len = is_long ? strcspn(name, "=") : 1;
	const char *value = name[len] ? name + len + is_long : NULL;
	size_t id = find_row(set, is_long ? name : NULL, len, *name);

	if (id == OPTION_COUNT) {
		return err_set(err, ERR_PARAMS, "unknown option %.*s", (int)(len + (is_long ? 2 : 1)), arg);
	}
	options->argv++;
	options->argc--;
	if (!option_rows[id].arg) {
		return value ? err_set(err, ERR_PARAMS, "--%s takes no value", option_rows[id].name)
			     : set_value(options, id, NULL, err);
	}
	if (!value && option_rows[id].type != OPTION_MAYBE) {
		if (options->argc == 0) {
			return err_set(err, ERR_PARAMS, "--%s needs a value: %s", option_rows[id].name,
				       option_rows[id].arg);
		}
		value = *options->argv++;
		options->argc--;
	}
	return set_value(options, id, value, err);
}

const char *option_next_word(struct options *options, uint64_t set, struct err *err)
{
	err->code = ERR_NONE;
	while (options->argc > 0) {
		const char *arg = *options->argv;

		if (options->only_words || arg[0] != '-' || arg[1] == '\0') {
			options->argv++;
			options->argc--;
			return arg;
		}
		if (strcmp(arg, "--") == 0) {
			options->only_words = true;
			options->argv++;
			options->argc--;
		} else if (read_option(options, set, err) < 0) {
			return NULL;
		}
	}
	return NULL;
}
