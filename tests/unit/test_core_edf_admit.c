/* Admission of (slice, period) demands against every possible placement, and what is offered instead. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "edf_admit.h"
#include "seed.h"
#include "suite.h"

#define MOST 7 /* demands of a random set */
#define WIDE 4 /* threads of one */

static struct edf_node node;
static struct edf_demand demands[MOST];
static int32_t cpus[MOST][WIDE];

static void setup(void)
{
	node = (struct edf_node){.cpus = 2, .limit_ppm = 900000, .wake_ns = 20000, .period_min_us = 1000};
}

static struct edf_demand demand(uint64_t id, uint32_t threads, int64_t slice_us, int64_t period_us)
{
	return (struct edf_demand){.id = id, .threads = threads, .slice_us = slice_us, .period_us = period_us};
}

static enum edf_verdict alone(uint32_t threads, int64_t slice_us, int64_t period_us)
{
	struct edf_demand d = demand(1, threads, slice_us, period_us);

	ck_assert_int_eq(edf_check(&node, &d), edf_pack(&node, &d, 1, NULL));
	return edf_check(&node, &d);
}

START_TEST(reasons)
{
	ck_assert_int_eq(alone(1, 0, 10000), EDF_ZERO);
	ck_assert_int_eq(alone(1, -5, 10000), EDF_ZERO);
	ck_assert_int_eq(alone(1, 5, 0), EDF_ZERO);
	ck_assert_int_eq(alone(1, 5, -10000), EDF_ZERO);
	ck_assert_int_eq(alone(0, 5000, 10000), EDF_ZERO);
	ck_assert_int_eq(alone(1, 10001, 10000), EDF_SLICE_LONG);
	ck_assert_int_eq(alone(1, INT64_MAX, 10000), EDF_SLICE_LONG);
	ck_assert_int_eq(alone(1, 500, 999), EDF_PERIOD_SHORT);
	ck_assert_int_eq(alone(1, 500, 1000), EDF_FITS);
	ck_assert_int_eq(alone(1, 500, EDF_PERIOD_MAX_US), EDF_FITS);
	ck_assert_int_eq(alone(1, 500, EDF_PERIOD_MAX_US + 1), EDF_PERIOD_LONG);
	ck_assert_int_eq(alone(1, INT64_MAX, INT64_MAX), EDF_PERIOD_LONG);
	ck_assert_int_eq(alone(1, 39, 10000), EDF_SLICE_SHORT);
	ck_assert_int_eq(alone(1, 40, 10000), EDF_FITS);
	ck_assert_int_eq(alone(3, 1000, 10000), EDF_MORE_THREADS);
	ck_assert_int_eq(alone(2, 1000, 10000), EDF_FITS);
	ck_assert_int_eq(alone(1, 10000, 10000), EDF_BEYOND_CPU);
	node.cpus = 0;
	ck_assert_int_eq(alone(1, 1000, 10000), EDF_MORE_THREADS);
}
END_TEST

/* Below two wake-ups' time, in steps of 10 us; what is offered instead is not below it either. */
START_TEST(least_slice)
{
	struct edf_demand d = demand(1, 1, 5, 1000);
	struct edf_offer offer = edf_offer(&node, NULL, 0, &d);

	ck_assert_int_eq(offer.slice_us, 860);
	ck_assert_int_eq(offer.period_slice_us, 40);
	ck_assert_int_eq(offer.period_us, 8000);
	node.wake_ns = 8900;
	ck_assert_int_eq(edf_slice_min_us(&node), 20);
	node.wake_ns = 0;
	ck_assert_int_eq(edf_slice_min_us(&node), 0);
	ck_assert_int_eq(alone(1, 1, 10000), EDF_FITS);
}
END_TEST

START_TEST(costs_count)
{
	/* Two wake-ups of 20 us in 10 ms are 0.4 %. */
	ck_assert_uint_eq(edf_density_ppm(&node, 5000, 10000), 504000);
	ck_assert_int_eq(alone(1, 8960, 10000), EDF_FITS);
	ck_assert_int_eq(alone(1, 8961, 10000), EDF_BEYOND_CPU);
	ck_assert_int_eq(alone(1, 860, 1000), EDF_FITS);
	ck_assert_int_eq(alone(1, 861, 1000), EDF_BEYOND_CPU);
	/* A third is rounded up: three of them are never less than one. */
	node.wake_ns = 0;
	ck_assert_uint_eq(edf_density_ppm(&node, 10000, 30000), 333334);
	ck_assert_uint_eq(edf_density_ppm(&node, 1, EDF_PERIOD_MAX_US), 1);
}
END_TEST

START_TEST(the_one_without_room_is_named)
{
	size_t culprit = 99;

	demands[0] = demand(1, 2, 40000, 100000);
	demands[1] = demand(2, 1, 60000, 100000);
	demands[2] = demand(3, 1, 30000, 100000);
	demands[0].cpu = cpus[0];
	cpus[0][0] = cpus[0][1] = -1;
	ck_assert_int_eq(edf_pack(&node, demands, 3, &culprit), EDF_NO_ROOM);
	ck_assert_uint_eq(culprit, 0);
	ck_assert_int_eq(cpus[0][0], -1);
	ck_assert_int_eq(edf_pack(&node, demands + 1, 2, &culprit), EDF_FITS);
	demands[1].slice_us = 0;
	ck_assert_int_eq(edf_pack(&node, demands, 3, &culprit), EDF_ZERO);
	ck_assert_uint_eq(culprit, 1);
}
END_TEST

START_TEST(who_has_a_cpu_stays)
{
	/* First-fit alone would put the larger one on CPU 0. */
	demands[0] = demand(1, 1, 30000, 100000);
	demands[1] = demand(2, 1, 50000, 100000);
	demands[2] = demand(3, 1, 60000, 100000);
	for (int i = 0; i < 3; i++) {
		demands[i].cpu = cpus[i];
		cpus[i][0] = -1;
	}
	cpus[0][0] = 0;
	cpus[1][0] = 1;
	ck_assert_int_eq(edf_pack(&node, demands, 2, NULL), EDF_FITS);
	ck_assert_int_eq(cpus[0][0], 0);
	ck_assert_int_eq(cpus[1][0], 1);
	/* All of them only if they move. */
	demands[0].slice_us = 25000;
	cpus[2][0] = -1;
	ck_assert_int_eq(edf_pack(&node, demands, 3, NULL), EDF_FITS);
	ck_assert_int_eq(cpus[1][0] != cpus[2][0], 1);
	/* Two threads of one guest are never left on one CPU, nor any on one that does not exist. */
	demands[0] = demand(1, 2, 10000, 100000);
	demands[0].cpu = cpus[0];
	cpus[0][0] = cpus[0][1] = 1;
	ck_assert_int_eq(edf_pack(&node, demands, 1, NULL), EDF_FITS);
	ck_assert_int_ne(cpus[0][0], cpus[0][1]);
	cpus[0][0] = 7;
	ck_assert_int_eq(edf_pack(&node, demands, 1, NULL), EDF_FITS);
	ck_assert_int_lt(cpus[0][0], 2);
}
END_TEST

/* ---- random ---- */

static size_t random_set(void)
{
	size_t n = 1 + (size_t)pick(MOST);

	node.cpus = 1 + (uint32_t)pick(3);
	for (size_t i = 0; i < n; i++) {
		uint32_t wide = node.cpus < WIDE ? node.cpus : WIDE;
		int64_t period = 1000 + pick(200000);

		demands[i] = demand(1 + (uint64_t)i, 1 + (uint32_t)pick(wide), 0, period);
		demands[i].slice_us = 1 + pick(period * (10 + pick(70)) / 100);
		demands[i].cpu = cpus[i];
		for (uint32_t t = 0; t < WIDE; t++) {
			cpus[i][t] = pick(2) ? -1 : (int32_t)pick(node.cpus);
		}
	}
	return n;
}

/* Every way to give the threads of demand i and of those behind it CPUs of their own. */
static bool possible(size_t n, size_t i, uint32_t thread, int32_t above, uint64_t used[])
{
	if (i < n && thread == demands[i].threads) {
		return possible(n, i + 1, 0, -1, used);
	}
	if (i == n) {
		return true;
	}
	uint32_t ppm = edf_density_ppm(&node, demands[i].slice_us, demands[i].period_us);

	for (int32_t cpu = above + 1; cpu < (int32_t)node.cpus; cpu++) {
		if (used[cpu] + ppm <= node.limit_ppm) {
			used[cpu] += ppm;
			bool done = possible(n, i, thread + 1, cpu, used);
			used[cpu] -= ppm;
			if (done) {
				return true;
			}
		}
	}
	return false;
}

/* Nothing beyond the limit, no two threads of a guest on one CPU: worked out from the answer alone. */
static void check_places(size_t n)
{
	double used[8] = {0};

	for (size_t i = 0; i < n; i++) {
		for (uint32_t t = 0; t < demands[i].threads; t++) {
			ck_assert(cpus[i][t] >= 0 && cpus[i][t] < (int32_t)node.cpus);
			for (uint32_t other = 0; other < t; other++) {
				ck_assert_int_ne(cpus[i][t], cpus[i][other]);
			}
			used[cpus[i][t]] += ((double)demands[i].slice_us + 2 * (double)node.wake_ns / 1000) /
					    (double)demands[i].period_us;
		}
	}
	for (uint32_t cpu = 0; cpu < node.cpus; cpu++) {
		ck_assert_double_le(used[cpu], (double)node.limit_ppm / 1000000);
	}
}

START_TEST(against_every_placement)
{
	int fit = 0, could = 0;

	take_seed();
	for (int round = 0; round < 20000; round++) {
		size_t n = random_set(), culprit = 99;
		uint64_t used[8] = {0};
		bool alone_too_much = false;

		for (size_t i = 0; i < n; i++) {
			alone_too_much |= edf_check(&node, &demands[i]) != EDF_FITS;
		}
		bool can = !alone_too_much && possible(n, 0, 0, -1, used);
		enum edf_verdict verdict = edf_pack(&node, demands, n, &culprit);

		could += can;
		fit += verdict == EDF_FITS;
		if (verdict == EDF_FITS) {
			ck_assert(can);
			check_places(n);
		} else {
			ck_assert_uint_lt(culprit, n);
			ck_assert(!can);
		}
	}
	ck_assert_int_gt(could, 2000);
	ck_assert_int_eq(fit, could);
}
END_TEST

/* A node to which guests come and from which they go, and a head that knows only who is there. */
START_TEST(head_and_node_agree)
{
	enum { GUESTS = 40, CPUS = 8 };
	static struct edf_demand held[GUESTS], seen[GUESTS];
	static int32_t places[GUESTS][CPUS];
	int refused = 0, moved = 0;

	take_seed();
	for (int round = 0; round < 300; round++) {
		size_t n = 0;

		node.cpus = 2 + (uint32_t)pick(CPUS - 1);
		for (int step = 0; step < 60; step++) {
			if (n > 0 && (n == GUESTS || pick(5) < 2)) {
				size_t gone = (size_t)pick((int64_t)n);

				held[gone] = held[--n];
				memcpy(places[gone], places[n], sizeof(places[n]));
				held[gone].cpu = places[gone];
			} else {
				int64_t period = 5000 + pick(200000);

				held[n] = demand(1000 * (uint64_t)round + (uint64_t)step, 1 + (uint32_t)pick(2),
						 period * (5 + pick(60)) / 100, period);
				held[n].cpu = places[n];
				memset(places[n], -1, sizeof(places[n]));
				n++;
			}
			memcpy(seen, held, sizeof(seen));
			for (size_t i = 0; i < n; i++) {
				seen[i].cpu = NULL;
			}
			enum edf_verdict head = edf_pack(&node, seen, n, NULL);
			int32_t before = n ? places[0][0] : 0;

			ck_assert_int_eq(edf_pack(&node, held, n, NULL), head);
			moved += n && before >= 0 && places[0][0] != before;
			if (head != EDF_FITS) {
				refused++;
				n--;
			}
		}
	}
	ck_assert_int_gt(refused, 1000);
	ck_assert_int_gt(moved, 10);
}
END_TEST

START_TEST(sequence_does_not_matter)
{
	take_seed();
	for (int round = 0; round < 5000; round++) {
		struct edf_demand then[MOST];
		int32_t where[MOST][WIDE];
		size_t n = random_set();

		memset(cpus, -1, sizeof(cpus));
		enum edf_verdict verdict = edf_pack(&node, demands, n, NULL);
		memcpy(then, demands, sizeof(then));
		memcpy(where, cpus, sizeof(where));
		memset(cpus, -1, sizeof(cpus));
		for (size_t i = n; i-- > 1;) {
			size_t j = (size_t)pick((int64_t)i + 1);
			struct edf_demand swap = demands[i];
			demands[i] = demands[j];
			demands[j] = swap;
		}
		ck_assert_int_eq(edf_pack(&node, demands, n, NULL), verdict);
		ck_assert_int_eq(memcmp(where, cpus, sizeof(where)), 0);
		/* Asked again with the answer, nobody moves. */
		ck_assert_int_eq(edf_pack(&node, demands, n, NULL), verdict);
		ck_assert_int_eq(memcmp(where, cpus, sizeof(where)), 0);
	}
}
END_TEST

static enum edf_verdict with(size_t n, int64_t slice_us, int64_t period_us)
{
	demands[n].slice_us = slice_us;
	demands[n].period_us = period_us;
	return edf_pack(&node, demands, n + 1, NULL);
}

START_TEST(offers_fit_and_no_more_does)
{
	int slices = 0, periods = 0, none = 0;

	take_seed();
	for (int round = 0; round < 20000; round++) {
		size_t n = random_set() - 1;
		int32_t before[MOST][WIDE];
		struct edf_demand wanted = demands[n];

		for (size_t i = 0; i <= n; i++) {
			demands[i].cpu = NULL;
		}
		if (edf_pack(&node, demands, n, NULL) != EDF_FITS ||
		    edf_pack(&node, demands, n + 1, NULL) == EDF_FITS) {
			continue;
		}
		memcpy(before, cpus, sizeof(before));
		struct edf_offer offer = edf_offer(&node, demands, n, &wanted);
		ck_assert_int_eq(memcmp(before, cpus, sizeof(before)), 0);
		if (offer.slice_us > 0) {
			slices++;
			ck_assert_int_eq(with(n, offer.slice_us, wanted.period_us), EDF_FITS);
			ck_assert_int_ne(with(n, offer.slice_us + 1, wanted.period_us), EDF_FITS);
		} else {
			none++;
			ck_assert_int_ne(with(n, 1, wanted.period_us), EDF_FITS);
		}
		if (offer.period_us > 0) {
			int64_t less = offer.period_us - 1;
			int64_t rate_ppm = offer.period_slice_us * 1000000 / offer.period_us;

			periods++;
			ck_assert_int_le(llabs(rate_ppm - wanted.slice_us * 1000000 / wanted.period_us), 1000);
			ck_assert_int_eq(with(n, offer.period_slice_us, offer.period_us), EDF_FITS);
			ck_assert_int_ne(with(n, less * wanted.slice_us / wanted.period_us, less), EDF_FITS);
		}
	}
	ck_assert_int_gt(slices, 500);
	ck_assert_int_gt(periods, 5);
	ck_assert_int_gt(none, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_edf_admit");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, NULL);
	tcase_add_test(all, reasons);
	tcase_add_test(all, least_slice);
	tcase_add_test(all, costs_count);
	tcase_add_test(all, the_one_without_room_is_named);
	tcase_add_test(all, who_has_a_cpu_stays);
	tcase_add_test(all, against_every_placement);
	tcase_add_test(all, head_and_node_agree);
	tcase_add_test(all, sequence_does_not_matter);
	tcase_add_test(all, offers_fit_and_no_more_does);
	suite_add_tcase(suite, all);
	return run_suite(suite);
}
