/*
 * A checker of JSON text by recursive descent, for what json-c 0.16 lets pass even in strict mode: single quotes, NaN,
 * numbers that do not fit, NUL in strings, overlong UTF-8. Builds nothing; finding duplicate keys is the caller's.
 */
#include "jsonscan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 63 /* characters; the longest double in common use has 24 */

struct scan {
	const char *text;
	size_t len;
	size_t at;
	unsigned depth;
	unsigned depth_max;
	size_t members;
	struct err *err;
};

static int scan_value(struct scan *s);

static int refuse(struct scan *s, const char *what)
{
	return err_set(s->err, ERR_PARSE, "not JSON at byte %zu: %s", s->at, what);
}

/* The character here, or -1 at the end. */
static int peek(const struct scan *s)
{
	return s->at < s->len ? (unsigned char)s->text[s->at] : -1;
}

static bool accept(struct scan *s, char c)
{
	if (peek(s) != (unsigned char)c) {
		return false;
	}
	s->at++;
	return true;
}

static void skip_space(struct scan *s)
{
	while (accept(s, ' ') || accept(s, '\t') || accept(s, '\n') || accept(s, '\r')) {
	}
}

static bool is_continuation(const char *s, size_t i)
{
	return ((unsigned char)s[i] & 0xc0) == 0x80;
}

size_t jsonscan_utf8(const char *s, size_t n)
{
	unsigned char a = (unsigned char)s[0];
	unsigned char b = n > 1 ? (unsigned char)s[1] : 0;

	if (a < 0x80) {
		return 1;
	}
	if (a >= 0xc2 && a <= 0xdf) {
		return n >= 2 && is_continuation(s, 1) ? 2 : 0;
	}
	if (a >= 0xe0 && a <= 0xef) {
		/* Not overlong, not a surrogate. */
		if (n < 3 || (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f)) {
			return 0;
		}
		return is_continuation(s, 1) && is_continuation(s, 2) ? 3 : 0;
	}
	if (a >= 0xf0 && a <= 0xf4) {
		/* Not overlong, not above U+10FFFF. */
		if (n < 4 || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f)) {
			return 0;
		}
		return is_continuation(s, 1) && is_continuation(s, 2) && is_continuation(s, 3) ? 4 : 0;
	}
	return 0;
}

/* The four hex digits after \u; -1 if they are not there. */
static long scan_hex4(struct scan *s)
{
	long value = 0;

	for (int i = 0; i < 4; i++) {
		int c = peek(s);
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;

		if (digit < 0) {
			return -1;
		}
		value = value * 16 + digit;
		s->at++;
	}
	return value;
}

/* After the backslash. */
static int scan_escape(struct scan *s)
{
	int c = peek(s);
	long code;

	if (c < 0 || !c || !strchr("\"\\/bfnrtu", c)) {
		return refuse(s, "unknown escape in a string");
	}
	s->at++;
	if (c != 'u') {
		return 0;
	}
	code = scan_hex4(s);
	if (code < 0) {
		return refuse(s, "\\u needs four hex digits");
	}
	if (code == 0) {
		return refuse(s, "NUL in a string");
	}
	if (code >= 0xd800 && code <= 0xdbff) {
		code = accept(s, '\\') && accept(s, 'u') ? scan_hex4(s) : -1;
		return code >= 0xdc00 && code <= 0xdfff ? 0 : refuse(s, "half of a surrogate pair");
	}
	return code >= 0xdc00 && code <= 0xdfff ? refuse(s, "half of a surrogate pair") : 0;
}

static int scan_string(struct scan *s)
{
	if (!accept(s, '"')) {
		return refuse(s, "a string in double quotes is needed here");
	}
	while (!accept(s, '"')) {
		int c = peek(s);
		size_t n;

		if (c < 0) {
			return refuse(s, "string without an end");
		}
		if (c < 0x20) {
			return refuse(s, "control character in a string");
		}
		n = jsonscan_utf8(s->text + s->at, s->len - s->at);
		if (!n) {
			return refuse(s, "invalid UTF-8");
		}
		s->at += n;
		if (c == '\\' && scan_escape(s)) {
			return -1;
		}
	}
	return 0;
}

static size_t scan_digits(struct scan *s)
{
	size_t from = s->at;

	while (peek(s) >= '0' && peek(s) <= '9') {
		s->at++;
	}
	return s->at - from;
}

static int check_integer(struct scan *s, size_t from)
{
	char copy[NUMBER_MAX + 1] = "";

	memcpy(copy, s->text + from, s->at - from);
	errno = 0;
	(void)strtoll(copy, NULL, 10);
	return errno ? refuse(s, "integer outside 64 bits") : 0;
}

static int scan_number(struct scan *s)
{
	size_t from = s->at;
	bool integer = true;
	size_t digits;

	(void)accept(s, '-');
	digits = peek(s) == '0' ? (size_t)accept(s, '0') : scan_digits(s);
	if (!digits) {
		return refuse(s, "not a value");
	}
	if (accept(s, '.')) {
		integer = false;
		if (!scan_digits(s)) {
			return refuse(s, "digits must follow the point");
		}
	}
	if (accept(s, 'e') || accept(s, 'E')) {
		integer = false;
		(void)(accept(s, '+') || accept(s, '-'));
		if (!scan_digits(s)) {
			return refuse(s, "digits must follow the exponent's sign");
		}
	}
	if (s->at - from > NUMBER_MAX) {
		return refuse(s, "number with too many digits");
	}
	return integer ? check_integer(s, from) : 0;
}

static int scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if (s->len - s->at < n || memcmp(s->text + s->at, word, n) != 0) {
		return refuse(s, "not a value");
	}
	s->at += n;
	return 0;
}

static int scan_member(struct scan *s)
{
	skip_space(s);
	if (scan_string(s)) {
		return -1;
	}
	s->members++;
	skip_space(s);
	return accept(s, ':') ? scan_value(s) : refuse(s, "':' is needed here");
}

/* After the opening bracket: the inside and the closing bracket. */
static int scan_inside(struct scan *s, int (*element)(struct scan *), char close)
{
	if (++s->depth > s->depth_max) {
		return err_set(s->err, ERR_LIMIT, "JSON nested deeper than %u levels", s->depth_max);
	}
	skip_space(s);
	if (!accept(s, close)) {
		do {
			if (element(s)) {
				return -1;
			}
		} while (accept(s, ','));
		if (!accept(s, close)) {
			return refuse(s, close == '}' ? "',' or '}' is needed here" : "',' or ']' is needed here");
		}
	}
	s->depth--;
	return 0;
}

/* With the space around it. */
static int scan_value(struct scan *s)
{
	int rc;

	skip_space(s);
	switch (peek(s)) {
	case '{':
		s->at++;
		rc = scan_inside(s, scan_member, '}');
		break;
	case '[':
		s->at++;
		rc = scan_inside(s, scan_value, ']');
		break;
	case '"':
		rc = scan_string(s);
		break;
	case 't':
		rc = scan_word(s, "true");
		break;
	case 'f':
		rc = scan_word(s, "false");
		break;
	case 'n':
		rc = scan_word(s, "null");
		break;
	default:
		rc = scan_number(s);
	}
	skip_space(s);
	return rc;
}

int jsonscan_check(const char *text, size_t len, unsigned depth_max, size_t *members, struct err *err)
{
	struct scan s = {.text = text, .len = len, .depth_max = depth_max, .err = err};

	if (scan_value(&s)) {
		return -1;
	}
	if (s.at != len) {
		return refuse(&s, "text after the value");
	}
	*members = s.members;
	return 0;
}
