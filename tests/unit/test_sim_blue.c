/* The month on SDSC Blue Horizon: what it is compared with, and months on end. Whole runs are tests/system's. */
#include <check.h>
#include <math.h>

#include "blue.h"
#include "suite.h"
#include "util.h"

#define ck_close(a, b) ck_assert_msg(fabs((a) - (b)) < 1e-9, "%s is %f, not %f", #a, (double)(a), (double)(b))

static struct blue *blue_of(const char *name, const char *column, bool brief)
{
	static struct experiment_run run;
	struct blue *blue = xcalloc(1, sizeof(*blue));

	run.brief = brief;
	blue->run = &run;
	blue->load[0] = (struct blue_load){.name = (char *)name, .column = column};
	blue->loads = 1;
	return blue;
}

START_TEST(test_published)
{
	_cleanup_free_ struct blue *blue = blue_of("20", "rho20_3H_medium", false);
	_cleanup_free_ struct blue *other = blue_of("05-1h-small", NULL, false);

	ck_close(blue_published(blue, 0, BLUE_NOVM_NOSR, BLUE_COMPLETION), 8.66);
	ck_close(blue_published(blue, 0, BLUE_VM_REUSE_SKEWED, BLUE_SLOWDOWN), 115.99);
	ck_assert(isnan(blue_published(blue, 0, BLUE_NOVM_NOSR, BLUE_MAX_WAIT)));
	ck_assert(isnan(blue_published(other, 0, BLUE_NOVM_NOSR, BLUE_WAIT)));
	ck_assert(isnan(blue_published(other, 0, BLUE_DEFAULT, BLUE_WAIT)));
}
END_TEST

/* The best with virtual machines, column by column: at 10 % of the load completion is not that of the best wait. */
START_TEST(test_best)
{
	_cleanup_free_ struct blue *blue = blue_of("10", "rho10_3H_medium", false);

	ck_close(blue_published(blue, 0, BLUE_DEFAULT, BLUE_COMPLETION), -0.36);
	ck_close(blue_published(blue, 0, BLUE_DEFAULT, BLUE_WAIT), 8.05);
	ck_close(blue_published(blue, 0, BLUE_FCFS, BLUE_SLOWDOWN), 39.60);
}
END_TEST

START_TEST(test_haizea)
{
	_cleanup_free_ struct blue *none = blue_of("none", NULL, false);
	_cleanup_free_ struct blue *other = blue_of("15-3h-medium", NULL, false);

	ck_close(blue_haizea(none, 0, BLUE_NOVM_NOSR, BLUE_COMPLETION), -0.22);
	ck_close(blue_haizea(none, 0, BLUE_NOVM_NOSR, BLUE_WAIT_ALL), 4.49);
	ck_assert(isnan(blue_haizea(none, 0, BLUE_NOVM_SR, BLUE_WAIT)));
	ck_assert(isnan(blue_haizea(none, 0, BLUE_NOVM_NOSR, BLUE_UTILIZATION)));
	ck_assert(isnan(blue_haizea(other, 0, BLUE_NOVM_NOSR, BLUE_WAIT)));
	_cleanup_free_ struct blue *made_up = blue_of("30", NULL, true);
	ck_assert(isnan(blue_haizea(made_up, 0, BLUE_NOVM_NOSR, BLUE_WAIT)));
}
END_TEST

/* Every policy's settings are there, and the paper's and Tenure's own are on the same cluster. */
START_TEST(test_config)
{
	for (enum blue_policy policy = 0; policy < BLUE_POLICIES; policy++) {
		struct sim_config config;
		struct err err;
		ck_assert_msg(blue_config(policy, 7, &config, &err) == 0, "%s: %s", blue_policy_name(policy), err.text);
		ck_assert_int_eq(config.seed, 7);
		ck_assert_str_eq(config.nodes, "144");
		ck_assert_int_eq(config.memory, INT64_C(1) << 30);
		ck_assert_int_eq(config.repository_rate, 10 << 20);
		ck_assert_int_eq(config.suspend_rate, 50 << 20);
		ck_assert_int_eq(config.image_size, INT64_C(4) << 30);
		ck_assert(config.multicast);
		config_free(&config);
	}
}
END_TEST

START_TEST(test_repeat)
{
	_cleanup_(trace_fini) struct trace month = {0};
	_cleanup_(trace_fini) struct trace months = {0};
	struct trace_request request = {.submit_us = 5,
					.start_us = 90,
					.latest_us = -1,
					.deadline_us = -1,
					.call_us = -1,
					.duration_us = 7,
					.vms = 2};

	trace_add(&month, &request);
	request.submit_us = 20;
	request.start_us = -1;
	trace_add(&month, &request);
	blue_repeat(&month, 3, 100, &months);
	ck_assert_uint_eq(months.count, 6);
	for (size_t i = 0; i < months.count; i++) {
		const struct trace_request *item = &months.item[i];
		ck_assert_int_eq(item->submit_us, (wall_us)(i / 2) * 100 + (i % 2 ? 20 : 5));
		ck_assert_int_eq(item->start_us, i % 2 ? -1 : (wall_us)(i / 2) * 100 + 90);
		ck_assert_int_eq(item->deadline_us, -1);
		ck_assert_int_eq(item->duration_us, 7);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_blue");
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, test_published);
	tcase_add_test(tcase, test_best);
	tcase_add_test(tcase, test_haizea);
	tcase_add_test(tcase, test_config);
	tcase_add_test(tcase, test_repeat);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
