/* When the CPU was not there: see hole.h. */
#include "hole.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

#define BUSY_TEXT 16384 /* of some hundred CPUs */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int hole_open_busy(void)
{
	static const char *const folders[] = {"/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"};
	int fd = -1;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && fd < 0; i++) {
		_cleanup_free_ char *root = xasprintf("%s/release_agent", folders[i]);
		_cleanup_free_ char *path = xasprintf("%s/cpuacct.usage_percpu", folders[i]);

		/* In a container this may be a group, which does not know of all who run; only the root has that file.
		 */
		fd = access(root, F_OK) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	}
	return fd;
}

int64_t hole_busy_ns(int fd, int cpu)
{
	char text[BUSY_TEXT];
	ssize_t size = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	char *at = text, *end = text;
	long long busy = -1;

	text[size > 0 ? size : 0] = '\0';
	for (int i = 0; i <= cpu; i++, at = end) {
		busy = strtoll(at, &end, 10);
		if (end == at) {
			return -1;
		}
	}
	return busy;
}

static void put(struct hole_log *log, const struct hole *hole)
{
	uint32_t n = atomic_load_explicit(&log->count, memory_order_relaxed);

	if (n < HOLES && hole->gone_ns >= HOLE_NS) {
		log->hole[n] = *hole;
		atomic_store_explicit(&log->count, n + 1, memory_order_release);
	}
}

static int64_t run_begin(const struct hole_blind *blind, unsigned i)
{
	return i > 0 ? blind->turn[i - 1].in_ns : most(blind->from_ns, blind->since.mono_ns);
}

static int64_t run_end(const struct hole_blind *blind, unsigned i)
{
	int64_t end = i < blind->n ? blind->turn[i].out_ns : blind->n > 0 ? blind->now.mono_ns : blind->to_ns;

	return most(end, run_begin(blind, i));
}

/* of * a / b; nothing of nothing */
static int64_t part(int64_t of, int64_t a, int64_t b)
{
	return b > 0 ? (int64_t)((__int128)of * a / b) : 0;
}

void hole_note(struct hole_log *log, const struct hole_blind *blind, int64_t ran_ns[])
{
	const struct hole_mark *since = &blind->since, *now = &blind->now;
	int64_t passed = now->mono_ns - since->mono_ns;
	int64_t away = 0, runs = 0, doubt = blind->n * HOLE_NS;

	for (unsigned i = 0; i <= blind->n; i++) {
		runs += run_end(blind, i) - run_begin(blind, i);
		away += i < blind->n ? blind->turn[i].in_ns - most(blind->turn[i].out_ns, since->mono_ns) : 0;
	}
	int64_t own = most(0, passed - away - (now->cpu_ns - since->cpu_ns) - doubt);
	int64_t others = since->busy_ns < 0 || now->busy_ns < 0
				 ? 0
				 : most(0, passed - (now->busy_ns - since->busy_ns) - own - doubt);
	int64_t here = least(own, runs);

	/* The kernel takes off the thread's clock what the hypervisor tells, and that may be late. */
	put(log, &(struct hole){since->mono_ns, run_begin(blind, 0), own - here, false});
	for (unsigned i = 0; i <= blind->n; i++) {
		int64_t from = run_begin(blind, i), to = run_end(blind, i);
		int64_t gone = part(here, to - from, runs);

		ran_ns[i] = to - from - gone;
		put(log, &(struct hole){from, to, gone, false});
		if (i < blind->n) {
			int64_t in = blind->turn[i].in_ns;

			put(log, &(struct hole){to, in, part(least(others, away), in - to, away), true});
		}
	}
}

/* The first hole that ends behind at_ns, or how many there are. */
static uint32_t first_behind(const struct hole_log *log, uint32_t n, int64_t at_ns)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (log->hole[middle].to_ns <= at_ns) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

int64_t hole_within(const struct hole_log *log, int64_t from_ns, int64_t to_ns)
{
	uint32_t n = atomic_load_explicit(&log->count, memory_order_acquire);
	int64_t sum = 0;

	for (uint32_t i = first_behind(log, n, from_ns); i < n && log->hole[i].from_ns < to_ns; i++) {
		const struct hole *hole = &log->hole[i];

		if (!hole->others || hole->from_ns <= from_ns || hole->to_ns <= to_ns) {
			sum += least(hole->gone_ns, least(to_ns, hole->to_ns) - most(from_ns, hole->from_ns));
		}
	}
	return sum;
}
