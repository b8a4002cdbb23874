/* The commands about nodes. */
#include <string.h>

#include "command.h"
#include "util.h"

static const struct show_column list_columns[] = {
	{"name", "NAME", SHOW_TEXT, .cut = true},
	{"state", "STATE", SHOW_TEXT},
	{"connected", "CONNECTED", SHOW_BOOL},
	{"drain", "DRAIN", SHOW_BOOL},
	{"degraded", "DEGRADED", SHOW_BOOL, .csv_only = true},
	{"vms", "VMS", SHOW_INT},
	{"cpu", "CPU", SHOW_CPU},
	{"memory", "MEMORY", SHOW_SIZE},
	{"disk", "DISK", SHOW_SIZE},
	{"pool", "POOL", SHOW_SIZE},
	{"hypervisor", "HYPERVISOR", SHOW_TEXT, .cut = true},
	{"version", "VERSION", SHOW_TEXT, .cut = true},
	{"seen", "SEEN", SHOW_TIME},
	{"text", "TEXT", SHOW_TEXT, .csv_only = true},
};

static const struct show_column show_columns[] = {
	{"name", "", SHOW_TEXT},        {"state", "", SHOW_TEXT},   {"connected", "", SHOW_BOOL},
	{"delivered", "", SHOW_BOOL},   {"drain", "", SHOW_BOOL},   {"degraded", "", SHOW_BOOL},
	{"text", "", SHOW_TEXT},        {"vms", "", SHOW_INT},      {"cpu", "", SHOW_CPU},
	{"memory", "", SHOW_SIZE},      {"disk", "", SHOW_SIZE},    {"pool", "", SHOW_SIZE},
	{"net_in", "", SHOW_SIZE},      {"net_out", "", SHOW_SIZE}, {"suspend_rate", "", SHOW_SIZE},
	{"resume_rate", "", SHOW_SIZE}, {"images", "", SHOW_LIST},  {"hypervisor", "", SHOW_TEXT},
	{"version", "", SHOW_TEXT},     {"seen", "", SHOW_TIME},
};

int node_list(struct client *client, struct err *err)
{
	struct json_object *result;

	if (client_call(client, "node.list", NULL, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	int failed = show_list(&client->show, result, "nodes", list_columns, ARRAY_SIZE(list_columns), err);

	json_object_put(result);
	return failed;
}

int node_show(struct client *client, struct err *err)
{
	struct json_object *node;

	if (client_call_name(client, "node.show", 0, &node, err) < 0) {
		return -1;
	}
	show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), node);
	json_object_put(node);
	return STATUS_OK;
}

static int change(struct client *client, const char *method, const char *done, struct err *err)
{
	struct json_object *result;

	if (client_call_name(client, method, 0, &result, err) < 0) {
		return -1;
	}
	if (client->show.form == SHOW_TABLE) {
		fprintf(client->show.out, "node %s: %s\n", client->args[0], done);
	} else {
		show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), result);
	}
	json_object_put(result);
	return STATUS_OK;
}

int node_drain(struct client *client, struct err *err)
{
	return change(client, "node.drain", "draining: it keeps what it has and gets nothing new", err);
}

int node_resume(struct client *client, struct err *err)
{
	return change(client, "node.resume", "takes leases again", err);
}
