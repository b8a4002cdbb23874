/*
 * Guests through libvirt: every call runs in a worker thread with a deadline and answers through the event loop. One
 * domain per (lease, vm, generation), with uuid5 of these as its UUID, so that libvirt itself refuses a double start.
 * Knows libvirt and files of one guest; knows nothing of plans.
 */
#ifndef TENURE_GUEST_H
#define TENURE_GUEST_H

#include <event2/event.h>

#include "event.h"
#include "part.h"

struct guests;

struct guest_settings {
	const char *uri;         /* "qemu:///system" */
	const char *domain_type; /* "auto", "kvm", "qemu": auto = kvm if libvirt's capabilities offer it and it works */
	const char *state_dir;   /* guests' folders: STATE_DIR/guests/LEASE-VM-GENERATION/ */
	const char *pool_dir;    /* image files by digest */
	const char *console_dir; /* serial logs: CONSOLE_DIR/LEASE-VM.log, appended to over suspends, kept afterwards */
	span_us call_deadline_us; /* a call that takes longer marks libvirt as not answering */
};

/* What libvirt shows of one of our domains. */
struct guest {
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
	enum vm_seen
		seen; /* PREPARED (paused), RUNNING, SUSPENDING, SUSPENDED (saved file, no domain), ENDED, FAILED */
	wall_us at_us;
};

struct guests_ops {
	/* A domain changed, also when nobody asked (it shut itself down, crashed, was destroyed by hand). */
	void (*changed)(const struct guest *guest, const char *text, void *arg);
	/* libvirt answers again, or no longer (why). After each reconnect guests_list() should be called. */
	void (*connected)(bool ok, const char *why, void *arg);
};

struct guests *guests_new(struct event_base *base, const struct guest_settings *settings, const struct guests_ops *ops,
			  void *arg, struct err *err);
void guests_free(struct guests *guests); /* leaves the guests running */
bool guests_connected(const struct guests *guests);
const char *guests_hypervisor(const struct guests *guests); /* "kvm, libvirt 9.0.0"; "" before the first connection */

/* Result of an operation, from the loop; err NULL = done. at_us: when the state was reached by libvirt's event. */
typedef void guest_done(const struct err *err, wall_us at_us, void *arg);

/*
 * Operations on one guest are carried out one after another; each is harmless when repeated (a guest that is there
 * already is not made again). Saves and restores of one node are carried out one at a time.
 */
/* Overlay on the pooled image if missing, domain created paused. */
void guest_prepare(struct guests *guests, const struct part_vm *vm, const struct part_image *image, guest_done *done,
		   void *arg);
/* Restores the saved guest, paused. The saved file is kept until guest_run() succeeds. */
void guest_restore(struct guests *guests, const struct part_vm *vm, guest_done *done, void *arg);
/* Sets it running exactly at at_us (never before), waiting in the worker. */
void guest_run(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, wall_us at_us, guest_done *done,
	       void *arg);
/* Pauses it (all guests of a gang stop at the same instant), then saves it to its folder. */
void guest_suspend(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
		   void *arg);
/* Destroys the domain if there is one. Files stay. */
void guest_stop(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg);
/* Destroys the domain if there is one and deletes overlay, saved memory and folder. */
void guest_remove(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg);

/* All our guests: domains by their metadata, and folders with saved memory. Array borrowed during the call. */
typedef void guests_listed(const struct guest *guest, size_t n, const struct err *err, void *arg);
void guests_list(struct guests *guests, guests_listed *done, void *arg);

#endif
