/*
 * Connection to libvirt with back-off and keepalive, libvirt's event loop, choice between KVM and emulation. Carries
 * out no operation on a guest.
 */
#include "virt.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "clock.h"
#include "thread.h"
#include "util.h"

/*
 * A libvirtd that stands still is noticed after KEEPALIVE_S * (KEEPALIVE_COUNT + 1) seconds: a node must be seen
 * degraded within five.
 */
#define KEEPALIVE_S 1
#define KEEPALIVE_COUNT 3
#define BACKOFF_MIN_US (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_US (3 * USEC_PER_SEC)

struct virt {
	char *uri;
	char *domain_type;
	const struct virt_ops *ops;
	void *arg;
	atomic_int refs;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;  /* on CLOCK_MONOTONIC */
	virConnectPtr conn;   /* NULL while not connected */
	virConnectPtr slow;   /* NULL just then too */
	uint64_t serial;
	bool closing;
	bool lost;
	char why[256];
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ok;

static void quiet(void *arg, virErrorPtr error)
{
	(void)arg;
	(void)error; /* libvirt would print it; virt_error() hands it up instead */
}

static void *event_thread(void *arg)
{
	(void)arg;
	while (virEventRunDefaultImpl() == 0) {
	}
	return NULL;
}

/* libvirt's event loop is one per process and is never taken down. */
static void library_init(void)
{
	virSetErrorFunc(NULL, quiet);
	library_ok = virInitialize() == 0 && virEventRegisterDefaultImpl() == 0 &&
		     thread_start(event_thread, NULL, NULL) == 0;
}

int virt_error(struct err *err, const char *what)
{
	virErrorPtr error = virGetLastError();
	enum err_code code = ERR_INTERNAL;

	switch (error ? error->code : VIR_ERR_OK) {
	case VIR_ERR_NO_DOMAIN:
		code = ERR_NOT_FOUND;
		break;
	case VIR_ERR_OPERATION_INVALID:
	case VIR_ERR_DOM_EXIST:
		code = ERR_CONFLICT;
		break;
	case VIR_ERR_OPERATION_TIMEOUT:
		code = ERR_TIMEOUT;
		break;
	case VIR_ERR_NO_CONNECT:
	case VIR_ERR_INVALID_CONN:
	case VIR_ERR_AUTH_FAILED:
		code = ERR_UNAVAILABLE;
		break;
	default:
		/* The way to libvirtd failed, whatever the number: a lost socket is an "internal error". */
		if (error && (error->domain == VIR_FROM_RPC || error->domain == VIR_FROM_REMOTE)) {
			code = ERR_UNAVAILABLE;
		}
		break;
	}
	return err_set(err, code, "%s: %s", what, error && error->message ? error->message : "libvirt gave no reason");
}

/* ---- KVM or emulation ---- */

/* Does the kernel give us a virtual machine? A present /dev/kvm alone does not say so. */
static bool kvm_works(bool *root_only)
{
	_cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int vm = -1;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return false;
	}
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	*root_only = (st.st_mode & 0060) != 0060 && (st.st_mode & 0006) != 0006;
	return vm >= 0;
}

static bool type_offered(virConnectPtr conn, const char *type)
{
	_cleanup_free_ char *xml = virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, type, 0);

	return xml != NULL;
}

/*
 * "auto" does not take a /dev/kvm that only root may open: QEMU would have to run as root, and a guest that breaks out
 * of it would be root on the node. Who accepts that says "kvm".
 */
static int choose_type(virConnectPtr conn, const char *domain_type, struct virt_info *info, struct err *err)
{
	bool root_only = false;
	bool works;

	*info = (struct virt_info){0};
	if (strcmp(domain_type, "qemu") == 0) {
		return 0;
	}
	works = kvm_works(&root_only) && type_offered(conn, "kvm");
	if (strcmp(domain_type, "kvm") == 0) {
		if (!works) {
			return err_set(err, ERR_UNAVAILABLE,
				       "domain_type is kvm, but KVM does not work here; use auto or qemu");
		}
		info->kvm = true;
		info->kvm_as_root = root_only;
		return 0;
	}
	info->kvm = works && !root_only;
	return 0;
}

static int read_info(virConnectPtr conn, const char *domain_type, struct virt_info *info, struct err *err)
{
	unsigned long lib = 0, hv = 0;

	if (virConnectGetLibVersion(conn, &lib) < 0 || virConnectGetVersion(conn, &hv) < 0) {
		return virt_error(err, "libvirt's version");
	}
	/* libvirt finds out once what QEMU can do, which may take a minute: here, not when a guest is due. */
	if (!type_offered(conn, "qemu")) {
		return virt_error(err, "libvirt offers no QEMU");
	}
	if (choose_type(conn, domain_type, info, err) < 0) {
		return -1;
	}
	snprintf(info->text, sizeof(info->text), "%s, libvirt %lu.%lu.%lu, %s %lu.%lu.%lu",
		 info->kvm ? "kvm" : "qemu (emulation)", lib / 1000000, lib / 1000 % 1000, lib % 1000,
		 virConnectGetType(conn), hv / 1000000, hv / 1000 % 1000, hv % 1000);
	return 0;
}

/* ---- the connection ---- */

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *arg)
{
	struct virt *virt = arg;

	(void)conn;
	virt->ops->lifecycle(virDomainGetName(dom), event, detail, clock_wall(), virt->arg);
	return 0;
}

static void on_close(virConnectPtr conn, int reason, void *arg)
{
	struct virt *virt = arg;

	pthread_mutex_lock(&virt->lock);
	if (virt->conn == conn && !virt->lost) {
		virt->lost = true;
		snprintf(virt->why, sizeof(virt->why), "%s",
			 reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE ? "libvirt does not answer"
								      : "libvirt closed the connection");
		pthread_cond_broadcast(&virt->cond);
	}
	pthread_mutex_unlock(&virt->lock);
}

static void release_ref(void *arg)
{
	virt_unref(arg);
}

/* Registers for events; callback gets its id. On failure nothing stays registered. */
static int conn_setup(struct virt *virt, virConnectPtr conn, struct virt_info *info, int *callback, struct err *err)
{
	if (read_info(conn, virt->domain_type, info, err) < 0) {
		return -1;
	}
	if (virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) < 0) {
		return virt_error(err, "watching the connection");
	}
	if (virConnectRegisterCloseCallback(conn, on_close, virt_ref(virt), release_ref) < 0) {
		virt_unref(virt); /* libvirt releases what it took only */
		return virt_error(err, "watching the connection");
	}
	*callback =
		virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
						 VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), virt_ref(virt), release_ref);
	if (*callback < 0) {
		virt_unref(virt);
		virt_error(err, "registering for domain events");
		virConnectUnregisterCloseCallback(conn, on_close);
		return -1;
	}
	return 0;
}

static void conn_teardown(virConnectPtr conn, int callback)
{
	/* The registrations hold references of the connection: it would never end with them. */
	virConnectDomainEventDeregisterAny(conn, callback);
	virConnectUnregisterCloseCallback(conn, on_close);
	virConnectClose(conn);
}

static struct timespec mono_after(span_us span)
{
	mono_us until = clock_mono() + span;

	return (struct timespec){.tv_sec = until / USEC_PER_SEC, .tv_nsec = until % USEC_PER_SEC * 1000};
}

/* Makes conn the one in use, and waits until it is lost or no longer wanted. */
static void conn_use(struct virt *virt, virConnectPtr conn, virConnectPtr slow, const struct virt_info *info, char *why,
		     size_t size)
{
	pthread_mutex_lock(&virt->lock);
	virt->conn = conn;
	virt->slow = slow;
	virt->serial++;
	virt->lost = false;
	pthread_mutex_unlock(&virt->lock);
	virt->ops->up(info, virt->arg);
	pthread_mutex_lock(&virt->lock);
	while (!virt->lost && !virt->closing) {
		pthread_cond_wait(&virt->cond, &virt->lock);
	}
	virt->conn = NULL;
	virt->slow = NULL;
	snprintf(why, size, "%s", virt->why);
	pthread_mutex_unlock(&virt->lock);
}

static bool back_off(struct virt *virt, span_us span)
{
	struct timespec until = mono_after(span);
	bool closing;

	pthread_mutex_lock(&virt->lock);
	while (!virt->closing && pthread_cond_timedwait(&virt->cond, &virt->lock, &until) != ETIMEDOUT) {
	}
	closing = virt->closing;
	pthread_mutex_unlock(&virt->lock);
	return !closing;
}

/*
 * libvirtd reads nothing more from a connection that has five requests under way (max_client_requests): neither a start
 * nor a keepalive. So what may take long has a connection of its own, and no keepalive there: a save goes on while
 * libvirtd stands still, and comes to its end with it.
 */
static int conn_open(struct virt *virt, virConnectPtr *conn, virConnectPtr *slow, struct err *err)
{
	*conn = virConnectOpen(virt->uri);
	*slow = *conn ? virConnectOpen(virt->uri) : NULL;
	if (*slow) {
		return 0;
	}
	virt_error(err, virt->uri);
	if (*conn) {
		virConnectClose(*conn);
	}
	return -1;
}

/* The connections from their opening to their loss. Returns true if they came to be used. */
static bool conn_live(struct virt *virt)
{
	virConnectPtr conn, slow;
	struct virt_info info;
	struct err err = {0};
	char why[sizeof(virt->why)];
	int callback = -1;

	if (conn_open(virt, &conn, &slow, &err) < 0) {
		virt->ops->down(err.text, virt->arg);
		return false;
	}
	if (conn_setup(virt, conn, &info, &callback, &err) < 0) {
		virConnectClose(slow);
		virConnectClose(conn);
		virt->ops->down(err.text, virt->arg);
		return false;
	}
	conn_use(virt, conn, slow, &info, why, sizeof(why));
	virt->ops->down(why, virt->arg);
	virConnectClose(slow);
	conn_teardown(conn, callback);
	return true;
}

/*
 * virConnectOpen() on a libvirtd that stands still waits until it goes on. There is no need to give it up: the one
 * attempt then succeeds, and a second would wait just so.
 */
static void *conn_thread(void *arg)
{
	struct virt *virt = arg;
	span_us wait = BACKOFF_MIN_US;

	do {
		if (conn_live(virt)) {
			wait = BACKOFF_MIN_US;
		} else if (wait < BACKOFF_MAX_US) {
			wait = wait * 2 < BACKOFF_MAX_US ? wait * 2 : BACKOFF_MAX_US;
		}
	} while (back_off(virt, wait));
	virt_unref(virt);
	return NULL;
}

struct virt *virt_new(const char *uri, const char *domain_type, const struct virt_ops *ops, void *arg, struct err *err)
{
	struct virt *virt;
	pthread_condattr_t attr;

	pthread_once(&library_once, library_init);
	if (!library_ok) {
		err_set(err, ERR_INTERNAL, "libvirt's client library cannot be set up");
		return NULL;
	}
	virt = xcalloc(1, sizeof(*virt));
	virt->uri = xstrdup(uri);
	virt->domain_type = xstrdup(domain_type);
	virt->ops = ops;
	virt->arg = arg;
	virt->refs = 2; /* the caller's and the thread's */
	pthread_mutex_init(&virt->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&virt->cond, &attr);
	pthread_condattr_destroy(&attr);
	if (thread_start(conn_thread, virt, err) < 0) {
		free(virt->uri);
		free(virt->domain_type);
		free(virt);
		return NULL;
	}
	return virt;
}

struct virt *virt_ref(struct virt *virt)
{
	virt->refs++;
	return virt;
}

void virt_unref(struct virt *virt)
{
	if (!virt || --virt->refs > 0) {
		return;
	}
	virt->ops->release(virt->arg);
	pthread_cond_destroy(&virt->cond);
	pthread_mutex_destroy(&virt->lock);
	free(virt->uri);
	free(virt->domain_type);
	free(virt);
}

void virt_close(struct virt *virt)
{
	pthread_mutex_lock(&virt->lock);
	virt->closing = true;
	pthread_cond_broadcast(&virt->cond);
	pthread_mutex_unlock(&virt->lock);
}

virConnectPtr virt_conn(struct virt *virt, bool slow, uint64_t *serial, struct err *err)
{
	virConnectPtr conn = NULL;

	pthread_mutex_lock(&virt->lock);
	if (virt->conn && !virt->lost) {
		conn = slow ? virt->slow : virt->conn;
		virConnectRef(conn);
		*serial = virt->serial;
	}
	pthread_mutex_unlock(&virt->lock);
	if (!conn) {
		err_set(err, ERR_UNAVAILABLE, "no connection to libvirt at %s", virt->uri);
	}
	return conn;
}

void virt_lost(struct virt *virt, uint64_t serial, const char *why)
{
	pthread_mutex_lock(&virt->lock);
	if (virt->conn && virt->serial == serial && !virt->lost) {
		virt->lost = true;
		snprintf(virt->why, sizeof(virt->why), "%s", why);
		pthread_cond_broadcast(&virt->cond);
	}
	pthread_mutex_unlock(&virt->lock);
}
