/* A run of a guest, with its times, for tests of what an agent does about it. */
#ifndef TENURE_WORK_FIXTURE_H
#define TENURE_WORK_FIXTURE_H

#include <string.h>

#include "part.h"
#include "util.h"

#define SEC USEC_PER_SEC
#define T0 (INT64_C(1000000) * SEC)
#define PREPARE (T0 + 100 * SEC)
#define START (T0 + 110 * SEC)
#define END (T0 + 200 * SEC)
#define RELEASE (T0 + 210 * SEC)

static inline struct part_vm vm_of(enum run_from from, enum run_then then, bool planned)
{
	return (struct part_vm){
		.lease = 7,
		.vm = 1,
		.generation = 1,
		.name = "",
		.image = 3,
		.kind = LEASE_BEST_EFFORT,
		.use.amount = {1000, 64 << 20, 1 << 20, 0, 0},
		.planned = planned,
		.run = {from, then, PREPARE, START, END, RELEASE},
	};
}

/* A run that goes on after that which ended at END. */
static inline struct run resumed(void)
{
	return (struct run){
		.from = RUN_RESUME,
		.then = RUN_STOP,
		.prepare_us = END + 60 * SEC,
		.start_us = END + 70 * SEC,
		.end_us = END + 80 * SEC,
		.release_us = END + 90 * SEC,
	};
}

/* A part of epoch 1 with copies of these VMs, and an image for them. */
static inline struct part *part_of(const struct part_vm *vms, size_t n, uint64_t version)
{
	struct part *part = xcalloc(1, sizeof(*part));

	part->epoch = 1;
	part->version = version;
	part->images = xcalloc(1, sizeof(*part->images));
	part->image_count = 1;
	part->images[0] = (struct part_image){
		.id = 3, .name = xstrdup("i"), .cmdline = xstrdup(""), .files = 1, .deadline_us = WALL_NEVER};
	part->images[0].file[0] =
		(struct part_file){.role = xstrdup("disk"), .url = xstrdup("http://127.0.0.1/x"), .size = 1};
	memset(part->images[0].file[0].digest, 'a', 64);
	part->vms = xcalloc(n ? n : 1, sizeof(*part->vms));
	part->vm_count = n;
	for (size_t i = 0; i < n; i++) {
		part->vms[i] = vms[i];
		part->vms[i].name = xstrdup("");
		part->vms[i].from = vms[i].from ? xstrdup(vms[i].from) : NULL;
		part->vms[i].to = vms[i].to ? xstrdup(vms[i].to) : NULL;
	}
	return part;
}

#endif
