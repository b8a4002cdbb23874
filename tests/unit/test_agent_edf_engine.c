/* The engine: taking tasks on and refusing them, what becomes of their threads, and its local door. */
#include <check.h>
#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "engine_state.h"
#include "folder.h"
#include "jsonx.h"
#include "proc.h"
#include "server.h"
#include "suite.h"
#include "util.h"

#define MS INT64_C(1000000)

static char dir[64], cpu[16];
static struct engine *engine;
static pid_t child;

/*
 * A thread that does nothing; one more at SIGUSR1. System calls only, for with the C library's functions the sanitizers
 * have threads and stacks of their own in it.
 */
static int __attribute__((no_sanitize("thread", "address"))) wait_forever(void *arg)
{
	static char stack[8][16384] __attribute__((aligned(16)));
	static unsigned made;
	const uint64_t *wanted = arg;

	for (;;) {
		if (syscall(SYS_rt_sigtimedwait, wanted, NULL, NULL, sizeof(*wanted)) == SIGUSR1) {
			made++;
			clone(wait_forever, stack[made],
			      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, arg);
		}
	}
	return 0;
}

/* A process of so many such threads, all of which are there when this returns. */
static pid_t make_child(unsigned threads)
{
	static uint64_t wanted = UINT64_C(1) << (SIGUSR1 - 1);
	struct proc_thread found[8];
	pid_t pid;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &wanted, NULL, sizeof(wanted));
	pid = _Fork();
	if (pid == 0) {
		wait_forever(&wanted);
	}
	for (unsigned i = 1; i < threads; i++) {
		kill(pid, SIGUSR1);
		while (proc_threads(pid, found, 8) != i + 1) {
			usleep(1000);
		}
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void start(enum engine_backend backend)
{
	struct engine_settings settings = {.cpus = cpu, .run_dir = dir, .backend = backend};
	struct err err;

	ck_assert_msg(engine_new(&engine, &settings, &err) == 0, "%s", err.text);
}

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/tenure-test-edf-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(cpu, sizeof(cpu), "%d", sched_getcpu());
	child = make_child(1);
}

static void setup_none(void)
{
	setup();
	start(ENGINE_NONE);
}

static void teardown(void)
{
	end_child(child);
	engine_free(engine);
	engine = NULL;
	folder_remove(dir);
}

static struct engine_task task_of(pid_t pid, int64_t slice_ns, int64_t period_ns)
{
	return (struct engine_task){
		.kind = ENGINE_PROCESS, .pid = pid, .constraint = {.slice_ns = slice_ns, .period_ns = period_ns}};
}

static uint64_t attach(pid_t pid, int64_t slice_ns, int64_t period_ns)
{
	struct engine_task task = task_of(pid, slice_ns, period_ns);
	struct err err;
	uint64_t id;

	ck_assert_msg(engine_attach(engine, &task, &id, &err) == 0, "%s", err.text);
	return id;
}

static void keep_row(const struct engine_row *row, void *arg)
{
	*(struct engine_row *)arg = *row;
}

START_TEST(attach_set_detach)
{
	uint64_t id = attach(child, 20 * MS, 50 * MS);
	struct edf_constraint other = {.slice_ns = 5 * MS, .period_ns = 10 * MS};
	struct engine_row row = {0};
	struct engine_node node;
	struct err err;

	ck_assert_uint_eq(engine_list(engine, 0, keep_row, &row), 1);
	ck_assert_uint_eq(row.id, id);
	ck_assert_int_eq(row.tid, child);
	ck_assert_int_eq(row.constraint.slice_ns, 20 * MS);
	ck_assert(row.backend == ENGINE_NONE);
	ck_assert_int_eq(engine_set(engine, id, &other, &err), 0);
	engine_list(engine, id, keep_row, &row);
	ck_assert_int_eq(row.constraint.period_ns, 10 * MS);
	engine_node(engine, &node);
	ck_assert_uint_eq(node.tasks, 1);
	ck_assert_int_ge(node.promised_ppm, 500000);
	ck_assert_int_eq(engine_detach(engine, id, &err), 0);
	ck_assert_uint_eq(engine_list(engine, 0, keep_row, &row), 0);
	ck_assert_int_eq(engine_detach(engine, id, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_eq(engine_set(engine, id, &other, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

/* By a dispatcher that stood still when it was given back. */
START_TEST(slot_that_is_bound)
{
	atomic_store(&engine->table->cpu[0].bound[7], 1);
	attach(child, 20 * MS, 50 * MS);
	ck_assert_uint_eq(engine->tasks[0]->thread[0].slot, 1);
}
END_TEST

START_TEST(bad_constraints)
{
	static const struct {
		int64_t slice_ns, period_ns;
		const char *text;
	} cases[] = {{60 * MS, 50 * MS, "longer than the period"},
		     {0, 50 * MS, "above zero"},
		     {50 * MS, 0, "above zero"},
		     {-MS, 50 * MS, "above zero"},
		     {MS, -50 * MS, "above zero"},
		     {1000, 10000, "below the shortest"},
		     {49 * MS, 50 * MS, "more than may be promised"},
		     {1000000 * MS, INT64_MAX / 2, "above the longest"}};
	struct engine_task task = task_of(child, cases[_i].slice_ns, cases[_i].period_ns);
	uint64_t id = 77;
	struct err err;

	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_msg(strstr(err.text, cases[_i].text) != NULL, "%s", err.text);
	ck_assert_uint_eq(id, 77);
	/* The same for one that is there, which keeps what it has. */
	id = attach(child, 20 * MS, 50 * MS);
	ck_assert_int_eq(engine_set(engine, id, &task.constraint, &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

START_TEST(no_room_beside_another)
{
	pid_t second = make_child(1);
	struct engine_task task = task_of(second, 60 * MS, 100 * MS);
	struct edf_constraint more = {.slice_ns = 80 * MS, .period_ns = 100 * MS};
	uint64_t id, first = attach(child, 40 * MS, 100 * MS);
	struct engine_row row;
	struct err err;

	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_REJECTED);
	ck_assert_ptr_nonnull(strstr(err.text, "would fit"));
	attach(second, 40 * MS, 100 * MS);
	ck_assert_int_eq(engine_set(engine, first, &more, &err), -1);
	ck_assert_int_eq(err.code, ERR_REJECTED);
	engine_list(engine, first, keep_row, &row);
	ck_assert_int_eq(row.constraint.slice_ns, 40 * MS);
	end_child(second);
}
END_TEST

START_TEST(not_to_be_managed)
{
	struct engine_task task = task_of(getpid(), MS, 50 * MS);
	pid_t many = make_child(3);
	uint64_t id;
	struct err err;

	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_DENIED);
	/* Three threads, one CPU. */
	task = task_of(many, MS, 50 * MS);
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.text, "3 threads"));
	/* One of them can. */
	task.kind = ENGINE_THREAD;
	task.tid = many;
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), 0);
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	task.tid = child;
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	task = task_of(child, MS, 50 * MS);
	task.kind = ENGINE_QEMU;
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	task.kind = ENGINE_PROCESS;
	task.start_time = 1;
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	task.start_time = 0;
	task.owner_uid = getuid() + 1;
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_DENIED);
	end_child(many);
	task = task_of(many, MS, 50 * MS);
	ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

static void count_gone(const struct engine_event *event, void *arg)
{
	if (event->kind == ENGINE_GONE) {
		*(uint64_t *)arg = event->id;
	}
}

START_TEST(process_ends)
{
	uint64_t gone = 0, id = attach(child, MS, 50 * MS);
	struct engine_row row;

	end_child(child);
	for (int i = 0; i < 2000 && !gone; i++) {
		engine_poll(engine, count_gone, &gone);
		usleep(1000);
	}
	ck_assert_uint_eq(gone, id);
	ck_assert_uint_eq(engine_list(engine, 0, keep_row, &row), 0);
	child = make_child(1);
}
END_TEST

START_TEST(bad_settings)
{
	static const struct engine_settings bad[] = {
		{.cpus = "x"}, {.cpus = "999"}, {.housekeeping = "y"}, {.limit_ppm = 2000000}, {.miss_ppm = -1}};
	struct engine_settings settings = bad[_i];
	struct engine *other;
	char path[80];
	struct err err;

	snprintf(path, sizeof(path), "%s/other", dir);
	settings.run_dir = path;
	settings.backend = ENGINE_NONE;
	ck_assert_int_eq(engine_new(&other, &settings, &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

START_TEST(one_engine)
{
	struct engine_settings settings = {.run_dir = dir, .backend = ENGINE_NONE};
	struct engine *other;
	struct err err;

	ck_assert_int_eq(engine_new(&other, &settings, &err), -1);
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	ck_assert_int_eq(engine_release(dir, false, &err), -1);
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	ck_assert_int_eq(engine_release("/tmp/tenure-test-not-there", false, &err), 0);
}
END_TEST

START_TEST(names_of_backends)
{
	enum engine_backend backend;

	for (int i = ENGINE_EDF; i <= ENGINE_NONE; i++) {
		ck_assert_int_eq(engine_backend_parse(engine_backend_name((enum engine_backend)i), &backend), 0);
		ck_assert_int_eq(backend, i);
	}
	ck_assert_int_eq(engine_backend_parse("EDF", &backend), -1);
}
END_TEST

/* ---- with real-time priorities, where they are permitted ---- */

static bool permitted(void)
{
	struct engine_node node;

	engine_node(engine, &node);
	if (node.backend != ENGINE_EDF) {
		ck_assert_str_ne(node.reason, "");
		printf("skip real-time priorities: %s\n", node.reason);
		return false;
	}
	ck_assert_str_eq(node.reason, "");
	ck_assert_int_gt(node.node.wake_ns, 0);
	return true;
}

static void wait_bound(pid_t pid, int cpus, bool managed)
{
	cpu_set_t set;

	for (int i = 0; i < 1000; i++) {
		sched_getaffinity(pid, sizeof(set), &set);
		if (CPU_COUNT(&set) == cpus && !(sched_getscheduler(pid) & SCHED_RESET_ON_FORK) == !managed) {
			return;
		}
		usleep(1000);
	}
	ck_abort_msg("policy %d on %d CPUs", sched_getscheduler(pid), CPU_COUNT(&set));
}

START_TEST(taken_and_given_back)
{
	struct engine_row row;
	cpu_set_t before;
	uint64_t id;

	start(ENGINE_EDF);
	if (!permitted()) {
		return;
	}
	sched_getaffinity(child, sizeof(before), &before);
	id = attach(child, 20 * MS, 50 * MS);
	wait_bound(child, 1, true);
	engine_list(engine, id, keep_row, &row);
	ck_assert_int_eq(row.cpu, atoi(cpu));
	ck_assert_int_eq(engine_detach(engine, id, NULL), 0);
	wait_bound(child, CPU_COUNT(&before), false);
	attach(child, 20 * MS, 50 * MS);
	wait_bound(child, 1, true);
	engine_free(engine);
	engine = NULL;
	wait_bound(child, CPU_COUNT(&before), false);
}
END_TEST

/* Before the dispatcher has taken it up, or while it does. */
START_TEST(given_back_at_once)
{
	int policy = sched_getscheduler(child);

	start(ENGINE_EDF);
	if (!permitted()) {
		return;
	}
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(engine_detach(engine, attach(child, 20 * MS, 50 * MS), NULL), 0);
		ck_assert_int_eq(sched_getscheduler(child), policy);
	}
}
END_TEST

/* A fake root of cgroups in which the group has no real-time runtime, and nobody may leave it. */
static char *make_fake(const char *group)
{
	char *root = xasprintf("%s/cgroup", dir);
	_cleanup_free_ char *cpus = xasprintf("%s/cpu", root);
	_cleanup_free_ char *inner = xasprintf("%s/%s", cpus, group);
	_cleanup_free_ char *tasks = xasprintf("%s/tasks", cpus);
	_cleanup_free_ char *all = xasprintf("%s/cpu.rt_runtime_us", cpus);
	_cleanup_free_ char *none = xasprintf("%s/cpu.rt_runtime_us", inner);
	struct err err;

	mkdir(root, 0755);
	mkdir(cpus, 0755);
	mkdir(inner, 0755);
	ck_assert_int_eq(file_replace(tasks, "", 0, 0644, &err), 0);
	ck_assert_int_eq(file_replace(all, "950000", 6, 0644, &err), 0);
	ck_assert_int_eq(file_replace(none, "0", 1, 0644, &err), 0);
	return root;
}

/* A process as QEMU's: with a thread named as it names those of its virtual CPUs, in that group. */
static pid_t make_guest(const char *group)
{
	_cleanup_free_ char *tasks = xasprintf("%s/tasks", group);
	char text[16];
	pid_t pid;

	prctl(PR_SET_NAME, "CPU 0/TCG");
	pid = make_child(1);
	prctl(PR_SET_NAME, "test");
	snprintf(text, sizeof(text), "%d", (int)pid);
	FILE *file = fopen(tasks, "we");
	ck_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
	return pid;
}

/* What the kernel puts into a group for the bandwidth of the task's first thread; the path of that group. */
static char *make_quota(const char *root, uint64_t task)
{
	static const char *const names[] = {"cpu.cfs_quota_us", "cpu.cfs_period_us", "tasks"};
	_cleanup_free_ char *all = xasprintf("%s/cpu/tenure-edf-quota", root);
	char *group = xasprintf("%s/%llu-0", all, (unsigned long long)task);
	struct err err;

	mkdir(all, 0755);
	mkdir(group, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", group, names[i]);

		ck_assert_int_eq(file_replace(path, "", 0, 0644, &err), 0);
	}
	return group;
}

static void assert_number(const char *group, const char *name, long expected)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", group, name);
	_cleanup_free_ char *text = file_read(path, 64, NULL);

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(atol(text), expected);
}

/* Where it may leave its group, and another may have bandwidth, a guest without real-time priorities gets that. */
static void bandwidth_instead(const char *root, const char *name, struct engine_task *task)
{
	_cleanup_free_ char *group = make_quota(root, task->id = 1000);
	_cleanup_free_ char *home = xasprintf("%s/cpu/%s/tasks", root, name);
	struct engine_row row;
	struct err err;
	uint64_t id;

	ck_assert_int_eq(file_replace(home, "", 0, 0644, &err), 0);
	ck_assert_msg(engine_attach(engine, task, &id, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(engine_list(engine, id, keep_row, &row), 1);
	ck_assert_int_eq(row.backend, ENGINE_QUOTA);
	ck_assert_ptr_nonnull(strstr(row.reason, "SCHED_FIFO"));
	assert_number(group, "cpu.cfs_period_us", 50000);
	assert_number(group, "cpu.cfs_quota_us", 5000);
	assert_number(group, "tasks", task->pid);
	ck_assert_int_eq(engine_set(engine, id, &(struct edf_constraint){10 * MS, 50 * MS, true}, &err), 0);
	assert_number(group, "cpu.cfs_quota_us", 10000);
	ck_assert_int_eq(engine_detach(engine, id, NULL), 0);
}

START_TEST(guest_without_real_time)
{
	_cleanup_free_ char *name = xasprintf("tenure-test-%d", (int)getpid());
	_cleanup_free_ char *group = xasprintf("/sys/fs/cgroup/cpu/%s", name);
	_cleanup_free_ char *fake = make_fake(name);
	struct engine_settings settings = {.cpus = cpu, .run_dir = dir, .backend = ENGINE_EDF, .cgroup_root = fake};
	struct engine_row row;
	struct err err;
	uint64_t id;

	if (mkdir(group, 0755) < 0) {
		printf("skip a guest in a cgroup: there is no version 1\n");
		return;
	}
	ck_assert_int_eq(engine_new(&engine, &settings, &err), 0);
	pid_t guest = make_guest(group);
	struct engine_task task = task_of(guest, 5 * MS, 50 * MS);

	if (permitted()) {
		/* It alone, and it is said why; whoever names a process is told, who may mend it. */
		ck_assert_int_eq(engine_attach(engine, &task, &id, &err), -1);
		ck_assert_int_eq(err.code, ERR_DENIED);
		ck_assert_ptr_nonnull(strstr(err.text, "write to cpu.rt_runtime_us"));
		task.kind = ENGINE_QEMU;
		ck_assert_msg(engine_attach(engine, &task, &id, &err) == 0, "%s", err.text);
		ck_assert_uint_eq(engine_list(engine, id, keep_row, &row), 1);
		ck_assert_int_eq(row.backend, ENGINE_NONE);
		ck_assert_int_eq(row.cpu, -1);
		ck_assert_ptr_nonnull(strstr(row.reason, "write to cpu.rt_runtime_us"));
		ck_assert_int_eq(engine_set(engine, id, &(struct edf_constraint){10 * MS, 50 * MS, true}, NULL), 0);
		ck_assert_int_eq(sched_getscheduler(guest), SCHED_OTHER);
		engine_list(engine, attach(child, 20 * MS, 50 * MS), keep_row, &row);
		ck_assert_int_eq(row.backend, ENGINE_EDF);
		ck_assert_str_eq(row.reason, "");
		wait_bound(child, 1, true);
		ck_assert_int_eq(engine_detach(engine, id, NULL), 0);
		bandwidth_instead(fake, name, &task);
	}
	end_child(guest);
	ck_assert_int_eq(rmdir(group), 0);
}
END_TEST

START_TEST(constraint_is_kept)
{
	struct engine_row row = {0};
	int64_t got_ns = 0;
	uint64_t id;
	pid_t spinner;

	start(ENGINE_EDF);
	if (!permitted()) {
		return;
	}
	spinner = fork();
	if (spinner == 0) {
		for (;;) {
		}
	}
	id = attach(spinner, 10 * MS, 20 * MS);
	/* Loose, and not at once: the machine may be busy, also with another scheduler. Slack may come on top. */
	for (int tries = 0; tries < 8 && got_ns < 150 * MS; tries++) {
		int64_t before_ns = row.used_ns;

		usleep(500000);
		engine_list(engine, id, keep_row, &row);
		got_ns = row.used_ns - before_ns;
	}
	end_child(spinner);
	ck_assert_uint_ge(row.periods, 10);
	ck_assert_int_ge(got_ns, 150 * MS);
	ck_assert_int_gt(row.change_ns, 0);
}
END_TEST

static void count_refused(const struct engine_event *event, void *arg)
{
	*(unsigned *)arg += event->kind == ENGINE_NO_ROOM;
}

/* A thread born of a managed one has its CPU, but not for long: it may run where the process could before. */
START_TEST(born_later)
{
	struct proc_thread threads[2];
	unsigned refused = 0;
	cpu_set_t before;
	uint64_t id;

	start(ENGINE_EDF);
	if (!permitted()) {
		return;
	}
	sched_getaffinity(child, sizeof(before), &before);
	id = attach(child, 20 * MS, 50 * MS);
	wait_bound(child, 1, true);
	kill(child, SIGUSR1);
	for (int i = 0; i < 3000 && !refused; i++) {
		engine_poll(engine, count_refused, &refused);
		usleep(1000);
	}
	ck_assert_uint_eq(refused, 1);
	ck_assert_uint_eq(proc_threads(child, threads, 2), 2);
	wait_bound(threads[1].tid, CPU_COUNT(&before), false);
	ck_assert_int_eq(engine_detach(engine, id, NULL), 0);
	wait_bound(threads[0].tid, CPU_COUNT(&before), false);
}
END_TEST

/* ---- the door ---- */

static void on_engine(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	engine_poll(arg, NULL, NULL);
}

/* Serves in a process of its own; returns when it answers. */
static pid_t serve_here(const struct cli_options *options)
{
	struct json_object *node = NULL;
	pid_t pid = fork();
	struct err err;

	if (pid == 0) {
		struct event_base *base = event_base_new();
		struct server *server;

		start(ENGINE_NONE);
		event_add(event_new(base, engine_fd(engine), EV_READ | EV_PERSIST, on_engine, engine), NULL);
		if (server_new(&server, base, engine, dir, NULL, &err) == 0) {
			event_base_dispatch(base);
		}
		_exit(1);
	}
	while (ask(options, "node", NULL, &node, &err) < 0) {
		usleep(1000);
	}
	ck_assert_str_eq(json_object_get_string(json_object_object_get(node, "backend")), "none");
	json_object_put(node);
	return pid;
}

static enum err_code ask_for(const struct cli_options *options, const char *method, const char *params)
{
	struct json_object *result = NULL;
	struct err err = {0};
	int rc = ask(options, method, json_tokener_parse(params), &result, &err);

	json_object_put(result);
	return rc == 0 ? ERR_NONE : err.code;
}

START_TEST(door)
{
	struct cli_options options = {.dir = dir};
	_cleanup_free_ char *good = xasprintf(
		"{\"kind\":\"process\",\"pid\":%d,\"slice_us\":20000,\"period_us\":50000,\"name\":\"x\"}", (int)child);
	_cleanup_free_ char *kind =
		xasprintf("{\"kind\":\"cat\",\"pid\":%d,\"slice_us\":20000,\"period_us\":50000}", (int)child);
	pid_t server;

	ck_assert_int_eq(ask_for(&options, "node", "{}"), ERR_UNAVAILABLE);
	server = serve_here(&options);
	ck_assert_int_eq(ask_for(&options, "attach", good), ERR_NONE);
	ck_assert_int_eq(ask_for(&options, "attach", good), ERR_CONFLICT);
	ck_assert_int_eq(ask_for(&options, "attach", kind), ERR_PARAMS);
	ck_assert_int_eq(ask_for(&options, "attach", "{\"kind\":\"process\"}"), ERR_PARAMS);
	ck_assert_int_eq(ask_for(&options, "list", "{\"id\":1}"), ERR_NONE);
	ck_assert_int_eq(ask_for(&options, "list", "{\"id\":2}"), ERR_NOT_FOUND);
	ck_assert_int_eq(ask_for(&options, "set", "{\"id\":1,\"slice_us\":1000,\"period_us\":9000}"), ERR_NONE);
	ck_assert_int_eq(ask_for(&options, "set", "{\"id\":1,\"slice_us\":9000,\"period_us\":1000}"), ERR_PARAMS);
	ck_assert_int_eq(ask_for(&options, "set", "{\"id\":1,\"slice_us\":\"a\",\"period_us\":1}"), ERR_PARAMS);
	ck_assert_int_eq(ask_for(&options, "detach", "{\"id\":1}"), ERR_NONE);
	ck_assert_int_eq(ask_for(&options, "detach", "{\"id\":1}"), ERR_NOT_FOUND);
	ck_assert_int_eq(ask_for(&options, "nonsense", "{}"), ERR_METHOD);
	end_child(server);
}
END_TEST

static void count_task(const struct engine_task *task, void *arg)
{
	ck_assert_uint_eq(task->id, 7);
	ck_assert_int_eq(task->pid, child);
	ck_assert_int_eq(task->constraint.slice_ns, 20 * MS);
	ck_assert_int_eq(task->owner_uid, 0);
	(*(unsigned *)arg)++;
}

/* What an engine before this one left: one process is there, one number is another process's by now, one entry is bad.
 */
START_TEST(tasks_are_kept)
{
	static const char form[] = "{\"id\":%d,\"kind\":\"process\",\"pid\":%d,\"start_time\":%llu,\"slice_us\":20000,"
				   "\"period_us\":50000,\"name\":\"x\",\"uid\":0}";
	unsigned long long started = proc_start_time(child);
	_cleanup_free_ char *same = xasprintf(form, 7, (int)child, started);
	_cleanup_free_ char *other = xasprintf(form, 5, (int)child, started + 1);
	_cleanup_free_ char *text = xasprintf("[%s,{\"id\":6},%s]", other, same);
	_cleanup_free_ char *path = xasprintf("%s/tasks", dir);
	struct event_base *base = event_base_new();
	struct server *server;
	struct err err;
	unsigned n = 0;

	ck_assert_int_eq(file_replace(path, text, strlen(text), 0600, &err), 0);
	ck_assert_int_eq(server_new(&server, base, engine, dir, NULL, &err), 0);
	server_keep(server, dir);
	engine_tasks(engine, count_task, &n);
	ck_assert_uint_eq(n, 1);
	_cleanup_free_ char *kept = file_read(path, 4096, NULL);
	ck_assert_ptr_nonnull(strstr(kept, "\"id\":7"));
	ck_assert_ptr_null(strstr(kept, "\"id\":5"));
	ck_assert_int_eq(server_tune(server, 7, 0, 0, &err), 0);
	_cleanup_free_ char *empty = file_read(path, 4096, NULL);
	ck_assert_str_eq(empty, "[]");
	server_free(server);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_edf_engine");
	TCase *none = tcase_create("noting"), *real = tcase_create("real-time");

	tcase_add_checked_fixture(none, setup_none, teardown);
	tcase_add_test(none, attach_set_detach);
	tcase_add_test(none, slot_that_is_bound);
	tcase_add_loop_test(none, bad_constraints, 0, 8);
	tcase_add_test(none, no_room_beside_another);
	tcase_add_test(none, not_to_be_managed);
	tcase_add_test(none, process_ends);
	tcase_add_loop_test(none, bad_settings, 0, 5);
	tcase_add_test(none, one_engine);
	tcase_add_test(none, names_of_backends);
	tcase_add_test(none, tasks_are_kept);
	suite_add_tcase(suite, none);
	tcase_add_checked_fixture(real, setup, teardown);
	tcase_set_timeout(real, 10);
	tcase_add_test(real, taken_and_given_back);
	tcase_add_test(real, given_back_at_once);
	tcase_add_test(real, guest_without_real_time);
	tcase_add_test(real, constraint_is_kept);
	tcase_add_test(real, born_later);
	tcase_add_test(real, door);
	suite_add_tcase(suite, real);
	return run_suite(suite);
}
