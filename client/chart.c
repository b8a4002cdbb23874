/* Puts bars into lanes and marks into cells. Knows nothing of JSON, colours or glyphs. */
#include "chart.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* All that one lease has on the node, or one transfer. */
struct bar {
	const struct chart_item *item; /* one of its items, for its names */
	long first, last;              /* cells [first, last), clipped to the chart */
	size_t lane;
	int64_t vm_max;
};

long chart_position(wall_us t, wall_us from, wall_us to, size_t width)
{
	double position = floor((double)(t - from) * (double)width / (double)(to - from));

	return position < -1 ? -1 : position > (double)width ? (long)width : (long)position;
}

/*
 * The cells of an item, at least one, so that short overheads are seen: what leads to a run takes the cell before it,
 * all else the cell in which it begins.
 */
static void item_cells(const struct chart_item *item, wall_us from, wall_us to, size_t width, long *first, long *last)
{
	*first = chart_position(item->start, from, to, width);
	*last = chart_position(item->end, from, to, width);
	if (*last <= *first) {
		if (item->mark == CHART_PREPARE || item->mark == CHART_RESUME) {
			*first = *last - 1;
		} else {
			*last = *first + 1;
		}
	}
	*first = *first < 0 ? 0 : *first;
	*last = *last > (long)width ? (long)width : *last;
}

static bool same_bar(const struct chart_item *a, const struct chart_item *b)
{
	return a->lease == b->lease && (a->lease != 0 || a->id == b->id);
}

static struct bar *find_bar(struct bar *bars, size_t n, const struct chart_item *item)
{
	for (size_t i = 0; i < n; i++) {
		if (same_bar(bars[i].item, item)) {
			return &bars[i];
		}
	}
	return NULL;
}

static size_t collect_bars(struct bar *bars, const struct chart_item *items, size_t n, wall_us from, wall_us to,
			   size_t width)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		struct bar *bar = find_bar(bars, count, &items[i]);
		long first, last;

		item_cells(&items[i], from, to, width, &first, &last);
		if (first >= last) {
			continue;
		}
		if (!bar) {
			bar = &bars[count++];
			*bar = (struct bar){.item = &items[i], .first = first, .last = last};
		}
		bar->first = first < bar->first ? first : bar->first;
		bar->last = last > bar->last ? last : bar->last;
	}
	return count;
}

static int compare_bars(const void *a, const void *b)
{
	const struct bar *x = a, *y = b;

	if (x->first != y->first) {
		return x->first < y->first ? -1 : 1;
	}
	if (x->item->lease != y->item->lease) {
		return x->item->lease < y->item->lease ? -1 : 1;
	}
	return (x->item->id > y->item->id) - (x->item->id < y->item->id);
}

/* Each bar into the first lane that is free from its first cell on. Returns the number of lanes, at least 1. */
static size_t assign_lanes(struct bar *bars, size_t n)
{
	_cleanup_free_ long *ends = xcalloc(n + 1, sizeof(*ends));
	size_t lanes = 1;

	qsort(bars, n, sizeof(*bars), compare_bars);
	for (size_t i = 0; i < n; i++) {
		size_t lane = 0;

		while (ends[lane] > bars[i].first) {
			lane++;
		}
		ends[lane] = bars[i].last;
		bars[i].lane = lane;
		lanes = lane + 1 > lanes ? lane + 1 : lanes;
	}
	return lanes;
}

static void fill(struct chart *chart, const struct bar *bar, const struct chart_item *item, long first, long last)
{
	for (long c = first; c < last; c++) {
		struct chart_cell *cell = &chart->cell[bar->lane * chart->width + (size_t)c];

		cell->mark = item->mark;
		cell->lease = item->lease;
	}
}

/* Gives a stretch of running cells its ends, where nothing of the same lease adjoins. */
static void set_ends(struct chart *chart, struct chart_cell *row, long first, long last)
{
	uint64_t lease = row[first].lease;

	if (last - first < 2) {
		return;
	}
	if (first > 0 && (row[first - 1].mark == CHART_NONE || row[first - 1].lease != lease)) {
		row[first].mark = CHART_LEFT;
	}
	if (last < (long)chart->width && (row[last].mark == CHART_NONE || row[last].lease != lease)) {
		row[last - 1].mark = CHART_RIGHT;
	}
}

/* The label, one cell in if there is room; a shorter one, or none, if it does not fit. */
static void put_label(struct chart_cell *cell, long room, const char *label, const char *shorter)
{
	const char *text = (long)strlen(label) + 2 <= room ? label : shorter;
	long len = (long)strlen(text);

	if (len > room) {
		return;
	}
	cell += len + 2 <= room ? 1 : 0;
	for (long i = 0; i < len; i++) {
		cell[i].text = text[i];
	}
}

/* The longest stretch of cells of the bar with this mark; all stretches of running cells get their ends. */
static void dress_bar(struct chart *chart, const struct bar *bar)
{
	struct chart_cell *row = &chart->cell[bar->lane * chart->width];
	enum chart_mark mark = bar->item->lease ? CHART_RUN : bar->item->mark;
	long best = bar->first, room = 0;
	char label[64], shorter[32] = "";

	for (long c = bar->first, end; c < bar->last; c = end + 1) {
		for (end = c; end < bar->last && row[end].mark == mark; end++) {
		}
		if (end - c > room) {
			best = c;
			room = end - c;
		}
		if (end > c && mark == CHART_RUN) {
			set_ends(chart, row, c, end);
		}
	}
	if (bar->item->lease == 0) {
		snprintf(label, sizeof(label), "%s", bar->item->name);
	} else {
		snprintf(shorter, sizeof(shorter), "%" PRIu64, bar->item->lease);
		snprintf(label, sizeof(label), bar->vm_max > 1 ? "%s*%" PRId64 : "%s", shorter, bar->vm_max);
	}
	put_label(row + best, room, label, shorter);
}

static int compare_vms(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How many different VMs of the lease the items hold. */
static int64_t count_vms(const struct chart_item *items, size_t n, uint64_t lease)
{
	_cleanup_free_ int64_t *vms = xcalloc(n, sizeof(*vms));
	int64_t count = 0, different = 0;

	for (size_t i = 0; i < n; i++) {
		if (items[i].lease == lease) {
			vms[count++] = items[i].vm;
		}
	}
	qsort(vms, (size_t)count, sizeof(*vms), compare_vms);
	for (int64_t i = 0; i < count; i++) {
		different += i == 0 || vms[i] != vms[i - 1];
	}
	return different;
}

void chart_init(struct chart *chart, const struct chart_item *items, size_t n, wall_us from, wall_us to, size_t width)
{
	_cleanup_free_ struct bar *bars = xcalloc(n + 1, sizeof(*bars));
	size_t count = collect_bars(bars, items, n, from, to, width);

	chart->width = width;
	chart->lanes = assign_lanes(bars, count);
	chart->cell = xcalloc(chart->lanes * width, sizeof(*chart->cell));
	for (size_t i = 0; i < n; i++) {
		const struct bar *bar = find_bar(bars, count, &items[i]);
		long first, last;

		item_cells(&items[i], from, to, width, &first, &last);
		if (bar) {
			fill(chart, bar, &items[i], first, last);
		}
	}
	for (size_t i = 0; i < count; i++) {
		bars[i].vm_max = count_vms(items, n, bars[i].item->lease);
		dress_bar(chart, &bars[i]);
	}
}

void chart_fini(struct chart *chart)
{
	free(chart->cell);
	chart->cell = NULL;
}
