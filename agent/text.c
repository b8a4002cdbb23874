/* Making texts fit for a report or the log. Decides nothing about what they say. */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GAP " ... "

void text_put(char out[PART_TEXT_MAX], const char *format, ...)
{
	char text[4 * PART_TEXT_MAX] = "";
	const size_t tail = PART_TEXT_MAX / 2, head = PART_TEXT_MAX - tail - strlen(GAP);
	size_t len;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *p = text; *p; p++) {
		if (*p < ' ' || *p > '~') {
			*p = '?';
		}
	}
	len = strlen(text);
	if (len >= PART_TEXT_MAX) {
		memcpy(text + head, GAP, strlen(GAP));
		memmove(text + PART_TEXT_MAX - tail, text + len + 1 - tail, tail);
	}
	/* The format's arguments may point into out. */
	memcpy(out, text, PART_TEXT_MAX);
}

void text_log(const struct book_key *key, enum log_level level, const char *format, ...)
{
	char text[640];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(level, "guest %" PRIu64 "/%" PRIu32 "/%" PRIu32 ": %s", key->lease, key->vm, key->generation, text);
}
