/* The heap of timers against a search through all of them. */
#include <check.h>

#include "plan_state.h"
#include "seed.h"
#include "suite.h"

#define GUESTS 200

static struct timers timers;
static struct guest guests[GUESTS];
static struct vm vms[GUESTS];
static wall_us want[GUESTS];

static void setup(void)
{
	take_seed();
	for (uint32_t i = 0; i < GUESTS; i++) {
		vms[i] = (struct vm){.lease = 1 + i / 3, .index = i % 3};
		guests[i] = (struct guest){.vm = &vms[i]};
		want[i] = TIMER_NONE;
	}
}

static void teardown(void)
{
	timers_fini(&timers);
}

/* By time, then lease and index, which is the order of the array. */
static struct guest *naive_first(void)
{
	size_t first = 0;

	for (size_t i = 1; i < GUESTS; i++) {
		first = want[i] < want[first] ? i : first;
	}
	return want[first] < TIMER_NONE ? &guests[first] : NULL;
}

static void set(size_t i, wall_us at_us)
{
	want[i] = at_us;
	timers_set(&timers, &guests[i], at_us);
}

START_TEST(the_first_is_due_first)
{
	for (int i = 0; i < 20000; i++) {
		set((size_t)pick(GUESTS), pick(4) == 0 ? TIMER_NONE : pick(100));
		ck_assert_ptr_eq(timers_first(&timers), naive_first());
		size_t some = (size_t)pick(GUESTS);
		ck_assert_int_eq(timers_at(&timers, &guests[some]), want[some]);
	}
}
END_TEST

START_TEST(all_come_in_order)
{
	struct guest *guest;
	wall_us last = 0;
	int count = 0;

	for (size_t i = 0; i < GUESTS; i++) {
		set(i, pick(50));
	}
	while ((guest = timers_first(&timers))) {
		ck_assert_ptr_eq(guest, naive_first());
		ck_assert_int_ge(timers_at(&timers, guest), last);
		last = timers_at(&timers, guest);
		set((size_t)(guest - guests), TIMER_NONE);
		count++;
	}
	ck_assert_int_eq(count, GUESTS);
	ck_assert_int_eq(timers.count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_timers");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, the_first_is_due_first);
	tcase_add_test(all, all_come_in_order);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
