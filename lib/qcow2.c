/*
 * Parses the qcow2 header as in QEMU's docs/interop/qcow2.txt, as far as needed to refuse what a stranger's image must
 * not do. It does not read tables or data; whether those are sound is the hypervisor's to find out.
 */
#include "qcow2.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define MAGIC UINT32_C(0x514649fb) /* "QFI\xfb" */
#define V2_LENGTH 72
#define V3_LENGTH 104
#define L1_MAX (UINT32_C(32) << 20)      /* bytes; QEMU's own limit */
#define REFTABLE_MAX (UINT32_C(8) << 20) /* bytes; QEMU's own limit */
#define SNAPSHOTS_MAX 65536              /* QEMU's own limit */

/* Offsets of the fields we read. */
enum {
	AT_VERSION = 4,
	AT_BACKING_OFFSET = 8,
	AT_BACKING_SIZE = 16,
	AT_CLUSTER_BITS = 20,
	AT_SIZE = 24,
	AT_CRYPT = 32,
	AT_L1_SIZE = 36,
	AT_L1_OFFSET = 40,
	AT_REFTABLE_OFFSET = 48,
	AT_REFTABLE_CLUSTERS = 56,
	AT_SNAPSHOTS = 60,
	AT_INCOMPATIBLE = 72,
	AT_REFCOUNT_ORDER = 96,
	AT_HEADER_LENGTH = 100,
};

#define FEATURE_DIRTY UINT64_C(1)
#define FEATURE_CORRUPT UINT64_C(2)
#define FEATURE_DATA_FILE UINT64_C(4)
#define FEATURE_COMPRESSION UINT64_C(8)
#define FEATURE_EXTENDED_L2 UINT64_C(16)

enum {
	EXTENSION_END = 0,
	EXTENSION_BACKING_FORMAT = 0xe2792aca,
	EXTENSION_ENCRYPTION = 0x0537be77,
	EXTENSION_DATA_FILE = 0x44415441,
};

static uint32_t u32(const uint8_t *head, size_t at)
{
	uint32_t value;

	memcpy(&value, head + at, sizeof(value));
	return be32toh(value);
}

static uint64_t u64(const uint8_t *head, size_t at)
{
	uint64_t value;

	memcpy(&value, head + at, sizeof(value));
	return be64toh(value);
}

static uint64_t features(const uint8_t *head)
{
	return u32(head, AT_VERSION) >= 3 ? u64(head, AT_INCOMPATIBLE) : 0;
}

static int check_form(const uint8_t *head, size_t len, struct err *err)
{
	if (len < V2_LENGTH || u32(head, 0) != MAGIC) {
		return err_set(err, ERR_IMAGE, "not a qcow2 image");
	}
	if (u32(head, AT_VERSION) != 2 && u32(head, AT_VERSION) != 3) {
		return err_set(err, ERR_IMAGE, "qcow2 version %u is not known, only 2 and 3", u32(head, AT_VERSION));
	}
	if (u32(head, AT_CLUSTER_BITS) < 9 || u32(head, AT_CLUSTER_BITS) > 21) {
		return err_set(err, ERR_IMAGE, "qcow2 clusters of 2^%u bytes; 2^9 to 2^21 are allowed",
			       u32(head, AT_CLUSTER_BITS));
	}
	if (u32(head, AT_VERSION) == 3 &&
	    (len < V3_LENGTH || u32(head, AT_HEADER_LENGTH) < V3_LENGTH || u32(head, AT_HEADER_LENGTH) % 8 != 0 ||
	     u32(head, AT_HEADER_LENGTH) > UINT32_C(1) << u32(head, AT_CLUSTER_BITS) ||
	     u32(head, AT_HEADER_LENGTH) > len || u32(head, AT_REFCOUNT_ORDER) > 6)) {
		return err_set(err, ERR_IMAGE, "qcow2 header is damaged or cut off");
	}
	return 0;
}

static int check_features(const uint8_t *head, struct err *err)
{
	const uint64_t known =
		FEATURE_DIRTY | FEATURE_CORRUPT | FEATURE_DATA_FILE | FEATURE_COMPRESSION | FEATURE_EXTENDED_L2;
	uint64_t set = features(head);

	if (u64(head, AT_BACKING_OFFSET) != 0 || u32(head, AT_BACKING_SIZE) != 0) {
		return err_set(err, ERR_IMAGE, "qcow2 image has a backing file; make it whole with qemu-img convert");
	}
	if (set & FEATURE_DATA_FILE) {
		return err_set(err, ERR_IMAGE,
			       "qcow2 image keeps its data in another file; make it whole with "
			       "qemu-img convert");
	}
	if (u32(head, AT_CRYPT) != 0) {
		return err_set(err, ERR_IMAGE, "qcow2 image is encrypted");
	}
	if (set & (FEATURE_DIRTY | FEATURE_CORRUPT)) {
		return err_set(err, ERR_IMAGE, "qcow2 image is marked %s; repair it with qemu-img check -r all",
			       set & FEATURE_CORRUPT ? "corrupt" : "dirty");
	}
	if (set & ~known) {
		return err_set(err, ERR_IMAGE, "qcow2 image needs unknown features 0x%llx",
			       (unsigned long long)(set & ~known));
	}
	return 0;
}

/* Extensions follow the header: type, length, data padded to 8 bytes; the first cluster must hold them all. */
static int check_extensions(const uint8_t *head, size_t len, struct err *err)
{
	size_t cluster = (size_t)1 << u32(head, AT_CLUSTER_BITS);
	size_t end = len < cluster ? len : cluster;
	size_t at = u32(head, AT_VERSION) >= 3 ? u32(head, AT_HEADER_LENGTH) : V2_LENGTH;

	while (at + 8 <= end) {
		uint32_t type = u32(head, at);
		size_t size = u32(head, at + 4);

		switch (type) {
		case EXTENSION_END:
			return 0;
		case EXTENSION_BACKING_FORMAT:
			return err_set(err, ERR_IMAGE, "qcow2 image names the format of a backing file");
		case EXTENSION_ENCRYPTION:
			return err_set(err, ERR_IMAGE, "qcow2 image is encrypted");
		case EXTENSION_DATA_FILE:
			return err_set(err, ERR_IMAGE, "qcow2 image names an external data file");
		}
		if (size > end - at - 8) {
			return err_set(err, ERR_IMAGE, "qcow2 header extension 0x%08x goes beyond the header", type);
		}
		at += 8 + (size + 7) / 8 * 8;
	}
	/* The first cluster may be full to its end; anything else must say where it ends. */
	return end == cluster ? 0 : err_set(err, ERR_IMAGE, "qcow2 header extensions are cut off");
}

static int check_sizes(const uint8_t *head, struct err *err)
{
	unsigned bits = u32(head, AT_CLUSTER_BITS);
	unsigned entry_bits = features(head) & FEATURE_EXTENDED_L2 ? 4 : 3;
	uint64_t mask = (UINT64_C(1) << bits) - 1;
	uint64_t size = u64(head, AT_SIZE);
	uint64_t l1_size = u32(head, AT_L1_SIZE);
	uint64_t reftable = (uint64_t)u32(head, AT_REFTABLE_CLUSTERS) << bits;
	/* Bytes of disk that one entry of the L1 table stands for: at most 2^(2 * 21 - 3). */
	unsigned reach_bits = 2 * bits - entry_bits;

	if (size == 0 || size > (uint64_t)QCOW2_SIZE_MAX) {
		return err_set(err, ERR_IMAGE, "qcow2 disk of %llu bytes; 1 byte to 64 TiB are allowed",
			       (unsigned long long)size);
	}
	if (l1_size * 8 > L1_MAX || l1_size < ((size - 1) >> reach_bits) + 1) {
		return err_set(err, ERR_IMAGE, "qcow2 table of %llu entries does not match its disk's size",
			       (unsigned long long)l1_size);
	}
	if (reftable == 0 || reftable > REFTABLE_MAX || u32(head, AT_SNAPSHOTS) > SNAPSHOTS_MAX) {
		return err_set(err, ERR_IMAGE, "qcow2 reference table or snapshot count is out of range");
	}
	if (u64(head, AT_L1_OFFSET) == 0 || u64(head, AT_L1_OFFSET) & mask || u64(head, AT_REFTABLE_OFFSET) == 0 ||
	    u64(head, AT_REFTABLE_OFFSET) & mask || u64(head, AT_L1_OFFSET) > INT64_MAX / 2 ||
	    u64(head, AT_REFTABLE_OFFSET) > INT64_MAX / 2) {
		return err_set(err, ERR_IMAGE, "qcow2 tables are where no table can be");
	}
	return 0;
}

int qcow2_check(const void *head, size_t len, int64_t *virtual_size, struct err *err)
{
	if (check_form(head, len, err) < 0 || check_features(head, err) < 0 || check_extensions(head, len, err) < 0 ||
	    check_sizes(head, err) < 0) {
		return -1;
	}
	*virtual_size = (int64_t)u64(head, AT_SIZE);
	return 0;
}

int64_t qcow2_least(const void *head)
{
	/* QEMU pads neither table at the end of a file, so count entries, not clusters; a cluster of references is
	 * whole. */
	uint64_t l1_end = u64(head, AT_L1_OFFSET) + (uint64_t)u32(head, AT_L1_SIZE) * 8;
	uint64_t ref_end = u64(head, AT_REFTABLE_OFFSET) + 8;

	return (int64_t)(l1_end > ref_end ? l1_end : ref_end);
}
