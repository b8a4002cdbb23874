/* The domain XML: well-formed whatever the strings hold, and saying what was asked for. No libvirt. */
#include <check.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <string.h>

#include "guestxml.h"
#include "suite.h"
#include "util.h"

static const struct guestxml disk_guest = {.lease = 7,
					   .vm = 3,
					   .generation = 2,
					   .title = "my lease",
					   .cpu = 1500,
					   .memory = 64 << 20,
					   .disk = "/state/guests/7-3-2/disk.qcow2",
					   .base = "/pool/abc",
					   .base_format = "raw",
					   .console = "/console/7-3.log"};

/* The string value of an XPath expression, in a static buffer. */
static const char *ask(const char *xml, const char *expression)
{
	static char text[2048];
	xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), "t", NULL, XML_PARSE_NONET);
	xmlXPathContextPtr context;
	xmlXPathObjectPtr object;
	xmlChar *value;

	ck_assert_msg(doc != NULL, "not well-formed: %s", xml);
	context = xmlXPathNewContext(doc);
	xmlXPathRegisterNs(context, (const xmlChar *)"t", (const xmlChar *)GUESTXML_NAMESPACE);
	object = xmlXPathEvalExpression((const xmlChar *)expression, context);
	ck_assert_msg(object != NULL, "bad expression %s", expression);
	value = xmlXPathCastToString(object);
	snprintf(text, sizeof(text), "%s", (const char *)value);
	xmlFree(value);
	xmlXPathFreeObject(object);
	xmlXPathFreeContext(context);
	xmlFreeDoc(doc);
	return text;
}

START_TEST(disk)
{
	static const struct {
		const char *expression, *value;
	} expected[] = {
		{"/domain/@type", "qemu"},
		{"/domain/name", "tenure-7-3-2"},
		{"/domain/title", "my lease"},
		{"/domain/metadata/t:guest/@lease", "7"},
		{"/domain/metadata/t:guest/@vm", "3"},
		{"/domain/metadata/t:guest/@generation", "2"},
		{"/domain/memory", "67108864"},
		{"/domain/memory/@unit", "b"},
		{"/domain/vcpu", "2"},
		{"/domain/os/boot/@dev", "hd"},
		{"/domain/clock/@offset", "utc"},
		{"/domain/on_poweroff", "destroy"},
		{"/domain/on_reboot", "restart"},
		{"/domain/on_crash", "destroy"},
		{"count(//disk)", "1"},
		{"//disk/driver/@type", "qcow2"},
		{"//disk/source/@file", "/state/guests/7-3-2/disk.qcow2"},
		{"//disk/backingStore/format/@type", "raw"},
		{"//disk/backingStore/source/@file", "/pool/abc"},
		{"//disk/backingStore/source/seclabel/@relabel", "no"},
		{"count(//disk/backingStore/backingStore/*)", "0"},
		{"count(//disk/backingStore/backingStore)", "1"},
		{"//serial/source/@path", "/console/7-3.log"},
		{"//serial/source/@append", "on"},
		{"count(//graphics|//video|//interface|//domain/cpu|/domain/seclabel|//kernel)", "0"},
	};
	struct err err = {0};
	_cleanup_free_ char *xml = guestxml_make(&disk_guest, &err);

	ck_assert_msg(xml != NULL, "%s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		const char *value = ask(xml, expected[i].expression);

		ck_assert_msg(strcmp(value, expected[i].value) == 0, "%s is %s, not %s", expected[i].expression, value,
			      expected[i].value);
	}
	ck_assert_uint_eq(strlen(ask(xml, "/domain/uuid")), 36);
}
END_TEST

START_TEST(relocated)
{
	static const struct guestxml here = {
		.disk = "/here/<disk>", .base = "/here/base", .console = "/here/console", .kernel = "/here/k&k"};
	struct err err = {0};
	_cleanup_free_ char *xml = guestxml_make(&disk_guest, &err);
	_cleanup_free_ char *moved = guestxml_relocate(xml, &here, &err);

	ck_assert_str_eq(ask(moved, "//disk/source/@file"), "/here/<disk>");
	ck_assert_str_eq(ask(moved, "//disk/backingStore/source/@file"), "/here/base");
	ck_assert_str_eq(ask(moved, "//disk/backingStore/source/seclabel/@relabel"), "no");
	ck_assert_str_eq(ask(moved, "//serial/source/@path"), "/here/console");
	ck_assert_str_eq(ask(moved, "//rng/backend"), "/dev/urandom");
	ck_assert_str_eq(ask(moved, "count(//kernel)"), "0");
	free(xml);
	xml = guestxml_relocate("<domain><os><kernel>/a</kernel><initrd>/b</initrd></os></domain>", &here, &err);
	ck_assert_str_eq(ask(xml, "//kernel"), "/here/k&k");
	ck_assert_str_eq(ask(xml, "//initrd"), "/b");
	ck_assert_ptr_null(guestxml_relocate("<pool/>", &here, &err));
	ck_assert_ptr_null(guestxml_relocate("<domain>", &here, &err));
	ck_assert_int_eq(err.code, ERR_PARSE);
}
END_TEST

START_TEST(kernel_and_kvm)
{
	struct guestxml spec = {.lease = 1,
				.cpu = 1000,
				.memory = 1 << 20,
				.kernel = "/pool/k",
				.initrd = "/pool/i",
				.cmdline = "console=ttyS0 quiet",
				.console = "/c",
				.kvm = true,
				.kvm_as_root = true};
	struct err err = {0};
	_cleanup_free_ char *xml = guestxml_make(&spec, &err);

	ck_assert_msg(xml != NULL, "%s", err.text);
	ck_assert_str_eq(ask(xml, "/domain/@type"), "kvm");
	ck_assert_str_eq(ask(xml, "/domain/vcpu"), "1");
	ck_assert_str_eq(ask(xml, "/domain/os/kernel"), "/pool/k");
	ck_assert_str_eq(ask(xml, "/domain/os/initrd"), "/pool/i");
	ck_assert_str_eq(ask(xml, "/domain/os/cmdline"), "console=ttyS0 quiet");
	ck_assert_str_eq(ask(xml, "/domain/cpu/model"), "qemu64");
	ck_assert_str_eq(ask(xml, "/domain/cpu/@check"), "none");
	ck_assert_str_eq(ask(xml, "/domain/seclabel/label"), "+0:+0");
	ck_assert_str_eq(ask(xml, "count(//disk|//boot|//title)"), "0");
}
END_TEST

/* Strings from outside: they must come back as they went in, or not go in at all. */
static const char *const hostile[] = {"]]><domain/>",
				      "</title><os><kernel>/etc/shadow</kernel></os>",
				      "\" onload='x' &lt; &#x0; &amp;",
				      "<!-- <![CDATA[ %s%n",
				      "\xc3\xa4\xe2\x82\xac",
				      "../../etc"};

START_TEST(hostile_kept)
{
	struct guestxml spec = disk_guest;
	struct err err = {0};
	_cleanup_free_ char *xml = NULL;

	spec.title = hostile[_i];
	spec.base = hostile[_i];
	xml = guestxml_make(&spec, &err);
	ck_assert_msg(xml != NULL, "%s", err.text);
	ck_assert_str_eq(ask(xml, "/domain/title"), hostile[_i]);
	ck_assert_str_eq(ask(xml, "//backingStore/source/@file"), hostile[_i]);
	ck_assert_str_eq(ask(xml, "count(/domain)"), "1");
	ck_assert_str_eq(ask(xml, "count(//os/kernel)"), "0");
}
END_TEST

static const char *const unwritable[] = {"a\nb", "\x1b[31m", "\x01", "bad\xff\xfe", "\x7f"};

START_TEST(unwritable_refused)
{
	struct guestxml spec = disk_guest;
	struct err err = {0};
	_cleanup_free_ char *xml = NULL;

	spec.title = unwritable[_i];
	xml = guestxml_make(&spec, &err);
	ck_assert_msg(xml != NULL, "a title is cleaned, not refused: %s", err.text);
	ck_assert(strchr(ask(xml, "/domain/title"), '?') != NULL);
	spec.cmdline = unwritable[_i];
	ck_assert(guestxml_make(&spec, &err) == NULL);
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = {"",
					  "tenure-1-2",
					  "tenure-1-2-3-4",
					  "tenure-01-2-3",
					  "tenure--1-2-3",
					  "tenure-1-2-3 ",
					  "Tenure-1-2-3",
					  "tenure-1-4294967296-3",
					  "tenure-+1-2-3"};
	char name[GUESTXML_NAME_MAX];
	uint64_t lease = 5;
	uint32_t vm = 5, generation = 5;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(guestxml_parse_name(bad[i], &lease, &vm, &generation) < 0, "%s", bad[i]);
	}
	ck_assert(lease == 5 && vm == 5 && generation == 5);
	guestxml_name(UINT64_MAX, UINT32_MAX, UINT32_MAX, name);
	ck_assert_int_eq(guestxml_parse_name(name, &lease, &vm, &generation), 0);
	ck_assert(lease == UINT64_MAX && vm == UINT32_MAX && generation == UINT32_MAX);
}
END_TEST

START_TEST(metadata)
{
	static const char *const bad[] = {"",
					  "<",
					  "<other lease='1' vm='0' generation='1'/>",
					  "<guest lease='1' vm='0'/>",
					  "<guest lease='-1' vm='0' generation='1'/>",
					  "<guest lease='x' vm='0' generation='1'/>",
					  "<guest lease='1' vm='4294967296' generation='1'/>"};
	uint64_t lease = 5;
	uint32_t vm = 5, generation = 5;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(guestxml_parse_metadata(bad[i], &lease, &vm, &generation) < 0, "%s", bad[i]);
	}
	ck_assert(lease == 5 && vm == 5 && generation == 5);
	ck_assert_int_eq(
		guestxml_parse_metadata("\n<guest lease=\"9\" vm=\"1\" generation=\"4\"/>\n", &lease, &vm, &generation),
		0);
	ck_assert(lease == 9 && vm == 1 && generation == 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_guestxml");
	TCase *tcase = tcase_create("guestxml");

	tcase_add_test(tcase, disk);
	tcase_add_test(tcase, relocated);
	tcase_add_test(tcase, kernel_and_kvm);
	tcase_add_loop_test(tcase, hostile_kept, 0, (int)ARRAY_SIZE(hostile));
	tcase_add_loop_test(tcase, unwritable_refused, 0, (int)ARRAY_SIZE(unwritable));
	tcase_add_test(tcase, names);
	tcase_add_test(tcase, metadata);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
