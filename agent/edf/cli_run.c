/* tenure-edf run: starts a program that waits until it has its constraint, and ends as it does. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "ask.h"
#include "cli.h"
#include "jsonx.h"
#include "proc.h"
#include "util.h"

#define EXIT_NOT_FOUND 127 /* as a shell's */
#define EXIT_NOT_RUN 126

/* The program, between fork and exec. */
struct child {
	pid_t pid;
	int go_fd;  /* written: may exec */
	int why_fd; /* read: errno of exec; nothing if it worked */
};

static volatile sig_atomic_t child_pid;

static void __attribute__((noreturn)) be_child(char **argv, int go_fd, int why_fd)
{
	char go;
	int why;

	if (read(go_fd, &go, 1) == 1) {
		execvp(argv[0], argv);
		why = errno;
		(void)!write(why_fd, &why, sizeof(why));
	}
	_exit(EXIT_NOT_RUN);
}

static int start_child(struct child *child, char **argv, struct err *err)
{
	int go[2], why[2];

	if (pipe2(go, O_CLOEXEC) < 0) {
		return err_set(err, ERR_LIMIT, "pipe: %s", strerror(errno));
	}
	if (pipe2(why, O_CLOEXEC) < 0) {
		close(go[0]);
		close(go[1]);
		return err_set(err, ERR_LIMIT, "pipe: %s", strerror(errno));
	}
	child->pid = fork();
	if (child->pid == 0) {
		close(go[1]);
		be_child(argv, go[0], why[1]);
	}
	close(go[0]);
	close(why[1]);
	child->go_fd = go[1];
	child->why_fd = why[0];
	if (child->pid < 0) {
		return err_set(err, ERR_LIMIT, "fork: %s", strerror(errno));
	}
	return 0;
}

static void end_child(struct child *child)
{
	close(child->go_fd);
	close(child->why_fd);
	if (child->pid > 0) {
		waitpid(child->pid, NULL, 0);
	}
}

static int attach_child(const struct cli_options *options, const struct child *child, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result = NULL;
	const char *slash = strrchr(options->words[0], '/');
	_cleanup_free_ char *name = xasprintf("%.60s", options->name ? options->name
						       : slash       ? slash + 1
								     : options->words[0]);

	cli_constraint(options, params);
	jsonx_add_string(params, "kind", "process");
	jsonx_add_int(params, "pid", child->pid);
	jsonx_add_int(params, "start_time", (int64_t)proc_start_time(child->pid));
	jsonx_add_string(params, "name", name);
	if (ask(options, "attach", params, &result, err) < 0) {
		return -1;
	}
	json_object_put(result);
	return 0;
}

static void pass_on(int number)
{
	kill((pid_t)child_pid, number);
}

/* The terminal sends its signals to the program itself; others are meant for it. */
static void set_signals(pid_t pid)
{
	static const int passed[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
	struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

	child_pid = pid;
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		sigaction(passed[i], &action, NULL);
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
}

static int let_go(struct child *child, const char *name, struct err *err)
{
	int why = 0, status = 0;
	ssize_t n;

	set_signals(child->pid);
	(void)!write(child->go_fd, "", 1);
	n = fd_read(child->why_fd, &why, sizeof(why));
	waitpid(child->pid, &status, 0);
	close(child->go_fd);
	close(child->why_fd);
	if (n == sizeof(why)) {
		err_set(err, ERR_NOT_FOUND, "cannot run %s: %s", name, strerror(why));
		return why == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
	}
	err->code = ERR_NONE;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int cli_run(const struct cli_options *options, struct err *err)
{
	struct child child = {-1, -1, -1};

	if (ask_start(options, err) < 0 || start_child(&child, options->words, err) < 0) {
		return 1;
	}
	if (attach_child(options, &child, err) < 0) {
		end_child(&child);
		return 1;
	}
	return let_go(&child, options->words[0], err);
}
