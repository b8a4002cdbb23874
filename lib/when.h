/* Times, durations and sizes as people write them, and back. */
#ifndef TENURE_WHEN_H
#define TENURE_WHEN_H

#include <stdint.h>

#include "err.h"
#include "usec.h"

#define WHEN_TEXT 40 /* room for anything the format functions write, with its NUL */

/*
 * A moment: "now", "+2h30m", "today 14:00", "tomorrow 14:00", "friday 9:30", "14:00" (the next one), ISO 8601
 * ("2026-11-21T14:00", with seconds, fraction, and Z or +01:00; without a zone it is local time). A bare number is
 * refused: its unit would be a guess. On failure err says which forms there are and *out is untouched.
 */
int when_parse(const char *text, wall_us now, wall_us *out, struct err *err);
/* A duration > 0: "90s", "1h30m", "2d", "250ms", "1.5h". Bare numbers are refused. */
int when_parse_span(const char *text, span_us *out, struct err *err);
/* A size >= 0 in bytes: "512M", "20GiB", "1.5G" (powers of 1024), "100MB" (powers of 1000), "64KiB", "0". */
int when_parse_size(const char *text, int64_t *out, struct err *err);
/* CPU in millicores, > 0: "2" cores, "0.5", "250m". */
int when_parse_cpu(const char *text, int64_t *out, struct err *err);

/* ISO 8601 in UTC with milliseconds: "2026-11-21T14:00:00.000Z"; "-" for 0; "never" from WALL_NEVER on. */
void when_iso(wall_us t, char out[WHEN_TEXT]);
/* Local time, short: "14:00:05" if on the same day as now, else "Nov 22 14:00". */
void when_local(wall_us t, wall_us now, char out[WHEN_TEXT]);
/* "1h30m", "40s", "1.5s", "250ms". */
void when_span(span_us span, char out[WHEN_TEXT]);
/* "512 MiB", "1.5 GiB", "12 B". */
void when_size(int64_t bytes, char out[WHEN_TEXT]);

#endif
