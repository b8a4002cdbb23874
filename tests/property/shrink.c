/* Delta debugging (Zeller and Hildebrandt 2002) over requests and settings, then simpler values one by one. */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>

struct hunt {
	struct trial *trial;
	trial_rule *extra;
	const char *rule;
	unsigned int made, tries;
};

/* True if this one breaks the rule too: then it is the trial from now on. It is used up in any case. */
static bool take(struct hunt *hunt, struct trial *smaller)
{
	struct trial_result result;

	if (hunt->made < hunt->tries) {
		hunt->made++;
		trial_run(smaller, hunt->extra, &result);
		if (strcmp(result.rule, hunt->rule) == 0) {
			trial_fini(hunt->trial);
			*hunt->trial = *smaller;
			return true;
		}
	}
	trial_fini(smaller);
	return false;
}

static void drop_requests(struct trial *trial, size_t from, size_t n)
{
	struct trace_request *item = trial->trace.item;

	memmove(item + from, item + from + n, (trial->trace.count - from - n) * sizeof(*item));
	trial->trace.count -= n;
}

static void drop_sets(struct trial *trial, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++) {
		free(trial->set[i]);
	}
	memmove(trial->set + from, trial->set + from + n, (trial->sets - from - n) * sizeof(*trial->set));
	trial->sets -= n;
}

static size_t count_requests(const struct trial *trial)
{
	return trial->trace.count;
}

static size_t count_sets(const struct trial *trial)
{
	return trial->sets;
}

/* Takes pieces away, ever smaller ones. */
static void ddmin(struct hunt *hunt, size_t (*count)(const struct trial *),
		  void (*drop)(struct trial *, size_t from, size_t n))
{
	for (size_t piece = (count(hunt->trial) + 1) / 2; piece > 0; piece /= 2) {
		for (size_t from = 0; from < count(hunt->trial);) {
			size_t n = count(hunt->trial) - from < piece ? count(hunt->trial) - from : piece;
			struct trial smaller;
			trial_copy(&smaller, hunt->trial);
			drop(&smaller, from, n);
			from += take(hunt, &smaller) ? 0 : n;
		}
	}
}

static int64_t rounded(int64_t us)
{
	int64_t unit = us > 1000 * USEC_PER_SEC ? 100 * USEC_PER_SEC
		       : us > 10 * USEC_PER_SEC ? 10 * USEC_PER_SEC
						: USEC_PER_SEC;

	return us > 0 ? (us + unit - 1) / unit * unit : us;
}

/* The ways to make a request simpler; false if this one changes nothing. */
static bool simplify(struct trace_request *r, int way)
{
	const struct trace_request was = *r;

	switch (way) {
	case 0:
		r->vms = 1;
		break;
	case 1:
		r->vms = (r->vms + 1) / 2;
		break;
	case 2:
		r->real_us = r->duration_us;
		break;
	case 3:
		r->serial = false;
		break;
	case 4:
		r->latest_us = -1;
		break;
	case 5:
		r->user = 0;
		break;
	case 6:
		r->submit_us = 0;
		break;
	case 7:
		r->submit_us = rounded(r->submit_us);
		break;
	case 8:
		r->start_us = rounded(r->start_us);
		break;
	case 9:
		r->duration_us = rounded(r->duration_us);
		r->real_us = r->real_us < was.duration_us ? r->real_us : r->duration_us;
		break;
	case 10:
		r->per_vm.amount[RES_DISK] = 0;
		break;
	case 11:
		r->per_vm.amount[RES_CPU] = 1000;
		break;
	case 12:
		r->per_vm.amount[RES_MEMORY] = INT64_C(1) << 30;
		break;
	case 13:
		r->real_us = rounded(r->real_us);
		break;
	default:
		return false;
	}
	struct err err;
	return memcmp(&was, r, sizeof(was)) != 0 && trace_check(r, &err) == 0;
}

#define WAYS 14

static void simplify_all(struct hunt *hunt)
{
	for (size_t i = 0; i < hunt->trial->trace.count; i++) {
		for (int way = 0; way < WAYS; way++) {
			struct trial smaller;
			trial_copy(&smaller, hunt->trial);
			if (simplify(&smaller.trace.item[i], way)) {
				trace_sort(&smaller.trace);
				take(hunt, &smaller);
			} else {
				trial_fini(&smaller);
			}
		}
	}
}

unsigned int shrink(struct trial *trial, trial_rule *extra, const char *rule, unsigned int tries)
{
	struct hunt hunt = {.trial = trial, .extra = extra, .rule = rule, .tries = tries};
	size_t before;

	do {
		before = trial->trace.count + trial->sets;
		ddmin(&hunt, count_requests, drop_requests);
		ddmin(&hunt, count_sets, drop_sets);
		simplify_all(&hunt);
	} while (trial->trace.count + trial->sets < before && hunt.made < hunt.tries);
	return hunt.made;
}
