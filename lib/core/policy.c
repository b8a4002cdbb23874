/* The tables of policies, and the names of the planner's other choices. Decides nothing that is not asked of it. */
#include "policy.h"

#include <string.h>

#include "place.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- queue ---------------------------------------------------------------------------------------------------------
 */

static const struct queue_policy queue_table[] = {
	{"fcfs", "first come, first served", NULL},
};

/* ---- hosts ---------------------------------------------------------------------------------------------------------
 */

/* The image there first, then where it was planned before, then the most VMs. */
static int by_image(const struct choice *a, const struct choice *b)
{
	if (a->ready_us != b->ready_us) {
		return a->ready_us < b->ready_us ? -1 : 1;
	}
	if (a->before != b->before) {
		return a->before ? -1 : 1;
	}
	return a->count > b->count ? -1 : a->count < b->count;
}

static const struct host_policy host_table[] = {
	{"image", "nodes that have the image, then those that take most VMs", by_image},
};

/* ---- victims -------------------------------------------------------------------------------------------------------
 */

static int64_t youngest(const struct plan *plan, const struct contract *contract)
{
	(void)plan;
	return -(int64_t)contract->lease.id;
}

static const struct victim_policy victim_table[] = {
	{"youngest", "the lease submitted last", youngest},
};

/* ---- admission -----------------------------------------------------------------------------------------------------
 */

static bool allow_all(const struct plan *plan, const struct lease_spec *spec, struct reason *reason)
{
	(void)plan;
	(void)spec;
	(void)reason;
	return true;
}

static const struct admission_policy admission_table[] = {
	{"all", "every request is considered", allow_all},
};

/* ---- price ---------------------------------------------------------------------------------------------------------
 */

static int64_t price_free(const struct plan *plan, const struct lease_spec *spec)
{
	(void)plan;
	(void)spec;
	return 0;
}

static const struct price_policy price_table[] = {
	{"free", "nothing costs anything", price_free},
};

/* ---- by name -------------------------------------------------------------------------------------------------------
 */

#define FIND(table, wanted)                                 \
	for (size_t i = 0; i < COUNT(table); i++) {         \
		if (strcmp((table)[i].name, wanted) == 0) { \
			return &(table)[i];                 \
		}                                           \
	}                                                   \
	return NULL

const struct queue_policy *policy_queue(const char *name)
{
	FIND(queue_table, name);
}

const struct host_policy *policy_host(const char *name)
{
	FIND(host_table, name);
}

const struct victim_policy *policy_victim(const char *name)
{
	FIND(victim_table, name);
}

const struct admission_policy *policy_admission(const char *name)
{
	FIND(admission_table, name);
}

const struct price_policy *policy_price(const char *name)
{
	FIND(price_table, name);
}

static int find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

#define PARSE(names, type, out)                           \
	int found = find_name(names, COUNT(names), name); \
	if (found < 0) {                                  \
		return -1;                                \
	}                                                 \
	*(out) = (type)found;                             \
	return 0

int policy_backfill(const char *name, enum backfill *backfill)
{
	static const char *const names[] = {"none", "first-fit", "aggressive", "intermediate", "conservative"};

	PARSE(names, enum backfill, backfill);
}

int policy_suspension(const char *name, enum suspension *suspension)
{
	static const char *const names[] = {"none", "serial", "all"};

	PARSE(names, enum suspension, suspension);
}

int policy_exclusion(const char *name, enum exclusion *exclusion)
{
	static const char *const names[] = {"local", "global"};

	PARSE(names, enum exclusion, exclusion);
}

int policy_migration(const char *name, enum migration *migration)
{
	static const char *const names[] = {"no", "yes", "free"};

	PARSE(names, enum migration, migration);
}

int policy_staging(const char *name, enum staging *staging)
{
	static const char *const names[] = {"edf-jit", "edf", "jit", "aggressive", "job"};

	PARSE(names, enum staging, staging);
}
