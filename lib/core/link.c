/* Flights and their places on the links. Which image has to go where is prep.c's. */
#include "link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "estimate.h"
#include "policy.h"
#include "pool.h"
#include "prep.h"

void link_init(struct plan *plan)
{
	plan->link[0].rate = plan->settings.repository_rate;
	plan->link[0].blind = plan->settings.staging > STAGING_EDF;
	plan->link[1].rate = plan->settings.best_effort_rate;
}

void link_fini(struct plan *plan)
{
	for (int l = 0; l < LINKS; l++) {
		struct link *link = &plan->link[l];
		for (size_t i = 0; i < link->count; i++) {
			free(link->item[i]);
		}
		free(link->item);
		free(link->scratch);
	}
	free(plan->undo);
}

static bool parted(const struct plan *plan)
{
	return plan->settings.best_effort_rate > 0;
}

struct link *link_of(struct plan *plan, bool best_effort)
{
	return &plan->link[best_effort && parted(plan) ? 1 : 0];
}

static bool goes_blindly(const struct flight *flight)
{
	return flight->link->blind && flight->deadline_us < WALL_NEVER;
}

/* How many of the link's flights start at or before start_us. */
static size_t place_of(const struct link *link, wall_us start_us)
{
	size_t low = 0, high = link->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (link->item[middle]->start_us <= start_us) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static void insert(struct flight *flight)
{
	struct link *link = flight->link;
	size_t i = place_of(link, flight->start_us);

	link->item = plan_grow(link->item, link->count, &link->room, sizeof(*link->item));
	memmove(&link->item[i + 1], &link->item[i], (link->count - i) * sizeof(*link->item));
	link->item[i] = flight;
	link->count++;
}

static void take_out(struct flight *flight)
{
	struct link *link = flight->link;
	size_t i = place_of(link, flight->start_us);

	do {
		assert(i > 0);
		i--;
	} while (link->item[i] != flight);
	memmove(&link->item[i], &link->item[i + 1], (link->count - i - 1) * sizeof(*link->item));
	link->count--;
}

static void judge(struct flight *flight)
{
	bool late = flight->end_us > flight->deadline_us;

	if (late != flight->late) {
		flight->late = late;
		flight->link->late += late ? 1 : (size_t)-1;
	}
}

/* Gives its stages its times. The flight is not among the link's items, or keeps its start. */
static void set_times(struct plan *plan, struct flight *flight, wall_us start_us, wall_us end_us)
{
	struct stage *stage;

	if (start_us == flight->start_us && end_us == flight->end_us) {
		return;
	}
	if (plan->marked) {
		plan->undo = plan_grow(plan->undo, plan->undo_count, &plan->undo_room, sizeof(*plan->undo));
		plan->undo[plan->undo_count++] = (struct flight_was){flight, flight->start_us, flight->end_us};
	}
	flight->start_us = start_us;
	flight->end_us = end_us;
	DL_FOREACH (flight->stages, stage) {
		stage_touch(plan, stage);
		stage->transfer.start_us = start_us;
		stage->transfer.end_us = end_us;
		pool_hold(stage);
	}
	judge(flight);
	flight->link->changed = true;
}

static wall_us end_of(const struct flight *flight, wall_us start_us)
{
	return start_us < WALL_NEVER ? start_us + flight->length_us : WALL_NEVER;
}

static void move(struct plan *plan, struct flight *flight, wall_us start_us, wall_us end_us)
{
	take_out(flight);
	set_times(plan, flight, start_us, end_us);
	insert(flight);
}

struct flight *flight_new(struct link *link, uint64_t image, int64_t size)
{
	struct flight *flight = calloc(1, sizeof(*flight));

	assert(flight);
	*flight = (struct flight){
		.link = link,
		.image = image,
		.node = UINT32_MAX,
		.length_us = estimate_bytes(size, link->rate),
		.start_us = WALL_NEVER,
		.end_us = WALL_NEVER,
		.deadline_us = WALL_NEVER,
	};
	insert(flight);
	return flight;
}

void flight_board(struct plan *plan, struct flight *flight, struct stage *stage, wall_us deadline_us)
{
	assert(!stage->flight);
	bool same = stage->touched && stage->old.id && stage->transfer.state == TRANSFER_PLANNED &&
		    stage->transfer.id == stage->old.id;

	stage_touch(plan, stage);
	stage->transfer = (struct transfer){
		.id = same ? stage->old.id : 0,
		.image = stage->image,
		.node = stage->node->info.id,
		.state = TRANSFER_PLANNED,
		.start_us = flight->start_us,
		.end_us = flight->end_us,
		.deadline_us = WALL_NEVER,
	};
	stage->flight = flight;
	DL_APPEND(flight->stages, stage);
	flight->node = stage->node->info.id < flight->node ? stage->node->info.id : flight->node;
	flight_need(plan, stage, deadline_us);
	pool_hold(stage);
}

struct flight *flight_again(struct plan *plan, const struct flight *was)
{
	struct flight *flight = flight_new(was->link, was->image, 0);

	flight->length_us = was->length_us;
	flight->begun = was->begun;
	flight->kept = was->kept;
	flight->shown = was->shown;
	flight->hastened = was->hastened;
	move(plan, flight, was->start_us, was->end_us);
	return flight;
}

/* What its stages say of it. */
static void take_stock(struct flight *flight)
{
	const struct stage *stage;

	flight->deadline_us = WALL_NEVER;
	flight->node = UINT32_MAX;
	DL_FOREACH (flight->stages, stage) {
		uint32_t node = stage->node->info.id;
		wall_us deadline_us = stage->transfer.deadline_us;
		flight->node = node < flight->node ? node : flight->node;
		flight->deadline_us = deadline_us < flight->deadline_us ? deadline_us : flight->deadline_us;
	}
	judge(flight);
}

void flight_reboard(struct flight *flight, struct stage *stage, const struct transfer *transfer)
{
	stage->transfer = *transfer;
	stage->flight = flight;
	DL_APPEND(flight->stages, stage);
	take_stock(flight);
	pool_hold(stage);
}

void flight_leave(struct plan *plan, struct stage *stage)
{
	struct flight *flight = stage->flight;
	bool promised = flight->deadline_us < WALL_NEVER;

	stage_touch(plan, stage);
	DL_DELETE(flight->stages, stage);
	stage->flight = NULL;
	flight->link->changed = true;
	if (flight->stages) {
		take_stock(flight);
	} else {
		/* What was planned in this step only has moved nobody that could move back. */
		flight->link->stale = flight->link->stale || flight->begun || (promised && stage->old.id);
		flight->deadline_us = WALL_NEVER;
		flight->end_us = flight->end_us < WALL_NEVER ? flight->end_us : 0;
		judge(flight);
		take_out(flight);
		free(flight);
		plan->undo_count = 0;
	}
	pool_hold(stage);
}

void flight_need(struct plan *plan, struct stage *stage, wall_us deadline_us)
{
	/* On links that are parted a flight stays what it was, so that its row tells which link it is on. */
	if (parted(plan) && (stage->flight->link == &plan->link[1] || deadline_us == WALL_NEVER)) {
		return;
	}
	if (deadline_us != stage->transfer.deadline_us) {
		stage_touch(plan, stage);
		stage->transfer.deadline_us = deadline_us;
		take_stock(stage->flight);
	}
}

void flight_delay(struct plan *plan, struct flight *flight, wall_us end_us)
{
	set_times(plan, flight, flight->start_us, end_us);
	flight->link->stale = true;
}

void flight_restart(struct plan *plan, struct flight *flight)
{
	flight->begun = false;
	flight->kept = false;
	flight->shown = false;
	move(plan, flight, WALL_NEVER, WALL_NEVER);
	flight->link->stale = true;
}

struct flight *link_share(const struct link *link, uint64_t image, wall_us end_us)
{
	struct flight *first = NULL, *last = NULL;

	for (size_t i = link->count; i-- > 0 && !link->item[i]->begun;) {
		struct flight *flight = link->item[i];
		/* One without a place waits for room in the pool of somebody else. */
		if (flight->image == image && flight->start_us < WALL_NEVER) {
			first = flight;
			last = !last && flight->end_us <= end_us ? flight : last;
		}
	}
	return last ? last : first;
}

wall_us link_free_us(const struct plan *plan, const struct link *link)
{
	wall_us from_us = plan->now_us + plan->settings.lead_us;

	for (size_t i = 0; i < link->count && link->item[i]->begun; i++) {
		from_us = link->item[i]->end_us > from_us ? link->item[i]->end_us : from_us;
	}
	return from_us;
}

/* The first gap on the link from from_us on that takes length_us. */
static wall_us gap(const struct link *link, wall_us from_us, span_us length_us)
{
	size_t i = place_of(link, from_us);

	for (i -= i > 0; i < link->count; i++) {
		const struct flight *flight = link->item[i];
		if (flight->start_us >= from_us && flight->start_us - from_us >= length_us) {
			break;
		}
		from_us = flight->end_us > from_us ? flight->end_us : from_us;
	}
	return from_us;
}

bool link_idle(const struct plan *plan, const struct link *link, span_us length_us)
{
	wall_us soon_us = plan->now_us + plan->settings.lead_us;

	return link_free_us(plan, link) == soon_us && gap(link, soon_us, length_us) == soon_us;
}

/* The last gap between from_us and to_us; WALL_NEVER = there is none. */
static wall_us last_gap(const struct link *link, wall_us from_us, wall_us to_us, span_us length_us)
{
	for (size_t i = place_of(link, to_us); i > 0 && to_us - length_us >= from_us; i--) {
		const struct flight *flight = link->item[i - 1];
		if (flight->end_us <= to_us - length_us) {
			break;
		}
		to_us = flight->start_us < to_us ? flight->start_us : to_us;
	}
	return to_us - length_us >= from_us ? to_us - length_us : WALL_NEVER;
}

span_us flight_holds(const struct flight *flight, const struct stage *stage)
{
	if (stage->meant_us && !flight->link->blind) {
		return 0;
	}
	return flight->length_us > 0 ? flight->length_us : 1; /* what costs no time takes its room for an instant */
}

/* The first time from at_us on from which all its nodes have room. */
static wall_us pools_from(const struct flight *flight, wall_us at_us)
{
	const struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		at_us = pool_free_from(stage, at_us, flight_holds(flight, stage));
	}
	return at_us;
}

/* The first place from from_us on, for one that is not among the link's items. */
static wall_us opening(const struct flight *flight, wall_us from_us)
{
	while (from_us < WALL_NEVER) {
		wall_us at_us = gap(flight->link, from_us, flight->length_us);
		from_us = pools_from(flight, at_us);
		if (from_us == at_us) {
			return at_us;
		}
	}
	return WALL_NEVER;
}

bool link_place(struct plan *plan, struct flight *flight)
{
	span_us length_us = flight->length_us;
	wall_us to_us = flight->deadline_us - length_us / 4 - plan->settings.lead_us;
	bool found = false;

	if (plan->settings.staging != STAGING_EDF_JIT) {
		return false;
	}
	take_out(flight);
	wall_us start_us = last_gap(flight->link, link_free_us(plan, flight->link), to_us, length_us);
	if (start_us < WALL_NEVER && pools_from(flight, start_us) == start_us) {
		set_times(plan, flight, start_us, start_us + length_us);
		found = true;
	}
	insert(flight);
	return found;
}

void link_place_blind(struct plan *plan, struct flight *flight, wall_us start_us)
{
	wall_us soon_us = plan->now_us + plan->settings.lead_us;

	start_us = pools_from(flight, start_us > soon_us ? start_us : soon_us);
	if (start_us < flight->start_us) {
		move(plan, flight, start_us, end_of(flight, start_us));
	}
}

void link_send(struct plan *plan, struct flight *flight)
{
	wall_us soon_us = plan->now_us + plan->settings.lead_us;

	move(plan, flight, soon_us, end_of(flight, soon_us));
}

void link_append(struct plan *plan, struct flight *flight, wall_us from_us)
{
	wall_us free_us = link_free_us(plan, flight->link);
	take_out(flight);
	wall_us start_us = opening(flight, from_us > free_us ? from_us : free_us);
	set_times(plan, flight, start_us, end_of(flight, start_us));
	insert(flight);
}

/* True if it was given its place with care, where nobody else wants the link. */
static bool well_placed(const struct plan *plan, const struct flight *flight)
{
	return plan->settings.queue->restages && flight->deadline_us == WALL_NEVER && flight->start_us < WALL_NEVER;
}

static void advance(struct plan *plan, struct flight *flight, wall_us from_us)
{
	if (from_us >= flight->start_us) {
		return;
	}
	take_out(flight);
	wall_us start_us = opening(flight, from_us);
	if (start_us < flight->start_us) {
		set_times(plan, flight, start_us, start_us + flight->length_us);
	}
	insert(flight);
}

void link_hasten(struct plan *plan, struct flight *flight)
{
	if (!flight->begun && !well_placed(plan, flight) && !goes_blindly(flight)) {
		flight->hastened = plan->step;
		advance(plan, flight, link_free_us(plan, flight->link));
	}
}

static int by_place(const struct flight *x, const struct flight *y)
{
	if (x->node != y->node) {
		return x->node < y->node ? -1 : 1;
	}
	return x->image < y->image ? -1 : x->image > y->image;
}

static int by_deadline(const void *a, const void *b)
{
	const struct flight *x = *(struct flight *const *)a, *y = *(struct flight *const *)b;

	if (x->deadline_us != y->deadline_us) {
		return x->deadline_us < y->deadline_us ? -1 : 1;
	}
	return by_place(x, y);
}

static int by_turn(const void *a, const void *b)
{
	const struct flight *x = *(struct flight *const *)a, *y = *(struct flight *const *)b;

	if (x->was_us != y->was_us) {
		return x->was_us < y->was_us ? -1 : 1;
	}
	return by_place(x, y);
}

/* Those of the link not begun yet, by deadline, and how many they are. The link's, until the next call. */
static struct flight **waiting(struct link *link, size_t *n)
{
	size_t begun = 0;

	while (begun < link->count && link->item[begun]->begun) {
		begun++;
	}
	*n = link->count - begun;
	if (link->scratch_room < *n) {
		link->scratch_room = 2 * *n;
		link->scratch = realloc(link->scratch, link->scratch_room * sizeof(*link->scratch));
		assert(link->scratch);
	}
	for (size_t i = 0; i < *n; i++) {
		link->scratch[i] = link->item[begun + i];
		link->scratch[i]->was_us = link->scratch[i]->start_us;
	}
	if (*n) {
		qsort(link->scratch, *n, sizeof(*link->scratch), by_deadline);
	}
	return link->scratch;
}

/* Puts promised flights in order of deadline: as late as its deadline and the next one allow, or as early as can be. */
static void lay_promised(struct plan *plan, struct flight **item, size_t n, wall_us from_us)
{
	wall_us next_us = WALL_NEVER;

	for (size_t i = n; i-- > 0;) {
		/* Just in time, but not to the last second: rates are estimates. */
		wall_us end_us = item[i]->deadline_us - item[i]->length_us / 4 - plan->settings.lead_us;
		end_us = end_us < next_us ? end_us : next_us;
		next_us = end_us - item[i]->length_us;
		item[i]->aim_us = plan->settings.staging == STAGING_EDF ? from_us : next_us;
	}
	for (size_t i = 0; i < n; i++) {
		wall_us start_us = opening(item[i], item[i]->aim_us > from_us ? item[i]->aim_us : from_us);
		set_times(plan, item[i], start_us, end_of(item[i], start_us));
		insert(item[i]);
	}
}

/*
 * The same once more, from nothing, if one found no place: the room it needs in a pool may be held by the place another
 * had before.
 */
static void lay_unplaced(struct plan *plan, struct flight **item, size_t n, wall_us from_us)
{
	bool placed = true;

	for (size_t i = 0; i < n && placed; i++) {
		placed = item[i]->start_us < WALL_NEVER;
	}
	if (placed) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		take_out(item[i]);
		set_times(plan, item[i], WALL_NEVER, WALL_NEVER);
	}
	lay_promised(plan, item, n, from_us);
}

/* True if a best-effort guest waits for it too. */
static bool ridden(const struct flight *flight)
{
	const struct stage *stage;

	DL_FOREACH (flight->stages, stage) {
		if (stage->riders) {
			return true;
		}
	}
	return false;
}

/* The slack, in turn: what was planned for best-effort guests must not come later than before. */
static void lay_slack(struct plan *plan, struct flight **item, size_t n, wall_us from_us)
{
	qsort(item, n, sizeof(*item), by_turn);
	for (size_t i = 0; i < n; i++) {
		struct flight *flight = item[i];
		if (flight->deadline_us < WALL_NEVER) {
			if (flight->hastened == plan->step || ridden(flight)) {
				advance(plan, flight, from_us);
			}
			continue;
		}
		bool stays = well_placed(plan, flight) && flight->start_us > from_us;
		wall_us start_us = opening(flight, stays ? flight->start_us : from_us);
		set_times(plan, flight, start_us, end_of(flight, start_us));
		insert(flight);
	}
}

/* True if one that best-effort guests were planned by comes later than before: those plans were made around each other.
 */
static bool delayed(struct flight *const *item, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (item[i]->start_us > item[i]->was_us && ridden(item[i])) {
			return true;
		}
	}
	return false;
}

/* Puts all back where they were. */
static void put_back(struct plan *plan, struct flight **item, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (item[i]->start_us != item[i]->was_us) {
			move(plan, item[i], item[i]->was_us, end_of(item[i], item[i]->was_us));
		}
	}
}

void link_layout(struct plan *plan, struct link *link)
{
	size_t n, k = 0, promised = 0, late = link->late;
	bool sound = true; /* where they were before they may stay */

	link->stale = false;
	link->laid = true;
	struct flight **rest = waiting(link, &n);
	wall_us from_us = link_free_us(plan, link);
	if (n == 0) {
		return;
	}
	link->count -= n;
	for (size_t i = 0; i < n; i++) {
		if (goes_blindly(rest[i])) {
			insert(rest[i]); /* where it was, whatever else goes then */
			continue;
		}
		rest[k++] = rest[i];
		promised += rest[i]->deadline_us < WALL_NEVER;
		/* Not those that are new, nor if what is under way takes longer than was thought. */
		sound = sound && rest[i]->start_us < WALL_NEVER && rest[i]->start_us >= from_us;
	}
	n = k;
	lay_promised(plan, rest, promised, from_us);
	lay_unplaced(plan, rest, promised, from_us);
	lay_slack(plan, rest, n, from_us);
	/* By deadline is best, but room in the pools may upset that, and what goes as late as it can divides the slack.
	 */
	if (sound && (link->late > late || delayed(rest, n))) {
		put_back(plan, rest, n);
	}
}

void link_place_rest(struct plan *plan, struct link *link)
{
	for (size_t i = link->count; i > 0 && link->item[i - 1]->start_us == WALL_NEVER;) {
		struct flight *flight = link->item[i - 1];
		if (goes_blindly(flight)) {
			link_place_blind(plan, flight, plan->now_us);
		} else {
			advance(plan, flight, link_free_us(plan, link));
		}
		i -= link->item[i - 1] == flight; /* else it is now where another one was that has no place */
	}
}

void link_ahead(struct plan *plan, struct link *link)
{
	wall_us from_us = link_free_us(plan, link);
	size_t n;

	if (plan->settings.stage_ahead_us == 0 || plan->settings.staging != STAGING_EDF_JIT) {
		return;
	}
	struct flight **rest = waiting(link, &n);
	for (size_t i = 0; i < n && rest[i]->deadline_us < WALL_NEVER; i++) {
		wall_us ahead_us = rest[i]->deadline_us - plan->settings.stage_ahead_us;
		advance(plan, rest[i], ahead_us > from_us ? ahead_us : from_us);
	}
}

void link_mark(struct plan *plan)
{
	plan->marked = true;
	plan->undo_count = 0;
	for (int l = 0; l < LINKS; l++) {
		plan->mark[l].stale = plan->link[l].stale;
		plan->mark[l].changed = plan->link[l].changed;
	}
}

void link_mark_end(struct plan *plan)
{
	plan->marked = false;
}

void link_undo(struct plan *plan)
{
	plan->marked = false;
	while (plan->undo_count > 0) {
		const struct flight_was *was = &plan->undo[--plan->undo_count];
		move(plan, was->flight, was->start_us, was->end_us);
	}
	for (int l = 0; l < LINKS; l++) {
		plan->link[l].stale = plan->mark[l].stale;
		plan->link[l].changed = plan->mark[l].changed;
	}
}

bool link_lasting(const struct plan *plan, const struct flight *flight)
{
	return plan->settings.queue->restages && !flight->link->blind;
}

static void begin(const struct plan *plan, struct flight *flight)
{
	struct stage *stage;

	flight->begun = true;
	if (flight->kept || !link_lasting(plan, flight)) {
		return;
	}
	flight->kept = true;
	DL_FOREACH (flight->stages, stage) {
		pool_hold(stage);
	}
}

void link_begin(struct plan *plan)
{
	wall_us soon_us = plan->now_us + plan->settings.lead_us;

	for (int l = 0; l < LINKS; l++) {
		struct link *link = &plan->link[l];
		for (size_t i = 0; i < link->count && link->item[i]->start_us <= soon_us; i++) {
			begin(plan, link->item[i]);
		}
	}
}

/* The flight of this image at exactly this time; NULL if there is none. */
static struct flight *flight_at(const struct link *link, const struct transfer *transfer)
{
	for (size_t i = place_of(link, transfer->start_us); i > 0; i--) {
		struct flight *flight = link->item[i - 1];
		if (flight->start_us != transfer->start_us) {
			break;
		}
		if (flight->image == transfer->image && flight->end_us == transfer->end_us) {
			return flight;
		}
	}
	return NULL;
}

void link_restore(struct plan *plan, struct stage *stage, const struct transfer *transfer)
{
	struct link *link = link_of(plan, transfer->deadline_us == WALL_NEVER);
	struct flight *flight = plan->settings.multicast ? flight_at(link, transfer) : NULL;

	if (!flight) {
		flight = flight_new(link, stage->image, stage->size);
		move(plan, flight, transfer->start_us, transfer->end_us);
		flight->begun = transfer->start_us <= plan->now_us + plan->settings.lead_us;
		flight->kept = flight->begun && link_lasting(plan, flight);
	}
	flight_reboard(flight, stage, transfer);
}
