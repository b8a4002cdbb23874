/* Transfers: to many nodes at once, on links of their own, by every strategy. */
#include "prep.h"

#include "core_fixture.h"

struct found {
	size_t n;
	struct transfer transfer[8];
};

static bool collect(const struct transfer *transfer, void *arg)
{
	struct found *found = arg;

	if (transfer->state == TRANSFER_PLANNED) {
		found->transfer[found->n++] = *transfer;
	}
	return true;
}

/* The one transfer on its way to the node. */
static struct transfer on_way(uint32_t node)
{
	struct found found = {0};

	plan_each_transfer(plan, node, collect, &found);
	ck_assert_uint_eq(found.n, 1);
	return found.transfer[0];
}

START_TEST(one_for_all)
{
	settings.multicast = true;
	plan_begin();
	/* Two nodes in the time of one. */
	wall_us one = now + settings.lead_us + 10 * SEC + settings.prepare_us;
	const struct lease *lease = request(ar_of(4, one - 1, 30 * SEC));
	ck_assert_int_eq(lease->state, LEASE_REJECTED);
	ck_assert_int_eq(lease->reason.arg0, one);
	ck_assert_int_eq(request(ar_of(4, one, 30 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER), 2);
	struct transfer first = on_way(1), second = on_way(2);
	ck_assert_uint_ne(first.id, second.id);
	ck_assert_int_eq(first.start_us, second.start_us);
	ck_assert_int_eq(first.end_us, second.end_us);
}
END_TEST

START_TEST(joined_until_it_begins)
{
	settings.multicast = true;
	settings.stage_ahead_us = 0;
	plan_begin();
	wall_us start = now + 600 * SEC;
	const struct lease *early = request(ar_of(2, start, 30 * SEC));
	uint32_t node = early->vms[0].node, other = 3 - node;
	const struct lease *late = request(ar_of(2, start, 30 * SEC));
	ck_assert_uint_eq(late->vms[0].node, other);
	ck_assert_int_eq(on_way(node).start_us, on_way(other).start_us);
	cancel(late->id);
	/* Under way it is for those it was meant for. */
	ck_assert(!prep_brings(plan, 1));
	tick_at(on_way(node).start_us);
	ck_assert(prep_brings(plan, 1));
	ck_assert(!prep_brings(plan, 2));
	start = on_way(node).end_us + 10 * SEC + settings.prepare_us;
	ck_assert_int_eq(request(ar_of(4, start + 60 * SEC, SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_ge(on_way(other).start_us, on_way(node).end_us);
}
END_TEST

START_TEST(arrives_node_by_node)
{
	settings.multicast = true;
	plan_begin();
	const struct lease *lease = request(ar_of(4, now + 600 * SEC, 30 * SEC));
	struct transfer second = on_way(2);
	tick_at(second.start_us);
	ck_assert_int_eq(lease->state, LEASE_PREPARING);
	now += 8 * SEC;
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	ck_assert_uint_eq(on_way(2).id, second.id);
	ck_assert_int_eq(on_way(2).end_us, second.end_us);
	tick_at(second.end_us);
	ck_assert_int_gt(on_way(2).end_us, now);
}
END_TEST

START_TEST(parted)
{
	settings.best_effort_rate = settings.repository_rate / 2;
	plan_begin();
	wall_us soon = now + settings.lead_us;
	const struct lease *best = request(spec_of(LEASE_BEST_EFFORT, 2, 300 * SEC));
	uint32_t node = best->vms[0].node;
	ck_assert_int_eq(on_way(node).start_us, soon);
	ck_assert_int_eq(on_way(node).end_us, soon + 20 * SEC);
	/* Neither is in the other's way. */
	const struct lease *ar = request(ar_of(2, soon + 10 * SEC + settings.prepare_us, 30 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_int_eq(on_way(ar->vms[0].node).start_us, soon);
	ck_assert_int_eq(on_way(ar->vms[0].node).end_us, soon + 10 * SEC);
}
END_TEST

START_TEST(as_early_as_possible)
{
	settings.staging = STAGING_EDF;
	settings.stage_ahead_us = 0;
	plan_begin();
	wall_us soon = now + settings.lead_us;
	const struct lease *late = request(ar_of(2, now + 900 * SEC, 30 * SEC));
	uint32_t node = late->vms[0].node;
	ck_assert_int_eq(on_way(node).start_us, soon);
	set_node(node, NODE_DRAINING);
	const struct lease *early = request(ar_of(2, now + 600 * SEC, 30 * SEC));
	ck_assert_uint_ne(early->vms[0].node, node);
	ck_assert_int_le(on_way(early->vms[0].node).start_us, soon + 10 * SEC);
	ck_assert_int_ne(on_way(early->vms[0].node).start_us, on_way(node).start_us);
}
END_TEST

/* They admit what cannot be in time, and go on with what is late. */
START_TEST(blind)
{
	const struct {
		enum staging staging;
		wall_us start_us;
	} want[] = {
		{STAGING_JIT, now + 585 * SEC},
		{STAGING_AGGRESSIVE, now + settings.lead_us},
		{STAGING_JOB, now + 600 * SEC},
	};
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		settings.staging = want[i].staging;
		plan_begin();
		const struct lease *lease = request(ar_of(4, now + 600 * SEC, 300 * SEC));
		ck_assert_int_eq(lease->state, LEASE_SCHEDULED);
		ck_assert_int_eq(on_way(1).start_us, want[i].start_us);
		ck_assert_int_eq(on_way(2).start_us, want[i].start_us);
		uint64_t id = on_way(1).id;
		for (int t = 1; t < 10; t++) {
			tick_at(on_way(1).end_us);
			ck_assert_uint_eq(on_way(1).id, id);
		}
		plan_begin();
		ck_assert_int_eq(request(ar_of(4, now + 7 * SEC, 30 * SEC))->state, LEASE_SCHEDULED);
	}
}
END_TEST

/* What nobody is promised goes one after another, or what is under way would never be through for what is added. */
START_TEST(slack_is_not_blind)
{
	const enum staging staging[] = {STAGING_JIT, STAGING_AGGRESSIVE, STAGING_JOB};

	for (size_t i = 0; i < sizeof(staging) / sizeof(staging[0]); i++) {
		settings.staging = staging[i];
		plan_begin();
		wall_us soon = now + settings.lead_us;
		const struct lease *ar = request(ar_of(2, soon + 15 * SEC + settings.prepare_us, 300 * SEC));
		const struct lease *one = request(spec_of(LEASE_BEST_EFFORT, 2, 10 * SEC));
		struct transfer promised = on_way(ar->vms[0].node), slack = on_way(one->vms[0].node);
		bool early = promised.start_us < soon + 10 * SEC;
		ck_assert_int_eq(slack.start_us, early ? promised.end_us : soon);
		/* What leaves the link lets others move up. */
		cancel(ar->id);
		ck_assert_int_eq(on_way(one->vms[0].node).start_us, soon);
	}
}
END_TEST

/* A gang that begins anew, as one image came too late, has not to wait for the whole of it again. */
START_TEST(goes_on_for_the_queue)
{
	settings.backfill = BACKFILL_FIRST_FIT;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	const struct lease *gang = request(spec_of(LEASE_BEST_EFFORT, 4, 10 * SEC));
	struct transfer first = on_way(2);
	tick_at(gang->vms[0].run.start_us);
	for (uint32_t i = 0; i < 4; i++) {
		if (gang->vms[i].node == 1) {
			see(gang, i, SEEN_RUNNING, now);
		}
	}
	tick_at(gang->vms[0].run.end_us);
	see(gang, gang->vms[0].node == 1 ? 3 : 0, SEEN_FAILED, now);
	/* Its own remains are in the way. */
	ck_assert_int_eq(gang->state, LEASE_QUEUED);
	ck_assert_uint_eq(on_way(2).id, first.id);
	tick_at(now + settings.lead_us + settings.stop_us);
	ck_assert_int_eq(gang->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(on_way(2).id, first.id);
	ck_assert_int_ge(gang->vms[0].run.prepare_us, on_way(2).end_us);
	cancel(gang->id);
	struct found found = {0};
	plan_each_transfer(plan, 2, collect, &found);
	ck_assert_uint_eq(found.n, 0);
}
END_TEST

/* A refused request leaves the link as it was. */
START_TEST(refused)
{
	plan_begin();
	request(ar_of(2, now + 40 * SEC, 30 * SEC));
	request(ar_of(2, now + 40 * SEC, 30 * SEC));
	wall_us first = on_way(1).start_us, second = on_way(2).start_us;
	struct event event = {.kind = EVENT_IMAGE_ADDED, .image = {2, 3 * IMAGE_SIZE}};
	tell(&event);
	struct lease_spec spec = ar_of(2, now + 120 * SEC, 30 * SEC);
	spec.image = 2;
	spec.vms = 4;
	spec.start_us = now + 75 * SEC;
	ck_assert_int_eq(request(spec)->state, LEASE_REJECTED);
	ck_assert_uint_eq(count_actions(ACTION_TRANSFER) + count_actions(ACTION_TRANSFER_DROP), 0);
	ck_assert_int_eq(on_way(1).start_us, first);
	ck_assert_int_eq(on_way(2).start_us, second);
}
END_TEST

static size_t stages(void)
{
	return plan_find_node(plan, 1)->stage_count + plan_find_node(plan, 2)->stage_count;
}

/* For years images come and go. Of those that are gone nothing is kept: on nodes, on their way, or told of late. */
START_TEST(forgets_what_was_removed)
{
	struct event added = {.kind = EVENT_IMAGE_ADDED, .image = {0, IMAGE_SIZE}};
	struct event removed = {.kind = EVENT_IMAGE_REMOVED};

	request(ar_of(4, now + 600 * SEC, 30 * SEC));
	ck_assert_uint_eq(stages(), 2);
	for (uint64_t image = 2; image < 40; image++) {
		struct lease_spec spec = ar_of(1, now + 900 * SEC, 30 * SEC);
		spec.image = added.image.id = removed.image_removed = image;
		tell(&added);
		uint64_t id = request(spec)->id;
		image_there(1, image, EVENT_IMAGE_PRESENT);
		ck_assert_uint_gt(stages(), 2);
		cancel(id);
		tell(&removed);
		image_there(2, image, EVENT_IMAGE_PRESENT);
		image_there(2, image, EVENT_IMAGE_ABSENT);
		ck_assert_uint_eq(stages(), 2);
	}
	/* Those of others are as they were. */
	ck_assert_ptr_nonnull(prep_find(plan_find_node(plan, 1), 1));
	ck_assert_ptr_nonnull(prep_find(plan_find_node(plan, 2), 1));
}
END_TEST

/* What else is decided in the same step is as ever, even of the image if it comes back as another. */
START_TEST(forgets_nothing_else)
{
	struct event events[] = {
		{.kind = EVENT_IMAGE_REMOVED, .image_removed = 1},
		{.kind = EVENT_IMAGE_ADDED, .image = {1, IMAGE_SIZE}},
		{.kind = EVENT_LEASE_REQUESTED},
	};

	events[2].requested.id = ++last_lease;
	events[2].requested.spec = ar_of(4, now + 600 * SEC, 30 * SEC);
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	plan_step(plan, events, 3, now, &actions);
	ck_assert_int_eq(plan_lease(plan, last_lease)->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(on_way(1).image, 1);
	ck_assert_uint_eq(on_way(2).image, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_link");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, plan_setup, plan_teardown);
	tcase_add_test(all, one_for_all);
	tcase_add_test(all, joined_until_it_begins);
	tcase_add_test(all, arrives_node_by_node);
	tcase_add_test(all, parted);
	tcase_add_test(all, as_early_as_possible);
	tcase_add_test(all, blind);
	tcase_add_test(all, slack_is_not_blind);
	tcase_add_test(all, goes_on_for_the_queue);
	tcase_add_test(all, refused);
	tcase_add_test(all, forgets_what_was_removed);
	tcase_add_test(all, forgets_nothing_else);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
