/* tenure-edf: finds the command, reads its options, and says what went wrong. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "study.h"
#include "util.h"

static const struct {
	const char *name, *args, *help;
	int (*run)(const struct cli_options *options, struct err *err);
} commands[] = {
	{"run", "--slice TIME --period TIME [--] COMMAND [ARGUMENT...]", "run a program under a constraint", cli_run},
	{"attach", "--slice TIME --period TIME PID...", "put running processes under a constraint", cli_attach},
	{"set", "--slice TIME --period TIME TASK", "give a task another constraint", cli_set},
	{"detach", "TASK...", "give tasks back to the kernel's scheduler", cli_detach},
	{"list", "[TASK]", "tasks, their constraints and what they got since they were attached", cli_list},
	{"stat", "[TASK]", "the same, with the rate measured over an interval", cli_stat},
	{"node", "", "what this machine can promise, and has promised", cli_node},
	{"serve", "", "schedule for others until a signal comes", cli_serve},
	{"release", "", "give back threads that a dead scheduler left behind", cli_release},
	{"calibrate", "", "measure what a wake-up of the scheduler costs here", cli_calibrate},
};

static void usage(FILE *out)
{
	fputs("usage: tenure-edf COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		fprintf(out, "  %-10s %s\n             %s\n", commands[i].name, commands[i].args, commands[i].help);
	}
	fputs("  study      NAME [OPTION...]\n"
	      "             measure what each mechanism makes of its promises; without NAME: what there is\n",
	      out);
	fputs("\nOptions:\n", out);
	cli_option_help(out);
	fputs("  --version            print the version, and end\n", out);
}

static int run(size_t which, int argc, char **argv)
{
	struct cli_options options;
	struct err err = {0};
	int status = 2;

	if (cli_option_read(&options, argc, argv, &err) == 0) {
		if (options.help) {
			usage(stdout);
			return 0;
		}
		status = commands[which].run(&options, &err);
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
	return output_end("tenure-edf", command(argc, argv));
}
