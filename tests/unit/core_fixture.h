/* A small cluster and a planner for the tests of lib/core: events by one call each, the last step's actions at hand. */
#ifndef TENURE_CORE_FIXTURE_H
#define TENURE_CORE_FIXTURE_H

#include <check.h>
#include <string.h>

#include "check.h"
#include "plan.h"
#include "policy.h"
#include "suite.h"

#define SEC USEC_PER_SEC
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define IMAGE_SIZE INT64_C(1000000000) /* 10 s on the link */

static struct plan *plan;
static struct plan_settings settings;
static struct actions actions;
static wall_us now;
static uint64_t last_lease;

static inline void tell(const struct event *event)
{
	struct check_fault fault = {0};

	plan_step(plan, event, 1, now, &actions);
	enum check_rule rule = check_plan(plan, &fault);
	ck_assert_msg(rule == CHECK_OK, "invariant %s: lease %d node %d", check_rule_name(rule), (int)fault.lease,
		      (int)fault.node);
}

static inline void tick_at(wall_us at)
{
	now = at;
	tell(&(struct event){.kind = EVENT_TICK});
}

static inline struct node_info node_info(uint32_t id)
{
	return (struct node_info){
		.id = id,
		.state = NODE_UP,
		.capacity = {.amount = {2000, 2 * GIB, 100 * GIB, 0, 0}},
		.pool_bytes = 10 * GIB,
		.suspend_rate = 100 * MIB,
		.resume_rate = 100 * MIB,
	};
}

static inline void set_node(uint32_t id, enum node_state state)
{
	struct event event = {.kind = EVENT_NODE};

	event.node = node_info(id);
	event.node.state = state;
	tell(&event);
}

static inline void image_there(uint32_t node, uint64_t image, enum event_kind kind)
{
	struct event event = {.kind = kind};

	event.pool.node = node;
	event.pool.image = image;
	tell(&event);
}

/* A new plan by the present settings: two nodes, one image. */
static inline void plan_begin(void)
{
	struct event image = {.kind = EVENT_IMAGE_ADDED, .image = {1, IMAGE_SIZE}};

	plan_free(plan);
	plan = plan_new(&settings);
	now = 1000 * SEC;
	last_lease = 0;
	tell(&image);
	set_node(1, NODE_UP);
	set_node(2, NODE_UP);
}

static inline void plan_setup(void)
{
	settings = plan_defaults();
	settings.queue = policy_queue("fcfs"); /* the plainest; tests of another say so */
	plan_begin();
}

/* Both nodes have the image. */
static inline void staged_setup(void)
{
	plan_setup();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
}

static inline void plan_teardown(void)
{
	plan_free(plan);
	plan = NULL;
	actions_fini(&actions);
}

/* One CPU and 1 GiB each: two fill a node. */
static inline struct lease_spec spec_of(enum lease_kind kind, uint32_t vms, span_us duration)
{
	return (struct lease_spec){
		.kind = kind,
		.vms = vms,
		.per_vm = {.amount = {1000, GIB, GIB, 0, 0}},
		.image = 1,
		.duration_us = duration,
	};
}

static inline struct lease_spec ar_of(uint32_t vms, wall_us start, span_us duration)
{
	struct lease_spec spec = spec_of(LEASE_AR, vms, duration);

	spec.start_us = start;
	return spec;
}

static inline const struct lease *request(struct lease_spec spec)
{
	struct event event = {.kind = EVENT_LEASE_REQUESTED};

	event.requested.id = ++last_lease;
	event.requested.spec = spec;
	tell(&event);
	return plan_lease(plan, last_lease);
}

static inline void cancel(uint64_t id)
{
	tell(&(struct event){.kind = EVENT_LEASE_CANCELLED, .cancelled = id});
}

/* What the node of the VM says of it now. */
static inline void see(const struct lease *lease, uint32_t vm, enum vm_seen seen, wall_us at)
{
	struct event event = {.kind = EVENT_VM_SEEN};

	event.vm.lease = lease->id;
	event.vm.vm = vm;
	event.vm.generation = lease->vms[vm].generation;
	event.vm.node = lease->vms[vm].node;
	event.vm.seen = seen;
	event.vm.at_us = at;
	tell(&event);
}

/* All VMs of the lease start as planned. */
static inline void run_all(const struct lease *lease)
{
	now = lease->vms[0].run.start_us;
	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		see(lease, i, SEEN_RUNNING, now);
	}
}

static inline size_t count_actions(enum action_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < actions.count; i++) {
		n += actions.item[i].kind == kind;
	}
	return n;
}

#endif
