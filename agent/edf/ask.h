/* tenure-edf's side of the socket: one question, one answer; a server is started where none is needed to be there. */
#ifndef TENURE_ASK_H
#define TENURE_ASK_H

#include <json-c/json.h>

#include "cli_option.h"

/* Consumes params (may be NULL). *result is the caller's. ERR_UNAVAILABLE: nobody listens in options->dir. */
int ask(const struct cli_options *options, const char *method, struct json_object *params, struct json_object **result,
	struct err *err);
/* Starts a server that ends with its last task, unless one listens already. A fall-back is said on standard error. */
int ask_start(const struct cli_options *options, struct err *err);

#endif
