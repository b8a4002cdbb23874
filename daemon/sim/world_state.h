/* What the files of the simulated cluster share: world.c the clock and the rows, bodies.c the guests, staging.c images.
 */
#ifndef TENURE_SIM_WORLD_STATE_H
#define TENURE_SIM_WORLD_STATE_H

#include <stdbool.h>
#include <uthash.h>

#include "agenda.h"
#include "sim_link.h"
#include "sim_pool.h"
#include "world.h"

/* Of one instant: ends, then what is on its way, then starts, then what users do, then the planner's own wish. */
enum rank { RANK_END, RANK_LINK, RANK_BEGIN, RANK_START, RANK_CALL, RANK_REQUEST, RANK_WAKE };

enum body_state {
	BODY_NONE,
	BODY_RUNNING,
	BODY_STOPPING,
	BODY_SAVING,
	BODY_SAVED,
	BODY_GONE,
};

/* A guest, as it is on its node. */
struct body {
	struct due due; /* first */
	uint64_t lease;
	uint32_t vm, node, generation;
	enum body_state state;
	bool planned;
	struct run run;
	bool waiting;      /* for its image, among its node's */
	wall_us ready_us;  /* its image came late: when it is prepared nevertheless */
	wall_us since_us;  /* running: since when */
	wall_us agreed_us; /* of a reservation: when it was first told to start, 0 = not yet */
	span_us ran_us;
	uint32_t home; /* saved: where */
	struct body *prev, *next;
};

struct world_node {
	struct node_info info;
	struct sim_pool pool;
	struct body *waiting;
	struct capacity used; /* by guests that run */
	bool untidy;          /* an image there may be one that nobody needs any more */
	uint32_t running;
};

/* A transfer the planner has planned and that has not ended. */
struct haul {
	struct due due; /* first; when it begins */
	uint64_t id;
	uint64_t image;
	uint32_t node;
	bool best_effort;
	struct flow *flow; /* once begun */
	struct haul *next; /* in the same flow */
	UT_hash_handle hh;
};

struct world_image {
	uint64_t id;
	int64_t bytes;
	UT_hash_handle hh;
};

struct kept_slot {
	struct slot slot;
	UT_hash_handle hh;
};

struct world {
	const struct sim_config *config;
	const struct workload *workload;
	bool tidy; /* nothing stays in a pool for those who may need it later */
	struct world_options options;
	struct plan_settings settings;
	struct plan *plan;
	wall_us now_us;
	uint32_t rounds; /* steps taken at this instant */
	struct agenda agenda;
	struct due arrival, wake;
	size_t next_request, final;
	struct job *job;
	struct call *calls; /* by request; NULL if nobody calls */
	struct world_node *node;
	uint32_t nodes;
	struct world_image *images;
	struct haul *hauls;
	struct sim_link link[2]; /* that of all, that of best-effort leases if they have one of their own */
	struct event *event;     /* of the step to come */
	size_t events, event_room;
	struct actions actions;
	size_t *ended; /* jobs that became final in the step just taken */
	size_t ended_count, ended_room;
	struct kept_slot *slots;
	struct metrics metrics;
	struct world_totals totals;
	const char *wrong; /* the rule that was broken */
	char fault[256];
};

/* world.c */
struct event *world_event(struct world *world, enum event_kind kind);
struct job *world_job(struct world *world, uint64_t lease);
/* The first thing that is not as it must be ends the run. what: static text. */
void world_wrong(struct world *world, const char *what, uint64_t lease, uint32_t vm, uint32_t node);

/* verdict.c */
/* Looks at what became of all leases, once nothing more happens. */
void world_verdict(struct world *world);

/* bodies.c */
/* One for each VM of a lease that was taken in. */
void bodies_make(struct world *world, struct job *job, const struct lease *lease);
/* Of a final lease. */
void bodies_free(struct world *world, struct job *job);
/* The planner's newest row. */
void body_told(struct world *world, const struct vm *vm);
/* What is due has come. */
void body_due(struct world *world, struct body *body);
/* An image has come to a node. */
void bodies_image(struct world *world, struct world_node *node, uint64_t image);

/* staging.c */
/* Whether the image is in the node's pool; if so, it is used now. */
bool staging_use(struct world *world, struct world_node *node, uint64_t image);
void staging_told(struct world *world, const struct transfer *transfer, bool drop);
/* Its time to begin has come. */
void staging_begin(struct world *world, struct haul *haul);
/* Those that are through. */
void staging_arrive(struct world *world, struct sim_link *link);
/*
 * True if something on this link is for a pool that is full but for what nobody may need any more: then the planner is
 * to hear of what ends at this instant first.
 */
bool staging_full(const struct world *world, const struct sim_link *link);
/* Puts an image on a node without a transfer. */
void staging_put(struct world *world, struct world_node *node, uint64_t image, int64_t bytes);
/* Where pools are for transfers only: removes what came and was used, or is not needed any more. */
void staging_tidy(struct world *world);
/* An image that is known from now on, or no longer, wherever it is. */
void staging_know(struct world *world, uint64_t image, int64_t bytes);
void staging_forget(struct world *world, uint64_t image);
void staging_fini(struct world *world);

#endif
