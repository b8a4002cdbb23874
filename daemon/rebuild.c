/* From the store's rows to a plan: what a head does at its start, and whoever replays what a head did. */
#include "rebuild.h"

#include "policy.h"

static void put_node(const struct store_node *row, void *plan)
{
	plan_restore_node(plan, &row->info);
}

static void put_image(const struct image *image, void *plan)
{
	struct image_info info = {.id = image->id, .size = image->size};

	plan_restore_image(plan, &info);
}

static void put_pool(uint32_t node, uint64_t image, void *plan)
{
	plan_restore_pool(plan, node, image);
}

static void put_lease(const struct lease *lease, void *plan)
{
	plan_restore_lease(plan, lease);
}

static void put_slot(const struct slot *slot, void *plan)
{
	plan_restore_slot(plan, slot);
}

static void put_transfer(const struct transfer *transfer, void *plan)
{
	plan_restore_transfer(plan, transfer);
}

static void put_estimate(const struct estimate *estimate, void *plan)
{
	plan_restore_estimate(plan, estimate);
}

static void put_use(uint32_t user, const struct slot *slot, void *plan)
{
	plan_restore_use(plan, user, slot);
}

wall_us rebuild_use_from(const struct plan_settings *settings, wall_us now)
{
	/* What is older counts for nothing: plan_restore_use(). */
	return settings->queue == policy_queue("fair") ? now - 8 * settings->share_half_us : now;
}

int rebuild_plan(struct store *store, const struct rebuild *rebuild, struct plan *plan, struct err *err)
{
	wall_us now = rebuild->now, from = rebuild_use_from(rebuild->settings, now);

	if (store_load_nodes(store, put_node, plan, err) < 0 || store_load_images(store, put_image, plan, err) < 0 ||
	    store_load_pools(store, put_pool, plan, err) < 0 || store_load_leases(store, put_lease, plan, err) < 0 ||
	    store_load_slots(store, now, put_slot, plan, err) < 0 ||
	    store_load_use(store, from, put_use, plan, err) < 0 ||
	    store_load_transfers(store, put_transfer, plan, err) < 0 ||
	    store_load_estimates(store, put_estimate, plan, err) < 0) {
		return -1;
	}
	plan_restore_ids(plan, rebuild->last_slot, rebuild->last_transfer);
	if (plan_restored(plan) < 0) {
		return err_set(err, ERR_STORE, "%s contradicts itself: restore it from a backup", store_path(store));
	}
	return 0;
}
