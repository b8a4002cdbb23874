/*
 * Which of the guests' files to fetch next, and when to try again. The transfer itself is fetch.c's; when a move is
 * given up is work_next.c's.
 */
#include "copies.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "fetch.h"
#include "guest.h"
#include "log.h"
#include "text.h"
#include "token.h"
#include "util.h"

#define RETRY_US (100 * USEC_PER_MSEC)
#define BACKOFF_DOUBLINGS 6 /* up to 6.4 s */
#define TELL_FAILURES 3
#define LOOK_US USEC_PER_SEC /* the wall clock may jump: never sleep longer while something waits */
/* Beside its memory QEMU saves devices, libvirt the domain, and qcow2 its tables: no more than a guest's disk itself.
 */
#define MORE_MAX (INT64_C(1) << 30)

struct copy {
	struct book_key key;
	struct copies *copies;
	char *url, *dir;
	wall_us begin_us;
	int64_t limit; /* bytes of each file */
	bool has_disk, wanted, here;
	unsigned failures; /* since something last came */
	mono_us retry_us;
	mono_us begun_us;
	int64_t bytes; /* of files that are here */
	char text[PART_TEXT_MAX];
	struct fetch *fetch;
	UT_hash_handle hh;
};

struct copies {
	struct copies_settings settings; /* strings are ours */
	struct stage_settings limits;
	struct stage_ops ops;
	void *arg;
	struct fetcher *fetcher;
	struct event *timer;
	struct copy *list;
};

static void look_soon(struct copies *copies, span_us delay)
{
	struct timeval timeout = {.tv_sec = delay / USEC_PER_SEC, .tv_usec = delay % USEC_PER_SEC};

	event_add(copies->timer, &timeout);
}

static bool exists(const struct copy *copy, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", copy->dir, file);

	return access(path, F_OK) == 0;
}

static void failed(struct copy *copy, const char *text)
{
	unsigned doublings = copy->failures < BACKOFF_DOUBLINGS ? copy->failures : BACKOFF_DOUBLINGS;

	/* Once or twice it is as a rule only that the other node has not heard of it yet, or is reading it through. */
	if (copy->failures == TELL_FAILURES) {
		text_log(&copy->key, LOG_LEVEL_WARNING, "cannot be fetched: %s; trying again", text);
	}
	text_put(copy->text, "%s", text);
	copy->failures++;
	copy->retry_us = clock_mono() + (RETRY_US << doublings);
	copy->copies->ops.changed(true, copy->copies->arg);
}

static void on_moved(struct fetch *fetch, void *arg)
{
	struct copy *copy = arg;

	(void)fetch;
	copy->failures = 0;
	copy->text[0] = '\0';
	copy->copies->ops.changed(false, copy->copies->arg);
}

static void on_ended(struct fetch *fetch, enum fetch_verdict verdict, const char *text, void *arg)
{
	struct copy *copy = arg;

	copy->fetch = NULL;
	if (verdict == FETCH_DONE) {
		copy->failures = 0;
		copy->text[0] = '\0';
		copy->bytes += fetch_bytes(fetch);
	} else {
		/* Whatever it is, it may pass: the other node may not have heard of the move yet. */
		failed(copy, text);
	}
	look_soon(copy->copies, 0);
}

static void fetch_file(struct copy *copy, const char *name, const char *file)
{
	struct err err;
	static const struct fetch_ops ops = {.moved = on_moved, .ended = on_ended};
	const struct stage_settings *limits = &copy->copies->limits;
	_cleanup_free_ char *url = xasprintf("%s/%s", copy->url, name);
	_cleanup_free_ char *path = xasprintf("%s/%s", copy->dir, file);
	_cleanup_free_ char *part_path = xasprintf("%s.part", path);
	const char *token_file = copy->copies->settings.token_file;
	_cleanup_token_ char *token = *token_file ? token_read(token_file, "token_file", &err) : NULL;
	struct fetch_order order = {
		.url = url,
		.size = copy->limit,
		.bearer = token ? token : "",
		.part_path = part_path,
		.path = path,
		.connect_timeout_us = limits->connect_timeout_us,
		.stall_timeout_us = limits->stall_timeout_us,
		.stall_rate = limits->stall_rate,
	};

	/* QEMU's user passes through the folder, as guest_work.c makes it. */
	if ((*token_file && !token) || dir_make(copy->dir, 0711, &err) < 0) {
		failed(copy, err.text);
		return;
	}
	copy->begun_us = copy->begun_us ? copy->begun_us : clock_mono();
	copy->fetch = fetch_start(copy->copies->fetcher, &order, &ops, copy);
}

static void arrived(struct copy *copy)
{
	copy->here = true;
	if (copy->begun_us) {
		text_log(&copy->key, LOG_LEVEL_INFO, "is here: %" PRId64 " bytes in %" PRId64 " ms", copy->bytes,
			 (clock_mono() - copy->begun_us) / USEC_PER_MSEC);
	}
	copy->copies->ops.changed(true, copy->copies->arg);
}

/* Does what is due, and returns when to look again; -1 = something will happen by itself. */
static span_us look_at(struct copy *copy, wall_us now, mono_us mono)
{
	span_us to_begin = copy->begin_us - now, to_retry = copy->retry_us - mono;
	span_us wait = to_begin > to_retry ? to_begin : to_retry;

	if (copy->here || copy->fetch || !copy->wanted) {
		return -1;
	}
	if (exists(copy, GUEST_CAME_MEMORY)) {
		arrived(copy);
		return -1;
	}
	if (wait > 0) {
		return wait < LOOK_US ? wait : LOOK_US;
	}
	if (!*copy->url) {
		failed(copy, "the node it lies on offers no guests: listen is not set in its agent.conf");
	} else if (copy->has_disk && !exists(copy, GUEST_CAME_DISK)) {
		fetch_file(copy, "disk", GUEST_CAME_DISK);
	} else {
		fetch_file(copy, "memory", GUEST_CAME_MEMORY);
	}
	return copy->fetch ? -1 : LOOK_US;
}

static void look(struct copies *copies)
{
	wall_us now = clock_wall();
	mono_us mono = clock_mono();
	struct copy *copy, *next;
	span_us least = -1;

	HASH_ITER (hh, copies->list, copy, next) {
		span_us wait = look_at(copy, now, mono);

		least = wait >= 0 && (least < 0 || wait < least) ? wait : least;
	}
	if (least >= 0) {
		look_soon(copies, least);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

/* ---- what is wanted ---- */

static void copy_free(struct copy *copy)
{
	HASH_DEL(copy->copies->list, copy);
	if (copy->fetch) {
		fetch_abort(copy->fetch);
	}
	free(copy->url);
	free(copy->dir);
	free(copy);
}

static struct copy *copy_for(struct copies *copies, const struct book_key *key)
{
	struct copy *copy;

	HASH_FIND(hh, copies->list, key, sizeof(*key), copy);
	if (!copy) {
		copy = xcalloc(1, sizeof(*copy));
		copy->key = *key;
		copy->copies = copies;
		copy->url = xstrdup("");
		copy->dir = xasprintf("%s/%" PRIu64 "-%" PRIu32 "-%" PRIu32, copies->settings.guests_dir, key->lease,
				      key->vm, key->generation);
		HASH_ADD(hh, copies->list, key, sizeof(copy->key), copy);
	}
	return copy;
}

static void want(struct copies *copies, const struct part *part, const struct part_vm *vm)
{
	struct book_key key = {.lease = vm->lease, .vm = vm->vm, .generation = vm->generation};
	struct copy *copy = copy_for(copies, &key);

	copy->wanted = true;
	copy->begin_us = vm->fetch_us;
	copy->has_disk = part_find_image(part, vm->image)->format != IMAGE_KERNEL;
	copy->limit = vm->use.amount[RES_MEMORY] + vm->use.amount[RES_DISK] + MORE_MAX;
	if (strcmp(copy->url, vm->from) != 0) {
		if (copy->fetch && !fetch_finishing(copy->fetch)) {
			fetch_abort(steal(&copy->fetch));
		}
		free(copy->url);
		copy->url = xstrdup(vm->from);
		copy->retry_us = 0;
	}
}

void copies_want(struct copies *copies, const struct book *book)
{
	const struct part *part = book_part(book);
	struct copy *copy, *next;

	for (copy = copies->list; copy; copy = copy->hh.next) {
		copy->wanted = false;
	}
	for (size_t i = 0; part && i < part->vm_count; i++) {
		const struct part_vm *vm = &part->vms[i];
		const struct book_guest *record = vm->from ? book_find(book, vm->lease, vm->vm, vm->generation) : NULL;

		if (record && record->stage == WORK_NEW) {
			want(copies, part, vm);
		}
	}
	HASH_ITER (hh, copies->list, copy, next) {
		if (!copy->wanted && !(copy->fetch && fetch_finishing(copy->fetch))) {
			copy_free(copy);
		}
	}
	if (copies->list) {
		look(copies);
	}
}

enum copy_state copies_state(const struct copies *copies, const struct book_key *key, const char **text)
{
	struct copy *copy;

	HASH_FIND(hh, copies->list, key, sizeof(*key), copy);
	*text = copy ? copy->text : "";
	if (copy && copy->here) {
		return COPY_HERE;
	}
	return copy && copy->failures > 0 ? COPY_STUCK : COPY_COMING;
}

/* ---- life ---- */

struct copies *copies_new(struct event_base *base, const struct copies_settings *settings,
			  const struct stage_settings *limits, const struct stage_ops *ops, void *arg, struct err *err)
{
	struct copies *copies = xcalloc(1, sizeof(*copies));

	copies->fetcher = fetcher_new(base, settings->ca_file, err);
	if (!copies->fetcher) {
		free(copies);
		return NULL;
	}
	copies->settings.guests_dir = xstrdup(settings->guests_dir);
	copies->settings.token_file = xstrdup(settings->token_file);
	copies->limits = *limits;
	copies->ops = *ops;
	copies->arg = arg;
	copies->timer = evtimer_new(base, on_timer, copies);
	return copies;
}

void copies_free(struct copies *copies)
{
	struct copy *copy, *next;

	if (!copies) {
		return;
	}
	HASH_ITER (hh, copies->list, copy, next) {
		copy_free(copy);
	}
	fetcher_free(copies->fetcher);
	event_free(copies->timer);
	free((char *)copies->settings.guests_dir);
	free((char *)copies->settings.token_file);
	free(copies);
}
