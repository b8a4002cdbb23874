/* The commands of tenure-sim, and their options. A command is a row in main.c's table and a file with its run(). */
#ifndef TENURE_SIM_COMMAND_H
#define TENURE_SIM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "err.h"

enum sim_status { SIM_OK = 0, SIM_FAILED = 1, SIM_USAGE = 2 };

struct sim_option {
	const char *name; /* without dashes */
	const char *arg;  /* NULL for flags */
	const char *help;
	bool required;
};

struct sim_command {
	const char *name;
	const char *words; /* what follows the options, for help; "" = nothing */
	const char *help;
	const struct sim_option *options;
	size_t option_count;
	/* An exit status; err says why when that is not SIM_OK. */
	int (*run)(int argc, char **argv, struct err *err);
};

extern const struct sim_command command_run;
extern const struct sim_command command_compare;
extern const struct sim_command command_figures;
extern const struct sim_command command_generate;
extern const struct sim_command command_experiment;
extern const struct sim_command command_replay;

/* One option that was given; text is NULL for flags. -1 with err if it will not do. */
typedef int option_taker(void *to, size_t option, const char *text, struct err *err);

/*
 * Reads argv (without the command's own name), calling take for each option in turn; options begin with "--", values
 * follow after a space or "=". words: how many words that are no options may follow, left at the beginning of argv; how
 * many there are is returned. -1 with err if something is unknown, missing or too much.
 */
int options_read(const struct sim_option *table, size_t n, int argc, char **argv, int words, option_taker *take,
		 void *to, struct err *err);
/* A table of them, for --help. */
void options_help(const struct sim_option *table, size_t n, FILE *out);

#endif
