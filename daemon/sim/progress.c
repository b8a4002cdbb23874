/* The progress line. The only part of a simulation that looks at a clock. */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "when.h"

#define FIRST_US USEC_PER_SEC
#define EVERY_US (200 * USEC_PER_MSEC)
#define BAR 30

void progress_init(struct progress *progress, bool quiet)
{
	*progress = (struct progress){.on = !quiet && isatty(STDERR_FILENO), .begin_us = clock_mono()};
}

void progress_tell(void *arg, wall_us now, size_t final, size_t jobs)
{
	static const char full[] = "##############################", empty[] = "..............................";
	struct progress *progress = arg;
	mono_us clock_us = progress->on ? clock_mono() : 0;
	char simulated[WHEN_TEXT], left[WHEN_TEXT] = "?";

	if (!progress->on || clock_us - progress->begin_us < FIRST_US || clock_us - progress->told_us < EVERY_US) {
		return;
	}
	int part = jobs ? (int)(final * BAR / jobs) : 0;
	if (final) {
		double spent_us = (double)(clock_us - progress->begin_us);
		span_us left_us = (span_us)(spent_us * (double)(jobs - final) / (double) final);
		when_span(left_us - left_us % USEC_PER_SEC, left);
	}
	when_span(now - now % USEC_PER_MINUTE, simulated);
	fprintf(stderr, "\r[%.*s%.*s] %zu of %zu leases, %s simulated, %s left \033[K", part, full, BAR - part, empty,
		final, jobs, simulated, left);
	progress->told_us = clock_us;
	progress->shown = true;
}

void progress_end(struct progress *progress)
{
	if (progress->shown) {
		fputs("\r\033[K", stderr);
	}
}
