/* Options of commands, read by their table. */
#include <string.h>

#include "sim_command.h"
#include "util.h"

#define OPTIONS_MAX 64 /* of one command */

static size_t find(const struct sim_option *table, size_t n, const char *name, size_t len)
{
	size_t i = 0;

	while (i < n && (strlen(table[i].name) != len || strncmp(table[i].name, name, len) != 0)) {
		i++;
	}
	return i;
}

static int check_required(const struct sim_option *table, size_t n, const bool *given, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (table[i].required && !given[i]) {
			return err_set(err, ERR_PARAMS, "--%s %s is needed: %s", table[i].name, table[i].arg,
				       table[i].help);
		}
	}
	return 0;
}

int options_read(const struct sim_option *table, size_t n, int argc, char **argv, int words, option_taker *take,
		 void *to, struct err *err)
{
	bool given[OPTIONS_MAX] = {false};
	int found = 0;

	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			if (found == words) {
				return err_set(err, ERR_PARAMS, "unexpected argument \"%s\"", argv[i]);
			}
			argv[found++] = argv[i];
			continue;
		}
		const char *name = argv[i] + 2, *value = strchr(name, '=');
		size_t option = find(table, n, name, value ? (size_t)(value - name) : strlen(name));
		if (option == n) {
			return err_set(err, ERR_PARAMS, "unknown option %s", argv[i]);
		}
		if (!table[option].arg && value) {
			return err_set(err, ERR_PARAMS, "--%s takes no value", table[option].name);
		}
		if (table[option].arg) {
			value = value ? value + 1 : i + 1 < argc ? argv[++i] : "";
			if (!*value) {
				return err_set(err, ERR_PARAMS, "--%s needs a value: %s", table[option].name,
					       table[option].arg);
			}
		}
		given[option] = true;
		if (take(to, option, value, err) < 0) {
			return -1;
		}
	}
	return check_required(table, n, given, err) < 0 ? -1 : found;
}

void options_help(const struct sim_option *table, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		char head[48];
		snprintf(head, sizeof(head), "--%s %s", table[i].name, table[i].arg ? table[i].arg : "");
		fprintf(out, "  %-24s %s\n", head, table[i].help);
	}
}
