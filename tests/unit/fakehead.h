/* A head that answers as a test wants, on the test's own event loop. */
#ifndef TENURE_FAKEHEAD_H
#define TENURE_FAKEHEAD_H

#include <event2/event.h>
#include <json-c/json.h>

#include "err.h"

enum fakehead_deed { FAKE_RESULT, FAKE_ERROR, FAKE_BREAK, FAKE_SILENCE };

struct fakehead;

/* What to do with the n-th request (from 0): fill *result, or *err and perhaps *data. */
typedef enum fakehead_deed fakehead_handler(struct fakehead *head, size_t n, const char *method,
					    struct json_object *params, struct json_object **result, struct err *err,
					    struct json_object **data);

/* Listens on a unix socket in a new folder. */
struct fakehead *fakehead_new(struct event_base *base, fakehead_handler *handler);
void fakehead_free(struct fakehead *head);
const char *fakehead_address(const struct fakehead *head);
/* {"method", "params"} of each request, in order. */
struct json_object *fakehead_requests(const struct fakehead *head);
/* To the newest connection; consumes params. */
void fakehead_notify(struct fakehead *head, const char *method, struct json_object *params);
/* Closes the newest connection. */
void fakehead_break(struct fakehead *head);
/* Stops and starts listening. */
void fakehead_stop(struct fakehead *head);
void fakehead_start(struct fakehead *head);

#endif
