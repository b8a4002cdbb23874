/*
 * The event loop's side of the guest layer: what is known of each guest, and the queue of operations. Private to
 * guest.c (its users' side, the connection), guest_queue.c (order and deadlines) and guest_event.c (what libvirt
 * tells).
 */
#ifndef TENURE_GUEST_STATE_H
#define TENURE_GUEST_STATE_H

#include <uthash.h>
#include <utlist.h>

#include "guest_op.h"

struct guest_key {
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
};

struct guest_entry {
	struct guest_key key;
	struct guest guest;
	uint64_t change; /* guests->change when it last changed */
	uint64_t pass;   /* guests->pass when it was last met */
	unsigned ops;    /* in the queue */
	UT_hash_handle hh;
};

struct guests {
	struct guest_env *env;
	const struct guests_ops *ops;
	void *arg;
	struct event *kick;     /* the queue changed: queue_schedule() */
	struct event *tick;     /* while there are operations: queue_tick() */
	struct event *patience; /* for the first connection */
	bool connected;
	bool told; /* connected() was called */
	char why[256];
	struct virt_info info;
	struct guest_entry *entries;
	struct op *queue; /* in the order of asking */
	uint64_t change;
	uint64_t pass;
};

/* guest.c */
/* Made if missing, as ABSENT. */
struct guest_entry *entry_get(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation);
void entry_drop(struct guests *guests, struct guest_entry *entry);
/* The one place where what is known of a guest changes; tells the user if it does. */
void entry_see(struct guests *guests, struct guest_entry *entry, enum vm_seen seen, wall_us at_us, const char *text);
void guests_go_down(struct guests *guests, const char *why);

/* guest_queue.c */
/* The queue owns op. Answered later, never from here. */
void queue_add(struct guests *guests, struct op *op);
/* A worker is back with op; err NULL = done. */
void queue_returned(struct guests *guests, struct op *op, const struct err *err);
/* The operation on this guest that is with a worker, or was and waits for its event or its turn to save; or NULL. */
struct op *queue_under_way(struct guests *guests, const struct guest_entry *entry);
/* The guest changed: what waited for that is answered. */
void queue_changed(struct guests *guests, struct guest_entry *entry);
void queue_schedule(evutil_socket_t fd, short what, void *guests);
void queue_tick(evutil_socket_t fd, short what, void *guests);

/* guest_event.c */
void guest_event(struct guests *guests, const char *name, int event, int detail, wall_us at_us);

#endif
