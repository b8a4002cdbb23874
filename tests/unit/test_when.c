/* Times, durations, sizes and CPU shares: every form, what must be refused, and summer time. */
#include <check.h>
#include <string.h>
#include <time.h>

#include "suite.h"
#include "util.h"
#include "when.h"

#define NOW INT64_C(1795269600000000) /* Saturday 2026-11-21T14:00:00Z */

static void in_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static void utc(void)
{
	in_zone("UTC");
}

static void berlin(void)
{
	/* Spelled out, so that no zone files are needed. */
	in_zone("CET-1CEST,M3.5.0,M10.5.0/3");
}

static const char *iso(wall_us t)
{
	static char text[WHEN_TEXT];

	when_iso(t, text);
	return text;
}

/* What text means, as ISO 8601 in UTC; "refused" if nothing. */
static const char *parsed(const char *text, wall_us now)
{
	struct err err = {0};
	wall_us t = -7;

	if (when_parse(text, now, &t, &err) < 0) {
		ck_assert_int_eq(t, -7);
		ck_assert_int_eq(err.code, ERR_PARAMS);
		ck_assert_str_ne(err.text, "");
		return "refused";
	}
	return iso(t);
}

static const struct {
	const char *text, *iso;
} moments[] = {
	{"now", "2026-11-21T14:00:00.000Z"},
	{" NOW ", "2026-11-21T14:00:00.000Z"},
	{"+2h30m", "2026-11-21T16:30:00.000Z"},
	{"+250ms", "2026-11-21T14:00:00.250Z"},
	{"14:00", "2026-11-21T14:00:00.000Z"},
	{"14:01", "2026-11-21T14:01:00.000Z"},
	{"13:59", "2026-11-22T13:59:00.000Z"},
	{"9:30:05.25", "2026-11-22T09:30:05.250Z"},
	{"today 9:30", "2026-11-21T09:30:00.000Z"},
	{"tomorrow  14:00", "2026-11-22T14:00:00.000Z"},
	{"Tomorrow 00:00", "2026-11-22T00:00:00.000Z"},
	{"friday 9:30", "2026-11-27T09:30:00.000Z"},
	{"sun 9:30", "2026-11-22T09:30:00.000Z"},
	{"saturday 14:30", "2026-11-21T14:30:00.000Z"},
	{"saturday 13:30", "2026-11-28T13:30:00.000Z"},
	{"2026-11-21T14:00", "2026-11-21T14:00:00.000Z"},
	{"2026-11-21 14:00:05", "2026-11-21T14:00:05.000Z"},
	{"2026-11-21T14:00:05.123456Z", "2026-11-21T14:00:05.123Z"},
	{"2026-11-21T14:00+01:00", "2026-11-21T13:00:00.000Z"},
	{"2026-11-21T14:00:00-0530", "2026-11-21T19:30:00.000Z"},
	{"2026-12-31T23:30-05", "2027-01-01T04:30:00.000Z"},
	{"2028-02-29T00:00Z", "2028-02-29T00:00:00.000Z"},
};

START_TEST(moment)
{
	utc();
	ck_assert_str_eq(parsed(moments[_i].text, NOW), moments[_i].iso);
}
END_TEST

static const char *const no_moments[] = {
	"",
	" ",
	"14",
	"1795269600",
	"1795269600000000",
	"-2h",
	"+",
	"+90",
	"+0s",
	"+nan",
	"+infh",
	"+1e3s",
	"+99999999999999999999h",
	"+200000w200000w",
	"24:00",
	"12:60",
	"12:00:60",
	"12:0",
	"123:00",
	"12:00:00.1234567",
	"12:00x",
	"today",
	"today14:00",
	"today 14",
	"today tomorrow 14:00",
	"someday 14:00",
	"fridays 9:30",
	"2026-11-21",
	"2026-13-01T00:00",
	"2026-00-01T00:00",
	"2026-02-29T00:00",
	"2026-11-31T00:00Z",
	"2026-11-21T14:00 Z",
	"2026-11-21T14:00+1",
	"2026-11-21T14:00+25:00",
	"2026-11-21T14:00ZZ",
	"1969-12-31T00:00Z",
	"26-11-21T14:00",
	"tomorrow 14:00 and then a great deal of text that is longer than any time may be",
	"NaN",
	"\xff\xfe",
};

START_TEST(no_moment)
{
	utc();
	ck_assert_str_eq(parsed(no_moments[_i], NOW), "refused");
}
END_TEST

START_TEST(moment_near_the_end_of_time)
{
	wall_us t;

	ck_assert_int_eq(when_parse("+1h", WALL_NEVER - USEC_PER_HOUR - 1, &t, NULL), 0);
	ck_assert_int_eq(t, WALL_NEVER - 1);
	ck_assert_int_eq(when_parse("+1h", WALL_NEVER - USEC_PER_HOUR, &t, NULL), -1);
}
END_TEST

START_TEST(summer_time)
{
	berlin();
	ck_assert_str_eq(parsed("2026-07-01T14:00", NOW), "2026-07-01T12:00:00.000Z");
	ck_assert_str_eq(parsed("2026-12-01T14:00", NOW), "2026-12-01T13:00:00.000Z");
	/* Clocks go from 2:00 to 3:00 on 29 March, from 3:00 back to 2:00 on 25 October. */
	ck_assert_str_eq(parsed("2026-03-29T01:59", NOW), "2026-03-29T00:59:00.000Z");
	ck_assert_str_eq(parsed("2026-03-29T02:30", NOW), "refused");
	ck_assert_str_eq(parsed("2026-03-29T03:00", NOW), "2026-03-29T01:00:00.000Z");
	ck_assert_str_eq(parsed("2026-10-25T01:59", NOW), "2026-10-24T23:59:00.000Z");
	ck_assert_str_eq(parsed("2026-10-25T02:30", NOW), "refused");
	ck_assert_str_eq(parsed("2026-10-25T02:30+02:00", NOW), "2026-10-25T00:30:00.000Z");
	ck_assert_str_eq(parsed("2026-10-25T02:30+01:00", NOW), "2026-10-25T01:30:00.000Z");
	ck_assert_str_eq(parsed("2026-10-25T03:00", NOW), "2026-10-25T02:00:00.000Z");
}
END_TEST

START_TEST(days_across_summer_time)
{
	wall_us now;

	berlin();
	/* 23:30 on the evening before a day of 23 hours. */
	ck_assert_int_eq(when_parse("2026-03-28T23:30", NOW, &now, NULL), 0);
	ck_assert_str_eq(parsed("tomorrow 23:30", now), "2026-03-29T21:30:00.000Z");
	ck_assert_str_eq(parsed("monday 00:00", now), "2026-03-29T22:00:00.000Z");
	/* 00:30 on a day of 25 hours. */
	ck_assert_int_eq(when_parse("2026-10-25T00:30", NOW, &now, NULL), 0);
	ck_assert_str_eq(parsed("tomorrow 00:15", now), "2026-10-25T23:15:00.000Z");
	ck_assert_str_eq(parsed("0:15", now), "2026-10-25T23:15:00.000Z");
	ck_assert_str_eq(parsed("2:30", now), "refused");
}
END_TEST

START_TEST(half_an_hour_of_summer_time)
{
	in_zone("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
	ck_assert_str_eq(parsed("2026-10-04T02:15", NOW), "refused");
	ck_assert_str_eq(parsed("2026-04-05T01:45", NOW), "refused");
	ck_assert_str_eq(parsed("2026-04-05T02:15", NOW), "2026-04-04T15:45:00.000Z");
}
END_TEST

static const struct {
	const char *text;
	span_us span;
} spans[] = {
	{"90s", 90 * USEC_PER_SEC},
	{"1h30m", 90 * USEC_PER_MINUTE},
	{"2d", 2 * USEC_PER_DAY},
	{"250ms", 250000},
	{"1.5h", 90 * USEC_PER_MINUTE},
	{"1us", 1},
	{"3w", 21 * USEC_PER_DAY},
	{"5min", 5 * USEC_PER_MINUTE},
	{"1h 30m 5s", INT64_C(5405000000)},
	{" 10 s ", 10 * USEC_PER_SEC},
	{"1D", USEC_PER_DAY},
	{"0.5s", 500000},
	{"0h1s", USEC_PER_SEC},
};

START_TEST(span)
{
	span_us got = -7;

	ck_assert_int_eq(when_parse_span(spans[_i].text, &got, NULL), 0);
	ck_assert_int_eq(got, spans[_i].span);
}
END_TEST

static const char *const no_spans[] = {
	"",
	"0",
	"90",
	"0s",
	"0.0h",
	"-5s",
	"+5s",
	"1.h",
	".5h",
	"1,5h",
	"1h30",
	"30m1h",
	"1h1h",
	"5m5min",
	"nan",
	"NaNs",
	"inf",
	"1e3s",
	"0x10s",
	"1y",
	"1hour",
	"1h-30m",
	"s",
	"1s\n",
	"1 2s",
	"73200000d",
	"9223372036854775807us",
	"99999999999999999999s",
	"0.0000001s",
	"0.1234567890123s",
	"\xc2\xb5s",
};

START_TEST(no_span)
{
	struct err err = {0};
	span_us got = -7;

	ck_assert_int_eq(when_parse_span(no_spans[_i], &got, &err), -1);
	ck_assert_int_eq(got, -7);
	ck_assert_ptr_nonnull(strstr(err.text, "1h30m"));
}
END_TEST

static const struct {
	const char *text;
	int64_t size;
} sizes[] = {
	{"0", 0},
	{"0B", 0},
	{"512M", INT64_C(512) << 20},
	{"512m", INT64_C(512) << 20},
	{"20GiB", INT64_C(20) << 30},
	{"1.5G", INT64_C(3) << 29},
	{"100MB", 100000000},
	{"64KiB", 65536},
	{"64 KiB", 65536},
	{"4096B", 4096},
	{"2T", INT64_C(2) << 40},
	{"1.1K", 1126},
	{"8191P", INT64_C(8191) << 50},
};

START_TEST(size)
{
	int64_t got = -7;

	ck_assert_int_eq(when_parse_size(sizes[_i].text, &got, NULL), 0);
	ck_assert_int_eq(got, sizes[_i].size);
}
END_TEST

static const char *const no_sizes[] = {
	"",
	"512",
	"-1M",
	"+1M",
	"M",
	"1X",
	"1MiBs",
	"1 M B",
	"1.G",
	".5G",
	"1.5B",
	"8192P",
	"9999999999999999999",
	"9999999999999999999G",
	"nan",
	"infG",
	"1e3M",
	"0x10M",
	"1Ki",
	"1M,",
	"0.5",
};

START_TEST(no_size)
{
	struct err err = {0};
	int64_t got = -7;

	ck_assert_int_eq(when_parse_size(no_sizes[_i], &got, &err), -1);
	ck_assert_int_eq(got, -7);
	ck_assert_ptr_nonnull(strstr(err.text, "512M"));
}
END_TEST

START_TEST(cpu)
{
	static const char *const bad[] = {"",  "0",   "0.0", "0m", "-1", "1.5m",   "0.0005", "1c",
					  "m", "nan", "1e1", ".5", "1.", "1 core", "1M",     "9999999999999999999"};
	struct err err;
	int64_t got = -7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(when_parse_cpu(bad[i], &got, &err) < 0, "%s", bad[i]);
		ck_assert_int_eq(got, -7);
		ck_assert_ptr_nonnull(strstr(err.text, "250m"));
	}
	ck_assert_int_eq(when_parse_cpu("2", &got, NULL), 0);
	ck_assert_int_eq(got, 2000);
	ck_assert_int_eq(when_parse_cpu("0.5", &got, NULL), 0);
	ck_assert_int_eq(got, 500);
	ck_assert_int_eq(when_parse_cpu("250m", &got, NULL), 0);
	ck_assert_int_eq(got, 250);
	ck_assert_int_eq(when_parse_cpu("0.001", &got, NULL), 0);
	ck_assert_int_eq(got, 1);
}
END_TEST

START_TEST(writing_moments)
{
	char text[WHEN_TEXT];

	berlin();
	ck_assert_str_eq(iso(NOW + 5 * USEC_PER_MSEC + 999), "2026-11-21T14:00:00.005Z");
	ck_assert_str_eq(iso(0), "-");
	ck_assert_str_eq(iso(-1), "1969-12-31T23:59:59.999Z");
	ck_assert_str_eq(iso(WALL_NEVER), "never");
	ck_assert_str_eq(iso(INT64_MAX), "never");
	/* Whatever it is, it fits. */
	iso(WALL_NEVER - 1);
	iso(INT64_MIN);
	when_local(NOW, NOW, text);
	ck_assert_str_eq(text, "15:00:00");
	when_local(NOW + 10 * USEC_PER_HOUR, NOW, text);
	ck_assert_str_eq(text, "Nov 22 01:00");
	when_local(NOW + 365 * USEC_PER_DAY, NOW, text);
	ck_assert_str_eq(text, "2027 Nov 21 15:00");
	when_local(0, NOW, text);
	ck_assert_str_eq(text, "-");
	when_local(INT64_MAX, NOW, text);
	ck_assert_str_eq(text, "never");
}
END_TEST

START_TEST(writing_spans)
{
	static const struct {
		span_us span;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{1, "1us"},
		{250 * USEC_PER_MSEC, "250ms"},
		{1500, "1.5ms"},
		{40 * USEC_PER_SEC, "40s"},
		{1500 * USEC_PER_MSEC, "1.5s"},
		{90 * USEC_PER_MINUTE, "1h30m"},
		{USEC_PER_DAY + USEC_PER_SEC / 1000, "1d0.001s"},
		{-90 * USEC_PER_SEC, "-1m30s"},
	};
	char text[WHEN_TEXT];
	span_us back;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		when_span(rows[i].span, text);
		ck_assert_str_eq(text, rows[i].text);
		if (rows[i].span > 0) {
			ck_assert_int_eq(when_parse_span(text, &back, NULL), 0);
			ck_assert_int_eq(back, rows[i].span);
		}
	}
	when_span(INT64_MIN, text);
	ck_assert_str_eq(text, "-106751991d4h54.775808s");
}
END_TEST

START_TEST(writing_sizes)
{
	static const struct {
		int64_t size;
		const char *text;
	} rows[] = {
		{0, "0 B"},
		{12, "12 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{INT64_C(512) << 20, "512 MiB"},
		{INT64_C(3) << 29, "1.5 GiB"},
		{(INT64_C(1) << 30) - 1, "1023.9 MiB"},
		{-1536, "-1.5 KiB"},
		{INT64_MAX, "7.9 EiB"},
		{INT64_MIN, "-8 EiB"},
	};
	char text[WHEN_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		when_size(rows[i].size, text);
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("when");
	TCase *tcase = tcase_create("when");

	tcase_add_loop_test(tcase, moment, 0, ARRAY_SIZE(moments));
	tcase_add_loop_test(tcase, no_moment, 0, ARRAY_SIZE(no_moments));
	tcase_add_test(tcase, moment_near_the_end_of_time);
	tcase_add_test(tcase, summer_time);
	tcase_add_test(tcase, days_across_summer_time);
	tcase_add_test(tcase, half_an_hour_of_summer_time);
	tcase_add_loop_test(tcase, span, 0, ARRAY_SIZE(spans));
	tcase_add_loop_test(tcase, no_span, 0, ARRAY_SIZE(no_spans));
	tcase_add_loop_test(tcase, size, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(tcase, no_size, 0, ARRAY_SIZE(no_sizes));
	tcase_add_test(tcase, cpu);
	tcase_add_test(tcase, writing_moments);
	tcase_add_test(tcase, writing_spans);
	tcase_add_test(tcase, writing_sizes);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
