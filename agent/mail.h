/*
 * A mailbox by which threads hand results to the event loop. The loop's side may go away while threads still hold the
 * mailbox: what they post then is dropped.
 */
#ifndef TENURE_MAIL_H
#define TENURE_MAIL_H

#include <event2/event.h>

#include "err.h"

struct mail;

/* got: on the loop, in the order of posting; owns item. drop: frees an item nobody will get, on any thread. */
struct mail_ops {
	void (*got)(void *item, void *arg);
	void (*drop)(void *item);
};

/* The caller holds the first reference. ops must outlive the mailbox. */
struct mail *mail_new(struct event_base *base, const struct mail_ops *ops, void *arg, struct err *err);
struct mail *mail_ref(struct mail *mail);
void mail_unref(struct mail *mail);
/* Any thread; item changes owner. */
void mail_post(struct mail *mail, void *item);
/* On the loop: got() is not called any more. The reference stays. */
void mail_close(struct mail *mail);

#endif
