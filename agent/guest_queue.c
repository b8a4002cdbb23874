/*
 * The queue of operations on guests: their order, how many at once, their deadlines and answers. On the event loop,
 * never blocking. What the operations do is guest_work.c's.
 */
#include <limits.h>
#include <string.h>

#include "clock.h"
#include "guest_state.h"
#include "thread.h"
#include "util.h"

/*
 * Of the long operations, so many at once: two guests being created or one being saved keep a small machine busy, and
 * libvirtd takes five requests from the connection they share.
 */
#define CREATING_MAX 2
#define SAVING_MAX 1
#define STOPPING_MAX 4
#define TICK_US (200 * USEC_PER_MSEC)
/* An event comes within milliseconds of its cause; without it the time of the call's return is used. */
#define EVENT_WAIT_US (500 * USEC_PER_MSEC)

/* ---- answering ---- */

static void kick(struct guests *guests)
{
	event_active(guests->kick, EV_TIMEOUT, 0);
}

static void call_back(const struct op *op, wall_us at_us)
{
	const struct err *err = op->failed ? &op->err : NULL;

	if (op->list_done && err) {
		op->list_done(NULL, 0, err, op->arg);
	} else if (op->list_done) {
		op->list_done(op->listed, op->listed_count, NULL, op->arg);
	} else if (op->done) {
		op->done(err, at_us, op->arg);
	}
}

static void answer(struct guests *guests, struct op *op, wall_us at_us)
{
	struct guest_entry *entry = op->entry;

	DL_DELETE(guests->queue, op);
	op->answered = true;
	if (entry && --entry->ops == 0 && (op->kind == OP_REMOVE || entry->guest.seen == SEEN_ABSENT) &&
	    !(op->failed && op->kind == OP_REMOVE)) {
		entry_drop(guests, entry);
	}
	call_back(op, at_us);
	op_unref(op);
	kick(guests);
}

static void refuse(struct op *op, enum err_code code, const char *why)
{
	op->failed = true;
	err_set(&op->err, code, "%s", why);
}

/* What a guest has become when the operation is done; ABSENT: the operation says nothing about it. */
static enum vm_seen reached(enum op_kind kind)
{
	switch (kind) {
	case OP_PREPARE:
	case OP_RESTORE:
		return SEEN_PREPARED;
	case OP_RUN:
		return SEEN_RUNNING;
	case OP_SAVE:
	case OP_SETTLE:
		return SEEN_SUSPENDED;
	case OP_STOP:
	case OP_REMOVE:
		return SEEN_ENDED;
	case OP_PAUSE:
	case OP_LIST:
		break;
	}
	return SEEN_ABSENT;
}

/* Starts and ends are timed by libvirt's event, which may come before or after the call's return. */
static bool wants_event(const struct op *op)
{
	return op->kind == OP_RUN || op->kind == OP_STOP || op->kind == OP_REMOVE;
}

/*
 * That it was so already: a guest that is there may be running, one that is not there may be suspended. A stop that
 * finds nothing ends only what was thought to be there.
 */
static bool says_nothing(const struct op *op)
{
	enum vm_seen seen = op->entry->guest.seen;

	if (op->kind == OP_STOP) {
		return seen != SEEN_PREPARED && seen != SEEN_RUNNING && seen != SEEN_SUSPENDING;
	}
	return op->kind == OP_PREPARE || op->kind == OP_RESTORE || op->kind == OP_REMOVE;
}

static void finish(struct guests *guests, struct op *op)
{
	struct guest_entry *entry = op->entry;
	enum vm_seen seen = reached(op->kind);
	wall_us at_us = op->reached_us;

	if (op->event_us) {
		/* What the guest has become since was told by later events: it may have ended by itself. */
		at_us = op->event_us;
	} else if (seen != SEEN_ABSENT && !(op->already && says_nothing(op))) {
		if (entry->guest.seen == seen && entry->guest.at_us) {
			at_us = entry->guest.at_us;
		}
		entry_see(guests, entry, seen, at_us, "");
	}
	answer(guests, op, at_us);
}

/* ---- listing ---- */

/* A snapshot is older than the events that came while it was taken. */
static void merge_listed(struct guests *guests, struct op *op, struct guest *listed)
{
	struct guest_entry *entry = entry_get(guests, listed->lease, listed->vm, listed->generation);

	if (entry->change > op->change) {
		*listed = entry->guest;
		return;
	}
	if (entry->guest.seen == listed->seen && entry->guest.at_us) {
		listed->at_us = entry->guest.at_us;
	}
	entry->guest = *listed;
	entry->pass = guests->pass;
}

static void finish_list(struct guests *guests, struct op *op)
{
	struct guest_entry *entry, *next;

	guests->pass++;
	for (size_t i = 0; i < op->listed_count; i++) {
		merge_listed(guests, op, &op->listed[i]);
	}
	HASH_ITER (hh, guests->entries, entry, next) {
		if (entry->pass != guests->pass && entry->change <= op->change && entry->ops == 0) {
			entry_drop(guests, entry);
		}
	}
	answer(guests, op, 0);
}

/* ---- the queue ---- */

/* Long operations of one class are limited in number. */
enum op_class { CLASS_SHORT, CLASS_CREATE, CLASS_SAVE, CLASS_STOP, CLASS_COUNT };

static const unsigned class_max[CLASS_COUNT] = {[CLASS_SHORT] = UINT_MAX,
						[CLASS_CREATE] = CREATING_MAX,
						[CLASS_SAVE] = SAVING_MAX,
						[CLASS_STOP] = STOPPING_MAX};

static enum op_class class_of(enum op_kind kind)
{
	switch (kind) {
	case OP_PREPARE:
		return CLASS_CREATE;
	case OP_SAVE:
	case OP_RESTORE:
		return CLASS_SAVE;
	case OP_STOP:
	case OP_REMOVE:
		return CLASS_STOP;
	case OP_RUN:
	case OP_PAUSE:
	case OP_SETTLE:
	case OP_LIST:
		break;
	}
	return CLASS_SHORT;
}

static void start(struct guests *guests, struct op *op)
{
	op->started = true;
	op->change = guests->change;
	if (thread_start(op_thread, op_ref(op), &op->err) < 0) {
		op_unref(op);
		op->failed = true;
		answer(guests, op, 0);
	}
}

/* Refused before it began, or because there is nobody to ask. */
static bool refused(struct guests *guests, struct op *op)
{
	if (!op->failed && !guests->connected) {
		refuse(op, ERR_UNAVAILABLE, guests->why);
	}
	return op->failed;
}

/* Starts what may start: each guest's operations in their order, and not too many of the long ones. */
void queue_schedule(evutil_socket_t fd, short what, void *arg)
{
	struct guests *guests = arg;
	unsigned busy[CLASS_COUNT] = {0};
	struct op *op, *next;
	uint64_t pass = ++guests->pass;

	(void)fd;
	(void)what;
	DL_FOREACH (guests->queue, op) {
		busy[class_of(op->kind)] += op->started;
	}
	DL_FOREACH_SAFE (guests->queue, op, next) {
		enum op_class class = class_of(op->kind);
		bool behind = op->entry && op->entry->pass == pass;

		if (!op->started && refused(guests, op)) {
			answer(guests, op, 0);
			continue;
		}
		if (op->entry) {
			op->entry->pass = pass;
		}
		if (!op->started && !behind && busy[class] < class_max[class]) {
			busy[class]++;
			start(guests, op);
		}
	}
	if (guests->queue && !event_pending(guests->tick, EV_TIMEOUT, NULL)) {
		event_add(guests->tick, &(struct timeval){.tv_usec = TICK_US});
	}
}

/* What waits for the same guest when it is to be stopped is not worth carrying out; nor is a start that still waits. */
static void call_off_others(struct guests *guests, const struct op *newer)
{
	bool ends = newer->kind == OP_STOP || newer->kind == OP_REMOVE;
	struct op *op;

	DL_FOREACH (guests->queue, op) {
		if (op->entry != newer->entry || !op->entry) {
			continue;
		}
		if (op->started && op->kind == OP_RUN) {
			op_call_off(op);
		} else if (!op->started && !op->failed && ends && op->kind != OP_STOP && op->kind != OP_REMOVE) {
			refuse(op, ERR_CONFLICT, "called off: the guest is to be stopped");
		}
	}
}

void queue_add(struct guests *guests, struct op *op)
{
	if (op->kind != OP_LIST) {
		op->entry = entry_get(guests, op->lease, op->vm, op->generation);
		op->entry->ops++;
		call_off_others(guests, op);
	}
	DL_APPEND(guests->queue, op);
	kick(guests);
}

/* A creation or restore that failed half way may have been seen paused before. */
static void take_back(struct guests *guests, const struct op *op)
{
	if (op->entry && op->entry->guest.seen == SEEN_PREPARED) {
		if (op->kind == OP_PREPARE) {
			entry_see(guests, op->entry, SEEN_ABSENT, clock_wall(), op->err.text);
		} else if (op->kind == OP_RESTORE) {
			entry_see(guests, op->entry, SEEN_SUSPENDED, clock_wall(), op->err.text);
		}
	}
}

void queue_returned(struct guests *guests, struct op *op, const struct err *err)
{
	if (op->answered) {
		return;
	}
	if (err) {
		refuse(op, err->code, err->text);
		take_back(guests, op);
		answer(guests, op, 0);
	} else if (op->kind == OP_PAUSE) {
		/* Keeps its place before later operations on the guest, and queues up for its turn to write. */
		op->kind = OP_SAVE;
		op->started = false;
		kick(guests);
	} else if (op->kind == OP_LIST) {
		finish_list(guests, op);
	} else if (wants_event(op) && !op->already && !op->event_us) {
		op->event_until = clock_mono() + EVENT_WAIT_US;
	} else {
		finish(guests, op);
	}
}

struct op *queue_under_way(struct guests *guests, const struct guest_entry *entry)
{
	struct op *op;

	DL_FOREACH (guests->queue, op) {
		if (op->entry == entry && (op->started || op->kind == OP_SAVE)) {
			return op;
		}
	}
	return NULL;
}

void queue_changed(struct guests *guests, struct guest_entry *entry)
{
	struct op *op = queue_under_way(guests, entry);

	if (op && wants_event(op) && entry->guest.seen == reached(op->kind)) {
		op->event_us = entry->guest.at_us;
		if (op->event_until) {
			finish(guests, op);
		}
	}
}

/* ---- deadlines ---- */

/* The worker stays with its call; its guest's queue and this loop go on without it. */
static void give_up(struct guests *guests, struct op *op, const char *call)
{
	uint64_t serial = op->serial;
	char why[128];

	snprintf(why, sizeof(why), "libvirt does not answer: %s takes too long", call);
	op_call_off(op);
	refuse(op, ERR_TIMEOUT, why);
	virt_lost(guests->env->virt, serial, why);
	answer(guests, op, 0);
	guests_go_down(guests, why);
}

static void look_at_op(struct guests *guests, struct op *op, mono_us now_us)
{
	const char *call;

	if (op->event_until) {
		if (now_us > op->event_until) {
			finish(guests, op);
		}
		return;
	}
	pthread_mutex_lock(&op->lock);
	call = op->call && now_us > op->call_until ? op->call : NULL;
	pthread_mutex_unlock(&op->lock);
	if (call) {
		give_up(guests, op, call);
	}
}

void queue_tick(evutil_socket_t fd, short what, void *arg)
{
	struct guests *guests = arg;
	mono_us now_us = clock_mono();
	struct op *op, *next;

	(void)fd;
	(void)what;
	DL_FOREACH_SAFE (guests->queue, op, next) {
		if (op->started) {
			look_at_op(guests, op, now_us);
		}
	}
	if (guests->queue) {
		event_add(guests->tick, &(struct timeval){.tv_usec = TICK_US});
	}
}
