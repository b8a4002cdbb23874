/*
 * The driver of the book: what it knows of each guest, passes over all of them, operations under way and their ends.
 * What to do is decided in work_next.c; how, in guest.c.
 */
#include "work.h"

#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "text.h"
#include "util.h"

#define RETRY_US USEC_PER_SEC
#define RETRY_DOUBLINGS 5 /* up to 32 s */

/* One guest: the book's record of it, and what this run of the agent knows. */
struct work_guest {
	struct book_key key;
	struct work *work;
	struct book_guest *record;
	const struct part_vm *vm; /* the book's; NULL = not in the part */
	bool planned;             /* by the part when tries began to be counted */
	struct run run;           /* likewise */
	enum vm_seen seen;
	wall_us at_us;
	char text[PART_TEXT_MAX]; /* what libvirt said of its end */
	enum work_op busy;        /* under way; decides nothing until it is over */
	bool failed;              /* the last one failed: count it in the next pass, which knows the time */
	bool hopeless;            /* it need not be tried again */
	unsigned tries;
	wall_us retry_us;
	char error[PART_TEXT_MAX];
	unsigned touched;  /* number of the listing that was under way when libvirt last said something */
	enum work_op todo; /* of the pass under way */
	UT_hash_handle hh;
};

struct work {
	struct book *book;
	struct guests *guests;
	struct work_calls calls;
	struct work_ops ops;
	void *arg;
	struct work_guest *list;
	wall_us now_us; /* of the last pass */
	bool connected;
	bool listed; /* guests not in the list are absent; false: nobody knows */
	bool listing;
	bool relist;
	unsigned listings;
	wall_us relist_us;
	bool unsaved; /* the book could not be written */
	char trouble[PART_TEXT_MAX];
};

const struct work_calls work_calls_libvirt = {
	.prepare = guest_prepare,
	.restore = guest_restore,
	.run = guest_run,
	.suspend = guest_suspend,
	.stop = guest_stop,
	.remove = guest_remove,
	.list = guests_list,
};

/* ---- guests ---- */

static struct work_guest *find_or_add(struct work *work, uint64_t lease, uint32_t vm, uint32_t generation)
{
	struct book_key key = {.lease = lease, .vm = vm, .generation = generation};
	struct work_guest *guest;

	HASH_FIND(hh, work->list, &key, sizeof(key), guest);
	if (!guest) {
		guest = xcalloc(1, sizeof(*guest));
		guest->key = key;
		guest->work = work;
		guest->record = book_add(work->book, lease, vm, generation);
		guest->seen = guest->record->stage == WORK_SAVED ? SEEN_SUSPENDED : SEEN_ABSENT;
		HASH_ADD(hh, work->list, key, sizeof(guest->key), guest);
	}
	return guest;
}

/* The one place where a guest's stage changes. */
static void set_stage(struct work_guest *guest, enum work_stage stage, wall_us at_us, const char *text)
{
	struct book_guest *record = guest->record;

	if (record->stage != stage) {
		text_log(&guest->key, stage == WORK_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s -> %s%s%s",
			 work_stage_name(record->stage), work_stage_name(stage), *text ? ": " : "", text);
	}
	record->stage = stage;
	record->at_us = at_us;
	text_put(record->text, "%s", text);
	book_changed(guest->work->book);
}

static bool is_final(const struct work_guest *guest)
{
	return guest->record->stage == WORK_ENDED || guest->record->stage == WORK_FAILED;
}

/* It has been seen running since it was last told to. */
static bool has_run(const struct work_guest *guest)
{
	const struct book_guest *record = guest->record;

	return (record->stage == WORK_BOOTED || record->stage == WORK_RESUMED) && record->at_us > 0;
}

/* Takes in what libvirt shows. */
static void observe(struct work_guest *guest, enum vm_seen seen, wall_us at_us, const char *text)
{
	struct book_guest *record = guest->record;
	wall_us known_us = at_us ? at_us : guest->work->now_us;
	enum work_stage stage = work_settle(record->stage, has_run(guest), &seen);

	if (stage != record->stage) {
		set_stage(guest, stage, stage == WORK_SAVED ? known_us : 0, "");
	}
	if (seen == SEEN_RUNNING && record->at_us == 0) {
		set_stage(guest, record->stage, known_us, "");
		text_log(&guest->key, LOG_LEVEL_INFO, "running");
	}
	guest->seen = seen;
	guest->at_us = known_us;
	text_put(guest->text, "%s", text);
	guest->work->ops.changed(guest->work->arg);
}

/* ---- what libvirt tells ---- */

/* While an operation is under way its own end tells how the guest is; what comes in between is half the story. */
static bool heeded(enum work_op busy, enum vm_seen seen)
{
	return busy == WORK_NONE || busy == WORK_RUN || (busy == WORK_SUSPEND && seen == SEEN_SUSPENDING);
}

static void on_changed(const struct guest *seen, const char *text, void *arg)
{
	struct work *work = arg;
	struct work_guest *guest = find_or_add(work, seen->lease, seen->vm, seen->generation);

	guest->touched = work->listings;
	if (heeded(guest->busy, seen->seen)) {
		observe(guest, seen->seen, seen->at_us, text ? text : "");
		work->ops.wake(work->arg);
	}
}

static void on_connected(bool ok, const char *why, void *arg)
{
	struct work *work = arg;

	if (ok) {
		log_info("libvirt: connected");
	} else {
		log_error("libvirt: %s; trying again", why);
	}
	work->connected = ok;
	work->listed = false;
	work->relist = true;
	work->relist_us = 0;
	text_put(work->trouble, "%s", ok ? "" : why);
	work->ops.changed(work->arg);
	work->ops.wake(work->arg);
}

const struct guests_ops work_guests_ops = {.changed = on_changed, .connected = on_connected};

/* The listing is older than what was said meanwhile, and than operations under way. */
static bool outdated(const struct work_guest *guest)
{
	return guest->busy != WORK_NONE || guest->touched == guest->work->listings;
}

static void on_listed(const struct guest *list, size_t n, const struct err *err, void *arg)
{
	struct work *work = arg;
	struct work_guest *guest, *next;

	work->listing = false;
	if (err) {
		char text[PART_TEXT_MAX];

		text_put(text, "cannot list the guests: %s", err->text);
		if (strcmp(text, work->trouble) != 0) {
			log_warning("libvirt: %s", text);
		}
		memcpy(work->trouble, text, sizeof(text));
		work->relist = true;
		work->relist_us = work->now_us + RETRY_US;
		work->ops.wake(work->arg);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		guest = find_or_add(work, list[i].lease, list[i].vm, list[i].generation);
		if (!outdated(guest)) {
			observe(guest, list[i].seen, list[i].at_us, "");
			guest->touched = work->listings;
		}
	}
	HASH_ITER (hh, work->list, guest, next) {
		if (!outdated(guest)) {
			observe(guest, SEEN_ABSENT, 0, "");
		}
	}
	work->listed = work->connected;
	work->trouble[0] = '\0';
	work->listings++;
	work->ops.changed(work->arg);
	work->ops.wake(work->arg);
}

/* ---- ends of operations ---- */

static void removed(struct work_guest *guest)
{
	struct work *work = guest->work;

	text_log(&guest->key, LOG_LEVEL_INFO, "removed");
	book_forget(work->book, guest->record);
	HASH_DEL(work->list, guest);
	free(guest);
	work_part_changed(work); /* it may be one that is to come anew */
}

static void succeeded(struct work_guest *guest, enum work_op op, wall_us at_us)
{
	struct book_guest *record = guest->record;

	switch (op) {
	case WORK_PREPARE:
	case WORK_RESTORE:
		observe(guest, SEEN_PREPARED, at_us, "");
		break;
	case WORK_RUN:
		/* Unless it has ended already, which libvirt said before. */
		if (guest->seen == SEEN_PREPARED || guest->seen == SEEN_SUSPENDING) {
			observe(guest, SEEN_RUNNING, at_us, "");
		}
		break;
	case WORK_SUSPEND:
		set_stage(guest, WORK_SAVED, at_us, "");
		guest->seen = SEEN_SUSPENDED;
		break;
	case WORK_STOP:
		if (!is_final(guest)) {
			set_stage(guest, WORK_ENDED, at_us, "");
		}
		guest->seen = SEEN_ABSENT;
		break;
	case WORK_UNPREPARE:
		if (record->stage == WORK_BOOTED || record->stage == WORK_RESUMED) {
			set_stage(guest, record->stage == WORK_BOOTED ? WORK_NEW : WORK_SAVED, at_us, "");
		}
		guest->seen = record->stage == WORK_SAVED ? SEEN_SUSPENDED : SEEN_ABSENT;
		break;
	case WORK_REMOVE:
		removed(guest);
		return;
	case WORK_NONE:
	case WORK_END:
	case WORK_FAIL:
	case WORK_OP_COUNT:
		break;
	}
	guest->at_us = at_us;
	guest->hopeless = false;
	guest->tries = 0;
	guest->retry_us = 0;
	guest->error[0] = '\0';
}

static void on_done(const struct err *err, wall_us at_us, void *arg)
{
	struct work_guest *guest = arg;
	struct work *work = guest->work;
	enum work_op op = guest->busy;

	guest->busy = WORK_NONE;
	guest->touched = work->listings;
	if (err) {
		text_log(&guest->key, LOG_LEVEL_WARNING, "cannot %s: %s", work_op_name(op), err->text);
		text_put(guest->error, "%s", err->text);
		guest->failed = true;
		guest->hopeless = err->code == ERR_IMAGE;
		/* libvirt not answering is no fault of the guest's. */
		guest->tries += err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT;
		work->relist = true;
	} else {
		succeeded(guest, op, at_us ? at_us : work->now_us);
	}
	work->ops.changed(work->arg);
	work->ops.wake(work->arg);
}

/* ---- passes ---- */

/* A guest that is to be stopped or saved is let go before. */
static void pace(struct work_guest *guest)
{
	enum work_op op = guest->todo;
	bool runs = guest->seen == SEEN_RUNNING && (op == WORK_NONE || op == WORK_RUN);

	guest->work->ops.pace(&guest->key, runs && guest->vm && guest->vm->planned ? guest->vm : NULL,
			      guest->work->arg);
}

static void begin(struct work_guest *guest)
{
	struct work *work = guest->work;
	const struct book_key *key = &guest->key;
	const struct part_image *image = NULL;
	enum work_op op = guest->todo;

	guest->todo = WORK_NONE;
	guest->busy = op;
	text_log(&guest->key, LOG_LEVEL_DEBUG, "%s", work_op_name(op));
	switch (op) {
	case WORK_PREPARE:
		image = part_find_image(book_part(work->book), guest->vm->image);
		work->calls.prepare(work->guests, guest->vm, image, on_done, guest);
		break;
	case WORK_RESTORE:
		image = part_find_image(book_part(work->book), guest->vm->image);
		work->calls.restore(work->guests, guest->vm, image, on_done, guest);
		break;
	case WORK_RUN:
		work->calls.run(work->guests, key->lease, key->vm, key->generation, guest->vm->run.start_us, on_done,
				guest);
		break;
	case WORK_SUSPEND:
		guest->seen = SEEN_SUSPENDING;
		guest->at_us = work->now_us;
		work->calls.suspend(work->guests, key->lease, key->vm, key->generation, on_done, guest);
		work->ops.changed(work->arg);
		break;
	case WORK_UNPREPARE:
	case WORK_STOP:
		work->calls.stop(work->guests, key->lease, key->vm, key->generation, on_done, guest);
		break;
	case WORK_REMOVE:
		work->calls.remove(work->guests, key->lease, key->vm, key->generation, on_done, guest);
		break;
	case WORK_NONE:
	case WORK_END:
	case WORK_FAIL:
	case WORK_OP_COUNT:
		guest->busy = WORK_NONE;
		break;
	}
}

static void write_final(struct work_guest *guest, const struct work_step *step)
{
	char text[PART_TEXT_MAX];
	const char *detail = *guest->text ? guest->text : guest->error;

	if (!*detail && guest->vm && guest->vm->from) {
		guest->work->ops.copy(&guest->key, &detail, guest->work->arg);
	}
	text_put(text, "%s%s%s", step->why, *detail ? ": " : "", detail);
	set_stage(guest, step->op == WORK_END ? WORK_ENDED : WORK_FAILED,
		  guest->seen == SEEN_ENDED || guest->seen == SEEN_FAILED ? guest->at_us : guest->work->now_us, text);
	guest->tries = 0;
	guest->retry_us = 0;
	guest->work->ops.changed(guest->work->arg);
}

static bool has_image(const struct work_guest *guest)
{
	const struct work *work = guest->work;
	const struct part_image *image = guest->vm ? part_find_image(book_part(work->book), guest->vm->image) : NULL;

	return image && work->ops.image_present(image, work->arg);
}

static struct work_step decide(const struct work_guest *guest)
{
	const char *text;
	bool comes = guest->vm && guest->vm->from && guest->record->stage == WORK_NEW;
	enum copy_state copy = comes ? guest->work->ops.copy(&guest->key, &text, guest->work->arg) : COPY_COMING;
	struct work_view view = {
		.vm = guest->vm,
		.stage = guest->record->stage,
		.ran = has_run(guest),
		.seen = guest->seen,
		.image = has_image(guest),
		.here = copy == COPY_HERE,
		.stuck = copy == COPY_STUCK,
		.hopeless = guest->hopeless,
		.tries = guest->tries,
		.retry_us = guest->retry_us,
		.now_us = guest->work->now_us,
	};

	return work_next(&view);
}

/* Decides what is to be done about one guest now; returns when to look again. */
static wall_us look_at(struct work_guest *guest)
{
	wall_us now_us = guest->work->now_us;
	struct work_step step;

	if (guest->failed) {
		unsigned doublings = guest->tries < RETRY_DOUBLINGS ? guest->tries : RETRY_DOUBLINGS;

		guest->failed = false;
		guest->retry_us = now_us + (RETRY_US << doublings) / 2;
	}
	step = decide(guest);
	if (step.op == WORK_END || step.op == WORK_FAIL) {
		write_final(guest, &step);
		step = decide(guest);
	}
	if (step.op == WORK_NONE) {
		return step.when_us;
	}
	if (step.op == WORK_RUN && !has_run(guest)) {
		enum work_stage stage = guest->record->stage;

		/* Written down before it is done: after a crash nobody may boot it once more. */
		set_stage(guest, stage == WORK_NEW || stage == WORK_BOOTED ? WORK_BOOTED : WORK_RESUMED, 0, "");
	}
	guest->todo = step.op;
	return WALL_NEVER;
}

static void save(struct work *work)
{
	struct err err;

	if (book_save(work->book, &err) == 0) {
		if (work->unsaved) {
			log_info("book: written again");
			work->unsaved = false;
			work->trouble[0] = '\0';
		}
		return;
	}
	/* Promises come first: guests go on by the book in memory. */
	if (!work->unsaved) {
		log_error("book: %s; going on, but a restart may not know of the newest guests", err.text);
	}
	work->unsaved = true;
	text_put(work->trouble, "%s", err.text);
	work->ops.changed(work->arg);
}

/* Frees room before it is taken: ends come before starts. */
static void begin_all(struct work *work)
{
	struct work_guest *guest, *next;

	for (int starts = 0; starts < 2; starts++) {
		HASH_ITER (hh, work->list, guest, next) {
			bool start =
				guest->todo == WORK_PREPARE || guest->todo == WORK_RESTORE || guest->todo == WORK_RUN;

			if (guest->todo != WORK_NONE && start == (starts == 1)) {
				begin(guest);
			}
		}
	}
}

static void list_guests(struct work *work)
{
	if (!work->connected || !work->relist || work->listing || work->relist_us > work->now_us) {
		return;
	}
	work->relist = false;
	work->listing = true;
	work->listings++;
	work->calls.list(work->guests, on_listed, work);
}

wall_us work_pass(struct work *work, wall_us now_us)
{
	wall_us next_us = WALL_NEVER;
	struct work_guest *guest, *next;

	work->now_us = now_us;
	list_guests(work);
	if (work->connected && work->relist && !work->listing) {
		next_us = work->relist_us;
	}
	/* Without a part, and before the guests are known, every guest could be anything. */
	if (book_part(work->book) && work->listed) {
		HASH_ITER (hh, work->list, guest, next) {
			wall_us when_us = guest->busy == WORK_NONE ? look_at(guest) : WALL_NEVER;

			if (guest->busy == WORK_NONE) {
				pace(guest);
			}
			next_us = when_us < next_us ? when_us : next_us;
		}
	}
	save(work);
	if (work->unsaved && next_us > now_us + RETRY_US) {
		next_us = now_us + RETRY_US;
	}
	begin_all(work);
	return next_us;
}

/*
 * It was given up, and has been planned to come once more: what is left of the first attempt is cleared away as if it
 * were not in the part, before it is looked at again.
 */
static bool comes_anew(const struct work_guest *guest, const struct part_vm *vm)
{
	wall_us was_us = guest->run.start_us; /* 0 = nobody knows, after a restart: it stays given up */

	return vm->from && is_final(guest) && was_us && was_us != vm->run.start_us;
}

void work_part_changed(struct work *work)
{
	const struct part *part = book_part(work->book);
	struct work_guest *guest, *next;

	HASH_ITER (hh, work->list, guest, next) {
		guest->vm = NULL;
	}
	for (size_t i = 0; part && i < part->vm_count; i++) {
		const struct part_vm *vm = &part->vms[i];

		guest = find_or_add(work, vm->lease, vm->vm, vm->generation);
		if (comes_anew(guest, vm)) {
			continue;
		}
		guest->vm = vm;
		if (guest->planned != vm->planned || guest->run.start_us != vm->run.start_us ||
		    guest->run.end_us != vm->run.end_us) {
			guest->tries = 0;
			guest->retry_us = 0;
		}
		guest->planned = vm->planned;
		guest->run = vm->run;
	}
	work->ops.changed(work->arg);
	work->ops.wake(work->arg);
}

/* ---- reporting ---- */

/* From the book alone, while libvirt does not answer: what was last known, never "no guests". */
static void report_unlisted(const struct book_guest *record, struct report_vm *out)
{
	switch (record->stage) {
	case WORK_NEW:
	case WORK_STAGE_COUNT:
		out->seen = SEEN_ABSENT;
		break;
	case WORK_BOOTED:
	case WORK_RESUMED:
		out->seen = record->at_us ? SEEN_RUNNING : SEEN_PREPARED;
		break;
	case WORK_SAVED:
		out->seen = SEEN_SUSPENDED;
		break;
	case WORK_ENDED:
		out->seen = SEEN_ENDED;
		break;
	case WORK_FAILED:
		out->seen = SEEN_FAILED;
		break;
	}
	out->at_us = record->at_us;
	text_put(out->text, "%s", record->text);
}

/* Once it has failed here what it left elsewhere goes on there: that is not said before its domain is gone. */
static bool surely_gone(const struct work_guest *guest)
{
	return !guest->vm->from || (guest->work->listed && guest->seen != SEEN_PREPARED &&
				    guest->seen != SEEN_RUNNING && guest->seen != SEEN_SUSPENDING);
}

static void report_guest(const struct work_guest *guest, struct report_vm *out)
{
	*out = (struct report_vm){
		.lease = guest->key.lease,
		.vm = guest->key.vm,
		.generation = guest->key.generation,
		.seen = guest->seen,
		.at_us = guest->at_us,
	};
	if (is_final(guest) && !surely_gone(guest)) {
		if (!guest->work->listed) {
			out->seen = SEEN_ABSENT; /* which nobody takes for an end */
		}
		return;
	}
	if (is_final(guest) || !guest->work->listed) {
		report_unlisted(guest->record, out);
		return;
	}
	if ((guest->seen == SEEN_RUNNING || guest->seen == SEEN_SUSPENDED) && guest->record->at_us > 0) {
		out->at_us = guest->record->at_us;
	}
	text_put(out->text, "%s", guest->error);
}

bool work_lies_still(const struct work *work, const struct book_key *key)
{
	const struct work_guest *guest;

	HASH_FIND(hh, work->list, key, sizeof(*key), guest);
	return guest && work->listed && guest->busy == WORK_NONE && guest->seen == SEEN_SUSPENDED;
}

void work_report(const struct work *work, struct report *report)
{
	const struct part *part = book_part(work->book);
	struct work_guest *guest, *next;

	report->degraded = !work->connected || !work->listed || work->unsaved;
	if (report->degraded) {
		text_put(report->text, "%s", *work->trouble ? work->trouble : "libvirt has not answered yet");
	}
	if (!part) {
		return;
	}
	report->epoch = part->epoch;
	report->version = part->version;
	report->vms = xcalloc(part->vm_count, sizeof(*report->vms));
	HASH_ITER (hh, work->list, guest, next) {
		if (guest->vm) {
			report_guest(guest, &report->vms[report->vm_count++]);
		}
	}
}

/* ---- making ---- */

struct work *work_new(struct book *book, const struct work_calls *calls, const struct work_ops *ops, void *arg)
{
	struct work *work = xcalloc(1, sizeof(*work));
	struct book_guest *record, *next;

	work->book = book;
	work->calls = *calls;
	work->ops = *ops;
	work->arg = arg;
	work->listings = 1;
	HASH_ITER (hh, book_guests(book), record, next) {
		find_or_add(work, record->key.lease, record->key.vm, record->key.generation);
	}
	work_part_changed(work);
	return work;
}

void work_set_guests(struct work *work, struct guests *guests)
{
	work->guests = guests;
}

void work_free(struct work *work)
{
	struct work_guest *guest, *next;

	if (!work) {
		return;
	}
	HASH_ITER (hh, work->list, guest, next) {
		HASH_DEL(work->list, guest);
		free(guest);
	}
	free(work);
}
