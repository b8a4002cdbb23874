/* tenure-edf's commands but run: asking the server, and saying what it answered. */
#include "cli.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "calibrate.h"
#include "clock.h"
#include "jsonx.h"
#include "proc.h"
#include "serve.h"
#include "table.h"
#include "util.h"
#include "when.h"

#define GOT "got_pct" /* of a CPU, in stat's interval */

void cli_constraint(const struct cli_options *options, struct json_object *params)
{
	jsonx_add_int(params, "slice_us", options->slice);
	jsonx_add_int(params, "period_us", options->period);
	if (options->strict) {
		jsonx_add_bool(params, "strict", true);
	}
	if (options->aligned) {
		jsonx_add_bool(params, "aligned", true);
	}
}

static int read_number(const char *word, const char *what, int64_t max, int64_t *out, struct err *err)
{
	return parse_i64(word, 1, max, out) < 0 ? err_set(err, ERR_PARAMS, "\"%s\" is no %s", word, what) : 0;
}

/* ---- attach, set, detach ---- */

static int detach(const struct cli_options *options, int64_t id, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result;

	jsonx_add_int(params, "id", id);
	if (ask(options, "detach", params, &result, err) < 0) {
		return -1;
	}
	json_object_put(result);
	return 0;
}

static int attach_one(const struct cli_options *options, int64_t pid, int64_t *id, struct err *err)
{
	struct json_object *params = json_object_new_object(), *result;

	cli_constraint(options, params);
	jsonx_add_string(params, "kind", options->thread ? "thread" : options->qemu ? "qemu" : "process");
	jsonx_add_int(params, "pid", pid);
	if (options->name) {
		jsonx_add_string(params, "name", options->name);
	}
	if (ask(options, "attach", params, &result, err) < 0) {
		return -1;
	}
	*id = json_object_get_int64(json_object_object_get(result, "id"));
	json_object_put(result);
	return 0;
}

/* What is wrong with the words alone starts no scheduler. */
static int read_pids(const struct cli_options *options, int64_t *pids, struct err *err)
{
	if (options->thread && options->qemu) {
		return err_set(err, ERR_PARAMS, "--thread and --qemu exclude each other");
	}
	for (int i = 0; i < options->count; i++) {
		if (read_number(options->words[i], "process id", INT32_MAX, &pids[i], err) < 0) {
			return -1;
		}
		for (int j = 0; j < i; j++) {
			if (pids[j] == pids[i]) {
				return err_set(err, ERR_PARAMS, "%s is given twice", options->words[i]);
			}
		}
	}
	return 0;
}

int cli_attach(const struct cli_options *options, struct err *err)
{
	_cleanup_free_ int64_t *pids = xcalloc((size_t)options->count, sizeof(*pids));
	_cleanup_free_ int64_t *ids = xcalloc((size_t)options->count, sizeof(*ids));

	if (read_pids(options, pids, err) < 0) {
		return 2;
	}
	if (ask_start(options, err) < 0) {
		return 1;
	}
	for (int i = 0; i < options->count; i++) {
		if (attach_one(options, pids[i], &ids[i], err) < 0) {
			/* All or none. */
			while (i-- > 0) {
				detach(options, ids[i], NULL);
			}
			return 1;
		}
	}
	for (int i = 0; i < options->count; i++) {
		printf("%" PRId64 "\n", ids[i]);
	}
	return 0;
}

int cli_set(const struct cli_options *options, struct err *err)
{
	struct json_object *params, *result;
	int64_t id;

	if (read_number(options->words[0], "task", INT64_MAX, &id, err) < 0) {
		return 2;
	}
	params = json_object_new_object();
	jsonx_add_int(params, "id", id);
	cli_constraint(options, params);
	if (ask(options, "set", params, &result, err) < 0) {
		return 1;
	}
	json_object_put(result);
	return 0;
}

int cli_detach(const struct cli_options *options, struct err *err)
{
	_cleanup_free_ int64_t *ids = xcalloc((size_t)options->count, sizeof(*ids));

	for (int i = 0; i < options->count; i++) {
		if (read_number(options->words[i], "task", INT64_MAX, &ids[i], err) < 0) {
			return 2;
		}
	}
	for (int i = 0; i < options->count; i++) {
		if (detach(options, ids[i], err) < 0) {
			return 1;
		}
	}
	return 0;
}

/* ---- list and stat ---- */

static int64_t number(struct json_object *row, const char *key)
{
	return json_object_get_int64(json_object_object_get(row, key));
}

static const char *text(struct json_object *row, const char *key)
{
	return json_object_get_string(json_object_object_get(row, key));
}

/* Names of processes may hold anything. */
static void safe_name(const char *name, char *out, size_t size)
{
	size_t n = 0;

	for (; *name && n + 1 < size; name++) {
		out[n++] = isprint((unsigned char)*name) && *name != ',' && *name != '"' ? *name : '?';
	}
	out[n] = '\0';
}

/* id: 0 = all tasks. */
static int get_rows(const struct cli_options *options, int64_t id, struct json_object **out, struct err *err)
{
	struct json_object *params = json_object_new_object();

	if (id) {
		jsonx_add_int(params, "id", id);
	}
	return ask(options, "list", params, out, err);
}

static int read_task(const struct cli_options *options, int64_t *id, struct err *err)
{
	*id = 0;
	return options->count ? read_number(options->words[0], "task", INT64_MAX, id, err) : 0;
}

/* rate: measured, of a CPU; < 0: since it was attached. */
static void print_row(const struct cli_options *options, struct json_object *row, double rate)
{
	char name[ENGINE_NAME], slice[WHEN_TEXT], period[WHEN_TEXT], cpu[16] = "-";
	int64_t age = clock_mono_ns() - number(row, "attached_ns");
	int64_t periods = number(row, "periods");

	rate = rate < 0 && age > 0 ? (double)number(row, "used_ns") / (double)age : rate;
	safe_name(text(row, "name"), name, sizeof(name));
	when_span(number(row, "slice_us"), slice);
	when_span(number(row, "period_us"), period);
	if (number(row, "cpu") >= 0) {
		snprintf(cpu, sizeof(cpu), "%" PRId64, number(row, "cpu"));
	}
	if (options->form == CLI_CSV) {
		printf("%" PRId64 ",%s,%" PRId64 ",%" PRId64 ",%s,%s,%s,%" PRId64 ",%" PRId64 ",%.3f,%.3f,%" PRId64
		       ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "\n",
		       number(row, "id"), name, number(row, "index"), number(row, "tid"), cpu, text(row, "backend"),
		       json_object_get_boolean(json_object_object_get(row, "strict")) ? "yes" : "no",
		       number(row, "slice_us"), number(row, "period_us"),
		       100.0 * (double)number(row, "slice_us") / (double)number(row, "period_us"), 100 * rate, periods,
		       number(row, "misses"), number(row, "late_max_ns") / 1000, number(row, "over_max_ns") / 1000,
		       number(row, "change_max_ns") / 1000);
		return;
	}
	printf("%4" PRId64 "  %-16.16s %5" PRId64 "  %7" PRId64 "  %3s  %-8s  %8s  %8s  %6.2f  %6.2f  %9" PRId64
	       "  %6" PRId64 "  %7" PRId64 "  %7" PRId64 "\n",
	       number(row, "id"), name, number(row, "index"), number(row, "tid"), cpu, text(row, "backend"), slice,
	       period, 100.0 * (double)number(row, "slice_us") / (double)number(row, "period_us"), 100 * rate, periods,
	       number(row, "misses"), number(row, "late_max_ns") / 1000, number(row, "over_max_ns") / 1000);
	if (json_object_object_get_ex(row, "reason", NULL)) {
		printf("      because %s\n", text(row, "reason"));
	}
}

static void print_heading(const struct cli_options *options)
{
	if (options->form == CLI_CSV) {
		puts("id,name,index,tid,cpu,backend,strict,slice_us,period_us,asked_pct,got_pct,periods,misses,"
		     "late_max_us,over_max_us,change_max_us");
	} else {
		printf("%4s  %-16s %5s  %7s  %3s  %-8s  %8s  %8s  %6s  %6s  %9s  %6s  %7s  %7s\n", "TASK", "NAME",
		       "INDEX", "THREAD", "CPU", "BACKEND", "SLICE", "PERIOD", "ASKED%", "GOT%", "PERIODS", "MISSES",
		       "LATE_US", "OVER_US");
	}
}

static void print_json(struct json_object *result)
{
	puts(json_object_to_json_string_ext(result, JSON_C_TO_STRING_PRETTY));
}

static void print_rows(const struct cli_options *options, struct json_object *result)
{
	struct json_object *rows = json_object_object_get(result, "threads"), *rate;

	if (options->form == CLI_JSON) {
		print_json(result);
		return;
	}
	print_heading(options);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		print_row(options, row,
			  json_object_object_get_ex(row, GOT, &rate) ? json_object_get_double(rate) / 100 : -1);
	}
}

int cli_list(const struct cli_options *options, struct err *err)
{
	struct json_object *result;
	int64_t id;

	if (read_task(options, &id, err) < 0) {
		return 2;
	}
	if (get_rows(options, id, &result, err) < 0) {
		return 1;
	}
	print_rows(options, result);
	json_object_put(result);
	return 0;
}

/* The same thread in an answer before; NULL if it was not there. */
static struct json_object *find_row(struct json_object *rows, struct json_object *row)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *other = json_object_array_get_idx(rows, i);

		if (number(other, "id") == number(row, "id") && number(other, "tid") == number(row, "tid")) {
			return other;
		}
	}
	return NULL;
}

/* What each thread that was there before got since then. */
static void add_rates(struct json_object *rows, struct json_object *before, int64_t passed_ns)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i), *old = find_row(before, row);

		if (old) {
			double used = (double)(number(row, "used_ns") - number(old, "used_ns"));

			json_object_object_add(row, GOT, json_object_new_double(100 * used / (double)passed_ns));
		}
	}
}

int cli_stat(const struct cli_options *options, struct err *err)
{
	const struct timespec interval = {.tv_sec = options->interval / USEC_PER_SEC,
					  .tv_nsec = options->interval % USEC_PER_SEC * 1000};
	struct json_object *first, *second;
	int64_t from, id;

	if (read_task(options, &id, err) < 0) {
		return 2;
	}
	if (get_rows(options, id, &first, err) < 0) {
		return 1;
	}
	from = clock_mono_ns();
	nanosleep(&interval, NULL);
	if (get_rows(options, id, &second, err) < 0) {
		json_object_put(first);
		return 1;
	}
	add_rates(json_object_object_get(second, "threads"), json_object_object_get(first, "threads"),
		  clock_mono_ns() - from);
	print_rows(options, second);
	json_object_put(first);
	json_object_put(second);
	return 0;
}

/* "0-2,5" for [0,1,2,5]. */
static void print_cpus(struct json_object *list)
{
	char out[256];
	cpu_set_t set;

	CPU_ZERO(&set);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		CPU_SET((size_t)json_object_get_int(json_object_array_get_idx(list, i)), &set);
	}
	proc_cpus_text(&set, out, sizeof(out));
	printf("CPUs             %s\n", out);
}

int cli_node(const struct cli_options *options, struct err *err)
{
	struct json_object *node;
	char least[WHEN_TEXT];

	if (ask(options, "node", NULL, &node, err) < 0) {
		return 1;
	}
	if (options->form == CLI_JSON) {
		print_json(node);
		json_object_put(node);
		return 0;
	}
	when_span(number(node, "period_min_us"), least);
	printf("backend          %s\n", text(node, "backend"));
	if (*text(node, "reason")) {
		printf("because          %s\n", text(node, "reason"));
	}
	print_cpus(json_object_object_get(node, "cpus"));
	printf("limit            %.1f %% of each\n", (double)number(node, "limit_ppm") / 1e4);
	printf("promised         %.2f %% of a CPU, %" PRId64 " threads of %" PRId64 " tasks\n",
	       (double)number(node, "promised_ppm") / 1e4, number(node, "threads"), number(node, "tasks"));
	printf("shortest period  %s\n", least);
	if (number(node, "slice_min_us") > 0) {
		when_span(number(node, "slice_min_us"), least);
		printf("least slice      %s\n", least);
	}
	printf("wake-up          %.1f us of CPU time, late by up to %.1f us (99 %%)\n",
	       (double)number(node, "wake_ns") / 1e3, (double)number(node, "late_ns") / 1e3);
	printf("strict           %s\n",
	       json_object_get_boolean(json_object_object_get(node, "strict_possible")) ? "possible" : "not possible");
	printf("done             %s\n", text(node, "done"));
	json_object_put(node);
	return 0;
}

/* ---- serve, release, calibrate ---- */

int cli_serve(const struct cli_options *options, struct err *err)
{
	err->code = ERR_NONE;
	return serve(options, -1);
}

int cli_release(const struct cli_options *options, struct err *err)
{
	int n = engine_release(options->dir, options->force, err);

	if (n < 0) {
		return 1;
	}
	if (n > 0) {
		printf("%d threads given back\n", n);
	}
	return 0;
}

int cli_calibrate(const struct cli_options *options, struct err *err)
{
	struct calibration calibration;
	struct table *table;
	bool alive = false;
	char least[WHEN_TEXT];
	cpu_set_t set;
	int cpu = 0;

	table = table_open(options->dir, &alive, NULL);
	table_unmap(table);
	if (table && alive) {
		err_set(err, ERR_CONFLICT,
			"a scheduler works in %s: stop it to calibrate, or start it anew, for each start looks after "
			"that; "
			"tenure-edf node shows what it has",
			options->dir);
		return 1;
	}
	sched_getaffinity(0, sizeof(set), &set);
	if (options->cpus && proc_cpus_parse(options->cpus, &set, err) < 0) {
		return 2;
	}
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET((size_t)cpu, &set)) {
		cpu++;
	}
	if (calibrate_measure(cpu, &calibration, err) < 0 || dir_make(options->dir, 0755, err) < 0 ||
	    calibrate_save(options->dir, &calibration, err) < 0) {
		return 1;
	}
	when_span(calibrate_period_min_us(&calibration), least);
	printf("CPU %d: a wake-up takes %.1f us of CPU time, and comes up to %.1f us late (99 %%); shortest period %s, "
	       "limit %.1f %%\n",
	       cpu, (double)calibration.wake_ns / 1e3, (double)calibration.late_ns / 1e3, least,
	       calibrate_limit_ppm(options->limit_ppm) / 1e4);
	return 0;
}
