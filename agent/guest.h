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

/*
 * Files of a guest's folder that have come from another node, where it was suspended: the second is there only when
 * all is there. They become the guest's own when it is restored from them.
 */
#define GUEST_CAME_DISK "disk.fetched"
#define GUEST_CAME_MEMORY "memory.fetched"

struct guest_settings {
	const char *uri; /* "qemu:///system" */
	/* "kvm", "qemu", or "auto": kvm if libvirt offers it, it works, and QEMU need not run as root for it. */
	const char *domain_type;
	const char *state_dir;   /* guests' folders: STATE_DIR/guests/LEASE-VM-GENERATION/ */
	const char *pool_dir;    /* image files by digest, readable by all */
	const char *console_dir; /* serial logs: CONSOLE_DIR/LEASE-VM.log, appended to over suspends, kept afterwards */
	span_us call_deadline_us; /* a call that takes longer marks libvirt as not answering */
};

/* What libvirt shows of one of our domains. */
struct guest {
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
	enum vm_seen seen; /* PREPARED: paused; SUSPENDED: saved memory and no domain; ABSENT: a creation failed */
	wall_us at_us;     /* when it came to be so; 0 in a listing = before our time */
};

/* From the loop; guests_free() must not be called from them. */
struct guests_ops {
	/*
	 * What is seen of a guest changed, by an operation (then before its answer) or by itself: it shut itself down,
	 * crashed, was destroyed by hand. text says more, or is "".
	 */
	void (*changed)(const struct guest *guest, const char *text, void *arg);
	/*
	 * libvirt answers again, or no longer (why). Events may have been missed: guests_list() should be called then.
	 * Operations that have not begun are answered ERR_UNAVAILABLE while there is no connection.
	 */
	void (*connected)(bool ok, const char *why, void *arg);
};

/*
 * Makes the folders if missing, and lets others pass through them (o+x): QEMU does not run as root. Begins to connect;
 * an absent libvirt is no failure. Strings in settings are copied.
 */
struct guests *guests_new(struct event_base *base, const struct guest_settings *settings, const struct guests_ops *ops,
			  void *arg, struct err *err);
/* Leaves the guests running. Operations not answered yet are not answered any more. NULL is allowed. */
void guests_free(struct guests *guests);
bool guests_connected(const struct guests *guests);
const char *guests_hypervisor(const struct guests *guests); /* "kvm, libvirt 9.0.0"; "" before the first connection */

/* Result of an operation, from the loop; err NULL = done. at_us: when the state was reached by libvirt's event. */
typedef void guest_done(const struct err *err, wall_us at_us, void *arg);

/*
 * Operations on one guest are carried out one after another; each is harmless when repeated (a guest that is there
 * already is not made again). Saves and restores of one node are carried out one at a time. Answers come later, never
 * from within the call. done may be NULL.
 * ERR_TIMEOUT: a call did not come back in time; libvirt may still carry it out, so look at guests_list() before trying
 * again. ERR_UNAVAILABLE: no connection.
 */
/* Overlay on the pooled image if missing, domain created paused. */
void guest_prepare(struct guests *guests, const struct part_vm *vm, const struct part_image *image, guest_done *done,
		   void *arg);
/*
 * Restores the saved guest, paused, or one that has come from another node: then on the image in the pool here. The
 * saved file is kept until guest_run() succeeds.
 */
void guest_restore(struct guests *guests, const struct part_vm *vm, const struct part_image *image, guest_done *done,
		   void *arg);
/*
 * Sets it running exactly at at_us (never before), waiting in the worker. A later operation on the same guest calls a
 * start off that is still waiting (ERR_CONFLICT).
 */
void guest_run(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, wall_us at_us, guest_done *done,
	       void *arg);
/*
 * Pauses it at once (all guests of a gang stop at the same instant: SUSPENDING), then saves it to its folder when it is
 * its turn (SUSPENDED). A save that was cut goes on, or is found to be whole.
 */
void guest_suspend(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done,
		   void *arg);
/* Destroys the domain if there is one. Files stay. Operations that have not begun are answered ERR_CONFLICT. */
void guest_stop(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg);
/* Destroys the domain if there is one and deletes overlay, saved memory and folder. */
void guest_remove(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg);

/* All our guests: domains by their metadata, and folders with saved memory. Array borrowed during the call. */
typedef void guests_listed(const struct guest *guest, size_t n, const struct err *err, void *arg);
void guests_list(struct guests *guests, guests_listed *done, void *arg);

#endif
