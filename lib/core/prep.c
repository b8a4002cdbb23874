/* Plans image transfers on the repository's one link, and follows them. Moves no lease. */
#include "prep.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "estimate.h"

#define LATE_TRIES 4 /* a transfer that takes this many times its estimate is begun anew */

struct stage *prep_find(const struct node *node, uint64_t image)
{
	struct stage *stage;

	DL_FOREACH (node->stages, stage) {
		if (stage->image == image) {
			return stage;
		}
	}
	return NULL;
}

struct stage *prep_stage(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_find(node, image);
	const struct image_info *info = plan_find_image(plan, image);

	if (!stage) {
		stage = calloc(1, sizeof(*stage));
		assert(stage);
		stage->node = node;
		stage->image = image;
		stage->size = info ? info->size : 0;
		DL_APPEND(node->stages, stage);
	}
	return stage;
}

bool prep_present(const struct node *node, uint64_t image)
{
	const struct stage *stage = prep_find(node, image);

	return stage && stage->present;
}

wall_us prep_ready(const struct node *node, uint64_t image)
{
	const struct stage *stage = prep_find(node, image);

	if (stage && stage->present) {
		return 0;
	}
	return stage && stage->on_link ? stage->transfer.end_us : WALL_NEVER;
}

bool prep_pool_fits(const struct plan *plan, const struct node *node, uint64_t image, const struct run *run)
{
	const struct stage *stage = prep_find(node, image);
	const struct image_info *info = plan_find_image(plan, image);

	(void)run;
	if (stage && stage->users) {
		return true;
	}
	return info && node->pool_booked <= node->info.pool_bytes - info->size;
}

void stage_touch(struct plan *plan, struct stage *stage)
{
	if (stage->touched) {
		return;
	}
	stage->touched = true;
	stage->old = stage->transfer;
	plan->staged = plan_grow(plan->staged, plan->staged_count, &plan->staged_room, sizeof(*plan->staged));
	plan->staged[plan->staged_count++] = stage;
}

static span_us duration(const struct plan *plan, const struct stage *stage)
{
	return estimate_bytes(stage->size, plan->settings.repository_rate);
}

bool prep_begun(const struct plan *plan, const struct stage *stage)
{
	/* What counts is what its node was told, not what this step has tried since. */
	const struct transfer *told = stage->touched ? &stage->old : &stage->transfer;

	return stage->on_link && told->id && told->id == stage->transfer.id &&
	       told->start_us <= plan->now_us + plan->settings.lead_us;
}

static void link_remove(struct plan *plan, struct stage *stage)
{
	size_t i = 0;

	while (plan->link[i] != stage) {
		i++;
	}
	memmove(&plan->link[i], &plan->link[i + 1], (plan->link_count - i - 1) * sizeof(*plan->link));
	plan->link_count--;
	stage->on_link = false;
}

static void link_insert(struct plan *plan, struct stage *stage)
{
	size_t i = plan->link_count;

	plan->link = plan_grow(plan->link, plan->link_count, &plan->link_room, sizeof(*plan->link));
	for (; i > 0 && plan->link[i - 1]->transfer.start_us > stage->transfer.start_us; i--) {
		plan->link[i] = plan->link[i - 1];
	}
	plan->link[i] = stage;
	plan->link_count++;
	stage->on_link = true;
}

/* True if the guest was promised and waits for its image. */
static bool promised(const struct guest *guest)
{
	const struct vm *vm = guest->vm;

	return guest->contract->lease.spec.kind != LEASE_BEST_EFFORT && vm->planned &&
	       (vm->state == LEASE_SCHEDULED || vm->state == LEASE_PREPARING);
}

/* The earliest time a promised guest wants to begin with the image; WALL_NEVER if only best-effort ones wait for it. */
static wall_us deadline_of(const struct stage *stage)
{
	wall_us deadline_us = WALL_NEVER;
	const struct guest *guest;

	for (guest = guest_first(stage->node); guest; guest = guest_next(guest)) {
		if (guest->contract->lease.spec.image == stage->image && promised(guest) &&
		    guest->vm->run.prepare_us < deadline_us) {
			deadline_us = guest->vm->run.prepare_us;
		}
	}
	return deadline_us;
}

/* True if a best-effort guest waits for it too. */
static bool ridden(const struct stage *stage)
{
	const struct guest *guest;

	for (guest = guest_first(stage->node); guest; guest = guest_next(guest)) {
		const struct lease_spec *spec = &guest->contract->lease.spec;
		if (spec->image == stage->image && spec->kind == LEASE_BEST_EFFORT && guest->vm->planned) {
			return true;
		}
	}
	return false;
}

static void put(struct plan *plan, struct stage *stage, wall_us start_us)
{
	stage_touch(plan, stage);
	stage->transfer.start_us = start_us;
	stage->transfer.end_us = start_us + duration(plan, stage);
}

/* A new transfer, not on the link yet. Taken off and put back in one step it stays the same one. */
static void begin_anew(struct plan *plan, struct stage *stage)
{
	bool same = stage->touched && stage->old.id && stage->transfer.state == TRANSFER_PLANNED &&
		    stage->transfer.id == stage->old.id;

	stage_touch(plan, stage);
	stage->transfer = (struct transfer){
		.id = same ? stage->old.id : 0,
		.image = stage->image,
		.node = stage->node->info.id,
		.state = TRANSFER_PLANNED,
		.deadline_us = WALL_NEVER,
	};
}

static int by_place(const struct stage *x, const struct stage *y)
{
	if (x->node->info.id != y->node->info.id) {
		return x->node->info.id < y->node->info.id ? -1 : 1;
	}
	return x->image < y->image ? -1 : x->image > y->image;
}

static int by_deadline(const void *a, const void *b)
{
	const struct stage *x = *(struct stage *const *)a, *y = *(struct stage *const *)b;

	if (x->transfer.deadline_us != y->transfer.deadline_us) {
		return x->transfer.deadline_us < y->transfer.deadline_us ? -1 : 1;
	}
	return by_place(x, y);
}

static int by_turn(const void *a, const void *b)
{
	const struct stage *x = *(struct stage *const *)a, *y = *(struct stage *const *)b;

	if (x->turn_us != y->turn_us) {
		return x->turn_us < y->turn_us ? -1 : 1;
	}
	return by_place(x, y);
}

/* The first gap on the link of n (by start) from from_us on that takes length_us. */
static wall_us gap(struct stage *const *link, size_t n, wall_us from_us, span_us length_us)
{
	for (size_t i = 0; i < n; i++) {
		const struct transfer *t = &link[i]->transfer;
		if (t->start_us >= from_us && t->start_us - from_us >= length_us) {
			break;
		}
		from_us = t->end_us > from_us ? t->end_us : from_us;
	}
	return from_us;
}

/* Puts promised transfers in order of deadline, each as late as its deadline and the next one's start allow. */
static void layout_promised(struct plan *plan, struct stage **item, size_t n, wall_us from_us)
{
	wall_us next_us = WALL_NEVER;

	for (size_t i = n; i-- > 0;) {
		span_us length_us = duration(plan, item[i]);
		/* Just in time, but not to the last second: rates are estimates. */
		wall_us end_us = item[i]->transfer.deadline_us - length_us / 4 - plan->settings.lead_us;
		end_us = end_us < next_us ? end_us : next_us;
		put(plan, item[i], end_us - length_us);
		next_us = item[i]->transfer.start_us;
	}
	for (size_t i = 0; i < n; i++) {
		if (item[i]->transfer.start_us < from_us) {
			put(plan, item[i], from_us);
		}
		from_us = item[i]->transfer.end_us;
	}
}

/* Moves a transfer that waits on the link into the first gap from from_us on, if that is before its place. */
static void advance(struct plan *plan, struct stage *stage, wall_us from_us)
{
	if (from_us >= stage->transfer.start_us) {
		return;
	}
	link_remove(plan, stage);
	wall_us start_us = gap(plan->link, plan->link_count, from_us, duration(plan, stage));
	if (start_us < stage->transfer.start_us) {
		put(plan, stage, start_us);
	}
	link_insert(plan, stage);
}

/* Those of the link not begun yet, by deadline, into rest; begun ones stay on the link. Returns how many. */
static size_t take_waiting(struct plan *plan, struct stage **rest, wall_us *from_us)
{
	size_t begun = 0, n = 0;

	for (size_t i = 0; i < plan->link_count; i++) {
		struct stage *stage = plan->link[i];
		if (prep_begun(plan, stage)) {
			plan->link[begun++] = stage;
			*from_us = stage->transfer.end_us > *from_us ? stage->transfer.end_us : *from_us;
		} else {
			rest[n++] = stage;
		}
	}
	plan->link_count = begun;
	qsort(rest, n, sizeof(struct stage *), by_deadline);
	return n;
}

void prep_layout(struct plan *plan)
{
	wall_us from_us = plan->now_us + plan->settings.lead_us, slack_us;
	size_t promised = 0;

	if (plan->link_count == 0) {
		return;
	}
	struct stage **rest = calloc(plan->link_count, sizeof(struct stage *));
	assert(rest);
	size_t n = take_waiting(plan, rest, &from_us);
	while (promised < n && rest[promised]->transfer.deadline_us < WALL_NEVER) {
		promised++;
	}
	for (size_t i = 0; i < n; i++) {
		rest[i]->turn_us = rest[i]->transfer.start_us;
	}
	layout_promised(plan, rest, promised, from_us);
	for (size_t i = 0; i < promised; i++) {
		link_insert(plan, rest[i]);
	}
	/* The slack, in turn: what was planned for best-effort guests must not come later than before. */
	qsort(rest, n, sizeof(struct stage *), by_turn);
	slack_us = from_us;
	for (size_t i = 0; i < n; i++) {
		if (rest[i]->transfer.deadline_us == WALL_NEVER) {
			put(plan, rest[i], gap(plan->link, plan->link_count, slack_us, duration(plan, rest[i])));
			slack_us = rest[i]->transfer.end_us;
			link_insert(plan, rest[i]);
		} else if (rest[i]->wanted == plan->step || ridden(rest[i])) {
			advance(plan, rest[i], from_us);
		}
	}
	free(rest);
}

void prep_ahead(struct plan *plan)
{
	wall_us from_us = plan->now_us + plan->settings.lead_us;

	if (plan->link_count == 0 || plan->settings.stage_ahead_us == 0) {
		return;
	}
	struct stage **rest = calloc(plan->link_count, sizeof(struct stage *));
	assert(rest);
	size_t n = take_waiting(plan, rest, &from_us);
	for (size_t i = 0; i < n; i++) {
		link_insert(plan, rest[i]);
	}
	for (size_t i = 0; i < n && rest[i]->transfer.deadline_us < WALL_NEVER; i++) {
		wall_us ahead_us = rest[i]->transfer.deadline_us - plan->settings.stage_ahead_us;
		advance(plan, rest[i], ahead_us > from_us ? ahead_us : from_us);
	}
	free(rest);
}

void prep_use(struct plan *plan, struct node *node, const struct guest *guest)
{
	struct stage *stage = prep_stage(plan, node, guest->contract->lease.spec.image);

	if (stage->users++ == 0) {
		node->pool_booked += stage->size;
	}
	if (stage->on_link && !plan->restoring && promised(guest) &&
	    guest->vm->run.prepare_us < stage->transfer.deadline_us) {
		stage_touch(plan, stage);
		stage->transfer.deadline_us = guest->vm->run.prepare_us;
	}
}

void prep_leave(struct plan *plan, struct node *node, const struct guest *guest)
{
	struct stage *stage = prep_find(node, guest->contract->lease.spec.image);

	assert(stage && stage->users > 0);
	if (--stage->users == 0) {
		node->pool_booked -= stage->size;
	}
	if (stage->on_link && guest->contract->lease.spec.kind != LEASE_BEST_EFFORT) {
		stage_touch(plan, stage);
		stage->transfer.deadline_us = deadline_of(stage);
	}
}

static void refresh(struct plan *plan, struct stage *stage)
{
	if (stage && stage->on_link) {
		stage_touch(plan, stage);
		stage->transfer.deadline_us = deadline_of(stage);
	}
}

void prep_withdraw(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		refresh(plan, prep_find(nodes[i], image));
	}
	prep_trim(plan);
}

static size_t late_count(const struct plan *plan)
{
	size_t late = 0;

	for (size_t i = 0; i < plan->link_count; i++) {
		late += plan->link[i]->transfer.end_us > plan->link[i]->transfer.deadline_us;
	}
	return late;
}

bool prep_promise(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n, wall_us deadline_us)
{
	size_t late = late_count(plan);

	for (size_t i = 0; i < n; i++) {
		struct stage *stage = prep_stage(plan, nodes[i], image);
		if (stage->present) {
			continue;
		}
		if (!stage->on_link) {
			begin_anew(plan, stage);
			stage->transfer.start_us = WALL_NEVER;
			link_insert(plan, stage);
		}
		stage_touch(plan, stage);
		if (deadline_us < stage->transfer.deadline_us) {
			stage->transfer.deadline_us = deadline_us;
		}
	}
	prep_layout(plan);
	if (late_count(plan) <= late) {
		return true;
	}
	prep_withdraw(plan, image, nodes, n);
	return false;
}

static wall_us append_one(struct plan *plan, uint64_t image, struct node *node)
{
	struct stage *stage = prep_stage(plan, node, image);
	wall_us from_us = plan->now_us + plan->settings.lead_us;

	if (stage->on_link && !prep_begun(plan, stage)) {
		stage->wanted = plan->step;
		advance(plan, stage, from_us);
	}
	if (stage->present || stage->on_link) {
		return prep_ready(node, image);
	}
	for (size_t i = 0; i < plan->link_count; i++) {
		const struct transfer *t = &plan->link[i]->transfer;
		if (t->deadline_us == WALL_NEVER && t->end_us > from_us) {
			from_us = t->end_us;
		}
	}
	begin_anew(plan, stage);
	put(plan, stage, gap(plan->link, plan->link_count, from_us, duration(plan, stage)));
	link_insert(plan, stage);
	return stage->transfer.end_us;
}

wall_us prep_append(struct plan *plan, uint64_t image, struct node *const *nodes, size_t n)
{
	wall_us ready_us = 0;

	for (size_t i = 0; i < n; i++) {
		wall_us end_us = append_one(plan, image, nodes[i]);
		ready_us = end_us > ready_us ? end_us : ready_us;
	}
	return ready_us;
}

wall_us prep_earliest(const struct plan *plan, uint64_t image, uint32_t nodes)
{
	const struct image_info *info = plan_find_image(plan, image);
	wall_us at_us = plan->now_us + plan->settings.lead_us;

	for (size_t i = 0; i < plan->link_count; i++) {
		const struct transfer *t = &plan->link[i]->transfer;
		at_us = prep_begun(plan, plan->link[i]) && t->end_us > at_us ? t->end_us : at_us;
	}
	return at_us + nodes * estimate_bytes(info->size, plan->settings.repository_rate);
}

void prep_trim(struct plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->link_count; i++) {
		struct stage *stage = plan->link[i];
		if (stage->users || prep_begun(plan, stage)) {
			plan->link[kept++] = stage;
		} else {
			stage_touch(plan, stage);
			stage->on_link = false;
		}
	}
	plan->link_count = kept;
	prep_layout(plan);
}

void prep_seen_present(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_stage(plan, node, image);

	if (stage->present) {
		return;
	}
	stage->present = true;
	plan->queue_due = true;
	if (stage->on_link) {
		stage_touch(plan, stage);
		stage->transfer.state = TRANSFER_DONE;
		stage->transfer.end_us = plan->now_us;
		if (stage->transfer.start_us > plan->now_us) {
			stage->transfer.start_us = plan->now_us;
		}
		link_remove(plan, stage);
		prep_layout(plan);
	}
}

void prep_seen_absent(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_find(node, image);

	if (!stage || !stage->present) {
		return;
	}
	stage->present = false;
	plan->queue_due = true;
	if (deadline_of(stage) < WALL_NEVER) {
		begin_anew(plan, stage);
		stage->transfer.deadline_us = deadline_of(stage);
		stage->transfer.start_us = WALL_NEVER;
		link_insert(plan, stage);
		prep_layout(plan);
	}
}

void prep_seen_failed(struct plan *plan, struct node *node, uint64_t image)
{
	struct stage *stage = prep_find(node, image);

	if (stage && stage->on_link) {
		stage_touch(plan, stage);
		stage->transfer.state = TRANSFER_FAILED;
		stage->transfer.end_us = plan->now_us;
		if (stage->transfer.start_us > plan->now_us) {
			stage->transfer.start_us = plan->now_us;
		}
		link_remove(plan, stage);
		plan->queue_due = true;
	}
}

/* Guests that wait for a transfer under way are being prepared. */
static void show_preparing(struct plan *plan, struct stage *stage)
{
	struct guest *guest;

	for (guest = guest_first(stage->node); guest; guest = guest_next(guest)) {
		if (guest->contract->lease.spec.image == stage->image && guest->vm->state == LEASE_SCHEDULED) {
			guest_move(plan, guest, LEASE_PREPARING);
		}
	}
}

/* A transfer that is late goes on; one that is hopelessly late is planned anew, behind what cannot wait. */
static void put_off(struct plan *plan, struct stage *stage)
{
	span_us length_us = duration(plan, stage);
	wall_us deadline_us = stage->transfer.deadline_us;
	span_us more_us = length_us / 4 > USEC_PER_SEC ? length_us / 4 : USEC_PER_SEC;

	stage_touch(plan, stage);
	plan->queue_due = true;
	if (plan->now_us - stage->transfer.start_us < LATE_TRIES * (length_us + USEC_PER_SEC)) {
		stage->transfer.end_us = plan->now_us + more_us;
		return;
	}
	stage->transfer.id = 0; /* the old row is closed as failed */
	begin_anew(plan, stage);
	stage->transfer.deadline_us = deadline_us;
	stage->transfer.start_us = WALL_NEVER;
}

void prep_tick(struct plan *plan)
{
	bool moved = false;

	for (size_t i = 0; i < plan->link_count; i++) {
		struct stage *stage = plan->link[i];
		if (stage->transfer.start_us > plan->now_us) {
			break;
		}
		show_preparing(plan, stage);
		if (stage->transfer.end_us <= plan->now_us && stage->node->info.state != NODE_SILENT) {
			put_off(plan, stage);
			moved = true;
		}
	}
	if (moved) {
		prep_layout(plan);
	}
}

wall_us prep_next(const struct plan *plan)
{
	wall_us next_us = WALL_NEVER;

	for (size_t i = 0; i < plan->link_count; i++) {
		const struct transfer *t = &plan->link[i]->transfer;
		if (t->start_us > plan->now_us) {
			return t->start_us < next_us ? t->start_us : next_us;
		}
		if (t->end_us < next_us &&
		    (t->end_us > plan->now_us || plan->link[i]->node->info.state != NODE_SILENT)) {
			next_us = t->end_us;
		}
	}
	return next_us;
}

void prep_restore(struct plan *plan, struct stage *stage, const struct transfer *transfer)
{
	stage->transfer = *transfer;
	link_insert(plan, stage);
}
