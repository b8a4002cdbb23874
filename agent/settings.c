/*
 * The agent's settings table, the checks that span more than one row, and measuring the machine. Reading files is
 * lib/conf.c's; what the settings mean is said in tenure-agent.conf(5), which a test compares with this table.
 */
#include "settings.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "address.h"
#include "engine.h"
#include "util.h"

#define GIGABIT INT64_C(125000000) /* bytes per second */
#define RATE_MAX (INT64_C(1) << 50)
#define SIZE_MAX_BYTES (INT64_C(1) << 60)

#define ROW(section, name, type, value, min, max, reloadable, help, check)                                            \
	{                                                                                                             \
		section, #name, type, offsetof(struct agent_settings, name), value, min, max, reloadable, help, check \
	}
#define AGENT(name, type, value, min, max, reloadable, help) \
	ROW("agent", name, type, value, min, max, reloadable, help, NULL)
#define AGENT_CHECKED(name, type, value, min, max, reloadable, help, check) \
	ROW("agent", name, type, value, min, max, reloadable, help, check)
#define CAPACITY(name, type, value, min, max, help) ROW("capacity", name, type, value, min, max, false, help, NULL)
#define EDF(name, type, value, min, max, help, check) ROW("edf", name, type, value, min, max, false, help, check)
#define STAGE(name, type, value, min, max, help) ROW("stage", name, type, value, min, max, true, help, NULL)

/* ---- what a row's type and range do not say ---- */

static int check_node(const char *text, struct err *err)
{
	return *text && !name_valid(text)
		       ? err_set(err, ERR_PARAMS,
				 "\"%s\" is not a name: 1 to 63 of letters, digits, \".\", \"_\", \"-\"", text)
		       : 0;
}

static int check_head(const char *text, struct err *err)
{
	struct address address;

	return address_parse(text, &address, err);
}

/* What other nodes are told is this very text. */
static int check_listen(const char *text, struct err *err)
{
	struct address address;

	if (!*text) {
		return 0;
	}
	if (address_parse(text, &address, err) < 0) {
		return -1;
	}
	if (address.sa.ss_family == AF_UNIX || strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0) {
		return err_set(err, ERR_PARAMS, "\"%s\" is no address that other nodes could be given", text);
	}
	return 0;
}

static int check_domain_type(const char *text, struct err *err)
{
	return strcmp(text, "auto") != 0 && strcmp(text, "kvm") != 0 && strcmp(text, "qemu") != 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" is none of auto, kvm, qemu", text)
		       : 0;
}

static int check_backend(const char *text, struct err *err)
{
	enum engine_backend backend;

	return engine_backend_parse(text, &backend) < 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" is none of edf, deadline, quota, none", text)
		       : 0;
}

static int check_level(const char *text, struct err *err)
{
	enum log_level level;

	return log_level_parse(text, &level) < 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" is none of error, warning, info, debug", text)
		       : 0;
}

const struct setting settings_table[] = {
	AGENT_CHECKED(node, SETTING_STRING, "", 0, 63, false,
		      "name of this node; empty: the host name up to its first dot", check_node),
	AGENT_CHECKED(head, SETTING_STRING, "unix:/run/tenure/tenured.sock", 1, 255, false,
		      "address of the head: HOST:PORT, [IPv6]:PORT or unix:/path", check_head),
	AGENT_CHECKED(plaintext, SETTING_LIST, "", 0, 4096, false,
		      "networks where TCP without TLS is allowed, as 10.0.0.0/8; loopback always is",
		      address_networks_check),
	AGENT(token_file, SETTING_PATH, "", 0, 0, false,
	      "file with the secret shown to the head; needed over TCP, not over a unix socket"),
	AGENT_CHECKED(
		listen, SETTING_STRING, "", 0, 255, false,
		"HOST:PORT where other agents fetch suspended guests that go on there; empty: none leave this node",
		check_listen),
	AGENT(state_dir, SETTING_PATH, "/var/lib/tenure-agent", 1, 0, false,
	      "folder of the book, the image pool and the guests' files"),
	AGENT(console_dir, SETTING_PATH, "", 0, 0, false,
	      "folder of the guests' serial logs; empty: STATE_DIR/console"),
	AGENT(uri, SETTING_STRING, "qemu:///system", 1, 255, false, "libvirt's URI"),
	AGENT_CHECKED(domain_type, SETTING_STRING, "auto", 1, 16, false, "auto, kvm or qemu; auto: kvm where it works",
		      check_domain_type),
	AGENT_CHECKED(log_level, SETTING_STRING, "info", 1, 16, true, "error, warning, info or debug", check_level),
	AGENT(call_deadline, SETTING_SPAN, "30s", 100 * USEC_PER_MSEC, USEC_PER_HOUR, false,
	      "a call to libvirt that takes longer marks the node as degraded"),
	CAPACITY(cpu, SETTING_CPU, "0", 0, INT64_C(1000000000),
		 "cores for guests; 0: those of the machine less reserve_cpu"),
	CAPACITY(memory, SETTING_SIZE, "0", 0, SIZE_MAX_BYTES,
		 "memory for guests; 0: that of the machine less reserve_memory"),
	CAPACITY(disk, SETTING_SIZE, "0", 0, SIZE_MAX_BYTES,
		 "working space for guests; 0: what is free now less reserve_disk and the pool"),
	CAPACITY(pool, SETTING_SIZE, "0", 0, SIZE_MAX_BYTES,
		 "limit of the image pool; 0: a quarter of what is free less reserve_disk"),
	CAPACITY(net_in, SETTING_SIZE, "0", 0, RATE_MAX,
		 "bytes per second into the node; 0: the fastest interface's rate"),
	CAPACITY(net_out, SETTING_SIZE, "0", 0, RATE_MAX,
		 "bytes per second out of the node; 0: the fastest interface's rate"),
	CAPACITY(reserve_cpu, SETTING_CPU, "0", 0, INT64_C(1000000000), "cores kept back when cpu is measured"),
	CAPACITY(reserve_memory, SETTING_SIZE, "512M", 0, SIZE_MAX_BYTES, "memory kept back when memory is measured"),
	CAPACITY(reserve_disk, SETTING_SIZE, "1G", 0, SIZE_MAX_BYTES,
		 "disk space kept back when disk or pool is measured"),
	CAPACITY(suspend_rate, SETTING_SIZE, "50M", 1, RATE_MAX, "bytes of guest memory saved per second"),
	CAPACITY(resume_rate, SETTING_SIZE, "100M", 1, RATE_MAX, "bytes of guest memory restored per second"),
	EDF(backend, SETTING_STRING, "edf", 1, 16,
	    "edf, deadline, quota or none: by what means slices and periods are kept, as far as permitted",
	    check_backend),
	EDF(cpus, SETTING_STRING, "", 0, 255, "CPUs for guests with slices, as 1-3,5; empty: all but housekeeping",
	    NULL),
	EDF(housekeeping, SETTING_STRING, "", 0, 255,
	    "CPUs for QEMU's other threads, as 0; empty: those that are not in cpus", NULL),
	EDF(run_dir, SETTING_PATH, "/run/tenure-edf", 1, 0, "folder of the scheduler's table and calibration", NULL),
	EDF(limit, SETTING_INT, "90", 1, 100, "per cent of each CPU that may be promised by slices", NULL),
	EDF(tasks, SETTING_INT, "0", 0, 100,
	    "per cent of each CPU, out of limit, for tasks of tenure-edf; 0: none, and no socket for them", NULL),
	EDF(miss_threshold, SETTING_INT, "1", 1, 100, "per cent of a guest's periods: an event if more are missed",
	    NULL),
	EDF(strict, SETTING_BOOL, "no", 0, 0, "guests get nothing beyond their slices, even if nobody else wants it",
	    NULL),
	ROW("stage", ca_file, SETTING_PATH, "", 0, 0, false,
	    "file of the certificates that image servers are trusted by; empty: the system's", NULL),
	STAGE(max_size, SETTING_SIZE, "1T", 1, SIZE_MAX_BYTES, "greatest file fetched into the pool"),
	STAGE(parallel, SETTING_INT, "2", 1, 64, "files fetched at the same time"),
	STAGE(connect_timeout, SETTING_SPAN, "10s", 100 * USEC_PER_MSEC, USEC_PER_HOUR,
	      "time to reach an image server"),
	STAGE(stall_timeout, SETTING_SPAN, "20s", USEC_PER_SEC, USEC_PER_HOUR,
	      "a transfer slower than stall_rate for this long is broken off and resumed"),
	STAGE(stall_rate, SETTING_SIZE, "4K", 1, RATE_MAX, "bytes per second below which a transfer has stalled"),
};
const size_t settings_count = ARRAY_SIZE(settings_table);

static void fill_in(struct agent_settings *settings)
{
	if (!*settings->node) {
		char host[256] = "";

		gethostname(host, sizeof(host) - 1);
		host[strcspn(host, ".")] = '\0';
		free(settings->node);
		settings->node = xstrdup(host);
	}
	if (!*settings->console_dir && *settings->state_dir) {
		free(settings->console_dir);
		settings->console_dir = xasprintf("%s/console", settings->state_dir);
	}
}

int settings_load(const char *path, struct agent_settings *settings, struct err *err)
{
	struct agent_settings loaded = {0};

	if (conf_load(settings_table, settings_count, path, &loaded, err) < 0) {
		return -1;
	}
	fill_in(&loaded);
	/* The host's name is as much from outside as the file. */
	if (check_node(loaded.node, err) < 0 || !*loaded.node) {
		settings_free(&loaded);
		return err_set(err, ERR_PARAMS, "the host has no name that would do for a node: set \"node\"%s%s",
			       path ? " in " : "", path ? path : "");
	}
	if (*loaded.listen && !*loaded.token_file) {
		settings_free(&loaded);
		return err_set(err, ERR_PARAMS, "listen: needs token_file: guests are handed to nobody without it");
	}
	*settings = loaded;
	return 0;
}

void settings_free(struct agent_settings *settings)
{
	conf_free(settings_table, settings_count, settings);
}

enum log_level settings_log_level(const struct agent_settings *settings)
{
	enum log_level level = LOG_LEVEL_INFO;

	log_level_parse(settings->log_level, &level);
	return level;
}

/* The CPUs this process may use: fewer than the machine's inside a container. */
static int64_t machine_cpu(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0) {
		return (int64_t)CPU_COUNT(&set) * 1000;
	}
	return (int64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000;
}

static int64_t machine_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 ? (int64_t)info.totalram * info.mem_unit : 0;
}

static int64_t own_bytes;

static int add_own(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)path;
	(void)walk;
	if (type == FTW_F) {
		own_bytes += (int64_t)st->st_blocks * 512;
	}
	return 0;
}

/* What pool and guests take already counts as free: a restart must not make the node look smaller. */
static int machine_disk(const char *dir, int64_t *out, struct err *err)
{
	struct statvfs fs;

	own_bytes = 0;
	if (statvfs(dir, &fs) < 0 || nftw(dir, add_own, 16, FTW_PHYS | FTW_MOUNT) != 0) {
		return err_set(err, ERR_INTERNAL, "cannot measure the disk at %s: %s", dir, strerror(errno));
	}
	*out = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize + own_bytes;
	return 0;
}

/* Virtual interfaces and those without a link tell no speed, or -1. */
static int64_t machine_net(void)
{
	DIR *dir = opendir("/sys/class/net");
	int64_t best = 0;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		_cleanup_free_ char *path = xasprintf("/sys/class/net/%s/speed", entry->d_name);
		_cleanup_free_ char *text = entry->d_name[0] == '.' ? NULL : file_read(path, 64, NULL);
		int64_t megabits;

		if (!text) {
			continue;
		}
		text[strcspn(text, "\n")] = '\0';
		if (parse_i64(text, 1, 10 * 1000 * 1000, &megabits) == 0 && megabits * 125000 > best) {
			best = megabits * 125000;
		}
	}
	if (dir) {
		closedir(dir);
	}
	return best ? best : GIGABIT;
}

static int less_reserve(const char *key, int64_t have, int64_t reserve, int64_t *out, struct err *err)
{
	if (have <= reserve) {
		return err_set(err, ERR_LIMIT,
			       "%s: the machine has no more than reserve_%s keeps back; set %s or a smaller reserve",
			       key, key, key);
	}
	*out = have - reserve;
	return 0;
}

static int measure_disk(const struct agent_settings *settings, int64_t *disk, int64_t *pool, struct err *err)
{
	int64_t bytes = 0, left = 0;

	*disk = settings->disk;
	*pool = settings->pool;
	if (*disk && *pool) {
		return 0;
	}
	if (machine_disk(settings->state_dir, &bytes, err) < 0 ||
	    less_reserve("disk", bytes, settings->reserve_disk, &left, err) < 0) {
		return -1;
	}
	if (!*pool) {
		*pool = left / 4;
	}
	if (!*disk) {
		return less_reserve("disk", left, *pool, disk, err);
	}
	return 0;
}

int settings_measure(const struct agent_settings *settings, int64_t managed, struct settings_capacity *out,
		     struct err *err)
{
	int64_t cpu = settings->cpu, memory = settings->memory, disk, pool;

	if ((!cpu && less_reserve("cpu", managed ? managed : machine_cpu(), settings->reserve_cpu, &cpu, err) < 0) ||
	    (!memory && less_reserve("memory", machine_memory(), settings->reserve_memory, &memory, err) < 0) ||
	    measure_disk(settings, &disk, &pool, err) < 0) {
		return -1;
	}
	*out = (struct settings_capacity){.pool = pool};
	out->capacity.amount[RES_CPU] = cpu;
	out->capacity.amount[RES_MEMORY] = memory;
	out->capacity.amount[RES_DISK] = disk;
	out->capacity.amount[RES_NET_IN] = settings->net_in ? settings->net_in : machine_net();
	out->capacity.amount[RES_NET_OUT] = settings->net_out ? settings->net_out : machine_net();
	return 0;
}
