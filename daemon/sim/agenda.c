/* The agenda's heap. Knows nothing of what is due. */
#include "agenda.h"

#include <stdbool.h>

#include "util.h"

static bool before(const struct due *a, const struct due *b)
{
	if (a->at_us != b->at_us) {
		return a->at_us < b->at_us;
	}
	return a->rank != b->rank ? a->rank < b->rank : a->key < b->key;
}

static void put(struct agenda *agenda, size_t i, struct due *due)
{
	agenda->item[i] = due;
	due->place = i + 1;
}

static void sift_up(struct agenda *agenda, size_t i)
{
	struct due *due = agenda->item[i];

	while (i > 0 && before(due, agenda->item[(i - 1) / 2])) {
		put(agenda, i, agenda->item[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(agenda, i, due);
}

static void sift_down(struct agenda *agenda, size_t i)
{
	struct due *due = agenda->item[i];

	for (size_t child; (child = 2 * i + 1) < agenda->count; i = child) {
		if (child + 1 < agenda->count && before(agenda->item[child + 1], agenda->item[child])) {
			child++;
		}
		if (!before(agenda->item[child], due)) {
			break;
		}
		put(agenda, i, agenda->item[child]);
	}
	put(agenda, i, due);
}

static void take_out(struct agenda *agenda, struct due *due)
{
	size_t i = due->place - 1;
	struct due *last = agenda->item[--agenda->count];

	due->place = 0;
	if (last != due) {
		put(agenda, i, last);
		sift_up(agenda, i);
		sift_down(agenda, last->place - 1);
	}
}

void agenda_set(struct agenda *agenda, struct due *due, wall_us at_us)
{
	if (due->place && due->at_us == at_us) {
		return;
	}
	if (due->place) {
		take_out(agenda, due);
	}
	due->at_us = at_us;
	if (at_us >= WALL_NEVER) {
		return;
	}
	if (agenda->count == agenda->room) {
		agenda->room = agenda->room ? 2 * agenda->room : 64;
		agenda->item = xrealloc(agenda->item, agenda->room, sizeof(*agenda->item));
	}
	agenda->item[agenda->count] = due;
	sift_up(agenda, agenda->count++);
}

struct due *agenda_first(const struct agenda *agenda)
{
	return agenda->count ? agenda->item[0] : NULL;
}

void agenda_fini(struct agenda *agenda)
{
	free(agenda->item);
	*agenda = (struct agenda){0};
}
