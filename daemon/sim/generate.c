/* Settings and kinds of made-up workloads. How each kind is made is generate_*.c's. */
#include "generate.h"

#include <math.h>
#include <string.h>

#include "conf_value.h"
#include "generate_internal.h"
#include "util.h"

#define BYTES_MAX (INT64_C(1) << 50)
#define CENTURY TRACE_TIME_MAX

const struct setting generate_table[] = {
#define ROW(name, member, type, value, min, max, arg, help) \
	{"generate", name, type, offsetof(struct generate, member), value, min, max, false, help, NULL},
#include "generate.tbl"
#undef ROW
};
const size_t generate_count = ARRAY_SIZE(generate_table);

/*
 * accuracy: in the paper 36 (35) requests of 110 (106) VMs for 30 min within 2 h, more than its 16 slots can hold; its
 * staging was real, its guests were idle. 48 slots hold them.
 */
const struct generate_kind generate_kinds[] = {
	{"mixed",
	 "reservations known at the start, serial best-effort requests at even intervals (thesis, section 8.3)",
	 "rate=12500kB", generate_mixed},
	{"accuracy", "reservations whose images must be staged in time, starts spread evenly (thesis, trace I)",
	 "length=2h slots=48 requests=36 total-vms=110 ar-duration=30m ar-vms-min=2 ar-vms-max=4 rate=12500kB",
	 generate_reserved},
	{"accuracy-windows", "the same with starts in bursts (thesis, trace II)",
	 "length=2h slots=48 requests=35 total-vms=106 ar-duration=30m ar-vms-min=2 ar-vms-max=4 rate=12500kB "
	 "window=100s window-every=900s",
	 generate_reserved},
	{"disk", "reservations known at the start, for the disk that staging early takes (thesis, section 8.1)",
	 "length=10h requests=94 ar-duration=5m ar-vms-max=16 rate=12500kB vms-per-transfer=2", generate_reserved},
	{"injected", "reservations to be added to another workload, at even distances (HPDC 2008)",
	 "length=30d slots=144 load=10 ar-duration=3h ar-vms-min=25 ar-vms-max=48 ahead=1d images=0 vm-memory=1GiB",
	 generate_injected},
	{"batch", "a batch system's gangs: sizes, run times, wrong estimates and days as on SDSC BLUE",
	 "length=30d slots=144 load=70 vms-max=144 images=0 vm-memory=1GiB", generate_batch},
};
const size_t generate_kind_count = ARRAY_SIZE(generate_kinds);

const struct generate_kind *generate_find(const char *name)
{
	for (size_t i = 0; i < generate_kind_count; i++) {
		if (strcmp(name, generate_kinds[i].name) == 0) {
			return &generate_kinds[i];
		}
	}
	return NULL;
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

static int set(struct generate *how, const char *text, struct err *err)
{
	size_t length = strcspn(text, "=");

	for (size_t i = 0; i < generate_count && text[length]; i++) {
		if (strlen(generate_table[i].key) == length && strncmp(generate_table[i].key, text, length) == 0) {
			return conf_value_parse(&generate_table[i], text + length + 1, how, err);
		}
	}
	return err_set(err, ERR_PARAMS, "%.*s: no such setting", (int)length, text);
}

static int set_words(struct generate *how, const char *words, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(words);
	char *rest = NULL;

	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (set(how, word, err)) {
			return -1;
		}
	}
	return 0;
}

static int check(const struct generate *how, struct err *err)
{
	if (how->vms_min > how->vms_max || how->ar_vms_min > how->ar_vms_max) {
		return err_set(err, ERR_PARAMS, "vms-min and ar-vms-min must not be above vms-max and ar-vms-max");
	}
	if (how->ar_vms_max > how->slots || how->vms_max > how->slots) {
		return err_set(err, ERR_PARAMS, "no request may have more VMs than there are slots (%jd)",
			       (intmax_t)how->slots);
	}
	if (how->popular > how->images) {
		return err_set(err, ERR_PARAMS, "popular must not be above images");
	}
	return 0;
}

int generate_settings(const struct generate_kind *kind, const char *const *sets, size_t n, struct generate *out,
		      struct err *err)
{
	struct generate how;

	if (conf_load(generate_table, generate_count, NULL, &how, err) || set_words(&how, kind->sets, err)) {
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (set(&how, sets[i], err)) {
			return -1;
		}
	}
	if (check(&how, err)) {
		return -1;
	}
	*out = how;
	return 0;
}

/* ---- what kinds share ------------------------------------------------------------------------------------------ */

/* Which image: 0 .. images - 1. */
static int64_t draw_image(const struct generate *how, struct draw *draw)
{
	int64_t tenth = draw_between(draw, 0, 9);

	if (how->popular && (tenth < how->popular || how->popular == how->images)) {
		return tenth % how->popular;
	}
	return draw_between(draw, how->popular, how->images - 1);
}

struct trace_request generate_blank(const struct generate *how, struct draw *draw)
{
	struct trace_request request = {
		.kind = LEASE_BEST_EFFORT, .start_us = -1, .latest_us = -1, .deadline_us = -1, .call_us = -1};

	request.per_vm.amount[RES_CPU] = how->vm_cpu;
	request.per_vm.amount[RES_MEMORY] = how->vm_memory;
	request.per_vm.amount[RES_DISK] = how->vm_disk;
	if (how->images) {
		snprintf(request.image, sizeof(request.image), "image-%jd", (intmax_t)draw_image(how, draw) + 1);
		request.image_bytes = how->image_size;
	}
	return request;
}

span_us generate_duration(struct draw *draw, span_us mean)
{
	double factor = 1 + draw_normal(draw) / 5;
	int64_t seconds;

	factor = fmin(fmax(factor, 0.5), 1.5);
	seconds = llround((double)mean * factor / (double)USEC_PER_SEC);
	return (seconds > 0 ? seconds : 1) * USEC_PER_SEC;
}

int generate_make(const struct generate_kind *kind, const struct generate *how, struct trace *out, struct err *err)
{
	size_t before = out->count;

	if (kind->make(how, out, err)) {
		out->count = before;
		return -1;
	}
	trace_sort(out);
	return 0;
}
