/* Who waits, and where the queue finds him. That all is where it belongs the invariants say after every step. */
#include "backlog.h"
#include "core_fixture.h"
#include "plan_state.h"
#include "policy.h"

static void begin(const char *queue)
{
	settings.queue = policy_queue(queue);
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
}

static const struct lease *best_effort(uint32_t vms, span_us duration)
{
	return request(spec_of(LEASE_BEST_EFFORT, vms, duration));
}

static uint64_t waiting(size_t i)
{
	return i < plan->backlog.count ? plan->backlog.item[i].contract->lease.id : 0;
}

START_TEST(by_submission)
{
	begin("fcfs");
	const struct lease *runs = best_effort(4, USEC_PER_HOUR), *next = best_effort(4, USEC_PER_HOUR);
	const struct lease *small = best_effort(2, USEC_PER_HOUR), *last = best_effort(3, USEC_PER_HOUR);
	ck_assert(runs->vms[0].planned && next->vms[0].planned);
	ck_assert_uint_eq(plan->backlog.other_count, 2);
	ck_assert_uint_eq(waiting(0), small->id);
	ck_assert_uint_eq(waiting(1), last->id);
	cancel(small->id);
	cancel(last->id);
	ck_assert_uint_eq(plan->backlog.count, 0);
}
END_TEST

/* By policy trial one of many hours comes before one of few that is a little older. */
START_TEST(by_key)
{
	begin("trial");
	run_all(best_effort(4, USEC_PER_HOUR));
	best_effort(4, USEC_PER_HOUR);
	const struct lease *few = best_effort(4, USEC_PER_HOUR), *many = best_effort(4, 10 * USEC_PER_HOUR);
	ck_assert_uint_eq(waiting(0), many->id);
	ck_assert_uint_eq(waiting(1), few->id);
	ck_assert(plan->backlog.work == (__int128)4 * 11 * USEC_PER_HOUR * few->spec.per_vm.amount[RES_CPU]);
}
END_TEST

/* A question leaves no trace. */
START_TEST(asked)
{
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 4, USEC_PER_HOUR);
	struct plan_answer answer;

	begin("fcfs");
	const struct lease *runs = best_effort(4, USEC_PER_HOUR), *next = best_effort(4, USEC_PER_HOUR);
	const struct lease *last = best_effort(4, USEC_PER_HOUR);
	plan_ask(plan, &spec, now, &answer);
	ck_assert(answer.accepted);
	ck_assert(runs->vms[0].planned && next->vms[0].planned);
	ck_assert_uint_eq(plan->backlog.count, 1);
	ck_assert_uint_eq(waiting(0), last->id);
	tick_at(now + USEC_PER_SEC);
}
END_TEST

/* Short are those of whom it is known, and who are too wide for what is free at once. */
START_TEST(too_wide)
{
	struct room room;

	begin("fcfs");
	run_all(best_effort(3, USEC_PER_HOUR));
	best_effort(4, USEC_PER_HOUR);
	const struct lease *wide = best_effort(2, USEC_PER_HOUR);
	ck_assert_uint_eq(waiting(0), wide->id);
	const struct turn *turn = &plan->backlog.item[0];
	room_init(&room, plan);
	ck_assert(!backlog_short(plan, turn, &room));
	room_bound(&room, wide->spec.per_vm, 1, USEC_PER_HOUR);
	ck_assert(backlog_short(plan, turn, &room));
	struct turn slim = *turn;
	slim.vms = 1;
	ck_assert(!backlog_short(plan, &slim, &room));
	room_fini(&room);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_backlog");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, plan_setup, plan_teardown);
	tcase_add_test(all, by_submission);
	tcase_add_test(all, by_key);
	tcase_add_test(all, asked);
	tcase_add_test(all, too_wide);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
