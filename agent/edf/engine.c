/*
 * The engine's life and its answers. What the machine permits is engine_backend.c's, what happens meanwhile
 * engine_event.c's, tasks are engine_task.c's.
 */
#include "engine.h"

#include <string.h>

#include "engine_state.h"
#include "util.h"

#define MISS_PPM 10000

static int parse_cpus(struct engine *engine, const struct engine_settings *settings, struct err *err)
{
	bool named = settings->cpus && *settings->cpus;
	bool house = settings->housekeeping && *settings->housekeeping;
	cpu_set_t may;

	CPU_ZERO(&may);
	sched_getaffinity(0, sizeof(may), &may);
	engine->managed = may;
	engine->housekeeping = may;
	if ((named && proc_cpus_parse(settings->cpus, &engine->managed, err) < 0) ||
	    (house && proc_cpus_parse(settings->housekeeping, &engine->housekeeping, err) < 0)) {
		return -1;
	}
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (house && !named && CPU_ISSET(cpu, &engine->housekeeping)) {
			CPU_CLR(cpu, &engine->managed);
		} else if (named && !house && CPU_ISSET(cpu, &engine->managed)) {
			CPU_CLR(cpu, &engine->housekeeping);
		}
		if (named && CPU_ISSET(cpu, &engine->managed) && !CPU_ISSET(cpu, &may)) {
			return err_set(err, ERR_PARAMS, "CPU %zu is not among those this process may use", cpu);
		}
	}
	engine->keep_house = (house || named) && CPU_COUNT(&engine->housekeeping) > 0;
	if (CPU_COUNT(&engine->managed) == 0) {
		return err_set(err, ERR_PARAMS, "no CPU is left to manage beside the housekeeping CPUs");
	}
	return 0;
}

/* The first TABLE_CPUS of them. */
static void set_cpus(struct engine *engine)
{
	for (int cpu = 0; cpu < CPU_SETSIZE && engine->table->cpu_count < TABLE_CPUS; cpu++) {
		if (CPU_ISSET((size_t)cpu, &engine->managed)) {
			engine->table->cpu[engine->table->cpu_count++].cpu = cpu;
		}
	}
}

/* ---- starting and ending ---- */

static int start(struct engine *engine, const struct engine_settings *settings, struct err *err)
{
	unsigned released = 0;

	if (settings->limit_ppm < 0 || settings->limit_ppm > 1000000 || settings->miss_ppm < 0) {
		return err_set(err, ERR_PARAMS, "a share is from 0 to 1000000 millionths");
	}
	if (parse_cpus(engine, settings, err) < 0 || event_open(engine, err) < 0 ||
	    table_create(engine->run_dir, &engine->table, &engine->lock_fd, &released, err) < 0 ||
	    event_watchdog(engine, err) < 0) {
		return -1;
	}
	if (released) {
		engine_note(engine, "%u threads of an engine before were given back", released);
	}
	set_cpus(engine);
	cgroup_detect(&engine->cgroup, settings->cgroup_root ? settings->cgroup_root : CGROUP_ROOT);
	backend_start(engine);
	return 0;
}

int engine_new(struct engine **out, const struct engine_settings *settings, struct err *err)
{
	struct engine *engine = xcalloc(1, sizeof(*engine));

	engine->settings = *settings;
	engine->run_dir = xstrdup(settings->run_dir && *settings->run_dir ? settings->run_dir : ENGINE_DIR);
	engine->backend = settings->backend;
	engine->settings.miss_ppm = settings->miss_ppm ? settings->miss_ppm : MISS_PPM;
	engine->lock_fd = engine->epoll_fd = engine->event_fd = engine->timer_fd = -1;
	engine->watchdog = (struct watchdog){.pid = -1, .pid_fd = -1, .wake_fd = -1};
	if (start(engine, settings, err) < 0) {
		engine_free(engine);
		return -1;
	}
	*out = engine;
	return 0;
}

void engine_free(struct engine *engine)
{
	if (!engine) {
		return;
	}
	while (engine->task_count) {
		task_remove(engine, engine->tasks[engine->task_count - 1]);
	}
	backend_stop(engine);
	watchdog_stop(&engine->watchdog);
	if (engine->table) {
		cgroup_close(&engine->cgroup);
	}
	table_unmap(engine->table);
	cleanup_close(&engine->lock_fd);
	cleanup_close(&engine->event_fd);
	cleanup_close(&engine->timer_fd);
	cleanup_close(&engine->epoll_fd);
	free(engine->tasks);
	free(engine->run_dir);
	free(engine);
}

/* ---- answers ---- */

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void fill_row(const struct engine *engine, const struct task *task, unsigned i, struct engine_row *row)
{
	const struct held *held = &task->thread[i];
	struct table_wish wish;
	struct table_stat stat;
	uint32_t seq;

	table_wish_read(&engine->table->slot[held->slot], &wish, &seq);
	hold_stat(engine, held, &stat);
	*row = (struct engine_row){
		.id = task->id,
		.index = held->vcpu >= 0 ? (unsigned)held->vcpu : i,
		.count = task->count,
		.pid = task->spec.pid,
		.tid = held->tid,
		.cpu = held->cpu >= 0 ? engine->table->cpu[held->cpu].cpu : -1,
		.backend = task->backend,
		.strict = held->strict,
		.owner_uid = task->spec.owner_uid,
		.constraint = task->spec.constraint,
		.used_ns = held->used_ns + stat.edf.used_ns,
		.attached_ns = task->attached_ns,
		.release_ns = wish.first_release_ns,
		.periods = held->periods + stat.edf.periods,
		.misses = held->misses + stat.edf.misses,
		.late_max_ns = greater(held->late_max_ns, stat.edf.short_max_ns),
		.over_max_ns = greater(held->over_max_ns, stat.edf.over_max_ns),
		.change_ns = stat.change_ns,
		.change_max_ns = greater(held->change_max_ns, stat.change_max_ns),
	};
	memcpy(row->name, task->spec.name, sizeof(row->name));
	memcpy(row->reason, task->reason, sizeof(row->reason));
}

void engine_tasks(const struct engine *engine, void (*fn)(const struct engine_task *task, void *arg), void *arg)
{
	for (unsigned t = 0; t < engine->task_count; t++) {
		fn(&engine->tasks[t]->spec, arg);
	}
}

unsigned engine_list(struct engine *engine, uint64_t id, void (*row)(const struct engine_row *row, void *arg),
		     void *arg)
{
	unsigned n = 0;

	for (unsigned t = 0; t < engine->task_count; t++) {
		const struct task *task = engine->tasks[t];

		for (unsigned i = 0; i < task->count && (!id || task->id == id); i++) {
			struct engine_row out;

			fill_row(engine, task, i, &out);
			row(&out, arg);
			n++;
		}
	}
	return n;
}

void engine_node(const struct engine *engine, struct engine_node *out)
{
	*out = (struct engine_node){
		.backend = engine->backend,
		.node = engine->node,
		.cpu_count = engine->table->cpu_count,
		.late_ns = engine->calibration.late_ns,
		.tasks = engine->task_count,
		.strict_possible =
			engine->backend == ENGINE_EDF ? engine->cgroup.strict : engine->backend != ENGINE_NONE,
	};
	for (unsigned i = 0; i < out->cpu_count; i++) {
		out->cpu[i] = engine->table->cpu[i].cpu;
	}
	for (unsigned i = 0; i < engine->task_count; i++) {
		const struct task *task = engine->tasks[i];

		out->threads += task->count;
		out->promised_ppm += (int64_t)task->count *
				     edf_density_ppm(&engine->node, (task->spec.constraint.slice_ns + 999) / 1000,
						     task->spec.constraint.period_ns / 1000);
	}
	memcpy(out->reason, engine->reason, sizeof(out->reason));
	memcpy(out->done, engine->done, sizeof(out->done));
}

int engine_release(const char *run_dir, bool force, struct err *err)
{
	const char *dir = run_dir && *run_dir ? run_dir : ENGINE_DIR;
	bool alive = false;
	struct err why;
	struct table *table = table_open(dir, &alive, &why);
	unsigned n;

	if (!table) {
		if (why.code == ERR_NOT_FOUND) {
			return 0;
		}
		return err_set(err, why.code, "%s", why.text);
	}
	if (alive && !force) {
		table_unmap(table);
		return err_set(err, ERR_CONFLICT, "an engine works in %s; stop it, or force this if it stands still",
			       dir);
	}
	if (alive) {
		atomic_store(&table->released, 1);
	}
	n = table_restore_all(table, !alive);
	table_unmap(table);
	return (int)n;
}
