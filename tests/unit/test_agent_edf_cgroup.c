/* What is found in a tree of cgroup files, what is written into it, and what calibration allows. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calibrate.h"
#include "cgroup.h"
#include "folder.h"
#include "suite.h"
#include "util.h"

static char dir[64];

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/tenure-test-cg-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
}

static void teardown(void)
{
	folder_remove(dir);
}

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_free_ char *folder = xstrdup(path);
	struct err err;

	*strrchr(folder, '/') = '\0';
	ck_assert_int_eq(dir_make(folder, 0755, &err), 0);
	ck_assert_int_eq(file_replace(path, text, strlen(text), 0644, &err), 0);
}

static void check_file(const char *name, const char *expected)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_free_ char *text = file_read(path, 4096, NULL);

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, expected);
}

START_TEST(nothing_there)
{
	struct cgroup cgroup;

	cgroup_detect(&cgroup, dir);
	ck_assert_int_eq(cgroup.version, 0);
	cgroup_open_strict(&cgroup, 900000);
	ck_assert(!cgroup.strict);
	ck_assert_ptr_nonnull(strstr(cgroup.why_not, "no CPU cgroup"));
}
END_TEST

START_TEST(version_2)
{
	struct cgroup cgroup;

	put("cgroup.controllers", "cpuset io memory\n");
	cgroup_detect(&cgroup, dir);
	ck_assert_int_eq(cgroup.version, 0);
	put("cgroup.controllers", "cpuset cpu io\n");
	cgroup_detect(&cgroup, dir);
	ck_assert_int_eq(cgroup.version, 2);
	ck_assert(!cgroup.rt_group);
	cgroup_open_strict(&cgroup, 900000);
	ck_assert(cgroup.strict);
}
END_TEST

/* This process' group in version 2, below dir. */
static char *own_path(void)
{
	_cleanup_free_ char *text = file_read("/proc/self/cgroup", 65536, NULL);
	char *line = text ? strstr(text, "0::") : NULL;

	if (!line) {
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return xasprintf("%s", strcmp(line + 3, "/") == 0 ? "" : line + 4);
}

static void put_own(const char *own, const char *file, const char *text)
{
	_cleanup_free_ char *name = xasprintf("%s%s%s", own, *own ? "/" : "", file);

	put(name, text);
}

/* Alone in its group, as libvirt's virtual CPUs are: held back there, and its limit comes back. */
START_TEST(version_2_alone)
{
	_cleanup_free_ char *own = own_path();
	_cleanup_free_ char *max = own ? xasprintf("%s%scpu.max", own, *own ? "/" : "") : NULL;
	struct cgroup_way way;
	struct cgroup cgroup;
	struct err err;

	if (!own) {
		return;
	}
	put("cgroup.controllers", "cpu\n");
	cgroup_detect(&cgroup, dir);
	put_own(own, "cpu.max", "max 100000\n");
	put_own(own, "cgroup.threads", "17\n");
	ck_assert_int_eq(cgroup_find_way(&cgroup, getpid(), getpid(), false, &way, &err), 0);
	ck_assert(!way.move);
	ck_assert_str_eq(way.text, "max 100000");
	ck_assert_int_eq(cgroup_go(&cgroup, &way, getpid(), 1000, 1000000, &err), 0);
	/* A file is not cut by a shorter line; the kernel's is. */
	check_file(max, "1000 1000000");
	put_own(own, "cgroup.threads", "17\n18\n");
	ck_assert_int_eq(cgroup_find_way(&cgroup, getpid(), getpid(), false, &way, &err), -1);
	ck_assert_int_eq(err.code, ERR_DENIED);
}
END_TEST

/* A whole process gets a group of its own. */
START_TEST(version_2_process)
{
	_cleanup_free_ char *own = own_path();
	_cleanup_free_ char *group = xasprintf("tenure-edf-%d", (int)getpid());
	_cleanup_free_ char *max = xasprintf("%s/cpu.max", group), *procs = xasprintf("%s/cgroup.procs", group);
	_cleanup_free_ char *id = xasprintf("%d", (int)getpid());
	struct cgroup_way way;
	struct cgroup cgroup;
	struct err err;

	if (!own) {
		return;
	}
	put("cgroup.controllers", "cpu\n");
	put("cgroup.subtree_control", "");
	put(max, "");
	put(procs, "");
	cgroup_detect(&cgroup, dir);
	put_own(own, "cgroup.threads", "17\n18\n");
	ck_assert_int_eq(cgroup_find_way(&cgroup, getpid(), getpid(), true, &way, &err), 0);
	ck_assert(way.move);
	ck_assert_str_eq(way.text, "");
	ck_assert_ptr_nonnull(strstr(way.back, "/cgroup.procs"));
	ck_assert_int_eq(cgroup_go(&cgroup, &way, getpid(), 20000, 50000, &err), 0);
	check_file("cgroup.subtree_control", "+cpu");
	check_file(procs, id);
	check_file(max, "20000 50000");
}
END_TEST

START_TEST(version_1)
{
	struct cgroup cgroup;
	_cleanup_free_ char *cpu = xasprintf("%s/cpu,cpuacct", dir);

	put("cpu,cpuacct/tasks", "");
	cgroup_detect(&cgroup, dir);
	ck_assert_int_eq(cgroup.version, 1);
	ck_assert(!cgroup.rt_group);
	ck_assert_str_eq(cgroup.cpu, cpu);
	put("cpu,cpuacct/cpu.rt_runtime_us", "950000\n");
	cgroup_detect(&cgroup, dir);
	ck_assert(cgroup.rt_group);
}
END_TEST

START_TEST(strict_group)
{
	struct cgroup cgroup;

	put("cpu/tasks", "");
	put("cpu/cpu.rt_runtime_us", "950000\n");
	cgroup_detect(&cgroup, dir);
	/* The kernel would make these. */
	put("cpu/tenure-edf-strict/cpu.cfs_period_us", "");
	put("cpu/tenure-edf-strict/cpu.cfs_quota_us", "");
	cgroup_open_strict(&cgroup, 900000);
	ck_assert(!cgroup.strict);
	ck_assert_ptr_nonnull(strstr(cgroup.why_not, "real-time runtime"));
	put("cpu/tenure-edf-strict/cpu.rt_runtime_us", "0");
	cgroup_open_strict(&cgroup, 900000);
	ck_assert(cgroup.strict);
	check_file("cpu/tenure-edf-strict/cpu.cfs_quota_us", "1000");
	check_file("cpu/tenure-edf-strict/cpu.cfs_period_us", "1000000");
	/* A file takes what the kernel would not: the first try. */
	check_file("cpu/tenure-edf-strict/cpu.rt_runtime_us", "1000000");
	put("cpu/tenure-edf-strict/tasks", "");
	ck_assert_int_eq(cgroup_move_strict(&cgroup, 4711, NULL), 0);
	check_file("cpu/tenure-edf-strict/tasks", "4711");
	ck_assert_int_eq(cgroup_move_root(&cgroup, 4712, NULL), 0);
	check_file("cpu/tasks", "4712");
}
END_TEST

START_TEST(quota_group)
{
	struct cgroup cgroup;
	struct err err;

	put("cpu/tasks", "");
	cgroup_detect(&cgroup, dir);
	ck_assert_int_eq(cgroup_move_quota(&cgroup, 5, 3, 1, 20000, 50000, &err), -1);
	ck_assert_int_eq(err.code, ERR_DENIED);
	put("cpu/tenure-edf-quota/3-1/cpu.cfs_quota_us", "");
	put("cpu/tenure-edf-quota/3-1/cpu.cfs_period_us", "");
	put("cpu/tenure-edf-quota/3-1/tasks", "");
	ck_assert_int_eq(cgroup_move_quota(&cgroup, 5, 3, 1, 20000, 50000, &err), 0);
	check_file("cpu/tenure-edf-quota/3-1/cpu.cfs_period_us", "50000");
	check_file("cpu/tenure-edf-quota/3-1/tasks", "5");
}
END_TEST

START_TEST(quota_figures)
{
	static const struct {
		int64_t slice_us, period_us, quota, period;
	} cases[] = {
		{20000, 50000, 20000, 50000},
		{500, 1000, 1000, 2000},              /* too little in so short a period */
		{100, 500, 1000, 5000},               /* both too short */
		{2000000, 10000000, 200000, 1000000}, /* too long a period */
		{1000, 1000000, 1000, 1000000},
		{1, 10000, 0, 0}, /* not possible */
	};
	struct edf_constraint constraint = {.slice_ns = cases[_i].slice_us * 1000,
					    .period_ns = cases[_i].period_us * 1000};
	int64_t quota = 0, period = 0;
	struct err err;
	int rc = cgroup_quota_of(&constraint, &quota, &period, &err);

	ck_assert_int_eq(rc, cases[_i].quota ? 0 : -1);
	ck_assert_int_eq(quota, cases[_i].quota);
	ck_assert_int_eq(period, cases[_i].period);
}
END_TEST

START_TEST(home_of_this_process)
{
	char home[CGROUP_PATH];
	struct cgroup cgroup = {.version = 7};
	struct err err;

	ck_assert_int_eq(cgroup_home(&cgroup, getpid(), getpid(), home, sizeof(home), &err), -1);
	cgroup_detect(&cgroup, CGROUP_ROOT);
	if (cgroup.version && cgroup_home(&cgroup, getpid(), getpid(), home, sizeof(home), &err) == 0) {
		ck_assert_int_eq(access(home, W_OK), 0);
		ck_assert_int_eq(cgroup_home(&cgroup, getpid(), getpid(), home, 5, &err), -1);
		ck_assert_int_eq(err.code, ERR_LIMIT);
	}
}
END_TEST

START_TEST(what_calibration_allows)
{
	static const struct {
		int64_t wake_ns, late_ns, period_us;
	} cases[] = {{1000, 1000, 100},     {10000, 5000, 500},   {20000, 20000, 1000},
		     {10000, 400000, 2000}, {90000, 10000, 5000}, {10000000, 10000, 10000}};
	struct calibration calibration = {cases[_i].wake_ns, cases[_i].late_ns};

	ck_assert_int_eq(calibrate_period_min_us(&calibration), cases[_i].period_us);
}
END_TEST

/* Only what is better now says that a calibration was made at a bad moment. */
START_TEST(calibration_of_a_bad_moment)
{
	const struct calibration good = {9000, 15000}, near = {8000, 14000}, dear = {30000, 15000},
				 late = {9000, 400000};

	ck_assert(!calibrate_better(&good, &near));
	ck_assert(!calibrate_better(&good, &dear));
	ck_assert(!calibrate_better(&good, &late));
	ck_assert(calibrate_better(&dear, &good));
	ck_assert(calibrate_better(&late, &good));
}
END_TEST

START_TEST(calibration_is_kept)
{
	struct calibration in = {12345, 678}, out = {0};
	struct err err;

	ck_assert_int_eq(calibrate_load(dir, &out, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_eq(calibrate_save(dir, &in, &err), 0);
	ck_assert_int_eq(calibrate_load(dir, &out, &err), 0);
	ck_assert_int_eq(out.wake_ns, 12345);
	ck_assert_int_eq(out.late_ns, 678);
	/* Another start of the machine, and nonsense. */
	put("calibration", "00000000-0000-0000-0000-000000000000 5 5\n");
	ck_assert_int_eq(calibrate_load(dir, &out, &err), -1);
	put("calibration", "x");
	ck_assert_int_eq(calibrate_load(dir, &out, &err), -1);
}
END_TEST

START_TEST(limit)
{
	ck_assert_uint_le(calibrate_limit_ppm(0), 900000);
	ck_assert_uint_eq(calibrate_limit_ppm(100000), 100000);
	/* Something is always left to the kernel. */
	ck_assert_uint_le(calibrate_limit_ppm(1000000), 940000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_edf_cgroup");
	TCase *tests = tcase_create("files");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, nothing_there);
	tcase_add_test(tests, version_2);
	tcase_add_test(tests, version_2_alone);
	tcase_add_test(tests, version_2_process);
	tcase_add_test(tests, version_1);
	tcase_add_test(tests, strict_group);
	tcase_add_test(tests, quota_group);
	tcase_add_loop_test(tests, quota_figures, 0, 6);
	tcase_add_test(tests, home_of_this_process);
	tcase_add_loop_test(tests, what_calibration_allows, 0, 6);
	tcase_add_test(tests, calibration_of_a_bad_moment);
	tcase_add_test(tests, calibration_is_kept);
	tcase_add_test(tests, limit);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
