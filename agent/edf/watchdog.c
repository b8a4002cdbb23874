/*
 * Forked from a process that may have many threads: the child uses system calls and its stack only. It holds no
 * descriptor of the parent's but standard error, and is not in its session, so that what ends the parent spares it.
 */
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "dispatch.h"
#include "util.h"

#define CHECK_NS (100 * INT64_C(1000000))
#define STALLED_NS (500 * INT64_C(1000000))
#define OWNER_FD 3
#define WAKE_FD 4

static bool is_stalled(const struct table *table, int64_t now)
{
	for (uint32_t i = 0; i < table->cpu_count; i++) {
		const struct table_cpu *cpu = &table->cpu[i];

		if (atomic_load(&cpu->bound_count) && now - atomic_load(&cpu->beat_ns) > STALLED_NS) {
			return true;
		}
	}
	return false;
}

static void say(const char *what, unsigned n)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "tenure-edf watchdog: %s: %u threads given back\n", what, n);

	if (n && len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0) {
		return;
	}
}

/* Twice in a row, and only if we ourselves were not late: then it was the machine that stood still. */
static void watch(struct table *table)
{
	struct pollfd fds[] = {{.fd = OWNER_FD, .events = POLLIN}, {.fd = WAKE_FD, .events = POLLIN}};
	int64_t before = clock_mono_ns();
	unsigned stalled = 0;

	for (;;) {
		bool idle = !atomic_load(&table->held) || atomic_load(&table->released);
		uint64_t count;
		int64_t now;

		poll(fds, 2, idle ? -1 : (int)(CHECK_NS / 1000000));
		if (fds[0].revents) {
			say("the engine has ended", table_restore_all(table, true));
			return;
		}
		if (fds[1].revents && read(WAKE_FD, &count, sizeof(count)) < 0) {
			return;
		}
		now = clock_mono_ns();
		stalled = !idle && now - before < 2 * CHECK_NS && is_stalled(table, now) ? stalled + 1 : 0;
		before = now;
		if (stalled == 2) {
			/* First: a dispatcher that comes back to life must not take any of them up again. */
			atomic_store(&table->released, 1);
			say("the engine stands still", table_restore_all(table, false));
		}
	}
}

static void stay(int fd, int at)
{
	if (fd == at) {
		fcntl(fd, F_SETFD, 0);
	} else {
		dup2(fd, at);
	}
}

/* Both come from above 4: see watchdog_start(). */
static void keep_two(int owner_fd, int wake_fd)
{
	int null = open("/dev/null", O_RDWR);

	stay(owner_fd, OWNER_FD);
	stay(wake_fd, WAKE_FD);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	syscall(SYS_close_range, WAKE_FD + 1, ~0u, 0);
}

static void __attribute__((noreturn)) child(struct table *table, int owner_fd, int wake_fd)
{
	struct sched_param param = {.sched_priority = DISPATCH_CONTROL};
	cpu_set_t all;

	keep_two(owner_fd, wake_fd);
	setsid();
	for (int number = 1; number < NSIG; number++) {
		signal(number, SIG_IGN);
	}
	prctl(PR_SET_NAME, "edf-watchdog");
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	/* Where that is refused, nothing has a real-time priority that could keep us off the CPU. */
	sched_setscheduler(0, SCHED_FIFO, &param);
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	watch(table);
	_exit(0);
}

static int above(int fd)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, WAKE_FD + 1);
	int saved = errno;

	if (fd >= 0) {
		close(fd);
	}
	errno = saved;
	return high;
}

int watchdog_start(struct watchdog *watchdog, struct table *table, struct err *err)
{
	_cleanup_close_ int owner = above((int)syscall(SYS_pidfd_open, getpid(), 0));
	int wake = above(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	sigset_t all, old;
	pid_t pid = -1;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	if (owner >= 0 && wake >= 0) {
		pid = fork();
	}
	if (pid == 0) {
		child(table, owner, wake);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		err_set(err, ERR_LIMIT, "cannot start the watchdog: %s", strerror(errno));
		cleanup_close(&wake);
		return -1;
	}
	*watchdog = (struct watchdog){.pid = pid, .pid_fd = (int)syscall(SYS_pidfd_open, pid, 0), .wake_fd = wake};
	return 0;
}

void watchdog_wake(const struct watchdog *watchdog)
{
	static const uint64_t one = 1;

	if (watchdog->pid > 0 && write(watchdog->wake_fd, &one, sizeof(one)) < 0) {
		return;
	}
}

void watchdog_stop(struct watchdog *watchdog)
{
	if (watchdog->pid > 0) {
		kill(watchdog->pid, SIGKILL);
		waitpid(watchdog->pid, NULL, 0);
		cleanup_close(&watchdog->pid_fd);
		close(watchdog->wake_fd);
		*watchdog = (struct watchdog){.pid = -1, .pid_fd = -1, .wake_fd = -1};
	}
}
