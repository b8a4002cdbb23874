/* Shared by generate*.c only. */
#ifndef TENURE_SIM_GENERATE_INTERNAL_H
#define TENURE_SIM_GENERATE_INTERNAL_H

#include "draw.h"
#include "generate.h"

/* One function for each kind, in the table of generate.c. */
int generate_mixed(const struct generate *how, struct trace *out, struct err *err);
int generate_reserved(const struct generate *how, struct trace *out, struct err *err);
int generate_injected(const struct generate *how, struct trace *out, struct err *err);
int generate_batch(const struct generate *how, struct trace *out, struct err *err);

/* A request with what all have in common, of kind best-effort, its image drawn; times unknown. */
struct trace_request generate_blank(const struct generate *how, struct draw *draw);
/* About mean, in whole seconds: normally distributed with a deviation of a fifth, never off by more than a half. */
span_us generate_duration(struct draw *draw, span_us mean);

#endif
