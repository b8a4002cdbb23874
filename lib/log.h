/* Logging to stderr, one line a fact, with sd-journal prefixes when systemd reads it. Only programs decide to log. */
#ifndef TENURE_LOG_H
#define TENURE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR,   /* someone must act */
	LOG_LEVEL_WARNING, /* we went on */
	LOG_LEVEL_INFO,    /* state changes an operator would want */
	LOG_LEVEL_DEBUG
};

/* Lines above max are dropped. Under systemd (JOURNAL_STREAM set) lines begin "<N>", else with an ISO 8601 time. */
void log_init(enum log_level max);
int log_level_parse(const char *name, enum log_level *level); /* "error" "warning" "info" "debug"; -1 if unknown */
/* Control characters in the line are written as \xNN: names from outside cannot forge a line. Thread-safe. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
