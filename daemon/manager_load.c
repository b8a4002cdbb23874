/*
 * The manager's mirror of the store: the plan, the nodes and the catalogue, loaded at the start and again whenever a
 * transaction has failed, so that memory never holds what the disk does not.
 */
#include <string.h>

#include "manager_state.h"
#include "rebuild.h"
#include "util.h"

void manager_copy_image(const struct image *from, struct image *to)
{
	*to = *from;
	to->name = xstrdup(from->name);
	to->cmdline = xstrdup(from->cmdline ? from->cmdline : "");
	for (size_t i = 0; i < from->files; i++) {
		to->file[i].role = xstrdup(from->file[i].role);
		to->file[i].url = xstrdup(from->file[i].url ? from->file[i].url : "");
	}
}

void manager_add_image(struct manager *manager, const struct image *image)
{
	struct catalogue *entry = xcalloc(1, sizeof(*entry));

	manager_copy_image(image, &entry->image);
	HASH_ADD(hh, manager->image, image.id, sizeof(entry->image.id), entry);
}

void manager_remove_image(struct manager *manager, struct catalogue *entry)
{
	struct head_node *node, *next;

	HASH_ITER (hh, manager->node, node, next) {
		struct seen_image *seen;
		HASH_FIND(hh, node->images, &entry->image.id, sizeof(entry->image.id), seen);
		if (seen) {
			HASH_DEL(node->images, seen);
			free(seen);
		}
	}
	HASH_DEL(manager->image, entry);
	image_fini(&entry->image);
	free(entry);
}

struct catalogue *manager_image(const struct manager *manager, uint64_t id)
{
	struct catalogue *entry;

	HASH_FIND(hh, manager->image, &id, sizeof(id), entry);
	return entry;
}

struct catalogue *manager_find_image(const struct manager *manager, const char *name)
{
	struct catalogue *entry, *next;

	HASH_ITER (hh, manager->image, entry, next) {
		if (strcmp(entry->image.name, name) == 0) {
			return entry;
		}
	}
	return NULL;
}

struct head_node *manager_add_node(struct manager *manager, uint32_t id, const char *name)
{
	struct head_node *node = xcalloc(1, sizeof(*node));

	node->info.id = id;
	node->name = xstrdup(name);
	node->version = manager->version;
	HASH_ADD(hh, manager->node, info.id, sizeof(node->info.id), node);
	return node;
}

struct head_node *manager_node(const struct manager *manager, uint32_t id)
{
	struct head_node *node;

	HASH_FIND(hh, manager->node, &id, sizeof(id), node);
	return node;
}

struct head_node *manager_find_node(const struct manager *manager, const char *name)
{
	struct head_node *node, *next;

	HASH_ITER (hh, manager->node, node, next) {
		if (strcmp(node->name, name) == 0) {
			return node;
		}
	}
	return NULL;
}

static void free_node(struct head_node *node)
{
	struct seen_vm *vm, *next_vm;
	struct seen_image *image, *next_image;

	HASH_ITER (hh, node->vms, vm, next_vm) {
		HASH_DEL(node->vms, vm);
		free(vm);
	}
	HASH_ITER (hh, node->images, image, next_image) {
		HASH_DEL(node->images, image);
		free(image);
	}
	free(node->name);
	free(node->hypervisor);
	free(node->agent_version);
	free(node);
}

void manager_unload(struct manager *manager)
{
	struct catalogue *image, *next_image;
	struct head_node *node, *next_node;

	plan_free(steal(&manager->plan));
	HASH_ITER (hh, manager->node, node, next_node) {
		HASH_DEL(manager->node, node);
		free_node(node);
	}
	HASH_ITER (hh, manager->image, image, next_image) {
		manager_remove_image(manager, image);
	}
}

/* ---- rows into the mirror ---- */

static void load_node(const struct store_node *row, void *arg)
{
	struct manager *manager = arg;
	struct head_node *node = manager_add_node(manager, row->info.id, row->name);

	node->info = row->info;
	node->hypervisor = xstrdup(row->hypervisor);
	node->agent_version = xstrdup(row->version);
	snprintf(node->edf.backend, sizeof(node->edf.backend), "%s", row->edf_backend);
	snprintf(node->edf.text, sizeof(node->edf.text), "%s", row->edf_text);
	node->drain = row->drain;
	node->seen_us = row->seen_us;
}

static void load_image(const struct image *image, void *arg)
{
	manager_add_image(arg, image);
}

static void load_pool(uint32_t id, uint64_t image, void *arg)
{
	struct manager *manager = arg;
	struct head_node *node = manager_node(manager, id);

	if (node && manager_image(manager, image)) {
		struct seen_image *seen = xcalloc(1, sizeof(*seen));

		seen->id = image;
		seen->state = POOL_PRESENT;
		HASH_ADD(hh, node->images, id, sizeof(seen->id), seen);
	}
}

/* The greater of what is stored and what was tried: see struct manager. */
static int load_counter(struct manager *manager, const char *key, uint64_t *counter, struct err *err)
{
	int64_t value;

	if (store_meta(manager->store, key, &value, err) < 0) {
		return -1;
	}
	if (value > 0 && (uint64_t)value > *counter) {
		*counter = (uint64_t)value;
	}
	return 0;
}

static int load_rows(struct manager *manager, const struct plan_settings *settings, struct err *err)
{
	struct store *store = manager->store;

	if (load_counter(manager, "version", &manager->version, err) < 0 ||
	    load_counter(manager, "last_lease", &manager->last_lease, err) < 0 ||
	    load_counter(manager, "last_slot", &manager->last_slot, err) < 0 ||
	    load_counter(manager, "last_transfer", &manager->last_transfer, err) < 0 ||
	    load_counter(manager, "last_image", &manager->last_image, err) < 0 ||
	    load_counter(manager, "last_node", &manager->last_node, err) < 0 ||
	    store_load_nodes(store, load_node, manager, err) < 0 ||
	    store_load_images(store, load_image, manager, err) < 0 ||
	    store_load_pools(store, load_pool, manager, err) < 0) {
		return -1;
	}
	return rebuild_plan(store,
			    &(struct rebuild){settings, manager->now, manager->last_slot, manager->last_transfer},
			    manager->plan, err);
}

int manager_load(struct manager *manager, struct err *err)
{
	struct plan_settings settings = settings_plan(manager->settings);

	manager_unload(manager);
	manager->plan = plan_new(&settings);
	if (!manager->version) {
		manager->version = 1; /* 0 is what nobody has acknowledged yet */
	}
	if (load_rows(manager, &settings, err) < 0) {
		manager_unload(manager);
		return -1;
	}
	manager->rebuilt = true;
	manager->rebuilt_us = manager->now;
	manager->wake_us = 0; /* the plan says at its first tick when it wants the next */
	return 0;
}
