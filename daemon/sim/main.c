/* tenure-sim: the planner under virtual time. Finds the command; its file does the rest. */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "sim_command.h"
#include "util.h"

static const struct sim_command *const commands[] = {
	&command_run, &command_compare, &command_figures, &command_generate, &command_experiment, &command_replay,
};

static void usage(FILE *out)
{
	fputs("usage: tenure-sim COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->help);
	}
	fputs("\n\"tenure-sim COMMAND --help\" says more, tenure-sim(1) all.\n", out);
}

static void help(const struct sim_command *command, FILE *out)
{
	fprintf(out, "usage: tenure-sim %s [OPTION...]%s%s\n%s\n\n", command->name, *command->words ? " " : "",
		command->words, command->help);
	options_help(command->options, command->option_count, out);
	fprintf(out, "  %-24s %s\n", "--help", "this text");
}

static bool wants(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], word) == 0) {
			return true;
		}
	}
	return false;
}

static int run(const struct sim_command *command, int argc, char **argv)
{
	struct err err = {0};

	if (wants(argc, argv, "--help")) {
		help(command, stdout);
		return SIM_OK;
	}
	int status = command->run(argc, argv, &err);
	if (status != SIM_OK) {
		fprintf(stderr, "tenure-sim: %s\n", err.text);
	}
	if (status == SIM_USAGE) {
		fprintf(stderr, "\"tenure-sim %s --help\" shows the options\n", command->name);
	}
	return status;
}

int main(int argc, char **argv)
{
	int status = SIM_USAGE;

	program_begin();
	log_init(LOG_LEVEL_ERROR);
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("tenure-sim " TENURE_VERSION);
		status = SIM_OK;
	} else if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		status = SIM_OK;
	} else {
		const struct sim_command *command = NULL;
		for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
			command = strcmp(argv[1], commands[i]->name) == 0 ? commands[i] : command;
		}
		if (command) {
			status = run(command, argc - 2, argv + 2);
		} else {
			if (argc > 1) {
				fprintf(stderr, "tenure-sim: there is no command \"%s\"\n", argv[1]);
			}
			usage(stderr);
		}
	}
	return output_end("tenure-sim", status);
}
