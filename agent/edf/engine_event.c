/* What happens to an engine between its owner's calls: missed slices, ended threads, a watchdog that acted or died. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine_state.h"
#include "util.h"

#define SCAN_SECONDS 1
/* epoll's data of what is not a task's end; ids count up from 1. */
#define ON_EVENT 0
#define ON_TIMER UINT64_MAX
#define ON_WATCHDOG (UINT64_MAX - 1)

static int watch_fd(const struct engine *engine, int fd, uint64_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

	return epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int event_open(struct engine *engine, struct err *err)
{
	engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (engine->epoll_fd < 0 || engine->event_fd < 0 || engine->timer_fd < 0 ||
	    watch_fd(engine, engine->event_fd, ON_EVENT) < 0 || watch_fd(engine, engine->timer_fd, ON_TIMER) < 0) {
		return err_set(err, ERR_LIMIT, "cannot start the engine: %s", strerror(errno));
	}
	return 0;
}

int event_watchdog(struct engine *engine, struct err *err)
{
	if (watchdog_start(&engine->watchdog, engine->table, err) < 0) {
		return -1;
	}
	watch_fd(engine, engine->watchdog.pid_fd, ON_WATCHDOG);
	return 0;
}

int engine_fd(const struct engine *engine)
{
	return engine->epoll_fd;
}

void engine_tasks_changed(struct engine *engine)
{
	struct itimerspec every = {{.tv_sec = SCAN_SECONDS}, {.tv_sec = SCAN_SECONDS}};
	struct itimerspec never = {0}, now;

	timerfd_gettime(engine->timer_fd, &now);
	if (!engine->task_count || !now.it_interval.tv_sec) {
		timerfd_settime(engine->timer_fd, 0, engine->task_count ? &every : &never, NULL);
	}
}

typedef void engine_told(const struct engine_event *event, void *arg);

/* A poll under way. */
struct poll {
	struct engine *engine;
	engine_told *event;
	void *arg;
};

static struct engine_event event_of(enum engine_event_kind kind, const struct task *task)
{
	struct engine_event event = {.kind = kind, .id = task ? task->id : 0};

	if (task) {
		memcpy(event.name, task->spec.name, sizeof(event.name));
	}
	return event;
}

static void tell(const struct poll *poll, const struct engine_event *event)
{
	if (poll->event) {
		poll->event(event, poll->arg);
	}
}

static void take_misses(const struct poll *poll)
{
	struct engine *engine = poll->engine;
	struct ring_item item;

	for (unsigned i = 0; i < engine->table->cpu_count && engine->dispatcher[i]; i++) {
		while (ring_get(dispatch_ring(engine->dispatcher[i]), &item)) {
			struct task *task = task_find(engine, item.task);

			if (task && item.late_max_ns > task->late_max_ns) {
				task->late_max_ns = item.late_max_ns;
			}
		}
	}
}

static void sum_periods(const struct engine *engine, const struct task *task, uint64_t *periods, uint64_t *misses)
{
	*periods = *misses = 0;
	for (unsigned i = 0; i < task->count; i++) {
		struct table_stat stat;

		hold_stat(engine, &task->thread[i], &stat);
		*periods += stat.edf.periods + task->thread[i].periods;
		*misses += stat.edf.misses + task->thread[i].misses;
	}
}

static void check_misses(const struct poll *poll, struct task *task)
{
	struct engine_event event = event_of(ENGINE_MISSES, task);
	uint64_t periods, misses;

	sum_periods(poll->engine, task, &periods, &misses);
	/* A thread that ended took its figures along; those of a new constraint begin anew. */
	if (periods < task->told_periods || misses < task->told_misses) {
		task->told_periods = task->told_misses = 0;
	}
	event.periods = periods - task->told_periods;
	event.misses = misses - task->told_misses;
	event.late_max_ns = task->late_max_ns;
	if (event.misses * 1000000 > (uint64_t)poll->engine->settings.miss_ppm * event.periods) {
		snprintf(event.text, sizeof(event.text), "%llu of %llu periods missed, %lld us short at most",
			 (unsigned long long)event.misses, (unsigned long long)event.periods,
			 (long long)event.late_max_ns / 1000);
		tell(poll, &event);
	} else if (event.misses) {
		return;
	}
	task->told_periods = periods;
	task->told_misses = misses;
	task->late_max_ns = 0;
}

static void remove_gone(const struct poll *poll, struct task *task)
{
	struct engine_event event = event_of(ENGINE_GONE, task);

	snprintf(event.text, sizeof(event.text), "process %d has ended", (int)task->spec.pid);
	task_remove(poll->engine, task);
	tell(poll, &event);
}

static void scan(const struct poll *poll, struct task *task)
{
	unsigned refused;

	if (!task_scan(poll->engine, task, &refused)) {
		remove_gone(poll, task);
		return;
	}
	task_realign(poll->engine, task);
	if (refused) {
		struct engine_event event = event_of(ENGINE_NO_ROOM, task);

		snprintf(event.text, sizeof(event.text), "%u new threads have no room and run without a constraint",
			 refused);
		tell(poll, &event);
	}
}

static void scan_all(const struct poll *poll)
{
	/* From the end: those that have ended are taken out. */
	for (unsigned i = poll->engine->task_count; i-- > 0;) {
		scan(poll, poll->engine->tasks[i]);
	}
	for (unsigned i = 0; i < poll->engine->task_count; i++) {
		check_misses(poll, poll->engine->tasks[i]);
	}
}

/* A thread may have ended though its process goes on. */
static void scan_gone(const struct poll *poll)
{
	for (unsigned i = poll->engine->task_count; i-- > 0;) {
		struct task *task = poll->engine->tasks[i];
		bool gone = false;

		for (unsigned t = 0; t < task->count; t++) {
			gone = gone || atomic_load(&poll->engine->table->slot[task->thread[t].slot].gone);
		}
		if (gone) {
			scan(poll, task);
		}
	}
}

/* We stood still and the watchdog gave the threads back: bound again first, then the dispatchers may go on. */
static void take_back(const struct poll *poll)
{
	struct engine *engine = poll->engine;
	struct engine_event event = event_of(ENGINE_STALLED, NULL);

	if (!atomic_load(&engine->table->released)) {
		return;
	}
	for (unsigned i = 0; i < engine->task_count; i++) {
		task_again(engine, engine->tasks[i]);
	}
	atomic_store(&engine->table->released, 0);
	for (unsigned i = 0; i < engine->table->cpu_count; i++) {
		table_wake(&engine->table->cpu[i]);
	}
	watchdog_wake(&engine->watchdog);
	snprintf(event.text, sizeof(event.text),
		 "the scheduler stood still and its threads were given back; it manages them again");
	tell(poll, &event);
}

static void replace_watchdog(const struct poll *poll)
{
	struct engine *engine = poll->engine;
	struct err err;

	epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, engine->watchdog.pid_fd, NULL);
	watchdog_stop(&engine->watchdog);
	if (event_watchdog(engine, &err) == 0) {
		watchdog_wake(&engine->watchdog);
	}
}

static void handle(const struct poll *poll, uint64_t what)
{
	struct engine *engine = poll->engine;
	struct task *task;
	uint64_t count;

	switch (what) {
	case ON_EVENT:
		if (read(engine->event_fd, &count, sizeof(count)) > 0) {
			take_back(poll);
			take_misses(poll);
			scan_gone(poll);
		}
		break;
	case ON_TIMER:
		if (read(engine->timer_fd, &count, sizeof(count)) > 0) {
			take_misses(poll);
			scan_all(poll);
		}
		break;
	case ON_WATCHDOG:
		replace_watchdog(poll);
		break;
	default:
		task = task_find(engine, what);
		if (task) {
			remove_gone(poll, task);
		}
	}
}

void engine_poll(struct engine *engine, engine_told *event, void *arg)
{
	struct poll poll = {engine, event, arg};
	struct epoll_event ready[16];
	int n = epoll_wait(engine->epoll_fd, ready, (int)ARRAY_SIZE(ready), 0);

	for (int i = 0; i < n; i++) {
		handle(&poll, ready[i].data.u64);
	}
}
