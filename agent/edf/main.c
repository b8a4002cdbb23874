/* tenure-edf: finds the command, reads its options, and says what went wrong. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "study.h"
#include "util.h"

static const struct {
	const char *name, *args, *help;
	int words_min, words_max;
	int (*run)(const struct cli_options *options, struct err *err);
} commands[] = {
	{"run", "--slice TIME --period TIME [--] COMMAND [ARGUMENT...]", "run a program under a constraint", 1, INT_MAX,
	 cli_run},
	{"attach", "--slice TIME --period TIME PID...", "put running processes under a constraint", 1, INT_MAX,
	 cli_attach},
	{"set", "--slice TIME --period TIME TASK", "give a task another constraint", 1, 1, cli_set},
	{"detach", "TASK...", "give tasks back to the kernel's scheduler", 1, INT_MAX, cli_detach},
	{"list", "[TASK]", "tasks, their constraints and what they got since they were attached", 0, 1, cli_list},
	{"stat", "[TASK]", "the same, with the rate measured over an interval", 0, 1, cli_stat},
	{"node", "", "what this machine can promise, and has promised", 0, 0, cli_node},
	{"serve", "", "schedule for others until a signal comes", 0, 0, cli_serve},
	{"release", "", "give back threads that a dead scheduler left behind", 0, 0, cli_release},
	{"calibrate", "", "measure what a wake-up of the scheduler costs here", 0, 0, cli_calibrate},
};

static void usage(FILE *out)
{
	fputs("usage: tenure-edf COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	}
	fputs("  study      measure what each mechanism makes of its promises\n"
	      "\n\"tenure-edf COMMAND --help\" says more, tenure-edf(1) all; --version prints the version.\n",
	      out);
}

static void help(size_t which)
{
	printf("usage: tenure-edf %s [OPTION...] %s\n%s\n\n", commands[which].name, commands[which].args,
	       commands[which].help);
	cli_option_help(commands[which].name, stdout);
}

static int run(size_t which, int argc, char **argv)
{
	struct cli_options options;
	struct err err = {0};
	int status = 2;

	if (cli_option_read(&options, argc, argv, &err) == 0) {
		if (options.help) {
			help(which);
			status = 0;
		} else if (options.count < commands[which].words_min || options.count > commands[which].words_max) {
			err_set(&err, ERR_PARAMS, "it is: tenure-edf %s %s", commands[which].name,
				commands[which].args);
		} else {
			status = commands[which].run(&options, &err);
		}
		cli_option_fini(&options);
	}
	if (status != 0 && err.code != ERR_NONE) {
		fflush(stdout);
		fprintf(stderr, "tenure-edf: %s\n", err.text);
	}
	return status;
}

static int command(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("tenure-edf " TENURE_VERSION);
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return 0;
	}
	/* Its options are its own. */
	if (argc > 1 && strcmp(argv[1], "study") == 0) {
		return study_main(argc - 1, argv + 1);
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			return run(i, argc - 1, argv + 1);
		}
	}
	if (argc > 1) {
		fprintf(stderr, "tenure-edf: there is no command \"%s\"\n", argv[1]);
	}
	usage(stderr);
	return 2;
}

int main(int argc, char **argv)
{
	program_begin();
	return output_end("tenure-edf", command(argc, argv));
}
