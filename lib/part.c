/*
 * A node's part of the plan and a node's report as values: names of their states, finding, freeing, writing as JSON.
 * Reading what came from outside is part_read.c's.
 */
#include "part.h"

#include <string.h>

#include "jsonx.h"
#include "util.h"

static const char *const format_names[IMAGE_FORMAT_COUNT] = {
	[IMAGE_RAW] = "raw", [IMAGE_QCOW2] = "qcow2", [IMAGE_KERNEL] = "kernel"};

static const char *const seen_names[SEEN_COUNT] = {
	[SEEN_ABSENT] = "absent",         [SEEN_PREPARED] = "prepared",   [SEEN_RUNNING] = "running",
	[SEEN_SUSPENDING] = "suspending", [SEEN_SUSPENDED] = "suspended", [SEEN_ENDED] = "ended",
	[SEEN_FAILED] = "failed"};

static const char *const pool_names[POOL_STATE_COUNT] = {
	[POOL_STAGING] = "staging", [POOL_PRESENT] = "present", [POOL_BAD] = "bad"};

/* The number of a name, or -1. */
static int find_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

const char *image_format_name(enum image_format format)
{
	return format_names[format];
}

int image_format_parse(const char *name, enum image_format *format)
{
	int found = find_name(format_names, IMAGE_FORMAT_COUNT, name);

	if (found < 0) {
		return -1;
	}
	*format = (enum image_format)found;
	return 0;
}

const char *vm_seen_name(enum vm_seen seen)
{
	return seen_names[seen];
}

int vm_seen_parse(const char *name, enum vm_seen *seen)
{
	int found = find_name(seen_names, SEEN_COUNT, name);

	if (found < 0) {
		return -1;
	}
	*seen = (enum vm_seen)found;
	return 0;
}

const char *pool_state_name(enum pool_state state)
{
	return pool_names[state];
}

int pool_state_parse(const char *name, enum pool_state *state)
{
	int found = find_name(pool_names, POOL_STATE_COUNT, name);

	if (found < 0) {
		return -1;
	}
	*state = (enum pool_state)found;
	return 0;
}

const struct part_image *part_find_image(const struct part *part, uint64_t id)
{
	for (size_t i = 0; i < part->image_count; i++) {
		if (part->images[i].id == id) {
			return &part->images[i];
		}
	}
	return NULL;
}

void part_free(struct part *part)
{
	if (!part) {
		return;
	}
	for (size_t i = 0; i < part->image_count; i++) {
		struct part_image *image = &part->images[i];

		for (size_t f = 0; f < image->files; f++) {
			free(image->file[f].role);
			free(image->file[f].url);
		}
		free(image->name);
		free(image->cmdline);
	}
	for (size_t i = 0; i < part->vm_count; i++) {
		free(part->vms[i].name);
		free(part->vms[i].to);
		free(part->vms[i].from);
	}
	free(part->images);
	free(part->vms);
	free(part);
}

void report_free(struct report *report)
{
	if (report) {
		free(report->vms);
		free(report->images);
		free(report->tasks);
		free(report);
	}
}

static struct json_object *file_to_json(const struct part_file *file)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_string(object, "role", file->role);
	jsonx_add_string(object, "url", file->url);
	jsonx_add_string(object, "digest", file->digest);
	jsonx_add_int(object, "size", file->size);
	return object;
}

static struct json_object *image_to_json(const struct part_image *image)
{
	struct json_object *object = json_object_new_object();
	struct json_object *files = json_object_new_array();

	for (size_t i = 0; i < image->files; i++) {
		json_object_array_add(files, file_to_json(&image->file[i]));
	}
	jsonx_add_int(object, "id", (int64_t)image->id);
	jsonx_add_string(object, "name", image->name);
	jsonx_add_string(object, "format", image_format_name(image->format));
	jsonx_add_string(object, "cmdline", image->cmdline);
	json_object_object_add(object, "files", files);
	jsonx_add_int(object, "begin_us", image->begin_us);
	jsonx_add_int(object, "deadline_us", image->deadline_us);
	return object;
}

static struct json_object *run_to_json(const struct run *run)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_string(object, "from", run->from == RUN_BOOT ? "boot" : "resume");
	jsonx_add_string(object, "then", run->then == RUN_STOP ? "stop" : "suspend");
	jsonx_add_int(object, "prepare_us", run->prepare_us);
	jsonx_add_int(object, "start_us", run->start_us);
	jsonx_add_int(object, "end_us", run->end_us);
	jsonx_add_int(object, "release_us", run->release_us);
	return object;
}

static struct json_object *vm_to_json(const struct part_vm *vm)
{
	struct json_object *object = json_object_new_object();
	struct json_object *use = json_object_new_object();

	for (int res = 0; res < RES_COUNT; res++) {
		jsonx_add_int(use, resource_name((enum resource)res), vm->use.amount[res]);
	}
	jsonx_add_int(object, "lease", (int64_t)vm->lease);
	jsonx_add_int(object, "vm", vm->vm);
	jsonx_add_int(object, "generation", vm->generation);
	jsonx_add_string(object, "name", vm->name);
	jsonx_add_int(object, "image", (int64_t)vm->image);
	jsonx_add_string(object, "kind", lease_kind_name(vm->kind));
	json_object_object_add(object, "use", use);
	if (vm->period_us) {
		jsonx_add_int(object, "slice_us", vm->slice_us);
		jsonx_add_int(object, "period_us", vm->period_us);
		jsonx_add_bool(object, "aligned", vm->aligned);
	}
	jsonx_add_bool(object, "planned", vm->planned);
	if (vm->planned) {
		json_object_object_add(object, "run", run_to_json(&vm->run));
	}
	if (vm->to) {
		jsonx_add_string(object, "to", vm->to);
	}
	if (vm->from) {
		jsonx_add_string(object, "from", vm->from);
		jsonx_add_int(object, "fetch_us", vm->fetch_us);
	}
	return object;
}

struct json_object *part_to_json(const struct part *part)
{
	struct json_object *object = json_object_new_object();
	struct json_object *images = json_object_new_array();
	struct json_object *vms = json_object_new_array();

	for (size_t i = 0; i < part->image_count; i++) {
		json_object_array_add(images, image_to_json(&part->images[i]));
	}
	for (size_t i = 0; i < part->vm_count; i++) {
		json_object_array_add(vms, vm_to_json(&part->vms[i]));
	}
	jsonx_add_int(object, "epoch", (int64_t)part->epoch);
	jsonx_add_int(object, "version", (int64_t)part->version);
	json_object_object_add(object, "images", images);
	json_object_object_add(object, "vms", vms);
	return object;
}

struct json_object *hello_edf_to_json(const struct hello_edf *edf)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_string(object, "backend", edf->backend);
	jsonx_add_int(object, "cpus", edf->can.cpus);
	jsonx_add_int(object, "limit_ppm", edf->can.limit_ppm);
	jsonx_add_int(object, "wake_ns", edf->can.wake_ns);
	jsonx_add_int(object, "period_us", edf->can.period_min_us);
	jsonx_add_string(object, "text", edf->text);
	return object;
}

static struct json_object *report_edf_to_json(const struct report_edf *edf)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_string(object, "backend", edf->backend);
	jsonx_add_string(object, "cpus", edf->cpus);
	jsonx_add_int(object, "slice_us", edf->slice_us);
	jsonx_add_int(object, "period_us", edf->period_us);
	jsonx_add_int(object, "change_us", edf->change_us);
	jsonx_add_int(object, "used_ppm", edf->used_ppm);
	jsonx_add_int(object, "periods", edf->periods);
	jsonx_add_int(object, "misses", edf->misses);
	jsonx_add_int(object, "late_us", edf->late_us);
	jsonx_add_int(object, "alarms", edf->alarms);
	jsonx_add_string(object, "text", edf->text);
	return object;
}

static struct json_object *report_vm_to_json(const struct report_vm *vm)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_int(object, "lease", (int64_t)vm->lease);
	jsonx_add_int(object, "vm", vm->vm);
	jsonx_add_int(object, "generation", vm->generation);
	jsonx_add_string(object, "seen", vm_seen_name(vm->seen));
	jsonx_add_int(object, "at_us", vm->at_us);
	jsonx_add_string(object, "text", vm->text);
	if (*vm->edf.backend || *vm->edf.text) {
		json_object_object_add(object, "edf", report_edf_to_json(&vm->edf));
	}
	return object;
}

static struct json_object *report_image_to_json(const struct report_image *image)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_int(object, "id", (int64_t)image->id);
	jsonx_add_string(object, "state", pool_state_name(image->state));
	jsonx_add_int(object, "bytes", image->bytes);
	jsonx_add_string(object, "text", image->text);
	return object;
}

static struct json_object *report_task_to_json(const struct report_task *task)
{
	struct json_object *object = json_object_new_object();

	jsonx_add_int(object, "id", (int64_t)task->id);
	jsonx_add_string(object, "name", task->name);
	jsonx_add_int(object, "pid", task->pid);
	jsonx_add_int(object, "uid", task->uid);
	json_object_object_add(object, "edf", report_edf_to_json(&task->edf));
	return object;
}

struct json_object *report_to_json(const struct report *report)
{
	struct json_object *object = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	struct json_object *images = json_object_new_array();

	for (size_t i = 0; i < report->vm_count; i++) {
		json_object_array_add(vms, report_vm_to_json(&report->vms[i]));
	}
	for (size_t i = 0; i < report->image_count; i++) {
		json_object_array_add(images, report_image_to_json(&report->images[i]));
	}
	jsonx_add_int(object, "epoch", (int64_t)report->epoch);
	jsonx_add_int(object, "version", (int64_t)report->version);
	jsonx_add_bool(object, "degraded", report->degraded);
	jsonx_add_string(object, "text", report->text);
	json_object_object_add(object, "vms", vms);
	json_object_object_add(object, "images", images);
	if (report->task_count) {
		struct json_object *tasks = json_object_new_array();

		for (size_t i = 0; i < report->task_count; i++) {
			json_object_array_add(tasks, report_task_to_json(&report->tasks[i]));
		}
		json_object_object_add(object, "tasks", tasks);
	}
	return object;
}
