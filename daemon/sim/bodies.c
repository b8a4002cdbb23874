/* The simulated guests: each does at its time what the planner's newest row wants of it, and tells. */
#include <string.h>
#include <utlist.h>

#include "util.h"
#include "world_state.h"

static const struct lease_spec *spec_of(struct world *world, const struct body *body)
{
	return &world_job(world, body->lease)->request->spec;
}

static struct world_node *node_of(struct world *world, uint32_t id)
{
	return &world->node[id - 1];
}

static int64_t disk_of(const struct lease_spec *spec, enum body_state state)
{
	bool there = state != BODY_NONE && state != BODY_GONE;
	bool saved = state == BODY_SAVING || state == BODY_SAVED;

	return (there ? spec->per_vm.amount[RES_DISK] : 0) + (saved ? spec->per_vm.amount[RES_MEMORY] : 0);
}

static void count_running(struct world *world, struct body *body, const struct lease_spec *spec, int sign)
{
	struct world_node *node = node_of(world, body->node);
	struct gauges *now = &world->metrics.now;
	double cpu = (double)spec->per_vm.amount[RES_CPU] * sign;

	if (spec->kind == LEASE_BEST_EFFORT) {
		now->cpu_best_effort += cpu;
	} else {
		now->cpu_promised += cpu;
	}
	if (sign > 0) {
		node->used = capacity_add(node->used, spec->per_vm);
		now->nodes_busy += node->running++ == 0;
	} else {
		node->used = capacity_sub(node->used, spec->per_vm);
		now->nodes_busy -= --node->running == 0;
	}
}

/* The one place where a guest's state changes. */
static void set_state(struct world *world, struct body *body, enum body_state state)
{
	const struct lease_spec *spec = spec_of(world, body);

	if (body->state == BODY_RUNNING) {
		body->ran_us += world->now_us - body->since_us;
		count_running(world, body, spec, -1);
	}
	world->metrics.now.disk += (double)(disk_of(spec, state) - disk_of(spec, body->state));
	body->state = state;
	if (state == BODY_RUNNING) {
		body->since_us = world->now_us;
		count_running(world, body, spec, +1);
	}
}

static void see(struct world *world, const struct body *body, enum vm_seen seen)
{
	struct event *event = world_event(world, EVENT_VM_SEEN);

	event->vm.lease = body->lease;
	event->vm.vm = body->vm;
	event->vm.generation = body->generation;
	event->vm.node = body->node;
	event->vm.seen = seen;
	event->vm.at_us = world->now_us;
}

/* When and as what it is next due. */
static void set_due(struct world *world, struct body *body)
{
	const struct run *run = &body->run;
	wall_us at_us = WALL_NEVER;
	uint32_t rank = RANK_END;

	switch (body->state) {
	case BODY_NONE:
	case BODY_SAVED:
		if (body->planned && (run->from == RUN_RESUME) == (body->state == BODY_SAVED)) {
			rank = RANK_START;
			at_us = run->start_us > body->ready_us ? run->start_us : body->ready_us;
			at_us = body->waiting || at_us > run->end_us ? run->end_us : at_us;
		}
		break;
	case BODY_RUNNING:
		at_us = body->since_us + world_job(world, body->lease)->request->real_us - body->ran_us;
		at_us = run->end_us < at_us ? run->end_us : at_us;
		break;
	case BODY_STOPPING:
	case BODY_SAVING:
		at_us = run->release_us;
		break;
	case BODY_GONE:
		break;
	}
	at_us = at_us > world->now_us ? at_us : world->now_us;
	if (body->due.rank != rank && body->due.place) {
		agenda_set(&world->agenda, &body->due, WALL_NEVER);
	}
	body->due.rank = rank;
	agenda_set(&world->agenda, &body->due, at_us);
}

static void stop_waiting(struct world *world, struct body *body)
{
	if (body->waiting) {
		DL_DELETE(node_of(world, body->node)->waiting, body);
		body->waiting = false;
	}
}

void bodies_make(struct world *world, struct job *job, const struct lease *lease)
{
	(void)world;
	job->body = xcalloc(lease->spec.vms, sizeof(*job->body));
	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		job->body[i].lease = lease->id;
		job->body[i].vm = i;
		job->body[i].due.key = lease->id * LEASE_VMS_MAX + i;
	}
}

/* It is no more, whatever it was doing. */
static void end_body(struct world *world, struct body *body, enum body_state state)
{
	stop_waiting(world, body);
	set_state(world, body, state);
	agenda_set(&world->agenda, &body->due, WALL_NEVER);
}

void bodies_free(struct world *world, struct job *job)
{
	for (uint32_t i = 0; job->body && i < job->request->spec.vms; i++) {
		end_body(world, &job->body[i], BODY_GONE);
	}
	free(job->body);
	job->body = NULL;
}

/* Started anew from the queue: what it had is lost. */
static void restart(struct world *world, struct body *body)
{
	struct job *job = world_job(world, body->lease);

	if (body->state != BODY_NONE && body->state != BODY_GONE && job->restarted_us != world->now_us) {
		job->restarts++;
		job->restarted_us = world->now_us;
	}
	end_body(world, body, BODY_NONE);
	body->ran_us = 0;
	body->ready_us = 0;
}

static void check_row(struct world *world, const struct body *body, const struct vm *vm)
{
	const struct lease_spec *spec = spec_of(world, body);
	bool same = vm->generation == body->generation && vm->planned;
	bool moved = same && body->node && vm->node != body->node;

	if (moved && (body->state == BODY_RUNNING || body->state == BODY_SAVING)) {
		world_wrong(world, "a guest on two nodes", vm->lease, vm->index, vm->node);
	}
	if (spec->kind != LEASE_AR || !vm->planned) {
		return;
	}
	wall_us latest_us = spec->latest_us ? spec->latest_us : spec->start_us;
	if (vm->run.start_us < spec->start_us || vm->run.start_us > latest_us ||
	    (body->agreed_us && vm->run.start_us != body->agreed_us) ||
	    vm->run.end_us - vm->run.start_us < spec->duration_us) {
		world_wrong(world, "a promise moved", vm->lease, vm->index, vm->node);
	}
}

void body_told(struct world *world, const struct vm *vm)
{
	struct job *job = world_job(world, vm->lease);

	if (!job->body) {
		return;
	}
	struct body *body = &job->body[vm->index];
	if (lease_state_final(vm->state)) {
		end_body(world, body, BODY_GONE);
		return;
	}
	check_row(world, body, vm);
	if (vm->generation != body->generation || (!vm->planned && vm->state == LEASE_QUEUED)) {
		restart(world, body);
	}
	if (vm->node != body->node) {
		stop_waiting(world, body);
	}
	body->generation = vm->generation;
	body->node = vm->node;
	body->planned = vm->planned;
	body->run = vm->run;
	if (vm->planned && !body->agreed_us) {
		body->agreed_us = vm->run.start_us;
	}
	set_due(world, body);
}

/* Its run is over before it began: it will not be booted for it, but what is saved may be told to go on later. */
static void too_late(struct world *world, struct body *body)
{
	stop_waiting(world, body);
	if (body->state == BODY_NONE) {
		end_body(world, body, BODY_GONE);
		see(world, body, SEEN_FAILED);
	}
}

static void start(struct world *world, struct body *body)
{
	const struct lease_spec *spec = spec_of(world, body);
	struct world_node *node = node_of(world, body->node);
	struct job *job = world_job(world, body->lease);

	if (world->now_us >= body->run.end_us) {
		too_late(world, body);
		return;
	}
	bool fetched = body->state == BODY_SAVED && body->home != body->node;
	bool needs = body->state == BODY_NONE || (fetched && world->settings.disks == DISKS_OVERLAY);
	if (!staging_use(world, node, spec->image) && needs) {
		if (world->settings.staging <= STAGING_EDF) {
			world_wrong(world, "a guest whose image is not there", body->lease, body->vm, body->node);
		}
		body->waiting = true;
		DL_APPEND(node->waiting, body);
		set_due(world, body);
		return;
	}
	if (fetched) {
		world->totals.migrations++;
	}
	set_state(world, body, BODY_RUNNING);
	if (!capacity_fits(node->used, node->info.capacity)) {
		world_wrong(world, "more guests than the node has room for", body->lease, body->vm, body->node);
	}
	job->start_us = job->start_us ? job->start_us : world->now_us;
	job->joined_us = world->now_us;
	see(world, body, SEEN_RUNNING);
	set_due(world, body);
}

static void saved(struct world *world, struct body *body)
{
	set_state(world, body, BODY_SAVED);
	body->home = body->node;
	body->planned = false; /* what was told before is no order to go on */
	see(world, body, SEEN_SUSPENDED);
	set_due(world, body);
}

static void suspend(struct world *world, struct body *body)
{
	struct job *job = world_job(world, body->lease);

	if (job->suspended_us != world->now_us) {
		job->suspended_us = world->now_us;
		job->suspensions++;
		world->totals.suspensions++;
	}
	set_state(world, body, BODY_SAVING);
	if (body->run.release_us <= world->now_us) {
		saved(world, body);
	} else {
		set_due(world, body);
	}
}

static void ended(struct world *world, struct body *body)
{
	end_body(world, body, BODY_GONE);
	see(world, body, SEEN_ENDED);
}

/* Its run is over, or it has done all it had to do. */
static void leave(struct world *world, struct body *body)
{
	span_us ran_us = body->ran_us + world->now_us - body->since_us;
	bool done = ran_us >= world_job(world, body->lease)->request->real_us;

	staging_use(world, node_of(world, body->node), spec_of(world, body)->image);
	if (!done && body->run.then == RUN_SUSPEND) {
		suspend(world, body);
	} else if ((!done || world->now_us >= body->run.end_us) && body->run.release_us > world->now_us) {
		set_state(world, body, BODY_STOPPING);
		set_due(world, body);
	} else {
		ended(world, body);
	}
}

void body_due(struct world *world, struct body *body)
{
	agenda_set(&world->agenda, &body->due, WALL_NEVER);
	switch (body->state) {
	case BODY_NONE:
	case BODY_SAVED:
		start(world, body);
		break;
	case BODY_RUNNING:
		leave(world, body);
		break;
	case BODY_STOPPING:
		ended(world, body);
		break;
	case BODY_SAVING:
		saved(world, body);
		break;
	case BODY_GONE:
		break;
	}
}

void bodies_image(struct world *world, struct world_node *node, uint64_t image)
{
	struct body *body, *next;

	DL_FOREACH_SAFE (node->waiting, body, next) {
		if (spec_of(world, body)->image == image) {
			stop_waiting(world, body);
			body->ready_us = world->now_us + body->run.start_us - body->run.prepare_us;
			set_due(world, body);
		}
	}
}
