/* What one wake-up of a dispatcher costs here, how late it comes, and what may therefore be promised. */
#ifndef TENURE_CALIBRATE_H
#define TENURE_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct calibration {
	int64_t wake_ns; /* CPU time a wake-up takes from the task that runs, switches and all: a good quarter of rounds
			  */
	int64_t late_ns; /* about 99 of 100 wake-ups come no later */
};

/*
 * Measures on that CPU for half a second, at real-time priority; again, twice at most, if the figures are beyond what
 * machines need: the least of them counts. ERR_DENIED where that is not permitted.
 */
int calibrate_measure(int cpu, struct calibration *out, struct err *err);
/*
 * Whether a stored one was made at a bad moment, by a twentieth of a second; then it is made anew. Others' load only
 * ever adds to what is measured, so that a worse figure now says nothing against a better one of before.
 */
int calibrate_check(int cpu, struct calibration *calibration, bool *changed, struct err *err);
bool calibrate_better(const struct calibration *stored, const struct calibration *now);
/* What was saved in run_dir since the machine started. ERR_NOT_FOUND */
int calibrate_load(const char *run_dir, struct calibration *out, struct err *err);
int calibrate_save(const char *run_dir, const struct calibration *calibration, struct err *err);

/* The shortest period worth promising: two wake-ups take no more than 5 %, and it is 4 times what they are late. */
int64_t calibrate_period_min_us(const struct calibration *calibration);
#define CALIBRATE_LIMIT_PPM 900000
/* wish (0: that), or what the kernel leaves to real-time tasks of each CPU if that is less. */
uint32_t calibrate_limit_ppm(int64_t wish_ppm);

#endif
