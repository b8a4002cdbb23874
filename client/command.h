/* The commands of tenure as a table, which drives dispatch, checks and help. */
#ifndef TENURE_COMMAND_H
#define TENURE_COMMAND_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client.h"

struct command {
	const char *noun;
	const char *verb; /* NULL: the noun alone is the command */
	const char *args; /* as in help; "" = none */
	size_t args_min, args_max;
	uint64_t options; /* bits, beside the global ones */
	const char *help;
	/* An exit status, or -1 with err filled. */
	int (*run)(struct client *client, struct err *err);
};

extern const struct command commands[];
extern const size_t command_count;

/* NULL if there is none. */
const struct command *command_find(const char *noun, const char *verb);
/* "lease list", into a buffer of COMMAND_NAME bytes. */
#define COMMAND_NAME 64
const char *command_name(const struct command *command, char out[COMMAND_NAME]);
/* Help on all commands, on those of a noun, or on one command. */
void command_help(FILE *out, const char *noun, const struct command *command);

int lease_request(struct client *client, struct err *err);
int lease_list(struct client *client, struct err *err);
int lease_show(struct client *client, struct err *err);
int lease_cancel(struct client *client, struct err *err);
int lease_extend(struct client *client, struct err *err);
int lease_call(struct client *client, struct err *err);
int lease_tune(struct client *client, struct err *err);
int node_tune(struct client *client, struct err *err);
int lease_wait(struct client *client, struct err *err);
int lease_explain(struct client *client, struct err *err);
int gantt_command(struct client *client, struct err *err);
int node_list(struct client *client, struct err *err);
int node_show(struct client *client, struct err *err);
int node_edf(struct client *client, struct err *err);
int node_drain(struct client *client, struct err *err);
int node_resume(struct client *client, struct err *err);
int image_add(struct client *client, struct err *err);
int image_list(struct client *client, struct err *err);
int image_show(struct client *client, struct err *err);
int image_remove(struct client *client, struct err *err);
int event_list(struct client *client, struct err *err);
int event_follow(struct client *client, struct err *err);

/* lease.c: a lease that was asked for or changed: a line, or all of it, as --output says. */
void lease_print(const struct client *client, struct json_object *lease);
/* The same when it is in the state, or has ended: as wait_lease(). */
int lease_wait_and_print(struct client *client, int64_t id, const char *state, bool reached, struct err *err);

#endif
