/* Makes a workload of a trace. Draws images by the seed and the request's number only, so that order changes nothing.
 */
#include "workload.h"

#include <string.h>
#include <uthash.h>

#include "util.h"

#define MILLIONTHS INT64_C(1000000)
#define POPULAR_IMAGES 7 /* of the skewed distribution: 10 % each; the others share what is left */
#define POPULAR_PERCENT 10

/* An image a trace names. */
struct workload_name {
	char name[TRACE_NAME];
	uint64_t image;
	UT_hash_handle hh;
};

/* splitmix64 (Steele, Lea and Flood 2014): well mixed whatever its input is. */
static uint64_t draw(uint64_t seed, uint64_t number)
{
	uint64_t x = seed * UINT64_C(0xd1342543de82ef95) + number * UINT64_C(0x9e3779b97f4a7c15) + 1;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t add_image(struct workload *workload, int64_t size)
{
	if (workload->image_count == workload->image_room) {
		workload->image_room = workload->image_room ? 2 * workload->image_room : 64;
		workload->image = xrealloc(workload->image, workload->image_room, sizeof(*workload->image));
	}
	uint64_t id = workload->image_count + 1;
	workload->image[workload->image_count++] = (struct image_info){id, size};
	return id;
}

static uint64_t named_image(struct workload *workload, const char *name, int64_t size)
{
	struct workload_name *known;

	HASH_FIND_STR(workload->names, name, known);
	if (!known) {
		known = xcalloc(1, sizeof(*known));
		snprintf(known->name, sizeof(known->name), "%s", name);
		known->image = add_image(workload, size);
		HASH_ADD_STR(workload->names, name, known);
	}
	return known->image;
}

/* Which of the images of the distribution: 0 .. image_count - 1. */
static uint64_t drawn_image(const struct sim_config *config, uint64_t number)
{
	uint64_t x = draw((uint64_t)config->seed, number), count = (uint64_t)config->image_count;

	if (strcmp(config->images, "uniform") == 0) {
		return x % count;
	}
	if (strcmp(config->images, "skewed") != 0) {
		return 0;
	}
	uint64_t popular = count < POPULAR_IMAGES ? count : POPULAR_IMAGES;
	uint64_t percent = x % 100;
	if (percent < popular * POPULAR_PERCENT || count == popular) {
		return percent / POPULAR_PERCENT % popular;
	}
	return popular + (x / 100) % (count - popular);
}

/* The image a request would share with others. */
static uint64_t shared_image(const struct sim_config *config, struct workload *workload,
			     const struct trace_request *from, uint64_t number)
{
	bool by_trace = strcmp(config->images, "trace") == 0;

	if (by_trace && *from->image) {
		return named_image(workload, from->image, from->image_bytes ? from->image_bytes : config->image_size);
	}
	char name[TRACE_NAME];
	snprintf(name, sizeof(name), "/%llu", (unsigned long long)drawn_image(config, number));
	return named_image(workload, name, config->image_size);
}

static struct capacity vm_size(const struct sim_config *config, const struct trace_request *from)
{
	struct capacity vm = from->per_vm;

	vm.amount[RES_CPU] = vm.amount[RES_CPU] ? vm.amount[RES_CPU] : config->vm_cpu;
	vm.amount[RES_MEMORY] = vm.amount[RES_MEMORY] ? vm.amount[RES_MEMORY] : config->vm_memory;
	vm.amount[RES_DISK] = vm.amount[RES_DISK] ? vm.amount[RES_DISK] : config->vm_disk;
	return vm;
}

static span_us with_overhead(const struct sim_config *config, enum lease_kind kind, span_us span)
{
	bool best_effort = kind == LEASE_BEST_EFFORT;

	if (strcmp(config->overhead, "all") == 0 || (strcmp(config->overhead, "none") != 0 && best_effort)) {
		span += (span_us)((__int128)span * config_overhead(config) / MILLIONTHS) + config->boot;
	}
	if (best_effort && config->quantum) {
		span = (span + config->quantum - 1) / config->quantum * config->quantum;
	}
	return span;
}

static wall_us from_origin(wall_us t)
{
	return t < 0 ? 0 : ORIGIN_US + t;
}

static struct request plain(const struct sim_config *config, const struct trace_request *from)
{
	bool serial = strcmp(config->serial, "trace") == 0 ? from->serial : strcmp(config->serial, "yes") == 0;

	return (struct request){
		.spec =
			{
				.kind = from->kind,
				.serial = serial && from->kind == LEASE_BEST_EFFORT,
				.vms = from->vms,
				.per_vm = vm_size(config, from),
				.start_us = from_origin(from->start_us),
				.latest_us = from_origin(from->latest_us),
				.deadline_us = from_origin(from->deadline_us),
				.response_us = from->response_us,
				.duration_us = with_overhead(config, from->kind, from->duration_us),
				.user = from->user,
			},
		.submit_us = ORIGIN_US + from->submit_us,
		.real_us = with_overhead(config, from->kind, from->real_us),
		.dedicated_us = from->real_us < from->duration_us ? from->real_us : from->duration_us,
		.call_us = from->call_us < 0 ? WALL_NEVER : ORIGIN_US + from->call_us,
		.line = from->line,
	};
}

static void add(struct workload *workload, const struct request *request)
{
	if (workload->count == workload->room) {
		workload->room = workload->room ? 2 * workload->room : 1024;
		workload->request = xrealloc(workload->request, workload->room, sizeof(*workload->request));
	}
	workload->request[workload->count++] = *request;
}

/* Instead of sharing images: each lease has one of its own, of the same size. */
static void own_images(struct workload *workload)
{
	for (size_t i = 0; i < workload->count; i++) {
		workload->request[i].own_image = true;
		workload->request[i].spec.image = i + 1;
	}
	workload->image_count = 0;
}

void workload_make(const struct sim_config *config, const struct trace *trace, struct workload *workload)
{
	bool own = strcmp(config->reuse, "no") == 0 && !config->predeployed;

	*workload = (struct workload){0};
	for (size_t i = 0; i < trace->count; i++) {
		struct request request = plain(config, &trace->item[i]);
		/* Serial VMs with an image each have nothing in common any more. */
		bool split = own && request.spec.serial && !config->share_serial;
		uint32_t leases = split ? request.spec.vms : 1;
		request.spec.vms = split ? 1 : request.spec.vms;
		request.spec.image = shared_image(config, workload, &trace->item[i], i + 1);
		request.image_bytes = workload->image[request.spec.image - 1].size;
		if (strcmp(config->disks, "whole") == 0) {
			request.spec.per_vm.amount[RES_DISK] += request.image_bytes;
		}
		for (uint32_t n = 0; n < leases; n++) {
			add(workload, &request);
		}
	}
	if (own) {
		own_images(workload);
	}
}

void workload_fini(struct workload *workload)
{
	struct workload_name *name, *next;

	HASH_ITER (hh, workload->names, name, next) {
		HASH_DEL(workload->names, name);
		free(name);
	}
	free(workload->request);
	free(workload->image);
	*workload = (struct workload){0};
}
