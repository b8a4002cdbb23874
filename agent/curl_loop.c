/*
 * libcurl's multi interface on a libevent loop: sockets and time-outs become events, ends become calls. It decides
 * nothing about transfers.
 */
#include "curl_loop.h"

#include <string.h>

#include "util.h"

struct curl_loop {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
};

struct transfer {
	curl_loop_done *done;
	void *arg;
};

/* Ends may free handles and begin new ones, so libcurl is asked again after each. */
static void report_ends(struct curl_loop *loop)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(loop->multi, &left))) {
		struct transfer *transfer = NULL;
		CURLcode result = message->data.result;
		CURL *easy = message->easy_handle;

		if (message->msg != CURLMSG_DONE) {
			continue;
		}
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
		transfer->done(easy, result, transfer->arg);
	}
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct curl_loop *loop = arg;
	int action = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0), running;

	curl_multi_socket_action(loop->multi, fd, action, &running);
	report_ends(loop);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct curl_loop *loop = arg;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	report_ends(loop);
}

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct curl_loop *loop = arg;
	struct event *event = socket_arg;
	short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));

	(void)easy;
	if (event) {
		event_free(event);
	}
	event = what == CURL_POLL_REMOVE ? NULL
					 : event_new(loop->base, fd, (short)(events | EV_PERSIST), on_socket, loop);
	if (event) {
		event_add(event, NULL);
	}
	curl_multi_assign(loop->multi, fd, event);
	return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct curl_loop *loop = arg;
	struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	(void)multi;
	if (timeout_ms < 0) {
		event_del(loop->timer);
	} else {
		event_add(loop->timer, &timeout);
	}
	return 0;
}

struct curl_loop *curl_loop_new(struct event_base *base, struct err *err)
{
	struct curl_loop *loop;
	CURLM *multi;

	/* Harmless when repeated. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(multi = curl_multi_init())) {
		err_set(err, ERR_INTERNAL, "libcurl cannot start");
		return NULL;
	}
	loop = xcalloc(1, sizeof(*loop));
	loop->base = base;
	loop->multi = multi;
	loop->timer = evtimer_new(base, on_timer, loop);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop);
	return loop;
}

void curl_loop_free(struct curl_loop *loop)
{
	if (!loop) {
		return;
	}
	curl_multi_cleanup(loop->multi);
	event_free(loop->timer);
	free(loop);
}

int curl_loop_add(struct curl_loop *loop, CURL *easy, curl_loop_done *done, void *arg)
{
	struct transfer *transfer = xcalloc(1, sizeof(*transfer));

	transfer->done = done;
	transfer->arg = arg;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	if (curl_multi_add_handle(loop->multi, easy) != CURLM_OK) {
		free(transfer);
		return -1;
	}
	return 0;
}

void curl_loop_remove(struct curl_loop *loop, CURL *easy)
{
	struct transfer *transfer = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
	curl_multi_remove_handle(loop->multi, easy);
	free(transfer);
}
