/* The head as a whole: its parts, made in order and taken down in order. main.c runs one; tests run one in-process. */
#ifndef TENURE_HEAD_H
#define TENURE_HEAD_H

#include <event2/event.h>

#include "auth.h"
#include "events.h"
#include "http.h"
#include "images.h"
#include "manager.h"
#include "nodes.h"
#include "settings.h"
#include "store.h"

struct image_add;
struct session;

/* What the API's handlers work on. The parts belong to the head. */
struct head {
	struct event_base *base;        /* the caller's */
	struct head_settings *settings; /* the caller's; the reloadable members change in head_reload() */
	struct auth *auth;
	struct store *store;
	struct manager *manager;
	struct events *events;
	struct nodes *nodes;
	struct images *images;
	struct http *http;            /* NULL without http_listen */
	struct listener *local, *tcp; /* tcp: NULL without listen */
	struct session *sessions;
	struct image_add *adding; /* api_image.c's */
	wall_us started_us;
};

/* Opens everything and listens. settings and base must outlive the head. NULL with one line of what to do. */
struct head *head_new(struct event_base *base, struct head_settings *settings, struct err *err);
/* Answers what is unanswered as far as it can, closes everything. NULL is allowed. */
void head_free(struct head *head);
/*
 * Takes over the reloadable settings of the file; the others need a restart, and *restart names the first that changed,
 * NULL if none did. On failure the old settings stay.
 */
int head_reload(struct head *head, const char *path, const char **restart, struct err *err);

#endif
