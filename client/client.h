/* What a command works with, and running one from its command line. */
#ifndef TENURE_CLIENT_H
#define TENURE_CLIENT_H

#include <event2/event.h>
#include <json-c/json.h>

#include "call.h"
#include "option.h"
#include "show.h"

/* Exit statuses; tenure.1 lists them. */
enum client_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_REJECTED = 3,
	STATUS_NOT_FOUND = 4,
	STATUS_DENIED = 5,
	STATUS_UNAVAILABLE = 6,
	STATUS_TIMEOUT = 7,
	STATUS_LEASE_FAILED = 8, /* the lease awaited ended otherwise */
	STATUS_CONFLICT = 9,
};

struct client {
	const struct command *command;
	struct options options;
	const char **args; /* words after the command, pointing into argv */
	size_t arg_count;
	struct show show;
	struct call *call;
};

/* Runs one command line on the loop and returns the exit status; answers go to show->out, messages to show->err. */
int client_run(struct event_base *base, int argc, const char *const *argv, const struct show *show);
int client_status(enum err_code code);

/* call_make() with --timeout, else for at most otherwise. */
int client_call(struct client *client, const char *method, struct json_object *params, span_us otherwise,
		struct json_object **result, struct err *err);
/* The same with argument i, a lease id or a name, as the only parameter beside --request-id. */
int client_call_id(struct client *client, const char *method, size_t i, struct json_object **result, struct err *err);
int client_call_name(struct client *client, const char *method, size_t i, struct json_object **result, struct err *err);
int client_add_id(struct client *client, size_t i, struct json_object *params, struct err *err);
int client_add_name(struct client *client, size_t i, struct json_object *params, struct err *err);
/* Options into params under key, if given. */
void client_add_number(struct client *client, enum option_id id, struct json_object *params, const char *key);
/* What --slice, --period and --none of a tune command say; one way must be given. */
int client_add_constraint(struct client *client, struct json_object *params, struct err *err);
void client_add_text(struct client *client, enum option_id id, struct json_object *params, const char *key);

#endif
