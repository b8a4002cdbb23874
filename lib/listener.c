/*
 * Listening on unix sockets and TCP: who may connect by address, and how many. Connections themselves are conn.c's.
 */
#include <errno.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "address.h"
#include "conn.h"
#include "conn_internal.h"
#include "util.h"

#define BACKLOG 1024           /* the kernel cuts it to somaxconn */
#define ACCEPT_RETRY_US 100000 /* out of descriptors: wait for some to come free instead of spinning */

struct listener {
	struct evconnlistener *ev; /* NULL: freed by its owner, waiting for its connections to end */
	struct event *retry;
	struct address address;
	char *plaintext;
	unsigned conns;
	unsigned max_conns;
	void (*accepted)(struct conn *conn, void *arg);
	void *arg;
};

static void release(struct listener *listener)
{
	if (!listener->ev && !listener->conns) {
		free(listener->plaintext);
		free(listener);
	}
}

static void on_gone(void *arg)
{
	struct listener *listener = arg;

	listener->conns--;
	release(listener);
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct listener *listener = arg;

	(void)ev;
	(void)len;
	if (listener->conns >= listener->max_conns || !address_plaintext_ok(sa, listener->plaintext)) {
		close(fd);
		return;
	}
	listener->conns++;
	conn_adopt(evconnlistener_get_base(listener->ev), fd, sa, on_gone, listener, listener->accepted, listener->arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(listener->ev);
}

static void on_error(struct evconnlistener *ev, void *arg)
{
	struct listener *listener = arg;
	struct timeval tv = {.tv_usec = ACCEPT_RETRY_US};

	evconnlistener_disable(ev);
	evtimer_add(listener->retry, &tv);
}

/* Removes the socket a dead process left behind; a living one is a conflict. */
static int clear_socket(const struct address *address, struct err *err)
{
	const char *path = ((const struct sockaddr_un *)&address->sa)->sun_path;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(path, &st)) {
		return errno == ENOENT ? 0 : err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode)) {
		return err_set(err, ERR_CONFLICT, "%s is in the way and not a socket, move it", path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return err_set(err, ERR_INTERNAL, "socket: %s", strerror(errno));
	}
	if (connect(fd, (const struct sockaddr *)&address->sa, address->len) == 0 || errno != ECONNREFUSED) {
		return err_set(err, ERR_CONFLICT, "another process listens on %s", path);
	}
	if (unlink(path)) {
		return err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
	}
	return 0;
}

/* Before listen(), when nobody can connect yet: at no moment is the socket open to more than mode says. */
static int start_listening(int fd, const struct sockaddr *sa, mode_t mode)
{
	const char *path = sa->sa_family == AF_UNIX ? ((const struct sockaddr_un *)sa)->sun_path : NULL;

	if ((path && chmod(path, mode)) || listen(fd, BACKLOG)) {
		int saved = errno;

		if (path) {
			unlink(path);
		}
		errno = saved;
		return -1;
	}
	return 0;
}

/* A listening socket, or -1. */
static int open_socket(const struct address *address, const char *text, mode_t mode, struct err *err)
{
	const struct sockaddr *sa = (const struct sockaddr *)&address->sa;
	_cleanup_close_ int fd = -1;
	int on = 1;
	int out;

	if (sa->sa_family == AF_UNIX && clear_socket(address, err)) {
		return -1;
	}
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return err_set(err, ERR_INTERNAL, "socket: %s", strerror(errno));
	}
	if (sa->sa_family != AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	}
	if (sa->sa_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	if (bind(fd, sa, address->len) || start_listening(fd, sa, mode)) {
		return address_cannot_listen(text, errno, err);
	}
	/* steal() would leave 0, which is a descriptor. */
	out = fd;
	fd = -1;
	return out;
}

struct listener *listener_new(struct event_base *base, const char *address, const char *plaintext, mode_t mode,
			      unsigned max_conns, void (*accepted)(struct conn *conn, void *arg), void *arg,
			      struct err *err)
{
	struct listener *listener;
	struct address at;
	int fd;

	if (address_parse(address, &at, err) || address_plaintext_check(&at, plaintext, err)) {
		return NULL;
	}
	fd = open_socket(&at, address, mode, err);
	if (fd < 0) {
		return NULL;
	}
	listener = xcalloc(1, sizeof(*listener));
	listener->address = at;
	listener->plaintext = xstrdup(plaintext);
	listener->max_conns = max_conns;
	listener->accepted = accepted;
	listener->arg = arg;
	listener->retry = evtimer_new(base, on_retry, listener);
	listener->ev =
		evconnlistener_new(base, on_accept, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	evconnlistener_set_error_cb(listener->ev, on_error);
	return listener;
}

void listener_free(struct listener *listener)
{
	if (!listener) {
		return;
	}
	if (listener->address.sa.ss_family == AF_UNIX) {
		unlink(((struct sockaddr_un *)&listener->address.sa)->sun_path);
	}
	event_free(listener->retry);
	evconnlistener_free(steal(&listener->ev));
	release(listener);
}

unsigned listener_port(const struct listener *listener)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(evconnlistener_get_fd(listener->ev), (struct sockaddr *)&sa, &len)) {
		return 0;
	}
	return sa.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&sa)->sin_port)
	       : sa.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&sa)->sin6_port)
					  : 0;
}
