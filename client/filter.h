/* --filter KEY=VALUE[,KEY=VALUE...]: which rows of a list are shown. */
#ifndef TENURE_FILTER_H
#define TENURE_FILTER_H

#include <json-c/json.h>

#include "err.h"

/*
 * A new array (the caller's) of the rows that match: all keys must match; of several values for one key, one must. A
 * value is compared with the field as in JSON output, without quotes; with an array, with each of its elements. NULL
 * with ERR_PARAMS if the text is malformed or no row has such a field.
 */
struct json_object *filter_rows(const char *text, struct json_object *rows, struct err *err);

#endif
