/* Reads tenure-edf's options. What a command does with them is cli.c's. */
#include "cli_option.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "util.h"
#include "when.h"

static const struct row {
	const char *name;
	const char *arg; /* NULL = none */
	const char *of;  /* the commands that have it, between spaces; NULL = all */
	const char *help;
} rows[] = {
	{"slice", "TIME", " run attach set ", "CPU time in every period, as 20ms, 500us, 2h"},
	{"period", "TIME", " run attach set ", "the period"},
	{"strict", NULL, " run attach set ", "nothing beyond the slice, even if the CPU is idle"},
	{"aligned", NULL, " run attach ",
	 "periods begin at multiples of the period on the wall clock: a gang's, on all machines"},
	{"name", "NAME", " run attach ", "of the task, in lists (default: the process')"},
	{"thread", NULL, " attach ", "the numbers are threads, of which each is one task"},
	{"qemu", NULL, " attach ",
	 "the processes are QEMU's; its vCPUs are meant, all else goes to the housekeeping CPUs"},
	{"interval", "TIME", " stat ", "the time over which rates are measured (default 1s)"},
	{"output", "FORM", " list stat node ", "table, csv or json (node: table or json)"},
	{"dir", "DIR", NULL,
	 "where the scheduler's table and socket are (default " ENGINE_DIR ", or $XDG_RUNTIME_DIR/tenure-edf)"},
	{"cpus", "LIST", " run attach serve calibrate ",
	 "CPUs to manage, as 1-3,5 (default: all but the housekeeping CPUs)"},
	{"housekeeping", "LIST", " run attach serve ", "CPUs for QEMU's other threads"},
	{"backend", "NAME", " run attach serve ", "edf, deadline, quota or none (default edf)"},
	{"limit", "PERCENT", " run attach serve calibrate ", "of a CPU that may be promised (default 90)"},
	{"group", "NAME", " serve ", "the group that may use the socket, beside its owner"},
	{"once", NULL, " serve ", "end with the last task"},
	{"force", NULL, " release ", "even if a scheduler is alive there"},
	{"help", NULL, NULL, "print this, and end"},
};

static bool has(const char *command, const struct row *row)
{
	_cleanup_free_ char *word = xasprintf(" %s ", command);

	return !row->of || strstr(row->of, word);
}

void cli_option_help(const char *command, FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *left =
			xasprintf("--%s%s%s", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");

		if (has(command, &rows[i])) {
			fprintf(out, "  %-20s %s\n", left, rows[i].help);
		}
	}
}

static int read_percent(const char *text, int64_t *ppm, struct err *err)
{
	int64_t percent;

	if (parse_i64(text, 1, 100, &percent) < 0) {
		return err_set(err, ERR_PARAMS, "--limit %s: must be a whole number from 1 to 100", text);
	}
	*ppm = percent * 10000;
	return 0;
}

static int read_form(const char *text, enum cli_form *out, struct err *err)
{
	static const char *const names[] = {"table", "csv", "json"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum cli_form)i;
			return 0;
		}
	}
	return err_set(err, ERR_PARAMS, "--output %s: must be table, csv or json", text);
}

static int read_span(const char *name, const char *text, span_us *out, struct err *err)
{
	return when_parse_span(text, out, err) < 0 ? err_prefix(err, "--%s", name) : 0;
}

static int read_dir(struct cli_options *options, const char *text, struct err *err)
{
	if (*text != '/' || strlen(text) > 90) {
		return err_set(err, ERR_PARAMS, "--dir %s: must begin with / and have at most 90 bytes", text);
	}
	free(options->dir);
	options->dir = xstrdup(text);
	return 0;
}

static int read_one(struct cli_options *options, const char *name, const char *text, struct err *err)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {{"strict", &options->strict}, {"aligned", &options->aligned}, {"thread", &options->thread},
		     {"qemu", &options->qemu},     {"force", &options->force},     {"once", &options->once},
		     {"help", &options->help}};
	const struct {
		const char *name;
		const char **text;
	} texts[] = {{"name", &options->name},
		     {"cpus", &options->cpus},
		     {"housekeeping", &options->housekeeping},
		     {"backend", &options->backend},
		     {"group", &options->group}};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(name, flags[i].name) == 0) {
			*flags[i].flag = true;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(name, texts[i].name) == 0) {
			*texts[i].text = text;
			return 0;
		}
	}
	return strcmp(name, "slice") == 0      ? read_span(name, text, &options->slice, err)
	       : strcmp(name, "period") == 0   ? read_span(name, text, &options->period, err)
	       : strcmp(name, "interval") == 0 ? read_span(name, text, &options->interval, err)
	       : strcmp(name, "output") == 0   ? read_form(text, &options->form, err)
	       : strcmp(name, "limit") == 0    ? read_percent(text, &options->limit_ppm, err)
					       : read_dir(options, text, err);
}

/* Others' than root's lies where they may write. */
static int default_dir(struct cli_options *options, struct err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (options->dir || options->help) {
		return 0;
	}
	if (geteuid() == 0 || access(ENGINE_DIR "/edf.sock", W_OK) == 0) {
		options->dir = xstrdup(ENGINE_DIR);
		return 0;
	}
	if (!runtime || *runtime != '/' || strlen(runtime) > 70) {
		return err_set(err, ERR_PARAMS,
			       "the scheduler at " ENGINE_DIR
			       " is not open to you, and XDG_RUNTIME_DIR is not set: name a folder with --dir");
	}
	options->dir = xasprintf("%s/tenure-edf", runtime);
	return 0;
}

static int read_all(struct cli_options *options, int argc, char **argv, struct err *err)
{
	struct option table[ARRAY_SIZE(rows) + 1] = {{0}};
	int which, rc;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		table[i] = (struct option){rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, 0};
	}
	optind = 1;
	opterr = 0;
	/* '+': what follows the first word of `run` is the command's own. */
	while ((rc = getopt_long(argc, argv, strcmp(argv[0], "run") == 0 ? "+:" : ":", table, &which)) != -1) {
		if (rc == ':') {
			return err_set(err, ERR_PARAMS, "%s needs a value", argv[optind - 1]);
		}
		if (rc != 0 || !has(argv[0], &rows[which])) {
			return err_set(err, ERR_PARAMS, "%s has no option %s; tenure-edf %s --help names them", argv[0],
				       argv[optind - 1], argv[0]);
		}
		if (read_one(options, rows[which].name, optarg, err) < 0) {
			return -1;
		}
	}
	options->words = argv + optind;
	options->count = argc - optind;
	return 0;
}

static int check_constraint(const struct cli_options *options, const char *command, struct err *err)
{
	return has(command, &rows[0]) && !options->help && (!options->slice || !options->period)
		       ? err_set(err, ERR_PARAMS, "both --slice and --period must be given")
		       : 0;
}

int cli_option_read(struct cli_options *options, int argc, char **argv, struct err *err)
{
	*options = (struct cli_options){.interval = USEC_PER_SEC};
	if (read_all(options, argc, argv, err) < 0 || check_constraint(options, argv[0], err) < 0 ||
	    default_dir(options, err) < 0) {
		cli_option_fini(options);
		return -1;
	}
	return 0;
}

void cli_option_fini(struct cli_options *options)
{
	free(steal(&options->dir));
}

int cli_option_settings(const struct cli_options *options, struct engine_settings *out, struct err *err)
{
	struct engine_settings settings = {
		.cpus = options->cpus,
		.housekeeping = options->housekeeping,
		.run_dir = options->dir,
		.limit_ppm = options->limit_ppm,
		.backend = ENGINE_EDF,
	};

	if (options->backend && engine_backend_parse(options->backend, &settings.backend) < 0) {
		return err_set(err, ERR_PARAMS, "--backend %s: must be edf, deadline, quota or none", options->backend);
	}
	*out = settings;
	return 0;
}
