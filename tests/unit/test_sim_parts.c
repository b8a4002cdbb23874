/* What a simulated cluster is made of: the agenda, links that are shared, pools, gauges over time. */
#include <check.h>
#include <string.h>

#include "agenda.h"
#include "metrics.h"
#include "sim_link.h"
#include "sim_pool.h"
#include "suite.h"
#include "util.h"

#define SEC USEC_PER_SEC

/* Takes the first out; its key. */
static uint64_t take_first(struct agenda *agenda)
{
	struct due *due = agenda_first(agenda);

	ck_assert_ptr_nonnull(due);
	agenda_set(agenda, due, WALL_NEVER);
	ck_assert_uint_eq(due->place, 0);
	return due->key;
}

START_TEST(agenda_is_in_order)
{
	struct agenda agenda = {0};
	struct due due[200] = {0};

	for (uint64_t i = 0; i < ARRAY_SIZE(due); i++) {
		due[i].key = i;
		agenda_set(&agenda, &due[i], (wall_us)(i * 7919 % 31));
	}
	/* Some are moved, some taken out. */
	for (uint64_t i = 0; i < ARRAY_SIZE(due); i += 3) {
		agenda_set(&agenda, &due[i], i % 2 ? WALL_NEVER : (wall_us)(i * 104729 % 37));
	}
	wall_us last_us = -1;
	uint64_t last_key = 0;
	size_t left = agenda.count;
	for (; left > 0; left--) {
		wall_us at_us = agenda_first(&agenda)->at_us;
		uint64_t key = take_first(&agenda);
		ck_assert_msg(at_us > last_us || (at_us == last_us && key > last_key), "%d after %d", (int)at_us,
			      (int)last_us);
		last_us = at_us;
		last_key = key;
	}
	ck_assert_ptr_null(agenda_first(&agenda));
	agenda_fini(&agenda);
}
END_TEST

START_TEST(agenda_ranks)
{
	struct agenda agenda = {0};
	struct due late = {.key = 1}, second = {.rank = 1, .key = 2}, first = {.rank = 0, .key = 3};

	agenda_set(&agenda, &late, 20);
	agenda_set(&agenda, &second, 10);
	agenda_set(&agenda, &first, 10);
	ck_assert_uint_eq(take_first(&agenda), 3);
	ck_assert_uint_eq(take_first(&agenda), 2);
	ck_assert_uint_eq(take_first(&agenda), 1);
	agenda_fini(&agenda);
}
END_TEST

static struct agenda agenda;
static struct sim_link link_;

static void link_setup(void)
{
	agenda = (struct agenda){0};
	link_ = (struct sim_link){0};
}

static void link_teardown(void)
{
	sim_link_fini(&link_);
	agenda_fini(&agenda);
}

/* The next flow that is through must be of that image, at that time. */
static void through(uint64_t image, wall_us at_us)
{
	ck_assert_ptr_nonnull(agenda_first(&agenda));
	ck_assert_int_eq(agenda_first(&agenda)->at_us, at_us);
	struct flow *flow = sim_link_take(&link_, &agenda, at_us);
	ck_assert_ptr_nonnull(flow);
	ck_assert_uint_eq(flow->image, image);
	free(flow);
}

START_TEST(link_alone)
{
	sim_link_begin(&link_, &agenda, 5, 1, 100, 409600001);
	ck_assert_ptr_null(sim_link_take(&link_, &agenda, 409600005));
	through(1, 409600006);
	/* The next begins where it ends. */
	sim_link_begin(&link_, &agenda, 409600006, 2, 100, 7);
	through(2, 409600013);
	ck_assert_ptr_null(agenda_first(&agenda));
	ck_assert_int_eq(link_.busy_us, 409600008);
	ck_assert_int_eq(link_.bytes, 200);
}
END_TEST

START_TEST(link_shared)
{
	/* Ten seconds alone; two share from the second second on: 1 + 9 * 2 for the first of them. */
	sim_link_begin(&link_, &agenda, 0, 1, 1, 10 * SEC);
	sim_link_begin(&link_, &agenda, 1 * SEC, 2, 1, 10 * SEC);
	ck_assert_ptr_nonnull(sim_link_twin(&link_, 1 * SEC, 2));
	ck_assert_ptr_null(sim_link_twin(&link_, 1 * SEC, 1));
	through(1, 19 * SEC);
	through(2, 20 * SEC);
	ck_assert_int_eq(link_.busy_us, 20 * SEC);
}
END_TEST

START_TEST(link_dropped)
{
	struct flow *flow = sim_link_begin(&link_, &agenda, 0, 1, 1, 10 * SEC);

	sim_link_begin(&link_, &agenda, 0, 2, 1, 10 * SEC);
	sim_link_drop(&link_, &agenda, 10 * SEC, flow);
	through(2, 15 * SEC);
	ck_assert_int_eq(link_.bytes, 1);
}
END_TEST

static bool kept(uint64_t image, void *arg)
{
	return image == *(uint64_t *)arg;
}

START_TEST(pool_lru)
{
	struct sim_pool pool = {0};
	uint64_t keep = 0;

	sim_pool_add(&pool, 1, 10, 100);
	sim_pool_add(&pool, 2, 20, 50);
	sim_pool_add(&pool, 3, 30, 75);
	ck_assert_uint_eq(sim_pool_oldest(&pool, kept, &keep)->image, 2);
	keep = 2;
	ck_assert_uint_eq(sim_pool_oldest(&pool, kept, &keep)->image, 3);
	ck_assert(sim_pool_remove(&pool, 3));
	ck_assert(!sim_pool_remove(&pool, 3));
	ck_assert_int_eq(pool.bytes, 30);
	ck_assert_int_eq(pool.peak, 60);
	ck_assert_ptr_null(sim_pool_find(&pool, 3));
	sim_pool_find(&pool, 1)->used_us = 1;
	ck_assert_uint_eq(sim_pool_oldest(&pool, kept, &keep)->image, 1);
	sim_pool_fini(&pool);
}
END_TEST

START_TEST(gauges)
{
	struct metrics metrics;
	char *text = NULL;
	size_t size;

	metrics_init(&metrics, 2, 1000 * SEC, 10 * SEC);
	metrics.now.cpu_promised = 1000;
	metrics_pool(&metrics, 1, 6000000);
	metrics_advance(&metrics, 1015 * SEC);
	metrics.now.cpu_promised = 0;
	metrics.now.waiting = 3;
	metrics_pool(&metrics, 1, 0);
	metrics_moved(&metrics, 5000000);
	metrics_advance(&metrics, 1025 * SEC);
	metrics_close(&metrics);
	ck_assert_uint_eq(metrics.count, 3);
	ck_assert(metrics.total.cpu_promised == 1000.0 * 15 * SEC);
	FILE *out = open_memstream(&text, &size);
	metrics_write(&metrics, 1000 * SEC, 2000, out);
	fclose(out);
	/* Half of the cluster for ten seconds, then for half of the time; the last interval is cut. */
	ck_assert_ptr_nonnull(strstr(text,
				     "\n0.000000,10.000000,0.500000,0.000000,0.000,0.000,0.000,0.000000,0.000,6.000,"
				     "3.000,0.000\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n10.000000,20.000000,0.250000,0.000000,1.500,0.000,0.000,0.000000,5.000,"
					   "6.000,1.500,0.000\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n20.000000,25.000000,0.000000,0.000000,3.000,"));
	free(text);
	metrics_fini(&metrics);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_parts");
	TCase *plain = tcase_create("plain"), *on_link = tcase_create("link");

	tcase_add_test(plain, agenda_is_in_order);
	tcase_add_test(plain, agenda_ranks);
	tcase_add_test(plain, pool_lru);
	tcase_add_test(plain, gauges);
	suite_add_tcase(suite, plain);
	tcase_add_checked_fixture(on_link, link_setup, link_teardown);
	tcase_add_test(on_link, link_alone);
	tcase_add_test(on_link, link_shared);
	tcase_add_test(on_link, link_dropped);
	suite_add_tcase(suite, on_link);
	return run_suite(suite);
}
