/* Remembers where there is no room, and looks for where there is. Books nothing. */
#include "room.h"

#include <assert.h>
#include <stdlib.h>

#include "estimate.h"
#include "prep.h"
#include "view.h"

void room_init(struct room *room, struct plan *plan)
{
	*room = (struct room){
		.plan = plan,
		.start_us = plan->now_us + plan->settings.lead_us + plan->settings.prepare_us,
		.save.bytes = -1,
		.fetch.bytes = -1,
	};
	plan->stock_age++;
	for (size_t i = 0; i < plan->node_count && plan->settings.suspension != SUSPENSION_NONE; i++) {
		int64_t rate = plan->nodes[i]->info.suspend_rate;
		room->suspend_rate = rate > room->suspend_rate ? rate : room->suspend_rate;
	}
}

static span_us span_of(struct room_span *memo, int64_t bytes, int64_t rate)
{
	if (memo->bytes != bytes) {
		*memo = (struct room_span){bytes, estimate_bytes(bytes, rate)};
	}
	return memo->span_us;
}

/* How long saving such a VM takes the fastest node. */
static span_us save_span(struct room *room, const struct lease_spec *spec)
{
	return room->plan->settings.suspend_us +
	       span_of(&room->save, spec->per_vm.amount[RES_MEMORY], room->suspend_rate);
}

span_us room_least(struct room *room, const struct lease_spec *spec)
{
	const struct plan_settings *settings = &room->plan->settings;
	const struct image_info *image = plan_find_image(room->plan, spec->image);

	if (settings->worth == 0 || room->suspend_rate == 0) {
		return settings->min_run_us;
	}
	span_us fetch_us = image ? span_of(&room->fetch, image->size, settings->repository_rate) : 0;
	span_us save_us = save_span(room, spec);
	return settings->min_run_us + (span_us)settings->worth * (fetch_us + save_us) - save_us;
}

span_us room_need(struct room *room, const struct lease_spec *spec, span_us left_us)
{
	const struct plan *plan = room->plan;

	if (!place_may_cut(plan, spec) || room->suspend_rate == 0) {
		return left_us;
	}
	/* What is learnt may be shorter. */
	span_us cut_us = room_least(room, spec) + (plan->settings.learn ? 0 : save_span(room, spec));
	return cut_us < left_us ? cut_us : left_us;
}

static void forget_shapes(struct room *room)
{
	for (size_t i = 0; i < room->shapes; i++) {
		free(room->shape[i].open);
	}
	room->shapes = 0;
}

void room_fini(struct room *room)
{
	forget_shapes(room);
	free(room->shape);
	room->shape = NULL;
}

void room_forget(struct room *room)
{
	forget_shapes(room);
	room->known = false;
	room->lacks = 0;
	room_restaged(room);
}

static bool same_kind(const struct room_lack *lack, uint64_t what, wall_us start_us, const struct capacity *per_vm)
{
	return lack->what == what && lack->start_us == start_us && capacity_same(&lack->per_vm, per_vm);
}

bool room_lacks(const struct room *room, uint64_t what, wall_us start_us, struct capacity per_vm, uint32_t n,
		span_us need_us)
{
	for (uint32_t i = 0; i < room->lacks; i++) {
		const struct room_lack *lack = &room->lack[i];
		if (lack->n <= n && lack->need_us <= need_us && same_kind(lack, what, start_us, &per_vm)) {
			return true;
		}
	}
	return false;
}

void room_learn_lack(struct room *room, uint64_t what, wall_us start_us, struct capacity per_vm, uint32_t n,
		     span_us need_us)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < room->lacks; i++) {
		const struct room_lack *lack = &room->lack[i];
		if (lack->n < n || lack->need_us < need_us || !same_kind(lack, what, start_us, &per_vm)) {
			room->lack[kept++] = *lack;
		}
	}
	kept = kept < ROOM_FRONT ? kept : ROOM_FRONT - 1;
	room->lack[kept++] = (struct room_lack){what, start_us, per_vm, n, need_us};
	room->lacks = kept;
}

static void look(const struct room *room, struct node *node)
{
	static const struct capacity nothing;

	node->free = node_takes_new(node) ? capacity_sub(node->info.capacity, *slots_use(node->slots, room->start_us))
					  : nothing;
}

/* Finds the size, or makes it known; NULL if there are too many. */
static struct room_shape *shape_of(struct room *room, const struct capacity *per_vm)
{
	struct plan *plan = room->plan;

	for (size_t i = 0; i < room->shapes; i++) {
		if (capacity_same(&room->shape[i].per_vm, per_vm)) {
			return &room->shape[i];
		}
	}
	if (room->shapes == ROOM_SHAPES) {
		return NULL;
	}
	if (!room->shape) {
		room->shape = malloc(ROOM_SHAPES * sizeof(*room->shape));
		assert(room->shape);
	}
	struct room_shape *shape = &room->shape[room->shapes++];
	shape->per_vm = *per_vm;
	shape->now = 0;
	shape->most = 0;
	shape->misses = 0;
	shape->open = malloc(plan->node_count * sizeof(struct node *));
	shape->open_count = 0;
	assert(shape->open || plan->node_count == 0);
	for (size_t i = 0; i < plan->node_count; i++) {
		if (!room->known) {
			look(room, plan->nodes[i]);
		}
		uint32_t now = capacity_times(*per_vm, plan->nodes[i]->free, LEASE_VMS_MAX);
		if (now > 0) {
			shape->open[shape->open_count++] = plan->nodes[i];
		}
		shape->now += now;
		const struct capacity *has = &plan->nodes[i]->info.capacity;
		if (i == 0 || !capacity_same(has, &plan->nodes[i - 1]->info.capacity)) {
			uint32_t most = capacity_times(*per_vm, *has, LEASE_VMS_MAX);
			shape->most = most > shape->most ? most : shape->most;
		}
	}
	room->known = true;
	return shape;
}

struct nodes room_nodes(struct room *room, const struct lease_spec *spec, const struct run *run)
{
	const struct room_shape *shape = NULL;

	if (run->from == RUN_BOOT && run->start_us == room->start_us) {
		shape = shape_of(room, &spec->per_vm);
	}
	return shape ? (struct nodes){shape->open, shape->open_count} : place_all(room->plan);
}

uint32_t room_most(struct room *room, struct capacity per_vm)
{
	const struct room_shape *shape = shape_of(room, &per_vm);

	return shape ? shape->most : LEASE_VMS_MAX;
}

wall_us room_bound(struct room *room, struct capacity per_vm, uint32_t n, span_us need_us)
{
	const struct room_shape *shape = shape_of(room, &per_vm);
	wall_us bound_us = room->start_us;

	if (!shape) {
		return bound_us;
	}
	if (shape->now < n) {
		bound_us++;
	}
	for (uint32_t i = 0; i < shape->misses; i++) {
		const struct room_miss *miss = &shape->miss[i];
		if (miss->n <= n && miss->need_us <= need_us && miss->from_us > bound_us) {
			bound_us = miss->from_us;
		}
	}
	return bound_us;
}

bool room_short(const struct room *room, const struct capacity *per_vm, uint32_t n)
{
	size_t i = 0;

	while (i < room->shapes && !capacity_same(&room->shape[i].per_vm, per_vm)) {
		i++;
	}
	return i < room->shapes && room->shape[i].now < n;
}

/* Counts on until there are so many. */
static uint32_t count_staged(struct room *room, const struct lease_spec *spec, uint32_t limit, bool empty)
{
	const struct plan *plan = room->plan;
	const struct room_shape *shape = empty ? NULL : shape_of(room, &spec->per_vm);
	const struct nodes nodes = shape ? (struct nodes){shape->open, shape->open_count} : place_all(plan);
	wall_us soon_us = plan->now_us + plan->settings.lead_us;
	uint32_t n = 0;

	for (size_t i = 0; i < nodes.count && n < limit; i++) {
		const struct node *node = nodes.item[i];
		struct capacity room_there = empty ? node->info.capacity : node->free;
		if (capacity_fits(spec->per_vm, room_there) && prep_ready(node, spec->image) <= soon_us) {
			n += capacity_times(spec->per_vm, room_there, limit - n);
		}
	}
	return n;
}

bool room_staged(struct room *room, const struct lease_spec *spec, uint32_t n, bool empty)
{
	struct plan *plan = room->plan;

	if (!plan->stocks) {
		plan->stocks = calloc(ROOM_STOCKS, sizeof(*plan->stocks));
		assert(plan->stocks);
	}
	/* A deep queue asks the same for every lease of an image. */
	struct room_stock *stock = &plan->stocks[(2 * spec->image + empty) % ROOM_STOCKS];
	bool known = stock->age == plan->stock_age && stock->image == spec->image && stock->empty == empty &&
		     capacity_same(&stock->per_vm, &spec->per_vm);
	if (!known || (stock->vms < n && stock->vms == stock->limit)) {
		*stock = (struct room_stock){
			.age = plan->stock_age,
			.image = spec->image,
			.per_vm = spec->per_vm,
			.empty = empty,
			.vms = count_staged(room, spec, n, empty),
			.limit = n,
		};
	}
	return stock->vms >= n;
}

void room_restaged(struct room *room)
{
	room->plan->stock_age++;
}

/* True if a says all that b does. */
static bool covers(const struct room_miss *a, const struct room_miss *b)
{
	return a->n <= b->n && a->need_us <= b->need_us && a->from_us >= b->from_us;
}

void room_learn(struct room *room, struct capacity per_vm, uint32_t n, span_us need_us, wall_us from_us)
{
	struct room_shape *shape = shape_of(room, &per_vm);
	struct room_miss miss = {n, need_us, from_us};
	uint32_t kept = 0;

	if (!shape) {
		return;
	}
	for (uint32_t i = 0; i < shape->misses; i++) {
		if (covers(&shape->miss[i], &miss)) {
			return; /* what it covers is gone already */
		}
	}
	for (uint32_t i = 0; i < shape->misses; i++) {
		if (!covers(&miss, &shape->miss[i])) {
			shape->miss[kept++] = shape->miss[i];
		}
	}
	/* Full: the newest is what those that follow in the queue will most likely ask. */
	if (kept == ROOM_FRONT) {
		kept--;
	}
	shape->miss[kept++] = miss;
	shape->misses = kept;
}

void room_taken(struct room *room, const struct unit *unit)
{
	room_restaged(room);
	if (!room->known) {
		return;
	}
	for (uint32_t i = 0; i < unit->n; i++) {
		struct node *node = unit->seat[i].node;
		struct capacity before = node->free;
		look(room, node);
		if (capacity_same(&before, &node->free)) {
			continue; /* a node of several seats, or a later start */
		}
		for (size_t s = 0; s < room->shapes; s++) {
			struct room_shape *shape = &room->shape[s];
			shape->now -= capacity_times(shape->per_vm, before, LEASE_VMS_MAX);
			shape->now += capacity_times(shape->per_vm, node->free, LEASE_VMS_MAX);
		}
	}
}

static struct run run_sought(const struct seek *seek, wall_us at_us)
{
	return (struct run){
		.prepare_us = at_us - seek->lead_us,
		.start_us = at_us,
		.end_us = at_us + seek->need_us,
		.release_us = at_us + seek->need_us + seek->plan->settings.stop_us,
	};
}

/* The first start after at_us with which the run reaches, or leaves, another change on the node. */
static wall_us next_change(const struct seek *seek, const struct node *node, wall_us at_us)
{
	struct run run = run_sought(seek, at_us);
	span_us more_us = seek->cuts ? seek->whole_us - seek->need_us : 0;
	const wall_us edge[] = {run.prepare_us, run.start_us,         run.end_us,
				run.release_us, run.end_us + more_us, run.release_us + more_us};
	wall_us next_us = WALL_NEVER;

	for (size_t i = 0; i < (seek->cuts ? 6 : 4); i++) {
		wall_us change_us = i == 0 || edge[i] != edge[i - 1] ? slots_next(node->slots, edge[i]) : WALL_NEVER;
		if (change_us < WALL_NEVER && at_us + (change_us - edge[i]) < next_us) {
			next_us = at_us + (change_us - edge[i]);
		}
	}
	return next_us;
}

/* When the count is different, or where there is room the first change that could make it so. */
static void look_ahead(const struct seek *seek, const struct node *node, struct sight *sight)
{
	sight->next_us = seek->at_us;
	if (sight->fits == 0) {
		sight->next_us =
			slots_fit(node->slots, place_limit(node, seek->spec->per_vm), seek->at_us, seek->need_us);
	}
	if (sight->next_us == seek->at_us) {
		sight->next_us = next_change(seek, node, seek->at_us);
	}
}

/* True if of that node it is known how much later its one VM could be and still have room. */
static bool may_skip(const struct seek *seek, const struct sight *sight)
{
	return seek->skips && sight->most == 1 && seek->need_us > 0 && seek->spec->kind == LEASE_BEST_EFFORT &&
	       !seek->spec->period_us && !seek->cuts;
}

/* The same of the table itself. */
static struct view_part ask_one(const struct seek *seek, const struct node *node)
{
	struct run run = run_sought(seek, seek->at_us);
	span_us slack_us = place_slack(node, seek->spec, &run);
	struct view_part part = {.from_us = seek->at_us, .fits = slack_us >= 0};

	if (part.fits) {
		part.to_us = seek->at_us + slack_us;
		part.next_us = next_change(seek, node, part.to_us);
	} else {
		part.next_us = place_start(node, seek->spec, &run, &part.to_us);
	}
	return part;
}

/* probe() where only what makes a difference to the count is looked for. */
static void probe_one(const struct seek *seek, const struct node *node, struct sight *sight)
{
	const struct view_part *known = sight->view ? view_recall(sight->view, seek->at_us) : NULL;
	const struct view_part part = known ? *known : ask_one(seek, node);

	if (!known && sight->view) {
		view_learn(sight->view, part);
	}
	sight->fits = part.fits;
	sight->next_us = part.next_us;
}

/* True if one who runs there from seek->at_us and must leave by until_us could be saved after the least run. */
static bool may_cut(const struct seek *seek, const struct node *node, const struct sight *sight, wall_us until_us)
{
	const struct plan *plan = seek->plan;
	span_us save_us = estimate_suspend(plan, node, seek->spec->per_vm.amount[RES_MEMORY]);
	span_us min_us = plan->settings.min_run_us;

	min_us = min_us < seek->whole_us ? min_us : seek->whole_us;
	return until_us >= sight->lie_us &&
	       lane_before(node->lane, until_us - save_us, save_us) - seek->at_us >= min_us;
}

/* Of those that have room only those count that could be cut short; beside them, those that need not. */
static void count_cut(const struct seek *seek, const struct node *node, struct sight *sight)
{
	struct run run = run_sought(seek, seek->at_us);
	struct capacity limit = place_limit(node, seek->spec->per_vm);
	wall_us until_us = slots_until(node->slots, limit, seek->at_us);

	run.end_us += seek->whole_us - seek->need_us;
	run.release_us += seek->whole_us - seek->need_us;
	sight->whole = place_count(node, seek->spec, &run, sight->fits);
	if (may_cut(seek, node, sight, until_us)) {
		return;
	}
	sight->fits = 0;
	if (until_us < run.end_us) {
		/* Nor is it of use any later, before it is free again. */
		sight->next_us = slots_fit(node->slots, limit, until_us, seek->need_us);
	}
}

/* How many VMs the node has room for at that time, and when that may be different. */
static void probe(const struct seek *seek, const struct node *node, struct sight *sight)
{
	struct run run = run_sought(seek, seek->at_us);

	sight->whole = 0;
	if (may_skip(seek, sight)) {
		probe_one(seek, node, sight);
		return;
	}
	sight->next_us = WALL_NEVER;
	sight->fits = sight->most ? place_count(node, seek->spec, &run, sight->most) : 0;
	if (sight->most) {
		look_ahead(seek, node, sight);
	}
	if (seek->cuts && sight->fits) {
		count_cut(seek, node, sight);
	}
}

/* From here on every change counts, also where it makes no difference to the count. */
static void stop_skipping(struct seek *seek)
{
	struct plan *plan = seek->plan;

	for (size_t i = 0; i < plan->node_count && seek->skips; i++) {
		struct sight *sight = &plan->sights[i];
		if (may_skip(seek, sight)) {
			look_ahead(seek, plan->nodes[i], sight);
		}
	}
	seek->skips = false;
}

/* From when on nodes may have room for so many more VMs at most: before that they have not. WALL_NEVER = never. */
static wall_us gained(struct gain *gain, size_t count, uint64_t vms)
{
	while (count > 0) {
		const wall_us pivot_us = gain[count / 2].at_us;
		uint64_t sooner = 0, then = 0;
		size_t low = 0, high = count;
		for (size_t i = 0; i < high;) {
			const struct gain each = gain[i];
			if (each.at_us < pivot_us) {
				sooner += each.vms;
				gain[i++] = gain[low];
				gain[low++] = each;
			} else if (each.at_us > pivot_us) {
				gain[i] = gain[--high];
				gain[high] = each;
			} else {
				then += each.vms;
				i++;
			}
		}
		if (vms > sooner && vms <= sooner + then) {
			return pivot_us;
		}
		if (vms <= sooner) {
			count = low;
		} else {
			vms -= sooner + then;
			gain += high;
			count -= high;
		}
	}
	return WALL_NEVER;
}

/* The next time at which anything may be different, or while there is too little room the next at which it may suffice.
 */
static wall_us next_time(const struct seek *seek)
{
	struct plan *plan = seek->plan;
	wall_us next_us = WALL_NEVER;
	size_t gains = 0;

	for (size_t i = 0; i < plan->node_count; i++) {
		const struct sight *sight = &plan->sights[i];
		next_us = sight->next_us < next_us ? sight->next_us : next_us;
		if (sight->fits < sight->most && sight->next_us < WALL_NEVER) {
			plan->gains = plan_grow(plan->gains, gains, &plan->gain_room, sizeof(*plan->gains));
			plan->gains[gains++] = (struct gain){sight->next_us, sight->most - sight->fits};
		}
	}
	if (seek->total + 1 >= seek->n) {
		return next_us;
	}
	wall_us enough_us = gained(plan->gains, gains, seek->n - seek->total);
	return enough_us < WALL_NEVER ? enough_us : next_us;
}

/* On to that. */
static bool advance(struct seek *seek)
{
	struct plan *plan = seek->plan;
	wall_us next_us = next_time(seek);

	seek->late = next_us < WALL_NEVER && seek->until_us && next_us > seek->until_us;
	if (next_us >= WALL_NEVER || seek->late) {
		return false;
	}
	seek->at_us = next_us;
	for (size_t i = 0; i < plan->node_count; i++) {
		struct sight *sight = &plan->sights[i];
		if (sight->next_us <= next_us) {
			seek->total -= sight->fits;
			seek->whole -= sight->whole;
			probe(seek, plan->nodes[i], sight);
			seek->total += sight->fits;
			seek->whole += sight->whole;
		}
	}
	return true;
}

static bool enough(const struct seek *seek)
{
	return seek->total >= seek->n || seek->whole >= seek->n;
}

/* On until there is room. */
static bool go_on(struct seek *seek)
{
	do {
		if (!advance(seek)) {
			return false;
		}
	} while (!enough(seek));
	return true;
}

/*
 * Who is cut short lies suspended for all that is known, and what many lie on can take no more of them. Then there may
 * be any number of gaps long enough to begin in, and none of them is of use.
 */
static void look_where_to_lie(struct seek *seek, wall_us from_us)
{
	struct capacity use = slot_use(SLOT_HOLD, seek->spec->per_vm);
	const struct plan *plan = seek->plan;
	uint64_t vms = 0;

	seek->cuts = seek->whole_us > seek->need_us;
	for (size_t i = 0; i < plan->node_count && seek->cuts; i++) {
		const struct node *node = plan->nodes[i];
		struct sight *sight = &plan->sights[i];
		sight->lie_us = slots_fit(node->slots, place_limit(node, use), from_us, WALL_NEVER);
		vms += sight->lie_us < WALL_NEVER ? sight->most : 0;
	}
	if (seek->cuts && vms < seek->n) {
		seek->need_us = seek->whole_us;
		seek->cuts = false;
	}
}

bool seek_first(struct seek *seek, wall_us from_us)
{
	struct plan *plan = seek->plan;

	seek->at_us = from_us;
	seek->total = 0;
	seek->whole = 0;
	seek->skips = true;
	for (size_t i = 0; i < plan->node_count; i++) {
		const struct node *node = plan->nodes[i];
		plan->sights = plan_grow(plan->sights, i, &plan->sight_room, sizeof(*plan->sights));
		plan->sights[i].most = node_takes_new(node) ? place_most(plan, node, seek->spec, seek->n) : 0;
	}
	look_where_to_lie(seek, from_us);
	const struct run run = run_sought(seek, from_us);
	for (size_t i = 0; i < plan->node_count; i++) {
		struct sight *sight = &plan->sights[i];
		sight->view = may_skip(seek, sight) ? view_of(plan->nodes[i], seek->spec->per_vm, &run) : NULL;
		probe(seek, plan->nodes[i], sight);
		seek->total += sight->fits;
		seek->whole += sight->whole;
	}
	return enough(seek) || go_on(seek);
}

bool seek_next(struct seek *seek)
{
	stop_skipping(seek);
	return go_on(seek);
}
