/*
 * Connections to the API: checks the method, the rights and the parameters of each request by its row in method.tbl, in
 * this order, and hands it to its handler. Rights are checked here and nowhere else.
 */
#include "session.h"

#include <utlist.h>

#include "api.h"
#include "log.h"
#include "util.h"

/*
 * node.hello is how a peer becomes an agent, so its own rights are the token's. Anyone who may not is told so, and the
 * log says who tried.
 */
static int admit_agent(struct session *session, struct json_object *params, struct err *err)
{
	struct json_object *token = json_object_object_get(params, "token");
	const char *text = json_object_is_type(token, json_type_string) ? json_object_get_string(token) : NULL;

	if (auth_agent(session->head->auth, &session->who, text, err) < 0) {
		log_warning("%s: not admitted as an agent: %s", conn_peer(rpc_conn(session->rpc))->address, err->text);
		return -1;
	}
	return 0;
}

static int check(struct session *session, const struct method *method, struct json_object *params, struct err *err)
{
	if (method->id == METHOD_NODE_HELLO) {
		if (admit_agent(session, params, err) < 0) {
			return -1;
		}
	} else if (!method_allowed(method, session->who.role)) {
		return err_set(err, ERR_DENIED, "%s needs role %s, %s has role %s", method->name,
			       role_name(method->role), session->who.name, role_name(session->who.role));
	}
	return method_check(method, params, err);
}

static void on_request(struct rpc *rpc, struct rpc_request *request, const char *name, struct json_object *params,
		       void *arg)
{
	struct session *session = arg;
	const struct method *method = method_find(name);
	struct err err = {0};

	(void)rpc;
	if (!method) {
		err_set(&err, ERR_METHOD, "there is no method \"%.64s\"; rpc.discover lists them", name);
	} else if (check(session, method, params, &err) == 0) {
		/* A hello that passed the checks is an agent's from here on, also if its node is refused. */
		if (method->id == METHOD_NODE_HELLO) {
			session->who.role = ROLE_AGENT;
		}
		api_handler_of(method->id)(session, request, params);
		return;
	}
	rpc_reply_error(request, &err, NULL);
}

static void session_end(struct session *session)
{
	api_wait_end(session);
	events_closed(session->head->events, session->rpc);
	nodes_closed(session->head->nodes, session->rpc);
	DL_DELETE(session->head->sessions, session);
	free(session);
}

static void on_closed(struct rpc *rpc, const char *why, void *arg)
{
	struct session *session = arg;

	(void)rpc;
	log_debug("session of %s: closed (%s)", session->who.name, why);
	session_end(session);
}

void session_accept(struct conn *conn, void *arg)
{
	static const struct rpc_ops ops = {.request = on_request, .closed = on_closed};
	struct head *head = arg;
	struct session *session = xcalloc(1, sizeof(*session));

	session->head = head;
	auth_identify(head->auth, conn_peer(conn), &session->who);
	DL_APPEND(head->sessions, session);
	session->rpc = rpc_accept(head->base, conn, &ops, session);
}

void session_close_all(struct head *head)
{
	struct session *session, *next;

	DL_FOREACH_SAFE (head->sessions, session, next) {
		struct rpc *rpc = session->rpc;

		session_end(session);
		rpc_close(rpc);
	}
}
