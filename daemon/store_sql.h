/* Running SQL, for store*.c and query*.c only: prepared statements by their text, binding, errors in words. */
#ifndef TENURE_STORE_SQL_H
#define TENURE_STORE_SQL_H

#include <sqlite3.h>
#include <stdint.h>

#include "store.h"

/*
 * The statement for this text (a string literal: it is prepared once and kept by address), reset, with its parameters
 * bound from the arguments by types: 'i' int64_t, 's' const char * (NULL binds NULL), 'I' uint64_t of ids. Strings must
 * live until the statement is stepped to its end. NULL on failure. The store's; a second call with the same text while
 * the first is being stepped restarts it.
 */
sqlite3_stmt *store_query(struct store *store, struct err *err, const char *text, const char *types, ...);
/* 1: a row; 0: no more, the statement is reset; -1: failed, reset. Stop early with sqlite3_reset(). */
int store_step(struct store *store, sqlite3_stmt *stmt, struct err *err);
/* store_query() of something without rows, stepped to its end. */
int store_run(struct store *store, struct err *err, const char *text, const char *types, ...);

/* For statements whose text is made at run time; the caller prepares and finalizes them. */
sqlite3 *store_db(struct store *store);

/* A text column, "" for NULL; valid until the next step. */
const char *store_text(sqlite3_stmt *stmt, int column);

/* Fills err from the last failure of the database, saying what an operator can do. Returns -1. */
int store_fail(sqlite3 *db, const char *path, struct err *err);

#endif
