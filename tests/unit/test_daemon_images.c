/* The image repository: what is imported, what is refused, and that nothing half-copied or needed goes missing. */
#include <check.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "folder.h"
#include "imagefile.h"
#include "images.h"
#include "qcow2.h"
#include "sha256.h"
#include "suite.h"
#include "util.h"

static char dir[64];
static char repository[96];
static struct event_base *base;
static struct images *images;
static struct err err;

struct answer {
	int count;
	bool ok;
	struct err err;
	struct part_file file;
	int64_t disk;
};

static void setup(void)
{
	strcpy(dir, "/tmp/tenure-test-images-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(repository, sizeof(repository), "%s/images", dir);
	memset(&err, 0, sizeof(err));
	base = event_base_new();
	images = images_new(base, repository, &err);
	ck_assert_msg(images != NULL, "%s", err.text);
}

static void teardown(void)
{
	images_free(images);
	event_base_free(base);
	folder_remove(dir);
}

static char *write_file(const char *name, const void *data, size_t len)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *out = fopen(path, "we");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(data, 1, len, out), len);
	fclose(out);
	return path;
}

static void on_imported(const struct part_file *file, int64_t disk, const struct err *failed, void *arg)
{
	struct answer *answer = arg;

	ck_assert_int_eq(!file, !!failed);
	answer->count++;
	answer->ok = file != NULL;
	if (file) {
		answer->file = *file;
		answer->disk = disk;
	} else {
		answer->err = *failed;
	}
	event_base_loopbreak(base);
}

static struct answer import(const char *path, const char *role, enum image_format format, const char *want)
{
	struct answer answer = {0};

	images_import(images, path, role, format, want, on_imported, &answer);
	while (!answer.count) {
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	}
	return answer;
}

static int files_in_repository(void)
{
	struct dirent *entry;
	DIR *d = opendir(repository);
	int n = 0;

	while ((entry = readdir(d)) != NULL) {
		n += entry->d_name[0] != '.';
	}
	closedir(d);
	return n;
}

static void refused(const char *path, const char *role, enum image_format format, enum err_code code, const char *why)
{
	struct answer answer = import(path, role, format, NULL);

	ck_assert(!answer.ok);
	ck_assert_int_eq(answer.err.code, code);
	ck_assert_msg(strstr(answer.err.text, why) != NULL, "\"%s\" does not say \"%s\"", answer.err.text, why);
	ck_assert_int_eq(files_in_repository(), 0);
}

/* Three chunks and a bit, not the same throughout. */
static char *big_file(const char *name, size_t *len)
{
	char *data;
	char *path;

	*len = (3u << 20) + 512;
	data = xcalloc(1, *len);
	for (size_t i = 0; i < *len; i += 512) {
		snprintf(data + i, 32, "sector %zu", i / 512);
	}
	path = write_file(name, data, *len);
	free(data);
	return path;
}

START_TEST(imports_under_the_digest)
{
	size_t len;
	_cleanup_free_ char *path = big_file("disk", &len);
	_cleanup_free_ char *text = file_read(path, len + 1, &err);
	_cleanup_free_ char *copy = NULL;
	_cleanup_free_ char *stored = NULL;
	char digest[SHA256_HEX];
	struct answer answer = import(path, "disk", IMAGE_RAW, NULL);
	int64_t size = 0;
	int fd;

	ck_assert_msg(answer.ok, "%s", answer.err.text);
	sha256_hex(text, len, digest);
	ck_assert_str_eq(answer.file.digest, digest);
	ck_assert_int_eq(answer.file.size, (int64_t)len);
	fd = images_open(images, digest, &size);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(size, (int64_t)len);
	close(fd);
	stored = xasprintf("%s/%s", repository, digest);
	copy = file_read(stored, len + 1, &err);
	ck_assert_int_eq(memcmp(copy, text, len), 0);

	/* Once more, and with the digest it has: still one file. */
	ck_assert(import(path, "disk", IMAGE_RAW, digest).ok);
	ck_assert_int_eq(files_in_repository(), 1);
}
END_TEST

START_TEST(refuses_a_wrong_digest)
{
	size_t len;
	_cleanup_free_ char *path = big_file("disk", &len);
	struct answer answer;

	answer = import(path, "disk", IMAGE_RAW, "0000000000000000000000000000000000000000000000000000000000000000");
	ck_assert(!answer.ok);
	ck_assert_int_eq(answer.err.code, ERR_IMAGE);
	ck_assert_int_eq(files_in_repository(), 0);
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
	_cleanup_free_ char *empty = write_file("empty", "", 0);
	_cleanup_free_ char *missing = xasprintf("%s/missing", dir);

	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	refused(fifo, "disk", IMAGE_RAW, ERR_IMAGE, "not a regular file");
	refused("/dev/zero", "disk", IMAGE_RAW, ERR_IMAGE, "not a regular file");
	refused(dir, "disk", IMAGE_RAW, ERR_IMAGE, "");
	refused(empty, "disk", IMAGE_RAW, ERR_IMAGE, "empty");
	refused(missing, "disk", IMAGE_RAW, ERR_NOT_FOUND, "cannot open");
}
END_TEST

START_TEST(refuses_containers_said_to_be_raw)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
		{"QFI\xfb", 4, "use format qcow2"},
		{"KDMV", 4, "VMDK"},
		{"# Disk DescriptorFile\nRW 8 FLAT \"/etc/passwd\" 0\n", 49, "VMDK"},
		{"conectix", 8, "VHD"},
		{"vhdxfile", 8, "VHDX"},
		{"LUKS\xba\xbe", 6, "LUKS"},
		{"\x1f\x8b", 2, "gzip"},
	};
	char data[1024];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *path = NULL;

		memset(data, 0, sizeof(data));
		memcpy(data, rows[i].bytes, rows[i].len);
		path = write_file("forged", data, sizeof(data));
		refused(path, "disk", IMAGE_RAW, ERR_IMAGE, rows[i].why);
	}
	/* A file of text, such as a secret of the head's, is no disk. */
	_cleanup_free_ char *text = write_file("secret", "0123456789abcdef\n", 17);
	refused(text, "disk", IMAGE_RAW, ERR_IMAGE, "sectors");
}
END_TEST

static void put32(char *head, size_t at, uint32_t value)
{
	value = htobe32(value);
	memcpy(head + at, &value, sizeof(value));
}

/* The least file that passes: 64 KiB clusters, tables in the second and fourth. */
static char *qcow2_file(const char *name, size_t len, uint32_t backing)
{
	_cleanup_free_ char *data = xcalloc(1, len);

	memcpy(data, "QFI\xfb", 4);
	put32(data, 4, 3);
	put32(data, 12, backing);
	put32(data, 20, 16);
	put32(data, 28, 1 << 30);
	put32(data, 36, 2);
	put32(data, 44, 3 << 16);
	put32(data, 52, 1 << 16);
	put32(data, 56, 1);
	put32(data, 96, 4);
	put32(data, 100, 104);
	return write_file(name, data, len);
}

START_TEST(checks_qcow2)
{
	_cleanup_free_ char *good = qcow2_file("good", 4 << 16, 0);
	_cleanup_free_ char *backed = qcow2_file("backed", 4 << 16, 512);
	_cleanup_free_ char *cut = qcow2_file("cut", 3 << 16, 0);
	_cleanup_free_ char *short_one = qcow2_file("short", 104, 0);
	_cleanup_free_ char *raw = write_file("raw", (char[512]){0}, 512);

	refused(backed, "disk", IMAGE_QCOW2, ERR_IMAGE, "backing file");
	refused(cut, "disk", IMAGE_QCOW2, ERR_IMAGE, "cut off");
	refused(short_one, "disk", IMAGE_QCOW2, ERR_IMAGE, "cut off");
	refused(raw, "disk", IMAGE_QCOW2, ERR_IMAGE, "not a qcow2");
	refused(good, "disk", IMAGE_RAW, ERR_IMAGE, "use format qcow2");
	refused(good, "kernel", IMAGE_QCOW2, ERR_PARAMS, "role kernel");
	struct answer answer = import(good, "disk", IMAGE_QCOW2, NULL);
	ck_assert(answer.ok);
	ck_assert_int_eq(answer.disk, 1 << 30);
	ck_assert_int_eq(import(raw, "disk", IMAGE_RAW, NULL).disk, 512);
}
END_TEST

START_TEST(checks_kernels)
{
	char data[1024] = {0};
	_cleanup_free_ char *zero = write_file("zero", data, sizeof(data));
	_cleanup_free_ char *kernel = NULL;
	_cleanup_free_ char *initrd = write_file("initrd", "070701", 6);

	memcpy(data + 0x202, "HdrS", 4);
	kernel = write_file("kernel", data, sizeof(data));
	refused(zero, "kernel", IMAGE_KERNEL, ERR_IMAGE, "not a kernel");
	refused(zero, "initrd", IMAGE_KERNEL, ERR_IMAGE, "not an initrd");
	refused(zero, "disk", IMAGE_KERNEL, ERR_PARAMS, "role disk");
	ck_assert(import(kernel, "kernel", IMAGE_KERNEL, NULL).ok);
	ck_assert(import(initrd, "initrd", IMAGE_KERNEL, NULL).ok);
}
END_TEST

/* The file is cut, or grows, between the size we were told and the end of the copy. */
START_TEST(refuses_a_file_that_changes)
{
	struct stat st;

	/* sysfs states a size that reading does not give: the same to us as a file cut while it is read. */
	ck_assert_int_eq(stat("/sys/kernel/uevent_seqnum", &st), 0);
	ck_assert_int_eq(st.st_size % 512, 0);
	refused("/sys/kernel/uevent_seqnum", "disk", IMAGE_RAW, ERR_IMAGE, "changed while");
}
END_TEST

START_TEST(opens_nothing_else)
{
	_cleanup_free_ char *link = xasprintf("%s/%064d", repository, 0);
	int64_t size;

	ck_assert_int_eq(symlink("/etc/passwd", link), 0);
	ck_assert_int_eq(images_open(images, "../tenure.db", &size), -1);
	ck_assert_int_eq(images_open(images, "", &size), -1);
	ck_assert_int_eq(images_open(images, link + strlen(repository) + 1, &size), -1);
}
END_TEST

START_TEST(removes_leftovers_and_sweeps)
{
	size_t len;
	_cleanup_free_ char *path = big_file("disk", &len);
	_cleanup_free_ char *initrd = write_file("initrd", "070701", 6);
	struct answer kept = import(path, "disk", IMAGE_RAW, NULL);
	struct answer swept = import(initrd, "initrd", IMAGE_KERNEL, NULL);
	_cleanup_free_ char *left = write_file("images/import.part", "x", 1);
	_cleanup_free_ char *other = write_file("images/lost+found", "x", 1);
	const char *keep[] = {kept.file.digest};
	int64_t size;
	int fd;

	images_free(images);
	images = images_new(base, repository, &err);
	ck_assert_ptr_nonnull(images);
	ck_assert_int_ne(access(left, F_OK), 0);
	images_sweep(images, keep, 1);
	fd = images_open(images, kept.file.digest, &size);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(images_open(images, swept.file.digest, &size), -1);
	ck_assert_int_eq(access(other, F_OK), 0);
}
END_TEST

/*
 * A sweep between the end of a copy and its answer must not remove what the asker is about to name. Once the second
 * file has its name, the first is finished and not answered, as the loop does not run.
 */
START_TEST(sweep_spares_what_is_not_answered_yet)
{
	size_t len;
	_cleanup_free_ char *disk = big_file("disk", &len);
	_cleanup_free_ char *initrd = write_file("initrd", "070701", 6);
	struct answer first = {0}, second = {0};
	int fd = inotify_init1(IN_CLOEXEC);
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	ck_assert_int_ge(inotify_add_watch(fd, repository, IN_MOVED_TO), 0);
	images_import(images, initrd, "initrd", IMAGE_KERNEL, NULL, on_imported, &first);
	images_import(images, disk, "disk", IMAGE_RAW, NULL, on_imported, &second);
	for (int moved = 0; moved < 2;) {
		ssize_t n = read(fd, event, sizeof(event));

		ck_assert_int_gt(n, 0);
		moved += (int)(n / (ssize_t)(sizeof(struct inotify_event) + 80));
	}
	close(fd);
	images_sweep(images, NULL, 0);
	ck_assert_int_eq(files_in_repository(), 2);
	while (!first.count || !second.count) {
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	}
	ck_assert(first.ok && second.ok);
	images_sweep(images, NULL, 0);
	ck_assert_int_eq(files_in_repository(), 0);
}
END_TEST

START_TEST(answers_all_when_freed)
{
	size_t len;
	_cleanup_free_ char *path = big_file("disk", &len);
	struct answer answer[20] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(answer); i++) {
		images_import(images, path, "disk", IMAGE_RAW, NULL, on_imported, &answer[i]);
	}
	images_free(images);
	images = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(answer); i++) {
		ck_assert_int_eq(answer[i].count, 1);
		ck_assert(answer[i].ok || answer[i].err.code == ERR_UNAVAILABLE);
	}
}
END_TEST

START_TEST(refuses_too_many)
{
	size_t len;
	_cleanup_free_ char *path = big_file("disk", &len);
	struct answer answer[300] = {0};
	int limited = 0, answered = 0;

	for (size_t i = 0; i < ARRAY_SIZE(answer); i++) {
		images_import(images, path, "disk", IMAGE_RAW, NULL, on_imported, &answer[i]);
	}
	images_free(images);
	images = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(answer); i++) {
		answered += answer[i].count;
		limited += answer[i].err.code == ERR_LIMIT;
	}
	ck_assert_int_eq(answered, ARRAY_SIZE(answer));
	ck_assert_int_gt(limited, 0);
}
END_TEST

START_TEST(says_why_a_folder_is_no_good)
{
	_cleanup_free_ char *file = write_file("plain", "x", 1);
	_cleanup_free_ char *inside = xasprintf("%s/images", file);

	ck_assert_ptr_null(images_new(base, inside, &err));
	ck_assert_ptr_nonnull(strstr(err.text, file));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_images");
	TCase *tcase = tcase_create("images");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, imports_under_the_digest);
	tcase_add_test(tcase, refuses_a_wrong_digest);
	tcase_add_test(tcase, refuses_what_is_no_file);
	tcase_add_test(tcase, refuses_containers_said_to_be_raw);
	tcase_add_test(tcase, checks_qcow2);
	tcase_add_test(tcase, checks_kernels);
	tcase_add_test(tcase, refuses_a_file_that_changes);
	tcase_add_test(tcase, opens_nothing_else);
	tcase_add_test(tcase, removes_leftovers_and_sweeps);
	tcase_add_test(tcase, sweep_spares_what_is_not_answered_yet);
	tcase_add_test(tcase, answers_all_when_freed);
	tcase_add_test(tcase, refuses_too_many);
	tcase_add_test(tcase, says_why_a_folder_is_no_good);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
