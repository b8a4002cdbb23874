/*
 * Between the planner and the rest: one event in, its actions into rows, events and notes of the open transaction; and
 * each node's part of the plan out of it. Nothing here is visible to anyone before the commit.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <utlist.h>

#include "manager_state.h"
#include "nodes.h"
#include "reason.h"
#include "record.h"
#include "util.h"

void manager_note(struct manager *manager, enum log_level level, const char *format, ...)
{
	struct note *note = xcalloc(1, sizeof(*note));
	va_list args;

	note->level = level;
	va_start(args, format);
	if (vasprintf(&note->text, format, args) < 0) {
		note->text = xstrdup(format);
	}
	va_end(args);
	DL_APPEND(manager->notes, note);
}

int manager_event(struct manager *manager, const char *kind, uint64_t lease, uint32_t node, struct json_object *data,
		  struct err *err)
{
	struct store_event event = {
		.at_us = manager->now,
		.kind = kind,
		.lease = lease,
		.node = node,
		.data = json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN),
	};
	int rc = store_add_event(manager->store, &event, err);

	json_object_put(data);
	return rc;
}

static struct json_object *reason_json(const struct reason *reason)
{
	struct json_object *data = json_object_new_object();

	if (reason->code != REASON_NONE) {
		reason_add_json(data, reason);
	}
	return data;
}

/* ---- actions into rows ---------------------------------------------------------------------------------------------
 */

static int write_lease(struct manager *manager, const struct lease *lease, struct err *err)
{
	const struct command *request = manager->request;

	if (lease->id != manager->fresh) {
		return store_put_lease(manager->store, lease, err);
	}
	struct store_lease_text text = {
		.name = request->name ? request->name : "",
		.owner = request->owner,
		.image_name = request->image,
	};

	manager->fresh = 0;
	manager->decided = *lease;
	manager->decided.vms = NULL;
	return store_add_lease(manager->store, lease, &text, err);
}

static int write_moved(struct manager *manager, const struct action *action, struct err *err)
{
	const char *from = lease_state_name(action->moved.from), *to = lease_state_name(action->moved.to);
	struct json_object *data = reason_json(&action->moved.reason);
	bool told = action->moved.to == LEASE_FAILED && manager->detail && *manager->detail;
	char text[REASON_TEXT];

	reason_text(&action->moved.reason, text);
	manager_note(manager, action->moved.to == LEASE_FAILED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		     "lease %" PRIu64 ": %s -> %s%s%s%s%s%s", action->moved.lease, from, to, *text ? " (" : "", text,
		     *text ? ")" : "", told ? ": " : "", told ? manager->detail : "");
	json_object_object_add(data, "from", json_object_new_string(from));
	json_object_object_add(data, "to", json_object_new_string(to));
	if (told) {
		json_object_object_add(data, "detail", json_object_new_string(manager->detail));
		if (store_set_detail(manager->store, action->moved.lease, manager->detail, err) < 0) {
			json_object_put(data);
			return -1;
		}
	}
	return manager_event(manager, "lease.moved", action->moved.lease, 0, data, err);
}

static int write_broken(struct manager *manager, const struct lease *lease, struct err *err)
{
	char text[REASON_TEXT];

	reason_text(&lease->reason, text);
	manager_note(manager, LOG_LEVEL_ERROR, "lease %" PRIu64 ": promise broken: %s", lease->id, text);
	return manager_event(manager, "lease.promise_broken", lease->id, 0, reason_json(&lease->reason), err);
}

static int write_transfer(struct manager *manager, const struct transfer *transfer, struct err *err)
{
	struct catalogue *entry = manager_image(manager, transfer->image);
	struct head_node *node = manager_node(manager, transfer->node);
	const char *name = entry ? entry->image.name : "";
	struct json_object *data;
	bool done = transfer->state == TRANSFER_DONE;

	if (transfer->id > manager->last_transfer) {
		manager->last_transfer = transfer->id;
	}
	if (store_put_transfer(manager->store, transfer, name, err) < 0) {
		return -1;
	}
	if (transfer->state == TRANSFER_PLANNED) {
		return 0;
	}
	manager_note(manager, done ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "image %s: %s node %s%s%s", name,
		     done ? "is on" : "cannot get to", node ? node->name : "?", !done && manager->detail ? ": " : "",
		     !done && manager->detail ? manager->detail : "");
	data = json_object_new_object();
	json_object_object_add(data, "image", json_object_new_string(name));
	json_object_object_add(data, "node", json_object_new_string(node ? node->name : ""));
	if (!done && manager->detail) {
		json_object_object_add(data, "detail", json_object_new_string(manager->detail));
	}
	return manager_event(manager, done ? "transfer.done" : "transfer.failed", 0, transfer->node, data, err);
}

static int write_slot(struct manager *manager, const struct slot *slot, struct err *err)
{
	if (slot->id > manager->last_slot) {
		manager->last_slot = slot->id;
	}
	return store_put_slot(manager->store, slot, err);
}

/* Its copying begins: told once, when its state comes to be so. */
static int tell_moving(struct manager *manager, const struct vm *vm, struct err *err)
{
	const struct head_node *from = manager_node(manager, vm->run.from_node), *to = manager_node(manager, vm->node);
	_cleanup_free_ char *text = NULL;
	struct json_object *data;

	if (!from || !to) {
		return 0;
	}
	text = xasprintf("VM %" PRIu32 " moves from node %s to node %s", vm->index, from->name, to->name);
	manager_note(manager, LOG_LEVEL_INFO, "lease %" PRIu64 ": %s", vm->lease, text);
	data = json_object_new_object();
	json_object_object_add(data, "text", json_object_new_string(text));
	json_object_object_add(data, "vm", json_object_new_int64(vm->index));
	json_object_object_add(data, "generation", json_object_new_int64(vm->generation));
	json_object_object_add(data, "from", json_object_new_string(from->name));
	json_object_object_add(data, "to", json_object_new_string(to->name));
	return manager_event(manager, "vm.moving", vm->lease, to->info.id, data, err);
}

static int write_vm(struct manager *manager, const struct vm *vm, struct err *err)
{
	int moved =
		vm->state == LEASE_MIGRATING ? store_vm_is(manager->store, vm->lease, vm->index, vm->state, err) : 1;

	if (moved < 0 || (moved == 0 && tell_moving(manager, vm, err) < 0)) {
		return -1;
	}
	return store_put_vm(manager->store, vm, err);
}

static void mark_dirty(struct manager *manager, uint32_t id)
{
	struct head_node *node = manager_node(manager, id);

	if (node) {
		node->dirty = true;
	}
}

static int write_action(struct manager *manager, const struct action *action, struct err *err)
{
	switch (action->kind) {
	case ACTION_LEASE:
		return write_lease(manager, action->lease, err);
	case ACTION_VM:
		return write_vm(manager, action->vm, err);
	case ACTION_SLOT:
		return write_slot(manager, &action->slot, err);
	case ACTION_SLOT_DROP:
		return store_drop_slot(manager->store, action->slot.id, err);
	case ACTION_TRANSFER:
		return write_transfer(manager, &action->transfer, err);
	case ACTION_TRANSFER_DROP:
		return store_drop_transfer(manager->store, action->transfer.id, err);
	case ACTION_ESTIMATE:
		return store_put_estimate(manager->store, &action->estimate, err);
	case ACTION_MOVED:
		return write_moved(manager, action, err);
	case ACTION_PROMISE_BROKEN:
		return write_broken(manager, action->lease, err);
	case ACTION_REFUSED: /* no row: who asked is answered */
		manager->refused = action->refused.reason;
		return 0;
	case ACTION_NODE_PLAN:
		mark_dirty(manager, action->node);
		return 0;
	case ACTION_WAKE:
		manager->wake_us = action->wake_us;
		return 0;
	case ACTION_KIND_COUNT:
		break;
	}
	return err_set(err, ERR_INTERNAL, "action %d is unknown", (int)action->kind);
}

/* What the planner is about to be told, and first whether it is another planner than the last time. */
static int record(struct manager *manager, const struct event *event, struct err *err)
{
	struct record_input input = {.at_us = manager->now, .event = *event};
	struct record_input rebuilt = {
		.at_us = manager->rebuilt_us,
		.rebuilt = true,
		.last_slot = manager->last_slot,
		.last_transfer = manager->last_transfer,
	};

	if (!manager->settings->record) {
		return 0;
	}
	if (manager->rebuilt && record_add(manager->store, &rebuilt, err) < 0) {
		return -1;
	}
	manager->rebuilt = false;
	return record_add(manager->store, &input, err);
}

int manager_step(struct manager *manager, const struct event *event, struct err *err)
{
	if (record(manager, event, err) < 0) {
		return -1;
	}
	/* Each step says anew when it wants the next tick; a wish that has come true must not come true for ever. */
	manager->wake_us = WALL_NEVER;
	plan_step(manager->plan, event, 1, manager->now, &manager->actions);
	for (size_t i = 0; i < manager->actions.count; i++) {
		if (write_action(manager, &manager->actions.item[i], err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* ---- the plan into parts -------------------------------------------------------------------------------------------
 */

struct part_build {
	struct manager *manager;
	uint32_t node;
	struct part *part;
	size_t vm_room, image_room;
};

static struct part_image *add_image(struct part_build *build, uint64_t id)
{
	struct catalogue *entry = manager_image(build->manager, id);
	struct part *part = build->part;
	struct part_image *image;

	if (!entry) {
		return NULL;
	}
	if (part->image_count == build->image_room) {
		build->image_room = build->image_room ? 2 * build->image_room : 8;
		part->images = xrealloc(part->images, build->image_room, sizeof(*part->images));
	}
	image = &part->images[part->image_count++];
	*image = (struct part_image){
		.id = id,
		.name = xstrdup(entry->image.name),
		.format = entry->image.format,
		.cmdline = xstrdup(entry->image.cmdline),
		.files = entry->image.files,
		.deadline_us = WALL_NEVER,
	};
	for (size_t i = 0; i < image->files; i++) {
		const struct part_file *file = &entry->image.file[i];
		_cleanup_free_ char *base = *file->url ? NULL : settings_image_url(build->manager->settings);

		image->file[i] = *file;
		image->file[i].role = xstrdup(file->role);
		image->file[i].url = base ? xasprintf("%s/%s", base, file->digest) : xstrdup(file->url);
	}
	return image;
}

static struct part_image *need_image(struct part_build *build, uint64_t id)
{
	for (size_t i = 0; i < build->part->image_count; i++) {
		if (build->part->images[i].id == id) {
			return &build->part->images[i];
		}
	}
	return add_image(build, id);
}

static bool part_transfer(const struct transfer *transfer, void *arg)
{
	struct part_image *image = transfer->state == TRANSFER_PLANNED ? need_image(arg, transfer->image) : NULL;

	if (image) {
		image->begin_us = transfer->start_us;
		image->deadline_us = transfer->deadline_us;
	}
	return true;
}

bool manager_moves_from(const struct vm *vm, uint32_t node)
{
	return vm->planned && vm->run.from_node == node && !vm->started_us;
}

/*
 * Both nodes are told of a move: the one it lies on who may fetch it, and not to run it; the other where it is. The
 * node's name in the URL is part of the fence: one that was to have it by an earlier plan asks in vain.
 */
static void add_move(struct part_build *build, const struct vm *vm, struct part_vm *out)
{
	const struct manager *manager = build->manager;
	const struct head_node *to = manager_node(manager, vm->node);
	const char *address;

	if (!to || !manager_moves_from(vm, vm->run.from_node)) {
		return;
	}
	if (build->node == vm->run.from_node) {
		out->to = xstrdup(to->name);
		out->planned = false;
		return;
	}
	address = manager->nodes ? nodes_guests(manager->nodes, vm->run.from_node) : NULL;
	out->fetch_us = run_begin(&vm->run);
	out->from = address ? xasprintf("http://%s/guests/%s/%" PRIu64 "-%" PRIu32 "-%" PRIu32, address, to->name,
					vm->lease, vm->index, vm->generation)
			    : xstrdup("");
}

static void part_vm(struct part_build *build, const struct lease *lease, const struct vm *vm, const char *name)
{
	struct part *part = build->part;

	if (!need_image(build, lease->spec.image)) {
		return; /* removed from the catalogue by hand: there is nothing the node could boot */
	}
	if (part->vm_count == build->vm_room) {
		build->vm_room = build->vm_room ? 2 * build->vm_room : 16;
		part->vms = xrealloc(part->vms, build->vm_room, sizeof(*part->vms));
	}
	part->vms[part->vm_count++] = (struct part_vm){
		.lease = lease->id,
		.vm = vm->index,
		.generation = vm->generation,
		.name = xstrdup(name),
		.image = lease->spec.image,
		.kind = lease->spec.kind,
		.use = lease->spec.per_vm,
		.slice_us = lease->spec.slice_us,
		.period_us = lease->spec.period_us,
		.aligned = lease->spec.vms > 1 && !lease->spec.serial,
		.planned = vm->planned,
		.run = vm->run,
	};
	part->vms[part->vm_count - 1].use.amount[RES_CPU] = lease_cpu(&lease->spec);
	if (vm->run.from_node) {
		add_move(build, vm, &part->vms[part->vm_count - 1]);
	}
}

static bool part_lease(const struct lease *lease, void *arg)
{
	struct part_build *build = arg;
	struct store_lease_brief brief = {0};

	for (uint32_t i = 0; i < lease->spec.vms; i++) {
		const struct vm *vm = &lease->vms[i];

		bool here = vm->node == build->node || manager_moves_from(vm, build->node);

		if (!here || lease_state_final(vm->state)) {
			continue;
		}
		if (!vm->planned && vm->state != LEASE_SUSPENDED) {
			need_image(build, lease->spec.image); /* it only stands by: the node is kept for it */
			continue;
		}
		/* The name is only for people: without it the part is as good. */
		if (!brief.name && store_lease_brief(build->manager->store, lease->id, &brief, NULL) <= 0) {
			brief.name = xstrdup("");
		}
		part_vm(build, lease, vm, brief.name);
	}
	store_lease_brief_fini(&brief);
	return true;
}

struct part *manager_part(struct manager *manager, uint32_t id)
{
	struct head_node *node = manager_node(manager, id);
	struct part_build build = {.manager = manager, .node = id};

	if (!manager->plan || !node) {
		return NULL;
	}
	build.part = xcalloc(1, sizeof(*build.part));
	build.part->epoch = manager->epoch;
	build.part->version = node->version;
	plan_each_transfer(manager->plan, id, part_transfer, &build);
	plan_each_lease(manager->plan, part_lease, &build);
	return build.part;
}
