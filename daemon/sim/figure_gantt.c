/*
 * Who was where when, as SVG: a row for each node, a line in it for each guest at a time, a bar for each slot. Colours
 * tell what a guest does; what a bar is exactly shows when a pointer rests on it.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "csv.h"
#include "figure.h"
#include "figure_internal.h"
#include "slots.h"
#include "util.h"

#define BARS_MAX 6000 /* more can neither be told apart nor be shown by a browser at ease */
#define NODES_MAX 2000
#define NODE_ID_MAX 100000
#define LANES_MAX 256 /* guests at a time on a node that are drawn */

/* The picture, in pixels. */
#define WIDTH 1200
#define LEFT 80
#define RIGHT 20
#define TOP 84
#define BOTTOM 52
#define PLOT_HEIGHT 760.0 /* lines are as high as this allows, within bounds */
#define LANE_MIN 3.0
#define LANE_MAX 18.0
#define TICKS_MAX 12

struct bar {
	enum slot_kind kind;
	uint32_t node;
	uint64_t lease;
	uint32_t vm;
	bool promised;
	double start_s, end_s; /* end: INFINITY = open */
	uint32_t lane;
};

/* A node's part of the picture. */
struct row {
	uint32_t lanes;
	double y;
};

struct gantt {
	struct bar *bar;
	size_t count, room;
	bool *promised; /* by lease id, below leases */
	size_t leases;
	double from_s, to_s;
	double last_s; /* of the run */
	uint32_t nodes;
	struct row *row; /* by node id, 1 .. nodes */
	double lane_height, height;
};

static const struct {
	const char *colour, *meaning;
} looks[SLOT_KIND_COUNT] = {
	[SLOT_PREPARE] = {"#b8c4cc", "prepared"},   [SLOT_RUN] = {"#5aae8a", "best-effort runs"},
	[SLOT_STOP] = {"#6b7680", "stopped"},       [SLOT_SUSPEND] = {"#e08a2e", "suspended: saving"},
	[SLOT_HOLD] = {"#d9c9e8", "held on disk"},  [SLOT_RESUME] = {"#f2cf4a", "resumed: restoring"},
	[SLOT_STANDBY] = {"#cfe0f2", "kept ready"},
};
#define PROMISED_COLOUR "#2f6db5"
#define PROMISED_MEANING "reserved runs"

/* True if it is shown below the lines of its node: it takes nothing that runs. */
static bool below(const struct bar *bar)
{
	return bar->kind == SLOT_HOLD || bar->kind == SLOT_STANDBY;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* By leases.csv, whose ids count from 1. */
static int read_leases(const char *path, struct gantt *gantt, struct err *err)
{
	static const char *const columns[] = {"id", "kind"};
	char *field[ARRAY_SIZE(columns)];
	struct csv csv;
	size_t room = 0;
	int got;

	if (csv_open(&csv, path, columns, ARRAY_SIZE(columns), err)) {
		return -1;
	}
	while ((got = csv_row(&csv, field, err)) > 0) {
		if (gantt->leases == room) {
			room = room ? 2 * room : 1024;
			gantt->promised = xrealloc(gantt->promised, room, sizeof(*gantt->promised));
		}
		gantt->promised[gantt->leases++] =
			strcmp(field[1], "best-effort") != 0 && strcmp(field[1], "deadline") != 0;
	}
	csv_close(&csv);
	return got;
}

static int read_bar(const struct csv *csv, const struct gantt *gantt, char **field, struct bar *bar, struct err *err)
{
	int64_t node, lease, vm;

	if (slot_kind_parse(field[0], &bar->kind) || parse_i64(field[1], 1, NODE_ID_MAX, &node) ||
	    parse_i64(field[2], 1, INT64_MAX, &lease) || parse_i64(field[3], 0, UINT32_MAX, &vm)) {
		return err_set(err, ERR_PARAMS, "%s:%ju: not a slot", csv->path, (uintmax_t)csv->number);
	}
	bar->node = (uint32_t)node;
	bar->lease = (uint64_t)lease;
	bar->vm = (uint32_t)vm;
	bar->promised = bar->lease <= gantt->leases && gantt->promised[bar->lease - 1];
	bar->end_s = INFINITY;
	return csv_number(csv, field[4], &bar->start_s, err) ||
			       (*field[5] && csv_number(csv, field[5], &bar->end_s, err))
		       ? -1
		       : 0;
}

static void keep_bar(struct gantt *gantt, const struct bar *bar)
{
	double last = isfinite(bar->end_s) ? bar->end_s : bar->start_s;

	gantt->last_s = last > gantt->last_s ? last : gantt->last_s;
	gantt->nodes = bar->node > gantt->nodes ? bar->node : gantt->nodes;
	if (bar->end_s <= gantt->from_s || bar->end_s <= bar->start_s ||
	    (gantt->to_s > 0 && bar->start_s >= gantt->to_s)) {
		return;
	}
	if (gantt->count == gantt->room) {
		gantt->room = gantt->room ? 2 * gantt->room : 1024;
		gantt->bar = xrealloc(gantt->bar, gantt->room, sizeof(*gantt->bar));
	}
	gantt->bar[gantt->count++] = *bar;
}

static int read_slots(struct csv *csv, struct gantt *gantt, struct err *err)
{
	char *field[6];
	int got;

	while ((got = csv_row(csv, field, err)) > 0) {
		struct bar bar = {0};

		if (read_bar(csv, gantt, field, &bar, err)) {
			return -1;
		}
		keep_bar(gantt, &bar);
	}
	return got;
}

/* ---- arranging ------------------------------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct bar *x = a, *y = b;

	if (x->start_s != y->start_s) {
		return x->start_s < y->start_s ? -1 : 1;
	}
	if (x->node != y->node) {
		return x->node < y->node ? -1 : 1;
	}
	if (x->lease != y->lease) {
		return x->lease < y->lease ? -1 : 1;
	}
	return x->vm < y->vm ? -1 : x->vm > y->vm;
}

/* Bars are sorted: cuts the window where there are more of them than can be shown. */
static void cut_window(struct gantt *gantt)
{
	if (gantt->count > BARS_MAX) {
		gantt->to_s = gantt->bar[BARS_MAX].start_s;
		while (gantt->count && gantt->bar[gantt->count - 1].start_s >= gantt->to_s) {
			gantt->count--;
		}
	}
	if (gantt->to_s <= 0 || gantt->to_s > gantt->last_s) {
		gantt->to_s = gantt->last_s;
	}
	if (gantt->nodes > NODES_MAX) {
		gantt->nodes = NODES_MAX;
	}
}

/*
 * Each bar gets the first line of its node that is free, where it can that of the slot before it of the same guest.
 * Held guests take no line: any number of them may be on a node's disk.
 */
static void assign_lanes(struct gantt *gantt)
{
	struct lane {
		double end_s;
		uint64_t lease;
		uint32_t vm;
	} *lane = xcalloc((size_t)gantt->nodes + 1, LANES_MAX * sizeof(*lane));

	for (size_t i = 0; i < gantt->count; i++) {
		struct bar *bar = &gantt->bar[i];
		struct lane *own;
		uint32_t best = LANES_MAX;

		if (bar->node > gantt->nodes || below(bar)) {
			continue;
		}
		own = lane + (size_t)bar->node * LANES_MAX;
		for (uint32_t k = 0; k < LANES_MAX && k <= gantt->row[bar->node].lanes; k++) {
			if (own[k].end_s > bar->start_s) {
				continue;
			}
			best = k < best ? k : best;
			if (own[k].lease == bar->lease && own[k].vm == bar->vm && own[k].end_s == bar->start_s) {
				best = k;
				break;
			}
		}
		bar->lane = best;
		if (best < LANES_MAX) {
			own[best] = (struct lane){bar->end_s, bar->lease, bar->vm};
			if (best >= gantt->row[bar->node].lanes) {
				gantt->row[bar->node].lanes = best + 1;
			}
		}
	}
	free(lane);
}

static void lay_out(struct gantt *gantt)
{
	uint32_t lanes = 0;

	for (uint32_t node = 1; node <= gantt->nodes; node++) {
		gantt->row[node].lanes += !gantt->row[node].lanes;
		lanes += gantt->row[node].lanes;
	}
	gantt->lane_height = fmin(fmax(floor(PLOT_HEIGHT / (lanes + gantt->nodes / 3.0 + 1)), LANE_MIN), LANE_MAX);
	gantt->height = 0;
	for (uint32_t node = 1; node <= gantt->nodes; node++) {
		gantt->row[node].y = TOP + gantt->height;
		/* Beside its lines a row has a third of one, in which held guests are shown. */
		gantt->height += gantt->lane_height * (gantt->row[node].lanes + 1 / 3.0);
	}
}

/* ---- drawing --------------------------------------------------------------------------------------------------- */

static double x_of(const struct gantt *gantt, double t)
{
	t = fmin(fmax(t, gantt->from_s), gantt->to_s);
	return LEFT + (t - gantt->from_s) / (gantt->to_s - gantt->from_s) * (WIDTH - LEFT - RIGHT);
}

static void draw_bar(const struct gantt *gantt, const struct bar *bar, FILE *out)
{
	const struct row *row = &gantt->row[bar->node];
	bool held = below(bar);
	double x = x_of(gantt, bar->start_s), width = x_of(gantt, bar->end_s) - x;
	double y = row->y + (held ? row->lanes : bar->lane) * gantt->lane_height;
	double height = held ? gantt->lane_height / 3 : gantt->lane_height;

	fprintf(out, "<rect class=\"%s%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">",
		bar->kind == SLOT_RUN && bar->promised ? "promised" : slot_kind_name(bar->kind),
		bar->kind == SLOT_RUN && bar->lease % 2 ? " odd" : "", x, y, fmax(width, 0.3), height);
	fprintf(out, "<title>lease %" PRIu64 " VM %u, node %u, %s: %.0f s to ", bar->lease, bar->vm, bar->node,
		slot_kind_name(bar->kind), bar->start_s);
	fprintf(out, isfinite(bar->end_s) ? "%.0f s</title></rect>\n" : "the end</title></rect>\n", bar->end_s);
}

static void draw_head(const struct gantt *gantt, FILE *out)
{
	double height = TOP + gantt->height + BOTTOM;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
		"font-family=\"sans-serif\" font-size=\"14\" fill=\"#222222\">\n<style>\n"
		"rect { stroke: white; stroke-width: %.2f }\n.odd { fill-opacity: 0.82 }\n"
		".none { stroke: none; fill: #f4f5f6 }\n.promised { fill: " PROMISED_COLOUR " }\n",
		WIDTH, height, WIDTH, height, gantt->lane_height < 6 ? 0.2 : 0.5);
	for (int i = 0; i < SLOT_KIND_COUNT; i++) {
		fprintf(out, ".%s { fill: %s }\n", slot_kind_name((enum slot_kind)i), looks[i].colour);
	}
	fprintf(out, "</style>\n<rect width=\"%d\" height=\"%.0f\" style=\"fill: white\"/>\n", WIDTH, height);
}

static double draw_key(double x, const char *class, const char *meaning, FILE *out)
{
	fprintf(out, "<rect class=\"%s\" x=\"%.0f\" y=\"48\" width=\"14\" height=\"14\"/>", class, x);
	fprintf(out, "<text x=\"%.0f\" y=\"60\">%s</text>\n", x + 19, meaning);
	return x + 19 + 22 + 7.2 * (double)strlen(meaning);
}

static void draw_legend(FILE *out)
{
	static const enum slot_kind order[] = {SLOT_RUN,  SLOT_PREPARE, SLOT_STOP,   SLOT_SUSPEND,
					       SLOT_HOLD, SLOT_RESUME,  SLOT_STANDBY};
	double x = draw_key(LEFT, "promised", PROMISED_MEANING, out);

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		x = draw_key(x, slot_kind_name(order[i]), looks[order[i]].meaning, out);
	}
}

static void draw_title(const struct gantt *gantt, FILE *out)
{
	const struct figure_unit *unit = figure_unit(gantt->last_s);

	fprintf(out, "<text x=\"%d\" y=\"28\" font-size=\"18\" text-anchor=\"middle\">Slots: what nodes do", WIDTH / 2);
	if (gantt->from_s > 0 || gantt->to_s < gantt->last_s) {
		fprintf(out, " (%.1f to %.1f of %.1f %s)", gantt->from_s / unit->seconds, gantt->to_s / unit->seconds,
			gantt->last_s / unit->seconds, unit->name);
	}
	fputs("</text>\n", out);
}

/* Names of nodes, as many as do not touch. */
static void draw_rows(const struct gantt *gantt, FILE *out)
{
	double free_from = 0;

	for (uint32_t node = 1; node <= gantt->nodes; node++) {
		const struct row *row = &gantt->row[node];
		double height = row->lanes * gantt->lane_height, middle = row->y + height / 2;

		fprintf(out, "<rect class=\"none\" x=\"%d\" y=\"%.2f\" width=\"%d\" height=\"%.2f\"/>\n", LEFT, row->y,
			WIDTH - LEFT - RIGHT, height);
		if (middle - 7 >= free_from) {
			fprintf(out, "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" text-anchor=\"end\">%u</text>\n",
				LEFT - 6, middle + 4, node);
			free_from = middle + 7;
		}
	}
	fprintf(out, "<text transform=\"translate(24 %.0f) rotate(-90)\" text-anchor=\"middle\">node</text>\n",
		TOP + gantt->height / 2);
}

/* 1, 2 or 5 times a power of ten, so that there are not too many ticks. */
static double tick_of(double length)
{
	double tick = pow(10, floor(log10(length / TICKS_MAX)));

	while (length / tick > TICKS_MAX) {
		tick *= length / tick > 5 * TICKS_MAX ? 10 : length / tick > 2 * TICKS_MAX ? 5 : 2;
	}
	return tick;
}

static void draw_axis(const struct gantt *gantt, FILE *out)
{
	const struct figure_unit *unit = figure_unit(gantt->to_s - gantt->from_s);
	double from = gantt->from_s / unit->seconds, to = gantt->to_s / unit->seconds;
	double tick = tick_of(to - from), bottom = TOP + gantt->height;

	for (double t = ceil(from / tick) * tick; t <= to * (1 + 1e-9); t += tick) {
		double x = x_of(gantt, t * unit->seconds);

		fprintf(out, "<path d=\"M%.1f %d V%.1f\" stroke=\"#888888\" stroke-opacity=\"0.35\"/>", x, TOP,
			bottom + 5);
		fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>\n", x, bottom + 20, t);
	}
	fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"middle\">time from the beginning (%s)</text>\n",
		(LEFT + WIDTH - RIGHT) / 2, bottom + 42, unit->name);
}

static void draw(const struct gantt *gantt, FILE *out)
{
	draw_head(gantt, out);
	draw_title(gantt, out);
	draw_legend(out);
	draw_rows(gantt, out);
	for (size_t i = 0; i < gantt->count; i++) {
		if (gantt->bar[i].node <= gantt->nodes && gantt->bar[i].lane < LANES_MAX) {
			draw_bar(gantt, &gantt->bar[i], out);
		}
	}
	draw_axis(gantt, out);
	fputs("</svg>\n", out);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static int write_picture(struct gantt *gantt, const char *path, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out;

	qsort(gantt->bar, gantt->count, sizeof(*gantt->bar), by_start);
	cut_window(gantt);
	if (gantt->count == 0 || gantt->to_s <= gantt->from_s) {
		return err_set(err, ERR_PARAMS, "%s: no slot is in the time to be shown; the run is %.0f s long", path,
			       gantt->last_s);
	}
	gantt->row = xcalloc((size_t)gantt->nodes + 1, sizeof(*gantt->row));
	assign_lanes(gantt);
	lay_out(gantt);
	out = open_memstream(&text, &size);
	draw(gantt, out);
	if (fclose(out)) {
		return err_set(err, ERR_LIMIT, "no memory for %s", path);
	}
	return file_replace(path, text, size, 0644, err);
}

int figure_gantt(const char *folder, const struct figure_window *window, FILE *tell, struct err *err)
{
	static const char *const columns[] = {"kind", "node", "lease", "vm", "start_s", "end_s"};
	_cleanup_free_ char *slots = xasprintf("%s/slots.csv", folder);
	_cleanup_free_ char *leases = xasprintf("%s/leases.csv", folder);
	_cleanup_free_ char *path = xasprintf("%s/gantt.svg", folder);
	struct gantt gantt = {.from_s = window->from_s, .to_s = window->to_s};
	struct csv csv;
	int bad;

	if (csv_open(&csv, slots, columns, ARRAY_SIZE(columns), err)) {
		if (err->code != ERR_NOT_FOUND) {
			return -1;
		}
		fprintf(tell, "no gantt.svg: %s is not there; \"tenure-sim run --slots\" writes it\n", slots);
		return 0;
	}
	bad = read_leases(leases, &gantt, err) || read_slots(&csv, &gantt, err);
	csv_close(&csv);
	if (!bad && gantt.count == 0) {
		fprintf(tell, "no gantt.svg: nothing ran, %s holds no slot\n", slots);
	} else if (!bad) {
		bad = write_picture(&gantt, path, err);
	}
	free(gantt.bar);
	free(gantt.promised);
	free(gantt.row);
	return bad ? -1 : 0;
}
