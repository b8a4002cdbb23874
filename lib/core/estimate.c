/* How long overhead takes, from settings and rates. Does not learn from what was measured. */
#include "estimate.h"

#include <assert.h>

/* So long that it never fits; yet as many as a lease has VMs, one after another, end before WALL_NEVER. */
#define LONGEST_US (WALL_NEVER / (2 * LEASE_VMS_MAX))

span_us estimate_bytes(int64_t bytes, int64_t rate)
{
	assert(bytes >= 0 && rate > 0);
	if (rate == INT64_MAX) {
		return 0;
	}
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
