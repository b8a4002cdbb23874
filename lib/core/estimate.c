/* How long overhead takes, from settings and rates. Does not learn from what was measured. */
#include "estimate.h"

#include <assert.h>

#define LONGEST_US (100 * 365 * USEC_PER_DAY) /* 4096 VMs one after another still add up to less than WALL_NEVER */

span_us estimate_bytes(int64_t bytes, int64_t rate)
{
	assert(bytes >= 0 && rate > 0);
	int64_t seconds = bytes / rate;
	if (seconds >= LONGEST_US / USEC_PER_SEC) {
		return LONGEST_US;
	}
	/* In 128 bits: the remainder can be as large as a rate of many GB/s, times a million. */
	__int128 rest = (__int128)(bytes % rate) * USEC_PER_SEC;
	span_us span = seconds * USEC_PER_SEC + (span_us)((rest + rate - 1) / rate);
	return span > 0 ? span : 1;
}

span_us estimate_suspend(const struct plan_settings *settings, const struct node_info *node, int64_t memory)
{
	return settings->suspend_us + estimate_bytes(memory, node->suspend_rate);
}

span_us estimate_resume(const struct plan_settings *settings, const struct node_info *node, int64_t memory)
{
	return settings->resume_us + estimate_bytes(memory, node->resume_rate);
}
