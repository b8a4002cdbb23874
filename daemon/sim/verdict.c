/* What must be true of every lease when a simulated world has come to its end. Looks at no plan: check.c does. */
#include "world_state.h"

/* True of strategies by which a promised image comes in time. */
static bool promises_hold(const struct world *world)
{
	return world->settings.staging <= STAGING_EDF;
}

static const char *promise_kept(const struct world *world, const struct job *job)
{
	const struct request *request = job->request;
	const struct lease_spec *spec = &request->spec;
	span_us owed_us = request->real_us < spec->duration_us ? request->real_us : spec->duration_us;
	wall_us latest_us = spec->latest_us > spec->start_us ? spec->latest_us : spec->start_us;

	if (job->broken || job->state != LEASE_DONE) {
		return "a promise that was broken";
	}
	if (spec->kind == LEASE_OPEN) {
		return NULL; /* when it runs, and whether it does, is up to who calls */
	}
	if (job->end_us - job->start_us < owed_us) {
		return "a promise of which time is missing";
	}
	if (job->start_us < spec->start_us || (spec->kind == LEASE_AR && job->start_us > latest_us)) {
		return "a promise that began at another time";
	}
	if (spec->kind == LEASE_DEADLINE && job->end_us > spec->deadline_us + world->settings.stop_us) {
		return "a deadline that was missed";
	}
	return NULL;
}

void world_verdict(struct world *world)
{
	for (size_t i = 0; i < world->workload->count; i++) {
		const struct job *job = &world->job[i];
		const char *what = NULL;
		if (job->state == LEASE_REJECTED) {
			continue;
		}
		if (!lease_state_final(job->state)) {
			what = "a lease that never ends";
		} else if (job->request->spec.kind != LEASE_BEST_EFFORT) {
			what = promises_hold(world) ? promise_kept(world, job) : NULL;
		} else if (job->state != LEASE_DONE) {
			what = "a lease that was not done";
		}
		if (what) {
			world_wrong(world, what, i + 1, 0, 0);
		}
	}
}
