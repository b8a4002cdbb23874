/*
 * One transfer: re-hashing what is there, libcurl, checks, and the final fsync in a thread of its own. How libcurl
 * meets the event loop is curl_loop.c's.
 */
#include "fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <utlist.h>

#include "curl_loop.h"
#include "sha256.h"
#include "util.h"

#define CHUNK (1u << 20) /* re-hashed per pass of the loop: about 2 ms */
#define REDIRECTS_MAX 3L

struct fetcher {
	struct event_base *base;
	char *ca_file; /* "" = the system's */
	struct curl_loop *loop;
	struct fetch *fetches;
};

struct fetch {
	struct fetcher *fetcher;
	struct fetch_order order; /* strings are ours */
	struct fetch_ops ops;
	void *arg;
	char digest[SHA256_HEX]; /* "" = not stated yet, and neither is the size */
	int64_t size;
	struct curl_slist *headers;
	int fd;
	struct sha256 *hash;
	int64_t bytes;      /* hashed and in the file */
	bool resumed;       /* some of them are an earlier attempt's */
	bool answered;      /* the first bytes of the body have been judged */
	bool bare_loopback; /* the URL itself led to this machine, so redirects may */
	bool opened;        /* a connection of the first hop */
	bool failed;        /* verdict and text are set, libcurl's result counts no more */
	enum fetch_verdict verdict;
	char text[256];
	CURL *easy;
	char curl_text[CURL_ERROR_SIZE];
	struct event *step; /* next chunk to re-hash */
	struct event *finished;
	int finished_fd;
	pthread_t thread;
	bool finishing;
	int finish_errno;
	struct fetch *prev, *next;
};

/* ---- ends ---- */

static void fetch_free(struct fetch *fetch)
{
	DL_DELETE(fetch->fetcher->fetches, fetch);
	if (fetch->finishing) {
		pthread_join(fetch->thread, NULL);
	}
	if (fetch->easy) {
		curl_loop_remove(fetch->fetcher->loop, fetch->easy);
		curl_easy_cleanup(fetch->easy);
	}
	if (fetch->step) {
		event_free(fetch->step);
	}
	if (fetch->finished) {
		event_free(fetch->finished);
	}
	curl_slist_free_all(fetch->headers);
	cleanup_close(&fetch->finished_fd);
	cleanup_close(&fetch->fd);
	sha256_free(fetch->hash);
	free((char *)fetch->order.url);
	free((char *)fetch->order.bearer);
	free((char *)fetch->order.part_path);
	free((char *)fetch->order.path);
	free(fetch);
}

static void end(struct fetch *fetch, enum fetch_verdict verdict, const char *text)
{
	if (verdict == FETCH_AGAIN || verdict == FETCH_WRONG) {
		unlink(fetch->order.part_path);
	}
	fetch->ops.ended(fetch, verdict, text, fetch->arg);
	fetch_free(fetch);
}

/* Sets the verdict from inside libcurl's callbacks, where nothing may be freed. Returns 0, which stops the transfer. */
static size_t __attribute__((format(printf, 3, 4)))
stop(struct fetch *fetch, enum fetch_verdict verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fetch->text, sizeof(fetch->text), format, args);
	va_end(args);
	fetch->failed = true;
	fetch->verdict = verdict;
	return 0;
}

/* ---- finishing ---- */

static int sync_folder(const char *path)
{
	_cleanup_free_ char *dir = xstrdup(path);
	_cleanup_close_ int fd = -1;

	*strrchr(dir, '/') = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

/* Gigabytes may be waiting to be written: not on the loop. */
static void *finish_thread(void *arg)
{
	struct fetch *fetch = arg;
	uint64_t one = 1;

	if (fsync(fetch->fd) < 0 || rename(fetch->order.part_path, fetch->order.path) < 0 ||
	    sync_folder(fetch->order.path) < 0) {
		fetch->finish_errno = errno;
	}
	while (write(fetch->finished_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
	}
	return NULL;
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *fetch = arg;

	(void)fd;
	(void)what;
	pthread_join(fetch->thread, NULL);
	fetch->finishing = false;
	if (fetch->finish_errno) {
		stop(fetch, FETCH_RETRY, "cannot write %s: %s", fetch->order.path, strerror(fetch->finish_errno));
		end(fetch, FETCH_RETRY, fetch->text);
	} else {
		end(fetch, FETCH_DONE, "");
	}
}

static void finish(struct fetch *fetch)
{
	char digest[SHA256_HEX];
	int rc;

	sha256_final(fetch->hash, digest);
	if (strcmp(digest, fetch->digest) != 0) {
		stop(fetch, fetch->resumed ? FETCH_AGAIN : FETCH_WRONG, "its sha256 is %s", digest);
		end(fetch, fetch->verdict, fetch->text);
		return;
	}
	fetch->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fetch->finished = event_new(fetch->fetcher->base, fetch->finished_fd, EV_READ, on_finished, fetch);
	event_add(fetch->finished, NULL);
	rc = pthread_create(&fetch->thread, NULL, finish_thread, fetch);
	if (rc != 0) {
		stop(fetch, FETCH_RETRY, "cannot start a thread: %s", strerror(rc));
		end(fetch, FETCH_RETRY, fetch->text);
		return;
	}
	fetch->finishing = true;
}

/* ---- what comes ---- */

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	}
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool is_local_only(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		uint32_t ip = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

		return ip >> 16 == 0xa9fe || ip == 0 || ip >> 28 == 0xe;
	}
	const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;

	return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_UNSPECIFIED(ip) || IN6_IS_ADDR_MULTICAST(ip) ||
	       IN6_IS_ADDR_V4MAPPED(ip);
}

/*
 * Called after name resolution for each hop, so that no name and no redirect leads to a service that trusts its
 * neighbours: link-local addresses (cloud metadata) never, this machine only if the URL itself names it.
 */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *fetch = arg;

	(void)purpose;
	if (address->family != AF_INET && address->family != AF_INET6) {
		return CURL_SOCKET_BAD;
	}
	if (!fetch->opened) {
		fetch->bare_loopback = is_loopback(&address->addr);
		fetch->opened = true;
	}
	if (is_local_only(&address->addr) || (is_loopback(&address->addr) && !fetch->bare_loopback)) {
		stop(fetch, FETCH_REFUSED, "it leads to an address that images are not fetched from");
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int rewind_file(struct fetch *fetch)
{
	char unused[SHA256_HEX];

	sha256_final(fetch->hash, unused);
	fetch->bytes = 0;
	fetch->resumed = false;
	return ftruncate(fetch->fd, 0) < 0 || lseek(fetch->fd, 0, SEEK_SET) < 0 ? -1 : 0;
}

/* Takes over what the answer says it is of, unless that was stated before. False if it does not say so. */
static bool learn(struct fetch *fetch, int64_t size)
{
	struct curl_header *etag = NULL;
	char digest[SHA256_HEX] = "";

	if (*fetch->digest) {
		return true;
	}
	if (curl_easy_header(fetch->easy, "ETag", 0, CURLH_HEADER, -1, &etag) != CURLHE_OK ||
	    sscanf(etag->value, "\"%64[0-9a-f]\"", digest) != 1 || !digest_valid(digest) || size <= 0 ||
	    size > fetch->order.size) {
		return false;
	}
	memcpy(fetch->digest, digest, sizeof(digest));
	fetch->size = size;
	return true;
}

/* "bytes 100-199/200" must begin where we are, and name the size that was stated, or none. */
static bool range_fits(struct fetch *fetch, const char *value)
{
	int64_t from, to, total;

	if (sscanf(value, "bytes %" SCNd64 "-%" SCNd64 "/%" SCNd64, &from, &to, &total) == 3) {
		return from == fetch->bytes && learn(fetch, total) && total == fetch->size;
	}
	if (!*fetch->digest) {
		return false;
	}
	return sscanf(value, "bytes %" SCNd64 "-%" SCNd64 "/*", &from, &to) == 2 && from == fetch->bytes;
}

/* Judges the answer when its first bytes arrive. */
static bool judge(struct fetch *fetch)
{
	struct curl_header *range = NULL;
	curl_off_t length = -1;
	long status = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (status == 206 && fetch->bytes > 0) {
		if (curl_easy_header(fetch->easy, "Content-Range", 0, CURLH_HEADER, -1, &range) != CURLHE_OK ||
		    !range_fits(fetch, range->value)) {
			return stop(fetch, FETCH_AGAIN, "the server sent another part than asked for");
		}
		return true;
	}
	if (status != 200) {
		return stop(fetch, FETCH_REFUSED, "the server answered with status %ld", status);
	}
	if (fetch->bytes > 0 && rewind_file(fetch) < 0) {
		return stop(fetch, FETCH_RETRY, "cannot write %s: %s", fetch->order.part_path, strerror(errno));
	}
	if (!learn(fetch, (int64_t)length)) {
		return stop(fetch, FETCH_REFUSED,
			    "the server does not say what it has, or has more than %" PRId64 " bytes",
			    fetch->order.size);
	}
	if (length >= 0 && length != fetch->size) {
		return stop(fetch, FETCH_WRONG, "the server has %" PRId64 " bytes, stated are %" PRId64,
			    (int64_t)length, fetch->size);
	}
	return true;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * n, done = 0;

	if (!fetch->answered && !judge(fetch)) {
		return 0;
	}
	fetch->answered = true;
	if ((int64_t)len > fetch->size - fetch->bytes) {
		return stop(fetch, FETCH_WRONG, "the server sends more than the stated %" PRId64 " bytes", fetch->size);
	}
	while (done < len) {
		ssize_t written = write(fetch->fd, data + done, len - done);

		if (written < 0 && errno == EINTR) {
			continue;
		}
		if (written < 0) {
			return stop(fetch, FETCH_RETRY, "cannot write %s: %s", fetch->order.part_path, strerror(errno));
		}
		sha256_update(fetch->hash, data + done, (size_t)written);
		fetch->bytes += written;
		done += (size_t)written;
	}
	fetch->ops.moved(fetch, fetch->arg);
	return len;
}

static void refuse_by_status(struct fetch *fetch, long status)
{
	enum fetch_verdict verdict = FETCH_RETRY;

	if (status == 416) {
		verdict = FETCH_AGAIN;
	} else if (status >= 400 && status < 500 && status != 408 && status != 429) {
		verdict = FETCH_REFUSED;
	}
	stop(fetch, verdict, "the server answered with status %ld", status);
}

/* From the loop, outside libcurl: the transfer is over, well or badly. */
static void on_transferred(CURL *easy, CURLcode result, void *arg)
{
	struct fetch *fetch = arg;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (fetch->failed) {
		end(fetch, fetch->verdict, fetch->text);
		return;
	}
	switch (result) {
	case CURLE_OK:
		if (fetch->bytes == fetch->size) {
			finish(fetch);
			return;
		}
		stop(fetch, FETCH_REFUSED, "the server sent %" PRId64 " bytes, stated are %" PRId64, fetch->bytes,
		     fetch->size);
		break;
	case CURLE_HTTP_RETURNED_ERROR:
		refuse_by_status(fetch, status);
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_TOO_MANY_REDIRECTS:
	case CURLE_PEER_FAILED_VERIFICATION:
		stop(fetch, FETCH_REFUSED, "%s", *fetch->curl_text ? fetch->curl_text : curl_easy_strerror(result));
		break;
	default:
		stop(fetch, FETCH_RETRY, "%s", *fetch->curl_text ? fetch->curl_text : curl_easy_strerror(result));
		break;
	}
	end(fetch, fetch->verdict, fetch->text);
}

/* ---- begins ---- */

static void set_options(struct fetch *fetch, CURL *easy)
{
	const struct fetch_order *order = &fetch->order;
	bool tls = strncasecmp(order->url, "https:", 6) == 0;

	curl_easy_setopt(easy, CURLOPT_URL, order->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* What began under TLS stays under TLS. */
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, order->bearer ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (order->bearer) {
		_cleanup_free_ char *line = xasprintf("Authorization: Bearer %s", order->bearer);

		fetch->headers = curl_slist_append(NULL, line);
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
	}
	if (*fetch->fetcher->ca_file) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, fetch->fetcher->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A proxy from the environment would see and resolve what the checks on addresses are for. */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "tenure-agent/" TENURE_VERSION);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(order->connect_timeout_us / USEC_PER_MSEC));
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
			 (long)((order->stall_timeout_us + USEC_PER_SEC - 1) / USEC_PER_SEC));
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)order->stall_rate);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fetch);
	/* A connection from an earlier transfer would not pass on_open(). */
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->curl_text);
}

static void transfer(struct fetch *fetch)
{
	char range[32];

	fetch->easy = curl_easy_init();
	if (!fetch->easy) {
		end(fetch, FETCH_RETRY, "libcurl cannot make a transfer");
		return;
	}
	set_options(fetch, fetch->easy);
	if (fetch->bytes > 0) {
		snprintf(range, sizeof(range), "%" PRId64 "-", fetch->bytes);
		curl_easy_setopt(fetch->easy, CURLOPT_RANGE, range);
	}
	if (curl_loop_add(fetch->fetcher->loop, fetch->easy, on_transferred, fetch) < 0) {
		curl_easy_cleanup(steal(&fetch->easy));
		end(fetch, FETCH_RETRY, "libcurl cannot begin a transfer");
	}
}

/* Once per pass of the loop: the next chunk of what an earlier attempt left, then the transfer. */
static void on_step(evutil_socket_t fd, short what, void *arg)
{
	static char chunk[CHUNK];
	static const struct timeval at_once = {0};
	struct fetch *fetch = arg;
	ssize_t n = read(fetch->fd, chunk, sizeof(chunk));

	(void)fd;
	(void)what;
	if (n < 0) {
		stop(fetch, FETCH_AGAIN, "cannot read %s: %s", fetch->order.part_path, strerror(errno));
		end(fetch, FETCH_AGAIN, fetch->text);
		return;
	}
	if (n > 0) {
		sha256_update(fetch->hash, chunk, (size_t)n);
		fetch->bytes += n;
		fetch->resumed = true;
		event_add(fetch->step, &at_once);
		return;
	}
	if (fetch->bytes == fetch->size && fetch->bytes > 0) {
		finish(fetch);
	} else {
		transfer(fetch);
	}
}

static int open_part(struct fetch *fetch)
{
	struct stat st;

	/* Images are read by QEMU's user; what a secret is needed for is nobody else's to read. */
	mode_t mode = fetch->order.bearer ? 0600 : 0644;

	fetch->fd = open(fetch->order.part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fetch->fd < 0 || fstat(fetch->fd, &st) < 0) {
		return -1;
	}
	return st.st_size > fetch->order.size ? ftruncate(fetch->fd, 0) : 0;
}

static void on_open_failed(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *fetch = arg;

	(void)fd;
	(void)what;
	end(fetch, FETCH_RETRY, fetch->text);
}

struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_order *order, const struct fetch_ops *ops,
			  void *arg)
{
	static const struct timeval at_once = {0};
	struct fetch *fetch = xcalloc(1, sizeof(*fetch));
	bool opened;

	fetch->fetcher = fetcher;
	fetch->order = *order;
	fetch->order.url = xstrdup(order->url);
	fetch->order.bearer = order->bearer ? xstrdup(order->bearer) : NULL;
	fetch->size = order->digest ? order->size : -1;
	snprintf(fetch->digest, sizeof(fetch->digest), "%s", order->digest ? order->digest : "");
	fetch->order.digest = NULL; /* the caller's */
	fetch->order.part_path = xstrdup(order->part_path);
	fetch->order.path = xstrdup(order->path);
	fetch->ops = *ops;
	fetch->arg = arg;
	fetch->finished_fd = -1;
	fetch->hash = sha256_new();
	DL_APPEND(fetcher->fetches, fetch);
	opened = open_part(fetch) == 0;
	if (!opened) {
		stop(fetch, FETCH_RETRY, "cannot write %s: %s", fetch->order.part_path, strerror(errno));
	}
	fetch->step = evtimer_new(fetcher->base, opened ? on_step : on_open_failed, fetch);
	event_add(fetch->step, &at_once);
	return fetch;
}

void fetch_abort(struct fetch *fetch)
{
	fetch_free(fetch);
}

bool fetch_finishing(const struct fetch *fetch)
{
	return fetch->finishing;
}

int64_t fetch_bytes(const struct fetch *fetch)
{
	return fetch->bytes;
}

struct fetcher *fetcher_new(struct event_base *base, const char *ca_file, struct err *err)
{
	struct fetcher *fetcher = xcalloc(1, sizeof(*fetcher));

	fetcher->base = base;
	fetcher->loop = curl_loop_new(base, err);
	if (!fetcher->loop) {
		free(fetcher);
		return NULL;
	}
	fetcher->ca_file = xstrdup(ca_file);
	return fetcher;
}

void fetcher_free(struct fetcher *fetcher)
{
	struct fetch *fetch, *next;

	if (!fetcher) {
		return;
	}
	DL_FOREACH_SAFE (fetcher->fetches, fetch, next) {
		fetch_free(fetch);
	}
	curl_loop_free(fetcher->loop);
	free(fetcher->ca_file);
	free(fetcher);
}
