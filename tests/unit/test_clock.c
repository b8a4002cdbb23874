/* Clocks against each other. */
#include <check.h>

#include "clock.h"

START_TEST(offset_of_the_wall_clock)
{
	int64_t offset = clock_wall_offset_ns();
	int64_t shortest = INT64_MAX, off = 0;

	/* Against the best of many pairs of readings; nobody sets the clock so often that all are spoilt. */
	for (int i = 0; i < 1000; i++) {
		int64_t before = clock_mono_ns(), wall = clock_wall_ns(), took = clock_mono_ns() - before;

		if (took < shortest) {
			shortest = took;
			off = offset - (wall - before);
		}
	}
	ck_assert_int_lt(off, 50000);
	ck_assert_int_gt(off, -50000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *all = tcase_create("all");

	tcase_add_test(all, offset_of_the_wall_clock);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
