/*
 * Reads /proc and asks the scheduler about single threads. Keeps nothing and decides nothing. What the dispatchers and
 * the watchdog call uses system calls and the stack only.
 */
#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define FLAG_KTHREAD 0x00200000 /* PF_KTHREAD of the kernel's linux/sched.h */

/* linux/sched/types.h, which glibc's sched.h contradicts before 2.41 */
struct deadline_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
#define FLAG_RESET_ON_FORK 1
#define FLAG_RECLAIM 2
#define DEADLINE_LEAST_NS 2000 /* the kernel takes no less than 1024 */

struct stat_line {
	char state;
	uint64_t flags, start_time;
};

/* A small file whole; its length or -1. Only system calls. */
static ssize_t read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		return -1;
	}
	n = read(fd, out, size - 1);
	close(fd);
	if (n >= 0) {
		out[n] = '\0';
	}
	return n;
}

/* proc(5): fields are counted from 1; the name, which may hold anything, ends with the last ')'. */
static int read_stat(pid_t tid, struct stat_line *out)
{
	char path[40], text[1024];
	const char *at;
	unsigned field = 2;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	if (read_file(path, text, sizeof(text)) <= 0 || !(at = strrchr(text, ')'))) {
		return -1;
	}
	while ((at = strchr(at, ' '))) {
		at++;
		field++;
		if (field == 3) {
			out->state = *at;
		} else if (field == 9) {
			out->flags = strtoull(at, NULL, 10);
		} else if (field == 22) {
			out->start_time = strtoull(at, NULL, 10);
			return 0;
		}
	}
	return -1;
}

uint64_t proc_start_time(pid_t tid)
{
	struct stat_line line;

	return tid > 0 && read_stat(tid, &line) == 0 ? line.start_time : 0;
}

int proc_check(pid_t pid, uint64_t start_time, int64_t uid, uint64_t *started, struct err *err)
{
	struct stat_line line;
	struct stat st;
	char path[40];

	if (pid <= 0) {
		return err_set(err, ERR_PARAMS, "%d is no process id", (int)pid);
	}
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (read_stat(pid, &line) < 0 || stat(path, &st) < 0) {
		return err_set(err, ERR_NOT_FOUND, "there is no process %d", (int)pid);
	}
	if (line.flags & FLAG_KTHREAD) {
		return err_set(err, ERR_DENIED, "%d is a thread of the kernel, which schedules its own", (int)pid);
	}
	if (line.state == 'Z' || line.state == 'X') {
		return err_set(err, ERR_NOT_FOUND, "process %d has ended", (int)pid);
	}
	if (start_time && start_time != line.start_time) {
		return err_set(err, ERR_NOT_FOUND, "process %d has ended; its number is another's now", (int)pid);
	}
	if (uid > 0 && (uid_t)uid != st.st_uid) {
		return err_set(err, ERR_DENIED, "process %d belongs to user %u; only root may manage others' processes",
			       (int)pid, (unsigned)st.st_uid);
	}
	*started = line.start_time;
	return 0;
}

int proc_of_thread(pid_t tid, pid_t *pid, struct err *err)
{
	char path[40], text[1024];
	const char *at = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if (tid > 0 && read_file(path, text, sizeof(text)) > 0) {
		at = strstr(text, "\nTgid:");
	}
	if (!at) {
		return err_set(err, ERR_NOT_FOUND, "there is no thread %d", (int)tid);
	}
	*pid = (pid_t)strtol(at + 6, NULL, 10);
	return 0;
}

static void read_name(const char *path, char *out, size_t size)
{
	ssize_t n = read_file(path, out, size);

	out[n > 0 ? strcspn(out, "\n") : 0] = '\0';
}

void proc_name(pid_t pid, char *out, size_t size)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	read_name(path, out, size);
}

int proc_vcpu(const char *name)
{
	char *end;
	long number;

	if (strncmp(name, "CPU ", 4) != 0 || !isdigit((unsigned char)name[4])) {
		return -1;
	}
	number = strtol(name + 4, &end, 10);
	return number < PROC_THREADS && (strcmp(end, "/KVM") == 0 || strcmp(end, "/TCG") == 0) ? (int)number : -1;
}

static int by_tid(const void *a, const void *b)
{
	const struct proc_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

unsigned proc_threads(pid_t pid, struct proc_thread *out, unsigned max)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		int64_t tid;

		if (parse_i64(entry->d_name, 1, INT32_MAX, &tid) < 0) {
			continue;
		}
		if (n < max) {
			out[n].tid = (pid_t)tid;
			snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
			read_name(path, out[n].name, sizeof(out[n].name));
			out[n].vcpu = proc_vcpu(out[n].name);
		}
		n++;
	}
	if (dir) {
		closedir(dir);
	}
	qsort(out, n < max ? n : max, sizeof(*out), by_tid);
	return n;
}

/* ---- scheduling ---- */

int proc_policy_read(pid_t tid, struct proc_policy *out, struct err *err)
{
	struct sched_param param = {0};
	int policy = sched_getscheduler(tid);

	if (policy < 0 || sched_getparam(tid, &param) < 0 ||
	    sched_getaffinity(tid, sizeof(out->affinity), &out->affinity) < 0) {
		return err_set(err, errno == ESRCH ? ERR_NOT_FOUND : ERR_DENIED, "thread %d: %s", (int)tid,
			       errno == ESRCH ? "has ended" : strerror(errno));
	}
	out->reset_on_fork = policy & SCHED_RESET_ON_FORK;
	out->policy = policy & ~SCHED_RESET_ON_FORK;
	out->priority = param.sched_priority;
	if (out->policy == SCHED_DEADLINE) {
		return err_set(err, ERR_CONFLICT, "thread %d has SCHED_DEADLINE already; take that off it first",
			       (int)tid);
	}
	return 0;
}

int proc_fifo(pid_t tid, int priority)
{
	struct sched_param param = {.sched_priority = priority};

	return sched_setscheduler(tid, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

int proc_park(pid_t tid)
{
	struct sched_param param = {0};

	return sched_setscheduler(tid, SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
}

int proc_deadline(pid_t tid, int64_t slice_ns, int64_t period_ns, bool reclaim)
{
	struct deadline_attr attr = {
		.size = sizeof(attr),
		.policy = SCHED_DEADLINE,
		.flags = FLAG_RESET_ON_FORK | (reclaim ? FLAG_RECLAIM : 0),
		.runtime = (uint64_t)slice_ns,
		.deadline = (uint64_t)period_ns,
		.period = (uint64_t)period_ns,
	};
	cpu_set_t all;

	/* The kernel takes no thread that is bound to a part of its CPUs. */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(tid, sizeof(all), &all);
	return (int)syscall(SYS_sched_setattr, tid, &attr, 0);
}

/*
 * Of a thread that sleeps when it leaves SCHED_DEADLINE kernels keep the share until they are started again (seen with
 * 6.18), and soon have none to give: it is to leave with next to nothing.
 */
static void give_up_deadline(pid_t tid)
{
	int policy = sched_getscheduler(tid);

	if (policy >= 0 && (policy & ~SCHED_RESET_ON_FORK) == SCHED_DEADLINE) {
		proc_deadline(tid, DEADLINE_LEAST_NS, 1000000000, false);
	}
}

int proc_policy_restore(pid_t tid, const struct proc_policy *policy)
{
	struct sched_param param = {.sched_priority = policy->priority};
	int flag = policy->reset_on_fork ? SCHED_RESET_ON_FORK : 0;
	int rc;

	give_up_deadline(tid);
	rc = sched_setscheduler(tid, policy->policy | flag, &param);
	/* Without CAP_SYS_NICE the flag stays, and a real-time priority may not come back. */
	if (rc < 0 && errno == EPERM) {
		rc = sched_setscheduler(tid, policy->policy | SCHED_RESET_ON_FORK, &param);
	}
	if (rc < 0 && errno == EPERM) {
		rc = proc_park(tid);
	}
	if (sched_setaffinity(tid, sizeof(policy->affinity), &policy->affinity) < 0) {
		rc = -1;
	}
	return rc;
}

static int open_of_thread(pid_t pid, pid_t tid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int proc_cpu_open(pid_t pid, pid_t tid)
{
	return open_of_thread(pid, tid, "schedstat");
}

/* Per-thread CPU clocks of another process are EINVAL; a perf counter costs 15 us. */
int proc_time(int fd, struct proc_time *out)
{
	char text[96];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	uint64_t number[3] = {0};
	const char *at = text;

	if (n <= 0) {
		return -1;
	}
	text[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(number); i++) {
		for (; *at >= '0' && *at <= '9'; at++) {
			number[i] = number[i] * 10 + (uint64_t)(*at - '0');
		}
		at += *at == ' ';
	}
	*out = (struct proc_time){(int64_t)number[0], (int64_t)number[1], number[2]};
	return 0;
}

int64_t proc_cpu_ns(int fd)
{
	struct proc_time time;

	return proc_time(fd, &time) < 0 ? -1 : time.run_ns;
}

int proc_state_open(pid_t pid, pid_t tid)
{
	return open_of_thread(pid, tid, "stat");
}

/* "123 (name) R ...": the name may have any character, but is short. */
bool proc_ready(int fd)
{
	char text[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	const char *end;

	if (n <= 0) {
		return false;
	}
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && strncmp(end, ") R", 3) == 0;
}

/* ---- sets of CPUs ---- */

static int parse_range(const char *part, long cpus, cpu_set_t *out)
{
	int64_t first, last;
	const char *dash = strchr(part, '-');
	_cleanup_free_ char *head = dash ? strndup(part, (size_t)(dash - part)) : xstrdup(part);

	if (!head || parse_i64(head, 0, cpus - 1, &first) < 0) {
		return -1;
	}
	last = first;
	if (dash && parse_i64(dash + 1, first, cpus - 1, &last) < 0) {
		return -1;
	}
	for (int64_t cpu = first; cpu <= last; cpu++) {
		CPU_SET((size_t)cpu, out);
	}
	return 0;
}

int proc_cpus_parse(const char *text, cpu_set_t *out, struct err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	_cleanup_free_ char *copy = xstrdup(text);
	cpu_set_t set;
	char *rest = copy;

	cpus = cpus < CPU_SETSIZE ? cpus : CPU_SETSIZE;
	CPU_ZERO(&set);
	for (char *part; (part = strsep(&rest, ","));) {
		if (parse_range(part, cpus, &set) < 0) {
			return err_set(err, ERR_PARAMS,
				       "\"%s\" is no list of CPUs, as 0-%ld or 0,1; this machine has %ld", text,
				       cpus - 1, cpus);
		}
	}
	*out = set;
	return 0;
}

void proc_cpus_text(const cpu_set_t *set, char *out, size_t size)
{
	size_t at = 0;

	*out = '\0';
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		size_t last = cpu;
		int n;

		if (!CPU_ISSET(cpu, set)) {
			continue;
		}
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set)) {
			last++;
		}
		n = last > cpu ? snprintf(out + at, size - at, "%s%zu-%zu", at ? "," : "", cpu, last)
			       : snprintf(out + at, size - at, "%s%zu", at ? "," : "", cpu);
		if (n < 0 || (size_t)n >= size - at) {
			return;
		}
		at += (size_t)n;
		cpu = last;
	}
}
