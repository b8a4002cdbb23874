/* The file "unfinished": a line that says of what, then pieces as they are in memory. It knows nothing of what they
 * mean. */
#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sha256.h"
#include "util.h"

#define TITLE "tenure-sim unfinished "
#define HEAD (sizeof(TITLE) - 1 + SHA256_HEX) /* with a newline where the digits end */
#define SIZE_MAX_KEPT (INT64_C(1) << 30)      /* a thousand times what the largest experiment leaves */

struct kept {
	char *path;
	int fd;
	char *data; /* what was there when it was opened: pieces only */
	size_t size;
	size_t pieces;
	uint32_t parts;
};

struct head {
	uint32_t part, item, result_size, used_size;
};

static struct head head_at(const struct kept *kept, size_t at)
{
	struct head head;

	memcpy(&head, kept->data + at, sizeof(head));
	return head;
}

/* Where the next begins; 0 if this one is not whole. */
static size_t next_of(const struct kept *kept, size_t at)
{
	struct head head;

	if (kept->size - at < sizeof(head)) {
		return 0;
	}
	head = head_at(kept, at);
	at += sizeof(head);
	return kept->size - at < (size_t)head.result_size + head.used_size ? 0 : at + head.result_size + head.used_size;
}

static int add_program(struct sha256 *hash)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char block[65536];
	ssize_t n = fd;

	while (n >= 0 && (n = fd_read(fd, block, sizeof(block))) > 0) {
		sha256_update(hash, block, (size_t)n);
	}
	return n < 0 ? -1 : 0;
}

static int make_title(const char *inputs, char out[], struct err *err)
{
	struct sha256 *hash = sha256_new();
	char digest[SHA256_HEX];
	int bad = add_program(hash);

	sha256_update(hash, inputs, strlen(inputs));
	sha256_final(hash, digest);
	sha256_free(hash);
	sprintf(out, "%s%s\n", TITLE, digest);
	return bad ? err_set(err, ERR_INTERNAL, "cannot read /proc/self/exe: %s", strerror(errno)) : 0;
}

/* Keeps whole pieces of the same inputs; the file ends with the last of them. */
static int take(struct kept *kept, const char *title)
{
	char found[HEAD];
	struct stat st;
	size_t end = 0, next;

	if (fstat(kept->fd, &st) < 0) {
		return -1;
	}
	if (fd_read(kept->fd, found, HEAD) == (ssize_t)HEAD && memcmp(found, title, HEAD) == 0 &&
	    st.st_size < SIZE_MAX_KEPT) {
		kept->data = xcalloc(1, (size_t)st.st_size);
		ssize_t n = fd_read(kept->fd, kept->data, (size_t)st.st_size - HEAD);
		kept->size = n < 0 ? 0 : (size_t)n;
		while ((next = next_of(kept, end)) > 0) {
			kept->pieces++;
			end = next;
		}
		kept->size = end;
	} else if (ftruncate(kept->fd, 0) < 0 || lseek(kept->fd, 0, SEEK_SET) < 0 ||
		   fd_write(kept->fd, title, HEAD) < 0) {
		return -1;
	}
	return ftruncate(kept->fd, (off_t)(HEAD + end)) < 0 || lseek(kept->fd, 0, SEEK_END) < 0 ? -1 : 0;
}

int kept_open(struct kept **out, const char *folder, const char *inputs, struct err *err)
{
	struct kept *kept = xcalloc(1, sizeof(*kept));
	char title[HEAD + 1];

	kept->path = xasprintf("%s/" KEPT_FILE, folder);
	kept->fd = open(kept->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (kept->fd >= 0 && flock(kept->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		err_set(err, ERR_CONFLICT, "another tenure-sim works in %s; let it end, or name another folder",
			folder);
		kept_close(kept, false);
		return -1;
	}
	if (kept->fd < 0 || make_title(inputs, title, err) < 0 || take(kept, title) < 0) {
		err_set(err, ERR_DENIED, "%s: %s", kept->path, strerror(errno));
		kept_close(kept, false);
		return -1;
	}
	*out = kept;
	return 0;
}

size_t kept_count(const struct kept *kept)
{
	return kept ? kept->pieces : 0;
}

uint32_t kept_part(struct kept *kept)
{
	return kept ? kept->parts++ : 0;
}

bool kept_find(const struct kept *kept, const struct kept_piece *piece, void *result, void *used)
{
	for (size_t at = 0; kept && at < kept->size; at = next_of(kept, at)) {
		struct head head = head_at(kept, at);
		const char *data = kept->data + at + sizeof(head);

		if (head.part == piece->part && head.item == piece->item && head.result_size == piece->result_size &&
		    head.used_size == piece->used_size) {
			memcpy(result, data, head.result_size);
			memcpy(used, data + head.result_size, head.used_size);
			return true;
		}
	}
	return false;
}

int kept_add(struct kept *kept, const struct kept_piece *piece, struct err *err)
{
	struct head head = {piece->part, piece->item, piece->result_size, piece->used_size};

	if (!kept) {
		return 0;
	}
	if (fd_write(kept->fd, &head, sizeof(head)) < 0 || fd_write(kept->fd, piece->result, head.result_size) < 0 ||
	    fd_write(kept->fd, piece->used, head.used_size) < 0) {
		return err_set(err, ERR_LIMIT, "%s: %s", kept->path, strerror(errno));
	}
	return 0;
}

void kept_close(struct kept *kept, bool done)
{
	if (!kept) {
		return;
	}
	if (done) {
		unlink(kept->path);
	}
	cleanup_close(&kept->fd);
	free(kept->data);
	free(kept->path);
	free(kept);
}
