/*
 * The image repository: imports run in one worker thread, which alone reads and writes image files; its answers come
 * back through the event loop. Does not know the catalogue: names, owners and leases are the manager's and the store's.
 */
#include "images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <uthash.h>
#include <utlist.h>

#include "imagefile.h"
#include "sha256.h"
#include "util.h"

#define QUEUE_MAX 256          /* imports waiting: an operator adds a handful at a time */
#define CHUNK_BYTES (1u << 20) /* read at once; also how often a stop is noticed */
#define PART_SUFFIX ".part"

struct job {
	char *path;
	char *role;
	enum image_format format;
	char want[SHA256_HEX]; /* "" = whatever it is */
	images_imported *done;
	void *arg;
	char digest[SHA256_HEX]; /* result; set before the file gets its name, see images_sweep() */
	int64_t size;
	int64_t disk;
	struct err err;
	struct job *prev, *next;
};

struct images {
	char *dir;
	int dir_fd;
	struct event *wake;
	int wake_fd; /* eventfd: the worker has finished a job */
	pthread_t worker;
	atomic_bool stop;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct job *waiting, *running, *finished;
	unsigned waiting_count;
};

void image_fini(struct image *image)
{
	free(image->name);
	free(image->cmdline);
	for (size_t i = 0; i < image->files; i++) {
		free(image->file[i].role);
		free(image->file[i].url);
	}
	*image = (struct image){0};
}

static void job_free(struct job *job)
{
	free(job->path);
	free(job->role);
	free(job);
}

/* ---- the worker ----------------------------------------------------------------------------------------------------
 */

static int io_error(struct err *err, const char *what, const char *path)
{
	return err_set(err, errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_IMAGE, "%s %s: %s", what, path,
		       strerror(errno));
}

/* Not blocking, since the path may name a fifo; the daemon's own rights decide what can be read. */
static int open_source(const char *path, int64_t *size, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IMAGE, "cannot open %s on the head: %s", path,
			       strerror(errno));
	}
	if (!S_ISREG(st.st_mode)) {
		return err_set(err, ERR_IMAGE, "%s is not a regular file", path);
	}
	*size = st.st_size;
	int out = fd;
	fd = -1;
	return out;
}

/* Copies in to out, checking the format at the first chunk and the size at the last. */
static int copy_file(struct images *images, struct job *job, int in, int out, struct sha256 *hash)
{
	_cleanup_free_ char *chunk = xcalloc(1, CHUNK_BYTES);
	int64_t copied = 0;

	for (;;) {
		ssize_t n = fd_read(in, chunk, CHUNK_BYTES);

		if (atomic_load(&images->stop)) {
			return err_set(&job->err, ERR_UNAVAILABLE, "the head is stopping; add the image again");
		}
		if (n < 0) {
			return io_error(&job->err, "reading", job->path);
		}
		if (copied == 0 &&
		    imagefile_check(chunk, (size_t)n, job->size, job->role, job->format, &job->disk, &job->err) < 0) {
			return err_prefix(&job->err, "%s", job->path);
		}
		copied += n;
		if (n == 0 || copied > job->size) {
			break;
		}
		sha256_update(hash, chunk, (size_t)n);
		if (fd_write(out, chunk, (size_t)n) < 0) {
			return io_error(&job->err, "writing to", images->dir);
		}
	}
	if (copied != job->size) {
		return err_set(&job->err, ERR_IMAGE, "%s changed while it was being read", job->path);
	}
	return 0;
}

/* The digest becomes known to images_sweep() before the file has its name, so that a sweep cannot fall in between. */
static void set_digest(struct images *images, struct job *job, struct sha256 *hash)
{
	char digest[SHA256_HEX];

	sha256_final(hash, digest);
	pthread_mutex_lock(&images->lock);
	memcpy(job->digest, digest, sizeof(digest));
	pthread_mutex_unlock(&images->lock);
}

/* From source to a synced file under its digest; the caller removes part if it is still there. */
static int import_as(struct images *images, struct job *job, const char *part)
{
	_cleanup_close_ int in = open_source(job->path, &job->size, &job->err);
	_cleanup_close_ int out = -1;
	struct sha256 *hash;
	int ret;

	if (in < 0) {
		return -1;
	}
	out = openat(images->dir_fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (out < 0) {
		return io_error(&job->err, "cannot write to", images->dir);
	}
	hash = sha256_new();
	ret = copy_file(images, job, in, out, hash);
	if (ret == 0) {
		set_digest(images, job, hash);
	}
	sha256_free(hash);
	if (ret < 0) {
		return -1;
	}
	if (*job->want && strcmp(job->want, job->digest) != 0) {
		return err_set(&job->err, ERR_IMAGE, "%s has sha256 %s, not %s", job->path, job->digest, job->want);
	}
	if (fsync(out) < 0 || renameat(images->dir_fd, part, images->dir_fd, job->digest) < 0 ||
	    fsync(images->dir_fd) < 0) {
		return io_error(&job->err, "cannot write to", images->dir);
	}
	return 0;
}

static void import(struct images *images, struct job *job)
{
	static const char part[] = "import" PART_SUFFIX; /* one worker, one name */

	if (import_as(images, job, part) < 0) {
		unlinkat(images->dir_fd, part, 0);
	}
}

static void *work(void *arg)
{
	struct images *images = arg;

	pthread_mutex_lock(&images->lock);
	while (!atomic_load(&images->stop)) {
		struct job *job = images->waiting;

		if (!job) {
			pthread_cond_wait(&images->work, &images->lock);
			continue;
		}
		DL_DELETE(images->waiting, job);
		images->waiting_count--;
		images->running = job;
		pthread_mutex_unlock(&images->lock);
		import(images, job);
		pthread_mutex_lock(&images->lock);
		images->running = NULL;
		DL_APPEND(images->finished, job);
		eventfd_write(images->wake_fd, 1);
	}
	pthread_mutex_unlock(&images->lock);
	return NULL;
}

/* ---- the loop's side ------------------------------------------------------------------------------------------------
 */

static void answer(struct job *job)
{
	struct part_file file = {.role = job->role, .url = (char[]){""}, .size = job->size};

	memcpy(file.digest, job->digest, sizeof(file.digest));
	job->done(job->err.code ? NULL : &file, job->disk, job->err.code ? &job->err : NULL, job->arg);
	job_free(job);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct images *images = arg;
	struct job *job;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	/* One at a time: an answered job leaves the list only once its holder knows the digest, for images_sweep(). */
	for (;;) {
		pthread_mutex_lock(&images->lock);
		job = images->finished;
		if (job) {
			DL_DELETE(images->finished, job);
		}
		pthread_mutex_unlock(&images->lock);
		if (!job) {
			return;
		}
		answer(job);
	}
}

static void remove_leftovers(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > sizeof(PART_SUFFIX) &&
		    strcmp(entry->d_name + len - (sizeof(PART_SUFFIX) - 1), PART_SUFFIX) == 0) {
			unlinkat(dir_fd, entry->d_name, 0);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

struct images *images_new(struct event_base *base, const char *dir, struct err *err)
{
	struct images *images;
	int dir_fd;

	if (dir_make(dir, 0755, err) < 0) {
		return NULL;
	}
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || faccessat(dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		err_set(err, ERR_INTERNAL, "cannot write to the image repository %s: %s", dir, strerror(errno));
		cleanup_close(&dir_fd);
		return NULL;
	}
	remove_leftovers(dir_fd);
	images = xcalloc(1, sizeof(*images));
	images->dir = xstrdup(dir);
	images->dir_fd = dir_fd;
	images->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&images->lock, NULL);
	pthread_cond_init(&images->work, NULL);
	images->wake = event_new(base, images->wake_fd, EV_READ | EV_PERSIST, on_wake, images);
	event_add(images->wake, NULL);
	errno = pthread_create(&images->worker, NULL, work, images);
	if (errno) {
		err_set(err, ERR_INTERNAL, "cannot start a thread: %s", strerror(errno));
		images->worker = pthread_self();
		images_free(images);
		return NULL;
	}
	return images;
}

static void give_up(struct job *jobs)
{
	struct job *job, *next;

	DL_FOREACH_SAFE (jobs, job, next) {
		if (!job->err.code && !*job->digest) {
			err_set(&job->err, ERR_UNAVAILABLE, "the head is stopping; add the image again");
		}
		answer(job);
	}
}

void images_free(struct images *images)
{
	if (!images) {
		return;
	}
	if (!pthread_equal(images->worker, pthread_self())) {
		pthread_mutex_lock(&images->lock);
		atomic_store(&images->stop, true);
		pthread_cond_signal(&images->work);
		pthread_mutex_unlock(&images->lock);
		pthread_join(images->worker, NULL);
	}
	give_up(images->finished);
	give_up(images->waiting);
	event_free(images->wake);
	close(images->wake_fd);
	close(images->dir_fd);
	pthread_cond_destroy(&images->work);
	pthread_mutex_destroy(&images->lock);
	free(images->dir);
	free(images);
}

void images_import(struct images *images, const char *path, const char *role, enum image_format format,
		   const char *want_digest, images_imported *done, void *arg)
{
	struct job *job = xcalloc(1, sizeof(*job));
	bool full;

	job->path = xstrdup(path);
	job->role = xstrdup(role);
	job->format = format;
	snprintf(job->want, sizeof(job->want), "%s", want_digest ? want_digest : "");
	job->done = done;
	job->arg = arg;
	pthread_mutex_lock(&images->lock);
	full = images->waiting_count >= QUEUE_MAX;
	if (full) {
		/* Answered from the loop like every other, so that callers have one path. */
		err_set(&job->err, ERR_LIMIT, "%d images are waiting to be added; try again later", QUEUE_MAX);
		DL_APPEND(images->finished, job);
		eventfd_write(images->wake_fd, 1);
	} else {
		DL_APPEND(images->waiting, job);
		images->waiting_count++;
		pthread_cond_signal(&images->work);
	}
	pthread_mutex_unlock(&images->lock);
}

int images_open(struct images *images, const char *digest, int64_t *size)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int out;

	if (!digest_valid(digest)) {
		return -1;
	}
	fd = openat(images->dir_fd, digest, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return -1;
	}
	*size = st.st_size;
	out = fd;
	fd = -1;
	return out;
}

/* ---- sweeping -------------------------------------------------------------------------------------------------------
 */

struct kept {
	const char *digest;
	UT_hash_handle hh;
};

static void keep_digest(struct kept **set, const char *digest)
{
	struct kept *kept;

	HASH_FIND_STR(*set, digest, kept);
	if (!kept) {
		kept = xcalloc(1, sizeof(*kept));
		kept->digest = digest;
		HASH_ADD_KEYPTR(hh, *set, digest, strlen(digest), kept);
	}
}

static void sweep_dir(struct images *images, struct kept *set)
{
	int fd = openat(images->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		struct kept *kept;

		HASH_FIND_STR(set, entry->d_name, kept);
		if (!kept && digest_valid(entry->d_name)) {
			unlinkat(images->dir_fd, entry->d_name, 0);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

void images_sweep(struct images *images, const char *const *keep, size_t n)
{
	struct kept *set = NULL, *kept, *next;
	struct job *job;

	for (size_t i = 0; i < n; i++) {
		keep_digest(&set, keep[i]);
	}
	/* Held over the removals: the worker cannot name a new file meanwhile. */
	pthread_mutex_lock(&images->lock);
	if (images->running && *images->running->digest) {
		keep_digest(&set, images->running->digest);
	}
	DL_FOREACH (images->finished, job) {
		keep_digest(&set, job->digest);
	}
	sweep_dir(images, set);
	pthread_mutex_unlock(&images->lock);
	HASH_ITER (hh, set, kept, next) {
		HASH_DEL(set, kept);
		free(kept);
	}
}
