/* Reading workloads: every format, everything that can be wrong with a line or a file, and what is said of it. */
#include <check.h>
#include <string.h>
#include <zlib.h>

#include "suite.h"
#include "trace.h"
#include "util.h"

#define SECOND USEC_PER_SEC
#define SWF_LINE "7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n"
#define COLUMNS_LINE "10 3600 60 50 3 1 1024 5 'a.img' 600\n"
#define MSC_LINE "5;nfs:///i.img;600;2;512;50;RW;NULL;26;BATCH\n"
#define JSON_LINE "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n"

static struct trace trace;
static char *told;
static size_t told_size;
static struct err err;

static void setup(void)
{
	memset(&trace, 0, sizeof(trace));
	memset(&err, 0, sizeof(err));
	told = NULL;
}

static void teardown(void)
{
	trace_fini(&trace);
	free(told);
}

static int parse_bytes(const char *text, size_t length)
{
	FILE *complain;
	int bad;

	free(told);
	complain = open_memstream(&told, &told_size);
	bad = trace_parse("t", text, length, &trace, complain, &err);
	fclose(complain);
	return bad;
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

/* The only request of a text in which nothing is wrong. */
static const struct trace_request *only(const char *text)
{
	ck_assert_msg(parse(text) == 0, "%s", err.text);
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(trace.count, 1);
	return &trace.item[0];
}

START_TEST(swf)
{
	const struct trace_request *r = only("; Version: 2.2\n;\n\n" SWF_LINE);

	ck_assert_int_eq(r->kind, LEASE_BEST_EFFORT);
	ck_assert(!r->serial);
	ck_assert_int_eq(r->submit_us, 100 * SECOND);
	ck_assert_uint_eq(r->vms, 8);
	ck_assert_int_eq(r->duration_us, 600 * SECOND);
	ck_assert_int_eq(r->real_us, 50 * SECOND);
	ck_assert_uint_eq(r->user, 42);
	ck_assert_int_eq(r->start_us, -1);
	ck_assert_int_eq(r->latest_us, -1);
	ck_assert_int_eq(r->deadline_us, -1);
	ck_assert_int_eq(r->call_us, -1);
	ck_assert_int_eq(r->per_vm.amount[RES_CPU], 0);
	ck_assert_int_eq(r->per_vm.amount[RES_MEMORY], 0);
	ck_assert_str_eq(r->image, "");
	ck_assert_uint_eq(r->line, 4);
	ck_assert_uint_eq(trace.lines, 1);
}
END_TEST

START_TEST(swf_with_unknowns)
{
	const struct trace_request *r = only("1 0 5 0 4 0.123456789 -1 -1 -1 2048 0 -1 -1 -1 -1 -1 -1 -1\n");

	ck_assert_uint_eq(r->vms, 4);
	ck_assert_int_eq(r->real_us, SECOND);
	ck_assert_int_eq(r->duration_us, SECOND);
	ck_assert_int_eq(r->per_vm.amount[RES_MEMORY], 2048 * 1024);
	ck_assert_uint_eq(r->user, 0);
}
END_TEST

START_TEST(swf_left_out)
{
	ck_assert_int_eq(parse("1 0 9 -1 -1 -1 -1 1 300 -1 5 42 -1 -1 1 -1 -1 -1\n" /* cancelled in the queue */
			       "2 0 9 20 1 -1 -1 1 300 -1 5 42 -1 -1 1 -1 -1 -1\n"  /* cancelled while it ran */
			       "3 0 9 20 1 -1 -1 1 300 -1 2 42 -1 -1 1 -1 -1 -1\n"  /* a part of another */
			       "4 0 9 20 1 -1 -1 1 300 -1 4 42 -1 -1 1 -1 -1 -1\n"),
			 0);
	ck_assert_uint_eq(trace.count, 1);
	ck_assert_int_eq(trace.item[0].real_us, 20 * SECOND);
	ck_assert_uint_eq(trace.left_out, 3);
	ck_assert_uint_eq(trace.skipped, 0);
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(columns)
{
	const struct trace_request *r = only(COLUMNS_LINE);

	ck_assert_int_eq(r->kind, LEASE_AR);
	ck_assert_int_eq(r->submit_us, 10 * SECOND);
	ck_assert_int_eq(r->start_us, 3600 * SECOND);
	ck_assert_int_eq(r->duration_us, 60 * SECOND);
	ck_assert_int_eq(r->real_us, 50 * SECOND);
	ck_assert_uint_eq(r->vms, 3);
	ck_assert_int_eq(r->per_vm.amount[RES_CPU], 1000);
	ck_assert_int_eq(r->per_vm.amount[RES_MEMORY], INT64_C(1) << 30);
	ck_assert_int_eq(r->per_vm.amount[RES_DISK], 5 << 20);
	ck_assert_str_eq(r->image, "a.img");
	ck_assert_int_eq(r->image_bytes, 600000000);
}
END_TEST

START_TEST(columns_without_start_and_image)
{
	const struct trace_request *r = only("0.25 -1 60 0 3 0.5 1024 0 'NONE.img' 600\n");

	ck_assert_int_eq(r->kind, LEASE_BEST_EFFORT);
	ck_assert_int_eq(r->submit_us, SECOND / 4);
	ck_assert_int_eq(r->start_us, -1);
	ck_assert_int_eq(r->real_us, SECOND);
	ck_assert_int_eq(r->per_vm.amount[RES_CPU], 500);
	ck_assert_str_eq(r->image, "");
	ck_assert_int_eq(r->image_bytes, 0);
}
END_TEST

START_TEST(msc)
{
	const struct trace_request *r = only(MSC_LINE);

	ck_assert_int_eq(r->kind, LEASE_BEST_EFFORT);
	ck_assert(r->serial);
	ck_assert_int_eq(r->submit_us, 5 * SECOND);
	ck_assert_uint_eq(r->vms, 2);
	ck_assert_int_eq(r->per_vm.amount[RES_CPU], 500);
	ck_assert_int_eq(r->per_vm.amount[RES_MEMORY], INT64_C(512) << 20);
	ck_assert_int_eq(r->duration_us, 26 * SECOND);
	ck_assert_int_eq(r->real_us, 26 * SECOND);
	ck_assert_str_eq(r->image, "nfs:///i.img");
	ck_assert_int_eq(r->image_bytes, 600000000);
}
END_TEST

START_TEST(msc_reservation)
{
	const struct trace_request *r = only("5;i.img;600;2;512;50;RO;900;26;AR\n");

	ck_assert_int_eq(r->kind, LEASE_AR);
	ck_assert(!r->serial);
	ck_assert_int_eq(r->start_us, 905 * SECOND);
}
END_TEST

static const char *const json_lines[] = {
	"{\"kind\":\"best-effort\",\"submit_us\":5,\"vms\":3,\"cpu\":1500,\"memory\":1048576,\"disk\":7,\"net_in\":8,"
	"\"net_out\":9,\"duration_us\":11,\"real_us\":12,\"user\":13,\"image_bytes\":600,\"serial\":true,"
	"\"image\":\"nfs:///a\\\\b.img\"}\n",
	"{\"kind\":\"ar\",\"submit_us\":0,\"vms\":4096,\"start_us\":0,\"latest_us\":4,\"duration_us\":11,\"real_us\":1}"
	"\n",
	"{\"kind\":\"immediate\",\"submit_us\":0,\"vms\":1,\"duration_us\":3153600000000000,\"real_us\":1}\n",
	"{\"kind\":\"deadline\",\"submit_us\":0,\"vms\":1,\"start_us\":3,\"deadline_us\":40,\"duration_us\":11,"
	"\"real_us\":11}\n",
	"{\"kind\":\"open\",\"submit_us\":0,\"vms\":1,\"start_us\":3,\"latest_us\":9,\"response_us\":2,\"call_us\":8,"
	"\"duration_us\":11,\"real_us\":11}\n",
};

START_TEST(json_there_and_back)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	only(json_lines[_i]);
	trace_write(&trace, out);
	fclose(out);
	ck_assert_str_eq(text, json_lines[_i]);
}
END_TEST

START_TEST(json_means)
{
	const struct trace_request *r = only("{\"kind\":\"open\",\"submit_us\":1,\"vms\":2,\"cpu\":3,\"memory\":4,"
					     "\"disk\":5,\"net_in\":6,\"net_out\":7,\"start_us\":8,\"latest_us\":9,"
					     "\"response_us\":10,\"call_us\":8,\"duration_us\":12,\"user\":13,"
					     "\"image\":\"x\",\"image_bytes\":14}\n");

	ck_assert_int_eq(r->kind, LEASE_OPEN);
	ck_assert_int_eq(r->submit_us, 1);
	ck_assert_uint_eq(r->vms, 2);
	for (int i = 0; i < RES_COUNT; i++) {
		ck_assert_int_eq(r->per_vm.amount[i], 3 + i);
	}
	ck_assert_int_eq(r->start_us, 8);
	ck_assert_int_eq(r->latest_us, 9);
	ck_assert_int_eq(r->deadline_us, -1);
	ck_assert_int_eq(r->response_us, 10);
	ck_assert_int_eq(r->call_us, 8);
	ck_assert_int_eq(r->duration_us, 12);
	ck_assert_int_eq(r->real_us, 12);
	ck_assert_uint_eq(r->user, 13);
	ck_assert_str_eq(r->image, "x");
	ck_assert_int_eq(r->image_bytes, 14);
}
END_TEST

/* Each is the second of three lines: it must be told of by its number, skipped, and the two others read. */
static const struct {
	const char *good, *bad, *what;
} wrong_lines[] = {
	{SWF_LINE, "7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1\n", "17 fields instead of 18"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1 -1\n", "19 fields instead of 18"},
	{SWF_LINE, "7 -5 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time) is \"-5\""},
	{SWF_LINE, "7 ten -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time) is \"ten\""},
	{SWF_LINE, "7 1e3 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time)"},
	{SWF_LINE, "7 0x10 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time)"},
	{SWF_LINE, "7 1. -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time)"},
	{SWF_LINE, "7 99999999999999999999 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time)"},
	{SWF_LINE, "7 9223372036854775807 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 2 (submit time)"},
	{SWF_LINE, "7 100 -1 -7 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 4 (run time) is \"-7\""},
	{SWF_LINE, "7 100 -1 -1 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 4 (run time) is not known"},
	{SWF_LINE, "7 100 -1 50 -1 -1 -1 -1 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "-1 processors"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 0 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "0 processors"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 4097 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "4097 processors"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 1.5 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 8 (requested processors)"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 8 0 -1 1 42 -1 -1 1 -1 -1 -1\n", "asks for no time at all"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 8 600 -1 6 42 -1 -1 1 -1 -1 -1\n", "field 11 (status)"},
	{SWF_LINE, "7 100 -1 50 4 fast -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\n", "field 6 (average CPU time)"},
	{SWF_LINE, "7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 \x1b[2J\n", "\"?[2J\""},
	{COLUMNS_LINE, "10 3600 60 50 3 1 1024 5 'a.img'\n", "9 fields instead of 10"},
	{COLUMNS_LINE, "10 -2 60 50 3 1 1024 5 'a.img' 600\n", "field 2 (start) is \"-2\""},
	{COLUMNS_LINE, "10 -0.5 60 50 3 1 1024 5 'a.img' 600\n", "field 2 (start) is \"-0.5\""},
	{COLUMNS_LINE, "10 3600 0 50 3 1 1024 5 'a.img' 600\n", "asks for no time at all"},
	{COLUMNS_LINE, "10 3600 60 50 0 1 1024 5 'a.img' 600\n", "field 5 (VMs) is \"0\""},
	{COLUMNS_LINE, "10 3600 60 50 3 0.0001 1024 5 'a.img' 600\n", "field 6 (CPUs) is \"0.0001\""},
	{COLUMNS_LINE, "10 3600 60 50 3 1 1024.5 5 'a.img' 600\n", "field 7 (memory)"},
	{COLUMNS_LINE, "10 3600 60 50 3 1 1024 5 a.img 600\n", "not in single quotes"},
	{COLUMNS_LINE, "10 3600 60 50 3 1 1024 5 ' 600\n", "not in single quotes"},
	{COLUMNS_LINE, "10 3600 60 50 3 1 1024 5 'a\x01' 600\n", "not allowed"},
	{COLUMNS_LINE,
	 "10 3600 60 50 3 1 1024 5 '0123456789012345678901234567890123456789012345678901234567890123' 600\n",
	 "longer than 63"},
	{MSC_LINE, "5;nfs:///i.img;600;2;512;50;RW;NULL;26\n", "9 fields instead of 10"},
	{MSC_LINE, "5;nfs:///i.img;600;2;512;50;RW;NULL;26;BATCH;\n", "11 fields instead of 10"},
	{MSC_LINE, "5;nfs:///i.img;600;2;512;50;RW;NULL;26;batch\n", "neither AR nor BATCH"},
	{MSC_LINE, "5;nfs:///i.img;600;2;512;50;W;NULL;26;BATCH\n", "neither RW nor RO"},
	{MSC_LINE, "5;nfs:///i.img;600;2;512;50;RW;9;26;BATCH\n", "is not NULL"},
	{MSC_LINE, "5;nfs:///i.img;600;2;512;50;RW;NULL;26;AR\n", "field 8 (deadline) is \"NULL\""},
	{MSC_LINE, "5;;600;2;;50;RW;NULL;26;BATCH\n", "field 5 (memory) is \"\""},
	{JSON_LINE, "{\"kind\":\"ar\"\n", "not JSON"},
	{JSON_LINE, "[]\n", "must be an object"},
	{JSON_LINE, "{}\n", "kind is missing"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":2,\"start_us\":9,\"duration_us\":5,\"x\":1}\n", "\"x\""},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":2,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n",
	 "twice"},
	{JSON_LINE, "{\"kind\":\"ra\",\"submit_us\":1,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n", "kind \"ra\""},
	{JSON_LINE, "{\"kind\":\"ar\",\"vms\":2,\"start_us\":9,\"duration_us\":5}\n", "submit_us is missing"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":-1,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n",
	 "submit_us must"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1.5,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n",
	 "submit_us must"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":\"1\",\"vms\":2,\"start_us\":9,\"duration_us\":5}\n",
	 "submit_us must"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":9223372036854775808,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n",
	 "not JSON"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":4097,\"start_us\":9,\"duration_us\":5}\n", "4097 VMs"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":2,\"duration_us\":5}\n", "has no start"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":2,\"start_us\":9,\"latest_us\":8,\"duration_us\":5}\n",
	 "before its start"},
	{JSON_LINE, "{\"kind\":\"ar\",\"submit_us\":1,\"vms\":2,\"start_us\":9,\"deadline_us\":8,\"duration_us\":5}\n",
	 "has a deadline"},
	{JSON_LINE, "{\"kind\":\"deadline\",\"submit_us\":1,\"vms\":2,\"duration_us\":5}\n", "has no deadline"},
	{JSON_LINE, "{\"kind\":\"best-effort\",\"submit_us\":1,\"vms\":2,\"start_us\":9,\"duration_us\":5}\n",
	 "has a start"},
	{JSON_LINE, "{\"kind\":\"immediate\",\"submit_us\":1,\"vms\":2,\"serial\":true,\"duration_us\":5}\n",
	 "is serial"},
	{JSON_LINE,
	 "{\"kind\":\"open\",\"submit_us\":1,\"vms\":2,\"start_us\":1,\"response_us\":1,\"duration_us\":5}\n",
	 "end of its window"},
	{JSON_LINE, "{\"kind\":\"open\",\"submit_us\":1,\"vms\":2,\"start_us\":1,\"latest_us\":2,\"duration_us\":5}\n",
	 "response time"},
	{JSON_LINE,
	 "{\"kind\":\"open\",\"submit_us\":1,\"vms\":2,\"start_us\":1,\"latest_us\":2,\"response_us\":1,\"call_us\":3,"
	 "\"duration_us\":5}\n",
	 "outside its window"},
	{JSON_LINE, "{\"kind\":\"immediate\",\"submit_us\":1,\"vms\":2,\"call_us\":3,\"duration_us\":5}\n",
	 "no open reservation"},
	{JSON_LINE, "{\"kind\":\"immediate\",\"submit_us\":1,\"vms\":2,\"image\":\"a b\",\"duration_us\":5}\n",
	 "not allowed"},
};

START_TEST(wrong_line)
{
	_cleanup_free_ char *text =
		xasprintf("%s%s%s", wrong_lines[_i].good, wrong_lines[_i].bad, wrong_lines[_i].good);

	ck_assert_msg(parse(text) == 0, "%s", err.text);
	ck_assert_uint_eq(trace.count, 2);
	ck_assert_uint_eq(trace.skipped, 1);
	ck_assert_uint_eq(trace.lines, 3);
	ck_assert_uint_eq(trace.item[1].line, 3);
	ck_assert_msg(strncmp(told, "t:2: ", 5) == 0, "%s", told);
	ck_assert_msg(strstr(told, wrong_lines[_i].what) != NULL, "%s", told);
	ck_assert_msg(strstr(told, "; the line was skipped\n") != NULL, "%s", told);
}
END_TEST

START_TEST(unsorted)
{
	ck_assert_int_eq(parse("1 20 -1 50 4 -1 -1 1 600 -1 1 1 -1 -1 1 -1 -1 -1\n"
			       "2 10 -1 50 4 -1 -1 1 600 -1 1 2 -1 -1 1 -1 -1 -1\n"
			       "3 20 -1 50 4 -1 -1 1 600 -1 1 3 -1 -1 1 -1 -1 -1\n"
			       "4 10 -1 50 4 -1 -1 1 600 -1 1 4 -1 -1 1 -1 -1 -1\n"),
			 0);
	ck_assert(trace.unsorted);
	ck_assert_str_eq(told, "t:2: submitted before the request above it; all were sorted by time of submission\n");
	ck_assert_uint_eq(trace.count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(trace.item[i].user, ((const uint32_t[]){2, 4, 1, 3})[i]);
	}
}
END_TEST

/* A second file is no reason to call either unsorted. */
START_TEST(two_files)
{
	ck_assert_int_eq(parse(SWF_LINE), 0);
	ck_assert_int_eq(parse(COLUMNS_LINE SWF_LINE COLUMNS_LINE), 0);
	ck_assert_uint_eq(trace.count, 3);
	ck_assert_uint_eq(trace.skipped, 1);
	ck_assert(!trace.unsorted);
	ck_assert_int_eq(trace.item[0].kind, LEASE_AR);
	ck_assert_int_eq(trace.item[2].kind, LEASE_BEST_EFFORT);
	ck_assert_int_eq(parse("junk\n"), -1);
	ck_assert_uint_eq(trace.count, 3);
	ck_assert_uint_eq(trace.skipped, 1);
	ck_assert_uint_eq(trace.lines, 4);
}
END_TEST

START_TEST(line_ends)
{
	ck_assert_int_eq(parse("; head\r\n\r\n" SWF_LINE "  # note\n"
			       "7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1\r\n"),
			 0);
	ck_assert_uint_eq(trace.count, 2);
	ck_assert_str_eq(told, "");
	ck_assert_int_eq(parse("7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1"), 0);
	ck_assert_uint_eq(trace.count, 3);
	ck_assert_str_eq(told, "t:1: the last line does not end in a newline, so the file may be cut off; it was read "
			       "as it stands\n");
}
END_TEST

START_TEST(nul_and_huge_lines)
{
	static char text[3 * 8192];
	size_t n = 0;

	n += (size_t)sprintf(text, SWF_LINE "7 100 -1 50 4 -1 -1 8 600 -1 1 42 -1 -1 1 -1 -1 -1") + 1;
	n += (size_t)sprintf(text + n, "\n");
	memset(text + n, '1', 8192);
	n += 8192;
	n += (size_t)sprintf(text + n, "\n" SWF_LINE);
	ck_assert_int_eq(parse_bytes(text, n), 0);
	ck_assert_uint_eq(trace.count, 2);
	ck_assert_uint_eq(trace.skipped, 2);
	ck_assert_str_eq(told, "t:2: holds a NUL byte; the line was skipped\n"
			       "t:3: is longer than 4095 bytes; the line was skipped\n");
}
END_TEST

START_TEST(no_request)
{
	static const char *const texts[] = {
		"",        "\n\n",           "; only\n# comments\n",
		"1 2 3\n", "\xff\xfe\x80\n", "1 0 9 -1 -1 -1 -1 1 300 -1 5 42 -1 -1 1 -1 -1 -1\n"};

	ck_assert_int_eq(parse(texts[_i]), -1);
	ck_assert_msg(strstr(err.text, "t holds no request") == err.text, "%s", err.text);
	ck_assert_uint_eq(trace.count, 0);
	ck_assert_uint_eq(trace.lines, 0);
}
END_TEST

START_TEST(junk_is_given_up)
{
	static char text[100000];

	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)(i * 7919 >> 3);
	}
	ck_assert_int_eq(parse_bytes(text, sizeof(text)), -1);
	ck_assert_msg(strstr(err.text, "t is no trace: none of its first 100 lines") != NULL, "%s", err.text);
}
END_TEST

START_TEST(many_complaints)
{
	static char text[64 * 1024] = SWF_LINE;
	size_t n = strlen(text), told_lines = 0;

	for (int i = 0; i < 500; i++) {
		n += (size_t)sprintf(text + n, "%d\n", i);
	}
	ck_assert_int_eq(parse(text), 0);
	ck_assert_uint_eq(trace.skipped, 500);
	for (const char *c = told; *c; c++) {
		told_lines += *c == '\n';
	}
	ck_assert_uint_eq(told_lines, 21);
	ck_assert(strstr(told, "t: 480 more complaints\n") != NULL);
	ck_assert_int_eq(trace_parse("t", text, n, &trace, NULL, &err), 0);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* A file of the text, written times times; mode as gzopen() takes it, "wT" = not packed. */
static void file_of(char path[32], const char *text, unsigned times, const char *mode)
{
	gzFile file;

	strcpy(path, "/tmp/test_sim_trace.XXXXXX");
	close(mkstemp(path));
	file = gzopen(path, mode);
	for (unsigned i = 0; i < times; i++) {
		ck_assert_int_gt(gzputs(file, text), 0);
	}
	ck_assert_int_eq(gzclose(file), Z_OK);
}

START_TEST(packed_and_plain)
{
	static const char *const modes[] = {"w9", "wT"};
	char path[32];

	file_of(path, SWF_LINE, 10000, modes[_i]);
	ck_assert_msg(trace_read(path, &trace, stderr, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(trace.count, 10000);
	unlink(path);
}
END_TEST

static void spoil(const char *path, long offset_from_end, int byte)
{
	FILE *file = fopen(path, "r+");

	fseek(file, -offset_from_end, SEEK_END);
	if (byte < 0) {
		ck_assert_int_eq(ftruncate(fileno(file), ftell(file)), 0);
	} else {
		fputc(byte, file);
	}
	fclose(file);
}

START_TEST(packed_and_cut_off)
{
	char path[32];

	file_of(path, SWF_LINE, 10000, "w");
	spoil(path, _i ? 9 : 200, -1);
	ck_assert_int_eq(trace_read(path, &trace, stderr, &err), -1);
	ck_assert_msg(strstr(err.text, "the packed file is cut off; nothing of it was read") != NULL, "%s", err.text);
	ck_assert_uint_eq(trace.count, 0);
	unlink(path);
}
END_TEST

START_TEST(packed_and_spoilt)
{
	char path[32];

	file_of(path, SWF_LINE, 10000, "w");
	spoil(path, 6, 0x5a); /* of the check sum */
	ck_assert_int_eq(trace_read(path, &trace, stderr, &err), -1);
	ck_assert_msg(strstr(err.text, "nothing of it was read") != NULL, "%s", err.text);
	unlink(path);
}
END_TEST

/* Far more than the limit in a small file: one line after another, and one that never ends. */
START_TEST(bomb)
{
	static const char *const bits[] = {"\n", "1"};
	_cleanup_free_ char *text = xcalloc(1, (1 << 20) + 1);
	char path[32];

	memset(text, bits[_i][0], 1 << 20);
	file_of(path, text, 1100, "w1");
	ck_assert_int_eq(trace_read(path, &trace, NULL, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	unlink(path);
}
END_TEST

START_TEST(no_file)
{
	ck_assert_int_eq(trace_read("/nonexistent/trace", &trace, stderr, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_str_eq(err.text, "/nonexistent/trace: No such file or directory");
	ck_assert_int_eq(trace_read("/tmp", &trace, stderr, &err), -1);
	ck_assert_msg(strstr(err.text, "Is a directory") != NULL, "%s", err.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_trace");
	TCase *tcase = tcase_create("sim_trace");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, swf);
	tcase_add_test(tcase, swf_with_unknowns);
	tcase_add_test(tcase, swf_left_out);
	tcase_add_test(tcase, columns);
	tcase_add_test(tcase, columns_without_start_and_image);
	tcase_add_test(tcase, msc);
	tcase_add_test(tcase, msc_reservation);
	tcase_add_loop_test(tcase, json_there_and_back, 0, ARRAY_SIZE(json_lines));
	tcase_add_test(tcase, json_means);
	tcase_add_loop_test(tcase, wrong_line, 0, ARRAY_SIZE(wrong_lines));
	tcase_add_test(tcase, unsorted);
	tcase_add_test(tcase, two_files);
	tcase_add_test(tcase, line_ends);
	tcase_add_test(tcase, nul_and_huge_lines);
	tcase_add_loop_test(tcase, no_request, 0, 6);
	tcase_add_test(tcase, junk_is_given_up);
	tcase_add_test(tcase, many_complaints);
	tcase_add_loop_test(tcase, packed_and_plain, 0, 2);
	tcase_add_loop_test(tcase, packed_and_cut_off, 0, 2);
	tcase_add_test(tcase, packed_and_spoilt);
	tcase_add_loop_test(tcase, bomb, 0, 2);
	tcase_add_test(tcase, no_file);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
