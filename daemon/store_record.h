/* The tables of a recording: see record.h, which is what others use. */
#ifndef TENURE_STORE_RECORD_H
#define TENURE_STORE_RECORD_H

#include "store.h"

/*
 * Keeps the rows that a head starting at this time would load, with what was used since use_from; no inputs. Needs a
 * transaction.
 */
int store_record_begin(struct store *store, wall_us now, wall_us use_from, const char *settings, struct err *err);
int store_record_add(struct store *store, wall_us at_us, const char *data, struct err *err);
/* Attaches another database for reading and fills this one, which must be new, from its base. */
int store_record_open(struct store *store, const char *path, char **settings, struct err *err);
/* The attached database's inputs. */
int store_record_each(struct store *store, int (*fn)(wall_us at_us, const char *data, void *arg, struct err *err),
		      void *arg, struct err *err);
int store_record_compare(struct store *store, void (*fn)(const char *table, bool recorded, const char *row, void *arg),
			 void *arg, uint64_t *rows, struct err *err);

#endif
