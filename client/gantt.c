/* tenure gantt: the slot table in the terminal. Where each bar goes is chart.c's. */
#include "gantt.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "chart.h"
#include "command.h"
#include "slots.h"
#include "util.h"
#include "when.h"

#define DEFAULT_WIDTH 100
#define NAME_MAX_CELLS 20
#define LEASES_MAX 16 /* lines under the picture; a terminal has few more */
#define TICK_CELLS 10 /* "14:00:05" and some room */

static const struct {
	const char *utf8, *ascii, *meaning;
} glyphs[CHART_MARKS] = {
	[CHART_NONE] = {" ", " ", NULL},
	[CHART_STANDBY] = {"○", "o", "kept ready"},
	[CHART_STAGE] = {"↓", "v", "image staged"},
	[CHART_STAGE_FAILED] = {"×", "!", "staging failed"},
	[CHART_PREPARE] = {"░", ".", "prepared"},
	[CHART_RUN] = {"█", "#", "running"},
	[CHART_SUSPEND] = {"╲", "\\", "suspending"},
	[CHART_HOLD] = {"┈", "-", "suspended"},
	[CHART_RESUME] = {"╱", "/", "resuming"},
	[CHART_STOP] = {"▒", "x", "stopping"},
	[CHART_LEFT] = {"▐", "[", NULL},
	[CHART_RIGHT] = {"▌", "]", NULL},
};

struct picture {
	const struct gantt *gantt;
	FILE *out;
	struct chart_item *items;
	size_t count;
	int name_cells;
	size_t cells; /* of the plot */
	long now;     /* cell */
	span_us tick;
	wall_us first_tick;
	const char *style; /* escape sequence in force, NULL = none */
};

/* ---- the answer ---- */

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static enum chart_mark slot_mark(const char *kind)
{
	static const enum chart_mark marks[SLOT_KIND_COUNT] = {
		[SLOT_PREPARE] = CHART_PREPARE, [SLOT_RUN] = CHART_RUN,   [SLOT_STOP] = CHART_STOP,
		[SLOT_SUSPEND] = CHART_SUSPEND, [SLOT_HOLD] = CHART_HOLD, [SLOT_RESUME] = CHART_RESUME,
		[SLOT_STANDBY] = CHART_STANDBY,
	};
	enum slot_kind parsed;

	return slot_kind_parse(kind, &parsed) == 0 ? marks[parsed] : CHART_NONE;
}

static struct chart_item read_item(struct json_object *object, bool is_slot)
{
	const char *state = show_string(object, "state");

	return (struct chart_item){
		.node = show_string(object, "node"),
		.mark = is_slot                        ? slot_mark(show_string(object, "kind"))
			: strcmp(state, "failed") == 0 ? CHART_STAGE_FAILED
						       : CHART_STAGE,
		.lease = is_slot ? (uint64_t)show_number(object, "lease") : 0,
		.id = (uint64_t)show_number(object, "id"),
		.vm = show_number(object, "vm"),
		.start = show_number(object, "start_us"),
		.end = show_number(object, "end_us"),
		.name = show_string(object, "image"),
	};
}

static int compare_items(const void *a, const void *b)
{
	const struct chart_item *x = a, *y = b;
	int order = strcmp(x->node, y->node);

	return order                ? order
	       : x->mark != y->mark ? (int)x->mark - (int)y->mark
				    : (x->start > y->start) - (x->start < y->start);
}

/* Everything with a place in the picture, sorted by node and mark; the caller frees. */
static struct chart_item *read_items(struct json_object *slots, size_t *count)
{
	struct json_object *lists[] = {json_object_object_get(slots, "transfers"),
				       json_object_object_get(slots, "slots")};
	struct chart_item *items = xcalloc(length(lists[0]) + length(lists[1]) + 1, sizeof(*items));
	size_t n = 0;

	for (size_t is_slot = 0; is_slot < 2; is_slot++) {
		for (size_t i = 0; i < length(lists[is_slot]); i++) {
			struct chart_item item = read_item(json_object_array_get_idx(lists[is_slot], i), is_slot);

			if (item.mark != CHART_NONE && item.start < item.end && (item.lease || !is_slot)) {
				items[n++] = item;
			}
		}
	}
	qsort(items, n, sizeof(*items), compare_items);
	*count = n;
	return items;
}

void gantt_fit(struct gantt *gantt, struct json_object *slots)
{
	size_t n;
	_cleanup_free_ struct chart_item *items = read_items(slots, &n);
	wall_us first = gantt->now, last = gantt->now + USEC_PER_MINUTE;
	wall_us earliest = gantt->now - USEC_PER_HOUR, latest = gantt->now + USEC_PER_DAY;

	for (size_t i = 0; i < n; i++) {
		first = items[i].start < first ? items[i].start : first;
		last = items[i].end > last && items[i].end < WALL_NEVER ? items[i].end : last;
	}
	if (!gantt->from) {
		gantt->from = first > earliest ? first : earliest;
	}
	if (!gantt->to) {
		gantt->to = last < latest ? last : latest;
		gantt->to += (gantt->to - gantt->from) / 50; /* air behind the last end */
	}
	if (gantt->to <= gantt->from) {
		gantt->to = gantt->from + USEC_PER_HOUR;
	}
}

/* Drops what is outside the window, keeping the order. Returns what is left. */
static size_t keep_visible(const struct gantt *gantt, struct chart_item *items, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (items[i].start < gantt->to && items[i].end > gantt->from) {
			items[kept++] = items[i];
		}
	}
	return kept;
}

/* ---- drawing ---- */

/* Switches to the escape sequence, NULL = plain, if colours are wanted. */
static void set_style(struct picture *picture, const char *style)
{
	if (!picture->gantt->colour || style == picture->style) {
		return;
	}
	fputs("\033[0m", picture->out);
	fputs(style ? style : "", picture->out);
	picture->style = style;
}

static const char *lease_style(uint64_t lease, bool label)
{
	static const char *const styles[][2] = {
		{"\033[34m", "\033[34;7m"}, {"\033[32m", "\033[32;7m"}, {"\033[35m", "\033[35;7m"},
		{"\033[36m", "\033[36;7m"}, {"\033[33m", "\033[33;7m"}, {"\033[94m", "\033[94;7m"},
	};

	return lease ? styles[lease % ARRAY_SIZE(styles)][label] : "\033[2m";
}

static const char *glyph(const struct picture *picture, enum chart_mark mark)
{
	return picture->gantt->utf8 ? glyphs[mark].utf8 : glyphs[mark].ascii;
}

static const char *choose(const struct picture *picture, const char *utf8, const char *ascii)
{
	return picture->gantt->utf8 ? utf8 : ascii;
}

/* Printable ASCII only, so that one byte is one cell: names are, unless the head is not ours. */
static void put_name(struct picture *picture, const char *text, int cells)
{
	bool cut = (int)strlen(text) > cells;

	for (int i = 0; i < cells; i++) {
		char c = !*text ? ' ' : cut && i == cells - 1 ? '~' : *text++;

		putc(c >= ' ' && c <= '~' ? c : '?', picture->out);
	}
}

static bool is_tick(const struct picture *picture, size_t cell)
{
	const struct gantt *gantt = picture->gantt;

	for (wall_us t = picture->first_tick; t < gantt->to; t += picture->tick) {
		if (chart_position(t, gantt->from, gantt->to, picture->cells) == (long)cell) {
			return true;
		}
	}
	return false;
}

static void put_cell(struct picture *picture, const struct chart_cell *cell, size_t at)
{
	if (cell->text) {
		set_style(picture, lease_style(cell->lease, true));
		if (cell->text == '*') {
			fputs(choose(picture, "×", "x"), picture->out);
		} else {
			put_name(picture, (char[]){cell->text, '\0'}, 1);
		}
	} else if ((long)at == picture->now) {
		set_style(picture, "\033[91m");
		fputs(choose(picture, "│", "|"), picture->out);
	} else if (cell->mark == CHART_NONE && is_tick(picture, at)) {
		set_style(picture, "\033[2m");
		fputs(choose(picture, "·", ":"), picture->out);
	} else {
		set_style(picture, cell->mark == CHART_NONE ? NULL : lease_style(cell->lease, false));
		fputs(glyph(picture, cell->mark), picture->out);
	}
}

static void end_line(struct picture *picture)
{
	set_style(picture, NULL);
	putc('\n', picture->out);
}

static void draw_node(struct picture *picture, struct json_object *node)
{
	const struct gantt *gantt = picture->gantt;
	const char *name = show_string(node, "name"), *state = show_string(node, "state");
	_cleanup_free_ char *title =
		xasprintf("%s%s%s", name, strcmp(state, "up") == 0 ? "" : " ", strcmp(state, "up") == 0 ? "" : state);
	struct chart_item *items = picture->items, *end = items + picture->count;
	size_t n = 0;
	struct chart chart;

	while (items < end && strcmp(items->node, name) != 0) {
		items++;
	}
	while (items + n < end && strcmp(items[n].node, name) == 0) {
		n++;
	}
	chart_init(&chart, items, n, gantt->from, gantt->to, picture->cells);
	for (size_t lane = 0; lane < chart.lanes; lane++) {
		set_style(picture, strcmp(state, "silent") == 0 ? "\033[31m" : NULL);
		put_name(picture, lane == 0 ? title : "", picture->name_cells);
		set_style(picture, NULL);
		putc(' ', picture->out);
		for (size_t c = 0; c < picture->cells; c++) {
			put_cell(picture, &chart.cell[lane * chart.width + c], c);
		}
		end_line(picture);
	}
	chart_fini(&chart);
}

static void local_text(wall_us t, const char *format, char *out, size_t size)
{
	time_t seconds = (time_t)(t / USEC_PER_SEC);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(out, size, format, &tm) == 0) {
		snprintf(out, size, "?");
	}
}

/* Round steps of local time, so far apart that their labels fit. */
static void choose_ticks(struct picture *picture)
{
	static const int seconds[] = {1,   2,    5,    10,   15,    30,    60,    120,   300,    600,
				      900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800};
	const struct gantt *gantt = picture->gantt;
	span_us least = (span_us)((double)(gantt->to - gantt->from) * TICK_CELLS / (double)picture->cells);
	time_t from = (time_t)(gantt->from / USEC_PER_SEC);
	span_us offset = 0;
	struct tm tm;

	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		picture->tick = seconds[i] * USEC_PER_SEC;
		if (picture->tick >= least) {
			break;
		}
	}
	while (picture->tick < least) {
		picture->tick *= 2;
	}
	if (localtime_r(&from, &tm)) {
		offset = tm.tm_gmtoff * USEC_PER_SEC;
	}
	picture->first_tick = (gantt->from + offset + picture->tick - 1) / picture->tick * picture->tick - offset;
}

static void draw_axis(struct picture *picture)
{
	const struct gantt *gantt = picture->gantt;
	_cleanup_free_ char *labels = xcalloc(picture->cells + 1, 1);

	memset(labels, ' ', picture->cells);
	for (wall_us t = picture->first_tick; t < gantt->to; t += picture->tick) {
		size_t at = (size_t)chart_position(t, gantt->from, gantt->to, picture->cells);
		char text[16], midnight[16];

		local_text(t, "%H%M%S", midnight, sizeof(midnight));
		local_text(t,
			   picture->tick < USEC_PER_MINUTE                                    ? "%H:%M:%S"
			   : picture->tick >= USEC_PER_DAY || strcmp(midnight, "000000") == 0 ? "%b %d"
											      : "%H:%M",
			   text, sizeof(text));
		if (at + strlen(text) <= picture->cells) {
			memcpy(labels + at, text, strlen(text));
		}
	}
	fprintf(picture->out, "%*s %s\n%*s ", picture->name_cells, "", labels, picture->name_cells, "");
	for (size_t c = 0; c < picture->cells; c++) {
		bool now = (long)c == picture->now;

		set_style(picture, now ? "\033[91m" : "\033[2m");
		fputs(now                   ? choose(picture, "▼", "V")
		      : is_tick(picture, c) ? choose(picture, "┬", "+")
					    : choose(picture, "─", "-"),
		      picture->out);
	}
	end_line(picture);
}

static void draw_title(struct picture *picture)
{
	const struct gantt *gantt = picture->gantt;
	char from[64], to[64], now[16], column[WHEN_TEXT];
	span_us cell = (gantt->to - gantt->from) / (span_us)picture->cells;

	local_text(gantt->from, "%Y-%m-%d %H:%M:%S", from, sizeof(from));
	local_text(gantt->to, gantt->to - gantt->from < USEC_PER_DAY ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", to,
		   sizeof(to));
	local_text(gantt->now, "%H:%M:%S", now, sizeof(now));
	cell = cell < USEC_PER_SEC      ? (cell + USEC_PER_MSEC / 2) / USEC_PER_MSEC * USEC_PER_MSEC
	       : cell < USEC_PER_MINUTE ? (cell + USEC_PER_SEC / 20) / (USEC_PER_SEC / 10) * (USEC_PER_SEC / 10)
					: (cell + USEC_PER_SEC / 2) / USEC_PER_SEC * USEC_PER_SEC;
	when_span(cell, column);
	fprintf(picture->out, "%s to %s, a column is %s; now %s\n", from, to, column, now);
}

/* ---- legend ---- */

static void draw_marks(struct picture *picture)
{
	static const enum chart_mark order[] = {CHART_STAGE,   CHART_STAGE_FAILED, CHART_STANDBY,
						CHART_PREPARE, CHART_RUN,          CHART_SUSPEND,
						CHART_HOLD,    CHART_RESUME,       CHART_STOP};
	bool used[CHART_MARKS] = {false};

	for (size_t i = 0; i < picture->count; i++) {
		used[picture->items[i].mark] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (used[order[i]]) {
			fprintf(picture->out, "%s %s  ", glyph(picture, order[i]), glyphs[order[i]].meaning);
		}
	}
	fprintf(picture->out, "%s now\n", choose(picture, "│", "|"));
}

struct summary {
	uint64_t lease;
	size_t vms, nodes;
	wall_us start, end; /* of its runs; 0 = none in the answer */
};

static int compare_leases(const void *a, const void *b)
{
	const struct chart_item *x = a, *y = b;

	if (x->lease != y->lease) {
		return x->lease < y->lease ? -1 : 1;
	}
	return x->vm != y->vm ? (x->vm < y->vm ? -1 : 1) : strcmp(x->node, y->node);
}

/* What the items of one lease (sorted by VM, then node) amount to. */
static struct summary sum_up(const struct chart_item *items, size_t n)
{
	struct summary sum = {.lease = items[0].lease};

	for (size_t i = 0; i < n; i++) {
		bool new_node = true;

		for (size_t j = 0; j < i && new_node; j++) {
			new_node = strcmp(items[i].node, items[j].node) != 0;
		}
		sum.nodes += new_node;
		sum.vms += i == 0 || items[i].vm != items[i - 1].vm;
		if (items[i].mark == CHART_RUN) {
			sum.start = !sum.start || items[i].start < sum.start ? items[i].start : sum.start;
			sum.end = items[i].end > sum.end ? items[i].end : sum.end;
		}
	}
	return sum;
}

static void draw_lease(struct picture *picture, const struct summary *sum)
{
	char start[WHEN_TEXT], end[WHEN_TEXT];

	when_local(sum->start, picture->gantt->now, start);
	when_local(sum->end, picture->gantt->now, end);
	set_style(picture, lease_style(sum->lease, false));
	fprintf(picture->out, "lease %" PRIu64, sum->lease);
	set_style(picture, NULL);
	fprintf(picture->out, ": %zu VM%s on %zu node%s", sum->vms, sum->vms == 1 ? "" : "s", sum->nodes,
		sum->nodes == 1 ? "" : "s");
	if (sum->start) {
		fprintf(picture->out, ", runs %s to %s", start, end);
	}
	end_line(picture);
}

static void draw_leases(struct picture *picture)
{
	struct chart_item *items = picture->items;
	size_t lines = 0, i = 0, n;

	qsort(items, picture->count, sizeof(*items), compare_leases);
	while (i < picture->count && items[i].lease == 0) {
		i++;
	}
	for (; i < picture->count; i += n) {
		for (n = 1; i + n < picture->count && items[i + n].lease == items[i].lease; n++) {
		}
		if (lines++ < LEASES_MAX) {
			struct summary sum = sum_up(items + i, n);

			draw_lease(picture, &sum);
		}
	}
	if (lines > LEASES_MAX) {
		fprintf(picture->out, "and %zu more leases\n", lines - LEASES_MAX);
	}
}

/* ---- all of it ---- */

static int name_width(struct json_object *nodes)
{
	size_t widest = 4;

	for (size_t i = 0; i < length(nodes); i++) {
		struct json_object *node = json_object_array_get_idx(nodes, i);
		const char *state = show_string(node, "state");
		size_t len = strlen(show_string(node, "name")) + (strcmp(state, "up") == 0 ? 0 : strlen(state) + 1);

		widest = len > widest ? len : widest;
	}
	return (int)(widest < NAME_MAX_CELLS ? widest : NAME_MAX_CELLS);
}

void gantt_draw(const struct gantt *gantt, struct json_object *slots, FILE *out)
{
	struct json_object *nodes = json_object_object_get(slots, "nodes");
	struct picture picture = {.gantt = gantt, .out = out, .name_cells = name_width(nodes)};

	picture.items = read_items(slots, &picture.count);
	picture.count = keep_visible(gantt, picture.items, picture.count);
	picture.cells = gantt->width - (size_t)picture.name_cells - 1;
	picture.now = gantt->now < gantt->from || gantt->now >= gantt->to
			      ? -1
			      : chart_position(gantt->now, gantt->from, gantt->to, picture.cells);
	choose_ticks(&picture);
	draw_title(&picture);
	draw_axis(&picture);
	for (size_t i = 0; i < length(nodes); i++) {
		draw_node(&picture, json_object_array_get_idx(nodes, i));
	}
	if (length(nodes) == 0) {
		fprintf(out, "no nodes\n");
	}
	putc('\n', out);
	draw_marks(&picture);
	draw_leases(&picture);
	free(picture.items);
}

int gantt_command(struct client *client, struct err *err)
{
	static const struct show_column columns[] = {
		SHOW_COLUMN("node", "NODE", SHOW_TEXT),   SHOW_COLUMN("lease", "LEASE", SHOW_INT),
		SHOW_COLUMN("vm", "VM", SHOW_INT),        SHOW_COLUMN("kind", "KIND", SHOW_TEXT),
		SHOW_COLUMN("start", "START", SHOW_TIME), SHOW_COLUMN("end", "END", SHOW_TIME),
		SHOW_COLUMN("cpu", "CPU", SHOW_CPU),      SHOW_COLUMN("memory", "MEMORY", SHOW_SIZE),
		SHOW_COLUMN("disk", "DISK", SHOW_SIZE),
	};
	const struct show *show = &client->show;
	struct json_object *params = json_object_new_object(), *slots;
	struct gantt gantt = {
		.from = option_number(&client->options, OPT(FROM), 0),
		.to = option_number(&client->options, OPT(TO), 0),
		.width = (size_t)option_number(&client->options, OPT(WIDTH),
					       show->width >= 40 ? (int64_t)show->width : DEFAULT_WIDTH),
		.colour = show->colour,
		.utf8 = show->utf8,
	};
	int failed = 0;

	if (gantt.from && gantt.to && gantt.from >= gantt.to) {
		json_object_put(params);
		return err_set(err, ERR_PARAMS, "--to must be later than --from");
	}
	client_add_number(client, OPT(FROM), params, "from_us");
	client_add_number(client, OPT(TO), params, "to_us");
	client_add_text(client, OPT(NODE), params, "node");
	if (client_call(client, "slot.list", params, CALL_TIMEOUT, &slots, err) < 0) {
		return -1;
	}
	if (show->form == SHOW_TABLE) {
		gantt.now = show_number(slots, "now_us") > 0 ? show_number(slots, "now_us") : show->now;
		gantt_fit(&gantt, slots);
		gantt_draw(&gantt, slots, show->out);
		if (json_object_get_boolean(json_object_object_get(slots, "more"))) {
			fprintf(show->err,
				"tenure: there are more slots than drawn; narrow with --from, --to or --node\n");
		}
	} else {
		failed = show_list(show, slots, "slots", columns, ARRAY_SIZE(columns), err);
	}
	json_object_put(slots);
	return failed;
}
