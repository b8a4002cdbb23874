/*
 * Writing rows: one function per thing that can be written, each a prepared statement. Decides nothing and checks
 * nothing but what the tables themselves check.
 */
#include <string.h>

#include "reason.h"
#include "store_sql.h"
#include "util.h"

int store_set_meta(struct store *store, const char *key, int64_t value, struct err *err)
{
	return store_run(store, err,
			 "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			 "si", key, value);
}

int store_add_user(struct store *store, const char *name, struct err *err)
{
	return store_run(store, err, "INSERT OR IGNORE INTO users (name) VALUES (?1)", "s", name);
}

/* With a constraint; without one it is what was asked for. */
static int64_t cpu_booked(const struct lease_spec *spec)
{
	return spec->period_us ? spec->per_vm.amount[RES_CPU] : 0;
}

int store_add_lease(struct store *store, const struct lease *lease, const struct store_lease_text *text,
		    struct err *err)
{
	const struct lease_spec *spec = &lease->spec;

	return store_run(
		store, err,
		"INSERT INTO leases (id, name, owner, kind, state, serial, vms, cpu, memory, disk, image, image_name,"
		" start_us, duration_us, submitted_us, first_start_us, ended_us, reason, reason_res, reason_lease,"
		" reason_arg, latest_us, deadline_us, response_us, user, price_max, price, slice_us, period_us,"
		" cpu_booked)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
		" ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)",
		"IssssiiiiiIsiiiiisiIiiiiiiiiii", lease->id, text->name, text->owner, lease_kind_name(spec->kind),
		lease_state_name(lease->state), (int64_t)spec->serial, (int64_t)spec->vms, lease_cpu(spec),
		spec->per_vm.amount[RES_MEMORY], spec->per_vm.amount[RES_DISK], spec->image, text->image_name,
		spec->start_us, spec->duration_us, lease->submitted_us, lease->first_start_us, lease->ended_us,
		reason_name(lease->reason.code), (int64_t)lease->reason.res, lease->reason.lease, lease->reason.arg0,
		spec->latest_us, spec->deadline_us, spec->response_us, (int64_t)spec->user, spec->price_max,
		lease->price, spec->slice_us, spec->period_us, cpu_booked(spec));
}

int store_put_lease(struct store *store, const struct lease *lease, struct err *err)
{
	return store_run(store, err,
			 "UPDATE leases SET state = ?2, first_start_us = ?3, ended_us = ?4, reason = ?5,"
			 " reason_res = ?6, reason_lease = ?7, reason_arg = ?8, start_us = ?9, duration_us = ?10,"
			 " price = ?11, slice_us = ?12, period_us = ?13, cpu_booked = ?14 WHERE id = ?1",
			 "IsiisiIiiiiiii", lease->id, lease_state_name(lease->state), lease->first_start_us,
			 lease->ended_us, reason_name(lease->reason.code), (int64_t)lease->reason.res,
			 lease->reason.lease, lease->reason.arg0, lease->spec.start_us, lease->spec.duration_us,
			 lease->price, lease->spec.slice_us, lease->spec.period_us, cpu_booked(&lease->spec));
}

int store_set_detail(struct store *store, uint64_t lease, const char *detail, struct err *err)
{
	return store_run(store, err, "UPDATE leases SET detail = ?2 WHERE id = ?1", "Is", lease, detail);
}

int store_put_vm(struct store *store, const struct vm *vm, struct err *err)
{
	const struct run *run = &vm->run;

	return store_run(
		store, err,
		"INSERT INTO vms VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
		" ON CONFLICT (lease, vm) DO UPDATE SET state = excluded.state, node = excluded.node,"
		" generation = excluded.generation, planned = excluded.planned, run_from = excluded.run_from,"
		" run_then = excluded.run_then, prepare_us = excluded.prepare_us,"
		" start_us = excluded.start_us, end_us = excluded.end_us, release_us = excluded.release_us,"
		" served_us = excluded.served_us, started_us = excluded.started_us,"
		" from_node = excluded.from_node, lodger = excluded.lodger",
		"Iisiiissiiiiiiii", vm->lease, (int64_t)vm->index, lease_state_name(vm->state), (int64_t)vm->node,
		(int64_t)vm->generation, (int64_t)vm->planned, run->from == RUN_RESUME ? "resume" : "boot",
		run->then == RUN_SUSPEND ? "suspend" : "stop", run->prepare_us, run->start_us, run->end_us,
		run->release_us, vm->served_us, vm->started_us, (int64_t)run->from_node, (int64_t)run->lodger);
}

int store_put_slot(struct store *store, const struct slot *slot, struct err *err)
{
	const int64_t *use = slot->use.amount;

	return store_run(store, err,
			 "INSERT INTO slots VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
			 " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, node = excluded.node,"
			 " lease = excluded.lease, vm = excluded.vm, start_us = excluded.start_us,"
			 " end_us = excluded.end_us, cpu = excluded.cpu, memory = excluded.memory,"
			 " disk = excluded.disk, net_in = excluded.net_in, net_out = excluded.net_out",
			 "IsiIiiiiiiii", slot->id, slot_kind_name(slot->kind), (int64_t)slot->node, slot->lease,
			 (int64_t)slot->vm, slot->start_us, slot->end_us, use[RES_CPU], use[RES_MEMORY], use[RES_DISK],
			 use[RES_NET_IN], use[RES_NET_OUT]);
}

int store_drop_slot(struct store *store, uint64_t id, struct err *err)
{
	return store_run(store, err, "DELETE FROM slots WHERE id = ?1", "I", id);
}

int store_put_transfer(struct store *store, const struct transfer *transfer, const char *image_name, struct err *err)
{
	return store_run(store, err,
			 "INSERT INTO transfers (id, image, image_name, node, state, start_us, end_us, deadline_us)"
			 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
			 " ON CONFLICT (id) DO UPDATE SET state = excluded.state, start_us = excluded.start_us,"
			 " end_us = excluded.end_us, deadline_us = excluded.deadline_us",
			 "IIsisiii", transfer->id, transfer->image, image_name, (int64_t)transfer->node,
			 transfer_state_name(transfer->state), transfer->start_us, transfer->end_us,
			 transfer->deadline_us);
}

int store_put_estimate(struct store *store, const struct estimate *estimate, struct err *err)
{
	return store_run(store, err, "INSERT OR REPLACE INTO estimates VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", "isiiiii",
			 (int64_t)estimate->node, estimate_what_name(estimate->what), estimate->memory,
			 (int64_t)estimate->count, estimate->mean_us, estimate->squares_ms2, estimate->last_us);
}

int store_drop_transfer(struct store *store, uint64_t id, struct err *err)
{
	return store_run(store, err, "DELETE FROM transfers WHERE id = ?1", "I", id);
}

int store_set_progress(struct store *store, uint32_t node, uint64_t image, int64_t bytes, struct err *err)
{
	return store_run(store, err,
			 "UPDATE transfers SET bytes = ?3 WHERE node = ?1 AND image = ?2 AND state = 'planned'", "iIi",
			 (int64_t)node, image, bytes);
}

int store_put_node(struct store *store, const struct store_node *node, struct err *err)
{
	const struct node_info *info = &node->info;
	const int64_t *have = info->capacity.amount;

	return store_run(store, err,
			 "INSERT INTO nodes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
			 " ?16, ?17, ?18, ?19, ?20, ?21)"
			 " ON CONFLICT (id) DO UPDATE SET state = excluded.state, drain = excluded.drain,"
			 " cpu = excluded.cpu, memory = excluded.memory, disk = excluded.disk,"
			 " net_in = excluded.net_in, net_out = excluded.net_out, pool = excluded.pool,"
			 " suspend_rate = excluded.suspend_rate, resume_rate = excluded.resume_rate,"
			 " hypervisor = excluded.hypervisor, version = excluded.version, seen_us = excluded.seen_us,"
			 " edf_backend = excluded.edf_backend, edf_cpus = excluded.edf_cpus,"
			 " edf_limit_ppm = excluded.edf_limit_ppm, edf_wake_ns = excluded.edf_wake_ns,"
			 " edf_period_us = excluded.edf_period_us, edf_text = excluded.edf_text",
			 "issiiiiiiiiissisiiiis", (int64_t)info->id, node->name, store_node_state_name(info->state),
			 (int64_t)node->drain, have[RES_CPU], have[RES_MEMORY], have[RES_DISK], have[RES_NET_IN],
			 have[RES_NET_OUT], info->pool_bytes, info->suspend_rate, info->resume_rate, node->hypervisor,
			 node->version, node->seen_us, node->edf_backend ? node->edf_backend : "none",
			 (int64_t)info->edf.cpus, (int64_t)info->edf.limit_ppm, info->edf.wake_ns,
			 info->edf.period_min_us, node->edf_text ? node->edf_text : "");
}

int store_add_image(struct store *store, const struct image *image, const char *owner, wall_us now, struct err *err)
{
	if (store_run(store, err, "INSERT INTO images VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", "Isssiisi", image->id,
		      image->name, image_format_name(image->format), image->cmdline ? image->cmdline : "", image->size,
		      image->disk, owner, now) < 0) {
		return -1;
	}
	for (size_t i = 0; i < image->files; i++) {
		const struct part_file *file = &image->file[i];

		if (store_run(store, err, "INSERT INTO image_files VALUES (?1, ?2, ?3, ?4, ?5)", "Issis", image->id,
			      file->role, file->digest, file->size, file->url ? file->url : "") < 0) {
			return -1;
		}
	}
	return 0;
}

int store_drop_image(struct store *store, uint64_t id, struct err *err)
{
	if (store_run(store, err, "DELETE FROM pool WHERE image = ?1", "I", id) < 0) {
		return -1;
	}
	return store_run(store, err, "DELETE FROM images WHERE id = ?1", "I", id);
}

int store_put_pool(struct store *store, uint32_t node, uint64_t image, struct err *err)
{
	return store_run(store, err, "INSERT OR IGNORE INTO pool VALUES (?1, ?2)", "iI", (int64_t)node, image);
}

int store_drop_pool(struct store *store, uint32_t node, uint64_t image, struct err *err)
{
	return store_run(store, err, "DELETE FROM pool WHERE node = ?1 AND image = ?2", "iI", (int64_t)node, image);
}

int store_add_event(struct store *store, const struct store_event *event, struct err *err)
{
	return store_run(store, err, "INSERT INTO events (at_us, kind, lease, node, data) VALUES (?1, ?2, ?3, ?4, ?5)",
			 "isIis", event->at_us, event->kind, event->lease, (int64_t)event->node, event->data);
}

int store_add_request(struct store *store, const struct store_request *request, struct err *err)
{
	return store_run(store, err,
			 "INSERT INTO requests (owner, request_id, method, digest, at_us, answer)"
			 " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			 "ssssis", request->owner, request->request_id, request->method, request->digest,
			 request->at_us, request->answer);
}

/* Rows of the last statement itself, without those that went with them. */
static int changes(struct store *store, int64_t *n, struct err *err)
{
	sqlite3_stmt *stmt = store_query(store, err, "SELECT changes()", "");

	if (!stmt || store_step(store, stmt, err) < 0) {
		return -1;
	}
	*n = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return 0;
}

int store_prune(struct store *store, wall_us before, int64_t limit, struct err *err)
{
	/*
	 * Requests before the leases that they name. Events lie in order of time, so that the oldest few tell whether
	 * there is anything to do. A lease counts by its VMs: their rows and slots go with it.
	 */
	static const char *const texts[] = {
		"DELETE FROM requests WHERE (owner, request_id) IN"
		" (SELECT owner, request_id FROM requests WHERE at_us < ?1 ORDER BY at_us LIMIT ?2)",
		"DELETE FROM events WHERE rev IN"
		" (SELECT rev FROM (SELECT rev, at_us FROM events ORDER BY rev LIMIT ?2) WHERE at_us < ?1)",
		"DELETE FROM transfers WHERE id IN"
		" (SELECT id FROM transfers WHERE state <> 'planned' AND end_us < ?1 ORDER BY end_us LIMIT ?2)",
		"DELETE FROM leases WHERE id IN (SELECT id FROM"
		" (SELECT id, vms, sum(vms) OVER (ORDER BY final_us, id) AS upto FROM"
		" (SELECT id, vms, max(submitted_us, ended_us) AS final_us FROM leases"
		" WHERE state IN ('rejected', 'done', 'cancelled', 'failed') AND final_us < ?1"
		" ORDER BY final_us, id LIMIT ?2)) WHERE upto - vms < ?2)",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int64_t gone;

		if (store_run(store, err, texts[i], "ii", before, limit) < 0 || changes(store, &gone, err) < 0) {
			return -1;
		}
		if (gone > 0) {
			return 1;
		}
	}
	return 0;
}
