/*
 * Serves files over HTTP by libevent's evhttp, whose gaps are closed here: it has no deadline for a whole request,
 * takes contradictory lengths, and decodes %00. Decides nothing about who may have which file.
 */
#include "http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <utlist.h>

#include "address.h"
#include "clock.h"
#include "http_range.h"
#include "util.h"

#define BODY_MAX 4096        /* no method of ours takes a body; evhttp must not gather one */
#define TICKS_PER_DEADLINE 8 /* how exactly deadlines are kept */

/*
 * A connection, as far as evhttp lets us see it: it frees its bufferevent without telling, so we hold a reference of
 * our own and notice at the next tick that evhttp has let go of it.
 */
struct client {
	struct bufferevent *bev;
	mono_us deadline;
	struct client *prev, *next;
};

struct http {
	struct event_base *base;
	struct evhttp *evhttp;
	struct evconnlistener *listener;
	const char *prefix;
	http_open *open;
	void *arg;
	char *plaintext;
	span_us deadline;
	struct event *tick;
	struct client *clients;
	unsigned client_count;
};

/* ---- connections and their deadlines --------------------------------------------------------------------------------
 */

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct http *http = arg;
	struct client *client = xcalloc(1, sizeof(*client));

	/*
	 * The descriptor goes with the last reference, ours; evhttp only shuts it down. Were it closed before, the next
	 * connection would get its number, and this bufferevent, still waiting, would read what is meant for that one.
	 */
	client->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!client->bev) {
		free(client);
		return NULL;
	}
	bufferevent_incref(client->bev);
	client->deadline = clock_mono() + http->deadline;
	DL_APPEND(http->clients, client);
	if (++http->client_count == HTTP_CONNECTIONS_MAX) {
		evconnlistener_disable(http->listener);
	}
	return client->bev;
}

static void client_drop(struct http *http, struct client *client)
{
	DL_DELETE(http->clients, client);
	bufferevent_decref(client->bev);
	free(client);
	if (http->client_count-- == HTTP_CONNECTIONS_MAX) {
		evconnlistener_enable(http->listener);
	}
}

static bool freed_by_evhttp(struct client *client)
{
	bufferevent_event_cb on_event;

	/* Freeing clears the callbacks; while evhttp uses it there always is one for errors. */
	bufferevent_getcb(client->bev, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	struct client *client, *next;
	mono_us now = clock_mono();

	(void)fd;
	(void)what;
	DL_FOREACH_SAFE (http->clients, client, next) {
		if (freed_by_evhttp(client)) {
			client_drop(http, client);
		} else if (now >= client->deadline) {
			/* evhttp sees the end of the stream, and frees what it holds. */
			shutdown(bufferevent_getfd(client->bev), SHUT_RDWR);
		}
	}
}

static void set_deadline(struct http *http, struct evhttp_request *request, span_us span)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
	struct client *client;

	DL_SEARCH_SCALAR(http->clients, client, bev, bev);
	if (client) {
		client->deadline = clock_mono() + span;
	}
}

static void on_sent(struct evhttp_request *request, void *arg)
{
	struct http *http = arg;

	set_deadline(http, request, http->deadline);
}

/* ---- requests -------------------------------------------------------------------------------------------------------
 */

static void add_header(struct evhttp_request *request, const char *key, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), key, value);
}

static const char *header(struct evhttp_request *request, const char *key)
{
	return evhttp_find_header(evhttp_request_get_input_headers(request), key);
}

/* Ends the connection, too: after a request we do not understand its end is anyone's guess. */
static void refuse(struct evhttp_request *request, int code, const char *reason)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body, "%d %s\n", code, reason);
	add_header(request, "Content-Type", "text/plain");
	add_header(request, "Connection", "close");
	evhttp_send_reply(request, code, reason, body);
	evbuffer_free(body);
}

/*
 * What could make two readers of one stream see different requests. GET and HEAD have no body, and evhttp would read
 * one as the next request.
 */
static bool framing_is_clear(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	struct evkeyval *pair;

	TAILQ_FOREACH(pair, headers, next)
	{
		if (strcasecmp(pair->key, "Transfer-Encoding") == 0 ||
		    (strcasecmp(pair->key, "Content-Length") == 0 && strcmp(pair->value, "0") != 0)) {
			return false;
		}
	}
	return true;
}

/* True if two lengths contradict each other, whatever the method. */
static bool lengths_differ(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	const char *first = header(request, "Content-Length");
	struct evkeyval *pair;

	TAILQ_FOREACH(pair, headers, next)
	{
		if (strcasecmp(pair->key, "Content-Length") == 0 && strcmp(pair->value, first) != 0) {
			return true;
		}
	}
	return false;
}

/* Adds the bytes to be sent by sendfile, without mapping the file. Consumes fd. */
static int add_bytes(struct evbuffer *body, int fd, int64_t first, int64_t len)
{
	evbuffer_set_flags(body, EVBUFFER_FLAG_DRAINS_TO_FD);
	if (evbuffer_add_file(body, fd, first, len) < 0) {
		close(fd);
		return -1;
	}
	return 0;
}

/* Answers with bytes [first, last] of a file; consumes fd. */
static void send_bytes(struct http *http, struct evhttp_request *request, int fd, int code, int64_t first, int64_t last)
{
	struct evbuffer *body = evbuffer_new();
	int64_t len = last - first + 1;
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, len);
	add_header(request, "Content-Length", text);
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
		close(fd);
	} else if (add_bytes(body, fd, first, len) < 0) {
		evbuffer_free(body);
		evhttp_clear_headers(evhttp_request_get_output_headers(request));
		refuse(request, 500, "Internal Server Error");
		return;
	}
	set_deadline(http, request, http->deadline + len / HTTP_RATE_MIN * USEC_PER_SEC);
	evhttp_send_reply(request, code, code == 206 ? "Partial Content" : "OK", body);
	evbuffer_free(body);
}

static void send_unsatisfiable(struct evhttp_request *request, int64_t size)
{
	char text[64];

	snprintf(text, sizeof(text), "bytes */%" PRId64, size);
	add_header(request, "Content-Range", text);
	evhttp_send_reply(request, 416, "Range Not Satisfiable", NULL);
}

/* Consumes the file's descriptor. */
static void send_file(struct http *http, struct evhttp_request *request, const struct http_file *file)
{
	const char *if_range = header(request, "If-Range");
	int64_t size = file->size, first = 0, last = size - 1;
	char etag[80], text[80];

	snprintf(etag, sizeof(etag), "\"%s\"", file->digest);
	add_header(request, "ETag", etag);
	add_header(request, "Accept-Ranges", "bytes");
	if (http_etag_matches(header(request, "If-None-Match"), etag)) {
		close(file->fd);
		evhttp_send_reply(request, 304, "Not Modified", NULL);
		return;
	}
	add_header(request, "Content-Type", "application/octet-stream");
	switch (http_range(if_range && strcmp(if_range, etag) != 0 ? NULL : header(request, "Range"), size, &first,
			   &last)) {
	case RANGE_ALL:
		send_bytes(http, request, file->fd, 200, 0, size - 1);
		break;
	case RANGE_PART:
		snprintf(text, sizeof(text), "bytes %" PRId64 "-%" PRId64 "/%" PRId64, first, last, size);
		add_header(request, "Content-Range", text);
		send_bytes(http, request, file->fd, 206, first, last);
		break;
	case RANGE_NONE:
		close(file->fd);
		send_unsatisfiable(request, size);
		break;
	}
}

static void send_or_refuse(struct http *http, struct evhttp_request *request, const char *name)
{
	struct http_file file = {.fd = -1};

	switch (http->open(name, header(request, "Authorization"), &file, http->arg)) {
	case HTTP_OPENED:
		send_file(http, request, &file);
		break;
	case HTTP_MISSING:
		refuse(request, 404, "Not Found");
		break;
	case HTTP_FORBIDDEN:
		refuse(request, 403, "Forbidden");
		break;
	case HTTP_LATER:
		refuse(request, 503, "Service Unavailable");
		break;
	}
}

static bool peer_allowed(struct http *http, struct evhttp_request *request)
{
	const struct sockaddr *sa = evhttp_connection_get_addr(evhttp_request_get_connection(request));

	return sa && address_plaintext_ok(sa, http->plaintext);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct http *http = arg;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	enum evhttp_cmd_type method = evhttp_request_get_command(request);

	evhttp_request_set_on_complete_cb(request, on_sent, http);
	if (!peer_allowed(http, request)) {
		refuse(request, 403, "Forbidden");
	} else if (!path || strstr(evhttp_request_get_uri(request), "%00") || lengths_differ(request)) {
		refuse(request, 400, "Bad Request");
	} else if (strncmp(path, http->prefix, strlen(http->prefix)) != 0) {
		refuse(request, 404, "Not Found");
	} else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		add_header(request, "Allow", "GET, HEAD");
		refuse(request, 405, "Method Not Allowed");
	} else if (!framing_is_clear(request)) {
		refuse(request, 400, "Bad Request");
	} else {
		send_or_refuse(http, request, path + strlen(http->prefix));
	}
}

/* ---- life ---- */

static struct evconnlistener *bind_to(struct event_base *base, const char *text, const char *plaintext, struct err *err)
{
	struct evconnlistener *listener;
	struct address address;

	if (address_parse(text, &address, err) < 0 || address_plaintext_check(&address, plaintext, err) < 0) {
		return NULL;
	}
	listener = evconnlistener_new_bind(base, NULL, NULL,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 128,
					   (struct sockaddr *)&address.sa, (int)address.len);
	if (!listener) {
		address_cannot_listen(text, errno, err);
	}
	return listener;
}

struct http *http_new(struct event_base *base, const struct http_settings *settings, http_open *open, void *arg,
		      struct err *err)
{
	span_us deadline = settings->deadline_us;
	struct evconnlistener *listener = bind_to(base, settings->address, settings->plaintext, err);
	span_us step = deadline / TICKS_PER_DEADLINE;
	struct timeval tick = {.tv_sec = step / USEC_PER_SEC, .tv_usec = step % USEC_PER_SEC};
	struct http *http;

	if (!listener) {
		return NULL;
	}
	http = xcalloc(1, sizeof(*http));
	http->base = base;
	http->prefix = settings->prefix;
	http->open = open;
	http->arg = arg;
	http->plaintext = xstrdup(settings->plaintext);
	http->deadline = deadline;
	http->listener = listener;
	http->evhttp = evhttp_new(base);
	evhttp_set_bevcb(http->evhttp, on_connection, http);
	evhttp_set_gencb(http->evhttp, on_request, http);
	evhttp_set_max_headers_size(http->evhttp, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(http->evhttp, BODY_MAX);
	evhttp_set_default_content_type(http->evhttp, NULL);
	/* All, so that it is we who say 405 and not evhttp 501. */
	evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
							 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
							 EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_bind_listener(http->evhttp, listener);
	http->tick = event_new(base, -1, EV_PERSIST, on_tick, http);
	event_add(http->tick, &tick);
	return http;
}

void http_free(struct http *http)
{
	struct client *client, *next;

	if (!http) {
		return;
	}
	event_free(http->tick);
	evhttp_free(http->evhttp); /* and the listener, and all connections */
	DL_FOREACH_SAFE (http->clients, client, next) {
		DL_DELETE(http->clients, client);
		bufferevent_decref(client->bev);
		free(client);
	}
	free(http->plaintext);
	free(http);
}

uint16_t http_port(const struct http *http)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);

	if (getsockname(evconnlistener_get_fd(http->listener), (struct sockaddr *)&sa, &len) < 0) {
		return 0;
	}
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
					      : ((struct sockaddr_in *)&sa)->sin_port);
}
