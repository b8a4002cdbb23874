/*
 * The readers of workloads under damaged input: whatever they are given, they take only requests that make sense, count
 * every line once, and write what they took so that it reads the same. Mutations follow from a seed, which is printed.
 */
#include <check.h>
#include <string.h>
#include <zlib.h>

#include "draw.h"
#include "suite.h"
#include "trace.h"
#include "util.h"

#define ROUNDS 4000
#define TEXT_MAX 16384

static const char *const samples[] = {
	"; Version: 2.2\n1 0 22 43 32 0.03 -1 4 64800 -1 1 96 -1 -1 3 -1 -1 -1\n"
	"2 32 20 -1 32 0.03 -1 4 64800 -1 5 96 -1 -1 3 -1 -1 -1\n3 287 14 0 8 0.1 -1 -1 -1 9 0 9 -1 -1 3 -1 -1 -1\n",
	"0 0 10728 10728 27 1 1024 0 'NONE.img' 600\n0 -1 94 90 48 0.5 1024 7 'a.img' 600\n",
	"0;nfs:///i/4.img;600;2;512;50;RW;NULL;26;BATCH\r\n9;nfs:///i/1.img;600;2;512;50;RO;300;36;AR\r\n",
	"{\"kind\":\"best-effort\",\"submit_us\":5,\"vms\":3,\"cpu\":1500,\"serial\":true,\"duration_us\":11,\"user\":"
	"13}\n"
	"{\"kind\":\"ar\",\"submit_us\":6,\"vms\":3,\"start_us\":9,\"latest_us\":10,\"duration_us\":11,\"image\":\"a\"}"
	"\n"
	"{\"kind\":\"open\",\"submit_us\":7,\"vms\":3,\"start_us\":9,\"latest_us\":12,\"response_us\":2,\"call_us\":10,"
	"\"duration_us\":11,\"real_us\":7}\n",
};
/* What damaged or hostile files hold. */
static const char *const bits[] = {"\n",
				   "\r\n",
				   " ",
				   ";",
				   "-",
				   "-1",
				   "0",
				   "'",
				   "\"",
				   "{",
				   "}",
				   ",",
				   ":",
				   "\\u0000",
				   "9223372036854775807",
				   "99999999999999999999",
				   "1e999",
				   "0.0000001",
				   "NaN",
				   "\xff\xfe",
				   "\xef\xbb\xbf",
				   "[[[[",
				   "null",
				   "\x1b[2J",
				   "%s%n",
				   "AR",
				   "BATCH"};

struct text {
	char byte[TEXT_MAX];
	size_t length;
};

static void insert(struct text *text, size_t at, const char *what, size_t n)
{
	if (text->length + n > TEXT_MAX) {
		return;
	}
	memmove(text->byte + at + n, text->byte + at, text->length - at);
	memcpy(text->byte + at, what, n);
	text->length += n;
}

static size_t place(struct draw *draw, size_t n)
{
	return (size_t)draw_between(draw, 0, (int64_t)n);
}

static void mutate(struct draw *draw, struct text *text)
{
	size_t at = place(draw, text->length), n;
	char copy[256];

	switch (draw_between(draw, 0, 5)) {
	case 0: /* a byte changed */
		if (at < text->length) {
			text->byte[at] = (char)draw_between(draw, -128, 127);
		}
		break;
	case 1: /* something known to be awkward put in */
		n = place(draw, ARRAY_SIZE(bits) - 1);
		insert(text, at, bits[n], strlen(bits[n]));
		break;
	case 2: /* a piece taken out */
		n = place(draw, text->length - at < 40 ? text->length - at : 40);
		memmove(text->byte + at, text->byte + at + n, text->length - at - n);
		text->length -= n;
		break;
	case 3: /* a piece doubled elsewhere */
		n = place(draw, text->length - at < sizeof(copy) ? text->length - at : sizeof(copy));
		memcpy(copy, text->byte + at, n);
		insert(text, place(draw, text->length), copy, n);
		break;
	case 4: /* cut off */
		if (draw_between(draw, 0, 9) == 0) {
			text->length = at;
		}
		break;
	default: /* one sample's text in another's */
		n = place(draw, ARRAY_SIZE(samples) - 1);
		insert(text, at, samples[n], strlen(samples[n]));
		break;
	}
}

static char *written(const struct trace *trace, size_t *size)
{
	char *text;
	FILE *out = open_memstream(&text, size);

	trace_write(trace, out);
	fclose(out);
	return text;
}

static void check_taken(const struct trace *trace)
{
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct trace copy = {0};
	struct err err = {0};
	size_t size;

	ck_assert_uint_eq(trace->lines, trace->count + trace->skipped + trace->left_out);
	for (size_t i = 0; i < trace->count; i++) {
		ck_assert_msg(trace_check(&trace->item[i], &err) == 0, "%s", err.text);
		ck_assert(trace->item[i].submit_us >= 0 && trace->item[i].submit_us <= TRACE_TIME_MAX);
	}
	text = written(trace, &size);
	ck_assert_msg(trace_parse("again", text, size, &copy, stderr, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(copy.count, trace->count);
	again = written(&copy, &size);
	ck_assert_str_eq(text, again);
	trace_fini(&copy);
}

START_TEST(damaged_text)
{
	struct draw draw = {(uint64_t)_i + 1};
	unsigned taken = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct trace trace = {0};
		struct text text = {.length = 0};
		const char *sample = samples[place(&draw, ARRAY_SIZE(samples) - 1)];
		_cleanup_free_ char *exact = NULL;
		struct err err = {0};

		insert(&text, 0, sample, strlen(sample));
		for (int64_t i = draw_between(&draw, 1, 8); i > 0; i--) {
			mutate(&draw, &text);
		}
		/* In a block of its size, so that a read behind its end is seen. */
		exact = xcalloc(1, text.length + !text.length);
		memcpy(exact, text.byte, text.length);
		if (trace_parse("fuzz", exact, text.length, &trace, NULL, &err) == 0) {
			check_taken(&trace);
			taken++;
		} else {
			ck_assert(trace.count == 0 && err.text[0]);
		}
		trace_fini(&trace);
	}
	printf("seed %d: %u of %d damaged texts still held requests\n", _i + 1, taken, ROUNDS);
	ck_assert_uint_gt(taken, ROUNDS / 4);
}
END_TEST

/* Packed files with bytes changed or cut off: zlib's errors must all come out as ours. */
START_TEST(damaged_packing)
{
	char path[] = "/tmp/test_sim_trace_fuzz.XXXXXX";
	struct draw draw = {(uint64_t)_i + 1};
	char good[4096];
	size_t size;
	FILE *file;
	gzFile packed;

	close(mkstemp(path));
	packed = gzopen(path, "w");
	for (int i = 0; i < 200; i++) {
		gzputs(packed, samples[0]);
	}
	ck_assert_int_eq(gzclose(packed), Z_OK);
	file = fopen(path, "r");
	size = fread(good, 1, sizeof(good), file);
	fclose(file);
	for (int round = 0; round < 300; round++) {
		struct trace trace = {0};
		struct err err = {0};
		size_t at = place(&draw, size - 1), length = draw_between(&draw, 0, 1) ? size : at;

		file = fopen(path, "w");
		fwrite(good, 1, length, file);
		if (length == size) {
			fseek(file, (long)at, SEEK_SET);
			fputc((int)draw_between(&draw, 0, 255), file);
		}
		fclose(file);
		if (trace_read(path, &trace, NULL, &err) == 0) {
			check_taken(&trace);
		} else {
			ck_assert(trace.count == 0 && err.text[0]);
		}
		trace_fini(&trace);
	}
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_trace_fuzz");
	TCase *tcase = tcase_create("sim_trace_fuzz");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, damaged_text, 0, 4);
	tcase_add_loop_test(tcase, damaged_packing, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
