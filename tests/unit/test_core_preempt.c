/* Whom a reservation makes stop, how, and when several are saved or restored. */
#include "core_fixture.h"
#include "policy.h"

/* Each of its own node's: 1 GiB at 100 MiB/s, and the fixed part. */
static span_us save_of(uint32_t guests)
{
	return (span_us)guests * (settings.suspend_us + 10240 * USEC_PER_MSEC);
}

static span_us restore_of(uint32_t guests)
{
	return (span_us)guests * (settings.resume_us + 10240 * USEC_PER_MSEC);
}

/* A plan by the present settings; both nodes have the image. */
static void begin(void)
{
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
}

static const struct lease *running(uint32_t vms, span_us duration)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, vms, duration));

	run_all(lease);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	return lease;
}

/* Saves all of a lease's VMs that are to be suspended, one after another from their end on, evenly until released. */
static void save_all(const struct lease *lease)
{
	uint32_t n = lease->spec.vms;
	struct run run = lease->vms[0].run;

	now = run.end_us;
	for (uint32_t i = 0; i < n; i++) {
		see(lease, i, SEEN_SUSPENDING, now);
	}
	now = run.release_us;
	for (uint32_t i = 0; i < n; i++) {
		see(lease, i, SEEN_SUSPENDED, run.end_us + (run.release_us - run.end_us) * (i + 1) / n);
	}
}

START_TEST(stopped_without_suspension)
{
	settings.suspension = SUSPENSION_NONE;
	begin();
	const struct lease *gang = running(4, 600 * SEC);
	now += 100 * SEC;
	const struct lease *ar = request(ar_of(2, now + 20 * SEC, 60 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	/* All of it is stopped at once, and it waits for a new boot, with all still to run. */
	ck_assert_int_eq(gang->reason.code, REASON_PREEMPTED);
	ck_assert_uint_eq(gang->reason.lease, ar->id);
	for (uint32_t i = 0; i < 4; i++) {
		const struct vm *vm = &gang->vms[i];
		ck_assert_int_eq(vm->served_us, 0);
		ck_assert_uint_eq(vm->generation, 2);
		ck_assert_int_ge(vm->run.start_us, now + 80 * SEC);
		ck_assert_int_eq(vm->run.end_us - vm->run.start_us, 600 * SEC);
	}
}
END_TEST

START_TEST(one_is_spared)
{
	settings.suspension = SUSPENSION_NONE;
	begin();
	const struct lease *old = running(2, 600 * SEC), *young = running(2, 600 * SEC);
	ck_assert_int_eq(request(ar_of(2, now + 20 * SEC, 60 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(old->state, LEASE_ACTIVE);
	ck_assert_int_ne(young->state, LEASE_ACTIVE);
}
END_TEST

START_TEST(serial_units_only)
{
	settings.suspension = SUSPENSION_SERIAL;
	begin();
	const struct lease *one = running(1, 600 * SEC), *gang = running(3, 600 * SEC);
	request(ar_of(4, now + 300 * SEC, 60 * SEC));
	ck_assert_int_eq(one->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(gang->vms[0].served_us, 0);
	ck_assert_int_ne(gang->state, LEASE_ACTIVE);
}
END_TEST

START_TEST(too_late_to_suspend)
{
	const struct lease *gang = running(4, 600 * SEC);
	wall_us suspended = now + settings.lead_us + save_of(2) + settings.prepare_us;
	wall_us stopped = now + settings.lead_us + settings.stop_us + settings.prepare_us;

	/* Refused only if they cannot even be stopped. */
	const struct lease *ar = request(ar_of(2, stopped - 1, 60 * SEC));
	ck_assert_int_eq(ar->state, LEASE_REJECTED);
	ck_assert_int_eq(ar->reason.code, REASON_SUSPEND_LATE);
	ck_assert_int_eq(ar->reason.arg0, stopped);
	ck_assert_int_eq(plan_offer(plan).start_us, stopped);
	/* In time. */
	ar = request(ar_of(2, suspended + 5 * SEC, 60 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->vms[0].run.then, RUN_SUSPEND);
	cancel(ar->id);
	ck_assert_int_eq(gang->vms[0].run.then, RUN_STOP);
	/* Not in time: it goes on from its beginning. */
	ar = request(ar_of(2, suspended - 1, 60 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->reason.code, REASON_PREEMPTED);
	ck_assert_int_ne(gang->state, LEASE_ACTIVE);
	cancel(ar->id);
	ck_assert_uint_eq(gang->vms[0].generation, 2);
}
END_TEST

START_TEST(nobody_loses_needlessly)
{
	/* The youngest is too big to be saved in time; the older one is not. */
	struct lease_spec small = spec_of(LEASE_BEST_EFFORT, 2, 600 * SEC);
	small.per_vm.amount[RES_MEMORY] = GIB / 4;
	const struct lease *old = request(small);
	run_all(old);
	const struct lease *young = running(2, 600 * SEC);
	ck_assert_uint_ne(old->vms[0].node, young->vms[0].node);
	request(ar_of(2, now + 15 * SEC, 60 * SEC));
	ck_assert_int_eq(young->vms[0].run.then, RUN_STOP);
	ck_assert_int_eq(young->state, LEASE_ACTIVE);
	ck_assert_int_eq(old->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

START_TEST(never_a_promise)
{
	const struct lease *old = running(2, 600 * SEC), *young = running(2, 600 * SEC);

	request(ar_of(2, now + 300 * SEC, 60 * SEC));
	ck_assert_int_eq(old->vms[0].run.then, RUN_STOP);
	ck_assert_int_eq(young->vms[0].run.then, RUN_SUSPEND);
	/* A reservation is never preempted, nor an immediate lease. */
	request(ar_of(2, now + 300 * SEC, 60 * SEC));
	ck_assert_int_eq(old->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(request(ar_of(1, now + 310 * SEC, 60 * SEC))->reason.code, REASON_NO_ROOM);
}
END_TEST

/* Node 1: the first lease (of 2 VMs, since 100 s, 500 s left); node 2: the second and third (1 VM, 400 and 600 s left).
 */
static uint64_t victim_of(const char *policy)
{
	const struct lease *lease[3];

	settings.victim = policy_victim(policy);
	ck_assert_ptr_nonnull(settings.victim);
	begin();
	lease[0] = running(2, 600 * SEC);
	now += 100 * SEC;
	lease[1] = running(1, 400 * SEC);
	lease[2] = running(1, 600 * SEC);
	ck_assert_int_eq(request(ar_of(1, now + 200 * SEC, 60 * SEC))->state, LEASE_SCHEDULED);
	for (int i = 0; i < 3; i++) {
		if (lease[i]->vms[0].run.then == RUN_SUSPEND) {
			return lease[i]->id;
		}
	}
	return 0;
}

START_TEST(by_policy)
{
	ck_assert_uint_eq(victim_of("youngest"), 3);
	ck_assert_uint_eq(victim_of("oldest"), 1);
	ck_assert_uint_eq(victim_of("least-served"), 3);
	ck_assert_uint_eq(victim_of("largest"), 1);
	ck_assert_uint_eq(victim_of("smallest"), 3);
	ck_assert_uint_eq(victim_of("shortest-left"), 2);
	ck_assert_uint_eq(victim_of("longest-left"), 3);
	ck_assert_ptr_null(policy_victim("tallest"));
}
END_TEST

START_TEST(one_at_a_time_everywhere)
{
	settings.exclusion = EXCLUSION_GLOBAL;
	begin();
	const struct lease *gang = running(4, 600 * SEC);
	wall_us start = now + 300 * SEC, clear = start - settings.prepare_us;
	const struct lease *ar = request(ar_of(4, start, 60 * SEC));
	/* All four one after another, wherever they are. */
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(gang->vms[i].run.end_us, clear - save_of(4));
		ck_assert_int_eq(gang->vms[i].run.release_us, clear);
	}
	save_all(gang);
	ck_assert_int_eq(gang->state, LEASE_SUSPENDED);
	wall_us again = ar->vms[0].run.release_us + restore_of(4), from[4] = {0};
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(gang->vms[i].run.start_us, again);
		from[i] = again - gang->vms[i].run.prepare_us;
	}
	/* Each begins when the one before it is through. */
	for (uint32_t k = 1; k <= 4; k++) {
		uint32_t found = 0;
		for (uint32_t i = 0; i < 4; i++) {
			found += from[i] == restore_of(k);
		}
		ck_assert_uint_eq(found, 1);
	}
}
END_TEST

START_TEST(two_leases_one_lane)
{
	settings.exclusion = EXCLUSION_GLOBAL;
	begin();
	const struct lease *old = running(2, 600 * SEC), *young = running(2, 600 * SEC);
	wall_us start = now + 300 * SEC, clear = start - settings.prepare_us;
	request(ar_of(4, start, 60 * SEC));
	ck_assert_int_eq(young->vms[0].run.end_us, clear - save_of(2));
	ck_assert_int_eq(old->vms[0].run.end_us, clear - save_of(4));
	ck_assert_int_eq(old->vms[0].run.release_us, clear - save_of(2));
}
END_TEST

static struct lease_spec sized(struct lease_spec spec, int64_t cpu, int64_t mib)
{
	spec.per_vm.amount[RES_CPU] = cpu;
	spec.per_vm.amount[RES_MEMORY] = mib * MIB;
	return spec;
}

/* One in the way is stopped, and then another saved when the first was to be: the first is not spared for that. */
START_TEST(not_spared_into_the_way)
{
	settings.exclusion = EXCLUSION_GLOBAL;
	begin();
	wall_us from = now;
	set_node(1, NODE_DRAINING);
	const struct lease *old = request(sized(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC), 2000, 1024));
	run_all(old);
	set_node(1, NODE_UP);
	const struct lease *young = request(sized(spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC), 1000, 1536));
	run_all(young);
	/* Beside it one that leaves in time, and one for which it is to be saved. */
	ck_assert_int_eq(request(sized(ar_of(1, from + 20 * SEC, 75 * SEC), 500, 410))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(request(sized(ar_of(1, from + 100 * SEC, 100 * SEC), 1500, 256))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(young->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_eq(young->vms[0].run.release_us, from + 95 * SEC);
	now = from + 75 * SEC;
	/* Both have to go: this one early, and there is no time to save it before. */
	ck_assert_int_eq(request(sized(ar_of(2, from + 97 * SEC, 60 * SEC), 500, 256))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(old->vms[0].run.then, RUN_SUSPEND);
	ck_assert_int_le(old->vms[0].run.release_us, from + 97 * SEC);
	ck_assert_int_ne(young->state, LEASE_ACTIVE);
}
END_TEST

START_TEST(two_leases_two_lanes)
{
	const struct lease *old = running(2, 600 * SEC), *young = running(2, 600 * SEC);
	wall_us start = now + 300 * SEC, clear = start - settings.prepare_us;

	request(ar_of(4, start, 60 * SEC));
	ck_assert_int_eq(young->vms[0].run.end_us, clear - save_of(2));
	ck_assert_int_eq(old->vms[0].run.end_us, clear - save_of(2));
}
END_TEST

START_TEST(not_while_another_is_destroyed)
{
	/* Both CPUs are wanted; memory there is enough for all. */
	struct lease_spec small = spec_of(LEASE_BEST_EFFORT, 1, 600 * SEC);
	small.per_vm.amount[RES_CPU] = 2000;
	small.per_vm.amount[RES_MEMORY] = GIB / 2;
	settings.stop_us = 60 * SEC;
	begin();
	set_node(2, NODE_DRAINING);
	const struct lease *lease = request(small);
	run_all(lease);
	struct lease_spec spec = ar_of(1, now + 300 * SEC, 60 * SEC);
	spec.per_vm.amount[RES_MEMORY] = GIB / 2;
	const struct lease *ar = request(spec);
	ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
	save_all(lease);
	span_us restore = settings.resume_us + 5120 * USEC_PER_MSEC;
	/* It can be restored before that, to go on while the other is destroyed; but not then. */
	ck_assert_int_eq(lease->vms[0].run.start_us, ar->vms[0].run.end_us);
	set_node(1, NODE_DRAINING);
	run_all(ar);
	tick_at(ar->vms[0].run.end_us + 10 * SEC);
	set_node(1, NODE_UP);
	ck_assert_int_eq(lease->vms[0].run.start_us, ar->vms[0].run.release_us + restore);
	/* Gone early, it is in nobody's way. */
	see(ar, 0, SEEN_ENDED, now);
	ck_assert_int_eq(lease->vms[0].run.start_us, now + settings.lead_us + restore);
}
END_TEST

START_TEST(resumed_in_its_place)
{
	/* Those that came later and wait do not pass one that had to stop. */
	const struct lease *first = running(4, 600 * SEC);
	const struct lease *ar = request(ar_of(4, now + 300 * SEC, 60 * SEC));
	const struct lease *later = request(spec_of(LEASE_BEST_EFFORT, 4, 600 * SEC));
	save_all(first);
	ck_assert_int_eq(first->vms[0].run.start_us, ar->vms[0].run.release_us + restore_of(2));
	ck_assert(!later->vms[0].planned || later->vms[0].run.prepare_us >= first->vms[0].run.release_us);
	/* The reservation ends early: it moves up. */
	now = ar->vms[0].run.start_us;
	for (uint32_t i = 0; i < 4; i++) {
		see(ar, i, SEEN_RUNNING, now);
	}
	now += 10 * SEC;
	for (uint32_t i = 0; i < 4; i++) {
		see(ar, i, SEEN_ENDED, now);
	}
	ck_assert_int_eq(first->vms[0].run.start_us, now + settings.lead_us + restore_of(2));
	ck_assert(!later->vms[0].planned || later->vms[0].run.prepare_us >= first->vms[0].run.release_us);
}
END_TEST

START_TEST(costs_nothing)
{
	struct event event = {.kind = EVENT_NODE};

	settings.lead_us = settings.prepare_us = settings.stop_us = settings.suspend_us = settings.resume_us = 0;
	settings.min_run_us = 0;
	begin();
	for (uint32_t id = 1; id <= 2; id++) {
		event.node = node_info(id);
		event.node.suspend_rate = event.node.resume_rate = INT64_MAX;
		tell(&event);
	}
	const struct lease *gang = running(4, 600 * SEC);
	now += 100 * SEC;
	/* To the instant, and at once. */
	const struct lease *ar = request(ar_of(4, now, 60 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->vms[0].run.end_us, now);
	ck_assert_int_eq(gang->vms[0].run.release_us, now);
	save_all(gang);
	ck_assert_int_eq(gang->vms[0].served_us, 100 * SEC);
	ck_assert_int_eq(gang->vms[0].run.prepare_us, now + 60 * SEC);
	ck_assert_int_eq(gang->vms[0].run.start_us, now + 60 * SEC);
	ck_assert_int_eq(gang->vms[0].run.end_us, now + 560 * SEC);
	/* It was about to go on, and is not yet: nothing is lost by leaving it where it is. */
	tick_at(now + 60 * SEC);
	ck_assert_int_eq(gang->state, LEASE_RESUMING);
	ck_assert_int_eq(request(ar_of(4, now, 60 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->state, LEASE_SUSPENDED);
	ck_assert_int_eq(gang->vms[0].served_us, 100 * SEC);
	ck_assert_int_eq(gang->vms[0].run.start_us, now + 60 * SEC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_preempt");
	TCase *all = tcase_create("preempt");

	tcase_add_checked_fixture(all, staged_setup, plan_teardown);
	tcase_add_test(all, stopped_without_suspension);
	tcase_add_test(all, one_is_spared);
	tcase_add_test(all, serial_units_only);
	tcase_add_test(all, too_late_to_suspend);
	tcase_add_test(all, nobody_loses_needlessly);
	tcase_add_test(all, never_a_promise);
	tcase_add_test(all, by_policy);
	tcase_add_test(all, one_at_a_time_everywhere);
	tcase_add_test(all, two_leases_one_lane);
	tcase_add_test(all, not_spared_into_the_way);
	tcase_add_test(all, two_leases_two_lanes);
	tcase_add_test(all, not_while_another_is_destroyed);
	tcase_add_test(all, resumed_in_its_place);
	tcase_add_test(all, costs_nothing);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
