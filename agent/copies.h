/*
 * Guests that come from other nodes: fetches a suspended guest's disk and memory from the node it lies on into its
 * folder here, memory last. Which guests come is the book's; what becomes of the files is guest.c's.
 */
#ifndef TENURE_COPIES_H
#define TENURE_COPIES_H

#include <event2/event.h>

#include "book.h"
#include "stage.h"

struct copies;

struct copies_settings {
	const char *guests_dir; /* STATE_DIR/guests */
	const char *token_file; /* what is in it is shown to the other agent; "" = nothing */
	const char *ca_file;
};

/* changed: it moved on; finished: one is there whole, or its fetching has got stuck. Strings are copied. */
struct copies *copies_new(struct event_base *base, const struct copies_settings *settings,
			  const struct stage_settings *limits, const struct stage_ops *ops, void *arg, struct err *err);
void copies_free(struct copies *copies);

/*
 * Fetches what the book says is to come and was never told to run here, and breaks off the rest. To be called whenever
 * the book may have changed, and before the guest's files are deleted.
 */
void copies_want(struct copies *copies, const struct book *book);

enum copy_state {
	COPY_COMING,
	COPY_STUCK, /* the last attempt failed, and it will be tried again */
	COPY_HERE
};
/* text: why it is stuck, "" otherwise; the copies', until control returns to the loop. */
enum copy_state copies_state(const struct copies *copies, const struct book_key *key, const char **text);

#endif
