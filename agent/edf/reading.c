/* CPU clocks read from outside: see reading.h. */
#include "reading.h"

#include <stdlib.h>

#include "clock.h"
#include "proc.h"
#include "util.h"

#define SLOW_NS 20000 /* a reading that took longer says little about when */

void readings_open(struct readings *readings, pid_t pid)
{
	*readings = (struct readings){.fd = proc_cpu_open(pid, pid)};
}

void readings_take(struct readings *readings)
{
	int64_t before = clock_mono_ns();
	int64_t cpu = readings->fd < 0 ? -1 : proc_cpu_ns(readings->fd);
	int64_t after = clock_mono_ns();
	struct reading *last = readings->count > 0 ? &readings->reading[readings->count - 1] : NULL;

	if (cpu < 0 || after - before > SLOW_NS) {
		return;
	}
	if (last && last->cpu_ns == cpu) {
		last->to_ns = before;
		return;
	}
	if (readings->count == readings->size) {
		readings->size = readings->size ? 2 * readings->size : 1024;
		readings->reading = xrealloc(readings->reading, readings->size, sizeof(*readings->reading));
	}
	/* Once is not enough to know an instant at which it stood there: the interval is empty. */
	readings->reading[readings->count++] = (struct reading){after, before, cpu};
}

void readings_close(struct readings *readings)
{
	cleanup_close(&readings->fd);
	free(readings->reading);
	*readings = (struct readings){.fd = -1};
}
