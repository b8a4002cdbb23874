/*
 * Writes a guest's domain XML with libxml2's writer and reads our metadata back. Knows what hardware a guest gets;
 * knows no paths of its own.
 */
#include "guestxml.h"

#include <inttypes.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlwriter.h>
#include <string.h>

#include "util.h"
#include "uuid5.h"

#define X(s) ((const xmlChar *)(s))
#define METADATA_MAX 4096 /* our element has some 150 bytes */

/*
 * The writer keeps no error state: a failed call returns -1 and the next may succeed. So each step ORs its result into
 * failed.
 */
struct out {
	xmlTextWriterPtr w;
	bool failed;
};

static void open_tag(struct out *o, const char *name)
{
	o->failed |= xmlTextWriterStartElement(o->w, X(name)) < 0;
}

static void close_tag(struct out *o)
{
	o->failed |= xmlTextWriterEndElement(o->w) < 0;
}

static void attr(struct out *o, const char *name, const char *value)
{
	o->failed |= xmlTextWriterWriteAttribute(o->w, X(name), X(value)) < 0;
}

static void attr_number(struct out *o, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	attr(o, name, text);
}

static void text_tag(struct out *o, const char *name, const char *value)
{
	o->failed |= xmlTextWriterWriteElement(o->w, X(name), X(value)) < 0;
}

/* An empty element with up to two attributes; NULL ends them. */
static void leaf(struct out *o, const char *name, const char *a, const char *value, const char *b, const char *value2)
{
	open_tag(o, name);
	if (a) {
		attr(o, a, value);
	}
	if (b) {
		attr(o, b, value2);
	}
	close_tag(o);
}

/* XML 1.0 has no way to write most control characters, and libvirt's fields are single lines. */
static bool writable(const char *s)
{
	if (!s) {
		return true;
	}
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			return false;
		}
	}
	return xmlCheckUTF8(X(s)) != 0;
}

static void write_title(struct out *o, const char *title)
{
	_cleanup_free_ char *clean = xstrdup(title ? title : "");
	bool utf8 = xmlCheckUTF8(X(clean)) != 0;

	if (!clean[0]) {
		return;
	}
	for (char *p = clean; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f || (!utf8 && (unsigned char)*p > 0x7f)) {
			*p = '?';
		}
	}
	text_tag(o, "title", clean);
}

static void write_identity(struct out *o, const struct guestxml *spec)
{
	char name[GUESTXML_NAME_MAX];
	char uuid[UUID5_TEXT];

	guestxml_name(spec->lease, spec->vm, spec->generation, name);
	uuid5_guest(spec->lease, spec->vm, spec->generation, uuid);
	text_tag(o, "name", name);
	text_tag(o, "uuid", uuid);
	write_title(o, spec->title);
	open_tag(o, "metadata");
	open_tag(o, "tenure:guest");
	attr(o, "xmlns:tenure", GUESTXML_NAMESPACE);
	attr_number(o, "lease", spec->lease);
	attr_number(o, "vm", spec->vm);
	attr_number(o, "generation", spec->generation);
	close_tag(o);
	close_tag(o);
}

static void write_size(struct out *o, const struct guestxml *spec)
{
	char number[24];

	open_tag(o, "memory");
	attr(o, "unit", "b");
	snprintf(number, sizeof(number), "%" PRId64, spec->memory);
	o->failed |= xmlTextWriterWriteString(o->w, X(number)) < 0;
	close_tag(o);
	snprintf(number, sizeof(number), "%" PRId64, spec->cpu / 1000 + (spec->cpu % 1000 != 0));
	text_tag(o, "vcpu", number);
}

/* Machine and architecture are left to libvirt's defaults: the host's own. */
static void write_os(struct out *o, const struct guestxml *spec)
{
	open_tag(o, "os");
	text_tag(o, "type", "hvm");
	if (spec->kernel) {
		text_tag(o, "kernel", spec->kernel);
		if (spec->initrd) {
			text_tag(o, "initrd", spec->initrd);
		}
		if (spec->cmdline && spec->cmdline[0]) {
			text_tag(o, "cmdline", spec->cmdline);
		}
	} else {
		leaf(o, "boot", "dev", "hd", NULL, NULL);
	}
	close_tag(o);
	open_tag(o, "features");
	leaf(o, "acpi", NULL, NULL, NULL, NULL);
	leaf(o, "apic", NULL, NULL, NULL, NULL);
	close_tag(o);
}

/*
 * One plain CPU model everywhere: a saved guest then resumes on any node, and it works where KVM itself is nested
 * (there, "host-model" asks for features that the outer hypervisor does not pass on).
 */
static void write_kvm(struct out *o, const struct guestxml *spec)
{
	open_tag(o, "cpu");
	attr(o, "mode", "custom");
	attr(o, "match", "exact");
	attr(o, "check", "none");
	open_tag(o, "model");
	attr(o, "fallback", "forbid");
	o->failed |= xmlTextWriterWriteString(o->w, X("qemu64")) < 0;
	close_tag(o);
	close_tag(o);
	if (spec->kvm_as_root) {
		open_tag(o, "seclabel");
		attr(o, "type", "static");
		attr(o, "model", "dac");
		attr(o, "relabel", "yes");
		text_tag(o, "label", "+0:+0");
		close_tag(o);
	}
}

/*
 * The whole backing chain is named with its formats, so that nothing is probed from what a user has uploaded. The
 * pooled image keeps its owner (relabel no): QEMU's user, to whom libvirt would give it, could write to it and so into
 * every other guest made from it.
 */
static void write_disk(struct out *o, const struct guestxml *spec)
{
	open_tag(o, "disk");
	attr(o, "type", "file");
	attr(o, "device", "disk");
	open_tag(o, "driver");
	attr(o, "name", "qemu");
	attr(o, "type", "qcow2");
	attr(o, "discard", "unmap");
	close_tag(o);
	leaf(o, "source", "file", spec->disk, NULL, NULL);
	open_tag(o, "backingStore");
	attr(o, "type", "file");
	leaf(o, "format", "type", spec->base_format, NULL, NULL);
	open_tag(o, "source");
	attr(o, "file", spec->base);
	leaf(o, "seclabel", "model", "dac", "relabel", "no");
	close_tag(o);
	leaf(o, "backingStore", NULL, NULL, NULL, NULL);
	close_tag(o);
	leaf(o, "target", "dev", "vda", "bus", "virtio");
	close_tag(o);
}

static void write_devices(struct out *o, const struct guestxml *spec)
{
	open_tag(o, "devices");
	if (spec->disk) {
		write_disk(o, spec);
	}
	/* What libvirt would add by itself, and a guest without a screen has no use for. */
	leaf(o, "controller", "type", "usb", "model", "none");
	open_tag(o, "serial");
	attr(o, "type", "file");
	leaf(o, "source", "path", spec->console, "append", "on");
	close_tag(o);
	leaf(o, "memballoon", "model", "none", NULL, NULL);
	/* A guest that waits for entropy at boot would spend its lease on it. */
	open_tag(o, "rng");
	attr(o, "model", "virtio");
	open_tag(o, "backend");
	attr(o, "model", "random");
	o->failed |= xmlTextWriterWriteString(o->w, X("/dev/urandom")) < 0;
	close_tag(o);
	close_tag(o);
	close_tag(o);
}

static void write_domain(struct out *o, const struct guestxml *spec)
{
	o->failed |= xmlTextWriterStartDocument(o->w, NULL, "UTF-8", NULL) < 0;
	open_tag(o, "domain");
	attr(o, "type", spec->kvm ? "kvm" : "qemu");
	write_identity(o, spec);
	write_size(o, spec);
	write_os(o, spec);
	leaf(o, "clock", "offset", "utc", NULL, NULL);
	text_tag(o, "on_poweroff", "destroy");
	text_tag(o, "on_reboot", "restart");
	text_tag(o, "on_crash", "destroy");
	if (spec->kvm) {
		write_kvm(o, spec);
	}
	write_devices(o, spec);
	o->failed |= xmlTextWriterEndDocument(o->w) < 0;
}

char *guestxml_make(const struct guestxml *spec, struct err *err)
{
	const char *from_outside[] = {spec->disk,   spec->base,    spec->base_format, spec->kernel,
				      spec->initrd, spec->cmdline, spec->console};
	xmlBufferPtr buffer;
	struct out out = {0};
	char *xml = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(from_outside); i++) {
		if (!writable(from_outside[i])) {
			err_set(err, ERR_PARAMS,
				"a path or kernel command line holds control characters or is not UTF-8");
			return NULL;
		}
	}
	buffer = xmlBufferCreate();
	out.w = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
	if (out.w) {
		write_domain(&out, spec);
		xmlFreeTextWriter(out.w); /* flushes into buffer */
	}
	if (out.w && !out.failed) {
		xml = xstrdup((const char *)xmlBufferContent(buffer));
	} else {
		err_set(err, ERR_INTERNAL, "libxml2 could not write the domain XML");
	}
	xmlBufferFree(buffer);
	return xml;
}

/* ---- moving a domain to another node's folders ---- */

static bool is_named(xmlNodePtr node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNodePtr child(xmlNodePtr node, const char *name)
{
	xmlNodePtr found = node ? node->children : NULL;

	while (found && !is_named(found, name)) {
		found = found->next;
	}
	return found;
}

static void set_attr(xmlNodePtr node, const char *name, const char *value)
{
	if (node && value) {
		xmlSetProp(node, X(name), X(value));
	}
}

static void set_text(xmlNodePtr node, const char *value)
{
	xmlChar *text = node && value ? xmlEncodeSpecialChars(node->doc, X(value)) : NULL;

	if (text) {
		xmlNodeSetContent(node, text);
	}
	xmlFree(text);
}

static void relocate(xmlNodePtr root, const struct guestxml *spec)
{
	xmlNodePtr devices = child(root, "devices"), os = child(root, "os");

	for (xmlNodePtr node = devices ? devices->children : NULL; node; node = node->next) {
		if (is_named(node, "disk")) {
			set_attr(child(node, "source"), "file", spec->disk);
			set_attr(child(child(node, "backingStore"), "source"), "file", spec->base);
		} else if (is_named(node, "serial") || is_named(node, "console")) {
			set_attr(child(node, "source"), "path", spec->console);
		}
	}
	set_text(child(os, "kernel"), spec->kernel);
	set_text(child(os, "initrd"), spec->initrd);
}

char *guestxml_relocate(const char *xml, const struct guestxml *spec, struct err *err)
{
	xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), "domain", NULL,
				      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
	xmlChar *text = NULL;
	char *moved = NULL;
	int size;

	if (root && is_named(root, "domain")) {
		relocate(root, spec);
		xmlDocDumpMemory(doc, &text, &size);
	}
	if (text) {
		moved = xstrdup((const char *)text);
	} else {
		err_set(err, ERR_PARSE, "what was saved with its memory does not describe a domain");
	}
	xmlFree(text);
	xmlFreeDoc(doc);
	return moved;
}

/* ---- recognising our domains ---- */

void guestxml_name(uint64_t lease, uint32_t vm, uint32_t generation, char out[GUESTXML_NAME_MAX])
{
	snprintf(out, GUESTXML_NAME_MAX, "tenure-%" PRIu64 "-%" PRIu32 "-%" PRIu32, lease, vm, generation);
}

int guestxml_parse_name(const char *name, uint64_t *lease, uint32_t *vm, uint32_t *generation)
{
	char again[GUESTXML_NAME_MAX];
	uint64_t l;
	uint32_t v, g;

	/* Written back and compared, so that signs, leading zeros, overflows and anything behind are refused. */
	if (sscanf(name, "tenure-%20" SCNu64 "-%10" SCNu32 "-%10" SCNu32, &l, &v, &g) != 3) {
		return -1;
	}
	guestxml_name(l, v, g, again);
	if (strcmp(name, again) != 0) {
		return -1;
	}
	*lease = l;
	*vm = v;
	*generation = g;
	return 0;
}

static int number_attr(xmlNodePtr node, const char *name, int64_t min, int64_t max, int64_t *out)
{
	xmlChar *value = xmlGetNoNsProp(node, X(name));
	int rc = value ? parse_i64((const char *)value, min, max, out) : -1;

	xmlFree(value);
	return rc;
}

int guestxml_parse_metadata(const char *xml, uint64_t *lease, uint32_t *vm, uint32_t *generation)
{
	size_t len = strnlen(xml, METADATA_MAX);
	xmlDocPtr doc;
	xmlNodePtr root;
	int64_t l, v, g;
	int rc = -1;

	if (len == METADATA_MAX) {
		return -1;
	}
	doc = xmlReadMemory(xml, (int)len, "metadata", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	root = doc ? xmlDocGetRootElement(doc) : NULL;
	if (root && strcmp((const char *)root->name, "guest") == 0 &&
	    number_attr(root, "lease", 1, INT64_MAX, &l) == 0 && number_attr(root, "vm", 0, UINT32_MAX, &v) == 0 &&
	    number_attr(root, "generation", 0, UINT32_MAX, &g) == 0) {
		*lease = (uint64_t)l;
		*vm = (uint32_t)v;
		*generation = (uint32_t)g;
		rc = 0;
	}
	xmlFreeDoc(doc);
	return rc;
}
