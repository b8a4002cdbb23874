/* Who may overtake whom, by mode of backfilling, and in what order the queue is looked at, by policy. */
#include "core_fixture.h"
#include "policy.h"

/* As the fixture begins, both nodes staged, nobody suspended. */
static void begin(enum backfill backfill, const char *queue)
{
	settings.backfill = backfill;
	settings.backfill_depth = 2;
	settings.queue = policy_queue(queue);
	settings.suspension = SUSPENSION_NONE;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
}

static const struct lease *best_effort(uint32_t vms, span_us duration)
{
	return request(spec_of(LEASE_BEST_EFFORT, vms, duration));
}

static const struct lease *best_effort_of(uint32_t user, uint32_t vms, span_us duration)
{
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, vms, duration);

	spec.user = user;
	return request(spec);
}

static wall_us start_of(const struct lease *lease)
{
	return lease->vms[0].planned ? lease->vms[0].run.start_us : 0;
}

static wall_us soonest(void)
{
	return now + settings.lead_us + settings.prepare_us;
}

/*
 * The textbook case (Mu'alem and Feitelson 2001): four places, three of them taken for 100 s. The first in the queue
 * wants two, the second all four, and a long one of one place would delay the second only.
 */
struct textbook {
	const struct lease *running, *first, *second, *slim;
};

static struct textbook textbook(enum backfill backfill)
{
	struct textbook book;

	begin(backfill, "fcfs");
	book.running = best_effort(3, 100 * SEC);
	run_all(book.running);
	book.first = best_effort(2, 100 * SEC);
	book.second = best_effort(4, 100 * SEC);
	book.slim = best_effort(1, 1000 * SEC);
	return book;
}

START_TEST(none)
{
	struct textbook book = textbook(BACKFILL_NONE);

	ck_assert_int_ge(start_of(book.first), book.running->vms[0].run.end_us);
	ck_assert_int_eq(book.second->state, LEASE_QUEUED);
	ck_assert_int_eq(book.slim->state, LEASE_QUEUED);
	/* Not even who would be through before it is wanted. */
	ck_assert_int_eq(best_effort(1, 10 * SEC)->state, LEASE_QUEUED);
}
END_TEST

START_TEST(first_fit)
{
	struct textbook book = textbook(BACKFILL_FIRST_FIT);

	ck_assert_int_eq(book.first->state, LEASE_QUEUED);
	ck_assert_int_eq(book.second->state, LEASE_QUEUED);
	ck_assert_int_eq(start_of(book.slim), soonest());
}
END_TEST

START_TEST(aggressive)
{
	struct textbook book = textbook(BACKFILL_AGGRESSIVE);

	ck_assert_int_ge(start_of(book.first), book.running->vms[0].run.end_us);
	ck_assert_int_eq(book.second->state, LEASE_QUEUED);
	ck_assert_int_eq(start_of(book.slim), soonest());
}
END_TEST

static void second_keeps_its_place(enum backfill backfill)
{
	struct textbook book = textbook(backfill);

	ck_assert_int_ge(start_of(book.second), book.first->vms[0].run.release_us);
	ck_assert_int_eq(book.second->vms[0].run.prepare_us, book.first->vms[0].run.release_us);
	if (backfill == BACKFILL_CONSERVATIVE) {
		ck_assert_int_eq(book.slim->vms[0].run.prepare_us, book.second->vms[0].run.release_us);
	} else {
		ck_assert_int_eq(book.slim->state, LEASE_QUEUED);
	}
	/* Who delays nobody starts. */
	ck_assert_int_eq(start_of(best_effort(1, 50 * SEC)), soonest());
}

START_TEST(intermediate)
{
	second_keeps_its_place(BACKFILL_INTERMEDIATE);
}
END_TEST

START_TEST(conservative)
{
	second_keeps_its_place(BACKFILL_CONSERVATIVE);
}
END_TEST

/* The first in the queue gain by it; those behind keep the place they have. */
START_TEST(conservative_with_a_new_node)
{
	const struct lease *waiting[12];
	wall_us start[12];

	begin(BACKFILL_CONSERVATIVE, "fcfs");
	run_all(best_effort(3, 100 * SEC));
	for (int i = 0; i < 12; i++) {
		waiting[i] = best_effort(3, 100 * SEC);
		start[i] = start_of(waiting[i]);
		ck_assert_int_gt(start[i], now);
	}
	set_node(3, NODE_UP);
	image_there(3, 1, EVENT_IMAGE_PRESENT);
	ck_assert_int_eq(start_of(waiting[0]), soonest());
	ck_assert_int_lt(start_of(waiting[3]), start[3]);
	ck_assert_int_eq(start_of(waiting[11]), start[11]);
}
END_TEST

/* Without reservations who wants much waits for as long as others want little. */
START_TEST(first_fit_starves)
{
	begin(BACKFILL_FIRST_FIT, "fcfs");
	const struct lease *running = best_effort(3, 100 * SEC);
	run_all(running);
	const struct lease *wide = best_effort(4, 100 * SEC);
	const struct lease *slim = best_effort(1, 1000 * SEC);
	run_all(slim);
	now = running->vms[0].run.end_us;
	for (uint32_t i = 0; i < 3; i++) {
		see(running, i, SEEN_ENDED, now);
	}
	ck_assert_int_eq(wide->state, LEASE_QUEUED);
	ck_assert_int_eq(start_of(best_effort(3, 2000 * SEC)), soonest());
}
END_TEST

START_TEST(only_serial_is_cut)
{
	settings.suspension = SUSPENSION_SERIAL;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	const struct lease *gang = best_effort(2, 600 * SEC);
	const struct lease *one = best_effort(1, 600 * SEC);
	run_all(gang);
	run_all(one);
	/* The free place and the single VM's. */
	ck_assert_int_eq(request(ar_of(2, now + 300 * SEC, 60 * SEC))->state, LEASE_SCHEDULED);
	ck_assert_int_eq(gang->vms[0].run.then, RUN_STOP);
	ck_assert_int_eq(one->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

START_TEST(only_serial_starts_to_be_cut)
{
	settings.suspension = SUSPENSION_SERIAL;
	plan_begin();
	image_there(1, 1, EVENT_IMAGE_PRESENT);
	image_there(2, 1, EVENT_IMAGE_PRESENT);
	const struct lease *ar = request(ar_of(4, now + 300 * SEC, 60 * SEC));
	const struct lease *gang = best_effort(2, 600 * SEC);
	ck_assert_int_eq(gang->vms[0].run.prepare_us, ar->vms[0].run.release_us);
	const struct lease *one = best_effort(1, 600 * SEC);
	ck_assert_int_eq(start_of(one), soonest());
	ck_assert_int_eq(one->vms[0].run.then, RUN_SUSPEND);
}
END_TEST

/* All places taken; then what is asked for is planned in the policy's order when they become free. */
static const struct lease *taken(void)
{
	const struct lease *lease = best_effort_of(1, 4, 100 * SEC);

	run_all(lease);
	return lease;
}

static void end_all(const struct lease *lease)
{
	now += 10 * SEC;
	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		see(lease, i, SEEN_ENDED, now);
	}
}

START_TEST(shortest)
{
	begin(BACKFILL_AGGRESSIVE, "shortest");
	const struct lease *running = taken();
	const struct lease *longer = best_effort(4, 50 * SEC);
	ck_assert_int_gt(start_of(longer), now);
	const struct lease *shorter = best_effort(4, 20 * SEC);
	ck_assert_int_gt(start_of(shorter), now);
	ck_assert_int_eq(longer->state, LEASE_QUEUED);
	/* Equal ones as they came. */
	const struct lease *equal = best_effort(4, 20 * SEC);
	end_all(running);
	ck_assert_int_eq(start_of(shorter), soonest());
	ck_assert_int_gt(start_of(equal), 0);
	ck_assert_int_eq(longer->state, LEASE_QUEUED);
}
END_TEST

/* Four places for that long, to the end. */
static void use(uint32_t user, span_us duration)
{
	const struct lease *lease = best_effort_of(user, 4, duration);

	run_all(lease);
	now = lease->vms[0].run.end_us;
	for (uint32_t i = 0; i < 4; i++) {
		see(lease, i, SEEN_ENDED, now);
	}
	ck_assert_int_eq(lease->state, LEASE_DONE);
}

/* True if what the first user wants later comes before what the second wanted. */
static bool preferred(uint32_t user, uint32_t to)
{
	run_all(best_effort_of(9, 4, 100 * SEC));
	const struct lease *earlier = best_effort_of(to, 4, 20 * SEC);
	ck_assert_int_gt(start_of(earlier), now);
	const struct lease *later = best_effort_of(user, 4, 20 * SEC);
	return start_of(later) > 0 && earlier->state == LEASE_QUEUED;
}

START_TEST(fair)
{
	begin(BACKFILL_AGGRESSIVE, "fair");
	use(1, 100 * SEC);
	now += 10 * SEC;
	use(2, 50 * SEC);
	ck_assert(preferred(2, 1));
}
END_TEST

START_TEST(fair_forgets)
{
	settings.share_half_us = 800 * SEC;
	begin(BACKFILL_AGGRESSIVE, "fair");
	use(1, 100 * SEC);
	now += 1600 * SEC;
	/* Half as much, but two half-lives later. */
	use(2, 50 * SEC);
	ck_assert(preferred(1, 2));
}
END_TEST

START_TEST(expansion)
{
	begin(BACKFILL_AGGRESSIVE, "expansion");
	const struct lease *running = taken();
	const struct lease *longer = best_effort(4, 1000 * SEC);
	now += 60 * SEC;
	/* It has waited less, but relative to what it is for, soon more. */
	const struct lease *shorter = best_effort(4, 10 * SEC);
	ck_assert_int_eq(shorter->state, LEASE_QUEUED);
	end_all(running);
	ck_assert_int_eq(start_of(shorter), soonest());
	ck_assert_int_eq(longer->state, LEASE_SCHEDULED);
	ck_assert_int_gt(start_of(longer), start_of(shorter));
}
END_TEST

/* Time alone has changed the order when somebody comes who has to wait himself. */
START_TEST(expansion_at_an_arrival)
{
	begin(BACKFILL_AGGRESSIVE, "expansion");
	run_all(best_effort(4, 1000 * SEC));
	const struct lease *longer = best_effort(4, 1000 * SEC);
	now += 10 * SEC;
	const struct lease *shorter = best_effort(4, 10 * SEC);
	ck_assert_int_gt(start_of(longer), now);
	ck_assert_int_eq(shorter->state, LEASE_QUEUED);
	now += 100 * SEC;
	best_effort(4, 5000 * SEC);
	ck_assert_int_gt(start_of(shorter), now);
	ck_assert_int_eq(longer->state, LEASE_QUEUED);
}
END_TEST

/* Who waits is looked at again if by the earliest start somebody will be gone, though nothing was heard of that yet. */
START_TEST(room_opens_at_an_arrival)
{
	begin(BACKFILL_AGGRESSIVE, "fcfs");
	run_all(best_effort(3, 1000 * SEC));
	const struct lease *soon_gone = best_effort(1, 100 * SEC);
	run_all(soon_gone);
	const struct lease *first = best_effort(4, 100 * SEC), *slim = best_effort(1, 200 * SEC);
	ck_assert_int_gt(start_of(first), now);
	ck_assert_int_eq(slim->state, LEASE_QUEUED);
	now = soon_gone->vms[0].run.release_us - SEC / 2;
	ck_assert_int_eq(best_effort(4, 50 * SEC)->state, LEASE_QUEUED);
	ck_assert_int_eq(start_of(slim), soonest());
}
END_TEST

/* Node 1 has one of its two places taken for 1000 s, all others are reserved in 500 s: where one VM goes. */
static uint32_t node_for(const char *host, span_us duration)
{
	settings.host = policy_host(host);
	begin(BACKFILL_AGGRESSIVE, "fcfs");
	const struct lease *busy = best_effort(1, 1000 * SEC);
	run_all(busy);
	ck_assert_int_eq(request(ar_of(3, now + 500 * SEC, 100 * SEC))->state, LEASE_SCHEDULED);
	const struct lease *one = best_effort(1, duration);
	ck_assert_int_eq(start_of(one), soonest());
	return one->vms[0].node == busy->vms[0].node ? 1 : 2;
}

START_TEST(hosts)
{
	ck_assert_uint_eq(node_for("packing", 100 * SEC), 1);
	ck_assert_uint_eq(node_for("spreading", 100 * SEC), 2);
	ck_assert_uint_eq(node_for("greedy", 100 * SEC), 2);
}
END_TEST

/* Node 1 is free for 200 s, node 2 for 500 s. */
START_TEST(host_fitting)
{
	settings.host = policy_host("fitting");
	begin(BACKFILL_AGGRESSIVE, "fcfs");
	const struct lease *ar = request(ar_of(4, now + 500 * SEC, 10 * SEC));
	const struct lease *near = request(ar_of(2, now + 200 * SEC, 10 * SEC));
	ck_assert_int_eq(ar->state, LEASE_SCHEDULED);
	ck_assert_uint_eq(near->vms[0].node, near->vms[1].node);
	ck_assert_uint_eq(best_effort(1, 100 * SEC)->vms[0].node, near->vms[0].node);
	ck_assert_uint_ne(best_effort(1, 300 * SEC)->vms[0].node, near->vms[0].node);
}
END_TEST

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state >> 12; /* xorshift64*, Vigna 2016 */
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64_C(2685821657736338717) >> 11) % n;
}

/* What is to start or to end by now does; some end before they had to. */
static void catch_up(void)
{
	for (uint64_t id = 1; id <= last_lease; id++) {
		const struct lease *lease = plan_lease(plan, id);
		if (!lease || !lease->vms || !lease->vms[0].planned) {
			continue;
		}
		const struct vm *vm = &lease->vms[0];
		bool over = vm->started_us && (vm->run.end_us <= now || random_below(8) == 0);
		if (!over && (vm->started_us || vm->run.start_us > now)) {
			continue;
		}
		/* An end may be the lease's, which is forgotten then. */
		for (uint32_t i = 0; (lease = plan_lease(plan, id)) && i < lease->spec.vms; i++) {
			see(lease, i, over ? SEEN_ENDED : SEEN_RUNNING, now);
		}
	}
}

/* A whole pass right after a new lease was taken without one changes nothing. */
static void as_by_a_whole_pass(enum backfill backfill, const char *queue)
{
	settings.lead_us = 0;
	settings.prepare_us = 0;
	settings.stop_us = 0;
	begin(backfill, queue);
	for (int i = 0; i < 400; i++) {
		now += (wall_us)(1 + random_below(60)) * SEC;
		catch_up();
		best_effort_of((uint32_t)random_below(3), 1 + (uint32_t)random_below(4),
			       (span_us)(10 + random_below(200)) * SEC);
		size_t queued = last_lease;
		set_node(1, NODE_UP);
		for (size_t a = 0; a < actions.count; a++) {
			ck_assert_msg(actions.item[a].kind == ACTION_WAKE, "%s, %s: lease %zu is planned otherwise",
				      policy_name(POLICY_BACKFILL, backfill), queue, queued);
		}
	}
}

/* An order that changes with time is looked at anew when something ends. */
START_TEST(without_looking_at_all)
{
	random_state = 88172645463326252U + (uint64_t)_i;
	as_by_a_whole_pass((enum backfill)(_i % BACKFILL_CONSERVATIVE),
			   _i < BACKFILL_CONSERVATIVE ? "fcfs" : "shortest");
}
END_TEST

START_TEST(few_are_staged)
{
	uint32_t scheduled = 0;

	plan_begin();
	for (uint64_t image = 2; image <= 13; image++) {
		struct event event = {.kind = EVENT_IMAGE_ADDED, .image = {image, IMAGE_SIZE}};
		tell(&event);
	}
	/* There is room for each when its image has come; but most need not be decided yet. */
	for (uint64_t image = 2; image <= 13; image++) {
		struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 1, 3 * SEC);
		spec.image = image;
		scheduled += request(spec)->state == LEASE_SCHEDULED;
	}
	ck_assert_uint_ge(scheduled, 8);
	ck_assert_uint_le(scheduled, 9);
}
END_TEST

/* One leaves the node and another's image comes at the same instant: the latter begins, whatever is told first. */
START_TEST(begins_with_its_image)
{
	settings.lead_us = settings.prepare_us = settings.stop_us = 0;
	begin(BACKFILL_AGGRESSIVE, "fcfs");
	set_node(2, NODE_DRAINING);
	tell(&(struct event){.kind = EVENT_IMAGE_ADDED, .image = {2, IMAGE_SIZE}});
	const struct lease *before = best_effort(2, 10 * SEC);
	run_all(before);
	struct lease_spec spec = spec_of(LEASE_BEST_EFFORT, 2, 100 * SEC);
	spec.image = 2;
	const struct lease *lease = request(spec);
	ck_assert_int_eq(lease->vms[0].run.start_us, before->vms[0].run.release_us);
	now = lease->vms[0].run.start_us;
	struct event events[5] = {{.kind = EVENT_IMAGE_PRESENT, .pool = {.node = 1, .image = 2}}};
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t id = i < 2 ? before->id : lease->id;
		enum vm_seen seen = i < 2 ? SEEN_ENDED : SEEN_RUNNING;
		events[i + 1] = (struct event){.kind = EVENT_VM_SEEN, .vm = {id, i % 2, 1, 1, seen, now}};
	}
	plan_step(plan, events, 5, now, &actions);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_backfill");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, staged_setup, plan_teardown);
	tcase_add_test(all, none);
	tcase_add_test(all, first_fit);
	tcase_add_test(all, aggressive);
	tcase_add_test(all, intermediate);
	tcase_add_test(all, conservative);
	tcase_add_test(all, conservative_with_a_new_node);
	tcase_add_test(all, first_fit_starves);
	tcase_add_test(all, only_serial_is_cut);
	tcase_add_test(all, only_serial_starts_to_be_cut);
	tcase_add_test(all, shortest);
	tcase_add_test(all, fair);
	tcase_add_test(all, fair_forgets);
	tcase_add_test(all, expansion);
	tcase_add_test(all, begins_with_its_image);
	tcase_add_test(all, expansion_at_an_arrival);
	tcase_add_test(all, room_opens_at_an_arrival);
	tcase_add_loop_test(all, without_looking_at_all, 0, BACKFILL_CONSERVATIVE + BACKFILL_INTERMEDIATE);
	tcase_add_test(all, hosts);
	tcase_add_test(all, host_fitting);
	tcase_add_test(all, few_are_staged);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
