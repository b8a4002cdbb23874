/*
 * Replaying a recording: a scratch database gets the rows the head began with; each input goes through plan_step, what
 * it wants goes into the scratch database by the head's own store, and in the end both are compared.
 */
#include "replay.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan.h"
#include "rebuild.h"
#include "record.h"
#include "settings.h"
#include "store_record.h"
#include "util.h"

#define TELL_MAX 20 /* differences told one by one: those after the first follow from it */

struct replaying {
	struct store *store;
	struct plan_settings settings;
	struct plan *plan;
	struct actions actions;
	struct replay_figures *figures;
	FILE *complain;
};

static int put_lease(struct replaying *replaying, const struct event *event, const struct lease *lease, struct err *err)
{
	/* Names and owners are not the planner's; they are not compared. */
	static const struct store_lease_text text = {"", "", ""};
	bool fresh = event->kind == EVENT_LEASE_REQUESTED && event->requested.id == lease->id;

	return fresh ? store_add_lease(replaying->store, lease, &text, err)
		     : store_put_lease(replaying->store, lease, err);
}

static int put_action(struct replaying *replaying, const struct event *event, const struct action *action,
		      struct err *err)
{
	struct store *store = replaying->store;

	switch (action->kind) {
	case ACTION_LEASE:
		return put_lease(replaying, event, action->lease, err);
	case ACTION_VM:
		return store_put_vm(store, action->vm, err);
	case ACTION_SLOT:
		return store_put_slot(store, &action->slot, err);
	case ACTION_SLOT_DROP:
		return store_drop_slot(store, action->slot.id, err);
	case ACTION_TRANSFER:
		return store_put_transfer(store, &action->transfer, "", err);
	case ACTION_TRANSFER_DROP:
		return store_drop_transfer(store, action->transfer.id, err);
	case ACTION_ESTIMATE:
		return store_put_estimate(store, &action->estimate, err);
	case ACTION_MOVED:
	case ACTION_PROMISE_BROKEN:
	case ACTION_REFUSED:
	case ACTION_NODE_PLAN:
	case ACTION_WAKE:
	case ACTION_KIND_COUNT:
		break;
	}
	return 0;
}

/* What else the head writes of an input, as far as a rebuilding reads it. */
static int put_event(struct store *store, const struct event *event, struct err *err)
{
	struct image image = {.name = "", .cmdline = ""};

	switch (event->kind) {
	case EVENT_NODE: {
		struct store_node node = {.info = event->node, .name = "", .hypervisor = "", .version = ""};
		_cleanup_free_ char *name = xasprintf("%" PRIu32, event->node.id);

		node.name = name;
		return store_put_node(store, &node, err);
	}
	case EVENT_IMAGE_ADDED: {
		_cleanup_free_ char *name = xasprintf("%" PRIu64, event->image.id);

		image.id = event->image.id;
		image.size = event->image.size;
		image.name = name;
		return store_add_image(store, &image, "", 0, err);
	}
	case EVENT_IMAGE_REMOVED:
		return store_drop_image(store, event->image_removed, err);
	case EVENT_IMAGE_PRESENT:
		return store_put_pool(store, event->pool.node, event->pool.image, err);
	case EVENT_IMAGE_ABSENT:
		return store_drop_pool(store, event->pool.node, event->pool.image, err);
	case EVENT_TICK:
	case EVENT_LEASE_REQUESTED:
	case EVENT_LEASE_CANCELLED:
	case EVENT_LEASE_RESIZED:
	case EVENT_LEASE_CALLED:
	case EVENT_LEASE_TUNED:
	case EVENT_TRANSFER_FAILED:
	case EVENT_VM_SEEN:
	case EVENT_KIND_COUNT:
		break;
	}
	return 0;
}

static int rebuild(struct replaying *replaying, const struct record_input *input, struct err *err)
{
	plan_free(replaying->plan);
	replaying->plan = plan_new(&replaying->settings);
	return rebuild_plan(
		replaying->store,
		&(struct rebuild){&replaying->settings, input->at_us, input->last_slot, input->last_transfer},
		replaying->plan, err);
}

static int take(const struct record_input *input, void *arg, struct err *err)
{
	struct replaying *replaying = arg;
	struct replay_figures *figures = replaying->figures;

	if (input->rebuilt) {
		return rebuild(replaying, input, err);
	}
	if (!replaying->plan) {
		return err_set(err, ERR_STORE, "the recording lacks its beginning");
	}
	figures->from_us = figures->steps++ ? figures->from_us : input->at_us;
	figures->to_us = input->at_us;
	plan_step(replaying->plan, &input->event, 1, input->at_us, &replaying->actions);
	if (put_event(replaying->store, &input->event, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < replaying->actions.count; i++) {
		if (put_action(replaying, &input->event, &replaying->actions.item[i], err) < 0) {
			return -1;
		}
	}
	return 0;
}

static void differs(const char *table, bool recorded, const char *row, void *arg)
{
	struct replaying *replaying = arg;

	if (replaying->figures->differences++ < TELL_MAX) {
		fprintf(replaying->complain, "%s: only %s: %s\n", table, recorded ? "recorded" : "replayed", row);
	}
}

static int parse_settings(const char *dir, const char *text, struct plan_settings *out, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/settings", dir);
	struct head_settings settings;

	if (file_replace(path, text, strlen(text), 0600, err) < 0 || settings_load(path, &settings, err) < 0) {
		return -1;
	}
	*out = settings_plan(&settings);
	settings_free(&settings);
	return 0;
}

static int run(struct replaying *replaying, const char *dir, const char *path, struct err *err)
{
	_cleanup_free_ char *text = NULL;

	if (store_record_open(replaying->store, path, &text, err) < 0 ||
	    parse_settings(dir, text, &replaying->settings, err) < 0 || store_begin(replaying->store, err) < 0) {
		return -1;
	}
	if (record_each(replaying->store, take, replaying, err) < 0) {
		store_rollback(replaying->store);
		return -1;
	}
	if (store_commit(replaying->store, err) < 0) {
		return -1;
	}
	return store_record_compare(replaying->store, differs, replaying, &replaying->figures->rows, err);
}

/* What is wrong is wrong in the recording, also where the scratch database is what refuses it. */
static void blame(const char *path, const char *dir, struct err *err)
{
	_cleanup_free_ char *scratch = xasprintf("%s/" STORE_FILE ": ", dir);
	char *at = strstr(err->text, scratch);

	if (at) {
		memmove(at, at + strlen(scratch), strlen(at + strlen(scratch)) + 1);
	}
	if (!strstr(err->text, path)) {
		err_prefix(err, "%s", path);
	}
}

static int delete_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

int replay(const char *path, struct replay_figures *figures, FILE *complain, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *dir = xasprintf("%s/tenure-replay-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	struct replaying replaying = {.figures = figures, .complain = complain};
	int rc = -1;

	*figures = (struct replay_figures){0};
	if (!mkdtemp(dir)) {
		return err_set(err, ERR_STORE, "cannot make a folder %s: %m", dir);
	}
	replaying.store = store_open(dir, err);
	if (replaying.store) {
		rc = run(&replaying, dir, path, err);
		if (rc < 0) {
			blame(path, dir, err);
		}
	}
	plan_free(replaying.plan);
	actions_fini(&replaying.actions);
	store_close(replaying.store);
	nftw(dir, delete_one, 8, FTW_DEPTH | FTW_PHYS);
	return rc;
}
