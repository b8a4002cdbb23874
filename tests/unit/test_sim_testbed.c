/* The batch system of the efficiency experiment: by hand, a second a transfer and half of one a copy. */
#include <check.h>
#include <stdlib.h>

#include "suite.h"
#include "testbed.h"
#include "util.h"

#define MS INT64_C(1000)
#define IMAGE 1000000
#define VMS_MAX 64

static struct trace trace;
static struct deployed deployed[VMS_MAX];

static const struct testbed plain = {.nodes = 2, .slots = 2, .link_rate = IMAGE, .copy_rate = 2 * IMAGE};

static void setup(void)
{
	trace = (struct trace){0};
}

static void teardown(void)
{
	trace_fini(&trace);
}

static void ask(int64_t submit_s, const char *image, uint32_t vms, int64_t real_s)
{
	struct trace_request request = {.submit_us = submit_s * USEC_PER_SEC, .vms = vms, .image_bytes = IMAGE};

	request.duration_us = request.real_us = real_s * USEC_PER_SEC;
	snprintf(request.image, sizeof(request.image), "%s", image);
	trace_add(&trace, &request);
}

static size_t run(uint32_t cache)
{
	struct testbed testbed = plain;

	testbed.cache = cache;
	return testbed_run(&testbed, &trace, 1, deployed);
}

static void is(size_t i, int64_t at_ms, int64_t took_ms)
{
	ck_assert_msg(deployed[i].at_us == at_ms * MS && deployed[i].took_us == took_ms * MS,
		      "%zu: after %jd, in %jd us", i, (intmax_t)deployed[i].at_us, (intmax_t)deployed[i].took_us);
	ck_assert_int_eq(deployed[i].bytes, IMAGE);
}

START_TEST(one_at_a_time_on_a_node)
{
	ask(0, "a", 2, 10);

	/* Both are on one node; the first waits for the second. */
	ck_assert_uint_eq(run(0), 2);
	is(0, 1000, 2000);
	is(1, 2000, 1000);
}
END_TEST

START_TEST(nodes_share_the_link)
{
	ask(0, "a", 1, 10);
	ask(0, "b", 1, 10);

	ck_assert_uint_eq(run(0), 2);
	is(0, 2000, 2000);
	is(1, 2000, 2000);
}
END_TEST

START_TEST(waits_for_its_turn_and_a_place)
{
	ask(0, "a", 4, 10);
	ask(1, "b", 4, 10);
	ask(2, "c", 1, 10);

	/* 4 images are there after 4 s, and end at 14; the third may not overtake. */
	ck_assert_uint_eq(run(0), 9);
	is(3, 4000, 2000);
	is(4, 16000, 4000);
	is(8, 29000, 1000);
}
END_TEST

START_TEST(reuse)
{
	ask(0, "a", 1, 1);
	ask(10, "a", 2, 1);
	ask(20, "b", 4, 1);

	/* A transfer and a copy; then a copy on the node that has it, and one more. */
	ck_assert_uint_eq(run(3), 7);
	is(0, 1500, 1500);
	is(1, 10500, 1000);
	is(2, 11000, 500);
	/* Two nodes at once: the link is shared by the first of each, the second are copies. */
	is(3, 22500, 3000);
	is(4, 22500, 3000);
	is(5, 23000, 500);
}
END_TEST

START_TEST(least_used_goes)
{
	struct testbed one = {.nodes = 1, .slots = 1, .link_rate = IMAGE, .copy_rate = 2 * IMAGE, .cache = 2};

	ask(0, "a", 1, 1);
	ask(10, "a", 1, 1);
	ask(20, "b", 1, 1);
	ask(30, "c", 1, 1);
	ask(40, "a", 1, 1);
	ask(50, "b", 1, 1);

	ck_assert_uint_eq(testbed_run(&one, &trace, 1, deployed), 6);
	is(1, 10500, 500);
	is(4, 40500, 500);
	is(5, 51500, 1500);
}
END_TEST

START_TEST(too_wide)
{
	ask(0, "a", 5, 1);
	ask(0, "b", 1, 1);

	ck_assert_uint_eq(run(0), 1);
	is(0, 1000, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_testbed");
	TCase *tests = tcase_create("testbed");

	suite_add_tcase(suite, tests);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, one_at_a_time_on_a_node);
	tcase_add_test(tests, nodes_share_the_link);
	tcase_add_test(tests, waits_for_its_turn_and_a_place);
	tcase_add_test(tests, reuse);
	tcase_add_test(tests, least_used_goes);
	tcase_add_test(tests, too_wide);
	return run_suite(suite);
}
