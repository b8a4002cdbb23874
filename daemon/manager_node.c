/*
 * What nodes say, compared with what they said before: only changes reach the planner. Silence is a state of the node,
 * never news of its guests.
 */
#include <inttypes.h>
#include <string.h>

#include "manager_state.h"
#include "util.h"
#include "when.h"

#define PROGRESS_STEP 20 /* a transfer's progress is written down in so many steps */

int manager_node_state(struct manager *manager, struct head_node *node, enum node_state state, struct err *err)
{
	enum node_state old = node->info.state;
	struct event event = {.kind = EVENT_NODE};
	struct store_node row;
	struct json_object *data;

	node->info.state = state;
	row = (struct store_node){
		.info = node->info,
		.name = node->name,
		.hypervisor = node->hypervisor,
		.version = node->agent_version,
		.edf_backend = node->edf.backend,
		.edf_text = node->edf.text,
		.drain = node->drain,
		.seen_us = node->seen_us,
	};
	event.node = node->info;
	if (store_put_node(manager->store, &row, err) < 0 || manager_step(manager, &event, err) < 0) {
		return -1;
	}
	if (old == state) {
		return 0;
	}
	manager_note(manager, state == NODE_SILENT ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "node %s: %s -> %s",
		     node->name, store_node_state_name(old), store_node_state_name(state));
	data = json_object_new_object();
	json_object_object_add(data, "node", json_object_new_string(node->name));
	json_object_object_add(data, "from", json_object_new_string(store_node_state_name(old)));
	json_object_object_add(data, "to", json_object_new_string(store_node_state_name(state)));
	return manager_event(manager, "node.state", 0, node->info.id, data, err);
}

/* That of a node that answers. */
static enum node_state live_state(const struct head_node *node)
{
	return node->drain ? NODE_DRAINING : NODE_UP;
}

static struct head_node *register_node(struct manager *manager, const char *name, struct err *err)
{
	struct head_node *node = manager_add_node(manager, (uint32_t)++manager->last_node, name);
	struct json_object *data = json_object_new_object();

	manager_note(manager, LOG_LEVEL_INFO, "node %s: registered", name);
	json_object_object_add(data, "node", json_object_new_string(name));
	return manager_event(manager, "node.added", 0, node->info.id, data, err) < 0 ? NULL : node;
}

int manager_hello(struct manager *manager, struct work *work, struct err *err)
{
	const struct node_hello *hello = &work->hello;
	struct head_node *node = manager_find_node(manager, hello->name);

	if (!node && !(node = register_node(manager, hello->name, err))) {
		return -1;
	}
	free(node->hypervisor);
	free(node->agent_version);
	node->hypervisor = xstrdup(hello->hypervisor);
	node->agent_version = xstrdup(hello->version);
	node->info.capacity = hello->capacity;
	node->info.pool_bytes = hello->pool_bytes;
	node->info.suspend_rate = hello->suspend_rate;
	node->info.resume_rate = hello->resume_rate;
	node->edf = hello->edf;
	node->info.edf = hello->edf.can;
	node->seen_us = manager->now;
	if (manager_node_state(manager, node, live_state(node), err) < 0) {
		return -1;
	}
	work->result = json_object_new_object();
	json_object_object_add(work->result, "node", json_object_new_int64(node->info.id));
	return 0;
}

int manager_silent(struct manager *manager, uint32_t id, struct err *err)
{
	struct head_node *node = manager_node(manager, id);

	return node ? manager_node_state(manager, node, NODE_SILENT, err) : 0;
}

/* ---- reports -------------------------------------------------------------------------------------------------------
 */

/* The VM a report speaks of, as planned; NULL if it is not the node's any more. */
static const struct vm *planned_vm(const struct manager *manager, uint32_t node, const struct report_vm *seen)
{
	const struct lease *lease = plan_lease(manager->plan, seen->lease);
	const struct vm *vm = lease && seen->vm < lease->spec.vms && lease->vms ? &lease->vms[seen->vm] : NULL;

	bool here = vm && (vm->node == node || manager_moves_from(vm, node));

	return here && vm->generation == seen->generation ? vm : NULL;
}

static int tell_vm(struct manager *manager, struct head_node *node, const struct report_vm *seen, struct err *err)
{
	struct json_object *data = json_object_new_object();
	_cleanup_free_ char *text = xasprintf("VM %" PRIu32 " on node %s: %s%s%s", seen->vm, node->name,
					      vm_seen_name(seen->seen), *seen->text ? ": " : "", seen->text);

	json_object_object_add(data, "text", json_object_new_string(text));
	json_object_object_add(data, "vm", json_object_new_int64(seen->vm));
	json_object_object_add(data, "generation", json_object_new_int64(seen->generation));
	json_object_object_add(data, "node", json_object_new_string(node->name));
	json_object_object_add(data, "seen", json_object_new_string(vm_seen_name(seen->seen)));
	json_object_object_add(data, "at_us", json_object_new_int64(seen->at_us));
	if (*seen->text) {
		json_object_object_add(data, "detail", json_object_new_string(seen->text));
	}
	return manager_event(manager, "vm.seen", seen->lease, node->info.id, data, err);
}

static bool changed_vm(const struct manager *manager)
{
	for (size_t i = 0; i < manager->actions.count; i++) {
		if (manager->actions.item[i].kind == ACTION_VM) {
			return true;
		}
	}
	return false;
}

static int vm_changed(struct manager *manager, struct head_node *node, const struct report_vm *seen, struct err *err)
{
	struct event event = {.kind = EVENT_VM_SEEN};
	int rc;

	if (seen->seen == SEEN_FAILED && *seen->text &&
	    store_set_detail(manager->store, seen->lease, seen->text, err) < 0) {
		return -1;
	}
	event.vm.lease = seen->lease;
	event.vm.vm = seen->vm;
	event.vm.generation = seen->generation;
	event.vm.node = node->info.id;
	event.vm.seen = seen->seen;
	event.vm.at_us = seen->at_us;
	manager->detail = seen->text;
	rc = manager_step(manager, &event, err);
	manager->detail = NULL;
	/* After a restart everything is reported anew; what changed nothing was told before. */
	return rc < 0 || !changed_vm(manager) ? rc : tell_vm(manager, node, seen, err);
}

/* The node counts how often a guest missed too many periods: what is more than before is news. */
static int see_alarms(struct manager *manager, struct head_node *node, struct seen_vm *known,
		      const struct report_vm *seen, struct err *err)
{
	const struct report_edf *edf = &seen->edf;
	bool news = edf->alarms > known->alarms;
	struct json_object *data;
	_cleanup_free_ char *text = NULL;
	char late[WHEN_TEXT];

	known->alarms = edf->alarms;
	if (!news) {
		return 0;
	}
	when_span(edf->late_us, late);
	text = xasprintf("VM %" PRIu32 " on node %s has missed %" PRId64 " of %" PRId64 " periods, by up to %s",
			 seen->vm, node->name, edf->misses, edf->periods, late);
	manager_note(manager, LOG_LEVEL_WARNING, "lease %" PRIu64 ": %s", seen->lease, text);
	data = json_object_new_object();
	json_object_object_add(data, "text", json_object_new_string(text));
	json_object_object_add(data, "vm", json_object_new_int64(seen->vm));
	json_object_object_add(data, "node", json_object_new_string(node->name));
	json_object_object_add(data, "misses", json_object_new_int64(edf->misses));
	json_object_object_add(data, "periods", json_object_new_int64(edf->periods));
	json_object_object_add(data, "late_us", json_object_new_int64(edf->late_us));
	return manager_event(manager, "vm.misses", seen->lease, node->info.id, data, err);
}

static struct seen_vm *known_vm(struct head_node *node, const struct report_vm *seen)
{
	struct seen_vm_key key;
	struct seen_vm *known;

	memset(&key, 0, sizeof(key));
	key.lease = seen->lease;
	key.vm = seen->vm;
	key.generation = seen->generation;
	HASH_FIND(hh, node->vms, &key, sizeof(key), known);
	if (!known) {
		known = xcalloc(1, sizeof(*known));
		known->key = key;
		known->seen = SEEN_COUNT;
		known->alarms = seen->edf.alarms;
		HASH_ADD(hh, node->vms, key, sizeof(known->key), known);
	}
	known->listed = true;
	return known;
}

static int see_vm(struct manager *manager, struct head_node *node, const struct report_vm *seen, struct err *err)
{
	const struct vm *vm = planned_vm(manager, node->info.id, seen);
	struct seen_vm *known;

	if (!vm) {
		return 0;
	}
	known = known_vm(node, seen);
	if (see_alarms(manager, node, known, seen, err) < 0) {
		return -1;
	}
	if (known->seen == seen->seen && known->at_us == seen->at_us && known->state == vm->state &&
	    known->start_us == vm->run.start_us) {
		return 0;
	}
	known->seen = seen->seen;
	known->at_us = seen->at_us;
	known->state = vm->state;
	known->start_us = vm->run.start_us;
	return vm_changed(manager, node, seen, err);
}

static void forget_unlisted(struct head_node *node)
{
	struct seen_vm *known, *next;

	HASH_ITER (hh, node->vms, known, next) {
		if (!known->listed) {
			HASH_DEL(node->vms, known);
			free(known);
			continue;
		}
		known->listed = false;
	}
}

static int pool_event(struct manager *manager, struct head_node *node, enum event_kind kind, uint64_t image,
		      const char *text, struct err *err)
{
	struct event event = {.kind = kind};
	int rc;

	event.pool.node = node->info.id;
	event.pool.image = image;
	manager->detail = text;
	rc = manager_step(manager, &event, err);
	manager->detail = NULL;
	return rc;
}

struct transfer_search {
	uint64_t image;
	bool found;
};

static bool match_transfer(const struct transfer *transfer, void *arg)
{
	struct transfer_search *search = arg;

	search->found = transfer->image == search->image && transfer->state == TRANSFER_PLANNED;
	return !search->found;
}

/*
 * Given up counts against a transfer only if the agent says so knowing the present part: an older report may speak of
 * an earlier transfer of the same image.
 */
static bool given_up(const struct manager *manager, const struct head_node *node, const struct report *report,
		     uint64_t image)
{
	struct transfer_search search = {.image = image};

	if (report->epoch != manager->epoch || report->version != node->version) {
		return false;
	}
	plan_each_transfer(manager->plan, node->info.id, match_transfer, &search);
	return search.found;
}

static int progress(struct manager *manager, struct head_node *node, struct seen_image *known, int64_t bytes,
		    struct err *err)
{
	struct catalogue *entry = manager_image(manager, known->id);

	if (bytes == known->bytes ||
	    (bytes > known->bytes && bytes - known->bytes < entry->image.size / PROGRESS_STEP)) {
		return 0;
	}
	known->bytes = bytes;
	return store_set_progress(manager->store, node->info.id, known->id, bytes, err);
}

static int see_image(struct manager *manager, struct head_node *node, const struct report *report,
		     const struct report_image *seen, struct err *err)
{
	struct seen_image *known;
	bool was;

	if (!manager_image(manager, seen->id)) {
		return 0; /* removed from the catalogue */
	}
	HASH_FIND(hh, node->images, &seen->id, sizeof(seen->id), known);
	if (!known) {
		known = xcalloc(1, sizeof(*known));
		known->id = seen->id;
		known->state = POOL_STAGING;
		HASH_ADD(hh, node->images, id, sizeof(known->id), known);
	}
	was = known->state == POOL_PRESENT;
	known->state = seen->state;
	if (was && seen->state != POOL_PRESENT) {
		known->bytes = 0;
		return store_drop_pool(manager->store, node->info.id, seen->id, err) < 0
			       ? -1
			       : pool_event(manager, node, EVENT_IMAGE_ABSENT, seen->id, seen->text, err);
	}
	switch (seen->state) {
	case POOL_PRESENT:
		if (was) {
			return 0;
		}
		return store_put_pool(manager->store, node->info.id, seen->id, err) < 0
			       ? -1
			       : pool_event(manager, node, EVENT_IMAGE_PRESENT, seen->id, NULL, err);
	case POOL_STAGING:
		return progress(manager, node, known, seen->bytes, err);
	case POOL_BAD:
		return given_up(manager, node, report, seen->id)
			       ? pool_event(manager, node, EVENT_TRANSFER_FAILED, seen->id, seen->text, err)
			       : 0;
	case POOL_STATE_COUNT:
		break;
	}
	return 0;
}

int manager_report(struct manager *manager, uint32_t id, struct err *err)
{
	const struct report *report = manager_last_report(manager, id);
	struct head_node *node = manager_node(manager, id);

	if (!node || !report) {
		return 0;
	}
	node->seen_us = manager->now;
	if (node->info.state == NODE_SILENT && manager_node_state(manager, node, live_state(node), err) < 0) {
		return -1;
	}
	/* Images first: a guest that was created from one proves that it is there. */
	for (size_t i = 0; i < report->image_count; i++) {
		if (see_image(manager, node, report, &report->images[i], err) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < report->vm_count; i++) {
		if (see_vm(manager, node, &report->vms[i], err) < 0) {
			return -1;
		}
	}
	forget_unlisted(node);
	return 0;
}

const struct report *manager_last_report(const struct manager *manager, uint32_t node)
{
	struct last_report *last;

	HASH_FIND(hh, manager->report, &node, sizeof(node), last);
	return last ? last->report : NULL;
}

void manager_drop_reports(struct manager *manager)
{
	struct last_report *last, *next;

	HASH_ITER (hh, manager->report, last, next) {
		HASH_DEL(manager->report, last);
		report_free(last->report);
		free(last);
	}
}

void manager_each_node(struct manager *manager, void (*fn)(uint32_t id, const char *name, void *arg), void *arg)
{
	struct head_node *node, *next;

	HASH_ITER (hh, manager->node, node, next) {
		fn(node->info.id, node->name, arg);
	}
}

uint64_t manager_version(const struct manager *manager, uint32_t id)
{
	struct head_node *node = manager_node(manager, id);

	return node ? node->version : 0;
}
