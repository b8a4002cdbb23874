/* The queue policy "trial": who comes first, who makes room for whom and when, and whose image is brought. */
#include "trial.h"

#include "core_fixture.h"
#include "plan_state.h"
#include "policy.h"
#include "slots.h"

#define HOUR USEC_PER_HOUR

/* As the fixture begins, both nodes with the image; nothing is measured, so that times are those of the rates. */
static void begin(void)
{
	settings.queue = policy_queue("trial");
	settings.learn = false;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
}

static const struct lease *best_effort(uint32_t vms, span_us duration)
{
	return request(spec_of(LEASE_BEST_EFFORT, vms, duration));
}

static wall_us soonest(void)
{
	return now + settings.lead_us + settings.prepare_us;
}

static const struct lease *running(uint32_t vms, span_us duration)
{
	const struct lease *lease = best_effort(vms, duration);

	run_all(lease);
	return lease;
}

/* All VMs are suspended as their plan says. */
static void suspend_all(const struct lease *lease)
{
	now = lease->vms[0].run.release_us;
	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		see(lease, i, SEEN_SUSPENDED, now);
	}
}

START_TEST(starts_at_once)
{
	begin();
	ck_assert_int_eq(best_effort(4, HOUR)->vms[0].run.start_us, soonest());
}
END_TEST

/* Who cannot be suspended makes room for nobody, however long he has been. */
START_TEST(stays_unsuspended)
{
	const struct {
		enum suspension suspension;
		bool gang, single;
	} want[] = {{SUSPENSION_NONE, false, false}, {SUSPENSION_SERIAL, false, true}, {SUSPENSION_ALL, true, true}};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		settings.suspension = want[i].suspension;
		begin();
		const struct lease *gang = running(3, 40 * HOUR), *single = running(1, 40 * HOUR);
		const struct lease *young = best_effort(4, HOUR);
		const struct trial trial = {.pass = {.plan = plan}};
		struct contract *other = plan_find_contract(plan, young->id);
		tick_at(now + 5 * HOUR);
		ck_assert_int_eq(trial_yields(&trial, plan_find_contract(plan, gang->id), other), want[i].gang);
		ck_assert_int_eq(trial_yields(&trial, plan_find_contract(plan, single->id), other), want[i].single);
	}
}
END_TEST

/* Who cannot start has the one reservation; the next in turn has none, whoever fits starts. */
START_TEST(one_reservation)
{
	begin();
	const struct lease *first = running(3, HOUR);
	const struct lease *wide = best_effort(4, HOUR), *wide_too = best_effort(4, HOUR);
	const struct lease *slim = best_effort(1, 10 * 60 * SEC);
	ck_assert_int_ge(wide->vms[0].run.prepare_us, first->vms[0].run.release_us);
	ck_assert_int_eq(wide_too->state, LEASE_QUEUED);
	ck_assert_int_eq(slim->vms[0].run.start_us, soonest());
	ck_assert_int_eq(slim->vms[0].run.then, RUN_STOP);
}
END_TEST

/* Who would be in the reservation's way runs until then. */
START_TEST(cut_for_the_reservation)
{
	begin();
	running(3, HOUR);
	const struct lease *wide = best_effort(4, 5 * HOUR), *lodger = best_effort(1, 5 * HOUR);
	ck_assert_int_eq(lodger->vms[0].run.start_us, soonest());
	ck_assert_int_eq(lodger->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_le(lodger->vms[0].run.release_us, wide->vms[0].run.prepare_us);
}
END_TEST

/* Long leases make room for one that has waited, not before they have run for four hours. */
START_TEST(yields_after_its_stay)
{
	begin();
	const struct lease *old = running(4, 40 * HOUR);
	wall_us began_us = old->vms[0].started_us;
	tick_at(now + 60 * SEC);
	const struct lease *young = best_effort(4, HOUR);
	ck_assert_int_eq(old->vms[0].run.then, RUN_STOP);
	now = began_us + 3 * HOUR + 30 * 60 * SEC;
	set_node(1, NODE_UP); /* a pass */
	ck_assert_int_eq(old->vms[0].run.then, RUN_STOP);
	now = young->submitted_us + 4 * HOUR + SEC;
	set_node(1, NODE_UP);
	ck_assert_int_eq(old->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(young->vms[0].planned, true);
	suspend_all(old);
	ck_assert_int_eq(young->vms[0].planned, true);
	ck_assert_int_le(young->vms[0].run.start_us, soonest() + SEC);
}
END_TEST

/* However many lie on a node, for however long, its table is no larger for that. */
START_TEST(lies_without_a_point)
{
	begin();
	const struct lease *old = running(4, 40 * HOUR);
	best_effort(4, 2 * HOUR);
	now += 5 * HOUR;
	set_node(1, NODE_UP);
	suspend_all(old);
	ck_assert_int_eq(old->vms[0].state, LEASE_SUSPENDED);
	for (uint32_t id = 1; id <= 2; id++) {
		/* It is as if they had lain there always: when each came is no point of its own. */
		ck_assert_int_eq(slots_peak(plan_find_node(plan, id)->slots, 1, 2).amount[RES_DISK], 2 * 2 * GIB);
	}
}
END_TEST

/* A node of which one CPU can be promised in slices. */
static void slices_on(uint32_t id)
{
	struct event event = {.kind = EVENT_NODE, .node = node_info(id)};

	event.node.state = NODE_UP;
	event.node.edf = (struct edf_node){.cpus = 1, .limit_ppm = 900000, .period_min_us = 1000};
	tell(&event);
}

static struct lease_spec sliced(struct lease_spec spec, span_us slice_us)
{
	spec.slice_us = slice_us;
	spec.period_us = 100000;
	spec.per_vm.amount[RES_MEMORY] = 64 * MIB;
	return spec;
}

/* What keeps it away is slices alone: of a promise, after which it has room if another yields its own. */
START_TEST(yields_its_slice)
{
	begin();
	slices_on(1);
	slices_on(2);
	const struct lease *promise = request(sliced(ar_of(2, soonest(), 6 * HOUR), 40000));
	const struct lease *old = request(sliced(spec_of(LEASE_BEST_EFFORT, 2, 40 * HOUR), 45000));
	run_all(promise);
	run_all(old);
	const struct lease *young = request(sliced(spec_of(LEASE_BEST_EFFORT, 2, HOUR), 60000));
	ck_assert_int_eq(old->vms[0].run.then, RUN_STOP);
	now = young->submitted_us + 4 * HOUR + SEC;
	slices_on(1); /* a pass */
	ck_assert_int_eq(young->vms[0].planned, true);
	ck_assert_int_ge(young->vms[0].run.start_us, promise->vms[0].run.end_us);
	ck_assert_int_le(young->vms[0].run.start_us, promise->vms[0].run.end_us + HOUR);
	ck_assert_int_eq(old->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

/* That there is no room for wide ones within the horizon says nothing of who is slim. */
START_TEST(slim_behind_wide)
{
	begin();
	const struct lease *late = request(ar_of(3, soonest(), 20 * HOUR)),
			   *soon = request(ar_of(1, soonest(), 5 * HOUR));
	run_all(late);
	run_all(soon);
	const struct lease *wide[] = {best_effort(2, HOUR), best_effort(2, HOUR), best_effort(3, HOUR)};
	const struct lease *slim = best_effort(1, HOUR);
	ck_assert_int_eq(slim->state, LEASE_QUEUED);
	now = slim->submitted_us + 4 * HOUR + SEC;
	set_node(1, NODE_UP); /* a pass */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(wide[i]->state, LEASE_QUEUED);
	}
	ck_assert_int_eq(slim->vms[0].planned, true);
	ck_assert_int_ge(slim->vms[0].run.prepare_us, soon->vms[0].run.end_us);
}
END_TEST

/* Of those who had their first run the one with most left goes on first. */
START_TEST(first_run_before_long_ones)
{
	begin();
	const struct lease *old = running(4, 40 * HOUR);
	const struct lease *young = best_effort(4, 2 * HOUR);
	now += 5 * HOUR;
	set_node(1, NODE_UP);
	suspend_all(old);
	/* The one that is suspended was first, but has had its first run: it goes on after the other. */
	ck_assert_int_eq(young->vms[0].planned, true);
	ck_assert_int_ge(old->vms[0].run.prepare_us, young->vms[0].run.end_us);
}
END_TEST

/* The image by which most VMs of the queue could start is brought, whoever is first. */
START_TEST(fills_for_most)
{
	settings.multicast = true;
	begin();
	for (uint64_t image = 2; image <= 3; image++) {
		tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {image, IMAGE_SIZE}});
	}
	running(1, 40 * HOUR);
	best_effort(4, HOUR); /* too long a wait for a reservation */
	tick_at(now + SEC);
	struct lease_spec few = spec_of(LEASE_BEST_EFFORT, 1, HOUR), many = spec_of(LEASE_BEST_EFFORT, 3, HOUR);
	few.image = 2;
	many.image = 3;
	struct event events[2] = {{.kind = EVENT_LEASE_REQUESTED}, {.kind = EVENT_LEASE_REQUESTED}};
	events[0].requested.id = ++last_lease;
	events[0].requested.spec = few;
	events[1].requested.id = ++last_lease;
	events[1].requested.spec = many;
	plan_step(plan, events, 2, now, &actions);
	uint32_t brought = 0;
	for (size_t i = 0; i < actions.count; i++) {
		const struct action *action = &actions.item[i];
		bool soon = action->kind == ACTION_TRANSFER && action->transfer.start_us == now + settings.lead_us;
		brought += soon && action->transfer.image == 3;
		ck_assert(!soon || action->transfer.image == 3);
	}
	ck_assert_uint_eq(brought, 2);
}
END_TEST

/* Of two that had their first run the one with less left makes room, once it has run for four hours. */
START_TEST(yields_to_most_left)
{
	begin();
	const struct lease *most = running(4, 40 * HOUR);
	const struct lease *less = best_effort(4, 20 * HOUR);
	now += 5 * HOUR;
	set_node(1, NODE_UP);
	suspend_all(most);
	run_all(less);
	wall_us began_us = less->vms[0].started_us;
	now = began_us + 3 * HOUR + 59 * 60 * SEC;
	set_node(1, NODE_UP);
	ck_assert_int_eq(less->vms[0].run.then, RUN_STOP);
	now = began_us + 4 * HOUR + SEC;
	set_node(1, NODE_UP);
	ck_assert_int_eq(less->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(most->vms[0].planned, true);
}
END_TEST

/* Who began where somebody had a reservation makes room for the next one's too. */
START_TEST(lodger_stays_one)
{
	begin();
	running(3, HOUR);
	const struct lease *wide = best_effort(4, 50 * HOUR), *lodger = best_effort(1, 50 * HOUR);
	run_all(lodger);
	tell(&(struct event){.kind = EVENT_LEASE_CANCELLED, .cancelled = wide->id});
	ck_assert_int_eq(lodger->vms[0].run.then, RUN_STOP);
	set_node(1, NODE_UP);
	ck_assert_int_eq(best_effort(4, 50 * HOUR)->vms[0].planned, true);
	ck_assert_int_eq(lodger->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

/* Whoever lives where another has a reservation makes room for it also while he is only about to run. */
START_TEST(lodger_makes_room_before_it_runs)
{
	begin();
	running(3, HOUR);
	const struct lease *wide = best_effort(4, 50 * HOUR), *lodger = best_effort(1, 50 * HOUR);
	wall_us reserved_us = wide->vms[0].run.prepare_us;
	now = lodger->vms[0].run.prepare_us + SEC;
	set_node(1, NODE_UP);
	ck_assert_int_eq(wide->vms[0].planned, true);
	ck_assert_int_eq(wide->vms[0].run.prepare_us, reserved_us);
	ck_assert_int_eq(lodger->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

/*
 * A new lease of many hours is looked at before one of few that came a little earlier; but the reservation that has is
 * taken over only when something comes free.
 */
START_TEST(long_before_short)
{
	begin();
	running(4, HOUR);
	const struct lease *few = best_effort(4, HOUR);
	now += HOUR / 4;
	const struct lease *many = best_effort(4, 10 * HOUR);
	ck_assert(few->vms[0].planned && !many->vms[0].planned);
	tick_at(now + SEC);
	ck_assert(few->vms[0].planned && !many->vms[0].planned);
	set_node(1, NODE_UP);
	ck_assert(!few->vms[0].planned && many->vms[0].planned);
}
END_TEST

/* Who has had his first run suspends nobody, until too much time is lost to him: then he is before all others. */
START_TEST(eldest_before_all)
{
	begin();
	const struct lease *old = running(4, 11 * HOUR);
	now += 60 * SEC;
	const struct lease *young = best_effort(4, 400 * HOUR);
	tick_at(young->submitted_us + 5 * HOUR);
	suspend_all(old);
	run_all(young);
	tick_at(now + 20 * HOUR);
	ck_assert_int_eq(old->vms[0].planned, false);
	ck_assert_int_eq(young->vms[0].run.then, RUN_STOP);
	tick_at(now + 20 * HOUR);
	ck_assert_int_eq(old->vms[0].planned, true);
	ck_assert_int_eq(young->vms[0].run.then, RUN_SUSPEND);
	suspend_all(young);
	ck_assert_int_le(old->vms[0].run.start_us, now + 30 * SEC);
}
END_TEST

static wall_us wake(void)
{
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_WAKE) {
			return actions.item[i].wake_us;
		}
	}
	return WALL_NEVER;
}

/* While somebody waits there is a pass every ten minutes, whatever else happens; and only then. */
START_TEST(ticks_while_somebody_waits)
{
	const span_us tick_us = 600 * SEC;

	begin();
	const struct lease *old = running(4, 40 * HOUR);
	ck_assert_int_gt(wake(), now + HOUR);
	tick_at(now + 60 * SEC);
	const struct lease *young = best_effort(4, HOUR);
	wall_us due_us = young->submitted_us + 4 * HOUR;
	while (now + tick_us <= due_us) {
		ck_assert_int_eq(wake(), (now / tick_us + 1) * tick_us);
		tick_at(wake());
		ck_assert_int_eq(old->vms[0].run.then, RUN_STOP);
	}
	tick_at(wake());
	ck_assert_int_eq(old->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(young->vms[0].planned, true);
}
END_TEST

/* However often there is a pass, the images are brought, one after another. */
static void is_brought(uint32_t nodes, int64_t best_effort_rate)
{
	settings.queue = policy_queue("trial");
	settings.learn = false;
	settings.multicast = false;
	settings.repository_rate = IMAGE_SIZE / 700; /* longer than until the next pass */
	settings.best_effort_rate = best_effort_rate;
	plan_begin();
	for (uint32_t id = 3; id <= nodes; id++) {
		set_node(id, NODE_UP);
	}
	best_effort(2 * nodes, HOUR);
	wall_us limit_us = now + 10 * HOUR;
	for (bool begun = false; !begun; tick_at(wake())) {
		ck_assert_int_lt(wake(), limit_us);
		for (size_t i = 0; i < actions.count; i++) {
			const struct action *action = &actions.item[i];
			begun = begun || (action->kind == ACTION_TRANSFER &&
					  action->transfer.start_us <= now + settings.lead_us);
		}
	}
}

START_TEST(its_own_link_is_looked_at)
{
	is_brought(2, IMAGE_SIZE);
	is_brought(5, 0);
}
END_TEST

/* Suspended on all nodes, it needs no second disk there, for which there would be none. */
START_TEST(goes_on_where_its_disk_lies)
{
	begin();
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 4, 2 * HOUR);
	spec.per_vm.amount[RES_DISK] = 40 * GIB;
	const struct lease *lease = request(spec);
	run_all(lease);
	const struct lease *other = request(ar_of(1, now + HOUR, HOUR));
	ck_assert_int_eq(other->state, LEASE_SCHEDULED);
	suspend_all(lease);
	ck_assert_int_eq(lease->state, LEASE_SUSPENDED);
	ck_assert_int_eq(lease->vms[0].planned, true);
	ck_assert_int_ge(lease->vms[0].run.prepare_us, other->vms[0].run.release_us);
}
END_TEST

/* Nor does one behind others, that goes on at once or not at all. */
START_TEST(goes_on_behind_others)
{
	begin();
	run_all(request(ar_of(1, soonest(), 60 * HOUR)));
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 2, 2 * HOUR);
	spec.per_vm.amount[RES_DISK] = 60 * GIB;
	const struct lease *lease = request(spec);
	run_all(lease);
	const struct lease *other = request(ar_of(3, now + HOUR, HOUR));
	ck_assert_int_eq(best_effort(4, 40 * HOUR)->state, LEASE_QUEUED);
	suspend_all(lease);
	cancel(other->id);
	now += 10 * SEC;
	set_node(1, NODE_UP); /* a pass */
	ck_assert_int_eq(lease->vms[0].planned, true);
	ck_assert_int_le(lease->vms[0].run.start_us, now + 60 * SEC);
}
END_TEST

/* Runs on node 1, and is suspended there for a reservation of both nodes after which another keeps node 1 so long. */
static const struct lease *suspended_on_1(span_us duration, span_us kept, wall_us *free_us)
{
	running(2, HOUR);
	const struct lease *lease = running(2, duration);
	ck_assert_uint_eq(lease->vms[0].node, 1);
	wall_us from_us = now + HOUR;
	*free_us = from_us + HOUR;
	ck_assert_int_eq(request(ar_of(4, from_us, HOUR - 10 * SEC))->state, LEASE_SCHEDULED);
	const struct lease *stays = request(ar_of(2, from_us + HOUR, kept));
	ck_assert_uint_eq(stays->vms[0].node, 1);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
	see((const struct lease *)plan_lease(plan, 1), 0, SEEN_ABSENT, now);
	suspend_all(lease);
	return lease;
}

/* It goes on elsewhere if its node is others' for long, and not if so little is left of it that moving takes as long.
 */
START_TEST(moves)
{
	wall_us free_us;

	settings.migration = MIGRATION_YES;
	begin();
	const struct lease *lease = suspended_on_1(10 * HOUR, 20 * HOUR, &free_us);
	ck_assert_int_eq(lease->vms[0].planned, true);
	ck_assert_uint_eq(lease->vms[0].node, 2);
	ck_assert_uint_eq(lease->vms[0].run.from_node, 1);
	ck_assert_int_lt(lease->vms[0].run.start_us, free_us + HOUR);
}
END_TEST

START_TEST(lies_still_for_little)
{
	wall_us free_us;

	settings.migration = MIGRATION_YES;
	begin();
	const struct lease *lease = suspended_on_1(HOUR + 30 * SEC, 20 * HOUR, &free_us);
	ck_assert(!lease->vms[0].planned || lease->vms[0].node == 1);
}
END_TEST

/* But not where it never could go on. */
START_TEST(little_leaves_what_cannot_take_it)
{
	const int64_t cpus[] = {2000, 500};

	settings.migration = MIGRATION_YES;
	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		struct event event = {.kind = EVENT_NODE, .node = node_info(1)};
		wall_us free_us;

		begin();
		const struct lease *lease = suspended_on_1(HOUR + 30 * SEC, 20 * HOUR, &free_us);
		event.node.capacity.amount[RES_CPU] = cpus[i];
		event.node.state = i ? NODE_UP : NODE_DRAINING;
		tell(&event);
		ck_assert(lease->vms[0].planned);
		ck_assert_uint_eq(lease->vms[0].node, 2);
	}
}
END_TEST

/* The eldest would have its reservation at any time, but not for seconds of work that cannot be done elsewhere. */
START_TEST(none_far_away_for_little)
{
	wall_us free_us;

	settings.migration = MIGRATION_YES;
	begin();
	const struct lease *lease = suspended_on_1(HOUR + 30 * SEC, 80 * HOUR, &free_us);
	tick_at(free_us + 40 * HOUR);
	ck_assert(!lease->vms[0].planned);
	tick_at(free_us + 70 * HOUR);
	ck_assert(lease->vms[0].planned);
	ck_assert_uint_eq(lease->vms[0].node, 1);
}
END_TEST

/* The reservation stays, whatever comes free, until it can be had at once. */
START_TEST(moves_up_when_it_can)
{
	begin();
	const struct lease *few = running(1, 5 * HOUR), *most = running(2, 8 * HOUR), *last = running(1, 2 * HOUR);
	const struct lease *wide = best_effort(4, HOUR);
	wall_us reserved_us = wide->vms[0].run.prepare_us;
	ck_assert_int_ge(reserved_us, most->vms[0].run.end_us);
	see(few, 0, SEEN_ENDED, now += SEC);
	see(most, 0, SEEN_ENDED, now += SEC);
	see(most, 1, SEEN_ENDED, now);
	ck_assert_int_eq(wide->vms[0].run.prepare_us, reserved_us);
	see(last, 0, SEEN_ENDED, now += SEC);
	ck_assert(wide->vms[0].planned);
	ck_assert_int_le(wide->vms[0].run.start_us, soonest() + 5 * SEC);
}
END_TEST

static struct lease_spec slim(struct lease_spec spec, uint64_t image)
{
	spec.image = image;
	spec.per_vm.amount[RES_CPU] = 100;
	spec.per_vm.amount[RES_MEMORY] = 64 * MIB;
	return spec;
}

/* An image that vanished is not brought again for those who come into room that others were promised meanwhile. */
START_TEST(not_into_promised_room)
{
	struct event node = {.kind = EVENT_NODE, .node = node_info(1)};

	settings.queue = policy_queue("trial");
	settings.stage_ahead_us = 0;
	settings.best_effort_rate = settings.repository_rate;
	plan_begin();
	set_node(2, NODE_DRAINING);
	node.node.pool_bytes = 2 * IMAGE_SIZE;
	tell(&node);
	for (uint64_t i = 2; i <= 3; i++) {
		tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {i, IMAGE_SIZE}});
	}
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	const struct lease *runs = request(slim(ar_of(1, now + 60 * SEC, 2 * HOUR), 1));
	run_all(runs);
	image_there(1, 1, EVENT_IMAGE_ABSENT);
	for (uint64_t i = 2; i <= 3; i++) {
		ck_assert_int_eq(request(slim(ar_of(1, now + HOUR, HOUR), i))->state, LEASE_SCHEDULED);
	}
	/* The first of the queue has the reservation; that the other's image is not brought the invariants say. */
	request(slim(spec_of(LEASE_BEST_EFFORT, 1, 10 * HOUR), 2));
	best_effort(1, 10 * HOUR);
	tick_at(now + SEC);
}
END_TEST

static bool count(const struct transfer *transfer, void *arg)
{
	*(int *)arg += transfer->state == TRANSFER_PLANNED;
	return true;
}

static int transfers(void)
{
	int n = 0;

	plan_each_transfer(plan, 1, count, &n);
	plan_each_transfer(plan, 2, count, &n);
	return n;
}

/* An image that vanished is not brought again for a guest that is made of it already. */
START_TEST(prepared_before_it_vanished)
{
	settings.stage_ahead_us = 0;
	begin();
	const struct lease *lease = request(ar_of(1, now + 300 * SEC, HOUR));
	image_there(lease->vms[0].node, 1, EVENT_IMAGE_ABSENT);
	ck_assert_int_eq(transfers(), 1);
	see(lease, 0, SEEN_PREPARED, now);
	ck_assert_int_eq(lease->state, LEASE_READY);
	ck_assert_int_eq(transfers(), 0);
}
END_TEST

/* What is on its way is brought to its end for whoever may want it; but not an image that was removed. */
START_TEST(removed_on_its_way)
{
	settings.queue = policy_queue("trial");
	plan_begin();
	const struct lease *lease = best_effort(1, HOUR);
	tick_at(now + 2 * SEC);
	cancel(lease->id);
	ck_assert_int_eq(transfers(), 1);
	tell(&(struct event){.kind = EVENT_IMAGE_REMOVED, .image_removed = 1});
	ck_assert_int_eq(transfers(), 0);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER_DROP), 1);
	ck_assert_uint_eq(count_actions(ACTION_WAKE), 0);
}
END_TEST

/* A node may still have an image that was removed: nobody waits for that one. */
START_TEST(removed_but_there)
{
	begin();
	tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {2, IMAGE_SIZE}});
	image_there(1, 2, EVENT_IMAGE_PRESENT);
	tell(&(struct event){.kind = EVENT_IMAGE_REMOVED, .image_removed = 2});
	running(3, 40 * HOUR);
	const struct lease *waits = best_effort(2, HOUR);
	ck_assert_int_eq(waits->state, LEASE_QUEUED);
	tick_at(now + SEC);
	ck_assert_int_eq(waits->state, LEASE_QUEUED);
	ck_assert_int_eq(transfers(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_trial");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, plan_setup, plan_teardown);
	tcase_add_test(all, starts_at_once);
	tcase_add_test(all, one_reservation);
	tcase_add_test(all, cut_for_the_reservation);
	tcase_add_test(all, yields_after_its_stay);
	tcase_add_test(all, stays_unsuspended);
	tcase_add_test(all, lies_without_a_point);
	tcase_add_test(all, yields_its_slice);
	tcase_add_test(all, slim_behind_wide);
	tcase_add_test(all, first_run_before_long_ones);
	tcase_add_test(all, fills_for_most);
	tcase_add_test(all, yields_to_most_left);
	tcase_add_test(all, lodger_stays_one);
	tcase_add_test(all, lodger_makes_room_before_it_runs);
	tcase_add_test(all, long_before_short);
	tcase_add_test(all, eldest_before_all);
	tcase_add_test(all, ticks_while_somebody_waits);
	tcase_add_test(all, its_own_link_is_looked_at);
	tcase_add_test(all, goes_on_where_its_disk_lies);
	tcase_add_test(all, goes_on_behind_others);
	tcase_add_test(all, moves);
	tcase_add_test(all, lies_still_for_little);
	tcase_add_test(all, little_leaves_what_cannot_take_it);
	tcase_add_test(all, none_far_away_for_little);
	tcase_add_test(all, moves_up_when_it_can);
	tcase_add_test(all, prepared_before_it_vanished);
	tcase_add_test(all, removed_on_its_way);
	tcase_add_test(all, removed_but_there);
	tcase_add_test(all, not_into_promised_room);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
