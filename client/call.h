/* Calls to the head, one at a time, waited for on an event loop. */
#ifndef TENURE_CALL_H
#define TENURE_CALL_H

#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>

#include "err.h"
#include "usec.h"

#define CALL_TIMEOUT (30 * USEC_PER_SEC) /* for an answer that needs no waiting */

struct call;

/* Connects at the first call; address is copied. The caller closes it before freeing base. */
struct call *call_new(struct event_base *base, const char *address);
void call_free(struct call *call);

/*
 * Makes one call and waits for its answer, at most timeout. Consumes params (may be NULL). A mutating method gets a
 * random request_id unless params has one. If the connection breaks before the answer, connects again and repeats the
 * call once with the same id. 0 with *result the caller's, or -1: ERR_UNAVAILABLE (the head cannot be reached),
 * ERR_TIMEOUT, or what the head said, whose error data call_data() gives until the next call.
 */
int call_make(struct call *call, const char *method, struct json_object *params, span_us timeout,
	      struct json_object **result, struct err *err);
struct json_object *call_data(const struct call *call);

/* The head's notifications while a call or call_pass() waits. */
typedef void call_notified(const char *method, struct json_object *params, void *arg);
void call_on_notification(struct call *call, call_notified *fn, void *arg);
/* Waits for anything to happen, at most for span. False if the connection is gone. */
bool call_pass(struct call *call, span_us span);
/* Waits for the whole span. */
void call_sleep(struct call *call, span_us span);

#endif
