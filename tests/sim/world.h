/*
 * A simulated cluster in virtual time. It plays the caller of the planner (keeps the rows, asks again when told to) and
 * the agents of all nodes (fetch images, create, run, save and stop guests by the newest part they were given).
 */
#ifndef TENURE_WORLD_H
#define TENURE_WORLD_H

#include "check.h"
#include "plan.h"

#define WORLD_NODES_MAX 16
#define WORLD_IMAGES 5     /* in the catalogue at a time */
#define WORLD_IMAGE_IDS 60 /* that were in it at any time */

struct world;

struct world_settings {
	uint64_t seed;
	bool faults; /* nodes fall silent, drain and shrink, guests fail, transfers are late or fail, images vanish */
	bool suspend;
	bool removals;  /* images nobody needs are removed from the catalogue, and others added in their place */
	uint32_t nodes; /* 1 .. WORLD_NODES_MAX */
	double load;    /* requests per simulated minute */
};

struct world_figures {
	uint64_t steps, leases, accepted, rejected, cancelled, done, failed;
	uint64_t ars;      /* accepted promises that were not cancelled: of open leases, those that were called */
	uint64_t ars_kept; /* of these, all VMs ran the whole agreed interval */
	uint64_t calls;    /* open leases that were called and ran */
	uint64_t broken;   /* promises the planner reported broken */
	uint64_t suspensions;
	uint64_t migrations;
	uint64_t restarts; /* planners rebuilt from rows and compared */
	uint64_t removals; /* of images */
};

struct world *world_new(const struct world_settings *settings);
void world_free(struct world *world);

/*
 * Runs that many planner steps with requests arriving, then without until every lease is final. NULL if all was as it
 * must be, else what was not (static text or the world's).
 */
const char *world_run(struct world *world, uint64_t steps);
const struct world_figures *world_figures(const struct world *world);

#endif
