/* What the logs of measuring tasks say: CPU time received, lateness, overlap. */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "probe.h"
#include "turns.h"
#include "window.h"

#define MS INT64_C(1000000)

static struct probe_log a, b;

/* It ran in [from, to) and has a gap behind that, in which its CPU clock counted `counted`. */
static void ran(struct probe_log *log, int64_t from, int64_t to, int64_t until, int64_t counted)
{
	if (log->count == 0) {
		log->gap[log->count++] = (struct probe_gap){.from_ns = from, .to_ns = from, .cpu_ns = 500};
	}
	int64_t cpu = log->gap[log->count - 1].cpu_ns + to - from + counted;

	log->gap[log->count++] = (struct probe_gap){.from_ns = to, .to_ns = until, .cpu_ns = cpu};
	log->end_ns = until;
}

/* 3 ms in each period of 10, from 100 ms on; but none in the one from 130 on, which it gets at 141. */
static void setup(void)
{
	a.count = b.count = 0;
	a.holes.count = b.holes.count = 0;
	a.end_ns = b.end_ns = 0;
	for (int64_t t = 100 * MS; t < 200 * MS; t += 10 * MS) {
		if (t == 120 * MS) {
			ran(&a, t, t + 3 * MS, t + 20 * MS, 0);
		} else if (t == 140 * MS) {
			ran(&a, t, t + 6 * MS, t + 10 * MS, 0);
		} else if (t != 130 * MS) {
			ran(&a, t, t + 3 * MS, t + 10 * MS, 0);
		}
	}
}

START_TEST(received)
{
	ck_assert_int_eq(probe_begin_ns(&a), 100 * MS);
	ck_assert_int_eq(probe_received(&a, 100 * MS), 0);
	ck_assert_int_eq(probe_received(&a, 101 * MS), 1 * MS);
	ck_assert_int_eq(probe_received(&a, 103 * MS), 3 * MS);
	ck_assert_int_eq(probe_received(&a, 109 * MS), 3 * MS);
	ck_assert_int_eq(probe_received(&a, 112 * MS), 5 * MS);
	ck_assert_int_eq(probe_received(&a, 139 * MS), 9 * MS);
	ck_assert_int_eq(probe_received(&a, 145 * MS), 14 * MS);
	ck_assert_int_eq(probe_received(&a, 199 * MS), 30 * MS);
	ck_assert_int_eq(probe_when(&a, 1 * MS), 101 * MS);
	ck_assert_int_eq(probe_when(&a, 4 * MS), 111 * MS);
	ck_assert_int_eq(probe_when(&a, 9 * MS + 1), 140 * MS + 1);
	ck_assert_int_eq(probe_when(&a, 40 * MS), INT64_MAX);
}
END_TEST

START_TEST(what_the_clock_counted_in_a_gap)
{
	ran(&b, 100 * MS, 104 * MS, 110 * MS, 2 * MS);
	ran(&b, 110 * MS, 111 * MS, 120 * MS, 0);
	ck_assert_int_eq(probe_received(&b, 108 * MS), 4 * MS);
	ck_assert_int_eq(probe_received(&b, 109 * MS), 5 * MS);
	ck_assert_int_eq(probe_received(&b, 111 * MS), 7 * MS);
	ck_assert_int_eq(probe_when(&b, 4 * MS), 104 * MS);
	ck_assert_int_eq(probe_when(&b, 5 * MS), 109 * MS);
	ck_assert_int_eq(probe_stalled(&b, 100 * MS, 120 * MS), 2 * MS);
	ck_assert_int_eq(probe_stalled(&b, 105 * MS, 120 * MS), 0);
	ck_assert_int_eq(probe_stalled(&a, 100 * MS, 200 * MS), 0);
}
END_TEST

/* Sent away at 104 and at 111 ms: of its first 4 ms its clock did not count 1.5, but as much on the way back. */
START_TEST(what_was_read_from_outside)
{
	struct reading read[] = {{102 * MS, 101 * MS, 1 * MS + 500}, /* once */
				 {105 * MS, 108 * MS, 5 * MS / 2 + 500},
				 {113 * MS, 119 * MS, 26 * MS / 5 + 500}};
	struct readings readings = {.count = 3, .reading = read};

	ran(&b, 100 * MS, 104 * MS, 110 * MS, 0);
	ran(&b, 110 * MS, 111 * MS, 120 * MS, 0);
	probe_correct(&b, &readings);
	ck_assert_int_eq(probe_received(&b, 108 * MS), 4 * MS); /* nobody says that it was sent away */
	b.gap[1].away = b.gap[2].away = true;
	probe_correct(&b, &readings);
	ck_assert_int_eq(probe_received(&b, 102 * MS), 2 * MS);
	ck_assert_int_eq(probe_received(&b, 103 * MS), 5 * MS / 2);
	ck_assert_int_eq(probe_received(&b, 108 * MS), 5 * MS / 2);
	ck_assert_int_eq(probe_received(&b, 109 * MS), 3 * MS);
	ck_assert_int_eq(probe_when(&b, 9 * MS / 4), 102 * MS + MS / 4);
	ck_assert_int_eq(probe_when(&b, 3 * MS), 109 * MS);
	/* More than it can have had by its log: what was read is right. */
	ck_assert_int_eq(probe_received(&b, 120 * MS), 26 * MS / 5);
}
END_TEST

/* A child that runs, and stops: while it is stopped its clock stands still, and two readings know it. */
START_TEST(readings_of_a_process)
{
	struct readings readings;
	struct timespec ran;
	clockid_t clock;
	pid_t pid = fork();

	if (pid == 0) {
		while (clock_thread_ns() < 5 * MS) {
		}
		raise(SIGSTOP);
		pause();
	}
	ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
	readings_open(&readings, pid);
	ck_assert_int_ge(readings.fd, 0);
	while (readings.count == 0 || readings.reading[0].to_ns < readings.reading[0].from_ns) {
		readings_take(&readings);
	}
	ck_assert_int_eq(clock_getcpuclockid(pid, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &ran), 0);
	ck_assert_uint_eq(readings.count, 1);
	ck_assert_int_ge(readings.reading[0].cpu_ns, 5 * MS);
	ck_assert_int_eq(readings.reading[0].cpu_ns, ran.tv_sec * 1000 * MS + ran.tv_nsec);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* It has ended: nothing more is read. */
	readings_take(&readings);
	ck_assert_uint_eq(readings.count, 1);
	readings_close(&readings);
	ck_assert_int_eq(readings.fd, -1);
	readings_take(&readings);
	ck_assert_uint_eq(readings.count, 0);
	readings_close(&readings);
}
END_TEST

START_TEST(windows)
{
	struct window_grid grid = {10 * MS, 3 * MS, 10 * MS};
	struct window_figures f = {0};

	window_judge(&a, &grid, 100 * MS, 200 * MS, &f);
	ck_assert_uint_eq(f.windows, 10);
	ck_assert_uint_eq(f.misses, 1);
	ck_assert_int_eq(f.late_sum_ns, 3 * MS);
	ck_assert_int_eq(f.late_max_ns, 3 * MS);
	ck_assert_int_eq(f.over_sum_ns, 3 * MS);
	ck_assert_int_eq(f.received_ns, 30 * MS);
	ck_assert_int_eq(f.length_ns, 100 * MS);
	/* Only what lies wholly within, wherever the grid begins. */
	f = (struct window_figures){0};
	grid.origin_ns = 5000 * MS;
	window_judge(&a, &grid, 101 * MS, 199 * MS, &f);
	ck_assert_uint_eq(f.windows, 8);
	/* 1 % may be missing, more is a miss. */
	f = (struct window_figures){0};
	grid.slice_ns = 3030 * MS / 1000;
	window_judge(&a, &grid, 150 * MS, 200 * MS, &f);
	ck_assert_uint_eq(f.misses, 0);
	grid.slice_ns = 3031 * MS / 1000;
	window_judge(&a, &grid, 150 * MS, 200 * MS, &f);
	ck_assert_uint_eq(f.misses, 5);
}
END_TEST

#define US INT64_C(1000)

/* The window from 130 ms on, of which all 3 ms are missing, with a hole in it. */
static struct window_figures judge_with_hole(int64_t from, int64_t to, int64_t gone, bool others)
{
	struct window_figures f = {0};

	a.holes.count = 1;
	a.holes.hole[0] = (struct hole){from, to, gone, others};
	window_judge(&a, &(struct window_grid){0, 3 * MS, 10 * MS}, 100 * MS, 200 * MS, &f);
	ck_assert_uint_eq(f.misses, 1);
	ck_assert_int_eq(f.late_max_ns, 3 * MS);
	return f;
}

START_TEST(stolen_windows)
{
	/* What is missing was not there; or not all of that. */
	ck_assert_uint_eq(judge_with_hole(131 * MS, 134 * MS, 3 * MS, false).stolen, 1);
	ck_assert_int_eq(judge_with_hole(131 * MS, 134 * MS, 3 * MS, false).late_own_max_ns, 0);
	ck_assert_uint_eq(judge_with_hole(131 * MS, 134 * MS, 3 * MS - 1, false).stolen, 0);
	ck_assert_int_eq(judge_with_hole(131 * MS, 134 * MS, 3 * MS - 1, false).late_own_max_ns, 3 * MS);
	/* Only what lies in the window. */
	ck_assert_uint_eq(judge_with_hole(128 * MS, 133 * MS, 5 * MS, false).stolen, 1);
	ck_assert_uint_eq(judge_with_hole(127 * MS, 132 * MS, 5 * MS, false).stolen, 0);
	ck_assert_uint_eq(judge_with_hole(138 * MS, 145 * MS, 7 * MS, false).stolen, 0);
	/* Others had the CPU, while it waited for its turn; or when it had been sent away for good. */
	ck_assert_uint_eq(judge_with_hole(124 * MS, 134 * MS, 3 * MS, true).stolen, 1);
	ck_assert_uint_eq(judge_with_hole(124 * MS, 132 * MS, 3 * MS, true).stolen, 0);
	ck_assert_uint_eq(judge_with_hole(131 * MS, 139 * MS, 3 * MS, true).stolen, 1);
	ck_assert_uint_eq(judge_with_hole(131 * MS, 141 * MS, 3 * MS, true).stolen, 0);
}
END_TEST

static void expect_hole(uint32_t i, int64_t from, int64_t to, int64_t gone, bool others)
{
	const struct hole *hole = &b.holes.hole[i];

	ck_assert_uint_lt(i, b.holes.count);
	ck_assert_int_eq(hole->from_ns, from);
	ck_assert_int_eq(hole->to_ns, to);
	ck_assert_int_eq(hole->gone_ns, gone);
	ck_assert(hole->others == others);
}

START_TEST(holes)
{
	int64_t ran[3];
	struct turn turn[2] = {{200 * US, 210 * US}, {212 * US, 900 * US}};
	struct hole_blind blind = {{0, 50 * US, -1}, {110 * US, 100 * US, -1}, 40 * US, 100 * US, turn, 0};

	/* Between two looks, and no switch: its clock stood still, or it did not. */
	hole_note(&b.holes, &blind, ran);
	expect_hole(0, 40 * US, 100 * US, 60 * US, false);
	ck_assert_int_eq(ran[0], 0);
	blind.now.cpu_ns = 160 * US - HOLE_NS + 1;
	hole_note(&b.holes, &blind, ran);
	ck_assert_uint_eq(b.holes.count, 1);
	/* What is told of late was before. */
	blind.now.cpu_ns = 80 * US;
	hole_note(&b.holes, &blind, ran);
	expect_hole(1, 0, 40 * US, 20 * US, false);
	expect_hole(2, 40 * US, 100 * US, 60 * US, false);
	/* Sent away twice: 80 of 100 us before that, and 150 of 698 us in which others had the CPU. */
	b.holes.count = 0;
	blind = (struct hole_blind){{0, 0, 5000 * US}, {900 * US, 116 * US, 5664 * US}, 100 * US, 900 * US, turn, 2};
	hole_note(&b.holes, &blind, ran);
	expect_hole(0, 100 * US, 200 * US, 80 * US * 100 / 102, false);
	expect_hole(1, 212 * US, 900 * US, 150 * US * 688 / 698, true);
	ck_assert_uint_eq(b.holes.count, 2);
	ck_assert_int_eq(ran[0], 100 * US - 80 * US * 100 / 102);
	/* Nobody tells what others had. */
	b.holes.count = 0;
	blind.since.busy_ns = -1;
	hole_note(&b.holes, &blind, ran);
	ck_assert_uint_eq(b.holes.count, 1);
}
END_TEST

START_TEST(clock_of_the_whole_cpu)
{
	int fd = hole_open_busy();

	ck_assert_int_eq(hole_busy_ns(-1, 0), -1);
	if (fd >= 0) {
		int64_t before = hole_busy_ns(fd, 0);

		ck_assert_int_gt(before, 0);
		ck_assert_int_ge(hole_busy_ns(fd, 0), before);
		ck_assert_int_eq(hole_busy_ns(fd, 100000), -1);
		close(fd);
	}
}
END_TEST

START_TEST(the_best_origin)
{
	struct window_grid grid = {105 * MS, 3 * MS, 10 * MS};
	struct window_figures f = {0};

	/* Half of one slice and half of the next, until the windows begin where the slices do. */
	for (int64_t t = 100 * MS; t < 300 * MS; t += 10 * MS) {
		ran(&b, t, t + (t / MS % 20 ? 1 : 5) * MS, t + 10 * MS, 0);
	}
	window_judge(&b, &grid, 100 * MS, 300 * MS, &f);
	ck_assert_uint_gt(f.misses, 5);
	f = (struct window_figures){0};
	grid = (struct window_grid){103 * MS, 5 * MS, 20 * MS};
	window_judge_best(&b, &grid, 20, 100 * MS, 300 * MS, &f);
	ck_assert_uint_eq(f.misses, 0);
	ck_assert_uint_ge(f.windows, 9);
}
END_TEST

START_TEST(together)
{
	ran(&b, 101 * MS, 102 * MS, 112 * MS, 0);
	ran(&b, 112 * MS, 125 * MS, 180 * MS, 0);
	ck_assert_int_eq(probe_together(&a, &b, 100 * MS, 200 * MS), 5 * MS);
	ck_assert_int_eq(probe_together(&b, &a, 100 * MS, 200 * MS), 5 * MS);
	ck_assert_int_eq(probe_together(&a, &b, 112 * MS, 121 * MS), 2 * MS);
	ck_assert_int_eq(probe_together(&a, &a, 100 * MS, 200 * MS), 30 * MS);
}
END_TEST

START_TEST(turns_of_the_thread)
{
	static struct turns *turns; /* until the process ends, as a probe has it */
	int64_t before, longest = 0;
	struct turn turn;

	turns = turns_open();
	if (!turns) {
		return; /* the kernel does not tell */
	}
	before = clock_mono_ns();
	usleep(3000);
	while (turns_take(turns, &turn)) {
		ck_assert_int_ge(turn.out_ns, before);
		ck_assert_int_le(turn.in_ns, clock_mono_ns());
		longest = turn.in_ns - turn.out_ns > longest ? turn.in_ns - turn.out_ns : longest;
	}
	ck_assert_int_ge(longest, 2 * MS);
	ck_assert(!turns_take(turns, &turn) || turn.out_ns > before + 3 * MS);
	ck_assert(!turns_take(NULL, &turn));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_probe");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, NULL);
	tcase_add_test(all, received);
	tcase_add_test(all, what_the_clock_counted_in_a_gap);
	tcase_add_test(all, what_was_read_from_outside);
	tcase_add_test(all, readings_of_a_process);
	tcase_add_test(all, windows);
	tcase_add_test(all, stolen_windows);
	tcase_add_test(all, holes);
	tcase_add_test(all, clock_of_the_whole_cpu);
	tcase_add_test(all, the_best_origin);
	tcase_add_test(all, together);
	tcase_add_test(all, turns_of_the_thread);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
