/* The planner's reasons in words. Decides nothing; the names are part of the API. */
#include "reason.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util.h"
#include "when.h"

static const char *const names[] = {
	[REASON_NONE] = "none",
	[REASON_START_PAST] = "start_past",
	[REASON_NEVER_FITS] = "never_fits",
	[REASON_NO_ROOM] = "no_room",
	[REASON_IMAGE_LATE] = "image_late",
	[REASON_SUSPEND_LATE] = "suspend_late",
	[REASON_POOL_FULL] = "pool_full",
	[REASON_NO_NODES] = "no_nodes",
	[REASON_PREEMPTED] = "preempted",
	[REASON_BY_USER] = "by_user",
	[REASON_IMAGE_BAD] = "image_bad",
	[REASON_GUEST_FAILED] = "guest_failed",
	[REASON_GUEST_ENDED] = "guest_ended",
	[REASON_UNCONFIRMED] = "unconfirmed",
	[REASON_TIME_UP] = "time_up",
	[REASON_LATE] = "late",
	[REASON_DEADLINE] = "deadline",
	[REASON_POLICY] = "policy",
	[REASON_PRICE] = "price",
	[REASON_KIND] = "kind",
	[REASON_RESPONSE] = "response",
	[REASON_NOT_YET] = "not_yet",
	[REASON_NOT_CALLED] = "not_called",
	[REASON_UNENFORCED] = "unenforced",
	[REASON_PERIOD] = "period",
	[REASON_SLICE] = "slice",
	[REASON_SLICE_SHORT] = "slice_short",
	[REASON_VCPUS] = "vcpus",
	[REASON_TUNE] = "tune",
	[REASON_NODE_SILENT] = "node_silent",
};
_Static_assert(ARRAY_SIZE(names) == REASON_CODE_COUNT, "a name for each reason");

const char *reason_name(enum reason_code code)
{
	return (unsigned)code < ARRAY_SIZE(names) ? names[code] : "unknown";
}

int reason_parse(const char *name, enum reason_code *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*code = (enum reason_code)i;
			return 0;
		}
	}
	return -1;
}

static __attribute__((format(printf, 2, 3))) void put(char out[REASON_TEXT], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(out, REASON_TEXT, format, args);
	va_end(args);
}

/* "1 VM", "3 VMs", "not one VM": how many would fit. */
static void put_vms(int64_t vms, char out[WHEN_TEXT])
{
	if (vms <= 0) {
		snprintf(out, WHEN_TEXT, "not one VM");
	} else {
		snprintf(out, WHEN_TEXT, "%" PRId64 " VM%s", vms, vms == 1 ? "" : "s");
	}
}

static void put_no_room(const struct reason *reason, char out[REASON_TEXT])
{
	char vms[WHEN_TEXT];

	put_vms(reason->arg0, vms);
	if (reason->lease == 0) {
		put(out, "no room at that time: %s would fit, %s is taken", vms, resource_name(reason->res));
	} else {
		put(out, "no room at that time: %s would fit, %s is taken by lease %" PRIu64, vms,
		    resource_name(reason->res), reason->lease);
	}
}

/* Reasons whose arg0 is the earliest possible time; 0 or WALL_NEVER where none is known. */
static void put_earliest(const char *what, wall_us earliest, char out[REASON_TEXT])
{
	char time[WHEN_TEXT];

	if (earliest <= 0 || earliest >= WALL_NEVER) {
		put(out, "%s", what);
		return;
	}
	when_iso(earliest, time);
	put(out, "%s: the earliest possible is %s", what, time);
}

void reason_text(const struct reason *reason, char out[REASON_TEXT])
{
	char text[WHEN_TEXT];

	put(out, "%s", "");
	switch (reason->code) {
	case REASON_NONE:
	case REASON_CODE_COUNT:
		break;
	case REASON_START_PAST:
		put_earliest("the start is too soon", reason->arg0, out);
		break;
	case REASON_NEVER_FITS:
		put_vms(reason->arg0, text);
		put(out, "more than the cluster has: %s would fit on empty nodes, %s is short", text,
		    resource_name(reason->res));
		break;
	case REASON_NO_ROOM:
		put_no_room(reason, out);
		break;
	case REASON_IMAGE_LATE:
		put_earliest("the image cannot be on the nodes in time", reason->arg0, out);
		break;
	case REASON_SUSPEND_LATE:
		put_earliest("best-effort guests cannot be suspended in time", reason->arg0, out);
		break;
	case REASON_POOL_FULL:
		when_size(reason->arg0, text);
		put(out, "the image (%s) does not fit in any node's pool", text);
		break;
	case REASON_NO_NODES:
		put(out, "no node is up");
		break;
	case REASON_PREEMPTED:
		put(out, "preempted by lease %" PRIu64, reason->lease);
		break;
	case REASON_BY_USER:
		put(out, "cancelled on request");
		break;
	case REASON_IMAGE_BAD:
		put(out, "the image could not be fetched, or is not what was stated");
		break;
	case REASON_GUEST_FAILED:
		put(out, "the guest could not be started, or died");
		break;
	case REASON_GUEST_ENDED:
		put(out, "the guest shut itself down");
		break;
	case REASON_UNCONFIRMED:
		put(out, "the node was silent past the end and its grace");
		break;
	case REASON_TIME_UP:
		put(out, "reached its end");
		break;
	case REASON_LATE:
		when_span(reason->arg0, text);
		put(out, "started %s later than agreed", text);
		break;
	case REASON_DEADLINE:
		put_earliest("it cannot be done by its deadline; allow more time, or ask for less", reason->arg0, out);
		break;
	case REASON_POLICY:
		put(out, "this cluster's admission policy takes no such lease; ask for a best-effort one");
		break;
	case REASON_PRICE:
		put(out, "it costs %" PRId64 " credits, more than was offered; offer that much, or ask for less",
		    reason->arg0);
		break;
	case REASON_KIND:
		put(out, "only open leases can be called");
		break;
	case REASON_RESPONSE:
		when_span(reason->arg0, text);
		put(out, "it cannot run that soon after a call; the least response time is %s", text);
		break;
	case REASON_NOT_YET:
		when_iso(reason->arg0, text);
		put(out, "it can be called from %s on", text);
		break;
	case REASON_NOT_CALLED:
		put(out, "it was not called in its window");
		break;
	case REASON_UNENFORCED:
		put(out, "no node enforces slices and periods; \"tenure node show\" says why, and without them a lease "
			 "gets its share of CPU as others leave it");
		break;
	case REASON_PERIOD:
		when_span(reason->arg0, text);
		put(out, "the period is too short: the least that can be kept is %s", text);
		break;
	case REASON_SLICE:
		when_span(reason->arg0, text);
		put(out, "the slice is more than one CPU can give: the most in that period is %s", text);
		break;
	case REASON_SLICE_SHORT:
		when_span(reason->arg0, text);
		put(out,
		    "the slice is too short: the least that can be kept is %s; ask for that, or for the same share "
		    "in a longer period",
		    text);
		break;
	case REASON_VCPUS:
		put(out,
		    "each vCPU needs a CPU of its own, and a node has %" PRId64
		    " for slices and periods: ask for less cpu",
		    reason->arg0);
		break;
	case REASON_TUNE:
		put(out, "it does not fit beside the other guests of its nodes");
		break;
	case REASON_NODE_SILENT:
		put(out, "a node of it does not answer just now, and is not told; ask again when it does");
		break;
	}
}

void reason_add_json(struct json_object *object, const struct reason *reason)
{
	char text[REASON_TEXT];

	reason_text(reason, text);
	json_object_object_add(object, "reason", json_object_new_string(text));
	json_object_object_add(object, "reason_code",
			       json_object_new_string(reason->code == REASON_NONE ? "" : reason_name(reason->code)));
}
