/*
 * Makes overlays by qemu-img: argv without a shell, formats named on the command line, a deadline. Knows nothing of
 * guests or of the pool.
 */
#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "clock.h"
#include "qcow2.h"
#include "util.h"

#define OUTPUT_MAX 256 /* of what qemu-img says: one line is enough to tell what is wrong */

/* Reads until the child has closed its standard error. Returns -1 at the deadline. */
static int read_until(int fd, mono_us until, char *text, size_t size)
{
	size_t len = 0;
	char more[256];

	for (;;) {
		span_us left = until - clock_mono();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)(left / USEC_PER_MSEC) + 1) == 0) {
			return -1;
		}
		n = read(fd, more, sizeof(more));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			text[len] = '\0';
			return 0;
		}
		for (ssize_t i = 0; i < n && len + 1 < size; i++) {
			text[len++] = more[i] == '\n' ? ' ' : more[i];
		}
	}
}

static int spawn_child(char *const argv[], int err_fd, pid_t *pid)
{
	static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					    "LC_ALL=C", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none); /* the program's own blocked signals are not the child's */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(pid, argv[0], &actions, &attr, argv, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int overlay_run(char *const argv[], span_us deadline, struct err *err)
{
	_cleanup_close_ int in = -1;
	mono_us until = clock_mono() + deadline;
	char text[OUTPUT_MAX] = "";
	int fds[2], status, rc, late;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return err_set(err, ERR_INTERNAL, "pipe: %s", strerror(errno));
	}
	in = fds[0];
	rc = spawn_child(argv, fds[1], &pid);
	close(fds[1]);
	if (rc != 0) {
		return err_set(err, ERR_INTERNAL, "cannot run %s: %s", argv[0], strerror(rc));
	}
	late = read_until(in, until, text, sizeof(text));
	if (late < 0) {
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (late < 0) {
		return err_set(err, ERR_TIMEOUT, "%s took longer than %" PRId64 " s", argv[0], deadline / USEC_PER_SEC);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		return err_set(err, ERR_INTERNAL, "%s failed: %s", argv[0], text[0] ? text : "no reason given");
	}
	return 0;
}

/* The size of the disk inside base. */
static int base_size(const char *base, enum image_format format, int64_t *size, struct err *err)
{
	_cleanup_close_ int fd = open(base, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *head = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_set(err, ERR_NOT_FOUND, "the image is not in the pool: %s: %s", base, strerror(errno));
	}
	if (format == IMAGE_RAW) {
		*size = st.st_size;
		return 0;
	}
	head = xcalloc(1, QCOW2_HEAD);
	n = pread(fd, head, QCOW2_HEAD, 0);
	if (n < 0) {
		return err_set(err, ERR_INTERNAL, "%s: %s", base, strerror(errno));
	}
	return qcow2_check(head, (size_t)n, size, err);
}

int overlay_rebase(const char *path, const char *base, enum image_format format, span_us deadline, struct err *err)
{
	char *argv[] = {"qemu-img", "rebase",     "-q", "-u",
			"-f",       "qcow2",      "-F", format == IMAGE_QCOW2 ? "qcow2" : "raw",
			"-b",       (char *)base, "--", (char *)path,
			NULL};

	return overlay_run(argv, deadline, err);
}

int overlay_make(const char *path, const char *base, enum image_format format, int64_t size, span_us deadline,
		 struct err *err)
{
	_cleanup_free_ char *part = xasprintf("%s.part", path);
	char bytes[24];
	char *argv[] = {"qemu-img", "create",     "-q", "-f", "qcow2", "-F", format == IMAGE_QCOW2 ? "qcow2" : "raw",
			"-b",       (char *)base, "--", part, NULL,    NULL};
	int64_t inside;

	if (access(path, F_OK) == 0) {
		return 0;
	}
	if (base_size(base, format, &inside, err) < 0) {
		return -1;
	}
	if (size < inside) {
		return err_set(err, ERR_IMAGE,
			       "its image holds a disk of %" PRId64 " bytes, booked are %" PRId64
			       ": submit it with --disk %" PRId64 "B or more",
			       inside, size, inside);
	}
	if (size > inside) {
		snprintf(bytes, sizeof(bytes), "%" PRId64, size - size % 512);
		argv[ARRAY_SIZE(argv) - 2] = bytes;
	}
	if (overlay_run(argv, deadline, err) < 0) {
		unlink(part);
		return -1;
	}
	if (rename(part, path) < 0) {
		return err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
	}
	return 0;
}
