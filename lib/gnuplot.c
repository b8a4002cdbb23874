/* Figures by gnuplot: starts it and waits. Scripts and data are the caller's. */
#include "gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* gnuplot warns of every plot in which nothing happens, which nobody needs to know. */
int gnuplot_run(const char *folder, const char *script, struct err *err)
{
	_cleanup_free_ char *name = xstrdup(script);
	char *argv[] = {"gnuplot", name, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int bad, status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, folder);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	bad = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (bad) {
		return bad == ENOENT ? 1 : err_set(err, ERR_INTERNAL, "gnuplot cannot be started: %s", strerror(bad));
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return err_set(err, ERR_INTERNAL, "gnuplot: %s", strerror(errno));
		}
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		return err_set(err, ERR_INTERNAL, "gnuplot failed; \"gnuplot %s\" in %s says why", script, folder);
	}
	return 0;
}
