/*
 * The connection to the head: back-off, hello, reports that are also heartbeats, parts. One report is under way at a
 * time, so that a slow head is not flooded; the next one holds all that changed meanwhile.
 */
#include "link.h"

#include <openssl/rand.h>
#include <string.h>

#include "clock.h"
#include "edf_admit.h"
#include "jsonx.h"
#include "log.h"
#include "rpc.h"
#include "token.h"
#include "util.h"

#define CALL_US (10 * USEC_PER_SEC)
#define BACKOFF_US (200 * USEC_PER_MSEC) /* first; doubles */
#define BACKOFF_DOUBLINGS 6              /* up to 13 s, with jitter 6 to 19 s */
#define STALE_US (30 * USEC_PER_SEC)     /* the head was restored from a backup: someone must look at it */
#define REPORT_GAP_US (50 * USEC_PER_MSEC)
#define HEARTBEAT_US (2 * USEC_PER_SEC)
#define HEARTBEAT_MAX_US USEC_PER_HOUR
#define SKEW_US (100 * USEC_PER_MSEC)

struct link {
	struct event_base *base;
	struct link_settings settings;
	struct link_ops ops;
	void *arg;
	struct rpc *rpc;
	bool greeted;   /* the head has answered hello */
	bool reporting; /* a report is under way */
	bool dirty;
	unsigned failures;
	span_us heartbeat_us;
	mono_us reported_us; /* when the last report was sent */
	struct event *reconnect;
	struct event *report;
	char why[256];     /* last reason logged: an outage is one line, not one per attempt */
	char refused[512]; /* likewise, why a part was not taken: the head sends it again and again */
};

static void add_timer(struct event *event, span_us delay)
{
	struct timeval timeout = {.tv_sec = delay / USEC_PER_SEC, .tv_usec = delay % USEC_PER_SEC};

	event_add(event, &timeout);
}

/* Half to one and a half times the span: agents cut off together do not come back together. */
static span_us jitter(span_us span)
{
	uint32_t random = 0;

	RAND_bytes((unsigned char *)&random, sizeof(random));
	return span / 2 + (span_us)((double)span * random / UINT32_MAX);
}

static void log_once(struct link *link, const char *text)
{
	if (strcmp(link->why, text) != 0) {
		log_warning("head %s: %s; trying again", link->settings.head, text);
		snprintf(link->why, sizeof(link->why), "%s", text);
	}
}

/* Forgets the connection, which is closed or being closed, and plans the next. why NULL: it is nobody's fault. */
static void disconnected(struct link *link, const char *why, span_us delay)
{
	bool was = link->greeted;

	link->rpc = NULL;
	link->greeted = false;
	link->reporting = false;
	event_del(link->report);
	if (why) {
		log_once(link, why);
	}
	add_timer(link->reconnect, delay);
	if (was) {
		link->ops.connected(false, link->arg);
	}
}

static span_us backoff(struct link *link)
{
	unsigned doublings = link->failures < BACKOFF_DOUBLINGS ? link->failures : BACKOFF_DOUBLINGS;

	link->failures++;
	return jitter(BACKOFF_US << doublings);
}

/* The answer is only that the connection is gone: whoever closed it, or on_closed() next, sees to the rest. */
static bool is_gone(const struct link *link)
{
	return !link->rpc || !rpc_conn(link->rpc);
}

static void drop(struct link *link, const char *why, span_us delay)
{
	struct rpc *rpc = link->rpc;

	disconnected(link, why, delay);
	rpc_close(rpc);
}

/* ---- reports ---- */

static struct json_object *make_report(struct link *link)
{
	struct report *report = xcalloc(1, sizeof(*report));
	struct json_object *value;

	link->ops.report(report, link->arg);
	value = report_to_json(report);
	report_free(report);
	return value;
}

static void plan_report(struct link *link)
{
	span_us since = clock_mono() - link->reported_us;
	span_us wait = (link->dirty ? REPORT_GAP_US : link->heartbeat_us) - since;

	if (link->greeted && !link->reporting) {
		add_timer(link->report, wait > 0 ? wait : 0);
	}
}

static void on_reported(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct link *link = arg;

	(void)result;
	(void)data;
	if (is_gone(link)) {
		return;
	}
	link->reporting = false;
	if (err) {
		char why[600];

		snprintf(why, sizeof(why), "report refused: %s", err->text);
		drop(link, why, backoff(link));
		return;
	}
	plan_report(link);
}

static void on_report(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	struct json_object *params = json_object_new_object();

	(void)fd;
	(void)what;
	link->dirty = false;
	link->reporting = true;
	link->reported_us = clock_mono();
	json_object_object_add(params, "report", make_report(link));
	rpc_call(link->rpc, "node.report", params, CALL_US, on_reported, link);
}

void link_changed(struct link *link)
{
	if (!link->dirty) {
		link->dirty = true;
		plan_report(link);
	}
}

/* ---- hello ---- */

static int add_token(struct link *link, struct json_object *params, struct err *err)
{
	_cleanup_token_ char *token = NULL;

	if (!*link->settings.token_file) {
		return 0;
	}
	token = token_read(link->settings.token_file, "token_file", err);
	if (!token) {
		return -1;
	}
	json_object_object_add(params, "token", json_object_new_string(token));
	return 0;
}

static struct json_object *capacity_to_json(const struct capacity *capacity)
{
	struct json_object *value = json_object_new_object();

	for (int res = 0; res < RES_COUNT; res++) {
		json_object_object_add(value, resource_name((enum resource)res),
				       json_object_new_int64(capacity->amount[res]));
	}
	return value;
}

static struct json_object *make_hello(struct link *link)
{
	const struct link_settings *settings = &link->settings;
	const char *hypervisor = link->ops.hypervisor(link->arg);
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "node", json_object_new_string(settings->node));
	json_object_object_add(params, "version", json_object_new_string(TENURE_VERSION));
	json_object_object_add(params, "capacity", capacity_to_json(&settings->capacity));
	json_object_object_add(params, "pool", json_object_new_int64(settings->pool));
	json_object_object_add(params, "suspend_rate", json_object_new_int64(settings->suspend_rate));
	json_object_object_add(params, "resume_rate", json_object_new_int64(settings->resume_rate));
	if (settings->guests && *settings->guests) {
		json_object_object_add(params, "guests", json_object_new_string(settings->guests));
	}
	json_object_object_add(params, "edf", hello_edf_to_json(&settings->edf));
	json_object_object_add(params, "hypervisor",
			       json_object_new_string(*hypervisor ? hypervisor : "not connected"));
	json_object_object_add(params, "report", make_report(link));
	return params;
}

static int64_t member_int(struct json_object *value, const char *key)
{
	struct json_object *member;

	return json_object_object_get_ex(value, key, &member) ? json_object_get_int64(member) : 0;
}

static void check_clock(const struct link *link, wall_us head_us)
{
	span_us skew = clock_wall() - head_us;

	if (head_us > 0 && (skew > SKEW_US || skew < -SKEW_US)) {
		log_warning("head %s: its clock differs from this node's by %.3f s; is NTP running on both?",
			    link->settings.head, (double)skew / USEC_PER_SEC);
	}
}

static void hello_refused(struct link *link, const struct err *err)
{
	char why[600];

	snprintf(why, sizeof(why), "hello refused: %s", err->text);
	if (err->code == ERR_STALE) {
		log_error("head %s: %s; this node keeps to its book", link->settings.head, err->text);
		drop(link, why, STALE_US);
	} else {
		drop(link, why, backoff(link));
	}
}

static void on_hello(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct link *link = arg;

	(void)data;
	if (is_gone(link)) {
		return;
	}
	if (err) {
		hello_refused(link, err);
		return;
	}
	link->heartbeat_us = member_int(result, "heartbeat_us");
	if (link->heartbeat_us < REPORT_GAP_US || link->heartbeat_us > HEARTBEAT_MAX_US) {
		link->heartbeat_us = HEARTBEAT_US;
	}
	check_clock(link, member_int(result, "now_us"));
	if (!link->greeted) {
		log_info("head %s: connected", link->settings.head);
	}
	link->why[0] = '\0';
	link->failures = 0;
	link->greeted = true;
	/* The head answers each report: silence this long means that it, or the way to it, is gone. */
	conn_set_idle(rpc_conn(link->rpc), link->heartbeat_us * 3 + CALL_US);
	link->ops.connected(true, link->arg);
	link->dirty = true;
	plan_report(link);
}

static void say_hello(struct link *link)
{
	struct json_object *params = make_hello(link);
	struct err err;

	if (add_token(link, params, &err) < 0) {
		json_object_put(params);
		drop(link, err.text, backoff(link));
		return;
	}
	link->reported_us = clock_mono();
	rpc_call(link->rpc, "node.hello", params, CALL_US, on_hello, link);
}

static void on_opened(struct rpc *rpc, void *arg)
{
	(void)rpc;
	say_hello(arg);
}

/* ---- parts ---- */

static int take_part(struct link *link, struct json_object *params, struct json_object **result, struct err *err)
{
	struct part *part = part_from_json(params, err);
	uint64_t epoch, version;

	if (!part) {
		return -1;
	}
	epoch = part->epoch;
	version = part->version;
	if (link->ops.part(part, err, link->arg) < 0) {
		part_free(part);
		return -1;
	}
	*result = json_object_new_object();
	json_object_object_add(*result, "epoch", json_object_new_uint64(epoch));
	json_object_object_add(*result, "version", json_object_new_uint64(version));
	return 0;
}

static void log_refusal(struct link *link, const char *why)
{
	if (strcmp(link->refused, why) != 0) {
		log_error("head %s: part refused: %s", link->settings.head, why);
		snprintf(link->refused, sizeof(link->refused), "%s", why);
	}
}

/* ---- requests of the head ---- */

static int take_task(struct link *link, struct json_object *params, struct json_object **result, struct err *err)
{
	struct jsonx at;
	uint64_t id;
	int64_t slice, period;

	if (jsonx_root(params, "", &at, err) < 0 || jsonx_u64(&at, "id", 1, INT64_MAX, &id, err) < 0 ||
	    jsonx_i64(&at, "slice_us", 0, EDF_PERIOD_MAX_US, &slice, err) < 0 ||
	    jsonx_i64(&at, "period_us", 0, EDF_PERIOD_MAX_US, &period, err) < 0 ||
	    link->ops.task(id, slice, period, err, link->arg) < 0) {
		return -1;
	}
	*result = json_object_new_object();
	return 0;
}

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *method, struct json_object *params,
		       void *arg)
{
	struct link *link = arg;
	struct json_object *result = NULL;
	struct err err;

	(void)rpc;
	if (strcmp(method, "part.set") == 0) {
		if (take_part(link, params, &result, &err) == 0) {
			link->refused[0] = '\0';
		} else {
			log_refusal(link, err.text);
		}
	} else if (strcmp(method, "task.set") == 0) {
		take_task(link, params, &result, &err);
	} else {
		err_set(&err, ERR_METHOD, "an agent has no method \"%.64s\"", method);
	}
	if (result) {
		rpc_reply(request, result);
	} else {
		rpc_reply_error(request, &err, NULL);
	}
}

/* ---- connecting ---- */

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	struct link *link = arg;

	(void)rpc;
	disconnected(link, why, backoff(link));
}

static const struct rpc_ops rpc_ops = {.request = on_request, .opened = on_opened, .closed = on_closed};

static void on_reconnect(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	struct err err;

	(void)fd;
	(void)what;
	link->rpc = rpc_connect(link->base, link->settings.head, link->settings.plaintext, &rpc_ops, link, &err);
	if (!link->rpc) {
		disconnected(link, err.text, backoff(link));
	}
}

void link_again(struct link *link)
{
	if (link->greeted) {
		say_hello(link);
	}
}

struct link *link_new(struct event_base *base, const struct link_settings *settings, const struct link_ops *ops,
		      void *arg, struct err *err)
{
	struct link *link = xcalloc(1, sizeof(*link));

	link->base = base;
	link->settings = *settings;
	link->ops = *ops;
	link->arg = arg;
	link->heartbeat_us = HEARTBEAT_US;
	link->reconnect = evtimer_new(base, on_reconnect, link);
	link->report = evtimer_new(base, on_report, link);
	link->rpc = rpc_connect(base, settings->head, settings->plaintext, &rpc_ops, link, err);
	if (!link->rpc) {
		link_free(link);
		return NULL;
	}
	return link;
}

void link_free(struct link *link)
{
	struct rpc *rpc;

	if (!link) {
		return;
	}
	rpc = steal(&link->rpc);
	link->greeted = false;
	rpc_close(rpc);
	event_free(link->reconnect);
	event_free(link->report);
	free(link);
}
