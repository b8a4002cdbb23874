/*
 * Which files to fetch next, when to try again and when to give up. The transfer itself is fetch.c's, room and
 * eviction are pool.c's.
 */
#include "stage.h"

#include <inttypes.h>
#include <string.h>
#include <uthash.h>

#include "clock.h"
#include "fetch.h"
#include "log.h"
#include "text.h"
#include "util.h"

#define REFUSALS 3 /* a 404 may pass: the repository is being filled */
#define BACKOFF_DOUBLINGS 6
#define LOOK_US USEC_PER_SEC /* the wall clock may jump: never sleep longer while something waits */

enum item_state { ITEM_WAITING, ITEM_FETCHING, ITEM_PRESENT, ITEM_BAD };

/* One file, by its digest; images share it. */
struct item {
	char digest[65];
	struct stage *stage;
	char *url;
	int64_t size;
	wall_us begin_us;
	wall_us deadline_us;
	bool wanted;
	enum item_state state;
	unsigned failures; /* since something last came */
	unsigned refusals;
	int64_t bytes; /* received when last looked at */
	mono_us retry_us;
	char text[PART_TEXT_MAX];
	struct fetch *fetch;
	UT_hash_handle hh;
};

struct stage {
	struct event_base *base;
	struct pool *pool;
	struct stage_settings settings;
	struct stage_ops ops;
	void *arg;
	struct fetcher *fetcher;
	struct event *timer;
	struct item *items;
};

static void look_soon(struct stage *stage, span_us delay)
{
	struct timeval timeout = {.tv_sec = delay / USEC_PER_SEC, .tv_usec = delay % USEC_PER_SEC};

	event_add(stage->timer, &timeout);
}

/* ---- ends of transfers ---- */

static void give_up(struct item *item, const char *text)
{
	log_error("image file %s: given up: %s (%s)", item->digest, text, item->url);
	text_put(item->text, "%s", text);
	item->state = ITEM_BAD;
	pool_cancel(item->stage->pool, item->digest);
}

static void retry_later(struct item *item, const char *text)
{
	unsigned doublings = item->failures < BACKOFF_DOUBLINGS ? item->failures : BACKOFF_DOUBLINGS;

	text_put(item->text, "%s", text);
	item->retry_us = clock_mono() + (item->stage->settings.retry_us << doublings);
	item->failures++;
	item->state = ITEM_WAITING;
	log_warning("image file %s: %s; trying again", item->digest, text);
}

static void on_moved(struct fetch *fetch, void *arg)
{
	struct item *item = arg;

	if (item->bytes != fetch_bytes(fetch)) {
		item->failures = 0;
	}
	item->bytes = fetch_bytes(fetch);
	item->stage->ops.changed(false, item->stage->arg);
}

static void on_ended(struct fetch *fetch, enum fetch_verdict verdict, const char *text, void *arg)
{
	struct item *item = arg;
	struct stage *stage = item->stage;

	(void)fetch;
	item->fetch = NULL;
	switch (verdict) {
	case FETCH_DONE:
		item->state = ITEM_PRESENT;
		item->text[0] = '\0';
		pool_commit(stage->pool, item->digest);
		log_info("image file %s: in the pool (%" PRId64 " bytes)", item->digest, item->size);
		break;
	case FETCH_RETRY:
		retry_later(item, text);
		break;
	case FETCH_REFUSED:
		if (++item->refusals < REFUSALS) {
			retry_later(item, text);
		} else {
			give_up(item, text);
		}
		break;
	case FETCH_AGAIN:
		item->bytes = 0;
		retry_later(item, text);
		break;
	case FETCH_WRONG:
		give_up(item, text);
		break;
	}
	look_soon(stage, 0);
	stage->ops.changed(item->state == ITEM_PRESENT || item->state == ITEM_BAD, stage->arg);
}

/* ---- begins ---- */

static bool is_present(struct item *item)
{
	return pool_has(item->stage->pool, item->digest, item->size);
}

static void begin(struct item *item)
{
	static const struct fetch_ops ops = {.moved = on_moved, .ended = on_ended};
	struct stage *stage = item->stage;
	_cleanup_free_ char *part_path = pool_part_path(stage->pool, item->digest);
	_cleanup_free_ char *path = pool_path(stage->pool, item->digest);
	struct fetch_order order = {
		.url = item->url,
		.digest = item->digest,
		.size = item->size,
		.part_path = part_path,
		.path = path,
		.connect_timeout_us = stage->settings.connect_timeout_us,
		.stall_timeout_us = stage->settings.stall_timeout_us,
		.stall_rate = stage->settings.stall_rate,
	};
	struct err err;

	if (item->size > stage->settings.max_size) {
		give_up(item, "larger than [stage] max_size");
	} else if (item->size > pool_limit(stage->pool)) {
		give_up(item, "larger than the image pool");
	} else if (pool_reserve(stage->pool, item->digest, item->size, &err) < 0) {
		retry_later(item, err.text);
	} else {
		item->state = ITEM_FETCHING;
		item->fetch = fetch_start(stage->fetcher, &order, &ops, item);
		return;
	}
	stage->ops.changed(item->state == ITEM_BAD, stage->arg);
}

/* The one needed first, of those that are due. */
static struct item *most_urgent(struct stage *stage, wall_us now, mono_us mono)
{
	struct item *best = NULL;

	for (struct item *item = stage->items; item; item = item->hh.next) {
		if (item->state != ITEM_WAITING || item->begin_us > now || item->retry_us > mono) {
			continue;
		}
		if (!best || item->deadline_us < best->deadline_us ||
		    (item->deadline_us == best->deadline_us && item->begin_us < best->begin_us)) {
			best = item;
		}
	}
	return best;
}

static unsigned fetching(const struct stage *stage)
{
	unsigned n = 0;

	for (struct item *item = stage->items; item; item = item->hh.next) {
		n += item->state == ITEM_FETCHING;
	}
	return n;
}

/* Until the first begin or retry, but no longer than LOOK_US; -1: nothing waits for a time. */
static span_us next_look(const struct stage *stage, wall_us now, mono_us mono)
{
	span_us best = -1;

	for (struct item *item = stage->items; item; item = item->hh.next) {
		span_us to_begin = item->begin_us - now, to_retry = item->retry_us - mono;
		span_us wait = to_begin > to_retry ? to_begin : to_retry;

		if (item->state == ITEM_WAITING && wait > 0 && (best < 0 || wait < best)) {
			best = wait;
		}
	}
	return best > LOOK_US ? LOOK_US : best;
}

static void look(struct stage *stage)
{
	wall_us now = clock_wall();
	mono_us mono = clock_mono();
	struct item *item;
	span_us wait;

	while (fetching(stage) < stage->settings.parallel && (item = most_urgent(stage, now, mono))) {
		begin(item);
	}
	wait = next_look(stage, now, mono);
	if (wait >= 0) {
		look_soon(stage, wait);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

/* ---- what is wanted ---- */

static void item_reset(struct item *item, const struct part_file *file)
{
	free(item->url);
	item->url = xstrdup(file->url);
	item->size = file->size;
	item->state = ITEM_WAITING;
	item->failures = item->refusals = 0;
	item->retry_us = 0;
	item->bytes = 0;
	item->text[0] = '\0';
}

static struct item *item_for(struct stage *stage, const struct part_file *file)
{
	struct item *item;

	HASH_FIND_STR(stage->items, file->digest, item);
	if (!item) {
		item = xcalloc(1, sizeof(*item));
		memcpy(item->digest, file->digest, sizeof(item->digest));
		item->stage = stage;
		item_reset(item, file);
		HASH_ADD_STR(stage->items, digest, item);
	}
	return item;
}

static void want_file(struct stage *stage, const struct part_image *image, const struct part_file *file)
{
	struct item *item = item_for(stage, file);
	bool finishing = item->fetch && fetch_finishing(item->fetch);

	/* Of two statements about one digest in one part, the first counts. */
	if (!item->wanted && !finishing && (item->size != file->size || strcmp(item->url, file->url) != 0)) {
		if (item->fetch) {
			fetch_abort(steal(&item->fetch));
		}
		item_reset(item, file);
	}
	if (!item->wanted || image->begin_us < item->begin_us) {
		item->begin_us = image->begin_us;
	}
	if (!item->wanted || image->deadline_us < item->deadline_us) {
		item->deadline_us = image->deadline_us;
	}
	item->wanted = true;
}

static void item_free(struct item *item)
{
	HASH_DEL(item->stage->items, item);
	if (item->fetch) {
		fetch_abort(item->fetch);
	}
	free(item->url);
	free(item);
}

static void drop_unwanted(struct stage *stage)
{
	struct item *item, *next;

	HASH_ITER (hh, stage->items, item, next) {
		/* One that is being written out is let finish: it is whole, and the pool may keep it. */
		if (!item->wanted && !(item->fetch && fetch_finishing(item->fetch))) {
			item_free(item);
		}
	}
}

static void pin_all(struct stage *stage)
{
	_cleanup_free_ const char **digests = xcalloc(HASH_COUNT(stage->items), sizeof(*digests));
	size_t n = 0;

	for (struct item *item = stage->items; item; item = item->hh.next) {
		digests[n++] = item->digest;
	}
	pool_pin(stage->pool, digests, n);
}

void stage_want(struct stage *stage, const struct part *part)
{
	if (!part) {
		return;
	}
	for (struct item *item = stage->items; item; item = item->hh.next) {
		item->wanted = false;
	}
	for (size_t i = 0; i < part->image_count; i++) {
		for (size_t j = 0; j < part->images[i].files; j++) {
			want_file(stage, &part->images[i], &part->images[i].file[j]);
		}
	}
	drop_unwanted(stage);
	for (struct item *item = stage->items; item; item = item->hh.next) {
		if (item->state == ITEM_WAITING && is_present(item)) {
			item->state = ITEM_PRESENT;
			item->text[0] = '\0';
		} else if (item->state == ITEM_PRESENT && !is_present(item)) {
			item->state = ITEM_WAITING;
		}
	}
	pin_all(stage);
	look_soon(stage, 0);
}

/* ---- how it stands ---- */

static int64_t file_bytes(const struct item *item)
{
	if (item->state == ITEM_PRESENT) {
		return item->size;
	}
	return item->fetch ? fetch_bytes(item->fetch) : item->bytes;
}

void stage_image(struct stage *stage, const struct part_image *image, struct report_image *out)
{
	*out = (struct report_image){.id = image->id, .state = POOL_PRESENT};
	for (size_t i = 0; i < image->files; i++) {
		const struct part_file *file = &image->file[i];
		struct item *item;

		HASH_FIND_STR(stage->items, file->digest, item);
		if (!item) {
			out->state = POOL_STAGING;
			continue;
		}
		out->bytes += file_bytes(item);
		if (item->state == ITEM_BAD || item->size != file->size) {
			out->state = POOL_BAD;
			text_put(out->text, "%s",
				 item->state == ITEM_BAD ? item->text : "another image states another size for it");
		} else if (item->state != ITEM_PRESENT && out->state != POOL_BAD) {
			out->state = POOL_STAGING;
			text_put(out->text, "%s", item->text);
		}
	}
}

struct stage *stage_new(struct event_base *base, struct pool *pool, const char *ca_file,
			const struct stage_settings *settings, const struct stage_ops *ops, void *arg, struct err *err)
{
	struct stage *stage = xcalloc(1, sizeof(*stage));

	*stage = (struct stage){.base = base, .pool = pool, .settings = *settings, .ops = *ops, .arg = arg};
	stage->fetcher = fetcher_new(base, ca_file, err);
	if (!stage->fetcher) {
		free(stage);
		return NULL;
	}
	stage->timer = evtimer_new(base, on_timer, stage);
	return stage;
}

void stage_free(struct stage *stage)
{
	struct item *item, *next;

	if (!stage) {
		return;
	}
	HASH_ITER (hh, stage->items, item, next) {
		item_free(item);
	}
	fetcher_free(stage->fetcher);
	event_free(stage->timer);
	free(stage);
}

void stage_set(struct stage *stage, const struct stage_settings *settings)
{
	stage->settings = *settings;
}
