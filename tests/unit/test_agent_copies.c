/*
 * A suspended guest on its way from one agent to another, over loopback: who is served, what comes, and what is done
 * about cuts and about what an earlier attempt left.
 */
#include <check.h>
#include <event2/thread.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "copies.h"
#include "folder.h"
#include "guest.h"
#include "offers.h"
#include "suite.h"
#include "util.h"
#include "work_fixture.h"

#define DISK_SIZE 300000
#define MEMORY_SIZE 700001
#define KEY ((struct book_key){7, 1, 1})

static char folder[64];
static struct event_base *base;
static struct book *here, *there; /* of the node it goes to, and of that it lies on */
static struct offers *offers;
static struct copies *copies;
static bool still;
static char disk[DISK_SIZE], memory[MEMORY_SIZE];

static char *at(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void put(const char *name, const void *data, size_t len)
{
	_cleanup_free_ char *path = at(name);
	struct err err;

	ck_assert_msg(file_replace(path, data, len, 0600, &err) == 0, "%s", err.text);
}

static bool holds(const char *name, const void *data, size_t len)
{
	_cleanup_free_ char *path = at(name);
	_cleanup_free_ char *found = file_read(path, MEMORY_SIZE, NULL);
	struct stat st;

	return found && stat(path, &st) == 0 && (size_t)st.st_size == len && memcmp(found, data, len) == 0;
}

static bool nobody_else_reads(const char *name)
{
	_cleanup_free_ char *path = at(name);
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & 0777) == 0600;
}

static void remove_here(void)
{
	_cleanup_free_ char *path = at("here");

	folder_remove(path);
}

static void accept_vm(struct book *book, const struct part_vm *vm)
{
	static uint64_t version;
	struct err err;

	ck_assert_msg(book_accept(book, part_of(vm, 1, ++version), clock_wall(), &err) == 0, "%s", err.text);
}

static void offer_to(const char *node)
{
	struct part_vm vm = vm_of(RUN_RESUME, RUN_SUSPEND, false);

	vm.to = (char *)node;
	accept_vm(there, &vm);
}

/* As the head tells the node with that name to fetch it. */
static void fetch_as(const char *node)
{
	_cleanup_free_ char *url = xasprintf("http://127.0.0.1:%d/guests/%s/7-1-1", offers_port(offers), node);
	struct part_vm vm = vm_of(RUN_RESUME, RUN_SUSPEND, true);

	vm.from = url;
	accept_vm(here, &vm);
	copies_want(copies, here);
}

static bool lies_still(const struct book_key *key, void *arg)
{
	(void)arg;
	ck_assert(key->lease == 7 && key->vm == 1 && key->generation == 1);
	return still;
}

static void on_changed(bool finished, void *arg)
{
	(void)finished;
	(void)arg;
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ck_abort_msg("waited in vain");
}

static void until(enum copy_state state)
{
	struct timeval patience = {.tv_sec = 20};
	struct event *late = evtimer_new(base, on_late, NULL);
	struct book_key key = KEY;
	const char *text;

	event_add(late, &patience);
	while (copies_state(copies, &key, &text) != state) {
		event_base_loop(base, EVLOOP_ONCE);
	}
	event_free(late);
}

static void new_copies(const char *token)
{
	static const struct stage_ops ops = {.changed = on_changed};
	struct stage_settings limits = {.connect_timeout_us = 5 * SEC, .stall_timeout_us = 5 * SEC, .stall_rate = 1};
	_cleanup_free_ char *dir = at("here"), *file = at(token);
	struct copies_settings settings = {.guests_dir = dir, .token_file = file, .ca_file = ""};
	struct err err;

	copies_free(copies);
	copies = copies_new(base, &settings, &limits, &ops, NULL, &err);
	ck_assert_msg(copies != NULL, "%s", err.text);
}

static struct book *open_book(const char *name)
{
	_cleanup_free_ char *path = at(name);
	struct err err;
	struct book *book = book_open(path, clock_wall(), &err);

	ck_assert_msg(book != NULL, "%s", err.text);
	return book;
}

static void setup(void)
{
	struct offers_settings settings = {.address = "127.0.0.1:0", .plaintext = ""};
	_cleanup_free_ char *dir = NULL, *guest = NULL, *token = NULL;
	struct err err;

	evthread_use_pthreads();
	strcpy(folder, "/tmp/tenure-test-copies-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (size_t i = 0; i < MEMORY_SIZE; i++) {
		memory[i] = (char)(i * 7 + i / 251);
		disk[i % DISK_SIZE] = (char)(i * 3 + i / 127);
	}
	put("token", "the secret of these agents\n", 27);
	put("other", "the secret of some others\n", 26);
	settings.guests_dir = dir = at("there");
	settings.token_file = token = at("token");
	guest = at("there/7-1-1");
	ck_assert_int_eq(dir_make(guest, 0711, &err), 0);
	put("there/7-1-1/disk.qcow2", disk, DISK_SIZE);
	put("there/7-1-1/memory.save", memory, MEMORY_SIZE);
	base = event_base_new();
	here = open_book("here.json");
	there = open_book("there.json");
	still = true;
	offers = offers_new(base, &settings, there, lies_still, NULL, &err);
	ck_assert_msg(offers != NULL, "%s", err.text);
	copies = NULL;
	new_copies("token");
}

static void teardown(void)
{
	copies_free(copies);
	offers_free(offers);
	book_free(here);
	book_free(there);
	event_base_free(base);
	folder_remove(folder);
}

START_TEST(comes_whole)
{
	struct book_guest *record;

	offer_to("n2");
	fetch_as("n2");
	until(COPY_HERE);
	ck_assert(holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
	ck_assert(holds("here/7-1-1/" GUEST_CAME_MEMORY, memory, MEMORY_SIZE));
	ck_assert(nobody_else_reads("here/7-1-1/" GUEST_CAME_MEMORY));
	/* So does what another agent finds after a restart. */
	new_copies("token");
	copies_want(copies, here);
	until(COPY_HERE);
	/* Once it was told to run here its copy is spent: it must not come again. */
	record = book_find(here, 7, 1, 1);
	record->stage = WORK_BOOTED;
	remove_here();
	new_copies("token");
	copies_want(copies, here);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
}
END_TEST

/* What an earlier attempt left is gone on with if it is the beginning of the same, else it begins anew. */
START_TEST(goes_on)
{
	_cleanup_free_ char *dir = at("here/7-1-1");
	struct err err;

	ck_assert_int_eq(dir_make(dir, 0711, &err), 0);
	put("here/7-1-1/" GUEST_CAME_DISK ".part", disk, DISK_SIZE / 2);
	put("here/7-1-1/" GUEST_CAME_MEMORY ".part", disk, DISK_SIZE / 2);
	offer_to("n2");
	fetch_as("n2");
	until(COPY_HERE);
	ck_assert(holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
	ck_assert(holds("here/7-1-1/" GUEST_CAME_MEMORY, memory, MEMORY_SIZE));
}
END_TEST

/* By the newest plan of the node it lies on it goes elsewhere, or stays. */
START_TEST(fenced)
{
	offer_to("n3");
	fetch_as("n2");
	until(COPY_STUCK);
	offer_to(NULL);
	fetch_as("n2");
	until(COPY_STUCK);
	ck_assert(!holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
	/* It is tried until it may be had. */
	offer_to("n2");
	until(COPY_HERE);
}
END_TEST

START_TEST(while_it_still_moves)
{
	still = false;
	offer_to("n2");
	fetch_as("n2");
	until(COPY_STUCK);
	ck_assert(!holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
	still = true;
	until(COPY_HERE);
}
END_TEST

START_TEST(strangers)
{
	new_copies("other");
	offer_to("n2");
	fetch_as("n2");
	until(COPY_STUCK);
	new_copies("none");
	copies_want(copies, here);
	until(COPY_STUCK);
	ck_assert(!holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
}
END_TEST

/* Not before its time, nor after it was called off; and from nowhere as long as nobody knows where. */
START_TEST(when_it_is_planned)
{
	struct part_vm vm = vm_of(RUN_RESUME, RUN_SUSPEND, true);
	struct book_key key = KEY;
	const char *text;

	offer_to("n2");
	vm.from = (char *)"";
	accept_vm(here, &vm);
	copies_want(copies, here);
	until(COPY_STUCK);
	copies_state(copies, &key, &text);
	ck_assert_ptr_nonnull(strstr(text, "listen"));
	vm.from = xasprintf("http://127.0.0.1:%d/guests/n2/7-1-1", offers_port(offers));
	vm.fetch_us = clock_wall() + 300 * SEC;
	new_copies("token");
	accept_vm(here, &vm);
	copies_want(copies, here);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(copies_state(copies, &key, &text), COPY_COMING);
	ck_assert(!holds("here/7-1-1/" GUEST_CAME_DISK, disk, DISK_SIZE));
	free(vm.from);
	vm.from = NULL;
	accept_vm(here, &vm);
	copies_want(copies, here);
	ck_assert_int_eq(copies_state(copies, &key, &text), COPY_COMING);
}
END_TEST

/* The guest has run and was suspended anew: the digest that was made of its old files says nothing of the new ones. */
START_TEST(newer_files)
{
	offer_to("n2");
	fetch_as("n2");
	until(COPY_HERE);
	memory[5]++;
	put("there/7-1-1/memory.save", memory, MEMORY_SIZE);
	remove_here();
	new_copies("token");
	copies_want(copies, here);
	until(COPY_HERE);
	ck_assert(holds("here/7-1-1/" GUEST_CAME_MEMORY, memory, MEMORY_SIZE));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_copies");
	TCase *tcase = tcase_create("copies");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, comes_whole);
	tcase_add_test(tcase, goes_on);
	tcase_add_test(tcase, fenced);
	tcase_add_test(tcase, while_it_still_moves);
	tcase_add_test(tcase, strangers);
	tcase_add_test(tcase, when_it_is_planned);
	tcase_add_test(tcase, newer_files);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
