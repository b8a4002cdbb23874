/*
 * The API's handlers, one per row of method.tbl. Each is called after the session checked rights and parameters, and
 * answers its request exactly once, now or later.
 */
#ifndef TENURE_API_H
#define TENURE_API_H

#include <json-c/json.h>

#include "manager.h"
#include "method.h"
#include "rpc.h"
#include "session.h"

typedef void api_handler(struct session *session, struct rpc_request *request, struct json_object *params);

api_handler *api_handler_of(enum method_id id);

/* api.c */
api_handler api_hello, api_discover, api_event_list, api_event_subscribe, api_status;
/* api_lease.c */
api_handler api_lease_request, api_lease_list, api_lease_show, api_lease_cancel, api_lease_extend, api_lease_call,
	api_lease_tune, api_lease_explain, api_slot_list;
/* api_wait.c */
api_handler api_lease_wait;
/* Ends the session's waits, which nobody hears any more. */
void api_wait_end(struct session *session);
/* api_node.c */
api_handler api_node_list, api_node_show, api_node_drain, api_node_resume, api_node_hello, api_node_report;
/* api_edf.c */
/* Puts what is in force into the rows of the lease's VMs. */
int api_add_applied(struct head *head, uint64_t id, struct json_object *lease, struct err *err);
api_handler api_node_edf, api_node_tune;
/* api_image.c */
api_handler api_image_add, api_image_list, api_image_show, api_image_remove;
/* Removes repository files that no image of the catalogue and no image being added has. */
void api_image_sweep(struct head *head);

/* ---- for handlers ---- */

/* Parameters that passed method_check(); the fallback if one is absent. Strings are the params'. */
const char *api_string(struct json_object *params, const char *name);
int64_t api_int(struct json_object *params, const char *name, int64_t fallback);
bool api_bool(struct json_object *params, const char *name);

/* Answers with result (consumed), or with err if it is NULL. */
void api_answer(struct rpc_request *request, struct json_object *result, const struct err *err);

/* That slice and period go together; both 0 do. */
int api_check_constraint(span_us slice_us, span_us period_us, struct err *err);

/* Who asks, as a command wants it; what it points to is the session's and the params'. digest holds SHA256_HEX. */
void api_command(struct session *session, const struct method *method, struct json_object *params, char *digest,
		 struct command *command);
/* Fills in who asks, and answers the request with what the manager says. */
void api_submit(struct session *session, struct rpc_request *request, enum method_id method, struct json_object *params,
		struct command *command);

#endif
