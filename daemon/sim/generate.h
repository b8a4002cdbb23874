/*
 * Made-up workloads by the parameters of published experiments, and ones of any length for tests and benchmarks. The
 * same settings give the same requests, everywhere.
 */
#ifndef TENURE_SIM_GENERATE_H
#define TENURE_SIM_GENERATE_H

#include "conf.h"
#include "trace.h"

/* What a workload is made by: generate.tbl. Each kind has defaults of its own and uses only some.
 */
struct generate {
	int64_t seed;
	span_us length;                 /* of the workload: requests come in [0, length) */
	int64_t slots;                  /* VMs that can run at once */
	int64_t load;                   /* percent of slots x length that is asked for */
	int64_t ar_share;               /* percent of it that is reserved */
	int64_t requests, total_vms;    /* reservations, and the VMs of them all; 0 = as it comes */
	span_us duration, ar_duration;  /* means */
	int64_t vms_min, vms_max;       /* of a best-effort request */
	int64_t ar_vms_min, ar_vms_max; /* of a reservation */
	span_us ahead;                  /* a reservation is asked for that long before its start */
	bool spaced;                    /* reservations start at drawn distances, even if not all can be kept */
	span_us window, window_every;   /* starts of reservations fall into the first part of each such period */
	int64_t images, popular;        /* how many there are, and how many of them have 10 % of the requests each */
	int64_t image_size;             /* bytes */
	int64_t rate;                   /* of the image repository, bytes a second; 0 = transfers take no time */
	int64_t vms_per_transfer;       /* VMs that share one, being on the same node */
	int64_t vm_cpu, vm_memory, vm_disk; /* of each VM */
};

struct generate_kind {
	const char *name, *help;
	const char *sets; /* what differs from the settings' own defaults: "KEY=VALUE" words, separated by spaces */
	int (*make)(const struct generate *how, struct trace *out, struct err *err);
};

extern const struct setting generate_table[];
extern const size_t generate_count;
extern const struct generate_kind generate_kinds[];
extern const size_t generate_kind_count;

/* NULL if there is none. */
const struct generate_kind *generate_find(const char *name);
/* The kind's defaults, then each "KEY=VALUE" of sets in order. *out is untouched on failure. */
int generate_settings(const struct generate_kind *kind, const char *const *sets, size_t n, struct generate *out,
		      struct err *err);
/* Adds the requests to *out, sorted. -1 if the settings contradict each other; then *out is as before. */
int generate_make(const struct generate_kind *kind, const struct generate *how, struct trace *out, struct err *err);

#endif
