/*
 * The agent's connection to the head: says hello, hands parts on, reports. Comes back by itself when it is cut. What
 * is in parts and reports is others'.
 */
#ifndef TENURE_LINK_H
#define TENURE_LINK_H

#include <event2/event.h>

#include "capacity.h"
#include "part.h"

struct link;

struct link_settings {
	const char *head; /* address */
	const char *plaintext;
	const char *token_file; /* "" = none; read at each hello */
	const char *node;
	const char *guests; /* where other agents fetch suspended guests, "HOST:PORT"; NULL or "" = nowhere */
	struct capacity capacity;
	int64_t pool;
	int64_t suspend_rate, resume_rate;
	struct hello_edf edf;
};

struct link_ops {
	/* The whole picture into a report that is all zeros; the link frees what is in it by report_free(). */
	void (*report)(struct report *report, void *arg);
	/* Takes the part over if it returns 0; else it is the link's. */
	int (*part)(struct part *part, struct err *err, void *arg);
	/* The head gives a task of tenure-edf another slice and period; both 0: none. */
	int (*task)(uint64_t id, span_us slice_us, span_us period_us, struct err *err, void *arg);
	const char *(*hypervisor)(void *arg); /* "" = not known yet */
	void (*connected)(bool ok, void *arg);
};

/* Starts connecting. The strings of settings must outlive it. NULL if the address is wrong. */
struct link *link_new(struct event_base *base, const struct link_settings *settings, const struct link_ops *ops,
		      void *arg, struct err *err);
void link_free(struct link *link);

/* The report would look different: it is sent soon, together with what else changes meanwhile. */
void link_changed(struct link *link);
/* What hello says has changed: says it again. */
void link_again(struct link *link);

#endif
