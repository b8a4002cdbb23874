/*
 * Reading times, durations, sizes and CPU shares as people write them. Guesses nothing: what could mean two things is
 * refused with the forms that cannot. Writing them is when_format.c's.
 */
#include "when.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util.h"

#define INPUT_MAX 64 /* longer than every form of a time */
#define FRACTION_MAX 9

/* ---- numbers with units ---- */

struct decimal {
	uint64_t whole;
	uint64_t fraction; /* of scale */
	uint64_t scale;    /* a power of ten */
};

struct unit {
	const char *name;
	int64_t factor;
};

/* DIGITS or DIGITS.DIGITS at *s, which is moved behind it. */
static int take_decimal(const char **s, struct decimal *out)
{
	struct decimal d = {.scale = 1};
	const char *p = *s;

	if (!isdigit((unsigned char)*p)) {
		return -1;
	}
	for (; isdigit((unsigned char)*p); p++) {
		d.whole = d.whole * 10 + (uint64_t)(*p - '0');
		if (d.whole > INT64_MAX / 10) {
			return -1;
		}
	}
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p)) {
			return -1;
		}
		for (int digits = 0; isdigit((unsigned char)*p); p++) {
			if (++digits > FRACTION_MAX) {
				return -1;
			}
			d.fraction = d.fraction * 10 + (uint64_t)(*p - '0');
			d.scale *= 10;
		}
	}
	*s = p;
	*out = d;
	return 0;
}

/* d * factor, rounded down; *exact is false if something was lost. -1 if it is max or more. */
static int multiply(struct decimal d, int64_t factor, int64_t max, int64_t *out, bool *exact)
{
	unsigned __int128 part = (unsigned __int128)d.fraction * (uint64_t)factor;
	unsigned __int128 value = (unsigned __int128)d.whole * (uint64_t)factor + part / d.scale;

	if (value >= (unsigned __int128)max) {
		return -1;
	}
	*exact = part % d.scale == 0;
	*out = (int64_t)value;
	return 0;
}

static void skip_spaces(const char **s)
{
	*s += strspn(*s, " \t");
}

/* The unit whose name is the whole word at *s, in upper or lower case; NULL if there is none. */
static const struct unit *take_unit(const char **s, const struct unit *units, size_t n)
{
	size_t len = 0;

	while (isalpha((unsigned char)(*s)[len])) {
		len++;
	}
	for (size_t i = 0; i < n; i++) {
		if (strlen(units[i].name) == len && strncasecmp(*s, units[i].name, len) == 0) {
			*s += len;
			return &units[i];
		}
	}
	return NULL;
}

static int take_span(const char *s, span_us *out)
{
	static const struct unit units[] = {
		{"w", 7 * USEC_PER_DAY}, {"d", USEC_PER_DAY}, {"h", USEC_PER_HOUR},  {"min", USEC_PER_MINUTE},
		{"m", USEC_PER_MINUTE},  {"s", USEC_PER_SEC}, {"ms", USEC_PER_MSEC}, {"us", 1},
	};
	int64_t last = INT64_MAX, part, sum = 0;
	bool exact;

	do {
		const struct unit *unit;
		struct decimal d;

		if (take_decimal(&s, &d) < 0) {
			return -1;
		}
		skip_spaces(&s);
		unit = take_unit(&s, units, ARRAY_SIZE(units));
		/* From great to small, each once: "30m1h" and "1h1h" are slips of the pen. */
		if (!unit || unit->factor >= last || multiply(d, unit->factor, WALL_NEVER - sum, &part, &exact) < 0) {
			return -1;
		}
		last = unit->factor;
		sum += part;
		skip_spaces(&s);
	} while (*s);
	if (sum == 0) {
		return -1;
	}
	*out = sum;
	return 0;
}

int when_parse_span(const char *text, span_us *out, struct err *err)
{
	const char *s = text;

	skip_spaces(&s);
	if (take_span(s, out) < 0) {
		return err_set(err, ERR_PARAMS,
			       "\"%.*s\" is not a duration: write a number above 0 with a unit, as \"90s\", \"1h30m\", "
			       "\"2d\", \"250ms\" or \"1.5h\"",
			       INPUT_MAX, text);
	}
	return 0;
}

static int take_size(const char *s, int64_t *out)
{
	static const struct unit units[] = {
		{"B", 1},
		{"K", INT64_C(1) << 10},
		{"KiB", INT64_C(1) << 10},
		{"KB", INT64_C(1000)},
		{"M", INT64_C(1) << 20},
		{"MiB", INT64_C(1) << 20},
		{"MB", INT64_C(1000000)},
		{"G", INT64_C(1) << 30},
		{"GiB", INT64_C(1) << 30},
		{"GB", INT64_C(1000000000)},
		{"T", INT64_C(1) << 40},
		{"TiB", INT64_C(1) << 40},
		{"TB", INT64_C(1000000000000)},
		{"P", INT64_C(1) << 50},
		{"PiB", INT64_C(1) << 50},
		{"PB", INT64_C(1000000000000000)},
	};
	const struct unit *unit;
	struct decimal d;
	int64_t value;
	bool exact;

	if (take_decimal(&s, &d) < 0) {
		return -1;
	}
	skip_spaces(&s);
	if (*s == '\0') {
		/* Nothing needs no unit. */
		if (d.whole != 0 || d.fraction != 0) {
			return -1;
		}
		*out = 0;
		return 0;
	}
	unit = take_unit(&s, units, ARRAY_SIZE(units));
	skip_spaces(&s);
	if (!unit || *s != '\0' || multiply(d, unit->factor, INT64_MAX, &value, &exact) < 0) {
		return -1;
	}
	if (unit->factor == 1 && !exact) {
		return -1;
	}
	*out = value;
	return 0;
}

int when_parse_size(const char *text, int64_t *out, struct err *err)
{
	const char *s = text;

	skip_spaces(&s);
	if (take_size(s, out) < 0) {
		return err_set(err, ERR_PARAMS,
			       "\"%.*s\" is not a size: write a number with a unit, as \"512M\", \"20GiB\", \"1.5G\" "
			       "(powers of 1024), \"100MB\" (powers of 1000) or \"4096B\"",
			       INPUT_MAX, text);
	}
	return 0;
}

static int take_cpu(const char *s, int64_t *out)
{
	struct decimal d;
	int64_t value;
	bool exact;

	if (take_decimal(&s, &d) < 0) {
		return -1;
	}
	if (multiply(d, *s == 'm' ? 1 : 1000, INT64_MAX, &value, &exact) < 0) {
		return -1;
	}
	s += *s == 'm';
	skip_spaces(&s);
	if (*s != '\0' || value == 0 || !exact) {
		return -1;
	}
	*out = value;
	return 0;
}

int when_parse_cpu(const char *text, int64_t *out, struct err *err)
{
	const char *s = text;

	skip_spaces(&s);
	if (take_cpu(s, out) < 0) {
		return err_set(err, ERR_PARAMS,
			       "\"%.*s\" is not an amount of CPU: write cores, as \"2\" or \"0.5\", or thousandths of "
			       "one, as \"250m\"; more than 0",
			       INPUT_MAX, text);
	}
	return 0;
}

/* ---- moments ---- */

struct clock_time {
	int hour, minute, second;
	int64_t fraction_us;
};

/* min..max digits at *s. */
static int take_digits(const char **s, int min, int max, int *out)
{
	int n = 0, value = 0;

	while (n < max && isdigit((unsigned char)(*s)[n])) {
		value = value * 10 + ((*s)[n] - '0');
		n++;
	}
	if (n < min) {
		return -1;
	}
	*s += n;
	*out = value;
	return 0;
}

static bool take_char(const char **s, char c)
{
	if (**s != c) {
		return false;
	}
	(*s)++;
	return true;
}

/* ".5" as microseconds, at most six digits. */
static int take_fraction(const char **s, int64_t *out)
{
	int64_t value = 0, unit = USEC_PER_SEC;

	if (!isdigit((unsigned char)**s)) {
		return -1;
	}
	for (; isdigit((unsigned char)**s); (*s)++) {
		if (unit == 1) {
			return -1;
		}
		unit /= 10;
		value += (**s - '0') * unit;
	}
	*out = value;
	return 0;
}

/* "9:30", "14:00:05", "14:00:05.25". */
static int take_clock_time(const char **s, struct clock_time *out)
{
	struct clock_time t = {0};

	if (take_digits(s, 1, 2, &t.hour) < 0 || !take_char(s, ':') || take_digits(s, 2, 2, &t.minute) < 0) {
		return -1;
	}
	if (take_char(s, ':')) {
		if (take_digits(s, 2, 2, &t.second) < 0) {
			return -1;
		}
		if (take_char(s, '.') && take_fraction(s, &t.fraction_us) < 0) {
			return -1;
		}
	}
	if (t.hour > 23 || t.minute > 59 || t.second > 59) {
		return -1;
	}
	*out = t;
	return 0;
}

static bool same_time(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
	       a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

static struct tm with_time(struct tm day, struct clock_time t)
{
	return (struct tm){
		.tm_year = day.tm_year,
		.tm_mon = day.tm_mon,
		.tm_mday = day.tm_mday,
		.tm_hour = t.hour,
		.tm_min = t.minute,
		.tm_sec = t.second,
		.tm_isdst = -1,
	};
}

/* Where clocks are set forward or back, a local time may not exist, or happen twice; both are refused. */
static int from_local(struct tm day, struct clock_time t, wall_us *out, struct err *err)
{
	/* Summer time moves clocks by an hour, on Lord Howe Island by half of one. */
	static const time_t shifts[] = {-3600, -1800, 1800, 3600};
	const struct tm wanted = with_time(day, t);
	struct tm tm = wanted, other;
	time_t seconds = mktime(&tm);

	if (!same_time(&tm, &wanted)) {
		return err_set(err, ERR_PARAMS,
			       "%02d:%02d does not exist on that day, as clocks are set forward: give another time",
			       t.hour, t.minute);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		time_t shifted = seconds + shifts[i];

		localtime_r(&shifted, &other);
		if (same_time(&other, &wanted)) {
			return err_set(
				err, ERR_PARAMS,
				"%02d:%02d happens twice on that day, as clocks are set back: give the time with "
				"its zone, as \"%04d-%02d-%02dT%02d:%02d+01:00\"",
				t.hour, t.minute, wanted.tm_year + 1900, wanted.tm_mon + 1, wanted.tm_mday, t.hour,
				t.minute);
		}
	}
	*out = (wall_us)seconds * USEC_PER_SEC + t.fraction_us;
	return 0;
}

/* The day of now, in local time, and the given number of days after it. */
static struct tm local_day(wall_us now, int days)
{
	time_t seconds = (time_t)(now / USEC_PER_SEC);
	struct tm tm;

	localtime_r(&seconds, &tm);
	/* In the calendar, where each day has 24 hours; noon, so that nothing rounds into the next day. */
	tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday + days, .tm_hour = 12};
	timegm(&tm);
	return tm;
}

/* "Z", "+01:00", "+0100", "-05". */
static int take_zone(const char **s, int64_t *east_us)
{
	int hours, minutes = 0, sign;

	if (take_char(s, 'Z') || take_char(s, 'z')) {
		*east_us = 0;
		return 0;
	}
	sign = **s == '-' ? -1 : 1;
	if (!take_char(s, '+') && !take_char(s, '-')) {
		return -1;
	}
	if (take_digits(s, 2, 2, &hours) < 0) {
		return -1;
	}
	if ((take_char(s, ':') || isdigit((unsigned char)**s)) && take_digits(s, 2, 2, &minutes) < 0) {
		return -1;
	}
	if (hours > 14 || minutes > 59) {
		return -1;
	}
	*east_us = sign * (hours * USEC_PER_HOUR + minutes * USEC_PER_MINUTE);
	return 0;
}

/* "2026-11-21" */
static int take_date(const char **s, struct tm *out)
{
	int year, month, day;
	struct tm tm;

	if (take_digits(s, 4, 4, &year) < 0 || !take_char(s, '-') || take_digits(s, 2, 2, &month) < 0 ||
	    !take_char(s, '-') || take_digits(s, 2, 2, &day) < 0) {
		return -1;
	}
	tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
	timegm(&tm);
	/* Normalised: 30 February would have become a day in March. */
	if (year < 1970 || tm.tm_mon != month - 1 || tm.tm_mday != day) {
		return -1;
	}
	*out = tm;
	return 0;
}

/* Each of the parse_ functions below: 1 = this is not my form, 0 = done, -1 = my form, but wrong, err is set. */

static int parse_iso(const char *s, wall_us *out, struct err *err)
{
	struct clock_time t;
	int64_t east_us;
	struct tm day, tm;

	if (take_date(&s, &day) < 0 || (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' ')) ||
	    take_clock_time(&s, &t) < 0) {
		return 1;
	}
	if (*s == '\0') {
		return from_local(day, t, out, err);
	}
	if (take_zone(&s, &east_us) < 0 || *s != '\0') {
		return 1;
	}
	tm = with_time(day, t);
	*out = (wall_us)timegm(&tm) * USEC_PER_SEC + t.fraction_us - east_us;
	return 0;
}

static int parse_span_after(const char *s, wall_us now, wall_us *out)
{
	span_us span;

	if (!take_char(&s, '+') || take_span(s, &span) < 0 || span >= WALL_NEVER - now) {
		return 1;
	}
	*out = now + span;
	return 0;
}

/* "14:00": today, or tomorrow if it has passed. */
static int parse_next(const char *s, wall_us now, wall_us *out, struct err *err)
{
	struct clock_time t;
	wall_us found;

	if (take_clock_time(&s, &t) < 0 || *s != '\0') {
		return 1;
	}
	if (from_local(local_day(now, 0), t, &found, err) < 0) {
		return -1;
	}
	if (found < now && from_local(local_day(now, 1), t, &found, err) < 0) {
		return -1;
	}
	*out = found;
	return 0;
}

/* How many days from today a word names; *week is set if the same word names the day a week later as well. */
static int take_day(const char **s, wall_us now, int *days, bool *week)
{
	static const struct unit relative[] = {{"today", 0}, {"tomorrow", 1}};
	static const struct unit weekdays[] = {
		{"sunday", 0}, {"monday", 1},   {"tuesday", 2}, {"wednesday", 3}, {"thursday", 4},
		{"friday", 5}, {"saturday", 6}, {"sun", 0},     {"mon", 1},       {"tue", 2},
		{"wed", 3},    {"thu", 4},      {"fri", 5},     {"sat", 6},
	};
	const struct unit *word = take_unit(s, relative, ARRAY_SIZE(relative));

	if (word) {
		*days = (int)word->factor;
		*week = false;
		return 0;
	}
	word = take_unit(s, weekdays, ARRAY_SIZE(weekdays));
	if (!word) {
		return -1;
	}
	*days = ((int)word->factor - local_day(now, 0).tm_wday + 7) % 7;
	*week = true;
	return 0;
}

/* "today 14:00", "tomorrow 14:00", "friday 9:30". */
static int parse_day(const char *s, wall_us now, wall_us *out, struct err *err)
{
	struct clock_time t;
	wall_us found;
	bool week;
	int days;

	if (take_day(&s, now, &days, &week) < 0 || (*s != ' ' && *s != '\t')) {
		return 1;
	}
	skip_spaces(&s);
	if (take_clock_time(&s, &t) < 0 || *s != '\0') {
		return 1;
	}
	if (from_local(local_day(now, days), t, &found, err) < 0) {
		return -1;
	}
	if (week && found < now && from_local(local_day(now, days + 7), t, &found, err) < 0) {
		return -1;
	}
	*out = found;
	return 0;
}

int when_parse(const char *text, wall_us now, wall_us *out, struct err *err)
{
	char buffer[INPUT_MAX];
	const char *s = buffer;
	size_t len = strlen(text);
	int result = 1;

	while (len > 0 && isspace((unsigned char)text[len - 1])) {
		len--;
	}
	if (len < sizeof(buffer)) {
		memcpy(buffer, text, len);
		buffer[len] = '\0';
		skip_spaces(&s);
		if (strcasecmp(s, "now") == 0) {
			*out = now;
			return 0;
		}
		if ((result = parse_span_after(s, now, out)) == 1 && (result = parse_iso(s, out, err)) == 1 &&
		    (result = parse_next(s, now, out, err)) == 1) {
			result = parse_day(s, now, out, err);
		}
	}
	if (result != 1) {
		return result;
	}
	return err_set(
		err, ERR_PARAMS,
		"\"%.*s\" is not a time: write \"now\", \"+2h30m\", \"14:00\", \"today 14:00\", \"tomorrow 14:00\", "
		"\"friday 9:30\" or ISO 8601 as \"2026-11-21T14:00\" (local) and \"2026-11-21T14:00Z\" (UTC)",
		INPUT_MAX, text);
}
