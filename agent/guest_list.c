/*
 * Which guests of ours there are: domains recognised by name, UUID and metadata, and folders with saved memory. Only
 * looks; changes nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/stat.h>

#include "guest_op.h"
#include "guestxml.h"
#include "util.h"

static struct guest *add(struct op *op, const struct guest *guest)
{
	op->listed = xrealloc(op->listed, op->listed_count + 1, sizeof(*op->listed));
	op->listed[op->listed_count] = *guest;
	return &op->listed[op->listed_count++];
}

static bool is_listed(const struct op *op, const struct guest *guest)
{
	for (size_t i = 0; i < op->listed_count; i++) {
		const struct guest *g = &op->listed[i];

		if (g->lease == guest->lease && g->vm == guest->vm && g->generation == guest->generation) {
			return true;
		}
	}
	return false;
}

static char *guest_path(const struct op *op, const struct guest *guest, const char *file)
{
	return xasprintf("%s/%ju-%u-%u/%s", op->env->guests_dir, (uintmax_t)guest->lease, guest->vm, guest->generation,
			 file);
}

/* ---- domains ---- */

static enum vm_seen paused_seen(const struct op *op, const struct guest *guest, int reason)
{
	_cleanup_free_ char *part = guest_path(op, guest, GUEST_PART);

	if (reason == VIR_DOMAIN_PAUSED_IOERROR || reason == VIR_DOMAIN_PAUSED_CRASHED) {
		return SEEN_FAILED;
	}
	return access(part, F_OK) == 0 ? SEEN_SUSPENDING : SEEN_PREPARED;
}

static enum vm_seen domain_seen(const struct op *op, const struct guest *guest, int state, int reason)
{
	switch ((virDomainState)state) {
	case VIR_DOMAIN_NOSTATE:
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
	case VIR_DOMAIN_SHUTDOWN:
	case VIR_DOMAIN_PMSUSPENDED:
		break;
	case VIR_DOMAIN_PAUSED:
		return paused_seen(op, guest, reason);
	case VIR_DOMAIN_SHUTOFF:
		return SEEN_ENDED;
	case VIR_DOMAIN_CRASHED:
		return SEEN_FAILED;
	}
	return SEEN_RUNNING;
}

/* Somebody else's domain may have our name, but not our UUID and metadata too. */
static bool is_ours(virDomainPtr dom, const char *metadata, struct guest *guest)
{
	char name[GUESTXML_NAME_MAX], uuid[UUID5_TEXT], actual[VIR_UUID_STRING_BUFLEN];

	if (guestxml_parse_metadata(metadata, &guest->lease, &guest->vm, &guest->generation) < 0) {
		return false;
	}
	guestxml_name(guest->lease, guest->vm, guest->generation, name);
	uuid5_guest(guest->lease, guest->vm, guest->generation, uuid);
	return strcmp(name, virDomainGetName(dom)) == 0 && virDomainGetUUIDString(dom, actual) == 0 &&
	       strcmp(uuid, actual) == 0;
}

/* A domain that ends while we look is no failure: it is not there. */
static int domain_gone(struct err *err)
{
	struct err why = {0};

	virt_error(&why, "asking for a domain");
	if (why.code == ERR_NOT_FOUND) {
		return 0;
	}
	if (err) {
		*err = why;
	}
	return -1;
}

static int add_domain(struct op *op, virDomainPtr dom, struct err *err)
{
	_cleanup_free_ char *metadata = NULL;
	struct guest guest = {0};
	int state, reason;

	if (strncmp(virDomainGetName(dom), "tenure-", 7) != 0) {
		return 0;
	}
	metadata = virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, GUESTXML_NAMESPACE, 0);
	if (!metadata) {
		virErrorPtr error = virGetLastError();

		return error && error->code == VIR_ERR_NO_DOMAIN_METADATA ? 0 : domain_gone(err);
	}
	if (!is_ours(dom, metadata, &guest)) {
		return 0;
	}
	if (virDomainGetState(dom, &state, &reason, 0) < 0) {
		return domain_gone(err);
	}
	guest.seen = domain_seen(op, &guest, state, reason);
	add(op, &guest);
	return 0;
}

static int list_domains(struct op *op, virConnectPtr conn, struct err *err)
{
	virDomainPtr *doms = NULL;
	int n, rc = 0;

	if (op_begin(op, "listing the domains", op->env->call_deadline_us, err) < 0) {
		return -1;
	}
	n = virConnectListAllDomains(conn, &doms, 0);
	if (n < 0) {
		rc = virt_error(err, "listing the domains");
	}
	for (int i = 0; i < n; i++) {
		rc = rc == 0 ? add_domain(op, doms[i], err) : rc;
		virDomainFree(doms[i]);
	}
	free(doms);
	op_end(op);
	return rc;
}

/* ---- saved memory ---- */

/* When the guest of that folder was saved whole, whether or not the file got its name yet. */
static bool saved_at(const struct op *op, const struct guest *guest, wall_us *at_us)
{
	_cleanup_free_ char *whole = guest_path(op, guest, GUEST_SAVE);
	_cleanup_free_ char *part = guest_path(op, guest, GUEST_PART);
	struct stat st;

	if (stat(whole, &st) < 0 && (!save_whole(part) || stat(part, &st) < 0)) {
		return false;
	}
	*at_us = st.st_mtim.tv_sec * USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
	return true;
}

static int list_folders(struct op *op, struct err *err)
{
	DIR *dir = opendir(op->env->guests_dir);
	struct dirent *item;

	if (!dir) {
		return err_set(err, ERR_INTERNAL, "%s: %s", op->env->guests_dir, strerror(errno));
	}
	while ((item = readdir(dir))) {
		_cleanup_free_ char *name = xasprintf("tenure-%s", item->d_name);
		struct guest guest = {.seen = SEEN_SUSPENDED};

		if (guestxml_parse_name(name, &guest.lease, &guest.vm, &guest.generation) == 0 &&
		    !is_listed(op, &guest) && saved_at(op, &guest, &guest.at_us)) {
			add(op, &guest);
		}
	}
	closedir(dir);
	return 0;
}

int op_list(struct op *op, virConnectPtr conn, struct err *err)
{
	/* Domains first: one that is saved in between is then found as a folder, or by its event. */
	return list_domains(op, conn, err) < 0 || list_folders(op, err) < 0 ? -1 : 0;
}
