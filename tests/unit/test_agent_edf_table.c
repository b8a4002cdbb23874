/* The shared table: one owner, sequences, and giving threads back from it, also those of an owner that died; the ring.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring.h"
#include "suite.h"
#include "table.h"
#include "util.h"

static char dir[64];
static struct table *table;
static int lock_fd;

static void setup(void)
{
	unsigned released;
	struct err err;

	snprintf(dir, sizeof(dir), "/tmp/tenure-test-edf-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	ck_assert_int_eq(table_create(dir, &table, &lock_fd, &released, &err), 0);
	ck_assert_uint_eq(released, 0);
}

static void teardown(void)
{
	_cleanup_free_ char *path = xasprintf("%s/table", dir);

	table_unmap(table);
	close(lock_fd);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(one_owner)
{
	struct table *other;
	unsigned released;
	struct err err;
	bool alive = false;
	int fd;

	ck_assert_int_eq(table_create(dir, &other, &fd, &released, &err), -1);
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	other = table_open(dir, &alive, &err);
	ck_assert_ptr_nonnull(other);
	ck_assert(alive);
	ck_assert_int_eq(other->head.owner, getpid());
	table_unmap(other);
	/* The mapping is a hold on it too. */
	close(lock_fd);
	table_unmap(table);
	table = table_open(dir, &alive, &err);
	ck_assert(!alive);
	lock_fd = -1;
}
END_TEST

START_TEST(none_there)
{
	bool alive;
	struct err err;

	ck_assert_ptr_null(table_open("/tmp/tenure-test-edf-not-there", &alive, &err));
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	table->head.magic++;
	ck_assert_ptr_null(table_open(dir, &alive, &err));
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

/* A disk that is full, by a limit that has the same way out. */
START_TEST(no_space)
{
	_cleanup_free_ char *inner = xasprintf("%s/full", dir);
	_cleanup_free_ char *path = xasprintf("%s/table", inner);
	const struct rlimit small = {4096, 4096};
	struct table *other;
	unsigned released;
	struct err err;
	int fd;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(table_create(inner, &other, &fd, &released, &err), -1);
	ck_assert_msg(strstr(err.text, "/full/table: File too large") != NULL, "%s", err.text);
	unlink(path);
	ck_assert_int_eq(rmdir(inner), 0);
}
END_TEST

/* Wishes and items from a thread, whole ones: all of their numbers are the same. */
#define ROUNDS 20000

static void *write_wishes(void *arg)
{
	for (int64_t i = 1; i <= ROUNDS; i++) {
		struct table_wish wish = {.constraint = {.slice_ns = i, .period_ns = i}, .changed_ns = i};

		table_wish_write(arg, &wish);
	}
	return NULL;
}

START_TEST(constraint_whole_or_not)
{
	struct table_slot *slot = &table->slot[3];
	struct table_wish got = {.changed_ns = 0};
	uint32_t seq;
	pthread_t writer;

	ck_assert_int_eq(pthread_create(&writer, NULL, write_wishes, slot), 0);
	while (got.changed_ns < ROUNDS) {
		if (table_wish_read(slot, &got, &seq)) {
			ck_assert_int_eq(got.constraint.slice_ns, got.changed_ns);
			ck_assert_int_eq(got.constraint.period_ns, got.changed_ns);
			ck_assert_int_eq(seq, 2 * got.changed_ns);
		}
	}
	pthread_join(writer, NULL);
	atomic_fetch_add(&slot->seq, 1);
	ck_assert(!table_wish_read(slot, &got, &seq));
}
END_TEST

START_TEST(statistics)
{
	struct table_stat in = {.edf = {.periods = 5, .misses = 1}, .slack_ns = 7, .change_max_ns = 9}, out;

	table_stat_write(&table->slot[0], &in);
	table_stat_read(&table->slot[0], &out);
	ck_assert_uint_eq(out.edf.periods, 5);
	ck_assert_int_eq(out.slack_ns, 7);
	ck_assert_int_eq(out.change_max_ns, 9);
}
END_TEST

/* A child in slot 0 that is bound to one CPU and SCHED_BATCH, and was not before. */
static pid_t hold_child(struct proc_policy *before)
{
	struct sched_param param = {0};
	struct table_slot *slot = &table->slot[0];
	struct err err;
	cpu_set_t one;
	pid_t child = fork();

	if (child == 0) {
		table_unmap(table);
		close(lock_fd);
		for (;;) {
			pause();
		}
	}
	ck_assert_int_eq(proc_policy_read(child, before, &err), 0);
	slot->tid = slot->pid = child;
	slot->start_time = proc_start_time(child);
	slot->before = *before;
	atomic_store(&slot->state, TABLE_HELD);
	ck_assert_int_eq(sched_setscheduler(child, SCHED_BATCH, &param), 0);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	ck_assert_int_eq(sched_setaffinity(child, sizeof(one), &one), 0);
	return child;
}

static void check_restored(pid_t child, const struct proc_policy *before, bool restored)
{
	struct proc_policy now;
	struct err err;

	ck_assert_int_eq(proc_policy_read(child, &now, &err), 0);
	ck_assert_int_eq(now.policy == before->policy, restored);
	ck_assert(!restored || CPU_EQUAL(&now.affinity, &before->affinity));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

START_TEST(given_back)
{
	struct proc_policy before;
	pid_t child = hold_child(&before);

	ck_assert_uint_eq(table_restore_all(table, false), 1);
	ck_assert_uint_eq(atomic_load(&table->slot[0].state), TABLE_HELD);
	check_restored(child, &before, true);
}
END_TEST

/* Its watchdog is still at it. */
START_TEST(waits_for_the_last_watchdog)
{
	unsigned released;
	struct err err;
	pid_t child = fork();

	if (child == 0) {
		close(lock_fd);
		usleep(200000);
		_exit(0);
	}
	table->head.owner_start++;
	table_unmap(table);
	close(lock_fd);
	ck_assert_int_eq(table_create(dir, &table, &lock_fd, &released, &err), 0);
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), child);
}
END_TEST

/* Its number is another's now: that one is left alone. */
START_TEST(not_another)
{
	struct proc_policy before;
	pid_t child = hold_child(&before);

	table->slot[0].start_time++;
	ck_assert_uint_eq(table_restore_all(table, true), 1);
	ck_assert_uint_eq(atomic_load(&table->slot[0].state), TABLE_FREE);
	check_restored(child, &before, false);
}
END_TEST

/* What is written of a way back is followed when it is all there. */
START_TEST(way_back)
{
	_cleanup_free_ char *path = xasprintf("%s/way", dir);
	_cleanup_free_ char *text = NULL;
	struct proc_policy before;
	pid_t child = hold_child(&before);
	struct table_slot *slot = &table->slot[0];
	struct err err;

	ck_assert_int_eq(file_replace(path, "", 0, 0644, &err), 0);
	snprintf(slot->cgroup, sizeof(slot->cgroup), "%s", path);
	table_restore(slot);
	text = file_read(path, 64, &err);
	ck_assert_str_eq(text, "");
	table_way_write(slot, path, "max 100000");
	table_restore(slot);
	free(text);
	text = file_read(path, 64, &err);
	ck_assert_str_eq(text, "max 100000");
	unlink(path);
	check_restored(child, &before, true);
}
END_TEST

START_TEST(by_the_next_owner)
{
	struct proc_policy before;
	pid_t child = hold_child(&before);
	unsigned released = 0;
	struct err err;

	table->head.owner_start++;
	table_unmap(table);
	close(lock_fd);
	ck_assert_int_eq(table_create(dir, &table, &lock_fd, &released, &err), 0);
	ck_assert_uint_eq(released, 1);
	ck_assert_uint_eq(atomic_load(&table->slot[0].state), TABLE_FREE);
	check_restored(child, &before, true);
}
END_TEST

START_TEST(ring_in_order)
{
	static struct ring ring;
	struct ring_item item = {0}, got;

	ck_assert(!ring_get(&ring, &got));
	for (uint32_t round = 0; round < 3; round++) {
		for (item.slot = 0; item.slot < RING_SIZE; item.slot++) {
			ck_assert(ring_put(&ring, &item));
		}
		ck_assert(!ring_put(&ring, &item));
		ck_assert_uint_eq(atomic_load(&ring.lost), round + 1);
		for (uint32_t i = 0; i < RING_SIZE; i++) {
			ck_assert(ring_get(&ring, &got));
			ck_assert_uint_eq(got.slot, i);
		}
		ck_assert(!ring_get(&ring, &got));
	}
}
END_TEST

static void *put_items(void *arg)
{
	for (uint32_t i = 0; i < ROUNDS;) {
		struct ring_item item = {.task = i, .slot = i, .misses = i, .late_max_ns = i};

		i += ring_put(arg, &item);
	}
	return NULL;
}

START_TEST(ring_of_two_threads)
{
	static struct ring ring;
	struct ring_item got;
	pthread_t writer;

	ck_assert_int_eq(pthread_create(&writer, NULL, put_items, &ring), 0);
	for (uint32_t i = 0; i < ROUNDS;) {
		if (ring_get(&ring, &got)) {
			ck_assert_uint_eq(got.task, i);
			ck_assert_uint_eq(got.slot, i);
			ck_assert_uint_eq(got.misses, i);
			ck_assert_int_eq(got.late_max_ns, i);
			i++;
		}
	}
	pthread_join(writer, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_edf_table");
	TCase *tests = tcase_create("table");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, one_owner);
	tcase_add_test(tests, none_there);
	tcase_add_test(tests, no_space);
	tcase_add_test(tests, constraint_whole_or_not);
	tcase_add_test(tests, statistics);
	tcase_add_test(tests, given_back);
	tcase_add_test(tests, way_back);
	tcase_add_test(tests, waits_for_the_last_watchdog);
	tcase_add_test(tests, not_another);
	tcase_add_test(tests, by_the_next_owner);
	tcase_add_test(tests, ring_in_order);
	tcase_add_test(tests, ring_of_two_threads);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
