/*
 * Results of pieces of work, in a file as they come: who is interrupted goes on from there, if the program and all that
 * went in are the same. The file is of this machine and this build, and is forgotten by any other.
 */
#ifndef TENURE_SIM_KEPT_H
#define TENURE_SIM_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define KEPT_FILE "unfinished"

struct kept;

/* A piece: which of which part of the work, by number, and what it left. */
struct kept_piece {
	uint32_t part, item;
	uint32_t result_size, used_size;
	const void *result, *used; /* the caller's, both of kept_add() */
};

/* Opens folder/unfinished; ERR_CONFLICT if another process has it. inputs: all that the results depend on but the
 * program itself, in words. */
int kept_open(struct kept **kept, const char *folder, const char *inputs, struct err *err);
/* How many pieces there are. NULL: none. */
size_t kept_count(const struct kept *kept);
/* Numbers the parts of the work in turn, from 0. */
uint32_t kept_part(struct kept *kept);
/* Fills result and used, of the piece's sizes; false and both untouched if it is not there. NULL: never. */
bool kept_find(const struct kept *kept, const struct kept_piece *piece, void *result, void *used);
/* With what was not written whole, nothing is wrong but that it is done again. */
int kept_add(struct kept *kept, const struct kept_piece *piece, struct err *err);
/* done: all of it, and the file goes. NULL is allowed. */
void kept_close(struct kept *kept, bool done);

#endif
