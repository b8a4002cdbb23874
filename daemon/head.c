/* Makes and takes down the parts of the head in their order. What each part does is its own file's. */
#include "head.h"

#include <string.h>

#include "api.h"
#include "clock.h"
#include "session.h"
#include "util.h"

static int open_parts(struct head *head, struct err *err)
{
	const struct head_settings *settings = head->settings;
	_cleanup_free_ char *images = xasprintf("%s/images", settings->state_dir);

	head->auth = auth_new(settings, err);
	if (!head->auth) {
		return -1;
	}
	head->store = store_open(settings->state_dir, err);
	if (!head->store) {
		return -1;
	}
	head->images = images_new(head->base, images, err);
	if (!head->images) {
		return -1;
	}
	head->manager = manager_new(head->base, head->store, settings, err);
	if (!head->manager) {
		return -1;
	}
	head->events = events_new(head->store);
	head->nodes = nodes_new(head->base, head->manager, settings);
	manager_attach(head->manager, head->nodes, head->events);
	api_image_sweep(head);
	return 0;
}

static int listen_local(struct head *head, struct err *err)
{
	const struct head_settings *settings = head->settings;
	_cleanup_free_ char *address = xasprintf("unix:%s", settings->socket);
	_cleanup_free_ char *dir = xstrdup(settings->socket);
	char *slash = strrchr(dir, '/');

	if (slash != dir) {
		*slash = '\0';
		if (dir_make(dir, 0755, err) < 0) {
			return -1;
		}
	}
	head->local = listener_new(head->base, address, "", settings_socket_mode(settings),
				   (unsigned)settings->max_connections, session_accept, head, err);
	return head->local ? 0 : -1;
}

static enum http_verdict open_image(const char *digest, const char *authorization, struct http_file *file, void *arg)
{
	struct head *head = arg;

	(void)authorization; /* images are no secret: their digests name them */
	file->fd = images_open(head->images, digest, &file->size);
	if (file->fd < 0) {
		return HTTP_MISSING;
	}
	memcpy(file->digest, digest, sizeof(file->digest));
	return HTTP_OPENED;
}

static int listen_http(struct head *head, struct err *err)
{
	struct http_settings http = {
		.address = head->settings->http_listen,
		.plaintext = head->settings->plaintext,
		.prefix = "/images/",
		.deadline_us = HTTP_REQUEST_DEADLINE,
	};

	head->http = http_new(head->base, &http, open_image, head, err);
	return head->http ? 0 : err_prefix(err, "http_listen");
}

static int listen_all(struct head *head, struct err *err)
{
	const struct head_settings *settings = head->settings;

	if (*settings->http_listen && listen_http(head, err) < 0) {
		return -1;
	}
	if (*settings->listen) {
		head->tcp =
			listener_new(head->base, settings->listen, settings->plaintext, settings_socket_mode(settings),
				     (unsigned)settings->max_connections, session_accept, head, err);
		if (!head->tcp) {
			return err_prefix(err, "listen");
		}
	}
	return listen_local(head, err) < 0 ? err_prefix(err, "socket") : 0;
}

struct head *head_new(struct event_base *base, struct head_settings *settings, struct err *err)
{
	struct head *head = xcalloc(1, sizeof(*head));

	head->base = base;
	head->settings = settings;
	head->started_us = clock_wall();
	if (open_parts(head, err) < 0 || listen_all(head, err) < 0) {
		head_free(head);
		return NULL;
	}
	return head;
}

void head_free(struct head *head)
{
	if (!head) {
		return;
	}
	listener_free(head->local);
	listener_free(head->tcp);
	http_free(head->http);
	/* Each step answers what the parts after it still hold open: imports, then commands, then connections. */
	images_free(head->images);
	head->images = NULL;
	if (head->manager) {
		manager_attach(head->manager, NULL, NULL);
	}
	manager_free(head->manager);
	session_close_all(head);
	nodes_free(head->nodes);
	events_free(head->events);
	store_close(head->store);
	auth_free(head->auth);
	free(head);
}

int head_reload(struct head *head, const char *path, const char **restart, struct err *err)
{
	struct head_settings fresh;
	const struct setting *row = NULL;

	if (settings_load(path, &fresh, err) < 0) {
		return -1;
	}
	if (auth_reload(head->auth, &fresh, err) < 0) {
		settings_free(&fresh);
		return -1;
	}
	*restart = conf_needs_restart(settings_table, settings_count, head->settings, &fresh, &row) ? row->key : NULL;
	settings_take(head->settings, &fresh);
	settings_free(&fresh);
	return 0;
}
