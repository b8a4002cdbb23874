/* tenure-sim compare: the summaries of two runs beside each other. */
#include "compare.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "jsonx.h"
#include "sim_command.h"
#include "util.h"

#define SUMMARY_MAX (1 << 20)
#define CELLS 5
#define CELL_MAX 48

typedef char row[CELLS][CELL_MAX];

struct table {
	row *item;
	size_t count;
};

static struct json_object *load(const char *folder, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/summary.json", folder);
	_cleanup_free_ char *text = file_read(path, SUMMARY_MAX, err);
	struct json_object *object;

	if (!text) {
		if (err->code == ERR_NOT_FOUND) {
			err_set(err, ERR_NOT_FOUND, "%s holds no summary.json; \"tenure-sim run --out %s\" writes one",
				folder, folder);
		}
		return NULL;
	}
	object = json_tokener_parse(text);
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		err_set(err, ERR_PARAMS, "%s is not a JSON object", path);
		return NULL;
	}
	return object;
}

static bool is_number(struct json_object *value)
{
	return json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);
}

/* As short as it can be without hiding a difference people care about. */
static void number(char cell[CELL_MAX], double value)
{
	if (!isfinite(value)) {
		strcpy(cell, "-");
	} else if (value == rint(value) && fabs(value) < 1e15) {
		snprintf(cell, CELL_MAX, "%.0f", value);
	} else {
		snprintf(cell, CELL_MAX, fabs(value) < 100 ? "%.4f" : "%.1f", value);
	}
}

/* Cut to fit; nothing in it may end a cell or a line. */
static void words(char cell[CELL_MAX], const char *text)
{
	snprintf(cell, CELL_MAX, "%s", text);
	for (char *c = cell; *c; c++) {
		*c = *c == ',' || (unsigned char)*c < ' ' ? ' ' : *c;
	}
}

static void any(char cell[CELL_MAX], struct json_object *value)
{
	if (is_number(value)) {
		number(cell, json_object_get_double(value));
	} else {
		words(cell, value ? json_object_get_string(value) : "-");
	}
}

static void add_row(struct table *table, const char *key, struct json_object *a, struct json_object *b)
{
	char(*cell)[CELL_MAX];

	table->item = xrealloc(table->item, table->count + 1, sizeof(*table->item));
	cell = table->item[table->count++];
	memset(cell, 0, sizeof(row));
	words(cell[0], key);
	any(cell[1], a);
	any(cell[2], b);
	if (a && b && is_number(a) && is_number(b)) {
		double x = json_object_get_double(a), y = json_object_get_double(b);

		number(cell[3], y - x);
		number(cell[4], x == y ? 1 : y / x);
	}
}

static void add_rows(struct table *table, struct json_object *a, struct json_object *b)
{
	json_object_object_foreach (a, key, value) {
		add_row(table, key, value, json_object_object_get(b, key));
	}
	json_object_object_foreach (b, other, only) {
		if (!json_object_object_get_ex(a, other, NULL)) {
			add_row(table, other, NULL, only);
		}
	}
}

static void write_table(const struct table *table, FILE *out)
{
	int width[CELLS] = {0};

	for (size_t i = 0; i < table->count; i++) {
		for (int c = 0; c < CELLS; c++) {
			int length = (int)strlen(table->item[i][c]);

			width[c] = length > width[c] ? length : width[c];
		}
	}
	for (size_t i = 0; i < table->count; i++) {
		fprintf(out, "%-*s", width[0], table->item[i][0]);
		for (int c = 1; c < CELLS; c++) {
			fprintf(out, "  %*s", width[c], table->item[i][c]);
		}
		fputc('\n', out);
	}
}

static void write_csv(const struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->count; i++) {
		for (int c = 0; c < CELLS; c++) {
			fprintf(out, "%s%s", c ? "," : "", table->item[i][c]);
		}
		fputc('\n', out);
	}
}

int compare_runs(const char *a, const char *b, bool csv, FILE *out, struct err *err)
{
	_cleanup_(jsonx_cleanup) struct json_object *first = load(a, err);
	_cleanup_(jsonx_cleanup) struct json_object *second = first ? load(b, err) : NULL;
	struct table table = {0};

	if (!second) {
		return -1;
	}
	add_row(&table, "value", NULL, NULL);
	words(table.item[0][1], csv ? "a" : a);
	words(table.item[0][2], csv ? "b" : b);
	words(table.item[0][3], "difference");
	words(table.item[0][4], "ratio");
	add_rows(&table, first, second);
	if (csv) {
		write_csv(&table, out);
	} else {
		write_table(&table, out);
	}
	free(table.item);
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static const struct sim_option options[] = {
	{"csv", NULL, "as CSV", false},
};

static int take(void *to, size_t option, const char *text, struct err *err)
{
	bool *csv = to;

	(void)option;
	(void)text;
	(void)err;
	*csv = true;
	return 0;
}

static int compare(int argc, char **argv, struct err *err)
{
	bool csv = false;
	int words_given = options_read(options, ARRAY_SIZE(options), argc, argv, 2, take, &csv, err);

	if (words_given < 0) {
		return SIM_USAGE;
	}
	if (words_given != 2) {
		err_set(err, ERR_PARAMS, "two folders are needed, each written by \"tenure-sim run\"");
		return SIM_USAGE;
	}
	return compare_runs(argv[0], argv[1], csv, stdout, err) ? SIM_FAILED : SIM_OK;
}

const struct sim_command command_compare = {
	.name = "compare",
	.words = "DIR DIR",
	.help = "shows two runs' summaries side by side",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.run = compare,
};
