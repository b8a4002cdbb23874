/* The queue policy "trial": who comes first, who makes room for whom and when, and whose image is brought. */
#include "core_fixture.h"
#include "policy.h"

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
	const struct lease *wide = best_effort(4, HOUR), *lodger = best_effort(1, 5 * HOUR);
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

int main(void)
{
	Suite *suite = suite_create("core_trial");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, plan_setup, plan_teardown);
	tcase_add_test(all, starts_at_once);
	tcase_add_test(all, one_reservation);
	tcase_add_test(all, cut_for_the_reservation);
	tcase_add_test(all, yields_after_its_stay);
	tcase_add_test(all, first_run_before_long_ones);
	tcase_add_test(all, fills_for_most);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
