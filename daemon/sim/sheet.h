/* A file of results being written: to memory first, so that it appears whole or not at all. */
#ifndef TENURE_SIM_SHEET_H
#define TENURE_SIM_SHEET_H

#include <stdio.h>

#include "err.h"

struct sheet {
	FILE *out;
	char *text;
	size_t size;
};

int sheet_open(struct sheet *sheet, struct err *err);
/* Ends it, as folder/name; it is closed on failure too. */
int sheet_write(struct sheet *sheet, const char *folder, const char *name, struct err *err);
/* Throws it away; one that is zeroed or written already too. */
void sheet_drop(struct sheet *sheet);

#endif
