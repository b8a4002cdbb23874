/* What the files of the manager share; nobody else includes this. */
#ifndef TENURE_MANAGER_STATE_H
#define TENURE_MANAGER_STATE_H

#include <uthash.h>

#include "log.h"
#include "manager.h"
#include "plan.h"

/* A catalogue entry. */
struct catalogue {
	struct image image;
	UT_hash_handle hh; /* by image.id */
};

/*
 * What a node last said of a VM or an image, so that only news reach the planner. For a VM also what was planned then:
 * the same word may mean something else when the plan has changed.
 */
struct seen_vm {
	struct seen_vm_key {
		uint64_t lease;
		uint32_t vm, generation;
	} key;
	enum vm_seen seen;
	wall_us at_us;
	enum lease_state state;
	wall_us start_us;
	int64_t alarms; /* about missed periods, so far */
	bool listed;    /* in the report at hand */
	UT_hash_handle hh;
};
struct seen_image {
	uint64_t id;
	enum pool_state state;
	int64_t bytes; /* as last written down */
	UT_hash_handle hh;
};

struct head_node {
	struct node_info info;
	char *name, *hypervisor, *agent_version;
	struct hello_edf edf; /* info has its figures */
	bool drain;
	wall_us seen_us;
	uint64_t version; /* of its part */
	bool dirty;       /* its part changes with this pass */
	struct seen_vm *vms;
	struct seen_image *images;
	UT_hash_handle hh; /* by info.id */
};

/* Kept beside the nodes, because it outlives a rebuilding from the store. */
struct last_report {
	uint32_t node;
	struct report *report;
	UT_hash_handle hh;
};

enum work_kind { WORK_COMMAND, WORK_HELLO, WORK_REPORT, WORK_SILENT };

/* Something to be decided in the coming pass; strings are its own. */
struct work {
	enum work_kind kind;
	struct command command;
	struct image image; /* COMMAND_IMAGE_ADD */
	struct node_hello hello;
	uint32_t node; /* REPORT, SILENT */
	manager_done *done;
	void *arg;
	/* The answer, handed out after the commit: result, or err and perhaps data. */
	struct json_object *result, *data;
	struct err err;
	struct work *prev, *next;
};

/* A line to be logged when what it tells of is committed. */
struct note {
	enum log_level level;
	char *text;
	struct note *prev, *next;
};

struct manager {
	struct event_base *base;
	struct store *store;
	const struct head_settings *settings;
	struct nodes *nodes;
	struct events *events;
	struct event *pass; /* zero timer: runs when everything that had arrived has been read */
	struct event *wake;

	/* A mirror of the store; thrown away and loaded again when a transaction fails. NULL plan = not loaded. */
	struct plan *plan;
	struct head_node *node;
	struct catalogue *image;
	uint64_t version;
	bool rebuilt; /* since the last input was recorded, at rebuilt_us */
	wall_us rebuilt_us;

	/* Never go back, not even when a transaction fails: an id that was tried is not used again. */
	uint64_t epoch, last_lease, last_slot, last_transfer, last_image, last_node;

	struct last_report *report;
	struct work *queue;
	wall_us now;      /* of this pass */
	wall_us wake_us;  /* when to tick */
	wall_us prune_us; /* when to look for rows to prune */
	bool failed;      /* the last pass was not committed */

	/* Of the pass under way. */
	struct actions actions;
	struct note *notes;
	const struct command *request; /* LEASE_REQUEST being decided, for its lease's row */
	uint64_t fresh;                /* the id of that lease until its row is there */
	struct lease decided;          /* what came of it; without VMs */
	struct reason refused;         /* why a lease could not be changed; code NONE = it could */
	const char *detail;            /* an agent's words on the event being decided; NULL = none */
};

/* manager.c: now, as the planner is to see it: never before what it was told last. */
wall_us manager_clock(struct manager *manager);

/* manager_load.c: the mirror. */
int manager_load(struct manager *manager, struct err *err);
void manager_unload(struct manager *manager);
struct head_node *manager_find_node(const struct manager *manager, const char *name);
struct head_node *manager_node(const struct manager *manager, uint32_t id);
struct catalogue *manager_find_image(const struct manager *manager, const char *name);
struct catalogue *manager_image(const struct manager *manager, uint64_t id);
struct head_node *manager_add_node(struct manager *manager, uint32_t id, const char *name);
void manager_add_image(struct manager *manager, const struct image *image);
void manager_remove_image(struct manager *manager, struct catalogue *entry);
void manager_copy_image(const struct image *from, struct image *to);

/* manager_plan.c: one event through the planner, its actions into the open transaction. */
int manager_step(struct manager *manager, const struct event *event, struct err *err);
/* True if the VM lies suspended on that node, and is to go on elsewhere. */
bool manager_moves_from(const struct vm *vm, uint32_t node);
/* Logged after the commit. */
void manager_note(struct manager *manager, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A row in events; consumes data. */
int manager_event(struct manager *manager, const char *kind, uint64_t lease, uint32_t node, struct json_object *data,
		  struct err *err);

/* manager_command.c: -1 = the transaction failed; a command that is refused fills work->err and is no failure. */
int manager_command(struct manager *manager, struct work *work, struct err *err);

/* manager_node.c: likewise. */
int manager_hello(struct manager *manager, struct work *work, struct err *err);
int manager_report(struct manager *manager, uint32_t node, struct err *err);
int manager_silent(struct manager *manager, uint32_t node, struct err *err);
/* Writes the node's row, tells the planner, and tells of a change of state. */
int manager_node_state(struct manager *manager, struct head_node *node, enum node_state state, struct err *err);
void manager_drop_reports(struct manager *manager);

#endif
