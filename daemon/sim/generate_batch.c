/*
 * Workloads of batch systems: gangs as on SDSC BLUE (the archive's log, its first 30 days), and the reservations that
 * were injected into it in the HPDC 2008 experiments. The numbers are what those files show.
 */
#include <math.h>

#include "generate_internal.h"
#include "util.h"

/* ---- injected reservations ------------------------------------------------------------------------------------- */

/*
 * Sizes even within their class; durations even within half an hour of the mean; distances from start to start even
 * within an hour of what gives the load. The first begins at once.
 */
int generate_injected(const struct generate *how, struct trace *out, struct err *err)
{
	struct draw draw = {(uint64_t)how->seed};
	double vms = (double)(how->ar_vms_min + how->ar_vms_max) / 2;
	double distance =
		vms * (double)how->ar_duration * 100 / ((double)how->slots * (double)how->load) / (double)USEC_PER_SEC;
	int64_t mean = llround(distance), apart = mean < 3600 ? mean : 3600;
	int64_t duration = how->ar_duration / USEC_PER_SEC, around = duration < 3600 ? duration / 2 : 1800;

	if (mean < 60 || how->length / USEC_PER_SEC / mean > TRACE_LINES_MAX) {
		return err_set(err, ERR_PARAMS, "that load would need more than one reservation a minute");
	}
	for (int64_t at = 0; at < how->length / USEC_PER_SEC; at += draw_between(&draw, mean - apart, mean + apart)) {
		struct trace_request request = generate_blank(how, &draw);

		request.kind = LEASE_AR;
		request.start_us = at * USEC_PER_SEC;
		request.submit_us = request.start_us > how->ahead ? request.start_us - how->ahead : 0;
		request.vms = (uint32_t)draw_between(&draw, how->ar_vms_min, how->ar_vms_max);
		request.duration_us = draw_between(&draw, duration - around, duration + around) * USEC_PER_SEC;
		request.duration_us += request.duration_us ? 0 : USEC_PER_SEC;
		request.real_us = request.duration_us;
		trace_add(out, &request);
	}
	return 0;
}

/* ---- gangs ----------------------------------------------------------------------------------------------------- */

#define RUN_LOG_MEAN 5.7 /* natural logarithm of seconds: half of the jobs run less than five minutes */
#define RUN_LOG_DEVIATION 2.1
#define RUN_MAX 129600 /* 36 h */
#define USERS 100

/* Per thousand of jobs; what is missing to 1000 has any size. */
static const struct {
	int64_t vms, share;
} sizes[] = {{1, 272}, {2, 133}, {4, 234}, {8, 97}, {16, 119}, {32, 49}, {64, 11}, {128, 4}};

/* The times people ask for, in seconds. */
static const int64_t limits[] = {300, 600, 1200, 1800, 2700, 3600, 7200, 14400, 21600, 36000, 64800, RUN_MAX};

static uint32_t draw_gang(const struct generate *how, struct draw *draw)
{
	int64_t x = draw_between(draw, 0, 999);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		x -= sizes[i].share;
		if (x < 0 && sizes[i].vms >= how->vms_min && sizes[i].vms <= how->vms_max) {
			return (uint32_t)sizes[i].vms;
		}
	}
	/* The odd ones are rarely wide. */
	return (uint32_t)draw_between(draw, how->vms_min,
				      how->vms_max < how->vms_min + 71 ? how->vms_max : how->vms_min + 71);
}

/* A tenth is ended by its limit; the others ask for some times what they need, and all for a round time. */
static void draw_times(struct draw *draw, struct trace_request *request)
{
	double run = exp(RUN_LOG_MEAN + RUN_LOG_DEVIATION * draw_normal(draw));
	double asked = run * exp(fabs(1.5 + 1.8 * draw_normal(draw)));
	bool ended = draw_between(draw, 0, 9) == 0;
	int64_t seconds = (int64_t)fmin(fmax(run, 1), RUN_MAX), limit = RUN_MAX;

	for (size_t i = ARRAY_SIZE(limits); i-- > 0 && (double)limits[i] >= asked;) {
		limit = limits[i];
	}
	limit = limit < seconds ? seconds : limit;
	request->duration_us = (ended ? seconds : limit) * USEC_PER_SEC;
	request->real_us = seconds * USEC_PER_SEC;
}

/* At three in the morning a third as many come as at three in the afternoon. */
static wall_us draw_arrival(const struct generate *how, struct draw *draw)
{
	for (;;) {
		wall_us at = draw_between(draw, 0, (how->length - 1) / USEC_PER_SEC) * USEC_PER_SEC;
		double hour = (double)(at % USEC_PER_DAY) / (double)USEC_PER_HOUR;

		if (draw_unit(draw) * 1.5 < 1 + 0.5 * cos((hour - 15) / 12 * M_PI)) {
			return at;
		}
	}
}

int generate_batch(const struct generate *how, struct trace *out, struct err *err)
{
	struct draw draw = {(uint64_t)how->seed};
	double left = (double)how->length * (double)how->slots * (double)how->load / 100;
	size_t first = out->count;

	while (left > 0) {
		struct trace_request request = generate_blank(how, &draw);
		double user = draw_unit(&draw);

		if (out->count - first == TRACE_LINES_MAX) {
			return err_set(err, ERR_LIMIT, "that load would need more than %d requests", TRACE_LINES_MAX);
		}
		request.vms = draw_gang(how, &draw);
		draw_times(&draw, &request);
		request.submit_us = draw_arrival(how, &draw);
		/* A few users send most of the jobs. */
		request.user = 1 + (uint32_t)(user * user * USERS);
		left -= (double)request.real_us * request.vms;
		trace_add(out, &request);
	}
	return 0;
}
