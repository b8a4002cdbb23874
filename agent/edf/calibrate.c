/*
 * A process that computes, and on its CPU a thread of ours that wakes 400 times and does what a dispatcher does. What
 * the process did not get of the time is what the wake-ups cost: with the switches between two address spaces, and with
 * caches that are full of something else. Knows nothing of tasks and tables.
 */
#include "calibrate.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "dispatch.h"
#include "proc.h"
#include "util.h"

#define ROUNDS 8
#define TRIES 3 /* of so many rounds, while what comes out is hardly the machine's */
#define WAKE_PLAUSIBLE_NS 60000
#define LATE_PLAUSIBLE_NS 250000
#define WAKES 50 /* of a round */
#define INTERVAL_NS 1000000
#define STACK_SIZE (256 * 1024)
#define WORKING_SET (512 * 1024) /* of the process, in bytes: what a dispatcher finds in the caches is not its own */
#define SPINNER_LIMIT_NS (2 * INT64_C(1000000000)) /* whatever goes wrong, nobody spins longer */

struct trial {
	int cpu;
	pid_t spinner;
	int fd; /* of the spinner's CPU time */
	struct edf edf;
	int rounds;
	int64_t cost_ns[ROUNDS];
	int64_t late_ns[ROUNDS]; /* the latest */
};

/* In a fork of a process that may have threads: calls nothing but what a signal handler may. */
static _Noreturn void spin(volatile char *memory)
{
	int64_t end = clock_mono_ns() + SPINNER_LIMIT_NS;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (clock_mono_ns() < end) {
		for (size_t i = 0; i < WORKING_SET; i += 64) {
			memory[i]++;
		}
	}
	_exit(0);
}

/* As a dispatcher's pass: charge, look, set priorities. */
static void work(struct trial *trial, int64_t now, int64_t *seen)
{
	unsigned order[EDF_LADDER];
	int64_t ns = proc_cpu_ns(trial->fd);
	int64_t again;

	edf_charge(&trial->edf, 0, ns - *seen);
	*seen = ns;
	edf_look(&trial->edf, now, order, &again);
	proc_park(trial->spinner);
	proc_fifo(trial->spinner, DISPATCH_TOP);
}

static void sleep_to(int64_t at)
{
	struct timespec t = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void *measure(void *arg)
{
	static const struct edf_constraint constraint = {.slice_ns = INTERVAL_NS, .period_ns = 2 * INTERVAL_NS};
	struct trial *trial = arg;
	struct edf_floor floor = edf_floor_default();
	int64_t seen = proc_cpu_ns(trial->fd);

	/* From here on, for who started it may be on this CPU. */
	proc_fifo(trial->spinner, DISPATCH_TOP);
	edf_init(&trial->edf, &floor, clock_mono_ns());
	edf_set(&trial->edf, 0, &constraint, clock_mono_ns(), clock_mono_ns());
	for (int round = 0; round < trial->rounds; round++) {
		int64_t cpu = proc_cpu_ns(trial->fd);
		int64_t start = clock_mono_ns();

		for (int i = 0; i < WAKES; i++) {
			int64_t at = start + (i + 1) * INTERVAL_NS;
			int64_t now;

			sleep_to(at);
			now = clock_mono_ns();
			trial->late_ns[round] = now - at > trial->late_ns[round] ? now - at : trial->late_ns[round];
			work(trial, now, &seen);
		}
		/* From the end of one wake-up's work to the end of another's. */
		trial->cost_ns[round] = (clock_mono_ns() - start - (proc_cpu_ns(trial->fd) - cpu)) / WAKES;
	}
	kill(trial->spinner, SIGKILL);
	return NULL;
}

static int start_measuring(pthread_t *thread, struct trial *trial)
{
	struct sched_param param = {.sched_priority = DISPATCH_PRIORITY};
	pthread_attr_t attr;
	cpu_set_t set;
	int rc;

	CPU_ZERO(&set);
	CPU_SET((size_t)trial->cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	rc = pthread_create(thread, &attr, measure, trial);
	pthread_attr_destroy(&attr);
	return rc;
}

static int ascending(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static pid_t start_spinner(int cpu)
{
	char *memory = xcalloc(1, WORKING_SET);
	pid_t pid = fork();
	cpu_set_t set;

	if (pid == 0) {
		spin(memory);
	}
	free(memory);
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (pid > 0) {
		sched_setaffinity(pid, sizeof(set), &set);
	}
	return pid;
}

static int run_trial(struct trial *trial, struct err *err)
{
	pthread_t measurer;
	int rc;

	trial->spinner = start_spinner(trial->cpu);
	if (trial->spinner < 0) {
		return err_set(err, ERR_LIMIT, "cannot calibrate on CPU %d: fork: %s", trial->cpu, strerror(errno));
	}
	trial->fd = proc_cpu_open(trial->spinner, trial->spinner);
	rc = trial->fd < 0 ? errno : start_measuring(&measurer, trial);
	if (rc == 0) {
		pthread_join(measurer, NULL);
	}
	kill(trial->spinner, SIGKILL);
	waitpid(trial->spinner, NULL, 0);
	cleanup_close(&trial->fd);
	return rc == 0 ? 0 : err_set(err, ERR_DENIED, "cannot calibrate on CPU %d: %s", trial->cpu, strerror(rc));
}

static int measure_rounds(int cpu, int rounds, struct calibration *out, struct err *err)
{
	_cleanup_free_ struct trial *trial = xcalloc(1, sizeof(*trial));

	trial->cpu = cpu;
	trial->rounds = rounds;
	trial->fd = -1;
	if (run_trial(trial, err) < 0) {
		return -1;
	}
	qsort(trial->cost_ns, (size_t)rounds, sizeof(int64_t), ascending);
	qsort(trial->late_ns, (size_t)rounds, sizeof(int64_t), ascending);
	/* Not the median: other load of the host, not ours, makes some rounds dear, and may do so for long. */
	out->wake_ns = trial->cost_ns[rounds / 4];
	out->late_ns = trial->late_ns[rounds / 4];
	return 0;
}

int calibrate_measure(int cpu, struct calibration *out, struct err *err)
{
	struct calibration best = {INT64_MAX, INT64_MAX}, latest;

	for (int tries = 0; tries < TRIES; tries++) {
		if (measure_rounds(cpu, ROUNDS, &latest, err) < 0) {
			return -1;
		}
		best.wake_ns = latest.wake_ns < best.wake_ns ? latest.wake_ns : best.wake_ns;
		best.late_ns = latest.late_ns < best.late_ns ? latest.late_ns : best.late_ns;
		if (best.wake_ns <= WAKE_PLAUSIBLE_NS && best.late_ns <= LATE_PLAUSIBLE_NS) {
			break;
		}
	}
	*out = best;
	return 0;
}

int calibrate_check(int cpu, struct calibration *calibration, bool *changed, struct err *err)
{
	struct calibration now;

	*changed = false;
	if (measure_rounds(cpu, 1, &now, err) < 0) {
		return -1;
	}
	if (!calibrate_better(calibration, &now)) {
		return 0;
	}
	if (calibrate_measure(cpu, &now, err) < 0) {
		return -1;
	}
	*changed = calibrate_better(calibration, &now);
	*calibration = *changed ? now : *calibration;
	return 0;
}

/* ---- keeping it ---- */

static char *boot_id(void)
{
	char *id = file_read("/proc/sys/kernel/random/boot_id", 64, NULL);

	if (id) {
		id[strcspn(id, "\n")] = '\0';
	}
	return id;
}

int calibrate_load(const char *run_dir, struct calibration *out, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/calibration", run_dir);
	_cleanup_free_ char *text = file_read(path, 256, NULL);
	_cleanup_free_ char *boot = boot_id();
	struct calibration read;
	char id[64];

	if (!text || !boot || sscanf(text, "%63s %" SCNd64 " %" SCNd64, id, &read.wake_ns, &read.late_ns) != 3 ||
	    strcmp(id, boot) != 0 || read.wake_ns <= 0 || read.late_ns <= 0) {
		return err_set(err, ERR_NOT_FOUND, "%s has no calibration since the machine started", run_dir);
	}
	*out = read;
	return 0;
}

int calibrate_save(const char *run_dir, const struct calibration *calibration, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/calibration", run_dir);
	_cleanup_free_ char *boot = boot_id();
	_cleanup_free_ char *text = xasprintf("%s %" PRId64 " %" PRId64 "\n", boot ? boot : "-", calibration->wake_ns,
					      calibration->late_ns);

	return file_replace(path, text, strlen(text), 0644, err);
}

/* ---- what follows from it ---- */

bool calibrate_better(const struct calibration *stored, const struct calibration *now)
{
	return 3 * now->wake_ns < 2 * stored->wake_ns || calibrate_period_min_us(now) < calibrate_period_min_us(stored);
}

int64_t calibrate_period_min_us(const struct calibration *calibration)
{
	static const int64_t steps_us[] = {100, 200, 500, 1000, 2000, 5000, 10000};
	int64_t need_ns = 40 * calibration->wake_ns;

	if (4 * calibration->late_ns > need_ns) {
		need_ns = 4 * calibration->late_ns;
	}
	for (size_t i = 0; i < ARRAY_SIZE(steps_us) - 1; i++) {
		if (steps_us[i] * 1000 >= need_ns) {
			return steps_us[i];
		}
	}
	return steps_us[ARRAY_SIZE(steps_us) - 1];
}

static int64_t read_sysctl(const char *path)
{
	_cleanup_free_ char *text = file_read(path, 64, NULL);

	return text ? strtoll(text, NULL, 10) : -1;
}

uint32_t calibrate_limit_ppm(int64_t wish_ppm)
{
	int64_t runtime = read_sysctl("/proc/sys/kernel/sched_rt_runtime_us");
	int64_t period = read_sysctl("/proc/sys/kernel/sched_rt_period_us");
	/* Since Linux 6.12 a "fair server" keeps 5 % for others even where the runtime is without limit. */
	int64_t kernel = 950000;

	if (runtime >= 0 && period > 0 && runtime * 1000000 / period < kernel) {
		kernel = runtime * 1000000 / period;
	}
	kernel -= 10000;
	wish_ppm = wish_ppm ? wish_ppm : CALIBRATE_LIMIT_PPM;
	return (uint32_t)(wish_ppm < kernel ? wish_ppm : kernel > 0 ? kernel : 0);
}
