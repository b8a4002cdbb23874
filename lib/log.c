/* Log lines to stderr, for systemd's journal or for people. Keeps no files and rotates nothing. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "util.h"
#include "when.h"

#define FORMAT_MAX 2048 /* of one line as formatted; err.text is 512 */
#define WRITE_MAX 4096  /* of one line as written: PIPE_BUF, so that threads and processes do not mix their lines */

static const struct {
	const char *name;
	int priority; /* syslog's, which sd-daemon(3) prefixes use */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

static atomic_int log_max = LOG_LEVEL_INFO;
static atomic_bool log_journal;

/* JOURNAL_STREAM is inherited by children whose stderr may go elsewhere, so the file it names must be ours. */
static bool journal_reads_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char ours[64];

	if (!stream || fstat(STDERR_FILENO, &st) < 0) {
		return false;
	}
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void log_init(enum log_level max)
{
	log_max = (int)max;
	log_journal = journal_reads_stderr();
}

int log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

/* ASCII controls, DEL, and U+0080..U+009F, which terminals obey too. */
static bool is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f);
}

/* Appends text to out (of WRITE_MAX, n used already) with controls escaped and a newline; returns the length. */
static size_t append_escaped(char *out, size_t n, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	/* 4 for an escape, 1 for the newline, 1 for snprintf's NUL. */
	for (; *s && n < WRITE_MAX - 6; s++) {
		if (is_control(s)) {
			n += (size_t)snprintf(out + n, 5, "\\x%02x", *s);
		} else {
			out[n++] = (char)*s;
		}
	}
	out[n++] = '\n';
	return n;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[FORMAT_MAX], line[WRITE_MAX], now[WHEN_TEXT];
	int saved = errno, n;
	va_list args;
	size_t len;

	if ((int)level > log_max) {
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (log_journal) {
		n = snprintf(line, sizeof(line), "<%d>", levels[level].priority);
	} else {
		when_iso(clock_wall(), now);
		n = snprintf(line, sizeof(line), "%s %s: ", now, levels[level].name);
	}
	len = append_escaped(line, (size_t)n, text);
	/* One write for one line; there is nobody to tell if it fails. */
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR) {
	}
	errno = saved;
}
