/* UUIDs of guests, by libuuid. Knows nothing of libvirt. */
#include "uuid5.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

/* Random, made once for this purpose. Never change it: running guests would no longer be recognised. */
UUID_DEFINE(guest_namespace, 0x5c, 0x1d, 0x0e, 0x8a, 0x6f, 0x3b, 0x4c, 0x27, 0x9a, 0x41, 0xd3, 0x52, 0x77, 0xb8, 0x0e,
	    0xf4);

void uuid5_guest(uint64_t lease, uint32_t vm, uint32_t generation, char out[UUID5_TEXT])
{
	char name[64];
	uuid_t uuid;

	snprintf(name, sizeof(name), "%" PRIu64 "/%" PRIu32 "/%" PRIu32, lease, vm, generation);
	uuid_generate_sha1(uuid, guest_namespace, name, strlen(name));
	uuid_unparse_lower(uuid, out);
}
