/* Overlays by the real qemu-img: names, sizes, deadlines, and images that must not reach it. */
#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "overlay.h"
#include "qcow2.h"
#include "suite.h"
#include "util.h"

#define DEADLINE_US (60 * USEC_PER_SEC)

static char dir[64];

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/tenure-test-overlay-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
}

static void teardown(void)
{
	static const char *const names[] = {"base", "disk", "disk.part", "a 'b' $(c);d,e:f", "g\"h"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, names[i]);

		unlink(path);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

static char *at(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void put(const char *name, const void *data, size_t len)
{
	_cleanup_free_ char *path = at(name);
	struct err err;

	ck_assert_int_eq(file_replace(path, data, len, 0644, &err), 0);
}

/* What the overlay's own header says: its size, its base and the base's format. */
static void check_overlay(const char *path, int64_t size, const char *base, const char *format)
{
	char head[4096] = {0};
	_cleanup_close_ int fd = open(path, O_RDONLY);
	uint64_t inside = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(read(fd, head, sizeof(head)), 512);
	for (int i = 24; i < 32; i++) {
		inside = inside << 8 | (unsigned char)head[i];
	}
	ck_assert_int_eq((int64_t)inside, size);
	ck_assert_ptr_nonnull(memmem(head, sizeof(head), base, strlen(base)));
	ck_assert_ptr_nonnull(memmem(head, sizeof(head), format, strlen(format)));
}

START_TEST(on_raw)
{
	static const char zeros[4096];
	_cleanup_free_ char *base = at("base"), *disk = at("disk");
	struct err err = {0};

	/* A raw image whose guest has written a qcow2 header into it stays raw. */
	put("base", "QFI\xfb, or so it says", 20);
	ck_assert_int_eq(truncate(base, 4096), 0);
	ck_assert_msg(overlay_make(disk, base, IMAGE_RAW, 4096, DEADLINE_US, &err) == 0, "%s", err.text);
	check_overlay(disk, 4096, base, "raw");
	/* There already: harmless, and not made anew. */
	put("disk", zeros, sizeof(zeros));
	ck_assert_int_eq(overlay_make(disk, base, IMAGE_RAW, 4096, DEADLINE_US, &err), 0);
	unlink(disk);
	ck_assert_int_eq(overlay_make(disk, base, IMAGE_RAW, (1 << 20) + 100, DEADLINE_US, &err), 0);
	check_overlay(disk, 1 << 20, base, "raw");
	unlink(disk);
	/* Its guest could write more than was booked. */
	ck_assert_int_lt(overlay_make(disk, base, IMAGE_RAW, 4095, DEADLINE_US, &err), 0);
	ck_assert_int_eq(err.code, ERR_IMAGE);
	ck_assert_msg(strstr(err.text, "--disk 4096B") != NULL, "%s", err.text);
	ck_assert_int_lt(access(disk, F_OK), 0);
}
END_TEST

/* One that was made on another node, where its image had another place. */
START_TEST(rebased)
{
	_cleanup_free_ char *base = at("base"), *other = at("moved, base"), *disk = at("disk");
	struct err err = {0};
	int rc;

	put("base", "content", 8);
	ck_assert_int_eq(truncate(base, 4096), 0);
	ck_assert_int_eq(overlay_make(disk, base, IMAGE_RAW, 4096, DEADLINE_US, &err), 0);
	ck_assert_int_eq(rename(base, other), 0);
	rc = overlay_rebase(disk, other, IMAGE_RAW, DEADLINE_US, &err);
	ck_assert_msg(rc == 0, "%s", err.text);
	check_overlay(disk, 4096, other, "raw");
	put("disk", "no overlay", 10);
	ck_assert_int_lt(overlay_rebase(disk, other, IMAGE_RAW, DEADLINE_US, &err), 0);
	unlink(other);
}
END_TEST

START_TEST(odd_names)
{
	static const char *const names[] = {"a 'b' $(c);d,e:f", "g\"h"};
	_cleanup_free_ char *disk = at("disk");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *base = at(names[i]);
		static const char sector[512];
		struct err err = {0};

		put(names[i], sector, sizeof(sector));
		ck_assert_msg(overlay_make(disk, base, IMAGE_RAW, 512, DEADLINE_US, &err) == 0, "%s", err.text);
		check_overlay(disk, 512, base, "raw");
		unlink(disk);
	}
}
END_TEST

START_TEST(on_qcow2)
{
	_cleanup_free_ char *base = at("base"), *disk = at("disk");
	char *make[] = {"qemu-img", "create", "-q", "-f", "qcow2", base, "3M", NULL};
	char *backed[] = {"qemu-img", "create",        "-q", "-f", "qcow2", "-F", "raw",
			  "-b",       "/etc/hostname", base, "3M", NULL};
	struct err err = {0};

	ck_assert_msg(overlay_run(make, DEADLINE_US, &err) == 0, "%s", err.text);
	ck_assert_msg(overlay_make(disk, base, IMAGE_QCOW2, 3 << 20, DEADLINE_US, &err) == 0, "%s", err.text);
	check_overlay(disk, 3 << 20, base, "qcow2");
	unlink(disk);
	/* What counts is the disk inside, not the file. */
	ck_assert_int_lt(overlay_make(disk, base, IMAGE_QCOW2, 2 << 20, DEADLINE_US, &err), 0);
	ck_assert_msg(strstr(err.text, "--disk 3145728B") != NULL, "%s", err.text);
	/* An image that names a file of the host. */
	ck_assert_msg(overlay_run(backed, DEADLINE_US, &err) == 0, "%s", err.text);
	ck_assert_int_lt(overlay_make(disk, base, IMAGE_QCOW2, 3 << 20, DEADLINE_US, &err), 0);
	ck_assert_int_eq(err.code, ERR_IMAGE);
	ck_assert_msg(strstr(err.text, "backing file") != NULL, "%s", err.text);
	ck_assert_int_lt(access(disk, F_OK), 0);
}
END_TEST

START_TEST(failures)
{
	_cleanup_free_ char *base = at("base"), *nowhere = at("none/disk");
	char *slow[] = {"sleep", "60", NULL};
	char *missing[] = {"tenure-no-such-program", NULL};
	char *unhappy[] = {"ls", "/tenure-no-such-file", NULL};
	struct err err = {0};
	mono_us begin_us = clock_mono();

	ck_assert_int_lt(overlay_run(slow, 100 * USEC_PER_MSEC, &err), 0);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_int_lt(clock_mono() - begin_us, 30 * USEC_PER_SEC);
	ck_assert_int_lt(overlay_run(missing, DEADLINE_US, &err), 0);
	ck_assert_int_lt(overlay_run(unhappy, DEADLINE_US, &err), 0);
	ck_assert_msg(strstr(err.text, "No such file") != NULL, "%s", err.text);
	ck_assert_int_lt(overlay_make(nowhere, base, IMAGE_RAW, 0, DEADLINE_US, &err), 0);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	put("base", "x", 1);
	ck_assert_int_lt(overlay_make(nowhere, base, IMAGE_RAW, 512, DEADLINE_US, &err), 0);
	ck_assert_int_eq(err.code, ERR_INTERNAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_overlay");
	TCase *tcase = tcase_create("overlay");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, on_raw);
	tcase_add_test(tcase, rebased);
	tcase_add_test(tcase, odd_names);
	tcase_add_test(tcase, on_qcow2);
	tcase_add_test(tcase, failures);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
