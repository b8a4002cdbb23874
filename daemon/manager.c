/*
 * Batching: what arrives in one loop pass is decided together in one transaction, then answered and delivered. Knows
 * what a pass is, how it fails and how it is made good; what a command means is manager_command.c's, what a report
 * means manager_node.c's, what the planner wants manager_plan.c's.
 */
#include "manager.h"

#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "clock.h"
#include "events.h"
#include "manager_state.h"
#include "nodes.h"
#include "rebuild.h"
#include "store_record.h"
#include "util.h"

#define RETRY_US USEC_PER_SEC      /* after a failed transaction */
#define WAKE_MAX_US USEC_PER_SEC   /* the wall clock is looked at this often: it may have been set */
#define CLOCK_BACK_US USEC_PER_SEC /* a greater step back is believed */
#define PRUNE_EVERY_US USEC_PER_MINUTE
#define PRUNE_AGAIN_US (200 * USEC_PER_MSEC) /* while there is more: requests come first */
#define PRUNE_ROWS 500                       /* about 10 ms */

static void arm(struct event *timer, span_us delay)
{
	struct timeval tv = {.tv_sec = delay / USEC_PER_SEC, .tv_usec = delay % USEC_PER_SEC};

	evtimer_add(timer, &tv);
}

/*
 * The pass runs from a timer of zero length: libevent first serves every socket that is ready and only then its timers,
 * so that whatever arrived while the last transaction was being written shares the next one.
 */
static void want_pass(struct manager *manager)
{
	if (!evtimer_pending(manager->pass, NULL)) {
		arm(manager->pass, 0);
	}
}

wall_us manager_clock(struct manager *manager)
{
	wall_us now = clock_wall();

	return now > manager->now ? now : manager->now;
}

/* ---- work ----------------------------------------------------------------------------------------------------------
 */

static char *dup_or_null(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static void free_work(struct work *work)
{
	free((char *)work->command.owner);
	free((char *)work->command.method);
	free((char *)work->command.request_id);
	free((char *)work->command.params_digest);
	free((char *)work->command.name);
	free((char *)work->command.image);
	image_fini(&work->image);
	free((char *)work->hello.name);
	free((char *)work->hello.version);
	free((char *)work->hello.hypervisor);
	json_object_put(work->result);
	json_object_put(work->data);
	free(work);
}

static struct work *queue_work(struct manager *manager, enum work_kind kind, manager_done *done, void *arg)
{
	struct work *work = xcalloc(1, sizeof(*work));

	work->kind = kind;
	work->done = done;
	work->arg = arg;
	DL_APPEND(manager->queue, work);
	want_pass(manager);
	return work;
}

void manager_submit(struct manager *manager, const struct command *command, manager_done *done, void *arg)
{
	struct work *work = queue_work(manager, WORK_COMMAND, done, arg);

	work->command = *command;
	work->command.owner = xstrdup(command->owner);
	work->command.method = xstrdup(command->method);
	work->command.request_id = dup_or_null(command->request_id);
	work->command.params_digest = dup_or_null(command->params_digest);
	work->command.name = dup_or_null(command->name);
	work->command.image = dup_or_null(command->image);
	work->command.add = NULL;
	if (command->add) {
		manager_copy_image(command->add, &work->image);
	}
}

void manager_node_hello(struct manager *manager, const struct node_hello *hello, manager_done *done, void *arg)
{
	struct work *work = queue_work(manager, WORK_HELLO, done, arg);

	work->hello = *hello;
	work->hello.name = xstrdup(hello->name);
	work->hello.version = xstrdup(hello->version);
	work->hello.hypervisor = xstrdup(hello->hypervisor);
}

static struct report *copy_report(const struct report *report)
{
	struct report *copy = xcalloc(1, sizeof(*copy));

	*copy = *report;
	copy->vms = xcalloc(report->vm_count + 1, sizeof(*copy->vms));
	copy->images = xcalloc(report->image_count + 1, sizeof(*copy->images));
	copy->tasks = xcalloc(report->task_count + 1, sizeof(*copy->tasks));
	if (report->vm_count) {
		memcpy(copy->vms, report->vms, report->vm_count * sizeof(*copy->vms));
	}
	if (report->image_count) {
		memcpy(copy->images, report->images, report->image_count * sizeof(*copy->images));
	}
	if (report->task_count) {
		memcpy(copy->tasks, report->tasks, report->task_count * sizeof(*copy->tasks));
	}
	return copy;
}

/* A report is a whole picture: the newest replaces those before it, also when several came in one pass. */
void manager_node_report(struct manager *manager, uint32_t node, const struct report *report)
{
	struct last_report *last;
	struct work *work;

	HASH_FIND(hh, manager->report, &node, sizeof(node), last);
	if (!last) {
		last = xcalloc(1, sizeof(*last));
		last->node = node;
		HASH_ADD(hh, manager->report, node, sizeof(last->node), last);
	}
	report_free(last->report);
	last->report = copy_report(report);
	DL_FOREACH (manager->queue, work) {
		if (work->kind == WORK_REPORT && work->node == node) {
			return;
		}
	}
	queue_work(manager, WORK_REPORT, NULL, NULL)->node = node;
}

void manager_node_silent(struct manager *manager, uint32_t node)
{
	queue_work(manager, WORK_SILENT, NULL, NULL)->node = node;
}

/* ---- the transaction -----------------------------------------------------------------------------------------------
 */

static int decide(struct manager *manager, struct work *work, struct err *err)
{
	switch (work->kind) {
	case WORK_COMMAND:
		return manager_command(manager, work, err);
	case WORK_HELLO:
		return manager_hello(manager, work, err);
	case WORK_REPORT:
		return manager_report(manager, work->node, err);
	case WORK_SILENT:
		return manager_silent(manager, work->node, err);
	}
	return err_set(err, ERR_INTERNAL, "work of kind %d is unknown", (int)work->kind);
}

/* After a failure: what the nodes said meanwhile was planned on a plan that is gone, so it is read again. */
static int catch_up(struct manager *manager, struct err *err)
{
	struct last_report *last, *next;
	int64_t failures;

	if (!manager->failed) {
		return 0;
	}
	/*
	 * A commit that failed while the log was being flushed may yet have reached the disk. Any write takes its place
	 * there, so that what was answered with an error cannot come back after a crash.
	 */
	if (store_meta(manager->store, "failures", &failures, err) < 0 ||
	    store_set_meta(manager->store, "failures", failures + 1, err) < 0) {
		return -1;
	}
	HASH_ITER (hh, manager->report, last, next) {
		if (manager_report(manager, last->node, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static int write_counters(struct manager *manager, struct err *err)
{
	const struct {
		const char *key;
		uint64_t value;
	} counters[] = {
		{"version", manager->version},       {"last_lease", manager->last_lease},
		{"last_slot", manager->last_slot},   {"last_transfer", manager->last_transfer},
		{"last_image", manager->last_image}, {"last_node", manager->last_node},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		int64_t stored;

		if (store_meta(manager->store, counters[i].key, &stored, err) < 0 ||
		    ((uint64_t)stored != counters[i].value &&
		     store_set_meta(manager->store, counters[i].key, (int64_t)counters[i].value, err) < 0)) {
			return -1;
		}
	}
	return 0;
}

/* Parts that change in one pass get one version: they are compared within a node only. */
static void number_parts(struct manager *manager)
{
	struct head_node *node, *next;
	uint64_t version = manager->version + 1;

	HASH_ITER (hh, manager->node, node, next) {
		if (node->dirty) {
			node->version = version;
			manager->version = version;
		}
	}
}

static int prune(struct manager *manager, struct err *err)
{
	int rc;

	if (manager->now < manager->prune_us) {
		return 0;
	}
	if (manager->settings->record) {
		manager->prune_us = WALL_NEVER;
		return 0;
	}
	rc = store_prune(manager->store, manager->now - manager->settings->keep, PRUNE_ROWS, err);
	manager->prune_us = manager->now + (rc > 0 ? PRUNE_AGAIN_US : PRUNE_EVERY_US);
	return rc < 0 ? -1 : 0;
}

static int transact(struct manager *manager, struct work *batch, int64_t *rev, struct err *err)
{
	struct event tick = {.kind = EVENT_TICK};
	struct work *work;

	if (store_begin(manager->store, err) < 0) {
		return -1;
	}
	/* With other events the planner moves its clock itself. */
	if (catch_up(manager, err) < 0 || (manager->now >= manager->wake_us && manager_step(manager, &tick, err) < 0)) {
		return -1;
	}
	DL_FOREACH (batch, work) {
		if (decide(manager, work, err) < 0) {
			return -1;
		}
	}
	number_parts(manager);
	if (write_counters(manager, err) < 0 || prune(manager, err) < 0 ||
	    store_last_rev(manager->store, rev, err) < 0) {
		return -1;
	}
	return store_commit(manager->store, err);
}

/* ---- after it ------------------------------------------------------------------------------------------------------
 */

static void free_notes(struct manager *manager, bool tell)
{
	struct note *note, *next;

	DL_FOREACH_SAFE (manager->notes, note, next) {
		if (tell) {
			log_line(note->level, "%s", note->text);
		}
		DL_DELETE(manager->notes, note);
		free(note->text);
		free(note);
	}
}

static void answer(struct work *batch)
{
	struct work *work, *next;

	DL_FOREACH_SAFE (batch, work, next) {
		DL_DELETE(batch, work);
		if (work->done) {
			bool good = work->err.code == ERR_NONE;

			work->done(good ? work->result : NULL, good ? NULL : &work->err, work->data, work->arg);
		}
		free_work(work);
	}
}

static void deliver(struct manager *manager)
{
	struct head_node *node, *next;

	HASH_ITER (hh, manager->node, node, next) {
		if (node->dirty && manager->nodes) {
			nodes_deliver(manager->nodes, node->info.id);
		}
		node->dirty = false;
	}
}

static void succeeded(struct manager *manager, struct work *batch, int64_t rev)
{
	if (manager->failed) {
		struct head_node *node, *next;

		/* Whatever was sent before came from commits; but what nodes.c asked for meanwhile it did not get. */
		HASH_ITER (hh, manager->node, node, next) {
			node->dirty = true;
		}
		log_info("store: written again");
		manager->failed = false;
	}
	free_notes(manager, true);
	deliver(manager);
	answer(batch);
	if (manager->events) {
		events_committed(manager->events, rev);
	}
}

/* Nothing of the pass counts: neither on disk, nor in memory, nor for those who asked. */
static void failed(struct manager *manager, struct work *batch, const struct err *err)
{
	struct err why = {0};
	struct work *work;

	store_rollback(manager->store);
	free_notes(manager, false);
	if (!manager->failed) {
		log_error("store: %s; refusing requests until it can be written", err->text);
	}
	if (manager_load(manager, &why) < 0 && !manager->failed) {
		log_error("store: %s; trying again", why.text);
	}
	manager->failed = true;
	manager->prune_us = manager->now + PRUNE_EVERY_US;
	DL_FOREACH (batch, work) {
		json_object_put(steal(&work->result));
		json_object_put(steal(&work->data));
		work->err = (struct err){0};
		err_set(&work->err, ERR_STORE, "nothing was changed: %s", err->text);
	}
	answer(batch);
	arm(manager->wake, RETRY_US);
}

/* When a pass is due without work. */
static wall_us due(const struct manager *manager)
{
	return manager->wake_us < manager->prune_us ? manager->wake_us : manager->prune_us;
}

static void arm_wake(struct manager *manager)
{
	span_us delay = due(manager) - clock_wall();

	arm(manager->wake, delay < 0 ? 0 : delay > WAKE_MAX_US ? WAKE_MAX_US : delay);
}

/* The planner's time does not go back. When the clock is set back, a new plan is made from the same rows. */
static int set_now(struct manager *manager, struct err *err)
{
	wall_us now = clock_wall();
	bool back = now < manager->now - CLOCK_BACK_US;

	if (back) {
		log_warning("clock: set back by %" PRId64 " s; is NTP running here?",
			    (manager->now - now) / USEC_PER_SEC);
		manager->prune_us = 0;
	}
	if (back || now > manager->now) {
		manager->now = now;
	}
	return back || !manager->plan ? manager_load(manager, err) : 0;
}

static void on_pass(evutil_socket_t fd, short what, void *arg)
{
	struct manager *manager = arg;
	struct work *batch = steal(&manager->queue);
	struct err err = {0};
	int64_t rev = 0;

	(void)fd;
	(void)what;
	manager->fresh = 0;
	if (set_now(manager, &err) < 0 || transact(manager, batch, &rev, &err) < 0) {
		failed(manager, batch, &err);
		return;
	}
	succeeded(manager, batch, rev);
	arm_wake(manager);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct manager *manager = arg;
	wall_us now = clock_wall();

	(void)fd;
	(void)what;
	if (manager->failed || now >= due(manager) || now < manager->now - CLOCK_BACK_US) {
		want_pass(manager);
	} else {
		arm_wake(manager);
	}
}

/* ---- start and end -------------------------------------------------------------------------------------------------
 */

/* Agents tell by it which head is the newer one, also after a restore from a backup. */
static int raise_epoch(struct manager *manager, struct err *err)
{
	int64_t epoch;

	if (store_begin(manager->store, err) < 0) {
		return -1;
	}
	if (store_meta(manager->store, "epoch", &epoch, err) < 0 ||
	    store_set_meta(manager->store, "epoch", epoch + 1, err) < 0) {
		store_rollback(manager->store);
		return -1;
	}
	manager->epoch = (uint64_t)epoch + 1;
	return store_commit(manager->store, err);
}

/* A recording begins with the head that makes it. */
static int begin_record(struct manager *manager, struct err *err)
{
	struct plan_settings settings = settings_plan(manager->settings);
	wall_us use_from = rebuild_use_from(&settings, manager->now);
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (!manager->settings->record) {
		return 0;
	}
	FILE *out = open_memstream(&text, &size);
	if (!out) {
		return err_set(err, ERR_INTERNAL, "out of memory");
	}
	conf_print(settings_table, settings_count, manager->settings, out);
	fclose(out);
	if (store_begin(manager->store, err) < 0) {
		return -1;
	}
	if (store_record_begin(manager->store, manager->now, use_from, text, err) < 0) {
		store_rollback(manager->store);
		return -1;
	}
	return store_commit(manager->store, err);
}

/* What is planned goes by the clock as it is; whoever set it wrong has to know before guests start. */
static int check_clock(const struct manager *manager, struct err *err)
{
	wall_us last_us;

	if (store_last_at(manager->store, &last_us, err) < 0) {
		return -1;
	}
	if (manager->now < last_us - CLOCK_BACK_US) {
		log_warning("clock: %" PRId64 " s behind the last event in the database; is NTP running here?",
			    (last_us - manager->now) / USEC_PER_SEC);
	}
	return 0;
}

struct manager *manager_new(struct event_base *base, struct store *store, const struct head_settings *settings,
			    struct err *err)
{
	struct manager *manager = xcalloc(1, sizeof(*manager));

	manager->base = base;
	manager->store = store;
	manager->settings = settings;
	manager->now = clock_wall();
	manager->pass = evtimer_new(base, on_pass, manager);
	manager->wake = evtimer_new(base, on_wake, manager);
	if (!manager->pass || !manager->wake) {
		err_set(err, ERR_INTERNAL, "cannot make a timer");
		manager_free(manager);
		return NULL;
	}
	if (check_clock(manager, err) < 0 || raise_epoch(manager, err) < 0 || begin_record(manager, err) < 0 ||
	    manager_load(manager, err) < 0) {
		manager_free(manager);
		return NULL;
	}
	want_pass(manager);
	return manager;
}

void manager_free(struct manager *manager)
{
	struct work *work;

	if (!manager) {
		return;
	}
	DL_FOREACH (manager->queue, work) {
		err_set(&work->err, ERR_UNAVAILABLE, "the server is shutting down");
	}
	answer(steal(&manager->queue));
	if (manager->pass) {
		event_free(manager->pass);
	}
	if (manager->wake) {
		event_free(manager->wake);
	}
	manager_drop_reports(manager);
	manager_unload(manager);
	actions_fini(&manager->actions);
	free(manager);
}

void manager_attach(struct manager *manager, struct nodes *nodes, struct events *events)
{
	manager->nodes = nodes;
	manager->events = events;
}

uint64_t manager_epoch(const struct manager *manager)
{
	return manager->epoch;
}
