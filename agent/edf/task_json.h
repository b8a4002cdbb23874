/* A task as JSON: in requests, and in the file from which the next engine takes it up again. */
#ifndef TENURE_TASK_JSON_H
#define TENURE_TASK_JSON_H

#include <json-c/json.h>

#include "engine.h"
#include "jsonx.h"

/* Slice, period and, if it is there, strict. What is beyond all bounds is refused by the engine, not here. */
int task_json_constraint(const struct jsonx *at, struct edf_constraint *out, struct err *err);
/* All but id and owner. The process of a thread is looked up: ERR_NOT_FOUND. */
int task_json_read(const struct jsonx *at, struct engine_task *out, struct err *err);
/* What is read above, and id, uid, and when the process, or the thread, was started. The caller's. */
struct json_object *task_json(const struct engine_task *task);

#endif
