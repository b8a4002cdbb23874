/*
 * Carries the book out: watches the guests, decides by work_next() and calls libvirt through guest.h. Reads no clock:
 * the time comes with each pass, so that tests run it in virtual time.
 */
#ifndef TENURE_WORK_H
#define TENURE_WORK_H

#include "book.h"
#include "copies.h"
#include "guest.h"
#include "part.h"

struct work;

/* guest.h's functions, or a test's. */
struct work_calls {
	void (*prepare)(struct guests *guests, const struct part_vm *vm, const struct part_image *image,
			guest_done *done, void *arg);
	void (*restore)(struct guests *guests, const struct part_vm *vm, const struct part_image *image,
			guest_done *done, void *arg);
	void (*run)(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, wall_us at_us,
		    guest_done *done, void *arg);
	void (*suspend)(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
			void *arg);
	void (*stop)(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
		     void *arg);
	void (*remove)(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
		       void *arg);
	void (*list)(struct guests *guests, guests_listed *done, void *arg);
};
extern const struct work_calls work_calls_libvirt;

struct work_ops {
	/* Something happened: call work_pass() from the loop, soon. */
	void (*wake)(void *arg);
	/* The report would look different now. */
	void (*changed)(void *arg);
	bool (*image_present)(const struct part_image *image, void *arg);
	/* How far the copy of a guest that comes from another node is, and why it is stuck. */
	enum copy_state (*copy)(const struct book_key *key, const char **text, void *arg);
	/*
	 * The guest runs, and is to have the slice and period of vm; NULL: it runs no longer, or is about to be stopped
	 * or saved. Repeated at each pass.
	 */
	void (*pace)(const struct book_key *key, const struct part_vm *vm, void *arg);
};

/* What guests_new() is to be given, with the struct work as its arg. */
extern const struct guests_ops work_guests_ops;

/* book and guests must outlive it, but guests is given later: it needs the struct work for its own making. */
struct work *work_new(struct book *book, const struct work_calls *calls, const struct work_ops *ops, void *arg);
void work_set_guests(struct work *work, struct guests *guests);
/* After guests_free(): answers to operations under way must not come any more. */
void work_free(struct work *work);

/* The book has another part: must follow each book_accept() before anything else is called here. */
void work_part_changed(struct work *work);

/*
 * Begins all that is due at now_us and returns when to call again at the latest; WALL_NEVER = when woken. May be
 * called at any time, also after the clock was set.
 */
wall_us work_pass(struct work *work, wall_us now_us);

/* True if the guest is suspended here and nothing is under way with it. */
bool work_lies_still(const struct work *work, const struct book_key *key);

/* Fills in epoch, version, degraded and the VMs of a report that is all zeros; report_free() frees them. */
void work_report(const struct work *work, struct report *report);

#endif
