/* The slot table as a picture made of characters. */
#ifndef TENURE_GANTT_H
#define TENURE_GANTT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "usec.h"

struct gantt {
	wall_us from, to, now; /* from < to */
	size_t width;          /* columns of the whole picture, >= 40 */
	bool colour, utf8;
};

/* Draws a result of slot.list; what is missing in it or outside the window is left out. */
void gantt_draw(const struct gantt *gantt, struct json_object *slots, FILE *out);
/* Sets the edges that are 0 so that what the result holds fills the picture. */
void gantt_fit(struct gantt *gantt, struct json_object *slots);

#endif
