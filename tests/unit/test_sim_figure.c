/* What is made of a run's files afterwards: CSV by column, two runs compared, figures. */
#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "compare.h"
#include "csv.h"
#include "figure.h"
#include "figure_internal.h"
#include "suite.h"
#include "util.h"

#define INTERVALS                                                                                         \
	"from_s,to_s,utilization_promised,utilization_best_effort,waiting_leases,waiting_vms,nodes_busy," \
	"link_busy,mb_transferred,pool_max_mb,pool_mean_mb,disk_mb\n"                                     \
	"0.000000,3600.000000,0.25,0.5,1.5,3.0,2,0.5,600.0,600.0,300.0,0.0\n"                             \
	"3600.000000,7200.000000,0.25,0.75,0,0,2,0,0,600.0,300.0,0.0\n"
#define LEASES "id,kind,vms\n1,ar,1\n2,best-effort,2\n"
#define SLOTS                                      \
	"id,kind,node,lease,vm,start_s,end_s\n"    \
	"1,run,1,1,0,1800.000000,3600.000000\n"    \
	"2,run,1,2,0,0.000000,1800.000000\n"       \
	"3,run,1,2,1,0.000000,2000.000000\n"       \
	"4,hold,1,2,0,1800.000000,3600.000000\n"   \
	"5,resume,1,2,0,3600.000000,3700.000000\n" \
	"6,run,1,2,0,3700.000000,\n"               \
	"7,stop,2,2,1,2000.000000,2000.000000\n"

static char folder[] = "/tmp/test_sim_figure.XXXXXX";
static struct err err;
static char *told;
static size_t told_size;
static FILE *tell;

static void setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(&err, 0, sizeof(err));
	tell = open_memstream(&told, &told_size);
}

static void teardown(void)
{
	static const char *const names[] = {
		"intervals.csv",   "leases.csv",  "slots.csv", "summary.json", "gantt.svg",
		"queue.svg",       "staging.svg", "disk.svg",  "figures.gp",   "b/summary.json",
		"utilization.svg", "b",           ""};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", folder, names[i]);

		remove(path);
	}
	fclose(tell);
	free(told);
}

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = path_of(name);

	ck_assert_int_eq(file_replace(path, text, strlen(text), 0644, &err), 0);
}

static char *get(const char *name)
{
	_cleanup_free_ char *path = path_of(name);

	return file_read(path, 1 << 24, NULL);
}

/* ---- CSV ------------------------------------------------------------------------------------------------------- */

START_TEST(columns_by_name)
{
	static const char *const wanted[] = {"c", "a"};
	_cleanup_free_ char *path = path_of("slots.csv");
	struct csv csv;
	char *field[2];
	double value;

	put("slots.csv", "a,b,c\n1,2,3.5\n,,x\n");
	ck_assert_int_eq(csv_open(&csv, path, wanted, 2, &err), 0);
	ck_assert_int_eq(csv_row(&csv, field, &err), 1);
	ck_assert_str_eq(field[1], "1");
	ck_assert_int_eq(csv_number(&csv, field[0], &value, &err), 0);
	ck_assert_double_eq(value, 3.5);
	ck_assert_int_eq(csv_row(&csv, field, &err), 1);
	ck_assert_str_eq(field[1], "");
	ck_assert_int_eq(csv_number(&csv, field[0], &value, &err), -1);
	ck_assert_msg(strstr(err.text, "slots.csv:3: a field is not a number") != NULL, "%s", err.text);
	ck_assert_int_eq(csv_row(&csv, field, &err), 0);
	csv_close(&csv);
}
END_TEST

static const struct {
	const char *text, *what;
} bad_csv[] = {
	{"", "is empty"},
	{"b,a\n", "has no column \"c\""},
	{"a,b,c\n1,2\n", ":2: the row has not as many columns"},
	{"a,b,c\n1,2,3,4\n", ":2: the row has not as many columns"},
	{"a,b,c\n1,2,3", ":2: the line is too long, cut off"},
	{"a,b,c,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n", "too many columns"},
};

START_TEST(csv_refused)
{
	static const char *const wanted[] = {"c", "a"};
	_cleanup_free_ char *path = path_of("slots.csv");
	struct csv csv;
	char *field[2];

	put("slots.csv", bad_csv[_i].text);
	if (csv_open(&csv, path, wanted, 2, &err) == 0) {
		ck_assert_int_eq(csv_row(&csv, field, &err), -1);
		csv_close(&csv);
	}
	ck_assert_msg(strstr(err.text, bad_csv[_i].what) != NULL, "%s", err.text);
}
END_TEST

/* ---- comparing ------------------------------------------------------------------------------------------------- */

static int compare(bool csv)
{
	_cleanup_free_ char *b = path_of("b");

	return compare_runs(folder, b, csv, tell, &err);
}

START_TEST(side_by_side)
{
	_cleanup_free_ char *b = path_of("b");

	mkdir(b, 0755);
	put("summary.json", "{\"profile\":\"msc\",\"leases\":4,\"wait_s\":10.25,\"none\":0,\"old\":1}");
	put("b/summary.json", "{\"profile\":\"a,b\",\"leases\":5,\"wait_s\":5.125,\"none\":0,\"new\":[1,2]}");
	ck_assert_int_eq(compare(true), 0);
	fflush(tell);
	ck_assert_str_eq(told, "value,a,b,difference,ratio\n"
			       "profile,msc,a b,,\n"
			       "leases,4,5,1,1.2500\n"
			       "wait_s,10.2500,5.1250,-5.1250,0.5000\n"
			       "none,0,0,0,1\n"
			       "old,1,-,,\n"
			       "new,-,[ 1  2 ],,\n");
	rewind(tell);
	ck_assert_int_eq(compare(false), 0);
	fflush(tell);
	ck_assert_msg(strstr(told, "leases  ") != NULL && strstr(told, "  1.2500\n") != NULL, "%s", told);
}
END_TEST

START_TEST(nothing_to_compare)
{
	ck_assert_int_eq(compare(false), -1);
	ck_assert_msg(strstr(err.text, "holds no summary.json") != NULL, "%s", err.text);
	put("summary.json", "[1]");
	ck_assert_int_eq(compare(false), -1);
	ck_assert_msg(strstr(err.text, "is not a JSON object") != NULL, "%s", err.text);
	put("summary.json", "{}");
	ck_assert_int_eq(compare(false), -1);
	ck_assert_msg(strstr(err.text, "/b holds no summary.json") != NULL, "%s", err.text);
}
END_TEST

/* ---- figures --------------------------------------------------------------------------------------------------- */

static int gantt(double from_s, double to_s)
{
	int bad = figure_gantt(folder, &(struct figure_window){from_s, to_s}, tell, &err);

	fflush(tell);
	return bad;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++) {
		n++;
	}
	return n;
}

START_TEST(bars)
{
	_cleanup_free_ char *svg = NULL;

	put("leases.csv", LEASES);
	put("slots.csv", SLOTS);
	ck_assert_msg(gantt(0, 0) == 0, "%s", err.text);
	svg = get("gantt.svg");
	/* The stop of no length is left out. Of each class, one more is in the legend. */
	ck_assert_uint_eq(count(svg, "<title>"), 6);
	ck_assert_uint_eq(count(svg, "class=\"promised"), 2);
	ck_assert_uint_eq(count(svg, "class=\"run"), 4);
	ck_assert_uint_eq(count(svg, "class=\"hold"), 2);
	ck_assert(strstr(svg, "<title>lease 2 VM 0, node 1, run: 3700 s to the end</title>") != NULL);
	/* 3700 s are 1100 px: the reservation takes the line of the guest that was suspended for it. */
	ck_assert(strstr(svg, "<rect class=\"promised odd\" x=\"615.14\" y=\"84.00\" width=\"535.14\"") != NULL);
	ck_assert(strstr(svg, "time from the beginning (minutes)") != NULL);
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(window)
{
	_cleanup_free_ char *svg = NULL;

	put("leases.csv", LEASES);
	put("slots.csv", SLOTS);
	ck_assert_msg(gantt(0, 1800) == 0, "%s", err.text);
	svg = get("gantt.svg");
	ck_assert_uint_eq(count(svg, "<title>"), 2);
	ck_assert(strstr(svg, "(0.0 to 30.0 of 61.7 minutes)") != NULL);
	ck_assert_int_eq(gantt(9000, 9001), -1);
	ck_assert_msg(strstr(err.text, "the run is 3700 s long") != NULL, "%s", err.text);
	ck_assert_int_eq(gantt(0, 0), 0);
}
END_TEST

START_TEST(many_bars)
{
	_cleanup_free_ char *text = NULL, *svg = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("id,kind,node,lease,vm,start_s,end_s\n", out);
	for (int i = 0; i < 20000; i++) {
		fprintf(out, "%d,run,%d,2,0,%d,%d\n", i + 1, 1 + i % 300, i, i + 250);
	}
	fclose(out);
	put("leases.csv", LEASES);
	put("slots.csv", text);
	ck_assert_msg(gantt(0, 0) == 0, "%s", err.text);
	svg = get("gantt.svg");
	ck_assert_uint_eq(count(svg, "<title>"), 6000);
	ck_assert(strstr(svg, "(0.0 to 1.7 of 5.6 hours)") != NULL);
}
END_TEST

START_TEST(no_slots)
{
	put("leases.csv", LEASES);
	ck_assert_int_eq(gantt(0, 0), 0);
	ck_assert_msg(strstr(told, "no gantt.svg: ") == told, "%s", told);
}
END_TEST

START_TEST(wrong_slots)
{
	static const char *const rows[] = {"1,run,0,1,0,1,2\n", "1,walk,1,1,0,1,2\n",  "1,run,1,x,0,1,2\n",
					   "1,run,1,1,0,,2\n",  "1,run,1,1,0,1,inf\n", "1,run,1,1\n"};
	_cleanup_free_ char *text = xasprintf("id,kind,node,lease,vm,start_s,end_s\n%s", rows[_i]);

	put("leases.csv", LEASES);
	put("slots.csv", text);
	ck_assert_int_eq(gantt(0, 0), -1);
	ck_assert_msg(strstr(err.text, "slots.csv:2: ") != NULL, "%s", err.text);
}
END_TEST

START_TEST(over_time)
{
	static const char *const names[] = {"utilization.svg", "queue.svg", "staging.svg", "disk.svg"};

	put("intervals.csv", INTERVALS);
	ck_assert_msg(figure_make(folder, &(struct figure_window){0}, tell, &err) == 0, "%s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *svg = get(names[i]);

		ck_assert_ptr_nonnull(svg);
		ck_assert(strstr(svg, "</svg>") != NULL);
		ck_assert(strstr(svg, "time from the beginning (minutes)") != NULL);
	}
}
END_TEST

START_TEST(no_gnuplot)
{
	put("intervals.csv", INTERVALS);
	put("leases.csv", LEASES);
	put("slots.csv", SLOTS);
	setenv("PATH", folder, 1);
	ck_assert_msg(figure_make(folder, &(struct figure_window){0}, tell, &err) == 0, "%s", err.text);
	fflush(tell);
	ck_assert_msg(strstr(told, "gnuplot-nox") != NULL, "%s", told);
	_cleanup_free_ char *svg = get("gantt.svg");
	ck_assert_ptr_nonnull(svg);
}
END_TEST

START_TEST(no_intervals)
{
	ck_assert_int_eq(figure_make(folder, &(struct figure_window){0}, tell, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	put("intervals.csv", "from_s,to_s\n0,1\n");
	ck_assert_int_eq(figure_make(folder, &(struct figure_window){0}, tell, &err), -1);
	ck_assert_msg(strstr(err.text, "has no column") != NULL, "%s", err.text);
}
END_TEST

START_TEST(units)
{
	ck_assert_str_eq(figure_unit(1)->name, "seconds");
	ck_assert_str_eq(figure_unit(180)->name, "minutes");
	ck_assert_str_eq(figure_unit(3 * 3600)->name, "hours");
	ck_assert_str_eq(figure_unit(30 * 86400)->name, "days");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_figure");
	TCase *tcase = tcase_create("sim_figure");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, columns_by_name);
	tcase_add_loop_test(tcase, csv_refused, 0, ARRAY_SIZE(bad_csv));
	tcase_add_test(tcase, side_by_side);
	tcase_add_test(tcase, nothing_to_compare);
	tcase_add_test(tcase, bars);
	tcase_add_test(tcase, window);
	tcase_add_test(tcase, many_bars);
	tcase_add_test(tcase, no_slots);
	tcase_add_loop_test(tcase, wrong_slots, 0, 6);
	tcase_add_test(tcase, over_time);
	tcase_add_test(tcase, no_gnuplot);
	tcase_add_test(tcase, no_intervals);
	tcase_add_test(tcase, units);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
