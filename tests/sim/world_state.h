/* What world.c and agents.c share. */
#ifndef TENURE_WORLD_STATE_H
#define TENURE_WORLD_STATE_H

#include <uthash.h>

#include "world.h"

#define WORLD_DELAY_US (300 * USEC_PER_MSEC) /* the longest a part or a report is on its way */

/* Where a guest really is. */
enum body {
	BODY_NONE,
	BODY_PREPARING,
	BODY_PREPARED,
	BODY_RUNNING,
	BODY_SAVING,
	BODY_SAVED,
	BODY_AWAY,    /* saved, on another node */
	BODY_COPYING, /* from there */
	BODY_RESTORING,
	BODY_STOPPING,
	BODY_GONE,
	BODY_REMOVING, /* no longer in the part; being cleared up */
};

struct body_of {
	uint64_t lease;
	uint32_t vm, generation, node;
	struct capacity use;
	struct edf_demand rate;
	uint64_t image;
	enum lease_kind kind;
	bool planned;
	struct run run; /* as the node was last told */
	enum body body;
	enum vm_seen seen;
	wall_us since_us; /* of seen */
	wall_us until_us; /* end of what is under way */
	span_us span_us;  /* saving, restoring: how long, once begun */
	wall_us dies_us;  /* it ends by itself then */
	wall_us first_us; /* running since, in this run */
	span_us ran_us;   /* in earlier runs, until it was saved */
	bool doomed;      /* it will fail instead of being prepared */
	bool removed;
};

struct world_node {
	struct node_info info;
	wall_us deliver_us; /* a new part arrives then; WALL_NEVER = none on its way */
	wall_us silent_us;  /* silent until then, 0 = not */
	wall_us busy_us;    /* saving or restoring guests until then */
	bool pool[WORLD_IMAGE_IDS + 1];
};

/* A place in the catalogue. */
struct world_image {
	uint64_t id; /* of the image that is there, or was the last */
	bool there;
};

struct world_fetch {
	uint64_t transfer; /* the last it was asked for by */
	uint32_t node;
	uint64_t image;
	wall_us at_us;
	bool fails;
};

struct world_report {
	wall_us at_us;
	uint64_t order;
	struct event event;
};

struct world_lease {
	uint64_t id;
	struct lease lease; /* vms: our copy */
	uint64_t vms_ran;   /* promises: VMs that ran as agreed */
	wall_us called_us;  /* open: when it was called last while it stood by */
	bool by_user;
	UT_hash_handle hh;
};

struct world_slot {
	uint64_t id;
	struct slot slot;
	UT_hash_handle hh;
};

struct world_estimate {
	uint64_t key; /* of node, what and memory */
	struct estimate row;
	UT_hash_handle hh;
};

struct world_transfer {
	uint64_t id;
	struct transfer transfer;
	UT_hash_handle hh;
};

struct world {
	struct world_settings settings;
	struct plan_settings plan_settings;
	struct world_figures figures;
	uint64_t random;
	wall_us now_us;
	struct plan *plan;
	struct plan *twin; /* rebuilt from the rows a while ago; must decide the same */
	uint64_t twin_steps;
	struct actions actions, twin_actions;
	struct world_node node[WORLD_NODES_MAX + 1]; /* by id */
	struct world_image image[WORLD_IMAGES];
	int64_t image_size[WORLD_IMAGE_IDS + 1]; /* by id */
	struct world_lease *leases;
	struct world_slot *slots;
	struct world_transfer *transfers;
	struct world_estimate *estimates;
	uint64_t last_image, last_lease, last_slot, last_transfer, last_report;
	wall_us wake_us, arrival_us, mischief_us;
	struct body_of *body;
	size_t body_count, body_room;
	wall_us busy_us; /* EXCLUSION_GLOBAL: a guest is saved or restored somewhere until then */
	struct world_fetch *fetch;
	size_t fetch_count, fetch_room;
	struct world_report *report;
	size_t report_count, report_room;
	uint32_t answers; /* leases changed or refused, since it was set to 0 */
	const char *wrong;
	char text[256];
};

uint64_t world_random(struct world *world, uint64_t below);
/* With this probability in 1000. */
bool world_chance(struct world *world, uint32_t per_mille);
void *world_grow(void *items, size_t count, size_t *room, size_t size);

/* Gives the event to the planner, and writes what it answers. */
void world_step(struct world *world, const struct event *event);
void world_step_node(struct world *world, uint32_t id, enum node_state state);
/* Another image in that place of the catalogue; and none any more. */
void world_add_image(struct world *world, struct world_image *image);
void world_remove_image(struct world *world, struct world_image *image);
void world_step_pool(struct world *world, enum event_kind kind, uint32_t node, uint64_t image);
/* The row of the lease, NULL if there is none. */
struct world_lease *world_lease_row(struct world *world, uint64_t id);
/* The planner is started anew with another order of the queue. */
void world_switch(struct world *world);
/* Notes the first thing that is not as it must be. */
void world_wrong(struct world *world, const char *what, uint64_t lease, uint32_t node);

/* visitors.c */
/* Somebody asks for a lease. */
void visitors_arrive(struct world *world);
/* Somebody changes his mind, or something breaks; or not. */
void visitors_mischief(struct world *world);
/* Somebody removes an image that no lease needs, or adds one where one is missing; or not. */
void visitors_catalogue(struct world *world);

/* agents.c */
/* The earliest time at which some agent does something; WALL_NEVER = none. */
wall_us agents_next(const struct world *world);
/* Does what is due by now on all nodes; what is seen is put among the reports. */
void agents_act(struct world *world);
/* The part of node id reaches it. */
void agents_deliver(struct world *world, uint32_t id);
/* The node says again all it sees. */
void agents_repeat(struct world *world, uint32_t id);
/* NULL, or what the agents cannot do as they were told. */
const char *agents_check(const struct world *world);
/* When a report sent now arrives. */
void world_send(struct world *world, uint32_t node, const struct event *event);

#endif
