/*
 * The decision what to do next about one guest. Every rule of how an agent carries out its book is here and nowhere
 * else; doing it, retrying and remembering are work.c's.
 */
#include "work_next.h"

#include <string.h>

#include "util.h"

static const char *const stage_names[WORK_STAGE_COUNT] = {
	[WORK_NEW] = "new",         [WORK_BOOTED] = "booted", [WORK_SAVED] = "saved",
	[WORK_RESUMED] = "resumed", [WORK_ENDED] = "ended",   [WORK_FAILED] = "failed",
};

static const char *const op_names[WORK_OP_COUNT] = {
	[WORK_NONE] = "nothing", [WORK_PREPARE] = "prepare",     [WORK_RESTORE] = "restore",
	[WORK_RUN] = "run",      [WORK_UNPREPARE] = "unprepare", [WORK_SUSPEND] = "suspend",
	[WORK_STOP] = "stop",    [WORK_REMOVE] = "remove",       [WORK_END] = "end",
	[WORK_FAIL] = "fail",
};

const char *work_stage_name(enum work_stage stage)
{
	return stage_names[stage];
}

int work_stage_parse(const char *name, enum work_stage *stage)
{
	for (int i = 0; i < WORK_STAGE_COUNT; i++) {
		if (strcmp(name, stage_names[i]) == 0) {
			*stage = (enum work_stage)i;
			return 0;
		}
	}
	return -1;
}

const char *work_op_name(enum work_op op)
{
	return op_names[op];
}

static struct work_step until(wall_us when_us)
{
	return (struct work_step){.op = WORK_NONE, .when_us = when_us};
}

static struct work_step act(const struct work_view *view, enum work_op op)
{
	return (struct work_step){.op = op, .when_us = view->now_us};
}

static struct work_step fail(const struct work_view *view, const char *why)
{
	return (struct work_step){.op = WORK_FAIL, .when_us = view->now_us, .why = why};
}

/* Its domain is there but must not be: the book dropped it, or its state is final. */
static bool has_domain(enum vm_seen seen)
{
	return seen == SEEN_PREPARED || seen == SEEN_RUNNING || seen == SEEN_SUSPENDING;
}

/* Suspended until further notice. */
static struct work_step next_unplanned(const struct work_view *view)
{
	switch (view->seen) {
	case SEEN_SUSPENDED:
		return until(WALL_NEVER);
	case SEEN_PREPARED:
		return act(view, view->ran ? WORK_SUSPEND : WORK_UNPREPARE);
	case SEEN_RUNNING:
	case SEEN_SUSPENDING:
		return act(view, WORK_SUSPEND);
	case SEEN_ABSENT:
	case SEEN_ENDED:
	case SEEN_FAILED:
	case SEEN_COUNT:
		break;
	}
	return fail(view, "its saved memory is gone");
}

/*
 * It lies on another node, and comes from there. Giving up is final, so that the head may have it go on where it lies;
 * but while it still comes, however slowly, it is waited for.
 */
static struct work_step next_coming(const struct work_view *view)
{
	const struct run *run = &view->vm->run;
	wall_us patience_us = run->start_us + WORK_GIVE_UP_US;

	if (view->now_us >= run->end_us) {
		return fail(view, "its end passed before it had come from its other node");
	}
	if (!view->here && view->stuck && view->now_us >= patience_us) {
		return fail(view, "it could not be fetched from its other node");
	}
	if (!view->here) {
		return until(view->now_us < patience_us && patience_us < run->end_us ? patience_us : run->end_us);
	}
	if (view->now_us < run->prepare_us) {
		return until(run->prepare_us);
	}
	return view->image ? act(view, WORK_RESTORE) : until(run->end_us);
}

static struct work_step next_absent(const struct work_view *view)
{
	const struct run *run = &view->vm->run;

	if (view->vm->from && view->stage == WORK_NEW) {
		return next_coming(view);
	}
	if (run->from == RUN_RESUME || view->stage == WORK_SAVED) {
		return fail(view, "its saved memory is gone");
	}
	if (view->now_us >= run->end_us) {
		return fail(view, view->image ? "its end passed before it could be started"
					      : "its image did not arrive before its end");
	}
	if (view->now_us < run->prepare_us) {
		return until(run->prepare_us);
	}
	/* What would not be prepared by its end would be in the way of who comes after it. */
	bool in_time = view->now_us + (run->start_us - run->prepare_us) < run->end_us;
	return view->image && in_time ? act(view, WORK_PREPARE) : until(run->end_us);
}

/* It waits for its start, paused. */
static struct work_step next_prepared(const struct work_view *view)
{
	const struct run *run = &view->vm->run;

	/* Too late, or planned for later: until then its memory is booked for others. */
	if (view->now_us >= run->end_us || view->now_us < run->prepare_us) {
		return act(view, WORK_UNPREPARE);
	}
	if (view->now_us < run->start_us - WORK_RUN_AHEAD_US) {
		return until(run->start_us - WORK_RUN_AHEAD_US);
	}
	return act(view, WORK_RUN);
}

/* A clock that stepped back, or a start moved too late for it, does not end it early. */
static struct work_step next_running(const struct work_view *view)
{
	const struct run *run = &view->vm->run;

	if (view->now_us < run->end_us) {
		return until(run->end_us);
	}
	return act(view, run->then == RUN_SUSPEND ? WORK_SUSPEND : WORK_STOP);
}

static struct work_step next_suspended(const struct work_view *view)
{
	const struct run *run = &view->vm->run;

	/* The run that ended by suspending, or a resume that came to nothing: the head will plan the next one. */
	if (run->from == RUN_BOOT || view->now_us >= run->end_us) {
		return until(WALL_NEVER);
	}
	if (view->now_us < run->prepare_us) {
		return until(run->prepare_us);
	}
	return view->image ? act(view, WORK_RESTORE) : until(run->end_us);
}

/*
 * It ran and is paused now: by an agent that was killed before it was saved, by libvirt that has not finished, or by
 * hand. It goes on, unless its time is over.
 */
static struct work_step next_paused(const struct work_view *view)
{
	const struct run *run = &view->vm->run;

	if (view->now_us < run->end_us) {
		return act(view, WORK_RUN);
	}
	return act(view, run->then == RUN_SUSPEND ? WORK_SUSPEND : WORK_STOP);
}

static bool told_to_run(enum work_stage stage)
{
	return stage == WORK_BOOTED || stage == WORK_RESUMED;
}

/* Told to run, and no longer there: never booted twice. */
static struct work_step gone(const struct work_view *view)
{
	if (!view->ran) {
		return fail(view, "it was lost before it was seen running");
	}
	return (struct work_step){.op = WORK_END, .when_us = view->now_us, .why = "the guest ended by itself"};
}

static struct work_step decide(const struct work_view *view)
{
	if (!view->vm) {
		return act(view, WORK_REMOVE);
	}
	if (view->stage == WORK_ENDED || view->stage == WORK_FAILED) {
		return has_domain(view->seen) ? act(view, WORK_STOP) : until(WALL_NEVER);
	}
	if (view->seen == SEEN_FAILED) {
		return fail(view, "the guest crashed");
	}
	if (told_to_run(view->stage) && view->seen == SEEN_SUSPENDED) {
		return fail(view, "it was lost while it was being resumed");
	}
	if (view->seen == SEEN_ENDED || (view->seen == SEEN_ABSENT && told_to_run(view->stage))) {
		return gone(view);
	}
	if (!view->vm->planned) {
		return next_unplanned(view);
	}
	switch (view->seen) {
	case SEEN_ABSENT:
		return next_absent(view);
	case SEEN_PREPARED:
		return view->ran ? next_paused(view) : next_prepared(view);
	case SEEN_RUNNING:
		return next_running(view);
	case SEEN_SUSPENDING:
		return next_paused(view);
	case SEEN_SUSPENDED:
		return next_suspended(view);
	case SEEN_ENDED:
	case SEEN_FAILED:
	case SEEN_COUNT:
		break;
	}
	return until(WALL_NEVER);
}

/* Stopping and removing are never given up: the node would run what nobody has booked. */
static bool given_up(const struct work_view *view, enum work_op op)
{
	const struct run *run;

	if (!view->vm || !view->vm->planned) {
		return false;
	}
	if (view->hopeless && op == WORK_PREPARE) {
		return true;
	}
	if (view->tries < WORK_TRIES) {
		return false;
	}
	run = &view->vm->run;
	switch (op) {
	case WORK_PREPARE:
	case WORK_RESTORE:
	case WORK_RUN:
		return view->now_us >= run->start_us + WORK_GIVE_UP_US;
	case WORK_SUSPEND:
		return view->now_us >= run->release_us + WORK_GIVE_UP_US;
	case WORK_NONE:
	case WORK_UNPREPARE:
	case WORK_STOP:
	case WORK_REMOVE:
	case WORK_END:
	case WORK_FAIL:
	case WORK_OP_COUNT:
		break;
	}
	return false;
}

struct work_step work_next(const struct work_view *view)
{
	struct work_step step = decide(view);

	if (given_up(view, step.op)) {
		return fail(view, view->hopeless ? "it cannot be started" : "given up after several tries");
	}
	/* Waiting to retry must not miss the moment at which something else is to be done. */
	if (step.op != WORK_NONE && step.op != WORK_END && step.op != WORK_FAIL && view->retry_us > view->now_us) {
		wall_us end_us = view->vm && view->vm->planned ? view->vm->run.end_us : WALL_NEVER;

		step.op = WORK_NONE;
		step.when_us = view->now_us < end_us && end_us < view->retry_us ? end_us : view->retry_us;
	}
	return step;
}

enum work_stage work_settle(enum work_stage stage, bool ran, enum vm_seen *seen)
{
	switch (stage) {
	case WORK_NEW:
	case WORK_SAVED:
		if (*seen == SEEN_RUNNING || *seen == SEEN_SUSPENDING) {
			return stage == WORK_NEW ? WORK_BOOTED : WORK_RESUMED;
		}
		if (*seen == SEEN_ENDED || *seen == SEEN_FAILED) {
			*seen = stage == WORK_NEW ? SEEN_ABSENT : SEEN_SUSPENDED;
		}
		return *seen == SEEN_SUSPENDED ? WORK_SAVED : stage;
	case WORK_BOOTED:
		return *seen == SEEN_SUSPENDED ? WORK_SAVED : stage;
	case WORK_RESUMED:
		/* Not seen running since: the saved file may be the old one, and the disk newer than it. */
		return *seen == SEEN_SUSPENDED && ran ? WORK_SAVED : stage;
	case WORK_ENDED:
	case WORK_FAILED:
	case WORK_STAGE_COUNT:
		break;
	}
	return stage;
}
