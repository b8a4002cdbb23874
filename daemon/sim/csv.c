/* Rows of CSV files by the names of their columns. */
#include "csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static int wrong(const struct csv *csv, const char *what, struct err *err)
{
	return err_set(err, ERR_PARAMS, "%s:%ju: %s", csv->path, (uintmax_t)csv->number, what);
}

/* The next line, split: 1, 0 at the end, -1. */
static int next_line(struct csv *csv, char *cell[CSV_COLUMNS_MAX], struct err *err)
{
	char *rest = csv->line;
	size_t length;

	if (!fgets(csv->line, sizeof(csv->line), csv->file)) {
		return ferror(csv->file) ? err_set(err, ERR_INTERNAL, "%s: %s", csv->path, strerror(errno)) : 0;
	}
	csv->number++;
	length = strlen(csv->line);
	if (!length || csv->line[length - 1] != '\n') {
		return wrong(csv, "the line is too long, cut off, or holds a NUL byte", err);
	}
	csv->line[length - 1] = '\0';
	for (csv->columns = 0; rest; csv->columns++) {
		if (csv->columns == CSV_COLUMNS_MAX) {
			return wrong(csv, "too many columns", err);
		}
		cell[csv->columns] = strsep(&rest, ",");
	}
	return 1;
}

static int read_header(struct csv *csv, const char *const *wanted, size_t n, struct err *err)
{
	char *cell[CSV_COLUMNS_MAX];
	int got = next_line(csv, cell, err);

	if (got <= 0) {
		return got ? -1 : err_set(err, ERR_PARAMS, "%s is empty", csv->path);
	}
	for (csv->wanted = 0; csv->wanted < n; csv->wanted++) {
		size_t i = 0;

		while (i < csv->columns && strcmp(cell[i], wanted[csv->wanted]) != 0) {
			i++;
		}
		if (i == csv->columns) {
			return err_set(err, ERR_PARAMS, "%s has no column \"%s\"", csv->path, wanted[csv->wanted]);
		}
		csv->at[csv->wanted] = i;
	}
	return 0;
}

int csv_open(struct csv *csv, const char *path, const char *const *wanted, size_t n, struct err *err)
{
	*csv = (struct csv){.path = path, .file = fopen(path, "re")};
	if (!csv->file) {
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INTERNAL, "%s: %s", path, strerror(errno));
	}
	if (read_header(csv, wanted, n, err)) {
		csv_close(csv);
		return -1;
	}
	return 0;
}

int csv_row(struct csv *csv, char **field, struct err *err)
{
	char *cell[CSV_COLUMNS_MAX];
	size_t columns = csv->columns;
	int got = next_line(csv, cell, err);

	if (got <= 0) {
		return got;
	}
	if (csv->columns != columns) {
		csv->columns = columns;
		return wrong(csv, "the row has not as many columns as the header", err);
	}
	for (size_t i = 0; i < csv->wanted; i++) {
		field[i] = cell[csv->at[i]];
	}
	return 1;
}

int csv_number(const struct csv *csv, const char *text, double *out, struct err *err)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value)) {
		return wrong(csv, "a field is not a number", err);
	}
	*out = value;
	return 0;
}

void csv_close(struct csv *csv)
{
	if (csv->file) {
		fclose(csv->file);
	}
	csv->file = NULL;
}
