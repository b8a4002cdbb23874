/* Leases with slice and period: what nodes take of them, and tuning. */
#include "core_fixture.h"

#include "policy.h"

#define MS USEC_PER_MSEC

static struct edf_node abilities;

static void rate_node(uint32_t id, enum node_state state)
{
	struct event event = {.kind = EVENT_NODE};

	event.node = node_info(id);
	event.node.state = state;
	event.node.edf = abilities;
	tell(&event);
}

/* One CPU each for slices, 90 % of it, and wake-ups that cost nothing. */
static void rate_setup(void)
{
	staged_setup();
	abilities = (struct edf_node){.cpus = 1, .limit_ppm = 900000, .wake_ns = 0, .period_min_us = MS};
	rate_node(1, NODE_UP);
	rate_node(2, NODE_UP);
}

static struct lease_spec rated(struct lease_spec spec, span_us slice, span_us period)
{
	spec.slice_us = slice;
	spec.period_us = period;
	spec.per_vm.amount[RES_MEMORY] = 64 * MIB;
	return spec;
}

/* One VM for 30 s. */
static const struct lease *ask(wall_us start, span_us slice, span_us period)
{
	return request(rated(ar_of(1, start, 30 * SEC), slice, period));
}

static void tune(uint64_t id, span_us slice, span_us period)
{
	tell(&(struct event){.kind = EVENT_LEASE_TUNED, .tuned = {id, slice, period}});
}

static void tuned(uint64_t id, span_us slice, span_us period)
{
	tune(id, slice, period);
	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 0);
	ck_assert_uint_ge(count_actions(ACTION_LEASE), 1);
	ck_assert_int_eq(plan_lease(plan, id)->spec.slice_us, slice);
	ck_assert_int_eq(plan_lease(plan, id)->spec.period_us, period);
}

/* Refused for that, and nothing is changed. */
static void refused(uint64_t id, span_us slice, span_us period, enum reason_code code)
{
	const struct lease *lease = plan_lease(plan, id);
	struct lease_spec before = lease->spec;
	enum reason_code why = REASON_NONE;

	tune(id, slice, period);
	ck_assert_uint_eq(count_actions(ACTION_REFUSED), 1);
	for (size_t i = 0; i < actions.count; i++) {
		why = actions.item[i].kind == ACTION_REFUSED ? actions.item[i].refused.reason.code : why;
	}
	ck_assert_int_eq(why, code);
	ck_assert_mem_eq(&lease->spec, &before, sizeof(before));
	ck_assert_uint_eq(count_actions(ACTION_SLOT), 0);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 0);
}

/* What the RUN slots told in the last step take of CPU; all the same. */
static int64_t slot_cpu(uint32_t n)
{
	int64_t cpu = -1;

	for (size_t i = 0; i < actions.count; i++) {
		const struct action *action = &actions.item[i];
		if (action->kind == ACTION_SLOT && action->slot.kind == SLOT_RUN) {
			ck_assert(cpu < 0 || cpu == action->slot.use.amount[RES_CPU]);
			cpu = action->slot.use.amount[RES_CPU];
			n--;
		}
	}
	ck_assert_uint_eq(n, 0);
	return cpu;
}

/* ---- asking ---- */

START_TEST(slices_are_booked)
{
	struct lease_spec spec = rated(ar_of(1, now + 60 * SEC, 30 * SEC), 20 * MS, 50 * MS);

	abilities.cpus = 2;
	abilities.wake_ns = 25000;
	rate_node(1, NODE_UP);
	spec.per_vm.amount[RES_CPU] = 1500;
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	/* Two vCPUs of 40 %; a wake-up costs nothing on the other node, and that is what the table counts. */
	ck_assert_int_eq(slot_cpu(1), 800);
	ck_assert_int_eq(lease->spec.cpu, 1500);
	ck_assert_int_eq(lease_cpu(&lease->spec), 1500);
	ck_assert_uint_eq(lease_vcpus(&lease->spec), 2);
	ck_assert_uint_eq(lease->vms[0].node, 1);
	rate_node(2, NODE_UP);
	spec.start_us += 1000 * SEC;
	request(spec);
	ck_assert_int_eq(slot_cpu(1), 802);
}
END_TEST

START_TEST(one_cpu_is_packed)
{
	wall_us start = now + 60 * SEC;

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(ask(start, 20 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	}
	/* The table has room for it: 2 cores less 2 x 400. */
	const struct lease *lease = ask(start, 10 * MS, 50 * MS);
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(plan_offer(plan).start_us, start + 30 * SEC);
	/* What is left of each: 10 %. */
	ck_assert_int_eq(ask(start, 5 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(start, 5 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(start, MS, 50 * MS)->state, LEASE_REJECTED);
	/* Without a constraint there is room: 2000 - 900 on each node. */
	struct lease_spec spec = rated(ar_of(2, start, 30 * SEC), 0, 0);
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(only_what_is_there_at_one_time)
{
	wall_us start = now + 60 * SEC;

	rate_node(2, NODE_DRAINING);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ask(start + i * 100 * SEC, 30 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	}
	/* 30 % beside each of them in turn is well, a little more is not. */
	struct lease_spec spec = rated(ar_of(1, start - 10 * SEC, 300 * SEC), 15001, 50 * MS);
	ck_assert_int_eq(request(spec)->state, LEASE_REJECTED);
	spec.slice_us = 15 * MS;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
	/* In between there are 60 %, as long as it lasts. */
	ck_assert_int_eq(ask(start + 50 * SEC, 30 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(start + 80 * SEC, 30 * MS, 50 * MS)->state, LEASE_REJECTED);
}
END_TEST

START_TEST(impossible)
{
	wall_us start = now + 60 * SEC;
	const struct lease *lease = ask(start, 900, 999);

	ck_assert_int_eq(lease->reason.code, REASON_PERIOD);
	ck_assert_int_eq(lease->reason.arg0, MS);
	lease = ask(start, 46 * MS, 50 * MS);
	ck_assert_int_eq(lease->reason.code, REASON_SLICE);
	ck_assert_int_eq(lease->reason.arg0, 45 * MS);
	struct lease_spec spec = rated(ar_of(1, start, 30 * SEC), 20 * MS, 50 * MS);
	spec.per_vm.amount[RES_CPU] = 1001;
	lease = request(spec);
	ck_assert_int_eq(lease->reason.code, REASON_VCPUS);
	ck_assert_int_eq(lease->reason.arg0, 1);
	ck_assert_int_eq(ask(start, 51 * MS, 50 * MS)->reason.code, REASON_NEVER_FITS);
	ck_assert_int_eq(ask(start, -1, 50 * MS)->state, LEASE_REJECTED);
	ck_assert_int_eq(ask(start, MS, 40 * USEC_PER_DAY)->state, LEASE_REJECTED);
	spec = rated(ar_of(5, start, 30 * SEC), 20 * MS, 50 * MS);
	lease = request(spec);
	ck_assert_int_eq(lease->reason.code, REASON_NEVER_FITS);
	ck_assert_int_eq(lease->reason.arg0, 4);
	ck_assert_uint_eq(plan_offer(plan).vms, 4);
	abilities.cpus = 0;
	rate_node(1, NODE_UP);
	rate_node(2, NODE_UP);
	ck_assert_int_eq(ask(start, 20 * MS, 50 * MS)->reason.code, REASON_UNENFORCED);
}
END_TEST

START_TEST(only_nodes_that_can)
{
	struct edf_node none = {0};

	abilities = none;
	rate_node(1, NODE_UP);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(ask(now + 60 * SEC, 20 * MS, 50 * MS)->vms[0].node, 2);
	}
	ck_assert_int_eq(ask(now + 60 * SEC, 20 * MS, 50 * MS)->state, LEASE_REJECTED);
	ck_assert_int_eq(request(rated(spec_of(LEASE_IMMEDIATE, 1, 10 * SEC), 20 * MS, 50 * MS))->state,
			 LEASE_SCHEDULED);
}
END_TEST

START_TEST(best_effort_waits_for_slices)
{
	struct lease_spec spec = rated(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC), 30 * MS, 50 * MS);
	const struct lease *first = request(spec), *second = request(spec);

	ck_assert_int_eq(first->state, LEASE_SCHEDULED);
	ck_assert(second->state == LEASE_QUEUED || second->vms[0].run.start_us >= first->vms[0].run.end_us);
	run_all(first);
	ck_assert(!second->vms[0].planned || second->vms[0].run.start_us >= first->vms[0].run.end_us);
	/* A promise has it suspended. */
	wall_us start = now + 50 * SEC;
	const struct lease *promise = request(rated(ar_of(2, start, 30 * SEC), 40 * MS, 50 * MS));
	ck_assert_int_eq(promise->state, LEASE_SCHEDULED);
	ck_assert_int_eq(first->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_le(first->vms[0].run.end_us, promise->vms[0].run.start_us);
}
END_TEST

START_TEST(standing_by)
{
	struct lease_spec spec = rated(spec_of(LEASE_OPEN, 2, 30 * SEC), 30 * MS, 50 * MS);

	spec.latest_us = now + 300 * SEC;
	spec.response_us = 30 * SEC;
	const struct lease *open = request(spec);
	ck_assert_int_eq(open->state, LEASE_STANDBY);
	/* Kept for it: a promise has no room beside it, best-effort guests have. */
	ck_assert_int_eq(ask(now + 60 * SEC, 20 * MS, 50 * MS)->state, LEASE_REJECTED);
	ck_assert_int_eq(ask(now + 60 * SEC, 15 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	const struct lease *guest = request(rated(spec_of(LEASE_BEST_EFFORT, 2, 1000 * SEC), 20 * MS, 50 * MS));
	ck_assert_int_eq(guest->state, LEASE_SCHEDULED);
	run_all(guest);
	tuned(open->id, 25 * MS, 50 * MS);
	tell(&(struct event){.kind = EVENT_LEASE_CALLED, .called = open->id});
	ck_assert(open->vms[0].planned);
	ck_assert_int_le(guest->vms[0].run.end_us, open->vms[0].run.start_us);
}
END_TEST

/* ---- tuning ---- */

START_TEST(tune_running)
{
	const struct lease *lease = request(rated(ar_of(2, now + 60 * SEC, 30 * SEC), 10 * MS, 50 * MS));

	run_all(lease);
	now += 5 * SEC;
	tuned(1, 20 * MS, 50 * MS);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	ck_assert_int_eq(slot_cpu(2), 400);
	ck_assert_uint_eq(count_actions(ACTION_SLOT_DROP), 0);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), lease->vms[0].node == lease->vms[1].node ? 1 : 2);
	ck_assert_uint_eq(lease->vms[0].generation, 1);
	ck_assert_uint_eq(count_actions(ACTION_MOVED), 0);
	/* It is of the node's part now, and of every later one. */
	tuned(1, 15 * MS, 40 * MS);
	tuned(1, 20 * MS, 50 * MS);
}
END_TEST

START_TEST(tune_is_refused_with_an_offer)
{
	wall_us start = now + 60 * SEC;

	rate_node(2, NODE_DRAINING);
	ask(start, 20 * MS, 50 * MS);
	ask(start + 10 * SEC, 10 * MS, 50 * MS);
	refused(1, 40 * MS, 50 * MS, REASON_TUNE);
	struct offer offer = plan_offer(plan);
	ck_assert(offer.valid);
	/* 70 %, to a thousandth; the rate asked for is too much at any period. */
	ck_assert_int_le(offer.slice_us, 35 * MS);
	ck_assert_int_ge(offer.slice_us, 35 * MS - 50);
	ck_assert_int_eq(offer.period_us, 0);
	refused(1, offer.slice_us + 100, 50 * MS, REASON_TUNE);
	tuned(1, offer.slice_us, 50 * MS);
	refused(1, 46 * MS, 50 * MS, REASON_SLICE);
	refused(1, 100, 500, REASON_PERIOD);
	refused(1, 60 * MS, 50 * MS, REASON_TUNE);
	refused(1, 0, 50 * MS, REASON_TUNE);
	refused(1, 10 * MS, 0, REASON_TUNE);
}
END_TEST

START_TEST(longer_periods_cost_less)
{
	wall_us start = now + 60 * SEC;

	abilities.wake_ns = 50000;
	rate_node(1, NODE_UP);
	rate_node(2, NODE_DRAINING);
	ask(start, 20 * MS, 50 * MS);
	ask(start, 5 * MS, 50 * MS);
	/* 40 % is 42 % at 5 ms, and 40.2 % is left. */
	refused(2, 2400, 5 * MS, REASON_TUNE);
	struct offer offer = plan_offer(plan);
	ck_assert_int_gt(offer.period_us, 5 * MS);
	tuned(2, offer.period_slice_us, offer.period_us);
}
END_TEST

START_TEST(all_or_none)
{
	wall_us start = now + 60 * SEC;
	const struct lease *gang = request(rated(ar_of(2, start, 30 * SEC), 41 * MS, 50 * MS));

	ck_assert_uint_ne(gang->vms[0].node, gang->vms[1].node);
	/* Another is in the way on one of the nodes only. */
	tuned(1, 20 * MS, 50 * MS);
	const struct lease *other = ask(start, 20 * MS, 50 * MS);
	ck_assert_int_eq(other->state, LEASE_SCHEDULED);
	refused(1, 30 * MS, 50 * MS, REASON_TUNE);
	cancel(other->id);
	tuned(1, 30 * MS, 50 * MS);
	/* A node that does not answer would not hear of it. */
	rate_node(1, NODE_SILENT);
	refused(1, 20 * MS, 50 * MS, REASON_NODE_SILENT);
	rate_node(1, NODE_UP);
	tuned(1, 20 * MS, 50 * MS);
}
END_TEST

START_TEST(too_short_a_slice)
{
	abilities.wake_ns = 20000;
	rate_node(1, NODE_UP);
	abilities.wake_ns = 30000;
	rate_node(2, NODE_UP);
	const struct lease *lease = ask(now + 60 * SEC, 39, 50 * MS);

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_SLICE_SHORT);
	ck_assert_int_eq(lease->reason.arg0, 40);
	/* Only one of the nodes can keep it. */
	lease = ask(now + 60 * SEC, 40, 50 * MS);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(lease->vms[0].node, 1);
	refused(lease->id, 39, 50 * MS, REASON_SLICE_SHORT);
	/* What is offered is not below it. */
	ask(now + 60 * SEC, 44 * MS, 50 * MS);
	refused(lease->id, 2 * MS, 50 * MS, REASON_TUNE);
	ck_assert_int_ge(plan_offer(plan).slice_us, 40);
}
END_TEST

START_TEST(tune_what_waits)
{
	struct lease_spec spec = rated(spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC), 30 * MS, 50 * MS);
	const struct lease *first = request(spec), *second = request(spec);

	run_all(first);
	/* Slices that go together start together. */
	tuned(second->id, 10 * MS, 50 * MS);
	ck_assert(second->vms[0].planned);
	ck_assert_int_lt(second->vms[0].run.start_us, first->vms[0].run.end_us);
	refused(second->id, 46 * MS, 50 * MS, REASON_SLICE);
	/* Without a constraint before. */
	const struct lease *third = request(rated(spec_of(LEASE_BEST_EFFORT, 1, 100 * SEC), 0, 0));
	ck_assert_int_eq(third->spec.per_vm.amount[RES_CPU], 1000);
	tuned(third->id, 5 * MS, 50 * MS);
	ck_assert_int_eq(third->spec.per_vm.amount[RES_CPU], 100);
	ck_assert_int_eq(third->spec.cpu, 1000);
	tuned(third->id, 4 * MS, 50 * MS);
	ck_assert_int_eq(third->spec.cpu, 1000);
}
END_TEST

/* A gang that lies on one node has to go on there, all of it at once. */
START_TEST(tune_suspended)
{
	struct lease_spec all = spec_of(LEASE_AR, 2, 30 * SEC);

	rate_node(2, NODE_DRAINING);
	const struct lease *gang = request(rated(spec_of(LEASE_BEST_EFFORT, 2, 300 * SEC), 20 * MS, 50 * MS));
	run_all(gang);
	rate_node(2, NODE_UP);
	all.per_vm.amount[RES_CPU] = 2000;
	all.start_us = now + 100 * SEC;
	ck_assert_int_eq(request(all)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->vms[0].run.then, RUN_SUSPEND);
	now = gang->vms[0].run.end_us;
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(gang->vms[i].node, 1);
		see(gang, i, SEEN_SUSPENDED, now);
	}
	ck_assert_int_eq(gang->state, LEASE_SUSPENDED);
	refused(gang->id, 30 * MS, 50 * MS, REASON_TUNE);
	struct offer offer = plan_offer(plan);
	ck_assert(offer.valid);
	ck_assert_int_le(offer.slice_us, 22500);
	tuned(gang->id, offer.slice_us, 50 * MS);
	tuned(gang->id, 0, 0);
	/* Without a constraint each takes a CPU, of which there are two. */
	ck_assert_int_eq(gang->spec.per_vm.amount[RES_CPU], 1000);
}
END_TEST

START_TEST(tune_away)
{
	wall_us start = now + 60 * SEC;

	rate_node(2, NODE_DRAINING);
	const struct lease *lease = ask(start, 20 * MS, 50 * MS);
	const struct lease *other = request(rated(ar_of(1, start, 30 * SEC), 0, 0));
	ck_assert_int_eq(other->state, LEASE_SCHEDULED);
	tuned(1, 0, 0);
	ck_assert_int_eq(slot_cpu(1), 1000);
	ck_assert_int_eq(lease->spec.per_vm.amount[RES_CPU], 1000);
	ck_assert_int_eq(lease->spec.cpu, 0);
	ck_assert_uint_eq(count_actions(ACTION_NODE_PLAN), 1);
	/* Nobody waits for its share of the node's promises now, but for what it takes of the node. */
	ck_assert_int_eq(ask(start, 5 * MS, 50 * MS)->state, LEASE_REJECTED);
	tuned(1, 20 * MS, 50 * MS);
	const struct lease *third = ask(start, 20 * MS, 50 * MS);
	ck_assert_int_eq(third->state, LEASE_SCHEDULED);
	refused(1, 0, 0, REASON_TUNE);
	ck_assert(!plan_offer(plan).valid);
	cancel(third->id);
	/* A node that can do nothing about slices can do without. */
	abilities = (struct edf_node){0};
	rate_node(1, NODE_UP);
	tuned(1, 0, 0);
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(price_follows)
{
	settings.price = policy_price("constant");
	settings.price_rate = 3600000;
	plan_begin();
	abilities = (struct edf_node){.cpus = 1, .limit_ppm = 900000, .period_min_us = MS};
	rate_node(1, NODE_UP);
	struct lease_spec spec = rated(ar_of(1, now + 60 * SEC, 30 * SEC), 10 * MS, 50 * MS);
	spec.price_max = 20000;
	const struct lease *lease = request(spec);
	ck_assert_int_gt(lease->price, 0);
	int64_t price = lease->price;
	tuned(1, 20 * MS, 50 * MS);
	ck_assert_int_gt(lease->price, price);
	tuned(1, 10 * MS, 50 * MS);
	ck_assert_int_eq(lease->price, price);
	refused(1, 40 * MS, 50 * MS, REASON_PRICE);
}
END_TEST

START_TEST(a_node_that_can_less)
{
	wall_us start = now + 60 * SEC;

	rate_node(2, NODE_DRAINING);
	const struct lease *one = ask(start, 20 * MS, 50 * MS), *two = ask(start, 20 * MS, 50 * MS);
	abilities.limit_ppm = 500000;
	rate_node(1, NODE_UP);
	/* What was promised stays, and nobody comes to it until there is room. */
	ck_assert_int_eq(one->state, LEASE_SCHEDULED);
	ck_assert_int_eq(two->state, LEASE_SCHEDULED);
	ck_assert_int_eq(ask(start, MS, 50 * MS)->state, LEASE_REJECTED);
	ck_assert_int_eq(ask(start + 100 * SEC, 20 * MS, 50 * MS)->state, LEASE_SCHEDULED);
	cancel(one->id);
	tuned(two->id, 25 * MS, 50 * MS);
}
END_TEST

START_TEST(rebuilt)
{
	const struct lease *lease = request(rated(ar_of(2, now + 60 * SEC, 30 * SEC), 10 * MS, 50 * MS));
	struct slot slots[16];
	size_t count = 0;

	tuned(1, 20 * MS, 50 * MS);
	struct plan *again = plan_new(&settings);
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.item[i].kind == ACTION_SLOT) {
			slots[count++] = actions.item[i].slot;
		}
	}
	plan_restore_image(again, &(struct image_info){1, IMAGE_SIZE});
	for (uint32_t id = 1; id <= 2; id++) {
		plan_restore_node(again, plan_node(plan, id));
		plan_restore_pool(again, id, 1);
	}
	plan_restore_lease(again, lease);
	for (size_t i = 0; i < count; i++) {
		plan_restore_slot(again, &slots[i]);
	}
	plan_restore_ids(again, 100, 100);
	ck_assert_int_eq(plan_restored(again), 0);
	plan_free(plan);
	plan = again;
	tick_at(now);
	ck_assert_int_eq(plan_lease(plan, 1)->spec.per_vm.amount[RES_CPU], 400);
	refused(1, 46 * MS, 50 * MS, REASON_SLICE);
	tuned(1, 10 * MS, 50 * MS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_rate");
	TCase *asking = tcase_create("asking"), *tuning = tcase_create("tuning");

	tcase_add_checked_fixture(asking, rate_setup, plan_teardown);
	tcase_add_test(asking, slices_are_booked);
	tcase_add_test(asking, one_cpu_is_packed);
	tcase_add_test(asking, only_what_is_there_at_one_time);
	tcase_add_test(asking, impossible);
	tcase_add_test(asking, only_nodes_that_can);
	tcase_add_test(asking, best_effort_waits_for_slices);
	tcase_add_test(asking, standing_by);
	suite_add_tcase(suite, asking);
	tcase_add_checked_fixture(tuning, rate_setup, plan_teardown);
	tcase_add_test(tuning, tune_running);
	tcase_add_test(tuning, tune_is_refused_with_an_offer);
	tcase_add_test(tuning, longer_periods_cost_less);
	tcase_add_test(tuning, all_or_none);
	tcase_add_test(tuning, too_short_a_slice);
	tcase_add_test(tuning, tune_what_waits);
	tcase_add_test(tuning, tune_suspended);
	tcase_add_test(tuning, tune_away);
	tcase_add_test(tuning, price_follows);
	tcase_add_test(tuning, a_node_that_can_less);
	tcase_add_test(tuning, rebuilt);
	suite_add_tcase(suite, tuning);
	return run_suite(suite);
}
