/* The agent's book: what survives, what is refused, and that damage is never read as "no guests". */
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "book.h"
#include "suite.h"
#include "util.h"

#define SEC USEC_PER_SEC
#define NOW (INT64_C(1000000) * SEC)

static char folder[64];
static char path[100];
static struct book *book;
static struct err err;

static struct book *reopen(void)
{
	book_free(book);
	memset(&err, 0, sizeof(err));
	book = book_open(path, NOW, &err);
	return book;
}

static void setup(void)
{
	strcpy(folder, "/tmp/tenure-test-book-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/book.json", folder);
	book = NULL;
	ck_assert_ptr_nonnull(reopen());
}

static void teardown(void)
{
	DIR *dir = opendir(folder);

	book_free(book);
	for (struct dirent *entry; (entry = readdir(dir));) {
		_cleanup_free_ char *name = xasprintf("%s/%s", folder, entry->d_name);

		if (entry->d_name[0] != '.' && unlink(name) < 0) {
			rmdir(name);
		}
	}
	closedir(dir);
	rmdir(folder);
}

static unsigned files_like(const char *prefix)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	for (struct dirent *entry; (entry = readdir(dir));) {
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	}
	closedir(dir);
	return n;
}

static struct part *part_of(uint64_t epoch, uint64_t version, size_t n, wall_us start_us)
{
	struct part *part = xcalloc(1, sizeof(*part));

	*part = (struct part){.epoch = epoch, .version = version, .image_count = 1, .vm_count = n};
	part->images = xcalloc(1, sizeof(*part->images));
	part->images[0] = (struct part_image){
		.id = 3, .name = xstrdup("debian"), .cmdline = xstrdup(""), .files = 1, .deadline_us = WALL_NEVER};
	part->images[0].file[0] =
		(struct part_file){.role = xstrdup("disk"), .url = xstrdup("http://h/x"), .size = 512};
	memset(part->images[0].file[0].digest, 'a', 64);
	part->vms = xcalloc(n ? n : 1, sizeof(*part->vms));
	for (size_t i = 0; i < n; i++) {
		part->vms[i] = (struct part_vm){
			.lease = 7,
			.vm = (uint32_t)i,
			.generation = 1,
			.name = xstrdup("web"),
			.image = 3,
			.use.amount = {1000, 64 << 20, 0, 0, 0},
			.planned = true,
			.run = {RUN_BOOT, RUN_STOP, start_us - SEC, start_us, start_us + 60 * SEC, start_us + 61 * SEC},
		};
	}
	return part;
}

static void accept(uint64_t epoch, uint64_t version, size_t n)
{
	ck_assert_msg(book_accept(book, part_of(epoch, version, n, NOW + 100 * SEC), NOW, &err) == 0, "%s", err.text);
}

START_TEST(survives)
{
	struct book_guest *guest;

	ck_assert_ptr_null(book_part(book));
	accept(2, 5, 3);
	guest = book_find(book, 7, 1, 1);
	ck_assert_ptr_nonnull(guest);
	guest->stage = WORK_BOOTED;
	guest->at_us = NOW + 1;
	guest = book_find(book, 7, 2, 1);
	guest->stage = WORK_FAILED;
	strcpy(guest->text, "no \"memory\"");
	book_changed(book);
	ck_assert_int_eq(book_save(book, &err), 0);
	ck_assert_ptr_nonnull(reopen());
	ck_assert_uint_eq(book_part(book)->epoch, 2);
	ck_assert_uint_eq(book_part(book)->version, 5);
	ck_assert_uint_eq(book_part(book)->vm_count, 3);
	ck_assert_int_eq(book_part(book)->vms[1].run.start_us, NOW + 100 * SEC);
	ck_assert_int_eq(book_find(book, 7, 0, 1)->stage, WORK_NEW);
	ck_assert_int_eq(book_find(book, 7, 1, 1)->stage, WORK_BOOTED);
	ck_assert_int_eq(book_find(book, 7, 1, 1)->at_us, NOW + 1);
	ck_assert_str_eq(book_find(book, 7, 2, 1)->text, "no \"memory\"");
	ck_assert_ptr_null(book_find(book, 7, 1, 2));
	ck_assert_uint_eq(files_like("book.json."), 0);
}
END_TEST

/* A guest dropped from the part is kept until its files are gone. */
START_TEST(forgets_when_told)
{
	accept(1, 1, 1);
	accept(1, 2, 0);
	ck_assert_ptr_nonnull(reopen());
	ck_assert_ptr_nonnull(book_find(book, 7, 0, 1));
	book_forget(book, book_find(book, 7, 0, 1));
	ck_assert_int_eq(book_save(book, &err), 0);
	ck_assert_ptr_nonnull(reopen());
	ck_assert_ptr_null(book_find(book, 7, 0, 1));
	ck_assert_ptr_nonnull(book_part(book));
}
END_TEST

START_TEST(older_parts)
{
	static const struct {
		uint64_t epoch, version;
		bool taken;
	} cases[] = {{3, 9, false}, {4, 4, false}, {4, 5, true}, {4, 6, true}, {5, 1, true}, {0, 0, false}};
	struct part *part = part_of(cases[_i].epoch, cases[_i].version, 0, NOW);
	int rc;

	accept(4, 5, 1);
	ck_assert_ptr_nonnull(reopen());
	rc = book_accept(book, part, NOW, &err);
	ck_assert_int_eq(rc == 0, cases[_i].taken);
	ck_assert_uint_eq(book_part(book)->epoch, cases[_i].taken ? cases[_i].epoch : 4);
	if (!cases[_i].taken) {
		ck_assert_int_eq(err.code, ERR_STALE);
		ck_assert_uint_eq(book_part(book)->vm_count, 1);
		part_free(part);
	}
}
END_TEST

/* Whatever byte is changed, and whatever length it is cut to: no part is known then, and the file is kept aside. */
static void check_damaged(const char *text, size_t len)
{
	_cleanup_free_ char *aside = xasprintf("%s.damaged-%lld", path, (long long)NOW);

	ck_assert_int_eq(file_replace(path, text, len, 0600, &err), 0);
	ck_assert_msg(reopen(), "%s", err.text);
	ck_assert_ptr_null(book_part(book));
	ck_assert_ptr_null(book_guests(book));
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(unlink(aside), 0);
}

START_TEST(damaged)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	accept(1, 1, 2);
	text = file_read(path, 1 << 20, &err);
	len = strlen(text);
	for (size_t i = 0; i < len - 1; i += 7) {
		char kept = text[i];

		if (kept == '1' && i < 12) {
			continue; /* the format: see newer_version */
		}
		text[i] = kept == '0' ? '1' : '0';
		check_damaged(text, len);
		text[i] = kept;
	}
	for (size_t cut = 0; cut < len - 1; cut += 13) {
		check_damaged(text, cut);
	}
}
END_TEST

START_TEST(newer_version)
{
	_cleanup_free_ char *text = NULL;
	char *format;

	accept(1, 1, 1);
	text = file_read(path, 1 << 20, &err);
	format = strstr(text, "\"format\":1");
	ck_assert_ptr_nonnull(format);
	format[9] = '2';
	ck_assert_int_eq(file_replace(path, text, strlen(text), 0600, &err), 0);
	ck_assert_ptr_null(reopen());
	ck_assert_int_eq(err.code, ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "newer tenure-agent"));
	/* Left as it is, for the version that can read it. */
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(unreadable)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_ptr_null(reopen());
	ck_assert_ptr_nonnull(strstr(err.text, path));
}
END_TEST

START_TEST(disk_full)
{
	struct rlimit limit = {.rlim_cur = 200, .rlim_max = RLIM_INFINITY};
	struct part *part = part_of(1, 2, 4, NOW + SEC);
	struct err save_err = {0};
	int accepted, saved;

	accept(1, 1, 1);
	signal(SIGXFSZ, SIG_IGN);
	/* No ck_ call until the limit is lifted: libcheck writes a file too. */
	setrlimit(RLIMIT_FSIZE, &limit);
	accepted = book_accept(book, part, NOW, &err);
	book_changed(book);
	saved = book_save(book, &save_err);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	ck_assert_int_eq(accepted, -1);
	ck_assert_int_eq(err.code, ERR_STORE);
	ck_assert_int_eq(saved, -1);
	ck_assert_int_eq(save_err.code, ERR_STORE);
	/* Nothing has changed, in memory or on disk. */
	ck_assert_uint_eq(book_part(book)->version, 1);
	ck_assert_ptr_null(book_find(book, 7, 3, 1));
	ck_assert_int_eq(book_save(book, &err), 0);
	ck_assert_ptr_nonnull(reopen());
	ck_assert_uint_eq(book_part(book)->version, 1);
	ck_assert_int_eq(book_accept(book, part, NOW, &err), 0);
	ck_assert_ptr_nonnull(reopen());
	ck_assert_uint_eq(book_part(book)->version, 2);
}
END_TEST

/* Whoever lost the book cannot know whether a guest whose start has passed has run: it must not boot once more. */
START_TEST(lost_book)
{
	struct part *part = part_of(1, 1, 2, NOW - SEC);

	part->vms[1].run.start_us = NOW + SEC;
	ck_assert_int_eq(book_accept(book, part, NOW, &err), 0);
	ck_assert_int_eq(book_find(book, 7, 0, 1)->stage, WORK_BOOTED);
	ck_assert_int_eq(book_find(book, 7, 1, 1)->stage, WORK_NEW);
	/* With a book, a part that comes late is started late. */
	part = part_of(1, 2, 3, NOW - SEC);
	ck_assert_int_eq(book_accept(book, part, NOW, &err), 0);
	ck_assert_int_eq(book_find(book, 7, 2, 1)->stage, WORK_NEW);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_book");
	TCase *tcase = tcase_create("book");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, survives);
	tcase_add_test(tcase, forgets_when_told);
	tcase_add_loop_test(tcase, older_parts, 0, 6);
	tcase_add_test(tcase, damaged);
	tcase_add_test(tcase, newer_version);
	tcase_add_test(tcase, unreadable);
	tcase_add_test(tcase, disk_full);
	tcase_add_test(tcase, lost_book);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
