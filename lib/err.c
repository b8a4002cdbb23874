/* Filling and prefixing struct err. Decides nothing and logs nothing. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
	va_list args;
	/* Not straight into err->text: callers may quote the text that err holds. */
	char text[sizeof(err->text)];

	if (err) {
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		memcpy(err->text, text, sizeof(text));
		err->code = code;
	}
	return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
	va_list args;
	char text[2 * sizeof(err->text) + 2];
	int n;

	if (err) {
		va_start(args, format);
		n = vsnprintf(text, sizeof(err->text), format, args);
		va_end(args);
		n = n < (int)sizeof(err->text) ? n : (int)sizeof(err->text) - 1;
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", err->text);
		memcpy(err->text, text, sizeof(err->text) - 1);
		err->text[sizeof(err->text) - 1] = '\0';
	}
	return -1;
}

const char *err_name(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return "none";
	case ERR_PARSE:
		return "parse";
	case ERR_REQUEST:
		return "request";
	case ERR_METHOD:
		return "method";
	case ERR_PARAMS:
		return "params";
	case ERR_INTERNAL:
		return "internal";
	case ERR_DENIED:
		return "denied";
	case ERR_NOT_FOUND:
		return "not_found";
	case ERR_REJECTED:
		return "rejected";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_STORE:
		return "store";
	case ERR_UNAVAILABLE:
		return "unavailable";
	case ERR_LIMIT:
		return "limit";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_IMAGE:
		return "image";
	case ERR_STALE:
		return "stale";
	}
	return "unknown"; /* a number from a newer peer */
}
