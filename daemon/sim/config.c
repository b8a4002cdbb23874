/* The simulator's settings table, and what the planner and the cluster get of it. Profiles are profile.c's. */
#include "config.h"

#include <string.h>

#include "conf_value.h"
#include "policy.h"
#include "profile.h"
#include "settings.h"
#include "util.h"
#include "when.h"

#define RATE_MAX (INT64_C(1) << 50)
#define SIZE_MAX_BYTES (INT64_C(1) << 50)

/* ---- what a row's type and range do not say ---- */

/* Rates of 0 cost no time. */
static int64_t rate(int64_t bytes)
{
	return bytes ? bytes : INT64_MAX;
}

/* The member of that name which holds bytes; NULL if there is none. */
static int64_t *node_member(const char *name, struct node_info *node)
{
	static const char *const of_capacity[RES_COUNT] = {
		[RES_MEMORY] = "memory", [RES_DISK] = "disk", [RES_NET_IN] = "net_in", [RES_NET_OUT] = "net_out"};

	for (int r = 0; r < RES_COUNT; r++) {
		if (of_capacity[r] && strcmp(name, of_capacity[r]) == 0) {
			return &node->capacity.amount[r];
		}
	}
	return strcmp(name, "pool") == 0           ? &node->pool_bytes
	       : strcmp(name, "suspend_rate") == 0 ? &node->suspend_rate
	       : strcmp(name, "resume_rate") == 0  ? &node->resume_rate
						   : NULL;
}

/* One of the nodes' own values, "memory:2GiB". */
static int node_value(const char *text, struct node_info *node, struct err *err)
{
	_cleanup_free_ char *word = xstrdup(text);
	char *value = strchr(word, ':');
	int64_t n;

	if (!value) {
		return err_set(err, ERR_PARAMS, "\"%s\" is not KEY:VALUE, as memory:2GiB", text);
	}
	*value++ = '\0';
	if (strcmp(word, "cpu") == 0) {
		return when_parse_cpu(value, &node->capacity.amount[RES_CPU], err);
	}
	int64_t *member = node_member(word, node);
	if (!member) {
		return err_set(err, ERR_PARAMS,
			       "nodes have no \"%s\": cpu, memory, disk, net_in, net_out, pool, suspend_rate, "
			       "resume_rate",
			       word);
	}
	if (when_parse_size(value, &n, err) < 0) {
		return -1;
	}
	if (member == &node->capacity.amount[RES_MEMORY] && n == 0) {
		return err_set(err, ERR_PARAMS, "nodes without memory can run nothing: give memory");
	}
	bool is_rate = member == &node->suspend_rate || member == &node->resume_rate;
	*member = is_rate ? rate(n) : n;
	return 0;
}

/* "100" or "44(cpu:2,memory:2GiB)": how many, and what is different about them. */
static int node_group(char *word, int64_t *count, struct node_info *node, struct err *err)
{
	char *values = strchr(word, '('), *save = NULL;

	if (values) {
		size_t len = strlen(values);
		if (values[len - 1] != ')') {
			return err_set(err, ERR_PARAMS, "\"%s\" has no closing bracket (spaces separate groups)", word);
		}
		values[len - 1] = '\0';
		*values++ = '\0';
	}
	if (parse_i64(word, 1, CONFIG_NODES_MAX, count) < 0) {
		return err_set(err, ERR_PARAMS,
			       "\"%s\" is not a number of nodes from 1 to %d, as 144 or 100 44(cpu:2,memory:2GiB)",
			       word, CONFIG_NODES_MAX);
	}
	for (char *item = values ? strtok_r(values, ",", &save) : NULL; item; item = strtok_r(NULL, ",", &save)) {
		if (node_value(item, node, err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Appends the groups of text to nodes (NULL: only checks and counts), each beginning as first. */
static int node_groups(const char *text, const struct node_info *first, struct node_info *nodes, uint32_t *count,
		       struct err *err)
{
	_cleanup_free_ char *words = xstrdup(text);
	char *save = NULL;

	*count = 0;
	for (char *word = strtok_r(words, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		struct node_info node = *first;
		int64_t n = 0;
		if (node_group(word, &n, &node, err) < 0) {
			return -1;
		}
		if (*count + n > CONFIG_NODES_MAX) {
			return err_set(err, ERR_PARAMS, "more than %d nodes", CONFIG_NODES_MAX);
		}
		for (; n > 0; n--) {
			node.id = ++*count;
			if (nodes) {
				nodes[node.id - 1] = node;
			}
		}
	}
	return *count ? 0 : err_set(err, ERR_PARAMS, "a cluster of no nodes can run nothing: write nodes = 144");
}

static int check_nodes(const char *text, struct err *err)
{
	struct node_info node = {0};
	uint32_t count;

	return node_groups(text, &node, NULL, &count, err);
}

static int parse_percent(const char *text, int64_t *millionths)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || strcmp(end, "%") != 0 || !(value >= 0 && value <= 1000)) {
		return -1;
	}
	*millionths = (int64_t)(value * 1e4 + 0.5);
	return 0;
}

static int check_percent(const char *text, struct err *err)
{
	int64_t ignored;

	return parse_percent(text, &ignored) < 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" is not a percentage from 0%% to 1000%%, as 5%%", text)
		       : 0;
}

static int check_word(const char *text, const char *words, struct err *err)
{
	size_t len = strlen(text);

	for (const char *at = strstr(words, text); at && len; at = strstr(at + 1, text)) {
		bool begins = at == words || at[-1] == ' ';
		if (begins && (at[len] == ',' || at[len] == '\0') && !strchr(text, ' ')) {
			return 0;
		}
	}
	return err_set(err, ERR_PARAMS, "\"%s\" is none of %s", text, words);
}

#define CHECK_WORD(name, words)                                    \
	static int check_##name(const char *text, struct err *err) \
	{                                                          \
		return check_word(text, words, err);               \
	}
CHECK_WORD(images, "trace, uniform, skewed, single")
CHECK_WORD(overhead, "none, best-effort, all")
CHECK_WORD(serial, "trace, yes, no")
CHECK_WORD(reuse, "yes, no, transfers")

#define CHECK_POLICY(name, set)                                    \
	static int check_##name(const char *text, struct err *err) \
	{                                                          \
		return settings_check_policy(set, text, err);      \
	}
CHECK_POLICY(queue, POLICY_QUEUE)
CHECK_POLICY(host, POLICY_HOST)
CHECK_POLICY(victim, POLICY_VICTIM)
CHECK_POLICY(admission, POLICY_ADMISSION)
CHECK_POLICY(price, POLICY_PRICE)
CHECK_POLICY(backfill, POLICY_BACKFILL)
CHECK_POLICY(suspension, POLICY_SUSPENSION)
CHECK_POLICY(exclusion, POLICY_EXCLUSION)
CHECK_POLICY(migration, POLICY_MIGRATION)
CHECK_POLICY(disks, POLICY_DISKS)
CHECK_POLICY(staging, POLICY_STAGING)

/* ---- the table ---- */

#define ROW(section, name, type, value, min, max, check, help)                                               \
	{                                                                                                    \
		section, #name, type, offsetof(struct sim_config, name), value, min, max, false, help, check \
	}
#define SPAN(section, name, value, help) ROW(section, name, SETTING_SPAN, value, 0, 365 * USEC_PER_DAY, NULL, help)
#define WORD(section, name, value, help) ROW(section, name, SETTING_STRING, value, 1, 64, check_##name, help)
#define RATE(section, name, value, help) ROW(section, name, SETTING_SIZE, value, 0, RATE_MAX, NULL, help)

const struct setting config_table[] = {
	ROW("cluster", nodes, SETTING_LIST, "144", 1, 4096, check_nodes,
	    "how many; groups that differ with what is different: 100 44(cpu:2,memory:2GiB)"),
	ROW("cluster", cpu, SETTING_CPU, "1", 1, 1000 * INT64_C(100000), NULL, "cores of a node"),
	ROW("cluster", memory, SETTING_SIZE, "1GiB", 1, SIZE_MAX_BYTES, NULL, "memory of a node"),
	ROW("cluster", disk, SETTING_SIZE, "1TiB", 0, SIZE_MAX_BYTES, NULL, "working space of a node"),
	ROW("cluster", net_in, SETTING_SIZE, "125MB", 0, RATE_MAX, NULL, "guests' network into a node, bytes a second"),
	ROW("cluster", net_out, SETTING_SIZE, "125MB", 0, RATE_MAX, NULL, "and out of it"),
	ROW("cluster", pool, SETTING_SIZE, "20GiB", 0, SIZE_MAX_BYTES, NULL, "image pool of a node"),
	RATE("cluster", suspend_rate, "50MiB", "guest memory saved, bytes a second; 0: no time"),
	RATE("cluster", resume_rate, "50MiB", "guest memory restored, bytes a second; 0: no time"),
	RATE("cluster", repository_rate, "10MiB", "images out of the repository, bytes a second; 0: no time"),
	SPAN("plan", lead, "1s", "nothing is planned to begin sooner than this after now"),
	SPAN("plan", prepare, "5s", "creating a guest"),
	SPAN("plan", stop, "2s", "stopping a guest"),
	SPAN("plan", suspend_fixed, "1s", "fixed part of suspending a guest"),
	SPAN("plan", resume_fixed, "1s", "fixed part of resuming a guest"),
	SPAN("plan", min_run, "30s", "a best-effort lease is not started for less than this before a suspension"),
	ROW("plan", worth, SETTING_INT, "0", 0, 100, NULL,
	    "nor where it is there for less than so many times what bringing and saving it take"),
	SPAN("plan", grace, "1m", "a guest nothing is heard of counts as ended this long after its time"),
	SPAN("plan", late, "1s", "a start later than this breaks the promise of a reservation"),
	SPAN("plan", stage_ahead, "1d",
	     "images of reservations are brought from that long ahead while nothing else is"),
	RATE("plan", best_effort_rate, "0B",
	     "bytes a second of a link of their own for best-effort leases; 0: one link"),
	ROW("plan", multicast, SETTING_BOOL, "no", 0, 0, NULL, "one transfer reaches any number of nodes"),
	WORD("plan", staging, "edf-jit", "when a promised image is sent: edf-jit, edf, jit, aggressive, job"),
	WORD("plan", suspension, "all", "who may be suspended: none, serial, all"),
	ROW("plan", learn, SETTING_BOOL, "no", 0, 0, NULL, "what suspending takes is learnt from what it took"),
	WORD("plan", exclusion, "local", "one suspension at a time on each node, or of all: local, global"),
	WORD("plan", migration, "no", "suspended guests may go on elsewhere: no, yes, free, aside"),
	WORD("plan", disks, "overlay",
	     "of guests: a layer over the image in the pool, or a whole copy that moves with them: overlay, whole"),
	WORD("plan", backfill, "aggressive",
	     "who may overtake: none, first-fit, aggressive, intermediate, conservative"),
	ROW("plan", backfill_depth, SETTING_INT, "1", 1, 1000000, NULL, "reservations of the queue when intermediate"),
	WORD("plan", queue, "trial", "order of the queue"),
	ROW("plan", share_half, SETTING_SPAN, "7d", USEC_PER_SEC, 3650 * USEC_PER_DAY, NULL,
	    "queue = fair: what was used that long ago counts half"),
	WORD("plan", host, "image", "choice of nodes"),
	WORD("plan", victim, "youngest", "who is preempted first"),
	WORD("plan", admission, "all", "whose requests are considered"),
	WORD("plan", price, "free", "what leases cost"),
	ROW("plan", price_rate, SETTING_INT, "0", 0, INT64_C(1) << 40, NULL, "credits for an hour of a core"),
	WORD("workload", images, "trace", "as the trace names them, or drawn: trace, uniform, skewed, single"),
	ROW("workload", image_count, SETTING_INT, "37", 1, 1000000, NULL, "images to draw from"),
	ROW("workload", image_size, SETTING_SIZE, "4GiB", 1, SIZE_MAX_BYTES, NULL,
	    "of an image of which the trace says none"),
	WORD("workload", reuse, "yes",
	     "leases share images; transfers: only those that come together; no: each has one of its own"),
	ROW("workload", share_serial, SETTING_BOOL, "no", 0, 0, NULL,
	    "without reuse: the VMs of a serial lease share an image where they meet; no: each has one of its own"),
	ROW("workload", predeployed, SETTING_BOOL, "no", 0, 0, NULL,
	    "images are everywhere from the beginning, at no cost"),
	ROW("workload", runtime_overhead, SETTING_STRING, "5%", 1, 16, check_percent,
	    "what virtual machines add to run times"),
	SPAN("workload", boot, "20s", "what booting and shutting down add to a run time"),
	WORD("workload", overhead, "best-effort", "to whose run times both are added: none, best-effort, all"),
	SPAN("workload", quantum, "0s", "best-effort run times are rounded up to a multiple of this; 0s: are not"),
	WORD("workload", serial, "trace", "best-effort VMs are placed one by one: trace, yes, no"),
	ROW("workload", vm_cpu, SETTING_CPU, "1", 1, 1000 * INT64_C(100000), NULL,
	    "of VMs of which the trace says none"),
	ROW("workload", vm_memory, SETTING_SIZE, "1GiB", 1, SIZE_MAX_BYTES, NULL,
	    "of VMs of which the trace says none"),
	ROW("workload", vm_disk, SETTING_SIZE, "0B", 0, SIZE_MAX_BYTES, NULL, "of VMs of which the trace says none"),
	ROW("workload", seed, SETTING_INT, "1", 0, INT64_MAX, NULL, "of everything that is drawn"),
	ROW("output", interval, SETTING_SPAN, "1h", USEC_PER_SEC, 365 * USEC_PER_DAY, NULL, "of intervals.csv"),
};
const size_t config_count = ARRAY_SIZE(config_table);

/* ---- loading ---- */

static const struct setting *find_row(const char *key)
{
	const char *dot = strchr(key, '.');
	size_t section = dot ? (size_t)(dot - key) : 0;

	for (size_t i = 0; i < config_count; i++) {
		const struct setting *row = &config_table[i];
		bool here = !dot || (strlen(row->section) == section && strncmp(row->section, key, section) == 0);
		if (here && strcmp(row->key, dot ? dot + 1 : key) == 0) {
			return row;
		}
	}
	return NULL;
}

static int split(const char *set, char **key, const char **value, struct err *err)
{
	const char *equals = strchr(set, '=');

	if (!equals || equals == set) {
		return err_set(err, ERR_PARAMS, "\"%s\" is not KEY=VALUE", set);
	}
	*key = xasprintf("%.*s", (int)(equals - set), set);
	*value = equals + 1;
	return 0;
}

static int set_one(const char *set, struct sim_config *config, struct err *err)
{
	_cleanup_free_ char *key = NULL;
	const char *value = NULL;

	if (split(set, &key, &value, err) < 0) {
		return -1;
	}
	const struct setting *row = find_row(key);
	if (!row) {
		return err_set(err, ERR_PARAMS, "there is no setting \"%s\": --print-config shows all", key);
	}
	return conf_value_parse(row, value, config, err);
}

static int set_words(const char *sets, struct sim_config *config, struct err *err)
{
	_cleanup_free_ char *words = xstrdup(sets);
	char *save = NULL;

	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (set_one(word, config, err) < 0) {
			return err_prefix(err, "%s", word);
		}
	}
	return 0;
}

static int set_configuration(const struct profile *profile, const char *name, struct sim_config *config,
			     struct err *err)
{
	char known[256] = "";

	for (size_t i = 0; i < profile->choices; i++) {
		if (strcmp(profile->choice[i].name, name) == 0) {
			return set_words(profile->choice[i].sets, config, err);
		}
		size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", profile->choice[i].name);
	}
	return *known ? err_set(err, ERR_PARAMS, "profile %s has no configuration \"%s\", but %s", profile->name, name,
				known)
		      : err_set(err, ERR_PARAMS, "profile %s has no configurations", profile->name);
}

static int apply_sets(const struct profile *profile, const char *const *sets, size_t n, struct sim_config *config,
		      struct err *err)
{
	static const char word[] = "configuration=";

	for (size_t i = 0; i < n; i++) {
		bool choice = strncmp(sets[i], word, sizeof(word) - 1) == 0;
		int bad = choice ? set_configuration(profile, sets[i] + sizeof(word) - 1, config, err)
				 : set_one(sets[i], config, err);
		if (bad) {
			return err_prefix(err, "--set %s", sets[i]);
		}
	}
	return 0;
}

/* The table with the profile's values for defaults; the caller frees it and *words, into which it points. */
static struct setting *table_of(const struct profile *profile, char **words)
{
	struct setting *table = xcalloc(config_count, sizeof(*table));
	char *save = NULL;

	memcpy(table, config_table, sizeof(config_table));
	*words = xstrdup(profile->sets);
	for (char *word = strtok_r(*words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		*value++ = '\0';
		table[find_row(word) - config_table].value = value;
	}
	return table;
}

/* True if images have to be brought, and all are of image_size. */
static bool brings_images(const struct sim_config *config)
{
	return !config->predeployed && strcmp(config->images, "trace") != 0;
}

/* What spans more than one row. */
static int check_config(const struct sim_config *config, struct err *err)
{
	uint32_t count;
	_cleanup_free_ struct node_info *nodes = config_nodes(config, &count);
	struct capacity vm = {{[RES_CPU] = config->vm_cpu, [RES_MEMORY] = config->vm_memory}};
	bool room = false, pool = !brings_images(config);

	for (uint32_t i = 0; i < count; i++) {
		room = room || capacity_fits(vm, nodes[i].capacity);
		pool = pool || nodes[i].pool_bytes >= config->image_size;
	}
	if (!room) {
		return err_set(err, ERR_PARAMS,
			       "no node has room for one VM of vm_cpu and vm_memory: give nodes more, or VMs less");
	}
	return pool ? 0
		    : err_set(err, ERR_PARAMS,
			      "no node's pool has room for an image of image_size: make pools "
			      "larger, or images smaller");
}

int config_load(const char *profile_name, const char *path, const char *const *sets, size_t n,
		struct sim_config *config, struct err *err)
{
	const struct profile *profile = profile_find(profile_name);
	_cleanup_free_ char *words = NULL;
	struct sim_config loaded = {0};

	if (!profile) {
		return err_set(err, ERR_PARAMS, "there is no profile \"%s\": hpdc08, msc or default", profile_name);
	}
	_cleanup_free_ struct setting *table = table_of(profile, &words);
	if (conf_load(table, config_count, path, &loaded, err) < 0) {
		return -1;
	}
	if (apply_sets(profile, sets, n, &loaded, err) < 0) {
		config_free(&loaded);
		return -1;
	}
	if (check_config(&loaded, err) < 0) {
		config_free(&loaded);
		return path ? err_prefix(err, "%s", path) : -1;
	}
	*config = loaded;
	return 0;
}

void config_free(struct sim_config *config)
{
	conf_free(config_table, config_count, config);
}

/* ---- what is made of it ---- */

struct plan_settings config_plan(const struct sim_config *config)
{
	struct plan_settings plan = plan_defaults();

	plan.lead_us = config->lead;
	plan.prepare_us = config->prepare;
	plan.stop_us = config->stop;
	plan.suspend_us = config->suspend_fixed;
	plan.resume_us = config->resume_fixed;
	plan.min_run_us = config->min_run;
	plan.worth = (uint32_t)config->worth;
	plan.grace_us = config->grace;
	plan.late_us = config->late;
	plan.stage_ahead_us = config->stage_ahead;
	plan.repository_rate = rate(config->repository_rate);
	plan.best_effort_rate = config->best_effort_rate;
	plan.multicast = config->multicast;
	plan.backfill_depth = (uint32_t)config->backfill_depth;
	plan.queue = policy_queue(config->queue);
	plan.share_half_us = config->share_half;
	plan.host = policy_host(config->host);
	plan.victim = policy_victim(config->victim);
	plan.admission = policy_admission(config->admission);
	plan.price = policy_price(config->price);
	plan.price_rate = config->price_rate;
	/* The rows' checks have seen to it that each is the name of something. */
	plan.staging = (enum staging)policy_find(POLICY_STAGING, config->staging);
	plan.suspension = (enum suspension)policy_find(POLICY_SUSPENSION, config->suspension);
	plan.learn = config->learn;
	plan.exclusion = (enum exclusion)policy_find(POLICY_EXCLUSION, config->exclusion);
	plan.migration = (enum migration)policy_find(POLICY_MIGRATION, config->migration);
	plan.disks = (enum disks)policy_find(POLICY_DISKS, config->disks);
	plan.backfill = (enum backfill)policy_find(POLICY_BACKFILL, config->backfill);
	return plan;
}

struct node_info *config_nodes(const struct sim_config *config, uint32_t *count)
{
	struct node_info first = {
		.state = NODE_UP,
		.capacity = {{config->cpu, config->memory, config->disk, config->net_in, config->net_out}},
		.pool_bytes = config->pool,
		.suspend_rate = rate(config->suspend_rate),
		.resume_rate = rate(config->resume_rate),
	};
	struct err err;

	node_groups(config->nodes, &first, NULL, count, &err);
	struct node_info *nodes = xcalloc(*count, sizeof(*nodes));
	node_groups(config->nodes, &first, nodes, count, &err);
	return nodes;
}

int64_t config_overhead(const struct sim_config *config)
{
	int64_t millionths = 0;

	parse_percent(config->runtime_overhead, &millionths);
	return millionths;
}
