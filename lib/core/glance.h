/*
 * What is promised at every tenth minute, on all nodes side by side. Most nodes that are asked for room are full, and
 * at some of these instants it shows: then nobody need look into their slot tables, which lie far apart in memory.
 *
 * It counts promised slots only, and of them CPU and memory, rounded down; the slot table has the last word on nodes
 * that do not look full. About 8 bytes per node and instant at which something is promised there or nearby.
 */
#ifndef TENURE_GLANCE_H
#define TENURE_GLANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "capacity.h"
#include "usec.h"

#define GLANCE_STEP_US (10 * USEC_PER_MINUTE) /* few promises are shorter */

struct glance;

struct glance *glance_new(void);
void glance_free(struct glance *glance); /* NULL is allowed */

/* What the node of that column has, at first and whenever it changes. New columns come in order, from 0. */
void glance_node(struct glance *glance, uint32_t column, struct capacity capacity);
/* A slot of use in [start_us, end_us) on that node comes, or one that came goes. */
void glance_add(struct glance *glance, uint32_t column, wall_us start_us, wall_us end_us, struct capacity use);
void glance_remove(struct glance *glance, uint32_t column, wall_us start_us, wall_us end_us, struct capacity use);
/* Forgets what was before now_us, which never goes back. */
void glance_pass(struct glance *glance, wall_us now_us);

/* Says what glance_full() is asked about: use throughout [start_us, end_us). Cheap if that is the same as before. */
void glance_look(struct glance *glance, struct capacity use, wall_us start_us, wall_us end_us);
/* True only if the node surely has no room for that. */
bool glance_full(struct glance *glance, uint32_t column);

/* What it counts on that node at an instant, a multiple of GLANCE_STEP_US not before the last glance_pass(). */
struct capacity glance_use(const struct glance *glance, uint32_t column, wall_us at_us);

#endif
