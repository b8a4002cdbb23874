/*
 * Deciding one mutating API call inside the pass's transaction. A refusal is an answer like any other; only a store
 * that does not take the rows is a failure, and that is the whole pass's.
 */
#include <inttypes.h>
#include <string.h>

#include "jsonx.h"
#include "manager_state.h"
#include "query.h"
#include "reason.h"
#include "util.h"
#include "when.h"
#include "wire.h"

/* Of a lease, as method.tbl has it. */
#define SHORTEST_US USEC_PER_SEC
#define LONGEST_US INT64_C(3153600000000000)

static struct json_object *offer_json(const struct offer *offer)
{
	struct json_object *value;

	if (!offer->valid) {
		return NULL;
	}
	value = json_object_new_object();
	if (offer->slice_us || offer->period_us) {
		json_object_object_add(value, "slice_us", json_object_new_int64(offer->slice_us));
		json_object_object_add(value, "period_us", json_object_new_int64(offer->period_us));
		json_object_object_add(value, "period_slice_us", json_object_new_int64(offer->period_slice_us));
		return value;
	}
	jsonx_add_time(value, "start", offer->start_us);
	json_object_object_add(value, "vms", json_object_new_int64(offer->vms));
	json_object_object_add(value, "duration_us", json_object_new_int64(offer->duration_us));
	if (offer->response_us) {
		json_object_object_add(value, "response_us", json_object_new_int64(offer->response_us));
	}
	return value;
}

/* {"id", "reason", "reason_code", "offer"}: the same for a refused request and for a question. id 0 = a question. */
static struct json_object *refusal_json(uint64_t id, const struct reason *reason, const struct offer *offer)
{
	struct json_object *data = json_object_new_object();

	if (id) {
		json_object_object_add(data, "id", json_object_new_uint64(id));
	}
	reason_add_json(data, reason);
	json_object_object_add(data, "offer", offer_json(offer));
	return data;
}

/* What the planner has just refused. */
static void refuse(struct manager *manager, struct work *work, uint64_t id, const struct reason *reason)
{
	struct offer offer = plan_offer(manager->plan);
	char text[REASON_TEXT];

	reason_text(reason, text);
	err_set(&work->err, ERR_REJECTED, "%s", text);
	work->data = refusal_json(id, reason, &offer);
}

/* A guest may write its whole disk: it must have the space. */
static int fill_spec(struct lease_spec *spec, const struct image *image, struct err *err)
{
	int64_t *disk = &spec->per_vm.amount[RES_DISK];

	spec->image = image->id;
	if (*disk == COMMAND_DISK_OF_IMAGE) {
		if (image->format == IMAGE_QCOW2 && image->disk == 0) {
			return err_set(err, ERR_PARAMS,
				       "disk is missing: image %s lies at an URL and does not say how large the disk "
				       "inside is",
				       image->name);
		}
		*disk = image->disk;
	} else if (*disk < image->disk) {
		return err_set(err, ERR_PARAMS,
			       "disk must be at least %" PRId64 ", the size of the disk inside image %s", image->disk,
			       image->name);
	}
	return 0;
}

static int lease_request(struct manager *manager, struct work *work, struct err *err)
{
	struct command *command = &work->command;
	struct catalogue *image = manager_find_image(manager, command->image);
	struct event event = {.kind = EVENT_LEASE_REQUESTED};

	if (!image) {
		err_set(&work->err, ERR_NOT_FOUND, "there is no image \"%s\"; image.list shows those there are",
			command->image);
		return 0;
	}
	if (fill_spec(&command->spec, &image->image, &work->err) < 0) {
		return 0;
	}
	if (store_add_user(manager->store, command->owner, err) < 0 ||
	    store_user(manager->store, command->owner, &command->spec.user, err) < 0) {
		return -1;
	}
	event.requested.id = ++manager->last_lease;
	event.requested.spec = command->spec;
	manager->request = command;
	manager->fresh = event.requested.id;
	if (manager_step(manager, &event, err) < 0) {
		return -1;
	}
	if (manager->fresh) {
		return err_set(err, ERR_INTERNAL, "the planner did not answer a request");
	}
	if (manager->decided.state != LEASE_REJECTED) {
		work->result = query_lease(manager->store, event.requested.id, err);
		return work->result ? 0 : -1;
	}
	refuse(manager, work, event.requested.id, &manager->decided.reason);
	return 0;
}

/* 1: the lease is there, goes on, and is the caller's to change; 0: not, and the answer says why. */
static int may_change(struct manager *manager, struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	struct store_lease_brief brief = {0};
	int rc = store_lease_brief(manager->store, command->lease, &brief, err);

	if (rc < 0) {
		return -1;
	}
	if (rc == 0) {
		err_set(&work->err, ERR_NOT_FOUND, "there is no lease %" PRIu64, command->lease);
	} else if (!command->is_operator && strcmp(brief.owner, command->owner) != 0) {
		err_set(&work->err, ERR_DENIED, "lease %" PRIu64 " belongs to %s", command->lease, brief.owner);
	} else if (lease_state_final(brief.state)) {
		err_set(&work->err, ERR_CONFLICT, "lease %" PRIu64 " is %s already", command->lease,
			lease_state_name(brief.state));
	}
	store_lease_brief_fini(&brief);
	return work->err.code ? 0 : 1;
}

static int lease_cancel(struct manager *manager, struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	struct event event = {.kind = EVENT_LEASE_CANCELLED, .cancelled = command->lease};
	int rc = may_change(manager, work, err);

	if (rc <= 0) {
		return rc;
	}
	if (manager_step(manager, &event, err) < 0) {
		return -1;
	}
	work->result = query_lease(manager->store, command->lease, err);
	return work->result ? 0 : -1;
}

/* One line, one row in events. */
static int tell_resized(struct manager *manager, const struct command *command, span_us was_us, struct err *err)
{
	const struct lease *lease = plan_lease(manager->plan, command->lease);
	span_us now_us = lease ? lease->spec.duration_us : command->duration_us;
	struct json_object *data = json_object_new_object();
	char was[WHEN_TEXT], now[WHEN_TEXT];
	_cleanup_free_ char *text = NULL;

	when_span(was_us, was);
	when_span(now_us, now);
	text = xasprintf("%s -> %s", was, now);
	manager_note(manager, LOG_LEVEL_INFO, "lease %" PRIu64 ": duration %s, asked by %s", command->lease, text,
		     command->owner);
	json_object_object_add(data, "was_us", json_object_new_int64(was_us));
	json_object_object_add(data, "duration_us", json_object_new_int64(now_us));
	json_object_object_add(data, "text", json_object_new_string(text));
	return manager_event(manager, "lease.resized", command->lease, 0, data, err);
}

/* 1: the planner has done it; 0: it has refused, and work says so; -1: failure. */
static int step_or_refuse(struct manager *manager, struct work *work, const struct event *event, struct err *err)
{
	manager->refused.code = REASON_NONE;
	if (manager_step(manager, event, err) < 0) {
		return -1;
	}
	if (manager->refused.code) {
		refuse(manager, work, work->command.lease, &manager->refused);
		return 0;
	}
	return 1;
}

static int lease_extend(struct manager *manager, struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	const struct lease *lease = plan_lease(manager->plan, command->lease);
	struct event event = {.kind = EVENT_LEASE_RESIZED, .resized = {.id = command->lease}};
	int rc = may_change(manager, work, err);

	if (rc <= 0) {
		return rc;
	}
	if (!lease) {
		return err_set(err, ERR_INTERNAL, "the planner does not know lease %" PRIu64, command->lease);
	}
	span_us was_us = lease->spec.duration_us;
	event.resized.duration_us = command->add_us ? was_us + command->add_us : command->duration_us;
	if (event.resized.duration_us < SHORTEST_US || event.resized.duration_us > LONGEST_US) {
		err_set(&work->err, ERR_PARAMS, "add_us: lease %" PRIu64 " would run for %s", command->lease,
			event.resized.duration_us < SHORTEST_US ? "less than 1 s" : "more than 100 years");
		return 0;
	}
	rc = step_or_refuse(manager, work, &event, err);
	if (rc <= 0) {
		return rc;
	}
	if (tell_resized(manager, command, was_us, err) < 0) {
		return -1;
	}
	work->result = query_lease(manager->store, command->lease, err);
	return work->result ? 0 : -1;
}

/* One line, one row in events. */
static int tell_called(struct manager *manager, const struct command *command, wall_us start_us, struct err *err)
{
	struct json_object *data = json_object_new_object();
	char start[WHEN_TEXT];
	_cleanup_free_ char *text = NULL;

	when_iso(start_us, start);
	text = xasprintf("starts at %s", start);
	manager_note(manager, LOG_LEVEL_INFO, "lease %" PRIu64 ": called by %s, %s", command->lease, command->owner,
		     text);
	json_object_object_add(data, "start_us", json_object_new_int64(start_us));
	json_object_object_add(data, "text", json_object_new_string(text));
	return manager_event(manager, "lease.called", command->lease, 0, data, err);
}

static int lease_call(struct manager *manager, struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	const struct lease *lease = plan_lease(manager->plan, command->lease);
	struct event event = {.kind = EVENT_LEASE_CALLED, .called = command->lease};
	int rc = may_change(manager, work, err);

	if (rc <= 0) {
		return rc;
	}
	if (!lease) {
		return err_set(err, ERR_INTERNAL, "the planner does not know lease %" PRIu64, command->lease);
	}
	bool called_before = lease->vms[0].planned;
	rc = step_or_refuse(manager, work, &event, err);
	if (rc <= 0) {
		return rc;
	}
	lease = plan_lease(manager->plan, command->lease);
	if (!called_before && lease && tell_called(manager, command, lease->spec.start_us, err) < 0) {
		return -1;
	}
	work->result = query_lease(manager->store, command->lease, err);
	return work->result ? 0 : -1;
}

/* "; 12ms in every 50ms would, and so would 40ms in every 100ms": what the offer has. */
static char *offered(const struct offer *offer, span_us period_us)
{
	char slice[WHEN_TEXT], period[WHEN_TEXT], other_slice[WHEN_TEXT], other_period[WHEN_TEXT];

	when_span(offer->slice_us, slice);
	when_span(period_us, period);
	when_span(offer->period_slice_us, other_slice);
	when_span(offer->period_us, other_period);
	if (offer->slice_us && offer->period_us) {
		return xasprintf("; %s in every %s would, and so would %s in every %s", slice, period, other_slice,
				 other_period);
	}
	if (offer->slice_us || offer->period_us) {
		return xasprintf("; %s in every %s would", offer->slice_us ? slice : other_slice,
				 offer->slice_us ? period : other_period);
	}
	return xstrdup("");
}

static void refuse_tuning(struct manager *manager, struct work *work)
{
	struct offer offer = plan_offer(manager->plan);
	_cleanup_free_ char *instead = offered(&offer, work->command.spec.period_us);
	char text[REASON_TEXT];

	refuse(manager, work, work->command.lease, &manager->refused);
	reason_text(&manager->refused, text);
	err_set(&work->err, ERR_REJECTED, "%s%s", text, instead);
}

/* The caller frees it. */
static char *constraint_text(span_us slice_us, span_us period_us)
{
	char slice[WHEN_TEXT], period[WHEN_TEXT];

	when_span(slice_us, slice);
	when_span(period_us, period);
	return period_us ? xasprintf("%s in every %s", slice, period) : xstrdup("by shares");
}

/* One line, one row in events. */
static int tell_tuned(struct manager *manager, const struct command *command, span_us slice_us, span_us period_us,
		      struct err *err)
{
	struct json_object *data = json_object_new_object();
	_cleanup_free_ char *was = constraint_text(slice_us, period_us);
	_cleanup_free_ char *now = constraint_text(command->spec.slice_us, command->spec.period_us);
	_cleanup_free_ char *text = xasprintf("%s -> %s", was, now);

	manager_note(manager, LOG_LEVEL_INFO, "lease %" PRIu64 ": CPU %s, asked by %s", command->lease, text,
		     command->owner);
	json_object_object_add(data, "was_slice_us", json_object_new_int64(slice_us));
	json_object_object_add(data, "was_period_us", json_object_new_int64(period_us));
	json_object_object_add(data, "slice_us", json_object_new_int64(command->spec.slice_us));
	json_object_object_add(data, "period_us", json_object_new_int64(command->spec.period_us));
	json_object_object_add(data, "text", json_object_new_string(text));
	return manager_event(manager, "lease.tuned", command->lease, 0, data, err);
}

static int lease_tune(struct manager *manager, struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	const struct lease *lease = plan_lease(manager->plan, command->lease);
	struct event event = {.kind = EVENT_LEASE_TUNED, .tuned = {.id = command->lease}};
	int rc = may_change(manager, work, err);

	if (rc <= 0) {
		return rc;
	}
	if (!lease) {
		return err_set(err, ERR_INTERNAL, "the planner does not know lease %" PRIu64, command->lease);
	}
	span_us was_slice_us = lease->spec.slice_us, was_period_us = lease->spec.period_us;
	event.tuned.slice_us = command->spec.slice_us;
	event.tuned.period_us = command->spec.period_us;
	manager->refused.code = REASON_NONE;
	if (manager_step(manager, &event, err) < 0) {
		return -1;
	}
	if (manager->refused.code) {
		refuse_tuning(manager, work);
		return 0;
	}
	if (tell_tuned(manager, command, was_slice_us, was_period_us, err) < 0) {
		return -1;
	}
	work->result = query_lease(manager->store, command->lease, err);
	return work->result ? 0 : -1;
}

static int node_drain(struct manager *manager, struct work *work, bool drain, struct err *err)
{
	struct head_node *node = manager_find_node(manager, work->command.name);
	enum node_state state;

	if (!node) {
		err_set(&work->err, ERR_NOT_FOUND, "there is no node \"%s\"; node.list shows those there are",
			work->command.name);
		return 0;
	}
	node->drain = drain;
	state = node->info.state == NODE_SILENT ? NODE_SILENT : drain ? NODE_DRAINING : NODE_UP;
	if (manager_node_state(manager, node, state, err) < 0) {
		return -1;
	}
	work->result = query_node(manager->store, node->name, err);
	return work->result ? 0 : -1;
}

static struct json_object *image_json(const struct image *image)
{
	struct json_object *value = json_object_new_object();

	json_object_object_add(value, "id", json_object_new_uint64(image->id));
	json_object_object_add(value, "name", json_object_new_string(image->name));
	json_object_object_add(value, "format", json_object_new_string(image_format_name(image->format)));
	json_object_object_add(value, "size", json_object_new_int64(image->size));
	return value;
}

static int image_add(struct manager *manager, struct work *work, struct err *err)
{
	struct image *image = &work->image;
	struct event event = {.kind = EVENT_IMAGE_ADDED};

	if (manager_find_image(manager, image->name)) {
		err_set(&work->err, ERR_CONFLICT,
			"there is an image %s already: remove it first or choose another name", image->name);
		return 0;
	}
	image->id = ++manager->last_image;
	event.image.id = image->id;
	event.image.size = image->size;
	if (store_add_image(manager->store, image, work->command.owner, manager->now, err) < 0 ||
	    manager_event(manager, "image.added", 0, 0, image_json(image), err) < 0) {
		return -1;
	}
	manager_add_image(manager, image);
	manager_note(manager, LOG_LEVEL_INFO, "image %s: added by %s", image->name, work->command.owner);
	work->result = query_image(manager->store, image->name, err);
	return work->result ? manager_step(manager, &event, err) : -1;
}

static int image_remove(struct manager *manager, struct work *work, struct err *err)
{
	struct catalogue *entry = manager_find_image(manager, work->command.name);
	struct event event = {.kind = EVENT_IMAGE_REMOVED};

	if (!entry) {
		err_set(&work->err, ERR_NOT_FOUND, "there is no image \"%s\"; image.list shows those there are",
			work->command.name);
		return 0;
	}
	if (plan_image_needed(manager->plan, entry->image.id)) {
		err_set(&work->err, ERR_CONFLICT, "image %s is needed by a lease that has not ended",
			entry->image.name);
		return 0;
	}
	event.image_removed = entry->image.id;
	work->result = query_image(manager->store, entry->image.name, err);
	if (!work->result || manager_step(manager, &event, err) < 0 ||
	    manager_event(manager, "image.removed", 0, 0, image_json(&entry->image), err) < 0 ||
	    store_drop_image(manager->store, entry->image.id, err) < 0) {
		return -1;
	}
	manager_note(manager, LOG_LEVEL_INFO, "image %s: removed by %s", entry->image.name, work->command.owner);
	manager_remove_image(manager, entry);
	return 0;
}

static int decide(struct manager *manager, struct work *work, struct err *err)
{
	switch (work->command.kind) {
	case COMMAND_LEASE_REQUEST:
		return lease_request(manager, work, err);
	case COMMAND_LEASE_CANCEL:
		return lease_cancel(manager, work, err);
	case COMMAND_LEASE_EXTEND:
		return lease_extend(manager, work, err);
	case COMMAND_LEASE_CALL:
		return lease_call(manager, work, err);
	case COMMAND_LEASE_TUNE:
		return lease_tune(manager, work, err);
	case COMMAND_NODE_DRAIN:
		return node_drain(manager, work, true, err);
	case COMMAND_NODE_RESUME:
		return node_drain(manager, work, false, err);
	case COMMAND_IMAGE_ADD:
		return image_add(manager, work, err);
	case COMMAND_IMAGE_REMOVE:
		return image_remove(manager, work, err);
	}
	return err_set(err, ERR_INTERNAL, "command %d is unknown", (int)work->command.kind);
}

/* ---- answering the same request the same way -----------------------------------------------------------------------
 */

/* Into work's answer; what is stored was made by remember(). */
static int replay(struct manager *manager, struct work *work, const char *answer, struct err *err)
{
	struct json_object *value = wire_parse(answer, strlen(answer), err);
	struct json_object *result, *error, *member;

	if (!value) {
		return err_prefix(err, "%s: stored answer to %s", store_path(manager->store), work->command.request_id);
	}
	if (json_object_object_get_ex(value, "result", &result)) {
		work->result = json_object_get(result);
	} else if (json_object_object_get_ex(value, "error", &error)) {
		err_set(&work->err, (enum err_code)json_object_get_int(json_object_object_get(error, "code")), "%s",
			json_object_get_string(json_object_object_get(error, "message")));
		if (json_object_object_get_ex(error, "data", &member)) {
			work->data = json_object_get(member);
		}
	}
	json_object_put(value);
	return 0;
}

/* 1: the request was answered before (or contradicts that), the answer is in work. */
static int recall(struct manager *manager, struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	_cleanup_free_ char *digest = NULL;
	_cleanup_free_ char *answer = NULL;
	int rc = store_find_request(manager->store, command->owner, command->request_id, &digest, &answer, err);

	if (rc <= 0) {
		return rc;
	}
	if (strcmp(digest, command->params_digest) != 0) {
		err_set(&work->err, ERR_CONFLICT, "request_id %s was used for another request", command->request_id);
		return 1;
	}
	return replay(manager, work, answer, err) < 0 ? -1 : 1;
}

static int remember(struct manager *manager, const struct work *work, struct err *err)
{
	const struct command *command = &work->command;
	struct json_object *value = json_object_new_object();
	int rc;

	if (work->result) {
		json_object_object_add(value, "result", json_object_get(work->result));
	} else {
		struct json_object *error = json_object_new_object();

		json_object_object_add(error, "code", json_object_new_int(work->err.code));
		json_object_object_add(error, "message", json_object_new_string(work->err.text));
		json_object_object_add(error, "data", json_object_get(work->data));
		json_object_object_add(value, "error", error);
	}
	struct store_request request = {
		.owner = command->owner,
		.request_id = command->request_id,
		.method = command->method,
		.digest = command->params_digest,
		.answer = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN),
		.at_us = manager->now,
	};

	rc = store_add_request(manager->store, &request, err);
	json_object_put(value);
	return rc;
}

int manager_command(struct manager *manager, struct work *work, struct err *err)
{
	bool named = work->command.request_id != NULL;
	int rc = named ? recall(manager, work, err) : 0;

	if (rc != 0) {
		return rc < 0 ? -1 : 0;
	}
	if (decide(manager, work, err) < 0) {
		return -1;
	}
	/* What changed nothing is not remembered: tried again it may well succeed. A rejected lease has its row. */
	return named && (work->result || work->data) ? remember(manager, work, err) : 0;
}

/* ---- questions ------------------------------------------------------------------------------------------------------
 */

struct json_object *manager_ask(struct manager *manager, const char *owner, const char *name,
				const struct lease_spec *spec, struct err *err)
{
	struct catalogue *image = manager->plan ? manager_find_image(manager, name) : NULL;
	struct lease_spec asked = *spec;
	struct plan_answer answer;
	struct json_object *value, *nodes;

	if (!manager->plan) {
		err_set(err, ERR_STORE, "%s cannot be read just now", store_path(manager->store));
		return NULL;
	}
	if (!image) {
		err_set(err, ERR_NOT_FOUND, "there is no image \"%s\"; image.list shows those there are", name);
		return NULL;
	}
	if (fill_spec(&asked, &image->image, err) < 0 || store_user(manager->store, owner, &asked.user, err) < 0) {
		return NULL;
	}
	plan_ask(manager->plan, &asked, manager_clock(manager), &answer);
	value = answer.accepted ? json_object_new_object() : refusal_json(0, &answer.reason, &answer.offer);
	json_object_object_add(value, "accepted", json_object_new_boolean(answer.accepted));
	if (answer.accepted) {
		jsonx_add_time(value, "start", answer.start_us);
		nodes = json_object_new_array();
		for (uint32_t i = 0; i < answer.nodes && i < ARRAY_SIZE(answer.node); i++) {
			struct head_node *node = manager_node(manager, answer.node[i]);

			json_object_array_add(nodes, json_object_new_string(node ? node->name : ""));
		}
		json_object_object_add(value, "nodes", nodes);
		json_object_object_add(value, "price", json_object_new_int64(answer.price));
	}
	return value;
}
