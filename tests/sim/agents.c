/* The simulated agents: each node's guests go their way by the newest part the node was given. */
#include <stdlib.h>
#include <string.h>

#include "world_state.h"

static struct body_of *find_body(struct world *world, const struct vm *vm, uint32_t node)
{
	for (size_t i = 0; i < world->body_count; i++) {
		struct body_of *body = &world->body[i];
		if (body->lease == vm->lease && body->vm == vm->index && body->generation == vm->generation &&
		    body->node == node && body->body != BODY_REMOVING) {
			return body;
		}
	}
	return NULL;
}

static void see(struct world *world, struct body_of *body, enum vm_seen seen)
{
	struct event event = {.kind = EVENT_VM_SEEN};

	body->seen = seen;
	body->since_us = world->now_us;
	event.vm.lease = body->lease;
	event.vm.vm = body->vm;
	event.vm.generation = body->generation;
	event.vm.node = body->node;
	event.vm.seen = seen;
	event.vm.at_us = world->now_us;
	world_send(world, body->node, &event);
}

void agents_repeat(struct world *world, uint32_t id)
{
	for (size_t i = 0; i < world->body_count; i++) {
		struct body_of *body = &world->body[i];
		if (body->node == id && body->body != BODY_REMOVING) {
			wall_us since_us = body->since_us;
			struct event event = {.kind = EVENT_VM_SEEN};
			event.vm.lease = body->lease;
			event.vm.vm = body->vm;
			event.vm.generation = body->generation;
			event.vm.node = id;
			event.vm.seen = body->seen;
			event.vm.at_us = since_us;
			world_send(world, id, &event);
		}
	}
}

/* What it takes of the node, and of its CPUs; another when the lease was tuned. */
static void take_constraint(struct body_of *body, const struct lease *lease)
{
	body->use = lease->spec.per_vm;
	body->rate = (struct edf_demand){
		.id = body->lease,
		.vm = body->vm,
		.threads = lease_vcpus(&lease->spec),
		.slice_us = lease->spec.slice_us,
		.period_us = lease->spec.period_us,
	};
}

static void add_body(struct world *world, const struct lease *lease, const struct vm *vm)
{
	world->body = world_grow(world->body, world->body_count, &world->body_room, sizeof(*world->body));
	struct body_of *body = &world->body[world->body_count++];
	memset(body, 0, sizeof(*body));
	body->lease = vm->lease;
	body->vm = vm->index;
	body->generation = vm->generation;
	body->node = vm->node;
	take_constraint(body, lease);
	body->image = lease->spec.image;
	body->kind = lease->spec.kind;
	body->since_us = world->now_us;
	body->dies_us = WALL_NEVER;
	body->doomed = world->settings.faults && world_chance(world, 10);
}

/* Its memory on the node it is to leave; NULL if it is not there. */
static struct body_of *source_of(struct world *world, const struct body_of *body)
{
	for (size_t i = 0; i < world->body_count; i++) {
		struct body_of *other = &world->body[i];
		if (other->lease == body->lease && other->vm == body->vm && other->generation == body->generation &&
		    other->node == body->run.from_node && other->body == BODY_SAVED) {
			return other;
		}
	}
	return NULL;
}

/* The new node is to fetch it. */
static struct body_of *add_away(struct world *world, const struct lease *lease, const struct vm *vm)
{
	add_body(world, lease, vm);
	struct body_of *body = &world->body[world->body_count - 1];
	body->body = BODY_AWAY;
	body->doomed = false;
	return body;
}

static bool one_everywhere(const struct world *world)
{
	return world->plan_settings.exclusion == EXCLUSION_GLOBAL;
}

/* Until when guests are saved or restored where this one is to be. */
static wall_us *busy_until(struct world *world, uint32_t node)
{
	return one_everywhere(world) ? &world->busy_us : &world->node[node].busy_us;
}

/* It is saved or restored no further: those behind it have their turn earlier. */
static void give_way(struct world *world, const struct body_of *gone)
{
	span_us rest_us =
		gone->until_us - world->now_us < gone->span_us ? gone->until_us - world->now_us : gone->span_us;

	for (size_t i = 0; i < world->body_count; i++) {
		struct body_of *body = &world->body[i];
		if ((one_everywhere(world) || body->node == gone->node) && body->until_us > gone->until_us &&
		    (body->body == BODY_SAVING || body->body == BODY_RESTORING)) {
			body->until_us -= rest_us;
		}
	}
	*busy_until(world, gone->node) -= rest_us;
}

void agents_deliver(struct world *world, uint32_t id)
{
	struct world_lease *row, *next;

	for (size_t i = 0; i < world->body_count; i++) {
		if (world->body[i].node == id) {
			world->body[i].removed = true;
		}
	}
	HASH_ITER (hh, world->leases, row, next) {
		for (uint32_t i = 0; row->lease.vms && i < row->lease.spec.vms; i++) {
			const struct vm *vm = &row->lease.vms[i];
			bool there = vm->node == id && !lease_state_final(vm->state) &&
				     (vm->planned || vm->state == LEASE_SUSPENDED);
			struct body_of *body = there ? find_body(world, vm, id) : NULL;
			if (vm->planned && vm->run.from_node == id && !vm->started_us &&
			    (body = find_body(world, vm, id))) {
				body->removed = false; /* to be fetched by another node */
				body->planned = false;
				continue;
			}
			if (there && !body && vm->planned && vm->run.from_node && !vm->started_us) {
				body = add_away(world, &row->lease, vm);
			}
			if (there && !body && vm->planned && vm->run.from == RUN_BOOT) {
				add_body(world, &row->lease, vm);
				body = &world->body[world->body_count - 1];
			}
			if (body) {
				body->removed = false;
				body->planned = vm->planned;
				body->run = vm->run;
				take_constraint(body, &row->lease);
			}
		}
	}
	for (size_t i = 0; i < world->body_count; i++) {
		struct body_of *body = &world->body[i];
		if (body->node == id && body->removed && body->body != BODY_REMOVING) {
			bool nothing = body->body == BODY_NONE || body->body == BODY_GONE || body->body == BODY_AWAY;
			if (body->body == BODY_SAVING || body->body == BODY_RESTORING) {
				give_way(world, body);
			}
			body->body = BODY_REMOVING;
			body->until_us = world->now_us;
			body->until_us +=
				nothing ? 0 : (wall_us)world_random(world, (uint64_t)world->plan_settings.stop_us);
		}
	}
}

/* One that is saved, or to be fetched, has a disk that is whole. */
static bool has_image(const struct world *world, const struct body_of *body)
{
	bool whole = world->plan_settings.disks == DISKS_WHOLE;

	return world->node[body->node].pool[body->image] || (whole && body->body != BODY_NONE);
}

/* True if it can be prepared before its end, and what it is made of is there. */
static bool can_be_prepared(const struct world *world, const struct body_of *body)
{
	const struct run *run = &body->run;

	return body->planned && has_image(world, body) &&
	       world->now_us + (run->start_us - run->prepare_us) < run->end_us;
}

/* When the guest's next move is due. */
static wall_us body_next(const struct world *world, const struct body_of *body)
{
	const struct run *run = &body->run;

	switch (body->body) {
	case BODY_NONE:
	case BODY_AWAY:
		return can_be_prepared(world, body) ? run_begin(run) : WALL_NEVER;
	case BODY_PREPARING:
	case BODY_SAVING:
	case BODY_RESTORING:
	case BODY_STOPPING:
	case BODY_REMOVING:
		return body->until_us;
	case BODY_COPYING: /* until then the memory it is restored into is others' */
		return body->until_us > run->prepare_us ? body->until_us : run->prepare_us;
	case BODY_PREPARED:
		return run->start_us;
	case BODY_RUNNING:
		return body->dies_us < run->end_us ? body->dies_us : run->end_us;
	case BODY_SAVED:
		/* What was told before it was saved is no order to restore it. */
		return body->planned && run->from == RUN_RESUME && run->prepare_us >= body->since_us &&
				       has_image(world, body) && world->now_us < run->end_us
			       ? run->prepare_us
			       : WALL_NEVER;
	case BODY_GONE:
		break;
	}
	return WALL_NEVER;
}

static span_us some_of(struct world *world, span_us most)
{
	return most / 2 + (span_us)world_random(world, (uint64_t)most / 2 + 1);
}

static span_us moving(const struct body_of *body, int64_t rate, span_us fixed)
{
	return fixed + (span_us)((double)body->use.amount[RES_MEMORY] / (double)rate * 1e6);
}

/* True if the guest has run as it was promised. */
static bool kept(const struct world *world, const struct lease_spec *spec, const struct body_of *body)
{
	switch (spec->kind) {
	case LEASE_AR:
	case LEASE_OPEN:
		return body->first_us == spec->start_us && world->now_us >= spec->start_us + spec->duration_us;
	case LEASE_DEADLINE:
		return body->first_us >= spec->start_us && world->now_us - body->first_us >= spec->duration_us &&
		       world->now_us <= spec->deadline_us;
	case LEASE_BEST_EFFORT:
	case LEASE_IMMEDIATE:
	case LEASE_KIND_COUNT:
		break;
	}
	return false;
}

static void note_ran(struct world *world, const struct body_of *body)
{
	struct world_lease *row;

	HASH_FIND(hh, world->leases, &body->lease, sizeof(body->lease), row);
	if (row && kept(world, &row->lease.spec, body)) {
		row->vms_ran++;
	}
}

static void run_body(struct world *world, struct body_of *body)
{
	span_us length_us = body->run.end_us - world->now_us;

	body->body = BODY_RUNNING;
	body->first_us = world->now_us;
	body->dies_us = WALL_NEVER;
	if (body->kind == LEASE_BEST_EFFORT && length_us > 1 && world_chance(world, 150)) {
		body->dies_us = world->now_us + 1 + (wall_us)world_random(world, (uint64_t)length_us);
	}
	see(world, body, SEEN_RUNNING);
}

/* Guests are saved and restored one at a time: this one, which takes that long, when the others are through. */
static void after_others(struct world *world, struct body_of *body, span_us span)
{
	wall_us *busy_us = busy_until(world, body->node);
	wall_us from_us = *busy_us > world->now_us ? *busy_us : world->now_us;

	body->span_us = span;
	body->until_us = *busy_us = from_us + span;
}

static void end_body(struct world *world, struct body_of *body)
{
	struct world_node *node = &world->node[body->node];

	if (body->dies_us <= world->now_us && body->dies_us < body->run.end_us) {
		/* Its absence is not told twice: it must not overtake the word that it runs. */
		bool told = world->now_us - body->since_us > WORLD_DELAY_US;
		body->body = BODY_GONE;
		see(world, body, told && world->settings.faults && world_chance(world, 300) ? SEEN_ABSENT : SEEN_ENDED);
	} else if (body->run.then == RUN_STOP) {
		note_ran(world, body);
		body->body = BODY_STOPPING;
		body->until_us = world->now_us + some_of(world, world->plan_settings.stop_us);
	} else {
		span_us span = moving(body, node->info.suspend_rate, world->plan_settings.suspend_us);
		if (world->settings.faults && world_chance(world, 50)) {
			span *= 3;
		}
		body->ran_us += world->now_us - body->first_us;
		body->body = BODY_SAVING;
		after_others(world, body, some_of(world, span));
		see(world, body, SEEN_SUSPENDING);
		world->figures.suspensions++;
	}
}

/* True if the planner still wants it so: of what ended meanwhile its node may not have heard yet. */
static bool still_wanted(struct world *world, const struct body_of *body)
{
	const struct world_lease *row = world_lease_row(world, body->lease);
	const struct vm *vm = row ? &row->lease.vms[body->vm] : NULL;

	return vm && vm->generation == body->generation && vm->planned && vm->run.from_node == body->run.from_node;
}

static void copy_body(struct world *world, struct body_of *body)
{
	const struct body_of *source = source_of(world, body);
	int64_t bytes = body->use.amount[RES_MEMORY] + body->use.amount[RES_DISK];
	span_us span = 0;

	if (world->plan_settings.migration != MIGRATION_FREE) {
		span = (span_us)((double)bytes / (double)world->plan_settings.repository_rate * 1e6);
	}
	if (!source && !world->settings.faults && still_wanted(world, body)) {
		world_wrong(world, "a guest is to be fetched from where it is not", body->lease, body->node);
	}
	if (!source) {
		body->body = BODY_GONE;
		see(world, body, SEEN_FAILED);
		return;
	}
	body->ran_us = source->ran_us;
	body->body = BODY_COPYING;
	body->until_us = world->now_us + some_of(world, span);
	world->figures.migrations++;
}

/* The move that is due. False if the guest is nothing any more. */
static bool move_body(struct world *world, struct body_of *body)
{
	struct world_node *node = &world->node[body->node];

	switch (body->body) {
	case BODY_NONE:
		body->body = BODY_PREPARING;
		body->until_us = world->now_us + some_of(world, world->plan_settings.prepare_us);
		break;
	case BODY_PREPARING:
		body->body = body->doomed ? BODY_GONE : BODY_PREPARED;
		see(world, body, body->doomed ? SEEN_FAILED : SEEN_PREPARED);
		break;
	case BODY_AWAY:
		copy_body(world, body);
		break;
	case BODY_RESTORING:
		body->body = BODY_PREPARED;
		see(world, body, SEEN_PREPARED);
		break;
	case BODY_PREPARED:
		if (world->now_us < body->run.end_us) {
			run_body(world, body);
		} else {
			body->body = BODY_GONE;
			see(world, body, SEEN_ENDED);
		}
		break;
	case BODY_RUNNING:
		end_body(world, body);
		break;
	case BODY_SAVING:
		body->body = BODY_SAVED;
		see(world, body, SEEN_SUSPENDED);
		break;
	case BODY_SAVED:
	case BODY_COPYING:
		body->body = BODY_RESTORING;
		after_others(world, body,
			     some_of(world, moving(body, node->info.resume_rate, world->plan_settings.resume_us)));
		break;
	case BODY_STOPPING:
		body->body = BODY_GONE;
		see(world, body, SEEN_ENDED);
		break;
	case BODY_REMOVING:
		return false;
	case BODY_GONE:
		break;
	}
	return true;
}

wall_us agents_next(const struct world *world)
{
	wall_us next_us = WALL_NEVER;

	for (size_t i = 0; i < world->body_count; i++) {
		wall_us at_us = body_next(world, &world->body[i]);
		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

void agents_act(struct world *world)
{
	size_t kept = 0;

	for (size_t i = 0; i < world->body_count; i++) {
		struct body_of *body = &world->body[i];
		bool there = true;
		while (there && body_next(world, body) <= world->now_us) {
			there = move_body(world, body);
		}
		if (there) {
			world->body[kept++] = *body;
		}
	}
	world->body_count = kept;
}

/* What the guest really takes. */
static struct capacity taken(const struct body_of *body)
{
	switch (body->body) {
	case BODY_NONE:
	case BODY_AWAY:
	case BODY_GONE:
		return (struct capacity){{0}};
	case BODY_PREPARING:
	case BODY_PREPARED:
	case BODY_STOPPING:
		return slot_use(SLOT_PREPARE, body->use);
	case BODY_RUNNING:
		return body->use;
	case BODY_SAVING:
	case BODY_RESTORING:
		return slot_use(SLOT_SUSPEND, body->use);
	case BODY_COPYING:
		return slot_use(body->run.copy_us ? SLOT_HOLD : SLOT_SUSPEND, body->use);
	case BODY_SAVED:
		return slot_use(SLOT_HOLD, body->use);
	case BODY_REMOVING:
		return (struct capacity){{0}}; /* its state before is not kept: what it takes ends within stop_us */
	}
	return (struct capacity){{0}};
}

/* It should have begun a while ago: its node was told in time. */
static bool lacks_image(const struct world *world, const struct body_of *body)
{
	bool waits = body->body == BODY_NONE || body->body == BODY_AWAY || body->body == BODY_SAVED;

	return waits && body->planned && body->run.prepare_us >= body->since_us &&
	       body->run.prepare_us < world->now_us && world->now_us < body->run.end_us && !has_image(world, body);
}

/* What the planner holds of a guest that is saved, against what it really had. */
static const char *check_served(const struct world *world, const struct body_of *body)
{
	struct world_lease *row;

	HASH_FIND(hh, world->leases, &body->lease, sizeof(body->lease), row);
	if (!row || !row->lease.vms || body->body != BODY_SAVED) {
		return NULL;
	}
	const struct lease_spec *spec = &row->lease.spec;
	const struct vm *vm = &row->lease.vms[body->vm];
	if (vm->generation != body->generation || vm->state != LEASE_SUSPENDED || vm->node != body->node) {
		return NULL;
	}
	if ((spec->serial || spec->vms == 1) && vm->served_us >= spec->duration_us) {
		return "a guest is kept that has nothing left to run";
	}
	/* With faults a node's words may be lost, and what it had is a guess. */
	if (!world->settings.faults && vm->served_us > body->ran_us) {
		return "a guest is held to have had more than it ran";
	}
	return NULL;
}

/* True if the node can keep slices and periods of all its guests that run. */
static bool rates_fit(const struct world *world, uint32_t node)
{
	struct edf_demand rate[64];
	size_t n = 0;

	for (size_t i = 0; i < world->body_count && n < sizeof(rate) / sizeof(rate[0]); i++) {
		const struct body_of *body = &world->body[i];
		if (body->node == node && body->body == BODY_RUNNING && body->rate.period_us) {
			rate[n++] = body->rate;
		}
	}
	return n == 0 || edf_pack(&world->node[node].info.edf, rate, n, NULL) == EDF_FITS;
}

const char *agents_check(const struct world *world)
{
	struct capacity use[WORLD_NODES_MAX + 1] = {0};

	for (size_t i = 0; i < world->body_count; i++) {
		const struct body_of *body = &world->body[i];
		use[body->node] = capacity_add(use[body->node], taken(body));
		if (body->body == BODY_RESTORING && body->planned && world->now_us > body->run.start_us) {
			return "a guest is restored too late";
		}
		if (world->plan_settings.staging <= STAGING_EDF && lacks_image(world, body)) {
			return "a guest is to go where its image is not";
		}
		const char *wrong = check_served(world, body);
		if (wrong) {
			return wrong;
		}
	}
	for (uint32_t n = 1; n <= world->settings.nodes; n++) {
		if (!capacity_fits(use[n], world->node[n].info.capacity)) {
			return "a node's guests take more than it has";
		}
		if (!rates_fit(world, n)) {
			return "a node cannot keep all its guests' slices";
		}
	}
	return NULL;
}
