/* tenure-sim generate: writes made-up workloads as traces of Tenure's own. */
#include <errno.h>
#include <string.h>

#include "conf_value.h"
#include "generate.h"
#include "sim_command.h"
#include "util.h"

static const struct sim_option options[] = {
#define ROW(name, member, type, value, min, max, arg, help) {name, arg, help, false},
#include "generate.tbl"
#undef ROW
	{"out", "FILE", "where it goes; default: standard output", false},
};
#define OUT (ARRAY_SIZE(options) - 1)

struct arguments {
	char *set[ARRAY_SIZE(options)]; /* "KEY=VALUE", NULL = not given */
	const char *out;
};

static int take(void *to, size_t option, const char *text, struct err *err)
{
	struct arguments *arguments = to;

	(void)err;
	if (option < OUT) {
		free(arguments->set[option]);
		arguments->set[option] = xasprintf("%s=%s", options[option].name, text);
	} else {
		arguments->out = text;
	}
	return 0;
}

static const struct generate_kind *kind_of(int words, char **argv, struct err *err)
{
	const struct generate_kind *kind = words == 1 ? generate_find(argv[0]) : NULL;
	char names[256] = "";

	for (size_t i = 0; !kind && i < generate_kind_count; i++) {
		size_t n = strlen(names);

		snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "", generate_kinds[i].name);
	}
	if (!kind) {
		err_set(err, ERR_PARAMS, "a kind of workload is needed: %s", names);
	}
	return kind;
}

/* All settings, so that the file says how it can be made again. */
static void write_settings(const struct generate_kind *kind, const struct generate *how, FILE *out)
{
	fprintf(out, "# tenure-sim generate %s", kind->name);
	for (size_t i = 0; i < generate_count; i++) {
		_cleanup_free_ char *value = conf_value_format(&generate_table[i], how);

		fprintf(out, " --%s %s", generate_table[i].key, value);
	}
	fputc('\n', out);
}

static int write_file(const char *path, const struct generate_kind *kind, const struct generate *how,
		      const struct trace *trace, struct err *err)
{
	_cleanup_fclose_ FILE *file = path ? fopen(path, "we") : NULL;
	FILE *out = path ? file : stdout;

	if (!out) {
		return err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
	}
	write_settings(kind, how, out);
	trace_write(trace, out);
	if (fflush(out) || ferror(out)) {
		return err_set(err, ERR_INTERNAL, "%s: %s", path ? path : "standard output", strerror(errno));
	}
	return 0;
}

static int make(const struct generate_kind *kind, const struct arguments *arguments, struct err *err)
{
	_cleanup_(trace_fini) struct trace trace = {0};
	const char *sets[ARRAY_SIZE(options)];
	struct generate how;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (arguments->set[i]) {
			sets[n++] = arguments->set[i];
		}
	}
	if (generate_settings(kind, sets, n, &how, err)) {
		return SIM_USAGE;
	}
	if (generate_make(kind, &how, &trace, err)) {
		return SIM_FAILED;
	}
	if (trace.count == 0) {
		err_set(err, ERR_PARAMS,
			"that is so little that there is no request in it: make it longer, or its load more");
		return SIM_FAILED;
	}
	if (write_file(arguments->out, kind, &how, &trace, err)) {
		return SIM_FAILED;
	}
	return SIM_OK;
}

static int generate(int argc, char **argv, struct err *err)
{
	struct arguments arguments = {0};
	int words = options_read(options, ARRAY_SIZE(options), argc, argv, 1, take, &arguments, err);
	const struct generate_kind *kind = words < 0 ? NULL : kind_of(words, argv, err);
	int status = kind ? make(kind, &arguments, err) : SIM_USAGE;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		free(arguments.set[i]);
	}
	return status;
}

const struct sim_command command_generate = {
	.name = "generate",
	.words = "KIND",
	.help = "makes up a workload: mixed, accuracy, accuracy-windows, disk, injected, batch",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.run = generate,
};
