/* Names, the table of moves, the state of a lease from its VMs; resource vectors. */
#include <check.h>
#include <stdlib.h>

#include "action.h"
#include "estimate.h"
#include "lease.h"
#include "suite.h"

START_TEST(names)
{
	enum lease_kind kind;
	enum lease_state state;
	enum transfer_state transfer;

	for (int i = 0; i < LEASE_KIND_COUNT; i++) {
		ck_assert_int_eq(lease_kind_parse(lease_kind_name((enum lease_kind)i), &kind), 0);
		ck_assert_int_eq(kind, i);
	}
	for (int i = 0; i < LEASE_STATE_COUNT; i++) {
		ck_assert_int_eq(lease_state_parse(lease_state_name((enum lease_state)i), &state), 0);
		ck_assert_int_eq(state, i);
	}
	for (int i = 0; i < TRANSFER_STATE_COUNT; i++) {
		ck_assert_int_eq(transfer_state_parse(transfer_state_name((enum transfer_state)i), &transfer), 0);
		ck_assert_int_eq(transfer, i);
	}
	ck_assert_int_eq(lease_kind_parse("AR", &kind), -1);
	ck_assert_int_eq(lease_state_parse("Done", &state), -1);
	ck_assert_int_eq(transfer_state_parse("", &transfer), -1);
	ck_assert_str_eq(lease_kind_name(LEASE_BEST_EFFORT), "best-effort");
	ck_assert_str_eq(resource_name(RES_NET_OUT), "net_out");
}
END_TEST

START_TEST(moves)
{
	for (int from = 0; from < LEASE_STATE_COUNT; from++) {
		bool final = lease_state_final((enum lease_state)from);
		for (int to = 0; to < LEASE_STATE_COUNT; to++) {
			bool allowed = lease_move_allowed((enum lease_state)from, (enum lease_state)to);
			ck_assert(!(final && allowed));
			ck_assert(!(from == to && allowed));
			ck_assert(!(to == LEASE_NEW && allowed));
		}
		/* Cancelled in every state that is not the end. */
		if (!final && from != LEASE_NEW) {
			ck_assert(lease_move_allowed((enum lease_state)from, LEASE_CANCELLED));
			ck_assert(lease_move_allowed((enum lease_state)from, LEASE_FAILED));
		}
	}
	ck_assert(lease_move_allowed(LEASE_ACTIVE, LEASE_SUSPENDING));
	ck_assert(lease_move_allowed(LEASE_SUSPENDED, LEASE_RESUMING));
	ck_assert(!lease_move_allowed(LEASE_QUEUED, LEASE_ACTIVE));
	ck_assert(!lease_move_allowed(LEASE_ACTIVE, LEASE_READY));
	ck_assert(!lease_move_allowed(LEASE_SUSPENDED, LEASE_PREPARING));
}
END_TEST

static enum lease_state of(enum lease_state a, enum lease_state b, enum lease_state c)
{
	struct vm vms[3] = {{.state = a}, {.state = b}, {.state = c}};

	return lease_state_of(vms, 3);
}

START_TEST(state_of)
{
	ck_assert_int_eq(of(LEASE_QUEUED, LEASE_QUEUED, LEASE_QUEUED), LEASE_QUEUED);
	ck_assert_int_eq(of(LEASE_QUEUED, LEASE_ACTIVE, LEASE_DONE), LEASE_ACTIVE);
	ck_assert_int_eq(of(LEASE_DONE, LEASE_QUEUED, LEASE_DONE), LEASE_QUEUED);
	ck_assert_int_eq(of(LEASE_READY, LEASE_PREPARING, LEASE_READY), LEASE_PREPARING);
	ck_assert_int_eq(of(LEASE_SUSPENDING, LEASE_SUSPENDED, LEASE_SUSPENDED), LEASE_SUSPENDING);
	ck_assert_int_eq(of(LEASE_DONE, LEASE_DONE, LEASE_DONE), LEASE_DONE);
	ck_assert_int_eq(of(LEASE_DONE, LEASE_FAILED, LEASE_CANCELLED), LEASE_FAILED);
	ck_assert_int_eq(of(LEASE_DONE, LEASE_CANCELLED, LEASE_DONE), LEASE_CANCELLED);
	ck_assert_int_eq(of(LEASE_FAILED, LEASE_ACTIVE, LEASE_DONE), LEASE_ACTIVE);
}
END_TEST

START_TEST(vectors)
{
	struct capacity a = {{4000, 100, 10, 0, 0}}, b = {{1000, 40, 0, 0, 0}}, none = {{0}};

	ck_assert(capacity_fits(b, a));
	ck_assert(!capacity_fits(a, b));
	ck_assert_uint_eq(capacity_times(b, a, 100), 2);
	ck_assert_uint_eq(capacity_times(b, a, 1), 1);
	ck_assert_uint_eq(capacity_times(none, a, 7), 7);
	ck_assert_uint_eq(capacity_times(a, b, 7), 0);
	ck_assert_int_eq(capacity_sub(a, b).amount[RES_MEMORY], 60);
	ck_assert_int_eq(capacity_add(a, b).amount[RES_CPU], 5000);
	ck_assert_int_eq(capacity_max(a, b).amount[RES_DISK], 10);
	ck_assert_int_eq(capacity_scale(b, 3).amount[RES_MEMORY], 120);
	/* A shortage of what is not needed is not in the way. */
	a.amount[RES_NET_IN] = -5;
	ck_assert_uint_eq(capacity_times(b, a, 100), 2);
}
END_TEST

START_TEST(estimates)
{
	struct plan_settings settings = plan_defaults();
	struct node_info node = {.suspend_rate = 100, .resume_rate = 300};

	ck_assert_int_eq(estimate_bytes(0, 100), 1);
	ck_assert_int_eq(estimate_bytes(100, 100), USEC_PER_SEC);
	ck_assert_int_eq(estimate_bytes(1, 3), 333334);
	ck_assert_int_eq(estimate_bytes(INT64_MAX - 1, INT64_MAX - 1), USEC_PER_SEC);
	ck_assert_int_eq(estimate_bytes(INT64_MAX, INT64_MAX), 0);
	ck_assert_int_lt(estimate_bytes(INT64_MAX, 1), WALL_NEVER / LEASE_VMS_MAX);
	ck_assert_int_eq(estimate_plain(&settings, &node, ESTIMATE_SUSPEND, 200),
			 settings.suspend_us + 2 * USEC_PER_SEC);
	ck_assert_int_eq(estimate_plain(&settings, &node, ESTIMATE_RESUME, 300), settings.resume_us + USEC_PER_SEC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_lease");
	TCase *all = tcase_create("all");

	tcase_add_test(all, names);
	tcase_add_test(all, moves);
	tcase_add_test(all, state_of);
	tcase_add_test(all, vectors);
	tcase_add_test(all, estimates);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
