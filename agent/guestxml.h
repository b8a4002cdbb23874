/*
 * Domain XML: what libvirt is told to make of a guest, and how a domain is recognised as one of ours. Pure: touches no
 * file and calls no libvirt.
 */
#ifndef TENURE_GUESTXML_H
#define TENURE_GUESTXML_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#define GUESTXML_NAMESPACE "https://tenure.invalid/guest/1"
#define GUESTXML_NAME_MAX 64 /* "tenure-LEASE-VM-GENERATION": 7 + 20 + 10 + 10 digits, two dashes and the NUL */

/* Strings are borrowed. Either disk, base and base_format, or kernel and perhaps initrd and cmdline. */
struct guestxml {
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
	const char *title;       /* shown to people; NULL or "" = none; what XML or libvirt cannot hold becomes "?" */
	int64_t cpu;             /* millicores, > 0 */
	int64_t memory;          /* bytes, > 0 */
	bool kvm;                /* else emulation */
	bool kvm_as_root;        /* QEMU runs as root, where nobody else may open /dev/kvm */
	const char *disk;        /* the guest's qcow2 overlay */
	const char *base;        /* the pooled image below it */
	const char *base_format; /* "raw" or "qcow2" */
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *console; /* file the serial port is appended to */
};

/* The XML; the caller frees. NULL (ERR_PARAMS) if a path or the command line holds what XML cannot. */
char *guestxml_make(const struct guestxml *spec, struct err *err);

/*
 * The XML of a domain of ours with disk, base, kernel, initrd and console of spec, as far as they are not NULL and it
 * has them, in place of its own; nothing else of spec counts. The caller frees. NULL (ERR_PARSE) if it is no such XML.
 */
char *guestxml_relocate(const char *xml, const struct guestxml *spec, struct err *err);

/* "tenure-LEASE-VM-GENERATION" and back; -1 if the name is not exactly of that form. */
void guestxml_name(uint64_t lease, uint32_t vm, uint32_t generation, char out[GUESTXML_NAME_MAX]);
int guestxml_parse_name(const char *name, uint64_t *lease, uint32_t *vm, uint32_t *generation);
/* Reads our metadata element, as libvirt returns it. -1 and outputs untouched if it is not one. */
int guestxml_parse_metadata(const char *xml, uint64_t *lease, uint32_t *vm, uint32_t *generation);

#endif
