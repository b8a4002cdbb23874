/* Range and If-None-Match as in RFC 9110, sections 13.1.2 and 14.1.2; one range of bytes only. */
#include "http_range.h"

#include <string.h>

#include "util.h"

/* Digits only; a number too large for us is as good as the greatest. */
static bool number(const char *text, size_t len, int64_t *out)
{
	int64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return false;
		}
		value = value > (INT64_MAX - 9) / 10 ? INT64_MAX : value * 10 + (text[i] - '0');
	}
	*out = value;
	return len > 0;
}

enum range_kind http_range(const char *header, int64_t size, int64_t *first, int64_t *last)
{
	int64_t from, to = INT64_MAX;
	const char *dash;
	size_t len;

	if (!header || strncmp(header, "bytes=", 6) != 0 || strchr(header, ',')) {
		return RANGE_ALL;
	}
	header += 6;
	len = strlen(header);
	dash = strchr(header, '-');
	if (!dash) {
		return RANGE_ALL;
	}
	if (dash == header) { /* the last so many bytes */
		if (!number(dash + 1, len - 1, &to)) {
			return RANGE_ALL;
		}
		*first = to < size ? size - to : 0;
		*last = size - 1;
		return to == 0 ? RANGE_NONE : RANGE_PART;
	}
	if (!number(header, (size_t)(dash - header), &from) || (dash[1] && !number(dash + 1, strlen(dash + 1), &to)) ||
	    to < from) {
		return RANGE_ALL;
	}
	if (from >= size) {
		return RANGE_NONE;
	}
	*first = from;
	*last = to < size ? to : size - 1;
	return RANGE_PART;
}

bool http_etag_matches(const char *header, const char *etag)
{
	size_t len = strlen(etag);

	if (!header) {
		return false;
	}
	while (*header) {
		header += strspn(header, " \t,");
		if (*header == '*') {
			return true;
		}
		if (strncmp(header, "W/", 2) == 0) {
			header += 2;
		}
		if (strncmp(header, etag, len) == 0 && strchr(" \t,", header[len])) {
			return true;
		}
		header += strcspn(header, ",");
	}
	return false;
}
