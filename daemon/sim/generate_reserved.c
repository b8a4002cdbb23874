/*
 * Sets of reservations that can all be kept: each is drawn again until there are slots for it beside the others and, if
 * asked for, the repository can stage every image in time. Or reservations one after another, whether they can be kept
 * or not. With them, best-effort requests at even intervals.
 */
#include <string.h>

#include "generate_internal.h"
#include "util.h"

/* Starts that are tried for one reservation before the set is called full. */
#define TRIES 1000
/* Whole sets that are tried: one drawn badly early on may leave no way for the last. */
#define SETS 200

/* ---- what can be kept ------------------------------------------------------------------------------------------ */

/* The most VMs that the items run at any instant of [start, end). Each maximum begins where an item starts. */
static int64_t peak(const struct trace_request *item, size_t n, wall_us start, wall_us end)
{
	int64_t most = 0;

	for (size_t i = 0; i <= n; i++) {
		wall_us at = i < n ? item[i].start_us : start;
		int64_t vms = 0;

		if (at < start || at >= end) {
			continue;
		}
		for (size_t j = 0; j < n; j++) {
			if (item[j].start_us <= at && at < item[j].start_us + item[j].duration_us) {
				vms += item[j].vms;
			}
		}
		most = vms > most ? vms : most;
	}
	return most;
}

static span_us staging_time(const struct generate *how, const struct trace_request *request)
{
	int64_t transfers = (request->vms + how->vms_per_transfer - 1) / how->vms_per_transfer;

	return (span_us)((__int128)transfers * request->image_bytes * USEC_PER_SEC / how->rate) + 1;
}

/* The item not staged yet that is to be staged at now: asked for already, and the first to start. n if there is none.
 */
static size_t most_urgent(const struct trace_request *item, const bool *staged, size_t n, wall_us now)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++) {
		if (!staged[i] && item[i].submit_us <= now && (best == n || item[i].start_us < item[best].start_us)) {
			best = i;
		}
	}
	return best;
}

/* Earliest deadline first on one link, each reservation's images in one go. */
static bool staged_in_time(const struct generate *how, const struct trace_request *item, size_t n)
{
	_cleanup_free_ bool *staged = xcalloc(n + 1, sizeof(*staged));
	wall_us now = 0;

	for (size_t left = n; left;) {
		size_t next = most_urgent(item, staged, n, now);

		if (next == n) {
			wall_us soonest = INT64_MAX;

			for (size_t i = 0; i < n; i++) {
				soonest = !staged[i] && item[i].submit_us < soonest ? item[i].submit_us : soonest;
			}
			now = soonest;
			continue;
		}
		now += staging_time(how, &item[next]);
		if (now > item[next].start_us) {
			return false;
		}
		staged[next] = true;
		left--;
	}
	return true;
}

/* Whether item[n] can be kept beside the n before it. */
static bool fits(const struct generate *how, const struct trace_request *item, size_t n)
{
	const struct trace_request *last = &item[n];

	return peak(item, n, last->start_us, last->start_us + last->duration_us) + last->vms <= how->slots &&
	       (!how->rate || !last->image_bytes || staged_in_time(how, item, n + 1));
}

/* ---- drawing --------------------------------------------------------------------------------------------------- */

static wall_us draw_start(const struct generate *how, struct draw *draw)
{
	span_us every = how->window_every < how->length ? how->window_every : how->length;
	span_us window = how->window < every ? how->window : every;
	int64_t periods = (how->length + every - 1) / every;
	wall_us start = draw_between(draw, 0, periods - 1) * every;

	start += draw_between(draw, 0, (window - 1) / USEC_PER_SEC) * USEC_PER_SEC;
	return start < how->length ? start : how->length - 1;
}

static void start_at(const struct generate *how, struct trace_request *request, wall_us start_us)
{
	request->start_us = start_us;
	request->submit_us = start_us > how->ahead ? start_us - how->ahead : 0;
}

/*
 * Gives the n items their starts in order: distances are even from 0 to twice the mean by which all of them, and one
 * more, fill the length. One in the way of another is not drawn again.
 */
static void space_out(const struct generate *how, struct draw *draw, struct trace_request *item, size_t n)
{
	_cleanup_free_ double *until = xcalloc(n + 1, sizeof(*until));
	double sum = 0, length = (double)(how->length / USEC_PER_SEC);

	for (size_t i = 0; i <= n; i++) {
		sum += 1 - draw_unit(draw); /* above 0 */
		until[i] = sum;
	}
	for (size_t i = 0; i < n; i++) {
		start_at(how, &item[i], (wall_us)(length * until[i] / sum) * USEC_PER_SEC);
	}
}

/* Adds one reservation of so many VMs for so long, to be spaced out later or where it has a place. False if there is
 * none for it. */
static bool add_reservation(const struct generate *how, struct draw *draw, struct trace *out, size_t first,
			    uint32_t vms, span_us duration)
{
	struct trace_request request = generate_blank(how, draw);
	size_t n = out->count - first;

	request.kind = LEASE_AR;
	request.vms = vms;
	request.duration_us = request.real_us = duration;
	trace_add(out, &request);
	if (how->spaced) {
		return true;
	}
	for (int i = 0; i < TRIES; i++) {
		start_at(how, &out->item[first + n], draw_start(how, draw));
		if (fits(how, out->item + first, n)) {
			return true;
		}
	}
	out->count--;
	return false;
}

/* Sizes of so many reservations, evenly distributed, with the sum asked for. */
static uint32_t *draw_sizes(const struct generate *how, struct draw *draw)
{
	uint32_t *vms = xcalloc((size_t)how->requests + 1, sizeof(*vms));
	int64_t sum = 0;

	for (int64_t i = 0; i < how->requests; i++) {
		vms[i] = (uint32_t)draw_between(draw, how->ar_vms_min, how->ar_vms_max);
		sum += vms[i];
	}
	/* What is missing goes, one by one, to whom it may. */
	while (how->total_vms && sum != how->total_vms) {
		int64_t i = draw_between(draw, 0, how->requests - 1);

		if (sum < how->total_vms && vms[i] < how->ar_vms_max) {
			vms[i]++;
			sum++;
		} else if (sum > how->total_vms && vms[i] > how->ar_vms_min) {
			vms[i]--;
			sum--;
		}
	}
	return vms;
}

int generate_reserved(const struct generate *how, struct trace *out, struct err *err)
{
	struct draw draw = {(uint64_t)how->seed};
	size_t first = out->count;

	if (!how->requests || (how->total_vms && (how->total_vms < how->requests * how->ar_vms_min ||
						  how->total_vms > how->requests * how->ar_vms_max))) {
		return err_set(err, ERR_PARAMS, "%jd reservations cannot have %jd VMs together",
			       (intmax_t)how->requests, (intmax_t)how->total_vms);
	}
	for (int set = 0; set < SETS; set++) {
		_cleanup_free_ uint32_t *vms = draw_sizes(how, &draw);
		int64_t i = 0;

		while (i < how->requests && add_reservation(how, &draw, out, first, vms[i],
							    how->ar_duration / USEC_PER_SEC * USEC_PER_SEC)) {
			i++;
		}
		if (i == how->requests) {
			if (how->spaced) {
				space_out(how, &draw, out->item + first, out->count - first);
			}
			return 0;
		}
		out->count = first;
	}
	return err_set(err, ERR_PARAMS,
		       "no %jd such reservations that can all be kept were found in %d attempts: ask for fewer or "
		       "shorter ones, or for more slots",
		       (intmax_t)how->requests, SETS);
}

/* ---- with best-effort requests ---------------------------------------------------------------------------------- */

/*
 * Reservations of so much work together, in microseconds of one VM; returns how much it became. Less if there is no
 * place for more: wide ones that start anywhere leave gaps that fit no other.
 */
static int64_t reserve(const struct generate *how, struct draw *draw, struct trace *out, int64_t work)
{
	size_t first = out->count;
	int64_t done = 0;

	while (done < work) {
		uint32_t vms = (uint32_t)draw_between(draw, how->ar_vms_min, how->ar_vms_max);
		span_us duration = generate_duration(draw, how->ar_duration);

		/* The last is as long as it takes to get there. */
		if (duration * vms > work - done) {
			duration = (work - done) / vms / USEC_PER_SEC * USEC_PER_SEC;
			if (duration < how->ar_duration / 4) {
				break;
			}
		}
		if (!add_reservation(how, draw, out, first, vms, duration)) {
			break;
		}
		done += duration * vms;
	}
	if (how->spaced) {
		space_out(how, draw, out->item + first, out->count - first);
	}
	return done;
}

static void add_best_effort(const struct generate *how, struct draw *draw, struct trace *out, int64_t work)
{
	size_t first = out->count, n;

	while (work > 0) {
		struct trace_request request = generate_blank(how, draw);

		request.serial = true;
		request.vms = (uint32_t)draw_between(draw, how->vms_min, how->vms_max);
		request.duration_us = request.real_us = generate_duration(draw, how->duration);
		work -= request.duration_us * request.vms;
		trace_add(out, &request);
	}
	n = out->count - first;
	for (size_t i = 0; i < n; i++) {
		out->item[first + i].submit_us =
			(wall_us)((__int128)how->length * (int64_t)i / (int64_t)n) / USEC_PER_SEC * USEC_PER_SEC;
	}
}

int generate_mixed(const struct generate *how, struct trace *out, struct err *err)
{
	struct draw draw = {(uint64_t)how->seed};
	__int128 load = (__int128)how->length * how->slots * how->load / 100;
	int64_t work, best_effort;

	if (load > INT64_MAX / 100) {
		return err_set(err, ERR_PARAMS, "length x slots x load is too much");
	}
	work = (int64_t)load * how->ar_share / 100;
	best_effort = (int64_t)load - work;
	if (work) {
		/* If the reservations have no place for all of their share, the other share shrinks with it. */
		int64_t reserved = reserve(how, &draw, out, work);

		best_effort = (int64_t)((__int128)best_effort * reserved / work);
	}
	add_best_effort(how, &draw, out, best_effort);
	return 0;
}
