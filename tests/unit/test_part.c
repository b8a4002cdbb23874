/*
 * Parts of the plan and reports: there and back through text, and every member of every object missing, of the wrong
 * type, negative, huge; orders of times, duplicates, references.
 */
#include <check.h>
#include <string.h>

#include "part.h"
#include "suite.h"
#include "util.h"
#include "wire.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define T0 INT64_C(1795269600000000)

static const char part_text[] =
	"{\"epoch\":3,\"version\":17,\"images\":["
	"{\"id\":1,\"name\":\"debian\",\"format\":\"qcow2\",\"cmdline\":\"\",\"files\":["
	"{\"role\":\"disk\",\"url\":\"http://10.0.0.1:7441/images/x\",\"digest\":\"" DIGEST "\",\"size\":5}],"
	"\"begin_us\":0,\"deadline_us\":2305843009213693951},"
	"{\"id\":2,\"name\":\"k\",\"format\":\"kernel\",\"cmdline\":\"console=ttyS0\",\"files\":["
	"{\"role\":\"kernel\",\"url\":\"https://h/k\",\"digest\":\"" DIGEST "\",\"size\":6},"
	"{\"role\":\"initrd\",\"url\":\"https://h/i\",\"digest\":\"" DIGEST "\",\"size\":7}],"
	"\"begin_us\":1795269600000000,\"deadline_us\":1795269601000000}],"
	"\"vms\":["
	"{\"lease\":42,\"vm\":0,\"generation\":1,\"name\":\"job\",\"image\":1,\"kind\":\"ar\",\"use\":{\"cpu\":1000,"
	"\"memory\":1048576,\"disk\":0,\"net_in\":0,\"net_out\":0},\"planned\":true,\"run\":{\"from\":\"boot\","
	"\"then\":\"stop\",\"prepare_us\":1795269600000000,\"start_us\":1795269610000000,\"end_us\":1795269620000000,"
	"\"release_us\":1795269621000000}},"
	"{\"lease\":42,\"vm\":1,\"generation\":4294967295,\"name\":\"\",\"image\":2,\"kind\":\"best-effort\",\"use\":{"
	"\"cpu\":1,\"memory\":1,\"disk\":9,\"net_in\":8,\"net_out\":7},\"planned\":false}]}";

static const char report_text[] =
	"{\"epoch\":3,\"version\":17,\"degraded\":true,\"text\":\"libvirt is away\",\"vms\":["
	"{\"lease\":42,\"vm\":0,\"generation\":1,\"seen\":\"running\",\"at_us\":1795269610000123,\"text\":\"\"},"
	"{\"lease\":42,\"vm\":0,\"generation\":2,\"seen\":\"failed\",\"at_us\":0,\"text\":\"no kernel\"}],"
	"\"images\":[{\"id\":1,\"state\":\"staging\",\"bytes\":4,\"text\":\"\"},"
	"{\"id\":2,\"state\":\"bad\",\"bytes\":0,\"text\":\"digest differs\"}]}";

/* Reads and throws away; 0 if it was taken. */
static int try_part(struct json_object *value, struct err *err)
{
	struct part *part = part_from_json(value, err);

	part_free(part);
	return part ? 0 : -1;
}

static int try_report(struct json_object *value, struct err *err)
{
	struct report *report = report_from_json(value, err);

	report_free(report);
	return report ? 0 : -1;
}

struct kind {
	const char *text;
	int (*try)(struct json_object *value, struct err *err);
};

static const struct kind kinds[] = {{part_text, try_part}, {report_text, try_report}};

static struct json_object *parse(const char *text)
{
	struct err err = {0};
	struct json_object *value = wire_parse(text, strlen(text), &err);

	ck_assert_msg(value != NULL, "%s", err.text);
	return value;
}

/* The whole is refused as it is now, with the key in the error. */
static void refused(const struct kind *kind, struct json_object *root, const char *key, const char *what)
{
	struct err err = {0};

	ck_assert_msg(kind->try(root, &err) == -1, "%s %s is taken", key, what);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_msg(strstr(err.text, key) != NULL, "%s %s: %s", key, what, err.text);
}

/* Puts value (consumed) in the member's place, tries, and puts the old one back. */
static void replaced(const struct kind *kind, struct json_object *root, struct json_object *object, const char *key,
		     struct json_object *value, const char *what)
{
	struct json_object *old = json_object_get(json_object_object_get(object, key));

	json_object_object_add(object, key, value);
	refused(kind, root, key, what);
	json_object_object_add(object, key, old);
}

static void spoil_member(const struct kind *kind, struct json_object *root, struct json_object *object, const char *key)
{
	struct json_object *old = json_object_get(json_object_object_get(object, key));
	enum json_type type = json_object_get_type(old);

	json_object_object_del(object, key);
	refused(kind, root, key, "missing");
	json_object_object_add(object, key, old);

	replaced(kind, root, object, key, NULL, "null");
	replaced(kind, root, object, key, json_object_new_double(1.5), "1.5");
	if (type != json_type_string) {
		replaced(kind, root, object, key, json_object_new_string("1"), "\"1\"");
	} else {
		replaced(kind, root, object, key, json_object_new_string_len("a\0b", 3), "with NUL");
	}
	if (type != json_type_boolean) {
		replaced(kind, root, object, key, json_object_new_boolean(true), "true");
	}
	if (type != json_type_array) {
		replaced(kind, root, object, key, json_object_new_array(), "[]");
	}
	if (type != json_type_object) {
		replaced(kind, root, object, key, json_object_new_object(), "{}");
	}
	if (type != json_type_int) {
		replaced(kind, root, object, key, json_object_new_int(1), "1");
		return;
	}
	replaced(kind, root, object, key, json_object_new_int(-1), "negative");
	replaced(kind, root, object, key, json_object_new_int64(INT64_MIN), "most negative");
	/* Only counters and ids may be that great. */
	if (strcmp(key, "epoch") != 0 && strcmp(key, "version") != 0 && strcmp(key, "id") != 0 &&
	    strcmp(key, "lease") != 0 && strcmp(key, "image") != 0) {
		replaced(kind, root, object, key, json_object_new_int64(INT64_MAX), "huge");
	}
}

static void spoil_all(const struct kind *kind, struct json_object *root, struct json_object *value)
{
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			struct json_object *item = json_object_get(json_object_array_get_idx(value, i));

			json_object_array_put_idx(value, i, json_object_new_int(1));
			refused(kind, root, "]", "holds 1");
			json_object_array_put_idx(value, i, item);
			spoil_all(kind, root, item);
		}
	}
	if (json_object_is_type(value, json_type_object)) {
		char *keys[16];
		size_t n = 0;

		/* Copies: a member that is taken out and put back frees its key and changes its place. */
		json_object_object_foreach (value, key, member) {
			(void)member;
			keys[n++] = xstrdup(key);
		}
		for (size_t i = 0; i < n; i++) {
			spoil_all(kind, root, json_object_object_get(value, keys[i]));
			spoil_member(kind, root, value, keys[i]);
			free(keys[i]);
		}
	}
}

START_TEST(there_and_back)
{
	const struct kind *kind = &kinds[_i];
	struct json_object *value = parse(kind->text);
	struct json_object *again;

	if (kind->try == try_part) {
		struct part *part = part_from_json(value, NULL);

		again = part_to_json(part);
		part_free(part);
	} else {
		struct report *report = report_from_json(value, NULL);

		again = report_to_json(report);
		report_free(report);
	}
	ck_assert_str_eq(json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			 kind->text);
	json_object_put(again);
	json_object_put(value);
}
END_TEST

START_TEST(spoilt)
{
	struct json_object *value = parse(kinds[_i].text);
	struct err err = {0};

	spoil_all(&kinds[_i], value, value);
	/* All was put back: what was refused was refused for its own sake. */
	ck_assert_msg(kinds[_i].try(value, &err) == 0, "%s", err.text);
	json_object_put(value);
}
END_TEST

START_TEST(fields)
{
	struct json_object *value = parse(part_text);
	struct part *part = part_from_json(value, NULL);

	json_object_put(value);
	ck_assert_uint_eq(part->epoch, 3);
	ck_assert_uint_eq(part->version, 17);
	ck_assert_uint_eq(part->image_count, 2);
	ck_assert_uint_eq(part->vm_count, 2);
	ck_assert_str_eq(part->images[0].file[0].digest, DIGEST);
	ck_assert_int_eq(part->images[1].file[1].size, 7);
	ck_assert_int_eq(part->images[0].deadline_us, WALL_NEVER);
	ck_assert_int_eq(part->vms[0].run.start_us, T0 + 10 * USEC_PER_SEC);
	ck_assert_int_eq(part->vms[1].use.amount[RES_NET_OUT], 7);
	ck_assert_uint_eq(part->vms[1].generation, UINT32_MAX);
	ck_assert_ptr_eq(part_find_image(part, 2), &part->images[1]);
	ck_assert_ptr_null(part_find_image(part, 3));
	part_free(part);
}
END_TEST

/* What only VMs with slice and period have: kept as it was written, and checked. */
START_TEST(constraints)
{
	static const char *const bad[] = {
		"{\"period_us\":2000,\"slice_us\":2001,\"aligned\":true}", "{\"period_us\":2000,\"aligned\":true}",
		"{\"period_us\":0,\"slice_us\":0,\"aligned\":true}", "{\"period_us\":2000,\"slice_us\":1000}",
		"{\"period_us\":2592000000001,\"slice_us\":1000,\"aligned\":true}"};
	struct json_object *root = parse(part_text);
	struct json_object *vm = json_object_array_get_idx(json_object_object_get(root, "vms"), 0);
	struct part_vm *first;
	struct err err = {0};

	json_object_object_add(vm, "slice_us", json_object_new_int(1000));
	json_object_object_add(vm, "period_us", json_object_new_int(2000));
	json_object_object_add(vm, "aligned", json_object_new_boolean(true));
	struct part *part = part_from_json(root, &err);
	ck_assert_msg(part != NULL, "%s", err.text);
	first = &part->vms[0];
	ck_assert(first->slice_us == 1000 && first->period_us == 2000 && first->aligned);
	ck_assert_int_eq(part->vms[1].period_us, 0);
	struct json_object *again = part_to_json(part);
	part_free(part);
	part = part_from_json(again, &err);
	ck_assert(part->vms[0].slice_us == 1000 && part->vms[0].period_us == 2000 && part->vms[0].aligned);
	part_free(part);
	json_object_put(again);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json_object *values = parse(bad[i]);

		json_object_object_del(vm, "slice_us");
		json_object_object_del(vm, "aligned");
		json_object_object_foreach (values, key, value) {
			json_object_object_add(vm, key, json_object_get(value));
		}
		ck_assert_msg(try_part(root, &err) < 0, "taken: %s", bad[i]);
		json_object_put(values);
	}
	json_object_put(root);
}
END_TEST

/* The part with these members added to each VM, the first of which is resumed; NULL if it is refused. */
static struct part *part_with(const char *first, const char *second)
{
	const char *const texts[] = {first, second};
	struct json_object *root = parse(part_text), *vms = json_object_object_get(root, "vms");
	struct part *part;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i), *run = json_object_object_get(vm, "run");
		struct json_object *values = parse(texts[i]);

		json_object_object_foreach (values, key, value) {
			json_object_object_add(vm, key, json_object_get(value));
		}
		if (run) {
			json_object_object_add(run, "from", json_object_new_string("resume"));
		}
		json_object_put(values);
	}
	part = part_from_json(root, &err);
	json_object_put(root);
	return part;
}

/* A VM that goes on elsewhere, as each of both nodes is told. */
START_TEST(moves)
{
	struct part *part = part_with("{\"from\":\"http://h/guests/n1/42-0-1\",\"fetch_us\":7}", "{\"to\":\"n2\"}");
	struct json_object *value;
	struct err err;

	ck_assert_ptr_nonnull(part);
	value = part_to_json(part);
	part_free(part);
	part = part_from_json(value, &err);
	json_object_put(value);
	ck_assert_str_eq(part->vms[0].from, "http://h/guests/n1/42-0-1");
	ck_assert_int_eq(part->vms[0].fetch_us, 7);
	ck_assert_str_eq(part->vms[1].to, "n2");
	ck_assert(!part->vms[0].to && !part->vms[1].from);
	part_free(part);
	part = part_with("{\"from\":\"\",\"fetch_us\":0}", "{}"); /* nobody knows where yet */
	ck_assert_str_eq(part->vms[0].from, "");
	part_free(part);
	ck_assert_ptr_null(part_with("{\"from\":\"file:///etc/shadow\",\"fetch_us\":7}", "{}"));
	ck_assert_ptr_null(part_with("{\"from\":\"http://h/x\"}", "{}"));
	ck_assert_ptr_null(part_with("{\"to\":\"n2\"}", "{}"));
	ck_assert_ptr_null(part_with("{}", "{\"to\":\"\"}"));
	ck_assert_ptr_null(part_with("{}", "{\"to\":\"../n2\"}"));
	ck_assert_ptr_null(part_with("{}", "{\"from\":\"http://h/x\",\"fetch_us\":7}"));
}
END_TEST

START_TEST(what_is_in_force)
{
	struct json_object *root = parse(report_text);
	struct report *report;
	struct err err = {0};

	report = report_from_json(root, &err);
	json_object_put(root);
	report->vms[0].edf = (struct report_edf){"edf", "2,3", 1000, 2000, 7, 500000, 90, 4, 300, 1, "text"};
	report->tasks = xcalloc(1, sizeof(*report->tasks));
	report->task_count = 1;
	report->tasks[0] = (struct report_task){5, "player", 77, 1000, {.backend = "edf", .slice_us = 3}};
	root = report_to_json(report);
	struct report *again = report_from_json(root, &err);
	ck_assert_msg(again != NULL, "%s", err.text);
	ck_assert_mem_eq(&again->vms[0].edf.slice_us, &report->vms[0].edf.slice_us, 8 * sizeof(int64_t));
	ck_assert_str_eq(again->vms[0].edf.backend, "edf");
	ck_assert_str_eq(again->vms[0].edf.cpus, "2,3");
	ck_assert_str_eq(again->vms[0].edf.text, "text");
	ck_assert_str_eq(again->vms[1].edf.backend, "");
	ck_assert_uint_eq(again->task_count, 1);
	ck_assert_mem_eq(&again->tasks[0], &report->tasks[0], sizeof(again->tasks[0]));
	struct json_object *edf =
		json_object_object_get(json_object_array_get_idx(json_object_object_get(root, "vms"), 0), "edf");
	json_object_object_add(edf, "misses", json_object_new_int(-1));
	ck_assert_int_lt(try_report(root, &err), 0);
	report_free(again);
	report_free(report);
	json_object_put(root);
}
END_TEST

START_TEST(what_a_node_can)
{
	struct hello_edf edf = {"edf", {4, 900000, 12000, 1000}, "measured"}, back;
	struct json_object *params = json_object_new_object();
	struct err err = {0};

	ck_assert_int_eq(hello_edf_from_json(params, &back, &err), 0);
	ck_assert_uint_eq(back.can.cpus, 0);
	ck_assert_str_eq(back.backend, "none");
	json_object_object_add(params, "edf", hello_edf_to_json(&edf));
	ck_assert_int_eq(hello_edf_from_json(params, &back, &err), 0);
	ck_assert_mem_eq(&back.can, &edf.can, sizeof(edf.can));
	ck_assert_str_eq(back.text, "measured");
	json_object_object_add(json_object_object_get(params, "edf"), "cpus", json_object_new_int(EDF_CPUS + 1));
	ck_assert_int_lt(hello_edf_from_json(params, &back, &err), 0);
	json_object_put(params);
}
END_TEST

START_TEST(nothing)
{
	struct json_object *value = parse("{\"epoch\":0,\"version\":0,\"images\":[],\"vms\":[],\"later\":\"ignored\"}");
	struct part *part = part_from_json(value, NULL);

	ck_assert_ptr_nonnull(part);
	ck_assert_uint_eq(part->vm_count + part->image_count, 0);
	part_free(part);
	json_object_put(value);
	part_free(NULL);
	report_free(NULL);
	ck_assert_int_eq(try_part(NULL, NULL), -1);
	ck_assert_int_eq(try_report(NULL, NULL), -1);
}
END_TEST

/* A piece of the text replaced by another. */
static const struct {
	int kind;
	const char *from;
	const char *to;
	const char *word; /* occurs in the error; NULL: the text is still taken */
} edits[] = {
	{0, "\"id\":2", "\"id\":1", "images"},
	{0, "\"vm\":1", "\"vm\":0", "vms"},
	{0, "\"vm\":1", "\"vm\":4096", "vms[1].vm"},
	{0, "\"image\":2", "\"image\":3", "vms[1].image"},
	{0, "\"id\":1", "\"id\":0", "images[0].id"},
	{0, "\"lease\":42", "\"lease\":0", "vms[0].lease"},
	{0, "\"generation\":1", "\"generation\":0", "generation"},
	{0, "\"generation\":4294967295", "\"generation\":4294967296", "generation"},
	{0, "debian", "../debian", "images[0].name"},
	{0, "debian", "", "images[0].name"},
	{0, "\"job\"", "\"a b\"", "vms[0].name"},
	{0, "qcow2", "vmdk", "images[0].format"},
	{0, "qcow2", "raw", NULL},
	{0, "qcow2", "kernel", "images[0].files"},
	{0, "\"disk\",", "\"kernel\",", "images[0].files"},
	{0, "\"initrd\"", "\"kernel\"", "images[1].files"},
	{0, "\"kernel\",\"cmdline\"", "\"raw\",\"cmdline\"", "images[1].cmdline"},
	{0, "console=ttyS0", "a\\nb", "images[1].cmdline"},
	{0, "http://10", "file:///10", "images[0].files[0].url"},
	{0, "http://10", "http:// 10", "images[0].files[0].url"},
	{0, "https://h/k", "https://h/\\u00e9", "url"},
	{0, "\"0123456789abcdef", "\"0123456789abcdeF", "digest"},
	{0, "\"0123456789abcdef", "\"", "digest"},
	{0, "\"size\":5", "\"size\":0", "images[0].files[0].size"},
	{0, "\"deadline_us\":1795269601000000", "\"deadline_us\":1795269599999999", "images[1].deadline_us"},
	{0, "\"deadline_us\":2305843009213693951", "\"deadline_us\":2305843009213693952", "images[0].deadline_us"},
	{0, "\"ar\"", "\"AR\"", "vms[0].kind"},
	{0, "\"ar\"", "\"immediate\"", NULL},
	{0, "\"cpu\":1000", "\"cpu\":0", "vms[0].use.cpu"},
	{0, "\"memory\":1048576", "\"memory\":0", "vms[0].use.memory"},
	{0, "\"boot\"", "\"resume\"", NULL},
	{0, "\"boot\"", "\"reboot\"", "vms[0].run.from"},
	{0, "\"stop\"", "\"suspend\"", NULL},
	{0, "\"stop\"", "\"go\"", "vms[0].run.then"},
	{0, "\"prepare_us\":1795269600000000", "\"prepare_us\":1795269610000000", NULL},
	{0, "\"prepare_us\":1795269600000000", "\"prepare_us\":1795269610000001", "vms[0].run"},
	{0, "\"end_us\":1795269620000000", "\"end_us\":1795269610000000", "vms[0].run"},
	{0, "\"end_us\":1795269620000000", "\"end_us\":1795269621000000", NULL},
	{0, "\"end_us\":1795269620000000", "\"end_us\":1795269621000001", "vms[0].run"},
	{0, "\"planned\":false", "\"planned\":true", "vms[1].run is missing"},
	{0, "\"planned\":false", "\"planned\":false,\"run\":7", NULL},
	{1, "\"generation\":2", "\"generation\":1", "vms"},
	{1, "\"id\":2", "\"id\":1", "images"},
	{1, "\"running\"", "\"walking\"", "vms[0].seen"},
	{1, "\"staging\"", "\"present\"", NULL},
	{1, "\"staging\"", "\"gone\"", "images[0].state"},
	{1, "no kernel", "a\\nb", NULL},
};

static struct json_object *edited(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	_cleanup_free_ char *copy = NULL;

	ck_assert_msg(at != NULL, "%s", from);
	copy = xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return parse(copy);
}

START_TEST(edit)
{
	const struct kind *kind = &kinds[edits[_i].kind];
	struct json_object *value = edited(kind->text, edits[_i].from, edits[_i].to);
	struct err err = {0};
	int rc = kind->try(value, &err);

	if (edits[_i].word) {
		ck_assert_msg(rc == -1, "taken: %s", edits[_i].to);
		ck_assert_int_eq(err.code, ERR_PARAMS);
		ck_assert_msg(strstr(err.text, edits[_i].word) != NULL, "%s: %s", edits[_i].to, err.text);
	} else {
		ck_assert_msg(rc == 0, "%s: %s", edits[_i].to, err.text);
	}
	json_object_put(value);
}
END_TEST

/* A list with one element more than it may have. */
static void too_many(const struct kind *kind, const char *key, size_t max)
{
	struct json_object *value = parse(kind->text);
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i <= max; i++) {
		json_object_array_add(list, json_object_new_object());
	}
	json_object_object_add(value, key, list);
	refused(kind, value, "at most", "too many");
	json_object_put(value);
}

START_TEST(limits)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		too_many(&kinds[i], "vms", PART_RUNS_MAX);
		too_many(&kinds[i], "images", PART_IMAGES_MAX);
	}
}
END_TEST

static void text_of(size_t n, bool ok)
{
	_cleanup_free_ char *text = xcalloc(n + 1, 1);
	struct json_object *value;

	memset(text, 'x', n);
	value = edited(report_text, "no kernel", text);
	ck_assert_int_eq(try_report(value, NULL), ok ? 0 : -1);
	json_object_put(value);
}

START_TEST(long_texts)
{
	text_of(PART_TEXT_MAX - 1, true);
	text_of(PART_TEXT_MAX, false);
}
END_TEST

/* The greatest part fits in a line. */
START_TEST(greatest)
{
	struct json_object *value = parse(part_text);
	struct part *part = part_from_json(value, NULL);
	struct part_vm vm = part->vms[0];
	struct json_object *again;
	_cleanup_free_ char *line = NULL;
	struct err err = {0};
	size_t len;

	json_object_put(value);
	part->vms = xrealloc(part->vms, PART_RUNS_MAX, sizeof(*part->vms));
	for (uint32_t i = 2; i < PART_RUNS_MAX; i++) {
		part->vms[i] = vm;
		part->vms[i].lease = INT64_MAX;
		part->vms[i].vm = i;
		part->vms[i].name = xstrdup("a-lease-with-the-longest-name-there-may-be-which-is-63-letters1");
	}
	part->vm_count = PART_RUNS_MAX;
	value = part_to_json(part);
	part_free(part);
	line = wire_format(value, &len);
	json_object_put(value);
	ck_assert_uint_lt(len, WIRE_LINE_MAX);
	again = wire_parse(line, len - 1, &err);
	ck_assert_msg(again && try_part(again, &err) == 0, "%s", err.text);
	json_object_put(again);
}
END_TEST

START_TEST(names)
{
	enum image_format format = IMAGE_FORMAT_COUNT;
	enum vm_seen seen = SEEN_COUNT;
	enum pool_state state = POOL_STATE_COUNT;

	for (int i = 0; i < IMAGE_FORMAT_COUNT; i++) {
		ck_assert_int_eq(image_format_parse(image_format_name((enum image_format)i), &format), 0);
		ck_assert_int_eq(format, i);
	}
	for (int i = 0; i < SEEN_COUNT; i++) {
		ck_assert_int_eq(vm_seen_parse(vm_seen_name((enum vm_seen)i), &seen), 0);
		ck_assert_int_eq(seen, i);
	}
	for (int i = 0; i < POOL_STATE_COUNT; i++) {
		ck_assert_int_eq(pool_state_parse(pool_state_name((enum pool_state)i), &state), 0);
		ck_assert_int_eq(state, i);
	}
	ck_assert_int_eq(image_format_parse("RAW", &format), -1);
	ck_assert_int_eq(vm_seen_parse("", &seen), -1);
	ck_assert_int_eq(pool_state_parse("stagin", &state), -1);
	ck_assert_int_eq(seen, SEEN_COUNT - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("part");
	TCase *tcase = tcase_create("part");

	tcase_add_loop_test(tcase, there_and_back, 0, ARRAY_SIZE(kinds));
	tcase_add_loop_test(tcase, spoilt, 0, ARRAY_SIZE(kinds));
	tcase_add_test(tcase, fields);
	tcase_add_test(tcase, constraints);
	tcase_add_test(tcase, moves);
	tcase_add_test(tcase, what_is_in_force);
	tcase_add_test(tcase, what_a_node_can);
	tcase_add_test(tcase, nothing);
	tcase_add_loop_test(tcase, edit, 0, ARRAY_SIZE(edits));
	tcase_add_test(tcase, limits);
	tcase_add_test(tcase, long_texts);
	tcase_add_test(tcase, greatest);
	tcase_add_test(tcase, names);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
