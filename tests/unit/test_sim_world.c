/* Small clusters of which the right answer is known: when leases start and end, what goes over the link, what is said.
 */
#include <check.h>
#include <string.h>

#include "suite.h"
#include "summary.h"
#include "util.h"
#include "world.h"

#define SEC USEC_PER_SEC
#define IMAGE_US (409600 * USEC_PER_MSEC) /* 4 GiB at 10 MiB/s */
#define SAVE_US (20480 * USEC_PER_MSEC)   /* 1 GiB at 50 MiB/s */

static struct trace trace;
static struct workload workload;
static struct sim_config config;
static struct world *world;
static struct err err;

static void setup(void)
{
	memset(&trace, 0, sizeof(trace));
	memset(&workload, 0, sizeof(workload));
	memset(&config, 0, sizeof(config));
	world = NULL;
}

static void teardown(void)
{
	world_free(world);
	workload_fini(&workload);
	config_free(&config);
	trace_fini(&trace);
}

/* A best-effort gang that asks for duration_s and would run real_s. */
static void ask(int64_t submit_s, uint32_t vms, int64_t duration_s, int64_t real_s)
{
	trace_add(&trace, &(struct trace_request){
				  .submit_us = submit_s * SEC,
				  .kind = LEASE_BEST_EFFORT,
				  .vms = vms,
				  .start_us = -1,
				  .latest_us = -1,
				  .deadline_us = -1,
				  .call_us = -1,
				  .duration_us = duration_s * SEC,
				  .real_us = real_s * SEC,
			  });
}

static void ask_image(int64_t submit_s, const char *image)
{
	ask(submit_s, 1, 10, 10);
	snprintf(trace.item[trace.count - 1].image, TRACE_NAME, "%s", image);
}

static void reserve(int64_t submit_s, int64_t start_s, uint32_t vms, int64_t duration_s)
{
	ask(submit_s, vms, duration_s, duration_s);
	trace.item[trace.count - 1].kind = LEASE_AR;
	trace.item[trace.count - 1].start_us = start_s * SEC;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__}, ARRAY_SIZE(((const char *const[]){__VA_ARGS__})))
static void run(const char *const *sets, size_t n)
{
	struct world_options options = {.check = true, .slots = true};

	ck_assert_msg(config_load("hpdc08", NULL, sets, n, &config, &err) == 0, "%s", err.text);
	workload_make(&config, &trace, &workload);
	world = world_new(&config, &workload, &options);
	ck_assert_msg(world_run(world, &err) == 0, "%s", err.text);
}

static const struct job *job(size_t i)
{
	size_t n;
	const struct job *jobs = world_jobs(world, &n);

	ck_assert_uint_lt(i, n);
	return &jobs[i];
}

/* That the i-th lease ran from when to when, from the origin. */
static void ran(size_t i, wall_us start_us, wall_us end_us)
{
	ck_assert_msg(job(i)->state == LEASE_DONE, "lease %zu is %s", i, lease_state_name(job(i)->state));
	ck_assert_int_eq(job(i)->start_us - ORIGIN_US, start_us);
	ck_assert_int_eq(job(i)->end_us - ORIGIN_US, end_us);
}

START_TEST(one_after_another)
{
	struct summary summary;

	ask(0, 2, 100, 60);
	ask(10, 2, 100, 100);
	ask(20, 1, 50, 50);
	RUN("configuration=NOVM-NOSR", "nodes=2");
	/* The first ends early, the others move up at that instant; the third overtakes nobody. */
	ran(0, 0, 60 * SEC);
	ran(1, 60 * SEC, 160 * SEC);
	ran(2, 160 * SEC, 210 * SEC);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.leases, 3);
	ck_assert_uint_eq(summary.best_effort_done, 3);
	ck_assert(summary.all_best_effort_s == 210);
	ck_assert_double_eq_tol(summary.mean_wait_s, (0 + 50 + 140) / 3.0, 1e-9);
	ck_assert_double_eq_tol(summary.mean_bounded_slowdown, (1 + 150 / 100.0 + 190 / 50.0) / 3, 1e-9);
	ck_assert_double_eq_tol(summary.utilization, (2 * 60 + 2 * 100 + 50) / (2 * 210.0), 1e-9);
	ck_assert(summary.max_wait_s == 140 && summary.p99_wait_s == 140);
}
END_TEST

START_TEST(backfills)
{
	ask(0, 1, 100, 100);
	ask(1, 2, 100, 100);
	ask(2, 1, 90, 90);  /* done before the second can start */
	ask(3, 1, 200, 10); /* would delay it, for all that is known */
	RUN("configuration=NOVM-NOSR", "nodes=2");
	ran(2, 2 * SEC, 92 * SEC);
	ran(1, 100 * SEC, 200 * SEC);
	ran(3, 200 * SEC, 210 * SEC);
}
END_TEST

START_TEST(suspended_for_a_reservation)
{
	struct summary summary;

	ask(0, 1, 1000, 900);
	reserve(0, 500, 1, 100);
	RUN("configuration=NOVM-SR", "nodes=1");
	ran(1, 500 * SEC, 600 * SEC);
	/* Real time counts only while it runs. */
	wall_us saved_us = 500 * SEC - SAVE_US, resumed_us = 600 * SEC + SAVE_US;
	ran(0, 0, resumed_us + 900 * SEC - saved_us);
	ck_assert_uint_eq(job(0)->suspensions, 1);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.suspensions, 1);
	ck_assert_uint_eq(summary.ars_accepted, 1);
	ck_assert_uint_eq(summary.promises_broken, 0);
}
END_TEST

/* What an open lease keeps others use until it is called. */
START_TEST(open_is_called)
{
	struct summary summary;

	ask(0, 2, 100, 100);
	for (int i = 0; i < 2; i++) {
		ask(0, 2, 50, 50);
		struct trace_request *open = &trace.item[trace.count - 1];
		open->kind = LEASE_OPEN;
		open->start_us = i * 500 * SEC;
		open->latest_us = open->start_us + 200 * SEC;
		open->response_us = 60 * SEC;
		open->call_us = i ? -1 : 40 * SEC;
	}
	RUN("configuration=NOVM-SR", "nodes=2");
	/* 1 GiB on each node, saved at 50 MB/s. */
	ck_assert_int_eq(job(1)->state, LEASE_DONE);
	span_us response_us = job(1)->start_us - ORIGIN_US - 40 * SEC;
	ck_assert_int_gt(response_us, 20 * SEC);
	ck_assert_int_le(response_us, 60 * SEC);
	ck_assert_int_eq(job(1)->end_us, job(1)->start_us + 50 * SEC);
	ck_assert_uint_eq(job(0)->suspensions, 1);
	ck_assert_int_eq(job(0)->state, LEASE_DONE);
	ck_assert_int_eq(job(2)->state, LEASE_DONE);
	ck_assert_int_eq(job(2)->reason.code, REASON_NOT_CALLED);
	ck_assert_int_eq(job(2)->end_us - ORIGIN_US, 700 * SEC);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.asked[LEASE_OPEN], 2);
	ck_assert_uint_eq(summary.open_called, 1);
	ck_assert_double_eq_tol(summary.open_response_max_s, (double)response_us / 1e6, 1e-9);
	ck_assert_uint_eq(summary.promises_broken, 0);
}
END_TEST

START_TEST(waits_without_suspension)
{
	ask(0, 1, 1000, 100);
	reserve(0, 500, 1, 100);
	RUN("configuration=NOVM-NOSR", "nodes=1");
	ran(1, 500 * SEC, 600 * SEC);
	ran(0, 600 * SEC, 700 * SEC);
}
END_TEST

START_TEST(overhead)
{
	ask(0, 1, 1000, 100);
	reserve(0, 500, 1, 100);
	RUN("configuration=VM-PREDEPLOY", "nodes=2", "runtime_overhead=5%", "boot=20s");
	ran(0, 0, 125 * SEC);
	ran(1, 500 * SEC, 600 * SEC);
	/* What it would have been on machines of its own. */
	ck_assert(summary_slowdown(job(0)) == 1.25);
	struct summary summary;
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 0);
}
END_TEST

/* Overhead first, then whole minutes; reservations end when they were asked to. */
START_TEST(whole_quanta)
{
	ask(0, 1, 1000, 100);
	reserve(0, 500, 1, 100);
	RUN("configuration=VM-PREDEPLOY", "nodes=2", "runtime_overhead=5%", "boot=20s", "quantum=1m");
	ran(0, 0, 180 * SEC);
	ran(1, 500 * SEC, 600 * SEC);
}
END_TEST

START_TEST(images_come_first)
{
	struct summary summary;

	ask(0, 2, 100, 100);
	RUN("configuration=VM-MULT", "nodes=2", "overhead=none", "multicast=no");
	ran(0, 2 * IMAGE_US, 2 * IMAGE_US + 100 * SEC);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 2);
	ck_assert_double_eq_tol(summary.mb_transferred, 2 * 4294.967296, 1e-6);
	ck_assert_double_eq_tol(summary.peak_pool_mb, 4294.967296, 1e-6);
}
END_TEST

START_TEST(images_are_used_again)
{
	struct summary summary;

	for (int i = 0; i < 3; i++) {
		ask(i * 1000, 1, 100, 100);
	}
	RUN("configuration=VM-REUSE-UNIFORM", "nodes=1", "overhead=none", "image_count=1");
	ran(0, IMAGE_US, IMAGE_US + 100 * SEC);
	ran(1, 1000 * SEC, 1100 * SEC);
	ran(2, 2000 * SEC, 2100 * SEC);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 1);
}
END_TEST

START_TEST(images_of_ones_own)
{
	struct summary summary;

	for (int i = 0; i < 3; i++) {
		ask(i * 1000, 1, 100, 100);
	}
	RUN("configuration=VM-MULT", "nodes=1", "reuse=no", "overhead=none");
	ran(2, 2000 * SEC + IMAGE_US, 2100 * SEC + IMAGE_US);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 3);
	/* Each is forgotten with its lease. */
	ck_assert_double_eq_tol(summary.peak_pool_mb, 4294.967296, 1e-6);
}
END_TEST

/* Two come by one transfer; the third finds nothing left of it. */
START_TEST(images_come_together)
{
	struct summary summary;

	ask_image(0, "a");
	ask_image(10, "b");
	ask_image(20, "b");
	ask_image(1000, "b");
	RUN("configuration=NOVM-NOSR", "predeployed=no", "images=trace", "reuse=transfers", "disks=whole", "nodes=3",
	    "multicast=yes");
	ran(1, 2 * IMAGE_US, 2 * IMAGE_US + 10 * SEC);
	ran(2, 2 * IMAGE_US, 2 * IMAGE_US + 10 * SEC);
	ran(3, 1000 * SEC + IMAGE_US, 1000 * SEC + IMAGE_US + 10 * SEC);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 3);
}
END_TEST

/* Who comes while another uses the image finds it there; it goes with the last. */
START_TEST(images_while_they_are_used)
{
	struct summary summary;

	ask(0, 1, 100, 100);
	ask(450, 1, 100, 100);
	ask(540, 1, 100, 100);
	ask(1000, 1, 100, 100);
	RUN("configuration=VM-MULT", "nodes=1", "cpu=2", "memory=2GiB", "images=single", "disks=overlay",
	    "overhead=none");
	ran(1, 450 * SEC, 550 * SEC);
	ran(2, 540 * SEC, 640 * SEC);
	ran(3, 1000 * SEC + IMAGE_US, 1100 * SEC + IMAGE_US);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 2);
}
END_TEST

/*
 * Suspended for a reservation, the first goes on where its image never was, with image and memory, that long after the
 * other has left.
 */
static void a_disk_goes_along(const char *migration, span_us later_us)
{
	struct summary summary;

	ask(0, 1, 3000, 3000);
	ask(0, 1, 2000, 2000);
	reserve(0, 1000, 1, 100000);
	RUN("configuration=NOVM-SR", "predeployed=no", "images=single", "nodes=2", "net_in=10MiB", "net_out=10MiB",
	    "disks=whole", "disk=10GiB", "worth=0", migration);
	ck_assert_int_eq(job(0)->state, LEASE_DONE);
	ck_assert_int_eq(job(1)->state, LEASE_DONE);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.migrations, 1);
	size_t moved = job(0)->suspensions ? 0 : 1, other = 1 - moved;
	span_us left_us = job(moved)->request->real_us - (1000 * SEC - SAVE_US - IMAGE_US);
	ck_assert_int_eq(job(moved)->end_us, job(other)->end_us + later_us + SAVE_US + left_us);
}

START_TEST(a_disk_goes_when_there_is_room)
{
	a_disk_goes_along("migration=yes", 512 * SEC); /* 4 GiB and 1 GiB at 10 MiB/s */
}
END_TEST

START_TEST(a_disk_goes_before)
{
	a_disk_goes_along("migration=aside", 0);
}
END_TEST

/* How many transfers two serial machines on one node take. */
static uint64_t serial_transfers(const char *how)
{
	struct summary summary;

	ask(0, 2, 100, 100);
	RUN("configuration=VM-MULT", "nodes=1", "cpu=2", "memory=2GiB", "reuse=no", "overhead=none", "multicast=no",
	    "serial=yes", how);
	summary_make(world, &summary);
	teardown();
	setup();
	return summary.transfers;
}

START_TEST(serial_images)
{
	ck_assert_uint_eq(serial_transfers("share_serial=no"), 2);
	ck_assert_uint_eq(serial_transfers("share_serial=yes"), 1);
}
END_TEST

START_TEST(least_recently_used_goes)
{
	struct summary summary;

	ask_image(0, "a");
	ask_image(1000, "b");
	ask_image(2000, "a");
	ask_image(3000, "c"); /* b goes */
	ask_image(4000, "a");
	ask_image(5000, "b");
	RUN("configuration=VM-REUSE-UNIFORM", "nodes=1", "overhead=none", "images=trace", "pool=9GiB");
	ran(4, 4000 * SEC, 4010 * SEC);
	ran(5, 5000 * SEC + IMAGE_US, 5010 * SEC + IMAGE_US);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.transfers, 4);
	ck_assert_double_eq_tol(summary.peak_pool_mb, 2 * 4294.967296, 1e-6);
}
END_TEST

START_TEST(larger_than_the_cluster)
{
	struct summary summary;

	ask(0, 3, 100, 100);
	ask(0, LEASE_VMS_MAX + 1, 100, 100);
	reserve(0, 10, 3, 100);
	ask(0, 2, 100, 100);
	RUN("configuration=NOVM-NOSR", "nodes=2");
	ck_assert_int_eq(job(0)->state, LEASE_REJECTED);
	ck_assert_int_eq(job(0)->reason.code, REASON_NEVER_FITS);
	ck_assert_int_eq(job(1)->state, LEASE_REJECTED);
	ck_assert_int_eq(job(2)->state, LEASE_REJECTED);
	ran(3, 0, 100 * SEC);
	summary_make(world, &summary);
	ck_assert_uint_eq(summary.best_effort_rejected, 2);
	ck_assert_uint_eq(summary.ars_rejected, 1);
	ck_assert_uint_eq(summary.unfinished, 0);
}
END_TEST

START_TEST(serial)
{
	ask(0, 3, 100, 100);
	RUN("configuration=NOVM-NOSR", "nodes=2", "serial=yes");
	ran(0, 0, 200 * SEC);
}
END_TEST

/* Everything a run writes, as one text. */
static char *everything(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	summary_leases(world, out);
	metrics_write(world_metrics(world), ORIGIN_US, world_cpu(world), out);
	world_slots(world, out);
	fclose(out);
	return text;
}

static char *mixed_run(const char *seed)
{
	for (int i = 0; i < 200; i++) {
		ask(i * 60, 1 + i * 7 % 5, 300 + i * 31 % 600, 100 + i * 17 % 500);
	}
	for (int i = 0; i < 10; i++) {
		reserve(i * 500, i * 500 + 4000, 3, 600);
	}
	trace_sort(&trace);
	RUN("configuration=VM-REUSE-UNIFORM", "nodes=8", "image_size=200MiB", seed);
	char *text = everything();
	teardown();
	setup();
	return text;
}

START_TEST(twice_the_same)
{
	_cleanup_free_ char *one = mixed_run("seed=1"), *again = mixed_run("seed=1"), *other = mixed_run("seed=2");

	ck_assert_str_eq(one, again);
	ck_assert_str_ne(one, other);
}
END_TEST

/* Two promised images on a node whose pool holds one: while one is laid out, the other's old place must not count. */
START_TEST(both_find_room)
{
	static const struct {
		int64_t submit_s, start_s, deadline_us, duration_s;
		enum lease_kind kind;
		uint32_t vms;
		int64_t cpu, memory_mib, megabytes;
		const char *image;
	} asked[] = {
		{0, 1500, 2469499798, 160, LEASE_DEADLINE, 2, 2000, 1024, 1900, "i5"},
		{0, 1500, -1, 100, LEASE_AR, 8, 1000, 1024, 1300, "i3"},
		{880, -1, -1, 1100, LEASE_BEST_EFFORT, 2, 1000, 1536, 1300, "i3"},
		{910, 1600, -1, 110, LEASE_AR, 1, 1000, 1024, 1600, "i4"},
		{1200, 1800, -1, 2900, LEASE_AR, 4, 1500, 1024, 1600, "i4"},
		{1200, 1800, 2216896521, 20, LEASE_DEADLINE, 4, 1500, 1024, 1000, "i2"},
		{1300, 1900, -1, 740, LEASE_AR, 1, 1000, 1024, 400, "i0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		ask_image(asked[i].submit_s, asked[i].image);
		struct trace_request *request = &trace.item[i];
		request->kind = asked[i].kind;
		request->vms = asked[i].vms;
		request->start_us = asked[i].start_s < 0 ? -1 : asked[i].start_s * SEC;
		request->deadline_us = asked[i].deadline_us;
		request->duration_us = request->real_us = asked[i].duration_s * SEC;
		request->per_vm = (struct capacity){
			.amount = {[RES_CPU] = asked[i].cpu, [RES_MEMORY] = asked[i].memory_mib << 20}};
		request->image_bytes = asked[i].megabytes * 1000000;
		request->serial = i == 2;
	}
	trace.item[2].duration_us = 1044234247;
	RUN("nodes=4 2(cpu:4,memory:2GiB)", "cpu=2", "memory=2G", "disk=1T", "net_in=125000000B", "net_out=125000000B",
	    "pool=2343750K", "suspend_rate=50M", "resume_rate=50M", "repository_rate=289000000B", "lead=1s",
	    "prepare=5s", "stop=2s", "suspend_fixed=1s", "resume_fixed=1s", "min_run=30s", "grace=1m", "late=1s",
	    "stage_ahead=1d", "best_effort_rate=0B", "multicast=no", "staging=edf-jit", "suspension=all", "learn=no",
	    "exclusion=local", "migration=no", "backfill=aggressive", "backfill_depth=1", "queue=fcfs", "share_half=7d",
	    "host=image", "victim=youngest", "admission=all", "price=free", "price_rate=0", "images=trace",
	    "image_count=37", "image_size=4G", "reuse=yes", "predeployed=no", "runtime_overhead=5%", "boot=20s",
	    "overhead=best-effort", "serial=trace", "vm_cpu=1", "vm_memory=1G", "vm_disk=0B");
	ck_assert_int_eq(job(0)->state, LEASE_DONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_world");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, one_after_another);
	tcase_add_test(all, backfills);
	tcase_add_test(all, suspended_for_a_reservation);
	tcase_add_test(all, open_is_called);
	tcase_add_test(all, waits_without_suspension);
	tcase_add_test(all, overhead);
	tcase_add_test(all, whole_quanta);
	tcase_add_test(all, images_come_first);
	tcase_add_test(all, images_are_used_again);
	tcase_add_test(all, images_of_ones_own);
	tcase_add_test(all, images_come_together);
	tcase_add_test(all, images_while_they_are_used);
	tcase_add_test(all, a_disk_goes_when_there_is_room);
	tcase_add_test(all, a_disk_goes_before);
	tcase_add_test(all, serial_images);
	tcase_add_test(all, least_recently_used_goes);
	tcase_add_test(all, larger_than_the_cluster);
	tcase_add_test(all, serial);
	tcase_add_test(all, both_find_room);
	tcase_add_test(all, twice_the_same);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
