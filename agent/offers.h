/*
 * Suspended guests that are to go on elsewhere: serves their disk and memory to the one node the book names, by HTTP,
 * to who knows the agents' secret. Nobody else is served, and nothing that could change while it is read.
 */
#ifndef TENURE_OFFERS_H
#define TENURE_OFFERS_H

#include <event2/event.h>

#include "book.h"
#include "usec.h"

#define OFFERS_PREFIX "/guests/" /* then NODE/LEASE-VM-GENERATION/disk or memory */

struct offers;

struct offers_settings {
	const char *address;    /* "HOST:PORT", numeric */
	const char *plaintext;  /* networks that may ask */
	const char *token_file; /* read at each request */
	const char *guests_dir; /* STATE_DIR/guests */
};

/* True if the guest is suspended and nothing is under way with it. */
typedef bool offers_still(const struct book_key *key, void *arg);

/* Strings are copied; book must outlive it. ERR_* as http_new(). */
struct offers *offers_new(struct event_base *base, const struct offers_settings *settings, const struct book *book,
			  offers_still *still, void *arg, struct err *err);
void offers_free(struct offers *offers); /* NULL is allowed */
uint16_t offers_port(const struct offers *offers);

#endif
