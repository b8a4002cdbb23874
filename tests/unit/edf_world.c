/* One CPU in virtual time: see edf_world.h. */
#include "edf_world.h"

#include <math.h>
#include <string.h>

#define NOBODY EDF_TASKS

uint64_t edf_world_random(struct edf_world *world, uint64_t below)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (world->random >> 11) % below;
}

int64_t edf_world_spread(struct edf_world *world, int64_t low, int64_t high)
{
	double share = (double)edf_world_random(world, 1 << 20) / (1 << 20);

	return (int64_t)((double)low * pow((double)high / (double)low, share));
}

void edf_world_init(struct edf_world *world, const struct edf_floor *floor, uint64_t seed)
{
	memset(world, 0, sizeof(*world));
	world->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (int i = 0; i < 10; i++) {
		edf_world_random(world, 2);
	}
	world->now_ns = 1000000000;
	world->again_ns = EDF_NEVER;
	edf_init(&world->edf, floor, world->now_ns);
}

/* Bursts and sleeps of all lengths: some much shorter than a slice, some longer than a period. */
static void next_burst(struct edf_world *world, struct edf_world_task *task)
{
	task->ready = true;
	task->burst_ns = task->spinner ? INT64_MAX : edf_world_spread(world, 1000, 3 * task->constraint.slice_ns);
}

static void block(struct edf_world *world, struct edf_world_task *task)
{
	task->ready = false;
	task->slept = true;
	task->wakes_ns = world->now_ns + edf_world_spread(world, 1000, 2 * task->constraint.period_ns);
}

static void begin_window(struct edf_world_task *task, int64_t from_ns, bool whole)
{
	task->window_ns = from_ns;
	task->window_end_ns = from_ns + task->constraint.period_ns;
	task->got_ns = task->blocked_ns = 0;
	task->whole = whole;
}

static void end_window(struct edf_world *world, struct edf_world_task *task)
{
	int64_t slice = task->constraint.slice_ns;
	int64_t missing = slice - task->got_ns - task->blocked_ns;
	int64_t allowed = slice / 100 > 10000 ? slice / 100 : 10000;

	if (task->whole) {
		task->windows++;
		task->budget_then_ns = task->budget_ns;
		world->windows++;
		world->misses += missing > allowed;
		world->worst_ns = missing > world->worst_ns ? missing : world->worst_ns;
	}
	begin_window(task, task->window_end_ns, true);
	if (task->windows == 0) {
		task->budget_ns = 0;
	}
}

static unsigned pick(struct edf_world *world, bool *budget)
{
	unsigned from = (unsigned)edf_world_random(world, EDF_TASKS);

	*budget = true;
	for (unsigned k = 0; k < world->order_n; k++) {
		if (world->task[world->order[k]].ready) {
			return world->order[k];
		}
	}
	*budget = false;
	for (unsigned k = 0; k < EDF_TASKS; k++) {
		unsigned i = (from + k) % EDF_TASKS;

		if (world->task[i].there && world->task[i].ready && !world->task[i].constraint.strict) {
			return i;
		}
	}
	return NOBODY;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* To the next moment at which something changes, but not beyond until; with nobody allowed to run, or as it comes. */
static void step(struct edf_world *world, int64_t until, bool closed)
{
	bool budget = false;
	unsigned runs = closed ? NOBODY : pick(world, &budget);

	for (unsigned i = 0; i < EDF_TASKS; i++) {
		struct edf_world_task *task = &world->task[i];

		if (task->there) {
			until = earlier(until, task->window_end_ns);
			until = task->ready ? until : earlier(until, task->wakes_ns);
		}
	}
	if (runs != NOBODY && world->task[runs].burst_ns < until - world->now_ns) {
		until = world->now_ns + world->task[runs].burst_ns;
	}
	int64_t length = until - world->now_ns;

	world->now_ns = until;
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		struct edf_world_task *task = &world->task[i];

		if (!task->there) {
			continue;
		}
		if (i == runs) {
			task->got_ns += length;
			task->uncharged_ns += length;
			task->budget_ns += budget ? length : 0;
			task->burst_ns -= task->spinner ? 0 : length;
		} else if (!task->ready) {
			task->blocked_ns += length;
		}
		if (task->window_end_ns == until) {
			end_window(world, task);
		}
		if (!task->ready && task->wakes_ns <= until) {
			next_burst(world, task);
		} else if (task->ready && task->burst_ns <= 0) {
			block(world, task);
		}
	}
}

static void advance(struct edf_world *world, int64_t until, bool closed)
{
	while (world->now_ns < until) {
		step(world, until, closed);
	}
}

static void charge_all(struct edf_world *world)
{
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		edf_charge(&world->edf, i, world->task[i].uncharged_ns);
		world->task[i].uncharged_ns = 0;
		if (!world->task[i].slept) {
			edf_awake(&world->edf, i);
		}
		world->task[i].slept = !world->task[i].ready;
	}
}

/* A hypervisor has others to serve. */
static void steal(struct edf_world *world)
{
	if (world->steal_ns > 0 && edf_world_random(world, 50) == 0) {
		advance(world, world->now_ns + (int64_t)edf_world_random(world, (uint64_t)world->steal_ns), true);
	}
}

static void look(struct edf_world *world)
{
	advance(world, world->now_ns + world->cost_ns / 2, true);
	charge_all(world);
	world->order_n = edf_look(&world->edf, world->now_ns, world->order, &world->again_ns);
	if (world->jitter_ns > 0 && world->again_ns != EDF_NEVER) {
		world->again_ns += (int64_t)edf_world_random(world, (uint64_t)world->jitter_ns);
	}
	world->looks++;
	advance(world, world->now_ns + world->cost_ns - world->cost_ns / 2, true);
}

void edf_world_set(struct edf_world *world, unsigned slot, const struct edf_constraint *constraint, bool spinner)
{
	struct edf_world_task *task = &world->task[slot];
	bool fresh = !task->there;

	charge_all(world);
	edf_set(&world->edf, slot, constraint, world->now_ns, world->now_ns);
	if (fresh) {
		memset(task, 0, sizeof(*task));
		task->there = true;
		task->spinner = spinner;
	}
	task->constraint = *constraint;
	task->windows = task->budget_ns = task->budget_then_ns = 0;
	begin_window(task, world->now_ns, false);
	if (fresh) {
		next_burst(world, task);
	}
	world->again_ns = world->now_ns;
}

void edf_world_clear(struct edf_world *world, unsigned slot)
{
	charge_all(world);
	edf_clear(&world->edf, slot, world->now_ns);
	memset(&world->task[slot], 0, sizeof(world->task[slot]));
	for (unsigned k = 0; k < world->order_n; k++) {
		if (world->order[k] == slot) {
			memmove(&world->order[k], &world->order[k + 1],
				(world->order_n - k - 1) * sizeof(world->order[0]));
			world->order_n--;
		}
	}
	world->again_ns = world->now_ns;
}

void edf_world_run(struct edf_world *world, int64_t until_ns)
{
	while (world->now_ns < until_ns) {
		steal(world);
		int64_t next = world->again_ns < until_ns ? world->again_ns : until_ns;

		advance(world, next, false);
		if (world->now_ns >= world->again_ns) {
			look(world);
		}
	}
}
