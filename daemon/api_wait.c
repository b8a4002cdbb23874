/* lease.wait: answers when a lease reaches a state, by watching commits; never by polling. */
#include <string.h>
#include <utlist.h>

#include "api.h"
#include "query.h"
#include "util.h"

#define TIMEOUT (60 * USEC_PER_SEC)

struct wait {
	struct session *session;
	struct rpc_request *request;
	uint64_t lease;
	enum lease_state want; /* LEASE_STATE_COUNT: any final state */
	struct events_watch *watch;
	struct event *timer;
	struct wait *prev, *next;
};

static void wait_free(struct wait *wait)
{
	events_unwatch(wait->watch);
	event_free(wait->timer);
	DL_DELETE(wait->session->waits, wait);
	free(wait);
}

/* 1: the lease is where the wait ends; 0: not yet; -1: there is no such lease, or the database cannot be read. */
static int arrived(struct head *head, uint64_t lease, enum lease_state want, enum lease_state *state, struct err *err)
{
	struct store_lease_brief brief;
	int found = store_lease_brief(head->store, lease, &brief, err);

	if (found == 0) {
		err_set(err, ERR_NOT_FOUND, "there is no lease %llu", (unsigned long long)lease);
	}
	if (found != 1) {
		return -1;
	}
	*state = brief.state;
	store_lease_brief_fini(&brief);
	return *state == want || lease_state_final(*state);
}

static void answer_lease(struct head *head, struct rpc_request *request, uint64_t lease)
{
	struct err err = {0};

	api_answer(request, query_lease(head->store, lease, &err), &err);
}

static void answer_timeout(struct rpc_request *request, uint64_t lease, enum lease_state state)
{
	struct json_object *data = json_object_new_object();
	struct err err;

	err_set(&err, ERR_TIMEOUT, "lease %llu is still %s", (unsigned long long)lease, lease_state_name(state));
	json_object_object_add(data, "state", json_object_new_string(lease_state_name(state)));
	rpc_reply_error(request, &err, data);
}

/* Ends the wait if the lease is there, or if there is no more time. */
static void look(struct wait *wait, bool last)
{
	struct head *head = wait->session->head;
	struct rpc_request *request = wait->request;
	uint64_t lease = wait->lease;
	enum lease_state state;
	struct err err = {0};
	int ret = arrived(head, lease, wait->want, &state, &err);

	if (ret == 0 && !last) {
		return;
	}
	wait_free(wait);
	if (ret < 0) {
		rpc_reply_error(request, &err, NULL);
	} else if (ret > 0) {
		answer_lease(head, request, lease);
	} else {
		answer_timeout(request, lease, state);
	}
}

static void on_commit(void *arg)
{
	look(arg, false);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg, true);
}

static void wait_begin(struct session *session, struct rpc_request *request, uint64_t lease, enum lease_state want,
		       span_us timeout)
{
	struct timeval tv = {.tv_sec = timeout / USEC_PER_SEC, .tv_usec = timeout % USEC_PER_SEC};
	struct wait *wait = xcalloc(1, sizeof(*wait));

	wait->session = session;
	wait->request = request;
	wait->lease = lease;
	wait->want = want;
	wait->watch = events_watch(session->head->events, lease, on_commit, wait);
	wait->timer = evtimer_new(session->head->base, on_timeout, wait);
	evtimer_add(wait->timer, &tv);
	DL_APPEND(session->waits, wait);
}

void api_lease_wait(struct session *session, struct rpc_request *request, struct json_object *params)
{
	uint64_t lease = (uint64_t)api_int(params, "id", 0);
	span_us timeout = api_int(params, "timeout_us", TIMEOUT);
	const char *name = api_string(params, "state");
	enum lease_state want = LEASE_STATE_COUNT, state;
	struct err err = {0};
	int ret;

	if (name && lease_state_parse(name, &want) < 0) {
		err_set(&err, ERR_PARAMS, "state: there is no state \"%s\"", name);
		rpc_reply_error(request, &err, NULL);
		return;
	}
	ret = arrived(session->head, lease, want, &state, &err);
	if (ret < 0) {
		rpc_reply_error(request, &err, NULL);
	} else if (ret > 0) {
		answer_lease(session->head, request, lease);
	} else if (timeout == 0) {
		answer_timeout(request, lease, state);
	} else {
		wait_begin(session, request, lease, want, timeout);
	}
}

void api_wait_end(struct session *session)
{
	struct wait *wait, *next;
	struct err err;

	err_set(&err, ERR_UNAVAILABLE, "the connection is closed");
	DL_FOREACH_SAFE (session->waits, wait, next) {
		struct rpc_request *request = wait->request;

		wait_free(wait);
		rpc_reply_error(request, &err, NULL);
	}
}
