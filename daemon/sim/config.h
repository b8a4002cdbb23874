/* What a simulation is made of: the cluster, the planner's choices and what is done to the workload, as settings. */
#ifndef TENURE_SIM_CONFIG_H
#define TENURE_SIM_CONFIG_H

#include "conf.h"
#include "plan.h"

#define CONFIG_NODES_MAX 100000 /* of a cluster: ten times what is measured */

/* Rates of 0 cost no time at all. Strings are the config's; config_free() frees them. */
struct sim_config {
	/* [cluster] */
	char *nodes;
	int64_t cpu, memory, disk, net_in, net_out, pool;
	int64_t suspend_rate, resume_rate, repository_rate;
	/* [plan] */
	span_us lead, prepare, stop, suspend_fixed, resume_fixed, min_run, grace, late, stage_ahead, share_half;
	int64_t best_effort_rate, backfill_depth, price_rate, worth;
	bool multicast, learn;
	char *staging, *suspension, *exclusion, *migration, *disks, *backfill;
	char *queue, *host, *victim, *admission, *price;
	/* [workload] */
	char *images;
	int64_t image_count, image_size;
	char *reuse;
	bool share_serial, predeployed;
	char *runtime_overhead, *overhead, *serial;
	span_us boot;
	span_us quantum;
	int64_t vm_cpu, vm_memory, vm_disk;
	int64_t seed;
	/* [output] */
	span_us interval;
};

extern const struct setting config_table[];
extern const size_t config_count;

/*
 * The profile's values, then the file's (path NULL: none), then each "KEY=VALUE" or "SECTION.KEY=VALUE" of sets, in
 * order; "configuration=NAME" stands for what the profile calls so. On failure *config holds nothing to be freed.
 */
int config_load(const char *profile, const char *path, const char *const *sets, size_t n, struct sim_config *config,
		struct err *err);
void config_free(struct sim_config *config);

/* The planner's part. */
struct plan_settings config_plan(const struct sim_config *config);
/* The nodes, ids from 1; the caller frees them. */
struct node_info *config_nodes(const struct sim_config *config, uint32_t *count);
/* The runtime overhead in millionths: 50000 is 5 %. */
int64_t config_overhead(const struct sim_config *config);

#endif
