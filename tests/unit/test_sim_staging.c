/* Which images a simulated node gives up for one that comes, and which it never does. */
#include <check.h>
#include <string.h>

#include "suite.h"
#include "util.h"
#include "world_state.h"

#define GB INT64_C(1000000000)
#define POOL (10 * GB)

static struct trace trace;
static struct workload workload;
static struct sim_config config;
static struct world *world;
static struct world_node *node;
static struct err err;

/* One node that is known to the planner, and no workload. */
static void begin(const char *reuse)
{
	const char *const sets[] = {"nodes=1", "predeployed=no", "pool=10GB", reuse};
	const struct world_options options = {.check = true};

	ck_assert_msg(config_load("default", NULL, sets, ARRAY_SIZE(sets), &config, &err) == 0, "%s", err.text);
	workload_make(&config, &trace, &workload);
	world = world_new(&config, &workload, &options);
	node = &world->node[0];
	ck_assert_int_eq(node->info.pool_bytes, POOL);
}

static void setup(void)
{
	begin("reuse=yes");
}

static void teardown(void)
{
	world_free(world);
	workload_fini(&workload);
	config_free(&config);
}

/* The planner takes in what has happened; what it wants is nobody's concern here. */
static void step(void)
{
	world->now_us += USEC_PER_SEC;
	plan_step(world->plan, world->event, world->events, world->now_us, &world->actions);
	world->events = 0;
}

/* One second after whatever was put before. */
static void put(uint64_t image, int64_t bytes)
{
	staging_know(world, image, bytes);
	step();
	staging_put(world, node, image, bytes);
}

/* A reservation needs the image there, tomorrow. */
static void need(uint64_t lease, uint64_t image)
{
	struct event *event = world_event(world, EVENT_LEASE_REQUESTED);

	event->requested.id = lease;
	event->requested.spec = (struct lease_spec){
		.kind = LEASE_AR,
		.vms = 1,
		.per_vm = {.amount = {[RES_CPU] = 100, [RES_MEMORY] = 1 << 20}},
		.image = image,
		.start_us = world->now_us + 24 * USEC_PER_HOUR,
		.duration_us = USEC_PER_HOUR,
	};
	step();
	ck_assert_int_eq(plan_lease(world->plan, lease)->state, LEASE_SCHEDULED);
}

/* True if the node has just these images, in that order of id. */
#define HAS(...) has((const uint64_t[]){__VA_ARGS__, 0})
static bool has(const uint64_t *image)
{
	size_t n = 0;

	while (image[n] && sim_pool_find(&node->pool, image[n])) {
		n++;
	}
	return image[n] == 0 && n == node->pool.count;
}

/* How many of the events of the step to come say that the image is gone. */
static int told_gone(uint64_t image)
{
	int n = 0;

	for (size_t i = 0; i < world->events; i++) {
		const struct event *event = &world->event[i];
		n += event->kind == EVENT_IMAGE_ABSENT && event->pool.image == image && event->pool.node == 1;
	}
	return n;
}

START_TEST(while_there_is_room)
{
	put(1, 4 * GB);
	put(2, 4 * GB);
	put(3, POOL - 8 * GB); /* to the byte */
	ck_assert(HAS(1, 2, 3));
	ck_assert_int_eq(node->pool.bytes, POOL);
	put(3, GB); /* there already */
	ck_assert(HAS(1, 2, 3));
	ck_assert_ptr_null(world->wrong);
}
END_TEST

/* As many as must, the one used longest ago first. */
START_TEST(used_longest_ago)
{
	put(1, 3 * GB);
	put(2, 3 * GB);
	put(3, 3 * GB);
	step();
	ck_assert(staging_use(world, node, 1));
	put(4, 2 * GB);
	ck_assert(HAS(1, 3, 4));
	ck_assert_int_eq(told_gone(2), 1);
	ck_assert_int_eq(told_gone(3), 0);
	put(5, 5 * GB); /* to the byte */
	ck_assert(HAS(1, 4, 5));
	ck_assert_int_eq(told_gone(3), 1);
	ck_assert_int_eq(node->pool.bytes, POOL);
	put(6, 4 * GB);
	ck_assert(HAS(5, 6));
	ck_assert_int_eq(told_gone(1), 1);
	ck_assert_int_eq(told_gone(4), 1);
	ck_assert_int_eq(node->pool.bytes, 9 * GB);
	ck_assert_ptr_null(world->wrong);
}
END_TEST

START_TEST(needed_ones_stay)
{
	put(1, 3 * GB);
	put(2, 3 * GB);
	put(3, 3 * GB);
	step();
	need(1, 1);
	need(2, 2);
	put(4, 2 * GB);
	ck_assert(HAS(1, 2, 4));
	ck_assert_ptr_null(world->wrong);
	/* That cannot be with a planner that keeps count: it is told, and nothing that is needed goes. */
	put(5, 5 * GB);
	ck_assert(HAS(1, 2, 5));
	ck_assert_ptr_nonnull(world->wrong);
	ck_assert_ptr_nonnull(strstr(world->wrong, "no room"));
}
END_TEST

/* Where pools are for transfers only what nobody needs goes at once, but only where something has changed. */
START_TEST(nothing_is_kept)
{
	teardown();
	begin("reuse=transfers");
	put(1, GB);
	put(2, GB);
	step();
	need(1, 2);
	staging_tidy(world);
	ck_assert(HAS(2));
	ck_assert_int_eq(told_gone(1), 1);
	ck_assert_ptr_null(world->wrong);
	world_event(world, EVENT_LEASE_CANCELLED)->cancelled = 1;
	step();
	staging_tidy(world);
	ck_assert(HAS(2));
	ck_assert(staging_use(world, node, 2));
	staging_tidy(world);
	ck_assert_uint_eq(node->pool.count, 0);
	ck_assert_int_eq(node->pool.bytes, 0);
}
END_TEST

START_TEST(kept_for_others)
{
	put(1, GB);
	step();
	staging_tidy(world);
	ck_assert(HAS(1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_staging");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, while_there_is_room);
	tcase_add_test(all, used_longest_ago);
	tcase_add_test(all, needed_ones_stay);
	tcase_add_test(all, nothing_is_kept);
	tcase_add_test(all, kept_for_others);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
