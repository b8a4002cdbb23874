/*
 * Reading a node's part of the plan and a node's report from JSON that came from outside: every name, range, order of
 * times and duplicate is checked here, so that nobody behind has to. Members that are unknown are ignored: head and
 * agent of neighbouring versions must understand each other.
 */
#include <ctype.h>
#include <string.h>

#include "jsonx.h"
#include "part.h"
#include "util.h"

#define AMOUNT_MAX (INT64_MAX / 4) /* a few of them can be added up */

static void cleanup_part(struct part **part)
{
	part_free(*part);
}

static void cleanup_report(struct report **report)
{
	report_free(*report);
}

/* What must not occur twice in a list. */
struct key {
	uint64_t major;
	uint64_t minor;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a;
	const struct key *y = b;

	if (x->major != y->major) {
		return x->major < y->major ? -1 : 1;
	}
	return (x->minor > y->minor) - (x->minor < y->minor);
}

/* Sorts the keys. */
static int check_unique(struct key *keys, size_t n, const char *list, struct err *err)
{
	if (n == 0) {
		return 0;
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < n; i++) {
		if (compare_keys(&keys[i - 1], &keys[i]) == 0) {
			return err_set(err, ERR_PARAMS, "%s holds the same entry twice, of %ju", list,
				       (uintmax_t)keys[i].major);
		}
	}
	return 0;
}

/* Reads an element into item, and says what tells it apart; owner is what the list belongs to. */
typedef int read_item(const struct jsonx *at, const void *owner, void *item, struct key *key, struct err *err);

/* A list of at most max elements, no two with the same key, into a new array; *items is a pointer to its elements. */
static int read_list(const struct jsonx *at, const char *name, size_t max, const void *owner, read_item *read,
		     size_t size, void *items, size_t *count, struct err *err)
{
	_cleanup_free_ struct key *keys = NULL;
	struct json_object *list;
	struct jsonx item;

	if (jsonx_array(at, name, max, &list, err)) {
		return -1;
	}
	size_t n = json_object_array_length(list);
	char *array = xcalloc(n + 1, size);
	memcpy(items, &array, sizeof(array));
	keys = xcalloc(n + 1, sizeof(*keys));
	while (*count < n) {
		/* Counted first: what a failing element has allocated is freed with the rest. */
		size_t i = (*count)++;
		if (jsonx_item(at, name, i, &item, err) || read(&item, owner, array + i * size, &keys[i], err)) {
			return -1;
		}
	}
	return check_unique(keys, n, name, err);
}

/* A URL goes to curl: http only, and nothing that could be taken for something else. */
static bool url_valid(const char *url)
{
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
		return false;
	}
	for (; *url; url++) {
		if (!isgraph((unsigned char)*url)) {
			return false;
		}
	}
	return true;
}

static int read_file(const struct jsonx *at, struct part_file *file, struct err *err)
{
	const char *role, *url, *digest;

	if (jsonx_string(at, "role", 1, 16, &role, err) || jsonx_string(at, "url", 1, PART_URL_MAX - 1, &url, err) ||
	    jsonx_string(at, "digest", 64, 64, &digest, err) ||
	    jsonx_i64(at, "size", 1, AMOUNT_MAX, &file->size, err)) {
		return -1;
	}
	if (!url_valid(url)) {
		return jsonx_refuse(at, "url", err, "must begin with http:// or https:// and hold no spaces");
	}
	if (!digest_valid(digest)) {
		return jsonx_refuse(at, "digest", err, "must be 64 lower-case hex digits");
	}
	memcpy(file->digest, digest, sizeof(file->digest));
	file->role = xstrdup(role);
	file->url = xstrdup(url);
	return 0;
}

/* A disk, or a kernel with perhaps an initrd after it. */
static int check_roles(const struct jsonx *at, const struct part_image *image, struct err *err)
{
	if (image->format != IMAGE_KERNEL) {
		return image->files == 1 && strcmp(image->file[0].role, "disk") == 0
			       ? 0
			       : jsonx_refuse(at, "files", err, "must be one file with the role disk");
	}
	if (image->files < 1 || strcmp(image->file[0].role, "kernel") != 0 ||
	    (image->files == 2 && strcmp(image->file[1].role, "initrd") != 0)) {
		return jsonx_refuse(at, "files", err, "must be a file with the role kernel, then perhaps one initrd");
	}
	return 0;
}

static int read_files(const struct jsonx *at, struct part_image *image, struct err *err)
{
	struct json_object *list;
	struct jsonx item;

	if (jsonx_array(at, "files", PART_FILES_MAX, &list, err)) {
		return -1;
	}
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (jsonx_item(at, "files", i, &item, err) || read_file(&item, &image->file[i], err)) {
			return -1;
		}
		image->files++;
	}
	return check_roles(at, image, err);
}

static bool has_control(const char *s)
{
	for (; *s; s++) {
		if (iscntrl((unsigned char)*s)) {
			return true;
		}
	}
	return false;
}

static int read_image(const struct jsonx *at, const void *owner, void *item, struct key *key, struct err *err)
{
	struct part_image *image = item;
	const char *name, *format, *cmdline;

	(void)owner;
	if (jsonx_u64(at, "id", 1, UINT64_MAX, &image->id, err) || jsonx_string(at, "name", 1, 63, &name, err) ||
	    jsonx_string(at, "format", 1, 16, &format, err) ||
	    jsonx_string(at, "cmdline", 0, PART_CMDLINE_MAX - 1, &cmdline, err) ||
	    jsonx_i64(at, "begin_us", 0, WALL_NEVER, &image->begin_us, err) ||
	    jsonx_i64(at, "deadline_us", 0, WALL_NEVER, &image->deadline_us, err)) {
		return -1;
	}
	if (!name_valid(name)) {
		return jsonx_refuse(at, "name", err, "is not a name");
	}
	if (image_format_parse(format, &image->format)) {
		return jsonx_refuse(at, "format", err, "must be raw, qcow2 or kernel");
	}
	if (has_control(cmdline) || (cmdline[0] && image->format != IMAGE_KERNEL)) {
		return jsonx_refuse(at, "cmdline", err, "is for kernel images only and holds no control characters");
	}
	if (image->deadline_us < image->begin_us) {
		return jsonx_refuse(at, "deadline_us", err, "must not be before begin_us");
	}
	image->name = xstrdup(name);
	image->cmdline = xstrdup(cmdline);
	key->major = image->id;
	return read_files(at, image, err);
}

static int read_run(const struct jsonx *at, struct run *run, struct err *err)
{
	const char *from, *then;

	if (jsonx_string(at, "from", 1, 16, &from, err) || jsonx_string(at, "then", 1, 16, &then, err) ||
	    jsonx_i64(at, "prepare_us", 1, WALL_NEVER, &run->prepare_us, err) ||
	    jsonx_i64(at, "start_us", 1, WALL_NEVER, &run->start_us, err) ||
	    jsonx_i64(at, "end_us", 1, WALL_NEVER, &run->end_us, err) ||
	    jsonx_i64(at, "release_us", 1, WALL_NEVER, &run->release_us, err)) {
		return -1;
	}
	if (strcmp(from, "boot") != 0 && strcmp(from, "resume") != 0) {
		return jsonx_refuse(at, "from", err, "must be boot or resume");
	}
	if (strcmp(then, "stop") != 0 && strcmp(then, "suspend") != 0) {
		return jsonx_refuse(at, "then", err, "must be stop or suspend");
	}
	if (run->prepare_us > run->start_us || run->start_us >= run->end_us || run->end_us > run->release_us) {
		return jsonx_refuse(at, "", err, "must have prepare_us <= start_us < end_us <= release_us");
	}
	run->from = strcmp(from, "boot") == 0 ? RUN_BOOT : RUN_RESUME;
	run->then = strcmp(then, "stop") == 0 ? RUN_STOP : RUN_SUSPEND;
	return 0;
}

static int read_use(const struct jsonx *at, struct capacity *use, struct err *err)
{
	struct jsonx object;

	if (jsonx_object(at, "use", &object, err)) {
		return -1;
	}
	for (int res = 0; res < RES_COUNT; res++) {
		int64_t min = res == RES_CPU || res == RES_MEMORY ? 1 : 0;

		if (jsonx_i64(&object, resource_name((enum resource)res), min, AMOUNT_MAX, &use->amount[res], err)) {
			return -1;
		}
	}
	return 0;
}

/* A head that knows of no constraints sends none. */
static int read_constraint(const struct jsonx *at, struct part_vm *vm, struct err *err)
{
	if (!json_object_object_get_ex(at->object, "period_us", NULL)) {
		return 0;
	}
	return jsonx_i64(at, "period_us", 1, EDF_PERIOD_MAX_US, &vm->period_us, err) ||
			       jsonx_i64(at, "slice_us", 1, vm->period_us, &vm->slice_us, err) ||
			       jsonx_bool(at, "aligned", &vm->aligned, err)
		       ? -1
		       : 0;
}

/* A VM that goes on elsewhere than it lies. */
static int read_move(const struct jsonx *at, struct part_vm *vm, struct err *err)
{
	const char *to = NULL, *from = NULL;

	if ((json_object_object_get_ex(at->object, "to", NULL) && jsonx_string(at, "to", 1, 63, &to, err)) ||
	    (json_object_object_get_ex(at->object, "from", NULL) &&
	     (jsonx_string(at, "from", 0, PART_URL_MAX - 1, &from, err) ||
	      jsonx_i64(at, "fetch_us", 0, WALL_NEVER, &vm->fetch_us, err)))) {
		return -1;
	}
	if (to && (vm->planned || !name_valid(to))) {
		return jsonx_refuse(at, "to", err, "must be a node's name, of a VM that is not planned");
	}
	if (from && (!vm->planned || vm->run.from != RUN_RESUME || (*from && !url_valid(from)))) {
		return jsonx_refuse(at, "from", err, "must be empty or a URL, of a VM that is resumed");
	}
	vm->to = to ? xstrdup(to) : NULL;
	vm->from = from ? xstrdup(from) : NULL;
	return 0;
}

static int read_vm(const struct jsonx *at, const void *owner, void *item, struct key *key, struct err *err)
{
	struct part_vm *vm = item;
	const char *name, *kind;
	struct jsonx run;

	if (jsonx_u64(at, "lease", 1, UINT64_MAX, &vm->lease, err) ||
	    jsonx_u32(at, "vm", 0, LEASE_VMS_MAX - 1, &vm->vm, err) ||
	    jsonx_u32(at, "generation", 1, UINT32_MAX, &vm->generation, err) ||
	    jsonx_string(at, "name", 0, 63, &name, err) || jsonx_u64(at, "image", 1, UINT64_MAX, &vm->image, err) ||
	    jsonx_string(at, "kind", 1, 16, &kind, err) || read_use(at, &vm->use, err) ||
	    read_constraint(at, vm, err) || jsonx_bool(at, "planned", &vm->planned, err)) {
		return -1;
	}
	if (name[0] && !name_valid(name)) {
		return jsonx_refuse(at, "name", err, "is not a name");
	}
	if (lease_kind_parse(kind, &vm->kind)) {
		return jsonx_refuse(at, "kind", err, "must be a kind of lease");
	}
	if (vm->planned && (jsonx_object(at, "run", &run, err) || read_run(&run, &vm->run, err))) {
		return -1;
	}
	vm->name = xstrdup(name);
	if (read_move(at, vm, err)) {
		return -1;
	}
	if (!part_find_image(owner, vm->image)) {
		return jsonx_refuse(at, "image", err, "is not among the images");
	}
	*key = (struct key){vm->lease, vm->vm};
	return 0;
}

struct part *part_from_json(struct json_object *value, struct err *err)
{
	_cleanup_(cleanup_part) struct part *part = xcalloc(1, sizeof(*part));
	struct jsonx at;

	if (jsonx_root(value, "", &at, err) || jsonx_u64(&at, "epoch", 0, UINT64_MAX, &part->epoch, err) ||
	    jsonx_u64(&at, "version", 0, UINT64_MAX, &part->version, err) ||
	    read_list(&at, "images", PART_IMAGES_MAX, part, read_image, sizeof(*part->images), &part->images,
		      &part->image_count, err) ||
	    read_list(&at, "vms", PART_RUNS_MAX, part, read_vm, sizeof(*part->vms), &part->vms, &part->vm_count, err)) {
		return NULL;
	}
	return steal(&part);
}

int hello_edf_from_json(struct json_object *params, struct hello_edf *edf, struct err *err)
{
	struct hello_edf said = {.backend = "none"};
	struct jsonx root, at;

	if (!json_object_object_get_ex(params, "edf", NULL)) {
		*edf = said;
		return 0;
	}
	if (jsonx_root(params, "", &root, err) || jsonx_object(&root, "edf", &at, err) ||
	    jsonx_text(&at, "backend", said.backend, sizeof(said.backend), err) ||
	    jsonx_u32(&at, "cpus", 0, EDF_CPUS, &said.can.cpus, err) ||
	    jsonx_u32(&at, "limit_ppm", 0, 1000000, &said.can.limit_ppm, err) ||
	    jsonx_i64(&at, "wake_ns", 0, INT64_C(1000000000), &said.can.wake_ns, err) ||
	    jsonx_i64(&at, "period_us", 0, EDF_PERIOD_MAX_US, &said.can.period_min_us, err) ||
	    jsonx_text(&at, "text", said.text, sizeof(said.text), err)) {
		return -1;
	}
	*edf = said;
	return 0;
}

static int read_report_edf(const struct jsonx *vm, struct report_edf *edf, struct err *err)
{
	struct jsonx at;
	const struct {
		const char *name;
		int64_t *to;
	} numbers[] = {
		{"slice_us", &edf->slice_us}, {"period_us", &edf->period_us}, {"change_us", &edf->change_us},
		{"used_ppm", &edf->used_ppm}, {"periods", &edf->periods},     {"misses", &edf->misses},
		{"late_us", &edf->late_us},   {"alarms", &edf->alarms},
	};

	if (!json_object_object_get_ex(vm->object, "edf", NULL)) {
		return 0;
	}
	if (jsonx_object(vm, "edf", &at, err) || jsonx_text(&at, "backend", edf->backend, sizeof(edf->backend), err) ||
	    jsonx_text(&at, "cpus", edf->cpus, sizeof(edf->cpus), err) ||
	    jsonx_text(&at, "text", edf->text, sizeof(edf->text), err)) {
		return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (jsonx_i64(&at, numbers[i].name, 0, AMOUNT_MAX, numbers[i].to, err)) {
			return -1;
		}
	}
	return 0;
}

static int read_report_vm(const struct jsonx *at, const void *owner, void *item, struct key *key, struct err *err)
{
	struct report_vm *vm = item;
	const char *seen;

	(void)owner;
	if (jsonx_u64(at, "lease", 1, UINT64_MAX, &vm->lease, err) ||
	    jsonx_u32(at, "vm", 0, LEASE_VMS_MAX - 1, &vm->vm, err) ||
	    jsonx_u32(at, "generation", 1, UINT32_MAX, &vm->generation, err) ||
	    jsonx_string(at, "seen", 1, 16, &seen, err) || jsonx_i64(at, "at_us", 0, WALL_NEVER, &vm->at_us, err) ||
	    jsonx_text(at, "text", vm->text, sizeof(vm->text), err) || read_report_edf(at, &vm->edf, err)) {
		return -1;
	}
	/* Two generations of a VM may be seen at once: one going, one coming. */
	*key = (struct key){vm->lease, (uint64_t)vm->vm << 32 | vm->generation};
	return vm_seen_parse(seen, &vm->seen) ? jsonx_refuse(at, "seen", err, "is not a state of a VM") : 0;
}

static int read_report_task(const struct jsonx *at, const void *owner, void *item, struct key *key, struct err *err)
{
	struct report_task *task = item;

	(void)owner;
	if (jsonx_u64(at, "id", 1, INT64_MAX, &task->id, err) ||
	    jsonx_text(at, "name", task->name, sizeof(task->name), err) ||
	    jsonx_i64(at, "pid", 1, INT32_MAX, &task->pid, err) ||
	    jsonx_i64(at, "uid", 0, UINT32_MAX, &task->uid, err) || read_report_edf(at, &task->edf, err)) {
		return -1;
	}
	key->major = task->id;
	return 0;
}

static int read_report_image(const struct jsonx *at, const void *owner, void *item, struct key *key, struct err *err)
{
	struct report_image *image = item;
	const char *state;

	(void)owner;
	if (jsonx_u64(at, "id", 1, UINT64_MAX, &image->id, err) || jsonx_string(at, "state", 1, 16, &state, err) ||
	    jsonx_i64(at, "bytes", 0, AMOUNT_MAX, &image->bytes, err) ||
	    jsonx_text(at, "text", image->text, sizeof(image->text), err)) {
		return -1;
	}
	key->major = image->id;
	return pool_state_parse(state, &image->state) ? jsonx_refuse(at, "state", err, "is not a state of an image")
						      : 0;
}

struct report *report_from_json(struct json_object *value, struct err *err)
{
	_cleanup_(cleanup_report) struct report *report = xcalloc(1, sizeof(*report));
	struct jsonx at;

	if (jsonx_root(value, "", &at, err) || jsonx_u64(&at, "epoch", 0, UINT64_MAX, &report->epoch, err) ||
	    jsonx_u64(&at, "version", 0, UINT64_MAX, &report->version, err) ||
	    jsonx_bool(&at, "degraded", &report->degraded, err) ||
	    jsonx_text(&at, "text", report->text, sizeof(report->text), err) ||
	    read_list(&at, "vms", PART_RUNS_MAX, report, read_report_vm, sizeof(*report->vms), &report->vms,
		      &report->vm_count, err) ||
	    read_list(&at, "images", PART_IMAGES_MAX, report, read_report_image, sizeof(*report->images),
		      &report->images, &report->image_count, err) ||
	    (json_object_object_get_ex(value, "tasks", NULL) &&
	     read_list(&at, "tasks", REPORT_TASKS_MAX, report, read_report_task, sizeof(*report->tasks), &report->tasks,
		       &report->task_count, err))) {
		return NULL;
	}
	return steal(&report);
}
