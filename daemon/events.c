/*
 * Spreading the event log: after each commit its new rows go to subscribers, and those who watch a lease are called.
 * Writes nothing, keeps nothing: whoever was not there reads the log.
 */
#include "events.h"

#include <inttypes.h>
#include <utlist.h>

#include "log.h"
#include "query.h"
#include "util.h"

#define PAGE 1000
/*
 * How far back a subscription may begin. What a peer has not read is kept in memory (CONN_OUT_MAX), and event.list
 * pages through the rest: 10000 events are about 3 MB.
 */
#define BACKLOG_MAX 10000

struct subscriber {
	struct rpc *rpc;
	int64_t rev; /* the last it was sent */
	struct subscriber *prev, *next;
};

struct events_watch {
	struct events *events;
	uint64_t lease;
	void (*fn)(void *arg);
	void *arg;
	bool hit;
	struct events_watch *prev, *next;
};

struct events {
	struct store *store;
	int64_t rev; /* the last that was spread */
	struct subscriber *subscribers;
	struct events_watch *watches;
};

struct events *events_new(struct store *store)
{
	struct events *events = xcalloc(1, sizeof(*events));
	struct err err = {0};

	events->store = store;
	if (store_last_rev(store, &events->rev, &err) < 0) {
		log_warning("events: %s", err.text);
	}
	return events;
}

void events_free(struct events *events)
{
	struct subscriber *subscriber, *next;
	struct events_watch *watch, *next_watch;

	if (!events) {
		return;
	}
	DL_FOREACH_SAFE (events->subscribers, subscriber, next) {
		free(subscriber);
	}
	DL_FOREACH_SAFE (events->watches, watch, next_watch) {
		free(watch);
	}
	free(events);
}

static int64_t rev_of(struct json_object *event)
{
	return json_object_get_int64(json_object_object_get(event, "rev"));
}

static void send_event(struct subscriber *subscriber, struct json_object *event)
{
	int64_t rev = rev_of(event);

	if (rev > subscriber->rev) {
		subscriber->rev = rev;
		rpc_notify(subscriber->rpc, "event", json_object_get(event));
	}
}

/* Each event in (after, to] in order of rev; *after is moved on. -1 if the log cannot be read now. */
static int each_event(struct events *events, int64_t *after, int64_t to,
		      void (*fn)(struct json_object *event, void *arg), void *arg)
{
	while (*after < to) {
		struct err err = {0};
		struct json_object *page = query_events(events->store, *after, 0, PAGE, &err);
		struct json_object *list = page ? json_object_object_get(page, "events") : NULL;
		size_t n = list ? json_object_array_length(list) : 0;

		if (!page) {
			log_warning("events: %s", err.text);
			return -1;
		}
		for (size_t i = 0; i < n; i++) {
			struct json_object *event = json_object_array_get_idx(list, i);

			*after = rev_of(event);
			fn(event, arg);
		}
		json_object_put(page);
		if (n == 0) {
			*after = to; /* the rest was pruned */
		}
	}
	return 0;
}

static void send_one(struct json_object *event, void *arg)
{
	send_event(arg, event);
}

void events_subscribe(struct events *events, struct rpc *rpc, int64_t after_rev)
{
	struct subscriber *subscriber = xcalloc(1, sizeof(*subscriber));
	int64_t after;

	/* A peer that subscribes again wants each event once all the same. */
	events_closed(events, rpc);
	subscriber->rpc = rpc;
	subscriber->rev = after_rev;
	if (events->rev - after_rev > BACKLOG_MAX) {
		struct json_object *lagged = json_object_new_object();

		json_object_object_add(lagged, "lagged", json_object_new_int64(events->rev));
		rpc_notify(rpc, "event", lagged);
		subscriber->rev = events->rev;
	}
	after = subscriber->rev;
	each_event(events, &after, events->rev, send_one, subscriber);
	DL_APPEND(events->subscribers, subscriber);
}

void events_closed(struct events *events, struct rpc *rpc)
{
	struct subscriber *subscriber, *next;

	DL_FOREACH_SAFE (events->subscribers, subscriber, next) {
		if (subscriber->rpc == rpc) {
			DL_DELETE(events->subscribers, subscriber);
			free(subscriber);
		}
	}
}

static void spread(struct json_object *event, void *arg)
{
	struct events *events = arg;
	uint64_t lease = json_object_get_uint64(json_object_object_get(event, "lease"));
	struct subscriber *subscriber;
	struct events_watch *watch;

	DL_FOREACH (events->subscribers, subscriber) {
		send_event(subscriber, event);
	}
	DL_FOREACH (events->watches, watch) {
		watch->hit = watch->hit || (lease && watch->lease == lease);
	}
}

/* From the top after each call: a callback may end its own watch and others'. */
static void call_watches(struct events *events)
{
	struct events_watch *watch;

	do {
		DL_FOREACH (events->watches, watch) {
			if (watch->hit) {
				watch->hit = false;
				watch->fn(watch->arg);
				break;
			}
		}
	} while (watch);
}

void events_committed(struct events *events, int64_t last_rev)
{
	if (last_rev <= events->rev) {
		return;
	}
	if (!events->subscribers && !events->watches) {
		events->rev = last_rev;
		return;
	}
	each_event(events, &events->rev, last_rev, spread, events);
	call_watches(events);
}

struct events_watch *events_watch(struct events *events, uint64_t lease, void (*fn)(void *arg), void *arg)
{
	struct events_watch *watch = xcalloc(1, sizeof(*watch));

	watch->events = events;
	watch->lease = lease;
	watch->fn = fn;
	watch->arg = arg;
	DL_APPEND(events->watches, watch);
	return watch;
}

void events_unwatch(struct events_watch *watch)
{
	DL_DELETE(watch->events->watches, watch);
	free(watch);
}
