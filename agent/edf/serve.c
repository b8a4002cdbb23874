/* The loop of tenure-edf's server. Says in the log what happens to tasks. */
#include "serve.h"

#include <signal.h>
#include <string.h>

#include "log.h"
#include "notify.h"
#include "server.h"
#include "util.h"

#define ONCE_SECONDS 3 /* without task and client, before a server for once ends; longer than a client takes to ask */

struct serve {
	struct event_base *base;
	struct engine *engine;
	struct server *server;
	unsigned idle_seconds;
};

static void on_told(const struct engine_event *event, void *arg)
{
	(void)arg;
	switch (event->kind) {
	case ENGINE_GONE:
		log_info("task %llu (%s): %s", (unsigned long long)event->id, event->name, event->text);
		break;
	case ENGINE_MISSES:
	case ENGINE_NO_ROOM:
		log_warning("task %llu (%s): %s", (unsigned long long)event->id, event->name, event->text);
		break;
	case ENGINE_STALLED:
		log_warning("%s", event->text);
		break;
	}
}

static void on_engine(evutil_socket_t fd, short what, void *arg)
{
	struct serve *serve = arg;

	(void)fd;
	(void)what;
	engine_poll(serve->engine, on_told, NULL);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct serve *serve = arg;

	(void)what;
	log_info("ending on signal %d; tasks run on without constraints", (int)number);
	notify_stopping();
	event_base_loopbreak(serve->base);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct serve *serve = arg;
	struct engine_node node;

	(void)fd;
	(void)what;
	engine_node(serve->engine, &node);
	serve->idle_seconds = node.tasks || server_clients(serve->server) ? 0 : serve->idle_seconds + 1;
	if (serve->idle_seconds >= ONCE_SECONDS) {
		event_base_loopbreak(serve->base);
	}
}

static void tell_starter(int fd, const char *mark, const char *text)
{
	_cleanup_free_ char *line = xasprintf("%s%s", mark, text);

	if (fd >= 0) {
		/* Whoever asked may have gone. */
		(void)!write(fd, line, strlen(line));
		close(fd);
	}
}

static int start(struct serve *serve, const struct cli_options *options, struct err *err)
{
	struct engine_settings settings;

	return cli_option_settings(options, &settings, err) < 0 || engine_new(&serve->engine, &settings, err) < 0 ||
			       server_new(&serve->server, serve->base, serve->engine, options->dir, options->group,
					  err) < 0
		       ? -1
		       : 0;
}

static void loop(struct serve *serve, const struct cli_options *options, int ready_fd)
{
	static const struct timeval second = {.tv_sec = 1};
	struct event *events[] = {
		event_new(serve->base, engine_fd(serve->engine), EV_READ | EV_PERSIST, on_engine, serve),
		evsignal_new(serve->base, SIGTERM, on_signal, serve),
		evsignal_new(serve->base, SIGINT, on_signal, serve),
		options->once ? event_new(serve->base, -1, EV_PERSIST, on_second, serve) : NULL,
	};
	struct engine_node node;

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (events[i]) {
			event_add(events[i], i == 3 ? &second : NULL);
		}
	}
	engine_node(serve->engine, &node);
	log_info("tenure-edf " TENURE_VERSION ": backend %s on %u CPUs; %s", engine_backend_name(node.backend),
		 node.cpu_count, node.done);
	if (*node.reason) {
		log_warning("%s", node.reason);
	}
	tell_starter(ready_fd, "", node.reason);
	notify_ready("scheduling");
	event_base_dispatch(serve->base);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (events[i]) {
			event_free(events[i]);
		}
	}
}

int serve(const struct cli_options *options, int ready_fd)
{
	struct serve serve = {.base = event_base_new()};
	struct err err;
	int status = 0;

	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_LEVEL_INFO);
	if (start(&serve, options, &err) < 0) {
		log_error("%s", err.text);
		tell_starter(ready_fd, "!", err.text);
		status = 1;
	} else {
		loop(&serve, options, ready_fd);
	}
	server_free(serve.server);
	engine_free(serve.engine);
	event_base_free(serve.base);
	return status;
}
