/* Making texts fit for a report. Decides nothing about what they say. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_put(char out[PART_TEXT_MAX], const char *format, ...)
{
	char text[PART_TEXT_MAX] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *p = text; *p; p++) {
		if (*p < ' ' || *p > '~') {
			*p = '?';
		}
	}
	/* The format's arguments may point into out. */
	memcpy(out, text, sizeof(text));
}
