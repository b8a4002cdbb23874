/*
 * The connection to libvirt: one thread opens it, watches it and opens it again when it is lost; another runs libvirt's
 * event loop. Every function of libvirt may block for as long as libvirtd likes, so none is called on the caller's
 * event loop. Knows nothing of guests.
 */
#ifndef TENURE_VIRT_H
#define TENURE_VIRT_H

#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "usec.h"

struct virt;

struct virt_info {
	bool kvm;
	bool kvm_as_root; /* /dev/kvm is root's alone: QEMU must run as root to use it */
	char text[96];    /* "kvm, libvirt 9.0.0, QEMU 7.2.22" */
};

/* Called on libvirt's or the connection's thread: hand over and return. */
struct virt_ops {
	void (*up)(const struct virt_info *info, void *arg);
	/* After up(), and after each failed attempt to connect. */
	void (*down)(const char *why, void *arg);
	void (*lifecycle)(const char *name, int event, int detail, wall_us at_us, void *arg);
	void (*release)(void *arg); /* no further call comes */
};

/*
 * Begins connecting. domain_type: "kvm", "qemu" or "auto". Strings are copied, ops must outlive it. The caller holds
 * the first reference; on failure NULL, and release() is not called.
 */
struct virt *virt_new(const char *uri, const char *domain_type, const struct virt_ops *ops, void *arg, struct err *err);
struct virt *virt_ref(struct virt *virt);
void virt_unref(struct virt *virt);
/* The connection ends, without waiting for it. References stay. */
void virt_close(struct virt *virt);

/*
 * The connection, with a reference the caller gives back by virConnectClose(); NULL (ERR_UNAVAILABLE) if there is none.
 * slow: for calls that may take long, which then delay no others. *serial tells this connection from later ones.
 */
virConnectPtr virt_conn(struct virt *virt, bool slow, uint64_t *serial, struct err *err);
/* A call on that connection did not come back: connect anew. Ignored if that was done already. */
void virt_lost(struct virt *virt, uint64_t serial, const char *why);

/* Fills err from libvirt's last error on this thread, prefixed by what. Returns -1. */
int virt_error(struct err *err, const char *what);

#endif
