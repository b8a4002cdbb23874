/* The planner's door: one event in, one list of actions out; and the questions that change nothing. */
#include "plan.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "arrival.h"
#include "deadline.h"
#include "link.h"
#include "plan_state.h"
#include "policy.h"
#include "prep.h"
#include "queue.h"
#include "view.h"

static int contract_compare(const struct contract *a, const struct contract *b)
{
	return a->lease.id < b->lease.id ? -1 : a->lease.id > b->lease.id;
}

RB_GENERATE(contracts, contract, by_id, contract_compare)
RB_GENERATE(turns, contract, by_turn, contract_compare)
RB_GENERATE(deadlines, contract, by_turn, deadline_compare)

struct plan_settings plan_defaults(void)
{
	return (struct plan_settings){
		.lead_us = 1 * USEC_PER_SEC,
		.prepare_us = 5 * USEC_PER_SEC,
		.stop_us = 2 * USEC_PER_SEC,
		.suspend_us = 1 * USEC_PER_SEC,
		.resume_us = 1 * USEC_PER_SEC,
		.min_run_us = 30 * USEC_PER_SEC,
		.grace_us = 60 * USEC_PER_SEC,
		.late_us = 1 * USEC_PER_SEC,
		.stage_ahead_us = USEC_PER_DAY,
		.repository_rate = INT64_C(100000000),
		.staging = STAGING_EDF_JIT,
		.suspension = SUSPENSION_ALL,
		.exclusion = EXCLUSION_LOCAL,
		.learn = true,
		.migration = MIGRATION_NO,
		.disks = DISKS_OVERLAY,
		.backfill = BACKFILL_AGGRESSIVE,
		.queue = policy_queue("trial"),
		.host = policy_host("image"),
		.victim = policy_victim("youngest"),
		.admission = policy_admission("all"),
		.share_half_us = 7 * USEC_PER_DAY,
		.price = policy_price("free"),
	};
}

struct plan *plan_new(const struct plan_settings *settings)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	assert(plan);
	plan->settings = settings ? *settings : plan_defaults();
	plan->settings.min_run_us = plan->settings.min_run_us > 0 ? plan->settings.min_run_us : 1;
	plan->lane = plan->settings.exclusion == EXCLUSION_GLOBAL ? lane_new() : NULL;
	plan->step = 1; /* 0 is that of flights never hastened */
	link_init(plan);
	RB_INIT(&plan->contracts);
	plan->glance = glance_new();
	plan->freed_by = UINT64_MAX;
	RB_INIT(&plan->turns);
	RB_INIT(&plan->deadlines);
	return plan;
}

static void node_free(struct node *node)
{
	for (size_t i = 0; i < node->stage_count; i++) {
		free(node->stages[i].stage);
	}
	free(node->stages);
	slots_free(node->pool);
	slots_free(node->slots);
	slots_free(node->firm);
	free(node->learnt.item);
	view_free(node->views);
	free(node);
}

void plan_free(struct plan *plan)
{
	struct contract *contract;

	if (!plan) {
		return;
	}
	plan_forget(plan);
	while ((contract = RB_ROOT(&plan->contracts))) {
		RB_REMOVE(contracts, &plan->contracts, contract);
		contract_free(contract);
	}
	for (size_t i = 0; i < plan->node_count; i++) {
		if (!plan->lane) {
			lane_free(plan->nodes[i]->lane);
		}
		node_free(plan->nodes[i]);
	}
	lane_free(plan->lane);
	free(plan->nodes);
	free(plan->columns);
	glance_free(plan->glance);
	free(plan->images);
	free(plan->copies);
	link_fini(plan);
	free(plan->loose);
	free(plan->orphans.item);
	free(plan->shares);
	free(plan->order);
	free(plan->backlog.item);
	free(plan->backlog.other);
	free(plan->arrived);
	free(plan->memories);
	free(plan->touched);
	free(plan->picked);
	free(plan->late);
	free(plan->staged);
	free(plan->changed);
	timers_fini(&plan->timers);
	free(plan->refusals);
	free(plan->sights);
	free(plan->gains);
	free(plan->stocks);
	free(plan->rows);
	free(plan);
}

struct node *plan_find_node(const struct plan *plan, uint32_t id)
{
	size_t low = 0, high = plan->node_count;
	size_t near = high ? id - plan->nodes[0]->info.id : 0;

	/* Mostly there are no gaps. */
	if (near < high && plan->nodes[near]->info.id == id) {
		return plan->nodes[near];
	}
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (plan->nodes[middle]->info.id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < plan->node_count && plan->nodes[low]->info.id == id ? plan->nodes[low] : NULL;
}

const struct image_info *plan_find_image(const struct plan *plan, uint64_t id)
{
	size_t low = 0, high = plan->image_count;
	size_t near = high ? id - plan->images[0].id : 0;

	if (near < high && plan->images[near].id == id) {
		return &plan->images[near];
	}
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (plan->images[middle].id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < plan->image_count && plan->images[low].id == id ? &plan->images[low] : NULL;
}

struct contract *plan_find_contract(const struct plan *plan, uint64_t id)
{
	struct contract key = {.lease = {.id = id}};

	return RB_FIND(contracts, (struct contracts *)&plan->contracts, &key);
}

static void pool_event(struct plan *plan, const struct event *event)
{
	struct node *node = plan_find_node(plan, event->pool.node);

	if (!node || !plan_find_image(plan, event->pool.image)) {
		return;
	}
	if (event->kind == EVENT_IMAGE_PRESENT) {
		arrival_seen(plan, node, event->pool.image);
	} else if (event->kind == EVENT_IMAGE_ABSENT) {
		arrival_vanished(plan, node, event->pool.image);
	} else {
		plan_transfer_failed(plan, node, event->pool.image);
	}
}

static void take(struct plan *plan, const struct event *event)
{
	switch (event->kind) {
	case EVENT_TICK:
		break;
	case EVENT_LEASE_REQUESTED:
		if (event->requested.id && !plan_find_contract(plan, event->requested.id)) {
			plan_request(plan, event->requested.id, &event->requested.spec);
		}
		break;
	case EVENT_LEASE_CANCELLED:
		plan_cancel(plan, event->cancelled);
		break;
	case EVENT_LEASE_RESIZED:
		plan_resize(plan, event->resized.id, event->resized.duration_us);
		break;
	case EVENT_LEASE_CALLED:
		plan_call(plan, event->called);
		break;
	case EVENT_LEASE_TUNED:
		plan_tune(plan, event->tuned.id, event->tuned.slice_us, event->tuned.period_us);
		break;
	case EVENT_NODE:
		plan_node_event(plan, &event->node);
		break;
	case EVENT_IMAGE_ADDED:
		plan_image_event(plan, &event->image);
		break;
	case EVENT_IMAGE_REMOVED:
		plan_image_removed(plan, event->image_removed);
		break;
	case EVENT_IMAGE_PRESENT:
	case EVENT_IMAGE_ABSENT:
	case EVENT_TRANSFER_FAILED:
		pool_event(plan, event);
		break;
	case EVENT_VM_SEEN:
		plan_vm_seen(plan, event);
		break;
	case EVENT_KIND_COUNT:
		break;
	}
}

/* True if a user wants something, rather than the cluster telling of something. */
static bool of_user(enum event_kind kind)
{
	return kind == EVENT_LEASE_REQUESTED || kind == EVENT_LEASE_CANCELLED || kind == EVENT_LEASE_RESIZED ||
	       kind == EVENT_LEASE_CALLED || kind == EVENT_LEASE_TUNED;
}

/*
 * Who ends at the very time of his end is not late, so all that is told of guests comes before conclusions from that
 * nothing was; but those who are late keep their nodes before anybody is promised them.
 */
static void take_all(struct plan *plan, const struct event *events, size_t count)
{
	bool looked = false;

	for (size_t i = 0; i < count; i++) {
		if (!looked && of_user(events[i].kind)) {
			plan_overdue(plan);
			looked = true;
		}
		take(plan, &events[i]);
	}
	if (!looked) {
		plan_overdue(plan);
	}
}

/*
 * True if with this step the queue policy's time for a pass has come. Of a planner that was rebuilt nobody knows when
 * it was asked last: it is as if that had been just before.
 */
static bool tick(const struct plan *plan, wall_us before_us)
{
	span_us tick_us = plan->settings.queue->tick_us;

	if (tick_us == 0) {
		return false;
	}
	return before_us ? plan->now_us / tick_us > before_us / tick_us : plan->now_us % tick_us == 0;
}

/* Before anything may want to move a transfer. A planner that was rebuilt learns only now which are under way. */
static void begin_transfers(struct plan *plan)
{
	link_begin(plan);
	if (plan->restored) {
		prep_still_going(plan);
	}
}

void plan_step(struct plan *plan, const struct event *events, size_t count, wall_us now, struct actions *out)
{
	wall_us before_us = plan->now_us;

	out->count = 0;
	plan_forget(plan);
	plan->now_us = now > plan->now_us ? now : plan->now_us;
	glance_pass(plan->glance, plan->now_us);
	plan->queue_due = false;
	plan->queue_look = orphans_sweep(plan);
	plan->queue_look = tick(plan, before_us) || plan->queue_look;
	plan_owe_less(plan);
	begin_transfers(plan);
	plan_timers(plan);
	arrival_tick(plan);
	take_all(plan, events, count);
	if ((plan->queue_due || plan->queue_look) && !RB_EMPTY(&plan->turns)) {
		queue_pass(plan);
	} else if (plan->arrived_count) {
		queue_arrivals(plan);
	}
	prep_ahead(plan);
	plan_emit(plan, out);
	plan->restored = false;
}

struct offer plan_offer(const struct plan *plan)
{
	return plan->offer;
}

/* Fills in what a planned lease would get. */
static void describe(const struct contract *contract, struct plan_answer *answer)
{
	uint32_t room = sizeof(answer->node) / sizeof(answer->node[0]);

	answer->accepted = true;
	answer->price = contract->lease.price;
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		const struct vm *vm = contract->guest[i].vm;
		uint32_t seen = 0;
		if (!vm->planned && !guest_stands_by(&contract->guest[i])) {
			continue;
		}
		if (answer->start_us == 0 || vm->run.start_us < answer->start_us) {
			answer->start_us = vm->run.start_us;
		}
		while (seen < answer->nodes && answer->node[seen] != vm->node) {
			seen++;
		}
		if (seen == answer->nodes && seen < room) {
			answer->node[answer->nodes++] = vm->node;
		}
	}
}

void plan_ask(struct plan *plan, const struct lease_spec *spec, wall_us now, struct plan_answer *answer)
{
	const uint64_t id = UINT64_MAX; /* after all others, as a new request would be */
	size_t orphans = plan->orphans.count;

	plan->now_us = now > plan->now_us ? now : plan->now_us;
	*answer = (struct plan_answer){0};
	plan_owe_less(plan);
	begin_transfers(plan);
	plan_request(plan, id, spec);
	struct contract *contract = plan_find_contract(plan, id);
	if (contract->lease.state == LEASE_REJECTED) {
		answer->reason = contract->why;
		answer->offer = plan->offer;
	} else {
		queue_pass(plan);
		if (contract->booked == 0) {
			queue_reserve(plan, contract);
		}
		describe(contract, answer);
	}
	plan_rollback(plan, orphans);
	RB_REMOVE(contracts, &plan->contracts, contract);
	if (answer->accepted) {
		contract_delist(plan, contract);
	}
	contract_free(contract);
}

const struct lease *plan_lease(const struct plan *plan, uint64_t id)
{
	const struct contract *contract = plan_find_contract(plan, id);

	for (const struct contract *ended = plan->ended; !contract && ended; ended = ended->next) {
		contract = ended->lease.id == id ? ended : NULL;
	}
	return contract ? &contract->lease : NULL;
}

const struct node_info *plan_node(const struct plan *plan, uint32_t id)
{
	const struct node *node = plan_find_node(plan, id);

	return node ? &node->info : NULL;
}

bool plan_image_needed(const struct plan *plan, uint64_t image)
{
	struct contract *contract;

	RB_FOREACH (contract, contracts, (struct contracts *)&plan->contracts) {
		if (contract->lease.spec.image == image) {
			return true;
		}
	}
	return false;
}

void plan_each_lease(const struct plan *plan, bool (*fn)(const struct lease *lease, void *arg), void *arg)
{
	struct contract *contract;

	RB_FOREACH (contract, contracts, (struct contracts *)&plan->contracts) {
		if (!fn(&contract->lease, arg)) {
			return;
		}
	}
}

void plan_each_transfer(const struct plan *plan, uint32_t id, bool (*fn)(const struct transfer *transfer, void *arg),
			void *arg)
{
	const struct node *node = plan_find_node(plan, id);

	for (size_t i = 0; node && i < node->stage_count; i++) {
		const struct stage *stage = node->stages[i].stage;
		struct transfer there = {.image = stage->image, .node = id, .state = TRANSFER_DONE};
		bool needed = stage->present && prep_needed(plan, stage);
		if ((stage->flight && !fn(&stage->transfer, arg)) || (needed && !fn(&there, arg))) {
			return;
		}
	}
}
