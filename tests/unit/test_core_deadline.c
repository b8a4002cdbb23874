/* Leases whose start is the planner's choice: in a window, or any that is done by a deadline. Who makes room for whom.
 */
#include "core_fixture.h"

static struct lease_spec window_of(uint32_t vms, wall_us from, wall_us latest, span_us duration)
{
	struct lease_spec spec = ar_of(vms, from, duration);

	spec.latest_us = latest;
	return spec;
}

static struct lease_spec deadline_of(uint32_t vms, wall_us deadline, span_us duration)
{
	struct lease_spec spec = spec_of(LEASE_DEADLINE, vms, duration);

	spec.deadline_us = deadline;
	return spec;
}

static wall_us earliest(void)
{
	return now + settings.lead_us + settings.prepare_us;
}

/* When what began at that time has left its nodes, and others are prepared there. */
static wall_us after(wall_us start, span_us duration)
{
	return start + duration + settings.stop_us + settings.prepare_us;
}

START_TEST(window_first_start)
{
	const struct lease *lease = request(window_of(4, now + 60 * SEC, now + 90 * SEC, 30 * SEC));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->spec.start_us, now + 60 * SEC);
	ck_assert_int_eq(lease->spec.latest_us, now + 90 * SEC);
	ck_assert_int_eq(lease->vms[3].run.start_us, now + 60 * SEC);
}
END_TEST

/* The start in the window is the first with room, and from then on it is agreed. */
START_TEST(window_later_start)
{
	wall_us start = now + 60 * SEC;

	request(ar_of(3, start, 30 * SEC));
	const struct lease *lease = request(window_of(2, start, start + 100 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->spec.start_us, after(start, 30 * SEC));
	cancel(1);
	ck_assert_int_eq(lease->vms[0].run.start_us, after(start, 30 * SEC));
	ck_assert_int_eq(request(ar_of(4, start, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(window_too_short)
{
	wall_us start = now + 60 * SEC;

	request(ar_of(3, start, 30 * SEC));
	const struct lease *lease = request(window_of(2, start, after(start, 30 * SEC) - 1, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(lease->reason.arg0, 1);
	ck_assert_int_eq(plan_offer(plan).start_us, after(start, 30 * SEC));
	ck_assert_uint_eq(plan_offer(plan).vms, 2);
}
END_TEST

/* A window that is open already begins now; one that is over is past. */
START_TEST(window_past)
{
	const struct lease *lease = request(window_of(1, now - 60 * SEC, now + 60 * SEC, 30 * SEC));

	ck_assert_int_eq(lease->spec.start_us, earliest());
	lease = request(window_of(1, now - 60 * SEC, earliest() - 1, 30 * SEC));
	ck_assert_int_eq(lease->reason.code, REASON_START_PAST);
	ck_assert_int_eq(lease->reason.arg0, earliest());
}
END_TEST

/* VMs of one lease need the room of several nodes at the same time. */
START_TEST(window_of_a_gang)
{
	wall_us start = now + 60 * SEC;

	request(ar_of(2, start, 30 * SEC));
	request(ar_of(2, start + 20 * SEC, 30 * SEC));
	const struct lease *lease = request(window_of(4, start, start + 500 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->spec.start_us, after(start + 20 * SEC, 30 * SEC));
}
END_TEST

START_TEST(window_preempts)
{
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 4, 500 * SEC));

	run_all(best);
	now += 10 * SEC;
	/* 2 GiB at 100 MiB/s on each node: saved in time for a start in the window, not for its first. */
	const struct lease *lease = request(window_of(4, earliest(), now + 100 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_gt(lease->spec.start_us, now + 20 * SEC);
	ck_assert_int_lt(lease->spec.start_us, now + 40 * SEC);
	ck_assert_int_eq(best->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

START_TEST(deadline_soonest)
{
	const struct lease *lease = request(deadline_of(2, now + 200 * SEC, 30 * SEC));

	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->vms[0].run.start_us, earliest());
	struct lease_spec spec = deadline_of(2, now + 200 * SEC, 30 * SEC);
	spec.start_us = now + 100 * SEC;
	lease = request(spec);
	ck_assert_int_eq(lease->vms[0].run.start_us, now + 100 * SEC);
	run_all(plan_lease(plan, 1));
	ck_assert_int_eq(plan_lease(plan, 1)->state, LEASE_ACTIVE);
}
END_TEST

START_TEST(deadline_too_soon)
{
	const struct lease *lease = request(deadline_of(1, earliest() + 30 * SEC - 1, 30 * SEC));

	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_DEADLINE);
	ck_assert_int_eq(lease->reason.arg0, earliest() + 30 * SEC);
	ck_assert_int_eq(plan_offer(plan).start_us, earliest());
	ck_assert_int_eq(request(deadline_of(1, earliest() + 30 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
}
END_TEST

START_TEST(deadline_full)
{
	request(ar_of(3, now + 10 * SEC, 100 * SEC));
	const struct lease *lease = request(deadline_of(2, now + 130 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(plan_offer(plan).start_us, after(now + 10 * SEC, 100 * SEC));
	/* It would rather wait than suspend anybody. */
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 1, 300 * SEC));
	lease = request(deadline_of(2, now + 200 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->vms[0].run.start_us, after(now + 10 * SEC, 100 * SEC));
	ck_assert_int_eq(best->vms[0].run.then, RUN_STOP);
}
END_TEST

/* Not before some time from now, so that it does not begin at once. */
static struct lease_spec waiting_of(uint32_t vms, wall_us deadline, span_us duration)
{
	struct lease_spec spec = deadline_of(vms, deadline, duration);

	spec.start_us = now + 50 * SEC;
	return spec;
}

/* A deadline lease that waits gives its place to a reservation, and is done in time all the same. */
START_TEST(deadline_moves)
{
	const struct lease *lease = request(waiting_of(4, now + 300 * SEC, 30 * SEC));
	wall_us start = lease->vms[0].run.start_us;

	const struct lease *ar = request(ar_of(4, start + 10 * SEC, 30 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->vms[0].run.start_us, after(start + 10 * SEC, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
	/* No further than its deadline: then the reservation is refused, and nothing is moved. */
	ar = request(ar_of(4, after(start + 10 * SEC, 30 * SEC), 250 * SEC));
	ck_assert_int_eq(ar->state, LEASE_REJECTED);
	ck_assert_int_eq(ar->reason.code, REASON_NO_ROOM);
	ck_assert_int_eq(lease->vms[0].run.start_us, after(start + 10 * SEC, 30 * SEC));
	ck_assert_uint_eq(count_actions(ACTION_VM), 0);
	ck_assert_uint_eq(count_actions(ACTION_SLOT), 0);
}
END_TEST

/* The one with more slack goes. */
START_TEST(deadline_slack)
{
	wall_us start = now + 50 * SEC;
	const struct lease *patient = request(waiting_of(2, now + 300 * SEC, 30 * SEC));
	const struct lease *urgent = request(waiting_of(2, start + 40 * SEC, 30 * SEC));

	ck_assert_int_eq(urgent->vms[0].run.start_us, start);
	const struct lease *ar = request(ar_of(2, start, 30 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(urgent->vms[0].run.start_us, start);
	ck_assert_int_eq(patient->vms[0].run.start_us, after(start, 30 * SEC));
	/* And for a deadline lease that could not be had otherwise. */
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	patient = request(waiting_of(4, now + 300 * SEC, 30 * SEC));
	urgent = request(waiting_of(4, start + 40 * SEC, 30 * SEC));
	ck_assert_int_eq(urgent->vms[0].run.start_us, start);
	ck_assert_int_eq(patient->vms[0].run.start_us, after(start, 30 * SEC));
}
END_TEST

/* One that has begun stays. */
START_TEST(deadline_begun)
{
	const struct lease *lease = request(deadline_of(4, now + 300 * SEC, 30 * SEC));

	run_all(lease);
	ck_assert_int_eq(request(ar_of(4, now + 10 * SEC, 30 * SEC))->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
}
END_TEST

/* Its image goes with it, and if that cannot be, all stays as it was. */
START_TEST(deadline_image)
{
	wall_us start = now + settings.lead_us + 20 * SEC + settings.prepare_us;
	const struct lease *lease = request(deadline_of(4, now + 300 * SEC, 30 * SEC));

	ck_assert_int_eq(lease->vms[0].run.start_us, start);
	tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {2, IMAGE_SIZE}});
	struct lease_spec spec = ar_of(4, start + 100 * SEC, 30 * SEC);
	spec.image = 2;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
	spec.start_us = start + 140 * SEC;
	ck_assert_int_eq(request(spec)->state, LEASE_SCHEDULED);
	ck_assert_int_eq(lease->vms[0].run.start_us, start);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_deadline");
	TCase *staged = tcase_create("staged"), *bare = tcase_create("bare");

	tcase_add_checked_fixture(staged, staged_setup, plan_teardown);
	tcase_add_test(staged, window_first_start);
	tcase_add_test(staged, window_later_start);
	tcase_add_test(staged, window_too_short);
	tcase_add_test(staged, window_past);
	tcase_add_test(staged, window_of_a_gang);
	tcase_add_test(staged, window_preempts);
	tcase_add_test(staged, deadline_soonest);
	tcase_add_test(staged, deadline_too_soon);
	tcase_add_test(staged, deadline_full);
	tcase_add_test(staged, deadline_moves);
	tcase_add_test(staged, deadline_slack);
	tcase_add_test(staged, deadline_begun);
	tcase_add_checked_fixture(bare, plan_setup, plan_teardown);
	tcase_add_test(bare, deadline_image);
	suite_add_tcase(suite, staged);
	suite_add_tcase(suite, bare);
	return run_suite(suite);
}
