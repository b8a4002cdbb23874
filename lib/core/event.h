/* The closed set of what the planner can be told. Plain values; strings never enter the core. */
#ifndef TENURE_EVENT_H
#define TENURE_EVENT_H

#include "edf_admit.h"
#include "lease.h"

enum node_state {
	NODE_UP,
	NODE_SILENT,   /* no heartbeat: keeps what it has, gets nothing new */
	NODE_DRAINING, /* answers, gets nothing new */
	NODE_STATE_COUNT
};

/* A node as the planner sees it. */
struct node_info {
	uint32_t id; /* > 0 */
	enum node_state state;
	struct capacity capacity; /* cpu, memory, working space, net in (bytes/s), net out */
	int64_t pool_bytes;       /* image pool */
	int64_t suspend_rate;     /* bytes of guest memory per second, > 0 */
	int64_t resume_rate;      /* bytes of guest memory per second, > 0 */
	struct edf_node edf;      /* what it can keep of slices and periods; cpus 0 = nothing */
};

struct image_info {
	uint64_t id;  /* > 0 */
	int64_t size; /* bytes, sum of its files */
};

/* What an agent says of a VM. */
enum vm_seen {
	SEEN_ABSENT,   /* nothing there (yet) */
	SEEN_PREPARED, /* created or restored, paused */
	SEEN_RUNNING,
	SEEN_SUSPENDING,
	SEEN_SUSPENDED,
	SEEN_ENDED, /* stopped at its end, or by itself */
	SEEN_FAILED,
	SEEN_COUNT
};

enum event_kind {
	EVENT_TICK, /* time passed: a wake-up the planner asked for */
	EVENT_LEASE_REQUESTED,
	EVENT_LEASE_CANCELLED,
	EVENT_LEASE_RESIZED, /* its user wants another duration: longer, or shorter */
	EVENT_LEASE_CALLED,  /* the event an open reservation waited for has come */
	EVENT_LEASE_TUNED,   /* its user wants another slice and period */
	EVENT_NODE,          /* a node is new, or its state or capacity changed */
	EVENT_IMAGE_ADDED,
	EVENT_IMAGE_REMOVED,   /* refused by the manager while a lease needs it */
	EVENT_IMAGE_PRESENT,   /* on a node's pool: staged, or found there when its agent connected */
	EVENT_IMAGE_ABSENT,    /* no longer in a node's pool */
	EVENT_TRANSFER_FAILED, /* for good: wrong digest or size, source gone; the agent has given up */
	EVENT_VM_SEEN,
	EVENT_KIND_COUNT
};

struct event {
	enum event_kind kind;
	union {
		struct {
			uint64_t id; /* chosen by the caller, higher than all before */
			struct lease_spec spec;
		} requested;
		uint64_t cancelled;
		struct {
			uint64_t id;
			span_us duration_us; /* > 0, from its start; what has been had already included */
		} resized;
		uint64_t called;
		struct {
			uint64_t id;
			span_us slice_us, period_us; /* both > 0 */
		} tuned;
		struct node_info node;
		struct image_info image;
		uint64_t image_removed;
		struct {
			uint32_t node;
			uint64_t image;
		} pool; /* PRESENT, ABSENT, TRANSFER_FAILED */
		struct {
			uint64_t lease;
			uint32_t vm;
			uint32_t generation;
			uint32_t node;
			enum vm_seen seen;
			wall_us at_us; /* by the node's clock */
		} vm;
	};
};

#endif
