/*
 * Reads and writes files of the cgroup file systems. In version 1 single threads move between groups freely. In version
 * 2 a thread stays in the subtree of its process: one that is alone in its group is held back there, or the whole
 * process is moved; all else is refused, with the reason.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define STRICT "tenure-edf-strict"
#define QUOTA "tenure-edf-quota"
#define RT_PERIOD_US 1000000
#define QUOTA_MIN_US 1000
#define QUOTA_PERIOD_MIN_US 1000
#define QUOTA_PERIOD_MAX_US 1000000

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int rc;

	if (fd < 0) {
		return -1;
	}
	rc = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return rc;
}

static int write_number(const char *group, const char *key, int64_t value)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", group, key);
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return write_file(path, text);
}

static int64_t read_number(const char *group, const char *key)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", group, key);
	_cleanup_free_ char *text = file_read(path, 64, NULL);

	return text ? strtoll(text, NULL, 10) : INT64_MIN;
}

static bool has(const char *folder, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, file);

	return access(path, F_OK) == 0;
}

/* ---- what is here ---- */

static bool has_cpu_controller(const char *root)
{
	_cleanup_free_ char *path = xasprintf("%s/cgroup.controllers", root);
	_cleanup_free_ char *text = file_read(path, 4096, NULL);

	for (char *rest = text, *word; rest && (word = strsep(&rest, " \n"));) {
		if (strcmp(word, "cpu") == 0) {
			return true;
		}
	}
	return false;
}

void cgroup_detect(struct cgroup *cgroup, const char *root)
{
	static const char *const v1[] = {"cpu", "cpu,cpuacct"};

	*cgroup = (struct cgroup){0};
	for (size_t i = 0; i < ARRAY_SIZE(v1) && !cgroup->version; i++) {
		snprintf(cgroup->cpu, sizeof(cgroup->cpu), "%s/%s", root, v1[i]);
		if (has(cgroup->cpu, "tasks")) {
			cgroup->version = 1;
			cgroup->rt_group = has(cgroup->cpu, "cpu.rt_runtime_us");
		}
	}
	if (!cgroup->version && has_cpu_controller(root)) {
		snprintf(cgroup->cpu, sizeof(cgroup->cpu), "%s", root);
		cgroup->version = 2;
	}
	snprintf(cgroup->why_not, sizeof(cgroup->why_not), "not tried");
}

/* The thread's path in the CPU controller: "/" or "/machine/x"; proc(5), cgroups(7). Caller frees; NULL if unknown. */
static char *path_of(const struct cgroup *cgroup, pid_t pid, pid_t tid)
{
	_cleanup_free_ char *name = xasprintf("/proc/%d/task/%d/cgroup", (int)pid, (int)tid);
	_cleanup_free_ char *text = file_read(name, 65536, NULL);

	for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path) {
			continue;
		}
		*controllers++ = '\0';
		*path++ = '\0';
		if (cgroup->version == 2 ? strcmp(line, "0") == 0 && !*controllers
					 : strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0) {
			return xstrdup(path);
		}
	}
	return NULL;
}

int cgroup_home(const struct cgroup *cgroup, pid_t pid, pid_t tid, char *out, size_t size, struct err *err)
{
	_cleanup_free_ char *path = path_of(cgroup, pid, tid);
	int n;

	if (!path) {
		return err_set(err, ERR_NOT_FOUND, "the CPU cgroup of thread %d cannot be read", (int)tid);
	}
	n = snprintf(out, size, "%s%s/%s", cgroup->cpu, strcmp(path, "/") == 0 ? "" : path,
		     cgroup->version == 2 ? "cgroup.threads" : "tasks");
	if (n < 0 || (size_t)n >= size) {
		return err_set(err, ERR_LIMIT, "the path of thread %d's CPU cgroup is too long", (int)tid);
	}
	if (access(out, W_OK) < 0) {
		return err_set(err, ERR_DENIED, "%s: %s", out, strerror(errno));
	}
	return 0;
}

bool cgroup_refuses_fifo(const struct cgroup *cgroup, pid_t pid, pid_t tid)
{
	_cleanup_free_ char *path = cgroup->rt_group ? path_of(cgroup, pid, tid) : NULL;
	_cleanup_free_ char *group = path ? xasprintf("%s%s", cgroup->cpu, path) : NULL;

	return group && strcmp(path, "/") != 0 && read_number(group, "cpu.rt_runtime_us") == 0;
}

/* ---- moving ---- */

static int move(const char *group, pid_t tid, struct err *err)
{
	if (write_number(group, "tasks", tid) < 0) {
		return err_set(err, errno == ESRCH ? ERR_NOT_FOUND : ERR_DENIED,
			       "thread %d cannot be moved to cgroup %s: %s", (int)tid, group, strerror(errno));
	}
	return 0;
}

int cgroup_move_root(const struct cgroup *cgroup, pid_t tid, struct err *err)
{
	return move(cgroup->cpu, tid, err);
}

int cgroup_move_strict(const struct cgroup *cgroup, pid_t tid, struct err *err)
{
	_cleanup_free_ char *group = xasprintf("%s/" STRICT, cgroup->cpu);

	return move(group, tid, err);
}

/* ---- strict ---- */

/* The sum over a group's children may not pass its own: as much as is left, if that is enough. */
static int give_runtime(const char *group, uint32_t limit_ppm)
{
	if (read_number(group, "cpu.rt_runtime_us") >= limit_ppm) {
		return 0;
	}
	for (int64_t us = RT_PERIOD_US; us >= limit_ppm; us -= RT_PERIOD_US / 100) {
		if (write_number(group, "cpu.rt_runtime_us", us) == 0) {
			return 0;
		}
	}
	return write_number(group, "cpu.rt_runtime_us", limit_ppm);
}

static int make_group(const char *group)
{
	return mkdir(group, 0755) == 0 || errno == EEXIST ? 0 : -1;
}

void cgroup_open_strict(struct cgroup *cgroup, uint32_t limit_ppm)
{
	_cleanup_free_ char *group = xasprintf("%s/" STRICT, cgroup->cpu);

	if (cgroup->version != 1) {
		cgroup->strict = cgroup->version == 2 && access(cgroup->cpu, W_OK) == 0;
		snprintf(cgroup->why_not, sizeof(cgroup->why_not), "%s",
			 cgroup->version == 2 ? "cgroups may not be changed" : "there is no CPU cgroup");
		return;
	}
	if (make_group(group) < 0 || write_number(group, "cpu.cfs_period_us", CGROUP_PARKED_PERIOD_US) < 0 ||
	    write_number(group, "cpu.cfs_quota_us", CGROUP_PARKED_US) < 0) {
		snprintf(cgroup->why_not, sizeof(cgroup->why_not), "cgroup %.120s: %s", group, strerror(errno));
		return;
	}
	if (cgroup->rt_group && give_runtime(group, limit_ppm) < 0) {
		snprintf(cgroup->why_not, sizeof(cgroup->why_not),
			 "other groups have taken the real-time runtime of %.100s", cgroup->cpu);
		return;
	}
	cgroup->strict = true;
}

/*
 * The strict group stays: other engines may be about to use it, and one that was removed keeps its real-time runtime
 * from its successor until the kernel has forgotten it.
 */
void cgroup_close(const struct cgroup *cgroup)
{
	_cleanup_free_ char *quota = xasprintf("%s/" QUOTA, cgroup->cpu);

	if (cgroup->version == 1) {
		rmdir(quota);
	}
}

/* ---- version 2 ---- */

static bool is_alone(const char *group)
{
	_cleanup_free_ char *path = xasprintf("%s/cgroup.threads", group);
	_cleanup_free_ char *text = file_read(path, 65536, NULL);
	char *newline = text ? strchr(text, '\n') : NULL;

	return newline && !newline[1];
}

static char *own_group(const struct cgroup *cgroup, pid_t pid)
{
	return xasprintf("%s/tenure-edf-%d", cgroup->cpu, (int)pid);
}

static int way_of(struct cgroup_way *out, const char *group, const char *home, const char *file, const char *text,
		  struct err *err)
{
	struct cgroup_way way = {.move = !*text};

	snprintf(way.group, sizeof(way.group), "%s", group);
	snprintf(way.text, sizeof(way.text), "%s", text);
	if (strlen(group) >= sizeof(way.group) ||
	    snprintf(way.back, sizeof(way.back), "%s/%s", home, file) >= (int)sizeof(way.back)) {
		return err_set(err, ERR_LIMIT, "the path of cgroup %.200s is too long", home);
	}
	*out = way;
	return 0;
}

int cgroup_find_way(const struct cgroup *cgroup, pid_t pid, pid_t tid, bool whole, struct cgroup_way *way,
		    struct err *err)
{
	_cleanup_free_ char *path = path_of(cgroup, pid, tid);
	_cleanup_free_ char *home = path ? xasprintf("%s%s", cgroup->cpu, strcmp(path, "/") == 0 ? "" : path) : NULL;
	_cleanup_free_ char *own = own_group(cgroup, pid);
	_cleanup_free_ char *max = home ? xasprintf("%s/cpu.max", home) : NULL;
	_cleanup_free_ char *text = max ? file_read(max, CGROUP_TEXT - 1, NULL) : NULL;

	if (!home) {
		return err_set(err, ERR_NOT_FOUND, "the CPU cgroup of thread %d cannot be read", (int)tid);
	}
	if (strcmp(home, own) == 0) {
		*way = (struct cgroup_way){0};
		snprintf(way->group, sizeof(way->group), "%s", own);
		return 0;
	}
	if (text && *text && is_alone(home)) {
		text[strcspn(text, "\n")] = '\0';
		return way_of(way, home, home, "cpu.max", text, err);
	}
	if (!whole) {
		return err_set(err, ERR_DENIED,
			       "thread %d shares its cgroup with others, which cgroup version 2 cannot tell apart",
			       (int)tid);
	}
	return way_of(way, own, home, "cgroup.procs", "", err);
}

int cgroup_go(const struct cgroup *cgroup, const struct cgroup_way *way, pid_t tid, int64_t quota_us, int64_t period_us,
	      struct err *err)
{
	_cleanup_free_ char *control = xasprintf("%s/cgroup.subtree_control", cgroup->cpu);
	_cleanup_free_ char *max = xasprintf("%s/cpu.max", way->group);
	char text[CGROUP_TEXT];

	snprintf(text, sizeof(text), "%lld %lld", (long long)quota_us, (long long)period_us);
	if (way->move && (make_group(way->group) < 0 || write_file(control, "+cpu") < 0 ||
			  write_number(way->group, "cgroup.procs", tid) < 0)) {
		return err_set(err, ERR_DENIED, "cgroup %s: %s", way->group, strerror(errno));
	}
	if (write_file(max, text) < 0) {
		return err_set(err, ERR_DENIED, "%s: %s", max, strerror(errno));
	}
	return 0;
}

void cgroup_remove_own(const struct cgroup *cgroup, pid_t pid)
{
	_cleanup_free_ char *own = own_group(cgroup, pid);

	if (cgroup->version == 2) {
		rmdir(own);
	}
}

/* ---- quota ---- */

int cgroup_quota_of(const struct edf_constraint *constraint, int64_t *quota_us, int64_t *period_us, struct err *err)
{
	double rate = (double)constraint->slice_ns / (double)constraint->period_ns;
	int64_t period = constraint->period_ns / 1000;

	period = period < QUOTA_PERIOD_MIN_US ? QUOTA_PERIOD_MIN_US : period;
	if (rate * (double)period < QUOTA_MIN_US) {
		period = (int64_t)(QUOTA_MIN_US / rate + 0.5);
	}
	period = period > QUOTA_PERIOD_MAX_US ? QUOTA_PERIOD_MAX_US : period;
	if (rate * (double)period < QUOTA_MIN_US - 1) {
		return err_set(err, ERR_PARAMS, "backend quota gives no less than 0.1 %% of a CPU");
	}
	*period_us = period;
	*quota_us = (int64_t)(rate * (double)period + 0.5);
	return 0;
}

static char *quota_group(const struct cgroup *cgroup, uint64_t task, unsigned index)
{
	return xasprintf("%s/" QUOTA "/%llu-%u", cgroup->cpu, (unsigned long long)task, index);
}

int cgroup_move_quota(const struct cgroup *cgroup, pid_t tid, uint64_t task, unsigned index, int64_t quota_us,
		      int64_t period_us, struct err *err)
{
	_cleanup_free_ char *parent = xasprintf("%s/" QUOTA, cgroup->cpu);
	_cleanup_free_ char *group = quota_group(cgroup, task, index);

	/* The quota may never be more than its parent's rate in between: lifted first. */
	if (make_group(parent) < 0 || make_group(group) < 0 || write_number(group, "cpu.cfs_quota_us", -1) < 0 ||
	    write_number(group, "cpu.cfs_period_us", period_us) < 0 ||
	    write_number(group, "cpu.cfs_quota_us", quota_us) < 0) {
		return err_set(err, ERR_DENIED, "cgroup %s: %s; backend quota needs root", group, strerror(errno));
	}
	return move(group, tid, err);
}

void cgroup_remove_quota(const struct cgroup *cgroup, uint64_t task, unsigned index)
{
	_cleanup_free_ char *group = quota_group(cgroup, task, index);

	rmdir(group);
}
