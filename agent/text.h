/* Texts in reports: short, one line, and plain whatever libvirt, libcurl or a server said; and lines about guests. */
#ifndef TENURE_AGENT_TEXT_H
#define TENURE_AGENT_TEXT_H

#include "book.h"
#include "log.h"
#include "part.h"

/*
 * Formats into out. A text that is too long loses its middle: libvirt says first what failed, and last why. Bytes that
 * are not printable ASCII become '?', as a cut UTF-8 letter is no JSON.
 */
void text_put(char out[PART_TEXT_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs a line about the guest, whose name goes before it. */
void text_log(const struct book_key *key, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
