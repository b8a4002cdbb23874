/* Names of guests that libvirt can tell apart: a UUID made from what the guest is, so that it cannot exist twice. */
#ifndef TENURE_UUID5_H
#define TENURE_UUID5_H

#include <stdint.h>

#define UUID5_TEXT 37 /* "xxxxxxxx-xxxx-5xxx-xxxx-xxxxxxxxxxxx" and the NUL */

/* The same three numbers give the same UUID (RFC 4122, version 5, lower-case) on every node and in every version. */
void uuid5_guest(uint64_t lease, uint32_t vm, uint32_t generation, char out[UUID5_TEXT]);

#endif
