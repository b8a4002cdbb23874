/* What a simulation is told: settings and profiles, options, and what a workload becomes of a trace. */
#include <check.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "profile.h"
#include "sim_command.h"
#include "suite.h"
#include "util.h"
#include "workload.h"

static struct sim_config config;
static struct err err;
static char path[64];

static void setup(void)
{
	memset(&config, 0, sizeof(config));
	memset(&err, 0, sizeof(err));
	snprintf(path, sizeof(path), "/tmp/test_sim_config.%d", (int)getpid());
}

static void teardown(void)
{
	config_free(&config);
	unlink(path);
}

static int load_file(const char *text)
{
	ck_assert_int_eq(file_replace(path, text, strlen(text), 0600, &err), 0);
	config_free(&config);
	return config_load("hpdc08", path, NULL, 0, &config, &err);
}

static int load_set(const char *profile, const char *set)
{
	config_free(&config);
	return config_load(profile, NULL, &set, 1, &config, &err);
}

/* That the file is refused in that line, in these words. */
static void refused(const char *text, int line, const char *words)
{
	char where[96];

	ck_assert_msg(load_file(text) < 0, "taken: %s", text);
	snprintf(where, sizeof(where), "%s:%d: ", path, line);
	ck_assert_msg(strncmp(err.text, where, strlen(where)) == 0, "not at line %d: %s", line, err.text);
	ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" does not say \"%s\"", err.text, words);
}

START_TEST(order_of_precedence)
{
	const char *sets[] = {"cluster.nodes=7", "configuration=NOVM-NOSR", "suspension=serial"};

	ck_assert_int_eq(config_load("default", NULL, NULL, 0, &config, &err), 0);
	ck_assert_int_eq(config.lead, USEC_PER_SEC);
	ck_assert_int_eq(load_file("[cluster]\ncpu = 4\n[plan]\nlead = 3s\n"), 0);
	/* The file over the profile, the profile over what all have. */
	ck_assert_int_eq(config.lead, 3 * USEC_PER_SEC);
	ck_assert_int_eq(config.prepare, 0);
	ck_assert_int_eq(config.cpu, 4000);
	config_free(&config);
	ck_assert_msg(config_load("hpdc08", path, sets, 3, &config, &err) == 0, "%s", err.text);
	ck_assert_str_eq(config.nodes, "7");
	ck_assert(config.predeployed);
	ck_assert_str_eq(config.suspension, "serial");
}
END_TEST

START_TEST(profiles_are_sound)
{
	for (size_t i = 0; i < profile_count; i++) {
		ck_assert_msg(config_load(profiles[i].name, NULL, NULL, 0, &config, &err) == 0, "%s: %s",
			      profiles[i].name, err.text);
		for (size_t c = 0; c < profiles[i].choices; c++) {
			_cleanup_free_ char *set = xasprintf("configuration=%s", profiles[i].choice[c].name);
			ck_assert_msg(load_set(profiles[i].name, set) == 0, "%s", err.text);
		}
		config_free(&config);
	}
}
END_TEST

/* As tenure-sim(1) says of the experiment blue. */
START_TEST(as_the_prototype)
{
	ck_assert_msg(load_set("hpdc08", "configuration=VM-PREDEPLOY") == 0, "%s", err.text);
	ck_assert_int_eq(config.vm_disk, INT64_C(1) << 30);
	ck_assert_int_eq(config.best_effort_rate, config.repository_rate);
	config_free(&config);
	ck_assert_msg(load_set("hpdc08", "configuration=VM-MULT") == 0, "%s", err.text);
	ck_assert_int_eq(config.vm_disk, 0);
}
END_TEST

START_TEST(groups_of_nodes)
{
	uint32_t count;

	ck_assert_msg(load_set("hpdc08", "nodes=2 1(cpu:2,memory:3GiB,suspend_rate:0) 1(pool:1GiB)") == 0, "%s",
		      err.text);
	_cleanup_free_ struct node_info *nodes = config_nodes(&config, &count);
	ck_assert_uint_eq(count, 4);
	ck_assert_int_eq(nodes[1].capacity.amount[RES_CPU], 1000);
	ck_assert_int_eq(nodes[2].id, 3);
	ck_assert_int_eq(nodes[2].capacity.amount[RES_CPU], 2000);
	ck_assert_int_eq(nodes[2].capacity.amount[RES_MEMORY], INT64_C(3) << 30);
	ck_assert_int_eq(nodes[2].suspend_rate, INT64_MAX);
	ck_assert_int_eq(nodes[2].pool_bytes, INT64_C(24) << 30);
	ck_assert_int_eq(nodes[3].pool_bytes, INT64_C(1) << 30);
}
END_TEST

START_TEST(impossible_clusters)
{
	refused("[cluster]\nnodes = 0\n", 2, "nodes");
	refused("[cluster]\n\nnodes = -3\n", 3, "-3");
	refused("[cluster]\nnodes =\n", 2, "nodes");
	refused("[cluster]\nnodes = 10 x\n", 2, "\"x\"");
	refused("[cluster]\nnodes = 1000000\n", 2, "100000");
	refused("[cluster]\nnodes = 60000 60000\n", 2, "more than");
	refused("[cluster]\nnodes = 3(memory:0)\n", 2, "memory");
	refused("[cluster]\nnodes = 3(memory)\n", 2, "KEY:VALUE");
	refused("[cluster]\nnodes = 3(gpu:1)\n", 2, "gpu");
	refused("[cluster]\nnodes = 3(cpu:1\n", 2, "bracket");
	refused("[cluster]\nmemory = 0\n", 2, "memory");
	refused("[cluster]\ncpu = 0\n", 2, "cpu");
	refused("[cluster]\npool = -1G\n", 2, "pool");
	refused("[cluster]\nnods = 3\n", 2, "did you mean nodes");
	refused("[plan]\nbackfill = easy\n", 2, "none of none, first-fit, aggressive");
	refused("[plan]\nqueue = lifo\n", 2, "none of fcfs");
	refused("[workload]\nruntime_overhead = 5\n", 2, "percentage");
	refused("[workload]\nimages = many\n", 2, "none of trace");
	/* No single line is wrong, but nothing could ever run. */
	ck_assert_int_lt(load_file("[cluster]\nmemory = 512MiB\n"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "no node has room"));
	ck_assert_int_lt(load_file("[cluster]\npool = 3GiB\n[workload]\nimage_size = 4GiB\nimages = uniform\n"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "no node's pool has room"));
	/* Of these some could. */
	ck_assert_int_eq(load_file("[cluster]\npool = 3GiB\n[workload]\nimage_size = 3GiB\nimages = uniform\n"), 0);
	ck_assert_int_eq(load_file("[cluster]\nnodes = 2 1(pool:4GiB)\npool = 3GiB\n[workload]\nimage_size = 4GiB\n"),
			 0);
	ck_assert_int_eq(load_file("[cluster]\npool = 3GiB\n[workload]\nimages = trace\n"), 0);
	ck_assert_int_eq(load_file("[cluster]\npool = 3GiB\n[workload]\npredeployed = yes\n"), 0);
}
END_TEST

START_TEST(bad_sets)
{
	ck_assert_int_lt(load_set("hpdc08", "nodes"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "KEY=VALUE"));
	ck_assert_int_lt(load_set("hpdc08", "colour=red"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "\"colour\""));
	ck_assert_int_lt(load_set("hpdc08", "plan.nodes=3"), 0);
	ck_assert_int_lt(load_set("hpdc08", "nodes=0"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "--set nodes=0"));
	ck_assert_int_lt(load_set("hpdc08", "configuration=NOVM"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "NOVM-NOSR"));
	ck_assert_int_lt(load_set("default", "configuration=NOVM"), 0);
	ck_assert_int_lt(load_set("hpdc", "nodes=1"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "no profile \"hpdc\""));
}
END_TEST

/* ---- workloads ---- */

static struct trace_request request(uint32_t vms, const char *image)
{
	struct trace_request made = {
		.submit_us = 5,
		.kind = LEASE_BEST_EFFORT,
		.vms = vms,
		.start_us = -1,
		.latest_us = -1,
		.deadline_us = -1,
		.call_us = -1,
		.duration_us = 100 * USEC_PER_SEC,
		.real_us = 60 * USEC_PER_SEC,
	};

	snprintf(made.image, sizeof(made.image), "%s", image);
	return made;
}

START_TEST(overhead_and_sizes)
{
	struct trace_request item[] = {request(2, "a"), request(1, "a"), request(1, "b")};
	struct trace trace = {.item = item, .count = 3};
	struct workload workload;

	item[1].kind = LEASE_AR;
	item[1].start_us = 0;
	item[2].per_vm.amount[RES_MEMORY] = 7;
	item[2].image_bytes = 99;
	ck_assert_int_eq(load_set("hpdc08", "images=trace"), 0);
	workload_make(&config, &trace, &workload);
	const struct request *made = workload.request;
	ck_assert_uint_eq(workload.count, 3);
	ck_assert_uint_eq(workload.image_count, 2);
	ck_assert_int_eq(made[0].spec.duration_us, 125 * USEC_PER_SEC);
	ck_assert_int_eq(made[0].real_us, 83 * USEC_PER_SEC);
	ck_assert_int_eq(made[0].dedicated_us, 60 * USEC_PER_SEC);
	ck_assert_int_eq(made[0].submit_us, ORIGIN_US + 5);
	ck_assert_int_eq(made[0].spec.start_us, 0);
	ck_assert_int_eq(made[0].spec.per_vm.amount[RES_MEMORY], INT64_C(1) << 30);
	ck_assert_int_eq(made[1].spec.duration_us, 100 * USEC_PER_SEC);
	ck_assert_int_eq(made[1].spec.start_us, ORIGIN_US);
	ck_assert_uint_eq(made[1].spec.image, made[0].spec.image);
	ck_assert_int_eq(made[2].spec.per_vm.amount[RES_MEMORY], 7);
	ck_assert_int_eq(made[2].image_bytes, 99);
	workload_fini(&workload);
}
END_TEST

START_TEST(an_image_each)
{
	struct trace_request item[] = {request(3, "a"), request(2, "a")};
	struct trace trace = {.item = item, .count = 2};
	struct workload workload;

	item[0].serial = true;
	ck_assert_int_eq(load_set("hpdc08", "reuse=no"), 0);
	workload_make(&config, &trace, &workload);
	/* The serial one has become three that know nothing of each other. */
	ck_assert_uint_eq(workload.count, 4);
	ck_assert_uint_eq(workload.image_count, 0);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(workload.request[i].spec.image, i + 1);
		ck_assert(workload.request[i].own_image);
		ck_assert_uint_eq(workload.request[i].spec.vms, i < 3 ? 1 : 2);
	}
	workload_fini(&workload);
}
END_TEST

/* How many of n requests have each image, by their order of popularity; the highest id that was drawn. */
static void distribution(const char *set, size_t n, uint64_t count[100])
{
	struct trace trace = {0};
	struct workload workload;
	struct trace_request one = request(1, "named");

	for (size_t i = 0; i < n; i++) {
		trace_add(&trace, &one);
	}
	ck_assert_int_eq(load_set("hpdc08", set), 0);
	workload_make(&config, &trace, &workload);
	memset(count, 0, 100 * sizeof(*count));
	for (size_t i = 0; i < n; i++) {
		count[workload.request[i].spec.image]++;
	}
	workload_fini(&workload);
	trace_fini(&trace);
}

START_TEST(distributions)
{
	uint64_t count[100];
	int popular = 0, rare = 0;

	distribution("images=skewed", 100000, count);
	for (int i = 1; i < 100; i++) {
		popular += count[i] > 9500 && count[i] < 10500;
		rare += count[i] > 850 && count[i] < 1150;
	}
	ck_assert_int_eq(popular, 7);
	ck_assert_int_eq(rare, 30);
	distribution("images=uniform", 37000, count);
	for (int i = 1; i <= 37; i++) {
		ck_assert_uint_gt(count[i], 850);
		ck_assert_uint_lt(count[i], 1150);
	}
	distribution("images=single", 100, count);
	ck_assert_uint_eq(count[1], 100);
}
END_TEST

/* ---- options ---- */

static const struct sim_option table[] = {
	{"out", "DIR", "a folder", true},
	{"check", NULL, "look", false},
};

static int take(void *to, size_t option, const char *text, struct err *e)
{
	(void)e;
	((const char **)to)[option] = text ? text : "given";
	return 0;
}

#define READ(words, ...) read_options(words, (char *[]){__VA_ARGS__}, ARRAY_SIZE(((char *[]){__VA_ARGS__})))
static const char *found[2];
static int read_options(int words, char **argv, int argc)
{
	memset(found, 0, sizeof(found));
	return options_read(table, ARRAY_SIZE(table), argc, argv, words, take, found, &err);
}

START_TEST(options)
{
	ck_assert_int_eq(READ(0, "--out", "a", "--check"), 0);
	ck_assert_str_eq(found[0], "a");
	ck_assert_str_eq(found[1], "given");
	ck_assert_int_eq(READ(1, "word", "--out=b=c"), 1);
	ck_assert_str_eq(found[0], "b=c");
	ck_assert_int_lt(READ(0, "--check"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "--out DIR is needed"));
	ck_assert_int_lt(READ(0, "--out"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "needs a value"));
	ck_assert_int_lt(READ(0, "--out=a", "--check=yes"), 0);
	ck_assert_int_lt(READ(0, "--out=a", "--colour"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "--colour"));
	ck_assert_int_lt(READ(0, "--out=a", "word"), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "\"word\""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_config");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, order_of_precedence);
	tcase_add_test(all, profiles_are_sound);
	tcase_add_test(all, as_the_prototype);
	tcase_add_test(all, groups_of_nodes);
	tcase_add_test(all, impossible_clusters);
	tcase_add_test(all, bad_sets);
	tcase_add_test(all, overhead_and_sizes);
	tcase_add_test(all, an_image_each);
	tcase_add_test(all, distributions);
	tcase_add_test(all, options);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
