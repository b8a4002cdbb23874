/*
 * Settings files: reads them by inih into a struct and prints them. What a single value may be is conf_value.c's.
 *
 * inih as packaged cuts lines at a fixed length, takes the rest for another line, and tells handlers no line numbers.
 * Hence the reader here: it counts lines and refuses what would be cut.
 */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "conf_value.h"
#include "util.h"

#define NAME_LEN 50     /* longest section or key inih keeps */
#define PRINT_WIDTH 100 /* where lists are broken: well below inih's limit */

struct load {
	const struct setting *table;
	size_t n;
	const char *path;
	void *values;
	FILE *file;
	bool pipe;
	int line;         /* of the last line read */
	bool indented;    /* it began with a space */
	int section_line; /* of the last [section] */
	int *set_at;      /* per row: line where it was set, 0 = not yet */
	bool failed;      /* err is filled: read no further */
	struct err *err;
};

/* Ends the reading with "PATH:LINE: text". */
static int fail_at(struct load *load, int line)
{
	load->failed = true;
	return err_prefix(load->err, "%s:%d", load->path, line);
}

/* ---- hints ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be changed, added or left out to make b of a (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_LEN + 1];
	size_t len = least(strlen(b), NAME_LEN);

	for (size_t j = 0; j <= len; j++) {
		row[j] = j;
	}
	for (size_t i = 0; i < NAME_LEN && a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t changed = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = least(changed, least(row[j], row[j + 1]) + 1);
		}
	}
	return row[len];
}

/* The nearer of two names to a wanted one, if it is near enough to have been meant. */
static void nearer(const char *wanted, const char *name, const char **best, size_t *best_distance)
{
	size_t d = distance(wanted, name);

	if (d < *best_distance && d <= 1 + strlen(wanted) / 3) {
		*best = name;
		*best_distance = d;
	}
}

static int unknown_section(struct load *load, const char *section)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (size_t i = 0; i < load->n; i++) {
		nearer(section, load->table[i].section, &best, &best_distance);
	}
	if (best) {
		err_set(load->err, ERR_PARAMS, "unknown section [%s]: did you mean [%s]?", section, best);
	} else {
		err_set(load->err, ERR_PARAMS, "unknown section [%s]: --print-config shows all", section);
	}
	return fail_at(load, load->section_line);
}

static int unknown_key(struct load *load, const char *section, const char *key)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (size_t i = 0; i < load->n; i++) {
		if (strcmp(load->table[i].key, key) == 0) {
			err_set(load->err, ERR_PARAMS, "%s belongs in section [%s]", key, load->table[i].section);
			return fail_at(load, load->line);
		}
		if (strcmp(load->table[i].section, section) == 0) {
			nearer(key, load->table[i].key, &best, &best_distance);
		}
	}
	if (!*section) {
		err_set(load->err, ERR_PARAMS, "\"%s\" comes before any [section]", key);
	} else if (best) {
		err_set(load->err, ERR_PARAMS, "unknown setting \"%s\" in [%s]: did you mean %s?", key, section, best);
	} else {
		err_set(load->err, ERR_PARAMS, "unknown setting \"%s\" in [%s]: --print-config shows all", key,
			section);
	}
	return fail_at(load, load->line);
}

/* ---- reading ---- */

static bool is_comment(const char *line)
{
	char first = line[strspn(line, " \t")];

	return first == '#' || first == ';';
}

/* inih calls this like fgets(); the newline is left out. */
static char *read_line(char *out, int size, void *stream)
{
	struct load *load = stream;
	bool comment = false;
	int c = EOF, n = 0;

	if (load->failed) {
		return NULL;
	}
	load->line++;
	while ((c = getc(load->file)) != EOF && c != '\n') {
		if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f) {
			err_set(load->err, ERR_PARAMS, "a control character, 0x%02x: this is not a settings file",
				(unsigned)c);
			fail_at(load, load->line);
			return NULL;
		}
		if (n < size - 1) {
			out[n++] = (char)c;
			continue;
		}
		out[n] = '\0';
		comment = comment || is_comment(out);
		if (!comment) {
			err_set(load->err, ERR_LIMIT,
				"the line is longer than %d bytes; a list may go on in indented lines", size - 1);
			fail_at(load, load->line);
			return NULL;
		}
	}
	if (c == EOF && n == 0) {
		return NULL;
	}
	out[n] = '\0';
	load->indented = out[0] == ' ' || out[0] == '\t';
	/* A byte order mark is inih's to skip. */
	if (out[strspn(out, " \t\xef\xbb\xbf")] == '[') {
		load->section_line = load->line;
	}
	return out;
}

/* A list that goes on in an indented line; inih calls the handler again with the same key. */
static int append(struct load *load, size_t row, const char *value)
{
	const struct setting *setting = &load->table[row];
	_cleanup_free_ char *joined = NULL;
	const char *before;

	if (setting->type != SETTING_LIST || strchr(value, '=') || value[0] == '[') {
		err_set(load->err, ERR_PARAMS,
			"an indented line continues the setting before it (%s): remove the spaces", setting->key);
		return fail_at(load, load->line);
	}
	before = *conf_value_string(setting, load->values);
	joined = xasprintf("%s%s%s", before, *before ? " " : "", value);
	if (conf_value_parse(setting, joined, load->values, load->err) < 0) {
		return fail_at(load, load->line);
	}
	return 0;
}

static int take(struct load *load, const char *section, const char *key, const char *value)
{
	bool known_section = false;
	size_t row;

	for (row = 0; row < load->n; row++) {
		bool same = strcmp(load->table[row].section, section) == 0;

		known_section = known_section || same;
		if (same && strcmp(load->table[row].key, key) == 0) {
			break;
		}
	}
	if (row == load->n) {
		return known_section || !*section ? unknown_key(load, section, key) : unknown_section(load, section);
	}
	if (load->set_at[row] && load->indented) {
		return append(load, row, value);
	}
	if (load->set_at[row]) {
		err_set(load->err, ERR_PARAMS, "%s is set already, in line %d", key, load->set_at[row]);
		return fail_at(load, load->line);
	}
	if (conf_value_parse(&load->table[row], value, load->values, load->err) < 0) {
		return fail_at(load, load->line);
	}
	load->set_at[row] = load->line;
	return 0;
}

/* inih's convention: 0 is failure. */
static int on_value(void *user, const char *section, const char *key, const char *value)
{
	struct load *load = user;

	if (load->failed) {
		return 0;
	}
	return take(load, section, key, value) == 0;
}

/* True of a pipe with a name, which may have no writer for ever; a shell's, as /dev/stdin or <(...), has none. */
static bool is_fifo(int fd, const struct stat *st)
{
	struct statfs fs;

	return S_ISFIFO(st->st_mode) && !(fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC);
}

static FILE *open_file(struct load *load)
{
	/* Not blocking, as opening a FIFO would wait for a writer. */
	_cleanup_close_ int fd = open(load->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(load->err, errno == ENOENT ? ERR_NOT_FOUND : ERR_PARAMS,
			"cannot read %s: %s; --print-config prints a file to begin with", load->path, strerror(errno));
		return NULL;
	}
	if (is_fifo(fd, &st)) {
		err_set(load->err, ERR_PARAMS, "cannot read %s: it is a named pipe; settings are a regular file",
			load->path);
		return NULL;
	}
	load->pipe = S_ISFIFO(st.st_mode);
	FILE *file = fcntl(fd, F_SETFL, 0) == 0 ? fdopen(fd, "r") : NULL;
	if (!file) {
		err_set(load->err, ERR_PARAMS, "cannot read %s: %s", load->path, strerror(errno));
		return NULL;
	}
	fd = -1;
	return file;
}

static int load_file(struct load *load)
{
	_cleanup_fclose_ FILE *file = open_file(load);
	int bad_line;

	if (!file) {
		return -1;
	}
	load->file = file;
	bad_line = ini_parse_stream(read_line, load, on_value, load);
	if (ferror(file)) {
		return err_set(load->err, ERR_PARAMS, "cannot read %s: %s", load->path, strerror(errno));
	}
	if (load->pipe && load->line <= 1) {
		return err_set(load->err, ERR_PARAMS, "cannot read %s: a pipe, and nothing comes; it is read once only",
			       load->path);
	}
	/* inih goes on after a line that it cannot take, so ours may be a later one. */
	if (bad_line > 0 && (!load->failed || bad_line < load->line)) {
		err_set(load->err, ERR_PARAMS, "neither \"key = value\" nor \"[section]\" nor a comment");
		return fail_at(load, bad_line);
	}
	return load->failed ? -1 : 0;
}

/* Zero, false or empty where the default is "". */
static int set_defaults(const struct setting *table, size_t n, void *values, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		char **string = conf_value_string(&table[i], values);
		void *member = (char *)values + table[i].offset;

		if (string) {
			*string = xstrdup("");
		} else if (table[i].type == SETTING_BOOL) {
			*(bool *)member = false;
		} else {
			*(int64_t *)member = 0;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (*table[i].value && conf_value_parse(&table[i], table[i].value, values, err) < 0) {
			return err_prefix(err, "default");
		}
	}
	return 0;
}

int conf_load(const struct setting *table, size_t n, const char *path, void *values, struct err *err)
{
	_cleanup_free_ int *set_at = xcalloc(n, sizeof(*set_at));
	struct err local = {0}; /* for callers that want none */
	struct load load = {
		.table = table,
		.n = n,
		.path = path,
		.values = values,
		.set_at = set_at,
		.err = err ? err : &local,
	};

	if (set_defaults(table, n, values, load.err) < 0 || (path && load_file(&load) < 0)) {
		conf_free(table, n, values);
		return -1;
	}
	return 0;
}

void conf_free(const struct setting *table, size_t n, void *values)
{
	for (size_t i = 0; i < n; i++) {
		char **string = conf_value_string(&table[i], values);

		if (string) {
			free(*string);
			*string = NULL;
		}
	}
}

/* ---- printing and comparing ---- */

/* Words of a long list go on in indented lines, as a long line could not be read back. */
static void print_list(const char *value, size_t column, FILE *out)
{
	for (value += strspn(value, " \t"); *value; value += strspn(value, " \t")) {
		size_t len = strcspn(value, " \t");

		if (column + 1 + len > PRINT_WIDTH) {
			fputs("\n\t", out);
			column = 8;
		} else {
			fputc(' ', out);
			column++;
		}
		fwrite(value, 1, len, out);
		column += len;
		value += len;
	}
}

void conf_print(const struct setting *table, size_t n, const void *values, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *value = conf_value_format(&table[i], values);

		if (i == 0 || strcmp(table[i].section, table[i - 1].section) != 0) {
			fprintf(out, "%s[%s]\n", i == 0 ? "" : "\n", table[i].section);
		}
		fprintf(out, "# %s\n%s =", table[i].help, table[i].key);
		if (table[i].type == SETTING_LIST) {
			print_list(value, strlen(table[i].key) + 2, out);
		} else if (*value) {
			fprintf(out, " %s", value);
		}
		fputc('\n', out);
	}
}

bool conf_needs_restart(const struct setting *table, size_t n, const void *a, const void *b,
			const struct setting **which)
{
	for (size_t i = 0; i < n; i++) {
		if (!table[i].reloadable && !conf_value_equal(&table[i], a, b)) {
			*which = &table[i];
			return true;
		}
	}
	return false;
}
