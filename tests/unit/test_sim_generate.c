/* Made-up workloads: the same from the same seed, with the properties they are made for. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "draw.h"
#include "generate.h"
#include "suite.h"
#include "util.h"

#define SEEDS 5

static struct trace trace;
static struct generate how;
static struct err err;

static void setup(void)
{
	memset(&trace, 0, sizeof(trace));
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	trace_fini(&trace);
}

static int try(const char *kind, const char *const *sets, size_t n)
{
	const struct generate_kind *found = generate_find(kind);

	ck_assert_ptr_nonnull(found);
	return generate_settings(found, sets, n, &how, &err) || generate_make(found, &how, &trace, &err) ? -1 : 0;
}

/* sets: up to four, NULL ends them. */
static void make(const char *kind, int seed, const char *a, const char *b, const char *c)
{
	_cleanup_free_ char *seed_set = xasprintf("seed=%d", seed);
	const char *sets[] = {seed_set, a, b, c};
	size_t n = 1;

	while (n < 4 && sets[n]) {
		n++;
	}
	trace_fini(&trace);
	ck_assert_msg(try(kind, sets, n) == 0, "%s seed %d: %s", kind, seed, err.text);
	ck_assert_uint_gt(trace.count, 0);
	for (size_t i = 0; i < trace.count; i++) {
		ck_assert_msg(trace_check(&trace.item[i], &err) == 0, "%s seed %d: %s", kind, seed, err.text);
		ck_assert(trace.item[i].submit_us >= 0 && trace.item[i].submit_us < how.length);
		ck_assert(i == 0 || trace.item[i].submit_us >= trace.item[i - 1].submit_us);
	}
}

static char *text_of(void)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	trace_write(&trace, out);
	fclose(out);
	return text;
}

/* Sum of VMs x real time of one kind of lease, in VM seconds. */
static double work_of(enum lease_kind kind)
{
	double work = 0;

	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *r = &trace.item[i];

		work += r->kind == kind ? (double)r->vms * (double)r->real_us / USEC_PER_SEC : 0;
	}
	return work;
}

/* At every start of a reservation, those that run then fit. */
static void check_slots(void)
{
	for (size_t i = 0; i < trace.count; i++) {
		int64_t vms = 0;

		for (size_t j = 0; trace.item[i].kind == LEASE_AR && j < trace.count; j++) {
			const struct trace_request *r = &trace.item[j];

			if (r->kind == LEASE_AR && r->start_us <= trace.item[i].start_us &&
			    trace.item[i].start_us < r->start_us + r->duration_us) {
				vms += r->vms;
			}
		}
		ck_assert_int_le(vms, how.slots);
	}
}

START_TEST(same_seed_same_bytes)
{
	const char *kind = generate_kinds[_i].name;
	const char *length = strcmp(kind, "batch") == 0 ? "length=1d" : NULL;
	_cleanup_free_ char *one = NULL, *two = NULL, *other = NULL;
	struct trace again = {0};

	make(kind, 7, length, NULL, NULL);
	one = text_of();
	make(kind, 7, length, NULL, NULL);
	two = text_of();
	ck_assert_str_eq(one, two);
	/* What is written is a trace that says the same. */
	ck_assert_int_eq(trace_parse("t", one, strlen(one), &again, stderr, &err), 0);
	ck_assert_uint_eq(again.count, trace.count);
	trace_fini(&again);
	make(kind, 8, length, NULL, NULL);
	other = text_of();
	ck_assert_str_ne(one, other);
}
END_TEST

/* The paper's table 8.1. */
START_TEST(accuracy)
{
	int64_t vms = 0;

	make("accuracy", _i, NULL, NULL, NULL);
	ck_assert_uint_eq(trace.count, 36);
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *r = &trace.item[i];

		vms += r->vms;
		ck_assert(r->kind == LEASE_AR && r->vms >= 2 && r->vms <= 4);
		ck_assert_int_eq(r->duration_us, 30 * USEC_PER_MINUTE);
		ck_assert_int_eq(r->submit_us, 0);
		ck_assert_int_lt(r->start_us, 2 * USEC_PER_HOUR);
		ck_assert_int_eq(r->image_bytes, 600000000);
	}
	ck_assert_int_eq(vms, 110);
	check_slots();
}
END_TEST

static int by_start(const void *a, const void *b)
{
	const struct trace_request *x = a, *y = b;

	return x->start_us < y->start_us ? -1 : x->start_us > y->start_us;
}

START_TEST(accuracy_windows)
{
	int64_t vms = 0;

	make("accuracy-windows", _i, NULL, NULL, NULL);
	ck_assert_uint_eq(trace.count, 35);
	qsort(trace.item, trace.count, sizeof(*trace.item), by_start);
	for (size_t i = 0; i < trace.count; i++) {
		vms += trace.item[i].vms;
		ck_assert_int_lt(trace.item[i].start_us % (900 * USEC_PER_SEC), 100 * USEC_PER_SEC);
		/* One after another by start, each image for 48 s on the link. */
		ck_assert_int_le(vms * 48 * USEC_PER_SEC, trace.item[i].start_us);
	}
	ck_assert_int_eq(vms, 106);
}
END_TEST

START_TEST(disk)
{
	make("disk", _i, NULL, NULL, NULL);
	ck_assert_uint_eq(trace.count, 94);
	check_slots();
}
END_TEST

START_TEST(mixed)
{
	double reserved, best_effort, all = 4 * 3600 * 16;
	wall_us last = -1;

	make("mixed", _i, "length=4h", "ar-share=25", "ar-vms-min=1");
	reserved = work_of(LEASE_AR);
	best_effort = work_of(LEASE_BEST_EFFORT);
	/* No share is further off than by half of one request. */
	ck_assert_double_le(fabs(reserved / all - 0.25), 0.03);
	ck_assert_double_le(fabs(best_effort / all - 0.75), 0.10);
	check_slots();
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *r = &trace.item[i];

		if (r->kind == LEASE_AR) {
			ck_assert_int_eq(r->submit_us, 0);
			continue;
		}
		ck_assert(r->serial && r->submit_us > last);
		last = r->submit_us;
	}
}
END_TEST

/* 75 % of wide reservations have no place: the share stays, the load does not. */
START_TEST(mixed_wide)
{
	const char *const sets[] = {"ar-share=75", "ar-vms-min=9", "ar-vms-max=12", "duration=5m"};
	double reserved, best_effort;

	ck_assert_int_eq(try("mixed", sets, 4), 0);
	reserved = work_of(LEASE_AR);
	best_effort = work_of(LEASE_BEST_EFFORT);
	ck_assert_double_lt(reserved + best_effort, 0.9 * 10 * 3600 * 16);
	ck_assert_double_le(fabs(reserved / (reserved + best_effort) - 0.75), 0.03);
	check_slots();
}
END_TEST

/* Without looking at what can be kept, all of the share is asked for: more than the slots hold at some time. */
START_TEST(mixed_spaced)
{
	double asked = 0;
	wall_us before_us = 0, apart_us = 0;

	make("mixed", 1, "ar-vms-min=13", "ar-vms-max=16", "ar-share=75");
	size_t kept = trace.count, n = 0;
	const char *sets[] = {"ar-vms-min=13", "ar-vms-max=16", "ar-share=75", "spaced=yes"};
	trace_fini(&trace);
	ck_assert_int_eq(try("mixed", sets, ARRAY_SIZE(sets)), 0);
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *one = &trace.item[i];
		if (one->kind != LEASE_AR) {
			continue;
		}
		asked += (double)one->duration_us * one->vms;
		apart_us = one->start_us - before_us > apart_us ? one->start_us - before_us : apart_us;
		ck_assert(one->start_us >= before_us && one->start_us < how.length);
		before_us = one->start_us;
		n++;
	}
	asked /= (double)how.length * (double)how.slots;
	ck_assert_msg(asked > 0.72 && asked <= 0.75, "%f", asked);
	ck_assert_uint_gt(trace.count, kept);
	/* The mean may differ a little from what is filled. */
	ck_assert_int_lt(apart_us, 5 * how.length / (2 * (wall_us)n));
}
END_TEST

START_TEST(images)
{
	int64_t popular = 0, rare = 0, n;

	make("mixed", 3, "images=37", "popular=7", "length=100h");
	for (size_t i = 0; i < trace.count; i++) {
		ck_assert_int_eq(sscanf(trace.item[i].image, "image-%jd", &n), 1);
		ck_assert(n >= 1 && n <= 37);
		popular += n <= 7;
		rare += n > 7;
	}
	ck_assert_double_le(fabs((double)popular / (double)(popular + rare) - 0.7), 0.06);
}
END_TEST

/* As the archived blue-30days-ar-rho20-3h-medium: 192 of 25 to 48 nodes, 2.5 to 3.5 h, 10122 s to 17215 s apart. */
START_TEST(injected)
{
	double share;

	make("injected", _i, "load=20", NULL, NULL);
	share = work_of(LEASE_AR) / (144 * 30 * 86400.0);
	ck_assert_double_le(fabs(share - 0.20), 0.012);
	ck_assert(trace.count >= 180 && trace.count <= 202);
	qsort(trace.item, trace.count, sizeof(*trace.item), by_start);
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *r = &trace.item[i];

		ck_assert(r->vms >= 25 && r->vms <= 48);
		ck_assert(r->duration_us >= 9000 * USEC_PER_SEC && r->duration_us <= 12600 * USEC_PER_SEC);
		ck_assert(r->submit_us == 0 || r->start_us - r->submit_us == USEC_PER_DAY);
		if (i) {
			span_us apart = r->start_us - trace.item[i - 1].start_us;

			ck_assert(apart >= 10000 * USEC_PER_SEC && apart <= 17300 * USEC_PER_SEC);
		}
	}
}
END_TEST

START_TEST(batch)
{
	size_t single = 0, powers = 0, short_ones = 0;
	double load;

	make("batch", _i, NULL, NULL, NULL);
	load = work_of(LEASE_BEST_EFFORT) / (144 * 30 * 86400.0);
	ck_assert_double_le(fabs(load - 0.70), 0.02);
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *r = &trace.item[i];

		ck_assert(!r->serial && r->vms <= 144 && r->user >= 1 && r->user <= 100);
		ck_assert_int_ge(r->duration_us, r->real_us);
		single += r->vms == 1;
		powers += (r->vms & (r->vms - 1)) == 0;
		short_ones += r->real_us < 300 * USEC_PER_SEC;
	}
	ck_assert(single * 5 > trace.count && powers * 10 > 9 * trace.count);
	ck_assert(short_ones * 10 > 4 * trace.count && short_ones * 10 < 6 * trace.count);
}
END_TEST

START_TEST(refused)
{
	static const struct {
		const char *kind, *set, *what;
	} bad[] = {
		{"mixed", "colour=red", "colour: no such setting"},
		{"mixed", "seed", "seed: no such setting"},
		{"mixed", "seed=x", "seed"},
		{"mixed", "load=0", "load"},
		{"mixed", "length=3", "length"},
		{"mixed", "vms-max=17", "more VMs than there are slots"},
		{"accuracy", "ar-vms-min=20", "must not be above"},
		{"mixed", "popular=7", "popular must not be above images"},
		{"accuracy", "total-vms=500", "cannot have 500 VMs"},
		{"accuracy", "requests=0", "cannot have"},
		{"accuracy", "slots=20", "no 36 such reservations"},
		{"accuracy", "rate=1MB", "no 36 such reservations"},
		{"injected", "ar-duration=1s", "more than one reservation a minute"},
	};

	ck_assert_int_eq(try(bad[_i].kind, &bad[_i].set, 1), -1);
	ck_assert_msg(strstr(err.text, bad[_i].what) != NULL, "%s", err.text);
	ck_assert_uint_eq(trace.count, 0);
}
END_TEST

START_TEST(drawing)
{
	struct draw draw = {1};
	int seen[3] = {0};
	double sum = 0, squares = 0;

	for (int i = 0; i < 30000; i++) {
		double x = draw_normal(&draw), u = draw_unit(&draw);

		ck_assert(u >= 0 && u < 1);
		seen[draw_between(&draw, -1, 1) + 1]++;
		sum += x;
		squares += x * x;
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_ge(seen[i], 9700);
	}
	ck_assert_double_le(fabs(sum / 30000), 0.02);
	ck_assert_double_le(fabs(squares / 30000 - 1), 0.03);
	ck_assert_int_eq(draw_between(&draw, 5, 5), 5);
	(void)draw_between(&draw, INT64_MIN, INT64_MAX);
	/* The first number from state 0, as its authors publish it. */
	ck_assert_uint_eq(draw_bits(&(struct draw){0}), UINT64_C(0xe220a8397b1dcdaf));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_generate");
	TCase *tcase = tcase_create("sim_generate");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, same_seed_same_bytes, 0, (int)generate_kind_count);
	tcase_add_loop_test(tcase, accuracy, 0, SEEDS);
	tcase_add_loop_test(tcase, accuracy_windows, 0, SEEDS);
	tcase_add_loop_test(tcase, disk, 0, SEEDS);
	tcase_add_loop_test(tcase, mixed, 0, SEEDS);
	tcase_add_test(tcase, mixed_wide);
	tcase_add_test(tcase, mixed_spaced);
	tcase_add_test(tcase, images);
	tcase_add_loop_test(tcase, injected, 0, SEEDS);
	tcase_add_loop_test(tcase, batch, 0, SEEDS);
	tcase_add_loop_test(tcase, refused, 0, 13);
	tcase_add_test(tcase, drawing);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
