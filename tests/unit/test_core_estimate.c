/* What saving and restoring are held to take: by rates, and learnt. */
#include "core_fixture.h"
#include "estimate.h"

static struct node *node_of(uint32_t id)
{
	return plan_find_node(plan, id);
}

static span_us plain(int64_t memory)
{
	return estimate_plain(&settings, &node_of(1)->info, ESTIMATE_SUSPEND, memory);
}

/* One after another, each for so long. */
static void learn(uint32_t node, int64_t memory, span_us took)
{
	estimate_learn(plan, node_of(node), ESTIMATE_SUSPEND, memory, now, now + took);
	now += took + SEC;
}

/* Each by its own rate, whatever was asked before. */
START_TEST(by_rates)
{
	struct event event = {.kind = EVENT_NODE, .node = node_info(2)};

	event.node.suspend_rate = 50 * MIB;
	event.node.resume_rate = 25 * MIB;
	tell(&event);
	for (int64_t memory = GIB; memory <= 2 * GIB; memory += GIB) {
		for (uint32_t id = 1; id <= 2; id++) {
			const struct node_info *info = &node_of(id)->info;
			ck_assert_int_eq(estimate_suspend(plan, node_of(id), memory),
					 settings.suspend_us + estimate_bytes(memory, info->suspend_rate));
			ck_assert_int_eq(estimate_resume(plan, node_of(id), memory),
					 settings.resume_us + estimate_bytes(memory, info->resume_rate));
		}
	}
}
END_TEST

START_TEST(mean_and_two_sigma)
{
	span_us took[] = {8 * SEC, 9 * SEC, 10 * SEC, 11 * SEC};

	for (int i = 0; i < 4; i++) {
		learn(1, GIB, took[i]);
	}
	/* Four are too few. */
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), plain(GIB));
	learn(1, GIB, 12 * SEC);
	/* Of 8 .. 12 the mean is 10, the variance 2.5. */
	ck_assert_int_ge(estimate_suspend(plan, node_of(1), GIB), 10 * SEC + 2 * 1581 * USEC_PER_MSEC);
	ck_assert_int_le(estimate_suspend(plan, node_of(1), GIB), 10 * SEC + 2 * 1582 * USEC_PER_MSEC);
	/* Of that node, and of that alone. */
	ck_assert_int_eq(estimate_suspend(plan, node_of(2), GIB), plain(GIB));
	ck_assert_int_eq(estimate_resume(plan, node_of(1), GIB),
			 estimate_plain(&settings, &node_of(1)->info, ESTIMATE_RESUME, GIB));
}
END_TEST

START_TEST(other_sizes)
{
	for (int i = 0; i < 5; i++) {
		learn(1, 2 * GIB, 3 * plain(2 * GIB));
	}
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), 2 * GIB), 3 * plain(2 * GIB));
	/* A smaller one by the nearest larger, a larger one by the largest. */
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), 3 * plain(GIB));
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), 8 * GIB), 3 * plain(8 * GIB));
	for (int i = 0; i < 5; i++) {
		learn(1, 4 * GIB, 2 * plain(4 * GIB));
	}
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), 3 * plain(GIB));
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), 3 * GIB), 2 * plain(3 * GIB));
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), 8 * GIB), 2 * plain(8 * GIB));
}
END_TEST

START_TEST(sizes_alike)
{
	/* 1 GiB and a little less count as one size, each for what it is. */
	for (int i = 0; i < 5; i++) {
		int64_t memory = GIB - i * 8 * MIB;
		learn(1, memory, 2 * plain(memory));
	}
	span_us estimate = estimate_suspend(plan, node_of(1), GIB - 20 * MIB);
	ck_assert_int_ge(estimate, 2 * plain(GIB - 20 * MIB));
	ck_assert_int_le(estimate, 2 * plain(GIB - 20 * MIB) + 10 * USEC_PER_MSEC);
}
END_TEST

START_TEST(several_share_the_time)
{
	/* All were to be saved from now on, and were so at 10, 20, ... 50 s. */
	for (int i = 1; i <= 5; i++) {
		estimate_learn(plan, node_of(1), ESTIMATE_SUSPEND, GIB, now, now + i * 10 * SEC);
	}
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), 10 * SEC);
	/* What is told again is not measured again. */
	estimate_learn(plan, node_of(1), ESTIMATE_SUSPEND, GIB, now, now + 50 * SEC);
	estimate_learn(plan, node_of(1), ESTIMATE_SUSPEND, GIB, now, now + 20 * SEC);
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), 10 * SEC);
}
END_TEST

START_TEST(not_believed)
{
	for (int i = 0; i < 10; i++) {
		learn(1, GIB, 20 * plain(GIB) + 11 * SEC);
		learn(1, GIB, -SEC);
	}
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), plain(GIB));
}
END_TEST

START_TEST(never_nothing)
{
	for (int i = 0; i < 10; i++) {
		learn(1, GIB, 0);
	}
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), 10 * USEC_PER_MSEC);
}
END_TEST

START_TEST(old_ones_fade)
{
	for (int i = 0; i < 1000; i++) {
		learn(1, GIB, 5 * SEC);
	}
	for (int i = 0; i < 400; i++) {
		learn(1, GIB, 20 * SEC);
	}
	ck_assert_int_ge(estimate_suspend(plan, node_of(1), GIB), 19 * SEC);
	ck_assert_int_le(estimate_suspend(plan, node_of(1), GIB), 22 * SEC);
}
END_TEST

START_TEST(not_asked_to)
{
	settings.learn = false;
	plan_begin();
	for (int i = 0; i < 10; i++) {
		learn(1, GIB, 2 * plain(GIB));
	}
	ck_assert_int_eq(estimate_suspend(plan, node_of(1), GIB), plain(GIB));
}
END_TEST

/* A guest is suspended and resumed so often that what was told of it counts. */
START_TEST(from_what_agents_say)
{
	const struct lease *lease = request(spec_of(LEASE_BEST_EFFORT, 1, 10000 * SEC));
	struct estimate rows[2 * ESTIMATE_COUNT];
	size_t told = 0, count = 0;

	set_node(2, NODE_DRAINING);
	run_all(lease);
	uint32_t home = lease->vms[0].node;
	set_node(1, home == 1 ? NODE_UP : NODE_DRAINING);
	set_node(2, home == 2 ? NODE_UP : NODE_DRAINING);
	for (int i = 0; i < 5; i++) {
		request(ar_of(2, now + 100 * SEC, 60 * SEC));
		ck_assert_int_eq(lease->vms[0].run.then, RUN_SUSPEND);
		now = lease->vms[0].run.end_us;
		see(lease, 0, SEEN_SUSPENDING, now);
		now += 4 * SEC;
		see(lease, 0, SEEN_SUSPENDED, now);
		told += count_actions(ACTION_ESTIMATE);
		tick_at(lease->vms[0].run.prepare_us);
		now += 3 * SEC;
		see(lease, 0, SEEN_PREPARED, now);
		told += count_actions(ACTION_ESTIMATE);
		for (size_t a = 0; a < actions.count; a++) {
			if (actions.item[a].kind == ACTION_ESTIMATE) {
				rows[0] = actions.item[a].estimate;
				count = 1;
			}
		}
		run_all(lease);
	}
	ck_assert_uint_eq(told, 10);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(rows[0].node, home);
	ck_assert_int_eq(rows[0].what, ESTIMATE_RESUME);
	ck_assert_int_eq(rows[0].mean_us, 3 * SEC);
	ck_assert_int_eq(estimate_suspend(plan, node_of(home), GIB), 4 * SEC);
	ck_assert_int_eq(estimate_resume(plan, node_of(home), GIB), 3 * SEC);
	/* A cut is as long as what was learnt. */
	request(ar_of(2, now + 100 * SEC, 60 * SEC));
	ck_assert_int_eq(lease->vms[0].run.release_us - lease->vms[0].run.end_us, 4 * SEC);
	/* It outlives a restart. */
	plan_begin();
	plan_restore_estimate(plan, &rows[0]);
	ck_assert_int_eq(estimate_resume(plan, node_of(home), GIB), 3 * SEC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_estimate");
	TCase *all = tcase_create("estimate");

	tcase_add_checked_fixture(all, staged_setup, plan_teardown);
	tcase_add_test(all, by_rates);
	tcase_add_test(all, mean_and_two_sigma);
	tcase_add_test(all, other_sizes);
	tcase_add_test(all, sizes_alike);
	tcase_add_test(all, several_share_the_time);
	tcase_add_test(all, not_believed);
	tcase_add_test(all, never_nothing);
	tcase_add_test(all, old_ones_fade);
	tcase_add_test(all, not_asked_to);
	tcase_add_test(all, from_what_agents_say);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
