/*
 * The decision what to do next about a guest: over every combination of its inputs, and single cases with their times.
 */
#include <check.h>

#include "suite.h"
#include "util.h"
#include "work_fixture.h"
#include "work_next.h"

/* ---- every combination ---- */

static bool is_final(enum work_stage stage)
{
	return stage == WORK_ENDED || stage == WORK_FAILED;
}

static bool told(enum work_stage stage)
{
	return stage == WORK_BOOTED || stage == WORK_RESUMED;
}

static void check_times(const struct work_view *v, struct work_step step)
{
	if (step.op == WORK_NONE) {
		ck_assert_int_gt(step.when_us, v->now_us);
	} else {
		ck_assert_int_eq(step.when_us, v->now_us);
	}
	if (step.op == WORK_END || step.op == WORK_FAIL) {
		ck_assert_ptr_nonnull(step.why);
		ck_assert(v->vm && !is_final(v->stage));
	} else {
		ck_assert(step.op == WORK_NONE || v->retry_us <= v->now_us);
	}
}

/* What must never be done, rule by rule, said without looking at how it is decided. */
static void check_safe(const struct work_view *v, struct work_step step)
{
	bool running = v->seen == SEEN_RUNNING && !is_final(v->stage);

	switch (step.op) {
	case WORK_PREPARE:
		ck_assert(v->vm->planned && v->vm->run.from == RUN_BOOT && v->stage == WORK_NEW);
		ck_assert(v->seen == SEEN_ABSENT && v->image && v->now_us >= PREPARE &&
			  v->now_us + START - PREPARE < END);
		break;
	case WORK_RESTORE:
		ck_assert(v->vm->planned && v->vm->run.from == RUN_RESUME && !told(v->stage) && !is_final(v->stage));
		ck_assert(v->image && v->now_us >= PREPARE && v->now_us < END);
		ck_assert(v->seen == SEEN_SUSPENDED ||
			  (v->vm->from && v->here && v->stage == WORK_NEW && v->seen == SEEN_ABSENT));
		break;
	case WORK_RUN:
		ck_assert(v->vm->planned && !is_final(v->stage) && v->now_us < END);
		ck_assert(v->seen == SEEN_PREPARED || v->seen == SEEN_SUSPENDING);
		ck_assert(v->seen == SEEN_SUSPENDING || v->ran || v->now_us >= START - WORK_RUN_AHEAD_US);
		break;
	case WORK_UNPREPARE:
		/* It would lose what has run. */
		ck_assert(v->seen == SEEN_PREPARED && !v->ran);
		ck_assert(!v->vm->planned || v->now_us < PREPARE || v->now_us >= END);
		break;
	case WORK_SUSPEND:
		ck_assert(v->seen == SEEN_RUNNING || v->seen == SEEN_SUSPENDING || v->ran);
		ck_assert(!v->vm->planned || (v->now_us >= END && v->vm->run.then == RUN_SUSPEND));
		break;
	case WORK_STOP:
		ck_assert(v->seen == SEEN_RUNNING || v->seen == SEEN_SUSPENDING || v->seen == SEEN_PREPARED);
		ck_assert(is_final(v->stage) || (v->now_us >= END && v->vm->run.then == RUN_STOP));
		break;
	case WORK_REMOVE:
		ck_assert(!v->vm);
		break;
	case WORK_END:
		ck_assert(v->seen == SEEN_ABSENT || v->seen == SEEN_ENDED);
		break;
	case WORK_FAIL:
		/* Only what libvirt refuses to save is given up while it runs. */
		ck_assert(!running || (v->tries >= WORK_TRIES && v->now_us >= RELEASE + WORK_GIVE_UP_US));
		break;
	case WORK_NONE:
	case WORK_OP_COUNT:
		break;
	}
}

/* What must not be left undone. */
static void check_live(const struct work_view *v, struct work_step step)
{
	bool blocked = v->retry_us > v->now_us;

	if (blocked || is_final(v->stage)) {
		return;
	}
	if (!v->vm) {
		ck_assert_int_eq(step.op, WORK_REMOVE);
	} else if (v->vm->planned && v->seen == SEEN_RUNNING && v->now_us >= END) {
		ck_assert_int_ne(step.op, WORK_NONE);
	} else if (v->vm->planned && v->seen == SEEN_RUNNING) {
		ck_assert_int_eq(step.op, WORK_NONE);
		ck_assert_int_eq(step.when_us, END);
	} else if (!v->vm->planned && v->seen == SEEN_RUNNING) {
		ck_assert_int_eq(step.op, WORK_SUSPEND);
	}
	if (v->vm && v->vm->planned && v->seen == SEEN_PREPARED && v->now_us >= START && v->now_us < END) {
		ck_assert(step.op == WORK_RUN || (step.op == WORK_FAIL && v->tries >= WORK_TRIES));
	}
}

static unsigned long check_view(struct work_view *v)
{
	static const wall_us times[] = {
		T0,
		PREPARE - 1,
		PREPARE,
		START - WORK_RUN_AHEAD_US - 1,
		START - WORK_RUN_AHEAD_US,
		START - 1,
		START,
		START + SEC,
		START + WORK_GIVE_UP_US,
		END - 1,
		END,
		RELEASE,
		RELEASE + WORK_GIVE_UP_US,
	};
	unsigned long n = 0;

	for (size_t t = 0; t < ARRAY_SIZE(times); t++) {
		for (int retry = 0; retry < 2; retry++) {
			struct work_step step;

			v->now_us = times[t];
			v->retry_us = retry ? times[t] + 5 * SEC : 0;
			step = work_next(v);
			check_times(v, step);
			check_safe(v, step);
			check_live(v, step);
			n++;
		}
	}
	return n;
}

START_TEST(every_combination)
{
	unsigned long n = 0;

	for (unsigned bits = 0; bits < 1 << 10; bits++) {
		struct part_vm vm =
			vm_of(bits & 1 ? RUN_RESUME : RUN_BOOT, bits & 2 ? RUN_SUSPEND : RUN_STOP, bits & 4);

		vm.from = bits & 128 && vm.planned && bits & 1 ? "" : NULL;
		for (int stage = 0; stage < WORK_STAGE_COUNT; stage++) {
			for (int seen = 0; seen < SEEN_COUNT; seen++) {
				struct work_view v = {
					.vm = bits & 8 ? &vm : NULL,
					.stage = (enum work_stage)stage,
					.ran = bits & 16 && told((enum work_stage)stage),
					.image = bits & 32,
					.tries = bits & 64 ? WORK_TRIES : 0,
					.here = bits & 256,
					.stuck = bits & 512,
				};

				v.seen = (enum vm_seen)seen;
				v.stage = work_settle(v.stage, v.ran, &v.seen);
				v.ran = v.ran && told(v.stage);
				n += check_view(&v);
			}
		}
	}
	ck_assert_uint_eq(n, 1024ul * WORK_STAGE_COUNT * SEEN_COUNT * 26);
}
END_TEST

/* ---- single cases ---- */

struct one {
	enum run_from from;
	enum run_then then;
	enum work_stage stage;
	enum vm_seen seen;
	bool image;
	wall_us now_us;
	enum work_op op;
	wall_us when_us; /* of NONE */
};

static const struct one ones[] = {
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_ABSENT, true, T0, WORK_NONE, PREPARE},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_ABSENT, true, PREPARE, WORK_PREPARE, 0},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_ABSENT, false, PREPARE, WORK_NONE, END},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_ABSENT, true, START + SEC, WORK_PREPARE, 0},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_ABSENT, true, END - (START - PREPARE), WORK_NONE, END},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_ABSENT, true, END, WORK_FAIL, 0},
	{RUN_BOOT, RUN_STOP, WORK_BOOTED, SEEN_ABSENT, true, START + SEC, WORK_FAIL, 0},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_PREPARED, true, PREPARE, WORK_NONE, START - WORK_RUN_AHEAD_US},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_PREPARED, true, START - SEC, WORK_RUN, 0},
	{RUN_BOOT, RUN_STOP, WORK_BOOTED, SEEN_PREPARED, true, START, WORK_RUN, 0},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_PREPARED, true, T0, WORK_UNPREPARE, 0},
	{RUN_BOOT, RUN_STOP, WORK_NEW, SEEN_PREPARED, true, END, WORK_UNPREPARE, 0},
	{RUN_BOOT, RUN_STOP, WORK_BOOTED, SEEN_RUNNING, true, END - 1, WORK_NONE, END},
	{RUN_BOOT, RUN_STOP, WORK_BOOTED, SEEN_RUNNING, true, T0, WORK_NONE, END},
	{RUN_BOOT, RUN_STOP, WORK_BOOTED, SEEN_RUNNING, true, END, WORK_STOP, 0},
	{RUN_BOOT, RUN_SUSPEND, WORK_BOOTED, SEEN_RUNNING, false, END, WORK_SUSPEND, 0},
	{RUN_BOOT, RUN_SUSPEND, WORK_BOOTED, SEEN_SUSPENDING, true, END + SEC, WORK_SUSPEND, 0},
	{RUN_BOOT, RUN_SUSPEND, WORK_SAVED, SEEN_SUSPENDED, true, RELEASE, WORK_NONE, WALL_NEVER},
	{RUN_BOOT, RUN_STOP, WORK_SAVED, SEEN_ABSENT, true, START, WORK_FAIL, 0},
	{RUN_RESUME, RUN_STOP, WORK_SAVED, SEEN_SUSPENDED, true, T0, WORK_NONE, PREPARE},
	{RUN_RESUME, RUN_STOP, WORK_SAVED, SEEN_SUSPENDED, true, PREPARE, WORK_RESTORE, 0},
	{RUN_RESUME, RUN_STOP, WORK_SAVED, SEEN_SUSPENDED, true, END, WORK_NONE, WALL_NEVER},
	{RUN_RESUME, RUN_STOP, WORK_NEW, SEEN_ABSENT, true, PREPARE, WORK_FAIL, 0},
	{RUN_RESUME, RUN_STOP, WORK_SAVED, SEEN_PREPARED, true, START - SEC, WORK_RUN, 0},
	{RUN_RESUME, RUN_STOP, WORK_RESUMED, SEEN_RUNNING, true, END, WORK_STOP, 0},
	{RUN_RESUME, RUN_STOP, WORK_RESUMED, SEEN_SUSPENDED, true, START, WORK_FAIL, 0},
	{RUN_BOOT, RUN_STOP, WORK_ENDED, SEEN_RUNNING, true, START, WORK_STOP, 0},
	{RUN_BOOT, RUN_STOP, WORK_FAILED, SEEN_ABSENT, true, START, WORK_NONE, WALL_NEVER},
	{RUN_BOOT, RUN_STOP, WORK_BOOTED, SEEN_FAILED, true, START + SEC, WORK_FAIL, 0},
};

START_TEST(single_cases)
{
	const struct one *one = &ones[_i];
	struct part_vm vm = vm_of(one->from, one->then, true);
	struct work_view v = {
		.vm = &vm, .stage = one->stage, .seen = one->seen, .image = one->image, .now_us = one->now_us};
	struct work_step step = work_next(&v);

	ck_assert_msg(step.op == one->op, "case %d: %s instead of %s", _i, work_op_name(step.op),
		      work_op_name(one->op));
	if (step.op == WORK_NONE) {
		ck_assert_int_eq(step.when_us, one->when_us);
	}
}
END_TEST

/* It lies on another node. */
static const struct {
	bool here, stuck;
	wall_us now_us;
	enum work_op op;
	wall_us when_us;
} comings[] = {
	{false, false, T0, WORK_NONE, START + WORK_GIVE_UP_US},
	{false, true, START, WORK_NONE, START + WORK_GIVE_UP_US},
	{false, true, START + WORK_GIVE_UP_US, WORK_FAIL, 0},
	{false, false, START + WORK_GIVE_UP_US, WORK_NONE, END},
	{true, false, PREPARE - 1, WORK_NONE, PREPARE},
	{true, false, PREPARE, WORK_RESTORE, 0},
	{true, false, END - 1, WORK_RESTORE, 0},
	{true, false, END, WORK_FAIL, 0},
	{false, false, END, WORK_FAIL, 0},
};

START_TEST(coming)
{
	struct part_vm vm = vm_of(RUN_RESUME, RUN_SUSPEND, true);
	struct work_view v = {.vm = &vm,
			      .stage = WORK_NEW,
			      .seen = SEEN_ABSENT,
			      .image = true,
			      .here = comings[_i].here,
			      .stuck = comings[_i].stuck,
			      .now_us = comings[_i].now_us};
	struct work_step step;

	vm.from = "";
	step = work_next(&v);
	ck_assert_int_eq(step.op, comings[_i].op);
	ck_assert(step.op != WORK_NONE || step.when_us == comings[_i].when_us);
	/* Without its image it is not restored. */
	v.image = false;
	step = work_next(&v);
	ck_assert_int_ne(step.op, WORK_RESTORE);
	/* Once it has run here and is gone it is not fetched again. */
	v.stage = WORK_BOOTED;
	ck_assert_int_eq(work_next(&v).op, WORK_FAIL);
}
END_TEST

START_TEST(ended_by_itself)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct work_view v = {.vm = &vm, .stage = WORK_BOOTED, .ran = true, .image = true, .now_us = START + SEC};

	ck_assert_int_eq(work_next(&v).op, WORK_END);
	/* Paused after it ran, by hand or by an agent that was killed: it goes on, and ends in time. */
	v.seen = SEEN_PREPARED;
	ck_assert_int_eq(work_next(&v).op, WORK_RUN);
	v.now_us = END;
	ck_assert_int_eq(work_next(&v).op, WORK_STOP);
}
END_TEST

START_TEST(settling)
{
	enum vm_seen seen = SEEN_ENDED;

	ck_assert_int_eq(work_settle(WORK_NEW, false, &seen), WORK_NEW);
	ck_assert_int_eq(seen, SEEN_ABSENT);
	seen = SEEN_ENDED;
	ck_assert_int_eq(work_settle(WORK_SAVED, false, &seen), WORK_SAVED);
	ck_assert_int_eq(seen, SEEN_SUSPENDED);
	seen = SEEN_RUNNING;
	ck_assert_int_eq(work_settle(WORK_SAVED, false, &seen), WORK_RESUMED);
	seen = SEEN_SUSPENDED;
	ck_assert_int_eq(work_settle(WORK_BOOTED, true, &seen), WORK_SAVED);
	ck_assert_int_eq(work_settle(WORK_RESUMED, true, &seen), WORK_SAVED);
	ck_assert_int_eq(work_settle(WORK_RESUMED, false, &seen), WORK_RESUMED);
	seen = SEEN_RUNNING;
	ck_assert_int_eq(work_settle(WORK_ENDED, true, &seen), WORK_ENDED);
}
END_TEST

START_TEST(retry_does_not_miss_the_end)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct work_view v = {.vm = &vm, .stage = WORK_NEW, .image = true, .tries = 2, .now_us = END - SEC};

	v.retry_us = END + 20 * SEC;
	ck_assert_int_eq(work_next(&v).op, WORK_NONE);
	ck_assert_int_eq(work_next(&v).when_us, END);
}
END_TEST

/* Before its time even: what is wrong is in the image, and the head can tell its owner the sooner. */
START_TEST(hopeless_is_not_retried)
{
	struct part_vm vm = vm_of(RUN_BOOT, RUN_STOP, true);
	struct work_view v = {.vm = &vm, .stage = WORK_NEW, .image = true, .hopeless = true, .tries = 1};

	v.now_us = PREPARE;
	v.retry_us = PREPARE + SEC;
	ck_assert_int_eq(work_next(&v).op, WORK_FAIL);
	ck_assert_str_eq(work_next(&v).why, "it cannot be started");
	v.now_us = PREPARE - SEC;
	ck_assert_int_eq(work_next(&v).op, WORK_NONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_work_next");
	TCase *tcase = tcase_create("next");

	tcase_add_test(tcase, every_combination);
	tcase_add_loop_test(tcase, single_cases, 0, ARRAY_SIZE(ones));
	tcase_add_loop_test(tcase, coming, 0, ARRAY_SIZE(comings));
	tcase_add_test(tcase, ended_by_itself);
	tcase_add_test(tcase, settling);
	tcase_add_test(tcase, retry_does_not_miss_the_end);
	tcase_add_test(tcase, hopeless_is_not_retried);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
