/* How a program of unit tests ends. */
#ifndef TENURE_SUITE_H
#define TENURE_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Runs and frees the suite; the exit status of main(). */
static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
