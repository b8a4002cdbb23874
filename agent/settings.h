/* The agent's settings: what agent.conf may hold, and what is measured from the machine where it holds nothing. */
#ifndef TENURE_AGENT_SETTINGS_H
#define TENURE_AGENT_SETTINGS_H

#include "capacity.h"
#include "conf.h"
#include "log.h"
#include "usec.h"

#define SETTINGS_PATH TENURE_SYSCONFDIR "/agent.conf"

/* Members are named after their keys. */
struct agent_settings {
	char *node;
	char *head;
	char *plaintext;
	char *token_file;
	char *listen;
	char *state_dir;
	char *console_dir;
	char *uri;
	char *domain_type;
	char *log_level;
	span_us call_deadline;
	/* [capacity]; 0 = measured */
	int64_t cpu, memory, disk, pool, net_in, net_out;
	int64_t reserve_cpu, reserve_memory, reserve_disk;
	int64_t suspend_rate, resume_rate;
	/* [edf] */
	char *backend;
	char *cpus;
	char *housekeeping;
	char *run_dir;
	int64_t limit;
	int64_t tasks;
	int64_t miss_threshold;
	bool strict;
	/* [stage] */
	char *ca_file;
	int64_t max_size;
	int64_t parallel;
	span_us connect_timeout;
	span_us stall_timeout;
	int64_t stall_rate;
};

extern const struct setting settings_table[];
extern const size_t settings_count;

/*
 * Reads path over the defaults (NULL: only these) and checks it. On failure err names file, line and key, and settings
 * is untouched. The caller frees with settings_free().
 */
int settings_load(const char *path, struct agent_settings *settings, struct err *err);
void settings_free(struct agent_settings *settings);
enum log_level settings_log_level(const struct agent_settings *settings);

/* What the node offers to guests, and its image pool in bytes. */
struct settings_capacity {
	struct capacity capacity;
	int64_t pool;
};

/*
 * Fills in what the settings leave open: CPU (managed millicores, or, if that is 0, the machine's) and memory of the
 * machine less the reserve; of the file system that holds
 * state_dir (which must exist) less the reserve, a quarter for the pool and the rest for guests; the rate of the
 * fastest network interface, or 1 Gbit/s if none tells. Fails if nothing is left after the reserve.
 */
int settings_measure(const struct agent_settings *settings, int64_t managed, struct settings_capacity *out,
		     struct err *err);

#endif
