/* The invariants themselves: each is broken once by hand, and must be found. Rows that contradict each other, too. */
#include "core_fixture.h"
#include "plan_state.h"
#include "prep.h"

static struct contract *ar;

static void setup(void)
{
	plan_setup();
	request(ar_of(2, now + 100 * SEC, 30 * SEC));
	request(spec_of(LEASE_BEST_EFFORT, 2, 30 * SEC));
	ar = plan_find_contract(plan, 1);
}

static enum check_rule rule(void)
{
	struct check_fault fault = {0};
	enum check_rule found = check_plan(plan, &fault);

	ck_assert_int_eq(fault.rule, found);
	ck_assert_str_ne(check_rule_name(found), "");
	return found;
}

START_TEST(table)
{
	ck_assert_int_eq(rule(), CHECK_OK);
	slots_reserve(plan->nodes[0]->slots, now + 105 * SEC, now + 106 * SEC, ar->lease.spec.per_vm);
	ck_assert_int_eq(rule(), CHECK_TABLE);
	slots_release(plan->nodes[0]->slots, now + 105 * SEC, now + 106 * SEC, ar->lease.spec.per_vm);
}
END_TEST

START_TEST(capacity)
{
	plan->nodes[0]->owed.amount[RES_MEMORY] = GIB / 2;
	ck_assert_int_eq(rule(), CHECK_CAPACITY);
}
END_TEST

START_TEST(moved)
{
	ar->lease.spec.start_us++;
	ck_assert_int_eq(rule(), CHECK_PROMISE);
}
END_TEST

START_TEST(run)
{
	ar->guest[0].vm->planned = false;
	ck_assert_int_ne(rule(), CHECK_OK);
	ar->guest[0].vm->planned = true;
	ar->guest[0].vm->node = 2;
	ck_assert_int_eq(rule(), CHECK_RUN);
}
END_TEST

START_TEST(gang)
{
	struct guest *guest = plan_find_contract(plan, 2)->guest;
	struct vm was = *guest->vm;

	guest_unbook(plan, guest);
	guest->vm->run.end_us += 1;
	guest->vm->run.release_us += 1;
	guest_book(plan, guest);
	ck_assert_int_eq(rule(), CHECK_GANG);
	guest_unbook(plan, guest);
	*guest->vm = was;
	guest_book(plan, guest);
	ck_assert_int_eq(rule(), CHECK_OK);
}
END_TEST

START_TEST(image)
{
	struct guest *guest = plan_find_contract(plan, 2)->guest;
	struct stage *stage = prep_find(guest->node, 1);

	struct flight *flight = stage->flight;
	ck_assert_ptr_nonnull(flight);
	stage->flight = NULL;
	slots_release(guest->node->pool, stage->held_from_us, stage->held_until_us,
		      (struct capacity){.amount = {[RES_DISK] = stage->size}});
	slots_reserve(guest->node->pool, 0, stage->until_us, (struct capacity){.amount = {[RES_DISK] = stage->size}});
	ck_assert_int_eq(rule(), CHECK_IMAGE);
	stage->flight = flight;
}
END_TEST

START_TEST(link_twice)
{
	struct link *link = &plan->link[0];

	ck_assert_uint_ge(link->count, 1);
	struct flight *flight = link->item[0];
	/* Late in the table, so that neither counts as begun. */
	struct flight other = {.link = link, .start_us = now + 1000 * SEC, .end_us = now + 2000 * SEC};
	link->item = plan_grow(link->item, link->count, &link->room, sizeof(*link->item));
	link->item[link->count++] = &other;
	other.deadline_us = WALL_NEVER;
	ck_assert_int_eq(rule(), CHECK_LINK); /* nobody is aboard */
	link->count--;
	flight->stages->transfer.start_us++;
	ck_assert_int_eq(rule(), CHECK_LINK);
	flight->stages->transfer.start_us--;
	link->late++;
	ck_assert_int_eq(rule(), CHECK_LINK);
	link->late--;
	ck_assert_int_eq(rule(), CHECK_OK);
}
END_TEST

START_TEST(pool)
{
	prep_find(ar->guest[0].node, 1)->users++;
	ck_assert_int_eq(rule(), CHECK_POOL);
	prep_find(ar->guest[0].node, 1)->users--;
	ck_assert_int_eq(rule(), CHECK_OK);
	ar->guest[0].node->pool_owed = IMAGE_SIZE - 1;
	ck_assert_int_eq(rule(), CHECK_POOL);
}
END_TEST

START_TEST(state)
{
	ar->lease.state = LEASE_ACTIVE;
	ck_assert_int_eq(rule(), CHECK_STATE);
}
END_TEST

/* A planner with the reservation's rows, except that one slot is left out or changed. */
static int restore(int without, bool changed)
{
	struct plan *other = plan_new(&settings);
	struct guest_slots slots;
	int result;

	plan_restore_image(other, &(struct image_info){1, IMAGE_SIZE});
	plan_restore_node(other, &plan->nodes[0]->info);
	plan_restore_node(other, &plan->nodes[1]->info);
	plan_restore_lease(other, &ar->lease);
	for (uint32_t g = 0; g < 2; g++) {
		guest_slots(&ar->guest[g], &slots);
		for (int i = 0; i < GUEST_SLOTS; i++) {
			struct slot slot = slots.at[i];
			bool meant = g == 0 && i == without;
			slot.end_us += meant && changed ? 1 : 0;
			if (slots.there[i] && (!meant || changed)) {
				plan_restore_slot(other, &slot);
			}
		}
	}
	plan_restore_ids(other, 100, 100);
	result = plan_restored(other);
	plan_free(other);
	return result;
}

START_TEST(contradictions)
{
	ck_assert_int_eq(restore(-1, false), 0);
	ck_assert_int_eq(restore(SLOT_AT_RUN, false), -1);
	ck_assert_int_eq(restore(SLOT_AT_RUN, true), -1);
	ck_assert_int_eq(restore(SLOT_AT_LEAD, false), -1);
	/* A VM on a node there is not, a run that ends before it starts. */
	ar->guest[0].vm->node = 7;
	ck_assert_int_eq(restore(-1, false), -1);
	ar->guest[0].vm->node = ar->guest[0].node->info.id;
	ar->guest[0].vm->run.end_us = ar->guest[0].vm->run.start_us;
	ck_assert_int_eq(restore(-1, false), -1);
}
END_TEST

/* Whose disk is a copy of its own has no business with the image any more. */
START_TEST(whole_disk)
{
	plan->settings.disks = DISKS_WHOLE;
	ar->guest[0].vm->started_us = now;
	ck_assert_int_eq(rule(), CHECK_POOL);
}
END_TEST

/* Who waits is not where he would be found. */
START_TEST(backlog)
{
	const struct lease *lease = NULL;

	for (int i = 0; i < 4; i++) {
		lease = request(spec_of(LEASE_BEST_EFFORT, 4, USEC_PER_HOUR));
	}
	ck_assert_int_eq(rule(), CHECK_OK);
	ck_assert_int_eq(plan_find_contract(plan, lease->id)->listed, LISTED_WAITING);
	plan_find_contract(plan, lease->id)->lease.submitted_us++;
	ck_assert_int_eq(rule(), CHECK_BACKLOG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_check");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, plan_teardown);
	tcase_add_test(all, table);
	tcase_add_test(all, capacity);
	tcase_add_test(all, moved);
	tcase_add_test(all, run);
	tcase_add_test(all, gang);
	tcase_add_test(all, image);
	tcase_add_test(all, link_twice);
	tcase_add_test(all, pool);
	tcase_add_test(all, state);
	tcase_add_test(all, contradictions);
	tcase_add_test(all, whole_disk);
	tcase_add_test(all, backlog);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
