/*
 * Takes guests on in the EDF engine when they run, follows changes of their constraints, and lets them go; lets
 * tenure-edf have a part of that engine. How CPU time is given is the engine's; when a guest runs is work.c's.
 */
#include "pace.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <uthash.h>

#include "clock.h"
#include "guestxml.h"
#include "log.h"
#include "server.h"
#include "text.h"
#include "util.h"

#define RETRY_US USEC_PER_SEC
#define SAMPLE_US USEC_PER_SEC /* what a guest used lately is averaged over at least this */
#define CMDLINE_MAX 8192       /* QEMU names its guest among its first arguments */

struct paced {
	struct book_key key;
	span_us slice_us, period_us; /* wanted */
	bool aligned;
	uint64_t id; /* of the engine's task, 0 = not taken on */
	int64_t alarms;
	char text[PART_TEXT_MAX]; /* why it is not in force */
	/* Of its vCPUs together, when it was looked at last, and before. */
	int64_t used_ns, was_used_ns;
	mono_us at_us, was_at_us;
	UT_hash_handle hh;
};

struct pace {
	struct engine *engine; /* NULL = none */
	struct server *server; /* for tenure-edf's tasks; NULL = none */
	uint32_t tasks_ppm;
	bool strict;
	struct pace_ops ops;
	void *arg;
	struct paced *guests;
	struct event *news, *retry;
	char why[PART_TEXT_MAX]; /* there is no engine */
};

static struct paced *find(const struct pace *pace, const struct book_key *key)
{
	struct paced *guest;

	HASH_FIND(hh, pace->guests, key, sizeof(*key), guest);
	return guest;
}

static struct paced *find_task(const struct pace *pace, uint64_t id)
{
	struct paced *guest, *next;

	HASH_ITER (hh, pace->guests, guest, next) {
		if (guest->id == id) {
			return guest;
		}
	}
	return NULL;
}

/* ---- processes ---- */

/* libvirt starts QEMU with "-name guest=NAME,debug-threads=on". */
static bool is_guest(const char *pid, const char *name)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s/cmdline", pid);
	_cleanup_free_ char *want = xasprintf("guest=%s,", name);
	char text[CMDLINE_MAX];
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	if (file) {
		fclose(file);
	}
	text[n] = '\0';
	for (size_t i = 0; i < n; i += strlen(text + i) + 1) {
		if (strcmp(text + i, "-name") == 0 && i + 6 < n) {
			return strncmp(text + i + 6, want, strlen(want)) == 0;
		}
	}
	return false;
}

/* The process of the guest's QEMU; 0 if there is none. */
static pid_t find_process(const struct book_key *key)
{
	char name[GUESTXML_NAME_MAX];
	DIR *dir = opendir("/proc");
	pid_t pid = 0;

	guestxml_name(key->lease, key->vm, key->generation, name);
	for (struct dirent *entry; dir && !pid && (entry = readdir(dir));) {
		if (isdigit((unsigned char)entry->d_name[0]) && is_guest(entry->d_name, name)) {
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return pid;
}

/* ---- the engine's tasks ---- */

static struct edf_constraint constraint_of(const struct pace *pace, const struct paced *guest)
{
	return (struct edf_constraint){
		.slice_ns = guest->slice_us * 1000,
		.period_ns = guest->period_us * 1000,
		.strict = pace->strict,
	};
}

static int attach(struct pace *pace, struct paced *guest, struct err *err)
{
	struct engine_task task = {
		.kind = ENGINE_QEMU,
		.pid = find_process(&guest->key),
		.constraint = constraint_of(pace, guest),
		.aligned = guest->aligned,
		.owner_uid = -1,
	};

	if (!task.pid) {
		return err_set(err, ERR_NOT_FOUND, "its QEMU process is not to be found");
	}
	guestxml_name(guest->key.lease, guest->key.vm, guest->key.generation, task.name);
	guest->used_ns = guest->was_used_ns = 0;
	guest->at_us = guest->was_at_us = clock_mono();
	return engine_attach(pace->engine, &task, &guest->id, err);
}

static void try_again_later(struct pace *pace)
{
	static const struct timeval delay = {.tv_sec = RETRY_US / USEC_PER_SEC};

	if (!evtimer_pending(pace->retry, NULL)) {
		event_add(pace->retry, &delay);
	}
}

/* Brings the guest to what is wanted. */
static void apply(struct pace *pace, struct paced *guest)
{
	struct edf_constraint constraint = constraint_of(pace, guest);
	struct err err = {0};
	int rc = guest->id ? engine_set(pace->engine, guest->id, &constraint, &err) : -1;

	if (guest->id && rc < 0 && err.code == ERR_NOT_FOUND) {
		guest->id = 0;
	}
	if (!guest->id) {
		rc = attach(pace, guest, &err);
	}
	if (rc < 0) {
		if (strcmp(guest->text, err.text) != 0) {
			text_log(&guest->key, LOG_LEVEL_WARNING, "its slice is not in force: %s", err.text);
		}
		text_put(guest->text, "%s", err.text);
		try_again_later(pace);
	} else {
		text_log(&guest->key, LOG_LEVEL_INFO, "slice %" PRId64 " us, period %" PRId64 " us", guest->slice_us,
			 guest->period_us);
		guest->text[0] = '\0';
	}
	pace->ops.changed(pace->arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct pace *pace = arg;
	struct paced *guest, *next;

	(void)fd;
	(void)what;
	HASH_ITER (hh, pace->guests, guest, next) {
		if (*guest->text) {
			apply(pace, guest);
		}
	}
}

static void let_go(struct pace *pace, struct paced *guest)
{
	if (guest->id) {
		engine_detach(pace->engine, guest->id, NULL);
		text_log(&guest->key, LOG_LEVEL_INFO, "let go");
	}
	HASH_DEL(pace->guests, guest);
	free(guest);
	pace->ops.changed(pace->arg);
}

void pace_set(struct pace *pace, const struct book_key *key, const struct part_vm *vm)
{
	struct paced *guest = find(pace, key);

	if (!vm || !vm->period_us) {
		if (guest) {
			let_go(pace, guest);
		}
		return;
	}
	if (!guest) {
		guest = xcalloc(1, sizeof(*guest));
		guest->key = *key;
		HASH_ADD(hh, pace->guests, key, sizeof(guest->key), guest);
	} else if (guest->slice_us == vm->slice_us && guest->period_us == vm->period_us) {
		return;
	}
	guest->slice_us = vm->slice_us;
	guest->period_us = vm->period_us;
	guest->aligned = vm->aligned;
	if (pace->engine) {
		apply(pace, guest);
	} else {
		text_put(guest->text, "%s", pace->why);
	}
}

/* ---- what the engine tells ---- */

static void on_engine(const struct engine_event *event, void *arg)
{
	struct pace *pace = arg;
	struct paced *guest = event->id ? find_task(pace, event->id) : NULL;

	log_warning("edf: %s", event->text);
	if (!guest) {
		return;
	}
	switch (event->kind) {
	case ENGINE_MISSES:
		guest->alarms++;
		break;
	case ENGINE_GONE:
		guest->id = 0;
		text_put(guest->text, "its QEMU process has ended");
		break;
	case ENGINE_NO_ROOM:
		text_put(guest->text, "%s", event->text);
		try_again_later(pace);
		break;
	case ENGINE_STALLED:
		break;
	}
	pace->ops.changed(pace->arg);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
	struct pace *pace = arg;

	(void)fd;
	(void)what;
	engine_poll(pace->engine, on_engine, pace);
}

/* ---- reports ---- */

struct rows {
	struct report_edf *out;
	int64_t used_ns, change_ns;
	unsigned threads;
	enum engine_backend backend;
	char reason[ENGINE_REASON]; /* "" or why it is not the node's */
};

static void add_row(const struct engine_row *row, void *arg)
{
	struct rows *rows = arg;
	struct report_edf *out = rows->out;
	size_t at = strlen(out->cpus);

	rows->threads++;
	rows->backend = row->backend;
	text_put(rows->reason, "%s", row->reason);
	rows->used_ns += row->used_ns;
	rows->change_ns = row->change_ns > rows->change_ns ? row->change_ns : rows->change_ns;
	if (row->cpu >= 0 && at + 8 < sizeof(out->cpus)) {
		snprintf(out->cpus + at, sizeof(out->cpus) - at, "%s%d", at ? "," : "", row->cpu);
	}
	out->slice_us = row->constraint.slice_ns / 1000;
	out->period_us = row->constraint.period_ns / 1000;
	out->periods += (int64_t)row->periods;
	out->misses += (int64_t)row->misses;
	out->late_us = row->late_max_ns / 1000 > out->late_us ? row->late_max_ns / 1000 : out->late_us;
}

/* Over the time since the look before the last, which is at least SAMPLE_US. */
static int64_t used_ppm(struct paced *guest, int64_t used_ns, unsigned threads)
{
	mono_us now = clock_mono();

	if (now - guest->at_us >= SAMPLE_US) {
		guest->was_used_ns = guest->used_ns;
		guest->was_at_us = guest->at_us;
		guest->used_ns = used_ns;
		guest->at_us = now;
	}
	span_us span = now - guest->was_at_us;
	int64_t used = used_ns - guest->was_used_ns;
	return span > 0 && used > 0 ? used * 1000 / span / (int64_t)threads : 0;
}

void pace_report(struct pace *pace, const struct book_key *key, struct report_edf *out)
{
	struct paced *guest = find(pace, key);
	struct rows rows = {.out = out};
	struct engine_node node;

	if (!guest) {
		return;
	}
	out->alarms = guest->alarms;
	text_put(out->text, "%s", guest->text);
	if (!guest->id || engine_list(pace->engine, guest->id, add_row, &rows) == 0) {
		return;
	}
	out->used_ppm = used_ppm(guest, rows.used_ns, rows.threads);
	out->change_us = rows.change_ns / 1000;
	if (rows.backend == ENGINE_NONE && !*rows.reason) {
		engine_node(pace->engine, &node);
		text_put(out->text, "this node enforces nothing%s%s", *node.reason ? ": " : "", node.reason);
		return;
	}
	if (*rows.reason) {
		text_put(out->text, "backend %s: %s", engine_backend_name(rows.backend), rows.reason);
	}
	if (rows.backend != ENGINE_NONE) {
		snprintf(out->backend, sizeof(out->backend), "%s", engine_backend_name(rows.backend));
	}
}

/* ---- tenure-edf's tasks ---- */

struct tasks {
	struct report *report;
	size_t room;
	int64_t now_ns;
};

/* Names of processes may hold anything. */
static void put_name(char *out, const char *name)
{
	size_t n = 0;

	for (; *name && n + 1 < REPORT_NAME; name++) {
		out[n++] = isprint((unsigned char)*name) ? *name : '?';
	}
	out[n] = '\0';
}

/* Rows of a task follow each other. */
static void add_task(const struct engine_row *row, void *arg)
{
	struct tasks *tasks = arg;
	struct report *report = tasks->report;
	struct report_task *task = report->task_count ? &report->tasks[report->task_count - 1] : NULL;

	if (row->owner_uid < 0) {
		return;
	}
	if (!task || task->id != row->id) {
		if (report->task_count == REPORT_TASKS_MAX) {
			return;
		}
		if (report->task_count == tasks->room) {
			tasks->room = 2 * tasks->room + 8;
			report->tasks = xrealloc(report->tasks, tasks->room, sizeof(*report->tasks));
		}
		task = &report->tasks[report->task_count++];
		*task = (struct report_task){.id = row->id, .pid = row->pid, .uid = row->owner_uid};
		put_name(task->name, row->name);
		snprintf(task->edf.backend, sizeof(task->edf.backend), "%s", engine_backend_name(row->backend));
	}
	struct rows rows = {.out = &task->edf, .change_ns = task->edf.change_us * 1000};
	int64_t age_us = (tasks->now_ns - row->attached_ns) / 1000;

	add_row(row, &rows);
	task->edf.change_us = rows.change_ns / 1000;
	task->edf.used_ppm += age_us > 0 && row->used_ns > 0 ? row->used_ns * 1000 / age_us / row->count : 0;
}

void pace_tasks(const struct pace *pace, struct report *report)
{
	struct tasks tasks = {.report = report, .now_ns = clock_mono_ns()};

	if (pace->server) {
		engine_list(pace->engine, 0, add_task, &tasks);
	}
}

int pace_tune(struct pace *pace, uint64_t task, span_us slice_us, span_us period_us, struct err *err)
{
	if (!pace->server) {
		return err_set(err, ERR_NOT_FOUND, "this node gives nothing to tasks: \"tasks\" in its settings is 0");
	}
	return server_tune(pace->server, task, slice_us, period_us, err);
}

/* ---- what the node can ---- */

/* What is left of each CPU for guests. */
static uint32_t guests_ppm(const struct pace *pace, const struct engine_node *node)
{
	uint32_t tasks_ppm = pace->server ? pace->tasks_ppm : 0;

	return node->node.limit_ppm > tasks_ppm ? node->node.limit_ppm - tasks_ppm : 0;
}

void pace_hello(const struct pace *pace, struct hello_edf *out)
{
	struct engine_node node;

	*out = (struct hello_edf){.backend = "none"};
	if (!pace->engine) {
		text_put(out->text, "%s", pace->why);
		return;
	}
	engine_node(pace->engine, &node);
	snprintf(out->backend, sizeof(out->backend), "%s", engine_backend_name(node.backend));
	text_put(out->text, "%s%s%s", node.reason, *node.reason && *node.done ? "; " : "", node.done);
	if (node.backend != ENGINE_NONE && guests_ppm(pace, &node) > 0) {
		out->can = node.node;
		out->can.limit_ppm = guests_ppm(pace, &node);
	}
}

int64_t pace_capacity(const struct pace *pace)
{
	struct engine_node node;

	if (!pace->engine) {
		return 0;
	}
	engine_node(pace->engine, &node);
	return node.backend == ENGINE_EDF ? (int64_t)node.node.cpus * guests_ppm(pace, &node) / 1000 : 0;
}

/* ---- starting and ending ---- */

struct pace *pace_new(struct event_base *base, const struct pace_settings *settings, const struct pace_ops *ops,
		      void *arg)
{
	struct pace *pace = xcalloc(1, sizeof(*pace));
	struct hello_edf can;
	struct err err;

	pace->strict = settings->strict;
	pace->ops = *ops;
	pace->arg = arg;
	pace->retry = evtimer_new(base, on_retry, pace);
	if (engine_new(&pace->engine, &settings->engine, &err) < 0) {
		pace->engine = NULL;
		text_put(pace->why, "%s", err.text);
		log_warning("edf: %s; slices and periods are not enforced", err.text);
		return pace;
	}
	pace->tasks_ppm = settings->tasks_ppm;
	if (settings->tasks_ppm &&
	    server_new(&pace->server, base, pace->engine, settings->engine.run_dir, NULL, &err) < 0) {
		log_warning("edf: %s; there are no tasks of tenure-edf", err.text);
		pace->server = NULL;
	} else if (pace->server) {
		server_limit(pace->server, settings->tasks_ppm);
		server_keep(pace->server, settings->engine.run_dir);
	}
	pace->news = event_new(base, engine_fd(pace->engine), EV_READ | EV_PERSIST, on_news, pace);
	event_add(pace->news, NULL);
	pace_hello(pace, &can);
	log_info("edf: backend %s on %u CPUs%s%s", can.backend, can.can.cpus, *can.text ? ": " : "", can.text);
	return pace;
}

void pace_free(struct pace *pace)
{
	struct paced *guest, *next;

	if (!pace) {
		return;
	}
	HASH_ITER (hh, pace->guests, guest, next) {
		HASH_DEL(pace->guests, guest);
		free(guest);
	}
	if (pace->news) {
		event_free(pace->news);
	}
	event_free(pace->retry);
	server_free(pace->server);
	engine_free(pace->engine);
	free(pace);
}
