/* Threads as /proc shows them: who may be managed, names of vCPUs, CPU time, and putting a policy back. */
#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awake.h"
#include "proc.h"

static pid_t child;

static void setup(void)
{
	child = _Fork(); /* after fork() the thread sanitizer would give it a thread */
	if (child == 0) {
		for (;;) {
			pause();
		}
	}
}

static void teardown(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

START_TEST(names_of_vcpus)
{
	static const struct {
		const char *name;
		int vcpu;
	} cases[] = {{"CPU 0/KVM", 0},  {"CPU 13/TCG", 13},   {"CPU 0/KVM2", -1}, {"CPU /KVM", -1},
		     {"CPU x/KVM", -1}, {"CPU -1/KVM", -1},   {"CPU 9999/K", -1}, {"IO mon_iothread", -1},
		     {"", -1},          {"CPU 99999/TCG", -1}};

	ck_assert_int_eq(proc_vcpu(cases[_i].name), cases[_i].vcpu);
}
END_TEST

START_TEST(good_process)
{
	uint64_t started = 0, again = 0;
	struct err err;

	ck_assert_int_eq(proc_check(child, 0, 0, &started, &err), 0);
	ck_assert_uint_eq(started, proc_start_time(child));
	ck_assert_uint_gt(started, 0);
	ck_assert_int_eq(proc_check(child, started, getuid(), &again, &err), 0);
	ck_assert_uint_eq(again, started);
}
END_TEST

START_TEST(number_used_again)
{
	uint64_t started = 7;
	struct err err;

	ck_assert_int_eq(proc_check(child, proc_start_time(child) + 1, 0, &started, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "another's"));
	ck_assert_uint_eq(started, 7);
}
END_TEST

START_TEST(others_process)
{
	uint64_t started;
	struct err err;

	ck_assert_int_eq(proc_check(child, 0, getuid() + 1, &started, &err), -1);
	ck_assert_int_eq(err.code, ERR_DENIED);
}
END_TEST

START_TEST(no_process)
{
	uint64_t started;
	struct err err;
	pid_t gone = fork();

	if (gone == 0) {
		_exit(0);
	}
	/* Ended, but still somebody's to wait for. */
	while (waitid(P_PID, (id_t)gone, NULL, WEXITED | WNOWAIT) < 0) {
	}
	ck_assert_int_eq(proc_check(gone, 0, 0, &started, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "has ended"));
	waitpid(gone, NULL, 0);
	ck_assert_int_eq(proc_check(gone, 0, 0, &started, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_uint_eq(proc_start_time(gone), 0);
	ck_assert_int_eq(proc_check(0, 0, 0, &started, &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_int_eq(proc_check(-5, 0, 0, &started, &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

/* In a pid namespace there is none. */
START_TEST(thread_of_the_kernel)
{
	uint64_t started;
	struct err err;
	char name[32];

	proc_name(2, name, sizeof(name));
	if (strcmp(name, "kthreadd") == 0) {
		ck_assert_int_eq(proc_check(2, 0, 0, &started, &err), -1);
		ck_assert_int_eq(err.code, ERR_DENIED);
	}
}
END_TEST

START_TEST(threads_of_it)
{
	struct proc_thread threads[4];
	struct err err;
	pid_t pid;

	ck_assert_uint_eq(proc_threads(child, threads, 4), 1);
	ck_assert_int_eq(threads[0].tid, child);
	ck_assert_int_eq(threads[0].vcpu, -1);
	ck_assert_int_eq(proc_of_thread(child, &pid, &err), 0);
	ck_assert_int_eq(pid, child);
	teardown();
	ck_assert_uint_eq(proc_threads(child, threads, 4), 0);
	ck_assert_int_eq(proc_of_thread(child, &pid, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	setup();
}
END_TEST

START_TEST(cpu_time)
{
	int fd = proc_cpu_open(getpid(), gettid());
	int64_t first = proc_cpu_ns(fd), later;
	volatile unsigned n = 0;

	ck_assert_int_ge(first, 0);
	for (later = first; later <= first && n < 4000000000u; n++) {
		later = n % 1000 ? later : proc_cpu_ns(fd);
	}
	ck_assert_int_gt(later, first);
	close(fd);
	fd = proc_cpu_open(child, child);
	teardown();
	ck_assert_int_eq(proc_cpu_ns(fd), -1);
	close(fd);
	setup();
}
END_TEST

START_TEST(ready_or_not)
{
	int mine = proc_state_open(getpid(), gettid()), its = proc_state_open(child, child);
	struct proc_time before, after;
	int fd = proc_cpu_open(getpid(), gettid());

	ck_assert(proc_ready(mine));
	for (int tries = 0; tries < 1000 && proc_ready(its); tries++) {
		usleep(1000);
	}
	ck_assert(!proc_ready(its));
	ck_assert_int_eq(proc_time(fd, &before), 0);
	usleep(5000);
	ck_assert_int_eq(proc_time(fd, &after), 0);
	ck_assert_uint_gt(after.turns, before.turns);
	ck_assert_int_ge(after.wait_ns, before.wait_ns);
	ck_assert_int_lt(after.run_ns + after.wait_ns - before.run_ns - before.wait_ns, 1000000000);
	teardown();
	ck_assert(!proc_ready(its));
	close(mine);
	close(its);
	close(fd);
	setup();
}
END_TEST

#define MS INT64_C(1000000)

/* In 10 ms. Whether the thread is ready now is seen only where the numbers leave it open. */
START_TEST(awake_or_not)
{
	static const struct {
		struct proc_time since;
		bool asleep, ready, awake, asleep_now;
	} cases[] = {
		{{10 * MS, 0, 1}, true, false, true, false},       /* it ran */
		{{4 * MS, 6 * MS, 9}, true, false, true, false},   /* or waited */
		{{9 * MS, 0, 1}, false, true, true, false},        /* 1 ms stolen */
		{{9 * MS, 0, 1}, false, false, false, true},       /* it went to sleep */
		{{9 * MS, 0, 2}, false, true, false, false},       /* it slept and woke */
		{{9 * MS, 0, 1}, true, true, false, false},        /* it woke */
		{{0, 0, 0}, true, true, false, true},              /* still asleep, or awake and behind another */
		{{0, 0, 0}, false, true, true, false},             /* behind another */
		{{9 * MS, 500 * MS, 1}, true, true, true, false},  /* had been waiting; 1 ms stolen */
		{{9 * MS, 500 * MS, 1}, true, false, false, true}, /* had been waiting; went to sleep */
	};
	int mine = proc_state_open(getpid(), gettid()), its = proc_state_open(child, child);
	bool asleep = cases[_i].asleep;

	for (int tries = 0; tries < 1000 && proc_ready(its); tries++) {
		usleep(1000);
	}
	ck_assert_int_eq(awake_since(&asleep, &cases[_i].since, 10 * MS, cases[_i].ready ? mine : its),
			 cases[_i].awake);
	ck_assert_int_eq(asleep, cases[_i].asleep_now);
	close(mine);
	close(its);
}
END_TEST

START_TEST(policy_comes_back)
{
	struct sched_param idle = {0};
	struct proc_policy before, after;
	cpu_set_t one;
	struct err err;

	ck_assert_int_eq(sched_setscheduler(child, SCHED_BATCH, &idle), 0);
	ck_assert_int_eq(proc_policy_read(child, &before, &err), 0);
	ck_assert_int_eq(before.policy, SCHED_BATCH);
	ck_assert_int_eq(proc_park(child), 0);
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++) {
		if (CPU_ISSET(cpu, &before.affinity)) {
			CPU_SET(cpu, &one);
		}
	}
	ck_assert_int_eq(sched_setaffinity(child, sizeof(one), &one), 0);
	ck_assert_int_eq(sched_getscheduler(child), SCHED_OTHER | SCHED_RESET_ON_FORK);
	ck_assert_int_eq(proc_policy_restore(child, &before), 0);
	ck_assert_int_eq(proc_policy_read(child, &after, &err), 0);
	ck_assert_int_eq(after.policy, SCHED_BATCH);
	ck_assert(CPU_EQUAL(&after.affinity, &before.affinity));
	/* Only with CAP_SYS_NICE the flag goes. */
	ck_assert(getuid() != 0 || !after.reset_on_fork);
}
END_TEST

START_TEST(sets_of_cpus)
{
	char text[64];
	cpu_set_t set;
	struct err err;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CPU_SET(2, &set);
	CPU_SET(3, &set);
	CPU_SET(9, &set);
	proc_cpus_text(&set, text, sizeof(text));
	ck_assert_str_eq(text, "0,2-3,9");
	/* Cut before a number that does not fit. */
	proc_cpus_text(&set, text, 6);
	ck_assert_str_eq(text, "0,2-3");
	ck_assert_int_eq(proc_cpus_parse("0", &set, &err), 0);
	ck_assert_int_eq(CPU_COUNT(&set), 1);
	ck_assert_int_eq(proc_cpus_parse("0-0,0", &set, &err), 0);
	ck_assert_int_eq(CPU_COUNT(&set), 1);
}
END_TEST

START_TEST(bad_sets_of_cpus)
{
	static const char *const bad[] = {"", "x", "0-", "-1", "1-0", "0,", ",0", "0 ", "4096", "0-4096", "0--1"};
	cpu_set_t set;
	struct err err;

	ck_assert_int_eq(proc_cpus_parse(bad[_i], &set, &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_edf_proc");
	TCase *tests = tcase_create("threads");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, names_of_vcpus, 0, 10);
	tcase_add_test(tests, good_process);
	tcase_add_test(tests, number_used_again);
	tcase_add_test(tests, others_process);
	tcase_add_test(tests, no_process);
	tcase_add_test(tests, thread_of_the_kernel);
	tcase_add_test(tests, threads_of_it);
	tcase_add_test(tests, cpu_time);
	tcase_add_test(tests, ready_or_not);
	tcase_add_loop_test(tests, awake_or_not, 0, 10);
	tcase_add_test(tests, policy_comes_back);
	tcase_add_test(tests, sets_of_cpus);
	tcase_add_loop_test(tests, bad_sets_of_cpus, 0, 11);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
