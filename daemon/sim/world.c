/* The simulated cluster's clock, and the rows the planner writes. Guests are bodies.c's, images staging.c's. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

#include "check.h"
#include "reason.h"
#include "util.h"
#include "world_state.h"

#define ROUNDS_MAX 1000000 /* steps at one instant: as many only if nothing would ever move on */
#define PROGRESS_STEPS 512

/* When an open reservation is called. */
struct call {
	struct due due; /* first */
	uint64_t lease;
};

struct event *world_event(struct world *world, enum event_kind kind)
{
	if (world->events == world->event_room) {
		world->event_room = world->event_room ? 2 * world->event_room : 64;
		world->event = xrealloc(world->event, world->event_room, sizeof(*world->event));
	}
	struct event *event = &world->event[world->events++];
	*event = (struct event){.kind = kind};
	return event;
}

struct job *world_job(struct world *world, uint64_t lease)
{
	return &world->job[lease - 1];
}

void world_wrong(struct world *world, const char *what, uint64_t lease, uint32_t vm, uint32_t node)
{
	if (!world->options.check || world->wrong) {
		return;
	}
	world->wrong = what;
	snprintf(world->fault, sizeof(world->fault),
		 "step %" PRIu64 " at %.6f s: %s (lease %" PRIu64 ", VM %u, node %u)", world->totals.steps,
		 (double)(world->now_us - ORIGIN_US) / 1e6, what, lease, vm, node);
}

/* ---- the planner's rows ---- */

/* True if a best-effort lease in that state would run if it could. */
static bool waits(enum lease_state state)
{
	return state == LEASE_QUEUED || state == LEASE_SCHEDULED || state == LEASE_PREPARING || state == LEASE_READY ||
	       state == LEASE_SUSPENDED || state == LEASE_MIGRATING || state == LEASE_RESUMING;
}

static void set_state(struct world *world, struct job *job, enum lease_state state)
{
	const struct lease_spec *spec = &job->request->spec;
	int change = waits(state) - waits(job->state);

	if (spec->kind == LEASE_BEST_EFFORT) {
		world->metrics.now.waiting += change;
		world->metrics.now.waiting_vms += change * (double)spec->vms;
	}
	job->state = state;
}

static void finish(struct world *world, struct job *job)
{
	job->end_us = world->now_us;
	world->final++;
	if (job->request->spec.kind == LEASE_BEST_EFFORT && job->state == LEASE_DONE) {
		const struct gauges *total = &world->metrics.total;
		world->totals.last_done_us = world->now_us;
		world->totals.cpu_used = total->cpu_best_effort + total->cpu_promised;
	}
	if (world->ended_count == world->ended_room) {
		world->ended_room = world->ended_room ? 2 * world->ended_room : 64;
		world->ended = xrealloc(world->ended, world->ended_room, sizeof(*world->ended));
	}
	world->ended[world->ended_count++] = (size_t)(job - world->job);
}

static void lease_told(struct world *world, const struct lease *lease)
{
	struct job *job = world_job(world, lease->id);

	if (lease_state_final(job->state)) {
		world_wrong(world, "a final lease changed", lease->id, 0, 0);
		return;
	}
	job->reason = lease->reason;
	set_state(world, job, lease->state);
	if (lease_state_final(lease->state)) {
		finish(world, job);
	} else if (!job->body) {
		bodies_make(world, job, lease);
	}
}

static void slot_told(struct world *world, const struct slot *slot, bool drop)
{
	struct kept_slot *kept;

	if (!world->options.slots) {
		return;
	}
	HASH_FIND(hh, world->slots, &slot->id, sizeof(slot->id), kept);
	if (drop && kept) {
		HASH_DEL(world->slots, kept);
		free(kept);
		return;
	}
	if (!kept) {
		kept = xcalloc(1, sizeof(*kept));
		kept->slot.id = slot->id;
		HASH_ADD(hh, world->slots, slot.id, sizeof(kept->slot.id), kept);
	}
	kept->slot = *slot;
}

static void apply(struct world *world)
{
	wall_us wake_us = WALL_NEVER;

	for (size_t i = 0; i < world->actions.count; i++) {
		const struct action *action = &world->actions.item[i];
		switch (action->kind) {
		case ACTION_LEASE:
			lease_told(world, action->lease);
			break;
		case ACTION_VM:
			body_told(world, action->vm);
			break;
		case ACTION_SLOT:
		case ACTION_SLOT_DROP:
			slot_told(world, &action->slot, action->kind == ACTION_SLOT_DROP);
			break;
		case ACTION_TRANSFER:
		case ACTION_TRANSFER_DROP:
			staging_told(world, &action->transfer, action->kind == ACTION_TRANSFER_DROP);
			break;
		case ACTION_PROMISE_BROKEN:
			world->totals.broken += !world_job(world, action->lease->id)->broken;
			world_job(world, action->lease->id)->broken = true;
			break;
		case ACTION_WAKE:
			wake_us = action->wake_us;
			break;
		case ACTION_ESTIMATE:
		case ACTION_MOVED:
		case ACTION_REFUSED:
		case ACTION_NODE_PLAN:
		case ACTION_KIND_COUNT:
			break;
		}
	}
	agenda_set(&world->agenda, &world->wake, wake_us);
}

/* What is left to do about leases that have become final: their rows have all been seen by now. */
static void forget_ended(struct world *world)
{
	for (size_t i = 0; i < world->ended_count; i++) {
		struct job *job = &world->job[world->ended[i]];
		bodies_free(world, job);
		if (job->request->own_image) {
			staging_forget(world, job->request->spec.image);
		}
	}
	world->ended_count = 0;
}

/* ---- time ---- */

/* Asks for what no lease can be: refused without troubling the planner. */
static bool too_large(struct world *world, struct job *job)
{
	const struct lease_spec *spec = &job->request->spec;

	if (spec->vms <= LEASE_VMS_MAX) {
		return false;
	}
	job->reason = (struct reason){.code = REASON_NEVER_FITS, .arg0 = LEASE_VMS_MAX};
	job->state = LEASE_REJECTED;
	job->end_us = world->now_us;
	world->final++;
	return true;
}

static void next_arrival(struct world *world)
{
	const struct workload *workload = world->workload;
	bool more = world->next_request < workload->count;

	agenda_set(&world->agenda, &world->arrival,
		   more ? workload->request[world->next_request].submit_us : WALL_NEVER);
}

static void arrive(struct world *world)
{
	const struct workload *workload = world->workload;

	for (; world->next_request < workload->count; world->next_request++) {
		const struct request *request = &workload->request[world->next_request];
		uint64_t id = world->next_request + 1;
		if (request->submit_us > world->now_us) {
			break;
		}
		if (too_large(world, world_job(world, id))) {
			continue;
		}
		if (request->own_image) {
			staging_know(world, request->spec.image, request->image_bytes);
		}
		struct event *event = world_event(world, EVENT_LEASE_REQUESTED);
		event->requested.id = id;
		event->requested.spec = request->spec;
	}
	next_arrival(world);
}

static struct sim_link *link_of(struct world *world, const struct due *due)
{
	return due == &world->link[0].due ? &world->link[0] : &world->link[1];
}

static void happen(struct world *world, struct due *due)
{
	switch ((enum rank)due->rank) {
	case RANK_END:
	case RANK_START:
		body_due(world, (struct body *)due);
		break;
	case RANK_BEGIN:
		staging_begin(world, (struct haul *)due);
		break;
	case RANK_LINK:
		staging_arrive(world, link_of(world, due));
		break;
	case RANK_CALL:
		world_event(world, EVENT_LEASE_CALLED)->called = ((struct call *)due)->lease;
		agenda_set(&world->agenda, due, WALL_NEVER);
		break;
	case RANK_REQUEST:
		arrive(world);
		break;
	case RANK_WAKE:
		agenda_set(&world->agenda, due, WALL_NEVER);
		break;
	}
}

static void check(struct world *world)
{
	struct check_fault fault = {0};

	if (world->options.check && check_plan(world->plan, &fault)) {
		world_wrong(world, check_rule_name(fault.rule), fault.lease, fault.vm, fault.node);
	}
}

static void step(struct world *world)
{
	world->totals.steps++;
	plan_step(world->plan, world->event, world->events, world->now_us, &world->actions);
	world->events = 0;
	apply(world);
	forget_ended(world);
	staging_tidy(world);
	check(world);
	if (world->options.progress && world->totals.steps % PROGRESS_STEPS == 0) {
		world->options.progress(world->options.arg, world->now_us - ORIGIN_US, world->final,
					world->workload->count);
	}
}

int world_run(struct world *world, struct err *err)
{
	struct due *due;

	while (!world->wrong && (due = agenda_first(&world->agenda))) {
		world->rounds = due->at_us > world->now_us ? 0 : world->rounds + 1;
		world->now_us = due->at_us;
		metrics_advance(&world->metrics, world->now_us);
		while ((due = agenda_first(&world->agenda)) && due->at_us <= world->now_us &&
		       !(world->events && due->rank == RANK_LINK && staging_full(world, link_of(world, due)))) {
			happen(world, due);
		}
		step(world);
		if (world->rounds > ROUNDS_MAX) {
			return err_set(err, ERR_INTERNAL, "step %" PRIu64 " at %.6f s: time stands still",
				       world->totals.steps, (double)(world->now_us - ORIGIN_US) / 1e6);
		}
	}
	if (!world->wrong) {
		world_verdict(world);
	}
	metrics_close(&world->metrics);
	for (uint32_t i = 0; i < world->nodes; i++) {
		int64_t peak = world->node[i].pool.peak;
		world->totals.peak_pool = peak > world->totals.peak_pool ? peak : world->totals.peak_pool;
	}
	return world->wrong ? err_set(err, ERR_INTERNAL, "%s", world->fault) : 0;
}

/* ---- beginning and end ---- */

static void add_nodes(struct world *world)
{
	_cleanup_free_ struct node_info *infos = config_nodes(world->config, &world->nodes);

	world->node = xcalloc(world->nodes, sizeof(*world->node));
	metrics_init(&world->metrics, world->nodes, ORIGIN_US, world->config->interval);
	for (uint32_t i = 0; i < world->nodes; i++) {
		world->node[i].info = infos[i];
		world_event(world, EVENT_NODE)->node = infos[i];
	}
}

static void add_images(struct world *world)
{
	for (size_t i = 0; i < world->workload->image_count; i++) {
		const struct image_info *image = &world->workload->image[i];
		bool everywhere = world->config->predeployed;
		int64_t bytes = everywhere ? 1 : image->size; /* at no cost */
		staging_know(world, image->id, bytes);
		for (uint32_t n = 0; everywhere && n < world->nodes; n++) {
			staging_put(world, &world->node[n], image->id, bytes);
		}
	}
}

static void add_calls(struct world *world)
{
	const struct workload *workload = world->workload;

	for (size_t i = 0; i < workload->count; i++) {
		if (workload->request[i].call_us >= WALL_NEVER) {
			continue;
		}
		if (!world->calls) {
			world->calls = xcalloc(workload->count, sizeof(*world->calls));
		}
		struct call *call = &world->calls[i];
		call->lease = i + 1;
		call->due.rank = RANK_CALL;
		call->due.key = i;
		agenda_set(&world->agenda, &call->due, workload->request[i].call_us);
	}
}

struct world *world_new(const struct sim_config *config, const struct workload *workload,
			const struct world_options *options)
{
	struct world *world = xcalloc(1, sizeof(*world));

	world->config = config;
	world->tidy = strcmp(config->reuse, "transfers") == 0 && !config->predeployed;
	world->workload = workload;
	world->options = *options;
	world->settings = config_plan(config);
	world->plan = plan_new(&world->settings);
	world->now_us = ORIGIN_US;
	world->arrival.rank = RANK_REQUEST;
	world->wake.rank = RANK_WAKE;
	for (unsigned int i = 0; i < ARRAY_SIZE(world->link); i++) {
		world->link[i].due.rank = RANK_LINK;
		world->link[i].due.key = i;
		world->link[i].clock_us = ORIGIN_US;
	}
	world->job = xcalloc(workload->count ? workload->count : 1, sizeof(*world->job));
	for (size_t i = 0; i < workload->count; i++) {
		world->job[i].request = &workload->request[i];
	}
	add_nodes(world);
	add_images(world);
	add_calls(world);
	next_arrival(world);
	return world;
}

void world_free(struct world *world)
{
	struct kept_slot *slot, *next;

	if (!world) {
		return;
	}
	for (size_t i = 0; i < world->workload->count; i++) {
		free(world->job[i].body);
	}
	for (uint32_t i = 0; i < world->nodes; i++) {
		sim_pool_fini(&world->node[i].pool);
	}
	HASH_ITER (hh, world->slots, slot, next) {
		HASH_DEL(world->slots, slot);
		free(slot);
	}
	staging_fini(world);
	metrics_fini(&world->metrics);
	plan_free(world->plan);
	actions_fini(&world->actions);
	agenda_fini(&world->agenda);
	free(world->event);
	free(world->ended);
	free(world->calls);
	free(world->node);
	free(world->job);
	free(world);
}

/* ---- looking ---- */

const char *world_rule(const struct world *world)
{
	return world->wrong;
}

const struct job *world_jobs(const struct world *world, size_t *count)
{
	*count = world->workload->count;
	return world->job;
}

const struct world_totals *world_totals(const struct world *world)
{
	return &world->totals;
}

const struct metrics *world_metrics(const struct world *world)
{
	return &world->metrics;
}

double world_cpu(const struct world *world)
{
	double sum = 0;

	for (uint32_t i = 0; i < world->nodes; i++) {
		sum += (double)world->node[i].info.capacity.amount[RES_CPU];
	}
	return sum;
}

static int by_id(const struct kept_slot *a, const struct kept_slot *b)
{
	return a->slot.id < b->slot.id ? -1 : a->slot.id > b->slot.id;
}

void world_slots(struct world *world, FILE *out)
{
	struct kept_slot *each, *next;

	HASH_SORT(world->slots, by_id);
	fputs("id,kind,node,lease,vm,start_s,end_s\n", out);
	HASH_ITER (hh, world->slots, each, next) {
		const struct slot *slot = &each->slot;
		fprintf(out, "%" PRIu64 ",%s,%u,%" PRIu64 ",%u,%.6f,", slot->id, slot_kind_name(slot->kind), slot->node,
			slot->lease, slot->vm, (double)(slot->start_us - ORIGIN_US) / 1e6);
		if (slot->end_us < WALL_NEVER) {
			fprintf(out, "%.6f", (double)(slot->end_us - ORIGIN_US) / 1e6);
		}
		fputc('\n', out);
	}
}
