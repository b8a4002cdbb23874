/* Asks the server over its socket, and starts one. */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "rpc.h"
#include "serve.h"
#include "server.h"
#include "util.h"

#define TIMEOUT_US (10 * USEC_PER_SEC) /* of an answer; the longest take a second */
#define START_TRIES 50
#define START_EVERY_US (100 * USEC_PER_MSEC)

struct asked {
	struct event_base *base;
	const char *method;
	struct json_object *params, *result;
	struct err err;
	bool answered, closed;
};

static void on_answer(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct asked *asked = arg;

	(void)data;
	asked->answered = true;
	if (err) {
		asked->err = *err;
	} else {
		asked->result = json_object_get(result);
		asked->err.code = ERR_NONE;
	}
	event_base_loopbreak(asked->base);
}

static void on_opened(struct rpc *rpc, void *arg)
{
	struct asked *asked = arg;

	rpc_call(rpc, asked->method, steal(&asked->params), TIMEOUT_US, on_answer, asked);
}

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	struct err err;

	(void)rpc;
	(void)method;
	(void)params;
	(void)arg;
	err_set(&err, ERR_METHOD, "a client answers no calls");
	rpc_reply_error(request, &err, NULL);
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	struct asked *asked = arg;

	(void)rpc;
	if (!asked->answered) {
		err_set(&asked->err, ERR_UNAVAILABLE, "%s", why);
	}
	asked->answered = asked->closed = true;
	event_base_loopbreak(asked->base);
}

static int no_answer(const char *dir, struct err *err)
{
	_cleanup_free_ char *socket = xasprintf("%s/" SERVER_SOCKET, dir);

	if (access(socket, F_OK) < 0 && errno == ENOENT) {
		return err_set(err, ERR_UNAVAILABLE,
			       "no scheduler is in %s: \"tenure-edf serve\" starts one, --dir names another", dir);
	}
	return err_prefix(err, "no scheduler answers in %s", dir);
}

int ask(const struct cli_options *options, const char *method, struct json_object *params, struct json_object **result,
	struct err *err)
{
	static const struct rpc_ops ops = {.request = on_request, .opened = on_opened, .closed = on_closed};
	_cleanup_free_ char *address = xasprintf("unix:%s/" SERVER_SOCKET, options->dir);
	struct asked asked = {.base = event_base_new(), .method = method, .params = params};
	struct rpc *rpc = rpc_connect(asked.base, address, "", &ops, &asked, &asked.err);

	if (rpc) {
		event_base_dispatch(asked.base);
		if (!asked.closed) {
			rpc_close(rpc);
		}
	}
	event_base_free(asked.base);
	json_object_put(asked.params);
	if (!asked.result) {
		*err = asked.err;
		return err->code == ERR_UNAVAILABLE ? no_answer(options->dir, err) : -1;
	}
	*result = asked.result;
	return 0;
}

/* ---- starting a server ---- */

/* Not in our session, so that what ends us spares it, and holding nothing of ours that somebody may wait for. */
static void __attribute__((noreturn)) become_server(const struct cli_options *options, int ready_fd)
{
	struct cli_options once = *options;
	int null = open("/dev/null", O_RDWR);

	once.once = true;
	setsid();
	if (fork() != 0) {
		_exit(0);
	}
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	(void)!chdir("/");
	_exit(serve(&once, ready_fd));
}

/* What it says of its start, see serve(); what was not possible it says of itself later. */
static int read_outcome(int fd, struct err *err)
{
	char text[600];
	ssize_t n = fd_read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	if (*text == '!') {
		return err_set(err, strstr(text, "another engine works") ? ERR_CONFLICT : ERR_INTERNAL, "%s", text + 1);
	}
	return n < 0 ? err_set(err, ERR_INTERNAL, "the scheduler did not start") : 0;
}

static int start_server(const struct cli_options *options, struct err *err)
{
	int fds[2], rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return err_set(err, ERR_LIMIT, "pipe: %s", strerror(errno));
	}
	pid = fork();
	if (pid == 0) {
		become_server(options, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_set(err, ERR_LIMIT, "fork: %s", strerror(errno));
	}
	waitpid(pid, NULL, 0);
	rc = read_outcome(fds[0], err);
	close(fds[0]);
	return rc;
}

/* One that fell back to enforcing nothing is no use; one that fell back to something else is told of by who started it.
 */
static int check_backend(const struct engine_settings *settings, struct json_object *node, bool started,
			 struct err *err)
{
	const char *backend = json_object_get_string(json_object_object_get(node, "backend"));
	const char *reason = json_object_get_string(json_object_object_get(node, "reason"));

	if (settings->backend == ENGINE_NONE || !backend || !reason || !*reason) {
		return 0;
	}
	if (strcmp(backend, "none") == 0) {
		return err_set(err, ERR_DENIED, "%s", reason);
	}
	if (started) {
		fprintf(stderr, "tenure-edf: %s; backend %s instead\n", reason, backend);
	}
	return 0;
}

int ask_start(const struct cli_options *options, struct err *err)
{
	struct engine_settings settings;
	bool started = false;

	if (cli_option_settings(options, &settings, err) < 0) {
		return -1;
	}
	for (int tries = 0; tries < START_TRIES; tries++) {
		struct json_object *node;

		if (ask(options, "node", NULL, &node, err) == 0) {
			int rc = check_backend(&settings, node, started, err);

			json_object_put(node);
			return rc;
		}
		if (err->code != ERR_UNAVAILABLE) {
			return -1;
		}
		if (start_server(options, err) == 0) {
			started = true;
		} else if (err->code == ERR_CONFLICT) {
			/* Somebody else's is about to listen, or about to end. */
			usleep(START_EVERY_US);
		} else {
			return -1;
		}
	}
	return err_set(err, ERR_CONFLICT, "%s, and does not answer; name another --dir, and other --cpus", err->text);
}
