/* tenure-edf as a server: an engine and its socket in one loop. */
#ifndef TENURE_SERVE_H
#define TENURE_SERVE_H

#include "cli_option.h"

/*
 * Runs until a signal ends it, or, with options->once, some seconds after the last task and client have gone. ready_fd:
 * -1, or where the outcome of starting is written to as soon as it is known: "" and what there is to say about it, or
 * "!" and the error; closed then. Returns the exit status.
 */
int serve(const struct cli_options *options, int ready_fd);

#endif
