/* Writing times, durations and sizes for people. Parsing is when.c's. */
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Splits t so that the rest is positive before 1970 as well. */
static time_t seconds_of(wall_us t, int64_t *rest_us)
{
	int64_t seconds = t / USEC_PER_SEC - (t % USEC_PER_SEC < 0);

	*rest_us = (t % USEC_PER_SEC + USEC_PER_SEC) % USEC_PER_SEC;
	return (time_t)seconds;
}

static int special(wall_us t, char out[WHEN_TEXT])
{
	if (t == 0) {
		strcpy(out, "-");
		return 1;
	}
	if (t >= WALL_NEVER) {
		strcpy(out, "never");
		return 1;
	}
	return 0;
}

void when_iso(wall_us t, char out[WHEN_TEXT])
{
	struct tm tm;
	int64_t rest;
	time_t seconds;
	size_t n;

	if (special(t, out)) {
		return;
	}
	seconds = seconds_of(t, &rest);
	/* Below WALL_NEVER the year has at most five digits, or six with a sign. */
	gmtime_r(&seconds, &tm);
	n = strftime(out, WHEN_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, WHEN_TEXT - n, ".%03dZ", (int)(rest / USEC_PER_MSEC));
}

void when_local(wall_us t, wall_us now, char out[WHEN_TEXT])
{
	struct tm tm, today;
	int64_t rest;
	time_t seconds;

	if (special(t, out)) {
		return;
	}
	seconds = seconds_of(now, &rest);
	localtime_r(&seconds, &today);
	seconds = seconds_of(t, &rest);
	localtime_r(&seconds, &tm);
	if (tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday) {
		strftime(out, WHEN_TEXT, "%H:%M:%S", &tm);
	} else if (tm.tm_year == today.tm_year) {
		strftime(out, WHEN_TEXT, "%b %d %H:%M", &tm);
	} else {
		strftime(out, WHEN_TEXT, "%Y %b %d %H:%M", &tm);
	}
}

/* "N", or "N.F" without trailing zeros, of value / unit; digits is how many F may have, unit = 10^digits. */
static int put_decimal(char *out, size_t size, uint64_t value, uint64_t unit, int digits)
{
	uint64_t fraction = value % unit;

	while (digits > 0 && fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	if (digits == 0) {
		return snprintf(out, size, "%" PRIu64, value / unit);
	}
	return snprintf(out, size, "%" PRIu64 ".%0*" PRIu64, value / unit, digits, fraction);
}

/* Exact: what this writes, when_parse_span() reads back to the same value. */
void when_span(span_us span, char out[WHEN_TEXT])
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {{"d", USEC_PER_DAY}, {"h", USEC_PER_HOUR}, {"m", USEC_PER_MINUTE}};
	uint64_t left = span < 0 ? -(uint64_t)span : (uint64_t)span;
	size_t n = 0;

	if (span < 0) {
		out[n++] = '-';
	}
	if (left > 0 && left < (uint64_t)USEC_PER_MSEC) {
		snprintf(out + n, WHEN_TEXT - n, "%" PRIu64 "us", left);
		return;
	}
	if (left > 0 && left < (uint64_t)USEC_PER_SEC) {
		n += (size_t)put_decimal(out + n, WHEN_TEXT - n, left, USEC_PER_MSEC, 3);
		snprintf(out + n, WHEN_TEXT - n, "ms");
		return;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (left >= units[i].us) {
			n += (size_t)snprintf(out + n, WHEN_TEXT - n, "%" PRIu64 "%s", left / units[i].us,
					      units[i].name);
			left %= units[i].us;
		}
	}
	if (left > 0 || span == 0) {
		n += (size_t)put_decimal(out + n, WHEN_TEXT - n, left, USEC_PER_SEC, 6);
		snprintf(out + n, WHEN_TEXT - n, "s");
	}
}

void when_size(int64_t bytes, char out[WHEN_TEXT])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t size = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
	const char *sign = bytes < 0 ? "-" : "";
	uint64_t unit = 1, whole, tenths;
	size_t i = 0;

	while (size / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	whole = size / unit;
	/* Rounded down, so that what is shown as free is free. */
	tenths = unit == 1 ? 0 : (size % unit) / (unit / 1024) * 10 / 1024;
	if (tenths == 0) {
		snprintf(out, WHEN_TEXT, "%s%" PRIu64 " %s", sign, whole, units[i]);
	} else {
		snprintf(out, WHEN_TEXT, "%s%" PRIu64 ".%" PRIu64 " %s", sign, whole, tenths, units[i]);
	}
}
