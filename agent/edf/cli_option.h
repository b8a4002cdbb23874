/* tenure-edf's options: one table of what there is, read for all commands alike. */
#ifndef TENURE_CLI_OPTION_H
#define TENURE_CLI_OPTION_H

#include <stdbool.h>
#include <stdio.h>

#include "engine.h"
#include "usec.h"

enum cli_form { CLI_TABLE, CLI_CSV, CLI_JSON };

struct cli_options {
	char *dir;             /* run_dir; the caller's, freed by cli_option_fini() */
	span_us slice, period; /* 0 = not given */
	span_us interval;
	bool strict, aligned, thread, qemu, force, once, help;
	const char *name, *cpus, *housekeeping, *backend, *group;
	int64_t limit_ppm;
	enum cli_form form;
	char **words; /* what is no option, behind the command; NULL-terminated */
	int count;
};

/*
 * Reads argv, of which argv[0] is the command's name: an option that is another's is refused, and a missing constraint
 * of one that needs it. The first word ends the options of `run`. ERR_PARAMS with what is wrong.
 */
int cli_option_read(struct cli_options *options, int argc, char **argv, struct err *err);
void cli_option_fini(struct cli_options *options);
/* The lines of a command's --help about options. */
void cli_option_help(const char *command, FILE *out);
/* What an engine started for these options gets. */
int cli_option_settings(const struct cli_options *options, struct engine_settings *out, struct err *err);

#endif
