/*
 * The head's one decision path: commands in, plan_step, one transaction per loop pass, then answers and deliveries.
 * The only module that knows the core, the store and the nodes.
 */
#ifndef TENURE_MANAGER_H
#define TENURE_MANAGER_H

#include <event2/event.h>
#include <json-c/json.h>

#include "err.h"
#include "images.h"
#include "lease.h"
#include "part.h"
#include "settings.h"
#include "store.h"

struct manager;
struct nodes;
struct events;

enum command_kind {
	COMMAND_LEASE_REQUEST,
	COMMAND_LEASE_CANCEL,
	COMMAND_LEASE_EXTEND,
	COMMAND_LEASE_CALL,
	COMMAND_LEASE_TUNE,
	COMMAND_NODE_DRAIN,
	COMMAND_NODE_RESUME,
	COMMAND_IMAGE_ADD,
	COMMAND_IMAGE_REMOVE,
};

/* Working space as large as the disk inside the image. Looked up when the request is decided: one that is repeated
 * needs no image. */
#define COMMAND_DISK_OF_IMAGE (-1)

/* One mutating API call, checked by method_check() and by its handler. Copied by manager_submit(). */
struct command {
	enum command_kind kind;
	const char *owner;         /* who asks: user name */
	bool is_operator;          /* may act on others' leases */
	const char *method;        /* API name, for the requests table */
	const char *request_id;    /* NULL = none */
	const char *params_digest; /* sha256 hex of the parameters without request_id; NULL with request_id NULL */
	const char *name;          /* lease (may be ""), node or image */
	uint64_t lease;            /* LEASE_CANCEL, LEASE_EXTEND, LEASE_CALL, LEASE_TUNE */
	span_us add_us;            /* LEASE_EXTEND: by so much, or, if 0, ... */
	span_us duration_us;       /* ... to this */
	/* LEASE_REQUEST; its image and user are filled in from image and owner. LEASE_TUNE: slice and period. */
	struct lease_spec spec;
	const char *image;       /* LEASE_REQUEST: image name */
	const struct image *add; /* IMAGE_ADD: files are in the repository already; id is chosen here */
};

/* Called once, after the commit or the refusal. Exactly one of result and err is set; data may go with err. Borrowed.
 */
typedef void manager_done(struct json_object *result, const struct err *err, struct json_object *data, void *arg);

/* Loads everything from the store and raises the epoch. The store stays the caller's and must outlive the manager. */
struct manager *manager_new(struct event_base *base, struct store *store, const struct head_settings *settings,
			    struct err *err);
/* Commands that still wait are answered with ERR_UNAVAILABLE. */
void manager_free(struct manager *manager);
/* Whom to tell after commits; either may be NULL. Both must outlive the manager's last loop pass. */
void manager_attach(struct manager *manager, struct nodes *nodes, struct events *events);

/* Decided in this loop pass together with all others of the pass; done is called after their one commit. */
void manager_submit(struct manager *manager, const struct command *command, manager_done *done, void *arg);
/* plan_ask() for a lease request of the owner's: a JSON answer owned by the caller, or NULL with err. */
struct json_object *manager_ask(struct manager *manager, const char *owner, const char *image,
				const struct lease_spec *spec, struct err *err);
uint64_t manager_epoch(const struct manager *manager);

/*
 * From nodes.c. A node said hello, its report arrived, or it fell silent; stored and planned in this pass like
 * commands. hello registers an unknown node. Returns the node's id through done's result {"node": id}.
 */
struct node_hello {
	const char *name, *version, *hypervisor;
	struct capacity capacity;
	int64_t pool_bytes, suspend_rate, resume_rate;
	struct hello_edf edf;
};
void manager_node_hello(struct manager *manager, const struct node_hello *hello, manager_done *done, void *arg);
void manager_node_report(struct manager *manager, uint32_t node, const struct report *report);
void manager_node_silent(struct manager *manager, uint32_t node);

/* Every node there is a row for. */
void manager_each_node(struct manager *manager, void (*fn)(uint32_t id, const char *name, void *arg), void *arg);
/* The last report of a node since the start, NULL if none came; valid until control returns to the loop. */
const struct report *manager_last_report(const struct manager *manager, uint32_t node);

/*
 * The node's present part of the plan, as committed; the caller frees with part_free(). NULL if there is no such node,
 * or while the database cannot be read (the manager then delivers again once it can).
 */
struct part *manager_part(struct manager *manager, uint32_t node);
/* Of the node's part; compared after the epoch. 0 = no such node. */
uint64_t manager_version(const struct manager *manager, uint32_t node);

#endif
