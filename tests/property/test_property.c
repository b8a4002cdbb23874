/*
 * Random simulations: whatever the cluster, the settings and the workload, no rule may be broken. One that breaks a
 * rule is made small and written down, for tenure-sim to replay. TENURE_SEED: the first seed; TENURE_STEPS: as many
 * steps in all; TENURE_KEEP: the folder for what fails, else that of this program.
 */
#include <check.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shrink.h"
#include "util.h"
#include "world.h"

#define STEPS 700000
#define FIRST_SEED 200000 /* the same each time, so that a change that breaks something is seen by it */
#define TRIES 3000

static char *folder;

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* Makes it small and says how to see it again. */
static char *keep(struct trial *trial, trial_rule *extra, const char *rule, uint64_t seed)
{
	size_t requests = trial->trace.count;
	unsigned int made = shrink(trial, extra, rule, TRIES);
	_cleanup_free_ char *path = xasprintf("%s/failed-%" PRIu64, folder, seed);

	trial_write(trial, path);
	return xasprintf("seed %" PRIu64 ": %s\n%zu requests, made %zu by %u tries; to see it again:\n"
			 "tenure-sim run --check --cluster %s.conf --trace %s.json --out %s",
			 seed, rule, requests, trial->trace.count, made, path, path, path);
}

START_TEST(random_simulations)
{
	uint64_t seed = number("TENURE_SEED", FIRST_SEED), first = seed;
	uint64_t wanted = number("TENURE_STEPS", STEPS), steps = 0;

	printf("property: first seed %" PRIu64 "\n", first);
	fflush(stdout);
	for (; steps < wanted; seed++) {
		struct trial trial;
		struct trial_result result;
		trial_draw(&trial, seed);
		trial_run(&trial, NULL, &result);
		if (result.rule[0]) {
			_cleanup_free_ char *text = keep(&trial, NULL, result.rule, seed);
			ck_abort_msg("%s", text);
		}
		steps += result.steps;
		trial_fini(&trial);
	}
	printf("property: simulations=%" PRIu64 " steps=%" PRIu64 "\n", 2 * (seed - first), steps);
}
END_TEST

/* Simulations that broke a rule once, made small where that was possible, and what was wrong. */
static const char *const cases[] = {
	"delayed-link",          /* a relaid link delayed what a lease that waits for its image goes by */
	"delayed-link-other",    /* the same */
	"moved-into-pool",       /* a suspended guest that was to move took pool room promised to others */
	"never-began",           /* what never began kept its image needed after its end */
	"moved-in-vain",         /* deadline leases moved in vain came back without their transfers' old places */
	"stopped-for-moved",     /* one moved for another's sake began where a victim was not gone yet */
	"image-at-once",         /* an image that costs no time to bring took no room on its way */
	"lies-where-others-go",  /* a suspended guest's going on was dropped, others counted on its room */
	"blind-and-kept",        /* a transfer that goes blindly was kept for nobody, in room of others */
	"other-link-asked",      /* a reservation's image was awaited from the other link, and put off by each pass */
	"many-transfers",        /* the transfers to many nodes were put off by each pass */
	"in-its-own-way",        /* the disk a suspended gang lay on was in its own way */
	"image-late",            /* one whose image came later than its end was held to have failed for good */
	"as-another-arrives",    /* an image that costs no time came before one that was to be through by then */
	"held-beside-suspended", /* a reservation was kept that counted on another's going on, which was not */
	"closed-and-dropped",    /* the same */
	"begun-anew",            /* a gang back in the queue lost the transfers under way for it, each time again */
	"take-turns",            /* images that cost no time to bring drove each other out for ever */
	"come-and-go",           /* they did the same as passes placed a queue in two ways in turn */
	"put-off-and-kept",      /* a reservation was kept whose image a late transfer had just put off */
	"late-by-nature",        /* one that goes blindly came after all it is for, when the room was another's */
};

START_TEST(once_broken)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *path = xasprintf("tests/property/broken/%s", cases[i]);
		struct trial trial;
		struct trial_result result;
		struct err err = {0};
		ck_assert_msg(trial_read(&trial, path, &err) == 0, "%s", err.text);
		trial_run(&trial, NULL, &result);
		ck_assert_msg(!result.rule[0], "%s: %s", cases[i], result.rule);
		ck_assert_uint_gt(result.steps, 0);
		trial_fini(&trial);
	}
}
END_TEST

/* A rule that is none: it is broken by any two requests of two VMs or more. */
static const char *two_of_two(const struct trial *trial)
{
	unsigned int found = 0;

	for (size_t i = 0; i < trial->trace.count; i++) {
		found += trial->trace.item[i].vms >= 2;
	}
	return found >= 2 ? "two of two" : NULL;
}

/* Out of a hundred requests and forty settings the two that matter are left, and nothing is different about them. */
START_TEST(shrinks)
{
	struct trial trial;
	struct trial_result result;

	trial_draw(&trial, 7);
	ck_assert_uint_gt(trial.trace.count, 10);
	trial_run(&trial, two_of_two, &result);
	ck_assert_str_eq(result.rule, "two of two");
	_cleanup_free_ char *text = keep(&trial, two_of_two, result.rule, 7);
	ck_assert_uint_eq(trial.trace.count, 2);
	ck_assert_uint_eq(trial.sets, 0);
	for (size_t i = 0; i < 2; i++) {
		const struct trace_request *r = &trial.trace.item[i];
		ck_assert_uint_eq(r->vms, 2);
		ck_assert_int_eq(r->submit_us, 0);
		ck_assert_int_eq(r->real_us, r->duration_us);
		ck_assert_int_eq(r->duration_us % USEC_PER_SEC, 0);
	}
	ck_assert_msg(strstr(text, "made 2 by"), "%s", text);
	trial_fini(&trial);
}
END_TEST

/* What is written down is the same simulation again. */
START_TEST(written_down)
{
	_cleanup_free_ char *path = xasprintf("%s/written", folder);
	_cleanup_free_ char *json = xasprintf("%s.json", path), *conf = xasprintf("%s.conf", path);
	struct trace trace = {0};
	struct sim_config config, again;
	struct trial trial;
	struct err err = {0};

	trial_draw(&trial, 11);
	trial_write(&trial, path);
	ck_assert_msg(trace_read(json, &trace, stderr, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(trace.count, trial.trace.count);
	ck_assert_int_eq(config_load("default", NULL, (const char *const *)trial.set, trial.sets, &config, &err), 0);
	ck_assert_msg(config_load("default", conf, NULL, 0, &again, &err) == 0, "%s", err.text);
	ck_assert_str_eq(config.nodes, again.nodes);
	ck_assert_str_eq(config.queue, again.queue);
	ck_assert_int_eq(config.pool, again.pool);
	ck_assert_int_eq(config.prepare, again.prepare);
	config_free(&config);
	config_free(&again);
	trace_fini(&trace);
	trial_fini(&trial);
	remove(json);
	remove(conf);
}
END_TEST

int main(int argc, char **argv)
{
	const char *where = getenv("TENURE_KEEP");
	_cleanup_free_ char *program = xstrdup(argc > 0 ? argv[0] : ".");
	Suite *suite = suite_create("property");
	TCase *simulations = tcase_create("simulations");

	folder = xstrdup(where && *where ? where : dirname(program));
	tcase_set_timeout(simulations, 1200); /* some 25 s; under sanitizers, on a busy machine, much longer */
	tcase_add_test(simulations, once_broken);
	tcase_add_test(simulations, shrinks);
	tcase_add_test(simulations, written_down);
	tcase_add_test(simulations, random_simulations);
	suite_add_tcase(suite, simulations);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(folder);
	return failed ? 1 : 0;
}
