/*
 * The database: all that must survive a restart. One file, one writer, one transaction per loop pass. With query.c the
 * only place that knows SQL; decides nothing.
 *
 * Writes need a transaction. One that fails has no effect of its own, but the transaction is then to be rolled back
 * as a whole: what the caller meant to write is incomplete. Reads see what the open transaction has written.
 */
#ifndef TENURE_STORE_H
#define TENURE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "action.h"
#include "err.h"
#include "event.h"
#include "images.h"

#define STORE_FILE "tenure.db"
#define STORE_LOCK "tenure.lock"

struct store;

/*
 * Opens DIR/tenure.db, making it if missing, locks it against other heads, checks it and brings its schema up to date.
 * NULL with a message for people if it is in use, read-only, full, damaged, not a database, another program's, or of
 * a newer version. Open it after any fork.
 */
struct store *store_open(const char *dir, struct err *err);
void store_close(struct store *store); /* rolls back what is open; NULL is allowed */
const char *store_path(const struct store *store);

/* What follows is one transaction; there is none open. -1: nothing was begun. */
int store_begin(struct store *store, struct err *err);
/* 0: on disk. -1: nothing of the transaction is kept; it is rolled back already. */
int store_commit(struct store *store, struct err *err);
void store_rollback(struct store *store); /* harmless without a transaction */

/* Counters of table meta; a missing one reads as 0. */
int store_meta(struct store *store, const char *key, int64_t *value, struct err *err);
int store_set_meta(struct store *store, const char *key, int64_t value, struct err *err);

/* Owners as small numbers, which never change; one that has none gets one. */
int store_add_user(struct store *store, const char *name, struct err *err);
/* 0 if it has none. */
int store_user(struct store *store, const char *name, uint32_t *user, struct err *err);

/* ---- leases, VMs, slots, transfers: the planner's values -------------------------------------------------------- */

struct store_lease_text {
	const char *name; /* may be "" */
	const char *owner;
	const char *image_name;
};
int store_add_lease(struct store *store, const struct lease *lease, const struct store_lease_text *text,
		    struct err *err);
/* State, times, price and reason, and of what was asked for what may change: start, duration, slice and period. */
int store_put_lease(struct store *store, const struct lease *lease, struct err *err);
/* An agent's own words on a failure; cut to 255 bytes by the agent protocol already. */
int store_set_detail(struct store *store, uint64_t lease, const char *detail, struct err *err);
int store_put_vm(struct store *store, const struct vm *vm, struct err *err);
int store_put_slot(struct store *store, const struct slot *slot, struct err *err);
int store_drop_slot(struct store *store, uint64_t id, struct err *err);
int store_put_transfer(struct store *store, const struct transfer *transfer, const char *image_name, struct err *err);
int store_put_estimate(struct store *store, const struct estimate *estimate, struct err *err);
int store_drop_transfer(struct store *store, uint64_t id, struct err *err);
/* Progress of the planned transfer of an image to a node; no such transfer is no error. */
int store_set_progress(struct store *store, uint32_t node, uint64_t image, int64_t bytes, struct err *err);

/* What the planner does not know of a lease; the strings are the caller's to free with store_lease_brief_fini(). */
struct store_lease_brief {
	char *name, *owner;
	enum lease_state state;
};
/* 1: found, 0: no such lease, -1: failed. */
int store_lease_brief(struct store *store, uint64_t id, struct store_lease_brief *brief, struct err *err);
void store_lease_brief_fini(struct store_lease_brief *brief);

/* 1 if the VM's row says that it is in that state, 0 if not or there is none, -1: failed. */
int store_vm_is(struct store *store, uint64_t lease, uint32_t vm, enum lease_state state, struct err *err);

/* ---- nodes, images, pools ---------------------------------------------------------------------------------------- */

struct store_node {
	struct node_info info;
	const char *name, *hypervisor, *version; /* borrowed */
	const char *edf_backend, *edf_text;      /* borrowed; NULL = "none", "" */
	bool drain;                              /* an operator's wish; survives silence */
	wall_us seen_us;
};
const char *store_node_state_name(enum node_state state); /* "up" "silent" "draining" */
int store_put_node(struct store *store, const struct store_node *node, struct err *err);
int store_add_image(struct store *store, const struct image *image, const char *owner, wall_us now, struct err *err);
/* Also from every pool. */
int store_drop_image(struct store *store, uint64_t id, struct err *err);
int store_put_pool(struct store *store, uint32_t node, uint64_t image, struct err *err);
int store_drop_pool(struct store *store, uint32_t node, uint64_t image, struct err *err);

/* ---- events and requests ----------------------------------------------------------------------------------------- */

struct store_event {
	int64_t rev; /* chosen by store_add_event() */
	wall_us at_us;
	const char *kind; /* borrowed, as data */
	uint64_t lease;   /* 0 = none */
	uint32_t node;    /* 0 = none */
	const char *data; /* a JSON object */
};
int store_add_event(struct store *store, const struct store_event *event, struct err *err);
/* The newest rev ever used; 0 = none. */
int store_last_rev(struct store *store, int64_t *rev, struct err *err);
/* When the newest event was; 0 = there is none. */
int store_last_at(struct store *store, wall_us *at_us, struct err *err);
struct store_request {
	const char *owner, *request_id, *method;
	const char *digest; /* sha256 of the parameters */
	const char *answer; /* {"result":...} or {"error":...} */
	wall_us at_us;
};
int store_add_request(struct store *store, const struct store_request *request, struct err *err);
/* 1: found, *digest and *answer are the caller's; 0: not seen before; -1: failed. */
int store_find_request(struct store *store, const char *owner, const char *request_id, char **digest, char **answer,
		       struct err *err);

/*
 * Deletes of what ended before a time one portion: at most limit requests, or else events, finished transfers, final
 * leases with their VMs (limit counts these) and slots. 1: there may be more; 0: there is nothing more; -1: failed.
 */
int store_prune(struct store *store, wall_us before, int64_t limit, struct err *err);

/* ---- loading ------------------------------------------------------------------------------------------------------
 */

/*
 * One call per row, in order of id; what is handed over is valid during the call only. -1 if the database cannot be
 * read or a row holds what this program cannot have written.
 */
int store_load_nodes(struct store *store, void (*fn)(const struct store_node *node, void *arg), void *arg,
		     struct err *err);
int store_load_images(struct store *store, void (*fn)(const struct image *image, void *arg), void *arg,
		      struct err *err);
/* Leases that are not final, each with its VMs. */
int store_load_leases(struct store *store, void (*fn)(const struct lease *lease, void *arg), void *arg,
		      struct err *err);
/* Slots of leases that are not final, and of others those that end after a time. */
int store_load_slots(struct store *store, wall_us after, void (*fn)(const struct slot *slot, void *arg), void *arg,
		     struct err *err);
/* Slots of kind RUN of final leases that end after a time, with the number of the lease's owner. */
int store_load_use(struct store *store, wall_us after, void (*fn)(uint32_t user, const struct slot *slot, void *arg),
		   void *arg, struct err *err);
/* Transfers that are planned. */
int store_load_transfers(struct store *store, void (*fn)(const struct transfer *transfer, void *arg), void *arg,
			 struct err *err);
int store_load_estimates(struct store *store, void (*fn)(const struct estimate *estimate, void *arg), void *arg,
			 struct err *err);
int store_load_pools(struct store *store, void (*fn)(uint32_t node, uint64_t image, void *arg), void *arg,
		     struct err *err);

#endif
