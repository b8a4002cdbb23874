/* From a command line to an exit status: finds the command, reads its options, runs it, reports what went wrong. */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "command.h"
#include "jsonx.h"
#include "util.h"

#define DEFAULT_SERVER "unix:/run/tenure/tenured.sock"

int client_status(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return STATUS_OK;
	case ERR_PARAMS:
		return STATUS_USAGE;
	case ERR_REJECTED:
		return STATUS_REJECTED;
	case ERR_NOT_FOUND:
		return STATUS_NOT_FOUND;
	case ERR_DENIED:
		return STATUS_DENIED;
	case ERR_UNAVAILABLE:
		return STATUS_UNAVAILABLE;
	case ERR_TIMEOUT:
		return STATUS_TIMEOUT;
	case ERR_CONFLICT:
		return STATUS_CONFLICT;
	case ERR_PARSE:
	case ERR_REQUEST:
	case ERR_METHOD:
	case ERR_INTERNAL:
	case ERR_STORE:
	case ERR_LIMIT:
	case ERR_IMAGE:
	case ERR_STALE:
		break;
	}
	return STATUS_FAILED;
}

int client_call(struct client *client, const char *method, struct json_object *params, span_us otherwise,
		struct json_object **result, struct err *err)
{
	return call_make(client->call, method, params, option_number(&client->options, OPT(TIMEOUT), otherwise), result,
			 err);
}

int client_add_id(struct client *client, size_t i, struct json_object *params, struct err *err)
{
	int64_t id;

	if (parse_i64(client->args[i], 1, INT64_MAX, &id) < 0) {
		return err_set(err, ERR_PARAMS, "'%s' is not a lease id; \"tenure list\" shows them", client->args[i]);
	}
	json_object_object_add(params, "id", json_object_new_int64(id));
	return 0;
}

int client_add_name(struct client *client, size_t i, struct json_object *params, struct err *err)
{
	if (!name_valid(client->args[i])) {
		return err_set(err, ERR_PARAMS, "'%s' is not a name: 1 to 63 of A-Z a-z 0-9 . _ -", client->args[i]);
	}
	json_object_object_add(params, "name", json_object_new_string(client->args[i]));
	return 0;
}

void client_add_number(struct client *client, enum option_id id, struct json_object *params, const char *key)
{
	if (client->options.value[id].given) {
		json_object_object_add(params, key, json_object_new_int64(client->options.value[id].number));
	}
}

void client_add_text(struct client *client, enum option_id id, struct json_object *params, const char *key)
{
	if (client->options.value[id].given) {
		json_object_object_add(params, key, json_object_new_string(client->options.value[id].text));
	}
}

int client_add_constraint(struct client *client, struct json_object *params, struct err *err)
{
	const struct option_value *value = client->options.value;
	unsigned given = value[OPT(SLICE)].given + value[OPT(PERIOD)].given;

	if (given != (value[OPT(NONE)].given ? 0 : 2)) {
		return err_set(err, ERR_PARAMS,
			       "--slice and --period must be given, so much CPU time in each period, or --none");
	}
	jsonx_add_int(params, "slice_us", value[OPT(SLICE)].number);
	jsonx_add_int(params, "period_us", value[OPT(PERIOD)].number);
	return 0;
}

static int call_with(struct client *client, const char *method, struct json_object *params, int failed,
		     struct json_object **result, struct err *err)
{
	if (failed) {
		json_object_put(params);
		return -1;
	}
	client_add_text(client, OPT(REQUEST_ID), params, "request_id");
	return client_call(client, method, params, CALL_TIMEOUT, result, err);
}

int client_call_id(struct client *client, const char *method, size_t i, struct json_object **result, struct err *err)
{
	struct json_object *params = json_object_new_object();

	return call_with(client, method, params, client_add_id(client, i, params, err), result, err);
}

int client_call_name(struct client *client, const char *method, size_t i, struct json_object **result, struct err *err)
{
	struct json_object *params = json_object_new_object();

	return call_with(client, method, params, client_add_name(client, i, params, err), result, err);
}

static bool is_noun(const char *word)
{
	for (size_t i = 0; i < command_count; i++) {
		if (strcmp(commands[i].noun, word) == 0) {
			return true;
		}
	}
	return false;
}

/* The command's words. Without a command, *noun is what was given of it, and help or an error follows. */
static int find_command(struct client *client, const char **noun, struct err *err)
{
	const char *verb = NULL;

	*noun = option_next_word(&client->options, OPTION_GLOBAL, err);
	if (!*noun) {
		return err->code ? -1 : 0;
	}
	client->command = command_find(*noun, NULL);
	if (client->command) {
		return 0;
	}
	if (!is_noun(*noun)) {
		return err_set(err, ERR_PARAMS, "unknown command '%s'; see tenure --help", *noun);
	}
	verb = option_next_word(&client->options, OPTION_GLOBAL, err);
	if (!verb) {
		return err->code ? -1 : 0;
	}
	client->command = command_find(*noun, verb);
	if (!client->command) {
		return err_set(err, ERR_PARAMS, "unknown command '%s %s'; see tenure %s --help", *noun, verb, *noun);
	}
	return 0;
}

static int read_arguments(struct client *client, struct err *err)
{
	const struct command *command = client->command;
	char name[COMMAND_NAME];
	const char *word;

	while ((word = option_next_word(&client->options, OPTION_GLOBAL | command->options, err))) {
		client->args[client->arg_count++] = word;
	}
	if (err->code) {
		return err_prefix(err, "%s", command_name(command, name));
	}
	if (client->options.value[OPT(HELP)].given || client->options.value[OPT(VERSION)].given) {
		return 0;
	}
	if (client->arg_count > command->args_max) {
		return err_set(err, ERR_PARAMS, "%s: '%s' is one argument too many", command_name(command, name),
			       client->args[command->args_max]);
	}
	if (client->arg_count < command->args_min) {
		return err_set(err, ERR_PARAMS, "usage: tenure %s %s", command_name(command, name), command->args);
	}
	return 0;
}

/* True if help or the version was asked for, or nothing at all, and has been shown. */
static bool inform(struct client *client, const char *noun, int *status)
{
	bool help = client->options.value[OPT(HELP)].given;

	*status = STATUS_OK;
	if (client->options.value[OPT(VERSION)].given) {
		fprintf(client->show.out, "tenure %s\n", TENURE_VERSION);
		return true;
	}
	if (help || !client->command) {
		command_help(help ? client->show.out : client->show.err, noun, client->command);
		*status = help ? STATUS_OK : STATUS_USAGE;
		return true;
	}
	return false;
}

static void set_show(struct client *client)
{
	const struct option_value *value = client->options.value;

	client->show.now = client->options.now;
	client->show.form = (enum show_form)option_number(&client->options, OPT(OUTPUT), SHOW_TABLE);
	client->show.filter = value[OPT(FILTER)].text;
	client->show.colour = client->show.colour && !value[OPT(NO_COLOR)].given;
}

static int run(struct client *client, struct event_base *base, struct err *err)
{
	const char *server = client->options.value[OPT(SERVER)].text;
	const char *environment = getenv("TENURE_SERVER");

	if (!server) {
		server = environment && *environment ? environment : DEFAULT_SERVER;
	}
	client->call = call_new(base, server);
	return client->command->run(client, err);
}

int client_run(struct event_base *base, int argc, const char *const *argv, const struct show *show)
{
	struct err err = {.code = ERR_NONE};
	struct client client = {
		.options = {.now = clock_wall(), .argv = argv + 1, .argc = argc > 0 ? (size_t)argc - 1 : 0},
		.args = xcalloc((size_t)argc + 1, sizeof(*client.args)),
		.show = *show,
	};
	const char *noun = NULL;
	int status = find_command(&client, &noun, &err);

	if (status == 0 && client.command) {
		status = read_arguments(&client, &err);
	}
	set_show(&client);
	if (status == 0 && !inform(&client, noun, &status)) {
		status = run(&client, base, &err);
	}
	if (status < 0) {
		show_error(&client.show, &err, client.call ? call_data(client.call) : NULL);
		status = client_status(err.code);
	}
	call_free(client.call);
	free(client.args);
	return status;
}
