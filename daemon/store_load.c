/*
 * Reading rows back into the values they were written from. The file may have been edited by hand or restored from
 * anywhere, so every name and number is checked; what cannot be understood stops the load with the row's id.
 */
#include <inttypes.h>
#include <string.h>

#include "reason.h"
#include "store_sql.h"
#include "util.h"

#define OPEN_LEASE "state NOT IN ('rejected', 'done', 'cancelled', 'failed')"

static const char *const node_states[] = {
	[NODE_UP] = "up",
	[NODE_SILENT] = "silent",
	[NODE_DRAINING] = "draining",
};
_Static_assert(ARRAY_SIZE(node_states) == NODE_STATE_COUNT, "a name for each state");

const char *store_node_state_name(enum node_state state)
{
	return node_states[state];
}

static int node_state_parse(const char *name, enum node_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(node_states); i++) {
		if (strcmp(name, node_states[i]) == 0) {
			*state = (enum node_state)i;
			return 0;
		}
	}
	return -1;
}

static int damaged(struct store *store, sqlite3_stmt *stmt, const char *what, int64_t id, struct err *err)
{
	sqlite3_reset(stmt);
	return err_set(err, ERR_STORE, "%s: %s %" PRId64 " makes no sense: restore the database from a backup",
		       store_path(store), what, id);
}

/* Columns from first on: cpu, memory, disk, net_in, net_out. */
static struct capacity read_capacity(sqlite3_stmt *stmt, int first)
{
	struct capacity capacity;

	for (int i = 0; i < RES_COUNT; i++) {
		capacity.amount[i] = sqlite3_column_int64(stmt, first + i);
	}
	return capacity;
}

static bool id_fits(int64_t id)
{
	return id > 0 && id <= UINT32_MAX;
}

int store_meta(struct store *store, const char *key, int64_t *value, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT value FROM meta WHERE key = ?1", "s", key);
	int rc = stmt ? store_step(store, stmt, err) : -1;

	if (rc < 0) {
		return -1;
	}
	*value = rc ? sqlite3_column_int64(stmt, 0) : 0;
	sqlite3_reset(stmt);
	return 0;
}

int store_user(struct store *store, const char *name, uint32_t *user, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT id FROM users WHERE name = ?1", "s", name);
	int rc = stmt ? store_step(store, stmt, err) : -1;
	int64_t id = rc > 0 ? sqlite3_column_int64(stmt, 0) : 0;

	if (rc < 0) {
		return -1;
	}
	if (rc > 0 && !id_fits(id)) {
		return damaged(store, stmt, "user", id, err);
	}
	*user = (uint32_t)id;
	sqlite3_reset(stmt);
	return 0;
}

int store_lease_brief(struct store *store, uint64_t id, struct store_lease_brief *brief, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT name, owner, state FROM leases WHERE id = ?1", "I", id);
	enum lease_state state;
	int rc = stmt ? store_step(store, stmt, err) : -1;

	if (rc <= 0) {
		return rc;
	}
	if (lease_state_parse(store_text(stmt, 2), &state) < 0) {
		return damaged(store, stmt, "lease", (int64_t)id, err);
	}
	brief->name = xstrdup(store_text(stmt, 0));
	brief->owner = xstrdup(store_text(stmt, 1));
	brief->state = state;
	sqlite3_reset(stmt);
	return 1;
}

int store_vm_is(struct store *store, uint64_t lease, uint32_t vm, enum lease_state state, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT 1 FROM vms WHERE lease = ?1 AND vm = ?2 AND state = ?3",
					 "Iis", lease, (int64_t)vm, lease_state_name(state));
	int rc = stmt ? store_step(store, stmt, err) : -1;

	if (rc > 0) {
		sqlite3_reset(stmt);
	}
	return rc;
}

void store_lease_brief_fini(struct store_lease_brief *brief)
{
	free(brief->name);
	free(brief->owner);
	memset(brief, 0, sizeof(*brief));
}

/* ---- events and requests ----------------------------------------------------------------------------------------- */

/* 0 if there is no row. */
static int one_number(struct store *store, const char *sql, int64_t *out, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, sql, "");
	int rc = stmt ? store_step(store, stmt, err) : -1;

	if (rc < 0) {
		return -1;
	}
	*out = rc ? sqlite3_column_int64(stmt, 0) : 0;
	sqlite3_reset(stmt);
	return 0;
}

int store_last_rev(struct store *store, int64_t *rev, struct err *err)
{
	/* Not max(rev) of events: those may have been pruned. */
	return one_number(store, "SELECT seq FROM sqlite_sequence WHERE name = 'events'", rev, err);
}

int store_last_at(struct store *store, wall_us *at_us, struct err *err)
{
	return one_number(store, "SELECT at_us FROM events ORDER BY rev DESC LIMIT 1", at_us, err);
}

int store_find_request(struct store *store, const char *owner, const char *request_id, char **digest, char **answer,
		       struct err *err)
{
	sqlite3_stmt *stmt =
		store_query(store, err, "SELECT digest, answer FROM requests WHERE owner = ?1 AND request_id = ?2",
			    "ss", owner, request_id);
	int rc = stmt ? store_step(store, stmt, err) : -1;

	if (rc <= 0) {
		return rc;
	}
	*digest = xstrdup(store_text(stmt, 0));
	*answer = xstrdup(store_text(stmt, 1));
	sqlite3_reset(stmt);
	return 1;
}

/* ---- loading ------------------------------------------------------------------------------------------------------
 */

int store_load_nodes(struct store *store, void (*fn)(const struct store_node *node, void *arg), void *arg,
		     struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT id, name, state, drain, cpu, memory, disk, net_in, net_out, pool,"
					 " suspend_rate, resume_rate, hypervisor, version, seen_us, edf_backend,"
					 " edf_cpus, edf_limit_ppm, edf_wake_ns, edf_period_us, edf_text FROM nodes"
					 " ORDER BY id",
					 "");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		int64_t id = sqlite3_column_int64(stmt, 0);
		struct store_node node = {
			.info.id = (uint32_t)id,
			.name = store_text(stmt, 1),
			.drain = sqlite3_column_int(stmt, 3),
			.info.capacity = read_capacity(stmt, 4),
			.info.pool_bytes = sqlite3_column_int64(stmt, 9),
			.info.suspend_rate = sqlite3_column_int64(stmt, 10),
			.info.resume_rate = sqlite3_column_int64(stmt, 11),
			.hypervisor = store_text(stmt, 12),
			.version = store_text(stmt, 13),
			.seen_us = sqlite3_column_int64(stmt, 14),
			.edf_backend = store_text(stmt, 15),
			.info.edf = {(uint32_t)sqlite3_column_int64(stmt, 16), (uint32_t)sqlite3_column_int64(stmt, 17),
				     sqlite3_column_int64(stmt, 18), sqlite3_column_int64(stmt, 19)},
			.edf_text = store_text(stmt, 20),
		};

		if (!id_fits(id) || !name_valid(node.name) || node.info.edf.cpus > EDF_CPUS ||
		    node_state_parse(store_text(stmt, 2), &node.info.state) < 0) {
			return damaged(store, stmt, "node", id, err);
		}
		fn(&node, arg);
	}
	return rc;
}

static int read_files(struct store *store, struct image *image, struct err *err)
{
	sqlite3_stmt *stmt = store_query(
		store, err, "SELECT role, digest, size, url FROM image_files WHERE image = ?1 ORDER BY role", "I",
		image->id);
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		struct part_file *file = &image->file[image->files];

		if (image->files == PART_FILES_MAX || !digest_valid(store_text(stmt, 1))) {
			return damaged(store, stmt, "image", (int64_t)image->id, err);
		}
		file->role = xstrdup(store_text(stmt, 0));
		memcpy(file->digest, store_text(stmt, 1), sizeof(file->digest));
		file->size = sqlite3_column_int64(stmt, 2);
		file->url = xstrdup(store_text(stmt, 3));
		image->files++;
	}
	return rc;
}

int store_load_images(struct store *store, void (*fn)(const struct image *image, void *arg), void *arg, struct err *err)
{
	sqlite3_stmt *stmt =
		store_query(store, err, "SELECT id, name, format, cmdline, size, disk FROM images ORDER BY id", "");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		struct image image = {
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.size = sqlite3_column_int64(stmt, 4),
			.disk = sqlite3_column_int64(stmt, 5),
		};
		bool good = image.id > 0 && image_format_parse(store_text(stmt, 2), &image.format) == 0;

		if (!good) {
			return damaged(store, stmt, "image", (int64_t)image.id, err);
		}
		image.name = xstrdup(store_text(stmt, 1));
		image.cmdline = xstrdup(store_text(stmt, 3));
		rc = read_files(store, &image, err);
		if (rc == 0) {
			fn(&image, arg);
		}
		image_fini(&image);
		if (rc < 0) {
			sqlite3_reset(stmt);
			return -1;
		}
	}
	return rc;
}

static int read_vm(sqlite3_stmt *stmt, uint32_t vms, struct vm *vm)
{
	int64_t index = sqlite3_column_int64(stmt, 0), node = sqlite3_column_int64(stmt, 2);
	int64_t generation = sqlite3_column_int64(stmt, 3), from = sqlite3_column_int64(stmt, 13);

	if (from < 0 || from > UINT32_MAX || index < 0 || index >= vms || node < 0 || node > UINT32_MAX ||
	    generation < 0 || generation > UINT32_MAX || lease_state_parse(store_text(stmt, 1), &vm->state) < 0) {
		return -1;
	}
	vm->index = (uint32_t)index;
	vm->node = (uint32_t)node;
	vm->generation = (uint32_t)generation;
	vm->planned = sqlite3_column_int(stmt, 4);
	vm->run.from = strcmp(store_text(stmt, 5), "resume") == 0 ? RUN_RESUME : RUN_BOOT;
	vm->run.then = strcmp(store_text(stmt, 6), "suspend") == 0 ? RUN_SUSPEND : RUN_STOP;
	vm->run.prepare_us = sqlite3_column_int64(stmt, 7);
	vm->run.start_us = sqlite3_column_int64(stmt, 8);
	vm->run.end_us = sqlite3_column_int64(stmt, 9);
	vm->run.release_us = sqlite3_column_int64(stmt, 10);
	vm->served_us = sqlite3_column_int64(stmt, 11);
	vm->started_us = sqlite3_column_int64(stmt, 12);
	vm->run.from_node = (uint32_t)from;
	vm->run.lodger = sqlite3_column_int(stmt, 14);
	return 0;
}

static int read_vms(struct store *store, struct lease *lease, struct err *err)
{
	sqlite3_stmt *stmt =
		store_query(store, err,
			    "SELECT vm, state, node, generation, planned, run_from, run_then, prepare_us,"
			    " start_us, end_us, release_us, served_us, started_us, from_node, lodger FROM vms"
			    " WHERE lease = ?1 ORDER BY vm",
			    "I", lease->id);
	uint32_t n = 0;
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		/* In order and without gaps, or it is not what was written. */
		if (n == lease->spec.vms || read_vm(stmt, lease->spec.vms, &lease->vms[n]) < 0 ||
		    lease->vms[n].index != n) {
			return damaged(store, stmt, "a VM of lease", (int64_t)lease->id, err);
		}
		lease->vms[n++].lease = lease->id;
	}
	if (rc == 0 && n != lease->spec.vms) {
		return damaged(store, stmt, "the number of VMs of lease", (int64_t)lease->id, err);
	}
	return rc;
}

static int read_lease(sqlite3_stmt *stmt, struct lease *lease)
{
	struct lease_spec *spec = &lease->spec;
	int64_t vms = sqlite3_column_int64(stmt, 4), res = sqlite3_column_int64(stmt, 15);
	int64_t user = sqlite3_column_int64(stmt, 21);

	if (vms < 1 || vms > LEASE_VMS_MAX || res < 0 || res >= RES_COUNT || user < 0 || user > UINT32_MAX ||
	    lease_kind_parse(store_text(stmt, 1), &spec->kind) < 0 ||
	    lease_state_parse(store_text(stmt, 2), &lease->state) < 0 ||
	    reason_parse(store_text(stmt, 14), &lease->reason.code) < 0) {
		return -1;
	}
	lease->id = (uint64_t)sqlite3_column_int64(stmt, 0);
	spec->serial = sqlite3_column_int(stmt, 3);
	spec->vms = (uint32_t)vms;
	spec->per_vm.amount[RES_CPU] = sqlite3_column_int64(stmt, 5);
	spec->per_vm.amount[RES_MEMORY] = sqlite3_column_int64(stmt, 6);
	spec->per_vm.amount[RES_DISK] = sqlite3_column_int64(stmt, 7);
	spec->image = (uint64_t)sqlite3_column_int64(stmt, 8);
	spec->start_us = sqlite3_column_int64(stmt, 9);
	spec->duration_us = sqlite3_column_int64(stmt, 10);
	lease->submitted_us = sqlite3_column_int64(stmt, 11);
	lease->first_start_us = sqlite3_column_int64(stmt, 12);
	lease->ended_us = sqlite3_column_int64(stmt, 13);
	lease->reason.res = (enum resource)res;
	lease->reason.lease = (uint64_t)sqlite3_column_int64(stmt, 16);
	lease->reason.arg0 = sqlite3_column_int64(stmt, 17);
	spec->latest_us = sqlite3_column_int64(stmt, 18);
	spec->deadline_us = sqlite3_column_int64(stmt, 19);
	spec->response_us = sqlite3_column_int64(stmt, 20);
	spec->user = (uint32_t)user;
	spec->price_max = sqlite3_column_int64(stmt, 22);
	lease->price = sqlite3_column_int64(stmt, 23);
	spec->slice_us = sqlite3_column_int64(stmt, 24);
	spec->period_us = sqlite3_column_int64(stmt, 25);
	if (spec->period_us) {
		spec->cpu = spec->per_vm.amount[RES_CPU];
		spec->per_vm.amount[RES_CPU] = sqlite3_column_int64(stmt, 26);
	}
	return 0;
}

int store_load_leases(struct store *store, void (*fn)(const struct lease *lease, void *arg), void *arg, struct err *err)
{
	sqlite3_stmt *stmt = store_query(
		store, err,
		"SELECT id, kind, state, serial, vms, cpu, memory, disk, image, start_us,"
		" duration_us, submitted_us, first_start_us, ended_us, reason, reason_res,"
		" reason_lease, reason_arg, latest_us, deadline_us, response_us, user,"
		" price_max, price, slice_us, period_us, cpu_booked FROM leases WHERE " OPEN_LEASE " ORDER BY id",
		"");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		struct lease lease = {0};

		if (read_lease(stmt, &lease) < 0) {
			return damaged(store, stmt, "lease", sqlite3_column_int64(stmt, 0), err);
		}
		lease.vms = xcalloc(lease.spec.vms, sizeof(*lease.vms));
		rc = read_vms(store, &lease, err);
		if (rc == 0) {
			fn(&lease, arg);
		}
		free(lease.vms);
		if (rc < 0) {
			sqlite3_reset(stmt);
			return -1;
		}
	}
	return rc;
}

/* Columns: id, kind, node, lease, vm, start, end, and from the eighth on what it uses. */
static int read_slot(struct store *store, sqlite3_stmt *stmt, struct slot *slot, struct err *err)
{
	int64_t node = sqlite3_column_int64(stmt, 2), vm = sqlite3_column_int64(stmt, 4);

	*slot = (struct slot){
		.id = (uint64_t)sqlite3_column_int64(stmt, 0),
		.node = (uint32_t)node,
		.lease = (uint64_t)sqlite3_column_int64(stmt, 3),
		.vm = (uint32_t)vm,
		.start_us = sqlite3_column_int64(stmt, 5),
		.end_us = sqlite3_column_int64(stmt, 6),
		.use = read_capacity(stmt, 7),
	};
	if (!id_fits(node) || vm < 0 || vm >= LEASE_VMS_MAX || slot_kind_parse(store_text(stmt, 1), &slot->kind) < 0) {
		return damaged(store, stmt, "slot", (int64_t)slot->id, err);
	}
	return 0;
}

int store_load_slots(struct store *store, wall_us after, void (*fn)(const struct slot *slot, void *arg), void *arg,
		     struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT id, kind, node, lease, vm, start_us, end_us, cpu, memory, disk,"
					 " net_in, net_out FROM slots WHERE end_us > ?1 OR lease IN"
					 " (SELECT id FROM leases WHERE " OPEN_LEASE ") ORDER BY id",
					 "i", after);
	struct slot slot;
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		if (read_slot(store, stmt, &slot, err) < 0) {
			return -1;
		}
		fn(&slot, arg);
	}
	return rc;
}

int store_load_use(struct store *store, wall_us after, void (*fn)(uint32_t user, const struct slot *slot, void *arg),
		   void *arg, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT s.id, s.kind, s.node, s.lease, s.vm, s.start_us, s.end_us, s.cpu,"
					 " s.memory, s.disk, s.net_in, s.net_out, l.user FROM slots s"
					 " JOIN leases l ON l.id = s.lease WHERE s.end_us > ?1 AND s.kind = 'run'"
					 " AND l.state IN ('rejected', 'done', 'cancelled', 'failed') ORDER BY s.id",
					 "i", after);
	struct slot slot;
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		int64_t user = sqlite3_column_int64(stmt, 12);

		if (read_slot(store, stmt, &slot, err) < 0) {
			return -1;
		}
		if (user < 0 || user > UINT32_MAX) {
			return damaged(store, stmt, "user of slot", (int64_t)slot.id, err);
		}
		fn((uint32_t)user, &slot, arg);
	}
	return rc;
}

int store_load_transfers(struct store *store, void (*fn)(const struct transfer *transfer, void *arg), void *arg,
			 struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err,
					 "SELECT id, image, node, state, start_us, end_us, deadline_us FROM transfers"
					 " WHERE state = 'planned' ORDER BY id",
					 "");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		int64_t node = sqlite3_column_int64(stmt, 2);
		struct transfer transfer = {
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.image = (uint64_t)sqlite3_column_int64(stmt, 1),
			.node = (uint32_t)node,
			.start_us = sqlite3_column_int64(stmt, 4),
			.end_us = sqlite3_column_int64(stmt, 5),
			.deadline_us = sqlite3_column_int64(stmt, 6),
		};

		if (!id_fits(node) || transfer_state_parse(store_text(stmt, 3), &transfer.state) < 0) {
			return damaged(store, stmt, "transfer", (int64_t)transfer.id, err);
		}
		fn(&transfer, arg);
	}
	return rc;
}

int store_load_estimates(struct store *store, void (*fn)(const struct estimate *estimate, void *arg), void *arg,
			 struct err *err)
{
	sqlite3_stmt *stmt =
		store_query(store, err,
			    "SELECT node, what, memory, count, mean_us, squares_ms2, last_us FROM estimates"
			    " ORDER BY node, what, memory",
			    "");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		int64_t node = sqlite3_column_int64(stmt, 0), count = sqlite3_column_int64(stmt, 3);
		struct estimate estimate = {
			.node = (uint32_t)node,
			.memory = sqlite3_column_int64(stmt, 2),
			.count = (uint32_t)count,
			.mean_us = sqlite3_column_int64(stmt, 4),
			.squares_ms2 = sqlite3_column_int64(stmt, 5),
			.last_us = sqlite3_column_int64(stmt, 6),
		};

		if (!id_fits(node) || count <= 0 || count > UINT32_MAX || estimate.mean_us < 0 ||
		    estimate.squares_ms2 < 0 || estimate_what_parse(store_text(stmt, 1), &estimate.what) < 0) {
			return damaged(store, stmt, "estimate of node", node, err);
		}
		fn(&estimate, arg);
	}
	return rc;
}

int store_load_pools(struct store *store, void (*fn)(uint32_t node, uint64_t image, void *arg), void *arg,
		     struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT node, image FROM pool ORDER BY node, image", "");
	int rc = -1;

	while (stmt && (rc = store_step(store, stmt, err)) > 0) {
		int64_t node = sqlite3_column_int64(stmt, 0);

		if (!id_fits(node)) {
			return damaged(store, stmt, "pool of node", node, err);
		}
		fn((uint32_t)node, (uint64_t)sqlite3_column_int64(stmt, 1), arg);
	}
	return rc;
}
