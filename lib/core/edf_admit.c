/*
 * (slice, period) demands over a node's CPUs: first-fit decreasing, and where that finds no place, every placement.
 * Decides; who asks tells the user.
 */
#include "edf_admit.h"

#include <stdlib.h>
#include <string.h>

#include "edf.h"

#define MILLION 1000000
#define SLICE_STEP_US 10  /* a figure that calibrations agree on better than on microseconds */
#define SEARCH_STEPS 5000 /* about a millisecond; a few dozen threads on a few CPUs take far fewer */

uint32_t edf_density_ppm(const struct edf_node *node, int64_t slice_us, int64_t period_us)
{
	__int128 nanoseconds = (__int128)slice_us * 1000 + 2 * node->wake_ns;
	__int128 period = (__int128)period_us * 1000;
	__int128 ppm = (nanoseconds * MILLION + period - 1) / period;

	return ppm > UINT32_MAX ? UINT32_MAX : (uint32_t)ppm;
}

int64_t edf_slice_min_us(const struct edf_node *node)
{
	int64_t step_ns = SLICE_STEP_US * 1000;

	return (2 * node->wake_ns + step_ns - 1) / step_ns * SLICE_STEP_US;
}

static uint32_t density(const struct edf_node *node, const struct edf_demand *demand)
{
	return edf_density_ppm(node, demand->slice_us, demand->period_us);
}

enum edf_verdict edf_check(const struct edf_node *node, const struct edf_demand *demand)
{
	if (demand->slice_us <= 0 || demand->period_us <= 0 || demand->threads == 0) {
		return EDF_ZERO;
	}
	if (demand->slice_us > demand->period_us) {
		return EDF_SLICE_LONG;
	}
	if (demand->period_us < node->period_min_us) {
		return EDF_PERIOD_SHORT;
	}
	if (demand->period_us > EDF_PERIOD_MAX_US) {
		return EDF_PERIOD_LONG;
	}
	if (demand->slice_us < edf_slice_min_us(node)) {
		return EDF_SLICE_SHORT;
	}
	if (demand->threads > node->cpus || node->cpus > EDF_CPUS) {
		return EDF_MORE_THREADS;
	}
	return density(node, demand) > node->limit_ppm ? EDF_BEYOND_CPU : EDF_FITS;
}

/* ---- packing ---- */

/* What the threads placed so far take of each CPU. */
struct fill {
	uint64_t ppm[EDF_CPUS];
	uint32_t threads[EDF_CPUS];
};

/* One demand on its way to its CPUs: the first index of its threads in the answer. */
struct item {
	const struct edf_demand *demand;
	size_t index, first;
	uint32_t ppm;
};

/*
 * Densest first, then those with most threads. (id, vm) decides only where it cannot matter for whether all fit: who
 * asks need not use the same ids.
 */
static int denser(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->ppm != y->ppm) {
		return x->ppm > y->ppm ? -1 : 1;
	}
	if (x->demand->threads != y->demand->threads) {
		return x->demand->threads > y->demand->threads ? -1 : 1;
	}
	if (x->demand->id != y->demand->id) {
		return x->demand->id < y->demand->id ? -1 : 1;
	}
	return (x->demand->vm > y->demand->vm) - (x->demand->vm < y->demand->vm);
}

static bool fits(const struct edf_node *node, const struct fill *fill, uint32_t cpu, uint32_t ppm)
{
	return fill->ppm[cpu] + ppm <= node->limit_ppm && fill->threads[cpu] < EDF_TASKS;
}

static void put(struct fill *fill, int32_t *place, uint32_t cpu, uint32_t ppm)
{
	fill->ppm[cpu] += ppm;
	fill->threads[cpu]++;
	*place = (int32_t)cpu;
}

/* Those threads that have a CPU stay on it; false if that is not possible for all. */
static bool put_placed(const struct edf_node *node, struct fill *fill, const struct item *item, int32_t *place)
{
	for (uint32_t t = 0; t < item->demand->threads; t++) {
		int32_t cpu = item->demand->cpu ? item->demand->cpu[t] : -1;

		place[t] = -1;
		if (cpu < 0) {
			continue;
		}
		for (uint32_t before = 0; before < t; before++) {
			if (place[before] == cpu) {
				return false;
			}
		}
		if ((uint32_t)cpu >= node->cpus || !fits(node, fill, (uint32_t)cpu, item->ppm)) {
			return false;
		}
		put(fill, &place[t], (uint32_t)cpu, item->ppm);
	}
	return true;
}

static bool taken(const struct item *item, const int32_t *place, uint32_t cpu)
{
	for (uint32_t t = 0; t < item->demand->threads; t++) {
		if (place[t] == (int32_t)cpu) {
			return true;
		}
	}
	return false;
}

/* The rest of its threads, each on the first CPU with room that has none of them; false if there are too few. */
static bool put_rest(const struct edf_node *node, struct fill *fill, const struct item *item, int32_t *place)
{
	uint32_t cpu = 0;

	for (uint32_t t = 0; t < item->demand->threads; t++) {
		if (place[t] >= 0) {
			continue;
		}
		while (cpu < node->cpus && (!fits(node, fill, cpu, item->ppm) || taken(item, place, cpu))) {
			cpu++;
		}
		if (cpu == node->cpus) {
			return false;
		}
		put(fill, &place[t], cpu, item->ppm);
	}
	return true;
}

/* All items into an empty node; those placed stay where they are if `keep`. The item for which there is no room or
 * NULL. */
static const struct item *pack(const struct edf_node *node, const struct item *items, size_t n, bool keep,
			       int32_t *places)
{
	static const struct item somebody;
	struct fill fill = {0};

	for (size_t i = 0; i < n; i++) {
		int32_t *place = places + items[i].first;

		if (!keep) {
			memset(place, -1, items[i].demand->threads * sizeof(*place));
		} else if (!put_placed(node, &fill, &items[i], place)) {
			return &somebody;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!put_rest(node, &fill, &items[i], places + items[i].first)) {
			return &items[i];
		}
	}
	return NULL;
}

/* ---- every placement ---- */

/*
 * First-fit decreasing misses some placements, and which ones is chance: it may refuse a part of what it accepted. So a
 * node would hold what the head would not give it. What is below finds a placement if there is one, unless the steps
 * run out.
 */
struct search {
	const struct edf_node *node;
	const struct item *items;
	size_t n;
	int32_t *places;
	struct fill fill;
	uint64_t rest_ppm; /* of those not placed yet */
	uint32_t steps;
};

/* Whether the CPUs have that much room; what is less than anybody needs is none. */
static bool room_for_rest(const struct search *search)
{
	uint64_t room = 0;

	for (uint32_t cpu = 0; cpu < search->node->cpus; cpu++) {
		uint64_t free = search->node->limit_ppm - search->fill.ppm[cpu];

		room += free >= search->items[search->n - 1].ppm ? free : 0;
	}
	return room >= search->rest_ppm;
}

/* One of the CPUs from `first` on, before this one, has just as much on it: whatever fails there fails here. */
static bool tried(const struct fill *fill, uint32_t first, uint32_t cpu)
{
	for (uint32_t before = first; before < cpu; before++) {
		if (fill->ppm[before] == fill->ppm[cpu] && fill->threads[before] == fill->threads[cpu]) {
			return true;
		}
	}
	return false;
}

/* Threads of a guest are alike, and so are single ones of the same density: none needs a CPU before the last one's. */
static uint32_t first_cpu(const struct search *search, size_t i, uint32_t thread)
{
	const struct item *item = &search->items[i];

	if (thread > 0) {
		return (uint32_t)search->places[item->first + thread - 1] + 1;
	}
	if (i > 0 && item->demand->threads == 1 && item[-1].demand->threads == 1 && item[-1].ppm == item->ppm) {
		return (uint32_t)search->places[item[-1].first];
	}
	return 0;
}

/* Places this thread of item i, those behind it, and all further items. */
static bool search_from(struct search *search, size_t i, uint32_t thread)
{
	if (i < search->n && thread == search->items[i].demand->threads) {
		return search_from(search, i + 1, 0);
	}
	if (i == search->n) {
		return true;
	}
	if (search->steps == 0 || !room_for_rest(search)) {
		return false;
	}
	const struct item *item = &search->items[i];
	uint32_t first = first_cpu(search, i, thread);

	search->steps--;
	for (uint32_t cpu = first; cpu < search->node->cpus; cpu++) {
		if (!fits(search->node, &search->fill, cpu, item->ppm) || tried(&search->fill, first, cpu)) {
			continue;
		}
		put(&search->fill, &search->places[item->first + thread], cpu, item->ppm);
		search->rest_ppm -= item->ppm;
		if (search_from(search, i, thread + 1)) {
			return true;
		}
		search->fill.ppm[cpu] -= item->ppm;
		search->fill.threads[cpu]--;
		search->rest_ppm += item->ppm;
	}
	return false;
}

static bool search_all(const struct edf_node *node, const struct item *items, size_t n, int32_t *places)
{
	struct search search = {.node = node, .items = items, .n = n, .places = places, .steps = SEARCH_STEPS};

	for (size_t i = 0; i < n; i++) {
		search.rest_ppm += (uint64_t)items[i].ppm * items[i].demand->threads;
	}
	return search_from(&search, 0, 0);
}

/*
 * The demands, sorted, and places for their threads; both the caller's to free. False if one of them would not fit even
 * alone: which, and why.
 */
static bool sort(const struct edf_node *node, const struct edf_demand *demands, size_t n, struct item **items,
		 int32_t **places, enum edf_verdict *verdict, size_t *culprit)
{
	size_t threads = 0;

	for (size_t i = 0; i < n; i++) {
		*verdict = edf_check(node, &demands[i]);
		if (*verdict != EDF_FITS) {
			*culprit = i;
			return false;
		}
	}
	*items = calloc(n + 1, sizeof(**items));
	for (size_t i = 0; i < n; i++) {
		(*items)[i] = (struct item){&demands[i], i, 0, density(node, &demands[i])};
	}
	qsort(*items, n, sizeof(**items), denser);
	for (size_t i = 0; i < n; i++) {
		(*items)[i].first = threads;
		threads += (*items)[i].demand->threads;
	}
	*places = calloc(threads + 1, sizeof(**places));
	return true;
}

enum edf_verdict edf_pack(const struct edf_node *node, struct edf_demand *demands, size_t n, size_t *culprit)
{
	const struct item *out;
	struct item *items;
	int32_t *places;
	enum edf_verdict verdict;
	size_t ignored;

	culprit = culprit ? culprit : &ignored;
	if (!sort(node, demands, n, &items, &places, &verdict, culprit)) {
		return verdict;
	}
	out = pack(node, items, n, true, places);
	if (out) {
		out = pack(node, items, n, false, places);
	}
	if (out && search_all(node, items, n, places)) {
		out = NULL;
	}
	if (out) {
		*culprit = out->index;
	}
	for (size_t i = 0; i < n && !out; i++) {
		if (items[i].demand->cpu) {
			memcpy(items[i].demand->cpu, places + items[i].first,
			       items[i].demand->threads * sizeof(*places));
		}
	}
	free(items);
	free(places);
	return out ? EDF_NO_ROOM : EDF_FITS;
}

/* ---- what would fit ---- */

/* The others and, last, what is tried beside them. */
struct trial {
	const struct edf_node *node;
	struct edf_demand *demands;
	size_t n;
	int64_t slice_us, period_us; /* as asked for */
};

static bool try_out(const struct trial *trial, int64_t slice_us, int64_t period_us)
{
	trial->demands[trial->n - 1].slice_us = slice_us;
	trial->demands[trial->n - 1].period_us = period_us;
	return edf_pack(trial->node, trial->demands, trial->n, NULL) == EDF_FITS;
}

static bool slice_fits(const struct trial *trial, int64_t slice_us)
{
	return try_out(trial, slice_us, trial->period_us);
}

static int64_t slice_at(const struct trial *trial, int64_t period_us)
{
	return (int64_t)((__int128)trial->slice_us * period_us / trial->period_us);
}

static bool period_fits(const struct trial *trial, int64_t period_us)
{
	return try_out(trial, slice_at(trial, period_us), period_us);
}

/* Between one that fits and one that does not: the last that fits on the way. */
static int64_t bisect(const struct trial *trial, bool (*fit)(const struct trial *, int64_t), int64_t good, int64_t bad)
{
	while (good - bad > 1 || bad - good > 1) {
		int64_t middle = good + (bad - good) / 2;

		if (fit(trial, middle)) {
			good = middle;
		} else {
			bad = middle;
		}
	}
	return good;
}

static struct edf_offer find_offer(const struct trial *trial)
{
	struct edf_offer offer = {0};
	int64_t least = edf_slice_min_us(trial->node);

	least = least > 0 ? least : 1;
	/* A slice of all of the period never fits, for no limit leaves room for the costs then. */
	if (slice_fits(trial, least)) {
		offer.slice_us = bisect(trial, slice_fits, least, trial->period_us + 1);
	}
	/* Longer periods only add to the rate what the costs leave: if the longest does not fit, none does. */
	if (trial->slice_us <= trial->period_us && period_fits(trial, EDF_PERIOD_MAX_US)) {
		offer.period_us = bisect(trial, period_fits, EDF_PERIOD_MAX_US, 0);
		offer.period_slice_us = slice_at(trial, offer.period_us);
	}
	return offer;
}

struct edf_offer edf_offer(const struct edf_node *node, const struct edf_demand *others, size_t n,
			   const struct edf_demand *wanted)
{
	struct trial trial = {node, calloc(n + 1, sizeof(*others)), n + 1, wanted->slice_us, wanted->period_us};
	struct edf_offer offer = {0};

	for (size_t i = 0; i < n; i++) {
		trial.demands[i] = others[i];
		trial.demands[i].cpu = NULL; /* nothing of theirs is changed */
	}
	trial.demands[n] = *wanted;
	trial.demands[n].cpu = NULL;
	if (wanted->slice_us > 0 && wanted->period_us > 0) {
		offer = find_offer(&trial);
	}
	free(trial.demands);
	return offer;
}
