/*
 * What is done for each operation on a guest: calls of libvirt, and the files of the guest's folder. Runs on worker
 * threads, and may block. Decides nothing about order or repetition; that is guest_queue.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "guest_op.h"
#include "guestxml.h"
#include "overlay.h"
#include "util.h"

/* Before its start a worker wakes up, finds the domain and touches it, so that one short call is left to be made. */
#define WARM_UP_US (100 * USEC_PER_MSEC)
/* No disk worth using is slower, so a save or restore that takes longer is stuck. */
#define SLOWEST_RATE INT64_C(4000000)
/* libvirt itself gives QEMU ten seconds and then some before it kills it. */
#define DESTROY_EXTRA_US (30 * USEC_PER_SEC)
/* libvirt opens a guest's files as QEMU's user, who may go through the folder but not read its names. */
#define FOLDER_MODE 0711

static void cleanup_domain(virDomainPtr *dom)
{
	if (*dom) {
		virDomainFree(*dom);
	}
}
#define _cleanup_domain_ _cleanup_(cleanup_domain)

static int sys_error(struct err *err, const char *path)
{
	return err_set(err, errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_INTERNAL, "%s: %s", path,
		       strerror(errno));
}

static bool exists(const struct op *op, const char *file)
{
	_cleanup_free_ char *path = op_path(op, file);

	return access(path, F_OK) == 0;
}

static int move(const struct op *op, const char *from, const char *to, struct err *err)
{
	_cleanup_free_ char *a = op_path(op, from);
	_cleanup_free_ char *b = op_path(op, to);

	return rename(a, b) < 0 ? sys_error(err, a) : 0;
}

static int discard(const struct op *op, const char *file, struct err *err)
{
	_cleanup_free_ char *path = op_path(op, file);

	return unlink(path) < 0 && errno != ENOENT ? sys_error(err, path) : 0;
}

static int sync_path(const char *path, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? sys_error(err, path) : 0;
}

static int done_already(struct op *op)
{
	op->already = true;
	op->reached_us = clock_wall();
	return 0;
}

/* ---- looking a domain up ---- */

/* 1: *dom and its state; 0: libvirt says there is none; -1: libvirt says nothing. */
static int find(struct op *op, virConnectPtr conn, virDomainPtr *dom, int *state, struct err *err)
{
	virDomainPtr found;
	struct err why = {0};
	int rc = 0;

	if (op_begin(op, "looking the domain up", op->env->call_deadline_us, err) < 0) {
		return -1;
	}
	found = virDomainLookupByUUIDString(conn, op->uuid);
	if (found) {
		rc = virDomainGetState(found, state, NULL, 0);
	}
	if (!found || rc < 0) {
		virt_error(&why, "looking the domain up");
	}
	op_end(op);
	if (!found || rc < 0) {
		cleanup_domain(&found);
		if (why.code == ERR_NOT_FOUND) {
			return 0;
		}
		*err = why;
		return -1;
	}
	*dom = found;
	return 1;
}

static bool is_running(int state)
{
	return state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
}

static int simple_call(struct op *op, virDomainPtr dom, int (*fn)(virDomainPtr), const char *name, span_us limit,
		       struct err *err)
{
	int rc;

	if (op_begin(op, name, limit, err) < 0) {
		return -1;
	}
	rc = fn(dom);
	if (rc < 0) {
		virt_error(err, name);
	}
	op_end(op);
	return rc < 0 ? -1 : 0;
}

/* ---- preparing ---- */

static int check_files(const struct op *op, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(op->files) && op->files[i]; i++) {
		if (access(op->files[i], R_OK) < 0) {
			return err_set(err, ERR_NOT_FOUND, "the image is not in the pool: %s: %s", op->files[i],
				       strerror(errno));
		}
	}
	return 0;
}

/*
 * Guests without slices share the CPUs by what they asked for, and take what others leave. Where libvirt has no CPU
 * cgroup to do that with they share evenly, which is no reason not to start one.
 */
static void set_shares(struct op *op, virDomainPtr dom)
{
	virTypedParameterPtr list = NULL;
	int n = 0, room = 0;

	if (virTypedParamsAddULLong(&list, &n, &room, VIR_DOMAIN_SCHEDULER_CPU_SHARES, op->shares) == 0 &&
	    op_begin(op, "setting its CPU shares", op->env->call_deadline_us, NULL) == 0) {
		virDomainSetSchedulerParametersFlags(dom, list, n, VIR_DOMAIN_AFFECT_LIVE);
		op_end(op);
	}
	virTypedParamsFree(list, n);
}

/*
 * The domain is transient: libvirt keeps nothing of it once it is gone, so nothing of ours is left behind whatever
 * happens to the agent, and "libvirt knows it" means "it is there". Without VIR_DOMAIN_START_AUTODESTROY: guests
 * outlive the agent's connection.
 */
static int create(struct op *op, virConnectPtr conn, struct err *err)
{
	virDomainPtr dom;

	if (op_begin(op, "creating the domain", op->env->call_deadline_us, err) < 0) {
		return -1;
	}
	dom = virDomainCreateXML(conn, op->xml, VIR_DOMAIN_START_PAUSED);
	if (!dom) {
		virt_error(err, "creating the domain");
	}
	op_end(op);
	if (!dom) {
		return -1;
	}
	set_shares(op, dom);
	virDomainFree(dom);
	op->reached_us = clock_wall();
	return 0;
}

static int prepare(struct op *op, virConnectPtr conn, struct err *err)
{
	_cleanup_free_ char *disk = op_path(op, GUEST_DISK);
	_cleanup_domain_ virDomainPtr dom = NULL;
	int state, rc = find(op, conn, &dom, &state, err);

	if (rc != 0) {
		return rc < 0 ? -1 : done_already(op);
	}
	if (exists(op, GUEST_SAVE) || exists(op, GUEST_PART) || exists(op, GUEST_SPENT)) {
		return err_set(err, ERR_CONFLICT, "it has run before and has saved memory: it is not booted anew");
	}
	if (check_files(op, err) < 0 || dir_make(op->dir, FOLDER_MODE, err) < 0) {
		return -1;
	}
	if (op->base && overlay_make(disk, op->base, op->format, op->disk, op->env->call_deadline_us, err) < 0) {
		return -1;
	}
	return create(op, conn, err);
}

/* ---- running ---- */

/* False if called off meanwhile. Follows the wall clock also when that is set. */
static bool wait_until(struct op *op, wall_us at_us)
{
	struct timespec until = {.tv_sec = at_us / USEC_PER_SEC, .tv_nsec = at_us % USEC_PER_SEC * 1000};
	bool called_off;

	pthread_mutex_lock(&op->lock);
	while (!op->called_off && clock_wall() < at_us) {
		pthread_cond_timedwait(&op->cond, &op->lock, &until);
	}
	called_off = op->called_off;
	pthread_mutex_unlock(&op->lock);
	return !called_off;
}

static int not_started(struct err *err)
{
	return err_set(err, ERR_CONFLICT, "its start was called off");
}

/*
 * A saved guest may be set running once only: its disk goes on from there. So the file loses its name before, not
 * after: a crash in between costs the guest, but never runs it twice from the same memory.
 */
static int resume_at(struct op *op, virDomainPtr dom, struct err *err)
{
	const char *file = exists(op, GUEST_SAVE) ? GUEST_SAVE : GUEST_CAME_MEMORY;
	bool restored = exists(op, file);

	if (restored && move(op, file, GUEST_SPENT, err) < 0) {
		return -1;
	}
	if (!wait_until(op, op->at_us)) {
		if (restored && move(op, GUEST_SPENT, file, err) < 0) {
			return -1;
		}
		return not_started(err);
	}
	return simple_call(op, dom, virDomainResume, "setting it running", op->env->call_deadline_us, err);
}

static int run(struct op *op, virConnectPtr conn, struct err *err)
{
	_cleanup_domain_ virDomainPtr dom = NULL;
	int state, rc = find(op, conn, &dom, &state, err);

	if (rc <= 0) {
		return rc < 0 ? -1 : err_set(err, ERR_NOT_FOUND, "there is no domain to set running");
	}
	if (is_running(state)) {
		done_already(op);
	} else if (state != VIR_DOMAIN_PAUSED) {
		return err_set(err, ERR_CONFLICT, "the domain is neither paused nor running");
	} else if (resume_at(op, dom, err) < 0) {
		return -1;
	} else {
		op->reached_us = clock_wall();
	}
	/* It runs: what is left is worthless, and harmless if it cannot be deleted. */
	discard(op, GUEST_SPENT, NULL);
	discard(op, GUEST_CAME_MEMORY, NULL);
	discard(op, GUEST_SAVE, NULL);
	discard(op, GUEST_PART, NULL);
	return 0;
}

/* ---- suspending ---- */

/* Made before the guest is paused, so that a paused guest that has run is told from one that has not. */
static int mark_part(struct op *op, struct err *err)
{
	_cleanup_free_ char *path = op_path(op, GUEST_PART);
	_cleanup_close_ int fd = -1;

	/* Not truncated: libvirt may be writing it, for an agent that has been killed since. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? sys_error(err, path) : 0;
}

/* Gives a whole save its name. For domains that are gone. */
static int settle(struct op *op, struct err *err)
{
	_cleanup_free_ char *part = op_path(op, GUEST_PART);

	if (exists(op, GUEST_SAVE)) {
		return done_already(op);
	}
	if (!save_whole(part)) {
		return err_set(err, ERR_NOT_FOUND, "there is no saved memory of it");
	}
	if (sync_path(part, err) < 0 || move(op, GUEST_PART, GUEST_SAVE, err) < 0 || sync_path(op->dir, err) < 0) {
		return -1;
	}
	op->reached_us = clock_wall();
	return 0;
}

static int pause_guest(struct op *op, virConnectPtr conn, struct err *err)
{
	_cleanup_domain_ virDomainPtr dom = NULL;
	int state, rc = find(op, conn, &dom, &state, err);

	if (rc <= 0) {
		return rc < 0 ? -1 : settle(op, err);
	}
	if (mark_part(op, err) < 0) {
		return -1;
	}
	if (is_running(state)) {
		return simple_call(op, dom, virDomainSuspend, "pausing it", op->env->call_deadline_us, err);
	}
	return 0;
}

static int save_domain(struct op *op, virDomainPtr dom, struct err *err)
{
	_cleanup_free_ char *part = op_path(op, GUEST_PART);
	span_us limit = op->env->call_deadline_us;
	int rc;

	if (op_begin(op, "asking for its memory", limit, err) < 0) {
		return -1;
	}
	limit += (span_us)(virDomainGetMaxMemory(dom) * 1024 / SLOWEST_RATE) * USEC_PER_SEC;
	op_end(op);
	if (op_begin(op, "saving it", limit, err) < 0) {
		return -1;
	}
	rc = virDomainSaveFlags(dom, part, NULL, VIR_DOMAIN_SAVE_PAUSED);
	if (rc < 0) {
		virt_error(err, "saving it");
	}
	op_end(op);
	return rc;
}

/*
 * What a failed save has written is worthless, and others need the room. And if it failed only when QEMU had come to
 * its end, as on a full disk, QEMU does not save the guest again before it has run: so it runs for an instant.
 */
static void make_savable(struct op *op, virDomainPtr dom)
{
	_cleanup_free_ char *part = op_path(op, GUEST_PART);
	span_us limit = op->env->call_deadline_us;

	if (truncate(part, 0) < 0) {
		mark_part(op, NULL);
	}
	if (simple_call(op, dom, virDomainResume, "letting go of a failed save", limit, NULL) == 0) {
		simple_call(op, dom, virDomainSuspend, "pausing it again", limit, NULL);
	}
}

static int save(struct op *op, virConnectPtr conn, struct err *err)
{
	_cleanup_domain_ virDomainPtr dom = NULL;
	struct err why = {0};
	int state, rc = find(op, conn, &dom, &state, err);

	if (rc < 0) {
		return -1;
	}
	if (rc == 1 && save_domain(op, dom, &why) < 0) {
		/* Another save, begun before the agent's restart, may have been first. */
		cleanup_domain(&dom);
		dom = NULL;
		rc = find(op, conn, &dom, &state, err);
		if (rc == 1) {
			/* ERR_TIMEOUT: that other save is still under way */
			if (why.code != ERR_TIMEOUT) {
				make_savable(op, dom);
			}
			*err = why;
		}
		if (rc != 0) {
			return -1;
		}
	}
	return settle(op, err);
}

/* The description that was saved with the memory, with the paths of this node. The caller frees. */
static char *read_saved(struct op *op, virConnectPtr conn, const char *path, struct err *err)
{
	_cleanup_free_ char *disk = op_path(op, GUEST_DISK);
	_cleanup_free_ char *xml = NULL;
	struct guestxml here = {
		.disk = disk,
		.base = op->base,
		.kernel = op->files[0],
		.initrd = op->files[1],
		.console = op->console,
	};

	if (op_begin(op, "reading its saved description", op->env->call_deadline_us, err) < 0) {
		return NULL;
	}
	xml = virDomainSaveImageGetXMLDesc(conn, path, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
	if (!xml) {
		virt_error(err, "reading its saved description");
	}
	op_end(op);
	return xml ? guestxml_relocate(xml, &here, err) : NULL;
}

/*
 * Makes the disk that has come from another node a layer over the image here. Its memory keeps its name until it runs,
 * so that nobody takes it for a guest that was suspended here.
 */
static int adopt(struct op *op, struct err *err)
{
	_cleanup_free_ char *disk = op_path(op, GUEST_CAME_DISK);

	if (check_files(op, err) < 0) {
		return -1;
	}
	if (!op->base || !exists(op, GUEST_CAME_DISK)) {
		return 0;
	}
	if (overlay_rebase(disk, op->base, op->format, op->env->call_deadline_us, err) < 0 ||
	    sync_path(disk, err) < 0) {
		return -1;
	}
	return move(op, GUEST_CAME_DISK, GUEST_DISK, err);
}

static int restore(struct op *op, virConnectPtr conn, struct err *err)
{
	/* One that was suspended here since is the newer. */
	bool came = exists(op, GUEST_CAME_MEMORY) && !exists(op, GUEST_SAVE) && !exists(op, GUEST_PART);
	_cleanup_free_ char *path = op_path(op, came ? GUEST_CAME_MEMORY : GUEST_SAVE);
	_cleanup_free_ char *xml = NULL;
	_cleanup_domain_ virDomainPtr dom = NULL;
	span_us limit = op->env->call_deadline_us;
	struct stat st;
	int state, rc = find(op, conn, &dom, &state, err);

	if (rc != 0) {
		return rc < 0 ? -1 : done_already(op);
	}
	if ((came ? adopt(op, err) : settle(op, err)) < 0) {
		return -1;
	}
	if (came && !(xml = read_saved(op, conn, path, err))) {
		return -1;
	}
	if (stat(path, &st) < 0) {
		return sys_error(err, path);
	}
	limit += st.st_size / SLOWEST_RATE * USEC_PER_SEC;
	if (op_begin(op, "restoring it", limit, err) < 0) {
		return -1;
	}
	rc = virDomainRestoreFlags(conn, path, xml, VIR_DOMAIN_SAVE_PAUSED);
	if (rc < 0) {
		virt_error(err, "restoring it");
	}
	op_end(op);
	op->already = false;
	op->reached_us = clock_wall();
	return rc;
}

/* ---- ending ---- */

static int stop(struct op *op, virConnectPtr conn, struct err *err)
{
	_cleanup_domain_ virDomainPtr dom = NULL;
	struct err why = {0};
	int state, rc = find(op, conn, &dom, &state, err);

	if (rc <= 0) {
		return rc < 0 ? -1 : done_already(op);
	}
	if (simple_call(op, dom, virDomainDestroy, "destroying it", op->env->call_deadline_us + DESTROY_EXTRA_US,
			&why) < 0) {
		/* It may have gone by itself in the meantime. */
		cleanup_domain(&dom);
		dom = NULL;
		rc = find(op, conn, &dom, &state, err);
		if (rc == 1) {
			*err = why;
		}
		if (rc != 0) {
			return -1;
		}
	}
	op->reached_us = clock_wall();
	return 0;
}

static int remove_guest(struct op *op, virConnectPtr conn, struct err *err)
{
	static const char *const files[] = {GUEST_DISK ".part",
					    GUEST_DISK,
					    GUEST_PART,
					    GUEST_SAVE,
					    GUEST_SPENT,
					    GUEST_CAME_DISK ".part",
					    GUEST_CAME_MEMORY ".part",
					    GUEST_CAME_MEMORY,
					    GUEST_CAME_DISK};

	if (stop(op, conn, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (discard(op, files[i], err) < 0) {
			return -1;
		}
	}
	if (rmdir(op->dir) < 0 && errno != ENOENT) {
		return sys_error(err, op->dir);
	}
	return 0;
}

/* ---- the worker ---- */

static int work(struct op *op, virConnectPtr conn, struct err *err)
{
	switch (op->kind) {
	case OP_PREPARE:
		return prepare(op, conn, err);
	case OP_RESTORE:
		return restore(op, conn, err);
	case OP_RUN:
		return run(op, conn, err);
	case OP_PAUSE:
		return pause_guest(op, conn, err);
	case OP_SAVE:
		return save(op, conn, err);
	case OP_SETTLE:
		return settle(op, err);
	case OP_STOP:
		return stop(op, conn, err);
	case OP_REMOVE:
		return remove_guest(op, conn, err);
	case OP_LIST:
		return op_list(op, conn, err);
	}
	return err_set(err, ERR_INTERNAL, "no such operation");
}

static bool is_slow(enum op_kind kind)
{
	switch (kind) {
	case OP_PREPARE:
	case OP_RESTORE:
	case OP_SAVE:
	case OP_STOP:
	case OP_REMOVE:
		return true;
	case OP_RUN:
	case OP_PAUSE:
	case OP_SETTLE:
	case OP_LIST:
		break;
	}
	return false;
}

void *op_thread(void *arg)
{
	struct op *op = arg;
	struct guest_env *env = guest_env_ref(op->env);
	struct note *note = xcalloc(1, sizeof(*note));
	virConnectPtr conn = NULL;
	int rc = -1;

	/* The connection is taken late: one from before a long wait may be lost by then. */
	if (op->kind == OP_RUN && !wait_until(op, op->at_us - WARM_UP_US)) {
		not_started(&note->err);
	} else {
		conn = virt_conn(env->virt, is_slow(op->kind), &op->serial, &note->err);
		rc = conn ? work(op, conn, &note->err) : -1;
	}
	note->kind = NOTE_OP;
	note->op = op;
	note->failed = rc < 0;
	mail_post(env->mail, note);
	if (conn) {
		virConnectClose(conn); /* perhaps the last reference of a lost one, so it may block */
	}
	guest_env_unref(env);
	return NULL;
}
