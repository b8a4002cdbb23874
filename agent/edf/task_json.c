/* See task_json.h. What a task may be is the engine's to say. */
#include "task_json.h"

#include <string.h>

#include "proc.h"
#include "util.h"

#define SPAN_MAX_US (100000 * USEC_PER_DAY) /* more than the engine takes, and what it counts in fits */

static const char *const kinds[] = {"process", "thread", "qemu"};

static bool given(const struct jsonx *at, const char *key)
{
	return json_object_object_get_ex(at->object, key, NULL);
}

static int read_flag(const struct jsonx *at, const char *key, bool *out, struct err *err)
{
	return given(at, key) ? jsonx_bool(at, key, out, err) : 0;
}

/* What is too long stays so: why it is refused is the engine's to say. */
static int64_t in_ns(int64_t us)
{
	return 1000 * (us > SPAN_MAX_US ? SPAN_MAX_US : us < -SPAN_MAX_US ? -SPAN_MAX_US : us);
}

int task_json_constraint(const struct jsonx *at, struct edf_constraint *out, struct err *err)
{
	int64_t slice, period;

	if (jsonx_i64(at, "slice_us", INT64_MIN, INT64_MAX, &slice, err) < 0 ||
	    jsonx_i64(at, "period_us", INT64_MIN, INT64_MAX, &period, err) < 0 ||
	    read_flag(at, "strict", &out->strict, err) < 0) {
		return -1;
	}
	out->slice_ns = in_ns(slice);
	out->period_ns = in_ns(period);
	return 0;
}

static int read_kind(const struct jsonx *at, enum engine_kind *out, struct err *err)
{
	const char *name;

	if (jsonx_string(at, "kind", 1, 16, &name, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(name, kinds[i]) == 0) {
			*out = (enum engine_kind)i;
			return 0;
		}
	}
	return jsonx_refuse(at, "kind", err, "must be process, thread or qemu");
}

int task_json_read(const struct jsonx *at, struct engine_task *out, struct err *err)
{
	struct engine_task task = {.owner_uid = -1};
	int64_t pid;

	if (read_kind(at, &task.kind, err) < 0 || jsonx_i64(at, "pid", INT32_MIN, INT32_MAX, &pid, err) < 0 ||
	    task_json_constraint(at, &task.constraint, err) < 0 || read_flag(at, "aligned", &task.aligned, err) < 0 ||
	    (given(at, "name") && jsonx_text(at, "name", task.name, sizeof(task.name), err) < 0) ||
	    (given(at, "start_time") && jsonx_u64(at, "start_time", 0, UINT64_MAX, &task.start_time, err) < 0)) {
		return -1;
	}
	task.pid = (pid_t)pid;
	if (task.kind == ENGINE_THREAD) {
		task.tid = task.pid;
		task.start_time = 0;
		if (proc_of_thread(task.tid, &task.pid, err) < 0) {
			return -1;
		}
	}
	*out = task;
	return 0;
}

struct json_object *task_json(const struct engine_task *task)
{
	struct json_object *out = json_object_new_object();
	pid_t pid = task->tid ? task->tid : task->pid;

	jsonx_add_int(out, "id", (int64_t)task->id);
	jsonx_add_string(out, "kind", kinds[task->kind]);
	jsonx_add_int(out, "pid", pid);
	jsonx_add_int(out, "start_time", (int64_t)proc_start_time(pid));
	jsonx_add_int(out, "slice_us", task->constraint.slice_ns / 1000);
	jsonx_add_int(out, "period_us", task->constraint.period_ns / 1000);
	jsonx_add_bool(out, "strict", task->constraint.strict);
	jsonx_add_bool(out, "aligned", task->aligned);
	jsonx_add_string(out, "name", task->name);
	jsonx_add_int(out, "uid", task->owner_uid);
	return out;
}
