/*
 * Recognises image files by their first bytes, so that a mistake is told to whoever adds the image and not found out by
 * a guest that does not boot. What is in the image beyond its header is the guest's business.
 */
#include "imagefile.h"

#include <stdbool.h>
#include <string.h>

#include "qcow2.h"
#include "util.h"

#define SECTOR 512

struct magic {
	size_t at;
	const char *bytes;
	size_t len;
	const char *what;
};

/* Formats that a "raw" disk must not be: a guest would see the container, and a tool that guesses would open it. */
static const struct magic containers[] = {
	{0, "QFI\xfb", 4, "qcow2"},
	{0, "KDMV", 4, "VMDK"},
	{0, "COWD", 4, "VMDK"},
	{0, "# Disk Descriptor", 17, "VMDK"},
	{0, "conectix", 8, "VHD"},
	{0, "vhdxfile", 8, "VHDX"},
	{0, "QED\0", 4, "QED"},
	{0, "WithoutFreeSpace", 16, "Parallels"},
	{0, "WithouFreSpacExt", 16, "Parallels"},
	{0, "LUKS\xba\xbe", 6, "LUKS"},
	{0x40, "\x7f\x10\xda\xbe", 4, "VDI"},
	{0, "\x1f\x8b", 2, "gzip"},
	{0, "\xfd\x37zXZ", 5, "xz"},
	{0, "\x28\xb5\x2f\xfd", 4, "zstd"},
};

static const struct magic kernels[] = {
	{0x202, "HdrS", 4, "bzImage"},
	{0x38, "ARM\x64", 4, "arm64 Image"},
	{0, "\x7f\x45LF", 4, "ELF"},
};

static const struct magic initrds[] = {
	{0, "\x1f\x8b", 2, "gzip"},        {0, "\xfd\x37zXZ", 5, "xz"}, {0, "\x28\xb5\x2f\xfd", 4, "zstd"},
	{0, "\x02\x21\x4c\x18", 4, "lz4"}, {0, "BZh", 3, "bzip2"},      {0, "\x5d\0\0", 3, "lzma"},
	{0, "070701", 6, "cpio"},          {0, "070702", 6, "cpio"},
};

static const char *recognise(const struct magic *table, size_t n, const char *head, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		if (len >= table[i].at + table[i].len &&
		    memcmp(head + table[i].at, table[i].bytes, table[i].len) == 0) {
			return table[i].what;
		}
	}
	return NULL;
}

static int check_raw(const char *head, size_t len, int64_t size, struct err *err)
{
	const char *what = recognise(containers, ARRAY_SIZE(containers), head, len);

	if (what) {
		return err_set(err, ERR_IMAGE, "this is a %s file, not a raw disk%s", what,
			       strcmp(what, "qcow2") == 0 ? "; use format qcow2" : "; convert it first");
	}
	if (size % SECTOR != 0) {
		return err_set(err, ERR_IMAGE, "a raw disk is a whole number of %d-byte sectors, this is not", SECTOR);
	}
	return 0;
}

static int check_qcow2(const char *head, size_t len, int64_t size, int64_t *disk, struct err *err)
{
	if (qcow2_check(head, len < QCOW2_HEAD ? len : QCOW2_HEAD, disk, err) < 0) {
		return -1;
	}
	if (size < qcow2_least(head)) {
		return err_set(err, ERR_IMAGE, "qcow2 image is cut off: its tables lie beyond its end");
	}
	return 0;
}

static int check_kernel(const char *head, size_t len, const char *role, struct err *err)
{
	bool kernel = strcmp(role, "kernel") == 0;

	if (kernel && !recognise(kernels, ARRAY_SIZE(kernels), head, len)) {
		return err_set(err, ERR_IMAGE, "not a kernel: neither bzImage, arm64 Image nor ELF");
	}
	if (!kernel && !recognise(initrds, ARRAY_SIZE(initrds), head, len)) {
		return err_set(err, ERR_IMAGE, "not an initrd: neither a cpio archive nor a compressed file");
	}
	return 0;
}

int imagefile_check(const void *head, size_t len, int64_t size, const char *role, enum image_format format,
		    int64_t *disk, struct err *err)
{
	if (size == 0) {
		return err_set(err, ERR_IMAGE, "the file is empty");
	}
	if ((strcmp(role, "disk") == 0) != (format != IMAGE_KERNEL)) {
		return err_set(err, ERR_PARAMS, "an image of format %s has no file of role %s",
			       image_format_name(format), role);
	}
	switch (format) {
	case IMAGE_RAW:
		*disk = size;
		return check_raw(head, len, size, err);
	case IMAGE_QCOW2:
		return check_qcow2(head, len, size, disk, err);
	case IMAGE_KERNEL:
		*disk = 0;
		return check_kernel(head, len, role, err);
	case IMAGE_FORMAT_COUNT:
		break;
	}
	return err_set(err, ERR_PARAMS, "no such format");
}
