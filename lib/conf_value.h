/* One value of a settings table: read, written, compared. Used by conf.c. */
#ifndef TENURE_CONF_VALUE_H
#define TENURE_CONF_VALUE_H

#include "conf.h"

#define CONF_STRING_MAX 4096 /* of strings whose row names no limit */

/* Puts what text says into the row's member of values, freeing the string that was there. Unchanged on failure. */
int conf_value_parse(const struct setting *row, const char *text, void *values, struct err *err);
/* As conf_value_parse() reads it; the caller frees. */
char *conf_value_format(const struct setting *row, const void *values);
bool conf_value_equal(const struct setting *row, const void *a, const void *b);
/* The member of a row that holds a string; NULL for other rows. */
char **conf_value_string(const struct setting *row, void *values);

#endif
