/* Allocation that stops the program, strict parsing of small values, whole files. Nothing that knows about leases. */
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

#define NAME_MAX_LEN 63 /* a DNS label, as node names often become host names */

static void *alive(void *p)
{
	if (!p) {
		log_error("out of memory");
		abort();
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	/* calloc(0) may return NULL, which is no failure. */
	return alive(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
	return alive(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return alive(strdup(s));
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *out = NULL;
	int n;

	va_start(args, format);
	n = vasprintf(&out, format, args);
	va_end(args);
	return alive(n < 0 ? NULL : out);
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	const char *digits = s[0] == '-' ? s + 1 : s;
	intmax_t value;
	char *end;

	/* strtoimax() would take spaces and a plus. */
	if (!isdigit((unsigned char)digits[0])) {
		return -1;
	}
	errno = 0;
	value = strtoimax(s, &end, 10);
	if (errno != 0 || *end != '\0' || value < min || value > max) {
		return -1;
	}
	*out = value;
	return 0;
}

/* Not isalnum(): names must not depend on the locale. */
static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == '-';
}

bool name_valid(const char *name)
{
	size_t len = strnlen(name, NAME_MAX_LEN + 1);

	if (len == 0 || len > NAME_MAX_LEN || name[0] == '.' || name[0] == '_' || name[0] == '-') {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (!is_name_char(name[i])) {
			return false;
		}
	}
	return true;
}

bool digest_valid(const char *digest)
{
	return strspn(digest, "0123456789abcdef") == 64 && digest[64] == '\0';
}

void hex_encode(const void *data, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = data;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static int set_errno(struct err *err, const char *verb, const char *path)
{
	enum err_code code = errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_DENIED : ERR_INTERNAL;

	return err_set(err, code, "cannot %s %s: %s", verb, path, strerror(errno));
}

ssize_t fd_read(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -1;
		}
		if (n == 0) {
			break;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}

char *file_read(const char *path, size_t max, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO by mistake must not hang. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *data = NULL;
	ssize_t n;

	if (fd < 0) {
		set_errno(err, "read", path);
		return NULL;
	}
	/* Room for max and not for st_size: the file may grow while we read. Pages not touched cost nothing. */
	data = xrealloc(NULL, max + 2, 1);
	n = fd_read(fd, data, max + 1);
	if (n < 0) {
		set_errno(err, "read", path);
		return NULL;
	}
	if ((size_t)n > max) {
		err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", path, max);
		return NULL;
	}
	data[n] = '\0';
	return xrealloc(steal(&data), (size_t)n + 1, 1);
}

int fd_write(int fd, const void *data, size_t len)
{
	const char *rest = data;

	while (len > 0) {
		ssize_t n = write(fd, rest, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -1;
		}
		rest += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A rename is on disk only when its folder is. */
static int sync_folder_of(const char *path)
{
	_cleanup_free_ char *folder = xstrdup(path);
	_cleanup_close_ int fd = -1;
	char *slash = strrchr(folder, '/');

	if (slash) {
		slash[slash == folder ? 1 : 0] = '\0';
	}
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

static int write_new(const char *path, const void *data, size_t len, unsigned mode)
{
	_cleanup_close_ int fd = -1;

	/* A left-over from a crash, perhaps with another mode or owner, or a link someone put there. */
	if (unlink(path) < 0 && errno != ENOENT) {
		return -1;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, mode) < 0 || fd_write(fd, data, len) < 0) {
		return -1;
	}
	return fsync(fd);
}

int file_replace(const char *path, const void *data, size_t len, unsigned mode, struct err *err)
{
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", path);

	if (write_new(tmp, data, len, mode) < 0 || rename(tmp, path) < 0 || sync_folder_of(path) < 0) {
		set_errno(err, "write", path);
		unlink(tmp);
		return -1;
	}
	return 0;
}

static int make_one(const char *path, unsigned mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		return 0;
	}
	if (errno == EACCES) {
		return err_set(err, ERR_DENIED,
			       "cannot make folder %s: %s; let root make it for user %ju, or name another", path,
			       strerror(errno), (uintmax_t)geteuid());
	}
	if (errno != EEXIST) {
		return set_errno(err, "make folder", path);
	}
	if (stat(path, &st) < 0) {
		return set_errno(err, "make folder", path);
	}
	if (!S_ISDIR(st.st_mode)) {
		return err_set(err, ERR_CONFLICT, "cannot make folder %s: a file of that name is there", path);
	}
	return 0;
}

int dir_make(const char *path, unsigned mode, struct err *err)
{
	_cleanup_free_ char *part = xstrdup(path);

	for (char *p = part + 1; part[0] && *p; p++) {
		if (*p == '/') {
			*p = '\0';
			if (make_one(part, mode, err) < 0) {
				return -1;
			}
			*p = '/';
		}
	}
	return make_one(part, mode, err);
}

void program_begin(void)
{
	static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};

	for (int fd = 0; fd < (int)ARRAY_SIZE(modes); fd++) {
		/* The lowest that is free, and the wrong way round: reading or writing still fails. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) {
			abort();
		}
	}
}

void signal_hold(int number, int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(how, &set, NULL);
}

int output_end(const char *program, int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout)) {
		return status;
	}
	if (errno != EPIPE) {
		fprintf(stderr, "%s: cannot write standard output: %s\n", program,
			errno ? strerror(errno) : "something was lost");
	}
	return status ? status : 1;
}
