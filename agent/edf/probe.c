/* The measuring tasks, and what their logs say. Who gives them a constraint, and judges, is study's. */
#include "probe.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "turns.h"
#include "util.h"

#define STALL_NS 1000000
#define PROBE_TURNS 64 /* without a single look at the clock in between */

/* Length of what both intervals have in common. */
static int64_t overlap(int64_t from_a, int64_t to_a, int64_t from_b, int64_t to_b)
{
	int64_t from = from_a > from_b ? from_a : from_b;
	int64_t to = to_a < to_b ? to_a : to_b;

	return to > from ? to - from : 0;
}

/* ---- in the child ---- */

static void note_gap(struct probe_log *log, int64_t from, int64_t to, int64_t cpu, bool away)
{
	uint32_t n = atomic_load_explicit(&log->count, memory_order_relaxed);

	if (n < PROBE_GAPS) {
		log->gap[n] = (struct probe_gap){from, to, cpu, .away = away};
		atomic_store_explicit(&log->count, n + 1, memory_order_release);
	}
}

/* Both clocks at the same time, if nobody comes in between each time they are read. */
static int64_t read_both(int64_t *cpu_ns)
{
	int64_t before = 0, after = INT64_MAX;

	for (int tries = 0; tries < 5 && after - before > PROBE_GAP_NS; tries++) {
		before = clock_mono_ns();
		*cpu_ns = clock_thread_ns();
		after = clock_mono_ns();
	}
	return after;
}

/* What a probe asks the kernel for. */
struct asked {
	struct turns *turns;
	int cpu, busy_fd;
	struct hole_mark mark; /* the last time */
};

/* The turns since the last time, and all clocks when none is left. */
static unsigned ask(const struct asked *asked, struct turn turn[PROBE_TURNS], struct hole_mark *now)
{
	unsigned n = 0, before;

	do {
		before = n;
		now->mono_ns = read_both(&now->cpu_ns);
		now->busy_ns = hole_busy_ns(asked->busy_fd, asked->cpu);
		while (n < PROBE_TURNS && turns_take(asked->turns, &turn[n])) {
			n++;
		}
	} while (n > before);
	return n;
}

/*
 * What the kernel knows of a time in which it did not get to look at the clock: it may have been given the CPU several
 * times for less than it takes to get back to work. What its clock counted while it was sent back and forth is known in
 * sum only.
 */
static void note_turns(struct probe_log *log, const struct hole_blind *blind, const int64_t ran_ns[])
{
	unsigned n = blind->n;
	int64_t cpu[PROBE_TURNS], end = blind->now.cpu_ns;
	int64_t known = blind->from_ns > blind->since.mono_ns ? blind->from_ns - blind->since.mono_ns : 0;
	int64_t counted = end - blind->since.cpu_ns - known;

	for (unsigned i = 0; i <= n; i++) {
		counted -= ran_ns[i];
	}
	counted = counted > 0 ? counted : 0;
	for (unsigned i = n; i-- > 0;) {
		end -= ran_ns[i + 1];
		cpu[i] = end - counted * (n - 1 - i) / n;
	}
	for (unsigned i = 0; i < n; i++) {
		note_gap(log, blind->turn[i].out_ns, blind->turn[i].in_ns, cpu[i], true);
	}
}

/* It did not get to look at the clock in [from, to). */
static void note_gaps(struct probe_log *log, struct asked *asked, int64_t from, int64_t to)
{
	struct turn turn[PROBE_TURNS];
	struct hole_blind blind = {.since = asked->mark, .from_ns = from, .to_ns = to, .turn = turn};
	int64_t known = log->gap[log->count - 1].to_ns;
	int64_t ran_ns[PROBE_TURNS + 1];

	blind.n = ask(asked, turn, &blind.now);
	if (asked->turns) {
		hole_note(&log->holes, &blind, ran_ns);
	}
	asked->mark = blind.now;
	if (blind.n > 0) {
		note_turns(log, &blind, ran_ns);
	} else if (to > known) {
		note_gap(log, from > known ? from : known, to, blind.now.cpu_ns - (blind.now.mono_ns - to), false);
	}
}

static void spin_logging(struct probe_log *log, int cpu)
{
	struct asked asked = {.turns = turns_open(), .cpu = cpu, .busy_fd = cpu < 0 ? -1 : hole_open_busy()};
	struct turn turn[PROBE_TURNS];

	while (ask(&asked, turn, &asked.mark) > 0) {
	}
	int64_t begin = asked.mark.mono_ns, last = begin;

	note_gap(log, begin, begin, asked.mark.cpu_ns, false);
	while (!atomic_load_explicit(&log->stop, memory_order_relaxed) && last - begin < PROBE_LIMIT_NS) {
		int64_t now = clock_mono_ns();

		if (now - last >= PROBE_GAP_NS) {
			note_gaps(log, &asked, last, now);
		}
		last = now; /* and no later reading: the CPU may be lost while a gap is noted */
	}
	atomic_store(&log->end_ns, last);
	while (true) {
		pause();
	}
}

static void spin(void)
{
	int64_t end = clock_mono_ns() + PROBE_LIMIT_NS;

	while (clock_mono_ns() < end) {
	}
}

static void echo(int fd, int64_t work_ns)
{
	char byte;

	while (read(fd, &byte, 1) == 1) {
		int64_t end = clock_thread_ns() + work_ns;

		while (clock_thread_ns() < end) {
		}
		int64_t done = clock_mono_ns();

		if (write(fd, &done, sizeof(done)) != sizeof(done)) {
			break;
		}
	}
}

static _Noreturn void child(const struct probe *probe, int cpu, int fd, int64_t work_ns)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, probe->kind == PROBE_LOG ? "probe" : probe->kind == PROBE_LOAD ? "load" : "echo");
	switch (probe->kind) {
	case PROBE_LOG:
		spin_logging(probe->log, cpu);
		break;
	case PROBE_LOAD:
		spin();
		break;
	case PROBE_ECHO:
		echo(fd, work_ns);
		break;
	}
	_exit(0);
}

/* ---- its life ---- */

static int pin(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return cpu == PROBE_ANYWHERE ? 0 : sched_setaffinity(pid, sizeof(set), &set);
}

int probe_start(struct probe *probe, enum probe_kind kind, int cpu, int64_t work_ns, struct err *err)
{
	int pair[2] = {-1, -1};

	*probe = (struct probe){.kind = kind, .ask = -1};
	if (kind == PROBE_LOG) {
		probe->log = mmap(NULL, sizeof(*probe->log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (probe->log == MAP_FAILED) {
			probe->log = NULL;
			return err_set(err, ERR_INTERNAL, "no memory for a log: %s", strerror(errno));
		}
	}
	if (kind == PROBE_ECHO && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_set(err, ERR_INTERNAL, "socketpair: %s", strerror(errno));
	}
	probe->pid = fork();
	if (probe->pid == 0) {
		close(pair[0]);
		pin(0, cpu);
		child(probe, cpu, pair[1], work_ns);
	}
	if (kind == PROBE_ECHO) {
		close(pair[1]);
		probe->ask = pair[0];
	}
	if (probe->pid < 0) {
		probe->pid = 0;
		probe_end(probe);
		return err_set(err, ERR_INTERNAL, "fork: %s", strerror(errno));
	}
	while (probe->log && atomic_load(&probe->log->count) == 0) {
		usleep(1000);
	}
	return 0;
}

void probe_stop(struct probe *probe)
{
	if (!probe->log) {
		return;
	}
	atomic_store(&probe->log->stop, true);
	while (atomic_load(&probe->log->end_ns) == 0 && kill(probe->pid, 0) == 0) {
		usleep(1000);
	}
}

void probe_end(struct probe *probe)
{
	if (probe->pid > 0) {
		kill(probe->pid, SIGKILL);
		while (waitpid(probe->pid, NULL, 0) < 0 && errno == EINTR) {
		}
	}
	if (probe->kind == PROBE_ECHO) {
		cleanup_close(&probe->ask);
	}
	if (probe->log) {
		munmap(probe->log, sizeof(*probe->log));
	}
	*probe = (struct probe){.ask = -1};
}

int64_t probe_ask(struct probe *probe, int64_t limit_ns)
{
	struct pollfd ready = {.fd = probe->ask, .events = POLLIN};
	int64_t start = clock_mono_ns();
	int64_t done;

	if (write(probe->ask, "x", 1) != 1 || poll(&ready, 1, (int)(limit_ns / 1000000)) != 1 ||
	    read(probe->ask, &done, sizeof(done)) != sizeof(done)) {
		return -1;
	}
	return done - start;
}

/* ---- what a log says ---- */

int64_t probe_begin_ns(const struct probe_log *log)
{
	return log->gap[0].to_ns;
}

/* The last gap that began at or before the time. */
static uint32_t gap_before(const struct probe_log *log, int64_t at_ns)
{
	uint32_t low = 0, high = log->count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (log->gap[middle].from_ns <= at_ns) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Received when the gap began: the time before it was spent running. */
static int64_t cpu_at_gap(const struct probe_log *log, uint32_t i)
{
	const struct probe_gap *gap = &log->gap[i];
	int64_t ran;

	if (i == 0) {
		return gap->cpu_ns;
	}
	if (gap->read) {
		return gap->left_ns;
	}
	ran = log->gap[i - 1].cpu_ns + gap->from_ns - log->gap[i - 1].to_ns;
	return ran < gap->cpu_ns ? ran : gap->cpu_ns;
}

/* What its CPU clock counted in a gap is the way back to it, at the end: when it is sent away, its clock stops first.
 */
static int64_t cpu_in_gap(const struct probe_log *log, uint32_t i, int64_t at_ns)
{
	int64_t before = cpu_at_gap(log, i);
	int64_t back = log->gap[i].cpu_ns - (log->gap[i].to_ns - at_ns);

	return back > before ? back : before;
}

void probe_correct(struct probe_log *log, const struct readings *readings)
{
	const struct reading *reading = readings->reading;
	size_t k = 0;

	for (uint32_t i = 1; i < log->count; i++) {
		struct probe_gap *gap = &log->gap[i];

		/* The first that was read twice and does not end before the gap begins. */
		while (k < readings->count &&
		       (reading[k].to_ns < gap->from_ns || reading[k].to_ns < reading[k].from_ns)) {
			k++;
		}
		if (k == readings->count) {
			break;
		}
		if (gap->away && reading[k].from_ns < gap->to_ns) {
			gap->left_ns = reading[k].cpu_ns;
			gap->cpu_ns = gap->cpu_ns > gap->left_ns ? gap->cpu_ns : gap->left_ns;
			gap->read = true;
		}
	}
}

int64_t probe_received(const struct probe_log *log, int64_t at_ns)
{
	uint32_t i = gap_before(log, at_ns);
	const struct probe_gap *gap = &log->gap[i];
	int64_t cpu = gap->cpu_ns + at_ns - gap->to_ns;

	if (at_ns < gap->to_ns) {
		cpu = cpu_in_gap(log, i, at_ns);
	} else if (i + 1 < log->count && cpu > cpu_at_gap(log, i + 1)) {
		cpu = cpu_at_gap(log, i + 1);
	}
	return cpu - log->gap[0].cpu_ns;
}

int64_t probe_when(const struct probe_log *log, int64_t received_ns)
{
	int64_t cpu = received_ns + log->gap[0].cpu_ns;
	uint32_t low = 0, high = log->count;

	/* The last gap after which it had less than that. */
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (log->gap[middle].cpu_ns < cpu) {
			low = middle;
		} else {
			high = middle;
		}
	}
	const struct probe_gap *next = low + 1 < log->count ? &log->gap[low + 1] : NULL;
	int64_t when = log->gap[low].to_ns + cpu - log->gap[low].cpu_ns;

	if (next && (when > next->from_ns || cpu > cpu_at_gap(log, low + 1))) {
		return next->to_ns - (next->cpu_ns - cpu);
	}
	return when <= log->end_ns ? when : INT64_MAX;
}

int64_t probe_stalled(const struct probe_log *log, int64_t from_ns, int64_t to_ns)
{
	int64_t stalled = 0;

	for (uint32_t i = 1; i < log->count; i++) {
		int64_t counted = log->gap[i].cpu_ns - cpu_at_gap(log, i);

		if (log->gap[i].from_ns >= from_ns && log->gap[i].to_ns < to_ns && counted >= STALL_NS) {
			stalled += counted;
		}
	}
	return stalled;
}

/* When the task that runs after gap i stops running. */
static int64_t run_end(const struct probe_log *log, uint32_t i)
{
	return i + 1 < log->count ? log->gap[i + 1].from_ns : log->end_ns;
}

int64_t probe_together(const struct probe_log *a, const struct probe_log *b, int64_t from_ns, int64_t to_ns)
{
	uint32_t i = 0, j = 0;
	int64_t sum = 0;

	while (i < a->count && j < b->count) {
		int64_t from = a->gap[i].to_ns > from_ns ? a->gap[i].to_ns : from_ns;
		int64_t to = run_end(a, i) < to_ns ? run_end(a, i) : to_ns;

		sum += to > from ? overlap(from, to, b->gap[j].to_ns, run_end(b, j)) : 0;
		if (run_end(a, i) < run_end(b, j)) {
			i++;
		} else {
			j++;
		}
	}
	return sum;
}
