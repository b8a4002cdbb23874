/* Draws simulations and runs them. */
#include "trial.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy.h"
#include "summary.h"
#include "util.h"
#include "world.h"

#define FOREVER_S 30 /* of CPU time, as the machine may be busy: a trial takes some milliseconds of it */

struct dice {
	uint64_t state;
};

/* splitmix64 (Steele, Lea and Flood 2014) */
static uint64_t roll(struct dice *dice, uint64_t below)
{
	uint64_t x = dice->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return ((x ^ (x >> 31)) >> 11) % below;
}

static bool chance(struct dice *dice, unsigned int percent)
{
	return roll(dice, 100) < percent;
}

/* ---- settings ---- */

static void add_set(struct trial *trial, char *set)
{
	trial->set = xrealloc(trial->set, trial->sets + 1, sizeof(*trial->set));
	trial->set[trial->sets++] = set;
}

static void add_policy(struct trial *trial, struct dice *dice, const char *key, enum policy_set set)
{
	size_t n = 0;

	while (policy_name(set, n)) {
		n++;
	}
	add_set(trial, xasprintf("%s=%s", key, policy_name(set, roll(dice, n))));
}

/* Nothing, or up to that many seconds. */
static void add_span(struct trial *trial, struct dice *dice, const char *key, unsigned int most_s)
{
	uint64_t ms = chance(dice, 30) ? 0 : roll(dice, 1000 * most_s + 1);

	add_set(trial, ms ? xasprintf("%s=%" PRIu64 "ms", key, ms) : xasprintf("%s=0s", key));
}

static void add_rate(struct trial *trial, struct dice *dice, const char *key, unsigned int percent)
{
	if (chance(dice, percent)) {
		add_set(trial, xasprintf("%s=%" PRIu64 "MB", key, chance(dice, 20) ? 0 : 10 + roll(dice, 300)));
	}
}

static void draw_cluster(struct trial *trial, struct dice *dice)
{
	add_set(trial, xasprintf("nodes=%" PRIu64 " %" PRIu64 "(cpu:%" PRIu64 ",memory:%" PRIu64 "GiB)",
				 1 + roll(dice, 4), 1 + roll(dice, 3), 1 + roll(dice, 4), 1 + roll(dice, 4)));
	add_set(trial, xasprintf("cpu=%" PRIu64, 1 + roll(dice, 4)));
	add_set(trial, xasprintf("memory=%" PRIu64 "GiB", 1 + roll(dice, 4)));
	if (chance(dice, 30)) {
		add_set(trial, xasprintf("disk=%" PRIu64 "GiB", 4 + roll(dice, 12)));
	}
	/* The largest image has 1900 MB. */
	add_set(trial, xasprintf("pool=%" PRIu64 "MB", 2000 + 100 * roll(dice, 60)));
	add_rate(trial, dice, "suspend_rate", 80);
	add_rate(trial, dice, "resume_rate", 80);
	add_rate(trial, dice, "repository_rate", 90);
	add_rate(trial, dice, "best_effort_rate", 30);
}

static void draw_planner(struct trial *trial, struct dice *dice)
{
	add_policy(trial, dice, "queue", POLICY_QUEUE);
	add_policy(trial, dice, "host", POLICY_HOST);
	add_policy(trial, dice, "victim", POLICY_VICTIM);
	add_policy(trial, dice, "admission", POLICY_ADMISSION);
	add_policy(trial, dice, "backfill", POLICY_BACKFILL);
	add_policy(trial, dice, "suspension", POLICY_SUSPENSION);
	add_policy(trial, dice, "exclusion", POLICY_EXCLUSION);
	add_policy(trial, dice, "migration", POLICY_MIGRATION);
	add_policy(trial, dice, "staging", POLICY_STAGING);
	if (chance(dice, 40)) {
		add_set(trial, xasprintf("worth=%" PRIu64, 1 + roll(dice, 3)));
	}
	add_set(trial, xstrdup("images=trace"));
	if (chance(dice, 60)) {
		add_set(trial, xasprintf("reuse=%s", chance(dice, 70) ? "no" : "transfers"));
	}
	add_set(trial, xasprintf("backfill_depth=%" PRIu64, 1 + roll(dice, 4)));
	add_set(trial, xasprintf("multicast=%s", chance(dice, 50) ? "yes" : "no"));
	if (chance(dice, 30)) {
		add_set(trial, xstrdup("predeployed=yes"));
	}
	add_span(trial, dice, "lead", 3);
	add_span(trial, dice, "prepare", 10);
	add_span(trial, dice, "stop", 5);
	add_span(trial, dice, "suspend_fixed", 3);
	add_span(trial, dice, "resume_fixed", 3);
	add_span(trial, dice, "min_run", 60);
	add_span(trial, dice, "stage_ahead", 600);
	add_span(trial, dice, "boot", 30);
}

/* ---- requests ---- */

static enum lease_kind any_kind(struct dice *dice)
{
	static const enum lease_kind kinds[] = {
		LEASE_BEST_EFFORT, LEASE_BEST_EFFORT, LEASE_BEST_EFFORT, LEASE_BEST_EFFORT, LEASE_AR,
		LEASE_AR,          LEASE_AR,          LEASE_DEADLINE,    LEASE_IMMEDIATE,   LEASE_OPEN,
	};

	return kinds[roll(dice, ARRAY_SIZE(kinds))];
}

/* Whole seconds as often as not, so that things happen at the same instant. */
static int64_t some_us(struct dice *dice, uint64_t most_s)
{
	return chance(dice, 50) ? (int64_t)roll(dice, most_s) * USEC_PER_SEC
				: (int64_t)roll(dice, most_s * (uint64_t)USEC_PER_SEC);
}

static void draw_times(struct trace_request *r, struct dice *dice)
{
	if (r->kind == LEASE_AR || (r->kind == LEASE_DEADLINE && chance(dice, 50))) {
		r->start_us = r->submit_us + some_us(dice, 900);
	}
	if (r->kind == LEASE_AR && chance(dice, 30)) {
		r->latest_us = r->start_us + some_us(dice, 600);
	}
	if (r->kind == LEASE_OPEN) {
		r->start_us = r->submit_us + some_us(dice, 300);
		r->latest_us = r->start_us + 1 + some_us(dice, 600);
		r->response_us = 1 + some_us(dice, chance(dice, 50) ? 15 : 90);
		r->call_us = chance(dice, 60)
				     ? r->start_us + (wall_us)roll(dice, (uint64_t)(r->latest_us - r->start_us))
				     : -1;
	}
	if (r->kind == LEASE_DEADLINE) {
		wall_us from_us = r->start_us > 0 ? r->start_us : r->submit_us;
		r->deadline_us = from_us + r->duration_us + some_us(dice, 900);
	}
}

static void draw_request(struct trial *trial, struct dice *dice, wall_us submit_us)
{
	uint64_t image = roll(dice, 6);
	struct trace_request r = {
		.submit_us = submit_us,
		.kind = any_kind(dice),
		.vms = 1 + (uint32_t)roll(dice, chance(dice, 20) ? 12 : 4),
		.per_vm = {{(int64_t)(1 + roll(dice, 4)) * 500, (INT64_C(256) << 20) * (int64_t)(1 + roll(dice, 6)),
			    chance(dice, 50) ? 0 : (INT64_C(1) << 30) * (int64_t)roll(dice, 4), 0, 0}},
		.start_us = -1,
		.latest_us = -1,
		.deadline_us = -1,
		.call_us = -1,
		.duration_us = 1 + some_us(dice, chance(dice, 20) ? 3600 : 400),
		.user = (uint32_t)roll(dice, 4),
		.image_bytes = INT64_C(400000000) + INT64_C(300000000) * (int64_t)image,
	};

	snprintf(r.image, sizeof(r.image), "i%" PRIu64, image);
	r.serial = r.kind == LEASE_BEST_EFFORT && chance(dice, 30);
	r.real_us = chance(dice, 60) ? r.duration_us : 1 + (span_us)roll(dice, (uint64_t)r.duration_us);
	draw_times(&r, dice);
	trace_add(&trial->trace, &r);
}

void trial_draw(struct trial *trial, uint64_t seed)
{
	struct dice dice = {seed * UINT64_C(0xd1342543de82ef95)};
	wall_us submit_us = 0;

	*trial = (struct trial){0};
	draw_cluster(trial, &dice);
	draw_planner(trial, &dice);
	add_set(trial, xasprintf("disks=%s", policy_name(POLICY_DISKS, seed % (DISKS_WHOLE + 1))));
	uint64_t n = 10 + roll(&dice, 90), pause_s = 5 + roll(&dice, 120);
	for (uint64_t i = 0; i < n; i++) {
		draw_request(trial, &dice, submit_us);
		submit_us += chance(&dice, 20) ? 0 : some_us(&dice, pause_s);
	}
}

void trial_copy(struct trial *to, const struct trial *from)
{
	*to = (struct trial){0};
	for (size_t i = 0; i < from->sets; i++) {
		add_set(to, xstrdup(from->set[i]));
	}
	for (size_t i = 0; i < from->trace.count; i++) {
		trace_add(&to->trace, &from->trace.item[i]);
	}
}

void trial_fini(struct trial *trial)
{
	for (size_t i = 0; i < trial->sets; i++) {
		free(trial->set[i]);
	}
	free(trial->set);
	trace_fini(&trial->trace);
	*trial = (struct trial){0};
}

/* ---- running ---- */

static void fail(struct trial_result *result, const char *rule)
{
	if (!result->rule[0]) {
		snprintf(result->rule, sizeof(result->rule), "%s", rule);
	}
}

/* All there is to see of a run, as text the caller frees. */
static char *run_once(const struct sim_config *config, const struct trace *trace, struct trial_result *result)
{
	struct world_options options = {.check = true, .slots = true};
	struct workload workload;
	char *text = NULL;
	size_t length;
	struct err err = {0};

	workload_make(config, trace, &workload);
	struct world *world = world_new(config, &workload, &options);
	if (world_run(world, &err) < 0) {
		fail(result, world_rule(world) ? world_rule(world) : "time stands still");
	}
	result->steps += world_totals(world)->steps;
	FILE *out = open_memstream(&text, &length);
	if (!out) {
		abort();
	}
	summary_leases(world, out);
	world_slots(world, out);
	metrics_write(world_metrics(world), ORIGIN_US, world_cpu(world), out);
	fclose(out);
	world_free(world);
	workload_fini(&workload);
	return text;
}

static int load(const struct trial *trial, struct sim_config *config, struct err *err)
{
	return config_load("default", NULL, (const char *const *)trial->set, trial->sets, config, err);
}

static void run_here(const struct trial *trial, trial_rule *extra, struct trial_result *result)
{
	struct sim_config config;
	struct err err = {0};

	if (extra && extra(trial)) {
		fail(result, extra(trial));
	}
	if (load(trial, &config, &err) < 0) {
		return; /* shrinking may make settings that contradict each other: they break no rule of the planner's
			 */
	}
	_cleanup_free_ char *first = run_once(&config, &trial->trace, result);
	_cleanup_free_ char *second = run_once(&config, &trial->trace, result);
	if (strcmp(first, second) != 0) {
		fail(result, "two runs differ");
	}
	config_free(&config);
}

void trial_run(const struct trial *trial, trial_rule *extra, struct trial_result *result)
{
	int pipes[2], status = 0;

	*result = (struct trial_result){0};
	fflush(NULL);
	if (pipe(pipes) < 0) {
		abort();
	}
	pid_t pid = fork();
	if (pid == 0) {
		setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = FOREVER_S}, NULL);
		if (!freopen("/dev/null", "w", stderr)) {
			abort(); /* what an assertion says is said again by the replay */
		}
		run_here(trial, extra, result);
		ssize_t written = write(pipes[1], result, sizeof(*result));
		_exit(written == sizeof(*result) ? 0 : 1);
	}
	close(pipes[1]);
	ssize_t got = read(pipes[0], result, sizeof(*result));
	close(pipes[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		abort();
	}
	if (got != sizeof(*result) || status != 0) {
		*result = (struct trial_result){0};
		fail(result, WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF ? "it takes for ever" : "it crashes");
	}
}

void trial_write(const struct trial *trial, const char *path)
{
	_cleanup_free_ char *json = xasprintf("%s.json", path), *conf = xasprintf("%s.conf", path);
	struct sim_config config;
	struct err err;
	FILE *out = fopen(json, "w");

	if (!out) {
		abort();
	}
	trace_write(&trial->trace, out);
	fclose(out);
	out = fopen(conf, "w");
	if (!out || load(trial, &config, &err) < 0) {
		abort();
	}
	conf_print(config_table, config_count, &config, out);
	fclose(out);
	config_free(&config);
}

/* The lines "key = value" of a file of settings. */
static int read_sets(struct trial *trial, const char *path, struct err *err)
{
	FILE *in = fopen(path, "r");
	char line[512];

	if (!in) {
		return err_set(err, ERR_PARAMS, "%s: %s", path, strerror(errno));
	}
	while (fgets(line, sizeof(line), in)) {
		char *value = strstr(line, " = ");
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && value) {
			*value = '\0';
			add_set(trial, xasprintf("%s=%s", line, value + 3));
		}
	}
	fclose(in);
	return 0;
}

int trial_read(struct trial *trial, const char *path, struct err *err)
{
	_cleanup_free_ char *json = xasprintf("%s.json", path), *conf = xasprintf("%s.conf", path);

	*trial = (struct trial){0};
	if (trace_read(json, &trial->trace, stderr, err) < 0 || read_sets(trial, conf, err) < 0) {
		trial_fini(trial);
		return -1;
	}
	return 0;
}
