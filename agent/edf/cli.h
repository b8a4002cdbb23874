/* tenure-edf's commands. Each returns the exit status: 0, 1 it failed, 2 it was called wrongly; run: its command's. */
#ifndef TENURE_CLI_H
#define TENURE_CLI_H

#include <json-c/json.h>

#include "cli_option.h"

int cli_run(const struct cli_options *options, struct err *err);
int cli_attach(const struct cli_options *options, struct err *err);
int cli_set(const struct cli_options *options, struct err *err);
int cli_detach(const struct cli_options *options, struct err *err);
int cli_list(const struct cli_options *options, struct err *err);
int cli_stat(const struct cli_options *options, struct err *err);
int cli_node(const struct cli_options *options, struct err *err);
int cli_serve(const struct cli_options *options, struct err *err);
int cli_release(const struct cli_options *options, struct err *err);
int cli_calibrate(const struct cli_options *options, struct err *err);

/* What commands that change something share: slice, period and what else was given of them, into params. */
void cli_constraint(const struct cli_options *options, struct json_object *params);

#endif
