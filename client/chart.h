/* Bars of a Gantt chart in character cells: which lane each bar gets, and what stands in each cell. */
#ifndef TENURE_CHART_H
#define TENURE_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usec.h"

/* In the order of drawing: a later one covers an earlier one of the same bar. */
enum chart_mark {
	CHART_NONE,
	CHART_STANDBY,
	CHART_HOLD,
	CHART_STAGE,
	CHART_STAGE_FAILED,
	CHART_STOP,
	CHART_PREPARE,
	CHART_RESUME,
	CHART_SUSPEND,
	CHART_RUN,
	CHART_LEFT,  /* the first cell of a bar that runs */
	CHART_RIGHT, /* the last one */
	CHART_MARKS
};

/* A slot, or an image transfer. Plain value. */
struct chart_item {
	const char *node; /* borrowed */
	enum chart_mark mark;
	uint64_t lease; /* 0 = a transfer */
	uint64_t id;
	int64_t vm;
	wall_us start, end;
	const char *name; /* of a transfer's image; borrowed */
};

struct chart_cell {
	enum chart_mark mark;
	char text; /* of a label; 0 = none */
	uint64_t lease;
};

/* The lanes of one node. */
struct chart {
	struct chart_cell *cell; /* lanes * width */
	size_t lanes, width;
};

/*
 * Lays out the n items of one node, sorted by mark. In labels such as "7*2" (lease 7, two VMs) the caller may show
 * the star as it likes. The caller frees with chart_fini().
 */
void chart_init(struct chart *chart, const struct chart_item *items, size_t n, wall_us from, wall_us to, size_t width);
void chart_fini(struct chart *chart);
/* The cell of a moment, below 0 or from width on if it is outside. */
long chart_position(wall_us t, wall_us from, wall_us to, size_t width);

#endif
