/* The command table and the help made from it. Runs nothing. */
#include "command.h"

#include <string.h>

#include "util.h"

#define REQUEST_OPTIONS                                                                                      \
	(BIT(VMS) | BIT(CPU) | BIT(MEMORY) | BIT(DISK) | BIT(IMAGE) | BIT(FOR) | BIT(AT) | BIT(LATEST) |     \
	 BIT(DEADLINE) | BIT(NOT_BEFORE) | BIT(OPEN) | BIT(UNTIL) | BIT(RESPONSE) | BIT(NOW) | BIT(SERIAL) | \
	 BIT(PRICE_MAX) | BIT(SLICE) | BIT(PERIOD) | BIT(NAME) | BIT(REQUEST_ID) | BIT(DRY_RUN) | BIT(WAIT))
#define EXTEND_OPTIONS (BIT(BY) | BIT(END) | BIT(DURATION) | BIT(REQUEST_ID))
#define TUNE_OPTIONS (BIT(SLICE) | BIT(PERIOD) | BIT(NONE) | BIT(REQUEST_ID))
#define LIST_OPTIONS (BIT(ONLY_STATE) | BIT(OWNER) | BIT(LIMIT))
#define ADD_OPTIONS                                                                                           \
	(BIT(IMAGE_DISK) | BIT(FORMAT) | BIT(KERNEL) | BIT(INITRD) | BIT(CMDLINE) | BIT(SHA256) | BIT(SIZE) | \
	 BIT(REQUEST_ID))

const struct command commands[] = {
	{"submit", NULL, "", 0, 0, REQUEST_OPTIONS, "ask for a lease (as lease request)", lease_request},
	{"list", NULL, "", 0, 0, LIST_OPTIONS, "list leases (as lease list)", lease_list},
	{"cancel", NULL, "ID ...", 1, 1000, BIT(REQUEST_ID), "end leases (as lease cancel)", lease_cancel},
	{"gantt", NULL, "", 0, 0, BIT(FROM) | BIT(TO) | BIT(NODE) | BIT(WIDTH), "draw the slot table", gantt_command},
	{"lease", "request", "", 0, 0, REQUEST_OPTIONS, "ask for virtual machines for a time", lease_request},
	{"lease", "list", "", 0, 0, LIST_OPTIONS, "list leases, newest first", lease_list},
	{"lease", "show", "ID", 1, 1, 0, "show one lease with its VMs", lease_show},
	{"lease", "cancel", "ID ...", 1, 1000, BIT(REQUEST_ID), "end leases", lease_cancel},
	{"lease", "extend", "ID", 1, 1, EXTEND_OPTIONS, "make a lease longer or shorter", lease_extend},
	{"lease", "call", "ID", 1, 1, BIT(REQUEST_ID), "let a lease on standby run", lease_call},
	{"lease", "tune", "ID", 1, 1, TUNE_OPTIONS, "give a lease another slice and period, or none", lease_tune},
	{"lease", "wait", "ID", 1, 1, BIT(STATE), "wait until a lease ends, or is in a state", lease_wait},
	{"lease", "explain", "ID", 1, 1, 0, "say why a lease is where it is, and what it waits for", lease_explain},
	{"node", "list", "", 0, 0, 0, "list nodes", node_list},
	{"node", "show", "NODE", 1, 1, 0, "show one node", node_show},
	{"node", "edf", "[NODE]", 0, 1, BIT(WATCH) | BIT(EVERY), "what is enforced of slices and periods", node_edf},
	{"node", "tune", "NODE TASK", 2, 2, BIT(SLICE) | BIT(PERIOD) | BIT(NONE),
	 "give a task of tenure-edf another slice and period, or none", node_tune},
	{"node", "drain", "NODE", 1, 1, BIT(REQUEST_ID), "place nothing new on a node", node_drain},
	{"node", "resume", "NODE", 1, 1, BIT(REQUEST_ID), "end a drain", node_resume},
	{"image", "add", "NAME", 1, 1, ADD_OPTIONS, "add an image: a disk, or a kernel with its initrd", image_add},
	{"image", "list", "", 0, 0, 0, "list images", image_list},
	{"image", "show", "NAME", 1, 1, 0, "show one image: files, digests, nodes that hold it", image_show},
	{"image", "remove", "NAME", 1, 1, BIT(REQUEST_ID), "remove an image that no open lease needs", image_remove},
	{"event", "list", "", 0, 0, BIT(AFTER) | BIT(LEASE) | BIT(LIMIT), "list the event log", event_list},
	{"event", "follow", "", 0, 0, BIT(AFTER) | BIT(LEASE), "show events as they happen", event_follow},
};
const size_t command_count = ARRAY_SIZE(commands);

const struct command *command_find(const char *noun, const char *verb)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &commands[i];

		if (strcmp(command->noun, noun) == 0 &&
		    (command->verb ? verb && strcmp(command->verb, verb) == 0 : !verb)) {
			return command;
		}
	}
	return NULL;
}

const char *command_name(const struct command *command, char out[COMMAND_NAME])
{
	snprintf(out, COMMAND_NAME, "%s%s%s", command->noun, command->verb ? " " : "",
		 command->verb ? command->verb : "");
	return out;
}

static void help_options(FILE *out, uint64_t set)
{
	for (size_t id = 0; id < OPTION_COUNT; id++) {
		const struct option_row *row = &option_rows[id];
		char left[64];

		if (!(set & (UINT64_C(1) << id))) {
			continue;
		}
		snprintf(left, sizeof(left), "%c%c%c --%s%s%s%s", row->letter ? '-' : ' ',
			 row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
			 !row->arg                   ? ""
			 : row->type == OPTION_MAYBE ? "[="
						     : " ",
			 row->arg ? row->arg : "", row->type == OPTION_MAYBE ? "]" : "");
		fprintf(out, "  %-32s %s\n", left, row->help);
	}
}

static void help_command(FILE *out, const struct command *command)
{
	char name[COMMAND_NAME];

	fprintf(out, "usage: tenure %s%s%s%s\n%s\n\n", command_name(command, name),
		command->options ? " [options]" : "", *command->args ? " " : "", command->args, command->help);
	if (command->options) {
		fprintf(out, "options:\n");
		help_options(out, command->options);
		putc('\n', out);
	}
	fprintf(out, "options of every command:\n");
	help_options(out, OPTION_GLOBAL);
}

void command_help(FILE *out, const char *noun, const struct command *command)
{
	if (command) {
		help_command(out, command);
		return;
	}
	fprintf(out, "usage: tenure [options] %s [options] [arguments]\n\n", noun ? noun : "command");
	for (size_t i = 0; i < command_count; i++) {
		char name[COMMAND_NAME], left[2 * COMMAND_NAME];

		if (noun && strcmp(commands[i].noun, noun) != 0) {
			continue;
		}
		snprintf(left, sizeof(left), "%s%s%s", command_name(&commands[i], name), *commands[i].args ? " " : "",
			 commands[i].args);
		fprintf(out, "  %-24s %s\n", left, commands[i].help);
	}
	fprintf(out, "\noptions of every command:\n");
	help_options(out, OPTION_GLOBAL);
	fprintf(out, "\n\"tenure COMMAND --help\" says more; the manual is tenure(1).\n");
}
