/* The shared table: making and mapping it, its sequence locks, and giving threads back from it. Schedules nothing. */
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define LOCK_TRIES 200
#define LOCK_EVERY_US 10000
#define MAGIC 0x31464445u /* "EDF1": also told apart by size */

static int open_file(const char *run_dir, int flags)
{
	_cleanup_free_ char *path = xasprintf("%s/table", run_dir);

	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static struct table *map(int fd)
{
	void *at = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* A file of another version or cut short is nobody's. */
static bool good(int fd, const struct table *table)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (size_t)st.st_size >= sizeof(*table) && table->head.magic == MAGIC &&
	       table->head.size == sizeof(*table);
}

static unsigned clear_out(int fd, struct table *table)
{
	unsigned n = good(fd, table) ? table_restore_all(table, true) : 0;

	memset(table, 0, sizeof(*table));
	return n;
}

/* Whether the owner that the file names is there. Its watchdog may hold the lock for some milliseconds more. */
static bool owner_lives(int fd, pid_t *owner)
{
	struct table_head head = {0};
	bool read = pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head);

	*owner = head.owner;
	return read && head.magic == MAGIC && head.owner > 0 && proc_start_time(head.owner) == head.owner_start;
}

static int lock_file(const char *run_dir, struct err *err)
{
	int fd = open_file(run_dir, O_RDWR | O_CREAT);
	pid_t owner;

	if (fd < 0) {
		return err_set(err, ERR_DENIED, "cannot open %s/table: %s", run_dir, strerror(errno));
	}
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (owner_lives(fd, &owner) || tries == LOCK_TRIES) {
			close(fd);
			return err_set(err, ERR_CONFLICT, "another engine works in %s: process %d", run_dir,
				       (int)owner);
		}
		usleep(LOCK_EVERY_US);
	}
	return fd;
}

int table_create(const char *run_dir, struct table **table, int *lock_fd, unsigned *released, struct err *err)
{
	int fd;

	if (dir_make(run_dir, 0755, err) < 0 || (fd = lock_file(run_dir, err)) < 0) {
		return -1;
	}
	/* Grown, never cut: a watchdog may still have it mapped. */
	errno = posix_fallocate(fd, 0, sizeof(**table));
	if (errno != 0 || !(*table = map(fd))) {
		err_set(err, ERR_LIMIT, "cannot map %s/table: %s", run_dir, strerror(errno));
		close(fd);
		return -1;
	}
	*released = clear_out(fd, *table);
	(*table)->head.magic = MAGIC;
	(*table)->head.size = sizeof(**table);
	(*table)->head.owner = getpid();
	(*table)->head.owner_start = proc_start_time(getpid());
	*lock_fd = fd;
	return 0;
}

struct table *table_open(const char *run_dir, bool *alive, struct err *err)
{
	_cleanup_close_ int fd = open_file(run_dir, O_RDWR);
	struct stat st;
	struct table *table;
	pid_t owner;

	if (fd < 0 && errno != ENOENT) {
		err_set(err, ERR_DENIED, "cannot open %s/table: %s", run_dir, strerror(errno));
		return NULL;
	}
	if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(*table) || !(table = map(fd))) {
		err_set(err, ERR_NOT_FOUND, "no engine has worked in %s", run_dir);
		return NULL;
	}
	if (!good(fd, table)) {
		table_unmap(table);
		err_set(err, ERR_NOT_FOUND, "%s/table is not of this version", run_dir);
		return NULL;
	}
	*alive = flock(fd, LOCK_EX | LOCK_NB) < 0 && owner_lives(fd, &owner);
	return table;
}

void table_unmap(struct table *table)
{
	if (table) {
		munmap(table, sizeof(*table));
	}
}

/*
 * ---- sequence locks: Boehm, "Can seqlocks get along with programming language memory models?", 2012 ----
 * What they guard may be read while it is written, and is thrown away then: atomic words, so that this is no data race.
 * Who has read a new one (acquire) has to find the sequence odd, or further, at last: it was so before (release).
 */

_Static_assert(sizeof(struct table_wish) % sizeof(uint64_t) == 0, "of whole words");
_Static_assert(sizeof(struct table_stat) % sizeof(uint64_t) == 0, "of whole words");

static void write_words(_Atomic uint32_t *seq, _Atomic uint64_t *to, const void *from, size_t words)
{
	atomic_fetch_add_explicit(seq, 1, memory_order_relaxed);
	for (size_t i = 0; i < words; i++) {
		uint64_t word;

		memcpy(&word, (const char *)from + i * sizeof(word), sizeof(word));
		atomic_store_explicit(&to[i], word, memory_order_release);
	}
	atomic_fetch_add_explicit(seq, 1, memory_order_release);
}

static bool read_words(const _Atomic uint32_t *seq, const _Atomic uint64_t *from, void *to, size_t words,
		       uint32_t *before)
{
	*before = atomic_load_explicit(seq, memory_order_acquire);
	for (size_t i = 0; i < words; i++) {
		uint64_t word = atomic_load_explicit(&from[i], memory_order_acquire);

		memcpy((char *)to + i * sizeof(word), &word, sizeof(word));
	}
	return !(*before & 1) && atomic_load_explicit(seq, memory_order_relaxed) == *before;
}

void table_way_write(struct table_slot *slot, const char *cgroup, const char *text)
{
	snprintf(slot->cgroup, sizeof(slot->cgroup), "%s", cgroup);
	snprintf(slot->cgroup_text, sizeof(slot->cgroup_text), "%s", text);
	atomic_store_explicit(&slot->away, true, memory_order_release);
}

void table_wish_write(struct table_slot *slot, const struct table_wish *wish)
{
	write_words(&slot->seq, slot->wish, wish, ARRAY_SIZE(slot->wish));
}

bool table_wish_read(const struct table_slot *slot, struct table_wish *out, uint32_t *seq)
{
	return read_words(&slot->seq, slot->wish, out, ARRAY_SIZE(slot->wish), seq);
}

void table_stat_write(struct table_slot *slot, const struct table_stat *stat)
{
	write_words(&slot->stat_seq, slot->stat, stat, ARRAY_SIZE(slot->stat));
}

/* The writer is never interrupted for long unless it is stopped as a whole: then the last try must do. */
void table_stat_read(const struct table_slot *slot, struct table_stat *out)
{
	uint32_t seq;

	for (int tries = 0; tries < 1000; tries++) {
		if (read_words(&slot->stat_seq, slot->stat, out, ARRAY_SIZE(slot->stat), &seq)) {
			return;
		}
	}
}

void table_wake(struct table_cpu *cpu)
{
	atomic_fetch_add(&cpu->change, 1);
	syscall(SYS_futex, &cpu->change, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

/* ---- giving back ---- */

static bool move_back(const struct table_slot *slot)
{
	int fd = open(slot->cgroup, O_WRONLY | O_CLOEXEC);
	char text[TABLE_TEXT];
	bool ok;

	if (fd < 0) {
		return false;
	}
	if (*slot->cgroup_text) {
		snprintf(text, sizeof(text), "%s", slot->cgroup_text);
	} else {
		snprintf(text, sizeof(text), "%d", (int)slot->tid);
	}
	ok = write(fd, text, strlen(text)) > 0;
	close(fd);
	return ok;
}

/* Policy first: whatever else fails, nobody is left with a real-time priority. */
bool table_restore(const struct table_slot *slot)
{
	bool away = atomic_load_explicit(&slot->away, memory_order_acquire);
	bool lives = proc_start_time(slot->tid) == slot->start_time;
	bool ok = !lives || proc_policy_restore(slot->tid, &slot->before) == 0;

	/* A limit is the group's, who may have others in it by now. */
	if (away && (lives || *slot->cgroup_text) && !move_back(slot)) {
		ok = false;
	}
	return ok || proc_start_time(slot->tid) != slot->start_time;
}

unsigned table_restore_all(struct table *table, bool forget)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TABLE_SLOTS; i++) {
		if (atomic_load(&table->slot[i].state) == TABLE_HELD) {
			table_restore(&table->slot[i]);
			if (forget) {
				atomic_store(&table->slot[i].state, TABLE_FREE);
			}
			n++;
		}
	}
	return n;
}
