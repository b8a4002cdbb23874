/* The planner's reasons as sentences for people. */
#ifndef TENURE_REASON_H
#define TENURE_REASON_H

#include <json-c/json.h>

#include "lease.h"

#define REASON_TEXT 256

/* A short name for scripts: "no_room". */
const char *reason_name(enum reason_code code);
int reason_parse(const char *name, enum reason_code *code);
/* One sentence without a full stop: "2 of 4 VMs would fit: memory is taken by lease 12". "" for REASON_NONE. */
void reason_text(const struct reason *reason, char out[REASON_TEXT]);
/* Adds both to a JSON object: "reason" (the sentence) and "reason_code" (the name), "" for REASON_NONE. */
void reason_add_json(struct json_object *object, const struct reason *reason);

#endif
