/* Escapes what a terminal would obey. Knows nothing of JSON beyond that its newlines are layout. */
#include "safe.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util.h"

/* Bytes of the UTF-8 sequence at s (1-4), its character through *c; 0 if it is not one. */
static size_t decode(const char *s, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	size_t len = p[0] < 0x80             ? 1
		     : (p[0] & 0xe0) == 0xc0 ? 2
		     : (p[0] & 0xf0) == 0xe0 ? 3
		     : (p[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t value = len == 1 ? p[0] : p[0] & (0x7fu >> len);

	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
		value = value << 6 | (p[i] & 0x3f);
	}
	if (len == 0 || value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
		return 0;
	}
	*c = value;
	return len;
}

static bool is_hostile(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0xfeff || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f);
}

static char *escape(const char *text, bool keep_newlines)
{
	char *out = xcalloc(strlen(text) + 1, 6);
	char *end = out;

	while (*text) {
		uint32_t c = (unsigned char)*text;
		size_t len = decode(text, &c);

		if (len == 0 || (is_hostile(c) && !(keep_newlines && c == '\n'))) {
			end += sprintf(end, "\\u%04x", (unsigned)c);
			len = len ? len : 1;
		} else {
			memcpy(end, text, len);
			end += len;
		}
		text += len;
	}
	return out;
}

char *safe_text(const char *text)
{
	return escape(text, false);
}

char *safe_json(const char *json)
{
	return escape(json, true);
}
