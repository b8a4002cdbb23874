/*
 * Reading the database for the API: SQL in, JSON out. Writes nothing, and knows nothing of connections or rights. All
 * run on the store's own connection, so inside a transaction they see what it has written.
 *
 * Each returns an object that the caller owns, or NULL with err. Times come twice: NAME_us (integer microseconds since
 * the epoch, 0 = not yet or none) and NAME (ISO 8601, "-" for 0). Sizes are bytes, cpu is millicores.
 */
#ifndef TENURE_QUERY_H
#define TENURE_QUERY_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "lease.h"
#include "store.h"

/* Rows in one answer, so that it stays below WIRE_LINE_MAX: a lease takes up to 1.6 kB, a slot 0.3 kB. */
#define QUERY_ROWS_MAX 2500
#define QUERY_SLOTS_MAX 10000

/*
 * One lease: id name owner kind state serial vms cpu memory disk image start end latest deadline response_us not_before
 * slice_us period_us cpu_booked duration_us price price_max submitted first_start ended nodes reason reason_text
 * detail, and "vm": an array of {vm state node generation planned from then prepare start end release served_us
 * started}. start is the agreed one, else the first that was seen, else what is planned; end likewise. ERR_NOT_FOUND if
 * there is none.
 */
struct json_object *query_lease(struct store *store, uint64_t id, struct err *err);

struct query_filter {
	const char *state; /* NULL = all; "open" = not final */
	const char *owner; /* NULL = all */
	int64_t before_id; /* only lower ids */
	int64_t limit;     /* > 0; more than QUERY_ROWS_MAX is cut to that */
};
/* {"leases": [as query_lease() without "vm"], "more": bool}, newest first. */
struct json_object *query_leases(struct store *store, const struct query_filter *filter, struct err *err);
/*
 * {"lease": query_lease(), "history": [events with "text"], "waits_for": sentence, "waits_until_us": 0 = unknown}:
 * how the lease came to be where it is.
 */
struct json_object *query_explain(struct store *store, uint64_t id, struct err *err);

/*
 * {"nodes": [query_nodes()], "slots": [{id kind node lease lease_kind vm start end cpu memory disk net_in net_out}],
 * "transfers": [{id image node state start end deadline bytes size}], "more": bool} of [from, to); node NULL = all.
 */
struct json_object *query_slots(struct store *store, wall_us from, wall_us to, const char *node, struct err *err);
/*
 * {"nodes": [{id name state drain cpu memory disk net_in net_out pool suspend_rate resume_rate hypervisor version seen
 * edf_backend edf_cpus edf_limit_ppm edf_wake_ns edf_period_us edf_text
 * vms images}]}: vms counts what it holds, images are the names in its pool.
 */
struct json_object *query_nodes(struct store *store, struct err *err);
/*
 * One node, with "vm": [as in query_lease(), and lease], "transfers": those that are planned, and "estimates":
 * [{what memory count mean_us estimate_us last}], what suspending and resuming took there; estimate_us is what is
 * reckoned with, absent until enough was measured.
 */
struct json_object *query_node(struct store *store, const char *name, struct err *err);
/* {"images": [{id name format cmdline size owner added files: [{role digest size url}] nodes}]} */
struct json_object *query_images(struct store *store, struct err *err);
struct json_object *query_image(struct store *store, const char *name, struct err *err);
/* {"events": [{rev at kind lease node data}], "more": bool}, oldest first; lease 0 = all. */
struct json_object *query_events(struct store *store, int64_t after_rev, uint64_t lease, int64_t limit,
				 struct err *err);
/* {"leases": {state: count}, "nodes": {state: count}, "slots", "transfers", "images", "events", "requests": counts} */
struct json_object *query_status(struct store *store, struct err *err);

/* Ids of the nodes where a lease has VMs that are not final; *n of them in a new array, the caller's. */
int query_lease_nodes(struct store *store, uint64_t lease, uint32_t **nodes, size_t *n, struct err *err);
/* The digests that the built-in repository must keep; the caller frees each and the array. */
int query_digests(struct store *store, char ***digests, size_t *n, struct err *err);

#endif
