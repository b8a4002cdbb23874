/* What experiments share: means and their intervals, tables of results, published figures. */
#include <check.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "agreement.h"
#include "experiment.h"
#include "folder.h"
#include "parallel.h"
#include "published.h"
#include "suite.h"
#include "util.h"

#define ck_close(a, b, by) ck_assert_msg(fabs((a) - (b)) <= (by), "%s is %f, not %f", #a, (double)(a), (double)(b))

static struct sample sample_of(const double *value, size_t n)
{
	struct sample sample = {0};

	for (size_t i = 0; i < n; i++) {
		sample_add(&sample, value[i]);
	}
	return sample;
}

START_TEST(test_mean)
{
	const double value[] = {2, 4, 4, 4, 5, 5, 7, 9};
	struct sample sample = sample_of(value, ARRAY_SIZE(value));

	ck_assert_uint_eq(sample.n, 8);
	ck_close(sample.mean, 5, 1e-12);
	ck_close(sample_deviation(&sample), sqrt(32.0 / 7), 1e-12);
	ck_close(sample.least, 2, 0);
	ck_close(sample.most, 9, 0);
	/* t = 2.3646 with 7 degrees of freedom. */
	ck_close(sample_half_width(&sample), 2.3646 * sqrt(32.0 / 7) / sqrt(8), 1e-3);
}
END_TEST

/* The usual tables: 2.2010 for 11 degrees of freedom, 2.0860 for 20, 1.9840 for 100. */
START_TEST(test_many)
{
	const struct {
		size_t n;
		double t;
	} known[] = {{2, 12.7062}, {11, 2.2281}, {12, 2.2010}, {21, 2.0860}, {101, 1.9840}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct sample sample = {0};
		for (size_t k = 0; k < known[i].n; k++) {
			sample_add(&sample, k % 2);
		}
		ck_close(sample_half_width(&sample) / sample_deviation(&sample) * sqrt((double)known[i].n), known[i].t,
			 1e-3);
	}
}
END_TEST

START_TEST(test_one)
{
	const double value[] = {-3};
	struct sample sample = sample_of(value, 1), none = {0};

	ck_close(sample.most, -3, 0);
	ck_assert(isnan(sample_deviation(&sample)));
	ck_assert(isnan(sample_half_width(&sample)));
	ck_assert(isnan(sample_half_width(&none)));
}
END_TEST

START_TEST(test_table)
{
	const char *const keys[] = {"duration", "size", NULL}, *const key[] = {"long", "1-4"};
	const double value[] = {9, 10, 11}, single[] = {0.9999};
	struct sample sample = sample_of(value, 3), once = sample_of(single, 1), none = {0};
	struct results results;
	struct err err;

	ck_assert_int_eq(results_open(&results, keys, (const char *[]){NULL}, &err), 0);
	results_add(&results, key, "time_s", 12.5, &sample);
	results_add(&results, key, "wait_s", NAN, &none);
	results_add(&results, key, "load", 1, &once);
	ck_assert_uint_eq(results.rows, 3);
	fflush(results.sheet.out);
	ck_assert_str_eq(results.sheet.text, "duration,size,metric,published,measured,low95,high95,difference\n"
					     "long,1-4,time_s,12.500,10.000,7.516,12.484,-2.500\n"
					     "long,1-4,wait_s,,,,,\n"
					     "long,1-4,load,1.000,1.000,,,0.000\n");
	sheet_drop(&results.sheet);
	sheet_drop(&results.sheet);
}
END_TEST

START_TEST(test_table_extras)
{
	const char *const keys[] = {"rho", NULL}, *const extras[] = {"haizea", "within", NULL}, *const key[] = {"10"};
	const double value[] = {4}, single[] = {1};
	struct sample sample = sample_of(value, 1), once = sample_of(single, 1);
	struct results results;
	struct err err;

	ck_assert_int_eq(results_open(&results, keys, extras, &err), 0);
	results_add_more(&results, key, "time", 5, &sample, (const char *[]){"4.5", "yes"});
	results_add(&results, key, "load", NAN, &once);
	fflush(results.sheet.out);
	ck_assert_str_eq(results.sheet.text, "rho,metric,published,measured,low95,high95,difference,haizea,within\n"
					     "10,time,5.000,4.000,,,-1.000,4.5,yes\n"
					     "10,load,,1.000,,,,,\n");
	sheet_drop(&results.sheet);
}
END_TEST

/* What a piece of work leaves behind, and a sign of it that only its own process should see. */
struct left {
	uint64_t square;
	uint32_t before;
};
static uint32_t works;

static int square(void *arg, size_t item, void *result, struct err *err)
{
	const size_t *bad = arg;
	struct left *left = result;

	left->before = works++;
	left->square = item * item;
	if (item == bad[1]) {
		abort();
	}
	return item == bad[0] ? err_set(err, ERR_PARAMS, "%zu is bad", item) : 0;
}

static int squares(size_t bad, size_t fatal, int64_t processes, struct left *left, struct err *err)
{
	size_t bads[] = {bad, fatal};
	struct parallel parallel = {
		.items = 20, .processes = processes, .work = square, .arg = bads, .result_size = sizeof(*left)};
	struct parallel_used used[20];
	int got = parallel_run(&parallel, left, used, err);

	ck_assert(got < 0 || (used[19].peak_rss_kb > 100 && used[19].user_s >= 0 && used[19].user_s < 60));
	return got;
}

START_TEST(test_parallel)
{
	for (int64_t processes = 1; processes <= 4; processes++) {
		struct left left[20];
		struct err err;
		ck_assert_int_eq(squares(20, 20, processes, left, &err), 0);
		for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
			ck_assert_uint_eq(left[i].square, i * i);
			ck_assert_uint_eq(left[i].before, 0);
		}
	}
	ck_assert_uint_eq(works, 0);
}
END_TEST

START_TEST(test_parallel_fails)
{
	struct left left[20] = {{.square = 77}};
	struct err err = {0};

	ck_assert_int_eq(squares(7, 20, 3, left, &err), -1);
	ck_assert_str_eq(err.text, "7 is bad");
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_int_eq(squares(20, 5, 3, left, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "signal 6"));
	ck_assert_uint_eq(left[0].square, 77);
}
END_TEST

/* An item leaves its number; those from `wait` on wait for the signal that ends all. */
static int number(void *arg, size_t item, void *result, struct err *err)
{
	const size_t *wait = arg;

	(void)err;
	while (item >= *wait) {
		pause();
	}
	*(uint64_t *)result = item + 1;
	return 0;
}

static void end_soon(void *arg, size_t item, bool kept)
{
	static size_t over;
	const size_t *wait = arg;

	(void)item;
	(void)kept;
	if (++over == *wait) {
		kill(getpid(), SIGTERM);
	}
}

static int numbers(const char *dir, const char *inputs, size_t wait, size_t *kept, uint64_t left[10], struct err *err)
{
	struct parallel parallel = {.items = 10,
				    .processes = 2,
				    .work = number,
				    .done = end_soon,
				    .arg = &wait,
				    .result_size = sizeof(left[0])};

	struct kept *other;

	ck_assert_int_eq(kept_open(&parallel.kept, dir, inputs, err), 0);
	ck_assert_int_eq(kept_open(&other, dir, inputs, err), -1);
	ck_assert_int_eq(err->code, ERR_CONFLICT);
	*kept = kept_count(parallel.kept);
	int got = parallel_run(&parallel, left, NULL, err);
	kept_close(parallel.kept, got == 0);
	return got;
}

/* As it was left, with the last not whole, with other inputs. */
START_TEST(test_goes_on)
{
	char dir[] = "/tmp/tenure-test-kept-XXXXXX";
	uint64_t left[10] = {0};
	size_t kept;
	struct err err = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	_cleanup_free_ char *path = xasprintf("%s/" KEPT_FILE, dir);
	if (fork() == 0) {
		int got = numbers(dir, "a", 4, &kept, left, &err);
		_exit(got < 0 && parallel_interrupted() == SIGTERM && strcmp(err.text, "interrupted") == 0 ? 0 : 1);
	}
	int status;
	wait(&status);
	ck_assert_int_eq(status, 0);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	if (_i == 1) {
		/* As when it was ended while it wrote. */
		ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
	}
	ck_assert_int_eq(numbers(dir, _i == 2 ? "b" : "a", 11, &kept, left, &err), 0);
	ck_assert_uint_eq(kept, _i == 2 ? 0 : 4 - (size_t)_i);
	for (size_t i = 0; i < 10; i++) {
		ck_assert_uint_eq(left[i], i + 1);
	}
	ck_assert_int_lt(access(path, F_OK), 0);
	folder_remove(dir);
}
END_TEST

static double cell(const char *table, const char *a, const char *b, const char *c, const char *column)
{
	return published_value(table, (const char *[]){a, b, c}, 3, column);
}

START_TEST(test_published)
{
	ck_close(cell("msc-slides-36", "long", "000-025", "25-75", "effect_on_performance_pct"), -8.88, 0);
	ck_close(cell("msc-slides-36", "short", "075-100", "75-25", "effect_on_performance_pct"), -31.58, 0);
	ck_close(cell("msc-table-8.7", "short", "075-100", "75-25", "vm_reuse_s"), 44940, 0);
	ck_close(cell("hpdc08-table1", "avg_wait_ks", "VM-MULT", "15.69", "rho30_3H_medium"), 78.83, 0);
	ck_assert(isnan(cell("msc-slides-36", "long", "000-025", "25-7", "effect_on_performance_pct")));
	ck_assert(isnan(cell("msc-slides-36", "long", "000-025", "25-75", "duration")));
	ck_assert(isnan(cell("msc-slides-36", "long", "000-025", "25-75", "effect")));
}
END_TEST

/* Every table is a header and rows as long as that. */
START_TEST(test_published_shape)
{
	ck_assert_uint_ge(published_count, 9);
	for (size_t i = 0; i < published_count; i++) {
		_cleanup_free_ char *text = xstrdup(published[i].text);
		char *rest = NULL;
		size_t columns = 0, rows = 0;

		for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
			size_t fields = 1;
			if (*line == '#') {
				ck_assert_uint_eq(rows, 0);
				continue;
			}
			for (const char *at = line; (at = strchr(at, ',')); at++) {
				fields++;
			}
			columns = columns ? columns : fields;
			ck_assert_msg(fields == columns, "%s: %s", published[i].name, line);
			rows++;
		}
		ck_assert_uint_ge(rows, 4);
	}
}
END_TEST

START_TEST(test_agreement)
{
	const double printed[] = {-10, -5, 4, 8, 20}, same[] = {-1, -0.5, 1, 2, 3}, turned[] = {3, 2, 1, -1, -2};
	struct agreement agreement = {0};

	for (size_t i = 0; i < 5; i++) {
		agreement_add(&agreement, printed[i], same[i]);
	}
	ck_assert_uint_eq(agreement_signs(&agreement), 5);
	ck_close(agreement_order(&agreement), 1, 1e-12);
	agreement_fini(&agreement);
	for (size_t i = 0; i < 5; i++) {
		agreement_add(&agreement, printed[i], turned[i]);
	}
	ck_assert_uint_eq(agreement_signs(&agreement), 1);
	ck_close(agreement_order(&agreement), -1, 1e-12);
	agreement_fini(&agreement);
}
END_TEST

/* Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4. */
START_TEST(test_agreement_ties)
{
	const double printed[] = {1, 5, 5, 7}, measured[] = {0, 1, 2, 3};
	struct agreement agreement = {0};

	ck_assert(isnan(agreement_order(&agreement)));
	for (size_t i = 0; i < 4; i++) {
		agreement_add(&agreement, printed[i], measured[i]);
	}
	ck_assert_uint_eq(agreement_signs(&agreement), 3);
	ck_close(agreement_order(&agreement), 4.5 / sqrt(4.5 * 5), 1e-12);
	agreement_fini(&agreement);
	agreement_add(&agreement, 1, 1);
	agreement_add(&agreement, 1, 2);
	ck_assert(isnan(agreement_order(&agreement)));
	agreement_fini(&agreement);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_experiment");
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, test_mean);
	tcase_add_test(tcase, test_many);
	tcase_add_test(tcase, test_one);
	tcase_add_test(tcase, test_table);
	tcase_add_test(tcase, test_table_extras);
	tcase_add_test(tcase, test_parallel);
	tcase_add_test(tcase, test_parallel_fails);
	tcase_add_loop_test(tcase, test_goes_on, 0, 3);
	tcase_add_test(tcase, test_published);
	tcase_add_test(tcase, test_published_shape);
	tcase_add_test(tcase, test_agreement);
	tcase_add_test(tcase, test_agreement_ties);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
